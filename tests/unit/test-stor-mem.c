/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/stor.h"
#include "../lib/stor-conformance.h"

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

static void conforms(void **state)
{
	struct stor *s = stor_open("mem:3M", NULL, NULL);

	assert_non_null(s);
	assert_true(s->caps.discard && s->caps.write_zeroes_unmap);
	stor_conformance(s, *state, false);
	stor_close(s);
}

static void conforms_in_large_blocks(void **state)
{
	const struct stor_open_args a = { .block_size = 4096 };
	struct stor *s = stor_open("mem:1M", &a, NULL);

	assert_non_null(s);
	stor_conformance(s, *state, false);
	stor_close(s);
}

static size_t resident(const char *base, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
	unsigned char vec[1024];

	assert_true(len / page <= sizeof(vec));
	assert_int_equal(mincore((void *)(uintptr_t)base, len, vec), 0);
	for (size_t i = 0; i < len / page; i++)
		n += vec[i] & 1;
	return n * page;
}

static void only_what_is_written_takes_memory_and_discard_gives_it_back(void **state)
{
	struct stor *s = stor_open("mem:2M", NULL, NULL);
	char *buf = malloc(2 << 20);
	struct stor_io io;

	assert_non_null(s);
	assert_int_equal(resident(s->priv, 2 << 20), 0);
	assert_int_equal(stor_io_open(&io, s, *state), 0);
	memset(buf, 1, 2 << 20);
	assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 0, buf, 2 << 20), 0);
	assert_int_equal(resident(s->priv, 2 << 20), 2 << 20);
	/* Odd edges: sectors beside the pages that go must survive. */
	assert_int_equal(stor_io_one(&io, STOR_DISCARD, 0, 512, NULL, (1 << 20) - 1024), 0);
	assert_true(resident(s->priv, 2 << 20) <= (1 << 20) + 2 * 65536);
	assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, buf, 2 << 20), 0);
	assert_int_equal(buf[511], 1);
	assert_int_equal(buf[512], 0);
	assert_int_equal(buf[(1 << 20) - 513], 0);
	assert_int_equal(buf[(1 << 20) - 512], 1);
	stor_io_close(&io);
	stor_close(s);
	free(buf);
}

static void two_workers_share_one_disk(void **state)
{
	const struct worker_cfg cfg = { .name = "second", .cpu = -1, .no_uring = true };
	struct worker *w2 = worker_new(&cfg);
	struct stor *s = stor_open("mem:1M", NULL, NULL);
	char buf[512], back[512];
	struct stor_io a, b;

	assert_non_null(s);
	memset(buf, 0x42, sizeof(buf));
	assert_int_equal(stor_io_open(&a, s, *state), 0);
	assert_int_equal(stor_io_open(&b, s, w2), 0);
	assert_int_equal(stor_io_one(&a, STOR_WRITE, 0, 4096, buf, 512), 0);
	assert_int_equal(stor_io_one(&b, STOR_READ, 0, 4096, back, 512), 0);
	assert_memory_equal(buf, back, 512);
	stor_io_close(&a);
	stor_io_close(&b);
	stor_close(s);
	worker_free(w2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(conforms),
		cmocka_unit_test(conforms_in_large_blocks),
		cmocka_unit_test(only_what_is_written_takes_memory_and_discard_gives_it_back),
		cmocka_unit_test(two_workers_share_one_disk),
	};

	return cmocka_run_group_tests_name("stor-mem", tests, setup, teardown);
}
