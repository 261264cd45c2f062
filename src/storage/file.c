/* SPDX-License-Identifier: MIT */
/* Opening and closing raw files and block devices, their locks and channels. */
#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/backends.h"
#include "util/compiler.h"
#include "util/log.h"

#define POOL_THREADS 16

/* ---- opening ---- */

static int open_failed(const char *path, const struct stor_open_args *a, int code, struct err *e)
{
	switch (code) {
	case -ENOENT:
		err_sys(e, code, "image-missing", "cannot open %s", path);
		if (!strncmp(path, "/dev/", 5))
			return err_hint(e, "See what there is: lsblk");
		return err_hint(e, "Check the name, or make a disk: truncate -s 10G %s", path);
	case -EISDIR:
		return err_set(e, code, "image-type", "%s is a directory, not a disk image", path);
	case -EACCES:
	case -EPERM:
	case -EROFS:
		err_sys(e, code, "image-access", "cannot open %s for %s", path,
			a->read_only ? "reading" : "writing");
		if (a->read_only || access(path, R_OK) < 0)
			return err_hint(e, "Check owner and mode: ls -l %s", path);
		return err_hint(e, "It can be read: use --read-only if that is enough");
	case -EBUSY:
		err_set(e, code, "image-in-use",
			"%s is in use by this system: mounted, or a part of something else", path);
		return err_hint(e,
				"Unmount it first (lsblk %s shows what uses it), or use --read-only",
				path);
	case -EINVAL:
		if (!a->direct)
			break;
		err_set(e, code, "no-direct",
			"cannot open %s for direct I/O: its file system "
			"does not support that",
			path);
		return err_hint(e, "Leave out --direct, or move the image");
	}
	return err_sys(e, code, "image-open", "cannot open %s", path);
}

/* Only what has bytes at fixed places can be a disk. */
static int check_type(int fd, const char *path, struct err *e)
{
	const char *what = "something else";
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "image-open", "cannot look at %s", path);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		return 0;
	case S_IFDIR:
		what = "a directory";
		break;
	case S_IFIFO:
		what = "a pipe";
		break;
	case S_IFCHR:
		what = "a character device";
		break;
	}
	err_set(e, -EINVAL, "image-type", "%s is %s, not a disk image", path, what);
	return err_hint(e, "A disk is a regular file or a block device");
}

static int open_image(const char *path, const struct stor_open_args *a, struct err *e)
{
	/* Not blocking and no terminal, or a pipe or tty would hold us before we can refuse it. */
	int flags = (a->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;
	int fd, ret;

	/* The kernel then refuses what is mounted, and nobody can mount it under us. */
	if (!a->read_only && stat(path, &st) == 0 && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	fd = open(path, flags | (a->direct ? O_DIRECT : 0));
	if (fd < 0)
		return open_failed(path, a, -errno, e);
	ret = check_type(fd, path, e);
	if (!ret && fcntl(fd, F_SETFL, a->direct ? O_DIRECT : 0) < 0)
		ret = err_sys(e, -errno, "image-open", "cannot open %s", path);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

/* ---- the lock: one writer, or any number of readers ---- */

static int lock_conflict(int fd, const char *path, bool read_only, struct err *e)
{
	struct flock lk = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	bool readers;

	/* Who holds it: an open-file lock does not say, but it says how. */
	readers = fcntl(fd, F_OFD_GETLK, &lk) == 0 && lk.l_type == F_RDLCK;
	if (!read_only && readers) {
		err_set(e, -EBUSY, "image-in-use",
			"%s is already in use by another process, which reads it", path);
		return err_hint(e, "Use --read-only too, or stop the other one (fuser -v %s)",
				path);
	}
	err_set(e, -EBUSY, "image-in-use",
		"%s is already in use by another process, which may write to it", path);
	return err_hint(e, "Stop the other one (fuser -v %s), or use --read-only on both sides",
			path);
}

/* Belongs to the open file, not to the process: it works within one process too. */
static int lock_image(int fd, const char *path, bool read_only, struct err *e)
{
	struct flock lk = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	while (fcntl(fd, F_OFD_SETLK, &lk) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == EACCES)
			return lock_conflict(fd, path, read_only, e);
		/* Some network file systems have no locks. */
		log_warning("%s cannot be locked (%s): nothing keeps others from writing to it",
			    path, strerror(errno));
		break;
	}
	return 0;
}

/* At once, though a ring may keep the file open a moment longer. */
static void unlock_image(int fd)
{
	struct flock lk = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	fcntl(fd, F_OFD_SETLK, &lk);
}

static int do_open(struct stor *s, const char *path, const struct stor_open_args *a, bool probe,
		   struct err *e)
{
	struct file *f = calloc(1, sizeof(*f));
	int ret;

	if (!f)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot open %s", path);
	f->fd = ret = open_image(path, a, e);
	if (ret < 0)
		goto fail;
	ret = a->no_lock ? 0 : lock_image(f->fd, path, a->read_only, e);
	if (!ret)
		ret = file_probe(s, f, path, a, e);
	if (!ret && probe)
		ret = file_check_format(f, path, e);
	if (ret < 0) {
		unlock_image(f->fd);
		close(f->fd);
		goto fail;
	}
	pthread_mutex_init(&f->lock, NULL);
	s->priv = f;
	s->req_size = sizeof(struct file_req);
	return 0;
fail:
	free(f);
	return ret;
}

static int file_open(struct stor *s, const char *arg, const struct stor_open_args *a, struct err *e)
{
	return do_open(s, arg, a, true, e);
}

static int raw_open(struct stor *s, const char *arg, const struct stor_open_args *a, struct err *e)
{
	return do_open(s, arg, a, false, e);
}

static void file_close(struct stor *s)
{
	struct file *f = s->priv;

	tpool_free(f->pool);
	unlock_image(f->fd);
	close(f->fd);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- channels ---- */

struct tpool *file_pool(struct file *f)
{
	int err;

	pthread_mutex_lock(&f->lock);
	if (!f->pool)
		f->pool = tpool_new("file-io", POOL_THREADS);
	err = errno;
	pthread_mutex_unlock(&f->lock);
	errno = err;
	return f->pool;
}

static const struct file_engine *choose_engine(struct file *f, struct worker *w)
{
	if (f->engine)
		return f->engine;
#ifdef HAVE_LIBURING
	if (worker_has_uring(w))
		return &file_engine_uring;
#else
	(void)w;
#endif
	return &file_engine_threads;
}

static struct stor_chan *file_chan_open(struct stor *s, struct worker *w)
{
	struct file *f = s->priv;
	struct file_chan *c = calloc(1, sizeof(*c));
	int ret = -ENOMEM;

	if (!c)
		return NULL;
	c->c = (struct stor_chan){ .ops = s->ops, .stor = s, .worker = w };
	c->f = f;
	c->fixed = -1;
	c->engine = choose_engine(f, w);
	if (f->direct) {
		c->bounce = aligned_alloc(MAX(f->dio_mem, 4096u), FILE_BOUNCE);
		if (!c->bounce)
			goto fail;
	}
	if (f->block && s->caps.discard && !file_pool(f)) {
		ret = -errno;
		goto fail;
	}
	ret = c->engine->chan_open ? c->engine->chan_open(c) : 0;
	if (ret < 0)
		goto fail;
	return &c->c;
fail:
	free(c->bounce);
	free(c);
	errno = -ret;
	return NULL;
}

static void file_chan_close(struct stor_chan *chan)
{
	struct file_chan *c = container_of(chan, struct file_chan, c);

	if (c->engine->chan_close)
		c->engine->chan_close(c);
	free(c->bounce);
	free(c);
}

const struct stor_ops stor_file = {
	.scheme = "file",
	.help = "PATH       a raw disk image or a block device",
	.open = file_open,
	.close = file_close,
	.chan_open = file_chan_open,
	.chan_close = file_chan_close,
	.submit = file_submit,
};

const struct stor_ops stor_raw = {
	.scheme = "raw",
	.help = "raw:PATH   the same, whatever its contents look like",
	.open = raw_open,
	.close = file_close,
	.chan_open = file_chan_open,
	.chan_close = file_chan_close,
	.submit = file_submit,
};
