/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: notifications in both directions, with the event index and
 * with flags.
 *
 * The driver here kicks only when the device asks for it, and looks at the
 * ring, notified or not, so that a kick that was lost and a notification that
 * was not sent can be told apart.
 */
#include <string.h>

#include "check/req.h"
#include "util/compiler.h"
#include "util/loop.h"

#define QUIET_MS 100 /* how long to wait for what must not come */

static le16 *used_event(struct drv_ring *r)
{
	return &r->avail->ring[r->size];
}

static void put_driver_event(struct drv_ring *r, uint16_t off_wrap, uint16_t flags)
{
	uint32_t v = (uint32_t)off_wrap | (uint32_t)flags << 16;

	__atomic_store_n((le32 *)(void *)r->driver_event, htole32(v), __ATOMIC_SEQ_CST);
}

static struct check_dev *dev(struct check *c, bool event_idx, uint32_t size, struct vq_base base)
{
	const struct check_dev_args a = {
		.virtio_off = event_idx ? 0 : VIRTIO_BIT(VIRTIO_F_EVENT_IDX),
		.size = size,
		.base = base,
	};

	return check_dev(c, &a);
}

static struct check_dev *plain(struct check *c, bool event_idx)
{
	return dev(c, event_idx, 64, (struct vq_base){ 0 });
}

/* Add @n reads in the first slots and show them, kicking if that is wanted. */
static void add(struct check *c, struct check_dev *d, unsigned int n)
{
	for (uint32_t i = 0; i < n; i++)
		req_must_add(c, d, 0, i, req_ref_sector(c, i));
	fe_queue_publish(&d->q[0]);
}

/* A notification has to come for what is on its way. */
static void must_notify(struct check *c, struct check_dev *d, const char *when)
{
	struct drv_used u;

	if (req_hear(d->q[0].call_fd, check_timeout_ms(c)))
		return;
	if (req_poll(d, 0, &u, 0))
		check_fail(c, "a notification", "none within %d ms, though a request was used: %s",
			   check_timeout_ms(c), when);
	check_fail(c, "a request that is served", "neither that nor a notification: %s", when);
}

/* One request, one notification. */
static void ping(struct check *c, struct check_dev *d, const char *when)
{
	/* What was late from the last one is heard here, or ends one wait too early. */
	req_hear(d->q[0].call_fd, 0);
	add(c, d, 1);
	for (;;) {
		must_notify(c, d, when);
		if (drv_call_on(d->q[0].ring, 1))
			break;
	}
	req_reap(c, d, 0, 1);
}

/* ---- notifications that have to come ---- */

static void pings(struct check *c, struct check_dev *d, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		drv_call_on(d->q[0].ring, 1);
		ping(c, d, "one request at a time");
	}
}

static void notified_event(struct check *c)
{
	pings(c, plain(c, true), 300);
}

static void notified_flags(struct check *c)
{
	pings(c, plain(c, false), 300);
}

static void wraps(struct check *c)
{
	const struct vq_base split = { .avail_idx = 65516 };
	const struct vq_base packed = { .avail_idx = 12, .used_idx = 12 };

	for (unsigned int i = 0; i < 2; i++) {
		struct check_dev *d = dev(c, i, 16, check_packed(c) ? packed : split);

		pings(c, d, 40);
		check_dev_close(c, d);
	}
}

/*
 * Bursts, with a sleep only after the driver has armed and found nothing. A
 * notification that is lost shows as one that does not come.
 */
static void call_race(struct check *c, struct check_dev *d)
{
	struct drv_ring *r = d->q[0].ring;

	for (unsigned int i = 0; i < 1500; i++) {
		unsigned int n = 1 + check_rnd(c) % 6, left = n;

		drv_call_off(r);
		add(c, d, n);
		for (unsigned int spin = check_rnd(c) % 300; spin; spin--)
			cpu_relax();
		while (left) {
			struct drv_used u;

			while (left && drv_get(r, &u, 1))
				left--;
			/* An early one ends the wait too early, which is why this is a loop. */
			if (left && !drv_broken(r) && !drv_call_on(r, 1))
				must_notify(c, d, "armed while requests were being served");
			if (drv_broken(r))
				check_fail(c, "a used ring that makes sense", "%s", drv_broken(r));
		}
	}
}

static void call_race_event(struct check *c)
{
	call_race(c, plain(c, true));
}

static void call_race_flags(struct check *c)
{
	call_race(c, plain(c, false));
}

/* The same the other way: the device arms while the driver publishes. */
static void kick_race(struct check *c, struct check_dev *d)
{
	struct drv_ring *r = d->q[0].ring;
	uint64_t kicks = d->q[0].kicks;

	drv_call_off(r);
	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t end = clock_ns() + (uint64_t)check_timeout_ms(c) * 1000000;
		unsigned int n = 1 + check_rnd(c) % 3, left = n;

		add(c, d, n);
		while (left) {
			struct drv_used u;

			while (left && drv_get(r, &u, 1))
				left--;
			if (left && (drv_broken(r) || clock_ns() > end))
				check_fail(c, "requests that are served without another kick",
					   "%u of %u were not, in round %u%s", left, n, i,
					   d->q[0].kicks == kicks ? "; no kick was ever asked for" :
								    "");
		}
		for (unsigned int spin = check_rnd(c) % 500; spin; spin--)
			cpu_relax();
	}
	check_note(c, "%llu kicks were asked for", (unsigned long long)(d->q[0].kicks - kicks));
}

static void kick_race_event(struct check *c)
{
	kick_race(c, plain(c, true));
}

static void kick_race_flags(struct check *c)
{
	kick_race(c, plain(c, false));
}

static void spurious_kicks(struct check *c)
{
	struct check_dev *d = plain(c, true);

	for (unsigned int i = 0; i < 2000; i++)
		fe_queue_kick(&d->q[0]);
	pings(c, d, 20);
	for (unsigned int i = 0; i < 200; i++) {
		add(c, d, 1);
		fe_queue_kick(&d->q[0]);
		fe_queue_kick(&d->q[0]);
		req_reap(c, d, 0, 1);
		fe_queue_kick(&d->q[0]);
	}
}

/* ---- notifications at the right time ---- */

/* Asked for after eight: comes with the eighth. */
static void after_eight(struct check *c)
{
	struct check_dev *d = plain(c, true);
	struct drv_ring *r = d->q[0].ring;

	for (unsigned int round = 0; round < 10; round++) {
		unsigned int got = 0;
		struct drv_used u;

		req_quiet(d, 0);
		add(c, d, 8);
		if (!drv_call_on(r, 8))
			must_notify(c, d, "asked for with the eighth of eight requests");
		while (got < 8 && req_poll(d, 0, &u, check_timeout_ms(c)))
			got++;
		if (got < 8)
			check_fail(c, "eight used requests", "%u", got);
	}
}

/* Wait until @n are used, without arming anything. */
static void wait_used(struct check *c, struct check_dev *d, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct drv_used u;
		uint64_t end = clock_ns() + (uint64_t)check_timeout_ms(c) * 1000000;

		while (!drv_get(d->q[0].ring, &u, 1))
			if (clock_ns() > end || drv_broken(d->q[0].ring))
				check_fail(c, "every request to be answered", "%u of %u were", i,
					   n);
	}
}

/* Not asked for before ten more: none comes with the first nine. */
static void not_before(struct check *c)
{
	struct check_dev *d = plain(c, true);
	struct drv_ring *r = d->q[0].ring;
	unsigned int early = 0;

	for (unsigned int round = 0; round < 10; round++) {
		uint32_t at;
		bool wrap;

		pings(c, d, 1);
		req_quiet(d, 0);
		at = r->used_idx + 9u * (check_packed(c) ? 3 : 1); /* chains of three */
		wrap = r->used_wrap ^ (at >= r->size);
		if (check_packed(c))
			put_driver_event(r, (uint16_t)(at % r->size | (wrap ? 0x8000u : 0)),
					 PVIRTQ_EVENT_DESC);
		else
			__atomic_store_n(used_event(r), htole16((uint16_t)at), __ATOMIC_SEQ_CST);
		for (unsigned int i = 0; i < 9; i++) {
			add(c, d, 1);
			wait_used(c, d, 1);
		}
		early += req_hear(d->q[0].call_fd, QUIET_MS) != 0;
		add(c, d, 1);
		must_notify(c, d, "the request the driver waited for was the tenth");
		wait_used(c, d, 1);
	}
	if (early)
		check_fail(c, "no notification before the one asked for",
			   "one came early in %u of 10 rounds", early);
}

/*
 * Asked for none at all. The event is put far behind: had it just been passed, a device that
 * looks a little late would be right to notify.
 */
static void unwanted(struct check *c, struct check_dev *d)
{
	struct drv_ring *r = d->q[0].ring;
	uint64_t heard = 0;

	pings(c, d, 3);
	drv_call_off(r);
	if (r->event_idx && !r->packed)
		__atomic_store_n(used_event(r), htole16((uint16_t)(r->used_idx - 0x2000)),
				 __ATOMIC_SEQ_CST);
	req_quiet(d, 0);
	for (unsigned int i = 0; i < 100; i++) {
		add(c, d, 3);
		wait_used(c, d, 3);
		heard += req_hear(d->q[0].call_fd, 0);
	}
	heard += req_hear(d->q[0].call_fd, QUIET_MS);
	if (heard)
		check_fail(c, "no notifications", "%llu in 100 rounds, none was asked for",
			   (unsigned long long)heard);
}

static void unwanted_event(struct check *c)
{
	unwanted(c, plain(c, true));
}

static void unwanted_flags(struct check *c)
{
	unwanted(c, plain(c, false));
}

/* ---- what has no meaning in this mode ---- */

static void flag_ignored(struct check *c)
{
	struct check_dev *d = plain(c, true);

	if (check_packed(c))
		check_skip(c, "a packed ring has no such flag");
	for (unsigned int i = 0; i < 20; i++) {
		drv_call_on(d->q[0].ring, 1);
		drv_raw_avail_flags(d->q[0].ring, VIRTQ_AVAIL_F_NO_INTERRUPT);
		ping(c, d, "with the event index, and NO_INTERRUPT set");
	}
}

static void event_ignored(struct check *c)
{
	struct check_dev *d = plain(c, false);
	struct drv_ring *r = d->q[0].ring;

	if (check_packed(c))
		check_skip(c, "a packed ring has no such field");
	for (unsigned int i = 0; i < 20; i++) {
		drv_call_on(r, 1);
		__atomic_store_n(used_event(r), htole16((uint16_t)(r->used_idx - 1)),
				 __ATOMIC_SEQ_CST);
		ping(c, d, "without the event index, and used_event just passed");
	}
}

/* The driver may ask for every notification though the event index was negotiated. */
static void packed_enable(struct check *c)
{
	struct check_dev *d = plain(c, true);
	struct drv_ring *r = d->q[0].ring;

	if (!check_packed(c))
		check_skip(c, "a split ring has no such mode");
	for (unsigned int i = 0; i < 40; i++) {
		req_quiet(d, 0);
		/* An offset that was just passed must not matter. */
		put_driver_event(r, (uint16_t)((r->used_idx + r->size - 1u) % r->size),
				 PVIRTQ_EVENT_ENABLE);
		add(c, d, 1);
		must_notify(c, d, "with the driver event flags ENABLE");
		wait_used(c, d, 1);
	}
}

/* ---- what the device tells the driver ---- */

static void device_flags(struct check *c, struct check_dev *d, bool event_idx)
{
	struct drv_ring *r = d->q[0].ring;

	for (unsigned int i = 0; i < 200; i++) {
		uint16_t split = le16toh(__atomic_load_n(&r->used->flags, __ATOMIC_RELAXED));
		uint16_t packed = le16toh(
			__atomic_load_n(&r->device_event->flags, __ATOMIC_RELAXED));

		if (check_packed(c) &&
		    packed > (event_idx ? PVIRTQ_EVENT_DESC : PVIRTQ_EVENT_DISABLE))
			check_fail(c, "device event flags that mean something",
				   "0x%x, %s the event index", packed,
				   event_idx ? "with" : "without");
		if (!check_packed(c) && split > (event_idx ? 0 : VIRTQ_USED_F_NO_NOTIFY))
			check_fail(c,
				   event_idx ? "flags of the used ring that stay 0" :
					       "flags of the used ring of 0 or 1",
				   "0x%x, %s the event index", split,
				   event_idx ? "with" : "without");
		add(c, d, 1 + i % 4);
		wait_used(c, d, 1 + i % 4);
	}
}

static void device_flags_event(struct check *c)
{
	device_flags(c, plain(c, true), true);
}

static void device_flags_plain(struct check *c)
{
	device_flags(c, plain(c, false), false);
}

#define NEED (NEED_BLK | NEED_EVENT_IDX)

const struct check_case check_event_cases[] = {
	{ "event.notified", "VIRTIO 1.3 2.7.7.2, 2.8.22.1",
	  "with the event index, a used buffer the driver waits for is notified", CHECK_MUST, NEED,
	  true, notified_event },
	{ "event.notified-flags", "VIRTIO 1.3 2.7.7.2, 2.8.22.1",
	  "without the event index, each used buffer is notified", CHECK_MUST, NEED_BLK, true,
	  notified_flags },
	{ "event.wraps", "VIRTIO 1.3 2.7.7.2, 2.8.9", "notifications come when indices wrap",
	  CHECK_MUST, NEED, true, wraps },
	{ "event.call-race", "VIRTIO 1.3 2.7.7.2, 2.7.14",
	  "with the event index, no notification is lost while requests come and go", CHECK_MUST,
	  NEED, true, call_race_event },
	{ "event.call-race-flags", "VIRTIO 1.3 2.7.7.2, 2.7.14",
	  "without the event index, no notification is lost while requests come and go", CHECK_MUST,
	  NEED_BLK, true, call_race_flags },
	{ "event.kick-race", "VIRTIO 1.3 2.7.10.2, 2.8.21.3",
	  "with the event index, a request is served whether or not the device wanted a kick",
	  CHECK_MUST, NEED, true, kick_race_event },
	{ "event.kick-race-flags", "VIRTIO 1.3 2.7.10.2, 2.8.21.3",
	  "without the event index, a request is served whether or not the device wanted a kick",
	  CHECK_MUST, NEED_BLK, true, kick_race_flags },
	{ "event.spurious-kicks", "VIRTIO 1.3 2.7.10.2", "kicks without requests do no harm",
	  CHECK_MUST, NEED, true, spurious_kicks },
	{ "event.after-eight", "VIRTIO 1.3 2.7.7.2, 2.8.9",
	  "a notification asked for with a later buffer comes with it", CHECK_MUST, NEED, true,
	  after_eight },
	{ "event.not-before", "VIRTIO 1.3 2.7.7.2, 2.8.9",
	  "a notification asked for with a later buffer does not come before it", CHECK_SHOULD,
	  NEED, true, not_before },
	{ "event.unwanted", "VIRTIO 1.3 2.7.7.2, 2.8.9",
	  "with the event index, a driver that wants no notifications gets none", CHECK_SHOULD,
	  NEED, true, unwanted_event },
	{ "event.unwanted-flags", "VIRTIO 1.3 2.7.7.2, 2.8.9",
	  "without the event index, a driver that wants no notifications gets none", CHECK_SHOULD,
	  NEED_BLK, true, unwanted_flags },
	{ "event.flag-ignored", "VIRTIO 1.3 2.7.7.2",
	  "with the event index, NO_INTERRUPT is ignored", CHECK_MUST, NEED, false, flag_ignored },
	{ "event.event-ignored", "VIRTIO 1.3 2.7.7.2",
	  "without the event index, used_event is ignored", CHECK_MUST, NEED_BLK, false,
	  event_ignored },
	{ "event.packed-enable", "VIRTIO 1.3 2.8.9, 2.8.15",
	  "a packed ring with the event index still knows the mode ENABLE", CHECK_MUST,
	  NEED | NEED_PACKED, true, packed_enable },
	{ "event.device-flags", "VIRTIO 1.3 2.7.10.2, 2.8.15",
	  "with the event index, the flags the device writes are legal", CHECK_MUST, NEED, true,
	  device_flags_event },
	{ "event.device-flags-plain", "VIRTIO 1.3 2.7.10.2, 2.8.15",
	  "without the event index, the flags the device writes are legal", CHECK_MUST, NEED_BLK,
	  true, device_flags_plain },
	{ 0 },
};
