/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: split and packed rings, driven as a driver may. Requests are
 * reads, so that nothing is changed; what they bring is compared with the same
 * blocks read one at a time.
 */
#include <errno.h>
#include <string.h>

#include "check/req.h"
#include "util/compiler.h"

/* Publish, kick if wanted, and get all back. */
static void round_trip(struct check *c, struct check_dev *d, unsigned int qi, unsigned int n)
{
	fe_queue_publish(&d->q[qi]);
	req_reap(c, d, qi, n);
}

/* @n reads one after the other, compared. */
static void reads(struct check *c, struct check_dev *d, const uint8_t *ref, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		req_must_add(c, d, 0, 0, req_ref_sector(c, i));
		round_trip(c, d, 0, 1);
		req_compare(c, ref, i, d->buf + req_at(c, 0), "again");
	}
}

static void one_request(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	check_works(c, d, 0);
	reads(c, d, req_reference(c, d), 1);
}

/* As many as go in, with one kick; several laps. Returns how many went in. */
static unsigned int fill_ring(struct check *c, struct check_dev *d, const uint8_t *ref,
			      unsigned int laps)
{
	unsigned int n = 0;

	for (unsigned int lap = 0; lap < laps; lap++) {
		for (n = 0; n < req_slots(c); n++)
			if (req_add(c, d, 0, n, VIRTIO_BLK_T_IN, req_ref_sector(c, n + lap),
				    false) < 0)
				break;
		round_trip(c, d, 0, n);
		for (unsigned int i = 0; i < n; i++)
			req_compare(c, ref, i + lap, d->buf + req_at(c, i), "among many");
	}
	return n;
}

static void many_in_flight(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	fill_ring(c, d, req_reference(c, d), 4);
}

/* The ring is never empty: what comes back goes in again. */
static void never_empty(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 32 });
	const uint8_t *ref = req_reference(c, d);
	unsigned int added = 0, done = 0;
	struct drv_used u;

	for (; added < 10; added++)
		req_must_add(c, d, 0, added, req_ref_sector(c, added));
	for (; done < 500; done++) {
		uint32_t slot;

		fe_queue_publish(&d->q[0]);
		if (!req_poll(d, 0, &u, check_timeout_ms(c)))
			check_fail(c, "every request to be answered", "%u of %u were", done, added);
		/* Which comes back first is for the device to choose. */
		slot = (uint32_t)((uint8_t *)u.cookie - d->buf) / req_at(c, 1);
		req_compare(c, ref, slot, u.cookie, "in a busy ring");
		if (added < 500) {
			req_must_add(c, d, 0, slot, req_ref_sector(c, slot));
			added++;
		}
	}
}

static void index_wraps(struct check *c)
{
	static const struct vq_base split[] = { { .avail_idx = 65530 }, { .avail_idx = 32766 } };
	static const struct vq_base packed[] = {
		{ .avail_idx = 13, .used_idx = 13 },
		{ .avail_idx = 13, .used_idx = 13, .avail_wrap = true, .used_wrap = true },
	};

	for (size_t i = 0; i < 2; i++) {
		const struct check_dev_args a = {
			.size = 16,
			.base = check_packed(c) ? packed[i] : split[i],
		};
		struct check_dev *d = check_dev(c, &a);
		const uint8_t *ref = req_reference(c, d);

		reads(c, d, ref, 40);
		fill_ring(c, d, ref, 5);
		check_dev_close(c, d);
	}
}

/* Does it take a ring of @size at all? */
static bool takes(struct check *c, uint32_t size)
{
	struct vuc *v = check_connect(c);
	struct err e = { 0 };
	bool ok;

	check_negotiate(c, v, check_facts(c)->features, check_facts(c)->protocol_features);
	ok = !check_refused(c, v, vuc_set_vring_num(v, 0, size, &e));
	check_disconnect(c, v);
	if (!ok)
		check_note(c, "%u entries are refused", size);
	return ok;
}

static void try_size(struct check *c, uint32_t size)
{
	/* The largest ring is half a MiB of descriptors; its tables would be eight times that. */
	const struct fe_mem_spec m = { 0, 32u << 20, 0, false };
	const struct check_dev_args a = { .size = size,
					  .indirect_max = size > 1024 ? 1 : 8,
					  .specs = &m,
					  .nspecs = 1 };
	struct check_dev *d = check_dev(c, &a);
	const uint8_t *ref = req_reference(c, d);

	check_note(c, "a ring of %u entries", size);
	fill_ring(c, d, ref, 3);
	reads(c, d, ref, MIN(size + 3, 40u));
	check_dev_close(c, d);
}

static void sizes(struct check *c)
{
	static const uint32_t size[] = { 4, 8, 64, 256, 1024 };

	for (size_t i = 0; i < ARRAY_SIZE(size); i++)
		if (takes(c, size[i]))
			try_size(c, size[i]);
}

static void largest(struct check *c)
{
	if (!takes(c, VIRTQ_MAX_SIZE))
		check_skip(c, "32768 entries are refused");
	try_size(c, VIRTQ_MAX_SIZE);
}

/* Header, and data with the status behind it, in two descriptors. */
static void two_descriptors(struct check *c, struct check_dev *d, const uint8_t *ref,
			    unsigned int i, bool indirect)
{
	uint32_t bs = req_block(c);
	const struct drv_seg s[2] = { { d->buf_gpa, 16, 0 }, { d->buf_gpa + 4096, bs + 1, 1 } };

	req_hdr(d, 0, VIRTIO_BLK_T_IN, req_ref_sector(c, i));
	memset(d->buf + 4096, REQ_POISON, bs + 1);
	if (check_blk_chain(c, d, 0, s, 2, indirect, 4096 + bs, NULL) != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u", d->buf[4096 + bs]);
	req_compare(c, ref, i, d->buf + 4096, "with the status joined to the data");
}

/* A ring of two holds a request of two descriptors; a ring of one needs a table. */
static void tiny(struct check *c)
{
	const struct fe_mem_spec spec = { 0, 1u << 20, 0, false };
	uint8_t *ref = check_mem(c, &spec, 1)->r[0].host; /* lasts over devices */
	struct check_dev *d = check_dev(c, NULL);
	bool tried = false;

	if (req_block(c) > 65536)
		check_skip(c, "blocks of %u bytes are too large", req_block(c));
	memcpy(ref, req_reference(c, d), (size_t)REQ_REFS * req_block(c));
	check_dev_close(c, d);
	for (uint32_t size = 1; size <= 2; size++) {
		if ((size == 1 && !check_offers(c, VIRTIO_F_INDIRECT_DESC)) || !takes(c, size))
			continue;
		tried = true;
		d = check_dev(c, &(struct check_dev_args){ .size = size });
		for (unsigned int i = 0; i < 9; i++)
			two_descriptors(c, d, ref, i, size == 1);
		check_dev_close(c, d);
	}
	if (!tried)
		check_skip(c, "rings of one and two entries are refused, or need indirect tables");
}

static void odd_sizes(struct check *c)
{
	static const uint32_t size[] = { 7, 100, 1000 };

	if (!check_packed(c))
		check_skip(c, "a split ring has a power of two of entries");
	for (size_t i = 0; i < ARRAY_SIZE(size); i++)
		if (takes(c, size[i]))
			try_size(c, size[i]);
}

/* ---- one request in many descriptors ---- */

/* Each block of the reference in a descriptor of its own, as often as allowed. */
static void long_chain(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	const uint8_t *ref = req_reference(c, d);
	uint32_t bs = req_block(c), n = req_max_segs(c, d);
	struct drv_seg s[256];

	n = MIN(n, MIN(126u, (1u << 20) / bs - 2));
	n = MIN(n, (uint32_t)(check_facts(c)->sectors / req_step(c)));
	check_note(c, "%u data descriptors of %u bytes", n, bs);
	req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
	s[0] = (struct drv_seg){ d->buf_gpa, 16, 0 };
	for (uint32_t i = 0; i < n; i++) /* backwards, so that no two are neighbours */
		s[i + 1] = (struct drv_seg){ d->buf_gpa + (uint64_t)(n - i) * bs, bs, 1 };
	s[n + 1] = (struct drv_seg){ d->buf_gpa + 64, 1, 1 };
	memset(d->buf + bs, REQ_POISON, (size_t)n * bs);
	if (check_blk_chain(c, d, 0, s, n + 2, false, 64, NULL) != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u", d->buf[64]);
	for (uint32_t i = 0; i < MIN(n, (uint32_t)REQ_REFS); i++)
		req_compare(c, ref, i, d->buf + (size_t)(n - i) * bs, "in pieces");
}

/* Two blocks in pieces of odd lengths, at odd addresses. */
static void odd_pieces(struct check *c)
{
	static const uint32_t cut[] = { 1, 3, 508, 511, 513 };
	struct check_dev *d = check_dev(c, NULL);
	const uint8_t *ref = req_reference(c, d);
	uint32_t bs = req_block(c), n = 1, from = 0, at = 4097;
	uint8_t *joined = d->buf + (1u << 19);
	struct drv_seg s[8];

	if (req_max_segs(c, d) < 6)
		check_skip(c, "the device takes fewer than six data descriptors");
	req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
	s[0] = (struct drv_seg){ d->buf_gpa, 16, 0 };
	memset(d->buf + 4096, REQ_POISON, 4u * bs + 65536);
	for (size_t i = 0; i <= ARRAY_SIZE(cut); i++) {
		uint32_t to = i < ARRAY_SIZE(cut) ? MIN(cut[i], 2 * bs) : 2 * bs;

		s[n++] = (struct drv_seg){ d->buf_gpa + at, to - from, 1 };
		at += to - from + 7;
		from = to;
	}
	s[n] = (struct drv_seg){ d->buf_gpa + 65, 1, 1 };
	if (check_blk_chain(c, d, 0, s, n + 1, false, 65, NULL) != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u", d->buf[65]);
	from = 0;
	for (uint32_t i = 1; i < n; i++) {
		memcpy(joined + from, d->buf + (s[i].addr - d->buf_gpa), s[i].len);
		from += s[i].len;
	}
	req_compare(c, ref, 0, joined, "in odd pieces");
	req_compare(c, ref, 1, joined + bs, "in odd pieces");
}

/* The header in two pieces, cut at every byte; then in sixteen. */
static void split_header(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	const uint8_t *ref = req_reference(c, d);
	uint32_t bs = req_block(c);

	for (uint32_t cut = 1; cut <= 16; cut++) {
		struct drv_seg s[18];
		unsigned int n = 0;
		uint8_t st;

		req_hdr(d, 0, VIRTIO_BLK_T_IN, req_ref_sector(c, cut));
		for (uint32_t i = 0; i < 16 && cut == 16; i++) {
			d->buf[128 + 2 * (15 - i)] = d->buf[i];
			s[n++] = (struct drv_seg){ d->buf_gpa + 128 + 2 * (15 - i), 1, 0 };
		}
		if (cut < 16) {
			memcpy(d->buf + 64, d->buf + cut, 16 - cut);
			s[n++] = (struct drv_seg){ d->buf_gpa, cut, 0 };
			s[n++] = (struct drv_seg){ d->buf_gpa + 64, 16 - cut, 0 };
		}
		memset(d->buf + 4096, REQ_POISON, bs);
		s[n++] = (struct drv_seg){ d->buf_gpa + 4096, bs, 1 };
		s[n++] = (struct drv_seg){ d->buf_gpa + 512, 1, 1 };
		check_note(c, "header cut at byte %u", cut);
		st = check_blk_chain(c, d, 0, s, n, false, 512, NULL);
		if (st != VIRTIO_BLK_S_OK)
			check_fail(c, "status 0 (OK)", "status %u", st);
		req_compare(c, ref, cut, d->buf + 4096, "with a header in pieces");
	}
}

static void joined_status(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	const uint8_t *ref = req_reference(c, d);

	for (unsigned int i = 0; i < REQ_REFS; i++)
		two_descriptors(c, d, ref, i, false);
}

/* ---- used entries ---- */

/*
 * One request over writable memory of @n bytes at 4096; which of its first
 * @used_len bytes were not written? Filled with two different things in turn.
 */
static uint32_t unwritten(struct check *c, struct check_dev *d, uint32_t type, uint64_t sector,
			  uint32_t n, uint32_t *used_len)
{
	const struct drv_seg s[2] = { { d->buf_gpa, 16, 0 }, { d->buf_gpa + 4096, n, 1 } };
	uint8_t *first = d->buf + (1u << 19);
	uint32_t len[2], i = 0;

	for (unsigned int k = 0; k < 2; k++) {
		req_hdr(d, 0, type, sector);
		memset(d->buf + 4096, k ? 0x5a : REQ_POISON, n);
		len[k] = check_chain(c, d, 0, s, 2, false);
		if (k == 0)
			memcpy(first, d->buf + 4096, n);
	}
	*used_len = MIN(len[0], len[1]);
	if (d->q[0].ring->bad_len)
		check_fail(c, "a used length of at most the device-writable bytes", "more than %u",
			   n);
	while (i < *used_len && !(first[i] == REQ_POISON && d->buf[4096 + i] == 0x5a))
		i++;
	return i;
}

static void check_used_len(struct check *c, struct check_dev *d, uint32_t type, uint64_t sector,
			   uint32_t n, const char *what)
{
	uint32_t len, bad = unwritten(c, d, type, sector, n, &len);

	if (bad < len)
		check_fail(c, "a used length that counts only bytes written, from the first on",
			   "%s: the length is %u, but byte %u was not written", what, len, bad);
}

static void used_len(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint32_t bs = req_block(c);

	check_used_len(c, d, VIRTIO_BLK_T_IN, 0, bs + 1, "a read");
	check_used_len(c, d, VIRTIO_BLK_T_IN, 0, 4 * bs + 1, "a read of four blocks");
	check_used_len(c, d, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES + 1, "GET_ID");
	if (d->virtio & VIRTIO_BIT(VIRTIO_BLK_F_FLUSH))
		check_used_len(c, d, VIRTIO_BLK_T_FLUSH, 0, 1, "a flush");
}

static void used_len_error(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint32_t bs = req_block(c);

	check_used_len(c, d, VIRTIO_BLK_T_IN, check_facts(c)->sectors + req_step(c), bs + 1,
		       "a read beyond the end of the disk");
	check_used_len(c, d, 0x7fff0001, 0, bs + 1, "a request of an unknown type");
}

/* 2.7.8.3: the driver must not rely on what lies behind the length. */
static void used_len_covers(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint32_t bs = req_block(c), len;

	unwritten(c, d, VIRTIO_BLK_T_IN, 0, bs + 1, &len);
	if (len != bs + 1)
		check_fail(c, "a used length that covers data and status", "%u for a read of %u",
			   len, bs);
	unwritten(c, d, VIRTIO_BLK_T_GET_ID, 0, 21, &len);
	if (len != 21)
		check_fail(c, "a used length that covers data and status", "%u for GET_ID", len);
}

/* Wait for the split used index without a pause, and look at once what it promises. */
static void split_promise(struct check *c, struct check_dev *d, uint16_t pos)
{
	struct drv_ring *r = d->q[0].ring;
	struct virtq_used_elem *el = &r->used->ring[pos & (r->size - 1)];
	unsigned int spins = 0;
	uint32_t id, len;

	while (drv_raw_used_idx(r) == pos && spins++ < 2000000)
		cpu_relax();
	if (drv_raw_used_idx(r) == pos)
		return; /* slow; req_reap() waits for it */
	id = le32toh(__atomic_load_n(&el->id, __ATOMIC_RELAXED));
	len = le32toh(__atomic_load_n(&el->len, __ATOMIC_RELAXED));
	if (id == UINT32_MAX || len == UINT32_MAX)
		check_fail(c, "a used entry that is there when the used index says so",
			   "entry %u had id 0x%x, length 0x%x", pos, id, len);
}

static void packed_promise(struct check_dev *d)
{
	struct drv_ring *r = d->q[0].ring;
	uint16_t mask = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;
	uint16_t want = r->used_wrap ? mask : 0;
	struct pvirtq_desc *p = &r->pdesc[r->used_idx];
	unsigned int spins = 0;

	while ((le16toh(__atomic_load_n(&p->flags, __ATOMIC_ACQUIRE)) & mask) != want &&
	       spins++ < 2000000)
		cpu_relax();
}

static void entry_before_index(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 16 });
	const uint8_t *ref = req_reference(c, d);
	struct drv_ring *r = d->q[0].ring;

	for (unsigned int i = 0; i < 1000; i++) {
		uint8_t st;

		drv_call_off(r);
		if (!check_packed(c))
			memset(&r->used->ring[r->used_idx & (r->size - 1)], 0xff,
			       sizeof(struct virtq_used_elem));
		req_must_add(c, d, 0, 0, req_ref_sector(c, i));
		fe_queue_publish(&d->q[0]);
		if (check_packed(c))
			packed_promise(d);
		else
			split_promise(c, d, r->used_idx);
		st = __atomic_load_n(&d->buf[req_status_at(c, 0)], __ATOMIC_ACQUIRE);
		if (drv_call_on(r, 1) && st == REQ_PENDING &&
		    d->buf[req_status_at(c, 0)] != REQ_PENDING)
			check_fail(c, "status and data written before the request is used",
				   "the status came later, in round %u", i);
		req_reap(c, d, 0, 1);
		req_compare(c, ref, i, d->buf + req_at(c, 0), "at once");
	}
}

/* What the driver writes the device only reads: 2.7.5.1, 2.7.6. */
static void driver_parts(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct drv_ring *r = d->q[0].ring;
	uint32_t hdr = req_hdr_at(c, 0), n = check_packed(c) ? 4 : virtq_avail_bytes(r->size);
	uint8_t desc[2048], avail[262], head[16];
	uint64_t gpa;
	uint8_t *keep = fe_mem_alloc(d->m, 0, 4096, 64, &gpa);

	if (!keep || r->size > 128 || n > sizeof(avail))
		check_skip(c, "no room");
	for (unsigned int i = 0; i < 50; i++) {
		req_must_add(c, d, 0, 0, req_ref_sector(c, i));
		memcpy(head, d->buf + hdr, 16);
		drv_publish(r);
		memcpy(desc, r->desc, 16u * r->size);
		memcpy(avail, r->avail, n);
		fe_queue_kick(&d->q[0]);
		/* Without drv_call_on(), which would write there too. */
		for (int ms = 0; !check_packed(c) && ms < check_timeout_ms(c) &&
				 drv_raw_used_idx(r) == r->used_idx && !check_closed(c, d->v, 1);
		     ms++)
			;
		if (!check_packed(c) && memcmp(desc, r->desc, 16u * r->size))
			check_fail(c, "descriptors that the device leaves alone", "changed ones");
		if (!check_packed(c) && memcmp(avail, r->avail, n))
			check_fail(c, "an available ring that the device leaves alone",
				   "a changed one");
		req_reap(c, d, 0, 1);
		if (memcmp(avail, r->avail, n) && check_packed(c))
			check_fail(c, "a driver event structure that the device leaves alone",
				   "a changed one");
		if (memcmp(head, d->buf + hdr, 16))
			check_fail(c, "a device-readable buffer that the device leaves alone",
				   "a request header that was changed");
	}
}

/* ---- queues and memory ---- */

static void queues_apart(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .queues = 2 });
	const uint8_t *ref = req_reference(c, d);

	for (unsigned int i = 0; i < 100; i++) {
		for (unsigned int k = 0; k < 8; k++) {
			req_must_add(c, d, k & 1, k, req_ref_sector(c, k));
			fe_queue_publish(&d->q[k & 1]);
		}
		for (unsigned int k = 0; k < 2; k++)
			req_reap(c, d, (i + k) & 1, 4);
		for (unsigned int k = 0; k < 8; k++)
			req_compare(c, ref, k, d->buf + req_at(c, k), "on two queues");
	}
}

/* One request with its parts at given guest addresses. */
static void placed(struct check *c, struct check_dev *d, const uint8_t *ref, uint64_t hdr,
		   uint64_t data, uint64_t status)
{
	const struct virtio_blk_req_hdr h = { .type = htole32(VIRTIO_BLK_T_IN) };
	uint32_t bs = req_block(c);
	const struct drv_seg s[3] = { { hdr, 16, 0 }, { data, bs, 1 }, { status, 1, 1 } };
	uint8_t *got = d->buf + (1u << 19);

	for (uint32_t i = 0; i < 16; i++)
		*(uint8_t *)fe_mem_host(d->m, hdr + i, 1) = ((const uint8_t *)&h)[i];
	for (uint32_t i = 0; i < bs; i++)
		*(uint8_t *)fe_mem_host(d->m, data + i, 1) = REQ_POISON;
	*(uint8_t *)fe_mem_host(d->m, status, 1) = REQ_PENDING;
	check_note(c, "header at 0x%llx, data at 0x%llx, status at 0x%llx", (unsigned long long)hdr,
		   (unsigned long long)data, (unsigned long long)status);
	check_chain(c, d, 0, s, 3, false);
	if (*(uint8_t *)fe_mem_host(d->m, status, 1) != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u",
			   *(uint8_t *)fe_mem_host(d->m, status, 1));
	for (uint32_t i = 0; i < bs; i++)
		got[i] = *(uint8_t *)fe_mem_host(d->m, data + i, 1);
	req_compare(c, ref, 0, got, "into other memory");
}

#define MAIN_SIZE (UINT64_C(16) << 20)
#define NEXT_SIZE (UINT64_C(1) << 20)
#define HIGH_GPA  (UINT64_C(5) << 32)

/* A region, its neighbour, a hole, and one far above 4 GiB. */
static struct check_dev *three_regions(struct check *c)
{
	static const struct fe_mem_spec m[] = {
		{ 0, MAIN_SIZE, 0, false },
		{ MAIN_SIZE, NEXT_SIZE, 8192, false },
		{ HIGH_GPA, NEXT_SIZE, 0, false },
	};

	return check_dev(c, &(struct check_dev_args){ .specs = m, .nspecs = ARRAY_SIZE(m) });
}

static void region_edges(struct check *c)
{
	struct check_dev *d = three_regions(c);
	const uint8_t *ref = req_reference(c, d);
	uint64_t end = MAIN_SIZE + NEXT_SIZE, hend = HIGH_GPA + NEXT_SIZE;
	uint32_t bs = req_block(c);

	placed(c, d, ref, end - 16, d->buf_gpa, d->buf_gpa + 70000);
	placed(c, d, ref, d->buf_gpa, end - bs, d->buf_gpa + 70000);
	placed(c, d, ref, d->buf_gpa, d->buf_gpa + 4096, end - 1);
	placed(c, d, ref, HIGH_GPA, hend - bs, HIGH_GPA + 16);
	placed(c, d, ref, hend - 16, HIGH_GPA, HIGH_GPA + bs);
	placed(c, d, ref, HIGH_GPA, HIGH_GPA + 4096, hend - 1);
}

static void across_regions(struct check *c)
{
	struct check_dev *d = three_regions(c);
	const uint8_t *ref = req_reference(c, d);
	uint32_t bs = req_block(c);

	placed(c, d, ref, d->buf_gpa, MAIN_SIZE - bs / 2, d->buf_gpa + 70000);
	placed(c, d, ref, d->buf_gpa, MAIN_SIZE - 1, d->buf_gpa + 70000);
	placed(c, d, ref, MAIN_SIZE - 5, d->buf_gpa, d->buf_gpa + 70000);
	placed(c, d, ref, MAIN_SIZE - 16, MAIN_SIZE + 4096, MAIN_SIZE);
}

static void above_4g(struct check *c)
{
	struct check_dev *d = three_regions(c);
	const uint8_t *ref = req_reference(c, d);

	placed(c, d, ref, HIGH_GPA, HIGH_GPA + 4096, HIGH_GPA + 16);
	placed(c, d, ref, d->buf_gpa, HIGH_GPA + 8192 + 7, d->buf_gpa + 64);
}

/* The ring itself up there, too. */
static void ring_above_4g(struct check *c)
{
	static const struct fe_mem_spec m = { HIGH_GPA, MAIN_SIZE, 0, false };
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .specs = &m, .nspecs = 1 });

	fill_ring(c, d, req_reference(c, d), 2);
}

const struct check_case check_ring_cases[] = {
	{ "ring.one-request", "VIRTIO 1.3 2.7, 2.8",
	  "a request that is made available is served and used", CHECK_MUST, NEED_BLK, true,
	  one_request },
	{ "ring.many-in-flight", "VIRTIO 1.3 2.7.13, 2.8.21",
	  "a whole ring of requests shown with one kick comes back, each once", CHECK_MUST,
	  NEED_BLK, true, many_in_flight },
	{ "ring.never-empty", "VIRTIO 1.3 2.7.13, 2.8.21",
	  "requests that follow one another without a pause are all served", CHECK_MUST, NEED_BLK,
	  true, never_empty },
	{ "ring.index-wraps", "VIRTIO 1.3 2.7.6, 2.8.1",
	  "indices go on behind 65535, and wrap counters turn over", CHECK_MUST, NEED_BLK, true,
	  index_wraps },
	{ "ring.sizes", "VIRTIO 1.3 2.7, 2.8.10.1",
	  "rings of 4 to 1024 entries work, as far as they are accepted", CHECK_MUST, NEED_BLK,
	  true, sizes },
	{ "ring.largest", "VIRTIO 1.3 2.7, 2.8.10.1",
	  "a ring of 32768 entries works, if it is accepted", CHECK_MUST, NEED_BLK, true, largest },
	{ "ring.tiny", "VIRTIO 1.3 2.7, 2.8.10.1",
	  "rings of one and two entries work, if they are accepted", CHECK_MUST, NEED_BLK, true,
	  tiny },
	{ "ring.odd-sizes", "VIRTIO 1.3 2.8.10.1",
	  "a packed ring need not have a power of two of entries", CHECK_MUST,
	  NEED_BLK | NEED_PACKED, true, odd_sizes },
	{ "ring.long-chain", "VIRTIO 1.3 2.7.4.1, 5.2.5",
	  "a request may have as many data descriptors as seg_max says", CHECK_MUST, NEED_BLK, true,
	  long_chain },
	{ "ring.odd-pieces", "VIRTIO 1.3 2.7.4.1",
	  "data may be cut into pieces of any length at any address", CHECK_MUST, NEED_BLK, true,
	  odd_pieces },
	{ "ring.split-header", "VIRTIO 1.3 2.7.4.1",
	  "a request header may be cut anywhere, even into single bytes", CHECK_MUST, NEED_BLK,
	  true, split_header },
	{ "ring.joined-status", "VIRTIO 1.3 2.7.4.1", "data and status may share a descriptor",
	  CHECK_MUST, NEED_BLK, true, joined_status },
	{ "ring.used-length", "VIRTIO 1.3 2.7.8.2, 2.8.5",
	  "the used length counts no byte that was not written", CHECK_MUST, NEED_BLK, true,
	  used_len },
	{ "ring.used-length-error", "VIRTIO 1.3 2.7.8.2, 2.8.5",
	  "the used length of a failed request counts no byte that was not written", CHECK_MUST,
	  NEED_BLK, true, used_len_error },
	{ "ring.used-length-covers", "VIRTIO 1.3 2.7.8.3",
	  "the used length of a read covers its data and status", CHECK_SHOULD, NEED_BLK, true,
	  used_len_covers },
	{ "ring.entry-before-index", "VIRTIO 1.3 2.7.8.2, 2.7.14, 2.8.22",
	  "data, status and used entry are there before the driver is shown them", CHECK_MUST,
	  NEED_BLK, true, entry_before_index },
	{ "ring.driver-parts", "VIRTIO 1.3 2.7.5.1, 2.7.6, 2.8.15",
	  "what belongs to the driver is not written to", CHECK_MUST, NEED_BLK, true,
	  driver_parts },
	{ "ring.queues-apart", "VIRTIO 1.3 2.6, 5.2.2",
	  "two queues that are busy together do not mix up their requests", CHECK_MUST,
	  NEED_BLK | NEED_MQ, true, queues_apart },
	{ "ring.region-edges", "vhost-user: Memory access",
	  "the first and the last byte of each memory region can be used", CHECK_MUST, NEED_BLK,
	  true, region_edges },
	{ "ring.across-regions", "vhost-user: Memory access",
	  "a buffer may lie across two regions that are neighbours for the guest", CHECK_MUST,
	  NEED_BLK, true, across_regions },
	{ "ring.above-4g", "vhost-user: Memory access", "buffers above 4 GiB work", CHECK_MUST,
	  NEED_BLK, true, above_4g },
	{ "ring.itself-above-4g", "vhost-user: Memory access", "a ring above 4 GiB works",
	  CHECK_MUST, NEED_BLK, true, ring_above_4g },
	{ 0 },
};
