/* SPDX-License-Identifier: MIT */
/* Negotiation, ownership, and the reset of the device by message. */
#include <errno.h>
#include <inttypes.h>

#include "transport/vhost-user/session.h"
#include "wire/virtio.h"

#define BIT(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)

/* Only what works is offered; everything else is an unknown request. */
#define PROTOCOL_FEATURES                                                                \
	(BIT(MQ) | BIT(REPLY_ACK) | BIT(BACKEND_REQ) | BIT(CONFIG) | BIT(RESET_DEVICE) | \
	 BIT(CONFIGURE_MEM_SLOTS))

int vu_get_features(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	uint64_t v = vdev_offered(s->dev);

	return vu_session_reply(s, &v, sizeof(v), e);
}

int vu_set_features(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	int ret = vdev_set_features(s->dev, m->p.u64, e);

	if (ret < 0)
		return ret;
	s->features_set = true;
	/*
	 * "Ring states": without bit 30 rings are enabled from the start. With
	 * it they begin disabled, as they are; one that is enabled already
	 * stays so, since this message also comes while rings run.
	 */
	if (m->p.u64 & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
		return VU_DONE;
	for (unsigned int i = 0; i < s->nrings; i++) {
		s->rings[i].enabled = true;
		vdev_queue_enable(s->dev, i, true, NULL);
	}
	vu_session_check_running(s);
	return VU_DONE;
}

/* Both are legal before SET_FEATURES, and do not depend on bit 30 being accepted. */
int vu_get_protocol_features(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	uint64_t v = PROTOCOL_FEATURES;

	return vu_session_reply(s, &v, sizeof(v), e);
}

int vu_set_protocol_features(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	if (m->p.u64 & ~PROTOCOL_FEATURES)
		return err_set(e, -EINVAL, "bad-features",
			       "protocol features 0x%" PRIx64 " were not offered",
			       m->p.u64 & ~PROTOCOL_FEATURES);
	s->protocol = m->p.u64;
	s->back.ask = vu_session_has(s, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	return VU_DONE;
}

static void owner_changed(struct vu_session *s, int res)
{
	struct err e;

	if (res < 0)
		err_sys(&e, res, "reset-failed", "cannot reset the device for its next owner");
	vu_rings_reset(s);
	s->features_set = false;
	gmem_put(s->mem);
	s->mem = NULL;
	vu_session_answer(s, res, &e);
}

/*
 * One socket, one owner, but perhaps one after the other: QEMU keeps the
 * connection when a disk is unplugged and plugged in again, takes nothing
 * back, and begins from the beginning. Memory it added before it adds again;
 * with the old regions still there that would be an overlap. While a ring
 * runs it can only be a repetition.
 */
int vu_set_owner(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	if (!s->mem)
		return VU_DONE;
	for (unsigned int i = 0; i < s->nrings; i++)
		if (s->rings[i].started)
			return VU_DONE;
	vdev_reset(s->dev, 0, vu_session_wait(s, owner_changed));
	return VU_LATER;
}

/* "VHOST_USER_RESET_OWNER" is deprecated; back ends are told to ignore it. */
int vu_reset_owner(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	return VU_DONE;
}

int vu_get_queue_num(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	uint64_t v = s->nrings;

	return vu_session_reply(s, &v, sizeof(v), e);
}

static void reset_memory_back(struct vu_session *s, int res)
{
	struct err e;

	if (res < 0)
		err_sys(&e, res, "reset-failed", "the device did not take its memory back");
	vu_session_answer(s, res, &e);
}

static void reset_device_done(struct vu_session *s, int res)
{
	struct err e;

	if (res < 0) {
		err_sys(&e, res, "reset-failed", "cannot reset the device");
		vu_session_answer(s, res, &e);
		return;
	}
	vu_rings_reset(s);
	s->features_set = false;
	/* The core forgets the memory, the session does not. */
	vdev_set_memory(s->dev, s->mem, vu_session_wait(s, reset_memory_back));
}

/*
 * "VHOST_USER_RESET_DEVICE": all rings disabled, all state as in the
 * beginning; memory, ownership and protocol features stay.
 */
int vu_reset_device(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	vdev_reset(s->dev, 0, vu_session_wait(s, reset_device_done));
	return VU_LATER;
}
