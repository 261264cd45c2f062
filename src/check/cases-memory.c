/* SPDX-License-Identifier: MIT */
/* vuctl check: memory tables. Slots are in cases-memory-slots.c. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"

#define TABLE  "vhost-user: VHOST_USER_SET_MEM_TABLE"
#define ACCESS "vhost-user: Memory access"
#define REGION "vhost-user: Memory regions description"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* Memory of one region after the other, rings and buffers in the first. */
static struct check_dev *dev_with(struct check *c, const struct fe_mem_spec *specs, unsigned int n)
{
	const struct check_dev_args a = { .specs = specs, .nspecs = n };

	return check_dev(c, &a);
}

/* Read into each region. */
static void read_into_all(struct check *c, struct check_dev *d)
{
	for (unsigned int i = 0; i < d->m->n; i++) {
		uint64_t gpa;
		uint8_t *host = fe_mem_alloc(d->m, i, raw_block(c), 4096, &gpa);

		if (!host)
			check_fail(c, "room in guest memory", "none in region %u", i);
		raw_read_into(c, d, gpa, host);
	}
}

static void eight_regions(struct check *c)
{
	struct fe_mem_spec s[VHOST_USER_MAX_REGIONS];

	/* Holes in between, sizes that are no powers of two. */
	for (unsigned int i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = (struct fe_mem_spec){ .gpa = i * 64 * MIB, .size = (i ? 3 : 16) * MIB };
	read_into_all(c, dev_with(c, s, ARRAY_SIZE(s)));
}

static void any_order(struct check *c)
{
	static const struct fe_mem_spec s[] = {
		{ .gpa = 512 * MIB, .size = 16 * MIB },
		{ .gpa = 0, .size = 2 * MIB },
		{ .gpa = 768 * MIB, .size = 2 * MIB },
		{ .gpa = 2 * MIB, .size = 2 * MIB },
	};

	read_into_all(c, dev_with(c, s, ARRAY_SIZE(s)));
}

static void adjacent(struct check *c)
{
	static const struct fe_mem_spec s[] = {
		{ .gpa = 0, .size = 16 * MIB },
		{ .gpa = 16 * MIB, .size = 2 * MIB },
		{ .gpa = 18 * MIB, .size = 2 * MIB },
	};
	struct check_dev *d = dev_with(c, s, ARRAY_SIZE(s));

	/* The last bytes of one, the first of the next. */
	raw_read_into(c, d, 18 * MIB - raw_block(c),
		      fe_mem_host(d->m, 18 * MIB - raw_block(c), raw_block(c)));
	raw_read_into(c, d, 18 * MIB, fe_mem_host(d->m, 18 * MIB, raw_block(c)));
}

static void high_address(struct check *c)
{
	static const struct fe_mem_spec s[] = {
		{ .gpa = (uint64_t)1 << 44, .size = 16 * MIB },
		{ .gpa = ((uint64_t)1 << 46) - 4 * MIB, .size = 4 * MIB },
	};

	read_into_all(c, dev_with(c, s, ARRAY_SIZE(s)));
}

static void file_offset(struct check *c)
{
	static const struct fe_mem_spec s[] = {
		{ .gpa = 0, .size = 16 * MIB, .offset = 4096 },
		{ .gpa = GIB, .size = 2 * MIB, .offset = 6 * MIB + 12288 },
	};

	read_into_all(c, dev_with(c, s, ARRAY_SIZE(s)));
}

static void huge_sparse(struct check *c)
{
	static const struct fe_mem_spec s[] = {
		{ .gpa = 0, .size = 16 * MIB },
		{ .gpa = 64 * GIB, .size = 64 * GIB },
	};
	struct check_dev *d = dev_with(c, s, ARRAY_SIZE(s));
	uint64_t last = 128 * GIB - 4096 - raw_block(c);

	read_into_all(c, d);
	raw_read_into(c, d, last, fe_mem_host(d->m, last, raw_block(c)));
}

/* ---- tables made by hand ---- */

/**
 * struct table - SET_MEM_TABLE as it will be sent
 * @nfds:	descriptors to send; UINT_MAX: one per region
 */
struct table {
	struct vhost_user_mem_table t;
	int fds[RAW_MAX_FDS];
};

static struct vhost_user_region region_of(const struct fe_region *r)
{
	return (struct vhost_user_region){ r->gpa, r->size, r->uva, r->offset };
}

static uint32_t table_size(unsigned int n)
{
	return (uint32_t)(offsetof(struct vhost_user_mem_table, regions) +
			  n * sizeof(struct vhost_user_region));
}

static int send_table(struct vuc *v, const struct table *t, unsigned int nfds, struct err *e)
{
	struct vuc_msg m = {
		.request = VHOST_USER_SET_MEM_TABLE,
		.payload = &t->t,
		.size = table_size(t->t.nregions),
		.fds = t->fds,
		.nfds = nfds,
	};

	return vuc_call(v, &m, e);
}

/* One file behind two regions, as a PC with memory below and above the hole has it. */
static void shared_file(struct check *c)
{
	static const struct check_dev_args stopped = { .no_start = true };
	struct check_dev *d = check_dev(c, &stopped);
	const struct fe_region *r = &d->m->r[0];
	uint64_t half = r->size / 2;
	struct table t = { .t = { .nregions = 2 }, .fds = { r->fd, r->fd } };
	struct err e;

	t.t.regions[0] = (struct vhost_user_region){ r->gpa, half, r->uva, r->offset };
	t.t.regions[1] = (struct vhost_user_region){ 4 * GIB, half, r->uva + half,
						     r->offset + half };
	if (r->used > half)
		check_skip(c, "rings and buffers need more than half of the memory");
	check_ok(c, &e, send_table(d->v, &t, 2, &e));
	check_start(c, d, 0);
	raw_read_into(c, d, 4 * GIB + 8192, r->host + half + 8192);
	raw_read_into(c, d, 4 * GIB + half - 4096 - raw_block(c),
		      r->host + r->size - 4096 - raw_block(c));
}

/*
 * A region that starts in the middle of a page of its file. Nothing says that it cannot; a
 * back-end may refuse it, but not put the data elsewhere.
 */
static void offset_unaligned(struct check *c)
{
	static const struct fe_mem_spec s[] = { { .gpa = 0, .size = 16 * MIB },
						{ .gpa = GIB, .size = 4 * MIB } };
	const struct check_dev_args a = { .specs = s, .nspecs = 2, .no_start = true };
	struct check_dev *d = check_dev(c, &a);
	const struct fe_region *r = &d->m->r[1];
	struct table t = { .t = { .nregions = 2 }, .fds = { d->m->r[0].fd, r->fd } };
	struct err e;

	t.t.regions[0] = region_of(&d->m->r[0]);
	t.t.regions[1] = (struct vhost_user_region){ GIB, r->size - 4096, r->uva + 512,
						     r->offset + 512 };
	if (raw_said(c, send_table(d->v, &t, 2, &e), &e)) {
		check_note(c, "the table was refused");
		check_alive(c);
		return;
	}
	check_start(c, d, 0);
	raw_read_into(c, d, GIB + 4096, r->host + 512 + 4096);
}

/* ---- while rings run ---- */

static void replaced_running(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e;

	for (unsigned int i = 0; i < 20; i++) {
		check_ok(c, &e, vuc_set_mem_table(d->v, d->m, &e));
		check_works(c, d, 0);
	}
}

static void replaced_grows(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e;

	for (unsigned int i = 1; i < VHOST_USER_MAX_REGIONS; i++) {
		const struct fe_mem_spec s = { .gpa = i * GIB, .size = 2 * MIB };

		if (fe_mem_add(d->m, &s, &e) < 0)
			check_skip(c, "%s", e.what);
		check_ok(c, &e, vuc_set_mem_table(d->v, d->m, &e));
		read_into_all(c, d);
	}
}

static void replaced_forgets(struct check *c)
{
	static const struct fe_mem_spec s[] = { { .gpa = 0, .size = 16 * MIB },
						{ .gpa = GIB, .size = 2 * MIB } };
	struct check_dev *d = dev_with(c, s, 2);
	const struct fe_mem_spec other = { .gpa = GIB, .size = 2 * MIB };
	struct fe_region *old = &d->m->r[1];
	uint8_t *before;
	struct err e;

	raw_read_into(c, d, GIB, old->host);
	before = mmap(NULL, raw_block(c), PROT_READ | PROT_WRITE, MAP_SHARED, old->fd, 0);
	if (before == MAP_FAILED)
		check_skip(c, "cannot map guest memory twice: %s", strerror(errno));
	memset(before, 0x77, raw_block(c));
	fe_mem_remove(d->m, 1);
	if (fe_mem_add(d->m, &other, &e) < 0)
		check_skip(c, "%s", e.what);
	check_ok(c, &e, vuc_set_mem_table(d->v, d->m, &e));
	raw_read_into(c, d, GIB, d->m->r[1].host);
	for (uint32_t i = 0; i < raw_block(c); i++) {
		if (before[i] == 0x77)
			continue;
		munmap(before, raw_block(c));
		check_fail(c, "only memory of the present table is written",
			   "the file of the table before it was");
	}
	munmap(before, raw_block(c));
}

/* ---- what cannot be mapped ---- */

/* Send a table whose second region is @bad; refused, or not. The rings do not run. */
static bool refused(struct check *c, const struct vhost_user_region *bad, unsigned int nfds)
{
	static const struct check_dev_args stopped = { .no_start = true };
	struct check_dev *d = check_dev(c, &stopped);
	struct table t = { .t = { .nregions = 2 } };
	struct err e;
	bool no;

	for (unsigned int i = 0; i < ARRAY_SIZE(t.fds); i++)
		t.fds[i] = d->m->r[0].fd;
	t.t.regions[0] = region_of(&d->m->r[0]);
	t.t.regions[1] = *bad;
	no = check_refused(c, d->v, send_table(d->v, &t, nfds, &e));
	check_dev_close(c, d);
	return no;
}

static void must_refuse(struct check *c, const struct vhost_user_region *bad, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (!refused(c, &bad[i], 2))
			check_fail(c, "the table is refused, or the connection closed",
				   "a region with guest address 0x%llx, size 0x%llx, user address "
				   "0x%llx, offset 0x%llx was accepted",
				   (unsigned long long)bad[i].gpa, (unsigned long long)bad[i].size,
				   (unsigned long long)bad[i].uva,
				   (unsigned long long)bad[i].mmap_offset);
	check_alive(c);
}

#define FREE_UVA ((uint64_t)1 << 45) /* the user address of nothing else */

static void overlap(struct check *c)
{
	/* The helper's region is 16 MiB at 0. */
	static const struct vhost_user_region bad[] = {
		{ 0, 16 * MIB, FREE_UVA, 0 },
		{ 16 * MIB - 4096, 4 * MIB, FREE_UVA, 0 },
		{ 4 * MIB, 4096, FREE_UVA, 0 },
	};

	must_refuse(c, bad, ARRAY_SIZE(bad));
}

static void zero_size(struct check *c)
{
	static const struct vhost_user_region bad = { GIB, 0, FREE_UVA, 0 };

	must_refuse(c, &bad, 1);
}

static void beyond_file(struct check *c)
{
	static const struct vhost_user_region bad[] = {
		{ GIB, 16 * MIB + 4096, FREE_UVA, 0 },
		{ GIB, 4096, FREE_UVA, 16 * MIB },
		{ GIB, 16 * MIB, FREE_UVA, 4096 },
		{ GIB, GIB, FREE_UVA, 0 },
	};

	must_refuse(c, bad, ARRAY_SIZE(bad));
}

static void wraparound(struct check *c)
{
	static const struct vhost_user_region bad[] = {
		{ UINT64_MAX - 4095, 8192, FREE_UVA, 0 },
		{ GIB, 8192, UINT64_MAX - 4095, 0 },
		{ GIB, 8192, FREE_UVA, UINT64_MAX - 4095 },
		{ GIB, UINT64_MAX - 4095, FREE_UVA, 0 },
		{ GIB, UINT64_MAX - 4095, FREE_UVA, 8192 },
		{ GIB, (uint64_t)1 << 63, FREE_UVA, (uint64_t)1 << 63 },
	};

	must_refuse(c, bad, ARRAY_SIZE(bad));
}

static void missing_fd(struct check *c)
{
	static const struct vhost_user_region r = { GIB, 4096, FREE_UVA, 0 };

	for (unsigned int n = 0; n < 2; n++)
		if (!refused(c, &r, n))
			check_fail(c, "the table is refused, or the connection closed",
				   "two regions with %u descriptors were accepted", n);
	check_alive(c);
}

/* Too many: what becomes of the message is the back-end's business, but not of the rest. */
static void surplus_fds(struct check *c)
{
	static const struct check_dev_args stopped = { .no_start = true };
	static const unsigned int counts[] = { 2, 8, 9, 64 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct check_dev *d = check_dev(c, &stopped);
		struct table t = { .t = { .nregions = 1 } };
		struct raw_probe p;
		struct err e;

		t.t.regions[0] = region_of(&d->m->r[0]);
		raw_probe_open(c, &p);
		for (unsigned int k = 0; k < ARRAY_SIZE(t.fds); k++)
			t.fds[k] = p.give;
		t.fds[0] = d->m->r[0].fd;
		(void)send_table(d->v, &t, counts[i], &e);
		check_dev_close(c, d);
		if (!raw_probe_gone(c, &p))
			check_fail(c, "descriptors too many are closed",
				   "some of %u are still open after the end of the connection",
				   counts[i] - 1);
	}
	check_alive(c);
}

/* More regions than the message can hold, or than it has bytes for. */
static void region_count(struct check *c)
{
	static const struct check_dev_args stopped = { .no_start = true };
	static const uint32_t counts[] = { 9, 64, 0x10000, 0x10000001, 0x80000000, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct check_dev *d = check_dev(c, &stopped);
		struct table t = { .t = { .nregions = counts[i] } };
		struct vuc_msg m = {
			.request = VHOST_USER_SET_MEM_TABLE,
			.payload = &t.t,
			.size = sizeof(t.t),
			.fds = t.fds,
			.nfds = VHOST_USER_MAX_FDS,
		};
		struct err e;

		for (unsigned int k = 0; k < VHOST_USER_MAX_REGIONS; k++) {
			t.t.regions[k] = (struct vhost_user_region){ k * MIB, MIB,
								     FREE_UVA + k * MIB, k * MIB };
			t.fds[k] = d->m->r[0].fd;
		}
		if (!check_refused(c, d->v, vuc_call(d->v, &m, &e)))
			check_fail(c, "the table is refused, or the connection closed",
				   "a table of %u regions in %u bytes was accepted", counts[i],
				   m.size);
		check_dev_close(c, d);
	}
	check_alive(c);
}

/*
 * The file ends before the region does, and the ring lies beyond its end: a back-end that
 * takes such a table is lost at the first access, unless it is prepared for it.
 */
static void beyond_file_ring(struct check *c)
{
	static const struct fe_mem_spec s = { .size = 16 * MIB, .may_shrink = true };
	const struct check_dev_args a = { .specs = &s, .nspecs = 1, .no_start = true };
	struct check_dev *d = check_dev(c, &a);
	struct fe_queue *q = &d->q[0];
	const struct vhost_user_vring_addr addr = {
		.desc = d->m->r[0].uva + 8 * MIB,
		.avail = d->m->r[0].uva + 9 * MIB,
		.used = d->m->r[0].uva + 10 * MIB,
	};
	struct err e;
	int ret;

	if (ftruncate(d->m->r[0].fd, 4096) < 0)
		check_skip(c, "cannot shrink guest memory: %s", strerror(errno));
	/* Nothing of ours touches guest memory from here on. */
	ret = vuc_set_mem_table(d->v, d->m, &e);
	if (ret == 0)
		ret = raw_state(d->v, VHOST_USER_SET_VRING_NUM, 0, 128, &e);
	if (ret == 0)
		ret = vuc_set_vring_addr(d->v, &addr, &e);
	if (ret == 0)
		ret = vuc_set_vring_call(d->v, 0, q->call_fd, &e);
	if (ret == 0)
		ret = vuc_set_vring_kick(d->v, 0, q->kick_fd, &e);
	if (ret == 0)
		ret = vuc_set_vring_enable(d->v, 0, true, &e);
	if (ret == 0)
		fe_queue_kick(q);
	raw_said(c, ret, &e);
	check_note(c, "%s", ret ? e.what : "table and ring were accepted");
	check_alive(c);
	check_disconnect(c, d->v);
	check_alive(c);
}

const struct check_case check_memory_cases[] = {
	{ "memory.eight-regions", REGION, "a table of eight regions is reached everywhere",
	  CHECK_MUST, NEED_BLK, false, eight_regions },
	{ "memory.any-order", REGION, "regions may come in any order of addresses", CHECK_MUST,
	  NEED_BLK, false, any_order },
	{ "memory.adjacent", REGION, "regions may lie next to each other", CHECK_MUST, NEED_BLK,
	  false, adjacent },
	{ "memory.high-address", ACCESS, "guest addresses have more than 32 bits", CHECK_MUST,
	  NEED_BLK, false, high_address },
	{ "memory.file-offset", REGION, "a region begins at its offset in the file", CHECK_MUST,
	  NEED_BLK, false, file_offset },
	{ "memory.huge-sparse", REGION, "a region of 64 GiB costs nothing until it is used",
	  CHECK_SHOULD, NEED_BLK, false, huge_sparse },
	{ "memory.shared-file", REGION, "two regions may be parts of one file", CHECK_MUST,
	  NEED_BLK, false, shared_file },
	{ "memory.offset-unaligned", REGION,
	  "an offset in the middle of a page is mapped right, or refused", CHECK_MUST, NEED_BLK,
	  false, offset_unaligned },
	{ "memory.replaced-running", "vhost-user: Ring states",
	  "the same table again while rings run changes nothing", CHECK_MUST, 0, true,
	  replaced_running },
	{ "memory.replaced-grows", TABLE, "a new table takes effect while rings run", CHECK_MUST,
	  NEED_BLK, true, replaced_grows },
	{ "memory.replaced-forgets", TABLE, "a new table replaces the old one wholly", CHECK_MUST,
	  NEED_BLK, false, replaced_forgets },
	{ "memory.overlap", ACCESS, "regions that overlap are refused", CHECK_SHOULD, 0, false,
	  overlap },
	{ "memory.zero-size", REGION, "a region of no size is refused", CHECK_SHOULD, 0, false,
	  zero_size },
	{ "memory.beyond-file", REGION, "a region that ends behind the end of its file is refused",
	  CHECK_SHOULD, 0, false, beyond_file },
	{ "memory.wraparound", REGION, "regions whose addresses or offsets overflow are refused",
	  CHECK_SHOULD, 0, false, wraparound },
	{ "memory.missing-fd", TABLE, "a table with fewer descriptors than regions is refused",
	  CHECK_MUST, 0, false, missing_fd },
	{ "memory.surplus-fds", TABLE, "descriptors beyond the number of regions are not kept",
	  CHECK_MUST, 0, false, surplus_fds },
	{ "memory.region-count", TABLE, "a table of more than eight regions is refused",
	  CHECK_SHOULD, 0, false, region_count },
	{ "memory.beyond-file-ring", ACCESS,
	  "a ring in memory that its file does not have costs the ring, not the back-end",
	  CHECK_MUST, 0, false, beyond_file_ring },
	{ 0 },
};
