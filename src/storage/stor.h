/* SPDX-License-Identifier: MIT */
/*
 * Storage: where the bytes of a disk live. Asynchronous; a channel per
 * worker; completions arrive on the worker that submitted. Knows nothing of
 * virtio.
 */
#ifndef STORAGE_STOR_H
#define STORAGE_STOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "util/err.h"

struct worker;
struct stor;
struct stor_chan;

enum stor_op {
	STOR_READ,
	STOR_WRITE,
	STOR_FLUSH,        /* all writes completed before this was submitted become stable */
	STOR_DISCARD,      /* contents undefined afterwards, space may be freed */
	STOR_WRITE_ZEROES, /* read back as zeroes; STOR_MAY_UNMAP allows freeing space */
};

#define STOR_MAY_UNMAP (1u << 0)

/**
 * struct stor_req - one request
 * @op:		what
 * @flags:	STOR_* flags
 * @offset:	bytes from the start; a multiple of 512, the caller checked the range
 * @len:	bytes
 * @iov:	data of READ and WRITE, sums up to @len; stays the caller's and
 *		unchanged until done; may point into guest memory
 * @niov:	entries
 * @done:	called once, on the same worker, possibly before submit returns:
 *		0, or -errno. A short transfer never counts as success.
 *
 * The caller allocates stor->req_size bytes, of which this is the head; the
 * rest is for the backend. Aligned to 16.
 */
struct stor_req {
	enum stor_op op;
	uint32_t flags;
	uint64_t offset;
	uint64_t len;
	struct iovec *iov;
	unsigned int niov;
	void (*done)(struct stor_req *req, int res);
};

struct stor_caps {
	uint64_t size;          /* bytes, multiple of 512 */
	uint32_t block_size;    /* logical, power of two, >= 512 */
	uint32_t physical_size; /* physical block, >= block_size */
	uint32_t opt_io;        /* preferred bytes per request, 0: none */
	bool read_only;
	bool discard;
	bool write_zeroes;
	bool write_zeroes_unmap; /* WRITE_ZEROES with STOR_MAY_UNMAP frees space */
	bool rotational;
};

/**
 * struct stor_open_args - how to open
 * @read_only:	never write
 * @block_size:	logical block size to present, 0: the backend's own
 * @engine:	"auto", "uring", "threads" (file backend)
 * @direct:	bypass the page cache
 * @no_lock:	do not lock the image against other processes: somebody else
 *		keeps writers apart (a cluster file system)
 */
struct stor_open_args {
	bool read_only;
	bool direct;
	bool no_lock;
	uint32_t block_size;
	const char *engine;
};

/**
 * struct stor_ops - what a backend implements
 * @scheme:	the word before the colon in a SOURCE
 * @help:	one line for --help and man page
 * @open:	may block; fills in @s->caps, @s->req_size, @s->priv
 * @close:	may block; all channels are closed already
 * @chan_open:	on the worker; NULL with errno set on failure
 * @chan_close:	on the worker; nothing is in flight
 * @submit:	on the worker; never blocks, never fails but through done()
 */
struct stor_ops {
	const char *scheme;
	const char *help;
	int (*open)(struct stor *s, const char *arg, const struct stor_open_args *a, struct err *e);
	void (*close)(struct stor *s);
	struct stor_chan *(*chan_open)(struct stor *s, struct worker *w);
	void (*chan_close)(struct stor_chan *c);
	void (*submit)(struct stor_chan *c, struct stor_req *r);
};

/**
 * struct stor - an open backend
 * @req_size:	bytes a request needs, struct stor_req included
 * @lower:	for filters: what they stand on, owned
 */
struct stor {
	const struct stor_ops *ops;
	struct stor_caps caps;
	size_t req_size;
	struct stor *lower;
	char source[256]; /* as given, for messages */
	void *priv;
};

/* Every implementation starts with this. */
struct stor_chan {
	const struct stor_ops *ops;
	struct stor *stor;
	struct worker *worker;
};

/**
 * stor_open() - open a SOURCE
 * @source:	`PATH`, `raw:PATH`, `null:SIZE`, `mem:SIZE` ...
 *
 * May block: not on the control thread once anything is served.
 * Return: NULL with @e filled in on failure.
 */
struct stor *stor_open(const char *source, const struct stor_open_args *a, struct err *e);

/* Put a test filter on top: "delay:ms=200", "error:op=write,errno=5,after=10". Owns @lower on success. */
struct stor *stor_filter(struct stor *lower, const char *spec, struct err *e);

void stor_close(struct stor *s); /* NULL is fine */

/* NULL-terminated table of backends, filters apart, for help texts and checks. */
extern const struct stor_ops *const stor_backends[];
extern const struct stor_ops *const stor_filters[];

static inline struct stor_chan *stor_chan_open(struct stor *s, struct worker *w)
{
	return s->ops->chan_open(s, w);
}
static inline void stor_chan_close(struct stor_chan *c)
{
	if (c)
		c->ops->chan_close(c);
}
static inline void stor_submit(struct stor_chan *c, struct stor_req *r)
{
	c->ops->submit(c, r);
}

#endif
