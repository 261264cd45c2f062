/* SPDX-License-Identifier: MIT */
/*
 * A few threads for calls that block. A job is handed over by a worker and
 * comes back to it: run() on a pool thread, then done() on the worker.
 */
#ifndef UTIL_TPOOL_H
#define UTIL_TPOOL_H

#include "util/worker.h"

struct tpool;

/**
 * struct tpool_job - one call
 * @run:	called once on a thread of the pool; may block
 * @done:	called once after it on @worker; may free or submit the job again
 * @worker:	where @done runs; must outlive the job
 *
 * Embedded in the owner and its own until submitted, and again from done() on.
 */
struct tpool_job {
	void (*run)(struct tpool_job *j);
	void (*done)(struct tpool_job *j);
	struct worker *worker;
	/* private to tpool.c */
	struct tpool_job *next;
	struct worker_post post;
};

/* NULL with errno set on failure. @name as for a worker. */
struct tpool *tpool_new(const char *name, unsigned int nthreads);

/* Jobs already submitted are run first. NULL is fine. */
void tpool_free(struct tpool *p);

/* Any thread. Jobs are started in order; with several threads they end in any. */
void tpool_submit(struct tpool *p, struct tpool_job *j);

#endif
