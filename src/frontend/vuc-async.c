/* SPDX-License-Identifier: MIT */
/*
 * The queue of messages of a vhost-user client. Each is sent, in order, and the
 * first that is entirely sent and has no answer yet is the one that whatever
 * comes has to answer. One without an answer ends when it is sent and those
 * before it have ended, so that messages also end in order.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "frontend/vuc-internal.h"
#include "util/compiler.h"
#include "util/loop.h"

/* Messages in one turn, so that one client cannot keep a thread from others. */
#define TURN_MAX 64

#define LOST "descriptors that came with the back-end's answer are lost"

/* ---- the queue ---- */

static void finish(struct vuc_req *r, int res, const struct err *e)
{
	r->next = NULL;
	if (r->done)
		r->done(r, res, e);
}

static struct vuc_req *pop(struct vuc *c)
{
	struct vuc_req *r = c->head;

	if (c->tx == r)
		c->tx = r->next;
	c->head = r->next;
	if (!c->head)
		c->tail = NULL;
	return r;
}

/* Callbacks may come here again, and so end those that are left. */
static void end_all(struct vuc *c, int code)
{
	struct err all;

	err_sys(&all, code, "vhost-user-lost", "%s", c->dead);
	while (c->head) {
		struct vuc_req *r = pop(c);

		r->m.reply_fd = -1;
		finish(r, code, &all);
	}
}

int vuc_die(struct vuc *c, int code, struct err *e, const char *what)
{
	if (!c->dead) {
		c->dead = what;
		vuc_in_reset(&c->in);
		end_all(c, code);
	}
	return err_sys(e, code, "vhost-user-lost", "%s", what);
}

void vuc_cancel(struct vuc *c)
{
	if (!c)
		return;
	VUC_HOLD(c);
	vuc_die(c, -ECANCELED, NULL, "the connection was closed on this side");
	end_all(c, -ECANCELED);
}

int vuc_start(struct vuc *c, struct vuc_req *r, struct err *e)
{
	const struct vuc_msg *m = &r->m;

	if (c->dead)
		return err_set(e, -ENOTCONN, "vhost-user-lost", "%s", c->dead);
	if (m->size > VUC_MAX_PAYLOAD || m->nfds > VUC_MAX_FDS)
		return err_set(e, -EINVAL, "vhost-user-message", "the message is too long");
	if ((m->size && !m->payload) || (m->nfds && !m->fds) || (m->reply_max && !m->reply) ||
	    m->reply_min > m->reply_max)
		return err_set(e, -EINVAL, "vhost-user-message", "the message is not complete");
	r->next = NULL;
	r->due_ns = vuc_deadline(c);
	r->sent = 0;
	r->ack = 0;
	r->wants_ack = !m->reply_max && !m->no_ack && c->reply_ack;
	r->m.reply_size = 0;
	r->m.reply_fd = -1;
	if (c->tail)
		c->tail->next = r;
	else
		c->head = r;
	c->tail = r;
	if (!c->tx)
		c->tx = r;
	return 0;
}

static bool is_answered(const struct vuc_req *r)
{
	return r->m.reply_max || r->wants_ack;
}

/* End those that were waiting for nothing but to be sent. */
static bool reap(struct vuc *c)
{
	bool any = false;

	while (c->head && c->head != c->tx && !is_answered(c->head)) {
		finish(pop(c), 0, NULL);
		any = true;
	}
	return any;
}

/* ---- out ---- */

static struct vhost_user_hdr header_of(const struct vuc_req *r)
{
	return (struct vhost_user_hdr){
		.request = r->m.request,
		.flags = VHOST_USER_VERSION | r->m.flags |
			 (r->wants_ack ? VHOST_USER_F_NEED_REPLY : 0),
		.size = r->m.lie ? r->m.header_size : r->m.size,
	};
}

static ssize_t send_more(struct vuc *c, struct vuc_req *r)
{
	struct vhost_user_hdr h = header_of(r);
	struct iovec iov[2] = {
		{ &h, sizeof(h) },
		{ (void *)(uintptr_t)r->m.payload, r->m.size },
	};
	bool first = r->sent == 0;
	ssize_t n;

	for (size_t i = 0, skip = r->sent; skip; i++) {
		size_t part = MIN(skip, iov[i].iov_len);

		iov[i].iov_base = (uint8_t *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		skip -= part;
	}
	/* The descriptors ride on the first byte. */
	n = vuc_send(c->fd, iov, 2, r->m.fds, first ? r->m.nfds : 0);
	if (n > 0)
		r->sent += (uint32_t)n;
	if (n > 0 && first)
		vuc_trace(c, ">", &h, r->m.nfds, r->m.payload, r->m.size);
	return n;
}

/* Descriptors that the kernel would not take: nothing went out, so only this message fails. */
static void refuse_one(struct vuc *c, int code)
{
	struct vuc_req *r = c->tx, **at = &c->head, *prev = NULL;
	struct err e;

	while (*at != r) {
		prev = *at;
		at = &prev->next;
	}
	*at = c->tx = r->next;
	if (c->tail == r)
		c->tail = prev;
	err_sys(&e, code, "vhost-user-message", "cannot send the descriptors of the message");
	finish(r, code, &e);
}

static bool is_ours(const struct vuc_req *r, ssize_t n)
{
	return r->sent == 0 && r->m.nfds &&
	       (n == -EBADF || n == -EINVAL || n == -ETOOMANYREFS || n == -ENOMEM);
}

/* Returns 1: something was sent, 0: nothing could be, or -errno: the peer is gone. */
static int send_queue(struct vuc *c)
{
	int any = 0;

	while (c->tx) {
		struct vuc_req *r = c->tx;
		ssize_t n = send_more(c, r);

		if (n == -EAGAIN)
			return any;
		if (n < 0 && is_ours(r, n)) {
			refuse_one(c, (int)n);
			any = 1;
			continue;
		}
		if (n < 0)
			return (int)n;
		any = 1;
		if (r->sent == sizeof(struct vhost_user_hdr) + r->m.size)
			c->tx = r->next;
	}
	return any;
}

/* ---- in ---- */

static int check_header(const struct vuc_in *in, const struct vuc_req *r, const char **why)
{
	uint32_t min = r->m.reply_max ? r->m.reply_min : sizeof(r->ack);
	uint32_t max = r->m.reply_max ? r->m.reply_max : sizeof(r->ack);
	const struct vhost_user_hdr *h = &in->h;

	*why = "the back-end answered something else than was asked";
	if (h->request != r->m.request || !(h->flags & VHOST_USER_F_REPLY) ||
	    (h->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
		return -EPROTO;
	*why = "the back-end's answer has an impossible size";
	if (h->size < min || h->size > max)
		return -EPROTO;
	*why = LOST;
	return in->lost ? -EPROTO : 0;
}

static void answered(struct vuc *c)
{
	struct vuc_req *r = c->head;
	char name[32];
	struct err e;

	vuc_trace(c, "<", &c->in.h, c->in.nfds, r->m.reply_max ? r->m.reply : &r->ack,
		  c->in.h.size);
	r->m.reply_size = c->in.h.size;
	if (r->m.want_fd)
		r->m.reply_fd = vuc_in_take_fd(&c->in);
	vuc_in_reset(&c->in);
	pop(c);
	if (r->wants_ack && r->ack) {
		err_set(&e, -EREMOTEIO, "vhost-user-refused", "the back-end refused %s",
			vuc_name(r->m.request, false, name));
		finish(r, -EREMOTEIO, &e);
	} else {
		finish(r, 0, NULL);
	}
}

/* Nobody asked: all that can come is the end of the connection. */
static int receive_nothing(struct vuc *c)
{
	uint8_t byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	if (n > 0)
		return vuc_die(c, -EPROTO, NULL, "the back-end answered what nobody had asked");
	if (n == 0)
		return vuc_die(c, -ECONNRESET, NULL, "the back-end closed the connection");
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		return vuc_die(c, -errno, NULL, "the connection to the back-end broke");
	return 0;
}

/* Returns 1: an answer came, 0: none yet, or -errno: dead. */
static int receive(struct vuc *c)
{
	const size_t hs = sizeof(c->in.h);
	struct vuc_req *r = c->head;
	const char *why;
	int ret;

	if (!r)
		return receive_nothing(c);
	if (r == c->tx)
		return 0;
	ret = vuc_in_fill(c->fd, &c->in, &c->in.h, 0, hs);
	if (ret == -EAGAIN)
		return 0;
	if (ret)
		return vuc_die(c, ret, NULL, "the back-end closed the connection");
	ret = check_header(&c->in, r, &why);
	if (ret) {
		vuc_trace(c, "<", &c->in.h, c->in.nfds, NULL, 0);
		return vuc_die(c, ret, NULL, why);
	}
	ret = vuc_in_fill(c->fd, &c->in, r->m.reply_max ? r->m.reply : &r->ack, hs, c->in.h.size);
	if (ret == -EAGAIN)
		return 0;
	if (ret)
		return vuc_die(c, ret, NULL, "the back-end's answer is incomplete");
	if (c->in.lost)
		return vuc_die(c, -EPROTO, NULL, LOST);
	answered(c);
	return 1;
}

/* ---- a turn ---- */

static void check_time(struct vuc *c)
{
	if (c->dead || !c->head || clock_ns() < c->head->due_ns)
		return;
	if (c->head == c->tx)
		vuc_die(c, -ETIMEDOUT, NULL, "the back-end does not read what it is sent");
	else if (c->in.have)
		vuc_die(c, -ETIMEDOUT, NULL, "the back-end's answer is incomplete");
	else
		vuc_die(c, -ETIMEDOUT, NULL, "the back-end did not answer");
}

void vuc_main_process(struct vuc *c)
{
	for (unsigned int i = 0; i < TURN_MAX && !c->dead; i++) {
		int out = send_queue(c);
		bool ended = reap(c);
		int in = c->dead ? 0 : receive(c);

		/* Gone: but what it had answered before was to be read first. */
		if (out < 0 && in == 0 && !c->dead)
			vuc_die(c, out, NULL, "cannot send to the back-end");
		if (c->dead)
			return;
		if (in > 0)
			reap(c);
		if (out <= 0 && !ended && in <= 0)
			break;
	}
	check_time(c);
}

short vuc_main_events(const struct vuc *c)
{
	short events = 0;

	if (c->tx)
		events |= POLLOUT;
	/* What comes before a message is entirely sent waits for it. */
	if (!c->head || c->head != c->tx)
		events |= POLLIN;
	return events;
}
