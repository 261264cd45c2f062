/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: hostile messages. What a back-end makes of them is mostly its
 * own business; that it goes on to serve is not.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"

#define SPEC "vhost-user: Message Specification"
#define COMM "vhost-user: Communication"

/* Bytes each request has; those with none are left out where something is cut off. */
static const struct {
	uint32_t request;
	uint32_t size;
} sizes[] = {
	{ VHOST_USER_SET_FEATURES, 8 },
	{ VHOST_USER_SET_MEM_TABLE, 40 },
	{ VHOST_USER_SET_LOG_BASE, sizeof(struct vhost_user_log) },
	{ VHOST_USER_SET_VRING_NUM, 8 },
	{ VHOST_USER_SET_VRING_ADDR, sizeof(struct vhost_user_vring_addr) },
	{ VHOST_USER_SET_VRING_BASE, 8 },
	{ VHOST_USER_GET_VRING_BASE, 8 },
	{ VHOST_USER_SET_VRING_KICK, 8 },
	{ VHOST_USER_SET_VRING_CALL, 8 },
	{ VHOST_USER_SET_VRING_ERR, 8 },
	{ VHOST_USER_SET_PROTOCOL_FEATURES, 8 },
	{ VHOST_USER_SET_VRING_ENABLE, 8 },
	{ VHOST_USER_SEND_RARP, 8 },
	{ VHOST_USER_NET_SET_MTU, 8 },
	{ VHOST_USER_IOTLB_MSG, sizeof(struct vhost_user_iotlb) },
	{ VHOST_USER_SET_VRING_ENDIAN, 8 },
	{ VHOST_USER_GET_CONFIG, VHOST_USER_CONFIG_HDR_SIZE + 8 },
	{ VHOST_USER_SET_CONFIG, VHOST_USER_CONFIG_HDR_SIZE + 8 },
	{ VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_INFLIGHT_SIZE },
	{ VHOST_USER_SET_INFLIGHT_FD, VHOST_USER_INFLIGHT_SIZE },
	{ VHOST_USER_VRING_KICK, 8 },
	{ VHOST_USER_ADD_MEM_REG, sizeof(struct vhost_user_single_region) },
	{ VHOST_USER_REM_MEM_REG, sizeof(struct vhost_user_single_region) },
	{ VHOST_USER_SET_STATUS, 8 },
	{ VHOST_USER_GET_SHARED_OBJECT, 16 },
	{ VHOST_USER_SET_DEVICE_STATE_FD, sizeof(struct vhost_user_transfer) },
};

/* Are they ones of ours, of which the size is known to be wrong? */
static bool always_known(uint32_t request)
{
	return request == VHOST_USER_SET_FEATURES ||
	       (request >= VHOST_USER_SET_VRING_NUM && request <= VHOST_USER_SET_VRING_BASE);
}

static void wrong_size(struct check *c, struct raw_conn *h, uint32_t request, uint32_t size)
{
	static const uint8_t zero[4096];
	const struct raw_msg m = { .request = request, .payload = zero, .size = size };

	if (raw_throw(h, &m) == RAW_ACK && always_known(request))
		check_note(c, "request %u with %u bytes was acknowledged", request, size);
}

static void short_payload(struct check *c)
{
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		wrong_size(c, &h, sizes[i].request, 0);
		wrong_size(c, &h, sizes[i].request, 1);
		wrong_size(c, &h, sizes[i].request, sizes[i].size - 1);
	}
	raw_conn_close(&h);
	check_alive(c);
}

static void long_payload(struct check *c)
{
	struct raw_conn h = RAW_CONN(c);

	for (uint32_t r = 1; r < VHOST_USER_REQUEST_MAX; r++) {
		wrong_size(c, &h, r, 300);
		wrong_size(c, &h, r, 4096);
	}
	raw_conn_close(&h);
	check_alive(c);
}

static void size_refused(struct check *c)
{
	static const uint32_t ids[] = { VHOST_USER_SET_FEATURES, VHOST_USER_SET_VRING_NUM,
					VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_BASE };
	static const uint8_t zero[64];
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < 3 * ARRAY_SIZE(ids); i++) {
		const struct raw_msg m = { .request = ids[i / 3],
					   .payload = zero,
					   .size = i % 3 == 0 ? 0 :
						   i % 3 == 1 ? 4 :
								60 };
		enum raw_fate f = raw_throw(&h, &m);
		char line[160];

		if (f != RAW_NACK && f != RAW_CLOSED)
			check_fail(c,
				   "an acknowledgement other than 0, or the end of the connection",
				   "%s after %s",
				   f == RAW_ACK ? "an acknowledgement of 0" : "something else",
				   raw_describe(line, sizeof(line), &m));
	}
	raw_conn_close(&h);
	check_alive(c);
}

/* The header alone, with a size that nobody can have room for; then wait, then close. */
static void huge_size(struct check *c)
{
	static const uint32_t ids[] = { VHOST_USER_SET_MEM_TABLE, VHOST_USER_SET_CONFIG, 200 };
	static const uint32_t huge[] = { 0x10000,    0x1000000,  0x7fffffff,
					 0x80000000, 0xffffffff, 0xfffffff4 };
	static const uint8_t bytes[4096];
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < ARRAY_SIZE(ids) * ARRAY_SIZE(huge); i++) {
		const struct raw_msg m = { .request = ids[i / ARRAY_SIZE(huge)],
					   .flags = VHOST_USER_VERSION,
					   .payload = bytes,
					   .size = sizeof(bytes),
					   .header_size = huge[i % ARRAY_SIZE(huge)],
					   .lie = true };
		struct vuc *v = raw_conn(&h);

		(void)raw_msg(c, v, &m);
		(void)check_closed(c, v, 20);
		raw_conn_close(&h);
	}
	check_alive(c);
}

static void huge_size_closed(struct check *c)
{
	const struct raw_msg m = { .request = VHOST_USER_SET_FEATURES,
				   .flags = VHOST_USER_VERSION,
				   .header_size = 0xffffffff,
				   .lie = true };
	struct raw_conn h = RAW_CONN(c);
	struct vuc *v = raw_conn(&h);

	if (raw_msg(c, v, &m) == 0 && !check_closed(c, v, check_timeout_ms(c)))
		check_fail(c, "the end of the connection",
			   "the back-end waits for 4 GiB of SET_FEATURES");
	raw_conn_close(&h);
	check_alive(c);
}

static void truncated(struct check *c)
{
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t msg[sizeof(struct vhost_user_hdr) + 64] = { 0 };
		struct vhost_user_hdr hdr = { sizes[i].request, VHOST_USER_VERSION, sizes[i].size };
		size_t cut = i * 7 % (sizeof(hdr) + sizes[i].size - 1) + 1;

		memcpy(msg, &hdr, sizeof(hdr));
		(void)raw_send(c, raw_conn(&h), msg, MIN(cut, sizeof(msg)), NULL, 0);
		raw_conn_close(&h);
	}
	check_alive(c);
}

static void not_negotiated(struct check *c)
{
	static const uint8_t zero[4096];
	struct raw_conn h = RAW_CONN(c);
	int fd;

	h.protocol = RAW_PF(REPLY_ACK);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct raw_msg m = { .request = sizes[i].request,
					   .payload = zero,
					   .size = sizes[i].size };

		raw_throw(&h, &m);
	}
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (uint32_t r = VHOST_USER_SEND_RARP; fd >= 0 && r < VHOST_USER_REQUEST_MAX; r++) {
		struct vhost_user_hdr msg = { r, VHOST_USER_VERSION, 0 };

		/* Some of these are answered by descriptors, or by nothing: no more than sent. */
		(void)raw_send(c, raw_conn(&h), &msg, sizeof(msg), &fd, 1);
		(void)check_closed(c, h.v, 0);
		raw_conn_close(&h);
	}
	if (fd >= 0)
		close(fd);
	check_alive(c);
}

/* ---- configuration ---- */

static void config_range(struct check *c)
{
	static const struct {
		uint32_t offset, size, payload;
	} bad[] = {
		{ 0xffffffff, 1, 1 }, { 0xfffffff8, 8, 8 },   { 0xfffffff8, 16, 16 },
		{ 0x80000000, 8, 8 }, { 0, 0xffffffff, 8 },   { 8, 0xfffffff8, 8 },
		{ 0, 0x80000000, 8 }, { 0, 256, 8 },          { 0, 8, 256 },
		{ 0, 0, 8 },          { 256, 8, 8 },          { 255, 256, 256 },
		{ 0x10000, 8, 8 },    { 1, 0xffffffff, 256 },
	};
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		const struct vhost_user_config q = { .offset = bad[i / 2].offset,
						     .size = bad[i / 2].size };
		const struct raw_msg m = {
			/* Nothing that could be written is within these ranges but [0, 8). */
			.request = i % 2 && bad[i / 2].offset ? VHOST_USER_SET_CONFIG :
								VHOST_USER_GET_CONFIG,
			.payload = &q,
			.size = VHOST_USER_CONFIG_HDR_SIZE + bad[i / 2].payload,
		};

		raw_throw(&h, &m);
	}
	raw_conn_close(&h);
	check_alive(c);
}

/* ---- log and in-flight ---- */

/* Descriptions of shared memory that do not fit its file of 64 KiB. */
static const struct vhost_user_log bad_area[] = {
	{ 0, 0 },
	{ UINT64_MAX, 0 },
	{ UINT64_MAX - 4095, 8192 },
	{ 4096, UINT64_MAX - 4095 },
	{ (uint64_t)1 << 63, (uint64_t)1 << 63 },
	{ 65536, 4096 },
	{ (uint64_t)1 << 40, 0 },
	{ 4096, (uint64_t)1 << 40 },
};

static void log_area(struct check *c)
{
	struct raw_conn h = RAW_CONN(c);
	static const struct fe_mem_spec s = { .size = 65536 };
	struct fe_mem *m = check_mem(c, &s, 1);

	for (size_t i = 0; i < ARRAY_SIZE(bad_area); i++) {
		const struct raw_msg msg = { .request = VHOST_USER_SET_LOG_BASE,
					     .payload = &bad_area[i],
					     .size = sizeof(bad_area[i]),
					     .fds = &m->r[0].fd,
					     .nfds = 1 };

		raw_throw(&h, &msg);
	}
	raw_conn_close(&h);
	check_alive(c);
}

static void inflight_area(struct check *c)
{
	static const uint16_t counts[][2] = { { 1, 128 },   { 0, 0 },         { 1, 0 },
					      { 0, 128 },   { 65535, 65535 }, { 65535, 1 },
					      { 1, 65535 }, { 32768, 32768 } };
	static const struct fe_mem_spec s = { .size = 65536 };
	struct fe_mem *m = check_mem(c, &s, 1);
	struct raw_conn h = RAW_CONN(c);

	memset(m->r[0].host, 0xff, m->r[0].size);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		for (size_t k = 0; k <= ARRAY_SIZE(bad_area); k++) {
			struct vhost_user_inflight d = { .mmap_size = 65536,
							 .num_queues = counts[i][0],
							 .queue_size = counts[i][1] };
			struct raw_msg msg = { .request = VHOST_USER_SET_INFLIGHT_FD,
					       .payload = &d,
					       .size = VHOST_USER_INFLIGHT_SIZE,
					       .fds = &m->r[0].fd,
					       .nfds = 1 };

			if (k < ARRAY_SIZE(bad_area)) {
				d.mmap_size = bad_area[k].mmap_size;
				d.mmap_offset = bad_area[k].mmap_offset;
			}
			raw_throw(&h, &msg);
		}
	}
	raw_conn_close(&h);
	check_alive(c);
}

static void inflight_counts(struct check *c)
{
	static const uint16_t counts[][2] = { { 0, 0 },         { 1, 0 },     { 0, 128 },
					      { 65535, 65535 }, { 65535, 1 }, { 32768, 32768 } };
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct vhost_user_inflight d = { .num_queues = counts[i][0],
						 .queue_size = counts[i][1] };
		struct raw_msg msg = { .request = VHOST_USER_GET_INFLIGHT_FD,
				       .payload = &d,
				       .size = VHOST_USER_INFLIGHT_SIZE };

		raw_throw(&h, &msg);
	}
	raw_conn_close(&h);
	check_alive(c);
}

/* ---- at random, but the same each time ---- */

static const uint64_t interesting[] = {
	0,
	1,
	2,
	0xff,
	0x100,
	0x101,
	0x7fff,
	0x8000,
	0x10000,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	(uint64_t)1 << 32,
	(uint64_t)1 << 44,
	(uint64_t)1 << 63,
	UINT64_MAX - 4095,
	UINT64_MAX,
};

/* A payload for @request: zeroes, edges, and bits by chance. */
static uint32_t random_payload(struct check *c, uint32_t request, uint8_t buf[512])
{
	uint32_t n = 0;

	memset(buf, 0, 512);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (sizes[i].request == request)
			n = sizes[i].size;
	for (uint32_t at = 0; at + 4 <= n; at += 4) {
		uint32_t r = check_rnd(c);
		uint64_t v = r & 1 ? 0 : interesting[(r >> 8) % ARRAY_SIZE(interesting)];

		if ((r & 6) == 6)
			v = check_rnd(c);
		if (r & 0x10 && at + 8 <= n) {
			memcpy(buf + at, &v, 8);
			at += 4;
		} else {
			memcpy(buf + at, &v, 4);
		}
	}
	/* Now and then a table of its right number of regions, or a wrong size. */
	if (request == VHOST_USER_SET_MEM_TABLE)
		buf[0] = 1;
	return check_rnd(c) % 16 ? n : check_rnd(c) % (2 * n + 2);
}

#define RANDOM_MESSAGES 600

/* A message by chance, with descriptors by chance; @bell for rings. */
static struct raw_msg random_message(struct check *c, uint8_t buf[512], int fds[2], int memory,
				     int bell)
{
	uint32_t request = check_rnd(c) % VHOST_USER_REQUEST_MAX;
	bool rings = request >= VHOST_USER_SET_VRING_KICK && request <= VHOST_USER_SET_VRING_ERR;
	struct raw_msg m = { .request = request, .payload = buf, .fds = fds };

	m.size = random_payload(c, request, buf);
	m.nfds = check_rnd(c) % 4 == 0 ? check_rnd(c) % 3 : 0;
	if (request == VHOST_USER_SET_MEM_TABLE || request == VHOST_USER_ADD_MEM_REG)
		m.nfds = 1;
	if (rings)
		m.nfds = !(buf[1] & 1);
	fds[0] = fds[1] = rings ? bell : memory;
	/* Postcopy and crypto answer in ways of their own, a state transfer may wait. */
	if ((request >= VHOST_USER_CREATE_CRYPTO_SESSION && request <= VHOST_USER_POSTCOPY_END) ||
	    request == VHOST_USER_SET_DEVICE_STATE_FD || request == VHOST_USER_CHECK_DEVICE_STATE)
		m = (struct raw_msg){ .request = VHOST_USER_GET_FEATURES };
	return m;
}

/*
 * Memory is all zeroes: no ring has a request in it. Each message is dealt with
 * before the next is sent, or it would be chance what the back-end sees.
 */
static void random_messages(struct check *c)
{
	static const struct check_dev_args stopped = { .no_start = true };
	static const struct fe_mem_spec s = { .size = 1 << 20 };
	struct check_dev *d = check_dev(c, &stopped); /* for its eventfd */
	struct fe_mem *m = check_mem(c, &s, 1);
	struct raw_conn h = RAW_CONN(c);
	uint8_t buf[512];

	check_disconnect(c, d->v);
	for (unsigned int i = 0; i < RANDOM_MESSAGES; i++) {
		int fds[2];
		struct raw_msg msg = random_message(c, buf, fds, m->r[0].fd, d->q[0].kick_fd);

		raw_throw(&h, &msg);
		fe_queue_kick(&d->q[0]);
		if (check_rnd(c) % 40 == 0)
			raw_conn_close(&h);
	}
	raw_conn_close(&h);
	check_alive(c);
}

static void random_bytes(struct check *c)
{
	for (unsigned int i = 0; i < 40; i++) {
		struct vuc *v = check_connect(c);
		uint32_t noise[128];

		for (size_t k = 0; k < ARRAY_SIZE(noise); k++)
			noise[k] = check_rnd(c);
		/* Some with a header that is believed at first. */
		if (i % 2) {
			noise[0] %= VHOST_USER_REQUEST_MAX;
			noise[1] = VHOST_USER_VERSION;
			noise[2] %= 300;
		}
		(void)raw_send(c, v, noise, sizeof(noise), NULL, 0);
		(void)check_closed(c, v, 10);
		check_disconnect(c, v);
	}
	check_alive(c);
}

const struct check_case check_bad_message_cases[] = {
	{ "bad-message.short", SPEC, "messages with less payload than they need do no harm",
	  CHECK_MUST, 0, false, short_payload },
	{ "bad-message.long", SPEC, "messages with more payload than they need do no harm",
	  CHECK_MUST, 0, false, long_payload },
	{ "bad-message.size-refused", SPEC,
	  "a message of a wrong size is refused, or ends the connection", CHECK_SHOULD,
	  NEED_REPLY_ACK, false, size_refused },
	{ "bad-message.huge-size", SPEC, "a size of up to 4 GiB in a header does no harm",
	  CHECK_MUST, 0, false, huge_size },
	{ "bad-message.huge-size-closed", SPEC,
	  "a size that no message has ends the connection at once", CHECK_SHOULD, 0, false,
	  huge_size_closed },
	{ "bad-message.truncated", COMM, "a connection may end in the middle of a message",
	  CHECK_MUST, 0, false, truncated },
	{ "bad-message.not-negotiated", "vhost-user: Protocol features",
	  "messages of features that were not negotiated do no harm", CHECK_MUST, 0, false,
	  not_negotiated },
	{ "bad-message.config-range", "vhost-user: VHOST_USER_GET_CONFIG",
	  "ranges outside of the configuration do no harm", CHECK_MUST, NEED_CONFIG, false,
	  config_range },
	{ "bad-message.log-area", "vhost-user: VHOST_USER_SET_LOG_BASE",
	  "a log that does not fit its file does no harm", CHECK_MUST, NEED_LOG, false, log_area },
	{ "bad-message.inflight-area", "vhost-user: VHOST_USER_SET_INFLIGHT_FD",
	  "a record of requests that does not fit its file, or is full of noise, does no harm",
	  CHECK_MUST, NEED_INFLIGHT, false, inflight_area },
	{ "bad-message.inflight-counts", "vhost-user: VHOST_USER_GET_INFLIGHT_FD",
	  "a record for impossible numbers of queues and entries does no harm", CHECK_MUST,
	  NEED_INFLIGHT, false, inflight_counts },
	{ "bad-message.random-messages", COMM,
	  "600 messages in no order, with edges and noise in them, do no harm", CHECK_MUST, 0,
	  false, random_messages },
	{ "bad-message.random-bytes", COMM, "noise instead of messages does no harm", CHECK_MUST, 0,
	  false, random_bytes },
	{ 0 },
};
