/* SPDX-License-Identifier: MIT */
/* Rings: what is said about them, their states, and taking what is in them. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "util/compiler.h"

/* ---- eventfds ---- */

void ring_ring_bell(int fd)
{
	const uint64_t one = 1;
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	/* A full counter is heard already; writing would block. */
	if (fd >= 0 && (defect("bell-blocks") || (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT))))
		(void)!write(fd, &one, sizeof(one));
}

static bool bell_full(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return fd >= 0 && (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT));
}

static void drop(int *fd)
{
	if (*fd >= 0 && !defect("bells-leak"))
		close(*fd);
	*fd = -1;
}

/* A ring's index and descriptor (-1: none), of a KICK, CALL or ERR message; NULL: refused. */
static struct be_ring *bell_of(struct be *b, struct be_msg *m, int *fd)
{
	uint64_t index = m->p.u64 & ~(uint64_t)VHOST_USER_VRING_NOFD;
	struct stat st;

	*fd = -1;
	if (index >= b->queues && defect("ring-index-kills"))
		defect_die();
	if (index >= b->queues || m->nfds != (m->p.u64 & VHOST_USER_VRING_NOFD ? 0 : 1))
		return NULL;
	if (!m->nfds)
		return &b->ring[index];
	/* Anonymous inodes, of which eventfds are, have no file type. */
	if (fstat(m->fds[0], &st) < 0 || (st.st_mode & S_IFMT)) {
		if (defect("odd-fd-kills"))
			defect_die();
		return NULL;
	}
	*fd = msg_take_fd(b);
	fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) | O_NONBLOCK);
	return &b->ring[index];
}

/* ---- start and stop ---- */

static bool find_parts(struct be *b, struct be_ring *r)
{
	struct naive_dev *d = &r->dev;
	const struct vhost_user_vring_addr *a = &r->addr;
	uint64_t n = r->num, event = d->event_idx ? 2 : 0;

	if (a->desc % 16 || a->avail % (d->packed ? 4 : 2) || a->used % 4)
		return false;
	d->desc = mem_of_uva(b, a->desc, 16 * n);
	d->driver = mem_of_uva(b, a->avail, d->packed ? 4 : 4 + 2 * n + event);
	d->device = mem_of_uva(b, a->used, d->packed ? 4 : 4 + 8 * n + event);
	return d->desc && d->driver && d->device;
}

static bool ring_start(struct be *b, struct be_ring *r)
{
	struct naive_dev *d = &r->dev;
	bool packed = be_has(b, VIRTIO_F_RING_PACKED);
	uint32_t base = r->base_set && !defect("base-ignored") ? r->base :
								 (packed ? 0x80008000u : 0);

	if (defect("ring-once") && d->size)
		return false;

	*d = (struct naive_dev){
		.size = r->num,
		.packed = packed,
		.event_idx = be_has(b, VIRTIO_F_EVENT_IDX),
		.translate = mem_translate,
		.ctx = b,
	};
	if (!packed && (r->num & (r->num - 1)) && defect("ring-size-kills"))
		defect_die();
	if (!r->num || !r->addr_set || (!packed && (r->num & (r->num - 1))))
		return false;
	if (!find_parts(b, r)) {
		if (defect("unmapped-ring-kills"))
			defect_die();
		return false;
	}
	if (base & ~(packed ? 0x80ff80ffu : 0xffffu) && defect("ring-base-kills"))
		defect_die();
	if (!rd_may_start(b, r, &base))
		return false;
	if (packed) {
		d->avail = base & 0x7fff;
		d->avail_wrap = base & 0x8000;
		d->used = base >> 16 & 0x7fff;
		d->used_wrap = base >> 31;
		if (d->avail >= r->num || d->used >= r->num)
			return false;
	} else {
		d->avail = base & 0xffff;
		d->used = le16toh(*(const uint16_t *)(const void *)(d->device + 2));
	}
	if (!inflight_start(b, r))
		return false;
	d->told = d->used;
	d->told_wrap = d->used_wrap;
	r->started = r->again = true;
	r->broken = false;
	rd_started(r);
	return true;
}

static void ring_stop(struct be_ring *r)
{
	const struct naive_dev *d = &r->dev;

	if (r->started && d->packed)
		r->base = d->avail | (uint32_t)d->avail_wrap << 15 | d->used << 16 |
			  (uint32_t)d->used_wrap << 31;
	else if (r->started)
		r->base = d->avail & 0xffff;
	r->started = false;
	drop(&r->kick);
	drop(&r->call);
}

void ring_stop_all(struct be *b)
{
	for (unsigned int i = 0; i < b->queues; i++)
		ring_stop(&b->ring[i]);
}

void ring_reset(struct be_ring *r)
{
	ring_stop(r);
	drop(&r->err);
	r->enable = r->broken = false;
	if (defect("rings-kept"))
		return;
	r->num = r->base = 0;
	r->addr_set = r->base_set = r->enable = r->broken = false;
}

void ring_reset_all(struct be *b)
{
	for (unsigned int i = 0; i < b->queues; i++)
		ring_reset(&b->ring[i]);
}

bool ring_any_started(const struct be *b)
{
	for (unsigned int i = 0; i < b->queues; i++)
		if (b->ring[i].started)
			return true;
	return false;
}

void ring_remap(struct be *b)
{
	for (unsigned int i = 0; i < b->queues; i++)
		if (b->ring[i].started && !find_parts(b, &b->ring[i])) {
			if (defect("unmapped-ring-kills"))
				defect_die();
			ring_break(b, &b->ring[i], "ring is not in memory any more");
		}
}

/* ---- messages ---- */

static struct be_ring *stopped(struct be *b, uint32_t index)
{
	if (defect("ring-index-8-bits"))
		index &= 0xff;
	if (index >= b->queues && defect("ring-index-kills"))
		defect_die();
	return index < b->queues && !b->ring[index].started ? &b->ring[index] : NULL;
}

int on_set_vring_num(struct be *b, struct be_msg *m)
{
	struct be_ring *r = stopped(b, m->p.state.index);

	if (r && r->num && defect("num-once"))
		return BE_OK;
	if (r && m->p.state.num > BE_QUEUE_MAX && defect("ring-size-cut"))
		m->p.state.num %= BE_QUEUE_MAX;
	else if (!r || m->p.state.num == 0 || m->p.state.num > BE_QUEUE_MAX) {
		if (r && defect("ring-size-kills"))
			defect_die();
		return BE_REFUSE;
	}
	r->num = m->p.state.num;
	return BE_OK;
}

int on_set_vring_addr(struct be *b, struct be_msg *m)
{
	const struct vhost_user_vring_addr *a = &m->p.addr;
	struct be_ring *r;

	if (a->index >= b->queues || (a->flags & ~VHOST_USER_VRING_ADDR_F_LOG))
		return BE_REFUSE;
	r = &b->ring[a->index];
	/* While it runs, only the log can be switched. */
	if (r->started &&
	    (a->desc != r->addr.desc || a->avail != r->addr.avail || a->used != r->addr.used))
		return BE_REFUSE;
	r->addr = *a;
	r->addr_set = true;
	return BE_OK;
}

int on_set_vring_base(struct be *b, struct be_msg *m)
{
	struct be_ring *r = stopped(b, m->p.state.index);

	if (!r)
		return BE_REFUSE;
	r->base = m->p.state.num;
	r->base_set = true;
	return BE_OK;
}

int on_get_vring_base(struct be *b, struct be_msg *m)
{
	struct vhost_user_vring_state s = { .index = m->p.state.index };
	struct be_ring *r;

	if (s.index >= b->queues)
		return BE_CLOSE;
	r = &b->ring[s.index];
	if (!r->started && defect("base-only-running"))
		return BE_CLOSE;
	if (rd_stop(b, r))
		return BE_REPLIED;
	if (!defect("stop-keeps-running"))
		ring_stop(r);
	r->base_set = true;
	s.num = r->base + defect("base-off-by-one");
	return msg_reply(b, &s, sizeof(s), -1);
}

int on_set_vring_kick(struct be *b, struct be_msg *m)
{
	int fd;
	struct be_ring *r = bell_of(b, m, &fd);

	if (!r)
		return BE_REFUSE;
	if ((!b->features || !b->nregions) && defect("kick-first-kills"))
		defect_die();
	if (r->started && defect("kick-once")) {
		drop(&fd);
		return BE_OK;
	}
	drop(&r->kick);
	r->kick = fd;
	/* "Ring states": it starts now, and what is in it may have been kicked for before. */
	r->again = true;
	if (!r->started && !ring_start(b, r))
		return BE_REFUSE;
	if (defect("start-waits-for-kick"))
		r->again = false;
	return BE_OK;
}

int on_set_vring_call(struct be *b, struct be_msg *m)
{
	int fd;
	struct be_ring *r = bell_of(b, m, &fd);

	if (!r || (fd < 0 && defect("call-none-refused")))
		return BE_REFUSE;
	if (r->started && defect("call-once")) {
		drop(&fd);
		return BE_OK;
	}
	drop(&r->call);
	r->call = fd;
	return BE_OK;
}

int on_set_vring_err(struct be *b, struct be_msg *m)
{
	int fd;
	struct be_ring *r = bell_of(b, m, &fd);

	if (!r)
		return BE_REFUSE;
	drop(&r->err);
	r->err = fd;
	return BE_OK;
}

int on_set_vring_enable(struct be *b, struct be_msg *m)
{
	struct be_ring *r;

	if (m->p.state.num > 1 && defect("enable-value-kills"))
		defect_die();
	if (m->p.state.index >= b->queues || m->p.state.num > 1)
		return BE_REFUSE;
	r = &b->ring[m->p.state.index];
	if (defect(r->started ? "enable-late-ignored" : "enable-early-ignored"))
		return BE_OK;
	if (!r->started && defect("enable-starts"))
		ring_start(b, r);
	if (r->enable && !m->p.state.num && defect("disable-moves"))
		r->dev.avail = 0;
	r->enable = m->p.state.num;
	r->again = !defect("enable-does-not-look") && !defect("start-waits-for-kick");
	return BE_OK;
}

/* ---- work ---- */

static bool enabled(const struct be *b, const struct be_ring *r)
{
	if (defect("enable-always-needed"))
		return r->enable;
	return r->enable || !be_has(b, VHOST_USER_F_PROTOCOL_FEATURES) || defect("disabled-runs");
}

static bool may_run(const struct be *b, const struct be_ring *r)
{
	if (r->index && defect("ring-first-only"))
		return false;
	return r->started && !r->broken && enabled(b, r);
}

bool ring_wants_turn(const struct be *b, const struct be_ring *r)
{
	return may_run(b, r) && (r->again || (r->kick < 0 && !defect("kick-none-idle")));
}

void ring_break(struct be *b, struct be_ring *r, const char *why)
{
	fprintf(stderr, "ring %u is broken: %s\n", r->index, why);
	rd_bad(why);
	r->broken = true;
	for (unsigned int i = 0; i < b->queues && defect("break-all"); i++)
		b->ring[i].broken = true;
	if (!defect("err-silent"))
		ring_ring_bell(r->err);
}

static void push(struct be *b, struct be_ring *r, const struct naive_chain *c, uint32_t used)
{
	struct naive_dev *d = &r->dev;
	uint32_t pos = d->used;

	if (rd_push(b, r, c, used))
		return;
	naive_push(d, c, used);
	if (d->packed) {
		log_used(b, r, 16 * (uint64_t)pos, 16);
	} else {
		log_used(b, r, 4 + 8 * (uint64_t)((uint16_t)pos % d->size), 8);
		log_used(b, r, 2, 2);
	}
}

void ring_finish(struct be *b, struct be_ring *r, const struct naive_chain *c, uint32_t entry)
{
	uint32_t used = 0;

	if (!rd_chain(b, r, c)) {
		ring_break(b, r, "a defect");
		return;
	}
	if (defect("used-early")) {
		naive_push(&r->dev, c, 0);
		usleep(500);
		blk_handle(b, c, &used);
		return;
	}
	b->queue = r->index;
	if (!blk_handle(b, c, &used)) {
		ring_break(b, r, "no request");
		return;
	}
	b->requests++;
	inflight_before_used(r, entry, c);
	push(b, r, c, used);
	inflight_after_used(r, entry, c);
}

/* The next chain: what was in flight when somebody died before us comes first. */
static int next_chain(struct be_ring *r, struct naive_chain *c, uint32_t *entry, const char **why)
{
	uint32_t slot;
	int got = inflight_next(r, c, entry, why);

	if (got)
		return got;
	do {
		slot = r->dev.avail;
		got = rd_pop(r, c, why);
		/* Ask for a kick, and look once more: it may have come in between. */
	} while (got == 0 && rd_arm(r));
	if (got > 0)
		*entry = inflight_fetch(r, c, slot);
	return got;
}

void ring_turn(struct be *b, struct be_ring *r)
{
	struct naive_chain c;
	const char *why = "";
	uint32_t entry = 0;
	unsigned int n = 0, max = rd_turn(r);
	int got = 1;

	if (!may_run(b, r) || (defect("call-full-stops") && bell_full(r->call)))
		return;
	r->again = false;
	while (n < max && !r->broken) {
		got = next_chain(r, &c, &entry, &why);
		if (got <= 0)
			break;
		ring_finish(b, r, &c, entry);
		n++;
	}
	if (got < 0)
		ring_break(b, r, why);
	r->again = got > 0;
	rd_turned(r, n, got);
	if (rd_call(r))
		ring_ring_bell(r->call);
}
