/* SPDX-License-Identifier: MIT */
/* Guest memory of a front-end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/mem.h"
#include "util/compiler.h"

static const struct fe_mem_spec two[] = {
	{ .gpa = 0x10000, .size = 0x4000, .offset = 0x1000 },
	{ .gpa = 0x20000, .size = 0x2000, .may_shrink = true },
};

static void addresses_are_found(void **state)
{
	struct fe_mem *m = fe_mem_new(two, 2, NULL);

	(void)state;
	assert_non_null(m);
	assert_ptr_equal(fe_mem_host(m, 0x10000, 0x4000), m->r[0].host);
	assert_ptr_equal(fe_mem_host(m, 0x13fff, 1), m->r[0].host + 0x3fff);
	assert_null(fe_mem_host(m, 0x13fff, 2));
	assert_null(fe_mem_host(m, 0xffff, 1));
	assert_null(fe_mem_host(m, 0x14000, 1));
	assert_null(fe_mem_host(m, 0x20000, UINT64_MAX));
	assert_null(fe_mem_host(m, UINT64_MAX, 1));
	assert_int_equal(fe_mem_uva(m, 0x20010), (uintptr_t)m->r[1].host + 0x10);
	assert_int_equal(fe_mem_uva(m, 0x30000), 0);
	fe_mem_free(m);
}

static void file_holds_the_bytes_at_the_offset(void **state)
{
	struct fe_mem *m = fe_mem_new(two, 2, NULL);
	char c = 0;

	(void)state;
	assert_non_null(m);
	m->r[0].host[5] = 'x';
	assert_int_equal(pread(m->r[0].fd, &c, 1, 0x1005), 1);
	assert_int_equal(c, 'x');
	assert_int_equal(ftruncate(m->r[0].fd, 0), -1); /* sealed */
	assert_int_equal(ftruncate(m->r[1].fd, 0), 0);
	fe_mem_free(m);
}

static void impossible_regions_are_refused(void **state)
{
	static const struct fe_mem_spec bad[] = {
		{ .gpa = 0x40000, .size = 0 },
		{ .gpa = 0x40001, .size = 0x1000 },
		{ .gpa = 0x40000, .size = 0x1001 },
		{ .gpa = 0x40000, .size = 0x1000, .offset = 1 },
		{ .gpa = 0x13000, .size = 0x1000 }, /* overlap at the end */
		{ .gpa = 0xf000, .size = 0x2000 },  /* at the beginning */
		{ .gpa = 0, .size = 0x100000 },     /* around */
		{ .gpa = UINT64_MAX - 0xfff, .size = 0x1000 },
		{ .gpa = 0x40000, .size = UINT64_MAX - 0xfff },
	};
	struct fe_mem *m = fe_mem_new(two, 2, NULL);
	struct err e;

	(void)state;
	assert_non_null(m);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(fe_mem_add(m, &bad[i], &e) < 0);
		assert_int_equal(m->n, 2);
	}
	fe_mem_free(m);
}

static void regions_come_and_go(void **state)
{
	struct fe_mem_spec sp = { .size = 0x1000 };
	struct fe_mem *m = fe_mem_new(NULL, 0, NULL);

	(void)state;
	assert_non_null(m);
	for (unsigned int i = 0; i < 100; i++) {
		sp.gpa = i * UINT64_C(0x3000);
		assert_int_equal(fe_mem_add(m, &sp, NULL), i);
	}
	for (unsigned int i = 0; i < 50; i++)
		fe_mem_remove(m, i);
	assert_int_equal(m->n, 50);
	for (unsigned int i = 0; i < 50; i++) {
		assert_null(fe_mem_host(m, 2 * i * UINT64_C(0x3000), 1));
		assert_non_null(fe_mem_host(m, (2 * i + 1) * UINT64_C(0x3000), 0x1000));
	}
	fe_mem_free(m);
}

static void allocations_do_not_overlap(void **state)
{
	struct fe_mem *m = fe_mem_new(two, 2, NULL);
	uint64_t last = 0x10000, gpa;
	unsigned int n = 0;
	uint8_t *p;

	(void)state;
	assert_non_null(m);
	while ((p = fe_mem_alloc(m, 0, 100, 64, &gpa))) {
		assert_true(gpa >= last && gpa % 64 == 0);
		assert_ptr_equal(p, fe_mem_host(m, gpa, 100));
		last = gpa + 100;
		n++;
	}
	assert_int_equal(n, 0x4000 / 128);
	assert_null(fe_mem_alloc(m, 0, UINT64_MAX, 1, &gpa));
	assert_null(fe_mem_alloc(m, 2, 1, 1, &gpa));
	assert_null(fe_mem_alloc(m, 1, 1, 3, &gpa));
	fe_mem_free(m);
}

static void slots_are_given_once(void **state)
{
	struct fe_mem *m = fe_mem_new(two, 2, NULL);
	struct fe_slots s;
	uint32_t a, b;

	(void)state;
	assert_int_equal(fe_slots_init(&s, m, 0, 64, 3, NULL), 0);
	a = fe_slot_take(&s);
	b = fe_slot_take(&s);
	assert_true(a != b);
	assert_true(fe_slot_take(&s) < 3);
	assert_int_equal(fe_slot_take(&s), UINT32_MAX);
	fe_slot_give(&s, b);
	assert_int_equal(fe_slot_take(&s), b);
	assert_ptr_equal(fe_slot_host(&s, a), fe_mem_host(m, fe_slot_gpa(&s, a), 64));
	fe_slots_fini(&s);
	assert_int_equal(fe_slots_init(&s, m, 0, 0x4000, 2, NULL), -ENOMEM);
	fe_mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_found),
		cmocka_unit_test(file_holds_the_bytes_at_the_offset),
		cmocka_unit_test(impossible_regions_are_refused),
		cmocka_unit_test(regions_come_and_go),
		cmocka_unit_test(allocations_do_not_overlap),
		cmocka_unit_test(slots_are_given_once),
	};

	return cmocka_run_group_tests_name("guest memory of a front-end", tests, NULL, NULL);
}
