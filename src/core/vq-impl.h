/* SPDX-License-Identifier: MIT */
/* The inside of the virtqueue engine, shared by vq.c, vq-chain.c and the two ring formats. */
#ifndef CORE_VQ_IMPL_H
#define CORE_VQ_IMPL_H

#include "core/guest.h"
#include "core/vq.h"
#include "util/compiler.h"
#include "vu/device.h"

#define VQ_SMALL_IOV    8    /* segments that fit in the slot itself */
#define VQ_CHAIN_MAX    1024 /* segments of one chain, at least; more if the ring is larger */
#define VQ_BIG_MAX      64   /* chains with more than VQ_SMALL_IOV segments in hand at once */
#define VQ_LOOKAHEAD    16   /* chains parsed in one go */
#define VQ_OWE_MAX      4    /* turns a notification may wait for while there is more work */
#define VQ_EARLY        16 /* requests after which a driver that sleeps is told, with more to come */
#define VQ_RETRY_NS     20000000
#define VQ_BUDGET       64 /* chains handed out per turn, so that queues of a worker share it ... */
#define VQ_BUDGET_SHIFT 16 /* ... a chain counting once more for each 64 KiB */

/*
 * A snapshot as used by one queue. In-flight chains are counted here, by the
 * owner worker, without atomics: one reference on the snapshot serves them all.
 */
struct vq_use {
	struct gmem *map;
	const atomic_uint *faults; /* of map, one load nearer */
	unsigned int pins;         /* chains translated through it */
	struct gmem_guard guard;
	struct vq_use *next; /* older ones that still have pins */
};

enum vq_slot_state {
	SLOT_FREE,
	SLOT_READY, /* parsed, not handed out */
	SLOT_LENT,  /* the model has it */
};

struct vq_slot {
	struct vu_chain c; /* first: models know slots by it */
	struct vq_use *use;
	uint8_t *last;     /* status byte split off by vu_chain_take_last() */
	uint32_t in_total; /* writable bytes the driver gave */
	uint16_t id;       /* split: head; packed: buffer id */
	uint16_t ndesc;    /* packed: ring entries it occupies */
	uint16_t index;    /* of this slot */
	uint8_t state;
	bool wrap;         /* packed: wrap counter where it was taken */
	struct iovec *big; /* NULL: small is used */
	struct iovec small[VQ_SMALL_IOV];
} __attribute__((aligned(CACHELINE)));

struct split_ring {
	const struct guest_desc *desc;
	const guest16 *avail_flags, *avail_idx, *avail_ring, *used_event;
	guest16 *used_flags, *used_idx, *avail_event;
	guest32 *used_ring;           /* pairs of id and len */
	uint16_t avail_shadow;        /* what avail_idx was when last read */
	uint16_t last_avail;          /* next to take */
	uint16_t used;                /* next used index, published up to flush */
	uint16_t signalled;           /* used index at the last decision to notify */
	uint16_t heads[VQ_LOOKAHEAD]; /* read ahead of last_avail, each once */
	uint16_t nheads;
};

struct packed_ring {
	struct guest_desc *desc;
	const guest32 *driver_event;
	guest32 *device_event;
	uint16_t avail_pos, used_pos;
	bool avail_wrap, used_wrap;
	bool head_valid; /* head_flags was read and says available */
	uint16_t head_flags;
	/* the batch since the last flush; its first flags word is held back */
	bool first_held;
	uint16_t first_pos, first_flags;
	uint16_t moved;  /* ring entries since the last decision to notify */
	uint16_t step;   /* ring entries of the chain taken last */
	uint32_t in_use; /* ring entries of chains taken and not given back */
};

/**
 * struct vq_moderate - how many requests to sleep for; see vq-moderate.c
 * @goal:	wake up for so many; 1: for each
 * @due:	take what there is, be it fewer than @goal
 * @fired:	the timer ended the sleep
 * @plain:	this round waits for nothing, to measure @burst
 * @good, @bad: rounds in a row that speak for more, for less
 * @ceiling:	the driver was seen to stop at so many ...
 * @forget:	... which is believed for so many rounds yet
 * @rest:	good rounds needed for a first goal
 * @rounds:	with a goal
 * @burst:	what a plain round finds on average, in sixteenths
 * @gap_ns:	time between two requests, on average
 * @wait_max:	ns a request may wait for company; 0: none ever does
 * @since, @seen: clock and requests taken at the last sleep
 */
struct vq_moderate {
	uint16_t goal;
	bool due, fired, plain;
	uint16_t good, bad, ceiling, forget, rest;
	uint32_t rounds, burst, gap_ns, wait_max;
	uint64_t since, seen;
	struct worker_timer timer;
};

struct vu_queue {
	/* hot */
	struct worker_poller poller;
	bool packed, event_idx, indirect;
	bool running, enabled, broken, stopping, orphan;
	bool parked;   /* ring or chain memory is not there: until vq_remap() */
	bool starved;  /* no room for a large chain: until one comes back */
	bool again;    /* the model wants another kick */
	bool declined; /* there are chains, but the model did not want any */
	bool asked;    /* ... nor after kicks were asked for */
	bool dirty;    /* used entries to publish */
	bool worked;   /* poll found something: it will be called again */
	bool owed;     /* a notification is wanted and not sent yet */
	bool early;    /* the driver wants to hear, and hearing is cheap */
	bool done;     /* off the worker; env.stopped was or is being told */
	uint32_t size;
	uint32_t mask; /* split */
	uint16_t budget;
	uint16_t ready_n, ready_at; /* FIFO of parsed chains */
	uint16_t free_n;
	uint32_t inflight;       /* lent to the model */
	uint16_t owing;          /* flushes since it is owed */
	uint32_t unpaid;         /* requests since the last one was sent */
	uint64_t popped, pushed; /* counted here, shown in stats at the end of the turn */
	struct gmem_region *last_region;
	struct vq_use *use;
	union {
		struct split_ring s;
		struct packed_ring p;
	};
	uint8_t *slots;
	size_t slot_stride;
	uint16_t *free;
	uint16_t ready[VQ_LOOKAHEAD];
	struct xport_call *call;
	struct worker_bell *bell; /* NULL: call->notify() */
	struct vq_stats *stats;
	void *priv; /* the model's */
	struct vq_moderate mod;

	/* cold */
	struct vq_env env;
	struct vq_cfg cfg;
	struct vq_use *old_uses;
	struct vq_use *ring_use; /* the snapshot the ring pointers come from */
	struct worker_fd kick;
	struct worker_timer poll_timer;  /* for drivers that give no kick descriptor */
	struct worker_timer retry_timer; /* short of memory: look again */
	struct worker_post finish;
	bool finish_posted;
	uint32_t chain_max;
	struct guest_desc *ind; /* private copy of an indirect table */
	struct iovec *big_pool;
	struct iovec *big_free[VQ_BIG_MAX];
	unsigned int big_n;
	size_t slots_bytes, big_bytes;
	bool on_worker; /* registered with the worker, guards entered on its thread */
};

#define STAT_ADD(q, field, n) \
	__atomic_store_n(&(q)->stats->field, (q)->stats->field + (n), __ATOMIC_RELAXED)

static inline struct vq_slot *vq_slot(const struct vu_queue *q, unsigned int i)
{
	return (struct vq_slot *)(q->slots + i * q->slot_stride);
}

static inline struct iovec *slot_iov(struct vq_slot *s)
{
	return s->big ? s->big : s->small;
}

/* Go over to @map for new chains; takes over the caller's reference. -ENOMEM keeps the old. */
int vq_use_switch(struct vu_queue *q, struct gmem *map);
void vq_unpin(struct vu_queue *q, struct vq_use *use);

/* The driver broke the rules: report once, stand still until reset. Always returns false. */
bool vq_break(struct vu_queue *q, const char *why);

/* Look at the ring again, whatever was thought of it. */
void vq_wake(struct vu_queue *q);

/* ---- vq-moderate.c: how many requests to sleep for ---- */

void moderate_init(struct vu_queue *q);
/* About to arm: set the goal and its timer. */
void moderate_sleep(struct vu_queue *q);
void moderate_stop(struct vu_queue *q);

/* ---- vq-chain.c: building one chain ---- */

enum chain_res {
	CHAIN_OK,
	CHAIN_BROKEN, /* vq_break() was called */
	CHAIN_AGAIN,  /* memory changed under it: parse again from the head */
	CHAIN_PARK,   /* memory comes later, or too many large chains in hand: not now */
};

struct chain_build {
	struct vq_slot *s;
	uint32_t n; /* segments so far, out then in */
	uint32_t out_n;
	uint64_t out_len, in_len;
	uint32_t steps; /* descriptors seen */
	bool writing;
	uint8_t *end; /* of the last segment: the next one may be joined to it */
};

/* Did memory vanish under anything of this snapshot? The usual answer, no, is one load. */
static inline bool use_poisoned(const struct vq_use *u)
{
	return unlikely(atomic_load_explicit(u->faults, memory_order_acquire) != 0);
}

/* NULL: the ring is broken. */
struct vq_slot *chain_begin(struct vu_queue *q, struct chain_build *b);
/* Everything but the usual case of chain_add(). */
enum chain_res chain_add_slow(struct vu_queue *q, struct chain_build *b, uint64_t addr,
			      uint32_t len, bool write);

/*
 * One descriptor. The usual case, inline since it runs for each: the same
 * region as the last one, not adjacent in memory, room in the slot.
 */
static inline enum chain_res chain_add(struct vu_queue *q, struct chain_build *b, uint64_t addr,
				       uint32_t len, bool write)
{
	const struct gmem_region *r = q->last_region;
	uint64_t off;
	struct iovec *v;
	uint8_t *host;

	if (unlikely(!r || b->n >= VQ_SMALL_IOV || b->steps >= q->chain_max ||
		     (b->writing && !write)))
		return chain_add_slow(q, b, addr, len, write);
	off = addr - r->bus;
	host = r->host + off;
	if (unlikely(len == 0 || off >= r->size || len > r->size - off ||
		     !(r->perm & (write ? GMEM_W : GMEM_R)) || host == b->end))
		return chain_add_slow(q, b, addr, len, write);
	v = &b->s->small[b->n++];
	v->iov_base = host;
	v->iov_len = len;
	b->end = host + len;
	b->steps++;
	if (write) {
		b->writing = true;
		b->in_len += len;
	} else {
		b->out_n = b->n;
		b->out_len += len;
	}
	return CHAIN_OK;
}

/* Copy an indirect table into q->ind. */
enum chain_res chain_table(struct vu_queue *q, uint64_t addr, uint32_t len, uint32_t *n);
enum chain_res chain_end(struct vu_queue *q, struct chain_build *b);
void chain_drop(struct vu_queue *q, struct vq_slot *s); /* back to the free slots */

/* ---- the two ring formats ---- */

/* Translate the ring addresses through @map. 0 or -errno with @e. */
int split_map(struct vu_queue *q, const struct gmem *map, struct err *e);
int packed_map(struct vu_queue *q, const struct gmem *map, struct err *e);
/* First time: take the position from cfg and ring. */
int split_init(struct vu_queue *q, struct err *e);
int packed_init(struct vu_queue *q, struct err *e);
/* Is there a chain to take? May break the queue (then false). */
bool split_pending(struct vu_queue *q);
bool packed_pending(struct vu_queue *q);
/* How many chains are there to take? Packed: none, some (1), or as many as the goal. */
uint32_t split_waiting(struct vu_queue *q);
uint32_t packed_waiting(struct vu_queue *q);
static inline uint32_t ring_waiting(struct vu_queue *q)
{
	return q->packed ? packed_waiting(q) : split_waiting(q);
}
/* Parse up to VQ_LOOKAHEAD chains into the ready FIFO. */
void split_fetch(struct vu_queue *q);
void packed_fetch(struct vu_queue *q);
/* Go back to before the ready chains, which the caller drops. */
void split_unfetch(struct vu_queue *q);
void packed_unfetch(struct vu_queue *q);
void split_push(struct vu_queue *q, struct vq_slot *s, uint32_t written);
void packed_push(struct vu_queue *q, struct vq_slot *s, uint32_t written);
/* Publish what was pushed, and no more than that: a flush follows. */
void split_show(struct vu_queue *q);
void packed_show(struct vu_queue *q);
/* Publish. Returns whether the driver wants to be notified. */
bool split_flush(struct vu_queue *q);
bool packed_flush(struct vu_queue *q);
/* Ask for a kick when @n chains are there; afterwards a look at pending is ordered behind it. */
void split_arm(struct vu_queue *q, uint32_t n);
void packed_arm(struct vu_queue *q, uint32_t n);
void split_disarm(struct vu_queue *q);
void packed_disarm(struct vu_queue *q);
void split_base(const struct vu_queue *q, struct vq_base *b);
void packed_base(const struct vu_queue *q, struct vq_base *b);
/* Where in ring memory is it? For the check for vanished memory. */
bool split_poisoned(const struct vu_queue *q);
bool packed_poisoned(const struct vu_queue *q);

#endif
