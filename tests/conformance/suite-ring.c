/* SPDX-License-Identifier: MIT */
/* Conformance: moving chains through legal rings. */
#include "suite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void lengths(struct conf *c)
{
	static const uint32_t len[] = { 0, 1, 2, 7, 511, 512, 513, 4096, 70000 };

	for (size_t i = 0; i < ARRAY_SIZE(len); i++)
		for (size_t k = 0; k < ARRAY_SIZE(len); k++)
			if (len[i] || len[k])
				conf_echo(c, (i + k) % CONF_QUEUES, len[i], len[k]);
}

static void wraps(struct conf *c)
{
	unsigned int n = 3 * MIN(c->v->size, 300u) + 20;

	conf_echo_many(c, 0, n);
	conf_echo_many(c, 1, 10);
}

/* Each chain has eight bytes of its own, there and back. */
#define PIECE 8

static void add_piece(struct conf *c, unsigned int qi, uint32_t i, uint32_t mark)
{
	uint32_t at = i * PIECE;
	const struct drv_seg s[2] = { { c->out_gpa + at, PIECE, 0 }, { c->in_gpa + at, PIECE, 1 } };
	uint32_t v[2] = { i & 0x7fffffff, mark };

	memcpy(c->out + at, v, PIECE);
	memset(c->in + at, 0, PIECE);
	conf_add(c, qi, s, 2, c->in + at);
}

static void check_piece(struct conf *c, const struct drv_used *u, uint32_t mark)
{
	uint32_t v[2], i = (uint32_t)((uint8_t *)u->cookie - c->in) / PIECE;

	assert_int_equal(u->len, PIECE);
	memcpy(v, u->cookie, PIECE);
	assert_int_equal(~v[0], i);
	assert_int_equal(~v[1], mark);
}

static uint32_t room(const struct conf *c)
{
	return conf_indirect(c) ? 1 : 2;
}

/* As many as go in, shown at once with one kick. */
static void full_ring(struct conf *c)
{
	for (uint32_t lap = 1; lap <= 3; lap++) {
		uint32_t n = 0;

		while (drv_free_desc(c->q[0].ring) >= 2 ||
		       (conf_indirect(c) && c->v->size == 1 && n == 0))
			add_piece(c, 0, n++, lap);
		assert_true(n >= c->v->size / room(c) / 2);
		fe_queue_publish(&c->q[0]);
		while (n--) {
			struct drv_used u = conf_get(c, 0);

			check_piece(c, &u, lap);
		}
	}
}

/* Random bursts over many laps, both sides sleeping whenever they may. */
static void bursts(struct conf *c)
{
	struct fe_queue *q = &c->q[0];
	uint32_t max = MIN(c->v->size / 2 + (c->v->size == 1), 1000u);
	bool *out = calloc(max, sizeof(*out));
	unsigned int added = 0, done = 0, goal = 12000;

	assert_non_null(out);
	while (done < goal) {
		unsigned int burst = conf_rnd(c) % 40;
		struct drv_used u[16];
		unsigned int n;

		while (burst-- && added < goal && !out[added % max] &&
		       (drv_free_desc(q->ring) >= 2 || c->v->size == 1)) {
			out[added % max] = true;
			add_piece(c, 0, added % max, 5);
			added++;
		}
		fe_queue_publish(q);
		if (drv_in_flight(q->ring) && (conf_rnd(c) & 1))
			assert_true(fe_queue_wait(q, 1 + conf_rnd(c) % 8, CONF_WAIT_MS));
		drv_call_off(q->ring);
		while ((n = drv_get(q->ring, u, ARRAY_SIZE(u)))) {
			for (unsigned int i = 0; i < n; i++) {
				check_piece(c, &u[i], 5);
				out[((uint8_t *)u[i].cookie - c->in) / PIECE] = false;
			}
			done += n;
		}
		assert_null(drv_broken(q->ring));
	}
	free(out);
}

static void long_chain(struct conf *c)
{
	unsigned int n = MIN(c->v->size, 1000u) & ~1u;
	struct drv_seg *s = calloc(n, sizeof(*s));
	struct drv_used u;

	assert_non_null(s);
	for (unsigned int i = 0; i < n; i++) {
		bool in = i >= n / 2;

		/* Not neighbours, so that they stay apart. */
		s[i] = (struct drv_seg){ (in ? c->in_gpa : c->out_gpa) + (i % (n / 2)) * 16, 8,
					 in };
	}
	for (unsigned int i = 0; i < n / 2; i++)
		memset(c->out + i * 16, (int)(i & 0x3f), 8);
	assert_int_equal(drv_add(c->q[0].ring, s, n, false, c), 0);
	fe_queue_publish(&c->q[0]);
	u = conf_get(c, 0);
	assert_int_equal(u.len, n / 2 * 8);
	for (unsigned int i = 0; i < n / 2; i++)
		assert_int_equal(c->in[i * 16], (uint8_t) ~(i & 0x3f));
	free(s);
}

/* LOW and NEXT are different mappings, but neighbours for the guest. */
static void buffer_over_two_regions(struct conf *c)
{
	uint8_t *low = fe_mem_host(c->m, MEM_NEXT_GPA - 300, 300);
	uint8_t *next = fe_mem_host(c->m, MEM_NEXT_GPA, 300);
	const struct drv_seg s[2] = { { MEM_NEXT_GPA - 300, 600, 0 }, { c->in_gpa, 600, 1 } };
	const struct drv_seg back[2] = { { c->in_gpa, 600, 0 }, { MEM_NEXT_GPA - 300, 600, 1 } };
	struct drv_used u;

	memset(low, 0x21, 300);
	memset(next, 0x43, 300);
	conf_add(c, 0, s, 2, c);
	fe_queue_publish(&c->q[0]);
	u = conf_get(c, 0);
	assert_int_equal(u.len, 600);
	assert_int_equal(c->in[299], (uint8_t)~0x21);
	assert_int_equal(c->in[300], (uint8_t)~0x43);
	memset(low, 0, 300);
	memset(next, 0, 300);
	memset(c->in, 0x55, 600);
	conf_add(c, 0, back, 2, c);
	fe_queue_publish(&c->q[0]);
	u = conf_get(c, 0);
	assert_int_equal(u.len, 600);
	for (unsigned int i = 0; i < 300; i++) {
		assert_int_equal(low[i], (uint8_t)~0x55);
		assert_int_equal(next[i], (uint8_t)~0x55);
	}
}

/* An entry of the table itself lies half here and half there. */
static void table_over_two_regions(struct conf *c)
{
	struct drv_ring *r = c->q[0].ring;
	uint64_t at = MEM_NEXT_GPA - 8;
	struct virtq_desc t[2] = {
		{ htole64(c->out_gpa), htole32(16), htole16(VIRTQ_DESC_F_NEXT), htole16(1) },
		{ htole64(c->in_gpa), htole32(16), htole16(VIRTQ_DESC_F_WRITE), 0 },
	};
	const struct drv_seg s[2] = { { c->out_gpa, 16, 0 }, { c->in_gpa, 16, 1 } };
	struct drv_used u;

	if (!conf_indirect(c))
		return;
	if (conf_packed(c)) {
		struct pvirtq_desc p[2] = {
			{ htole64(c->out_gpa), htole32(16), 0, 0 },
			{ htole64(c->in_gpa), htole32(16), 0, htole16(VIRTQ_DESC_F_WRITE) },
		};

		memcpy(t, p, sizeof(t));
	}
	memcpy(fe_mem_host(c->m, at, 8), t, 8);
	memcpy(fe_mem_host(c->m, MEM_NEXT_GPA, 24), (uint8_t *)t + 8, 24);
	memset(c->out, 0x2d, 16);
	assert_int_equal(drv_add(r, s, 2, true, c), 0);
	/* The descriptor points elsewhere before the device sees it. */
	if (conf_packed(c))
		r->pdesc[r->pend_slot].addr = htole64(at);
	else
		r->desc[le16toh(r->avail->ring[(uint16_t)(r->avail_idx - 1) & (r->size - 1)])]
			.addr = htole64(at);
	fe_queue_publish(&c->q[0]);
	u = conf_get(c, 0);
	assert_int_equal(u.len, 16);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(c->in[i], (uint8_t)~0x2d);
}

static void above_4g(struct conf *c)
{
	const struct drv_seg s[2] = { { MEM_HIGH_GPA, 64, 0 },
				      { MEM_HIGH_GPA + MEM_HIGH_SIZE - 64, 64, 1 } };
	uint8_t *out = fe_mem_host(c->m, MEM_HIGH_GPA, 64);
	uint8_t *in = fe_mem_host(c->m, MEM_HIGH_GPA + MEM_HIGH_SIZE - 64, 64);
	struct drv_used u;

	memset(out, 0x71, 64);
	conf_add(c, 2, s, 2, c);
	fe_queue_publish(&c->q[2]);
	u = conf_get(c, 2);
	assert_int_equal(u.len, 64);
	assert_int_equal(in[0], (uint8_t)~0x71);
	assert_int_equal(in[63], (uint8_t)~0x71);
}

/* A driver that polls is left alone. */
static void no_calls_when_off(struct conf *c)
{
	struct fe_queue *q = &c->q[0];
	uint64_t v;

	conf_echo_many(c, 0, 3);
	usleep(20000); /* what is late comes now */
	while (read(q->call_fd, &v, sizeof(v)) == sizeof(v))
		;
	for (unsigned int i = 0; i < 100; i++) {
		struct drv_used u;
		unsigned int spins = 0;

		drv_call_off(q->ring);
		add_piece(c, 0, i, 9);
		fe_queue_publish(q);
		while (drv_get(q->ring, &u, 1) == 0 && spins++ < 1000000)
			usleep(10);
		check_piece(c, &u, 9);
	}
	usleep(20000);
	assert_int_equal(read(q->call_fd, &v, sizeof(v)), -1);
}

/* A burst that is shown at once is answered with few interrupts. */
static void one_call_for_a_burst(struct conf *c)
{
	struct vq_stats a, b;
	uint32_t n = MIN(c->v->size / 2, 64u);

	conf_echo(c, 0, 8, 8);
	a = conf_queue_stats(&c->d, 0);
	for (unsigned int k = 0; k < 10; k++) {
		for (uint32_t i = 0; i < n; i++)
			add_piece(c, 0, i, k);
		fe_queue_publish(&c->q[0]);
		for (uint32_t i = 0; i < n; i++) {
			struct drv_used u = conf_get(c, 0);

			check_piece(c, &u, k);
		}
	}
	b = conf_queue_stats(&c->d, 0);
	assert_int_equal(b.requests - a.requests, 10 * n);
	assert_int_equal(b.popped - a.popped, 10 * n);
	/* The worker may come upon a burst in the middle of it; ten times it does not. */
	assert_true(b.notified - a.notified <= 10 * (n / 8 + 2));
	assert_true(b.bursts - a.bursts <= 10 * (n / 8 + 2));
}

static void queues_apart(struct conf *c)
{
	for (unsigned int i = 0; i < 60; i++) {
		for (uint32_t qi = 0; qi < c->nq; qi++)
			add_piece(c, qi, qi, i);
		for (uint32_t qi = c->nq; qi--;)
			fe_queue_publish(&c->q[qi]);
		for (uint32_t qi = 0; qi < c->nq; qi++) {
			struct drv_used u = conf_get(c, qi);

			check_piece(c, &u, i);
			assert_ptr_equal(u.cookie, c->in + qi * PIECE);
		}
	}
}

/* A driver that gives no kick descriptor is polled. */
static void no_kicks(struct conf *c)
{
	struct fe_queue *q = &c->q[0];
	const struct fe_queue_cfg cfg = {
		.ring = q->ring,
		.base = drv_ring_base(q->ring),
		.kick_fd = -1,
		.call_fd = q->call_fd,
		.err_fd = q->err_fd,
	};

	conf_ok(c, c->t->ops->queue_start(c->t, &cfg, &c->e));
	for (unsigned int i = 0; i < 50; i++) {
		struct drv_used u;

		add_piece(c, 0, i, 3);
		drv_publish(q->ring);
		u = conf_get(c, 0);
		check_piece(c, &u, 3);
	}
}

/* A slow request does not hold up the ones behind it, nor its own answer. */
static void out_of_order(struct conf *c)
{
	struct drv_used u;

	conf_held_begin(c, 0, 10);
	for (unsigned int i = 0; i < 20; i++) {
		add_piece(c, 0, i, 1);
		fe_queue_publish(&c->q[0]);
		u = conf_get(c, 0);
		check_piece(c, &u, 1);
	}
	u = conf_get(c, 0);
	assert_int_equal(u.len, 600);
	conf_held_check(c);
}

const struct conf_case conf_ring_cases[] = {
	{ .name = "requests_of_every_length", .fn = lengths, .any = true },
	{ .name = "index_wraps", .fn = wraps, .any = true },
	{ .name = "full_ring_comes_back", .fn = full_ring, .any = true },
	{ .name = "bursts_over_many_laps", .fn = bursts, .any = true },
	{ .name = "chain_as_long_as_the_ring", .fn = long_chain },
	{ .name = "buffer_lies_over_two_regions", .fn = buffer_over_two_regions },
	{ .name = "indirect_table_lies_over_two_regions", .fn = table_over_two_regions },
	{ .name = "memory_above_4_gib", .fn = above_4g },
	{ .name = "no_interrupts_when_switched_off", .fn = no_calls_when_off },
	{ .name = "burst_costs_few_interrupts", .fn = one_call_for_a_burst },
	{ .name = "queue_without_kicks_is_polled", .fn = no_kicks, .no_queues = true },
	{ .name = "bursts_with_a_busy_worker", .fn = bursts, .mode = WORKER_BUSY },
	{ .name = "bursts_with_an_adaptive_worker", .fn = bursts, .mode = WORKER_ADAPTIVE },
	{ .name = "bursts_without_io_uring", .fn = bursts, .no_uring = true },
	{ .name = "queues_do_not_disturb_each_other", .fn = queues_apart, .any = true },
	{ .name = "slow_request_does_not_hold_up_others", .fn = out_of_order },
	{ 0 },
};
