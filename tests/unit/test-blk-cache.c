/* SPDX-License-Identifier: MIT */
/* virtio-blk: when is a write stable? */
#include "blk-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool write_and_look(struct world *x, uint8_t v)
{
	uint8_t data[512];

	memset(data, v, sizeof(data));
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_OUT, 7, data, 512, 0, NULL), VIRTIO_BLK_S_OK);
	assert_memory_equal(x->st.data + 7 * 512, data, 512);
	return !memcmp(x->st.stable + 7 * 512, data, 512);
}

static void without_flush_accepted_every_change_is_stable(void **state)
{
	struct world *x = bf_new(0, F_ALL & ~VIRTIO_BIT(VIRTIO_BLK_F_FLUSH));

	(void)state;
	assert_true(write_and_look(x, 0x21));
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_WRITE_ZEROES, 7, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(x->st.stable[7 * 512], 0);
	assert_int_equal(bf_range(x, VIRTIO_BLK_T_DISCARD, 7, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(x->st.stable[7 * 512], 0xdd);
	x->st.fail_op = STOR_FLUSH;
	x->st.fail_errno = EIO;
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_OUT, 0, NULL, 512, 0, NULL), VIRTIO_BLK_S_IOERR);
	bf_free(x);
}

static void with_flush_accepted_only_flush_makes_stable(void **state)
{
	struct world *x = bf_new(0, F_ALL & ~VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));

	(void)state;
	assert_false(write_and_look(x, 0x22));
	assert_int_equal(bf_ask(x, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(x->st.stable[7 * 512], 0x22);
	bf_free(x);
	x = bf_new(WRITE_THROUGH, F_ALL & ~VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	assert_true(write_and_look(x, 0x23));
	bf_free(x);
}

#define WB_OFF offsetof(struct virtio_blk_config, writeback)

static int set_writeback(struct world *x, uint8_t v)
{
	x->dev.written = 1;
	return blk_model.config_write(x->b, WB_OFF, &v, 1);
}

/* 5.2.5.2 */
static void the_writeback_byte_begins_as_zero_without_flush(void **state)
{
	struct world *x = bf_new(0, F_ALL & ~VIRTIO_BIT(VIRTIO_BLK_F_FLUSH));

	(void)state;
	assert_int_equal(x->dev.config[WB_OFF], 0);
	bf_free(x);
	x = bf_new(0, F_ALL);
	assert_int_equal(x->dev.config[WB_OFF], 1);
	bf_free(x);
}

static void the_writeback_byte_decides(void **state)
{
	struct world *x = bf_new(WRITE_THROUGH, F_ALL);

	(void)state;
	assert_int_equal(x->dev.config[WB_OFF], 0);
	assert_true(write_and_look(x, 1));
	assert_int_equal(set_writeback(x, 0), 0);
	assert_int_equal(set_writeback(x, 1), 0);
	assert_int_equal(x->dev.config[WB_OFF], 1);
	assert_false(write_and_look(x, 2));
	assert_int_equal(set_writeback(x, 0), -EINPROGRESS);
	bf_settle(x);
	assert_int_equal(x->dev.written, 0);
	assert_int_equal(x->dev.config[WB_OFF], 0);
	assert_int_equal(x->st.stable[7 * 512], 2);
	assert_true(write_and_look(x, 3));
	/* SET_FEATURES comes again when a stopped VM goes on: the byte still decides */
	blk_model.negotiated(x->b, F_ALL);
	assert_int_equal(x->dev.config[WB_OFF], 0);
	assert_true(write_and_look(x, 4));
	bf_free(x);
}

static void a_switch_to_write_through_waits_for_its_flush(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	uint8_t out[16 + 512] = { 0 };
	struct chain *c;

	(void)state;
	assert_false(write_and_look(x, 9));
	/* one more write is in the storage when the switch comes */
	x->st.hold = true;
	bf_header(out, VIRTIO_BLK_T_OUT, 0);
	memset(out + 16, 0x44, 512);
	c = bf_chain(x, out, sizeof(out), 1, 16, 1);
	bf_submit(x, c);
	assert_int_equal(set_writeback(x, 0), -EINPROGRESS);
	bf_run(&x->w[0]);
	assert_int_equal(x->st.nheld, 2);
	assert_int_equal(loop_turn(x->loop, 0), 0);
	assert_int_equal(x->dev.config[WB_OFF], 1); /* not yet */
	assert_int_equal(x->dev.written, 1);
	assert_true(blk_busy(x->b));
	bf_release(&x->st); /* the write: it must be flushed before it completes */
	assert_false(c->pushed);
	bf_release(&x->st); /* the flush of the switch */
	bf_settle(x);
	assert_int_equal(x->dev.written, 0);
	assert_int_equal(x->dev.config[WB_OFF], 0);
	assert_int_equal(x->st.stable[7 * 512], 9);
	assert_false(c->pushed);
	bf_release(&x->st);
	assert_int_equal(bf_status(c), VIRTIO_BLK_S_OK);
	assert_int_equal(x->st.stable[0], 0x44);
	bf_chain_free(c);
	bf_free(x);
}

static void a_failed_flush_keeps_the_byte_but_flushes_each_write(void **state)
{
	struct world *x = bf_new(0, F_ALL);

	(void)state;
	x->st.fail_op = STOR_FLUSH;
	x->st.fail_errno = EIO;
	assert_int_equal(set_writeback(x, 0), -EINPROGRESS);
	bf_settle(x);
	assert_int_equal(x->dev.written, -EIO);
	assert_int_equal(x->dev.config[WB_OFF], 1);
	x->st.fail_op = -1;
	assert_true(write_and_look(x, 0x31));
	assert_int_equal(set_writeback(x, 0), -EINPROGRESS);
	bf_settle(x);
	assert_int_equal(x->dev.written, 0);
	bf_free(x);
}

static void an_answer_after_reset_changes_nothing(void **state)
{
	struct world *x = bf_new(0, F_ALL);

	(void)state;
	x->st.hold = true;
	assert_int_equal(set_writeback(x, 0), -EINPROGRESS);
	bf_run(&x->w[0]);
	blk_model.queue_stopped(x->b, &x->q);
	blk_model.reset(x->b);
	assert_true(blk_busy(x->b));
	/* a new driver, and a switch of its own while the old flush is still under way */
	blk_model.negotiated(x->b, F_ALL);
	assert_int_equal(blk_model.queue_start(x->b, &x->q), 0);
	x->st.hold = false;
	assert_false(write_and_look(x, 0x51));
	x->st.hold = true;
	assert_int_equal(set_writeback(x, 0), -EINPROGRESS);
	bf_settle(x);
	bf_release(&x->st);
	bf_settle(x);
	assert_int_equal(x->dev.written, 1); /* that was the flush of before its writes */
	assert_int_equal(x->dev.config[WB_OFF], 1);
	bf_release(&x->st);
	bf_settle(x);
	assert_int_equal(x->dev.written, 0);
	assert_int_equal(x->dev.config[WB_OFF], 0);
	assert_int_equal(x->st.count[STOR_FLUSH], 2);

	/* and one whose driver is gone for good */
	assert_int_equal(set_writeback(x, 1), 0);
	assert_int_equal(set_writeback(x, 0), -EINPROGRESS);
	blk_model.queue_stopped(x->b, &x->q);
	blk_model.reset(x->b);
	bf_settle(x);
	bf_release(&x->st);
	bf_settle(x);
	assert_int_equal(x->dev.written, 1);
	assert_int_equal(x->dev.config[WB_OFF], 1);
	assert_int_equal(x->st.count[STOR_FLUSH], 3);
	bf_free(x);
}

static void a_switch_before_any_queue_needs_no_flush(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	struct blk_args a = { .stor = &x->st.s,
			      .loop = x->loop,
			      .nqueues = 1,
			      .max_queue_size = 64 };
	struct blk *b = blk_new(&a, NULL);
	uint8_t zero = 0;

	(void)state;
	blk_bind(b, &x->dev);
	blk_model.negotiated(b, F_ALL);
	assert_int_equal(blk_model.config_write(b, WB_OFF, &zero, 1), -EINPROGRESS);
	bf_settle(x);
	assert_int_equal(x->dev.written, 0);
	assert_int_equal(x->st.count[STOR_FLUSH], 0);
	blk_free(b);
	bf_free(x);
}

static void only_the_writeback_byte_can_be_written(void **state)
{
	struct world *x = bf_new(0, F_ALL);
	uint8_t v[60] = { 0 };

	(void)state;
	for (uint32_t off = 0; off < 60; off++)
		if (off != WB_OFF)
			assert_int_equal(blk_model.config_write(x->b, off, v, 1), -EPERM);
	assert_int_equal(blk_model.config_write(x->b, WB_OFF, v, 2), -EPERM);
	assert_int_equal(blk_model.config_write(x->b, 0, v, 60), -EPERM);
	v[0] = 2;
	assert_int_equal(blk_model.config_write(x->b, WB_OFF, v, 1), -EINVAL);
	bf_free(x);
	x = bf_new(0, VIRTIO_BIT(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(set_writeback(x, 0), -EPERM);
	bf_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_flush_accepted_every_change_is_stable),
		cmocka_unit_test(with_flush_accepted_only_flush_makes_stable),
		cmocka_unit_test(the_writeback_byte_begins_as_zero_without_flush),
		cmocka_unit_test(the_writeback_byte_decides),
		cmocka_unit_test(a_switch_to_write_through_waits_for_its_flush),
		cmocka_unit_test(a_failed_flush_keeps_the_byte_but_flushes_each_write),
		cmocka_unit_test(an_answer_after_reset_changes_nothing),
		cmocka_unit_test(a_switch_before_any_queue_needs_no_flush),
		cmocka_unit_test(only_the_writeback_byte_can_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
