/* SPDX-License-Identifier: MIT */
/* Guest memory: regions, addresses, copies; and other memory that is shared with us. */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "util/compiler.h"

/* ---- mappings ---- */

/* @offset need not be that of a page. Closes @fd. */
static void *map_range(int fd, uint64_t offset, uint64_t size, void **map, size_t *map_size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), lead = offset % page, end;
	struct stat st;

	*map = MAP_FAILED;
	if (size && !__builtin_add_overflow(offset, size, &end) && end <= INT64_MAX &&
	    fstat(fd, &st) == 0 && ((uint64_t)st.st_size >= end || defect("mem-file-unchecked"))) {
		*map_size = size + lead;
		*map = mmap(NULL, *map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			    (off_t)(offset - lead));
		if (*map == MAP_FAILED && defect("mem-unmappable-dies"))
			defect_die();
	}
	close(fd);
	return *map == MAP_FAILED ? NULL : (uint8_t *)*map + lead;
}

int shared_map(struct be_shared *s, int fd, uint64_t offset, uint64_t size)
{
	struct be_shared n = { .size = size };

	n.p = map_range(fd, offset, size, &n.map, &n.map_size);
	if (!n.p)
		return -1;
	shared_unmap(s);
	*s = n;
	return 0;
}

void shared_unmap(struct be_shared *s)
{
	if (s->p && !defect("shared-leaks"))
		munmap(s->map, s->map_size);
	*s = (struct be_shared){ 0 };
}

/* ---- regions ---- */

static bool overlap(uint64_t a, uint64_t b, uint64_t alen, uint64_t blen)
{
	if (defect("mem-overlap-taken"))
		return false;
	if (defect("mem-adjacent-refused") && (a == b + blen || b == a + alen))
		return true;
	return a < b + blen && b < a + alen;
}

/* Add it to @list of @n; closes @fd. */
static bool region_add(struct be_region *list, unsigned int n, const struct vhost_user_region *v,
		       int fd)
{
	struct be_region *r = &list[n];
	uint64_t end;

	*r = (struct be_region){ .gpa = v->gpa, .size = v->size, .uva = v->uva };
	if (__builtin_add_overflow(v->gpa, v->size, &end) ||
	    __builtin_add_overflow(v->uva, v->size, &end)) {
		close(fd);
		return false;
	}
	for (unsigned int i = 0; i < n; i++)
		if (overlap(r->gpa, list[i].gpa, r->size, list[i].size) ||
		    overlap(r->uva, list[i].uva, r->size, list[i].size)) {
			close(fd);
			return false;
		}
	if (defect("mem-gpa-32-bits"))
		r->gpa = (uint32_t)r->gpa;
	r->host = map_range(fd, defect("mem-offset-ignored") ? 0 : v->mmap_offset, v->size, &r->map,
			    &r->map_size);
	if (!r->host && defect("mem-map-kills"))
		defect_die();
	return r->host;
}

static void regions_unmap(struct be_region *list, unsigned int n)
{
	for (unsigned int i = 0; i < n && !defect("mem-leaks"); i++)
		munmap(list[i].map, list[i].map_size);
}

int on_set_mem_table(struct be *b, struct be_msg *m)
{
	struct be_region list[VHOST_USER_MAX_REGIONS];
	unsigned int n = m->p.mem.nregions, i;

	if (n > VHOST_USER_MAX_REGIONS || m->nfds != n ||
	    m->h.size != 8 + n * sizeof(struct vhost_user_region))
		return BE_REFUSE;
	if (defect("mem-table-once") && b->nregions)
		return BE_OK;
	for (i = 0; i < n; i++)
		if ((defect("mem-huge-refused") && m->p.mem.regions[i].size > UINT32_MAX) ||
		    (defect("mem-must-ascend") && i &&
		     m->p.mem.regions[i].gpa < m->p.mem.regions[i - 1].gpa))
			return BE_REFUSE;
	for (i = 0; i < n; i++)
		if (!region_add(list, i, &m->p.mem.regions[i], msg_take_fd(b))) {
			regions_unmap(list, i);
			return BE_REFUSE;
		}
	regions_unmap(b->region, b->nregions);
	memcpy(b->region, list, n * sizeof(list[0]));
	b->nregions = n;
	if (defect("mem-table-stops"))
		ring_stop_all(b);
	ring_remap(b);
	return BE_OK;
}

int on_get_max_mem_slots(struct be *b, struct be_msg *m)
{
	(void)m;
	return msg_reply_u64(b, defect("slots-none") ? 0 : BE_MAX_SLOTS);
}

int on_add_mem_reg(struct be *b, struct be_msg *m)
{
	if ((defect("slots-need-table") && !b->nregions) ||
	    (defect("slots-not-running") && ring_any_started(b)) ||
	    (defect("slots-one-less") && b->nregions == BE_MAX_SLOTS - 1))
		return BE_REFUSE;
	if (b->nregions == BE_MAX_SLOTS ||
	    !region_add(b->region, b->nregions, &m->p.single.region, msg_take_fd(b)))
		return BE_REFUSE;
	b->nregions++;
	return BE_OK;
}

int on_rem_mem_reg(struct be *b, struct be_msg *m)
{
	const struct vhost_user_region *v = &m->p.single.region;

	if ((defect("slots-not-running") && ring_any_started(b)) ||
	    (defect("slots-rem-offset") && v->mmap_offset))
		return BE_REFUSE;
	if (defect("slots-rem-nothing"))
		return BE_OK;
	if (defect("slots-rem-stops"))
		ring_stop_all(b);
	for (unsigned int i = 0; i < b->nregions; i++) {
		struct be_region *r = &b->region[i];

		if (r->gpa != v->gpa || r->uva != v->uva || r->size != v->size)
			continue;
		regions_unmap(r, 1);
		*r = b->region[--b->nregions];
		ring_remap(b);
		return BE_OK;
	}
	return BE_REFUSE;
}

void mem_drop(struct be *b)
{
	if (defect("mem-kept"))
		return;
	regions_unmap(b->region, b->nregions);
	b->nregions = 0;
}

/* ---- addresses ---- */

uint8_t *mem_of_uva(const struct be *b, uint64_t uva, uint64_t len)
{
	for (unsigned int i = 0; i < b->nregions; i++) {
		const struct be_region *r = &b->region[i];

		if (uva >= r->uva && uva - r->uva < r->size && len <= r->size - (uva - r->uva))
			return r->host + (uva - r->uva);
	}
	return NULL;
}

/* Where @gpa is, and how many bytes follow it in the region. */
static uint8_t *find(const struct be *b, uint64_t gpa, uint64_t *room)
{
	for (unsigned int i = 0; i < b->nregions; i++) {
		const struct be_region *r = &b->region[i];

		if (i && defect("mem-first-region"))
			break;

		if (gpa >= r->gpa && gpa - r->gpa < r->size) {
			*room = r->size - (gpa - r->gpa);
			return r->host + (gpa - r->gpa);
		}
	}
	return NULL;
}

/* @how < 0: guest to @buf, > 0: @buf to guest, 0: only look whether all of it is there. */
static bool copy(const struct be *b, uint64_t gpa, uint8_t *buf, uint64_t len, int how)
{
	while (len) {
		uint64_t room;
		uint8_t *p = find(b, gpa, &room);

		if (!p)
			return false;
		room = MIN(room, len);
		if (how < 0)
			memcpy(buf, p, room);
		else if (how > 0)
			memcpy(p, buf, room);
		buf = how ? buf + room : buf;
		gpa += room;
		len -= room;
	}
	return true;
}

void *mem_translate(void *be, uint64_t gpa, uint64_t len)
{
	struct be *b = be;
	uint64_t room, end;
	uint8_t *p = find(b, gpa, &room);

	if (!p || __builtin_add_overflow(gpa, len, &end))
		return NULL;
	if (len <= room)
		return p;
	if (defect("mem-one-region"))
		return NULL;
	if (!copy(b, gpa, NULL, len, 0))
		return NULL;
	/* Only of tables does somebody read the bytes; those fit. */
	copy(b, gpa, b->bounce, MIN(len, sizeof(b->bounce)), -1);
	return b->bounce;
}

bool mem_read(struct be *b, uint64_t gpa, void *to, size_t len)
{
	return copy(b, gpa, to, len, -1);
}

bool mem_write(struct be *b, uint64_t gpa, const void *from, size_t len)
{
	if (!copy(b, gpa, (uint8_t *)(uintptr_t)from, len, 1))
		return false;
	log_data(b, gpa, len);
	b->last_write = mem_translate(b, gpa, 1);
	return true;
}
