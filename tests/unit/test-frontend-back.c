/* SPDX-License-Identifier: MIT */
/* What back-ends ask, and what they send instead, on the back-channel. */
#include "fe-fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/compiler.h"
#include "util/loop.h"

/* What was called last, and with what. */
struct seen {
	struct fix *f;
	const char *op;
	unsigned int calls;
	int fd;
	uint32_t request, size;
	uint64_t a, b;
	bool flag;
	uint8_t uuid[16];
	int answer;
	int give; /* for the look-up */
};

static int note(struct seen *s, const char *op, int fd)
{
	s->op = op;
	s->calls++;
	s->fd = fd;
	return s->answer;
}

static int on_config(void *ctx)
{
	return note(ctx, "config", -1);
}

static int on_map(void *ctx, const struct vhost_user_mmap *m, int fd)
{
	((struct seen *)ctx)->a = m->shm_offset;
	((struct seen *)ctx)->b = m->len;
	return note(ctx, "map", fd);
}

static int on_unmap(void *ctx, const struct vhost_user_mmap *m)
{
	((struct seen *)ctx)->a = m->shm_offset;
	return note(ctx, "unmap", -1);
}

static int on_add(void *ctx, const struct vhost_user_uuid *u)
{
	memcpy(((struct seen *)ctx)->uuid, u, 16);
	return note(ctx, "add", -1);
}

static int on_remove(void *ctx, const struct vhost_user_uuid *u)
{
	memcpy(((struct seen *)ctx)->uuid, u, 16);
	return note(ctx, "remove", -1);
}

static int on_lookup(void *ctx, const struct vhost_user_uuid *u, int *fd)
{
	struct seen *s = ctx;

	memcpy(s->uuid, u, 16);
	*fd = s->give;
	return note(ctx, "lookup", -1);
}

static int on_gpu(void *ctx, const void *payload, uint32_t size, int fd)
{
	((struct seen *)ctx)->size = size;
	return note(ctx, "gpu", fd);
}

static int on_external(void *ctx, const void *payload, uint32_t size)
{
	((struct seen *)ctx)->size = size;
	return note(ctx, "external", -1);
}

static int on_iotlb(void *ctx, const struct vhost_user_iotlb *m)
{
	((struct seen *)ctx)->a = m->iova;
	return note(ctx, "iotlb", -1);
}

static int on_notifier(void *ctx, uint32_t index, bool remove, uint64_t offset, uint64_t size,
		       int fd)
{
	struct seen *s = ctx;

	s->request = index;
	s->flag = remove;
	s->a = offset;
	s->b = size;
	return note(ctx, "notifier", fd);
}

static int on_other(void *ctx, uint32_t request, const void *payload, uint32_t size, int fd)
{
	((struct seen *)ctx)->request = request;
	((struct seen *)ctx)->size = size;
	return note(ctx, "other", fd);
}

static const struct vuc_back_ops all_ops = {
	.config_changed = on_config,
	.shmem_map = on_map,
	.shmem_unmap = on_unmap,
	.object_add = on_add,
	.object_remove = on_remove,
	.object_lookup = on_lookup,
	.gpu_map = on_gpu,
	.external_map = on_external,
	.iotlb = on_iotlb,
	.host_notifier = on_notifier,
	.other = on_other,
};

static int setup(void **state)
{
	fe_setup_patient(state);
	fe_negotiate(*state, PF(BACKEND_REQ));
	fe_back_channel(*state);
	return 0;
}

static int setup_short(void **state)
{
	fe_setup(state);
	fe_negotiate(*state, PF(BACKEND_REQ));
	fe_back_channel(*state);
	return 0;
}

static struct seen watch(struct fix *f)
{
	return (struct seen){ .f = f, .give = -1 };
}

/* The answer to @request, which has to be there. */
static uint64_t answered(struct fix *f, uint32_t request)
{
	unsigned int n;
	int fds[FE_MAXFDS];
	struct msg m;
	uint64_t v;

	assert_false(fe_is_silent(f->back));
	m = fe_hear_fds(f->back, fds, &n);
	assert_int_equal(n, 0);
	assert_int_equal(m.h.request, request);
	assert_int_equal(m.h.flags, REPLY);
	assert_int_equal(m.h.size, 8);
	memcpy(&v, m.p, 8);
	return v;
}

static void every_request_has_its_function(void **state)
{
	static const struct {
		uint32_t request, size;
		unsigned int nfds;
		const char *op;
	} asks[] = {
		{ VHOST_USER_BACKEND_IOTLB_MSG, 32, 0, "iotlb" },
		{ VHOST_USER_BACKEND_IOTLB_MSG, 26, 0, "iotlb" },
		{ VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, 0, "config" },
		{ VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, 24, 1, "notifier" },
		{ VHOST_USER_BACKEND_SHARED_OBJECT_ADD, 16, 0, "add" },
		{ VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE, 16, 0, "remove" },
		{ VHOST_USER_BACKEND_SHMEM_MAP, 40, 1, "map" },
		{ VHOST_USER_BACKEND_SHMEM_UNMAP, 40, 0, "unmap" },
		{ VHOST_USER_BACKEND_CROSVM_GPU_MAP, 64, 1, "gpu" },
		{ VHOST_USER_BACKEND_CROSVM_EXTERNAL_MAP, 32, 0, "external" },
		{ VHOST_USER_BACKEND_VRING_CALL, 8, 0, "other" },
		{ 1234, 100, 0, "other" },
		{ 1234, 0, 3, "other" },
	};
	struct fix *f = *state;
	struct seen s = watch(f);
	const int fds[3] = { f->fd, f->fd, f->fd };
	unsigned int before = fe_open_fds();

	vuc_set_back_ops(f->c, &all_ops, &s);
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		s.answer = 0;
		fe_say_fds(f->back, asks[i].request, VHOST_USER_VERSION, NULL, asks[i].size, fds,
			   asks[i].nfds);
		vuc_process(f->c);
		assert_string_equal(s.op, asks[i].op);
		assert_int_equal(s.fd >= 0, asks[i].nfds > 0);
		assert_true(fe_is_silent(f->back));
		fe_say_fds(f->back, asks[i].request, ASK, NULL, asks[i].size, fds, asks[i].nfds);
		vuc_process(f->c);
		assert_int_equal(answered(f, asks[i].request), 0);
		s.answer = -ENOSPC;
		fe_say_fds(f->back, asks[i].request, ASK, NULL, asks[i].size, fds, asks[i].nfds);
		vuc_process(f->c);
		assert_int_equal((int64_t)answered(f, asks[i].request), -ENOSPC);
		assert_int_equal(s.calls, 3 * (i + 1));
	}
	assert_int_equal(fe_open_fds(), before);
	assert_true(vuc_back_fd(f->c) >= 0);
}

static void payloads_arrive(void **state)
{
	const struct vhost_user_mmap m = { .shmid = 1, .shm_offset = 0x5000, .len = 0x3000 };
	const struct vhost_user_iotlb t = { .iova = 0x77000, .type = VHOST_USER_IOTLB_MISS };
	const uint64_t area[3] = { 5, 0x1000, 0x2000 };
	const uint64_t gone[3] = { 6 | VHOST_USER_VRING_NOFD, 0, 0 };
	struct fix *f = *state;
	struct seen s = watch(f);

	vuc_set_back_ops(f->c, &all_ops, &s);
	fe_say_fds(f->back, VHOST_USER_BACKEND_SHMEM_MAP, 1, &m, sizeof(m), &f->fd, 1);
	vuc_process(f->c);
	assert_int_equal(s.a, 0x5000);
	assert_int_equal(s.b, 0x3000);
	fe_say(f->back, VHOST_USER_BACKEND_IOTLB_MSG, 1, &t, sizeof(t));
	vuc_process(f->c);
	assert_int_equal(s.a, 0x77000);
	fe_say_fds(f->back, VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, 1, area, 24, &f->fd, 1);
	vuc_process(f->c);
	assert_int_equal(s.request, 5);
	assert_int_equal(s.b, 0x1000);
	assert_int_equal(s.a, 0x2000);
	assert_false(s.flag);
	fe_say(f->back, VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, 1, gone, 24);
	vuc_process(f->c);
	assert_int_equal(s.request, 6);
	assert_true(s.flag);
	fe_say(f->back, VHOST_USER_BACKEND_SHARED_OBJECT_ADD, 1, "0123456789abcdef", 16);
	vuc_process(f->c);
	assert_memory_equal(s.uuid, "0123456789abcdef", 16);
}

static void what_has_no_function_is_refused(void **state)
{
	struct fix *f = *state;

	fe_say_fds(f->back, VHOST_USER_BACKEND_SHMEM_MAP, ASK, NULL, 40, &f->fd, 1);
	fe_say(f->back, 99, ASK, NULL, 4);
	fe_say(f->back, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, 1, NULL, 16);
	fe_say(f->back, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, ASK, NULL, 0);
	vuc_process(f->c);
	assert_true(answered(f, VHOST_USER_BACKEND_SHMEM_MAP) != 0);
	assert_true(answered(f, 99) != 0);
	assert_true(answered(f, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP) != 0);
	assert_int_equal(answered(f, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG), 0);
	assert_true(vuc_back_fd(f->c) >= 0);
}

static void found_object_goes_with_the_answer(void **state)
{
	struct fix *f = *state;
	struct seen s = watch(f);
	unsigned int n, before = fe_open_fds();
	int fds[FE_MAXFDS];
	uint64_t v;
	struct msg m;

	vuc_set_back_ops(f->c, &all_ops, &s);
	s.give = fe_memfd(4096);
	fe_say(f->back, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, 1, "0123456789abcdef", 16);
	vuc_process(f->c);
	m = fe_hear_fds(f->back, fds, &n);
	assert_int_equal(m.h.request, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP);
	memcpy(&v, m.p, 8);
	assert_int_equal(v, 0);
	assert_int_equal(n, 1);
	close(fds[0]);
	/* Ours was closed after it was sent. */
	assert_int_equal(fe_open_fds(), before);
	s.give = -1;
	fe_say(f->back, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, ASK, NULL, 16);
	vuc_process(f->c);
	assert_true(answered(f, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP) != 0);
	assert_true(fe_is_silent(f->back));
	/* Refused, but with a descriptor. */
	s.give = fe_memfd(4096);
	s.answer = -EPERM;
	fe_say(f->back, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, ASK, NULL, 16);
	vuc_process(f->c);
	assert_int_equal((int64_t)answered(f, VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP), -EPERM);
	assert_int_equal(fe_open_fds(), before);
}

static void bad_messages_cost_the_channel_and_say_why(void **state)
{
	static const uint64_t contradiction[3] = { VHOST_USER_VRING_NOFD };
	static const struct {
		uint32_t request, flags, size;
		unsigned int nfds;
		const char *why;
	} bad[] = {
		{ VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 0, 0, "else than a request" },
		{ VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 2, 0, 0, "else than a request" },
		{ VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1, 4, 0, "size" },
		{ VHOST_USER_BACKEND_IOTLB_MSG, 1, 25, 0, "size" },
		{ VHOST_USER_BACKEND_IOTLB_MSG, 1, 33, 0, "size" },
		{ VHOST_USER_BACKEND_SHMEM_MAP, 1, 39, 1, "size" },
		{ VHOST_USER_BACKEND_SHMEM_MAP, 1, 40, 0, "descriptors" },
		{ VHOST_USER_BACKEND_SHMEM_MAP, 1, 40, 2, "descriptors" },
		{ VHOST_USER_BACKEND_SHMEM_UNMAP, 1, 40, 1, "descriptors" },
		{ VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP, 1, 15, 0, "size" },
		{ VHOST_USER_BACKEND_CROSVM_GPU_MAP, 1, 64, 0, "descriptors" },
		{ VHOST_USER_BACKEND_CROSVM_EXTERNAL_MAP, 1, 8, 0, "size" },
		{ VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, 1, 24, 1, "contradicts" },
		{ 99, 1, 0, 9, "descriptors" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		unsigned int before;
		int fds[9];
		struct seen s;
		struct fix *f;
		uint64_t v;
		void *p;

		setup(&p);
		f = p;
		s = watch(f);
		vuc_set_back_ops(f->c, &all_ops, &s);
		for (size_t j = 0; j < ARRAY_SIZE(fds); j++)
			fds[j] = f->fd;
		before = fe_open_fds();
		fe_say_fds(f->back, bad[i].request, bad[i].flags,
			   bad[i].size == 24 ? contradiction : NULL, bad[i].size, fds, bad[i].nfds);
		vuc_process(f->c);
		assert_int_equal(vuc_back_fd(f->c), -1);
		assert_int_equal(s.calls, 0);
		assert_int_equal(fe_open_fds(), before - 1);
		assert_int_equal(vuc_backend_wait(f->c, 0, &f->e), -ENOTCONN);
		assert_non_null(strstr(f->e.what, bad[i].why));
		fe_say_u64(f, VHOST_USER_GET_FEATURES, 1);
		assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
		fe_teardown(&p);
	}
}

static void huge_request_is_not_read(void **state)
{
	struct fix *f = *state;
	const struct vhost_user_hdr h = { 99, 1, 0xffffffff };

	assert_int_equal(write(f->back, &h, sizeof(h)), sizeof(h));
	vuc_process(f->c);
	assert_int_equal(vuc_back_fd(f->c), -1);
}

static void request_may_come_byte_by_byte(void **state)
{
	struct fix *f = *state;
	struct seen s = watch(f);
	struct {
		struct vhost_user_hdr h;
		uint8_t p[16];
	} m = { { VHOST_USER_BACKEND_SHARED_OBJECT_ADD, ASK, 16 }, "fedcba9876543210" };

	vuc_set_back_ops(f->c, &all_ops, &s);
	for (size_t i = 0; i < sizeof(m); i++) {
		struct pollfd p[2];

		vuc_process(f->c);
		assert_int_equal(s.calls, 0);
		/* What has begun has a time. */
		assert_int_equal(vuc_events(f->c, p) >= 0, i > 0);
		assert_int_equal(write(f->back, (uint8_t *)&m + i, 1), 1);
	}
	vuc_process(f->c);
	assert_int_equal(s.calls, 1);
	assert_memory_equal(s.uuid, m.p, 16);
	assert_int_equal(answered(f, VHOST_USER_BACKEND_SHARED_OBJECT_ADD), 0);
}

static void half_a_request_is_given_up_in_time(void **state)
{
	struct fix *f = *state;

	assert_int_equal(write(f->back, "\1\0\0", 3), 3);
	assert_int_equal(vuc_backend_wait(f->c, PATIENCE, &f->e), -ENOTCONN);
	assert_int_equal(vuc_backend_wait(f->c, 0, &f->e), -ENOTCONN);
	assert_non_null(strstr(f->e.what, "did not finish"));
	assert_null(vuc_dead(f->c));
}

static void closed_channel_is_told(void **state)
{
	struct fix *f = *state;

	close(f->back);
	f->back = -1;
	assert_int_equal(vuc_backend_wait(f->c, PATIENCE, &f->e), -ENOTCONN);
	assert_int_equal(vuc_backend_wait(f->c, 0, &f->e), -ENOTCONN);
	assert_non_null(strstr(f->e.what, "closed"));
}

static void lost_connection_ends_the_wait(void **state)
{
	struct fix *f = *state;

	close(f->fd);
	f->fd = -1;
	assert_int_equal(vuc_backend_wait(f->c, PATIENCE, &f->e), -ENOTCONN);
	assert_non_null(vuc_dead(f->c));
}

/* ---- floods ---- */

/* Writes as fast as it can until nobody is there to read. */
static void *flood(void *arg)
{
	const struct vhost_user_hdr h[16] = { [0 ... 15] = { 99, VHOST_USER_VERSION, 0 } };

	while (send(*(int *)arg, h, sizeof(h), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void flood_does_not_hold_back_the_deadline(void **state)
{
	struct fix *f = *state;
	uint64_t v, from = clock_ns();
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, flood, &f->back), 0);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), -ETIMEDOUT);
	assert_true(clock_ns() - from < PATIENCE * UINT64_C(1000000));
	vuc_close(f->c);
	f->c = NULL;
	pthread_join(t, NULL);
}

static void flood_does_not_hold_back_an_answer(void **state)
{
	struct fix *f = *state;
	uint64_t v = 0;
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, flood, &f->back), 0);
	for (unsigned int i = 0; i < 20; i++) {
		fe_say_u64(f, VHOST_USER_GET_FEATURES, i);
		assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
		assert_int_equal(v, i);
	}
	assert_int_equal(vuc_backend_wait(f->c, 10, &f->e), 0);
	vuc_close(f->c);
	f->c = NULL;
	pthread_join(t, NULL);
}

/* Each request is the reason for the next, so that one is always there. */
static int on_chain(void *ctx, uint32_t request, const void *payload, uint32_t size, int fd)
{
	struct seen *s = ctx;

	if (++s->calls < 1000)
		fe_say(s->f->back, request, VHOST_USER_VERSION, NULL, 0);
	return 0;
}

static void one_turn_takes_a_few_requests_and_the_answer(void **state)
{
	static const struct vuc_back_ops ops = { .other = on_chain };
	struct fix *f = *state;
	struct seen s = watch(f);
	unsigned int before;
	uint64_t v = 0;

	vuc_set_back_ops(f->c, &ops, &s);
	fe_say(f->back, 99, VHOST_USER_VERSION, NULL, 0);
	vuc_process(f->c);
	assert_in_range(s.calls, 1, 100);
	before = s.calls;
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 8);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
	assert_int_equal(v, 8);
	assert_in_range(s.calls - before, 1, 100);
	for (unsigned int i = 0; i < 1000 && s.calls < 1000; i++)
		vuc_process(f->c);
	assert_int_equal(s.calls, 1000);
}

/* It asks and asks, and never reads what it is answered. */
static void unread_answers_cost_the_channel(void **state)
{
	const struct vhost_user_hdr h = { VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, ASK, 0 };
	struct fix *f = *state;
	uint64_t v, end = clock_ns() + PATIENCE * UINT64_C(1000000);

	while (vuc_back_fd(f->c) >= 0 && clock_ns() < end) {
		struct pollfd p[2];

		while (send(f->back, &h, sizeof(h), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			;
		vuc_process(f->c);
		if (vuc_events(f->c, p) >= 0 && p[1].events == POLLOUT)
			poll(p, 2, vuc_events(f->c, p));
	}
	assert_int_equal(vuc_back_fd(f->c), -1);
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 1);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
	while (vuc_backend_wait(f->c, 0, &f->e) == 1)
		;
	assert_non_null(strstr(f->e.what, "did not take"));
}

/* ---- calls inside ---- */

static int on_miss(void *ctx, const struct vhost_user_iotlb *m)
{
	struct vhost_user_iotlb u = *m;
	struct seen *s = ctx;

	u.type = VHOST_USER_IOTLB_UPDATE;
	note(s, "iotlb", -1);
	fe_say_u64(s->f, VHOST_USER_IOTLB_MSG, 0);
	return vuc_iotlb(s->f->c, &u, &s->f->e);
}

static void request_may_be_answered_with_a_message(void **state)
{
	static const struct vuc_back_ops ops = { .iotlb = on_miss };
	const struct vhost_user_iotlb t = { .iova = 0x1000, .type = VHOST_USER_IOTLB_MISS };
	struct fix *f = *state;
	struct seen s = watch(f);
	struct msg m;

	assert_int_equal(vuc_set_features(f->c, UINT64_C(1) << 33, &f->e), 0);
	fe_hear(f);
	vuc_set_back_ops(f->c, &ops, &s);
	/* The second may not be served while the first is. */
	fe_say(f->back, VHOST_USER_BACKEND_IOTLB_MSG, ASK, &t, sizeof(t));
	fe_say(f->back, VHOST_USER_BACKEND_IOTLB_MSG, ASK, &t, sizeof(t));
	vuc_process(f->c);
	assert_int_equal(s.calls, 2);
	for (unsigned int i = 0; i < 2; i++) {
		m = fe_hear(f);
		assert_int_equal(m.h.request, VHOST_USER_IOTLB_MSG);
		assert_int_equal(m.h.flags, ASK);
		assert_int_equal(answered(f, VHOST_USER_BACKEND_IOTLB_MSG), 0);
	}
}

static char line[200];

static void on_line(void *ctx, const char *l)
{
	if (l[0] == 'b' && l[1] == *(const char *)ctx)
		snprintf(line, sizeof(line), "%s", l);
}

static void back_channel_is_traced(void **state)
{
	struct fix *f = *state;

	vuc_set_trace(f->c, on_line, (void *)(uintptr_t) "<");
	fe_say(f->back, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, ASK, NULL, 0);
	vuc_process(f->c);
	assert_string_equal(line, "b< CONFIG_CHANGE_MSG size 0 flags 0x9 fds 0");
	vuc_set_trace(f->c, on_line, (void *)(uintptr_t) ">");
	fe_say(f->back, 99, ASK, NULL, 0);
	vuc_process(f->c);
	assert_non_null(strstr(line, "b> message 99 size 8 flags 0x5 fds 0: 0x"));
}

static void channel_can_be_made_anew(void **state)
{
	struct fix *f = *state;
	unsigned int before = fe_open_fds();

	close(f->back);
	fe_back_channel(f);
	assert_int_equal(fe_open_fds(), before);
	fe_say(f->back, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1, NULL, 0);
	assert_int_equal(vuc_backend_wait(f->c, PATIENCE, &f->e), 1);
}

#define T(x) cmocka_unit_test_setup_teardown(x, setup, fe_teardown)
#define S(x) cmocka_unit_test_setup_teardown(x, setup_short, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_request_has_its_function),
		T(payloads_arrive),
		T(what_has_no_function_is_refused),
		T(found_object_goes_with_the_answer),
		cmocka_unit_test(bad_messages_cost_the_channel_and_say_why),
		T(huge_request_is_not_read),
		T(request_may_come_byte_by_byte),
		S(half_a_request_is_given_up_in_time),
		T(closed_channel_is_told),
		T(lost_connection_ends_the_wait),
		S(flood_does_not_hold_back_the_deadline),
		T(flood_does_not_hold_back_an_answer),
		T(one_turn_takes_a_few_requests_and_the_answer),
		S(unread_answers_cost_the_channel),
		T(request_may_be_answered_with_a_message),
		T(back_channel_is_traced),
		T(channel_can_be_made_anew),
	};

	return cmocka_run_group_tests_name("vhost-user client, back-channel", tests, NULL, NULL);
}
