/* SPDX-License-Identifier: MIT */
/* Bytes and descriptors of a vhost-user socket. Nothing here waits. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/vuc-internal.h"
#include "util/compiler.h"

/* ---- in ---- */

void vuc_in_reset(struct vuc_in *in)
{
	for (unsigned int i = 0; i < in->nfds; i++)
		close(in->fds[i]);
	in->nfds = 0;
	in->have = 0;
	in->lost = false;
}

int vuc_in_take_fd(struct vuc_in *in)
{
	int fd;

	if (in->nfds == 0)
		return -1;
	fd = in->fds[0];
	in->nfds--;
	memmove(in->fds, in->fds + 1, in->nfds * sizeof(in->fds[0]));
	return fd;
}

/*
 * "Message Specification": descriptors come with the first byte. Whatever comes
 * elsewhere is open here all the same, and is closed.
 */
static void take_fds(struct vuc_in *in, struct msghdr *mh)
{
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		size_t n;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			if (in->have == 0 && in->nfds < ARRAY_SIZE(in->fds))
				in->fds[in->nfds++] = fd;
			else
				close(fd);
		}
	}
	/* Those that did not fit, or for which there was no number left, the kernel has closed. */
	if (mh->msg_flags & MSG_CTRUNC)
		in->lost = true;
}

int vuc_in_fill(int fd, struct vuc_in *in, void *part, size_t start, size_t len)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_FDS)];
	} ctl;

	while (in->have < start + len) {
		size_t off = in->have - start;
		struct iovec iov = { (uint8_t *)part + off, len - off };
		struct msghdr mh = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &ctl,
			.msg_controllen = sizeof(ctl),
		};
		ssize_t n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		take_fds(in, &mh);
		if (n == 0)
			return -ECONNRESET;
		in->have += (size_t)n;
	}
	return 0;
}

/* ---- out ---- */

ssize_t vuc_send(int fd, struct iovec *iov, unsigned int niov, const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VUC_MAX_FDS)];
	} ctl;
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = niov };
	ssize_t n;

	if (nfds) {
		struct cmsghdr *cm;

		memset(&ctl, 0, CMSG_SPACE(sizeof(int) * nfds));
		mh.msg_control = &ctl;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return n;
}
