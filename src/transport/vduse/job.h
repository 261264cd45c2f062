/* SPDX-License-Identifier: MIT */
/* One thing that may block, done on a thread of its own; its end comes by loop_post. */
#ifndef VDUSE_JOB_H
#define VDUSE_JOB_H

#include <pthread.h>
#include <stdbool.h>

#include "util/err.h"
#include "util/loop.h"

/**
 * struct vduse_job - a helper thread
 * @fn:		helper thread; the result goes to @res, the reason of a failure to @err
 * @done:	control loop
 * @cancel_fd:	readable once vduse_job_cancel() was called; @fn may look at it
 *
 * One job at a time. Embedded in its owner, which must stay until @done.
 */
struct vduse_job {
	int (*fn)(struct vduse_job *j);
	void (*done)(struct vduse_job *j);
	int res;
	struct err err;
	int cancel_fd;
	bool running;
	/* private to job.c */
	struct loop *loop;
	pthread_t thread;
	struct loop_post post;
};

int vduse_job_init(struct vduse_job *j, struct loop *l); /* 0 or -errno */
void vduse_job_fini(struct vduse_job *j);

/* 0, or -errno when there is no thread to be had; then @done does not follow. */
int vduse_job_start(struct vduse_job *j, int (*fn)(struct vduse_job *j),
		    void (*done)(struct vduse_job *j));
void vduse_job_cancel(struct vduse_job *j);

#endif
