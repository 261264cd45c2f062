/* SPDX-License-Identifier: MIT */
/*
 * A device instance: one model, its queues, its configuration bytes, and the
 * state machine that both life cycles (vhost-user, VDUSE) reduce to.
 *
 * All calls are made on the control thread (the one that runs @loop) unless
 * said otherwise. Those that have to wait for a worker take a struct
 * vdev_wait and finish on the control loop; none of them blocks.
 */
#ifndef CORE_VDEV_H
#define CORE_VDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gmem.h"
#include "core/vq.h"
#include "core/xport.h"
#include "util/err.h"
#include "util/loop.h"
#include "util/worker.h"
#include "vu/device.h"

struct vu_dev;

/**
 * struct vdev_wait - completion of something that needs a worker
 * @done:	called once on the control loop, never from inside the call that
 *		was given the wait; @res 0 or -errno
 *
 * Embedded by the caller, must stay until @done.
 */
struct vdev_wait {
	void (*done)(struct vdev_wait *w, int res);
	/* private to vdev.c */
	int pending, res;
	struct loop_post post;
	struct vq_base *base;
	struct vdev_wait *next;
};

/**
 * struct vdev_args
 * @name:	instance name, for messages
 * @model:	what it is
 * @priv:	the model's instance, given to each of its operations
 * @nqueues:	queues offered, 1 to VHOST_USER_MAX_VRINGS
 * @max_size:	largest queue size accepted, 2 to 32768
 * @workers:	data threads, borrowed; queue i runs on worker i % nworkers
 * @loop:	the control loop, borrowed
 * @packed:	offer packed rings
 */
struct vdev_args {
	const char *name;
	const struct vu_model *model;
	void *priv;
	unsigned int nqueues;
	uint32_t max_size;
	struct worker **workers;
	unsigned int nworkers;
	struct loop *loop;
	bool packed;
};

struct vu_dev *vdev_new(const struct vdev_args *a, struct err *e);

/* The device must be reset (all queues stopped) and detached. */
void vdev_free(struct vu_dev *d);

/* One transport at a time owns the device. Returns -EBUSY when there is one already. */
int vdev_attach(struct vu_dev *d, const struct xport_ops *ops, void *xport);
void vdev_detach(struct vu_dev *d); /* after vdev_reset() has finished */

/* ---- facts for transports ---- */

const char *vdev_name(const struct vu_dev *d);
uint16_t vdev_virtio_id(const struct vu_dev *d);
unsigned int vdev_nqueues(const struct vu_dev *d);
uint32_t vdev_max_size(const struct vu_dev *d);
struct loop *vdev_loop(const struct vu_dev *d);
uint64_t vdev_offered(const struct vu_dev *d);  /* model + ring + transport bits */
uint64_t vdev_features(const struct vu_dev *d); /* accepted, 0 before */

/* ---- the nine events ---- */

/*
 * 1. Features negotiated. -EINVAL with @e when the driver accepts what was
 * not offered, or not VERSION_1. May come again while queues run (dirty
 * logging is switched that way): running queues keep their ring format and go on.
 */
int vdev_set_features(struct vu_dev *d, uint64_t features, struct err *e);

/* 2. Status as the driver sees it (transports that carry it). 0 is not a reset: call vdev_reset(). */
void vdev_set_status(struct vu_dev *d, uint8_t status);

/*
 * 3. Memory changed. Takes its own reference to @m (NULL: no memory).
 * Running queues move to it, requests in flight keep the old one mapped; a
 * queue whose rings are not in @m waits until they are. Done when no worker
 * pops from the old one.
 */
void vdev_set_memory(struct vu_dev *d, struct gmem *m, struct vdev_wait *w);
struct gmem *vdev_memory(const struct vu_dev *d); /* borrowed, may be NULL */

/*
 * 4. Queue prepare: everything that can fail. The queue must be stopped.
 * Takes over cfg->kick_fd and cfg->call in all cases, also on failure.
 */
int vdev_queue_prepare(struct vu_dev *d, unsigned int qi, const struct vq_cfg *cfg, struct err *e);

/*
 * 5. Queue start: a prepared queue runs (when enabled) and looks at its ring
 * once without a kick. Cannot fail for reasons the peer should be told.
 */
void vdev_queue_start(struct vu_dev *d, unsigned int qi);

/* 6. Queue enable or disable. Remembered while stopped. @w may be NULL. */
void vdev_queue_enable(struct vu_dev *d, unsigned int qi, bool on, struct vdev_wait *w);

/*
 * 7. Queue stop: drain, then done. @w->done gets 0, or -ETIMEDOUT when
 * requests were still under way after @deadline_ns (0: wait for ever): they
 * are orphaned, will never touch the ring, and the queue may be prepared anew.
 * @base (may be NULL) holds the ring position then. Stopping a queue that
 * does not run is done at once.
 */
void vdev_queue_stop(struct vu_dev *d, unsigned int qi, uint64_t deadline_ns, struct vq_base *base,
		     struct vdev_wait *w);

/*
 * 8. Configuration. Bounds are checked; -EINVAL outside. A write may return
 * -EINPROGRESS: then give it a wait, which is done with its result, or with
 * -ECANCELED by a reset; no other write until then.
 */
uint32_t vdev_config_size(const struct vu_dev *d);
int vdev_config_read(const struct vu_dev *d, uint32_t off, void *buf, uint32_t len);
int vdev_config_write(struct vu_dev *d, uint32_t off, const void *buf, uint32_t len);
void vdev_config_wait(struct vu_dev *d, struct vdev_wait *w);

/* 9. Reset or detach: stop and drain all queues, forget negotiation and memory. */
void vdev_reset(struct vu_dev *d, uint64_t deadline_ns, struct vdev_wait *w);

/* ---- while a queue is prepared or running ---- */

/* Replace the notification; the old one is released when the worker has let go. NULL: none. */
void vdev_queue_set_call(struct vu_dev *d, unsigned int qi, struct xport_call *call);
/* Replace the kick descriptor (taken over; -1: none, the queue is polled). */
void vdev_queue_set_kick(struct vu_dev *d, unsigned int qi, int fd);
bool vdev_queue_running(const struct vu_dev *d, unsigned int qi);
/* Counters, readable at any time from the control thread; sums over restarts. */
void vdev_queue_stats(const struct vu_dev *d, unsigned int qi, struct vq_stats *st);

#endif
