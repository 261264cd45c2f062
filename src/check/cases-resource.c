/* SPDX-License-Identifier: MIT */
/* vuctl check: exhaustion. What a front-end repeats must not add up in the back-end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"
#include "util/loop.h"

#define COMM "vhost-user: Communication"

/* Rounds of what is repeated; what grows by one each time is far beyond the slack. */
#define ROUNDS 500
#define SLACK  40

static const struct check_dev_args stopped = { .no_start = true, .protocol_off = RAW_PF(STATUS) };

/* ---- the same again and again ---- */

/* One round of something, over a device that is set up. */
typedef int round_fn(struct check *c, struct check_dev *d, unsigned int i, struct err *e);

static void repeat(struct check *c, bool start, round_fn *fn, const char *what)
{
	struct check_dev *d = check_dev(c, start ? NULL : &stopped);
	struct raw_usage before;
	struct err e = { .code = 0 };
	char words[64];

	/* Once before we count: what is made at the first time may stay. */
	for (unsigned int i = 0; i < ROUNDS + 8; i++) {
		int ret;

		if (i == 8)
			before = raw_usage(c, d->v);
		ret = fn(c, d, i, &e);
		if (ret < 0)
			check_fail(c, "the message is taken every time", "round %u: %s", i, e.what);
	}
	raw_sync(c, d->v);
	snprintf(words, sizeof(words), "%u times %s", ROUNDS, what);
	raw_usage_settles(c, before, SLACK, words);
	check_alive(c);
}

static int round_mem_table(struct check *c, struct check_dev *d, unsigned int i, struct err *e)
{
	(void)c;
	(void)i;
	return vuc_set_mem_table(d->v, d->m, e);
}

static void mem_table(struct check *c)
{
	repeat(c, false, round_mem_table, "SET_MEM_TABLE");
}

static void mem_table_running(struct check *c)
{
	repeat(c, true, round_mem_table, "SET_MEM_TABLE while a ring runs");
}

static int round_slots(struct check *c, struct check_dev *d, unsigned int i, struct err *e)
{
	struct fe_region r = d->m->r[0];
	int ret;

	(void)c;
	(void)i;
	r.gpa += (uint64_t)1 << 32;
	r.uva = (uint64_t)1 << 45;
	ret = vuc_add_mem_reg(d->v, &r, e);
	return ret ? ret : vuc_rem_mem_reg(d->v, &r, e);
}

static void slots(struct check *c)
{
	if (check_facts(c)->mem_slots < 2)
		check_skip(c, "there is one memory slot only");
	repeat(c, false, round_slots, "ADD_MEM_REG and REM_MEM_REG");
}

static int round_vring(struct check *c, struct check_dev *d, unsigned int i, struct err *e)
{
	struct fe_queue *q = &d->q[0];
	int ret = vuc_set_vring_num(d->v, 0, i % 2 ? 64 : 128, e);

	(void)c;
	if (ret == 0)
		ret = raw_state(d->v, VHOST_USER_SET_VRING_BASE, 0, i & 0x7f, e);
	if (ret == 0)
		ret = vuc_set_vring_call(d->v, 0, q->call_fd, e);
	if (ret == 0)
		ret = vuc_set_vring_err(d->v, 0, q->err_fd, e);
	return ret;
}

static void vring(struct check *c)
{
	repeat(c, false, round_vring, "SET_VRING_NUM, _BASE, _CALL and _ERR");
}

static int round_bells(struct check *c, struct check_dev *d, unsigned int i, struct err *e)
{
	struct fe_queue *q = &d->q[0];
	int ret = vuc_set_vring_call(d->v, 0, q->call_fd, e);

	(void)c;
	(void)i;
	if (ret == 0)
		ret = vuc_set_vring_kick(d->v, 0, q->kick_fd, e);
	if (ret == 0)
		ret = vuc_set_vring_err(d->v, 0, q->err_fd, e);
	return ret;
}

static void bells_running(struct check *c)
{
	repeat(c, true, round_bells, "SET_VRING_CALL, _KICK and _ERR of a running ring");
}

static int round_restart(struct check *c, struct check_dev *d, unsigned int i, struct err *e)
{
	(void)i;
	(void)e;
	drv_ring_reset(d->q[0].ring, check_stop(c, d, 0));
	check_start(c, d, 0);
	return 0;
}

static void restart(struct check *c)
{
	repeat(c, true, round_restart, "a ring stopped and started");
}

static int round_backend_req(struct check *c, struct check_dev *d, unsigned int i, struct err *e)
{
	(void)c;
	(void)i;
	return vuc_set_backend_req_fd(d->v, e);
}

static void backend_req(struct check *c)
{
	repeat(c, false, round_backend_req, "SET_BACKEND_REQ_FD");
}

static int round_log(struct check *c, struct check_dev *d, unsigned int i, struct err *e)
{
	(void)c;
	(void)i;
	/* Guest memory itself will do: nothing is logged. 1 MiB is for 32 GiB of it. */
	return vuc_set_log_base(d->v, d->m->r[0].fd, 1 << 20, 0, e);
}

static void log_base(struct check *c)
{
	repeat(c, false, round_log, "SET_LOG_BASE");
}

static int round_inflight(struct check *c, struct check_dev *d, unsigned int i, struct err *e)
{
	struct vuc_inflight f;
	int ret = vuc_get_inflight_fd(d->v, 1, 128, &f, e);

	(void)c;
	(void)i;
	if (ret < 0)
		return ret;
	ret = vuc_set_inflight_fd(d->v, &f, e);
	close(f.fd);
	return ret;
}

static void inflight(struct check *c)
{
	repeat(c, false, round_inflight, "GET_INFLIGHT_FD and SET_INFLIGHT_FD");
}

/* ---- floods ---- */

static void fd_flood(struct check *c)
{
	static const uint32_t ids[] = { VHOST_USER_GET_FEATURES, VHOST_USER_SET_MEM_TABLE,
					VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_OWNER, 200 };
	static const uint8_t zero[40];
	struct raw_conn h = RAW_CONN(c);
	struct raw_usage before = raw_usage(c, raw_conn(&h));
	int fds[RAW_MAX_FDS];
	struct raw_probe p;

	raw_probe_open(c, &p);
	for (size_t k = 0; k < ARRAY_SIZE(fds); k++)
		fds[k] = p.give;
	for (unsigned int i = 0; i < 60; i++) {
		struct raw_msg m = { .request = ids[i % ARRAY_SIZE(ids)],
				     .payload = zero,
				     .fds = fds,
				     .nfds = i % 3 ? RAW_MAX_FDS : 9 };

		m.size = m.request == VHOST_USER_SET_MEM_TABLE  ? 40 :
			 m.request == VHOST_USER_SET_VRING_CALL ? 8 :
								  0;
		raw_conn(&h);
		(void)raw_msg(c, h.v, &m);
		if (check_closed(c, h.v, 0))
			raw_conn_close(&h);
	}
	raw_probe_given(&p);
	raw_conn_close(&h);
	if (!raw_probe_gone(c, &p))
		check_fail(c, "all descriptors are closed with their connections",
			   "some of 253 with a message are still open");
	raw_usage_settles(c, before, SLACK, "messages with 253 descriptors");
	check_alive(c);
}

static void connections(struct check *c)
{
	struct raw_usage before = { 0 };

	for (unsigned int i = 0; i < 200; i++) {
		struct vuc *v = check_connect(c);

		/* Some go at once, some say hello, some are negotiated. */
		if (i % 3 == 1)
			raw_sync(c, v);
		else if (i % 3 == 2)
			check_negotiate(c, v, RAW_VIRTIO, RAW_PROTOCOL);
		if (i == 8)
			before = raw_usage(c, v);
		check_disconnect(c, v);
	}
	raw_usage_settles(c, before, SLACK, "200 connections");
	check_alive(c);
}

static void devices(struct check *c)
{
	struct raw_usage before = { 0 };

	for (unsigned int i = 0; i < 100; i++) {
		struct check_dev *d = check_dev(c, NULL);

		if (i == 8)
			before = raw_usage(c, d->v);
		check_dev_close(c, d);
	}
	raw_usage_settles(c, before, SLACK, "100 connections with a ring");
	check_alive(c);
}

static void silent(struct check *c)
{
	int fds[8];

	/* As many as the back-end has room for: one at a time is enough for some. */
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = raw_connect(c);
	/* The last first: the back-end may be with any of them. */
	for (size_t i = ARRAY_SIZE(fds); i-- > 0;)
		if (fds[i] >= 0)
			close(fds[i]);
	check_alive(c);
}

static void half_message(struct check *c)
{
	const struct vhost_user_hdr h = { VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, 264 };

	for (unsigned int i = 0; i < 8; i++) {
		struct vuc *v = check_connect(c);
		int fd = eventfd(0, EFD_CLOEXEC);

		(void)raw_send(c, v, &h, i < 4 ? sizeof(h) - i : sizeof(h), &fd, fd >= 0);
		if (fd >= 0)
			close(fd);
		(void)check_closed(c, v, 10);
		check_disconnect(c, v);
	}
	check_alive(c);
}

/* ---- a front-end that does not listen ---- */

/* Send GET_FEATURES until there is no room any more. Return: how many are complete. */
static unsigned int stuff(struct vuc *v, unsigned int max)
{
	const struct vhost_user_hdr get = { VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0 };
	const uint8_t *bytes = (const uint8_t *)&get;
	size_t sent = 0;

	while (sent < max * sizeof(get)) {
		struct pollfd p = { .fd = vuc_fd(v), .events = POLLOUT };
		size_t at = sent % sizeof(get);
		ssize_t n = send(vuc_fd(v), bytes + at, sizeof(get) - at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN || poll(&p, 1, 200) == 0)
			break;
	}
	return (unsigned int)(sent / sizeof(get));
}

static void never_reads(struct check *c)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct vuc *v = check_connect(c);

		stuff(v, 100000);
		check_disconnect(c, v);
	}
	check_alive(c);
}

static void reads_late(struct check *c)
{
	struct vuc *v = check_connect(c);
	/* Few enough to be held by sockets of any usual size one way or the other. */
	unsigned int n = stuff(v, 2000);

	for (unsigned int i = 0; i < n; i++) {
		struct vhost_user_hdr h;
		uint64_t u;

		if (!raw_recv(c, v, &h, &u, sizeof(u)))
			check_fail(c, "an answer to each message", "%u of %u", i, n);
		if (h.request != VHOST_USER_GET_FEATURES || h.size != sizeof(u))
			check_fail(c, "an answer to GET_FEATURES", "one to request %u", h.request);
	}
	check_disconnect(c, v);
	check_alive(c);
}

/* ---- bells that are full ---- */

static bool fill(int fd, bool blocking)
{
	const uint64_t most = UINT64_MAX - 1;
	int fl = fcntl(fd, F_GETFL);
	uint64_t old;

	(void)!read(fd, &old, sizeof(old)); /* it is O_NONBLOCK still */
	if (write(fd, &most, sizeof(most)) != sizeof(most))
		return false;
	return fcntl(fd, F_SETFL, blocking ? fl & ~O_NONBLOCK : fl | O_NONBLOCK) == 0;
}

static void empty(int fd)
{
	int fl = fcntl(fd, F_GETFL);
	uint64_t v;

	/* Whoever is stuck in a write goes on. The other side may read it, too: do not wait. */
	if (fl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0)
		return;
	while (read(fd, &v, sizeof(v)) == sizeof(v))
		;
}

/**
 * struct full - what happened to a ring that calls in vain
 * @done:	of @all requests
 * @closed:	the connection was ended
 * @ret:	of GET_VRING_BASE, if the connection was not closed
 */
struct full {
	unsigned int done, all;
	bool closed;
	int ret;
};

static struct full call_full_as(struct check *c, bool blocking, struct err *e)
{
	uint64_t end = clock_ns() + (uint64_t)check_timeout_ms(c) * 1000000;
	struct check_dev *d = check_dev(c, NULL);
	struct full f = { .all = 32 };
	struct fe_queue *q = &d->q[0];
	struct drv_used u;
	struct vq_base base;

	check_works(c, d, 0);
	drv_call_on(q->ring, 1);
	if (!fill(q->call_fd, blocking))
		check_skip(c, "cannot fill an eventfd");
	for (unsigned int at = 8; at <= f.all; at += 8) {
		raw_submit(c, d, 8);
		fe_queue_kick(q);
		while (f.done < at && clock_ns() < end && !drv_broken(q->ring) && !f.closed) {
			f.done += drv_get(q->ring, &u, 1);
			drv_call_on(q->ring, 1);
			if (f.done < at)
				f.closed = check_closed(c, d->v, 1);
		}
	}
	if (!f.closed)
		f.ret = vuc_get_vring_base(d->v, 0, check_packed(c), &base, e);
	empty(q->call_fd);
	check_dev_close(c, d);
	return f;
}

static void call_full(struct check *c)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct err e = { .code = 0 };
		struct full f = call_full_as(c, i, &e);

		if (f.done < f.all)
			check_fail(c, "requests are done whether their calls can be made or not",
				   "%u of %u with a call eventfd at its maximum%s", f.done, f.all,
				   f.closed ? "; the connection was closed" : "");
		if (f.ret < 0)
			check_fail(c, "the ring stops", "%s", e.what);
	}
	check_alive(c);
}

/* What becomes of the connection is one thing, but nobody may wait for its front-end. */
static void call_full_blocking(struct check *c)
{
	struct err e = { .code = 0 };
	struct full f = call_full_as(c, true, &e);

	if (f.ret == -ETIMEDOUT)
		check_fail(c, "the ring stops, or the connection is closed",
			   "%s after %u of %u requests: the call eventfd blocks", e.what, f.done,
			   f.all);
	check_alive(c);
}

/*
 * Nobody has to read a kick eventfd, and one that is full takes no more kicks.
 * But the number in it has no meaning, and a kick after it is one.
 */
static void kick_full(struct check *c)
{
	struct check_dev *d = check_dev(c, &stopped);
	struct fe_queue *q = &d->q[0];
	struct err e;
	int ret;

	if (!fill(q->kick_fd, false))
		check_skip(c, "cannot fill an eventfd");
	check_start(c, d, 0);
	fill(q->kick_fd, true);
	ret = vuc_set_vring_kick(d->v, 0, q->kick_fd, &e);
	if (ret == 0)
		ret = vuc_get_features(d->v, &(uint64_t){ 0 }, &e);
	empty(q->kick_fd);
	if (ret < 0)
		check_fail(c, "a descriptor at its maximum is taken", "%s", e.what);
	fe_queue_kick(q);
	check_works(c, d, 0);
	check_stop(c, d, 0);
	check_alive(c);
}

const struct check_case check_resource_cases[] = {
	{ "resource.mem-table", "vhost-user: VHOST_USER_SET_MEM_TABLE",
	  "a memory table that replaces another gives back its mappings and descriptors",
	  CHECK_MUST, 0, false, mem_table },
	{ "resource.mem-table-running", "vhost-user: VHOST_USER_SET_MEM_TABLE",
	  "so it does while a ring runs", CHECK_MUST, 0, false, mem_table_running },
	{ "resource.slots", "vhost-user: VHOST_USER_REM_MEM_REG",
	  "a region that is removed is unmapped", CHECK_MUST, NEED_MEM_SLOTS, false, slots },
	{ "resource.vring", "vhost-user: VHOST_USER_SET_VRING_CALL",
	  "setting a ring up again and again adds nothing up", CHECK_MUST, 0, false, vring },
	{ "resource.bells-running", "vhost-user: VHOST_USER_SET_VRING_KICK",
	  "descriptors of a running ring that are replaced are closed", CHECK_MUST, 0, false,
	  bells_running },
	{ "resource.ring-restart", "vhost-user: VHOST_USER_GET_VRING_BASE",
	  "a ring that is stopped holds nothing any more", CHECK_MUST, 0, false, restart },
	{ "resource.backend-req", "vhost-user: VHOST_USER_SET_BACKEND_REQ_FD",
	  "a back-channel that is replaced is closed", CHECK_MUST, NEED_BACKEND_REQ, false,
	  backend_req },
	{ "resource.log-base", "vhost-user: VHOST_USER_SET_LOG_BASE",
	  "a log that is replaced is unmapped", CHECK_MUST, NEED_LOG, false, log_base },
	{ "resource.inflight", "vhost-user: VHOST_USER_GET_INFLIGHT_FD",
	  "a record of requests that is replaced is unmapped", CHECK_MUST, NEED_INFLIGHT, false,
	  inflight },
	{ "resource.fd-flood", COMM, "messages with 253 descriptors leave none behind", CHECK_MUST,
	  0, false, fd_flood },
	{ "resource.connections", COMM, "200 connections leave nothing behind", CHECK_MUST, 0,
	  false, connections },
	{ "resource.devices", COMM, "100 front-ends with memory and a ring leave nothing behind",
	  CHECK_MUST, 0, false, devices },
	{ "resource.silent", COMM, "connections that say nothing do no harm once they are gone",
	  CHECK_MUST, 0, false, silent },
	{ "resource.half-message", COMM, "connections that end within a message do no harm",
	  CHECK_MUST, 0, false, half_message },
	{ "resource.never-reads", COMM, "a front-end that never reads its answers does no harm",
	  CHECK_MUST, 0, false, never_reads },
	{ "resource.reads-late", COMM, "no answer is lost when the front-end reads late",
	  CHECK_SHOULD, 0, false, reads_late },
	{ "resource.call-full", "vhost-user: VHOST_USER_SET_VRING_CALL",
	  "requests are done though the call eventfd is at its maximum", CHECK_SHOULD, NEED_BLK,
	  true, call_full },
	{ "resource.call-full-blocking", "vhost-user: VHOST_USER_SET_VRING_CALL",
	  "a call eventfd at its maximum that blocks does not block the back-end", CHECK_MUST,
	  NEED_BLK, true, call_full_blocking },
	{ "resource.kick-full", "vhost-user: VHOST_USER_SET_VRING_KICK",
	  "a kick eventfd at its maximum stops nothing", CHECK_MUST, NEED_BLK, false, kick_full },
	{ 0 },
};
