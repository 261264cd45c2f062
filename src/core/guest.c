/* SPDX-License-Identifier: MIT */
#include "core/guest.h"

#ifdef VU_DEBUG
#include <stdbool.h>

#define TRACE_SLOTS 4096

/* Open addressing; an entry counts only when its generation is the present one. */
static __thread struct {
	uint64_t gen;
	unsigned long doubles;
	struct {
		uintptr_t at;
		uint64_t gen;
	} seen[TRACE_SLOTS];
} trace;

void guest_trace_begin(void)
{
	trace.gen++;
}

static bool trace_add(uintptr_t at)
{
	unsigned int i = (unsigned int)(at * 2654435761u) % TRACE_SLOTS;

	for (unsigned int n = 0; n < TRACE_SLOTS; n++, i = (i + 1) % TRACE_SLOTS) {
		if (trace.seen[i].gen != trace.gen) {
			trace.seen[i].gen = trace.gen;
			trace.seen[i].at = at;
			return true;
		}
		if (trace.seen[i].at == at)
			return false;
	}
	return true; /* full: no claim */
}

void guest_trace(const void *p, size_t n)
{
	/* Two-byte steps: the smallest word there is. */
	for (size_t i = 0; i < n; i += 2) {
		if (!trace_add((uintptr_t)p + i)) {
			trace.doubles++;
			return;
		}
	}
}

unsigned long guest_double_reads(void)
{
	return trace.doubles;
}
#endif
