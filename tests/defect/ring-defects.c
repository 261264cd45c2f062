/* SPDX-License-Identifier: MIT */
/*
 * Defects of rings, apart from the code that does it right. ring.c asks at the
 * places where something could go wrong; without a defect nothing happens here.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "util/compiler.h"

#define TABLE VIRTQ_DESC_F_INDIRECT

static struct {
	unsigned int chains, calls, breaks;
	uint32_t last_id; /* of this turn, packed */
	bool have_last, last_table;
} seen;

/* ---- looking at chains ---- */

static uint64_t total(const struct naive_chain *c)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < c->n; i++)
		n += c->seg[i].len;
	return n;
}

static const struct be_region *region_of(const struct be *b, uint64_t gpa)
{
	for (unsigned int i = 0; i < b->nregions; i++)
		if (gpa - b->region[i].gpa < b->region[i].size)
			return &b->region[i];
	return NULL;
}

static uint16_t word(const uint8_t *desc, unsigned int at)
{
	uint16_t v;

	memcpy(&v, desc + at, 2);
	return le16toh(v);
}

/*
 * The descriptor with INDIRECT of the chain that was just taken, NULL: it has none. @behind:
 * others come before it.
 */
static const uint8_t *table_of(const struct be_ring *r, const struct naive_chain *c, bool *behind)
{
	const struct naive_dev *d = &r->dev;
	uint32_t i = c->id;

	*behind = false;
	if (d->packed) {
		i = (d->avail + d->size - 1) % d->size; /* a table is a chain of one */
		return c->ndesc == 1 && (word(d->desc + 16 * (size_t)i, 14) & TABLE) ?
			       d->desc + 16 * (size_t)i :
			       NULL;
	}
	for (uint32_t n = 0; n < d->size && i < d->size; n++) {
		const uint8_t *desc = d->desc + 16 * (size_t)i;

		if (word(desc, 12) & TABLE)
			return desc;
		if (!(word(desc, 12) & VIRTQ_DESC_F_NEXT))
			return NULL;
		*behind = true;
		i = word(desc, 14);
	}
	return NULL;
}

/* Entry by entry: does a table keep to what no specification asks for? */
static bool table_plain(struct be *b, const struct be_ring *r, const uint8_t *desc)
{
	bool packed = r->dev.packed;
	uint64_t addr;
	uint32_t len;
	const uint8_t *t;

	memcpy(&addr, desc, 8);
	memcpy(&len, desc + 8, 4);
	addr = le64toh(addr);
	len = le32toh(len);
	t = mem_translate(b, addr, len);
	for (uint32_t i = 0; t && i < len / 16; i++) {
		uint16_t flags = word(t + 16 * (size_t)i, packed ? 14 : 12);
		uint16_t next = word(t + 16 * (size_t)i, 14);

		if (packed && (flags & ~VIRTQ_DESC_F_WRITE) && defect("table-flags"))
			return false;
		if (!packed && (flags & VIRTQ_DESC_F_NEXT) && next != i + 1 &&
		    defect("table-in-order"))
			return false;
	}
	return true;
}

static bool tables_right(struct be *b, struct be_ring *r, const struct naive_chain *c)
{
	bool behind, was = seen.last_table;
	const uint8_t *desc = table_of(r, c, &behind);

	seen.last_table = desc;
	if (was && !desc && defect("table-mixed"))
		return false;
	if (!desc)
		return true;
	if (!be_has(b, VIRTIO_F_INDIRECT_DESC) && defect("table-unasked-dies"))
		defect_die();
	if (behind && defect("table-only-alone"))
		return false;
	if ((word(desc, r->dev.packed ? 14 : 12) & VIRTQ_DESC_F_WRITE) &&
	    defect("table-write-flag"))
		return false;
	return table_plain(b, r, desc);
}

static bool within(const uint8_t *p, const uint8_t *part, uint64_t len)
{
	return p && p >= part && p < part + len;
}

/* One buffer of a legal chain. */
static bool segment_right(const struct be *b, const struct be_ring *r, const struct naive_seg *s)
{
	const struct be_region *g = region_of(b, s->addr);
	uint64_t last = s->addr + s->len - 1;
	const uint8_t *host;

	if (s->len == 0 && defect("chain-zero-dies"))
		defect_die();
	if (!g || !s->len)
		return true;
	host = g->host + (s->addr - g->gpa);
	if (last - g->gpa == g->size - 1 && defect("mem-last-byte"))
		return false;
	if (s->addr > UINT32_MAX && defect("mem-32-bit"))
		return false;
	if (s->writable && defect("chain-in-ring-dies") &&
	    (within(host, r->dev.desc, 16 * (uint64_t)r->dev.size) ||
	     within(host, r->dev.driver, 4) || within(host, r->dev.device, 4)))
		defect_die();
	return true;
}

bool rd_chain(struct be *b, struct be_ring *r, const struct naive_chain *c)
{
	bool same = seen.have_last && seen.last_id == c->id;

	if (c->n > 64 && defect("chain-64"))
		return false;
	if (total(c) > UINT32_MAX && defect("chain-4g-dies"))
		defect_die();
	if (total(c) == 0 && c->n > 1 && defect("chain-empty-hangs"))
		defect_hang();
	if (r->dev.packed && c->id >= r->dev.size && defect("packed-id-dies"))
		defect_die();
	if (r->dev.packed && same && defect("packed-same-id-dies"))
		defect_die();
	seen.last_id = c->id;
	seen.have_last = true;
	for (unsigned int i = 0; i < c->n; i++)
		if (!segment_right(b, r, &c->seg[i]))
			return false;
	return tables_right(b, r, c);
}

void rd_bad(const char *why)
{
	static const struct {
		const char *why, *name;
		bool hangs;
	} bad[] = {
		{ "loop", "ring-loop-hangs", true },
		{ "next out of range", "ring-next-dies", false },
		{ "head out of range", "ring-head-dies", false },
		{ "available index jumped", "ring-jump-dies", false },
		{ "chain is not complete", "ring-endless-hangs", true },
		{ "chain longer than the ring", "ring-endless-hangs", true },
		{ "address not mapped", "ring-unmapped-dies", false },
		{ "readable after writable", "ring-order-dies", false },
		{ "bad indirect descriptor", "table-bad-dies", false },
		{ "nested indirect", "table-bad-dies", false },
		{ "indirect in a chain", "table-bad-dies", false },
		{ "too many buffers", "table-huge-dies", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (strcmp(why, bad[i].why) != 0 || !defect(bad[i].name))
			continue;
		if (bad[i].hangs)
			defect_hang();
		defect_die();
	}
	if (++seen.breaks == 20 && defect("break-20-dies"))
		defect_die();
}

/* Take the same chain once more: does it still say the same? */
static void fetch_twice(const struct naive_dev *before, const struct naive_chain *c)
{
	static struct naive_chain again;
	struct naive_dev d = *before;
	const char *why;

	usleep(500);
	if (naive_pop(&d, &again, &why) <= 0 || again.n != c->n ||
	    memcmp(again.seg, c->seg, c->n * sizeof(c->seg[0])) != 0)
		defect_die();
}

int rd_pop(struct be_ring *r, struct naive_chain *c, const char **why)
{
	struct naive_dev before = r->dev;
	int got = naive_pop(&r->dev, c, why);

	if (got > 0 && defect("chain-twice-dies"))
		fetch_twice(&before, c);
	return got;
}

/* Ask for kicks. True: something has come in between. */
bool rd_arm(struct be_ring *r)
{
	bool race = defect("kick-race");

	if (race)
		usleep(100);
	return naive_want_kick(&r->dev, true) && !race;
}

/* ---- a turn ---- */

/* How many chains a turn may take; 0: none. */
unsigned int rd_turn(struct be_ring *r)
{
	seen.have_last = false;
	if (r->num <= 2 && defect("ring-tiny-stuck"))
		return 0;
	if (seen.chains > 300 && defect("ring-tires"))
		return 0;
	if (defect("kick-race"))
		naive_want_kick(&r->dev, false);
	if (defect("ring-batch-short"))
		return 4;
	if (defect("stop-loses-one"))
		return 8;
	return r->num;
}

/* At its end. */
void rd_turned(struct be_ring *r, unsigned int n, int got)
{
	struct naive_dev *d = &r->dev;

	seen.chains += n;
	if (n == 0 && got == 0 && seen.chains > 200 && defect("kick-spurious-dies"))
		defect_die();
	if (defect("ring-batch-short"))
		r->again = false;
	if (n && defect("stop-loses-one"))
		usleep(2000);
	if (defect(d->event_idx ? "device-flags-event" : "device-flags-plain")) {
		uint16_t v = htole16(d->packed ? (d->event_idx ? 3 : 2) : (d->event_idx ? 1 : 2));

		memcpy(d->device + (d->packed ? 2 : 0), &v, 2);
	}
}

/* ---- giving back ---- */

/* True: it did what has to be done. */
bool rd_push(struct be *b, struct be_ring *r, const struct naive_chain *c, uint32_t used)
{
	struct naive_dev *d = &r->dev;

	if (used == RD_DROP || (seen.chains == 1 && defect("ring-one-lost")))
		return true;
	if (defect("ring-writes-driver-part"))
		d->driver[d->packed ? 0 : 4] ^= 0x55;
	if (r->index == 1 && b->ring[0].started && defect("ring-queues-mixed")) {
		naive_push(&b->ring[0].dev, c, used);
		return true;
	}
	return false;
}

/* ---- notifications ---- */

static uint16_t le16_at(const uint8_t *p)
{
	return word(p, 0);
}

static bool event_call(const struct naive_dev *d, const struct naive_dev *before, bool call)
{
	uint16_t flags = le16_at(d->driver + (d->packed ? 2 : 0));
	uint16_t event = le16_at(d->driver + (d->packed ? 0 : 4 + 2 * (size_t)d->size));
	bool moved = before->told != d->told;

	if (moved && defect("event-always"))
		return true;
	if (defect("event-no-call"))
		return false;
	if (defect("event-wrap") && call &&
	    (d->packed ? d->told_wrap != before->told_wrap : (uint16_t)d->told < before->told))
		return false;
	if (!d->packed && (flags & 1) && defect("event-heeds-flag"))
		return false;
	if (call && defect("event-only-next") &&
	    (event & (d->packed ? 0x7fff : 0xffff)) != (uint16_t)before->told)
		return false;
	if (d->packed && flags == 0 && defect("event-enable-heeds-offset"))
		return (event & 0x7fff) == before->told;
	return call;
}

static bool plain_call(const struct naive_dev *d, const struct naive_dev *before, bool call)
{
	bool moved = before->told != d->told;

	if (moved && defect("flags-always"))
		return true;
	if (defect("flags-no-call"))
		return false;
	if (call && !d->packed && defect("flags-heeds-event"))
		return virtq_need_event(le16_at(d->driver + 4 + 2 * (size_t)d->size),
					(uint16_t)d->told, (uint16_t)before->told);
	return call;
}

bool rd_call(struct be_ring *r)
{
	struct naive_dev before = r->dev;
	bool call = naive_must_call(&r->dev);

	call = r->dev.event_idx ? event_call(&r->dev, &before, call) :
				  plain_call(&r->dev, &before, call);
	if (call && ++seen.calls % 97 == 0 && defect("call-forgotten"))
		return false;
	return call;
}

/* ---- start and stop ---- */

/* Before it starts; its device is set up as the messages said. False: it does not. */
bool rd_may_start(struct be *b, struct be_ring *r, uint32_t *base)
{
	bool packed = be_has(b, VIRTIO_F_RING_PACKED);

	if (r->broken && defect("break-forever"))
		return false;
	if (packed && (r->num & (r->num - 1)) && defect("ring-odd-size"))
		return false;
	if (defect("ring-base-cut"))
		*base = packed ? *base | 0x80008000u : *base & 0x7fff;
	if (r->base_set && *base != (packed ? 0x80008000u : 0) && defect("start-skips"))
		*base += packed ? 0x10001 : 1;
	for (unsigned int i = 0; i < b->nregions; i++)
		if (r->addr.desc - b->region[i].uva < b->region[i].size &&
		    b->region[i].gpa > UINT32_MAX && defect("mem-ring-32-bit"))
			return false;
	for (unsigned int i = 0; i < b->queues; i++)
		if (&b->ring[i] != r && b->ring[i].started &&
		    b->ring[i].addr.desc == r->addr.desc && defect("rings-one-place-dies"))
			defect_die();
	if ((r->addr.used == r->addr.avail || r->addr.used == r->addr.desc) &&
	    defect("ring-overlap-dies"))
		defect_die();
	return true;
}

void rd_started(struct be_ring *r)
{
	static struct naive_chain c;
	const char *why;

	if (r->num > 256 && defect("ring-size-256"))
		r->dev.size = 256;
	if (defect("start-forgets"))
		while (naive_pop(&r->dev, &c, &why) > 0)
			;
}

/* Before GET_VRING_BASE is handled. True: it is not. */
bool rd_stop(struct be *b, struct be_ring *r)
{
	static struct naive_chain c;
	const char *why;

	if (!r->started && defect("base-never-started-silent"))
		return true;
	if (!r->started && defect("base-stopped-0"))
		r->base = 0;
	if (r->started && defect("stop-loses-one"))
		naive_pop(&r->dev, &c, &why);
	if (defect("stop-stops-all"))
		ring_stop_all(b);
	return false;
}
