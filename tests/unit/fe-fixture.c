/* SPDX-License-Identifier: MIT */
#include "fe-fixture.h"

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int make(void **state, int timeout_ms)
{
	struct fix *f = calloc(1, sizeof(*f));
	int sv[2];

	assert_non_null(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	f->c = vuc_from_fd(sv[0], timeout_ms, &f->e);
	assert_non_null(f->c);
	f->fd = sv[1];
	f->back = -1;
	*state = f;
	return 0;
}

int fe_setup(void **state)
{
	return make(state, SHORT_MS);
}

int fe_setup_patient(void **state)
{
	return make(state, PATIENCE);
}

int fe_teardown(void **state)
{
	struct fix *f = *state;

	vuc_close(f->c);
	if (f->fd >= 0)
		close(f->fd);
	if (f->back >= 0)
		close(f->back);
	free(f);
	return 0;
}

bool fe_try_say(int fd, uint32_t request, uint32_t flags, const void *p, uint32_t size,
		const int *fds, unsigned int nfds)
{
	struct msg m = { .h = { request, flags, size } };
	struct iovec iov = { &m, sizeof(m.h) + size };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * FE_MAXFDS)];
	} ctl;

	if (size > sizeof(m.p))
		return false;
	if (size && p)
		memcpy(m.p, p, size);
	if (nfds) {
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
	return sendmsg(fd, &mh, MSG_NOSIGNAL) == (ssize_t)(sizeof(m.h) + size);
}

void fe_say_fds(int fd, uint32_t request, uint32_t flags, const void *p, uint32_t size,
		const int *fds, unsigned int nfds)
{
	assert_true(fe_try_say(fd, request, flags, p, size, fds, nfds));
}

void fe_say(int fd, uint32_t request, uint32_t flags, const void *p, uint32_t size)
{
	fe_say_fds(fd, request, flags, p, size, NULL, 0);
}

void fe_say_u64(struct fix *f, uint32_t request, uint64_t v)
{
	fe_say(f->fd, request, REPLY, &v, sizeof(v));
}

struct msg fe_hear_fds(int fd, int *fds, unsigned int *nfds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * FE_MAXFDS)];
	} ctl;
	struct msg m = { 0 };
	struct iovec iov = { &m.h, sizeof(m.h) };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &ctl,
		.msg_controllen = sizeof(ctl),
	};
	struct cmsghdr *cm;

	assert_int_equal(recvmsg(fd, &mh, MSG_CMSG_CLOEXEC), sizeof(m.h));
	*nfds = 0;
	for (cm = CMSG_FIRSTHDR(&mh); cm; cm = CMSG_NXTHDR(&mh, cm)) {
		*nfds = (unsigned int)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(cm), *nfds * sizeof(int));
	}
	assert_true(m.h.size <= sizeof(m.p));
	if (m.h.size)
		assert_int_equal(recv(fd, m.p, m.h.size, MSG_WAITALL), m.h.size);
	return m;
}

struct msg fe_hear(struct fix *f)
{
	unsigned int n;
	int fds[FE_MAXFDS];
	struct msg m = fe_hear_fds(f->fd, fds, &n);

	assert_int_equal(n, 0);
	assert_int_equal(m.h.flags & VHOST_USER_VERSION_MASK, VHOST_USER_VERSION);
	return m;
}

bool fe_is_silent(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

void fe_negotiate(struct fix *f, uint64_t features)
{
	assert_int_equal(vuc_set_protocol_features(f->c, features, &f->e), 0);
	assert_int_equal(fe_hear(f).h.request, VHOST_USER_SET_PROTOCOL_FEATURES);
}

void fe_back_channel(struct fix *f)
{
	unsigned int n;
	int fds[FE_MAXFDS];

	if (vuc_protocol_features(f->c) & PF(REPLY_ACK))
		fe_say_u64(f, VHOST_USER_SET_BACKEND_REQ_FD, 0);
	assert_int_equal(vuc_set_backend_req_fd(f->c, &f->e), 0);
	fe_hear_fds(f->fd, fds, &n);
	assert_int_equal(n, 1);
	f->back = fds[0];
}

unsigned int fe_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

int fe_memfd(size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}
