/* SPDX-License-Identifier: MIT */
/*
 * Conformance: illegal rings. Each breaks its queue within a second and
 * nothing else; after a stop the queue works again.
 */
#include "suite.h"

#include <string.h>

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE
#define IND   VIRTQ_DESC_F_INDIRECT

/* One entry of a chain or table, in words common to both formats. */
struct ent {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* Write @n entries from the ring's present place on and make them available. */
static void put_chain(struct conf *c, const struct ent *e, unsigned int n)
{
	struct drv_ring *r = c->q[0].ring;

	if (!conf_packed(c)) {
		for (unsigned int i = 0; i < n; i++)
			drv_raw_desc(r, (uint16_t)i, e[i].addr, e[i].len, e[i].flags, e[i].next);
		drv_raw_avail(r, r->avail_idx, 0);
		drv_raw_avail_idx(r, (uint16_t)(r->avail_idx + 1));
		return;
	}
	/* The last first, so that the head is made available when all is there. */
	for (unsigned int i = n; i--;) {
		uint32_t slot = r->avail_idx + i;
		bool wrap = r->avail_wrap ^ (slot >= r->size);

		drv_raw_pdesc(r, (uint16_t)(slot % r->size), e[i].addr, e[i].len, 0,
			      e[i].flags | (wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED));
	}
}

/* Table @i of the ring's own, as wanted by the format. */
static void put_table_at(struct conf *c, uint64_t gpa, const struct ent *e, unsigned int n)
{
	uint8_t *t = fe_mem_host(c->m, gpa, 16 * (uint64_t)n);

	assert_non_null(t);
	for (unsigned int i = 0; i < n; i++) {
		struct virtq_desc s = { htole64(e[i].addr), htole32(e[i].len), htole16(e[i].flags),
					htole16(e[i].next) };
		struct pvirtq_desc p = { htole64(e[i].addr), htole32(e[i].len), 0,
					 htole16(e[i].flags) };

		memcpy(t + 16 * i, conf_packed(c) ? (void *)&p : (void *)&s, 16);
	}
}

/* What every bad ring has to lead to. */
static void broken_and_well_again(struct conf *c)
{
	fe_queue_kick(&c->q[0]);
	conf_expect_broken(c, 0);
	for (unsigned int i = 1; i < c->nq; i++)
		conf_echo_many(c, i, 4);
	conf_restart_fresh(c, 0);
	conf_echo_many(c, 0, 10);
}

static void expect(struct conf *c, const struct ent *e, unsigned int n)
{
	conf_echo_many(c, 0, 1 + conf_rnd(c) % 5);
	put_chain(c, e, n);
	broken_and_well_again(c);
}

#define EXPECT(c, ...)                                   \
	do {                                             \
		const struct ent e_[] = { __VA_ARGS__ }; \
		expect(c, e_, ARRAY_SIZE(e_));           \
	} while (0)

/* ---- split only: links and indices ---- */

static void self_loop(struct conf *c)
{
	if (!conf_packed(c))
		EXPECT(c, { c->out_gpa, 8, NEXT, 0 });
}

static void aba_loop(struct conf *c)
{
	if (!conf_packed(c))
		EXPECT(c, { c->out_gpa, 8, NEXT, 1 }, { c->out_gpa, 8, NEXT, 0 });
}

static void long_loop(struct conf *c)
{
	struct ent e[200];

	if (conf_packed(c))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(e); i++)
		e[i] = (struct ent){ c->out_gpa, 8, NEXT, (uint16_t)((i + 1) % ARRAY_SIZE(e)) };
	expect(c, e, ARRAY_SIZE(e));
}

static void next_outside(struct conf *c)
{
	if (conf_packed(c))
		return;
	EXPECT(c, { c->out_gpa, 8, NEXT, (uint16_t)c->v->size });
	EXPECT(c, { c->out_gpa, 8, NEXT, 65535 });
}

static void head_outside(struct conf *c)
{
	static const uint16_t add[] = { 0, 1, 1000 };
	struct drv_ring *r = c->q[0].ring;

	if (conf_packed(c))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(add); i++) {
		conf_echo_many(c, 0, 3);
		drv_raw_avail(r, r->avail_idx, (uint16_t)(c->v->size + add[i]));
		drv_raw_avail_idx(r, (uint16_t)(r->avail_idx + 1));
		broken_and_well_again(c);
	}
}

static void index_jumps(struct conf *c)
{
	const uint16_t by[] = { (uint16_t)(c->v->size + 1), 0x8000, 0xffff };
	struct drv_ring *r = c->q[0].ring;

	if (conf_packed(c))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(by); i++) {
		conf_echo_many(c, 0, 3);
		drv_raw_avail_idx(r, (uint16_t)(r->avail_idx + by[i]));
		broken_and_well_again(c);
	}
}

/* ---- packed only ---- */

static void endless_chain(struct conf *c)
{
	struct drv_ring *r = c->q[0].ring;

	if (!conf_packed(c))
		return;
	conf_echo_many(c, 0, 3);
	for (uint32_t i = 0; i < r->size; i++) {
		uint32_t slot = r->avail_idx + i;
		bool wrap = r->avail_wrap ^ (slot >= r->size);

		drv_raw_pdesc(r, (uint16_t)(slot % r->size), c->out_gpa, 8, 0,
			      NEXT | (wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED));
	}
	broken_and_well_again(c);
}

/* ---- addresses ---- */

static void bad_addresses(struct conf *c)
{
	const struct ent bad[] = {
		{ 0, 8, 0, 0 },
		{ MEM_LOW_GPA - 1, 1, 0, 0 },
		{ MEM_LOW_GPA - 1, 2, WRITE, 0 }, /* begins before */
		{ MEM_NEXT_GPA + MEM_NEXT_SIZE, 1, 0, 0 },
		{ MEM_NEXT_GPA + MEM_NEXT_SIZE - 1, 2, 0, 0 },
		{ MEM_NEXT_GPA + MEM_NEXT_SIZE - 1, 2, WRITE, 0 },
		{ MEM_DATA_GPA - 1, 1, WRITE, 0 },
		{ MEM_DATA_GPA + MEM_DATA_SIZE - 8, 9, WRITE, 0 },
		{ MEM_DATA_GPA, UINT32_MAX, 0, 0 },
		{ MEM_HIGH_GPA + MEM_HIGH_SIZE, 1, 0, 0 },
		{ MEM_HIGH_GPA & UINT32_MAX, 8, 0, 0 }, /* cut to 32 bits */
		{ UINT64_MAX, 1, 0, 0 },
		{ UINT64_MAX, 2, WRITE, 0 },
		{ UINT64_MAX - 7, 16, 0, 0 },
		{ UINT64_MAX - UINT32_MAX, UINT32_MAX, WRITE, 0 },
		{ (uintptr_t)c->out, 8, 0, 0 }, /* ours instead of the guest's */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect(c, &bad[i], 1);
}

/* The last byte of each region is memory. */
static void good_edges(struct conf *c)
{
	const uint64_t last[] = { MEM_NEXT_GPA + MEM_NEXT_SIZE - 1,
				  MEM_DATA_GPA + MEM_DATA_SIZE - 1,
				  MEM_HIGH_GPA + MEM_HIGH_SIZE - 1 };
	const uint64_t first[] = { MEM_NEXT_GPA, MEM_DATA_GPA, MEM_HIGH_GPA };

	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		const struct drv_seg s[2] = { { first[i], 1, 0 }, { last[i], 1, 1 } };
		struct drv_used u;

		*(uint8_t *)fe_mem_host(c->m, first[i], 1) = 0x1f;
		conf_add(c, 0, s, 2, c);
		fe_queue_publish(&c->q[0]);
		u = conf_get(c, 0);
		assert_int_equal(u.len, 1);
		assert_int_equal(*(uint8_t *)fe_mem_host(c->m, last[i], 1), (uint8_t)~0x1f);
	}
}

static void zero_length(struct conf *c)
{
	EXPECT(c, { c->out_gpa, 0, 0, 0 });
	EXPECT(c, { c->out_gpa, 8, NEXT, 1 }, { c->in_gpa, 0, WRITE, 0 });
	EXPECT(c, { 0, 0, 0, 0 });
}

static void readable_after_writable(struct conf *c)
{
	EXPECT(c, { c->in_gpa, 8, WRITE | NEXT, 1 }, { c->out_gpa, 8, 0, 0 });
	EXPECT(c, { c->out_gpa, 8, NEXT, 1 }, { c->in_gpa, 8, WRITE | NEXT, 2 },
	       { c->out_gpa, 8, 0, 0 });
}

/* ---- indirect tables ---- */

static void indirect_not_negotiated(struct conf *c)
{
	const struct ent t = { c->out_gpa, 8, 0, 0 };

	if (conf_indirect(c))
		return;
	put_table_at(c, MEM_NEXT_GPA, &t, 1);
	EXPECT(c, { MEM_NEXT_GPA, 16, IND, 0 });
}

static void table_length(struct conf *c)
{
	static const uint32_t len[] = { 0, 1, 8, 15, 17, 24, 16 * 65536, UINT32_MAX, 0xfffffff0 };
	const struct ent t[2] = { { c->out_gpa, 8, NEXT, 1 }, { c->out_gpa, 8, 0, 0 } };

	if (!conf_indirect(c))
		return;
	put_table_at(c, MEM_NEXT_GPA, t, 2);
	for (size_t i = 0; i < ARRAY_SIZE(len); i++)
		EXPECT(c, { MEM_NEXT_GPA, len[i], IND, 0 });
}

static void table_with_next(struct conf *c)
{
	const struct ent t = { c->out_gpa, 8, 0, 0 };

	if (!conf_indirect(c))
		return;
	put_table_at(c, MEM_NEXT_GPA, &t, 1);
	EXPECT(c, { MEM_NEXT_GPA, 16, IND | NEXT, 1 }, { c->out_gpa, 8, 0, 0 });
}

static void nested_table(struct conf *c)
{
	const struct ent inner = { c->out_gpa, 8, 0, 0 };
	const struct ent outer = { MEM_NEXT_GPA + 256, 16, IND, 0 };
	const struct ent self = { MEM_NEXT_GPA, 16, IND, 0 };

	if (!conf_indirect(c))
		return;
	put_table_at(c, MEM_NEXT_GPA + 256, &inner, 1);
	put_table_at(c, MEM_NEXT_GPA, &outer, 1);
	EXPECT(c, { MEM_NEXT_GPA, 16, IND, 0 });
	put_table_at(c, MEM_NEXT_GPA, &self, 1);
	EXPECT(c, { MEM_NEXT_GPA, 16, IND, 0 });
}

static void table_links(struct conf *c)
{
	const struct ent loop[2] = { { c->out_gpa, 8, NEXT, 1 }, { c->out_gpa, 8, NEXT, 0 } };
	const struct ent outside = { c->out_gpa, 8, NEXT, 1 };

	if (!conf_indirect(c) || conf_packed(c))
		return;
	put_table_at(c, MEM_NEXT_GPA, loop, 2);
	EXPECT(c, { MEM_NEXT_GPA, 32, IND, 0 });
	put_table_at(c, MEM_NEXT_GPA, &outside, 1);
	EXPECT(c, { MEM_NEXT_GPA, 16, IND, 0 });
}

static void table_addresses(struct conf *c)
{
	if (!conf_indirect(c))
		return;
	EXPECT(c, { 0, 16, IND, 0 });
	EXPECT(c, { MEM_NEXT_GPA + MEM_NEXT_SIZE, 16, IND, 0 });
	EXPECT(c, { MEM_NEXT_GPA + MEM_NEXT_SIZE - 8, 16, IND, 0 });
	EXPECT(c, { MEM_DATA_GPA - 16, 32, IND, 0 });
	EXPECT(c, { UINT64_MAX - 15, 32, IND, 0 });
	EXPECT(c, { MEM_HIGH_GPA + MEM_HIGH_SIZE - 16, 64, IND, 0 });
}

static void table_contents(struct conf *c)
{
	const struct ent order[2] = { { c->in_gpa, 8, WRITE | NEXT, 1 }, { c->out_gpa, 8, 0, 0 } };
	const struct ent addr[2] = { { c->out_gpa, 8, NEXT, 1 }, { MEM_DATA_GPA - 4, 8, 0, 0 } };
	const struct ent zero = { c->out_gpa, 0, 0, 0 };

	if (!conf_indirect(c))
		return;
	put_table_at(c, MEM_NEXT_GPA, order, 2);
	EXPECT(c, { MEM_NEXT_GPA, 32, IND, 0 });
	put_table_at(c, MEM_NEXT_GPA, addr, 2);
	EXPECT(c, { MEM_NEXT_GPA, 32, IND, 0 });
	put_table_at(c, MEM_NEXT_GPA, &zero, 1);
	EXPECT(c, { MEM_NEXT_GPA, 16, IND, 0 });
}

/* A table may be longer than the ring is (2.7.5.3.1 asks the driver not to), but not endless. */
static void indirect_in_a_chain(struct conf *c)
{
	const struct ent t = { c->out_gpa, 8, 0, 0 };

	if (!conf_indirect(c) || !conf_packed(c))
		return;
	put_table_at(c, MEM_NEXT_GPA, &t, 1);
	EXPECT(c, { c->out_gpa, 8, NEXT, 1 }, { MEM_NEXT_GPA, 16, IND, 0 });
}

/* Requests that were under way when the ring broke: nothing of them is seen any more. */
static void broken_in_flight(struct conf *c)
{
	const struct ent e = { 0, 8, 0, 0 };
	struct drv_used u;

	conf_held_begin(c, 0, 10);
	conf_echo(c, 0, 4, 4);
	put_chain(c, &e, 1);
	fe_queue_kick(&c->q[0]);
	conf_expect_broken(c, 0);
	assert_int_equal(drv_get(c->q[0].ring, &u, 1), 0);
	conf_restart_fresh(c, 0); /* waits for the held one */
	conf_echo_many(c, 0, 10);
}

const struct conf_case conf_bad_cases[] = {
	{ .name = "descriptor_points_to_itself", .fn = self_loop },
	{ .name = "two_descriptors_point_to_each_other", .fn = aba_loop },
	{ .name = "long_descriptor_loop", .fn = long_loop },
	{ .name = "next_is_outside_the_table", .fn = next_outside },
	{ .name = "head_is_outside_the_table", .fn = head_outside },
	{ .name = "available_index_jumps", .fn = index_jumps },
	{ .name = "packed_chain_without_end", .fn = endless_chain },
	{ .name = "addresses_outside_memory", .fn = bad_addresses },
	{ .name = "edges_of_memory_are_memory", .fn = good_edges },
	{ .name = "zero_length", .fn = zero_length },
	{ .name = "readable_after_writable", .fn = readable_after_writable },
	{ .name = "indirect_without_negotiation", .fn = indirect_not_negotiated },
	{ .name = "indirect_table_of_bad_length", .fn = table_length },
	{ .name = "indirect_with_next", .fn = table_with_next },
	{ .name = "nested_indirect", .fn = nested_table },
	{ .name = "indirect_links_go_wrong", .fn = table_links },
	{ .name = "indirect_table_outside_memory", .fn = table_addresses },
	{ .name = "indirect_entries_are_checked", .fn = table_contents },
	{ .name = "indirect_inside_a_packed_chain", .fn = indirect_in_a_chain },
	{ .name = "broken_with_requests_under_way", .fn = broken_in_flight },
	{ 0 },
};
