/* SPDX-License-Identifier: MIT */
/* Driver rings against a naive device: every test runs over the table of flavours and sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/naive-dev.h"
#include "frontend/drv-raw.h"
#include "frontend/drv-ring.h"
#include "util/compiler.h"

#define GPA      UINT64_C(0x100000)
#define IND_MAX  8
#define F_SPLIT  VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)
#define F_EVENT  VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define F_PACKED VIRTIO_BIT(VIRTIO_F_RING_PACKED)

struct flavour {
	const char *name;
	uint64_t features;
	uint32_t size;
	struct vq_base base;
};

#define FRESH                                         \
	{                                             \
		.avail_wrap = true, .used_wrap = true \
	}
static const struct flavour flavours[] = {
	{ "split 1", F_SPLIT, 1, FRESH },
	{ "split 2", F_SPLIT, 2, FRESH },
	{ "split 8", F_SPLIT, 8, FRESH },
	{ "split 256", F_SPLIT, 256, FRESH },
	{ "split 32768", F_SPLIT, 32768, FRESH },
	{ "split 16 from 65530", F_SPLIT, 16, { .avail_idx = 65530 } },
	{ "split 4 event", F_SPLIT | F_EVENT, 4, FRESH },
	{ "split 256 event", F_SPLIT | F_EVENT, 256, FRESH },
	{ "split 16 event from 65535", F_SPLIT | F_EVENT, 16, { .avail_idx = 65535 } },
	{ "split 32768 event from 40000", F_SPLIT | F_EVENT, 32768, { .avail_idx = 40000 } },
	{ "packed 1", F_SPLIT | F_PACKED, 1, FRESH },
	{ "packed 2", F_SPLIT | F_PACKED, 2, FRESH },
	{ "packed 3", F_SPLIT | F_PACKED, 3, FRESH },
	{ "packed 256", F_SPLIT | F_PACKED, 256, FRESH },
	{ "packed 32768", F_SPLIT | F_PACKED, 32768, FRESH },
	{ "packed 5 from slot 3, second lap", F_SPLIT | F_PACKED, 5, { .avail_idx = 3 } },
	{ "packed 3 event", F_SPLIT | F_EVENT | F_PACKED, 3, FRESH },
	{ "packed 100 event", F_SPLIT | F_EVENT | F_PACKED, 100, FRESH },
	{ "packed 7 event from slot 6",
	  F_SPLIT | F_EVENT | F_PACKED,
	  7,
	  { .avail_idx = 6, .avail_wrap = true } },
	{ "packed 32768 event", F_SPLIT | F_EVENT | F_PACKED, 32768, FRESH },
};

struct fix {
	const struct flavour *fl;
	struct drv_ring *r;
	struct naive_dev d;
	struct drv_layout l;
	uint8_t *mem;
	struct naive_chain c;
	const char *why;
};

/* The ring's own block is mapped (indirect tables), and 1 GiB of buffers nobody looks into. */
static void *xlate(void *ctx, uint64_t addr, uint64_t len)
{
	struct fix *f = ctx;

	if (addr >= GPA && addr - GPA < f->l.bytes && len <= f->l.bytes - (addr - GPA))
		return f->mem + (addr - GPA);
	return addr >> 30 == 1 ? f->mem : NULL;
}

static void dev_init(struct fix *f)
{
	f->d = (struct naive_dev){
		.desc = f->mem + f->l.desc,
		.driver = f->mem + f->l.driver,
		.device = f->mem + f->l.device,
		.size = f->fl->size,
		.packed = f->fl->features & F_PACKED,
		.event_idx = f->fl->features & F_EVENT,
		.avail = f->fl->base.avail_idx,
		.used = f->fl->base.avail_idx,
		.told = f->fl->base.avail_idx,
		.avail_wrap = f->fl->base.avail_wrap,
		.used_wrap = f->fl->base.avail_wrap,
		.told_wrap = f->fl->base.avail_wrap,
		.translate = xlate,
		.ctx = f,
	};
}

static void fix_init(struct fix *f, const struct flavour *fl)
{
	struct drv_ring_cfg cfg = {
		.size = fl->size,
		.features = fl->features,
		.indirect_max = IND_MAX,
		.addr = GPA,
		.base = fl->base,
	};

	memset(f, 0, sizeof(*f));
	f->fl = fl;
	assert_int_equal(drv_layout(fl->size, fl->features, IND_MAX, &f->l), 0);
	f->mem = aligned_alloc(64, f->l.bytes);
	assert_non_null(f->mem);
	memset(f->mem, 0xa5, f->l.bytes);
	cfg.mem = f->mem;
	f->r = drv_ring_new(&cfg, NULL);
	assert_non_null(f->r);
	dev_init(f);
}

static void fix_fini(struct fix *f)
{
	drv_ring_free(f->r);
	free(f->mem);
}

static void each(void (*fn)(struct fix *f))
{
	for (size_t i = 0; i < ARRAY_SIZE(flavours); i++) {
		struct fix *f = malloc(sizeof(*f));

		assert_non_null(f);
		fix_init(f, &flavours[i]);
		fn(f);
		fix_fini(f);
		free(f);
	}
}

static uint32_t rnd(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static unsigned int random_segs(struct drv_seg *s, unsigned int max, uint32_t *seed)
{
	unsigned int n = 1 + rnd(seed) % max, split = rnd(seed) % (n + 1);

	for (unsigned int i = 0; i < n; i++)
		s[i] = (struct drv_seg){ (UINT64_C(1) << 30) + rnd(seed), 1 + rnd(seed) % 4096,
					 i >= split };
	return n;
}

static void same(const struct naive_chain *c, const struct drv_seg *s, unsigned int n)
{
	assert_int_equal(c->n, n);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(c->seg[i].addr, s[i].addr);
		assert_int_equal(c->seg[i].len, s[i].len);
		assert_int_equal(c->seg[i].writable, s[i].writable);
	}
}

/* One of each, forth and back. */
static void do_round_trip(struct fix *f)
{
	struct drv_used u;
	uint32_t seed = 7;

	for (unsigned int i = 0; i < 3 * MIN(f->fl->size, 400u) + 5; i++) {
		struct drv_seg s[IND_MAX];
		unsigned int n = random_segs(s, MIN(f->fl->size, (uint32_t)IND_MAX), &seed);
		bool ind = rnd(&seed) & 1;
		uint32_t room = 0;

		for (unsigned int k = 0; k < n; k++)
			room += s[k].writable ? s[k].len : 0;
		assert_int_equal(drv_add(f->r, s, n, ind, &s[i % IND_MAX]), 0);
		assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 0);
		drv_publish(f->r);
		assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 1);
		same(&f->c, s, n);
		assert_int_equal(f->c.ndesc, f->fl->features & F_PACKED && !ind ? n : 1);
		assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 0);
		assert_int_equal(drv_get(f->r, &u, 1), 0);
		naive_push(&f->d, &f->c, room);
		assert_int_equal(drv_get(f->r, &u, 1), 1);
		assert_ptr_equal(u.cookie, &s[i % IND_MAX]);
		assert_int_equal(u.len, room);
		assert_int_equal(drv_free_desc(f->r), f->fl->size);
		assert_int_equal(drv_get(f->r, &u, 1), 0);
	}
	assert_null(drv_broken(f->r));
}

static void chain_comes_out_as_it_went_in(void **state)
{
	(void)state;
	each(do_round_trip);
}

static void do_fill(struct fix *f)
{
	struct drv_seg s = { UINT64_C(1) << 30, 512, true };
	struct drv_used *u = calloc(f->fl->size, sizeof(*u));
	uintptr_t n = 0;

	assert_non_null(u);
	for (unsigned int lap = 0; lap < 3; lap++) {
		for (n = 0; n < f->fl->size; n++)
			assert_int_equal(drv_add(f->r, &s, 1, n & 1, (void *)(n + 1)), 0);
		assert_int_equal(drv_add(f->r, &s, 1, false, (void *)1), -ENOSPC);
		assert_int_equal(drv_add(f->r, &s, 1, true, (void *)1), -ENOSPC);
		drv_publish(f->r);
		for (n = 0; n < f->fl->size; n++) {
			assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 1);
			naive_push(&f->d, &f->c, (uint32_t)n % 512);
		}
		assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 0);
		assert_int_equal(drv_get(f->r, u, f->fl->size), f->fl->size);
		for (n = 0; n < f->fl->size; n++) {
			assert_int_equal((uintptr_t)u[n].cookie, n + 1);
			assert_int_equal(u[n].len, n % 512);
		}
		assert_int_equal(drv_in_flight(f->r), 0);
	}
	free(u);
}

static void full_ring_refuses_and_loses_nothing(void **state)
{
	(void)state;
	each(do_fill);
}

/* What the torture below keeps of each chain that is under way. */
struct flight {
	struct drv_seg s[IND_MAX];
	unsigned int n;
	uint32_t room, wrote;
	bool at_device, out;
};

struct torture {
	struct fix *f;
	struct flight *fl; /* by cookie */
	struct naive_chain *held;
	unsigned int *held_of;
	unsigned int max, nheld, added, popped, done;
	uint32_t seed;
};

static void t_add(struct torture *t)
{
	struct fix *f = t->f;

	for (unsigned int burst = rnd(&t->seed) % 20; burst; burst--) {
		struct flight *fl = &t->fl[t->added % t->max];
		bool ind = rnd(&t->seed) & 1;

		if (fl->out)
			break;
		fl->n = random_segs(fl->s, MIN(f->fl->size, (uint32_t)IND_MAX), &t->seed);
		fl->room = 0;
		for (unsigned int i = 0; i < fl->n; i++)
			fl->room += fl->s[i].writable ? fl->s[i].len : 0;
		if ((ind ? 1 : fl->n) > drv_free_desc(f->r)) {
			assert_int_equal(drv_add(f->r, fl->s, fl->n, ind, fl), -ENOSPC);
			break;
		}
		assert_int_equal(drv_add(f->r, fl->s, fl->n, ind, fl), 0);
		fl->out = true;
		t->added++;
	}
	drv_publish(f->r);
}

static void t_device(struct torture *t)
{
	struct fix *f = t->f;

	while (rnd(&t->seed) % 8) {
		struct naive_chain *c = &t->held[t->nheld];
		struct flight *fl = &t->fl[t->popped % t->max];

		if (t->popped == t->added || t->nheld == t->max)
			break;
		assert_int_equal(naive_pop(&f->d, c, &f->why), 1);
		same(c, fl->s, fl->n);
		t->held_of[t->nheld++] = t->popped % t->max;
		t->popped++;
	}
	while (t->nheld && rnd(&t->seed) % 8) {
		unsigned int k = rnd(&t->seed) % t->nheld;
		struct flight *fl = &t->fl[t->held_of[k]];

		fl->wrote = fl->room ? rnd(&t->seed) % (fl->room + 1) : 0;
		fl->at_device = true;
		naive_push(&f->d, &t->held[k], fl->wrote);
		t->held[k] = t->held[--t->nheld];
		t->held_of[k] = t->held_of[t->nheld];
	}
}

static void t_get(struct torture *t)
{
	struct drv_used u[16];
	unsigned int n = drv_get(t->f->r, u, 1 + rnd(&t->seed) % 16);

	for (unsigned int i = 0; i < n; i++) {
		struct flight *fl = u[i].cookie;

		assert_true(fl->out && fl->at_device);
		assert_int_equal(u[i].len, fl->wrote);
		fl->out = fl->at_device = false;
		t->done++;
	}
}

static void do_torture(struct fix *f)
{
	struct torture t = { .f = f, .max = MIN(f->fl->size, 64u), .seed = f->fl->size };
	unsigned int goal = f->fl->size <= 1024 ? 70000 : 40000;

	t.fl = calloc(t.max, sizeof(*t.fl));
	t.held = calloc(t.max, sizeof(*t.held));
	t.held_of = calloc(t.max, sizeof(*t.held_of));
	assert_true(t.fl && t.held && t.held_of);
	while (t.done < goal) {
		t_add(&t);
		t_device(&t);
		t_get(&t);
		assert_null(drv_broken(f->r));
	}
	assert_int_equal(f->r->bad_len, 0);
	free(t.fl);
	free(t.held);
	free(t.held_of);
}

static void out_of_order_over_many_laps(void **state)
{
	(void)state;
	each(do_torture);
}

static void do_kick(struct fix *f)
{
	struct drv_seg s = { UINT64_C(1) << 30, 512, true };
	struct drv_used u;

	assert_false(drv_publish(f->r)); /* nothing to say */
	for (unsigned int i = 0; i < 2 * MIN(f->fl->size, 300u) + 3; i++) {
		bool sleeps = i % 3 != 1;

		assert_false(naive_want_kick(&f->d, sleeps));
		assert_int_equal(drv_add(f->r, &s, 1, false, f), 0);
		assert_int_equal(drv_publish(f->r), sleeps);
		assert_true(naive_want_kick(&f->d, sleeps));
		assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 1);
		naive_push(&f->d, &f->c, 1);
		assert_int_equal(drv_get(f->r, &u, 1), 1);
	}
}

static void kick_only_when_the_device_asked(void **state)
{
	(void)state;
	each(do_kick);
}

/* With EVENT_IDX a batch that starts past the event needs no kick, one that crosses it does. */
static void do_kick_batch(struct fix *f)
{
	struct drv_seg s = { UINT64_C(1) << 30, 512, true };

	if (f->fl->size < 4 || !(f->fl->features & F_EVENT))
		return;
	naive_want_kick(&f->d, true);
	assert_int_equal(drv_add(f->r, &s, 1, false, f), 0);
	assert_int_equal(drv_add(f->r, &s, 1, false, f), 0);
	assert_true(drv_publish(f->r));
	assert_int_equal(drv_add(f->r, &s, 1, false, f), 0);
	assert_false(drv_publish(f->r));
}

static void second_batch_needs_no_kick(void **state)
{
	(void)state;
	each(do_kick_batch);
}

static void push_n(struct fix *f, unsigned int n)
{
	while (n--) {
		assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 1);
		naive_push(&f->d, &f->c, 1);
	}
}

static void do_call(struct fix *f)
{
	struct drv_seg s = { UINT64_C(1) << 30, 512, true };
	bool event = f->fl->features & F_EVENT;
	struct drv_used u[8];

	for (unsigned int i = 0; i < 2 * MIN(f->fl->size, 300u) + 3; i++) {
		unsigned int n = MIN(f->fl->size, 4u);

		for (unsigned int k = 0; k < n; k++)
			assert_int_equal(drv_add(f->r, &s, 1, false, f), 0);
		drv_publish(f->r);
		drv_call_off(f->r);
		push_n(f, 1);
		assert_false(naive_must_call(&f->d));
		assert_true(drv_call_on(f->r, 1)); /* it is there already */
		assert_int_equal(drv_get(f->r, u, 8), 1);
		if (n > 1) {
			/* All that are left: the event comes with the last one. */
			assert_false(drv_call_on(f->r, n));
			for (unsigned int k = 1; k < n; k++) {
				push_n(f, 1);
				assert_int_equal(naive_must_call(&f->d), !event || k == n - 1);
			}
			assert_true(drv_call_on(f->r, n - 1));
			assert_int_equal(drv_get(f->r, u, 8), n - 1);
		}
		assert_false(drv_call_on(f->r, 1));
	}
}

static void call_comes_when_asked_for(void **state)
{
	(void)state;
	each(do_call);
}

static void do_illegal(struct fix *f)
{
	struct drv_seg s[IND_MAX + 1] = { { 0x1000, 16, 1 }, { 0x2000, 16, 0 } };

	assert_int_equal(drv_add(f->r, s, 0, false, f), -EINVAL);
	assert_int_equal(drv_add(f->r, s, 1, false, NULL), -EINVAL);
	if (f->fl->size >= 2)
		assert_int_equal(drv_add(f->r, s, 2, false, f), -EINVAL);
	assert_int_equal(drv_add(f->r, s, IND_MAX + 1, true, f), -EINVAL);
	assert_int_equal(drv_add(f->r, s, f->fl->size + 1, false, f), -EINVAL);
	assert_int_equal(drv_free_desc(f->r), f->fl->size);
	drv_publish(f->r);
	assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 0);
}

static void illegal_chains_are_refused(void **state)
{
	(void)state;
	each(do_illegal);
}

static void expect_broken(struct fix *f)
{
	struct drv_seg s = { UINT64_C(1) << 30, 512, true };
	struct drv_used u;

	assert_int_equal(drv_get(f->r, &u, 1), 0);
	assert_non_null(drv_broken(f->r));
	assert_int_equal(drv_add(f->r, &s, 1, false, f), -EIO);
	assert_false(drv_publish(f->r));
	drv_ring_reset(f->r, f->fl->base);
	dev_init(f);
	assert_null(drv_broken(f->r));
}

static void in_flight_1(struct fix *f)
{
	struct drv_seg s = { UINT64_C(1) << 30, 512, true };

	assert_int_equal(drv_add(f->r, &s, 1, false, f), 0);
	drv_publish(f->r);
	assert_int_equal(naive_pop(&f->d, &f->c, &f->why), 1);
}

static void do_hostile(struct fix *f)
{
	struct naive_chain real;
	struct drv_used u;

	in_flight_1(f);
	f->c.id = f->fl->size; /* past the end */
	naive_push(&f->d, &f->c, 1);
	expect_broken(f);

	if (f->fl->size > 1) {
		in_flight_1(f);
		f->c.id ^= 1; /* not in flight */
		naive_push(&f->d, &f->c, 1);
		expect_broken(f);
	}
	if (!(f->fl->features & F_PACKED)) {
		in_flight_1(f);
		naive_push(&f->d, &f->c, 1);
		naive_push(&f->d, &f->c, 1); /* twice */
		expect_broken(f);
	}
	in_flight_1(f);
	real = f->c;
	naive_push(&f->d, &real, 513); /* more than there was room for */
	assert_int_equal(drv_get(f->r, &u, 1), 1);
	assert_int_equal(u.len, 512);
	assert_int_equal(f->r->bad_len, 1);
}

static void impossible_used_entries_break_the_ring(void **state)
{
	(void)state;
	each(do_hostile);
}

static void do_lost(struct fix *f)
{
	struct drv_seg s = { UINT64_C(1) << 30, 512, true };
	unsigned int n = MIN(f->fl->size, 3u), lost = 0;
	uintptr_t sum = 0;
	void *c;

	for (uintptr_t i = 1; i <= n; i++)
		assert_int_equal(drv_add(f->r, &s, 1, false, (void *)i), 0);
	while ((c = drv_ring_take_lost(f->r))) {
		sum += (uintptr_t)c;
		lost++;
	}
	assert_int_equal(lost, n);
	assert_int_equal(sum, n * (n + 1) / 2);
	drv_ring_reset(f->r, f->fl->base);
	dev_init(f);
	do_round_trip(f);
}

static void lost_chains_are_found_and_reset_heals(void **state)
{
	(void)state;
	each(do_lost);
}

static void layout_parts_do_not_overlap(void **state)
{
	struct drv_layout l;

	(void)state;
	for (uint32_t size = 1; size <= 32768; size++) {
		bool pow2 = !(size & (size - 1));

		assert_int_equal(drv_layout(size, 0, 2, &l), pow2 ? 0 : -EINVAL);
		if (pow2) {
			assert_true(l.driver >= 16 * size);
			assert_true(l.device >= l.driver + 6 + 2 * size);
			assert_true(l.indirect >= l.device + 6 + 8 * size);
			assert_true(l.bytes >= l.indirect + 32 * size);
		}
		assert_int_equal(drv_layout(size, F_PACKED, 2, &l), 0);
		assert_true(l.driver >= 16 * size && l.device >= l.driver + 4);
		assert_true(l.indirect >= l.device + 4 && l.bytes >= l.indirect + 32 * size);
		assert_true((l.desc | l.driver | l.device | l.indirect | l.bytes) % 64 == 0);
	}
	assert_int_equal(drv_layout(0, 0, 0, &l), -EINVAL);
	assert_int_equal(drv_layout(0, F_PACKED, 0, &l), -EINVAL);
	assert_int_equal(drv_layout(65536, 0, 0, &l), -EINVAL);
	assert_int_equal(drv_layout(32769, F_PACKED, 0, &l), -EINVAL);
}

/* ---- two threads, both asleep whenever they may be: a lost wake-up hangs and is reported ---- */

struct duel {
	struct fix *f;
	int kick, call;
	unsigned int goal;
	bool hung;
};

static bool wait_bell(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t v;

	return poll(&p, 1, 20000) == 1 && read(fd, &v, 8) == 8;
}

static void ring_bell(int fd)
{
	uint64_t v = 1;

	if (write(fd, &v, 8) != 8)
		abort();
}

static void *duel_device(void *arg)
{
	struct duel *d = arg;
	struct naive_chain *c = calloc(1, sizeof(*c));
	const char *why;
	unsigned int n = 0;

	while (c && n < d->goal) {
		naive_want_kick(&d->f->d, false);
		while (naive_pop(&d->f->d, c, &why) == 1) {
			naive_push(&d->f->d, c, 1);
			n++;
		}
		if (naive_must_call(&d->f->d))
			ring_bell(d->call);
		if (n < d->goal && !naive_want_kick(&d->f->d, true) && !wait_bell(d->kick)) {
			d->hung = true;
			break;
		}
	}
	free(c);
	return NULL;
}

static void duel_drive(struct duel *d)
{
	struct drv_seg s = { UINT64_C(1) << 30, 512, true };
	unsigned int added = 0, done = 0;
	uint32_t seed = 1;
	struct drv_used u[32];

	while (done < d->goal) {
		unsigned int n, burst = 1 + rnd(&seed) % 16;

		while (added < d->goal && burst-- && !drv_add(d->f->r, &s, 1, burst & 1, d))
			added++;
		if (drv_publish(d->f->r))
			ring_bell(d->kick);
		drv_call_off(d->f->r);
		while ((n = drv_get(d->f->r, u, 32)))
			done += n;
		if (done < d->goal && drv_in_flight(d->f->r) &&
		    !drv_call_on(d->f->r, 1 + rnd(&seed) % 4))
			assert_true(wait_bell(d->call));
	}
}

static void do_duel(struct fix *f)
{
	struct duel d = { .f = f, .goal = 4000 };
	pthread_t t;

	if (f->fl->size > 256)
		return;
	d.kick = eventfd(0, EFD_CLOEXEC);
	d.call = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&t, NULL, duel_device, &d), 0);
	duel_drive(&d);
	pthread_join(t, NULL);
	assert_false(d.hung);
	close(d.kick);
	close(d.call);
}

static void no_wakeup_is_lost_between_two_threads(void **state)
{
	(void)state;
	each(do_duel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_comes_out_as_it_went_in),
		cmocka_unit_test(full_ring_refuses_and_loses_nothing),
		cmocka_unit_test(out_of_order_over_many_laps),
		cmocka_unit_test(kick_only_when_the_device_asked),
		cmocka_unit_test(second_batch_needs_no_kick),
		cmocka_unit_test(call_comes_when_asked_for),
		cmocka_unit_test(illegal_chains_are_refused),
		cmocka_unit_test(impossible_used_entries_break_the_ring),
		cmocka_unit_test(lost_chains_are_found_and_reset_heals),
		cmocka_unit_test(layout_parts_do_not_overlap),
		cmocka_unit_test(no_wakeup_is_lost_between_two_threads),
	};

	return cmocka_run_group_tests_name("driver rings", tests, NULL, NULL);
}
