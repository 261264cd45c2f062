/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: the driver's transport over a connection of a case. It does
 * what vuc_transport() does, but leaves the choice of protocol features to the
 * case, and the connection too.
 */
#include <errno.h>
#include <unistd.h>

#include "check/check-impl.h"
#include "util/compiler.h"

#define PF(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)

#define STATUS_DRIVER      (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER)
#define STATUS_FEATURES_OK (STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK)

static struct check_dev_impl *self(struct fe_transport *t)
{
	return container_of(t, struct check_dev_impl, t);
}

static int conn(struct fe_transport *t, struct vuc **v, struct err *e)
{
	*v = self(t)->d.v;
	if (!*v)
		return err_set(e, -ENOTCONN, "vhost-user-lost", "the connection was closed");
	return 0;
}

static int set_status(struct check_dev_impl *p, uint8_t status, struct err *e)
{
	int ret;

	if (!(p->protocol & PF(STATUS)) || p->status == status)
		return 0;
	ret = vuc_set_status(p->d.v, status, e);
	if (ret == 0)
		p->status = status;
	return ret;
}

int check_transport_driver_ok(struct check_dev_impl *p, struct err *e)
{
	return p->d.v ? set_status(p, STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK, e) : 0;
}

int check_transport_set_features(struct check_dev_impl *p, uint64_t features, struct err *e)
{
	int ret = set_status(p, STATUS_DRIVER, e);

	if (ret == 0)
		ret = vuc_set_features(p->d.v, features, e);
	if (ret == 0)
		p->d.virtio = features;
	return ret == 0 ? set_status(p, STATUS_FEATURES_OK, e) : ret;
}

static int op_features(struct fe_transport *t, uint64_t *offered, struct err *e)
{
	*offered = self(t)->offered & ~VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	(void)e;
	return 0;
}

static int op_set_features(struct fe_transport *t, uint64_t features, struct err *e)
{
	struct check_dev_impl *p = self(t);
	struct vuc *v;
	int ret = conn(t, &v, e);

	if (ret < 0)
		return ret;
	return check_transport_set_features(p,
					    features | (p->offered &
							VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)),
					    e);
}

static int op_max_queues(struct fe_transport *t, unsigned int *n, struct err *e)
{
	(void)e;
	*n = self(t)->c->facts.queues;
	return 0;
}

static int op_set_mem(struct fe_transport *t, const struct fe_mem *m, struct err *e)
{
	struct vuc *v;
	int ret = conn(t, &v, e);

	if (ret == 0 && m->n <= VHOST_USER_MAX_REGIONS)
		return vuc_set_mem_table(v, m, e);
	if (ret == 0 && !(self(t)->protocol & PF(CONFIGURE_MEM_SLOTS)))
		return err_set(e, -E2BIG, "memory-regions", "%u regions need memory slots", m->n);
	for (unsigned int i = 0; ret == 0 && i < m->n; i++)
		ret = vuc_add_mem_reg(v, &m->r[i], e);
	return ret;
}

static int op_queue_start(struct fe_transport *t, const struct fe_queue_cfg *q, struct err *e)
{
	struct check_dev_impl *p = self(t);
	const struct drv_ring *r = q->ring;
	/* Ring addresses are "user addresses": where the rings are mapped here. */
	uint64_t at = (uintptr_t)r->desc - r->layout.desc, one = 1;
	struct vhost_user_vring_addr a = {
		.index = q->index,
		.desc = at + r->layout.desc,
		.avail = at + r->layout.driver,
		.used = at + r->layout.device,
	};
	struct vuc *v;
	int ret = conn(t, &v, e);

	if (ret == 0)
		ret = vuc_set_vring_num(v, q->index, r->size, e);
	if (ret == 0)
		ret = vuc_set_vring_base(v, q->index, q->base, r->packed, e);
	if (ret == 0)
		ret = vuc_set_vring_addr(v, &a, e);
	if (ret == 0)
		ret = vuc_set_vring_call(v, q->index, q->call_fd, e);
	if (ret == 0)
		ret = vuc_set_vring_err(v, q->index, q->err_fd, e);
	if (ret == 0)
		ret = vuc_set_vring_kick(v, q->index, q->kick_fd, e);
	if (ret == 0 && (p->d.virtio & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		ret = vuc_set_vring_enable(v, q->index, true, e);
	if (ret == 0 && !p->hold)
		ret = check_transport_driver_ok(p, e);
	/* "Ring states": by older texts a ring starts at its first kick only. */
	if (ret == 0 && q->kick_fd >= 0 && write(q->kick_fd, &one, sizeof(one)) < 0 &&
	    errno != EAGAIN)
		ret = err_sys(e, -errno, "kick", "cannot kick queue %u", q->index);
	return ret;
}

static int op_queue_stop(struct fe_transport *t, unsigned int qi, struct vq_base *base,
			 struct err *e)
{
	struct vuc *v;
	int ret = conn(t, &v, e);

	return ret ? ret :
		     vuc_get_vring_base(v, qi, self(t)->d.virtio & VIRTIO_BIT(VIRTIO_F_RING_PACKED),
					base, e);
}

static int op_queue_enable(struct fe_transport *t, unsigned int qi, bool on, struct err *e)
{
	struct vuc *v;
	int ret = conn(t, &v, e);

	return ret ? ret : vuc_set_vring_enable(v, qi, on, e);
}

static int op_config_get(struct fe_transport *t, uint32_t off, void *buf, uint32_t len,
			 struct err *e)
{
	struct vuc *v;
	int ret = conn(t, &v, e);

	return ret ? ret : vuc_get_config(v, off, buf, len, e);
}

static int op_config_set(struct fe_transport *t, uint32_t off, const void *buf, uint32_t len,
			 struct err *e)
{
	struct vuc *v;
	int ret = conn(t, &v, e);

	return ret ? ret : vuc_set_config(v, off, buf, len, 0, e);
}

static int op_config_wait(struct fe_transport *t, int timeout_ms, struct err *e)
{
	struct vuc *v;
	int ret = conn(t, &v, e);

	return ret ? ret : vuc_backend_wait(v, timeout_ms, e);
}

static int op_reset(struct fe_transport *t, struct err *e)
{
	struct check_dev_impl *p = self(t);
	struct vuc *v;
	int ret = conn(t, &v, e);

	if (ret == 0 && (p->protocol & PF(RESET_DEVICE)))
		ret = vuc_reset_device(v, e);
	for (unsigned int i = 0; ret == 0 && i < p->d.nq; i++) {
		if (p->d.q[i].running && !(p->protocol & PF(RESET_DEVICE)))
			ret = fe_queue_stop(&p->d.q[i], t, NULL, e);
		p->d.q[i].running = false;
	}
	return ret ? ret : set_status(p, 0, e);
}

static void op_close(struct fe_transport *t)
{
	/* The connection is the case's. */
	(void)t;
}

const struct fe_transport_ops check_transport_ops = {
	.name = "vhost-user",
	.features = op_features,
	.set_features = op_set_features,
	.max_queues = op_max_queues,
	.set_mem = op_set_mem,
	.queue_start = op_queue_start,
	.queue_stop = op_queue_stop,
	.queue_enable = op_queue_enable,
	.config_get = op_config_get,
	.config_set = op_config_set,
	.config_wait = op_config_wait,
	.reset = op_reset,
	.close = op_close,
};
