/* SPDX-License-Identifier: MIT */
/* A driver ring on one queue of the device. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib.h"
#include "util/compiler.h"
#include "util/loop.h"

struct vu_fe_queue {
	struct vu_fe *fe;
	struct fe_queue q;
	struct lib_lease lease;
};

/* The public struct is the driver's, by another name. */
static_assert(sizeof(struct vu_fe_seg) == sizeof(struct drv_seg), "vu_fe_seg");
static_assert(offsetof(struct vu_fe_seg, len) == offsetof(struct drv_seg, len), "vu_fe_seg");
static_assert(offsetof(struct vu_fe_seg, writable) == offsetof(struct drv_seg, writable),
	      "vu_fe_seg");

/* ---- life ---- */

static int queue_make(struct vu_fe_queue *q, uint32_t size, uint32_t table)
{
	struct fe_queue_args a = {
		.index = q->q.index,
		.size = size,
		.features = q->fe->features,
		.indirect_max = q->fe->features & VU_F_INDIRECT_DESC ? table : 0,
		.base = VQ_BASE_INIT,
	};
	int ret = lib_lease_begin(&q->lease, q->fe->mem, lib_err());

	if (ret < 0)
		return ret;
	a.region = (unsigned int)ret;
	ret = fe_queue_init(&q->q, &q->fe->mem->m, &a, lib_err());
	lib_lease_taken(&q->lease);
	return ret;
}

static int queue_set(struct vu_fe_queue *q, unsigned int index, uint32_t size)
{
	const struct drv_ring *r = q->q.ring;
	const struct vu_fe_vring v = {
		.size = size,
		.desc = drv_desc_addr(r),
		.driver = drv_driver_addr(r),
		.device = drv_device_addr(r),
		.base = { .avail_wrap = true, .used_wrap = true },
		.kick_fd = q->q.kick_fd,
		.call_fd = q->q.call_fd,
		.err_fd = q->q.err_fd,
	};
	int ret = vu_fe_vring_set(q->fe, index, &v);

	if (ret == 0)
		q->fe->vring[index].ring = q->q.ring;
	return ret;
}

struct vu_fe_queue *vu_fe_queue_new(struct vu_fe *fe, unsigned int index, uint32_t size,
				    uint32_t table)
{
	struct vu_fe_queue *q;

	if (fe->state == LIB_CONNECTED || !fe->mem) {
		lib_bad_state("a queue needs negotiated features and guest memory");
		return NULL;
	}
	if (index < VHOST_USER_MAX_VRINGS && fe->vring[index].set) {
		lib_bad_state("the queue is in use");
		return NULL;
	}
	q = calloc(1, sizeof(*q));
	if (!q) {
		err_sys(lib_err(), -ENOMEM, "out-of-memory", "cannot make a queue");
		return NULL;
	}
	q->fe = fe;
	q->q.index = index;
	if (queue_make(q, size, table) == 0 && queue_set(q, index, size) == 0)
		return q;
	fe_queue_fini(&q->q);
	lib_lease_end(&q->lease);
	free(q);
	return NULL;
}

static bool is_ours(const struct vu_fe_queue *q)
{
	return q->fe->vring[q->q.index].ring == q->q.ring;
}

void vu_fe_queue_free(struct vu_fe_queue *q)
{
	struct err e;

	if (!q)
		return;
	LIB_HOLD(q->fe);
	if (is_ours(q)) {
		/* A device that may have it still must not find another queue there. */
		if (lib_vring_stop(q->fe, q->q.index, &e))
			q->lease.to = UINT64_MAX;
		q->fe->vring[q->q.index] = (struct lib_vring){ 0 };
	}
	fe_queue_fini(&q->q);
	lib_lease_end(&q->lease);
	free(q);
}

int vu_fe_queue_enable(struct vu_fe_queue *q, bool on)
{
	LIB_HOLD(q->fe);

	if (!is_ours(q) || !q->fe->vring[q->q.index].running)
		return lib_bad_state("the queue does not run");
	return vuc_set_vring_enable(q->fe->c, q->q.index, on, lib_err());
}

/* ---- chains ---- */

int vu_fe_queue_add(struct vu_fe_queue *q, const struct vu_fe_seg *segs, unsigned int n,
		    void *cookie)
{
	struct drv_ring *r = q->q.ring;
	int ret = drv_broken(r) ? -EIO :
				  drv_add(r, (const struct drv_seg *)segs, n,
					  n > 1 && n <= r->indirect_max, cookie);

	if (likely(ret == 0))
		return 0;
	if (ret == -ENOSPC)
		return lib_fail(ret, "queue-full", "the queue is full");
	if (ret == -EINVAL)
		return lib_fail(ret, "queue-chain", "the chain is not one that virtio allows");
	return lib_fail(-EIO, "ring-broken", drv_broken(r) ? drv_broken(r) : "the ring is broken");
}

void vu_fe_queue_publish(struct vu_fe_queue *q)
{
	fe_queue_publish(&q->q);
}

void vu_fe_queue_kick(struct vu_fe_queue *q)
{
	fe_queue_kick(&q->q);
}

unsigned int vu_fe_queue_get(struct vu_fe_queue *q, struct vu_fe_used *used, unsigned int max)
{
	struct drv_used u[32];
	unsigned int total = 0, n;

	do {
		n = drv_get(q->q.ring, u, MIN(max - total, (unsigned int)ARRAY_SIZE(u)));
		for (unsigned int i = 0; i < n; i++)
			used[total++] = (struct vu_fe_used){ .cookie = u[i].cookie,
							     .len = u[i].len };
	} while (n == ARRAY_SIZE(u) && total < max);
	return total;
}

unsigned int vu_fe_queue_in_flight(const struct vu_fe_queue *q)
{
	return drv_in_flight(q->q.ring);
}

void *vu_fe_queue_lost(struct vu_fe_queue *q)
{
	return is_ours(q) && !vuc_dead(q->fe->c) ? NULL : drv_ring_take_lost(q->q.ring);
}

/* ---- waiting ---- */

static int is_broken(const struct fe_queue *q)
{
	if (drv_broken(q->ring))
		return lib_fail(-EIO, "ring-broken", drv_broken(q->ring));
	if (q->refused)
		return lib_fail(-EIO, "ring-refused", "the device found the queue broken");
	return 0;
}

static int shorter(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

/* One sleep, and what woke us. */
static void doze(struct vu_fe *fe, struct fe_queue *q, int ms)
{
	struct pollfd p[4] = {
		{ .fd = q->call_fd, .events = POLLIN },
		{ .fd = q->err_fd, .events = POLLIN },
	};

	ms = shorter(ms, vuc_events(fe->c, p + 2));
	q->waits++;
	if (poll(p, ARRAY_SIZE(p), ms) < 0)
		return; /* EINTR: the caller looks at the clock */
	if (p[0].revents)
		q->calls += fe_bell_hear(q->call_fd);
	if (p[1].revents)
		q->refused = true;
	vuc_process(fe->c);
}

int lib_queue_wait(struct vu_fe *fe, struct fe_queue *q, int timeout_ms)
{
	uint64_t end = clock_ns() + (uint64_t)MAX(timeout_ms, 0) * 1000000;
	bool last = false;
	LIB_HOLD(fe);
	int ret;

	for (;;) {
		uint64_t now;

		ret = drv_broken(q->ring) ? 0 : drv_call_on(q->ring, 1);
		if (ret == 0)
			ret = is_broken(q);
		if (ret == 0 && vuc_dead(fe->c))
			ret = lib_fail(-ENOTCONN, "vhost-user-lost", vuc_dead(fe->c));
		if (ret || last)
			break;
		now = clock_ns();
		last = timeout_ms >= 0 && now >= end;
		doze(fe, q, timeout_ms < 0 ? -1 : last ? 0 : (int)((end - now) / 1000000) + 1);
	}
	drv_call_off(q->ring);
	return ret;
}

int vu_fe_queue_wait(struct vu_fe_queue *q, int timeout_ms)
{
	return lib_queue_wait(q->fe, &q->q, timeout_ms);
}

int lib_queue_arm(struct fe_queue *q)
{
	int ret = is_broken(q);

	if (ret)
		return ret;
	q->calls += fe_bell_hear(q->call_fd);
	return drv_call_on(q->ring, 1);
}

int vu_fe_queue_arm(struct vu_fe_queue *q)
{
	return lib_queue_arm(&q->q);
}

void vu_fe_queue_disarm(struct vu_fe_queue *q)
{
	drv_call_off(q->q.ring);
}

int vu_fe_queue_call_fd(const struct vu_fe_queue *q)
{
	return q->q.call_fd;
}

int vu_fe_queue_err_fd(const struct vu_fe_queue *q)
{
	return q->q.err_fd;
}
