/* SPDX-License-Identifier: MIT */
/*
 * The virtqueue engine, device side: split and packed rings, indirect
 * descriptors, event index. What a model sees of it is <vu/queue.h>; what the
 * device instance (vdev.c) drives is below.
 *
 * Life: vq_new() on the control thread checks everything the peer chose and
 * translates the rings; vq_run() hands it to its worker; vq_quiesce() stops
 * popping there; when the last chain is back vq_free().
 */
#ifndef CORE_VQ_H
#define CORE_VQ_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gmem.h"
#include "core/xport.h"
#include "util/err.h"
#include "util/worker.h"
#include "vu/queue.h"

struct vu_model;

/**
 * struct vq_base - where a ring stands
 * @avail_idx:	split: free-running index of the next chain to take;
 *		packed: ring slot, 0 to size - 1
 * @avail_wrap: packed only
 * @used_idx:	packed: ring slot of the next used descriptor; split: ignored
 *		on the way in (the ring itself holds it)
 * @used_wrap:	packed only
 */
struct vq_base {
	uint16_t avail_idx;
	uint16_t used_idx;
	bool avail_wrap;
	bool used_wrap;
};

/* The position of a fresh ring. */
#define VQ_BASE_INIT ((struct vq_base){ .avail_wrap = true, .used_wrap = true })

/**
 * struct vq_cfg - a queue as the driver set it up
 * @size:	entries; split: power of two; 1 to 32768
 * @features:	accepted feature bits (ring format, indirect, event index)
 * @space:	which address space the three addresses are in
 * @desc:	descriptor table / descriptor ring
 * @driver:	available ring / driver event suppression
 * @device:	used ring / device event suppression
 * @base:	where to go on
 * @kick_fd:	eventfd, or -1: the driver does not kick, poll
 * @call:	how to notify, NULL: never
 * @log_used:	log writes to the used ring at @log_addr (GMEM_BUS)
 */
struct vq_cfg {
	uint32_t size;
	uint64_t features;
	enum gmem_space space;
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
	struct vq_base base;
	int kick_fd;
	struct xport_call *call;
	bool log_used;
	uint64_t log_addr;
};

/* Written by the owner worker only, read elsewhere with relaxed loads. */
struct vq_stats {
	uint64_t kicks;             /* wake-ups by the driver */
	uint64_t notified;          /* notifications sent */
	uint64_t notify_suppressed; /* not sent because the driver did not want it */
	uint64_t bursts;            /* times used entries were published */
	uint64_t requests;          /* chains given back */
	uint64_t popped;            /* chains taken */
};

/**
 * struct vq_env - where a queue lives
 * @dev, @model, @priv: the device instance
 * @index:	which queue of it
 * @worker:	its owner
 * @broken:	worker; the driver violated the rules, told once. May be NULL
 * @stopped:	worker; after vq_quiesce(), when every chain is back and the
 *		queue is off the worker: it may be freed (not from inside)
 * @ctx:	for the two
 */
struct vq_env {
	struct vu_dev *dev;
	const struct vu_model *model;
	void *priv;
	unsigned int index;
	struct worker *worker;
	void (*broken)(void *ctx, const char *why);
	void (*stopped)(void *ctx);
	void *ctx;
};

/**
 * vq_new() - check what the driver set up and make a queue of it
 * @cfg:	kick_fd and call are the queue's from now on, unless this fails
 * @map:	guest memory; a reference is taken
 * @req_size:	private bytes per chain
 * @stats:	counters, may outlive the queue
 *
 * Any thread. Return: the queue, or NULL with @e filled in.
 */
struct vu_queue *vq_new(const struct vq_env *env, const struct vq_cfg *cfg, struct gmem *map,
			size_t req_size, struct vq_stats *stats, struct err *e);

/* Never run, or stopped. Control thread: releases call and kick_fd too. */
void vq_free(struct vu_queue *q);

/* ---- on the worker ---- */

/* Register, start the model's side, and look at the ring once. */
void vq_run(struct vu_queue *q);
/* Take chains or not; a disabled queue stays where it is. */
void vq_enable(struct vu_queue *q, bool on);
/* Go over to another snapshot. Without @map, or when the rings are not in it, the queue waits. */
void vq_remap(struct vu_queue *q, struct gmem *map);
/* Stop popping; env.stopped follows, perhaps before the return. */
void vq_quiesce(struct vu_queue *q);
/*
 * Do not wait for what is still in flight: leave the ring for good.
 * env.stopped follows when the last of it is back; the queue's memory must
 * stay until then. Only after vq_quiesce().
 */
void vq_orphan(struct vu_queue *q);
/* Returns the old one for release on the control thread. */
struct xport_call *vq_set_call(struct vu_queue *q, struct xport_call *call);
int vq_set_kick(struct vu_queue *q, int fd);

/* Position to go on from; valid when stopped or orphaned, or never run. */
struct vq_base vq_base(const struct vu_queue *q);

#endif
