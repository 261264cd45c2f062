/* SPDX-License-Identifier: MIT */
/* vuctl check: memory that comes and goes region by region. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"

#define SLOTS "vhost-user: VHOST_USER_GET_MAX_MEM_SLOTS"
#define ADD   "vhost-user: VHOST_USER_ADD_MEM_REG"
#define REM   "vhost-user: VHOST_USER_REM_MEM_REG"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* A second region, for a device whose rings and buffers are in the first. */
static struct fe_region *more(struct check *c, struct check_dev *d, uint64_t gpa, uint64_t size)
{
	const struct fe_mem_spec s = { .gpa = gpa, .size = size };
	struct err e;
	int i = fe_mem_add(d->m, &s, &e);

	if (i < 0)
		check_skip(c, "%s", e.what);
	return &d->m->r[i];
}

/* Drop a region of ours; the back-end was told, or is to be surprised. */
static void less(struct check_dev *d, const struct fe_region *r)
{
	fe_mem_remove(d->m, (unsigned int)(r - d->m->r));
}

/* A device whose memory was never in a table: front-ends use the one or the other. */
static struct check_dev *slots_dev(struct check *c, bool start)
{
	static const struct check_dev_args a = { .no_start = true, .protocol_off = RAW_PF(STATUS) };
	struct check_dev *d = check_dev(c, &a);
	struct err e;

	raw_reattach(c, d);
	check_ok(c, &e, vuc_add_mem_reg(d->v, &d->m->r[0], &e));
	if (start)
		check_start(c, d, 0);
	return d;
}

static void count(struct check *c)
{
	struct vuc *v = check_connect(c);
	uint64_t n = 0;
	struct err e;

	check_negotiate(c, v, RAW_VIRTIO, RAW_PROTOCOL);
	check_ok(c, &e, vuc_get_max_mem_slots(v, &n, &e));
	if (n < 1)
		check_fail(c, "at least one memory slot", "%llu", (unsigned long long)n);
}

static void only(struct check *c)
{
	check_works(c, slots_dev(c, true), 0);
}

static void add_running(struct check *c)
{
	struct check_dev *d = slots_dev(c, true);
	struct fe_region *r = more(c, d, 2 * GIB, 2 * MIB);
	struct err e;

	if (check_facts(c)->mem_slots < 2)
		check_skip(c, "there is one memory slot only");
	check_works(c, d, 0);
	check_ok(c, &e, vuc_add_mem_reg(d->v, r, &e));
	raw_read_into(c, d, r->gpa + 4096, r->host + 4096);
}

#define FILL_MAX 300 /* of more slots than that, these; descriptors are dear */

static void fill(struct check *c)
{
	unsigned int n = (unsigned int)MIN(check_facts(c)->mem_slots, (uint64_t)FILL_MAX);
	struct check_dev *d = slots_dev(c, true);
	struct err e;

	for (unsigned int i = 1; i < n; i++) {
		struct fe_region *r = more(c, d, GIB + i * MIB, 65536);

		check_ok(c, &e, vuc_add_mem_reg(d->v, r, &e));
	}
	for (unsigned int i = 1; i < n; i += n / 8 + 1)
		raw_read_into(c, d, d->m->r[i].gpa, d->m->r[i].host);
	if (n > 1)
		raw_read_into(c, d, d->m->r[n - 1].gpa, d->m->r[n - 1].host);
}

static void beyond(struct check *c)
{
	uint64_t n = check_facts(c)->mem_slots;
	struct check_dev *d = slots_dev(c, false);
	struct fe_region r = d->m->r[0];
	struct err e;

	if (n > 4096)
		check_skip(c, "there are %llu slots", (unsigned long long)n);
	/* All of one file: the back-end cannot tell. */
	r.size = 4096;
	for (uint64_t i = 1; i < n; i++) {
		r.gpa = GIB + i * 4096;
		r.uva = ((uint64_t)1 << 44) + i * 4096;
		check_ok(c, &e, vuc_add_mem_reg(d->v, &r, &e));
	}
	r.gpa = GIB + n * 4096;
	r.uva = ((uint64_t)1 << 44) + n * 4096;
	if (!check_refused(c, d->v, vuc_add_mem_reg(d->v, &r, &e)))
		check_fail(c, "a region more than there are slots is refused",
			   "number %llu was accepted", (unsigned long long)n + 1);
	check_alive(c);
}

static void remove_add(struct check *c)
{
	struct check_dev *d = slots_dev(c, true);
	struct err e;

	if (check_facts(c)->mem_slots < 2)
		check_skip(c, "there is one memory slot only");
	/* Each time another file, at the same guest address. */
	for (unsigned int i = 0; i < 8; i++) {
		struct fe_region *r = more(c, d, GIB, 2 * MIB);

		check_ok(c, &e, vuc_add_mem_reg(d->v, r, &e));
		raw_read_into(c, d, GIB + 8192, r->host + 8192);
		check_ok(c, &e, vuc_rem_mem_reg(d->v, r, &e));
		less(d, r);
	}
}

static void remove_unknown(struct check *c)
{
	static const uint64_t off[][3] = { /* guest address, size, user address */
					   { MIB, 0, 0 },
					   { 0, 4096, 0 },
					   { 0, 0, 4096 },
					   { 0, (uint64_t)-4096, 0 },
					   { GIB, 0, GIB }
	};

	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		struct check_dev *d = slots_dev(c, false);
		struct fe_region r = d->m->r[0];
		struct err e;

		r.gpa += off[i][0];
		r.size += off[i][1];
		r.uva += off[i][2];
		if (!check_refused(c, d->v, vuc_rem_mem_reg(d->v, &r, &e)))
			check_fail(c, "a region that was never added cannot be removed",
				   "the removal of 0x%llx bytes at 0x%llx was accepted",
				   (unsigned long long)r.size, (unsigned long long)r.gpa);
		check_dev_close(c, d);
	}
	check_alive(c);
}

static void remove_offset(struct check *c)
{
	struct check_dev *d = slots_dev(c, true);
	struct fe_region *r = more(c, d, GIB, 2 * MIB), other;
	struct err e;

	if (check_facts(c)->mem_slots < 2)
		check_skip(c, "there is one memory slot only");
	check_ok(c, &e, vuc_add_mem_reg(d->v, r, &e));
	other = *r;
	other.offset = 64 * MIB;
	check_ok(c, &e, vuc_rem_mem_reg(d->v, &other, &e));
	/* It is really gone: the same address can be given to another file. */
	less(d, r);
	r = more(c, d, GIB, 2 * MIB);
	check_ok(c, &e, vuc_add_mem_reg(d->v, r, &e));
	raw_read_into(c, d, GIB, r->host);
}

static void remove_with_fd(struct check *c)
{
	struct check_dev *d = slots_dev(c, false);
	const struct fe_region *r = &d->m->r[0];
	struct vhost_user_single_region s = { .region = { r->gpa, r->size, r->uva, r->offset } };
	struct raw_probe p;
	struct vuc_msg m = {
		.request = VHOST_USER_REM_MEM_REG,
		.payload = &s,
		.size = sizeof(s),
		.fds = &p.give,
		.nfds = 1,
	};
	struct err e;

	raw_probe_open(c, &p);
	if (raw_said(c, vuc_call(d->v, &m, &e), &e))
		check_note(c, "the message was refused");
	/* While the connection lasts, if it does. */
	if (!raw_probe_gone(c, &p))
		check_fail(c, "the descriptor is closed", "it is still open");
	check_alive(c);
}

static void remove_busy(struct check *c)
{
	struct check_dev *d = slots_dev(c, true);
	struct fe_region *r = more(c, d, GIB, 2 * MIB);
	struct err e;

	if (check_facts(c)->mem_slots < 2)
		check_skip(c, "there is one memory slot only");
	for (unsigned int i = 0; i < 50; i++) {
		raw_submit(c, d, 32);
		check_ok(c, &e, vuc_add_mem_reg(d->v, r, &e));
		raw_collect(c, d, 32);
		raw_submit(c, d, 32);
		check_ok(c, &e, vuc_rem_mem_reg(d->v, r, &e));
		raw_collect(c, d, 32);
	}
}

/* What runs must not fall when the floor is taken away. */
static void remove_ring(struct check *c)
{
	struct check_dev *d = slots_dev(c, true);
	struct err e;
	int ret;

	check_works(c, d, 0);
	raw_submit(c, d, 32);
	ret = vuc_rem_mem_reg(d->v, &d->m->r[0], &e);
	raw_said(c, ret, &e);
	if (ret == 0) {
		fe_queue_kick(&d->q[0]);
		raw_sync(c, d->v);
		fe_queue_kick(&d->q[0]);
	}
	check_alive(c);
}

static void add_refused(struct check *c)
{
	static const struct {
		uint64_t gpa, size, uva, offset;
		const char *why;
	} bad[] = {
		{ 8 * MIB, 2 * MIB, (uint64_t)1 << 45, 0, "overlaps another" },
		{ GIB, 0, (uint64_t)1 << 45, 0, "has no size" },
		{ GIB, 2 * MIB, (uint64_t)1 << 45, 16 * MIB - 4096, "ends behind its file" },
		{ UINT64_MAX - 4095, 8192, (uint64_t)1 << 45, 0, "has overflowing addresses" },
		{ GIB, 8192, (uint64_t)1 << 45, UINT64_MAX - 4095, "has an overflowing offset" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct check_dev *d = slots_dev(c, false);
		struct fe_region r = d->m->r[0];
		struct err e;

		r.gpa = bad[i].gpa;
		r.size = bad[i].size;
		r.uva = bad[i].uva;
		r.offset = bad[i].offset;
		if (!check_refused(c, d->v, vuc_add_mem_reg(d->v, &r, &e)))
			check_fail(c, "the region is refused, or the connection closed",
				   "one that %s was accepted", bad[i].why);
		check_dev_close(c, d);
	}
	check_alive(c);
}

static void add_fds(struct check *c)
{
	static const unsigned int counts[] = { 0, 2, 8 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct check_dev *d = slots_dev(c, false);
		struct vhost_user_single_region s = { .region = { GIB, MIB, 1 * GIB, 0 } };
		int fds[8];
		struct vuc_msg m = {
			.request = VHOST_USER_ADD_MEM_REG,
			.payload = &s,
			.size = sizeof(s),
			.fds = fds,
			.nfds = counts[i],
		};
		struct err e;

		for (size_t k = 0; k < ARRAY_SIZE(fds); k++)
			fds[k] = d->m->r[0].fd;
		if (!check_refused(c, d->v, vuc_call(d->v, &m, &e)))
			check_fail(c, "exactly one descriptor, or the message is refused",
				   "a region with %u was accepted", counts[i]);
		check_dev_close(c, d);
	}
	check_alive(c);
}

const struct check_case check_memory_slots_cases[] = {
	{ "memory.slots-count", SLOTS, "a back-end that offers memory slots has at least one",
	  CHECK_MUST, NEED_MEM_SLOTS, false, count },
	{ "memory.slots-only", ADD, "memory can be given region by region from the beginning",
	  CHECK_MUST, NEED_MEM_SLOTS | NEED_BLK, true, only },
	{ "memory.slots-add-running", ADD, "a region can be added while rings run", CHECK_MUST,
	  NEED_MEM_SLOTS | NEED_BLK, true, add_running },
	{ "memory.slots-fill", SLOTS, "as many regions can be added as there are slots", CHECK_MUST,
	  NEED_MEM_SLOTS | NEED_BLK, false, fill },
	{ "memory.slots-beyond", SLOTS, "a region more than there are slots is refused",
	  CHECK_SHOULD, NEED_MEM_SLOTS, false, beyond },
	{ "memory.slots-remove-add", REM, "where a region was removed another can be added",
	  CHECK_MUST, NEED_MEM_SLOTS | NEED_BLK, true, remove_add },
	{ "memory.slots-remove-unknown", REM, "a region that is not there cannot be removed",
	  CHECK_SHOULD, NEED_MEM_SLOTS, false, remove_unknown },
	{ "memory.slots-remove-offset", REM,
	  "the offset in the file does not count when a region is removed", CHECK_MUST,
	  NEED_MEM_SLOTS | NEED_BLK, false, remove_offset },
	{ "memory.slots-remove-with-fd", REM, "a descriptor that comes with a removal is closed",
	  CHECK_MUST, NEED_MEM_SLOTS, false, remove_with_fd },
	{ "memory.slots-remove-busy", REM,
	  "regions come and go while requests run in others, which do not notice", CHECK_MUST,
	  NEED_MEM_SLOTS | NEED_BLK, true, remove_busy },
	{ "memory.slots-remove-ring", REM,
	  "removing the memory of a running ring costs the ring, not the back-end", CHECK_MUST,
	  NEED_MEM_SLOTS | NEED_BLK, true, remove_ring },
	{ "memory.slots-add-refused", ADD, "a region that cannot be mapped as it says is refused",
	  CHECK_SHOULD, NEED_MEM_SLOTS, false, add_refused },
	{ "memory.slots-add-fds", ADD, "a region comes with exactly one descriptor", CHECK_SHOULD,
	  NEED_MEM_SLOTS, false, add_fds },
	{ 0 },
};
