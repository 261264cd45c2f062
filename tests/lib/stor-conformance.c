/* SPDX-License-Identifier: MIT */
#include "stor-conformance.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/compiler.h"

/* ---- requests ---- */

static void chan_open(void *arg)
{
	struct stor_io *io = arg;

	errno = 0;
	io->chan = stor_chan_open(io->stor, io->worker);
	io->open_errno = errno;
}

static void chan_close(void *arg)
{
	struct stor_io *io = arg;

	stor_chan_close(io->chan);
	io->chan = NULL;
}

int stor_io_open(struct stor_io *io, struct stor *s, struct worker *w)
{
	*io = (struct stor_io){ .stor = s, .worker = w };
	worker_call(w, chan_open, io);
	return io->chan ? 0 : -io->open_errno;
}

void stor_io_close(struct stor_io *io)
{
	if (io->chan)
		worker_call(io->worker, chan_close, io);
}

struct batch;

/* In front of each request, which is as long as the backend says. */
struct slot {
	struct batch *batch;
	struct stor_io_op *op;
	_Alignas(16) struct stor_req req;
};

struct batch {
	struct stor_io *io;
	struct stor_io_op *ops;
	char *slots;
	size_t slot_size;
	unsigned int n, left;
	bool twice, elsewhere;
	sem_t done;
};

static void req_done(struct stor_req *req, int res)
{
	struct slot *s = container_of(req, struct slot, req);
	struct batch *b = s->batch;

	b->twice |= s->op->res != -EINPROGRESS;
	b->elsewhere |= !worker_is_current(b->io->worker);
	s->op->res = res;
	/* The space is ours again: nothing may look at it from now on. */
	memset((void *)req, 0xdd, b->io->stor->req_size);
	if (--b->left == 0)
		sem_post(&b->done);
}

static void batch_submit(void *arg)
{
	struct batch *b = arg;

	for (unsigned int i = 0; i < b->n; i++) {
		struct slot *s = (void *)(b->slots + i * b->slot_size);
		struct stor_io_op *op = &b->ops[i];

		memset(s, 0xdd, b->slot_size); /* the backend must not count on zeroes */
		s->batch = b;
		s->op = op;
		op->res = -EINPROGRESS;
		s->req = (struct stor_req){
			.op = op->op,
			.flags = op->flags,
			.offset = op->offset,
			.len = op->len,
			.iov = op->iov,
			.niov = op->niov,
			.done = req_done,
		};
		stor_submit(b->io->chan, &s->req);
	}
}

void stor_io_run(struct stor_io *io, struct stor_io_op *ops, unsigned int n)
{
	struct batch b = { .io = io, .ops = ops, .n = n, .left = n };

	b.slot_size = (offsetof(struct slot, req) + io->stor->req_size + 15) & ~(size_t)15;
	b.slots = aligned_alloc(16, n * b.slot_size);
	assert_non_null(b.slots);
	sem_init(&b.done, 0, 0);
	worker_call(io->worker, batch_submit, &b);
	while (sem_wait(&b.done) < 0)
		;
	sem_destroy(&b.done);
	free(b.slots);
	assert_false(b.twice);
	assert_false(b.elsewhere);
}

int stor_io_one(struct stor_io *io, enum stor_op op, uint32_t flags, uint64_t offset, void *buf,
		uint64_t len)
{
	struct iovec iov = { buf, len };
	struct stor_io_op o = { op, flags, offset, len, buf ? &iov : NULL, buf != NULL, 0 };

	stor_io_run(io, &o, 1);
	return o.res;
}

/* ---- the suite ---- */

#define AREA     (1u << 20) /* what the random operations play with */
#define MAX_IO   (96u << 10)
#define IOV_MOST 9
#define ROUNDS   400
#define FLIGHT   64

/**
 * struct model - what the disk ought to hold
 * @known:	per sector: 0 after a discard, whose result is undefined
 */
struct model {
	struct stor_io io;
	bool forgets;
	uint64_t seed;
	unsigned char *shadow, *buf;
	unsigned char known[AREA / 512];
};

static uint32_t rnd(struct model *m, uint32_t below)
{
	m->seed = m->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(m->seed >> 33) % below;
}

/* Cut @buf into pieces of any length, some of them empty, with gaps in between. */
static unsigned int cut(struct model *m, unsigned char *buf, size_t len, struct iovec *iov)
{
	unsigned int n = 0;

	while (len && n < IOV_MOST - 1) {
		size_t piece = rnd(m, 8) ? 1 + rnd(m, (uint32_t)len) : 0;

		iov[n++] = (struct iovec){ buf, piece };
		buf += piece + 64;
		len -= piece;
	}
	if (len)
		iov[n++] = (struct iovec){ buf, len };
	return n;
}

static void check_read(struct model *m, uint64_t off, const struct iovec *iov, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const unsigned char *p = iov[i].iov_base;

		for (size_t j = 0; j < iov[i].iov_len; j++, off++) {
			unsigned char want = m->forgets ? 0 : m->shadow[off];

			if (p[j] != want && (m->forgets || m->known[off / 512]))
				fail_msg("byte %llu is 0x%02x and should be 0x%02x",
					 (unsigned long long)off, p[j], want);
		}
	}
}

static void model_write(struct model *m, uint64_t off, const struct iovec *iov, unsigned int n,
			size_t len)
{
	memset(m->known + off / 512, 1, len / 512);
	for (unsigned int i = 0; i < n; i++) {
		memcpy(m->shadow + off, iov[i].iov_base, iov[i].iov_len);
		off += iov[i].iov_len;
	}
}

static void one_round(struct model *m)
{
	static const enum stor_op ops[] = { STOR_READ,  STOR_READ,    STOR_READ,
					    STOR_WRITE, STOR_WRITE,   STOR_WRITE,
					    STOR_FLUSH, STOR_DISCARD, STOR_WRITE_ZEROES };
	uint32_t bs = m->io.stor->caps.block_size;
	struct iovec iov[IOV_MOST];
	struct stor_io_op o = { .op = ops[rnd(m, ARRAY_SIZE(ops))], .iov = iov };

	if (o.op == STOR_DISCARD && !m->io.stor->caps.discard)
		return;
	o.len = (1 + rnd(m, rnd(m, 2) ? 8 : MAX_IO / bs)) * bs;
	o.offset = rnd(m, (AREA - (uint32_t)o.len) / bs + 1) * (uint64_t)bs;
	memset(m->buf, o.op == STOR_READ ? 0xa5 : 0, 64); /* something at least */
	if (o.op == STOR_WRITE) {
		for (size_t i = 0; i < MAX_IO + IOV_MOST * 64; i++)
			m->buf[i] = (unsigned char)rnd(m, 256);
	}
	if (o.op == STOR_READ || o.op == STOR_WRITE)
		o.niov = cut(m, m->buf, o.len, iov);
	if (o.op == STOR_WRITE_ZEROES && rnd(m, 2))
		o.flags = STOR_MAY_UNMAP;
	if (o.op == STOR_FLUSH)
		o.offset = o.len = 0;
	stor_io_run(&m->io, &o, 1);
	assert_int_equal(o.res, 0);

	if (o.op == STOR_READ) {
		check_read(m, o.offset, iov, o.niov);
	} else if (o.op == STOR_WRITE) {
		model_write(m, o.offset, iov, o.niov, o.len);
	} else if (o.op == STOR_DISCARD) {
		memset(m->known + o.offset / 512, 0, o.len / 512);
	} else if (o.op == STOR_WRITE_ZEROES) {
		memset(m->known + o.offset / 512, 1, o.len / 512);
		memset(m->shadow + o.offset, 0, o.len);
	}
}

static void whole_area_matches(struct model *m)
{
	unsigned char *all = malloc(AREA);
	struct iovec iov = { all, AREA };

	memset(all, 0xa5, AREA);
	assert_int_equal(stor_io_one(&m->io, STOR_READ, 0, 0, all, AREA), 0);
	check_read(m, 0, &iov, 1);
	free(all);
}

static void many_in_flight(struct model *m)
{
	size_t len = AREA / FLIGHT;
	unsigned char *back = malloc(AREA);
	struct stor_io_op ops[FLIGHT + 1];
	struct iovec iov[FLIGHT];

	for (size_t i = 0; i < AREA; i++)
		m->shadow[i] = (unsigned char)(i / len * 7 + i);
	memset(m->known, 1, sizeof(m->known));
	for (int pass = 0; pass < 2; pass++) {
		unsigned char *data = pass ? back : m->shadow;

		for (unsigned int i = 0; i < FLIGHT; i++) {
			unsigned int at = (i * 37) % FLIGHT; /* in no order */

			iov[i] = (struct iovec){ data + at * len, len };
			ops[i] = (struct stor_io_op){ .op = pass ? STOR_READ : STOR_WRITE,
						      .offset = at * len,
						      .len = len,
						      .iov = &iov[i],
						      .niov = 1 };
		}
		ops[FLIGHT] = (struct stor_io_op){ .op = STOR_FLUSH };
		stor_io_run(&m->io, ops, FLIGHT + 1);
		for (unsigned int i = 0; i <= FLIGHT; i++)
			assert_int_equal(ops[i].res, 0);
	}
	iov[0] = (struct iovec){ back, AREA };
	check_read(m, 0, iov, 1);
	free(back);
}

static void last_block_is_there(struct model *m)
{
	const struct stor_caps *c = &m->io.stor->caps;
	unsigned char *b = malloc(c->block_size), *back = malloc(c->block_size);

	memset(b, 0x3c, c->block_size);
	assert_int_equal(stor_io_one(&m->io, STOR_WRITE, 0, c->size - c->block_size, b,
				     c->block_size),
			 0);
	assert_int_equal(stor_io_one(&m->io, STOR_READ, 0, c->size - c->block_size, back,
				     c->block_size),
			 0);
	if (m->forgets)
		memset(b, 0, c->block_size);
	assert_memory_equal(b, back, c->block_size);
	free(b);
	free(back);
}

static void caps_make_sense(const struct stor_caps *c)
{
	assert_true(c->size >= AREA);
	assert_int_equal(c->size % c->block_size, 0);
	assert_true(c->block_size >= 512 && !(c->block_size & (c->block_size - 1)));
	assert_true(c->physical_size >= c->block_size);
	assert_true(c->opt_io == 0 || c->opt_io % c->block_size == 0);
	assert_false(c->read_only);
	assert_true(c->write_zeroes);
}

void stor_conformance(struct stor *s, struct worker *w, bool forgets)
{
	struct model *m = calloc(1, sizeof(*m));

	caps_make_sense(&s->caps);
	m->forgets = forgets;
	m->seed = 20231;
	m->shadow = calloc(1, AREA);
	m->buf = malloc(MAX_IO + (IOV_MOST + 1) * 64);
	assert_int_equal(stor_io_open(&m->io, s, w), 0);

	/* From a known state. */
	assert_int_equal(stor_io_one(&m->io, STOR_WRITE_ZEROES, 0, 0, NULL, AREA), 0);
	memset(m->known, 1, sizeof(m->known));
	whole_area_matches(m);
	for (int i = 0; i < ROUNDS; i++)
		one_round(m);
	whole_area_matches(m);
	many_in_flight(m);
	last_block_is_there(m);

	stor_io_close(&m->io);
	free(m->shadow);
	free(m->buf);
	free(m);
}
