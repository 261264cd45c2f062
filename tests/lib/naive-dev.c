/* SPDX-License-Identifier: MIT */
/* The naive device; see naive-dev.h. */
#include <endian.h>
#include <string.h>

#include "naive-dev.h"

/* Every access is sequentially consistent: slow, and no barrier can be missing. */
static uint16_t rd16(const uint8_t *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_SEQ_CST));
}

static uint32_t rd32(const uint8_t *p)
{
	return le32toh(__atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_SEQ_CST));
}

static uint64_t rd64(const uint8_t *p)
{
	return le64toh(__atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_SEQ_CST));
}

static void wr16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, htole16(v), __ATOMIC_SEQ_CST);
}

static void wr32(uint8_t *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)(void *)p, htole32(v), __ATOMIC_SEQ_CST);
}

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, AVAIL = 0x80, USED = 0x8000 };

static int bad(const char **why, const char *what)
{
	*why = what;
	return -1;
}

static int add_seg(struct naive_dev *d, struct naive_chain *c, uint64_t addr, uint32_t len,
		   bool writable, const char **why)
{
	if (c->n == NAIVE_MAX_SEGS)
		return bad(why, "too many buffers");
	if (c->n && c->seg[c->n - 1].writable && !writable)
		return bad(why, "readable after writable");
	if (!d->translate(d->ctx, addr, len))
		return bad(why, "address not mapped");
	c->seg[c->n++] = (struct naive_seg){ addr, len, writable };
	return 0;
}

/* Walk a table of split descriptors from entry @i. */
static int walk_split(struct naive_dev *d, struct naive_chain *c, const uint8_t *table,
		      uint32_t entries, uint32_t i, bool nested, const char **why)
{
	for (uint32_t steps = 0;; steps++) {
		const uint8_t *e = table + 16 * (uint64_t)i;
		uint64_t addr = rd64(e);
		uint32_t len = rd32(e + 8);
		uint16_t flags = rd16(e + 12), next = rd16(e + 14);

		if (steps == entries)
			return bad(why, "loop");
		if (flags & INDIRECT) {
			const uint8_t *t = d->translate(d->ctx, addr, len);

			if (nested || (flags & NEXT) || len == 0 || len % 16 || !t)
				return bad(why, "bad indirect descriptor");
			return walk_split(d, c, t, len / 16, 0, true, why);
		}
		if (add_seg(d, c, addr, len, flags & WRITE, why))
			return -1;
		if (!(flags & NEXT))
			return 0;
		if (next >= entries)
			return bad(why, "next out of range");
		i = next;
	}
}

static int pop_split(struct naive_dev *d, struct naive_chain *c, const char **why)
{
	uint16_t idx = rd16(d->driver + 2);
	uint32_t head;

	if (idx == (uint16_t)d->avail)
		return 0;
	if ((uint16_t)(idx - d->avail) > d->size)
		return bad(why, "available index jumped");
	head = rd16(d->driver + 4 + 2 * ((uint16_t)d->avail % d->size));
	if (head >= d->size)
		return bad(why, "head out of range");
	*c = (struct naive_chain){ .id = head, .ndesc = 1 };
	if (walk_split(d, c, d->desc, d->size, head, false, why))
		return -1;
	d->avail = (uint16_t)(d->avail + 1);
	return 1;
}

static void step(const struct naive_dev *d, uint32_t *slot, bool *wrap)
{
	if (++*slot == d->size) {
		*slot = 0;
		*wrap = !*wrap;
	}
}

static int indirect_packed(struct naive_dev *d, struct naive_chain *c, uint64_t addr, uint32_t len,
			   const char **why)
{
	const uint8_t *t = d->translate(d->ctx, addr, len);

	if (len == 0 || len % 16 || !t)
		return bad(why, "bad indirect descriptor");
	for (uint32_t i = 0; i < len / 16; i++) {
		const uint8_t *e = t + 16 * (uint64_t)i;

		if (rd16(e + 14) & INDIRECT)
			return bad(why, "nested indirect");
		if (add_seg(d, c, rd64(e), rd32(e + 8), rd16(e + 14) & WRITE, why))
			return -1;
	}
	return 0;
}

static bool packed_avail(uint16_t flags, bool wrap)
{
	return !!(flags & AVAIL) == wrap && !!(flags & USED) != wrap;
}

static int pop_packed(struct naive_dev *d, struct naive_chain *c, const char **why)
{
	uint32_t slot = d->avail;
	bool wrap = d->avail_wrap;

	if (!packed_avail(rd16(d->desc + 16 * (uint64_t)slot + 14), wrap))
		return 0;
	*c = (struct naive_chain){ 0 };
	for (;;) {
		const uint8_t *e = d->desc + 16 * (uint64_t)slot;
		uint16_t flags = rd16(e + 14);

		if (!packed_avail(flags, wrap))
			return bad(why, "chain is not complete");
		if (c->ndesc == d->size)
			return bad(why, "chain longer than the ring");
		c->ndesc++;
		c->id = rd16(e + 12);
		step(d, &slot, &wrap);
		if (flags & INDIRECT) {
			if ((flags & NEXT) || c->ndesc > 1)
				return bad(why, "indirect in a chain");
			if (indirect_packed(d, c, rd64(e), rd32(e + 8), why))
				return -1;
			break;
		}
		if (add_seg(d, c, rd64(e), rd32(e + 8), flags & WRITE, why))
			return -1;
		if (!(flags & NEXT))
			break;
	}
	d->avail = slot;
	d->avail_wrap = wrap;
	return 1;
}

int naive_pop(struct naive_dev *d, struct naive_chain *c, const char **why)
{
	*why = "";
	return d->packed ? pop_packed(d, c, why) : pop_split(d, c, why);
}

void naive_push(struct naive_dev *d, const struct naive_chain *c, uint32_t len)
{
	if (!d->packed) {
		uint8_t *e = d->device + 4 + 8 * (uint64_t)((uint16_t)d->used % d->size);

		wr32(e, c->id);
		wr32(e + 4, len);
		d->used = (uint16_t)(d->used + 1);
		wr16(d->device + 2, (uint16_t)d->used);
		return;
	}
	uint8_t *e = d->desc + 16 * (uint64_t)d->used;

	wr32(e + 8, len);
	wr16(e + 12, (uint16_t)c->id);
	wr16(e + 14, (len ? WRITE : 0) | (d->used_wrap ? AVAIL | USED : 0));
	for (uint32_t i = 0; i < c->ndesc; i++)
		step(d, &d->used, &d->used_wrap);
	d->since += c->ndesc;
}

static bool must_call_split(struct naive_dev *d)
{
	bool call = false;

	if (!d->event_idx) {
		call = d->told != d->used && !(rd16(d->driver) & 1);
	} else {
		uint16_t event = rd16(d->driver + 4 + 2 * (uint64_t)d->size);

		/* Did any single step pass the event? */
		for (uint16_t i = (uint16_t)d->told; i != (uint16_t)d->used; i++)
			call |= i == event;
	}
	d->told = d->used;
	return call;
}

static bool must_call_packed(struct naive_dev *d)
{
	uint16_t off_wrap = rd16(d->driver), flags = rd16(d->driver + 2);
	uint32_t slot = d->told;
	bool wrap = d->told_wrap, call = false;

	for (uint32_t i = 0; i < d->since; i++) {
		call |= flags == 0 ||
			(flags == 2 && (!d->event_idx || (slot == (off_wrap & 0x7fffu) &&
							  wrap == !!(off_wrap & 0x8000))));
		step(d, &slot, &wrap);
	}
	d->told = d->used;
	d->told_wrap = d->used_wrap;
	d->since = 0;
	return call;
}

bool naive_must_call(struct naive_dev *d)
{
	return d->packed ? must_call_packed(d) : must_call_split(d);
}

bool naive_want_kick(struct naive_dev *d, bool on)
{
	if (d->packed) {
		if (on && d->event_idx)
			wr16(d->device, (uint16_t)(d->avail | (d->avail_wrap ? 0x8000u : 0)));
		wr16(d->device + 2, on ? (d->event_idx ? 2 : 0) : 1);
		return packed_avail(rd16(d->desc + 16 * (uint64_t)d->avail + 14), d->avail_wrap);
	}
	if (d->event_idx)
		wr16(d->device + 4 + 8 * (uint64_t)d->size,
		     on ? (uint16_t)d->avail : (uint16_t)(d->avail - 1));
	else
		wr16(d->device, on ? 0 : 1);
	return rd16(d->driver + 2) != (uint16_t)d->avail;
}
