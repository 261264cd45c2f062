/* SPDX-License-Identifier: MIT */
/*
 * A file, a block device or any other storage as a target, driven as a
 * back-end does it: on the worker loop, with what one look has found
 * submitted together. What this reaches is the ceiling of what a back-end
 * with the same engine could.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/target.h"
#include "storage/stor.h"
#include "util/worker.h"

#define ALIGNMENT 4096

struct stor_lane;

struct stor_slot {
	struct lane_slot s;
	struct stor_lane *sl;
	struct iovec iov;
	int res;
	_Alignas(16) struct stor_req req; /* and the backend's own behind it */
};

/**
 * struct stor_lane - a worker with one channel
 * @back:	completed since the last turn, @nback of them
 * @batch:	those of the turn under way
 * @open_err:	of the channel
 * @over:	told that it has ended
 */
struct stor_lane {
	struct bench *b;
	struct lane *l;
	struct worker *w;
	struct stor_chan *chan;
	struct worker_poller poller;
	char *slots;
	uint8_t *data;
	struct stor_slot **back, **batch;
	unsigned int nback;
	int open_err;
	bool over;
};

struct raw {
	struct stor *stor;
	size_t slot_size;
	struct stor_lane *lanes;
};

/* ---- on the worker ---- */

static struct stor_slot *slot_at(const struct stor_lane *sl, uint32_t i)
{
	const struct raw *r = sl->b->priv;

	return (void *)(sl->slots + i * r->slot_size);
}

static void req_done(struct stor_req *req, int res)
{
	struct stor_slot *s = container_of(req, struct stor_slot, req);
	struct stor_lane *sl = s->sl;

	s->res = res;
	sl->back[sl->nback++] = s;
	worker_kick(sl->w, &sl->poller);
}

static void submit(struct stor_lane *sl, struct stor_slot *s, uint64_t now)
{
	if (!lane_next(sl->l, &s->s, now))
		return;
	s->iov = (struct iovec){ s->s.buf, sl->l->bs };
	s->req.op = s->s.write ? STOR_WRITE : STOR_READ;
	s->req.flags = 0;
	s->req.offset = s->s.offset;
	s->req.len = sl->l->bs;
	s->req.iov = &s->iov;
	s->req.niov = 1;
	s->req.done = req_done;
	stor_submit(sl->chan, &s->req);
}

static void submit_all(struct stor_lane *sl)
{
	uint64_t now = clock_ns();

	for (uint32_t i = 0; i < sl->b->o->qd; i++)
		submit(sl, slot_at(sl, i), now);
}

static bool poll_lane(struct worker_poller *p)
{
	struct stor_lane *sl = container_of(p, struct stor_lane, poller);
	unsigned int n = sl->nback;
	uint64_t now;

	if (!n)
		return false;
	now = clock_ns();
	/* Storage may complete what is submitted at once: that is for the next turn. */
	memcpy(sl->batch, sl->back, n * sizeof(struct stor_slot *));
	sl->nback = 0;
	lane_look(sl->l);
	for (unsigned int i = 0; i < n; i++)
		lane_finish(sl->l, &sl->batch[i]->s, sl->batch[i]->res, now);
	lane_publish(sl->l, n);
	for (unsigned int i = 0; i < n; i++)
		submit(sl, sl->batch[i], now);
	if (unlikely(!sl->l->in_flight) && !sl->over) {
		if (lane_check_begin(sl->l)) {
			submit_all(sl);
		} else {
			sl->over = true;
			bench_lane_ended(sl->b);
		}
	}
	return true;
}

static bool arm_lane(struct worker_poller *p)
{
	return container_of(p, struct stor_lane, poller)->nback;
}

static void lane_open(void *arg)
{
	struct stor_lane *sl = arg;
	const struct raw *r = sl->b->priv;

	errno = ENOMEM;
	sl->chan = stor_chan_open(r->stor, sl->w);
	sl->open_err = sl->chan ? 0 : -errno;
	sl->poller = (struct worker_poller){ .poll = poll_lane, .arm = arm_lane };
	if (sl->chan)
		worker_add_poller(sl->w, &sl->poller);
}

static void lane_start(void *arg)
{
	submit_all(arg);
}

static void lane_close(void *arg)
{
	struct stor_lane *sl = arg;

	worker_del_poller(sl->w, &sl->poller);
	stor_chan_close(sl->chan);
}

/* ---- open ---- */

static int make_slots(struct bench *b, struct raw *r, struct stor_lane *sl, struct err *e)
{
	uint32_t qd = b->o->qd;
	size_t stride = ((size_t)b->o->bs + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

	sl->slots = aligned_alloc(CACHELINE, qd * r->slot_size);
	sl->data = aligned_alloc(ALIGNMENT, qd * stride);
	sl->back = calloc(qd, sizeof(struct stor_slot *));
	sl->batch = calloc(qd, sizeof(struct stor_slot *));
	if (!sl->slots || !sl->data || !sl->back || !sl->batch)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a load");
	memset(sl->slots, 0, qd * r->slot_size);
	for (uint32_t i = 0; i < qd; i++) {
		struct stor_slot *s = slot_at(sl, i);

		s->sl = sl;
		s->s.buf = sl->data + i * stride;
		lane_noise(s->s.buf, b->o->bs, i);
	}
	return 0;
}

static int make_lane(struct bench *b, struct raw *r, unsigned int i, struct err *e)
{
	struct stor_lane *sl = &r->lanes[i];
	struct worker_cfg cfg = {
		.name = "vuctl-bench",
		.mode = b->o->poll ? WORKER_BUSY : WORKER_EVENT,
		.cpu = bench_cpu(b, i),
	};
	int ret;

	sl->b = b;
	sl->l = &b->lanes[i];
	ret = make_slots(b, r, sl, e);
	if (ret < 0)
		return ret;
	sl->w = worker_new(&cfg);
	if (!sl->w) {
		err_sys(e, -errno, "worker-start", "cannot start a data thread");
		return cfg.cpu < 0 ? e->code :
				     err_hint(e, "Is there a processor %d for us?", cfg.cpu);
	}
	worker_call(sl->w, lane_open, sl);
	if (sl->open_err)
		return err_sys(e, sl->open_err, "channel", "cannot use %s", b->target);
	return 0;
}

static int stor_target_open(struct bench *b, struct err *e)
{
	struct raw *r = b->priv = calloc(1, sizeof(*r));
	bool write = bench_writes(b->o->rw);
	struct stor_open_args a = {
		.read_only = !write,
		.direct = b->o->direct,
		/* Who only reads is in nobody's way, not even of who serves the same image. */
		.no_lock = b->o->no_lock || !write,
	};
	int ret;

	if (!r)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a load");
	r->stor = stor_open(b->target, &a, e);
	if (!r->stor)
		return e->code;
	b->info.capacity = r->stor->caps.size;
	b->info.block_size = r->stor->caps.block_size;
	if (write && r->stor->caps.read_only)
		return err_set(e, -EROFS, "read-only", "%s is read-only", b->target);
	ret = bench_range(b, b->info.capacity, b->info.block_size, e);
	if (ret == 0)
		ret = bench_lanes(b, b->info.capacity, e);
	if (ret < 0)
		return ret;
	r->slot_size = offsetof(struct stor_slot, req) + r->stor->req_size;
	r->slot_size = (r->slot_size + CACHELINE - 1) & ~(size_t)(CACHELINE - 1);
	r->lanes = calloc(b->nlanes, sizeof(*r->lanes));
	if (!r->lanes)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a load");
	for (unsigned int i = 0; ret == 0 && i < b->nlanes; i++)
		ret = make_lane(b, r, i, e);
	return ret;
}

/* ---- life ---- */

static int stor_target_start(struct bench *b, struct err *e)
{
	struct raw *r = b->priv;

	(void)e;
	for (unsigned int i = 0; i < b->nlanes; i++)
		worker_call(r->lanes[i].w, lane_start, &r->lanes[i]);
	return 0;
}

static void stor_target_join(struct bench *b)
{
	(void)b; /* workers stay until the end; the lanes have ended, and the bell was after all */
}

static void stor_target_close(struct bench *b)
{
	struct raw *r = b->priv;

	if (!r)
		return;
	for (unsigned int i = 0; r->lanes && i < b->nlanes; i++) {
		struct stor_lane *sl = &r->lanes[i];

		if (sl->w && sl->chan)
			worker_call(sl->w, lane_close, sl);
		if (sl->w)
			worker_free(sl->w);
		free(sl->slots);
		free(sl->data);
		free(sl->back);
		free(sl->batch);
	}
	free(r->lanes);
	stor_close(r->stor);
	free(r);
}

static int stor_target_watch_fd(struct bench *b)
{
	(void)b;
	return -1;
}

/* All of our own, the load generator's part included. */
static int64_t stor_target_cpu_ns(struct bench *b)
{
	struct timespec ts;

	(void)b;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) < 0)
		return -errno;
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

const struct target_ops target_storage = {
	.kind = "storage",
	.open = stor_target_open,
	.start = stor_target_start,
	.join = stor_target_join,
	.close = stor_target_close,
	.watch_fd = stor_target_watch_fd,
	.cpu_ns = stor_target_cpu_ns,
	.must_drain = true,
};
