/* SPDX-License-Identifier: MIT */
/* vuctl check: one request at a time, with a deadline. */
#include <errno.h>
#include <string.h>

#include "check/check-impl.h"
#include "util/loop.h"
#include "wire/virtio-blk.h"

/* The last page of d->buf is check_blk()'s: a header and a status byte for each queue. */
#define OWN_AREA    ((1u << 20) - 4096)
#define OWN_BYTES   64
#define STATUS_OFF  32
#define STATUS_NONE 0xff

static bool device_writes(uint32_t type)
{
	/* Odd numbers give data to the device, and so do those with a list of ranges. */
	return !(type & 1) && type != 14 /* VIRTIO_BLK_T_SECURE_ERASE */;
}

/* Take what is done; true when @cookie is among it. */
static bool take(struct fe_queue *q, const void *cookie, uint32_t *len)
{
	struct drv_used u;

	while (drv_get(q->ring, &u, 1) == 1) {
		if (u.cookie != cookie)
			continue;
		*len = u.len;
		return true;
	}
	return false;
}

static void no_answer(struct check *c, struct check_dev *d, unsigned int qi)
	__attribute__((noreturn));
static void no_answer(struct check *c, struct check_dev *d, unsigned int qi)
{
	const char *broken = drv_broken(d->q[qi].ring);

	if (broken)
		check_fail(c, "the request comes back", "queue %u: %s", qi, broken);
	if (d->q[qi].refused)
		check_fail(c, "the request comes back",
			   "queue %u: the device declared the ring broken", qi);
	if (d->v && check_closed(c, d->v, 0))
		check_fail(c, "the request comes back", "the back-end closed the connection");
	check_fail(c, "the request comes back", "queue %u: nothing within %d ms", qi,
		   c->o->timeout_ms);
}

uint32_t check_chain(struct check *c, struct check_dev *d, unsigned int qi,
		     const struct drv_seg *segs, unsigned int n, bool indirect)
{
	uint64_t end = clock_ns() + (uint64_t)c->o->timeout_ms * 1000000;
	struct fe_queue *q = &d->q[qi];
	uint32_t len = 0;
	int ret = drv_add(q->ring, segs, n, indirect, &len);

	if (ret < 0)
		check_fail(c, "the ring has room for a request", "queue %u: %s", qi,
			   drv_broken(q->ring) ? drv_broken(q->ring) : strerror(-ret));
	fe_queue_publish(q);
	for (;;) {
		uint64_t now = clock_ns();
		int left = now >= end ? 0 : (int)((end - now) / 1000000) + 1;
		bool told = fe_queue_wait(q, 1, left);

		if (take(q, &len, &len)) {
			/* fe_queue_wait() looks into the ring, too, when its time is up. */
			if (clock_ns() >= end && now < end)
				check_fail(c, "a notification with the used buffer",
					   "queue %u: the request is done, and in %d ms nobody "
					   "said so",
					   qi, c->o->timeout_ms);
			break;
		}
		if (!told || drv_broken(q->ring) || now >= end)
			no_answer(c, d, qi);
	}
	drv_call_off(q->ring);
	return len;
}

uint8_t check_blk_chain(struct check *c, struct check_dev *d, unsigned int qi,
			const struct drv_seg *segs, unsigned int n, bool indirect,
			uint32_t status_off, uint32_t *used_len)
{
	uint32_t len;

	__atomic_store_n(&d->buf[status_off], STATUS_NONE, __ATOMIC_RELAXED);
	len = check_chain(c, d, qi, segs, n, indirect);
	if (used_len)
		*used_len = len;
	return __atomic_load_n(&d->buf[status_off], __ATOMIC_RELAXED);
}

uint8_t check_blk(struct check *c, struct check_dev *d, unsigned int qi, uint32_t type,
		  uint64_t sector, uint32_t data, uint32_t len)
{
	uint32_t own = OWN_AREA + qi * OWN_BYTES;
	struct virtio_blk_req_hdr h = { .type = htole32(type), .sector = htole64(sector) };
	struct drv_seg segs[3] = { { d->buf_gpa + own, sizeof(h), 0 } };
	unsigned int n = 1;
	uint8_t status;

	memcpy(d->buf + own, &h, sizeof(h));
	if (len)
		segs[n++] = (struct drv_seg){ d->buf_gpa + data, len, device_writes(type) };
	segs[n++] = (struct drv_seg){ d->buf_gpa + own + STATUS_OFF, 1, 1 };
	status = check_blk_chain(c, d, qi, segs, n, false, own + STATUS_OFF, NULL);
	if (status == STATUS_NONE)
		check_fail(c, "a status byte",
			   "the request (type %u) came back and its status was not written", type);
	return status;
}

void check_works(struct check *c, struct check_dev *d, unsigned int qi)
{
	uint8_t status;

	if (!c->facts.is_blk)
		check_skip(c, "not a disk: no request is known that it would answer");
	status = check_blk(c, d, qi, VIRTIO_BLK_T_IN, 0, OWN_AREA - c->facts.block_size,
			   c->facts.block_size);
	c->alive = false; /* any status is an answer: it does not hang */
	if (status != VIRTIO_BLK_S_OK)
		check_fail(c, "the first block can be read", "queue %u: status %u", qi, status);
}
