/* SPDX-License-Identifier: MIT */
/* The inside of a device instance, shared by vdev.c and vdev-queue.c. Control thread only. */
#ifndef CORE_VDEV_IMPL_H
#define CORE_VDEV_IMPL_H

#include "core/vdev.h"

#define VDEV_CONFIG_MAX 256
#define VDEV_MAX_QUEUES 256

struct vdev_run;

struct vdev_queue {
	struct vdev_run *run; /* prepared or running; NULL: stopped */
	bool enabled;
	struct vq_base base; /* where it was when it stopped */
	struct vq_stats stats;
};

struct vu_dev {
	char *name;
	const struct vu_model *model;
	void *priv;
	size_t req_size;
	unsigned int nqueues;
	uint32_t max_size;
	bool packed;
	struct worker **workers;
	unsigned int nworkers;
	struct loop *loop;

	const struct xport_ops *xops;
	void *xport;

	uint64_t features; /* written here, read by any thread */
	uint8_t status;
	uint8_t config[VDEV_CONFIG_MAX];
	struct vdev_wait *config_wait; /* for vu_dev_config_written() */
	struct gmem *mem;
	struct vdev_queue *queues;
	unsigned int live; /* runs that exist, orphans included */

	bool resetting;
	struct vdev_wait reset_wait;
	struct vdev_wait *reset_waiters;
};

/* A wait is held by everything that is under way for it; done when the last hold is dropped. */
void wait_begin(struct vu_dev *d, struct vdev_wait *w);
void wait_drop(struct vdev_wait *w, int res);

/* Stop a queue as part of @w, which has begun; one hold is added when there is something to wait for. */
void vdev_queue_stop_into(struct vu_dev *d, unsigned int qi, uint64_t deadline_ns,
			  struct vdev_wait *w);

#endif
