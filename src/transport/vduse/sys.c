/* SPDX-License-Identifier: MIT */
/* The real kernel behind struct vduse_sys, and small helpers for sysfs. */
#include "transport/vduse/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/compiler.h"

static int sys_open(const struct vduse_sys *s, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int sys_close(const struct vduse_sys *s, int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

static int sys_ioctl(const struct vduse_sys *s, int fd, unsigned long req, void *arg)
{
	int rc = ioctl(fd, req, arg);

	return rc < 0 ? -errno : rc;
}

static ssize_t sys_read(const struct vduse_sys *s, int fd, void *buf, size_t n)
{
	ssize_t rc;

	do {
		rc = read(fd, buf, n);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

static ssize_t sys_write(const struct vduse_sys *s, int fd, const void *buf, size_t n)
{
	ssize_t rc;

	do {
		rc = write(fd, buf, n);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

static int spawn_modprobe(char *const argv[])
{
	char *const envp[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	posix_spawn_file_actions_t fa;
	int rc, status;
	pid_t pid;

	rc = posix_spawn_file_actions_init(&fa);
	if (rc)
		return -rc;
	for (int fd = 0; fd < 3 && rc == 0; fd++)
		rc = posix_spawn_file_actions_addopen(&fa, fd, "/dev/null", O_RDWR, 0);
	if (rc == 0)
		rc = posix_spawn(&pid, "/sbin/modprobe", &fa, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	if (rc)
		return -rc;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno ==
		    ECHILD) /* the program ignores its children; look at the effect instead */
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ENOENT;
}

static int sys_modprobe(const struct vduse_sys *s, const char *module, bool dry_run)
{
	char *const look[] = { (char *)"modprobe", (char *)"-qn", (char *)"--", (char *)module,
			       NULL };
	char *const load[] = { (char *)"modprobe", (char *)"-qb", (char *)"--", (char *)module,
			       NULL };

	if (dry_run)
		return spawn_modprobe(look);
	if (geteuid() != 0)
		return -EPERM;
	return spawn_modprobe(load);
}

const struct vduse_sys vduse_sys_real = {
	.open = sys_open,
	.close = sys_close,
	.ioctl = sys_ioctl,
	.read = sys_read,
	.write = sys_write,
	.vdpa_add = vduse_netlink_add,
	.vdpa_del = vduse_netlink_del,
	.modprobe = sys_modprobe,
	.dev = "/dev",
	.sysfs = "/sys",
	.proc = "/proc",
	.run = "/run",
};

/* ---- small files ---- */

bool vduse_path(char *buf, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, VDUSE_PATH_MAX, fmt, ap);
	va_end(ap);
	if (n >= 0 && n < VDUSE_PATH_MAX)
		return true;
	buf[0] = '\0'; /* a path that exists nowhere */
	return false;
}

bool vduse_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int vduse_read_line(const char *path, char *buf, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, buf, n - 1);
	if (got < 0)
		got = -errno;
	close(fd);
	buf[got > 0 ? got : 0] = '\0';
	if (got < 0)
		return (int)got;
	buf[strcspn(buf, "\n")] = '\0';
	return (int)strlen(buf);
}

int vduse_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int vduse_link_name(const char *path, char *buf, size_t n)
{
	char to[VDUSE_PATH_MAX];
	ssize_t len = readlink(path, to, sizeof(to) - 1);
	const char *slash;

	if (len < 0)
		return -errno;
	to[len] = '\0';
	slash = strrchr(to, '/');
	if ((size_t)snprintf(buf, n, "%s", slash ? slash + 1 : to) >= n)
		return -ENAMETOOLONG;
	return 0;
}

int vduse_find_entry(const char *dir, const char *prefix, char *buf, size_t n)
{
	struct dirent *de;
	int rc = -ENOENT;
	DIR *d = opendir(dir);

	if (!d)
		return -errno;
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.' || strncmp(de->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if ((size_t)snprintf(buf, n, "%s", de->d_name) < n) {
			rc = 0;
			break;
		}
	}
	closedir(d);
	return rc;
}
