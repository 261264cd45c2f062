/* SPDX-License-Identifier: MIT */
#include "transport/vduse/job.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/compiler.h"

static void job_posted(struct loop_post *p)
{
	struct vduse_job *j = container_of(p, struct vduse_job, post);

	pthread_join(j->thread, NULL); /* its last act was the post */
	j->running = false;
	j->done(j);
}

static void *job_main(void *arg)
{
	struct vduse_job *j = arg;

	j->res = j->fn(j);
	loop_post(j->loop, &j->post);
	return NULL;
}

int vduse_job_init(struct vduse_job *j, struct loop *l)
{
	memset(j, 0, sizeof(*j));
	j->loop = l;
	j->post.fn = job_posted;
	j->cancel_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return j->cancel_fd < 0 ? -errno : 0;
}

void vduse_job_fini(struct vduse_job *j)
{
	if (j->cancel_fd >= 0)
		close(j->cancel_fd);
	j->cancel_fd = -1;
}

int vduse_job_start(struct vduse_job *j, int (*fn)(struct vduse_job *j),
		    void (*done)(struct vduse_job *j))
{
	sigset_t all, old;
	uint64_t n;
	int rc;

	while (read(j->cancel_fd, &n, sizeof(n)) < 0 && errno == EINTR)
		; /* a cancel was for the job before */
	j->fn = fn;
	j->done = done;
	j->res = 0;
	memset(&j->err, 0, sizeof(j->err));
	/* Signals are the business of the thread that runs the loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&j->thread, NULL, job_main, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	j->running = rc == 0;
	return -rc;
}

void vduse_job_cancel(struct vduse_job *j)
{
	uint64_t one = 1;

	while (write(j->cancel_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}
