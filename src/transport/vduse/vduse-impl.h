/* SPDX-License-Identifier: MIT */
/*
 * The inside of the VDUSE transport. Everything runs on the control loop,
 * but for jobs (job.c, on a helper thread), memory look-ups (mem.c) and
 * notifications (call.c), which run on workers.
 *
 * Life: make the device (job), answer its messages, attach it to the vDPA bus
 * (job, which the kernel keeps waiting until our answers have come), serve,
 * detach (job), close, destroy (job).
 */
#ifndef VDUSE_IMPL_H
#define VDUSE_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/vdev.h"
#include "core/xport.h"
#include "transport/transport.h"
#include "transport/vduse/create.h"
#include "transport/vduse/job.h"
#include "transport/vduse/mem.h"
#include "transport/vduse/sys.h"
#include "util/err.h"
#include "util/loop.h"
#include "wire/vduse.h"

/* Longest wait for requests in flight before a reset is answered all the same. */
#define VDUSE_DRAIN_NS UINT64_C(10000000000)

/* How long a new disk may take to appear once it is attached. */
#define VDUSE_APPEAR_MS 30000

enum vduse_state {
	VDUSE_CREATING,  /* job: make the device */
	VDUSE_ATTACHING, /* job: put it on the bus, wait for the disk */
	VDUSE_SERVING,
	VDUSE_DETACHING,  /* job: take it off the bus */
	VDUSE_DRAINING,   /* wait for the device to be reset */
	VDUSE_DESTROYING, /* job */
	VDUSE_OVER,
};

/**
 * struct vduse_queue - one queue as the driver set it up
 * @ready:	the driver has said so, and the queue was handed to the core
 * @addr:	descriptor, driver and device area, valid if @ready
 */
struct vduse_queue {
	bool ready;
	uint64_t addr[3];
};

/**
 * struct vduse_msg - one message of the kernel, until it is answered
 * @wait:	what it waits for
 */
struct vduse_msg {
	struct vduse *v;
	struct vduse_msg *next;
	struct vdu_dev_request req;
	struct vdev_wait wait;
	struct vq_base base;
	bool was_running;
	uint64_t epoch;
};

/**
 * struct vduse - one device on this transport
 * @status:	as the kernel has it, or will have it with our answer
 * @resets:	resets that are under way
 * @epoch:	counts resets: what began before one is void after it
 * @deferred:	messages that wait for the end of a reset, oldest first
 * @nmsgs:	messages that are not answered yet
 * @refused:	why we said no to the driver; code 0: we did not
 * @broken:	the kernel has given up on the device
 * @stop_asked:	stop() was called, @stop_how and so on are valid
 * @fail:	why the start failed, told when everything is cleaned up; code 0: it did not
 */
struct vduse {
	struct transport base;
	const struct vduse_sys *sys;
	struct vu_dev *dev;
	struct loop *loop;
	const struct transport_events *ev;
	void *ctx;

	enum vduse_state state;
	struct vduse_plan plan;
	struct vduse_mem mem; /* mem.chan: the device, once it is made */
	struct loop_fd src;
	bool attached_core;

	uint8_t status;
	unsigned int resets;
	uint64_t epoch;
	struct vduse_msg *deferred;
	unsigned int nmsgs;
	bool driver_connected;
	struct err refused;

	unsigned int nqueues;
	struct vduse_queue *queues;
	struct loop_timer end;  /* waits for the last answers */
	struct loop_timer late; /* looks for queues that become ready after DRIVER_OK */
	unsigned int late_tries;

	bool config_stale; /* the kernel's copy is */
	bool config_irq;   /* the driver is to be told */
	struct loop_timer config_timer;
	unsigned int config_tries;

	struct vduse_job job;
	struct transport_info info;
	bool told_ready;

	bool broken;
	bool broken_waiting; /* for the reset that follows */
	struct vdev_wait broken_wait;
	struct vdev_wait end_wait;

	bool leave;                     /* close it, but let it be */
	bool detach_ask, detach_broken; /* for the job */

	bool stop_asked;
	enum transport_stop stop_how;
	void (*stop_done)(void *ctx, int res, const struct err *e);
	void *stop_ctx;
	struct loop_post end_post;
	struct err fail;
	struct err end_err;
};

/* vduse.c: like transport_ops.start, on a kernel of the caller's choice. */
int vduse_start_on(const struct vduse_sys *s, const struct transport_args *a, struct transport **t,
		   struct err *e);
/* The kernel has given up on the device: @why is one line. */
void vduse_is_broken(struct vduse *v, const char *why);
/* We had to refuse the driver something it will not go on without. */
void vduse_refused(struct vduse *v, const struct err *e);

/* msgs.c */
void vduse_msgs_ready(struct loop_fd *src, uint32_t events);
uint64_t vduse_drain_ns(const struct vduse *v);

/* queues.c */
/* Hand every queue that is ready to the core. Fails if one fails; then none is. */
int vduse_queues_prepare(struct vduse *v, struct err *e);
/* Run what is prepared; afterwards look out for late ones. */
void vduse_queues_start(struct vduse *v);
/* Memory was taken back: find the rings again. */
void vduse_queues_refetch(struct vduse *v);
/* Run queue @qi again from @base, after it was stopped to be looked at. */
void vduse_queue_resume(struct vduse *v, unsigned int qi, const struct vq_base *base);
/* After a reset nothing is set up any more. */
void vduse_queues_clear(struct vduse *v);
void vduse_late_tick(struct loop_timer *t);

/* call.c: a notification for the driver of queue @qi. NULL: no memory. */
struct xport_call *vduse_call_new(struct vduse_chan *c, struct loop *l, uint32_t qi);

/* config.c */
void vduse_config_changed(void *xport);
/* Bring the kernel's copy up to date and tell the driver, as far as it is possible now. */
void vduse_config_push(struct vduse *v);
void vduse_config_tick(struct loop_timer *t);

/* attach.c: bodies of jobs, on the helper thread */
int vduse_attach(const struct vduse_sys *s, const struct vduse_plan *p, int cancel_fd,
		 struct transport_info *info, struct err *e);
int vduse_detach(const struct vduse_sys *s, const struct vduse_plan *p, bool ask, bool broken,
		 struct err *e);

/* udev.c: helper thread; the name of the disk below @virtio (a sysfs folder), or -ENOENT */
int vduse_wait_disk(const struct vduse_sys *s, const struct vduse_plan *p, int cancel_fd,
		    unsigned int timeout_ms, struct transport_info *info, struct err *e);
/* Helper thread. sysfs folder and name of the disk ("" if there is none now). */
void vduse_find_disk(const struct vduse_sys *s, const struct vduse_plan *p, char *dir, char *disk,
		     size_t n);

/* inuse.c: helper thread. -EBUSY with @e when somebody uses @disk; else a descriptor that
 * keeps others from beginning to, or -1 when there is nothing to keep (the disk is gone). */
int vduse_claim(const struct vduse_sys *s, const char *disk, struct err *e);

#endif
