/* SPDX-License-Identifier: MIT */
/* What an image is and what it can do. All of this may block. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "storage/file.h"
#include "util/compiler.h"

/* A number from the block layer's directory of a device; 0 when there is none. */
static unsigned long long queue_attr(dev_t dev, const char *name)
{
	static const char *const dirs[] = { "queue", "../queue" }; /* a disk; a partition */
	unsigned long long v = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		char path[128];
		FILE *fp;
		int n;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(dev), minor(dev),
			 dirs[i], name);
		fp = fopen(path, "re");
		if (!fp)
			continue;
		n = fscanf(fp, "%llu", &v);
		fclose(fp);
		return n == 1 ? v : 0;
	}
	return 0;
}

static bool is_pow2(uint32_t v)
{
	return v && !(v & (v - 1));
}

static int probe_block(struct stor_caps *c, struct file *f, const char *path, dev_t dev,
		       struct err *e)
{
	unsigned int phys = 0, opt = 0;
	uint64_t size = 0;
	int lbs = 0;

	if (ioctl(f->fd, BLKGETSIZE64, &size) < 0 || ioctl(f->fd, BLKSSZGET, &lbs) < 0)
		return err_sys(e, -errno, "image-open", "cannot find out the size of %s", path);
	ioctl(f->fd, BLKPBSZGET, &phys);
	ioctl(f->fd, BLKIOOPT, &opt);
	c->size = size;
	c->block_size = (uint32_t)lbs;
	c->physical_size = phys;
	c->opt_io = opt;
	c->rotational = queue_attr(dev, "rotational") != 0;
	c->discard = queue_attr(dev, "discard_max_bytes") > 0;
	c->write_zeroes_unmap = c->discard && queue_attr(dev, "write_zeroes_max_bytes") > 0;
	f->dio_mem = f->dio_off = (uint32_t)MAX(lbs, 512);
	return 0;
}

static void probe_regular(struct stor_caps *c, struct file *f, const struct stat *st)
{
	uint32_t blk = st->st_blksize > 0 && st->st_blksize <= (1 << 30) ?
			       (uint32_t)st->st_blksize :
			       0;

	c->size = (uint64_t)st->st_size;
	c->rotational = queue_attr(st->st_dev, "rotational") != 0;
	/* The unit of the page cache and of nearly all file systems. */
	c->physical_size = is_pow2(blk) ? MIN(blk, 4096u) : 512;
	c->opt_io = blk > 4096 ? blk : 0;
	/*
	 * A hole past the end changes nothing, but a file system that cannot
	 * punch says so.
	 */
	if (!c->read_only)
		c->discard = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       (off_t)((c->size + 65535) & ~(uint64_t)65535), 4096) == 0;
	c->write_zeroes_unmap = c->discard;
	f->dio_mem = f->dio_off = 4096;
}

/* Direct I/O: the kernel knows its alignments since 6.1. */
static void probe_direct(struct stor_caps *c, struct file *f)
{
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (!statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) && sx.stx_mask & STATX_DIOALIGN &&
	    is_pow2(sx.stx_dio_mem_align) && is_pow2(sx.stx_dio_offset_align)) {
		f->dio_mem = sx.stx_dio_mem_align;
		f->dio_off = sx.stx_dio_offset_align;
	}
#endif
	c->block_size = MAX(c->block_size, f->dio_off);
}

/* NULL: let each worker choose. */
static int pick_engine(struct file *f, const char *path, const char *word, struct err *e)
{
	struct statfs fs;

	if (word && !strcmp(word, "threads")) {
		f->engine = &file_engine_threads;
	} else if (word && !strcmp(word, "inline")) {
		f->engine = &file_engine_inline;
	} else if (word && !strcmp(word, "uring")) {
#ifdef HAVE_LIBURING
		f->engine = &file_engine_uring;
#else
		err_set(e, -EOPNOTSUPP, "no-uring", "%s: this build cannot use io_uring", path);
		return err_hint(e, "Use the thread pool, or rebuild with liburing");
#endif
	} else if (word && strcmp(word, "auto")) {
		err_set(e, -EINVAL, "bad-engine", "%s: there is no I/O engine '%s'", path, word);
		return err_hint(e, "Engines are auto, uring and threads");
	} else if (!f->direct && !f->block && !fstatfs(f->fd, &fs) &&
		   (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)) {
		f->engine = &file_engine_inline;
	}
	return 0;
}

int file_probe(struct stor *s, struct file *f, const char *path, const struct stor_open_args *a,
	       struct err *e)
{
	struct stat st;
	int ret;

	if (fstat(f->fd, &st) < 0)
		return err_sys(e, -errno, "image-open", "cannot look at %s", path);
	f->block = S_ISBLK(st.st_mode);
	f->direct = a->direct;
	if (f->block) {
		ret = probe_block(&s->caps, f, path, st.st_rdev, e);
		if (ret < 0)
			return ret;
	} else {
		probe_regular(&s->caps, f, &st);
	}
	if (f->direct)
		probe_direct(&s->caps, f);
	s->caps.write_zeroes = true; /* there is always a way */
	atomic_init(&f->no_punch, !s->caps.write_zeroes_unmap);
	return pick_engine(f, path, a->engine, e);
}

int file_check_format(const struct file *f, const char *path, struct err *e)
{
	static const struct {
		const char *name, *magic;
		size_t off, len;
	} formats[] = {
		{ "qcow2", "QFI\xfb", 0, 4 },
		{ "VMDK", "KDMV", 0, 4 },
		{ "VMDK", "# Disk Desc", 0, 11 },
		{ "LUKS", "LUKS\xba\xbe", 0, 6 },
		{ "VHDX", "vhdxfile", 0, 8 },
		{ "VHD", "conectix", 0, 8 },
		{ "QED", "QED\0", 0, 4 },
		{ "VDI", "\x7f\x10\xda\xbe", 64, 4 },
		{ "Parallels", "WithoutFreeSpace", 0, 16 },
	};
	char head[512];
	ssize_t n;

	/* Through the page cache or not: an aligned buffer and length serve both. */
	void *buf = aligned_alloc(4096, 4096);

	if (!buf)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot open %s", path);
	n = pread(f->fd, buf, 4096, 0);
	memset(head, 0, sizeof(head));
	if (n > 0)
		memcpy(head, buf, MIN((size_t)n, sizeof(head)));
	free(buf);
	if (n < 0)
		return err_sys(e, -errno, "image-read", "cannot read %s", path);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (memcmp(head + formats[i].off, formats[i].magic, formats[i].len))
			continue;
		err_set(e, -EINVAL, "image-format-mismatch", "%s is a %s image, not a raw disk",
			path, formats[i].name);
		return err_hint(e,
				"Use raw:%s if you really mean the bytes, or make a raw disk of "
				"it with qemu-img convert -O raw",
				path);
	}
	return 0;
}
