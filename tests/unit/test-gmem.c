/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/gmem.h"
#include "util/compiler.h"

#define K 1024ull

static int memfd(uint64_t size)
{
	int fd = memfd_create("test-gmem", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct gmem_region *map_region(uint64_t size, uint64_t bus, uint64_t user)
{
	struct err e = { 0 };
	int fd = memfd(size);
	struct gmem_region *r = gmem_region_map(fd, 0, size, bus, user, GMEM_RW, &e);

	close(fd);
	assert_non_null(r);
	return r;
}

/* A snapshot of one region whose only reference is the snapshot's. */
static struct gmem *one(struct gmem_region *r)
{
	struct err e = { 0 };
	struct gmem *m = gmem_new(&r, 1, &e);

	assert_non_null(m);
	gmem_region_put(r);
	return m;
}

static void translates_inside_and_refuses_every_edge(void **state)
{
	struct gmem_region *r = map_region(64 * K, 0x10000, 0x7f0000000000);
	uint8_t *host = r->host;
	struct gmem *m = one(r);

	(void)state;
	assert_ptr_equal(gmem_at(m, GMEM_BUS, 0x10000, 1, GMEM_RW), host);
	assert_ptr_equal(gmem_at(m, GMEM_BUS, 0x1ffff, 1, GMEM_RW), host + 0xffff);
	assert_ptr_equal(gmem_at(m, GMEM_BUS, 0x10000, 64 * K, GMEM_RW), host);
	assert_ptr_equal(gmem_at(m, GMEM_USER, 0x7f0000000010, 16, GMEM_R), host + 16);
	assert_ptr_equal(gmem_at(m, GMEM_BUS, 0x10000, 0, GMEM_R), host);
	assert_null(gmem_at(m, GMEM_BUS, 0xffff, 1, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, 0xffff, 2, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, 0x20000, 1, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, 0x20000, 0, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, 0x1ffff, 2, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, 0x10000, 64 * K + 1, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, 0x10001, UINT64_MAX, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, UINT64_MAX, 2, GMEM_R));
	assert_null(gmem_at(m, GMEM_USER, 0x10000, 1, GMEM_R));
	gmem_put(m);
}

/* Property test against a byte-by-byte oracle over random layouts. */
static void lookup_agrees_with_a_naive_oracle(void **state)
{
	static uint8_t backing[4096];

	(void)state;
	srandom(7);
	for (int round = 0; round < 200; round++) {
		struct gmem_region *rs[8];
		struct err e = { 0 };
		unsigned int n = 0;
		uint64_t at = (uint64_t)random() % 64;
		struct gmem *m;

		while (n < 8) {
			uint64_t size = 1 + (uint64_t)random() % 40;

			rs[n] = gmem_region_borrow(backing + at, size, at, 100000 - at);
			assert_non_null(rs[n]);
			n++;
			at += size + (random() % 3 ? (uint64_t)random() % 30 : 0);
			if (random() % 5 == 0)
				break;
		}
		/* user addresses run downwards: leave room by size */
		for (unsigned int i = 0; i < n; i++)
			rs[i]->user = 100000 - rs[i]->bus * 2 - rs[i]->size;
		m = gmem_new(rs, n, &e);
		assert_non_null(m);
		for (uint64_t a = 0; a < at + 4; a++) {
			for (uint64_t len = 1; len < 50; len += 7) {
				void *want = NULL;

				for (unsigned int i = 0; i < n; i++)
					if (a >= rs[i]->bus && a + len <= rs[i]->bus + rs[i]->size)
						want = rs[i]->host + (a - rs[i]->bus);
				assert_ptr_equal(gmem_at(m, GMEM_BUS, a, len, GMEM_R), want);
			}
		}
		gmem_put(m);
		for (unsigned int i = 0; i < n; i++)
			gmem_region_put(rs[i]);
	}
}

static void a_region_at_the_top_of_the_address_space_works(void **state)
{
	static uint8_t b[4096];
	struct gmem *m = one(gmem_region_borrow(b, 4096, UINT64_MAX - 4095, UINT64_MAX - 4095));

	(void)state;
	assert_ptr_equal(gmem_at(m, GMEM_BUS, UINT64_MAX, 1, GMEM_R), b + 4095);
	assert_null(gmem_at(m, GMEM_BUS, UINT64_MAX, 2, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, 0, 1, GMEM_R));
	assert_null(gmem_region_borrow(b, 4097, UINT64_MAX - 4095, 0));
	assert_null(gmem_region_borrow(b, 0, 0, 0));
	gmem_put(m);
}

static void overlap_is_refused_in_both_spaces(void **state)
{
	static uint8_t b[8192];
	struct gmem_region *r[2];
	struct err e = { 0 };

	(void)state;
	r[0] = gmem_region_borrow(b, 4096, 0, 0);
	r[1] = gmem_region_borrow(b, 4096, 4095, 8192);
	assert_null(gmem_new(r, 2, &e));
	assert_string_equal(e.id, "memory-region-overlap");
	gmem_region_put(r[1]);
	r[1] = gmem_region_borrow(b, 4096, 8192, 4095);
	assert_null(gmem_new(r, 2, &e));
	assert_string_equal(e.id, "memory-region-overlap");
	gmem_region_put(r[1]);
	gmem_region_put(r[0]);
}

static void a_file_that_is_too_short_is_refused(void **state)
{
	struct err e = { 0 };
	int fd = memfd(8192);

	(void)state;
	assert_null(gmem_region_map(fd, 4096, 8192, 0, 0, GMEM_RW, &e));
	assert_string_equal(e.id, "memory-region-short");
	assert_null(gmem_region_map(fd, UINT64_MAX - 100, 8192, 0, 0, GMEM_RW, &e));
	assert_string_equal(e.id, "memory-region-range");
	assert_null(gmem_region_map(fd, 0, 0, 0, 0, GMEM_RW, &e));
	assert_string_equal(e.id, "memory-region-range");
	assert_null(gmem_region_map(-1, 0, 4096, 0, 0, GMEM_RW, &e));
	assert_string_equal(e.id, "memory-region-fd");
	close(fd);
}

static void an_offset_need_not_be_page_aligned(void **state)
{
	struct err e = { 0 };
	int fd = memfd(16384);
	struct gmem_region *r;
	struct gmem *m;
	char c = 'x';

	(void)state;
	assert_int_equal(pwrite(fd, &c, 1, 5000), 1);
	r = gmem_region_map(fd, 5000, 4096, 0x1000, 0x1000, GMEM_RW, &e);
	assert_non_null(r);
	m = one(r);
	assert_int_equal(*(char *)gmem_at(m, GMEM_BUS, 0x1000, 1, GMEM_R), 'x');
	gmem_put(m);
	close(fd);
}

static bool mapped(void *p)
{
	unsigned char vec;

	return mincore(p, 4096, &vec) == 0;
}

static void unmap_is_deferred_while_a_snapshot_holds_the_region(void **state)
{
	struct gmem_region *a = map_region(4096, 0, 0), *b = map_region(4096, 0x100000, 0x100000);
	struct err e = { 0 };
	struct gmem *m1 = one(a), *m2, *m3;
	void *host_a = a->host, *host_b = b->host;

	(void)state;
	m2 = gmem_with(m1, b, &e);
	assert_non_null(m2);
	gmem_region_put(b);
	m3 = gmem_without(m2, a, &e);
	assert_non_null(m3);
	assert_int_equal(m3->n, 1);
	gmem_put(m1);
	assert_true(mapped(host_a)); /* m2 has it */
	gmem_put(m2);
	assert_false(mapped(host_a));
	assert_true(mapped(host_b));
	gmem_put(m3);
	assert_false(mapped(host_b));
}

static void permission_is_checked(void **state)
{
	struct err e = { 0 };
	int fd = memfd(4096);
	struct gmem *m = one(gmem_region_map(fd, 0, 4096, 0, 0, GMEM_R, &e));

	(void)state;
	assert_non_null(gmem_at(m, GMEM_BUS, 0, 16, GMEM_R));
	assert_null(gmem_at(m, GMEM_BUS, 0, 16, GMEM_W));
	gmem_put(m);
	close(fd);
}

static void vanished_memory_is_landed_and_marked(void **state)
{
	struct err e = { 0 };
	int fd = memfd(32768);
	struct gmem_region *r = gmem_region_map(fd, 0, 32768, 0, 0, GMEM_RW, &e);
	struct gmem *m = one(r);
	struct gmem_guard g = { .map = m };
	volatile uint8_t *p = r->host;

	(void)state;
	assert_int_equal(gmem_guard_install(), 0);
	gmem_guard_enter(&g);
	p[0] = 1;
	p[20000] = 2;
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_false(gmem_poisoned(m));
	p[20000] = 3; /* lands */
	assert_int_equal(p[20000], 3);
	assert_int_equal(p[28672], 0); /* another page */
	gmem_guard_leave(&g);
	assert_true(gmem_poisoned(m));
	assert_true(gmem_range_poisoned(m, (void *)(p + 19999), 2));
	assert_true(gmem_range_poisoned(m, (void *)(p + 8191), 20000));
	assert_false(gmem_range_poisoned(m, (void *)p, 8192));
	assert_null(gmem_at(m, GMEM_BUS, 20000, 4, GMEM_R));
	assert_non_null(gmem_at(m, GMEM_BUS, 0, 4, GMEM_R));
	gmem_put(m);
	close(fd);
}

static void many_vanished_pages_condemn_the_region(void **state)
{
	struct err e = { 0 };
	int fd = memfd(1024 * K);
	struct gmem_region *r = gmem_region_map(fd, 0, 1024 * K, 0, 0, GMEM_RW, &e);
	struct gmem *m = one(r);
	struct gmem_guard g = { .map = m };
	volatile uint8_t *p = r->host;

	(void)state;
	assert_int_equal(gmem_guard_install(), 0);
	gmem_guard_enter(&g);
	assert_int_equal(ftruncate(fd, 4096), 0);
	for (unsigned int i = 1; i <= GMEM_MAX_POISON + 1; i++)
		p[i * 65536] = 1;
	gmem_guard_leave(&g);
	assert_true(gmem_range_poisoned(m, (void *)p, 1));
	gmem_put(m);
	close(fd);
}

static void log_release(struct gmem_log *log)
{
	log->bytes = 0;
}

static void dirty_bits_cover_every_touched_page_and_nothing_beyond_the_log(void **state)
{
	static uint8_t backing[65536];
	uint8_t bits[4] = { 0, 0, 0, 0xa5 };
	struct gmem_log log = { .bits = bits, .bytes = 3, .release = log_release };
	struct err e = { 0 };
	struct gmem *plain = one(gmem_region_borrow(backing, sizeof(backing), 4096, 4096));
	struct gmem *m = gmem_relog(plain, &log, &e);

	(void)state;
	assert_non_null(m);
	gmem_dirty(plain, 4096, 10); /* no log: nothing */
	assert_int_equal(bits[0], 0);
	gmem_dirty(m, 4095, 2); /* pages 0 and 1 */
	assert_int_equal(bits[0], 3);
	gmem_dirty(m, 8192, 0);
	assert_int_equal(bits[0], 3);
	gmem_dirty_host(m, backing + 2 * 4096, 4097); /* pages 3 and 4 */
	assert_int_equal(bits[0], 3 | 8 | 16);
	gmem_dirty(m, 23 * 4096, 1000 * 4096); /* 23 is the last one the log has */
	assert_int_equal(bits[2], 0x80);
	assert_int_equal(bits[3], 0xa5);
	gmem_dirty(m, UINT64_MAX - 10, 100);
	assert_int_equal(bits[3], 0xa5);
	gmem_put(plain);
	assert_int_equal(log.bytes, 3);
	gmem_put(m);
	assert_int_equal(log.bytes, 0); /* released with the last snapshot */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(translates_inside_and_refuses_every_edge),
		cmocka_unit_test(lookup_agrees_with_a_naive_oracle),
		cmocka_unit_test(a_region_at_the_top_of_the_address_space_works),
		cmocka_unit_test(overlap_is_refused_in_both_spaces),
		cmocka_unit_test(a_file_that_is_too_short_is_refused),
		cmocka_unit_test(an_offset_need_not_be_page_aligned),
		cmocka_unit_test(unmap_is_deferred_while_a_snapshot_holds_the_region),
		cmocka_unit_test(permission_is_checked),
		cmocka_unit_test(vanished_memory_is_landed_and_marked),
		cmocka_unit_test(many_vanished_pages_condemn_the_region),
		cmocka_unit_test(dirty_bits_cover_every_touched_page_and_nothing_beyond_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
