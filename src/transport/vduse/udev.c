/* SPDX-License-Identifier: MIT */
/*
 * From the vDPA device to its disk (or network interface), and the wait until
 * it can be used: until udev has made its links, or, where no udev runs,
 * until the device node is there. Helper thread.
 */
#include <errno.h>
#include <libudev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "transport/vduse/vduse-impl.h"
#include "util/compiler.h"
#include "wire/virtio.h"

#define TICK_MS         100
#define TICK_NO_UDEV_MS 10
/* When no udev loads the module for the new virtio device, we do. */
#define LOAD_AFTER_MS 300

struct waiter {
	const struct vduse_sys *s;
	const struct vduse_plan *p;
	struct transport_info *info;
	struct udev *udev; /* NULL: no udev runs here */
	struct udev_monitor *monitor;
	int cancel_fd;
	bool load_tried;
	char virtio[64]; /* "virtio4", "" before */
	char disk[64];
};

static const char *class_of(const struct vduse_plan *p)
{
	return p->virtio_id == VIRTIO_ID_NET ? "net" : "block";
}

static bool find(const struct vduse_sys *s, const struct vduse_plan *p, char *virtio, char *disk,
		 size_t n)
{
	char path[VDUSE_PATH_MAX];

	virtio[0] = disk[0] = '\0';
	vduse_path(path, "%s/bus/vdpa/devices/%s", s->sysfs, p->name);
	if (vduse_find_entry(path, "virtio", virtio, n) < 0)
		return false;
	vduse_path(path, "%s/bus/vdpa/devices/%s/%s/%s", s->sysfs, p->name, virtio, class_of(p));
	return vduse_find_entry(path, "", disk, n) == 0;
}

void vduse_find_disk(const struct vduse_sys *s, const struct vduse_plan *p, char *dir, char *disk,
		     size_t n)
{
	char virtio[64];

	dir[0] = disk[0] = '\0';
	if (p->virtio_id != VIRTIO_ID_BLOCK || !find(s, p, virtio, disk, MIN(n, sizeof(virtio))))
		return;
	vduse_path(dir, "%s/bus/vdpa/devices/%s/%s/block/%s", s->sysfs, p->name, virtio, disk);
}

/* ---- is it ready? ---- */

/* The node exists and is that disk, not one of the same name from before. */
static bool node_ready(const struct waiter *w)
{
	char path[VDUSE_PATH_MAX], line[32];
	unsigned int major, minor;
	struct stat st;

	vduse_path(path, "%s/class/block/%s/dev", w->s->sysfs, w->disk);
	if (vduse_read_line(path, line, sizeof(line)) <= 0 ||
	    sscanf(line, "%u:%u", &major, &minor) != 2)
		return false;
	vduse_path(path, "%s/%s", w->s->dev, w->disk);
	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != makedev(major, minor))
		return false;
	return (size_t)snprintf(w->info->path, sizeof(w->info->path), "%s", path) <
	       sizeof(w->info->path);
}

/* Links by serial number are the better ones; any is better than none. */
static void pick_link(struct waiter *w, struct udev_device *d)
{
	struct udev_list_entry *l;

	w->info->by_id[0] = '\0';
	udev_list_entry_foreach(l, udev_device_get_devlinks_list_entry(d))
	{
		const char *name = udev_list_entry_get_name(l);

		if (!strstr(name, "/disk/by-id/"))
			continue;
		if (!w->info->by_id[0] || strstr(name, "/by-id/virtio-"))
			snprintf(w->info->by_id, sizeof(w->info->by_id), "%s", name);
	}
}

static bool udev_ready(struct waiter *w)
{
	char path[VDUSE_PATH_MAX];
	struct udev_device *d;
	bool ready = false;

	vduse_path(path, "%s/class/%s/%s", w->s->sysfs, class_of(w->p), w->disk);
	d = udev_device_new_from_syspath(w->udev, path);
	if (!d)
		return false;
	if (udev_device_get_is_initialized(d) == 1) {
		ready = true;
		pick_link(w, d);
	}
	udev_device_unref(d);
	return ready;
}

static bool disk_ready(struct waiter *w)
{
	if (!find(w->s, w->p, w->virtio, w->disk, sizeof(w->disk)))
		return false;
	if (w->udev && !udev_ready(w))
		return false;
	if (w->p->virtio_id != VIRTIO_ID_NET)
		return node_ready(w);
	snprintf(w->info->path, sizeof(w->info->path), "%s", w->disk);
	return true;
}

/* ---- what can be in the way ---- */

/* The virtio device is there, its driver is not: what udev would do. */
static void load_driver(struct waiter *w)
{
	char path[VDUSE_PATH_MAX], alias[128];

	if (w->load_tried || !w->virtio[0])
		return;
	w->load_tried = true;
	vduse_path(path, "%s/bus/vdpa/devices/%s/%s/driver", w->s->sysfs, w->p->name, w->virtio);
	if (vduse_exists(path))
		return;
	vduse_path(path, "%s/bus/vdpa/devices/%s/%s/modalias", w->s->sysfs, w->p->name, w->virtio);
	if (vduse_read_line(path, alias, sizeof(alias)) > 0)
		w->s->modprobe(w->s, alias, false);
}

static int explain(const struct waiter *w, unsigned int timeout_ms, struct err *e)
{
	char path[VDUSE_PATH_MAX];
	const char *name = w->p->name;

	vduse_path(path, "%s/bus/vdpa/devices/%s", w->s->sysfs, name);
	if (!vduse_exists(path))
		return err_set(e, -ENODEV, "vduse-no-disk", "vDPA device '%s' has disappeared",
			       name);
	if (!w->virtio[0]) {
		err_set(e, -ETIMEDOUT, "vduse-no-disk",
			"'%s' is attached, but virtio_vdpa made no virtio device of it", name);
	} else {
		vduse_path(path, "%s/bus/vdpa/devices/%s/%s/driver", w->s->sysfs, name, w->virtio);
		if (!vduse_exists(path)) {
			err_set(e, -ETIMEDOUT, "vduse-no-disk",
				"'%s' is attached, but no virtio driver took it (%s)", name,
				w->virtio);
			return err_hint(e,
					"Try: sudo modprobe virtio:d%08Xv00000000, and see dmesg",
					w->p->virtio_id);
		}
		if (w->disk[0])
			err_set(e, -ETIMEDOUT, "vduse-no-disk",
				"'%s' is attached as %s, but udev was not done with it after %u s",
				name, w->disk, timeout_ms / 1000);
		else
			err_set(e, -ETIMEDOUT, "vduse-no-disk",
				"'%s' is attached, but no disk appeared within %u s", name,
				timeout_ms / 1000);
	}
	return err_hint(e, "The kernel log (dmesg) says why");
}

/* ---- waiting ---- */

static void watch_udev(struct waiter *w)
{
	char path[VDUSE_PATH_MAX];

	vduse_path(path, "%s/udev/control", w->s->run);
	if (!vduse_exists(path))
		return;
	w->udev = udev_new();
	if (!w->udev)
		return;
	w->monitor = udev_monitor_new_from_netlink(w->udev, "udev");
	if (w->monitor &&
	    (udev_monitor_filter_add_match_subsystem_devtype(w->monitor, class_of(w->p), NULL) <
		     0 ||
	     udev_monitor_enable_receiving(w->monitor) < 0)) {
		udev_monitor_unref(w->monitor);
		w->monitor = NULL; /* ticks do */
	}
}

/* True when cancelled. */
static bool nap(struct waiter *w)
{
	struct pollfd p[2] = { { .fd = w->cancel_fd, .events = POLLIN },
			       { .fd = -1, .events = POLLIN } };
	struct udev_device *d;

	if (w->monitor)
		p[1].fd = udev_monitor_get_fd(w->monitor);
	poll(p, 2, w->udev ? TICK_MS : TICK_NO_UDEV_MS);
	/* Which device it is does not matter: look again. */
	while (w->monitor && (p[1].revents & POLLIN) &&
	       (d = udev_monitor_receive_device(w->monitor)))
		udev_device_unref(d);
	return p[0].revents & POLLIN;
}

int vduse_wait_disk(const struct vduse_sys *s, const struct vduse_plan *p, int cancel_fd,
		    unsigned int timeout_ms, struct transport_info *info, struct err *e)
{
	struct waiter w = { .s = s, .p = p, .info = info, .cancel_fd = cancel_fd };
	uint64_t start = clock_ns(), ms;
	int rc = 0;

	watch_udev(&w); /* before the first look, or the last event could be missed */
	while (!disk_ready(&w)) {
		ms = (clock_ns() - start) / 1000000;
		if (ms >= timeout_ms) {
			rc = explain(&w, timeout_ms, e);
			break;
		}
		if (!w.udev || ms >= LOAD_AFTER_MS)
			load_driver(&w);
		if (nap(&w)) {
			rc = err_set(e, -ECANCELED, "cancelled", "given up on request");
			break;
		}
	}
	if (w.monitor)
		udev_monitor_unref(w.monitor);
	if (w.udev)
		udev_unref(w.udev);
	return rc;
}
