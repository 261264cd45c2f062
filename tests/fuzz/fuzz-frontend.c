/* SPDX-License-Identifier: MIT */
/*
 * A hostile back-end: all it says is in the input. It says the next of it whenever
 * it is sent a message, and hangs up when there is no more.
 *
 *	byte 0		bits 0-5: the call to begin with; bit 6: with acknowledgements;
 *			bit 7: messages are started all at once
 *	then records	byte 0: bit 0: on the back-channel; bits 1-3: so many
 *			descriptors with it; bits 4-5: of which kind; bit 6: the next
 *			record comes at once, as it does after one on the back-channel
 *			bytes 1-2: length, little-endian; and so many bytes
 *
 * Whatever comes, the client keeps its promises: no descriptor is lost, an error
 * that ends it ends it, and every message that was started ends once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/vhost-user-client.h"
#include "fuzz.h"
#include "util/compiler.h"

#define TIMEOUT_MS  2
#define ALL_AT_ONCE 12

const char fuzz_corpus[] = "frontend";

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "the client broke its promise: %s\n", what);
	abort();
}

/* Read every byte, so that the sanitizers see it. */
static volatile uint8_t sink;

static void touch(const void *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sink = (uint8_t)(sink ^ ((const uint8_t *)p)[i]);
}

/* ---- answers to the back-end ---- */

/**
 * struct world - one run
 * @main, @back: the back-end's sockets
 * @p, @size:	what it has not said yet
 * @depth:	requests of the back-end that are being answered
 */
struct world {
	struct vuc *c;
	int main, back;
	const uint8_t *p;
	size_t size;
	unsigned int depth;
};

static int on_map(void *ctx, const struct vhost_user_mmap *m, int fd)
{
	touch(m, sizeof(*m));
	must(fd >= 0, "a map has a descriptor");
	return m->shmid & 1 ? -EINVAL : 0;
}

static int on_unmap(void *ctx, const struct vhost_user_mmap *m)
{
	touch(m, sizeof(*m));
	return 0;
}

static int on_object(void *ctx, const struct vhost_user_uuid *u)
{
	touch(u, sizeof(*u));
	return 0;
}

static int on_lookup(void *ctx, const struct vhost_user_uuid *u, int *fd)
{
	*fd = u->bytes[0] & 1 ? memfd_create("object", MFD_CLOEXEC) : -1;
	return u->bytes[0] & 2 ? -EINVAL : 0;
}

static int on_gpu(void *ctx, const void *payload, uint32_t size, int fd)
{
	touch(payload, size);
	return 0;
}

static int on_external(void *ctx, const void *payload, uint32_t size)
{
	touch(payload, size);
	return 0;
}

static int on_iotlb(void *ctx, const struct vhost_user_iotlb *m)
{
	struct world *w = ctx;
	int ret;

	must(w->depth == 0, "one request at a time");
	w->depth++;
	ret = vuc_iotlb(w->c, m, NULL);
	w->depth--;
	return ret;
}

static int on_notifier(void *ctx, uint32_t index, bool remove, uint64_t offset, uint64_t size,
		       int fd)
{
	must(remove == (fd < 0), "a descriptor comes unless it is taken away");
	return 0;
}

static int on_other(void *ctx, uint32_t request, const void *payload, uint32_t size, int fd)
{
	touch(payload, size);
	return request & 1 ? -EINVAL : 0;
}

static const struct vuc_back_ops back_ops = {
	.shmem_map = on_map,
	.shmem_unmap = on_unmap,
	.object_add = on_object,
	.object_remove = on_object,
	.object_lookup = on_lookup,
	.gpu_map = on_gpu,
	.external_map = on_external,
	.iotlb = on_iotlb,
	.host_notifier = on_notifier,
	.other = on_other,
};

/* ---- calls, in the order of the seeds ---- */

static int call_features(struct vuc *c)
{
	uint64_t v;

	return vuc_get_features(c, &v, NULL);
}

static int call_protocol(struct vuc *c)
{
	uint64_t v;

	return vuc_get_protocol_features(c, &v, NULL);
}

static int call_queues(struct vuc *c)
{
	uint64_t v;
	int ret = vuc_get_queue_num(c, &v, NULL);

	must(ret || v, "there is a queue");
	return ret;
}

static int call_config(struct vuc *c)
{
	uint8_t buf[60];
	int ret = vuc_get_config(c, 0, buf, sizeof(buf), NULL);

	if (ret == 0)
		touch(buf, sizeof(buf));
	return ret;
}

static int call_slots(struct vuc *c)
{
	uint64_t v;

	return vuc_get_max_mem_slots(c, &v, NULL);
}

static int call_base(struct vuc *c)
{
	struct vq_base b;
	int ret = vuc_get_vring_base(c, 0, true, &b, NULL);

	if (ret == 0)
		touch(&b, sizeof(b));
	return ret;
}

static int call_status(struct vuc *c)
{
	uint8_t st;

	return vuc_get_status(c, &st, NULL);
}

static int call_inflight(struct vuc *c)
{
	struct vuc_inflight i;
	int ret = vuc_get_inflight_fd(c, 1, 128, &i, NULL);

	must((ret == 0) == (i.fd >= 0), "a record has a descriptor");
	if (ret == 0) {
		must(i.mmap_offset + i.mmap_size <= 8192, "a record is inside its file");
		close(i.fd);
	}
	return ret;
}

static int call_log(struct vuc *c)
{
	return vuc_set_log_base(c, STDIN_FILENO, 4096, 0, NULL);
}

static int call_shmem(struct vuc *c)
{
	struct vhost_user_shmem_config s;
	int ret = vuc_get_shmem_config(c, &s, NULL);

	if (ret == 0)
		touch(&s, sizeof(s));
	return ret;
}

static int call_object(struct vuc *c)
{
	const struct vhost_user_uuid u = { { 1 } };
	int fd, ret = vuc_get_shared_object(c, &u, &fd, NULL);

	must(ret == 0 || fd < 0, "no descriptor after an error");
	if (fd >= 0)
		close(fd);
	return ret;
}

static int call_iotlb(struct vuc *c)
{
	const struct vhost_user_iotlb t = { .size = 4096, .type = VHOST_USER_IOTLB_UPDATE };

	return vuc_iotlb(c, &t, NULL);
}

static int call_save(struct vuc *c)
{
	size_t size;
	void *s;
	int ret = vuc_save_state(c, &s, &size, NULL);

	must(ret == 0 || !s, "no state after an error");
	if (ret == 0)
		touch(s, size);
	free(s);
	return ret;
}

static int call_load(struct vuc *c)
{
	return vuc_load_state(c, "the state of a device", 21, NULL);
}

static int call_owner(struct vuc *c)
{
	return vuc_set_owner(c, NULL);
}

static int call_any(struct vuc *c)
{
	uint8_t buf[300];
	struct vuc_msg m = { .request = 99,
			     .reply = buf,
			     .reply_max = sizeof(buf),
			     .want_fd = true };
	int ret = vuc_call(c, &m, NULL);

	must(ret == 0 || m.reply_fd < 0, "no descriptor after an error");
	if (m.reply_fd >= 0)
		close(m.reply_fd);
	if (ret == 0)
		touch(buf, m.reply_size);
	return ret;
}

static int call_change(struct vuc *c)
{
	int ret = vuc_backend_wait(c, 0, NULL);

	return ret > 0 ? 0 : ret;
}

static int (*const calls[])(struct vuc *c) = {
	call_features, call_protocol, call_queues, call_config, call_slots,  call_base,
	call_status,   call_inflight, call_log,    call_shmem,  call_object, call_iotlb,
	call_save,     call_load,     call_owner,  call_any,    call_change,
};

static void run_calls(struct vuc *c, unsigned int first)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		int ret = calls[(first + i) % ARRAY_SIZE(calls)](c);

		if (ret == -EPROTO || ret == -EPIPE || ret == -ECONNRESET || ret == -ETIMEDOUT)
			must(vuc_dead(c) != NULL, "these errors are the end");
	}
}

/* ---- all at once ---- */

struct one {
	struct vuc_req r;
	uint8_t buf[64];
	unsigned int ended;
};

static void on_done(struct vuc_req *r, int res, const struct err *e)
{
	struct one *o = container_of(r, struct one, r);

	o->ended++;
	must(res == 0 || e, "an error has a sentence");
	must(res == 0 || r->m.reply_fd < 0, "no descriptor after an error");
	if (r->m.reply_fd >= 0)
		close(r->m.reply_fd);
	touch(o->buf, r->m.reply_size);
}

static void run_all_at_once(struct vuc *c, unsigned int first)
{
	struct one one[ALL_AT_ONCE] = { 0 };
	unsigned int open = 0;

	for (unsigned int i = 0; i < ALL_AT_ONCE; i++) {
		struct one *o = &one[i];

		o->r.done = on_done;
		o->r.m.request = first + i;
		if (i % 3) {
			o->r.m.reply = o->buf;
			o->r.m.reply_max = sizeof(o->buf);
			o->r.m.want_fd = i % 2;
		}
		if (vuc_start(c, &o->r, NULL))
			o->ended = 1;
	}
	do {
		struct pollfd p[2];
		int ms = vuc_events(c, p);

		if (!vuc_dead(c))
			poll(p, 2, ms < 0 ? TIMEOUT_MS : ms);
		vuc_process(c);
		open = 0;
		for (unsigned int i = 0; i < ALL_AT_ONCE; i++) {
			must(one[i].ended <= 1, "a message ends once");
			open += !one[i].ended;
		}
		must(!open || !vuc_dead(c), "the end ends all messages");
	} while (open);
}

/* ---- what the back-end says ---- */

static int make_fd(unsigned int kind)
{
	int fd = -1, p[2];

	if (kind < 2) {
		fd = memfd_create("given", MFD_CLOEXEC);
		if (fd >= 0 && kind == 0 && ftruncate(fd, 8192) < 0)
			abort();
	} else if (kind == 2 ? pipe2(p, O_CLOEXEC) == 0 :
			       socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) == 0) {
		if (write(p[1], "some state of a device", 22) != 22)
			abort();
		close(p[1]);
		fd = p[0];
	}
	if (fd < 0)
		abort();
	return fd;
}

static void say(int sock, const uint8_t *p, size_t size, unsigned int nfds, unsigned int kind)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 7)];
	} ctl = { 0 };
	struct iovec iov = { (void *)(uintptr_t)p, size };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[7];

	if (size == 0)
		return;
	for (unsigned int i = 0; i < nfds; i++)
		fds[i] = make_fd((kind + i) % 4);
	if (nfds) {
		struct cmsghdr *cm;

		mh.msg_control = &ctl;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	/* What the socket does not hold is not said. */
	if (sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		sink = 0;
	for (unsigned int i = 0; i < nfds; i++)
		close(fds[i]);
}

/* What is on the back-channel, and then one record, or several, on the main socket. */
static void say_next(struct world *w, bool only_back)
{
	while (w->size >= 3) {
		const uint8_t ctl = w->p[0];
		const size_t len = MIN((size_t)(w->p[1] | w->p[2] << 8), w->size - 3);

		if (only_back && !(ctl & 1))
			return;
		say(ctl & 1 ? w->back : w->main, w->p + 3, len, ctl >> 1 & 7, ctl >> 4 & 3);
		w->p += 3 + len;
		w->size -= 3 + len;
		if (!(ctl & 0x41))
			return;
	}
	/* Then nothing more: the client need not wait for it. */
	shutdown(w->main, SHUT_WR);
	shutdown(w->back, SHUT_WR);
}

static void on_line(void *ctx, const char *line)
{
	touch(line, strlen(line));
	if (line[0] == '>')
		say_next(ctx, false);
}

/* The client's back-channel, out of what it sent. */
static int take_back_fd(int sock)
{
	uint8_t buf[256];
	int fd = -1;

	while (fd < 0) {
		union {
			struct cmsghdr align;
			char room[CMSG_SPACE(sizeof(int))];
		} ctl;
		struct iovec iov = { buf, sizeof(buf) };
		struct msghdr mh = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &ctl,
			.msg_controllen = sizeof(ctl),
		};

		if (recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
			abort();
		if (CMSG_FIRSTHDR(&mh))
			memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(fd));
	}
	return fd;
}

/* The lowest free number: a lost descriptor takes it. */
static int lowest(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t back = UINT64_C(1) << VHOST_USER_PROTOCOL_F_BACKEND_REQ;
	const uint64_t ack = UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK;
	struct world w = { 0 };
	int before = lowest(), sv[2];

	if (size < 1)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		abort();
	w.c = vuc_from_fd(sv[0], TIMEOUT_MS, NULL);
	if (!w.c)
		abort();
	vuc_set_back_ops(w.c, &back_ops, &w);
	/* Nothing of this is answered. */
	must(vuc_set_features(w.c, UINT64_C(3) << 32, NULL) == 0, "features are set");
	must(vuc_set_protocol_features(w.c, back, NULL) == 0, "protocol features are set");
	must(vuc_set_backend_req_fd(w.c, NULL) == 0, "the back-channel is made");
	w.main = sv[1];
	w.back = take_back_fd(w.main);
	must(vuc_set_protocol_features(w.c, data[0] & 0x40 ? ~UINT64_C(0) : ~ack, NULL) == 0,
	     "protocol features are set again");

	w.p = data + 1;
	w.size = size - 1;
	vuc_set_trace(w.c, on_line, &w);
	say_next(&w, true);
	if (data[0] & 0x80)
		run_all_at_once(w.c, data[0] & 0x3f);
	else
		run_calls(w.c, data[0] & 0x3f);
	vuc_close(w.c);
	close(w.main);
	close(w.back);
	must(lowest() == before, "no descriptor is lost");
	return 0;
}
