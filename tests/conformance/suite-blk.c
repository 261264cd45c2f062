/* SPDX-License-Identifier: MIT */
/* Conformance: virtio-blk (VIRTIO 1.3 section 5.2) over memory storage. */
#include "suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/loop.h"

#define DISK_SIZE 4194304u
#define DISK      "mem:4M"
#define SECTORS   (DISK_SIZE / 512)

static void fill(struct conf *c, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)conf_rnd(c);
}

/* ---- raw requests: any cut of header (in the out scratch, data behind it), data and status ---- */

static uint64_t queue_slots(struct conf *c)
{
	return fe_blk_queue(c->blk, 0)->ring->size;
}

static void put_hdr(struct conf *c, uint32_t type, uint64_t sector)
{
	struct virtio_blk_req_hdr h = { htole32(type), 0, htole64(sector) };

	memcpy(c->out, &h, sizeof(h));
}

/* Run one chain on queue 0; returns the used length. */
static uint32_t raw(struct conf *c, const struct drv_seg *s, unsigned int n)
{
	struct fe_queue *q = fe_blk_queue(c->blk, 0);
	bool table = conf_indirect(c) && (n > queue_slots(c) || (conf_rnd(c) & 1));
	struct drv_used u;

	assert_int_equal(drv_add(q->ring, s, n, table, c), 0);
	fe_queue_publish(q);
	if (drv_get(q->ring, &u, 1) == 0) {
		if (!fe_queue_wait(q, 1, CONF_WAIT_MS))
			fail_msg("no answer%s", q->refused ? ": broken" : "");
		assert_int_equal(drv_get(q->ring, &u, 1), 1);
	}
	assert_int_equal(q->ring->bad_len, 0);
	return u.len;
}

/*
 * Header and @nout bytes in the out scratch, @nin bytes and a status in the
 * in scratch, cut once at @cut_out and @cut_in. Returns the status.
 */
static uint8_t raw_cut(struct conf *c, uint32_t nout, uint32_t cut_out, uint32_t nin,
		       uint32_t cut_in, uint32_t *used)
{
	uint32_t out = 16 + nout, in = nin + 1;
	struct drv_seg s[4];
	unsigned int n = 0;

	c->in[nin] = 0xee;
	if (cut_out > 0 && cut_out < out)
		s[n++] = (struct drv_seg){ c->out_gpa, cut_out, 0 };
	else
		cut_out = 0;
	s[n++] = (struct drv_seg){ c->out_gpa + cut_out, out - cut_out, 0 };
	if (cut_in > 0 && cut_in < in)
		s[n++] = (struct drv_seg){ c->in_gpa, cut_in, 1 };
	else
		cut_in = 0;
	s[n++] = (struct drv_seg){ c->in_gpa + cut_in, in - cut_in, 1 };
	*used = raw(c, s, n);
	return c->in[nin];
}

static void split_everywhere(struct conf *c)
{
	uint8_t data[1024];
	uint32_t used;

	for (uint32_t cut = 0; cut < 16 + 1024; cut += cut < 20 || cut > 1030 ? 1 : 37) {
		fill(c, data, sizeof(data));
		put_hdr(c, VIRTIO_BLK_T_OUT, 8);
		memcpy(c->out + 16, data, sizeof(data));
		assert_int_equal(raw_cut(c, 1024, cut, 0, 0, &used), VIRTIO_BLK_S_OK);
		assert_int_equal(used, 1);
		put_hdr(c, VIRTIO_BLK_T_IN, 8);
		memset(c->in, 0, 1026);
		c->in[1025] = 0x77;
		assert_int_equal(raw_cut(c, 0, cut % 16, 1024, cut, &used), VIRTIO_BLK_S_OK);
		assert_int_equal(used, 1025);
		assert_memory_equal(c->in, data, sizeof(data));
		assert_int_equal(c->in[1025], 0x77);
	}
}

/* Every byte in a buffer of its own, as far as the ring goes. */
static void split_to_bytes(struct conf *c)
{
	unsigned int nbytes = 16 + 1, n = 0;
	struct drv_seg s[64];
	uint32_t used;

	if (queue_slots(c) < nbytes + 1)
		return;
	put_hdr(c, VIRTIO_BLK_T_GET_ID, 0);
	for (unsigned int i = 0; i < 16; i++) {
		/* Scattered, so that they do not become one again. */
		c->out[4096 + i * 64] = c->out[i];
		s[n++] = (struct drv_seg){ c->out_gpa + 4096 + i * 64, 1, 0 };
	}
	for (unsigned int i = 0; i < 21; i++)
		s[n++] = (struct drv_seg){ c->in_gpa + i * 64, 1, 1 };
	used = raw(c, s, n);
	assert_int_equal(used, 21);
	assert_int_equal(c->in[20 * 64], VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(c->in[i * 64], "SERIAL-0123456789AB"[i]);
}

static uint8_t simple(struct conf *c, uint32_t type, uint64_t sector, uint32_t nout, uint32_t nin)
{
	uint32_t used;
	uint8_t st;

	put_hdr(c, type, sector);
	st = raw_cut(c, nout, 16, nin, nin, &used);
	if (st != VIRTIO_BLK_S_OK) /* the status lies behind what was not written */
		assert_int_equal(used, nin ? 0 : 1);
	return st;
}

static void ranges(struct conf *c)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} t[] = {
		{ 0, 512, VIRTIO_BLK_S_OK },
		{ SECTORS - 1, 512, VIRTIO_BLK_S_OK },
		{ SECTORS - 2, 1024, VIRTIO_BLK_S_OK },
		{ SECTORS, 512, VIRTIO_BLK_S_IOERR },
		{ SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
		{ SECTORS + 1, 512, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 512, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX - 1, 1024, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX / 512, 512, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX / 512 + 1, 512, VIRTIO_BLK_S_IOERR }, /* x 512 wraps to 0 */
		{ (uint64_t)1 << 32, 512, VIRTIO_BLK_S_IOERR },
		{ 0, 1, VIRTIO_BLK_S_IOERR },
		{ 0, 511, VIRTIO_BLK_S_IOERR },
		{ 0, 513, VIRTIO_BLK_S_IOERR },
		{ 0, 1000, VIRTIO_BLK_S_IOERR },
		{ 0, 131071, VIRTIO_BLK_S_IOERR },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		memset(c->in, 0, t[i].len);
		assert_int_equal(simple(c, VIRTIO_BLK_T_IN, t[i].sector, 0, t[i].len), t[i].status);
		memset(c->out + 16, 0x99, t[i].len);
		assert_int_equal(simple(c, VIRTIO_BLK_T_OUT, t[i].sector, t[i].len, 0),
				 t[i].status);
	}
	/* What was refused has not been done: only the good ones are on the disk. */
	assert_int_equal(simple(c, VIRTIO_BLK_T_IN, 1, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(c->in[0], 0);
}

static void unknown_types(struct conf *c)
{
	static const uint32_t t[] = {
		2, 3, 5, 7, 9, 10, 12, 14, 15, 16, 27, 0x80000000, UINT32_MAX
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(simple(c, t[i], 0, 512, 512), VIRTIO_BLK_S_UNSUPP);
}

static void get_id(struct conf *c)
{
	char id[21];

	conf_ok(c, fe_blk_get_id(c->blk, 0, id, &c->e));
	assert_string_equal(id, "SERIAL-0123456789AB");
	/* A larger buffer gets no more than 20 bytes. */
	memset(c->in, 0x44, 64);
	assert_int_equal(simple(c, VIRTIO_BLK_T_GET_ID, 0, 0, 40), VIRTIO_BLK_S_OK);
	for (unsigned int i = 20; i < 40; i++)
		assert_int_equal(c->in[i], 0x44);
}

/* ---- header or status missing: nothing can be answered ---- */

static void unanswerable(struct conf *c)
{
	struct fe_queue *q = fe_blk_queue(c->blk, 0);
	struct drv_seg s[2] = { { c->out_gpa, 16, 0 }, { c->in_gpa, 1, 1 } };
	char id[21];

	put_hdr(c, VIRTIO_BLK_T_FLUSH, 0);
	for (uint32_t len = 1; len <= 17; len++) {
		unsigned int n = 2;

		s[0].len = len;
		if (len == 16)
			continue; /* that one is good */
		if (len == 17) {
			s[0].len = 16;
			n = 1; /* no status */
		}
		assert_int_equal(drv_add(q->ring, s, n, false, c), 0);
		fe_queue_publish(q);
		assert_true(fe_queue_err(q, CONF_SOON_MS));
		/* The other queue goes on. */
		conf_ok(c, fe_blk_get_id(c->blk, 1, id, &c->e));
		conf_ok(c, fe_queue_stop(q, c->t, NULL, &c->e));
		drv_ring_reset(q->ring, VQ_BASE_INIT);
		conf_ok(c, fe_queue_start(q, c->t, NULL, &c->e));
		conf_ok(c, fe_blk_get_id(c->blk, 0, id, &c->e));
	}
}

/* ---- DISCARD and WRITE_ZEROES ---- */

static uint8_t dwz(struct conf *c, uint32_t type, const struct virtio_blk_dwz *w, unsigned int n,
		   uint32_t extra)
{
	memcpy(c->out + 16, w, n * sizeof(*w));
	return simple(c, type, 0, n * (uint32_t)sizeof(*w) + extra, 0);
}

static struct virtio_blk_dwz seg(uint64_t sector, uint32_t n, uint32_t flags)
{
	return (struct virtio_blk_dwz){ htole64(sector), htole32(n), htole32(flags) };
}

static void zeroes(struct conf *c)
{
	const uint32_t both[] = { VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_DISCARD };
	uint8_t *buf = malloc(65536);
	struct virtio_blk_dwz unmap;

	assert_non_null(buf);
	assert_true(fe_blk_info(c->blk)->write_zeroes && fe_blk_info(c->blk)->discard);
	memset(buf, 0x66, 65536);
	conf_ok(c, fe_blk_write(c->blk, 0, 0, buf, 65536, &c->e));
	conf_ok(c, fe_blk_write_zeroes(c->blk, 0, 4096, 8192, false, &c->e));
	conf_ok(c, fe_blk_write_zeroes(c->blk, 0, 32768, 512, true, &c->e));
	conf_ok(c, fe_blk_read(c->blk, 0, 0, buf, 65536, &c->e));
	for (unsigned int i = 0; i < 65536; i++) {
		bool zero = (i >= 4096 && i < 12288) || (i >= 32768 && i < 33280);

		assert_int_equal(buf[i], zero ? 0 : 0x66);
	}
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		uint32_t t = both[i];
		struct virtio_blk_dwz ok2[2] = { seg(0, 8, 0), seg(16, 8, 0) };
		struct virtio_blk_dwz bad2[2] = { seg(80, 1, 0), seg(SECTORS, 1, 0) };
		struct virtio_blk_dwz w;

		assert_int_equal(dwz(c, t, ok2, 2, 0), VIRTIO_BLK_S_OK);
		assert_int_equal(dwz(c, t, bad2, 2, 0), VIRTIO_BLK_S_IOERR);
		w = seg(SECTORS - 1, 1, 0);
		assert_int_equal(dwz(c, t, &w, 1, 0), VIRTIO_BLK_S_OK);
		w = seg(SECTORS - 1, 2, 0);
		assert_int_equal(dwz(c, t, &w, 1, 0), VIRTIO_BLK_S_IOERR);
		w = seg(UINT64_MAX, 2, 0);
		assert_int_equal(dwz(c, t, &w, 1, 0), VIRTIO_BLK_S_IOERR);
		w = seg(0, UINT32_MAX, 0);
		assert_int_equal(dwz(c, t, &w, 1, 0), VIRTIO_BLK_S_IOERR);
		w = seg(0, 1, 2); /* a flag nobody knows */
		assert_int_equal(dwz(c, t, &w, 1, 0), VIRTIO_BLK_S_UNSUPP);
		w = seg(0, 1, 0);
		assert_int_equal(dwz(c, t, &w, 1, 1), VIRTIO_BLK_S_IOERR);
		assert_int_equal(dwz(c, t, &w, 0, 8), VIRTIO_BLK_S_IOERR);
		assert_int_equal(dwz(c, t, &w, 0, 0), VIRTIO_BLK_S_IOERR);
	}
	unmap = seg(0, 1, VIRTIO_BLK_DWZ_FLAG_UNMAP);
	assert_int_equal(dwz(c, VIRTIO_BLK_T_WRITE_ZEROES, &unmap, 1, 0), VIRTIO_BLK_S_OK);
	/* 5.2.6.2: unmap has no meaning with DISCARD. */
	assert_int_equal(dwz(c, VIRTIO_BLK_T_DISCARD, &unmap, 1, 0), VIRTIO_BLK_S_UNSUPP);
	free(buf);
}

/* ---- contents against a shadow ---- */

static void shadow_io(struct conf *c)
{
	uint8_t *shadow = calloc(1, DISK_SIZE), *buf = malloc(131072);

	assert_true(shadow && buf);
	for (unsigned int i = 0; i < 300; i++) {
		uint64_t sector = conf_rnd(c) % (SECTORS - 256);
		uint64_t off = sector * 512, len = (1 + conf_rnd(c) % 255) * UINT64_C(512);
		unsigned int qi = conf_rnd(c) & 1;

		switch (conf_rnd(c) % 8) {
		case 0:
		case 1:
		case 2:
			fill(c, buf, len);
			conf_ok(c, fe_blk_write(c->blk, qi, off, buf, len, &c->e));
			memcpy(shadow + off, buf, len);
			break;
		case 3:
			conf_ok(c, fe_blk_write_zeroes(c->blk, qi, off, len, i & 1, &c->e));
			memset(shadow + off, 0, len);
			break;
		case 4:
			conf_ok(c, fe_blk_flush(c->blk, qi, &c->e));
			break;
		case 5: /* contents are anything afterwards: write what is known */
			conf_ok(c, fe_blk_discard(c->blk, qi, off, len, &c->e));
			memset(buf, 0xd1, len);
			conf_ok(c, fe_blk_write(c->blk, qi, off, buf, len, &c->e));
			memset(shadow + off, 0xd1, len);
			break;
		default:
			conf_ok(c, fe_blk_read(c->blk, qi, off, buf, len, &c->e));
			assert_memory_equal(buf, shadow + off, len);
		}
	}
	for (uint64_t off = 0; off < DISK_SIZE; off += 131072) {
		conf_ok(c, fe_blk_read(c->blk, 0, off, buf, 131072, &c->e));
		assert_memory_equal(buf, shadow + off, 131072);
	}
	free(shadow);
	free(buf);
}

/* ---- many at once ---- */

struct deep {
	struct fe_blk_io io;
	struct drv_seg seg;
	struct conf *c;
	unsigned int *done;
	int res;
	bool busy;
};

static void deep_done(struct fe_blk_io *io, int res)
{
	struct deep *d = container_of(io, struct deep, io);

	d->res = res;
	d->busy = false;
	(*d->done)++;
}

#define DEEP_LEN 1024u

/* @n requests of one type, each at its own place on disk and in memory. */
static void deep_run(struct conf *c, struct deep *d, unsigned int n, bool write)
{
	unsigned int done = 0;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int qi = i & 1;

		d[i].c = c;
		d[i].done = &done;
		d[i].seg = (struct drv_seg){ (write ? c->out_gpa : c->in_gpa) + i * DEEP_LEN,
					     DEEP_LEN, 0 };
		d[i].io = (struct fe_blk_io){
			.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
			.sector = (uint64_t)i * (DEEP_LEN / 512),
			.data = &d[i].seg,
			.ndata = 1,
			.done = deep_done,
		};
		d[i].busy = true;
		while (fe_blk_submit(c->blk, qi, &d[i].io) == -ENOSPC) {
			fe_blk_kick(c->blk, qi);
			fe_blk_wait(c->blk, qi, 1, CONF_WAIT_MS);
		}
	}
	fe_blk_kick(c->blk, 0);
	fe_blk_kick(c->blk, 1);
	while (done < n) {
		unsigned int before = done;

		fe_blk_wait(c->blk, 0, 4, fe_blk_in_flight(c->blk, 0) ? CONF_WAIT_MS : 0);
		fe_blk_wait(c->blk, 1, 4, fe_blk_in_flight(c->blk, 1) ? CONF_WAIT_MS : 0);
		assert_true(done > before);
	}
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(d[i].res, 0);
}

static void deep_queue(struct conf *c)
{
	unsigned int n = CONF_SCRATCH / DEEP_LEN;
	struct deep *d = calloc(n, sizeof(*d));

	assert_non_null(d);
	fill(c, c->out, CONF_SCRATCH);
	memset(c->in, 0, CONF_SCRATCH);
	deep_run(c, d, n, true);
	deep_run(c, d, n, false);
	assert_memory_equal(c->in, c->out, n * DEEP_LEN);
	free(d);
}

static void discontiguous(struct conf *c)
{
	enum { N = 60 };
	struct drv_seg w[N], r[N];
	unsigned int done = 0;
	struct deep d = { .done = &done };

	if (!conf_indirect(c) && queue_slots(c) < N + 2)
		return;
	fill(c, c->out, CONF_SCRATCH);
	for (unsigned int i = 0; i < N; i++) {
		/* 60 odd pieces which make 60 sectors together */
		uint32_t len = i & 1 ? 512 + i : 512 - (i + 1);

		w[i] = (struct drv_seg){ c->out_gpa + i * 1024, len, 0 };
		r[i] = (struct drv_seg){ c->in_gpa + i * 1024, len, 0 };
	}
	for (unsigned int k = 0; k < 2; k++) {
		d.io = (struct fe_blk_io){ .type = k ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
					   .sector = 77,
					   .data = k ? r : w,
					   .ndata = N,
					   .done = deep_done };
		assert_int_equal(fe_blk_submit(c->blk, 0, &d.io), 0);
		fe_blk_kick(c->blk, 0);
		assert_int_equal(fe_blk_wait(c->blk, 0, 1, CONF_WAIT_MS), 1);
		assert_int_equal(d.res, 0);
	}
	for (unsigned int i = 0; i < N; i++)
		assert_memory_equal(c->in + i * 1024, c->out + i * 1024, w[i].len);
}

/* ---- slow storage ---- */

static void stop_waits(struct conf *c)
{
	struct fe_queue *q = fe_blk_queue(c->blk, 0);
	uint8_t buf[512], got[512];
	unsigned int done = 0;
	struct deep d = { .done = &done };
	struct vq_base b;

	fill(c, c->out, 512);
	memcpy(buf, c->out, 512);
	d.seg = (struct drv_seg){ c->out_gpa, 512, 0 };
	d.io = (struct fe_blk_io){ .type = VIRTIO_BLK_T_OUT,
				   .data = &d.seg,
				   .ndata = 1,
				   .done = deep_done };
	assert_int_equal(fe_blk_submit(c->blk, 0, &d.io), 0);
	fe_blk_kick(c->blk, 0);
	usleep(20000);
	assert_int_equal(fe_blk_poll(c->blk, 0), 0);
	conf_ok(c, fe_queue_stop(q, c->t, &b, &c->e));
	assert_int_equal(fe_blk_poll(c->blk, 0), 1);
	assert_int_equal(d.res, 0);
	conf_ok(c, fe_queue_start(q, c->t, &b, &c->e));
	conf_ok(c, fe_blk_read(c->blk, 0, 0, got, 512, &c->e));
	assert_memory_equal(got, buf, 512);
}

static void reset_waits(struct conf *c)
{
	/* May come back only when the driver is closed. */
	static unsigned int done;
	static struct deep d = { .done = &done };
	uint8_t mark[512];

	d.seg = (struct drv_seg){ c->in_gpa, 512, 0 };
	d.io = (struct fe_blk_io){ .type = VIRTIO_BLK_T_IN,
				   .data = &d.seg,
				   .ndata = 1,
				   .done = deep_done };
	assert_int_equal(fe_blk_submit(c->blk, 0, &d.io), 0);
	fe_blk_kick(c->blk, 0);
	usleep(20000);
	conf_ok(c, c->t->ops->reset(c->t, &c->e));
	/* The memory is ours again: nothing writes to it any more. */
	memset(c->in, 0x3e, 512);
	memset(mark, 0x3e, 512);
	usleep(300000);
	assert_memory_equal(c->in, mark, 512);
}

/* ---- other kinds of disks ---- */

static void read_only(struct conf *c)
{
	uint8_t buf[512];
	char id[21];
	struct virtio_blk_dwz w = seg(0, 1, 0);

	assert_true(fe_blk_info(c->blk)->read_only);
	assert_int_equal(simple(c, VIRTIO_BLK_T_OUT, 0, 512, 0), VIRTIO_BLK_S_IOERR);
	assert_int_not_equal(dwz(c, VIRTIO_BLK_T_WRITE_ZEROES, &w, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_not_equal(dwz(c, VIRTIO_BLK_T_DISCARD, &w, 1, 0), VIRTIO_BLK_S_OK);
	conf_ok(c, fe_blk_read(c->blk, 0, 0, buf, 512, &c->e));
	conf_ok(c, fe_blk_flush(c->blk, 0, &c->e));
	conf_ok(c, fe_blk_get_id(c->blk, 0, id, &c->e));
}

static void io_errors(struct conf *c)
{
	uint8_t buf[1024] = { 1 };

	assert_int_equal(fe_blk_write(c->blk, 0, 0, buf, 1024, &c->e), -EIO);
	conf_ok(c, fe_blk_read(c->blk, 0, 0, buf, 1024, &c->e));
	assert_int_equal(fe_blk_write(c->blk, 1, 0, buf, 512, &c->e), -EIO);
	assert_int_equal(simple(c, VIRTIO_BLK_T_OUT, 0, 512, 0), VIRTIO_BLK_S_IOERR);
}

static void null_disk(struct conf *c)
{
	uint8_t buf[4096], zero[4096] = { 0 };

	memset(buf, 1, sizeof(buf));
	conf_ok(c, fe_blk_write(c->blk, 0, 0, buf, sizeof(buf), &c->e));
	conf_ok(c, fe_blk_read(c->blk, 1, 0, buf, sizeof(buf), &c->e));
	assert_memory_equal(buf, zero, sizeof(buf));
	assert_int_equal(fe_blk_info(c->blk)->sectors, (UINT64_C(1) << 40) / 512);
	assert_int_equal(simple(c, VIRTIO_BLK_T_IN, (UINT64_C(1) << 40) / 512 - 1, 0, 512),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(simple(c, VIRTIO_BLK_T_IN, (UINT64_C(1) << 40) / 512, 0, 512),
			 VIRTIO_BLK_S_IOERR);
}

static void configuration(struct conf *c)
{
	struct virtio_blk_config k;
	uint8_t wb = 0, bad = 2;

	conf_ok(c, c->t->ops->config_get(c->t, 0, &k, sizeof(k), &c->e));
	assert_int_equal(le64toh(k.capacity), SECTORS);
	assert_int_equal(le32toh(k.blk_size), 512);
	assert_int_equal(le16toh(k.num_queues), CONF_QUEUES);
	assert_true(le32toh(k.seg_max) >= 1);
	assert_true(le32toh(k.max_discard_sectors) && le32toh(k.max_discard_seg));
	assert_true(le32toh(k.max_write_zeroes_sectors) && le32toh(k.max_write_zeroes_seg));
	assert_true(fe_blk_info(c->blk)->config_wce);
	assert_int_equal(k.writeback, 1);
	/* The cache mode is the one thing the driver decides. */
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t got, buf[512] = { 1 };
		uint32_t at = offsetof(struct virtio_blk_config, writeback);

		conf_ok(c, c->t->ops->config_set(c->t, at, &wb, 1, &c->e));
		conf_ok(c, c->t->ops->config_get(c->t, at, &got, 1, &c->e));
		assert_int_equal(got, wb);
		conf_ok(c, fe_blk_write(c->blk, 0, 0, buf, 512, &c->e));
		assert_true(c->t->ops->config_set(c->t, at, &bad, 1, &c->e) < 0);
		assert_true(c->t->ops->config_set(c->t, 0, &bad, 1, &c->e) < 0);
		wb = !wb;
	}
}

/* Guest memory under the data goes away while storage holds the request. */
static void data_vanishes(struct conf *c)
{
	/* May come back only when the driver is closed. */
	static unsigned int done;
	static struct deep d = { .done = &done };
	struct fe_queue *q = fe_blk_queue(c->blk, 0);
	uint8_t buf[512];

	d.seg = (struct drv_seg){ MEM_HIGH_GPA + 4096, 512, 0 };
	d.io = (struct fe_blk_io){ .type = VIRTIO_BLK_T_OUT,
				   .data = &d.seg,
				   .ndata = 1,
				   .done = deep_done };
	assert_int_equal(fe_blk_submit(c->blk, 0, &d.io), 0);
	fe_blk_kick(c->blk, 0);
	usleep(30000);
	assert_int_equal(ftruncate(c->m->r[MEM_HIGH].fd, 0), 0);
	/* Broken, or an error for this request; never an end of the process. */
	if (!fe_queue_err(q, CONF_SOON_MS)) {
		assert_int_equal(fe_blk_wait(c->blk, 0, 1, CONF_WAIT_MS), 1);
		assert_int_equal(d.res, -EIO);
	}
	conf_ok(c, fe_blk_read(c->blk, 1, 0, buf, 512, &c->e));
}

const struct conf_case conf_blk_cases[] = {
	{ .name = "contents_match_a_shadow", .fn = shadow_io, .storage = DISK, .any = true },
	{ .name = "request_is_cut_at_every_byte", .fn = split_everywhere, .storage = DISK },
	{ .name = "request_comes_byte_by_byte", .fn = split_to_bytes, .storage = DISK },
	{ .name = "ranges_and_lengths_are_checked", .fn = ranges, .storage = DISK },
	{ .name = "unknown_types_are_unsupported", .fn = unknown_types, .storage = DISK },
	{ .name = "serial_number", .fn = get_id, .storage = DISK },
	{ .name = "request_without_header_or_status", .fn = unanswerable, .storage = DISK },
	{ .name = "discard_and_write_zeroes", .fn = zeroes, .storage = DISK },
	{ .name = "many_requests_at_once", .fn = deep_queue, .storage = DISK, .any = true },
	{ .name = "many_requests_at_once_write_through",
	  .fn = deep_queue,
	  .storage = DISK,
	  .writethrough = true },
	{ .name = "data_in_sixty_odd_pieces", .fn = discontiguous, .storage = DISK },
	{ .name = "slow_requests_at_once",
	  .fn = deep_queue,
	  .storage = DISK,
	  .filter = "delay:ms=20" },
	{ .name = "stop_waits_for_storage",
	  .fn = stop_waits,
	  .storage = DISK,
	  .filter = "delay:ms=150" },
	{ .name = "reset_waits_for_storage",
	  .fn = reset_waits,
	  .storage = DISK,
	  .filter = "delay:ms=150" },
	{ .name = "data_memory_vanishes",
	  .fn = data_vanishes,
	  .storage = DISK,
	  .filter = "delay:ms=100" },
	{ .name = "read_only_disk", .fn = read_only, .storage = DISK, .read_only = true },
	{ .name = "storage_errors_come_through",
	  .fn = io_errors,
	  .storage = DISK,
	  .filter = "error:op=write" },
	{ .name = "disk_that_forgets", .fn = null_disk, .storage = "null:1T" },
	{ .name = "configuration_space", .fn = configuration, .storage = DISK },
	{ 0 },
};
