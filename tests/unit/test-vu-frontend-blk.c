/* SPDX-License-Identifier: MIT */
/* The disk driver of the public front-end against our own back-end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/compiler.h"
#include "vu-fe-fixture.h"

static void disk_reads_what_was_written(void **state)
{
	struct fix *f = *state;
	struct vu_fe_blk *b = vu_fe_blk_open(f->fe, NULL);
	static uint8_t w[300 * 1024], r[300 * 1024];
	char id[21];

	assert_non_null(b);
	assert_int_equal(vu_fe_blk_info(b)->size, 4 * MB);
	assert_int_equal(vu_fe_blk_info(b)->queues, 1);
	assert_int_equal(vu_fe_blk_info(b)->max_queues, 2);
	for (size_t i = 0; i < sizeof(w); i++)
		w[i] = (uint8_t)(i * 31 >> 5);
	assert_int_equal(vu_fe_blk_write(b, 512, w, sizeof(w)), 0);
	assert_int_equal(vu_fe_blk_flush(b), 0);
	assert_int_equal(vu_fe_blk_read(b, 512, r, sizeof(r)), 0);
	assert_memory_equal(w, r, sizeof(w));
	assert_int_equal(vu_fe_blk_write_zeroes(b, 512, 4096, VU_FE_BLK_UNMAP), 0);
	assert_int_equal(vu_fe_blk_discard(b, 8192, 4096), 0);
	assert_int_equal(vu_fe_blk_read(b, 512, r, 8192), 0);
	assert_int_equal(r[0] | r[4095], 0);
	assert_int_equal(r[4096], w[4096]);
	assert_int_equal(vu_fe_blk_get_id(b, id), 0);
	assert_string_equal(id, "frontend");
	assert_int_equal(vu_fe_blk_read(b, 4 * MB, r, 512), -EIO);
	assert_string_equal(vu_error_id(), "disk-error");
	assert_int_equal(vu_fe_blk_read(b, 1, r, 512), -EINVAL);
	assert_int_equal(vu_fe_blk_refresh(b), 0);
	vu_fe_blk_close(b);
}

static void disk_is_opened_again_and_again(void **state)
{
	struct fix *f = *state;
	struct vu_fe_blk_opts o = { .struct_size = sizeof(o), .queues = 2 };
	uint8_t s[512];

	for (unsigned int i = 0; i < 16; i++) {
		struct vu_fe_blk *b;

		/* With memory it makes, and from the ninth on with ours. */
		if (i == 8) {
			f->mem = vu_fe_mem_new();
			assert_non_null(vu_fe_mem_add(f->mem, 0, 8 * MB));
			assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
		}
		o.no_packed = i & 1;
		o.no_event_idx = i & 2;
		o.no_indirect = i & 4;
		b = vu_fe_blk_open(f->fe, &o);
		assert_non_null(b);
		assert_int_equal(!(vu_fe_features(f->fe) & VU_F_RING_PACKED), i & 1);
		memset(s, (int)i, sizeof(s));
		assert_int_equal(vu_fe_blk_write(b, 0, s, sizeof(s)), 0);
		assert_int_equal(vu_fe_sleep(f->fe), 0);
		assert_int_equal(vu_fe_wake(f->fe), 0);
		assert_int_equal(vu_fe_blk_read(b, 0, s, sizeof(s)), 0);
		assert_int_equal(s[100], i);
		if (i % 3 == 0)
			assert_int_equal(vu_fe_reset(f->fe), 0);
		vu_fe_blk_close(b);
	}
}

struct load {
	struct vu_fe_blk *b;
	unsigned int left, done;
};

static void on_read(struct vu_fe_blk_io *io, int res)
{
	struct load *l = io->ctx;

	assert_int_equal(res, 0);
	assert_int_equal(io->used_len, 512 + 1);
	l->done++;
	if (!l->left)
		return;
	l->left--;
	io->offset = (io->offset + 512) % (4 * MB);
	assert_int_equal(vu_fe_blk_submit(l->b, 1, io), 0);
}

static void any_number_of_requests_is_in_flight(void **state)
{
	const struct vu_fe_blk_opts o = { .struct_size = sizeof(o), .queues = 2, .depth = 200 };
	static struct vu_fe_blk_io io[201];
	static struct vu_fe_seg seg[201];
	struct fix *f = *state;
	struct load l = { .left = 5000 };

	f->mem = vu_fe_mem_new();
	assert_non_null(vu_fe_mem_add(f->mem, 0, 8 * MB));
	assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
	l.b = vu_fe_blk_open(f->fe, &o);
	assert_non_null(l.b);
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++) {
		seg[i].len = 512;
		assert_non_null(vu_fe_mem_alloc(f->mem, 512, 512, &seg[i].addr));
		io[i] = (struct vu_fe_blk_io){ .type = VU_FE_BLK_READ,
					       .data = &seg[i],
					       .ndata = 1,
					       .done = on_read,
					       .ctx = &l };
	}
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(vu_fe_blk_submit(l.b, 1, &io[i]), 0);
	assert_int_equal(vu_fe_blk_submit(l.b, 1, &io[200]), -ENOSPC);
	assert_int_equal(vu_fe_blk_in_flight(l.b, 1), 200);
	while (vu_fe_blk_in_flight(l.b, 1)) {
		vu_fe_blk_kick(l.b, 1);
		if (l.done < 1000) { /* with an event loop of our own */
			struct pollfd p = { .fd = vu_fe_blk_call_fd(l.b, 1), .events = POLLIN };

			if (vu_fe_blk_arm(l.b, 1) == 0)
				assert_int_equal(poll(&p, 1, WAIT_MS), 1);
			vu_fe_blk_poll(l.b, 1);
		} else {
			assert_true(vu_fe_blk_wait(l.b, 1, WAIT_MS) > 0);
		}
	}
	assert_int_equal(l.done, 5200);
	vu_fe_blk_close(l.b);
}

static void slow_disk_has_a_deadline(void **state)
{
	const struct vu_fe_blk_opts o = { .struct_size = sizeof(o), .timeout_ms = 50 };
	struct fix *f = malloc(sizeof(*f));
	struct vu_fe_blk *b;
	uint8_t s[512];

	(void)state;
	fix_open(f, "mem:1M", "delay:ms=700");
	fix_connect(f, 0);
	b = vu_fe_blk_open(f->fe, &o);
	assert_non_null(b);
	assert_int_equal(vu_fe_blk_read(b, 0, s, 512), -ETIMEDOUT);
	assert_string_equal(vu_error_id(), "disk-timeout");
	/* The late one is waited for before its buffer is used again. */
	assert_int_equal(vu_fe_blk_read(b, 0, s, 512), -ETIMEDOUT);
	assert_non_null(strstr(vu_error(), "earlier"));
	while (vu_fe_blk_in_flight(b, 0))
		vu_fe_blk_wait(b, 0, WAIT_MS);
	assert_int_equal(vu_fe_blk_read(b, 0, s, 512), -ETIMEDOUT);
	assert_null(strstr(vu_error(), "earlier"));
	vu_fe_blk_close(b);
	fix_close(f);
	assert_true(conf_dev_stop(&f->d));
	free(f);
}

#define T(x) cmocka_unit_test_setup_teardown(x, fix_setup_disk, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(disk_reads_what_was_written),
		T(disk_is_opened_again_and_again),
		T(any_number_of_requests_is_in_flight),
		cmocka_unit_test(slow_disk_has_a_deadline),
	};

	return cmocka_run_group_tests_name("public front-end: disk", tests, NULL, NULL);
}
