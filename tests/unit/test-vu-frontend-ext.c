/* SPDX-License-Identifier: MIT */
/*
 * The public front-end against a made-up back-end that offers everything: device
 * state, crash records, dirty log, shared memory and objects, and its own requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vu/frontend.h>

#include "util/compiler.h"
#include "wire/vhost-user.h"
#include "wire/virtio.h"

#define WAIT_MS 60000
#define OFFERED                                                            \
	(VU_F_VERSION_1 | VU_F_RING_PACKED | VIRTIO_BIT(VHOST_F_LOG_ALL) | \
	 VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define STATE_MAX (1u << 20)

/* ---- the back-end: a thread that answers ---- */

struct msg {
	struct vhost_user_hdr h;
	uint8_t p[4096] __attribute__((aligned(8)));
	int fds[8];
	unsigned int nfds;
};

struct state_job {
	struct back *b;
	int fd;
	bool load;
};

/**
 * struct back
 * @back:	our end of the back-channel, -1: not yet
 * @own_fd:	prefer a descriptor of our own for the state
 * @refuse:	say no to transfers
 * @state, @size: of the device
 * @features, @ring_flags, @bases, @inflight_fd, @log_size, @iotlb: as last told
 * @mute:	answer nothing any more
 * @keep:	never answer where a ring stands
 * @clog:	fill the kick's counter and make it block
 */
struct back {
	int fd;
	pthread_t thread;
	atomic_int back;
	atomic_bool own_fd, refuse, mute, keep, clog;
	uint8_t state[STATE_MAX];
	size_t size;
	struct state_job job;
	pthread_t worker;
	bool working, failed;
	_Atomic uint64_t features, log_size;
	atomic_uint ring_flags, bases, inflight_size, order, inflight_order, kick_order;
	struct vhost_user_iotlb iotlb;
	uint16_t position; /* what the ring is said to stand at */
};

static bool take(int fd, struct msg *m)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 8)];
	} ctl;
	struct iovec iov = { &m->h, sizeof(m->h) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &ctl,
			     .msg_controllen = sizeof(ctl) };

	m->nfds = 0;
	if (recvmsg(fd, &mh, MSG_WAITALL) != (ssize_t)sizeof(m->h) || m->h.size > sizeof(m->p))
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c)) {
		m->nfds = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(m->fds, CMSG_DATA(c), m->nfds * sizeof(int));
	}
	return !m->h.size || recv(fd, m->p, m->h.size, MSG_WAITALL) == (ssize_t)m->h.size;
}

static void give(int fd, uint32_t request, uint32_t flags, const void *p, uint32_t size, int with)
{
	struct vhost_user_hdr h = { request, VHOST_USER_VERSION | flags, size };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)p, size } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

	if (with >= 0) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = &ctl;
		mh.msg_controllen = sizeof(ctl);
		CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), &with, sizeof(int));
	}
	if (sendmsg(fd, &mh, MSG_NOSIGNAL) < 0)
		return; /* the front-end is gone; the reading side ends it */
}

/* The state goes over while the socket is served, as the specification has it. */
static void *transfer(void *arg)
{
	struct state_job *j = arg;
	struct back *b = j->b;
	size_t n = 0;
	ssize_t k;

	if (j->load) {
		while ((k = read(j->fd, b->state + n, STATE_MAX - n)) > 0)
			n += (size_t)k;
		b->size = n;
	} else {
		while (n < b->size && (k = write(j->fd, b->state + n, b->size - n)) > 0)
			n += (size_t)k;
	}
	b->failed = n != b->size;
	close(j->fd);
	return NULL;
}

static void state_fd(struct back *b, struct msg *m)
{
	struct vhost_user_transfer t;
	uint64_t v = VHOST_USER_STATE_NOFD;
	int use = m->fds[0], theirs = -1, p[2];

	memcpy(&t, m->p, sizeof(t));
	if (b->refuse) {
		v = 1 | VHOST_USER_STATE_NOFD;
		close(use);
	} else if (b->own_fd && pipe2(p, O_CLOEXEC) == 0) {
		v = 0;
		close(use);
		use = p[!t.direction];
		theirs = p[t.direction];
	}
	m->nfds = 0;
	if (!b->refuse) {
		b->job = (struct state_job){ b, use, t.direction };
		b->working = pthread_create(&b->worker, NULL, transfer, &b->job) == 0;
	}
	give(b->fd, m->h.request, VHOST_USER_F_REPLY, &v, sizeof(v), theirs);
	if (theirs >= 0)
		close(theirs);
}

static uint64_t state_check(struct back *b)
{
	if (!b->working)
		return 1;
	pthread_join(b->worker, NULL);
	b->working = false;
	return b->failed;
}

static void give_u64(struct back *b, const struct msg *m, uint64_t v)
{
	give(b->fd, m->h.request, VHOST_USER_F_REPLY, &v, sizeof(v), -1);
}

static void give_inflight(struct back *b, const struct msg *m)
{
	struct vhost_user_inflight i;
	int fd = memfd_create("inflight", MFD_CLOEXEC);

	memcpy(&i, m->p, VHOST_USER_INFLIGHT_SIZE);
	i.mmap_size = 4096;
	i.mmap_offset = 0;
	if (ftruncate(fd, 4096) == 0)
		give(b->fd, m->h.request, VHOST_USER_F_REPLY, &i, VHOST_USER_INFLIGHT_SIZE, fd);
	close(fd);
}

/* Messages with an answer of their own. False: it has none. */
static bool answer(struct back *b, struct msg *m)
{
	static const struct vhost_user_shmem_config shmem = { 2, 0, { 0x10000, 0, 0x20000 } };
	struct vhost_user_vring_state s = { 0, b->position };

	switch (m->h.request) {
	case VHOST_USER_GET_FEATURES:
		give_u64(b, m, OFFERED);
		return true;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		give_u64(b, m, ~(UINT64_C(1) << VHOST_USER_PROTOCOL_F_STATUS));
		return true;
	case VHOST_USER_GET_QUEUE_NUM:
		give_u64(b, m, 4);
		return true;
	case VHOST_USER_GET_CONFIG:
		give(b->fd, m->h.request, VHOST_USER_F_REPLY, m->p, m->h.size, -1);
		return true;
	case VHOST_USER_GET_VRING_BASE:
		if (b->keep)
			return true;
		memcpy(&s.index, m->p, sizeof(s.index));
		give(b->fd, m->h.request, VHOST_USER_F_REPLY, &s, sizeof(s), -1);
		return true;
	case VHOST_USER_GET_INFLIGHT_FD:
		give_inflight(b, m);
		return true;
	case VHOST_USER_SET_LOG_BASE:
		memcpy(&b->log_size, m->p, sizeof(b->log_size));
		give(b->fd, m->h.request, VHOST_USER_F_REPLY, NULL, 0, -1);
		return true;
	case VHOST_USER_IOTLB_MSG:
		memcpy(&b->iotlb, m->p, MIN(sizeof(b->iotlb), (size_t)m->h.size));
		give_u64(b, m, b->iotlb.type == VHOST_USER_IOTLB_MISS);
		return true;
	case VHOST_USER_SET_DEVICE_STATE_FD:
		state_fd(b, m);
		return true;
	case VHOST_USER_CHECK_DEVICE_STATE:
		give_u64(b, m, state_check(b));
		return true;
	case VHOST_USER_GET_SHMEM_CONFIG:
		give(b->fd, m->h.request, VHOST_USER_F_REPLY, &shmem, sizeof(shmem), -1);
		return true;
	case VHOST_USER_GET_SHARED_OBJECT:
		give(b->fd, m->h.request, VHOST_USER_F_REPLY, m->p, 16, m->p[0] ? b->fd : -1);
		return true;
	default:
		return false;
	}
}

static void stuff(int fd)
{
	const uint64_t most = UINT64_MAX - 1;
	int fl = fcntl(fd, F_GETFL);

	if (write(fd, &most, sizeof(most)) == sizeof(most))
		fcntl(fd, F_SETFL, fl & ~O_NONBLOCK);
}

static void note(struct back *b, struct msg *m)
{
	unsigned int now = ++b->order;

	switch (m->h.request) {
	case VHOST_USER_SET_FEATURES:
		memcpy(&b->features, m->p, sizeof(b->features));
		break;
	case VHOST_USER_SET_VRING_ADDR:
		b->ring_flags = ((struct vhost_user_vring_addr *)m->p)->flags;
		break;
	case VHOST_USER_SET_VRING_BASE:
		b->bases = ((struct vhost_user_vring_state *)m->p)->num;
		break;
	case VHOST_USER_SET_VRING_KICK:
		b->kick_order = now;
		if (atomic_exchange(&b->clog, false))
			stuff(m->fds[0]);
		break;
	case VHOST_USER_SET_INFLIGHT_FD:
		b->inflight_order = now;
		b->inflight_size = (unsigned int)((struct vhost_user_inflight *)m->p)->mmap_size;
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		b->back = m->fds[0];
		m->nfds = 0;
		break;
	default:
		break;
	}
}

static void *run(void *arg)
{
	struct back *b = arg;
	struct msg m;

	while (take(b->fd, &m)) {
		if (!b->mute && !answer(b, &m)) {
			note(b, &m);
			if (m.h.flags & VHOST_USER_F_NEED_REPLY)
				give_u64(b, &m, 0);
		}
		for (unsigned int i = 0; i < m.nfds; i++)
			close(m.fds[i]);
	}
	return NULL;
}

/* ---- what the front-end is asked ---- */

struct seen {
	struct vu_fe_shmem shmem;
	uint8_t uuid[16];
	struct vu_fe_iotlb iotlb;
	uint32_t gpu_size, external_size, other;
	unsigned int changes, unmaps, removes, notifier;
	uint64_t mapped; /* what the file held that came along */
	int notifier_fd;
};

static int on_change(void *ctx)
{
	((struct seen *)ctx)->changes++;
	return 0;
}

static int on_map(void *ctx, const struct vu_fe_shmem *m, int fd)
{
	struct seen *s = ctx;

	s->shmem = *m;
	if (pread(fd, &s->mapped, sizeof(s->mapped), (off_t)m->fd_offset) != sizeof(s->mapped))
		return -EIO;
	return 0;
}

static int on_unmap(void *ctx, const struct vu_fe_shmem *m)
{
	((struct seen *)ctx)->unmaps++;
	return m->shmid == 7 ? -ENOENT : 0;
}

static int on_add(void *ctx, const uint8_t *uuid)
{
	memcpy(((struct seen *)ctx)->uuid, uuid, 16);
	return 0;
}

static int on_remove(void *ctx, const uint8_t *uuid)
{
	((struct seen *)ctx)->removes++;
	return 0;
}

static int on_lookup(void *ctx, const uint8_t *uuid, int *fd)
{
	if (uuid[0] == 0)
		return -ENOENT;
	*fd = memfd_create("object", MFD_CLOEXEC);
	return write(*fd, uuid, 16) == 16 ? 0 : -EIO;
}

static int on_gpu_map(void *ctx, const void *payload, uint32_t size, int fd)
{
	((struct seen *)ctx)->gpu_size = size;
	return fd >= 0 ? 0 : -EBADF;
}

static int on_external_map(void *ctx, const void *payload, uint32_t size)
{
	((struct seen *)ctx)->external_size = size;
	return 0;
}

static int on_iotlb(void *ctx, const struct vu_fe_iotlb *m)
{
	((struct seen *)ctx)->iotlb = *m;
	return 0;
}

static int on_notifier(void *ctx, unsigned int index, uint64_t offset, uint64_t size, int fd)
{
	((struct seen *)ctx)->notifier = index;
	((struct seen *)ctx)->notifier_fd = fd;
	return 0;
}

static int on_other(void *ctx, uint32_t request, const void *payload, uint32_t size, int fd)
{
	((struct seen *)ctx)->other = request;
	return 0;
}

static const struct vu_fe_callbacks callbacks = {
	.struct_size = sizeof(callbacks),
	.config_changed = on_change,
	.shmem_map = on_map,
	.shmem_unmap = on_unmap,
	.object_add = on_add,
	.object_remove = on_remove,
	.object_lookup = on_lookup,
	.gpu_map = on_gpu_map,
	.external_map = on_external_map,
	.iotlb = on_iotlb,
	.host_notifier = on_notifier,
	.other = on_other,
};

/* ---- both ---- */

struct fix {
	struct back b;
	struct seen seen;
	struct vu_fe *fe;
	struct vu_fe_mem *mem;
	struct vu_fe_queue *q;
};

static void begin(struct fix *f, const struct vu_fe_callbacks *cb, int timeout_ms)
{
	const struct vu_fe_opts o = { .struct_size = sizeof(o),
				      .timeout_ms = timeout_ms,
				      .callbacks = cb,
				      .ctx = &f->seen };
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	f->b.fd = sv[0];
	f->b.back = -1;
	assert_int_equal(pthread_create(&f->b.thread, NULL, run, &f->b), 0);
	f->fe = vu_fe_connect_fd(sv[1], &o);
	assert_non_null(f->fe);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	begin(f, &callbacks, WAIT_MS);
	*state = f;
	return 0;
}

static void finish(struct fix *f)
{
	vu_fe_queue_free(f->q);
	vu_fe_free(f->fe);
	vu_fe_mem_free(f->mem);
	shutdown(f->b.fd, SHUT_RDWR);
	pthread_join(f->b.thread, NULL);
	close(f->b.fd);
	if (f->b.back >= 0)
		close(f->b.back);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	finish(f);
	free(f);
	return 0;
}

static void bring_up(struct fix *f)
{
	assert_int_equal(vu_fe_negotiate(f->fe, VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM)), 0);
	f->mem = vu_fe_mem_new();
	assert_non_null(vu_fe_mem_add(f->mem, 0, 1 << 20));
	assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
	f->q = vu_fe_queue_new(f->fe, 1, 16, 0);
	assert_non_null(f->q);
}

/* ---- state ---- */

static void fill(uint8_t *p, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)((i + seed) * 2654435761u >> 13);
}

/* Larger than any pipe. */
static void snapshot_and_restore(struct fix *f, bool own_fd)
{
	uint8_t *want = malloc(500000);
	size_t size = 0;
	void *got = NULL;

	f->b.own_fd = own_fd;
	f->b.size = 500000;
	fill(f->b.state, f->b.size, 1);
	memcpy(want, f->b.state, f->b.size);
	bring_up(f);
	assert_int_equal(vu_fe_activate(f->fe), 0);
	assert_int_equal(vu_fe_save(f->fe, &got, &size), -EBUSY); /* it runs */
	f->b.position = 5;
	assert_int_equal(vu_fe_sleep(f->fe), 0);
	assert_int_equal(vu_fe_save(f->fe, &got, &size), 0);
	assert_int_equal(size, 500000);
	assert_memory_equal(got, want, size);
	/* The device goes on, and is put back to what it was. */
	fill(f->b.state, f->b.size, 2);
	assert_int_equal(vu_fe_load(f->fe, got, size), 0);
	assert_int_equal(f->b.size, 500000);
	assert_memory_equal(f->b.state, want, size);
	assert_int_equal(vu_fe_wake(f->fe), 0);
	assert_int_equal(f->b.bases, 5); /* from where it was reclaimed */
	free(got);
	free(want);
}

static void state_goes_through_our_descriptor(void **state)
{
	snapshot_and_restore(*state, false);
}

static void state_goes_through_the_back_ends_descriptor(void **state)
{
	snapshot_and_restore(*state, true);
}

static void state_is_a_stream_for_those_who_want_one(void **state)
{
	struct fix *f = *state;
	uint8_t buf[64];
	ssize_t n;
	int fd;

	bring_up(f);
	for (unsigned int own = 0; own < 2; own++) {
		f->b.own_fd = own;
		f->b.size = 10;
		memcpy(f->b.state, "0123456789", 10);
		fd = vu_fe_state_begin(f->fe, false);
		assert_true(fd >= 0);
		n = read(fd, buf, sizeof(buf));
		assert_int_equal(n, 10);
		assert_int_equal(read(fd, buf, sizeof(buf)), 0);
		close(fd);
		assert_int_equal(vu_fe_state_end(f->fe), 0);
		fd = vu_fe_state_begin(f->fe, true);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "abc", 3), 3);
		close(fd);
		assert_int_equal(vu_fe_state_end(f->fe), 0);
		assert_int_equal(f->b.size, 3);
		assert_memory_equal(f->b.state, "abc", 3);
	}
}

static void refused_transfer_is_told(void **state)
{
	struct fix *f = *state;
	size_t size;
	void *got;

	bring_up(f);
	f->b.refuse = true;
	assert_int_equal(vu_fe_save(f->fe, &got, &size), -EREMOTEIO);
	assert_int_equal(vu_fe_state_begin(f->fe, true), -EREMOTEIO);
	assert_int_equal(vu_fe_state_end(f->fe), -EREMOTEIO); /* there was none */
	f->b.refuse = false;
	assert_int_equal(vu_fe_load(f->fe, "x", 1), 0);
}

/* ---- records, log, others ---- */

static void crash_record_is_got_and_given_before_the_rings(void **state)
{
	struct fix *f = *state;
	struct vu_fe_inflight i;

	bring_up(f);
	assert_int_equal(vu_fe_inflight_get(f->fe, 2, 16, &i), 0);
	assert_int_equal(i.size, 4096);
	assert_int_equal(i.queues, 2);
	assert_int_equal(i.queue_size, 16);
	assert_true(fcntl(i.fd, F_GETFD) >= 0);
	assert_int_equal(vu_fe_inflight_set(f->fe, &i), 0);
	assert_int_equal(vu_fe_activate(f->fe), 0);
	assert_int_equal(f->b.inflight_size, 4096);
	assert_true(f->b.inflight_order && f->b.inflight_order < f->b.kick_order);
	assert_int_equal(vu_fe_inflight_set(f->fe, &i), -EBUSY);
	close(i.fd);
}

static void log_is_switched_with_rings_and_features(void **state)
{
	struct fix *f = *state;
	uint64_t bit = VIRTIO_BIT(VHOST_F_LOG_ALL);
	int fd = memfd_create("log", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 4096), 0);
	bring_up(f);
	assert_int_equal(vu_fe_activate(f->fe), 0);
	assert_int_equal(f->b.features & bit, 0);
	assert_int_equal(vu_fe_log_start(f->fe, fd, 4096, 0), 0);
	assert_int_equal(f->b.log_size, 4096);
	assert_int_equal(f->b.features & bit, bit);
	assert_int_equal(f->b.ring_flags, VHOST_USER_VRING_ADDR_F_LOG);
	assert_int_equal(vu_fe_features(f->fe) & bit, 0); /* no business of the driver's */
	assert_int_equal(vu_fe_log_stop(f->fe), 0);
	assert_int_equal(f->b.features & bit, 0);
	assert_int_equal(f->b.ring_flags, 0);
	close(fd);
}

static void small_things_are_asked_and_told(void **state)
{
	struct vu_fe_iotlb t = { 0x1000, 0x2000, 0x7000, 3, VU_FE_IOTLB_UPDATE };
	uint8_t uuid[16] = { 1 };
	struct fix *f = *state;
	uint64_t sizes[256];
	int fd = -1;

	bring_up(f);
	assert_int_equal(vu_fe_max_queues(f->fe), 4);
	assert_int_equal(vu_fe_shmem_sizes(f->fe, sizes), 2);
	assert_int_equal(sizes[0], 0x10000);
	assert_int_equal(sizes[1], 0);
	assert_int_equal(sizes[2], 0x20000);
	assert_int_equal(vu_fe_shared_object(f->fe, uuid, &fd), 0);
	assert_true(fd >= 0);
	close(fd);
	uuid[0] = 0;
	assert_int_equal(vu_fe_shared_object(f->fe, uuid, &fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(vu_fe_iotlb(f->fe, &t), 0);
	assert_int_equal(f->b.iotlb.iova, 0x1000);
	assert_int_equal(f->b.iotlb.uaddr, 0x7000);
	assert_int_equal(f->b.iotlb.perm, 3);
	t.type = VU_FE_IOTLB_MISS; /* which only the back-end may say */
	assert_int_equal(vu_fe_iotlb(f->fe, &t), -EREMOTEIO);
	assert_int_equal(vu_fe_gpu_socket(f->fe, 0), 0);
}

/* ---- requests of the back-end ---- */

/* Ask, let the front-end answer, and take that. */
static uint64_t ask(struct fix *f, uint32_t request, const void *p, uint32_t size, int fd, int *got)
{
	struct msg m = { .h = { 0 } };
	uint64_t v;

	give(f->b.back, request, VHOST_USER_F_NEED_REPLY, p, size, fd);
	assert_int_equal(vu_fe_process(f->fe), 0);
	assert_true(take(f->b.back, &m));
	assert_int_equal(m.h.request, request);
	assert_int_equal(m.h.flags, VHOST_USER_VERSION | VHOST_USER_F_REPLY);
	assert_int_equal(m.h.size, 8);
	if (got)
		*got = m.nfds ? m.fds[0] : -1;
	else
		assert_int_equal(m.nfds, 0);
	memcpy(&v, m.p, sizeof(v));
	return v;
}

static void back_end_may_ask_for_everything(void **state)
{
	const struct vhost_user_mmap map = { 3, { 0 }, 8, 0x4000, 0x1000, 1 };
	const struct vhost_user_mmap bad = { .shmid = 7 };
	const struct vhost_user_iotlb miss = { 0x5000, 0, 0, 1, VHOST_USER_IOTLB_MISS, { 0 } };
	const struct {
		uint64_t index, size, offset;
	} area = { 2, 4096, 0 };
	struct fix *f = *state;
	struct seen *s = &f->seen;
	uint8_t uuid[16] = { 9 }, crosvm[24] = { 0 }, back[16];
	const uint64_t magic = 0x1122334455667788;
	int fd = memfd_create("shm", MFD_CLOEXEC), got;

	assert_int_equal(pwrite(fd, &magic, 8, 8), 8);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, -1, NULL), 0);
	assert_int_equal(s->changes, 1);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_SHMEM_MAP, &map, sizeof(map), fd, NULL), 0);
	assert_int_equal(s->shmem.shmid, 3);
	assert_true(s->shmem.writable);
	assert_int_equal(s->shmem.shm_offset, 0x4000);
	assert_int_equal(s->shmem.len, 0x1000);
	assert_true(s->mapped == magic);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_SHMEM_UNMAP, &map, sizeof(map), -1, NULL), 0);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_SHMEM_UNMAP, &bad, sizeof(bad), -1, NULL),
			 (uint64_t)-ENOENT);
	assert_int_equal(s->unmaps, 2);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_SHARED_OBJECT_ADD, uuid, 16, -1, NULL), 0);
	assert_memory_equal(s->uuid, uuid, 16);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, uuid, 16, -1, NULL), 0);
	assert_int_equal(s->removes, 1);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, uuid, 16, -1, &got), 0);
	assert_int_equal(pread(got, back, 16, 0), 16);
	assert_memory_equal(back, uuid, 16);
	close(got);
	uuid[0] = 0;
	assert_int_not_equal(ask(f, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, uuid, 16, -1, &got),
			     0);
	assert_int_equal(got, -1);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_CROSVM_GPU_MAP, crosvm, 24, fd, NULL), 0);
	assert_int_equal(s->gpu_size, 24);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_CROSVM_EXTERNAL_MAP, crosvm, 24, -1, NULL), 0);
	assert_int_equal(s->external_size, 24);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_IOTLB_MSG, &miss, sizeof(miss), -1, NULL), 0);
	assert_int_equal(s->iotlb.iova, 0x5000);
	assert_int_equal(s->iotlb.type, VU_FE_IOTLB_MISS);
	assert_int_equal(ask(f, VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, &area, 24, fd, NULL),
			 0);
	assert_int_equal(s->notifier, 2);
	assert_true(s->notifier_fd >= 0);
	assert_int_equal(ask(f, 777, "abcd", 4, -1, NULL), 0);
	assert_int_equal(s->other, 777);
	close(fd);
}

static void requests_without_a_function_are_refused(void **state)
{
	const struct vhost_user_mmap map = { .shmid = 3 };
	struct fix *f = calloc(1, sizeof(*f));
	uint8_t uuid[16] = { 9 };
	int got;

	(void)state;
	assert_non_null(f);
	begin(f, NULL, WAIT_MS);
	assert_int_not_equal(ask(f, VHOST_USER_BACKEND_SHMEM_UNMAP, &map, sizeof(map), -1, NULL),
			     0);
	assert_int_not_equal(ask(f, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, uuid, 16, -1, &got),
			     0);
	assert_int_not_equal(ask(f, 777, NULL, 0, -1, NULL), 0);
	/* A change needs none: it is counted. */
	assert_int_equal(ask(f, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, -1, NULL), 0);
	assert_int_equal(vu_fe_config_wait(f->fe, 0), 1);
	assert_int_equal(vu_fe_config_wait(f->fe, 0), 0);
	finish(f);
	free(f);
}

/* A write to that would never end. */
static void full_kick_that_blocks_is_a_kick(void **state)
{
	struct fix *f = *state;

	f->b.clog = true;
	bring_up(f);
	assert_int_equal(vu_fe_activate(f->fe), 0);
	vu_fe_queue_kick(f->q);
	assert_int_equal(vu_fe_sleep(f->fe), 0);
	assert_int_equal(vu_fe_wake(f->fe), 0);
}

/* The memory is not for another queue while the device may write to it. */
static void disk_that_does_not_stop_keeps_its_memory(void **state)
{
	const struct vu_fe_blk_opts o = { .struct_size = sizeof(o), .queue_size = 4 };
	struct fix *f = calloc(1, sizeof(*f));
	uint64_t before, after, unused;
	struct vu_fe_blk *k;

	(void)state;
	assert_non_null(f);
	begin(f, NULL, 200);
	f->mem = vu_fe_mem_new();
	assert_non_null(vu_fe_mem_add(f->mem, 0, 4 << 20));
	assert_non_null(vu_fe_mem_alloc(f->mem, 64, 64, &before));
	assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
	k = vu_fe_blk_open(f->fe, &o);
	assert_non_null(k);
	f->b.keep = true;
	vu_fe_blk_close(k);
	assert_int_equal(vu_fe_config_read(f->fe, 0, &unused, 8), -ENOTCONN);
	assert_non_null(vu_fe_mem_alloc(f->mem, 64, 64, &after));
	assert_true(after > before + 64);
	finish(f);
	free(f);
}

static int free_on_change(void *ctx)
{
	struct fix *f = container_of(ctx, struct fix, seen);

	f->seen.changes++;
	vu_fe_free(f->fe);
	return 0;
}

static void front_end_is_freed_by_a_request(void **state)
{
	const struct vu_fe_callbacks cb = { .struct_size = sizeof(cb),
					    .config_changed = free_on_change };
	struct fix *f = calloc(1, sizeof(*f));

	(void)state;
	assert_non_null(f);
	begin(f, &cb, WAIT_MS);
	/* Behind it is another, which nobody is there for any more. */
	for (unsigned int i = 0; i < 2; i++)
		give(f->b.back, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_F_NEED_REPLY, NULL,
		     0, -1);
	vu_fe_process(f->fe);
	f->fe = NULL;
	assert_int_equal(f->seen.changes, 1);
	finish(f);
	free(f);
}

static void silent_back_end_costs_the_time_and_no_more(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	size_t size;
	void *got;

	(void)state;
	assert_non_null(f);
	begin(f, NULL, 200);
	bring_up(f);
	f->b.mute = true;
	assert_int_equal(vu_fe_save(f->fe, &got, &size), -ETIMEDOUT);
	assert_string_equal(vu_error_id(), "vhost-user-lost");
	assert_int_equal(vu_fe_activate(f->fe), -ENOTCONN);
	assert_int_equal(vu_fe_process(f->fe), -ENOTCONN);
	finish(f);
	free(f);
}

#define T(x) cmocka_unit_test_setup_teardown(x, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(state_goes_through_our_descriptor),
		T(state_goes_through_the_back_ends_descriptor),
		T(state_is_a_stream_for_those_who_want_one),
		T(refused_transfer_is_told),
		T(crash_record_is_got_and_given_before_the_rings),
		T(log_is_switched_with_rings_and_features),
		T(small_things_are_asked_and_told),
		T(back_end_may_ask_for_everything),
		cmocka_unit_test(requests_without_a_function_are_refused),
		T(full_kick_that_blocks_is_a_kick),
		cmocka_unit_test(disk_that_does_not_stop_keeps_its_memory),
		cmocka_unit_test(front_end_is_freed_by_a_request),
		cmocka_unit_test(silent_back_end_costs_the_time_and_no_more),
	};

	return cmocka_run_group_tests_name("public front-end: extensions", tests, NULL, NULL);
}
