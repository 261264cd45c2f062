/* SPDX-License-Identifier: MIT */
/* The split ring, device side. VIRTIO 1.3, section 2.7. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/vq-impl.h"

/* One ring part: must be mapped in one piece, aligned, readable or writable. */
static int split_part(const struct vu_queue *q, const struct gmem *map, uint64_t addr, uint64_t len,
		      enum gmem_perm perm, unsigned int align, const char *what, void **at,
		      struct err *e)
{
	*at = gmem_at(map, q->cfg.space, addr, len, perm);
	if (!*at)
		return err_set(e, -EFAULT, "ring-not-mapped",
			       "queue %u: %s at 0x%" PRIx64 " (%" PRIu64
			       " bytes) is not in guest memory",
			       q->env.index, what, addr, len);
	if ((uintptr_t)*at % align)
		return err_set(e, -EINVAL, "ring-misaligned",
			       "queue %u: %s at 0x%" PRIx64 " is not aligned to %u bytes",
			       q->env.index, what, addr, align);
	return 0;
}

int split_map(struct vu_queue *q, const struct gmem *map, struct err *e)
{
	struct split_ring *r = &q->s;
	void *desc, *avail, *used;
	guest16 *a, *u;
	int rc;

	/* 2.7: alignment 16, 2, 4. */
	rc = split_part(q, map, q->cfg.desc, virtq_desc_bytes(q->size), GMEM_R, 16,
			"descriptor table", &desc, e);
	if (rc == 0)
		rc = split_part(q, map, q->cfg.driver, virtq_avail_bytes(q->size), GMEM_R, 2,
				"available ring", &avail, e);
	if (rc == 0)
		rc = split_part(q, map, q->cfg.device, virtq_used_bytes(q->size), GMEM_RW, 4,
				"used ring", &used, e);
	if (rc < 0)
		return rc;
	a = avail;
	u = used;
	r->desc = desc;
	r->avail_flags = a;
	r->avail_idx = a + 1;
	r->avail_ring = a + 2;
	r->used_event = a + 2 + q->size;
	r->used_flags = u;
	r->used_idx = u + 1;
	r->used_ring = (guest32 *)(void *)(u + 2);
	r->avail_event = (guest16 *)(void *)(r->used_ring + 2 * (size_t)q->size);
	return 0;
}

int split_init(struct vu_queue *q, struct err *e)
{
	struct split_ring *r = &q->s;

	(void)e;
	/* The used index is the ring's own: a base does not carry it. */
	r->used = guest_poll16(r->used_idx);
	r->signalled = r->used;
	r->last_avail = q->cfg.base.avail_idx;
	r->avail_shadow = r->last_avail;
	return 0;
}

bool split_pending(struct vu_queue *q)
{
	struct split_ring *r = &q->s;
	uint16_t idx;

	if (r->avail_shadow != r->last_avail)
		return true;
	idx = guest_poll16(r->avail_idx);
	if (idx == r->last_avail)
		return false;
	if (unlikely((uint16_t)(idx - r->last_avail) > q->size))
		return vq_break(q, "available index moved by more than the ring's size");
	r->avail_shadow = idx;
	/* Partner: the driver's write barrier between filling the ring and moving idx. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return true;
}

uint32_t split_waiting(struct vu_queue *q)
{
	struct split_ring *r = &q->s;
	uint16_t idx = guest_poll16(r->avail_idx), n = (uint16_t)(idx - r->last_avail);

	if (unlikely(n > q->size)) {
		vq_break(q, "available index moved by more than the ring's size");
		return 0;
	}
	return n;
}

static enum chain_res split_indirect(struct vu_queue *q, struct chain_build *b, uint64_t addr,
				     uint32_t len)
{
	uint32_t n, i = 0, seen = 0;
	enum chain_res res = chain_table(q, addr, len, &n);

	if (res != CHAIN_OK)
		return res;
	for (;;) { /* a private copy: plain reads of what cannot change any more */
		const struct guest_desc *d = &q->ind[i];
		uint16_t flags = le16toh(d->w6.v_);

		if (unlikely(flags & VIRTQ_DESC_F_INDIRECT)) { /* 2.7.5.3.1 */
			vq_break(q, "indirect descriptor inside an indirect table");
			return CHAIN_BROKEN;
		}
		res = chain_add(q, b, le64toh(d->addr.v_), le32toh(d->len.v_),
				flags & VIRTQ_DESC_F_WRITE);
		if (res != CHAIN_OK || !(flags & VIRTQ_DESC_F_NEXT))
			return res;
		i = le16toh(d->w7.v_);
		if (unlikely(i >= n || ++seen >= n)) {
			vq_break(q, i >= n ? "next descriptor is outside the indirect table" :
					     "descriptor loop in an indirect table");
			return CHAIN_BROKEN;
		}
	}
}

static enum chain_res split_walk(struct vu_queue *q, struct chain_build *b, uint16_t head)
{
	uint32_t i = head, seen = 0;

	for (;;) {
		const struct guest_desc *d = &q->s.desc[i];
		uint16_t flags = guest_rd16(&d->w6);
		uint64_t addr = guest_rd64(&d->addr);
		uint32_t len = guest_rd32(&d->len);
		enum chain_res res;

		if (flags & VIRTQ_DESC_F_INDIRECT) {
			if (unlikely(!q->indirect || (flags & VIRTQ_DESC_F_NEXT))) {
				vq_break(q,
					 q->indirect ?
						 "indirect descriptor with a next one" :
						 "indirect descriptor, but that was not negotiated");
				return CHAIN_BROKEN;
			}
			return split_indirect(q, b, addr, len);
		}
		res = chain_add(q, b, addr, len, flags & VIRTQ_DESC_F_WRITE);
		if (res != CHAIN_OK || !(flags & VIRTQ_DESC_F_NEXT))
			return res;
		i = guest_rd16(&d->w7);
		if (unlikely(i >= q->size || ++seen >= q->size)) {
			vq_break(q, i >= q->size ? "next descriptor is outside the table" :
						   "descriptor loop");
			return CHAIN_BROKEN;
		}
	}
}

static enum chain_res split_chain(struct vu_queue *q, uint16_t head)
{
	struct chain_build b;
	enum chain_res res;
	uint32_t tries = 0;

	do { /* again only when memory was found on demand: each time at least one region more */
		if (!chain_begin(q, &b))
			return CHAIN_BROKEN;
		guest_trace_begin();
		res = split_walk(q, &b, head);
		if (likely(res == CHAIN_OK)) {
			b.s->id = head;
			b.s->ndesc = 1;
			res = chain_end(q, &b);
		}
		if (likely(res == CHAIN_OK))
			return CHAIN_OK;
		chain_drop(q, b.s);
	} while (res == CHAIN_AGAIN && ++tries <= q->chain_max);
	if (res == CHAIN_AGAIN)
		vq_break(q, "guest memory keeps changing under a chain");
	return res;
}

/* Read heads ahead, so that their descriptors are on the way while others are served. */
static bool split_heads(struct vu_queue *q)
{
	struct split_ring *r = &q->s;
	uint16_t n = MIN((uint16_t)(r->avail_shadow - r->last_avail), VQ_LOOKAHEAD);

	for (; r->nheads < n; r->nheads++) {
		uint16_t at = (uint16_t)(r->last_avail + r->nheads);
		uint16_t head = guest_rd16(&r->avail_ring[at & q->mask]);

		if (unlikely(head >= q->size))
			return vq_break(q, "available ring names a descriptor outside the table");
		__builtin_prefetch(&r->desc[head]);
		r->heads[r->nheads] = head;
	}
	return true;
}

void split_fetch(struct vu_queue *q)
{
	struct split_ring *r = &q->s;
	uint16_t n, i;

	if (!split_pending(q) || !split_heads(q))
		return;
	n = MIN(q->budget, r->nheads);
	for (i = 0; i < n && split_chain(q, r->heads[i]) == CHAIN_OK; i++)
		;
	r->last_avail = (uint16_t)(r->last_avail + i);
	r->nheads = (uint16_t)(r->nheads - i);
	memmove(r->heads, r->heads + i, r->nheads * sizeof(r->heads[0]));
	if (i == n && !q->broken)
		split_heads(q);
}

void split_unfetch(struct vu_queue *q)
{
	q->s.last_avail = (uint16_t)(q->s.last_avail - (q->ready_n - q->ready_at));
	q->s.nheads = 0;
}

void split_push(struct vu_queue *q, struct vq_slot *s, uint32_t written)
{
	guest32 *e = q->s.used_ring + 2 * (q->s.used & q->mask);

	guest_wr32(e, s->id);
	guest_wr32(e + 1, written);
	q->s.used++;
	/* The driver read the line last: have it back before it is needed. */
	__builtin_prefetch(q->s.used_ring + 2 * ((q->s.used + 15) & q->mask), 1);
}

void split_show(struct vu_queue *q)
{
	/* Partner: the driver's read barrier between reading idx and the elements. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	guest_wr16(q->s.used_idx, q->s.used);
}

bool split_flush(struct vu_queue *q)
{
	struct split_ring *r = &q->s;
	uint16_t old = r->signalled;

	split_show(q);
	/*
	 * 2.7.10: the index must be visible before we look whether the driver
	 * wants to hear of it. Partner: the driver's full barrier between
	 * writing used_event (or flags) and looking at idx once more.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->signalled = r->used;
	if (q->event_idx)
		return virtq_need_event(guest_poll16(r->used_event), r->used, old);
	return !(guest_poll16(r->avail_flags) & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

void split_arm(struct vu_queue *q, uint32_t n)
{
	/* What the model declined has been kicked for; the next kick is for what comes after. */
	uint16_t at = q->declined ? guest_poll16(q->s.avail_idx) : q->s.last_avail;

	if (q->event_idx)
		guest_wr16(q->s.avail_event, (uint16_t)(at + n - 1));
	else
		guest_wr16(q->s.used_flags, 0);
	/* Partner: the driver's full barrier between moving avail idx and reading these. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void split_disarm(struct vu_queue *q)
{
	/* With an event index the stale one does it: only passing it again would kick. */
	if (!q->event_idx)
		guest_wr16(q->s.used_flags, VIRTQ_USED_F_NO_NOTIFY);
}

void split_base(const struct vu_queue *q, struct vq_base *b)
{
	*b = (struct vq_base){ .avail_idx = q->s.last_avail, .used_idx = q->s.used };
}

bool split_poisoned(const struct vu_queue *q)
{
	const struct gmem *m = q->ring_use->map;

	return gmem_range_poisoned(m, q->s.desc, virtq_desc_bytes(q->size)) ||
	       gmem_range_poisoned(m, q->s.avail_flags, virtq_avail_bytes(q->size)) ||
	       gmem_range_poisoned(m, q->s.used_flags, virtq_used_bytes(q->size));
}
