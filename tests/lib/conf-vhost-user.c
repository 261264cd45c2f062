/* SPDX-License-Identifier: MIT */
/* The driver's transport over a vhost-user socket pair, with the real back-end at the other end. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf-dev.h"
#include "frontend/vhost-user-client.h"
#include "transport/transport.h"
#include "util/compiler.h"

#define WAIT_S 15

/*
 * Everything but closing is the client's: its table is used with one entry
 * replaced, and this struct found again through the copy.
 */
struct conf_vu {
	struct fe_transport_ops ops;
	struct fe_transport *client;
	const struct fe_transport_ops *client_ops;
	struct conf_dev *d;
	struct transport *tr;
	struct transport_args args;
	struct err e;
	int res;

	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool gone;    /* @disconnected or @failed */
	bool stopped; /* transport_stop() has finished */
};

static void flag(struct conf_vu *v, bool *f)
{
	pthread_mutex_lock(&v->lock);
	*f = true;
	pthread_cond_broadcast(&v->cond);
	pthread_mutex_unlock(&v->lock);
}

static bool wait_flag(struct conf_vu *v, const bool *f)
{
	struct timespec end;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += WAIT_S;
	pthread_mutex_lock(&v->lock);
	while (!*f && ret == 0)
		ret = pthread_cond_timedwait(&v->cond, &v->lock, &end);
	pthread_mutex_unlock(&v->lock);
	return ret == 0;
}

static void on_disconnected(void *ctx, const char *why)
{
	struct conf_vu *v = ctx;

	(void)why;
	flag(v, &v->gone);
}

static void on_failed(void *ctx, const struct err *e)
{
	struct conf_vu *v = ctx;

	(void)e;
	flag(v, &v->gone);
}

static const struct transport_events events = {
	.disconnected = on_disconnected,
	.failed = on_failed,
};

static void start(void *arg)
{
	struct conf_vu *v = arg;

	v->res = transport_find("vhost-user")->start(&v->args, &v->tr, &v->e);
}

static void on_stopped(void *ctx, int res, const struct err *e)
{
	struct conf_vu *v = ctx;

	(void)e;
	v->res = res;
	flag(v, &v->stopped);
}

static void stop(void *arg)
{
	struct conf_vu *v = arg;

	v->tr->ops->stop(v->tr, TRANSPORT_STOP_FORCE, on_stopped, v);
}

static void release(void *arg)
{
	struct conf_vu *v = arg;

	v->tr->ops->free(v->tr);
}

static void op_close(struct fe_transport *t)
{
	struct conf_vu *v = container_of(t->ops, struct conf_vu, ops);

	t->ops = v->client_ops;
	t->ops->close(t);
	/* The hang-up alone must end the session. */
	if (!wait_flag(v, &v->gone))
		abort();
	conf_on_loop(v->d, stop, v);
	if (!wait_flag(v, &v->stopped))
		abort();
	conf_on_loop(v->d, release, v);
	free(v);
}

static struct fe_transport *connect_vhost_user(struct conf_dev *d, struct err *e)
{
	struct conf_vu *v = calloc(1, sizeof(*v));
	struct vuc *c;
	int sv[2];

	if (!v || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
		err_sys(e, -errno, "socket", "cannot make a socket pair");
		free(v);
		return NULL;
	}
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->cond, NULL);
	v->d = d;
	v->args = (struct transport_args){
		.dev = d->dev,
		.ev = &events,
		.ctx = v,
		.name = "conf",
		.fd = sv[0],
		.group = (gid_t)-1,
		.once = true,
	};
	conf_on_loop(d, start, v);
	if (v->res < 0) {
		if (e)
			*e = v->e;
		close(sv[1]);
		free(v);
		return NULL;
	}
	c = vuc_from_fd(sv[1], 0, e);
	v->client = c ? vuc_transport(c, e) : NULL;
	if (!v->client) {
		wait_flag(v, &v->gone);
		conf_on_loop(d, stop, v);
		if (wait_flag(v, &v->stopped))
			conf_on_loop(d, release, v);
		free(v);
		return NULL;
	}
	v->client_ops = v->client->ops;
	v->ops = *v->client_ops;
	v->ops.close = op_close;
	v->client->ops = &v->ops;
	return v->client;
}

const struct conf_target conf_vhost_user = {
	.name = "vhost-user",
	.connect = connect_vhost_user,
};
