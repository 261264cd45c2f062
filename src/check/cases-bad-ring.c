/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: rings no driver makes. What a back-end makes of them is its own
 * affair, but it goes on serving: the process lives, answers, and takes the
 * next connection. See ring_outcome().
 */
#include <string.h>
#include <unistd.h>

#include "check/req.h"
#include "util/compiler.h"

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE

#define MEM_SIZE (UINT64_C(16) << 20)
#define HIGH_GPA (UINT64_C(4) << 32)

static const struct fe_mem_spec memory[] = {
	{ 0x100000, MEM_SIZE, 0, false },
	{ HIGH_GPA, 1u << 20, 0, false },
};

/* With memory that does not begin at 0. */
static struct check_dev *dev(struct check *c, unsigned int queues)
{
	return check_dev(c, &(struct check_dev_args){ .queues = queues,
						      .size = 64,
						      .specs = memory,
						      .nspecs = ARRAY_SIZE(memory) });
}

/* A good header in the buffer, for chains that begin well. */
static struct check_dev *dev_hdr(struct check *c)
{
	struct check_dev *d = dev(c, 1);

	req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
	return d;
}

static void expect(struct check *c, struct check_dev *d, const struct ring_ent *e, unsigned int n)
{
	ring_put(d, 0, e, n);
	ring_outcome(c, d, 0);
}

static void split_only(struct check *c)
{
	if (check_packed(c))
		check_skip(c, "only in split rings");
}

/* ---- links and indices of split rings ---- */

static void self_loop(struct check *c)
{
	struct check_dev *d = dev_hdr(c);
	const struct ring_ent e[2] = { { d->buf_gpa, 16, NEXT, 1 }, { d->buf_gpa, 0, NEXT, 1 } };
	const struct ring_ent w[2] = { { d->buf_gpa, 16, NEXT, 1 },
				       { d->buf_gpa + 512, 1, NEXT | WRITE, 1 } };

	split_only(c);
	expect(c, d, e, 2);
	expect(c, dev_hdr(c), w, 2);
	check_alive(c);
}

static void two_loop(struct check *c)
{
	struct check_dev *d = dev_hdr(c);
	const struct ring_ent e[2] = { { d->buf_gpa, 16, NEXT, 1 }, { d->buf_gpa, 16, NEXT, 0 } };

	split_only(c);
	expect(c, d, e, 2);
	check_alive(c);
}

/* Through every descriptor of the table, and on. */
static void long_loop(struct check *c)
{
	struct check_dev *d = dev_hdr(c);
	struct ring_ent e[64];

	split_only(c);
	for (uint32_t i = 0; i < 64; i++)
		e[i] = (struct ring_ent){ d->buf_gpa, i ? 512 : 16, NEXT | (i ? WRITE : 0),
					  (uint16_t)((i + 1) % 64 ? i + 1 : 1) };
	expect(c, d, e, 64);
	check_alive(c);
}

static void next_outside(struct check *c)
{
	static const uint16_t next[] = { 64, 65, 4096, 65535 };

	split_only(c);
	for (size_t i = 0; i < ARRAY_SIZE(next); i++) {
		struct check_dev *d = dev_hdr(c);
		const struct ring_ent e = { d->buf_gpa, 16, NEXT, next[i] };

		check_note(c, "next is %u of 64", next[i]);
		expect(c, d, &e, 1);
	}
	check_alive(c);
}

static void head_outside(struct check *c)
{
	static const uint16_t head[] = { 64, 65, 4096, 65535 };

	split_only(c);
	for (size_t i = 0; i < ARRAY_SIZE(head); i++) {
		struct check_dev *d = dev_hdr(c);
		struct drv_ring *r = d->q[0].ring;

		check_note(c, "head is %u of 64", head[i]);
		drv_raw_avail(r, r->avail_idx, head[i]);
		drv_raw_avail_idx(r, (uint16_t)(r->avail_idx + 1));
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

static void index_jumps(struct check *c)
{
	static const uint16_t by[] = { 65, 1000, 0x8000, 0xffff };

	split_only(c);
	for (size_t i = 0; i < ARRAY_SIZE(by); i++) {
		struct check_dev *d = dev_hdr(c);
		struct drv_ring *r = d->q[0].ring;

		check_works(c, d, 0);
		check_note(c, "the available index moves by %u in a ring of 64", by[i]);
		drv_raw_avail_idx(r, (uint16_t)(r->avail_idx + by[i]));
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

/* ---- packed rings ---- */

static void endless_chain(struct check *c)
{
	struct check_dev *d = dev_hdr(c);
	struct ring_ent e[64];

	if (!check_packed(c))
		check_skip(c, "only in packed rings");
	for (uint32_t i = 0; i < 64; i++)
		e[i] = (struct ring_ent){ d->buf_gpa, 16, NEXT, 0 };
	expect(c, d, e, 64);
	/* And one that begins in the middle, over the end of the ring. */
	d = dev_hdr(c);
	for (unsigned int i = 0; i < 15; i++)
		check_works(c, d, 0);
	expect(c, d, e, 64);
	check_alive(c);
}

static void packed_garbage(struct check *c)
{
	static const uint16_t flags[] = { 0xffff, 0x7f7f, 0x8080, 0x0080, 0x8000, 0xff7f, 0x7fff };
	static const uint16_t id[] = { 64, 4096, 65535 };

	if (!check_packed(c))
		check_skip(c, "only in packed rings");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct check_dev *d = dev_hdr(c);

		check_note(c, "flags 0x%x everywhere", flags[i]);
		for (uint16_t k = 64; k-- > 0;)
			drv_raw_pdesc(d->q[0].ring, k, d->buf_gpa, 16, k, flags[i]);
		ring_outcome(c, d, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(id); i++) {
		struct check_dev *d = dev_hdr(c);
		const struct ring_ent e[2] = { { d->buf_gpa, 16, NEXT, id[i] },
					       { d->buf_gpa + 512, 513, WRITE, id[i] } };

		check_note(c, "buffer id %u in a ring of 64", id[i]);
		expect(c, d, e, 2);
	}
	check_alive(c);
}

/* Many chains under way with the same buffer id. */
static void packed_same_id(struct check *c)
{
	struct check_dev *d = dev_hdr(c);
	struct ring_ent e[64];

	if (!check_packed(c))
		check_skip(c, "only in packed rings");
	for (uint32_t i = 0; i < 64; i += 2) {
		e[i] = (struct ring_ent){ d->buf_gpa, 16, NEXT, 3 };
		e[i + 1] = (struct ring_ent){ d->buf_gpa + 4096, 513, WRITE, 3 };
	}
	expect(c, d, e, 64);
	check_alive(c);
}

/* ---- addresses and lengths ---- */

static void bad_addresses(struct check *c)
{
	const uint64_t low = memory[0].gpa, end = low + MEM_SIZE, high = HIGH_GPA + (1u << 20);
	const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{ 0, 512 },
		{ low - 1, 1 },
		{ low - 1, 512 },
		{ end, 512 },
		{ end - 511, 512 },
		{ HIGH_GPA - 1, 512 },
		{ high - 511, 512 },
		{ high, 1 },
		{ HIGH_GPA & UINT32_MAX, 512 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 512 },
		{ UINT64_MAX - 510, 512 },
		{ UINT64_MAX - 511, 512 },
		{ UINT64_C(1) << 63, 512 },
		{ low, UINT32_MAX },
		{ end - 4096, UINT32_MAX },
		{ UINT64_MAX - UINT32_MAX + 2, UINT32_MAX },
		{ 0 - UINT64_C(0x1000), 0x2000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct check_dev *d = dev_hdr(c);
		const struct ring_ent out = { bad[i].addr, bad[i].len, 0, 0 };
		const struct ring_ent in[3] = {
			{ d->buf_gpa, 16, NEXT, 1 },
			{ bad[i].addr, bad[i].len, NEXT | WRITE, 2 },
			{ d->buf_gpa + 512, 1, WRITE, 0 },
		};

		check_note(c, "0x%llx, %u bytes", (unsigned long long)bad[i].addr, bad[i].len);
		expect(c, d, &out, 1);
		expect(c, dev_hdr(c), in, 3);
	}
	check_alive(c);
}

/* The memory is there, but the sum passes 32 bits. */
static void long_sums(struct check *c)
{
	static const struct fe_mem_spec big = { 0, UINT64_C(1) << 31, 0, false };
	const struct check_dev_args a = { .size = 64, .specs = &big, .nspecs = 1 };

	for (unsigned int k = 0; k < 2; k++) {
		struct check_dev *d = check_dev(c, &a);
		struct ring_ent e[8] = { { d->buf_gpa, 16, NEXT, 1 } };

		for (uint16_t i = 1; i < 8; i++)
			e[i] = (struct ring_ent){ 0, 0x7ffffe00,
						  (k ? WRITE : 0) | (i < 7 ? NEXT : 0),
						  (uint16_t)(i + 1) };
		check_note(c, "seven times 2 GiB, device-%s", k ? "writable" : "readable");
		/* Sector 0 is not touched: no disk has room for that many. */
		req_hdr(d, 0, k ? VIRTIO_BLK_T_IN : 0x7fff0001, UINT64_MAX / 512 - 1);
		expect(c, d, e, 8);
	}
	check_alive(c);
}

static void zero_lengths(struct check *c)
{
	for (unsigned int at = 0; at < 4; at++) {
		struct check_dev *d = dev_hdr(c);
		struct ring_ent e[4] = {
			{ d->buf_gpa, 16, NEXT, 1 },
			{ d->buf_gpa + 4096, 0, NEXT | WRITE, 2 },
			{ d->buf_gpa + 4096, 512, NEXT | WRITE, 3 },
			{ d->buf_gpa + 512, 1, WRITE, 0 },
		};

		e[at].len = 0;
		check_note(c, "descriptor %u of 4 has no bytes", at);
		expect(c, d, e, 4);
		/* At an address that is none. */
		e[at].addr = UINT64_C(1) << 62;
		expect(c, dev_hdr(c), e, 4);
	}
	check_alive(c);
}

static void nothing_but_zero_lengths(struct check *c)
{
	struct check_dev *d = dev_hdr(c);
	struct ring_ent e[63];

	for (uint32_t i = 0; i < 63; i++)
		e[i] = (struct ring_ent){ d->buf_gpa, 0, i < 62 ? NEXT : 0, (uint16_t)(i + 1) };
	expect(c, d, e, 63);
	d = dev_hdr(c);
	for (uint32_t i = 0; i < 63; i++)
		e[i].flags |= WRITE;
	expect(c, d, e, 63);
	check_alive(c);
}

static void wrong_order(struct check *c)
{
	struct check_dev *d = dev_hdr(c);
	const struct ring_ent first[2] = { { d->buf_gpa + 512, 513, WRITE | NEXT, 1 },
					   { d->buf_gpa, 16, 0, 0 } };
	const struct ring_ent mixed[4] = {
		{ d->buf_gpa, 8, NEXT, 1 },
		{ d->buf_gpa + 512, 512, WRITE | NEXT, 2 },
		{ d->buf_gpa + 8, 8, NEXT, 3 },
		{ d->buf_gpa + 4096, 1, WRITE, 0 },
	};

	expect(c, d, first, 2);
	expect(c, dev_hdr(c), mixed, 4);
	check_alive(c);
}

/* ---- what is left after a broken ring ---- */

static void break_ring(struct check *c, struct check_dev *d)
{
	const struct ring_ent bad = { UINT64_C(1) << 60, 16, 0, 0 };

	check_works(c, d, 0);
	ring_put(d, 0, &bad, 1);
	fe_queue_kick(&d->q[0]);
	fe_queue_err(&d->q[0], 300);
}

static void others_go_on(struct check *c)
{
	struct check_dev *d = dev(c, 2);

	check_works(c, d, 1);
	break_ring(c, d);
	if (check_closed(c, d->v, 0))
		check_fail(c, "another ring that goes on", "the end of the connection");
	for (unsigned int i = 0; i < 10; i++)
		check_works(c, d, 1);
}

static void works_again(struct check *c)
{
	struct check_dev *d = dev(c, 1);

	for (unsigned int i = 0; i < 3; i++) {
		break_ring(c, d);
		if (check_closed(c, d->v, 0))
			check_fail(c, "a ring that can be stopped and started again",
				   "the end of the connection");
		check_stop(c, d, 0);
		drv_ring_reset(d->q[0].ring, VQ_BASE_INIT);
		check_start(c, d, 0);
		check_works(c, d, 0);
	}
}

/* Many hostile front-ends one after the other use nothing up. */
static void again_and_again(struct check *c)
{
	for (unsigned int i = 0; i < 30; i++) {
		struct check_dev *d = dev(c, 1);

		break_ring(c, d);
		check_dev_close(c, d);
	}
	check_alive(c);
}

const struct check_case check_bad_ring_cases[] = {
	{ "bad-ring.self-loop", "VIRTIO 1.3 2.7.5.2", "a descriptor that is its own next",
	  CHECK_MUST, NEED_BLK, false, self_loop },
	{ "bad-ring.two-loop", "VIRTIO 1.3 2.7.5.2", "two descriptors that follow each other",
	  CHECK_MUST, NEED_BLK, false, two_loop },
	{ "bad-ring.long-loop", "VIRTIO 1.3 2.7.5.2", "a loop through the whole descriptor table",
	  CHECK_MUST, NEED_BLK, false, long_loop },
	{ "bad-ring.next-outside", "VIRTIO 1.3 2.7.5", "a next outside the descriptor table",
	  CHECK_MUST, NEED_BLK, false, next_outside },
	{ "bad-ring.head-outside", "VIRTIO 1.3 2.7.6", "a head outside the descriptor table",
	  CHECK_MUST, NEED_BLK, false, head_outside },
	{ "bad-ring.index-jumps", "VIRTIO 1.3 2.7.6",
	  "an available index further on than the ring is long, or going back", CHECK_MUST,
	  NEED_BLK, false, index_jumps },
	{ "bad-ring.endless-chain", "VIRTIO 1.3 2.8.17", "a packed chain without an end",
	  CHECK_MUST, NEED_BLK | NEED_PACKED, true, endless_chain },
	{ "bad-ring.packed-garbage", "VIRTIO 1.3 2.8.13",
	  "packed descriptors with flags and ids of no meaning", CHECK_MUST, NEED_BLK | NEED_PACKED,
	  true, packed_garbage },
	{ "bad-ring.packed-same-id", "VIRTIO 1.3 2.8.13",
	  "packed chains that all have the same buffer id", CHECK_MUST, NEED_BLK | NEED_PACKED,
	  true, packed_same_id },
	{ "bad-ring.addresses", "vhost-user: Memory access",
	  "buffers outside memory, at its edges, and where addresses wrap", CHECK_MUST, NEED_BLK,
	  true, bad_addresses },
	{ "bad-ring.long-sums", "VIRTIO 1.3 2.7.5.2", "chains of more than 4 GiB", CHECK_MUST,
	  NEED_BLK, true, long_sums },
	{ "bad-ring.zero-lengths", "VIRTIO 1.3 2.7.5", "descriptors of no bytes", CHECK_MUST,
	  NEED_BLK, true, zero_lengths },
	{ "bad-ring.nothing-but-zero-lengths", "VIRTIO 1.3 2.7.5",
	  "a long chain of descriptors of no bytes", CHECK_MUST, NEED_BLK, true,
	  nothing_but_zero_lengths },
	{ "bad-ring.wrong-order", "VIRTIO 1.3 2.7.4.2, 2.8.17",
	  "device-readable buffers behind device-writable ones", CHECK_MUST, NEED_BLK, true,
	  wrong_order },
	{ "bad-ring.others-go-on", "vhost-user: Ring states",
	  "a broken ring leaves the others alone", CHECK_SHOULD, NEED_BLK | NEED_MQ, true,
	  others_go_on },
	{ "bad-ring.works-again", "vhost-user: GET_VRING_BASE",
	  "a broken ring can be stopped, and started anew", CHECK_SHOULD, NEED_BLK, true,
	  works_again },
	{ "bad-ring.again-and-again", "vhost-user: Ring states",
	  "after thirty broken rings there is a thirty-first connection", CHECK_MUST, NEED_BLK,
	  true, again_and_again },
	{ 0 },
};
