/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../lib/stor-conformance.h"
#include "storage/stor.h"
#include "util/compiler.h"

#define MIB (1u << 20)

/*
 * A directory of our own, on a disk and (where there is one) on tmpfs; a
 * worker with io_uring, if this build and kernel have it, and one without.
 */
struct fixture {
	char disk[64], ram[64];
	struct worker *uring, *plain;
};

static struct fixture fx;

static int setup(void **state)
{
	struct worker_cfg cfg = { .name = "test", .cpu = -1 };
	const char *tmp = getenv("TMPDIR");
	struct statfs fs;

	(void)state;
	snprintf(fx.disk, sizeof(fx.disk), "%.40s/stor-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(fx.disk))
		return -1;
	snprintf(fx.ram, sizeof(fx.ram), "/dev/shm/stor-XXXXXX");
	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != 0x01021994 || !mkdtemp(fx.ram))
		fx.ram[0] = '\0';
	fx.uring = worker_new(&cfg);
	cfg.no_uring = true;
	fx.plain = worker_new(&cfg);
	if (fx.uring && !worker_has_uring(fx.uring))
		print_message("no io_uring here: its tests run on the thread pool\n");
	return fx.uring && fx.plain ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	worker_free(fx.uring);
	worker_free(fx.plain);
	rmdir(fx.disk);
	if (fx.ram[0])
		rmdir(fx.ram);
	return 0;
}

static const char *in(const char *dir, const char *name)
{
	static char path[4][128];
	static unsigned int n;
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static const char *make(const char *dir, const char *name, off_t size)
{
	const char *path = in(dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
	return path;
}

static struct stor *must_open(const char *source, const struct stor_open_args *a)
{
	struct err e = { 0 };
	struct stor *s = stor_open(source, a, &e);

	if (!s)
		fail_msg("%s: %s", source, e.what);
	return s;
}

static void expect(const char *source, const struct stor_open_args *a, int code, const char *id,
		   const char *what, const char *hint)
{
	struct err e = { 0 };

	assert_null(stor_open(source, a, &e));
	if (e.code != code || strcmp(e.id, id) || !strstr(e.what, what) || !strstr(e.hint, hint))
		fail_msg("%d %s '%s' '%s'", e.code, e.id, e.what, e.hint);
}

/* ---- conformance: every engine, worker and place ---- */

static void file_conforms(const char *dir, const char *engine, struct worker *w, bool direct)
{
	const struct stor_open_args a = { .engine = engine, .direct = direct };
	const char *path = make(dir, "disk.img", 3 * MIB);
	struct err e = { 0 };
	struct stor *s = stor_open(path, &a, &e);

	if (!s && direct && !strcmp(e.id, "no-direct")) {
		print_message("%s\n", e.what);
		unlink(path);
		skip();
	}
	if (!s)
		fail_msg("%s", e.what);
	stor_conformance(s, w, false);
	stor_close(s);
	unlink(path);
}

static void io_uring_conforms(void **state)
{
	(void)state;
	if (!worker_has_uring(fx.uring))
		skip();
	file_conforms(fx.disk, "uring", fx.uring, false);
}

static void thread_pool_conforms(void **state)
{
	(void)state;
	file_conforms(fx.disk, "threads", fx.uring, false);
	file_conforms(fx.disk, "threads", fx.plain, false);
}

static void automatic_choice_conforms_on_any_worker(void **state)
{
	(void)state;
	file_conforms(fx.disk, "auto", fx.uring, false);
	file_conforms(fx.disk, NULL, fx.plain, false);
}

static void memory_file_system_conforms_with_every_engine(void **state)
{
	(void)state;
	if (!fx.ram[0])
		skip();
	file_conforms(fx.ram, "auto", fx.uring, false);
	file_conforms(fx.ram, "threads", fx.plain, false);
	if (worker_has_uring(fx.uring))
		file_conforms(fx.ram, "uring", fx.uring, false);
}

/* The suite cuts buffers anywhere, so nearly all of this goes through the bounce buffer. */
static void direct_io_conforms_with_buffers_at_any_address(void **state)
{
	(void)state;
	file_conforms(fx.disk, "auto", fx.uring, true);
	file_conforms(fx.disk, "threads", fx.plain, true);
}

static void direct_io_takes_aligned_buffers_and_refuses_half_blocks(void **state)
{
	const struct stor_open_args a = { .direct = true, .block_size = 4096 };
	const char *path = make(fx.disk, "direct.img", 4 * MIB);
	char *buf = aligned_alloc(4096, 2 * MIB), *back = aligned_alloc(4096, 2 * MIB);
	struct err e = { 0 };
	struct stor *s = stor_open(path, &a, &e);
	struct stor_io io;

	(void)state;
	if (!s) {
		assert_string_equal(e.id, "no-direct");
		unlink(path);
		skip();
	}
	memset(buf, 0x77, 2 * MIB);
	assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
	assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, MIB, buf, 2 * MIB), 0);
	assert_int_equal(stor_io_one(&io, STOR_READ, 0, MIB, back, 2 * MIB), 0);
	assert_memory_equal(buf, back, 2 * MIB);
	/* Longer than the bounce buffer, at an odd address. */
	assert_int_equal(stor_io_one(&io, STOR_READ, 0, MIB, back + 1, MIB), 0);
	assert_memory_equal(buf, back + 1, MIB);
	assert_int_equal(stor_io_one(&io, STOR_READ, 0, 100, back, 100), -EINVAL);
	stor_io_close(&io);
	stor_close(s);
	unlink(path);
	free(buf);
	free(back);
}

/* ---- block devices ---- */

static int loop_attach(const char *path, char *dev, size_t size)
{
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC), n, fd, file;

	if (ctl < 0)
		return -1;
	n = ioctl(ctl, LOOP_CTL_GET_FREE);
	close(ctl);
	snprintf(dev, size, "/dev/loop%d", n);
	fd = n < 0 ? -1 : open(dev, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	file = open(path, O_RDWR | O_CLOEXEC);
	if (ioctl(fd, LOOP_SET_FD, file) < 0) {
		close(fd);
		fd = -1;
	}
	close(file);
	return fd;
}

static void block_device_conforms(void **state)
{
	const char *path = make(fx.disk, "loop.img", 4 * MIB);
	const struct stor_open_args t = { .engine = "threads" };
	char dev[32];
	struct stor *s;
	int fd = loop_attach(path, dev, sizeof(dev)), excl;

	(void)state;
	if (fd < 0) {
		print_message("needs root and a loop device\n");
		unlink(path);
		skip();
	}
	s = must_open(dev, NULL);
	assert_int_equal(s->caps.size, 4 * MIB);
	assert_true(s->caps.discard);
	stor_conformance(s, fx.uring, false);
	stor_close(s);
	s = must_open(dev, &t);
	stor_conformance(s, fx.plain, false);
	stor_close(s);

	/* What the system itself uses is not ours to write to. */
	excl = open(dev, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(excl >= 0);
	expect(dev, NULL, -EBUSY, "image-in-use", "in use by this system", "lsblk");
	stor_close(must_open(dev, &(struct stor_open_args){ .read_only = true }));
	close(excl);
	ioctl(fd, LOOP_CLR_FD);
	close(fd);
	unlink(path);
}

/* ---- space ---- */

static long blocks(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long)st.st_blocks * 512;
}

static void discard_and_unmapped_zeroes_free_space_and_plain_zeroes_keep_it(void **state)
{
	const char *path = make(fx.disk, "space.img", 4 * MIB);
	struct stor *s = must_open(path, NULL);
	char *buf = malloc(4 * MIB);
	struct stor_io io;
	long full;

	(void)state;
	if (!s->caps.discard) {
		print_message("no holes on this file system\n");
		stor_close(s);
		unlink(path);
		free(buf);
		skip();
	}
	memset(buf, 0x11, 4 * MIB);
	assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
	assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 0, buf, 4 * MIB), 0);
	assert_int_equal(stor_io_one(&io, STOR_FLUSH, 0, 0, NULL, 0), 0);
	full = blocks(path);
	assert_true(full >= 4 * MIB);

	assert_int_equal(stor_io_one(&io, STOR_WRITE_ZEROES, 0, 0, NULL, MIB), 0);
	assert_int_equal(stor_io_one(&io, STOR_FLUSH, 0, 0, NULL, 0), 0);
	assert_true(blocks(path) >= 4 * MIB);
	assert_int_equal(stor_io_one(&io, STOR_WRITE_ZEROES, STOR_MAY_UNMAP, MIB, NULL, MIB), 0);
	assert_true(blocks(path) <= full - (long)(MIB / 2));
	full = blocks(path);
	assert_int_equal(stor_io_one(&io, STOR_DISCARD, 0, 2 * MIB, NULL, MIB), 0);
	assert_true(blocks(path) <= full - (long)(MIB / 2));

	assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, buf, 4 * MIB), 0);
	for (size_t i = 0; i < 4 * MIB; i++) {
		if (buf[i] != (i < 2 * MIB || (i >= 2 * MIB && i < 3 * MIB) ? 0 : 0x11))
			fail_msg("byte %zu is 0x%02x", i, buf[i]);
	}
	stor_io_close(&io);
	stor_close(s);
	unlink(path);
	free(buf);
}

static void opening_changes_neither_size_nor_space_of_an_image(void **state)
{
	const char *path = make(fx.disk, "same.img", 512 * 1001);
	struct stat before, after;

	(void)state;
	assert_int_equal(stat(path, &before), 0);
	stor_close(must_open(path, NULL));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(before.st_blocks, after.st_blocks);
	unlink(path);
}

/* ---- trouble ---- */

/* The descriptor that this process has open on @path. */
static int fd_of(const char *path)
{
	char link[64], target[256];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (!strcmp(target, path))
			return fd;
	}
	fail_msg("%s is not open", path);
	return -1;
}

static void after_a_failed_flush_every_flush_fails_until_reopened(const char *engine)
{
	const struct stor_open_args a = { .engine = engine };
	const char *path = make(fx.disk, "flush.img", MIB);
	struct stor *s = must_open(path, &a);
	int fd = fd_of(path), good = dup(fd), p[2];
	struct stor_io io, other;

	assert_int_equal(stor_io_open(&other, s, fx.uring), 0);
	assert_int_equal(stor_io_one(&other, STOR_FLUSH, 0, 0, NULL, 0), 0);
	/* A pipe cannot be flushed: this is our dying disk. */
	assert_int_equal(pipe(p), 0);
	assert_int_equal(dup2(p[1], fd), fd);
	assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
	assert_int_equal(stor_io_one(&io, STOR_FLUSH, 0, 0, NULL, 0), -EINVAL);
	stor_io_close(&io);

	/* And now it has recovered, or so it says. */
	assert_int_equal(dup2(good, fd), fd);
	assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
	assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 0, (char[512]){ 1 }, 512), 0);
	assert_int_equal(stor_io_one(&io, STOR_FLUSH, 0, 0, NULL, 0), -EIO);
	assert_int_equal(stor_io_one(&other, STOR_FLUSH, 0, 0, NULL, 0), -EIO);
	stor_io_close(&io);
	stor_io_close(&other);
	stor_close(s);
	close(good);
	close(p[0]);
	close(p[1]);

	s = must_open(path, &a);
	assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
	assert_int_equal(stor_io_one(&io, STOR_FLUSH, 0, 0, NULL, 0), 0);
	stor_io_close(&io);
	stor_close(s);
	unlink(path);
}

static void failed_flush_is_remembered_by_io_uring(void **state)
{
	(void)state;
	if (!worker_has_uring(fx.uring))
		skip();
	after_a_failed_flush_every_flush_fails_until_reopened("uring");
}

static void failed_flush_is_remembered_by_the_thread_pool(void **state)
{
	(void)state;
	after_a_failed_flush_every_flush_fails_until_reopened("threads");
}

static void file_cut_off_under_us_gives_errors_and_no_old_bytes(void **state)
{
	static const char *const engines[] = { "auto", "threads", "inline" };
	char *buf = malloc(MIB);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		const struct stor_open_args a = { .engine = engines[i] };
		const char *path = make(fx.disk, "short.img", MIB);
		struct stor *s = must_open(path, &a);
		struct stor_io io;

		assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
		assert_int_equal(truncate(path, MIB / 2 + 100), 0);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, buf, MIB / 2), 0);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, MIB / 2, buf, 512), -EIO);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, MIB / 4, buf, MIB / 2), -EIO);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, MIB - 512, buf, 512), -EIO);
		stor_io_close(&io);
		stor_close(s);
		unlink(path);
	}
	free(buf);
}

static void buffer_that_went_away_is_an_error_of_the_request(void **state)
{
	static const char *const engines[] = { "auto", "threads", "inline" };
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *gone = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		const struct stor_open_args a = { .engine = engines[i] };
		const char *path = make(fx.disk, "fault.img", MIB);
		struct stor *s = must_open(path, &a);
		char good[512] = { 1 };
		struct stor_io io;

		assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
		assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 0, gone, 512), -EFAULT);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, gone, 512), -EFAULT);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, good, 512), 0);
		stor_io_close(&io);
		stor_close(s);
		unlink(path);
	}
	munmap(gone, page);
}

static void more_buffers_than_one_call_takes_are_no_trouble(void **state)
{
	static const char *const engines[] = { "auto", "threads", "inline" };
	enum { N = 2500 };
	struct iovec *iov = calloc(N, sizeof(*iov));
	char *buf = malloc(N * 512), *back = malloc(N * 512);

	(void)state;
	for (size_t i = 0; i < N * 512; i++)
		buf[i] = (char)(i * 31 >> 4);
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		const struct stor_open_args a = { .engine = engines[i] };
		const char *path = make(fx.disk, "vector.img", 4 * MIB);
		struct stor *s = must_open(path, &a);
		struct stor_io_op o = { .op = STOR_WRITE, .len = N * 512, .iov = iov, .niov = N };
		struct stor_io io;

		for (int j = 0; j < N; j++)
			iov[j] = (struct iovec){ buf + j * 512, 512 };
		assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
		stor_io_run(&io, &o, 1);
		assert_int_equal(o.res, 0);
		memset(back, 0, N * 512);
		assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, back, N * 512), 0);
		assert_memory_equal(buf, back, N * 512);
		/* Less buffer than length is the caller's mistake; it must not hang or overrun. */
		o.niov = 3;
		stor_io_run(&io, &o, 1);
		assert_int_equal(o.res, -EINVAL);
		stor_io_close(&io);
		stor_close(s);
		unlink(path);
	}
	free(iov);
	free(buf);
	free(back);
}

static void read_only_image_is_never_changed(void **state)
{
	const struct stor_open_args ro = { .read_only = true };
	const char *path = make(fx.disk, "ro.img", MIB);
	struct stor *s = must_open(path, &ro);
	char buf[512] = { 0 };
	struct stor_io io;

	(void)state;
	assert_true(s->caps.read_only);
	assert_false(s->caps.discard || s->caps.write_zeroes || s->caps.write_zeroes_unmap);
	assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
	assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 0, buf, 512), -EROFS);
	assert_int_equal(stor_io_one(&io, STOR_WRITE_ZEROES, 0, 0, NULL, 512), -EROFS);
	assert_int_equal(stor_io_one(&io, STOR_DISCARD, 0, 0, NULL, 512), -EROFS);
	assert_int_equal(stor_io_one(&io, STOR_READ, 0, 0, buf, 512), 0);
	assert_int_equal(stor_io_one(&io, STOR_FLUSH, 0, 0, NULL, 0), 0);
	stor_io_close(&io);
	stor_close(s);
	unlink(path);
}

static void a_page_cache_burst_costs_few_system_calls(void **state)
{
	const char *path = make(fx.disk, "burst.img", MIB);
	const struct worker_stats *st;
	struct stor_io_op ops[32];
	struct iovec iov[32];
	uint64_t before;
	char *buf;
	struct stor_io io;
	struct stor *s;

	(void)state;
	if (!worker_has_uring(fx.uring)) {
		unlink(path);
		skip();
	}
	buf = malloc(32 * 4096);
	s = must_open(path, &(struct stor_open_args){ .engine = "uring" });
	st = worker_stats(fx.uring);
	assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
	for (int i = 0; i < 32; i++) {
		iov[i] = (struct iovec){ buf + i * 4096, 4096 };
		ops[i] = (struct stor_io_op){ .op = STOR_READ,
					      .offset = (uint64_t)i * 4096,
					      .len = 4096,
					      .iov = &iov[i],
					      .niov = 1 };
	}
	stor_io_run(&io, ops, 32);
	before = __atomic_load_n(&st->enters, __ATOMIC_RELAXED);
	for (int round = 0; round < 100; round++) {
		stor_io_run(&io, ops, 32);
		for (int i = 0; i < 32; i++)
			assert_int_equal(ops[i].res, 0);
	}
	/* One to submit, one to sleep, for 32: the goal is a tenth per request. */
	assert_true(__atomic_load_n(&st->enters, __ATOMIC_RELAXED) - before <= 320);
	stor_io_close(&io);
	stor_close(s);
	unlink(path);
	free(buf);
}

/* ---- the door ---- */

static void what_is_no_disk_is_refused_with_the_reason(void **state)
{
	const struct stor_open_args ro = { .read_only = true };
	const char *fifo = in(fx.disk, "fifo"), *path;

	(void)state;
	expect(in(fx.disk, "none"), NULL, -ENOENT, "image-missing", "none", "truncate");
	expect(fx.disk, NULL, -EISDIR, "image-type", "directory", "");
	expect(fx.disk, &ro, -EINVAL, "image-type", "directory", "block device");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect(fifo, NULL, -EINVAL, "image-type", "a pipe", "block device");
	expect(fifo, &ro, -EINVAL, "image-type", "a pipe", "block device");
	unlink(fifo);
	expect("/dev/null", NULL, -EINVAL, "image-type", "character device", "block device");
	path = make(fx.disk, "odd.img", 1000);
	expect(path, NULL, -EINVAL, "image-size",
	       "1000 bytes: not a multiple of the 512-byte block", "truncate -s %512");
	assert_int_equal(truncate(path, 0), 0);
	expect(path, NULL, -EINVAL, "image-empty", "is empty", "truncate -s 1G");
	assert_int_equal(truncate(path, MIB), 0);
	expect(path, &(struct stor_open_args){ .engine = "magic" }, -EINVAL, "bad-engine",
	       "'magic'", "threads");
	unlink(path);
}

static void image_that_can_only_be_read_says_so(void **state)
{
	const char *path = make(fx.disk, "locked.img", MIB);
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(chmod(fx.disk, 0755), 0);
	pid = fork();
	if (!pid) {
		struct err e = { 0 };

		/* Root may write to anything: be somebody else. */
		if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
			_exit(77);
		if (access(path, R_OK) < 0)
			_exit(77);
		if (stor_open(path, NULL, &e) || e.code != -EACCES)
			_exit(1);
		if (!strstr(e.what, "writing") || !strstr(e.hint, "--read-only"))
			_exit(2);
		stor_close(stor_open(path, &(struct stor_open_args){ .read_only = true }, &e));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(path);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("another user cannot get at %s\n", fx.disk);
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void containers_are_not_served_as_raw_disks_unless_asked(void **state)
{
	static const struct {
		const char *magic, *name;
		size_t len, off;
	} t[] = {
		{ "QFI\xfb\0\0\0\3", "qcow2", 8, 0 }, { "KDMV", "VMDK", 4, 0 },
		{ "LUKS\xba\xbe\0\2", "LUKS", 8, 0 }, { "vhdxfile", "VHDX", 8, 0 },
		{ "\x7f\x10\xda\xbe", "VDI", 4, 64 },
	};
	char raw[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		const char *path = make(fx.disk, "box.img", MIB);
		int fd = open(path, O_RDWR);

		assert_int_equal(pwrite(fd, t[i].magic, t[i].len, (off_t)t[i].off),
				 (ssize_t)t[i].len);
		close(fd);
		expect(path, NULL, -EINVAL, "image-format-mismatch", t[i].name, "raw:");
		snprintf(raw, sizeof(raw), "raw:%s", path);
		stor_close(must_open(raw, NULL));
		unlink(path);
	}
}

static void path_with_a_colon_is_a_path_when_it_exists(void **state)
{
	char cwd[256], explicit[300];
	const char *path = make(fx.disk, "odd:name", MIB);

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	stor_close(must_open(path, NULL));
	assert_int_equal(chdir(fx.disk), 0);
	stor_close(must_open("odd:name", NULL));
	expect("odd:nam", NULL, -EINVAL, "unknown-source", "'odd:'", "null:");
	/* But a file cannot take over the name of a known kind of source. */
	make(".", "null:1M", MIB);
	{
		struct stor *s = must_open("null:1M", NULL);

		assert_string_equal(s->ops->scheme, "null");
		stor_close(s);
		s = must_open("./null:1M", NULL);
		assert_string_equal(s->ops->scheme, "file");
		stor_close(s);
	}
	unlink("null:1M");
	assert_int_equal(chdir(cwd), 0);
	snprintf(explicit, sizeof(explicit), "file:%s", path);
	stor_close(must_open(explicit, NULL));
	unlink(path);
}

static void what_the_image_is_like_is_found_out(void **state)
{
	const char *path = make(fx.disk, "caps.img", 512 * 2001);
	struct stor *s = must_open(path, NULL);
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(s->caps.size, 512 * 2001);
	assert_int_equal(s->caps.block_size, 512);
	assert_true(s->caps.physical_size >= 512 && s->caps.physical_size <= 4096);
	assert_true(s->caps.write_zeroes);
	stor_close(s);
	unlink(path);
}

/* ---- locks ---- */

/* Open in another process: 0 worked, else the errno; its hint has to name @hint. */
static int open_elsewhere(const char *path, bool read_only, const char *hint)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		const struct stor_open_args a = { .read_only = read_only };
		struct err e = { 0 };
		struct stor *s = stor_open(path, &a, &e);

		if (s)
			_exit(0);
		if (!strstr(e.what, "already in use by another process") || !strstr(e.hint, hint))
			_exit(200);
		_exit(-e.code);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void one_writer_or_many_readers_across_processes(void **state)
{
	const struct stor_open_args ro = { .read_only = true };
	const char *path = make(fx.disk, "lock.img", MIB);
	struct stor *s = must_open(path, NULL);

	(void)state;
	assert_int_equal(open_elsewhere(path, false, "fuser"), EBUSY);
	assert_int_equal(open_elsewhere(path, true, "fuser"), EBUSY);
	/* And within this process. */
	expect(path, NULL, -EBUSY, "image-in-use", "already in use", "--read-only");
	stor_close(s);
	assert_int_equal(open_elsewhere(path, false, ""), 0);

	s = must_open(path, &ro);
	assert_int_equal(open_elsewhere(path, true, ""), 0);
	assert_int_equal(open_elsewhere(path, false, "--read-only"), EBUSY);
	stor_close(s);
	unlink(path);
}

static void lock_is_gone_when_close_returns_even_after_io_uring(void **state)
{
	const char *path = make(fx.disk, "relock.img", MIB);
	char buf[512] = { 1 };

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct stor *s = must_open(path, NULL);
		struct stor_io io;

		assert_int_equal(stor_io_open(&io, s, fx.uring), 0);
		assert_int_equal(stor_io_one(&io, STOR_WRITE, 0, 0, buf, 512), 0);
		stor_io_close(&io);
		stor_close(s);
	}
	unlink(path);
}

static void asking_for_io_uring_on_a_worker_without_fails(void **state)
{
	const struct stor_open_args a = { .engine = "uring" };
	const char *path = make(fx.disk, "noring.img", MIB);
	struct err e = { 0 };
	struct stor *s = stor_open(path, &a, &e);
	struct stor_io io;

	(void)state;
	if (s) {
		assert_int_equal(stor_io_open(&io, s, fx.plain), -EOPNOTSUPP);
		stor_close(s);
	} else {
		assert_string_equal(e.id, "no-uring"); /* built without */
	}
	unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(io_uring_conforms),
		cmocka_unit_test(thread_pool_conforms),
		cmocka_unit_test(automatic_choice_conforms_on_any_worker),
		cmocka_unit_test(memory_file_system_conforms_with_every_engine),
		cmocka_unit_test(direct_io_conforms_with_buffers_at_any_address),
		cmocka_unit_test(direct_io_takes_aligned_buffers_and_refuses_half_blocks),
		cmocka_unit_test(block_device_conforms),
		cmocka_unit_test(discard_and_unmapped_zeroes_free_space_and_plain_zeroes_keep_it),
		cmocka_unit_test(opening_changes_neither_size_nor_space_of_an_image),
		cmocka_unit_test(failed_flush_is_remembered_by_io_uring),
		cmocka_unit_test(failed_flush_is_remembered_by_the_thread_pool),
		cmocka_unit_test(file_cut_off_under_us_gives_errors_and_no_old_bytes),
		cmocka_unit_test(buffer_that_went_away_is_an_error_of_the_request),
		cmocka_unit_test(more_buffers_than_one_call_takes_are_no_trouble),
		cmocka_unit_test(read_only_image_is_never_changed),
		cmocka_unit_test(a_page_cache_burst_costs_few_system_calls),
		cmocka_unit_test(what_is_no_disk_is_refused_with_the_reason),
		cmocka_unit_test(image_that_can_only_be_read_says_so),
		cmocka_unit_test(containers_are_not_served_as_raw_disks_unless_asked),
		cmocka_unit_test(path_with_a_colon_is_a_path_when_it_exists),
		cmocka_unit_test(what_the_image_is_like_is_found_out),
		cmocka_unit_test(one_writer_or_many_readers_across_processes),
		cmocka_unit_test(lock_is_gone_when_close_returns_even_after_io_uring),
		cmocka_unit_test(asking_for_io_uring_on_a_worker_without_fails),
	};

	return cmocka_run_group_tests_name("stor-file", tests, setup, teardown);
}
