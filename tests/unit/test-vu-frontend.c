/* SPDX-License-Identifier: MIT */
/* The public front-end against our own vhost-user transport: the whole life of a device. */
#include <sys/socket.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/compiler.h"
#include "vu-fe-fixture.h"
#include "wire/vhost-user.h"

/* ---- life ---- */

static void one_life(struct fix *f, uint64_t features, uint32_t table)
{
	struct vu_fe_vring v;

	fix_bring_up(f, features, table);
	assert_int_equal(vu_fe_features(f->fe), features | VU_F_VERSION_1);
	for (unsigned int i = 0; i < 200; i++)
		fix_round_trip(f, (uint8_t)i);
	assert_int_equal(vu_fe_sleep(f->fe), 0);
	assert_int_equal(vu_fe_vring_get(f->fe, 0, &v), 0);
	/* 200 chains of one (indirect) or two descriptors; a packed ring has 64 places. */
	if (!(features & VU_F_RING_PACKED))
		assert_int_equal(v.base.avail, 200);
	else
		assert_int_equal(v.base.avail, table ? 200 % 64 : 400 % 64);
	/* Asleep, it does nothing; awake, it goes on. */
	fix_begin(f, 77, &f->in);
	assert_int_equal(vu_fe_queue_wait(f->q, 50), 0);
	assert_int_equal(vu_fe_wake(f->fe), 0);
	fix_finish(f, 77, &f->in);
	for (unsigned int i = 0; i < 200; i++)
		fix_round_trip(f, (uint8_t)i);
	assert_int_equal(vu_fe_reset(f->fe), 0);
	assert_int_equal(vu_fe_features(f->fe), 0);
	vu_fe_queue_free(f->q);
	f->q = NULL;
}

static void whole_life_split_and_packed(void **state)
{
	static const uint64_t ring[] = { 0, VU_F_RING_PACKED };
	static const uint64_t event[] = { 0, VU_F_EVENT_IDX };
	struct fix *f = *state;

	/* All over one connection, a reset in between. */
	for (unsigned int r = 0; r < 2; r++)
		for (unsigned int e = 0; e < 2; e++) {
			one_life(f, ring[r] | event[e], 0);
			one_life(f, ring[r] | event[e] | VU_F_INDIRECT_DESC, 8);
		}
	assert_int_equal(__atomic_load_n(&f->d.model.resets, __ATOMIC_RELAXED), 8);
}

static void queues_are_stopped_and_made_again_without_a_reset(void **state)
{
	struct fix *f = *state;

	fix_bring_up(f, VU_F_EVENT_IDX, 0);
	for (unsigned int i = 0; i < 50; i++) {
		fix_round_trip(f, (uint8_t)i);
		vu_fe_queue_free(f->q);
		/* Its memory came back: fifty would not fit. */
		f->q = vu_fe_queue_new(f->fe, 0, 1024, 0);
		assert_non_null(f->q);
		assert_int_equal(vu_fe_activate(f->fe), 0);
	}
}

static void sleep_waits_for_what_the_device_has(void **state)
{
	struct fix *f = *state;

	fix_bring_up(f, VU_F_EVENT_IDX, 0);
	f->out[1] = 20;
	memset(f->in, 0, 64);
	f->out[0] = TEST_MODEL_HOLD; /* 200 ms */
	assert_int_equal(vu_fe_queue_add(f->q, f->segs, 2, f), 0);
	vu_fe_queue_publish(f->q);
	/* Another behind it tells that the first was taken. */
	while (conf_queue_stats(&f->d, 0).popped == 0)
		;
	assert_int_equal(vu_fe_sleep(f->fe), 0);
	assert_int_equal(f->in[0], (uint8_t)~TEST_MODEL_HOLD);
	assert_int_equal(vu_fe_queue_in_flight(f->q), 1);
	assert_int_equal(vu_fe_queue_wait(f->q, 0), 1);
	assert_int_equal(vu_fe_wake(f->fe), 0);
}

static void chains_that_a_reset_took_are_told(void **state)
{
	struct fix *f = *state;
	struct vu_fe_used u;

	fix_bring_up(f, 0, 0);
	assert_null(vu_fe_queue_lost(f->q));
	assert_int_equal(vu_fe_queue_add(f->q, f->segs, 2, f->out), 0); /* never published */
	assert_int_equal(vu_fe_reset(f->fe), 0);
	assert_int_equal(vu_fe_queue_wait(f->q, 0), -EIO);
	assert_string_equal(vu_error_id(), "ring-broken");
	assert_int_equal(vu_fe_queue_add(f->q, f->segs, 2, f), -EIO);
	assert_int_equal(vu_fe_queue_get(f->q, &u, 1), 0);
	assert_ptr_equal(vu_fe_queue_lost(f->q), f->out);
	assert_null(vu_fe_queue_lost(f->q));
}

static void queue_is_paused(void **state)
{
	struct fix *f = *state;

	fix_bring_up(f, VU_F_EVENT_IDX, 0);
	fix_round_trip(f, 1);
	assert_int_equal(vu_fe_queue_enable(f->q, false), 0);
	fix_begin(f, 2, f);
	assert_int_equal(vu_fe_queue_wait(f->q, 50), 0);
	assert_int_equal(vu_fe_queue_enable(f->q, true), 0);
	fix_finish(f, 2, f);
}

static void rings_of_somebody_else_run(void **state)
{
	struct fix *f = *state;
	struct vu_fe_vring v, none = { 0 };
	int call;

	/* As a VMM has it: the ring is set up by address; here with what a queue of ours tells. */
	fix_bring_up(f, VU_F_EVENT_IDX, 0);
	fix_round_trip(f, 9);
	assert_int_equal(vu_fe_sleep(f->fe), 0);
	assert_int_equal(vu_fe_vring_get(f->fe, 0, &v), 0);
	assert_int_equal(v.size, 64);
	call = v.call_fd;
	assert_int_equal(call, vu_fe_queue_call_fd(f->q));
	assert_int_equal(vu_fe_vring_set(f->fe, 0, NULL), 0);
	assert_int_equal(vu_fe_vring_get(f->fe, 0, &none), -EINVAL);
	assert_int_equal(vu_fe_vring_set(f->fe, 0, &v), 0);
	assert_int_equal(vu_fe_wake(f->fe), 0);
	fix_begin(f, 10, f);
	fix_finish(f, 10, f);
	assert_int_equal(vu_fe_vring_set(f->fe, 0, &v), -EBUSY);
	v.desc = 5 * MB;
	assert_int_equal(vu_fe_vring_set(f->fe, 1, &v), -EINVAL);
	assert_int_equal(vu_fe_vring_set(f->fe, 2, &v), -EINVAL); /* it has two */
	/* Not the queue's any more, so its end does not stop it. */
	assert_int_equal(vu_fe_sleep(f->fe), 0);
}

/* ---- memory ---- */

static void use_region(struct fix *f, uint64_t addr, uint8_t *host, uint8_t x)
{
	struct vu_fe_seg segs[2] = { { addr, 64, 0 }, { addr + 64, 64, 1 } };
	struct vu_fe_used u;

	memset(host, x, 64);
	assert_int_equal(vu_fe_queue_add(f->q, segs, 2, f), 0);
	vu_fe_queue_publish(f->q);
	assert_int_equal(vu_fe_queue_wait(f->q, WAIT_MS), 1);
	assert_int_equal(vu_fe_queue_get(f->q, &u, 1), 1);
	assert_int_equal(host[64], (uint8_t)~x);
	assert_int_equal(host[127], (uint8_t)~x);
}

static void memory_comes_and_goes(struct fix *f)
{
	struct vu_fe_seg gone[2] = { { 4 * MB, 64, 0 }, { 4 * MB + 64, 64, 1 } };
	uint8_t *host;

	fix_bring_up(f, VU_F_EVENT_IDX, 0);
	for (unsigned int i = 0; i < 5; i++) {
		host = vu_fe_mem_add(f->mem, 4 * MB, MB);
		assert_non_null(host);
		assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
		use_region(f, 4 * MB, host, (uint8_t)(i + 1));
		assert_int_equal(vu_fe_mem_remove(f->mem, 4 * MB), 0);
		/* Another file in the same place, which the mapping may be in, too. */
		host = vu_fe_mem_add(f->mem, 4 * MB, MB);
		assert_non_null(host);
		assert_int_equal(host[64], 0);
		assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
		use_region(f, 4 * MB, host, (uint8_t)(i + 101));
		assert_int_equal(vu_fe_mem_remove(f->mem, 4 * MB), 0);
		assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
		fix_round_trip(f, (uint8_t)i);
	}
	/* What is gone is not memory: the device breaks the queue, and we are told. */
	assert_int_equal(vu_fe_queue_add(f->q, gone, 2, f), 0);
	vu_fe_queue_publish(f->q);
	assert_int_equal(vu_fe_queue_wait(f->q, WAIT_MS), -EIO);
	assert_string_equal(vu_error_id(), "ring-refused");
}

static void memory_comes_and_goes_by_slots(void **state)
{
	struct fix *f = *state;

	assert_true(vu_fe_protocol_features(f->fe) & VU_PF_MEM_SLOTS);
	memory_comes_and_goes(f);
}

static void memory_comes_and_goes_by_table(void **state)
{
	struct fix *f = *state;

	fix_close(f);
	fix_connect(f, ~VU_PF_MEM_SLOTS);
	assert_false(vu_fe_protocol_features(f->fe) & VU_PF_MEM_SLOTS);
	memory_comes_and_goes(f);
}

static void many_regions_need_slots(void **state)
{
	struct fix *f = *state;

	assert_int_equal(vu_fe_negotiate(f->fe, 0), 0);
	fix_make_mem(f);
	for (unsigned int i = 1; i < 40; i++)
		assert_non_null(vu_fe_mem_add(f->mem, i * 2 * MB, 4096));
	assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
	fix_close(f);
	fix_connect(f, ~VU_PF_MEM_SLOTS);
	fix_make_mem(f);
	for (unsigned int i = 1; i < 9; i++)
		assert_non_null(vu_fe_mem_add(f->mem, i * 2 * MB, 4096));
	assert_int_equal(vu_fe_set_mem(f->fe, f->mem), -E2BIG);
	assert_true(vu_error_hint()[0]);
}

static void region_with_a_queue_stays(void **state)
{
	struct fix *f = *state;

	fix_bring_up(f, 0, 0);
	assert_int_equal(vu_fe_mem_remove(f->mem, 0), -EBUSY);
	assert_int_equal(vu_fe_mem_remove(f->mem, 4096), -ENOENT);
	assert_null(vu_fe_mem_add(f->mem, MB - 4096, MB)); /* in the way of the first */
	assert_null(vu_fe_mem_add(f->mem, MB + 1, 4096));
	vu_fe_queue_free(f->q);
	f->q = NULL;
	assert_int_equal(vu_fe_mem_remove(f->mem, 0), 0);
}

static void memory_may_be_a_file_of_the_caller(void **state)
{
	struct fix *f = *state;
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint8_t *host, byte = 0;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 3 * 4096), 0);
	fix_bring_up(f, 0, 0);
	host = vu_fe_mem_add_fd(f->mem, 8 * MB, 2 * 4096, fd, 4096);
	assert_non_null(host);
	assert_ptr_equal(vu_fe_mem_host(f->mem, 8 * MB + 4096, 4096), host + 4096);
	assert_null(vu_fe_mem_host(f->mem, 8 * MB + 4096, 4097));
	assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
	use_region(f, 8 * MB, host, 0x3c);
	assert_int_equal(pread(fd, &byte, 1, 4096 + 64), 1);
	assert_int_equal(byte, 0xc3);
	/* Behind its end there would be SIGBUS. */
	assert_null(vu_fe_mem_add_fd(f->mem, 16 * MB, 3 * 4096, fd, 4096));
	assert_int_equal(vu_error_code(), -EINVAL);
	close(fd);
}

/* ---- configuration ---- */

static int count_change(void *ctx)
{
	++*(unsigned int *)ctx;
	return 0;
}

static void configuration_is_read_written_and_told(void **state)
{
	const struct vu_fe_callbacks cb = { .struct_size = sizeof(cb),
					    .config_changed = count_change };
	unsigned int changes = 0;
	const struct vu_fe_opts o = { .struct_size = sizeof(o), .callbacks = &cb, .ctx = &changes };
	struct fix *f = *state;
	uint32_t magic = 0;
	uint8_t b = 0x42;

	vu_fe_free(f->fe);
	fix_link_down(&f->l, false);
	f->fe = vu_fe_connect_fd(fix_link_up(&f->l, &f->d), &o);
	assert_non_null(f->fe);
	assert_int_equal(vu_fe_max_queues(f->fe), 2);
	fix_bring_up(f, 0, 0);
	assert_int_equal(vu_fe_config_read(f->fe, 0, &magic, 4), 0);
	assert_int_equal(le32toh(magic), TEST_MODEL_MAGIC);
	assert_int_equal(vu_fe_config_write(f->fe, 4, &b, 1), 0);
	assert_int_equal(vu_fe_config_wait(f->fe, 0), 0);
	assert_int_equal(vu_fe_config_write(f->fe, 5, &b, 1), 0); /* changes byte 6 */
	assert_int_equal(vu_fe_config_wait(f->fe, WAIT_MS), 1);
	assert_int_equal(changes, 1);
	assert_int_equal(vu_fe_config_wait(f->fe, 0), 0);
	b = 0;
	assert_int_equal(vu_fe_config_read(f->fe, 6, &b, 1), 0);
	assert_int_equal(b, 0x42);
	/* Asleep it says nothing; it does when it is woken. */
	assert_int_equal(vu_fe_sleep(f->fe), 0);
	assert_int_equal(vu_fe_config_write(f->fe, 5, &b, 1), 0);
	assert_int_equal(vu_fe_config_wait(f->fe, 50), 0);
	assert_int_equal(vu_fe_wake(f->fe), 0);
	assert_int_equal(vu_fe_config_wait(f->fe, WAIT_MS), 1);
	assert_int_equal(changes, 2);
	/* Read-only: refused, and the connection lives on. */
	assert_int_equal(vu_fe_config_write(f->fe, 0, &b, 1), -EREMOTEIO);
	assert_int_equal(vu_fe_config_read(f->fe, 300, &b, 1), -EREMOTEIO);
	assert_int_equal(vu_fe_config_read(f->fe, 0, &magic, 4), 0);
}

/* ---- errors ---- */

static void calls_in_the_wrong_moment_are_refused(void **state)
{
	struct fix *f = *state;

	assert_null(vu_fe_queue_new(f->fe, 0, 64, 0));
	assert_int_equal(vu_error_code(), -EBUSY);
	assert_string_equal(vu_error_id(), "wrong-moment");
	assert_int_equal(vu_fe_activate(f->fe), -EBUSY);
	assert_int_equal(vu_fe_sleep(f->fe), -EBUSY);
	assert_int_equal(vu_fe_wake(f->fe), -EBUSY);
	fix_bring_up(f, 0, 0);
	assert_int_equal(vu_fe_negotiate(f->fe, 0), -EBUSY);
	assert_null(vu_fe_queue_new(f->fe, 0, 64, 0));
	assert_null(vu_fe_queue_new(f->fe, 5, 64, 0));
	assert_null(vu_fe_queue_new(f->fe, 1, 63, 0)); /* split: a power of two */
	assert_null(vu_fe_blk_open(f->fe, NULL));
	assert_int_equal(vu_fe_reconnect_fd(f->fe, dup(0)), -EBUSY);
	assert_int_equal(vu_fe_sleep(f->fe), 0);
	assert_int_equal(vu_fe_sleep(f->fe), -EBUSY);
	assert_int_equal(vu_fe_activate(f->fe), -EBUSY);
	assert_int_equal(vu_fe_wake(f->fe), 0);
	fix_round_trip(f, 5);
}

static void what_is_not_offered_says_so(void **state)
{
	const uint64_t few = VU_PF_REPLY_ACK | VU_PF_MQ;
	struct vu_fe_iotlb t = { .type = VU_FE_IOTLB_INVALIDATE };
	struct fix *f = *state;
	struct vu_fe_inflight i = { .fd = 0 };
	uint64_t sizes[256];
	uint8_t uuid[16] = { 0 };
	size_t size;
	void *p;
	int fd;

	vu_fe_free(f->fe);
	fix_link_down(&f->l, false);
	fix_connect(f, few);
	assert_int_equal(vu_fe_protocol_features(f->fe), few);
	assert_int_equal(vu_fe_negotiate(f->fe, 0), 0);
#define NOT(call)                                                      \
	do {                                                           \
		assert_int_equal(call, -EOPNOTSUPP);                   \
		assert_string_equal(vu_error_id(), "feature-missing"); \
		assert_true(vu_error()[0]);                            \
	} while (0)
	NOT(vu_fe_config_read(f->fe, 0, &size, 1));
	NOT(vu_fe_config_wait(f->fe, 0));
	NOT(vu_fe_save(f->fe, &p, &size));
	NOT(vu_fe_load(f->fe, "x", 1));
	NOT(vu_fe_state_begin(f->fe, false));
	NOT(vu_fe_inflight_get(f->fe, 1, 64, &i));
	NOT(vu_fe_inflight_set(f->fe, &i));
	NOT(vu_fe_log_start(f->fe, 0, 4096, 0));
	NOT(vu_fe_shmem_sizes(f->fe, sizes));
	NOT(vu_fe_shared_object(f->fe, uuid, &fd));
	NOT(vu_fe_iotlb(f->fe, &t));
#undef NOT
	/* And without RESET_DEVICE there is another way. */
	fix_bring_up(f, VU_F_EVENT_IDX, 0);
	fix_round_trip(f, 3);
	assert_int_equal(vu_fe_reset(f->fe), 0);
	vu_fe_queue_free(f->q);
	fix_bring_up(f, VU_F_RING_PACKED, 0);
	fix_round_trip(f, 4);
}

static void dead_back_end_ends_the_wait(void **state)
{
	struct fix *f = *state;

	fix_bring_up(f, VU_F_EVENT_IDX, 0);
	fix_round_trip(f, 1);
	fix_link_down(&f->l, true);
	/* Nothing is under way, and nobody will ever call: the socket tells. */
	assert_int_equal(vu_fe_queue_wait(f->q, -1), -ENOTCONN);
	assert_string_equal(vu_error_id(), "vhost-user-lost");
	assert_int_equal(vu_fe_process(f->fe), -ENOTCONN);
	assert_int_equal(vu_fe_sleep(f->fe), -ENOTCONN);
	vu_fe_queue_free(f->q);
	vu_fe_free(f->fe);
	vu_fe_mem_free(f->mem);
	f->fe = NULL;
}

static void device_goes_on_over_another_connection(void **state)
{
	struct fix *f = *state;

	for (unsigned int packed = 0; packed < 2; packed++) {
		fix_bring_up(f, VU_F_EVENT_IDX | (packed ? VU_F_RING_PACKED : 0), 0);
		for (unsigned int i = 0; i < 70; i++)
			fix_round_trip(f, (uint8_t)i);
		/* Asleep: an orderly move. */
		assert_int_equal(vu_fe_sleep(f->fe), 0);
		fix_begin(f, 99, f);
		fix_link_down(&f->l, true);
		assert_int_equal(vu_fe_reconnect_fd(f->fe, fix_link_up(&f->l, &f->d)), 0);
		assert_int_equal(vu_fe_wake(f->fe), 0);
		fix_finish(f, 99, f);
		/* While it runs: the back-end dies. */
		fix_link_down(&f->l, true);
		assert_int_equal(vu_fe_process(f->fe), -ENOTCONN);
		assert_int_equal(vu_fe_reconnect_fd(f->fe, fix_link_up(&f->l, &f->d)), 0);
		assert_int_equal(vu_fe_wake(f->fe), 0);
		for (unsigned int i = 0; i < 70; i++)
			fix_round_trip(f, (uint8_t)i);
		fix_close(f);
		fix_connect(f, 0);
	}
}

/* ---- one thread, many devices ---- */

static void on_features(struct vu_fe_msg *m, int res)
{
	assert_int_equal(res, 0);
	assert_int_equal(m->reply_size, 8);
	++*(unsigned int *)m->ctx;
}

static void one_thread_drives_many_devices(void **state)
{
	struct fix *f = *state, other;
	unsigned int done = 0;
	struct vu_fe_msg m[8];
	uint64_t answers[8];

	fix_open(&other, NULL, NULL);
	fix_connect(&other, 0);
	for (unsigned int i = 0; i < 8; i++) {
		m[i] = (struct vu_fe_msg){ .request = 1 /* GET_FEATURES */,
					   .reply = &answers[i],
					   .reply_min = 8,
					   .reply_max = 8,
					   .done = on_features,
					   .ctx = &done };
		assert_int_equal(vu_fe_start(i % 2 ? f->fe : other.fe, &m[i]), 0);
	}
	assert_int_equal(done, 0);
	while (done < 8) {
		struct pollfd p[4];
		int ms = vu_fe_events(f->fe, p), ms2 = vu_fe_events(other.fe, p + 2);

		/* -1: nothing of that one is under way any more. */
		ms = ms < 0 ? ms2 : ms2 < 0 ? ms : MIN(ms, ms2);
		assert_in_range(ms, 0, WAIT_MS);
		assert_true(poll(p, 4, ms) > 0);
		assert_int_equal(vu_fe_process(f->fe), 0);
		assert_int_equal(vu_fe_process(other.fe), 0);
	}
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(answers[i] & ~(UINT64_C(1) << 30), vu_fe_offered(f->fe));
	fix_close(&other);
	assert_true(conf_dev_stop(&other.d));
}

static void on_cancel(struct vu_fe_msg *m, int res)
{
	*(int *)m->ctx = res;
}

static void free_ends_what_is_under_way(void **state)
{
	struct fix *f = *state;
	uint64_t answer;
	int res = 0;
	struct vu_fe_msg m = { .request = 1,
			       .reply = &answer,
			       .reply_min = 8,
			       .reply_max = 8,
			       .done = on_cancel,
			       .ctx = &res };

	assert_int_equal(vu_fe_start(f->fe, &m), 0);
	fix_close(f);
	assert_int_equal(res, -ECANCELED);
	m.done = NULL;
	fix_connect(f, 0);
	assert_int_equal(vu_fe_start(f->fe, &m), -EINVAL);
	assert_int_equal(vu_fe_call(f->fe, &m), 0);
}

static void table_that_is_too_long_is_refused(void **state)
{
	struct fix *f = *state;

	assert_int_equal(vu_fe_negotiate(f->fe, VU_F_INDIRECT_DESC), 0);
	fix_make_mem(f);
	assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
	assert_null(vu_fe_queue_new(f->fe, 0, 16, 40000));
	assert_int_equal(vu_error_code(), -EINVAL);
	assert_string_equal(vu_error_id(), "ring-table");
	f->q = vu_fe_queue_new(f->fe, 0, 1, 32768);
	assert_non_null(f->q);
}

/* ---- callbacks that do more than they are told ---- */

struct ending {
	struct vu_fe_msg m;
	struct fix *f;
	uint64_t v;
	int res, again;
	unsigned int ended;
};

static void free_all(struct vu_fe_msg *m, int res)
{
	struct ending *x = m->ctx;

	x->ended++;
	x->res = res;
	vu_fe_free(x->f->fe);
}

static void connect_anew(struct vu_fe_msg *m, int res)
{
	struct ending *x = m->ctx;

	x->ended++;
	x->res = res;
	x->again = vu_fe_reconnect_fd(x->f->fe, dup(0));
}

static void start(struct fix *f, struct ending *x, void (*done)(struct vu_fe_msg *m, int res))
{
	*x = (struct ending){
		.m = { .request = VHOST_USER_GET_QUEUE_NUM,
		       .reply = &x->v,
		       .reply_min = 8,
		       .reply_max = 8,
		       .done = done,
		       .ctx = x },
		.f = f,
	};
	assert_int_equal(vu_fe_start(f->fe, &x->m), 0);
}

static void front_end_is_freed_by_a_callback(void **state)
{
	struct fix *f = *state;
	struct ending x, y;

	start(f, &x, free_all);
	start(f, &y, free_all); /* once more, with -ECANCELED, or answered */
	while (!x.ended) {
		struct pollfd p[2];
		int ms = vu_fe_events(f->fe, p);

		poll(p, 2, ms);
		vu_fe_process(f->fe);
	}
	assert_int_equal(x.res, 0);
	assert_int_equal(x.ended, 1);
	assert_int_equal(y.ended, 1);
	f->fe = NULL;
	fix_close(f); /* the rest */
}

/* The second message of the call that waits is not sent any more. */
static void front_end_is_freed_under_a_call(void **state)
{
	struct fix *f = *state;
	struct ending x;

	start(f, &x, free_all);
	assert_true(vu_fe_negotiate(f->fe, 0) < 0);
	f->fe = NULL;
	fix_close(f); /* the rest */
	assert_int_equal(x.ended, 1);
}

static void connection_is_not_replaced_by_a_callback(void **state)
{
	struct fix *f = *state;
	struct ending x;

	fix_bring_up(f, 0, 0);
	start(f, &x, connect_anew);
	assert_int_equal(vu_fe_sleep(f->fe), 0);
	assert_int_equal(x.ended, 1);
	assert_int_equal(x.again, -EBUSY);
}

static void fail_otherwise(struct vu_fe_msg *m, int res)
{
	struct ending *x = m->ctx;

	x->ended++;
	x->res = vu_fe_mem_add(x->f->mem, 1, 1) ? 0 : vu_error_code();
}

static void callback_leaves_the_sentence_of_a_call_alone(void **state)
{
	struct fix *f = *state;
	struct vu_fe_vring v;
	struct ending x;

	assert_int_equal(vu_fe_negotiate(f->fe, 0), 0);
	fix_make_mem(f);
	start(f, &x, fail_otherwise);
	/* It is answered before this is, and has the last word. */
	assert_int_equal(vu_fe_vring_get(f->fe, 1, &v), -EINVAL);
	assert_int_equal(vu_fe_negotiate(f->fe, 0), 0);
	assert_int_equal(x.ended, 1);
	assert_true(x.res < 0);
	assert_string_equal(vu_error_id(), "queue-index");
}

#define T(x) cmocka_unit_test_setup_teardown(x, fix_setup, fix_teardown)

static void options_without_their_size_are_refused(void **state)
{
	struct vu_fe_opts o = { .timeout_ms = 1000 };
	struct vu_fe_callbacks cb = { 0 };
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_null(vu_fe_connect_fd(sv[0], &o)); /* and the descriptor is closed */
	assert_string_equal(vu_error_id(), "struct-size");
	assert_int_equal(vu_error_code(), -EINVAL);
	assert_int_equal(read(sv[1], &(char){ 0 }, 1), 0);
	close(sv[1]);
	o.struct_size = sizeof(o);
	o.callbacks = &cb;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_null(vu_fe_connect_fd(sv[0], &o));
	assert_string_equal(vu_error_id(), "struct-size");
	close(sv[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(whole_life_split_and_packed),
		T(queues_are_stopped_and_made_again_without_a_reset),
		T(sleep_waits_for_what_the_device_has),
		T(chains_that_a_reset_took_are_told),
		T(queue_is_paused),
		T(rings_of_somebody_else_run),
		T(memory_comes_and_goes_by_slots),
		T(memory_comes_and_goes_by_table),
		T(many_regions_need_slots),
		T(region_with_a_queue_stays),
		T(memory_may_be_a_file_of_the_caller),
		T(configuration_is_read_written_and_told),
		T(calls_in_the_wrong_moment_are_refused),
		T(what_is_not_offered_says_so),
		T(dead_back_end_ends_the_wait),
		T(device_goes_on_over_another_connection),
		T(one_thread_drives_many_devices),
		T(free_ends_what_is_under_way),
		T(table_that_is_too_long_is_refused),
		T(front_end_is_freed_by_a_callback),
		T(front_end_is_freed_under_a_call),
		T(connection_is_not_replaced_by_a_callback),
		cmocka_unit_test(options_without_their_size_are_refused),
		T(callback_leaves_the_sentence_of_a_call_alone),
	};

	return cmocka_run_group_tests_name("public front-end", tests, NULL, NULL);
}
