/* SPDX-License-Identifier: MIT */
/*
 * The raw file and block device backend, inside.
 *
 * A request is carried out as a row of calls (a transfer may come up short, a
 * way to write zeroes may turn out unsupported). file-io.c decides on the
 * worker what the next call is; an engine only carries it out: in the
 * io_uring of the worker, on a pool of threads, or on the spot.
 */
#ifndef STORAGE_FILE_H
#define STORAGE_FILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "storage/stor.h"
#include "util/tpool.h"
#include "util/worker.h"

/* Bytes of one piece of a request whose buffers direct I/O cannot use. */
#define FILE_BOUNCE (256u << 10)

struct file_req;
struct file_chan;

/**
 * struct file_engine - who carries out calls
 * @start:	carry out q->call, then file_done() with its result, on the worker
 * @chan_open:	0 or -errno; may be NULL, as @chan_close
 */
struct file_engine {
	const char *name;
	void (*start)(struct file_req *q);
	int (*chan_open)(struct file_chan *c);
	void (*chan_close)(struct file_chan *c);
};

extern const struct file_engine file_engine_inline;
extern const struct file_engine file_engine_threads;
#ifdef HAVE_LIBURING
extern const struct file_engine file_engine_uring;
#endif

/**
 * struct file - an open image
 * @engine:	as asked for; NULL: choose per worker
 * @block:	a block device
 * @direct:	opened with O_DIRECT
 * @dio_mem:	alignment direct I/O wants of buffers
 * @dio_off:	alignment direct I/O wants of offsets and lengths
 * @flush_failed: sticky; see file-io.c
 * @no_punch:	punching holes turned out unsupported
 * @no_zero_range: so did zeroing a range
 * @lock:	guards the making of @pool; never taken per request
 * @pool:	for the threads engine, and for the one call io_uring has not:
 *		discarding on a block device; NULL until a channel needs it
 */
struct file {
	int fd;
	const struct file_engine *engine;
	bool block, direct;
	uint32_t dio_mem, dio_off;
	atomic_bool flush_failed, no_punch, no_zero_range;
	pthread_mutex_t lock;
	struct tpool *pool;
};

/**
 * struct file_chan
 * @fixed:	slot in the ring's file table, or -1
 * @bounce:	aligned buffer, direct I/O only
 * @bouncing:	the request that uses it, those that wait are behind it
 */
struct file_chan {
	struct stor_chan c;
	struct file *f;
	const struct file_engine *engine;
	int fixed;
	char *bounce;
	struct file_req *bouncing, **bounce_tail;
};

enum file_call_kind {
	FILE_READ,
	FILE_WRITE,
	FILE_SYNC,       /* fdatasync() */
	FILE_ALLOC,      /* fallocate() with @mode */
	FILE_BLKDISCARD, /* ioctl(BLKDISCARD) */
};

/* One system call. */
struct file_call {
	enum file_call_kind kind;
	int mode;
	unsigned int niov;
	const struct iovec *iov;
	uint64_t pos, len; /* len: FILE_ALLOC and FILE_BLKDISCARD only */
};

/**
 * struct file_req - a request of this backend
 * @done:	bytes transferred so far
 * @iov_i:	where @done is in req.iov ...
 * @iov_off:	... and in that element
 * @one:	a buffer that is only a part of an element
 * @call_res:	result of the call, on its way back from the pool
 * @retries:	calls in a row that were told to try again
 * @zeroing:	WRITE_ZEROES has come down to writing them
 * @next:	behind us in the queue for the bounce buffer
 */
struct file_req {
	struct stor_req req;
	struct file_chan *chan;
	struct file_call call;
	uint64_t done;
	unsigned int iov_i;
	size_t iov_off;
	struct iovec one;
	int call_res;
	uint16_t retries;
	bool zeroing, bounced;
	struct file_req *next;
	union {
		struct worker_op op;
		struct tpool_job job;
		struct worker_post post;
	};
};

/* file-io.c, on the worker */
void file_submit(struct stor_chan *chan, struct stor_req *r);
void file_done(struct file_req *q, int res);
/* The same in two halves: true if there is another call to start, else the request is over. */
bool file_step(struct file_req *q, int *res);
void file_finish(struct file_req *q, int res);

/* file-io.c, any thread: carry out q->call; its result or -errno. */
int file_call(struct file_req *q);

/* file.c: the pool, made when first asked for; NULL with errno set on failure. */
struct tpool *file_pool(struct file *f);
/* file-threads.c: carry out q->call on the pool, whatever the engine. */
void file_start_on_pool(struct file_req *q);

/* file-probe.c: fill in @s->caps and the facts of @f; may block. */
int file_probe(struct stor *s, struct file *f, const char *path, const struct stor_open_args *a,
	       struct err *e);
/* Refuse what is a disk inside a container format. */
int file_check_format(const struct file *f, const char *path, struct err *e);

#endif
