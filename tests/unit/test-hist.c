/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "util/compiler.h"
#include "util/hist.h"

static struct hist h;

static int reset(void **state)
{
	(void)state;
	hist_reset(&h);
	return 0;
}

static void small_values_have_buckets_of_their_own(void **state)
{
	(void)state;
	for (unsigned int v = 0; v < 32; v++) {
		assert_int_equal(hist_index(v), v);
		assert_int_equal(hist_low(v), v);
		assert_int_equal(hist_high(v), v);
	}
	assert_int_equal(hist_index(32), 32);
	assert_int_equal(hist_index(33), 32);
	assert_int_equal(hist_index(34), 33);
}

static void buckets_meet_without_gap_or_overlap(void **state)
{
	(void)state;
	assert_int_equal(hist_low(0), 0);
	for (unsigned int i = 1; i < HIST_BUCKETS; i++)
		assert_true(hist_low(i) == hist_high(i - 1) + 1);
	assert_true(hist_high(HIST_BUCKETS - 1) == UINT64_MAX);
}

static void both_ends_of_a_bucket_belong_to_it(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < HIST_BUCKETS; i++) {
		assert_int_equal(hist_index(hist_low(i)), i);
		assert_int_equal(hist_index(hist_high(i)), i);
	}
}

static void no_bucket_is_wider_than_a_sixteenth(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < HIST_BUCKETS; i++)
		assert_true(hist_high(i) - hist_low(i) <= hist_low(i) / 16);
}

static void an_empty_one_gives_zeroes(void **state)
{
	(void)state;
	assert_int_equal(hist_quantile(&h, 500000), 0);
	assert_int_equal(hist_quantile(&h, 1000000), 0);
	assert_true(hist_mean(&h) == 0);
}

static void one_value_is_every_quantile(void **state)
{
	static const uint64_t values[] = { 0, 1, 15, 16, 1000, 123456789, UINT64_MAX };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		hist_reset(&h);
		hist_add(&h, values[i]);
		assert_true(hist_quantile(&h, 0) == values[i]);
		assert_true(hist_quantile(&h, 500000) == values[i]);
		assert_true(hist_quantile(&h, 1000000) == values[i]);
		assert_true(h.min == values[i] && h.max == values[i]);
	}
}

static void quantiles_of_small_values_are_exact(void **state)
{
	(void)state;
	for (unsigned int v = 1; v <= 10; v++)
		hist_add(&h, v);
	assert_int_equal(hist_quantile(&h, 0), 1);
	assert_int_equal(hist_quantile(&h, 100000), 1);
	assert_int_equal(hist_quantile(&h, 100001), 2);
	assert_int_equal(hist_quantile(&h, 500000), 5);
	assert_int_equal(hist_quantile(&h, 900000), 9);
	assert_int_equal(hist_quantile(&h, 999000), 10);
	assert_int_equal(hist_quantile(&h, 1000000), 10);
	assert_true(hist_mean(&h) == 5.5);
}

static void values_are_spread_evenly_inside_a_bucket(void **state)
{
	unsigned int i = hist_index(1 << 20);
	uint64_t low = hist_low(i), width = hist_high(i) - low;

	(void)state;
	hist_add(&h, low);
	hist_add(&h, low);
	hist_add(&h, low);
	hist_add(&h, hist_high(i));
	assert_int_equal(hist_quantile(&h, 250000), low + width / 4);
	assert_int_equal(hist_quantile(&h, 500000), low + width / 2);
	assert_int_equal(hist_quantile(&h, 1000000), low + width);
}

static void quantiles_of_many_values_are_within_a_sixteenth(void **state)
{
	(void)state;
	for (uint64_t v = 1; v <= 100000; v++)
		hist_add(&h, v);
	for (uint32_t ppm = 10; ppm <= 1000000; ppm += 10) {
		uint64_t exact = ppm / 10, found = hist_quantile(&h, ppm);

		assert_true(found >= exact - exact / 16 && found <= exact + exact / 16);
	}
	assert_int_equal(hist_quantile(&h, 1000000), 100000);
}

static void quantiles_never_fall(void **state)
{
	uint64_t v = 1, last = 0;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		v = v * UINT64_C(6364136223846793005) + 1442695040888963407;
		hist_add(&h, v >> (i % 60));
	}
	for (uint32_t ppm = 0; ppm <= 1000000; ppm += 100) {
		uint64_t q = hist_quantile(&h, ppm);

		assert_true(q >= last && q >= h.min && q <= h.max);
		last = q;
	}
}

static void merged_is_as_if_all_were_added_to_one(void **state)
{
	static struct hist a, b;

	(void)state;
	hist_reset(&a);
	hist_reset(&b);
	for (uint64_t v = 7; v < 70000; v += 13) {
		hist_add(v % 3 ? &a : &b, v * v);
		hist_add(&h, v * v);
	}
	hist_merge(&a, &b);
	assert_memory_equal(&a, &h, sizeof(h));
	hist_reset(&b);
	hist_merge(&a, &b);
	assert_memory_equal(&a, &h, sizeof(h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(small_values_have_buckets_of_their_own, reset),
		cmocka_unit_test_setup(buckets_meet_without_gap_or_overlap, reset),
		cmocka_unit_test_setup(both_ends_of_a_bucket_belong_to_it, reset),
		cmocka_unit_test_setup(no_bucket_is_wider_than_a_sixteenth, reset),
		cmocka_unit_test_setup(an_empty_one_gives_zeroes, reset),
		cmocka_unit_test_setup(one_value_is_every_quantile, reset),
		cmocka_unit_test_setup(quantiles_of_small_values_are_exact, reset),
		cmocka_unit_test_setup(values_are_spread_evenly_inside_a_bucket, reset),
		cmocka_unit_test_setup(quantiles_of_many_values_are_within_a_sixteenth, reset),
		cmocka_unit_test_setup(quantiles_never_fall, reset),
		cmocka_unit_test_setup(merged_is_as_if_all_were_added_to_one, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
