/* SPDX-License-Identifier: MIT */
/* What every storage backend has to do, as one function; and requests made simple. */
#ifndef TESTS_STOR_CONFORMANCE_H
#define TESTS_STOR_CONFORMANCE_H

#include "storage/stor.h"
#include "util/worker.h"

/* A channel on a worker, used from the test's own thread. */
struct stor_io {
	struct stor *stor;
	struct worker *worker;
	struct stor_chan *chan;
	int open_errno;
};

/* 0, or -errno as the backend had it. */
int stor_io_open(struct stor_io *io, struct stor *s, struct worker *w);
void stor_io_close(struct stor_io *io);

/**
 * struct stor_io_op - one request of a batch
 * @res:	-EINPROGRESS until it is done
 */
struct stor_io_op {
	enum stor_op op;
	uint32_t flags;
	uint64_t offset, len;
	struct iovec *iov;
	unsigned int niov;
	int res;
};

/* Submit all in one go on the worker and wait for all. Fails the test if one is done twice. */
void stor_io_run(struct stor_io *io, struct stor_io_op *ops, unsigned int n);

/* One request with one buffer; its result. */
int stor_io_one(struct stor_io *io, enum stor_op op, uint32_t flags, uint64_t offset, void *buf,
		uint64_t len);

/**
 * stor_conformance() - fail the present test unless @s behaves as storage/stor.h has it
 * @s:		at least 1 MiB; its contents are overwritten
 * @w:		worker to use
 * @forgets:	what is written is not kept: reads give zeroes
 */
void stor_conformance(struct stor *s, struct worker *w, bool forgets);

#endif
