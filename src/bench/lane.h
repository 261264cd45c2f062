/* SPDX-License-Identifier: MIT */
/*
 * A lane is one queue's share of the load: which request comes next, what is
 * in flight, what was measured. It belongs to one thread and does not know
 * where the requests go. No call here allocates, locks or makes a system call.
 */
#ifndef BENCH_LANE_H
#define BENCH_LANE_H

#include <stdatomic.h>

#include "bench/bench.h"
#include "util/compiler.h"
#include "util/loop.h"

/* What the thread that started the lanes wants of them. Only ever goes up. */
enum bench_phase {
	PHASE_WARMUP,
	PHASE_MEASURE,
	PHASE_CHECK, /* time is over: finish, read back what is to be verified, end */
	PHASE_STOP,  /* finish, end */
	PHASE_ABORT, /* the other side is gone: do not wait for it */
};

/**
 * struct lane_slot - a request
 * @buf:	its data, here
 * @offset:	in the target
 * @start_ns:	see lane_finish()
 * @block:	number in the lane's part of the target
 */
struct lane_slot {
	uint8_t *buf;
	uint64_t offset;
	uint64_t start_ns;
	uint64_t block;
	bool write;
};

/* A thread asks for the last time what its queue has counted. */
struct lane_counts {
	uint64_t kicks, calls;
};

/**
 * struct lane
 * @phase:	the control thread's wish
 * @seen:	the last one that was noticed
 * @running:	go on submitting
 * @checking:	reading back what was written
 * @first, @nblocks: part of the target, in blocks of @bs
 * @cursor:	next block in sequence, or to be read back
 * @gen:	with verify: for each block how often it was written, and whether
 *		it is in use right now; else NULL
 * @run_id:	with verify: of this run, so that older data is told apart
 * @counts:	asks the queue, NULL: there is nothing to ask
 * @hist ... @after: measured
 * @done:	requests completed in all, for the control thread to read
 * @fail:	set once, read by others after the lane has ended
 */
struct lane {
	const _Atomic int *phase;
	int seen;
	bool running, checking, random, mixed, write_only, failed;
	unsigned int index;
	uint32_t bs;
	uint32_t in_flight;
	uint64_t first, nblocks;
	uint64_t cursor;
	uint64_t rng;
	uint32_t *gen;
	uint64_t run_id;
	void (*counts)(struct lane *l, struct lane_counts *c);
	void *ctx;

	uint64_t begin_ns, end_ns;
	uint64_t reads, writes;
	uint64_t verified;
	struct lane_counts before, after;
	struct hist hist;
	struct err fail;

	_Alignas(CACHELINE) _Atomic uint64_t done;
};

#define LANE_BUSY 0x80000000u

/* lane.c */

/**
 * lane_init() - a lane's part of what the options ask for
 * @index:	of @o->queues lanes
 * @capacity:	of the target; offset, size and request size fit, see bench_range()
 */
int lane_init(struct lane *l, const struct bench_opts *o, unsigned int index,
	      const _Atomic int *phase, uint64_t capacity, uint64_t run_id, struct err *e);
void lane_fini(struct lane *l);
/* The phase is a new one. */
void lane_change(struct lane *l, int phase);
/* All is back after the end: true when there is something to be read back. */
bool lane_check_begin(struct lane *l);
/* The run ends here: says why, once. */
void lane_fail(struct lane *l, int code, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void lane_request_failed(struct lane *l, const struct lane_slot *s, int res);
/* Something to fill buffers with that no storage can make small. */
void lane_noise(void *buf, uint64_t len, uint64_t seed);

/* verify.c */
bool verify_next(struct lane *l, struct lane_slot *s);
void verify_claim(struct lane *l, struct lane_slot *s);
void verify_finish(struct lane *l, struct lane_slot *s, int res);
bool verify_pending(struct lane *l);

/* splitmix64: as good as offsets need, and there is nothing cheaper. */
static inline uint64_t lane_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t lane_random_below(uint64_t *state, uint64_t n)
{
	__extension__ typedef unsigned __int128 wide;

	return (uint64_t)(((wide)lane_random(state) * n) >> 64);
}

/* Called once a turn. */
static inline void lane_look(struct lane *l)
{
	int p = atomic_load_explicit(l->phase, memory_order_relaxed);

	if (unlikely(p != l->seen))
		lane_change(l, p);
}

/**
 * lane_next() - choose a request
 * @now:	taken as its start
 *
 * Return: false when there is none: the lane is at its end.
 */
static inline bool lane_next(struct lane *l, struct lane_slot *s, uint64_t now)
{
	if (unlikely(!l->running)) {
		if (!l->checking || !verify_next(l, s))
			return false;
	} else {
		s->write = l->write_only || (l->mixed && (lane_random(&l->rng) & 1));
		if (l->random) {
			s->block = lane_random_below(&l->rng, l->nblocks);
		} else {
			s->block = l->cursor++;
			if (unlikely(l->cursor == l->nblocks))
				l->cursor = 0;
		}
		if (unlikely(l->gen))
			verify_claim(l, s);
	}
	s->offset = l->first + s->block * l->bs;
	s->start_ns = now;
	l->in_flight++;
	return true;
}

/**
 * lane_finish() - a request is back
 * @now:	when it was found
 *
 * The clock is read once for all that one look has found, and the same
 * reading is the start of the requests that take their place: at a depth of
 * 32 and a few million requests a second it would otherwise cost as much as
 * the rest. A latency contains the time the driver itself takes for a turn.
 */
static inline void lane_finish(struct lane *l, struct lane_slot *s, int res, uint64_t now)
{
	l->in_flight--;
	if (unlikely(res))
		lane_request_failed(l, s, res);
	if (unlikely(l->gen))
		verify_finish(l, s, res);
	if (unlikely(!l->running))
		return;
	hist_add(&l->hist, now - s->start_ns);
	l->writes += s->write;
	l->reads += !s->write;
}

/* Called once a turn: @n requests more are done. */
static inline void lane_publish(struct lane *l, unsigned int n)
{
	/* One writer. */
	atomic_store_explicit(&l->done, atomic_load_explicit(&l->done, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

#endif
