/* SPDX-License-Identifier: MIT */
/*
 * Configuration space. The kernel answers the driver from its own copy and
 * drops what the driver writes; we only keep the copy up to date.
 */
#include <errno.h>
#include <string.h>

#include "transport/vduse/vduse-impl.h"
#include "util/compiler.h"
#include "util/log.h"
#include "wire/virtio.h"

/* The kernel refuses the interrupt for a moment after DRIVER_OK: see call.c. */
#define RETRY_NS    UINT64_C(1000000)
#define RETRY_TRIES 5000

static void push_bytes(struct vduse *v)
{
	union {
		struct vdu_config_data head;
		uint8_t bytes[sizeof(struct vdu_config_data) + VDUSE_CONFIG_MAX];
	} c = { 0 };
	uint32_t n = vdev_config_size(v->dev);
	int rc;

	if (n == 0 || n > VDUSE_CONFIG_MAX ||
	    vdev_config_read(v->dev, 0, c.bytes + sizeof(c.head), n) < 0)
		return;
	c.head.length = n;
	rc = vduse_chan_ioctl(v->mem.chan, VDU_DEV_SET_CONFIG, &c);
	if (rc < 0)
		log_warning("%s: the kernel did not take the new configuration: %s", v->plan.name,
			    strerror(-rc));
}

void vduse_config_push(struct vduse *v)
{
	int rc;

	if (!v->mem.chan || v->broken)
		return;
	if (v->config_stale) {
		v->config_stale = false;
		push_bytes(v);
	}
	/* Before DRIVER_OK it may have read the old bytes: told as soon as it can be. */
	if (!v->config_irq || v->resets || !(v->status & VIRTIO_STATUS_DRIVER_OK))
		return;
	rc = vduse_chan_ioctl(v->mem.chan, VDU_DEV_INJECT_CONFIG_IRQ, NULL);
	if (rc == -EINVAL && v->config_tries++ < RETRY_TRIES) {
		loop_timer_set(v->loop, &v->config_timer, RETRY_NS);
		return;
	}
	v->config_irq = false;
	v->config_tries = 0;
	if (rc < 0)
		log_warning("%s: the driver could not be told of the new configuration: %s",
			    v->plan.name, strerror(-rc));
}

void vduse_config_tick(struct loop_timer *t)
{
	vduse_config_push(container_of(t, struct vduse, config_timer));
}

void vduse_config_changed(void *xport)
{
	struct vduse *v = xport;

	v->config_stale = true;
	v->config_irq = true;
	vduse_config_push(v);
}
