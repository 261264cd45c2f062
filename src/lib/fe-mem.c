/* SPDX-License-Identifier: MIT */
/* Guest memory, and how a back-end is told of it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib.h"
#include "util/compiler.h"

/* ---- life ---- */

struct vu_fe_mem *vu_fe_mem_new(void)
{
	struct vu_fe_mem *mem = calloc(1, sizeof(*mem));

	if (!mem) {
		err_sys(lib_err(), -ENOMEM, "out-of-memory", "cannot make guest memory");
		return NULL;
	}
	atomic_init(&mem->refs, 1);
	return mem;
}

struct vu_fe_mem *lib_mem_get(struct vu_fe_mem *mem)
{
	atomic_fetch_add(&mem->refs, 1);
	return mem;
}

void vu_fe_mem_free(struct vu_fe_mem *mem)
{
	if (!mem || atomic_fetch_sub(&mem->refs, 1) > 1)
		return;
	while (mem->m.n)
		fe_mem_remove(&mem->m, mem->m.n - 1);
	free(mem);
}

static void *region_new(struct vu_fe_mem *mem, int i)
{
	mem->r[i].users = 0;
	mem->r[i].nr = ++mem->next;
	return mem->m.r[i].host;
}

void *vu_fe_mem_add(struct vu_fe_mem *mem, uint64_t addr, uint64_t size)
{
	const struct fe_mem_spec spec = { .gpa = addr, .size = size };
	int i = fe_mem_add(&mem->m, &spec, lib_err());

	return i < 0 ? NULL : region_new(mem, i);
}

/*
 * A region of our own, whose file is then exchanged: the checks of addresses
 * are in one place, and the mapping is replaced in one step.
 */
void *vu_fe_mem_add_fd(struct vu_fe_mem *mem, uint64_t addr, uint64_t size, int fd, uint64_t offset)
{
	const struct fe_mem_spec spec = { .gpa = addr, .size = size };
	struct fe_region *r;
	struct stat st;
	int own, i, ret;

	/* Pages beyond the end of the file would be SIGBUS, for us and for the device. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)) {
		lib_fail(-EINVAL, "guest-memory", "the file of guest memory is too small");
		return NULL;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0) {
		err_sys(lib_err(), -errno, "guest-memory", "cannot use the file of guest memory");
		return NULL;
	}
	i = fe_mem_add(&mem->m, &spec, lib_err());
	if (i < 0) {
		close(own);
		return NULL;
	}
	r = &mem->m.r[i];
	if (offset > INT64_MAX || mmap(r->host, size, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, own, (off_t)offset) == MAP_FAILED) {
		ret = offset > INT64_MAX ? -EINVAL : -errno;
		fe_mem_remove(&mem->m, (unsigned int)i);
		close(own);
		err_sys(lib_err(), ret, "guest-memory",
			"cannot map %" PRIu64 " bytes at %" PRIu64 " of the file of guest memory",
			size, offset);
		return NULL;
	}
	close(r->fd);
	r->fd = own;
	r->offset = offset;
	return region_new(mem, i);
}

static int find(const struct vu_fe_mem *mem, uint64_t addr)
{
	for (unsigned int i = 0; i < mem->m.n; i++)
		if (mem->m.r[i].gpa == addr)
			return (int)i;
	return -ENOENT;
}

int vu_fe_mem_remove(struct vu_fe_mem *mem, uint64_t addr)
{
	int i = find(mem, addr);

	if (i < 0)
		return err_set(lib_err(), -ENOENT, "guest-memory",
			       "no region of guest memory starts at 0x%" PRIx64, addr);
	if (mem->r[i].users)
		return err_set(lib_err(), -EBUSY, "guest-memory-busy",
			       "the region of guest memory at 0x%" PRIx64 " holds a queue", addr);
	fe_mem_remove(&mem->m, (unsigned int)i);
	memmove(&mem->r[i], &mem->r[i + 1], (mem->m.n - (unsigned int)i) * sizeof(mem->r[0]));
	return 0;
}

void *vu_fe_mem_alloc(struct vu_fe_mem *mem, uint64_t size, uint64_t align, uint64_t *addr)
{
	for (unsigned int i = 0; i < mem->m.n; i++) {
		void *p = fe_mem_alloc(&mem->m, i, size, align, addr);

		if (p)
			return p;
	}
	lib_fail(-ENOMEM, "guest-memory-full", "guest memory has no room for a buffer");
	return NULL;
}

void *vu_fe_mem_host(const struct vu_fe_mem *mem, uint64_t addr, uint64_t len)
{
	return fe_mem_host(&mem->m, addr, len);
}

/* ---- leases ---- */

int lib_lease_begin(struct lib_lease *l, struct vu_fe_mem *mem, struct err *e)
{
	int best = -1;

	for (unsigned int i = 0; i < mem->m.n; i++) {
		const struct fe_region *r = &mem->m.r[i];

		if (best < 0 || r->size - r->used > mem->m.r[best].size - mem->m.r[best].used)
			best = (int)i;
	}
	if (best < 0)
		return err_set(e, -ENOMEM, "guest-memory-full", "guest memory has no region");
	*l = (struct lib_lease){
		.mem = lib_mem_get(mem),
		.addr = mem->m.r[best].gpa,
		.from = mem->m.r[best].used,
	};
	l->to = l->from;
	mem->r[best].users++;
	return best;
}

void lib_lease_taken(struct lib_lease *l)
{
	l->to = l->mem->m.r[find(l->mem, l->addr)].used;
}

void lib_lease_end(struct lib_lease *l)
{
	int i;

	if (!l->mem)
		return;
	i = find(l->mem, l->addr); /* always there: its users are counted */
	l->mem->r[i].users--;
	if (l->mem->m.r[i].used == l->to)
		l->mem->m.r[i].used = l->from;
	vu_fe_mem_free(l->mem);
	l->mem = NULL;
}

/* ---- telling the back-end ---- */

static bool has_nr(const struct vu_fe_mem *mem, uint64_t nr)
{
	for (unsigned int i = 0; i < mem->m.n; i++)
		if (mem->r[i].nr == nr)
			return true;
	return false;
}

static bool told(const struct vu_fe *fe, uint64_t nr)
{
	for (unsigned int i = 0; i < fe->nslots; i++)
		if (fe->slot_nr[i] == nr)
			return true;
	return false;
}

/* What is gone goes first: a new region may take its place. */
static int tell_slots(struct vu_fe *fe, const struct vu_fe_mem *mem, struct err *e)
{
	int ret;

	for (unsigned int i = 0; i < fe->nslots;) {
		if (has_nr(mem, fe->slot_nr[i])) {
			i++;
			continue;
		}
		ret = vuc_rem_mem_reg(fe->c, &fe->slot[i], e);
		if (ret)
			return ret;
		fe->nslots--;
		fe->slot[i] = fe->slot[fe->nslots];
		fe->slot_nr[i] = fe->slot_nr[fe->nslots];
	}
	for (unsigned int i = 0; i < mem->m.n; i++) {
		if (told(fe, mem->r[i].nr))
			continue;
		ret = vuc_add_mem_reg(fe->c, &mem->m.r[i], e);
		if (ret)
			return ret;
		fe->slot[fe->nslots] = mem->m.r[i];
		fe->slot_nr[fe->nslots++] = mem->r[i].nr;
	}
	return 0;
}

int lib_tell_mem(struct vu_fe *fe, struct err *e)
{
	const struct fe_mem *m = &fe->mem->m;
	int ret;

	if (lib_has(fe, VU_PF_MEM_SLOTS)) {
		ret = tell_slots(fe, fe->mem, e);
	} else if (m->n > VHOST_USER_MAX_REGIONS) {
		ret = err_set(e, -E2BIG, "memory-regions",
			      "guest memory has %u regions, the back-end takes %u", m->n,
			      VHOST_USER_MAX_REGIONS);
		err_hint(e, "the back-end would have to offer memory slots (bit 15)");
	} else {
		ret = vuc_set_mem_table(fe->c, m, e);
	}
	fe->mem_told = ret == 0;
	return ret;
}

void lib_use_mem(struct vu_fe *fe, struct vu_fe_mem *mem)
{
	vu_fe_mem_free(fe->mem);
	fe->mem = mem;
	fe->mem_told = false;
	/* Whatever the back-end has is of no use: no region has that number. */
	memset(fe->slot_nr, 0, sizeof(fe->slot_nr));
}

int vu_fe_set_mem(struct vu_fe *fe, struct vu_fe_mem *mem)
{
	LIB_HOLD(fe);

	if (fe->mem != mem) {
		if (fe->state >= LIB_ACTIVE)
			return lib_bad_state("other guest memory needs a device that was reset");
		lib_use_mem(fe, lib_mem_get(mem));
	}
	return lib_tell_mem(fe, lib_err());
}
