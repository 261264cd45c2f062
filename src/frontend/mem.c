/* SPDX-License-Identifier: MIT */
/* Guest memory of a front-end. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/mem.h"

static bool spec_ok(const struct fe_mem *m, const struct fe_mem_spec *sp)
{
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;
	uint64_t end;

	if (sp->size == 0 || ((sp->gpa | sp->size | sp->offset) & mask))
		return false;
	if (__builtin_add_overflow(sp->gpa, sp->size, &end) || sp->offset > INT64_MAX - sp->size ||
	    sp->size > INT64_MAX)
		return false;
	for (unsigned int i = 0; i < m->n; i++)
		if (sp->gpa < m->r[i].gpa + m->r[i].size && m->r[i].gpa < end)
			return false;
	return true;
}

static int region_make(struct fe_region *r, const struct fe_mem_spec *sp)
{
	int seals = F_SEAL_GROW | (sp->may_shrink ? 0 : F_SEAL_SHRINK);
	int ret;

	*r = (struct fe_region){ .gpa = sp->gpa, .size = sp->size, .offset = sp->offset };
	r->fd = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->fd < 0)
		return -errno;
	if (ftruncate(r->fd, (off_t)(sp->offset + sp->size)) || fcntl(r->fd, F_ADD_SEALS, seals)) {
		ret = -errno;
		close(r->fd);
		return ret;
	}
	r->host = mmap(NULL, sp->size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		       (off_t)sp->offset);
	if (r->host == MAP_FAILED) {
		ret = -errno;
		close(r->fd);
		return ret;
	}
	r->uva = (uintptr_t)r->host;
	return 0;
}

static void region_drop(struct fe_region *r)
{
	munmap(r->host, r->size);
	close(r->fd);
}

int fe_mem_add(struct fe_mem *m, const struct fe_mem_spec *spec, struct err *e)
{
	int ret;

	if (m->n == FE_MEM_MAX_REGIONS)
		return err_set(e, -ENOSPC, "guest-memory", "guest memory has %u regions already",
			       m->n);
	if (!spec_ok(m, spec))
		return err_set(e, -EINVAL, "guest-memory",
			       "guest memory cannot have %" PRIu64 " bytes at address 0x%" PRIx64,
			       spec->size, spec->gpa);
	ret = region_make(&m->r[m->n], spec);
	if (ret)
		return err_sys(e, ret, "guest-memory",
			       "cannot make %" PRIu64 " bytes of guest memory", spec->size);
	m->r[m->n].id = ++m->made;
	return (int)m->n++;
}

struct fe_mem *fe_mem_new(const struct fe_mem_spec *specs, unsigned int n, struct err *e)
{
	struct fe_mem *m = calloc(1, sizeof(*m));

	if (!m) {
		err_sys(e, -ENOMEM, "guest-memory", "cannot make guest memory");
		return NULL;
	}
	for (unsigned int i = 0; i < n; i++) {
		if (fe_mem_add(m, &specs[i], e) < 0) {
			fe_mem_free(m);
			return NULL;
		}
	}
	return m;
}

void fe_mem_free(struct fe_mem *m)
{
	if (!m)
		return;
	for (unsigned int i = 0; i < m->n; i++)
		region_drop(&m->r[i]);
	free(m);
}

void fe_mem_remove(struct fe_mem *m, unsigned int idx)
{
	if (idx >= m->n)
		return;
	region_drop(&m->r[idx]);
	m->n--;
	memmove(&m->r[idx], &m->r[idx + 1], (m->n - idx) * sizeof(m->r[0]));
}

void *fe_mem_alloc(struct fe_mem *m, unsigned int idx, uint64_t size, uint64_t align, uint64_t *gpa)
{
	struct fe_region *r;
	uint64_t at;

	if (idx >= m->n || align == 0 || (align & (align - 1)))
		return NULL;
	r = &m->r[idx];
	at = (r->used + align - 1) & ~(align - 1);
	if (at < r->used || at > r->size || size > r->size - at)
		return NULL;
	r->used = at + size;
	*gpa = r->gpa + at;
	return r->host + at;
}

static const struct fe_region *find(const struct fe_mem *m, uint64_t gpa)
{
	for (unsigned int i = 0; i < m->n; i++)
		if (gpa - m->r[i].gpa < m->r[i].size)
			return &m->r[i];
	return NULL;
}

void *fe_mem_host(const struct fe_mem *m, uint64_t gpa, uint64_t len)
{
	const struct fe_region *r = find(m, gpa);

	return r && len <= r->size - (gpa - r->gpa) ? r->host + (gpa - r->gpa) : NULL;
}

uint64_t fe_mem_uva(const struct fe_mem *m, uint64_t gpa)
{
	const struct fe_region *r = find(m, gpa);

	return r ? r->uva + (gpa - r->gpa) : 0;
}

int fe_slots_init(struct fe_slots *s, struct fe_mem *m, unsigned int region, uint32_t size,
		  uint32_t count, struct err *e)
{
	*s = (struct fe_slots){ .size = size, .count = count, .nfree = count };
	s->host = fe_mem_alloc(m, region, (uint64_t)size * count, 64, &s->gpa);
	if (!s->host)
		return err_set(e, -ENOMEM, "guest-memory-full",
			       "guest memory has no room for %u buffers of %u bytes", count, size);
	s->stack = calloc(count ? count : 1, sizeof(*s->stack));
	if (!s->stack)
		return err_sys(e, -ENOMEM, "guest-memory", "cannot make buffers");
	/* The first one taken is the first in memory. */
	for (uint32_t i = 0; i < count; i++)
		s->stack[i] = count - 1 - i;
	return 0;
}

void fe_slots_fini(struct fe_slots *s)
{
	free(s->stack);
	s->stack = NULL;
	s->nfree = 0;
}
