/* SPDX-License-Identifier: MIT */
/* vuctl check: the log of dirty pages. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "check/req.h"
#include "util/compiler.h"

#define MIGRATION "vhost-user: Migration"
#define LOG_BASE  "vhost-user: VHOST_USER_SET_LOG_BASE"
#define LOG_PAGE  4096u

/* One page of log covers the guest's 16 MiB eight times over. */
#define LOG_SIZE  4096u
#define LOG_PAGES (LOG_SIZE * 8)
/* Where the used ring is said to be: outside of memory, which is allowed. */
#define USED_PAGE 20000u

#define NEEDS (NEED_LOG | NEED_PROTOCOL | NEED_BLK)

/**
 * struct dirty - a log
 * @p:		mapping of the whole file
 * @bits:	where the log begins in it
 */
struct dirty {
	int fd;
	uint8_t *p;
	uint8_t *bits;
	uint64_t size;
};

static struct dirty log_new(struct check *c, uint64_t file, uint64_t offset)
{
	struct dirty l = { .fd = memfd_create("vuctl-check-log", MFD_CLOEXEC), .size = file };

	if (l.fd < 0 || ftruncate(l.fd, (off_t)file) < 0)
		check_skip(c, "no memory for a log");
	l.p = mmap(NULL, file, PROT_READ | PROT_WRITE, MAP_SHARED, l.fd, 0);
	if (l.p == MAP_FAILED)
		check_skip(c, "no memory for a log");
	l.bits = l.p + offset;
	return l;
}

static void log_free(struct dirty *l)
{
	munmap(l->p, l->size);
	close(l->fd);
}

static bool marked(const struct dirty *l, uint64_t page)
{
	return __atomic_load_n(&l->bits[page / 8], __ATOMIC_SEQ_CST) >> page % 8 & 1;
}

static unsigned int count(const uint8_t *p, uint64_t n)
{
	unsigned int bits = 0;

	for (uint64_t i = 0; i < n; i++)
		bits += (unsigned int)__builtin_popcount(p[i]);
	return bits;
}

static void expect_marked(struct check *c, const struct dirty *l, uint64_t gpa, const char *what)
{
	if (!marked(l, gpa / LOG_PAGE))
		check_fail(c, "every page that the device writes to is marked",
			   "page %llu, which has %s, is not", (unsigned long long)(gpa / LOG_PAGE),
			   what);
}

static void expect_clean(struct check *c, const struct dirty *l, const char *when)
{
	unsigned int n = count(l->p, l->size);

	if (n)
		check_fail(c, "nothing is marked", "%u pages are, %s", n, when);
}

static void set_log(struct check *c, struct check_dev *d, const struct dirty *l)
{
	struct err e = { .code = 0 };

	check_ok(c, &e, vuc_set_log_base(d->v, l->fd, LOG_SIZE, (uint64_t)(l->bits - l->p), &e));
}

static void log_all(struct check *c, struct check_dev *d, bool on)
{
	struct err e = { .code = 0 };
	uint64_t bit = VIRTIO_BIT(VHOST_F_LOG_ALL);

	check_ok(c, &e, vuc_set_features(d->v, on ? d->virtio | bit : d->virtio, &e));
}

/* Say where the ring is once more, as front-ends do when logging begins. */
static int try_log_ring(struct check_dev *d, uint64_t log, bool on, struct err *e)
{
	const struct drv_ring *r = d->q[0].ring;
	uint64_t at = (uintptr_t)r->desc - r->layout.desc;
	struct vhost_user_vring_addr a = {
		.flags = on ? VHOST_USER_VRING_ADDR_F_LOG : 0,
		.desc = at + r->layout.desc,
		.avail = at + r->layout.driver,
		.used = at + r->layout.device,
		.log = log,
	};

	return vuc_set_vring_addr(d->v, &a, e);
}

static void log_ring(struct check *c, struct check_dev *d, uint64_t log, bool on)
{
	struct err e = { .code = 0 };

	check_ok(c, &e, try_log_ring(d, log, on, &e));
}

/* Make the device write something, served or not. */
static void try_request(struct check *c, struct check_dev *d, uint64_t used_page)
{
	struct err e = { .code = 0 };

	log_all(c, d, true);
	try_log_ring(d, used_page * LOG_PAGE, true, &e);
	req_must_add(c, d, 0, 0, 0);
	fe_queue_publish(&d->q[0]);
	fe_queue_wait(&d->q[0], 1, check_timeout_ms(c));
}

/* A read into @pages pages of their own, with header and status elsewhere, in pages of theirs. */
#define DATA_AT   (16 * LOG_PAGE)
#define HDR_AT    (64 * LOG_PAGE)
#define STATUS_AT (80 * LOG_PAGE)
static void read_pages(struct check *c, struct check_dev *d, unsigned int pages)
{
	struct drv_seg s[3] = {
		{ d->buf_gpa + HDR_AT, sizeof(struct virtio_blk_req_hdr), 0 },
		{ d->buf_gpa + DATA_AT, pages * LOG_PAGE, 1 },
		{ d->buf_gpa + STATUS_AT, 1, 1 },
	};
	uint8_t st;

	if (check_facts(c)->sectors < pages * LOG_PAGE / 512)
		check_skip(c, "the disk is smaller than %u pages", pages);
	req_hdr(d, HDR_AT, VIRTIO_BLK_T_IN, 0);
	d->buf[STATUS_AT] = REQ_PENDING;
	check_chain(c, d, 0, s, 3, false);
	st = d->buf[STATUS_AT];
	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "status OK", "a read ended with status %u", st);
}

/* ---- cases ---- */

static void answered(struct check *c)
{
	const struct check_dev_args a = { .no_start = true };
	struct check_dev *d = check_dev(c, &a);
	struct dirty l = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	raw_sync(c, d->v);
	log_free(&l);
}

static void off(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	read_pages(c, d, 2);
	expect_clean(c, &l, "and F_LOG_ALL was not accepted");
	log_free(&l);
}

static void data(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	log_all(c, d, true);
	read_pages(c, d, 3);
	for (unsigned int i = 0; i < 3; i++)
		expect_marked(c, &l, d->buf_gpa + DATA_AT + i * LOG_PAGE, "data of a read");
	log_free(&l);
}

static void status_byte(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	log_all(c, d, true);
	read_pages(c, d, 1);
	expect_marked(c, &l, d->buf_gpa + STATUS_AT, "the status of a read");
	log_free(&l);
}

static void nothing_else(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	log_all(c, d, true);
	read_pages(c, d, 1);
	if (marked(&l, (d->buf_gpa + HDR_AT) / LOG_PAGE) ||
	    marked(&l, (d->buf_gpa + DATA_AT) / LOG_PAGE + 4))
		check_fail(c, "pages that the device does not write to are not marked",
			   "%u pages are, after a read of one page", count(l.p, l.size));
	log_free(&l);
}

static void used_ring(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	log_all(c, d, true);
	log_ring(c, d, (uint64_t)USED_PAGE * LOG_PAGE, true);
	read_pages(c, d, 1);
	if (!marked(&l, USED_PAGE))
		check_fail(c, "writes to the used ring are marked at the ring's log address",
			   "page %u is not; %u others are", USED_PAGE, count(l.p, l.size));
	log_free(&l);
}

static void used_ring_off(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	log_all(c, d, true);
	log_ring(c, d, (uint64_t)USED_PAGE * LOG_PAGE, true);
	log_ring(c, d, (uint64_t)USED_PAGE * LOG_PAGE, false);
	read_pages(c, d, 1);
	if (marked(&l, USED_PAGE))
		check_fail(c, "without VHOST_VRING_F_LOG the used ring is not logged",
			   "page %u, its log address, is marked", USED_PAGE);
	log_free(&l);
}

static void replaced(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, LOG_SIZE, 0), m = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	log_all(c, d, true);
	read_pages(c, d, 1);
	set_log(c, d, &m);
	memset(l.p, 0, l.size);
	read_pages(c, d, 2);
	expect_marked(c, &m, d->buf_gpa + DATA_AT, "data of a read after the log was replaced");
	expect_clean(c, &l, "in a log that was replaced");
	log_free(&l);
	log_free(&m);
}

static void toggled(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, LOG_SIZE, 0);

	set_log(c, d, &l);
	for (unsigned int i = 0; i < 4; i++) {
		log_all(c, d, true);
		memset(l.p, 0, l.size);
		read_pages(c, d, 1);
		expect_marked(c, &l, d->buf_gpa + DATA_AT, "data of a read with F_LOG_ALL");
		log_all(c, d, false);
		memset(l.p, 0, l.size);
		read_pages(c, d, 1);
		expect_clean(c, &l, "after F_LOG_ALL was taken back");
	}
	log_free(&l);
}

static void keeps_running(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	/* F_LOG_ALL without a log is a promise that one will come. */
	log_all(c, d, true);
	check_works(c, d, 0);
	log_all(c, d, false);
	check_works(c, d, 0);
}

static void at_offset(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, 3 * LOG_SIZE, LOG_SIZE);

	set_log(c, d, &l);
	log_all(c, d, true);
	read_pages(c, d, 1);
	expect_marked(c, &l, d->buf_gpa + DATA_AT, "data of a read");
	if (count(l.p, LOG_SIZE) || count(l.bits + LOG_SIZE, LOG_SIZE))
		check_fail(c, "nothing is written before and behind the log",
			   "%u bits are set before it, %u behind it", count(l.p, LOG_SIZE),
			   count(l.bits + LOG_SIZE, LOG_SIZE));
	log_free(&l);
}

static void too_small(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct dirty l = log_new(c, 2 * LOG_SIZE, 0);
	struct err e = { .code = 0 };
	int ret = vuc_set_log_base(d->v, l.fd, 1, 0, &e);

	/* Whether it serves such a front-end is its own affair. */
	if (ret == 0)
		try_request(c, d, USED_PAGE);
	if (count(l.p + 1, l.size - 1))
		check_fail(c, "nothing is written behind the end of the log",
			   "%u bits are set behind a log of one byte", count(l.p + 1, l.size - 1));
	log_free(&l);
	check_alive(c);
}

static void impossible(struct check *c)
{
	static const struct {
		uint64_t size, offset;
	} bad[] = {
		{ 1 << 20, 0 },
		{ LOG_SIZE, 1 << 20 },
		{ UINT64_MAX, 0 },
		{ LOG_SIZE, UINT64_MAX - LOG_SIZE + 1 },
		{ UINT64_MAX - LOG_SIZE + 1, LOG_SIZE },
		{ 0, 0 },
	};
	struct err e = { .code = 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct check_dev *d = check_dev(c, NULL);
		struct dirty l = log_new(c, LOG_SIZE, 0);
		int ret = vuc_set_log_base(d->v, l.fd, bad[i].size, bad[i].offset, &e);

		check_note(c, "a log of 0x%llx bytes at 0x%llx of a file of %u: %s",
			   (unsigned long long)bad[i].size, (unsigned long long)bad[i].offset,
			   LOG_SIZE, ret ? e.what : "taken");
		/* The used ring's bit is behind the end of the file. */
		if (ret == 0)
			try_request(c, d, 2 * LOG_PAGES);
		check_dev_close(c, d);
		log_free(&l);
	}
	check_alive(c);
}

const struct check_case check_log_cases[] = {
	{ "log.base-answered", LOG_BASE, "SET_LOG_BASE is answered once", CHECK_MUST,
	  NEED_LOG | NEED_PROTOCOL, false, answered },
	{ "log.off-marks-nothing", MIGRATION, "without F_LOG_ALL no page is marked", CHECK_MUST,
	  NEEDS, false, off },
	{ "log.data-pages", MIGRATION, "pages that a read fills are marked", CHECK_MUST, NEEDS,
	  true, data },
	{ "log.status-page", MIGRATION, "the page of the status byte is marked", CHECK_MUST, NEEDS,
	  true, status_byte },
	{ "log.nothing-else", MIGRATION, "pages that are only read are not marked", CHECK_SHOULD,
	  NEEDS, false, nothing_else },
	{ "log.used-ring", MIGRATION,
	  "writes to the used ring are marked at the ring's log address, which need not be memory",
	  CHECK_MUST, NEEDS, true, used_ring },
	{ "log.used-ring-off", MIGRATION, "without VHOST_VRING_F_LOG the used ring is not logged",
	  CHECK_SHOULD, NEEDS, true, used_ring_off },
	{ "log.replaced", LOG_BASE, "a second log takes the place of the first while rings run",
	  CHECK_MUST, NEEDS, false, replaced },
	{ "log.toggled", MIGRATION, "F_LOG_ALL is switched while rings run", CHECK_MUST, NEEDS,
	  true, toggled },
	{ "log.rings-go-on", MIGRATION, "switching F_LOG_ALL does not stop a ring", CHECK_MUST,
	  NEEDS, true, keeps_running },
	{ "log.at-offset", LOG_BASE,
	  "the log begins at its offset in the file and ends with its size", CHECK_MUST, NEEDS,
	  false, at_offset },
	{ "log.too-small", MIGRATION,
	  "nothing is written behind the end of a log that is too small", CHECK_MUST, NEEDS, false,
	  too_small },
	{ "log.impossible", LOG_BASE, "a log that does not fit into its file does no harm",
	  CHECK_MUST, NEEDS, false, impossible },
	{ 0 },
};
