/* SPDX-License-Identifier: MIT */
/* Driver side of the split virtqueue. Source: VIRTIO 1.3, section 2.7. */
#include <errno.h>
#include <string.h>

#include "frontend/drv-ring.h"
#include "util/compiler.h"

/* 2.7.7: used_event stands behind the available ring, avail_event behind the used ring. */
static le16 *used_event(const struct drv_ring *r)
{
	return &r->avail->ring[r->size];
}

static le16 *avail_event(const struct drv_ring *r)
{
	return (le16 *)&r->used->ring[r->size];
}

static void put16(le16 *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

static uint16_t get16(const le16 *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

/* One store a word: the device may be looking at the old contents by mistake or malice. */
static void put_desc(struct virtq_desc *d, uint64_t addr, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	uint64_t tail = (uint64_t)len | (uint64_t)flags << 32 | (uint64_t)next << 48;

	__atomic_store_n(&d->addr, htole64(addr), __ATOMIC_RELAXED);
	__atomic_store_n((le64 *)(void *)&d->len, htole64(tail), __ATOMIC_RELAXED);
}

static void put_indirect(struct drv_ring *r, uint16_t head, const struct drv_seg *segs,
			 unsigned int n)
{
	size_t off = (size_t)head * r->indirect_max * sizeof(struct virtq_desc);
	struct virtq_desc *t = (void *)(r->indirect + off);

	for (unsigned int i = 0; i < n; i++) {
		uint16_t flags = segs[i].writable ? VIRTQ_DESC_F_WRITE : 0;

		if (i + 1 < n)
			flags |= VIRTQ_DESC_F_NEXT;
		put_desc(&t[i], segs[i].addr, segs[i].len, flags,
			 (uint16_t)(i + 1 < n ? i + 1 : 0));
	}
	/* The WRITE flag of the descriptor that refers to a table is ignored (2.7.5.3.2). */
	put_desc(&r->desc[head], r->indirect_addr + off, n * (uint32_t)sizeof(struct virtq_desc),
		 VIRTQ_DESC_F_INDIRECT, 0);
}

/* Write the buffers into free descriptors from @head on. Returns the last one. */
static uint16_t put_chain(struct drv_ring *r, uint16_t head, const struct drv_seg *segs,
			  unsigned int n)
{
	uint16_t i = head;

	for (; n > 1; n--, segs++) {
		uint16_t next = r->slots[i].next;

		put_desc(&r->desc[i], segs->addr, segs->len,
			 VIRTQ_DESC_F_NEXT | (segs->writable ? VIRTQ_DESC_F_WRITE : 0), next);
		i = next;
	}
	put_desc(&r->desc[i], segs->addr, segs->len, segs->writable ? VIRTQ_DESC_F_WRITE : 0, 0);
	return i;
}

int drv_split_add(struct drv_ring *r, const struct drv_seg *segs, unsigned int n, bool indirect,
		  void *cookie)
{
	unsigned int need = indirect ? 1 : n;
	struct drv_slot *s;
	uint32_t in_len;
	uint16_t head = r->free_head, last = head;

	if (unlikely(r->broken))
		return -EIO;
	if (unlikely(drv_check_segs(r, segs, n, indirect, &in_len) || !cookie))
		return -EINVAL;
	if (need > r->free_desc)
		return -ENOSPC;

	if (indirect)
		put_indirect(r, head, segs, n);
	else
		last = put_chain(r, head, segs, n);

	s = &r->slots[head];
	s->cookie = cookie;
	s->in_len = in_len;
	s->last = last;
	s->ndesc = (uint16_t)need;
	r->free_head = r->slots[last].next;
	r->free_desc -= (uint16_t)need;
	r->nr_chains++;
	put16(&r->avail->ring[r->avail_idx & (r->size - 1)], head);
	r->avail_idx++;
	return 0;
}

bool drv_split_publish(struct drv_ring *r)
{
	uint16_t old = r->avail_pub, new = r->avail_idx;

	if (old == new || unlikely(r->broken))
		return false;
	/*
	 * Release: descriptors and ring entries before the index that makes
	 * them valid (2.7.13.3). Partner: the device's acquire load of
	 * avail->idx.
	 */
	__atomic_store_n(&r->avail->idx, htole16(new), __ATOMIC_RELEASE);
	r->avail_pub = new;
	/*
	 * Full: the index must be visible before we read whether the device
	 * sleeps (2.7.13.4.1). Partner: the device's full barrier between
	 * asking for kicks (avail_event, used->flags) and its last look at
	 * avail->idx.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (r->event_idx)
		return virtq_need_event(get16(avail_event(r)), new, old);
	return !(get16(&r->used->flags) & VIRTQ_USED_F_NO_NOTIFY);
}

/* Look at the device's index. Returns how many chains have been finished. */
static uint16_t look(struct drv_ring *r)
{
	/* Acquire. Partner: the device's release store of used->idx after the used elements. */
	uint16_t seen = le16toh(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE));

	if (unlikely((uint16_t)(seen - r->used_idx) > (uint16_t)(r->avail_pub - r->used_idx))) {
		r->broken = "the device's used index is ahead of the available index";
		return 0;
	}
	r->used_seen = seen;
	return (uint16_t)(seen - r->used_idx);
}

/* Take used element @pos. False: it is impossible. */
static bool take(struct drv_ring *r, uint16_t pos, struct drv_used *u)
{
	const struct virtq_used_elem *el = &r->used->ring[pos & (r->size - 1)];
	uint32_t id = le32toh(__atomic_load_n(&el->id, __ATOMIC_RELAXED));
	uint32_t len = le32toh(__atomic_load_n(&el->len, __ATOMIC_RELAXED));
	struct drv_slot *s;

	if (unlikely(id >= r->size)) {
		r->broken = "the device returned a descriptor past the end of the table";
		return false;
	}
	s = &r->slots[id];
	if (unlikely(s->ndesc == 0)) {
		r->broken = "the device returned a chain that is not in flight";
		return false;
	}
	if (unlikely(len > s->in_len)) {
		r->bad_len++;
		len = s->in_len;
	}
	u->cookie = s->cookie;
	u->len = len;
	u->id = (uint16_t)id;
	r->free_desc += s->ndesc;
	s->ndesc = 0;
	r->slots[s->last].next = r->free_head;
	r->free_head = (uint16_t)id;
	r->nr_chains--;
	return true;
}

unsigned int drv_split_get(struct drv_ring *r, struct drv_used *u, unsigned int max)
{
	uint16_t have = (uint16_t)(r->used_seen - r->used_idx);
	unsigned int n = 0;

	if (unlikely(r->broken))
		return 0;
	if (have == 0) {
		have = look(r);
		if (have == 0)
			return 0;
	}
	while (n < max && n < have && take(r, (uint16_t)(r->used_idx + n), &u[n])) {
		__builtin_prefetch(u[n].cookie);
		n++;
	}
	r->used_idx += (uint16_t)n;
	/*
	 * With EVENT_IDX "no interrupts" is a used_event that has just gone
	 * by; move it along before 65536 more chains make it ahead again.
	 */
	if (r->event_idx && !r->call_wanted && (uint16_t)(r->used_idx - r->call_event) > 0x4000)
		drv_split_call_off(r);
	return n;
}

bool drv_split_call_on(struct drv_ring *r, unsigned int after)
{
	uint16_t flying = (uint16_t)(r->avail_pub - r->used_idx);
	uint16_t want = (uint16_t)MAX(MIN(after, flying), 1u);
	uint16_t seen;

	r->call_wanted = true;
	if (r->event_idx) {
		r->call_event = (uint16_t)(r->used_idx + want - 1);
		put16(used_event(r), r->call_event);
	} else {
		put16(&r->avail->flags, 0);
		want = 1;
	}
	/*
	 * Full: the wish before the last look. Partner: the device's full
	 * barrier between its store of used->idx and its load of used_event
	 * or avail->flags (2.7.8.2).
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	seen = le16toh(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE));
	return (uint16_t)(seen - r->used_idx) >= want;
}

void drv_split_call_off(struct drv_ring *r)
{
	r->call_wanted = false;
	if (r->event_idx) {
		/*
		 * 2.7.7.1: flags stay 0; an event already behind is as good as none. A
		 * whole ring behind: the device may be about to decide on an entry that
		 * we have seen already.
		 */
		r->call_event = (uint16_t)(r->used_idx - 1 - r->size);
		put16(used_event(r), r->call_event);
	} else {
		put16(&r->avail->flags, VIRTQ_AVAIL_F_NO_INTERRUPT);
	}
}

void drv_split_reset(struct drv_ring *r, struct vq_base base)
{
	memset(r->desc, 0, virtq_desc_bytes(r->size));
	memset(r->avail, 0, virtq_avail_bytes(r->size));
	memset(r->used, 0, virtq_used_bytes(r->size));
	r->avail_idx = r->avail_pub = base.avail_idx;
	/* Nothing is in flight: the used index starts where the available one does. */
	r->used_idx = r->used_seen = base.avail_idx;
	r->call_event = base.avail_idx;
	put16(&r->used->idx, base.avail_idx);
	put16(used_event(r), base.avail_idx);
	put16(avail_event(r), base.avail_idx);
	__atomic_store_n(&r->avail->idx, htole16(base.avail_idx), __ATOMIC_RELEASE);
}
