/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/stor.h"
#include "../lib/stor-conformance.h"
#include "util/compiler.h"
#include "util/loop.h"

#define MS 1000000ull

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

static struct stor *mem_with(const char *spec)
{
	struct stor *lower = stor_open("mem:1M", NULL, NULL), *s;
	struct err e = { 0 };

	assert_non_null(lower);
	s = stor_filter(lower, spec, &e);
	if (!s)
		fail_msg("%s: %s", spec, e.what);
	assert_int_equal(s->caps.size, lower->caps.size);
	assert_string_equal(s->source, "mem:1M");
	return s;
}

static void filters_that_do_nothing_conform(void **state)
{
	static const char *const specs[] = { "delay:ms=0", "delay", "error:after=1000000" };

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct stor *s = mem_with(specs[i]);

		stor_conformance(s, *state, false);
		stor_close(s);
	}
}

static void filters_stack(void **state)
{
	struct stor *s = mem_with("delay:ms=1,op=flush"), *top;
	struct stor_io io;

	top = stor_filter(s, "error:op=read,count=1", NULL);
	assert_non_null(top);
	assert_ptr_equal(top->lower, s);
	assert_int_equal(stor_io_open(&io, top, *state), 0);
	assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, (char[512]){ 0 }, 512), -EIO);
	stor_io_close(&io);
	stor_conformance(top, *state, false);
	stor_close(top);
}

static void delay_holds_back_the_operation_it_is_told_to(void **state)
{
	struct stor *s = mem_with("delay:ms=60,op=write");
	char buf[512] = { 1 };
	struct stor_io io;
	uint64_t t;

	assert_int_equal(stor_io_open(&io, s, *state), 0);
	t = clock_ns();
	assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 0, buf, 512), 0);
	assert_true(clock_ns() - t >= 60 * MS);
	t = clock_ns();
	assert_int_equal(stor_io_one(&io, STOR_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, buf, 512), 0);
	assert_true(clock_ns() - t < 60 * MS);
	assert_int_equal(buf[0], 1);
	stor_io_close(&io);
	stor_close(s);
}

static void delayed_requests_wait_side_by_side(void **state)
{
	struct stor *s = mem_with("delay:ms=50");
	struct stor_io_op ops[32];
	struct iovec iov[32];
	struct stor_io io;
	char buf[32][512];
	uint64_t t = clock_ns();

	assert_int_equal(stor_io_open(&io, s, *state), 0);
	for (int i = 0; i < 32; i++) {
		iov[i] = (struct iovec){ buf[i], 512 };
		ops[i] = (struct stor_io_op){ .op = STOR_READ,
					      .offset = (uint64_t)i * 512,
					      .len = 512,
					      .iov = &iov[i],
					      .niov = 1 };
	}
	stor_io_run(&io, ops, 32);
	t = clock_ns() - t;
	assert_true(t >= 50 * MS && t < 32 * 50 * MS);
	stor_io_close(&io);
	stor_close(s);
}

static void error_fails_the_requests_it_counts_and_no_others(void **state)
{
	struct stor *s = mem_with("error:op=write,errno=28,after=2,count=3");
	static const int want[] = { 0, 0, -ENOSPC, -ENOSPC, -ENOSPC, 0, 0 };
	char buf[512], back[512];
	struct stor_io io;

	assert_int_equal(stor_io_open(&io, s, *state), 0);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		memset(buf, (int)i + 1, sizeof(buf));
		assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 512 * i, buf, 512), want[i]);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, 512 * i, back, 512), 0);
		/* A failed write has not reached the disk. */
		assert_int_equal(back[0], want[i] ? 0 : (int)i + 1);
	}
	stor_io_close(&io);
	stor_close(s);
}

static void error_knows_every_operation(void **state)
{
	static const struct {
		const char *spec;
		enum stor_op op;
	} t[] = {
		{ "error:op=read", STOR_READ },           { "error:op=write", STOR_WRITE },
		{ "error:op=flush", STOR_FLUSH },         { "error:op=discard", STOR_DISCARD },
		{ "error:op=zeroes", STOR_WRITE_ZEROES },
	};
	char buf[512] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct stor *s = mem_with(t[i].spec);
		struct stor_io io;

		assert_int_equal(stor_io_open(&io, s, *state), 0);
		for (enum stor_op op = STOR_READ; op <= STOR_WRITE_ZEROES; op++) {
			bool data = op == STOR_READ || op == STOR_WRITE;

			assert_int_equal(stor_io_one(&io, op, 0, 0, data ? buf : NULL, 512),
					 op == t[i].op ? -EIO : 0);
		}
		stor_io_close(&io);
		stor_close(s);
	}
}

static void bad_specifications_are_explained_and_leave_the_lower_layer_alone(void **state)
{
	static const struct {
		const char *spec, *says;
	} t[] = {
		{ "slow:ms=1", "no storage filter 'slow'" },
		{ "delay:ms=x", "ms=x" },
		{ "delay:ms=-1", "ms=-1" },
		{ "delay:ms=3600001", "3600000" },
		{ "delay:sec=1", "no option 'sec'" },
		{ "delay:ms", "KEY=VALUE" },
		{ "delay:=1", "KEY=VALUE" },
		{ "error:op=eat", "no operation 'eat'" },
		{ "error:errno=0", "errno=0" },
		{ "error:errno=99999", "errno" },
		{ "error:count=99999999999999999999999", "count" },
		{ "error:op=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "too long" },
	};
	struct stor *lower = stor_open("mem:1M", NULL, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct err e = { 0 };

		assert_null(stor_filter(lower, t[i].spec, &e));
		assert_int_equal(e.code, -EINVAL);
		if (!strstr(e.what, t[i].says))
			fail_msg("'%s' does not say '%s'", e.what, t[i].says);
	}
	stor_conformance(lower, *state, false);
	stor_close(lower);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_that_do_nothing_conform),
		cmocka_unit_test(filters_stack),
		cmocka_unit_test(delay_holds_back_the_operation_it_is_told_to),
		cmocka_unit_test(delayed_requests_wait_side_by_side),
		cmocka_unit_test(error_fails_the_requests_it_counts_and_no_others),
		cmocka_unit_test(error_knows_every_operation),
		cmocka_unit_test(bad_specifications_are_explained_and_leave_the_lower_layer_alone),
	};

	return cmocka_run_group_tests_name("stor-filters", tests, setup, teardown);
}
