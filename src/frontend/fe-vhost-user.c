/* SPDX-License-Identifier: MIT */
/* The driver's transport over a vhost-user socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/queue.h"
#include "frontend/vuc-internal.h"
#include "util/compiler.h"
#include "wire/virtio.h"

#define PF(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)
#define WANTED                                                                      \
	(PF(MQ) | PF(REPLY_ACK) | PF(BACKEND_REQ) | PF(CONFIG) | PF(RESET_DEVICE) | \
	 PF(CONFIGURE_MEM_SLOTS) | PF(STATUS))

#define STATUS_NEGOTIATING (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER)

struct fe_vhost_user {
	struct fe_transport t;
	struct vuc *c;
	uint64_t offered;
	uint64_t features; /* as set, bit 30 included */
	uint8_t status;
	bool slots; /* memory was given region by region */
	unsigned int nslots;
	struct fe_region slot[FE_MEM_MAX_REGIONS]; /* addresses only */
	bool running[VHOST_USER_MAX_VRINGS];
};

static struct fe_vhost_user *self(struct fe_transport *t)
{
	return container_of(t, struct fe_vhost_user, t);
}

struct vuc *vuc_of_transport(struct fe_transport *t)
{
	return self(t)->c;
}

static bool has(const struct fe_vhost_user *f, uint64_t bit)
{
	return vuc_protocol_features(f->c) & bit;
}

static bool is_packed(const struct fe_vhost_user *f)
{
	return f->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}

/* ---- negotiation ---- */

static int op_features(struct fe_transport *t, uint64_t *offered, struct err *e)
{
	struct fe_vhost_user *f = self(t);
	int ret = vuc_get_features(f->c, &f->offered, e);

	/* Bit 30 is the socket's own business. */
	*offered = f->offered & ~VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	return ret;
}

static int set_status(struct fe_vhost_user *f, uint8_t status, struct err *e)
{
	int ret;

	if (!has(f, PF(STATUS)) || f->status == status)
		return 0;
	ret = vuc_set_status(f->c, status, e);
	if (ret == 0)
		f->status = status;
	return ret;
}

static int op_set_features(struct fe_transport *t, uint64_t features, struct err *e)
{
	struct fe_vhost_user *f = self(t);
	uint8_t st;
	int ret;

	f->features = features | (f->offered & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
	ret = set_status(f, STATUS_NEGOTIATING, e);
	if (ret == 0)
		ret = vuc_set_features(f->c, f->features, e);
	if (ret == 0)
		ret = set_status(f, STATUS_NEGOTIATING | VIRTIO_STATUS_FEATURES_OK, e);
	if (ret || !has(f, PF(STATUS)))
		return ret;
	ret = vuc_get_status(f->c, &st, e);
	if (ret == 0 && !(st & VIRTIO_STATUS_FEATURES_OK))
		return err_set(e, -ENOTSUP, "features-refused",
			       "the back-end did not accept the features");
	return ret;
}

static int op_max_queues(struct fe_transport *t, unsigned int *n, struct err *e)
{
	struct fe_vhost_user *f = self(t);
	uint64_t v = 1;
	int ret = has(f, PF(MQ)) ? vuc_get_queue_num(f->c, &v, e) : 0;

	*n = (unsigned int)MIN(v, (uint64_t)VHOST_USER_MAX_VRINGS);
	return ret;
}

/* ---- memory ---- */

static bool same_region(const struct fe_region *a, const struct fe_region *b)
{
	/* The same place is not enough: there may be another file now. */
	return a->id == b->id && a->gpa == b->gpa && a->size == b->size && a->uva == b->uva;
}

static bool contains(const struct fe_region *list, unsigned int n, const struct fe_region *r)
{
	for (unsigned int i = 0; i < n; i++)
		if (same_region(&list[i], r))
			return true;
	return false;
}

/* Region by region: take away what is gone, add what is new. */
static int set_slots(struct fe_vhost_user *f, const struct fe_mem *m, struct err *e)
{
	int ret = 0;

	f->slots = true;
	for (unsigned int i = 0; i < f->nslots;) {
		if (contains(m->r, m->n, &f->slot[i])) {
			i++;
			continue;
		}
		ret = vuc_rem_mem_reg(f->c, &f->slot[i], e);
		if (ret)
			return ret;
		f->slot[i] = f->slot[--f->nslots];
	}
	for (unsigned int i = 0; i < m->n; i++) {
		if (contains(f->slot, f->nslots, &m->r[i]))
			continue;
		ret = vuc_add_mem_reg(f->c, &m->r[i], e);
		if (ret)
			return ret;
		f->slot[f->nslots++] = m->r[i];
	}
	return 0;
}

static int op_set_mem(struct fe_transport *t, const struct fe_mem *m, struct err *e)
{
	struct fe_vhost_user *f = self(t);

	if (f->slots || m->n > VHOST_USER_MAX_REGIONS) {
		if (!has(f, PF(CONFIGURE_MEM_SLOTS)))
			return err_set(e, -E2BIG, "memory-regions",
				       "guest memory has %u regions, the back-end can take %u",
				       m->n, VHOST_USER_MAX_REGIONS);
		return set_slots(f, m, e);
	}
	return vuc_set_mem_table(f->c, m, e);
}

/* ---- queues ---- */

static uint64_t uva(const struct drv_ring *r, uint64_t off)
{
	/* The back-end is given user addresses of rings: where they are mapped here. */
	return (uintptr_t)r->desc + off;
}

static int op_queue_start(struct fe_transport *t, const struct fe_queue_cfg *q, struct err *e)
{
	struct fe_vhost_user *f = self(t);
	const struct drv_ring *r = q->ring;
	struct vhost_user_vring_addr a = {
		.index = q->index,
		.desc = uva(r, r->layout.desc),
		.avail = uva(r, r->layout.driver),
		.used = uva(r, r->layout.device),
	};
	int ret = vuc_set_vring_num(f->c, q->index, r->size, e);

	if (ret == 0)
		ret = vuc_set_vring_base(f->c, q->index, q->base, r->packed, e);
	if (ret == 0)
		ret = vuc_set_vring_addr(f->c, &a, e);
	if (ret == 0)
		ret = vuc_set_vring_call(f->c, q->index, q->call_fd, e);
	if (ret == 0)
		ret = vuc_set_vring_err(f->c, q->index, q->err_fd, e);
	if (ret == 0)
		ret = vuc_set_vring_kick(f->c, q->index, q->kick_fd, e);
	if (ret == 0 && (f->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		ret = vuc_set_vring_enable(f->c, q->index, true, e);
	if (ret == 0)
		ret = set_status(f,
				 STATUS_NEGOTIATING | VIRTIO_STATUS_FEATURES_OK |
					 VIRTIO_STATUS_DRIVER_OK,
				 e);
	if (ret)
		return err_prefix(e, "queue %u", q->index);
	/* Older back-ends start a ring at the first kick only. */
	ret = q->kick_fd >= 0 ? fe_bell_ring(q->kick_fd) : 0;
	if (ret)
		return err_sys(e, ret, "kick", "cannot kick queue %u", q->index);
	if (q->index < VHOST_USER_MAX_VRINGS)
		f->running[q->index] = true;
	return 0;
}

static int op_queue_stop(struct fe_transport *t, unsigned int qi, struct vq_base *base,
			 struct err *e)
{
	struct fe_vhost_user *f = self(t);

	if (qi < VHOST_USER_MAX_VRINGS)
		f->running[qi] = false;
	return vuc_get_vring_base(f->c, qi, is_packed(f), base, e);
}

static int op_queue_enable(struct fe_transport *t, unsigned int qi, bool on, struct err *e)
{
	return vuc_set_vring_enable(self(t)->c, qi, on, e);
}

/* ---- the device ---- */

static int op_config_get(struct fe_transport *t, uint32_t off, void *buf, uint32_t len,
			 struct err *e)
{
	struct fe_vhost_user *f = self(t);

	if (!has(f, PF(CONFIG)))
		return err_set(e, -ENOTSUP, "config-missing",
			       "the back-end gives no configuration");
	return vuc_get_config(f->c, off, buf, len, e);
}

static int op_config_set(struct fe_transport *t, uint32_t off, const void *buf, uint32_t len,
			 struct err *e)
{
	struct fe_vhost_user *f = self(t);

	if (!has(f, PF(CONFIG)))
		return err_set(e, -ENOTSUP, "config-missing",
			       "the back-end takes no configuration");
	return vuc_set_config(f->c, off, buf, len, 0, e);
}

static int op_config_wait(struct fe_transport *t, int timeout_ms, struct err *e)
{
	return vuc_backend_wait(self(t)->c, timeout_ms, e);
}

static int op_reset(struct fe_transport *t, struct err *e)
{
	struct fe_vhost_user *f = self(t);
	int ret = 0;

	if (has(f, PF(RESET_DEVICE))) {
		ret = vuc_reset_device(f->c, e);
	} else {
		struct vq_base base;

		for (unsigned int i = 0; ret == 0 && i < VHOST_USER_MAX_VRINGS; i++)
			if (f->running[i])
				ret = vuc_get_vring_base(f->c, i, is_packed(f), &base, e);
	}
	if (ret == 0)
		ret = set_status(f, 0, e);
	memset(f->running, 0, sizeof(f->running));
	return ret;
}

static void op_close(struct fe_transport *t)
{
	struct fe_vhost_user *f = self(t);

	vuc_close(f->c);
	free(f);
}

static const struct fe_transport_ops vhost_user_ops = {
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

static int hello(struct fe_vhost_user *f, struct err *e)
{
	uint64_t pf;
	int ret = vuc_get_features(f->c, &f->offered, e);

	if (ret == 0)
		ret = vuc_set_owner(f->c, e);
	if (ret || !(f->offered & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		return ret;
	ret = vuc_get_protocol_features(f->c, &pf, e);
	if (ret == 0)
		ret = vuc_set_protocol_features(f->c, pf & WANTED, e);
	if (ret == 0 && has(f, PF(BACKEND_REQ)))
		ret = vuc_set_backend_req_fd(f->c, e);
	return ret;
}

struct fe_transport *vuc_transport(struct vuc *c, struct err *e)
{
	struct fe_vhost_user *f = calloc(1, sizeof(*f));

	if (!f) {
		err_sys(e, -ENOMEM, "out-of-memory", "cannot make a connection");
		vuc_close(c);
		return NULL;
	}
	f->t.ops = &vhost_user_ops;
	f->c = c;
	if (hello(f, e) < 0) {
		op_close(&f->t);
		return NULL;
	}
	return &f->t;
}
