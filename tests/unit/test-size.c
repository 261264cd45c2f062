/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/compiler.h"
#include "util/size.h"

static void units_are_powers_of_1024_unless_they_end_in_b(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} t[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "512B", 512 },
		{ "4K", 4096 },
		{ "4KiB", 4096 },
		{ "4kib", 4096 },
		{ "4KB", 4000 },
		{ "4kb", 4000 },
		{ "512M", 512ull << 20 },
		{ "512m", 512ull << 20 },
		{ "10G", 10ull << 30 },
		{ "10GiB", 10ull << 30 },
		{ "10GB", 10000000000ull },
		{ "3T", 3ull << 40 },
		{ "2PB", 2000000000000000ull },
		{ "15E", 15ull << 60 },
		{ "18446744073709551615", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		uint64_t v = 1;

		assert_int_equal(size_parse(t[i].text, &v, NULL), 0);
		assert_true(v == t[i].bytes);
	}
}

static void what_is_no_size_is_refused_and_the_result_untouched(void **state)
{
	static const char *const bad[] = { "",    "G",    "-1",   "+1",  " 1",    "1 ",
					   "1 G", "1.5G", "0x10", "1GG", "1Gib2", "1GiBs",
					   "1X",  "1iB",  "1BB",  "1\n" };
	struct err e;
	uint64_t v = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&e, 0, sizeof(e));
		assert_int_equal(size_parse(bad[i], &v, &e), -EINVAL);
		assert_int_equal(e.code, -EINVAL);
		assert_string_equal(e.id, "bad-size");
		assert_non_null(strstr(e.hint, "10G"));
		assert_true(v == 7);
	}
}

static void overflow_is_noticed_in_digits_and_in_the_unit(void **state)
{
	static const char *const big[] = { "18446744073709551616", "99999999999999999999999999",
					   "16E", "18446744073709551615K", "19EB" };
	uint64_t v = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(big); i++)
		assert_int_equal(size_parse(big[i], &v, NULL), -ERANGE);
	assert_true(v == 7);
}

static void a_size_is_never_shown_larger_than_it_is(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text, *brief;
	} t[] = {
		{ 0, "0 bytes", "0" },
		{ 1, "1 byte", "1" },
		{ 1023, "1023 bytes", "1023" },
		{ 1024, "1 KiB", "1K" },
		{ 1536, "1.5 KiB", "1.5K" },
		{ 10ull << 30, "10 GiB", "10G" },
		{ (10ull << 30) - 1, "9.9 GiB", "9.9G" },
		{ (4ull << 30) - (100ull << 20), "3.9 GiB", "3.9G" },
		{ 1023ull << 30, "1023 GiB", "1023G" },
		{ UINT64_MAX, "15.9 EiB", "15.9E" },
	};
	char buf[SIZE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		assert_string_equal(size_format(buf, t[i].bytes), t[i].text);
		assert_string_equal(size_format_short(buf, t[i].bytes), t[i].brief);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_are_powers_of_1024_unless_they_end_in_b),
		cmocka_unit_test(what_is_no_size_is_refused_and_the_result_untouched),
		cmocka_unit_test(overflow_is_noticed_in_digits_and_in_the_unit),
		cmocka_unit_test(a_size_is_never_shown_larger_than_it_is),
	};

	return cmocka_run_group_tests_name("size", tests, NULL, NULL);
}
