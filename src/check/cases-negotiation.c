/* SPDX-License-Identifier: MIT */
/* vuctl check: owner, features, protocol features. */
#include <errno.h>
#include <inttypes.h>

#include "check/check.h"
#include "wire/virtio-blk.h"

#define PF(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)
#define BIT30 VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)

/* Above all that is given out so far. */
#define UNKNOWN_BIT 63

static uint64_t features(struct check *c, struct vuc *v)
{
	struct err e = { .code = 0 };
	uint64_t f;

	check_ok(c, &e, vuc_get_features(v, &f, &e));
	return f;
}

static uint64_t protocol_features(struct check *c, struct vuc *v)
{
	struct err e = { .code = 0 };
	uint64_t f;

	check_ok(c, &e, vuc_get_protocol_features(v, &f, &e));
	return f;
}

static void same(struct check *c, const char *expected, uint64_t was, uint64_t is)
{
	if (was != is)
		check_fail(c, expected, "0x%" PRIx64 " first, 0x%" PRIx64 " then", was, is);
}

/* ---- what is offered ---- */

static void features_are_stable(struct check *c)
{
	struct vuc *v = check_connect(c);
	uint64_t f = features(c, v);

	same(c, "the same features each time they are asked for", f, features(c, v));
}

static void features_survive_reconnect(struct check *c)
{
	struct vuc *v = check_connect(c);
	uint64_t f = features(c, v);

	check_disconnect(c, v);
	same(c, "the same features over the next connection", f, features(c, check_connect(c)));
}

/* VHOST_GET_FEATURES: what is supported, whatever was accepted. */
static void offer_outlives_acceptance(struct check *c)
{
	struct vuc *v = check_connect(c);
	uint64_t f = features(c, v), pf = 0;

	if (f & BIT30)
		pf = protocol_features(c, v);
	check_negotiate(c, v, VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30, 0);
	same(c, "GET_FEATURES gives what is offered, not what was accepted", f, features(c, v));
	if (f & BIT30)
		same(c, "GET_PROTOCOL_FEATURES gives what is offered, not what was accepted", pf,
		     protocol_features(c, v));
}

static void version_1(struct check *c)
{
	uint64_t f = features(c, check_connect(c));

	if (!(f & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		check_fail(c, "bit 32, VIRTIO_F_VERSION_1", "features 0x%" PRIx64, f);
}

static void flush_offered(struct check *c)
{
	if (!check_offers(c, VIRTIO_BLK_F_FLUSH))
		check_fail(c, "a disk offers VIRTIO_BLK_F_FLUSH", "features 0x%" PRIx64,
			   features(c, check_connect(c)));
}

static void flush_with_config_wce(struct check *c)
{
	if (!check_offers(c, VIRTIO_BLK_F_FLUSH))
		check_fail(c, "VIRTIO_BLK_F_FLUSH where VIRTIO_BLK_F_CONFIG_WCE is offered",
			   "features 0x%" PRIx64, features(c, check_connect(c)));
}

/* ---- protocol features ---- */

static void protocol_features_first(struct check *c)
{
	struct vuc *v = check_connect(c);
	uint64_t pf;

	features(c, v);
	/* Neither SET_FEATURES nor SET_OWNER yet. */
	pf = protocol_features(c, v);
	same(c, "the same protocol features each time they are asked for", pf,
	     protocol_features(c, v));
}

/* In force without bit 30 in SET_FEATURES: QEMU leaves it out for some devices. */
static void protocol_features_without_bit_30(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = check_connect(c);
	uint64_t f = features(c, v);

	check_ok(c, &e, vuc_set_protocol_features(v, PF(REPLY_ACK), &e));
	/* From here on all is sent with need_reply, and so must be answered. */
	if (vuc_set_owner(v, &e) < 0)
		check_fail(c, "SET_OWNER is acknowledged: REPLY_ACK was set before SET_FEATURES",
			   "%s", e.what);
	if (vuc_set_features(v, f & VIRTIO_BIT(VIRTIO_F_VERSION_1), &e) < 0)
		check_fail(c, "SET_FEATURES without bit 30 is accepted and acknowledged", "%s",
			   e.what);
	if (vuc_set_owner(v, &e) < 0 && e.code != -EREMOTEIO)
		check_fail(c, "REPLY_ACK is in force though SET_FEATURES had no bit 30", "%s",
			   e.what);
}

static void protocol_features_again(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = check_connect(c);
	uint64_t pf;

	check_negotiate(c, v, UINT64_MAX, UINT64_MAX);
	pf = vuc_protocol_features(v);
	if (vuc_set_protocol_features(v, pf, &e) < 0)
		check_fail(c, "SET_PROTOCOL_FEATURES may be repeated", "%s", e.what);
	features(c, v);
}

static void no_protocol_features(struct check *c)
{
	const struct check_dev_args a = { .protocol_off = UINT64_MAX };

	check_works(c, check_dev(c, &a), 0);
}

static void each_protocol_feature_apart(struct check *c)
{
	uint64_t all = check_facts(c)->protocol_features;

	for (unsigned int i = 0; i < 64; i++) {
		struct check_dev_args a = { .protocol_off = ~(UINT64_C(1) << i) };
		struct check_dev *d;

		if (!(all >> i & 1))
			continue;
		d = check_dev(c, &a);
		/* Where it is not one that we know it is left out, and the rest as well. */
		check_note(c, "protocol features 0x%" PRIx64, vuc_protocol_features(d->v));
		check_works(c, d, 0);
		check_dev_close(c, d);
	}
}

/* ---- what is accepted ---- */

static void only_version_1(struct check *c)
{
	/* The ring format stays: it is what this is run over. */
	const struct check_dev_args a = {
		.virtio_off = ~(VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30 |
				VIRTIO_BIT(VIRTIO_F_RING_PACKED)),
	};

	check_works(c, check_dev(c, &a), 0);
}

static void each_feature_left_out(struct check *c)
{
	uint64_t all = check_facts(c)->features &
		       ~(VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30 | VIRTIO_BIT(VIRTIO_F_RING_PACKED));

	for (unsigned int i = 0; i < 64; i++) {
		struct check_dev_args a = { .virtio_off = UINT64_C(1) << i };
		struct check_dev *d;

		if (!(all >> i & 1))
			continue;
		check_note(c, "without feature %u", i);
		/* 5.2.3.1: one that needs another cannot go alone. */
		if (i == VIRTIO_BLK_F_FLUSH)
			a.virtio_off |= VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);
		d = check_dev(c, &a);
		check_works(c, d, 0);
		check_dev_close(c, d);
	}
}

static void unoffered_feature(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = check_connect(c);
	uint64_t f;
	bool refused;

	check_negotiate(c, v, VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30, PF(REPLY_ACK));
	f = features(c, v);
	if (f >> UNKNOWN_BIT & 1)
		check_skip(c, "feature %u is offered", UNKNOWN_BIT);
	f &= VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30;
	f |= VIRTIO_BIT(UNKNOWN_BIT);
	refused = check_refused(c, v, vuc_set_features(v, f, &e));
	check_alive(c);
	if (!refused)
		check_fail(c, "SET_FEATURES with a feature that was not offered is refused",
			   "it was accepted");
}

static void unoffered_protocol_feature(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = check_connect(c);
	uint64_t pf;
	struct vuc_msg m = {
		.request = VHOST_USER_SET_PROTOCOL_FEATURES,
		.payload = &pf,
		.size = sizeof(pf),
	};
	bool refused;

	check_negotiate(c, v, VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30, PF(REPLY_ACK));
	if (protocol_features(c, v) >> UNKNOWN_BIT & 1)
		check_skip(c, "protocol feature %u is offered", UNKNOWN_BIT);
	pf = vuc_protocol_features(v) | VIRTIO_BIT(UNKNOWN_BIT);
	refused = check_refused(c, v, vuc_call(v, &m, &e));
	check_alive(c);
	if (!refused)
		check_fail(c,
			   "SET_PROTOCOL_FEATURES with one that was not offered is refused, or "
			   "ends the connection",
			   "it was accepted");
}

/* ---- owner, queues ---- */

static void owner_twice(struct check *c)
{
	struct err e = { .code = 0 };
	struct check_dev *d = check_dev(c, NULL);
	int ret;

	/* QEMU says it again when a device is unplugged and plugged, over one connection. */
	ret = vuc_set_owner(d->v, &e);
	if (ret < 0 && ret != -EREMOTEIO)
		check_fail(c, "a second SET_OWNER of the same owner is ignored or refused", "%s",
			   e.what);
	check_works(c, d, 0);
}

static void queue_count(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = check_connect(c);
	uint64_t n, again;

	if (!check_offers_protocol(c, VHOST_USER_PROTOCOL_F_MQ))
		check_skip(c, "not offered: MQ");
	check_negotiate(c, v, UINT64_MAX, UINT64_MAX);
	check_ok(c, &e, vuc_get_queue_num(v, &n, &e)); /* 0 is an error there */
	check_ok(c, &e, vuc_get_queue_num(v, &again, &e));
	if (n != again)
		check_fail(c, "the same number of queues each time",
			   "%" PRIu64 " first, %" PRIu64 " then", n, again);
}

static void mq_offered(struct check *c)
{
	if (!check_offers_protocol(c, VHOST_USER_PROTOCOL_F_MQ))
		check_fail(c, "MQ, even for a fixed number of queues",
			   "protocol features 0x%" PRIx64, check_facts(c)->protocol_features);
}

static void every_queue_starts(struct check *c)
{
	unsigned int n = check_facts(c)->queues;
	const struct check_dev_args a = { .queues = n < CHECK_QUEUES ? n : CHECK_QUEUES };
	struct check_dev *d = check_dev(c, &a);

	for (unsigned int i = 0; i < d->nq; i++)
		check_works(c, d, i);
}

#define GET_FEATURES  "vhost-user: VHOST_USER_GET_FEATURES"
#define GET_PROTOCOL  "vhost-user: VHOST_USER_GET_PROTOCOL_FEATURES"
#define SET_PROTOCOL  "vhost-user: VHOST_USER_SET_PROTOCOL_FEATURES"
#define COMMUNICATION "vhost-user: Communication"

const struct check_case check_negotiation_cases[] = {
	{ "negotiation.features-are-stable", GET_FEATURES,
	  "GET_FEATURES gives the same answer each time within a connection", CHECK_MUST, 0, false,
	  features_are_stable },
	{ "negotiation.features-survive-reconnect", GET_FEATURES,
	  "the next connection is offered the same features", CHECK_SHOULD, 0, false,
	  features_survive_reconnect },
	{ "negotiation.offer-outlives-acceptance", GET_FEATURES,
	  "what is offered does not depend on what was accepted", CHECK_MUST, 0, false,
	  offer_outlives_acceptance },
	{ "negotiation.version-1", "VIRTIO 1.3 6.2", "VIRTIO_F_VERSION_1 is offered", CHECK_MUST, 0,
	  false, version_1 },
	{ "negotiation.flush-offered", "VIRTIO 1.3 5.2.5.2", "a disk offers VIRTIO_BLK_F_FLUSH",
	  CHECK_SHOULD, NEED_BLK, false, flush_offered },
	{ "negotiation.flush-with-config-wce", "VIRTIO 1.3 5.2.5.2",
	  "a disk that offers VIRTIO_BLK_F_CONFIG_WCE offers VIRTIO_BLK_F_FLUSH", CHECK_MUST,
	  NEED_CONFIG_WCE, false, flush_with_config_wce },
	{ "negotiation.protocol-features-first", GET_PROTOCOL,
	  "protocol features are answered before SET_FEATURES, the same each time", CHECK_MUST,
	  NEED_PROTOCOL, false, protocol_features_first },
	{ "negotiation.protocol-features-without-bit-30", SET_PROTOCOL,
	  "protocol features are in force though bit 30 was not accepted", CHECK_MUST,
	  NEED_PROTOCOL | NEED_REPLY_ACK, false, protocol_features_without_bit_30 },
	{ "negotiation.protocol-features-again", SET_PROTOCOL,
	  "SET_PROTOCOL_FEATURES may be repeated, as QEMU does for each queue pair", CHECK_SHOULD,
	  NEED_PROTOCOL, false, protocol_features_again },
	{ "negotiation.no-protocol-features", COMMUNICATION,
	  "a front-end that accepts no protocol feature is served", CHECK_MUST,
	  NEED_PROTOCOL | NEED_BLK, true, no_protocol_features },
	{ "negotiation.each-protocol-feature-apart", COMMUNICATION,
	  "each protocol feature can be accepted without the others", CHECK_SHOULD,
	  NEED_PROTOCOL | NEED_BLK, false, each_protocol_feature_apart },
	{ "negotiation.only-version-1", "VIRTIO 1.3 2.2.2",
	  "a driver that accepts nothing but VIRTIO_F_VERSION_1 is served", CHECK_SHOULD, NEED_BLK,
	  true, only_version_1 },
	{ "negotiation.each-feature-left-out", "VIRTIO 1.3 2.2.2",
	  "a driver that leaves out any one feature is served", CHECK_SHOULD, NEED_BLK, true,
	  each_feature_left_out },
	{ "negotiation.unoffered-feature", "VIRTIO 1.3 2.2.2",
	  "a feature that was not offered is refused when it is accepted", CHECK_SHOULD, 0, false,
	  unoffered_feature },
	{ "negotiation.unoffered-protocol-feature", SET_PROTOCOL,
	  "a protocol feature that was not offered is refused when it is accepted", CHECK_SHOULD,
	  NEED_PROTOCOL, false, unoffered_protocol_feature },
	{ "negotiation.owner-twice", "vhost-user: VHOST_USER_SET_OWNER",
	  "SET_OWNER again from the owner does no harm", CHECK_SHOULD, NEED_BLK, true,
	  owner_twice },
	{ "negotiation.mq-offered", "vhost-user: Multiple queue support",
	  "MQ is offered, so that the number of queues can be asked for", CHECK_SHOULD,
	  NEED_PROTOCOL, false, mq_offered },
	{ "negotiation.queue-count", "vhost-user: VHOST_USER_GET_QUEUE_NUM",
	  "there is at least one queue, and the same number each time", CHECK_MUST, NEED_PROTOCOL,
	  false, queue_count },
	{ "negotiation.every-queue-starts", "vhost-user: Multiple queue support",
	  "all queues that GET_QUEUE_NUM told of serve, up to eight", CHECK_MUST,
	  NEED_MQ | NEED_BLK, true, every_queue_starts },
	{ 0 },
};
