/* SPDX-License-Identifier: MIT */
/* The kernel's messages and their answers: order, time, and what goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vduse-world.h"

/* Started, attached, ready: the test plays the driver from here. */
static struct world *up(void **state)
{
	struct world *w = *state;

	world_start(w, true);
	assert_int_equal(w->ready, 1);
	world_rings(w);
	return w;
}

static void a_request_goes_through(void **state)
{
	struct world *w = up(state);
	uint8_t *data = fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);

	world_driver_ok(w);
	assert_int_equal(w->connected, 1);
	assert_int_equal(w->peer_queues, WORLD_QUEUES);
	fake_offer(w->f, 1, WORLD_DATA + 512, 64);
	assert_true(world_used(w, 1, 1));
	assert_memory_equal(data + 512, "done", 4);
	assert_true(world_eventually(w, &w->f->irqs[1], 1));
	assert_int_equal(w->f->irqs[0], 0);
}

static void reply_comes_before_start(void **state)
{
	struct world *w = up(state);
	int reply, start;

	world_driver_ok(w); /* once over, to know the id of the second one */
	assert_true(fake_status(w->f, w->loop, 0));
	world_rings(w);
	assert_true(fake_status(w->f, w->loop, STATUS_FEATURES));
	w->f->reply_delay_ms = 50;
	w->f->nlog = 0;
	assert_true(fake_status(w->f, w->loop, STATUS_OK));
	world_turns(w, 20);
	reply = fake_find(w->f, FAKE_REPLY, w->f->next_id - 1, 0);
	start = fake_find(w->f, FAKE_MODEL_START, 0, 0);
	assert_true(reply >= 0);
	assert_true(start > reply);
	assert_true(fake_find(w->f, FAKE_KICKFD, 0, 0) < reply);
}

/* The kernel stores DRIVER_OK some time after it has read our answer. */
static void notification_too_early_is_repeated(void **state)
{
	struct world *w = up(state);
	struct vdu_dev_request req = { .type = VDU_SET_STATUS, .s.status = STATUS_OK };
	struct vdu_dev_response resp;

	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	assert_true(fake_status(w->f, w->loop, STATUS_FEATURES));
	fake_offer(w->f, 0, WORLD_DATA, 16); /* before DRIVER_OK, as some drivers do */
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_true(world_used(w, 0, 1));
	world_turns(w, 20);
	assert_int_equal(w->f->irqs[0], 0);
	assert_true(w->f->irqs_refused > 0);
	atomic_store(&w->f->kstatus, STATUS_OK);
	assert_true(world_eventually(w, &w->f->irqs[0], 1));
}

static void features_that_were_not_offered_are_refused(void **state)
{
	struct world *w = up(state);

	assert_true(fake_status(w->f, w->loop, 0));
	w->f->driver_features |= 1ull << 50;
	assert_false(fake_status(w->f, w->loop, STATUS_FEATURES));
	w->f->driver_features = VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM); /* no VERSION_1 */
	assert_false(fake_status(w->f, w->loop, STATUS_FEATURES));
	w->f->driver_features |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
	assert_true(fake_status(w->f, w->loop, STATUS_FEATURES));
}

static void driver_ok_without_features_ok_is_refused(void **state)
{
	struct world *w = up(state);

	assert_true(fake_status(w->f, w->loop, 0));
	assert_false(fake_status(w->f, w->loop, VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_DRIVER));
}

static void failed_prepare_is_answered_so(void **state)
{
	struct world *w = up(state);

	assert_true(fake_status(w->f, w->loop, STATUS_FEATURES));
	w->f->vq[1].desc_addr = 0x7000000000; /* nothing there */
	assert_false(fake_status(w->f, w->loop, STATUS_OK));
	w->f->vq[1].desc_addr = WORLD_RINGS + 4096;
	w->f->vq[1].num = 7; /* not a power of two */
	assert_false(fake_status(w->f, w->loop, STATUS_OK));
	w->f->vq[1].num = 512; /* more than was offered */
	assert_false(fake_status(w->f, w->loop, STATUS_OK));
	w->f->vq[1].num = 8;
	w->f->kickfd_rc = -EMFILE;
	assert_false(fake_status(w->f, w->loop, STATUS_OK));
	assert_int_equal(fake_count(w->f, FAKE_MODEL_START), 0); /* not queue 0 either */
	assert_int_equal(w->connected, 0);
	/* What was prepared before the failure is forgotten. */
	w->f->kickfd_rc = 0;
	w->f->vq[1].desc_addr = 0x7000000000;
	assert_false(fake_status(w->f, w->loop, STATUS_OK));
	w->f->vq[1].num = 7;
	w->f->vq[1].desc_addr = WORLD_RINGS + 4096;
	assert_false(fake_status(w->f, w->loop, STATUS_OK));
	w->f->vq[1].num = 8;
	w->f->vq[0].ready = 0;
	assert_true(fake_status(w->f, w->loop, STATUS_OK));
	assert_true(world_until(w, &w->connected));
	assert_int_equal(w->peer_queues, 1);
	world_turns(w, 20);
	assert_int_equal(fake_find(w->f, FAKE_MODEL_START, 0, 0), -1);
}

static void queues_the_driver_does_not_use_are_left_out(void **state)
{
	struct world *w = up(state);

	w->f->vq[1].ready = 0;
	world_driver_ok(w);
	assert_int_equal(w->peer_queues, 1);
	assert_int_equal(fake_find(w->f, FAKE_KICKFD, 1, 0), -1);
}

static void queue_that_is_ready_late_is_started(void **state)
{
	struct world *w = up(state);

	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	w->f->vq[1].ready = 0;
	world_driver_ok(w);
	fake_offer(w->f, 1, WORLD_DATA, 16);
	w->f->vq[1].ready = 1;
	assert_true(world_used(w, 1, 1));
}

static void withdrawn_message_does_not_block(void **state)
{
	struct world *w = up(state);
	struct vdu_dev_request req = { .type = VDU_SET_STATUS, .s.status = 1 };
	struct vdu_dev_request gone;

	/* Seen by poll, withdrawn before the read: EAGAIN, and life goes on. */
	fake_send(w->f, &req);
	assert_int_equal(read(w->f->dev_fd, &gone, sizeof(gone)), sizeof(gone));
	world_turns(w, 10);
	assert_true(fake_status(w->f, w->loop, VIRTIO_STATUS_ACKNOWLEDGE));
	assert_int_equal(w->failed, 0);
}

static void unknown_message_is_answered_failed(void **state)
{
	struct world *w = up(state);
	struct vdu_dev_request req = { .type = 77 };
	struct vdu_dev_response resp;

	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_int_equal(resp.result, VDU_RESULT_FAILED);
	assert_true(fake_status(w->f, w->loop, 0));
}

static void vq_state_says_where_the_ring_stands(void **state)
{
	struct world *w = up(state);
	struct vdu_dev_request req = { .type = VDU_GET_VQ_STATE, .vq_state.index = 1 };
	struct vdu_dev_response resp;

	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	world_driver_ok(w);
	for (uint16_t i = 1; i <= 3; i++) {
		fake_offer(w->f, 1, WORLD_DATA, 16);
		assert_true(world_used(w, 1, i));
	}
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_int_equal(resp.result, VDU_RESULT_OK);
	assert_int_equal(resp.vq_state.split.avail_index, 3);
	/* It was a question, not the end. */
	fake_offer(w->f, 1, WORLD_DATA, 16);
	assert_true(world_used(w, 1, 4));
	req.vq_state.index = WORLD_QUEUES;
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_int_equal(resp.result, VDU_RESULT_FAILED);
}

static void start_position_is_the_drivers(void **state)
{
	struct world *w = up(state);
	struct vdu_dev_request req = { .type = VDU_GET_VQ_STATE, .vq_state.index = 0 };
	struct vdu_dev_response resp;

	w->f->vq[0].split.avail_index = 0; /* the ring's index is 0: what it says counts */
	w->f->vq[1].split.avail_index = 5;
	((uint16_t *)(void *)(w->f->region[0].host + 4096 + 1024))[1] = 5; /* avail idx */
	((uint16_t *)(void *)(w->f->region[0].host + 4096 + 2048))[1] = 5; /* used idx */
	world_driver_ok(w);
	req.vq_state.index = 1;
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_int_equal(resp.vq_state.split.avail_index, 5);
}

static void packed_positions_have_four_parts(void **state)
{
	struct world *w = up(state);
	struct vdu_dev_request req = { .type = VDU_GET_VQ_STATE, .vq_state.index = 1 };
	const struct vdu_vq_state_packed at = { 0, 3, 1, 5 };
	struct vdu_dev_response resp;

	w->f->driver_features |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	w->f->vq[0].packed = (struct vdu_vq_state_packed){ 1, 0, 1, 0 };
	w->f->vq[1].packed = at;
	world_driver_ok(w);
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_int_equal(resp.result, VDU_RESULT_OK);
	assert_memory_equal(&resp.vq_state.packed, &at, sizeof(at));
	req.vq_state.index = 0;
	assert_true(fake_call(w->f, w->loop, &req, &resp));
	assert_memory_equal(&resp.vq_state.packed, &w->f->vq[0].packed, sizeof(at));
}

static void reset_waits_for_inflight(void **state)
{
	struct world *w = up(state);
	struct vdu_dev_request reset = { .type = VDU_SET_STATUS, .s.status = 0 };
	struct vdu_dev_request other = { .type = 99 };
	struct vdu_dev_response resp;
	unsigned int id;

	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	atomic_store(&w->hold, true);
	world_driver_ok(w);
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_eventually(w, &w->held, 1));
	id = fake_send(w->f, &reset);
	world_turns(w, 30);
	/* Other messages come and go meanwhile. */
	assert_true(fake_call(w->f, w->loop, &other, &resp));
	assert_int_equal(fake_used(w->f, 0), 0);
	world_release(w);
	assert_true(fake_wait(w->f, w->loop, &resp));
	assert_int_equal(resp.request_id, id);
	assert_int_equal(resp.result, VDU_RESULT_OK);
	assert_int_equal(fake_used(w->f, 0), 1); /* given back, then answered */
	assert_true(fake_find(w->f, FAKE_MODEL_STOPPED, 0, 0) < fake_find(w->f, FAKE_REPLY, id, 0));
	assert_int_equal(w->disconnected, 1);
}

static void hung_request_does_not_hold_the_reset_for_ever(void **state)
{
	struct world *w = up(state);
	uint64_t before;

	fake_file(w->f, "sys/class/vduse/d0/msg_timeout", "1\n"); /* a third of it is ours */
	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	atomic_store(&w->hold, true);
	world_driver_ok(w);
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_eventually(w, &w->held, 1));
	before = clock_ns();
	assert_true(fake_status(w->f, w->loop, 0));
	assert_true(clock_ns() - before < UINT64_C(3000000000));
	assert_int_equal(fake_used(w->f, 0), 0);
	/* It comes back at last: frees itself, touches no ring. */
	world_release(w);
	assert_true(world_eventually(w, &w->held, 0));
	assert_int_equal(fake_used(w->f, 0), 0);
	world_turns(w, 20);
}

static void status_during_reset_waits_for_its_turn(void **state)
{
	struct world *w = up(state);
	struct vdu_dev_request reset = { .type = VDU_SET_STATUS, .s.status = 0 };
	struct vdu_dev_request next = { .type = VDU_SET_STATUS, .s.status = 1 };
	struct vdu_dev_response resp;
	unsigned int first, second;

	fake_map(w->f, WORLD_DATA, WORLD_DATA_LEN, VDU_ACCESS_RW);
	atomic_store(&w->hold, true);
	world_driver_ok(w);
	fake_offer(w->f, 0, WORLD_DATA, 16);
	assert_true(world_eventually(w, &w->held, 1));
	first = fake_send(w->f, &reset);
	second = fake_send(w->f, &next);
	world_turns(w, 20);
	world_release(w);
	assert_true(fake_wait(w->f, w->loop, &resp));
	assert_int_equal(resp.request_id, first);
	assert_true(fake_wait(w->f, w->loop, &resp));
	assert_int_equal(resp.request_id, second);
	assert_int_equal(resp.result, VDU_RESULT_OK);
}

static void config_change_reaches_kernel_and_driver(void **state)
{
	struct world *w = up(state);
	const uint8_t v[4] = { 1, 2, 3, 4 };

	assert_int_equal(w->f->config[0], 0x5a);
	/* Before DRIVER_OK: the bytes at once, the interrupt when it is possible. */
	vu_dev_config_set(w->dev, 4, v, sizeof(v));
	vu_dev_config_changed(w->dev);
	assert_memory_equal(w->f->config + 4, v, sizeof(v));
	assert_int_equal(w->f->config_irqs, 0);
	world_driver_ok(w);
	assert_true(world_eventually(w, &w->f->config_irqs, 1));
	vu_dev_config_set(w->dev, 0, v, sizeof(v));
	vu_dev_config_changed(w->dev);
	assert_memory_equal(w->f->config, v, sizeof(v));
	assert_int_equal(w->f->config_irqs, 2);
}

static void broken_device_is_reported_once(void **state)
{
	struct world *w = up(state);

	world_driver_ok(w);
	fake_break(w->f);
	assert_true(world_until(w, &w->failed));
	assert_string_equal(w->fail.id, "vduse-broken");
	world_turns(w, 20);
	assert_int_equal(w->failed, 1);
	world_stop(w, TRANSPORT_STOP_FORCE, true);
	assert_int_equal(w->stop_res, 0);
	assert_false(w->f->exists);
	assert_false(w->f->attached);
}

static void broken_device_may_be_freed_as_it_is(void **state)
{
	struct world *w = up(state);

	world_driver_ok(w);
	fake_break(w->f);
	assert_true(world_until(w, &w->failed));
	w->t->ops->free(w->t);
	w->t = NULL;
	assert_false(w->f->is_open);
	assert_true(w->f->attached);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_goes_through),
		T(reply_comes_before_start),
		T(notification_too_early_is_repeated),
		T(features_that_were_not_offered_are_refused),
		T(driver_ok_without_features_ok_is_refused),
		T(failed_prepare_is_answered_so),
		T(queues_the_driver_does_not_use_are_left_out),
		T(queue_that_is_ready_late_is_started),
		T(withdrawn_message_does_not_block),
		T(unknown_message_is_answered_failed),
		T(vq_state_says_where_the_ring_stands),
		T(start_position_is_the_drivers),
		T(packed_positions_have_four_parts),
		T(reset_waits_for_inflight),
		T(hung_request_does_not_hold_the_reset_for_ever),
		T(status_during_reset_waits_for_its_turn),
		T(config_change_reaches_kernel_and_driver),
		T(broken_device_is_reported_once),
		T(broken_device_may_be_freed_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
