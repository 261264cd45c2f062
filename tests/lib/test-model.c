/* SPDX-License-Identifier: MIT */
/* The inverting device; see test-model.h. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "test-model.h"
#include "util/compiler.h"
#include "util/worker.h"

#define CHUNK   512
#define TICK_NS UINT64_C(10000000)

struct req {
	struct worker_timer timer;
	struct vu_chain *c;
	size_t n;
	uint8_t buf[CHUNK];
};

static void invert(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)~p[i];
}

/* The rest of a chain of which the first @r->n bytes are already in @r->buf. */
static void answer(struct req *r)
{
	struct vu_chain *c = r->c;
	uint32_t done = 0;
	bool ok = true;

	while (r->n) {
		invert(r->buf, r->n);
		ok = vu_chain_put(c, r->buf, r->n);
		if (!ok)
			break;
		done += (uint32_t)r->n;
		r->n = MIN(MIN((size_t)c->out_len, (size_t)c->in_len), sizeof(r->buf));
		ok = vu_chain_get(c, r->buf, r->n);
		if (!ok)
			break;
	}
	vu_queue_push(c, ok ? done : 0);
}

static void later(struct worker_timer *t)
{
	answer(container_of(t, struct req, timer));
}

static void begin(struct vu_queue *q, struct vu_chain *c)
{
	struct req *r = c->priv;

	r->c = c;
	r->n = MIN(MIN((size_t)c->out_len, (size_t)c->in_len), sizeof(r->buf));
	if (!vu_chain_get(c, r->buf, r->n)) {
		vu_queue_push(c, 0);
		return;
	}
	if (r->n >= 2 && r->buf[0] == TEST_MODEL_HOLD) {
		r->timer = (struct worker_timer){ .fn = later };
		worker_timer_set(vu_queue_worker(q), &r->timer, r->buf[1] * TICK_NS);
		return;
	}
	answer(r);
}

static void kick(void *dev, struct vu_queue *q)
{
	struct vu_chain *c;

	(void)dev;
	while ((c = vu_queue_pop(q)))
		begin(q, c);
}

static uint64_t features(void *dev)
{
	(void)dev;
	return TEST_MODEL_FEATURES;
}

static void negotiated(void *dev, uint64_t f)
{
	struct test_model *m = dev;

	m->features = f;
	__atomic_add_fetch(&m->negotiated, 1, __ATOMIC_RELAXED);
}

static int queue_start(void *dev, struct vu_queue *q)
{
	struct test_model *m = dev;

	(void)q;
	__atomic_add_fetch(&m->starts, 1, __ATOMIC_RELAXED);
	return 0;
}

static void queue_stopped(void *dev, struct vu_queue *q)
{
	struct test_model *m = dev;

	(void)q;
	__atomic_add_fetch(&m->stops, 1, __ATOMIC_RELAXED);
}

static void reset(void *dev)
{
	struct test_model *m = dev;

	__atomic_add_fetch(&m->resets, 1, __ATOMIC_RELAXED);
}

static int config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	struct test_model *m = dev;

	if (len != 1 || (off != 4 && off != 5))
		return -EPERM;
	vu_dev_config_set(m->dev, off, buf, 1);
	if (off == 5) {
		vu_dev_config_set(m->dev, 6, buf, 1);
		vu_dev_config_changed(m->dev);
	}
	return 0;
}

void test_model_bind(struct test_model *m, struct vu_dev *dev)
{
	uint32_t magic = htole32(TEST_MODEL_MAGIC);

	m->dev = dev;
	vu_dev_config_set(dev, 0, &magic, sizeof(magic));
}

const struct vu_model test_model = {
	.struct_size = sizeof(struct vu_model),
	.name = "test",
	.virtio_id = 63,
	.config_size = 16,
	.req_size = sizeof(struct req),
	.features = features,
	.negotiated = negotiated,
	.config_write = config_write,
	.queue_start = queue_start,
	.queue_kick = kick,
	.queue_stopped = queue_stopped,
	.reset = reset,
};
