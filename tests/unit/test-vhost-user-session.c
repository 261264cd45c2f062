/* SPDX-License-Identifier: MIT */
/* A vhost-user session as a front end sees it: negotiation, configuration, the ends of sessions. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/compiler.h"
#include "vu-world.h"

/* ---- negotiation ---- */

static void offer_has_what_the_transport_carries(void **state)
{
	struct world *w = *state;
	uint64_t f = fe_ask_u64(w, VHOST_USER_GET_FEATURES, 1, NULL, 0);

	assert_true(f & BIT30);
	assert_true(f & V1);
	assert_true(f & VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	assert_false(f & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_false(f & VIRTIO_BIT(VHOST_F_LOG_ALL));
	f = fe_ask_u64(w, VHOST_USER_GET_PROTOCOL_FEATURES, 1, NULL, 0);
	assert_int_equal(f, PROTO_ALL);
	fe_say_u64(w, VHOST_USER_SET_PROTOCOL_FEATURES, f);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_GET_QUEUE_NUM, 1, NULL, 0), QUEUES);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_GET_MAX_MEM_SLOTS, 1, NULL, 0), 509);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_OWNER, ACK, NULL, 0), 0);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_RESET_OWNER, ACK, NULL, 0), 0);
}

static void features_that_were_not_offered_are_refused(void **state)
{
	struct world *w = *state;
	uint64_t bad = V1 | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM), legacy = 0;
	uint64_t proto = PROTO(STATUS);

	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_FEATURES, ACK, &bad, 8), 1);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_FEATURES, ACK, &legacy, 8), 1);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_PROTOCOL_FEATURES, ACK, &proto, 8), 1);
	fe_sync(w);
}

static void need_reply_has_no_meaning_before_reply_ack(void **state)
{
	struct world *w = *state;
	uint64_t v = V1 | BIT30;

	fe_send(w->sock, VHOST_USER_SET_OWNER, ACK, NULL, 0, NULL, 0);
	fe_send(w->sock, VHOST_USER_SET_FEATURES, ACK, &v, 8, NULL, 0);
	fe_sync(w); /* would see the acknowledgements instead */
	assert_int_equal(w->model.negotiations, 1);
}

static void message_with_a_reply_gets_exactly_one(void **state)
{
	struct world *w = *state;

	fe_negotiate(w, V1 | BIT30);
	fe_ask_u64(w, VHOST_USER_GET_FEATURES, ACK, NULL, 0);
	fe_sync(w);
	fe_ask_u64(w, VHOST_USER_GET_QUEUE_NUM, ACK, NULL, 0);
	fe_sync(w);
}

static void unknown_request_is_nacked_when_asked_and_ends_else(void **state)
{
	struct world *w = *state;
	uint64_t v = 0;

	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_GET_STATUS, ACK, NULL, 0), 1);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_STATUS, ACK, &v, 8), 1);
	assert_int_equal(fe_ask_u64(w, 0, ACK, NULL, 0), 1);
	assert_int_equal(fe_ask_u64(w, 4711, ACK, NULL, 0), 1);
	fe_send(w->sock, 4711, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	fe_hung_up(w);
	UNTIL(w, w->disconnected == 1);
	assert_non_null(strstr(w->why, "4711"));
}

/* ---- configuration ---- */

static uint32_t get_config(struct world *w, uint32_t off, uint32_t size, uint32_t sent,
			   struct vhost_user_config *c)
{
	*c = (struct vhost_user_config){ .offset = off, .size = size };
	fe_send(w->sock, VHOST_USER_GET_CONFIG, 1, c, 12 + sent, NULL, 0);
	memset(c, 0xee, sizeof(*c));
	return fe_reply(w, VHOST_USER_GET_CONFIG, c, sizeof(*c));
}

static void config_reply_is_as_long_as_the_request(void **state)
{
	struct world *w = *state;
	struct vhost_user_config c;

	vu_dev_config_set(w->dev, 0, "0123456789abcdef", 16);
	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(get_config(w, 0, 8, 8, &c), 20); /* a prefix */
	assert_memory_equal(c.region, "01234567", 8);
	assert_int_equal(get_config(w, 4, 2, 2, &c), 14);
	assert_memory_equal(c.region, "45", 2);
	assert_int_equal(get_config(w, 0, 256, 256, &c), 268); /* more than there is */
	assert_memory_equal(c.region, "0123456789abcdef\0\0", 18);
	for (unsigned int i = 16; i < 256; i++)
		assert_int_equal(c.region[i], 0);
	assert_int_equal(get_config(w, 16, 1, 1, &c), 0); /* outside: an error */
	assert_int_equal(get_config(w, 8, 9, 9, &c), 0);
	assert_int_equal(get_config(w, 1, 256, 256, &c), 0);
	assert_int_equal(get_config(w, UINT32_MAX, 4, 4, &c), 0);
	assert_int_equal(get_config(w, 0, 8, 4, &c), 0);
	assert_int_equal(get_config(w, 0, UINT32_MAX, 4, &c), 0);
	fe_sync(w);
}

static uint64_t set_config(struct world *w, uint32_t off, uint32_t size, uint32_t flags)
{
	struct vhost_user_config c = { .offset = off,
				       .size = size,
				       .flags = flags,
				       .region = "xyz" };

	return fe_ask_u64(w, VHOST_USER_SET_CONFIG, ACK, &c, 12 + 3);
}

static void config_write_reaches_the_model_and_its_refusal_the_peer(void **state)
{
	struct world *w = *state;
	struct vhost_user_config c = { .offset = 0, .size = 3 };

	fe_negotiate(w, V1 | BIT30);
	assert_int_equal(set_config(w, 4, 3, 0), 0);
	assert_memory_equal(w->model.written + 4, "xyz", 3);
	assert_int_equal(set_config(w, 8, 3, 1), 0);
	assert_int_equal(w->model.writes, 2);
	assert_int_equal(set_config(w, 4, 3, 2), 1);
	assert_int_equal(set_config(w, 14, 3, 0), 1);
	assert_int_equal(set_config(w, UINT32_MAX, 3, 0), 1);
	assert_int_equal(set_config(w, 4, 2, 0), 1);
	assert_int_equal(set_config(w, 0, 3, 0), 1); /* the model says no */
	assert_int_equal(w->model.writes, 2);
	/* and without an acknowledgement that is no reason to hang up */
	fe_send(w->sock, VHOST_USER_SET_CONFIG, 1, &c, 15, NULL, 0);
	fe_sync(w);
}

static void config_write_that_takes_time_pauses_the_session(void **state)
{
	struct vhost_user_config c = { .offset = LATER_OFF, .size = 1 };
	struct world *w = *state;
	uint64_t v = ~UINT64_C(0);

	fe_start_all(w);
	for (int res = 0; res > -2; res--) { /* well, and badly */
		fe_send(w->sock, VHOST_USER_SET_CONFIG, ACK, &c, 13, NULL, 0);
		fe_send(w->sock, VHOST_USER_GET_QUEUE_NUM, 1, NULL, 0, NULL, 0);
		world_turn_for(w, SECOND / 50);
		assert_false(fe_readable(w->sock));
		fe_submit(w, 0);
		UNTIL(w, fe_used_idx(w, 0) == w->avail[0]);
		vu_dev_config_written(w->dev, res);
		fe_reply(w, VHOST_USER_SET_CONFIG, &v, 8);
		assert_int_equal(v, -res);
		fe_reply(w, VHOST_USER_GET_QUEUE_NUM, &v, 8);
	}
	/* Never finished: the session ends all the same, and so does the next. */
	fe_send(w->sock, VHOST_USER_SET_CONFIG, ACK, &c, 13, NULL, 0);
	world_turn_for(w, SECOND / 50);
	close(w->sock);
	w->sock = -1;
	UNTIL(w, w->disconnected == 1);
	w->sock = fe_connect(w);
	fe_negotiate(w, V1 | BIT30);
	fe_send(w->sock, VHOST_USER_SET_CONFIG, ACK, &c, 13, NULL, 0);
	world_turn_for(w, SECOND / 50);
	world_stop(w);
	assert_int_equal(w->stop_res, 0);
}

static int open_backchan(struct world *w)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	fe_send(w->sock, VHOST_USER_SET_BACKEND_REQ_FD, 1, NULL, 0, &sv[1], 1);
	close(sv[1]);
	fe_sync(w);
	return sv[0];
}

static void expect_config_change(struct world *w, int chan)
{
	struct vhost_user_hdr h;

	UNTIL(w, fe_readable(chan));
	assert_int_equal(recv(chan, &h, sizeof(h), MSG_WAITALL), sizeof(h));
	assert_int_equal(h.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(h.flags, ACK);
	assert_int_equal(h.size, 0);
}

static void answer_config_change(int chan)
{
	struct {
		struct vhost_user_hdr h;
		uint8_t res[8];
	} a = { { VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 8 }, { 0 } };

	assert_int_equal(send(chan, &a, 20, 0), 20);
}

static void config_change_is_told_once_at_a_time_and_never_waited_for(void **state)
{
	struct world *w = *state;
	int chan;

	fe_start_all(w);
	chan = open_backchan(w);
	vu_dev_config_changed(w->dev);
	expect_config_change(w, chan);
	vu_dev_config_changed(w->dev);
	vu_dev_config_changed(w->dev);
	fe_sync(w); /* the session goes on meanwhile */
	assert_false(fe_readable(chan));
	answer_config_change(chan);
	expect_config_change(w, chan);
	answer_config_change(chan);
	world_turn_for(w, SECOND / 50);
	assert_false(fe_readable(chan));
	close(chan);
}

static void config_change_of_a_suspended_device_is_told_at_the_start(void **state)
{
	struct world *w = *state;
	int chan;

	fe_negotiate(w, V1 | BIT30);
	chan = open_backchan(w);
	vu_dev_config_changed(w->dev);
	world_turn_for(w, SECOND / 50);
	assert_false(fe_readable(chan));
	fe_say_table(w);
	fe_start_ring(w, 0, 0);
	expect_config_change(w, chan);
	close(chan);
}

static void broken_backchannel_costs_only_itself(void **state)
{
	struct world *w = *state;
	int chan;

	fe_start_all(w);
	chan = open_backchan(w);
	assert_int_equal(send(chan, "nonsense", 8, 0), 8);
	UNTIL(w, strstr(w->log, "back-end channel dropped"));
	close(chan);
	vu_dev_config_changed(w->dev);
	chan = open_backchan(w);
	vu_dev_config_changed(w->dev);
	expect_config_change(w, chan);
	close(chan);
	world_turn_for(w, SECOND / 50);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_SET_OWNER, ACK, NULL, 0), 0);
	fe_send(w->sock, VHOST_USER_SET_BACKEND_REQ_FD, ACK, NULL, 0, &w->memfd, 1);
	{
		uint64_t v = 0;

		fe_reply(w, VHOST_USER_SET_BACKEND_REQ_FD, &v, 8);
		assert_int_equal(v, 1); /* no socket */
	}
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
}

static void other_sockets_are_no_backchannel(void **state)
{
	static const int types[] = { SOCK_DGRAM, SOCK_SEQPACKET };
	struct world *w = *state;
	int chan, sv[2];

	fe_start_all(w);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		uint64_t v = 0;

		assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, sv), 0);
		fe_send(w->sock, VHOST_USER_SET_BACKEND_REQ_FD, ACK, NULL, 0, &sv[1], 1);
		fe_reply(w, VHOST_USER_SET_BACKEND_REQ_FD, &v, 8);
		assert_int_equal(v, 1);
		vu_dev_config_changed(w->dev);
		world_turn_for(w, SECOND / 100);
		assert_false(fe_readable(sv[0]));
		close(sv[0]);
		close(sv[1]);
	}
	chan = open_backchan(w);
	vu_dev_config_changed(w->dev);
	expect_config_change(w, chan);
	close(chan);
	fe_sync(w);
	assert_int_equal(w->disconnected, 0);
}

static void reset_device_keeps_memory_and_protocol_features(void **state)
{
	struct world *w = *state;

	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	assert_int_equal(fe_ask_u64(w, VHOST_USER_RESET_DEVICE, ACK, NULL, 0), 0);
	assert_int_equal(w->model.resets, 1);
	assert_int_equal(w->model.stops, QUEUES);
	assert_int_equal(vdev_features(w->dev), 0);
	assert_non_null(vdev_memory(w->dev));
	fe_submit(w, 0);
	world_turn_for(w, SECOND / 50);
	assert_int_equal(fe_used_idx(w, 0), 1);
	fe_say_u64(w, VHOST_USER_SET_FEATURES, V1 | BIT30);
	fe_start_ring(w, 0, 1);
	UNTIL(w, fe_used_idx(w, 0) == 2);
	assert_int_equal(w->disconnected, 0);
}

/* ---- sessions ---- */

static void bad_message_ends_the_session_and_the_next_is_served(void **state)
{
	struct world *w = *state;
	struct vhost_user_vring_state bad_ring = { QUEUES, 0 };
	uint64_t v = 0;
	int fds[9];

	for (int i = 0; i < 9; i++)
		fds[i] = w->memfd;
	for (unsigned int round = 0; round < 6; round++) {
		fe_start_all(w);
		switch (round) {
		case 0: /* flags */
			fe_send(w->sock, VHOST_USER_GET_FEATURES, 2, NULL, 0, NULL, 0);
			break;
		case 1: /* size */
			fe_send(w->sock, VHOST_USER_SET_FEATURES, ACK, &v, 7, NULL, 0);
			break;
		case 2: /* surplus descriptor */
			fe_send(w->sock, VHOST_USER_SET_FEATURES, ACK, &v, 8, fds, 1);
			break;
		case 3: /* too many of them */
			fe_send(w->sock, VHOST_USER_SET_MEM_TABLE, ACK, &v, 8, fds, 9);
			break;
		case 4: /* meaning, and nobody to be told */
			fe_say_state(w, VHOST_USER_SET_VRING_NUM, QUEUES, 8);
			break;
		case 5: /* a reply of its own cannot carry the refusal */
			fe_send(w->sock, VHOST_USER_GET_VRING_BASE, ACK, &bad_ring, 8, NULL, 0);
			break;
		}
		fe_hung_up(w);
		UNTIL(w, w->disconnected == round + 1);
		assert_int_equal(w->connected, round + 1);
		assert_int_equal(world_count_maps("vu-test-guest"), 1);
		memset(w->mem, 0, DATA_OFF);
		memset(w->avail, 0, sizeof(w->avail));
		w->sock = fe_connect(w);
	}
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
}

static void whole_conversation_byte_by_byte(void **state)
{
	struct world *w = *state;
	struct {
		struct vhost_user_hdr h;
		uint8_t p[40];
	} m;
	struct vhost_user_vring_addr a = {
		0, 0, UVA + DESC_OFF, UVA + USED_OFF, UVA + AVAIL_OFF, 0
	};
	struct vhost_user_vring_state num = { 0, RING_SIZE };

	fe_negotiate(w, V1 | BIT30);
	fe_say_table(w);
	for (int k = 0; k < 2; k++) {
		m.h.request = k ? VHOST_USER_SET_VRING_ADDR : VHOST_USER_SET_VRING_NUM;
		m.h.flags = ACK;
		m.h.size = k ? sizeof(a) : sizeof(num);
		memcpy(m.p, k ? (void *)&a : (void *)&num, m.h.size);
		for (size_t i = 0; i < sizeof(m.h) + m.h.size; i++) {
			assert_false(fe_readable(w->sock));
			assert_int_equal(send(w->sock, (uint8_t *)&m + i, 1, 0), 1);
			world_turn_for(w, 100000);
		}
		{
			uint64_t v = 1;

			fe_reply(w, m.h.request, &v, 8);
			assert_int_equal(v, 0);
		}
	}
	assert_int_equal(fe_ask_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]), 0);
}

/* The front end goes away after @steps of the set-up; true while there are more. */
static bool handshake(struct world *w, int steps)
{
	uint64_t f = V1 | BIT30, p = PROTO_ALL;

#define STEP(what)                   \
	do {                         \
		if (steps-- == 0)    \
			return true; \
		what;                \
	} while (0)
	STEP(fe_send(w->sock, VHOST_USER_GET_FEATURES, 1, NULL, 0, NULL, 0));
	STEP(fe_send(w->sock, VHOST_USER_GET_PROTOCOL_FEATURES, 1, NULL, 0, NULL, 0));
	STEP(fe_send(w->sock, VHOST_USER_SET_PROTOCOL_FEATURES, 1, &p, 8, NULL, 0));
	STEP(fe_send(w->sock, VHOST_USER_SET_FEATURES, ACK, &f, 8, NULL, 0));
	STEP(fe_say_table(w));
	STEP(fe_say_state(w, VHOST_USER_SET_VRING_NUM, 0, RING_SIZE));
	STEP(fe_say_state(w, VHOST_USER_SET_VRING_BASE, 0, 0));
	STEP(fe_say_addr(w, 0));
	STEP(fe_say_fd(w, VHOST_USER_SET_VRING_CALL, 0, w->call[0]));
	STEP(fe_say_fd(w, VHOST_USER_SET_VRING_ERR, 0, w->call[1]));
	STEP(fe_say_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]));
	STEP(fe_say_state(w, VHOST_USER_SET_VRING_ENABLE, 0, 1));
	STEP(fe_say_table(w));
	STEP(fe_say_state(w, VHOST_USER_GET_VRING_BASE, 0, 0));
	STEP(fe_send(w->sock, VHOST_USER_RESET_DEVICE, ACK, NULL, 0, NULL, 0));
#undef STEP
	return false;
}

static void peer_may_go_at_each_step(void **state)
{
	struct world *w = *state;
	unsigned int fds = 0, ends;

	for (int pass = 0; pass < 2; pass++) { /* all at once, and with time to work */
		bool more = true;

		for (int steps = 1; more; steps++) {
			ends = w->disconnected;
			more = handshake(w, steps);
			if (pass)
				world_turn_for(w, SECOND / 200);
			close(w->sock);
			w->sock = -1;
			UNTIL(w, w->disconnected == ends + 1);
			assert_int_equal(world_count_maps("vu-test-guest"), 1);
			if (!fds)
				fds = world_count_fds();
			assert_int_equal(world_count_fds(), fds);
			w->sock = fe_connect(w);
		}
	}
	memset(w->mem, 0, DATA_OFF);
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
}

static void repeated_setup_keeps_descriptors_and_maps_constant(void **state)
{
	struct world *w = *state;
	unsigned int fds = 0;

	fe_negotiate(w, V1 | BIT30);
	for (int i = 0; i < 10000; i++) {
		fe_say_table(w);
		fe_start_ring(w, 0, 0);
		fe_say_fd(w, VHOST_USER_SET_VRING_ERR, 0, w->call[1]);
		fe_say_fd(w, VHOST_USER_SET_VRING_CALL, 0, w->call[0]);
		fe_say_fd(w, VHOST_USER_SET_VRING_KICK, 0, w->kick[0]);
		assert_int_equal(fe_stop_ring(w, 0), 0);
		fe_say_fd(w, VHOST_USER_SET_VRING_CALL, 0, w->call[0]);
		fe_say_fd(w, VHOST_USER_SET_VRING_CALL, 0, w->call[0]);
		if (i == 0 || i == 9999) {
			fe_sync(w);
			if (!i)
				fds = world_count_fds();
			assert_int_equal(world_count_fds(), fds);
			assert_int_equal(world_count_maps("vu-test-guest"), 2);
		}
	}
	assert_int_equal(w->model.starts, 10000);
	assert_int_equal(w->model.stops, 10000);
}

static void next_front_end_waits_for_its_turn(void **state)
{
	struct world *w = *state;
	int first = w->sock, second;

	fe_start_all(w);
	second = fe_connect(w);
	fe_send(second, VHOST_USER_GET_FEATURES, 1, NULL, 0, NULL, 0);
	world_turn_for(w, SECOND / 20);
	assert_false(fe_readable(second));
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	close(first);
	w->sock = second;
	{
		uint64_t v;

		fe_reply(w, VHOST_USER_GET_FEATURES, &v, 8);
	}
	assert_int_equal(w->disconnected, 1);
	assert_string_equal(w->why, "the front end closed the connection");
}

static void peer_that_does_not_read_only_stops_itself(void **state)
{
	struct world *w = *state;
	struct vhost_user_hdr h = { VHOST_USER_GET_FEATURES, 1, 0 };
	unsigned int asked = 0;

	fe_start_all(w);
	/* Until neither side can write any more. */
	for (int quiet = 0; quiet < 50;) {
		if (send(w->sock, &h, sizeof(h), MSG_DONTWAIT) == sizeof(h)) {
			asked++;
			quiet = 0;
		} else {
			quiet++;
		}
		loop_turn(w->loop, 0);
	}
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	for (unsigned int i = 0; i < asked; i++) {
		uint64_t v;

		fe_reply(w, VHOST_USER_GET_FEATURES, &v, 8);
	}
	fe_sync(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE(offer_has_what_the_transport_carries),
		LIVE(features_that_were_not_offered_are_refused),
		LIVE(need_reply_has_no_meaning_before_reply_ack),
		LIVE(message_with_a_reply_gets_exactly_one),
		LIVE(unknown_request_is_nacked_when_asked_and_ends_else),
		LIVE(config_reply_is_as_long_as_the_request),
		LIVE(config_write_reaches_the_model_and_its_refusal_the_peer),
		LIVE(config_write_that_takes_time_pauses_the_session),
		LIVE(config_change_is_told_once_at_a_time_and_never_waited_for),
		LIVE(config_change_of_a_suspended_device_is_told_at_the_start),
		LIVE(broken_backchannel_costs_only_itself),
		LIVE(other_sockets_are_no_backchannel),
		LIVE(reset_device_keeps_memory_and_protocol_features),
		LIVE(bad_message_ends_the_session_and_the_next_is_served),
		LIVE(whole_conversation_byte_by_byte),
		LIVE(peer_may_go_at_each_step),
		LIVE(repeated_setup_keeps_descriptors_and_maps_constant),
		LIVE(next_front_end_waits_for_its_turn),
		LIVE(peer_that_does_not_read_only_stops_itself),
	};

	return cmocka_run_group_tests_name("vhost-user session", tests, NULL, NULL);
}
