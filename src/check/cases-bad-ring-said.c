/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: impossible rings, as far as messages describe them. What stands
 * in rings is in cases-bad-ring.c.
 */
#include <errno.h>
#include <string.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"

#define STATE  "vhost-user: A vring state description"
#define ADDR   "vhost-user: A vring address description"
#define STATES "vhost-user: Ring states"

/* ---- which ring ---- */

static const uint32_t requests[] = {
	VHOST_USER_SET_VRING_NUM,  VHOST_USER_SET_VRING_BASE,   VHOST_USER_GET_VRING_BASE,
	VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_ENABLE,
};

/* Rings that are not there; the first is the first that is not. */
static uint32_t no_ring(struct check *c, unsigned int i)
{
	const uint32_t indices[] = {
		/* Devices with pairs of queues count pairs. */
		2 * check_facts(c)->queues + 2,
		0x100,
		0x101,
		0x10000,
		0x7fffffff,
		0x80000000,
		0x80000001,
		0xffffffff,
	};

	return i < ARRAY_SIZE(indices) ? indices[i] : 0;
}
#define NO_RINGS 8

static enum raw_fate throw_index(struct raw_conn *h, uint32_t request, uint32_t index)
{
	struct vhost_user_vring_addr a = { .index = index };
	struct vhost_user_vring_state s = { index, 1 };
	const struct raw_msg m = {
		.request = request,
		.payload = request == VHOST_USER_SET_VRING_ADDR ? (const void *)&a : &s,
		.size = request == VHOST_USER_SET_VRING_ADDR ? sizeof(a) : sizeof(s),
	};

	return raw_throw(h, &m);
}

static void index_harmless(struct check *c)
{
	static const uint32_t bells[] = { VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					  VHOST_USER_SET_VRING_ERR };
	struct raw_conn h = RAW_CONN(c);

	for (unsigned int i = 0; i < NO_RINGS; i++)
		for (size_t k = 0; k < ARRAY_SIZE(requests); k++)
			throw_index(&h, requests[k], no_ring(c, i));
	/* These have 8 bits of index, and bits without a meaning behind. */
	for (size_t k = 0; k < ARRAY_SIZE(bells); k++) {
		const uint64_t values[] = { VHOST_USER_VRING_NOFD | 0xff,
					    VHOST_USER_VRING_NOFD | 0xfe,
					    VHOST_USER_VRING_NOFD | 0xff00,
					    VHOST_USER_VRING_NOFD | (uint64_t)1 << 31,
					    ~(uint64_t)0 };

		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			const struct raw_msg m = { .request = bells[k],
						   .payload = &values[i],
						   .size = sizeof(values[i]) };

			raw_throw(&h, &m);
		}
	}
	raw_conn_close(&h);
	check_alive(c);
}

static void index_refused(struct check *c)
{
	struct raw_conn h = RAW_CONN(c);

	for (unsigned int i = 0; i < NO_RINGS; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(requests); k++) {
			enum raw_fate f = throw_index(&h, requests[k], no_ring(c, i));

			if (f == RAW_ACK)
				check_fail(c, "a ring that does not exist is refused",
					   "request %u for ring %u was acknowledged", requests[k],
					   no_ring(c, i));
		}
	}
	raw_conn_close(&h);
	check_alive(c);
}

/* The low bits of the index are those of ring 0, which must not notice. */
static void index_not_narrowed(struct check *c)
{
	static const uint32_t alias[] = { 0x100, 0x10000, 0x1000000, 0x80000000 };

	for (size_t i = 0; i < ARRAY_SIZE(alias); i++) {
		struct vhost_user_vring_state ask = { 0, 0 }, said = { 0, 0 };
		struct vuc *v = check_connect(c);
		struct vuc_msg get = { .request = VHOST_USER_GET_VRING_BASE,
				       .payload = &ask,
				       .size = sizeof(ask),
				       .reply = &said,
				       .reply_min = sizeof(said),
				       .reply_max = sizeof(said) };
		struct err e;

		check_negotiate(c, v, RAW_VIRTIO, RAW_PROTOCOL);
		check_ok(c, &e, raw_state(v, VHOST_USER_SET_VRING_BASE, 0, 7, &e));
		if (!raw_said(c, raw_state(v, VHOST_USER_SET_VRING_BASE, alias[i], 9, &e), &e) ||
		    !vuc_dead(v)) {
			int ret = vuc_call(v, &get, &e);

			raw_said(c, ret, &e);
			if (ret == 0 && said.num == 9)
				check_fail(c, "the position of ring 0 is still 7",
					   "it is 9, set for ring 0x%x", alias[i]);
		}
		check_disconnect(c, v);
	}
	check_alive(c);
}

/* ---- a ring that cannot be ---- */

/**
 * struct said - what a ring is said to be, where it differs from the truth
 * @desc, @avail, @used: added to the true addresses
 * @at:		all three at this address instead
 */
struct said {
	const char *why;
	uint32_t num;
	uint32_t base;
	uint64_t desc, avail, used;
	uint64_t at;
};

/*
 * Describe ring 0, start, enable and kick it. Return: the first refusal or
 * the end of the connection, or 0. The back-end has dealt with all of it.
 */
static int say(struct check *c, struct check_dev *d, const struct said *s)
{
	struct fe_queue *q = &d->q[0];
	uint64_t at = (uintptr_t)q->ring->desc - q->ring->layout.desc;
	struct vhost_user_vring_addr a = {
		.desc = (s->at ? s->at : at + q->ring->layout.desc) + s->desc,
		.avail = (s->at ? s->at : at + q->ring->layout.driver) + s->avail,
		.used = (s->at ? s->at : at + q->ring->layout.device) + s->used,
	};
	uint64_t f;
	struct err e;
	int ret = raw_state(d->v, VHOST_USER_SET_VRING_NUM, 0, s->num, &e);

	if (ret == 0)
		ret = raw_state(d->v, VHOST_USER_SET_VRING_BASE, 0, s->base, &e);
	if (ret == 0)
		ret = vuc_set_vring_addr(d->v, &a, &e);
	if (ret == 0)
		ret = vuc_set_vring_call(d->v, 0, q->call_fd, &e);
	if (ret == 0)
		ret = vuc_set_vring_err(d->v, 0, q->err_fd, &e);
	if (ret == 0)
		ret = vuc_set_vring_kick(d->v, 0, q->kick_fd, &e);
	if (ret == 0)
		ret = vuc_set_vring_enable(d->v, 0, true, &e);
	if (ret == 0) {
		fe_queue_kick(q);
		ret = vuc_get_features(d->v, &f, &e);
	}
	raw_said(c, ret, &e);
	return ret;
}

/* Each over a connection of its own; no ring may be served, and the back-end lives. */
static void each(struct check *c, const struct said *s, unsigned int n, bool refused)
{
	static const struct check_dev_args stopped = { .no_start = true,
						       .protocol_off = RAW_PF(STATUS) };

	for (unsigned int i = 0; i < n; i++) {
		struct check_dev *d = check_dev(c, &stopped);
		int ret = say(c, d, &s[i]);

		if (refused && ret == 0 && !check_ring_refused(c, d, 0))
			check_fail(c,
				   "a refusal, the error descriptor, or the end of the connection",
				   "none of them for a ring %s", s[i].why);
		check_dev_close(c, d);
	}
	check_alive(c);
}

static const struct said bad_sizes[] = {
	{ .why = "of 0 entries", .num = 0 },
	{ .why = "of 32769 entries", .num = 32769 },
	{ .why = "of 65535 entries", .num = 65535 },
	{ .why = "of 65536 entries", .num = 65536 },
	{ .why = "of 65664 entries", .num = 65536 + 128 },
	{ .why = "of 2^31 entries", .num = 0x80000000 },
	{ .why = "of 2^32-1 entries", .num = 0xffffffff },
};

static void sizes(struct check *c)
{
	each(c, bad_sizes, ARRAY_SIZE(bad_sizes), false);
}

static void sizes_refused(struct check *c)
{
	each(c, bad_sizes, ARRAY_SIZE(bad_sizes), true);
}

static void size_no_power(struct check *c)
{
	static const struct said s[] = {
		{ .why = "of 3 entries", .num = 3 },
		{ .why = "of 127 entries", .num = 127 },
		{ .why = "of 100 entries", .num = 100 },
	};

	each(c, s, ARRAY_SIZE(s), false);
}

#define FAR ((uint64_t)1 << 45)

static const struct said unmapped[] = {
	{ .why = "at address 4096", .num = 128, .at = 4096 },
	{ .why = "where no memory is", .num = 128, .at = FAR },
	{ .why = "at the end of the address space", .num = 128, .at = UINT64_MAX - 4095 },
	{ .why = "whose descriptors are not in memory", .num = 128, .desc = FAR },
	{ .why = "whose driver area is not in memory", .num = 128, .avail = FAR },
	{ .why = "whose device area is not in memory", .num = 128, .used = FAR },
};

static void addr_unmapped(struct check *c)
{
	each(c, unmapped, ARRAY_SIZE(unmapped), false);
}

static void addr_refused(struct check *c)
{
	each(c, unmapped, ARRAY_SIZE(unmapped), true);
}

static void addr_odd(struct check *c)
{
	static const uint64_t end = 16 << 20; /* of guest memory */
	static const struct said s[] = {
		{ .why = "with misaligned descriptors", .num = 128, .desc = 1 },
		{ .why = "with a misaligned driver area", .num = 128, .avail = 1 },
		{ .why = "with a misaligned device area", .num = 128, .used = 1 },
		{ .why = "with a half aligned device area", .num = 128, .used = 2 },
		{ .why = "whose descriptors begin before the memory", .num = 128, .desc = -64 },
		{ .why = "that needs more than there is", .num = 32768, .desc = end - 16 * 1024 },
		{ .why = "whose driver area does not end in memory",
		  .num = 32768,
		  .avail = end - 65536 },
		{ .why = "whose device area does not end in memory",
		  .num = 32768,
		  .used = end - 131072 },
	};

	each(c, s, ARRAY_SIZE(s), false);
}

static void bases(struct check *c)
{
	static const struct said s[] = {
		{ .why = "at position 65536", .num = 128, .base = 65536 },
		{ .why = "at position 0x7fff7fff", .num = 128, .base = 0x7fff7fff },
		{ .why = "at position 0xffff", .num = 128, .base = 0xffff },
		{ .why = "at position 2^31", .num = 128, .base = 0x80000000 },
		{ .why = "at position 2^32-1", .num = 128, .base = 0xffffffff },
	};

	each(c, s, ARRAY_SIZE(s), false);
}

/* ---- in an order that makes no sense ---- */

static void kick_first(struct check *c)
{
	static const struct check_dev_args stopped = { .no_start = true,
						       .protocol_off = RAW_PF(STATUS) };

	/* Each is the first message of a connection: nothing was negotiated. */
	for (unsigned int i = 0; i < 5; i++) {
		struct check_dev *d = check_dev(c, &stopped);
		struct err e;
		int ret;

		check_disconnect(c, d->v);
		d->v = check_connect(c);
		switch (i) {
		case 0:
			ret = vuc_set_vring_kick(d->v, 0, d->q[0].kick_fd, &e);
			break;
		case 1:
			ret = vuc_set_vring_enable(d->v, 0, true, &e);
			break;
		case 2:
			ret = vuc_set_vring_call(d->v, 0, d->q[0].call_fd, &e);
			break;
		case 3:
			ret = vuc_set_vring_kick(d->v, 0, -1, &e);
			break;
		default:
			ret = vuc_set_mem_table(d->v, d->m, &e);
			break;
		}
		fe_queue_kick(&d->q[0]);
		raw_said(c, ret ? ret : vuc_get_features(d->v, &(uint64_t){ 0 }, &e), &e);
		check_dev_close(c, d);
	}
	check_alive(c);
}

/* Everything there is to say about a ring, in the order of @order, then its base. */
static void in_order(struct check *c, const char *order)
{
	static const struct check_dev_args stopped = { .no_start = true,
						       .protocol_off = RAW_PF(STATUS) };
	struct check_dev *d = check_dev(c, &stopped);
	struct fe_queue *q = &d->q[0];
	uint64_t at = (uintptr_t)q->ring->desc - q->ring->layout.desc;
	const struct vhost_user_vring_addr a = {
		.desc = at + q->ring->layout.desc,
		.avail = at + q->ring->layout.driver,
		.used = at + q->ring->layout.device,
	};
	struct vq_base base;
	struct err e;
	int ret = 0;

	raw_reattach(c, d);
	for (const char *p = order; *p && !vuc_dead(d->v); p++) {
		switch (*p) {
		case 'm':
			ret = vuc_set_mem_table(d->v, d->m, &e);
			break;
		case 'n':
			ret = raw_state(d->v, VHOST_USER_SET_VRING_NUM, 0, q->ring->size, &e);
			break;
		case 'b':
			ret = raw_state(d->v, VHOST_USER_SET_VRING_BASE, 0, 0, &e);
			break;
		case 'a':
			ret = vuc_set_vring_addr(d->v, &a, &e);
			break;
		case 'c':
			ret = vuc_set_vring_call(d->v, 0, q->call_fd, &e);
			break;
		case 'k':
			ret = vuc_set_vring_kick(d->v, 0, q->kick_fd, &e);
			break;
		case 'e':
			ret = vuc_set_vring_enable(d->v, 0, true, &e);
			break;
		case 'd':
			ret = vuc_set_vring_enable(d->v, 0, false, &e);
			break;
		case 's':
			ret = vuc_get_vring_base(d->v, 0, false, &base, &e);
			break;
		default:
			fe_queue_kick(q);
			break;
		}
		raw_said(c, ret, &e);
	}
	check_note(c, "said in the order %s", order);
	check_dev_close(c, d);
}

static void any_order(struct check *c)
{
	/* Memory, num, base, addresses, call, kick, enable, disable, stop; x writes the eventfd. */
	static const char *const orders[] = {
		"kxmnbae",      "ekxcabnm",   "exs",     "kxs",        "sss",      "mkxnbaex",
		"mekxs",        "mnkxes",     "mnbaexs", "mnackxeaxs", "mackxens", "mnackxeskx",
		"mnackxenxbxs", "sekxmnackx", "dkxem",   "ndkxsdkxsm",
	};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		in_order(c, orders[i]);
	check_alive(c);
}

static void never_started(struct check *c)
{
	struct vuc *v = check_connect(c);
	const struct vhost_user_vring_state ask = { 0, 0 };
	struct vhost_user_vring_state said = { 1, 1 };
	struct vuc_msg get = { .request = VHOST_USER_GET_VRING_BASE,
			       .payload = &ask,
			       .size = sizeof(ask),
			       .reply = &said,
			       .reply_min = sizeof(said),
			       .reply_max = sizeof(said) };
	struct err e;

	check_negotiate(c, v, RAW_VIRTIO, RAW_PROTOCOL);
	check_ok(c, &e, vuc_call(v, &get, &e));
	if (said.index != 0)
		check_fail(c, "an answer for ring 0", "one for ring %u", said.index);
	check_alive(c);
}

static void enable_values(struct check *c)
{
	static const uint32_t values[] = { 2, 0xff, 0x100, 0x10000, 0x80000000, 0xffffffff };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct check_dev *d = check_dev(c, NULL);
		struct err e;

		raw_said(c, raw_state(d->v, VHOST_USER_SET_VRING_ENABLE, 0, values[i], &e), &e);
		fe_queue_kick(&d->q[0]);
		check_dev_close(c, d);
	}
	check_alive(c);
}

const struct check_case check_bad_ring_said_cases[] = {
	{ "bad-message.ring-index", STATE, "messages for rings that do not exist do no harm",
	  CHECK_MUST, 0, false, index_harmless },
	{ "bad-message.ring-index-refused", STATE,
	  "messages for rings that do not exist are refused", CHECK_SHOULD, NEED_REPLY_ACK, false,
	  index_refused },
	{ "bad-message.ring-index-32-bits", STATE, "ring indices have 32 bits", CHECK_MUST, 0,
	  false, index_not_narrowed },
	{ "bad-message.ring-size", "vhost-user: VHOST_USER_SET_VRING_NUM",
	  "rings of an impossible size do no harm", CHECK_MUST, 0, true, sizes },
	{ "bad-message.ring-size-refused", "vhost-user: VHOST_USER_SET_VRING_NUM",
	  "rings of an impossible size are refused", CHECK_SHOULD, 0, false, sizes_refused },
	{ "bad-message.ring-size-no-power", "VIRTIO 1.3 2.7",
	  "a split ring whose size is no power of two does no harm", CHECK_MUST, 0, false,
	  size_no_power },
	{ "bad-message.ring-addr", ADDR, "ring addresses outside of memory do no harm", CHECK_MUST,
	  0, true, addr_unmapped },
	{ "bad-message.ring-addr-refused", ADDR,
	  "ring addresses outside of memory are refused, or the ring is declared broken",
	  CHECK_SHOULD, 0, false, addr_refused },
	{ "bad-message.ring-addr-odd", ADDR,
	  "ring addresses at the edge of memory, or misaligned, do no harm", CHECK_MUST, 0, true,
	  addr_odd },
	{ "bad-message.ring-base", STATE, "impossible ring positions do no harm", CHECK_MUST, 0,
	  true, bases },
	{ "bad-message.kick-first", STATES, "a ring message that comes first of all does no harm",
	  CHECK_MUST, 0, false, kick_first },
	{ "bad-message.any-order", STATES, "ring messages in any order do no harm", CHECK_MUST, 0,
	  false, any_order },
	{ "bad-message.base-never-started", "vhost-user: VHOST_USER_GET_VRING_BASE",
	  "the position of a ring that never ran is answered", CHECK_MUST, 0, false,
	  never_started },
	{ "bad-message.enable-values", "vhost-user: VHOST_USER_SET_VRING_ENABLE",
	  "a ring enabled with other values than 0 and 1 does no harm", CHECK_MUST, NEED_PROTOCOL,
	  false, enable_values },
	{ 0 },
};
