/* SPDX-License-Identifier: MIT */
/* The configuration space by message, and the channel that tells of its changes. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "transport/vhost-user/session.h"
#include "util/compiler.h"
#include "util/log.h"

/* "Virtio device config space": 0 is a write by the driver, 1 one of a migration. */
#define CONFIG_FLAG_DRIVER    0
#define CONFIG_FLAG_MIGRATION 1

int vu_get_config(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	const struct vhost_user_config *c = &m->p.config;
	struct vhost_user_config r = { .offset = c->offset, .size = c->size, .flags = c->flags };
	uint32_t have = vdev_config_size(s->dev);

	/*
	 * The reply is as long as the request, or has no payload when it
	 * cannot be answered. A front end that reads from the start asks for
	 * as much as its own description of the device has: less than ours, or
	 * more when it knows a later standard; bytes that the device does not
	 * have are zero there.
	 */
	if (c->size != m->hdr.size - VHOST_USER_CONFIG_HDR_SIZE || c->offset >= have ||
	    (c->offset && c->size > have - c->offset) ||
	    vdev_config_read(s->dev, c->offset, r.region, MIN(c->size, have - c->offset)) < 0) {
		log_warning("%s: GET_CONFIG of %u bytes at %u refused, the device has %u",
			    vdev_name(s->dev), c->size, c->offset, have);
		return vu_session_reply(s, NULL, 0, e);
	}
	return vu_session_reply(s, &r, m->hdr.size, e);
}

static void config_written(struct vu_session *s, int res)
{
	struct err e;

	if (res < 0)
		err_sys(&e, res, "config-failed", "the device could not do as configured");
	vu_session_answer(s, res < 0 ? VU_REFUSED : VU_DONE, &e);
}

int vu_set_config(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	const struct vhost_user_config *c = &m->p.config;
	uint32_t have = vdev_config_size(s->dev);
	int ret;

	if (c->flags != CONFIG_FLAG_DRIVER && c->flags != CONFIG_FLAG_MIGRATION)
		return err_set(e, -EINVAL, "bad-config", "SET_CONFIG with flags 0x%x", c->flags);
	if (c->size != m->hdr.size - VHOST_USER_CONFIG_HDR_SIZE || c->offset > have ||
	    c->size > have - c->offset)
		return err_set(e, -EINVAL, "bad-config",
			       "SET_CONFIG of %u bytes at %u, the device has %u", c->size,
			       c->offset, have);
	ret = vdev_config_write(s->dev, c->offset, c->region, c->size);
	if (ret == 0)
		return VU_DONE;
	if (ret == -EINPROGRESS) {
		vdev_config_wait(s->dev, vu_session_wait(s, config_written));
		return VU_LATER;
	}
	/* A driver's write to a read-only field must not cost its VM the device. */
	err_sys(e, ret, "config-refused", "the device refused %u bytes at %u", c->size, c->offset);
	return VU_REFUSED;
}

int vu_set_backend_req_fd(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	return vu_backchan_open(&s->back, vu_io_take_fd(&s->io), e);
}

static bool any_running(const struct vu_session *s)
{
	for (unsigned int i = 0; i < s->nrings; i++)
		if (s->rings[i].started)
			return true;
	return false;
}

void vu_session_config_changed(struct vu_session *s)
{
	if (s->closing || !vu_session_has(s, VHOST_USER_PROTOCOL_F_CONFIG))
		return;
	s->back.want = true;
	/* "Suspended device state": nothing is sent while all rings are stopped. */
	if (any_running(s))
		vu_backchan_push(&s->back);
}
