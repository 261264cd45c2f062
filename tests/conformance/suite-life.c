/* SPDX-License-Identifier: MIT */
/* Conformance: life cycle, memory changes, configuration. */
#include "suite.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/loop.h"

static void same_base(struct conf *c, struct vq_base got)
{
	struct vq_base want = drv_ring_base(c->q[0].ring);

	assert_int_equal(got.avail_idx, want.avail_idx);
	if (!conf_packed(c))
		return;
	assert_int_equal(got.avail_wrap, want.avail_wrap);
	assert_int_equal(got.used_idx, want.used_idx);
	assert_int_equal(got.used_wrap, want.used_wrap);
}

static void stop_start(struct conf *c)
{
	for (unsigned int i = 0; i < 8; i++) {
		struct vq_base b;

		conf_echo_many(c, 0, 1 + conf_rnd(c) % (MIN(c->v->size, 500u) + 3));
		conf_ok(c, fe_queue_stop(&c->q[0], c->t, &b, &c->e));
		same_base(c, b);
		conf_echo(c, 1, 10, 10);
		conf_ok(c, fe_queue_start(&c->q[0], c->t, &b, &c->e));
	}
	conf_echo_many(c, 0, 5);
}

static void add_quietly(struct conf *c, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct drv_seg s[2] = { { c->out_gpa + i, 1, 0 }, { c->in_gpa + i, 1, 1 } };

		c->out[i] = (uint8_t)i;
		conf_add(c, 0, s, 2, c->in + i);
	}
	drv_publish(c->q[0].ring);
}

static void get_all(struct conf *c, unsigned int n)
{
	while (n--) {
		struct drv_used u = conf_get(c, 0);
		uint8_t *p = u.cookie;

		assert_int_equal(u.len, 1);
		assert_int_equal(*p, (uint8_t) ~(p - c->in));
	}
}

/* Nobody kicks: a ring is looked at when it starts. */
static void published_while_stopped(struct conf *c)
{
	unsigned int n = MAX(MIN(c->v->size / 2, 20u), 1u);
	struct vq_base b;

	conf_echo(c, 0, 10, 10);
	conf_ok(c, fe_queue_stop(&c->q[0], c->t, &b, &c->e));
	add_quietly(c, n);
	usleep(30000);
	assert_int_equal(drv_call_on(c->q[0].ring, 1), false);
	conf_ok(c, fe_queue_start(&c->q[0], c->t, &b, &c->e));
	get_all(c, n);
}

static void stop_drains(struct conf *c)
{
	uint64_t from = clock_ns();
	struct drv_used u;
	struct vq_base b;

	conf_held_begin(c, 0, 20);
	conf_echo(c, 0, 10, 10); /* so it has been taken, too */
	conf_ok(c, fe_queue_stop(&c->q[0], c->t, &b, &c->e));
	assert_true(clock_ns() - from >= UINT64_C(190000000));
	/* Everything is back when the stop is answered. */
	assert_int_equal(drv_get(c->q[0].ring, &u, 1), 1);
	assert_int_equal(u.len, 600);
	conf_held_check(c);
	same_base(c, b);
	conf_ok(c, fe_queue_start(&c->q[0], c->t, &b, &c->e));
	conf_echo_many(c, 0, 5);
}

/* A stop while chains stream in: none is lost, none is run twice. */
static void stop_under_load(struct conf *c)
{
	unsigned int n = MAX(MIN(c->v->size / 2, 100u), 1u);

	for (unsigned int i = 0; i < 20; i++) {
		struct vq_base b;

		add_quietly(c, n);
		fe_queue_kick(&c->q[0]);
		if (i & 1)
			usleep(conf_rnd(c) % 200);
		conf_ok(c, fe_queue_stop(&c->q[0], c->t, &b, &c->e));
		conf_ok(c, fe_queue_start(&c->q[0], c->t, &b, &c->e));
		get_all(c, n);
	}
	assert_null(drv_broken(c->q[0].ring));
}

static void begin_again(struct conf *c)
{
	conf_ok(c, c->t->ops->set_features(c->t, c->features, &c->e));
	conf_ok(c, c->t->ops->set_mem(c->t, c->m, &c->e));
	for (unsigned int i = 0; i < c->nq; i++) {
		drv_ring_reset(c->q[i].ring, VQ_BASE_INIT);
		conf_start(c, i);
	}
}

static void reset_again(struct conf *c)
{
	for (unsigned int i = 0; i < 4; i++) {
		conf_echo_many(c, i % c->nq, 20);
		conf_ok(c, c->t->ops->reset(c->t, &c->e));
		begin_again(c);
	}
	conf_echo_many(c, 0, 20);
	assert_true(__atomic_load_n(&c->d.model.resets, __ATOMIC_RELAXED) >= 4 ||
		    __atomic_load_n(&c->d.model.stops, __ATOMIC_RELAXED) >= 16);
}

static void reset_in_flight(struct conf *c)
{
	conf_held_begin(c, 0, 15);
	conf_held_begin(c, 1, 10);
	conf_echo(c, 0, 10, 10);
	conf_ok(c, c->t->ops->reset(c->t, &c->e));
	/* From here on the memory is ours alone. */
	memset(c->in + CONF_SCRATCH / 2, 0, 600);
	usleep(200000);
	for (unsigned int i = 0; i < 600; i++)
		assert_int_equal(c->in[CONF_SCRATCH / 2 + i], 0);
	begin_again(c);
	conf_echo_many(c, 0, 10);
}

static void disabled(struct conf *c)
{
	struct drv_used u;

	conf_echo(c, 0, 10, 10);
	conf_ok(c, c->t->ops->queue_enable(c->t, 0, false, &c->e));
	add_quietly(c, 1);
	fe_queue_kick(&c->q[0]);
	conf_echo_many(c, 1, 5);
	usleep(50000);
	assert_int_equal(drv_get(c->q[0].ring, &u, 1), 0);
	c->out[0] = 0; /* the other queue has used it meanwhile */
	conf_ok(c, c->t->ops->queue_enable(c->t, 0, true, &c->e));
	get_all(c, 1);
	conf_echo_many(c, 0, 5);
}

/* Features again while rings run: nothing stops. */
static void features_again(struct conf *c)
{
	conf_held_begin(c, 0, 5);
	conf_ok(c, c->t->ops->set_features(c->t, c->features, &c->e));
	conf_get(c, 0);
	conf_held_check(c);
	for (unsigned int i = 0; i < c->nq; i++)
		conf_echo_many(c, i, 5);
}

static void features_refused(struct conf *c)
{
	uint64_t f = c->features | VIRTIO_BIT(VIRTIO_F_SR_IOV);

	assert_true(c->t->ops->set_features(c->t, f, &c->e) < 0);
	f = c->features & ~VIRTIO_BIT(VIRTIO_F_VERSION_1);
	assert_true(c->t->ops->set_features(c->t, f, &c->e) < 0);
	conf_ok(c, c->t->ops->set_features(c->t, c->features, &c->e));
	for (unsigned int i = 0; i < c->nq; i++)
		conf_start(c, i);
	conf_echo_many(c, 0, 5);
}

/* ---- memory ---- */

/* The same memory without region @idx; still mapped here. */
static struct fe_mem *without(const struct fe_mem *m, unsigned int idx)
{
	struct fe_mem *w = malloc(sizeof(*w));

	assert_non_null(w);
	memcpy(w, m, sizeof(*w));
	w->n--;
	memmove(&w->r[idx], &w->r[idx + 1], (w->n - idx) * sizeof(w->r[0]));
	return w;
}

static void memory_changes(struct conf *c)
{
	struct fe_mem *less = without(c->m, MEM_HIGH);
	const struct fe_mem_spec spec = { .gpa = UINT64_C(0x200000000), .size = 0x10000 };

	for (unsigned int i = 0; i < 20; i++) {
		conf_echo_many(c, 0, 3);
		conf_ok(c, c->t->ops->set_mem(c->t, i & 1 ? c->m : less, &c->e));
		conf_echo_many(c, i % c->nq, 3);
	}
	assert_true(fe_mem_add(c->m, &spec, &c->e) == MEM_N);
	conf_ok(c, c->t->ops->set_mem(c->t, c->m, &c->e));
	for (unsigned int i = 0; i < 3; i++) {
		const struct drv_seg s[2] = { { spec.gpa, 64, 0 }, { spec.gpa + 4096, 64, 1 } };
		struct drv_used u;

		memset(fe_mem_host(c->m, spec.gpa, 64), 0x12, 64);
		conf_add(c, i, s, 2, c);
		fe_queue_publish(&c->q[i]);
		u = conf_get(c, i);
		assert_int_equal(u.len, 64);
		assert_int_equal(*(uint8_t *)fe_mem_host(c->m, spec.gpa + 4096 + 63, 1),
				 (uint8_t)~0x12);
	}
	free(less);
}

/* The buffers of a request under way go out of the map: it finishes in the old one. */
static void memory_removed_in_flight(struct conf *c)
{
	struct fe_mem *less = without(c->m, MEM_DATA);
	struct drv_used u;

	conf_held_begin(c, 0, 10);
	usleep(30000); /* it has been taken */
	conf_ok(c, c->t->ops->set_mem(c->t, less, &c->e));
	u = conf_get(c, 0);
	assert_int_equal(u.len, 600);
	conf_held_check(c);
	conf_ok(c, c->t->ops->set_mem(c->t, c->m, &c->e));
	conf_echo_many(c, 0, 5);
	free(less);
}

/* After the change the old addresses are no memory any more. */
static void memory_removed_is_gone(struct conf *c)
{
	struct fe_mem *less = without(c->m, MEM_HIGH);
	const struct drv_seg s = { MEM_HIGH_GPA, 64, 0 };

	conf_ok(c, c->t->ops->set_mem(c->t, less, &c->e));
	conf_add(c, 0, &s, 1, c);
	fe_queue_publish(&c->q[0]);
	conf_expect_broken(c, 0);
	conf_echo_many(c, 1, 5);
	conf_restart_fresh(c, 0);
	conf_echo_many(c, 0, 5);
	free(less);
}

/* A queue whose rings are not there waits, and goes on when they come back. */
static void ring_memory_gone(struct conf *c)
{
	struct fe_mem *less = without(c->m, MEM_LOW);
	struct drv_used u;

	conf_echo_many(c, 0, 3);
	conf_ok(c, c->t->ops->set_mem(c->t, less, &c->e));
	add_quietly(c, 1);
	fe_queue_kick(&c->q[0]);
	usleep(50000);
	assert_int_equal(drv_get(c->q[0].ring, &u, 1), 0);
	assert_false(fe_queue_err(&c->q[0], 0));
	conf_ok(c, c->t->ops->set_mem(c->t, c->m, &c->e));
	get_all(c, 1);
	conf_echo_many(c, 0, 5);
	free(less);
}

/* The guest's owner shrinks its memory under a running device. */
static void memory_vanishes(struct conf *c)
{
	const struct drv_seg bad[2] = { { c->out_gpa, 64, 0 }, { MEM_HIGH_GPA + 4096, 64, 1 } };

	conf_echo_many(c, 0, 3);
	assert_int_equal(ftruncate(c->m->r[MEM_HIGH].fd, 0), 0);
	memset(c->out, 1, 64);
	conf_add(c, 0, bad, 2, c);
	fe_queue_publish(&c->q[0]);
	conf_expect_broken(c, 0);
	/* The others never notice, also those of the same worker. */
	for (unsigned int i = 1; i < c->nq; i++)
		conf_echo_many(c, i, 20);
	conf_restart_fresh(c, 0);
	conf_echo_many(c, 0, 20);
}

/* Same, with the request already in the device's hands. */
static void memory_vanishes_in_flight(struct conf *c)
{
	const struct drv_seg bad[2] = { { c->out_gpa, 64, 0 }, { MEM_HIGH_GPA + 4096, 64, 1 } };

	c->out[0] = TEST_MODEL_HOLD;
	c->out[1] = 10;
	conf_add(c, 0, bad, 2, c);
	fe_queue_publish(&c->q[0]);
	usleep(40000);
	assert_int_equal(ftruncate(c->m->r[MEM_HIGH].fd, 0), 0);
	conf_expect_broken(c, 0);
	for (unsigned int i = 1; i < c->nq; i++)
		conf_echo_many(c, i, 20);
	conf_restart_fresh(c, 0);
	conf_echo_many(c, 0, 20);
}

/* ---- configuration ---- */

static void config(struct conf *c)
{
	uint8_t b[16], v = 0x5a;
	uint32_t magic;

	conf_ok(c, c->t->ops->config_get(c->t, 0, b, 16, &c->e));
	memcpy(&magic, b, 4);
	assert_int_equal(le32toh(magic), TEST_MODEL_MAGIC);
	/* Any piece of it; front-ends ask for a prefix only. */
	for (uint32_t off = 0; off < 16; off++) {
		uint8_t p[16];

		conf_ok(c, c->t->ops->config_get(c->t, off, p, 16 - off, &c->e));
		assert_memory_equal(p, b + off, 16 - off);
	}
	conf_ok(c, c->t->ops->config_set(c->t, 4, &v, 1, &c->e));
	conf_ok(c, c->t->ops->config_get(c->t, 4, b, 1, &c->e));
	assert_int_equal(b[0], v);
	/* Read-only bytes and those past the end. */
	assert_true(c->t->ops->config_set(c->t, 0, &v, 1, &c->e) < 0);
	assert_true(c->t->ops->config_set(c->t, 16, &v, 1, &c->e) < 0);
	assert_true(c->t->ops->config_get(c->t, 16, b, 1, &c->e) < 0);
	assert_true(c->t->ops->config_get(c->t, UINT32_MAX, b, 2, &c->e) < 0);
	/* Over the end: refused, or zeroes for what is not there. */
	memset(b, 0xff, sizeof(b));
	if (c->t->ops->config_get(c->t, 8, b, 16, &c->e) == 0)
		for (unsigned int i = 8; i < 16; i++)
			assert_int_equal(b[i], 0);
	conf_ok(c, c->t->ops->config_get(c->t, 0, b, 16, &c->e));
	conf_echo(c, 0, 10, 10);
}

static void config_change(struct conf *c)
{
	assert_int_equal(c->t->ops->config_wait(c->t, 0, &c->e), 0);
	for (uint8_t v = 1; v < 5; v++) {
		uint8_t got;

		conf_ok(c, c->t->ops->config_set(c->t, 5, &v, 1, &c->e));
		assert_int_equal(c->t->ops->config_wait(c->t, CONF_WAIT_MS, &c->e), 1);
		conf_ok(c, c->t->ops->config_get(c->t, 6, &got, 1, &c->e));
		assert_int_equal(got, v);
		assert_int_equal(c->t->ops->config_wait(c->t, 20, &c->e), 0);
	}
	conf_echo(c, 0, 10, 10);
}

const struct conf_case conf_life_cases[] = {
	{ .name = "stop_and_start_keep_the_position", .fn = stop_start, .any = true },
	{ .name = "start_finds_what_was_published_before", .fn = published_while_stopped },
	{ .name = "stop_waits_for_requests_under_way", .fn = stop_drains },
	{ .name = "stop_waits_with_a_busy_worker", .fn = stop_drains, .mode = WORKER_BUSY },
	{ .name = "stop_waits_without_io_uring", .fn = stop_drains, .no_uring = true },
	{ .name = "stop_under_load_without_io_uring", .fn = stop_under_load, .no_uring = true },
	{ .name = "stop_under_load_with_a_busy_worker",
	  .fn = stop_under_load,
	  .mode = WORKER_BUSY },
	{ .name = "stop_under_load_loses_nothing", .fn = stop_under_load, .any = true },
	{ .name = "reset_and_again", .fn = reset_again },
	{ .name = "nothing_is_touched_after_a_reset", .fn = reset_in_flight },
	{ .name = "disabled_queue_stands_still", .fn = disabled },
	{ .name = "features_again_stop_nothing", .fn = features_again },
	{ .name = "features_not_offered_are_refused", .fn = features_refused, .no_queues = true },
	{ .name = "memory_changes_while_running", .fn = memory_changes },
	{ .name = "request_under_way_keeps_its_memory", .fn = memory_removed_in_flight },
	{ .name = "removed_memory_is_gone", .fn = memory_removed_is_gone },
	{ .name = "queue_waits_for_its_rings", .fn = ring_memory_gone },
	{ .name = "vanished_memory_breaks_one_queue", .fn = memory_vanishes },
	{ .name = "memory_vanishes_under_a_request", .fn = memory_vanishes_in_flight },
	{ .name = "configuration_reads_and_writes", .fn = config },
	{ .name = "configuration_change_is_told", .fn = config_change },
	{ 0 },
};
