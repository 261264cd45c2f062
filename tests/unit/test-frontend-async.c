/* SPDX-License-Identifier: MIT */
/* Messages without waiting: partial ones, many at once, descriptors, deadlines, and how all of them end. */
#include "fe-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/compiler.h"
#include "util/loop.h"

/* A question with a u64 for an answer, and what became of it. */
struct ask {
	struct vuc_req r;
	uint64_t v;
	unsigned int ended;
	int res;
	unsigned int place; /* in the order of the ends */
	char what[sizeof(((struct err *)0)->what)];
};

static unsigned int place;

static void on_done(struct vuc_req *r, int res, const struct err *e)
{
	struct ask *a = container_of(r, struct ask, r);

	a->ended++;
	a->res = res;
	a->place = place++;
	if (e)
		snprintf(a->what, sizeof(a->what), "%s", e->what);
}

static struct ask *ask(struct ask *a, uint32_t request)
{
	*a = (struct ask){
		.r = { .m = { .request = request, .reply = &a->v, .reply_min = 8, .reply_max = 8 },
		       .done = on_done },
	};
	return a;
}

static struct ask *tell(struct ask *a, uint32_t request)
{
	*a = (struct ask){ .r = { .m = { .request = request }, .done = on_done } };
	return a;
}

static void start(struct fix *f, struct ask *a)
{
	assert_int_equal(vuc_start(f->c, &a->r, &f->e), 0);
}

static void answer_may_come_byte_by_byte(void **state)
{
	struct fix *f = *state;
	struct {
		struct vhost_user_hdr h;
		uint8_t v[8];
	} m = { { VHOST_USER_GET_FEATURES, REPLY, 8 }, { 1, 2, 3, 4, 5, 6, 7, 8 } };
	struct ask a;

	start(f, ask(&a, VHOST_USER_GET_FEATURES));
	for (size_t i = 0; i < sizeof(m); i++) {
		vuc_process(f->c);
		assert_int_equal(a.ended, 0);
		assert_int_equal(write(f->fd, (uint8_t *)&m + i, 1), 1);
	}
	vuc_process(f->c);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.res, 0);
	assert_memory_equal(&a.v, m.v, 8);
}

/* Much more than the socket holds; the descriptors come with the first byte, once. */
static void long_message_goes_out_in_pieces(void **state)
{
	struct fix *f = *state;
	const uint32_t size = 2 << 20;
	uint8_t *out = malloc(size), *in = malloc(size + 12);
	size_t have = 0;
	unsigned int turns = 0, n = 0;
	int fds[FE_MAXFDS];
	struct ask a;

	assert_non_null(out);
	assert_non_null(in);
	for (uint32_t i = 0; i < size; i++)
		out[i] = (uint8_t)(i * 7 >> 3);
	tell(&a, 999);
	a.r.m.payload = out;
	a.r.m.size = size;
	a.r.m.fds = &f->fd;
	a.r.m.nfds = 1;
	start(f, &a);
	while (have < size + 12) {
		union {
			struct cmsghdr align;
			char room[CMSG_SPACE(sizeof(int) * 4)];
		} ctl;
		struct iovec iov = { in + have, MIN(size + 12 - have, (size_t)50000) };
		struct msghdr mh = { .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = &ctl,
				     .msg_controllen = sizeof(ctl) };
		struct cmsghdr *cm;
		ssize_t got;

		vuc_process(f->c);
		got = recvmsg(f->fd, &mh, MSG_DONTWAIT);
		assert_true(got > 0);
		for (cm = CMSG_FIRSTHDR(&mh); cm; cm = CMSG_NXTHDR(&mh, cm)) {
			assert_int_equal(have, 0);
			memcpy(&fds[n++], CMSG_DATA(cm), sizeof(int));
		}
		have += (size_t)got;
		turns++;
	}
	assert_int_equal(n, 1);
	close(fds[0]);
	assert_true(turns > 10);
	vuc_process(f->c);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.res, 0);
	assert_memory_equal(in + 12, out, size);
	free(in);
	free(out);
}

/* ---- closed by a callback ---- */

static struct vuc *to_close;

static void close_it(struct vuc_req *r, int res, const struct err *e)
{
	on_done(r, res, e);
	vuc_close(to_close);
	/* Those behind it have ended already, so what they point to may go now. */
	assert_int_equal(place, 2);
}

static void client_is_closed_by_a_callback(void **state)
{
	struct fix *f = *state;
	unsigned int before = fe_open_fds();
	struct ask a, b;

	place = 0;
	to_close = f->c;
	start(f, ask(&a, VHOST_USER_GET_FEATURES));
	a.r.done = close_it;
	start(f, ask(&b, VHOST_USER_GET_FEATURES));
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 1);
	vuc_process(f->c);
	f->c = NULL;
	assert_int_equal(a.res, 0);
	assert_int_equal(b.ended, 1);
	assert_int_equal(b.res, -ECANCELED);
	assert_int_equal(fe_open_fds(), before - 1);
}

/* In the middle of a call that waits for something else. */
static void client_is_closed_under_a_call(void **state)
{
	struct fix *f = *state;
	struct ask a;
	uint64_t v;

	place = 1; /* the call's own end is not counted */
	to_close = f->c;
	start(f, ask(&a, VHOST_USER_GET_FEATURES));
	a.r.done = close_it;
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 1);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), -ECANCELED);
	f->c = NULL;
	assert_int_equal(a.res, 0);
}

static void many_under_way_end_in_order(void **state)
{
	enum { N = 300 };
	struct fix *f = *state;
	struct ask *a = calloc(N, sizeof(*a));

	assert_non_null(a);
	place = 0;
	for (unsigned int i = 0; i < N; i++)
		start(f, i % 3 ? ask(&a[i], i) : tell(&a[i], i));
	for (unsigned int i = 0; i < N; i++) {
		vuc_process(f->c);
		assert_int_equal(fe_hear(f).h.request, i);
		if (i % 3)
			fe_say_u64(f, i, i);
	}
	for (unsigned int i = 0; i < 100 && !a[N - 1].ended; i++)
		vuc_process(f->c);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(a[i].ended, 1);
		assert_int_equal(a[i].res, 0);
		assert_int_equal(a[i].place, i);
		assert_int_equal(a[i].v, i % 3 ? i : 0);
	}
	assert_true(fe_is_silent(f->fd));
	free(a);
}

static void answers_out_of_order_end_all(void **state)
{
	struct fix *f = *state;
	struct ask a, b;

	start(f, ask(&a, VHOST_USER_GET_FEATURES));
	start(f, ask(&b, VHOST_USER_GET_QUEUE_NUM));
	fe_say_u64(f, VHOST_USER_GET_QUEUE_NUM, 1);
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 1);
	vuc_process(f->c);
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.res, -EPROTO);
	assert_int_equal(b.ended, 1);
	assert_int_equal(b.res, -EPROTO);
	assert_true(b.what[0]);
	assert_int_equal(vuc_start(f->c, &a.r, &f->e), -ENOTCONN);
	assert_int_equal(a.ended, 1);
}

static void unasked_answer_ends_the_client(void **state)
{
	struct fix *f = *state;
	struct pollfd p[2];

	vuc_process(f->c);
	assert_null(vuc_dead(f->c));
	assert_int_equal(vuc_events(f->c, p), -1);
	assert_int_equal(p[0].events, POLLIN);
	fe_say_u64(f, VHOST_USER_SET_OWNER, 0);
	assert_int_equal(poll(p, 2, 0), 1);
	vuc_process(f->c);
	assert_non_null(vuc_dead(f->c));
	vuc_events(f->c, p);
	assert_int_equal(p[0].fd, -1);
}

static void what_was_answered_before_the_end_counts(void **state)
{
	struct fix *f = *state;
	struct ask a, b;

	start(f, ask(&a, VHOST_USER_GET_FEATURES));
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 5);
	vuc_process(f->c);
	assert_int_equal(a.res, 0);
	start(f, ask(&a, VHOST_USER_GET_FEATURES));
	start(f, ask(&b, VHOST_USER_GET_FEATURES));
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 6);
	vuc_process(f->c);
	close(f->fd);
	f->fd = -1;
	vuc_process(f->c);
	assert_int_equal(a.res, 0);
	assert_int_equal(a.v, 6);
	assert_int_equal(b.ended, 1);
	assert_int_equal(b.res, -ECONNRESET);
}

/* ---- descriptors ---- */

static void unwanted_descriptors_are_closed(void **state)
{
	struct fix *f = *state;
	int fds[VHOST_USER_MAX_FDS];
	uint64_t v = 3;
	unsigned int before;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = f->fd;
	before = fe_open_fds();
	fe_say_fds(f->fd, VHOST_USER_GET_FEATURES, REPLY, &v, 8, fds, ARRAY_SIZE(fds));
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
	assert_int_equal(v, 3);
	assert_int_equal(fe_open_fds(), before);
}

static void wanted_descriptor_is_kept_and_the_others_closed(void **state)
{
	struct fix *f = *state;
	int fds[3] = { f->fd, f->fd, f->fd };
	uint64_t v = 3;
	struct vuc_msg m = { .request = 77,
			     .reply = &v,
			     .reply_min = 8,
			     .reply_max = 8,
			     .want_fd = true };
	unsigned int before = fe_open_fds();

	fe_say_fds(f->fd, 77, REPLY, &v, 8, fds, 3);
	assert_int_equal(vuc_call(f->c, &m, &f->e), 0);
	assert_true(m.reply_fd >= 0);
	assert_true(fcntl(m.reply_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fe_open_fds(), before + 1);
	close(m.reply_fd);
	fe_say_u64(f, 77, 1);
	assert_int_equal(vuc_call(f->c, &m, &f->e), 0);
	assert_int_equal(m.reply_fd, -1);
}

static void more_descriptors_than_allowed_are_a_violation(void **state)
{
	struct fix *f = *state;
	int fds[30];
	uint64_t v = 3;
	unsigned int before;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = f->fd;
	before = fe_open_fds();
	fe_say_fds(f->fd, VHOST_USER_GET_FEATURES, REPLY, &v, 8, fds, ARRAY_SIZE(fds));
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), -EPROTO);
	assert_int_equal(fe_open_fds(), before);
}

static void descriptors_in_the_middle_are_closed(void **state)
{
	struct fix *f = *state;
	struct vhost_user_hdr h = { VHOST_USER_GET_FEATURES, REPLY, 28 };
	uint8_t room[28];
	struct vuc_msg m = { .request = VHOST_USER_GET_FEATURES,
			     .reply = room,
			     .reply_max = 28,
			     .want_fd = true };
	unsigned int before = fe_open_fds();

	assert_int_equal(write(f->fd, &h, sizeof(h)), sizeof(h));
	/* Its payload: 28 bytes that happen to be a message. */
	fe_say_fds(f->fd, 1, 1, NULL, 16, &f->fd, 1);
	assert_int_equal(vuc_call(f->c, &m, &f->e), 0);
	assert_int_equal(m.reply_fd, -1);
	assert_int_equal(fe_open_fds(), before);
}

static void refused_answers_leave_no_descriptors(void **state)
{
	struct fix *f = *state;
	int fds[2] = { f->fd, f->fd };
	uint64_t v = 3;
	struct vuc_msg m = { .request = 77,
			     .reply = &v,
			     .reply_min = 8,
			     .reply_max = 8,
			     .want_fd = true };
	unsigned int before = fe_open_fds();

	fe_say_fds(f->fd, 78, REPLY, &v, 8, fds, 2);
	assert_int_equal(vuc_call(f->c, &m, &f->e), -EPROTO);
	assert_int_equal(m.reply_fd, -1);
	assert_int_equal(fe_open_fds(), before);
}

static void tests_may_send_many_descriptors(void **state)
{
	struct fix *f = *state;
	int fds[FE_MAXFDS];
	struct vuc_msg m = { .request = 5, .fds = fds, .nfds = 100 };
	unsigned int n;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = f->fd;
	assert_int_equal(vuc_call(f->c, &m, &f->e), 0);
	fe_hear_fds(f->fd, fds, &n);
	assert_int_equal(n, 100);
	for (unsigned int i = 0; i < n; i++)
		close(fds[i]);
	m.nfds = FE_MAXFDS + 1;
	assert_int_equal(vuc_call(f->c, &m, &f->e), -EINVAL);
}

static void bad_descriptor_fails_only_its_message(void **state)
{
	struct fix *f = *state;
	int bad = -1;
	struct ask a, b, d;

	start(f, ask(&a, 1));
	tell(&b, 2);
	b.r.m.fds = &bad;
	b.r.m.nfds = 1;
	start(f, &b);
	start(f, ask(&d, 3));
	vuc_process(f->c);
	assert_int_equal(b.ended, 1);
	assert_int_equal(b.res, -EBADF);
	assert_int_equal(fe_hear(f).h.request, 1);
	assert_int_equal(fe_hear(f).h.request, 3);
	fe_say_u64(f, 1, 1);
	fe_say_u64(f, 3, 3);
	vuc_process(f->c);
	assert_int_equal(a.v, 1);
	assert_int_equal(d.v, 3);
	/* The last one in the queue, and then another. */
	start(f, ask(&a, 1));
	start(f, &b);
	vuc_process(f->c);
	assert_int_equal(b.ended, 2);
	start(f, ask(&d, 3));
	fe_say_u64(f, 1, 1);
	fe_say_u64(f, 3, 4);
	vuc_process(f->c);
	assert_int_equal(d.v, 4);
}

/* ---- what tests of back-ends send ---- */

static void header_may_lie(void **state)
{
	struct fix *f = *state;
	struct vhost_user_hdr h;
	struct vuc_msg m = { .request = 2,
			     .payload = "abcd",
			     .size = 4,
			     .lie = true,
			     .header_size = 0xffffffff };

	assert_int_equal(vuc_call(f->c, &m, &f->e), 0);
	assert_int_equal(recv(f->fd, &h, sizeof(h), MSG_WAITALL), sizeof(h));
	assert_int_equal(h.size, 0xffffffff);
	assert_int_equal(recv(f->fd, &h, sizeof(h), MSG_DONTWAIT), 4);
}

static void acknowledgement_can_be_left_out(void **state)
{
	struct fix *f = *state;
	struct vuc_msg m = { .request = VHOST_USER_SET_OWNER, .no_ack = true };

	fe_negotiate(f, PF(REPLY_ACK));
	assert_int_equal(vuc_call(f->c, &m, &f->e), 0);
	assert_int_equal(fe_hear(f).h.flags, VHOST_USER_VERSION);
}

static void incomplete_messages_are_not_sent(void **state)
{
	struct fix *f = *state;
	struct vuc_msg no_payload = { .request = 2, .size = 4 };
	struct vuc_msg no_fds = { .request = 2, .nfds = 4 };
	struct vuc_msg no_room = { .request = 2, .reply_max = 4 };
	struct vuc_msg too_long = { .request = 2, .payload = "", .size = 1u << 31 };

	assert_int_equal(vuc_call(f->c, &no_payload, &f->e), -EINVAL);
	assert_int_equal(vuc_call(f->c, &no_fds, &f->e), -EINVAL);
	assert_int_equal(vuc_call(f->c, &no_room, &f->e), -EINVAL);
	assert_int_equal(vuc_call(f->c, &too_long, &f->e), -EINVAL);
	assert_true(fe_is_silent(f->fd));
	assert_null(vuc_dead(f->c));
}

static char traced[8][200];
static unsigned int ntraced;

static void on_line(void *ctx, const char *line)
{
	if (ntraced < ARRAY_SIZE(traced))
		snprintf(traced[ntraced++], sizeof(traced[0]), "%s", line);
}

static void every_message_is_traced(void **state)
{
	struct fix *f = *state;
	uint64_t v;

	ntraced = 0;
	vuc_set_trace(f->c, on_line, NULL);
	assert_int_equal(vuc_set_features(f->c, 0x140000000, &f->e), 0);
	assert_string_equal(traced[0], "> SET_FEATURES size 8 flags 0x1 fds 0: 0x140000000");
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 7);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
	assert_string_equal(traced[1], "> GET_FEATURES size 0 flags 0x1 fds 0");
	assert_string_equal(traced[2], "< GET_FEATURES size 8 flags 0x5 fds 0: 0x7");
	assert_int_equal(ntraced, 3);
	/* Also what is refused. */
	fe_say(f->fd, 4711, REPLY, "abc", 3);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), -EPROTO);
	assert_string_equal(traced[4], "< message 4711 size 3 flags 0x5 fds 0");
	vuc_set_trace(f->c, NULL, NULL);
}

static void trace_shows_the_beginning_of_the_payload(void **state)
{
	struct fix *f = *state;
	const uint8_t p[40] = { 1, 0, 0, 0, 0, 0, 0, 0, 2 };
	struct vuc_msg m = { .request = 8, .payload = p, .size = 40 };

	ntraced = 0;
	vuc_set_trace(f->c, on_line, NULL);
	assert_int_equal(vuc_call(f->c, &m, &f->e), 0);
	assert_string_equal(traced[0], "> SET_VRING_NUM size 40 flags 0x1 fds 0: 0x1 0x2 ...");
	m.size = 11;
	assert_int_equal(vuc_call(f->c, &m, &f->e), 0);
	assert_string_equal(traced[1], "> SET_VRING_NUM size 11 flags 0x1 fds 0: 0x1 020000");
}

/* ---- time ---- */

static void all_end_when_the_time_of_the_first_is_up(void **state)
{
	struct fix *f = *state;
	uint64_t from = clock_ns();
	struct pollfd p[2];
	struct ask a, b;
	int ms;

	start(f, ask(&a, 1));
	start(f, tell(&b, 2));
	ms = vuc_events(f->c, p);
	assert_in_range(ms, 1, SHORT_MS + 1);
	assert_int_equal(p[0].events & POLLOUT, POLLOUT);
	while (!a.ended) {
		ms = vuc_events(f->c, p);
		assert_true(ms >= 0);
		poll(p, 2, ms);
		vuc_process(f->c);
	}
	assert_true(clock_ns() - from >= SHORT_MS * UINT64_C(1000000));
	assert_int_equal(a.res, -ETIMEDOUT);
	assert_int_equal(b.res, -ETIMEDOUT);
	assert_int_equal(b.ended, 1);
}

static void closing_ends_what_is_under_way(void **state)
{
	struct fix *f = *state;
	struct ask a, b;

	start(f, ask(&a, 1));
	vuc_process(f->c);
	start(f, ask(&b, 2));
	vuc_close(f->c);
	f->c = NULL;
	assert_int_equal(a.ended, 1);
	assert_int_equal(a.res, -ECANCELED);
	assert_int_equal(b.res, -ECANCELED);
}

/* ---- calls inside calls ---- */

struct relay {
	struct ask a;
	struct fix *f;
	unsigned int left;
	uint64_t inner;
};

static void on_relay(struct vuc_req *r, int res, const struct err *e)
{
	struct relay *y = r->ctx;

	on_done(r, res, e);
	if (res == 0 && y->left-- > 0)
		assert_int_equal(vuc_start(y->f->c, r, NULL), 0);
}

static void the_end_of_one_may_start_another(void **state)
{
	struct relay y = { .f = *state, .left = 200 };
	struct fix *f = *state;

	ask(&y.a, 1);
	y.a.r.ctx = &y;
	y.a.r.done = on_relay;
	for (unsigned int i = 0; i <= 200; i++)
		fe_say_u64(f, 1, i);
	start(f, &y.a);
	while (y.a.ended <= 200) {
		unsigned int before = y.a.ended;

		vuc_process(f->c);
		/* One turn is bounded, and yet goes on. */
		assert_in_range(y.a.ended - before, 1, 100);
	}
	assert_int_equal(y.a.v, 200);
	assert_null(vuc_dead(f->c));
}

static void on_done_calls(struct vuc_req *r, int res, const struct err *e)
{
	struct relay *y = r->ctx;

	on_done(r, res, e);
	assert_int_equal(vuc_get_features(y->f->c, &y->inner, &y->f->e), 0);
}

static void the_end_of_one_may_make_a_call_that_waits(void **state)
{
	struct relay y = { .f = *state };
	struct fix *f = *state;
	struct ask b;
	uint64_t v;

	ask(&y.a, 11);
	y.a.r.ctx = &y;
	y.a.r.done = on_done_calls;
	start(f, &y.a);
	start(f, ask(&b, 12));
	fe_say_u64(f, 11, 1);
	fe_say_u64(f, 12, 2);
	fe_say_u64(f, VHOST_USER_GET_QUEUE_NUM, 4); /* was asked before the inner call */
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 3);
	v = 0;
	{
		struct ask q;

		start(f, ask(&q, VHOST_USER_GET_QUEUE_NUM));
		while (!q.ended)
			vuc_process(f->c);
		v = q.v;
	}
	assert_int_equal(v, 4);
	assert_int_equal(b.v, 2);
	assert_int_equal(y.inner, 3);
}

/* ---- one thread, many clients ---- */

/* Answers whatever comes with its number, after it sent a little of it. */
static void *serve(void *arg)
{
	int fd = *(int *)arg;
	struct vhost_user_hdr h;

	while (recv(fd, &h, sizeof(h), MSG_WAITALL) == sizeof(h)) {
		struct {
			struct vhost_user_hdr h;
			uint64_t v;
		} __attribute__((packed)) a = { { h.request, REPLY, 8 }, h.request };

		if (send(fd, &a, 5, MSG_NOSIGNAL) != 5 ||
		    send(fd, (uint8_t *)&a + 5, sizeof(a) - 5, MSG_NOSIGNAL) != sizeof(a) - 5)
			break;
	}
	return NULL;
}

static void one_thread_drives_two_clients(void **state)
{
	enum { N = 50 };
	struct fix *f[2];
	struct ask a[2][N];
	pthread_t t[2];
	unsigned int open = 2 * N;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		void *s;

		fe_setup_patient(&s);
		f[i] = s;
		assert_int_equal(pthread_create(&t[i], NULL, serve, &f[i]->fd), 0);
		for (unsigned int j = 0; j < N; j++)
			start(f[i], ask(&a[i][j], i * 1000 + j));
	}
	while (open) {
		struct pollfd p[4];
		int m0 = vuc_events(f[0]->c, p), m1 = vuc_events(f[1]->c, p + 2);

		assert_true(poll(p, 4, m0 < 0 ? m1 : m1 < 0 ? m0 : MIN(m0, m1)) > 0);
		open = 0;
		for (unsigned int i = 0; i < 2; i++) {
			vuc_process(f[i]->c);
			for (unsigned int j = 0; j < N; j++)
				open += !a[i][j].ended;
		}
	}
	for (unsigned int i = 0; i < 2; i++) {
		void *s = f[i];

		for (unsigned int j = 0; j < N; j++) {
			assert_int_equal(a[i][j].res, 0);
			assert_int_equal(a[i][j].v, i * 1000 + j);
		}
		vuc_close(f[i]->c);
		f[i]->c = NULL;
		pthread_join(t[i], NULL);
		fe_teardown(&s);
	}
}

#define T(x) cmocka_unit_test_setup_teardown(x, fe_setup_patient, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(answer_may_come_byte_by_byte),
		T(long_message_goes_out_in_pieces),
		T(many_under_way_end_in_order),
		T(answers_out_of_order_end_all),
		T(unasked_answer_ends_the_client),
		T(what_was_answered_before_the_end_counts),
		T(unwanted_descriptors_are_closed),
		T(wanted_descriptor_is_kept_and_the_others_closed),
		T(more_descriptors_than_allowed_are_a_violation),
		T(descriptors_in_the_middle_are_closed),
		T(refused_answers_leave_no_descriptors),
		T(tests_may_send_many_descriptors),
		T(bad_descriptor_fails_only_its_message),
		T(header_may_lie),
		T(acknowledgement_can_be_left_out),
		T(incomplete_messages_are_not_sent),
		T(every_message_is_traced),
		T(trace_shows_the_beginning_of_the_payload),
		cmocka_unit_test_setup_teardown(all_end_when_the_time_of_the_first_is_up, fe_setup,
						fe_teardown),
		T(closing_ends_what_is_under_way),
		T(the_end_of_one_may_start_another),
		T(the_end_of_one_may_make_a_call_that_waits),
		T(client_is_closed_by_a_callback),
		T(client_is_closed_under_a_call),
		cmocka_unit_test(one_thread_drives_two_clients),
	};

	return cmocka_run_group_tests_name("vhost-user client, without waiting", tests, NULL, NULL);
}
