/* SPDX-License-Identifier: MIT */
/*
 * A data thread. It owns what is registered with it: everything registered is
 * called on its thread only, so none of it needs a lock.
 *
 * One turn of the thread: run posted calls, reap I/O completions, let every
 * active poller work, flush, then either go round again (there was work),
 * spin (adaptive and busy), or arm the pollers and sleep. With io_uring the
 * sleep and the submission of everything the turn produced are one system
 * call; without it the sleep is epoll_wait.
 */
#ifndef UTIL_WORKER_H
#define UTIL_WORKER_H

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct worker_bell;
struct io_uring_sqe;

enum worker_mode {
	WORKER_EVENT,    /* sleep when there is nothing to do; see linger_ns */
	WORKER_ADAPTIVE, /* spin for a self-tuned while first */
	WORKER_BUSY,     /* never sleep */
};

/**
 * struct worker_cfg
 * @name:	thread name, at most 15 bytes
 * @mode:	wait mode
 * @cpu:	pin to this CPU, or -1
 * @spin_max_ns: upper bound of the adaptive spin (0: 50 us)
 * @linger_ns:	event mode: look so long before sleeping, where that pays. Not more
 *		than a sleep and its end cost: then it can never cost double
 * @batch_ns:	event mode: how long what is there may wait for more (0: not at all)
 * @no_uring:	do not use io_uring even if this build and kernel could
 */
struct worker_cfg {
	char name[16];
	enum worker_mode mode;
	int cpu;
	uint32_t spin_max_ns;
	uint32_t linger_ns;
	uint32_t batch_ns;
	bool no_uring;
};

/**
 * struct worker_poller - something that looks for work without a system call
 * @poll:	do a bounded amount of work; true if there was any
 * @arm:	about to sleep: ask the other side for a wake-up, then look once
 *		more; true if work has turned up (the worker will not sleep)
 * @disarm:	woken, or arming was undone: no wake-ups needed now; may be NULL
 * @flush:	end of the turn: make results visible and notify; may be NULL
 *
 * Event mode calls @poll only while the poller is active: from worker_kick()
 * until a @poll that finds nothing and an @arm that agrees. Spinning modes
 * call it each turn.
 */
struct worker_poller {
	bool (*poll)(struct worker_poller *p);
	bool (*arm)(struct worker_poller *p);
	void (*disarm)(struct worker_poller *p);
	void (*flush)(struct worker_poller *p);
	/* set by @poll: what it gave to others, threads or the kernel, is not back yet */
	bool pending;
	/* private to worker.c */
	struct worker_poller *next;
	bool active, armed, registered;
};

/**
 * struct worker_fd - a descriptor that wakes the worker
 * @fd:		borrowed
 * @fn:		called on the worker with EPOLL* bits
 * @edge:	true: @fn is called once per change and need not read (an eventfd
 *		used as a bell is never read: one system call saved per wake-up)
 */
struct worker_fd {
	int fd;
	bool edge;
	void (*fn)(struct worker_fd *src, uint32_t events);
	/* private to worker.c */
	void *priv;
};

/**
 * struct worker_post - a call handed to the worker's thread
 * @fn:		called once; may free or repost the node
 */
struct worker_post {
	void (*fn)(struct worker_post *p);
	struct worker_post *next; /* private */
};

/**
 * struct worker_timer - one-shot timer on the worker
 */
struct worker_timer {
	void (*fn)(struct worker_timer *t);
	/* private */
	uint64_t due_ns;
	struct worker_timer *next;
	bool armed;
};

/**
 * struct worker_op - what the user_data of an io_uring request points to
 * @done:	called on the worker with the result (>= 0 or -errno)
 */
struct worker_op {
	void (*done)(struct worker_op *op, int res);
};

/* Per-worker figures, written by the worker only; read with relaxed loads. */
struct worker_stats {
	uint64_t turns;
	uint64_t sleeps;   /* times the thread really waited */
	uint64_t enters;   /* io_uring_enter or epoll_wait calls */
	uint64_t spin_hit; /* spins that found work */
	uint64_t spin_miss;
};

/* Starts the thread. NULL with errno set on failure. */
struct worker *worker_new(const struct worker_cfg *cfg);

/* Stop and join; everything must have been unregistered before. Not from the worker. */
void worker_free(struct worker *w);

/* Any thread. The node stays the caller's until fn has run. */
void worker_post(struct worker *w, struct worker_post *p);

/* Any thread but the worker's: run fn there and wait for it. For set-up and tests. */
void worker_call(struct worker *w, void (*fn)(void *arg), void *arg);

/* ---- the rest is for the worker's thread only ---- */

bool worker_is_current(const struct worker *w);

void worker_add_poller(struct worker *w, struct worker_poller *p);
void worker_del_poller(struct worker *w, struct worker_poller *p);
/* Make it active: it is polled in this or the next turn. */
void worker_kick(struct worker *w, struct worker_poller *p);

int worker_add_fd(struct worker *w, struct worker_fd *src, uint32_t events);
/* After the return @fn is not called any more and the node may be freed. */
void worker_del_fd(struct worker *w, struct worker_fd *src);

void worker_timer_set(struct worker *w, struct worker_timer *t, uint64_t delay_ns);
void worker_timer_cancel(struct worker *w, struct worker_timer *t);

/* How long work may wait for more of it before this worker is woken; 0: not at all. */
uint32_t worker_batch_ns(const struct worker *w);

/* Does this worker have an io_uring? */
bool worker_has_uring(const struct worker *w);

/*
 * A submission entry, never NULL when worker_has_uring(): a full ring is
 * submitted first. Set its user_data to a struct worker_op with
 * io_uring_sqe_set_data(). It is submitted at the end of the turn.
 */
struct io_uring_sqe *worker_sqe(struct worker *w);

/*
 * A bell: an eventfd of somebody else's that is written with whatever the turn
 * submits, without a system call of its own. NULL where the worker cannot.
 */
struct worker_bell *worker_bell_new(struct worker *w);
/* False: not this time, write it yourself. @b may be NULL. Never waits for a full counter. */
bool worker_bell_ring(struct worker *w, struct worker_bell *b, int fd);
/* Before a descriptor given to worker_bell_ring() is closed: nothing refers to it afterwards. */
void worker_bell_settle(struct worker *w, int fd);
void worker_bell_drop(struct worker_bell *b); /* NULL is fine */

/* Put @fd in the ring's registered-file table. Index >= 0, or -errno. */
int worker_file_register(struct worker *w, int fd);
void worker_file_unregister(struct worker *w, int idx);

const struct worker_stats *worker_stats(const struct worker *w);

#endif
