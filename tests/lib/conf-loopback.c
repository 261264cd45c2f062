/* SPDX-License-Identifier: MIT */
/* The driver's transport over the in-process transport. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf-dev.h"
#include "transport/loopback/loopback.h"
#include "util/compiler.h"

#define STOP_MS 5000

struct fe_loopback {
	struct fe_transport t;
	struct loopback *lb;
	unsigned int max_queues;
	unsigned int n;
	struct fe_region known[FE_MEM_MAX_REGIONS];
	struct gmem_region *mapped[FE_MEM_MAX_REGIONS];
};

static struct fe_loopback *self(struct fe_transport *t)
{
	return container_of(t, struct fe_loopback, t);
}

static int op_features(struct fe_transport *t, uint64_t *offered, struct err *e)
{
	(void)e;
	*offered = loopback_features(self(t)->lb);
	return 0;
}

static int op_set_features(struct fe_transport *t, uint64_t features, struct err *e)
{
	return loopback_set_features(self(t)->lb, features, e);
}

static int op_max_queues(struct fe_transport *t, unsigned int *n, struct err *e)
{
	(void)e;
	*n = self(t)->max_queues;
	return 0;
}

static bool same(const struct fe_region *a, const struct fe_region *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->uva == b->uva;
}

/* Regions that stay keep their mapping, as a transport would do it. */
static struct gmem_region *region_for(struct fe_loopback *f, const struct fe_region *r,
				      struct err *e)
{
	for (unsigned int i = 0; i < f->n; i++) {
		struct gmem_region *g = f->mapped[i];

		if (g && same(&f->known[i], r)) {
			f->mapped[i] = NULL;
			return g;
		}
	}
	return gmem_region_map(r->fd, r->offset, r->size, r->gpa, r->uva, GMEM_RW, e);
}

static void put_all(struct gmem_region **r, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (r[i])
			gmem_region_put(r[i]);
		r[i] = NULL;
	}
}

static int op_set_mem(struct fe_transport *t, const struct fe_mem *m, struct err *e)
{
	struct fe_loopback *f = self(t);
	struct gmem_region *next[FE_MEM_MAX_REGIONS] = { NULL };
	struct gmem *g;
	int ret;

	for (unsigned int i = 0; i < m->n; i++) {
		next[i] = region_for(f, &m->r[i], e);
		if (!next[i]) {
			put_all(next, m->n);
			return -EINVAL;
		}
	}
	g = gmem_new(next, m->n, e);
	ret = g ? loopback_set_memory(f->lb, g, e) : -EINVAL;
	gmem_put(g);
	put_all(f->mapped, f->n);
	memcpy(f->mapped, next, sizeof(next));
	memcpy(f->known, m->r, m->n * sizeof(m->r[0]));
	f->n = m->n;
	return ret;
}

static int op_queue_start(struct fe_transport *t, const struct fe_queue_cfg *q, struct err *e)
{
	const struct drv_ring *r = q->ring;
	/* Both address spaces get their turn. */
	bool user = q->index & 1;
	uint64_t base = user ? (uintptr_t)r->desc : r->addr;
	struct loopback_queue lq = {
		.size = r->size,
		.space = user ? GMEM_USER : GMEM_BUS,
		.desc = base + r->layout.desc,
		.driver = base + r->layout.driver,
		.device = base + r->layout.device,
		.base = q->base,
		.kick_fd = q->kick_fd,
		.call_fd = q->call_fd,
		.err_fd = q->err_fd,
	};

	return loopback_queue_start(self(t)->lb, q->index, &lq, e);
}

static int op_queue_stop(struct fe_transport *t, unsigned int qi, struct vq_base *base,
			 struct err *e)
{
	return loopback_queue_stop(self(t)->lb, qi, base, e);
}

static int op_queue_enable(struct fe_transport *t, unsigned int qi, bool on, struct err *e)
{
	return loopback_queue_enable(self(t)->lb, qi, on, e);
}

static int op_config_get(struct fe_transport *t, uint32_t off, void *buf, uint32_t len,
			 struct err *e)
{
	return loopback_config_read(self(t)->lb, off, buf, len, e);
}

static int op_config_set(struct fe_transport *t, uint32_t off, const void *buf, uint32_t len,
			 struct err *e)
{
	return loopback_config_write(self(t)->lb, off, buf, len, e);
}

static int op_config_wait(struct fe_transport *t, int timeout_ms, struct err *e)
{
	struct pollfd p = { .fd = loopback_config_fd(self(t)->lb), .events = POLLIN };
	uint64_t v;

	(void)e;
	return poll(&p, 1, timeout_ms) == 1 && read(p.fd, &v, sizeof(v)) == sizeof(v);
}

static int op_reset(struct fe_transport *t, struct err *e)
{
	return loopback_reset(self(t)->lb, e);
}

static void op_close(struct fe_transport *t)
{
	struct fe_loopback *f = self(t);

	/* A device that will not let go is found out by conf_dev_stop(). */
	if (loopback_free(f->lb, NULL) == 0)
		put_all(f->mapped, f->n);
	free(f);
}

static const struct fe_transport_ops ops = {
	.name = "loopback",
	.features = op_features,
	.set_features = op_set_features,
	.max_queues = op_max_queues,
	.set_mem = op_set_mem,
	.queue_start = op_queue_start,
	.queue_stop = op_queue_stop,
	.queue_enable = op_queue_enable,
	.config_get = op_config_get,
	.config_set = op_config_set,
	.config_wait = op_config_wait,
	.reset = op_reset,
	.close = op_close,
};

static struct fe_transport *connect_loopback(struct conf_dev *d, struct err *e)
{
	struct loopback_args a = { .dev = d->dev, .stop_ms = STOP_MS };
	struct fe_loopback *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->t.ops = &ops;
	f->max_queues = vdev_nqueues(d->dev);
	f->lb = loopback_new(&a, e);
	if (!f->lb) {
		free(f);
		return NULL;
	}
	return &f->t;
}

const struct conf_target conf_loopback = {
	.name = "loopback",
	.connect = connect_loopback,
};
