/* SPDX-License-Identifier: MIT */
#include "util/hist.h"

#include <string.h>

#include "util/compiler.h"

#define MILLION 1000000u

__extension__ typedef unsigned __int128 wide;

void hist_reset(struct hist *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

uint64_t hist_low(unsigned int index)
{
	unsigned int group = index >> HIST_SUB_BITS, sub = index & (HIST_SUB - 1);

	if (group == 0)
		return sub;
	return (uint64_t)(HIST_SUB + sub) << (group - 1);
}

uint64_t hist_high(unsigned int index)
{
	unsigned int group = index >> HIST_SUB_BITS;

	if (group == 0)
		return index;
	return hist_low(index) + ((UINT64_C(1) << (group - 1)) - 1);
}

void hist_merge(struct hist *to, const struct hist *from)
{
	for (unsigned int i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
	to->count += from->count;
	to->sum += from->sum;
	to->min = MIN(to->min, from->min);
	to->max = MAX(to->max, from->max);
}

double hist_mean(const struct hist *h)
{
	return h->count ? (double)h->sum / (double)h->count : 0;
}

/* Value number @nth, from 1, of the bucket's. */
static uint64_t inside(const struct hist *h, unsigned int i, uint64_t nth)
{
	/* The ends are known better than their buckets are. */
	uint64_t low = MAX(hist_low(i), h->min), high = MIN(hist_high(i), h->max);

	return low + (uint64_t)((wide)(high - low) * nth / h->bucket[i]);
}

uint64_t hist_quantile(const struct hist *h, uint32_t ppm)
{
	uint64_t rank = (uint64_t)(((wide)h->count * MIN(ppm, MILLION) + MILLION - 1) / MILLION);
	uint64_t seen = 0;

	if (!h->count)
		return 0;
	rank = MAX(rank, 1u);
	for (unsigned int i = 0; i < HIST_BUCKETS; i++) {
		if (seen + h->bucket[i] >= rank)
			return inside(h, i, rank - seen);
		seen += h->bucket[i];
	}
	return h->max;
}
