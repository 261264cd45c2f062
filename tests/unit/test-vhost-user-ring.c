/* SPDX-License-Identifier: MIT */
/* Rings and memory as a vhost-user front end sets them up, changes and stops them. */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/compiler.h"
#include "vu-world.h"

/* ---- rings ---- */

static void request_is_served_and_the_guest_is_notified(void **state)
{
	struct world *w = *state;

	fe_start_all(w);
	for (unsigned int i = 0; i < QUEUES; i++) {
		assert_true(fe_rang(w->call[i])); /* the one of the start */
		fe_submit(w, i);
		UNTIL(w, fe_used_idx(w, i) == 1);
		UNTIL(w, fe_rang(w->call[i]));
	}
	assert_int_equal(w->mem[DATA_OFF], 0x5a);
	UNTIL(w, w->connected == 1);
	assert_int_equal(w->peer.pid, getpid());
	assert_int_equal(w->peer.queues, QUEUES);
	assert_int_equal(w->peer.memory, MEM_SIZE);
	assert_false(w->peer.packed);
}

static void requests_made_before_the_start_need_no_kick(void **state)
{
	struct world *w = *state;

	fe_submit(w, 0);
	fe_submit(w, 0);
	assert_true(fe_rang(w->kick[0])); /* nobody will see it */
	fe_start_all(w);
	UNTIL(w, fe_used_idx(w, 0) == 2);
}

static void ring_with_bit_30_waits_until_it_is_enabled(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30);
	fe_say_table(w);
	fe_describe_ring(w, 0, 0);
	fe_say_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]);
	fe_sync(w);
	fe_submit(w, 0);
	world_turn_for(w, SECOND / 20);
	assert_int_equal(fe_used_idx(w, 0), 0);
	assert_int_equal(w->connected, 0);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_ENABLE, 0, 0), 0);
	fe_submit(w, 0);
	world_turn_for(w, SECOND / 20);
	assert_int_equal(fe_used_idx(w, 0), 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
	UNTIL(w, fe_used_idx(w, 0) == 2);
}

static void features_without_bit_30_enable_all_rings(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1);
	fe_say_table(w);
	fe_describe_ring(w, 1, 0);
	fe_say_fd(w, VHOST_USER_SET_VRING_KICK, 1, w->kick[1]);
	fe_submit(w, 1);
	UNTIL(w, fe_used_idx(w, 1) == 1);
}

static void set_features_does_not_stop_a_running_ring(void **state)
{
	struct world *w = *state;

	fe_start_all(w);
	fe_say_u64(w, VHOST_USER_SET_FEATURES, V1 | BIT30);
	fe_sync(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	assert_int_equal(w->model.stops, 0);
}

static void ring_without_kick_descriptor_is_polled(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30);
	fe_say_table(w);
	fe_describe_ring(w, 0, 0);
	fe_say_u64(w, VHOST_USER_SET_VRING_KICK, 0 | VHOST_USER_VRING_NOFD);
	fe_say_state(w, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	fe_sync(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
}

static void call_descriptor_of_a_running_ring_is_written_at_once(void **state)
{
	struct world *w = *state;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	fe_start_all(w);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_CALL, 0, fd), 0);
	assert_true(fe_rang(fd));
	fe_rang(w->call[0]);
	fe_submit(w, 0);
	UNTIL(w, fe_rang(fd));
	assert_false(fe_rang(w->call[0]));
	fe_say_u64(w, VHOST_USER_SET_VRING_CALL, 0 | VHOST_USER_VRING_NOFD);
	fe_sync(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 2);
	assert_false(fe_rang(fd));
	close(fd);
}

static void full_call_counter_blocks_nobody(void **state)
{
	struct world *w = *state;
	uint64_t full = UINT64_MAX - 1;
	int fd = eventfd(0, EFD_CLOEXEC); /* blocking, as a hostile peer would have it */

	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	fe_start_all(w);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_CALL, 0, fd), 0);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	/* The open file is the peer's, too: it takes the flag away again. */
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 2);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 3);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_CALL, 0, fd), 0);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 4);
	close(fd);
}

static void only_an_eventfd_is_taken_for_a_bell(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_CALL, 0, w->memfd), 1);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->sock), 1);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_ERR, 0, w->memfd), 1);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_ERR, 0, w->call[0]), 0);
}

static void ring_index_is_checked_at_full_width(void **state)
{
	static const uint32_t bad[] = { QUEUES, 0xff, 0x100, 0x10000, 0x80000000, 0xffffffff };
	static const uint32_t ids[] = { VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
					VHOST_USER_SET_VRING_ENABLE };
	struct world *w = *state;
	struct vhost_user_vring_addr a = { 0 };

	fe_negotiate(w, V1 | BIT30);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ids); k++)
			assert_int_equal(fe_ask_state(w, ids[k], bad[i], 1), 1);
		a.index = bad[i];
		assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_VRING_ADDR, ACK, &a, sizeof(a)), 1);
	}
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_CALL, QUEUES, w->call[0]), 1);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_CALL, 0xff, w->call[0]), 1);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_CALL, UINT64_C(1) << 32, w->call[0]), 1);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0x200, w->kick[0]), 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_NUM, QUEUES - 1, 1), 0);
}

static void values_out_of_range_are_refused(void **state)
{
	struct world *w = *state;
	struct vhost_user_vring_addr a = { .flags = 2 };

	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_NUM, 0, 0), 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_NUM, 0, 1025), 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_NUM, 0, 65536), 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_NUM, 0, 1024), 0);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_ENABLE, 0, 2), 1);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_VRING_ADDR, ACK, &a, sizeof(a)), 1);
}

static void running_ring_does_not_change(void **state)
{
	struct world *w = *state;
	struct vhost_user_vring_addr a = { .desc = UVA + DESC_OFF,
					   .avail = UVA + AVAIL_OFF,
					   .used = UVA + USED_OFF,
					   .flags = 1 };

	fe_start_all(w);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_NUM, 0, 16), 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_BASE, 0, 7), 1);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_VRING_ADDR, ACK, &a, sizeof(a)), 0);
	a.desc += 64;
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_VRING_ADDR, ACK, &a, sizeof(a)), 1);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
}

static void start_needs_everything_said_before(void **state)
{
	struct world *w = *state;

	fe_say_u64(w, VHOST_USER_SET_PROTOCOL_FEATURES, PROTO_ALL);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 1);
	fe_say_table(w);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 1);
	fe_say_u64(w, VHOST_USER_SET_FEATURES, V1 | BIT30);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_NUM, 0, RING_SIZE), 0);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 1);
	fe_say_addr(w, 0);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_BASE, 0, 0x10000), 0);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 1);
	assert_int_equal(fe_ask_state(w, VHOST_USER_SET_VRING_BASE, 0, 0), 0);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 0);
}

static void ring_that_does_not_start_ends_the_session_when_no_ack_was_asked(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30);
	fe_say_table(w);
	fe_say_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]);
	fe_hung_up(w);
	UNTIL(w, w->disconnected == 1);
	assert_non_null(strstr(w->why, "ring 0 does not start"));
}

static void stopped_ring_goes_on_where_it_was(void **state)
{
	struct world *w = *state;

	fe_start_all(w);
	for (int round = 0; round < 3; round++) {
		uint16_t n = w->avail[0];

		fe_submit(w, 0);
		UNTIL(w, fe_used_idx(w, 0) == n + 1);
		assert_int_equal(fe_stop_ring(w, 0), n + 1);
		assert_int_equal(fe_stop_ring(w, 0), n + 1); /* once more: still so */
		fe_submit(w, 0);
		world_turn_for(w, SECOND / 50);
		assert_int_equal(fe_used_idx(w, 0), n + 1);
		fe_start_ring(w, 0, n + 1);
		UNTIL(w, fe_used_idx(w, 0) == n + 2);
	}
}

static void stop_drops_kick_and_call_descriptors(void **state)
{
	struct world *w = *state;

	fe_start_all(w);
	fe_stop_ring(w, 0);
	fe_describe_ring(w, 0, 0);
	fe_say_fd(w, VHOST_USER_SET_VRING_CALL, 0, w->call[0]);
	fe_stop_ring(w, 0); /* also that of a ring that was never started */
	while (fe_rang(w->call[0]))
		;
	fe_say_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	fe_sync(w);
	assert_false(fe_rang(w->call[0]));
}

static void stop_waits_for_inflight_and_notifies_before_the_reply(void **state)
{
	struct world *w = *state;
	struct vhost_user_vring_state st = { 0, 0 };

	atomic_store(&w->model.hold, true);
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, atomic_load(&w->model.held_n) == 1);
	fe_rang(w->call[0]);
	fe_send(w->sock, VHOST_USER_GET_VRING_BASE, ACK, &st, sizeof(st), NULL, 0);
	/* Said after it, must be handled after it. */
	fe_send(w->sock, VHOST_USER_GET_QUEUE_NUM, 1, NULL, 0, NULL, 0);
	world_turn_for(w, SECOND / 10);
	assert_false(fe_readable(w->sock));
	worker_call(w->worker, world_model_release, &w->model);
	assert_int_equal(fe_reply(w, VHOST_USER_GET_VRING_BASE, &st, sizeof(st)), sizeof(st));
	assert_int_equal(st.num, 1);
	assert_int_equal(fe_used_idx(w, 0), 1);
	assert_true(fe_rang(w->call[0]));
	fe_reply(w, VHOST_USER_GET_QUEUE_NUM, &st, 8);
	fe_sync(w);
}

static void wait_for_inflight_ends_when_the_peer_disconnects(void **state)
{
	struct world *w = *state;
	struct vhost_user_vring_state st = { 0, 0 };

	atomic_store(&w->model.hold, true);
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, atomic_load(&w->model.held_n) == 1);
	fe_send(w->sock, VHOST_USER_GET_VRING_BASE, 1, &st, sizeof(st), NULL, 0);
	world_turn_for(w, SECOND / 50);
	close(w->sock);
	w->sock = fe_connect(w);
	UNTIL(w, strstr(w->log, "closed the connection while GET_VRING_BASE"));
	/* The next one is served when the request is back: it still owns guest memory. */
	assert_int_equal(w->disconnected, 0);
	worker_call(w->worker, world_model_release, &w->model);
	UNTIL(w, w->disconnected == 1);
	w->avail[0] = 0;
	memset(w->mem, 0, DATA_OFF);
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
}

static void packed_position_is_both_halves_and_either_convention_is_read(void **state)
{
	static const struct {
		uint32_t said, told;
	} cases[] = {
		{ 0x80008000, 0x80008000 }, { 0x80038003, 0x80038003 },
		{ 0x00038003, 0x00038003 }, /* used half given: wrap differs on purpose */
		{ 0x00008005, 0x80058005 }, /* the low half alone */
		{ 0x00000005, 0x00050005 },
	};
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30 | VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	fe_say_table(w);
	assert_int_equal(fe_stop_ring(w, 0), 0x80008000); /* a fresh ring */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fe_describe_ring(w, 0, cases[i].said);
		assert_int_equal(fe_stop_ring(w, 0), cases[i].told); /* without a start */
	}
	fe_describe_ring(w, 0, 0x00008005);
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 0);
	assert_int_equal(fe_stop_ring(w, 0), 0x80058005);
	fe_describe_ring(w, 0, 0x80088000 | RING_SIZE); /* slot past the end */
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 1);
}

static void broken_ring_is_told_through_its_error_descriptor(void **state)
{
	struct world *w = *state;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t one = 1;

	fe_start_all(w);
	fe_say_fd(w, VHOST_USER_SET_VRING_ERR, 0, fd);
	fe_sync(w);
	*fe_ring16(w, 0, AVAIL_OFF + 2) = RING_SIZE + 1; /* more than there can be */
	assert_int_equal(write(w->kick[0], &one, sizeof(one)), sizeof(one));
	UNTIL(w, fe_rang(fd));
	fe_submit(w, 1);
	UNTIL(w, fe_used_idx(w, 1) == 1); /* the other ring goes on */
	close(fd);
}

/* ---- memory ---- */

static void memory_that_is_not_shared_is_named_with_its_cure(void **state)
{
	struct world *w = *state;
	struct vhost_user_mem_table t = { .nregions = 1, .regions = { { GPA, MEM_SIZE, UVA, 0 } } };

	fe_negotiate(w, V1 | BIT30);
	fe_send(w->sock, VHOST_USER_SET_MEM_TABLE, 1, &t, 40, NULL, 0);
	fe_hung_up(w);
	UNTIL(w, w->disconnected == 1);
	assert_non_null(strstr(w->why, "memory is not shared"));
	assert_non_null(strstr(w->log, "memory-backend-memfd"));
	assert_non_null(strstr(w->log, "memoryBacking"));
	assert_null(strchr(w->why, '\n'));
}

static void start_without_any_memory_names_the_same_cure(void **state)
{
	struct world *w = *state;

	/* As QEMU does it: regions without a descriptor are left out. */
	fe_negotiate(w, V1 | BIT30);
	fe_start_ring(w, 0, 0);
	fe_hung_up(w);
	UNTIL(w, w->disconnected == 1);
	assert_non_null(strstr(w->why, "memory is not shared"));
	assert_non_null(strstr(w->log, "memory-backend-memfd"));
}

static void bad_regions_are_refused_and_change_nothing(void **state)
{
	static const struct {
		struct vhost_user_region a, b;
	} cases[] = {
		{ { GPA, 0, UVA, 0 }, { GPA * 2, 4096, UVA * 2, 0 } },
		{ { GPA, MEM_SIZE + 1, UVA, 0 }, { GPA * 2, 4096, UVA * 2, 0 } },
		{ { GPA, 4096, UVA, MEM_SIZE }, { GPA * 2, 4096, UVA * 2, 0 } },
		{ { GPA, 4096, UVA, UINT64_MAX - 4095 }, { GPA * 2, 4096, UVA * 2, 0 } },
		{ { UINT64_MAX - 100, 4096, UVA, 0 }, { GPA * 2, 4096, UVA * 2, 0 } },
		{ { GPA, 4096, UINT64_MAX - 100, 0 }, { GPA * 2, 4096, UVA * 2, 0 } },
		{ { GPA, 8192, UVA, 0 }, { GPA + 4096, 4096, UVA * 2, 0 } },
		{ { GPA, 8192, UVA, 0 }, { GPA * 2, 4096, UVA + 4096, 0 } },
	};
	struct world *w = *state;
	struct vhost_user_mem_table t = { .nregions = 2 };
	int fds[2] = { w->memfd, w->memfd };
	uint64_t v;

	fe_start_all(w);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		t.regions[0] = cases[i].a;
		t.regions[1] = cases[i].b;
		fe_send(w->sock, VHOST_USER_SET_MEM_TABLE, ACK, &t, 8 + 64, fds, 2);
		fe_reply(w, VHOST_USER_SET_MEM_TABLE, &v, sizeof(v));
		assert_int_equal(v, 1);
	}
	assert_int_equal(world_count_maps("vu-test-guest"), 2); /* theirs and ours */
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
}

static void rings_go_on_in_new_memory(void **state)
{
	struct world *w = *state;
	struct vhost_user_mem_table t = {
		.nregions = 2,
		.regions = { { GPA, DATA_OFF, UVA, 0 },
			     { GPA + DATA_OFF, MEM_SIZE - DATA_OFF, UVA * 2, DATA_OFF } },
	};
	int fds[2] = { w->memfd, w->memfd };
	uint64_t v;

	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	fe_send(w->sock, VHOST_USER_SET_MEM_TABLE, ACK, &t, 8 + 64, fds, 2);
	fe_reply(w, VHOST_USER_SET_MEM_TABLE, &v, sizeof(v));
	assert_int_equal(v, 0);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 2);
	assert_int_equal(w->model.stops, 0);
}

static uint64_t ask_region(struct world *w, uint32_t request, uint64_t off, uint64_t size,
			   bool with_fd)
{
	struct vhost_user_single_region r = { .region = { GPA + off, size, UVA + off, off } };
	uint64_t v = ~UINT64_C(0);

	fe_send(w->sock, request, ACK, &r, sizeof(r), &w->memfd, with_fd);
	fe_reply(w, request, &v, sizeof(v));
	return v;
}

static void regions_come_and_go_one_by_one(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(ask_region(w, VHOST_USER_ADD_MEM_REG, 0, DATA_OFF, true), 0);
	assert_int_equal(ask_region(w, VHOST_USER_ADD_MEM_REG, 0, 4096, true), 1); /* overlap */
	assert_int_equal(ask_region(w, VHOST_USER_ADD_MEM_REG, DATA_OFF, 0x1000, true), 0);
	fe_start_ring(w, 0, 0);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	assert_int_equal(ask_region(w, VHOST_USER_REM_MEM_REG, DATA_OFF, 0x2000, false), 1);
	assert_int_equal(ask_region(w, VHOST_USER_REM_MEM_REG, DATA_OFF, 0x1000, true), 0);
	assert_int_equal(ask_region(w, VHOST_USER_REM_MEM_REG, DATA_OFF, 0x1000, false), 1);
	assert_int_equal(world_count_maps("vu-test-guest"), 2);
	/* The memory under the ring goes: it waits, and goes on when it is back. */
	assert_int_equal(ask_region(w, VHOST_USER_REM_MEM_REG, 0, DATA_OFF, false), 0);
	fe_submit(w, 0);
	world_turn_for(w, SECOND / 50);
	assert_int_equal(fe_used_idx(w, 0), 1);
	assert_int_equal(ask_region(w, VHOST_USER_ADD_MEM_REG, 0, MEM_SIZE, true), 0);
	UNTIL(w, fe_used_idx(w, 0) == 2);
}

/* QEMU when a disk is unplugged and plugged in again: the connection stays. */
static void the_next_owner_of_a_connection_begins_from_nothing(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(ask_region(w, VHOST_USER_ADD_MEM_REG, 0, MEM_SIZE, true), 0);
	fe_start_ring(w, 0, 0);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	/* while a ring runs it is a repetition */
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_OWNER, ACK, NULL, 0), 0);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 2);
	fe_stop_ring(w, 0);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_OWNER, ACK, NULL, 0), 0);
	assert_int_equal(w->model.resets, 1);
	assert_null(vdev_memory(w->dev));
	assert_int_equal(world_count_maps("vu-test-guest"), 1); /* only the front end's own */
	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(ask_region(w, VHOST_USER_ADD_MEM_REG, 0, MEM_SIZE, true), 0);
	fe_start_ring(w, 0, 2);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 3);
}

static void as_many_regions_as_promised_and_no_more(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30);
	for (unsigned int i = 0; i < VHOST_USER_MAX_SLOTS; i++)
		assert_int_equal(ask_region(w, VHOST_USER_ADD_MEM_REG, i * 1024, 1024, true), 0);
	assert_int_equal(ask_region(w, VHOST_USER_ADD_MEM_REG, VHOST_USER_MAX_SLOTS * 1024, 1024,
				    true),
			 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE(request_is_served_and_the_guest_is_notified),
		LIVE(requests_made_before_the_start_need_no_kick),
		LIVE(ring_with_bit_30_waits_until_it_is_enabled),
		LIVE(features_without_bit_30_enable_all_rings),
		LIVE(set_features_does_not_stop_a_running_ring),
		LIVE(ring_without_kick_descriptor_is_polled),
		LIVE(call_descriptor_of_a_running_ring_is_written_at_once),
		LIVE(full_call_counter_blocks_nobody),
		LIVE(only_an_eventfd_is_taken_for_a_bell),
		LIVE(ring_index_is_checked_at_full_width),
		LIVE(values_out_of_range_are_refused),
		LIVE(running_ring_does_not_change),
		LIVE(start_needs_everything_said_before),
		LIVE(ring_that_does_not_start_ends_the_session_when_no_ack_was_asked),
		LIVE(stopped_ring_goes_on_where_it_was),
		LIVE(stop_drops_kick_and_call_descriptors),
		LIVE(stop_waits_for_inflight_and_notifies_before_the_reply),
		LIVE(wait_for_inflight_ends_when_the_peer_disconnects),
		LIVE(packed_position_is_both_halves_and_either_convention_is_read),
		LIVE(broken_ring_is_told_through_its_error_descriptor),
		LIVE(memory_that_is_not_shared_is_named_with_its_cure),
		LIVE(start_without_any_memory_names_the_same_cure),
		LIVE(bad_regions_are_refused_and_change_nothing),
		LIVE(rings_go_on_in_new_memory),
		LIVE(regions_come_and_go_one_by_one),
		LIVE(the_next_owner_of_a_connection_begins_from_nothing),
		LIVE(as_many_regions_as_promised_and_no_more),
	};

	return cmocka_run_group_tests_name("vhost-user rings", tests, NULL, NULL);
}
