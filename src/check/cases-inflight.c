/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: the record of requests in flight.
 *
 * When requests are outstanding is not in our hands, so a back-end's death is
 * made up: what it would have left in the record is written there by us, and
 * it is given the record over the next connection. That needs a record laid
 * out as "Inflight I/O tracking" shows, which is the back-end's choice; where
 * it is not, these cases are skipped.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "check/req.h"
#include "util/compiler.h"

#define TRACKING "vhost-user: Inflight I/O tracking"
#define GET_FD   "vhost-user: VHOST_USER_GET_INFLIGHT_FD"
#define SET_FD   "vhost-user: VHOST_USER_SET_INFLIGHT_FD"

#define ENTRIES 64
#define NEEDS   (NEED_INFLIGHT | NEED_PROTOCOL | NEED_BLK)

/**
 * struct world - a device, its record, and a front-end that outlives connections
 * @i:		as the back-end gave it, or of our own making
 * @map:	of the whole file
 * @split, @packed: first queue's part
 */
struct world {
	struct check_dev *d;
	struct vuc_inflight i;
	uint8_t *map;
	size_t map_size;
	struct vhost_user_record_split *split;
	struct vhost_user_record_packed *packed;
};

/* That it is not longer than its file vuc_get_inflight_fd() has seen to. */
static void map_record(struct check *c, struct world *w)
{
	uint64_t need = check_packed(c) ?
				sizeof(*w->packed) + ENTRIES * sizeof(w->packed->desc[0]) :
				sizeof(*w->split) + ENTRIES * sizeof(w->split->desc[0]);

	if (w->i.mmap_size < need || w->i.mmap_offset % 8) {
		close(w->i.fd);
		check_skip(c, "the record is not laid out as the specification shows");
	}
	w->map_size = w->i.mmap_offset + w->i.mmap_size;
	w->map = mmap(NULL, w->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, w->i.fd, 0);
	if (w->map == MAP_FAILED)
		check_fail(c, "a record that can be mapped", "%s", strerror(errno));
	w->split = (void *)(w->map + w->i.mmap_offset);
	w->packed = (void *)(w->map + w->i.mmap_offset);
}

static void world_end(struct world *w)
{
	munmap(w->map, w->map_size);
	close(w->i.fd);
}

/* Have the back-end make a record, and give it back as front-ends do. */
static void get_record(struct check *c, struct world *w)
{
	struct err e = { .code = 0 };

	check_ok(c, &e, vuc_get_inflight_fd(w->d->v, 1, ENTRIES, &w->i, &e));
	map_record(c, w);
	check_ok(c, &e, vuc_set_inflight_fd(w->d->v, &w->i, &e));
}

/* Status is left out: over the next connection there would be nobody to set it. */
static struct check_dev *device(struct check *c)
{
	const struct check_dev_args a = {
		.no_start = true,
		.size = ENTRIES,
		.protocol_off = RAW_PF(STATUS),
	};

	return check_dev(c, &a);
}

static void start_at(struct check *c, struct check_dev *d, struct vq_base base)
{
	struct err e = { .code = 0 };

	check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &base, &e));
}

static struct world world(struct check *c)
{
	struct world w = { .d = device(c) };

	get_record(c, &w);
	check_start(c, w.d, 0);
	return w;
}

/* Where the device has put its last used entry. All requests are done. */
static struct vq_base used_base(const struct check_dev *d)
{
	const struct drv_ring *r = d->q[0].ring;

	if (!r->packed)
		return (struct vq_base){ .avail_idx = drv_raw_used_idx(r) };
	return (struct vq_base){ r->used_idx, r->used_idx, r->used_wrap, r->used_wrap };
}

/* The connection ends with the rings running, as when the back-end dies; then there is another. */
static void crash(struct check *c, struct world *w)
{
	check_disconnect(c, w->d->v);
}

static int reconnect(struct check *c, struct world *w, struct err *e)
{
	struct check_dev *d = w->d;
	int ret;

	d->v = check_connect(c);
	check_negotiate(c, d->v, d->virtio,
			RAW_PROTOCOL & ~RAW_PF(STATUS) & check_facts(c)->protocol_features);
	ret = vuc_set_inflight_fd(d->v, &w->i, e);
	return ret ? ret : d->t->ops->set_mem(d->t, d->m, e);
}

/*
 * As front-ends do: the base is where the used ring stands. The record says
 * what lies between that and where the back-end goes on.
 */
static void recover(struct check *c, struct world *w, struct vq_base base)
{
	struct err e = { .code = 0 };

	check_ok(c, &e, reconnect(c, w, &e));
	start_at(c, w->d, base);
}

static void need_layout(struct check *c, const struct world *w)
{
	/* Both formats begin with the same three fields. */
	if (w->split->version != VHOST_USER_RECORD_VERSION || w->split->desc_num != ENTRIES ||
	    w->split->features)
		check_skip(c, "the record is not laid out as the specification shows");
	if (check_packed(c) && (w->packed->free_head >= ENTRIES || w->packed->used_idx >= ENTRIES))
		check_skip(c, "the record is not laid out as the specification shows");
}

/* ---- what a back-end would have written ---- */

/* One request of three descriptors in the ring, which the driver has just published. */
struct flight {
	uint16_t entry; /* of the record */
	uint16_t head;  /* split: head descriptor; packed: buffer id */
	uint16_t slot;  /* packed: of its first descriptor */
};

#define PARTS 3

static uint16_t ring_slot(const struct drv_ring *r, uint32_t i)
{
	return (uint16_t)(i % r->size);
}

/* Take the descriptors at @slot into the record: "When receiving available buffers". */
static void fetch_packed(const struct world *w, struct flight *f, uint64_t counter)
{
	const struct drv_ring *r = w->d->q[0].ring;
	struct vhost_user_record_packed *p = w->packed;

	f->entry = p->free_head;
	for (unsigned int i = 0; i < PARTS; i++) {
		const struct pvirtq_desc *d = &r->pdesc[ring_slot(r, f->slot + i)];
		struct vhost_user_record_packed_desc *e = &p->desc[p->free_head % ENTRIES];

		e->addr = le64toh(d->addr);
		e->len = le32toh(d->len);
		e->flags = le16toh(d->flags);
		e->id = f->head = le16toh(d->id);
		p->desc[f->entry].last = p->free_head;
		p->free_head = e->next;
	}
	p->desc[f->entry].num = PARTS;
	p->desc[f->entry].counter = counter;
	p->desc[f->entry].inflight = 1;
	p->old_free_head = p->free_head;
}

/* Request @i of those published from @from on, taken as the @counter th. */
static struct flight fetch(struct check *c, const struct world *w, struct vq_base from,
			   unsigned int i, uint64_t counter)
{
	const struct drv_ring *r = w->d->q[0].ring;
	struct flight f = { 0 };

	if (check_packed(c)) {
		f.slot = ring_slot(r, from.avail_idx + i * PARTS);
		fetch_packed(w, &f, counter);
		return f;
	}
	f.head = f.entry = le16toh(r->avail->ring[ring_slot(r, (uint16_t)(from.avail_idx + i))]);
	w->split->desc[f.entry].counter = counter;
	w->split->desc[f.entry].inflight = 1;
	return f;
}

/* The used entry, before the record is told: what the driver sees. Return: the base after it. */
static struct vq_base give_back(struct check *c, const struct world *w, struct vq_base at,
				const struct flight *f, uint32_t len)
{
	struct drv_ring *r = w->d->q[0].ring;

	if (!check_packed(c)) {
		struct virtq_used_elem *u = &r->used->ring[ring_slot(r, at.avail_idx)];

		u->id = htole32(f->head);
		u->len = htole32(len);
		at.avail_idx++;
		__atomic_store_n(&r->used->idx, htole16(at.avail_idx), __ATOMIC_RELEASE);
		return at;
	}
	drv_raw_pdesc(r, at.used_idx, 0, len, f->head,
		      at.used_wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0);
	at.used_idx = (uint16_t)(at.used_idx + PARTS);
	if (at.used_idx >= r->size) {
		at.used_idx = (uint16_t)(at.used_idx - r->size);
		at.used_wrap = !at.used_wrap;
	}
	at.avail_idx = at.used_idx;
	at.avail_wrap = at.used_wrap;
	return at;
}

/* The first half of "When supplying used buffers", until the used index is moved. */
static void record_before(struct check *c, const struct world *w, const struct flight *f,
			  struct vq_base after)
{
	struct vhost_user_record_packed *p = w->packed;

	if (!check_packed(c)) {
		w->split->desc[f->entry].next = w->split->last_batch_head;
		w->split->last_batch_head = f->entry;
		return;
	}
	p->desc[p->desc[f->entry].last].next = p->free_head;
	p->free_head = f->entry;
	p->used_idx = after.used_idx;
	p->used_wrap = after.used_wrap;
}

/* And the second. */
static void record_after(struct check *c, const struct world *w, const struct flight *f,
			 struct vq_base after)
{
	struct vhost_user_record_packed *p = w->packed;

	if (!check_packed(c)) {
		w->split->desc[f->entry].inflight = 0;
		w->split->used_idx = after.avail_idx;
		return;
	}
	p->desc[f->entry].inflight = 0;
	p->old_free_head = p->free_head;
	p->old_used_idx = p->used_idx;
	p->old_used_wrap = p->used_wrap;
}

/* ---- requests that are left behind ---- */

/* GET_ID: answered at once, and in its order, by whoever keeps an order at all. */
static void publish(struct check *c, struct world *w, unsigned int first, unsigned int n)
{
	struct check_dev *d = w->d;

	for (unsigned int i = first; i < first + n; i++) {
		struct drv_seg s[PARTS] = {
			{ d->buf_gpa + req_hdr_at(c, i), sizeof(struct virtio_blk_req_hdr), 0 },
			{ d->buf_gpa + req_at(c, i), VIRTIO_BLK_ID_BYTES, 1 },
			{ d->buf_gpa + req_status_at(c, i), 1, 1 },
		};

		req_hdr(d, req_hdr_at(c, i), VIRTIO_BLK_T_GET_ID, 0);
		memset(d->buf + req_at(c, i), REQ_POISON, VIRTIO_BLK_ID_BYTES);
		d->buf[req_status_at(c, i)] = REQ_PENDING;
		if (drv_add(d->q[0].ring, s, PARTS, false, d->buf + req_at(c, i)) < 0)
			check_skip(c, "the ring is full");
	}
	drv_publish(d->q[0].ring);
}

/* The next that comes back: which of publish() it was. Fails the case when none comes. */
static unsigned int next_back(struct check *c, struct world *w)
{
	struct drv_used u;

	if (!req_poll(w->d, 0, &u, check_timeout_ms(c)))
		check_fail(c, "what was in flight is processed again", "%s",
			   drv_broken(w->d->q[0].ring) ? drv_broken(w->d->q[0].ring) :
							 "it does not come back");
	for (unsigned int i = 0; i < req_slots(c); i++)
		if (u.cookie == w->d->buf + req_at(c, i))
			return i;
	check_fail(c, "what was in flight comes back", "something else did");
}

static void expect_done(struct check *c, const struct world *w, unsigned int i)
{
	uint8_t st = w->d->buf[req_status_at(c, i)];

	if (st == REQ_PENDING)
		check_fail(c, "what was in flight is processed again",
			   "request %u came back without a status", i);
}

/* The ring goes on where it should: the next request comes back, and it alone. */
static void goes_on(struct check *c, struct world *w, struct vq_base at)
{
	struct drv_used u;
	uint16_t idx;

	if (req_poll(w->d, 0, &u, 0))
		check_fail(c, "each request comes back once", "one came back again");
	check_works(c, w->d, 0);
	idx = used_base(w->d).avail_idx;
	if (!check_packed(c) && idx != (uint16_t)(at.avail_idx + 1))
		check_fail(c, "each request comes back once",
			   "the used index is %u, not %u: something came back again", idx,
			   (uint16_t)(at.avail_idx + 1));
}

/* ---- cases: the record itself ---- */

static void get_answers(struct check *c)
{
	unsigned int queues = MIN(check_facts(c)->queues, 8);
	struct check_dev *d = device(c);
	struct err e = { .code = 0 };
	struct vuc_inflight i;

	for (unsigned int n = 1; n <= queues; n++) {
		check_ok(c, &e, vuc_get_inflight_fd(d->v, (uint16_t)n, 128, &i, &e));
		close(i.fd);
		if (i.mmap_size < n)
			check_fail(c, "room for every queue", "%llu bytes for %u queues",
				   (unsigned long long)i.mmap_size, n);
	}
}

static void fresh(struct check *c)
{
	struct world w = { .d = device(c) };
	unsigned int bad = 0;

	get_record(c, &w);
	if (w.split->version > VHOST_USER_RECORD_VERSION)
		check_fail(c, "version 0 or 1", "version %u", w.split->version);
	for (unsigned int i = 0; i < ENTRIES; i++)
		bad += check_packed(c) ? w.packed->desc[i].inflight : w.split->desc[i].inflight;
	if (bad)
		check_fail(c, "a new record has nothing in flight", "%u entries are", bad);
	world_end(&w);
}

static void described(struct check *c)
{
	struct world w = world(c);

	check_works(c, w.d, 0);
	if (w.split->version != VHOST_USER_RECORD_VERSION)
		check_fail(c, "a record in use has version 1", "version %u", w.split->version);
	if (w.split->desc_num != ENTRIES)
		check_fail(c, "desc_num is the size of the queue", "%u of a queue of %u",
			   w.split->desc_num, ENTRIES);
	world_end(&w);
}

/* What is done is taken out of the record a little after the driver sees it: stop first. */
static void follows(struct check *c)
{
	struct world w = world(c);
	unsigned int left = 0;
	uint16_t at;

	for (unsigned int i = 0; i < 5; i++)
		check_works(c, w.d, 0);
	check_stop(c, w.d, 0);
	for (unsigned int i = 0; i < ENTRIES; i++)
		left += check_packed(c) ? w.packed->desc[i].inflight : w.split->desc[i].inflight;
	if (left)
		check_fail(c, "nothing is in flight in a stopped ring", "%u entries are", left);
	at = check_packed(c) ? w.packed->used_idx : w.split->used_idx;
	if (at != used_base(w.d).avail_idx)
		check_fail(c, "used_idx is the index of the used ring", "%u, not %u", at,
			   used_base(w.d).avail_idx);
	world_end(&w);
}

/* ---- cases: after a death ---- */

/*
 * Three were taken, the second was finished first. What the ring says is then
 * not what was in flight: only the record tells.
 */
static void resubmits(struct check *c)
{
	struct world w = world(c);
	struct vq_base base, after;
	struct flight f[3];
	unsigned int got[2];

	check_works(c, w.d, 0);
	crash(c, &w);
	need_layout(c, &w);
	base = used_base(w.d);
	publish(c, &w, 0, 3);
	for (unsigned int i = 0; i < 3; i++)
		f[i] = fetch(c, &w, base, i, 100 + i);
	after = give_back(c, &w, base, &f[1], VIRTIO_BLK_ID_BYTES + 1);
	w.d->buf[req_status_at(c, 1)] = VIRTIO_BLK_S_OK;
	record_before(c, &w, &f[1], after);
	record_after(c, &w, &f[1], after);
	if (next_back(c, &w) != 1)
		check_skip(c, "the ring is not as it should be");

	recover(c, &w, after);
	got[0] = next_back(c, &w);
	got[1] = next_back(c, &w);
	if (got[0] == 1 || got[1] == 1 || got[0] == got[1])
		check_fail(c, "requests 0 and 2, which were in flight, are processed again",
			   "%u and %u were", got[0], got[1]);
	expect_done(c, &w, 0);
	expect_done(c, &w, 2);
	after.avail_idx = (uint16_t)(after.avail_idx + 2);
	goes_on(c, &w, after);
	world_end(&w);
}

static void in_order(struct check *c)
{
	static const uint64_t counter[3] = { 102, 100, 101 };
	static const unsigned int order[3] = { 1, 2, 0 };
	struct world w = world(c);
	struct vq_base base;

	check_works(c, w.d, 0);
	crash(c, &w);
	need_layout(c, &w);
	base = used_base(w.d);
	publish(c, &w, 0, 3);
	for (unsigned int i = 0; i < 3; i++)
		fetch(c, &w, base, i, counter[i]);
	recover(c, &w, base);
	for (unsigned int i = 0; i < 3; i++) {
		unsigned int got = next_back(c, &w);

		if (got != order[i])
			check_fail(c, "requests are processed again in the order of their counter",
				   "number %u came back as %u. of 3", got, i + 1);
	}
	world_end(&w);
}

/* It died between the used index and the record: what the driver has seen is done. */
static void last_batch(struct check *c)
{
	struct world w = world(c);
	struct vq_base base, after;
	struct flight f;

	check_works(c, w.d, 0);
	crash(c, &w);
	need_layout(c, &w);
	base = used_base(w.d);
	publish(c, &w, 0, 1);
	f = fetch(c, &w, base, 0, 100);
	after = give_back(c, &w, base, &f, VIRTIO_BLK_ID_BYTES + 1);
	w.d->buf[req_status_at(c, 0)] = VIRTIO_BLK_S_OK;
	record_before(c, &w, &f, after);
	recover(c, &w, after);
	/* The driver has not looked yet, so nothing else is where the first one was. */
	publish(c, &w, 1, 1);
	fe_queue_kick(&w.d->q[0]);
	for (unsigned int i = 0; i < 2; i++)
		if (next_back(c, &w) != i)
			check_fail(c, "what was used before the end is not processed again",
				   "something else came back as %u. of 2", i + 1);
	after.avail_idx++;
	goes_on(c, &w, after);
	if (w.d->buf[req_at(c, 0)] != REQ_POISON)
		check_fail(c, "what was used before the end is not processed again",
			   "the device wrote to its buffer");
	world_end(&w);
}

/* And just before the used index: it is not done. */
static void not_yet_used(struct check *c)
{
	struct world w = world(c);
	struct vq_base base, after;
	struct flight f;

	check_works(c, w.d, 0);
	crash(c, &w);
	need_layout(c, &w);
	base = after = used_base(w.d);
	publish(c, &w, 0, 2);
	f = fetch(c, &w, base, 0, 100);
	fetch(c, &w, base, 1, 101);
	after.used_idx = (uint16_t)((base.used_idx + PARTS) % ENTRIES);
	after.used_wrap = base.used_idx + PARTS >= ENTRIES ? !base.used_wrap : base.used_wrap;
	record_before(c, &w, &f, after);

	recover(c, &w, base);
	for (unsigned int i = 0; i < 2; i++)
		expect_done(c, &w, next_back(c, &w));
	base.avail_idx = (uint16_t)(base.avail_idx + 2);
	goes_on(c, &w, base);
	world_end(&w);
}

/* A record that is new while the ring is not, as after a migration. */
static void adopted_late(struct check *c)
{
	struct world w = { .d = device(c) };
	struct vq_base base;

	check_start(c, w.d, 0);
	for (unsigned int i = 0; i < 5; i++)
		check_works(c, w.d, 0);
	base = check_stop(c, w.d, 0);
	get_record(c, &w);
	start_at(c, w.d, base);
	/* It is started for certain once something comes back after it in the same stream. */
	raw_sync(c, w.d->v);
	crash(c, &w);
	need_layout(c, &w);
	base = used_base(w.d);
	publish(c, &w, 0, 3);
	for (unsigned int i = 0; i < 3; i++)
		fetch(c, &w, base, i, i);
	recover(c, &w, base);
	for (unsigned int i = 0; i < 3; i++)
		expect_done(c, &w, next_back(c, &w));
	base.avail_idx = (uint16_t)(base.avail_idx + 3);
	goes_on(c, &w, base);
	world_end(&w);
}

/* ---- cases: a front-end that lies ---- */

static void absurd_numbers(struct check *c)
{
	static const uint16_t bad[][2] = {
		{ 0, 128 },        { 1, 0 },          { 0, 0 }, { UINT16_MAX, UINT16_MAX },
		{ UINT16_MAX, 1 }, { 1, UINT16_MAX },
	};
	struct err e = { .code = 0 };

	for (unsigned int k = 0; k < ARRAY_SIZE(bad); k++) {
		struct check_dev *d = device(c);
		struct vuc_inflight i;
		int ret = vuc_get_inflight_fd(d->v, bad[k][0], bad[k][1], &i, &e);

		if (ret == -ETIMEDOUT)
			check_fail(c, "an answer, or the end of the connection",
				   "%u queues of %u entries: %s", bad[k][0], bad[k][1], e.what);
		/* A record of so many entries has a byte for each at least. */
		if (ret == 0 && i.mmap_size < (uint64_t)bad[k][0] * bad[k][1])
			check_fail(c, "a record with room for what was asked, or none",
				   "%llu bytes for %u queues of %u entries",
				   (unsigned long long)i.mmap_size, bad[k][0], bad[k][1]);
		if (ret == 0)
			close(i.fd);
		check_dev_close(c, d);
	}
	check_alive(c);
}

/* A file of ours instead of the back-end's. */
static void own_record(struct check *c, struct world *w, uint64_t size)
{
	w->i.fd = memfd_create("vuctl-check-record", MFD_CLOEXEC);
	if (w->i.fd < 0 || ftruncate(w->i.fd, (off_t)size) < 0)
		check_skip(c, "no memory for a record");
	w->i.mmap_size = size;
	w->i.mmap_offset = 0;
	w->i.num_queues = 1;
	w->i.queue_size = ENTRIES;
	map_record(c, w);
}

/* Connect with the record as it is, start, kick, and see what it does within a moment. */
static void provoke(struct check *c, struct world *w, const struct vuc_inflight *i)
{
	struct check_dev *d = w->d = device(c);
	struct vuc_inflight mine = w->i;
	struct err e = { .code = 0 };
	int ret;

	w->i = *i;
	ret = vuc_set_inflight_fd(d->v, &w->i, &e);
	w->i = mine;
	check_note(c, "SET_INFLIGHT_FD with %llu bytes at %llu, %u queues of %u: %s",
		   (unsigned long long)i->mmap_size, (unsigned long long)i->mmap_offset,
		   i->num_queues, i->queue_size, ret ? e.what : "taken");
	if (ret == 0 && fe_queue_start(&d->q[0], d->t, NULL, &e) == 0) {
		publish(c, w, 0, 1);
		fe_queue_kick(&d->q[0]);
		fe_queue_wait(&d->q[0], 1, check_timeout_ms(c) / 4);
	}
	check_dev_close(c, d);
}

static void bad_sizes(struct check *c)
{
	static const struct vuc_inflight bad[] = {
		{ .mmap_size = 64, .num_queues = 1, .queue_size = ENTRIES },
		{ .mmap_size = 0, .num_queues = 1, .queue_size = ENTRIES },
		{ .mmap_size = 1 << 20, .num_queues = 1, .queue_size = ENTRIES },
		{ .mmap_size = 4096,
		  .mmap_offset = 1 << 20,
		  .num_queues = 1,
		  .queue_size = ENTRIES },
		{ .mmap_size = 4096,
		  .mmap_offset = UINT64_MAX - 4095,
		  .num_queues = 1,
		  .queue_size = ENTRIES },
		{ .mmap_size = UINT64_MAX, .num_queues = 1, .queue_size = ENTRIES },
		{ .mmap_size = 4096, .num_queues = UINT16_MAX, .queue_size = ENTRIES },
		{ .mmap_size = 4096, .num_queues = 1, .queue_size = UINT16_MAX },
		{ .mmap_size = 4096, .num_queues = 1, .queue_size = 1 },
	};
	struct world w = { 0 };

	own_record(c, &w, 4096);
	for (unsigned int k = 0; k < ARRAY_SIZE(bad); k++) {
		struct vuc_inflight i = bad[k];

		i.fd = w.i.fd;
		memset(w.map, 0, w.map_size);
		provoke(c, &w, &i);
	}
	world_end(&w);
	check_alive(c);
}

#define BIG_RECORD 65536

static void random_bytes(struct check *c)
{
	struct world w = { 0 };

	own_record(c, &w, BIG_RECORD);
	for (unsigned int round = 0; round < 8; round++) {
		for (size_t i = 0; i < w.map_size; i++)
			w.map[i] = (uint8_t)check_rnd(c);
		/* What is read first is right in some rounds, so that the rest is looked at. */
		if (round & 1) {
			w.split->version = VHOST_USER_RECORD_VERSION;
			w.split->desc_num = ENTRIES;
			w.split->features = 0;
		}
		provoke(c, &w, &w.i);
	}
	world_end(&w);
	check_alive(c);
}

/* Lists that never end, and lists that lead out of the record. */
static void loops(struct check *c)
{
	static const uint16_t next[] = { 0, 1, ENTRIES, 0x7fff, UINT16_MAX };
	struct world w = { 0 };

	own_record(c, &w, BIG_RECORD);
	for (unsigned int k = 0; k < ARRAY_SIZE(next); k++) {
		memset(w.map, 0, w.map_size);
		w.split->version = VHOST_USER_RECORD_VERSION;
		w.split->desc_num = ENTRIES;
		if (check_packed(c)) {
			w.packed->free_head = w.packed->old_free_head = next[k];
			w.packed->used_wrap = w.packed->old_used_wrap = 1;
		} else {
			w.split->last_batch_head = next[k];
			w.split->used_idx = 1; /* the ring's is 0: a batch of 65535 */
		}
		for (unsigned int i = 0; i < ENTRIES; i++) {
			w.split->desc[i].next = check_packed(c) ? 0 : next[k];
			if (!check_packed(c))
				continue;
			w.packed->desc[i].next = next[k];
			w.packed->desc[i].last = next[k];
			w.packed->desc[i].num = UINT16_MAX;
			w.packed->desc[i].inflight = i & 1;
		}
		provoke(c, &w, &w.i);
	}
	world_end(&w);
	check_alive(c);
}

static void wrong_desc_num(struct check *c)
{
	static const uint16_t num[] = { 0, 1, ENTRIES - 1, ENTRIES + 1, 32768, UINT16_MAX };
	struct world w = { 0 };

	own_record(c, &w, BIG_RECORD);
	for (unsigned int k = 0; k < ARRAY_SIZE(num); k++) {
		memset(w.map, 0, w.map_size);
		w.split->version = VHOST_USER_RECORD_VERSION;
		w.split->desc_num = num[k];
		/* Far behind what a queue of this size has. */
		memset(w.map + BIG_RECORD / 2, 1, BIG_RECORD / 2);
		provoke(c, &w, &w.i);
	}
	world_end(&w);
	check_alive(c);
}

static void vanishes(struct check *c)
{
	struct world w = { .d = device(c) };
	struct err e = { .code = 0 };

	own_record(c, &w, BIG_RECORD);
	if (vuc_set_inflight_fd(w.d->v, &w.i, &e) == 0 &&
	    fe_queue_start(&w.d->q[0], w.d->t, NULL, &e) == 0) {
		check_works(c, w.d, 0);
		if (ftruncate(w.i.fd, 0) < 0)
			check_skip(c, "the record cannot be cut short: %s", strerror(errno));
		publish(c, &w, 0, 1);
		fe_queue_kick(&w.d->q[0]);
		fe_queue_wait(&w.d->q[0], 1, check_timeout_ms(c) / 4);
	}
	world_end(&w);
	check_alive(c);
}

const struct check_case check_inflight_cases[] = {
	{ "inflight.get-answers", GET_FD, "a record for any number of queues is as long as it says",
	  CHECK_MUST, NEED_INFLIGHT | NEED_PROTOCOL, true, get_answers },
	{ "inflight.fresh", TRACKING, "a new record has nothing in flight", CHECK_SHOULD, NEEDS,
	  true, fresh },
	{ "inflight.described", TRACKING,
	  "a record in use says its version and the size of the queue", CHECK_SHOULD, NEEDS, true,
	  described },
	{ "inflight.follows", TRACKING,
	  "the record of a stopped ring has nothing in flight and knows the used index",
	  CHECK_SHOULD, NEEDS, true, follows },
	{ "inflight.resubmits", TRACKING,
	  "what was in flight is processed again once, and what was not is not", CHECK_MUST, NEEDS,
	  true, resubmits },
	{ "inflight.in-order", TRACKING, "what was in flight is taken in the order of its counter",
	  CHECK_SHOULD, NEEDS, true, in_order },
	{ "inflight.last-batch", TRACKING,
	  "what the driver has seen used is not processed again, even if the record has it",
	  CHECK_MUST, NEEDS, true, last_batch },
	{ "inflight.not-yet-used", TRACKING,
	  "what was about to be used and was not is processed again", CHECK_MUST, NEEDS, true,
	  not_yet_used },
	{ "inflight.adopted-late", TRACKING,
	  "a new record of a ring that has run before loses nothing", CHECK_MUST, NEEDS, true,
	  adopted_late },
	{ "inflight.absurd-numbers", GET_FD,
	  "a record of impossible numbers is refused, or as long as it has to be", CHECK_MUST,
	  NEEDS, false, absurd_numbers },
	{ "inflight.bad-sizes", SET_FD, "a record that does not fit does no harm", CHECK_MUST,
	  NEEDS, true, bad_sizes },
	{ "inflight.random-bytes", TRACKING, "a record of random bytes does no harm", CHECK_MUST,
	  NEEDS, true, random_bytes },
	{ "inflight.loops", TRACKING,
	  "lists that have no end, or lead out of the record, do no harm", CHECK_MUST, NEEDS, true,
	  loops },
	{ "inflight.wrong-desc-num", TRACKING,
	  "a record that lies about the size of the queue does no harm", CHECK_MUST, NEEDS, true,
	  wrong_desc_num },
	{ "inflight.vanishes", TRACKING, "a record that is cut short in use does no harm",
	  CHECK_MUST, NEEDS, true, vanishes },
	{ 0 },
};
