/* SPDX-License-Identifier: MIT */
/* A front-end as the drivers of src/frontend see it: their rings are rings like all others. */
#include <errno.h>

#include "lib.h"
#include "util/compiler.h"

static struct vu_fe *self(struct fe_transport *t)
{
	return container_of(t, struct vu_fe, t);
}

static int op_features(struct fe_transport *t, uint64_t *offered, struct err *e)
{
	*offered = vu_fe_offered(self(t));
	return 0;
}

static int op_set_features(struct fe_transport *t, uint64_t features, struct err *e)
{
	return lib_set_features(self(t), features, e);
}

static int op_max_queues(struct fe_transport *t, unsigned int *n, struct err *e)
{
	*n = MAX(self(t)->max_queues, 1u);
	return 0;
}

static int op_set_mem(struct fe_transport *t, const struct fe_mem *m, struct err *e)
{
	return self(t)->mem_told ? 0 : lib_tell_mem(self(t), e);
}

static int op_queue_start(struct fe_transport *t, const struct fe_queue_cfg *q, struct err *e)
{
	struct vu_fe *fe = self(t);
	struct lib_vring *v;
	int ret;

	if (q->index >= VHOST_USER_MAX_VRINGS)
		return err_set(e, -EINVAL, "queue-index", "there is no queue %u", q->index);
	v = &fe->vring[q->index];
	if (v->set)
		return err_set(e, -EBUSY, "wrong-moment", "queue %u is in use", q->index);
	*v = (struct lib_vring){
		.set = true,
		.size = q->ring->size,
		.desc = drv_desc_addr(q->ring),
		.driver = drv_driver_addr(q->ring),
		.device = drv_device_addr(q->ring),
		.base = q->base,
		.kick_fd = q->kick_fd,
		.call_fd = q->call_fd,
		.err_fd = q->err_fd,
		.ring = (struct drv_ring *)(uintptr_t)q->ring,
	};
	ret = lib_vring_start(fe, q->index, e);
	if (ret)
		lib_vring_stop(fe, q->index, NULL); /* it may run in spite of that */
	if (ret)
		*v = (struct lib_vring){ 0 };
	return ret;
}

static int op_queue_stop(struct fe_transport *t, unsigned int qi, struct vq_base *base,
			 struct err *e)
{
	struct vu_fe *fe = self(t);
	int ret = lib_vring_stop(fe, qi, e);

	*base = fe->vring[qi].base;
	fe->vring[qi] = (struct lib_vring){ 0 };
	return ret;
}

static int op_queue_enable(struct fe_transport *t, unsigned int qi, bool on, struct err *e)
{
	return vuc_set_vring_enable(self(t)->c, qi, on, e);
}

/* The public calls leave their sentence where @e of ours always points. */
static int op_config_get(struct fe_transport *t, uint32_t off, void *buf, uint32_t len,
			 struct err *e)
{
	return vu_fe_config_read(self(t), off, buf, len);
}

static int op_config_set(struct fe_transport *t, uint32_t off, const void *buf, uint32_t len,
			 struct err *e)
{
	return vu_fe_config_write(self(t), off, buf, len);
}

static int op_config_wait(struct fe_transport *t, int timeout_ms, struct err *e)
{
	return vu_fe_config_wait(self(t), timeout_ms);
}

static int op_reset(struct fe_transport *t, struct err *e)
{
	return vu_fe_reset(self(t));
}

static void op_close(struct fe_transport *t)
{
	/* vu_fe_free() does. */
}

static const struct fe_transport_ops ops = {
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

void lib_transport_init(struct vu_fe *fe)
{
	fe->t.ops = &ops;
}
