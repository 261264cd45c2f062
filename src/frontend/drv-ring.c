/* SPDX-License-Identifier: MIT */
/* Driver rings: what the two formats share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/drv-ring.h"
#include "util/compiler.h"

static uint64_t line_up(uint64_t n)
{
	return (n + CACHELINE - 1) & ~(uint64_t)(CACHELINE - 1);
}

int drv_layout(uint32_t size, uint64_t features, unsigned int indirect_max, struct drv_layout *l)
{
	bool packed = features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);

	if (size == 0 || size > VIRTQ_MAX_SIZE || indirect_max > VIRTQ_MAX_SIZE)
		return -EINVAL;
	if (!packed && (size & (size - 1)))
		return -EINVAL;
	/* Each part on cache lines of its own: the driver writes one, the device another. */
	l->desc = 0;
	l->driver = line_up(virtq_desc_bytes(size));
	if (packed) {
		l->device = l->driver + CACHELINE;
		l->indirect = l->device + CACHELINE;
	} else {
		l->device = l->driver + line_up(virtq_avail_bytes(size));
		l->indirect = l->device + line_up(virtq_used_bytes(size));
	}
	l->bytes = l->indirect + line_up((uint64_t)size * indirect_max * sizeof(struct virtq_desc));
	return 0;
}

struct drv_ring *drv_ring_new(const struct drv_ring_cfg *cfg, struct err *e)
{
	bool packed = cfg->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	bool indirect = cfg->features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	struct drv_ring *r;

	r = calloc(1, sizeof(*r));
	if (!r) {
		err_sys(e, -ENOMEM, "ring-memory", "cannot make a queue");
		return NULL;
	}
	if (cfg->indirect_max > VIRTQ_MAX_SIZE) {
		err_set(e, -EINVAL, "ring-table", "an indirect table cannot have %u entries",
			cfg->indirect_max);
		err_hint(e, "at most 32768 are possible");
		goto fail;
	}
	r->indirect_max = indirect ? (uint16_t)cfg->indirect_max : 0;
	if (drv_layout(cfg->size, cfg->features, r->indirect_max, &r->layout)) {
		err_set(e, -EINVAL, "ring-size", "a %s queue cannot have %u entries",
			packed ? "packed" : "split", cfg->size);
		err_hint(e, packed ? "1 to 32768 are possible" :
				     "powers of two from 1 to 32768 are possible");
		goto fail;
	}
	if (!cfg->mem || (uintptr_t)cfg->mem % CACHELINE || cfg->addr % 16) {
		err_set(e, -EINVAL, "ring-align", "the memory of a queue is not aligned");
		goto fail;
	}
	r->slots = calloc(cfg->size, sizeof(*r->slots));
	if (!r->slots) {
		err_sys(e, -ENOMEM, "ring-memory", "cannot make a queue");
		goto fail;
	}
	r->size = (uint16_t)cfg->size;
	r->packed = packed;
	r->event_idx = cfg->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	r->addr = cfg->addr;
	r->desc = cfg->mem;
	r->avail = (void *)((uint8_t *)cfg->mem + r->layout.driver);
	r->used = (void *)((uint8_t *)cfg->mem + r->layout.device);
	r->indirect = (uint8_t *)cfg->mem + r->layout.indirect;
	r->indirect_addr = cfg->addr + r->layout.indirect;
	drv_ring_reset(r, cfg->base);
	return r;
fail:
	drv_ring_free(r);
	return NULL;
}

void drv_ring_free(struct drv_ring *r)
{
	if (!r)
		return;
	free(r->slots);
	free(r);
}

void drv_ring_reset(struct drv_ring *r, struct vq_base base)
{
	memset(r->slots, 0, r->size * sizeof(*r->slots));
	for (unsigned int i = 0; i < r->size; i++)
		r->slots[i].next = (uint16_t)(i + 1);
	r->free_head = 0;
	r->free_desc = r->size;
	r->nr_chains = 0;
	r->broken = NULL;
	r->call_wanted = true;
	if (r->packed)
		drv_packed_reset(r, base);
	else
		drv_split_reset(r, base);
}

void *drv_ring_take_lost(struct drv_ring *r)
{
	for (unsigned int i = 0; i < r->size && r->nr_chains; i++) {
		struct drv_slot *s = &r->slots[i];

		if (s->ndesc == 0)
			continue;
		s->ndesc = 0;
		r->nr_chains--;
		/* The slot is not given back: only a reset makes the ring usable again. */
		if (!r->broken)
			r->broken = "its chains were taken away";
		return s->cookie;
	}
	return NULL;
}

struct vq_base drv_ring_base(const struct drv_ring *r)
{
	return (struct vq_base){
		.avail_idx = r->avail_idx,
		.used_idx = r->used_idx,
		.avail_wrap = r->packed && r->avail_wrap,
		.used_wrap = r->packed && r->used_wrap,
	};
}
