/* SPDX-License-Identifier: MIT */
/*
 * What worker.c shares with its two back-ends: worker-uring.c and
 * worker-epoll.c. Nobody else includes this.
 */
#ifndef UTIL_WORKER_INTERNAL_H
#define UTIL_WORKER_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "util/compiler.h"
#include "util/worker.h"

/**
 * struct worker_node - the worker's side of a struct worker_fd
 * @src:	whom to call; NULL once removed
 * @events:	EPOLL* bits asked for
 * @armed:	io_uring: the kernel holds a poll request that points here
 * @busy:	@src's function is being called right now
 *
 * Lives longer than @src: an event that was on its way when the source was
 * removed finds a node without a source and is dropped.
 */
struct worker_node {
	struct worker_fd *src;
	int fd;
	uint32_t events;
	bool edge, armed, busy;
	struct worker_node *next, **pprev;
};

/**
 * struct worker_backend - how a worker waits; all calls on the worker's thread
 * @setup:	0 or -errno (then the next back-end is tried)
 * @teardown:	give everything back
 * @add:	start watching @n->fd; 0 or -errno
 * @del:	stop watching; takes over @n, whose src is NULL already
 * @reap:	deliver what is known without a system call; true if anything was
 * @submit:	hand over what the turn produced, without sleeping; no system
 *		call when there is nothing to gain from one
 * @flush:	hand over everything, however often it takes; NULL: nothing is ever kept
 * @wait:	hand over and sleep for at most @timeout_ns (< 0: no limit)
 * @sqe:	see worker_sqe(); NULL: no io_uring
 */
struct worker_backend {
	int (*setup)(struct worker *w);
	void (*teardown)(struct worker *w);
	int (*add)(struct worker *w, struct worker_node *n);
	void (*del)(struct worker *w, struct worker_node *n);
	bool (*reap)(struct worker *w);
	void (*submit)(struct worker *w);
	void (*flush)(struct worker *w);
	void (*wait)(struct worker *w, int64_t timeout_ns);
	struct io_uring_sqe *(*sqe)(struct worker *w);
	int (*file_register)(struct worker *w, int fd);
	void (*file_unregister)(struct worker *w, int idx);
};

extern const struct worker_backend worker_backend_epoll;
#ifdef HAVE_LIBURING
extern const struct worker_backend worker_backend_uring;
#endif

/**
 * struct worker_spin - the self-tuned window of the adaptive mode
 * @alone:	bound to one processor: those who work for us may have to share it
 * @max_ns:	upper bound, 0: spinning is pointless here
 * @window_ns:	how long to spin now
 * @idle_since:	clock when the worker ran out of work, 0: it has some
 * @slept:	it has slept since then
 * @gap:	sleeps between two probes while @window_ns is 0
 * @until_probe: sleeps left until the next one
 */
struct worker_spin {
	bool alone;
	uint64_t max_ns, window_ns, idle_since;
	bool slept, probing;
	unsigned int gap, until_probe;
};

/* worker-spin.c, worker thread only */
void worker_spin_init(struct worker *w);
/* Nothing to do: true if it is worth looking again before sleeping. */
bool worker_spin_on(struct worker *w);
/* A spin ended in sleep after all. */
void worker_spin_missed(struct worker *w);
/* There is work again. */
void worker_spin_found(struct worker *w);

struct worker {
	struct worker_cfg cfg;
	const struct worker_backend *be;
	void *be_priv;
	pthread_t thread;
	sem_t started;
	int start_err;
	int bell; /* eventfd that ends the sleep; never read */
	struct worker_fd bell_src;

	/* worker thread only */
	bool stopping;
	struct worker_poller *pollers;
	struct worker_poller *cursor;  /* next to visit; moved when that one is removed */
	struct worker_poller *current; /* being called; NULL when it removed itself */
	struct worker_timer *timers;   /* earliest first */
	struct worker_node *nodes;
	struct worker_bell *bells;
	bool cqe_skip; /* io_uring: a request can succeed without a completion (5.17), and be
			  cancelled by its descriptor (5.19) */
	struct worker_spin spin;
	struct worker_stats stats;

	/* any thread */
	_Alignas(CACHELINE) _Atomic(struct worker_post *) posts; /* newest first */
	atomic_bool sleeping;
};

/* One writer, so no read-modify-write is needed; readers use relaxed loads. */
static inline void stat_inc(uint64_t *s)
{
	__atomic_store_n(s, *s + 1, __ATOMIC_RELAXED);
}

/* When no completion can come any more. */
void worker_bells_free(struct worker *w);

/* Unlink and free; the back-end calls it when nothing points to the node any more. */
void worker_node_free(struct worker_node *n);

#endif
