/* SPDX-License-Identifier: MIT */
/*
 * The outside of a transport: how a program puts a device on it and takes it
 * off again. The inside (what it tells the device) is core/vdev.h.
 *
 * Everything runs on the control loop of the device; nothing here blocks
 * (what must wait for the kernel uses a helper thread of the transport).
 */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

struct vu_dev;
struct transport;

/**
 * struct transport_info - where the device can be found
 * @path:	socket path, or block device (/dev/vdX)
 * @by_id:	/dev/disk/by-id/... when udev made one, else ""
 */
struct transport_info {
	char path[128];
	char by_id[256];
};

/**
 * struct transport_peer - who is at the other end
 * @pid:	0 when not known
 * @comm:	its short name, may be ""
 */
struct transport_peer {
	pid_t pid;
	char comm[32];
	unsigned int queues; /* running queues */
	uint64_t memory;     /* bytes of shared memory */
	bool packed;
};

/**
 * struct transport_events - what the owner is told; all on the control loop, all optional
 * @ready:	listening, or the disk has appeared
 * @connected:	a peer came and its first queue runs
 * @disconnected: it is gone; @why is one line
 * @failed:	cannot go on; only transport_stop() and free make sense now
 */
struct transport_events {
	void (*ready)(void *ctx, const struct transport_info *info);
	void (*connected)(void *ctx, const struct transport_peer *peer);
	void (*disconnected)(void *ctx, const char *why);
	void (*failed)(void *ctx, const struct err *e);
};

/**
 * struct transport_args
 * @dev:	the device, not attached to any transport; borrowed
 * @ev, @ctx:	owner's callbacks
 * @name:	instance name (VDUSE: the device name)
 * @path:	vhost-user: where to listen, NULL with @fd
 * @fd:		vhost-user: a listening or connected socket, taken over; else -1
 * @mode, @group: vhost-user: of the socket; group (gid_t)-1: leave
 * @once:	vhost-user: @disconnected is final, do not listen again
 */
struct transport_args {
	struct vu_dev *dev;
	const struct transport_events *ev;
	void *ctx;
	const char *name;
	const char *path;
	int fd;
	mode_t mode;
	gid_t group;
	bool once;
};

enum transport_stop {
	TRANSPORT_STOP_ASK,   /* refuse (-EBUSY) while the device is in use */
	TRANSPORT_STOP_FORCE, /* take it away whatever happens */
	TRANSPORT_STOP_LEAVE, /* go away but leave the device waiting for a successor, if it can */
};

/**
 * struct transport_ops
 * @start:	begin; @ready or @failed follows. On failure -errno with @e, and
 *		nothing is left behind
 * @stop:	end; @done is called once on the loop with 0, or -EBUSY and @e
 *		(nothing has happened then), or another -errno with @e
 * @free:	after a finished stop, or after @failed
 */
struct transport_ops {
	const char *name;
	const char *help;
	int (*start)(const struct transport_args *a, struct transport **t, struct err *e);
	void (*stop)(struct transport *t, enum transport_stop how,
		     void (*done)(void *ctx, int res, const struct err *e), void *ctx);
	void (*free)(struct transport *t);
};

/* Every implementation starts with this. */
struct transport {
	const struct transport_ops *ops;
};

/* NULL-terminated table of what this build has. */
extern const struct transport_ops *const transports[];
const struct transport_ops *transport_find(const char *name);

#endif
