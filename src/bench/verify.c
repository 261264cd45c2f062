/* SPDX-License-Identifier: MIT */
/*
 * What is written says where, when and in which run, so that a wrong block
 * tells what happened to it: damaged, from elsewhere, older than it should
 * be, or never written. Every sector is whole in itself: a request that was
 * carried out in part is seen at its first sector that was not.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bench/lane.h"

#define SECTOR 512
#define MAGIC  UINT64_C(0x76637475622d6b6f)

/* In the byte order of this machine: nobody else reads it. */
struct sector {
	uint64_t magic;
	uint64_t run;
	uint64_t offset;
	uint64_t gen;
	uint64_t fill[SECTOR / 8 - 5];
	uint64_t sum; /* of all before it */
};
_Static_assert(sizeof(struct sector) == SECTOR, "a sector");

static uint64_t checksum(const struct sector *s)
{
	const uint64_t *w = (const void *)s;
	uint64_t sum = MAGIC;

	for (unsigned int i = 0; i < SECTOR / 8 - 1; i++) {
		sum = (sum ^ w[i]) * UINT64_C(0x9fb21c651e98df25);
		sum ^= sum >> 32;
	}
	return sum;
}

static void make(struct sector *s, uint64_t run, uint64_t offset, uint32_t gen)
{
	uint64_t state = run ^ offset ^ ((uint64_t)gen << 40);

	s->magic = MAGIC;
	s->run = run;
	s->offset = offset;
	s->gen = gen;
	for (unsigned int i = 0; i < ARRAY_SIZE(s->fill); i++)
		s->fill[i] = lane_random(&state);
	s->sum = checksum(s);
}

static unsigned int first_wrong(const struct sector *found, const struct sector *wanted)
{
	const uint8_t *a = (const void *)found, *b = (const void *)wanted;
	unsigned int i = 0;

	while (i < SECTOR - 1 && a[i] == b[i])
		i++;
	return i;
}

static bool all_zero(const struct sector *s)
{
	static const struct sector zero;

	return memcmp(s, &zero, sizeof(zero)) == 0;
}

/* Says what is in a sector that should have generation @gen of @offset. */
static void mismatch(struct lane *l, const struct sector *s, uint64_t offset, uint32_t gen)
{
	struct sector wanted;
	unsigned int at;

	if (s->magic == MAGIC && s->sum == checksum(s)) {
		if (s->run != l->run_id)
			lane_fail(l, -EILSEQ, "verify-failed",
				  "verification failed at offset %" PRIu64
				  ": what is there was written by another run (write %" PRIu64
				  " of offset %" PRIu64 "), write %u of this one is lost",
				  offset, s->gen, s->offset, gen);
		else if (s->offset != offset)
			lane_fail(l, -EILSEQ, "verify-failed",
				  "verification failed at offset %" PRIu64
				  ": what is there was written to offset %" PRIu64,
				  offset, s->offset);
		else
			lane_fail(l, -EILSEQ, "verify-failed",
				  "verification failed at offset %" PRIu64 ": write %" PRIu64
				  " is there, write %u was the last one completed",
				  offset, s->gen, gen);
		return;
	}
	if (all_zero(s)) {
		lane_fail(l, -EILSEQ, "verify-failed",
			  "verification failed at offset %" PRIu64
			  ": there are zeroes, write %u is lost",
			  offset, gen);
		return;
	}
	make(&wanted, l->run_id, offset, gen);
	at = first_wrong(s, &wanted);
	lane_fail(l, -EILSEQ, "verify-failed",
		  "verification failed at offset %" PRIu64 ": byte %u of the sector is 0x%02x "
		  "where write %u put 0x%02x",
		  offset, at, ((const uint8_t *)s)[at], gen, ((const uint8_t *)&wanted)[at]);
}

static void check(struct lane *l, const struct lane_slot *s, uint32_t gen)
{
	for (uint32_t i = 0; i < l->bs / SECTOR; i++) {
		const struct sector *sec = (const void *)(s->buf + (size_t)i * SECTOR);
		uint64_t offset = s->offset + (uint64_t)i * SECTOR;

		if (sec->magic != MAGIC || sec->run != l->run_id || sec->offset != offset ||
		    sec->gen != gen || sec->sum != checksum(sec)) {
			mismatch(l, sec, offset, gen);
			return;
		}
	}
	l->verified++;
}

/* ---- called by the lane ---- */

void verify_claim(struct lane *l, struct lane_slot *s)
{
	/* At least half of all blocks are free. */
	while (l->gen[s->block] & LANE_BUSY)
		s->block = s->block + 1 == l->nblocks ? 0 : s->block + 1;
	if (s->write) {
		uint64_t base = l->first + s->block * l->bs;
		uint32_t gen = (l->gen[s->block] + 1) & ~LANE_BUSY;

		gen = gen ? gen : 1; /* 0 is: never */
		l->gen[s->block] = gen;
		for (uint32_t i = 0; i < l->bs / SECTOR; i++)
			make((void *)(s->buf + (size_t)i * SECTOR), l->run_id,
			     base + (uint64_t)i * SECTOR, gen);
	}
	l->gen[s->block] |= LANE_BUSY;
}

void verify_finish(struct lane *l, struct lane_slot *s, int res)
{
	uint32_t gen = l->gen[s->block] &= ~LANE_BUSY;

	if (res == 0 && !s->write && gen)
		check(l, s, gen);
}

bool verify_pending(struct lane *l)
{
	while (l->cursor < l->nblocks && !l->gen[l->cursor])
		l->cursor++;
	return l->cursor < l->nblocks;
}

bool verify_next(struct lane *l, struct lane_slot *s)
{
	if (!verify_pending(l))
		return false;
	s->block = l->cursor++;
	s->write = false;
	return true;
}
