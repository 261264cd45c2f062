/* SPDX-License-Identifier: MIT */
/* Memory found on demand and taken back by message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "transport/vduse/mem.h"
#include "vduse-world.h"

struct bare {
	struct fake_vduse *f;
	struct vduse_mem m;
};

static int setup(void **state)
{
	static struct bare b;

	b.f = fake_vduse_new();
	assert_int_equal(vduse_mem_init(&b.m, NULL), 0);
	/* An open device without the rest: any descriptor will do. */
	b.f->dev_fd = dup(0);
	b.f->is_open = true;
	b.m.chan = vduse_chan_new(&b.f->sys, b.f->dev_fd);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bare *b = *state;

	vduse_mem_fini(&b->m);
	assert_false(b->f->is_open);
	fake_vduse_free(b->f);
	return 0;
}

static unsigned int open_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void fetch_maps_what_holds_the_address(void **state)
{
	struct bare *b = *state;
	uint8_t *host = fake_map(b->f, 0x10000, 0x4000, VDU_ACCESS_RW);
	unsigned int fds = open_fds();
	struct gmem *g;
	struct err e;
	uint8_t *p;

	assert_int_equal(vduse_mem_fetch(&b->m, 0x12345, &e), 0);
	g = vduse_mem_get(&b->m);
	p = gmem_at(g, GMEM_BUS, 0x10000, 0x4000, GMEM_RW);
	assert_non_null(p);
	p[77] = 42; /* the right part of the file, and shared */
	assert_int_equal(host[77], 42);
	assert_null(gmem_at(g, GMEM_BUS, 0x13fff, 2, GMEM_R));
	gmem_put(g);
	/* Known: not asked for again. And no descriptor stays open. */
	assert_int_equal(vduse_mem_fetch(&b->m, 0x13fff, &e), 0);
	assert_int_equal(fake_count(b->f, FAKE_GET_FD), 1);
	assert_int_equal(open_fds(), fds);
	assert_int_equal(vduse_mem_fetch(&b->m, 0x14000, &e), -EFAULT);
}

static void access_rights_are_kept(void **state)
{
	struct bare *b = *state;
	struct gmem *g;

	fake_map(b->f, 0x10000, 0x1000, VDU_ACCESS_RO);
	assert_int_equal(vduse_mem_fetch(&b->m, 0x10000, NULL), 0);
	g = vduse_mem_get(&b->m);
	assert_non_null(gmem_at(g, GMEM_BUS, 0x10000, 16, GMEM_R));
	assert_null(gmem_at(g, GMEM_BUS, 0x10000, 16, GMEM_W));
	gmem_put(g);
}

static void senseless_answers_are_not_believed(void **state)
{
	struct bare *b = *state;
	unsigned int fds;

	fake_map(b->f, 0x10000, 0x1000, 0);
	fake_map(b->f, 0x20000, 0x1000, 7);
	fake_map(b->f, 0x30000, 0x1000, VDU_ACCESS_RW);
	b->f->region[2].offset = UINT64_MAX - 100;
	fds = open_fds();
	assert_int_equal(vduse_mem_fetch(&b->m, 0x10000, NULL), -EFAULT);
	assert_int_equal(vduse_mem_fetch(&b->m, 0x20000, NULL), -EFAULT);
	assert_true(vduse_mem_fetch(&b->m, 0x30000, NULL) < 0);
	assert_int_equal(open_fds(), fds);
	assert_int_equal(b->m.cur->n, 0);
}

static void region_of_the_whole_address_space_is_not_believed(void **state)
{
	struct bare *b = *state;

	fake_map(b->f, 0, 0x1000, VDU_ACCESS_RW);
	b->f->region[0].last = UINT64_MAX;
	assert_int_equal(vduse_mem_fetch(&b->m, 0x10, NULL), -EFAULT);
	b->f->region[0].last = 0xfff;
}

static void drop_takes_every_region_that_intersects(void **state)
{
	static const struct {
		uint64_t start, last;
		unsigned int left;
	} t[] = {
		{ 0, UINT64_MAX, 0 },       { 0, 0xffff, 3 },        { 0, 0x10000, 2 },
		{ 0x13fff, 0x13fff, 2 },    { 0x14000, 0x1ffff, 3 }, { 0x13fff, 0x20000, 1 },
		{ 0x21000, 0x21001, 2 },    { 0x24000, 0x2ffff, 3 }, { 0x33fff, UINT64_MAX, 2 },
		{ 0x34000, UINT64_MAX, 3 },
	};
	struct bare *b = *state;

	for (unsigned int i = 0; i < 3; i++)
		fake_map(b->f, 0x10000 * (i + 1), 0x4000, VDU_ACCESS_RW);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (unsigned int r = 1; r <= 3; r++)
			assert_int_equal(vduse_mem_fetch(&b->m, 0x10000 * r, NULL), 0);
		assert_int_equal(b->m.cur->n, 3);
		assert_int_equal(vduse_mem_drop(&b->m, t[i].start, t[i].last, NULL), 0);
		assert_int_equal(b->m.cur->n, t[i].left);
	}
}

static void dropped_memory_stays_mapped_for_who_has_it(void **state)
{
	struct bare *b = *state;
	struct gmem *g;
	uint8_t *p;

	fake_map(b->f, 0x10000, 0x1000, VDU_ACCESS_RW);
	assert_int_equal(vduse_mem_fetch(&b->m, 0x10000, NULL), 0);
	g = vduse_mem_get(&b->m);
	p = gmem_at(g, GMEM_BUS, 0x10000, 1, GMEM_W);
	assert_int_equal(vduse_mem_drop(&b->m, 0, UINT64_MAX, NULL), 0);
	*p = 1; /* a request in flight still writes there */
	gmem_put(g);
	assert_int_equal(vduse_mem_clear(&b->m, NULL), 0);
}

static void miss_gives_what_another_worker_found(void **state)
{
	struct bare *b = *state;
	struct gmem *old = vduse_mem_get(&b->m), *next = NULL;

	fake_map(b->f, 0x10000, 0x1000, VDU_ACCESS_RW);
	assert_int_equal(old->miss(old->miss_ctx, old, 0x10010, 8, &next), 0);
	assert_non_null(gmem_find(next, GMEM_BUS, 0x10010));
	gmem_put(next);
	/* Somebody who still has the old one is given the same, without asking again. */
	assert_int_equal(old->miss(old->miss_ctx, old, 0x10020, 8, &next), 0);
	assert_int_equal(fake_count(b->f, FAKE_GET_FD), 1);
	gmem_put(next);
	next = NULL;
	assert_int_equal(old->miss(old->miss_ctx, old, 0x99990000, 8, &next), -EFAULT);
	assert_null(next);
	gmem_put(old);
}

static void stale_regions_give_way_to_new_ones(void **state)
{
	struct bare *b = *state;
	struct gmem *g;

	fake_map(b->f, 0x10000, 0x1000, VDU_ACCESS_RW);
	assert_int_equal(vduse_mem_fetch(&b->m, 0x10000, NULL), 0);
	/* Rings come and go without a message. */
	fake_unmap(b->f, 0x10000);
	fake_map(b->f, 0x10000, 0x3000, VDU_ACCESS_RW);
	assert_int_equal(vduse_mem_fetch(&b->m, 0x11000, NULL), 0);
	g = vduse_mem_get(&b->m);
	assert_int_equal(g->n, 1);
	assert_non_null(gmem_at(g, GMEM_BUS, 0x10000, 0x3000, GMEM_RW));
	gmem_put(g);
}

/* ---- with queues that run ---- */

static void buffers_are_found_by_the_first_request(void **state)
{
	struct world *w = *state;
	uint8_t *data;

	world_start(w, true);
	world_rings(w);
	world_driver_ok(w);
	data = fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW); /* after DRIVER_OK */
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_used(w, 0, 1));
	assert_memory_equal(data, "done", 4);
}

static void taken_back_memory_is_not_used_after_the_answer(void **state)
{
	struct world *w = *state;
	struct vdu_dev_request req = { .type = VDU_UPDATE_IOTLB };
	struct vdu_dev_response resp;
	uint8_t *data;

	world_start(w, true);
	world_rings(w);
	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	world_driver_ok(w);
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_used(w, 0, 1));

	/* Other memory at the same addresses, told for one byte in the middle of it. */
	fake_unmap(w->f, WORLD_DATA);
	data = fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	req.iova.start = req.iova.last = WORLD_DATA + 0x8000;
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_int_equal(resp.result, VDU_RESULT_OK);
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_used(w, 0, 2));
	assert_memory_equal(data, "done", 4);
}

static void rings_are_found_again_after_all_was_taken_back(void **state)
{
	struct world *w = *state;
	struct vdu_dev_request req = { .type = VDU_UPDATE_IOTLB, .iova.last = UINT64_MAX };
	struct vdu_dev_response resp;

	world_start(w, true);
	world_rings(w);
	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	world_driver_ok(w);
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_int_equal(resp.result, VDU_RESULT_OK);
	fake_offer(w->f, 1, WORLD_DATA, 16);
	assert_true(world_used(w, 1, 1));
	req.iova.start = 5;
	req.iova.last = 4;
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_int_equal(resp.result, VDU_RESULT_FAILED);
}

static void address_that_is_nowhere_breaks_one_queue_only(void **state)
{
	struct world *w = *state;

	world_start(w, true);
	world_rings(w);
	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	world_driver_ok(w);
	fake_offer(w->f, 0, 0x123456789000, 16);
	world_turns(w, 20);
	assert_int_equal(fake_used(w->f, 0), 0);
	fake_offer(w->f, 1, WORLD_DATA, 16);
	assert_true(world_used(w, 1, 1));
	assert_int_equal(w->failed, 0);
}

static void memory_is_found_anew_after_a_reset(void **state)
{
	struct world *w = *state;

	world_start(w, true);
	world_rings(w);
	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	world_driver_ok(w);
	assert_true(fake_status(w->f, w->loop, 0));
	fake_unmap(w->f, WORLD_RINGS);
	world_rings(w);
	world_driver_ok(w);
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_used(w, 0, 1));
}

#define B(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		B(fetch_maps_what_holds_the_address),
		B(access_rights_are_kept),
		B(senseless_answers_are_not_believed),
		B(region_of_the_whole_address_space_is_not_believed),
		B(drop_takes_every_region_that_intersects),
		B(dropped_memory_stays_mapped_for_who_has_it),
		B(miss_gives_what_another_worker_found),
		B(stale_regions_give_way_to_new_ones),
		T(buffers_are_found_by_the_first_request),
		T(taken_back_memory_is_not_used_after_the_answer),
		T(rings_are_found_again_after_all_was_taken_back),
		T(address_that_is_nowhere_breaks_one_queue_only),
		T(memory_is_found_anew_after_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
