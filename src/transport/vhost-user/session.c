/* SPDX-License-Identifier: MIT */
#include "transport/vhost-user/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/vhost-user/creds.h"
#include "util/compiler.h"
#include "util/log.h"
#include "wire/virtio.h"

/* Messages handled in one go: other devices on this loop have their turn, too. */
#define SESSION_BATCH 32

/* A peer that began something has this long to finish it. */
#define STALL_NS UINT64_C(30000000000)

/* Front ends start their rings in one burst; "connected" tells of all of them. */
#define SETTLE_NS UINT64_C(20000000)

#define HANGUP (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

/* ---- the end ---- */

static void session_gone(struct vu_session *s)
{
	if (s->busy || s->resetting || s->hurrying)
		return; /* a worker still has one of our nodes */
	vu_io_close(&s->io);
	gmem_put(s->mem);
	s->mem = NULL;
	s->ev->gone(s->ctx, s, s->reset_res);
}

static void reset_done(struct vdev_wait *w, int res)
{
	struct vu_session *s = container_of(w, struct vu_session, reset);

	s->resetting = false;
	s->reset_res = res;
	session_gone(s);
}

static void hurry_done(struct vdev_wait *w, int res)
{
	struct vu_session *s = container_of(w, struct vu_session, hurry);

	s->hurrying = false;
	session_gone(s);
}

static void log_hint(const struct vu_session *s, const struct err *e)
{
	const char *p = e->hint;

	while (*p) {
		int n = (int)strcspn(p, "\n");

		log_warning("%s:   %.*s", vdev_name(s->dev), n, p);
		p += n + (p[n] == '\n');
	}
}

/* No more messages. What is in flight is drained by the reset. */
static void session_close(struct vu_session *s, uint64_t deadline_ns, const char *why)
{
	s->closing = true;
	snprintf(s->why, sizeof(s->why), "%s", why);
	if (s->settle.armed && s->ev->running) {
		loop_timer_cancel(s->loop, &s->settle);
		s->ev->running(s->ctx, s); /* it was true until now */
	}
	loop_timer_cancel(s->loop, &s->stall);
	loop_del(s->loop, &s->src);
	vu_backchan_close(&s->back);
	vu_rings_reset(s);
	s->resetting = true;
	memset(&s->reset, 0, sizeof(s->reset));
	s->reset.done = reset_done;
	vdev_reset(s->dev, deadline_ns, &s->reset);
}

/* The peer is gone, or must go. */
static void session_fail(struct vu_session *s, const struct err *e)
{
	if (s->closing)
		return;
	if (e->code == -EPIPE) {
		log_info("%s: %s", vdev_name(s->dev), e->what);
	} else {
		log_warning("%s: session ended: %s", vdev_name(s->dev), e->what);
		log_hint(s, e);
	}
	/* First out of the loop: a socket that was given to us may be open elsewhere, too. */
	loop_del(s->loop, &s->src);
	vu_io_close(&s->io); /* at once: the peer should know */
	/*
	 * Without a deadline: a write of this guest that is stuck in the
	 * storage must not land after those of the next one.
	 */
	session_close(s, 0, e->what);
}

/* ---- waiting for the socket ---- */

static bool stalled_in(const struct vu_session *s)
{
	return !s->busy && (!s->spoke || s->io.have || vu_io_pending(&s->io));
}

static void session_rearm(struct vu_session *s)
{
	uint32_t events = EPOLLRDHUP;

	if (s->closing)
		return;
	if (vu_io_pending(&s->io))
		events |= EPOLLOUT;
	else if (!s->busy)
		events |= EPOLLIN;
	loop_mod(s->loop, &s->src, events);
	if (!stalled_in(s))
		loop_timer_cancel(s->loop, &s->stall);
	else if (!s->stall.armed)
		loop_timer_set(s->loop, &s->stall, STALL_NS);
}

static void session_stalled(struct loop_timer *t)
{
	struct vu_session *s = container_of(t, struct vu_session, stall);
	struct err e;

	/* Who has said nothing yet only stands in the way if there is another. */
	if (!s->spoke && !s->io.have && !(s->ev->waiting && s->ev->waiting(s->ctx))) {
		session_rearm(s);
		return;
	}
	err_set(&e, -ETIMEDOUT, "peer-stalled", "the front end %s for 30 seconds",
		vu_io_pending(&s->io) ? "did not read its reply" :
		s->io.have            ? "did not finish a message" :
					"said nothing");
	session_fail(s, &e);
}

/* ---- messages ---- */

int vu_session_reply(struct vu_session *s, const void *payload, size_t len, struct err *e)
{
	int ret = vu_io_reply(&s->io, s->msg.hdr.request, payload, len, e);

	return ret < 0 ? ret : VU_REPLIED;
}

/* "VHOST_USER_PROTOCOL_F_REPLY_ACK": the flag has no meaning without it. */
static bool wants_ack(const struct vu_session *s)
{
	return (s->msg.hdr.flags & VHOST_USER_F_NEED_REPLY) &&
	       vu_session_has(s, VHOST_USER_PROTOCOL_F_REPLY_ACK);
}

static void session_ack(struct vu_session *s, uint64_t res)
{
	struct err e;

	if (vu_session_reply(s, &res, sizeof(res), &e) < 0)
		session_fail(s, &e);
}

static void session_refuse(struct vu_session *s, const struct err *e)
{
	log_warning("%s: refused %s: %s", vdev_name(s->dev), vu_msg_name(s->msg.hdr.request),
		    e->what);
	log_hint(s, e);
	if (wants_ack(s))
		session_ack(s, 1);
}

void vu_session_answer(struct vu_session *s, int ret, const struct err *e)
{
	const struct vu_msg_desc *d = vu_msg_find(s->msg.hdr.request);

	if (s->closing)
		return;
	if (ret == VU_REFUSED)
		session_refuse(s, e);
	else if (ret < 0 && wants_ack(s) && !d->replies)
		session_refuse(s, e);
	else if (ret < 0)
		session_fail(s, e);
	else if (ret == VU_DONE && wants_ack(s))
		session_ack(s, 0);
	session_rearm(s);
}

static void op_done(struct vdev_wait *w, int res)
{
	struct vu_session *s = container_of(w, struct vu_session, op);

	s->busy = false;
	if (s->closing)
		session_gone(s);
	else
		s->op_done(s, res);
}

struct vdev_wait *vu_session_wait(struct vu_session *s, void (*fn)(struct vu_session *s, int res))
{
	memset(&s->op, 0, sizeof(s->op));
	s->op.done = op_done;
	s->op_done = fn;
	s->busy = true;
	return &s->op;
}

static void session_dispatch(struct vu_session *s)
{
	struct err e = { .code = 0 };
	int ret;

	s->spoke = true;
	loop_timer_cancel(s->loop, &s->stall);
	ret = vu_msg_check(s->io.buf, s->io.have, s->io.nfds, s->protocol, &s->msg, &e);
	log_debug("%s: %s (%u), %u bytes, %u fds%s", vdev_name(s->dev),
		  vu_msg_name(s->msg.hdr.request), s->msg.hdr.request, s->msg.hdr.size, s->io.nfds,
		  ret < 0 ? ", bad" : "");
	if (ret == 0)
		ret = vu_msg_find(s->msg.hdr.request)->handle(s, &s->msg, &e);
	else if (ret == -EOPNOTSUPP && wants_ack(s))
		ret = VU_REFUSED;
	else
		goto fail;
	vu_io_next(&s->io);
	if (ret != VU_LATER)
		vu_session_answer(s, ret, &e);
	return;
fail:
	session_fail(s, &e);
}

static void session_read(struct vu_session *s)
{
	struct err e = { .code = 0 };

	for (int i = 0; i < SESSION_BATCH; i++) {
		int ret;

		if (s->closing || s->busy || vu_io_pending(&s->io))
			break;
		ret = vu_io_recv(&s->io, &e);
		if (ret < 0)
			session_fail(s, &e);
		if (ret <= 0)
			break;
		session_dispatch(s);
	}
	session_rearm(s);
}

static void session_event(struct loop_fd *src, uint32_t events)
{
	struct vu_session *s = container_of(src, struct vu_session, src);
	struct err e = { .code = 0 };
	int ret = 0;

	if (vu_io_pending(&s->io))
		ret = vu_io_flush(&s->io, &e);
	if (ret >= 0 && (events & HANGUP) && (s->busy || ret > 0))
		/* Nobody is left to answer: do not wait with the clean-up. */
		ret = err_set(&e, -EPIPE, "peer-gone",
			      "the front end closed the connection while %s was under way",
			      vu_msg_name(s->msg.hdr.request));
	if (ret < 0)
		session_fail(s, &e);
	else
		session_read(s);
}

/* ---- life ---- */

static void session_settled(struct loop_timer *t)
{
	struct vu_session *s = container_of(t, struct vu_session, settle);

	if (s->ev->running)
		s->ev->running(s->ctx, s);
}

void vu_session_check_running(struct vu_session *s)
{
	for (unsigned int i = 0; i < s->nrings; i++) {
		if (!s->rings[i].started || !s->rings[i].enabled)
			continue;
		vu_backchan_push(&s->back);
		if (!s->announced)
			loop_timer_set(s->loop, &s->settle, SETTLE_NS);
		s->announced = true;
		return;
	}
}

static struct vu_session *session_alloc(struct vu_dev *dev)
{
	unsigned int n = vdev_nqueues(dev);
	struct vu_session *s = calloc(1, sizeof(*s) + n * sizeof(s->rings[0]));

	if (!s)
		return NULL;
	s->dev = dev;
	s->loop = vdev_loop(dev);
	s->nrings = n;
	for (unsigned int i = 0; i < n; i++)
		s->rings[i].err_fd = -1;
	s->stall.fn = session_stalled;
	s->settle.fn = session_settled;
	vu_backchan_init(&s->back, s->loop, vdev_name(dev));
	return s;
}

struct vu_session *vu_session_new(struct vu_dev *dev, int fd, const struct vu_session_events *ev,
				  void *ctx, struct err *e)
{
	struct vu_session *s = session_alloc(dev);
	int off = 0, ret;

	if (!s) {
		close(fd);
		err_sys(e, -ENOMEM, "out-of-memory", "no session for a front end");
		return NULL;
	}
	s->ev = ev;
	s->ctx = ctx;
	vu_io_init(&s->io, fd);
	vu_creds(fd, &s->pid, s->comm, sizeof(s->comm)); /* while it is surely there */
	/* An inherited socket may ask for credentials: they would take the descriptors' room. */
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_PASSSEC, &off, sizeof(off));
	s->src = (struct loop_fd){ .fd = fd, .fn = session_event };
	ret = loop_add(s->loop, &s->src, EPOLLIN | EPOLLRDHUP);
	if (ret < 0) {
		err_sys(e, ret, "bad-descriptor", "cannot watch the front end's socket");
		vu_session_free(s);
		return NULL;
	}
	session_rearm(s);
	return s;
}

void vu_session_free(struct vu_session *s)
{
	loop_timer_cancel(s->loop, &s->stall);
	loop_timer_cancel(s->loop, &s->settle);
	loop_del(s->loop, &s->src);
	vu_backchan_close(&s->back);
	vu_rings_reset(s);
	vu_io_close(&s->io);
	gmem_put(s->mem);
	free(s);
}

void vu_session_stop(struct vu_session *s, uint64_t deadline_ns, const char *why)
{
	if (!s->closing) {
		/* The socket stays open until the last request is answered. */
		session_close(s, deadline_ns, why);
	} else if (!s->hurrying) {
		/* On its way out, but without a deadline. */
		s->hurrying = true;
		memset(&s->hurry, 0, sizeof(s->hurry));
		s->hurry.done = hurry_done;
		vdev_reset(s->dev, deadline_ns, &s->hurry);
	}
}

void vu_session_peer(const struct vu_session *s, struct transport_peer *peer)
{
	memset(peer, 0, sizeof(*peer));
	peer->pid = s->pid;
	snprintf(peer->comm, sizeof(peer->comm), "%s", s->comm);
	for (unsigned int i = 0; i < s->nrings; i++)
		peer->queues += s->rings[i].served;
	for (unsigned int i = 0; s->mem && i < s->mem->n; i++)
		peer->memory += s->mem->regions[i]->size;
	peer->packed = vdev_features(s->dev) & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}
