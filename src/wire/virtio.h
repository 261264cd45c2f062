/* SPDX-License-Identifier: MIT */
/*
 * Virtio facts as they stand in memory and on the wire: device ids, feature
 * bits, ring layouts. Source: Virtual I/O Device (VIRTIO) Version 1.3.
 *
 * Every multi-byte field is little endian (VIRTIO_F_VERSION_1 is required by
 * this project; legacy rings in native order are not supported).
 */
#ifndef WIRE_VIRTIO_H
#define WIRE_VIRTIO_H

#include <assert.h>
#include <endian.h>
#include <stdint.h>

/* Little-endian types: the name says what the bytes are; convert at the door. */
typedef uint16_t le16;
typedef uint32_t le32;
typedef uint64_t le64;

/* 5: device types. */
enum {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_IOMEM = 6,
	VIRTIO_ID_RPMSG = 7,
	VIRTIO_ID_SCSI = 8,
	VIRTIO_ID_9P = 9,
	VIRTIO_ID_WLAN = 10,
	VIRTIO_ID_RPROC_SERIAL = 11,
	VIRTIO_ID_CAIF = 12,
	VIRTIO_ID_GPU = 16,
	VIRTIO_ID_CLOCK = 17,
	VIRTIO_ID_INPUT = 18,
	VIRTIO_ID_VSOCK = 19,
	VIRTIO_ID_CRYPTO = 20,
	VIRTIO_ID_SIGNAL_DIST = 21,
	VIRTIO_ID_PSTORE = 22,
	VIRTIO_ID_IOMMU = 23,
	VIRTIO_ID_MEM = 24,
	VIRTIO_ID_SOUND = 25,
	VIRTIO_ID_FS = 26,
	VIRTIO_ID_PMEM = 27,
	VIRTIO_ID_RPMB = 28,
	VIRTIO_ID_HWSIM = 29,
	VIRTIO_ID_VIDEO_ENCODER = 30,
	VIRTIO_ID_VIDEO_DECODER = 31,
	VIRTIO_ID_SCMI = 32,
	VIRTIO_ID_NITRO = 33,
	VIRTIO_ID_I2C = 34,
	VIRTIO_ID_WATCHDOG = 35,
	VIRTIO_ID_CAN = 36,
	VIRTIO_ID_DMABUF = 37,
	VIRTIO_ID_PARAM_SERV = 38,
	VIRTIO_ID_AUDIO_POLICY = 39,
	VIRTIO_ID_BLUETOOTH = 40,
	VIRTIO_ID_GPIO = 41,
	VIRTIO_ID_RDMA = 42,
};

/* 2.1: device status field. */
enum {
	VIRTIO_STATUS_ACKNOWLEDGE = 1,
	VIRTIO_STATUS_DRIVER = 2,
	VIRTIO_STATUS_DRIVER_OK = 4,
	VIRTIO_STATUS_FEATURES_OK = 8,
	VIRTIO_STATUS_NEEDS_RESET = 64,
	VIRTIO_STATUS_FAILED = 128,
};

/* 6: reserved feature bits (bit numbers). */
enum {
	VIRTIO_F_NOTIFY_ON_EMPTY = 24,
	VHOST_F_LOG_ALL = 26, /* vhost only: dirty logging on */
	VIRTIO_F_ANY_LAYOUT = 27,
	VIRTIO_F_INDIRECT_DESC = 28,
	VIRTIO_F_EVENT_IDX = 29,
	VHOST_USER_F_PROTOCOL_FEATURES = 30, /* vhost-user only */
	VIRTIO_F_VERSION_1 = 32,
	VIRTIO_F_ACCESS_PLATFORM = 33,
	VIRTIO_F_RING_PACKED = 34,
	VIRTIO_F_IN_ORDER = 35,
	VIRTIO_F_ORDER_PLATFORM = 36,
	VIRTIO_F_SR_IOV = 37,
	VIRTIO_F_NOTIFICATION_DATA = 38,
	VIRTIO_F_NOTIF_CONFIG_DATA = 39,
	VIRTIO_F_RING_RESET = 40,
	VIRTIO_F_ADMIN_VQ = 41,
};

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

/* 2.7: a split queue has at most 2^15 entries; 2.8: a packed one too. */
#define VIRTQ_MAX_SIZE 32768

/* 2.7.5 / 2.8.13: descriptor flags. */
enum {
	VIRTQ_DESC_F_NEXT = 1,
	VIRTQ_DESC_F_WRITE = 2,
	VIRTQ_DESC_F_INDIRECT = 4,
	VIRTQ_DESC_F_AVAIL = 1 << 7, /* packed only */
	VIRTQ_DESC_F_USED = 1 << 15, /* packed only */
};

/* 2.7.5: split descriptor. */
struct virtq_desc {
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};
static_assert(sizeof(struct virtq_desc) == 16, "2.7.5");

#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_USED_F_NO_NOTIFY     1

/* 2.7.6: available ring; followed by le16 used_event. */
struct virtq_avail {
	le16 flags;
	le16 idx;
	le16 ring[];
};
static_assert(sizeof(struct virtq_avail) == 4, "2.7.6");

struct virtq_used_elem {
	le32 id;
	le32 len;
};
static_assert(sizeof(struct virtq_used_elem) == 8, "2.7.8");

/* 2.7.8: used ring; followed by le16 avail_event. */
struct virtq_used {
	le16 flags;
	le16 idx;
	struct virtq_used_elem ring[];
};
static_assert(sizeof(struct virtq_used) == 4, "2.7.8");

/* 2.7.2 and 2.7.5 ff.: bytes of each part, event fields included. */
static inline uint64_t virtq_desc_bytes(uint32_t num)
{
	return UINT64_C(16) * num;
}
static inline uint64_t virtq_avail_bytes(uint32_t num)
{
	return UINT64_C(6) + UINT64_C(2) * num;
}
static inline uint64_t virtq_used_bytes(uint32_t num)
{
	return UINT64_C(6) + UINT64_C(8) * num;
}

/* 2.8.13: packed descriptor. */
struct pvirtq_desc {
	le64 addr;
	le32 len;
	le16 id;
	le16 flags;
};
static_assert(sizeof(struct pvirtq_desc) == 16, "2.8.13");

/* 2.8.14: event suppression structure (driver area, device area). */
struct pvirtq_event {
	le16 off_wrap; /* bits 0-14 offset, bit 15 wrap counter */
	le16 flags;    /* PVIRTQ_EVENT_* */
};
static_assert(sizeof(struct pvirtq_event) == 4, "2.8.14");

enum {
	PVIRTQ_EVENT_ENABLE = 0,
	PVIRTQ_EVENT_DISABLE = 1,
	PVIRTQ_EVENT_DESC = 2,
};

/*
 * 2.7.10: does moving an index from @from to @to (free running, 16 bit) pass
 * the point @event where the other side asked for a notification?
 */
static inline int virtq_need_event(uint16_t event, uint16_t to, uint16_t from)
{
	return (uint16_t)(to - event - 1) < (uint16_t)(to - from);
}

#endif
