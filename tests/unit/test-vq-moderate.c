/* SPDX-License-Identifier: MIT */
/* A queue that waits for company: when it does, when it does not, and that nobody is forgotten. */
#include "vq-fixture.h"

#include "util/compiler.h"

#define WAIT_NS 10000000u

static const uint64_t moderated[] = { EVENT, EVENT | INDIRECT, PACKED | EVENT,
				      PACKED | EVENT | INDIRECT };

static struct fix *start(uint64_t features, uint32_t wait_ns)
{
	struct fix *f;

	f_batch_ns = wait_ns;
	f = f_new(features, 256, VQ_BASE_INIT);
	f_batch_ns = 0;
	return f;
}

/*
 * A driver hands over @n chains one by one, and the worker is slow to wake up:
 * it finds all of them. Returns how many came back without the timer.
 */
static unsigned int burst(struct fix *f, unsigned int n)
{
	bool ring = false;

	for (uint32_t tag = 0; tag < n; tag++) {
		assert_int_equal(f_add(f, tag, 16, f->features & INDIRECT), 0);
		ring |= drv_publish(f->r);
	}
	if (ring) {
		fake_ring(f->w, KICK_FD);
		fake_settle(f->w);
	}
	return f_reap(f, 16);
}

/* As many bursts as it takes until the queue waits for several. */
static void warm_up(struct fix *f)
{
	for (unsigned int i = 0; i < 100 && f->q->mod.goal == 1; i++)
		assert_int_equal(burst(f, 12), 12);
	assert_in_range(f->q->mod.goal, 2, 12);
	for (unsigned int i = 0; i < 100 && f->q->mod.due; i++)
		burst(f, 12); /* past a round that measures */
	assert_false(f->q->mod.due);
}

static void a_busy_queue_wakes_up_for_several(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moderated); i++) {
		struct fix *f = start(moderated[i], WAIT_NS);

		warm_up(f);
		assert_int_equal(f_add(f, 1, 16, f->features & INDIRECT), 0);
		assert_false(drv_publish(f->r)); /* one is not enough */
		fake_settle(f->w);
		assert_int_equal(f_reap(f, 16), 0);
		assert_int_equal(burst(f, 20), 21); /* that is */
		f_free(f);
	}
}

static void what_waits_in_vain_is_served_by_the_timer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moderated); i++) {
		struct fix *f = start(moderated[i], WAIT_NS);

		warm_up(f);
		assert_int_equal(burst(f, 1), 0);
		assert_true(f_expire(f, &f->q->mod.timer));
		assert_int_equal(f_reap(f, 16), 1);
		f_free(f);
	}
}

static void a_driver_that_slows_down_stops_waiting(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moderated); i++) {
		struct fix *f = start(moderated[i], WAIT_NS);
		unsigned int late = 0;

		warm_up(f);
		for (unsigned int k = 0; k < 100; k++) {
			if (burst(f, 1) == 1)
				continue;
			late++;
			assert_true(f_expire(f, &f->q->mod.timer));
			assert_int_equal(f_reap(f, 16), 1);
		}
		assert_in_range(late, 1, 4);
		assert_int_equal(f->q->mod.goal, 1);
		f_free(f);
	}
}

static void one_at_a_time_never_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moderated); i++) {
		struct fix *f = start(moderated[i], WAIT_NS);

		for (unsigned int k = 0; k < 1000; k++)
			assert_int_equal(burst(f, 1 + k % 2), 1 + k % 2);
		assert_false(f->q->mod.timer.armed);
		f_free(f);
	}
}

static void an_idle_queue_is_left_in_peace(void **state)
{
	struct fix *f = start(EVENT, WAIT_NS);

	(void)state;
	warm_up(f);
	assert_true(f_expire(f, &f->q->mod.timer));
	assert_false(f->q->mod.timer.armed);
	assert_int_equal(burst(f, 1), 1);
	f_free(f);
}

static void a_queue_that_waits_can_be_stopped(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moderated); i++) {
		struct fix *f = start(moderated[i], WAIT_NS);

		warm_up(f);
		assert_int_equal(burst(f, 2), 0);
		assert_true(f->q->mod.timer.armed);
		f_free(f); /* finds the timer if it is still there */
	}
}

static void nobody_waits_without_an_event_index_or_a_wish_for_it(void **state)
{
	struct fix *f;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		f = start(i == 0 ? 0 : i == 1 ? PACKED : EVENT, i < 2 ? WAIT_NS : 0);
		for (unsigned int k = 0; k < 100; k++)
			assert_int_equal(burst(f, 12), 12);
		assert_int_equal(f->q->mod.goal, 1);
		f_free(f);
	}
}

static void what_storage_has_in_hand_makes_nobody_wait(void **state)
{
	struct fix *f = start(EVENT, WAIT_NS);

	(void)state;
	warm_up(f);
	f->m.hold = true;
	assert_int_equal(burst(f, 20), 0);
	assert_int_equal(f->m.n, 20);
	burst(f, 1); /* while those are out */
	assert_int_equal(f->m.n, 21);
	while (f->m.n)
		m_answer(&f->m, f->m.held[--f->m.n]);
	fake_settle(f->w);
	assert_int_equal(f_reap(f, 16), 21);
	f_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_busy_queue_wakes_up_for_several),
		cmocka_unit_test(what_waits_in_vain_is_served_by_the_timer),
		cmocka_unit_test(a_driver_that_slows_down_stops_waiting),
		cmocka_unit_test(one_at_a_time_never_waits),
		cmocka_unit_test(an_idle_queue_is_left_in_peace),
		cmocka_unit_test(a_queue_that_waits_can_be_stopped),
		cmocka_unit_test(nobody_waits_without_an_event_index_or_a_wish_for_it),
		cmocka_unit_test(what_storage_has_in_hand_makes_nobody_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
