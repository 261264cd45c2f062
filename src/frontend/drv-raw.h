/* SPDX-License-Identifier: MIT */
/*
 * For tests only: write into a ring what no driver would. The ring's own
 * bookkeeping is not told; reset it afterwards.
 */
#ifndef FRONTEND_DRV_RAW_H
#define FRONTEND_DRV_RAW_H

#include "frontend/drv-ring.h"

/* ---- split ---- */

static inline void drv_raw_desc(struct drv_ring *r, uint16_t i, uint64_t addr, uint32_t len,
				uint16_t flags, uint16_t next)
{
	struct virtq_desc *d = &r->desc[i];

	__atomic_store_n(&d->addr, htole64(addr), __ATOMIC_RELAXED);
	__atomic_store_n(&d->len, htole32(len), __ATOMIC_RELAXED);
	__atomic_store_n(&d->flags, htole16(flags), __ATOMIC_RELAXED);
	__atomic_store_n(&d->next, htole16(next), __ATOMIC_RELAXED);
}

/* Put @head at free-running position @pos of the available ring. */
static inline void drv_raw_avail(struct drv_ring *r, uint16_t pos, uint16_t head)
{
	__atomic_store_n(&r->avail->ring[pos & (r->size - 1)], htole16(head), __ATOMIC_RELAXED);
}

static inline void drv_raw_avail_idx(struct drv_ring *r, uint16_t idx)
{
	__atomic_store_n(&r->avail->idx, htole16(idx), __ATOMIC_RELEASE);
}

static inline void drv_raw_avail_flags(struct drv_ring *r, uint16_t flags)
{
	__atomic_store_n(&r->avail->flags, htole16(flags), __ATOMIC_RELAXED);
}

static inline uint16_t drv_raw_used_idx(const struct drv_ring *r)
{
	return le16toh(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE));
}

/* ---- packed ---- */

/* Flags that make a descriptor available in the ring's present lap. */
static inline uint16_t drv_raw_pavail(const struct drv_ring *r)
{
	return r->avail_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
}

/* @flags goes in as it is, after everything else. */
static inline void drv_raw_pdesc(struct drv_ring *r, uint16_t i, uint64_t addr, uint32_t len,
				 uint16_t id, uint16_t flags)
{
	struct pvirtq_desc *d = &r->pdesc[i];

	__atomic_store_n(&d->addr, htole64(addr), __ATOMIC_RELAXED);
	__atomic_store_n(&d->len, htole32(len), __ATOMIC_RELAXED);
	__atomic_store_n(&d->id, htole16(id), __ATOMIC_RELAXED);
	__atomic_store_n(&d->flags, htole16(flags), __ATOMIC_RELEASE);
}

/* ---- indirect tables: the one that belongs to descriptor or buffer id @i ---- */

static inline void *drv_raw_table(struct drv_ring *r, uint16_t i)
{
	return r->indirect + (size_t)i * r->indirect_max * sizeof(struct virtq_desc);
}

static inline uint64_t drv_raw_table_addr(const struct drv_ring *r, uint16_t i)
{
	return r->indirect_addr + (uint64_t)i * r->indirect_max * sizeof(struct virtq_desc);
}

#endif
