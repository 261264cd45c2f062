/* SPDX-License-Identifier: MIT */
/* The disk driver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib.h"
#include "util/compiler.h"
#include "util/loop.h"

#define BOUNCE     131072u
#define TIMEOUT_MS 30000
#define MEM_ADDR   UINT64_C(0x100000) /* of memory that we make */
#define MEM_ROUND  UINT64_C(0x200000)

/* What the driver has a use for; it would accept all that it is told to. */
#define KNOWN                                                                      \
	(VU_F_VERSION_1 | VU_F_INDIRECT_DESC | VU_F_EVENT_IDX | VU_F_RING_PACKED | \
	 VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_RO) |          \
	 VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |      \
	 VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | \
	 VIRTIO_BIT(VIRTIO_BLK_F_MQ) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |          \
	 VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES))

/**
 * struct vu_fe_blk
 * @own_mem:	the memory was made for this disk
 * @lease:	what its queues took
 * @sync:	request of a blocking call; one whose time was up is waited for
 *		by the next one
 */
struct vu_fe_blk {
	struct vu_fe *fe;
	struct fe_blk *b;
	bool own_mem;
	struct lib_lease lease;
	struct vu_fe_blk_info info;
	int timeout_ms;
	void *bounce;
	struct vu_fe_seg bounce_seg;
	struct vu_fe_blk_io sync;
	bool sync_busy;
	int sync_res;
};

static_assert(sizeof(struct fe_blk_io) <= sizeof(((struct vu_fe_blk_io *)0)->private_),
	      "room for the driver's own");

/* ---- open and close ---- */

static void fill_info(struct vu_fe_blk *k, unsigned int queues)
{
	const struct fe_blk_info *i = fe_blk_info(k->b);

	k->info = (struct vu_fe_blk_info){
		.features = i->features,
		.size = i->sectors * VIRTIO_BLK_SECTOR_SIZE,
		.block_size = i->block_size,
		.max_segs = MIN(i->seg_max ? i->seg_max : 1, FE_BLK_MAX_SEGS),
		.queues = queues,
		.max_queues = i->max_queues,
		.read_only = i->read_only,
		.flush = i->flush,
		.discard = i->discard,
		.write_zeroes = i->write_zeroes,
	};
}

/* Enough for either ring format. */
static int make_mem(struct vu_fe_blk *k, const struct fe_blk_opts *o, struct err *e)
{
	uint64_t size = o->queue_size ? o->queue_size : 256;
	uint64_t per = size * (FE_BLK_MAX_SEGS + 2 + 8) * sizeof(struct virtq_desc) + 65536;
	uint64_t all = MAX(o->queues, 1u) * per + BOUNCE + 65536;
	struct vu_fe_mem *mem = vu_fe_mem_new();

	if (size > VIRTQ_MAX_SIZE || o->queues > VHOST_USER_MAX_VRINGS) {
		vu_fe_mem_free(mem);
		return err_set(e, -EINVAL, "queue-size", "at most %u queues of %u entries",
			       VHOST_USER_MAX_VRINGS, VIRTQ_MAX_SIZE);
	}
	if (!mem || !vu_fe_mem_add(mem, MEM_ADDR, (all + MEM_ROUND - 1) & ~(MEM_ROUND - 1))) {
		vu_fe_mem_free(mem);
		return e->code;
	}
	lib_use_mem(k->fe, mem);
	k->own_mem = true;
	return 0;
}

static void drop_mem(struct vu_fe_blk *k)
{
	/* A device that did not say that it stopped may have the memory still. */
	if (vuc_dead(k->fe->c))
		k->lease.to = UINT64_MAX;
	lib_lease_end(&k->lease);
	if (k->own_mem)
		lib_use_mem(k->fe, NULL);
}

static struct fe_blk_opts opts_of(const struct vu_fe_blk_opts *o)
{
	uint64_t f = o->features ? (o->features & KNOWN) : KNOWN;

	if (o->no_packed)
		f &= ~VU_F_RING_PACKED;
	if (o->no_event_idx)
		f &= ~VU_F_EVENT_IDX;
	return (struct fe_blk_opts){
		.queues = o->queues,
		.queue_size = o->queue_size,
		.depth = o->depth,
		.features = f | VU_F_VERSION_1,
		.indirect = !o->no_indirect,
		.bounce = VIRTIO_BLK_SECTOR_SIZE, /* ours is used */
	};
}

static int blk_make(struct vu_fe_blk *k, struct fe_blk_opts *o, struct err *e)
{
	int ret = k->fe->mem ? 0 : make_mem(k, o, e);

	if (ret)
		return ret;
	ret = lib_lease_begin(&k->lease, k->fe->mem, e);
	if (ret < 0)
		return ret;
	o->region = (unsigned int)ret;
	k->bounce = fe_mem_alloc(&k->fe->mem->m, o->region, BOUNCE, 4096, &k->bounce_seg.addr);
	if (!k->bounce)
		return err_set(e, -ENOMEM, "guest-memory-full",
			       "guest memory has no room for a buffer of %u bytes", BOUNCE);
	k->b = fe_blk_open(&k->fe->t, &k->fe->mem->m, o, e);
	lib_lease_taken(&k->lease);
	if (!k->b)
		return e->code;
	k->fe->state = LIB_ACTIVE;
	fill_info(k, MAX(o->queues, 1u));
	return 0;
}

struct vu_fe_blk *vu_fe_blk_open(struct vu_fe *fe, const struct vu_fe_blk_opts *opts)
{
	struct vu_fe_blk *k;
	LIB_HOLD(fe);
	struct vu_fe_blk_opts o = { 0 };
	struct fe_blk_opts bo;

	if (lib_take(&o, sizeof(o), opts) < 0)
		return NULL;
	if (fe->state >= LIB_ACTIVE) {
		lib_bad_state("the device is in use");
		return NULL;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		err_sys(lib_err(), -ENOMEM, "out-of-memory", "cannot make a disk driver");
		return NULL;
	}
	k->fe = fe;
	k->timeout_ms = o.timeout_ms > 0 ? o.timeout_ms : TIMEOUT_MS;
	bo = opts_of(&o);
	if (blk_make(k, &bo, lib_err()) == 0)
		return k;
	drop_mem(k);
	free(k);
	return NULL;
}

static bool any_ring(const struct vu_fe *fe)
{
	for (unsigned int i = 0; i < VHOST_USER_MAX_VRINGS; i++)
		if (fe->vring[i].set)
			return true;
	return false;
}

void vu_fe_blk_close(struct vu_fe_blk *k)
{
	struct fe_queue *q;

	if (!k)
		return;
	LIB_HOLD(k->fe);
	/* After a reset the rings are not the device's any more. */
	for (unsigned int i = 0; (q = fe_blk_queue(k->b, i)); i++)
		if (k->fe->vring[i].ring != q->ring)
			q->running = false;
	fe_blk_close(k->b);
	if (k->fe->state >= LIB_ACTIVE && !any_ring(k->fe))
		k->fe->state = LIB_NEGOTIATED;
	drop_mem(k);
	free(k);
}

const struct vu_fe_blk_info *vu_fe_blk_info(const struct vu_fe_blk *k)
{
	return &k->info;
}

int vu_fe_blk_refresh(struct vu_fe_blk *k)
{
	LIB_HOLD(k->fe);
	int ret = fe_blk_refresh(k->b, lib_err());

	if (ret == 0)
		fill_info(k, k->info.queues);
	return ret;
}

/* ---- requests ---- */

static void on_done(struct fe_blk_io *in, int res)
{
	struct vu_fe_blk_io *io = in->ctx;

	io->used_len = in->used_len;
	io->done(io, res);
}

int vu_fe_blk_submit(struct vu_fe_blk *k, unsigned int qi, struct vu_fe_blk_io *io)
{
	struct fe_blk_io *in = (void *)io->private_;
	int ret;

	if (unlikely(qi >= k->info.queues || (io->offset | io->length) % VIRTIO_BLK_SECTOR_SIZE ||
		     io->length / VIRTIO_BLK_SECTOR_SIZE > UINT32_MAX))
		return lib_fail(-EINVAL, "disk-request",
				"there is no such queue, or the request is not made of sectors");
	*in = (struct fe_blk_io){
		.type = io->type,
		.flags = io->flags,
		.sector = io->offset / VIRTIO_BLK_SECTOR_SIZE,
		.sectors = (uint32_t)(io->length / VIRTIO_BLK_SECTOR_SIZE),
		.ndata = io->ndata,
		.data = (const struct drv_seg *)io->data,
		.done = on_done,
		.ctx = io,
	};
	ret = drv_broken(fe_blk_queue(k->b, qi)->ring) ? -EIO : fe_blk_submit(k->b, qi, in);
	if (likely(ret == 0))
		return 0;
	return lib_fail(ret, ret == -ENOSPC ? "queue-full" : "disk-request",
			ret == -ENOSPC ? "the queue is full" :
			ret == -EINVAL ? "the request has too many buffers, or odd ones" :
					 "the queue is broken");
}

void vu_fe_blk_kick(struct vu_fe_blk *k, unsigned int qi)
{
	fe_blk_kick(k->b, qi);
}

unsigned int vu_fe_blk_poll(struct vu_fe_blk *k, unsigned int qi)
{
	return fe_blk_poll(k->b, qi);
}

int vu_fe_blk_wait(struct vu_fe_blk *k, unsigned int qi, int timeout_ms)
{
	unsigned int n;
	int ret;

	if (qi >= k->info.queues)
		return lib_fail(-EINVAL, "queue-index", "the queue is not open");
	n = fe_blk_poll(k->b, qi);
	if (n || !fe_blk_in_flight(k->b, qi))
		return (int)n;
	ret = lib_queue_wait(k->fe, fe_blk_queue(k->b, qi), timeout_ms);
	return ret <= 0 ? ret : (int)fe_blk_poll(k->b, qi);
}

int vu_fe_blk_arm(struct vu_fe_blk *k, unsigned int qi)
{
	return lib_queue_arm(fe_blk_queue(k->b, qi));
}

int vu_fe_blk_call_fd(const struct vu_fe_blk *k, unsigned int qi)
{
	return fe_blk_queue(k->b, qi)->call_fd;
}

unsigned int vu_fe_blk_in_flight(const struct vu_fe_blk *k, unsigned int qi)
{
	return fe_blk_in_flight(k->b, qi);
}

/* ---- blocking ---- */

static void sync_done(struct vu_fe_blk_io *io, int res)
{
	struct vu_fe_blk *k = io->ctx;

	k->sync_busy = false;
	k->sync_res = res;
}

static int ms_left(uint64_t end)
{
	uint64_t now = clock_ns();

	return now >= end ? 0 : (int)((end - now) / 1000000) + 1;
}

/* Until it is back, or the time is up. */
static int sync_wait(struct vu_fe_blk *k, uint64_t end, const char *what)
{
	while (k->sync_busy) {
		int left = ms_left(end);
		int n = vu_fe_blk_wait(k, 0, left);

		if (n < 0) {
			err_prefix(lib_err(), "%s", what);
			return n;
		}
		if (n == 0 && left == 0 && k->sync_busy)
			return err_set(lib_err(), -ETIMEDOUT, "disk-timeout",
				       "%s was not answered within %d ms", what, k->timeout_ms);
	}
	return 0;
}

/* k->sync says what. */
static int sync_run(struct vu_fe_blk *k, const struct vu_fe_blk_io *io, const char *what)
{
	uint64_t end = clock_ns() + (uint64_t)k->timeout_ms * 1000000;
	int ret = sync_wait(k, end, "an earlier request");

	if (ret)
		return ret;
	k->sync = *io;
	k->sync.done = sync_done;
	k->sync.ctx = k;
	while ((ret = vu_fe_blk_submit(k, 0, &k->sync)) == -ENOSPC) {
		vu_fe_blk_kick(k, 0);
		ret = vu_fe_blk_wait(k, 0, ms_left(end));
		if (ret <= 0 && ms_left(end) == 0)
			return err_set(lib_err(), -ETIMEDOUT, "disk-timeout",
				       "%s found the queue full for %d ms", what, k->timeout_ms);
		if (ret < 0)
			break;
	}
	if (ret < 0) {
		err_prefix(lib_err(), "%s", what);
		return ret;
	}
	k->sync_busy = true;
	vu_fe_blk_kick(k, 0);
	ret = sync_wait(k, end, what);
	if (ret == 0 && k->sync_res)
		ret = err_sys(lib_err(), k->sync_res, "disk-error", "%s failed", what);
	return ret;
}

static int unaligned(uint64_t off, uint64_t len)
{
	if (((off | len) % VIRTIO_BLK_SECTOR_SIZE) == 0)
		return 0;
	return lib_fail(-EINVAL, "unaligned", "offset and length must be multiples of 512");
}

static int sync_rw(struct vu_fe_blk *k, bool write, uint64_t off, uint8_t *buf, uint64_t len)
{
	int ret = unaligned(off, len);

	while (ret == 0 && len) {
		uint32_t part = (uint32_t)MIN(len, (uint64_t)BOUNCE);
		struct vu_fe_blk_io io = {
			.type = write ? VU_FE_BLK_WRITE : VU_FE_BLK_READ,
			.offset = off,
			.data = &k->bounce_seg,
			.ndata = 1,
		};

		/* Nobody may be writing there any more before it is used again. */
		ret = sync_wait(k, clock_ns() + (uint64_t)k->timeout_ms * 1000000,
				"an earlier request");
		if (ret)
			break;
		if (write)
			memcpy(k->bounce, buf, part);
		k->bounce_seg.len = part;
		ret = sync_run(k, &io, write ? "a write" : "a read");
		if (ret == 0 && !write)
			memcpy(buf, k->bounce, part);
		off += part;
		buf += part;
		len -= part;
	}
	return ret;
}

int vu_fe_blk_read(struct vu_fe_blk *k, uint64_t off, void *buf, uint64_t len)
{
	return sync_rw(k, false, off, buf, len);
}

int vu_fe_blk_write(struct vu_fe_blk *k, uint64_t off, const void *buf, uint64_t len)
{
	/* The buffer is only read when writing. */
	return sync_rw(k, true, off, (uint8_t *)(uintptr_t)buf, len);
}

int vu_fe_blk_flush(struct vu_fe_blk *k)
{
	return sync_run(k, &(struct vu_fe_blk_io){ .type = VU_FE_BLK_FLUSH }, "a flush");
}

int vu_fe_blk_discard(struct vu_fe_blk *k, uint64_t off, uint64_t len)
{
	const struct vu_fe_blk_io io = {
		.type = VU_FE_BLK_DISCARD,
		.offset = off,
		.length = len,
	};
	int ret = unaligned(off, len);

	return ret ? ret : sync_run(k, &io, "a discard");
}

int vu_fe_blk_write_zeroes(struct vu_fe_blk *k, uint64_t off, uint64_t len, uint32_t flags)
{
	const struct vu_fe_blk_io io = {
		.type = VU_FE_BLK_WRITE_ZEROES,
		.flags = flags,
		.offset = off,
		.length = len,
	};
	int ret = unaligned(off, len);

	return ret ? ret : sync_run(k, &io, "writing zeroes");
}

int vu_fe_blk_get_id(struct vu_fe_blk *k, char id[21])
{
	const struct vu_fe_blk_io io = {
		.type = VU_FE_BLK_GET_ID,
		.data = &k->bounce_seg,
		.ndata = 1,
	};
	int ret = sync_wait(k, clock_ns() + (uint64_t)k->timeout_ms * 1000000,
			    "an earlier request");

	if (ret)
		return ret;
	memset(k->bounce, 0, VIRTIO_BLK_ID_BYTES);
	k->bounce_seg.len = VIRTIO_BLK_ID_BYTES;
	ret = sync_run(k, &io, "asking for the serial number");
	if (ret == 0) {
		memcpy(id, k->bounce, VIRTIO_BLK_ID_BYTES);
		id[VIRTIO_BLK_ID_BYTES] = '\0';
	}
	return ret;
}
