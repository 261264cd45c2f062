/* SPDX-License-Identifier: MIT */
/* Making and destroying the VDUSE device (not yet, or no longer, on the vDPA bus). */
#ifndef VDUSE_CREATE_H
#define VDUSE_CREATE_H

#include <stdint.h>

#include "transport/vduse/sys.h"
#include "util/err.h"

#define VDUSE_NAME_LEN   31
#define VDUSE_CONFIG_MAX 256

/**
 * struct vduse_plan - what is to be made; plain facts, so that any thread may use them
 * @name:	checked by vduse_check_name()
 * @virtio_id:	device type
 * @features:	all bits offered
 * @nqueues, @max_size: the same size for each
 * @config_size, @config: configuration space at birth
 */
struct vduse_plan {
	char name[VDUSE_NAME_LEN + 1];
	uint32_t virtio_id;
	uint64_t features;
	uint32_t nqueues;
	uint32_t max_size;
	uint32_t config_size;
	uint8_t config[VDUSE_CONFIG_MAX];
};

/* Is @name one that can be a file name, a device name and a word on a command line? */
int vduse_check_name(const char *name, struct err *e);

/**
 * vduse_ensure_modules() - see to it that this kernel can do what we are about to ask
 *
 * Helper thread. Loads what is missing when it may. Return: 0, or -errno with
 * @e saying whether a module is not loaded or not there at all.
 */
int vduse_ensure_modules(const struct vduse_sys *s, struct err *e);

/**
 * vduse_create() - make the device and open it
 *
 * Helper thread. Return: the device's descriptor (non-blocking), or -errno
 * with @e; then nothing is left behind.
 */
int vduse_create(const struct vduse_sys *s, const struct vduse_plan *p, struct err *e);

/* Helper thread. The device must be closed and off the bus. 0 or -errno with @e. */
int vduse_destroy(const struct vduse_sys *s, const char *name, struct err *e);

#endif
