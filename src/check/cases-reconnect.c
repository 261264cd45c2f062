/* SPDX-License-Identifier: MIT */
/* vuctl check: one front-end after another. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"
#include "wire/virtio-blk.h"

#define COMM  "vhost-user: Communication"
#define BASE  "vhost-user: VHOST_USER_SET_VRING_BASE"
#define STATE "vhost-user: Ring states"

#define MIB ((uint64_t)1 << 20)

static const struct check_dev_args plain = { .protocol_off = RAW_PF(STATUS) };

static void again(struct check *c)
{
	for (unsigned int i = 0; i < 3; i++) {
		struct check_dev *d = check_dev(c, NULL);

		check_works(c, d, 0);
		check_stop(c, d, 0);
		check_dev_close(c, d);
	}
}

/* ---- the same rings over another connection ---- */

/* Connect anew, tell memory and ring 0, which goes on where @base says. */
static void resume(struct check *c, struct check_dev *d, struct vq_base base)
{
	struct err e;

	raw_reattach(c, d);
	check_ok(c, &e, vuc_set_mem_table(d->v, d->m, &e));
	check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &base, &e));
}

static void ring_continues(struct check *c)
{
	struct check_dev *d = check_dev(c, &plain);

	for (unsigned int i = 0; i < 4; i++) {
		/* An odd number, so that no position is 0 again. */
		for (unsigned int k = 0; k < 29; k++)
			check_works(c, d, 0);
		resume(c, d, check_stop(c, d, 0));
	}
	check_works(c, d, 0);
}

/* Nobody asked for the position: everything was done, so the driver knows it. */
static void no_stop(struct check *c)
{
	struct check_dev *d = check_dev(c, &plain);

	for (unsigned int i = 0; i < 4; i++) {
		for (unsigned int k = 0; k < 13; k++)
			check_works(c, d, 0);
		resume(c, d, drv_ring_base(d->q[0].ring));
	}
	check_works(c, d, 0);
}

static void no_kick_lost(struct check *c)
{
	struct check_dev *d = check_dev(c, &plain);
	struct vq_base base;

	check_works(c, d, 0);
	base = check_stop(c, d, 0);
	/* Handed over while nobody was there; the back-end must find them by itself or by the
	 * kick that came before it. */
	raw_submit(c, d, 16);
	resume(c, d, base);
	raw_collect(c, d, 16);
}

/* ---- an end in the middle ---- */

static void mid_request(struct check *c)
{
	for (unsigned int i = 0; i < 10; i++) {
		struct check_dev *d = check_dev(c, NULL);

		raw_submit(c, d, 32);
		check_dev_close(c, d);
	}
	check_alive(c);
}

static void mid_stop(struct check *c)
{
	const struct {
		struct vhost_user_hdr h;
		struct vhost_user_vring_state s;
	} get = { { VHOST_USER_GET_VRING_BASE, VHOST_USER_VERSION, sizeof(get.s) }, { 0, 0 } };

	for (unsigned int i = 0; i < 10; i++) {
		struct check_dev *d = check_dev(c, NULL);

		raw_submit(c, d, 32);
		(void)raw_send(c, d->v, &get, sizeof(get), NULL, 0);
		check_dev_close(c, d);
	}
	check_alive(c);
}

static void mid_message(struct check *c)
{
	for (unsigned int cut = 1; cut < 20; cut += 3) {
		struct check_dev *d = check_dev(c, NULL);
		const struct {
			struct vhost_user_hdr h;
			uint64_t u;
		} __attribute__((packed))
		msg = { { VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, sizeof(msg.u) }, 0 };

		check_works(c, d, 0);
		(void)raw_send(c, d->v, &msg, MIN((size_t)cut, sizeof(msg)), NULL, 0);
		check_dev_close(c, d);
	}
	check_alive(c);
}

/* The front-end is gone, and so is its memory: what was under way must not trip over it. */
static void memory_gone(struct check *c)
{
	static const struct fe_mem_spec s = { .size = 16 * MIB, .may_shrink = true };
	const struct check_dev_args a = { .specs = &s, .nspecs = 1 };

	for (unsigned int i = 0; i < 10; i++) {
		struct check_dev *d = check_dev(c, &a);

		raw_submit(c, d, 32);
		check_disconnect(c, d->v);
		if (ftruncate(d->m->r[0].fd, 0) < 0)
			check_skip(c, "cannot shrink guest memory: %s", strerror(errno));
	}
	check_alive(c);
}

/* ---- what is forgotten, and what is not ---- */

static void fresh_memory(struct check *c)
{
	static const struct fe_mem_spec specs[][2] = {
		{ { .gpa = 0, .size = 16 * MIB }, { .gpa = 64 * MIB, .size = 4 * MIB } },
		{ { .gpa = 1024 * MIB, .size = 16 * MIB }, { .gpa = 0, .size = 4 * MIB } },
		{ { .gpa = 64 * MIB, .size = 16 * MIB, .offset = 4096 },
		  { .gpa = 32 * MIB, .size = 4 * MIB } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		const struct check_dev_args a = { .specs = specs[i], .nspecs = 2 };
		struct check_dev *d = check_dev(c, &a);

		raw_read_into(c, d, d->m->r[1].gpa, d->m->r[1].host);
		check_dev_close(c, d);
	}
}

static void other_features(struct check *c)
{
	static const uint64_t off[] = {
		0,
		VIRTIO_BIT(VIRTIO_F_EVENT_IDX),
		VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC),
		VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC),
		0,
	};

	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		const struct check_dev_args a = { .virtio_off = off[i] };
		struct check_dev *d = check_dev(c, &a);

		for (unsigned int k = 0; k < 8; k++)
			check_works(c, d, 0);
		raw_submit(c, d, 32);
		raw_collect(c, d, 32);
		check_dev_close(c, d);
	}
}

/* Set up half by one front-end, half by the next: nothing of the first may count. */
static void rings_forgotten(struct check *c)
{
	static const struct check_dev_args stopped = { .no_start = true,
						       .protocol_off = RAW_PF(STATUS) };
	struct check_dev *d = check_dev(c, &stopped);
	const struct vhost_user_vring_state ask = { 0, 0 };
	struct vhost_user_vring_state said = { 0, 0 };
	struct vuc_msg get = { .request = VHOST_USER_GET_VRING_BASE,
			       .payload = &ask,
			       .size = sizeof(ask),
			       .reply = &said,
			       .reply_min = sizeof(said),
			       .reply_max = sizeof(said) };
	struct err e;

	check_ok(c, &e, raw_state(d->v, VHOST_USER_SET_VRING_BASE, 0, 77, &e));
	check_ok(c, &e, vuc_set_vring_num(d->v, 0, 64, &e));
	raw_sync(c, d->v);
	check_dev_close(c, d);
	d = check_dev(c, &stopped);
	check_ok(c, &e, vuc_call(d->v, &get, &e));
	if (said.num == 77)
		check_fail(c, "a ring at its beginning", "it is at 77, where another put it");
	check_start(c, d, 0);
	check_works(c, d, 0);
}

static void data_stays(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint32_t n = raw_block(c);
	uint8_t old[65536], st;

	if (n > sizeof(old) || check_facts(c)->sectors < n / 512)
		check_skip(c, "the disk has no block that fits");
	if (check_blk(c, d, 0, VIRTIO_BLK_T_IN, 0, 0, n) != VIRTIO_BLK_S_OK)
		check_fail(c, "the first block can be read", "it cannot");
	memcpy(old, d->buf, n);
	for (uint32_t i = 0; i < n; i++)
		d->buf[i] = (uint8_t)(old[i] ^ (0x80 | i));
	st = check_blk(c, d, 0, VIRTIO_BLK_T_OUT, 0, 0, n);
	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "the first block can be written", "status %u", st);
	check_dev_close(c, d);

	d = check_dev(c, NULL);
	st = check_blk(c, d, 0, VIRTIO_BLK_T_IN, 0, 0, n);
	for (uint32_t i = 0; st == VIRTIO_BLK_S_OK && i < n; i++)
		if (d->buf[i] != (uint8_t)(old[i] ^ (0x80 | i)))
			check_fail(c, "what was written before is there",
				   "byte %u is 0x%x instead of 0x%x", i, d->buf[i],
				   (uint8_t)(old[i] ^ (0x80 | i)));
	memcpy(d->buf, old, n);
	check_blk(c, d, 0, VIRTIO_BLK_T_OUT, 0, 0, n);
	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "the first block can be read", "status %u", st);
}

/* The back-channel is seen to close; eventfds and memory go the same way. */
static void closes_back_channel(struct check *c)
{
	struct vuc *v = check_connect(c);
	struct pollfd p;
	char junk[256];
	struct err e;
	ssize_t n;
	int fd;

	check_negotiate(c, v, RAW_VIRTIO, RAW_PROTOCOL);
	check_ok(c, &e, vuc_set_backend_req_fd(v, &e));
	raw_sync(c, v);
	fd = dup(vuc_back_fd(v));
	check_disconnect(c, v);
	if (fd < 0)
		check_skip(c, "no descriptor left");
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	do {
		n = poll(&p, 1, check_timeout_ms(c)) == 1 ?
			    recv(fd, junk, sizeof(junk), MSG_DONTWAIT) :
			    -1;
	} while (n > 0);
	close(fd);
	if (n < 0)
		check_fail(c, "the end of the back-channel", "it is still open");
}

const struct check_case check_reconnect_cases[] = {
	{ "reconnect.again", COMM, "a second front-end is served like the first", CHECK_MUST,
	  NEED_BLK, true, again },
	{ "reconnect.ring-continues", BASE,
	  "a ring goes on over another connection where it was stopped", CHECK_MUST, NEED_BLK, true,
	  ring_continues },
	{ "reconnect.no-stop", BASE,
	  "a ring goes on over another connection though nobody had stopped it", CHECK_MUST,
	  NEED_BLK, true, no_stop },
	{ "reconnect.no-kick-lost", STATE,
	  "requests that were in the ring before it was started are served", CHECK_MUST, NEED_BLK,
	  true, no_kick_lost },
	{ "reconnect.mid-request", COMM, "a connection may end with requests under way", CHECK_MUST,
	  NEED_BLK, true, mid_request },
	{ "reconnect.mid-stop", COMM, "a connection may end while a ring is being stopped",
	  CHECK_MUST, NEED_BLK, true, mid_stop },
	{ "reconnect.mid-message", COMM, "a connection may end within a message while rings run",
	  CHECK_MUST, NEED_BLK, false, mid_message },
	{ "reconnect.memory-gone", COMM,
	  "memory that vanishes with its front-end costs nobody else anything", CHECK_MUST,
	  NEED_BLK, false, memory_gone },
	{ "reconnect.fresh-memory", COMM, "nothing of the memory before is remembered", CHECK_MUST,
	  NEED_BLK, false, fresh_memory },
	{ "reconnect.other-features", COMM, "features are those of the present front-end",
	  CHECK_MUST, NEED_BLK, true, other_features },
	{ "reconnect.rings-forgotten", COMM, "nothing of the rings before is remembered",
	  CHECK_SHOULD, NEED_BLK, false, rings_forgotten },
	{ "reconnect.data-stays", "VIRTIO 1.3 5.2.6", "what was written stays written", CHECK_MUST,
	  NEED_BLK | NEED_WRITE, true, data_stays },
	{ "reconnect.closes-back-channel", "vhost-user: Back-end communication",
	  "the back-channel is closed with the connection", CHECK_MUST, NEED_BACKEND_REQ, false,
	  closes_back_channel },
	{ 0 },
};
