/* SPDX-License-Identifier: MIT */
/*
 * Everything this transport asks of the kernel, in one struct, so that tests
 * can put a scripted kernel in its place. Nothing here knows what it is for.
 */
#ifndef VDUSE_SYS_H
#define VDUSE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "util/err.h"

#define VDUSE_PATH_MAX 512

/**
 * struct vduse_sys - the kernel's face
 * @open, @close, @ioctl, @read, @write: as the system calls, but -errno
 * @vdpa_add:	helper thread; put VDUSE device @name on the vDPA bus. Blocks
 *		until the driver's questions about the device are answered
 * @vdpa_del:	helper thread; take it off. -ENODEV: it was not there
 * @modprobe:	helper thread; load a module (or only look for it: @dry_run).
 *		0, -ENOENT when there is no such module here, -EPERM, or another
 * @dev, @sysfs, @proc, @run: where those trees are mounted
 */
struct vduse_sys {
	int (*open)(const struct vduse_sys *s, const char *path, int flags);
	int (*close)(const struct vduse_sys *s, int fd);
	int (*ioctl)(const struct vduse_sys *s, int fd, unsigned long req, void *arg);
	ssize_t (*read)(const struct vduse_sys *s, int fd, void *buf, size_t n);
	ssize_t (*write)(const struct vduse_sys *s, int fd, const void *buf, size_t n);
	int (*vdpa_add)(const struct vduse_sys *s, const char *name, struct err *e);
	int (*vdpa_del)(const struct vduse_sys *s, const char *name, struct err *e);
	int (*modprobe)(const struct vduse_sys *s, const char *module, bool dry_run);
	const char *dev;
	const char *sysfs;
	const char *proc;
	const char *run;
};

extern const struct vduse_sys vduse_sys_real;

/* netlink.c */
int vduse_netlink_add(const struct vduse_sys *s, const char *name, struct err *e);
int vduse_netlink_del(const struct vduse_sys *s, const char *name, struct err *e);

/* ---- small files (sysfs, proc): plain system calls below the roots above ---- */

/* False when it does not fit into VDUSE_PATH_MAX. */
bool vduse_path(char *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool vduse_exists(const char *path);

/* The first line, without its newline. Bytes, or -errno. */
int vduse_read_line(const char *path, char *buf, size_t n);

/* 0 or -errno. */
int vduse_write_text(const char *path, const char *text);

/* Last component of what the symbolic link points to. 0 or -errno. */
int vduse_link_name(const char *path, char *buf, size_t n);

/* First directory entry of @dir that begins with @prefix ("": any). 0 or -errno. */
int vduse_find_entry(const char *dir, const char *prefix, char *buf, size_t n);

#endif
