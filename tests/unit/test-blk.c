/* SPDX-License-Identifier: MIT */
/* virtio-blk: requests, cut at every place, right and wrong. */
#include "blk-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void reads_are_right_wherever_they_are_cut(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	uint8_t out[16];

	(void)state;
	bf_header(out, VIRTIO_BLK_T_IN, 3);
	for (long co = -1; co <= 16; co++) {
		for (long ci = -1; ci <= 1025; ci++) {
			struct chain *c = bf_chain(x, out, 16, 1025, co, ci);

			if (co != 16 && ci > 1 && ci < 1023 && ci % 61)
				goto next; /* all cuts of one with some of the other */
			bf_submit(x, c);
			assert_int_equal(bf_status(c), VIRTIO_BLK_S_OK);
			assert_int_equal(c->written, 1025);
			for (size_t i = 0; i < 1024; i++)
				assert_int_equal(bf_in_byte(c, i), x->st.data[3 * 512 + i]);
next:
			bf_chain_free(c);
		}
	}
	bf_free(x);
}

static void writes_are_right_wherever_they_are_cut(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	uint8_t out[16 + 512];

	(void)state;
	bf_header(out, VIRTIO_BLK_T_OUT, 5);
	for (long co = -1; co <= (long)sizeof(out); co++) {
		struct chain *c;

		for (size_t i = 0; i < 512; i++)
			out[16 + i] = (uint8_t)(i + (size_t)co * 3);
		c = bf_chain(x, out, sizeof(out), 1, co, 0);
		bf_submit(x, c);
		assert_int_equal(bf_status(c), VIRTIO_BLK_S_OK);
		assert_int_equal(c->written, 1);
		assert_memory_equal(x->st.data + 5 * 512, out + 16, 512);
		bf_chain_free(c);
	}
	bf_free(x);
}

static void the_serial_is_padded_and_short_buffers_get_the_front(void **state)
{
	static const uint8_t want[20] = "disk-0";
	struct world *x = bf_new(0, F_ALL);
	uint8_t out[16];

	(void)state;
	bf_header(out, VIRTIO_BLK_T_GET_ID, 0);
	for (size_t len = 0; len <= 24; len++) {
		for (long ci = -1; ci <= (long)len + 1; ci++) {
			struct chain *c = bf_chain(x, out, 16, len + 1, 16, ci);
			size_t n = MIN(len, 20);

			bf_submit(x, c);
			assert_int_equal(bf_status(c), VIRTIO_BLK_S_OK);
			assert_int_equal(c->written,
					 n + (len <= 20)); /* no gap before the status */
			for (size_t i = 0; i < len; i++)
				assert_int_equal(bf_in_byte(c, i), i < n ? want[i] : 0xee);
			bf_chain_free(c);
		}
	}
	bf_free(x);
}

static void ranges_are_right_wherever_they_are_cut(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	struct virtio_blk_dwz w[3] = { { htole64(1), htole32(2), 0 },
				       { htole64(9), htole32(0), 0 },
				       { htole64(20), htole32(1), 0 } };
	uint8_t out[16 + sizeof(w)];

	(void)state;
	memcpy(out + 16, w, sizeof(w));
	for (int z = 0; z < 2; z++) {
		bf_header(out, z ? VIRTIO_BLK_T_WRITE_ZEROES : VIRTIO_BLK_T_DISCARD, 0);
		for (long co = -1; co <= (long)sizeof(out); co++) {
			struct chain *c = bf_chain(x, out, sizeof(out), 1, co, 1);
			uint8_t fill = z ? 0 : 0xdd;

			memset(x->st.data, 0x11, DISK_BYTES);
			bf_submit(x, c);
			assert_int_equal(bf_status(c), VIRTIO_BLK_S_OK);
			assert_int_equal(c->written, 1);
			for (unsigned int s = 0; s < DISK_SECTORS; s++)
				assert_int_equal(x->st.data[s * 512 + 511],
						 s == 1 || s == 2 || s == 20 ? fill : 0x11);
			bf_chain_free(c);
		}
	}
	bf_free(x);
}

static void capacity_edges_are_checked_without_wrapping(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t n;
		uint8_t status;
	} t[] = {
		{ 0, DISK_SECTORS, VIRTIO_BLK_S_OK },
		{ 0, DISK_SECTORS + 1, VIRTIO_BLK_S_IOERR },
		{ 1, DISK_SECTORS, VIRTIO_BLK_S_IOERR },
		{ DISK_SECTORS - 1, 1, VIRTIO_BLK_S_OK },
		{ DISK_SECTORS - 1, 2, VIRTIO_BLK_S_IOERR },
		{ DISK_SECTORS, 0, VIRTIO_BLK_S_OK },
		{ DISK_SECTORS, 1, VIRTIO_BLK_S_IOERR },
		{ DISK_SECTORS + 1, 0, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 0, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 1, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX - 1, 2, VIRTIO_BLK_S_IOERR },
		{ UINT64_C(1) << 55, 1, VIRTIO_BLK_S_IOERR }, /* * 512 is 2^64 */
		{ (UINT64_C(1) << 55) - 1, 1, VIRTIO_BLK_S_IOERR },
	};
	struct world *x = bf_new(0, F_ALL);

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++) {
		size_t len = t[i].n * 512u;
		uint32_t w;

		assert_int_equal(bf_ask(x, VIRTIO_BLK_T_IN, t[i].sector, NULL, 0, len, &w),
				 t[i].status);
		assert_int_equal(w, t[i].status == VIRTIO_BLK_S_OK ? len + 1 : !len);
		assert_int_equal(bf_ask(x, VIRTIO_BLK_T_OUT, t[i].sector, NULL, len, 0, &w),
				 t[i].status);
		assert_int_equal(w, 1);
		assert_int_equal(bf_range(x, VIRTIO_BLK_T_DISCARD, t[i].sector, t[i].n, 0),
				 t[i].status);
		assert_int_equal(bf_range(x, VIRTIO_BLK_T_WRITE_ZEROES, t[i].sector, t[i].n, 0),
				 t[i].status);
	}
	bf_free(x);
}

static void odd_lengths_are_errors_and_touch_nothing(void **state)
{
	static const size_t lens[] = { 1, 511, 513, 1023 };
	struct world *x = bf_new(0, F_ALL);

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
		uint32_t w;

		assert_int_equal(bf_ask(x, VIRTIO_BLK_T_IN, 0, NULL, 0, lens[i], &w),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(w, 0);
		assert_int_equal(bf_ask(x, VIRTIO_BLK_T_OUT, 0, NULL, lens[i], 0, NULL),
				 VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(x->st.count[STOR_READ] + x->st.count[STOR_WRITE], 0);
	bf_free(x);
}

static void unknown_types_and_flags_are_unsupported(void **state)
{
	static const uint32_t types[] = { 2,  3,  5,  7,   9,           10,
					  12, 14, 15, 255, 0x80000001u, UINT32_MAX };
	struct world *x = bf_new(0, F_ALL);

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(bf_ask(x, types[i], 0, NULL, 512, 512, NULL), VIRTIO_BLK_S_UNSUPP);
	for (unsigned int bit = 0; bit < 32; bit++) {
		assert_int_equal(bf_range(x, VIRTIO_BLK_T_DISCARD, 0, 1, 1u << bit),
				 VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(bf_range(x, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 1u << bit),
				 bit ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_OK);
	}
	assert_int_equal(x->st.count[STOR_DISCARD], 0);
	assert_int_equal(x->st.last_flags, STOR_MAY_UNMAP);
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(x->st.last_flags, 0);
	bf_free(x);
}

static void a_bad_segment_leaves_the_disk_as_it_was(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	struct virtio_blk_dwz w[9] = { { 0 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(w); i++)
		w[i] = (struct virtio_blk_dwz){ htole64(i), htole32(1), 0 };
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_DISCARD, 0, w, 8 * 16, 0, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(x->st.count[STOR_DISCARD], 8);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_DISCARD, 0, w, 9 * 16, 0, NULL),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_DISCARD, 0, w, 0, 0, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_DISCARD, 0, w, 15, 0, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_DISCARD, 0, w, 17, 0, NULL), VIRTIO_BLK_S_IOERR);
	w[2].sector = htole64(DISK_SECTORS);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_DISCARD, 0, w, 4 * 16, 0, NULL),
			 VIRTIO_BLK_S_IOERR);
	w[3].flags = htole32(2);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_DISCARD, 0, w, 4 * 16, 0, NULL),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(x->st.count[STOR_DISCARD], 8);
	/* and the storage failing in the middle ends it there */
	w[2].sector = w[3].sector = 0;
	w[3].flags = 0;
	x->st.fail_op = STOR_DISCARD;
	x->st.fail_errno = EOPNOTSUPP;
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_DISCARD, 0, w, 4 * 16, 0, NULL),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(x->st.count[STOR_DISCARD], 9);
	bf_free(x);
}

static void discard_that_was_not_accepted_is_unsupported(void **state)
{
	struct world *x = bf_new(0, VIRTIO_BIT(VIRTIO_BLK_F_FLUSH));

	(void)state;
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	bf_free(x);
	x = bf_new(NO_DISCARD, F_ALL);
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	bf_free(x);
}

static void a_read_only_disk_is_never_changed(void **state)
{
	struct world *x = bf_new(READ_ONLY, F_ALL);

	(void)state;
	assert_true(blk_model.features(x->b) & VIRTIO_BIT(VIRTIO_BLK_F_RO));
	assert_false(blk_model.features(x->b) & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_OUT, 0, NULL, 512, 0, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_OUT, 0, NULL, 0, 0, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_IN, 0, NULL, 0, 512, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(x->st.count[STOR_WRITE] + x->st.count[STOR_DISCARD] +
				 x->st.count[STOR_WRITE_ZEROES],
			 0);
	bf_free(x);
}

static void runt_requests_break_the_queue(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	uint8_t out[16] = { 0 };

	(void)state;
	for (size_t len = 0; len <= 16; len++) {
		for (size_t in = 0; in <= 1; in++) {
			struct chain *c = bf_chain(x, out, len, in, (long)len / 2, 0);

			bf_submit(x, c);
			if (len == 16 && in == 1)
				assert_int_equal(bf_status(c), VIRTIO_BLK_S_OK);
			else
				assert_non_null(c->aborted);
			bf_chain_free(c);
		}
	}
	bf_free(x);
}

static void failures_of_storage_are_told_and_not_counted_as_data(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	uint32_t w;

	(void)state;
	x->st.fail_errno = EIO;
	x->st.fail_op = STOR_READ;
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_IN, 0, NULL, 0, 512, &w), VIRTIO_BLK_S_IOERR);
	assert_int_equal(w, 0);
	x->st.fail_op = STOR_WRITE;
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_OUT, 0, NULL, 512, 0, NULL), VIRTIO_BLK_S_IOERR);
	x->st.fail_op = STOR_FLUSH;
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0, NULL), VIRTIO_BLK_S_IOERR);
	bf_free(x);
}

/* ---- the rest ---- */

static void config_space_tells_what_storage_can_do(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	struct virtio_blk_config c;

	(void)state;
	memcpy(&c, x->dev.config, sizeof(c));
	assert_int_equal(le64toh(c.capacity), DISK_SECTORS);
	assert_int_equal(le32toh(c.seg_max), 126);
	assert_int_equal(le32toh(c.blk_size), 512);
	assert_int_equal(c.topology.physical_block_exp, 3);
	assert_int_equal(le16toh(c.topology.min_io_size), 8);
	assert_int_equal(le32toh(c.topology.opt_io_size), 128);
	assert_int_equal(c.writeback, 1);
	assert_int_equal(le16toh(c.num_queues), 4);
	assert_int_equal(le32toh(c.max_discard_seg), 8);
	assert_int_equal(le32toh(c.discard_sector_alignment), 8);
	assert_int_equal(c.write_zeroes_may_unmap, 1);
	assert_true(blk_model.features(x->b) & VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	x->dev.config_writable = false;
	assert_false(blk_model.features(x->b) & VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	assert_true(blk_model.features(x->b) & VIRTIO_BIT(VIRTIO_BLK_F_MQ));
	bf_free(x);
	x = bf_new(ONE_QUEUE, F_ALL);
	assert_false(blk_model.features(x->b) & VIRTIO_BIT(VIRTIO_BLK_F_MQ));
	bf_free(x);
}

static void queues_of_one_worker_share_a_channel(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	struct vu_queue q[3] = { { .worker = &x->w[0] },
				 { .worker = &x->w[1] },
				 { .worker = &x->w[1] } };

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(blk_model.queue_start(x->b, &q[i]), 0);
	assert_int_equal(x->st.opened, 2);
	for (unsigned int i = 0; i < 3; i++)
		blk_model.queue_stopped(x->b, &q[i]);
	assert_int_equal(x->st.chans, 1);
	x->st.fail_errno = EMFILE;
	assert_int_equal(blk_model.queue_start(x->b, &q[1]), -EMFILE);
	bf_free(x);
}

static void a_serial_has_at_most_20_bytes(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	struct blk_args a = { .stor = &x->st.s,
			      .loop = x->loop,
			      .nqueues = 1,
			      .max_queue_size = 64 };
	struct err e;
	struct blk *b;

	(void)state;
	a.serial = "123456789012345678901";
	assert_null(blk_new(&a, &e));
	assert_string_equal(e.id, "serial-too-long");
	a.serial++;
	b = blk_new(&a, &e);
	assert_non_null(b);
	blk_free(b);
	bf_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_are_right_wherever_they_are_cut),
		cmocka_unit_test(writes_are_right_wherever_they_are_cut),
		cmocka_unit_test(the_serial_is_padded_and_short_buffers_get_the_front),
		cmocka_unit_test(ranges_are_right_wherever_they_are_cut),
		cmocka_unit_test(capacity_edges_are_checked_without_wrapping),
		cmocka_unit_test(odd_lengths_are_errors_and_touch_nothing),
		cmocka_unit_test(unknown_types_and_flags_are_unsupported),
		cmocka_unit_test(a_bad_segment_leaves_the_disk_as_it_was),
		cmocka_unit_test(discard_that_was_not_accepted_is_unsupported),
		cmocka_unit_test(a_read_only_disk_is_never_changed),
		cmocka_unit_test(runt_requests_break_the_queue),
		cmocka_unit_test(failures_of_storage_are_told_and_not_counted_as_data),
		cmocka_unit_test(config_space_tells_what_storage_can_do),
		cmocka_unit_test(queues_of_one_worker_share_a_channel),
		cmocka_unit_test(a_serial_has_at_most_20_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
