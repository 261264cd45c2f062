/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: what a disk makes of requests (VIRTIO 1.3 section 5.2.6).
 *
 * What writes uses the last MiB of the disk, or places at which a disk that
 * is in order writes nothing at all. See cases-blk-ranges.c for DISCARD and
 * WRITE_ZEROES.
 */
#include <string.h>

#include "check/req.h"
#include "util/compiler.h"

#define AREA  (1u << 20)
#define BUF_A 0u /* halves of d->buf, less its last pages */
#define BUF_B (1u << 19)
#define HALF  ((1u << 19) - 8192)

static void want(struct check *c, struct check_dev *d, unsigned int qi, uint32_t type,
		 uint64_t sector, uint32_t data, uint32_t len, const char *what)
{
	uint8_t st = check_blk(c, d, qi, type, sector, data, len);

	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u for %s, sector %llu, %u bytes", st, what,
			   (unsigned long long)sector, len);
}

static void want_error(struct check *c, struct check_dev *d, uint32_t type, uint64_t sector,
		       uint32_t data, uint32_t len, const char *what)
{
	uint8_t st = check_blk(c, d, 0, type, sector, data, len);

	if (st != VIRTIO_BLK_S_IOERR && st != VIRTIO_BLK_S_UNSUPP)
		check_fail(c, "status 1 (IOERR)", "status %u for %s, sector %llu, %u bytes", st,
			   what, (unsigned long long)sector, len);
}

/* ---- reading ---- */

static void edges(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t cap = check_facts(c)->sectors, step = req_step(c);

	want(c, d, 0, VIRTIO_BLK_T_IN, 0, 0, req_block(c), "the first block");
	want(c, d, 0, VIRTIO_BLK_T_IN, cap / step * step - step, 0, req_block(c), "the last block");
}

/* Sectors at which a request of one block does not fit; 2^55 is where bytes overflow. */
static uint64_t beyond(const struct check *c, unsigned int i)
{
	uint64_t cap = (check_facts(c)->sectors + req_step(c) - 1) / req_step(c) * req_step(c);
	const uint64_t at[] = {
		cap,
		cap + req_step(c),
		cap * 2 + (UINT64_C(1) << 32),
		UINT64_C(1) << 54,
		(UINT64_C(1) << 55) - req_step(c),
		UINT64_C(1) << 55,
		UINT64_C(1) << 56,
		UINT64_C(1) << 63,
		UINT64_MAX - req_step(c) + 1,
	};

	return i < ARRAY_SIZE(at) ? at[i] : 0;
}

static void read_beyond(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t cap = check_facts(c)->sectors / req_step(c) * req_step(c);

	want_error(c, d, VIRTIO_BLK_T_IN, cap - req_step(c), 0, 2 * req_block(c),
		   "a read over the end");
	for (unsigned int i = 0; beyond(c, i); i++)
		want_error(c, d, VIRTIO_BLK_T_IN, beyond(c, i), 0, req_block(c),
			   "a read beyond the end");
	want(c, d, 0, VIRTIO_BLK_T_IN, 0, 0, req_block(c), "a good read afterwards");
}

static void odd_read(struct check *c)
{
	static const uint32_t len[] = { 1, 511, 513, 1000, 4095 };
	struct check_dev *d = check_dev(c, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(len); i++)
		want_error(c, d, VIRTIO_BLK_T_IN, 0, 0, len[i], "a read of an odd length");
}

static void no_data(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	/* Zero is a multiple of 512; what to say of it is left open. */
	check_blk(c, d, 0, VIRTIO_BLK_T_IN, 0, 0, 0);
	check_blk(c, d, 0, VIRTIO_BLK_T_IN, check_facts(c)->sectors, 0, 0);
	want(c, d, 0, VIRTIO_BLK_T_IN, 0, 0, req_block(c), "a good read afterwards");
}

/* As much as fits into one descriptor, and the same in blocks. */
static void large_read(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint32_t bs = req_block(c), len = HALF / bs * bs;
	uint64_t bytes = check_facts(c)->sectors / req_step(c) * bs;
	struct virtio_blk_config k;

	req_config(c, d, &k);
	if (check_offers(c, VIRTIO_BLK_F_SIZE_MAX)) {
		len = MIN(len, le32toh(k.size_max) / bs * bs);
		if (!len)
			check_skip(c, "the device says that it takes no block in one descriptor");
	}
	len = (uint32_t)MIN((uint64_t)len, bytes);
	memset(d->buf, REQ_POISON, BUF_B);
	want(c, d, 0, VIRTIO_BLK_T_IN, 0, BUF_A, len, "a large read");
	for (uint32_t at = 0; at < len; at += bs) {
		want(c, d, 0, VIRTIO_BLK_T_IN, at / 512, BUF_B, bs, "a read");
		if (req_differs(d->buf + at, d->buf + BUF_B, bs) < bs)
			check_fail(c, "the same contents in one large read and in small ones",
				   "a difference in the block at byte %u", at);
	}
}

/*
 * Zones can be reset by requests of these types, where there are zones: whether
 * or not the driver has accepted the feature, somebody may lose what is in them.
 */
static bool may_destroy(const struct check *c, uint32_t type)
{
	return type >= 15 && type <= 26 && check_offers(c, VIRTIO_BLK_F_ZONED) &&
	       !check_may_write(c);
}

static void unknown_types(struct check *c)
{
	/* Reserved, SCSI of old, zones without ZONED, what nobody has. */
	static const uint32_t type[] = { 5,  6,  7,  9,  12, 15, 16,         17,
					 18, 20, 22, 24, 26, 99, 0x7fff0001, UINT32_MAX };
	struct check_dev *d = check_dev(c, NULL);

	/*
	 * A disk that takes an odd type for a write gets what it has there
	 * already. 15 is zeroes, for one that takes it for a SECURE_ERASE: a
	 * range of no sectors.
	 */
	want(c, d, 0, VIRTIO_BLK_T_IN, 0, BUF_A, req_block(c), "the first block");
	for (size_t i = 0; i < ARRAY_SIZE(type); i++) {
		uint8_t st;

		if (may_destroy(c, type[i]))
			continue;
		if (type[i] == 15)
			memset(d->buf + BUF_B, 0, 512);
		else
			memcpy(d->buf + BUF_B, d->buf + BUF_A, 512);
		st = check_blk(c, d, 0, type[i], 0, BUF_B, 512);
		if (st != VIRTIO_BLK_S_UNSUPP)
			check_fail(c, "status 2 (UNSUPP)", "status %u for type %u", st, type[i]);
	}
}

static void get_id(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint32_t n = 0;
	uint8_t st;

	memset(d->buf, REQ_POISON, 64);
	st = check_blk(c, d, 0, VIRTIO_BLK_T_GET_ID, 0, 0, VIRTIO_BLK_ID_BYTES);
	if (st == VIRTIO_BLK_S_UNSUPP)
		check_skip(c, "GET_ID is not supported");
	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK) or 2 (UNSUPP)", "status %u", st);
	while (n < VIRTIO_BLK_ID_BYTES && d->buf[n])
		if (d->buf[n++] >= 0x80)
			check_fail(c, "ASCII", "byte %u is 0x%02x", n - 1, d->buf[n - 1]);
	for (; n < VIRTIO_BLK_ID_BYTES; n++)
		if (d->buf[n])
			check_fail(c, "zeroes behind the string", "byte %u is 0x%02x", n,
				   d->buf[n]);
	if (d->buf[n] != REQ_POISON)
		check_fail(c, "20 bytes at most", "byte 20 was written");
}

static void flush(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	for (unsigned int i = 0; i < 5; i++)
		want(c, d, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0, "a flush");
}

/* 5.2.5: a feature whose limit is 0 could not be used. */
static void limits(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct virtio_blk_config k;

	req_config(c, d, &k);
	if (check_offers(c, VIRTIO_BLK_F_SIZE_MAX) && !k.size_max)
		check_fail(c, "a size_max other than 0 with SIZE_MAX", "0");
	if (check_offers(c, VIRTIO_BLK_F_SEG_MAX) && !k.seg_max)
		check_fail(c, "a seg_max other than 0 with SEG_MAX", "0");
	if (check_offers(c, VIRTIO_BLK_F_DISCARD) && (!k.max_discard_sectors || !k.max_discard_seg))
		check_fail(c, "max_discard_sectors and max_discard_seg other than 0 with DISCARD",
			   "%u and %u", le32toh(k.max_discard_sectors), le32toh(k.max_discard_seg));
	if (check_offers(c, VIRTIO_BLK_F_WRITE_ZEROES) &&
	    (!k.max_write_zeroes_sectors || !k.max_write_zeroes_seg))
		check_fail(c, "max_write_zeroes_sectors and _seg other than 0 with WRITE_ZEROES",
			   "%u and %u", le32toh(k.max_write_zeroes_sectors),
			   le32toh(k.max_write_zeroes_seg));
}

/* ---- writing ---- */

/* Random writes and reads against a copy of the area in memory. */
static void contents(struct check *c)
{
	const struct fe_mem_spec spec = { 0, AREA, 0, false };
	uint8_t *shadow = check_mem(c, &spec, 1)->r[0].host;
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = req_scratch(c, AREA);
	uint32_t bs = req_block(c), blocks = AREA / bs, max = MIN(HALF / bs, blocks);

	for (uint32_t at = 0; at < AREA; at += max * bs) {
		uint32_t n = MIN(max * bs, AREA - at);

		req_fill(shadow + at, n, at + 7);
		memcpy(d->buf + BUF_A, shadow + at, n);
		want(c, d, 0, VIRTIO_BLK_T_OUT, base + at / 512, BUF_A, n, "a write");
	}
	for (unsigned int i = 0; i < 200; i++) {
		uint32_t n = 1 + check_rnd(c) % MIN(i % 4 ? 8u : max, blocks);
		uint32_t at = check_rnd(c) % (blocks - n + 1) * bs;

		if (check_rnd(c) & 1) {
			req_fill(shadow + at, n * bs, i);
			memcpy(d->buf + BUF_A, shadow + at, n * bs);
			want(c, d, 0, VIRTIO_BLK_T_OUT, base + at / 512, BUF_A, n * bs, "a write");
			continue;
		}
		memset(d->buf + BUF_B, REQ_POISON, n * bs);
		want(c, d, 0, VIRTIO_BLK_T_IN, base + at / 512, BUF_B, n * bs, "a read");
		if (req_differs(shadow + at, d->buf + BUF_B, n * bs) < n * bs)
			check_fail(c, "what was written last",
				   "byte %u of a read of %u bytes at sector %llu is another",
				   req_differs(shadow + at, d->buf + BUF_B, n * bs), n * bs,
				   (unsigned long long)(base + at / 512));
	}
}

/* Writes in flight together, each to a block of its own; then reads. */
static void many_writes(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint32_t bs = req_block(c), n = MIN(MIN(40u, req_slots(c)), AREA / bs);
	uint64_t base = req_scratch(c, AREA);

	for (unsigned int lap = 0; lap < 4; lap++) {
		for (uint32_t i = 0; i < n; i++) {
			req_fill(d->buf + req_at(c, i), bs, i + 1000 * lap);
			if (req_add(c, d, 0, i, VIRTIO_BLK_T_OUT, base + i * req_step(c), false))
				check_fail(c, "room in the ring", "none");
		}
		fe_queue_publish(&d->q[0]);
		req_reap(c, d, 0, n);
		for (uint32_t i = 0; i < n; i++)
			req_must_add(c, d, 0, i, base + (n - 1 - i) * req_step(c));
		fe_queue_publish(&d->q[0]);
		req_reap(c, d, 0, n);
		for (uint32_t i = 0; i < n; i++) {
			uint8_t *got = d->buf + req_at(c, i);
			uint8_t *expect = d->buf + req_slots(c) * req_at(c, 1) - bs;

			req_fill(expect, bs, n - 1 - i + 1000 * lap);
			if (req_differs(expect, got, bs) < bs)
				check_fail(c, "what was written last",
					   "block %u differs, in round %u", n - 1 - i, lap);
		}
	}
}

static void queues_agree(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .queues = 2 });
	uint64_t base = req_scratch(c, AREA);
	uint32_t bs = req_block(c);

	for (unsigned int i = 0; i < 50; i++) {
		req_fill(d->buf + BUF_A, bs, i);
		want(c, d, i & 1, VIRTIO_BLK_T_OUT, base, BUF_A, bs, "a write");
		want(c, d, !(i & 1), VIRTIO_BLK_T_IN, base, BUF_B, bs, "a read");
		if (req_differs(d->buf + BUF_A, d->buf + BUF_B, bs) < bs)
			check_fail(c, "what another queue wrote", "older contents, in round %u", i);
	}
}

/* Data and header in odd pieces, as in ring.odd-pieces. */
static void write_pieces(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = req_scratch(c, AREA);
	uint32_t bs = req_block(c), cut[] = { 1, 255, bs - 1, bs, bs + 3, 2 * bs }, from = 0;
	struct drv_seg s[9] = { { d->buf_gpa + BUF_B, 5, 0 }, { d->buf_gpa + BUF_B + 5, 11, 0 } };
	unsigned int n = 2;

	if (req_max_segs(c, d) < ARRAY_SIZE(cut))
		check_skip(c, "the device takes fewer than six data descriptors");
	req_hdr(d, BUF_B, VIRTIO_BLK_T_OUT, base);
	req_fill(d->buf + BUF_A, 2 * bs, 42);
	for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
		uint32_t at = BUF_B + 4096 + from + 3 * (uint32_t)i + 1;

		memcpy(d->buf + at, d->buf + BUF_A + from, cut[i] - from);
		s[n++] = (struct drv_seg){ d->buf_gpa + at, cut[i] - from, 0 };
		from = cut[i];
	}
	s[n++] = (struct drv_seg){ d->buf_gpa + BUF_B + 64, 1, 1 };
	if (check_blk_chain(c, d, 0, s, n, false, BUF_B + 64, NULL) != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u", d->buf[BUF_B + 64]);
	want(c, d, 0, VIRTIO_BLK_T_IN, base, BUF_B, 2 * bs, "a read");
	if (req_differs(d->buf + BUF_A, d->buf + BUF_B, 2 * bs) < 2 * bs)
		check_fail(c, "what was written in pieces", "byte %u is another",
			   req_differs(d->buf + BUF_A, d->buf + BUF_B, 2 * bs));
}

static void odd_write(struct check *c)
{
	static const uint32_t len[] = { 1, 511, 513, 1000 };
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = req_scratch(c, AREA);

	for (size_t i = 0; i < ARRAY_SIZE(len); i++)
		want_error(c, d, VIRTIO_BLK_T_OUT, base, 0, len[i], "a write of an odd length");
}

/* Refused, and nothing is written where an overflow would lead to. */
static void write_beyond(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t cap = check_facts(c)->sectors, step = req_step(c), last = cap / step * step - step;
	uint32_t bs = req_block(c), first = BUF_A, end = BUF_A + bs, now = BUF_A + 2 * bs;

	want(c, d, 0, VIRTIO_BLK_T_IN, 0, first, bs, "the first block");
	want(c, d, 0, VIRTIO_BLK_T_IN, last, end, bs, "the last block");
	for (uint32_t i = 0; i < bs; i++)
		d->buf[BUF_B + i] = (uint8_t)~d->buf[first + i];
	for (unsigned int i = 0; beyond(c, i); i++)
		want_error(c, d, VIRTIO_BLK_T_OUT, beyond(c, i), BUF_B, bs,
			   "a write beyond the end");
	want(c, d, 0, VIRTIO_BLK_T_IN, 0, now, bs, "the first block");
	if (req_differs(d->buf + first, d->buf + now, bs) < bs)
		check_fail(c, "the first block as it was", "it was written to");
	want(c, d, 0, VIRTIO_BLK_T_IN, last, now, bs, "the last block");
	if (req_differs(d->buf + end, d->buf + now, bs) < bs)
		check_fail(c, "the last block as it was", "it was written to");
	want_error(c, d, VIRTIO_BLK_T_OUT, last, BUF_B, 2 * bs, "a write over the end");
}

static void survives(struct check *c)
{
	uint64_t base = req_scratch(c, AREA);
	uint32_t bs = req_block(c);

	for (unsigned int i = 0; i < 3; i++) {
		struct check_dev *d = check_dev(c, NULL);

		req_fill(d->buf + BUF_A, 16 * bs, 77 + i);
		want(c, d, 0, VIRTIO_BLK_T_OUT, base, BUF_A, 16 * bs, "a write");
		want(c, d, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0, "a flush");
		check_dev_close(c, d);
		d = check_dev(c, NULL);
		req_fill(d->buf + BUF_A, 16 * bs, 77 + i);
		want(c, d, 0, VIRTIO_BLK_T_IN, base, BUF_B, 16 * bs, "a read");
		if (req_differs(d->buf + BUF_A, d->buf + BUF_B, 16 * bs) < 16 * bs)
			check_fail(c, "what was written and flushed over another connection",
				   "something else");
		check_dev_close(c, d);
	}
}

/*
 * The feature is the device's; that the driver did not accept it changes nothing.
 * Without --write, what is written is what was there: a disk that takes it loses
 * nothing, and only its status tells.
 */
static void read_only(struct check *c)
{
	const uint8_t change = check_may_write(c) ? 0xff : 0;

	for (unsigned int i = 0; i < 2; i++) {
		const struct check_dev_args a = { .virtio_off = i ? VIRTIO_BIT(VIRTIO_BLK_F_RO) :
								    0 };
		struct check_dev *d = check_dev(c, &a);
		uint32_t bs = req_block(c);
		uint8_t st;

		want(c, d, 0, VIRTIO_BLK_T_IN, 0, BUF_A, bs, "a read");
		for (uint32_t k = 0; k < bs; k++)
			d->buf[BUF_A + bs + k] = d->buf[BUF_A + k] ^ change;
		st = check_blk(c, d, 0, VIRTIO_BLK_T_OUT, 0, BUF_A + bs, bs);
		if (st != VIRTIO_BLK_S_IOERR)
			check_fail(c, "status 1 (IOERR) for a write to a read-only disk",
				   "status %u%s", st, i ? ", RO not accepted" : "");
		want(c, d, 0, VIRTIO_BLK_T_IN, 0, BUF_B, bs, "a read");
		if (req_differs(d->buf + BUF_A, d->buf + BUF_B, bs) < bs)
			check_fail(c, "a read-only disk that does not change", "it was written to");
		check_dev_close(c, d);
	}
}

/* ---- requests that are none ---- */

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE

static void runt_headers(struct check *c)
{
	for (uint32_t len = 1; len < 16; len += len < 8 ? 3 : 4) {
		struct check_dev *d = check_dev(c, NULL);
		const struct ring_ent e[2] = { { d->buf_gpa, len, NEXT, 1 },
					       { d->buf_gpa + 512, 1, WRITE, 0 } };

		check_note(c, "a header of %u bytes", len);
		req_hdr(d, 0, VIRTIO_BLK_T_FLUSH, 0);
		ring_put(d, 0, e, 2);
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

static void no_status(struct check *c)
{
	/* The last is unknown, and no write to whoever looks at a part of it. */
	static const uint32_t type[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
					 0x7fff0000 };

	for (size_t i = 0; i < ARRAY_SIZE(type); i++) {
		struct check_dev *d = check_dev(c, NULL);
		const struct ring_ent e[2] = { { d->buf_gpa, 16, i & 1 ? NEXT : 0, 1 },
					       { d->buf_gpa + 512, 513, 0, 0 } };

		check_note(c, "type %u without a device-writable byte", type[i]);
		req_hdr(d, 0, type[i], 0);
		ring_put(d, 0, e, 1 + (i & 1));
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

static void all_writable(struct check *c)
{
	static const uint32_t len[] = { 1, 16, 17, 4096 };

	for (size_t i = 0; i < ARRAY_SIZE(len); i++) {
		struct check_dev *d = check_dev(c, NULL);
		const struct ring_ent e[2] = { { d->buf_gpa, len[i], WRITE | NEXT, 1 },
					       { d->buf_gpa + 8192, 1, WRITE, 0 } };

		check_note(c, "a header in %u device-writable bytes", len[i]);
		req_hdr(d, 0, VIRTIO_BLK_T_FLUSH, 0);
		ring_put(d, 0, e, 2);
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

#define NEED_RW (NEED_BLK | NEED_WRITE | NEED_WRITABLE)

const struct check_case check_blk_cases[] = {
	{ "blk.edges", "VIRTIO 1.3 5.2.6", "the first and the last block can be read", CHECK_MUST,
	  NEED_BLK, false, edges },
	{ "blk.read-beyond", "VIRTIO 1.3 5.2.6.1", "a read beyond the capacity is an error",
	  CHECK_MUST, NEED_BLK, false, read_beyond },
	{ "blk.odd-read", "VIRTIO 1.3 5.2.6.1",
	  "a read that is no multiple of 512 bytes is an error", CHECK_SHOULD, NEED_BLK, false,
	  odd_read },
	{ "blk.no-data", "VIRTIO 1.3 5.2.6", "a read of nothing is answered", CHECK_MUST, NEED_BLK,
	  false, no_data },
	{ "blk.large-read", "VIRTIO 1.3 5.2.5", "half a MiB, or SIZE_MAX, fits into one descriptor",
	  CHECK_MUST, NEED_BLK, false, large_read },
	{ "blk.unknown-types", "VIRTIO 1.3 5.2.6.2",
	  "requests of types the device does not have are unsupported", CHECK_MUST, NEED_BLK, false,
	  unknown_types },
	{ "blk.get-id", "VIRTIO 1.3 5.2.6", "GET_ID gives 20 bytes of ASCII, filled up with zeroes",
	  CHECK_MUST, NEED_BLK, false, get_id },
	{ "blk.flush", "VIRTIO 1.3 5.2.6", "a flush succeeds", CHECK_MUST, NEED_BLK | NEED_FLUSH,
	  false, flush },
	{ "blk.limits", "VIRTIO 1.3 5.2.5", "limits that come with a feature are not 0",
	  CHECK_SHOULD, NEED_BLK | NEED_CONFIG, false, limits },
	{ "blk.contents", "VIRTIO 1.3 5.2.6", "what is read is what was written last", CHECK_MUST,
	  NEED_RW, true, contents },
	{ "blk.many-writes", "VIRTIO 1.3 5.2.6",
	  "writes in flight together each go to their own place", CHECK_MUST, NEED_RW, true,
	  many_writes },
	{ "blk.queues-agree", "VIRTIO 1.3 5.2.2", "what one queue wrote another reads", CHECK_MUST,
	  NEED_RW | NEED_MQ, false, queues_agree },
	{ "blk.write-pieces", "VIRTIO 1.3 2.7.4.1", "a write may be cut into pieces of any length",
	  CHECK_MUST, NEED_RW, true, write_pieces },
	{ "blk.odd-write", "VIRTIO 1.3 5.2.6.1",
	  "a write that is no multiple of 512 bytes is an error", CHECK_SHOULD, NEED_RW, false,
	  odd_write },
	{ "blk.write-beyond", "VIRTIO 1.3 5.2.6.1",
	  "a write beyond the capacity is an error and changes nothing", CHECK_MUST, NEED_RW, false,
	  write_beyond },
	{ "blk.survives", "VIRTIO 1.3 5.2.6.2",
	  "what was written and flushed is there over the next connection", CHECK_MUST,
	  NEED_RW | NEED_FLUSH, false, survives },
	{ "blk.read-only", "VIRTIO 1.3 5.2.6.2",
	  "a write to a read-only disk is an error and changes nothing", CHECK_MUST,
	  NEED_BLK | NEED_READ_ONLY, false, read_only },
	{ "blk.runt-headers", "VIRTIO 1.3 5.2.6", "a header that is too short does no harm",
	  CHECK_MUST, NEED_BLK, true, runt_headers },
	{ "blk.no-status", "VIRTIO 1.3 5.2.6", "a request without a status byte does no harm",
	  CHECK_MUST, NEED_BLK, true, no_status },
	{ "blk.all-writable", "VIRTIO 1.3 5.2.6",
	  "a request whose header is device-writable does no harm", CHECK_MUST, NEED_BLK, true,
	  all_writable },
	{ 0 },
};
