/* SPDX-License-Identifier: MIT */
/* A driver ring with its memory and its eventfds: what every driver has one or more of. */
#ifndef FRONTEND_QUEUE_H
#define FRONTEND_QUEUE_H

#include "frontend/drv-ring.h"
#include "frontend/fe-transport.h"
#include "frontend/mem.h"

/**
 * struct fe_queue - one queue of a driver
 * @index:	which queue of the device
 * @ring:	driver side
 * @kick_fd:	we write it
 * @call_fd:	the device writes it
 * @err_fd:	the device writes it when it finds the ring broken
 * @kicks:	times we wrote @kick_fd
 * @calls:	times the device wrote @call_fd, as far as we have read it
 * @waits:	times we really slept
 * @running:	the device has it
 * @refused:	the device wrote @err_fd since the last start
 */
struct fe_queue {
	unsigned int index;
	struct drv_ring *ring;
	int kick_fd;
	int call_fd;
	int err_fd;
	uint64_t kicks;
	uint64_t calls;
	uint64_t waits;
	bool running;
	bool refused;
};

/**
 * struct fe_queue_args
 * @size, @features, @indirect_max, @base: of the ring
 * @region:	of the guest memory to put it into
 */
struct fe_queue_args {
	unsigned int index;
	uint32_t size;
	uint64_t features;
	unsigned int indirect_max;
	unsigned int region;
	struct vq_base base;
};

int fe_queue_init(struct fe_queue *q, struct fe_mem *m, const struct fe_queue_args *a,
		  struct err *e);
void fe_queue_fini(struct fe_queue *q); /* also after a failed init, or all zero */

/* @base NULL: where the driver stands. */
int fe_queue_start(struct fe_queue *q, struct fe_transport *t, const struct vq_base *base,
		   struct err *e);
int fe_queue_stop(struct fe_queue *q, struct fe_transport *t, struct vq_base *base, struct err *e);

/*
 * An eventfd that is shared with the back-end: so is its O_NONBLOCK, and its counter
 * may be emptied or filled at any moment. Neither of these waits for that.
 */
uint64_t fe_bell_hear(int fd); /* how often it was rung since, which is forgotten */
int fe_bell_ring(int fd);      /* 0 also when it is full, and so heard anyway; or -errno */

/* Publish what was added and kick if the device wants it. */
void fe_queue_publish(struct fe_queue *q);
/* Kick whatever the device wants. */
void fe_queue_kick(struct fe_queue *q);

/**
 * fe_queue_wait() - sleep until the device has finished something
 * @q:		queue
 * @after:	that many chains, as far as the ring can say it
 * @timeout_ms:	-1: for ever
 *
 * Return: true when there is something to get; false at the end of the time,
 * or when the device has declared the ring broken.
 */
bool fe_queue_wait(struct fe_queue *q, unsigned int after, int timeout_ms);

/* Interrupts so far, those that nobody waited for included. */
uint64_t fe_queue_calls(struct fe_queue *q);

/* Has the device declared the ring broken? Waits up to @timeout_ms for it. */
bool fe_queue_err(struct fe_queue *q, int timeout_ms);

#endif
