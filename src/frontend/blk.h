/* SPDX-License-Identifier: MIT */
/*
 * A virtio-blk driver (VIRTIO 1.3 section 5.2) over any front-end transport.
 *
 * Each queue belongs to the thread that uses it; different queues may be used
 * by different threads. Requests are submitted with a callback and run any
 * number deep; nothing allocates after fe_blk_open(). The helpers at the end
 * block and copy, for those who want one thing done.
 */
#ifndef FRONTEND_BLK_H
#define FRONTEND_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include "frontend/fe-transport.h"
#include "frontend/queue.h"
#include "util/err.h"
#include "wire/virtio-blk.h"

#define FE_BLK_MAX_SEGS 126 /* data buffers of one request */

struct fe_blk;

/**
 * struct fe_blk_opts
 * @queues:	to use, 0: one
 * @queue_size:	entries, 0: 256
 * @depth:	requests in flight per queue, 0: as many as fit
 * @features:	accept of what is offered only these, 0: all the driver knows
 * @indirect:	use indirect tables where negotiated
 * @max_segs:	data buffers of one request an indirect table has room for, 0:
 *		as many as can be; smaller tables touch less memory
 * @region:	of guest memory to put rings and headers into
 * @bounce:	bytes of buffer for the blocking helpers, 0: 128 KiB
 * @base:	where rings start, VQ_BASE_INIT normally (all zero: taken for that)
 */
struct fe_blk_opts {
	unsigned int queues;
	uint32_t queue_size;
	uint32_t depth;
	uint64_t features;
	bool indirect;
	unsigned int max_segs;
	unsigned int region;
	uint32_t bounce;
	struct vq_base base;
};

/**
 * struct fe_blk_io - one request
 * @type:	VIRTIO_BLK_T_*
 * @sector:	first 512-byte sector (reads, writes)
 * @data, @ndata: buffers in guest memory; for reads and GET_ID the device
 *		writes them (@writable is set by the driver). For DISCARD and
 *		WRITE_ZEROES: none, the range comes from @sector, @sectors and @flags
 * @done:	called from fe_blk_poll(): 0, -EIO, -EOPNOTSUPP, or -EPROTO when the
 *		device gave back a request without a status
 * @used_len:	what the device says it wrote, status included
 * @ctx:	the caller's
 *
 * Must stay until @done. Its buffers too.
 */
struct fe_blk_io {
	uint32_t type;
	uint32_t flags;
	uint64_t sector;
	uint32_t sectors;
	uint32_t ndata;
	const struct drv_seg *data;
	void (*done)(struct fe_blk_io *io, int res);
	uint32_t used_len;
	void *ctx;
};

/* What the device told of itself. */
struct fe_blk_info {
	uint64_t features; /* accepted */
	uint64_t offered;
	uint64_t sectors;
	uint32_t block_size;
	uint32_t seg_max;
	unsigned int max_queues;
	bool read_only, flush, discard, write_zeroes, config_wce;
};

/* Negotiate, give it the memory, make and start the queues. NULL with @e filled in on failure. */
struct fe_blk *fe_blk_open(struct fe_transport *t, struct fe_mem *m, const struct fe_blk_opts *o,
			   struct err *e);
/* Stop the queues and free; requests in flight come back first, those the device keeps get -ECANCELED. */
void fe_blk_close(struct fe_blk *b);

const struct fe_blk_info *fe_blk_info(const struct fe_blk *b);
/* Read capacity and the rest again (after a configuration change). */
int fe_blk_refresh(struct fe_blk *b, struct err *e);
struct fe_queue *fe_blk_queue(struct fe_blk *b, unsigned int qi);

/**
 * fe_blk_submit() - put a request into queue @qi
 *
 * The device sees it at the next fe_blk_kick().
 *
 * Return: 0, -ENOSPC when the queue is full, -EINVAL, or -EIO when it is broken.
 */
int fe_blk_submit(struct fe_blk *b, unsigned int qi, struct fe_blk_io *io);
/* Show the device what was submitted. */
void fe_blk_kick(struct fe_blk *b, unsigned int qi);
/* Finish what the device is done with; returns how many. Callbacks may submit. */
unsigned int fe_blk_poll(struct fe_blk *b, unsigned int qi);
/* Sleep until @after requests are done, or the time is up. Returns what fe_blk_poll() does. */
unsigned int fe_blk_wait(struct fe_blk *b, unsigned int qi, unsigned int after, int timeout_ms);
unsigned int fe_blk_in_flight(const struct fe_blk *b, unsigned int qi);

/* ---- blocking, on queue @qi; lengths in bytes, multiples of 512; 0 or -errno with @e ---- */

int fe_blk_read(struct fe_blk *b, unsigned int qi, uint64_t off, void *buf, uint64_t len,
		struct err *e);
int fe_blk_write(struct fe_blk *b, unsigned int qi, uint64_t off, const void *buf, uint64_t len,
		 struct err *e);
int fe_blk_flush(struct fe_blk *b, unsigned int qi, struct err *e);
int fe_blk_discard(struct fe_blk *b, unsigned int qi, uint64_t off, uint64_t len, struct err *e);
int fe_blk_write_zeroes(struct fe_blk *b, unsigned int qi, uint64_t off, uint64_t len, bool unmap,
			struct err *e);
/* @id gets at most 20 bytes and a terminating 0. */
int fe_blk_get_id(struct fe_blk *b, unsigned int qi, char id[21], struct err *e);

#endif
