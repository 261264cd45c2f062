/* SPDX-License-Identifier: MIT */
/*
 * Notifying the driver: one ioctl, from the worker.
 *
 * The kernel refuses it (EINVAL) until it has stored the status DRIVER_OK,
 * which happens some time after it has read our answer to that message. A
 * notification in that gap must not be lost: the control loop repeats it.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "transport/vduse/vduse-impl.h"
#include "util/compiler.h"

#define RETRY_NS    UINT64_C(1000000)
#define RETRY_TRIES 5000

/**
 * struct vduse_call
 * @posted:	the control loop has it in hand: @post is under way or @timer is armed
 * @released:	the core has let go while @post was under way. Control loop
 */
struct vduse_call {
	struct xport_call base;
	struct vduse_chan *chan;
	struct loop *loop;
	uint32_t qi;
	atomic_bool posted;
	bool released;
	unsigned int tries;
	struct loop_post post;
	struct loop_timer timer;
};

static int inject(struct vduse_call *c)
{
	uint32_t qi = c->qi;

	return vduse_chan_ioctl(c->chan, VDU_VQ_INJECT_IRQ, &qi);
}

static void call_notify(struct xport_call *base)
{
	struct vduse_call *c = container_of(base, struct vduse_call, base);

	if (likely(inject(c) != -EINVAL))
		return; /* done; or the device is broken, which its descriptor tells */
	if (!atomic_exchange(&c->posted, true))
		loop_post(c->loop, &c->post);
}

static void call_free(struct vduse_call *c)
{
	vduse_chan_put(c->chan);
	free(c);
}

static void call_retry(struct vduse_call *c)
{
	if (inject(c) == -EINVAL && c->tries++ < RETRY_TRIES) {
		loop_timer_set(c->loop, &c->timer, RETRY_NS);
		return;
	}
	c->tries = 0;
	atomic_store(&c->posted, false);
}

static void call_posted(struct loop_post *p)
{
	struct vduse_call *c = container_of(p, struct vduse_call, post);

	if (c->released)
		call_free(c);
	else
		call_retry(c);
}

static void call_tick(struct loop_timer *t)
{
	call_retry(container_of(t, struct vduse_call, timer));
}

static void call_release(struct xport_call *base)
{
	struct vduse_call *c = container_of(base, struct vduse_call, base);

	if (c->timer.armed) {
		loop_timer_cancel(c->loop, &c->timer);
		atomic_store(&c->posted, false);
	}
	if (atomic_load(&c->posted))
		c->released = true; /* the post frees it */
	else
		call_free(c);
}

struct xport_call *vduse_call_new(struct vduse_chan *chan, struct loop *l, uint32_t qi)
{
	struct vduse_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->base.notify = call_notify;
	c->base.bell = -1;
	c->base.release = call_release;
	c->chan = vduse_chan_get(chan);
	c->loop = l;
	c->qi = qi;
	atomic_init(&c->posted, false);
	c->post.fn = call_posted;
	c->timer.fn = call_tick;
	return &c->base;
}
