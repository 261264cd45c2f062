/* SPDX-License-Identifier: MIT */
/* Making a VDUSE device: names, modules, names that are taken, and nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../lib/fake-vduse.h"
#include "transport/vduse/create.h"
#include "util/compiler.h"
#include "wire/virtio.h"

static int setup(void **state)
{
	*state = fake_vduse_new();
	return 0;
}

static int teardown(void **state)
{
	fake_vduse_free(*state);
	return 0;
}

static struct vduse_plan plan(void)
{
	struct vduse_plan p = {
		.name = "db",
		.virtio_id = VIRTIO_ID_BLOCK,
		.features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM),
		.nqueues = 3,
		.max_size = 128,
		.config_size = 60,
	};

	memset(p.config, 7, p.config_size);
	return p;
}

static void create_hands_everything_over(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = plan();
	struct err e;
	int fd = vduse_create(&f->sys, &p, &e);

	assert_true(fd >= 0);
	assert_string_equal(f->conf.name, "db");
	assert_int_equal(f->conf.device_id, VIRTIO_ID_BLOCK);
	assert_int_equal(f->conf.features, p.features);
	assert_int_equal(f->conf.vq_num, 3);
	assert_int_equal(f->conf.config_size, 60);
	assert_memory_equal(f->config, p.config, 60);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(f->max_size[i], 128);
	f->sys.close(&f->sys, fd);
	assert_int_equal(vduse_destroy(&f->sys, "db", &e), 0);
	assert_false(f->exists);
}

static void names_are_checked_at_the_door(void **state)
{
	static const char *const good[] = { "a", "disk0", "_x", "A.b-c_9",
					    "1234567890123456789012345678901" };
	static const char *const bad[] = { "",
					   ".",
					   "..",
					   ".x",
					   "-x",
					   "a/b",
					   "a b",
					   "\xc3\xa9",
					   "a\n",
					   "control",
					   "12345678901234567890123456789012" };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(vduse_check_name(good[i], &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(vduse_check_name(bad[i], &e), -EINVAL);
		assert_string_equal(e.id, "vduse-name");
	}
	assert_int_equal(vduse_check_name(NULL, &e), -EINVAL);
}

static void taken_name_that_is_served_is_left_alone(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = plan();
	struct err e;
	int fd = vduse_create(&f->sys, &p, NULL);

	assert_true(fd >= 0);
	assert_int_equal(vduse_create(&f->sys, &p, &e), -EEXIST);
	assert_string_equal(e.id, "vduse-name-exists");
	assert_non_null(strstr(e.what, "served by another process"));
	assert_int_equal(fake_count(f, FAKE_DESTROY), 0);
	f->sys.close(&f->sys, fd);
}

static void taken_name_that_is_attached_is_left_alone(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = plan();
	struct err e;
	int fd = vduse_create(&f->sys, &p, NULL);

	f->sys.close(&f->sys, fd);
	f->attached = true;
	fake_file(f, "sys/bus/vdpa/devices/db/uevent", "");
	assert_int_equal(vduse_create(&f->sys, &p, &e), -EEXIST);
	assert_string_equal(e.id, "vduse-name-exists");
	assert_non_null(strstr(e.what, "process that is gone"));
	assert_int_equal(fake_count(f, FAKE_DESTROY), 0);
	assert_false(f->is_open);
}

/* sysfs was looked at too early: the kernel's own check decides. */
static void kernel_has_the_last_word_on_a_taken_name(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = plan();
	struct err e;

	f->sys.close(&f->sys, vduse_create(&f->sys, &p, NULL));
	f->attached = true;
	assert_int_equal(vduse_create(&f->sys, &p, &e), -EEXIST);
	assert_int_equal(fake_count(f, FAKE_DESTROY), 0);
}

static void taken_name_that_nobody_can_use_is_replaced(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = plan();
	struct err e;
	int fd;

	f->sys.close(&f->sys, vduse_create(&f->sys, &p, NULL));
	p.nqueues = 1;
	fd = vduse_create(&f->sys, &p, &e);
	assert_true(fd >= 0);
	assert_int_equal(f->conf.vq_num, 1);
	assert_int_equal(fake_count(f, FAKE_DESTROY), 1);
	f->sys.close(&f->sys, fd);
}

static void failure_after_create_destroys_the_device(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = plan();
	struct err e;

	f->vq_setup_rc = -ENOMEM;
	assert_int_equal(vduse_create(&f->sys, &p, &e), -ENOMEM);
	assert_false(f->exists);
	f->vq_setup_rc = 0;
	f->open_rc = -EACCES;
	assert_int_equal(vduse_create(&f->sys, &p, &e), -EACCES);
	assert_string_equal(e.id, "vduse-permission");
	assert_false(f->exists);
	assert_int_equal(fake_count(f, FAKE_CREATE), 2);
	assert_int_equal(fake_count(f, FAKE_DESTROY), 2);
}

static void control_node_errors_have_a_cure(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = plan();
	struct err e;

	f->control_rc = -EACCES;
	assert_int_equal(vduse_create(&f->sys, &p, &e), -EACCES);
	assert_string_equal(e.id, "vduse-permission");
	assert_non_null(strstr(e.what, "uid"));
	f->control_rc = -ENOENT;
	assert_int_equal(vduse_create(&f->sys, &p, &e), -ENOENT);
	assert_string_equal(e.id, "vduse-module-missing");
	assert_non_null(strstr(e.hint, "modprobe"));
	f->control_rc = 0;
	f->create_rc = -EINVAL;
	assert_int_equal(vduse_create(&f->sys, &p, &e), -EINVAL);
	assert_non_null(strstr(e.what, "virtio type 2"));
}

static void missing_modules_are_loaded(void **state)
{
	struct fake_vduse *f = *state;
	struct err e;

	fake_unlink(f, "dev/vduse");
	fake_unlink(f, "sys/bus");
	f->modprobe_works = true;
	assert_int_equal(vduse_ensure_modules(&f->sys, &e), 0);
	assert_int_equal(f->modprobes, 2);
	assert_int_equal(vduse_ensure_modules(&f->sys, &e), 0);
	assert_int_equal(f->modprobes, 2);
}

static void module_not_loaded_and_not_there_are_told_apart(void **state)
{
	struct fake_vduse *f = *state;
	struct err e;

	fake_unlink(f, "dev/vduse");
	assert_true(vduse_ensure_modules(&f->sys, &e) < 0);
	assert_string_equal(e.id, "vduse-module-missing");
	assert_non_null(strstr(e.hint, "modprobe"));
	f->module_there = false;
	assert_true(vduse_ensure_modules(&f->sys, &e) < 0);
	assert_string_equal(e.id, "vduse-kernel-missing");
	fake_file(f, "dev/vduse/control", "");
	fake_unlink(f, "sys/bus");
	f->module_there = true;
	assert_true(vduse_ensure_modules(&f->sys, &e) < 0);
	assert_string_equal(e.id, "virtio-vdpa-missing");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(create_hands_everything_over),
		T(names_are_checked_at_the_door),
		T(taken_name_that_is_served_is_left_alone),
		T(taken_name_that_is_attached_is_left_alone),
		T(kernel_has_the_last_word_on_a_taken_name),
		T(taken_name_that_nobody_can_use_is_replaced),
		T(failure_after_create_destroys_the_device),
		T(control_node_errors_have_a_cure),
		T(missing_modules_are_loaded),
		T(module_not_loaded_and_not_there_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
