/* SPDX-License-Identifier: MIT */
/*
 * vhost-user messages as on the socket. Source: the vhost-user specification
 * (docs/interop/vhost-user.rst in QEMU). Native byte order, as the
 * specification demands. Shared by the back-end transport and the front-end.
 */
#ifndef WIRE_VHOST_USER_H
#define WIRE_VHOST_USER_H

#include <assert.h>
#include <stdint.h>

/* "Message Specification": header flags. */
#define VHOST_USER_VERSION       0x1u
#define VHOST_USER_VERSION_MASK  0x3u
#define VHOST_USER_F_REPLY       (1u << 2)
#define VHOST_USER_F_NEED_REPLY  (1u << 3)
#define VHOST_USER_FLAGS_DEFINED 0xfu

#define VHOST_USER_MAX_FDS          8
#define VHOST_USER_MAX_REGIONS      8   /* in one SET_MEM_TABLE */
#define VHOST_USER_MAX_SLOTS        509 /* what we answer to GET_MAX_MEM_SLOTS */
#define VHOST_USER_MAX_VRINGS       256 /* KICK, CALL and ERR carry 8 bits of index */
#define VHOST_USER_CONFIG_MAX       256
#define VHOST_USER_VRING_IDX_MASK   0xffu
#define VHOST_USER_VRING_NOFD       (1u << 8)
#define VHOST_USER_VRING_ADDR_F_LOG 1u

/* Protocol feature bits (bit numbers). */
enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_F_RARP = 2,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_MTU = 4,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CROSS_ENDIAN = 6,
	VHOST_USER_PROTOCOL_F_CRYPTO_SESSION = 7,
	VHOST_USER_PROTOCOL_F_PAGEFAULT = 8,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VHOST_USER_PROTOCOL_F_HOST_NOTIFIER = 11,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS = 14,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_F_STATUS = 16,
	VHOST_USER_PROTOCOL_F_XEN_MMAP = 17,
	VHOST_USER_PROTOCOL_F_SHARED_OBJECT = 18,
	VHOST_USER_PROTOCOL_F_DEVICE_STATE = 19,
	VHOST_USER_PROTOCOL_F_GET_VRING_BASE_INFLIGHT = 20,
	VHOST_USER_PROTOCOL_F_GPA_ADDRESSES = 21,
	VHOST_USER_PROTOCOL_F_SHMEM = 22,
	VHOST_USER_PROTOCOL_F_GET_VRING_BASE_SKIP_DRAIN = 23,
};

/* "Front-end message types". */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SEND_RARP = 19,
	VHOST_USER_NET_SET_MTU = 20,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_IOTLB_MSG = 22,
	VHOST_USER_SET_VRING_ENDIAN = 23,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_CREATE_CRYPTO_SESSION = 26,
	VHOST_USER_CLOSE_CRYPTO_SESSION = 27,
	VHOST_USER_POSTCOPY_ADVISE = 28,
	VHOST_USER_POSTCOPY_LISTEN = 29,
	VHOST_USER_POSTCOPY_END = 30,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_GPU_SET_SOCKET = 33,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_VRING_KICK = 35,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_GET_SHARED_OBJECT = 41,
	VHOST_USER_SET_DEVICE_STATE_FD = 42,
	VHOST_USER_CHECK_DEVICE_STATE = 43,
	VHOST_USER_GET_SHMEM_CONFIG = 44,
	VHOST_USER_GET_VRING_BASE_SKIP_DRAIN = 45,
	VHOST_USER_REQUEST_MAX = 46,
};

/* "Back-end message types". */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_IOTLB_MSG = 1,
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
	VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
	VHOST_USER_BACKEND_VRING_CALL = 4,
	VHOST_USER_BACKEND_VRING_ERR = 5,
	VHOST_USER_BACKEND_SHARED_OBJECT_ADD = 6,
	VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE = 7,
	VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP = 8,
	VHOST_USER_BACKEND_SHMEM_MAP = 9,
	VHOST_USER_BACKEND_SHMEM_UNMAP = 10,
	/* crosvm's own; only its front-end understands them */
	VHOST_USER_BACKEND_CROSVM_GPU_MAP = 1006,
	VHOST_USER_BACKEND_CROSVM_EXTERNAL_MAP = 1007,
};

struct vhost_user_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload */
};
static_assert(sizeof(struct vhost_user_hdr) == 12, "Message Specification");

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};
static_assert(sizeof(struct vhost_user_vring_state) == 8, "A vring state description");

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};
static_assert(sizeof(struct vhost_user_vring_addr) == 40, "A vring address description");

struct vhost_user_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t mmap_offset;
};
static_assert(sizeof(struct vhost_user_region) == 32, "Memory region description");

struct vhost_user_mem_table {
	uint32_t nregions;
	uint32_t pad;
	struct vhost_user_region regions[VHOST_USER_MAX_REGIONS];
};
static_assert(sizeof(struct vhost_user_mem_table) == 264, "Multiple memory regions description");

struct vhost_user_single_region {
	uint64_t pad;
	struct vhost_user_region region;
};
static_assert(sizeof(struct vhost_user_single_region) == 40, "Single memory region description");

struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t region[VHOST_USER_CONFIG_MAX];
};
static_assert(sizeof(struct vhost_user_config) == 268, "Virtio device config space");
#define VHOST_USER_CONFIG_HDR_SIZE 12

/* "Log description", for SET_LOG_BASE. */
struct vhost_user_log {
	uint64_t mmap_size;
	uint64_t mmap_offset;
};
static_assert(sizeof(struct vhost_user_log) == 16, "Log description");

/* "Inflight description". */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t
		pad; /* peers send and accept 24 bytes; only VHOST_USER_INFLIGHT_SIZE mean anything */
};
#define VHOST_USER_INFLIGHT_SIZE 20

/*
 * "Inflight I/O tracking": the record of one queue, as it can be implemented. Those of all
 * queues follow each other, each padded to 64 bytes.
 */
#define VHOST_USER_RECORD_ALIGN   64
#define VHOST_USER_RECORD_VERSION 1 /* 0: nothing was recorded yet */
struct vhost_user_record_split_desc {
	uint8_t inflight;
	uint8_t pad[5];
	uint16_t next; /* of the last batch */
	uint64_t counter;
};
static_assert(sizeof(struct vhost_user_record_split_desc) == 16, "Inflight I/O tracking");

struct vhost_user_record_split {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct vhost_user_record_split_desc desc[];
};
static_assert(sizeof(struct vhost_user_record_split) == 16, "Inflight I/O tracking");

struct vhost_user_record_packed_desc {
	uint8_t inflight;
	uint8_t pad;
	uint16_t next; /* free list, or the chain */
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};
static_assert(sizeof(struct vhost_user_record_packed_desc) == 32, "Inflight I/O tracking");

struct vhost_user_record_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
	uint16_t used_idx;
	uint16_t old_used_idx;
	uint8_t used_wrap;
	uint8_t old_used_wrap;
	uint8_t pad[10]; /* 7 in the text; entries are aligned */
	struct vhost_user_record_packed_desc desc[];
};
static_assert(sizeof(struct vhost_user_record_packed) == 32, "Inflight I/O tracking");

/* "An IOTLB message". */
struct vhost_user_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t uaddr;
	uint8_t perm; /* 1 read, 2 write, 3 both */
	uint8_t type; /* VHOST_USER_IOTLB_* */
	uint8_t pad[6];
};
static_assert(sizeof(struct vhost_user_iotlb) == 32, "An IOTLB message");
enum {
	VHOST_USER_IOTLB_MISS = 1,
	VHOST_USER_IOTLB_UPDATE = 2,
	VHOST_USER_IOTLB_INVALIDATE = 3,
	VHOST_USER_IOTLB_ACCESS_FAIL = 4,
};

/* "Device state transfer parameters". */
struct vhost_user_transfer {
	uint32_t direction; /* 0 save, 1 load */
	uint32_t phase;     /* 0: stopped */
};
static_assert(sizeof(struct vhost_user_transfer) == 8, "Device state transfer parameters");
#define VHOST_USER_STATE_ERROR_MASK 0xffu     /* of the answer */
#define VHOST_USER_STATE_NOFD       (1u << 8) /* the descriptor sent is the one used */

struct vhost_user_uuid {
	uint8_t bytes[16];
};

/* "VIRTIO Shared Memory Region configuration". */
#define VHOST_USER_SHMEM_MAX 256
struct vhost_user_shmem_config {
	uint32_t nregions;
	uint32_t pad;
	uint64_t sizes[VHOST_USER_SHMEM_MAX];
};
static_assert(sizeof(struct vhost_user_shmem_config) == 2056, "Shared Memory Region configuration");

/* "MMAP request". */
struct vhost_user_mmap {
	uint8_t shmid;
	uint8_t pad[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags; /* bit 0: writable */
};
static_assert(sizeof(struct vhost_user_mmap) == 40, "MMAP request");

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table mem;
	struct vhost_user_single_region single;
	struct vhost_user_config config;
	uint8_t bytes[320];
};

#endif
