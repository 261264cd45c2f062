/* SPDX-License-Identifier: MIT */
/*
 * The device instance. This file: making, negotiation, configuration, reset.
 * Its queues and their way to the workers and back: vdev-queue.c.
 */
#include "core/vdev.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/vdev-impl.h"
#include "util/compiler.h"
#include "util/log.h"
#include "wire/virtio.h"

/* ---- waits ---- */

static void wait_unhold(struct loop_post *p)
{
	wait_drop(container_of(p, struct vdev_wait, post), 0);
}

void wait_begin(struct vu_dev *d, struct vdev_wait *w)
{
	w->pending = 1; /* dropped by the loop: done is never called from inside the call */
	w->res = 0;
	w->next = NULL;
	w->base = NULL;
	w->post.fn = wait_unhold;
	loop_post(d->loop, &w->post);
}

void wait_drop(struct vdev_wait *w, int res)
{
	if (res < 0 && w->res == 0)
		w->res = res;
	if (--w->pending == 0)
		w->done(w, w->res);
}

/* ---- making ---- */

static int args_check(const struct vdev_args *a, struct err *e)
{
	const struct vu_model *m = a->model;

	if (m->struct_size != sizeof(*m))
		return err_set(e, -EINVAL, "model-version",
			       "device model '%s' was built for another version of this library",
			       m->name);
	if (!m->features || !m->queue_kick || m->config_size > VDEV_CONFIG_MAX)
		return err_set(e, -EINVAL, "model-incomplete",
			       "device model '%s' lacks a required operation", m->name);
	if (a->nqueues == 0 || a->nqueues > VDEV_MAX_QUEUES || a->nworkers == 0)
		return err_set(e, -EINVAL, "queue-count",
			       "%u queues on %u workers: need 1 to %u queues and a worker",
			       a->nqueues, a->nworkers, VDEV_MAX_QUEUES);
	if (a->max_size < 2 || a->max_size > VIRTQ_MAX_SIZE)
		return err_set(e, -EINVAL, "queue-size", "queue size %u is not between 2 and %u",
			       a->max_size, VIRTQ_MAX_SIZE);
	return 0;
}

struct vu_dev *vdev_new(const struct vdev_args *a, struct err *e)
{
	struct vu_dev *d;
	int rc;

	if (args_check(a, e) < 0)
		return NULL;
	rc = gmem_guard_install();
	if (rc < 0) {
		err_sys(e, rc, "sigbus-handler", "cannot guard against vanishing guest memory");
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (d) {
		d->queues = calloc(a->nqueues, sizeof(*d->queues));
		d->workers = calloc(a->nworkers, sizeof(*d->workers));
		d->name = strdup(a->name ? a->name : a->model->name);
	}
	if (!d || !d->queues || !d->workers || !d->name) {
		if (d) {
			free(d->queues);
			free(d->workers);
			free(d->name);
		}
		free(d);
		err_sys(e, -ENOMEM, "out-of-memory", "cannot make a device");
		return NULL;
	}
	d->model = a->model;
	d->priv = a->priv;
	d->nqueues = a->nqueues;
	d->max_size = a->max_size;
	d->nworkers = a->nworkers;
	memcpy(d->workers, a->workers, a->nworkers * sizeof(*d->workers));
	d->loop = a->loop;
	d->packed = a->packed;
	d->req_size = d->model->req_size_of ? d->model->req_size_of(d->priv) : d->model->req_size;
	for (unsigned int i = 0; i < d->nqueues; i++)
		d->queues[i].base = VQ_BASE_INIT;
	return d;
}

void vdev_free(struct vu_dev *d)
{
	if (!d)
		return;
	gmem_put(d->mem);
	d->mem = NULL;
	if (d->live) {
		/* Orphaned requests still point here; they are few and the process is ending. */
		log_warning("%s: storage did not answer; %u queue(s) left behind", d->name,
			    d->live);
		return;
	}
	free(d->queues);
	free(d->workers);
	free(d->name);
	free(d);
}

int vdev_attach(struct vu_dev *d, const struct xport_ops *ops, void *xport)
{
	if (d->xops)
		return -EBUSY;
	d->xops = ops;
	d->xport = xport;
	return 0;
}

void vdev_detach(struct vu_dev *d)
{
	d->xops = NULL;
	d->xport = NULL;
}

/* ---- facts ---- */

const char *vdev_name(const struct vu_dev *d)
{
	return d->name;
}

uint16_t vdev_virtio_id(const struct vu_dev *d)
{
	return d->model->virtio_id;
}

unsigned int vdev_nqueues(const struct vu_dev *d)
{
	return d->nqueues;
}

uint32_t vdev_max_size(const struct vu_dev *d)
{
	return d->max_size;
}

struct loop *vdev_loop(const struct vu_dev *d)
{
	return d->loop;
}

uint64_t vdev_features(const struct vu_dev *d)
{
	return vu_dev_features(d);
}

uint64_t vdev_offered(const struct vu_dev *d)
{
	uint64_t f = d->model->features(d->priv);

	f |= VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
	     VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	if (d->packed)
		f |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	if (d->xops) {
		f |= d->xops->features;
		f &= ~d->xops->mask;
	}
	return f;
}

/* ---- events 1 and 2 ---- */

int vdev_set_features(struct vu_dev *d, uint64_t features, struct err *e)
{
	uint64_t offered = vdev_offered(d);

	if (features & ~offered)
		return err_set(e, -EINVAL, "features-not-offered",
			       "the driver accepted features 0x%" PRIx64 " that were not offered",
			       features & ~offered);
	if (!(features & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		return err_set(e, -EINVAL, "features-legacy",
			       "the driver speaks only legacy virtio (no VERSION_1)");
	__atomic_store_n(&d->features, features, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < d->nqueues; i++)
		if (vdev_queue_running(d, i))
			return 0; /* the model goes on with what it was told */
	if (d->model->negotiated)
		d->model->negotiated(d->priv, features);
	return 0;
}

void vdev_set_status(struct vu_dev *d, uint8_t status)
{
	log_debug("%s: status 0x%x -> 0x%x", d->name, d->status, status);
	d->status = status;
}

/* ---- event 8 ---- */

uint32_t vdev_config_size(const struct vu_dev *d)
{
	return d->model->config_size;
}

static bool config_in_range(const struct vu_dev *d, uint32_t off, uint32_t len)
{
	return off <= d->model->config_size && len <= d->model->config_size - off;
}

int vdev_config_read(const struct vu_dev *d, uint32_t off, void *buf, uint32_t len)
{
	if (!config_in_range(d, off, len))
		return -EINVAL;
	memcpy(buf, d->config + off, len);
	return 0;
}

int vdev_config_write(struct vu_dev *d, uint32_t off, const void *buf, uint32_t len)
{
	if (!config_in_range(d, off, len))
		return -EINVAL;
	return d->model->config_write ? d->model->config_write(d->priv, off, buf, len) : -EPERM;
}

void vdev_config_wait(struct vu_dev *d, struct vdev_wait *w)
{
	wait_begin(d, w);
	w->pending++;
	d->config_wait = w;
}

void vu_dev_config_written(struct vu_dev *d, int res)
{
	struct vdev_wait *w = d->config_wait;

	d->config_wait = NULL;
	if (w)
		wait_drop(w, res);
}

void vu_dev_config_set(struct vu_dev *d, uint32_t off, const void *buf, uint32_t len)
{
	if (config_in_range(d, off, len))
		memcpy(d->config + off, buf, len);
}

void vu_dev_config_changed(struct vu_dev *d)
{
	if (d->xops && d->xops->config_changed)
		d->xops->config_changed(d->xport);
}

bool vu_dev_config_writable(const struct vu_dev *d)
{
	return d->xops && d->xops->config_write;
}

void *vu_dev_priv(const struct vu_dev *d)
{
	return d->priv;
}

uint64_t vu_dev_features(const struct vu_dev *d)
{
	return __atomic_load_n(&d->features, __ATOMIC_RELAXED);
}

/* ---- event 9 ---- */

static void reset_finish(struct vdev_wait *w, int res)
{
	struct vu_dev *d = container_of(w, struct vu_dev, reset_wait);
	struct vdev_wait *list = d->reset_waiters, *next;

	d->resetting = false;
	d->reset_waiters = NULL;
	for (unsigned int i = 0; i < d->nqueues; i++) {
		d->queues[i].enabled = false;
		d->queues[i].base = VQ_BASE_INIT;
	}
	if (d->model->reset)
		d->model->reset(d->priv);
	__atomic_store_n(&d->features, 0, __ATOMIC_RELAXED);
	d->status = 0;
	gmem_put(d->mem);
	d->mem = NULL;
	for (; list; list = next) {
		next = list->next;
		wait_drop(list, res);
	}
}

void vdev_reset(struct vu_dev *d, uint64_t deadline_ns, struct vdev_wait *w)
{
	vu_dev_config_written(d, -ECANCELED);
	wait_begin(d, w);
	w->pending++;
	w->next = d->reset_waiters;
	d->reset_waiters = w;
	if (!d->resetting) {
		d->resetting = true;
		d->reset_wait.done = reset_finish;
		wait_begin(d, &d->reset_wait);
	}
	/* Again for a reset that is under way: this caller may be in more of a hurry. */
	for (unsigned int i = 0; i < d->nqueues; i++)
		vdev_queue_stop_into(d, i, deadline_ns, &d->reset_wait);
}
