/* SPDX-License-Identifier: MIT */
/* vuctl check: the connections and the guest memory of a case. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "check/check-impl.h"
#include "util/compiler.h"
#include "util/loop.h"

/* ---- life ---- */

static void died_or_hung(struct check *c, enum check_result r, const struct err *e)
	__attribute__((noreturn));
static void died_or_hung(struct check *c, enum check_result r, const struct err *e)
{
	snprintf(c->expected, sizeof(c->expected), "the back-end still serves");
	snprintf(c->got, sizeof(c->got), "%s", e->what);
	check_outcome_end(c, r);
}

/* A socket to it. One that ends with its connection is started again first. */
static int get_socket(struct check *c)
{
	struct check_server *s = &c->server;
	struct err e = { .code = 0 };
	int fd = check_server_connect(s, s->one_shot ? 0 : s->patience_ms, &e);
	enum check_result r;

	if (fd == -ECONNREFUSED && s->one_shot) {
		r = check_server_state(s, &e);
		if (r != CHECK_PASSED)
			died_or_hung(c, r, &e);
		if (check_server_start(s, &e) == 0)
			fd = check_server_connect(s, s->patience_ms, &e);
	}
	if (fd < 0)
		died_or_hung(c, fd == -ECONNREFUSED ? CHECK_DIED : CHECK_HUNG, &e);
	return fd;
}

struct vuc *check_connect(struct check *c)
{
	struct check_conn *n = calloc(1, sizeof(*n));
	struct err e = { .code = 0 };
	int fd;

	if (!n)
		check_skip(c, "out of memory");
	n->c = c;
	n->next = c->conns;
	n->number = ++c->nconns;
	c->conns = n;
	fd = get_socket(c);
	n->v = vuc_from_fd(fd, c->o->timeout_ms, &e);
	if (!n->v)
		check_skip(c, "%s", e.what);
	vuc_set_trace(n->v, check_trace_line, n);
	return n->v;
}

void check_disconnect(struct check *c, struct vuc *v)
{
	struct check_conn **p = &c->conns, *n;

	while (*p && (*p)->v != v)
		p = &(*p)->next;
	if (!v || !*p)
		return;
	n = *p;
	*p = n->next;
	check_dev_forget(c, v);
	vuc_close(v);
	free(n);
}

void check_conn_close_all(struct check *c)
{
	while (c->conns) {
		struct check_conn *n = c->conns;

		c->conns = n->next;
		if (n->v)
			check_dev_forget(c, n->v);
		vuc_close(n->v);
		free(n);
	}
}

/* ---- memory ---- */

struct fe_mem *check_mem(struct check *c, const struct fe_mem_spec *specs, unsigned int n)
{
	struct check_memory *x = calloc(1, sizeof(*x));
	struct err e = { .code = 0 };

	if (!x)
		check_skip(c, "out of memory");
	x->next = c->mems;
	c->mems = x;
	x->m = fe_mem_new(specs, n, &e);
	if (!x->m)
		check_skip(c, "%s", e.what);
	return x->m;
}

void check_mem_free_all(struct check *c)
{
	while (c->mems) {
		struct check_memory *x = c->mems;

		c->mems = x->next;
		fe_mem_free(x->m);
		free(x);
	}
}

/* ---- negotiation ---- */

void check_negotiate(struct check *c, struct vuc *v, uint64_t virtio, uint64_t protocol)
{
	struct err e = { .code = 0 };
	uint64_t f, pf;

	if (virtio == UINT64_MAX)
		virtio = check_known_virtio(c);
	if (protocol == UINT64_MAX)
		protocol = check_known_protocol(c);
	check_ok(c, &e, vuc_get_features(v, &f, &e));
	check_ok(c, &e, vuc_set_owner(v, &e));
	if (f & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) {
		check_ok(c, &e, vuc_get_protocol_features(v, &pf, &e));
		check_ok(c, &e, vuc_set_protocol_features(v, pf & protocol, &e));
	}
	check_ok(c, &e, vuc_set_features(v, f & virtio, &e));
}

/* ---- what became of it ---- */

bool check_closed(struct check *c, struct vuc *v, int timeout_ms)
{
	struct pollfd p = { .fd = vuc_fd(v), .events = POLLIN };
	uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000;
	char buf[4096];

	(void)c;
	if (p.fd < 0)
		return true;
	for (;;) {
		uint64_t now = clock_ns();
		int left = now >= end ? 0 : (int)((end - now) / 1000000) + 1;
		ssize_t n;

		if (poll(&p, 1, left) == 0)
			return false;
		/* Descriptors that come along are closed by not being asked for. */
		n = recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return true;
		if (now >= end)
			return false;
	}
}

bool check_refused(struct check *c, struct vuc *v, int ret)
{
	struct err e = { .code = 0 };
	uint64_t f;

	switch (ret) {
	case -EREMOTEIO:
	case -ECONNRESET:
	case -EPIPE:
		return true;
	case -ENOTCONN:
		return check_closed(c, v, 0);
	case 0:
		break;
	default:
		return false;
	}
	/*
	 * Messages are taken in order: once the next is answered the connection
	 * stays. Some acknowledge all they get, and close it then.
	 */
	ret = vuc_get_features(v, &f, &e);
	if (ret == -ETIMEDOUT)
		check_fail(c, "an answer to GET_FEATURES, or the end of the connection", "%s",
			   e.what);
	return ret < 0;
}

void check_alive(struct check *c)
{
	struct err e = { .code = 0 };
	struct check_dev_args a = { .no_start = !c->facts.is_blk };
	enum check_result r;
	struct check_dev *d;

	/* It may serve one front-end at a time. */
	check_conn_close_all(c);
	r = check_server_state(&c->server, &e);
	if (r != CHECK_PASSED)
		died_or_hung(c, r, &e);
	c->alive = true;
	d = check_dev(c, &a);
	if (c->facts.is_blk)
		check_works(c, d, 0);
	check_dev_close(c, d);
	c->alive = false;
}
