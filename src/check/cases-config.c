/* SPDX-License-Identifier: MIT */
/* vuctl check: the configuration space. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "check/check.h"
#include "util/compiler.h"
#include "wire/virtio-blk.h"

#define PF(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)
#define BIT30 VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)

#define SPACE VHOST_USER_CONFIG_MAX
/* No device has that much configuration. */
#define FAR_OFF 0x10000000u
#define BIG     1024

/* "Virtio device config space": flags of SET_CONFIG. */
enum { BY_DRIVER = 0, BY_MIGRATION = 1, FLAG_UNKNOWN = 1u << 7 };

static struct vuc *begin(struct check *c, uint64_t virtio)
{
	struct vuc *v = check_connect(c);

	check_negotiate(c, v, virtio, PF(CONFIG) | PF(REPLY_ACK));
	return v;
}

/**
 * struct answer - to a GET_CONFIG
 * @bytes:	of payload, 0: refused
 */
struct answer {
	uint32_t bytes;
	struct {
		uint32_t offset, size, flags;
		uint8_t data[BIG];
	} p;
};

/* A GET_CONFIG that says @size and brings @room bytes along; 0, or -errno as vuc_call(). */
static int ask(struct vuc *v, uint32_t offset, uint32_t size, uint32_t room, struct answer *a,
	       struct err *e)
{
	struct {
		uint32_t offset, size, flags;
		uint8_t data[BIG];
	} q = { .offset = offset, .size = size };
	struct vuc_msg m = {
		.request = VHOST_USER_GET_CONFIG,
		.payload = &q,
		.size = VHOST_USER_CONFIG_HDR_SIZE + room,
		.reply = &a->p,
		.reply_min = 0,
		.reply_max = sizeof(a->p),
	};
	int ret = vuc_call(v, &m, e);

	a->bytes = m.reply_size;
	/* Refused: no payload, or one that says so. */
	if (ret == 0 && (a->bytes < VHOST_USER_CONFIG_HDR_SIZE || a->p.size == 0))
		a->bytes = 0;
	return ret;
}

/* Bytes as they must come: as many as were asked for. False: refused. */
static bool get(struct check *c, struct vuc *v, uint32_t offset, uint32_t size, void *to)
{
	struct err e = { .code = 0 };
	struct answer a;

	check_ok(c, &e, ask(v, offset, size, size, &a, &e));
	if (a.bytes == 0)
		return false;
	if (a.bytes != VHOST_USER_CONFIG_HDR_SIZE + size || a.p.size != size ||
	    a.p.offset != offset)
		check_fail(c, "an answer as long as the request, or an empty one",
			   "asked for %u bytes at %u, came %u bytes that say %u at %u", size,
			   offset, a.bytes, a.p.size, a.p.offset);
	memcpy(to, a.p.data, size);
	return true;
}

/* All there is: the longest read from the beginning that is answered. */
static uint32_t get_all(struct check *c, struct vuc *v, uint8_t space[SPACE])
{
	uint32_t n = SPACE;

	while (n && !get(c, v, 0, n, space))
		n -= n > 64 ? 4 : 1;
	if (n == 0)
		check_fail(c, "a configuration, as CONFIG is offered",
			   "no read of 1 to %u bytes from the beginning is answered", SPACE);
	return n;
}

static void compare(struct check *c, const uint8_t *all, uint32_t offset, uint32_t size,
		    const uint8_t *part)
{
	for (uint32_t i = 0; i < size; i++)
		if (part[i] != all[offset + i])
			check_fail(c, "the same bytes as in a read of all",
				   "%u bytes at %u: byte %u is 0x%02x, not 0x%02x", size, offset, i,
				   part[i], all[offset + i]);
}

/* ---- reading ---- */

static void prefix(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	uint8_t all[SPACE], part[SPACE];
	uint32_t n = get_all(c, v, all);

	for (uint32_t len = 4; len <= n; len += 4) {
		if (!get(c, v, 0, len, part))
			check_fail(c,
				   "the beginning of the configuration, as front-ends ask for it",
				   "%u of %u bytes are not given", len, n);
		compare(c, all, 0, len, part);
	}
}

static void any_length(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	uint8_t all[SPACE], part[SPACE];
	uint32_t n = get_all(c, v, all);

	for (uint32_t len = 1; len <= n; len++) {
		if (!get(c, v, 0, len, part))
			check_fail(c, "reads of any length", "%u of %u bytes are not given", len,
				   n);
		compare(c, all, 0, len, part);
	}
}

static void words(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	uint8_t all[SPACE], part[4];
	uint32_t n = get_all(c, v, all);

	/* What is beyond the fields of this device reads as zero, or not at all. */
	if (check_facts(c)->is_blk)
		n = MIN(n, (uint32_t)sizeof(struct virtio_blk_config));
	for (uint32_t off = 0; off + 4 <= n; off += 4) {
		if (!get(c, v, off, 4, part))
			check_fail(c, "a read at any offset", "4 bytes at %u of %u are not given",
				   off, n);
		compare(c, all, off, 4, part);
	}
}

static void fields(struct check *c)
{
#define FIELD(f)                                                                                  \
	{                                                                                         \
		offsetof(struct virtio_blk_config, f), sizeof(((struct virtio_blk_config *)0)->f) \
	}
	static const struct {
		uint32_t offset, size;
	} list[] = {
		FIELD(capacity),
		FIELD(size_max),
		FIELD(seg_max),
		FIELD(geometry.cylinders),
		FIELD(geometry.heads),
		FIELD(geometry.sectors),
		FIELD(blk_size),
		FIELD(topology.physical_block_exp),
		FIELD(topology.alignment_offset),
		FIELD(topology.min_io_size),
		FIELD(topology.opt_io_size),
		FIELD(writeback),
		FIELD(num_queues),
		FIELD(max_discard_sectors),
		FIELD(max_discard_seg),
		FIELD(discard_sector_alignment),
		FIELD(max_write_zeroes_sectors),
		FIELD(max_write_zeroes_seg),
		FIELD(write_zeroes_may_unmap),
	};
#undef FIELD
	struct vuc *v = begin(c, UINT64_MAX);
	uint8_t all[SPACE], part[8];
	uint32_t n = get_all(c, v, all);

	for (unsigned int i = 0; i < ARRAY_SIZE(list); i++) {
		if (list[i].offset + list[i].size > n)
			break;
		if (!get(c, v, list[i].offset, list[i].size, part))
			check_fail(c, "each field can be read alone",
				   "%u bytes at %u are not given", list[i].size, list[i].offset);
		compare(c, all, list[i].offset, list[i].size, part);
	}
}

/* VIRTIO 2.5.2: before FEATURES_OK, so before SET_FEATURES. */
static void before_features(struct check *c)
{
	struct err e = { .code = 0 };
	struct vuc *v = check_connect(c);
	uint8_t before[SPACE], after[SPACE];
	uint64_t f;
	uint32_t n;

	check_ok(c, &e, vuc_get_features(v, &f, &e));
	check_ok(c, &e, vuc_set_protocol_features(v, PF(CONFIG), &e));
	n = get_all(c, v, before);
	check_ok(c, &e, vuc_set_owner(v, &e));
	check_ok(c, &e, vuc_set_features(v, f & (VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30), &e));
	if (!get(c, v, 0, n, after))
		check_fail(c, "the same read is answered after SET_FEATURES", "it is refused");
	if (check_facts(c)->is_blk) /* the rest may depend on what was accepted */
		compare(c, before, 0, sizeof(uint64_t), after);
}

static void while_running(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	uint8_t before[8], now[8];

	if (!get(c, d->v, 0, sizeof(before), before))
		check_fail(c, "the capacity can be read", "it is refused");
	for (unsigned int i = 0; i < 16; i++) {
		check_works(c, d, 0);
		if (!get(c, d->v, 0, sizeof(now), now))
			check_fail(c, "the capacity can be read while the queue runs",
				   "it is refused");
		compare(c, before, 0, sizeof(now), now);
	}
}

/* ---- what is not there ---- */

static void beyond_end(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	struct err e = { .code = 0 };
	struct answer a;
	int ret = ask(v, FAR_OFF, 4, 4, &a, &e);

	if (ret < 0)
		check_fail(c, "an answer without payload", "%s", e.what);
	if (a.bytes)
		check_fail(c, "an answer without payload", "%u bytes that are not there", a.bytes);
	if (!get(c, v, 0, 4, &a))
		check_fail(c, "the next read is answered", "it is refused");
}

/* One that makes no sense is answered once, or ends the connection; and nothing else happens. */
static void odd_request(struct check *c, uint32_t offset, uint32_t size, uint32_t room)
{
	struct vuc *v = begin(c, UINT64_MAX);
	struct err e = { .code = 0 };
	struct answer a;
	int ret = ask(v, offset, size, room, &a, &e);

	if (ret == -ETIMEDOUT)
		check_fail(c, "an answer, or the end of the connection", "%s", e.what);
	if (ret == -EPROTO)
		check_fail(c, "an answer to GET_CONFIG of at most the size asked for", "%s",
			   e.what);
	if (ret == 0 && a.bytes > VHOST_USER_CONFIG_HDR_SIZE + MAX(size, room))
		check_fail(c, "no more bytes than were asked for", "%u bytes", a.bytes);
	if (ret == 0) {
		uint64_t f;

		check_ok(c, &e, vuc_get_features(v, &f, &e)); /* exactly one answer */
	}
	check_alive(c);
}

static void offset_overflow(struct check *c)
{
	odd_request(c, UINT32_MAX - 3, 16, 16);
}

static void size_zero(struct check *c)
{
	odd_request(c, 0, 0, 0);
}

static void size_over_256(struct check *c)
{
	odd_request(c, 0, 257, 257);
	odd_request(c, 0, BIG - 64, BIG - 64);
}

static void size_lies(struct check *c)
{
	odd_request(c, 0, 256, 4);
	odd_request(c, 0, 4, 256);
	odd_request(c, 0, UINT32_MAX, 8);
	odd_request(c, UINT32_MAX, UINT32_MAX, 8);
}

/* ---- what a disk says of itself ---- */

static uint64_t last_block(const struct check *c)
{
	const struct check_facts *f = check_facts(c);
	uint64_t per = f->block_size / VIRTIO_BLK_SECTOR_SIZE;

	return f->sectors / per * per - per;
}

static void capacity_is_readable(struct check *c)
{
	const struct check_facts *f = check_facts(c);
	struct check_dev *d = check_dev(c, NULL);
	uint8_t st;

	if (f->sectors < f->block_size / VIRTIO_BLK_SECTOR_SIZE)
		check_skip(c, "the disk is smaller than a block");
	st = check_blk(c, d, 0, VIRTIO_BLK_T_IN, last_block(c), 0, f->block_size);
	if (st != VIRTIO_BLK_S_OK)
		check_fail(c, "the last block of the capacity can be read",
			   "sector %" PRIu64 " of %" PRIu64 ": status %u", last_block(c),
			   f->sectors, st);
}

static void capacity_is_the_end(struct check *c)
{
	const struct check_facts *f = check_facts(c);
	struct check_dev *d = check_dev(c, NULL);
	uint64_t per = f->block_size / VIRTIO_BLK_SECTOR_SIZE;
	uint64_t beyond = (f->sectors + per - 1) / per * per;

	if (check_blk(c, d, 0, VIRTIO_BLK_T_IN, beyond, 0, f->block_size) == VIRTIO_BLK_S_OK)
		check_fail(c, "what is behind the capacity cannot be read",
			   "a read of sector %" PRIu64 " of %" PRIu64 " succeeded", beyond,
			   f->sectors);
	if (f->sectors >= per && check_blk(c, d, 0, VIRTIO_BLK_T_IN, last_block(c), 0,
					   2 * f->block_size) == VIRTIO_BLK_S_OK)
		check_fail(c, "a read over the end of the disk fails", "it succeeded");
}

static void blk_values(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	struct virtio_blk_config b = { 0 };
	uint8_t all[SPACE];
	uint32_t n = get_all(c, v, all), bs;

	memcpy(&b, all, MIN(n, (uint32_t)sizeof(b)));
	bs = le32toh(b.blk_size);
	if (check_offers(c, VIRTIO_BLK_F_BLK_SIZE) && (bs < 512 || (bs & (bs - 1))))
		check_fail(c, "a block size that is a power of two, at least 512", "%u", bs);
	if (le64toh(b.capacity) * 512 % check_facts(c)->block_size)
		check_fail(c, "a capacity of whole blocks",
			   "%" PRIu64 " sectors with blocks of %u bytes", le64toh(b.capacity), bs);
	if (check_offers(c, VIRTIO_BLK_F_SIZE_MAX) && le32toh(b.size_max) == 0)
		check_fail(c, "SIZE_MAX, the largest segment, is not 0", "it is 0");
	if (check_offers(c, VIRTIO_BLK_F_SEG_MAX) && le32toh(b.seg_max) == 0)
		check_fail(c, "SEG_MAX, the most segments of a request, is not 0", "it is 0");
	if (n < sizeof(b))
		return;
	if (check_offers(c, VIRTIO_BLK_F_MQ) && le16toh(b.num_queues) == 0)
		check_fail(c, "MQ, the number of queues, is not 0", "it is 0");
	if (check_offers(c, VIRTIO_BLK_F_DISCARD) && (!b.max_discard_sectors || !b.max_discard_seg))
		check_fail(c, "limits for DISCARD that let something be discarded",
			   "%u sectors, %u segments", le32toh(b.max_discard_sectors),
			   le32toh(b.max_discard_seg));
	if (check_offers(c, VIRTIO_BLK_F_WRITE_ZEROES) &&
	    (!b.max_write_zeroes_sectors || !b.max_write_zeroes_seg))
		check_fail(c, "limits for WRITE_ZEROES that let something be written",
			   "%u sectors, %u segments", le32toh(b.max_write_zeroes_sectors),
			   le32toh(b.max_write_zeroes_seg));
}

static void padding(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	struct virtio_blk_config b = { 0 };
	uint8_t all[SPACE];
	uint32_t n = get_all(c, v, all);

	memcpy(&b, all, MIN(n, (uint32_t)sizeof(b)));
	if (b.unused0 || b.unused1[0] || b.unused1[1] || b.unused1[2])
		check_fail(c, "unused bytes of the configuration are 0", "%02x, %02x %02x %02x",
			   b.unused0, b.unused1[0], b.unused1[1], b.unused1[2]);
}

/* ---- writing ---- */

/* Refused one way or another; true: the connection is still there. */
static bool set_refused(struct check *c, struct vuc *v, uint32_t off, const void *buf, uint32_t len,
			uint32_t flags, bool *refused)
{
	struct err e = { .code = 0 };
	int ret = vuc_set_config(v, off, buf, len, flags, &e);

	if (ret == -ETIMEDOUT || ret == -EPROTO)
		check_fail(c, "SET_CONFIG is answered as every message is", "%s", e.what);
	*refused = check_refused(c, v, ret);
	return !check_closed(c, v, 0) && !vuc_dead(v);
}

static void read_only(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	uint64_t was, wanted, is;
	bool refused;

	if (!get(c, v, 0, sizeof(was), &was))
		check_fail(c, "the capacity can be read", "it is refused");
	wanted = was ^ htole64(8);
	if (!set_refused(c, v, 0, &wanted, sizeof(wanted), BY_DRIVER, &refused)) {
		check_disconnect(c, v);
		v = begin(c, UINT64_MAX);
	}
	if (!get(c, v, 0, sizeof(is), &is))
		check_fail(c, "the capacity can be read afterwards", "it is refused");
	if (is != was) {
		/* Some keep it for the next connection. */
		vuc_set_config(v, 0, &was, sizeof(was), BY_DRIVER, NULL);
		check_fail(c, "a write of the driver does not change the capacity",
			   "%" PRIu64 " sectors became %" PRIu64, le64toh(was), le64toh(is));
	}
	/* "MUST NOT accept": where that can be seen. */
	if (!refused && check_offers_protocol(c, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		check_fail(c, "SET_CONFIG of a read-only field is not accepted",
			   "it is acknowledged with 0");
}

static uint8_t writeback(struct check *c, struct vuc *v)
{
	uint8_t all[SPACE] = { 0 };

	/* In one piece from the beginning: that is what everybody gives. */
	if (!get(c, v, 0, offsetof(struct virtio_blk_config, writeback) + 4, all))
		check_fail(c, "the cache mode can be read", "it is refused");
	return all[offsetof(struct virtio_blk_config, writeback)];
}

static void set_writeback(struct check *c, struct vuc *v, uint8_t value)
{
	struct err e = { .code = 0 };
	uint8_t is;

	if (vuc_set_config(v, offsetof(struct virtio_blk_config, writeback), &value, 1, BY_DRIVER,
			   &e) < 0)
		check_fail(c, "the driver may choose the cache mode", "%s", e.what);
	is = writeback(c, v);
	if (is != value)
		check_fail(c, "the cache mode reads as it was written", "%u written, %u read",
			   value, is);
}

static void writeback_is_writable(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);

	set_writeback(c, v, 0);
	set_writeback(c, v, 1);
	set_writeback(c, v, 0);
	set_writeback(c, v, 1);
}

static void writeback_while_running(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);

	for (unsigned int i = 0; i < 4; i++) {
		set_writeback(c, d->v, i & 1);
		check_works(c, d, 0);
	}
}

/* Some back-ends keep what was written for the next connection. */
static void restore(struct vuc *v, uint8_t value)
{
	vuc_set_config(v, offsetof(struct virtio_blk_config, writeback), &value, 1, BY_DRIVER,
		       NULL);
}

static void writeback_value(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	uint8_t bad = 2, was = writeback(c, v), is;
	bool refused;

	if (!set_refused(c, v, offsetof(struct virtio_blk_config, writeback), &bad, 1, BY_DRIVER,
			 &refused)) {
		check_disconnect(c, v);
		v = begin(c, UINT64_MAX);
	}
	is = writeback(c, v);
	restore(v, was);
	if (is > 1)
		check_fail(c, "a cache mode of 0 or 1", "%u, as was written", is);
}

/* The driver before it, which had FLUSH, has left it at 1: not every mode begins there. */
static void writeback_without_flush(struct check *c)
{
	uint64_t f = VIRTIO_BIT(VIRTIO_F_VERSION_1) | BIT30 | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);
	struct vuc *v = begin(c, UINT64_MAX);
	uint8_t was = writeback(c, v), is;

	restore(v, 1);
	check_disconnect(c, v);
	v = check_connect(c);
	check_negotiate(c, v, f, PF(CONFIG) | PF(REPLY_ACK));
	is = writeback(c, v);
	restore(v, was);
	if (is != 0)
		check_fail(c, "write-through (0): the driver has no FLUSH", "writeback is %u", is);
}

static void flags_are_checked(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	uint8_t was = writeback(c, v), value = !was;
	bool refused;

	if (!set_refused(c, v, offsetof(struct virtio_blk_config, writeback), &value, 1,
			 FLAG_UNKNOWN, &refused)) {
		check_disconnect(c, v);
		v = begin(c, UINT64_MAX);
	}
	restore(v, was);
	if (!refused)
		check_fail(c, "SET_CONFIG with a flag that nobody knows is refused",
			   "it was accepted");
}

static void write_beyond(struct check *c)
{
	struct vuc *v = begin(c, UINT64_MAX);
	uint8_t junk[4] = { 1, 2, 3, 4 };
	bool refused;

	set_refused(c, v, FAR_OFF, junk, sizeof(junk), BY_DRIVER, &refused);
	if (!refused && check_offers_protocol(c, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		check_fail(c, "SET_CONFIG of bytes that are not there is refused",
			   "it is acknowledged with 0");
	check_alive(c);
}

#define GET_CONFIG "vhost-user: VHOST_USER_GET_CONFIG"
#define SET_CONFIG "vhost-user: VHOST_USER_SET_CONFIG"
#define LAYOUT     "vhost-user: Virtio device config space"

const struct check_case check_config_cases[] = {
	{ "config.prefix", GET_CONFIG,
	  "a read of the beginning is answered, whatever the front-end knows of the device",
	  CHECK_MUST, NEED_CONFIG, false, prefix },
	{ "config.any-length", GET_CONFIG, "a read may have any length", CHECK_SHOULD, NEED_CONFIG,
	  false, any_length },
	{ "config.words", LAYOUT, "a read at an offset gives the bytes there", CHECK_MUST,
	  NEED_CONFIG, false, words },
	{ "config.fields", LAYOUT, "each field of a disk can be read alone", CHECK_MUST,
	  NEED_CONFIG | NEED_BLK, false, fields },
	{ "config.before-features", "VIRTIO 1.3 2.5.2",
	  "the configuration can be read before features are accepted", CHECK_MUST, NEED_CONFIG,
	  false, before_features },
	{ "config.while-running", GET_CONFIG, "reads disturb no running queue", CHECK_MUST,
	  NEED_CONFIG | NEED_BLK, true, while_running },
	{ "config.beyond-end", GET_CONFIG,
	  "a read of bytes that are not there is answered without payload", CHECK_SHOULD,
	  NEED_CONFIG, false, beyond_end },
	{ "config.offset-overflow", GET_CONFIG,
	  "an offset close to 2^32 is answered once, or ends the connection", CHECK_MUST,
	  NEED_CONFIG, false, offset_overflow },
	{ "config.size-zero", GET_CONFIG,
	  "a read of no bytes is answered once, or ends the connection", CHECK_MUST, NEED_CONFIG,
	  false, size_zero },
	{ "config.size-over-256", GET_CONFIG,
	  "a read of more than 256 bytes is answered once, or ends the connection", CHECK_MUST,
	  NEED_CONFIG, false, size_over_256 },
	{ "config.size-lies", GET_CONFIG,
	  "a size that is not that of the message is answered once, or ends the connection",
	  CHECK_MUST, NEED_CONFIG, false, size_lies },
	{ "config.capacity-is-readable", "VIRTIO 1.3 5.2.4",
	  "the last block of the capacity can be read", CHECK_MUST, NEED_CONFIG | NEED_BLK, true,
	  capacity_is_readable },
	{ "config.capacity-is-the-end", "VIRTIO 1.3 5.2.6.1", "a read behind the capacity fails",
	  CHECK_SHOULD, NEED_CONFIG | NEED_BLK, true, capacity_is_the_end },
	{ "config.blk-values", "VIRTIO 1.3 5.2.4", "what a disk says of itself can be",
	  CHECK_SHOULD, NEED_CONFIG | NEED_BLK, false, blk_values },
	{ "config.padding", "VIRTIO 1.3 5.2.5.2", "unused bytes of a disk's configuration are 0",
	  CHECK_MUST, NEED_CONFIG | NEED_BLK, false, padding },
	{ "config.read-only", SET_CONFIG, "a read-only field is not written", CHECK_MUST,
	  NEED_CONFIG | NEED_BLK, false, read_only },
	{ "config.writeback", "VIRTIO 1.3 5.2.4", "the driver chooses the cache mode", CHECK_MUST,
	  NEED_CONFIG | NEED_CONFIG_WCE, false, writeback_is_writable },
	{ "config.writeback-while-running", "VIRTIO 1.3 5.2.4",
	  "the cache mode can change while the queue runs", CHECK_MUST,
	  NEED_CONFIG | NEED_CONFIG_WCE, true, writeback_while_running },
	{ "config.writeback-value", "VIRTIO 1.3 5.2.4",
	  "the cache mode is 0 or 1, whatever is written", CHECK_SHOULD,
	  NEED_CONFIG | NEED_CONFIG_WCE, false, writeback_value },
	{ "config.writeback-without-flush", "VIRTIO 1.3 5.2.5.2",
	  "the cache begins as write-through for a driver with CONFIG_WCE and without FLUSH",
	  CHECK_MUST, NEED_CONFIG | NEED_CONFIG_WCE, false, writeback_without_flush },
	{ "config.flags-are-checked", SET_CONFIG, "SET_CONFIG with an unknown flag is refused",
	  CHECK_SHOULD, NEED_CONFIG | NEED_CONFIG_WCE, false, flags_are_checked },
	{ "config.write-beyond", SET_CONFIG,
	  "a write of bytes that are not there is refused and changes nothing", CHECK_MUST,
	  NEED_CONFIG, false, write_beyond },
	{ 0 },
};
