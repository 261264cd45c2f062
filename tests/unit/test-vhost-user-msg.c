/* SPDX-License-Identifier: MIT */
/* vhost-user messages: the check of each request, and their way through a socket. */
#include <errno.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/vhost-user/msg.h"
#include "transport/vhost-user/wire-io.h"
#include "util/compiler.h"

#define ALL_FEATURES UINT64_MAX
#define BIT(x)       (UINT64_C(1) << (x))

/* Written down apart from the table under test: what the specification says of each request. */
struct rule {
	uint32_t request;
	uint32_t min, max;
	unsigned int min_fds, max_fds;
	int feature; /* -1: always */
};

static const struct rule rules[] = {
	{ 1, 0, 0, 0, 0, -1 },    /* GET_FEATURES */
	{ 2, 8, 8, 0, 0, -1 },    /* SET_FEATURES */
	{ 3, 0, 0, 0, 0, -1 },    /* SET_OWNER */
	{ 4, 0, 0, 0, 0, -1 },    /* RESET_OWNER */
	{ 5, 8, 264, 0, 8, -1 },  /* SET_MEM_TABLE */
	{ 8, 8, 8, 0, 0, -1 },    /* SET_VRING_NUM */
	{ 9, 40, 40, 0, 0, -1 },  /* SET_VRING_ADDR */
	{ 10, 8, 8, 0, 0, -1 },   /* SET_VRING_BASE */
	{ 11, 8, 8, 0, 0, -1 },   /* GET_VRING_BASE */
	{ 12, 8, 8, 0, 1, -1 },   /* SET_VRING_KICK */
	{ 13, 8, 8, 0, 1, -1 },   /* SET_VRING_CALL */
	{ 14, 8, 8, 0, 1, -1 },   /* SET_VRING_ERR */
	{ 15, 0, 0, 0, 0, -1 },   /* GET_PROTOCOL_FEATURES */
	{ 16, 8, 8, 0, 0, -1 },   /* SET_PROTOCOL_FEATURES */
	{ 17, 0, 0, 0, 0, 0 },    /* GET_QUEUE_NUM */
	{ 18, 8, 8, 0, 0, -1 },   /* SET_VRING_ENABLE */
	{ 21, 0, 0, 1, 1, 5 },    /* SET_BACKEND_REQ_FD */
	{ 24, 12, 268, 0, 0, 9 }, /* GET_CONFIG */
	{ 25, 12, 268, 0, 0, 9 }, /* SET_CONFIG */
	{ 34, 0, 0, 0, 0, 13 },   /* RESET_DEVICE */
	{ 36, 0, 0, 0, 0, 15 },   /* GET_MAX_MEM_SLOTS */
	{ 37, 40, 40, 1, 1, 15 }, /* ADD_MEM_REG */
	{ 38, 40, 40, 0, 1, 15 }, /* REM_MEM_REG */
};

static const struct rule *rule_of(uint32_t request)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].request == request)
			return &rules[i];
	return NULL;
}

/* A message of @size bytes of payload that agrees with @nfds where the payload speaks of them. */
static size_t build(uint8_t *buf, uint32_t request, uint32_t flags, uint32_t size,
		    unsigned int nfds)
{
	struct vhost_user_hdr hdr = { request, flags, size };
	union vhost_user_payload p;

	memset(&p, 0, sizeof(p));
	if (request == VHOST_USER_SET_MEM_TABLE)
		p.mem.nregions = nfds;
	if (request == VHOST_USER_SET_VRING_KICK || request == VHOST_USER_SET_VRING_CALL ||
	    request == VHOST_USER_SET_VRING_ERR)
		p.u64 = nfds ? 0 : VHOST_USER_VRING_NOFD;
	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), &p, size);
	return sizeof(hdr) + size;
}

static int expected(const struct rule *r, uint32_t size, unsigned int nfds, uint64_t protocol)
{
	if (!r || (r->feature >= 0 && !(protocol & BIT(r->feature))))
		return -EOPNOTSUPP;
	if (size < r->min || size > r->max || nfds < r->min_fds || nfds > r->max_fds)
		return -EPROTO;
	if (r->request == VHOST_USER_SET_MEM_TABLE && size != 8 + 32 * nfds)
		return -EPROTO;
	return 0;
}

static void check_request(uint32_t request, uint64_t protocol)
{
	uint8_t buf[VU_MSG_MAX];
	struct vu_msg m;
	struct err e;

	for (uint32_t size = 0; size <= sizeof(union vhost_user_payload); size++) {
		for (unsigned int nfds = 0; nfds <= 9; nfds++) {
			size_t len = build(buf, request, VHOST_USER_VERSION, size, nfds);
			int want = expected(rule_of(request), size, nfds, protocol);

			memset(&e, 0, sizeof(e));
			if (vu_msg_check(buf, len, nfds, protocol, &m, &e) != want)
				fail_msg("request %u, %u bytes, %u fds: not %d", request, size,
					 nfds, want);
			if (want)
				assert_true(e.code == want && e.id && e.what[0]);
		}
	}
}

static void every_request_has_its_size_and_descriptors(void **state)
{
	for (uint32_t request = 0; request < 64; request++)
		check_request(request, ALL_FEATURES);
	check_request(1002, ALL_FEATURES);
	check_request(UINT32_MAX, ALL_FEATURES);
}

static void what_is_not_negotiated_is_unknown(void **state)
{
	for (uint32_t request = 0; request < 64; request++)
		check_request(request, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].feature >= 0)
			check_request(rules[i].request, ~BIT(rules[i].feature));
}

static void header_flags_are_refused_but_version_1_and_need_reply(void **state)
{
	uint8_t buf[VU_MSG_MAX];
	struct vu_msg m;

	for (uint32_t flags = 0; flags < 64; flags++) {
		size_t len = build(buf, VHOST_USER_GET_FEATURES, flags, 0, 0);
		int want = (flags == 1 || flags == 9) ? 0 : -EPROTO;

		assert_int_equal(vu_msg_check(buf, len, 0, ALL_FEATURES, &m, NULL), want);
	}
	for (unsigned int bit = 4; bit < 32; bit++) {
		size_t len = build(buf, VHOST_USER_GET_FEATURES, 1 | 1u << bit, 0, 0);

		assert_int_equal(vu_msg_check(buf, len, 0, ALL_FEATURES, &m, NULL), -EPROTO);
	}
}

static void length_must_be_what_the_header_says(void **state)
{
	uint8_t buf[VU_MSG_MAX + 8] = { 0 };
	struct vu_msg m;
	size_t len = build(buf, VHOST_USER_SET_FEATURES, 1, 8, 0);

	for (size_t n = 0; n < sizeof(buf); n++)
		assert_int_equal(vu_msg_check(buf, n, 0, ALL_FEATURES, &m, NULL),
				 n == len ? 0 : -EPROTO);
	memcpy(buf + 8, &(uint32_t){ sizeof(union vhost_user_payload) + 1 }, 4);
	assert_int_equal(vu_hdr_check((struct vhost_user_hdr *)(void *)buf, NULL), -EPROTO);
	memcpy(buf + 8, &(uint32_t){ UINT32_MAX }, 4);
	assert_int_equal(vu_hdr_check((struct vhost_user_hdr *)(void *)buf, NULL), -EPROTO);
}

static void payload_that_was_not_sent_reads_as_zero(void **state)
{
	uint8_t buf[VU_MSG_MAX];
	struct vu_msg m;

	memset(buf, 0xaa, sizeof(buf));
	memset(&m, 0x55, sizeof(m));
	build(buf, VHOST_USER_GET_CONFIG, 1, 13, 0);
	assert_int_equal(vu_msg_check(buf, 25, 0, ALL_FEATURES, &m, NULL), 0);
	for (size_t i = 13; i < sizeof(m.p); i++)
		assert_int_equal(m.p.bytes[i], 0);
}

static void table_with_fewer_descriptors_than_regions_names_the_cure(void **state)
{
	uint8_t buf[VU_MSG_MAX];
	struct vu_msg m;
	struct err e;
	size_t len;

	for (unsigned int n = 1; n <= 8; n++) {
		len = build(buf, VHOST_USER_SET_MEM_TABLE, 1, 8 + 32 * n, n);
		for (unsigned int nfds = 0; nfds <= 9; nfds++) {
			int want = nfds == n ? 0 : -EPROTO;

			assert_int_equal(vu_msg_check(buf, len, nfds, 0, &m, &e), want);
			if (nfds < n) {
				assert_string_equal(e.id, "memory-not-shared");
				assert_non_null(strstr(e.hint, "share=on"));
			}
		}
	}
	len = build(buf, VHOST_USER_SET_MEM_TABLE, 1, 264, 9); /* nine regions in room for eight */
	assert_int_equal(vu_msg_check(buf, len, 8, 0, &m, NULL), -EPROTO);
	len = build(buf, VHOST_USER_ADD_MEM_REG, 1, 40, 0);
	assert_int_equal(vu_msg_check(buf, len, 0, ALL_FEATURES, &m, &e), -EPROTO);
	assert_string_equal(e.id, "memory-not-shared");
}

static void ring_descriptor_and_its_flag_must_agree(void **state)
{
	static const uint32_t ids[] = { VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					VHOST_USER_SET_VRING_ERR };
	uint8_t buf[VU_MSG_MAX];
	struct vu_msg m;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		size_t len = build(buf, ids[i], 1, 8, 1);

		assert_int_equal(vu_msg_check(buf, len, 1, 0, &m, NULL), 0);
		assert_int_equal(vu_msg_check(buf, len, 0, 0, &m, NULL), -EPROTO);
		len = build(buf, ids[i], 1, 8, 0);
		assert_int_equal(vu_msg_check(buf, len, 0, 0, &m, NULL), 0);
		assert_int_equal(vu_msg_check(buf, len, 1, 0, &m, NULL), -EPROTO);
	}
}

/* ---- through a socket ---- */

struct wire {
	struct vu_io io;
	int peer;
	int bell; /* something to send along */
	unsigned int fds_before;
};

static unsigned int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int wire_setup(void **state)
{
	static struct wire w;
	int sv[2];

	w.fds_before = count_fds();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -1;
	vu_io_init(&w.io, sv[0]);
	w.peer = sv[1];
	w.bell = eventfd(0, EFD_CLOEXEC);
	*state = &w;
	return w.bell < 0;
}

static int wire_teardown(void **state)
{
	struct wire *w = *state;

	vu_io_close(&w->io);
	close(w->peer);
	close(w->bell);
	return count_fds() != w->fds_before;
}

static void peer_send(struct wire *w, const void *buf, size_t len, unsigned int nfds)
{
	union {
		char buf[CMSG_SPACE(253 * sizeof(int))];
		struct cmsghdr align;
	} c;
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *h;

		memset(&c, 0, sizeof(c));
		mh.msg_control = c.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		h = CMSG_FIRSTHDR(&mh);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (unsigned int i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(h) + i * sizeof(int), &w->bell, sizeof(int));
	}
	assert_int_equal(sendmsg(w->peer, &mh, MSG_NOSIGNAL), (ssize_t)len);
}

static void no_descriptor_leaks_whatever_comes_with_a_message(void **state)
{
	static const unsigned int counts[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 64, 253 };
	struct wire *w = *state;
	uint8_t buf[VU_MSG_MAX];
	unsigned int before = count_fds();

	for (uint32_t request = 0; request < 48; request++) {
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			struct err e;
			size_t len = build(buf, request, 1, 8, counts[i]);
			int ret;

			peer_send(w, buf, len, counts[i]);
			ret = vu_io_recv(&w->io, &e);
			if (counts[i] <= VHOST_USER_MAX_FDS) {
				assert_int_equal(ret, 1);
				assert_int_equal(w->io.nfds, counts[i]);
				vu_io_next(&w->io);
			} else {
				assert_int_equal(ret, -EPROTO);
				/* as the session does, without losing the socket */
				assert_int_equal(w->io.nfds, VHOST_USER_MAX_FDS);
				vu_io_next(&w->io);
				assert_true(recv(w->io.fd, buf, sizeof(buf), MSG_DONTWAIT) != 0);
			}
			assert_int_equal(count_fds(), before);
		}
	}
}

static void taken_descriptors_are_the_takers(void **state)
{
	struct wire *w = *state;
	uint8_t buf[VU_MSG_MAX];
	int a, b;

	peer_send(w, buf, build(buf, VHOST_USER_SET_MEM_TABLE, 1, 8 + 3 * 32, 3), 3);
	assert_int_equal(vu_io_recv(&w->io, NULL), 1);
	a = vu_io_take_fd(&w->io);
	b = vu_io_take_fd(&w->io);
	assert_true(a >= 0 && b >= 0 && a != b);
	vu_io_next(&w->io);
	assert_int_equal(vu_io_take_fd(&w->io), -1);
	assert_int_equal(close(a), 0);
	assert_int_equal(close(b), 0);
}

static void message_may_come_byte_by_byte(void **state)
{
	struct wire *w = *state;
	uint8_t buf[VU_MSG_MAX];
	size_t len = build(buf, VHOST_USER_SET_VRING_KICK, 1, 8, 1);

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < len; i++) {
			assert_int_equal(vu_io_recv(&w->io, NULL), 0);
			peer_send(w, buf + i, 1, i == 0 ? 1 : 0);
		}
		assert_int_equal(vu_io_recv(&w->io, NULL), 1);
		assert_int_equal(w->io.have, len);
		assert_memory_equal(w->io.buf, buf, len);
		assert_int_equal(w->io.nfds, 1);
		vu_io_next(&w->io);
	}
}

static void two_messages_at_once_are_told_apart(void **state)
{
	struct wire *w = *state;
	uint8_t buf[2 * VU_MSG_MAX];
	size_t len = build(buf, VHOST_USER_SET_FEATURES, 1, 8, 0);

	len += build(buf + len, VHOST_USER_GET_FEATURES, 9, 0, 0);
	peer_send(w, buf, len, 0);
	assert_int_equal(vu_io_recv(&w->io, NULL), 1);
	assert_int_equal(w->io.have, 20);
	vu_io_next(&w->io);
	assert_int_equal(vu_io_recv(&w->io, NULL), 1);
	assert_int_equal(w->io.have, 12);
	vu_io_next(&w->io);
	assert_int_equal(vu_io_recv(&w->io, NULL), 0);
}

static void descriptors_in_the_middle_of_a_message_are_refused(void **state)
{
	struct wire *w = *state;
	uint8_t buf[VU_MSG_MAX];
	struct err e;
	size_t len = build(buf, VHOST_USER_SET_VRING_KICK, 1, 8, 1);

	for (size_t at = 1; at < len; at++) {
		peer_send(w, buf, at, 0);
		assert_int_equal(vu_io_recv(&w->io, &e), 0);
		peer_send(w, buf + at, len - at, 1);
		assert_int_equal(vu_io_recv(&w->io, &e), -EPROTO);
		vu_io_next(&w->io);
		while (recv(w->io.fd, buf + 64, 64, MSG_DONTWAIT) > 0)
			;
	}
}

static void payload_over_the_limit_is_refused_before_it_is_read(void **state)
{
	struct wire *w = *state;
	struct vhost_user_hdr hdr = { VHOST_USER_SET_MEM_TABLE, 1, 1u << 30 };
	struct err e;

	peer_send(w, &hdr, sizeof(hdr), 0);
	assert_int_equal(vu_io_recv(&w->io, &e), -EPROTO);
}

static void hang_up_is_told_apart_from_a_broken_message(void **state)
{
	struct wire *w = *state;
	uint8_t buf[VU_MSG_MAX];
	struct err e;

	build(buf, VHOST_USER_SET_FEATURES, 1, 8, 0);
	peer_send(w, buf, 5, 0);
	shutdown(w->peer, SHUT_WR);
	assert_int_equal(vu_io_recv(&w->io, &e), -EPIPE);
	assert_non_null(strstr(e.what, "middle of a message"));
	vu_io_next(&w->io);
	assert_int_equal(vu_io_recv(&w->io, &e), -EPIPE);
	assert_null(strstr(e.what, "middle"));
}

static void reply_waits_for_a_peer_that_does_not_read(void **state)
{
	struct wire *w = *state;
	uint8_t buf[4096] = { 0 };
	uint64_t v = 0x1122334455667788;
	struct vhost_user_hdr hdr;
	struct err e;
	size_t fill = 0;
	ssize_t n;

	while ((n = send(w->io.fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		fill += (size_t)n;
	assert_int_equal(vu_io_reply(&w->io, VHOST_USER_GET_FEATURES, &v, sizeof(v), &e), 1);
	assert_true(vu_io_pending(&w->io));
	assert_int_equal(vu_io_reply(&w->io, VHOST_USER_GET_FEATURES, &v, sizeof(v), &e), -EBUSY);
	while (fill) {
		n = recv(w->peer, buf, fill < sizeof(buf) ? fill : sizeof(buf), 0);
		assert_true(n > 0);
		fill -= (size_t)n;
	}
	assert_int_equal(vu_io_flush(&w->io, &e), 0);
	assert_int_equal(recv(w->peer, buf, sizeof(buf), 0), sizeof(hdr) + sizeof(v));
	memcpy(&hdr, buf, sizeof(hdr));
	assert_int_equal(hdr.request, VHOST_USER_GET_FEATURES);
	assert_int_equal(hdr.flags, VHOST_USER_VERSION | VHOST_USER_F_REPLY);
	assert_int_equal(hdr.size, sizeof(v));
	assert_memory_equal(buf + sizeof(hdr), &v, sizeof(v));
}

static void reply_to_nobody_is_an_error_and_no_signal(void **state)
{
	struct wire *w = *state;
	uint64_t v = 0;
	struct err e;

	shutdown(w->peer, SHUT_RDWR);
	assert_int_equal(vu_io_reply(&w->io, VHOST_USER_GET_FEATURES, &v, sizeof(v), &e), -EPIPE);
}

#define WIRE(f) cmocka_unit_test_setup_teardown(f, wire_setup, wire_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_has_its_size_and_descriptors),
		cmocka_unit_test(what_is_not_negotiated_is_unknown),
		cmocka_unit_test(header_flags_are_refused_but_version_1_and_need_reply),
		cmocka_unit_test(length_must_be_what_the_header_says),
		cmocka_unit_test(payload_that_was_not_sent_reads_as_zero),
		cmocka_unit_test(table_with_fewer_descriptors_than_regions_names_the_cure),
		cmocka_unit_test(ring_descriptor_and_its_flag_must_agree),
		WIRE(no_descriptor_leaks_whatever_comes_with_a_message),
		WIRE(taken_descriptors_are_the_takers),
		WIRE(message_may_come_byte_by_byte),
		WIRE(two_messages_at_once_are_told_apart),
		WIRE(descriptors_in_the_middle_of_a_message_are_refused),
		WIRE(payload_over_the_limit_is_refused_before_it_is_read),
		WIRE(hang_up_is_told_apart_from_a_broken_message),
		WIRE(reply_waits_for_a_peer_that_does_not_read),
		WIRE(reply_to_nobody_is_an_error_and_no_signal),
	};

	return cmocka_run_group_tests_name("vhost-user messages", tests, NULL, NULL);
}
