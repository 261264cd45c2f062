/* SPDX-License-Identifier: MIT */
/* How a queue that stands still goes on: by a timer of its own, by the driver's next kick. */
#include "vq-fixture.h"

#include <errno.h>

#include "util/compiler.h"

/* ---- short of memory ---- */

/* Memory found on demand; every other time there is none to describe it with. */
struct scarce {
	struct fix *f;
	unsigned int asked, refused;
	bool never;
};

static int scarce_miss(void *ctx, const struct gmem *have, uint64_t addr, uint64_t len,
		       struct gmem **next)
{
	struct scarce *s = ctx;
	uint64_t page = addr & ~4095ull;
	struct gmem_region *r;
	struct err e = { 0 };

	(void)len;
	if (s->never || s->asked++ % 2 == 0) {
		s->refused++;
		return -ENOMEM;
	}
	r = gmem_region_map(s->f->fd, page - MEM_BUS, 4096, page, page, GMEM_RW, &e);
	assert_non_null(r);
	*next = gmem_with(have, r, &e);
	gmem_region_put(r);
	assert_non_null(*next);
	return 0;
}

/* A queue that knows its rings and finds everything else through @s. */
static struct fix *scarce_new(uint64_t features, struct scarce *s)
{
	struct fix *f = f_new(features, 16, VQ_BASE_INIT);
	struct gmem_region *r;
	struct err e = { 0 };
	struct gmem *rings;

	*s = (struct scarce){ .f = f };
	r = gmem_region_map(f->fd, 0, 0x10000, MEM_BUS, MEM_BUS, GMEM_RW, &e);
	assert_non_null(r);
	rings = gmem_new(&r, 1, &e);
	assert_non_null(rings);
	gmem_region_put(r);
	rings->miss = scarce_miss;
	rings->miss_ctx = s;
	vq_remap(f->q, rings);
	gmem_put(rings);
	return f;
}

static void a_queue_short_of_memory_goes_on_by_itself(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct scarce s;
		struct fix *f = scarce_new(flavours[i], &s);
		unsigned int back = 0;

		for (uint32_t t = 0; t < 6; t++) /* each on a page of its own */
			assert_int_equal(f_add(f, t * 4, 16, flavours[i] & INDIRECT && t % 2), 0);
		f_kick(f);
		assert_int_equal(f_reap(f, 16), 0);
		assert_int_equal(s.refused, 1); /* it waits, and does not ask again and again */
		while (back < 6) {              /* nobody kicks any more, and no memory is given */
			assert_true(f_expire(f, &f->q->retry_timer));
			back += f_reap(f, 16);
		}
		assert_int_equal(s.refused, 6);
		assert_false(f->q->retry_timer.armed);
		assert_null(f->broken);
		f_free(f);
	}
}

static void a_queue_that_waits_for_memory_can_be_stopped(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct scarce s;
		struct fix *f = scarce_new(packed ? PACKED : 0, &s);

		s.never = true;
		assert_int_equal(f_add(f, 0, 16, false), 0);
		f_kick(f);
		for (unsigned int k = 1; k < 5; k++) {
			assert_int_equal(s.refused, k);
			assert_true(f_expire(f, &f->q->retry_timer));
		}
		assert_true(f->q->retry_timer.armed);
		assert_null(f->broken);
		f_free(f); /* finds the timer if it is still there */
	}
}

/* ---- declined ---- */

/* Add one chain; the driver must be asked to kick for it. */
static void add_and_ring(struct fix *f, uint32_t tag)
{
	assert_int_equal(f_add(f, tag, 16, false), 0);
	assert_true(drv_publish(f->r));
	fake_ring(f->w, KICK_FD);
	fake_settle(f->w);
}

/* What was declined has been kicked for: the event index must not stay with it. */
static void the_kick_for_chains_after_declined_ones_arrives(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct vq_base base = VQ_BASE_INIT;
		struct fix *f;
		uint32_t tag = 0;

		if (!(flavours[i] & PACKED))
			base.avail_idx = 65530; /* passes 65535 on the way */
		f = f_new(flavours[i], 16, base);
		for (unsigned int lap = 0; lap < 5; lap++) { /* and the end of the ring */
			uint32_t first = tag;
			unsigned int kicks;

			f->m.decline = true;
			kicks = f->m.kicks;
			assert_int_equal(f_add(f, tag++, 16, false), 0);
			assert_int_equal(f_add(f, tag++, 16, false), 0);
			add_and_ring(f, tag++);
			assert_int_equal(f->m.kicks, kicks + 2);
			for (unsigned int k = 2; k < 5; k++) { /* declined again, armed again */
				add_and_ring(f, tag++);
				assert_int_equal(f->m.kicks, kicks + 2 * k);
			}
			assert_int_equal(f_reap(f, 16), 0);
			f->m.decline = false;
			add_and_ring(f, tag++);
			assert_int_equal(f_reap(f, 16), tag - first);
		}
		assert_null(f->broken);
		f_free(f);
	}
}

/* After longer chains a short one is kicked for as well. */
static void chains_of_all_lengths_are_kicked_for(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct fix *f = f_new(flavours[i], 64, VQ_BASE_INIT);

		for (uint32_t n = 6; n; n--) {
			struct drv_seg s[6];

			for (uint32_t k = 0; k < n; k++)
				s[k] = (struct drv_seg){ MEM_BUS + DATA + k * 64, 16, 1 };
			assert_int_equal(drv_add(f->r, s, n, false, f), 0);
			assert_true(drv_publish(f->r));
			fake_ring(f->w, KICK_FD);
			fake_settle(f->w);
			assert_int_equal(drv_get(f->r, &(struct drv_used){ 0 }, 1), 1);
		}
		f_free(f);
	}
}

static void accept_from_now_on(struct fix *f)
{
	f->m.decline = false;
	assert_int_equal(f_add(f, 1, 16, false), 0);
	drv_publish(f->r); /* whether a kick is wanted or not: none is sent */
}

static void what_comes_while_the_model_declines_is_not_lost(void **state)
{
	(void)state;
	EACH_FLAVOUR(i)
	{
		struct fix *f = f_new(flavours[i], 16, VQ_BASE_INIT);

		f->m.decline = true;
		f->m.on_decline = accept_from_now_on;
		add_and_ring(f, 0);
		assert_int_equal(f_reap(f, 16), 2);
		f_free(f);
	}
}

static void memory_taken_away_ends_the_wait_for_our_own(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct scarce s;
		struct fix *f = scarce_new(packed ? PACKED : 0, &s);

		assert_int_equal(f_add(f, 0, 16, false), 0);
		f_kick(f);
		assert_true(f->q->retry_timer.armed);
		vq_remap(f->q, NULL);
		assert_false(f->q->retry_timer.armed);
		f_kick(f);
		assert_int_equal(f_reap(f, 16), 0);
		assert_null(f->broken);
		f_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_short_of_memory_goes_on_by_itself),
		cmocka_unit_test(a_queue_that_waits_for_memory_can_be_stopped),
		cmocka_unit_test(the_kick_for_chains_after_declined_ones_arrives),
		cmocka_unit_test(chains_of_all_lengths_are_kicked_for),
		cmocka_unit_test(what_comes_while_the_model_declines_is_not_lost),
		cmocka_unit_test(memory_taken_away_ends_the_wait_for_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
