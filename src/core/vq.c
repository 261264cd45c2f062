/* SPDX-License-Identifier: MIT */
/* The virtqueue engine: what both ring formats have in common. */
#include "core/vq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/vq-impl.h"
#include "util/log.h"

/* How often a queue without a kick descriptor is looked at when its worker sleeps. */
#define POLL_INTERVAL_NS 250000

/* ---- the two formats behind one face ---- */

static inline bool ring_pending(struct vu_queue *q)
{
	return q->packed ? packed_pending(q) : split_pending(q);
}

static int ring_map(struct vu_queue *q, const struct gmem *map, struct err *e)
{
	return q->packed ? packed_map(q, map, e) : split_map(q, map, e);
}

/* The rings themselves stand in memory that has vanished. */
static bool ring_lost(struct vu_queue *q)
{
	if (!use_poisoned(q->ring_use))
		return false;
	if (!(q->packed ? packed_poisoned(q) : split_poisoned(q)))
		return false;
	vq_break(q, "guest memory under the ring vanished");
	return true;
}

/* May the model be given chains? */
static inline bool can_hand(const struct vu_queue *q)
{
	return q->running && q->enabled && !q->broken && !q->stopping;
}

/* May more be taken from the ring? */
static inline bool can_fetch(const struct vu_queue *q)
{
	return can_hand(q) && !q->parked && !q->starved;
}

bool vq_break(struct vu_queue *q, const char *why)
{
	if (q->broken)
		return false;
	q->broken = true;
	if (q->env.broken)
		q->env.broken(q->env.ctx, why);
	return false;
}

/* ---- snapshots in use ---- */

static struct vq_use *use_new(struct gmem *map)
{
	struct vq_use *u = calloc(1, sizeof(*u));

	if (u) {
		u->map = map;
		u->faults = &map->faults->count;
		u->guard.map = map;
	}
	return u;
}

static void use_free(struct vu_queue *q, struct vq_use *u)
{
	if (q->on_worker)
		gmem_guard_leave(&u->guard);
	gmem_put(u->map);
	free(u);
}

/* Keep it if something still points into it. */
static void use_retire(struct vu_queue *q, struct vq_use *u)
{
	struct vq_use **p;

	for (p = &q->old_uses; *p && *p != u; p = &(*p)->next)
		;
	if (u == q->use || u == q->ring_use || u->pins) {
		if (!*p && u != q->use) {
			u->next = q->old_uses;
			q->old_uses = u;
		}
		return;
	}
	if (*p)
		*p = u->next;
	use_free(q, u);
}

void vq_unpin(struct vu_queue *q, struct vq_use *use)
{
	if (--use->pins == 0 && unlikely(use != q->use))
		use_retire(q, use);
}

int vq_use_switch(struct vu_queue *q, struct gmem *map)
{
	struct vq_use *old = q->use, *u = use_new(map);

	if (!u) {
		gmem_put(map);
		return -ENOMEM;
	}
	if (q->on_worker)
		gmem_guard_enter(&u->guard);
	q->use = u;
	q->last_region = NULL;
	use_retire(q, old);
	return 0;
}

/* ---- making and freeing ---- */

static void *zeroed(size_t n)
{
	/* Fresh pages: zero, and only what is used costs memory. */
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int vq_check(const struct vq_env *env, const struct vq_cfg *cfg, struct gmem *map,
		    struct err *e)
{
	bool packed = cfg->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);

	if (cfg->size == 0 || cfg->size > VIRTQ_MAX_SIZE)
		return err_set(e, -EINVAL, "queue-size",
			       "queue %u: size %u is not between 1 and %u", env->index, cfg->size,
			       VIRTQ_MAX_SIZE);
	if (!packed && (cfg->size & (cfg->size - 1)))
		return err_set(e, -EINVAL, "queue-size",
			       "queue %u: size %u of a split ring is not a power of two",
			       env->index, cfg->size);
	if (!map)
		return err_set(e, -EFAULT, "no-memory",
			       "queue %u is set up before any guest memory", env->index);
	return 0;
}

static int vq_alloc(struct vu_queue *q, size_t req_size)
{
	uint32_t size = q->size;
	unsigned int bigs = MIN(size, VQ_BIG_MAX);

	q->chain_max = MAX(size, VQ_CHAIN_MAX);
	q->slot_stride = (sizeof(struct vq_slot) + req_size + CACHELINE - 1) &
			 ~(size_t)(CACHELINE - 1);
	q->slots_bytes = q->slot_stride * size;
	q->big_bytes = sizeof(struct iovec) * q->chain_max * bigs;
	q->slots = zeroed(q->slots_bytes);
	q->big_pool = zeroed(q->big_bytes);
	q->free = malloc(sizeof(*q->free) * size);
	q->ind = calloc(q->chain_max, sizeof(*q->ind));
	if (!q->slots || !q->big_pool || !q->free || !q->ind)
		return -ENOMEM;
	for (uint32_t i = 0; i < size; i++)
		q->free[i] = (uint16_t)(size - 1 - i); /* a stack: hot slots are used again first */
	q->free_n = (uint16_t)size;
	for (unsigned int i = 0; i < bigs; i++)
		q->big_free[q->big_n++] = q->big_pool + (size_t)i * q->chain_max;
	return 0;
}

static void vq_release(struct vu_queue *q)
{
	while (q->old_uses) {
		struct vq_use *u = q->old_uses;

		q->old_uses = u->next;
		if (u == q->ring_use)
			q->ring_use = NULL;
		use_free(q, u);
	}
	if (q->ring_use && q->ring_use != q->use)
		use_free(q, q->ring_use);
	if (q->use)
		use_free(q, q->use);
	if (q->slots)
		munmap(q->slots, q->slots_bytes);
	if (q->big_pool)
		munmap(q->big_pool, q->big_bytes);
	free(q->free);
	free(q->ind);
	free(q);
}

/* Look at the rings for the first time. The thread may be any: guard it meanwhile. */
static int vq_first_look(struct vu_queue *q, struct err *e)
{
	int rc;

	gmem_guard_enter(&q->use->guard);
	rc = ring_map(q, q->use->map, e);
	if (rc == 0)
		rc = q->packed ? packed_init(q, e) : split_init(q, e);
	gmem_guard_leave(&q->use->guard);
	if (rc == 0 && use_poisoned(q->use) && (q->packed ? packed_poisoned(q) : split_poisoned(q)))
		rc = err_set(e, -EFAULT, "ring-not-mapped", "queue %u: guest memory vanished",
			     q->env.index);
	return rc;
}

static bool vq_poll(struct worker_poller *p);
static bool vq_arm(struct worker_poller *p);
static void vq_disarm(struct worker_poller *p);
static void vq_flush(struct worker_poller *p);
static void vq_kicked(struct worker_fd *f, uint32_t events);
static void vq_poll_tick(struct worker_timer *t);
static void vq_retry(struct worker_timer *t);
static void vq_finish(struct worker_post *p);

struct vu_queue *vq_new(const struct vq_env *env, const struct vq_cfg *cfg, struct gmem *map,
			size_t req_size, struct vq_stats *stats, struct err *e)
{
	struct vu_queue *q;

	if (vq_check(env, cfg, map, e) < 0)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q || !(q->use = use_new(gmem_get(map)))) {
		if (q)
			gmem_put(map);
		free(q);
		err_sys(e, -ENOMEM, "out-of-memory", "queue %u", env->index);
		return NULL;
	}
	q->env = *env;
	q->cfg = *cfg;
	q->size = cfg->size;
	q->mask = cfg->size - 1;
	q->stats = stats;
	q->packed = cfg->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	q->event_idx = cfg->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	q->indirect = cfg->features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	q->enabled = true;
	q->ring_use = q->use;
	q->poller = (struct worker_poller){ .poll = vq_poll,
					    .arm = vq_arm,
					    .disarm = vq_disarm,
					    .flush = vq_flush };
	q->poll_timer.fn = vq_poll_tick;
	q->retry_timer.fn = vq_retry;
	q->finish.fn = vq_finish;
	moderate_init(q);
	if (vq_alloc(q, req_size) < 0) {
		err_sys(e, -ENOMEM, "out-of-memory", "queue %u of %u entries", env->index, q->size);
		vq_release(q);
		return NULL;
	}
	if (vq_first_look(q, e) < 0) {
		vq_release(q);
		return NULL;
	}
	q->kick = (struct worker_fd){ .fd = cfg->kick_fd, .edge = true, .fn = vq_kicked };
	q->call = cfg->call;
	return q;
}

void vq_free(struct vu_queue *q)
{
	if (q->kick.fd >= 0)
		close(q->kick.fd);
	if (q->call && q->call->release)
		q->call->release(q->call);
	vq_release(q);
}

/* ---- on the worker: the turn ---- */

static void vq_pay(struct vu_queue *q)
{
	q->owed = false;
	q->unpaid = 0;
	STAT_ADD(q, notified, 1);
	if (q->call &&
	    (q->call->bell < 0 || !worker_bell_ring(q->env.worker, q->bell, q->call->bell)))
		q->call->notify(q->call);
}

/* Something to take, and enough of it to be worth the while. */
static inline bool ring_ripe(struct vu_queue *q)
{
	return q->mod.due ? ring_pending(q) : ring_waiting(q) >= q->mod.goal;
}

static bool vq_has_work(struct vu_queue *q)
{
	if (!can_hand(q) || q->declined)
		return false;
	return q->again || q->ready_at < q->ready_n || (can_fetch(q) && ring_ripe(q));
}

static bool vq_poll(struct worker_poller *p)
{
	struct vu_queue *q = container_of(p, struct vu_queue, poller);
	uint64_t before = q->popped;

	q->worked = vq_has_work(q);
	p->pending = q->inflight != 0;
	if (!q->worked) {
		if (q->owed)
			vq_pay(q);
		return false;
	}
	q->again = false;
	q->budget = q->early ? VQ_EARLY : VQ_BUDGET;
	q->env.model->queue_kick(q->env.priv, q);
	/* There was something and the model did not want it: until a kick or vu_queue_again(). */
	if (q->popped != before)
		q->asked = false;
	else if (!q->again && can_fetch(q))
		q->declined = true;
	return true;
}

static bool vq_arm(struct worker_poller *p)
{
	struct vu_queue *q = container_of(p, struct vu_queue, poller);
	uint32_t n;

	if (!can_fetch(q))
		return false;
	if (vq_has_work(q))
		return true;
	moderate_sleep(q);
	n = q->mod.due || q->declined ? 1 : q->mod.goal;
	if (q->packed)
		packed_arm(q, n);
	else
		split_arm(q, n);
	/*
	 * What came between the model's refusal and the arming has no kick: ask
	 * once more. Kicks stay on meanwhile, so that this ends.
	 */
	if (q->declined && !q->asked) {
		q->asked = true;
		q->declined = false;
	}
	return vq_has_work(q);
}

static void vq_disarm(struct worker_poller *p)
{
	struct vu_queue *q = container_of(p, struct vu_queue, poller);

	if (!can_fetch(q) || q->asked)
		return;
	if (q->packed)
		packed_disarm(q);
	else
		split_disarm(q);
}

/*
 * Used entries become visible each turn. Whether to tell the driver is decided
 * with them, but while the ring goes on giving work the telling waits, so that
 * one notification (a system call here, an interrupt there) serves them all: it
 * is sent by the poll that finds nothing, or after VQ_OWE_MAX turns.
 */
static void vq_flush(struct worker_poller *p)
{
	struct vu_queue *q = container_of(p, struct vu_queue, poller);

	STAT_ADD(q, popped, q->popped);
	STAT_ADD(q, requests, q->pushed);
	q->unpaid += (uint32_t)q->pushed;
	q->popped = q->pushed = 0;
	if (q->dirty) {
		q->dirty = false;
		if (unlikely(ring_lost(q)) || q->broken)
			return;
		STAT_ADD(q, bursts, 1);
		if (q->packed ? packed_flush(q) : split_flush(q)) {
			q->owing = q->owed ? q->owing : 0;
			q->owed = true;
			/* A driver that waits, and can be told at little cost: soon, and in parts. */
			q->early = q->bell && q->call && q->call->bell >= 0;
		} else if (!q->owed) {
			STAT_ADD(q, notify_suppressed, 1);
			q->early = false;
		}
		if (unlikely(q->cfg.log_used))
			gmem_dirty(q->ring_use->map, q->cfg.log_addr,
				   q->packed ? virtq_desc_bytes(q->size) :
					       virtq_used_bytes(q->size));
	}
	if (q->owed && (!q->worked || q->stopping || ++q->owing >= VQ_OWE_MAX ||
			(q->early && q->unpaid >= VQ_EARLY)))
		vq_pay(q);
}

/* The bell is edge-triggered and never read: its count has no meaning to us. */
static void vq_kicked(struct worker_fd *f, uint32_t events)
{
	struct vu_queue *q = container_of(f, struct vu_queue, kick);

	(void)events;
	STAT_ADD(q, kicks, 1);
	q->declined = q->asked = false;
	worker_kick(q->env.worker, &q->poller);
}

static void vq_poll_tick(struct worker_timer *t)
{
	struct vu_queue *q = container_of(t, struct vu_queue, poll_timer);

	vq_wake(q);
	worker_timer_set(q->env.worker, &q->poll_timer, POLL_INTERVAL_NS);
}

void vq_wake(struct vu_queue *q)
{
	q->declined = q->asked = false;
	q->mod.due = true;
	if (q->on_worker)
		worker_kick(q->env.worker, &q->poller);
}

static void vq_retry(struct worker_timer *t)
{
	struct vu_queue *q = container_of(t, struct vu_queue, retry_timer);

	q->parked = false;
	vq_wake(q);
}

/* ---- on the worker: life ---- */

static void kick_attach(struct vu_queue *q)
{
	if (q->kick.fd >= 0) {
		if (worker_add_fd(q->env.worker, &q->kick, EPOLLIN) == 0)
			return;
		log_err("queue %u: cannot watch the kick descriptor; the ring is polled",
			q->env.index);
		close(q->kick.fd);
		q->kick.fd = -1;
	}
	worker_timer_set(q->env.worker, &q->poll_timer, POLL_INTERVAL_NS);
}

static void kick_detach(struct vu_queue *q)
{
	worker_timer_cancel(q->env.worker, &q->retry_timer);
	moderate_stop(q);
	if (q->kick.fd >= 0)
		worker_del_fd(q->env.worker, &q->kick);
	else
		worker_timer_cancel(q->env.worker, &q->poll_timer);
}

void vq_run(struct vu_queue *q)
{
	gmem_guard_enter(&q->use->guard);
	q->on_worker = true;
	q->running = true;
	q->bell = worker_bell_new(q->env.worker);
	if (q->env.model->queue_start && q->env.model->queue_start(q->env.priv, q) < 0)
		vq_break(q, "the device could not start the queue");
	worker_add_poller(q->env.worker, &q->poller);
	kick_attach(q);
	vq_wake(q); /* what was made available before we came has no kick any more */
}

/* Chains parsed but not handed out go back to the ring, as if never seen. */
static void vq_unready(struct vu_queue *q)
{
	if (q->ready_at == q->ready_n)
		return;
	if (q->packed)
		packed_unfetch(q);
	else
		split_unfetch(q);
	while (q->ready_at < q->ready_n)
		chain_drop(q, vq_slot(q, q->ready[q->ready_at++]));
}

void vq_enable(struct vu_queue *q, bool on)
{
	q->enabled = on;
	if (q->done)
		return;
	if (on)
		vq_wake(q);
	else
		vq_unready(q);
}

void vq_remap(struct vu_queue *q, struct gmem *map)
{
	struct vq_use *old_ring = q->ring_use;
	struct err e;

	if (q->done)
		return;
	vq_unready(q);
	/* Parked for another reason now: what waited for our own memory may not end it. */
	worker_timer_cancel(q->env.worker, &q->retry_timer);
	q->parked = true;
	if (!map || vq_use_switch(q, gmem_get(map)) < 0)
		return;
	/* Until the rings are found the old snapshot stays: used entries must go somewhere. */
	if (ring_map(q, map, &e) < 0) {
		log_info("%s; the queue waits for memory", e.what);
		return;
	}
	q->ring_use = q->use;
	if (old_ring != q->use)
		use_retire(q, old_ring);
	q->parked = false;
	vq_wake(q);
}

/* The ring and the descriptors are not used any more. */
static void vq_leave(struct vu_queue *q)
{
	vq_flush(&q->poller);
	if (q->bell && q->call && q->call->bell >= 0)
		worker_bell_settle(q->env.worker, q->call->bell);
	worker_bell_drop(q->bell);
	q->bell = NULL;
	kick_detach(q);
	worker_del_poller(q->env.worker, &q->poller);
}

/* On the worker, with nobody above us on the stack. */
static void vq_finish(struct worker_post *p)
{
	struct vu_queue *q = container_of(p, struct vu_queue, finish);

	if (!q->orphan)
		vq_leave(q);
	if (q->env.model->queue_stopped)
		q->env.model->queue_stopped(q->env.priv, q);
	while (q->ready_at < q->ready_n) /* left over by a broken ring */
		chain_drop(q, vq_slot(q, q->ready[q->ready_at++]));
	for (struct vq_use *u = q->old_uses; u; u = u->next)
		gmem_guard_leave(&u->guard);
	gmem_guard_leave(&q->use->guard);
	q->on_worker = false;
	q->running = false;
	q->done = true;
	q->env.stopped(q->env.ctx);
}

static void vq_check_idle(struct vu_queue *q)
{
	if (!q->stopping || q->inflight || q->finish_posted)
		return;
	q->finish_posted = true;
	worker_post(q->env.worker, &q->finish);
}

void vq_quiesce(struct vu_queue *q)
{
	if (q->stopping)
		return;
	q->stopping = true;
	if (!q->broken)
		vq_unready(q);
	if (q->env.model->queue_stop)
		q->env.model->queue_stop(q->env.priv, q);
	vq_check_idle(q);
}

void vq_orphan(struct vu_queue *q)
{
	if (q->done || q->orphan)
		return;
	vq_leave(q);
	q->orphan = true;
}

struct xport_call *vq_set_call(struct vu_queue *q, struct xport_call *call)
{
	struct xport_call *old = q->call;

	q->call = call;
	if (q->bell && old && old->bell >= 0)
		worker_bell_settle(q->env.worker, old->bell);
	return old;
}

int vq_set_kick(struct vu_queue *q, int fd)
{
	int old = q->kick.fd;
	bool live = q->on_worker && !q->orphan;

	if (live)
		kick_detach(q);
	q->kick.fd = fd;
	if (live) {
		kick_attach(q);
		vq_wake(q);
	}
	return old;
}

struct vq_base vq_base(const struct vu_queue *q)
{
	struct vq_base b;

	if (q->packed)
		packed_base(q, &b);
	else
		split_base(q, &b);
	return b;
}

/* ---- what a model calls ---- */

static bool slot_lost(const struct vq_slot *s)
{
	const struct vu_chain *c = &s->c;

	for (unsigned int i = 0; i < c->out_n; i++)
		if (gmem_range_poisoned(s->use->map, c->out[i].iov_base, c->out[i].iov_len))
			return true;
	for (unsigned int i = 0; i < c->in_n; i++)
		if (gmem_range_poisoned(s->use->map, c->in[i].iov_base, c->in[i].iov_len))
			return true;
	return s->last && gmem_range_poisoned(s->use->map, s->last, 1);
}

/* Parse some more. False when there is nothing to hand out. */
static bool vq_refill(struct vu_queue *q)
{
	if (!can_fetch(q) || q->budget == 0 || unlikely(ring_lost(q)))
		return false;
	/* A driver that looks finds what is done, and goes on while we do. Telling comes later. */
	if (q->dirty && q->packed)
		packed_show(q);
	else if (q->dirty)
		split_show(q);
	q->ready_at = q->ready_n = 0;
	if (q->packed)
		packed_fetch(q);
	else
		split_fetch(q);
	return q->ready_n && !q->broken;
}

struct vu_chain *vu_queue_pop(struct vu_queue *q)
{
	struct vq_slot *s;
	uint64_t cost;

	if (unlikely(!can_hand(q)) || q->budget == 0 ||
	    (q->ready_at == q->ready_n && !vq_refill(q)))
		return NULL;
	s = vq_slot(q, q->ready[q->ready_at]);
	if (use_poisoned(q->use) && slot_lost(s)) { /* parsed with it, or with a relative */
		vq_break(q, "guest memory vanished");
		return NULL;
	}
	q->ready_at++;
	/* Large ones take longer: queues of a worker share time, not requests. */
	cost = 1 + ((s->c.out_len + (uint64_t)s->c.in_len) >> VQ_BUDGET_SHIFT);
	q->budget = (uint16_t)(q->budget - MIN(cost, (uint64_t)q->budget));
	s->state = SLOT_LENT;
	q->inflight++;
	q->popped++;
	return &s->c;
}

void vu_queue_push(struct vu_chain *c, uint32_t written)
{
	struct vq_slot *s = (struct vq_slot *)c;
	struct vu_queue *q = c->queue;

	if (unlikely(written > s->in_total))
		written = s->in_total; /* never tell the driver of bytes it did not give */
	if (use_poisoned(s->use) && slot_lost(s))
		vq_break(q, "guest memory vanished");
	if (unlikely(s->use->map->log) && written)
		for (unsigned int i = 0; i < c->in_n; i++)
			gmem_dirty_host(s->use->map, c->in[i].iov_base, c->in[i].iov_len);
	if (likely(!q->broken && !q->orphan)) {
		if (q->packed)
			packed_push(q, s, written);
		else
			split_push(q, s, written);
		q->dirty = true;
		q->pushed++;
	}
	q->inflight--;
	chain_drop(q, s);
	if (unlikely(q->stopping))
		vq_check_idle(q);
}

void vu_queue_abort(struct vu_chain *c, const char *why)
{
	struct vu_queue *q = c->queue;

	vq_break(q, why);
	vu_queue_push(c, 0);
}

unsigned int vu_queue_index(const struct vu_queue *q)
{
	return q->env.index;
}

unsigned int vu_queue_size(const struct vu_queue *q)
{
	return q->size;
}

unsigned int vu_queue_inflight(const struct vu_queue *q)
{
	return q->inflight;
}

struct vu_dev *vu_queue_dev(const struct vu_queue *q)
{
	return q->env.dev;
}

struct worker *vu_queue_worker(const struct vu_queue *q)
{
	return q->env.worker;
}

void vu_queue_set_priv(struct vu_queue *q, void *priv)
{
	q->priv = priv;
}

void *vu_queue_priv(const struct vu_queue *q)
{
	return q->priv;
}

void vu_queue_again(struct vu_queue *q)
{
	q->again = true;
	vq_wake(q);
}
