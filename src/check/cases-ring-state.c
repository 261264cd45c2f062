/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: ring states. A ring is started or stopped, and, apart from that,
 * enabled or disabled; where it stands goes with the front-end.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check/req.h"
#include "util/compiler.h"
#include "util/loop.h"

#define NOTHING_MS 100 /* how long to watch for what must not happen */

static bool has_protocol(const struct check *c)
{
	return check_offers(c, VHOST_USER_F_PROTOCOL_FEATURES);
}

/* The back-end has dealt with everything sent so far. */
static void sync_with(struct check *c, struct check_dev *d)
{
	struct err e = { 0 };
	uint64_t f;

	check_ok(c, &e, vuc_get_features(d->v, &f, &e));
}

/* Everything but the kick, which starts it. */
static void set_up(struct check *c, struct check_dev *d, unsigned int qi)
{
	const struct drv_ring *r = d->q[qi].ring;
	const struct vhost_user_vring_addr a = {
		.index = qi,
		.desc = fe_mem_uva(d->m, drv_desc_addr(r)),
		.avail = fe_mem_uva(d->m, drv_driver_addr(r)),
		.used = fe_mem_uva(d->m, drv_device_addr(r)),
	};
	/* From where nothing was used yet: requests may be there already. */
	const struct vq_base base = { .avail_idx = r->used_idx,
				      .used_idx = r->used_idx,
				      .avail_wrap = r->packed && r->used_wrap,
				      .used_wrap = r->packed && r->used_wrap };
	struct err e = { 0 };

	check_ok(c, &e, vuc_set_vring_num(d->v, qi, r->size, &e));
	check_ok(c, &e, vuc_set_vring_base(d->v, qi, base, r->packed, &e));
	check_ok(c, &e, vuc_set_vring_addr(d->v, &a, &e));
	check_ok(c, &e, vuc_set_vring_call(d->v, qi, d->q[qi].call_fd, &e));
	check_ok(c, &e, vuc_set_vring_err(d->v, qi, d->q[qi].err_fd, &e));
}

static void set_kick(struct check *c, struct check_dev *d, unsigned int qi)
{
	struct err e = { 0 };

	check_ok(c, &e, vuc_set_vring_kick(d->v, qi, d->q[qi].kick_fd, &e));
}

static void enable(struct check *c, struct check_dev *d, unsigned int qi, bool on)
{
	struct err e = { 0 };

	if (has_protocol(c))
		check_ok(c, &e, vuc_set_vring_enable(d->v, qi, on, &e));
}

static struct check_dev *stopped_dev(struct check *c)
{
	return check_dev(c, &(struct check_dev_args){ .no_start = true, .size = 64 });
}

/* Add a read in @slot and show it, without a kick. */
static void show(struct check *c, struct check_dev *d, unsigned int qi, uint32_t slot)
{
	req_must_add(c, d, qi, slot, req_ref_sector(c, slot));
	drv_publish(d->q[qi].ring);
}

static void show_and_kick(struct check *c, struct check_dev *d, unsigned int qi, uint32_t slot)
{
	show(c, d, qi, slot);
	fe_queue_kick(&d->q[qi]);
}

static void serve(struct check *c, struct check_dev *d, unsigned int qi, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		show_and_kick(c, d, qi, i % 8);
		req_reap(c, d, qi, 1);
	}
}

/* Nothing comes back, and nothing was written, for a while. */
static void expect_nothing(struct check *c, struct check_dev *d, unsigned int qi, uint32_t slot,
			   const char *when)
{
	struct drv_used u;

	sync_with(c, d);
	if (req_poll(d, qi, &u, NOTHING_MS))
		check_fail(c, "a ring that is left alone", "a request was used %s", when);
	if (d->buf[req_status_at(c, slot)] != REQ_PENDING || d->buf[req_at(c, slot)] != REQ_POISON)
		check_fail(c, "memory that is left alone", "a request was carried out %s", when);
}

/* ---- start ---- */

static void stopped(struct check *c)
{
	struct check_dev *d = stopped_dev(c);

	show_and_kick(c, d, 0, 0);
	set_up(c, d, 0);
	enable(c, d, 0, true);
	expect_nothing(c, d, 0, 0, "before SET_VRING_KICK");
	set_kick(c, d, 0);
	fe_queue_kick(&d->q[0]);
	req_reap(c, d, 0, 1);
}

static void enable_first(struct check *c)
{
	struct check_dev *d = stopped_dev(c);

	enable(c, d, 0, true);
	set_up(c, d, 0);
	set_kick(c, d, 0);
	sync_with(c, d);
	serve(c, d, 0, 10);
}

static void enable_last(struct check *c)
{
	struct check_dev *d = stopped_dev(c);

	set_up(c, d, 0);
	set_kick(c, d, 0);
	show_and_kick(c, d, 0, 0);
	sync_with(c, d);
	enable(c, d, 0, true);
	/* Whether it was kicked before or after is not for the back-end to count. */
	fe_queue_kick(&d->q[0]);
	req_reap(c, d, 0, 1);
	serve(c, d, 0, 10);
}

/* As after a reconnect: requests are there, and nobody will kick for them. */
static void served_without_kick(struct check *c)
{
	struct check_dev *d = stopped_dev(c);
	struct drv_used u;

	show(c, d, 0, 0);
	set_up(c, d, 0);
	set_kick(c, d, 0);
	enable(c, d, 0, true);
	if (!req_poll(d, 0, &u, check_timeout_ms(c)))
		check_fail(c, "a look at the ring when it starts",
			   "a request that was there before waited for a kick");
}

static void enabled_at_once(struct check *c)
{
	const struct check_dev_args a = { .virtio_off = VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES),
					  .protocol_off = UINT64_MAX,
					  .no_start = true };
	struct check_dev *d = check_dev(c, &a);

	set_up(c, d, 0);
	set_kick(c, d, 0);
	sync_with(c, d);
	serve(c, d, 0, 10);
}

/* ---- enable and disable ---- */

static void toggles(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	for (unsigned int i = 0; i < 20; i++) {
		serve(c, d, 0, 3);
		enable(c, d, 0, false);
		if (i & 1)
			enable(c, d, 0, false);
		enable(c, d, 0, true);
		sync_with(c, d);
	}
	serve(c, d, 0, 3);
}

/* A request made available while disabled is not lost, whenever it is served. */
static void goes_on(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	serve(c, d, 0, 5);
	enable(c, d, 0, false);
	sync_with(c, d);
	show_and_kick(c, d, 0, 0);
	usleep(20000);
	enable(c, d, 0, true);
	sync_with(c, d);
	req_reap(c, d, 0, 1); /* without another kick: the driver has given its own */
	serve(c, d, 0, 5);
}

/* One block at @sector, as queue @qi sees it. */
static void one_block(struct check *c, struct check_dev *d, unsigned int qi, uint32_t type,
		      uint64_t sector, uint32_t off)
{
	uint8_t st = check_blk(c, d, qi, type, sector, off, req_block(c));

	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "status 0 (OK)", "status %u for a request of type %u", st, type);
}

static void disabled_writes(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .queues = 2 });
	uint64_t sector = req_scratch(c, req_block(c));
	uint32_t bs = req_block(c), old = 256 * 1024, got = 512 * 1024;
	struct drv_used u;
	bool used;

	req_fill(d->buf + old, bs, 1);
	one_block(c, d, 1, VIRTIO_BLK_T_OUT, sector, old);
	enable(c, d, 0, false);
	sync_with(c, d);
	req_fill(d->buf + req_at(c, 0), bs, 2);
	if (req_add(c, d, 0, 0, VIRTIO_BLK_T_OUT, sector, false) < 0)
		check_fail(c, "room in the ring", "none");
	drv_publish(d->q[0].ring);
	fe_queue_kick(&d->q[0]);
	used = req_poll(d, 0, &u, NOTHING_MS);
	one_block(c, d, 1, VIRTIO_BLK_T_IN, sector, got);
	if (req_differs(d->buf + old, d->buf + got, bs) < bs)
		check_fail(c, "a disabled ring that is processed without side effects, or not",
			   "a write on it changed the disk");
	enable(c, d, 0, true);
	if (!used)
		req_reap(c, d, 0, 1);
}

/* For a disk that means: it waits. */
static void disabled_waits(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	serve(c, d, 0, 1);
	enable(c, d, 0, false);
	sync_with(c, d);
	show_and_kick(c, d, 0, 0);
	expect_nothing(c, d, 0, 0, "while the ring was disabled");
	enable(c, d, 0, true);
	req_reap(c, d, 0, 1);
}

/* ---- stop ---- */

static void same_base(struct check *c, const struct check_dev *d, unsigned int qi,
		      struct vq_base got)
{
	struct vq_base want = drv_ring_base(d->q[qi].ring);

	if (got.avail_idx != want.avail_idx || got.avail_wrap != want.avail_wrap)
		check_fail(c, "the index of the next available entry",
			   "%u (wrap counter %d) instead of %u (%d)", got.avail_idx, got.avail_wrap,
			   want.avail_idx, want.avail_wrap);
	if (check_packed(c) && (got.used_idx != want.used_idx || got.used_wrap != want.used_wrap))
		check_fail(c, "the position of the next used descriptor in the upper half",
			   "%u (wrap counter %d) instead of %u (%d)", got.used_idx, got.used_wrap,
			   want.used_idx, want.used_wrap);
}

static void stop_index(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 16 });

	for (unsigned int i = 0; i < 12; i++) {
		serve(c, d, 0, i);
		same_base(c, d, 0, check_stop(c, d, 0));
		check_start(c, d, 0);
	}
}

#define DRAIN 40 /* requests under way at a stop */

/* When the answer is there, what was taken is done, and nothing moves any more. */
static void stop_drains(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 128 });
	struct drv_ring *r = d->q[0].ring;
	uint32_t max = MIN((uint32_t)DRAIN, req_slots(c));
	struct err e = { 0 };

	for (unsigned int round = 0; round < 120; round++) {
		unsigned int n = 0, done = 0;
		struct drv_used u[DRAIN];
		struct vq_base b;

		while (n < max)
			req_must_add(c, d, 0, n, req_ref_sector(c, n)), n++;
		drv_publish(r);
		fe_queue_kick(&d->q[0]);
		/* Once the first are taken, and before the last are done: nobody knows when. */
		for (uint64_t until = clock_ns() + round % 30 * 8000; clock_ns() < until;)
			cpu_relax();
		b = check_stop(c, d, 0);
		done = drv_get(r, u, ARRAY_SIZE(u));
		if (!check_packed(c) && b.avail_idx != r->used_idx)
			check_fail(c, "every request that was taken to be used before the answer",
				   "the index is %u, the used index %u", b.avail_idx, r->used_idx);
		if (check_packed(c) && (b.avail_idx != r->used_idx || b.avail_wrap != r->used_wrap))
			check_fail(c, "every request that was taken to be used before the answer",
				   "available position %u, used position %u", b.avail_idx,
				   r->used_idx);
		if (req_poll(d, 0, u, round % 8 ? 2 : 50))
			check_fail(c, "a stopped ring that is left alone",
				   "a request was used after the answer");
		check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &b, &e));
		req_reap(c, d, 0, n - done);
	}
}

/* Requests flow over many stops: none is lost, none is run twice (the ring would tell). */
static void restart(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 32 });
	const uint8_t *ref = req_reference(c, d);
	struct err e = { 0 };

	for (unsigned int round = 0; round < 60; round++) {
		unsigned int n = 1 + check_rnd(c) % 10;
		struct vq_base b;

		for (unsigned int i = 0; i < n; i++)
			req_must_add(c, d, 0, i, req_ref_sector(c, i + round));
		drv_publish(d->q[0].ring);
		fe_queue_kick(&d->q[0]);
		b = check_stop(c, d, 0);
		check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &b, &e));
		req_reap(c, d, 0, n);
		for (unsigned int i = 0; i < n; i++)
			req_compare(c, ref, i + round, d->buf + req_at(c, i), "over a stop");
	}
}

static void closes_descriptors(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { 0 };
	struct vq_base b;

	serve(c, d, 0, 3);
	b = check_stop(c, d, 0);
	show_and_kick(c, d, 0, 0); /* on the descriptor it had */
	expect_nothing(c, d, 0, 0, "in a stopped ring");
	check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &b, &e));
	req_reap(c, d, 0, 1);
}

static void while_stopped(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { 0 };
	struct vq_base b;

	serve(c, d, 0, 3);
	b = check_stop(c, d, 0);
	for (uint32_t i = 0; i < 20; i++)
		show(c, d, 0, i);
	check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &b, &e));
	req_reap(c, d, 0, 20);
}

static void never_started(struct check *c)
{
	struct check_dev *d = stopped_dev(c);
	struct err e = { 0 };
	struct vq_base b;

	check_ok(c, &e, vuc_get_vring_base(d->v, 0, check_packed(c), &b, &e));
	sync_with(c, d);
	enable(c, d, 0, true);
	set_up(c, d, 0);
	set_kick(c, d, 0);
	serve(c, d, 0, 5);
}

static void never_started_base(struct check *c)
{
	const struct vq_base split = { .avail_idx = 77 };
	const struct vq_base packed = { .avail_idx = 7,
					.used_idx = 7,
					.avail_wrap = true,
					.used_wrap = true };
	struct vq_base want = check_packed(c) ? packed : split, got;
	struct check_dev *d = stopped_dev(c);
	struct err e = { 0 };

	check_ok(c, &e, vuc_set_vring_num(d->v, 0, 64, &e));
	check_ok(c, &e, vuc_set_vring_base(d->v, 0, want, check_packed(c), &e));
	check_ok(c, &e, vuc_get_vring_base(d->v, 0, check_packed(c), &got, &e));
	if (got.avail_idx != want.avail_idx || got.avail_wrap != want.avail_wrap)
		check_fail(c, "the base that was set", "%u instead of %u", got.avail_idx,
			   want.avail_idx);
}

static void stop_twice(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { 0 };
	struct vq_base b;

	serve(c, d, 0, 3);
	check_stop(c, d, 0);
	check_ok(c, &e, vuc_get_vring_base(d->v, 0, check_packed(c), &b, &e));
	same_base(c, d, 0, b);
	check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &b, &e));
	serve(c, d, 0, 3);
}

/* As a driver that is loaded anew has it: another ring, elsewhere, from the beginning. */
static void another_ring(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .size = 64 });
	struct err e = { 0 };

	for (uint32_t size = 128; size >= 16; size /= 2) {
		const struct fe_queue_args a = { .size = size,
						 .features = d->virtio,
						 .indirect_max = 0,
						 .base = VQ_BASE_INIT };

		serve(c, d, 0, 7);
		check_stop(c, d, 0);
		fe_queue_fini(&d->q[0]);
		check_ok(c, &e, fe_queue_init(&d->q[0], d->m, &a, &e));
		check_start(c, d, 0);
		serve(c, d, 0, 2 * size / 3 + 7);
	}
}

static void others_run(struct check *c)
{
	struct check_dev *d = check_dev(c, &(struct check_dev_args){ .queues = 2 });
	struct err e = { 0 };

	for (unsigned int i = 0; i < 10; i++) {
		struct vq_base b;

		for (uint32_t k = 0; k < 5; k++)
			req_must_add(c, d, 1, 100 + k, req_ref_sector(c, k));
		fe_queue_publish(&d->q[1]);
		b = check_stop(c, d, 0);
		serve(c, d, 1, 0);
		req_reap(c, d, 1, 5);
		show_and_kick(c, d, 1, 120);
		req_reap(c, d, 1, 1);
		check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &b, &e));
		serve(c, d, 0, 2);
	}
}

/* ---- descriptors changed while it runs ---- */

static int bell(struct check *c)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		check_skip(c, "cannot make an eventfd");
	return fd;
}

/* A request that ends with a notification on the present call descriptor. */
static void notified(struct check *c, struct check_dev *d, const char *where)
{
	struct drv_used u;

	while (req_hear(d->q[0].call_fd, 0))
		;
	drv_call_on(d->q[0].ring, 1);
	show_and_kick(c, d, 0, 0);
	if (!req_hear(d->q[0].call_fd, check_timeout_ms(c)))
		check_fail(c, "a notification", "none came %s", where);
	if (!req_poll(d, 0, &u, check_timeout_ms(c)))
		check_fail(c, "a used request", "none %s", where);
}

static void call_changed(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { 0 };

	for (unsigned int i = 0; i < 5; i++) {
		int old = d->q[0].call_fd;
		uint64_t n;

		notified(c, d, "on the first descriptor");
		req_quiet(d, 0);
		d->q[0].call_fd = bell(c);
		check_ok(c, &e, vuc_set_vring_call(d->v, 0, d->q[0].call_fd, &e));
		sync_with(c, d);
		req_hear(old, 0); /* what was under way */
		notified(c, d, "on the new descriptor");
		n = req_hear(old, 0);
		close(old);
		if (n)
			check_fail(c, "no notifications on a call descriptor that was replaced",
				   "%llu", (unsigned long long)n);
	}
}

static void call_none(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { 0 };

	serve(c, d, 0, 3);
	check_ok(c, &e, vuc_set_vring_call(d->v, 0, -1, &e));
	sync_with(c, d);
	serve(c, d, 0, 20); /* looks for itself */
	check_ok(c, &e, vuc_set_vring_call(d->v, 0, d->q[0].call_fd, &e));
	sync_with(c, d);
	notified(c, d, "after the call descriptor was given back");
}

static void kick_changed(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { 0 };

	for (unsigned int i = 0; i < 5; i++) {
		int fd = bell(c);

		serve(c, d, 0, 3);
		check_ok(c, &e, vuc_set_vring_kick(d->v, 0, fd, &e));
		sync_with(c, d);
		close(d->q[0].kick_fd);
		d->q[0].kick_fd = fd;
		serve(c, d, 0, 3);
	}
}

static void kick_none(struct check *c)
{
	struct check_dev *d = stopped_dev(c);
	struct err e = { 0 };

	set_up(c, d, 0);
	check_ok(c, &e, vuc_set_vring_kick(d->v, 0, -1, &e));
	enable(c, d, 0, true);
	sync_with(c, d);
	for (uint32_t i = 0; i < 20; i++) {
		show(c, d, 0, 0);
		req_reap(c, d, 0, 1);
	}
}

static void features_again(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { 0 };
	uint64_t f = d->virtio |
		     (check_facts(c)->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES));

	for (unsigned int i = 0; i < 10; i++) {
		serve(c, d, 0, 3);
		check_ok(c, &e, vuc_set_features(d->v, f, &e));
		sync_with(c, d);
	}
	serve(c, d, 0, 3);
}

static void error_descriptor(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	const struct ring_ent bad = { UINT64_C(1) << 60, 16, 0, 0 };

	serve(c, d, 0, 3);
	ring_put(d, 0, &bad, 1);
	fe_queue_kick(&d->q[0]);
	if (!fe_queue_err(&d->q[0], MIN(check_timeout_ms(c), 1000)))
		check_fail(c, "a signal on the descriptor of SET_VRING_ERR",
			   check_closed(c, d->v, 0) ? "the end of the connection" : "nothing");
}

const struct check_case check_ring_state_cases[] = {
	{ "ring-state.stopped", "vhost-user: Ring states",
	  "a ring that is not started is left alone, enabled or not", CHECK_MUST, NEED_BLK, true,
	  stopped },
	{ "ring-state.enable-first", "vhost-user: Ring states",
	  "a ring that is enabled before it starts is enabled when it has started", CHECK_MUST,
	  NEED_BLK | NEED_PROTOCOL, true, enable_first },
	{ "ring-state.enable-last", "vhost-user: Ring states",
	  "a ring that is enabled after it started serves what is there", CHECK_MUST,
	  NEED_BLK | NEED_PROTOCOL, true, enable_last },
	{ "ring-state.served-without-kick", "vhost-user: SET_VRING_KICK",
	  "requests that are there when a ring starts are served without a kick", CHECK_SHOULD,
	  NEED_BLK, true, served_without_kick },
	{ "ring-state.enabled-at-once", "vhost-user: Ring states",
	  "without F_PROTOCOL_FEATURES a ring is enabled when it starts", CHECK_MUST, NEED_BLK,
	  true, enabled_at_once },
	{ "ring-state.toggles", "vhost-user: Ring states",
	  "disabling and enabling a ring does not move it", CHECK_MUST, NEED_BLK | NEED_PROTOCOL,
	  true, toggles },
	{ "ring-state.goes-on", "vhost-user: Ring states",
	  "what was made available in a disabled ring is served once it is enabled", CHECK_MUST,
	  NEED_BLK | NEED_PROTOCOL, true, goes_on },
	{ "ring-state.disabled-writes", "vhost-user: Ring states",
	  "a disabled ring has no side effects: a write on it does not change the disk", CHECK_MUST,
	  NEED_BLK | NEED_PROTOCOL | NEED_MQ | NEED_WRITE | NEED_WRITABLE, true, disabled_writes },
	{ "ring-state.disabled-waits", "vhost-user: Ring states",
	  "a disk does not serve a disabled ring", CHECK_SHOULD, NEED_BLK | NEED_PROTOCOL, true,
	  disabled_waits },
	{ "ring-state.stop-index", "vhost-user: GET_VRING_BASE",
	  "GET_VRING_BASE answers where the ring stands", CHECK_MUST, NEED_BLK, true, stop_index },
	{ "ring-state.stop-drains", "vhost-user: GET_VRING_BASE",
	  "when GET_VRING_BASE is answered nothing is in flight and nothing moves", CHECK_MUST,
	  NEED_BLK, true, stop_drains },
	{ "ring-state.restart", "vhost-user: SET_VRING_BASE",
	  "a ring that is started again goes on exactly where it stopped", CHECK_MUST, NEED_BLK,
	  true, restart },
	{ "ring-state.kick-while-stopped", "vhost-user: GET_VRING_BASE",
	  "a kick on a stopped ring has no effect", CHECK_MUST, NEED_BLK, true,
	  closes_descriptors },
	{ "ring-state.filled-while-stopped", "vhost-user: Ring states",
	  "requests made available in a stopped ring are served when it starts", CHECK_MUST,
	  NEED_BLK, true, while_stopped },
	{ "ring-state.never-started", "vhost-user: GET_VRING_BASE",
	  "GET_VRING_BASE of a ring that was never started is answered, and does no harm",
	  CHECK_MUST, NEED_BLK, true, never_started },
	{ "ring-state.never-started-base", "vhost-user: GET_VRING_BASE",
	  "GET_VRING_BASE of a ring that was never started gives the base that was set",
	  CHECK_SHOULD, NEED_BLK, true, never_started_base },
	{ "ring-state.stop-twice", "vhost-user: GET_VRING_BASE",
	  "GET_VRING_BASE of a stopped ring gives the same answer again", CHECK_SHOULD, NEED_BLK,
	  true, stop_twice },
	{ "ring-state.another-ring", "vhost-user: SET_VRING_ADDR",
	  "a stopped ring may be started with another size, at another place", CHECK_MUST, NEED_BLK,
	  true, another_ring },
	{ "ring-state.others-run", "vhost-user: GET_VRING_BASE",
	  "stopping one ring does not stop another", CHECK_MUST, NEED_BLK | NEED_MQ, true,
	  others_run },
	{ "ring-state.call-changed", "vhost-user: SET_VRING_CALL",
	  "the call descriptor may be changed while the ring runs", CHECK_MUST, NEED_BLK, true,
	  call_changed },
	{ "ring-state.call-none", "vhost-user: SET_VRING_CALL",
	  "a ring runs without a call descriptor", CHECK_MUST, NEED_BLK, true, call_none },
	{ "ring-state.kick-changed", "vhost-user: SET_VRING_KICK",
	  "the kick descriptor may be changed while the ring runs", CHECK_SHOULD, NEED_BLK, true,
	  kick_changed },
	{ "ring-state.kick-none", "vhost-user: SET_VRING_KICK",
	  "a ring without a kick descriptor is polled", CHECK_SHOULD, NEED_BLK, true, kick_none },
	{ "ring-state.features-again", "vhost-user: SET_FEATURES",
	  "SET_FEATURES with the same features does not disturb a running ring", CHECK_MUST,
	  NEED_BLK, true, features_again },
	{ "ring-state.error-descriptor", "vhost-user: SET_VRING_ERR",
	  "a broken ring is reported on its error descriptor", CHECK_SHOULD, NEED_BLK, true,
	  error_descriptor },
	{ 0 },
};
