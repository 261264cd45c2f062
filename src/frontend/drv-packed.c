/* SPDX-License-Identifier: MIT */
/* Driver side of the packed virtqueue. Source: VIRTIO 1.3, section 2.8. */
#include <errno.h>
#include <string.h>

#include "frontend/drv-ring.h"
#include "util/compiler.h"

#define EVENT_WRAP 0x8000

/* Length, id and flags of a descriptor are one aligned word: read and written as one. */
static le64 *tail_of(struct pvirtq_desc *d)
{
	return (le64 *)(void *)&d->len;
}

static uint64_t make_tail(uint32_t len, uint16_t id, uint16_t flags)
{
	return (uint64_t)len | (uint64_t)id << 32 | (uint64_t)flags << 48;
}

/* 2.8.1: AVAIL equal to and USED different from the driver's wrap counter: available. */
static uint16_t avail_flags(bool wrap)
{
	return wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
}

static bool is_used(uint16_t flags, bool wrap)
{
	bool a = flags & VIRTQ_DESC_F_AVAIL, u = flags & VIRTQ_DESC_F_USED;

	return a == u && u == wrap;
}

static uint32_t get_event(const struct pvirtq_event *ev)
{
	return le32toh(__atomic_load_n((const le32 *)(const void *)ev, __ATOMIC_RELAXED));
}

static void put_event(struct pvirtq_event *ev, uint16_t off_wrap, uint16_t flags)
{
	uint32_t v = (uint32_t)off_wrap | (uint32_t)flags << 16;

	__atomic_store_n((le32 *)(void *)ev, htole32(v), __ATOMIC_RELAXED);
}

/* Write one descriptor at the driver's place; the first of a batch keeps its old flags. */
static void put_desc(struct drv_ring *r, uint64_t addr, uint32_t len, uint16_t id, uint16_t flags)
{
	struct pvirtq_desc *d = &r->pdesc[r->avail_idx];

	flags |= avail_flags(r->avail_wrap);
	__atomic_store_n(&d->addr, htole64(addr), __ATOMIC_RELAXED);
	if (r->pend_n == 0) {
		r->pend_slot = r->avail_idx;
		r->pend_flags = flags;
		__atomic_store_n(&d->len, htole32(len), __ATOMIC_RELAXED);
		__atomic_store_n(&d->id, htole16(id), __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(tail_of(d), htole64(make_tail(len, id, flags)), __ATOMIC_RELAXED);
	}
	r->pend_n++;
	if (++r->avail_idx == r->size) {
		r->avail_idx = 0;
		r->avail_wrap = !r->avail_wrap;
	}
}

static void put_indirect(struct drv_ring *r, uint16_t id, const struct drv_seg *segs,
			 unsigned int n)
{
	size_t off = (size_t)id * r->indirect_max * sizeof(struct pvirtq_desc);
	struct pvirtq_desc *t = (void *)(r->indirect + off);

	/* 2.8.8: in a table only WRITE counts; entries follow one another. */
	for (unsigned int i = 0; i < n; i++) {
		uint16_t flags = segs[i].writable ? VIRTQ_DESC_F_WRITE : 0;

		__atomic_store_n(&t[i].addr, htole64(segs[i].addr), __ATOMIC_RELAXED);
		__atomic_store_n(tail_of(&t[i]), htole64(make_tail(segs[i].len, 0, flags)),
				 __ATOMIC_RELAXED);
	}
	put_desc(r, r->indirect_addr + off, n * (uint32_t)sizeof(struct pvirtq_desc), id,
		 VIRTQ_DESC_F_INDIRECT);
}

int drv_packed_add(struct drv_ring *r, const struct drv_seg *segs, unsigned int n, bool indirect,
		   void *cookie)
{
	unsigned int need = indirect ? 1 : n;
	uint16_t id = r->free_head;
	struct drv_slot *s;
	uint32_t in_len;

	if (unlikely(r->broken))
		return -EIO;
	if (unlikely(drv_check_segs(r, segs, n, indirect, &in_len) || !cookie))
		return -EINVAL;
	if (need > r->free_desc)
		return -ENOSPC;

	if (indirect) {
		put_indirect(r, id, segs, n);
	} else {
		for (unsigned int i = 0; i < n; i++)
			put_desc(r, segs[i].addr, segs[i].len, id,
				 (segs[i].writable ? VIRTQ_DESC_F_WRITE : 0) |
					 (i + 1 < n ? VIRTQ_DESC_F_NEXT : 0));
	}
	s = &r->slots[id];
	s->cookie = cookie;
	s->in_len = in_len;
	s->ndesc = (uint16_t)need;
	r->free_head = s->next;
	r->free_desc -= (uint16_t)need;
	r->nr_chains++;
	return 0;
}

bool drv_packed_publish(struct drv_ring *r)
{
	uint16_t n = r->pend_n, flags, off;
	uint32_t ev;

	if (n == 0 || unlikely(r->broken))
		return false;
	/*
	 * Release: the device reads in ring order, so the flags of the first
	 * head open the whole batch (2.8.21.1.1). Partner: the device's
	 * acquire load of the flags at its available position.
	 */
	__atomic_store_n(&r->pdesc[r->pend_slot].flags, htole16(r->pend_flags), __ATOMIC_RELEASE);
	r->pend_n = 0;
	/*
	 * Full: the flags must be visible before we read whether the device
	 * sleeps (2.8.21.3.1). Partner: the device's full barrier between
	 * writing its event structure and its last look at the next flags.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ev = get_event(r->device_event);
	flags = (uint16_t)(ev >> 16);
	if (flags == PVIRTQ_EVENT_DISABLE)
		return false;
	if (flags != PVIRTQ_EVENT_DESC || !r->event_idx)
		return true;
	off = (uint16_t)(ev & (EVENT_WRAP - 1));
	/* An event of the lap before this one lies one ring size behind. */
	if (!!(ev & EVENT_WRAP) != r->avail_wrap)
		off = (uint16_t)(off - r->size);
	return virtq_need_event(off, r->avail_idx, (uint16_t)(r->avail_idx - n));
}

/* What stands at the next used position: false when the device has not written there. */
static bool look(const struct drv_ring *r, uint16_t slot, bool wrap, uint64_t *tail)
{
	/* Acquire. Partner: the device's release store of the flags of a used descriptor. */
	*tail = le64toh(__atomic_load_n(tail_of(&r->pdesc[slot]), __ATOMIC_ACQUIRE));
	return is_used((uint16_t)(*tail >> 48), wrap);
}

static struct drv_slot *slot_of(const struct drv_ring *r, uint64_t tail)
{
	uint16_t id = (uint16_t)(tail >> 32);

	return id < r->size && r->slots[id].ndesc ? &r->slots[id] : NULL;
}

static void skip(const struct drv_ring *r, uint16_t *slot, bool *wrap, uint16_t n)
{
	uint32_t to = (uint32_t)*slot + n;

	if (to >= r->size) {
		to -= r->size;
		*wrap = !*wrap;
	}
	*slot = (uint16_t)to;
}

unsigned int drv_packed_get(struct drv_ring *r, struct drv_used *u, unsigned int max)
{
	unsigned int n = 0;
	uint64_t tail;

	if (unlikely(r->broken))
		return 0;
	while (n < max && r->nr_chains && look(r, r->used_idx, r->used_wrap, &tail)) {
		struct drv_slot *s = slot_of(r, tail);
		uint32_t len = (uint32_t)tail;

		if (unlikely(!s)) {
			r->broken = "the device returned a buffer that is not in flight";
			break;
		}
		if (unlikely(len > s->in_len)) {
			r->bad_len++;
			len = s->in_len;
		}
		u[n].cookie = s->cookie;
		u[n].len = len;
		u[n].id = (uint16_t)(s - r->slots);
		__builtin_prefetch(s->cookie);
		skip(r, &r->used_idx, &r->used_wrap, s->ndesc);
		r->free_desc += s->ndesc;
		r->nr_chains--;
		s->ndesc = 0;
		s->next = r->free_head;
		r->free_head = u[n].id;
		n++;
	}
	return n;
}

/* Descriptors between the used position and the point @after chains further on, about. */
static uint16_t ahead(const struct drv_ring *r, unsigned int after)
{
	uint32_t busy = (uint32_t)(r->size - r->free_desc - r->pend_n);

	if (after <= 1 || r->nr_chains == 0 || busy == 0)
		return 0;
	if (after > r->nr_chains)
		after = r->nr_chains;
	return (uint16_t)MIN((uint64_t)(after - 1) * busy / r->nr_chains, busy - 1);
}

bool drv_packed_call_on(struct drv_ring *r, unsigned int after)
{
	uint16_t dist = r->event_idx ? ahead(r, after) : 0;
	uint16_t slot = r->used_idx, seen = 0;
	bool wrap = r->used_wrap;
	uint64_t tail;

	r->call_wanted = true;
	skip(r, &slot, &wrap, dist);
	if (r->event_idx)
		put_event(r->driver_event, (uint16_t)(slot | (wrap ? EVENT_WRAP : 0)),
			  PVIRTQ_EVENT_DESC);
	else
		put_event(r->driver_event, 0, PVIRTQ_EVENT_ENABLE);
	/*
	 * Full: the wish before the last look. Partner: the device's full
	 * barrier between its store of used flags and its load of our event
	 * structure (2.8.21.4).
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	slot = r->used_idx;
	wrap = r->used_wrap;
	while (r->nr_chains && look(r, slot, wrap, &tail)) {
		const struct drv_slot *s = slot_of(r, tail);

		if (!s || (seen = (uint16_t)(seen + s->ndesc)) > dist)
			return true;
		skip(r, &slot, &wrap, s->ndesc);
	}
	return false;
}

void drv_packed_call_off(struct drv_ring *r)
{
	r->call_wanted = false;
	put_event(r->driver_event, 0, PVIRTQ_EVENT_DISABLE);
}

void drv_packed_reset(struct drv_ring *r, struct vq_base base)
{
	r->avail_idx = r->used_idx = base.avail_idx;
	r->avail_wrap = r->used_wrap = base.avail_wrap;
	r->pend_n = 0;
	/*
	 * As a ring looks in which everything was given back: slots before the
	 * position carry this lap's colour, the others the last one's.
	 */
	for (unsigned int i = 0; i < r->size; i++) {
		bool colour = i < base.avail_idx ? base.avail_wrap : !base.avail_wrap;
		uint16_t flags = colour ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;

		__atomic_store_n(&r->pdesc[i].addr, 0, __ATOMIC_RELAXED);
		__atomic_store_n(tail_of(&r->pdesc[i]), htole64(make_tail(0, 0, flags)),
				 __ATOMIC_RELAXED);
	}
	put_event(r->device_event, 0, PVIRTQ_EVENT_ENABLE);
	put_event(r->driver_event, 0, PVIRTQ_EVENT_ENABLE);
}
