/* SPDX-License-Identifier: MIT */
/* vuctl check: messages as bytes, and what a back-end's process holds. */
#include "check/raw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check/check-impl.h"
#include "util/compiler.h"
#include "util/loop.h"
#include "wire/virtio-blk.h"

#define PAYLOAD_MAX 65536u /* of an answer: those that are defined have a few hundred bytes */

static uint64_t deadline(const struct check *c)
{
	return clock_ns() + (uint64_t)check_timeout_ms(c) * 1000000;
}

/* Wait until @events or @end. False: the time is over. */
static bool await(int fd, short events, uint64_t end)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = clock_ns();

		if (now >= end)
			return false;
		if (poll(&p, 1, (int)MIN((end - now) / 1000000 + 1, (uint64_t)1000)) > 0)
			return true;
	}
}

const char *raw_describe(char *buf, size_t len, const struct raw_msg *m)
{
	snprintf(buf, len, "request %u (0x%x), flags 0x%x, %u bytes of payload%s, %u descriptors",
		 m->request, m->request, m->flags ? m->flags : VHOST_USER_VERSION,
		 m->lie ? m->header_size : m->size, m->lie ? " announced" : "", m->nfds);
	return buf;
}

/* What goes past vuc_call() is in the trace, too. */
static void trace(struct check *c, struct vuc *v, const char *line)
{
	for (struct check_conn *n = c->conns; n; n = n->next)
		if (n->v == v)
			check_trace_line(n, line);
}

/* ---- sending ---- */

static ssize_t send_some(int fd, const void *buf, size_t len, const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * RAW_MAX_FDS)];
	} ctl;
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

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
	return sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int raw_send(struct check *c, struct vuc *v, const void *buf, size_t len, const int *fds,
	     unsigned int nfds)
{
	uint64_t end = deadline(c);
	size_t done = 0;

	while (done < len) {
		ssize_t n = send_some(vuc_fd(v), (const uint8_t *)buf + done, len - done, fds,
				      done ? 0 : nfds);

		if (n > 0)
			done += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR && errno != ETOOMANYREFS)
			return -errno;
		else if (!await(vuc_fd(v), POLLOUT, end))
			check_fail(c, "the back-end reads what is sent",
				   "it takes nothing any more");
		else if (n < 0 && errno == ETOOMANYREFS)
			poll(NULL, 0, 1); /* until others of ours have arrived */
	}
	return 0;
}

int raw_msg(struct check *c, struct vuc *v, const struct raw_msg *m)
{
	struct {
		struct vhost_user_hdr h;
		uint8_t payload[4096];
	} b = { .h = { .request = m->request, .flags = m->flags } };
	char line[160];

	if (!m->flags) {
		b.h.flags = VHOST_USER_VERSION;
		if (vuc_protocol_features(v) & RAW_PF(REPLY_ACK))
			b.h.flags |= VHOST_USER_F_NEED_REPLY;
	}
	b.h.size = m->lie ? m->header_size : m->size;
	if (m->size)
		memcpy(b.payload, m->payload, MIN(m->size, (uint32_t)sizeof(b.payload)));
	strcpy(line, "> ");
	raw_describe(line + 2, sizeof(line) - 2, m);
	trace(c, v, line);
	return raw_send(c, v, &b, sizeof(b.h) + m->size, m->fds, m->nfds);
}

/* ---- receiving ---- */

static void close_received(struct msghdr *mh)
{
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
			close(fd);
		}
	}
}

/* Return: 1, or 0 at the end of the stream. */
static int recv_exactly(struct check *c, struct vuc *v, void *buf, size_t len, uint64_t end)
{
	size_t done = 0;

	while (done < len) {
		union {
			struct cmsghdr align;
			char room[CMSG_SPACE(sizeof(int) * RAW_MAX_FDS)];
		} ctl;
		struct iovec iov = { (uint8_t *)buf + done, len - done };
		struct msghdr mh = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &ctl,
			.msg_controllen = sizeof(ctl),
		};
		ssize_t n = recvmsg(vuc_fd(v), &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n > 0) {
			close_received(&mh);
			done += (size_t)n;
			/* A stream that never stops is no answer either. */
			if (done < len && clock_ns() >= end)
				check_fail(c, "an answer, or the end of the connection",
					   "a part of one within %d ms", check_timeout_ms(c));
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			return 0;
		} else if (!await(vuc_fd(v), POLLIN, end)) {
			check_fail(c, "an answer, or the end of the connection",
				   "neither within %d ms", check_timeout_ms(c));
		}
	}
	return 1;
}

int raw_recv(struct check *c, struct vuc *v, struct vhost_user_hdr *h, void *payload, uint32_t max)
{
	uint64_t end = deadline(c);
	uint8_t rest[512];
	char line[160];
	uint32_t left;

	if (!recv_exactly(c, v, h, sizeof(*h), end))
		return 0;
	snprintf(line, sizeof(line), "< request %u, flags 0x%x, %u bytes of payload", h->request,
		 h->flags, h->size);
	trace(c, v, line);
	if ((h->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    !(h->flags & VHOST_USER_F_REPLY))
		check_fail(c, "an answer with version 1 and the reply flag",
			   "request %u, flags 0x%x, size %u", h->request, h->flags, h->size);
	if (h->size > PAYLOAD_MAX)
		check_fail(c, "an answer of at most 64 KiB", "request %u, size %u", h->request,
			   h->size);
	left = h->size;
	if (MIN(left, max) && !recv_exactly(c, v, payload, MIN(left, max), end))
		return 0;
	for (left -= MIN(left, max); left;) {
		uint32_t n = MIN(left, (uint32_t)sizeof(rest));

		if (!recv_exactly(c, v, rest, n, end))
			return 0;
		left -= n;
	}
	return 1;
}

static const struct raw_msg sync_msg = {
	.request = VHOST_USER_GET_FEATURES,
	.flags = VHOST_USER_VERSION,
};

void raw_sync(struct check *c, struct vuc *v)
{
	struct vhost_user_hdr h = { 0 };
	uint64_t f;

	if (raw_msg(c, v, &sync_msg) < 0 || raw_recv(c, v, &h, &f, sizeof(f)) == 0)
		check_fail(c, "the answer to GET_FEATURES", "the connection was closed");
	if (h.request != VHOST_USER_GET_FEATURES || h.size != sizeof(f))
		check_fail(c, "the answer to GET_FEATURES and nothing before it",
			   "an answer to request %u, flags 0x%x, size %u", h.request, h.flags,
			   h.size);
}

enum raw_fate raw_try(struct check *c, struct vuc *v, const struct raw_msg *m)
{
	enum raw_fate fate = RAW_SILENT;
	bool again = m->request == VHOST_USER_GET_FEATURES; /* the answers look the same */
	char line[160];

	if (raw_msg(c, v, m) < 0 || raw_msg(c, v, &sync_msg) < 0)
		return RAW_CLOSED;
	for (;;) {
		struct vhost_user_hdr h;
		uint64_t u = 0;

		if (!raw_recv(c, v, &h, &u, sizeof(u)))
			return RAW_CLOSED;
		if (h.request == VHOST_USER_GET_FEATURES && !again)
			return fate;
		if (h.request != m->request || fate != RAW_SILENT)
			check_fail(c,
				   fate == RAW_SILENT ? "an answer to what was sent" : "one answer",
				   "an answer to request %u, size %u, after %s", h.request, h.size,
				   raw_describe(line, sizeof(line), m));
		again = false;
		fate = h.size != sizeof(u) ? RAW_ANSWER : u ? RAW_NACK : RAW_ACK;
	}
}

/* ---- connections ---- */

struct vuc *raw_conn(struct raw_conn *h)
{
	if (!h->v) {
		h->v = check_connect(h->c);
		check_negotiate(h->c, h->v, h->virtio, h->protocol);
	}
	return h->v;
}

void raw_conn_close(struct raw_conn *h)
{
	if (h->v)
		check_disconnect(h->c, h->v);
	h->v = NULL;
}

enum raw_fate raw_throw(struct raw_conn *h, const struct raw_msg *m)
{
	enum raw_fate f = raw_try(h->c, raw_conn(h), m);

	if (f == RAW_CLOSED) {
		h->closes++;
		raw_conn_close(h);
	}
	return f;
}

int raw_said(struct check *c, int ret, const struct err *e)
{
	if (ret == -ETIMEDOUT)
		check_fail(c, "an answer, or the end of the connection", "%s", e->what);
	return ret < 0;
}

int raw_state(struct vuc *v, uint32_t request, uint32_t index, uint32_t num, struct err *e)
{
	struct vhost_user_vring_state s = { .index = index, .num = num };
	struct vuc_msg m = { .request = request, .payload = &s, .size = sizeof(s) };

	return vuc_call(v, &m, e);
}

int raw_u64(struct vuc *v, uint32_t request, uint64_t value, int fd, struct err *e)
{
	struct vuc_msg m = {
		.request = request,
		.payload = &value,
		.size = sizeof(value),
		.fds = &fd,
		.nfds = fd >= 0,
	};

	return vuc_call(v, &m, e);
}

/* ---- probes ---- */

void raw_probe_open(struct check *c, struct raw_probe *p)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		check_skip(c, "cannot make a pipe: %s", strerror(errno));
	p->watch = fds[0];
	p->give = fds[1];
}

void raw_probe_given(struct raw_probe *p)
{
	close(p->give);
	p->give = -1;
}

bool raw_probe_gone(struct check *c, struct raw_probe *p)
{
	uint64_t end = deadline(c);
	bool gone = false;
	char junk[64];

	if (p->give >= 0)
		raw_probe_given(p);
	while (!gone && await(p->watch, POLLIN, end))
		gone = read(p->watch, junk, sizeof(junk)) == 0;
	close(p->watch);
	return gone;
}

int raw_connect(const struct check *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", c->o->socket);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- the back-end's process ---- */

static int count_fds(pid_t pid)
{
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	for (struct dirent *de; (de = readdir(dir));)
		n += de->d_name[0] != '.';
	closedir(dir);
	return n;
}

static int count_maps(pid_t pid)
{
	char path[64];
	FILE *f;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	for (int ch; (ch = getc(f)) != EOF;)
		n += ch == '\n';
	fclose(f);
	return n;
}

struct raw_usage raw_usage(struct check *c, struct vuc *v)
{
	struct ucred u = { 0 };
	socklen_t len = sizeof(u);
	struct raw_usage r;

	if (getsockopt(vuc_fd(v), SOL_SOCKET, SO_PEERCRED, &u, &len) < 0 || u.pid <= 0)
		check_skip(c, "the process behind the socket is not known");
	r = (struct raw_usage){ .pid = u.pid, .fds = count_fds(u.pid), .maps = count_maps(u.pid) };
	if (r.fds < 0 || r.maps < 0)
		check_skip(c, "what process %d holds cannot be counted by this user", (int)u.pid);
	return r;
}

void raw_usage_settles(struct check *c, struct raw_usage before, int slack, const char *after)
{
	uint64_t end = deadline(c);

	for (;;) {
		int fds = count_fds(before.pid), maps = count_maps(before.pid);

		if (fds <= before.fds + slack && maps <= before.maps + slack)
			return;
		if (clock_ns() >= end)
			check_fail(c, "the back-end holds no more than before",
				   "after %s it has %d descriptors, before %d, and %d mappings, "
				   "before %d",
				   after, fds, before.fds, maps, before.maps);
		poll(NULL, 0, 5);
	}
}

/* ---- disks ---- */

uint32_t raw_block(struct check *c)
{
	return MAX(check_facts(c)->block_size, (uint32_t)VIRTIO_BLK_SECTOR_SIZE);
}

/* Where in d->buf: the upper half is ours, whatever check_blk() itself uses. */
#define OFF_HDR    (512u << 10)
#define OFF_STATUS (OFF_HDR + 4096)
#define OFF_DATA   (OFF_HDR + 8192)

void raw_read_into(struct check *c, struct check_dev *d, uint64_t gpa, uint8_t *host)
{
	struct virtio_blk_req_hdr hdr = { .type = htole32(VIRTIO_BLK_T_IN) };
	uint32_t n = raw_block(c), used;
	const struct drv_seg segs[] = {
		{ d->buf_gpa + OFF_HDR, sizeof(hdr), 0 },
		{ gpa, n, 1 },
		{ d->buf_gpa + OFF_STATUS, 1, 1 },
	};
	uint8_t st;

	/* Different on both sides: what is not written shows. */
	memset(d->buf + OFF_DATA, 0x5a, n);
	memset(host, 0xa5, n);
	st = check_blk(c, d, 0, VIRTIO_BLK_T_IN, 0, OFF_DATA, n);
	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "the first block can be read", "status %u", st);
	memcpy(d->buf + OFF_HDR, &hdr, sizeof(hdr));
	d->buf[OFF_STATUS] = 0xff;
	st = check_blk_chain(c, d, 0, segs, ARRAY_SIZE(segs), false, OFF_STATUS, &used);
	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "the first block can be read into every part of guest memory",
			   "status %u for guest address 0x%llx", st, (unsigned long long)gpa);
	if (memcmp(host, d->buf + OFF_DATA, n) != 0)
		check_fail(c, "what was read is at the guest address it was read to",
			   "other bytes at guest address 0x%llx", (unsigned long long)gpa);
}

/* Where read @i has its header, its status and its data. */
static uint32_t read_at(unsigned int i)
{
	return (128u << 10) + i * 8192;
}

void raw_submit(struct check *c, struct check_dev *d, unsigned int n)
{
	const struct virtio_blk_req_hdr hdr = { .type = htole32(VIRTIO_BLK_T_IN) };
	struct fe_queue *q = &d->q[0];

	for (unsigned int i = 0; i < n; i++) {
		uint32_t at = read_at(i);
		const struct drv_seg segs[] = {
			{ d->buf_gpa + at, sizeof(hdr), 0 },
			{ d->buf_gpa + at + 4096, MIN(raw_block(c), 4096u), 1 },
			{ d->buf_gpa + at + 64, 1, 1 },
		};

		memcpy(d->buf + at, &hdr, sizeof(hdr));
		d->buf[at + 64] = 0xff;
		if (drv_add(q->ring, segs, ARRAY_SIZE(segs), false, d->buf + at) < 0)
			check_fail(c, "the ring has room for a request", "%s",
				   drv_broken(q->ring) ? drv_broken(q->ring) : "it is full");
	}
	fe_queue_publish(q);
}

void raw_collect(struct check *c, struct check_dev *d, unsigned int n)
{
	uint64_t end = deadline(c);
	struct fe_queue *q = &d->q[0];

	for (unsigned int done = 0; done < n;) {
		uint64_t now = clock_ns();
		struct drv_used u;

		while (drv_get(q->ring, &u, 1) == 1) {
			const uint8_t *at = u.cookie;

			done++;
			if (at[64] != VIRTIO_BLK_S_OK)
				check_fail(c, "the first block can be read", "status %u", at[64]);
		}
		if (done < n && now >= end)
			check_fail(c, "all requests come back", "%u of %u within %d ms%s%s", done,
				   n, check_timeout_ms(c), drv_broken(q->ring) ? ": " : "",
				   drv_broken(q->ring) ? drv_broken(q->ring) : "");
		if (done < n)
			fe_queue_wait(q, 1, (int)((end - now) / 1000000) + 1);
	}
	drv_call_off(q->ring);
}

void raw_reattach(struct check *c, struct check_dev *d)
{
	uint64_t protocol = d->v ? vuc_protocol_features(d->v) : UINT64_MAX;

	if (d->v)
		check_disconnect(c, d->v);
	d->v = check_connect(c);
	check_negotiate(c, d->v, d->virtio, protocol & ~RAW_PF(STATUS));
}
