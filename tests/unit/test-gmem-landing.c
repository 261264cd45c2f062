/* SPDX-License-Identifier: MIT */
/*
 * What a landing after SIGBUS replaces: pages of the mapping, in the size that
 * the mapping really has, and nothing beside them.
 *
 * File systems that say odd things of themselves are not at hand, so this
 * program stands between gmem.c and the C library and says them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/gmem.h"
#include "util/compiler.h"

#define TRIES 64

/* ---- the lies; 0: the truth ---- */

static long lie_blksize; /* st_blksize */
static long lie_huge;    /* page size of a hugetlbfs that it is not */
static unsigned int lies_told;

int fstat(int fd, struct stat *st)
{
	int rc = fstatat(fd, "", st, AT_EMPTY_PATH);

	if (rc == 0 && lie_blksize) {
		st->st_blksize = (blksize_t)lie_blksize;
		lies_told++;
	}
	return rc;
}

int fstatfs(int fd, struct statfs *fs)
{
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = statfs(path, fs);
	if (rc == 0 && lie_huge) {
		fs->f_type = HUGETLBFS_MAGIC;
		fs->f_bsize = lie_huge;
		lies_told++;
	}
	return rc;
}

static int truth(void **state)
{
	(void)state;
	lie_blksize = lie_huge = 0;
	lies_told = 0;
	return 0;
}

/* ---- a mapping and its surroundings ---- */

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int memfd(uint64_t size)
{
	int fd = memfd_create("test-gmem-landing", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct gmem_region *map_region(int fd, uint64_t size)
{
	struct err e = { 0 };
	struct gmem_region *r = gmem_region_map(fd, 0, size, 0, 0, GMEM_RW, &e);

	assert_non_null(r);
	return r;
}

static struct gmem *one(struct gmem_region *r)
{
	struct err e = { 0 };
	struct gmem *m = gmem_new(&r, 1, &e);

	assert_non_null(m);
	gmem_region_put(r);
	return m;
}

/* Memory of ours at exactly [at, at + len), or NULL when something is there already. */
static uint8_t *claim(uint8_t *at, size_t len)
{
	uint8_t *p = mmap(at, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (p != at) { /* taken for a hint */
		munmap(p, len);
		return NULL;
	}
	memset(p, 0xa5, len);
	return p;
}

/*
 * A region of @size bytes that does not begin at a multiple of @block, and
 * @block bytes of ours right in front of it: whoever rounds an address in its
 * first block down to @block hits them. NULL when the kernel puts none so.
 */
static struct gmem_region *map_behind_ours(int fd, uint64_t size, size_t block, uint8_t **ours)
{
	struct gmem_region *found = NULL, *tried[TRIES];
	uint8_t *filler[TRIES];
	unsigned int n;

	for (n = 0; n < TRIES && !found; n++) {
		struct gmem_region *r = map_region(fd, size);

		tried[n] = r;
		filler[n] = NULL;
		*ours = claim(r->host - block, block);
		if (!*ours)
			continue;
		if ((uintptr_t)r->host % block) {
			found = r;
			continue;
		}
		/* The next one goes below: a page in between, and it is not aligned. */
		filler[n] = r->host - page_size();
		munmap(*ours, block - page_size());
	}
	for (unsigned int i = 0; i < n; i++) {
		if (tried[i] != found)
			gmem_region_put(tried[i]);
		if (filler[i])
			munmap(filler[i], page_size());
	}
	return found;
}

static bool untouched(const uint8_t *p, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != value)
			return false;
	return true;
}

/* ---- st_blksize is no page size ---- */

static void landing_takes_one_page_however_large_the_blocks_are(void **state)
{
	size_t page = page_size(), n = 16, i;
	int fd = memfd(n * page);
	struct gmem_guard g;
	struct gmem_region *r;
	struct gmem *m;
	volatile uint8_t *p;

	(void)state;
	lie_blksize = (long)(2 * page);
	r = map_region(fd, n * page);
	assert_true(lies_told > 0);
	p = r->host;
	m = one(r);
	for (i = 0; i < n; i++)
		memset((void *)(p + i * page), (int)i + 1, page);
	/* Any page in the second half of a block: the first half is still there. */
	i = (uintptr_t)(p + 4 * page) / page % 2 ? 4 : 5;
	assert_int_equal(ftruncate(fd, (off_t)(i * page)), 0);
	assert_int_equal(gmem_guard_install(), 0);
	g = (struct gmem_guard){ .map = m };
	gmem_guard_enter(&g);
	p[i * page + 7] = 0x77; /* lands */
	gmem_guard_leave(&g);
	assert_int_equal(p[i * page + 7], 0x77);
	assert_true(gmem_range_poisoned(m, (void *)(p + i * page), page));
	assert_false(gmem_range_poisoned(m, (void *)p, i * page));
	for (size_t k = 0; k < i; k++)
		assert_true(untouched((uint8_t *)p + k * page, page, (uint8_t)(k + 1)));
	gmem_put(m);
	close(fd);
}

static void landing_spares_what_is_in_front_of_the_mapping(void **state)
{
	size_t block = 16 * page_size(), size = 16 * block;
	int fd = memfd(size);
	struct gmem_guard g;
	struct gmem_region *r;
	struct gmem *m;
	volatile uint8_t *p;
	uint8_t *ours;

	(void)state;
	lie_blksize = (long)block;
	r = map_behind_ours(fd, size, block, &ours);
	assert_true(lies_told > 0);
	if (!r) {
		close(fd);
		print_message("no mapping with room in front of it\n");
		skip();
	}
	m = one(r);
	p = r->host;
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(gmem_guard_install(), 0);
	g = (struct gmem_guard){ .map = m };
	gmem_guard_enter(&g);
	p[0] = 1; /* lands */
	gmem_guard_leave(&g);
	assert_true(gmem_poisoned(m));
	assert_true(untouched(ours, block, 0xa5));
	gmem_put(m);
	assert_true(untouched(ours, block, 0xa5));
	munmap(ours, block);
	close(fd);
}

/* ---- huge pages are ---- */

static void landing_takes_the_whole_of_a_huge_page(void **state)
{
	int fd = memfd_create("test-gmem-landing", MFD_CLOEXEC | MFD_HUGETLB);
	struct gmem_guard g;
	struct gmem_region *r;
	struct statfs fs;
	struct gmem *m;
	volatile uint8_t *p;
	size_t huge;

	(void)state;
	if (fd < 0) {
		print_message("this kernel has no huge pages\n");
		skip();
	}
	assert_int_equal(fstatfs(fd, &fs), 0);
	huge = (size_t)fs.f_bsize;
	assert_true(huge > page_size());
	assert_int_equal(ftruncate(fd, (off_t)(2 * huge)), 0);
	r = map_region(fd, 2 * huge);
	m = one(r);
	p = r->host;
	/* None need be in the pool: there is nothing behind any of them now. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(gmem_guard_install(), 0);
	g = (struct gmem_guard){ .map = m };
	gmem_guard_enter(&g);
	p[huge + 5 * page_size()] = 1; /* lands; less than a huge page cannot be replaced */
	p[2 * huge - 1] = 2;
	gmem_guard_leave(&g);
	assert_int_equal(p[huge], 0);
	assert_int_equal(p[huge + 5 * page_size()], 1);
	assert_int_equal(p[2 * huge - 1], 2);
	assert_int_equal(atomic_load(&m->faults->count), 1);
	assert_true(gmem_range_poisoned(m, (void *)(p + huge), 1));
	assert_true(gmem_range_poisoned(m, (void *)(p + 2 * huge - 1), 1));
	assert_false(gmem_range_poisoned(m, (void *)p, huge));
	gmem_put(m);
	close(fd);
}

/* ---- and if all that were wrong ---- */

static sigjmp_buf before_touch;

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(before_touch, 1);
}

/* False: the store got SIGBUS as if there were no guard. */
static bool touch(volatile uint8_t *p)
{
	if (sigsetjmp(before_touch, 1))
		return false;
	*p = 1;
	return true;
}

static void landing_that_would_leave_its_mapping_is_refused(void **state)
{
	size_t block = 16 * page_size(), size = 16 * block + page_size();
	struct sigaction sa = { .sa_handler = on_sigbus }, was;
	int fd = memfd(size);
	struct gmem_guard g;
	struct gmem_region *r;
	struct gmem *m;
	uint8_t *ours;
	bool landed;

	(void)state;
	lie_huge = (long)block; /* no file system aligns its mappings less than to its pages */
	r = map_behind_ours(fd, size, block, &ours);
	assert_true(lies_told > 0);
	if (!r) {
		close(fd);
		print_message("no mapping with room in front of it\n");
		skip();
	}
	m = one(r);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(sigaction(SIGBUS, &sa, &was), 0);
	assert_int_equal(gmem_guard_install(), 0); /* ours is the earlier meaning now */
	g = (struct gmem_guard){ .map = m };
	gmem_guard_enter(&g);
	landed = touch(r->host);
	gmem_guard_leave(&g);
	assert_int_equal(sigaction(SIGBUS, &was, NULL), 0);
	assert_false(landed);
	assert_true(untouched(ours, block, 0xa5));
	gmem_put(m);
	munmap(ours, block);
	close(fd);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, truth, truth)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(landing_takes_one_page_however_large_the_blocks_are),
		T(landing_spares_what_is_in_front_of_the_mapping),
		T(landing_takes_the_whole_of_a_huge_page),
		T(landing_that_would_leave_its_mapping_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
