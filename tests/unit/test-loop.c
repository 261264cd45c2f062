/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/compiler.h"
#include "util/loop.h"

#define MS 1000000ull

static int setup(void **state)
{
	*state = loop_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	loop_free(*state);
	return 0;
}

/* ---- posts ---- */

struct note {
	struct loop_post post;
	struct loop *loop;
	int *log, *len, id;
};

static void note_run(struct loop_post *p)
{
	struct note *n = container_of(p, struct note, post);

	n->log[(*n->len)++] = n->id;
}

static void posts_run_in_the_order_they_were_made(void **state)
{
	struct loop *l = *state;
	int log[100], len = 0;
	struct note n[100];

	for (int i = 0; i < 100; i++) {
		n[i] = (struct note){ .post.fn = note_run, .log = log, .len = &len, .id = i };
		loop_post(l, &n[i].post);
	}
	assert_int_equal(len, 0);
	assert_int_equal(loop_turn(l, -1), 0);
	assert_int_equal(len, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(log[i], i);
}

static void post_freeing(struct loop_post *p)
{
	free(container_of(p, struct note, post));
}

static void post_may_free_its_node(void **state)
{
	struct note *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	n->post.fn = post_freeing;
	loop_post(*state, &n->post);
	assert_int_equal(loop_turn(*state, -1), 0);
}

#define PER_THREAD 20000

struct producer {
	struct loop *loop;
	int *count, *order_errors, last;
};

struct numbered {
	struct loop_post post;
	struct producer *from;
	int id;
};

static void numbered_run(struct loop_post *p)
{
	struct numbered *n = container_of(p, struct numbered, post);

	if (n->id != n->from->last + 1)
		++*n->from->order_errors;
	n->from->last = n->id;
	if (--*n->from->count == 0)
		loop_stop(n->from->loop);
	free(n);
}

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (int i = 1; i <= PER_THREAD; i++) {
		struct numbered *n = malloc(sizeof(*n));

		*n = (struct numbered){ .post.fn = numbered_run, .from = p, .id = i };
		loop_post(p->loop, &n->post);
	}
	return NULL;
}

static void posts_of_many_threads_all_arrive_and_wake_the_loop(void **state)
{
	int count = 4 * PER_THREAD, order_errors = 0;
	struct producer p[4];
	pthread_t t[4];

	for (int i = 0; i < 4; i++) {
		p[i] = (struct producer){ .loop = *state,
					  .count = &count,
					  .order_errors = &order_errors };
		pthread_create(&t[i], NULL, produce, &p[i]);
	}
	assert_int_equal(loop_run(*state), 0); /* ends when the last one has run */
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(count, 0);
	assert_int_equal(order_errors, 0);
}

/* ---- descriptors ---- */

struct watch {
	struct loop_fd src;
	struct loop *loop;
	struct watch *victim;
	int calls;
	uint32_t last;
};

static void watch_read(struct loop_fd *src, uint32_t events)
{
	struct watch *x = container_of(src, struct watch, src);
	uint64_t v;

	x->calls++;
	x->last = events;
	if (read(src->fd, &v, sizeof(v)) < 0)
		x->calls = -1000;
}

static struct watch *watch_new(struct loop *l, void (*fn)(struct loop_fd *, uint32_t))
{
	struct watch *x = calloc(1, sizeof(*x));

	x->src.fd = eventfd(0, EFD_NONBLOCK);
	x->src.fn = fn;
	x->loop = l;
	assert_int_equal(loop_add(l, &x->src, EPOLLIN), 0);
	return x;
}

static void watch_free(struct watch *x)
{
	loop_del(x->loop, &x->src);
	close(x->src.fd);
	free(x);
}

static void descriptor_is_reported_once_it_is_ready(void **state)
{
	struct watch *x = watch_new(*state, watch_read);

	assert_int_equal(loop_turn(*state, 0), 0);
	assert_int_equal(x->calls, 0);
	eventfd_write(x->src.fd, 1);
	assert_int_equal(loop_turn(*state, -1), 0);
	assert_int_equal(x->calls, 1);
	assert_int_equal(x->last, EPOLLIN);
	assert_int_equal(loop_turn(*state, 0), 0);
	assert_int_equal(x->calls, 1);
	watch_free(x);
}

static void mod_changes_what_is_reported(void **state)
{
	struct watch *x = watch_new(*state, watch_read);

	assert_int_equal(loop_mod(*state, &x->src, EPOLLOUT), 0);
	eventfd_write(x->src.fd, 1);
	assert_int_equal(loop_turn(*state, -1), 0);
	assert_int_equal(x->last, EPOLLOUT);
	assert_int_equal(loop_mod(*state, &x->src, 0), 0);
	eventfd_write(x->src.fd, 1);
	assert_int_equal(loop_turn(*state, 0), 0);
	assert_int_equal(x->calls, 1);
	watch_free(x);
}

static void adding_twice_or_a_bad_descriptor_fails(void **state)
{
	struct watch *x = watch_new(*state, watch_read);
	struct loop_fd bad = { .fd = -1, .fn = watch_read };

	assert_int_equal(loop_add(*state, &x->src, EPOLLIN), -EEXIST);
	assert_int_equal(loop_add(*state, &bad, EPOLLIN), -EBADF);
	assert_int_equal(loop_mod(*state, &bad, EPOLLIN), -ENOENT);
	loop_del(*state, &bad); /* no-op */
	watch_free(x);
}

static int freed, survivor_calls;

static void watch_kills(struct loop_fd *src, uint32_t events)
{
	struct watch *x = container_of(src, struct watch, src);

	(void)events;
	survivor_calls++;
	if (x->victim) {
		watch_free(x->victim);
		x->victim = NULL;
		freed++;
	}
	watch_free(x);
}

/* Both are ready at once; whichever comes first frees the other, unseen. */
static void removing_another_source_in_a_callback_takes_back_its_event(void **state)
{
	struct watch *a = watch_new(*state, watch_kills), *b = watch_new(*state, watch_kills);

	freed = survivor_calls = 0;
	a->victim = b;
	b->victim = a;
	eventfd_write(a->src.fd, 1);
	eventfd_write(b->src.fd, 1);
	assert_int_equal(loop_turn(*state, -1), 0);
	assert_int_equal(loop_turn(*state, 0), 0);
	assert_int_equal(freed, 1);
	assert_int_equal(survivor_calls, 1);
}

static void watch_frees_itself(struct loop_fd *src, uint32_t events)
{
	(void)events;
	watch_free(container_of(src, struct watch, src));
}

static void source_may_free_itself(void **state)
{
	struct watch *x = watch_new(*state, watch_frees_itself);

	eventfd_write(x->src.fd, 1);
	assert_int_equal(loop_turn(*state, -1), 0);
	assert_int_equal(loop_turn(*state, 0), 0);
}

static void watch_stops(struct loop_fd *src, uint32_t events)
{
	struct watch *x = container_of(src, struct watch, src);

	watch_read(src, events);
	loop_stop(x->loop);
}

static void stop_ends_run_after_the_present_callback(void **state)
{
	struct watch *x[3];
	int sum = 0;

	for (int i = 0; i < 3; i++) {
		x[i] = watch_new(*state, watch_stops);
		eventfd_write(x[i]->src.fd, 1);
	}
	for (int want = 1; want <= 3; want++) {
		assert_int_equal(loop_run(*state), 0);
		sum = 0;
		for (int i = 0; i < 3; i++)
			sum += x[i]->calls;
		assert_int_equal(sum, want); /* and none of the other events is lost */
	}
	for (int i = 0; i < 3; i++)
		watch_free(x[i]);
}

static struct loop *signalled;

static void on_alarm(int sig)
{
	(void)sig;
	loop_stop(signalled);
}

static void stop_works_from_a_signal_handler(void **state)
{
	struct sigaction sa = { .sa_handler = on_alarm }, old;

	signalled = *state;
	sigaction(SIGALRM, &sa, &old);
	ualarm(20000, 0);
	assert_int_equal(loop_run(*state), 0);
	sigaction(SIGALRM, &old, NULL);
}

static void stop_before_run_makes_run_return_once(void **state)
{
	int log[1], len = 0;
	struct note n = { .post.fn = note_run, .log = log, .len = &len };

	loop_stop(*state);
	assert_int_equal(loop_run(*state), 0);
	loop_post(*state, &n.post);
	assert_int_equal(loop_turn(*state, 1000), 0);
	assert_int_equal(len, 1);
}

/* ---- timers ---- */

struct alarm {
	struct loop_timer t;
	struct loop *loop;
	struct alarm *cancels;
	int *log, *len, id, again;
};

static void alarm_run(struct loop_timer *t)
{
	struct alarm *a = container_of(t, struct alarm, t);

	a->log[(*a->len)++] = a->id;
	if (a->cancels)
		loop_timer_cancel(a->loop, &a->cancels->t);
	if (a->again-- > 0)
		loop_timer_set(a->loop, t, MS);
}

static void timers_fire_in_order_of_their_times(void **state)
{
	static const int delay[] = { 30, 10, 20, 10 }, want[] = { 1, 3, 2, 0 };
	int log[4], len = 0;
	struct alarm a[4];
	uint64_t t0 = clock_ns();

	for (int i = 0; i < 4; i++) {
		a[i] = (struct alarm){ .t.fn = alarm_run, .log = log, .len = &len, .id = i };
		loop_timer_set(*state, &a[i].t, (uint64_t)delay[i] * MS);
	}
	while (len < 4)
		assert_int_equal(loop_turn(*state, -1), 0);
	assert_true(clock_ns() - t0 >= 30 * MS);
	for (int i = 0; i < 4; i++)
		assert_int_equal(log[i], want[i]);
}

static void timer_may_be_moved_cancelled_and_set_again(void **state)
{
	int log[8], len = 0;
	struct alarm a[3];

	for (int i = 0; i < 3; i++)
		a[i] = (struct alarm){ .t.fn = alarm_run,
				       .loop = *state,
				       .log = log,
				       .len = &len,
				       .id = i };
	a[0].cancels = &a[1];
	a[0].again = 2;
	loop_timer_set(*state, &a[0].t, 3600000 * MS);
	loop_timer_set(*state, &a[0].t, MS); /* moved */
	loop_timer_set(*state, &a[1].t, MS); /* both due in the same turn: the first cancels it */
	loop_timer_set(*state, &a[2].t, UINT64_MAX); /* for ever, not wrapped around */
	usleep(2000);
	while (len < 3)
		assert_int_equal(loop_turn(*state, -1), 0);
	assert_int_equal(loop_turn(*state, 5), 0);
	assert_int_equal(len, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(log[i], 0);
	loop_timer_cancel(*state, &a[2].t);
	loop_timer_cancel(*state, &a[2].t);
}

static void turn_waits_no_longer_than_it_may(void **state)
{
	uint64_t t0 = clock_ns();

	assert_int_equal(loop_turn(*state, 0), 0);
	assert_true(clock_ns() - t0 < 1000 * MS);
	t0 = clock_ns();
	assert_int_equal(loop_turn(*state, 10), 0);
	assert_true(clock_ns() - t0 >= 9 * MS);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(posts_run_in_the_order_they_were_made),
		T(post_may_free_its_node),
		T(posts_of_many_threads_all_arrive_and_wake_the_loop),
		T(descriptor_is_reported_once_it_is_ready),
		T(mod_changes_what_is_reported),
		T(adding_twice_or_a_bad_descriptor_fails),
		T(removing_another_source_in_a_callback_takes_back_its_event),
		T(source_may_free_itself),
		T(stop_ends_run_after_the_present_callback),
		T(stop_works_from_a_signal_handler),
		T(stop_before_run_makes_run_return_once),
		T(timers_fire_in_order_of_their_times),
		T(timer_may_be_moved_cancelled_and_set_again),
		T(turn_waits_no_longer_than_it_may),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
