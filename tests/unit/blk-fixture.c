/* SPDX-License-Identifier: MIT */
#include "blk-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what virtio-blk calls ---- */

void worker_post(struct worker *w, struct worker_post *p)
{
	p->next = NULL;
	*w->tail = p;
	w->tail = &p->next;
}

void bf_run(struct worker *w)
{
	while (w->posts) {
		struct worker_post *p = w->posts;

		w->posts = p->next;
		if (!w->posts)
			w->tail = &w->posts;
		p->fn(p);
	}
}

struct vu_chain *vu_queue_pop(struct vu_queue *q)
{
	struct chain *c = q->todo;

	if (!c)
		return NULL;
	q->todo = c->next;
	if (!q->todo)
		q->tail = &q->todo;
	return &c->c;
}

void vu_queue_push(struct vu_chain *vc, uint32_t written)
{
	struct chain *c = (struct chain *)vc;

	assert_false(c->pushed);
	assert_null(c->aborted);
	c->pushed = true;
	c->written = written;
}

void vu_queue_abort(struct vu_chain *vc, const char *why)
{
	struct chain *c = (struct chain *)vc;

	assert_false(c->pushed);
	c->aborted = why;
}

static bool take(struct iovec **v, uint16_t *n, uint32_t *len, void *in, const void *out,
		 size_t size)
{
	if (*len < size)
		return false;
	*len -= (uint32_t)size;
	while (size) {
		size_t part = MIN(size, (*v)->iov_len);

		if (in) {
			memcpy(in, (*v)->iov_base, part);
			in = (uint8_t *)in + part;
		} else {
			memcpy((*v)->iov_base, out, part);
			out = (const uint8_t *)out + part;
		}
		(*v)->iov_base = (uint8_t *)(*v)->iov_base + part;
		(*v)->iov_len -= part;
		size -= part;
		if (!(*v)->iov_len) {
			(*v)++;
			(*n)--;
		}
	}
	return true;
}

bool vu_chain_get(struct vu_chain *c, void *buf, size_t n)
{
	return take(&c->out, &c->out_n, &c->out_len, buf, NULL, n);
}

bool vu_chain_put(struct vu_chain *c, const void *buf, size_t n)
{
	return take(&c->in, &c->in_n, &c->in_len, NULL, buf, n);
}

bool vu_chain_take_last(struct vu_chain *vc)
{
	struct chain *c = (struct chain *)vc;
	struct iovec *v;

	if (!vc->in_n)
		return false;
	v = &vc->in[vc->in_n - 1];
	c->last = (uint8_t *)v->iov_base + --v->iov_len;
	vc->in_len--;
	if (!v->iov_len)
		vc->in_n--;
	return true;
}

void vu_chain_put_last(struct vu_chain *vc, uint8_t status)
{
	*((struct chain *)vc)->last = status;
}

struct worker *vu_queue_worker(const struct vu_queue *q)
{
	return q->worker;
}

void vu_queue_set_priv(struct vu_queue *q, void *priv)
{
	q->priv = priv;
}

void *vu_queue_priv(const struct vu_queue *q)
{
	return q->priv;
}

void vu_dev_config_set(struct vu_dev *d, uint32_t off, const void *buf, uint32_t len)
{
	assert_in_range(off + len, 1, blk_model.config_size);
	memcpy(d->config + off, buf, len);
}

bool vu_dev_config_writable(const struct vu_dev *d)
{
	return d->config_writable;
}

void vu_dev_config_written(struct vu_dev *d, int res)
{
	assert_int_equal(d->written, 1);
	d->written = res;
}

/* ---- the storage ---- */

static void fake_do(struct fake_stor *f, struct stor_req *r)
{
	uint64_t off = r->offset;

	assert_in_range(r->offset, 0, DISK_BYTES);
	assert_in_range(r->len, 0, DISK_BYTES - r->offset);
	f->count[r->op]++;
	f->last_flags = r->flags;
	if (f->fail_op == (int)r->op) {
		r->done(r, -f->fail_errno);
		return;
	}
	switch (r->op) {
	case STOR_READ:
	case STOR_WRITE:
		for (unsigned int i = 0; i < r->niov; i++) {
			if (r->op == STOR_READ)
				memcpy(r->iov[i].iov_base, f->data + off, r->iov[i].iov_len);
			else
				memcpy(f->data + off, r->iov[i].iov_base, r->iov[i].iov_len);
			off += r->iov[i].iov_len;
		}
		assert_int_equal(off - r->offset, r->len);
		break;
	case STOR_FLUSH:
		memcpy(f->stable, f->data, sizeof(f->data));
		break;
	case STOR_DISCARD:
		memset(f->data + off, 0xdd, r->len);
		break;
	case STOR_WRITE_ZEROES:
		memset(f->data + off, 0, r->len);
		break;
	}
	r->done(r, 0);
}

static void fake_submit(struct stor_chan *c, struct stor_req *r)
{
	struct fake_stor *f = container_of(c->stor, struct fake_stor, s);

	memset((uint8_t *)r + sizeof(*r), 0x5a, f->s.req_size - sizeof(*r)); /* ours to use */
	if (f->hold)
		f->held[f->nheld++] = r;
	else
		fake_do(f, r);
}

/* Let the oldest go. */
void bf_release(struct fake_stor *f)
{
	struct stor_req *r = f->held[0];

	assert_true(f->nheld > 0);
	memmove(f->held, f->held + 1, --f->nheld * sizeof(f->held[0]));
	fake_do(f, r);
}

static struct stor_chan *fake_chan_open(struct stor *s, struct worker *w)
{
	struct fake_stor *f = container_of(s, struct fake_stor, s);
	struct stor_chan *c;

	if (f->fail_errno == EMFILE) {
		errno = EMFILE;
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	*c = (struct stor_chan){ s->ops, s, w };
	f->chans++;
	f->opened++;
	return c;
}

static void fake_chan_close(struct stor_chan *c)
{
	container_of(c->stor, struct fake_stor, s)->chans--;
	free(c);
}

/* ---- the world ---- */

struct world *bf_new(unsigned int flags, uint64_t features)
{
	struct world *x = calloc(1, sizeof(*x));
	struct blk_args a = {
		.stor = &x->st.s,
		.serial = "disk-0",
		.nqueues = flags & ONE_QUEUE ? 1 : 4,
		.max_queue_size = 256,
		.writethrough = flags & WRITE_THROUGH,
	};

	x->st.ops = (struct stor_ops){ .chan_open = fake_chan_open,
				       .chan_close = fake_chan_close,
				       .submit = fake_submit };
	x->st.s.ops = &x->st.ops;
	x->st.s.req_size = sizeof(struct stor_req) + 24;
	x->st.s.caps = (struct stor_caps){
		.size = DISK_BYTES,
		.block_size = 512,
		.physical_size = 4096,
		.opt_io = 65536,
		.read_only = flags & READ_ONLY,
		.discard = !(flags & NO_DISCARD),
		.write_zeroes = !(flags & NO_DISCARD),
		.write_zeroes_unmap = true,
	};
	x->st.fail_op = -1;
	for (unsigned int i = 0; i < DISK_BYTES; i++)
		x->st.data[i] = x->st.stable[i] = (uint8_t)(i * 7 + i / 512);
	for (unsigned int i = 0; i < 2; i++)
		x->w[i].tail = &x->w[i].posts;
	x->loop = loop_new();
	assert_non_null(x->loop);
	a.loop = x->loop;
	x->b = blk_new(&a, NULL);
	assert_non_null(x->b);
	x->dev.config_writable = true;
	x->dev.written = 1;
	blk_bind(x->b, &x->dev);
	blk_model.negotiated(x->b, features & (blk_model.features(x->b) | VIRTIO_BIT(32)));
	x->q.worker = &x->w[0];
	x->q.tail = &x->q.todo;
	assert_int_equal(blk_model.queue_start(x->b, &x->q), 0);
	return x;
}

void bf_free(struct world *x)
{
	if (x->q.priv)
		blk_model.queue_stopped(x->b, &x->q);
	assert_false(blk_busy(x->b));
	assert_int_equal(x->st.chans, 0);
	blk_free(x->b);
	loop_free(x->loop);
	free(x);
}

/* The control thread and both workers, until nothing is left to do. */
void bf_settle(struct world *x)
{
	for (unsigned int i = 0; i < 4; i++) {
		bf_run(&x->w[0]);
		bf_run(&x->w[1]);
		assert_int_equal(loop_turn(x->loop, 0), 0);
	}
}

static void add_seg(struct chain *c, bool in, const uint8_t *bytes, size_t n)
{
	void *p;

	if (!n)
		return;
	p = malloc(n);
	c->bufs[c->nbufs++] = p;
	if (in) {
		memset(p, 0xee, n);
		c->in[c->c.in_n++] = (struct iovec){ p, n };
		c->in_all[c->nin_all++] = (struct iovec){ p, n };
		c->c.in_len += (uint32_t)n;
	} else {
		memcpy(p, bytes, n);
		c->out[c->c.out_n++] = (struct iovec){ p, n };
		c->c.out_len += (uint32_t)n;
	}
}

/* @cut_out, @cut_in: where to split in two; -1: into single bytes. */
struct chain *bf_chain(struct world *x, const void *out, size_t out_len, size_t in_len,
		       long cut_out, long cut_in)
{
	struct chain *c = calloc(1, sizeof(*c));
	const uint8_t *o = out;

	c->c.queue = &x->q;
	c->c.out = c->out;
	c->c.in = c->in;
	c->c.priv = aligned_alloc(16, (blk_model.req_size_of(x->b) + 15) & ~(size_t)15);
	memset(c->c.priv, 0xa5, blk_model.req_size_of(x->b)); /* not cleared between uses */
	c->bufs[c->nbufs++] = c->c.priv;
	if (cut_out < 0) {
		for (size_t i = 0; i < out_len; i++)
			add_seg(c, false, o + i, 1);
	} else {
		add_seg(c, false, o, (size_t)cut_out);
		add_seg(c, false, o + cut_out, out_len - (size_t)cut_out);
	}
	if (cut_in < 0) {
		for (size_t i = 0; i < in_len; i++)
			add_seg(c, true, NULL, 1);
	} else {
		add_seg(c, true, NULL, (size_t)cut_in);
		add_seg(c, true, NULL, in_len - (size_t)cut_in);
	}
	return c;
}

void bf_chain_free(struct chain *c)
{
	for (unsigned int i = 0; i < c->nbufs; i++)
		free(c->bufs[i]);
	free(c);
}

void bf_submit(struct world *x, struct chain *c)
{
	*x->q.tail = c;
	x->q.tail = &c->next;
	blk_model.queue_kick(x->b, &x->q);
}

uint8_t bf_status(const struct chain *c)
{
	const struct iovec *v = &c->in_all[c->nin_all - 1];

	assert_true(c->pushed);
	return ((uint8_t *)v->iov_base)[v->iov_len - 1];
}

/* Byte @i of what the driver gave to write to. */
uint8_t bf_in_byte(const struct chain *c, size_t i)
{
	const struct iovec *v = c->in_all;

	for (; i >= v->iov_len; v++)
		i -= v->iov_len;
	return ((uint8_t *)v->iov_base)[i];
}

size_t bf_header(uint8_t *buf, uint32_t type, uint64_t sector)
{
	struct virtio_blk_req_hdr h = { .type = htole32(type), .sector = htole64(sector) };

	memcpy(buf, &h, sizeof(h));
	return sizeof(h);
}

/* One request in two plain buffers. Returns the status, *@written what was told. */
uint8_t bf_ask(struct world *x, uint32_t type, uint64_t sector, const void *data, size_t out_len,
	       size_t in_len, uint32_t *written)
{
	uint8_t *out = calloc(1, 16 + out_len);
	struct chain *c;
	uint8_t status;

	bf_header(out, type, sector);
	if (data)
		memcpy(out + 16, data, out_len);
	c = bf_chain(x, out, 16 + out_len, in_len + 1, 16, (long)in_len);
	bf_submit(x, c);
	status = bf_status(c);
	if (written)
		*written = c->written;
	bf_chain_free(c);
	free(out);
	return status;
}

uint8_t bf_range(struct world *x, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
	struct virtio_blk_dwz w = { htole64(sector), htole32(n), htole32(flags) };

	return bf_ask(x, type, 0, &w, sizeof(w), 0, NULL);
}
