/* SPDX-License-Identifier: MIT */
/* The packed ring, device side. VIRTIO 1.3, section 2.8. */
#include <errno.h>
#include <inttypes.h>

#include "core/vq-impl.h"

#define AVAIL_USED (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)

int packed_map(struct vu_queue *q, const struct gmem *map, struct err *e)
{
	struct packed_ring *r = &q->p;
	void *desc = gmem_at(map, q->cfg.space, q->cfg.desc, virtq_desc_bytes(q->size), GMEM_RW);
	void *drv = gmem_at(map, q->cfg.space, q->cfg.driver, 4, GMEM_R);
	void *dev = gmem_at(map, q->cfg.space, q->cfg.device, 4, GMEM_RW);

	if (!desc || !drv || !dev)
		return err_set(e, -EFAULT, "ring-not-mapped",
			       "queue %u: %s at 0x%" PRIx64 " is not in guest memory", q->env.index,
			       !desc ? "descriptor ring" :
			       !drv  ? "driver event area" :
				       "device event area",
			       !desc ? q->cfg.desc :
			       !drv  ? q->cfg.driver :
				       q->cfg.device);
	/* 2.8.10.1: alignment 16, 4, 4. */
	if ((uintptr_t)desc % 16 || (uintptr_t)drv % 4 || (uintptr_t)dev % 4)
		return err_set(e, -EINVAL, "ring-misaligned", "queue %u: packed ring is misaligned",
			       q->env.index);
	r->desc = desc;
	r->driver_event = drv;
	r->device_event = dev;
	return 0;
}

int packed_init(struct vu_queue *q, struct err *e)
{
	const struct vq_base *b = &q->cfg.base;
	struct packed_ring *r = &q->p;

	if (b->avail_idx >= q->size || b->used_idx >= q->size)
		return err_set(e, -EINVAL, "ring-base",
			       "queue %u: base (%u, %u) is outside a ring of %u entries",
			       q->env.index, b->avail_idx, b->used_idx, q->size);
	r->avail_pos = b->avail_idx;
	r->avail_wrap = b->avail_wrap;
	r->used_pos = b->used_idx;
	r->used_wrap = b->used_wrap;
	return 0;
}

/* 2.8.1: available when AVAIL equals the driver's wrap counter and USED does not. */
static inline bool packed_is_avail(uint16_t flags, bool wrap)
{
	return !!(flags & VIRTQ_DESC_F_AVAIL) == wrap && !!(flags & VIRTQ_DESC_F_USED) != wrap;
}

bool packed_pending(struct vu_queue *q)
{
	struct packed_ring *r = &q->p;
	uint16_t flags;

	if (r->head_valid)
		return true;
	/*
	 * All entries lent out: the ring cannot hold anything new. Without this
	 * look the entry we stand at would still carry its old marks.
	 */
	if (r->in_use == q->size)
		return false;
	flags = guest_poll16(&r->desc[r->avail_pos].w7);
	if (!packed_is_avail(flags, r->avail_wrap))
		return false;
	/* Partner: the driver's write barrier before it sets the head's flags. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	r->head_flags = flags;
	r->head_valid = true;
	return true;
}

static inline uint16_t packed_next(const struct vu_queue *q, uint16_t pos, uint32_t by, bool *wrap)
{
	uint32_t to = pos + by;

	if (to >= q->size) {
		to -= q->size;
		*wrap = !*wrap;
	}
	return (uint16_t)to;
}

/*
 * Ring entries of @n chains, if they are like the last one; never more than the
 * ring has left. One chain may be a single entry: it must not be missed.
 */
static uint32_t packed_span(const struct vu_queue *q, uint32_t n)
{
	if (n <= 1)
		return 1;
	return MAX(MIN(n * MAX(q->p.step, 1u), q->size - q->p.in_use), 1u);
}

uint32_t packed_waiting(struct vu_queue *q)
{
	bool wrap = q->p.avail_wrap;
	uint16_t last;

	if (!packed_pending(q))
		return 0;
	last = packed_next(q, q->p.avail_pos, packed_span(q, q->mod.goal) - 1, &wrap);
	return packed_is_avail(guest_poll16(&q->p.desc[last].w7), wrap) ? q->mod.goal : 1;
}

static enum chain_res packed_indirect(struct vu_queue *q, struct chain_build *b, uint64_t addr,
				      uint32_t len)
{
	uint32_t n;
	enum chain_res res = chain_table(q, addr, len, &n);

	/* 2.8.7: the table is a plain list; only WRITE is looked at. */
	for (uint32_t i = 0; res == CHAIN_OK && i < n; i++) {
		const struct guest_desc *d = &q->ind[i];
		uint16_t flags = le16toh(d->w7.v_);

		if (unlikely(flags & VIRTQ_DESC_F_INDIRECT)) {
			vq_break(q, "indirect descriptor inside an indirect table");
			return CHAIN_BROKEN;
		}
		res = chain_add(q, b, le64toh(d->addr.v_), le32toh(d->len.v_),
				flags & VIRTQ_DESC_F_WRITE);
	}
	return res;
}

/* @n gets the ring entries the chain takes, @id its buffer id. */
static enum chain_res packed_walk(struct vu_queue *q, struct chain_build *b, uint32_t *n,
				  uint16_t *id)
{
	struct packed_ring *r = &q->p;
	uint16_t flags = r->head_flags, pos = r->avail_pos;
	bool wrap = r->avail_wrap;

	for (*n = 1;; (*n)++) {
		const struct guest_desc *d = &r->desc[pos];
		uint64_t addr = guest_rd64(&d->addr);
		uint32_t len = guest_rd32(&d->len);
		enum chain_res res;

		*id = guest_rd16(&d->w6); /* 2.8.6: that of the last one counts */
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			if (unlikely(!q->indirect || (flags & VIRTQ_DESC_F_NEXT) || *n > 1)) {
				vq_break(q,
					 q->indirect ?
						 "indirect descriptor inside a chain" :
						 "indirect descriptor, but that was not negotiated");
				return CHAIN_BROKEN;
			}
			return packed_indirect(q, b, addr, len);
		}
		res = chain_add(q, b, addr, len, flags & VIRTQ_DESC_F_WRITE);
		if (res != CHAIN_OK || !(flags & VIRTQ_DESC_F_NEXT))
			return res;
		if (unlikely(*n + r->in_use >= q->size)) {
			vq_break(q, "chain takes more entries than the ring has left: a loop?");
			return CHAIN_BROKEN;
		}
		pos = packed_next(q, pos, 1, &wrap);
		flags = guest_rd16(&r->desc[pos].w7);
	}
}

static enum chain_res packed_chain(struct vu_queue *q)
{
	struct packed_ring *r = &q->p;
	struct chain_build b;
	enum chain_res res;
	uint32_t tries = 0, n;
	uint16_t id;

	do {
		if (!chain_begin(q, &b))
			return CHAIN_BROKEN;
		guest_trace_begin();
		res = packed_walk(q, &b, &n, &id);
		if (likely(res == CHAIN_OK)) {
			b.s->id = id;
			b.s->ndesc = (uint16_t)n;
			res = chain_end(q, &b);
		}
		if (likely(res == CHAIN_OK)) {
			r->head_valid = false;
			r->in_use += n;
			r->step = (uint16_t)n;
			r->avail_pos = packed_next(q, r->avail_pos, n, &r->avail_wrap);
			__builtin_prefetch(&r->desc[r->avail_pos + 4]);
			return CHAIN_OK;
		}
		chain_drop(q, b.s);
	} while (res == CHAIN_AGAIN && ++tries <= q->chain_max);
	if (res == CHAIN_AGAIN)
		vq_break(q, "guest memory keeps changing under a chain");
	return res;
}

void packed_fetch(struct vu_queue *q)
{
	uint16_t n = MIN(q->budget, VQ_LOOKAHEAD);

	for (uint16_t i = 0; i < n && packed_pending(q); i++)
		if (packed_chain(q) != CHAIN_OK)
			return;
}

void packed_unfetch(struct vu_queue *q)
{
	struct packed_ring *r = &q->p;
	uint32_t n = 0;

	for (unsigned int i = q->ready_at; i < q->ready_n; i++)
		n += vq_slot(q, q->ready[i])->ndesc;
	r->head_valid = false;
	r->in_use -= n;
	if (r->avail_pos < n) {
		r->avail_pos = (uint16_t)(r->avail_pos + q->size - n);
		r->avail_wrap = !r->avail_wrap;
	} else {
		r->avail_pos = (uint16_t)(r->avail_pos - n);
	}
}

void packed_push(struct vu_queue *q, struct vq_slot *s, uint32_t written)
{
	struct packed_ring *r = &q->p;
	struct guest_desc *d = &r->desc[r->used_pos];
	/* 2.8.1: used when both marks equal the device's wrap counter. */
	uint16_t flags = (uint16_t)((r->used_wrap ? AVAIL_USED : 0) |
				    (written ? VIRTQ_DESC_F_WRITE : 0));

	guest_wr32(&d->len, written);
	guest_wr16(&d->w6, s->id);
	if (!r->first_held) { /* written last, at flush: the driver reads in order */
		r->first_held = true;
		r->first_pos = r->used_pos;
		r->first_flags = flags;
	} else {
		guest_wr16(&d->w7, flags);
	}
	r->used_pos = packed_next(q, r->used_pos, s->ndesc, &r->used_wrap);
	r->moved = (uint16_t)(r->moved + s->ndesc);
	r->in_use -= s->ndesc;
}

void packed_show(struct vu_queue *q)
{
	struct packed_ring *r = &q->p;

	if (!r->first_held)
		return;
	/* Partner: the driver's read barrier between the flags and the rest of an entry. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	guest_wr16(&r->desc[r->first_pos].w7, r->first_flags);
	r->first_held = false;
}

bool packed_flush(struct vu_queue *q)
{
	struct packed_ring *r = &q->p;
	uint16_t event, moved = r->moved;
	uint32_t ev;

	packed_show(q);
	r->moved = 0;
	/* Partner: the driver's full barrier between writing its event area and looking again. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ev = guest_poll32(r->driver_event); /* 2.8.14: off_wrap low, flags high */
	switch (ev >> 16 & 3) {
	case PVIRTQ_EVENT_ENABLE:
		return true;
	case PVIRTQ_EVENT_DESC:
		if (!q->event_idx)
			return true;
		event = (uint16_t)(ev & 0x7fff);
		if (!!(ev & 0x8000) != r->used_wrap)
			event = (uint16_t)(event - q->size);
		return virtq_need_event(event, r->used_pos, (uint16_t)(r->used_pos - moved));
	default:
		return false;
	}
}

void packed_arm(struct vu_queue *q, uint32_t n)
{
	struct packed_ring *r = &q->p;
	bool wrap = r->avail_wrap;
	uint16_t at = packed_next(q, r->avail_pos, packed_span(q, n) - 1, &wrap);

	if (q->event_idx && !q->declined) /* both halves in one store: never a torn event */
		guest_wr32(r->device_event,
			   (uint32_t)PVIRTQ_EVENT_DESC << 16 | (uint32_t)wrap << 15 | at);
	else
		guest_wr32(r->device_event, (uint32_t)PVIRTQ_EVENT_ENABLE << 16);
	/* Partner: the driver's full barrier between setting flags and reading this. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void packed_disarm(struct vu_queue *q)
{
	if (!q->event_idx)
		guest_wr32(q->p.device_event, (uint32_t)PVIRTQ_EVENT_DISABLE << 16);
}

void packed_base(const struct vu_queue *q, struct vq_base *b)
{
	*b = (struct vq_base){
		.avail_idx = q->p.avail_pos,
		.avail_wrap = q->p.avail_wrap,
		.used_idx = q->p.used_pos,
		.used_wrap = q->p.used_wrap,
	};
}

bool packed_poisoned(const struct vu_queue *q)
{
	const struct gmem *m = q->ring_use->map;

	return gmem_range_poisoned(m, q->p.desc, virtq_desc_bytes(q->size)) ||
	       gmem_range_poisoned(m, q->p.driver_event, 4) ||
	       gmem_range_poisoned(m, q->p.device_event, 4);
}
