/* SPDX-License-Identifier: MIT */
/*
 * Ringing an eventfd from the ring that carries everything else of the turn: no
 * system call of its own.
 *
 * A success leaves no completion, which would end the sleep that is submitted
 * together with it. So that a bell nobody answers (its counter full, its peer
 * having made it blocking) cannot pile up requests in the kernel, every
 * BELL_MARK-th asks for a completion and until that is there no more are sent;
 * and those that wait are cancelled before the descriptor is given up.
 */
#include <stdlib.h>

#include "util/worker-internal.h"

#ifdef HAVE_LIBURING
#include <liburing.h>

#define BELL_MARK 64u

/**
 * struct worker_bell
 * @op:		of the marked one
 * @unmarked:	sent since
 * @marked:	the kernel has one that will complete
 * @dropped:	nobody else knows it any more: free it with that completion
 */
struct worker_bell {
	struct worker_op op;
	unsigned int unmarked;
	bool marked, dropped;
	struct worker_bell *next, **pprev; /* all of the worker's */
};

static const uint64_t one = 1;

static void bell_free(struct worker_bell *b)
{
	*b->pprev = b->next;
	if (b->next)
		b->next->pprev = b->pprev;
	free(b);
}

static void bell_answered(struct worker_op *op, int res)
{
	struct worker_bell *b = container_of(op, struct worker_bell, op);

	(void)res; /* EAGAIN: a full counter is a bell that rings already */
	b->marked = false;
	b->unmarked = 0;
	if (b->dropped)
		bell_free(b);
}

struct worker_bell *worker_bell_new(struct worker *w)
{
	struct worker_bell *b = w->cqe_skip ? calloc(1, sizeof(*b)) : NULL;

	if (!b)
		return NULL;
	b->op.done = bell_answered;
	b->next = w->bells;
	b->pprev = &w->bells;
	if (b->next)
		b->next->pprev = &b->next;
	w->bells = b;
	return b;
}

bool worker_bell_ring(struct worker *w, struct worker_bell *b, int fd)
{
	struct io_uring_sqe *sqe;

	if (!b || (b->marked && b->unmarked >= BELL_MARK))
		return false;
	sqe = worker_sqe(w);
	io_uring_prep_write(sqe, fd, &one, sizeof(one), 0);
	if (++b->unmarked >= BELL_MARK && !b->marked) {
		b->marked = true;
		b->unmarked = 0;
		io_uring_sqe_set_data(sqe, &b->op);
	} else {
		io_uring_sqe_set_data64(sqe, 0);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	}
	return true;
}

void worker_bell_settle(struct worker *w, int fd)
{
	struct io_uring_sqe *sqe;

	if (!w->cqe_skip)
		return;
	/* Goes behind those not yet submitted, and finds what they left waiting. */
	sqe = worker_sqe(w);
	io_uring_prep_rw(IORING_OP_ASYNC_CANCEL, sqe, fd, NULL, 0, 0);
	sqe->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
	io_uring_sqe_set_data64(sqe, 0);
	w->be->flush(w);
}

void worker_bell_drop(struct worker_bell *b)
{
	if (!b)
		return;
	if (b->marked)
		b->dropped = true;
	else
		bell_free(b);
}

void worker_bells_free(struct worker *w)
{
	while (w->bells)
		bell_free(w->bells);
}

#else

struct worker_bell *worker_bell_new(struct worker *w)
{
	(void)w;
	return NULL;
}

bool worker_bell_ring(struct worker *w, struct worker_bell *b, int fd)
{
	(void)w;
	(void)b;
	(void)fd;
	return false;
}

void worker_bell_settle(struct worker *w, int fd)
{
	(void)w;
	(void)fd;
}

void worker_bell_drop(struct worker_bell *b)
{
	(void)b;
}

void worker_bells_free(struct worker *w)
{
	(void)w;
}

#endif
