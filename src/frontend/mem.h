/* SPDX-License-Identifier: MIT */
/*
 * The guest memory of a front-end: one or several memfd regions at chosen
 * guest addresses, with holes where the caller wants them, and a simple
 * allocator in each. One thread.
 */
#ifndef FRONTEND_MEM_H
#define FRONTEND_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"

#define FE_MEM_MAX_REGIONS 512

/**
 * struct fe_region - one piece of guest memory
 * @gpa:	guest-physical address
 * @uva:	the address a back-end gets as "user address": where it is mapped here
 * @size:	bytes, a multiple of the page size
 * @offset:	where it starts in the file
 * @fd:		memfd, owned
 * @host:	mapping
 * @used:	bytes handed out
 * @id:		no other region of this memory, gone or to come, has it
 */
struct fe_region {
	uint64_t gpa;
	uint64_t uva;
	uint64_t size;
	uint64_t offset;
	int fd;
	uint8_t *host;
	uint64_t used;
	uint64_t id;
};

struct fe_mem {
	unsigned int n;
	uint64_t made; /* regions so far */
	struct fe_region r[FE_MEM_MAX_REGIONS];
};

/**
 * struct fe_mem_spec - a region to make
 * @gpa, @size:	multiples of the page size
 * @offset:	bytes of the file before it, a multiple of the page size
 * @may_shrink:	do not seal the file against truncation
 */
struct fe_mem_spec {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset;
	bool may_shrink;
};

/* NULL with @e filled in on failure. */
struct fe_mem *fe_mem_new(const struct fe_mem_spec *specs, unsigned int n, struct err *e);
void fe_mem_free(struct fe_mem *m); /* NULL is fine */

/* Return: index of the new region, or -errno. */
int fe_mem_add(struct fe_mem *m, const struct fe_mem_spec *spec, struct err *e);
/* The regions behind it move down. */
void fe_mem_remove(struct fe_mem *m, unsigned int idx);

/**
 * fe_mem_alloc() - take bytes from a region
 * @m:		memory
 * @idx:	region
 * @size:	bytes
 * @align:	power of two
 * @gpa:	where the guest sees them
 *
 * Never given back one by one. Zeroed, unless the region was written to before.
 *
 * Return: where we see them, or NULL when the region is full.
 */
void *fe_mem_alloc(struct fe_mem *m, unsigned int idx, uint64_t size, uint64_t align,
		   uint64_t *gpa);

/* Our address of a guest range; NULL when it does not lie in one region. */
void *fe_mem_host(const struct fe_mem *m, uint64_t gpa, uint64_t len);
/* The back-end's "user address" of a guest address; 0 when there is none. */
uint64_t fe_mem_uva(const struct fe_mem *m, uint64_t gpa);

/**
 * struct fe_slots - equal pieces of guest memory, taken and given back in O(1)
 * @host, @gpa:	first piece
 * @size:	bytes a piece
 * @count:	pieces
 * @nfree:	of which free
 * @stack:	numbers of the free ones
 */
struct fe_slots {
	uint8_t *host;
	uint64_t gpa;
	uint32_t size;
	uint32_t count;
	uint32_t nfree;
	uint32_t *stack;
};

int fe_slots_init(struct fe_slots *s, struct fe_mem *m, unsigned int region, uint32_t size,
		  uint32_t count, struct err *e);
void fe_slots_fini(struct fe_slots *s);

/* A slot's number, or UINT32_MAX when none is free. */
static inline uint32_t fe_slot_take(struct fe_slots *s)
{
	return s->nfree ? s->stack[--s->nfree] : UINT32_MAX;
}
static inline void fe_slot_give(struct fe_slots *s, uint32_t i)
{
	s->stack[s->nfree++] = i;
}
static inline void *fe_slot_host(const struct fe_slots *s, uint32_t i)
{
	return s->host + (uint64_t)i * s->size;
}
static inline uint64_t fe_slot_gpa(const struct fe_slots *s, uint32_t i)
{
	return s->gpa + (uint64_t)i * s->size;
}

#endif
