/* SPDX-License-Identifier: MIT */
/* To the vDPA bus and back. Everything here runs on the helper thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/vduse/vduse-impl.h"
#include "util/log.h"

#define DRIVER "virtio_vdpa"

static int bus_write(const struct vduse_sys *s, const char *file, const char *text)
{
	char path[VDUSE_PATH_MAX];

	vduse_path(path, "%s/bus/vdpa/%s", s->sysfs, file);
	return vduse_write_text(path, text);
}

/*
 * Is our device on the bus? Below our own folder: another vDPA device, of
 * another maker, may have the name, and must not be taken for ours.
 */
static bool is_attached(const struct vduse_sys *s, const char *name)
{
	char path[VDUSE_PATH_MAX];

	vduse_path(path, "%s/class/vduse/%s/%s", s->sysfs, name, name);
	return vduse_exists(path);
}

static int bound_driver(const struct vduse_sys *s, const char *name, char *driver, size_t n)
{
	char path[VDUSE_PATH_MAX];

	vduse_path(path, "%s/bus/vdpa/devices/%s/driver", s->sysfs, name);
	return vduse_link_name(path, driver, n);
}

/*
 * Of two drivers on the bus the one loaded first has bound; automatic binding
 * may also be switched off. Ask for ours by name.
 */
static int choose_driver(const struct vduse_sys *s, const char *name, struct err *e)
{
	char path[VDUSE_PATH_MAX], driver[64] = "";
	int rc;

	if (bound_driver(s, name, driver, sizeof(driver)) == 0 && !strcmp(driver, DRIVER))
		return 0;
	log_info("%s: bound to '%s'; choosing " DRIVER, name, driver);
	vduse_path(path, "devices/%s/driver_override", name);
	rc = bus_write(s, path, DRIVER);
	if (rc == 0 && driver[0]) {
		vduse_path(path, "drivers/%s/unbind", driver);
		rc = bus_write(s, path, name);
	}
	if (rc == 0)
		rc = bus_write(s, "drivers_probe", name);
	if (rc < 0)
		return err_sys(e, rc, "vdpa-driver", "cannot bind '%s' to " DRIVER, name);
	if (bound_driver(s, name, driver, sizeof(driver)) < 0 || strcmp(driver, DRIVER) != 0) {
		err_set(e, -ENODEV, "vdpa-driver", "driver " DRIVER " did not take '%s'", name);
		return err_hint(e, "The kernel log (dmesg) says why");
	}
	return 0;
}

int vduse_attach(const struct vduse_sys *s, const struct vduse_plan *p, int cancel_fd,
		 struct transport_info *info, struct err *e)
{
	/* It is there when the wait for the disk was interrupted, and goes on now. */
	int rc = is_attached(s, p->name) ? 0 : s->vdpa_add(s, p->name, e);

	if (rc == 0)
		rc = choose_driver(s, p->name, e);
	/* The kernel reports success also when no driver could use the device. */
	return rc < 0 ? rc : vduse_wait_disk(s, p, cancel_fd, VDUSE_APPEAR_MS, info, e);
}

/* Requests that the disk's driver has given to us and not got back. */
static unsigned long requests_waiting(const struct vduse_sys *s, const char *disk)
{
	char path[VDUSE_PATH_MAX], line[64], *end;
	unsigned long n;

	vduse_path(path, "%s/class/block/%s/inflight", s->sysfs, disk);
	if (!disk[0] || vduse_read_line(path, line, sizeof(line)) <= 0)
		return 0;
	n = strtoul(line, &end, 10); /* reads, writes */
	return n + strtoul(end, NULL, 10);
}

int vduse_detach(const struct vduse_sys *s, const struct vduse_plan *p, bool ask, bool broken,
		 struct err *e)
{
	char dir[VDUSE_PATH_MAX], disk[64];
	int claim = -1, rc;

	if (!is_attached(s, p->name)) /* never was, or somebody else has done it */
		return 0;
	vduse_find_disk(s, p, dir, disk, sizeof(disk));
	if (broken && requests_waiting(s, disk)) {
		/* The kernel would wait for them for ever, holding the lock of the whole bus. */
		err_set(e, -EBUSY, "vduse-broken",
			"/dev/%s cannot be taken away: requests wait in it for ever, since the kernel "
			"has given up on device '%s'",
			disk, p->name);
		return err_hint(e, "Only a reboot ends them");
	}
	if (ask && disk[0]) {
		claim = vduse_claim(s, disk, e);
		if (claim == -EBUSY)
			return claim;
	}
	rc = s->vdpa_del(s, p->name, e);
	if (rc == -ENODEV)
		rc = 0;
	if (claim >= 0)
		close(claim);
	return rc;
}
