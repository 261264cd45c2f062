/* SPDX-License-Identifier: MIT */
/* How long to look for work before sleeping: some microseconds in event mode, more in adaptive. */
#include <sched.h>
#include <unistd.h>

#include "util/loop.h"
#include "util/worker-internal.h"

#define SPIN_MAX_DEFAULT 50000u /* ns; above the wake-up of a sleeping CPU a spin cannot pay */
#define SPIN_FIRST       4000u
#define SPIN_LEAST       2000u
#define SPIN_GAP_MIN     16u
#define SPIN_GAP_MAX     1024u

void worker_spin_init(struct worker *w)
{
	cpu_set_t set;

	switch (w->cfg.mode) {
	case WORKER_EVENT:
		w->spin.max_ns = w->cfg.linger_ns;
		break;
	case WORKER_ADAPTIVE:
		w->spin.max_ns = w->cfg.spin_max_ns ? w->cfg.spin_max_ns : SPIN_MAX_DEFAULT;
		break;
	default:
		return;
	}
	w->spin.window_ns = MIN(w->spin.max_ns, SPIN_FIRST);
	w->spin.gap = w->spin.until_probe = SPIN_GAP_MIN;
	/*
	 * On a single processor whoever could give us work waits for us to stop.
	 * That we are bound to one of several says nothing about the others.
	 */
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		w->spin.max_ns = w->spin.window_ns = 0;
	w->spin.alone = w->cfg.cpu >= 0 ||
			(!sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) == 1);
}

/* Threads of the kernel or of a pool that were started from our processor run there. */
static bool others_wait_for_it(const struct worker *w)
{
	if (!w->spin.alone)
		return false;
	for (const struct worker_poller *p = w->pollers; p; p = p->next)
		if (p->pending)
			return true;
	return false;
}

bool worker_spin_on(struct worker *w)
{
	struct worker_spin *s = &w->spin;
	uint64_t now;

	if (!s->max_ns || s->slept || others_wait_for_it(w))
		return false;
	if (!s->window_ns && --s->until_probe == 0) {
		s->until_probe = s->gap;
		s->window_ns = s->max_ns;
		s->probing = true;
	}
	if (!s->window_ns) {
		if (!s->idle_since)
			s->idle_since = clock_ns();
		return false;
	}
	now = clock_ns();
	if (!s->idle_since)
		s->idle_since = now;
	return now - s->idle_since < s->window_ns;
}

void worker_spin_missed(struct worker *w)
{
	struct worker_spin *s = &w->spin;

	/* Without a beginning it was no spin: others had the processor. */
	if (!s->max_ns || s->slept || !s->idle_since)
		return;
	s->slept = true;
	if (!s->window_ns)
		return;
	stat_inc(&w->stats.spin_miss);
	if (s->probing) {
		/* Spinning does not pay: ask ever more seldom. */
		s->probing = false;
		s->window_ns = 0;
		s->gap = s->until_probe = MIN(s->gap * 2, SPIN_GAP_MAX);
	}
}

/*
 * There is work again. Found while spinning: the window is right. Found after
 * a sleep that a longer spin within the bound would have saved: grow. After a
 * longer sleep: shrink, down to none. The wake-up itself may take longer than
 * the bound, so that short pauses look long; the probes see through that.
 */
void worker_spin_found(struct worker *w)
{
	struct worker_spin *s = &w->spin;

	if (likely(!s->idle_since))
		return;
	if (!s->slept) {
		stat_inc(&w->stats.spin_hit);
		s->gap = s->until_probe = SPIN_GAP_MIN;
	} else if (clock_ns() - s->idle_since <= s->max_ns) {
		s->window_ns = MIN(s->max_ns, MAX(s->window_ns * 2, SPIN_FIRST));
	} else {
		s->window_ns /= 2;
		if (s->window_ns < SPIN_LEAST)
			s->window_ns = 0;
	}
	s->probing = s->slept = false;
	s->idle_since = 0;
}
