/* SPDX-License-Identifier: MIT */
/* A worker's pollers and wait modes. */
#include "worker-fixture.h"

/* ---- pollers ---- */

/*
 * The log of a poller: p found nothing, P found work, a armed, A armed and
 * found work, d disarmed, f flushed.
 */
struct look {
	struct worker_poller p;
	struct worker *w;
	struct look *removes;
	char log[256], essence[256];
	unsigned int n;
	int work, work_at_arm;
	atomic_int polls;
	char removes_at;
	/* What to do after the next kick; taken over on the worker. */
	struct {
		int work, work_at_arm;
		struct look *removes;
	} next;
};

static void look_log(struct look *x, char c)
{
	if (x->n < sizeof(x->log) - 1)
		x->log[x->n++] = c;
	if (x->removes && x->removes_at == c) {
		struct look *victim = x->removes;

		x->removes = NULL;
		worker_del_poller(x->w, &victim->p);
		if (victim != x)
			memset(&victim->p, 0x55, sizeof(victim->p));
	}
}

static bool look_poll(struct worker_poller *p)
{
	struct look *x = container_of(p, struct look, p);
	bool work = x->work > 0;

	if (work)
		x->work--;
	atomic_fetch_add(&x->polls, 1);
	look_log(x, work ? 'P' : 'p');
	return work;
}

static bool look_arm(struct worker_poller *p)
{
	struct look *x = container_of(p, struct look, p);
	bool work = x->work_at_arm > 0;

	if (work) {
		x->work_at_arm--;
		x->work++;
	}
	look_log(x, work ? 'A' : 'a');
	return work;
}

static void look_disarm(struct worker_poller *p)
{
	look_log(container_of(p, struct look, p), 'd');
}

static void look_flush(struct worker_poller *p)
{
	look_log(container_of(p, struct look, p), 'f');
}

static void look_init(struct look *x, struct worker *w)
{
	memset(x, 0, sizeof(*x));
	x->w = w;
	x->p = (struct worker_poller){ look_poll, look_arm, look_disarm, look_flush,
				       NULL,      false,    false,       false };
}

static void look_add(void *arg)
{
	struct look *x = arg;

	worker_add_poller(x->w, &x->p);
}

static void look_del(void *arg)
{
	struct look *x = arg;

	worker_del_poller(x->w, &x->p);
}

static void look_kick(void *arg)
{
	struct look *x = arg;

	x->n = 0;
	memset(x->log, 0, sizeof(x->log));
	x->work += x->next.work;
	x->work_at_arm += x->next.work_at_arm;
	x->removes = x->next.removes;
	memset(&x->next, 0, sizeof(x->next));
	worker_kick(x->w, &x->p);
}

/*
 * The log without what depends on when settle() comes by: a post is work too,
 * is followed by a flush, and makes an active poller be asked once more.
 */
static void essence_copy(void *arg)
{
	struct look *x = arg;
	char *to = x->essence;

	for (const char *c = x->log; *c; c++) {
		if (*c != 'f' && !(*c == 'p' && to > x->essence && to[-1] == 'p'))
			*to++ = *c;
	}
	*to = '\0';
}

static const char *essence(struct look *x)
{
	worker_call(x->w, essence_copy, x);
	return x->essence;
}

static void log_copy(void *arg)
{
	struct look *x = arg;

	memcpy(x->essence, x->log, sizeof(x->log));
}

static void poller_is_polled_only_between_kick_and_arm(void **state)
{
	struct fixture *fx = *state;
	struct look x;
	int polls;

	look_init(&x, fx->w);
	worker_call(fx->w, look_add, &x);
	settle(fx->w);
	/* Nobody was asked to wake us yet, so it looks once by itself. */
	worker_call(fx->w, nothing, NULL);
	assert_string_equal(essence(&x), "pa");

	x.next.work = 3;
	worker_call(fx->w, look_kick, &x);
	settle(fx->w);
	assert_string_equal(essence(&x), "dPPPpa");
	polls = atomic_load(&x.polls);
	settle(fx->w);
	assert_int_equal(atomic_load(&x.polls), polls);
	worker_call(fx->w, look_del, &x);
}

static void arm_that_finds_work_is_undone_and_the_worker_stays_awake(void **state)
{
	struct fixture *fx = *state;
	struct look x;

	look_init(&x, fx->w);
	worker_call(fx->w, look_add, &x);
	settle(fx->w);
	x.next.work_at_arm = 2;
	worker_call(fx->w, look_kick, &x);
	settle(fx->w);
	assert_string_equal(essence(&x), "dpAdPpAdPpa");
	worker_call(fx->w, look_del, &x);
}

static void results_are_flushed_in_the_turn_that_made_them(void **state)
{
	struct fixture *fx = *state;
	struct look x;

	look_init(&x, fx->w);
	worker_call(fx->w, look_add, &x);
	settle(fx->w);
	x.next.work = 1;
	worker_call(fx->w, look_kick, &x);
	settle(fx->w);
	/* After the poll and before the next one. */
	worker_call(fx->w, log_copy, &x);
	assert_non_null(strstr(x.essence, "Pf"));
	worker_call(fx->w, look_del, &x);
}

static void kick_twice(void *arg)
{
	look_kick(arg);
	look_kick(arg);
	look_kick(arg);
}

static void kicking_an_active_poller_changes_nothing(void **state)
{
	struct fixture *fx = *state;
	struct look x;

	look_init(&x, fx->w);
	worker_call(fx->w, look_kick, &x); /* not registered: nothing happens */
	worker_call(fx->w, look_add, &x);
	worker_call(fx->w, look_add, &x); /* twice is once */
	settle(fx->w);
	worker_call(fx->w, kick_twice, &x);
	settle(fx->w);
	assert_string_equal(essence(&x), "pa");
	worker_call(fx->w, look_del, &x);
	worker_call(fx->w, look_kick, &x);
	settle(fx->w);
	assert_string_equal(essence(&x), "");
}

static void poller_may_remove_any_poller_in_any_callback(void **state)
{
	static const char when[] = "pPadf";
	struct fixture *fx = *state;

	for (const char *c = when; *c; c++) {
		for (int self = 0; self < 2; self++) {
			struct look x[3];

			for (int i = 0; i < 3; i++) {
				look_init(&x[i], fx->w);
				x[i].removes_at = *c;
				worker_call(fx->w, look_add, &x[i]);
			}
			settle(fx->w);
			x[0].next.work = *c == 'P';
			x[0].next.removes = &x[!self];
			worker_call(fx->w, look_kick, &x[0]);
			settle(fx->w);
			assert_null(x[0].removes);
			/* The last one still lives and works. */
			x[2].next.work = 1;
			worker_call(fx->w, look_kick, &x[2]);
			settle(fx->w);
			assert_string_equal(essence(&x[2]), "dPpa");
			worker_call(fx->w, look_del, &x[2]);
			worker_call(fx->w, look_del, &x[self]);
		}
	}
}

/* ---- modes ---- */

static void busy_worker_polls_without_a_kick_and_never_arms(void **state)
{
	struct fixture *fx = *state;
	struct worker *w = start(fx, WORKER_BUSY);
	struct pong p = { .post.fn = pong_run };
	struct look x;
	struct watch f;

	look_init(&x, w);
	worker_call(w, look_add, &x);
	EVENTUALLY(atomic_load(&x.polls) > 1000);
	worker_post(w, &p.post);
	EVENTUALLY(atomic_load(&p.got) == 1);
	watch_init(&f, w, true);
	eventfd_write(f.src.fd, 1);
	EVENTUALLY(atomic_load(&f.calls) == 1);
	worker_call(w, watch_del, &f);
	close(f.src.fd);
	worker_call(w, look_del, &x);
	assert_null(strchr(x.log, 'a'));
	assert_int_equal(figure(&worker_stats(w)->sleeps), 0);
	worker_free(w);
}

static void adaptive_worker_gives_up_spinning_that_never_pays(void **state)
{
	struct fixture *fx = *state;
	struct worker *w = start(fx, WORKER_ADAPTIVE);
	const struct worker_stats *st = worker_stats(w);
	struct look x;

	look_init(&x, w);
	worker_call(w, look_add, &x);
	for (int i = 0; i < 200; i++) {
		worker_call(w, nothing, NULL);
		usleep(1000); /* far beyond the longest spin */
	}
	assert_true(figure(&st->sleeps) > 150);
	assert_true(figure(&st->spin_miss) < 100);
	worker_call(w, look_del, &x);
	assert_non_null(strchr(x.log, 'a'));
	worker_free(w);
}

/* Spins that found work, of 2000 chances. */
static uint64_t spin_hits(struct fixture *fx, enum worker_mode mode, uint32_t spin, uint32_t linger)
{
	struct worker_cfg cfg = { .name = "spin",
				  .mode = mode,
				  .cpu = -1,
				  .spin_max_ns = spin,
				  .linger_ns = linger,
				  .no_uring = fx->no_uring };
	struct worker *w = worker_new(&cfg);
	struct pong p = { .post.fn = pong_run };
	uint64_t hits;

	assert_non_null(w);
	for (int i = 1; i <= 2000; i++) {
		worker_post(w, &p.post);
		while (atomic_load(&p.got) != i)
			cpu_relax();
	}
	hits = figure(&worker_stats(w)->spin_hit);
	worker_free(w);
	return hits;
}

static void worker_spins_when_work_comes_soon(void **state)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	assert_true(spin_hits(*state, WORKER_ADAPTIVE, 5 * MS, 0) > 100);
	assert_true(spin_hits(*state, WORKER_EVENT, 0, 5 * MS) > 100);
}

static void look_wait_for_others(void *arg)
{
	((struct look *)arg)->p.pending = true;
}

static void look_have_it_back(void *arg)
{
	((struct look *)arg)->p.pending = false;
}

/* Bound to one processor it leaves that to those who work for it, and takes it back afterwards. */
static void bound_worker_does_not_spin_while_others_work_for_it(void **state)
{
	struct fixture *fx = *state;
	struct worker_cfg cfg = { .name = "bound",
				  .mode = WORKER_EVENT,
				  .cpu = 0,
				  .linger_ns = 5 * MS,
				  .no_uring = fx->no_uring };
	struct worker *w = worker_new(&cfg);
	struct pong p = { .post.fn = pong_run };
	struct look x;
	int i = 0;

	assert_non_null(w);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		worker_free(w);
		skip();
	}
	look_init(&x, w);
	worker_call(w, look_add, &x);
	worker_call(w, look_wait_for_others, &x);
	settle(w);
	for (uint64_t hits = figure(&worker_stats(w)->spin_hit); i < 200;) {
		worker_post(w, &p.post);
		for (i++; atomic_load(&p.got) != i;)
			cpu_relax();
		assert_int_equal(figure(&worker_stats(w)->spin_hit), hits);
	}
	worker_call(w, look_have_it_back, &x);
	for (; i < 2200;) {
		worker_post(w, &p.post);
		for (i++; atomic_load(&p.got) != i;)
			cpu_relax();
	}
	assert_true(figure(&worker_stats(w)->spin_hit) > 100);
	worker_call(w, look_del, &x);
	worker_free(w);
}

static void event_worker_without_patience_sleeps_at_once(void **state)
{
	assert_int_equal(spin_hits(*state, WORKER_EVENT, 5 * MS, 0), 0);
}

static void worker_that_cannot_be_pinned_is_not_started(void **state)
{
	struct fixture *fx = *state;
	struct worker_cfg cfg = { .name = "pin", .cpu = 100000, .no_uring = fx->no_uring };

	errno = 0;
	assert_null(worker_new(&cfg));
	assert_int_equal(errno, EINVAL);
	worker_free(NULL);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		BOTH(poller_is_polled_only_between_kick_and_arm),
		BOTH(arm_that_finds_work_is_undone_and_the_worker_stays_awake),
		BOTH(results_are_flushed_in_the_turn_that_made_them),
		BOTH(kicking_an_active_poller_changes_nothing),
		BOTH(poller_may_remove_any_poller_in_any_callback),
		BOTH(busy_worker_polls_without_a_kick_and_never_arms),
		BOTH(adaptive_worker_gives_up_spinning_that_never_pays),
		BOTH(worker_spins_when_work_comes_soon),
		BOTH(event_worker_without_patience_sleeps_at_once),
		BOTH(bound_worker_does_not_spin_while_others_work_for_it),
		BOTH(worker_that_cannot_be_pinned_is_not_started),
	};

	if (!have_uring()) {
		for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
			if (tests[i].initial_state == &with_uring)
				tests[i] = (struct CMUnitTest){ tests[i].name, no_uring_here, NULL,
								NULL, NULL };
		}
	}
	return cmocka_run_group_tests_name("worker pollers", tests, NULL, NULL);
}
