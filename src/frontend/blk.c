/* SPDX-License-Identifier: MIT */
/* virtio-blk driver over any front-end transport. Source: VIRTIO 1.3, section 5.2. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/blk.h"
#include "util/compiler.h"
#include "util/loop.h"

#define KNOWN                                                                      \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |     \
	 VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_RING_PACKED) |       \
	 VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_RO) |          \
	 VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |      \
	 VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | \
	 VIRTIO_BIT(VIRTIO_BLK_F_MQ) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |          \
	 VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES))

#define SYNC_TIMEOUT_MS 30000
#define STATUS_NONE     0xff

/*
 * What a request needs in guest memory beside its data. One cache line: the
 * header goes to the device and the status comes back with it.
 */
struct blk_shared {
	struct virtio_blk_req_hdr hdr;
	struct virtio_blk_dwz dwz;
	uint8_t status;
	uint8_t pad[31];
};
static_assert(sizeof(struct blk_shared) == CACHELINE, "one cache line");

struct blk_slot {
	struct fe_blk_io *io;
	struct blk_shared *shared;
	uint32_t index;
};

struct blk_queue {
	struct fe_queue q;
	struct fe_slots shared;
	struct blk_slot *slots;
	unsigned int in_flight;
	/* blocking helpers: one at a time; a late answer must find its request */
	struct fe_blk_io sync_io;
	bool sync_busy;
	int sync_res;
	void *bounce;
	struct drv_seg bounce_seg;
};

struct fe_blk {
	struct fe_transport *t;
	struct fe_mem *m;
	struct fe_blk_info info;
	uint32_t bounce;
	unsigned int indirect_max;
	unsigned int nqueues;
	struct blk_queue queues[];
};

/* ---- open and close ---- */

int fe_blk_refresh(struct fe_blk *b, struct err *e)
{
	struct virtio_blk_config c = { 0 };
	struct fe_blk_info *i = &b->info;
	int ret = b->t->ops->config_get(b->t, 0, &c, sizeof(c), e);

	if (ret)
		return ret;
	i->sectors = le64toh(c.capacity);
	i->block_size = i->features & VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) ? le32toh(c.blk_size) : 512;
	i->seg_max = i->features & VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) ? le32toh(c.seg_max) : 1;
	return 0;
}

static int negotiate(struct fe_blk *b, const struct fe_blk_opts *o, struct err *e)
{
	struct fe_blk_info *i = &b->info;
	uint64_t want = o->features ? o->features : KNOWN;
	int ret = b->t->ops->features(b->t, &i->offered, e);

	if (ret)
		return ret;
	if (!o->indirect)
		want &= ~VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	i->features = i->offered & (want | VIRTIO_BIT(VIRTIO_F_VERSION_1));
	if (!(i->features & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		return err_set(e, -ENOTSUP, "device-legacy",
			       "the device offers only legacy virtio (no VERSION_1)");
	ret = b->t->ops->set_features(b->t, i->features, e);
	if (ret)
		return ret;
	i->read_only = i->features & VIRTIO_BIT(VIRTIO_BLK_F_RO);
	i->flush = i->features & VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);
	i->discard = i->features & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD);
	i->write_zeroes = i->features & VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	i->config_wce = i->features & VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);
	ret = b->t->ops->max_queues(b->t, &i->max_queues, e);
	if (ret)
		return ret;
	if (b->nqueues > i->max_queues)
		return err_set(e, -EINVAL, "queue-count", "%u queues are wanted, the device has %u",
			       b->nqueues, i->max_queues);
	return fe_blk_refresh(b, e);
}

static int queue_make(struct fe_blk *b, unsigned int qi, const struct fe_blk_opts *o, struct err *e)
{
	static const struct vq_base zero;
	bool fresh = memcmp(&o->base, &zero, sizeof(zero)) == 0;
	struct blk_queue *bq = &b->queues[qi];
	struct fe_queue_args a = {
		.index = qi,
		.size = o->queue_size ? o->queue_size : 256,
		.features = b->info.features,
		.indirect_max = b->indirect_max,
		.region = o->region,
		.base = fresh ? VQ_BASE_INIT : o->base,
	};
	uint32_t depth = o->depth ? o->depth : MAX(a.size / (b->indirect_max ? 1 : 3), 1u);
	uint64_t gpa;
	int ret;

	if (a.size < 3 && !b->indirect_max)
		return err_set(e, -EINVAL, "queue-size",
			       "a queue of %u entries has no room for a request", a.size);
	ret = fe_queue_init(&bq->q, b->m, &a, e);
	if (ret)
		return ret;
	ret = fe_slots_init(&bq->shared, b->m, o->region, sizeof(struct blk_shared), depth, e);
	if (ret)
		return ret;
	bq->slots = calloc(depth, sizeof(*bq->slots));
	if (!bq->slots)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a disk driver");
	for (uint32_t i = 0; i < depth; i++)
		bq->slots[i] = (struct blk_slot){ .shared = fe_slot_host(&bq->shared, i),
						  .index = i };
	bq->bounce = fe_mem_alloc(b->m, o->region, b->bounce, 4096, &gpa);
	if (!bq->bounce)
		return err_set(e, -ENOMEM, "guest-memory-full",
			       "guest memory has no room for a buffer of %u bytes", b->bounce);
	bq->bounce_seg = (struct drv_seg){ .addr = gpa };
	return 0;
}

/* Entries of an indirect table: header and status, too; whole cache lines. */
static unsigned int table_len(const struct fe_blk_opts *o)
{
	if (o->max_segs)
		return (MIN(o->max_segs, FE_BLK_MAX_SEGS) + 2 + 3) & ~3u;
	return o->queue_size > 1024 ? 8 : FE_BLK_MAX_SEGS + 2;
}

static void blk_free(struct fe_blk *b)
{
	for (unsigned int i = 0; i < b->nqueues; i++) {
		fe_queue_fini(&b->queues[i].q);
		fe_slots_fini(&b->queues[i].shared);
		free(b->queues[i].slots);
	}
	free(b);
}

struct fe_blk *fe_blk_open(struct fe_transport *t, struct fe_mem *m, const struct fe_blk_opts *o,
			   struct err *e)
{
	unsigned int n = o->queues ? o->queues : 1;
	struct fe_blk *b = calloc(1, sizeof(*b) + n * sizeof(b->queues[0]));
	int ret;

	if (!b) {
		err_sys(e, -ENOMEM, "out-of-memory", "cannot make a disk driver");
		return NULL;
	}
	b->t = t;
	b->m = m;
	b->nqueues = n;
	b->bounce = o->bounce ? o->bounce & ~511u : 131072;
	ret = negotiate(b, o, e);
	if (ret == 0 && (b->info.features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)))
		b->indirect_max = table_len(o);
	for (unsigned int i = 0; ret == 0 && i < n; i++)
		ret = queue_make(b, i, o, e);
	if (ret == 0)
		ret = t->ops->set_mem(t, m, e);
	for (unsigned int i = 0; ret == 0 && i < n; i++)
		ret = fe_queue_start(&b->queues[i].q, t, NULL, e);
	if (ret == 0)
		return b;
	for (unsigned int i = 0; i < n; i++)
		if (b->queues[i].q.running)
			fe_queue_stop(&b->queues[i].q, t, NULL, NULL);
	blk_free(b);
	return NULL;
}

void fe_blk_close(struct fe_blk *b)
{
	if (!b)
		return;
	for (unsigned int i = 0; i < b->nqueues; i++) {
		struct blk_queue *bq = &b->queues[i];
		struct blk_slot *s;

		if (bq->q.running)
			fe_queue_stop(&bq->q, b->t, NULL, NULL);
		while (fe_blk_poll(b, i))
			;
		while ((s = drv_ring_take_lost(bq->q.ring)))
			s->io->done(s->io, -ECANCELED);
	}
	blk_free(b);
}

const struct fe_blk_info *fe_blk_info(const struct fe_blk *b)
{
	return &b->info;
}

struct fe_queue *fe_blk_queue(struct fe_blk *b, unsigned int qi)
{
	return qi < b->nqueues ? &b->queues[qi].q : NULL;
}

/* ---- requests ---- */

static bool is_range(uint32_t type)
{
	return type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES;
}

static void fill_shared(struct blk_shared *sh, const struct fe_blk_io *io)
{
	bool range = is_range(io->type);

	sh->hdr.type = htole32(io->type);
	sh->hdr.reserved = 0;
	sh->hdr.sector = htole64(range ? 0 : io->sector);
	sh->status = STATUS_NONE;
	if (range) {
		sh->dwz.sector = htole64(io->sector);
		sh->dwz.num_sectors = htole32(io->sectors);
		sh->dwz.flags = htole32(io->flags);
	}
}

int fe_blk_submit(struct fe_blk *b, unsigned int qi, struct fe_blk_io *io)
{
	struct blk_queue *bq = &b->queues[qi];
	bool in = io->type == VIRTIO_BLK_T_IN || io->type == VIRTIO_BLK_T_GET_ID;
	struct drv_seg segs[FE_BLK_MAX_SEGS + 2];
	struct blk_slot *s;
	uint64_t gpa;
	unsigned int n = 1;
	uint32_t i;
	int ret;

	if (unlikely(io->ndata > FE_BLK_MAX_SEGS))
		return -EINVAL;
	i = fe_slot_take(&bq->shared);
	if (i == UINT32_MAX)
		return -ENOSPC;
	s = &bq->slots[i];
	gpa = fe_slot_gpa(&bq->shared, i);
	fill_shared(s->shared, io);
	segs[0] = (struct drv_seg){ gpa, sizeof(struct virtio_blk_req_hdr), 0 };
	if (is_range(io->type))
		segs[n++] = (struct drv_seg){ gpa + offsetof(struct blk_shared, dwz),
					      sizeof(struct virtio_blk_dwz), 0 };
	else
		for (uint32_t k = 0; k < io->ndata; k++)
			segs[n++] = (struct drv_seg){ io->data[k].addr, io->data[k].len, in };
	segs[n++] = (struct drv_seg){ gpa + offsetof(struct blk_shared, status), 1, 1 };
	ret = drv_add(bq->q.ring, segs, n, b->indirect_max >= n, s);
	if (unlikely(ret)) {
		fe_slot_give(&bq->shared, i);
		return ret;
	}
	s->io = io;
	bq->in_flight++;
	return 0;
}

void fe_blk_kick(struct fe_blk *b, unsigned int qi)
{
	fe_queue_publish(&b->queues[qi].q);
}

static int status_errno(uint8_t status)
{
	switch (status) {
	case VIRTIO_BLK_S_OK:
		return 0;
	case VIRTIO_BLK_S_IOERR:
		return -EIO;
	case VIRTIO_BLK_S_UNSUPP:
		return -EOPNOTSUPP;
	default:
		return -EPROTO;
	}
}

unsigned int fe_blk_poll(struct fe_blk *b, unsigned int qi)
{
	struct blk_queue *bq = &b->queues[qi];
	struct drv_used u[32];
	unsigned int n, total = 0;

	while ((n = drv_get(bq->q.ring, u, ARRAY_SIZE(u)))) {
		for (unsigned int i = 0; i < n; i++)
			__builtin_prefetch(((struct blk_slot *)u[i].cookie)->shared);
		for (unsigned int i = 0; i < n; i++) {
			struct blk_slot *s = u[i].cookie;
			struct fe_blk_io *io = s->io;
			uint8_t st = __atomic_load_n(&s->shared->status, __ATOMIC_RELAXED);

			io->used_len = u[i].len;
			bq->in_flight--;
			fe_slot_give(&bq->shared, s->index);
			io->done(io, status_errno(st));
		}
		total += n;
		if (n < ARRAY_SIZE(u))
			break;
	}
	return total;
}

unsigned int fe_blk_wait(struct fe_blk *b, unsigned int qi, unsigned int after, int timeout_ms)
{
	struct fe_queue *q = &b->queues[qi].q;
	unsigned int n = fe_blk_poll(b, qi);

	if (n || !b->queues[qi].in_flight)
		return n;
	fe_queue_wait(q, after, timeout_ms);
	drv_call_off(q->ring);
	return fe_blk_poll(b, qi);
}

unsigned int fe_blk_in_flight(const struct fe_blk *b, unsigned int qi)
{
	return b->queues[qi].in_flight;
}

/* ---- blocking ---- */

static void sync_done(struct fe_blk_io *io, int res)
{
	struct blk_queue *bq = container_of(io, struct blk_queue, sync_io);

	bq->sync_busy = false;
	bq->sync_res = res;
}

static int sync_run(struct fe_blk *b, unsigned int qi, const char *what, struct err *e)
{
	struct blk_queue *bq = &b->queues[qi];
	uint64_t end = clock_ns() + SYNC_TIMEOUT_MS * UINT64_C(1000000);
	int ret;

	bq->sync_io.done = sync_done;
	bq->sync_io.used_len = 0;
	while ((ret = fe_blk_submit(b, qi, &bq->sync_io)) == -ENOSPC && clock_ns() < end) {
		fe_blk_kick(b, qi);
		fe_blk_wait(b, qi, 1, 100);
	}
	if (ret)
		return err_sys(e, ret, "disk-request", "%s was not possible", what);
	bq->sync_busy = true;
	fe_blk_kick(b, qi);
	while (bq->sync_busy) {
		const char *why = drv_broken(bq->q.ring);

		if (why)
			return err_set(e, -EIO, "ring-broken", "%s: %s", what, why);
		if (fe_blk_wait(b, qi, 1, 100))
			continue;
		if (bq->q.refused)
			return err_set(e, -EIO, "ring-broken",
				       "%s: the device declared the queue broken", what);
		if (clock_ns() > end)
			return err_set(e, -ETIMEDOUT, "disk-timeout",
				       "%s was not answered within %d seconds", what,
				       SYNC_TIMEOUT_MS / 1000);
	}
	if (bq->sync_res)
		return err_sys(e, bq->sync_res, "disk-error", "%s failed", what);
	return 0;
}

static struct fe_blk_io *sync_begin(struct fe_blk *b, unsigned int qi, struct err *e)
{
	if (qi >= b->nqueues) {
		err_set(e, -EINVAL, "queue-index", "queue %u is not open", qi);
		return NULL;
	}
	if (b->queues[qi].sync_busy) {
		err_set(e, -EBUSY, "disk-busy", "an earlier request was never answered");
		return NULL;
	}
	b->queues[qi].sync_io = (struct fe_blk_io){ 0 };
	return &b->queues[qi].sync_io;
}

static int sync_rw(struct fe_blk *b, unsigned int qi, bool write, uint64_t off, uint8_t *buf,
		   uint64_t len, struct err *e)
{
	if ((off | len) % VIRTIO_BLK_SECTOR_SIZE)
		return err_set(e, -EINVAL, "unaligned",
			       "offset and length must be multiples of 512");
	while (len) {
		uint32_t part = (uint32_t)MIN(len, b->bounce);
		struct fe_blk_io *io = sync_begin(b, qi, e);
		struct blk_queue *bq = &b->queues[qi];
		int ret;

		if (!io)
			return qi < b->nqueues ? -EBUSY : -EINVAL;
		if (write)
			memcpy(bq->bounce, buf, part);
		bq->bounce_seg.len = part;
		io->type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
		io->sector = off / VIRTIO_BLK_SECTOR_SIZE;
		io->data = &bq->bounce_seg;
		io->ndata = 1;
		ret = sync_run(b, qi, write ? "a write" : "a read", e);
		if (ret)
			return ret;
		if (!write)
			memcpy(buf, bq->bounce, part);
		off += part;
		buf += part;
		len -= part;
	}
	return 0;
}

int fe_blk_read(struct fe_blk *b, unsigned int qi, uint64_t off, void *buf, uint64_t len,
		struct err *e)
{
	return sync_rw(b, qi, false, off, buf, len, e);
}

int fe_blk_write(struct fe_blk *b, unsigned int qi, uint64_t off, const void *buf, uint64_t len,
		 struct err *e)
{
	/* The buffer is only read when writing. */
	return sync_rw(b, qi, true, off, (uint8_t *)(uintptr_t)buf, len, e);
}

int fe_blk_flush(struct fe_blk *b, unsigned int qi, struct err *e)
{
	struct fe_blk_io *io = sync_begin(b, qi, e);

	if (!io)
		return qi < b->nqueues ? -EBUSY : -EINVAL;
	io->type = VIRTIO_BLK_T_FLUSH;
	return sync_run(b, qi, "a flush", e);
}

static int sync_range(struct fe_blk *b, unsigned int qi, uint32_t type, uint32_t flags,
		      uint64_t off, uint64_t len, const char *what, struct err *e)
{
	struct fe_blk_io *io;

	if ((off | len) % VIRTIO_BLK_SECTOR_SIZE || len / VIRTIO_BLK_SECTOR_SIZE > UINT32_MAX)
		return err_set(e, -EINVAL, "unaligned",
			       "offset and length must be multiples of 512");
	io = sync_begin(b, qi, e);
	if (!io)
		return qi < b->nqueues ? -EBUSY : -EINVAL;
	io->type = type;
	io->flags = flags;
	io->sector = off / VIRTIO_BLK_SECTOR_SIZE;
	io->sectors = (uint32_t)(len / VIRTIO_BLK_SECTOR_SIZE);
	return sync_run(b, qi, what, e);
}

int fe_blk_discard(struct fe_blk *b, unsigned int qi, uint64_t off, uint64_t len, struct err *e)
{
	return sync_range(b, qi, VIRTIO_BLK_T_DISCARD, 0, off, len, "a discard", e);
}

int fe_blk_write_zeroes(struct fe_blk *b, unsigned int qi, uint64_t off, uint64_t len, bool unmap,
			struct err *e)
{
	return sync_range(b, qi, VIRTIO_BLK_T_WRITE_ZEROES, unmap ? VIRTIO_BLK_DWZ_FLAG_UNMAP : 0,
			  off, len, "writing zeroes", e);
}

int fe_blk_get_id(struct fe_blk *b, unsigned int qi, char id[21], struct err *e)
{
	struct fe_blk_io *io = sync_begin(b, qi, e);
	struct blk_queue *bq = &b->queues[qi];
	int ret;

	if (!io)
		return qi < b->nqueues ? -EBUSY : -EINVAL;
	memset(bq->bounce, 0, VIRTIO_BLK_ID_BYTES);
	bq->bounce_seg.len = VIRTIO_BLK_ID_BYTES;
	io->type = VIRTIO_BLK_T_GET_ID;
	io->data = &bq->bounce_seg;
	io->ndata = 1;
	ret = sync_run(b, qi, "asking for the serial number", e);
	if (ret == 0) {
		memcpy(id, bq->bounce, VIRTIO_BLK_ID_BYTES);
		id[VIRTIO_BLK_ID_BYTES] = 0;
	}
	return ret;
}
