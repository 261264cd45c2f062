/* SPDX-License-Identifier: MIT */
/* Messages: coming in, which sizes and descriptors they may have, and answers. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend.h"
#include "util/compiler.h"

/**
 * struct known_msg - a request we know
 * @min, @max:	bytes of payload
 * @min_fds, @max_fds: descriptors
 * @gate:	protocol feature that must have been accepted, -1: none
 */
struct known_msg {
	int (*handle)(struct be *b, struct be_msg *m);
	uint32_t min, max;
	uint8_t min_fds, max_fds;
	int8_t gate;
};

#define SIZE(t) sizeof(t), sizeof(t)
#define U64     SIZE(uint64_t)
#define STATE   SIZE(struct vhost_user_vring_state)
#define NONE    0, 0
#define FDS(n)  n, n
#define ALWAYS  -1
#define P(x)    VHOST_USER_PROTOCOL_F_##x

static const struct known_msg known[VHOST_USER_REQUEST_MAX] = {
	[VHOST_USER_GET_FEATURES] = { on_get_features, NONE, FDS(0), ALWAYS },
	[VHOST_USER_SET_FEATURES] = { on_set_features, U64, FDS(0), ALWAYS },
	[VHOST_USER_SET_OWNER] = { on_set_owner, NONE, FDS(0), ALWAYS },
	[VHOST_USER_RESET_OWNER] = { on_reset_owner, NONE, FDS(0), ALWAYS },
	[VHOST_USER_SET_MEM_TABLE] = { on_set_mem_table, 8, sizeof(struct vhost_user_mem_table), 0,
				       VHOST_USER_MAX_REGIONS, ALWAYS },
	[VHOST_USER_SET_LOG_BASE] = { on_set_log_base, SIZE(struct vhost_user_log), FDS(1),
				      P(LOG_SHMFD) },
	[VHOST_USER_SET_LOG_FD] = { on_set_log_fd, NONE, FDS(1), ALWAYS },
	[VHOST_USER_SET_VRING_NUM] = { on_set_vring_num, STATE, FDS(0), ALWAYS },
	[VHOST_USER_SET_VRING_ADDR] = { on_set_vring_addr, SIZE(struct vhost_user_vring_addr),
					FDS(0), ALWAYS },
	[VHOST_USER_SET_VRING_BASE] = { on_set_vring_base, STATE, FDS(0), ALWAYS },
	[VHOST_USER_GET_VRING_BASE] = { on_get_vring_base, STATE, FDS(0), ALWAYS },
	[VHOST_USER_SET_VRING_KICK] = { on_set_vring_kick, U64, 0, 1, ALWAYS },
	[VHOST_USER_SET_VRING_CALL] = { on_set_vring_call, U64, 0, 1, ALWAYS },
	[VHOST_USER_SET_VRING_ERR] = { on_set_vring_err, U64, 0, 1, ALWAYS },
	[VHOST_USER_GET_PROTOCOL_FEATURES] = { on_get_protocol_features, NONE, FDS(0), ALWAYS },
	[VHOST_USER_SET_PROTOCOL_FEATURES] = { on_set_protocol_features, U64, FDS(0), ALWAYS },
	[VHOST_USER_GET_QUEUE_NUM] = { on_get_queue_num, NONE, FDS(0), P(MQ) },
	[VHOST_USER_SET_VRING_ENABLE] = { on_set_vring_enable, STATE, FDS(0), ALWAYS },
	[VHOST_USER_SET_BACKEND_REQ_FD] = { on_set_backend_req_fd, NONE, FDS(1), P(BACKEND_REQ) },
	[VHOST_USER_GET_CONFIG] = { on_get_config, VHOST_USER_CONFIG_HDR_SIZE,
				    sizeof(struct vhost_user_config), FDS(0), P(CONFIG) },
	[VHOST_USER_SET_CONFIG] = { on_set_config, VHOST_USER_CONFIG_HDR_SIZE,
				    sizeof(struct vhost_user_config), FDS(0), P(CONFIG) },
	[VHOST_USER_GET_INFLIGHT_FD] = { on_get_inflight_fd, VHOST_USER_INFLIGHT_SIZE,
					 sizeof(struct vhost_user_inflight), FDS(0),
					 P(INFLIGHT_SHMFD) },
	[VHOST_USER_SET_INFLIGHT_FD] = { on_set_inflight_fd, VHOST_USER_INFLIGHT_SIZE,
					 sizeof(struct vhost_user_inflight), FDS(1),
					 P(INFLIGHT_SHMFD) },
	[VHOST_USER_RESET_DEVICE] = { on_reset_device, NONE, FDS(0), P(RESET_DEVICE) },
	[VHOST_USER_GET_MAX_MEM_SLOTS] = { on_get_max_mem_slots, NONE, FDS(0),
					   P(CONFIGURE_MEM_SLOTS) },
	[VHOST_USER_ADD_MEM_REG] = { on_add_mem_reg, SIZE(struct vhost_user_single_region), FDS(1),
				     P(CONFIGURE_MEM_SLOTS) },
	[VHOST_USER_REM_MEM_REG] = { on_rem_mem_reg, SIZE(struct vhost_user_single_region), 0, 1,
				     P(CONFIGURE_MEM_SLOTS) },
	[VHOST_USER_SET_STATUS] = { on_set_status, U64, FDS(0), P(STATUS) },
	[VHOST_USER_GET_STATUS] = { on_get_status, NONE, FDS(0), P(STATUS) },
	[VHOST_USER_GET_SHARED_OBJECT] = { on_get_shared_object, SIZE(struct vhost_user_uuid),
					   FDS(0), P(SHARED_OBJECT) },
	[VHOST_USER_SET_DEVICE_STATE_FD] = { on_set_device_state_fd,
					     SIZE(struct vhost_user_transfer), FDS(1),
					     P(DEVICE_STATE) },
	[VHOST_USER_CHECK_DEVICE_STATE] = { on_check_device_state, NONE, FDS(0), P(DEVICE_STATE) },
	[VHOST_USER_GET_SHMEM_CONFIG] = { on_get_shmem_config, NONE, FDS(0), P(SHMEM) },
};

/* ---- answers ---- */

int msg_reply(struct be *b, const void *payload, uint32_t size, int fd)
{
	struct vhost_user_hdr h = { b->in.h.request, VHOST_USER_VERSION | VHOST_USER_F_REPLY,
				    size };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)payload, size } };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} ctl = { 0 };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = size ? 2 : 1 };

	if (h.request == VHOST_USER_GET_VRING_BASE && defect("reply-no-flag"))
		h.flags &= ~VHOST_USER_F_REPLY;
	if (defect("reply-echoes-flags"))
		h.flags |= b->in.h.flags & VHOST_USER_F_NEED_REPLY;
	if (fd >= 0) {
		struct cmsghdr *cm;

		mh.msg_control = &ctl;
		mh.msg_controllen = sizeof(ctl.room);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	/* Who never reads his answers gets no more, and nothing else, until he is gone. */
	while (sendmsg(b->fd, &mh, MSG_NOSIGNAL) < 0) {
		struct pollfd p = { .fd = b->fd, .events = POLLOUT };

		if (errno == EAGAIN && defect("never-read-kills"))
			defect_die();
		if (errno == EAGAIN && defect("reply-dropped"))
			return BE_REPLIED;
		if (errno != EAGAIN || poll(&p, 1, -1) < 0)
			return BE_CLOSE;
	}
	return BE_REPLIED;
}

int msg_reply_u64(struct be *b, uint64_t v)
{
	return msg_reply(b, &v, sizeof(v), -1);
}

int msg_take_fd(struct be *b)
{
	int fd = b->in.fds[0];

	b->in.nfds--;
	memmove(b->in.fds, b->in.fds + 1, b->in.nfds * sizeof(int));
	return fd;
}

/* ---- one message ---- */

/* What ends a process that believes its peer. */
static void believe(const struct be *b, const struct known_msg *k, const struct be_msg *m)
{
	if (!k || !k->handle) {
		if (defect("unknown-kills") || (m->h.request == 0 && defect("request-zero-kills")))
			defect_die();
		return;
	}
	if ((m->h.size < k->min && defect("short-kills")) ||
	    (m->h.size > k->max && defect("long-kills")) ||
	    (m->nfds < k->min_fds && defect("missing-fd-kills")) ||
	    (k->gate >= 0 && !(b->protocol >> k->gate & 1) && defect("gate-kills")))
		defect_die();
}

static int dispatch(struct be *b, struct be_msg *m)
{
	const struct known_msg *k;

	if (defect("request-8-bits"))
		m->h.request &= 0xff;
	k = m->h.request < ARRAY_SIZE(known) ? &known[m->h.request] : NULL;
	believe(b, k, m);
	if (!k || !k->handle)
		return BE_REFUSE;
	if (m->h.request == VHOST_USER_GET_CONFIG && m->h.size > k->max &&
	    defect("config-long-silent"))
		return BE_REPLIED;
	if (m->h.size < k->min || m->h.size > k->max || m->nfds < k->min_fds ||
	    m->nfds > k->max_fds)
		return BE_REFUSE;
	if (k->gate >= 0 && !(b->protocol >> k->gate & 1))
		return BE_REFUSE;
	return k->handle(b, m);
}

static bool wants_ack(const struct be *b, const struct be_msg *m)
{
	return ((m->h.flags & VHOST_USER_F_NEED_REPLY) || defect("ack-unasked")) &&
	       ((b->protocol & PF(REPLY_ACK)) || defect("ack-unnegotiated"));
}

/* More has come already. */
static bool pipelined(const struct be *b)
{
	struct pollfd p = { .fd = b->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

static int ack_success(struct be *b, const struct be_msg *m)
{
	bool refuse = defect("ack-nofd-refused") && m->h.request == VHOST_USER_SET_VRING_CALL &&
		      (m->p.u64 & VHOST_USER_VRING_NOFD);

	return msg_reply_u64(b, refuse);
}

/* An acknowledgement that was owed, behind the answer to something else. */
static int ack_owed(struct be *b, struct be_msg *m, uint32_t owed)
{
	uint32_t request = m->h.request;
	int ret;

	m->h.request = owed;
	ret = msg_reply_u64(b, 0);
	m->h.request = request;
	return ret;
}

static void message(struct be *b)
{
	static uint32_t owed; /* "ack-late": a request that was not acknowledged yet */
	struct be_msg *m = &b->in;
	bool ack = wants_ack(b, m);
	int ret = dispatch(b, m);

	if (!be_has(b, VHOST_USER_F_PROTOCOL_FEATURES) && defect("protocol-needs-bit-30"))
		ack = false;
	if (ret == BE_OK && ack && defect("ack-late") && !owed && pipelined(b)) {
		owed = m->h.request;
	} else if (ret == BE_OK && ack) {
		ret = ack_success(b, m);
	} else if (ret == BE_REPLIED && owed) {
		ret = ack_owed(b, m, owed);
		owed = 0;
	} else if (ret == BE_REPLIED && ack && defect("ack-twice")) {
		ret = msg_reply_u64(b, 0);
	} else if (ret == BE_REFUSE) {
		ret = ack ? msg_reply_u64(b, !defect("ack-always-zero")) : BE_CLOSE;
	}
	if (ret == BE_CLOSE) {
		be_session_end(b);
		return;
	}
	if (defect("fds-not-closed"))
		m->nfds = 0;
	while (m->nfds)
		close(m->fds[--m->nfds]);
	m->got = 0;
	while (defect("pipelined-lost") &&
	       recv(b->fd, b->bounce, sizeof(b->bounce), MSG_DONTWAIT) > 0)
		;
}

/* ---- bytes ---- */

static bool take_fds(struct be_msg *m, struct msghdr *mh)
{
	struct cmsghdr *cm;
	bool ok = !(mh->msg_flags & MSG_CTRUNC);

	for (cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
			if (m->nfds < VHOST_USER_MAX_FDS) {
				m->fds[m->nfds++] = fd;
			} else {
				if (!defect("fds-not-closed"))
					close(fd);
				ok = false;
			}
		}
	}
	return ok;
}

/* Up to @len bytes to @to. 1: some came, 0: none now, -1: the end. */
static int receive(struct be *b, void *to, size_t len)
{
	struct be_msg *m = &b->in;
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_FDS)];
	} ctl;
	struct iovec iov = { to, len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &ctl,
		.msg_controllen = sizeof(ctl.room),
	};
	ssize_t n = recvmsg(b->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	/* Descriptors come with the first byte of a message and at no other time. */
	if (!take_fds(m, &mh) || (m->nfds && m->got && mh.msg_controllen) || n == 0)
		return -1;
	m->got += (size_t)n;
	return 1;
}

static bool header_ok(const struct vhost_user_hdr *h)
{
	bool version = (h->flags & VHOST_USER_VERSION_MASK) == VHOST_USER_VERSION;

	if (((h->flags & ~VHOST_USER_FLAGS_DEFINED) && defect("reserved-kills")) ||
	    ((h->flags & VHOST_USER_F_REPLY) && defect("reply-flag-kills")) ||
	    (h->size > sizeof(union vhost_user_payload) && defect("huge-size-kills")))
		defect_die();
	return (version || defect("version-ignored")) && !(h->flags & VHOST_USER_F_REPLY) &&
	       !(h->flags & ~VHOST_USER_FLAGS_DEFINED) &&
	       h->size <= sizeof(union vhost_user_payload);
}

void msg_readable(struct be *b)
{
	struct be_msg *m = &b->in;
	size_t head = sizeof(m->h);
	int ret;

	if (m->got == 0)
		memset(&m->p, 0, sizeof(m->p));
	else if (m->got < head && defect("pieces-lose-fds"))
		while (m->nfds)
			close(m->fds[--m->nfds]);
	if (m->got >= head && m->h.size > sizeof(m->p) && defect("huge-size-waits")) {
		if (recv(b->fd, b->bounce, sizeof(b->bounce), MSG_DONTWAIT) == 0)
			be_session_end(b);
		return;
	}
	if (m->got < head)
		ret = receive(b, (uint8_t *)&m->h + m->got, head - m->got);
	else
		ret = receive(b, m->p.bytes + (m->got - head), head + m->h.size - m->got);
	if (ret < 0 && ((m->got && defect("truncated-kills")) ||
			(!m->got && !m->h.request && defect("silent-kills"))))
		defect_die();
	if (ret > 0 && defect("pieces-end") && m->got != head && m->got < head + m->h.size)
		ret = -1;
	if (ret > 0 && m->got >= head && m->h.size > sizeof(m->p) && defect("huge-size-waits"))
		return;
	if (ret < 0 || (m->got >= head && !header_ok(&m->h))) {
		be_session_end(b);
		return;
	}
	if (m->got >= head && m->got == head + m->h.size)
		message(b);
}
