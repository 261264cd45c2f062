/* SPDX-License-Identifier: MIT */
/* The socket of a vhost-user front-end: sending, receiving, acknowledgements, the back-channel. */
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

/* Longest payload a back-end may send on the back-channel before we give it up. */
#define BACK_PAYLOAD_MAX 4096

static uint64_t deadline(const struct vuc *c)
{
	return clock_ns() + (uint64_t)c->timeout_ms * 1000000;
}

int vuc_die(struct vuc *c, int code, struct err *e, const char *what)
{
	if (!c->dead)
		c->dead = what;
	return err_sys(e, code, "vhost-user-lost", "%s", what);
}

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
	c->back_fd = -1;
	c->timeout_ms = timeout_ms > 0 ? timeout_ms : VUC_TIMEOUT_MS;
	return c;
}

struct vuc *vuc_connect(const char *path, int timeout_ms, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		err_set(e, -ENAMETOOLONG, "socket-path",
			"the socket path '%s' is longer than %zu bytes", path,
			sizeof(sa.sun_path) - 1);
		return NULL;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int code = -errno;

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
	close(c->fd);
	if (c->back_fd >= 0)
		close(c->back_fd);
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

/* ---- bytes ---- */

/*
 * Wait until @fd is ready. While we wait for the back-end it may be waiting
 * for us on the other socket: serve that too.
 */
static int await(struct vuc *c, int fd, short events, uint64_t end)
{
	for (;;) {
		bool back = c->back_fd >= 0 && fd != c->back_fd;
		struct pollfd p[2] = {
			{ .fd = fd, .events = events },
			{ .fd = back ? c->back_fd : -1, .events = POLLIN },
		};
		uint64_t now = clock_ns();
		int n;

		if (now >= end)
			return -ETIMEDOUT;
		n = poll(p, 2, (int)MIN((end - now) / 1000000 + 1, (uint64_t)60000));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && p[1].revents)
			vuc_back_serve(c);
		if (n > 0 && p[0].revents)
			return 0;
	}
}

static int send_all(struct vuc *c, int fd, const void *buf, size_t len, const int *fds,
		    unsigned int nfds, uint64_t end)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VUC_MAX_FDS)];
	} ctl;
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { (uint8_t *)(uintptr_t)buf + done, len - done };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (nfds && done == 0) { /* they ride on the first byte */
			struct cmsghdr *cm;

			memset(&ctl, 0, sizeof(ctl));
			mh.msg_control = &ctl;
			mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
			cm = CMSG_FIRSTHDR(&mh);
			cm->cmsg_level = SOL_SOCKET;
			cm->cmsg_type = SCM_RIGHTS;
			cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
			memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
		}
		n = sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		n = await(c, fd, POLLOUT, end);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

/* No message we ask for carries descriptors; any that come are closed by not asking for them. */
static int recv_all(struct vuc *c, int fd, void *buf, size_t len, uint64_t end)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = recv(fd, (uint8_t *)buf + done, len - done, MSG_DONTWAIT);

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n == 0)
			return -ECONNRESET;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		n = await(c, fd, POLLIN, end);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

/* ---- messages ---- */

static int get_reply(struct vuc *c, uint32_t request, void *buf, uint32_t min, uint32_t max,
		     uint32_t *size, uint64_t end, struct err *e)
{
	struct vhost_user_hdr h;
	int ret = recv_all(c, c->fd, &h, sizeof(h), end);

	if (ret == -ETIMEDOUT)
		return vuc_die(c, ret, e, "the back-end did not answer");
	if (ret)
		return vuc_die(c, ret, e, "the back-end closed the connection");
	if (h.request != request || (h.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    !(h.flags & VHOST_USER_F_REPLY))
		return vuc_die(c, -EPROTO, e,
			       "the back-end answered something else than was asked");
	if (h.size < min || h.size > max)
		return vuc_die(c, -EPROTO, e, "the back-end's answer has an impossible size");
	ret = recv_all(c, c->fd, buf, h.size, end);
	if (ret)
		return vuc_die(c, ret, e, "the back-end's answer is incomplete");
	*size = h.size;
	return 0;
}

int vuc_call(struct vuc *c, struct vuc_msg *m, struct err *e)
{
	struct {
		struct vhost_user_hdr h;
		uint8_t payload[VUC_MAX_PAYLOAD];
	} msg;
	uint64_t end = deadline(c), ack = 0;
	bool want_ack = !m->reply_max && c->reply_ack;
	uint32_t size;
	int ret;

	if (c->dead)
		return err_set(e, -ENOTCONN, "vhost-user-lost", "%s", c->dead);
	if (m->size > VUC_MAX_PAYLOAD || m->nfds > VUC_MAX_FDS)
		return err_set(e, -EINVAL, "vhost-user-message", "the message is too long");
	msg.h = (struct vhost_user_hdr){
		.request = m->request,
		.flags = VHOST_USER_VERSION | m->flags | (want_ack ? VHOST_USER_F_NEED_REPLY : 0),
		.size = m->size,
	};
	if (m->size)
		memcpy(msg.payload, m->payload, m->size);
	ret = send_all(c, c->fd, &msg, sizeof(msg.h) + m->size, m->fds, m->nfds, end);
	if (ret)
		return vuc_die(c, ret, e, "cannot send to the back-end");
	if (m->reply_max)
		return get_reply(c, m->request, m->reply, m->reply_min, m->reply_max,
				 &m->reply_size, end, e);
	if (!want_ack)
		return 0;
	ret = get_reply(c, m->request, &ack, sizeof(ack), sizeof(ack), &size, end, e);
	if (ret == 0 && ack)
		return err_set(e, -EREMOTEIO, "vhost-user-refused",
			       "the back-end refused message %u", m->request);
	return ret;
}

/* ---- the back-channel ---- */

static int back_message(struct vuc *c)
{
	uint64_t end = deadline(c), answer = 1;
	uint8_t rest[BACK_PAYLOAD_MAX];
	struct vhost_user_hdr h;
	int ret = recv_all(c, c->back_fd, &h, sizeof(h), end);

	if (ret)
		return ret;
	if (h.size > sizeof(rest) || (h.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    (h.flags & VHOST_USER_F_REPLY))
		return -EPROTO;
	ret = recv_all(c, c->back_fd, rest, h.size, end);
	if (ret)
		return ret;
	if (h.request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG && h.size == 0) {
		c->config_changes++;
		answer = 0;
	}
	if (h.flags & VHOST_USER_F_NEED_REPLY) {
		struct {
			struct vhost_user_hdr h;
			uint64_t u64;
		} __attribute__((packed)) r = {
			{ h.request, VHOST_USER_VERSION | VHOST_USER_F_REPLY, sizeof(uint64_t) },
			answer,
		};

		ret = send_all(c, c->back_fd, &r, sizeof(r), NULL, 0, end);
	}
	return ret;
}

void vuc_back_serve(struct vuc *c)
{
	struct pollfd p = { .fd = c->back_fd, .events = POLLIN };

	while (c->back_fd >= 0 && poll(&p, 1, 0) == 1) {
		if (back_message(c) == 0)
			continue;
		/* The main socket may be fine: only this one is given up. */
		close(c->back_fd);
		c->back_fd = -1;
	}
}

int vuc_set_backend_req_fd(struct vuc *c, struct err *e)
{
	struct vuc_msg m = { .request = VHOST_USER_SET_BACKEND_REQ_FD, .nfds = 1 };
	int sv[2], ret;

	/* Blocking: the end that goes away is to be what back-ends expect. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_sys(e, -errno, "vhost-user-socket", "cannot make the back-channel");
	m.fds = &sv[1];
	ret = vuc_call(c, &m, e);
	close(sv[1]);
	if (ret) {
		close(sv[0]);
		return ret;
	}
	if (c->back_fd >= 0)
		close(c->back_fd);
	c->back_fd = sv[0];
	return 0;
}

int vuc_backend_wait(struct vuc *c, int timeout_ms, struct err *e)
{
	struct pollfd p = { .fd = c->back_fd, .events = POLLIN };

	if (!c->config_changes && c->back_fd < 0)
		return err_set(e, -ENOTCONN, "back-channel",
			       "the back-end has no channel to tell of changes");
	if (!c->config_changes && poll(&p, 1, timeout_ms) == 1)
		vuc_back_serve(c);
	if (!c->config_changes)
		return 0;
	c->config_changes--;
	return 1;
}
