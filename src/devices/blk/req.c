/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: requests (VIRTIO 1.3 section 5.2.6). Everything here runs on the
 * worker of the queue.
 *
 * A request is a header (read once into a local), data, and a status in the
 * last writable byte, wherever the driver split its buffers. The data parts of
 * the chain go to the storage as they are.
 */
#include <errno.h>
#include <stddef.h>

#include "devices/blk/blk-impl.h"

#define SECTOR_SHIFT 9

/* One request, in the chain's private space. Behind @stor: what the storage needs, then ranges. */
struct blk_req {
	struct vu_chain *chain;
	struct blk_chan *bc;
	uint32_t data;          /* bytes of data written to the driver if all goes well */
	uint8_t range, nranges; /* DISCARD, WRITE_ZEROES */
	struct stor_req stor __attribute__((aligned(16)));
};

/* A DISCARD or WRITE_ZEROES segment, checked. */
struct blk_range {
	uint64_t offset;
	uint32_t sectors;
	uint32_t flags; /* STOR_* */
};

size_t blk_req_size(void *dev)
{
	const struct blk *b = dev;

	return offsetof(struct blk_req, stor) + b->req_space +
	       BLK_RANGES_MAX * sizeof(struct blk_range);
}

static struct blk_range *blk_ranges(struct blk_req *r)
{
	return (struct blk_range *)(void *)((uint8_t *)&r->stor + r->bc->b->req_space);
}

/* ---- the end of a request ---- */

/*
 * @data: bytes of data that are right, @missing: bytes of the driver's buffers
 * between them and the status. The used length counts what was written from the
 * first byte on without a gap (2.7.8.2), so the status only if nothing is missing.
 */
static inline void blk_finish(struct vu_chain *c, uint8_t status, uint32_t data, uint32_t missing)
{
	vu_chain_put_last(c, status);
	vu_queue_push(c, data + !missing);
}

static inline void blk_refuse(struct vu_chain *c, uint8_t status)
{
	blk_finish(c, status, 0, c->in_len);
}

static uint8_t blk_status(int res)
{
	if (likely(res == 0))
		return VIRTIO_BLK_S_OK;
	return res == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static void blk_done(struct stor_req *s, int res)
{
	struct blk_req *r = container_of(s, struct blk_req, stor);
	uint32_t data = likely(res == 0) ? r->data : 0;

	blk_finish(r->chain, blk_status(res), data, r->chain->in_len - data);
}

/*
 * Something was changed. The cache mode is looked at now and not when the
 * request came in: see cache.c.
 */
static void blk_changed(struct blk_req *r, int res)
{
	if (likely(res < 0 || !blk_is_write_through(r->bc->b))) {
		blk_finish(r->chain, blk_status(res), 0, r->chain->in_len);
		return;
	}
	r->stor.op = STOR_FLUSH;
	r->stor.flags = 0;
	r->stor.offset = r->stor.len = 0;
	r->stor.iov = NULL;
	r->stor.niov = 0;
	r->stor.done = blk_done;
	stor_submit(r->bc->ch, &r->stor);
}

static void blk_write_done(struct stor_req *s, int res)
{
	blk_changed(container_of(s, struct blk_req, stor), res);
}

/* ---- IN, OUT, FLUSH, GET_ID ---- */

/* One look at the capacity; no sum that could wrap. */
static inline bool blk_in_range(const struct blk *b, uint64_t sector, uint64_t n)
{
	uint64_t cap = b->sectors;

	return sector <= cap && n <= cap - sector;
}

static inline struct blk_req *blk_req_init(struct vu_chain *c, struct blk_chan *bc, uint32_t data)
{
	struct blk_req *r = c->priv;

	r->chain = c;
	r->bc = bc;
	r->data = data;
	return r;
}

static inline void blk_rw(struct blk_chan *bc, struct vu_chain *c, uint64_t sector, bool write)
{
	uint32_t len = write ? c->out_len : c->in_len;
	struct blk_req *r;

	if (unlikely(len % VIRTIO_BLK_SECTOR_SIZE || (write && bc->b->read_only) ||
		     !blk_in_range(bc->b, sector, len >> SECTOR_SHIFT))) {
		blk_refuse(c, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (unlikely(len == 0)) {
		blk_finish(c, VIRTIO_BLK_S_OK, 0, c->in_len);
		return;
	}
	r = blk_req_init(c, bc, write ? 0 : len);
	r->stor.op = write ? STOR_WRITE : STOR_READ;
	r->stor.flags = 0;
	r->stor.offset = sector << SECTOR_SHIFT;
	r->stor.len = len;
	r->stor.iov = write ? c->out : c->in;
	r->stor.niov = write ? c->out_n : c->in_n;
	r->stor.done = write ? blk_write_done : blk_done;
	stor_submit(bc->ch, &r->stor);
}

static void blk_flush(struct blk_chan *bc, struct vu_chain *c)
{
	struct blk_req *r = blk_req_init(c, bc, 0);

	r->stor = (struct stor_req){ .op = STOR_FLUSH, .done = blk_done };
	stor_submit(bc->ch, &r->stor);
}

/* 20 bytes, filled up with zeroes, not terminated; a shorter buffer gets the front of it. */
static void blk_get_id(struct blk_chan *bc, struct vu_chain *c)
{
	uint32_t n = MIN(c->in_len, (uint32_t)VIRTIO_BLK_ID_BYTES);

	if (vu_chain_put(c, bc->b->id, n))
		blk_finish(c, VIRTIO_BLK_S_OK, n, c->in_len);
	else
		blk_refuse(c, VIRTIO_BLK_S_IOERR);
}

/* ---- DISCARD, WRITE_ZEROES ---- */

static void blk_range_done(struct stor_req *s, int res);

static void blk_range_submit(struct blk_req *r)
{
	const struct blk_range *g = &blk_ranges(r)[r->range];

	r->stor.flags = g->flags;
	r->stor.offset = g->offset;
	r->stor.len = (uint64_t)g->sectors << SECTOR_SHIFT;
	stor_submit(r->bc->ch, &r->stor);
}

/* Storage may answer from inside submit; that nests no deeper than BLK_RANGES_MAX. */
static void blk_range_done(struct stor_req *s, int res)
{
	struct blk_req *r = container_of(s, struct blk_req, stor);

	if (res == 0 && ++r->range < r->nranges)
		blk_range_submit(r);
	else
		blk_changed(r, res);
}

/*
 * Check one segment. 5.2.6.2: unknown flags are UNSUPP, and so is unmap with
 * DISCARD, which has no meaning there.
 */
static uint8_t blk_range_check(const struct blk *b, bool zeroes, const struct virtio_blk_dwz *w,
			       struct blk_range *g)
{
	uint64_t sector = le64toh(w->sector);
	uint32_t n = le32toh(w->num_sectors);
	uint32_t flags = le32toh(w->flags);

	if (flags & ~(zeroes ? VIRTIO_BLK_DWZ_FLAG_UNMAP : 0))
		return VIRTIO_BLK_S_UNSUPP;
	if (n > (zeroes ? BLK_ZEROES_SECTORS_MAX : BLK_DISCARD_SECTORS_MAX) ||
	    !blk_in_range(b, sector, n))
		return VIRTIO_BLK_S_IOERR;
	g->offset = sector << SECTOR_SHIFT;
	g->sectors = n;
	g->flags = flags & VIRTIO_BLK_DWZ_FLAG_UNMAP && b->stor->caps.write_zeroes_unmap ?
			   STOR_MAY_UNMAP :
			   0;
	return VIRTIO_BLK_S_OK;
}

/* Copy and check all segments, so that a bad one leaves the disk as it was. */
static uint8_t blk_ranges_get(struct blk_req *r, bool zeroes)
{
	struct blk_range *g = blk_ranges(r);
	uint32_t len = r->chain->out_len;
	uint8_t worst = VIRTIO_BLK_S_OK;

	r->range = r->nranges = 0;
	if (len == 0 || len % sizeof(struct virtio_blk_dwz) ||
	    len / sizeof(struct virtio_blk_dwz) > BLK_RANGES_MAX)
		return VIRTIO_BLK_S_IOERR;
	for (; len; len -= (uint32_t)sizeof(struct virtio_blk_dwz)) {
		struct virtio_blk_dwz w;
		uint8_t status;

		if (!vu_chain_get(r->chain, &w, sizeof(w)))
			return VIRTIO_BLK_S_IOERR;
		status = blk_range_check(r->bc->b, zeroes, &w, &g[r->nranges]);
		worst = MAX(worst, status); /* UNSUPP tells the driver more than IOERR */
		if (g[r->nranges].sectors)
			r->nranges++;
	}
	return worst;
}

static void blk_discard_zeroes(struct blk_chan *bc, struct vu_chain *c, bool zeroes)
{
	unsigned int bit = zeroes ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD;
	struct blk_req *r = blk_req_init(c, bc, 0);
	uint8_t status;

	if (bc->b->read_only)
		status = VIRTIO_BLK_S_IOERR;
	else if (!(bc->b->acked & VIRTIO_BIT(bit)))
		status = VIRTIO_BLK_S_UNSUPP;
	else
		status = blk_ranges_get(r, zeroes);
	if (status != VIRTIO_BLK_S_OK || r->nranges == 0) {
		blk_refuse(c, status);
		return;
	}
	r->stor = (struct stor_req){
		.op = zeroes ? STOR_WRITE_ZEROES : STOR_DISCARD,
		.done = blk_range_done,
	};
	blk_range_submit(r);
}

/* ---- the beginning of a request ---- */

static inline void blk_handle(struct blk_chan *bc, struct vu_chain *c)
{
	struct virtio_blk_req_hdr h;

	/* Nothing to say it with: without a header no type, without a writable byte no status. */
	if (unlikely(!vu_chain_get(c, &h, sizeof(h)))) {
		vu_queue_abort(c, "block request without a whole header");
		return;
	}
	if (unlikely(!vu_chain_take_last(c))) {
		vu_queue_abort(c, "block request without room for a status");
		return;
	}
	switch (le32toh(h.type)) {
	case VIRTIO_BLK_T_IN:
		blk_rw(bc, c, le64toh(h.sector), false);
		break;
	case VIRTIO_BLK_T_OUT:
		blk_rw(bc, c, le64toh(h.sector), true);
		break;
	case VIRTIO_BLK_T_FLUSH:
		blk_flush(bc, c);
		break;
	case VIRTIO_BLK_T_GET_ID:
		blk_get_id(bc, c);
		break;
	case VIRTIO_BLK_T_DISCARD:
		blk_discard_zeroes(bc, c, false);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		blk_discard_zeroes(bc, c, true);
		break;
	default: /* 5.2.6.2 */
		blk_refuse(c, VIRTIO_BLK_S_UNSUPP);
	}
}

void blk_kick(void *dev, struct vu_queue *q)
{
	struct blk_chan *bc = vu_queue_priv(q);
	struct vu_chain *c;

	while ((c = vu_queue_pop(q)))
		blk_handle(bc, c);
}
