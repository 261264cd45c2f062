/* SPDX-License-Identifier: MIT */
/* vuctl check: a device under test, ready to take requests. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "check/check-impl.h"
#include "util/compiler.h"
#include "util/loop.h"

#define PF(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)

#define BUF_BYTES        (1u << 20)
#define DEFAULT_SIZE     128
#define DEFAULT_MEMORY   (16u << 20)
#define DEFAULT_INDIRECT 8

static const struct check_dev_args defaults;
static const struct fe_mem_spec default_memory = { .gpa = 0, .size = DEFAULT_MEMORY };

/* ---- the end of one ---- */

static void dev_empty(struct check_dev_impl *p)
{
	for (unsigned int i = 0; i < CHECK_QUEUES; i++)
		fe_queue_fini(&p->d.q[i]);
	fe_mem_free(p->d.m);
	p->d.m = NULL;
	p->d.buf = NULL;
	p->d.nq = 0;
}

static struct check_dev_impl *impl(struct check_dev *d)
{
	return container_of(d, struct check_dev_impl, d);
}

void check_dev_close(struct check *c, struct check_dev *d)
{
	if (d->v)
		check_disconnect(c, d->v);
	dev_empty(impl(d));
}

void check_dev_forget(struct check *c, const struct vuc *v)
{
	for (struct check_dev_impl *p = c->devs; p; p = p->next)
		if (p->d.v == v)
			p->d.v = NULL;
}

void check_dev_free_all(struct check *c)
{
	while (c->devs) {
		struct check_dev_impl *p = c->devs;

		c->devs = p->next;
		dev_empty(p);
		free(p);
	}
}

/* ---- making one ---- */

static void negotiate(struct check *c, struct check_dev_impl *p, const struct check_dev_args *a)
{
	uint64_t virtio = check_known_virtio(c) & ~a->virtio_off, pf;
	struct err e = { .code = 0 };
	struct vuc *v = p->d.v;

	check_ok(c, &e, vuc_get_features(v, &p->offered, &e));
	check_ok(c, &e, vuc_set_owner(v, &e));
	if (p->offered & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) {
		check_ok(c, &e, vuc_get_protocol_features(v, &pf, &e));
		p->protocol = pf & check_known_protocol(c) & ~a->protocol_off;
		check_ok(c, &e, vuc_set_protocol_features(v, p->protocol, &e));
		if (p->protocol & PF(BACKEND_REQ))
			check_ok(c, &e, vuc_set_backend_req_fd(v, &e));
	}
	check_ok(c, &e, check_transport_set_features(p, p->offered & virtio, &e));
}

/* The region with the most room: rings and buffers go there. */
static unsigned int roomiest(const struct fe_mem *m)
{
	unsigned int best = 0;

	for (unsigned int i = 1; i < m->n; i++)
		if (m->r[i].size - m->r[i].used > m->r[best].size - m->r[best].used)
			best = i;
	return best;
}

static void make_queues(struct check *c, struct check_dev_impl *p, const struct check_dev_args *a)
{
	unsigned int n = a->queues ? a->queues : 1;
	struct fe_queue_args q = {
		.size = a->size ? a->size : DEFAULT_SIZE,
		.features = p->d.virtio,
		.indirect_max = a->indirect_max ? a->indirect_max : DEFAULT_INDIRECT,
		.base = a->base,
	};
	struct err e = { .code = 0 };

	/* All zero is no position of a packed ring: its wrap counters begin with 1. */
	if (!a->base.avail_idx && !a->base.used_idx && !a->base.avail_wrap && !a->base.used_wrap)
		q.base = VQ_BASE_INIT;
	if (n > c->facts.queues)
		check_skip(c, "there are %u queues, %u are needed", c->facts.queues, n);
	if (n > CHECK_QUEUES)
		check_skip(c, "%u queues are more than vuctl check handles", n);
	for (unsigned int i = 0; i < n; i++) {
		q.index = i;
		q.region = roomiest(p->d.m);
		if (fe_queue_init(&p->d.q[i], p->d.m, &q, &e) < 0)
			check_skip(c, "%s", e.what);
		p->d.nq = i + 1;
	}
}

static void start_all(struct check *c, struct check_dev_impl *p)
{
	struct err e = { .code = 0 };

	p->hold = true;
	for (unsigned int i = 0; i < p->d.nq; i++)
		check_start(c, &p->d, i);
	p->hold = false;
	check_ok(c, &e, check_transport_driver_ok(p, &e));
}

struct check_dev *check_dev(struct check *c, const struct check_dev_args *a)
{
	struct check_dev_impl *p = calloc(1, sizeof(*p));
	struct err e = { .code = 0 };

	if (!a)
		a = &defaults;
	if (!p)
		check_skip(c, "out of memory");
	p->c = c;
	p->t.ops = &check_transport_ops;
	p->d.t = &p->t;
	p->next = c->devs;
	c->devs = p;

	p->d.v = check_connect(c);
	negotiate(c, p, a);
	p->d.m = fe_mem_new(a->nspecs ? a->specs : &default_memory, a->nspecs ? a->nspecs : 1, &e);
	if (!p->d.m)
		check_skip(c, "%s", e.what);
	p->d.buf = fe_mem_alloc(p->d.m, roomiest(p->d.m), BUF_BYTES, 4096, &p->d.buf_gpa);
	if (!p->d.buf)
		check_skip(c, "no region of guest memory has room for the buffer");
	make_queues(c, p, a);
	check_ok(c, &e, p->t.ops->set_mem(&p->t, p->d.m, &e));
	if (!a->no_start)
		start_all(c, p);
	return &p->d;
}

/* ---- its queues ---- */

void check_start(struct check *c, struct check_dev *d, unsigned int qi)
{
	struct err e = { .code = 0 };

	if (fe_queue_start(&d->q[qi], d->t, NULL, &e) < 0)
		check_fail(c, "the queue starts", "queue %u: %s", qi, e.what);
}

struct vq_base check_stop(struct check *c, struct check_dev *d, unsigned int qi)
{
	struct err e = { .code = 0 };
	struct vq_base base = { 0 };

	if (fe_queue_stop(&d->q[qi], d->t, &base, &e) < 0)
		check_fail(c, "GET_VRING_BASE is answered with the position of the ring",
			   "queue %u: %s", qi, e.what);
	return base;
}

bool check_ring_refused(struct check *c, struct check_dev *d, unsigned int qi)
{
	uint64_t end = clock_ns() + (uint64_t)c->o->timeout_ms * 1000000;
	struct pollfd p[2] = {
		{ .fd = d->q[qi].err_fd, .events = POLLIN },
		{ .fd = d->v ? vuc_fd(d->v) : -1, .events = POLLIN },
	};

	if (d->q[qi].refused || !d->v)
		return true;
	for (;;) {
		uint64_t now = clock_ns();
		int left = now >= end ? 0 : (int)((end - now) / 1000000) + 1;

		if (poll(p, 2, left) == 0 || (p[0].revents & POLLIN))
			return fe_queue_err(&d->q[qi], 0);
		if (p[1].revents && check_closed(c, d->v, 0))
			return true;
		if (now >= end)
			return false;
	}
}
