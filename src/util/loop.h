/* SPDX-License-Identifier: MIT */
/*
 * The control thread's event loop: file descriptors, timers, calls posted
 * from other threads. Callbacks must not block (no disk I/O, no netlink add
 * or del, no image open).
 */
#ifndef UTIL_LOOP_H
#define UTIL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/**
 * struct loop_fd - one watched descriptor
 * @fd:		borrowed, stays the caller's
 * @fn:		called on the loop thread with EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR bits
 *
 * Embedded in the owner; the owner may remove (and free) itself from inside
 * @fn, or any other source from inside any callback.
 */
struct loop_fd {
	int fd;
	void (*fn)(struct loop_fd *src, uint32_t events);
	/* private to loop.c */
	uint32_t events;
	bool added;
};

/**
 * struct loop_timer - one-shot timer
 * @fn:		called once on the loop thread when due; may set it again
 */
struct loop_timer {
	void (*fn)(struct loop_timer *t);
	/* private to loop.c */
	uint64_t due_ns;
	struct loop_timer *next;
	bool armed;
};

/**
 * struct loop_post - a call handed to the loop thread
 * @fn:		called once on the loop thread; may free the node
 *
 * The node is the caller's and must stay until @fn has run.
 */
struct loop_post {
	void (*fn)(struct loop_post *p);
	struct loop_post *next; /* private */
};

struct loop *loop_new(void); /* NULL with errno set on failure */
void loop_free(struct loop *l);

/* Run callbacks until loop_stop(). Returns 0, or -errno when epoll fails. */
int loop_run(struct loop *l);

/* One turn: wait at most @timeout_ms (-1: for ever), run what is due. */
int loop_turn(struct loop *l, int timeout_ms);

/* Make loop_run() return after the present callback. Any thread, and from a signal handler. */
void loop_stop(struct loop *l);

/* Loop thread only. @events are EPOLL* bits. Return 0 or -errno. */
int loop_add(struct loop *l, struct loop_fd *src, uint32_t events);
int loop_mod(struct loop *l, struct loop_fd *src, uint32_t events);
void loop_del(struct loop *l, struct loop_fd *src); /* no-op when not added */

/* Loop thread only. Setting an armed timer moves it. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t delay_ns);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

/* Any thread. Posts run in the order they were made. */
void loop_post(struct loop *l, struct loop_post *p);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t clock_ns(void);

#endif
