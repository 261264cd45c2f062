/* SPDX-License-Identifier: MIT */
/* vuctl check: descriptors too many, missing, or of a kind that nobody expects. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"

#define COMM "vhost-user: Communication"

/* A descriptor with messages that have none: it must not stay open for ever. */
static void stray(struct check *c)
{
	static const uint8_t zero[64];
	static const struct {
		uint32_t request, size;
	} table[] = {
		{ VHOST_USER_GET_FEATURES, 0 },
		{ VHOST_USER_SET_FEATURES, 8 },
		{ VHOST_USER_SET_OWNER, 0 },
		{ VHOST_USER_SET_VRING_NUM, 8 },
		{ VHOST_USER_SET_VRING_ADDR, 40 },
		{ VHOST_USER_SET_VRING_BASE, 8 },
		{ VHOST_USER_GET_VRING_BASE, 8 },
		{ VHOST_USER_GET_PROTOCOL_FEATURES, 0 },
		{ VHOST_USER_SET_VRING_ENABLE, 8 },
		{ VHOST_USER_GET_QUEUE_NUM, 0 },
		{ VHOST_USER_GET_CONFIG, VHOST_USER_CONFIG_HDR_SIZE + 8 },
		{ VHOST_USER_RESET_OWNER, 0 },
		{ 200, 0 },
	};
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < 2 * ARRAY_SIZE(table); i++) {
		struct raw_msg m = { .request = table[i / 2].request,
				     .payload = zero,
				     .size = table[i / 2].size };
		int fds[RAW_MAX_FDS];
		struct raw_probe p;

		raw_conn(&h);
		raw_probe_open(c, &p);
		for (size_t k = 0; k < ARRAY_SIZE(fds); k++)
			fds[k] = p.give;
		m.fds = fds;
		m.nfds = i % 2 ? 8 : 1;
		(void)raw_msg(c, h.v, &m);
		raw_probe_given(&p);
		raw_conn_close(&h);
		if (!raw_probe_gone(c, &p))
			check_fail(c, "descriptors that belong to nothing are closed",
				   "one of request %u is still open after its connection",
				   m.request);
	}
	check_alive(c);
}

/* Also where some belong: replaced, or left over, they go with the connection. */
static void closed_in_the_end(struct check *c)
{
	static const uint32_t bells[] = { VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					  VHOST_USER_SET_VRING_ERR, VHOST_USER_SET_BACKEND_REQ_FD,
					  VHOST_USER_SET_LOG_FD };
	static const uint64_t zero;
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < ARRAY_SIZE(bells); i++) {
		struct raw_probe p;
		struct raw_msg m = { .request = bells[i],
				     .payload = &zero,
				     .size = bells[i] <= VHOST_USER_SET_VRING_ERR &&
							     bells[i] != VHOST_USER_SET_LOG_FD ?
						     sizeof(zero) :
						     0,
				     .fds = &p.give,
				     .nfds = 1 };

		if (bells[i] == VHOST_USER_SET_BACKEND_REQ_FD &&
		    !check_offers_protocol(c, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
			continue;
		raw_conn(&h);
		raw_probe_open(c, &p);
		/* More than once: each replaces the one before. */
		for (unsigned int k = 0; k < 4; k++)
			(void)raw_msg(c, h.v, &m);
		raw_probe_given(&p);
		raw_conn_close(&h);
		if (!raw_probe_gone(c, &p))
			check_fail(c, "descriptors are closed with the connection at the latest",
				   "one of request %u is still open", bells[i]);
	}
	check_alive(c);
}

/* No descriptor where one belongs, and nothing in the payload that says so. */
static void missing(struct check *c)
{
	static const struct vhost_user_log log = { 4096, 0 };
	static const struct vhost_user_inflight inflight = { 65536, 0, 1, 128, 0 };
	static const struct vhost_user_transfer transfer = { 0, 0 };
	static const struct vhost_user_single_region region = { .region = { 0, 4096, 4096, 0 } };
	static const uint64_t zero;
	static const struct raw_msg table[] = {
		{ .request = VHOST_USER_SET_VRING_KICK, .payload = &zero, .size = 8 },
		{ .request = VHOST_USER_SET_VRING_CALL, .payload = &zero, .size = 8 },
		{ .request = VHOST_USER_SET_VRING_ERR, .payload = &zero, .size = 8 },
		{ .request = VHOST_USER_SET_LOG_BASE, .payload = &log, .size = sizeof(log) },
		{ .request = VHOST_USER_SET_LOG_FD },
		{ .request = VHOST_USER_SET_BACKEND_REQ_FD },
		{ .request = VHOST_USER_SET_INFLIGHT_FD,
		  .payload = &inflight,
		  .size = VHOST_USER_INFLIGHT_SIZE },
		{ .request = VHOST_USER_GPU_SET_SOCKET },
		{ .request = VHOST_USER_ADD_MEM_REG, .payload = &region, .size = sizeof(region) },
		{ .request = VHOST_USER_SET_DEVICE_STATE_FD,
		  .payload = &transfer,
		  .size = sizeof(transfer) },
	};
	struct raw_conn h = RAW_CONN(c);

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		raw_throw(&h, &table[i]);
	raw_conn_close(&h);
	check_alive(c);
}

/* ---- kinds ---- */

enum odd {
	ODD_NULL,
	ODD_ZERO,
	ODD_DIR,
	ODD_FILE,
	ODD_READ_ONLY,
	ODD_PIPE_IN,
	ODD_PIPE_OUT,
	ODD_PIPE_BROKEN,
	ODD_SOCKET,
	ODD_MEM,
	ODD_KINDS,
};

static const char *const odd_names[ODD_KINDS] = {
	[ODD_NULL] = "/dev/null",
	[ODD_ZERO] = "/dev/zero",
	[ODD_DIR] = "a folder",
	[ODD_FILE] = "a file",
	[ODD_READ_ONLY] = "a read-only file",
	[ODD_PIPE_IN] = "a pipe's end to read",
	[ODD_PIPE_OUT] = "a pipe's end to write",
	[ODD_PIPE_BROKEN] = "a pipe that nobody reads",
	[ODD_SOCKET] = "a socket",
	[ODD_MEM] = "/proc/self/mem",
};

/* One of a kind, and what must stay open besides; the caller closes both. */
static int odd_open(enum odd kind, int *other)
{
	int fds[2] = { -1, -1 };

	*other = -1;
	switch (kind) {
	case ODD_NULL:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case ODD_ZERO:
		return open("/dev/zero", O_RDWR | O_CLOEXEC);
	case ODD_DIR:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case ODD_FILE:
		return open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	case ODD_READ_ONLY:
		return open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	case ODD_MEM:
		return open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	case ODD_SOCKET:
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
			return -1;
		*other = fds[1];
		return fds[0];
	default:
		if (pipe2(fds, O_CLOEXEC) < 0)
			return -1;
		*other = fds[kind == ODD_PIPE_IN];
		if (kind == ODD_PIPE_BROKEN) {
			close(*other);
			*other = -1;
		}
		return fds[kind != ODD_PIPE_IN];
	}
}

/* A ring with one of its descriptors of a kind, in place of the truth; then some work for it. */
static void odd_ring(struct check *c, uint32_t request, enum odd kind)
{
	static const struct check_dev_args a = { .no_start = true, .protocol_off = RAW_PF(STATUS) };
	struct check_dev *d = check_dev(c, &a);
	struct fe_queue *q = &d->q[0];
	int other, fd, ret;
	struct err e;

	check_start(c, d, 0);
	if (check_facts(c)->is_blk)
		raw_submit(c, d, 8);
	fd = odd_open(kind, &other);
	ret = fd < 0 ? 0 : raw_u64(d->v, request, 0, fd, &e);
	if (ret == 0) {
		fe_queue_kick(q);
		if (check_facts(c)->is_blk && !drv_broken(q->ring))
			raw_submit(c, d, 8);
		fe_queue_kick(q);
		ret = vuc_get_features(d->v, &(uint64_t){ 0 }, &e);
	}
	/* A ring that polls or reads it must still come to rest. */
	if (ret == 0)
		ret = vuc_get_vring_base(d->v, 0, check_packed(c), &(struct vq_base){ 0 }, &e);
	if (fd >= 0)
		close(fd);
	if (other >= 0)
		close(other);
	check_note(c, "request %u with %s", request, odd_names[kind]);
	raw_said(c, ret, &e);
	check_dev_close(c, d);
}

static void odd_kick(struct check *c)
{
	for (unsigned int k = 0; k < ODD_KINDS; k++)
		odd_ring(c, VHOST_USER_SET_VRING_KICK, k);
	check_alive(c);
}

static void odd_call(struct check *c)
{
	for (unsigned int k = 0; k < ODD_KINDS; k++)
		odd_ring(c, VHOST_USER_SET_VRING_CALL, k);
	check_alive(c);
}

static void odd_err(struct check *c)
{
	for (unsigned int k = 0; k < ODD_KINDS; k++)
		odd_ring(c, VHOST_USER_SET_VRING_ERR, k);
	check_alive(c);
}

static void odd_memory(struct check *c)
{
	for (unsigned int k = 0; k < ODD_KINDS; k++) {
		static const struct check_dev_args a = { .no_start = true };
		const struct vhost_user_mem_table t = {
			.nregions = 1,
			.regions[0] = { 0, 1 << 20, (uint64_t)1 << 45, 0 },
		};
		struct check_dev *d = check_dev(c, &a);
		int other, fd = odd_open(k, &other), ret;
		struct vuc_msg m = { .request = VHOST_USER_SET_MEM_TABLE,
				     .payload = &t,
				     .size = offsetof(struct vhost_user_mem_table, regions) +
					     sizeof(t.regions[0]),
				     .fds = &fd,
				     .nfds = 1 };
		struct err e;

		ret = fd < 0 ? 0 : vuc_call(d->v, &m, &e);
		if (fd >= 0)
			close(fd);
		if (other >= 0)
			close(other);
		check_note(c, "memory from %s", odd_names[k]);
		raw_said(c, ret, &e);
		check_dev_close(c, d);
	}
	check_alive(c);
}

static void odd_backend_req(struct check *c)
{
	struct raw_conn h = RAW_CONN(c);

	for (unsigned int k = 0; k < ODD_KINDS; k++) {
		int other, fd = odd_open(k, &other);
		struct raw_msg m = { .request = VHOST_USER_SET_BACKEND_REQ_FD,
				     .flags = VHOST_USER_VERSION,
				     .fds = &fd,
				     .nfds = 1 };

		raw_conn(&h);
		if (fd >= 0)
			(void)raw_msg(c, h.v, &m);
		if (fd >= 0)
			close(fd);
		if (other >= 0)
			close(other);
		(void)check_closed(c, h.v, 0);
		raw_conn_close(&h);
	}
	check_alive(c);
}

const struct check_case check_bad_fds_cases[] = {
	{ "bad-message.stray-fds", COMM,
	  "descriptors with messages that have none are closed with the connection at the latest",
	  CHECK_MUST, 0, false, stray },
	{ "bad-message.fds-closed", COMM, "descriptors are closed with the connection", CHECK_MUST,
	  0, false, closed_in_the_end },
	{ "bad-message.missing-fds", COMM, "messages that lack their descriptor do no harm",
	  CHECK_MUST, 0, false, missing },
	{ "bad-message.odd-kick", "vhost-user: VHOST_USER_SET_VRING_KICK",
	  "a kick descriptor of any kind does no harm", CHECK_MUST, 0, false, odd_kick },
	{ "bad-message.odd-call", "vhost-user: VHOST_USER_SET_VRING_CALL",
	  "a call descriptor of any kind does no harm", CHECK_MUST, 0, false, odd_call },
	{ "bad-message.odd-err", "vhost-user: VHOST_USER_SET_VRING_ERR",
	  "an error descriptor of any kind does no harm", CHECK_MUST, 0, false, odd_err },
	{ "bad-message.odd-memory", "vhost-user: VHOST_USER_SET_MEM_TABLE",
	  "memory of any kind of file does no harm", CHECK_MUST, 0, false, odd_memory },
	{ "bad-message.odd-backend-req", "vhost-user: VHOST_USER_SET_BACKEND_REQ_FD",
	  "a back-channel that is no socket does no harm", CHECK_MUST, NEED_BACKEND_REQ, false,
	  odd_backend_req },
	{ 0 },
};
