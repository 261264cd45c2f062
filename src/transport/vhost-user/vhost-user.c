/* SPDX-License-Identifier: MIT */
/*
 * The vhost-user transport: a device behind a UNIX socket. One front end at a
 * time; the next waits in the socket's backlog until the device is reset.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/vdev.h"
#include "transport/transport.h"
#include "transport/vhost-user/listen.h"
#include "transport/vhost-user/session.h"
#include "util/compiler.h"
#include "util/log.h"
#include "wire/virtio.h"

extern const struct transport_ops vhost_user_transport;

/* When there are no descriptors or no memory for another front end. */
#define ACCEPT_RETRY_NS UINT64_C(1000000000)

/**
 * struct vu_transport
 * @adopted:	connected socket given to us, until its session begins; else -1
 * @single:	a connected socket was given: there is no second session
 * @post:	owner's callbacks are made from here, never from inside its calls
 * @due_ready, @due_stopped: what @post is for
 */
struct vu_transport {
	struct transport base;
	struct vu_dev *dev;
	struct loop *loop;
	const struct transport_events *ev;
	void *ctx;
	bool once;
	bool single;

	struct vu_listen listen;
	struct loop_fd accept;
	struct loop_timer retry;
	int adopted;
	struct vu_session *session;

	struct loop_post post;
	bool posted;
	bool due_ready;
	bool due_stopped;

	bool stopping;
	void (*stop_done)(void *ctx, int res, const struct err *e);
	void *stop_ctx;
	int stop_res;
};

/* ---- the core's side ---- */

static void xport_config_changed(void *xport)
{
	struct vu_transport *t = xport;

	if (t->session)
		vu_session_config_changed(t->session);
}

static void xport_queue_broken(void *xport, unsigned int qi, const char *why)
{
	struct vu_transport *t = xport;

	if (t->session)
		vu_session_ring_broken(t->session, qi);
}

static const struct xport_ops xport_ops = {
	.name = "vhost-user",
	.features = VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
	.mask = VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM), /* there is no IOTLB here */
	.config_write = true,
	.config_changed = xport_config_changed,
	.queue_broken = xport_queue_broken,
};

/* ---- sessions ---- */

static void transport_serve(struct vu_transport *t);

static void transport_finish(struct vu_transport *t, int res)
{
	vdev_detach(t->dev);
	t->stop_res = res;
	t->due_stopped = true;
	if (!t->posted) {
		t->posted = true;
		loop_post(t->loop, &t->post);
	}
}

static void session_running(void *ctx, struct vu_session *s)
{
	struct vu_transport *t = ctx;
	struct transport_peer peer;

	vu_session_peer(s, &peer);
	log_info("%s: connected to %s (pid %d), %u queue%s, %s rings", vdev_name(t->dev),
		 peer.comm[0] ? peer.comm : "a front end", (int)peer.pid, peer.queues,
		 peer.queues == 1 ? "" : "s", peer.packed ? "packed" : "split");
	if (t->ev && t->ev->connected)
		t->ev->connected(t->ctx, &peer);
}

static bool session_waiting(void *ctx)
{
	struct vu_transport *t = ctx;

	return vu_listen_pending(&t->listen);
}

static void session_gone(void *ctx, struct vu_session *s, int res)
{
	struct vu_transport *t = ctx;
	bool counts = s->spoke || t->single;
	char why[sizeof(s->why)];

	memcpy(why, s->why, sizeof(why));
	t->session = NULL;
	vu_session_free(s);
	/* Who connects and says nothing only wanted to know whether we are there. */
	if (counts && t->ev && t->ev->disconnected)
		t->ev->disconnected(t->ctx, why);
	if (t->stopping)
		transport_finish(t, res);
	else if (!t->single && !(t->once && counts))
		transport_serve(t);
}

static const struct vu_session_events session_events = {
	.running = session_running,
	.waiting = session_waiting,
	.gone = session_gone,
};

/* Takes @fd over. */
static int transport_connect(struct vu_transport *t, int fd, struct err *e)
{
	t->session = vu_session_new(t->dev, fd, &session_events, t, e);
	return t->session ? 0 : e->code;
}

static void transport_failed(struct vu_transport *t, const struct err *e)
{
	log_err("%s: %s", vdev_name(t->dev), e->what);
	if (t->ev && t->ev->failed)
		t->ev->failed(t->ctx, e);
}

static void transport_accept(struct loop_fd *src, uint32_t events)
{
	struct vu_transport *t = container_of(src, struct vu_transport, accept);
	int fd = vu_listen_accept(&t->listen);
	struct err e;

	if (fd == -EAGAIN)
		return;
	/* One at a time: the others wait in the backlog. */
	loop_del(t->loop, &t->accept);
	if (fd < 0)
		err_sys(&e, fd, "socket-accept", "cannot accept a front end");
	else if (transport_connect(t, fd, &e) == 0)
		return;
	log_warning("%s: %s", vdev_name(t->dev), e.what);
	loop_timer_set(t->loop, &t->retry, ACCEPT_RETRY_NS);
}

/* Wait for the next front end. */
static void transport_serve(struct vu_transport *t)
{
	int ret = loop_add(t->loop, &t->accept, EPOLLIN);

	if (ret < 0) {
		log_warning("%s: cannot watch the socket: %s", vdev_name(t->dev), strerror(-ret));
		loop_timer_set(t->loop, &t->retry, ACCEPT_RETRY_NS);
	}
}

static void transport_retry(struct loop_timer *timer)
{
	transport_serve(container_of(timer, struct vu_transport, retry));
}

/* ---- start and stop ---- */

static void transport_begin(struct vu_transport *t)
{
	struct transport_info info = { .path = "" };
	struct err e;
	int fd = t->adopted;

	snprintf(info.path, sizeof(info.path), "%s", t->listen.path);
	if (t->ev && t->ev->ready)
		t->ev->ready(t->ctx, &info);
	if (t->stopping)
		return; /* from inside the call */
	if (!t->single) {
		transport_serve(t);
		return;
	}
	t->adopted = -1;
	if (transport_connect(t, fd, &e) < 0)
		transport_failed(t, &e);
}

static void transport_posted(struct loop_post *p)
{
	struct vu_transport *t = container_of(p, struct vu_transport, post);
	struct err e = { .code = 0 };

	if (t->due_ready) {
		t->due_ready = false;
		if (!t->stopping)
			transport_begin(t);
	}
	t->posted = false;
	if (!t->due_stopped)
		return;
	t->due_stopped = false;
	if (t->stop_res < 0)
		err_set(&e, t->stop_res, "drain-timeout",
			"requests were still under way when %s was stopped", vdev_name(t->dev));
	t->stop_done(t->stop_ctx, t->stop_res, &e); /* may free t */
}

static int transport_open(struct vu_transport *t, const struct transport_args *a, struct err *e)
{
	int ret;

	if (a->fd < 0 && !a->path)
		return err_set(e, -EINVAL, "socket-path-empty", "no socket path");
	if (a->fd < 0)
		return vu_listen_open(&t->listen, a->path, a->mode, a->group, e);
	ret = vu_listen_adopt(&t->listen, a->fd, e);
	if (ret < 0)
		return ret;
	t->single = ret == 0;
	if (t->single)
		t->adopted = a->fd;
	return 0;
}

static int vu_transport_start(const struct transport_args *a, struct transport **out, struct err *e)
{
	struct vu_transport *t = calloc(1, sizeof(*t));
	int ret;

	if (!t) {
		ret = err_sys(e, -ENOMEM, "out-of-memory", "cannot start vhost-user");
		goto fail;
	}
	t->base.ops = &vhost_user_transport;
	t->dev = a->dev;
	t->loop = vdev_loop(a->dev);
	t->ev = a->ev;
	t->ctx = a->ctx;
	t->once = a->once;
	t->adopted = -1;
	t->post.fn = transport_posted;
	t->retry.fn = transport_retry;
	ret = vdev_attach(a->dev, &xport_ops, t);
	if (ret < 0) {
		err_set(e, ret, "device-attached", "device '%s' is on a transport already",
			vdev_name(a->dev));
		goto fail;
	}
	ret = transport_open(t, a, e);
	if (ret < 0) {
		vdev_detach(a->dev);
		goto fail;
	}
	t->accept = (struct loop_fd){ .fd = t->listen.fd, .fn = transport_accept };
	t->due_ready = true;
	t->posted = true;
	loop_post(t->loop, &t->post);
	*out = &t->base;
	return 0;
fail:
	if (a->fd >= 0)
		close(a->fd);
	free(t);
	return ret;
}

/*
 * A front end in session is no reason to refuse: it keeps its VM waiting and
 * connects again. So there is no difference between the ways to stop.
 */
static void vu_transport_stop(struct transport *base, enum transport_stop how,
			      void (*done)(void *ctx, int res, const struct err *e), void *ctx)
{
	struct vu_transport *t = container_of(base, struct vu_transport, base);
	struct err e;

	if (t->stopping) {
		err_set(&e, -EALREADY, "stopping", "device '%s' is being stopped already",
			vdev_name(t->dev));
		done(ctx, -EALREADY, &e);
		return;
	}
	t->stopping = true;
	t->stop_done = done;
	t->stop_ctx = ctx;
	loop_del(t->loop, &t->accept);
	loop_timer_cancel(t->loop, &t->retry);
	vu_listen_close(&t->listen);
	if (t->session)
		vu_session_stop(t->session, VU_STOP_NS, "the device was stopped");
	else
		transport_finish(t, 0);
}

static void vu_transport_free(struct transport *base)
{
	struct vu_transport *t = container_of(base, struct vu_transport, base);

	if (!t->stopping)
		vdev_detach(t->dev); /* after @failed: nothing is under way */
	loop_del(t->loop, &t->accept);
	loop_timer_cancel(t->loop, &t->retry);
	vu_listen_close(&t->listen);
	if (t->adopted >= 0)
		close(t->adopted);
	free(t);
}

const struct transport_ops vhost_user_transport = {
	.name = "vhost-user",
	.help = "a UNIX socket for a VMM (QEMU, Cloud Hypervisor, crosvm, Firecracker)",
	.start = vu_transport_start,
	.stop = vu_transport_stop,
	.free = vu_transport_free,
};
