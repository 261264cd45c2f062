/* SPDX-License-Identifier: MIT */
/* vuctl check: reset and status. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "check/check.h"
#include "util/compiler.h"
#include "util/loop.h"
#include "wire/virtio-blk.h"

#define PF(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)
#define BIT30 VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)

#define NOTHING_MS 300 /* how long to watch for what must not happen */
#define BUSY       32

#define ST_DRIVER      (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER)
#define ST_FEATURES_OK (ST_DRIVER | VIRTIO_STATUS_FEATURES_OK)
#define ST_DRIVER_OK   (ST_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK)

/* ---- what cases share ---- */

/* Reads of the first block, in d->buf from @slot on, one page for each; headers behind them. */
static void add_read(struct check *c, struct check_dev *d, unsigned int slot)
{
	uint32_t bs = check_facts(c)->block_size;
	uint32_t at = slot * (bs + 64);
	const struct virtio_blk_req_hdr h = { .type = htole32(VIRTIO_BLK_T_IN) };
	const struct drv_seg segs[] = {
		{ d->buf_gpa + at + bs, sizeof(h), 0 },
		{ d->buf_gpa + at, bs, 1 },
		{ d->buf_gpa + at + bs + 32, 1, 1 },
	};

	memcpy(d->buf + at + bs, &h, sizeof(h));
	if (drv_add(d->q[0].ring, segs, ARRAY_SIZE(segs), false, d->buf + at) < 0)
		check_fail(c, "the ring has room for a read", "it has none");
}

static unsigned int slots(const struct check *c)
{
	return MIN((unsigned int)BUSY, (1u << 19) / (check_facts(c)->block_size + 64));
}

static void reset(struct check *c, struct check_dev *d)
{
	struct err e = { .code = 0 };
	uint64_t f;

	if (vuc_reset_device(d->v, &e) < 0)
		check_fail(c, "RESET_DEVICE is accepted", "%s", e.what);
	/* Where there are no acknowledgements: it is dealt with when the next is answered. */
	check_ok(c, &e, vuc_get_features(d->v, &f, &e));
	d->q[0].running = false;
}

/* A queue that is not started stays as it is, kicked or not. */
static void must_rest(struct check *c, struct check_dev *d, const char *after)
{
	struct drv_used u;

	add_read(c, d, 0);
	drv_publish(d->q[0].ring);
	fe_queue_kick(&d->q[0]);
	for (uint64_t end = clock_ns() + NOTHING_MS * UINT64_C(1000000); clock_ns() < end;) {
		fe_queue_wait(&d->q[0], 1, 10);
		if (drv_get(d->q[0].ring, &u, 1))
			check_fail(c, "a ring is not served before it is started anew",
				   "a request was served %s", after);
	}
}

/* Features, memory if @memory, ring: from the beginning. No owner, no protocol features. */
static void set_up_anew(struct check *c, struct check_dev *d, uint64_t features, bool memory)
{
	struct err e = { .code = 0 };

	drv_ring_reset(d->q[0].ring, VQ_BASE_INIT);
	check_ok(c, &e, d->t->ops->set_features(d->t, features & ~BIT30, &e)); /* it adds bit 30 */
	if (memory)
		check_ok(c, &e, d->t->ops->set_mem(d->t, d->m, &e));
	check_start(c, d, 0);
}

/* ---- RESET_DEVICE ---- */

static void stops_rings(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	check_works(c, d, 0);
	reset(c, d);
	must_rest(c, d, "after RESET_DEVICE");
}

static void before_anything(struct check *c)
{
	const struct check_dev_args a = { .no_start = true };
	struct check_dev *d = check_dev(c, &a);
	uint64_t features = d->virtio;

	reset(c, d);
	if (!check_facts(c)->is_blk)
		return;
	set_up_anew(c, d, features, true);
	check_works(c, d, 0);
}

static void set_up_again(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t features = d->virtio;

	for (unsigned int i = 0; i < 20; i++) {
		check_works(c, d, 0);
		reset(c, d);
		set_up_anew(c, d, features, true);
	}
	check_works(c, d, 0);
}

static void keeps_memory(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t features = d->virtio;

	check_works(c, d, 0);
	reset(c, d);
	set_up_anew(c, d, features, false);
	check_works(c, d, 0);
}

static void keeps_protocol_features(struct check *c)
{
	struct err e = { .code = 0 };
	struct check_dev *d = check_dev(c, NULL);
	uint64_t features = d->virtio;

	reset(c, d);
	/* The client asks for an acknowledgement and fails when none comes. */
	if (vuc_set_features(d->v, features, &e) < 0)
		check_fail(c, "protocol features are still in force: messages are acknowledged",
			   "%s", e.what);
}

static void while_busy(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint64_t features = d->virtio;
	uint32_t bs = check_facts(c)->block_size;
	unsigned int n = slots(c);

	for (unsigned int round = 0; round < 8; round++) {
		for (unsigned int i = 0; i < n; i++)
			add_read(c, d, i);
		fe_queue_publish(&d->q[0]);
		reset(c, d);
		/* From here on the memory is the driver's. */
		memset(d->buf, 0xa5, n * (bs + 64));
		poll(NULL, 0, 20);
		for (uint32_t i = 0; i < n * (bs + 64); i++)
			if (d->buf[i] != 0xa5)
				check_fail(c, "nothing is written once RESET_DEVICE is dealt with",
					   "byte %u of the buffers changed, round %u", i, round);
		set_up_anew(c, d, features, true);
	}
	check_works(c, d, 0);
}

static void all_queues(struct check *c)
{
	const struct check_dev_args a = { .queues = 2 };
	struct check_dev *d = check_dev(c, &a);
	uint64_t features = d->virtio;

	check_works(c, d, 1);
	reset(c, d);
	d->q[1].running = false;
	drv_ring_reset(d->q[1].ring, VQ_BASE_INIT);
	set_up_anew(c, d, features, true);
	check_start(c, d, 1);
	check_works(c, d, 1);
	check_works(c, d, 0);
}

static uint8_t writeback(struct check *c, struct check_dev *d)
{
	struct err e = { .code = 0 };
	struct virtio_blk_config b = { 0 };

	check_ok(c, &e,
		 vuc_get_config(d->v, 0, &b, offsetof(struct virtio_blk_config, unused0), &e));
	return b.writeback;
}

static void forgets_cache_mode(struct check *c)
{
	struct err e = { .code = 0 };
	struct check_dev *d = check_dev(c, NULL);
	uint64_t features = d->virtio;
	uint8_t first = writeback(c, d), other = !first, now;

	check_ok(c, &e,
		 vuc_set_config(d->v, offsetof(struct virtio_blk_config, writeback), &other, 1, 0,
				&e));
	reset(c, d);
	set_up_anew(c, d, features, true);
	now = writeback(c, d);
	if (now != first)
		check_fail(c, "the cache mode is what it was in the beginning",
			   "%u then, %u written, %u after RESET_DEVICE", first, other, now);
}

/* ---- RESET_OWNER ---- */

static void owner_harmless(struct check *c)
{
	struct err e = { .code = 0 };
	struct check_dev *d = check_dev(c, NULL);

	check_works(c, d, 0);
	if (vuc_reset_owner(d->v, &e) < 0 && e.code != -EREMOTEIO)
		check_fail(c, "RESET_OWNER is ignored, or disables the rings", "%s", e.what);
	/* If it did. */
	if (d->virtio & BIT30)
		check_ok(c, &e, vuc_set_vring_enable(d->v, 0, true, &e));
	check_works(c, d, 0);
}

/* ---- status ---- */

static void expect_status(struct check *c, struct vuc *v, uint8_t bits, const char *when)
{
	struct err e = { .code = 0 };
	uint8_t st;

	check_ok(c, &e, vuc_get_status(v, &st, &e));
	if ((st & bits) != bits || (bits == 0 && st))
		check_fail(c, "the status has the bits that were set", "0x%02x %s, 0x%02x is due",
			   st, when, bits);
}

static void set_status(struct check *c, struct vuc *v, uint8_t st)
{
	struct err e = { .code = 0 };

	if (vuc_set_status(v, st, &e) < 0)
		check_fail(c, "SET_STATUS is accepted", "status 0x%02x: %s", st, e.what);
}

static struct vuc *with_status(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = check_connect(c);
	uint64_t f;

	check_ok(c, &e, vuc_get_features(v, &f, &e));
	check_ok(c, &e, vuc_set_owner(v, &e));
	check_ok(c, &e,
		 vuc_set_protocol_features(v,
					   check_facts(c)->protocol_features &
						   (PF(STATUS) | PF(REPLY_ACK)),
					   &e));
	return v;
}

static void status_begins_with_0(struct check *c)
{
	expect_status(c, with_status(c), 0, "in the beginning");
}

static void status_sequence(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = with_status(c);
	uint64_t f = check_facts(c)->features & (VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30);

	set_status(c, v, 0);
	set_status(c, v, VIRTIO_STATUS_ACKNOWLEDGE);
	expect_status(c, v, VIRTIO_STATUS_ACKNOWLEDGE, "after ACKNOWLEDGE");
	set_status(c, v, ST_DRIVER);
	expect_status(c, v, ST_DRIVER, "after DRIVER");
	check_ok(c, &e, vuc_set_features(v, f, &e));
	set_status(c, v, ST_FEATURES_OK);
	expect_status(c, v, ST_FEATURES_OK, "after FEATURES_OK");
}

static void status_features_not_ok(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = with_status(c);
	uint64_t f = (check_facts(c)->features & VIRTIO_BIT(VIRTIO_F_VERSION_1)) | BIT30;
	uint8_t st;
	int ret;

	if (check_facts(c)->features >> 63 & 1)
		check_skip(c, "feature 63 is offered");
	set_status(c, v, ST_DRIVER);
	ret = vuc_set_features(v, f | VIRTIO_BIT(63), &e);
	if (check_refused(c, v, ret))
		return; /* said so earlier */
	set_status(c, v, ST_FEATURES_OK);
	check_ok(c, &e, vuc_get_status(v, &st, &e));
	if (st & VIRTIO_STATUS_FEATURES_OK)
		check_fail(c, "FEATURES_OK is not set: a feature was not offered", "0x%02x", st);
}

static void status_driver_ok(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	check_works(c, d, 0);
	expect_status(c, d->v, ST_DRIVER_OK, "while a queue runs");
}

static void status_0_resets(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	check_works(c, d, 0);
	set_status(c, d->v, 0);
	expect_status(c, d->v, 0, "after 0 was written");
	must_rest(c, d, "after status 0");
}

#define RESET  "vhost-user: VHOST_USER_RESET_DEVICE"
#define STATUS "vhost-user: VHOST_USER_SET_STATUS"

const struct check_case check_reset_cases[] = {
	{ "reset.stops-rings", RESET, "after RESET_DEVICE rings are not served", CHECK_MUST,
	  NEED_RESET | NEED_BLK, true, stops_rings },
	{ "reset.before-anything", RESET, "RESET_DEVICE of a device that never ran does no harm",
	  CHECK_MUST, NEED_RESET, true, before_anything },
	{ "reset.set-up-again", RESET,
	  "after RESET_DEVICE the same owner sets the device up anew, again and again", CHECK_MUST,
	  NEED_RESET | NEED_BLK, true, set_up_again },
	{ "reset.keeps-memory", RESET, "RESET_DEVICE does not take the guest memory away",
	  CHECK_SHOULD, NEED_RESET | NEED_BLK, true, keeps_memory },
	{ "reset.keeps-protocol-features", RESET,
	  "protocol features are those of the connection and outlive RESET_DEVICE", CHECK_SHOULD,
	  NEED_RESET | NEED_REPLY_ACK, false, keeps_protocol_features },
	{ "reset.while-busy", RESET,
	  "RESET_DEVICE comes while requests run, and nothing is written afterwards", CHECK_MUST,
	  NEED_RESET | NEED_BLK, true, while_busy },
	{ "reset.all-queues", RESET, "RESET_DEVICE is about all queues", CHECK_MUST,
	  NEED_RESET | NEED_BLK | NEED_MQ, true, all_queues },
	{ "reset.forgets-cache-mode", RESET, "RESET_DEVICE takes back what the driver configured",
	  CHECK_MUST, NEED_RESET | NEED_CONFIG | NEED_CONFIG_WCE, false, forgets_cache_mode },
	{ "reset.owner-harmless", "vhost-user: VHOST_USER_RESET_OWNER",
	  "RESET_OWNER, which is deprecated, does no more than to disable the rings", CHECK_SHOULD,
	  NEED_BLK, true, owner_harmless },
	{ "reset.status-begins-with-0", "VIRTIO 1.3 2.1.2", "the status is 0 in the beginning",
	  CHECK_MUST, NEED_STATUS, false, status_begins_with_0 },
	{ "reset.status-sequence", STATUS, "GET_STATUS gives the bits that SET_STATUS set",
	  CHECK_MUST, NEED_STATUS, false, status_sequence },
	{ "reset.status-features-not-ok", "VIRTIO 1.3 2.2.2",
	  "FEATURES_OK does not stay with features that were not offered", CHECK_SHOULD,
	  NEED_STATUS, false, status_features_not_ok },
	{ "reset.status-driver-ok", STATUS, "DRIVER_OK stays while queues run", CHECK_MUST,
	  NEED_STATUS | NEED_BLK, true, status_driver_ok },
	{ "reset.status-0-resets", STATUS, "status 0 stops the queues", CHECK_MUST,
	  NEED_STATUS | NEED_BLK, true, status_0_resets },
	{ 0 },
};
