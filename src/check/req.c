/* SPDX-License-Identifier: MIT */
/* vuctl check: requests laid out by the cases, and rings written by hand. */
#include "check/req.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "util/compiler.h"
#include "util/loop.h"

uint32_t req_block(const struct check *c)
{
	uint32_t bs = check_facts(c)->block_size;

	return bs >= 512 && bs <= 65536 && bs % 512 == 0 ? bs : 512;
}

void req_config(struct check *c, struct check_dev *d, struct virtio_blk_config *k)
{
	struct err e = { 0 };

	memset(k, 0, sizeof(*k));
	if (check_offers_protocol(c, VHOST_USER_PROTOCOL_F_CONFIG))
		check_ok(c, &e, d->t->ops->config_get(d->t, 0, k, sizeof(*k), &e));
}

uint32_t req_max_segs(struct check *c, struct check_dev *d)
{
	uint32_t max = d->q[0].ring->size - 2u;
	struct virtio_blk_config k;

	req_config(c, d, &k);
	if (!(d->virtio & VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX)) || !k.seg_max)
		return 1; /* 5.2.5: then it is one */
	return MAX(MIN(le32toh(k.seg_max), max), 1u);
}

/* ---- slots ---- */

uint32_t req_slots(const struct check *c)
{
	/* The last page belongs to check_blk(). */
	return ((1u << 20) - 4096) / (req_block(c) + REQ_GAP);
}

void req_hdr(struct check_dev *d, uint32_t off, uint32_t type, uint64_t sector)
{
	struct virtio_blk_req_hdr h = { .type = htole32(type), .sector = htole64(sector) };

	memcpy(d->buf + off, &h, sizeof(h));
}

int req_add(struct check *c, struct check_dev *d, unsigned int qi, uint32_t slot, uint32_t type,
	    uint64_t sector, bool indirect)
{
	uint32_t at = req_at(c, slot), hdr = req_hdr_at(c, slot), st = req_status_at(c, slot);
	const struct drv_seg s[3] = {
		{ d->buf_gpa + hdr, sizeof(struct virtio_blk_req_hdr), 0 },
		{ d->buf_gpa + at, req_block(c), type != VIRTIO_BLK_T_OUT },
		{ d->buf_gpa + st, 1, 1 },
	};

	req_hdr(d, hdr, type, sector);
	d->buf[st] = REQ_PENDING;
	if (type != VIRTIO_BLK_T_OUT)
		memset(d->buf + at, REQ_POISON, req_block(c));
	return drv_add(d->q[qi].ring, s, 3, indirect, d->buf + at);
}

void req_must_add(struct check *c, struct check_dev *d, unsigned int qi, uint32_t slot,
		  uint64_t sector)
{
	int ret = req_add(c, d, qi, slot, VIRTIO_BLK_T_IN, sector, false);

	if (ret)
		check_fail(c, "room in the ring for another request", "%s",
			   ret == -ENOSPC ? "it is full" : drv_broken(d->q[qi].ring));
}

bool req_poll(struct check_dev *d, unsigned int qi, struct drv_used *u, int timeout_ms)
{
	uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000;
	struct pollfd p = { .fd = d->q[qi].call_fd, .events = POLLIN };
	unsigned int spins = 0;

	for (;;) {
		if (drv_get(d->q[qi].ring, u, 1))
			return true;
		if (drv_broken(d->q[qi].ring) || clock_ns() >= end)
			return false;
		if (spins++ < 200)
			sched_yield();
		else if (poll(&p, 1, 1) == 1)
			req_hear(p.fd, 0);
	}
}

static void reap_one(struct check *c, struct check_dev *d, unsigned int qi, unsigned int i,
		     unsigned int n)
{
	struct drv_used u;
	uint8_t status;

	if (!req_poll(d, qi, &u, check_timeout_ms(c))) {
		if (drv_broken(d->q[qi].ring))
			check_fail(c, "a used ring that makes sense", "%s",
				   drv_broken(d->q[qi].ring));
		check_fail(c, "every request to be answered",
			   "%u of %u requests on queue %u were, no more within %d ms", i, n, qi,
			   check_timeout_ms(c));
	}
	status = ((uint8_t *)u.cookie)[req_block(c) + sizeof(struct virtio_blk_req_hdr)];
	if (status != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u for request %u on queue %u", status, i,
			   qi);
}

void req_reap(struct check *c, struct check_dev *d, unsigned int qi, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		reap_one(c, d, qi, i, n);
	if (d->q[qi].ring->bad_len)
		check_fail(c, "a used length within the device-writable part of the chain",
			   "a larger one, %llu times", (unsigned long long)d->q[qi].ring->bad_len);
}

/* ---- contents ---- */

const uint8_t *req_reference(struct check *c, struct check_dev *d)
{
	uint32_t bs = req_block(c);
	uint64_t gpa;
	uint8_t *ref = fe_mem_alloc(d->m, 0, (uint64_t)REQ_REFS * bs, 4096, &gpa);

	if (!ref)
		check_skip(c, "blocks of %u bytes are too large for this case", bs);
	if (check_facts(c)->sectors < REQ_REFS * req_step(c))
		check_skip(c, "the disk is too small");
	for (uint32_t i = 0; i < REQ_REFS; i++) {
		uint8_t st;

		memset(d->buf + 4096, REQ_POISON, bs);
		st = check_blk(c, d, 0, VIRTIO_BLK_T_IN, i * req_step(c), 4096, bs);
		if (st != VIRTIO_BLK_S_OK)
			check_fail(c, "status 0 (OK)", "status %u for a read of block %u", st, i);
		memcpy(ref + (size_t)i * bs, d->buf + 4096, bs);
	}
	memset(d->buf, 0, 1u << 20);
	return ref;
}

uint32_t req_differs(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && a[i] == b[i])
		i++;
	return i;
}

void req_compare(struct check *c, const uint8_t *ref, uint32_t i, const uint8_t *got,
		 const char *how)
{
	uint32_t bs = req_block(c), at;

	ref += (size_t)(i % REQ_REFS) * bs;
	at = req_differs(ref, got, bs);
	if (at < bs)
		check_fail(c, "the same contents however a request is laid out",
			   "byte %u of block %u is 0x%02x, and 0x%02x when read %s", at,
			   i % REQ_REFS, ref[at], got[at], how);
}

uint64_t req_scratch(struct check *c, uint32_t bytes)
{
	uint64_t sectors = check_facts(c)->sectors, n = bytes / VIRTIO_BLK_SECTOR_SIZE;
	uint64_t step = req_step(c);

	n = (n + step - 1) / step * step;
	if (sectors < n)
		check_skip(c, "the disk is smaller than %u bytes", bytes);
	return (sectors - n) / step * step;
}

void req_fill(uint8_t *p, uint32_t n, uint32_t seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (uint32_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
}

uint64_t req_hear(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t v;

	if (poll(&p, 1, timeout_ms) != 1 || !(p.revents & POLLIN) ||
	    read(fd, &v, sizeof(v)) != sizeof(v))
		return 0;
	return v;
}

void req_quiet(struct check_dev *d, unsigned int qi)
{
	while (req_hear(d->q[qi].call_fd, 50))
		;
}

/* ---- rings no driver makes ---- */

static void put_packed(struct drv_ring *r, const struct ring_ent *e, unsigned int n)
{
	/* The last first: the head makes all of them available. */
	for (unsigned int i = n; i--;) {
		uint32_t slot = r->avail_idx + i;
		bool wrap = r->avail_wrap ^ (slot >= r->size);

		drv_raw_pdesc(r, (uint16_t)(slot % r->size), e[i].addr, e[i].len, e[i].next,
			      e[i].flags | (wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED));
	}
}

void ring_put(struct check_dev *d, unsigned int qi, const struct ring_ent *e, unsigned int n)
{
	struct drv_ring *r = d->q[qi].ring;

	if (r->packed) {
		put_packed(r, e, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		drv_raw_desc(r, (uint16_t)i, e[i].addr, e[i].len, e[i].flags, e[i].next);
	drv_raw_avail(r, r->avail_idx, 0);
	drv_raw_avail_idx(r, (uint16_t)(r->avail_idx + 1));
}

void ring_table(struct check *c, struct check_dev *d, uint64_t gpa, const struct ring_ent *e,
		unsigned int n)
{
	bool packed = d->q[0].ring->packed;

	for (unsigned int i = 0; i < 16 * n; i++) {
		uint8_t *at = fe_mem_host(d->m, gpa + i, 1);
		const struct ring_ent *x = &e[i / 16];
		struct virtq_desc s = { htole64(x->addr), htole32(x->len), htole16(x->flags),
					htole16(x->next) };
		struct pvirtq_desc p = { htole64(x->addr), htole32(x->len), htole16(x->next),
					 htole16(x->flags) };

		if (!at)
			check_skip(c, "this guest memory has no room for a table");
		*at = ((uint8_t *)(packed ? (void *)&p : (void *)&s))[i % 16];
	}
}

/* Something the device did about the ring, or the end of a short time. */
static void wait_reaction(struct check_dev *d, struct fe_queue *q, const void *used, uint32_t len)
{
	struct pollfd p[2] = {
		{ .fd = q->err_fd, .events = POLLIN },
		{ .fd = vuc_fd(d->v), .events = POLLIN },
	};
	uint64_t end = clock_ns() + 300 * UINT64_C(1000000);
	uint8_t before[64], now[64];

	memcpy(before, used, len);
	do {
		if (poll(p, 2, 2) > 0)
			return;
		memcpy(now, used, len);
	} while (memcmp(before, now, len) == 0 && clock_ns() < end);
}

void ring_outcome(struct check *c, struct check_dev *d, unsigned int qi)
{
	struct fe_queue *q = &d->q[qi];
	struct drv_ring *r = q->ring;
	struct err e = { 0 };
	struct vq_base b;

	fe_queue_kick(q);
	if (r->packed)
		wait_reaction(d, q, &r->pdesc[r->avail_idx], 16);
	else
		wait_reaction(d, q, r->used, 4);
	if (!check_closed(c, d->v, 0) && vuc_get_vring_base(d->v, qi, r->packed, &b, &e) < 0 &&
	    !check_closed(c, d->v, 0))
		check_fail(c, "an answer to GET_VRING_BASE, or the end of the connection", "%s",
			   e.what);
	check_dev_close(c, d);
}
