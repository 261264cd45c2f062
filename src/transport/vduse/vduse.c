/* SPDX-License-Identifier: MIT */
/* The VDUSE transport: start, stop, and what can go wrong in between. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "transport/vduse/vduse-impl.h"
#include "util/compiler.h"
#include "util/log.h"
#include "wire/virtio.h"

extern const struct transport_ops vduse_transport;

/* After the end: how often to look whether the last messages are answered. */
#define END_TICK_NS UINT64_C(1000000)

static void go_on(struct vduse *v);
static int attach_fn(struct vduse_job *j);
static void attached(struct vduse_job *j);

/* ---- the core's side ---- */

static void queue_broken(void *xport, unsigned int qi, const char *why)
{
	struct vduse *v = xport;

	/* There is no way to tell the driver; whoever waits for the disk should know why. */
	log_err("%s: requests of queue %u wait until the disk is taken away: %s", v->plan.name, qi,
		why);
}

static const struct xport_ops xport_ops = {
	.name = "vduse",
	.features = VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM), /* CREATE_DEV wants it */
	.mask = VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
	.config_write = false, /* the kernel drops them */
	.config_changed = vduse_config_changed,
	.queue_broken = queue_broken,
};

/* ---- the end ---- */

static void report(struct vduse *v, int res, const struct err *e)
{
	void (*done)(void *ctx, int res, const struct err *e) = v->stop_done;

	if (v->stop_asked) {
		v->stop_asked = false;
		v->stop_done = NULL;
		if (done)
			done(v->stop_ctx, res, e);
		return;
	}
	if (v->fail.code && v->ev && v->ev->failed)
		v->ev->failed(v->ctx, &v->fail);
}

static void core_detach(struct vduse *v)
{
	if (v->attached_core)
		vdev_detach(v->dev);
	v->attached_core = false;
}

static void over(struct vduse *v, int res)
{
	v->state = VDUSE_OVER;
	if (v->fail.code && res == 0 && v->mem.chan &&
	    strlen(v->fail.hint) + 32 < sizeof(v->fail.hint)) {
		if (v->fail.hint[0])
			strcat(v->fail.hint, "\n");
		strcat(v->fail.hint, "Nothing was left behind.");
	}
	report(v, res, res < 0 ? &v->end_err : NULL);
}

static void destroyed(struct vduse_job *j)
{
	struct vduse *v = container_of(j, struct vduse, job);

	v->end_err = j->err;
	if (j->res < 0)
		log_err("%s: %s", v->plan.name, j->err.what);
	over(v, j->res);
}

static int destroy_fn(struct vduse_job *j)
{
	struct vduse *v = container_of(j, struct vduse, job);

	return vduse_destroy(v->sys, v->plan.name, &j->err);
}

static unsigned int unanswered(const struct vduse *v)
{
	unsigned int n = v->nmsgs + v->broken_waiting;

	for (const struct vduse_msg *m = v->deferred; m; m = m->next)
		n--;
	return n;
}

static void drop_deferred(struct vduse *v)
{
	struct vduse_msg *m;

	while ((m = v->deferred)) {
		v->deferred = m->next;
		v->nmsgs--;
		free(m); /* unanswered: the kernel keeps it for the next to open the device */
	}
}

/* The device is reset; nothing of it runs any more. */
static void drained(struct vduse *v)
{
	int rc;

	loop_del(v->loop, &v->src);
	drop_deferred(v);
	core_detach(v);
	if (v->mem.chan)
		vduse_chan_close(v->mem.chan);
	if (v->leave) {
		over(v, v->end_err.code);
		return;
	}
	v->state = VDUSE_DESTROYING;
	rc = vduse_job_start(&v->job, destroy_fn, destroyed);
	if (rc < 0) {
		err_sys(&v->end_err, rc, "out-of-memory", "cannot destroy VDUSE device '%s'",
			v->plan.name);
		over(v, rc);
	}
}

static void end_tick(struct loop_timer *t)
{
	struct vduse *v = container_of(t, struct vduse, end);

	if (unanswered(v))
		loop_timer_set(v->loop, &v->end, END_TICK_NS);
	else
		drained(v);
}

static void end_reset(struct vdev_wait *w, int res)
{
	struct vduse *v = container_of(w, struct vduse, end_wait);

	loop_timer_cancel(v->loop, &v->config_timer);
	vduse_queues_clear(v); /* stops its timer, which is ours now */
	v->end.fn = end_tick;
	end_tick(&v->end);
}

/* Off the bus, or never on it, or to be left there: stop serving. */
static void end_begin(struct vduse *v)
{
	v->state = VDUSE_DRAINING;
	/* From here on questions are left to whoever comes next. */
	loop_del(v->loop, &v->src);
	if (!v->attached_core) { /* reset already */
		drained(v);
		return;
	}
	v->end_wait.done = end_reset;
	vdev_reset(v->dev, vduse_drain_ns(v), &v->end_wait);
}

/* ---- off the bus ---- */

static int detach_fn(struct vduse_job *j)
{
	struct vduse *v = container_of(j, struct vduse, job);

	return vduse_detach(v->sys, &v->plan, v->detach_ask, v->detach_broken, &j->err);
}

static void detached(struct vduse_job *j)
{
	struct vduse *v = container_of(j, struct vduse, job);

	if (j->res == 0) {
		end_begin(v);
		return;
	}
	v->end_err = j->err;
	if (v->fail.code) { /* a failed start that cannot be undone: let go of it */
		log_err("%s: %s", v->plan.name, j->err.what);
		v->leave = true;
		end_begin(v);
		return;
	}
	report(v, j->res, &v->end_err);
	memset(&v->end_err, 0, sizeof(v->end_err));
	go_on(v);
}

/* Still there. The wait for the disk may have been cut short. */
static void go_on(struct vduse *v)
{
	v->state = VDUSE_SERVING;
	if (v->told_ready || v->broken)
		return;
	v->state = VDUSE_ATTACHING;
	if (vduse_job_start(&v->job, attach_fn, attached) < 0)
		v->state = VDUSE_SERVING;
}

static void take_away(struct vduse *v)
{
	int rc;

	v->leave = v->stop_asked && v->stop_how == TRANSPORT_STOP_LEAVE;
	if (v->leave) {
		end_begin(v);
		return;
	}
	v->state = VDUSE_DETACHING;
	v->detach_ask = v->stop_asked && v->stop_how == TRANSPORT_STOP_ASK;
	v->detach_broken = v->broken;
	rc = vduse_job_start(&v->job, detach_fn, detached);
	if (rc < 0) {
		v->job.res = err_sys(&v->job.err, rc, "out-of-memory", "cannot detach '%s'",
				     v->plan.name);
		detached(&v->job);
	}
}

/* ---- the beginning ---- */

static void start_failed(struct vduse *v, const struct err *e)
{
	v->fail = *e;
	err_prefix(&v->fail, "cannot put '%s' on this host", v->plan.name);
}

static int attach_fn(struct vduse_job *j)
{
	struct vduse *v = container_of(j, struct vduse, job);

	return vduse_attach(v->sys, &v->plan, j->cancel_fd, &v->info, &j->err);
}

static void attached(struct vduse_job *j)
{
	struct vduse *v = container_of(j, struct vduse, job);

	if (v->stop_asked) {
		take_away(v);
		return;
	}
	/* What we know ourselves is nearer to the cause than what was seen from outside. */
	if (v->refused.code)
		start_failed(v, &v->refused);
	else if (j->res < 0)
		start_failed(v, &j->err);
	if (v->fail.code) {
		take_away(v);
		return;
	}
	v->state = VDUSE_SERVING;
	v->told_ready = true;
	log_info("%s: %s is ready", v->plan.name, v->info.path);
	if (v->ev && v->ev->ready)
		v->ev->ready(v->ctx, &v->info);
}

static int create_fn(struct vduse_job *j)
{
	struct vduse *v = container_of(j, struct vduse, job);
	int rc = vduse_ensure_modules(v->sys, &j->err);

	return rc < 0 ? rc : vduse_create(v->sys, &v->plan, &j->err);
}

/* The device is there, and @fd is its descriptor: answer it, and attach it. */
static int serve(struct vduse *v, int fd, struct err *e)
{
	int rc;

	v->mem.chan = vduse_chan_new(v->sys, fd);
	if (!v->mem.chan) {
		v->sys->close(v->sys, fd);
		return err_sys(e, -ENOMEM, "out-of-memory", "VDUSE device");
	}
	v->src.fd = fd;
	rc = loop_add(v->loop, &v->src, EPOLLIN);
	if (rc < 0)
		return err_sys(e, rc, "vduse-watch", "cannot watch the VDUSE device");
	vduse_config_push(v);
	v->state = VDUSE_ATTACHING;
	rc = vduse_job_start(&v->job, attach_fn, attached);
	if (rc < 0)
		return err_sys(e, rc, "out-of-memory", "cannot attach");
	return 0;
}

static void created(struct vduse_job *j)
{
	struct vduse *v = container_of(j, struct vduse, job);
	struct err e = j->err;
	int rc = j->res;

	if (rc < 0) { /* nothing is there, and nothing of the core was ever used */
		start_failed(v, &e);
		core_detach(v);
		over(v, 0);
		return;
	}
	if (v->stop_asked) {
		v->mem.chan = vduse_chan_new(v->sys, rc);
		if (!v->mem.chan)
			v->sys->close(v->sys, rc);
		if (v->stop_how == TRANSPORT_STOP_LEAVE)
			v->stop_how = TRANSPORT_STOP_FORCE; /* there is no disk to leave */
		end_begin(v);
		return;
	}
	if (serve(v, rc, &e) < 0) {
		start_failed(v, &e);
		end_begin(v);
	}
}

static void vduse_free(struct transport *t)
{
	struct vduse *v = container_of(t, struct vduse, base);

	loop_del(v->loop, &v->src);
	loop_timer_cancel(v->loop, &v->end);
	loop_timer_cancel(v->loop, &v->late);
	loop_timer_cancel(v->loop, &v->config_timer);
	drop_deferred(v);
	core_detach(v);
	if (v->mem.chan)
		vduse_chan_close(v->mem.chan);
	vduse_mem_fini(&v->mem);
	vduse_job_fini(&v->job);
	free(v->queues);
	free(v);
}

static int make_plan(struct vduse *v, const char *name, struct err *e)
{
	struct vduse_plan *p = &v->plan;

	strcpy(p->name, name); /* its length was checked */
	p->virtio_id = vdev_virtio_id(v->dev);
	/*
	 * Not packed rings. The kernel copies data through a bounce buffer of
	 * limited size. When it is full, a driver on a split ring is told to try
	 * again later (ENOMEM), on a packed ring it is told EIO (Linux 6.12,
	 * virtqueue_add_packed), and a healthy disk shows I/O errors under load.
	 */
	p->features = vdev_offered(v->dev) & ~VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	p->nqueues = v->nqueues;
	p->max_size = vdev_max_size(v->dev);
	p->config_size = vdev_config_size(v->dev);
	if (p->config_size > sizeof(p->config) ||
	    vdev_config_read(v->dev, 0, p->config, p->config_size) < 0)
		return err_set(e, -EINVAL, "config-size", "%u bytes of configuration are too many",
			       p->config_size);
	return 0;
}

static struct vduse *vduse_alloc(const struct vduse_sys *s, const struct transport_args *a)
{
	struct vduse *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->base.ops = &vduse_transport;
	v->sys = s;
	v->dev = a->dev;
	v->loop = vdev_loop(a->dev);
	v->ev = a->ev;
	v->ctx = a->ctx;
	v->src.fd = -1;
	v->src.fn = vduse_msgs_ready;
	v->late.fn = vduse_late_tick;
	v->config_timer.fn = vduse_config_tick;
	v->nqueues = vdev_nqueues(a->dev);
	v->queues = calloc(v->nqueues, sizeof(*v->queues));
	if (!v->queues) {
		free(v);
		return NULL;
	}
	return v;
}

int vduse_start_on(const struct vduse_sys *s, const struct transport_args *a, struct transport **t,
		   struct err *e)
{
	struct vduse *v;
	int rc = vduse_check_name(a->name, e);

	if (rc < 0)
		return rc;
	v = vduse_alloc(s, a);
	if (!v)
		return err_sys(e, -ENOMEM, "out-of-memory", "VDUSE transport");
	rc = vduse_job_init(&v->job, v->loop);
	if (rc < 0)
		err_sys(e, rc, "out-of-memory", "VDUSE transport");
	else
		rc = vduse_mem_init(&v->mem, e);
	if (rc < 0) {
		vduse_job_fini(&v->job);
		free(v->queues);
		free(v);
		return rc;
	}
	rc = vdev_attach(v->dev, &xport_ops, v);
	v->attached_core = rc == 0;
	if (rc < 0)
		err_set(e, rc, "device-busy", "'%s' is on another transport already", a->name);
	else
		rc = make_plan(v, a->name, e);
	if (rc == 0) {
		rc = vduse_job_start(&v->job, create_fn, created);
		if (rc < 0)
			err_sys(e, rc, "out-of-memory", "cannot start a helper thread");
	}
	if (rc < 0) {
		vduse_free(&v->base);
		return rc;
	}
	*t = &v->base;
	return 0;
}

static int vduse_start(const struct transport_args *a, struct transport **t, struct err *e)
{
	return vduse_start_on(&vduse_sys_real, a, t, e);
}

/* ---- stopping ---- */

/* A stop while another is under way: only the first has a say. */
struct second_stop {
	struct loop_post post;
	void (*done)(void *ctx, int res, const struct err *e);
	void *ctx;
};

static void second_posted(struct loop_post *p)
{
	struct second_stop *s = container_of(p, struct second_stop, post);
	struct err e;

	err_set(&e, -EALREADY, "stopping", "the disk is being taken away already");
	s->done(s->ctx, e.code, &e);
	free(s);
}

static void second_stop(struct vduse *v, void (*done)(void *ctx, int res, const struct err *e),
			void *ctx)
{
	struct second_stop *s = done ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return;
	s->post.fn = second_posted;
	s->done = done;
	s->ctx = ctx;
	loop_post(v->loop, &s->post);
}

static void stop_posted(struct loop_post *p)
{
	struct vduse *v = container_of(p, struct vduse, end_post);

	switch (v->state) {
	case VDUSE_SERVING:
		take_away(v);
		break;
	case VDUSE_OVER: /* a failed start has been cleaned up already */
		report(v, 0, NULL);
		break;
	case VDUSE_CREATING:
	case VDUSE_ATTACHING:
	case VDUSE_DETACHING:
	case VDUSE_DRAINING:
	case VDUSE_DESTROYING: /* the end of what is under way sees to it */
		break;
	}
}

static void vduse_stop(struct transport *t, enum transport_stop how,
		       void (*done)(void *ctx, int res, const struct err *e), void *ctx)
{
	struct vduse *v = container_of(t, struct vduse, base);

	if (v->stop_asked) {
		second_stop(v, done, ctx);
		return;
	}
	v->stop_asked = true;
	v->stop_how = how;
	v->stop_done = done;
	v->stop_ctx = ctx;
	v->end_post.fn = stop_posted;
	if (v->state == VDUSE_ATTACHING)
		vduse_job_cancel(&v->job); /* no need to wait for the disk any more */
	loop_post(v->loop, &v->end_post);  /* done is never called from inside */
}

/* ---- what goes wrong ---- */

void vduse_refused(struct vduse *v, const struct err *e)
{
	if (v->state != VDUSE_ATTACHING)
		return;
	if (!v->refused.code) /* the first reason is the reason */
		v->refused = *e;
	vduse_job_cancel(&v->job); /* there will be no disk */
}

static void broken_reset(struct vdev_wait *w, int res)
{
	struct vduse *v = container_of(w, struct vduse, broken_wait);

	v->broken_waiting = false;
	if (v->state == VDUSE_SERVING)
		vduse_queues_clear(v);
	if (v->state != VDUSE_SERVING || v->stop_asked)
		return; /* the job under way reports */
	core_detach(v);
	if (v->ev && v->ev->failed)
		v->ev->failed(v->ctx, &v->refused);
}

void vduse_is_broken(struct vduse *v, const char *why)
{
	if (v->broken)
		return;
	v->broken = true;
	loop_del(v->loop, &v->src);
	err_set(&v->refused, -EIO, "vduse-broken",
		"the kernel has given up on VDUSE device '%s' (%s); its requests are not served any more",
		v->plan.name, why);
	err_hint(&v->refused,
		 "Unmount the disk, take it away and start it again; the limit for answers is "
		 "in /sys/class/vduse/%s/msg_timeout",
		 v->plan.name);
	log_err("%s: %s", v->plan.name, v->refused.what);
	if (v->state == VDUSE_ATTACHING)
		vduse_job_cancel(&v->job);
	if (v->state != VDUSE_SERVING)
		return; /* the end of what is under way sees to it */
	v->broken_waiting = true;
	v->broken_wait.done = broken_reset;
	vdev_reset(v->dev, vduse_drain_ns(v), &v->broken_wait);
}

const struct transport_ops vduse_transport = {
	.name = "vduse",
	.help = "a disk of this host (/dev/vdX), through /dev/vduse; needs root",
	.start = vduse_start,
	.stop = vduse_stop,
	.free = vduse_free,
};
