/* SPDX-License-Identifier: MIT */
/* virtio-blk: feature bits and configuration space (VIRTIO 1.3 sections 5.2.3 and 5.2.4). */
#include <errno.h>
#include <stddef.h>

#include "devices/blk/blk-impl.h"

uint64_t blk_features(void *dev)
{
	const struct blk *b = dev;
	const struct stor_caps *caps = &b->stor->caps;
	uint64_t f = VIRTIO_BIT(VIRTIO_BLK_F_SIZE_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |
		     VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) | VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) |
		     VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);

	if (b->nqueues > 1)
		f |= VIRTIO_BIT(VIRTIO_BLK_F_MQ);
	if (b->read_only)
		return f | VIRTIO_BIT(VIRTIO_BLK_F_RO);
	if (caps->discard)
		f |= VIRTIO_BIT(VIRTIO_BLK_F_DISCARD);
	if (caps->write_zeroes)
		f |= VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	/* A transport that drops the driver's writes would leave the two with different ideas. */
	if (b->dev && vu_dev_config_writable(b->dev))
		f |= VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);
	return f;
}

static unsigned int log2_of(uint32_t n)
{
	return 31u - (unsigned int)__builtin_clz(n);
}

void blk_config_fill(struct blk *b)
{
	const struct stor_caps *caps = &b->stor->caps;
	uint32_t segs = MIN(BLK_SEG_MAX, MAX(b->max_queue_size, 3) - 2);
	uint32_t physical = caps->physical_size / caps->block_size;
	struct virtio_blk_config c = {
		.capacity = htole64(b->sectors),
		.size_max = htole32(BLK_SIZE_MAX),
		.seg_max = htole32(segs),
		.blk_size = htole32(caps->block_size),
		.topology.physical_block_exp = (uint8_t)log2_of(physical),
		.topology.min_io_size = htole16((uint16_t)MIN(physical, UINT16_MAX)),
		.topology.opt_io_size = htole32(caps->opt_io / caps->block_size),
		.writeback = b->writeback,
		.num_queues = htole16((uint16_t)b->nqueues),
	};

	if (caps->discard && !b->read_only) {
		c.max_discard_sectors = htole32(BLK_DISCARD_SECTORS_MAX);
		c.max_discard_seg = htole32(BLK_RANGES_MAX);
		c.discard_sector_alignment = htole32(caps->physical_size / VIRTIO_BLK_SECTOR_SIZE);
	}
	if (caps->write_zeroes && !b->read_only) {
		c.max_write_zeroes_sectors = htole32(BLK_ZEROES_SECTORS_MAX);
		c.max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
		c.write_zeroes_may_unmap = caps->write_zeroes_unmap;
	}
	vu_dev_config_set(b->dev, 0, &c, sizeof(c));
}

void blk_config_writeback(struct blk *b, bool on)
{
	uint8_t v = on;

	b->writeback = on;
	vu_dev_config_set(b->dev, offsetof(struct virtio_blk_config, writeback), &v, sizeof(v));
}

/* 5.2.4: all is read-only for the driver but writeback, and that only with CONFIG_WCE accepted. */
int blk_config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	struct blk *b = dev;
	uint8_t v;

	if (off != offsetof(struct virtio_blk_config, writeback) || len != sizeof(v) ||
	    !(b->acked & VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE)))
		return -EPERM;
	v = *(const uint8_t *)buf;
	if (v > 1)
		return -EINVAL;
	return blk_cache_set(b, v == 0);
}
