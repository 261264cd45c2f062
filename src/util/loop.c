/* SPDX-License-Identifier: MIT */
#include "util/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "util/compiler.h"

#define LOOP_BATCH 32

/**
 * struct loop - one control loop
 * @epfd:	epoll instance
 * @bell:	eventfd written by loop_post() and loop_stop()
 * @stop:	set by loop_stop(), cleared when loop_run() returns
 * @posts:	calls handed over and not yet taken, newest first
 * @todo:	calls taken and not yet run, oldest first; loop thread only
 * @timers:	armed timers, earliest first; loop thread only
 * @ev:		events fetched; those from @iev to @nev are still to be delivered
 *
 * Removing a source wipes it from @ev, so an event that was fetched before
 * the removal is never delivered after it.
 */
struct loop {
	int epfd;
	int bell;
	atomic_bool stop;
	_Atomic(struct loop_post *) posts;
	struct loop_post *todo;
	struct loop_timer *timers;
	struct epoll_event ev[LOOP_BATCH];
	int nev, iev;
};

uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct loop *loop_new(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct loop *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return NULL;
	l->bell = -1;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0)
		goto fail;
	l->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->bell < 0)
		goto fail;
	/* A null pointer marks the bell; every other event carries its source. */
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->bell, &ev) < 0)
		goto fail;
	return l;
fail:
	err = errno;
	loop_free(l);
	errno = err;
	return NULL;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->bell >= 0)
		close(l->bell);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l);
}

/* Async-signal-safe. A full counter means that the bell rings already. */
static void ring_bell(struct loop *l)
{
	uint64_t one = 1;
	int err = errno;

	while (write(l->bell, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = err;
}

static void clear_bell(struct loop *l)
{
	uint64_t n;

	while (read(l->bell, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	ring_bell(l);
}

void loop_post(struct loop *l, struct loop_post *p)
{
	struct loop_post *head = atomic_load_explicit(&l->posts, memory_order_relaxed);

	do {
		/* p belongs to the loop as soon as the exchange succeeds. */
		p->next = head;
	} while (!atomic_compare_exchange_weak(&l->posts, &head, p));
	/*
	 * Only the first post on an empty stack rings: the loop empties the bell
	 * before it takes the stack, so whoever pushes on a stack that is not
	 * empty pushes before it is taken, and the ring of the first is still due.
	 */
	if (!head)
		ring_bell(l);
}

static void take_posts(struct loop *l)
{
	struct loop_post *p = atomic_exchange(&l->posts, NULL);
	struct loop_post *fifo = NULL, *next, **tail = &l->todo;

	for (; p; p = next) {
		next = p->next;
		p->next = fifo;
		fifo = p;
	}
	while (*tail)
		tail = &(*tail)->next;
	*tail = fifo;
}

static bool stopped(struct loop *l)
{
	return atomic_load_explicit(&l->stop, memory_order_relaxed);
}

static void run_posts(struct loop *l)
{
	struct loop_post *p;

	take_posts(l);
	while ((p = l->todo) && !stopped(l)) {
		l->todo = p->next;
		p->fn(p); /* may free p */
	}
}

static void run_timers(struct loop *l)
{
	struct loop_timer *t;
	uint64_t now;

	if (!l->timers)
		return;
	now = clock_ns();
	while ((t = l->timers) && t->due_ns <= now && !stopped(l)) {
		l->timers = t->next;
		t->armed = false;
		t->fn(t);
	}
}

static void run_fds(struct loop *l)
{
	while (l->iev < l->nev && !stopped(l)) {
		struct epoll_event *ev = &l->ev[l->iev++];
		struct loop_fd *src = ev->data.ptr;

		if (src)
			src->fn(src, ev->events);
	}
}

/* Milliseconds for epoll_wait(), rounded up so that a timer is due on return. */
static int turn_timeout(struct loop *l, int timeout_ms)
{
	uint64_t now, ms;

	if (l->todo || l->iev < l->nev || stopped(l))
		return 0;
	if (!l->timers)
		return timeout_ms;
	now = clock_ns();
	if (l->timers->due_ns <= now)
		return 0;
	ms = (l->timers->due_ns - now + 999999) / 1000000;
	if (timeout_ms >= 0 && (uint64_t)timeout_ms < ms)
		return timeout_ms;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int loop_turn(struct loop *l, int timeout_ms)
{
	/* Events left by loop_stop() in the middle of a batch come first. */
	if (l->iev >= l->nev) {
		int n = epoll_wait(l->epfd, l->ev, LOOP_BATCH, turn_timeout(l, timeout_ms));

		l->iev = 0;
		l->nev = n > 0 ? n : 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			if (!l->ev[i].data.ptr)
				clear_bell(l);
		}
	}
	run_posts(l);
	run_timers(l);
	run_fds(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int ret = 0;

	while (!ret && !stopped(l))
		ret = loop_turn(l, -1);
	atomic_store(&l->stop, false);
	return ret;
}

int loop_add(struct loop *l, struct loop_fd *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (src->added)
		return -EEXIST;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, src->fd, &ev) < 0)
		return -errno;
	src->events = events;
	src->added = true;
	return 0;
}

int loop_mod(struct loop *l, struct loop_fd *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (!src->added)
		return -ENOENT;
	if (src->events == events)
		return 0;
	if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, src->fd, &ev) < 0)
		return -errno;
	src->events = events;
	return 0;
}

void loop_del(struct loop *l, struct loop_fd *src)
{
	if (!src->added)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	src->added = false;
	for (int i = l->iev; i < l->nev; i++) {
		if (l->ev[i].data.ptr == src)
			l->ev[i].data.ptr = NULL;
	}
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t delay_ns)
{
	struct loop_timer **pos = &l->timers;

	loop_timer_cancel(l, t);
	t->due_ns = clock_ns();
	/* A delay for ever stays for ever. */
	if (__builtin_add_overflow(t->due_ns, delay_ns, &t->due_ns))
		t->due_ns = UINT64_MAX;
	while (*pos && (*pos)->due_ns <= t->due_ns)
		pos = &(*pos)->next;
	t->next = *pos;
	*pos = t;
	t->armed = true;
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	struct loop_timer **pos = &l->timers;

	if (!t->armed)
		return;
	while (*pos && *pos != t)
		pos = &(*pos)->next;
	if (*pos)
		*pos = t->next;
	t->armed = false;
}
