/* SPDX-License-Identifier: MIT */
/*
 * The device's descriptor and the guest memory found through it.
 *
 * The kernel hands out memory piece by piece (IOTLB_GET_FD) and takes it back
 * by message (UPDATE_IOTLB) or by reset. What has been found is kept as one
 * gmem snapshot, shared by the control thread and, through gmem's miss call,
 * by the workers; hence the only lock of this transport, on a slow path.
 */
#ifndef VDUSE_MEM_H
#define VDUSE_MEM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core/gmem.h"
#include "transport/vduse/sys.h"
#include "util/err.h"

/**
 * struct vduse_chan - the open device, outlives its owner while somebody may still notify
 * @fd:		-1 once closed
 */
struct vduse_chan {
	const struct vduse_sys *sys;
	atomic_int refs;
	atomic_int fd;
};

struct vduse_chan *vduse_chan_new(const struct vduse_sys *s, int fd); /* NULL: no memory */
struct vduse_chan *vduse_chan_get(struct vduse_chan *c);
void vduse_chan_put(struct vduse_chan *c);
void vduse_chan_close(struct vduse_chan *c);                                    /* control thread */
int vduse_chan_ioctl(const struct vduse_chan *c, unsigned long req, void *arg); /* any thread */

/**
 * struct vduse_mem - what has been found
 * @lock:	guards @cur; held over the look-up of one region
 * @cur:	never NULL after a successful init
 */
struct vduse_mem {
	pthread_mutex_t lock;
	struct gmem *cur;
	struct vduse_chan *chan; /* NULL until there is a device */
};

int vduse_mem_init(struct vduse_mem *m, struct err *e);
void vduse_mem_fini(struct vduse_mem *m);

/* Forget everything: the driver has reset the device. */
int vduse_mem_clear(struct vduse_mem *m, struct err *e);

/* Find what is at @addr, if it is not known. 0, -EFAULT, or -errno. Any thread. */
int vduse_mem_fetch(struct vduse_mem *m, uint64_t addr, struct err *e);

/* Forget every region that has an address in [@start, @last]. */
int vduse_mem_drop(struct vduse_mem *m, uint64_t start, uint64_t last, struct err *e);

/* A reference to the present snapshot. Any thread. */
struct gmem *vduse_mem_get(struct vduse_mem *m);

#endif
