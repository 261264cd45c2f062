/* SPDX-License-Identifier: MIT */
/* virtio-blk: the instance, its queues' start and stop, the table of operations. */
#include "devices/blk/blk.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "devices/blk/blk-impl.h"

struct blk *blk_new(const struct blk_args *a, struct err *e)
{
	const struct stor_caps *caps = &a->stor->caps;
	size_t serial = a->serial ? strlen(a->serial) : 0;
	struct blk *b;

	if (serial > VIRTIO_BLK_ID_BYTES) {
		err_set(e, -EINVAL, "serial-too-long",
			"the serial number '%s' is longer than %d bytes", a->serial,
			VIRTIO_BLK_ID_BYTES);
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (b) {
		b->req_space = (a->stor->req_size + 15) & ~(size_t)15;
		b->flush = aligned_alloc(16, offsetof(struct blk_flush, req) + b->req_space);
	}
	if (!b || !b->flush) {
		free(b);
		err_sys(e, -ENOMEM, "out-of-memory", "cannot make a disk");
		return NULL;
	}
	memset(b->flush, 0, sizeof(*b->flush));
	b->flush->b = b;
	b->stor = a->stor;
	b->loop = a->loop;
	b->sectors = caps->size / VIRTIO_BLK_SECTOR_SIZE;
	b->read_only = caps->read_only;
	b->nqueues = a->nqueues;
	b->max_queue_size = a->max_queue_size;
	b->default_write_through = a->writethrough;
	if (serial)
		memcpy(b->id, a->serial, serial);
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

void blk_bind(struct blk *b, struct vu_dev *dev)
{
	b->dev = dev;
	blk_cache_reset(b);
	blk_config_fill(b);
}

bool blk_busy(struct blk *b)
{
	bool busy;

	pthread_mutex_lock(&b->lock);
	busy = b->chans != NULL;
	pthread_mutex_unlock(&b->lock);
	return busy || b->flush_busy;
}

void blk_free(struct blk *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b->flush);
	free(b);
}

/* ---- channels ---- */

/*
 * Opening and closing are done outside the lock: only the worker itself adds
 * or removes its own entry, so nobody else can be about to.
 */
struct blk_chan *blk_chan_get(struct blk *b, struct worker *w)
{
	struct blk_chan *c;

	pthread_mutex_lock(&b->lock);
	for (c = b->chans; c && c->worker != w; c = c->next)
		;
	if (c)
		c->refs++;
	pthread_mutex_unlock(&b->lock);
	if (c)
		return c;

	c = calloc(1, sizeof(*c));
	if (!c) {
		errno = ENOMEM;
		return NULL;
	}
	*c = (struct blk_chan){ .b = b, .worker = w, .refs = 1 };
	c->ch = stor_chan_open(b->stor, w);
	if (!c->ch) {
		int err = errno;

		free(c);
		errno = err;
		return NULL;
	}
	pthread_mutex_lock(&b->lock);
	c->next = b->chans;
	b->chans = c;
	b->last_worker = w;
	pthread_mutex_unlock(&b->lock);
	return c;
}

void blk_chan_put(struct blk_chan *c)
{
	struct blk *b = c->b;
	struct blk_chan **p;
	bool last;

	pthread_mutex_lock(&b->lock);
	last = --c->refs == 0;
	pthread_mutex_unlock(&b->lock);
	if (!last)
		return;
	stor_chan_close(c->ch);
	/* Unlisted only now: listed means that storage may be at work (blk_busy). */
	pthread_mutex_lock(&b->lock);
	for (p = &b->chans; *p != c; p = &(*p)->next)
		;
	*p = c->next;
	pthread_mutex_unlock(&b->lock);
	free(c);
}

/* ---- operations ---- */

static void blk_negotiated(void *dev, uint64_t features)
{
	struct blk *b = dev;

	b->acked = features;
	blk_cache_negotiated(b);
}

static int blk_queue_start(void *dev, struct vu_queue *q)
{
	struct blk_chan *c = blk_chan_get(dev, vu_queue_worker(q));

	if (!c)
		return -errno;
	vu_queue_set_priv(q, c);
	return 0;
}

static void blk_queue_stopped(void *dev, struct vu_queue *q)
{
	struct blk_chan *c = vu_queue_priv(q);

	if (c)
		blk_chan_put(c);
	vu_queue_set_priv(q, NULL);
}

static void blk_reset(void *dev)
{
	struct blk *b = dev;

	b->acked = 0;
	blk_cache_reset(b);
}

const struct vu_model blk_model = {
	.struct_size = sizeof(struct vu_model),
	.name = "blk",
	.virtio_id = VIRTIO_ID_BLOCK,
	.config_size = sizeof(struct virtio_blk_config),
	.req_size_of = blk_req_size,
	.features = blk_features,
	.negotiated = blk_negotiated,
	.config_write = blk_config_write,
	.queue_start = blk_queue_start,
	.queue_kick = blk_kick,
	.queue_stopped = blk_queue_stopped,
	.reset = blk_reset,
};
