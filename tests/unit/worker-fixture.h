/* SPDX-License-Identifier: MIT */
/* Workers for tests: each case runs on both back-ends, io_uring and epoll. */
#ifndef TESTS_WORKER_FIXTURE_H
#define TESTS_WORKER_FIXTURE_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif
#include "util/compiler.h"
#include "util/loop.h"
#include "util/worker.h"

#define MS 1000000ull

/* What the tests look at from their own thread is atomic; the rest is the worker's. */

struct fixture {
	bool no_uring;
	struct worker *w;
};

static struct fixture with_uring = { .no_uring = false }, with_epoll = { .no_uring = true };

static inline struct worker *start(struct fixture *fx, enum worker_mode mode)
{
	struct worker_cfg cfg = { .name = "test",
				  .mode = mode,
				  .cpu = -1,
				  .no_uring = fx->no_uring };
	struct worker *w = worker_new(&cfg);

	if (!w)
		abort();
	return w;
}

static inline int setup(void **state)
{
	struct fixture *fx = *state;

	fx->w = start(fx, WORKER_EVENT);
	return 0;
}

static inline int teardown(void **state)
{
	worker_free(((struct fixture *)*state)->w);
	return 0;
}

/* Wait for a condition that another thread makes true. */
#define EVENTUALLY(cond)                                 \
	do {                                             \
		uint64_t end_ = clock_ns() + 20000 * MS; \
		while (!(cond)) {                        \
			assert_true(clock_ns() < end_);  \
			usleep(50);                      \
		}                                        \
	} while (0)

static inline void nothing(void *arg)
{
	(void)arg;
}

/* Let it come to rest: everything it had to do is done after a few calls. */
static inline void settle(struct worker *w)
{
	for (int i = 0; i < 3; i++) {
		worker_call(w, nothing, NULL);
		usleep(2000);
	}
}

static inline uint64_t figure(const uint64_t *s)
{
	return __atomic_load_n(s, __ATOMIC_RELAXED);
}

struct pong {
	struct worker_post post;
	atomic_int got;
};

static inline void pong_run(struct worker_post *p)
{
	atomic_fetch_add(&container_of(p, struct pong, post)->got, 1);
}

/*
 * One post at a time, after a pause that sweeps over the moment when the
 * worker goes to sleep. A lost wake-up would leave it asleep for good.
 */
struct watch {
	struct worker_fd src;
	struct worker *w;
	struct watch *victim;
	atomic_int calls;
	uint32_t events;
	int ret;
	bool reads, once;
};

static inline void watch_fn(struct worker_fd *src, uint32_t events)
{
	struct watch *x = container_of(src, struct watch, src);
	uint64_t v;

	if (x->reads && read(src->fd, &v, sizeof(v)) < 0)
		x->ret = -errno;
	if (x->once)
		worker_del_fd(x->w, src);
	if (x->victim) {
		worker_del_fd(x->w, &x->victim->src);
		x->victim->victim = NULL;
		x->victim = NULL;
	}
	x->events = events;
	atomic_fetch_add(&x->calls, 1);
}

static inline void watch_add(void *arg)
{
	struct watch *x = arg;

	x->ret = worker_add_fd(x->w, &x->src, EPOLLIN);
}

static inline void watch_del(void *arg)
{
	struct watch *x = arg;

	worker_del_fd(x->w, &x->src);
}

static inline void watch_init(struct watch *x, struct worker *w, bool edge)
{
	memset(x, 0, sizeof(*x));
	x->w = w;
	x->src = (struct worker_fd){ .fd = eventfd(0, EFD_NONBLOCK), .edge = edge, .fn = watch_fn };
	worker_call(w, watch_add, x);
	assert_int_equal(x->ret, 0);
}

#define ONE(f, fx, tag)                           \
	{                                         \
#f tag, f, setup, teardown, &(fx) \
	}
#define BOTH(f) ONE(f, with_uring, " (io_uring)"), ONE(f, with_epoll, " (epoll)")

static inline void no_uring_here(void **state)
{
	(void)state;
	skip();
}

/* Where io_uring is forbidden, the first half would only repeat the second. */
static inline bool have_uring(void)
{
	struct worker *w = start(&with_uring, WORKER_EVENT);
	bool ret = worker_has_uring(w);

	worker_free(w);
	return ret;
}

#endif
