/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/stor.h"
#include "../lib/stor-conformance.h"
#include "util/compiler.h"

static int setup(void **state)
{
	const struct worker_cfg cfg = { .name = "test", .cpu = -1 };

	*state = worker_new(&cfg);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	worker_free(*state);
	return 0;
}

static struct stor *must_open(const char *source, const struct stor_open_args *a)
{
	struct err e = { 0 };
	struct stor *s = stor_open(source, a, &e);

	if (!s)
		fail_msg("%s: %s", source, e.what);
	return s;
}

static void conforms_but_forgets(void **state)
{
	struct stor *s = must_open("null:1M", NULL);

	stor_conformance(s, *state, true);
	stor_close(s);
}

static void reads_overwrite_whatever_was_in_the_buffers(void **state)
{
	struct stor *s = must_open("null:1M", NULL);
	unsigned char buf[2048];
	struct iovec iov[] = { { buf, 100 }, { buf + 200, 924 } };
	struct stor_io_op o = { .op = STOR_READ, .len = 1024, .iov = iov, .niov = 2 };
	struct stor_io io;

	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(stor_io_open(&io, s, *state), 0);
	stor_io_run(&io, &o, 1);
	assert_int_equal(o.res, 0);
	for (int i = 0; i < 2048; i++)
		assert_int_equal(buf[i], i < 100 || (i >= 200 && i < 1124) ? 0 : 0xee);
	stor_io_close(&io);
	stor_close(s);
}

static void read_only_refuses_every_change(void **state)
{
	const struct stor_open_args ro = { .read_only = true };
	static const char *const sources[] = { "null:1M", "mem:1M" };
	char buf[512] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		struct stor *s = must_open(sources[i], &ro);
		struct stor_io io;

		assert_true(s->caps.read_only);
		assert_false(s->caps.discard || s->caps.write_zeroes || s->caps.write_zeroes_unmap);
		assert_int_equal(stor_io_open(&io, s, *state), 0);
		assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 0, buf, 512), -EROFS);
		assert_int_equal(stor_io_one(&io, STOR_DISCARD, 0, 0, NULL, 512), -EROFS);
		assert_int_equal(stor_io_one(&io, STOR_WRITE_ZEROES, 0, 0, NULL, 512), -EROFS);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, buf, 512), 0);
		assert_int_equal(stor_io_one(&io, STOR_FLUSH, 0, 0, NULL, 0), 0);
		stor_io_close(&io);
		stor_close(s);
	}
}

/* ---- stor_open() itself ---- */

static void expect(const char *source, const struct stor_open_args *a, int code, const char *id,
		   const char *in_what)
{
	struct err e = { 0 };

	assert_null(stor_open(source, a, &e));
	assert_int_equal(e.code, code);
	assert_string_equal(e.id, id);
	if (!strstr(e.what, in_what))
		fail_msg("'%s' does not say '%s'", e.what, in_what);
}

static void unknown_schemes_are_named_with_those_there_are(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_null(stor_open("qcow9:disk", NULL, &e));
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.id, "unknown-source");
	assert_non_null(strstr(e.what, "'qcow9:'"));
	assert_non_null(strstr(e.hint, "raw:"));
	assert_non_null(strstr(e.hint, "null:"));
	assert_non_null(strstr(e.hint, "mem:"));
	assert_null(stor_open("qcow9:disk", NULL, NULL)); /* nobody wants to know */
}

static void sizes_that_make_no_disk_are_refused(void **state)
{
	(void)state;
	expect("null:", NULL, -EINVAL, "bad-size", "is not a size");
	expect("null:lots", NULL, -EINVAL, "bad-size", "null:lots");
	expect("null:0", NULL, -EINVAL, "image-empty", "empty");
	expect("null:1000", NULL, -EINVAL, "image-size", "1000 bytes: not a multiple of the 512");
	expect("mem:0", NULL, -EINVAL, "image-empty", "empty");
	expect("mem:15E", NULL, -ENOMEM, "out-of-memory", "mem:15E");
}

static void block_size_is_checked_and_presented(void **state)
{
	struct stor_open_args a = { .block_size = 4096 };
	struct stor *s = must_open("null:1M", &a);

	(void)state;
	assert_int_equal(s->caps.block_size, 4096);
	assert_int_equal(s->caps.physical_size, 4096);
	stor_close(s);
	expect("null:1537K", &a, -EINVAL, "image-size", "4096-byte block");
	a.block_size = 1000;
	expect("null:1M", &a, -EINVAL, "block-size", "1000");
	a.block_size = 256;
	expect("null:1M", &a, -EINVAL, "block-size", "256");
	a.block_size = 8192;
	expect("null:1M", &a, -EINVAL, "block-size", "8192");
}

static void overlong_and_empty_sources_are_refused(void **state)
{
	char long_name[400];

	(void)state;
	memset(long_name, 'a', sizeof(long_name));
	long_name[399] = '\0';
	expect(long_name, NULL, -ENAMETOOLONG, "source-too-long", "255");
	expect("", NULL, -EINVAL, "source-empty", "empty");
}

static void tables_are_complete(void **state)
{
	(void)state;
	assert_non_null(stor_backends[0]);
	for (const struct stor_ops *const *t = stor_backends; *t; t++) {
		assert_true((*t)->scheme && (*t)->help && (*t)->open && (*t)->close);
		assert_true((*t)->chan_open && (*t)->chan_close && (*t)->submit);
	}
	for (const struct stor_ops *const *t = stor_filters; *t; t++)
		assert_true((*t)->scheme && (*t)->help && (*t)->open && (*t)->submit);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(conforms_but_forgets),
		cmocka_unit_test(reads_overwrite_whatever_was_in_the_buffers),
		cmocka_unit_test(read_only_refuses_every_change),
		cmocka_unit_test(unknown_schemes_are_named_with_those_there_are),
		cmocka_unit_test(sizes_that_make_no_disk_are_refused),
		cmocka_unit_test(block_size_is_checked_and_presented),
		cmocka_unit_test(overlong_and_empty_sources_are_refused),
		cmocka_unit_test(tables_are_complete),
	};

	return cmocka_run_group_tests_name("stor-null", tests, setup, teardown);
}
