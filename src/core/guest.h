/* SPDX-License-Identifier: MIT */
/*
 * The only door to memory the guest can change at any moment. Guest words
 * have types of their own that nothing else can dereference; each call reads
 * or writes one word exactly once, so what was checked is what is used.
 *
 * Order between words is the caller's business: barriers are in vq-split.c
 * and vq-packed.c.
 */
#ifndef CORE_GUEST_H
#define CORE_GUEST_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/virtio.h"

typedef struct {
	le16 v_;
} guest16;
typedef struct {
	le32 v_;
} guest32;
typedef struct {
	le64 v_;
} guest64;

/* The ring parts, as the guest shares them. */
struct guest_desc { /* struct virtq_desc and, up to the last two fields, struct pvirtq_desc */
	guest64 addr;
	guest32 len;
	guest16 w6; /* split: flags, packed: id */
	guest16 w7; /* split: next, packed: flags */
};
static_assert(sizeof(struct guest_desc) == 16, "2.7.5, 2.8.13");

#ifdef VU_DEBUG
/*
 * Debug builds count words that are read twice between two calls of
 * guest_trace_begin() on the same thread: each is a time-of-check to
 * time-of-use hole.
 */
void guest_trace_begin(void);
void guest_trace(const void *p, size_t n);
unsigned long guest_double_reads(void); /* of this thread, since it started */
#else
static inline void guest_trace_begin(void)
{
}
static inline void guest_trace(const void *p, size_t n)
{
	(void)p;
	(void)n;
}
#endif

static inline uint16_t guest_rd16(const guest16 *p)
{
	guest_trace(p, 2);
	return le16toh(__atomic_load_n(&p->v_, __ATOMIC_RELAXED));
}
static inline uint32_t guest_rd32(const guest32 *p)
{
	guest_trace(p, 4);
	return le32toh(__atomic_load_n(&p->v_, __ATOMIC_RELAXED));
}
static inline uint64_t guest_rd64(const guest64 *p)
{
	guest_trace(p, 8);
	return le64toh(__atomic_load_n(&p->v_, __ATOMIC_RELAXED));
}
/* Polling an index is no parse: not traced. */
static inline uint16_t guest_poll16(const guest16 *p)
{
	return le16toh(__atomic_load_n(&p->v_, __ATOMIC_RELAXED));
}
static inline uint32_t guest_poll32(const guest32 *p)
{
	return le32toh(__atomic_load_n(&p->v_, __ATOMIC_RELAXED));
}
static inline void guest_wr16(guest16 *p, uint16_t v)
{
	__atomic_store_n(&p->v_, htole16(v), __ATOMIC_RELAXED);
}
static inline void guest_wr32(guest32 *p, uint32_t v)
{
	__atomic_store_n(&p->v_, htole32(v), __ATOMIC_RELAXED);
}
static inline void guest_wr64(guest64 *p, uint64_t v)
{
	__atomic_store_n(&p->v_, htole64(v), __ATOMIC_RELAXED);
}

/* Bulk copies of guest bytes: into private memory once, then parse that. */
static inline void guest_copy_in(void *dst, const void *guest, size_t n)
{
	guest_trace(guest, n);
	memcpy(dst, guest, n);
}
static inline void guest_copy_out(void *guest, const void *src, size_t n)
{
	memcpy(guest, src, n);
}

#endif
