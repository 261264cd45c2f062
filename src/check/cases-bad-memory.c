/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: guest memory that changes while it is read, lies where it
 * should not, or goes away. The process behind the socket has to live.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check/req.h"
#include "util/compiler.h"
#include "util/loop.h"

#define NEXT  VIRTQ_DESC_F_NEXT
#define WRITE VIRTQ_DESC_F_WRITE
#define IND   VIRTQ_DESC_F_INDIRECT

#define MEM_SIZE (UINT64_C(8) << 20)

/* ---- words that change ---- */

#define FLIP_MS 60
#define ROUNDS  8

/**
 * struct flipper - a thread that writes over what the device reads
 * @at:		words of memory
 * @value:	to write there: the first two in turn, now and then one of the others, which no
 *		driver would
 */
struct flipper {
	pthread_t thread;
	bool stop;
	unsigned int n;
	uint64_t *at[8];
	uint64_t value[8][4];
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	for (unsigned int k = 0; !__atomic_load_n(&f->stop, __ATOMIC_RELAXED); k++)
		for (unsigned int i = 0; i < f->n; i++) {
			unsigned int at = (k >> i) & 31;

			__atomic_store_n(f->at[i], f->value[i][at < 30 ? at & 1 : at - 28],
					 __ATOMIC_RELAXED);
		}
	return NULL;
}

/* A descriptor's second word: length, flags, and next (or, packed, id and flags). */
static uint64_t tail(bool packed, uint32_t len, uint16_t flags, uint16_t next)
{
	uint64_t a = packed ? next : flags, b = packed ? flags : next;

	return htole64(len | a << 32 | b << 48);
}

/* Descriptor @i of three, header, data and status: two that will do, two that will not. */
static void flip_desc(struct flipper *f, const struct check_dev *d, void *desc, unsigned int i,
		      bool in_ring)
{
	static const uint32_t len[3][2] = { { 16, 20 }, { 512, 256 }, { 257, 1 } };
	bool packed = d->q[0].ring->packed;
	uint16_t avail = packed && in_ring ? VIRTQ_DESC_F_AVAIL : 0;
	uint16_t flags = (i < 2 ? NEXT : 0) | (i ? WRITE : 0) | avail;
	uint64_t good = d->buf_gpa + 4096 * i;
	const uint64_t addr[4] = { htole64(good), htole64(good + 65536), htole64(UINT64_MAX - 100),
				   htole64(0x7fffffffff) };
	const uint64_t t[4] = { tail(packed, len[i][0], flags, (uint16_t)(i + 1)),
				tail(packed, len[i][1], flags, (uint16_t)(i + 1)),
				tail(packed, UINT32_MAX, NEXT | WRITE | avail, 60000),
				tail(packed, 48, IND | avail, 3) };

	memcpy(f->value[f->n], addr, sizeof(addr));
	f->at[f->n++] = desc;
	memcpy(f->value[f->n], t, sizeof(t));
	f->at[f->n++] = (uint64_t *)desc + 1;
}

/* Requests go in while the words change. Nothing here may end the case. */
static bool run_flipper(struct flipper *f, struct check_dev *d)
{
	uint64_t end = clock_ns() + FLIP_MS * UINT64_C(1000000);
	struct drv_ring *r = d->q[0].ring;
	uint16_t idx = r->avail_idx;

	/* The first look finds something good. */
	for (unsigned int i = 0; i < f->n; i++)
		__atomic_store_n(f->at[i], f->value[i][0], __ATOMIC_RELEASE);
	if (pthread_create(&f->thread, NULL, flip, f))
		return false;
	while (clock_ns() < end) {
		if (!r->packed) {
			drv_raw_avail(r, idx, 0);
			drv_raw_avail_idx(r, ++idx);
		}
		fe_queue_kick(&d->q[0]);
		usleep(20); /* three threads, and perhaps two processors */
	}
	__atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
	pthread_join(f->thread, NULL);
	return true;
}

static struct check_dev *dev(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 16 });

	req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
	req_hdr(d, 65536, VIRTIO_BLK_T_IN, 0);
	return d;
}

static void flipped_chain(struct check *c)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct check_dev *d = dev(c);
		struct flipper f = { 0 };

		for (unsigned int k = 0; k < 3; k++)
			flip_desc(&f, d, &d->q[0].ring->desc[k], k, true);
		if (!run_flipper(&f, d))
			check_skip(c, "cannot make a thread");
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

static void flipped_table(struct check *c)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct check_dev *d = dev(c);
		const struct ring_ent e = { d->buf_gpa + (1u << 19), 48, IND, 0 };
		struct flipper f = { 0 };

		for (unsigned int k = 0; k < 3; k++)
			flip_desc(&f, d, d->buf + (1u << 19) + 16 * k, k, false);
		ring_put(d, 0, &e, 1);
		if (!run_flipper(&f, d))
			check_skip(c, "cannot make a thread");
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

/* The request header: type and sector change between looks. */
static void flipped_header(struct check *c)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct check_dev *d = dev(c);
		const struct ring_ent e[3] = { { d->buf_gpa, 16, NEXT, 1 },
					       { d->buf_gpa + 4096, 512, WRITE | NEXT, 2 },
					       { d->buf_gpa + 512, 1, WRITE, 0 } };
		/* Of types that change nothing. */
		struct flipper f = {
			.n = 2,
			.at = { (void *)d->buf, (void *)(d->buf + 8) },
			.value = { { htole64(VIRTIO_BLK_T_IN), htole64(VIRTIO_BLK_T_GET_ID),
				     htole64(VIRTIO_BLK_T_FLUSH), htole64(99) },
				   { 0, UINT64_MAX, htole64(check_facts(c)->sectors - 1),
				     htole64(UINT64_C(1) << 55) } },
		};

		ring_put(d, 0, e, 3);
		if (!run_flipper(&f, d))
			check_skip(c, "cannot make a thread");
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

/* ---- rings in strange places ---- */

/* Start queue 0 of a device that was not started, with its parts at given places. */
static void start_at(struct check *c, struct check_dev *d, uint64_t desc, uint64_t avail,
		     uint64_t used)
{
	const struct vhost_user_vring_addr a = { .index = 0,
						 .desc = fe_mem_uva(d->m, desc),
						 .avail = fe_mem_uva(d->m, avail),
						 .used = fe_mem_uva(d->m, used) };
	struct drv_ring *r = d->q[0].ring;
	struct err e = { 0 };
	int ret = vuc_set_vring_num(d->v, 0, r->size, &e);

	if (ret == 0)
		ret = vuc_set_vring_base(d->v, 0, drv_ring_base(r), r->packed, &e);
	if (ret == 0)
		ret = vuc_set_vring_addr(d->v, &a, &e);
	if (ret == 0)
		ret = vuc_set_vring_call(d->v, 0, d->q[0].call_fd, &e);
	if (ret == 0)
		ret = vuc_set_vring_err(d->v, 0, d->q[0].err_fd, &e);
	if (ret == 0)
		ret = vuc_set_vring_kick(d->v, 0, d->q[0].kick_fd, &e);
	if (ret == 0 && check_offers(c, VHOST_USER_F_PROTOCOL_FEATURES))
		ret = vuc_set_vring_enable(d->v, 0, true, &e);
	if (ret == -ETIMEDOUT)
		check_fail(c, "an answer, or the end of the connection", "%s", e.what);
}

static struct check_dev *stopped(struct check *c)
{
	struct check_dev *d = check_dev(c,
					&(struct check_dev_args){ .size = 16, .no_start = true });

	req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
	return d;
}

/* Requests as good as they come; the ring writes over itself. */
static void feed(struct check *c, struct check_dev *d)
{
	const struct ring_ent e[3] = { { d->buf_gpa, 16, NEXT, 1 },
				       { d->buf_gpa + 4096, 512, WRITE | NEXT, 2 },
				       { d->buf_gpa + 512, 1, WRITE, 0 } };

	ring_put(d, 0, e, 3);
	fe_queue_kick(&d->q[0]);
	usleep(1000);
	ring_put(d, 0, e, 3);
	ring_outcome(c, d, 0);
}

static void overlap(struct check *c)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct check_dev *d = stopped(c);
		struct drv_ring *r = d->q[0].ring;
		uint64_t desc = drv_desc_addr(r), avail = drv_driver_addr(r);
		uint64_t used = drv_device_addr(r);

		check_note(c, "layout %u", i);
		switch (i) {
		case 0:
			start_at(c, d, desc, avail, avail);
			break;
		case 1:
			start_at(c, d, desc, avail, desc);
			break;
		case 2:
			start_at(c, d, desc, desc, desc);
			break;
		default:
			start_at(c, d, desc, avail, used & ~UINT64_C(63));
			break;
		}
		feed(c, d);
	}
	check_alive(c);
}

/* Data and status go into the ring that they come from. */
static void buffer_in_ring(struct check *c)
{
	for (unsigned int i = 0; i < 3; i++) {
		struct check_dev *d = dev(c);
		struct drv_ring *r = d->q[0].ring;
		const uint64_t at[3] = { drv_desc_addr(r), drv_driver_addr(r), drv_device_addr(r) };
		const struct ring_ent e[3] = { { d->buf_gpa, 16, NEXT, 1 },
					       { at[i], 512, WRITE | NEXT, 2 },
					       { at[i] + 8, 1, WRITE, 0 } };

		ring_put(d, 0, e, 3);
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

static void two_rings_one_place(struct check *c)
{
	struct check_dev *d =
		check_dev(c, &(struct check_dev_args){ .size = 16, .queues = 2, .no_start = true });
	struct drv_ring *r = d->q[0].ring, *own = d->q[1].ring;
	struct err e = { 0 };

	req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
	start_at(c, d, drv_desc_addr(r), drv_driver_addr(r), drv_device_addr(r));
	d->q[1].ring = r; /* both of them are the first */
	fe_queue_start(&d->q[1], d->t, NULL, &e);
	d->q[1].ring = own;
	feed(c, d);
	check_alive(c);
}

/* ---- memory that goes away ---- */

static const struct fe_mem_spec shrinks[] = {
	{ 0, MEM_SIZE, 0, false },
	{ MEM_SIZE, 1u << 20, 0, true },
};

/* The data of a request is cut off, while others are under way. */
static void data_cut(struct check *c)
{
	for (unsigned int i = 0; i < 3; i++) {
		const struct check_dev_args a = { .size = 64, .specs = shrinks, .nspecs = 2 };
		struct check_dev *d = check_dev(c, &a);
		const struct ring_ent e[3] = {
			{ i == 1 ? MEM_SIZE + 4096 : d->buf_gpa, 16, NEXT, 1 },
			{ i == 0 ? MEM_SIZE + 4096 : d->buf_gpa + 4096, 512, WRITE | NEXT, 2 },
			{ i == 2 ? MEM_SIZE + 4096 : d->buf_gpa + 512, 1, WRITE, 0 },
		};

		check_works(c, d, 0);
		req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
		if (ftruncate(d->m->r[1].fd, 0))
			check_skip(c, "the memory cannot be cut off");
		check_note(c, "%s is cut off", i == 0 ? "data" : i == 1 ? "header" : "status");
		ring_put(d, 0, e, 3);
		ring_outcome(c, d, 0);
	}
	check_alive(c);
}

/* The ring itself is in what is cut off. */
static void ring_cut(struct check *c)
{
	static const struct fe_mem_spec m[] = {
		{ 0, UINT64_C(2) << 20, 0, false },
		{ UINT64_C(2) << 20, MEM_SIZE, 0, true },
	};
	const struct check_dev_args a = { .size = 64, .specs = m, .nspecs = 2 };
	struct check_dev *d = check_dev(c, &a);
	struct vq_base b;
	struct err e = { 0 };

	if (drv_desc_addr(d->q[0].ring) < m[1].gpa)
		check_skip(c, "the ring is not in the region that can be cut off");
	for (unsigned int i = 0; i < 10; i++)
		check_works(c, d, 0);
	if (ftruncate(d->m->r[1].fd, 0))
		check_skip(c, "the memory cannot be cut off");
	for (unsigned int i = 0; i < 20; i++) {
		fe_queue_kick(&d->q[0]);
		usleep(5000);
	}
	/* Nothing of ours may look at the ring any more. */
	if (!check_closed(c, d->v, 0) &&
	    vuc_get_vring_base(d->v, 0, check_packed(c), &b, &e) == -ETIMEDOUT)
		check_fail(c, "an answer to GET_VRING_BASE, or the end of the connection", "%s",
			   e.what);
	check_dev_close(c, d);
	check_alive(c);
}

/* Pages of a running ring read as zeroes from one moment to the next. */
static void hole(struct check *c)
{
	const struct check_dev_args a = { .size = 64 };
	struct check_dev *d = check_dev(c, &a);
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	for (unsigned int i = 0; i < 10; i++)
		check_works(c, d, 0);
	if (fallocate(d->m->r[0].fd, mode, 0, (off_t)d->m->r[0].size))
		check_skip(c, "no hole can be made in this memory");
	ring_outcome(c, d, 0);
	check_alive(c);
}

/* A region that cannot be written to. */
static void read_only_region(struct check *c)
{
	struct check_dev *d = check_dev(c,
					&(struct check_dev_args){ .size = 16, .no_start = true });
	struct drv_ring *r = d->q[0].ring;
	struct err e = { 0 };
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", d->m->r[0].fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dup2(fd, d->m->r[0].fd) < 0)
		check_skip(c, "the memory cannot be opened read-only");
	close(fd);
	ret = vuc_set_mem_table(d->v, d->m, &e);
	if (!check_refused(c, d->v, ret)) {
		req_hdr(d, 0, VIRTIO_BLK_T_IN, 0);
		start_at(c, d, drv_desc_addr(r), drv_driver_addr(r), drv_device_addr(r));
		feed(c, d);
	}
	check_alive(c);
}

const struct check_case check_bad_memory_cases[] = {
	{ "bad-memory.flipped-chain", "VIRTIO 1.3 2.7.5",
	  "descriptors that change while they are read do no harm", CHECK_MUST, NEED_BLK, true,
	  flipped_chain },
	{ "bad-memory.flipped-table", "VIRTIO 1.3 2.7.5.3",
	  "an indirect table that changes while it is read does no harm", CHECK_MUST,
	  NEED_BLK | NEED_INDIRECT, true, flipped_table },
	{ "bad-memory.flipped-header", "VIRTIO 1.3 5.2.6",
	  "a request header that changes while it is read does no harm", CHECK_MUST, NEED_BLK, true,
	  flipped_header },
	{ "bad-memory.overlap", "vhost-user: SET_VRING_ADDR",
	  "a ring whose parts lie over each other does no harm", CHECK_MUST, NEED_BLK, true,
	  overlap },
	{ "bad-memory.buffer-in-ring", "VIRTIO 1.3 2.7.5",
	  "a request whose data go into the ring does no harm", CHECK_MUST, NEED_BLK, true,
	  buffer_in_ring },
	{ "bad-memory.two-rings-one-place", "vhost-user: SET_VRING_ADDR",
	  "two rings at the same place do no harm", CHECK_MUST, NEED_BLK | NEED_MQ, true,
	  two_rings_one_place },
	{ "bad-memory.data-cut", "vhost-user: Memory access",
	  "a file of memory that is cut off under a request does not end the process", CHECK_MUST,
	  NEED_BLK, true, data_cut },
	{ "bad-memory.ring-cut", "vhost-user: Memory access",
	  "a file of memory that is cut off under a ring does not end the process", CHECK_MUST,
	  NEED_BLK, true, ring_cut },
	{ "bad-memory.hole", "vhost-user: Memory access",
	  "a hole punched under a running ring does not end the process", CHECK_MUST, NEED_BLK,
	  true, hole },
	{ "bad-memory.read-only-region", "vhost-user: SET_MEM_TABLE",
	  "a region that cannot be written to is refused, or does no harm", CHECK_MUST, NEED_BLK,
	  true, read_only_region },
	{ 0 },
};
