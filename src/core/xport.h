/* SPDX-License-Identifier: MIT */
/*
 * What a transport gives to the core. What the core gives to a transport is
 * the nine events of vdev.h.
 */
#ifndef CORE_XPORT_H
#define CORE_XPORT_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct xport_call - how to notify the driver about one queue
 * @notify:	worker, or whichever thread last ran the queue; must not block
 * @bell:	the eventfd that @notify writes, which the worker may then write with
 *		other things instead; -1: there is none
 * @release:	control thread; no thread will use it any more: close and free
 *
 * Embedded in the transport's own struct. Handed over with the queue's
 * configuration or with vdev_queue_set_call(); from then on it is the core's
 * until @release.
 */
struct xport_call {
	void (*notify)(struct xport_call *c);
	int bell;
	void (*release)(struct xport_call *c);
};

/**
 * struct xport_ops - what a transport implements
 * @name:	for messages
 * @features:	feature bits the transport adds to the offer
 * @mask:	feature bits the transport cannot carry, removed from the offer
 * @config_write: the transport can carry configuration writes of the driver
 * @config_changed: control; tell the driver to read its configuration again.
 *		NULL: no way to do so
 * @queue_broken: control; the driver violated the ring rules of queue @qi,
 *		which now stands still until reset. May be NULL
 */
struct xport_ops {
	const char *name;
	uint64_t features;
	uint64_t mask;
	bool config_write;
	void (*config_changed)(void *xport);
	void (*queue_broken)(void *xport, unsigned int qi, const char *why);
};

#endif
