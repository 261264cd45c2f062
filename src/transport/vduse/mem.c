/* SPDX-License-Identifier: MIT */
#include "transport/vduse/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/compiler.h"
#include "util/log.h"
#include "wire/vduse.h"

/* ---- the device's descriptor ---- */

struct vduse_chan *vduse_chan_new(const struct vduse_sys *s, int fd)
{
	struct vduse_chan *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->sys = s;
	atomic_init(&c->refs, 1);
	atomic_init(&c->fd, fd);
	return c;
}

struct vduse_chan *vduse_chan_get(struct vduse_chan *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void vduse_chan_put(struct vduse_chan *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	vduse_chan_close(c);
	free(c);
}

void vduse_chan_close(struct vduse_chan *c)
{
	int fd = atomic_exchange(&c->fd, -1);

	if (fd >= 0)
		c->sys->close(c->sys, fd);
}

int vduse_chan_ioctl(const struct vduse_chan *c, unsigned long req, void *arg)
{
	int fd = atomic_load_explicit(&c->fd, memory_order_relaxed);

	return fd < 0 ? -EBADF : c->sys->ioctl(c->sys, fd, req, arg);
}

/* ---- snapshots ---- */

static gmem_miss_fn mem_miss;

static struct gmem *empty(struct vduse_mem *m, struct err *e)
{
	struct gmem *g = gmem_new(NULL, 0, e);

	if (g) {
		g->miss = mem_miss;
		g->miss_ctx = m;
	}
	return g;
}

int vduse_mem_init(struct vduse_mem *m, struct err *e)
{
	pthread_mutex_init(&m->lock, NULL);
	m->chan = NULL;
	m->cur = empty(m, e);
	return m->cur ? 0 : -ENOMEM;
}

void vduse_mem_fini(struct vduse_mem *m)
{
	gmem_put(m->cur);
	m->cur = NULL;
	vduse_chan_put(m->chan);
	m->chan = NULL;
	pthread_mutex_destroy(&m->lock);
}

/* Takes @next over. */
static void replace(struct vduse_mem *m, struct gmem *next)
{
	struct gmem *old = m->cur;

	m->cur = next;
	gmem_put(old);
}

int vduse_mem_clear(struct vduse_mem *m, struct err *e)
{
	struct gmem *g = empty(m, e);

	if (!g)
		return -ENOMEM;
	pthread_mutex_lock(&m->lock);
	replace(m, g);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static bool intersects(const struct gmem_region *r, uint64_t start, uint64_t last)
{
	return r->bus <= last && r->bus + (r->size - 1) >= start;
}

static int drop_locked(struct vduse_mem *m, uint64_t start, uint64_t last, struct err *e)
{
	for (unsigned int i = 0; i < m->cur->n;) {
		struct gmem_region *r = m->cur->regions[i];
		struct gmem *g;

		if (!intersects(r, start, last)) {
			i++;
			continue;
		}
		g = gmem_without(m->cur, r, e);
		if (!g)
			return -ENOMEM;
		replace(m, g); /* sorted as before, one less */
	}
	return 0;
}

int vduse_mem_drop(struct vduse_mem *m, uint64_t start, uint64_t last, struct err *e)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = drop_locked(m, start, last, e);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/*
 * The answer is checked like any other input: it must hold the address that
 * was asked for, and have a size that can be mapped.
 */
static struct gmem_region *ask(struct vduse_mem *m, uint64_t addr, struct err *e)
{
	struct vdu_iotlb_entry t = { .start = addr, .last = addr };
	struct gmem_region *r;
	int fd;

	fd = m->chan ? vduse_chan_ioctl(m->chan, VDU_IOTLB_GET_FD, &t) : -EBADF;
	if (fd < 0) {
		err_sys(e, fd == -EINVAL ? -EFAULT : fd, "iotlb", "no memory at 0x%" PRIx64, addr);
		return NULL;
	}
	if (t.start > addr || t.last < addr || t.perm < VDU_ACCESS_RO || t.perm > VDU_ACCESS_RW ||
	    t.last - t.start == UINT64_MAX) {
		m->chan->sys->close(m->chan->sys, fd);
		err_set(e, -EFAULT, "iotlb",
			"the kernel's answer for 0x%" PRIx64 " makes no sense: 0x%" PRIx64
			" to 0x%" PRIx64 ", access %u",
			addr, t.start, t.last, t.perm);
		return NULL;
	}
	/* The bits of enum vdu_access are those of enum gmem_perm. */
	r = gmem_region_map(fd, t.offset, t.last - t.start + 1, t.start, t.start,
			    (enum gmem_perm)t.perm, e);
	m->chan->sys->close(m->chan->sys, fd); /* the mapping keeps the memory */
	return r;
}

static int fetch_locked(struct vduse_mem *m, uint64_t addr, struct err *e)
{
	struct gmem_region *r = ask(m, addr, e);
	struct gmem *g;
	int rc;

	if (!r)
		return e->code;
	/* What we knew of these addresses is out of date: rings come and go without a message. */
	rc = drop_locked(m, r->bus, r->bus + (r->size - 1), e);
	if (rc == 0) {
		g = gmem_with(m->cur, r, e);
		if (g) {
			log_debug("mapped 0x%" PRIx64 ", 0x%" PRIx64 " bytes", r->bus, r->size);
			replace(m, g);
		} else {
			rc = e->code;
		}
	}
	gmem_region_put(r);
	return rc;
}

int vduse_mem_fetch(struct vduse_mem *m, uint64_t addr, struct err *e)
{
	struct err own;
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	if (!gmem_find(m->cur, GMEM_BUS, addr))
		rc = fetch_locked(m, addr, e ? e : &own);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

struct gmem *vduse_mem_get(struct vduse_mem *m)
{
	struct gmem *g;

	pthread_mutex_lock(&m->lock);
	g = gmem_get(m->cur);
	pthread_mutex_unlock(&m->lock);
	return g;
}

/* On a worker: nothing at @addr in the snapshot it has. */
static int mem_miss(void *ctx, const struct gmem *have, uint64_t addr, uint64_t len,
		    struct gmem **next)
{
	struct vduse_mem *m = ctx;
	struct err e;
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	/* Another worker may have found it in the meantime. */
	if (m->cur == have || !gmem_find(m->cur, GMEM_BUS, addr))
		rc = fetch_locked(m, addr, &e);
	if (rc == 0)
		*next = gmem_get(m->cur);
	pthread_mutex_unlock(&m->lock);
	if (rc < 0 && rc != -ENOMEM)
		rc = -EFAULT;
	return rc;
}
