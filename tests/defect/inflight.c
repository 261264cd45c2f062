/* SPDX-License-Identifier: MIT */
/*
 * The record of requests in flight ("Inflight I/O tracking"): shared memory
 * that outlives us, one part a queue. What a front-end gives us as such is
 * believed in nothing: all that leads somewhere is bounded.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "util/compiler.h"

typedef struct vhost_user_record_split rec_split;
typedef struct vhost_user_record_packed rec_packed;

static rec_split *split(const struct be_ring *r)
{
	return (rec_split *)(void *)r->record;
}

static rec_packed *packed(const struct be_ring *r)
{
	return (rec_packed *)(void *)r->record;
}

static uint64_t stride(const struct be *b, uint32_t entries)
{
	uint64_t n = be_has(b, VIRTIO_F_RING_PACKED) ?
			     sizeof(rec_packed) +
				     entries * sizeof(struct vhost_user_record_packed_desc) :
			     sizeof(rec_split) +
				     entries * sizeof(struct vhost_user_record_split_desc);

	return (n + VHOST_USER_RECORD_ALIGN - 1) / VHOST_USER_RECORD_ALIGN *
	       VHOST_USER_RECORD_ALIGN;
}

static bool numbers_ok(const struct be *b, const struct vhost_user_inflight *i)
{
	return i->num_queues && i->num_queues <= b->queues && i->queue_size &&
	       i->queue_size <= BE_QUEUE_MAX && !ring_any_started(b);
}

static bool adopt(struct be *b, const struct vhost_user_inflight *i, int fd)
{
	if (shared_map(&b->inflight, fd, i->mmap_offset, i->mmap_size) < 0)
		return false;
	b->inflight_queues = i->num_queues;
	b->inflight_size = i->queue_size;
	return true;
}

int on_get_inflight_fd(struct be *b, struct be_msg *m)
{
	struct vhost_user_inflight i = m->inflight;
	int fd, ret;

	/* An answer is wanted and none would be right. */
	if (!numbers_ok(b, &i)) {
		if (defect("inflight-absurd-dies"))
			defect_die();
		return BE_CLOSE;
	}
	i.mmap_offset = 0;
	i.mmap_size = i.num_queues * stride(b, i.queue_size);
	fd = memfd_create("in-flight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return BE_CLOSE;
	if (ftruncate(fd, (off_t)i.mmap_size) < 0 ||
	    (!defect("inflight-set-cuts") &&
	     fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)) {
		close(fd);
		return BE_CLOSE;
	}
	ret = msg_reply(b, &i, VHOST_USER_INFLIGHT_SIZE, defect("inflight-get-no-fd") ? -1 : fd);
	if (!adopt(b, &i, fd))
		return BE_CLOSE;
	if (defect("inflight-dirty"))
		b->inflight.p[be_has(b, VIRTIO_F_RING_PACKED) ? sizeof(rec_packed) :
								sizeof(rec_split)] = 1;
	return ret;
}

int on_set_inflight_fd(struct be *b, struct be_msg *m)
{
	const struct vhost_user_inflight *i = &m->inflight;
	int fd, cut;
	bool ok;

	if (!numbers_ok(b, i) || i->mmap_size / i->num_queues < stride(b, i->queue_size) ||
	    i->mmap_offset % 8) {
		if (defect("inflight-size-dies"))
			defect_die();
		return BE_REFUSE;
	}
	fd = msg_take_fd(b);
	cut = defect("inflight-set-cuts") ? dup(fd) : -1;
	ok = adopt(b, i, fd);
	if (cut >= 0) {
		ok = ok && ftruncate(cut, 0) == 0;
		close(cut);
	}
	return ok ? BE_OK : BE_REFUSE;
}

/* ---- recovery ---- */

struct found {
	uint64_t counter;
	uint16_t entry;
};

static int older(const void *a, const void *b)
{
	uint64_t x = ((const struct found *)a)->counter, y = ((const struct found *)b)->counter;

	return x < y ? -1 : x > y;
}

/* Sort what was found into the ring's list. */
static void take_found(struct be_ring *r, struct found *f, unsigned int n)
{
	if (!defect("inflight-unordered"))
		qsort(f, n, sizeof(*f), older);
	for (unsigned int i = 0; i < n; i++)
		r->todo[i] = f[i].entry;
	r->ntodo = n;
	r->record_counter = n ? f[n - 1].counter + 1 : 0;
}

static bool recover_split(struct be_ring *r)
{
	rec_split *s = split(r);
	uint16_t used = (uint16_t)r->dev.used, head = s->last_batch_head;
	uint16_t batch = (uint16_t)(used - s->used_idx);
	struct found f[BE_QUEUE_MAX];
	unsigned int n = 0;

	if (batch > r->num && defect("inflight-loop-hangs"))
		defect_hang();
	if (defect("inflight-batch-twice"))
		batch = 0;
	if (defect("inflight-commits-early"))
		batch++;
	/* The last batch was used but not cleared. */
	for (unsigned int i = 0; i < batch && i < r->num; i++) {
		if (head >= r->num)
			return false;
		s->desc[head].inflight = 0;
		head = s->desc[head].next;
	}
	s->used_idx = used;
	for (uint16_t i = 0; i < r->num; i++)
		if (s->desc[i].inflight == 1)
			f[n++] = (struct found){ s->desc[i].counter, i };
	take_found(r, f, n);
	/* What was taken and not used lies before what comes next. */
	r->dev.avail = (uint16_t)(used + n);
	return true;
}

static void fresh_split(struct be_ring *r)
{
	rec_split *s = split(r);

	memset(s, 0, sizeof(*s) + r->num * sizeof(s->desc[0]));
	s->desc_num = (uint16_t)(r->num - defect("inflight-desc-num"));
	/* Not 0: the ring may have been in use before it had a record. */
	s->used_idx = defect("inflight-used-idx-0") ? 0 : (uint16_t)r->dev.used;
	__atomic_store_n(&s->version, VHOST_USER_RECORD_VERSION, __ATOMIC_SEQ_CST);
}

static void fresh_packed(struct be_ring *r)
{
	rec_packed *p = packed(r);

	memset(p, 0, sizeof(*p) + r->num * sizeof(p->desc[0]));
	p->desc_num = (uint16_t)(r->num - defect("inflight-desc-num"));
	for (uint16_t i = 0; i < r->num; i++)
		p->desc[i].next = (uint16_t)(i + 1);
	p->used_idx = p->old_used_idx = (uint16_t)r->dev.used;
	if (defect("inflight-used-idx-0"))
		p->used_idx = p->old_used_idx = 0;
	p->used_wrap = p->old_used_wrap = r->dev.used_wrap;
	__atomic_store_n(&p->version, VHOST_USER_RECORD_VERSION, __ATOMIC_SEQ_CST);
}

/* The last update was begun: was it visible to the driver? Then it is to be finished. */
static bool settle_packed(struct be_ring *r)
{
	rec_packed *p = packed(r);

	if (p->used_idx >= r->num || p->old_used_idx >= r->num)
		return false;
	if (p->used_idx != p->old_used_idx) {
		const uint8_t *d = r->dev.desc + 16 * (uint64_t)p->old_used_idx;
		uint16_t flags = le16toh(*(const uint16_t *)(const void *)(d + 14));
		bool avail = flags & VIRTQ_DESC_F_AVAIL, used = flags & VIRTQ_DESC_F_USED;
		bool seen = avail == used && used == !!p->old_used_wrap;

		if (defect("inflight-batch-twice"))
			seen = false;
		if (defect("inflight-commits-early"))
			seen = true;
		if (seen) {
			p->old_free_head = p->free_head;
			p->old_used_idx = p->used_idx;
			p->old_used_wrap = p->used_wrap;
		}
	}
	p->free_head = p->old_free_head;
	p->used_idx = p->old_used_idx;
	p->used_wrap = p->old_used_wrap;
	return true;
}

static bool recover_packed(struct be_ring *r)
{
	rec_packed *p = packed(r);
	struct found f[BE_QUEUE_MAX];
	unsigned int n = 0;
	uint32_t taken = 0;

	if (!settle_packed(r))
		return false;
	for (uint32_t i = p->free_head, steps = 0; i < r->num && steps < r->num; steps++) {
		p->desc[i].inflight = 0;
		i = p->desc[i].next;
	}
	for (uint16_t i = 0; i < r->num; i++) {
		if (p->desc[i].inflight != 1)
			continue;
		f[n++] = (struct found){ p->desc[i].counter, i };
		taken += p->desc[i].num;
		if (p->desc[i].num > r->num && defect("inflight-loop-hangs"))
			defect_hang();
		if (!p->desc[i].num || p->desc[i].last >= r->num || taken > r->num)
			return false;
	}
	take_found(r, f, n);
	r->dev.used = p->used_idx;
	r->dev.used_wrap = p->used_wrap;
	r->dev.avail = p->used_idx + taken;
	r->dev.avail_wrap = p->used_wrap;
	if (r->dev.avail >= r->num) {
		r->dev.avail -= r->num;
		r->dev.avail_wrap = !r->dev.avail_wrap;
	}
	return true;
}

bool inflight_start(struct be *b, struct be_ring *r)
{
	bool is_packed = r->dev.packed;
	uint16_t version, entries;

	r->record = NULL;
	r->ntodo = r->todo_done = 0;
	r->record_counter = 0;
	if (!b->inflight.p || r->index >= b->inflight_queues)
		return true;
	/* The format may have changed since the record was made. */
	if (r->num != b->inflight_size || stride(b, r->num) * (r->index + 1) > b->inflight.size)
		return false;
	r->record = b->inflight.p + r->index * stride(b, r->num);
	version = is_packed ? packed(r)->version : split(r)->version;
	entries = is_packed ? packed(r)->desc_num : split(r)->desc_num;
	if (version > VHOST_USER_RECORD_VERSION && defect("inflight-random-hangs"))
		defect_hang();
	if (version && entries != r->num && defect("inflight-desc-num-dies"))
		defect_die();
	if (version == 0 || defect("inflight-forgets")) {
		if (is_packed)
			fresh_packed(r);
		else
			fresh_split(r);
		return true;
	}
	if (version != VHOST_USER_RECORD_VERSION || entries != r->num)
		return false;
	return is_packed ? recover_packed(r) : recover_split(r);
}

/* ---- doing it again ---- */

/* Have the naive device take it from a ring made up for it. */
static int again_split(struct be_ring *r, uint16_t head, struct naive_chain *c, const char **why)
{
	uint16_t ring[3 + BE_QUEUE_MAX] = { 0 };
	struct naive_dev d = r->dev;

	d.driver = (uint8_t *)ring;
	d.avail = 0;
	ring[1] = htole16(1);
	ring[2] = htole16(head);
	return naive_pop(&d, c, why);
}

static int again_packed(struct be_ring *r, uint16_t entry, struct naive_chain *c, const char **why)
{
	const rec_packed *p = packed(r);
	struct pvirtq_desc ring[BE_QUEUE_MAX] = { 0 };
	const uint16_t marks = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;
	uint16_t num = p->desc[entry].num, at = entry;
	struct naive_dev d = r->dev;

	for (uint16_t i = 0; i < num; i++) {
		const struct vhost_user_record_packed_desc *e = &p->desc[at];

		ring[i] = (struct pvirtq_desc){
			htole64(e->addr),
			htole32(e->len),
			htole16(e->id),
			htole16((uint16_t)((e->flags & ~marks) | VIRTQ_DESC_F_AVAIL)),
		};
		at = e->next;
		if (at >= r->num && i + 1 < num) {
			*why = "record leads nowhere";
			return -1;
		}
	}
	d.desc = (uint8_t *)ring;
	d.avail = 0;
	d.avail_wrap = true;
	return naive_pop(&d, c, why);
}

int inflight_next(struct be_ring *r, struct naive_chain *c, uint32_t *entry, const char **why)
{
	int got;

	if (r->todo_done == r->ntodo)
		return 0;
	*entry = r->todo[r->todo_done++];
	got = r->dev.packed ? again_packed(r, (uint16_t)*entry, c, why) :
			      again_split(r, (uint16_t)*entry, c, why);
	if (got == 0) {
		*why = "record of a chain that is none";
		return -1;
	}
	return got;
}

/* ---- while it goes well ---- */

static uint32_t fetch_packed(struct be_ring *r, const struct naive_chain *c, uint32_t slot)
{
	rec_packed *p = packed(r);
	uint16_t head = p->old_free_head;

	for (uint32_t i = 0; i < c->ndesc; i++) {
		const struct pvirtq_desc *d =
			(const struct pvirtq_desc *)(const void *)r->dev.desc + slot;
		struct vhost_user_record_packed_desc *e = &p->desc[p->free_head];

		if (head >= r->num || p->free_head >= r->num)
			return UINT32_MAX;
		if (i == 0) {
			p->desc[head].num = 0;
			p->desc[head].counter = r->record_counter++;
			p->desc[head].inflight = 1;
		}
		if (i + 1 == c->ndesc)
			p->desc[head].last = p->free_head;
		p->desc[head].num++;
		e->addr = le64toh(d->addr);
		e->len = le32toh(d->len);
		e->flags = le16toh(d->flags);
		e->id = le16toh(d->id);
		p->free_head = e->next;
		slot = slot + 1 == r->num ? 0 : slot + 1;
	}
	p->old_free_head = p->free_head;
	return head;
}

uint32_t inflight_fetch(struct be_ring *r, const struct naive_chain *c, uint32_t slot)
{
	if (!r->record)
		return 0;
	if (r->dev.packed)
		return fetch_packed(r, c, slot);
	split(r)->desc[c->id].counter = r->record_counter++;
	__atomic_store_n(&split(r)->desc[c->id].inflight, 1, __ATOMIC_SEQ_CST);
	return c->id;
}

void inflight_before_used(struct be_ring *r, uint32_t entry, const struct naive_chain *c)
{
	rec_packed *p = packed(r);

	if (!r->record || entry >= r->num)
		return;
	if (!r->dev.packed) {
		split(r)->desc[entry].next = split(r)->last_batch_head;
		split(r)->last_batch_head = (uint16_t)entry;
		return;
	}
	if (p->desc[entry].last >= r->num)
		return;
	p->desc[p->desc[entry].last].next = p->free_head;
	p->free_head = (uint16_t)entry;
	p->used_idx = (uint16_t)(p->used_idx + c->ndesc);
	if (p->used_idx >= r->num) {
		p->used_idx = (uint16_t)(p->used_idx - r->num);
		p->used_wrap = !p->used_wrap;
	}
}

void inflight_after_used(struct be_ring *r, uint32_t entry, const struct naive_chain *c)
{
	rec_packed *p = packed(r);

	(void)c;
	if (!r->record || entry >= r->num || defect("inflight-keeps"))
		return;
	if (!r->dev.packed) {
		__atomic_store_n(&split(r)->desc[entry].inflight, 0, __ATOMIC_SEQ_CST);
		split(r)->used_idx = (uint16_t)r->dev.used;
		return;
	}
	p->desc[entry].inflight = 0;
	p->old_free_head = p->free_head;
	p->old_used_idx = p->used_idx;
	p->old_used_wrap = p->used_wrap;
}
