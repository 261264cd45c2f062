/* SPDX-License-Identifier: MIT */
/*
 * The queues of a device instance: preparing them on the control thread,
 * handing them to their worker, and getting them back drained.
 *
 * A "run" is one queue from prepare to the last of its chains. Requests that
 * storage never finishes keep their run alive (orphaned) while the queue may
 * be prepared anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/vdev-impl.h"
#include "util/compiler.h"
#include "util/log.h"

/* Somebody who waits for a run to stop. */
struct stop_waiter {
	struct vdev_wait *wait;
	struct vq_base *base;
	struct stop_waiter *next;
};

struct vdev_run {
	struct vu_dev *dev;
	unsigned int qi;
	struct vu_queue *vq;
	struct worker *worker;
	bool started, stopping, stopped;
	unsigned int msgs; /* on their way to the worker and back */
	struct stop_waiter *waiters;
	struct loop_timer deadline;
	struct loop_post stopped_post, broken_post;
	struct worker_post run_post, quiesce_post;
	struct worker_post orphan_post;
	struct loop_post orphan_back;
	bool orphaned; /* control's view: no longer d->queues[qi].run */
	const char *why;
	bool broken_reported; /* worker */
};

/* ---- messages to a worker ---- */

struct qmsg {
	struct worker_post out;
	struct loop_post back;
	struct vdev_run *run;
	struct vdev_wait *wait;
	enum { MSG_ENABLE, MSG_REMAP, MSG_CALL, MSG_KICK } op;
	bool on;
	struct gmem *map;
	struct xport_call *call;
	int fd;
};

static void run_maybe_free(struct vdev_run *run)
{
	if (!run->stopped || run->msgs)
		return;
	vq_free(run->vq);
	run->dev->live--;
	free(run);
}

static void qmsg_back(struct loop_post *p)
{
	struct qmsg *m = container_of(p, struct qmsg, back);
	struct vdev_run *run = m->run;
	struct vdev_wait *w = m->wait;

	gmem_put(m->map);
	if (m->op == MSG_CALL && m->call && m->call->release)
		m->call->release(m->call);
	if (m->op == MSG_KICK && m->fd >= 0)
		close(m->fd);
	free(m);
	run->msgs--;
	run_maybe_free(run);
	if (w)
		wait_drop(w, 0);
}

/* On the worker. */
static void qmsg_run(struct worker_post *p)
{
	struct qmsg *m = container_of(p, struct qmsg, out);
	struct vu_queue *q = m->run->vq;

	switch (m->op) {
	case MSG_ENABLE:
		vq_enable(q, m->on);
		break;
	case MSG_REMAP:
		vq_remap(q, m->map);
		break;
	case MSG_CALL:
		m->call = vq_set_call(q, m->call);
		break;
	case MSG_KICK:
		m->fd = vq_set_kick(q, m->fd);
		break;
	}
	loop_post(m->run->dev->loop, &m->back);
}

static struct qmsg *qmsg_new(struct vdev_run *run, int op)
{
	struct qmsg *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->out.fn = qmsg_run;
	m->back.fn = qmsg_back;
	m->run = run;
	m->op = op;
	m->fd = -1;
	return m;
}

static void qmsg_send(struct qmsg *m, struct vdev_wait *w)
{
	m->wait = w;
	if (w)
		w->pending++;
	m->run->msgs++;
	worker_post(m->run->worker, &m->out);
}

/* ---- stopping ---- */

static void run_waiters(struct vdev_run *run, int res)
{
	struct vdev_queue *q = &run->dev->queues[run->qi];
	struct stop_waiter *list = run->waiters, *next;

	run->waiters = NULL;
	for (; list; list = next) {
		next = list->next;
		if (list->base)
			*list->base = q->base;
		wait_drop(list->wait, res);
		free(list);
	}
}

/* The queue is free for the next run; this one may live on as an orphan. */
static void run_unlink(struct vdev_run *run)
{
	struct vdev_queue *q = &run->dev->queues[run->qi];

	loop_timer_cancel(run->dev->loop, &run->deadline);
	q->base = vq_base(run->vq);
	if (q->run == run)
		q->run = NULL;
}

/* Worker: told by the engine, everything is back. */
static void run_on_stopped(void *ctx)
{
	struct vdev_run *run = ctx;

	loop_post(run->dev->loop, &run->stopped_post);
}

static void run_stopped(struct loop_post *p)
{
	struct vdev_run *run = container_of(p, struct vdev_run, stopped_post);
	struct vdev_run keep = *run; /* waiters may look at the device, never at the run */

	run->stopped = true;
	if (!run->orphaned)
		run_unlink(run);
	run->waiters = NULL;
	run_maybe_free(run);
	if (!keep.orphaned)
		run_waiters(&keep, 0);
}

static void run_orphan(struct worker_post *p)
{
	struct vdev_run *run = container_of(p, struct vdev_run, orphan_post);

	vq_orphan(run->vq);
	loop_post(run->dev->loop, &run->orphan_back);
}

static void run_orphaned(struct loop_post *p)
{
	struct vdev_run *run = container_of(p, struct vdev_run, orphan_back);
	struct vdev_run keep = *run;

	if (!run->stopped) { /* it may just have made it */
		run->orphaned = true;
		log_warning("%s: queue %u: requests did not finish in time; they are left alone",
			    run->dev->name, run->qi);
		run_unlink(run);
		run->waiters = NULL;
		run->msgs--;
		run_waiters(&keep, -ETIMEDOUT);
		return;
	}
	run->msgs--;
	run_maybe_free(run);
}

static void run_deadline(struct loop_timer *t)
{
	struct vdev_run *run = container_of(t, struct vdev_run, deadline);

	if (run->orphan_post.fn)
		return;
	run->orphan_post.fn = run_orphan;
	run->orphan_back.fn = run_orphaned;
	run->msgs++;
	worker_post(run->worker, &run->orphan_post);
}

static void run_quiesce(struct worker_post *p)
{
	vq_quiesce(container_of(p, struct vdev_run, quiesce_post)->vq);
}

static void run_stop(struct vdev_run *run, uint64_t deadline_ns)
{
	if (!run->stopping) {
		run->stopping = true;
		run->quiesce_post.fn = run_quiesce;
		worker_post(run->worker, &run->quiesce_post);
	}
	if (deadline_ns &&
	    (!run->deadline.armed || clock_ns() + deadline_ns < run->deadline.due_ns))
		loop_timer_set(run->dev->loop, &run->deadline, deadline_ns);
}

/* Prepared, never handed to the worker: no need to ask it. */
static void run_discard(struct vdev_run *run)
{
	run_unlink(run);
	run->stopped = true;
	run_maybe_free(run);
}

static void queue_stop(struct vu_dev *d, unsigned int qi, uint64_t deadline_ns,
		       struct vq_base *base, struct vdev_wait *w)
{
	struct vdev_queue *q = &d->queues[qi];
	struct stop_waiter *sw;

	if (q->run && !q->run->started)
		run_discard(q->run);
	if (!q->run) {
		if (base)
			*base = q->base;
		return;
	}
	sw = calloc(1, sizeof(*sw));
	if (!sw) { /* stop it all the same; the caller only learns it too early */
		run_stop(q->run, deadline_ns);
		w->res = -ENOMEM;
		return;
	}
	sw->wait = w;
	sw->base = base;
	sw->next = q->run->waiters;
	q->run->waiters = sw;
	w->pending++;
	run_stop(q->run, deadline_ns);
}

void vdev_queue_stop_into(struct vu_dev *d, unsigned int qi, uint64_t deadline_ns,
			  struct vdev_wait *w)
{
	queue_stop(d, qi, deadline_ns, NULL, w);
}

void vdev_queue_stop(struct vu_dev *d, unsigned int qi, uint64_t deadline_ns, struct vq_base *base,
		     struct vdev_wait *w)
{
	wait_begin(d, w);
	if (qi < d->nqueues)
		queue_stop(d, qi, deadline_ns, base, w);
	else
		w->res = -EINVAL;
}

/* ---- preparing and starting ---- */

/* Worker. Once per run: the engine stands still afterwards. */
static void run_on_broken(void *ctx, const char *why)
{
	struct vdev_run *run = ctx;

	if (run->broken_reported)
		return;
	run->broken_reported = true;
	run->why = why;
	loop_post(run->dev->loop, &run->broken_post);
}

static void run_broken(struct loop_post *p)
{
	struct vdev_run *run = container_of(p, struct vdev_run, broken_post);
	struct vu_dev *d = run->dev;

	log_warning("%s: queue %u: %s; it stands still until the driver resets it", d->name,
		    run->qi, run->why);
	if (!run->orphaned && d->xops && d->xops->queue_broken)
		d->xops->queue_broken(d->xport, run->qi, run->why);
}

static void cfg_release(const struct vq_cfg *cfg)
{
	if (cfg->kick_fd >= 0)
		close(cfg->kick_fd);
	if (cfg->call && cfg->call->release)
		cfg->call->release(cfg->call);
}

static struct vdev_run *run_new(struct vu_dev *d, unsigned int qi, const struct vq_cfg *cfg,
				struct err *e)
{
	struct vdev_run *run = calloc(1, sizeof(*run));
	struct vq_env env;

	if (!run) {
		err_sys(e, -ENOMEM, "out-of-memory", "queue %u", qi);
		return NULL;
	}
	run->dev = d;
	run->qi = qi;
	run->worker = d->workers[qi % d->nworkers];
	run->deadline.fn = run_deadline;
	run->stopped_post.fn = run_stopped;
	run->broken_post.fn = run_broken;
	env = (struct vq_env){
		.dev = d,
		.model = d->model,
		.priv = d->priv,
		.index = qi,
		.worker = run->worker,
		.broken = run_on_broken,
		.stopped = run_on_stopped,
		.ctx = run,
	};
	run->vq = vq_new(&env, cfg, d->mem, d->req_size, &d->queues[qi].stats, e);
	if (!run->vq) {
		free(run);
		return NULL;
	}
	return run;
}

int vdev_queue_prepare(struct vu_dev *d, unsigned int qi, const struct vq_cfg *cfg, struct err *e)
{
	struct vdev_queue *q;
	struct vdev_run *run;
	int rc = 0;

	if (qi >= d->nqueues)
		rc = err_set(e, -EINVAL, "queue-index", "queue %u does not exist; there are %u", qi,
			     d->nqueues);
	else if (cfg->size > d->max_size)
		rc = err_set(e, -EINVAL, "queue-size",
			     "queue %u: size %u is more than the %u offered", qi, cfg->size,
			     d->max_size);
	else if (d->queues[qi].run && d->queues[qi].run->started)
		rc = err_set(e, -EBUSY, "queue-running", "queue %u is set up while it runs", qi);
	if (rc < 0) {
		cfg_release(cfg);
		return rc;
	}
	q = &d->queues[qi];
	if (q->run)
		run_discard(q->run);
	run = run_new(d, qi, cfg, e);
	if (!run) {
		cfg_release(cfg);
		return e && e->code < 0 ? e->code : -EINVAL;
	}
	q->run = run;
	d->live++;
	return 0;
}

static void run_start(struct worker_post *p)
{
	vq_run(container_of(p, struct vdev_run, run_post)->vq);
}

void vdev_queue_start(struct vu_dev *d, unsigned int qi)
{
	struct vdev_run *run = qi < d->nqueues ? d->queues[qi].run : NULL;

	if (!run || run->started)
		return;
	run->started = true;
	vq_enable(run->vq, d->queues[qi].enabled); /* still ours */
	run->run_post.fn = run_start;
	worker_post(run->worker, &run->run_post);
}

void vdev_queue_enable(struct vu_dev *d, unsigned int qi, bool on, struct vdev_wait *w)
{
	struct vdev_run *run;
	struct qmsg *m;

	if (w)
		wait_begin(d, w);
	if (qi >= d->nqueues)
		return;
	d->queues[qi].enabled = on;
	run = d->queues[qi].run;
	if (!run || !run->started)
		return;
	m = qmsg_new(run, MSG_ENABLE);
	if (!m) {
		if (w)
			w->res = -ENOMEM;
		return;
	}
	m->on = on;
	qmsg_send(m, w);
}

bool vdev_queue_running(const struct vu_dev *d, unsigned int qi)
{
	return qi < d->nqueues && d->queues[qi].run && d->queues[qi].run->started;
}

/* ---- event 3 ---- */

struct gmem *vdev_memory(const struct vu_dev *d)
{
	return d->mem;
}

void vdev_set_memory(struct vu_dev *d, struct gmem *m, struct vdev_wait *w)
{
	struct gmem *old = d->mem;

	wait_begin(d, w);
	d->mem = gmem_get(m);
	gmem_put(old);
	for (unsigned int i = 0; i < d->nqueues; i++) {
		struct vdev_run *run = d->queues[i].run;
		struct qmsg *msg;

		if (!run)
			continue;
		if (!run->started) { /* still ours */
			vq_remap(run->vq, m);
			continue;
		}
		msg = qmsg_new(run, MSG_REMAP);
		if (!msg) {
			w->res = -ENOMEM;
			continue;
		}
		msg->map = gmem_get(m);
		qmsg_send(msg, w);
	}
}

/* ---- the rest ---- */

void vdev_queue_set_call(struct vu_dev *d, unsigned int qi, struct xport_call *call)
{
	struct vdev_run *run = qi < d->nqueues ? d->queues[qi].run : NULL;
	struct qmsg *m = NULL;

	if (run && !run->started)
		call = vq_set_call(run->vq, call);
	else if (run)
		m = qmsg_new(run, MSG_CALL);
	if (m) {
		m->call = call;
		qmsg_send(m, NULL);
	} else if (call && call->release) {
		call->release(call);
	}
}

void vdev_queue_set_kick(struct vu_dev *d, unsigned int qi, int fd)
{
	struct vdev_run *run = qi < d->nqueues ? d->queues[qi].run : NULL;
	struct qmsg *m = NULL;

	if (run && !run->started)
		fd = vq_set_kick(run->vq, fd);
	else if (run)
		m = qmsg_new(run, MSG_KICK);
	if (m) {
		m->fd = fd;
		qmsg_send(m, NULL);
	} else if (fd >= 0) {
		close(fd);
	}
}

#define STAT_GET(field) st->field = __atomic_load_n(&s->field, __ATOMIC_RELAXED)

void vdev_queue_stats(const struct vu_dev *d, unsigned int qi, struct vq_stats *st)
{
	const struct vq_stats *s = &d->queues[qi].stats;

	STAT_GET(kicks);
	STAT_GET(notified);
	STAT_GET(notify_suppressed);
	STAT_GET(bursts);
	STAT_GET(requests);
	STAT_GET(popped);
}
