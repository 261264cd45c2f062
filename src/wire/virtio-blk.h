/* SPDX-License-Identifier: MIT */
/* virtio-blk as on the wire. Source: VIRTIO 1.3, section 5.2. */
#ifndef WIRE_VIRTIO_BLK_H
#define WIRE_VIRTIO_BLK_H

#include "wire/virtio.h"

/* 5.2.3: feature bits (bit numbers). */
enum {
	VIRTIO_BLK_F_SIZE_MAX = 1,
	VIRTIO_BLK_F_SEG_MAX = 2,
	VIRTIO_BLK_F_GEOMETRY = 4,
	VIRTIO_BLK_F_RO = 5,
	VIRTIO_BLK_F_BLK_SIZE = 6,
	VIRTIO_BLK_F_FLUSH = 9,
	VIRTIO_BLK_F_TOPOLOGY = 10,
	VIRTIO_BLK_F_CONFIG_WCE = 11,
	VIRTIO_BLK_F_MQ = 12,
	VIRTIO_BLK_F_DISCARD = 13,
	VIRTIO_BLK_F_WRITE_ZEROES = 14,
	VIRTIO_BLK_F_LIFETIME = 15,
	VIRTIO_BLK_F_SECURE_ERASE = 16,
	VIRTIO_BLK_F_ZONED = 17,
};

/* 5.2.4: configuration space, up to and including what we serve. */
struct virtio_blk_config {
	le64 capacity; /* in 512-byte sectors */
	le32 size_max;
	le32 seg_max;
	struct {
		le16 cylinders;
		uint8_t heads;
		uint8_t sectors;
	} geometry;
	le32 blk_size;
	struct {
		uint8_t physical_block_exp;
		uint8_t alignment_offset;
		le16 min_io_size; /* in logical blocks */
		le32 opt_io_size; /* in logical blocks */
	} topology;
	uint8_t writeback;
	uint8_t unused0;
	le16 num_queues;
	le32 max_discard_sectors;
	le32 max_discard_seg;
	le32 discard_sector_alignment;
	le32 max_write_zeroes_sectors;
	le32 max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
} __attribute__((packed));
static_assert(sizeof(struct virtio_blk_config) == 60, "5.2.4");

/* 5.2.6: request types and status. */
enum {
	VIRTIO_BLK_T_IN = 0,
	VIRTIO_BLK_T_OUT = 1,
	VIRTIO_BLK_T_FLUSH = 4,
	VIRTIO_BLK_T_GET_ID = 8,
	VIRTIO_BLK_T_DISCARD = 11,
	VIRTIO_BLK_T_WRITE_ZEROES = 13,
};

enum {
	VIRTIO_BLK_S_OK = 0,
	VIRTIO_BLK_S_IOERR = 1,
	VIRTIO_BLK_S_UNSUPP = 2,
};

#define VIRTIO_BLK_ID_BYTES    20
#define VIRTIO_BLK_SECTOR_SIZE 512

struct virtio_blk_req_hdr {
	le32 type;
	le32 reserved;
	le64 sector;
};
static_assert(sizeof(struct virtio_blk_req_hdr) == 16, "5.2.6");

#define VIRTIO_BLK_DWZ_FLAG_UNMAP 1u

struct virtio_blk_dwz {
	le64 sector;
	le32 num_sectors;
	le32 flags;
};
static_assert(sizeof(struct virtio_blk_dwz) == 16, "5.2.6");

#endif
