/* SPDX-License-Identifier: MIT */
/* Device state, saved and loaded over a pipe ("Migrating back-end state"). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"

#define MAGIC "DEFECT01"

struct saved {
	char magic[8];
	uint64_t requests;
	uint8_t writeback;
	uint8_t zero[7];
};

enum { SAVE = 0, LOAD = 1 };

static void state_end(struct be *b, int result)
{
	struct be_transfer *t = &b->transfer;

	if (!defect("state-never-ends"))
		close(t->fd);
	t->fd = -1;
	t->result = result;
	if (!t->check_waits)
		return;
	t->check_waits = false;
	if (msg_reply_u64(b, (uint64_t)result) == BE_CLOSE)
		be_session_end(b);
}

void state_drop(struct be *b)
{
	if (b->transfer.fd >= 0 && defect("state-disconnect-hangs"))
		defect_hang();
	if (b->transfer.fd >= 0)
		close(b->transfer.fd);
	b->transfer = (struct be_transfer){ .fd = -1, .result = -1 };
}

/* Bit 8: no descriptor comes with this. */
static int refuse(struct be *b)
{
	return msg_reply_u64(b, 1 | VHOST_USER_STATE_NOFD);
}

static void begin(struct be *b, bool load, int fd)
{
	struct be_transfer *t = &b->transfer;
	struct saved s = { .magic = MAGIC, .requests = b->requests, .writeback = b->writeback };

	*t = (struct be_transfer){ .fd = fd, .load = load, .result = 1 };
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (load)
		return;
	memcpy(t->buf, &s, sizeof(s));
	t->len = sizeof(s);
}

/* The rest of the program waits, too. */
static void wait_for_end(int fd)
{
	struct pollfd p = { .fd = fd };

	while (!(p.revents & POLLHUP))
		poll(&p, 1, -1);
}

int on_set_device_state_fd(struct be *b, struct be_msg *m)
{
	bool load = m->transfer.direction == LOAD;
	int p[2], ret;

	if ((m->transfer.direction > LOAD || m->transfer.phase != 0) &&
	    !defect("state-any-parameters"))
		return refuse(b);
	/* Only while the device is suspended, and one at a time. */
	if (ring_any_started(b) && !defect(load ? "state-load-running" : "state-save-running"))
		return refuse(b);
	if (b->transfer.fd >= 0 || (b->transfer.result == 0 && defect("state-once")))
		return refuse(b);
	if (!b->own_state_fd) {
		begin(b, load, msg_take_fd(b));
		if (load && defect("state-load-answer-waits"))
			wait_for_end(b->transfer.fd);
		ret = msg_reply_u64(b, defect("state-fd-lost") ? 0 : VHOST_USER_STATE_NOFD);
		if (load && defect("state-load-blocks"))
			wait_for_end(b->transfer.fd);
		return ret;
	}
	if (pipe2(p, O_CLOEXEC) < 0)
		return refuse(b);
	begin(b, load, load ? p[0] : p[1]);
	ret = msg_reply(b, &(uint64_t){ 0 }, sizeof(uint64_t), load ? p[1] : p[0]);
	close(load ? p[1] : p[0]);
	return ret;
}

int on_check_device_state(struct be *b, struct be_msg *m)
{
	struct be_transfer *t = &b->transfer;

	(void)m;
	if (t->fd >= 0) {
		t->check_waits = true;
		return BE_REPLIED;
	}

	if (t->result < 0 && defect("state-check-silent"))
		return BE_REPLIED;
	return msg_reply_u64(b, t->result != 0);
}

short state_events(const struct be *b)
{
	return b->transfer.load ? POLLIN : POLLOUT;
}

static int apply(struct be *b, const uint8_t *buf, size_t len)
{
	struct saved s, zero = { 0 };

	if (len < sizeof(s) && defect("state-truncated-good"))
		return 0;
	if (defect("state-believes"))
		return 0;
	if (len != sizeof(s) || defect("state-load-fails"))
		return 1;
	memcpy(&s, buf, sizeof(s));
	if (memcmp(s.magic, MAGIC, sizeof(s.magic)) != 0 || s.writeback > 1 ||
	    memcmp(s.zero, zero.zero, sizeof(s.zero)) != 0)
		return 1;
	b->requests = s.requests;
	b->writeback = s.writeback;
	return 0;
}

static void load_some(struct be *b)
{
	struct be_transfer *t = &b->transfer;
	ssize_t n;

	if (t->len == sizeof(t->buf) && defect("state-believes"))
		t->len = 0;
	if (t->len == sizeof(t->buf)) {
		state_end(b, 1);
		return;
	}
	n = read(t->fd, t->buf + t->len, sizeof(t->buf) - t->len);
	if (n > 0)
		t->len += (size_t)n;
	else if (n == 0)
		state_end(b, apply(b, t->buf, t->len));
	else if (errno != EAGAIN && errno != EINTR)
		state_end(b, 1);
}

static void save_some(struct be *b)
{
	struct be_transfer *t = &b->transfer;
	ssize_t n = write(t->fd, t->buf + t->done, t->len - t->done);

	if (n > 0)
		t->done += (size_t)n;
	else if (errno == EPIPE && defect("state-reader-gone-dies"))
		defect_die();
	else if (errno != EAGAIN && errno != EINTR)
		state_end(b, 1);
	if (t->fd >= 0 && t->done == t->len)
		state_end(b, 0);
}

void state_ready(struct be *b)
{
	if (b->transfer.load)
		load_some(b);
	else
		save_some(b);
}
