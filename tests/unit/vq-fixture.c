/* SPDX-License-Identifier: MIT */
#include "vq-fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/drv-raw.h"
#include "util/compiler.h"

static uint64_t m_features(void *dev)
{
	(void)dev;
	return 0;
}

void m_answer(struct model_state *m, struct vu_chain *c)
{
	uint32_t in = c->in_len;
	uint8_t b[64];

	if (c->out_len >= 4 && vu_chain_get(c, b, 4))
		memcpy(m->echo, b, 4);
	if (in && vu_chain_put(c, m->echo, MIN(in, 4u)))
		vu_chain_put_zero(c, in - MIN(in, 4u));
	vu_queue_push(c, in);
}

uint32_t f_batch_ns;

bool f_expire(struct fix *f, struct worker_timer *t)
{
	if (!t->armed)
		return false;
	worker_timer_cancel(f->w, t);
	t->fn(t);
	fake_settle(f->w);
	return true;
}

static void m_kick(void *dev, struct vu_queue *q)
{
	struct model_state *m = dev;
	struct vu_chain *c;

	m->kicks++;
	if (m->decline) {
		if (m->on_decline)
			m->on_decline(container_of(m, struct fix, m));
		return;
	}
	while ((c = vu_queue_pop(q))) {
		if (m->hold)
			m->held[m->n++] = c;
		else
			m_answer(m, c);
	}
}

static void m_stop(void *dev, struct vu_queue *q)
{
	(void)q;
	((struct model_state *)dev)->stops++;
}

static void m_stopped(void *dev, struct vu_queue *q)
{
	assert_int_equal(vu_queue_inflight(q), 0);
	((struct model_state *)dev)->stopped++;
}

const struct vu_model vq_test_model = {
	.struct_size = sizeof(vq_test_model),
	.name = "test",
	.req_size = 32,
	.features = m_features,
	.queue_kick = m_kick,
	.queue_stop = m_stop,
	.queue_stopped = m_stopped,
};

static void f_broken(void *ctx, const char *why)
{
	((struct fix *)ctx)->broken = why;
}

static void f_stopped(void *ctx)
{
	((struct fix *)ctx)->stopped++;
}

static void f_notify(struct xport_call *c)
{
	container_of(c, struct fix, call)->calls++;
}

static void f_release(struct xport_call *c)
{
	container_of(c, struct fix, call)->released++;
}

static struct gmem *map_mem(struct fix *f)
{
	struct err e = { 0 };
	struct gmem_region *r = gmem_region_map(f->fd, 0, MEM_SIZE, MEM_BUS, MEM_BUS, GMEM_RW, &e);
	struct gmem *m;

	assert_non_null(r);
	m = gmem_new(&r, 1, &e);
	assert_non_null(m);
	gmem_region_put(r);
	return m;
}

static void f_ring(struct fix *f, struct vq_base base)
{
	struct drv_ring_cfg rc = {
		.size = f->size,
		.features = f->features,
		.indirect_max = f->features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) ? 16 : 0,
		.mem = f->mem,
		.addr = MEM_BUS,
		.base = base,
	};
	struct err e = { 0 };

	f->r = drv_ring_new(&rc, &e);
	assert_non_null(f->r);
}

struct vu_queue *f_queue(struct fix *f, struct vq_base base, struct err *e)
{
	struct vq_env env = {
		.model = &vq_test_model,
		.priv = &f->m,
		.worker = f->w,
		.broken = f_broken,
		.stopped = f_stopped,
		.ctx = f,
	};
	struct vq_cfg cfg = {
		.size = f->size,
		.features = f->features,
		.space = GMEM_BUS,
		.desc = drv_desc_addr(f->r),
		.driver = drv_driver_addr(f->r),
		.device = drv_device_addr(f->r),
		.base = base,
		.kick_fd = KICK_FD,
		.call = &f->call,
	};

	return vq_new(&env, &cfg, f->map, vq_test_model.req_size, &f->st, e);
}

struct fix *f_new(uint64_t features, uint32_t size, struct vq_base base)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	f->features = features;
	f->size = size;
	f->call = (struct xport_call){ .notify = f_notify, .bell = -1, .release = f_release };
	f->fd = memfd_create("test-vq", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->fd, MEM_SIZE), 0);
	f->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_ptr_not_equal(f->mem, MAP_FAILED);
	f->map = map_mem(f);
	f->w = fake_worker_new();
	fake_set_batch(f->w, f_batch_ns);
	assert_int_equal(gmem_guard_install(), 0);
	f_ring(f, base);
	f->q = f_queue(f, base, &e);
	assert_non_null(f->q);
	vq_run(f->q);
	fake_settle(f->w);
	return f;
}

/* Stop, check that nothing is left behind, free. */
void f_free(struct fix *f)
{
	if (f->q) {
		vq_quiesce(f->q);
		while (f->m.n)
			m_answer(&f->m, f->m.held[--f->m.n]);
		fake_turn(f->w);
		assert_int_equal(f->stopped, 1);
		assert_int_equal(f->m.stopped, 1);
		assert_int_equal(fake_registered(f->w), 0);
		f->q->kick.fd = -1;
		vq_free(f->q);
		assert_int_equal(f->released, 1);
	}
	drv_ring_free(f->r);
	gmem_put(f->map);
	munmap(f->mem, MEM_SIZE);
	close(f->fd);
	fake_worker_free(f->w);
	free(f);
}

/* One echo request: 4 bytes out, @in bytes in. */
int f_add(struct fix *f, uint32_t tag, uint32_t in, bool indirect)
{
	uint64_t at = DATA + (uint64_t)(tag % 1000) * 1024;
	struct drv_seg s[2] = {
		{ .addr = MEM_BUS + at, .len = 4 },
		{ .addr = MEM_BUS + at + 512, .len = in, .writable = 1 },
	};

	memcpy(f->mem + at, &tag, 4);
	return drv_add(f->r, s, 2, indirect, (void *)(uintptr_t)(tag + 1));
}

void f_kick(struct fix *f)
{
	if (drv_publish(f->r))
		fake_ring(f->w, KICK_FD);
	fake_settle(f->w);
}

/* Everything in flight came back right; returns how many. */
unsigned int f_reap(struct fix *f, uint32_t in)
{
	struct drv_used u[64];
	unsigned int n, all = 0;

	while ((n = drv_get(f->r, u, 64))) {
		for (unsigned int i = 0; i < n; i++) {
			uint32_t tag = (uint32_t)(uintptr_t)u[i].cookie - 1, got;

			memcpy(&got, f->mem + DATA + (uint64_t)(tag % 1000) * 1024 + 512, 4);
			assert_int_equal(got, tag);
			assert_int_equal(u[i].len, in);
		}
		all += n;
	}
	assert_null(drv_broken(f->r));
	return all;
}

const uint64_t flavours[8] = {
	0,      EVENT,          INDIRECT,          EVENT | INDIRECT,
	PACKED, PACKED | EVENT, PACKED | INDIRECT, PACKED | EVENT | INDIRECT,
};

void raw_go(struct fix *f, unsigned int n)
{
	if (!(f->features & PACKED)) {
		for (unsigned int i = 0; i < n; i++)
			drv_raw_avail(f->r, (uint16_t)i, 0);
		drv_raw_avail_idx(f->r, (uint16_t)n);
	}
	fake_ring(f->w, KICK_FD);
	fake_settle(f->w);
}

/* One descriptor at ring entry or table index @i of either format; packed heads go last. */
void raw(struct fix *f, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	if (f->features & PACKED)
		drv_raw_pdesc(f->r, i, addr, len, i, (uint16_t)(flags | drv_raw_pavail(f->r)));
	else
		drv_raw_desc(f->r, i, addr, len, flags, next);
}

void table(struct fix *f, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
	   uint16_t next)
{
	uint8_t *at = f->mem + DATA + 16 * i;
	uint16_t w6 = f->features & PACKED ? 0 : flags, w7 = f->features & PACKED ? flags : next;

	memcpy(at, &addr, 8);
	memcpy(at + 8, &len, 4);
	memcpy(at + 12, &w6, 2);
	memcpy(at + 14, &w7, 2);
}
