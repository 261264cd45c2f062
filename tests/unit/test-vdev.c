/* SPDX-License-Identifier: MIT */
/* The device instance over real workers and a real loop: the nine events and their hand-offs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/vdev.h"
#include "frontend/drv-ring.h"
#include "util/compiler.h"
#include "wire/virtio.h"

#define MEM_SIZE (8u << 20)
#define BUS      0x40000000ull
#define USER     0x7f0000000000ull
#define NQ       3
#define RING(q)  ((q)*0x100000ull)
#define DATA     0x600000ull
#define SECOND   1000000000ull

/* ---- a model that can hold what it pops ---- */

struct held {
	struct vu_chain *c[256];
	atomic_uint n;
};

struct model_state {
	atomic_bool hold;
	struct held held[NQ]; /* each touched by its queue's worker only */
	atomic_uint started, stops, stopped, resets, negotiated;
	uint64_t features;
	struct vu_dev *dev;
};

static uint64_t m_features(void *dev)
{
	(void)dev;
	return 1 << 5;
}

static void m_negotiated(void *dev, uint64_t features)
{
	struct model_state *m = dev;

	m->features = features;
	m->negotiated++;
}

static int m_config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	struct model_state *m = dev;

	if (off != 4)
		return -EPERM;
	vu_dev_config_set(m->dev, off, buf, len);
	return 0;
}

static int m_start(void *dev, struct vu_queue *q)
{
	struct model_state *m = dev;

	vu_queue_set_priv(q, &m->held[vu_queue_index(q)]);
	m->started++;
	return 0;
}

static void answer(struct vu_chain *c)
{
	uint8_t b[4] = { 0 };

	vu_chain_get(c, b, 4);
	vu_chain_put(c, b, 4);
	vu_queue_push(c, 4);
}

static void m_kick(void *dev, struct vu_queue *q)
{
	struct model_state *m = dev;
	struct held *h = vu_queue_priv(q);
	struct vu_chain *c;

	while ((c = vu_queue_pop(q))) {
		if (m->hold)
			h->c[h->n++] = c;
		else
			answer(c);
	}
}

static void m_stop(void *dev, struct vu_queue *q)
{
	(void)q;
	((struct model_state *)dev)->stops++;
}

static void m_stopped(void *dev, struct vu_queue *q)
{
	(void)q;
	((struct model_state *)dev)->stopped++;
}

static void m_reset(void *dev)
{
	((struct model_state *)dev)->resets++;
}

static const struct vu_model model = {
	.struct_size = sizeof(model),
	.name = "test",
	.virtio_id = 2,
	.config_size = 8,
	.features = m_features,
	.negotiated = m_negotiated,
	.config_write = m_config_write,
	.queue_start = m_start,
	.queue_kick = m_kick,
	.queue_stop = m_stop,
	.queue_stopped = m_stopped,
	.reset = m_reset,
};

/* ---- a transport that is the test ---- */

struct call {
	struct xport_call c;
	atomic_uint rung;
	bool released;
};

struct fix {
	struct loop *loop;
	struct worker *w[2];
	struct model_state m;
	struct vu_dev *d;
	int fd;
	uint8_t *mem;
	struct gmem *map;
	struct drv_ring *r[NQ];
	int kick[NQ];
	struct call call[NQ], call2;
	unsigned int broken, config_changed;
};

static void x_config_changed(void *x)
{
	((struct fix *)x)->config_changed++;
}

static void x_broken(void *x, unsigned int qi, const char *why)
{
	(void)qi;
	assert_non_null(why);
	((struct fix *)x)->broken++;
}

static const struct xport_ops xops = {
	.name = "test",
	.features = VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
	.mask = VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM),
	.config_write = true,
	.config_changed = x_config_changed,
	.queue_broken = x_broken,
};

static void call_notify(struct xport_call *c)
{
	container_of(c, struct call, c)->rung++;
}

static void call_release(struct xport_call *c)
{
	container_of(c, struct call, c)->released = true;
}

struct waiter {
	struct vdev_wait w;
	bool done;
	int res;
};

static void waited(struct vdev_wait *w, int res)
{
	struct waiter *x = container_of(w, struct waiter, w);

	assert_false(x->done);
	x->done = true;
	x->res = res;
}

#define WAITER ((struct waiter){ .w = { .done = waited } })

static void turn_until(struct fix *f, const bool *flag)
{
	uint64_t end = clock_ns() + 20 * SECOND;

	while (!*flag) {
		assert_true(clock_ns() < end);
		loop_turn(f->loop, 50);
	}
}

/* Turn the loop for a while; nothing may come of it. */
static void turn_for(struct fix *f, unsigned int ms)
{
	uint64_t end = clock_ns() + ms * 1000000ull;

	while (clock_ns() < end)
		loop_turn(f->loop, 5);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Everything posted to the workers so far has run. */
static void sync_workers(struct fix *f)
{
	worker_call(f->w[0], nothing, NULL);
	worker_call(f->w[1], nothing, NULL);
}

static struct gmem *map_mem(struct fix *f)
{
	struct err e = { 0 };
	struct gmem_region *r = gmem_region_map(f->fd, 0, MEM_SIZE, BUS, USER, GMEM_RW, &e);
	struct gmem *m = gmem_new(&r, 1, &e);

	assert_non_null(m);
	gmem_region_put(r);
	return m;
}

static struct fix *f_new(void)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct worker_cfg wc = { .name = "test", .cpu = -1 };
	struct err e = { 0 };
	struct vdev_args a = { .name = "t",
			       .model = &model,
			       .priv = &f->m,
			       .nqueues = NQ,
			       .max_size = 256,
			       .workers = f->w,
			       .nworkers = 2,
			       .packed = true };

	a.loop = f->loop = loop_new();
	assert_non_null(f->loop);
	for (unsigned int i = 0; i < 2; i++) {
		f->w[i] = worker_new(&wc);
		assert_non_null(f->w[i]);
	}
	f->fd = memfd_create("test-vdev", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->fd, MEM_SIZE), 0);
	f->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_ptr_not_equal(f->mem, MAP_FAILED);
	f->map = map_mem(f);
	f->d = vdev_new(&a, &e);
	assert_non_null(f->d);
	f->m.dev = f->d;
	assert_int_equal(vdev_attach(f->d, &xops, f), 0);
	assert_int_equal(vdev_attach(f->d, &xops, f), -EBUSY);
	return f;
}

static void set_memory(struct fix *f, struct gmem *m)
{
	struct waiter w = WAITER;

	vdev_set_memory(f->d, m, &w.w);
	assert_false(w.done); /* never from inside */
	turn_until(f, &w.done);
	assert_int_equal(w.res, 0);
}

static int prepare(struct fix *f, unsigned int qi, struct vq_base base)
{
	struct vq_cfg cfg = {
		.size = 64,
		.features = vdev_features(f->d),
		.space = GMEM_USER,
		.desc = USER + RING(qi) + f->r[qi]->layout.desc,
		.driver = USER + RING(qi) + f->r[qi]->layout.driver,
		.device = USER + RING(qi) + f->r[qi]->layout.device,
		.base = base,
		.kick_fd = dup(f->kick[qi]),
		.call = &f->call[qi].c,
	};
	struct err e = { 0 };

	f->call[qi] = (struct call){
		.c = { .notify = call_notify, .bell = -1, .release = call_release }
	};
	return vdev_queue_prepare(f->d, qi, &cfg, &e);
}

static void make_ring(struct fix *f, unsigned int qi, uint64_t features)
{
	struct drv_ring_cfg rc = { .size = 64,
				   .features = features,
				   .mem = f->mem + RING(qi),
				   .addr = BUS + RING(qi),
				   .base = VQ_BASE_INIT };
	struct err e = { 0 };

	f->r[qi] = drv_ring_new(&rc, &e);
	assert_non_null(f->r[qi]);
	f->kick[qi] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(f->kick[qi] >= 0);
}

static struct fix *f_running(uint64_t ring_features)
{
	struct fix *f = f_new();
	struct err e = { 0 };

	assert_int_equal(vdev_set_features(f->d, VIRTIO_BIT(VIRTIO_F_VERSION_1) | ring_features,
					   &e),
			 0);
	set_memory(f, f->map);
	for (unsigned int i = 0; i < NQ; i++) {
		make_ring(f, i, ring_features);
		assert_int_equal(prepare(f, i, VQ_BASE_INIT), 0);
		vdev_queue_enable(f->d, i, true, NULL);
		vdev_queue_start(f->d, i);
		assert_true(vdev_queue_running(f->d, i));
	}
	return f;
}

static void release_on_worker(void *arg)
{
	struct held *h = arg;

	while (h->n)
		answer(h->c[--h->n]);
}

static void release_all(struct fix *f)
{
	f->m.hold = false;
	for (unsigned int i = 0; i < NQ; i++)
		worker_call(f->w[i % 2], release_on_worker, &f->m.held[i]);
}

static void f_free(struct fix *f)
{
	struct waiter w = WAITER;

	release_all(f);
	vdev_reset(f->d, 0, &w.w);
	turn_until(f, &w.done);
	assert_int_equal(w.res, 0);
	vdev_detach(f->d);
	turn_for(f, 20);
	vdev_free(f->d);
	for (unsigned int i = 0; i < NQ; i++) {
		if (f->r[i]) {
			assert_true(f->call[i].released);
			drv_ring_free(f->r[i]);
			close(f->kick[i]);
		}
	}
	worker_free(f->w[0]);
	worker_free(f->w[1]);
	loop_free(f->loop);
	gmem_put(f->map);
	munmap(f->mem, MEM_SIZE);
	close(f->fd);
	free(f);
}

static void add(struct fix *f, unsigned int qi, uint32_t tag)
{
	uint64_t at = DATA + qi * 0x10000 + (uint64_t)tag * 64;
	struct drv_seg s[2] = {
		{ .addr = BUS + at, .len = 4 },
		{ .addr = BUS + at + 32, .len = 4, .writable = 1 },
	};
	uint64_t one = 1;

	memcpy(f->mem + at, &tag, 4);
	memset(f->mem + at + 32, 0xff, 4);
	assert_int_equal(drv_add(f->r[qi], s, 2, false, (void *)(uintptr_t)(tag + 1)), 0);
	if (drv_publish(f->r[qi]))
		assert_int_equal(write(f->kick[qi], &one, 8), 8);
}

static unsigned int reap(struct fix *f, unsigned int qi)
{
	struct drv_used u[64];
	unsigned int n = drv_get(f->r[qi], u, 64);

	for (unsigned int i = 0; i < n; i++) {
		uint32_t tag = (uint32_t)(uintptr_t)u[i].cookie - 1;

		assert_memory_equal(f->mem + DATA + qi * 0x10000 + (uint64_t)tag * 64 + 32, &tag,
				    4);
	}
	return n;
}

static void wait_back(struct fix *f, unsigned int qi, unsigned int n)
{
	uint64_t end = clock_ns() + 20 * SECOND;

	while (n) {
		assert_true(clock_ns() < end);
		n -= reap(f, qi);
		loop_turn(f->loop, 0);
	}
}

/* ---- tests ---- */

static void features_are_offered_masked_and_checked(void **state)
{
	struct fix *f = f_new();
	uint64_t v1 = VIRTIO_BIT(VIRTIO_F_VERSION_1);
	struct err e = { 0 };

	(void)state;
	assert_true(vdev_offered(f->d) & VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	assert_true(vdev_offered(f->d) & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
	assert_true(vdev_offered(f->d) & 1 << 5);
	assert_int_equal(vdev_set_features(f->d, v1 | 1 << 6, &e), -EINVAL);
	assert_string_equal(e.id, "features-not-offered");
	assert_int_equal(vdev_set_features(f->d, 1 << 5, &e), -EINVAL);
	assert_string_equal(e.id, "features-legacy");
	assert_int_equal(f->m.negotiated, 0);
	assert_int_equal(vdev_set_features(f->d, v1 | 1 << 5, &e), 0);
	assert_int_equal(f->m.negotiated, 1);
	assert_int_equal(f->m.features, v1 | 1 << 5);
	f_free(f);
}

static void config_bytes_are_bounded_and_writes_reach_the_model(void **state)
{
	struct fix *f = f_new();
	uint8_t b[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	(void)state;
	vu_dev_config_set(f->d, 0, b, 8);
	vu_dev_config_set(f->d, 4, b, 8); /* too far: ignored */
	memset(b, 0, 8);
	assert_int_equal(vdev_config_read(f->d, 0, b, 8), 0);
	assert_int_equal(b[4], 5);
	assert_int_equal(vdev_config_read(f->d, 1, b, 8), -EINVAL);
	assert_int_equal(vdev_config_read(f->d, UINT32_MAX, b, 2), -EINVAL);
	assert_int_equal(vdev_config_read(f->d, 8, b, 0), 0);
	assert_int_equal(vdev_config_write(f->d, 0, b, 1), -EPERM);
	b[0] = 0x77;
	assert_int_equal(vdev_config_write(f->d, 4, b, 1), 0);
	assert_int_equal(vdev_config_read(f->d, 4, b + 1, 1), 0);
	assert_int_equal(b[1], 0x77);
	assert_int_equal(vdev_config_write(f->d, 8, b, 1), -EINVAL);
	vu_dev_config_changed(f->d);
	assert_int_equal(f->config_changed, 1);
	assert_true(vu_dev_config_writable(f->d));
	f_free(f);
}

static void requests_flow_on_every_queue(void **state)
{
	static const uint64_t fl[] = { 0, VIRTIO_BIT(VIRTIO_F_EVENT_IDX),
				       VIRTIO_BIT(VIRTIO_F_RING_PACKED),
				       VIRTIO_BIT(VIRTIO_F_RING_PACKED) |
					       VIRTIO_BIT(VIRTIO_F_EVENT_IDX) };

	(void)state;
	for (unsigned int k = 0; k < ARRAY_SIZE(fl); k++) {
		struct fix *f = f_running(fl[k]);

		for (unsigned int lap = 0; lap < 300; lap++) {
			for (unsigned int q = 0; q < NQ; q++)
				for (uint32_t t = 0; t < 1 + lap % 5; t++)
					add(f, q, t);
			for (unsigned int q = 0; q < NQ; q++)
				wait_back(f, q, 1 + lap % 5);
		}
		f_free(f);
	}
}

static void stop_waits_for_inflight(void **state)
{
	struct fix *f = f_running(VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
	struct waiter w = WAITER, w2 = WAITER;
	struct vq_base base, base2;

	(void)state;
	f->m.hold = true;
	for (uint32_t t = 0; t < 5; t++)
		add(f, 1, t);
	while (f->m.held[1].n < 5)
		loop_turn(f->loop, 1);
	vdev_queue_stop(f->d, 1, 0, &base, &w.w);
	vdev_queue_stop(f->d, 1, 0, &base2, &w2.w); /* a second one waits too */
	turn_for(f, 50);
	assert_false(w.done);
	release_all(f);
	turn_until(f, &w.done);
	turn_until(f, &w2.done);
	assert_int_equal(w.res, 0);
	assert_int_equal(base.avail_idx, 5);
	assert_int_equal(base2.avail_idx, 5);
	assert_int_equal(reap(f, 1), 5); /* published before stop was reported */
	assert_true(f->call[1].released);
	assert_int_equal(f->m.stopped, 1);
	assert_false(vdev_queue_running(f->d, 1));

	/* others were not disturbed, and it can run again from there */
	add(f, 0, 1);
	wait_back(f, 0, 1);
	assert_int_equal(prepare(f, 1, base), 0);
	vdev_queue_start(f->d, 1);
	add(f, 1, 9);
	wait_back(f, 1, 1);
	f_free(f);
}

static void stop_of_a_queue_that_does_not_run_is_done_at_once(void **state)
{
	struct fix *f = f_new();
	struct waiter w = WAITER;
	struct vq_base base;

	(void)state;
	vdev_queue_stop(f->d, 0, 0, &base, &w.w);
	assert_false(w.done);
	turn_until(f, &w.done);
	assert_int_equal(w.res, 0);
	assert_true(base.avail_wrap);
	w = WAITER;
	vdev_queue_stop(f->d, NQ, 0, &base, &w.w);
	turn_until(f, &w.done);
	assert_int_equal(w.res, -EINVAL);
	f_free(f);
}

static void a_deadline_orphans_what_storage_does_not_finish(void **state)
{
	struct fix *f = f_running(0);
	struct waiter w = WAITER;
	struct vq_base base;
	uint8_t used[64];

	(void)state;
	f->m.hold = true;
	add(f, 0, 3);
	while (f->m.held[0].n < 1)
		loop_turn(f->loop, 1);
	vdev_queue_stop(f->d, 0, SECOND / 20, &base, &w.w);
	turn_until(f, &w.done);
	assert_int_equal(w.res, -ETIMEDOUT);
	assert_int_equal(base.avail_idx, 1);
	assert_false(vdev_queue_running(f->d, 0));

	/* the same queue again, while the old request is still out */
	f->m.hold = false;
	drv_ring_reset(f->r[0], VQ_BASE_INIT);
	memset(f->mem + RING(0) + f->r[0]->layout.device, 0, 64);
	assert_int_equal(prepare(f, 0, VQ_BASE_INIT), 0);
	vdev_queue_start(f->d, 0);
	add(f, 0, 7);
	wait_back(f, 0, 1);
	memcpy(used, f->mem + RING(0) + f->r[0]->layout.device, 64);
	release_all(f);
	sync_workers(f);
	turn_for(f, 20);
	assert_memory_equal(used, f->mem + RING(0) + f->r[0]->layout.device, 64);
	f_free(f);
}

static void reset_stops_all_and_forgets_negotiation_and_memory(void **state)
{
	struct fix *f = f_running(VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	struct waiter w = WAITER, w2 = WAITER;

	(void)state;
	f->m.hold = true;
	for (unsigned int q = 0; q < NQ; q++)
		add(f, q, 1);
	while (f->m.held[0].n + f->m.held[1].n + f->m.held[2].n < 3)
		loop_turn(f->loop, 1);
	vdev_reset(f->d, 0, &w.w);
	vdev_reset(f->d, 0, &w2.w);
	turn_for(f, 30);
	assert_false(w.done);
	release_all(f);
	turn_until(f, &w.done);
	turn_until(f, &w2.done);
	assert_int_equal(f->m.resets, 1);
	assert_int_equal(vdev_features(f->d), 0);
	assert_null(vdev_memory(f->d));
	for (unsigned int q = 0; q < NQ; q++)
		assert_false(vdev_queue_running(f->d, q));
	f_free(f);
}

static void a_disabled_queue_stands_still_and_remembers(void **state)
{
	struct fix *f = f_running(VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
	struct waiter w = WAITER;

	(void)state;
	vdev_queue_enable(f->d, 2, false, &w.w);
	turn_until(f, &w.done);
	add(f, 2, 1);
	turn_for(f, 40);
	assert_int_equal(reap(f, 2), 0);
	w = WAITER;
	vdev_queue_enable(f->d, 2, true, &w.w);
	turn_until(f, &w.done);
	wait_back(f, 2, 1);
	/* features again, with another set: running queues go on */
	assert_int_equal(vdev_set_features(f->d, VIRTIO_BIT(VIRTIO_F_VERSION_1), NULL), 0);
	assert_int_equal(f->m.negotiated, 1);
	add(f, 2, 2);
	wait_back(f, 2, 1);
	f_free(f);
}

static void memory_changes_under_running_queues(void **state)
{
	struct fix *f = f_running(0);
	void *old_host;

	(void)state;
	f->m.hold = true;
	add(f, 0, 1);
	while (f->m.held[0].n < 1)
		loop_turn(f->loop, 1);
	old_host = f->map->regions[0]->host;
	gmem_put(f->map);
	f->map = map_mem(f);
	set_memory(f, f->map);
	assert_int_equal(madvise(old_host, 4096, MADV_NORMAL), 0); /* pinned by the one in flight */
	release_all(f);
	wait_back(f, 0, 1);
	for (uint32_t t = 0; t < 10; t++)
		add(f, 0, t);
	wait_back(f, 0, 10);
	set_memory(f, NULL);
	add(f, 0, 1);
	turn_for(f, 30);
	assert_int_equal(reap(f, 0), 0);
	set_memory(f, f->map);
	wait_back(f, 0, 1);
	f_free(f);
}

static void the_call_can_be_replaced_while_the_queue_runs(void **state)
{
	struct fix *f = f_running(0);
	unsigned int rung;

	(void)state;
	add(f, 0, 1);
	wait_back(f, 0, 1);
	f->call2 = (struct call){
		.c = { .notify = call_notify, .bell = -1, .release = call_release }
	};
	vdev_queue_set_call(f->d, 0, &f->call2.c);
	turn_until(f, &f->call[0].released);
	rung = f->call[0].rung;
	add(f, 0, 2);
	wait_back(f, 0, 1);
	sync_workers(f);
	assert_int_equal(f->call[0].rung, rung);
	assert_true(f->call2.rung > 0);
	vdev_queue_set_call(f->d, 0, NULL);
	turn_until(f, &f->call2.released);
	/* and the bell: without one the queue is polled */
	vdev_queue_set_kick(f->d, 0, -1);
	sync_workers(f);
	add(f, 0, 3);
	wait_back(f, 0, 1);
	vdev_queue_set_kick(f->d, 0, dup(f->kick[0]));
	sync_workers(f);
	add(f, 0, 4);
	wait_back(f, 0, 1);
	f_free(f);
}

static void a_broken_queue_is_reported_once_and_reset_heals_it(void **state)
{
	struct fix *f = f_running(0);
	struct waiter w = WAITER;
	uint64_t one = 1;
	uint16_t jump = htole16(1000);

	(void)state;
	memcpy((uint8_t *)f->r[0]->avail + 2, &jump, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(f->kick[0], &one, 8), 8);
		turn_for(f, 10);
	}
	assert_int_equal(f->broken, 1);
	add(f, 1, 1); /* the neighbours live */
	wait_back(f, 1, 1);
	vdev_queue_stop(f->d, 0, 0, NULL, &w.w);
	turn_until(f, &w.done);
	memset(f->mem + RING(0), 0, 0x10000);
	drv_ring_reset(f->r[0], VQ_BASE_INIT);
	assert_int_equal(prepare(f, 0, VQ_BASE_INIT), 0);
	vdev_queue_start(f->d, 0);
	add(f, 0, 1);
	wait_back(f, 0, 1);
	f_free(f);
}

static void prepare_takes_over_descriptors_also_when_it_fails(void **state)
{
	struct fix *f = f_running(0);

	(void)state;
	assert_int_equal(prepare(f, 1, VQ_BASE_INIT), -EBUSY);
	assert_true(f->call[1].released);
	/* prepared twice without a start: the first one goes */
	{
		struct waiter w = WAITER;

		vdev_queue_stop(f->d, 2, 0, NULL, &w.w);
		turn_until(f, &w.done);
	}
	f->call[2].released = false;
	assert_int_equal(prepare(f, 2, VQ_BASE_INIT), 0);
	assert_int_equal(prepare(f, 2, VQ_BASE_INIT), 0);
	vdev_queue_start(f->d, 2);
	drv_ring_reset(f->r[2], VQ_BASE_INIT);
	f_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features_are_offered_masked_and_checked),
		cmocka_unit_test(config_bytes_are_bounded_and_writes_reach_the_model),
		cmocka_unit_test(requests_flow_on_every_queue),
		cmocka_unit_test(stop_waits_for_inflight),
		cmocka_unit_test(stop_of_a_queue_that_does_not_run_is_done_at_once),
		cmocka_unit_test(a_deadline_orphans_what_storage_does_not_finish),
		cmocka_unit_test(reset_stops_all_and_forgets_negotiation_and_memory),
		cmocka_unit_test(a_disabled_queue_stands_still_and_remembers),
		cmocka_unit_test(memory_changes_under_running_queues),
		cmocka_unit_test(the_call_can_be_replaced_while_the_queue_runs),
		cmocka_unit_test(a_broken_queue_is_reported_once_and_reset_heals_it),
		cmocka_unit_test(prepare_takes_over_descriptors_also_when_it_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
