/* SPDX-License-Identifier: MIT */
/* vuctl check: what a case needs, and whether it is there. */
#include <stdio.h>

#include "check/check-impl.h"
#include "util/compiler.h"
#include "wire/virtio-blk.h"

/* Needs that are one bit each, of the virtio features or the protocol features. */
static const struct {
	unsigned int need;
	bool protocol;
	unsigned int bit;
	const char *name;
} bits[] = {
	{ NEED_PROTOCOL, false, VHOST_USER_F_PROTOCOL_FEATURES, "F_PROTOCOL_FEATURES" },
	{ NEED_REPLY_ACK, true, VHOST_USER_PROTOCOL_F_REPLY_ACK, "REPLY_ACK" },
	{ NEED_CONFIG, true, VHOST_USER_PROTOCOL_F_CONFIG, "CONFIG" },
	{ NEED_MQ, true, VHOST_USER_PROTOCOL_F_MQ, "MQ" },
	{ NEED_MEM_SLOTS, true, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS, "CONFIGURE_MEM_SLOTS" },
	{ NEED_BACKEND_REQ, true, VHOST_USER_PROTOCOL_F_BACKEND_REQ, "BACKEND_REQ" },
	{ NEED_INFLIGHT, true, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD, "INFLIGHT_SHMFD" },
	{ NEED_LOG, true, VHOST_USER_PROTOCOL_F_LOG_SHMFD, "LOG_SHMFD" },
	{ NEED_LOG, false, VHOST_F_LOG_ALL, "F_LOG_ALL" },
	{ NEED_STATE, true, VHOST_USER_PROTOCOL_F_DEVICE_STATE, "DEVICE_STATE" },
	{ NEED_STATUS, true, VHOST_USER_PROTOCOL_F_STATUS, "STATUS" },
	{ NEED_RESET, true, VHOST_USER_PROTOCOL_F_RESET_DEVICE, "RESET_DEVICE" },
	{ NEED_EVENT_IDX, false, VIRTIO_F_EVENT_IDX, "EVENT_IDX" },
	{ NEED_INDIRECT, false, VIRTIO_F_INDIRECT_DESC, "INDIRECT_DESC" },
	{ NEED_FLUSH, false, VIRTIO_BLK_F_FLUSH, "BLK_F_FLUSH" },
	{ NEED_DISCARD, false, VIRTIO_BLK_F_DISCARD, "BLK_F_DISCARD" },
	{ NEED_WRITE_ZEROES, false, VIRTIO_BLK_F_WRITE_ZEROES, "BLK_F_WRITE_ZEROES" },
	{ NEED_CONFIG_WCE, false, VIRTIO_BLK_F_CONFIG_WCE, "BLK_F_CONFIG_WCE" },
	{ NEED_IOMMU, false, VIRTIO_F_ACCESS_PLATFORM, "F_ACCESS_PLATFORM" },
	{ NEED_SHMEM, true, VHOST_USER_PROTOCOL_F_SHMEM, "SHMEM" },
	{ NEED_SHARED_OBJECT, true, VHOST_USER_PROTOCOL_F_SHARED_OBJECT, "SHARED_OBJECT" },
	{ NEED_PACKED, false, VIRTIO_F_RING_PACKED, "RING_PACKED" },
};

/* Bits below 24 mean what they mean only for a disk. */
#define BLK_NEEDS                                                                     \
	(NEED_BLK | NEED_FLUSH | NEED_DISCARD | NEED_WRITE_ZEROES | NEED_CONFIG_WCE | \
	 NEED_READ_ONLY | NEED_WRITE | NEED_WRITABLE)

const char *check_missing(const struct check *c, const struct check_case *k, bool packed, char *buf,
			  size_t size)
{
	unsigned int needs = k->needs | (packed ? NEED_PACKED : 0);
	bool read_only = check_offers(c, VIRTIO_BLK_F_RO);

	if ((needs & BLK_NEEDS) && !c->facts.is_blk)
		return "not a disk";
	for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++) {
		bool there = bits[i].protocol ? check_offers_protocol(c, bits[i].bit) :
						check_offers(c, bits[i].bit);

		if (!(needs & bits[i].need) || there)
			continue;
		snprintf(buf, size, "not offered: %s", bits[i].name);
		return buf;
	}
	if ((needs & NEED_MQ) && c->facts.queues < 2)
		return "there is one queue only";
	if ((needs & NEED_READ_ONLY) && !read_only)
		return "the disk is not read-only";
	if ((needs & (NEED_WRITABLE | NEED_WRITE)) && !(needs & NEED_READ_ONLY) && read_only)
		return "the disk is read-only";
	if ((needs & NEED_WRITE) && !c->o->write)
		return "changes what is on the disk: only with --write";
	return NULL;
}
