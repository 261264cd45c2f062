/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: immutable snapshots of "which guest addresses are mapped
 * where in this process".
 *
 * A snapshot (struct gmem) never changes once published; a change makes a new
 * one that shares the unchanged regions. Regions are unmapped when the last
 * snapshot that holds them is gone, snapshots go when the last reference is
 * dropped: memory is never unmapped under I/O.
 *
 * Two address spaces lead into one region: the address descriptors use
 * (guest-physical, or IOVA) and, where the ring addresses of the transport
 * are different (front-end virtual addresses), a second key.
 */
#ifndef CORE_GMEM_H
#define CORE_GMEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

enum gmem_space {
	GMEM_BUS,  /* what descriptors hold: guest-physical address or IOVA */
	GMEM_USER, /* the peer's own virtual addresses (ring addresses of vhost-user) */
};

enum gmem_perm {
	GMEM_R = 1,
	GMEM_W = 2,
	GMEM_RW = 3,
};

#define GMEM_MAX_POISON 8

/**
 * struct gmem_region - one mapping, shared between snapshots
 * @bus:	first address in GMEM_BUS
 * @user:	first address in GMEM_USER (equal to @bus where there is no difference)
 * @size:	bytes; @bus + @size and @user + @size do not overflow
 * @host:	where @bus is mapped here
 * @perm:	what we may do with it
 * @poison:	host page addresses whose memory vanished (SIGBUS) and were
 *		replaced by zero pages; written by the signal handler
 * @nr_poison:	how many; more than GMEM_MAX_POISON means the whole region
 */
struct gmem_region {
	uint64_t bus;
	uint64_t user;
	uint64_t size;
	uint8_t *host;
	enum gmem_perm perm;

	/* private to gmem.c */
	void *map_base;
	size_t map_len;
	size_t page; /* granule of the mapping: the page size, or the huge page size */
	atomic_int refs;
	atomic_int nr_poison;
	atomic_uintptr_t poison[GMEM_MAX_POISON];
};

/* Dirty page log shared with the peer: one bit per 4096 bytes of GMEM_BUS. */
struct gmem_log {
	uint8_t *bits;
	uint64_t bytes; /* size of @bits; writes past it are dropped */
	atomic_int refs;
	void (*release)(struct gmem_log *log); /* called when the last reference goes */
};
#define GMEM_LOG_PAGE 4096

struct gmem;

/**
 * gmem_miss_fn - find memory that no snapshot has yet (VDUSE, IOMMU)
 * @ctx:	the transport's
 * @have:	the snapshot in which the look-up failed
 * @addr, @len:	what was wanted, GMEM_BUS
 * @next:	on success a new reference to a snapshot that may have it
 *
 * Called on a worker; may make quick system calls, must not wait for a peer.
 *
 * Return: 0, -EFAULT when there is nothing at that address, -EAGAIN when the
 * answer comes later.
 */
typedef int gmem_miss_fn(void *ctx, const struct gmem *have, uint64_t addr, uint64_t len,
			 struct gmem **next);

/* How often memory vanished; shared by all snapshots made from one another. */
struct gmem_faults {
	atomic_int refs;
	atomic_uint count;
};

struct gmem {
	atomic_int refs;
	struct gmem_faults *faults;
	unsigned int n;
	gmem_miss_fn *miss;
	void *miss_ctx;
	struct gmem_log *log;          /* NULL: no dirty logging */
	struct gmem_region *regions[]; /* sorted by bus, no overlap */
};

/**
 * gmem_region_map() - map a file and make a region of it
 * @fd:		borrowed
 * @offset:	where in the file the region starts; any alignment
 * @size:	bytes, at least 1; the file must reach to @offset + @size
 * @perm:	protection of the mapping
 *
 * Return: a region with one reference, or NULL with @e filled in.
 */
struct gmem_region *gmem_region_map(int fd, uint64_t offset, uint64_t size, uint64_t bus,
				    uint64_t user, enum gmem_perm perm, struct err *e);

/* A region over memory that somebody else owns and unmaps (tests, loopback, registered memory). */
struct gmem_region *gmem_region_borrow(void *host, uint64_t size, uint64_t bus, uint64_t user);

void gmem_region_put(struct gmem_region *r);

/**
 * gmem_new() - build a snapshot
 * @regions:	any order; each gets one more reference; must not overlap in
 *		either address space
 *
 * Return: a snapshot with one reference, or NULL with @e filled in.
 */
struct gmem *gmem_new(struct gmem_region *const *regions, unsigned int n, struct err *e);

/* Snapshots with one region more or less. @old stays the caller's. */
struct gmem *gmem_with(const struct gmem *old, struct gmem_region *add, struct err *e);
struct gmem *gmem_without(const struct gmem *old, const struct gmem_region *drop, struct err *e);
/* The same regions with another log (NULL: none). */
struct gmem *gmem_relog(const struct gmem *old, struct gmem_log *log, struct err *e);

struct gmem *gmem_get(struct gmem *m); /* any thread */
void gmem_put(struct gmem *m);         /* any thread; NULL is fine */

/* Index-free look-up by address: the region that holds @addr, or NULL. */
struct gmem_region *gmem_find(const struct gmem *m, enum gmem_space sp, uint64_t addr);

/**
 * gmem_at() - translate a range that must lie in one region
 *
 * Return: host address, or NULL when any byte of it is not mapped, crosses a
 * region, wraps, lacks @perm, or vanished. @len 0 checks @addr alone.
 */
void *gmem_at(const struct gmem *m, enum gmem_space sp, uint64_t addr, uint64_t len,
	      enum gmem_perm perm);

/* Does the range lie wholly in @r? Overflow-safe; @len may be 0. */
static inline bool gmem_region_has(const struct gmem_region *r, uint64_t addr, uint64_t len)
{
	uint64_t off = addr - r->bus;

	return off < r->size && len <= r->size - off;
}

/* Did memory vanish under [host, host + len)? */
bool gmem_range_poisoned(const struct gmem *m, const void *host, size_t len);
/* Quick test: did memory vanish anywhere in this snapshot or its relatives? */
static inline bool gmem_poisoned(const struct gmem *m)
{
	return atomic_load_explicit(&m->faults->count, memory_order_acquire) != 0;
}

/* Mark [bus, bus + len) dirty in the log. Call after the write. No-op without a log. */
void gmem_dirty(const struct gmem *m, uint64_t bus, uint64_t len);
/* Same, by host address inside any region of @m. */
void gmem_dirty_host(const struct gmem *m, const void *host, uint64_t len);

/*
 * Containment of SIGBUS. While a guard node is entered on a thread, a load or
 * store of that thread that hits vanished memory of the node's snapshot is
 * landed: the page is replaced by zeroes, the region marked, and execution
 * goes on; the queue looks at gmem_poisoned() before it believes or publishes
 * anything. Outside, or at other addresses, SIGBUS keeps its earlier meaning.
 * Costs nothing per access: no jump buffer, no check.
 */
struct gmem_guard {
	const struct gmem *map;
	struct gmem_guard *next; /* private */
};

int gmem_guard_install(void);                /* once per process; idempotent; 0 or -errno */
void gmem_guard_enter(struct gmem_guard *g); /* this thread; map must be set */
void gmem_guard_leave(struct gmem_guard *g); /* the same thread */

#endif
