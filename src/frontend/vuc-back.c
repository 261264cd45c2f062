/* SPDX-License-Identifier: MIT */
/*
 * What the back-end asks: "Back-end message types" of the vhost-user specification.
 *
 * It is served while we wait for an answer, because the back-end may wait here
 * before it answers there. A bad message costs the back-channel and nothing
 * else: the main socket may be fine.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/vuc-internal.h"
#include "util/compiler.h"
#include "util/loop.h"

/* Requests in one turn: a back-end that sends without end must not keep us here. */
#define TURN_MAX 16

/* "Vring area description". */
struct vring_area {
	uint64_t index_flags;
	uint64_t size;
	uint64_t offset;
};

/* crosvm's messages begin like this: which region, where in it, how much. */
#define CROSVM_MAP_MIN 24

/**
 * struct ask - a request of the back-end, complete
 * @fd:		borrowed; @reply_fd: goes with the answer and is closed then
 */
struct ask {
	const struct vuc_back_ops *ops;
	void *ctx;
	uint32_t request;
	const uint8_t *payload;
	uint32_t size;
	int fd;
	int reply_fd;
};

/* ---- one function a request: 0 or -errno, -EBADMSG: it makes no sense ---- */

static int on_iotlb(struct vuc *c, struct ask *a)
{
	struct vhost_user_iotlb m = { 0 };

	memcpy(&m, a->payload, a->size);
	return a->ops->iotlb ? a->ops->iotlb(a->ctx, &m) : -EOPNOTSUPP;
}

static int on_config_change(struct vuc *c, struct ask *a)
{
	c->config_changes++;
	return a->ops->config_changed ? a->ops->config_changed(a->ctx) : 0;
}

static int on_host_notifier(struct vuc *c, struct ask *a)
{
	struct vring_area v;
	bool remove;

	memcpy(&v, a->payload, sizeof(v));
	remove = v.index_flags & VHOST_USER_VRING_NOFD;
	if (remove == (a->fd >= 0))
		return -EBADMSG;
	if (!a->ops->host_notifier)
		return -EOPNOTSUPP;
	return a->ops->host_notifier(a->ctx, (uint32_t)v.index_flags & VHOST_USER_VRING_IDX_MASK,
				     remove, v.offset, v.size, a->fd);
}

static int on_object(struct vuc *c, struct ask *a)
{
	struct vhost_user_uuid u;
	int ret;

	memcpy(&u, a->payload, sizeof(u));
	switch (a->request) {
	case VHOST_USER_BACKEND_SHARED_OBJECT_ADD:
		return a->ops->object_add ? a->ops->object_add(a->ctx, &u) : -EOPNOTSUPP;
	case VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE:
		return a->ops->object_remove ? a->ops->object_remove(a->ctx, &u) : -EOPNOTSUPP;
	default:
		ret = a->ops->object_lookup ? a->ops->object_lookup(a->ctx, &u, &a->reply_fd) :
					      -EOPNOTSUPP;
		return ret == 0 && a->reply_fd < 0 ? -ENOENT : ret;
	}
}

static int on_shmem(struct vuc *c, struct ask *a)
{
	struct vhost_user_mmap m;

	memcpy(&m, a->payload, sizeof(m));
	if (a->request == VHOST_USER_BACKEND_SHMEM_MAP)
		return a->ops->shmem_map ? a->ops->shmem_map(a->ctx, &m, a->fd) : -EOPNOTSUPP;
	return a->ops->shmem_unmap ? a->ops->shmem_unmap(a->ctx, &m) : -EOPNOTSUPP;
}

static int on_crosvm(struct vuc *c, struct ask *a)
{
	if (a->request == VHOST_USER_BACKEND_CROSVM_GPU_MAP)
		return a->ops->gpu_map ? a->ops->gpu_map(a->ctx, a->payload, a->size, a->fd) :
					 -EOPNOTSUPP;
	return a->ops->external_map ? a->ops->external_map(a->ctx, a->payload, a->size) :
				      -EOPNOTSUPP;
}

static int on_other(struct vuc *c, struct ask *a)
{
	return a->ops->other ? a->ops->other(a->ctx, a->request, a->payload, a->size, a->fd) :
			       -EOPNOTSUPP;
}

/* What each must look like. */
struct ask_type {
	uint32_t request;
	uint32_t size_min, size_max;
	unsigned int fd_min, fd_max;
	int (*fn)(struct vuc *c, struct ask *a);
};

#define UUID_SIZE sizeof(struct vhost_user_uuid)
#define MMAP_SIZE sizeof(struct vhost_user_mmap)
#define AREA_SIZE sizeof(struct vring_area)

static const struct ask_type types[] = {
	/* The kernel's structure ends with padding that not everybody sends. */
	{ VHOST_USER_BACKEND_IOTLB_MSG, offsetof(struct vhost_user_iotlb, pad),
	  sizeof(struct vhost_user_iotlb), 0, 0, on_iotlb },
	{ VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, 0, 0, 0, on_config_change },
	{ VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, AREA_SIZE, AREA_SIZE, 0, 1,
	  on_host_notifier },
	{ VHOST_USER_BACKEND_SHARED_OBJECT_ADD, UUID_SIZE, UUID_SIZE, 0, 0, on_object },
	{ VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, UUID_SIZE, UUID_SIZE, 0, 0, on_object },
	{ VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, UUID_SIZE, UUID_SIZE, 0, 0, on_object },
	{ VHOST_USER_BACKEND_SHMEM_MAP, MMAP_SIZE, MMAP_SIZE, 1, 1, on_shmem },
	{ VHOST_USER_BACKEND_SHMEM_UNMAP, MMAP_SIZE, MMAP_SIZE, 0, 0, on_shmem },
	{ VHOST_USER_BACKEND_CROSVM_GPU_MAP, CROSVM_MAP_MIN, VUC_BACK_PAYLOAD, 1, 1, on_crosvm },
	{ VHOST_USER_BACKEND_CROSVM_EXTERNAL_MAP, CROSVM_MAP_MIN, VUC_BACK_PAYLOAD, 0, 0,
	  on_crosvm },
};

static const struct ask_type other_type = {
	0, 0, VUC_BACK_PAYLOAD, 0, VHOST_USER_MAX_FDS, on_other
};

static const struct ask_type *type_of(uint32_t request)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].request == request)
			return &types[i];
	return &other_type;
}

/* ---- the channel ---- */

void vuc_back_close(struct vuc *c, const char *why)
{
	struct vuc_back *b = &c->back;

	if (b->fd < 0)
		return;
	vuc_in_reset(&b->in);
	if (b->out_fd >= 0)
		close(b->out_fd);
	b->out_fd = -1;
	b->out_due = false;
	b->due_ns = 0;
	close(b->fd);
	b->fd = -1;
	b->why = why;
}

/* 0, -EAGAIN, or -errno. */
static int flush(struct vuc *c)
{
	struct vuc_back *b = &c->back;

	while (b->out_due) {
		struct iovec iov = { b->out + b->out_sent, sizeof(b->out) - b->out_sent };
		bool fd = b->out_sent == 0 && b->out_fd >= 0;
		ssize_t n = vuc_send(b->fd, &iov, 1, &b->out_fd, fd);

		if (n < 0)
			return (int)n;
		if (b->out_sent == 0) {
			struct vhost_user_hdr h;

			memcpy(&h, b->out, sizeof(h));
			vuc_trace(c, "b>", &h, fd, b->out + sizeof(h), sizeof(b->out) - sizeof(h));
		}
		b->out_sent += (size_t)n;
		if (b->out_fd >= 0)
			close(b->out_fd);
		b->out_fd = -1;
		b->out_due = b->out_sent < sizeof(b->out);
	}
	return 0;
}

static void answer(struct vuc *c, const struct ask *a, int ret)
{
	struct vuc_back *b = &c->back;
	struct vhost_user_hdr h = {
		.request = a->request,
		.flags = VHOST_USER_VERSION | VHOST_USER_F_REPLY,
		.size = sizeof(uint64_t),
	};
	uint64_t v = (uint64_t)(int64_t)ret;

	memcpy(b->out, &h, sizeof(h));
	memcpy(b->out + sizeof(h), &v, sizeof(v));
	b->out_sent = 0;
	b->out_fd = ret ? -1 : a->reply_fd;
	b->out_due = true;
}

static int check_shape(const struct vuc_in *in, const char **why)
{
	const struct ask_type *t = type_of(in->h.request);
	uint32_t size = in->h.size;

	*why = "the back-end sent something else than a request";
	if ((in->h.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    (in->h.flags & VHOST_USER_F_REPLY))
		return -EPROTO;
	*why = "the back-end sent a request of an impossible size";
	if (size < t->size_min || size > t->size_max)
		return -EPROTO;
	*why = "the back-end sent a request with too few or too many descriptors";
	if (in->lost || in->nfds < t->fd_min || in->nfds > t->fd_max)
		return -EPROTO;
	return 0;
}

static int dispatch(struct vuc *c)
{
	static const struct vuc_back_ops none;
	struct vuc_back *b = &c->back;
	const struct vhost_user_hdr *h = &b->in.h;
	struct ask a = {
		.ops = b->ops ? b->ops : &none,
		.ctx = b->ctx,
		.request = h->request,
		.payload = b->payload,
		.size = h->size,
		.fd = b->in.nfds ? b->in.fds[0] : -1,
		.reply_fd = -1,
	};
	/* A look-up has an answer of its own, asked for or not. */
	bool asked = (h->flags & VHOST_USER_F_NEED_REPLY) ||
		     h->request == VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP;
	int ret;

	vuc_trace(c, "b<", h, b->in.nfds, b->payload, h->size);
	b->busy = true;
	ret = type_of(h->request)->fn(c, &a);
	b->busy = false;
	if (asked && ret != -EBADMSG)
		answer(c, &a, ret);
	if (a.reply_fd >= 0 && b->out_fd != a.reply_fd)
		close(a.reply_fd);
	vuc_in_reset(&b->in);
	return ret == -EBADMSG ? -EPROTO : 0;
}

/* One request. 0: done, -EAGAIN: not there yet, or -errno and why. */
static int one_request(struct vuc *c, const char **why)
{
	struct vuc_back *b = &c->back;
	int ret;

	*why = "the back-end closed it";
	ret = flush(c);
	if (ret)
		return ret;
	ret = vuc_in_fill(b->fd, &b->in, &b->in.h, 0, sizeof(b->in.h));
	if (ret)
		return ret;
	ret = check_shape(&b->in, why);
	if (ret) {
		vuc_trace(c, "b<", &b->in.h, b->in.nfds, NULL, 0);
		return ret;
	}
	*why = "the back-end closed it in the middle of a request";
	ret = vuc_in_fill(b->fd, &b->in, b->payload, sizeof(b->in.h), b->in.h.size);
	if (ret)
		return ret;
	*why = "the back-end sent a request that contradicts itself";
	ret = dispatch(c);
	if (ret)
		return ret;
	b->due_ns = 0;
	ret = flush(c);
	*why = "the back-end closed it";
	return ret;
}

void vuc_back_process(struct vuc *c)
{
	struct vuc_back *b = &c->back;
	const char *why;
	int ret = 0;

	if (b->busy)
		return;
	for (unsigned int i = 0; i < TURN_MAX && ret == 0 && b->fd >= 0 && !c->dead; i++)
		ret = one_request(c, &why);
	if (b->fd < 0)
		return;
	if (ret && ret != -EAGAIN) {
		vuc_back_close(c, why);
		return;
	}
	/* What has begun must end. */
	if (b->in.have == 0 && !b->out_due)
		b->due_ns = 0;
	else if (b->due_ns == 0)
		b->due_ns = vuc_deadline(c);
	else if (clock_ns() >= b->due_ns)
		vuc_back_close(c, b->out_due ? "the back-end did not take an answer" :
					       "the back-end did not finish a request");
}

short vuc_back_events(const struct vuc *c)
{
	return c->back.out_due ? POLLOUT : POLLIN;
}

/* ---- what callers see ---- */

void vuc_set_back_ops(struct vuc *c, const struct vuc_back_ops *ops, void *ctx)
{
	c->back.ops = ops;
	c->back.ctx = ctx;
}

int vuc_back_fd(const struct vuc *c)
{
	return c->back.fd;
}

int vuc_set_backend_req_fd(struct vuc *c, struct err *e)
{
	VUC_HOLD(c);
	struct vuc_msg m = { .request = VHOST_USER_SET_BACKEND_REQ_FD, .nfds = 1 };
	int sv[2], ret = VUC_NEEDS(c, BACKEND_REQ, e);

	if (ret)
		return ret;
	if (c->back.busy)
		return err_set(e, -EBUSY, "back-channel",
			       "a request on the back-channel is being answered");
	/* Blocking: the end that goes away is to be what back-ends expect. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_sys(e, -errno, "vhost-user-socket", "cannot make the back-channel");
	m.fds = &sv[1];
	ret = vuc_call(c, &m, e);
	close(sv[1]);
	if (ret) {
		close(sv[0]);
		return ret;
	}
	vuc_back_close(c, NULL);
	c->back.fd = sv[0];
	c->back.why = NULL;
	return 0;
}

int vuc_backend_wait(struct vuc *c, int timeout_ms, struct err *e)
{
	VUC_HOLD(c);
	uint64_t end = timeout_ms < 0 ? UINT64_MAX : clock_ns() + (uint64_t)timeout_ms * 1000000;

	if (!c->config_changes && c->back.fd < 0 && c->back.why)
		return err_set(e, -ENOTCONN, "back-channel", "the back-channel was given up: %s",
			       c->back.why);
	if (!c->config_changes && c->back.fd < 0)
		return err_set(e, -ENOTCONN, "back-channel",
			       "the back-end has no channel to tell of changes");
	vuc_process(c);
	while (!c->config_changes && c->back.fd >= 0 && !c->dead && clock_ns() < end)
		vuc_wait(c, -1, 0, end);
	if (c->config_changes) {
		c->config_changes--;
		return 1;
	}
	if (c->dead)
		return err_set(e, -ENOTCONN, "vhost-user-lost", "%s", c->dead);
	if (c->back.fd < 0)
		return err_set(e, -ENOTCONN, "back-channel", "the back-channel was given up: %s",
			       c->back.why ? c->back.why : "closed");
	return 0;
}
