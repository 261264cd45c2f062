/* SPDX-License-Identifier: MIT */
/* Calls as entries in the io_uring of the worker: a burst of them is one system call. */
#include <errno.h>
#include <liburing.h>

#include "storage/file.h"
#include "util/compiler.h"

static void uring_done(struct worker_op *op, int res)
{
	file_done(container_of(op, struct file_req, op), res);
}

static void uring_start(struct file_req *q)
{
	const struct file_call *c = &q->call;
	struct file_chan *chan = q->chan;
	struct io_uring_sqe *sqe = worker_sqe(chan->c.worker);
	int fd = chan->fixed >= 0 ? chan->fixed : chan->f->fd;

	switch (c->kind) {
	case FILE_READ:
		/* One buffer is common, and spares the kernel copying a vector in. */
		if (c->niov == 1)
			io_uring_prep_read(sqe, fd, c->iov->iov_base, (unsigned int)c->iov->iov_len,
					   c->pos);
		else
			io_uring_prep_readv(sqe, fd, c->iov, c->niov, c->pos);
		break;
	case FILE_WRITE:
		if (c->niov == 1)
			io_uring_prep_write(sqe, fd, c->iov->iov_base,
					    (unsigned int)c->iov->iov_len, c->pos);
		else
			io_uring_prep_writev(sqe, fd, c->iov, c->niov, c->pos);
		break;
	case FILE_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case FILE_ALLOC:
		io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, fd, NULL, (unsigned int)c->mode, c->pos);
		sqe->addr = c->len;
		break;
	case FILE_BLKDISCARD: /* never given to us; complete it all the same */
		io_uring_prep_nop(sqe);
		break;
	}
	if (chan->fixed >= 0)
		sqe->flags |= IOSQE_FIXED_FILE;
	q->op.done = uring_done;
	io_uring_sqe_set_data(sqe, &q->op);
}

static int uring_chan_open(struct file_chan *c)
{
	if (!worker_has_uring(c->c.worker))
		return -EOPNOTSUPP;
	/* Saves a look-up per request; a full table is no reason to fail. */
	c->fixed = worker_file_register(c->c.worker, c->f->fd);
	return 0;
}

static void uring_chan_close(struct file_chan *c)
{
	if (c->fixed >= 0)
		worker_file_unregister(c->c.worker, c->fixed);
}

const struct file_engine file_engine_uring = {
	.name = "uring",
	.start = uring_start,
	.chan_open = uring_chan_open,
	.chan_close = uring_chan_close,
};
