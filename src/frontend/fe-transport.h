/* SPDX-License-Identifier: MIT */
/*
 * What a driver needs from whatever connects it to a device. The same drivers
 * run over a vhost-user socket, over a device in the same process, or over
 * anything else that can fill in this table.
 *
 * All calls are made on one thread, may block up to the transport's own
 * deadline, and return 0 or -errno with a sentence.
 */
#ifndef FRONTEND_FE_TRANSPORT_H
#define FRONTEND_FE_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/vq.h"
#include "frontend/drv-ring.h"
#include "frontend/mem.h"
#include "util/err.h"

struct fe_transport;

/**
 * struct fe_queue_cfg - a queue to be started
 * @index:	which
 * @ring:	its driver side, in memory the device knows
 * @base:	where the device goes on
 * @kick_fd:	eventfd the driver writes, borrowed; -1: it never kicks
 * @call_fd:	eventfd the device writes, borrowed; -1: none
 * @err_fd:	eventfd the device writes when the ring is broken, borrowed; -1: none
 */
struct fe_queue_cfg {
	unsigned int index;
	const struct drv_ring *ring;
	struct vq_base base;
	int kick_fd;
	int call_fd;
	int err_fd;
};

/**
 * struct fe_transport_ops
 * @features:	what the device offers
 * @set_features: what the driver accepts; before any queue is started
 * @max_queues:	how many queues there are
 * @set_mem:	the whole guest memory; may be repeated while queues run
 * @queue_start: prepare, start and enable
 * @queue_stop:	drain; @base is where it stood
 * @queue_enable: while it runs
 * @config_get, @config_set: bytes of the configuration space
 * @config_wait: 1 when the device said that its configuration changed, 0
 *		when it did not within @timeout_ms; each change is told once
 * @reset:	back to before set_features; queues are stopped
 * @close:	end and free
 */
struct fe_transport_ops {
	const char *name;
	int (*features)(struct fe_transport *t, uint64_t *offered, struct err *e);
	int (*set_features)(struct fe_transport *t, uint64_t features, struct err *e);
	int (*max_queues)(struct fe_transport *t, unsigned int *n, struct err *e);
	int (*set_mem)(struct fe_transport *t, const struct fe_mem *m, struct err *e);
	int (*queue_start)(struct fe_transport *t, const struct fe_queue_cfg *cfg, struct err *e);
	int (*queue_stop)(struct fe_transport *t, unsigned int qi, struct vq_base *base,
			  struct err *e);
	int (*queue_enable)(struct fe_transport *t, unsigned int qi, bool on, struct err *e);
	int (*config_get)(struct fe_transport *t, uint32_t off, void *buf, uint32_t len,
			  struct err *e);
	int (*config_set)(struct fe_transport *t, uint32_t off, const void *buf, uint32_t len,
			  struct err *e);
	int (*config_wait)(struct fe_transport *t, int timeout_ms, struct err *e);
	int (*reset)(struct fe_transport *t, struct err *e);
	void (*close)(struct fe_transport *t);
};

/* Every implementation starts with this. */
struct fe_transport {
	const struct fe_transport_ops *ops;
};

#endif
