/* SPDX-License-Identifier: MIT */
/* The vhost-user client against back-ends that answer late, wrong, or not at all. */
#include "fe-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/compiler.h"
#include "util/loop.h"

static void acks_on(struct fix *f)
{
	fe_negotiate(f, PF(REPLY_ACK));
}

static void answer_is_handed_over(void **state)
{
	struct fix *f = *state;
	uint64_t v = 0;
	struct msg m;

	fe_say_u64(f, VHOST_USER_GET_FEATURES, 0x123456789);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
	assert_int_equal(v, 0x123456789);
	m = fe_hear(f);
	assert_int_equal(m.h.request, VHOST_USER_GET_FEATURES);
	assert_int_equal(m.h.flags, VHOST_USER_VERSION);
	assert_int_equal(m.h.size, 0);
}

static void ack_is_asked_for_only_when_negotiated(void **state)
{
	struct fix *f = *state;

	assert_int_equal(vuc_set_owner(f->c, &f->e), 0);
	assert_int_equal(fe_hear(f).h.flags, VHOST_USER_VERSION);
	acks_on(f);
	fe_say_u64(f, VHOST_USER_SET_OWNER, 0);
	assert_int_equal(vuc_set_owner(f->c, &f->e), 0);
	assert_int_equal(fe_hear(f).h.flags, VHOST_USER_VERSION | VHOST_USER_F_NEED_REPLY);
}

static void refusal_is_no_end(void **state)
{
	struct fix *f = *state;

	acks_on(f);
	fe_say_u64(f, VHOST_USER_SET_FEATURES, 1);
	assert_int_equal(vuc_set_features(f->c, 7, &f->e), -EREMOTEIO);
	assert_null(vuc_dead(f->c));
	fe_say_u64(f, VHOST_USER_SET_FEATURES, 0);
	assert_int_equal(vuc_set_features(f->c, 3, &f->e), 0);
}

static void silence_ends_at_the_deadline(void **state)
{
	struct fix *f = *state;
	uint64_t from = clock_ns(), v;

	assert_int_equal(vuc_get_features(f->c, &v, &f->e), -ETIMEDOUT);
	assert_in_range(clock_ns() - from, 190000000, 5000000000);
	assert_non_null(vuc_dead(f->c));
	assert_true(f->e.what[0]);
	/* A late answer must not be taken for that to the next question. */
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 1);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), -ENOTCONN);
}

static void half_an_answer_ends_at_the_deadline(void **state)
{
	struct fix *f = *state;
	uint64_t v;

	assert_int_equal(write(f->fd, "\1\0\0", 3), 3);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), -ETIMEDOUT);
}

static void hang_up_is_told(void **state)
{
	struct fix *f = *state;
	uint64_t v;

	close(f->fd);
	f->fd = -1;
	assert_true(vuc_get_features(f->c, &v, &f->e) < 0);
	assert_int_equal(vuc_set_owner(f->c, &f->e), -ENOTCONN);
}

static void wrong_answers_are_not_believed(void **state)
{
	static const struct {
		uint32_t request, flags, size;
	} bad[] = {
		{ VHOST_USER_SET_FEATURES, 5, 8 }, /* another message */
		{ VHOST_USER_GET_FEATURES, 1, 8 }, /* no reply bit */
		{ VHOST_USER_GET_FEATURES, 4, 8 }, /* version 0 */
		{ VHOST_USER_GET_FEATURES, 6, 8 }, /* version 2 */
		{ VHOST_USER_GET_FEATURES, 5, 0 }, /* too short */
		{ VHOST_USER_GET_FEATURES, 5, 7 },
		{ VHOST_USER_GET_FEATURES, 5, 9 }, /* too long */
		{ VHOST_USER_GET_FEATURES, 5, 500 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fix *f;
		uint64_t v;
		void *s;

		fe_setup(&s);
		f = s;
		fe_say(f->fd, bad[i].request, bad[i].flags, NULL, bad[i].size);
		assert_int_equal(vuc_get_features(f->c, &v, &f->e), -EPROTO);
		assert_non_null(vuc_dead(f->c));
		fe_teardown(&s);
	}
}

/* In step, and yet of no use. */
static void no_queues_is_an_error_but_not_the_end(void **state)
{
	struct fix *f = *state;
	uint64_t v;

	fe_negotiate(f, PF(MQ));
	fe_say_u64(f, VHOST_USER_GET_QUEUE_NUM, 0);
	assert_int_equal(vuc_get_queue_num(f->c, &v, &f->e), -EREMOTEIO);
	assert_null(vuc_dead(f->c));
	fe_say_u64(f, VHOST_USER_GET_QUEUE_NUM, 4);
	assert_int_equal(vuc_get_queue_num(f->c, &v, &f->e), 0);
	assert_int_equal(v, 4);
}

static void ring_position_is_checked(void **state)
{
	struct vhost_user_vring_state good = { 1, 0x80058003 }, other = { 2, 3 },
				      big = { 1, 65536 };
	struct fix *f = *state;
	struct vq_base b;

	fe_say(f->fd, VHOST_USER_GET_VRING_BASE, 5, &good, sizeof(good));
	assert_int_equal(vuc_get_vring_base(f->c, 1, true, &b, &f->e), 0);
	assert_int_equal(b.avail_idx, 3);
	assert_true(b.avail_wrap);
	assert_int_equal(b.used_idx, 5);
	assert_true(b.used_wrap);
	fe_say(f->fd, VHOST_USER_GET_VRING_BASE, 5, &big, sizeof(big));
	assert_int_equal(vuc_get_vring_base(f->c, 1, false, &b, &f->e), -EPROTO);
	fe_teardown(state);
	fe_setup(state);
	f = *state;
	fe_say(f->fd, VHOST_USER_GET_VRING_BASE, 5, &other, sizeof(other));
	assert_int_equal(vuc_get_vring_base(f->c, 1, false, &b, &f->e), -EPROTO);
}

static void ring_position_survives_the_wire(void **state)
{
	struct fix *f = *state;
	const struct vq_base b = { .avail_idx = 0x1234, .used_idx = 0x789, .avail_wrap = true };
	struct vhost_user_vring_state s;

	assert_int_equal(vuc_set_vring_base(f->c, 3, b, true, &f->e), 0);
	memcpy(&s, fe_hear(f).p, sizeof(s));
	assert_int_equal(s.index, 3);
	assert_int_equal(s.num, 0x07899234);
	assert_int_equal(vuc_set_vring_base(f->c, 3, b, false, &f->e), 0);
	memcpy(&s, fe_hear(f).p, sizeof(s));
	assert_int_equal(s.num, 0x1234);
}

static void config_reply_is_checked(void **state)
{
	struct vhost_user_config k = { .offset = 4, .size = 3, .region = { 7, 8, 9 } };
	struct fix *f = *state;
	uint8_t buf[8] = { 0 };

	fe_negotiate(f, PF(CONFIG));
	fe_say(f->fd, VHOST_USER_GET_CONFIG, 5, &k, VHOST_USER_CONFIG_HDR_SIZE + 3);
	assert_int_equal(vuc_get_config(f->c, 4, buf, 3, &f->e), 0);
	assert_int_equal(buf[2], 9);
	/* Both ways to say no. */
	fe_say(f->fd, VHOST_USER_GET_CONFIG, 5, NULL, 0);
	assert_int_equal(vuc_get_config(f->c, 4, buf, 3, &f->e), -EREMOTEIO);
	k.size = 0;
	fe_say(f->fd, VHOST_USER_GET_CONFIG, 5, &k, VHOST_USER_CONFIG_HDR_SIZE);
	assert_int_equal(vuc_get_config(f->c, 4, buf, 3, &f->e), -EREMOTEIO);
	assert_null(vuc_dead(f->c));
	assert_int_equal(vuc_get_config(f->c, 0, buf, 257, &f->e), -EINVAL);
	k.size = 3;
	k.offset = 5;
	fe_say(f->fd, VHOST_USER_GET_CONFIG, 5, &k, VHOST_USER_CONFIG_HDR_SIZE + 3);
	assert_int_equal(vuc_get_config(f->c, 4, buf, 3, &f->e), -EPROTO);
}

static void memory_goes_with_its_descriptors(void **state)
{
	const struct fe_mem_spec specs[2] = { { .gpa = 0, .size = 8192, .offset = 4096 },
					      { .gpa = 1 << 20, .size = 4096 } };
	struct fix *f = *state;
	struct fe_mem *m = fe_mem_new(specs, 2, &f->e);
	struct vhost_user_mem_table t;
	unsigned int n;
	struct msg g;
	int fds[FE_MAXFDS];

	assert_non_null(m);
	assert_int_equal(vuc_set_mem_table(f->c, m, &f->e), 0);
	g = fe_hear_fds(f->fd, fds, &n);
	assert_int_equal(n, 2);
	assert_int_equal(g.h.size, 8 + 2 * 32);
	memcpy(&t, g.p, sizeof(t));
	assert_int_equal(t.nregions, 2);
	assert_int_equal(t.regions[0].mmap_offset, 4096);
	assert_int_equal(t.regions[0].uva, (uintptr_t)m->r[0].host);
	assert_int_equal(t.regions[1].gpa, 1 << 20);
	for (unsigned int i = 0; i < n; i++) {
		assert_true(fcntl(fds[i], F_GETFD) >= 0);
		close(fds[i]);
	}
	m->n = VHOST_USER_MAX_REGIONS + 1;
	assert_int_equal(vuc_set_mem_table(f->c, m, &f->e), -E2BIG);
	m->n = 2;
	fe_mem_free(m);
}

static void missing_descriptor_is_said(void **state)
{
	struct fix *f = *state;
	unsigned int n;
	uint64_t v;
	int fds[FE_MAXFDS];
	struct msg m;

	assert_int_equal(vuc_set_vring_kick(f->c, 5, -1, &f->e), 0);
	memcpy(&v, fe_hear(f).p, sizeof(v));
	assert_int_equal(v, 5 | VHOST_USER_VRING_NOFD);
	assert_int_equal(vuc_set_vring_call(f->c, 5, f->fd, &f->e), 0);
	m = fe_hear_fds(f->fd, fds, &n);
	memcpy(&v, m.p, sizeof(v));
	assert_int_equal(v, 5);
	assert_int_equal(n, 1);
	close(fds[0]);
	assert_int_equal(vuc_set_vring_kick(f->c, 256, -1, &f->e), -EINVAL);
}

static void changes_are_told_once_each(void **state)
{
	struct fix *f = *state;
	struct msg m;

	fe_negotiate(f, PF(BACKEND_REQ));
	fe_back_channel(f);
	assert_int_equal(vuc_backend_wait(f->c, 10, &f->e), 0);
	fe_say(f->back, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, NULL, 0);
	fe_say(f->back, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
	       VHOST_USER_VERSION | VHOST_USER_F_NEED_REPLY, NULL, 0);
	assert_int_equal(vuc_backend_wait(f->c, 1000, &f->e), 1);
	assert_int_equal(vuc_backend_wait(f->c, 1000, &f->e), 1);
	assert_int_equal(vuc_backend_wait(f->c, 10, &f->e), 0);
	assert_int_equal(read(f->back, &m, sizeof(m)), 12 + 8);
	assert_int_equal(m.h.flags, VHOST_USER_VERSION | VHOST_USER_F_REPLY);
	assert_int_equal(m.p[0], 0);
}

/* The back-end waits for our answer there before it answers here. */
static void *stubborn(void *arg)
{
	struct fix *f = arg;
	struct msg m;

	fe_say(f->back, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
	       VHOST_USER_VERSION | VHOST_USER_F_NEED_REPLY, NULL, 0);
	if (read(f->back, &m, sizeof(m)) == 20)
		fe_say_u64(f, VHOST_USER_GET_FEATURES, 42);
	return NULL;
}

static void back_channel_is_served_while_waiting(void **state)
{
	struct fix *f = *state;
	uint64_t v = 0;
	pthread_t t;

	fe_negotiate(f, PF(BACKEND_REQ));
	fe_back_channel(f);
	assert_int_equal(pthread_create(&t, NULL, stubborn, f), 0);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
	pthread_join(t, NULL);
	assert_int_equal(v, 42);
	assert_int_equal(vuc_backend_wait(f->c, 0, &f->e), 1);
}

static void nonsense_on_the_back_channel_ends_only_it(void **state)
{
	struct fix *f = *state;
	uint64_t v;

	fe_negotiate(f, PF(BACKEND_REQ));
	fe_back_channel(f);
	fe_say(f->back, 99, VHOST_USER_VERSION | VHOST_USER_F_NEED_REPLY, "abcd", 4);
	assert_int_equal(vuc_backend_wait(f->c, 100, &f->e), 0); /* unknown: refused, goes on */
	fe_say(f->back, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_F_REPLY, NULL, 0);
	assert_int_equal(vuc_backend_wait(f->c, 100, &f->e), -ENOTCONN);
	assert_int_equal(vuc_backend_wait(f->c, 0, &f->e), -ENOTCONN);
	assert_non_null(strstr(f->e.what, "given up"));
	fe_say_u64(f, VHOST_USER_GET_FEATURES, 1);
	assert_int_equal(vuc_get_features(f->c, &v, &f->e), 0);
}

static void stuck_peer_does_not_hold_us(void **state)
{
	struct fix *f = *state;
	uint8_t big[4096] = { 0 };
	struct vuc_msg m = { .request = 1000, .payload = big, .size = sizeof(big) };
	int ret = 0;

	for (unsigned int i = 0; i < 1000 && ret == 0; i++)
		ret = vuc_call(f->c, &m, &f->e);
	assert_int_equal(ret, -ETIMEDOUT);
}

static void connect_says_what_is_wrong(void **state)
{
	char dir[] = "/tmp/vuc.XXXXXX", path[64], longpath[200];
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct err e;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	assert_null(vuc_connect(path, 0, &e));
	assert_int_equal(e.code, -ENOENT);
	assert_non_null(strstr(e.what, path));
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	assert_null(vuc_connect(path, 0, &e));
	assert_int_equal(e.code, -ECONNREFUSED);
	assert_true(e.hint[0]);
	memset(longpath, 'a', sizeof(longpath));
	longpath[sizeof(longpath) - 1] = 0;
	assert_null(vuc_connect(longpath, 0, &e));
	assert_int_equal(e.code, -ENAMETOOLONG);
	unlink(path);
	rmdir(dir);
}

#define T(x) cmocka_unit_test_setup_teardown(x, fe_setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(answer_is_handed_over),
		T(ack_is_asked_for_only_when_negotiated),
		T(refusal_is_no_end),
		T(silence_ends_at_the_deadline),
		T(half_an_answer_ends_at_the_deadline),
		T(hang_up_is_told),
		cmocka_unit_test(wrong_answers_are_not_believed),
		T(no_queues_is_an_error_but_not_the_end),
		T(ring_position_is_checked),
		T(ring_position_survives_the_wire),
		T(config_reply_is_checked),
		T(memory_goes_with_its_descriptors),
		T(missing_descriptor_is_said),
		T(changes_are_told_once_each),
		cmocka_unit_test_setup_teardown(back_channel_is_served_while_waiting,
						fe_setup_patient, fe_teardown),
		T(nonsense_on_the_back_channel_ends_only_it),
		T(stuck_peer_does_not_hold_us),
		cmocka_unit_test(connect_says_what_is_wrong),
	};

	return cmocka_run_group_tests_name("vhost-user client", tests, NULL, NULL);
}
