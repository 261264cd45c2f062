/* SPDX-License-Identifier: MIT */
/* The disk: virtio-blk requests (VIRTIO 1.3 section 5.2) on bytes in memory. */
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "util/compiler.h"

#define SEG_MAX       126
#define RANGES_MAX    16
#define RANGE_SECTORS 8192

void blk_config(const struct be *b, uint8_t cfg[BE_CONFIG_SIZE])
{
	struct virtio_blk_config c = {
		.capacity = htole64(b->disk_size / 512),
		.seg_max = htole32(SEG_MAX),
		.blk_size = htole32(512),
		.writeback = b->writeback,
		.num_queues = htole16((uint16_t)b->queues),
	};

	if (!b->read_only) {
		c.max_discard_sectors = c.max_write_zeroes_sectors = htole32(RANGE_SECTORS);
		c.max_discard_seg = c.max_write_zeroes_seg = htole32(RANGES_MAX);
		c.discard_sector_alignment = htole32(1);
		c.write_zeroes_may_unmap = 1;
	}
	if (defect("config-capacity-large"))
		c.capacity = htole64(b->disk_size / 512 + 8);
	if (defect("config-capacity-small"))
		c.capacity = htole64(b->disk_size / 512 - 8);
	if (b->written_capacity)
		c.capacity = b->written_capacity;
	if (defect("config-no-segments"))
		c.seg_max = 0;
	if (defect("config-padding"))
		c.unused0 = 1;
	memset(cfg, 0, BE_CONFIG_SIZE);
	memcpy(cfg, &c, sizeof(c));
}

void blk_reset(struct be *b)
{
	b->writeback = 1;
}

/* ---- the bytes of a chain ---- */

static uint64_t length(const struct naive_chain *c, bool writable)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < c->n; i++)
		if (c->seg[i].writable == writable)
			len += c->seg[i].len;
	return len;
}

/* Copy @len bytes, @off from the start of the chain's readable or writable part. */
static bool transfer(struct be *b, const struct naive_chain *c, bool writable, uint64_t off,
		     void *buf, uint64_t len)
{
	uint8_t *p = buf;

	for (unsigned int i = 0; i < c->n && len; i++) {
		const struct naive_seg *s = &c->seg[i];
		uint64_t n;

		if (s->writable != writable)
			continue;
		if (off >= s->len) {
			off -= s->len;
			continue;
		}
		n = MIN(len, s->len - off);
		if (writable ? !mem_write(b, s->addr + off, p, n) :
			       !mem_read(b, s->addr + off, p, n))
			return false;
		p += n;
		len -= n;
		off = 0;
	}
	return len == 0;
}

/* ---- requests ---- */

/* @data: bytes of the chain's readable or writable part that are data. */
struct req {
	const struct naive_chain *c;
	uint32_t type;
	uint64_t sector;
	uint64_t out, in;
	uint64_t written;
};

static bool in_range(const struct be *b, uint64_t sector, uint64_t sectors)
{
	uint64_t capacity = b->disk_size / 512;

	return sector <= capacity && sectors <= capacity - sector;
}

/* Is a buffer of data, by itself, no number of sectors? */
static bool in_pieces(const struct naive_chain *c, bool writable)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < c->n; i++)
		n += c->seg[i].writable == writable && c->seg[i].len % 512 > 16;
	return n;
}

static uint8_t do_read(struct be *b, struct req *q)
{
	uint64_t capacity = b->disk_size / 512;

	if (in_pieces(q->c, true) && defect("blk-read-pieces"))
		return VIRTIO_BLK_S_IOERR;
	if (q->sector + 1 == capacity && defect("blk-last-sector"))
		return VIRTIO_BLK_S_IOERR;
	if (q->sector >= capacity && defect("blk-read-beyond"))
		return VIRTIO_BLK_S_OK;
	if (q->in % 512 && defect("blk-odd-read"))
		return VIRTIO_BLK_S_OK;
	if (q->in > 32768 && defect("blk-read-short"))
		q->in = 32768;
	if (q->in % 512 || !in_range(b, q->sector, q->in / 512))
		return VIRTIO_BLK_S_IOERR;
	if (!transfer(b, q->c, true, 0, b->disk + q->sector * 512, q->in))
		return VIRTIO_BLK_S_IOERR;
	q->written = q->in;
	return VIRTIO_BLK_S_OK;
}

/* True: the write is not done. */
static bool write_defect(struct be *b, struct req *q)
{
	static unsigned int writes;

	writes++;
	return (writes % 8 == 0 && defect("blk-write-lost")) ||
	       (q->out > 512 && writes % 2 && defect("blk-write-half")) ||
	       (b->queue == 1 && defect("blk-queue-apart"));
}

static uint8_t do_write(struct be *b, struct req *q)
{
	if (write_defect(b, q))
		return VIRTIO_BLK_S_OK;
	if (in_pieces(q->c, false) && q->c->n > 6 && defect("blk-write-pieces"))
		return VIRTIO_BLK_S_IOERR;
	if (q->out % 512 && defect("blk-odd-write"))
		return VIRTIO_BLK_S_OK;
	if (defect("blk-write-wraps") && q->out <= b->disk_size)
		q->sector %= (b->disk_size - q->out) / 512 + 1;
	if ((b->read_only && !defect("blk-read-only-writes")) || q->out % 512 ||
	    !in_range(b, q->sector, q->out / 512))
		return VIRTIO_BLK_S_IOERR;
	return transfer(b, q->c, false, sizeof(struct virtio_blk_req_hdr),
			b->disk + q->sector * 512, q->out) ?
		       VIRTIO_BLK_S_OK :
		       VIRTIO_BLK_S_IOERR;
}

static uint8_t do_get_id(struct be *b, struct req *q)
{
	char id[VIRTIO_BLK_ID_BYTES] = "defect-backend";
	uint64_t n = MIN(q->in, sizeof(id));

	if (!transfer(b, q->c, true, 0, id, defect("blk-id-unpadded") ? MIN(n, strlen(id)) : n))
		return VIRTIO_BLK_S_IOERR;
	q->written = n;
	return VIRTIO_BLK_S_OK;
}

/* 5.2.6.2: one range of DISCARD or WRITE_ZEROES. */
static uint8_t check_range(const struct be *b, const struct req *q, const struct virtio_blk_dwz *r)
{
	uint32_t known = q->type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_DWZ_FLAG_UNMAP : 0;

	if (defect("blk-discard-unmap"))
		known = VIRTIO_BLK_DWZ_FLAG_UNMAP;
	if (le32toh(r->flags) & ~known && !defect("blk-range-flags"))
		return VIRTIO_BLK_S_UNSUPP;
	if (le32toh(r->num_sectors) > RANGE_SECTORS ||
	    !in_range(b, le64toh(r->sector), le32toh(r->num_sectors)))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* Change what was asked for. */
static void range_defects(const struct be *b, const struct req *q, struct virtio_blk_dwz *r,
			  uint64_t n)
{
	bool zeroes = q->type == VIRTIO_BLK_T_WRITE_ZEROES;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t sector = le64toh(r[i].sector);
		uint32_t num = le32toh(r[i].num_sectors);

		if (zeroes && defect("blk-zeroes-half"))
			num /= 2;
		if (!zeroes && defect("blk-discard-too-much"))
			num++;
		if (num == 0 && defect("blk-range-of-none"))
			num = 8;
		if (!in_range(b, sector, num) && defect("blk-ranges-beyond"))
			sector = num = 0;
		r[i].sector = htole64(sector);
		r[i].num_sectors = htole32(num);
	}
}

static uint8_t do_ranges(struct be *b, struct req *q)
{
	struct virtio_blk_dwz r[RANGES_MAX];
	uint64_t n = q->out / sizeof(r[0]);
	uint8_t st = VIRTIO_BLK_S_OK;

	if ((n > RANGES_MAX && defect("blk-ranges-many")) ||
	    (q->out % sizeof(r[0]) && defect("blk-ranges-odd")))
		return VIRTIO_BLK_S_OK;
	if (n > 1 && defect("blk-ranges-one"))
		return VIRTIO_BLK_S_UNSUPP;
	if ((b->read_only && !defect("blk-read-only-ranges")) || n == 0 || n > RANGES_MAX ||
	    q->out % sizeof(r[0]) ||
	    !transfer(b, q->c, false, sizeof(struct virtio_blk_req_hdr), r, q->out))
		return VIRTIO_BLK_S_IOERR;
	range_defects(b, q, r, n);
	for (uint64_t i = 0; i < n && st == VIRTIO_BLK_S_OK; i++)
		st = check_range(b, q, &r[i]);
	/* Zeroes are a fine thing for discarded sectors to read. */
	for (uint64_t i = 0; i < n && st == VIRTIO_BLK_S_OK; i++)
		memset(b->disk + le64toh(r[i].sector) * 512, 0,
		       (size_t)le32toh(r[i].num_sectors) * 512);
	return st;
}

static uint8_t do_request(struct be *b, struct req *q)
{
	switch (q->type) {
	case VIRTIO_BLK_T_IN:
		return do_read(b, q);
	case VIRTIO_BLK_T_OUT:
		return do_write(b, q);
	case VIRTIO_BLK_T_FLUSH:
		if (defect("blk-flush-fails"))
			return VIRTIO_BLK_S_IOERR;
		return be_has(b, VIRTIO_BLK_F_FLUSH) ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP;
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(b, q);
	case VIRTIO_BLK_T_DISCARD:
		return be_has(b, VIRTIO_BLK_F_DISCARD) || defect("blk-ranges-always") ||
				       defect("blk-read-only-ranges") ?
			       do_ranges(b, q) :
			       VIRTIO_BLK_S_UNSUPP;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return be_has(b, VIRTIO_BLK_F_WRITE_ZEROES) ? do_ranges(b, q) : VIRTIO_BLK_S_UNSUPP;
	default:
		return defect("blk-unknown-type-ok") ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP;
	}
}

/* Whether a chain is laid out as most drivers do it; false: it is called no request. */
static bool layout_right(struct be *b, const struct naive_chain *c, uint64_t out, uint64_t in)
{
	const struct naive_seg *last = &c->seg[c->n - 1];
	struct virtio_blk_req_hdr h[2];

	if (c->n && out == 0 && defect("blk-no-header-dies"))
		defect_die();
	if (out > 0 && out < sizeof(h[0]) && defect("blk-runt-dies"))
		defect_die();
	if (in == 0 && defect("blk-no-status-dies"))
		defect_die();
	if (c->n && c->seg[0].len < sizeof(h[0]) && defect("blk-header-whole"))
		return false;
	if (c->n && last->writable && last->len != 1 && defect("blk-status-apart"))
		return false;
	if (out < sizeof(h[0]) || !defect("blk-header-twice-dies"))
		return true;
	for (unsigned int i = 0; i < 2; i++) {
		transfer(b, c, false, 0, &h[i], sizeof(h[i]));
		usleep(50);
	}
	if (memcmp(&h[0], &h[1], sizeof(h[0])) != 0)
		defect_die();
	return true;
}

/* @used: what is right. */
static uint32_t used_defect(const struct req *q, uint8_t status, uint32_t used)
{
	if (q->type == VIRTIO_BLK_T_IN && q->in == 0 && defect("blk-no-data-lost"))
		return RD_DROP;
	if (defect("used-length-more"))
		return (uint32_t)q->in + 2;
	if (status != VIRTIO_BLK_S_OK && defect("used-length-all"))
		return (uint32_t)q->in + 1;
	return defect("used-length-0") ? 0 : used;
}

bool blk_handle(struct be *b, const struct naive_chain *c, uint32_t *used)
{
	uint64_t out = length(c, false), in = length(c, true);
	struct virtio_blk_req_hdr h;
	struct req q = { .c = c };
	uint8_t status = VIRTIO_BLK_S_IOERR;

	/* The status is the last writable byte; without one nothing can be said. */
	if (!layout_right(b, c, out, in) || in == 0)
		return false;
	q.in = in - 1;
	if (out >= sizeof(h) && transfer(b, c, false, 0, &h, sizeof(h))) {
		q.out = out - sizeof(h);
		q.type = le32toh(h.type);
		q.sector = le64toh(h.sector);
		status = do_request(b, &q);
	}
	q.in = in - 1;
	if (!transfer(b, c, true, q.in, &status, 1))
		return false;
	/* 2.7.8.2: bytes from the first on; the status counts when there is no gap before it. */
	*used = used_defect(&q, status, (uint32_t)(q.written == q.in ? q.in + 1 : q.written));
	return true;
}
