/* SPDX-License-Identifier: MIT */
/* From start to stop: what is made, what is asked first, and what is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "transport/vduse/vduse-impl.h"
#include "vduse-world.h"

/* What virtio_vdpa does: all of it before the kernel's add returns. */
static void probe(struct fake_vduse *f)
{
	fake_status_blocking(f, 0);
	fake_status_blocking(f, VIRTIO_STATUS_ACKNOWLEDGE);
	fake_status_blocking(f, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	if (!fake_status_blocking(f, STATUS_FEATURES)) {
		fake_status_blocking(f, VIRTIO_STATUS_FAILED | VIRTIO_STATUS_DRIVER);
		return;
	}
	fake_status_blocking(f, STATUS_OK);
}

static void unplug(struct fake_vduse *f)
{
	fake_status_blocking(f, 0);
}

static struct world *world(void **state)
{
	struct world *w = *state;

	w->f->probe = probe;
	w->f->remove = unplug;
	world_rings(w);
	return w;
}

static void assert_nothing_left(struct world *w)
{
	assert_false(w->f->exists);
	assert_false(w->f->is_open);
	assert_false(w->f->attached);
	assert_int_equal(vdev_attach(w->dev, &(const struct xport_ops){ .name = "x" }, NULL), 0);
	vdev_detach(w->dev);
}

static void start_makes_attaches_and_reports(void **state)
{
	struct world *w = world(state);

	world_start(w, true);
	assert_int_equal(w->ready, 1);
	assert_int_equal(w->connected, 1);
	assert_string_equal(w->path, "fake0");
	assert_true(fake_find(w->f, FAKE_CREATE, 0, 0) < fake_find(w->f, FAKE_ADD, 0, 0));
	assert_int_equal(w->f->conf.vq_num, WORLD_QUEUES);
	assert_true(w->f->conf.features & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_false(w->f->conf.features & (1ull << 30));
	assert_false(w->f->conf.features &
		     VIRTIO_BIT(VIRTIO_F_RING_PACKED)); /* make_plan() says why */
	assert_int_equal(w->f->config[3], 0x5a);
}

static void stop_detaches_closes_destroys_in_this_order(void **state)
{
	struct world *w = world(state);
	int del, cl, destroy;

	world_start(w, true);
	world_stop(w, TRANSPORT_STOP_ASK, true);
	assert_int_equal(w->stop_res, 0);
	del = fake_find(w->f, FAKE_DEL, 0, 0);
	cl = fake_find(w->f, FAKE_CLOSE, 0, del);
	destroy = fake_find(w->f, FAKE_DESTROY, 0, cl);
	assert_true(del >= 0 && cl > del && destroy > cl);
	assert_int_equal(w->disconnected, 0); /* it was us */
	assert_nothing_left(w);
}

static void stop_waits_for_inflight(void **state)
{
	struct world *w = world(state);

	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	world_start(w, true);
	atomic_store(&w->hold, true);
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_eventually(w, &w->held, 1));
	world_stop(w, TRANSPORT_STOP_FORCE, false);
	world_turns(w, 50);
	assert_int_equal(w->stopped, 0);
	world_release(w);
	assert_true(world_until(w, &w->stopped));
	assert_int_equal(w->stop_res, 0);
	assert_int_equal(fake_used(w->f, 0), 1);
	assert_nothing_left(w);
}

/*
 * The driver's reset waits for a request, and so does the stop. Both end at once,
 * the stop first; what the reset has to tidy up after it is none of the stop's.
 */
static void stop_during_a_reset(struct world *w, enum transport_stop how)
{
	struct vdu_dev_request reset = { .type = VDU_SET_STATUS, .s.status = 0 };
	struct vdu_dev_request next = { .type = VDU_SET_STATUS,
					.s.status = VIRTIO_STATUS_ACKNOWLEDGE };
	unsigned int first, second;

	w->f->remove = NULL; /* the driver has gone: that is its reset */
	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	world_start(w, true);
	atomic_store(&w->hold, true);
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_eventually(w, &w->held, 1));
	first = fake_send(w->f, &reset);
	second = fake_send(w->f, &next);
	world_turns(w, 20);
	world_stop(w, how, false);
	world_turns(w, 50);
	assert_int_equal(w->stopped, 0);
	assert_int_equal(fake_count(w->f, FAKE_DEL), how != TRANSPORT_STOP_LEAVE);
	assert_int_equal(fake_find(w->f, FAKE_REPLY, first, 0), -1);
	world_release(w);
	assert_true(world_until(w, &w->stopped));
	assert_int_equal(w->stop_res, 0);
	assert_int_equal(fake_used(w->f, 0), 1);
	assert_true(fake_find(w->f, FAKE_REPLY, first, 0) >= 0);
	/* What waited behind the reset would begin something: nothing begins any more. */
	assert_int_equal(fake_find(w->f, FAKE_REPLY, second, 0), -1);
}

static void stop_during_a_reset_comes_to_its_end(void **state)
{
	struct world *w = world(state);

	stop_during_a_reset(w, TRANSPORT_STOP_FORCE);
	assert_nothing_left(w);
}

static void leave_during_a_reset_comes_to_its_end(void **state)
{
	struct world *w = world(state);

	stop_during_a_reset(w, TRANSPORT_STOP_LEAVE);
	assert_true(w->f->exists && w->f->attached);
	assert_false(w->f->is_open);
}

static void second_stop_is_told_that_there_is_one(void **state)
{
	struct world *w = world(state);

	world_start(w, true);
	world_stop(w, TRANSPORT_STOP_FORCE, false);
	w->t->ops->stop(w->t, TRANSPORT_STOP_ASK, NULL, NULL);
	assert_true(world_until(w, &w->stopped));
	assert_int_equal(w->stop_res, 0);
}

static void leave_closes_and_nothing_else(void **state)
{
	struct world *w = world(state);

	world_start(w, true);
	world_stop(w, TRANSPORT_STOP_LEAVE, true);
	assert_int_equal(w->stop_res, 0);
	assert_true(w->f->exists && w->f->attached);
	assert_false(w->f->is_open);
	assert_int_equal(fake_count(w->f, FAKE_DEL), 0);
	assert_int_equal(fake_count(w->f, FAKE_DESTROY), 0);
}

static void leave_keeps_unread_messages_for_the_successor(void **state)
{
	struct world *w = world(state);
	struct vdu_dev_request req = { .type = VDU_SET_STATUS, .s.status = 0 };
	unsigned int id;

	world_start(w, true);
	world_stop(w, TRANSPORT_STOP_LEAVE, false);
	loop_turn(w->loop, 0);
	id = fake_send(w->f, &req);
	assert_true(world_until(w, &w->stopped));
	assert_int_equal(fake_find(w->f, FAKE_REPLY, id, 0), -1);
}

static void failed_create_is_reported_with_its_cause(void **state)
{
	struct world *w = world(state);

	w->f->create_rc = -EINVAL;
	world_start(w, true);
	assert_int_equal(w->failed, 1);
	assert_string_equal(w->fail.id, "vduse-create");
	assert_non_null(strstr(w->fail.what, "cannot put 'd0' on this host"));
	assert_nothing_left(w);
	world_stop(w, TRANSPORT_STOP_FORCE, true); /* makes sense, and does nothing */
	assert_int_equal(w->stop_res, 0);
}

static void failed_attach_leaves_nothing_behind(void **state)
{
	struct world *w = world(state);

	w->f->add_rc = -EPERM;
	world_start(w, true);
	assert_int_equal(w->ready, 0);
	assert_int_equal(w->failed, 1);
	assert_non_null(strstr(w->fail.hint, "Nothing was left behind."));
	assert_int_equal(fake_count(w->f, FAKE_DEL), 0);
	assert_nothing_left(w);
	world_stop(w, TRANSPORT_STOP_FORCE, true);
}

static void foreign_device_of_the_same_name_is_not_touched(void **state)
{
	struct world *w = world(state);

	fake_file(w->f, "sys/bus/vdpa/devices/d0/uevent", "");
	w->f->add_rc = -EEXIST;
	world_start(w, true);
	assert_int_equal(w->failed, 1);
	assert_int_equal(fake_count(w->f, FAKE_DEL), 0);
	assert_nothing_left(w);
	world_stop(w, TRANSPORT_STOP_FORCE, true);
}

/* The kernel's add returns success when the driver refused the device. */
static void refused_features_are_the_reason_given(void **state)
{
	struct world *w = world(state);

	w->f->driver_features = VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
	w->f->no_disk = true;
	world_start(w, true);
	assert_int_equal(w->failed, 1);
	assert_string_equal(w->fail.id, "features-legacy");
	assert_nothing_left(w);
	world_stop(w, TRANSPORT_STOP_FORCE, true);
}

static void give_up(struct fake_vduse *f)
{
	fake_status_blocking(f, STATUS_FEATURES);
	fake_status_blocking(f, STATUS_FEATURES | VIRTIO_STATUS_FAILED);
}

static void driver_that_gives_up_is_not_waited_for(void **state)
{
	struct world *w = world(state);

	w->f->probe = give_up;
	w->f->no_disk = true;
	world_start(w, true); /* within seconds: the wait for a disk is much longer */
	assert_int_equal(w->failed, 1);
	assert_non_null(strstr(w->fail.what, "gave up"));
	assert_nothing_left(w);
	world_stop(w, TRANSPORT_STOP_FORCE, true);
}

static void stop_cuts_the_wait_for_the_disk_short(void **state)
{
	struct world *w = world(state);
	uint64_t before = clock_ns();

	w->f->no_disk = true;
	world_start(w, false);
	assert_true(world_until(w, &w->connected));
	world_stop(w, TRANSPORT_STOP_ASK, true);
	assert_int_equal(w->stop_res, 0);
	assert_true(clock_ns() - before < UINT64_C(10000000000));
	assert_int_equal(w->ready + w->failed, 0);
	assert_nothing_left(w);
}

static void stop_before_anything_is_made(void **state)
{
	struct world *w = world(state);

	world_start(w, false);
	world_stop(w, TRANSPORT_STOP_FORCE, true);
	assert_int_equal(w->stop_res, 0);
	assert_int_equal(w->ready + w->failed, 0);
	assert_nothing_left(w);
}

static void breaks(struct fake_vduse *f)
{
	fake_status_blocking(f, STATUS_FEATURES);
	fake_break(f);
}

static void device_that_breaks_while_attaching_is_cleaned_up(void **state)
{
	struct world *w = world(state);

	w->f->probe = breaks;
	w->f->no_disk = true;
	world_start(w, true);
	assert_int_equal(w->failed, 1);
	assert_string_equal(w->fail.id, "vduse-broken");
	assert_nothing_left(w);
	world_stop(w, TRANSPORT_STOP_FORCE, true);
}

static void detach_by_somebody_else_is_survived(void **state)
{
	struct world *w = world(state);

	world_start(w, true);
	assert_true(fake_status(w->f, w->loop, 0));
	assert_int_equal(w->disconnected, 1);
	/* And back again. */
	world_rings(w);
	world_driver_ok(w);
	assert_int_equal(w->connected, 2);
	assert_int_equal(w->ready, 1);
}

static void wrong_names_never_start(void **state)
{
	struct world *w = *state;
	struct transport_args a = { .dev = w->dev, .name = "a/b", .fd = -1 };
	struct transport *t = NULL;
	struct err e;

	assert_int_equal(vduse_start_on(&w->f->sys, &a, &t, &e), -EINVAL);
	assert_null(t);
	a.name = "ok";
	assert_int_equal(vdev_attach(w->dev, &(const struct xport_ops){ .name = "x" }, NULL), 0);
	assert_int_equal(vduse_start_on(&w->f->sys, &a, &t, &e), -EBUSY);
	vdev_detach(w->dev);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(start_makes_attaches_and_reports),
		T(stop_detaches_closes_destroys_in_this_order),
		T(stop_waits_for_inflight),
		T(stop_during_a_reset_comes_to_its_end),
		T(leave_during_a_reset_comes_to_its_end),
		T(second_stop_is_told_that_there_is_one),
		T(leave_closes_and_nothing_else),
		T(leave_keeps_unread_messages_for_the_successor),
		T(failed_create_is_reported_with_its_cause),
		T(failed_attach_leaves_nothing_behind),
		T(foreign_device_of_the_same_name_is_not_touched),
		T(refused_features_are_the_reason_given),
		T(driver_that_gives_up_is_not_waited_for),
		T(stop_cuts_the_wait_for_the_disk_short),
		T(stop_before_anything_is_made),
		T(device_that_breaks_while_attaching_is_cleaned_up),
		T(detach_by_somebody_else_is_survived),
		T(wrong_names_never_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
