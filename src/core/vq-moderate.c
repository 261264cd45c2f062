/* SPDX-License-Identifier: MIT */
/*
 * Waiting for company.
 *
 * A driver that hands over many requests one by one is served faster than it
 * submits: each wake-up finds a few, and each few cost a kick, a sleep and a
 * notification. Then the queue asks, by the event index (VIRTIO 1.3, 2.7.10 and
 * 2.8.14), to be woken only when @goal requests are there, or by a timer when
 * they do not come.
 *
 * What it may cost in latency has a measure: @burst, how many a plain wake-up
 * finds, tells how long one takes in units of the driver's own pace. The goal
 * stays within a small multiple of it, grows while the driver goes on
 * submitting as we wake up, and shrinks when the driver stopped at or before
 * it: then it waits for us. Every so often a plain round measures @burst anew.
 * A driver with one or two requests under way never gets a goal beyond one.
 */
#include "core/vq-impl.h"
#include "util/loop.h"

#define GOAL_MIN    4u  /* below this there is nothing to gain */
#define GOAL_MAX    32u /* beyond this little more */
#define CEILING     (GOAL_MAX * 4 / 3 + 1)
#define GOAL_BURSTS 4u  /* never more than so many plain bursts */
#define BURST_ONE   16u /* fixed point of @burst */
#define BURST_LEAST 48u /* three requests a wake-up hint at a queue of them */
#define GAP_CAP_NS  1000000u
#define WAIT_MIN_NS 10000u /* a shorter timer would be a busy loop */
#define GROW_AFTER  2u     /* good rounds before more is asked for */
#define PROBE_EVERY 32u    /* rounds, of which the last is plain */
#define REST_MIN    4u     /* good rounds before the first goal ... */
#define REST_MAX    256u   /* ... growing with each disappointment up to this */
#define FORGET      128u   /* rounds after which a ceiling is tried again */
#define DOUBT       2u     /* bad rounds in a row that are believed */

static void moderate_tick(struct worker_timer *t)
{
	struct vu_queue *q = container_of(t, struct vu_queue, mod.timer);

	q->mod.fired = true;
	vq_wake(q);
}

void moderate_init(struct vu_queue *q)
{
	uint32_t wait = worker_batch_ns(q->env.worker);

	q->mod = (struct vq_moderate){ .goal = 1, .ceiling = CEILING, .rest = REST_MIN };
	q->mod.timer.fn = moderate_tick;
	q->mod.wait_max = q->event_idx ? wait : 0;
	q->mod.due = q->mod.plain = true;
	q->mod.seen = q->stats->popped; /* those of the queue before us */
}

static void moderate_off(struct vq_moderate *m)
{
	m->goal = 1;
	m->rest = MIN(2 * m->rest, REST_MAX);
}

/* The driver was seen to stop at @n. */
static void moderate_shrink(struct vq_moderate *m, uint32_t n, uint32_t goal)
{
	m->ceiling = (uint16_t)MAX(n, 1u);
	m->forget = FORGET;
	m->good = m->bad = 0;
	m->goal = (uint16_t)goal;
	if (goal < GOAL_MIN)
		moderate_off(m);
}

static void moderate_grow(struct vu_queue *q)
{
	struct vq_moderate *m = &q->mod;
	uint32_t goal = m->goal == 1 ? MAX(GOAL_MIN, m->burst / BURST_ONE) : m->goal + m->goal / 4u;

	m->good = 0;
	m->rest = MAX(m->rest / 2, REST_MIN);
	goal = MIN(goal, GOAL_BURSTS * m->burst / BURST_ONE);
	goal = MIN(goal, MIN(3u * m->ceiling / 4, q->size / 2));
	goal = MIN(goal, m->wait_max / MAX(m->gap_ns, 1u));
	if (goal >= GOAL_MIN)
		m->goal = (uint16_t)goal;
}

/* A round that waited for nothing found @n. */
static void moderate_plain(struct vu_queue *q, uint32_t n)
{
	struct vq_moderate *m = &q->mod;

	m->burst = (7 * m->burst + n * BURST_ONE) / 8;
	if (m->burst < BURST_LEAST) {
		m->good = 0;
		m->goal = 1;
	} else if (m->goal == 1 && ++m->good >= m->rest) {
		moderate_grow(q);
	}
}

/* A round that waited found @n, those not yet taken included. */
static void moderate_waited(struct vu_queue *q, uint32_t n)
{
	struct vq_moderate *m = &q->mod;

	if (n <= m->goal) {
		m->good = 0;
		if (++m->bad >= DOUBT)
			moderate_shrink(m, n, MIN(n / 2, 3u * m->goal / 4));
	} else {
		m->bad = 0;
		if (++m->good >= GROW_AFTER)
			moderate_grow(q);
	}
}

void moderate_sleep(struct vu_queue *q)
{
	struct vq_moderate *m = &q->mod;
	uint64_t now, taken = q->stats->popped + q->popped;
	uint32_t n = (uint32_t)MIN(taken - m->seen, (uint64_t)UINT16_MAX);

	if (!m->wait_max || (n == 0 && m->timer.armed))
		return; /* woken for something else: what it waits for stays as it is */
	now = clock_ns();
	if (n) {
		uint64_t gap = MIN((now - m->since) / n, (uint64_t)GAP_CAP_NS);

		m->gap_ns = (uint32_t)((7 * (uint64_t)m->gap_ns + gap) / 8);
		m->seen = taken;
		if (m->plain)
			moderate_plain(q, n);
		else
			moderate_waited(q, n + ring_waiting(q));
		if (m->forget && --m->forget == 0)
			m->ceiling = CEILING;
	} else if (m->fired) {
		m->goal = 1; /* nothing at all came: an idle queue is left in peace */
		m->good = 0;
	}
	m->since = now;
	m->fired = false;
	m->plain = m->goal == 1 || ++m->rounds % PROBE_EVERY == 0;
	/* What storage has in hand comes back in its own time, and more may join it there. */
	m->due = m->plain || q->inflight;
	if (m->due)
		worker_timer_cancel(q->env.worker, &m->timer);
	else
		worker_timer_set(q->env.worker, &m->timer,
				 MAX(MIN(2 * (uint64_t)m->goal * m->gap_ns, m->wait_max),
				     (uint64_t)WAIT_MIN_NS));
}

void moderate_stop(struct vu_queue *q)
{
	worker_timer_cancel(q->env.worker, &q->mod.timer);
}
