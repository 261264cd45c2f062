/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk alone: the queues, chains, workers and the storage that it uses
 * are made up, and a test decides when each does something. Link it instead
 * of the real ones.
 */
#ifndef TESTS_BLK_FIXTURE_H
#define TESTS_BLK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/blk/blk.h"
#include "util/compiler.h"
#include "util/loop.h"
#include "util/worker.h"
#include "wire/virtio-blk.h"

#define DISK_SECTORS 64u
#define DISK_BYTES   (DISK_SECTORS * 512u)
#define MAX_SEGS     1200

/* ---- a chain: buffers of exactly the right size, so that a byte too far is seen ---- */

struct chain {
	struct vu_chain c;
	struct iovec out[MAX_SEGS], in[MAX_SEGS];
	void *bufs[2 * MAX_SEGS];
	unsigned int nbufs;
	struct iovec in_all[MAX_SEGS]; /* as given, for looking afterwards */
	unsigned int nin_all;
	uint8_t *last;
	bool pushed;
	const char *aborted;
	uint32_t written;
	struct chain *next;
};

struct vu_queue {
	struct worker *worker;
	void *priv;
	struct chain *todo, **tail;
};

/* ---- a worker: posted calls, run when the test says so ---- */

struct worker {
	struct worker_post *posts, **tail;
};

/* ---- a storage with a volatile cache ---- */

struct fake_stor {
	struct stor s;
	struct stor_ops ops;
	uint8_t data[DISK_BYTES], stable[DISK_BYTES];
	unsigned int count[5];
	unsigned int chans, opened;
	bool hold;
	int fail_op; /* -1: none */
	int fail_errno;
	struct stor_req *held[64];
	unsigned int nheld;
	uint32_t last_flags;
};

struct vu_dev {
	uint8_t config[256];
	bool config_writable;
	int written; /* 1: not called */
	void *priv;
};

struct world {
	struct fake_stor st;
	struct vu_dev dev;
	struct worker w[2];
	struct loop *loop;
	struct blk *b;
	struct vu_queue q;
};

#define F_ALL                                                                          \
	(VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |           \
	 VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | \
	 VIRTIO_BIT(VIRTIO_F_VERSION_1))

#define READ_ONLY     1u
#define WRITE_THROUGH 2u
#define NO_DISCARD    4u
#define ONE_QUEUE     8u

/* With queue 0 started on worker 0, and @features accepted of those offered. */
struct world *bf_new(unsigned int flags, uint64_t features);
void bf_free(struct world *x); /* fails if anything is left */
void bf_run(struct worker *w); /* its posted calls */
/* The control thread and both workers, until nothing is left to do. */
void bf_settle(struct world *x);
/* Let the oldest request that the storage holds go. */
void bf_release(struct fake_stor *f);

/* @cut_out, @cut_in: where to split in two; -1: into single bytes. */
struct chain *bf_chain(struct world *x, const void *out, size_t out_len, size_t in_len,
		       long cut_out, long cut_in);
void bf_chain_free(struct chain *c);
void bf_submit(struct world *x, struct chain *c);
uint8_t bf_status(const struct chain *c);
/* Byte @i of what the driver gave to write to. */
uint8_t bf_in_byte(const struct chain *c, size_t i);
size_t bf_header(uint8_t *buf, uint32_t type, uint64_t sector);

/* One request in two plain buffers. Returns the status, *@written what was told. */
uint8_t bf_ask(struct world *x, uint32_t type, uint64_t sector, const void *data, size_t out_len,
	       size_t in_len, uint32_t *written);
/* A DISCARD or WRITE_ZEROES of one segment. */
uint8_t bf_range(struct world *x, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags);

#endif
