/* SPDX-License-Identifier: MIT */
/* vuctl check: sizes, descriptors, unknown requests, acknowledgements. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"

#define HDR  "vhost-user: Message Specification, Header"
#define COMM "vhost-user: Communication"
#define ACKS "vhost-user: VHOST_USER_PROTOCOL_F_REPLY_ACK"

#define NEED_ACK (VHOST_USER_VERSION | VHOST_USER_F_NEED_REPLY)

/* A connection with the protocol features @protocol of what is offered. */
static struct vuc *connected(struct check *c, uint64_t protocol)
{
	struct vuc *v = check_connect(c);

	check_negotiate(c, v, RAW_VIRTIO, protocol);
	return v;
}

/* ---- answers ---- */

/* Send @m and read the one answer to it, of @size bytes. */
static struct vhost_user_hdr answer_to(struct check *c, struct vuc *v, const struct raw_msg *m,
				       uint32_t size)
{
	struct vhost_user_hdr h = { 0 };
	uint8_t payload[VHOST_USER_CONFIG_HDR_SIZE + VHOST_USER_CONFIG_MAX];
	char line[160];

	if (raw_msg(c, v, m) < 0 || !raw_recv(c, v, &h, payload, sizeof(payload)))
		check_fail(c, "an answer", "the connection was closed at %s",
			   raw_describe(line, sizeof(line), m));
	if (h.request != m->request || h.size != size)
		check_fail(c, "an answer to what was sent, of the right size",
			   "request %u with %u bytes instead of %u, after %s", h.request, h.size,
			   size, raw_describe(line, sizeof(line), m));
	return h;
}

/* Every request with an answer of its own that this back-end must know, each with @flags. */
static void each_answer(struct check *c, struct vuc *v, uint32_t flags,
			void (*judge)(struct check *c, const struct vhost_user_hdr *h))
{
	const struct vhost_user_config q = { .size = 8 };
	const struct vhost_user_vring_state s = { 0 };
	const struct {
		int feature;
		struct raw_msg m;
		uint32_t size;
	} table[] = {
		{ -1, { .request = VHOST_USER_GET_FEATURES }, 8 },
		{ VHOST_USER_PROTOCOL_F_MQ, { .request = VHOST_USER_GET_QUEUE_NUM }, 8 },
		{ VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
		  { .request = VHOST_USER_GET_MAX_MEM_SLOTS },
		  8 },
		{ VHOST_USER_PROTOCOL_F_STATUS, { .request = VHOST_USER_GET_STATUS }, 8 },
		{ VHOST_USER_PROTOCOL_F_CONFIG,
		  { .request = VHOST_USER_GET_CONFIG,
		    .payload = &q,
		    .size = VHOST_USER_CONFIG_HDR_SIZE + 8 },
		  VHOST_USER_CONFIG_HDR_SIZE + 8 },
		{ -1,
		  { .request = VHOST_USER_GET_VRING_BASE, .payload = &s, .size = sizeof(s) },
		  sizeof(s) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct raw_msg m = table[i].m;
		struct vhost_user_hdr h;

		if (table[i].feature >= 0 && !(vuc_protocol_features(v) >> table[i].feature & 1))
			continue;
		m.flags = flags;
		h = answer_to(c, v, &m, table[i].size);
		if (judge)
			judge(c, &h);
	}
	raw_sync(c, v);
}

static void reply_header(struct check *c)
{
	struct vuc *v = connected(c, RAW_PROTOCOL);

	if (check_offers(c, VHOST_USER_F_PROTOCOL_FEATURES)) {
		const struct raw_msg m = { .request = VHOST_USER_GET_PROTOCOL_FEATURES,
					   .flags = VHOST_USER_VERSION };

		answer_to(c, v, &m, 8);
	}
	each_answer(c, v, VHOST_USER_VERSION, NULL); /* raw_recv() looks at version and flag */
}

static void judge_clean(struct check *c, const struct vhost_user_hdr *h)
{
	if (h->flags != (VHOST_USER_VERSION | VHOST_USER_F_REPLY))
		check_fail(c, "flags 0x5", "flags 0x%x in the answer to request %u", h->flags,
			   h->request);
}

static void reply_flags_clean(struct check *c)
{
	/* need_reply is for requests, and not repeated. */
	each_answer(c, connected(c, RAW_PROTOCOL),
		    check_offers_protocol(c, VHOST_USER_PROTOCOL_F_REPLY_ACK) ? NEED_ACK :
										VHOST_USER_VERSION,
		    judge_clean);
}

static void one_answer(struct check *c)
{
	each_answer(c, connected(c, RAW_PROTOCOL), NEED_ACK, NULL);
}

/* ---- acknowledgements ---- */

/* Harmless messages that have no answer of their own. */
static unsigned int harmless(struct check *c, struct raw_msg m[4])
{
	static const struct vhost_user_vring_state num = { 0, 16 }, base = { 0, 0 };
	static const uint64_t no_call = VHOST_USER_VRING_NOFD;
	static const uint64_t features = RAW_VIRTIO;
	unsigned int n = 0;

	/* SET_FEATURES as the negotiation had it, if both bits are offered. */
	if ((check_facts(c)->features & RAW_VIRTIO) == RAW_VIRTIO)
		m[n++] = (struct raw_msg){ .request = VHOST_USER_SET_FEATURES,
					   .payload = &features,
					   .size = sizeof(features) };
	m[n++] = (struct raw_msg){ .request = VHOST_USER_SET_VRING_NUM,
				   .payload = &num,
				   .size = sizeof(num) };
	m[n++] = (struct raw_msg){ .request = VHOST_USER_SET_VRING_BASE,
				   .payload = &base,
				   .size = sizeof(base) };
	m[n++] = (struct raw_msg){ .request = VHOST_USER_SET_VRING_CALL,
				   .payload = &no_call,
				   .size = sizeof(no_call) };
	return n;
}

static void ack_success(struct check *c)
{
	struct vuc *v = connected(c, RAW_PROTOCOL);
	struct raw_msg m[4];
	unsigned int n = harmless(c, m);

	for (unsigned int i = 0; i < n; i++) {
		enum raw_fate f;
		char line[160];

		m[i].flags = NEED_ACK;
		f = raw_try(c, v, &m[i]);
		if (f != RAW_ACK)
			check_fail(c, "one acknowledgement, a u64 of 0", "%s after %s",
				   f == RAW_CLOSED ? "the end of the connection" :
				   f == RAW_SILENT ? "nothing" :
				   f == RAW_NACK   ? "an error" :
						     "an answer of another size",
				   raw_describe(line, sizeof(line), &m[i]));
	}
}

static void quiet(struct check *c, struct vuc *v, uint32_t flags)
{
	struct raw_msg m[4];
	unsigned int n = harmless(c, m);

	for (unsigned int i = 0; i < n; i++) {
		enum raw_fate f;
		char line[160];

		m[i].flags = flags;
		f = raw_try(c, v, &m[i]);
		if (f != RAW_SILENT)
			check_fail(c, "no answer", "%s after %s",
				   f == RAW_CLOSED ? "the end of the connection" : "an answer",
				   raw_describe(line, sizeof(line), &m[i]));
	}
}

static void ack_only_when_asked(struct check *c)
{
	quiet(c, connected(c, RAW_PROTOCOL), VHOST_USER_VERSION);
}

static void ack_before_negotiation(struct check *c)
{
	quiet(c, connected(c, RAW_PROTOCOL & ~RAW_PF(REPLY_ACK)), NEED_ACK);
}

/* Memory that cannot be mapped: there is no way to do what was asked. */
static void ack_failure(struct check *c)
{
	const struct vhost_user_mem_table t = {
		.nregions = 1,
		.regions[0] = { .size = 1 << 20, .uva = 1 << 30 },
	};
	struct vuc *v = connected(c, RAW_PROTOCOL);
	struct raw_probe p;
	struct raw_msg m = {
		.request = VHOST_USER_SET_MEM_TABLE,
		.flags = NEED_ACK,
		.payload = &t,
		.size = offsetof(struct vhost_user_mem_table, regions) + sizeof(t.regions[0]),
		.fds = &p.give,
		.nfds = 1,
	};
	enum raw_fate f;

	raw_probe_open(c, &p);
	f = raw_try(c, v, &m);
	close(p.give);
	close(p.watch);
	if (f != RAW_NACK && f != RAW_CLOSED)
		check_fail(c, "an acknowledgement other than 0, or the end of the connection",
			   "%s after SET_MEM_TABLE with a pipe as memory",
			   f == RAW_ACK ? "an acknowledgement of 0" : "no acknowledgement");
	check_alive(c);
}

static void replies_in_order(struct check *c)
{
	struct vuc *v = connected(c, RAW_PROTOCOL);
	const struct vhost_user_vring_state s = { 0, 16 };
	struct {
		struct vhost_user_hdr h;
		struct vhost_user_vring_state s;
		struct vhost_user_hdr get;
	} burst[16];
	struct vhost_user_hdr h;

	for (size_t i = 0; i < ARRAY_SIZE(burst); i++) {
		burst[i].h = (struct vhost_user_hdr){ VHOST_USER_SET_VRING_NUM, NEED_ACK,
						      sizeof(s) };
		burst[i].s = s;
		burst[i].get = (struct vhost_user_hdr){ VHOST_USER_GET_FEATURES, VHOST_USER_VERSION,
							0 };
	}
	check_note(c, "sent %zu times SET_VRING_NUM (need_reply), GET_FEATURES, in one write",
		   ARRAY_SIZE(burst));
	if (raw_send(c, v, burst, sizeof(burst), NULL, 0) < 0)
		check_fail(c, "the messages are taken", "the connection was closed");
	for (size_t i = 0; i < 2 * ARRAY_SIZE(burst); i++) {
		uint32_t want = i % 2 ? VHOST_USER_GET_FEATURES : VHOST_USER_SET_VRING_NUM;
		uint64_t u;

		if (!raw_recv(c, v, &h, &u, sizeof(u)))
			check_fail(c, "an answer to each", "the connection was closed");
		if (h.request != want || h.size != sizeof(u))
			check_fail(c, "answers in the order of the requests",
				   "answer %zu is to request %u, not %u", i, h.request, want);
	}
	raw_sync(c, v);
}

/* ---- pieces ---- */

static void several_in_one_write(struct check *c)
{
	struct vuc *v = connected(c, 0);
	struct vhost_user_hdr get[32], h;
	uint64_t u, first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(get); i++)
		get[i] = (struct vhost_user_hdr){ VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0 };
	if (raw_send(c, v, get, sizeof(get), NULL, 0) < 0)
		check_fail(c, "the messages are taken", "the connection was closed");
	for (size_t i = 0; i < ARRAY_SIZE(get); i++) {
		if (!raw_recv(c, v, &h, &u, sizeof(u)))
			check_fail(c, "an answer to each of 32 GET_FEATURES in one write",
				   "the connection was closed after %zu", i);
		if (i == 0)
			first = u;
		if (h.request != VHOST_USER_GET_FEATURES || u != first)
			check_fail(c, "the same answer to each",
				   "answer %zu is to request %u, 0x%llx instead of 0x%llx", i,
				   h.request, (unsigned long long)u, (unsigned long long)first);
	}
}

/* A message cut into pieces of @piece bytes, a moment apart. */
static void in_pieces(struct check *c, struct vuc *v, const void *buf, size_t len, size_t piece,
		      int fd)
{
	for (size_t at = 0; at < len; at += piece) {
		if (raw_send(c, v, (const uint8_t *)buf + at, MIN(piece, len - at), &fd,
			     at == 0 && fd >= 0) < 0)
			check_fail(c, "a message may come in pieces",
				   "the connection was closed after byte %zu of %zu", at, len);
		poll(NULL, 0, 2); /* long enough to be read by itself */
	}
}

static void byte_by_byte(struct check *c)
{
	const struct vhost_user_hdr get = { VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0 };
	struct {
		struct vhost_user_hdr h;
		struct vhost_user_vring_state s;
	} num = { { VHOST_USER_SET_VRING_NUM, VHOST_USER_VERSION, sizeof(num.s) }, { 0, 16 } };
	struct vuc *v = connected(c, 0);
	struct vhost_user_hdr h;
	uint64_t u;

	in_pieces(c, v, &num, sizeof(num), 1, -1);
	in_pieces(c, v, &get, sizeof(get), 1, -1);
	if (!raw_recv(c, v, &h, &u, sizeof(u)))
		check_fail(c, "an answer to GET_FEATURES", "the connection was closed");
	if (h.request != VHOST_USER_GET_FEATURES || h.size != sizeof(u))
		check_fail(c, "an answer to GET_FEATURES", "an answer to request %u, size %u",
			   h.request, h.size);
	raw_sync(c, v);
}

/* Descriptors come with the first bytes of their message, the rest behind them. */
static void fd_before_payload(struct check *c)
{
	static const size_t pieces[] = { 1, 5, sizeof(struct vhost_user_hdr) };
	static const struct check_dev_args stopped = { .no_start = true };

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct check_dev *d = check_dev(c, &stopped);
		const struct fe_region *r = &d->m->r[0];
		struct {
			struct vhost_user_hdr h;
			uint32_t n, pad;
			struct vhost_user_region r;
		} __attribute__((packed)) msg = {
			.h = { VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION,
			       sizeof(msg) - sizeof(msg.h) },
			.n = 1,
			.r = { r->gpa, r->size, r->uva, r->offset },
		};

		in_pieces(c, d->v, &msg, sizeof(msg), pieces[i], r->fd);
		raw_sync(c, d->v);
		check_start(c, d, 0);
		check_works(c, d, 0);
		check_dev_close(c, d);
	}
}

/* ---- what a back-end does not know ---- */

static const uint32_t unknown[] = { 0, 200, 1000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff };

static void unknown_each(struct check *c, uint32_t flags, bool refused)
{
	static const uint8_t payload[64];
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < 2 * ARRAY_SIZE(unknown); i++) {
		const struct raw_msg m = { .request = unknown[i / 2],
					   .flags = flags,
					   .payload = payload,
					   .size = i % 2 ? sizeof(payload) : 0 };
		enum raw_fate f = raw_throw(&h, &m);
		char line[160];

		if (refused && f != RAW_NACK && f != RAW_CLOSED)
			check_fail(c,
				   "an acknowledgement other than 0, or the end of the connection",
				   "%s after %s",
				   f == RAW_ACK    ? "an acknowledgement of 0" :
				   f == RAW_SILENT ? "no acknowledgement" :
						     "an answer",
				   raw_describe(line, sizeof(line), &m));
		if (!refused && f != RAW_SILENT && f != RAW_CLOSED)
			check_fail(c, "no answer, or the end of the connection",
				   "an answer after %s", raw_describe(line, sizeof(line), &m));
	}
	raw_conn_close(&h);
	check_alive(c);
}

static void unknown_request(struct check *c)
{
	unknown_each(c, VHOST_USER_VERSION, false);
}

static void unknown_need_reply(struct check *c)
{
	unknown_each(c, NEED_ACK, true);
}

/* 0 is no request, though one implementation's own tests end the program with it. */
static void request_zero(struct check *c)
{
	struct raw_conn h = RAW_CONN(c);

	for (unsigned int i = 0; i < 2; i++) {
		const struct raw_msg m = { .flags = i ? NEED_ACK : VHOST_USER_VERSION };

		raw_throw(&h, &m);
	}
	raw_conn_close(&h);
	check_alive(c);
}

/* Only the low bits of these are GET_FEATURES, which would be answered. */
static void request_32_bits(struct check *c)
{
	static const uint32_t ids[] = { 0x101, 0x10001, 0x1000001, 0x80000001 };
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		const struct raw_msg m = { .request = ids[i], .flags = VHOST_USER_VERSION };
		struct vhost_user_hdr get = { VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0 }, a;
		struct vuc *v = raw_conn(&h);
		unsigned int n = 0;
		uint64_t u;

		/* One GET_FEATURES behind it: two answers are one too many. */
		if (raw_msg(c, v, &m) == 0 && raw_send(c, v, &get, sizeof(get), NULL, 0) == 0 &&
		    raw_recv(c, v, &a, &u, sizeof(u))) {
			struct pollfd p = { .fd = vuc_fd(v), .events = POLLIN };

			n = 1 + (poll(&p, 1, 100) == 1 && raw_recv(c, v, &a, &u, sizeof(u)));
		}
		if (n > 1)
			check_fail(c, "request ids are compared in all their 32 bits",
				   "request 0x%x was answered", ids[i]);
		raw_conn_close(&h);
	}
	check_alive(c);
}

/* ---- flags ---- */

static void version_wrong(struct check *c)
{
	static const uint32_t flags[] = { 0 | VHOST_USER_F_NEED_REPLY, 2, 3 };
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		const struct vhost_user_hdr m = { VHOST_USER_GET_FEATURES, flags[i], 0 };
		struct vuc *v = raw_conn(&h);

		if (raw_send(c, v, &m, sizeof(m), NULL, 0) == 0 &&
		    !check_closed(c, v, check_timeout_ms(c)))
			check_fail(c, "the end of the connection",
				   "it is still open after GET_FEATURES with version %u",
				   flags[i] & VHOST_USER_VERSION_MASK);
		raw_conn_close(&h);
	}
	check_alive(c);
}

/* Served as if they were not set, refused, or closed: but the back-end goes on. */
static void flags_survived(struct check *c, uint32_t flags)
{
	static const uint64_t features = RAW_VIRTIO;
	struct raw_conn h = RAW_CONN(c);

	for (unsigned int i = 0; i < 2; i++) {
		const struct raw_msg m = {
			.request = i ? VHOST_USER_SET_FEATURES : VHOST_USER_GET_FEATURES,
			.flags = VHOST_USER_VERSION | flags,
			.payload = &features,
			.size = i ? sizeof(features) : 0,
		};

		raw_throw(&h, &m);
	}
	raw_conn_close(&h);
}

static void reserved_flags(struct check *c)
{
	static const uint32_t flags[] = { 1u << 4, 1u << 15, 1u << 31, ~0xfu };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		flags_survived(c, flags[i]);
	check_alive(c);
}

static void reply_flag_in_request(struct check *c)
{
	flags_survived(c, VHOST_USER_F_REPLY);
	flags_survived(c, VHOST_USER_F_REPLY | VHOST_USER_F_NEED_REPLY);
	check_alive(c);
}

const struct check_case check_message_cases[] = {
	{ "message.reply-header", HDR,
	  "every answer has version 1, the reply flag, the id of its request and the right size",
	  CHECK_MUST, 0, false, reply_header },
	{ "message.reply-flags-clean", HDR, "answers set no other flags than version and reply",
	  CHECK_SHOULD, 0, false, reply_flags_clean },
	{ "message.one-answer", ACKS,
	  "a request with an answer of its own gets just that when need_reply is set", CHECK_MUST,
	  NEED_REPLY_ACK, false, one_answer },
	{ "message.ack-success", ACKS,
	  "a message that succeeds is acknowledged once, with a u64 of 0, when need_reply is set",
	  CHECK_MUST, NEED_REPLY_ACK, false, ack_success },
	{ "message.ack-only-when-asked", ACKS, "no message is acknowledged without need_reply",
	  CHECK_MUST, NEED_REPLY_ACK, false, ack_only_when_asked },
	{ "message.ack-before-negotiation", ACKS,
	  "need_reply means nothing to a back-end as long as REPLY_ACK is not negotiated",
	  CHECK_SHOULD, 0, false, ack_before_negotiation },
	{ "message.ack-failure", ACKS,
	  "a message that fails is acknowledged with an error, or ends the connection", CHECK_MUST,
	  NEED_REPLY_ACK, false, ack_failure },
	{ "message.replies-in-order", COMM, "answers come in the order of the requests", CHECK_MUST,
	  NEED_REPLY_ACK, false, replies_in_order },
	{ "message.several-in-one-write", COMM,
	  "messages are told apart by their sizes, not by how they were written", CHECK_MUST, 0,
	  false, several_in_one_write },
	{ "message.byte-by-byte", COMM, "a message may come in pieces of any size", CHECK_MUST, 0,
	  false, byte_by_byte },
	{ "message.fd-before-payload", COMM,
	  "a descriptor that comes with the first piece belongs to the whole message", CHECK_MUST,
	  0, false, fd_before_payload },
	{ "message.unknown-request", COMM,
	  "an unknown request is ignored or ends the connection, and never the back-end",
	  CHECK_MUST, 0, false, unknown_request },
	{ "message.unknown-need-reply", ACKS,
	  "an unknown request with need_reply is refused, or ends the connection", CHECK_SHOULD,
	  NEED_REPLY_ACK, false, unknown_need_reply },
	{ "message.request-zero", COMM, "request 0 does no harm", CHECK_MUST, 0, false,
	  request_zero },
	{ "message.request-32-bits", HDR, "request ids have 32 bits", CHECK_MUST, 0, false,
	  request_32_bits },
	{ "message.version-wrong", HDR, "a message of another version than 1 ends the connection",
	  CHECK_SHOULD, 0, false, version_wrong },
	{ "message.reserved-flags", HDR,
	  "reserved header flags may end the connection, and never the back-end", CHECK_MUST, 0,
	  false, reserved_flags },
	{ "message.reply-flag-in-request", HDR,
	  "a request with the reply flag may end the connection, and never the back-end",
	  CHECK_MUST, 0, false, reply_flag_in_request },
	{ 0 },
};
