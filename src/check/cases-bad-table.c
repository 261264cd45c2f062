/* SPDX-License-Identifier: MIT */
/* vuctl check: indirect tables no driver makes; see cases-bad-ring.c. */
#include <string.h>

#include "check/req.h"
#include "util/compiler.h"

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE
#define IND   VIRTQ_DESC_F_INDIRECT

#define MEM_GPA   UINT64_C(0x100000)
#define MEM_SIZE  (UINT64_C(16) << 20)
#define NEXT_SIZE (UINT64_C(4) << 20)

static const struct fe_mem_spec memory[] = {
	{ MEM_GPA, MEM_SIZE, 0, false },
	{ MEM_GPA + MEM_SIZE, NEXT_SIZE, 0, false },
};

#define TABLE 8192u /* in d->buf */

static struct check_dev *dev(struct check *c)
{
	struct check_dev *d = check_dev(c,
					&(struct check_dev_args){ .size = 64,
								  .specs = memory,
								  .nspecs = ARRAY_SIZE(memory) });

	req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
	return d;
}

/* NEXT where the format has it in tables. */
static uint16_t link_flag(const struct check *c)
{
	return check_packed(c) ? 0 : NEXT;
}

/* A good table at @gpa: header, data and status. */
static void good_table(struct check *c, struct check_dev *d, uint64_t gpa)
{
	const struct ring_ent t[2] = { { d->buf_gpa, 16, link_flag(c), 1 },
				       { d->buf_gpa + 512, 513, WRITE, 0 } };

	ring_table(c, d, gpa, t, 2);
}

static void expect(struct check *c, struct check_dev *d, struct ring_ent e)
{
	ring_put(d, 0, &e, 1);
	ring_outcome(c, d, 0);
}

/* Put @t behind the buffer's first pages, and refer to it. */
static void expect_table(struct check *c, struct check_dev *d, const struct ring_ent *t,
			 unsigned int n)
{
	ring_table(c, d, d->buf_gpa + TABLE, t, n);
	expect(c, d, (struct ring_ent){ d->buf_gpa + TABLE, 16 * n, IND, 0 });
}

static void not_negotiated(struct check *c)
{
	const struct check_dev_args a = { .virtio_off = VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC),
					  .size = 64 };
	struct check_dev *d = check_dev(c, &a);

	req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
	good_table(c, d, d->buf_gpa + TABLE);
	expect(c, d, (struct ring_ent){ d->buf_gpa + TABLE, 32, IND, 0 });
	check_alive(c);
}

static void lengths(struct check *c)
{
	static const uint32_t len[] = {
		0, 1, 8, 15, 17, 24, 31, 16 * 65, 16 * 32769, 16 * 65536, 0xfffffff0, UINT32_MAX
	};

	for (size_t i = 0; i < ARRAY_SIZE(len); i++) {
		struct check_dev *d = dev(c);

		check_note(c, "a table of %u bytes", len[i]);
		good_table(c, d, d->buf_gpa + TABLE);
		expect(c, d, (struct ring_ent){ d->buf_gpa + TABLE, len[i], IND, 0 });
	}
	check_alive(c);
}

/* 65536 good entries one after the other: more than any ring has. */
static void huge(struct check *c)
{
	struct check_dev *d = dev(c);
	uint64_t at = MEM_GPA + MEM_SIZE;
	uint8_t *host = fe_mem_host(d->m, at, 16u << 16);

	if (!host)
		check_skip(c, "no room");
	for (uint32_t i = 0; i < 65536; i++) {
		const struct ring_ent e = { d->buf_gpa + (i ? 512 : 0), 16,
					    link_flag(c) | (i ? WRITE : 0), (uint16_t)(i + 1) };

		ring_table(c, d, at + 16u * i, &e, 1);
	}
	expect(c, d, (struct ring_ent){ at, 16u << 16, IND, 0 });
	check_alive(c);
}

static void nested(struct check *c)
{
	struct check_dev *d = dev(c);
	const struct ring_ent outer = { d->buf_gpa + TABLE + 256, 32, IND, 0 };
	const struct ring_ent self = { d->buf_gpa + TABLE, 16, IND, 0 };
	const struct ring_ent both[2] = { { d->buf_gpa, 16, link_flag(c), 1 },
					  { d->buf_gpa + TABLE, 32, IND | link_flag(c), 1 } };

	good_table(c, d, d->buf_gpa + TABLE + 256);
	expect_table(c, d, &outer, 1);
	expect_table(c, dev(c), &self, 1);
	expect_table(c, dev(c), both, 2);
	check_alive(c);
}

static void with_next(struct check *c)
{
	struct check_dev *d = dev(c);
	const struct ring_ent e[2] = { { d->buf_gpa + TABLE, 32, IND | NEXT, 1 },
				       { d->buf_gpa + 512, 513, WRITE, 0 } };
	const struct ring_ent loop = { d->buf_gpa + TABLE, 32, IND | NEXT, 0 };

	good_table(c, d, d->buf_gpa + TABLE);
	ring_put(d, 0, e, 2);
	ring_outcome(c, d, 0);
	d = dev(c);
	good_table(c, d, d->buf_gpa + TABLE);
	expect(c, d, loop);
	check_alive(c);
}

/* Tables outside memory, at its edges, and where addresses wrap. */
static void outside(struct check *c)
{
	const uint64_t end = MEM_GPA + MEM_SIZE + NEXT_SIZE;
	const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{ 0, 32 },
		{ MEM_GPA - 16, 32 },
		{ MEM_GPA - 8, 32 },
		{ end, 32 },
		{ end - 16, 32 },
		{ end - 8, 16 },
		{ UINT64_MAX - 15, 16 },
		{ UINT64_MAX - 15, 32 },
		{ UINT64_MAX, 16 },
		{ MEM_GPA + 1, UINT32_MAX - 15 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		check_note(c, "a table of %u bytes at 0x%llx", bad[i].len,
			   (unsigned long long)bad[i].addr);
		expect(c, dev(c), (struct ring_ent){ bad[i].addr, bad[i].len, IND, 0 });
	}
	check_alive(c);
}

static void links(struct check *c)
{
	struct check_dev *d = dev(c);
	const struct ring_ent self[2] = { { d->buf_gpa, 16, NEXT, 1 }, { d->buf_gpa, 0, NEXT, 1 } };
	const struct ring_ent two[2] = { { d->buf_gpa, 16, NEXT, 1 }, { d->buf_gpa, 16, NEXT, 0 } };
	const struct ring_ent past = { d->buf_gpa, 16, NEXT, 1 };
	const struct ring_ent far_off = { d->buf_gpa, 16, NEXT, 65535 };

	if (check_packed(c))
		check_skip(c, "a table of a packed ring has no links");
	expect_table(c, d, self, 2);
	expect_table(c, dev(c), two, 2);
	expect_table(c, dev(c), &past, 1);
	expect_table(c, dev(c), &far_off, 1);
	check_alive(c);
}

static void contents(struct check *c)
{
	struct check_dev *d = dev(c);
	uint16_t link = link_flag(c);
	const struct ring_ent order[3] = { { d->buf_gpa + 512, 512, WRITE | link, 1 },
					   { d->buf_gpa, 16, link, 2 },
					   { d->buf_gpa + 4096, 1, WRITE, 0 } };
	const struct ring_ent addr[2] = { { d->buf_gpa, 16, link, 1 },
					  { UINT64_MAX - 511, 513, WRITE, 0 } };
	const struct ring_ent len[2] = { { d->buf_gpa, 16, link, 1 },
					 { d->buf_gpa + 512, UINT32_MAX, WRITE, 0 } };
	const struct ring_ent zero[3] = { { d->buf_gpa, 0, link, 1 },
					  { 0, 0, link | WRITE, 2 },
					  { d->buf_gpa + 512, 0, WRITE, 0 } };

	expect_table(c, d, order, 3);
	expect_table(c, dev(c), addr, 2);
	expect_table(c, dev(c), len, 2);
	expect_table(c, dev(c), zero, 3);
	check_alive(c);
}

#define NEED (NEED_BLK | NEED_INDIRECT)

const struct check_case check_bad_table_cases[] = {
	{ "bad-table.not-negotiated", "VIRTIO 1.3 2.7.5.3.1",
	  "an indirect table that was not negotiated", CHECK_MUST, NEED_BLK, true, not_negotiated },
	{ "bad-table.lengths", "VIRTIO 1.3 2.7.5.3",
	  "tables of no length, of odd lengths, longer than memory", CHECK_MUST, NEED, true,
	  lengths },
	{ "bad-table.huge", "VIRTIO 1.3 2.7.5.3.1", "a table of 65536 entries in one chain",
	  CHECK_MUST, NEED, true, huge },
	{ "bad-table.nested", "VIRTIO 1.3 2.7.5.3.1", "a table in a table, and in itself",
	  CHECK_MUST, NEED, true, nested },
	{ "bad-table.with-next", "VIRTIO 1.3 2.7.5.3.1", "INDIRECT and NEXT together", CHECK_MUST,
	  NEED, true, with_next },
	{ "bad-table.outside", "vhost-user: Memory access",
	  "tables outside memory, at its edges, and where addresses wrap", CHECK_MUST, NEED, true,
	  outside },
	{ "bad-table.links", "VIRTIO 1.3 2.7.5.3", "loops in a table, and links out of it",
	  CHECK_MUST, NEED, false, links },
	{ "bad-table.contents", "VIRTIO 1.3 2.7.5.3",
	  "tables whose entries are in the wrong order, outside memory, or empty", CHECK_MUST, NEED,
	  true, contents },
	{ 0 },
};
