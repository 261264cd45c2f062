/* SPDX-License-Identifier: MIT */
/* Tables of names: the right name for a number, and NULL for what has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/names.h"
#include "wire/vhost-user.h"
#include "wire/virtio-blk.h"
#include "wire/virtio.h"

static void messages_have_the_names_of_the_specification(void **state)
{
	assert_string_equal(vhost_user_request_name(1), "GET_FEATURES");
	assert_string_equal(vhost_user_request_name(11), "GET_VRING_BASE");
	assert_string_equal(vhost_user_request_name(24), "GET_CONFIG");
	assert_string_equal(vhost_user_request_name(34), "RESET_DEVICE");
	assert_string_equal(vhost_user_request_name(44), "GET_SHMEM_CONFIG");
	assert_string_equal(vhost_user_backend_request_name(2), "CONFIG_CHANGE_MSG");
	assert_string_equal(vhost_user_backend_request_name(10), "SHMEM_UNMAP");
	assert_string_equal(vhost_user_backend_request_name(1006), "CROSVM_GPU_MAP");
}

static void every_message_of_the_front_end_has_a_name_of_its_own(void **state)
{
	for (uint32_t i = 1; i < VHOST_USER_REQUEST_MAX; i++) {
		assert_non_null(vhost_user_request_name(i));
		for (uint32_t j = 1; j < i; j++)
			assert_string_not_equal(vhost_user_request_name(i),
						vhost_user_request_name(j));
	}
}

static void what_nobody_has_named_is_null(void **state)
{
	assert_null(vhost_user_request_name(0));
	assert_null(vhost_user_request_name(VHOST_USER_REQUEST_MAX));
	assert_null(vhost_user_request_name(UINT32_MAX));
	assert_null(vhost_user_backend_request_name(0));
	assert_null(vhost_user_backend_request_name(11));
	assert_null(vhost_user_backend_request_name(UINT32_MAX));
	assert_null(vhost_user_protocol_feature_name(63));
	assert_null(vhost_user_protocol_feature_name(UINT32_MAX));
	assert_null(virtio_device_name(0));
	assert_null(virtio_device_name(UINT32_MAX));
	assert_null(virtio_feature_name(0, 0));
	assert_null(virtio_feature_name(VIRTIO_ID_BLOCK, 3));
	assert_null(virtio_feature_name(VIRTIO_ID_NET, 49));
	assert_null(virtio_feature_name(VIRTIO_ID_NET, 64));
	assert_null(virtio_feature_name(UINT32_MAX, 0));
	assert_null(virtio_blk_type_name(2));
	assert_null(virtio_blk_type_name(UINT32_MAX));
	assert_null(virtio_blk_status_name(7));
	assert_null(virtio_blk_status_name(255));
}

static void protocol_features_are_at_their_bits(void **state)
{
	assert_string_equal(vhost_user_protocol_feature_name(0), "MQ");
	assert_string_equal(vhost_user_protocol_feature_name(9), "CONFIG");
	assert_string_equal(vhost_user_protocol_feature_name(15), "CONFIGURE_MEM_SLOTS");
	assert_string_equal(vhost_user_protocol_feature_name(22), "SHMEM");
	for (unsigned int i = 0; i <= VHOST_USER_PROTOCOL_F_GET_VRING_BASE_SKIP_DRAIN; i++)
		assert_non_null(vhost_user_protocol_feature_name(i));
}

static void device_names_lead_back_to_their_ids(void **state)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < 64; i++)
		if (virtio_device_name(i)) {
			assert_int_equal(virtio_device_id(virtio_device_name(i)), i);
			n++;
		}
	assert_true(n > 30);
	assert_int_equal(virtio_device_id("blk"), VIRTIO_ID_BLOCK);
	assert_int_equal(virtio_device_id("net"), VIRTIO_ID_NET);
	assert_int_equal(virtio_device_id("fs"), VIRTIO_ID_FS);
	assert_int_equal(virtio_device_id("floppy"), 0);
	assert_int_equal(virtio_device_id(""), 0);
}

static void low_bits_mean_something_else_on_each_device(void **state)
{
	assert_string_equal(virtio_feature_name(VIRTIO_ID_BLOCK, 5), "RO");
	assert_string_equal(virtio_feature_name(VIRTIO_ID_NET, 5), "MAC");
	assert_string_equal(virtio_feature_name(VIRTIO_ID_VSOCK, 1), "SEQPACKET");
	assert_string_equal(virtio_feature_name(VIRTIO_ID_GPU, 0), "VIRGL");
	assert_string_equal(virtio_feature_name(VIRTIO_ID_BLOCK, 14), "WRITE_ZEROES");
	assert_string_equal(virtio_feature_name(VIRTIO_ID_NET, 63), "SPEED_DUPLEX");
	assert_null(virtio_feature_name(VIRTIO_ID_RNG, 0));
}

static void common_bits_mean_the_same_on_all(void **state)
{
	static const uint32_t ids[] = { 0,  VIRTIO_ID_BLOCK, VIRTIO_ID_NET, VIRTIO_ID_RNG,
					63, UINT32_MAX };

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_string_equal(virtio_feature_name(ids[i], 28), "INDIRECT_DESC");
		assert_string_equal(virtio_feature_name(ids[i], 29), "EVENT_IDX");
		assert_string_equal(virtio_feature_name(ids[i], 30), "PROTOCOL_FEATURES");
		assert_string_equal(virtio_feature_name(ids[i], 32), "VERSION_1");
		assert_string_equal(virtio_feature_name(ids[i], 34), "RING_PACKED");
		assert_string_equal(virtio_feature_name(ids[i], 41), "ADMIN_VQ");
		assert_null(virtio_feature_name(ids[i], 31));
	}
}

static void requests_of_a_disk_have_names(void **state)
{
	assert_string_equal(virtio_blk_type_name(VIRTIO_BLK_T_IN), "IN");
	assert_string_equal(virtio_blk_type_name(VIRTIO_BLK_T_GET_ID), "GET_ID");
	assert_string_equal(virtio_blk_type_name(VIRTIO_BLK_T_WRITE_ZEROES), "WRITE_ZEROES");
	assert_string_equal(virtio_blk_status_name(VIRTIO_BLK_S_OK), "OK");
	assert_string_equal(virtio_blk_status_name(VIRTIO_BLK_S_UNSUPP), "UNSUPP");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_the_names_of_the_specification),
		cmocka_unit_test(every_message_of_the_front_end_has_a_name_of_its_own),
		cmocka_unit_test(what_nobody_has_named_is_null),
		cmocka_unit_test(protocol_features_are_at_their_bits),
		cmocka_unit_test(device_names_lead_back_to_their_ids),
		cmocka_unit_test(low_bits_mean_something_else_on_each_device),
		cmocka_unit_test(common_bits_mean_the_same_on_all),
		cmocka_unit_test(requests_of_a_disk_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
