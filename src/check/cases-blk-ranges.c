/* SPDX-License-Identifier: MIT */
/* vuctl check: DISCARD and WRITE_ZEROES (VIRTIO 1.3 section 5.2.6). */
#include <string.h>

#include "check/req.h"
#include "util/compiler.h"

#define AREA (1u << 20)
#define LIST 0u      /* in d->buf: the ranges */
#define OLD  65536u  /* what was there before */
#define NOW  524288u /* what is there now */
#define PART 262144u /* bytes of the area that the cases use */

static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
static const char *const names[] = { "DISCARD", "WRITE_ZEROES" };

static bool has(const struct check_dev *d, unsigned int i)
{
	return d->virtio & VIRTIO_BIT(i ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD);
}

static struct virtio_blk_dwz range(uint64_t sector, uint32_t n, uint32_t flags)
{
	return (struct virtio_blk_dwz){ htole64(sector), htole32(n), htole32(flags) };
}

static uint8_t submit(struct check *c, struct check_dev *d, uint32_t type,
		      const struct virtio_blk_dwz *w, unsigned int n)
{
	memcpy(d->buf + LIST, w, n * sizeof(*w));
	return check_blk(c, d, 0, type, 0, LIST, n * (uint32_t)sizeof(*w));
}

static void io(struct check *c, struct check_dev *d, uint32_t type, uint64_t sector, uint32_t at,
	       uint32_t len)
{
	uint8_t st = check_blk(c, d, 0, type, sector, at, len);

	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u for a request of type %u", st, type);
}

/* Known contents in the area; returns its first sector. */
static uint64_t known(struct check *c, struct check_dev *d)
{
	uint64_t base = req_scratch(c, AREA);

	req_fill(d->buf + OLD, PART, 99);
	io(c, d, VIRTIO_BLK_T_OUT, base, OLD, PART);
	return base;
}

/* Bytes [@from, @to) may be anything (or, if @zero, are 0); the others are as they were. */
static void compare(struct check *c, struct check_dev *d, uint64_t base, uint32_t from, uint32_t to,
		    bool zero, const char *what)
{
	memset(d->buf + NOW, REQ_POISON, PART);
	io(c, d, VIRTIO_BLK_T_IN, base, NOW, PART);
	for (uint32_t i = 0; i < PART; i++) {
		uint8_t b = d->buf[NOW + i];

		if (i < from || i >= to) {
			if (b != d->buf[OLD + i])
				check_fail(c, "nothing changed outside the range",
					   "%s changed byte %u; the range is %u to %u", what, i,
					   from, to);
		} else if (zero && b) {
			check_fail(c, "zeroes", "byte %u is 0x%02x after %s", i, b, what);
		}
	}
}

/* Sectors of a range of @blocks, as far as the device takes so many at once. */
static uint32_t sectors(struct check *c, struct check_dev *d, unsigned int type, uint32_t blocks)
{
	uint64_t n = blocks * req_step(c);
	struct virtio_blk_config k;
	uint32_t max;

	req_config(c, d, &k);
	max = le32toh(type ? k.max_write_zeroes_sectors : k.max_discard_sectors);
	if (max < req_step(c))
		check_skip(c, "the device says that it takes no range of a whole block");
	return (uint32_t)MIN(n, (uint64_t)max);
}

static uint32_t max_ranges(struct check *c, struct check_dev *d, unsigned int type)
{
	struct virtio_blk_config k;

	req_config(c, d, &k);
	return le32toh(type ? k.max_write_zeroes_seg : k.max_discard_seg);
}

static void succeed(struct check *c, struct check_dev *d, unsigned int type,
		    const struct virtio_blk_dwz *w, unsigned int n)
{
	uint8_t st = submit(c, d, types[type], w, n);

	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u for %s of %u ranges", st, names[type], n);
}

static void fail(struct check *c, struct check_dev *d, unsigned int type,
		 const struct virtio_blk_dwz *w, unsigned int n, const char *why)
{
	uint8_t st = submit(c, d, types[type], w, n);

	if (st != VIRTIO_BLK_S_IOERR && st != VIRTIO_BLK_S_UNSUPP)
		check_fail(c, "an error", "status %u for %s: %s", st, names[type], why);
}

/* ---- what they do ---- */

static void zeroes(struct check *c)
{
	for (uint32_t flags = 0; flags < 2; flags++) {
		struct check_dev *d = check_dev(c, NULL);
		uint64_t base = known(c, d);
		uint32_t bs = req_block(c), n = sectors(c, d, 1, PART / bs / 2);
		uint32_t from = PART / bs / 4 * bs;
		struct virtio_blk_dwz w = range(base + from / 512, n, flags);

		succeed(c, d, 1, &w, 1);
		compare(c, d, base, from, from + n * 512, true,
			flags ? "WRITE_ZEROES with unmap" : "WRITE_ZEROES");
		check_dev_close(c, d);
	}
}

static void discard(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = known(c, d);
	uint32_t bs = req_block(c), n = sectors(c, d, 0, PART / bs / 2);
	uint32_t from = PART / bs / 4 * bs;
	struct virtio_blk_dwz w = range(base + from / 512, n, 0);

	succeed(c, d, 0, &w, 1);
	compare(c, d, base, from, from + n * 512, false, "DISCARD");
	io(c, d, VIRTIO_BLK_T_OUT, base, OLD, PART); /* it can be written again */
	compare(c, d, base, 0, 0, false, "a write after DISCARD");
}

static void several(struct check *c, unsigned int type)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = known(c, d), step = req_step(c);
	uint32_t bs = req_block(c), max = MIN(max_ranges(c, d, type), PART / bs / 2);
	struct virtio_blk_dwz w[64];

	max = MIN(max, (uint32_t)ARRAY_SIZE(w));
	if (max < 2)
		check_skip(c, "the device takes one range at a time");
	for (uint32_t i = 0; i < max; i++) /* every other block */
		w[i] = range(base + 2 * i * step, (uint32_t)step, 0);
	succeed(c, d, type, w, max);
	io(c, d, VIRTIO_BLK_T_IN, base, NOW, PART);
	for (uint32_t i = 0; i < PART / bs; i++) {
		bool mine = i < 2 * max && i % 2 == 0;

		for (uint32_t k = 0; k < bs; k++) {
			uint8_t b = d->buf[NOW + i * bs + k];

			if (mine && type && b)
				check_fail(c, "zeroes in every range", "not in range %u of %u",
					   i / 2, max);
			if (!mine && b != d->buf[OLD + i * bs + k])
				check_fail(c, "nothing changed outside the ranges",
					   "block %u was, with %u ranges", i, max);
		}
	}
}

static void several_discards(struct check *c)
{
	several(c, 0);
}

static void several_zeroes(struct check *c)
{
	several(c, 1);
}

/* ---- what they refuse ---- */

static void unsupported(struct check *c, struct check_dev *d, unsigned int type, uint64_t base,
			uint32_t flags)
{
	struct virtio_blk_dwz w = range(base, (uint32_t)req_step(c), flags);
	uint8_t st = submit(c, d, types[type], &w, 1);

	if (st != VIRTIO_BLK_S_UNSUPP)
		check_fail(c, "status 2 (UNSUPP)", "status %u for %s with flags 0x%x", st,
			   names[type], flags);
}

static void zeroes_flags(struct check *c)
{
	static const uint32_t flags[] = { 2, 3, 0x80000000, UINT32_MAX };
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = known(c, d);

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		unsupported(c, d, 1, base, flags[i]);
	compare(c, d, base, 0, 0, false, "an unsupported WRITE_ZEROES");
}

static void discard_flags(struct check *c)
{
	static const uint32_t flags[] = { 2, 0x80000000, UINT32_MAX };
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = known(c, d);

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		unsupported(c, d, 0, base, flags[i]);
}

static void discard_unmap(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	unsupported(c, d, 0, known(c, d), VIRTIO_BLK_DWZ_FLAG_UNMAP);
}

static void beyond(struct check *c, unsigned int type)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = known(c, d), cap = check_facts(c)->sectors, step = req_step(c);
	const struct virtio_blk_dwz w[] = {
		range(cap, (uint32_t)step, 0),
		range(cap - step, (uint32_t)(2 * step), 0),
		range(UINT64_MAX - step + 1, (uint32_t)(2 * step), 0),
		range(UINT64_C(1) << 55, (uint32_t)step, 0),
		range(UINT64_C(1) << 63, (uint32_t)step, 0),
		range(cap / step * step - step, UINT32_MAX, 0),
	};
	uint32_t bs = req_block(c);

	io(c, d, VIRTIO_BLK_T_IN, 0, NOW + PART, bs);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		fail(c, d, type, &w[i], 1, "a range beyond the end of the disk");
	io(c, d, VIRTIO_BLK_T_IN, 0, NOW + PART + bs, bs);
	if (req_differs(d->buf + NOW + PART, d->buf + NOW + PART + bs, bs) < bs)
		check_fail(c, "the first block as it was", "it was changed");
	compare(c, d, base, 0, 0, false, "a range beyond the end");
}

static void beyond_discard(struct check *c)
{
	beyond(c, 0);
}

static void beyond_zeroes(struct check *c)
{
	beyond(c, 1);
}

static void malformed(struct check *c)
{
	static const uint32_t len[] = { 1, 8, 15, 17, 24 };
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = known(c, d);
	struct virtio_blk_dwz w[2] = { range(base, (uint32_t)req_step(c), 0),
				       range(base, (uint32_t)req_step(c), 0) };

	for (unsigned int t = 0; t < 2; t++) {
		if (!has(d, t))
			continue;
		memcpy(d->buf + LIST, w, sizeof(w));
		for (size_t i = 0; i < ARRAY_SIZE(len); i++) {
			uint8_t st = check_blk(c, d, 0, types[t], 0, LIST, len[i]);

			if (st == VIRTIO_BLK_S_OK)
				check_fail(c, "an error", "status 0 for %s with a list of %u bytes",
					   names[t], len[i]);
		}
		check_blk(c, d, 0, types[t], 0, 0, 0); /* answered, whatever with */
	}
}

static void too_many(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = known(c, d);
	bool tried = false;

	for (unsigned int t = 0; t < 2; t++) {
		uint32_t max = has(d, t) ? max_ranges(c, d, t) : UINT32_MAX;
		struct virtio_blk_dwz w = range(base, (uint32_t)req_step(c), 0);
		uint8_t st;

		if (max > 4000)
			continue;
		tried = true;
		for (uint32_t i = 0; i <= max; i++)
			memcpy(d->buf + LIST + i * sizeof(w), &w, sizeof(w));
		st = check_blk(c, d, 0, types[t], 0, LIST, (max + 1) * (uint32_t)sizeof(w));
		if (st == VIRTIO_BLK_S_OK)
			check_fail(c, "an error", "status 0 for %s of %u ranges; %u are allowed",
				   names[t], max + 1, max);
	}
	if (!tried)
		check_skip(c, "there is no limit that could be passed");
}

/* A range of nothing changes nothing. */
static void empty_range(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t base = known(c, d);

	for (unsigned int t = 0; t < 2; t++) {
		struct virtio_blk_dwz w = range(base + req_step(c), 0, 0);

		if (has(d, t))
			submit(c, d, types[t], &w, 1);
	}
	compare(c, d, base, 0, 0, false, "an empty range");
}

/* Without the feature the type is not supported: nothing may be done. */
static void not_accepted(struct check *c)
{
	const struct check_dev_args a = { .virtio_off = VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |
							VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) };
	struct check_dev *d = check_dev(c, &a);
	uint64_t base = known(c, d);

	for (unsigned int t = 0; t < 2; t++) {
		struct virtio_blk_dwz w = range(base, (uint32_t)req_step(c), 0);
		uint8_t st = submit(c, d, types[t], &w, 1);

		if (st == VIRTIO_BLK_S_OK)
			check_fail(c, "status 2 (UNSUPP)",
				   "status 0 for %s, which the driver did not accept", names[t]);
	}
}

static void read_only(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct virtio_blk_dwz w = range(0, (uint32_t)req_step(c), 0);
	uint32_t bs = req_block(c);

	io(c, d, VIRTIO_BLK_T_IN, 0, OLD, bs);
	for (unsigned int t = 0; t < 2; t++)
		fail(c, d, t, &w, 1, "on a read-only disk");
	io(c, d, VIRTIO_BLK_T_IN, 0, NOW, bs);
	if (req_differs(d->buf + OLD, d->buf + NOW, bs) < bs)
		check_fail(c, "a read-only disk that does not change", "it was changed");
}

#define NEED_RW (NEED_BLK | NEED_CONFIG | NEED_WRITE | NEED_WRITABLE)
#define NEED_D  (NEED_RW | NEED_DISCARD)
#define NEED_Z  (NEED_RW | NEED_WRITE_ZEROES)

const struct check_case check_blk_range_cases[] = {
	{ "blk.write-zeroes", "VIRTIO 1.3 5.2.6.2",
	  "after WRITE_ZEROES, with or without unmap, the range reads as zeroes and the rest as before",
	  CHECK_MUST, NEED_Z, false, zeroes },
	{ "blk.discard", "VIRTIO 1.3 5.2.6.2", "DISCARD succeeds and touches nothing but its range",
	  CHECK_MUST, NEED_D, false, discard },
	{ "blk.several-discards", "VIRTIO 1.3 5.2.6",
	  "DISCARD takes as many ranges as max_discard_seg says", CHECK_MUST, NEED_D, false,
	  several_discards },
	{ "blk.several-zeroes", "VIRTIO 1.3 5.2.6",
	  "WRITE_ZEROES takes as many ranges as max_write_zeroes_seg says", CHECK_MUST, NEED_Z,
	  false, several_zeroes },
	{ "blk.write-zeroes-flags", "VIRTIO 1.3 5.2.6.2",
	  "WRITE_ZEROES with unknown flags is unsupported", CHECK_MUST, NEED_Z, false,
	  zeroes_flags },
	{ "blk.discard-flags", "VIRTIO 1.3 5.2.6.2", "DISCARD with unknown flags is unsupported",
	  CHECK_MUST, NEED_D, false, discard_flags },
	{ "blk.discard-unmap", "VIRTIO 1.3 5.2.6.2", "DISCARD with unmap is unsupported",
	  CHECK_MUST, NEED_D, false, discard_unmap },
	{ "blk.discard-beyond", "VIRTIO 1.3 5.2.6.1",
	  "DISCARD beyond the capacity is an error and changes nothing", CHECK_MUST, NEED_D, false,
	  beyond_discard },
	{ "blk.write-zeroes-beyond", "VIRTIO 1.3 5.2.6.1",
	  "WRITE_ZEROES beyond the capacity is an error and changes nothing", CHECK_MUST, NEED_Z,
	  false, beyond_zeroes },
	{ "blk.malformed-ranges", "VIRTIO 1.3 5.2.6.1",
	  "a list of ranges that is no multiple of 16 bytes is an error", CHECK_SHOULD, NEED_RW,
	  false, malformed },
	{ "blk.too-many-ranges", "VIRTIO 1.3 5.2.6.1",
	  "more ranges than the device takes are an error", CHECK_SHOULD, NEED_RW, false,
	  too_many },
	{ "blk.empty-range", "VIRTIO 1.3 5.2.6", "a range of no sectors changes nothing",
	  CHECK_MUST, NEED_RW, false, empty_range },
	{ "blk.ranges-not-accepted", "VIRTIO 1.3 2.2.1",
	  "DISCARD and WRITE_ZEROES are unsupported when the driver did not accept them",
	  CHECK_SHOULD, NEED_RW, false, not_accepted },
	{ "blk.read-only-ranges", "VIRTIO 1.3 5.2.6.2",
	  "DISCARD and WRITE_ZEROES on a read-only disk are errors and change nothing", CHECK_MUST,
	  NEED_BLK | NEED_READ_ONLY | NEED_WRITE, false, read_only },
	{ 0 },
};
