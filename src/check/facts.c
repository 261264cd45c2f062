/* SPDX-License-Identifier: MIT */
/* vuctl check: what is known of the back-end before the first case. */
#include <errno.h>
#include <stddef.h>

#include "check/check-impl.h"
#include "util/compiler.h"
#include "wire/virtio-blk.h"

#define PF(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)

/* Bits 0 to 23 belong to the kind of device; these to a disk. */
#define DEVICE_BITS UINT64_C(0xffffff)
#define BLK_BITS                                                                     \
	(VIRTIO_BIT(VIRTIO_BLK_F_SIZE_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |      \
	 VIRTIO_BIT(VIRTIO_BLK_F_GEOMETRY) | VIRTIO_BIT(VIRTIO_BLK_F_RO) |           \
	 VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |        \
	 VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_MQ) |           \
	 VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |    \
	 VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) | VIRTIO_BIT(VIRTIO_BLK_F_LIFETIME) | \
	 VIRTIO_BIT(VIRTIO_BLK_F_SECURE_ERASE) | VIRTIO_BIT(VIRTIO_BLK_F_ZONED))

uint64_t check_known_virtio(const struct check *c)
{
	uint64_t known = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
			 VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
			 VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);

	/* LIFETIME, SECURE_ERASE and ZONED change what a disk is: nobody here uses them. */
	if (c->facts.is_blk)
		known |= BLK_BITS &
			 ~(VIRTIO_BIT(VIRTIO_BLK_F_LIFETIME) |
			   VIRTIO_BIT(VIRTIO_BLK_F_SECURE_ERASE) | VIRTIO_BIT(VIRTIO_BLK_F_ZONED));
	if (c->packed)
		known |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	return c->facts.features & known;
}

/* Nothing that changes what other messages mean, and nothing of one kind of device. */
uint64_t check_known_protocol(const struct check *c)
{
	return c->facts.protocol_features &
	       (PF(MQ) | PF(LOG_SHMFD) | PF(REPLY_ACK) | PF(BACKEND_REQ) | PF(CONFIG) |
		PF(BACKEND_SEND_FD) | PF(INFLIGHT_SHMFD) | PF(RESET_DEVICE) |
		PF(CONFIGURE_MEM_SLOTS) | PF(STATUS) | PF(SHARED_OBJECT) | PF(DEVICE_STATE) |
		PF(SHMEM));
}

/* The socket does not say what kind of device it is: a disk is what can only be one. */
static bool looks_like_blk(const struct check_facts *f, const struct virtio_blk_config *b)
{
	uint64_t capacity = le64toh(b->capacity);
	uint32_t size = le32toh(b->blk_size), segs = le32toh(b->seg_max);

	if ((f->features & DEVICE_BITS & ~BLK_BITS) || !(f->features & BLK_BITS))
		return false;
	if (capacity >> 55)
		return false;
	if (f->features & VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE))
		return size >= VIRTIO_BLK_SECTOR_SIZE && size <= 65536 && !(size & (size - 1));
	if (f->features & VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX))
		return capacity && segs && segs <= UINT16_MAX;
	return capacity && (f->features & VIRTIO_BIT(VIRTIO_BLK_F_FLUSH));
}

static void find_disk(struct check_facts *f, struct vuc *v)
{
	struct virtio_blk_config b = { 0 };
	/* Everybody has it up to the block size; not everybody gives more. */
	uint32_t len = offsetof(struct virtio_blk_config, topology);

	if (vuc_get_config(v, 0, &b, len, NULL) < 0 || !looks_like_blk(f, &b))
		return;
	f->is_blk = true;
	f->sectors = le64toh(b.capacity);
	f->block_size = f->features & VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) ? le32toh(b.blk_size) :
									  VIRTIO_BLK_SECTOR_SIZE;
}

/* Only the features are needed; what else is not answered is left to the cases. */
static int ask(struct check *c, struct vuc *v, struct err *e)
{
	struct check_facts *f = &c->facts;
	uint64_t n;
	int ret = vuc_get_features(v, &f->features, e);

	f->queues = 1;
	f->block_size = VIRTIO_BLK_SECTOR_SIZE;
	if (ret < 0)
		return ret;
	if (vuc_set_owner(v, NULL) < 0 ||
	    !(f->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) ||
	    vuc_get_protocol_features(v, &f->protocol_features, NULL) < 0 ||
	    vuc_set_protocol_features(v, check_known_protocol(c), NULL) < 0)
		return 0;
	if ((f->protocol_features & PF(MQ)) && vuc_get_queue_num(v, &n, NULL) == 0)
		f->queues = (unsigned int)MIN(n, (uint64_t)VHOST_USER_MAX_VRINGS);
	if ((f->protocol_features & PF(CONFIGURE_MEM_SLOTS)) &&
	    vuc_get_max_mem_slots(v, &n, NULL) == 0)
		f->mem_slots = n;
	if (f->protocol_features & PF(CONFIG))
		find_disk(f, v);
	return 0;
}

int check_facts_find(struct check *c, struct err *e)
{
	int fd = check_server_connect(&c->server, 0, e), ret;
	struct vuc *v;

	if (fd < 0)
		return fd;
	v = vuc_from_fd(fd, c->server.patience_ms, e);
	if (!v)
		return -ENOMEM;
	ret = ask(c, v, e);
	vuc_close(v);
	if (ret == -ETIMEDOUT)
		return err_set(e, ret, "backend-hung",
			       "the back-end at '%s' takes connections and does not answer",
			       c->o->socket);
	if (ret < 0)
		return err_prefix(e, "'%s' does not speak vhost-user", c->o->socket);
	return 0;
}
