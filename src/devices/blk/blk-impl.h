/* SPDX-License-Identifier: MIT */
/* The inside of virtio-blk, shared by blk.c, config.c, cache.c and req.c. */
#ifndef DEVICES_BLK_BLK_IMPL_H
#define DEVICES_BLK_BLK_IMPL_H

#include <pthread.h>

#include "devices/blk/blk.h"
#include "util/compiler.h"
#include "util/loop.h"
#include "util/worker.h"
#include "wire/virtio-blk.h"

/*
 * Segments of one DISCARD or WRITE_ZEROES. They are copied out of guest memory
 * and checked as a whole before the first is carried out, so each request has
 * room for them; Linux merges into a few.
 */
#define BLK_RANGES_MAX 8u

/* One guest request must not keep a worker's storage busy for long. */
#define BLK_DISCARD_SECTORS_MAX (UINT32_C(1) << 21) /* 1 GiB */
#define BLK_ZEROES_SECTORS_MAX  (UINT32_C(1) << 18) /* 128 MiB */

/* 5.2.6: no data buffer is longer than this, and no request has more of them. */
#define BLK_SIZE_MAX (UINT32_C(1) << 22)
#define BLK_SEG_MAX  126u /* and header and status fit a ring of 128, the usual choice of VMMs */

/*
 * The request of that flush. Goes from control to the worker and back; each
 * touches it only while it is there.
 */
struct blk_flush {
	struct blk *b;
	struct blk_chan *chan;
	struct worker *worker;
	int res;
	struct worker_post to_worker;
	struct loop_post to_control;
	struct stor_req req __attribute__((aligned(16))); /* and what the storage needs behind it */
};

/*
 * A storage channel, shared by the queues of one worker. @refs, @next: under
 * blk.lock; the rest: fixed while @refs > 0, used on the worker.
 */
struct blk_chan {
	struct blk *b;
	struct stor_chan *ch;
	struct worker *worker;
	unsigned int refs;
	struct blk_chan *next;
};

struct blk {
	/* read by workers */
	uint64_t sectors;   /* capacity; fixed */
	uint64_t acked;     /* written before queues start */
	bool read_only;     /* fixed */
	bool write_through; /* written by control, read per request: atomic */
	uint8_t id[VIRTIO_BLK_ID_BYTES];
	size_t req_space; /* stor->req_size, rounded up to 16 */
	struct stor *stor;

	/* control thread */
	struct vu_dev *dev;
	struct loop *loop;
	unsigned int nqueues;
	uint32_t max_queue_size;
	bool default_write_through;
	bool writeback; /* the byte as drivers see it */

	/* cache.c: the flush before a switch to write-through */
	bool flush_busy;   /* it is under way */
	bool flush_wanted; /* and its answer matters */
	bool flush_stale;  /* and writes may have completed since it was submitted */
	struct blk_flush *flush;

	/* Only when queues start and stop, never per request. */
	pthread_mutex_t lock;
	struct blk_chan *chans;     /* lock */
	struct worker *last_worker; /* lock; NULL: no queue has run yet, so nothing was written */
};

static inline bool blk_is_write_through(const struct blk *b)
{
	return __atomic_load_n(&b->write_through, __ATOMIC_SEQ_CST);
}

/* blk.c; on worker @w. NULL with errno set on failure. */
struct blk_chan *blk_chan_get(struct blk *b, struct worker *w);
void blk_chan_put(struct blk_chan *c);

/* config.c */
uint64_t blk_features(void *dev);
void blk_config_fill(struct blk *b);
void blk_config_writeback(struct blk *b, bool on);
int blk_config_write(void *dev, uint32_t off, const void *buf, uint32_t len);

/* cache.c */
void blk_cache_reset(struct blk *b);
void blk_cache_negotiated(struct blk *b);
int blk_cache_set(struct blk *b, bool write_through);

/* req.c */
size_t blk_req_size(void *dev);
void blk_kick(void *dev, struct vu_queue *q);

#endif
