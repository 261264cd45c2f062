/* SPDX-License-Identifier: MIT */
/* What calls a request takes, one after the other. No engine is named here. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "storage/file.h"
#include "util/compiler.h"

#define PUNCH_HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO_RANGE (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

/* A disk that only ever says "again" is a broken disk. */
#define RETRIES_MAX 1000

/* One call moves no more than the kernel would (MAX_RW_COUNT), in whole blocks. */
#define CALL_MAX (1u << 30)

#define ZEROES (64u << 10)

static const char zeroes[ZEROES] __attribute__((aligned(4096)));

#define Z1                             \
	{                              \
		(void *)zeroes, ZEROES \
	}
#define Z4 Z1, Z1, Z1, Z1
static const struct iovec zero_iov[] = { Z4, Z4, Z4, Z4 };

/* ---- one call ---- */

static long transfer(int fd, const struct file_call *c)
{
	const struct iovec *v = c->iov;
	int n = (int)c->niov;
	off_t pos = (off_t)c->pos;

	if (c->kind == FILE_READ)
		return n == 1 ? pread(fd, v->iov_base, v->iov_len, pos) : preadv(fd, v, n, pos);
	return n == 1 ? pwrite(fd, v->iov_base, v->iov_len, pos) : pwritev(fd, v, n, pos);
}

int file_call(struct file_req *q)
{
	const struct file_call *c = &q->call;
	uint64_t range[2] = { c->pos, c->len };
	int fd = q->chan->f->fd;
	long n = 0;

	switch (c->kind) {
	case FILE_READ:
	case FILE_WRITE:
		n = transfer(fd, c);
		break;
	case FILE_SYNC:
		n = fdatasync(fd);
		break;
	case FILE_ALLOC:
		n = fallocate(fd, c->mode, (off_t)c->pos, (off_t)c->len);
		break;
	case FILE_BLKDISCARD:
		n = ioctl(fd, BLKDISCARD, range);
		break;
	}
	return n < 0 ? -errno : (int)n;
}

/* ---- the bounce buffer of direct I/O ---- */

/* Copy between the bounce buffer and the request's own, from where it has got to. */
static void bounce_copy(struct file_req *q, size_t len)
{
	char *b = q->chan->bounce;
	unsigned int i = q->iov_i;
	size_t off = q->iov_off;

	for (; len; i++, off = 0) {
		const struct iovec *v = &q->req.iov[i];
		size_t n = MIN(v->iov_len - off, len);
		char *own = (char *)v->iov_base + off;

		if (q->req.op == STOR_READ)
			memcpy(own, b, n);
		else
			memcpy(b, own, n);
		b += n;
		len -= n;
	}
}

static bool needs_bounce(const struct file *f, const struct stor_req *r)
{
	if (likely(!f->direct))
		return false;
	for (unsigned int i = 0; i < r->niov; i++) {
		if ((uintptr_t)r->iov[i].iov_base & (f->dio_mem - 1) ||
		    r->iov[i].iov_len & (f->dio_off - 1))
			return true;
	}
	return false;
}

/* Get in the queue. True if it is our turn at once. */
static bool bounce_enter(struct file_req *q)
{
	struct file_chan *c = q->chan;

	q->bounced = true;
	q->next = NULL;
	if (!c->bouncing)
		c->bounce_tail = &c->bouncing;
	*c->bounce_tail = q;
	c->bounce_tail = &q->next;
	return c->bouncing == q;
}

/* ---- which call is next ---- */

static void call_set(struct file_req *q, enum file_call_kind kind, const struct iovec *iov,
		     unsigned int niov)
{
	q->call.kind = kind;
	q->call.iov = iov;
	q->call.niov = niov;
	q->call.pos = q->req.offset + q->done;
}

static void prepare_bounced(struct file_req *q)
{
	bool read = q->req.op == STOR_READ;

	q->one.iov_base = q->chan->bounce;
	q->one.iov_len = MIN(q->req.len - q->done, FILE_BOUNCE);
	if (!read)
		bounce_copy(q, q->one.iov_len);
	call_set(q, read ? FILE_READ : FILE_WRITE, &q->one, 1);
}

static void prepare_transfer(struct file_req *q)
{
	enum file_call_kind kind = q->req.op == STOR_READ ? FILE_READ : FILE_WRITE;
	const struct iovec *v = &q->req.iov[q->iov_i];
	unsigned int n = q->req.niov - q->iov_i;

	if (unlikely(q->bounced)) {
		prepare_bounced(q);
	} else if (unlikely(q->iov_off || v->iov_len > CALL_MAX)) {
		q->one.iov_base = (char *)v->iov_base + q->iov_off;
		q->one.iov_len = MIN(v->iov_len - q->iov_off, CALL_MAX);
		call_set(q, kind, &q->one, 1);
	} else {
		call_set(q, kind, v, MIN(n, (unsigned int)IOV_MAX));
	}
}

static void prepare_zero_write(struct file_req *q)
{
	uint64_t left = q->req.len - q->done;

	q->zeroing = true;
	if (left < ZEROES) {
		q->one = (struct iovec){ (void *)zeroes, left };
		call_set(q, FILE_WRITE, &q->one, 1);
	} else {
		call_set(q, FILE_WRITE, zero_iov,
			 (unsigned int)MIN(left / ZEROES, ARRAY_SIZE(zero_iov)));
	}
}

static void prepare_alloc(struct file_req *q, int mode)
{
	call_set(q, FILE_ALLOC, NULL, 0);
	q->call.mode = mode;
	q->call.len = q->req.len;
}

/* A hole where that is allowed, else zeroes the file system makes, else ours. */
static void prepare_zeroes(struct file_req *q)
{
	struct file *f = q->chan->f;

	if (q->req.flags & STOR_MAY_UNMAP &&
	    !atomic_load_explicit(&f->no_punch, memory_order_relaxed))
		prepare_alloc(q, PUNCH_HOLE);
	else if (!atomic_load_explicit(&f->no_zero_range, memory_order_relaxed))
		prepare_alloc(q, ZERO_RANGE);
	else
		prepare_zero_write(q);
}

/* On a block device, whole blocks only; what is cut off keeps its contents, as it may. */
static bool prepare_discard(struct file_req *q)
{
	uint32_t bs = q->chan->c.stor->caps.block_size;
	uint64_t end = (q->req.offset + q->req.len) & ~(uint64_t)(bs - 1);

	if (!q->chan->f->block) {
		prepare_alloc(q, PUNCH_HOLE);
		return true;
	}
	call_set(q, FILE_BLKDISCARD, NULL, 0);
	q->call.pos = (q->req.offset + bs - 1) & ~(uint64_t)(bs - 1);
	q->call.len = end > q->call.pos ? end - q->call.pos : 0;
	return q->call.len > 0;
}

/* The first call. False: the request is over with *@res, or it waits for its turn. */
static bool prepare(struct file_req *q, int *res)
{
	struct file *f = q->chan->f;

	*res = 0;
	if (q->req.op == STOR_FLUSH) {
		call_set(q, FILE_SYNC, NULL, 0);
		*res = atomic_load(&f->flush_failed) ? -EIO : 0;
		return *res == 0;
	}
	if (q->req.op != STOR_READ && q->chan->c.stor->caps.read_only) {
		*res = -EROFS;
		return false;
	}
	if (!q->req.len)
		return false;
	switch (q->req.op) {
	case STOR_DISCARD:
		return prepare_discard(q);
	case STOR_WRITE_ZEROES:
		prepare_zeroes(q);
		return true;
	default:
		break;
	}
	if (f->direct && (q->req.offset | q->req.len) & (f->dio_off - 1)) {
		*res = -EINVAL; /* the block size we present says so */
		return false;
	}
	if (needs_bounce(f, &q->req) && !bounce_enter(q)) {
		*res = -EINPROGRESS;
		return false;
	}
	prepare_transfer(q);
	return true;
}

/* ---- what a result means ---- */

static void advance(struct file_req *q, size_t n)
{
	q->done += n;
	if (q->zeroing)
		return;
	q->iov_off += n;
	while (q->iov_i < q->req.niov && q->iov_off >= q->req.iov[q->iov_i].iov_len)
		q->iov_off -= q->req.iov[q->iov_i++].iov_len;
}

static bool step_transfer(struct file_req *q, int *res)
{
	if (*res <= 0) {
		/* Nothing moved and no error: the file ends here, it has been cut off. */
		*res = *res ? *res : -EIO;
		return false;
	}
	if (q->bounced && q->req.op == STOR_READ)
		bounce_copy(q, (size_t)*res);
	advance(q, (size_t)*res);
	*res = 0;
	if (q->done >= q->req.len)
		return false;
	if (q->zeroing) {
		prepare_zero_write(q);
	} else if (q->iov_i < q->req.niov) {
		prepare_transfer(q);
	} else {
		*res = -EINVAL; /* less buffer than length */
		return false;
	}
	return true;
}

/*
 * When a flush fails, the kernel has thrown the dirty pages away or calls them
 * clean: the next fdatasync() would succeed without the data being on the disk.
 * So every flush fails from then on, whoever asks, until the image is opened anew.
 */
static void step_sync(struct file *f, int *res)
{
	if (*res < 0)
		atomic_store(&f->flush_failed, true);
	else
		*res = atomic_load(&f->flush_failed) ? -EIO : 0;
}

static bool step_alloc(struct file_req *q, int *res)
{
	struct file *f = q->chan->f;

	if (*res != -EOPNOTSUPP && *res != -ENOSYS && *res != -EINVAL)
		return false;
	/* EINVAL: not this range (the edge of a larger block); others may work. */
	if (*res != -EINVAL)
		atomic_store_explicit(q->call.mode == PUNCH_HOLE ? &f->no_punch : &f->no_zero_range,
				      true, memory_order_relaxed);
	if (q->req.op == STOR_DISCARD) {
		*res = 0; /* only a hint */
		return false;
	}
	if (q->call.mode == PUNCH_HOLE &&
	    !atomic_load_explicit(&f->no_zero_range, memory_order_relaxed))
		prepare_alloc(q, ZERO_RANGE);
	else
		prepare_zero_write(q);
	return true;
}

bool file_step(struct file_req *q, int *res)
{
	if (unlikely(*res == -EINTR || *res == -EAGAIN)) {
		if (++q->retries < RETRIES_MAX)
			return true; /* the same call again */
		*res = -EIO;
	}
	q->retries = 0;
	switch (q->call.kind) {
	case FILE_READ:
	case FILE_WRITE:
		return step_transfer(q, res);
	case FILE_SYNC:
		step_sync(q->chan->f, res);
		return false;
	case FILE_ALLOC:
		return step_alloc(q, res);
	case FILE_BLKDISCARD:
		if (*res == -EOPNOTSUPP)
			*res = 0;
		return false;
	}
	return false;
}

/* ---- start and end ---- */

static void start(struct file_req *q)
{
	if (unlikely(q->call.kind == FILE_BLKDISCARD))
		file_start_on_pool(q);
	else
		q->chan->engine->start(q);
}

void file_finish(struct file_req *q, int res)
{
	struct file_chan *c = q->chan;
	struct file_req *next = NULL;

	if (unlikely(q->bounced)) {
		next = q->next;
		c->bouncing = next;
	}
	q->req.done(&q->req, res); /* q is gone */
	if (unlikely(next)) {
		prepare_transfer(next);
		start(next);
	}
}

void file_done(struct file_req *q, int res)
{
	if (unlikely(file_step(q, &res)))
		start(q);
	else
		file_finish(q, res);
}

void file_submit(struct stor_chan *chan, struct stor_req *r)
{
	struct file_req *q = container_of(r, struct file_req, req);
	int res;

	q->chan = container_of(chan, struct file_chan, c);
	q->done = 0;
	q->iov_i = 0;
	q->iov_off = 0;
	q->retries = 0;
	q->zeroing = false;
	q->bounced = false;
	if (likely(prepare(q, &res)))
		start(q);
	else if (res != -EINPROGRESS)
		file_finish(q, res);
}
