/* SPDX-License-Identifier: MIT */
/*
 * Queues: what the driver has set up is asked of the kernel at DRIVER_OK and
 * handed to the core.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/vduse/vduse-impl.h"
#include "util/compiler.h"
#include "util/log.h"
#include "wire/virtio.h"

/* Some drivers of the vhost_vdpa side make queues ready after DRIVER_OK, without a message. */
#define LATE_NS    UINT64_C(10000000)
#define LATE_TRIES 100

static struct vq_base base_from(const struct vdu_vq_info *i, bool packed)
{
	if (!packed)
		return (struct vq_base){ .avail_idx = i->split.avail_index };
	return (struct vq_base){
		.avail_idx = i->packed.last_avail_idx,
		.avail_wrap = i->packed.last_avail_counter & 1,
		.used_idx = i->packed.last_used_idx,
		.used_wrap = i->packed.last_used_counter & 1,
	};
}

static int queue_info(struct vduse *v, unsigned int qi, struct vdu_vq_info *i, struct err *e)
{
	int rc;

	memset(i, 0, sizeof(*i));
	i->index = qi;
	rc = vduse_chan_ioctl(v->mem.chan, VDU_VQ_GET_INFO, i);
	return rc < 0 ? err_sys(e, rc, "vduse-queue", "cannot learn about queue %u", qi) : 0;
}

/* The three areas must be mapped before the core looks at them. */
static int queue_map(struct vduse *v, const struct vduse_queue *q, struct err *e)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(q->addr); i++) {
		int rc = vduse_mem_fetch(&v->mem, q->addr[i], e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The kernel keeps its own reference to the eventfd; ours is the core's from here on. */
static int queue_kick(struct vduse *v, unsigned int qi, struct err *e)
{
	struct vdu_vq_eventfd k = { .index = qi };
	int rc;

	k.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (k.fd < 0)
		return err_sys(e, -errno, "vduse-queue", "no kick descriptor for queue %u", qi);
	rc = vduse_chan_ioctl(v->mem.chan, VDU_VQ_SETUP_KICKFD, &k);
	if (rc < 0) {
		close(k.fd);
		return err_sys(e, rc, "vduse-queue", "cannot set the kick descriptor of queue %u",
			       qi);
	}
	return k.fd;
}

/* @base NULL: where the driver said. */
static int queue_prepare(struct vduse *v, unsigned int qi, const struct vdu_vq_info *i,
			 const struct vq_base *base, struct err *e)
{
	uint64_t features = vdev_features(v->dev);
	struct vduse_queue *q = &v->queues[qi];
	struct vq_cfg cfg = {
		.size = i->num,
		.features = features,
		.space = GMEM_BUS,
		.desc = i->desc_addr,
		.driver = i->driver_addr,
		.device = i->device_addr,
	};
	int rc;

	cfg.base = base ? *base : base_from(i, features & VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	cfg.kick_fd = queue_kick(v, qi, e);
	if (cfg.kick_fd < 0)
		return cfg.kick_fd;
	cfg.call = vduse_call_new(v->mem.chan, v->loop, qi);
	if (!cfg.call) {
		close(cfg.kick_fd);
		return err_sys(e, -ENOMEM, "out-of-memory", "queue %u", qi);
	}
	vdev_queue_enable(v->dev, qi, true, NULL); /* there is no such thing as disabled here */
	rc = vdev_queue_prepare(v->dev, qi, &cfg, e);
	if (rc < 0)
		return rc;
	q->ready = true;
	return 0;
}

/* 1 when the driver does not use the queue (yet). */
static int queue_look(struct vduse *v, unsigned int qi, struct vdu_vq_info *i, struct err *e)
{
	struct vduse_queue *q = &v->queues[qi];
	int rc = queue_info(v, qi, i, e);

	if (rc < 0)
		return rc;
	if (!i->ready)
		return 1;
	q->addr[0] = i->desc_addr;
	q->addr[1] = i->driver_addr;
	q->addr[2] = i->device_addr;
	return queue_map(v, q, e);
}

/*
 * Nothing waits for these: without queues that run a change of memory takes
 * effect at once, and discarding a queue that was never started does too.
 */
static void nothing_to_do(struct vdev_wait *w, int res)
{
	free(w);
}

static int give_memory(struct vduse *v, struct err *e)
{
	struct vdev_wait *w = calloc(1, sizeof(*w));
	struct gmem *g;

	if (!w)
		return err_sys(e, -ENOMEM, "out-of-memory", "guest memory");
	w->done = nothing_to_do;
	g = vduse_mem_get(&v->mem);
	vdev_set_memory(v->dev, g, w);
	gmem_put(g);
	return 0;
}

static void queue_discard(struct vduse *v, unsigned int qi)
{
	struct vdev_wait *w = calloc(1, sizeof(*w));

	if (!w)
		return; /* it stays prepared, and is not started */
	w->done = nothing_to_do;
	vdev_queue_stop(v->dev, qi, 0, NULL, w);
	v->queues[qi].ready = false;
}

int vduse_queues_prepare(struct vduse *v, struct err *e)
{
	struct vdu_vq_info info;
	int rc = 0;

	/* Data buffers: there may be none yet, then the first request finds them. */
	vduse_mem_fetch(&v->mem, 0, NULL);
	for (unsigned int i = 0; i < v->nqueues && rc >= 0; i++)
		rc = queue_look(v, i, &info, e);
	if (rc >= 0)
		rc = give_memory(v, e);
	for (unsigned int i = 0; i < v->nqueues && rc >= 0; i++) {
		rc = queue_info(v, i, &info, e);
		if (rc == 0 && info.ready)
			rc = queue_prepare(v, i, &info, NULL, e);
	}
	if (rc >= 0)
		return 0;
	for (unsigned int i = 0; i < v->nqueues; i++)
		if (v->queues[i].ready)
			queue_discard(v, i);
	return rc;
}

void vduse_queues_start(struct vduse *v)
{
	bool all = true;

	for (unsigned int i = 0; i < v->nqueues; i++) {
		if (v->queues[i].ready)
			vdev_queue_start(v->dev, i);
		else
			all = false;
	}
	v->late_tries = 0;
	if (!all)
		loop_timer_set(v->loop, &v->late, LATE_NS);
}

void vduse_late_tick(struct loop_timer *t)
{
	struct vduse *v = container_of(t, struct vduse, late);
	struct vdu_vq_info info;
	struct err e;

	if (!(v->status & VIRTIO_STATUS_DRIVER_OK) || v->resets || v->broken)
		return;
	for (unsigned int i = 0; i < v->nqueues; i++) {
		int rc;

		if (v->queues[i].ready || queue_look(v, i, &info, NULL) != 0)
			continue;
		rc = give_memory(v, &e);
		if (rc == 0)
			rc = queue_prepare(v, i, &info, NULL, &e);
		if (rc == 0)
			vdev_queue_start(v->dev, i);
		else
			log_warning("%s: queue %u does not start: %s", v->plan.name, i, e.what);
	}
	if (v->late_tries++ < LATE_TRIES)
		loop_timer_set(v->loop, &v->late, LATE_NS);
}

void vduse_queues_refetch(struct vduse *v)
{
	struct err e;

	for (unsigned int i = 0; i < v->nqueues; i++)
		if (v->queues[i].ready && queue_map(v, &v->queues[i], &e) < 0)
			log_info("%s: queue %u waits for its memory: %s", v->plan.name, i, e.what);
}

void vduse_queue_resume(struct vduse *v, unsigned int qi, const struct vq_base *base)
{
	struct vdu_vq_info info;
	struct err e;
	int rc;

	v->queues[qi].ready = false;
	rc = queue_look(v, qi, &info, &e);
	if (rc == 0)
		rc = give_memory(v, &e); /* the rings may have been fetched only now */
	if (rc == 0)
		rc = queue_prepare(v, qi, &info, base, &e);
	if (rc == 0)
		vdev_queue_start(v->dev, qi);
	else if (rc < 0)
		log_warning("%s: queue %u does not go on: %s", v->plan.name, qi, e.what);
}

void vduse_queues_clear(struct vduse *v)
{
	loop_timer_cancel(v->loop, &v->late);
	memset(v->queues, 0, v->nqueues * sizeof(*v->queues));
}
