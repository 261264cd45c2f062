/* SPDX-License-Identifier: MIT */
/* Which requests a lane of `vuctl bench` makes, and what verification says of a wrong block. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/lane.h"

#define QD     4
#define BLOCKS 64
#define BS     1024
#define SIZE   (BLOCKS * BS)
#define RUN    0x1234

static struct lane lane, other;
static struct lane_slot slot[QD];
static uint8_t data[QD][BS], disk[SIZE];
static _Atomic int phase;

static struct bench_opts opts(enum bench_rw rw)
{
	return (struct bench_opts){ .rw = rw, .bs = BS, .qd = QD, .queues = 1, .seed = 7 };
}

static void start(struct lane *l, const struct bench_opts *o, unsigned int index)
{
	struct err e = { .code = 0 };

	assert_int_equal(lane_init(l, o, index, &phase, SIZE, RUN, &e), 0);
}

static int setup(void **state)
{
	(void)state;
	phase = PHASE_WARMUP;
	memset(disk, 0x5a, sizeof(disk));
	for (unsigned int i = 0; i < QD; i++)
		slot[i] = (struct lane_slot){ .buf = data[i] };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lane_fini(&lane);
	lane_fini(&other);
	return 0;
}

/* One request, carried out on the disk in memory. */
static bool step(struct lane *l, struct lane_slot *s)
{
	if (!lane_next(l, s, 100))
		return false;
	if (s->write)
		memcpy(disk + s->offset, s->buf, BS);
	else
		memcpy(s->buf, disk + s->offset, BS);
	lane_finish(l, s, 0, 150);
	return true;
}

static void read_back(struct lane *l)
{
	phase = PHASE_CHECK;
	lane_look(l);
	if (lane_check_begin(l))
		while (step(l, &slot[0]))
			;
}

static void in_sequence_each_lane_has_its_part(void **state)
{
	struct bench_opts o = opts(BENCH_READ);

	(void)state;
	o.queues = 2;
	o.offset = 4 * BS;
	o.size = 16 * BS;
	start(&lane, &o, 0);
	start(&other, &o, 1);
	for (unsigned int i = 0; i < 20; i++) {
		assert_true(step(&lane, &slot[0]));
		assert_true(step(&other, &slot[1]));
		assert_int_equal(slot[0].offset, (4 + i % 8) * BS);
		assert_int_equal(slot[1].offset, (12 + i % 8) * BS);
		assert_false(slot[0].write);
	}
}

static void random_requests_go_everywhere_and_nowhere_else(void **state)
{
	struct bench_opts o = opts(BENCH_RANDRW);
	unsigned int seen[BLOCKS] = { 0 }, writes = 0;

	(void)state;
	o.offset = 8 * BS;
	o.size = 32 * BS;
	start(&lane, &o, 0);
	for (unsigned int i = 0; i < 3200; i++) {
		assert_true(step(&lane, &slot[0]));
		assert_int_equal(slot[0].offset % BS, 0);
		seen[slot[0].offset / BS]++;
		writes += slot[0].write;
	}
	for (unsigned int i = 0; i < BLOCKS; i++)
		assert_int_equal(seen[i] > 0, i >= 8 && i < 40);
	assert_in_range(writes, 1400, 1800);
}

static void the_same_seed_makes_the_same_requests(void **state)
{
	struct bench_opts o = opts(BENCH_RANDREAD);
	unsigned int same = 0;

	(void)state;
	start(&lane, &o, 0);
	start(&other, &o, 0);
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(step(&lane, &slot[0]) && step(&other, &slot[1]));
		assert_int_equal(slot[0].offset, slot[1].offset);
	}
	o.seed++;
	start(&other, &o, 0);
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(step(&lane, &slot[0]) && step(&other, &slot[1]));
		same += slot[0].offset == slot[1].offset;
	}
	assert_true(same < 20);
}

static void only_what_ends_in_the_measurement_is_counted(void **state)
{
	struct bench_opts o = opts(BENCH_READ);

	(void)state;
	start(&lane, &o, 0);
	lane_look(&lane);
	assert_true(step(&lane, &slot[0]));
	assert_true(lane_next(&lane, &slot[0], 100));
	phase = PHASE_MEASURE;
	lane_look(&lane);
	lane_finish(&lane, &slot[0], 0, 177);
	assert_true(lane_next(&lane, &slot[0], 100));
	phase = PHASE_CHECK;
	lane_look(&lane);
	lane_finish(&lane, &slot[0], 0, 200);
	assert_false(step(&lane, &slot[0]));
	assert_int_equal(lane.reads, 1);
	assert_int_equal(lane.hist.count, 1);
	assert_int_equal(lane.hist.max, 77);
	assert_int_equal(lane.in_flight, 0);
	assert_true(lane.begin_ns && lane.end_ns >= lane.begin_ns);
	assert_false(lane_check_begin(&lane));
}

static void a_failed_request_says_which_and_ends_the_lane(void **state)
{
	struct bench_opts o = opts(BENCH_READ);

	(void)state;
	start(&lane, &o, 0);
	assert_true(step(&lane, &slot[0]));
	assert_true(lane_next(&lane, &slot[0], 1) && lane_next(&lane, &slot[1], 1));
	lane_finish(&lane, &slot[0], -EIO, 2);
	lane_finish(&lane, &slot[1], -ENOSPC, 2);
	assert_false(lane_next(&lane, &slot[0], 1));
	assert_int_equal(lane.fail.code, -EIO);
	assert_string_equal(lane.fail.what,
			    "a read of 1024 bytes at offset 1024 failed: Input/output error");
}

/* ---- verification ---- */

static struct bench_opts verify(enum bench_rw rw)
{
	struct bench_opts o = opts(rw);

	o.verify = true;
	return o;
}

static void what_was_written_is_found_right(void **state)
{
	struct bench_opts o = verify(BENCH_RANDRW);
	uint64_t before;

	(void)state;
	start(&lane, &o, 0);
	for (unsigned int i = 0; i < 1000; i++)
		assert_true(step(&lane, &slot[0]));
	assert_true(lane.verified > 300);
	before = lane.verified;
	read_back(&lane);
	assert_int_equal(lane.verified - before, BLOCKS);
	assert_false(lane.failed);
}

static void what_was_not_written_is_not_judged(void **state)
{
	struct bench_opts o = verify(BENCH_WRITE);

	(void)state;
	start(&lane, &o, 0);
	for (unsigned int i = 0; i < 5; i++)
		assert_true(step(&lane, &slot[0]));
	read_back(&lane);
	assert_int_equal(lane.verified, 5);
	assert_false(lane.failed);
}

static void no_block_is_in_two_requests(void **state)
{
	struct bench_opts o = verify(BENCH_RANDRW);

	(void)state;
	o.size = 2 * QD * BS;
	start(&lane, &o, 0);
	for (unsigned int i = 0; i < QD; i++)
		assert_true(lane_next(&lane, &slot[i], 0));
	for (unsigned int i = 0; i < 1000; i++) {
		for (unsigned int a = 0; a < QD; a++)
			for (unsigned int b = 0; b < a; b++)
				assert_true(slot[a].offset != slot[b].offset);
		if (slot[i % QD].write)
			memcpy(disk + slot[i % QD].offset, slot[i % QD].buf, BS);
		else
			memcpy(slot[i % QD].buf, disk + slot[i % QD].offset, BS);
		lane_finish(&lane, &slot[i % QD], 0, 0);
		assert_true(lane_next(&lane, &slot[i % QD], 0));
	}
	assert_false(lane.failed);
}

/* Write all blocks @times times, let @spoil do something, read back; the sentence. */
static const char *spoiled(unsigned int times, void (*spoil)(void))
{
	struct bench_opts o = verify(BENCH_WRITE);

	start(&lane, &o, 0);
	for (unsigned int i = 0; i < times * BLOCKS; i++)
		assert_true(step(&lane, &slot[0]));
	spoil();
	read_back(&lane);
	assert_true(lane.failed);
	assert_int_equal(lane.fail.code, -EILSEQ);
	assert_string_equal(lane.fail.id, "verify-failed");
	return lane.fail.what;
}

static void flip(void)
{
	disk[3 * BS + 512 + 100] ^= 0x80;
}

static void damage_is_told_to_the_byte(void **state)
{
	char wanted[256];
	const char *found = spoiled(1, flip);

	(void)state;
	snprintf(wanted, sizeof(wanted),
		 "verification failed at offset 3584: byte 100 of the sector is 0x%02x where "
		 "write 1 put 0x%02x",
		 disk[3 * BS + 512 + 100], disk[3 * BS + 512 + 100] ^ 0x80);
	assert_string_equal(found, wanted);
}

static void clear(void)
{
	memset(disk + 5 * BS + 512, 0, 512);
}

static void zeroes_are_told(void **state)
{
	(void)state;
	assert_string_equal(spoiled(2, clear), "verification failed at offset 5632: there are "
					       "zeroes, write 2 is lost");
}

static void displace(void)
{
	memcpy(disk + 9 * BS, disk + 40 * BS, BS);
}

static void a_write_that_went_elsewhere_is_told(void **state)
{
	(void)state;
	assert_string_equal(spoiled(1, displace), "verification failed at offset 9216: what is "
						  "there was written to offset 40960");
}

static uint8_t old[BS];

static void go_back(void)
{
	memcpy(disk + 11 * BS, old, BS);
}

static void an_older_write_is_told(void **state)
{
	struct bench_opts o = verify(BENCH_WRITE);

	(void)state;
	start(&other, &o, 0);
	for (unsigned int i = 0; i < 12; i++)
		assert_true(step(&other, &slot[0]));
	memcpy(old, disk + 11 * BS, BS);
	assert_string_equal(spoiled(3, go_back), "verification failed at offset 11264: write 1 is "
						 "there, write 3 was the last one completed");
}

static void what_another_run_left_is_told(void **state)
{
	struct bench_opts o = verify(BENCH_WRITE);
	struct err e = { .code = 0 };

	(void)state;
	assert_int_equal(lane_init(&other, &o, 0, &phase, SIZE, RUN + 1, &e), 0);
	for (unsigned int i = 0; i < 12; i++)
		assert_true(step(&other, &slot[0]));
	memcpy(old, disk + 11 * BS, BS);
	assert_string_equal(spoiled(1, go_back),
			    "verification failed at offset 11264: what is there was written by "
			    "another run (write 1 of offset 11264), write 1 of this one is lost");
}

static void too_few_blocks_to_verify_are_refused(void **state)
{
	struct bench_opts o = verify(BENCH_RANDRW);
	struct err e = { .code = 0 };

	(void)state;
	o.size = (2 * QD - 1) * BS;
	assert_int_equal(lane_init(&lane, &o, 0, &phase, SIZE, RUN, &e), -EINVAL);
	assert_string_equal(e.id, "range-too-small");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_sequence_each_lane_has_its_part),
		TEST(random_requests_go_everywhere_and_nowhere_else),
		TEST(the_same_seed_makes_the_same_requests),
		TEST(only_what_ends_in_the_measurement_is_counted),
		TEST(a_failed_request_says_which_and_ends_the_lane),
		TEST(what_was_written_is_found_right),
		TEST(what_was_not_written_is_not_judged),
		TEST(no_block_is_in_two_requests),
		TEST(damage_is_told_to_the_byte),
		TEST(zeroes_are_told),
		TEST(a_write_that_went_elsewhere_is_told),
		TEST(an_older_write_is_told),
		TEST(what_another_run_left_is_told),
		TEST(too_few_blocks_to_verify_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
