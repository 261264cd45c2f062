/* SPDX-License-Identifier: MIT */
/* The virtqueue engine alone, turn by turn, against the driver's side of the rings. */
#include "vq-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/guest.h"
#include "util/compiler.h"

static void requests_come_back_over_many_laps_in_every_flavour(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct vq_base base = VQ_BASE_INIT;
		struct fix *f;
		uint32_t tag = 0, back = 0;

		if (!(flavours[i] & PACKED))
			base.avail_idx = 65000; /* passes 65535 soon */
		f = f_new(flavours[i], 16, base);
		if (!(flavours[i] & PACKED)) {
			/* the ring itself says where used stands */
			assert_int_equal(vq_base(f->q).avail_idx, 65000);
		}
		for (unsigned int turn = 0; turn < 700; turn++) {
			unsigned int burst = 1 + turn % 8;

			for (unsigned int k = 0; k < burst; k++)
				assert_int_equal(f_add(f, tag++, 100,
						       flavours[i] & INDIRECT && k % 2),
						 0);
			f_kick(f);
			back += f_reap(f, 100);
			assert_int_equal(back, tag);
		}
		assert_null(f->broken);
		assert_int_equal(f->st.requests, tag);
		f_free(f);
	}
}

static void odd_packed_sizes_and_large_rings_work(void **state)
{
	static const uint32_t sizes[] = { 2, 3, 5, 7, 1000, 4096, 32768 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fix *f = f_new(PACKED | EVENT, sizes[i], VQ_BASE_INIT);

		for (uint32_t tag = 0; tag < 900; tag++) {
			assert_int_equal(f_add(f, tag, 8, false), 0);
			f_kick(f);
			assert_int_equal(f_reap(f, 8), 1);
		}
		f_free(f);
	}
	for (uint32_t size = 2; size <= 32768; size *= 2) {
		struct fix *f = f_new(EVENT | INDIRECT, size, VQ_BASE_INIT);

		for (uint32_t tag = 0; tag < 50; tag++) {
			assert_int_equal(f_add(f, tag, 8, true), 0);
			f_kick(f);
			assert_int_equal(f_reap(f, 8), 1);
		}
		f_free(f);
	}
}

static void one_notification_and_one_kick_serve_a_burst(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct fix *f = f_new(flavours[i], 64, VQ_BASE_INIT);
		unsigned int calls = f->calls;
		uint64_t bursts = f->st.bursts;

		assert_false(drv_call_on(f->r, 1));
		for (uint32_t t = 0; t < 32; t++)
			assert_int_equal(f_add(f, t, 16, flavours[i] & INDIRECT), 0);
		f_kick(f);
		assert_int_equal(f->calls - calls, 1);
		assert_int_equal(f->st.bursts - bursts, 1);
		assert_int_equal(f_reap(f, 16), 32);

		calls = f->calls; /* nobody wants to hear of these */
		drv_call_off(f->r);
		for (uint32_t t = 0; t < 32; t++)
			assert_int_equal(f_add(f, t, 16, flavours[i] & INDIRECT), 0);
		f_kick(f);
		assert_int_equal(f->calls - calls, 0);
		assert_int_equal(f_reap(f, 16), 32);
		f_free(f);
	}
}

static void out_of_order_completion_reaches_the_right_requests(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct fix *f = f_new(flavours[i], 64, VQ_BASE_INIT);

		for (unsigned int lap = 0; lap < 20; lap++) {
			f->m.hold = true;
			for (uint32_t t = 0; t < 20; t++)
				assert_int_equal(f_add(f, lap * 20 + t, 16, false), 0);
			f_kick(f);
			assert_int_equal(f->m.n, 20);
			assert_int_equal(vu_queue_inflight(f->q), 20);
			while (f->m.n) {
				unsigned int k = (lap * 7 + f->m.n * 3) % f->m.n;

				m_answer(&f->m, f->m.held[k]);
				f->m.held[k] = f->m.held[--f->m.n];
			}
			fake_turn(f->w);
			assert_int_equal(f_reap(f, 16), 20);
		}
		f_free(f);
	}
}

static void a_chain_of_many_segments_and_the_limit_of_large_chains(void **state)
{
	struct drv_seg segs[16];
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct fix *f = f_new((packed ? PACKED : 0) | INDIRECT, 128, VQ_BASE_INIT);
		unsigned int n = 0, back = 0;
		struct drv_used u[128];

		f->m.hold = true;
		for (unsigned int i = 0; i < 16; i++) /* apart, so that they do not merge */
			segs[i] = (struct drv_seg){ .addr = MEM_BUS + DATA + 4096 * i,
						    .len = 4,
						    .writable = i > 0 };
		while (n < 100) {
			assert_int_equal(drv_add(f->r, segs, 16, true, segs), 0);
			n++;
		}
		f_kick(f);
		assert_int_equal(f->m.n, VQ_BIG_MAX); /* the rest waits for room */
		assert_int_equal(f->m.held[0]->in_n, 15);
		assert_int_equal(f->m.held[0]->out_n, 1);
		assert_null(f->broken);
		while (back < n) {
			assert_true(f->m.n > 0);
			while (f->m.n)
				vu_queue_push(f->m.held[--f->m.n], 60);
			fake_settle(f->w);
			back += drv_get(f->r, u, 128);
		}
		assert_int_equal(back, n);
		f_free(f);
	}
}

static void neighbouring_segments_are_merged_but_never_across_direction(void **state)
{
	struct fix *f = f_new(0, 16, VQ_BASE_INIT);
	struct drv_seg s[4] = {
		{ .addr = MEM_BUS + DATA, .len = 4 },
		{ .addr = MEM_BUS + DATA + 4, .len = 12 },
		{ .addr = MEM_BUS + DATA + 16, .len = 16, .writable = 1 },
		{ .addr = MEM_BUS + DATA + 32, .len = 1, .writable = 1 },
	};
	struct vu_chain *c;

	(void)state;
	f->m.hold = true;
	assert_int_equal(drv_add(f->r, s, 4, false, s), 0);
	f_kick(f);
	assert_int_equal(f->m.n, 1);
	c = f->m.held[0];
	assert_int_equal(c->out_n, 1);
	assert_int_equal(c->out_len, 16);
	assert_int_equal(c->in_n, 1);
	assert_int_equal(c->in_len, 17);
	assert_true(vu_chain_take_last(c));
	assert_int_equal(c->in_len, 16);
	vu_chain_put_last(c, 0x5a);
	assert_int_equal(f->mem[DATA + 32], 0x5a);
	f_free(f);
}

static void consuming_a_chain_works_at_every_split(void **state)
{
	(void)state;
	for (unsigned int cut = 1; cut < 16; cut++) {
		struct fix *f = f_new(0, 16, VQ_BASE_INIT);
		struct drv_seg s[4] = {
			{ .addr = MEM_BUS + DATA, .len = cut },
			{ .addr = MEM_BUS + DATA + 4096, .len = 16 - cut },
			{ .addr = MEM_BUS + DATA + 8192, .len = cut, .writable = 1 },
			{ .addr = MEM_BUS + DATA + 12288, .len = 17 - cut, .writable = 1 },
		};
		uint8_t want[16], got[16];
		struct vu_chain *c;

		for (unsigned int i = 0; i < 16; i++)
			want[i] = (uint8_t)(i + cut);
		memcpy(f->mem + DATA, want, cut);
		memcpy(f->mem + DATA + 4096, want + cut, 16 - cut);
		f->m.hold = true;
		assert_int_equal(drv_add(f->r, s, 4, false, s), 0);
		f_kick(f);
		c = f->m.held[0];
		assert_false(vu_chain_get(c, got, 17));
		assert_true(vu_chain_get(c, got, 16));
		assert_memory_equal(got, want, 16);
		assert_int_equal(c->out_len, 0);
		assert_int_equal(c->out_n, 0);
		assert_true(vu_chain_take_last(c));
		assert_false(vu_chain_put(c, want, 17));
		assert_true(vu_chain_put(c, want, 16));
		assert_int_equal(c->in_len, 0);
		vu_chain_put_last(c, 7);
		assert_memory_equal(f->mem + DATA + 8192, want, cut);
		assert_memory_equal(f->mem + DATA + 12288, want + cut, 16 - cut);
		assert_int_equal(f->mem[DATA + 12288 + 16 - cut], 7);
		f_free(f);
	}
}

static void an_indirect_table_across_two_regions_is_read_by_bytes(void **state)
{
	struct err e = { 0 };

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct fix *f = f_new((packed ? PACKED : 0) | INDIRECT, 16, VQ_BASE_INIT);
		struct gmem_region *r[2];
		/* bus addresses go on where host addresses do not; 8 bytes into an entry */
		uint64_t cut = MEM_SIZE / 2 + 8;
		struct gmem *m;

		r[0] = gmem_region_map(f->fd, 0, cut, MEM_BUS, MEM_BUS, GMEM_RW, &e);
		r[1] = gmem_region_map(f->fd, cut, MEM_SIZE - cut, MEM_BUS + cut, MEM_BUS + cut,
				       GMEM_RW, &e);
		m = gmem_new(r, 2, &e);
		assert_non_null(m);
		gmem_region_put(r[0]);
		gmem_region_put(r[1]);
		vq_remap(f->q, m);
		gmem_put(m);
		f->m.hold = true;
		table(f, 0, GOOD + 4096, 16, NEXT, 1);
		table(f, 1, GOOD + 8192, 16, NEXT, 2);
		table(f, 2, GOOD + 12288, 16, WR, 0);
		memmove(f->mem + cut - 24, f->mem + DATA, 48);
		raw(f, 0, MEM_BUS + cut - 24, 48, IND, 0);
		raw_go(f, 1);
		assert_null(f->broken);
		assert_int_equal(f->m.n, 1);
		assert_int_equal(f->m.held[0]->out_n, 2);
		assert_ptr_equal((uint8_t *)f->m.held[0]->out[1].iov_base -
					 (uint8_t *)f->m.held[0]->out[0].iov_base,
				 (void *)4096);
		assert_int_equal(f->m.held[0]->in_len, 16);
		f_free(f);
	}
}

static void a_buffer_across_two_regions_becomes_two_segments(void **state)
{
	struct fix *f = f_new(0, 16, VQ_BASE_INIT);
	struct gmem_region *r[2];
	struct err e = { 0 };
	struct gmem *m;

	(void)state;
	/* two mappings: adjacent for the guest, apart here */
	r[0] = gmem_region_map(f->fd, 0, MEM_SIZE / 2, MEM_BUS, MEM_BUS, GMEM_RW, &e);
	r[1] = gmem_region_borrow(f->mem, 4096, MEM_BUS + MEM_SIZE / 2, MEM_BUS + MEM_SIZE / 2);
	m = gmem_new(r, 2, &e);
	assert_non_null(m);
	gmem_region_put(r[0]);
	gmem_region_put(r[1]);
	vq_remap(f->q, m);
	gmem_put(m);
	f->m.hold = true;
	raw(f, 0, MEM_BUS + MEM_SIZE / 2 - 10, 20, WR, 0);
	raw_go(f, 1);
	assert_null(f->broken);
	assert_int_equal(f->m.n, 1);
	assert_int_equal(f->m.held[0]->in_n, 2);
	assert_int_equal(f->m.held[0]->in[0].iov_len, 10);
	assert_ptr_equal(f->m.held[0]->in[1].iov_base, f->mem);
	f_free(f);
}

/* ---- life ---- */

static void stop_waits_for_inflight_and_hands_the_rest_back(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct fix *f = f_new(flavours[i], 64, VQ_BASE_INIT);
		struct vq_base before, after;
		struct err e = { 0 };
		struct drv_used u;

		f->m.hold = true;
		for (uint32_t t = 0; t < 10; t++)
			assert_int_equal(f_add(f, t, 16, false), 0);
		f_kick(f);
		before = vq_base(f->q);
		vq_quiesce(f->q);
		assert_int_equal(f->m.stops, 1);
		for (uint32_t t = 10; t < 13; t++) /* came after the stop */
			assert_int_equal(f_add(f, t, 16, false), 0);
		f_kick(f);
		assert_int_equal(f->m.n, 10);
		assert_int_equal(f->stopped, 0);
		while (f->m.n > 1)
			m_answer(&f->m, f->m.held[--f->m.n]);
		fake_turn(f->w);
		assert_int_equal(f->stopped, 0);
		m_answer(&f->m, f->m.held[--f->m.n]);
		fake_turn(f->w);
		assert_int_equal(f->stopped, 1);
		after = vq_base(f->q);
		assert_int_equal(after.avail_idx, before.avail_idx);
		assert_int_equal(f_reap(f, 16), 10);

		/* the next run goes on at the base and serves the three */
		f->q->kick.fd = -1;
		vq_free(f->q);
		assert_int_equal(f->released, 1);
		f->released = f->stopped = f->m.stopped = 0;
		f->m.hold = false;
		f->q = f_queue(f, after, &e);
		assert_non_null(f->q);
		vq_run(f->q);
		fake_settle(f->w);
		assert_int_equal(f_reap(f, 16), 3);
		assert_int_equal(drv_get(f->r, &u, 1), 0);
		f_free(f);
	}
}

static void large_chains_take_more_of_a_turn(void **state)
{
	const struct drv_seg s = { MEM_BUS + DATA, 1 << 20, 1 };

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct fix *f = f_new(packed ? PACKED : 0, 64, VQ_BASE_INIT);

		f->m.hold = true;
		for (unsigned int i = 0; i < 32; i++)
			assert_int_equal(drv_add(f->r, &s, 1, false, f), 0);
		if (drv_publish(f->r))
			fake_ring(f->w, KICK_FD);
		fake_turn(f->w);
		assert_in_range(f->m.n, 1, 5); /* 64 chains, or 4 MiB and a little */
		fake_settle(f->w);
		assert_int_equal(f->m.n, 32);
		while (f->m.n)
			m_answer(&f->m, f->m.held[--f->m.n]);
		f_free(f);
	}
}

static void chains_parsed_but_not_handed_out_return_to_the_ring(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct fix *f = f_new(packed ? PACKED : 0, 64, VQ_BASE_INIT);
		struct vu_chain *c;

		f->m.decline = true;
		for (uint32_t t = 0; t < 10; t++)
			assert_int_equal(f_add(f, t, 16, false), 0);
		f_kick(f);
		f->q->budget = VQ_BUDGET;
		c = vu_queue_pop(f->q); /* one taken, the others parsed ahead */
		assert_non_null(c);
		assert_true(f->q->ready_n - f->q->ready_at > 0);
		m_answer(&f->m, c);
		vq_enable(f->q, false);
		assert_int_equal(f->q->ready_n - f->q->ready_at, 0);
		assert_int_equal(vq_base(f->q).avail_idx, packed ? 2 : 1);
		assert_null(vu_queue_pop(f->q));
		f->m.decline = false;
		vq_enable(f->q, true);
		fake_settle(f->w);
		assert_int_equal(f_reap(f, 16), 10);
		f_free(f);
	}
}

static void a_model_that_declines_does_not_keep_the_worker_awake(void **state)
{
	struct fix *f = f_new(0, 16, VQ_BASE_INIT);

	(void)state;
	f->m.decline = true;
	assert_int_equal(f_add(f, 1, 16, false), 0);
	f_kick(f);                       /* fake_settle() would not end */
	assert_int_equal(f->m.kicks, 2); /* once more after kicks were asked for */
	f->m.decline = false;
	vu_queue_again(f->q);
	fake_settle(f->w);
	assert_int_equal(f_reap(f, 16), 1);
	f_free(f);
}

static void an_orphaned_request_never_touches_the_ring(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct fix *f = f_new(packed ? PACKED : 0, 16, VQ_BASE_INIT);
		uint8_t *copy = malloc(0x10000);

		f->m.hold = true;
		assert_int_equal(f_add(f, 1, 16, false), 0);
		f_kick(f);
		vq_quiesce(f->q);
		vq_orphan(f->q);
		fake_turn(f->w);
		assert_int_equal(f->stopped, 0);
		assert_int_equal(fake_registered(f->w), 0);
		memcpy(copy, f->mem, 0x10000);
		vu_queue_push(f->m.held[--f->m.n], 16);
		fake_turn(f->w);
		assert_int_equal(f->stopped, 1);
		assert_memory_equal(copy, f->mem, 0x10000);
		free(copy);
		f_free(f);
	}
}

/* The last chain and the deadline in one turn: given up is given up. */
static void a_request_that_ends_as_it_is_orphaned_comes_too_late(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct fix *f = f_new(packed ? PACKED : 0, 16, VQ_BASE_INIT);
		uint8_t *copy = malloc(0x10000);
		unsigned int calls;

		f->m.hold = true;
		assert_int_equal(f_add(f, 1, 16, false), 0);
		f_kick(f);
		vq_quiesce(f->q);
		vu_queue_push(f->m.held[--f->m.n], 16);
		vq_orphan(f->q);
		calls = f->calls;
		memcpy(copy, f->mem, 0x10000);
		fake_turn(f->w);
		assert_int_equal(f->stopped, 1);
		assert_int_equal(f->calls, calls);
		assert_memory_equal(copy, f->mem, 0x10000);
		free(copy);
		f_free(f);
	}
}

static void a_queue_without_its_rings_waits_for_memory(void **state)
{
	struct fix *f = f_new(EVENT, 16, VQ_BASE_INIT);
	struct gmem_region *r = gmem_region_borrow(f->mem, 4096, 0, 0);
	struct err e = { 0 };
	struct gmem *elsewhere = gmem_new(&r, 1, &e);

	(void)state;
	gmem_region_put(r);
	f->m.hold = true;
	assert_int_equal(f_add(f, 1, 16, false), 0);
	f_kick(f);
	assert_int_equal(f->m.n, 1);
	vq_remap(f->q, elsewhere);
	gmem_put(elsewhere);
	f->m.hold = false;
	assert_int_equal(f_add(f, 2, 16, false), 0);
	f_kick(f);
	assert_int_equal(f->st.popped, 1);
	m_answer(&f->m, f->m.held[--f->m.n]); /* in flight: still finds its ring */
	fake_turn(f->w);
	assert_int_equal(f_reap(f, 16), 1);
	vq_remap(f->q, NULL);
	fake_settle(f->w);
	assert_int_equal(f->st.popped, 1);
	vq_remap(f->q, f->map);
	fake_settle(f->w);
	assert_int_equal(f_reap(f, 16), 1);
	assert_null(f->broken);
	f_free(f);
}

static unsigned int misses;

static int miss_remap(void *ctx, const struct gmem *have, uint64_t addr, uint64_t len,
		      struct gmem **next)
{
	struct fix *f = ctx;
	struct gmem_region *r;
	struct err e = { 0 };
	uint64_t page = addr & ~4095ull;

	(void)len;
	misses++;
	if (page < MEM_BUS || page >= MEM_BUS + MEM_SIZE)
		return -EFAULT;
	r = gmem_region_map(f->fd, page - MEM_BUS, 4096, page, page, GMEM_RW, &e);
	assert_non_null(r);
	*next = gmem_with(have, r, &e);
	gmem_region_put(r);
	assert_non_null(*next);
	return 0;
}

static void memory_found_on_demand_page_by_page(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct fix *f = f_new((packed ? PACKED : 0) | INDIRECT, 16, VQ_BASE_INIT);
		struct gmem_region *r;
		struct err e = { 0 };
		struct gmem *rings;

		r = gmem_region_map(f->fd, 0, 0x10000, MEM_BUS, MEM_BUS, GMEM_RW, &e);
		rings = gmem_new(&r, 1, &e);
		gmem_region_put(r);
		rings->miss = miss_remap;
		rings->miss_ctx = f;
		vq_remap(f->q, rings);
		gmem_put(rings);
		misses = 0;
		for (uint32_t t = 0; t < 8; t++)
			assert_int_equal(f_add(f, t * 4, 16, t % 2), 0);
		f_kick(f);
		assert_int_equal(f_reap(f, 16), 8);
		assert_int_equal(misses, 8);
		assert_null(f->broken);
		raw(f, 0, MEM_BUS + MEM_SIZE, 16, 0, 0);
		f_free(f);
	}
}

static void vanished_memory_breaks_the_queue_before_anything_is_believed(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct fix *f = f_new(flavours[i], 16, VQ_BASE_INIT);

		/* a data page goes: the request that touches it breaks the queue */
		f->m.hold = true;
		assert_int_equal(f_add(f, 900, 16, false), 0);
		f_kick(f);
		assert_int_equal(f->m.n, 1);
		assert_int_equal(ftruncate(f->fd, (off_t)DATA), 0);
		m_answer(&f->m, f->m.held[--f->m.n]);
		fake_turn(f->w);
		assert_non_null(f->broken);
		assert_int_equal(f->st.requests, 0);
		f_free(f);

		/* the ring itself goes */
		f = f_new(flavours[i], 16, VQ_BASE_INIT);
		f->m.hold = true;
		assert_int_equal(f_add(f, 1, 16, false), 0);
		f_kick(f);
		assert_int_equal(f->m.n, 1);
		assert_int_equal(ftruncate(f->fd, 0), 0);
		vu_queue_push(f->m.held[--f->m.n], 0);
		fake_turn(f->w);
		fake_ring(f->w, KICK_FD);
		fake_settle(f->w);
		fake_ring(f->w, KICK_FD);
		fake_settle(f->w);
		assert_non_null(f->broken);
		f_free(f);
	}
}

static void setup_is_refused_with_a_reason(void **state)
{
	static const struct {
		uint64_t features;
		uint32_t size;
		uint64_t shift; /* of the descriptor area */
		struct vq_base base;
		const char *id;
	} t[] = {
		{ 0, 0, 0, { 0 }, "queue-size" },
		{ 0, 3, 0, { 0 }, "queue-size" },
		{ 0, 65536, 0, { 0 }, "queue-size" },
		{ PACKED, 32769, 0, { 0 }, "queue-size" },
		{ 0, 16, 8, { 0 }, "ring-misaligned" },
		{ PACKED, 16, 8, { 0 }, "ring-misaligned" },
		{ 0, 16, MEM_SIZE, { 0 }, "ring-not-mapped" },
		{ PACKED, 16, MEM_SIZE, { 0 }, "ring-not-mapped" },
		{ 0, 32768, MEM_SIZE - 4096, { 0 }, "ring-not-mapped" },
		{ PACKED, 16, 0, { .avail_idx = 16 }, "ring-base" },
		{ PACKED, 16, 0, { .used_idx = 16 }, "ring-base" },
	};
	struct fix *f = f_new(0, 16, VQ_BASE_INIT);
	struct vq_env env = { .model = &vq_test_model, .worker = f->w };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++) {
		struct err e = { 0 };
		struct vq_cfg cfg = { .size = t[i].size,
				      .features = t[i].features,
				      .desc = MEM_BUS + t[i].shift,
				      .driver = MEM_BUS + 0x20000,
				      .device = MEM_BUS + 0x30000,
				      .base = t[i].base,
				      .kick_fd = -1 };

		assert_null(vq_new(&env, &cfg, f->map, 0, &f->st, &e));
		assert_string_equal(e.id, t[i].id);
		assert_null(vq_new(&env, &cfg, NULL, 0, &f->st, &e));
	}
	f_free(f);
}

#ifdef VU_DEBUG
static void no_guest_word_is_read_twice(void **state)
{
	unsigned long before = guest_double_reads();
	static const uint32_t words[4];

	EACH_FLAVOUR(i)
	{
		struct fix *f = f_new(flavours[i], 64, VQ_BASE_INIT);

		for (uint32_t t = 0; t < 300; t++) {
			assert_int_equal(f_add(f, t, 16, flavours[i] & INDIRECT && t % 2), 0);
			f_kick(f);
			assert_int_equal(f_reap(f, 16), 1);
		}
		f_free(f);
	}
	assert_int_equal(guest_double_reads(), before);
	(void)state;
	/* the counter does count */
	guest_trace_begin();
	guest_rd32((const guest32 *)words);
	guest_rd32((const guest32 *)words);
	assert_int_equal(guest_double_reads(), before + 1);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_come_back_over_many_laps_in_every_flavour),
		cmocka_unit_test(odd_packed_sizes_and_large_rings_work),
		cmocka_unit_test(one_notification_and_one_kick_serve_a_burst),
		cmocka_unit_test(out_of_order_completion_reaches_the_right_requests),
		cmocka_unit_test(a_chain_of_many_segments_and_the_limit_of_large_chains),
		cmocka_unit_test(neighbouring_segments_are_merged_but_never_across_direction),
		cmocka_unit_test(consuming_a_chain_works_at_every_split),
		cmocka_unit_test(an_indirect_table_across_two_regions_is_read_by_bytes),
		cmocka_unit_test(a_buffer_across_two_regions_becomes_two_segments),
		cmocka_unit_test(stop_waits_for_inflight_and_hands_the_rest_back),
		cmocka_unit_test(large_chains_take_more_of_a_turn),
		cmocka_unit_test(chains_parsed_but_not_handed_out_return_to_the_ring),
		cmocka_unit_test(a_model_that_declines_does_not_keep_the_worker_awake),
		cmocka_unit_test(an_orphaned_request_never_touches_the_ring),
		cmocka_unit_test(a_request_that_ends_as_it_is_orphaned_comes_too_late),
		cmocka_unit_test(a_queue_without_its_rings_waits_for_memory),
		cmocka_unit_test(memory_found_on_demand_page_by_page),
		cmocka_unit_test(vanished_memory_breaks_the_queue_before_anything_is_believed),
		cmocka_unit_test(setup_is_refused_with_a_reason),
#ifdef VU_DEBUG
		cmocka_unit_test(no_guest_word_is_read_twice),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
