/* SPDX-License-Identifier: MIT */
/* Our copy of the kernel's interface against the kernel headers of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/vdpa.h>
#include <linux/vduse.h>

#include "wire/vdpa.h"
#include "wire/vduse.h"

#define SAME_SIZE(ours, theirs) assert_int_equal(sizeof(struct ours), sizeof(struct theirs))
#define SAME_PLACE(ours, theirs, field) \
	assert_int_equal(offsetof(struct ours, field), offsetof(struct theirs, field))

static void ioctl_numbers_are_the_kernels(void **state)
{
	assert_int_equal(VDU_GET_API_VERSION, VDUSE_GET_API_VERSION);
	assert_int_equal(VDU_SET_API_VERSION, VDUSE_SET_API_VERSION);
	assert_int_equal(VDU_CREATE_DEV, VDUSE_CREATE_DEV);
	assert_int_equal(VDU_DESTROY_DEV, VDUSE_DESTROY_DEV);
	assert_int_equal(VDU_IOTLB_GET_FD, VDUSE_IOTLB_GET_FD);
	assert_int_equal(VDU_DEV_GET_FEATURES, VDUSE_DEV_GET_FEATURES);
	assert_int_equal(VDU_DEV_SET_CONFIG, VDUSE_DEV_SET_CONFIG);
	assert_int_equal(VDU_DEV_INJECT_CONFIG_IRQ, VDUSE_DEV_INJECT_CONFIG_IRQ);
	assert_int_equal(VDU_VQ_SETUP, VDUSE_VQ_SETUP);
	assert_int_equal(VDU_VQ_GET_INFO, VDUSE_VQ_GET_INFO);
	assert_int_equal(VDU_VQ_SETUP_KICKFD, VDUSE_VQ_SETUP_KICKFD);
	assert_int_equal(VDU_VQ_INJECT_IRQ, VDUSE_VQ_INJECT_IRQ);
#ifdef VDUSE_IOTLB_REG_UMEM /* Linux 6.0 */
	assert_int_equal(VDU_IOTLB_REG_UMEM, VDUSE_IOTLB_REG_UMEM);
	assert_int_equal(VDU_IOTLB_DEREG_UMEM, VDUSE_IOTLB_DEREG_UMEM);
	assert_int_equal(VDU_IOTLB_GET_INFO, VDUSE_IOTLB_GET_INFO);
#endif
}

static void structs_are_laid_out_as_the_kernels(void **state)
{
	SAME_SIZE(vdu_dev_config, vduse_dev_config);
	SAME_PLACE(vdu_dev_config, vduse_dev_config, device_id);
	SAME_PLACE(vdu_dev_config, vduse_dev_config, features);
	SAME_PLACE(vdu_dev_config, vduse_dev_config, vq_num);
	SAME_PLACE(vdu_dev_config, vduse_dev_config, vq_align);
	SAME_PLACE(vdu_dev_config, vduse_dev_config, config_size);
	SAME_PLACE(vdu_dev_config, vduse_dev_config, config);
	SAME_SIZE(vdu_iotlb_entry, vduse_iotlb_entry);
	SAME_PLACE(vdu_iotlb_entry, vduse_iotlb_entry, last);
	SAME_PLACE(vdu_iotlb_entry, vduse_iotlb_entry, perm);
	SAME_SIZE(vdu_config_data, vduse_config_data);
	SAME_PLACE(vdu_config_data, vduse_config_data, buffer);
	SAME_SIZE(vdu_vq_config, vduse_vq_config);
	SAME_PLACE(vdu_vq_config, vduse_vq_config, max_size);
	SAME_SIZE(vdu_vq_info, vduse_vq_info);
	SAME_PLACE(vdu_vq_info, vduse_vq_info, num);
	SAME_PLACE(vdu_vq_info, vduse_vq_info, device_addr);
	SAME_PLACE(vdu_vq_info, vduse_vq_info, packed.last_avail_idx);
	SAME_PLACE(vdu_vq_info, vduse_vq_info, packed.last_used_counter);
	SAME_PLACE(vdu_vq_info, vduse_vq_info, packed.last_used_idx);
	SAME_PLACE(vdu_vq_info, vduse_vq_info, ready);
	SAME_SIZE(vdu_vq_eventfd, vduse_vq_eventfd);
	SAME_PLACE(vdu_vq_eventfd, vduse_vq_eventfd, fd);
#ifdef VDUSE_IOTLB_REG_UMEM
	SAME_SIZE(vdu_iova_umem, vduse_iova_umem);
	SAME_SIZE(vdu_iova_info, vduse_iova_info);
#endif
}

static void messages_are_laid_out_as_the_kernels(void **state)
{
	SAME_SIZE(vdu_dev_request, vduse_dev_request);
	SAME_PLACE(vdu_dev_request, vduse_dev_request, request_id);
	SAME_PLACE(vdu_dev_request, vduse_dev_request, vq_state.index);
	SAME_PLACE(vdu_dev_request, vduse_dev_request, s.status);
	SAME_PLACE(vdu_dev_request, vduse_dev_request, iova.start);
	SAME_PLACE(vdu_dev_request, vduse_dev_request, iova.last);
	SAME_SIZE(vdu_dev_response, vduse_dev_response);
	SAME_PLACE(vdu_dev_response, vduse_dev_response, result);
	SAME_PLACE(vdu_dev_response, vduse_dev_response, vq_state.split.avail_index);
	SAME_PLACE(vdu_dev_response, vduse_dev_response, vq_state.packed.last_used_idx);
	assert_int_equal(VDU_GET_VQ_STATE, VDUSE_GET_VQ_STATE);
	assert_int_equal(VDU_SET_STATUS, VDUSE_SET_STATUS);
	assert_int_equal(VDU_UPDATE_IOTLB, VDUSE_UPDATE_IOTLB);
	assert_int_equal(VDU_RESULT_FAILED, VDUSE_REQ_RESULT_FAILED);
	assert_int_equal(VDU_ACCESS_RO, VDUSE_ACCESS_RO);
	assert_int_equal(VDU_ACCESS_WO, VDUSE_ACCESS_WO);
	assert_int_equal(VDU_ACCESS_RW, VDUSE_ACCESS_RW);
}

static void netlink_numbers_are_the_kernels(void **state)
{
	assert_string_equal(VDPA_NL_FAMILY, VDPA_GENL_NAME);
	assert_int_equal(VDPA_NL_VERSION, VDPA_GENL_VERSION);
	assert_int_equal(VDPA_NL_DEV_NEW, VDPA_CMD_DEV_NEW);
	assert_int_equal(VDPA_NL_DEV_DEL, VDPA_CMD_DEV_DEL);
	assert_int_equal(VDPA_NL_DEV_GET, VDPA_CMD_DEV_GET);
	assert_int_equal(VDPA_NL_A_MGMTDEV_DEV_NAME, VDPA_ATTR_MGMTDEV_DEV_NAME);
	assert_int_equal(VDPA_NL_A_DEV_NAME, VDPA_ATTR_DEV_NAME);
	assert_int_equal(VDPA_NL_A_DEV_ID, VDPA_ATTR_DEV_ID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ioctl_numbers_are_the_kernels),
		cmocka_unit_test(structs_are_laid_out_as_the_kernels),
		cmocka_unit_test(messages_are_laid_out_as_the_kernels),
		cmocka_unit_test(netlink_numbers_are_the_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
