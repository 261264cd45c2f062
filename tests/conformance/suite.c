/* SPDX-License-Identifier: MIT */
/* The conformance suite: variants, fixture, helpers. */
#include "suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/loop.h"

#define SPLIT   0
#define PACKED  VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define EVENT   VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define IND     VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)
#define AT(...) .base = { __VA_ARGS__ }
#define FRESH   AT(.avail_wrap = true, .used_wrap = true)

static const struct conf_variant variants[] = {
	{ "split", SPLIT, 256, FRESH, true },
	{ "split event", SPLIT | EVENT, 256, FRESH, false },
	{ "split indirect", SPLIT | IND, 256, FRESH, false },
	{ "split event indirect", SPLIT | EVENT | IND, 256, FRESH, true },
	{ "packed", PACKED, 256, FRESH, true },
	{ "packed event", PACKED | EVENT, 256, FRESH, false },
	{ "packed indirect", PACKED | IND, 256, FRESH, false },
	{ "packed event indirect", PACKED | EVENT | IND, 256, FRESH, true },
	{ "split of 1 indirect", SPLIT | EVENT | IND, 1, FRESH, false },
	{ "split of 2", SPLIT | EVENT, 2, FRESH, false },
	{ "split of 1024", SPLIT | EVENT | IND, 1024, FRESH, false },
	{ "split of 32768", SPLIT | EVENT | IND, 32768, FRESH, false },
	{ "split of 32768 from 65530", SPLIT, 32768, AT(.avail_idx = 65530), false },
	{ "split of 16 from 65530", SPLIT | EVENT | IND, 16, AT(.avail_idx = 65530), false },
	{ "packed of 1 indirect", PACKED | EVENT | IND, 1, FRESH, false },
	{ "packed of 2", PACKED | EVENT, 2, FRESH, false },
	{ "packed of 3", PACKED | EVENT | IND, 3, FRESH, false },
	{ "packed of 1000", PACKED | EVENT | IND, 1000, FRESH, false },
	{ "packed of 32768", PACKED | EVENT | IND, 32768, FRESH, false },
	{ "packed of 7 from slot 6, second lap", PACKED | EVENT | IND, 7,
	  AT(.avail_idx = 6, .used_idx = 6), false },
};

uint32_t conf_rnd(struct conf *c)
{
	c->seed = c->seed * 1664525u + 1013904223u;
	return c->seed >> 8;
}

unsigned int conf_max_segs(const struct conf *c)
{
	return conf_indirect(c) ? CONF_INDIRECT : MIN(c->v->size, (uint32_t)CONF_INDIRECT);
}

/* ---- fixture ---- */

static void make_memory(struct conf *c)
{
	const struct fe_mem_spec specs[MEM_N] = {
		[MEM_LOW] = { .gpa = MEM_LOW_GPA, .size = MEM_LOW_SIZE, .offset = 0x3000 },
		[MEM_NEXT] = { .gpa = MEM_NEXT_GPA, .size = MEM_NEXT_SIZE },
		[MEM_DATA] = { .gpa = MEM_DATA_GPA, .size = MEM_DATA_SIZE },
		[MEM_HIGH] = { .gpa = MEM_HIGH_GPA, .size = MEM_HIGH_SIZE, .may_shrink = true },
	};

	c->m = fe_mem_new(specs, MEM_N, &c->e);
	if (!c->m)
		fail_msg("%s", c->e.what);
	c->out = fe_mem_alloc(c->m, MEM_DATA, CONF_SCRATCH, 4096, &c->out_gpa);
	c->in = fe_mem_alloc(c->m, MEM_DATA, CONF_SCRATCH, 4096, &c->in_gpa);
	assert_true(c->out && c->in);
}

static void make_queues(struct conf *c)
{
	uint64_t offered;

	c->features = c->v->ring | VIRTIO_BIT(VIRTIO_F_VERSION_1) | TEST_MODEL_FEATURES;
	conf_ok(c, c->t->ops->features(c->t, &offered, &c->e));
	assert_int_equal(c->features & ~offered, 0);
	conf_ok(c, c->t->ops->set_features(c->t, c->features, &c->e));
	conf_ok(c, c->t->ops->set_mem(c->t, c->m, &c->e));
	for (c->nq = 0; c->nq < CONF_QUEUES; c->nq++) {
		struct fe_queue_args a = {
			.index = c->nq,
			.size = c->v->size,
			.features = c->features,
			.indirect_max = CONF_INDIRECT,
			.region = MEM_LOW,
			.base = c->v->base,
		};

		conf_ok(c, fe_queue_init(&c->q[c->nq], c->m, &a, &c->e));
		if (!c->k->no_queues)
			conf_start(c, c->nq);
	}
}

static void make_blk(struct conf *c)
{
	struct fe_blk_opts o = {
		.queues = 2,
		.queue_size = c->v->size,
		.features = c->v->ring | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |
			    VIRTIO_BIT(VIRTIO_BLK_F_RO) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |
			    VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) | VIRTIO_BIT(VIRTIO_BLK_F_MQ) |
			    VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) | VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |
			    VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE),
		.indirect = conf_indirect(c),
		.region = MEM_LOW,
		.base = c->v->base,
	};

	c->blk = fe_blk_open(c->t, c->m, &o, &c->e);
	if (!c->blk)
		fail_msg("%s", c->e.what);
	c->features = fe_blk_info(c->blk)->features;
}

static int setup(void **state)
{
	struct conf *c = *state;
	struct conf_dev_args a = {
		.queues = CONF_QUEUES,
		.workers = 2,
		.max_size = VIRTQ_MAX_SIZE,
		.packed = true,
		.mode = c->k->mode,
		.cpu = -1,
		.no_uring = c->k->no_uring,
		.storage = c->k->storage,
		.filter = c->k->filter,
		.read_only = c->k->read_only,
		.writethrough = c->k->writethrough,
		.serial = "SERIAL-0123456789ABCDEF",
	};

	c->seed = c->v->size;
	if (c->k->storage)
		a.serial = "SERIAL-0123456789AB"; /* 19 of at most 20 bytes */
	conf_ok(c, conf_dev_start(&c->d, &a, &c->e));
	make_memory(c);
	c->t = c->target->connect(&c->d, &c->e);
	if (!c->t)
		fail_msg("%s", c->e.what);
	if (c->k->storage)
		make_blk(c);
	else
		make_queues(c);
	return 0;
}

static int teardown(void **state)
{
	struct conf *c = *state;
	bool ok;

	fe_blk_close(c->blk);
	c->blk = NULL;
	if (c->t)
		c->t->ops->close(c->t);
	c->t = NULL;
	for (unsigned int i = 0; i < CONF_QUEUES; i++)
		fe_queue_fini(&c->q[i]);
	ok = !c->d.loop || conf_dev_stop(&c->d);
	fe_mem_free(c->m);
	c->m = NULL;
	return ok ? 0 : -1;
}

/* ---- helpers ---- */

void conf_start(struct conf *c, unsigned int qi)
{
	conf_ok(c, fe_queue_start(&c->q[qi], c->t, NULL, &c->e));
}

void conf_restart_fresh(struct conf *c, unsigned int qi)
{
	struct vq_base b;

	conf_ok(c, fe_queue_stop(&c->q[qi], c->t, &b, &c->e));
	drv_ring_reset(c->q[qi].ring, VQ_BASE_INIT);
	conf_start(c, qi);
}

void conf_add(struct conf *c, unsigned int qi, const struct drv_seg *s, unsigned int n,
	      void *cookie)
{
	bool table = conf_indirect(c) && n > 1 && (n > c->v->size || (conf_rnd(c) & 1));

	assert_int_equal(drv_add(c->q[qi].ring, s, n, table, cookie), 0);
}

struct drv_used conf_get(struct conf *c, unsigned int qi)
{
	struct fe_queue *q = &c->q[qi];
	struct drv_used u = { 0 };

	if (drv_get(q->ring, &u, 1) == 0) {
		if (!fe_queue_wait(q, 1, CONF_WAIT_MS))
			fail_msg("queue %u: no answer%s", qi, q->refused ? ": broken" : "");
		if (drv_get(q->ring, &u, 1) != 1)
			fail_msg("queue %u: %s", qi, q->ring->broken ? q->ring->broken : "lost");
	}
	assert_int_equal(q->ring->bad_len, 0);
	return u;
}

unsigned int conf_cut(struct conf *c, struct drv_seg *s, unsigned int max, uint64_t gpa,
		      uint32_t len, bool writable)
{
	unsigned int n = 0;

	while (len) {
		uint32_t part = n + 1 == max || len == 1 ? len : 1 + conf_rnd(c) % (len - 1);

		s[n++] = (struct drv_seg){ gpa, part, writable };
		gpa += part;
		len -= part;
	}
	return n;
}

void conf_echo(struct conf *c, unsigned int qi, uint32_t nout, uint32_t nin)
{
	unsigned int max = conf_max_segs(c), n;
	struct drv_seg s[CONF_INDIRECT];
	uint32_t both = MIN(nout, nin);
	struct drv_used u;

	if (max == 1 && nin && nout) /* one descriptor carries one direction */
		nin = both = 0;
	for (uint32_t i = 0; i < nout; i++)
		c->out[i] = (uint8_t)conf_rnd(c);
	c->out[0] &= 0x7f; /* not a request to be held */
	memset(c->in, 0x11, nin + 1);
	n = conf_cut(c, s, nin ? max - 1 : max, c->out_gpa, nout, false);
	n += conf_cut(c, s + n, max - n, c->in_gpa, nin, true);
	conf_add(c, qi, s, n, c);
	fe_queue_publish(&c->q[qi]);
	u = conf_get(c, qi);
	assert_ptr_equal(u.cookie, c);
	assert_int_equal(u.len, both);
	for (uint32_t i = 0; i < both; i++)
		if ((c->in[i] ^ c->out[i]) != 0xff)
			fail_msg("byte %u of %u is wrong", i, both);
	for (uint32_t i = both; i <= nin; i++)
		assert_int_equal(c->in[i], 0x11);
}

void conf_echo_many(struct conf *c, unsigned int qi, unsigned int times)
{
	while (times--)
		conf_echo(c, qi, 1 + conf_rnd(c) % 1500, conf_rnd(c) % 1500);
}

#define HELD_LEN 600

void conf_held_begin(struct conf *c, unsigned int qi, uint8_t ticks)
{
	const struct drv_seg s[2] = {
		{ c->out_gpa + CONF_SCRATCH / 2, HELD_LEN, 0 },
		{ c->in_gpa + CONF_SCRATCH / 2, HELD_LEN, 1 },
	};
	uint8_t *p = c->out + CONF_SCRATCH / 2;

	memset(p, 0x3c, HELD_LEN);
	p[0] = TEST_MODEL_HOLD;
	p[1] = ticks;
	memset(c->in + CONF_SCRATCH / 2, 0, HELD_LEN);
	conf_add(c, qi, s, 2, p);
	fe_queue_publish(&c->q[qi]);
}

void conf_held_check(struct conf *c)
{
	const uint8_t *p = c->in + CONF_SCRATCH / 2;

	assert_int_equal(p[0], (uint8_t)~TEST_MODEL_HOLD);
	for (unsigned int i = 2; i < HELD_LEN; i++)
		assert_int_equal(p[i], (uint8_t)~0x3c);
}

void conf_expect_broken(struct conf *c, unsigned int qi)
{
	uint64_t from = clock_ns();

	if (!fe_queue_err(&c->q[qi], CONF_SOON_MS))
		fail_msg("the ring was not found broken within %d ms", CONF_SOON_MS);
	assert_true(clock_ns() - from < UINT64_C(1000000) * (CONF_SOON_MS + 200));
}

/* ---- running ---- */

static void run_case(void **state)
{
	struct conf *c = *state;

	/* cmocka has put its own SIGBUS handler over the one of the device's making. */
	assert_int_equal(gmem_guard_install(), 0);
	c->k->fn(c);
}

static bool fits(const struct conf_variant *v, const struct conf_case *k)
{
	/* A block request takes three descriptors, or a table. */
	if (k->storage && v->size < 3 && !(v->ring & IND))
		return false;
	return v->full || k->any;
}

static unsigned int collect(const struct conf_target *target, const struct conf_case *list,
			    struct CMUnitTest *t, unsigned int at)
{
	for (const struct conf_case *k = list; k->name; k++) {
		for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
			struct conf *c;
			char *name;

			if (!fits(&variants[i], k))
				continue;
			if (t) {
				c = calloc(1, sizeof(*c));
				if (!c || asprintf(&name, "%s: %s: %s", target->name,
						   variants[i].name, k->name) < 0)
					abort();
				c->target = target;
				c->v = &variants[i];
				c->k = k;
				t[at] = (struct CMUnitTest){ name, run_case, setup, teardown, c };
			}
			at++;
		}
	}
	return at;
}

int conf_main(const struct conf_target *target, int argc, char **argv)
{
	const struct conf_case *const lists[] = { conf_ring_cases, conf_life_cases, conf_bad_cases,
						  conf_blk_cases };
	struct CMUnitTest *t;
	unsigned int n = 0, at = 0;
	int ret;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		n = collect(target, lists[i], NULL, n);
	t = calloc(n, sizeof(*t));
	if (!t)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		at = collect(target, lists[i], t, at);
	ret = _cmocka_run_group_tests(target->name, t, n, NULL, NULL);
	for (unsigned int i = 0; i < n; i++) {
		free(t[i].initial_state);
		free((void *)(uintptr_t)t[i].name);
	}
	free(t);
	return ret;
}
