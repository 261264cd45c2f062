/* SPDX-License-Identifier: MIT */
/* What run.c and the two kinds of targets know of each other. */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include "bench/lane.h"

struct bench;

/**
 * struct target_ops - a kind of target
 * @open:	fills in @b->info, then bench_lanes() and all that the lanes need
 * @start:	the lanes run; each calls bench_lane_ended() when it is over
 * @join:	all lanes have ended: their threads do, too
 * @close:	after a failed @open, too
 * @watch_fd:	hangs up when the other side goes away, -1: there is none
 * @cpu_ns:	time spent on processors so far by whoever serves the target,
 *		-errno when it cannot be told
 * @must_drain:	what is in flight cannot be given up
 */
struct target_ops {
	const char *kind;
	int (*open)(struct bench *b, struct err *e);
	int (*start)(struct bench *b, struct err *e);
	void (*join)(struct bench *b);
	void (*close)(struct bench *b);
	int (*watch_fd)(struct bench *b);
	int64_t (*cpu_ns)(struct bench *b);
	bool must_drain;
};

extern const struct target_ops target_socket;
extern const struct target_ops target_storage;

/**
 * struct bench - one run
 * @phase:	written by the control thread
 * @alive:	lanes that have not ended
 * @bell:	eventfd, written when a lane has ended
 * @lanes:	one for each queue, apart from each other
 * @priv:	the target's
 */
struct bench {
	const char *target;
	const struct bench_opts *o;
	const struct target_ops *ops;
	struct bench_info info;
	int bell;
	struct lane *lanes;
	unsigned int nlanes;
	void *priv;
	_Alignas(CACHELINE) _Atomic int phase;
	_Alignas(CACHELINE) _Atomic unsigned int alive;
};

/* run.c, for targets */

/* Does what is asked for fit a target of this size? Fills in nothing. */
int bench_range(const struct bench *b, uint64_t capacity, uint32_t block_size, struct err *e);
int bench_lanes(struct bench *b, uint64_t capacity, struct err *e);
/* Any thread; the lane is not touched by it any more. */
void bench_lane_ended(struct bench *b);

/* How long to wait for an answer. */
static inline uint64_t bench_patience_ns(const struct bench *b)
{
	return b->o->timeout_ns ? b->o->timeout_ns : UINT64_C(10000000000);
}

/* The CPU for lane @i, -1: any. */
static inline int bench_cpu(const struct bench *b, unsigned int i)
{
	return b->o->ncpus ? b->o->cpus[i % b->o->ncpus] : -1;
}

#endif
