/* SPDX-License-Identifier: MIT */
#include "transport/vhost-user/backchan.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/compiler.h"
#include "util/log.h"

void vu_backchan_init(struct vu_backchan *b, struct loop *loop, const char *name)
{
	memset(b, 0, sizeof(*b));
	b->loop = loop;
	b->name = name;
	b->fd = -1;
}

void vu_backchan_close(struct vu_backchan *b)
{
	if (b->fd < 0)
		return;
	loop_del(b->loop, &b->src);
	close(b->fd);
	b->fd = -1;
	b->waiting = false;
	b->out_left = 0;
	b->have = 0;
}

static void backchan_drop(struct vu_backchan *b, const char *why)
{
	log_warning("%s: back-end channel dropped: %s", b->name, why);
	vu_backchan_close(b);
}

static void backchan_rearm(struct vu_backchan *b)
{
	loop_mod(b->loop, &b->src, b->out_left ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void backchan_flush(struct vu_backchan *b)
{
	const uint8_t *end = (const uint8_t *)(&b->out + 1);

	while (b->out_left) {
		ssize_t n = send(b->fd, end - b->out_left, b->out_left,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			backchan_drop(b, strerror(errno));
			return;
		}
		b->out_left -= (size_t)n;
	}
	backchan_rearm(b);
}

/* A complete answer: is it one to what was asked? */
static const char *backchan_judge(struct vu_backchan *b)
{
	struct vhost_user_hdr hdr;
	uint64_t res;

	memcpy(&hdr, b->in, sizeof(hdr));
	memcpy(&res, b->in + sizeof(hdr), sizeof(res));
	if (hdr.request != VHOST_USER_BACKEND_CONFIG_CHANGE_MSG ||
	    hdr.flags != (VHOST_USER_VERSION | VHOST_USER_F_REPLY) || hdr.size != sizeof(res))
		return "answer to something else";
	if (res)
		log_warning("%s: the front end could not take the new configuration", b->name);
	return NULL;
}

static void backchan_event(struct loop_fd *src, uint32_t events)
{
	struct vu_backchan *b = container_of(src, struct vu_backchan, src);
	const char *bad;

	if (events & EPOLLOUT) {
		backchan_flush(b);
		if (b->fd < 0)
			return;
	}
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	for (;;) {
		/* Plain recv: should descriptors come along, the kernel discards them. */
		ssize_t n = recv(b->fd, b->in + b->have, sizeof(b->in) - b->have, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (events & (EPOLLERR | EPOLLHUP)) /* would come again for ever */
				backchan_drop(b, "error on the socket");
			return;
		}
		if (n == 0) { /* as it does on leaving, just before the session's own socket */
			log_info("%s: back-end channel closed by the front end", b->name);
			vu_backchan_close(b);
			return;
		}
		if (n < 0) {
			backchan_drop(b, strerror(errno));
			return;
		}
		b->have += (size_t)n;
		if (!b->waiting) {
			backchan_drop(b, "an answer nobody asked for");
			return;
		}
		if (b->have < sizeof(b->in))
			continue;
		bad = backchan_judge(b);
		if (bad) {
			backchan_drop(b, bad);
			return;
		}
		b->have = 0;
		b->waiting = false;
		vu_backchan_push(b); /* what changed while the answer was under way */
		if (b->fd < 0)
			return;
	}
}

int vu_backchan_open(struct vu_backchan *b, int fd, struct err *e)
{
	int dom = 0, type = 0, ret;
	socklen_t n = sizeof(dom), m = sizeof(type);

	vu_backchan_close(b);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &dom, &n) < 0 || dom != AF_UNIX ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) < 0 || type != SOCK_STREAM) {
		close(fd);
		return err_set(e, -EINVAL, "bad-descriptor",
			       "SET_BACKEND_REQ_FD with a descriptor that is no UNIX stream socket");
	}
	b->src = (struct loop_fd){ .fd = fd, .fn = backchan_event };
	ret = loop_add(b->loop, &b->src, EPOLLIN);
	if (ret < 0) {
		close(fd);
		return err_sys(e, ret, "bad-descriptor", "cannot watch the back-end channel");
	}
	b->fd = fd;
	return 0;
}

void vu_backchan_push(struct vu_backchan *b)
{
	if (!b->want || b->fd < 0 || b->waiting || b->out_left)
		return;
	b->want = false;
	b->waiting = b->ask;
	b->out = (struct vhost_user_hdr){
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = VHOST_USER_VERSION | (b->ask ? VHOST_USER_F_NEED_REPLY : 0),
	};
	b->out_left = sizeof(b->out);
	backchan_flush(b);
}
