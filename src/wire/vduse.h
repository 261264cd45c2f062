/* SPDX-License-Identifier: MIT */
/*
 * The kernel's VDUSE interface, version 0: what goes through /dev/vduse.
 * Source: include/uapi/linux/vduse.h of Linux 5.15 to 6.12. An own copy, since
 * the headers of many distributions are older than the kernels they run; a
 * unit test compares the two. Native byte order.
 */
#ifndef WIRE_VDUSE_H
#define WIRE_VDUSE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define VDU_API_VERSION 0
#define VDU_NAME_MAX    256
#define VDU_IOC         0x81

/* ---- /dev/vduse/control ---- */

struct vdu_dev_config {
	char name[VDU_NAME_MAX]; /* NUL-terminated */
	uint32_t vendor_id;
	uint32_t device_id; /* virtio device id */
	uint64_t features;
	uint32_t vq_num;
	uint32_t vq_align; /* at most a page */
	uint32_t reserved[13];
	uint32_t config_size;
	uint8_t config[];
};
static_assert(sizeof(struct vdu_dev_config) == 336, "size is part of the ioctl number");

#define VDU_GET_API_VERSION _IOR(VDU_IOC, 0x00, uint64_t)
#define VDU_SET_API_VERSION _IOW(VDU_IOC, 0x01, uint64_t)
#define VDU_CREATE_DEV      _IOW(VDU_IOC, 0x02, struct vdu_dev_config)
#define VDU_DESTROY_DEV     _IOW(VDU_IOC, 0x03, char[VDU_NAME_MAX])

/* ---- /dev/vduse/NAME ---- */

enum vdu_access {
	VDU_ACCESS_RO = 1,
	VDU_ACCESS_WO = 2,
	VDU_ACCESS_RW = 3,
};

/* Addresses @start to @last, both included. */
struct vdu_iotlb_entry {
	uint64_t offset; /* in the file that IOTLB_GET_FD returns */
	uint64_t start;
	uint64_t last;
	uint8_t perm; /* enum vdu_access */
	uint8_t pad[7];
};
static_assert(sizeof(struct vdu_iotlb_entry) == 32, "size is part of the ioctl number");

struct vdu_config_data {
	uint32_t offset;
	uint32_t length;
	uint8_t buffer[];
};
static_assert(sizeof(struct vdu_config_data) == 8, "size is part of the ioctl number");

struct vdu_vq_config {
	uint32_t index;
	uint16_t max_size;
	uint16_t reserved[13];
};
static_assert(sizeof(struct vdu_vq_config) == 32, "size is part of the ioctl number");

struct vdu_vq_state_split {
	uint16_t avail_index;
};

struct vdu_vq_state_packed {
	uint16_t last_avail_counter; /* wrap counter, 0 or 1 */
	uint16_t last_avail_idx;
	uint16_t last_used_counter;
	uint16_t last_used_idx;
};

struct vdu_vq_info {
	uint32_t index;
	uint32_t num;
	uint64_t desc_addr;
	uint64_t driver_addr;
	uint64_t device_addr;
	union {
		struct vdu_vq_state_split split;
		struct vdu_vq_state_packed packed;
	};
	uint8_t ready;
	uint8_t pad[7];
};
static_assert(sizeof(struct vdu_vq_info) == 48, "size is part of the ioctl number");

struct vdu_vq_eventfd {
	uint32_t index;
	int32_t fd; /* -1: take the present one away */
};
static_assert(sizeof(struct vdu_vq_eventfd) == 8, "size is part of the ioctl number");

struct vdu_iova_umem {
	uint64_t uaddr;
	uint64_t iova;
	uint64_t size;
	uint64_t reserved[3];
};
static_assert(sizeof(struct vdu_iova_umem) == 48, "size is part of the ioctl number");

#define VDU_IOVA_CAP_UMEM 1u

struct vdu_iova_info {
	uint64_t start;
	uint64_t last;
	uint64_t capability;
	uint64_t reserved[3];
};
static_assert(sizeof(struct vdu_iova_info) == 48, "size is part of the ioctl number");

#define VDU_IOTLB_GET_FD          _IOWR(VDU_IOC, 0x10, struct vdu_iotlb_entry)
#define VDU_DEV_GET_FEATURES      _IOR(VDU_IOC, 0x11, uint64_t)
#define VDU_DEV_SET_CONFIG        _IOW(VDU_IOC, 0x12, struct vdu_config_data)
#define VDU_DEV_INJECT_CONFIG_IRQ _IO(VDU_IOC, 0x13)
#define VDU_VQ_SETUP              _IOW(VDU_IOC, 0x14, struct vdu_vq_config)
#define VDU_VQ_GET_INFO           _IOWR(VDU_IOC, 0x15, struct vdu_vq_info)
#define VDU_VQ_SETUP_KICKFD       _IOW(VDU_IOC, 0x16, struct vdu_vq_eventfd)
#define VDU_VQ_INJECT_IRQ         _IOW(VDU_IOC, 0x17, uint32_t)
#define VDU_IOTLB_REG_UMEM        _IOW(VDU_IOC, 0x18, struct vdu_iova_umem)
#define VDU_IOTLB_DEREG_UMEM      _IOW(VDU_IOC, 0x19, struct vdu_iova_umem)
#define VDU_IOTLB_GET_INFO        _IOWR(VDU_IOC, 0x1a, struct vdu_iova_info)

/* ---- messages: read a request, write a response with its id ---- */

enum vdu_req_type {
	VDU_GET_VQ_STATE = 0,
	VDU_SET_STATUS = 1, /* status 0 is a reset */
	VDU_UPDATE_IOTLB = 2,
};

enum vdu_result {
	VDU_RESULT_OK = 0,
	VDU_RESULT_FAILED = 1,
};

struct vdu_vq_state {
	uint32_t index;
	union {
		struct vdu_vq_state_split split;
		struct vdu_vq_state_packed packed;
	};
};

struct vdu_dev_status {
	uint8_t status;
};

struct vdu_iova_range {
	uint64_t start;
	uint64_t last;
};

struct vdu_dev_request {
	uint32_t type;
	uint32_t request_id;
	uint32_t reserved[4];
	union {
		struct vdu_vq_state vq_state; /* only the index */
		struct vdu_dev_status s;
		struct vdu_iova_range iova;
		uint32_t padding[32];
	};
};
static_assert(sizeof(struct vdu_dev_request) == 152, "as read");

struct vdu_dev_response {
	uint32_t request_id;
	uint32_t result;      /* enum vdu_result */
	uint32_t reserved[4]; /* must be 0 */
	union {
		struct vdu_vq_state vq_state;
		uint32_t padding[32];
	};
};
static_assert(sizeof(struct vdu_dev_response) == 152, "as written");

#endif
