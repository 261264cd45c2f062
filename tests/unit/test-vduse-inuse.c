/* SPDX-License-Identifier: MIT */
/* Who uses the disk: mounts, holders, swap; and the rules for taking a broken one away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../lib/fake-vduse.h"
#include "transport/vduse/vduse-impl.h"
#include "wire/virtio.h"

#define HEAD "22 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n"

static int setup(void **state)
{
	struct fake_vduse *f = fake_vduse_new();

	fake_file(f, "sys/class/block/vdq/dev", "254:16\n");
	fake_file(f, "sys/class/block/vdq/vdq1/partition", "1\n");
	fake_file(f, "sys/class/block/vdq/vdq1/dev", "254:17\n");
	fake_file(f, "sys/class/block/vdq1/dev", "254:17\n");
	fake_file(f, "proc/self/mountinfo", HEAD);
	fake_file(f, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fake_vduse_free(*state);
	return 0;
}

static void unused_disk_may_go(void **state)
{
	struct fake_vduse *f = *state;
	struct err e;

	assert_int_equal(vduse_claim(&f->sys, "vdq", &e), -1); /* no node: nothing to hold on to */
	fake_file(f, "proc/self/mountinfo", HEAD "31 1 254:18 / /other rw - ext4 /dev/vdr rw\n");
	assert_int_equal(vduse_claim(&f->sys, "vdq", &e), -1);
}

static void mount_is_found_by_device_number(void **state)
{
	struct fake_vduse *f = *state;
	struct err e;

	fake_file(f, "proc/self/mountinfo",
		  HEAD
		  "31 1 254:16 / /srv/my\\040data rw,noatime shared:7 master:1 - ext4 /dev/x rw\n");
	assert_int_equal(vduse_claim(&f->sys, "vdq", &e), -EBUSY);
	assert_string_equal(e.id, "disk-in-use");
	assert_string_equal(e.what, "/dev/vdq is mounted on /srv/my data");
}

static void mounted_partition_is_named(void **state)
{
	struct fake_vduse *f = *state;
	struct err e;

	fake_file(f, "proc/self/mountinfo", HEAD "31 1 254:17 / /mnt rw - xfs /dev/vdq1 rw\n");
	assert_int_equal(vduse_claim(&f->sys, "vdq", &e), -EBUSY);
	assert_string_equal(e.what, "/dev/vdq1 is mounted on /mnt");
	assert_non_null(strstr(e.hint, "umount /mnt"));
}

static void senseless_mountinfo_is_survived(void **state)
{
	struct fake_vduse *f = *state;
	struct err e;

	fake_file(f, "proc/self/mountinfo",
		  "\n-\n1 2\n1 2 3 4 5 6 -\n1 2 x:y / /m rw - \n- - -\n\\04");
	assert_int_equal(vduse_claim(&f->sys, "vdq", &e), -1);
}

static void holder_is_named(void **state)
{
	struct fake_vduse *f = *state;
	struct err e;

	fake_file(f, "sys/class/block/vdq1/holders/dm-3/uevent", "");
	fake_file(f, "sys/class/block/dm-3/dm/name", "vg0-root\n");
	assert_int_equal(vduse_claim(&f->sys, "vdq", &e), -EBUSY);
	assert_string_equal(e.what, "/dev/vdq1 is part of /dev/dm-3 (vg0-root)");
}

/* The rest needs a device node, which takes root to make. */
static bool make_node(struct fake_vduse *f, const char *name, dev_t dev)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", f->dev, name);
	return mknod(path, S_IFBLK | 0600, dev) == 0;
}

static void swap_is_found(void **state)
{
	struct fake_vduse *f = *state;
	char line[300];
	struct err e;

	if (!make_node(f, "vdq1", makedev(254, 17))) {
		print_message("making a device node is not permitted here\n");
		skip();
	}
	snprintf(line, sizeof(line), "Filename Type Size Used Priority\n%s/vdq1 partition 9 0 -2\n",
		 f->dev);
	fake_file(f, "proc/swaps", line);
	assert_int_equal(vduse_claim(&f->sys, "vdq", &e), -EBUSY);
	assert_string_equal(e.what, "/dev/vdq1 is used as swap space");
}

static void mount_with_a_device_number_of_its_own_is_found(void **state)
{
	struct fake_vduse *f = *state;
	char line[300];
	struct err e;

	if (!make_node(f, "vdq", makedev(254, 16))) {
		print_message("making a device node is not permitted here\n");
		skip();
	}
	snprintf(line, sizeof(line), HEAD "31 1 0:44 / /big rw - btrfs %s/vdq rw\n", f->dev);
	fake_file(f, "proc/self/mountinfo", line);
	assert_int_equal(vduse_claim(&f->sys, "vdq", &e), -EBUSY);
	assert_string_equal(e.what, "/dev/vdq is mounted on /big");
}

/* ---- detaching ---- */

static struct vduse_plan attached_disk(struct fake_vduse *f)
{
	struct vduse_plan p = { .name = "db", .virtio_id = VIRTIO_ID_BLOCK };

	strcpy(f->name, "db");
	f->attached = true;
	fake_file(f, "sys/class/vduse/db/db/uevent", "");
	fake_file(f, "sys/bus/vdpa/devices/db/virtio1/block/vdq/dev", "254:16\n");
	return p;
}

static void detach_asks_only_when_told_to(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = attached_disk(f);
	struct err e;

	fake_file(f, "proc/self/mountinfo", HEAD "31 1 254:17 / /mnt rw - xfs /dev/vdq1 rw\n");
	assert_int_equal(vduse_detach(&f->sys, &p, true, false, &e), -EBUSY);
	assert_true(f->attached);
	assert_int_equal(fake_count(f, FAKE_DEL), 0);
	assert_int_equal(vduse_detach(&f->sys, &p, false, false, &e), 0);
	assert_false(f->attached);
	/* Twice is once. */
	assert_int_equal(vduse_detach(&f->sys, &p, false, false, &e), 0);
	assert_int_equal(fake_count(f, FAKE_DEL), 1);
}

/* The kernel would wait for those requests for ever, and with it everybody on the bus. */
static void broken_disk_with_requests_is_not_detached(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = attached_disk(f);
	struct err e;

	fake_file(f, "sys/class/block/vdq/inflight", "       0        3\n");
	assert_int_equal(vduse_detach(&f->sys, &p, false, true, &e), -EBUSY);
	assert_int_equal(fake_count(f, FAKE_DEL), 0);
	fake_file(f, "sys/class/block/vdq/inflight", "       0        0\n");
	assert_int_equal(vduse_detach(&f->sys, &p, false, true, &e), 0);
}

static void other_driver_is_replaced(void **state)
{
	struct fake_vduse *f = *state;
	struct vduse_plan p = { .name = "d0", .virtio_id = VIRTIO_ID_NET };
	struct transport_info info;
	char text[64];
	char path[200];
	struct err e;

	/* The bus does not answer writes here: what is asked of it is what counts. */
	strcpy(f->name, "d0");
	fake_file(f, "sys/class/vduse/d0/d0/uevent", "");
	fake_link(f, "sys/bus/vdpa/devices/d0/driver", "../../drivers/vhost_vdpa");
	fake_file(f, "sys/bus/vdpa/devices/d0/driver_override", "(null)\n");
	fake_file(f, "sys/bus/vdpa/drivers/vhost_vdpa/unbind", "");
	fake_file(f, "sys/bus/vdpa/drivers_probe", "");
	assert_int_equal(vduse_attach(&f->sys, &p, -1, &info, &e), -ENODEV);
	assert_string_equal(e.id, "vdpa-driver");
	snprintf(path, sizeof(path), "%s/bus/vdpa/devices/d0/driver_override", f->sysfs);
	assert_true(vduse_read_line(path, text, sizeof(text)) > 0);
	assert_int_equal(strncmp(text, "virtio_vdpa", 11), 0);
	snprintf(path, sizeof(path), "%s/bus/vdpa/drivers/vhost_vdpa/unbind", f->sysfs);
	assert_int_equal(vduse_read_line(path, text, sizeof(text)), 2);
	snprintf(path, sizeof(path), "%s/bus/vdpa/drivers_probe", f->sysfs);
	assert_int_equal(vduse_read_line(path, text, sizeof(text)), 2);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(unused_disk_may_go),
		T(mount_is_found_by_device_number),
		T(mounted_partition_is_named),
		T(senseless_mountinfo_is_survived),
		T(holder_is_named),
		T(swap_is_found),
		T(mount_with_a_device_number_of_its_own_is_found),
		T(detach_asks_only_when_told_to),
		T(broken_disk_with_requests_is_not_detached),
		T(other_driver_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
