/* SPDX-License-Identifier: MIT */
#include "vu-world.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/compiler.h"
#include "util/log.h"

/* ---- the model: answers with one byte per request, or keeps it until told ---- */

static void model_answer(struct model *md, struct vu_chain *c)
{
	uint8_t x = 0x5a;

	vu_queue_push(c, vu_chain_put(c, &x, 1) ? 1 : 0);
	atomic_fetch_add(&md->served, 1);
}

static uint64_t model_features(void *dev)
{
	return 0;
}

static void model_negotiated(void *dev, uint64_t features)
{
	atomic_fetch_add(&((struct model *)dev)->negotiations, 1);
}

static int model_config_write(void *dev, uint32_t off, const void *buf, uint32_t len)
{
	struct model *md = dev;

	if (off == 0)
		return -EPERM;
	if (off == LATER_OFF && len == 1)
		return -EINPROGRESS;
	if (off + len > sizeof(md->written))
		return -EINVAL;
	memcpy(md->written + off, buf, len);
	md->writes++;
	return 0;
}

static int model_queue_start(void *dev, struct vu_queue *q)
{
	atomic_fetch_add(&((struct model *)dev)->starts, 1);
	return 0;
}

static void model_queue_kick(void *dev, struct vu_queue *q)
{
	struct model *md = dev;
	struct vu_chain *c;

	while ((c = vu_queue_pop(q))) {
		if (atomic_load(&md->hold))
			md->held[atomic_fetch_add(&md->held_n, 1)] = c;
		else
			model_answer(md, c);
	}
}

static void model_queue_stopped(void *dev, struct vu_queue *q)
{
	atomic_fetch_add(&((struct model *)dev)->stops, 1);
}

static void model_reset(void *dev)
{
	atomic_fetch_add(&((struct model *)dev)->resets, 1);
}

void world_model_release(void *arg) /* on the worker */
{
	struct model *md = arg;

	atomic_store(&md->hold, false);
	for (unsigned int i = 0; i < atomic_load(&md->held_n); i++)
		model_answer(md, md->held[i]);
	atomic_store(&md->held_n, 0);
}

const struct vu_model world_model = {
	.struct_size = sizeof(struct vu_model),
	.name = "stub",
	.virtio_id = 2,
	.config_size = 16,
	.features = model_features,
	.negotiated = model_negotiated,
	.config_write = model_config_write,
	.queue_start = model_queue_start,
	.queue_kick = model_queue_kick,
	.queue_stopped = model_queue_stopped,
	.reset = model_reset,
};

/* ---- the world ---- */

unsigned int world_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

unsigned int world_count_maps(const char *what)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	fclose(f);
	return n;
}

static void sink(void *ctx, enum log_level lvl, const char *line)
{
	struct world *w = ctx;
	size_t n = strlen(w->log);

	if (n + strlen(line) + 2 < sizeof(w->log))
		sprintf(w->log + n, "%s\n", line);
}

static void on_ready(void *ctx, const struct transport_info *info)
{
	struct world *w = ctx;

	w->ready++;
	assert_string_equal(info->path, w->path);
}

static void on_connected(void *ctx, const struct transport_peer *peer)
{
	struct world *w = ctx;

	w->connected++;
	w->peer = *peer;
}

static void on_disconnected(void *ctx, const char *why)
{
	struct world *w = ctx;

	w->disconnected++;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static void on_failed(void *ctx, const struct err *e)
{
	((struct world *)ctx)->failed++;
}

static void on_stopped(void *ctx, int res, const struct err *e)
{
	struct world *w = ctx;

	w->stopped = true;
	w->stop_res = res;
}

static const struct transport_events events = {
	.ready = on_ready,
	.connected = on_connected,
	.disconnected = on_disconnected,
	.failed = on_failed,
};

void world_turn_for(struct world *w, uint64_t ns)
{
	uint64_t until = clock_ns() + ns;

	while (clock_ns() < until)
		loop_turn(w->loop, 2);
}

int world_start(struct world *w, int fd, bool once, struct err *e)
{
	struct transport_args a = {
		.dev = w->dev,
		.ev = &events,
		.ctx = w,
		.name = "t",
		.path = fd < 0 ? w->path : NULL,
		.fd = fd,
		.mode = 0660,
		.group = (gid_t)-1,
		.once = once,
	};
	int ret = vhost_user_transport.start(&a, &w->t, e);

	if (ret == 0)
		UNTIL(w, w->ready);
	return ret;
}

void world_stop_begin(struct world *w, enum transport_stop how)
{
	w->stopped = false;
	vhost_user_transport.stop(w->t, how, on_stopped, w);
	assert_false(w->stopped); /* never from inside the call */
}

void world_stop(struct world *w)
{
	if (!w->t)
		return;
	world_stop_begin(w, TRANSPORT_STOP_ASK);
	UNTIL(w, w->stopped);
	vhost_user_transport.free(w->t);
	w->t = NULL;
	w->ready = 0;
}

int fe_connect(struct world *w)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, w->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

int world_bare(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct worker_cfg wc = { .name = "t", .cpu = -1 };
	struct vdev_args a = { .name = "disk",
			       .model = &world_model,
			       .nqueues = QUEUES,
			       .max_size = 1024,
			       .nworkers = 1,
			       .packed = true };
	struct err e;

	w->fds_before = world_count_fds();
	w->sock = -1;
	log_set_sink(sink, w);
	log_set_level(LOG_LVL_INFO);
	strcpy(w->dir, "/tmp/vu-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/sock", w->dir);
	w->loop = loop_new();
	w->worker = worker_new(&wc);
	a.priv = &w->model;
	a.workers = &w->worker;
	a.loop = w->loop;
	w->dev = vdev_new(&a, &e);
	assert_non_null(w->dev);
	w->memfd = memfd_create("vu-test-guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->memfd, MEM_SIZE), 0);
	w->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w->memfd, 0);
	for (int i = 0; i < QUEUES; i++) {
		w->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		w->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	*state = w;
	return 0;
}

int world_setup(void **state)
{
	struct err e;
	struct world *w;

	world_bare(state);
	w = *state;
	assert_int_equal(world_start(w, -1, false, &e), 0);
	w->sock = fe_connect(w);
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;
	unsigned int fds;

	world_stop(w);
	if (w->sock >= 0)
		close(w->sock);
	vdev_free(w->dev);
	worker_free(w->worker);
	loop_free(w->loop);
	munmap(w->mem, MEM_SIZE);
	close(w->memfd);
	for (int i = 0; i < QUEUES; i++) {
		close(w->kick[i]);
		close(w->call[i]);
	}
	unlink(w->path);
	rmdir(w->dir);
	log_set_sink(NULL, NULL);
	fds = w->fds_before;
	free(w);
	assert_int_equal(world_count_maps("vu-test-guest"), 0);
	assert_int_equal(world_count_fds(), fds);
	return 0;
}

/* ---- a front end by hand ---- */

void fe_send(int sock, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	     const int *fds, unsigned int nfds)
{
	uint8_t buf[sizeof(struct vhost_user_hdr) + 4096];
	struct vhost_user_hdr hdr = { request, flags, size };
	union {
		char buf[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} c;
	struct iovec iov = { buf, sizeof(hdr) + size };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(buf, &hdr, sizeof(hdr));
	if (size)
		memcpy(buf + sizeof(hdr), payload, size);
	if (nfds) {
		struct cmsghdr *h;

		memset(&c, 0, sizeof(c));
		mh.msg_control = c.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		h = CMSG_FIRSTHDR(&mh);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &mh, MSG_NOSIGNAL), (ssize_t)iov.iov_len);
}

bool fe_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* The reply to @request; returns the bytes of its payload. */
uint32_t fe_reply(struct world *w, uint32_t request, void *payload, size_t room)
{
	struct vhost_user_hdr hdr;
	uint8_t buf[sizeof(union vhost_user_payload)];

	UNTIL(w, fe_readable(w->sock));
	if (recv(w->sock, &hdr, sizeof(hdr), MSG_WAITALL) != sizeof(hdr))
		fail_msg("hung up instead of a reply; log:\n%s", w->log);
	assert_int_equal(hdr.request, request);
	assert_int_equal(hdr.flags, VHOST_USER_VERSION | VHOST_USER_F_REPLY);
	assert_true(hdr.size <= room && hdr.size <= sizeof(buf));
	if (hdr.size)
		assert_int_equal(recv(w->sock, buf, hdr.size, MSG_WAITALL), hdr.size);
	memcpy(payload, buf, hdr.size);
	return hdr.size;
}

uint64_t fe_ask_u64(struct world *w, uint32_t request, uint32_t flags, const void *payload,
		    uint32_t size)
{
	uint64_t v = 0;

	fe_send(w->sock, request, flags, payload, size, NULL, 0);
	assert_int_equal(fe_reply(w, request, &v, sizeof(v)), sizeof(v));
	return v;
}

/* Everything said so far has been handled, and nothing but this was answered. */
void fe_sync(struct world *w)
{
	fe_ask_u64(w, VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, NULL, 0);
}

void fe_say_u64(struct world *w, uint32_t request, uint64_t v)
{
	fe_send(w->sock, request, VHOST_USER_VERSION, &v, sizeof(v), NULL, 0);
}

void fe_say_state(struct world *w, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state st = { index, num };

	fe_send(w->sock, request, VHOST_USER_VERSION, &st, sizeof(st), NULL, 0);
}

uint64_t fe_ask_state(struct world *w, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state st = { index, num };

	return fe_ask_u64(w, request, ACK, &st, sizeof(st));
}

void fe_say_fd(struct world *w, uint32_t request, uint64_t v, int fd)
{
	fe_send(w->sock, request, VHOST_USER_VERSION, &v, sizeof(v), &fd, 1);
}

uint64_t fe_ask_fd(struct world *w, uint32_t request, uint64_t v, int fd)
{
	fe_send(w->sock, request, ACK, &v, sizeof(v), &fd, 1);
	v = ~UINT64_C(0);
	fe_reply(w, request, &v, sizeof(v));
	return v;
}

void fe_say_table(struct world *w)
{
	struct vhost_user_mem_table t = {
		.nregions = 1,
		.regions = { { .gpa = GPA, .size = MEM_SIZE, .uva = UVA } },
	};

	fe_send(w->sock, VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, &t, 8 + 32, &w->memfd, 1);
}

void fe_say_addr(struct world *w, unsigned int qi)
{
	struct vhost_user_vring_addr a = {
		.index = qi,
		.desc = UVA + qi * QUEUE_STEP + DESC_OFF,
		.avail = UVA + qi * QUEUE_STEP + AVAIL_OFF,
		.used = UVA + qi * QUEUE_STEP + USED_OFF,
	};

	fe_send(w->sock, VHOST_USER_SET_VRING_ADDR, VHOST_USER_VERSION, &a, sizeof(a), NULL, 0);
}

void fe_negotiate(struct world *w, uint64_t features)
{
	fe_ask_u64(w, VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_USER_VERSION, NULL, 0);
	fe_say_u64(w, VHOST_USER_SET_PROTOCOL_FEATURES, PROTO_ALL);
	fe_send(w->sock, VHOST_USER_SET_OWNER, VHOST_USER_VERSION, NULL, 0, NULL, 0);
	fe_say_u64(w, VHOST_USER_SET_FEATURES, features);
}

void fe_describe_ring(struct world *w, unsigned int qi, uint32_t base)
{
	fe_say_state(w, VHOST_USER_SET_VRING_NUM, qi, RING_SIZE);
	fe_say_state(w, VHOST_USER_SET_VRING_BASE, qi, base);
	fe_say_addr(w, qi);
}

/* As QEMU does it: all of a ring, and enabled last. */
void fe_start_ring(struct world *w, unsigned int qi, uint32_t base)
{
	fe_describe_ring(w, qi, base);
	fe_say_fd(w, VHOST_USER_SET_VRING_CALL, qi, w->call[qi]);
	fe_say_fd(w, VHOST_USER_SET_VRING_KICK, qi, w->kick[qi]);
	fe_say_state(w, VHOST_USER_SET_VRING_ENABLE, qi, 1);
}

void fe_start_all(struct world *w)
{
	fe_negotiate(w, V1 | BIT30);
	fe_say_table(w);
	for (unsigned int i = 0; i < QUEUES; i++)
		fe_start_ring(w, i, 0);
	fe_sync(w);
}

uint32_t fe_stop_ring(struct world *w, unsigned int qi)
{
	struct vhost_user_vring_state st = { qi, 0 };

	fe_send(w->sock, VHOST_USER_GET_VRING_BASE, VHOST_USER_VERSION, &st, sizeof(st), NULL, 0);
	assert_int_equal(fe_reply(w, VHOST_USER_GET_VRING_BASE, &st, sizeof(st)), sizeof(st));
	assert_int_equal(st.index, qi);
	return st.num;
}

uint16_t *fe_ring16(struct world *w, unsigned int qi, size_t off)
{
	return (uint16_t *)(void *)(w->mem + qi * QUEUE_STEP + off);
}

uint16_t fe_used_idx(struct world *w, unsigned int qi)
{
	return __atomic_load_n(fe_ring16(w, qi, USED_OFF + 2), __ATOMIC_ACQUIRE);
}

/* One request with one writable byte of answer. */
void fe_submit(struct world *w, unsigned int qi)
{
	uint16_t slot = w->avail[qi] % RING_SIZE;
	struct virtq_desc d = { .addr = GPA + DATA_OFF + slot * 64,
				.len = 16,
				.flags = VIRTQ_DESC_F_WRITE };
	uint64_t one = 1;

	memcpy(w->mem + qi * QUEUE_STEP + DESC_OFF + slot * sizeof(d), &d, sizeof(d));
	*fe_ring16(w, qi, AVAIL_OFF + 4 + slot * 2U) = slot;
	__atomic_store_n(fe_ring16(w, qi, AVAIL_OFF + 2), ++w->avail[qi], __ATOMIC_RELEASE);
	assert_int_equal(write(w->kick[qi], &one, sizeof(one)), sizeof(one));
}

bool fe_rang(int fd)
{
	uint64_t v;

	return read(fd, &v, sizeof(v)) == sizeof(v);
}

void fe_hung_up(struct world *w)
{
	char c;

	UNTIL(w, fe_readable(w->sock));
	assert_true(recv(w->sock, &c, 1, 0) <= 0);
	close(w->sock);
	w->sock = -1;
}
