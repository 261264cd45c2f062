/* SPDX-License-Identifier: MIT */
/*
 * A histogram of whole numbers, for latencies: 16 steps in each power of two,
 * so no value is off by more than a sixteenth, whatever its size. Values
 * below 16 are exact. Adding is a handful of instructions and never allocates.
 */
#ifndef UTIL_HIST_H
#define UTIL_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 4
#define HIST_SUB      (1u << HIST_SUB_BITS)
#define HIST_BUCKETS  ((64 - HIST_SUB_BITS + 1) * HIST_SUB)

/**
 * struct hist
 * @count:	values added
 * @sum:	of them, modulo 2^64: 584 years in nanoseconds
 * @min, @max:	exact; @min is UINT64_MAX when there are none
 */
struct hist {
	uint64_t count;
	uint64_t sum;
	uint64_t min;
	uint64_t max;
	uint64_t bucket[HIST_BUCKETS];
};

/* All zero but @min: call it before the first value. */
void hist_reset(struct hist *h);

/* Which bucket a value belongs to. */
static inline unsigned int hist_index(uint64_t v)
{
	unsigned int top;

	if (v < HIST_SUB)
		return (unsigned int)v;
	top = 63 - (unsigned int)__builtin_clzll(v);
	return ((top - HIST_SUB_BITS + 1) << HIST_SUB_BITS) +
	       (unsigned int)((v >> (top - HIST_SUB_BITS)) & (HIST_SUB - 1));
}

static inline void hist_add(struct hist *h, uint64_t v)
{
	h->bucket[hist_index(v)]++;
	h->count++;
	h->sum += v;
	h->min = v < h->min ? v : h->min;
	h->max = v > h->max ? v : h->max;
}

/* First and last value of a bucket. */
uint64_t hist_low(unsigned int index);
uint64_t hist_high(unsigned int index);

void hist_merge(struct hist *to, const struct hist *from);

double hist_mean(const struct hist *h); /* 0 when there is nothing */

/**
 * hist_quantile() - the value that so many millionths of all do not exceed
 * @ppm:	500000: the median, 999000: p99.9, 1000000: the largest
 *
 * Inside a bucket values are taken to be spread evenly.
 *
 * Return: never more than the largest value added; 0 when there is nothing.
 */
uint64_t hist_quantile(const struct hist *h, uint32_t ppm);

#endif
