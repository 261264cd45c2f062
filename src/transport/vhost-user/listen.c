/* SPDX-License-Identifier: MIT */
#include "transport/vhost-user/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "transport/vhost-user/creds.h"
#include "util/log.h"

/* Front ends that wait for their turn. */
#define BACKLOG 16

static int path_check(const char *path, struct sockaddr_un *sa, struct err *e)
{
	size_t n = strlen(path);

	if (n == 0)
		return err_set(e, -EINVAL, "socket-path-empty", "the socket path is empty");
	if (n > VU_PATH_MAX) {
		err_set(e, -ENAMETOOLONG, "socket-path-too-long",
			"socket path is %zu bytes; UNIX sockets allow %u", n, VU_PATH_MAX);
		return err_hint(e, "Try: a shorter one, as /tmp/disk.sock");
	}
	memcpy(sa->sun_path, path, n);
	return 0;
}

/*
 * Two servers that start at the same time must not remove each other's
 * socket: between looking and listening the folder is locked. A lock that
 * cannot be had only matters when something has to be removed.
 */
static int folder_lock(const char *path)
{
	char dir[VU_PATH_MAX + 1];
	const char *slash = strrchr(path, '/');
	int fd;

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int in_use(int fd, const char *path, struct err *e)
{
	char comm[32] = "";
	pid_t pid = 0;

	if (fd >= 0)
		vu_creds(fd, &pid, comm, sizeof(comm));
	if (pid)
		err_set(e, -EADDRINUSE, "socket-in-use", "%s is in use by pid %d (%s)", path,
			(int)pid, comm);
	else
		err_set(e, -EADDRINUSE, "socket-in-use", "%s is in use by another process", path);
	return err_hint(e, "Try: another path, or stop the other server first");
}

/* Something is at the path: 0 when it was a leftover and has been removed. */
static int clear_path(const struct sockaddr_un *sa, bool locked, struct err *e)
{
	const char *path = sa->sun_path;
	struct stat st;
	int fd, ret, err;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ?
			       0 :
			       err_sys(e, -errno, "socket-path", "cannot examine %s", path);
	if (!S_ISSOCK(st.st_mode)) {
		err_set(e, -EEXIST, "socket-path-taken", "%s exists and is not a socket", path);
		return err_hint(e, "Try: another path");
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, -errno, "socket", "cannot make a socket");
	ret = connect(fd, (const struct sockaddr *)sa, sizeof(*sa));
	err = errno;
	if (ret == 0 || err == EAGAIN || err == EPROTOTYPE) {
		/* It listens; EAGAIN: to more than it can take; EPROTOTYPE: in another way. */
		in_use(ret == 0 ? fd : -1, path, e);
		close(fd);
		return -EADDRINUSE;
	}
	close(fd);
	if (err == ENOENT)
		return 0; /* just gone */
	if (err != ECONNREFUSED)
		return err_sys(e, -err, "socket-path", "cannot see who uses %s", path);
	if (!locked) {
		err_set(e, -EBUSY, "socket-folder-busy",
			"%s is left over, but another process is setting up a socket in its folder",
			path);
		return err_hint(e, "Try: once more");
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, -errno, "socket-path", "cannot remove the leftover %s", path);
	log_notice("%s: left by a process that is gone; replaced", path);
	return 0;
}

/*
 * Nobody can connect before listen(). The file is made without permissions
 * and gets its own through a handle that no exchange of the name can divert.
 */
static int set_owner(struct vu_listen *l, mode_t mode, gid_t group, struct err *e)
{
	char self[64];
	struct stat st;
	int fd = open(l->path, O_PATH | O_NOFOLLOW | O_CLOEXEC), ret = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return err_set(e, -EIO, "socket-path", "%s vanished while it was made", l->path);
	}
	l->ours = true;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (group != (gid_t)-1 && fchownat(fd, "", (uid_t)-1, group, AT_EMPTY_PATH) < 0)
		ret = err_sys(e, -errno, "socket-group", "cannot give %s to group %u", l->path,
			      (unsigned int)group);
	else if (chmod(self, mode) < 0 && (errno != ENOENT || chmod(l->path, mode) < 0))
		ret = err_sys(e, -errno, "socket-mode", "cannot set mode %04o of %s",
			      (unsigned int)mode, l->path);
	close(fd);
	return ret;
}

int vu_listen_open(struct vu_listen *l, const char *path, mode_t mode, gid_t group, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int lock, ret;

	memset(l, 0, sizeof(*l));
	l->fd = -1;
	ret = path_check(path, &sa, e);
	if (ret < 0)
		return ret;
	memcpy(l->path, sa.sun_path, sizeof(l->path));
	lock = folder_lock(path);
	ret = clear_path(&sa, lock >= 0, e);
	if (ret < 0)
		goto out;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0) {
		ret = err_sys(e, -errno, "socket", "cannot make a socket");
		goto out;
	}
	fchmod(l->fd, 0); /* Linux: what bind() gives to the file */
	if (bind(l->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		ret = errno == EADDRINUSE ?
			      in_use(-1, path, e) :
			      err_sys(e, -errno, "socket-bind", "cannot make the socket %s", path);
		goto out;
	}
	ret = set_owner(l, (mode ? mode : 0600) & 0777, group, e);
	if (ret == 0 && listen(l->fd, BACKLOG) < 0)
		ret = err_sys(e, -errno, "socket-listen", "cannot listen on %s", path);
out:
	if (ret < 0)
		vu_listen_close(l);
	if (lock >= 0)
		close(lock);
	return ret;
}

int vu_listen_adopt(struct vu_listen *l, int fd, struct err *e)
{
	struct sockaddr_un sa;
	socklen_t len = sizeof(int);
	int domain = 0, type = 0, listening = 0, fl;

	memset(l, 0, sizeof(*l));
	l->fd = -1;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return err_sys(e, -errno, "bad-descriptor", "descriptor %d is no socket", fd);
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return err_set(e, -EINVAL, "bad-descriptor",
			       "descriptor %d is not a UNIX stream socket", fd);
	len = sizeof(sa);
	if (!listening && getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
		return err_sys(e, -errno, "bad-descriptor",
			       "descriptor %d neither listens nor is connected", fd);
	fl = fcntl(fd, F_GETFL);
	if (fl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, -errno, "bad-descriptor", "descriptor %d", fd);
	if (!listening)
		return 0;
	len = sizeof(sa);
	memset(&sa, 0, sizeof(sa));
	if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
		snprintf(l->path, sizeof(l->path), "%.*s", (int)sizeof(l->path) - 1, sa.sun_path);
	l->fd = fd;
	return 1;
}

int vu_listen_accept(struct vu_listen *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		return fd;
	return errno == EINTR || errno == ECONNABORTED ? -EAGAIN : -errno;
}

bool vu_listen_pending(const struct vu_listen *l)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };

	return l->fd >= 0 && poll(&p, 1, 0) > 0;
}

void vu_listen_close(struct vu_listen *l)
{
	struct stat st;

	/* The file first: nobody should find it and be refused. */
	if (l->ours && lstat(l->path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->path);
	l->ours = false;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}
