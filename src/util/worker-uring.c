/* SPDX-License-Identifier: MIT */
/*
 * A worker that waits in io_uring_enter(): descriptors are watched by poll
 * requests on the same ring that carries storage I/O, so that one system call
 * hands over everything the turn produced and sleeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "util/worker-internal.h"

#define SQ_ENTRIES 256
#define CQ_ENTRIES 4096
#define NFILES     64

/* user_data: 0 nobody cares; bit 0 set: a worker_node; else a worker_op. */
#define NODE_TAG 1u

struct stashed {
	uint64_t user_data;
	int res;
	uint32_t flags;
};

/**
 * struct uring_priv
 * @files:	bit i set: slot i of the registered-file table is taken
 * @table:	the table exists
 * @stash:	completions taken out early to make room, oldest first
 */
struct uring_priv {
	struct io_uring ring;
	uint64_t files;
	bool table;
	struct stashed *stash;
	size_t nstash, stash_size;
};

static int ring_init(struct io_uring *ring)
{
	/*
	 * Best first. Deferred task work (Linux 6.1): completions are posted only
	 * when we ask, in one go and without interrupting us. Cooperative (5.19):
	 * no interrupts at least. The flag tells us in shared memory that there is
	 * something to ask for.
	 */
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int ret = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(flags) && ret == -EINVAL; i++) {
		struct io_uring_params p = {
			.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = CQ_ENTRIES,
		};

		ret = io_uring_queue_init_params(SQ_ENTRIES, ring, &p);
	}
	if (ret < 0)
		return ret;
	/*
	 * Waiting with a time limit (5.11) and multishot poll (5.13). The latter
	 * has no flag of its own; resource tags came with the same release.
	 */
	if (!(ring->features & IORING_FEAT_EXT_ARG) || !(ring->features & IORING_FEAT_RSRC_TAGS) ||
	    !(ring->features & IORING_FEAT_NODROP)) {
		io_uring_queue_exit(ring);
		return -EOPNOTSUPP;
	}
	/* Spares the kernel a look-up per call; not vital (5.18). */
	io_uring_register_ring_fd(ring);
	return 0;
}

static int uring_setup(struct worker *w)
{
	struct uring_priv *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	ret = ring_init(&u->ring);
	if (ret < 0) {
		free(u);
		return ret;
	}
	w->be_priv = u;
#ifdef IORING_FEAT_CQE_SKIP
	/* Cooperative task work came with cancelling by descriptor, which has no flag of its own. */
	w->cqe_skip = u->ring.features & IORING_FEAT_CQE_SKIP &&
		      u->ring.flags & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN);
#endif
	return 0;
}

static void uring_teardown(struct worker *w)
{
	struct uring_priv *u = w->be_priv;

	io_uring_queue_exit(&u->ring);
	free(u->stash);
	free(u);
	w->be_priv = NULL;
}

/* ---- submission ---- */

/*
 * The kernel takes no more submissions before it has got rid of completions
 * that did not fit (EBUSY, Linux before 5.17). They must not be delivered from
 * in here: the caller is in the middle of something.
 */
static void stash_completions(struct uring_priv *u)
{
	struct io_uring_cqe *cqe;

	while (io_uring_cq_ready(&u->ring) && !io_uring_peek_cqe(&u->ring, &cqe)) {
		if (u->nstash == u->stash_size) {
			size_t size = u->stash_size ? 2 * u->stash_size : CQ_ENTRIES;
			struct stashed *s = realloc(u->stash, size * sizeof(*s));

			if (!s)
				return;
			u->stash = s;
			u->stash_size = size;
		}
		u->stash[u->nstash++] = (struct stashed){ cqe->user_data, cqe->res, cqe->flags };
		io_uring_cq_advance(&u->ring, 1);
	}
}

/* One attempt; completions may have to make room, and are delivered later. */
static void push_out(struct worker *w, struct uring_priv *u)
{
	int ret;

	stat_inc(&w->stats.enters);
	ret = io_uring_submit(&u->ring);
	if (ret == -EBUSY) {
		stash_completions(u);
		io_uring_get_events(&u->ring);
	} else if (ret < 0 && ret != -EINTR) {
		sched_yield(); /* EAGAIN: the kernel is out of memory for now */
	}
}

static struct io_uring_sqe *uring_sqe(struct worker *w)
{
	struct uring_priv *u = w->be_priv;
	struct io_uring_sqe *sqe;

	while (unlikely(!(sqe = io_uring_get_sqe(&u->ring))))
		push_out(w, u);
	return sqe;
}

static void uring_flush(struct worker *w)
{
	struct uring_priv *u = w->be_priv;

	while (io_uring_sq_ready(&u->ring))
		push_out(w, u);
}

/* Has the kernel told us that entering it would yield completions? */
static bool kernel_has_more(struct io_uring *ring)
{
	return IO_URING_READ_ONCE(*ring->sq.kflags) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN);
}

/*
 * Errors of the two calls below need no care: what was not submitted is still
 * in the ring and goes with the next turn, after the completions were reaped.
 */
static void uring_submit(struct worker *w)
{
	struct uring_priv *u = w->be_priv;

	if (!io_uring_sq_ready(&u->ring) && !kernel_has_more(&u->ring))
		return;
	stat_inc(&w->stats.enters);
	io_uring_submit_and_get_events(&u->ring);
}

static void uring_wait(struct worker *w, int64_t timeout_ns)
{
	struct uring_priv *u = w->be_priv;
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};

	stat_inc(&w->stats.enters);
	if (timeout_ns < 0)
		io_uring_submit_and_wait(&u->ring, 1);
	else
		io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
}

/* ---- descriptors ---- */

static void node_arm(struct worker *w, struct worker_node *n)
{
	struct io_uring_sqe *sqe = uring_sqe(w);

	if (n->edge)
		io_uring_prep_poll_multishot(sqe, n->fd, n->events);
	else
		io_uring_prep_poll_add(sqe, n->fd, n->events);
	sqe->user_data = (uintptr_t)n | NODE_TAG;
	n->armed = true;
}

static int uring_add(struct worker *w, struct worker_node *n)
{
	/* The kernel would tell us later, when it is nobody's failure any more. */
	if (fcntl(n->fd, F_GETFD) < 0)
		return -errno;
	node_arm(w, n);
	return 0;
}

/*
 * Not POLL_REMOVE: it fails with EALREADY when an event is on its way and
 * leaves a multishot request in place. A cancellation is remembered.
 */
static void node_cancel(struct worker *w, struct worker_node *n)
{
	struct io_uring_sqe *sqe = uring_sqe(w);

	io_uring_prep_rw(IORING_OP_ASYNC_CANCEL, sqe, -1, NULL, 0, 0);
	sqe->addr = (uintptr_t)n | NODE_TAG;
	sqe->user_data = 0;
}

static void uring_del(struct worker *w, struct worker_node *n)
{
	if (n->armed)
		node_cancel(w, n); /* freed with the last completion */
	else if (!n->busy)
		worker_node_free(n);
}

static void node_event(struct worker *w, struct worker_node *n, int res, uint32_t flags)
{
	bool more = flags & IORING_CQE_F_MORE;

	n->armed = more;
	if (n->src) {
		n->busy = true;
		n->src->fn(n->src, res >= 0 ? (uint32_t)res : EPOLLERR);
		n->busy = false;
		if (n->src && !more && res >= 0)
			node_arm(w, n); /* level, or the completion queue had overflowed */
		if (n->src || n->armed)
			return; /* a removal by fn has asked for cancellation if it is armed */
	} else if (more) {
		return; /* cancellation is on its way */
	}
	worker_node_free(n);
}

/* ---- completions ---- */

static void deliver(struct worker *w, uint64_t user_data, int res, uint32_t flags)
{
	if (user_data & NODE_TAG) {
		node_event(w, (struct worker_node *)(uintptr_t)(user_data & ~(uint64_t)NODE_TAG),
			   res, flags);
	} else if (user_data) {
		struct worker_op *op = (struct worker_op *)(uintptr_t)user_data;

		op->done(op, res);
	}
}

static void unstash(struct worker *w, struct uring_priv *u)
{
	struct stashed *s = u->stash;
	size_t n = u->nstash;

	/* A callback may need a new stash. */
	u->stash = NULL;
	u->nstash = u->stash_size = 0;
	for (size_t i = 0; i < n; i++)
		deliver(w, s[i].user_data, s[i].res, s[i].flags);
	free(s);
}

static bool uring_reap(struct worker *w)
{
	struct uring_priv *u = w->be_priv;
	unsigned int n = io_uring_cq_ready(&u->ring);
	struct io_uring_cqe *cqe;
	bool any = n > 0;

	if (unlikely(u->nstash)) {
		unstash(w, u);
		any = true;
	}
	/*
	 * One by one, and gone from the ring before the callback: that one may
	 * submit, which needs room for completions. Not more than there were at
	 * the start, so that a request which resubmits itself cannot keep us here.
	 */
	while (n-- && io_uring_cq_ready(&u->ring) && !io_uring_peek_cqe(&u->ring, &cqe)) {
		uint64_t user_data = cqe->user_data;
		uint32_t flags = cqe->flags;
		int res = cqe->res;

		io_uring_cq_advance(&u->ring, 1);
		deliver(w, user_data, res, flags);
	}
	return any;
}

/* ---- registered files ---- */

static int table_setup(struct uring_priv *u)
{
	int fds[NFILES];
	int ret;

	if (u->table)
		return 0;
	ret = io_uring_register_files_sparse(&u->ring, NFILES);
	if (ret == -EINVAL) { /* before 5.19 */
		memset(fds, 0xff, sizeof(fds));
		ret = io_uring_register_files(&u->ring, fds, NFILES);
	}
	u->table = ret >= 0;
	return ret;
}

static int uring_file_register(struct worker *w, int fd)
{
	struct uring_priv *u = w->be_priv;
	int idx, ret;

	ret = table_setup(u);
	if (ret < 0)
		return ret;
	if (u->files == UINT64_MAX)
		return -ENFILE;
	idx = __builtin_ctzll(~u->files);
	ret = io_uring_register_files_update(&u->ring, (unsigned int)idx, &fd, 1);
	if (ret < 0)
		return ret;
	u->files |= 1ull << idx;
	return idx;
}

static void uring_file_unregister(struct worker *w, int idx)
{
	struct uring_priv *u = w->be_priv;
	int none = -1;

	if (idx < 0 || idx >= NFILES || !(u->files & (1ull << idx)))
		return;
	/* Entries not yet submitted name the slot: they have to go first. */
	uring_flush(w);
	io_uring_register_files_update(&u->ring, (unsigned int)idx, &none, 1);
	u->files &= ~(1ull << idx);
}

const struct worker_backend worker_backend_uring = {
	.setup = uring_setup,
	.teardown = uring_teardown,
	.add = uring_add,
	.del = uring_del,
	.reap = uring_reap,
	.submit = uring_submit,
	.flush = uring_flush,
	.wait = uring_wait,
	.sqe = uring_sqe,
	.file_register = uring_file_register,
	.file_unregister = uring_file_unregister,
};
