/* SPDX-License-Identifier: MIT */
/* Rings no driver should make: each breaks its queue and nothing else. */
#include "vq-fixture.h"

#include <stdlib.h>
#include <string.h>

#include "frontend/drv-raw.h"
#include "util/compiler.h"

struct bad {
	const char *name;
	uint64_t features;
	void (*make)(struct fix *f);
};

static void bad_self_loop(struct fix *f)
{
	raw(f, 0, GOOD, 16, NEXT, 0);
	raw_go(f, 1);
}

static void bad_two_loop(struct fix *f)
{
	raw(f, 1, GOOD, 16, NEXT, 0);
	raw(f, 0, GOOD, 16, NEXT, 1);
	raw_go(f, 1);
}

static void bad_packed_endless(struct fix *f)
{
	for (uint16_t i = (uint16_t)f->size; i-- > 0;)
		raw(f, i, GOOD, 16, NEXT, 0);
	raw_go(f, 1);
}

static void bad_next(struct fix *f)
{
	raw(f, 0, GOOD, 16, NEXT, (uint16_t)f->size);
	raw_go(f, 1);
}

static void bad_next_far(struct fix *f)
{
	raw(f, 0, GOOD, 16, NEXT, 0xffff);
	raw_go(f, 1);
}

static void bad_zero_length(struct fix *f)
{
	raw(f, 0, GOOD, 0, 0, 0);
	raw_go(f, 1);
}

static void bad_zero_length_elsewhere(struct fix *f)
{
	raw(f, 0, 0, 0, 0, 0);
	raw_go(f, 1);
}

static void bad_below(struct fix *f)
{
	raw(f, 0, MEM_BUS - 1, 1, 0, 0);
	raw_go(f, 1);
}

static void bad_across_start(struct fix *f)
{
	raw(f, 0, MEM_BUS - 1, 2, 0, 0);
	raw_go(f, 1);
}

static void bad_above(struct fix *f)
{
	raw(f, 0, MEM_BUS + MEM_SIZE, 1, WR, 0);
	raw_go(f, 1);
}

static void bad_across_end(struct fix *f)
{
	raw(f, 0, MEM_BUS + MEM_SIZE - 1, 2, WR, 0);
	raw_go(f, 1);
}

static void bad_wrap(struct fix *f)
{
	raw(f, 0, UINT64_MAX - 3, 16, WR, 0);
	raw_go(f, 1);
}

static void bad_huge(struct fix *f)
{
	raw(f, 0, GOOD, UINT32_MAX, WR, 0);
	raw_go(f, 1);
}

static void bad_order(struct fix *f)
{
	raw(f, 1, GOOD, 16, 0, 0);
	raw(f, 0, GOOD, 16, WR | NEXT, 1);
	raw_go(f, 1);
}

static void bad_head(struct fix *f)
{
	drv_raw_avail(f->r, 0, (uint16_t)f->size);
	drv_raw_avail_idx(f->r, 1);
	fake_ring(f->w, KICK_FD);
	fake_settle(f->w);
}

static void bad_idx_jump(struct fix *f)
{
	raw(f, 0, GOOD, 16, 0, 0);
	drv_raw_avail_idx(f->r, (uint16_t)(f->size + 1));
	fake_ring(f->w, KICK_FD);
	fake_settle(f->w);
}

static void bad_idx_back(struct fix *f)
{
	drv_raw_avail_idx(f->r, 0xffff);
	fake_ring(f->w, KICK_FD);
	fake_settle(f->w);
}

static void bad_indirect_not_negotiated(struct fix *f)
{
	raw(f, 0, GOOD, 32, IND, 0);
	raw_go(f, 1);
}

static void bad_nested(struct fix *f)
{
	table(f, 0, GOOD, 16, IND, 0);
	raw(f, 0, GOOD, 16, IND, 0);
	raw_go(f, 1);
}

static void bad_table_length(struct fix *f)
{
	raw(f, 0, GOOD, 17, IND, 0);
	raw_go(f, 1);
}

static void bad_table_empty(struct fix *f)
{
	raw(f, 0, GOOD, 0, IND, 0);
	raw_go(f, 1);
}

static void bad_table_long(struct fix *f)
{
	raw(f, 0, GOOD, 16 * (VQ_CHAIN_MAX + 1), IND, 0);
	raw_go(f, 1);
}

static void bad_table_outside(struct fix *f)
{
	raw(f, 0, MEM_BUS + MEM_SIZE - 16, 32, IND, 0);
	raw_go(f, 1);
}

static void bad_indirect_next(struct fix *f)
{
	table(f, 0, GOOD, 16, 0, 0);
	raw(f, 1, GOOD, 16, 0, 0);
	raw(f, 0, GOOD, 16, IND | NEXT, 1);
	raw_go(f, 1);
}

static void bad_table_next(struct fix *f)
{
	table(f, 0, GOOD, 16, NEXT, 2);
	raw(f, 0, GOOD, 32, IND, 0);
	raw_go(f, 1);
}

static void bad_table_loop(struct fix *f)
{
	table(f, 0, GOOD, 16, NEXT, 1);
	table(f, 1, GOOD, 16, NEXT, 0);
	raw(f, 0, GOOD, 32, IND, 0);
	raw_go(f, 1);
}

static void bad_table_entry(struct fix *f)
{
	table(f, 0, MEM_BUS - 8, 16, 0, 0);
	raw(f, 0, GOOD, 16, IND, 0);
	raw_go(f, 1);
}

static const struct bad bads[] = {
	{ "descriptor that is its own next", 0, bad_self_loop },
	{ "loop of two", 0, bad_two_loop },
	{ "packed chain without an end", PACKED, bad_packed_endless },
	{ "next just outside the table", 0, bad_next },
	{ "next far outside the table", 0, bad_next_far },
	{ "zero length", 0, bad_zero_length },
	{ "packed zero length", PACKED, bad_zero_length },
	{ "zero length at a bad address", 0, bad_zero_length_elsewhere },
	{ "address just below memory", 0, bad_below },
	{ "packed address just below memory", PACKED, bad_below },
	{ "range across the start of memory", 0, bad_across_start },
	{ "address just above memory", 0, bad_above },
	{ "packed address just above memory", PACKED, bad_above },
	{ "range across the end of memory", 0, bad_across_end },
	{ "range that wraps", 0, bad_wrap },
	{ "packed range that wraps", PACKED, bad_wrap },
	{ "four gigabytes", 0, bad_huge },
	{ "readable after writable", 0, bad_order },
	{ "packed readable after writable", PACKED, bad_order },
	{ "head outside the table", 0, bad_head },
	{ "available index jumps", 0, bad_idx_jump },
	{ "available index goes back", 0, bad_idx_back },
	{ "indirect without the feature", 0, bad_indirect_not_negotiated },
	{ "packed indirect without the feature", PACKED, bad_indirect_not_negotiated },
	{ "nested indirect", INDIRECT, bad_nested },
	{ "packed nested indirect", PACKED | INDIRECT, bad_nested },
	{ "table length not a multiple of 16", INDIRECT, bad_table_length },
	{ "packed table length", PACKED | INDIRECT, bad_table_length },
	{ "empty table", INDIRECT, bad_table_empty },
	{ "packed empty table", PACKED | INDIRECT, bad_table_empty },
	{ "table too long", INDIRECT, bad_table_long },
	{ "packed table too long", PACKED | INDIRECT, bad_table_long },
	{ "table leaves memory", INDIRECT, bad_table_outside },
	{ "packed table leaves memory", PACKED | INDIRECT, bad_table_outside },
	{ "indirect with next", INDIRECT, bad_indirect_next },
	{ "packed indirect with next", PACKED | INDIRECT, bad_indirect_next },
	{ "next leaves the table", INDIRECT, bad_table_next },
	{ "loop in the table", INDIRECT, bad_table_loop },
	{ "table entry at a bad address", INDIRECT, bad_table_entry },
	{ "packed table entry at a bad address", PACKED | INDIRECT, bad_table_entry },
};

static void every_illegal_ring_breaks_the_queue_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bads); i++) {
		struct fix *f = f_new(bads[i].features, 16, VQ_BASE_INIT);

		bads[i].make(f);
		if (!f->broken)
			fail_msg("not noticed: %s", bads[i].name);
		if (f->m.n || f->st.popped)
			fail_msg("handed out: %s", bads[i].name);
		assert_int_equal(f->st.requests, 0);
		/* stands still: a good request is not served either */
		fake_ring(f->w, KICK_FD);
		fake_settle(f->w);
		assert_int_equal(f->st.popped, 0);
		f_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_illegal_ring_breaks_the_queue_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
