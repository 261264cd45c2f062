/* SPDX-License-Identifier: MIT */
/* Calls on a pool of threads, or right here where nothing can block. */
#include <errno.h>

#include "storage/file.h"
#include "util/compiler.h"

/* Calls in a row before the worker gets to look at its other work. */
#define INLINE_CALLS 8

/*
 * From so many bytes on a copy is worth more than handing it to another thread
 * and back: several of them go on side by side.
 */
#define INLINE_BYTES (64u << 10)

/* ---- threads ---- */

static void pool_run(struct tpool_job *job)
{
	struct file_req *q = container_of(job, struct file_req, job);

	q->call_res = file_call(q);
}

static void pool_done(struct tpool_job *job)
{
	struct file_req *q = container_of(job, struct file_req, job);

	file_done(q, q->call_res);
}

void file_start_on_pool(struct file_req *q)
{
	q->job.run = pool_run;
	q->job.done = pool_done;
	q->job.worker = q->chan->c.worker;
	tpool_submit(q->chan->f->pool, &q->job);
}

static int threads_chan_open(struct file_chan *c)
{
	return file_pool(c->f) ? 0 : -errno;
}

const struct file_engine file_engine_threads = {
	.name = "threads",
	.start = file_start_on_pool,
	.chan_open = threads_chan_open,
};

/* ---- on the spot ---- */

static size_t file_call_bytes(const struct file_call *c)
{
	size_t n = 0;

	for (unsigned int i = 0; i < c->niov; i++)
		n += c->iov[i].iov_len;
	return n;
}

static void inline_resume(struct worker_post *post)
{
	struct file_req *q = container_of(post, struct file_req, post);

	q->chan->engine->start(q);
}

/*
 * For files in memory (tmpfs): there is no disk to wait for, and these file
 * systems refuse the non-blocking calls of io_uring, which then hands each
 * request to a kernel thread at three times the cost of the copy.
 */
static void inline_start(struct file_req *q)
{
	int res;

	if (q->call.kind <= FILE_WRITE && q->chan->f->pool &&
	    file_call_bytes(&q->call) >= INLINE_BYTES) {
		file_start_on_pool(q);
		return;
	}
	for (int i = 0; i < INLINE_CALLS; i++) {
		res = file_call(q);
		if (!file_step(q, &res)) {
			file_finish(q, res);
			return;
		}
	}
	q->post.fn = inline_resume;
	worker_post(q->chan->c.worker, &q->post);
}

/* Where no thread can be had, it does without. */
static int inline_chan_open(struct file_chan *c)
{
	file_pool(c->f);
	return 0;
}

const struct file_engine file_engine_inline = {
	.name = "inline",
	.start = inline_start,
	.chan_open = inline_chan_open,
};
