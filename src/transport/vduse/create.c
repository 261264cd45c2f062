/* SPDX-License-Identifier: MIT */
#include "transport/vduse/create.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/compiler.h"
#include "util/log.h"
#include "wire/vduse.h"

/* After modprobe the node may take a moment where a daemon makes it. */
#define NODE_TRIES   40
#define NODE_WAIT_NS 50000000

int vduse_check_name(const char *name, struct err *e)
{
	size_t n = name ? strlen(name) : 0;
	size_t ok;

	if (n == 0)
		return err_set(e, -EINVAL, "vduse-name", "a disk on the host needs a name");
	if (n > VDUSE_NAME_LEN)
		return err_set(e, -EINVAL, "vduse-name",
			       "name '%.40s...' has %zu characters; at most %d are possible", name,
			       n, VDUSE_NAME_LEN);
	ok = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
	if (ok != n || name[0] == '.' || name[0] == '-')
		return err_set(e, -EINVAL, "vduse-name",
			       "name '%s' is not made of letters, digits, '.', '_' and '-' only, "
			       "beginning with a letter, a digit or '_'",
			       name);
	if (!strcmp(name, "control")) /* /dev/vduse/control is taken */
		return err_set(e, -EINVAL, "vduse-name", "name 'control' is the kernel's own");
	return 0;
}

/* ---- modules ---- */

static bool wait_for(const char *path)
{
	struct timespec nap = { .tv_nsec = NODE_WAIT_NS };

	for (int i = 0; i < NODE_TRIES; i++) {
		if (vduse_exists(path))
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

static int need_module(const struct vduse_sys *s, const char *path, const char *module,
		       const char *id, struct err *e)
{
	int rc;

	if (vduse_exists(path))
		return 0;
	rc = s->modprobe(s, module, false);
	if (rc == 0 && wait_for(path))
		return 0;
	if (s->modprobe(s, module, true) == 0) {
		err_set(e, -EOPNOTSUPP, id, "module '%s' exists but is not loaded (%s is missing)",
			module, path);
		return err_hint(e, "Try: sudo modprobe -a vduse virtio_vdpa\n"
				   "At every boot: name both in a file below /etc/modules-load.d");
	}
	err_set(e, -EOPNOTSUPP, "vduse-kernel-missing",
		"this kernel was built without it: there is no module '%s'", module);
	return err_hint(e, "Use a kernel with CONFIG_VDPA_USER and CONFIG_VIRTIO_VDPA, "
			   "for example Debian's linux-image-6.12-amd64");
}

int vduse_ensure_modules(const struct vduse_sys *s, struct err *e)
{
	char path[VDUSE_PATH_MAX];
	int rc;

	vduse_path(path, "%s/vduse/control", s->dev);
	rc = need_module(s, path, "vduse", "vduse-module-missing", e);
	if (rc < 0)
		return err_prefix(e, "the kernel has no VDUSE");
	vduse_path(path, "%s/bus/vdpa/drivers/virtio_vdpa", s->sysfs);
	rc = need_module(s, path, "virtio_vdpa", "virtio-vdpa-missing", e);
	if (rc < 0)
		return err_prefix(e, "the kernel cannot make a disk of a vDPA device");
	return 0;
}

/* ---- the control node ---- */

static int control_open(const struct vduse_sys *s, struct err *e)
{
	uint64_t version = VDU_API_VERSION;
	char path[VDUSE_PATH_MAX];
	int fd, rc;

	vduse_path(path, "%s/vduse/control", s->dev);
	fd = s->open(s, path, O_RDWR);
	if (fd == -EACCES || fd == -EPERM) {
		err_set(e, fd, "vduse-permission",
			"cannot open %s: permission denied (you are uid %u)", path,
			(unsigned int)geteuid());
		return err_hint(e, "Try: run it as root (sudo)");
	}
	if (fd == -ENOENT || fd == -ENXIO || fd == -ENODEV) {
		err_set(e, fd, "vduse-module-missing", "the kernel has no VDUSE (%s is missing)",
			path);
		return err_hint(e, "Try: sudo modprobe -a vduse virtio_vdpa");
	}
	if (fd < 0)
		return err_sys(e, fd, "vduse-control", "cannot open %s", path);
	rc = s->ioctl(s, fd, VDU_SET_API_VERSION, &version);
	if (rc < 0) {
		s->close(s, fd);
		return err_sys(e, rc, "vduse-version",
			       "the kernel's VDUSE does not speak version %u", VDU_API_VERSION);
	}
	return fd;
}

static int destroy_at(const struct vduse_sys *s, int control, const char *name)
{
	char arg[VDU_NAME_MAX] = "";

	memcpy(arg, name, strnlen(name, sizeof(arg) - 1));
	return s->ioctl(s, control, VDU_DESTROY_DEV, arg);
}

static int create_at(const struct vduse_sys *s, int control, const struct vduse_plan *p)
{
	struct vdu_dev_config *c;
	int rc;

	if (p->config_size > sizeof(p->config))
		return -EINVAL;
	c = calloc(1, sizeof(*c) + p->config_size);
	if (!c)
		return -ENOMEM;
	memcpy(c->name, p->name, sizeof(p->name));
	c->device_id = p->virtio_id;
	c->features = p->features;
	c->vq_num = p->nqueues;
	c->vq_align = (uint32_t)sysconf(_SC_PAGESIZE);
	c->config_size = p->config_size;
	memcpy(c->config, p->config, p->config_size);
	rc = s->ioctl(s, control, VDU_CREATE_DEV, c);
	free(c);
	return rc;
}

/* ---- a name that is taken ---- */

static bool on_bus(const struct vduse_sys *s, const char *name)
{
	char path[VDUSE_PATH_MAX];

	return vduse_path(path, "%s/bus/vdpa/devices/%s", s->sysfs, name) && vduse_exists(path);
}

/*
 * Only what nobody can have requests in is taken away: not on the bus, and
 * not open. The kernel checks both again (EBUSY) while it destroys.
 */
static int retake(const struct vduse_sys *s, int control, const char *name, struct err *e)
{
	char path[VDUSE_PATH_MAX];
	int fd, rc = -EBUSY;

	if (!on_bus(s, name)) {
		rc = destroy_at(s, control, name);
		if (rc == 0) {
			log_notice("%s: left by a process that is gone, and not attached; replaced",
				   name);
			return 0;
		}
	}
	vduse_path(path, "%s/vduse/%s", s->dev, name);
	fd = s->open(s, path, O_RDWR | O_NONBLOCK);
	if (fd >= 0) {
		s->close(s, fd);
		err_set(e, -EEXIST, "vduse-name-exists",
			"VDUSE device '%s' was left by a process that is gone; its disk is still there "
			"and may have requests waiting",
			name);
		return err_hint(e,
				"Try: another name, or unmount the disk and give it up with\n"
				"'sudo vdpa dev del %s' (which hangs while requests wait)",
				name);
	}
	err_set(e, -EEXIST, "vduse-name-exists", "VDUSE device '%s' is served by another process",
		name);
	return err_hint(e, "Try: another name");
}

static int explain_create(const struct vduse_plan *p, int rc, struct err *e)
{
	switch (rc) {
	case -EINVAL:
		err_set(e, rc, "vduse-create",
			"this kernel's VDUSE does not take a device of virtio type %u with features "
			"0x%" PRIx64,
			p->virtio_id, p->features);
		return err_hint(e, "Block devices need Linux 5.15, network devices 6.10");
	case -EPERM:
		err_set(e, rc, "vduse-permission",
			"making a device of virtio type %u needs CAP_NET_ADMIN", p->virtio_id);
		return err_hint(e, "Try: run it as root (sudo)");
	default:
		return err_sys(e, rc, "vduse-create", "cannot create VDUSE device '%s'", p->name);
	}
}

static int setup_queues(const struct vduse_sys *s, const struct vduse_plan *p, int fd,
			struct err *e)
{
	for (uint32_t i = 0; i < p->nqueues; i++) {
		struct vdu_vq_config q = { .index = i, .max_size = (uint16_t)p->max_size };
		int rc = s->ioctl(s, fd, VDU_VQ_SETUP, &q);

		if (rc < 0)
			return err_sys(e, rc, "vduse-create", "cannot set up queue %u of '%s'", i,
				       p->name);
	}
	return 0;
}

/* What was left by a process that is gone may be replaced, once. */
static int make(const struct vduse_sys *s, const struct vduse_plan *p, int control, struct err *e)
{
	int rc = create_at(s, control, p);

	if (rc == -EEXIST) {
		rc = retake(s, control, p->name, e);
		if (rc < 0)
			return rc;
		rc = create_at(s, control, p);
	}
	return rc < 0 ? explain_create(p, rc, e) : 0;
}

int vduse_create(const struct vduse_sys *s, const struct vduse_plan *p, struct err *e)
{
	char path[VDUSE_PATH_MAX];
	int control, fd, rc;

	control = control_open(s, e);
	if (control < 0)
		return control;
	rc = make(s, p, control, e);
	if (rc < 0) {
		s->close(s, control);
		return rc;
	}
	/*
	 * Non-blocking: a message can be withdrawn between poll and read, and a
	 * read that waits for the next one would stop the whole control loop.
	 */
	vduse_path(path, "%s/vduse/%s", s->dev, p->name);
	fd = s->open(s, path, O_RDWR | O_NONBLOCK);
	if (fd < 0) {
		rc = err_sys(e, fd, fd == -EACCES ? "vduse-permission" : "vduse-open",
			     "created VDUSE device '%s' but cannot open %s", p->name, path);
	} else {
		rc = setup_queues(s, p, fd, e);
		if (rc < 0)
			s->close(s, fd);
	}
	if (rc < 0 && destroy_at(s, control, p->name) < 0)
		log_err("%s: the VDUSE device could not be destroyed", p->name);
	s->close(s, control);
	return rc < 0 ? rc : fd;
}

int vduse_destroy(const struct vduse_sys *s, const char *name, struct err *e)
{
	int control = control_open(s, e);
	int rc;

	if (control < 0)
		return control;
	rc = destroy_at(s, control, name);
	s->close(s, control);
	if (rc == -EINVAL) /* no such device: gone already */
		return 0;
	if (rc < 0)
		return err_sys(e, rc, "vduse-destroy", "cannot destroy VDUSE device '%s'", name);
	return 0;
}
