/* SPDX-License-Identifier: MIT */
/*
 * The kernel's generic netlink family "vdpa", which puts devices on the vDPA
 * bus and takes them off. Source: include/uapi/linux/vdpa.h; only what this
 * project uses. A unit test compares the numbers.
 */
#ifndef WIRE_VDPA_H
#define WIRE_VDPA_H

#define VDPA_NL_FAMILY  "vdpa"
#define VDPA_NL_VERSION 1

/* Who makes vDPA devices out of VDUSE devices. */
#define VDPA_NL_MGMT_VDUSE "vduse"

enum vdpa_nl_cmd {
	VDPA_NL_DEV_NEW = 3,
	VDPA_NL_DEV_DEL = 4,
	VDPA_NL_DEV_GET = 5,
};

enum vdpa_nl_attr {
	VDPA_NL_A_MGMTDEV_DEV_NAME = 2, /* string */
	VDPA_NL_A_DEV_NAME = 4,         /* string */
	VDPA_NL_A_DEV_ID = 5,           /* u32, virtio device id */
};

#endif
