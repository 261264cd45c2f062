/* SPDX-License-Identifier: MIT */
/* A vhost-user front-end's connection: its life, waiting, and calls that block. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "frontend/vuc-internal.h"
#include "util/compiler.h"
#include "util/loop.h"

/* ---- life ---- */

struct vuc *vuc_from_fd(int fd, int timeout_ms, struct err *e)
{
	struct vuc *c = calloc(1, sizeof(*c));
	int fl = fcntl(fd, F_GETFL);

	if (!c || fl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0) {
		err_sys(e, c ? -errno : -ENOMEM, "vhost-user-socket", "cannot use the socket");
		close(fd);
		free(c);
		return NULL;
	}
	c->fd = fd;
	c->back.fd = -1;
	c->back.out_fd = -1;
	c->timeout_ms = timeout_ms > 0 ? timeout_ms : VUC_TIMEOUT_MS;
	return c;
}

/* A listener with a full queue says so (EAGAIN); nothing tells when that has changed. */
static int connect_by(int fd, const struct sockaddr_un *sa, int timeout_ms)
{
	uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000;

	while (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_ns() >= end)
			return -ETIMEDOUT;
		poll(NULL, 0, 10);
	}
	return 0;
}

struct vuc *vuc_connect(const char *path, int timeout_ms, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, code;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		err_set(e, -ENAMETOOLONG, "socket-path",
			"the socket path '%s' is longer than %zu bytes", path,
			sizeof(sa.sun_path) - 1);
		return NULL;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	code = fd < 0 ? -errno : connect_by(fd, &sa, timeout_ms > 0 ? timeout_ms : VUC_TIMEOUT_MS);
	if (code < 0) {
		err_sys(e, code, "vhost-user-connect", "cannot connect to '%s'", path);
		if (code == -ECONNREFUSED)
			err_hint(e, "nobody listens there any more; start the back-end again");
		else if (code == -ENOENT)
			err_hint(e, "start the back-end first");
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	return vuc_from_fd(fd, timeout_ms, e);
}

void vuc_close(struct vuc *c)
{
	if (!c)
		return;
	VUC_HOLD(c);
	c->closing = true;
	vuc_cancel(c);
}

void vuc_release(struct vuc **held)
{
	struct vuc *c = *held;

	if (--c->depth || !c->closing)
		return;
	vuc_in_reset(&c->in);
	close(c->fd); /* first: the other one gone alone looks like a fault to the back-end */
	vuc_back_close(c, NULL);
	free(c);
}

int vuc_fd(const struct vuc *c)
{
	return c->fd;
}

const char *vuc_dead(const struct vuc *c)
{
	return c->dead;
}

/* ---- waiting ---- */

uint64_t vuc_deadline(const struct vuc *c)
{
	return clock_ns() + (uint64_t)c->timeout_ms * 1000000;
}

static int ms_until(uint64_t end_ns)
{
	uint64_t now = clock_ns();

	return end_ns <= now ? 0 : (int)MIN((end_ns - now) / 1000000 + 1, (uint64_t)60000);
}

int vuc_events(const struct vuc *c, struct pollfd p[2])
{
	uint64_t end = UINT64_MAX;

	p[0] = (struct pollfd){ .fd = -1 };
	p[1] = (struct pollfd){ .fd = -1 };
	if (c->dead)
		return -1;
	p[0].fd = c->fd;
	p[0].events = vuc_main_events(c);
	if (c->head)
		end = c->head->due_ns;
	if (c->back.fd >= 0 && !c->back.busy) {
		p[1].fd = c->back.fd;
		p[1].events = vuc_back_events(c);
		if (c->back.due_ns)
			end = MIN(end, c->back.due_ns);
	}
	return end == UINT64_MAX ? -1 : ms_until(end);
}

/*
 * The back-channel goes first: what the back-end asked before it answered here
 * has been seen when the answer is. It cannot hold us: vuc_back_process() takes a few
 * requests at a time.
 */
void vuc_process(struct vuc *c)
{
	VUC_HOLD(c);

	if (c->dead)
		return;
	vuc_back_process(c);
	if (!c->dead)
		vuc_main_process(c);
}

short vuc_wait(struct vuc *c, int fd, short events, uint64_t end_ns)
{
	VUC_HOLD(c);
	struct pollfd p[3] = { { .fd = -1 }, { .fd = -1 }, { .fd = fd, .events = events } };
	int ms = vuc_events(c, p), mine = end_ns == UINT64_MAX ? -1 : ms_until(end_ns);

	if (ms < 0 || (mine >= 0 && mine < ms))
		ms = mine;
	if (poll(p, 3, ms) < 0)
		p[2].revents = 0; /* EINTR; anything else shows again */
	vuc_process(c);
	return p[2].revents;
}

/* ---- calls that block ---- */

struct call {
	struct vuc_req r;
	bool over;
	int res;
	struct err *e;
};

static void call_done(struct vuc_req *r, int res, const struct err *e)
{
	struct call *k = container_of(r, struct call, r);

	k->over = true;
	k->res = res;
	if (e && k->e)
		*k->e = *e;
}

int vuc_call(struct vuc *c, struct vuc_msg *m, struct err *e)
{
	VUC_HOLD(c);
	struct call k = { .r = { .m = *m, .done = call_done }, .e = e };
	int ret = vuc_start(c, &k.r, e);

	m->reply_fd = -1;
	if (ret)
		return ret;
	vuc_process(c);
	while (!k.over)
		vuc_wait(c, -1, 0, UINT64_MAX);
	m->reply_size = k.r.m.reply_size;
	m->reply_fd = k.r.m.reply_fd;
	return k.res;
}
