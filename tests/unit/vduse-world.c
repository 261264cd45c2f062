/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/vduse/vduse-impl.h"
#include "util/compiler.h"
#include "vduse-world.h"

#define PATIENCE_NS UINT64_C(5000000000)

/* ---- the device ---- */

static uint64_t m_features(void *dev)
{
	return 1u << 5;
}

static int m_queue_start(void *dev, struct vu_queue *q)
{
	struct world *w = dev;

	fake_note(w->f, FAKE_MODEL_START, vu_queue_index(q));
	return 0;
}

static void m_queue_stopped(void *dev, struct vu_queue *q)
{
	struct world *w = dev;

	fake_note(w->f, FAKE_MODEL_STOPPED, vu_queue_index(q));
}

static void give_back(struct vu_chain *c)
{
	static const uint8_t mark[4] = { 'd', 'o', 'n', 'e' };
	uint32_t n = vu_chain_put(c, mark, sizeof(mark)) ? sizeof(mark) : 0;

	vu_queue_push(c, n);
}

static void m_queue_kick(void *dev, struct vu_queue *q)
{
	struct world *w = dev;
	struct vu_chain *c;

	while ((c = vu_queue_pop(q))) {
		if (atomic_load(&w->hold) && w->held < ARRAY_SIZE(w->chain))
			w->chain[w->held++] = c;
		else
			give_back(c);
	}
}

static const struct vu_model model = {
	.struct_size = sizeof(struct vu_model),
	.name = "world",
	.virtio_id = VIRTIO_ID_NET,
	.config_size = WORLD_CONFIG,
	.features = m_features,
	.queue_start = m_queue_start,
	.queue_kick = m_queue_kick,
	.queue_stopped = m_queue_stopped,
};

static void release_all(struct worker_post *p)
{
	struct world *w = container_of(p, struct world, release_post);
	unsigned int n = w->held;

	for (unsigned int i = 0; i < n; i++)
		give_back(w->chain[i]);
	w->held = 0;
}

void world_release(struct world *w)
{
	atomic_store(&w->hold, false);
	w->release_post.fn = release_all;
	worker_post(w->workers[0], &w->release_post);
}

/* ---- the owner ---- */

static void on_ready(void *ctx, const struct transport_info *info)
{
	struct world *w = ctx;

	w->ready++;
	memcpy(w->path, info->path, sizeof(w->path));
}

static void on_connected(void *ctx, const struct transport_peer *peer)
{
	struct world *w = ctx;

	w->connected++;
	w->peer_queues = peer->queues;
}

static void on_disconnected(void *ctx, const char *why)
{
	((struct world *)ctx)->disconnected++;
}

static void on_failed(void *ctx, const struct err *e)
{
	struct world *w = ctx;

	w->failed++;
	w->fail = *e;
}

static const struct transport_events events = {
	.ready = on_ready,
	.connected = on_connected,
	.disconnected = on_disconnected,
	.failed = on_failed,
};

static void on_stopped(void *ctx, int res, const struct err *e)
{
	struct world *w = ctx;

	w->stopped++;
	w->stop_res = res;
	if (e)
		w->stop_err = *e;
}

void world_start(struct world *w, bool wait)
{
	struct transport_args a = { .dev = w->dev,
				    .ev = &events,
				    .ctx = w,
				    .name = "d0",
				    .fd = -1 };
	uint64_t end = clock_ns() + PATIENCE_NS;
	struct err e;

	assert_int_equal(vduse_start_on(&w->f->sys, &a, &w->t, &e), 0);
	while (wait && !w->ready && !w->failed) {
		assert_true(clock_ns() < end);
		loop_turn(w->loop, 5);
	}
}

void world_stop(struct world *w, enum transport_stop how, bool wait)
{
	w->stopped = 0;
	w->t->ops->stop(w->t, how, on_stopped, w);
	assert_int_equal(w->stopped, 0); /* never from inside */
	if (wait)
		assert_true(world_until(w, &w->stopped));
}

/* ---- time ---- */

bool world_until(struct world *w, const unsigned int *flag)
{
	uint64_t end = clock_ns() + PATIENCE_NS;

	while (!*flag && clock_ns() < end)
		loop_turn(w->loop, 5);
	return *flag;
}

void world_turns(struct world *w, unsigned int ms)
{
	uint64_t end = clock_ns() + ms * UINT64_C(1000000);

	while (clock_ns() < end)
		loop_turn(w->loop, 1);
}

bool world_eventually(struct world *w, const atomic_uint *what, unsigned int want)
{
	uint64_t end = clock_ns() + PATIENCE_NS;

	while (atomic_load(what) != want && clock_ns() < end)
		loop_turn(w->loop, 1);
	return atomic_load(what) == want;
}

bool world_used(struct world *w, unsigned int qi, uint16_t want)
{
	uint64_t end = clock_ns() + PATIENCE_NS;

	while (fake_used(w->f, qi) != want && clock_ns() < end)
		loop_turn(w->loop, 1);
	return fake_used(w->f, qi) == want;
}

/* ---- the driver ---- */

void world_rings(struct world *w)
{
	w->f->driver_features = VIRTIO_BIT(VIRTIO_F_VERSION_1) |
				VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
	fake_map(w->f, WORLD_RINGS, WORLD_QUEUES * 4096, VDU_ACCESS_RW);
	for (unsigned int i = 0; i < WORLD_QUEUES; i++)
		fake_ring(w->f, i, WORLD_RINGS + i * 4096ull);
}

void world_driver_ok(struct world *w)
{
	assert_true(fake_status(w->f, w->loop, 0));
	assert_true(fake_status(w->f, w->loop, VIRTIO_STATUS_ACKNOWLEDGE));
	assert_true(fake_status(w->f, w->loop, STATUS_FEATURES));
	assert_true(fake_status(w->f, w->loop, STATUS_OK));
}

/* ---- set-up ---- */

int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct worker_cfg wc = { .name = "world", .cpu = -1 };
	struct vdev_args a = {
		.name = "d0",
		.model = &model,
		.priv = w,
		.nqueues = WORLD_QUEUES,
		.max_size = 256,
		.nworkers = 1,
		.packed = true,
	};
	uint8_t config[WORLD_CONFIG];

	assert_non_null(w);
	w->f = fake_vduse_new();
	w->loop = loop_new();
	w->workers[0] = worker_new(&wc);
	assert_non_null(w->workers[0]);
	a.loop = w->loop;
	a.workers = w->workers;
	w->dev = vdev_new(&a, NULL);
	assert_non_null(w->dev);
	memset(config, 0x5a, sizeof(config));
	vu_dev_config_set(w->dev, 0, config, sizeof(config));
	*state = w;
	return 0;
}

/* The driver leaves when its device is taken off the bus. */
static void remove_resets(struct fake_vduse *f)
{
	fake_status_blocking(f, 0);
}

int world_teardown(void **state)
{
	struct world *w = *state;
	bool gone = w->t == NULL;

	if (w->t && !(w->stopped && w->stop_res == 0)) {
		atomic_store(&w->hold, false);
		world_release(w);
		w->f->remove = remove_resets;
		world_stop(w, TRANSPORT_STOP_FORCE, true);
		assert_int_equal(w->stop_res, 0);
	}
	if (!gone)
		w->t->ops->free(w->t);
	assert_false(w->f->is_open);
	vdev_free(w->dev);
	worker_free(w->workers[0]);
	loop_free(w->loop);
	fake_vduse_free(w->f);
	free(w);
	return 0;
}
