/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (VIRTIO 1.3 section 5.2) over a storage backend.
 *
 *	b = blk_new(&args, &e);
 *	d = vdev_new(model = &blk_model, priv = b)
 *	blk_bind(b, d);
 *	... a transport serves d ...
 *	vdev_free(d);
 *	blk_free(b);
 */
#ifndef DEVICES_BLK_BLK_H
#define DEVICES_BLK_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/stor.h"
#include "util/err.h"
#include "vu/device.h"

struct blk;
struct loop;

/**
 * struct blk_args
 * @stor:	where the bytes are; borrowed, open for longer than the device
 * @loop:	the control loop; borrowed
 * @serial:	what GET_ID answers, at most 20 bytes; NULL: empty
 * @nqueues:	as the instance offers
 * @max_queue_size: as the instance accepts
 * @writethrough: every write is stable before it completes, unless a driver
 *		that may (CONFIG_WCE) asks for a write-back cache
 */
struct blk_args {
	struct stor *stor;
	struct loop *loop;
	const char *serial;
	unsigned int nqueues;
	uint32_t max_queue_size;
	bool writethrough;
};

extern const struct vu_model blk_model;

/* Control thread. NULL with @e filled in on failure. */
struct blk *blk_new(const struct blk_args *a, struct err *e);

/* Tell it which instance it is the model of; fills in the configuration space. Before any transport. */
void blk_bind(struct blk *b, struct vu_dev *dev);

/*
 * Is storage still at work for it? Only when all queues are stopped; true
 * when requests were orphaned, or a flush is under way. Then neither the
 * device nor its storage nor its workers may be freed.
 */
bool blk_busy(struct blk *b);

/* Control thread; all queues are stopped and it is not busy. NULL is fine. */
void blk_free(struct blk *b);

#endif
