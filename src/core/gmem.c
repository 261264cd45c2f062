/* SPDX-License-Identifier: MIT */
#include "core/gmem.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util/compiler.h"

/* ---- regions ---- */

static struct gmem_region *region_new(uint64_t bus, uint64_t user, uint64_t size, struct err *e)
{
	struct gmem_region *r;

	if (size == 0 || bus + (size - 1) < bus || user + (size - 1) < user) {
		err_set(e, -EINVAL, "memory-region-range",
			"memory region at 0x%" PRIx64 " of 0x%" PRIx64 " bytes is empty or wraps",
			bus, size);
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		err_sys(e, -ENOMEM, "out-of-memory", "cannot describe a memory region");
		return NULL;
	}
	r->bus = bus;
	r->user = user;
	r->size = size;
	atomic_init(&r->refs, 1);
	return r;
}

struct gmem_region *gmem_region_map(int fd, uint64_t offset, uint64_t size, uint64_t bus,
				    uint64_t user, enum gmem_perm perm, struct err *e)
{
	struct gmem_region *r;
	struct statfs fs;
	struct stat st;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t slack, len;
	int prot = 0;
	void *p;

	if (fstat(fd, &st) < 0) {
		err_sys(e, -errno, "memory-region-fd", "cannot examine a memory region's file");
		return NULL;
	}
	if (size > UINT64_MAX - offset || offset + size > (uint64_t)INT64_MAX) {
		err_set(e, -EINVAL, "memory-region-range",
			"memory region of 0x%" PRIx64 " bytes at file offset 0x%" PRIx64
			" overflows",
			size, offset);
		return NULL;
	}
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < offset + size) {
		err_set(e, -EINVAL, "memory-region-short",
			"memory region needs 0x%" PRIx64 " bytes of its file, which has 0x%" PRIx64,
			offset + size, (uint64_t)st.st_size);
		return NULL;
	}
	/*
	 * hugetlbfs maps and unmaps in its own page size only. st_blksize would
	 * not do: other file systems put there what they like.
	 */
	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0)
		page = (uint64_t)fs.f_bsize;

	r = region_new(bus, user, size, e);
	if (!r)
		return NULL;
	slack = offset & (page - 1);
	len = size + slack;
	if (len < size || len > SIZE_MAX - page) {
		free(r);
		err_set(e, -EINVAL, "memory-region-range", "memory region is too large to map");
		return NULL;
	}
	/* A short last page may stay short: the kernel rounds up, except for huge pages. */
	if (offset - slack + ((len + page - 1) & ~(page - 1)) <= (uint64_t)st.st_size)
		len = (len + page - 1) & ~(page - 1);
	if (perm & GMEM_R)
		prot |= PROT_READ;
	if (perm & GMEM_W)
		prot |= PROT_WRITE;
	p = mmap(NULL, len, prot, MAP_SHARED | MAP_NORESERVE, fd, (off_t)(offset - slack));
	if (p == MAP_FAILED) {
		int err = -errno;

		free(r);
		err_sys(e, err, "memory-region-map",
			"cannot map a memory region of 0x%" PRIx64 " bytes", size);
		return NULL;
	}
	madvise(p, len, MADV_DONTDUMP); /* a guest's memory has no place in our core files */
	r->map_base = p;
	r->map_len = len;
	r->page = page;
	r->host = (uint8_t *)p + slack;
	r->perm = perm;
	return r;
}

struct gmem_region *gmem_region_borrow(void *host, uint64_t size, uint64_t bus, uint64_t user)
{
	struct gmem_region *r = region_new(bus, user, size, NULL);

	if (!r)
		return NULL;
	r->host = host;
	r->perm = GMEM_RW;
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	return r;
}

static void region_get(struct gmem_region *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
}

void gmem_region_put(struct gmem_region *r)
{
	if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (r->map_base)
		munmap(r->map_base, r->map_len);
	free(r);
}

/* ---- snapshots ---- */

static int by_bus(const void *a, const void *b)
{
	const struct gmem_region *x = *(struct gmem_region *const *)a;
	const struct gmem_region *y = *(struct gmem_region *const *)b;

	return (x->bus > y->bus) - (x->bus < y->bus);
}

static int by_user(const void *a, const void *b)
{
	const struct gmem_region *x = *(struct gmem_region *const *)a;
	const struct gmem_region *y = *(struct gmem_region *const *)b;

	return (x->user > y->user) - (x->user < y->user);
}

/* Leaves @m sorted by bus address. */
static int check_overlap(struct gmem *m, struct err *e)
{
	struct gmem_region **r = m->regions;

	qsort(r, m->n, sizeof(*r), by_user);
	for (unsigned int i = 1; i < m->n; i++)
		if (r[i]->user - r[i - 1]->user < r[i - 1]->size)
			return err_set(e, -EINVAL, "memory-region-overlap",
				       "memory regions overlap at user address 0x%" PRIx64,
				       r[i]->user);
	qsort(r, m->n, sizeof(*r), by_bus);
	for (unsigned int i = 1; i < m->n; i++)
		if (r[i]->bus - r[i - 1]->bus < r[i - 1]->size)
			return err_set(e, -EINVAL, "memory-region-overlap",
				       "memory regions overlap at guest address 0x%" PRIx64,
				       r[i]->bus);
	return 0;
}

/* A snapshot without regions yet, with room for @n, a relative of @kin (may be NULL). */
static struct gmem *gmem_alloc(unsigned int n, const struct gmem *kin, struct err *e)
{
	struct gmem *m = calloc(1, sizeof(*m) + n * sizeof(m->regions[0]));

	if (m && kin) {
		m->faults = kin->faults;
		atomic_fetch_add(&m->faults->refs, 1);
		m->miss = kin->miss;
		m->miss_ctx = kin->miss_ctx;
		m->log = kin->log;
		if (m->log)
			atomic_fetch_add(&m->log->refs, 1);
	} else if (m) {
		m->faults = calloc(1, sizeof(*m->faults));
		if (m->faults)
			atomic_init(&m->faults->refs, 1);
	}
	if (!m || !m->faults) {
		free(m);
		err_sys(e, -ENOMEM, "out-of-memory", "cannot describe guest memory");
		return NULL;
	}
	atomic_init(&m->refs, 1);
	return m;
}

static void gmem_append(struct gmem *m, struct gmem_region *r)
{
	region_get(r);
	m->regions[m->n++] = r;
}

static struct gmem *gmem_finish(struct gmem *m, struct err *e)
{
	if (check_overlap(m, e) < 0) {
		gmem_put(m);
		return NULL;
	}
	return m;
}

struct gmem *gmem_new(struct gmem_region *const *regions, unsigned int n, struct err *e)
{
	struct gmem *m = gmem_alloc(n, NULL, e);

	if (!m)
		return NULL;
	for (unsigned int i = 0; i < n; i++)
		gmem_append(m, regions[i]);
	return gmem_finish(m, e);
}

struct gmem *gmem_with(const struct gmem *old, struct gmem_region *add, struct err *e)
{
	struct gmem *m = gmem_alloc(old->n + 1, old, e);

	if (!m)
		return NULL;
	for (unsigned int i = 0; i < old->n; i++)
		gmem_append(m, old->regions[i]);
	gmem_append(m, add);
	return gmem_finish(m, e);
}

struct gmem *gmem_without(const struct gmem *old, const struct gmem_region *drop, struct err *e)
{
	struct gmem *m = gmem_alloc(old->n, old, e);

	if (!m)
		return NULL;
	for (unsigned int i = 0; i < old->n; i++)
		if (old->regions[i] != drop)
			gmem_append(m, old->regions[i]);
	return m;
}

static void log_put(struct gmem_log *log)
{
	if (log && atomic_fetch_sub(&log->refs, 1) == 1 && log->release)
		log->release(log);
}

struct gmem *gmem_relog(const struct gmem *old, struct gmem_log *log, struct err *e)
{
	struct gmem *m = gmem_alloc(old->n, old, e);

	if (!m)
		return NULL;
	for (unsigned int i = 0; i < old->n; i++)
		gmem_append(m, old->regions[i]);
	if (log)
		atomic_fetch_add(&log->refs, 1);
	log_put(m->log);
	m->log = log;
	return m;
}

struct gmem *gmem_get(struct gmem *m)
{
	if (m)
		atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void gmem_put(struct gmem *m)
{
	if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned int i = 0; i < m->n; i++)
		gmem_region_put(m->regions[i]);
	log_put(m->log);
	if (atomic_fetch_sub(&m->faults->refs, 1) == 1)
		free(m->faults);
	free(m);
}

/* ---- translation ---- */

struct gmem_region *gmem_find(const struct gmem *m, enum gmem_space sp, uint64_t addr)
{
	unsigned int lo = 0, hi = m->n;

	if (sp == GMEM_USER) { /* ring set-up only */
		for (unsigned int i = 0; i < m->n; i++)
			if (addr - m->regions[i]->user < m->regions[i]->size)
				return m->regions[i];
		return NULL;
	}
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;
		struct gmem_region *r = m->regions[mid];

		if (addr - r->bus < r->size)
			return r;
		if (addr < r->bus)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

void *gmem_at(const struct gmem *m, enum gmem_space sp, uint64_t addr, uint64_t len,
	      enum gmem_perm perm)
{
	struct gmem_region *r = gmem_find(m, sp, addr);
	uint64_t off;

	if (!r || (r->perm & perm) != perm)
		return NULL;
	off = addr - (sp == GMEM_USER ? r->user : r->bus);
	if (len > r->size - off)
		return NULL;
	if (unlikely(gmem_poisoned(m)) && gmem_range_poisoned(m, r->host + off, len))
		return NULL;
	return r->host + off;
}

/* ---- vanished memory ---- */

static bool region_poisoned(const struct gmem_region *r, uintptr_t at, size_t len)
{
	int n = atomic_load_explicit(&r->nr_poison, memory_order_acquire);

	if (n > GMEM_MAX_POISON)
		return true;
	for (int i = 0; i < n; i++) {
		uintptr_t p = atomic_load_explicit(&r->poison[i], memory_order_acquire);

		/* 0: claimed by a handler that has not written it yet */
		if (p == 0 || (p < at + len && at < p + r->page))
			return true;
	}
	return false;
}

bool gmem_range_poisoned(const struct gmem *m, const void *host, size_t len)
{
	uintptr_t at = (uintptr_t)host;

	for (unsigned int i = 0; i < m->n; i++) {
		struct gmem_region *r = m->regions[i];
		uintptr_t base = (uintptr_t)r->host;

		if (at < base + r->size && base < at + len && region_poisoned(r, at, len))
			return true;
	}
	return false;
}

/* The chain of snapshots this thread may touch; changed by this thread only. */
static __thread struct gmem_guard *volatile guard_head;
static struct sigaction guard_old;

/*
 * Async-signal context, on the faulting thread. The order matters: mark
 * first, then make the page readable. Whoever later sees the zero page
 * therefore also sees the mark (the mmap system call orders both).
 */
static bool guard_land(const struct gmem *m, uintptr_t at)
{
	for (unsigned int i = 0; i < m->n; i++) {
		struct gmem_region *r = m->regions[i];
		uintptr_t page = at & ~((uintptr_t)r->page - 1);
		int prot = 0, n;

		if (at - (uintptr_t)r->host >= r->size || !r->map_base)
			continue;
		/* Never over anything but the mapping itself, the rest of its last page included. */
		if (page < (uintptr_t)r->map_base || page - (uintptr_t)r->map_base >= r->map_len)
			return false;
		n = atomic_fetch_add(&r->nr_poison, 1); /* other threads may fault too */
		if (n < GMEM_MAX_POISON)
			atomic_store(&r->poison[n], page);
		atomic_fetch_add(&m->faults->count, 1);
		if (r->perm & GMEM_R)
			prot |= PROT_READ;
		if (r->perm & GMEM_W)
			prot |= PROT_WRITE;
		return mmap((void *)page, r->page, prot, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0) != MAP_FAILED;
	}
	return false;
}

static void guard_sigbus(int sig, siginfo_t *si, void *uc)
{
	int saved = errno;

	for (struct gmem_guard *g = guard_head; g; g = g->next) {
		if (guard_land(g->map, (uintptr_t)si->si_addr)) {
			errno = saved;
			return;
		}
	}
	/* Not guest memory: what anybody else would have got. */
	if ((guard_old.sa_flags & SA_SIGINFO) && guard_old.sa_sigaction)
		guard_old.sa_sigaction(sig, si, uc);
	else
		sigaction(SIGBUS, &guard_old, NULL); /* happens again at the same place */
	errno = saved;
}

int gmem_guard_install(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction now;

	if (sigaction(SIGBUS, NULL, &now) < 0)
		return -errno;
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == guard_sigbus)
		return 0;
	sa.sa_sigaction = guard_sigbus;
	sigemptyset(&sa.sa_mask);
	guard_old = now;
	return sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

void gmem_guard_enter(struct gmem_guard *g)
{
	g->next = guard_head;
	__asm__ volatile("" ::: "memory"); /* a signal between sees a whole list */
	guard_head = g;
}

void gmem_guard_leave(struct gmem_guard *g)
{
	if (guard_head == g) {
		guard_head = g->next;
		return;
	}
	for (struct gmem_guard *p = guard_head; p; p = p->next) {
		if (p->next == g) {
			p->next = g->next;
			return;
		}
	}
}

/* ---- dirty log ---- */

void gmem_dirty(const struct gmem *m, uint64_t bus, uint64_t len)
{
	struct gmem_log *log = m->log;
	uint64_t page, last;

	if (!log || len == 0)
		return;
	last = bus + (len - 1);
	if (last < bus)
		last = UINT64_MAX;
	last /= GMEM_LOG_PAGE;
	for (page = bus / GMEM_LOG_PAGE; page <= last; page++) {
		if (page / 8 >= log->bytes)
			return;
		__atomic_fetch_or(&log->bits[page / 8], (uint8_t)(1u << (page % 8)),
				  __ATOMIC_RELEASE);
	}
}

void gmem_dirty_host(const struct gmem *m, const void *host, uint64_t len)
{
	uintptr_t at = (uintptr_t)host;

	if (!m->log)
		return;
	for (unsigned int i = 0; i < m->n; i++) {
		struct gmem_region *r = m->regions[i];
		uint64_t off = at - (uintptr_t)r->host;

		if (off < r->size) {
			gmem_dirty(m, r->bus + off, MIN(len, r->size - off));
			return;
		}
	}
}
