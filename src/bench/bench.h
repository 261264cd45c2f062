/* SPDX-License-Identifier: MIT */
/*
 * The load generator of `vuctl bench`: a number of requests is kept in flight
 * on each queue of a target for some time, and what happens is counted.
 *
 * A target is a vhost-user socket, whose device we drive as a virtual machine
 * does, or anything the storage room can open, driven as our own back-end
 * drives it: the ceiling of what a back-end on top of it can reach.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"
#include "util/hist.h"

#define BENCH_QUEUES_MAX 256
#define BENCH_QD_MAX     32768
#define BENCH_BS_MAX     (64u << 20)

/* In the order of BENCH_RW_WORDS. */
enum bench_rw {
	BENCH_RANDREAD,
	BENCH_RANDWRITE,
	BENCH_RANDRW, /* half and half */
	BENCH_READ,
	BENCH_WRITE,
};
#define BENCH_RW_WORDS "randread|randwrite|randrw|read|write"

static inline bool bench_writes(enum bench_rw rw)
{
	return rw == BENCH_RANDWRITE || rw == BENCH_RANDRW || rw == BENCH_WRITE;
}

/**
 * struct bench_progress - how a run is going
 * @warmup:	what is done now does not count
 * @checking:	the time is over, what was written is read back
 * @elapsed_ns, @total_ns: of the warm-up or the measurement
 * @requests:	per second, since the last call
 */
struct bench_progress {
	bool warmup;
	bool checking;
	uint64_t elapsed_ns, total_ns;
	double requests;
};

/**
 * struct bench_opts - what to do
 * @rw, @bs:	which requests, of how many bytes
 * @qd:		requests in flight on each queue
 * @queues:	one thread each
 * @queue_size:	entries of each ring, 0: as many as @qd needs, 128 at least
 * @call_after:	ask for an interrupt after so many requests, 0: half of those
 *		in flight
 * @batch:	requests shown to the device at a time, 0: 8
 * @run_ns, @warmup_ns: how long
 * @offset, @size: part of the target, @size 0: to its end
 * @seed:	of the offsets
 * @packed:	use packed rings
 * @no_event_idx, @no_indirect: leave these features out
 * @poll:	look for completions all the time instead of sleeping
 * @verify:	write what can be checked, and check it
 * @direct:	bypass the page cache (files and block devices)
 * @no_lock:	do not lock what is written against other processes
 * @write:	writing over what is there was asked for
 * @cpus, @ncpus: bind the threads of the queues to these, in turn
 * @timeout_ns:	without any answer for so long the run has failed, 0: 10 seconds
 * @stop_fd:	readable: end early, -1: none
 * @loaded:	called once connected, before the first request; may be NULL
 * @progress:	called now and then on the caller's thread; may be NULL
 */
struct bench_opts {
	enum bench_rw rw;
	uint32_t bs;
	uint32_t qd;
	unsigned int queues;
	uint32_t queue_size;
	uint32_t call_after;
	uint32_t batch;
	uint64_t run_ns, warmup_ns;
	uint64_t offset, size;
	uint64_t seed;
	bool packed, no_event_idx, no_indirect;
	bool poll;
	bool verify;
	bool direct;
	bool no_lock;
	bool write;
	const int *cpus;
	unsigned int ncpus;
	uint64_t timeout_ns;
	int stop_fd;
	void (*loaded)(void *ctx);
	void (*progress)(void *ctx, const struct bench_progress *p);
	void *ctx;
};

/* What a target turned out to be. */
struct bench_info {
	const char *kind; /* "vhost-user", "storage" */
	uint64_t capacity;
	uint32_t block_size;
	uint32_t queue_size; /* of a socket only, as the rest */
	unsigned int max_queues;
	bool packed, event_idx, indirect;
	pid_t pid; /* of the back-end, 0: not known */
};

/**
 * struct bench_result - what was measured
 * @requests:	completed while it counted, of which @reads and @writes
 * @ns:		how long it counted
 * @iops:	requests per second, summed over queues
 * @kicks:	notifications we sent; of a socket only, as @calls
 * @calls:	interrupts we got
 * @cpu_ns:	time on processors, of the back-end, or of ourselves for a file
 * @cpu_requests: completed while @cpu_ns was spent
 * @has_cpu:	it could be told
 * @verified:	blocks that were checked and right
 * @stopped:	ended before its time
 */
struct bench_result {
	struct bench_info info;
	uint64_t requests, reads, writes;
	uint64_t ns;
	double iops;
	struct hist latency;
	uint64_t kicks, calls;
	uint64_t cpu_ns, cpu_requests;
	bool has_cpu;
	uint64_t verified;
	bool stopped;
};

void bench_result_reset(struct bench_result *r);

/* May this be done to @target at all? Before anything is opened. */
int bench_check(const char *target, const struct bench_opts *o, struct err *e);

/**
 * bench_run() - open @target, measure, close it
 *
 * Return: 0, or -errno with @e; @r then has what was measured before the
 * failure, if anything.
 */
int bench_run(const char *target, const struct bench_opts *o, struct bench_result *r,
	      struct err *e);

/* Nanoseconds of CPU time per request; 0 when it cannot be told. */
static inline double bench_cpu_per_request(const struct bench_result *r)
{
	return r->has_cpu && r->cpu_requests ? (double)r->cpu_ns / (double)r->cpu_requests : 0;
}

/* ---- two targets side by side ---- */

struct bench_spread {
	double median, min, max;
};

/**
 * struct bench_side - one of two targets
 * @sum:	over all rounds; @sum.iops is the median
 * @iops:	of the rounds
 * @cpu:	nanoseconds per request, of the rounds
 */
struct bench_side {
	struct bench_result sum;
	struct bench_spread iops, cpu;
};

/**
 * struct bench_comparison
 * @rounds:	that were completed on both sides
 * @iops, @cpu:	first to second, within a round
 * @has_cpu:	CPU time is known of both
 * @last:	the target of the last run
 */
struct bench_comparison {
	struct bench_side side[2];
	unsigned int rounds;
	struct bench_spread iops, cpu;
	bool has_cpu;
	struct bench_info last;
};

/**
 * bench_compare() - measure two targets in turn, @rounds times
 * @round:	called after each run with its result; may be NULL
 *
 * Who comes first alternates. Return: as bench_run().
 */
int bench_compare(const char *const targets[2], const struct bench_opts *o, unsigned int rounds,
		  void (*round)(void *ctx, unsigned int n, unsigned int side,
				const struct bench_result *r),
		  struct bench_comparison *c, struct err *e);

#endif
