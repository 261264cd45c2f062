/* SPDX-License-Identifier: MIT */
/* vuctl check: indirect descriptor tables (VIRTIO 1.3 sections 2.7.5.3 and 2.8.8). */
#include <string.h>

#include "check/req.h"
#include "util/compiler.h"

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE
#define IND   VIRTQ_DESC_F_INDIRECT

#define MAIN_SIZE (UINT64_C(16) << 20)

/* Where a request of this file is, in d->buf. */
#define HDR    0u
#define STATUS 64u
#define TABLE  1024u
#define DATA   8192u

/* Through the driver's own tables, mixed with chains. */
static void mixed(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 32 });
	const uint8_t *ref = req_reference(c, d);

	for (unsigned int lap = 0; lap < 20; lap++) {
		for (uint32_t i = 0; i < 8; i++)
			if (req_add(c, d, 0, i, VIRTIO_BLK_T_IN, req_ref_sector(c, i + lap),
				    (i ^ lap) & 1) < 0)
				check_fail(c, "room in the ring", "none");
		fe_queue_publish(&d->q[0]);
		req_reap(c, d, 0, 8);
		for (uint32_t i = 0; i < 8; i++)
			req_compare(c, ref, i + lap, d->buf + req_at(c, i), "mixed");
	}
}

/* A ring of sixteen holds sixteen requests of three descriptors. */
static void full_ring(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 16 });
	const uint8_t *ref = req_reference(c, d);

	for (unsigned int lap = 0; lap < 10; lap++) {
		for (uint32_t i = 0; i < 16; i++)
			if (req_add(c, d, 0, i, VIRTIO_BLK_T_IN, req_ref_sector(c, i + lap), true) <
			    0)
				check_fail(c, "room in the ring", "none");
		fe_queue_publish(&d->q[0]);
		req_reap(c, d, 0, 16);
		for (uint32_t i = 0; i < 16; i++)
			req_compare(c, ref, i + lap, d->buf + req_at(c, i), "through tables");
	}
}

/* As many data descriptors as seg_max says. */
static void longest(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .indirect_max = 128 });
	const uint8_t *ref = req_reference(c, d);
	uint32_t bs = req_block(c), n = MIN(req_max_segs(c, d), 126u);
	struct drv_seg s[128];

	n = MIN(n, (1u << 20) / bs - 2);
	n = MIN(n, (uint32_t)(check_facts(c)->sectors / req_step(c)));
	check_note(c, "%u data descriptors of %u bytes", n, bs);
	req_hdr(d, HDR, VIRTIO_BLK_T_IN, 0);
	s[0] = (struct drv_seg){ d->buf_gpa, 16, 0 };
	for (uint32_t i = 0; i < n; i++)
		s[i + 1] = (struct drv_seg){ d->buf_gpa + (uint64_t)(n - i) * bs, bs, 1 };
	s[n + 1] = (struct drv_seg){ d->buf_gpa + STATUS, 1, 1 };
	memset(d->buf + bs, REQ_POISON, (size_t)n * bs);
	if (check_blk_chain(c, d, 0, s, n + 2, true, STATUS, NULL) != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u", d->buf[STATUS]);
	for (uint32_t i = 0; i < MIN(n, (uint32_t)REQ_REFS); i++)
		req_compare(c, ref, i, d->buf + (size_t)(n - i) * bs, "through a long table");
}

/* ---- tables written by hand ---- */

/* Wait for the one request that ring_put() made available. */
static void one_by_hand(struct check *c, struct check_dev *d, const uint8_t *ref, const char *how)
{
	fe_queue_kick(&d->q[0]);
	for (int ms = 0; ms < check_timeout_ms(c); ms++) {
		if (d->buf[STATUS] != REQ_PENDING)
			break;
		if (fe_queue_err(&d->q[0], 1))
			check_fail(c, "a legal chain to be served",
				   "the device declared the ring broken: a request %s", how);
		if (check_closed(c, d->v, 0))
			check_fail(c, "a legal chain to be served",
				   "the device closed the connection: a request %s", how);
	}
	if (d->buf[STATUS] != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "a request %s: %s (status %u)", how,
			   d->buf[STATUS] == REQ_PENDING ? "it never ended" : "an error",
			   d->buf[STATUS]);
	req_compare(c, ref, 1, d->buf + DATA, how);
}

static void prepare(struct check *c, struct check_dev *d)
{
	req_hdr(d, HDR, VIRTIO_BLK_T_IN, req_ref_sector(c, 1));
	memset(d->buf + DATA, REQ_POISON, req_block(c));
	d->buf[STATUS] = REQ_PENDING;
}

static struct check_dev *dev(struct check *c)
{
	static const struct fe_mem_spec m[] = {
		{ 0, MAIN_SIZE, 0, false },
		{ MAIN_SIZE, 1u << 20, 4096, false },
	};

	return check_dev(c, &(struct check_dev_args){ .specs = m, .nspecs = 2, .size = 64 });
}

static void across_regions(struct check *c)
{
	for (uint64_t at = MAIN_SIZE - 40; at < MAIN_SIZE; at += 8) {
		struct check_dev *d = dev(c);
		const uint8_t *ref = req_reference(c, d);
		const struct ring_ent t[3] = {
			{ d->buf_gpa + HDR, 16, check_packed(c) ? 0 : NEXT, 1 },
			{ d->buf_gpa + DATA, req_block(c), WRITE | (check_packed(c) ? 0 : NEXT),
			  2 },
			{ d->buf_gpa + STATUS, 1, WRITE, 0 },
		};
		const struct ring_ent e = { at, 48, IND, 0 };

		prepare(c, d);
		ring_table(c, d, at, t, 3);
		ring_put(d, 0, &e, 1);
		one_by_hand(c, d, ref, "with a table across two regions");
		check_dev_close(c, d);
	}
}

/* The WRITE flag beside INDIRECT means nothing. */
static void write_flag(struct check *c)
{
	struct check_dev *d = dev(c);
	const uint8_t *ref = req_reference(c, d);
	const struct ring_ent t[3] = {
		{ d->buf_gpa + HDR, 16, check_packed(c) ? 0 : NEXT, 1 },
		{ d->buf_gpa + DATA, req_block(c), WRITE | (check_packed(c) ? 0 : NEXT), 2 },
		{ d->buf_gpa + STATUS, 1, WRITE, 0 },
	};
	const struct ring_ent e = { d->buf_gpa + TABLE, 48, IND | WRITE, 0 };

	prepare(c, d);
	ring_table(c, d, d->buf_gpa + TABLE, t, 3);
	ring_put(d, 0, &e, 1);
	one_by_hand(c, d, ref, "whose INDIRECT descriptor has WRITE, too");
}

/* 2.7.5.3.2: normal descriptors may come before the one that refers to a table. */
static void behind_a_chain(struct check *c)
{
	struct check_dev *d = dev(c);
	const uint8_t *ref = req_reference(c, d);
	const struct ring_ent t[2] = {
		{ d->buf_gpa + DATA, req_block(c), WRITE | NEXT, 1 },
		{ d->buf_gpa + STATUS, 1, WRITE, 0 },
	};
	const struct ring_ent e[2] = {
		{ d->buf_gpa + HDR, 16, NEXT, 1 },
		{ d->buf_gpa + TABLE, 32, IND, 0 },
	};

	if (check_packed(c))
		check_skip(c, "a packed ring has no such chains (2.8.8)");
	prepare(c, d);
	ring_table(c, d, d->buf_gpa + TABLE, t, 2);
	ring_put(d, 0, e, 2);
	one_by_hand(c, d, ref, "with a header descriptor before the table");
}

/* Entries are chained by next, in any order; what is behind the last does not count. */
static void any_order(struct check *c)
{
	struct check_dev *d = dev(c);
	const uint8_t *ref = req_reference(c, d);
	const struct ring_ent nonsense = { UINT64_MAX - 8, 4096, IND | NEXT, 0xffff };
	const struct ring_ent t[8] = {
		{ d->buf_gpa + HDR, 16, NEXT, 5 },
		nonsense,
		{ d->buf_gpa + STATUS, 1, WRITE, 0x1234 },
		nonsense,
		nonsense,
		{ d->buf_gpa + DATA, req_block(c), WRITE | NEXT, 2 },
		nonsense,
		nonsense,
	};
	const struct ring_ent e = { d->buf_gpa + TABLE, 16 * 8, IND, 0 };

	if (check_packed(c))
		check_skip(c, "a table of a packed ring has no links");
	prepare(c, d);
	ring_table(c, d, d->buf_gpa + TABLE, t, 8);
	ring_put(d, 0, &e, 1);
	one_by_hand(c, d, ref, "with a table out of order");
}

/* 2.8.8: in a table of a packed ring all flags but WRITE are ignored, and so is the id. */
static void packed_flags(struct check *c)
{
	struct check_dev *d = dev(c);
	const uint8_t *ref = req_reference(c, d);
	const struct ring_ent t[3] = {
		{ d->buf_gpa + HDR, 16, VIRTQ_DESC_F_AVAIL | NEXT, 0xffff },
		{ d->buf_gpa + DATA, req_block(c), WRITE | VIRTQ_DESC_F_USED, 0x7777 },
		{ d->buf_gpa + STATUS, 1, WRITE | NEXT, 0x1234 },
	};
	const struct ring_ent e = { d->buf_gpa + TABLE, 48, IND, 0 };

	if (!check_packed(c))
		check_skip(c, "only in packed rings");
	prepare(c, d);
	ring_table(c, d, d->buf_gpa + TABLE, t, 3);
	ring_put(d, 0, &e, 1);
	one_by_hand(c, d, ref, "with reserved flags in its table");
}

#define NEED (NEED_BLK | NEED_INDIRECT)

const struct check_case check_indirect_cases[] = {
	{ "indirect.mixed", "VIRTIO 1.3 2.7.5.3, 2.8.8",
	  "requests in tables and requests in chains share a ring", CHECK_MUST, NEED, true, mixed },
	{ "indirect.full-ring", "VIRTIO 1.3 2.7.5.3, 2.8.8",
	  "a ring holds as many requests in tables as it has entries", CHECK_MUST, NEED, true,
	  full_ring },
	{ "indirect.longest", "VIRTIO 1.3 2.7.5.3.1, 5.2.5",
	  "a table may have as many data descriptors as seg_max says", CHECK_MUST, NEED, true,
	  longest },
	{ "indirect.across-regions", "vhost-user: Memory access",
	  "a table may lie across two regions that are neighbours for the guest", CHECK_MUST, NEED,
	  true, across_regions },
	{ "indirect.write-flag", "VIRTIO 1.3 2.7.5.3.2, 2.8.8",
	  "the WRITE flag beside INDIRECT is ignored", CHECK_MUST, NEED, true, write_flag },
	{ "indirect.behind-a-chain", "VIRTIO 1.3 2.7.5.3.2",
	  "normal descriptors may come before the one that refers to a table", CHECK_MUST, NEED,
	  false, behind_a_chain },
	{ "indirect.any-order", "VIRTIO 1.3 2.7.5.3",
	  "the entries of a table are linked by next, in any order", CHECK_MUST, NEED, false,
	  any_order },
	{ "indirect.packed-flags", "VIRTIO 1.3 2.8.8",
	  "in a table of a packed ring all flags but WRITE are ignored", CHECK_SHOULD,
	  NEED | NEED_PACKED, true, packed_flags },
	{ 0 },
};
