/* SPDX-License-Identifier: MIT */
/*
 * Rings: what the front end says about each, and their start and stop.
 *
 * "Ring states": SET_VRING_KICK starts a ring, GET_VRING_BASE stops it;
 * enabled and disabled is a second, independent matter. Whatever describes
 * a ring can only be changed while it is stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/vhost-user/session.h"
#include "util/compiler.h"
#include "util/log.h"
#include "wire/virtio.h"

/* ---- eventfds ---- */

/**
 * struct vu_call - the call eventfd of a ring
 */
struct vu_call {
	struct xport_call x;
	int fd;
};

static void bell_ring(int fd)
{
	const uint64_t one = 1;
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	/*
	 * A full counter is a bell that rings already. O_NONBLOCK alone does not
	 * tell: the peer has the same open file and can take it away again.
	 */
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT))
		(void)!write(fd, &one, sizeof(one));
}

static void call_notify(struct xport_call *c)
{
	bell_ring(container_of(c, struct vu_call, x)->fd);
}

static void call_release(struct xport_call *c)
{
	struct vu_call *call = container_of(c, struct vu_call, x);

	close(call->fd);
	free(call);
}

static void call_drop(struct vu_ring *r)
{
	if (r->call)
		r->call->release(r->call);
	r->call = NULL;
}

static void err_drop(struct vu_ring *r)
{
	if (r->err_fd >= 0)
		close(r->err_fd);
	r->err_fd = -1;
}

/*
 * Only an eventfd is accepted: whether writing would block can be asked (see
 * bell_ring()), while a file the peer made up (FUSE, NFS) could block a worker
 * all the same. Anonymous inodes have no file type.
 */
static int bell_check(int fd, struct err *e)
{
	struct stat st;
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != 0 ||
	    fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0)
		return err_set(e, -EINVAL, "bad-descriptor", "descriptor is no eventfd");
	return 0;
}

/* Index and descriptor of a KICK, CALL or ERR message. @fd: the caller's, -1: none. */
static struct vu_ring *bell_open(struct vu_session *s, const struct vu_msg *m, int *fd,
				 struct err *e)
{
	uint64_t idx = m->p.u64 & ~(uint64_t)VHOST_USER_VRING_NOFD;

	*fd = -1;
	if (idx >= s->nrings) { /* 64 bits: reserved bits are refused with it */
		err_set(e, -EINVAL, "bad-ring", "ring 0x%llx, there are %u",
			(unsigned long long)idx, s->nrings);
		return NULL;
	}
	if (!(m->p.u64 & VHOST_USER_VRING_NOFD)) {
		*fd = vu_io_take_fd(&s->io);
		if (bell_check(*fd, e) < 0) {
			close(*fd);
			*fd = -1;
			return NULL;
		}
	}
	return &s->rings[idx];
}

/* ---- what is said while a ring is stopped ---- */

/* The index is checked in all its 32 bits. */
static struct vu_ring *ring_at(struct vu_session *s, uint32_t idx, struct err *e)
{
	if (idx < s->nrings)
		return &s->rings[idx];
	err_set(e, -EINVAL, "bad-ring", "ring %u, there are %u", idx, s->nrings);
	return NULL;
}

static struct vu_ring *ring_stopped_at(struct vu_session *s, uint32_t idx, struct err *e)
{
	struct vu_ring *r = ring_at(s, idx, e);

	if (r && r->started) {
		err_set(e, -EBUSY, "ring-running", "ring %u is running", idx);
		return NULL;
	}
	return r;
}

static bool is_packed(const struct vu_session *s)
{
	return vdev_features(s->dev) & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}

int vu_set_vring_num(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	struct vu_ring *r = ring_stopped_at(s, m->p.state.index, e);

	if (!r)
		return -EINVAL;
	if (m->p.state.num == 0 || m->p.state.num > vdev_max_size(s->dev))
		return err_set(e, -EINVAL, "bad-ring-size",
			       "ring %u of %u entries; the device takes 1 to %u", m->p.state.index,
			       m->p.state.num, vdev_max_size(s->dev));
	r->size = m->p.state.num;
	return VU_DONE;
}

int vu_set_vring_addr(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	const struct vhost_user_vring_addr *a = &m->p.addr;
	struct vu_ring *r = ring_at(s, a->index, e);

	if (!r)
		return -EINVAL;
	if (a->flags & ~VHOST_USER_VRING_ADDR_F_LOG)
		return err_set(e, -EINVAL, "bad-ring-flags", "ring %u with address flags 0x%x",
			       a->index, a->flags);
	/* Comes while the ring runs, with the same addresses, to switch the log flag. */
	if (r->started &&
	    (a->desc != r->addr.desc || a->avail != r->addr.avail || a->used != r->addr.used))
		return err_set(e, -EBUSY, "ring-running", "ring %u cannot move while it runs",
			       a->index);
	r->addr = *a;
	r->addr_set = true;
	return VU_DONE;
}

int vu_set_vring_base(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	struct vu_ring *r = ring_stopped_at(s, m->p.state.index, e);

	if (!r)
		return -EINVAL;
	/* What it means depends on the ring format: decoded at the start. */
	r->base = m->p.state.num;
	r->base_set = true;
	return VU_DONE;
}

void vu_rings_reset(struct vu_session *s)
{
	for (unsigned int i = 0; i < s->nrings; i++) {
		struct vu_ring *r = &s->rings[i];

		call_drop(r);
		err_drop(r);
		*r = (struct vu_ring){ .err_fd = -1 };
	}
}

/* ---- position ---- */

/* "A vring state description": split: the next available index; packed: both with their wraps. */
static uint32_t base_encode(const struct vq_base *b, bool packed)
{
	if (!packed)
		return b->avail_idx;
	return (b->avail_idx & 0x7fffu) | (uint32_t)b->avail_wrap << 15 |
	       (b->used_idx & 0x7fffu) << 16 | (uint32_t)b->used_wrap << 31;
}

static int base_decode(const struct vu_ring *r, bool packed, struct vq_base *b, struct err *e)
{
	uint32_t v = r->base;

	*b = VQ_BASE_INIT;
	if (!r->base_set)
		return 0;
	if (!packed) {
		if (v > UINT16_MAX)
			return err_set(e, -EINVAL, "bad-ring-base", "position 0x%x of a split ring",
				       v);
		b->avail_idx = (uint16_t)v;
		return 0;
	}
	/* DPDK writes and reads the low half only, where used equals available. */
	if (!(v >> 16))
		v |= v << 16;
	b->avail_idx = v & 0x7fff;
	b->avail_wrap = v >> 15 & 1;
	b->used_idx = v >> 16 & 0x7fff;
	b->used_wrap = v >> 31;
	return 0;
}

/* ---- start and stop ---- */

/* Takes @kick_fd and r->call over. */
static int ring_start(struct vu_session *s, unsigned int qi, int kick_fd, struct err *e)
{
	struct vu_ring *r = &s->rings[qi];
	struct vq_cfg cfg = {
		.size = r->size,
		.features = vdev_features(s->dev),
		.space = GMEM_USER,
		.desc = r->addr.desc,
		.driver = r->addr.avail,
		.device = r->addr.used,
		.kick_fd = kick_fd,
	};
	int ret = 0;

	if (!s->mem || !s->mem->n)
		ret = vu_err_not_shared(e, -EINVAL);
	else if (!s->features_set || !r->size || !r->addr_set)
		ret = err_set(e, -EINVAL, "ring-incomplete", "no %s before the start",
			      !s->features_set ? "SET_FEATURES" :
			      !r->size         ? "SET_VRING_NUM" :
						 "SET_VRING_ADDR");
	else
		ret = base_decode(r, is_packed(s), &cfg.base, e);
	if (ret < 0) {
		if (kick_fd >= 0)
			close(kick_fd);
		return ret;
	}
	/*
	 * Whoever served this ring before may have died between the used index
	 * and the notification. One too many does no harm.
	 */
	if (r->call)
		r->call->notify(r->call);
	cfg.call = r->call;
	r->call = NULL; /* the core's, even if it fails */
	ret = vdev_queue_prepare(s->dev, qi, &cfg, e);
	if (ret < 0)
		return ret;
	vdev_queue_start(s->dev, qi);
	r->started = r->served = true;
	r->packed = cfg.features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	vu_session_check_running(s);
	return 0;
}

static void ring_swapped(struct vu_session *s, int res)
{
	struct err e;

	if (res < 0)
		err_sys(&e, res, "ring-descriptor", "ring %u keeps its descriptor", s->op_ring);
	vu_session_answer(s, res, &e);
}

/*
 * A descriptor of a running ring was replaced: go on when the worker has let
 * go of the old one. Saying again what is enabled makes the round trip. A
 * peer that sends descriptors in a loop so holds two of ours, not all.
 */
static int ring_swap(struct vu_session *s, unsigned int qi)
{
	s->op_ring = qi;
	vdev_queue_enable(s->dev, qi, s->rings[qi].enabled, vu_session_wait(s, ring_swapped));
	return VU_LATER;
}

int vu_set_vring_kick(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	int fd, ret;
	struct vu_ring *r = bell_open(s, m, &fd, e);
	unsigned int qi;

	if (!r)
		return -EINVAL;
	qi = (unsigned int)(r - s->rings);
	if (r->started) {
		vdev_queue_set_kick(s->dev, qi, fd);
		return ring_swap(s, qi);
	}
	ret = ring_start(s, qi, fd, e);
	if (ret < 0) {
		err_prefix(e, "ring %u does not start", qi);
		return ret;
	}
	return VU_DONE;
}

int vu_set_vring_call(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	struct xport_call *c = NULL;
	int fd;
	struct vu_ring *r = bell_open(s, m, &fd, e);

	if (!r)
		return -EINVAL;
	if (fd >= 0) {
		struct vu_call *call = malloc(sizeof(*call));

		if (!call) {
			close(fd);
			return err_sys(e, -ENOMEM, "out-of-memory", "no call descriptor");
		}
		*call = (struct vu_call){
			.x = { .notify = call_notify, .bell = fd, .release = call_release },
			.fd = fd
		};
		c = &call->x;
	}
	if (!r->started) {
		call_drop(r);
		r->call = c;
		return VU_DONE;
	}
	/* What was signalled through the old one may have been lost on the way. */
	if (c)
		c->notify(c);
	vdev_queue_set_call(s->dev, (unsigned int)(r - s->rings), c);
	return ring_swap(s, (unsigned int)(r - s->rings));
}

int vu_set_vring_err(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	int fd;
	struct vu_ring *r = bell_open(s, m, &fd, e);

	if (!r)
		return -EINVAL;
	err_drop(r);
	r->err_fd = fd;
	return VU_DONE;
}

void vu_session_ring_broken(struct vu_session *s, unsigned int qi)
{
	if (qi < s->nrings && s->rings[qi].err_fd >= 0)
		bell_ring(s->rings[qi].err_fd);
}

static int base_reply(struct vu_session *s, unsigned int qi, const struct vq_base *b, bool packed,
		      struct err *e)
{
	struct vhost_user_vring_state st = { .index = qi, .num = base_encode(b, packed) };
	struct vu_ring *r = &s->rings[qi];

	call_drop(r); /* the front end sends new ones */
	r->base = st.num;
	r->base_set = true;
	return vu_session_reply(s, &st, sizeof(st), e);
}

/* Drained: used entries are published, the driver is notified, kick and call are closed. */
static void ring_drained(struct vu_session *s, int res)
{
	struct vu_ring *r = &s->rings[s->op_ring];
	struct err e;

	r->started = false;
	if (res < 0)
		err_sys(&e, res, "ring-stop", "ring %u does not stop", s->op_ring);
	else
		res = base_reply(s, s->op_ring, &s->op_base, r->packed, &e);
	vu_session_answer(s, res, &e);
}

int vu_get_vring_base(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	struct vu_ring *r = ring_at(s, m->p.state.index, e);
	struct vq_base b;

	if (!r)
		return -EINVAL;
	if (r->started) {
		s->op_ring = m->p.state.index;
		vdev_queue_stop(s->dev, s->op_ring, 0, &s->op_base,
				vu_session_wait(s, ring_drained));
		return VU_LATER;
	}
	if (base_decode(r, is_packed(s), &b, e) < 0)
		return -EINVAL;
	return base_reply(s, m->p.state.index, &b, is_packed(s), e);
}

static void ring_enabled(struct vu_session *s, int res)
{
	struct err e;

	if (res < 0)
		err_sys(&e, res, "ring-enable", "ring %u cannot be enabled or disabled",
			s->op_ring);
	else
		vu_session_check_running(s);
	vu_session_answer(s, res, &e);
}

/*
 * Not refused without bit 30: front ends before QEMU 7.2 leave it out of
 * SET_FEATURES and enable rings by message all the same.
 */
int vu_set_vring_enable(struct vu_session *s, const struct vu_msg *m, struct err *e)
{
	struct vu_ring *r = ring_at(s, m->p.state.index, e);

	if (!r)
		return -EINVAL;
	if (m->p.state.num > 1)
		return err_set(e, -EINVAL, "bad-ring-enable", "ring %u enabled with %u",
			       m->p.state.index, m->p.state.num);
	r->enabled = m->p.state.num;
	s->op_ring = m->p.state.index;
	vdev_queue_enable(s->dev, s->op_ring, r->enabled, vu_session_wait(s, ring_enabled));
	return VU_LATER;
}
