/* SPDX-License-Identifier: MIT */
#include "transport/vhost-user/wire-io.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void vu_io_init(struct vu_io *io, int fd)
{
	memset(io, 0, sizeof(*io));
	io->fd = fd;
	for (unsigned int i = 0; i < VHOST_USER_MAX_FDS; i++)
		io->fds[i] = -1;
}

static void close_fds(struct vu_io *io)
{
	for (unsigned int i = 0; i < VHOST_USER_MAX_FDS; i++) {
		if (io->fds[i] >= 0)
			close(io->fds[i]);
		io->fds[i] = -1;
	}
	io->nfds = 0;
}

void vu_io_close(struct vu_io *io)
{
	close_fds(io);
	if (io->fd >= 0)
		close(io->fd);
	io->fd = -1;
	io->have = 0;
	io->out_len = io->out_off = 0;
}

void vu_io_next(struct vu_io *io)
{
	close_fds(io);
	io->have = 0;
}

int vu_io_take_fd(struct vu_io *io)
{
	for (unsigned int i = 0; i < io->nfds; i++) {
		int fd = io->fds[i];

		if (fd < 0)
			continue;
		io->fds[i] = -1;
		return fd;
	}
	return -1;
}

/*
 * Own every descriptor of @mh before anything is judged: what the kernel has
 * installed is ours to close, also when the message is refused.
 * Returns how many there were, or -EPROTO when they do not fit.
 */
static int collect_fds(struct vu_io *io, struct msghdr *mh)
{
	bool too_many = false;
	int n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			n++;
			if (io->nfds < VHOST_USER_MAX_FDS) {
				io->fds[io->nfds++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	return too_many ? -EPROTO : n;
}

/* One recvmsg of at most @want bytes. Bytes read, 0 when there are none now, or -errno. */
static int recv_some(struct vu_io *io, size_t want, struct err *e)
{
	/* Room for exactly as many as one message may carry: more are reported as MSG_CTRUNC. */
	union {
		char buf[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = io->buf + io->have, .iov_len = want };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;
	int nfds;

	do {
		n = recvmsg(io->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0)
		return err_sys(e, errno == ECONNRESET ? -EPIPE : -errno, "peer-gone",
			       "cannot read from the front end");

	nfds = collect_fds(io, &mh);
	if (nfds < 0 || (mh.msg_flags & MSG_CTRUNC))
		return err_set(e, -EPROTO, "bad-message",
			       "message with more than %u descriptors, or more than this process "
			       "may open",
			       VHOST_USER_MAX_FDS);
	/* "Communication": descriptors ride with the first byte of the header. */
	if (nfds > 0 && io->have > 0)
		return err_set(e, -EPROTO, "bad-message", "descriptors in the middle of a message");
	if (n == 0)
		return err_set(e, -EPIPE, "peer-gone", "the front end closed the connection%s",
			       io->have ? " in the middle of a message" : "");
	io->have += (size_t)n;
	return (int)n;
}

int vu_io_recv(struct vu_io *io, struct err *e)
{
	struct vhost_user_hdr hdr;
	int ret;

	while (io->have < sizeof(hdr)) {
		ret = recv_some(io, sizeof(hdr) - io->have, e);
		if (ret <= 0)
			return ret;
	}
	memcpy(&hdr, io->buf, sizeof(hdr));
	ret = vu_hdr_check(&hdr, e); /* bounds hdr.size by the buffer */
	if (ret < 0)
		return ret;
	while (io->have < sizeof(hdr) + hdr.size) {
		ret = recv_some(io, sizeof(hdr) + hdr.size - io->have, e);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

int vu_io_flush(struct vu_io *io, struct err *e)
{
	while (vu_io_pending(io)) {
		ssize_t n = send(io->fd, io->out + io->out_off, io->out_len - io->out_off,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 1;
		if (n < 0)
			return err_sys(e, errno == ECONNRESET ? -EPIPE : -errno, "peer-gone",
				       "cannot write to the front end");
		io->out_off += (size_t)n;
	}
	io->out_len = io->out_off = 0;
	return 0;
}

int vu_io_reply(struct vu_io *io, uint32_t request, const void *payload, size_t len, struct err *e)
{
	struct vhost_user_hdr hdr = {
		.request = request,
		.flags = VHOST_USER_VERSION | VHOST_USER_F_REPLY,
		.size = (uint32_t)len,
	};

	if (vu_io_pending(io) || len > sizeof(union vhost_user_payload))
		return err_set(e, -EBUSY, "internal", "a reply is still under way");
	memcpy(io->out, &hdr, sizeof(hdr));
	if (len)
		memcpy(io->out + sizeof(hdr), payload, len);
	io->out_len = sizeof(hdr) + len;
	io->out_off = 0;
	return vu_io_flush(io, e);
}
