/* SPDX-License-Identifier: MIT */
/*
 * Messages of the kernel. Every one must be answered within msg_timeout
 * (30 s unless changed), or the kernel gives up on the device for good; so
 * nothing here waits: what takes time is answered later, while other
 * messages come and go.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "transport/vduse/vduse-impl.h"
#include "util/compiler.h"
#include "util/log.h"
#include "wire/virtio.h"

/* Messages read in one turn of the loop. */
#define MSG_BATCH 16

/* ---- answers ---- */

static void send_response(struct vduse *v, const struct vdu_dev_response *r)
{
	int fd = v->mem.chan ? atomic_load(&v->mem.chan->fd) : -1;
	ssize_t n;

	if (fd < 0)
		return;
	n = v->sys->write(v->sys, fd, r, sizeof(*r));
	if (n == (ssize_t)sizeof(*r))
		return;
	if (n == -ENOENT) /* whoever asked was killed, or has lost patience (then poll says so) */
		log_debug("%s: message %u is not waited for any more", v->plan.name, r->request_id);
	else
		log_err("%s: an answer was not taken: %s", v->plan.name,
			n < 0 ? strerror((int)-n) : "short write");
}

static void answer(struct vduse *v, uint32_t id, bool ok)
{
	struct vdu_dev_response r = {
		.request_id = id,
		.result = ok ? VDU_RESULT_OK : VDU_RESULT_FAILED,
	};

	send_response(v, &r);
}

/* Answered; @m is gone afterwards. */
static void msg_done(struct vduse_msg *m, bool ok)
{
	struct vduse *v = m->v;

	answer(v, m->req.request_id, ok);
	v->nmsgs--;
	free(m);
}

uint64_t vduse_drain_ns(const struct vduse *v)
{
	uint64_t ns = VDUSE_DRAIN_NS;
	char path[VDUSE_PATH_MAX], line[32];
	unsigned long s;

	/* A third of what the kernel grants: others may be waiting behind this one. */
	vduse_path(path, "%s/class/vduse/%s/msg_timeout", v->sys->sysfs, v->plan.name);
	if (vduse_read_line(path, line, sizeof(line)) > 0) {
		s = strtoul(line, NULL, 10);
		if (s > 0 && s < 30)
			ns = s * UINT64_C(1000000000) / 3;
	}
	return ns;
}

/* ---- GET_VQ_STATE ---- */

static void vq_state_ready(struct vdev_wait *w, int res)
{
	struct vduse_msg *m = container_of(w, struct vduse_msg, wait);
	bool packed = vdev_features(m->v->dev) & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	struct vduse *v = m->v;
	uint32_t qi = m->req.vq_state.index;
	struct vdu_dev_response r = {
		.request_id = m->req.request_id,
		.result = res == 0 ? VDU_RESULT_OK : VDU_RESULT_FAILED,
	};

	r.vq_state.index = qi;
	if (packed) {
		r.vq_state.packed.last_avail_counter = m->base.avail_wrap;
		r.vq_state.packed.last_avail_idx = m->base.avail_idx;
		r.vq_state.packed.last_used_counter = m->base.used_wrap;
		r.vq_state.packed.last_used_idx = m->base.used_idx;
	} else {
		r.vq_state.split.avail_index = m->base.avail_idx;
	}
	send_response(v, &r);
	/* It was only a question: the driver may go on to use the queue. */
	if (res == 0 && m->was_running && m->epoch == v->epoch && !v->broken && v->resets == 0)
		vduse_queue_resume(v, qi, &m->base);
	v->nmsgs--;
	free(m);
}

static void get_vq_state(struct vduse_msg *m)
{
	struct vduse *v = m->v;
	uint32_t qi = m->req.vq_state.index;

	if (qi >= v->nqueues) {
		log_warning("%s: the kernel asks about queue %u of %u", v->plan.name, qi,
			    v->nqueues);
		msg_done(m, false);
		return;
	}
	m->was_running = vdev_queue_running(v->dev, qi);
	m->wait.done = vq_state_ready;
	vdev_queue_stop(v->dev, qi, vduse_drain_ns(v), &m->base, &m->wait);
}

/* ---- UPDATE_IOTLB ---- */

static void memory_changed(struct vdev_wait *w, int res)
{
	msg_done(container_of(w, struct vduse_msg, wait), res == 0);
}

/*
 * The answer means: we do not use the old mapping any more. So first every
 * queue leaves the old snapshot, then we answer.
 */
static void update_iotlb(struct vduse_msg *m)
{
	struct vduse *v = m->v;
	struct gmem *g;
	struct err e;

	if (m->req.iova.start > m->req.iova.last ||
	    vduse_mem_drop(&v->mem, m->req.iova.start, m->req.iova.last, &e) < 0) {
		msg_done(m, false);
		return;
	}
	if (v->resets) { /* the reset takes everything from the queues anyway */
		msg_done(m, true);
		return;
	}
	vduse_queues_refetch(v);
	g = vduse_mem_get(&v->mem);
	m->wait.done = memory_changed;
	vdev_set_memory(v->dev, g, &m->wait);
	gmem_put(g);
}

/* ---- SET_STATUS ---- */

static void set_status(struct vduse_msg *m);

static void run_deferred(struct vduse *v)
{
	while (v->deferred && v->resets == 0) {
		struct vduse_msg *m = v->deferred;

		v->deferred = m->next;
		set_status(m);
	}
}

static void reset_done(struct vdev_wait *w, int res)
{
	struct vduse_msg *m = container_of(w, struct vduse_msg, wait);
	struct vduse *v = m->v;
	bool was = v->driver_connected;
	struct err e;

	if (res == -ETIMEDOUT)
		log_warning("%s: reset while requests are still under way", v->plan.name);
	vduse_queues_clear(v);
	if (vduse_mem_clear(&v->mem, &e) < 0)
		log_err("%s: %s", v->plan.name, e.what);
	v->status = 0;
	v->resets--;
	v->driver_connected = false;
	msg_done(m, true);
	if (was && v->state == VDUSE_SERVING && !v->stop_asked && v->ev && v->ev->disconnected)
		v->ev->disconnected(v->ctx, "the driver reset the device");
	if (v->state != VDUSE_DRAINING) /* nothing starts any more */
		run_deferred(v);
}

static void reset(struct vduse_msg *m)
{
	struct vduse *v = m->v;

	v->resets++;
	v->epoch++;
	m->wait.done = reset_done;
	vdev_reset(v->dev, vduse_drain_ns(v), &m->wait);
}

static int negotiate(struct vduse *v, struct err *e)
{
	uint64_t features = 0;
	int rc = vduse_chan_ioctl(v->mem.chan, VDU_DEV_GET_FEATURES, &features);

	if (rc < 0)
		return err_sys(e, rc, "vduse-features", "cannot learn the driver's features");
	return vdev_set_features(v->dev, features, e);
}

static void tell_connected(struct vduse *v)
{
	struct transport_peer peer = {
		.packed = vdev_features(v->dev) & VIRTIO_BIT(VIRTIO_F_RING_PACKED),
	};
	struct gmem *g = vduse_mem_get(&v->mem);

	for (unsigned int i = 0; i < v->nqueues; i++)
		peer.queues += v->queues[i].ready;
	for (unsigned int i = 0; i < g->n; i++)
		peer.memory += g->regions[i]->size;
	gmem_put(g);
	v->driver_connected = true;
	if (v->ev && v->ev->connected)
		v->ev->connected(v->ctx, &peer);
}

static void refuse(struct vduse_msg *m, const struct err *e)
{
	struct vduse *v = m->v;

	log_err("%s: refused to go on with the driver: %s", v->plan.name, e->what);
	msg_done(m, false);
	vduse_refused(v, e);
}

static void gave_up(struct vduse *v)
{
	struct err e;

	log_warning("%s: the driver gave up on the device", v->plan.name);
	err_set(&e, -ENODEV, "vduse-no-disk", "the kernel's driver gave up on the device");
	err_hint(&e, "The kernel log (dmesg) says why");
	vduse_refused(v, &e);
}

/* 3.1.1: what is new in the status decides. */
static void set_status(struct vduse_msg *m)
{
	struct vduse *v = m->v;
	uint8_t status = m->req.s.status;
	uint8_t fresh = status & (uint8_t)~v->status;
	struct err e = { 0 };

	if ((fresh & VIRTIO_STATUS_FEATURES_OK) && negotiate(v, &e) < 0) {
		refuse(m, &e);
		return;
	}
	if (fresh & VIRTIO_STATUS_DRIVER_OK) {
		if (!(status & VIRTIO_STATUS_FEATURES_OK)) {
			err_set(&e, -EINVAL, "features-legacy",
				"the driver speaks only legacy virtio (no FEATURES_OK)");
			refuse(m, &e);
			return;
		}
		if (vduse_queues_prepare(v, &e) < 0) {
			refuse(m, &e);
			return;
		}
	}
	if (fresh & VIRTIO_STATUS_FAILED)
		gave_up(v);
	v->status = status;
	vdev_set_status(v->dev, status);
	/*
	 * Answer first: notifications are refused until the kernel has the
	 * answer, and nothing may fail any more once the queues run.
	 */
	msg_done(m, true);
	if (fresh & VIRTIO_STATUS_DRIVER_OK) {
		vduse_queues_start(v);
		tell_connected(v);
		vduse_config_push(v);
	}
}

/* ---- reading ---- */

static void defer(struct vduse_msg *m)
{
	struct vduse_msg **tail = &m->v->deferred;

	while (*tail)
		tail = &(*tail)->next;
	*tail = m;
}

static void handle(struct vduse_msg *m)
{
	struct vduse *v = m->v;

	switch (m->req.type) {
	case VDU_GET_VQ_STATE:
		get_vq_state(m);
		break;
	case VDU_SET_STATUS:
		log_debug("%s: the driver sets status 0x%x", v->plan.name, m->req.s.status);
		if (m->req.s.status == 0)
			reset(m);
		else if (v->resets)
			defer(m);
		else
			set_status(m);
		break;
	case VDU_UPDATE_IOTLB:
		log_debug("%s: memory 0x%" PRIx64 " to 0x%" PRIx64 " changed", v->plan.name,
			  m->req.iova.start, m->req.iova.last);
		update_iotlb(m);
		break;
	default:
		log_warning("%s: message of unknown type %u", v->plan.name, m->req.type);
		msg_done(m, false);
		break;
	}
}

/* False when there is none, or no use in reading on. */
static bool read_one(struct vduse *v)
{
	int fd = atomic_load(&v->mem.chan->fd);
	struct vdu_dev_request req;
	struct vduse_msg *m;
	ssize_t n;

	n = v->sys->read(v->sys, fd, &req, sizeof(req));
	if (n == -EAGAIN) /* none, or it was withdrawn between poll and read */
		return false;
	if (n != (ssize_t)sizeof(req)) {
		vduse_is_broken(v, n < 0 ? strerror((int)-n) : "a message of the wrong size came");
		return false;
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		answer(v, req.request_id, false);
		return true;
	}
	m->v = v;
	m->req = req;
	m->epoch = v->epoch;
	v->nmsgs++;
	handle(m);
	return true;
}

void vduse_msgs_ready(struct loop_fd *src, uint32_t events)
{
	struct vduse *v = container_of(src, struct vduse, src);

	if (events & (EPOLLERR | EPOLLHUP)) {
		vduse_is_broken(v, "an answer did not come in time");
		return;
	}
	for (unsigned int i = 0; i < MSG_BATCH; i++)
		if (!read_one(v))
			return;
}
