/* SPDX-License-Identifier: MIT */
/* Every test runs twice: with io_uring and with epoll. */
#include "worker-fixture.h"

/* ---- posts ---- */

struct seq {
	struct worker_post post;
	int *log;
	atomic_int *len;
	int id;
};

static void seq_run(struct worker_post *p)
{
	struct seq *s = container_of(p, struct seq, post);
	int at = atomic_load(s->len);

	s->log[at] = s->id;
	atomic_store(s->len, at + 1);
}

static void posts_run_in_the_order_they_were_made(void **state)
{
	struct fixture *fx = *state;
	struct seq s[200];
	atomic_int len = 0;
	int log[200];

	for (int i = 0; i < 200; i++) {
		s[i] = (struct seq){ .post.fn = seq_run, .log = log, .len = &len, .id = i };
		worker_post(fx->w, &s[i].post);
	}
	EVENTUALLY(atomic_load(&len) == 200);
	for (int i = 0; i < 200; i++)
		assert_int_equal(log[i], i);
}

struct where {
	struct worker *w;
	bool current;
	sigset_t set;
};

static void where_am_i(void *arg)
{
	struct where *x = arg;

	x->current = worker_is_current(x->w);
	pthread_sigmask(SIG_BLOCK, NULL, &x->set);
}

static void call_runs_on_the_worker_and_waits(void **state)
{
	struct fixture *fx = *state;
	struct where x = { .w = fx->w };

	worker_call(fx->w, where_am_i, &x);
	assert_true(x.current);
	assert_false(worker_is_current(fx->w));
	/* Signals are the control thread's, but for those that a fault raises. */
	assert_true(sigismember(&x.set, SIGTERM));
	assert_false(sigismember(&x.set, SIGBUS));
}

#define NTHREADS   4
#define PER_THREAD 30000

struct producer {
	struct worker *w;
	int last, order_errors;
	atomic_int *left;
};

struct numbered {
	struct worker_post post;
	struct producer *from;
	int id;
};

static void numbered_run(struct worker_post *p)
{
	struct numbered *n = container_of(p, struct numbered, post);
	atomic_int *left = n->from->left;

	if (n->id != ++n->from->last)
		n->from->order_errors++;
	free(n);
	atomic_fetch_sub(left, 1);
}

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (int i = 1; i <= PER_THREAD; i++) {
		struct numbered *n = malloc(sizeof(*n));

		*n = (struct numbered){ .post.fn = numbered_run, .from = p, .id = i };
		worker_post(p->w, &n->post);
		if (i % 1000 == 0)
			usleep(100); /* let it fall asleep now and then */
	}
	return NULL;
}

static void posts_of_many_threads_all_run_in_each_ones_order(void **state)
{
	struct fixture *fx = *state;
	atomic_int left = NTHREADS * PER_THREAD;
	struct producer p[NTHREADS];
	pthread_t t[NTHREADS];

	for (int i = 0; i < NTHREADS; i++) {
		p[i] = (struct producer){ .w = fx->w, .left = &left };
		assert_int_equal(pthread_create(&t[i], NULL, produce, &p[i]), 0);
	}
	for (int i = 0; i < NTHREADS; i++)
		pthread_join(t[i], NULL);
	EVENTUALLY(atomic_load(&left) == 0);
	for (int i = 0; i < NTHREADS; i++) {
		assert_int_equal(p[i].last, PER_THREAD);
		assert_int_equal(p[i].order_errors, 0);
	}
}

static void no_wakeup_is_lost_on_the_way_to_sleep(void **state)
{
	struct fixture *fx = *state;
	struct pong p = { .post.fn = pong_run };
	uint64_t end = clock_ns() + 700 * MS;
	int sent = 0;

	while (clock_ns() < end) {
		uint64_t give_up;

		for (volatile int spin = 0; spin < sent % 997 * 3; spin++)
			;
		worker_post(fx->w, &p.post);
		sent++;
		give_up = clock_ns() + 10000 * MS;
		while (atomic_load(&p.got) != sent)
			assert_true(clock_ns() < give_up);
	}
	assert_true(sent > 100);
	assert_true(figure(&worker_stats(fx->w)->sleeps) > 10);
}

static void an_idle_worker_does_nothing_at_all(void **state)
{
	struct fixture *fx = *state;
	const struct worker_stats *st = worker_stats(fx->w);
	uint64_t turns, enters;

	settle(fx->w);
	turns = figure(&st->turns);
	enters = figure(&st->enters);
	usleep(50000);
	assert_int_equal(figure(&st->turns), turns);
	assert_int_equal(figure(&st->enters), enters);
}

/* ---- descriptors ---- */

static void edge_descriptor_wakes_at_each_write_without_being_read(void **state)
{
	struct fixture *fx = *state;
	struct watch x;

	watch_init(&x, fx->w, true);
	for (int i = 1; i <= 500; i++) {
		eventfd_write(x.src.fd, 1);
		EVENTUALLY(atomic_load(&x.calls) >= i);
	}
	settle(fx->w);
	assert_int_equal(atomic_load(&x.calls), 500);
	assert_int_equal(x.events & EPOLLIN, EPOLLIN);
	worker_call(fx->w, watch_del, &x);
	close(x.src.fd);
}

static void descriptor_that_is_ready_before_it_is_added_counts(void **state)
{
	struct fixture *fx = *state;
	struct watch x = { .w = fx->w };

	x.src = (struct worker_fd){ .fd = eventfd(1, EFD_NONBLOCK), .edge = true, .fn = watch_fn };
	worker_call(fx->w, watch_add, &x);
	EVENTUALLY(atomic_load(&x.calls) == 1);
	worker_call(fx->w, watch_del, &x);
	close(x.src.fd);
}

static void level_descriptor_is_called_until_it_is_read(void **state)
{
	struct fixture *fx = *state;
	struct watch x;
	int n;

	watch_init(&x, fx->w, false);
	eventfd_write(x.src.fd, 1);
	EVENTUALLY(atomic_load(&x.calls) > 10);
	worker_call(fx->w, watch_del, &x);
	n = atomic_load(&x.calls);
	settle(fx->w);
	assert_int_equal(atomic_load(&x.calls), n);

	x.reads = true;
	atomic_store(&x.calls, 0);
	worker_call(fx->w, watch_add, &x);
	EVENTUALLY(atomic_load(&x.calls) == 1);
	for (int i = 2; i < 100; i++) {
		eventfd_write(x.src.fd, 1);
		EVENTUALLY(atomic_load(&x.calls) == i);
	}
	settle(fx->w);
	assert_int_equal(atomic_load(&x.calls), 99);
	assert_int_equal(x.ret, 0);
	worker_call(fx->w, watch_del, &x);
	close(x.src.fd);
}

static void bad_descriptor_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct watch x = { .w = fx->w, .src = { .fd = -1, .fn = watch_fn } };

	worker_call(fx->w, watch_add, &x);
	assert_int_equal(x.ret, -EBADF);
	worker_call(fx->w, watch_del, &x); /* no-op */
}

static void ring_both_and_hold(void *arg)
{
	struct watch *x = arg;

	eventfd_write(x[0].src.fd, 1);
	eventfd_write(x[1].src.fd, 1);
}

/* Both events are on their way when the first callback removes the other source. */
static void removed_descriptor_is_not_called_though_its_event_is_pending(void **state)
{
	struct fixture *fx = *state;
	struct watch x[2];

	for (int edge = 0; edge < 2; edge++) {
		for (int i = 0; i < 200; i++) {
			watch_init(&x[0], fx->w, edge);
			watch_init(&x[1], fx->w, edge);
			x[0].reads = x[1].reads = true;
			x[0].victim = &x[1];
			x[1].victim = &x[0];
			worker_call(fx->w, ring_both_and_hold, x);
			EVENTUALLY(atomic_load(&x[0].calls) + atomic_load(&x[1].calls));
			worker_call(fx->w, nothing, NULL);
			assert_int_equal(atomic_load(&x[0].calls) + atomic_load(&x[1].calls), 1);
			worker_call(fx->w, watch_del, &x[0]);
			worker_call(fx->w, watch_del, &x[1]);
			close(x[0].src.fd);
			close(x[1].src.fd);
		}
	}
}

static void ring_and_del(void *arg)
{
	struct watch *x = arg;

	eventfd_write(x->src.fd, 1);
	worker_del_fd(x->w, &x->src);
	/* Freed by the caller: the sanitizer would see a late look at it. */
	memset(&x->src, 0x55, sizeof(x->src));
}

static void removal_wins_over_an_event_of_the_same_moment(void **state)
{
	struct fixture *fx = *state;

	for (int i = 0; i < 400; i++) {
		struct watch *x = malloc(sizeof(*x));
		int fd;

		watch_init(x, fx->w, i & 1);
		fd = x->src.fd;
		worker_call(fx->w, ring_and_del, x);
		assert_int_equal(atomic_load(&x->calls), 0);
		free(x);
		eventfd_write(fd, 1);
		close(fd);
	}
	settle(fx->w);
}

static void watch_once(void *arg)
{
	((struct watch *)arg)->once = true;
}

static void descriptor_may_remove_itself(void **state)
{
	struct fixture *fx = *state;
	struct watch x;

	for (int i = 0; i < 100; i++) {
		watch_init(&x, fx->w, i & 1);
		worker_call(fx->w, watch_once, &x);
		eventfd_write(x.src.fd, 1);
		EVENTUALLY(atomic_load(&x.calls) == 1);
		eventfd_write(x.src.fd, 1);
		worker_call(fx->w, nothing, NULL);
		assert_int_equal(atomic_load(&x.calls), 1);
		close(x.src.fd);
	}
}

/* As long as the kernel watches it, the other end of a closed socket would not hear of it. */
static void removed_descriptor_is_let_go(void **state)
{
	struct fixture *fx = *state;
	struct pollfd p = { .events = POLLIN };
	int s[2];

	for (int edge = 0; edge < 2; edge++) {
		struct watch x = { .w = fx->w };

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
		x.src = (struct worker_fd){ .fd = s[0], .edge = edge, .fn = watch_fn };
		worker_call(fx->w, watch_add, &x);
		settle(fx->w);
		worker_call(fx->w, watch_del, &x);
		close(s[0]);
		p.fd = s[1];
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_true(p.revents & POLLHUP);
		assert_int_equal(atomic_load(&x.calls), 0);
		close(s[1]);
	}
}

/* ---- timers ---- */

struct alarm {
	struct worker_timer t;
	struct worker *w;
	struct alarm *cancels;
	int *log;
	atomic_int *len;
	int id, again;
	uint64_t delay;
};

static void alarm_run(struct worker_timer *t)
{
	struct alarm *a = container_of(t, struct alarm, t);
	int at = atomic_load(a->len);

	a->log[at] = a->id;
	if (a->cancels)
		worker_timer_cancel(a->w, &a->cancels->t);
	if (a->again-- > 0)
		worker_timer_set(a->w, t, MS / 2);
	atomic_store(a->len, at + 1);
}

static void alarms_set(void *arg)
{
	for (struct alarm *a = arg; a->w; a++) {
		a->t.fn = alarm_run;
		worker_timer_set(a->w, &a->t, 3600000 * MS);
		worker_timer_set(a->w, &a->t, a->delay); /* moves it */
	}
}

static void alarms_cancel(void *arg)
{
	for (struct alarm *a = arg; a->w; a++)
		worker_timer_cancel(a->w, &a->t);
}

static void timers_fire_in_order_and_not_early(void **state)
{
	static const int want[] = { 1, 3, 2, 0 };
	struct fixture *fx = *state;
	int log[8];
	atomic_int len = 0;
	struct alarm a[] = {
		{ .w = fx->w, .log = log, .len = &len, .id = 0, .delay = 30 * MS },
		{ .w = fx->w, .log = log, .len = &len, .id = 1, .delay = 10 * MS },
		{ .w = fx->w, .log = log, .len = &len, .id = 2, .delay = 20 * MS },
		{ .w = fx->w, .log = log, .len = &len, .id = 3, .delay = 10 * MS },
		{ .w = NULL },
	};
	uint64_t t0 = clock_ns();

	worker_call(fx->w, alarms_set, a);
	EVENTUALLY(atomic_load(&len) == 4);
	assert_true(clock_ns() - t0 >= 30 * MS);
	for (int i = 0; i < 4; i++)
		assert_int_equal(log[i], want[i]);
}

static void timer_may_be_set_again_and_cancelled_by_another(void **state)
{
	struct fixture *fx = *state;
	int log[8];
	atomic_int len = 0;
	struct alarm a[] = {
		{ .w = fx->w, .log = log, .len = &len, .id = 0, .delay = MS, .again = 3 },
		{ .w = fx->w, .log = log, .len = &len, .id = 1, .delay = MS },
		{ .w = fx->w, .log = log, .len = &len, .id = 2, .delay = UINT64_MAX },
		{ .w = NULL },
	};

	a[0].cancels = &a[1];
	worker_call(fx->w, alarms_set, a);
	EVENTUALLY(atomic_load(&len) == 4);
	settle(fx->w);
	worker_call(fx->w, alarms_cancel, a);
	assert_int_equal(atomic_load(&len), 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(log[i], 0);
}

/* ---- io_uring ---- */

static void epoll_worker_offers_no_uring(void **state)
{
	struct fixture *fx = *state;
	struct worker_cfg cfg = { .name = "none", .cpu = -1, .no_uring = true };
	struct worker *w = worker_new(&cfg);

	assert_non_null(w);
	assert_false(worker_has_uring(w));
	assert_null(worker_sqe(w));
	assert_int_equal(worker_file_register(w, 0), -EOPNOTSUPP);
	worker_free(w);
	assert_true(fx->no_uring || worker_has_uring(fx->w));
}

#ifdef HAVE_LIBURING
struct burst {
	struct worker *w;
	int n, again;
	atomic_int done;
	struct op {
		struct worker_op op;
		struct burst *b;
		int res;
	} * ops;
};

static void op_done(struct worker_op *op, int res)
{
	struct op *o = container_of(op, struct op, op);
	struct burst *b = o->b;

	o->res = res;
	if (b->again > 0) {
		struct io_uring_sqe *sqe = worker_sqe(b->w);

		b->again--;
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, op);
		return;
	}
	atomic_fetch_add(&b->done, 1);
}

static void burst_submit(void *arg)
{
	struct burst *b = arg;

	for (int i = 0; i < b->n; i++) {
		struct io_uring_sqe *sqe = worker_sqe(b->w);

		b->ops[i] = (struct op){ .op.done = op_done, .b = b, .res = 1 };
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, &b->ops[i].op);
	}
}

static void requests_beyond_every_ring_size_all_complete(void **state)
{
	struct fixture *fx = *state;
	static const int sizes[] = { 1, 255, 256, 257, 1000, 20000 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct burst b = { .w = fx->w, .n = sizes[i], .again = 500 };

		b.ops = calloc((size_t)b.n, sizeof(*b.ops));
		worker_call(fx->w, burst_submit, &b);
		EVENTUALLY(atomic_load(&b.done) == b.n);
		settle(fx->w);
		assert_int_equal(atomic_load(&b.done), b.n);
		for (int j = 0; j < b.n; j++)
			assert_int_equal(b.ops[j].res, 0);
		free(b.ops);
	}
}

static void a_burst_costs_one_system_call_and_one_sleep(void **state)
{
	struct fixture *fx = *state;
	struct burst b = { .w = fx->w, .n = 200 };
	uint64_t before;

	b.ops = calloc((size_t)b.n, sizeof(*b.ops));
	settle(fx->w);
	before = figure(&worker_stats(fx->w)->enters);
	worker_call(fx->w, burst_submit, &b);
	EVENTUALLY(atomic_load(&b.done) == b.n);
	usleep(2000);
	assert_in_range(figure(&worker_stats(fx->w)->enters) - before, 1, 3);
	free(b.ops);
}

struct table {
	struct worker *w;
	int ok, full, again;
};

static void table_fill(void *arg)
{
	struct table *t = arg;
	int idx[200], n = 0, ret;

	while (n < 200 && (ret = worker_file_register(t->w, 0)) >= 0)
		idx[n++] = ret;
	t->ok = n;
	t->full = n < 200 ? ret : 0;
	worker_file_unregister(t->w, idx[n / 2]);
	worker_file_unregister(t->w, idx[n / 2]); /* no slot any more: ignored */
	worker_file_unregister(t->w, -1);
	worker_file_unregister(t->w, 100000);
	t->again = worker_file_register(t->w, 0) == idx[n / 2];
	for (int i = 0; i < n; i++)
		worker_file_unregister(t->w, idx[i]);
}

static void file_table_runs_full_and_is_reused(void **state)
{
	struct fixture *fx = *state;
	struct table t = { .w = fx->w };

	worker_call(fx->w, table_fill, &t);
	assert_true(t.ok >= 16);
	assert_int_equal(t.full, -ENFILE);
	assert_true(t.again);
}
#endif

int main(void)
{
	struct CMUnitTest tests[] = {
		BOTH(posts_run_in_the_order_they_were_made),
		BOTH(call_runs_on_the_worker_and_waits),
		BOTH(posts_of_many_threads_all_run_in_each_ones_order),
		BOTH(no_wakeup_is_lost_on_the_way_to_sleep),
		BOTH(an_idle_worker_does_nothing_at_all),
		BOTH(edge_descriptor_wakes_at_each_write_without_being_read),
		BOTH(descriptor_that_is_ready_before_it_is_added_counts),
		BOTH(level_descriptor_is_called_until_it_is_read),
		BOTH(bad_descriptor_is_refused),
		BOTH(removed_descriptor_is_not_called_though_its_event_is_pending),
		BOTH(removal_wins_over_an_event_of_the_same_moment),
		BOTH(descriptor_may_remove_itself),
		BOTH(removed_descriptor_is_let_go),
		BOTH(timers_fire_in_order_and_not_early),
		BOTH(timer_may_be_set_again_and_cancelled_by_another),
		BOTH(epoll_worker_offers_no_uring),
#ifdef HAVE_LIBURING
		ONE(requests_beyond_every_ring_size_all_complete, with_uring, ""),
		ONE(a_burst_costs_one_system_call_and_one_sleep, with_uring, ""),
		ONE(file_table_runs_full_and_is_reused, with_uring, ""),
#endif
	};

	if (!have_uring()) {
		for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
			if (tests[i].initial_state == &with_uring)
				tests[i] = (struct CMUnitTest){ tests[i].name, no_uring_here, NULL,
								NULL, NULL };
		}
	}
	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
