/* SPDX-License-Identifier: MIT */
#include "bench/lane.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With verify each block has a word in memory. */
#define VERIFY_BLOCKS_MAX (UINT64_C(1) << 28)

static int verify_init(struct lane *l, const struct bench_opts *o, struct err *e)
{
	/* No block is in two requests at a time, and one that is not has to be found quickly. */
	if (l->nblocks < 2 * (uint64_t)o->qd) {
		err_set(e, -EINVAL, "range-too-small",
			"%u requests in flight need at least %" PRIu64 " blocks to be verified, "
			"there are %" PRIu64 " for each queue",
			o->qd, 2 * (uint64_t)o->qd, l->nblocks);
		return err_hint(e, "Use a larger part of the target, or a smaller --qd or --bs");
	}
	if (l->nblocks > VERIFY_BLOCKS_MAX) {
		err_set(e, -EINVAL, "range-too-large",
			"%" PRIu64 " blocks are too many to be remembered", l->nblocks);
		return err_hint(e, "Use a part of the target: --size 64G");
	}
	l->gen = calloc(l->nblocks, sizeof(*l->gen));
	if (!l->gen)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot remember what is written");
	return 0;
}

int lane_init(struct lane *l, const struct bench_opts *o, unsigned int index,
	      const _Atomic int *phase, uint64_t capacity, uint64_t run_id, struct err *e)
{
	uint64_t size = o->size ? o->size : capacity - o->offset;
	uint64_t blocks = size / o->bs, share = blocks / o->queues;

	memset(l, 0, sizeof(*l));
	hist_reset(&l->hist);
	l->phase = phase;
	l->seen = PHASE_WARMUP;
	l->running = true;
	l->index = index;
	l->bs = o->bs;
	l->random = o->rw == BENCH_RANDREAD || o->rw == BENCH_RANDWRITE || o->rw == BENCH_RANDRW;
	l->mixed = o->rw == BENCH_RANDRW;
	l->write_only = bench_writes(o->rw) && !l->mixed;
	l->rng = o->seed;
	l->rng = lane_random(&l->rng) + index * UINT64_C(0xd1342543de82ef95);
	l->run_id = run_id;
	l->first = o->offset;
	l->nblocks = blocks;
	/*
	 * Random requests go anywhere. In sequence each queue has a part of its
	 * own, and so it has when it must know who wrote a block last.
	 */
	if (!l->random || o->verify) {
		l->first += index * share * o->bs;
		l->nblocks = share;
	}
	return o->verify ? verify_init(l, o, e) : 0;
}

void lane_fini(struct lane *l)
{
	free(l->gen);
	l->gen = NULL;
}

static void measure_begin(struct lane *l)
{
	hist_reset(&l->hist);
	l->reads = l->writes = 0;
	if (l->counts)
		l->counts(l, &l->before);
	l->begin_ns = clock_ns();
}

static void measure_end(struct lane *l)
{
	l->running = false;
	if (!l->begin_ns || l->end_ns)
		return;
	l->end_ns = clock_ns();
	if (l->counts)
		l->counts(l, &l->after);
}

void lane_change(struct lane *l, int phase)
{
	if (l->failed)
		phase = MAX(phase, PHASE_STOP);
	if (phase == PHASE_MEASURE)
		measure_begin(l);
	else
		measure_end(l);
	if (phase >= PHASE_STOP)
		l->checking = false;
	l->seen = phase;
}

bool lane_check_begin(struct lane *l)
{
	if (!l->gen || l->checking || l->failed || l->seen != PHASE_CHECK)
		return false;
	l->checking = true;
	l->cursor = 0;
	return verify_pending(l);
}

void lane_fail(struct lane *l, int code, const char *id, const char *fmt, ...)
{
	char text[sizeof(l->fail.what)];
	va_list ap;

	measure_end(l);
	l->checking = false;
	if (l->failed)
		return;
	l->failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(&l->fail, code, id, "%s", text);
}

void lane_request_failed(struct lane *l, const struct lane_slot *s, int res)
{
	/* What was taken away when the other side went is not what went wrong. */
	if (res == -ECANCELED && l->seen == PHASE_ABORT)
		return;
	lane_fail(l, res, "disk-error", "a %s of %u bytes at offset %" PRIu64 " failed: %s",
		  s->write ? "write" : "read", l->bs, s->offset, strerror(-res));
}

void lane_noise(void *buf, uint64_t len, uint64_t seed)
{
	uint64_t *p = buf;

	for (uint64_t i = 0; i < len / sizeof(*p); i++)
		p[i] = lane_random(&seed);
}
