/* SPDX-License-Identifier: MIT */
/*
 * vuctl probe: queue 0, as a driver has it. Nothing that is put into it can
 * change a disk: a read, and the question for the serial number.
 */
#include <errno.h>
#include <string.h>

#include "cli/probe.h"
#include "util/compiler.h"
#include "util/loop.h"
#include "wire/names.h"
#include "wire/virtio-blk.h"

#define READ_MAX    65536
#define STATUS_NONE 0xff

/* A request in guest memory. */
struct request {
	struct virtio_blk_req_hdr hdr;
	uint8_t status;
	uint8_t pad[4096 - 17];
	uint8_t data[READ_MAX];
};

/* Accept what a reader of disks can cope with, and no more. */
static uint64_t to_accept(const struct probe *p, bool packed)
{
	uint64_t want = VIRTIO_BIT(VIRTIO_F_VERSION_1);

	if (packed)
		want |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	if (p->guess.type == VIRTIO_ID_BLOCK)
		want |= VIRTIO_BIT(VIRTIO_BLK_F_RO) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
			VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);
	return p->features & want;
}

/* Put one request into the queue and wait for it; @ns is how long it took. */
static int run(struct probe *p, struct fe_queue *q, struct request *r, uint64_t gpa, uint32_t type,
	       uint32_t len, uint64_t *ns, struct err *e)
{
	struct drv_seg segs[] = {
		{ gpa, sizeof(r->hdr), 0 },
		{ gpa + offsetof(struct request, data), len, 1 },
		{ gpa + offsetof(struct request, status), 1, 1 },
	};
	const char *what = type == VIRTIO_BLK_T_IN ? "a read" : "a request for the serial number";
	uint64_t begin, now;
	struct drv_used u;

	r->hdr = (struct virtio_blk_req_hdr){ .type = htole32(type) };
	r->status = STATUS_NONE;
	memset(r->data, 0, len);
	if (drv_add(q->ring, segs, ARRAY_SIZE(segs), false, r) < 0)
		return err_set(e, -EIO, "ring-broken", "there is no room for a request");
	now = begin = clock_ns();
	fe_queue_publish(q);
	while (drv_get(q->ring, &u, 1) == 0) {
		uint64_t end = begin + (uint64_t)p->o.timeout_ms * 1000000;
		const char *why = drv_broken(q->ring);

		if (why || q->refused)
			return err_set(e, -EIO, "ring-broken", "%s: %s", what,
				       why ? why : "the back-end says that the queue is broken");
		now = clock_ns();
		if (now >= end)
			return err_set(e, -ETIMEDOUT, "request-timeout",
				       "the back-end did not finish %s within %d s", what,
				       p->o.timeout_ms / 1000);
		fe_queue_wait(q, 1, (int)MIN((end - now) / 1000000 + 1, UINT64_C(100)));
	}
	*ns = clock_ns() - begin;
	return 0;
}

static int status_of(const struct request *r, struct err *e)
{
	uint8_t st = __atomic_load_n(&r->status, __ATOMIC_RELAXED);
	const char *name = virtio_blk_status_name(st);

	if (st == VIRTIO_BLK_S_OK)
		return 0;
	if (st == STATUS_NONE)
		return err_set(e, -EPROTO, "request-status",
			       "the back-end gave a request back and wrote no status");
	return err_set(e, -EIO, "disk-error", "the back-end failed a read with status %u (%s)", st,
		       name ? name : "which has no name");
}

/* One logical block, or as much of it as there is. */
static uint32_t read_len(const struct probe *p)
{
	bool told = p->features & VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE);
	uint64_t bs = probe_config_u(p, offsetof(struct virtio_blk_config, blk_size), 4);
	uint64_t sectors = probe_config_u(p, 0, 8);

	bs = told && bs ? MIN(bs, (uint64_t)READ_MAX) & ~UINT64_C(511) : VIRTIO_BLK_SECTOR_SIZE;
	return (uint32_t)(sectors < bs / VIRTIO_BLK_SECTOR_SIZE ? sectors * VIRTIO_BLK_SECTOR_SIZE :
								  bs);
}

static int read_disk(struct probe *p, struct fe_queue *q, struct probe_run *res, struct err *e)
{
	struct request *r;
	uint64_t gpa, ns;
	int ret;

	p->read_len = read_len(p);
	r = fe_mem_alloc(p->mem, 0, sizeof(*r), 4096, &gpa);
	if (!r)
		return err_set(e, -ENOMEM, "guest-memory-full", "guest memory is full");
	if (p->read_len) {
		ret = run(p, q, r, gpa, VIRTIO_BLK_T_IN, p->read_len, &res->ns, e);
		if (ret == 0)
			ret = status_of(r, e);
		if (ret)
			return ret;
	}
	res->read = true;
	ret = run(p, q, r, gpa, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_ID_BYTES, &ns, e);
	if (ret)
		return ret;
	if (status_of(r, NULL) == 0) /* not every disk has one */
		for (size_t i = 0; i < VIRTIO_BLK_ID_BYTES && r->data[i]; i++)
			p->serial[i] = (char)(r->data[i] < ' ' || r->data[i] > '~' ? '?' :
										     r->data[i]);
	return 0;
}

int probe_queue(struct probe *p, bool packed, bool read, struct err *e)
{
	struct probe_run *res = &p->runs[packed];
	struct fe_queue_args a = {
		.size = PROBE_QUEUE_SIZE,
		.features = to_accept(p, packed),
		.base = VQ_BASE_INIT,
	};
	bool again = p->runs[0].tried;
	struct fe_queue q;
	int ret = 0;

	res->tried = true;
	if (again) /* other features, and perhaps another kind of ring: as after a reboot */
		ret = p->t->ops->reset(p->t, e);
	if (ret == 0)
		ret = p->t->ops->set_features(p->t, a.features, e);
	if (ret == 0)
		ret = p->t->ops->set_mem(p->t, p->mem, e);
	if (ret)
		return ret;
	ret = fe_queue_init(&q, p->mem, &a, e);
	if (ret)
		return ret;
	ret = fe_queue_start(&q, p->t, NULL, e);
	if (ret == 0 && read)
		ret = read_disk(p, &q, res, e);
	if (ret == 0)
		ret = fe_queue_stop(&q, p->t, NULL, e);
	res->started = ret == 0;
	fe_queue_fini(&q);
	return ret;
}
