/* SPDX-License-Identifier: MIT */
/* Messages of protocol extensions: what they send, what they believe, and that they need their feature. */
#include "fe-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/compiler.h"

#define EVERYTHING (~PF(REPLY_ACK))

static int setup(void **state)
{
	struct fix *f;

	fe_setup_patient(state);
	f = *state;
	fe_negotiate(f, EVERYTHING);
	assert_int_equal(vuc_set_features(f->c, UINT64_C(1) << 33, &f->e), 0);
	fe_hear(f);
	return 0;
}

static void fresh(void **state)
{
	fe_teardown(state);
	setup(state);
}

static void nothing_is_sent_without_its_feature(void **state)
{
	struct vhost_user_shmem_config shm;
	struct vhost_user_iotlb t = { 0 };
	struct vhost_user_uuid u = { 0 };
	struct vuc_inflight i = { 0 };
	struct fix *f = *state;
	struct fe_region r = { 0 };
	struct err *e = &f->e;
	struct vuc *c = f->c;
	uint8_t st, buf[4];
	uint64_t v = 0;
	size_t size;
	void *p;
	int fd;
	const int ret[] = {
		vuc_get_queue_num(c, &v, e),
		vuc_get_config(c, 0, buf, 4, e),
		vuc_set_config(c, 0, buf, 4, 0, e),
		vuc_get_max_mem_slots(c, &v, e),
		vuc_add_mem_reg(c, &r, e),
		vuc_rem_mem_reg(c, &r, e),
		vuc_reset_device(c, e),
		vuc_set_status(c, 0, e),
		vuc_get_status(c, &st, e),
		vuc_get_inflight_fd(c, 1, 1, &i, e),
		vuc_set_inflight_fd(c, &i, e),
		vuc_set_log_base(c, f->fd, 1, 0, e),
		vuc_iotlb(c, &t, e),
		vuc_set_device_state_fd(c, false, f->fd, &fd, e),
		vuc_check_device_state(c, e),
		vuc_save_state(c, &p, &size, e),
		vuc_load_state(c, "", 1, e),
		vuc_get_shmem_config(c, &shm, e),
		vuc_get_shared_object(c, &u, &fd, e),
		vuc_set_backend_req_fd(c, e),
	};

	for (size_t k = 0; k < ARRAY_SIZE(ret); k++)
		assert_int_equal(ret[k], -EOPNOTSUPP);
	assert_true(fe_is_silent(f->fd));
	assert_null(vuc_dead(c));
}

static void missing_feature_is_named(void **state)
{
	struct fix *f = *state;
	size_t size;
	uint64_t v;
	void *p;

	assert_int_equal(vuc_save_state(f->c, &p, &size, &f->e), -EOPNOTSUPP);
	assert_string_equal(f->e.what, "DEVICE_STATE was not negotiated");
	assert_non_null(strstr(f->e.hint, "bit 19"));
	fe_say_u64(f, VHOST_USER_GET_PROTOCOL_FEATURES, PF(MQ));
	assert_int_equal(vuc_get_protocol_features(f->c, &v, &f->e), 0);
	assert_int_equal(vuc_save_state(f->c, &p, &size, &f->e), -EOPNOTSUPP);
	assert_string_equal(f->e.what, "the back-end does not offer DEVICE_STATE");
	assert_true(f->e.hint[0]);
}

/* ---- crash records ---- */

static void say_inflight(struct fix *f, uint64_t size, uint64_t offset, uint16_t n, uint16_t qs,
			 int fd, uint32_t bytes)
{
	const struct {
		struct vhost_user_inflight i;
		uint8_t more[8];
	} a = { { size, offset, n, qs, 0 }, { 0 } };

	fe_say_fds(f->fd, VHOST_USER_GET_INFLIGHT_FD, REPLY, &a, bytes, &fd, fd >= 0);
}

static void record_is_handed_over(void **state)
{
	struct fix *f = *state;
	struct vuc_inflight i;
	int fd = fe_memfd(8192), fds[FE_MAXFDS];
	struct vhost_user_inflight q;
	unsigned int n;
	struct msg m;

	for (uint32_t bytes = 20; bytes <= 24; bytes += 4) {
		say_inflight(f, 4096, 4096, 2, 128, fd, bytes);
		assert_int_equal(vuc_get_inflight_fd(f->c, 2, 128, &i, &f->e), 0);
		assert_int_equal(i.mmap_size, 4096);
		assert_int_equal(i.mmap_offset, 4096);
		assert_int_equal(i.num_queues, 2);
		assert_int_equal(i.queue_size, 128);
		assert_true(fcntl(i.fd, F_GETFD) >= 0);
		m = fe_hear(f);
		memcpy(&q, m.p, sizeof(q));
		assert_int_equal(q.num_queues, 2);
		assert_int_equal(q.queue_size, 128);
		assert_int_equal(q.mmap_size, 0);
		assert_int_equal(vuc_set_inflight_fd(f->c, &i, &f->e), 0);
		m = fe_hear_fds(f->fd, fds, &n);
		assert_int_equal(m.h.request, VHOST_USER_SET_INFLIGHT_FD);
		assert_int_equal(n, 1);
		memcpy(&q, m.p, sizeof(q));
		assert_int_equal(q.mmap_size, 4096);
		assert_int_equal(q.mmap_offset, 4096);
		assert_int_equal(q.queue_size, 128);
		close(fds[0]);
		close(i.fd);
	}
	close(fd);
}

static void impossible_records_are_not_believed(void **state)
{
	static const struct {
		uint64_t size, offset;
		uint16_t n, qs;
		bool fd;
		uint32_t bytes;
	} bad[] = {
		{ 8193, 0, 2, 128, true, 24 },
		{ 4096, 4097, 2, 128, true, 24 },
		{ UINT64_MAX, 4096, 2, 128, true, 24 },
		{ 4096, UINT64_MAX - 4095, 2, 128, true, 24 },
		{ 4096, 0, 3, 128, true, 24 },
		{ 4096, 0, 2, 64, true, 24 },
		{ 4096, 0, 2, 128, false, 24 },
		{ 4096, 0, 2, 128, true, 19 },
		{ 4096, 0, 2, 128, true, 25 },
	};
	int fd = fe_memfd(8192);
	unsigned int before;

	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		struct fix *f = *state;
		struct vuc_inflight i;

		before = fe_open_fds();
		say_inflight(f, bad[k].size, bad[k].offset, bad[k].n, bad[k].qs,
			     bad[k].fd ? fd : -1, bad[k].bytes);
		assert_int_equal(vuc_get_inflight_fd(f->c, 2, 128, &i, &f->e), -EPROTO);
		assert_int_equal(i.fd, -1);
		assert_non_null(vuc_dead(f->c));
		assert_int_equal(fe_open_fds(), before);
		fresh(state);
	}
	close(fd);
}

static void back_end_without_a_record_is_no_violation(void **state)
{
	struct fix *f = *state;
	struct vuc_inflight i;

	say_inflight(f, 0, 0, 0, 0, -1, 24);
	assert_int_equal(vuc_get_inflight_fd(f->c, 2, 128, &i, &f->e), -EREMOTEIO);
	assert_null(vuc_dead(f->c));
}

/* ---- dirty log, IOTLB ---- */

static void log_base_is_answered_in_three_ways(void **state)
{
	struct fix *f = *state;
	struct vhost_user_log l;
	unsigned int n;
	int fds[FE_MAXFDS];
	struct msg m;

	fe_say(f->fd, VHOST_USER_SET_LOG_BASE, REPLY, NULL, 0);
	assert_int_equal(vuc_set_log_base(f->c, f->fd, 0x2000, 0x1000, &f->e), 0);
	m = fe_hear_fds(f->fd, fds, &n);
	assert_int_equal(n, 1);
	close(fds[0]);
	memcpy(&l, m.p, sizeof(l));
	assert_int_equal(m.h.size, sizeof(l));
	assert_int_equal(l.mmap_size, 0x2000);
	assert_int_equal(l.mmap_offset, 0x1000);
	fe_say_u64(f, VHOST_USER_SET_LOG_BASE, 0);
	assert_int_equal(vuc_set_log_base(f->c, f->fd, 0x2000, 0x1000, &f->e), 0);
	fe_say_u64(f, VHOST_USER_SET_LOG_BASE, 0x2000);
	assert_int_equal(vuc_set_log_base(f->c, f->fd, 0x2000, 0x1000, &f->e), 0);
	fe_say_u64(f, VHOST_USER_SET_LOG_BASE, 1);
	assert_int_equal(vuc_set_log_base(f->c, f->fd, 0x2000, 0x1000, &f->e), -EREMOTEIO);
	assert_null(vuc_dead(f->c));
	fe_say(f->fd, VHOST_USER_SET_LOG_BASE, REPLY, NULL, 4);
	assert_int_equal(vuc_set_log_base(f->c, f->fd, 0x2000, 0x1000, &f->e), -EPROTO);
}

static void descriptors_alone_are_messages(void **state)
{
	struct fix *f = *state;
	unsigned int n;
	int fds[FE_MAXFDS];

	assert_int_equal(vuc_set_log_fd(f->c, f->fd, &f->e), 0);
	assert_int_equal(fe_hear_fds(f->fd, fds, &n).h.request, VHOST_USER_SET_LOG_FD);
	assert_int_equal(n, 1);
	close(fds[0]);
	assert_int_equal(vuc_set_gpu_socket(f->c, f->fd, &f->e), 0);
	assert_int_equal(fe_hear_fds(f->fd, fds, &n).h.request, VHOST_USER_GPU_SET_SOCKET);
	assert_int_equal(n, 1);
	close(fds[0]);
}

static void iotlb_is_always_answered(void **state)
{
	const struct vhost_user_iotlb t = { 0x1000, 0x2000, 0x3000, 3, VHOST_USER_IOTLB_UPDATE,
					    { 0 } };
	struct fix *f = *state;
	struct msg m;

	fe_say_u64(f, VHOST_USER_IOTLB_MSG, 0);
	assert_int_equal(vuc_iotlb(f->c, &t, &f->e), 0);
	m = fe_hear(f);
	assert_int_equal(m.h.size, sizeof(t));
	assert_memory_equal(m.p, &t, sizeof(t));
	fe_say_u64(f, VHOST_USER_IOTLB_MSG, 7);
	assert_int_equal(vuc_iotlb(f->c, &t, &f->e), -EREMOTEIO);
	assert_null(vuc_dead(f->c));
}

/* ---- shared memory and objects ---- */

static void shared_memory_is_checked(void **state)
{
	struct vhost_user_shmem_config in = { .nregions = 2, .sizes = { 0, 4096, 8192 } }, out;
	struct fix *f = *state;

	fe_say(f->fd, VHOST_USER_GET_SHMEM_CONFIG, REPLY, &in, sizeof(in));
	assert_int_equal(vuc_get_shmem_config(f->c, &out, &f->e), 0);
	assert_int_equal(out.nregions, 2);
	assert_int_equal(out.sizes[2], 8192);
	in.nregions = VHOST_USER_SHMEM_MAX + 1;
	fe_say(f->fd, VHOST_USER_GET_SHMEM_CONFIG, REPLY, &in, sizeof(in));
	assert_int_equal(vuc_get_shmem_config(f->c, &out, &f->e), -EPROTO);
	fresh(state);
	f = *state;
	fe_say(f->fd, VHOST_USER_GET_SHMEM_CONFIG, REPLY, &in, 8);
	assert_int_equal(vuc_get_shmem_config(f->c, &out, &f->e), -EPROTO);
}

static void object_is_a_descriptor_or_none(void **state)
{
	const struct vhost_user_uuid u = { "0123456789abcde" };
	struct fix *f = *state;
	struct msg m;
	int fd;

	fe_say_fds(f->fd, VHOST_USER_GET_SHARED_OBJECT, REPLY, &u, 16, &f->fd, 1);
	assert_int_equal(vuc_get_shared_object(f->c, &u, &fd, &f->e), 0);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
	m = fe_hear(f);
	assert_memory_equal(m.p, &u, 16);
	fe_say(f->fd, VHOST_USER_GET_SHARED_OBJECT, REPLY, NULL, 0);
	assert_int_equal(vuc_get_shared_object(f->c, &u, &fd, &f->e), 0);
	assert_int_equal(fd, -1);
}

/* ---- device state, without the bytes ---- */

static void direction_is_sent(void **state)
{
	struct fix *f = *state;
	struct vhost_user_transfer t;
	unsigned int n;
	int fds[FE_MAXFDS], use;
	struct msg m;

	for (uint32_t load = 0; load < 2; load++) {
		fe_say_u64(f, VHOST_USER_SET_DEVICE_STATE_FD, VHOST_USER_STATE_NOFD);
		assert_int_equal(vuc_set_device_state_fd(f->c, load, f->fd, &use, &f->e), 0);
		assert_int_equal(use, -1);
		m = fe_hear_fds(f->fd, fds, &n);
		assert_int_equal(n, 1);
		close(fds[0]);
		memcpy(&t, m.p, sizeof(t));
		assert_int_equal(t.direction, load);
		assert_int_equal(t.phase, 0);
	}
}

static void returned_descriptor_is_handed_over(void **state)
{
	struct fix *f = *state;
	unsigned int before = fe_open_fds();
	uint64_t v = 0;
	int use;

	fe_say_fds(f->fd, VHOST_USER_SET_DEVICE_STATE_FD, REPLY, &v, 8, &f->fd, 1);
	assert_int_equal(vuc_set_device_state_fd(f->c, false, f->fd, &use, &f->e), 0);
	assert_true(fcntl(use, F_GETFD) >= 0);
	close(use);
	/* With the bit that says there is none: dropped. */
	v = VHOST_USER_STATE_NOFD;
	fe_say_fds(f->fd, VHOST_USER_SET_DEVICE_STATE_FD, REPLY, &v, 8, &f->fd, 1);
	assert_int_equal(vuc_set_device_state_fd(f->c, false, f->fd, &use, &f->e), 0);
	assert_int_equal(use, -1);
	/* With an error: dropped as well. */
	v = 22;
	fe_say_fds(f->fd, VHOST_USER_SET_DEVICE_STATE_FD, REPLY, &v, 8, &f->fd, 1);
	assert_int_equal(vuc_set_device_state_fd(f->c, false, f->fd, &use, &f->e), -EREMOTEIO);
	assert_int_equal(use, -1);
	assert_null(vuc_dead(f->c));
	/* Only the messages that nobody has read still hold one each. */
	assert_int_equal(fe_open_fds(), before);
	/* Promised, and none there. */
	fe_say_u64(f, VHOST_USER_SET_DEVICE_STATE_FD, 0);
	assert_int_equal(vuc_set_device_state_fd(f->c, false, f->fd, &use, &f->e), -EPROTO);
}

static void check_tells_of_failure(void **state)
{
	struct fix *f = *state;

	fe_say_u64(f, VHOST_USER_CHECK_DEVICE_STATE, 0);
	assert_int_equal(vuc_check_device_state(f->c, &f->e), 0);
	fe_say_u64(f, VHOST_USER_CHECK_DEVICE_STATE, 1);
	assert_int_equal(vuc_check_device_state(f->c, &f->e), -EREMOTEIO);
	assert_null(vuc_dead(f->c));
}

#define T(x) cmocka_unit_test_setup_teardown(x, setup, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_sent_without_its_feature, fe_setup,
						fe_teardown),
		cmocka_unit_test_setup_teardown(missing_feature_is_named, fe_setup_patient,
						fe_teardown),
		T(record_is_handed_over),
		T(impossible_records_are_not_believed),
		T(back_end_without_a_record_is_no_violation),
		T(log_base_is_answered_in_three_ways),
		T(descriptors_alone_are_messages),
		T(iotlb_is_always_answered),
		T(shared_memory_is_checked),
		T(object_is_a_descriptor_or_none),
		T(direction_is_sent),
		T(returned_descriptor_is_handed_over),
		T(check_tells_of_failure),
	};

	return cmocka_run_group_tests_name("vhost-user client, extensions", tests, NULL, NULL);
}
