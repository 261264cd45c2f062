/* SPDX-License-Identifier: MIT */
/* A driver ring with its memory and its eventfds. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frontend/queue.h"
#include "util/loop.h"

static int bell(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int fe_queue_init(struct fe_queue *q, struct fe_mem *m, const struct fe_queue_args *a,
		  struct err *e)
{
	struct drv_ring_cfg cfg = {
		.size = a->size,
		.features = a->features,
		.indirect_max = a->indirect_max,
		.base = a->base,
	};
	struct drv_layout l;

	*q = (struct fe_queue){ .index = a->index, .kick_fd = -1, .call_fd = -1, .err_fd = -1 };
	/* When that fails, drv_ring_new() says what is wrong. */
	if (drv_layout(a->size, a->features, a->indirect_max, &l) == 0) {
		cfg.mem = fe_mem_alloc(m, a->region, l.bytes, 64, &cfg.addr);
		if (!cfg.mem)
			return err_set(e, -ENOMEM, "guest-memory-full",
				       "guest memory has no room for a queue of %u entries",
				       a->size);
	}
	q->ring = drv_ring_new(&cfg, e);
	if (!q->ring)
		return e && e->code ? e->code : -EINVAL;
	q->kick_fd = bell();
	q->call_fd = bell();
	q->err_fd = bell();
	if (q->kick_fd < 0 || q->call_fd < 0 || q->err_fd < 0) {
		int ret = err_sys(e, -errno, "eventfd", "cannot make an eventfd");

		fe_queue_fini(q);
		return ret;
	}
	return 0;
}

/* A kernel that cannot read an eventfd without waiting: look first, and hope. */
static uint64_t hear_by_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t v;

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLIN) || read(fd, &v, sizeof(v)) != sizeof(v))
		return 0;
	return v;
}

uint64_t fe_bell_hear(int fd)
{
	uint64_t v = 0;
	const struct iovec iov = { &v, sizeof(v) };

	/* The other side may have taken O_NONBLOCK away, and may read it, too. */
	if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) == (ssize_t)sizeof(v))
		return v;
	return errno == EOPNOTSUPP || errno == ENOSYS ? hear_by_poll(fd) : 0;
}

int fe_bell_ring(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	uint64_t one = 1;

	/* Full: writing may block (see above), and the other side has to wake up all the same. */
	poll(&p, 1, 0);
	if (!(p.revents & (POLLOUT | POLLNVAL)))
		return 0;
	return write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno : 0;
}

static void drop_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void fe_queue_fini(struct fe_queue *q)
{
	if (!q->ring)
		return;
	drv_ring_free(q->ring);
	q->ring = NULL;
	drop_fd(&q->kick_fd);
	drop_fd(&q->call_fd);
	drop_fd(&q->err_fd);
}

int fe_queue_start(struct fe_queue *q, struct fe_transport *t, const struct vq_base *base,
		   struct err *e)
{
	struct fe_queue_cfg cfg = {
		.index = q->index,
		.ring = q->ring,
		.base = base ? *base : drv_ring_base(q->ring),
		.kick_fd = q->kick_fd,
		.call_fd = q->call_fd,
		.err_fd = q->err_fd,
	};
	int ret;

	fe_bell_hear(q->err_fd);
	q->refused = false;
	ret = t->ops->queue_start(t, &cfg, e);
	q->running = ret == 0;
	return ret;
}

int fe_queue_stop(struct fe_queue *q, struct fe_transport *t, struct vq_base *base, struct err *e)
{
	struct vq_base dummy;

	q->running = false;
	return t->ops->queue_stop(t, q->index, base ? base : &dummy, e);
}

void fe_queue_kick(struct fe_queue *q)
{
	q->kicks++;
	if (fe_bell_ring(q->kick_fd))
		q->ring->broken = "the kick descriptor does not work";
}

void fe_queue_publish(struct fe_queue *q)
{
	if (drv_publish(q->ring))
		fe_queue_kick(q);
}

bool fe_queue_wait(struct fe_queue *q, unsigned int after, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? UINT64_MAX : clock_ns() + (uint64_t)timeout_ms * 1000000;
	struct pollfd p[2] = {
		{ .fd = q->call_fd, .events = POLLIN },
		{ .fd = q->err_fd, .events = POLLIN },
	};
	uint64_t rung;

	while (!drv_call_on(q->ring, after)) {
		uint64_t now = clock_ns();
		int left = timeout_ms < 0 ? -1 : now >= end ? 0 : (int)((end - now) / 1000000) + 1;

		q->waits++;
		if (poll(p, 2, left) == 0)
			return drv_call_on(q->ring, 1);
		if (p[1].revents) {
			q->refused = true;
			return false;
		}
		/* One interrupt is enough of a reason to look, even if it came early. */
		rung = fe_bell_hear(q->call_fd);
		q->calls += rung;
		if (rung && drv_call_on(q->ring, 1))
			return true;
	}
	return true;
}

uint64_t fe_queue_calls(struct fe_queue *q)
{
	q->calls += fe_bell_hear(q->call_fd);
	return q->calls;
}

bool fe_queue_err(struct fe_queue *q, int timeout_ms)
{
	struct pollfd p = { .fd = q->err_fd, .events = POLLIN };

	if (poll(&p, 1, timeout_ms) == 1 && fe_bell_hear(q->err_fd))
		q->refused = true;
	return q->refused;
}
