/* SPDX-License-Identifier: MIT */
/*
 * The front end's memory: each message makes a new snapshot and gives it to
 * the device. A message that is refused leaves everything as it was.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "transport/vhost-user/session.h"

static void memory_taken(struct vu_session *s, int res)
{
	struct err e;

	if (res < 0)
		err_sys(&e, res, "memory-refused", "the device refused the memory");
	vu_session_answer(s, res, &e);
}

/* Takes over the reference. NULL: no memory at all. */
static int memory_set(struct vu_session *s, struct gmem *m)
{
	gmem_put(s->mem);
	s->mem = m;
	vdev_set_memory(s->dev, m, vu_session_wait(s, memory_taken));
	return VU_LATER;
}

static struct gmem_region *map_region(struct vu_session *s, const struct vhost_user_region *r,
				      struct err *e)
{
	struct gmem_region *reg;
	int fd = vu_io_take_fd(&s->io);

	if (fd < 0) {
		vu_err_not_shared(e, -EINVAL);
		return NULL;
	}
	/* Size, overflow and the length of the file are checked there. */
	reg = gmem_region_map(fd, r->mmap_offset, r->size, r->gpa, r->uva, GMEM_RW, e);
	close(fd);
	if (!reg && e->code != -EINVAL)
		vu_hint_not_shared(e);
	return reg;
}

int vu_set_mem_table(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	const struct vhost_user_mem_table *t = &m->p.mem; /* nregions is checked with the size */
	struct gmem_region *regions[VHOST_USER_MAX_REGIONS] = { NULL };
	struct gmem *mem = NULL;
	unsigned int n;

	for (n = 0; n < t->nregions; n++) {
		regions[n] = map_region(s, &t->regions[n], e);
		if (!regions[n])
			break;
	}
	if (n == t->nregions)
		mem = gmem_new(regions, n, e);
	for (unsigned int i = 0; i < n; i++)
		gmem_region_put(regions[i]); /* the snapshot has its own reference */
	if (!mem)
		return -EINVAL;
	return memory_set(s, mem);
}

int vu_get_max_mem_slots(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	uint64_t v = VHOST_USER_MAX_SLOTS;

	return vu_session_reply(s, &v, sizeof(v), e);
}

int vu_add_mem_reg(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	struct gmem_region *reg;
	struct gmem *mem;

	if (s->mem && s->mem->n >= VHOST_USER_MAX_SLOTS)
		return err_set(e, -ENOSPC, "memory-slots", "more than %u memory regions",
			       VHOST_USER_MAX_SLOTS);
	reg = map_region(s, &m->p.single.region, e);
	if (!reg)
		return -EINVAL;
	mem = s->mem ? gmem_with(s->mem, reg, e) : gmem_new(&reg, 1, e);
	gmem_region_put(reg);
	if (!mem)
		return -EINVAL;
	return memory_set(s, mem);
}

int vu_rem_mem_reg(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	const struct vhost_user_region *r = &m->p.single.region;
	struct gmem_region *reg = s->mem ? gmem_find(s->mem, GMEM_BUS, r->gpa) : NULL;
	struct gmem *mem;

	/* The offset in the file does not count: not every front end repeats it. */
	if (!reg || reg->bus != r->gpa || reg->user != r->uva || reg->size != r->size)
		return err_set(e, -ENOENT, "memory-region-unknown",
			       "no memory region of 0x%" PRIx64 " bytes at guest address 0x%" PRIx64
			       " to be removed",
			       r->size, r->gpa);
	mem = gmem_without(s->mem, reg, e);
	if (!mem)
		return -ENOMEM;
	return memory_set(s, mem);
}
