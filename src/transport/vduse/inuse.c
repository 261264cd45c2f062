/* SPDX-License-Identifier: MIT */
/*
 * Is the disk in use? The kernel takes a vDPA device away from under a
 * mounted file system without a word, so we ask first. Helper thread: the
 * disk is our own, opening it may read it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "transport/vduse/vduse-impl.h"
#include "util/compiler.h"

#define MAX_PARTS 260 /* the disk and what the kernel makes of a partition table at most */

/**
 * struct part - the disk or one of its partitions
 */
struct part {
	char name[64];
	dev_t dev;
};

struct parts {
	unsigned int n;
	struct part p[MAX_PARTS];
};

static bool add_part(const struct vduse_sys *s, struct parts *all, const char *name)
{
	struct part *p = &all->p[all->n];
	char path[VDUSE_PATH_MAX], line[32];
	unsigned int major, minor;

	if (all->n == MAX_PARTS || strlen(name) >= sizeof(p->name))
		return false;
	vduse_path(path, "%s/class/block/%s/dev", s->sysfs, name);
	if (vduse_read_line(path, line, sizeof(line)) <= 0 ||
	    sscanf(line, "%u:%u", &major, &minor) != 2)
		return false;
	strcpy(p->name, name);
	p->dev = makedev(major, minor);
	all->n++;
	return true;
}

static void list_parts(const struct vduse_sys *s, const char *disk, struct parts *all)
{
	char path[VDUSE_PATH_MAX];
	struct dirent *de;
	DIR *d;

	all->n = 0;
	add_part(s, all, disk);
	vduse_path(path, "%s/class/block/%s", s->sysfs, disk);
	d = opendir(path);
	while (d && (de = readdir(d)))
		if (!strncmp(de->d_name, disk, strlen(disk)))
			add_part(s, all, de->d_name);
	if (d)
		closedir(d);
}

static const struct part *part_of_dev(const struct parts *all, dev_t dev)
{
	for (unsigned int i = 0; i < all->n; i++)
		if (all->p[i].dev == dev)
			return &all->p[i];
	return NULL;
}

static const struct part *part_of_path(const struct vduse_sys *s, const struct parts *all,
				       const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
		return NULL;
	return part_of_dev(all, st.st_rdev);
}

/* proc(5): blanks, tabs, newlines and backslashes stand as \NNN, octal. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)(((s[1] - '0') << 6) | ((s[2] - '0') << 3) | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* Some file systems (btrfs) have device numbers of their own: look at the source too. */
static const struct part *mount_line(const struct vduse_sys *s, const struct parts *all, char *line,
				     char *where, size_t n)
{
	char *save, *word = strtok_r(line, " ", &save), *on = NULL;
	const struct part *p = NULL;
	unsigned int major, minor;

	for (int i = 1; word && strcmp(word, "-") != 0; i++) {
		if (i == 3 && sscanf(word, "%u:%u", &major, &minor) == 2)
			p = part_of_dev(all, makedev(major, minor));
		if (i == 5)
			on = word;
		word = strtok_r(NULL, " ", &save);
	}
	if (!word || !on)
		return NULL;
	strtok_r(NULL, " ", &save); /* type */
	word = strtok_r(NULL, " ", &save);
	if (!p && word) {
		unescape(word);
		p = part_of_path(s, all, word);
	}
	if (p) {
		unescape(on);
		snprintf(where, n, "%s", on);
	}
	return p;
}

static int check_mounts(const struct vduse_sys *s, const struct parts *all, const char *disk,
			struct err *e)
{
	char path[VDUSE_PATH_MAX], where[256], *line = NULL;
	const struct part *p = NULL;
	size_t cap = 0;
	FILE *f;

	vduse_path(path, "%s/self/mountinfo", s->proc);
	f = fopen(path, "re");
	while (f && !p && getline(&line, &cap, f) > 0)
		p = mount_line(s, all, line, where, sizeof(where));
	free(line);
	if (f)
		fclose(f);
	if (!p)
		return 0;
	err_set(e, -EBUSY, "disk-in-use", "/dev/%s is mounted on %s", p->name, where);
	return err_hint(e, "Try: umount %s", where);
}

static int check_holders(const struct vduse_sys *s, const struct parts *all, struct err *e)
{
	for (unsigned int i = 0; i < all->n; i++) {
		char path[VDUSE_PATH_MAX], holder[64], file[VDUSE_PATH_MAX], name[64];

		vduse_path(path, "%s/class/block/%s/holders", s->sysfs, all->p[i].name);
		if (vduse_find_entry(path, "", holder, sizeof(holder)) < 0)
			continue;
		/* Device mapper devices have a name that people know. */
		vduse_path(file, "%s/class/block/%s/dm/name", s->sysfs, holder);
		if (vduse_read_line(file, name, sizeof(name)) <= 0)
			snprintf(name, sizeof(name), "%s", holder);
		err_set(e, -EBUSY, "disk-in-use", "/dev/%s is part of /dev/%s (%s)", all->p[i].name,
			holder, name);
		return err_hint(e, "Take that apart first; 'lsblk /dev/%s' shows it",
				all->p[i].name);
	}
	return 0;
}

static int check_swaps(const struct vduse_sys *s, const struct parts *all, struct err *e)
{
	char path[VDUSE_PATH_MAX], *line = NULL, *save;
	const struct part *p = NULL;
	size_t cap = 0;
	FILE *f;

	vduse_path(path, "%s/swaps", s->proc);
	f = fopen(path, "re");
	while (f && !p && getline(&line, &cap, f) > 0) {
		char *word = strtok_r(line, " \t", &save);

		if (word && word[0] == '/') {
			unescape(word);
			p = part_of_path(s, all, word);
		}
	}
	free(line);
	if (f)
		fclose(f);
	if (!p)
		return 0;
	err_set(e, -EBUSY, "disk-in-use", "/dev/%s is used as swap space", p->name);
	return err_hint(e, "Try: swapoff /dev/%s", p->name);
}

int vduse_claim(const struct vduse_sys *s, const char *disk, struct err *e)
{
	char path[VDUSE_PATH_MAX];
	struct parts *all = malloc(sizeof(*all));
	int fd, rc;

	if (!all) {
		err_sys(e, -ENOMEM, "out-of-memory", "cannot find out whether /dev/%s is in use",
			disk);
		return -EBUSY;
	}
	list_parts(s, disk, all);
	rc = check_mounts(s, all, disk, e);
	if (rc == 0)
		rc = check_holders(s, all, e);
	if (rc == 0)
		rc = check_swaps(s, all, e);
	free(all);
	if (rc < 0)
		return rc;
	/*
	 * Whatever claims a disk claims it exclusively, also in mount namespaces
	 * that we do not see. While we have the claim nobody can begin to use it.
	 */
	vduse_path(path, "%s/%s", s->dev, disk);
	fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == EBUSY) {
		err_set(e, -EBUSY, "disk-in-use",
			"%s is in use: mounted in another mount namespace, or opened exclusively",
			path);
		return err_hint(e, "Try: lsblk %s, and fuser -v %s", path, path);
	}
	if (fd < 0)
		return -1;
	/* Those who have it open without a claim keep at least what they have written. */
	if (fsync(fd) < 0) {
		rc = -errno;
		close(fd);
		err_sys(e, -EBUSY, "disk-in-use", "%s holds data that cannot be written (%s)", path,
			strerror(-rc));
		return -EBUSY;
	}
	return fd;
}
