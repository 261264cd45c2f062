/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a virtqueue: split (VIRTIO 1.3 section 2.7) and packed
 * (2.8), over plain memory that the caller gives.
 *
 * A ring belongs to one thread. Nothing here allocates, locks or makes a
 * system call but drv_ring_new() and drv_ring_free(). What the device writes
 * is not trusted: every word is read once, and an impossible one breaks the
 * ring (drv_broken()) instead of the program.
 *
 *	drv_add() ...		chains are written, the device does not see them yet
 *	drv_publish()		now it does; true: kick it
 *	drv_get()		what the device has finished
 *	drv_call_on/off()	ask for an interrupt, or not
 */
#ifndef FRONTEND_DRV_RING_H
#define FRONTEND_DRV_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/vq.h"
#include "util/err.h"
#include "wire/virtio.h"

/**
 * struct drv_seg - one buffer of a chain
 * @addr:	guest address
 * @len:	bytes
 * @writable:	the device writes it; all of these come after all others (2.7.4.2)
 */
struct drv_seg {
	uint64_t addr;
	uint32_t len;
	uint32_t writable;
};

/**
 * struct drv_used - one chain the device gave back
 * @cookie:	as given to drv_add()
 * @len:	bytes written, at most what the chain had room for
 * @id:		head descriptor (split) or buffer id (packed)
 */
struct drv_used {
	void *cookie;
	uint32_t len;
	uint16_t id;
};

/* What the driver remembers of a descriptor or buffer id; never in shared memory. */
struct drv_slot {
	void *cookie;
	uint32_t in_len; /* writable bytes of the chain */
	uint16_t next;   /* free list, and the order of a split chain */
	uint16_t last;   /* split: last descriptor of the chain */
	uint16_t ndesc;  /* ring descriptors taken; 0: not in flight */
};

/**
 * struct drv_layout - where the parts of a ring lie in one block of memory
 * @desc, @driver, @device: offsets of the three parts, a cache line apart
 * @indirect:	offset of the indirect tables
 * @bytes:	size of the block; it must be aligned to 64
 */
struct drv_layout {
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
	uint64_t indirect;
	uint64_t bytes;
};

/**
 * struct drv_ring_cfg - how to make a ring
 * @size:	entries, 1 to 32768; split: a power of two
 * @features:	accepted feature bits; RING_PACKED, EVENT_IDX and INDIRECT_DESC matter
 * @indirect_max: longest indirect table, 0: none
 * @mem:	the block, here; zeroed or not
 * @addr:	the block, as the guest address of descriptors (indirect tables)
 * @base:	where the ring starts; VQ_BASE_INIT for a fresh one
 */
struct drv_ring_cfg {
	uint32_t size;
	uint64_t features;
	unsigned int indirect_max;
	void *mem;
	uint64_t addr;
	struct vq_base base;
};

struct drv_ring {
	/* shared memory */
	union {
		struct virtq_desc *desc;
		struct pvirtq_desc *pdesc;
	};
	union {
		struct virtq_avail *avail;
		struct pvirtq_event *driver_event;
	};
	union {
		struct virtq_used *used;
		struct pvirtq_event *device_event;
	};
	uint8_t *indirect;
	uint64_t indirect_addr;
	struct drv_slot *slots;

	uint16_t size; /* split and packed: 32768 fits */
	uint16_t indirect_max;
	bool packed, event_idx, call_wanted;

	/* split: free running; packed: ring slot and wrap counter */
	uint16_t avail_idx;
	uint16_t avail_pub; /* split: published so far */
	uint16_t used_idx;
	uint16_t used_seen;  /* split: the device's index when last looked at */
	uint16_t call_event; /* split: last used_event written */
	bool avail_wrap, used_wrap;

	/* packed: the head that is held back until drv_publish() */
	uint16_t pend_slot, pend_flags, pend_n;

	uint16_t free_head;
	uint16_t free_desc; /* descriptors free in the ring */
	uint16_t nr_chains; /* added and not yet got back */

	const char *broken;
	uint64_t bad_len; /* the device claimed to have written more than there was room for */
	struct drv_layout layout;
	uint64_t addr;
};

/**
 * drv_layout() - how much memory a ring needs
 *
 * Return: 0, or -EINVAL when @size is not legal for the ring format.
 */
int drv_layout(uint32_t size, uint64_t features, unsigned int indirect_max, struct drv_layout *l);

struct drv_ring *drv_ring_new(const struct drv_ring_cfg *cfg, struct err *e);
void drv_ring_free(struct drv_ring *r);

/* Forget everything in flight and start again at @base; the device must be stopped. */
void drv_ring_reset(struct drv_ring *r, struct vq_base base);

/* After a reset is decided: cookies of chains that never came back, one a call; NULL: no more. */
void *drv_ring_take_lost(struct drv_ring *r);

/* Addresses of the three parts for whoever sets the queue up; @base is the guest address of mem. */
static inline uint64_t drv_desc_addr(const struct drv_ring *r)
{
	return r->addr + r->layout.desc;
}
static inline uint64_t drv_driver_addr(const struct drv_ring *r)
{
	return r->addr + r->layout.driver;
}
static inline uint64_t drv_device_addr(const struct drv_ring *r)
{
	return r->addr + r->layout.device;
}

/* Where the driver stands, as the device would have to go on if nothing were in flight. */
struct vq_base drv_ring_base(const struct drv_ring *r);

/* ---- the two formats; use the functions below ---- */

int drv_split_add(struct drv_ring *r, const struct drv_seg *segs, unsigned int n, bool indirect,
		  void *cookie);
bool drv_split_publish(struct drv_ring *r);
unsigned int drv_split_get(struct drv_ring *r, struct drv_used *u, unsigned int max);
bool drv_split_call_on(struct drv_ring *r, unsigned int after);
void drv_split_call_off(struct drv_ring *r);
void drv_split_reset(struct drv_ring *r, struct vq_base base);

int drv_packed_add(struct drv_ring *r, const struct drv_seg *segs, unsigned int n, bool indirect,
		   void *cookie);
bool drv_packed_publish(struct drv_ring *r);
unsigned int drv_packed_get(struct drv_ring *r, struct drv_used *u, unsigned int max);
bool drv_packed_call_on(struct drv_ring *r, unsigned int after);
void drv_packed_call_off(struct drv_ring *r);
void drv_packed_reset(struct drv_ring *r, struct vq_base base);

/* ---- work ---- */

/**
 * drv_add() - write a chain into the ring
 * @r:		ring
 * @segs, @n:	buffers, readable ones first
 * @indirect:	put them into an indirect table; the ring was made with room for one
 * @cookie:	comes back from drv_get(); not NULL
 *
 * The device does not see it before drv_publish().
 *
 * Return: 0, -ENOSPC when the ring is full, -EINVAL when the chain is not
 * legal, -EIO when the ring is broken.
 */
static inline int drv_add(struct drv_ring *r, const struct drv_seg *segs, unsigned int n,
			  bool indirect, void *cookie)
{
	return r->packed ? drv_packed_add(r, segs, n, indirect, cookie) :
			   drv_split_add(r, segs, n, indirect, cookie);
}

/* Show the device everything added since. True: it wants to be kicked. */
static inline bool drv_publish(struct drv_ring *r)
{
	return r->packed ? drv_packed_publish(r) : drv_split_publish(r);
}

/* Take up to @max chains the device has finished. */
static inline unsigned int drv_get(struct drv_ring *r, struct drv_used *u, unsigned int max)
{
	return r->packed ? drv_packed_get(r, u, max) : drv_split_get(r, u, max);
}

/**
 * drv_call_on() - ask for an interrupt
 * @r:		ring
 * @after:	when that many more chains are finished, at least 1. Without
 *		EVENT_IDX, and beyond what is in flight, it comes earlier
 *
 * Return: true when that many are finished already: drv_get() them, no
 * interrupt may come.
 */
static inline bool drv_call_on(struct drv_ring *r, unsigned int after)
{
	return r->packed ? drv_packed_call_on(r, after) : drv_split_call_on(r, after);
}

/* Ask for no interrupts; a late one may still come. */
static inline void drv_call_off(struct drv_ring *r)
{
	if (r->packed)
		drv_packed_call_off(r);
	else
		drv_split_call_off(r);
}

/* Why the ring cannot be used any more, or NULL. */
static inline const char *drv_broken(const struct drv_ring *r)
{
	return r->broken;
}

/* Chains added and not yet got back; descriptors free. */
static inline unsigned int drv_in_flight(const struct drv_ring *r)
{
	return r->nr_chains;
}
static inline unsigned int drv_free_desc(const struct drv_ring *r)
{
	return r->free_desc;
}

/* Can the chain be written at all (2.7.5.3.1, 2.7.4.2)? How many writable bytes has it? */
static inline int drv_check_segs(const struct drv_ring *r, const struct drv_seg *segs,
				 unsigned int n, bool indirect, uint32_t *in_len)
{
	uint64_t in = 0, out = 0;
	bool w = false, bad = false;

	/* 2.7.5.3.1 bounds tables by the ring's size too, but drivers in use do not. */
	if (n == 0 || n > (indirect ? r->indirect_max : r->size))
		return -22; /* -EINVAL without dragging errno.h into every user */
	for (unsigned int i = 0; i < n; i++) {
		bad |= w & !segs[i].writable;
		w |= !!segs[i].writable;
		in += segs[i].writable ? segs[i].len : 0;
		out += segs[i].len;
	}
	*in_len = (uint32_t)in;
	return bad || out > UINT32_MAX ? -22 : 0;
}

#endif
