/* SPDX-License-Identifier: MIT */
/* Building one descriptor chain: limits, directions, translation. */
#include <errno.h>
#include <string.h>

#include "core/vq-impl.h"

struct vq_slot *chain_begin(struct vu_queue *q, struct chain_build *b)
{
	struct vq_slot *s;

	if (unlikely(q->free_n == 0)) {
		vq_break(q, "more chains are available than the ring has entries");
		return NULL;
	}
	s = vq_slot(q, q->free[--q->free_n]);
	s->index = q->free[q->free_n];
	s->c.queue = q;
	s->c.priv = s + 1;
	s->big = NULL;
	*b = (struct chain_build){ .s = s };
	return s;
}

static void slot_release_big(struct vu_queue *q, struct vq_slot *s)
{
	if (!s->big)
		return;
	q->big_free[q->big_n++] = s->big;
	s->big = NULL;
	if (q->starved) {
		q->starved = false;
		worker_kick(q->env.worker, &q->poller);
	}
}

void chain_drop(struct vu_queue *q, struct vq_slot *s)
{
	if (unlikely(s->big))
		slot_release_big(q, s);
	if (s->state != SLOT_FREE)
		vq_unpin(q, s->use);
	s->state = SLOT_FREE;
	q->free[q->free_n++] = s->index;
}

/* Room for one more segment: move to a large array when the small one is full. */
static enum chain_res chain_grow(struct vu_queue *q, struct chain_build *b)
{
	struct vq_slot *s = b->s;

	if (s->big)
		return b->n < q->chain_max ?
			       CHAIN_OK :
			       (vq_break(q, "chain has too many segments"), CHAIN_BROKEN);
	if (q->big_n == 0) {
		q->starved = true; /* one in hand will come back and wake us */
		return CHAIN_PARK;
	}
	s->big = q->big_free[--q->big_n];
	memcpy(s->big, s->small, sizeof(s->small));
	return CHAIN_OK;
}

static enum chain_res chain_append(struct vu_queue *q, struct chain_build *b, void *host,
				   uint32_t len, bool write)
{
	struct iovec *iov = slot_iov(b->s);
	uint32_t first = write ? b->out_n : 0;

	/* Neighbours in our address space become one segment. */
	if (b->n > first && (uint8_t *)iov[b->n - 1].iov_base + iov[b->n - 1].iov_len == host) {
		iov[b->n - 1].iov_len += len;
	} else {
		if (unlikely(b->n >= VQ_SMALL_IOV)) {
			enum chain_res res = chain_grow(q, b);

			if (res != CHAIN_OK)
				return res;
			iov = b->s->big;
		}
		iov[b->n].iov_base = host;
		iov[b->n].iov_len = len;
		b->n++;
		if (!write)
			b->out_n = b->n;
	}
	b->end = (uint8_t *)host + len;
	if (write)
		b->in_len += len;
	else
		b->out_len += len;
	return CHAIN_OK;
}

/* Nothing mapped at @addr: ask the transport, if it is one that finds memory on demand. */
static enum chain_res chain_miss(struct vu_queue *q, uint64_t addr, uint64_t len)
{
	struct gmem *map = q->use->map, *next = NULL;
	int rc;

	if (!map->miss) {
		vq_break(q, "descriptor address is not in guest memory");
		return CHAIN_BROKEN;
	}
	rc = map->miss(map->miss_ctx, map, addr, len, &next);
	if (rc == 0)
		rc = vq_use_switch(q, next);
	if (rc == 0)
		return CHAIN_AGAIN;
	if (rc == -EAGAIN || rc == -ENOMEM) {
		q->parked = true;
		if (rc == -ENOMEM) /* nobody else would try again */
			worker_timer_set(q->env.worker, &q->retry_timer, VQ_RETRY_NS);
		return CHAIN_PARK;
	}
	vq_break(q, "descriptor address is not in guest memory");
	return CHAIN_BROKEN;
}

/* More than the last region, or another one. */
static enum chain_res chain_translate(struct vu_queue *q, struct chain_build *b, uint64_t addr,
				      uint32_t len, bool write)
{
	enum gmem_perm need = write ? GMEM_W : GMEM_R;

	while (len) {
		struct gmem_region *r = gmem_find(q->use->map, GMEM_BUS, addr);
		enum chain_res res;
		uint64_t off, n;

		if (!r)
			return chain_miss(q, addr, len);
		if (!(r->perm & need)) {
			vq_break(q, "descriptor points to memory without the needed permission");
			return CHAIN_BROKEN;
		}
		off = addr - r->bus;
		n = MIN((uint64_t)len, r->size - off);
		res = chain_append(q, b, r->host + off, (uint32_t)n, write);
		if (res != CHAIN_OK)
			return res;
		q->last_region = r;
		len -= (uint32_t)n;
		addr += n;
		if (len && addr == 0) {
			vq_break(q, "descriptor wraps around the end of the address space");
			return CHAIN_BROKEN;
		}
	}
	return CHAIN_OK;
}

enum chain_res chain_add_slow(struct vu_queue *q, struct chain_build *b, uint64_t addr,
			      uint32_t len, bool write)
{
	const char *why = NULL;

	b->steps++;
	if (len == 0)
		why = "descriptor of zero length";
	else if (b->steps > q->chain_max)
		why = "chain is longer than the ring: a loop?";
	else if (b->writing && !write) /* 2.7.4.2 */
		why = "device-readable descriptor after a device-writable one";
	if (why) {
		vq_break(q, why);
		return CHAIN_BROKEN;
	}
	b->writing = write;
	return chain_translate(q, b, addr, len, write);
}

enum chain_res chain_table(struct vu_queue *q, uint64_t addr, uint32_t len, uint32_t *n)
{
	uint8_t *dst = (uint8_t *)q->ind;

	if (len == 0 || len % 16 || len / 16 > q->chain_max) {
		vq_break(q, "indirect table has a bad length");
		return CHAIN_BROKEN;
	}
	*n = len / 16;
	while (len) { /* a table may lie across regions: by bytes, not by entries */
		struct gmem_region *r = gmem_find(q->use->map, GMEM_BUS, addr);
		uint64_t off, part;

		if (!r)
			return chain_miss(q, addr, len);
		if (!(r->perm & GMEM_R)) {
			vq_break(q, "indirect table is in memory that may not be read");
			return CHAIN_BROKEN;
		}
		off = addr - r->bus;
		part = MIN((uint64_t)len, r->size - off);
		guest_copy_in(dst, r->host + off, part);
		dst += part;
		addr += part;
		len -= (uint32_t)part;
		if (len && addr == 0) {
			vq_break(q, "indirect table wraps around the end of the address space");
			return CHAIN_BROKEN;
		}
	}
	return CHAIN_OK;
}

enum chain_res chain_end(struct vu_queue *q, struct chain_build *b)
{
	struct vq_slot *s = b->s;
	struct iovec *iov = slot_iov(s);

	if (unlikely(b->in_len + b->out_len > UINT32_MAX)) { /* 2.7.5 */
		vq_break(q, "chain of more than 4 GiB");
		return CHAIN_BROKEN;
	}
	s->c.out = iov;
	s->c.in = iov + b->out_n;
	s->c.out_n = (uint16_t)b->out_n;
	s->c.in_n = (uint16_t)(b->n - b->out_n);
	s->c.out_len = (uint32_t)b->out_len;
	s->c.in_len = (uint32_t)b->in_len;
	s->in_total = (uint32_t)b->in_len;
	s->last = NULL;
	s->use = q->use;
	s->use->pins++;
	s->state = SLOT_READY;
	q->ready[q->ready_n++] = s->index;
	if (b->out_n)
		__builtin_prefetch(iov[0].iov_base); /* the request header */
	if (b->n > b->out_n)                         /* the status, at the very end */
		__builtin_prefetch((uint8_t *)iov[b->n - 1].iov_base + iov[b->n - 1].iov_len - 1,
				   1);
	return CHAIN_OK;
}

/* ---- what a model does with a chain ---- */

static inline struct vq_slot *chain_slot(struct vu_chain *c)
{
	return (struct vq_slot *)c;
}

/* Copied from or to memory that has vanished meanwhile: the bytes mean nothing. */
static bool chain_lost(struct vu_chain *c, const void *at, size_t n)
{
	struct vq_slot *s = chain_slot(c);

	return use_poisoned(s->use) && gmem_range_poisoned(s->use->map, at, n) &&
	       !vq_break(c->queue, "guest memory vanished");
}

/* Consume @n bytes at the front of an iovec list, copying with @out direction. */
static bool iov_take(struct vu_chain *c, struct iovec **list, uint16_t *cnt, uint32_t *left,
		     void *in, const void *out, size_t n)
{
	*left -= (uint32_t)n;
	while (n) {
		struct iovec *v = *list;
		size_t part = MIN(n, v->iov_len);

		if (in) {
			guest_copy_in(in, v->iov_base, part);
			in = (uint8_t *)in + part;
		} else if (out) {
			guest_copy_out(v->iov_base, out, part);
			out = (const uint8_t *)out + part;
		} else {
			memset(v->iov_base, 0, part);
		}
		if (!in)
			gmem_dirty_host(chain_slot(c)->use->map, v->iov_base, part);
		if (unlikely(chain_lost(c, v->iov_base, part)))
			return false;
		n -= part;
		if (part == v->iov_len) {
			(*list)++;
			(*cnt)--;
		} else {
			v->iov_base = (uint8_t *)v->iov_base + part;
			v->iov_len -= part;
		}
	}
	return true;
}

bool vu_chain_get(struct vu_chain *c, void *buf, size_t n)
{
	struct iovec *v = c->out;

	if (unlikely(c->out_len < n))
		return false;
	/* The header of most devices, in a descriptor of its own: no loop, no call. */
	if (likely(n == 16 && v->iov_len == 16)) {
		guest_copy_in(buf, v->iov_base, 16);
		c->out++;
		c->out_n--;
		c->out_len -= 16;
		return likely(!use_poisoned(chain_slot(c)->use)) || !chain_lost(c, v->iov_base, 16);
	}
	return iov_take(c, &c->out, &c->out_n, &c->out_len, buf, NULL, n);
}

bool vu_chain_put(struct vu_chain *c, const void *buf, size_t n)
{
	if (unlikely(c->in_len < n || c->queue->orphan))
		return false;
	return iov_take(c, &c->in, &c->in_n, &c->in_len, NULL, buf, n);
}

bool vu_chain_put_zero(struct vu_chain *c, size_t n)
{
	if (unlikely(c->in_len < n || c->queue->orphan))
		return false;
	return iov_take(c, &c->in, &c->in_n, &c->in_len, NULL, NULL, n);
}

bool vu_chain_take_last(struct vu_chain *c)
{
	struct iovec *v;

	if (unlikely(c->in_n == 0))
		return false;
	v = &c->in[c->in_n - 1];
	v->iov_len--;
	c->in_len--;
	chain_slot(c)->last = (uint8_t *)v->iov_base + v->iov_len;
	if (v->iov_len == 0)
		c->in_n--;
	return true;
}

void vu_chain_put_last(struct vu_chain *c, uint8_t status)
{
	struct vq_slot *s = chain_slot(c);

	if (!s->last || c->queue->orphan) /* its driver was told that we are gone */
		return;
	guest_copy_out(s->last, &status, 1);
	gmem_dirty_host(s->use->map, s->last, 1);
}
