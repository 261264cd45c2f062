/* SPDX-License-Identifier: MIT */
/* The log of dirty pages ("Migration"). */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"

#define LOG_PAGE 4096

int on_set_log_base(struct be *b, struct be_msg *m)
{
	if (b->log.p && defect("log-first-stays"))
		return msg_reply_u64(b, 0);
	if (defect("log-offset-ignored"))
		m->log.mmap_offset = 0;
	/* The answer is a u64 that says nothing: the end of the session is how we refuse. */
	if (shared_map(&b->log, msg_take_fd(b), m->log.mmap_offset, m->log.mmap_size) < 0) {
		if (defect("log-impossible-dies"))
			defect_die();
		return BE_CLOSE;
	}
	if (defect("log-unanswered"))
		return BE_REPLIED;
	return msg_reply_u64(b, 0);
}

int on_set_log_fd(struct be *b, struct be_msg *m)
{
	struct stat st;

	if (fstat(m->fds[0], &st) < 0 || (st.st_mode & S_IFMT))
		return BE_REFUSE;
	if (b->log_fd >= 0)
		close(b->log_fd);
	b->log_fd = msg_take_fd(b);
	fcntl(b->log_fd, F_SETFL, fcntl(b->log_fd, F_GETFL) | O_NONBLOCK);
	return BE_OK;
}

static void mark(struct be *b, uint64_t addr, uint64_t len)
{
	if ((!be_has(b, VHOST_F_LOG_ALL) && !defect("log-always")) || !b->log.p || !len)
		return;
	for (uint64_t page = addr / LOG_PAGE; page <= (addr + len - 1) / LOG_PAGE; page++)
		if (page / 8 < b->log.size || defect("log-unbounded"))
			__atomic_fetch_or(&b->log.p[page / 8], (uint8_t)(1u << page % 8),
					  __ATOMIC_SEQ_CST);
	ring_ring_bell(b->log_fd);
}

void log_data(struct be *b, uint64_t gpa, uint64_t len)
{
	if (defect(len == 1 ? "log-no-status" : "log-no-data"))
		return;
	if (defect("log-too-much"))
		mark(b, 0, gpa + (64 << 20));
	mark(b, gpa, len);
}

void log_used(struct be *b, const struct be_ring *r, uint64_t off, uint64_t len)
{
	if (defect("log-no-used"))
		return;
	if ((r->addr.flags & VHOST_USER_VRING_ADDR_F_LOG) || defect("log-used-always"))
		mark(b, r->addr.log + off, len);
}
