/* SPDX-License-Identifier: MIT */
/*
 * vuctl probe: what kind of device is it? The protocol never says: a front-end
 * is told by whoever set it up. Feature bits 0 to 23 and 50 to 63 mean
 * something else on each type, so a type is possible only if it has a meaning
 * for every one that is offered; the configuration space must make sense, too.
 */
#include <stdio.h>
#include <string.h>

#include "cli/probe.h"
#include "util/compiler.h"
#include "wire/names.h"
#include "wire/virtio-blk.h"
#include "wire/virtio.h"

/* Feature bits of device types: VIRTIO 1.3 section 2.2. */
#define OWN_BITS (UINT64_C(0xffffff) | UINT64_MAX << 50)

#define PROTO(name) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##name)

static uint64_t own_bits(const struct probe *p)
{
	return p->features & OWN_BITS;
}

static bool bits_fit(const struct probe *p, uint32_t type)
{
	for (unsigned int bit = 0; bit < 64; bit++)
		if ((own_bits(p) & VIRTIO_BIT(bit)) && !virtio_feature_name(type, bit))
			return false;
	return true;
}

/* Is the configuration @len bytes long, as far as can be told? */
static bool length_is(const struct probe *p, uint32_t len)
{
	if (!p->config_any)
		return p->config_len == len;
	for (uint32_t i = len; i < p->config_len; i++)
		if (p->config[i])
			return false;
	return true;
}

static uint32_t u16(const struct probe *p, uint32_t off)
{
	return (uint32_t)probe_config_u(p, off, 2);
}

static uint32_t u32(const struct probe *p, uint32_t off)
{
	return (uint32_t)probe_config_u(p, off, 4);
}

static bool within(uint64_t v, uint64_t min, uint64_t max)
{
	return v >= min && v <= max;
}

static bool offers(const struct probe *p, unsigned int bit)
{
	return p->features & VIRTIO_BIT(bit);
}

/* ---- one function a type: how well does it fit? ---- */

static enum probe_sure is_blk(const struct probe *p)
{
	uint32_t bs = u32(p, offsetof(struct virtio_blk_config, blk_size));
	unsigned int good = 0;

	if (p->config_len < 8)
		return offers(p, VIRTIO_BLK_F_FLUSH) && offers(p, VIRTIO_BLK_F_SEG_MAX) ?
			       PROBE_LIKELY :
		       own_bits(p) ? PROBE_GUESS :
				     PROBE_UNKNOWN;
	if (probe_config_u(p, 0, 8) >> 54) /* sectors: no more than 8 EiB */
		return PROBE_UNKNOWN;
	if (offers(p, VIRTIO_BLK_F_BLK_SIZE)) {
		if (!within(bs, 512, 1 << 20) || (bs & (bs - 1)))
			return PROBE_UNKNOWN;
		good++;
	}
	if (offers(p, VIRTIO_BLK_F_SEG_MAX)) {
		if (!within(u32(p, offsetof(struct virtio_blk_config, seg_max)), 1, 65536))
			return PROBE_UNKNOWN;
		good++;
	}
	if (offers(p, VIRTIO_BLK_F_MQ)) {
		if (!within(u16(p, offsetof(struct virtio_blk_config, num_queues)), 1, 4096))
			return PROBE_UNKNOWN;
		good++;
	}
	if (good)
		return PROBE_CERTAIN;
	return p->config_len >= 24 ? PROBE_GUESS : PROBE_UNKNOWN;
}

/* Bits for which only a network card has a meaning. */
#define NET_ONLY (VIRTIO_BIT(3) | VIRTIO_BIT(8) | UINT64_C(0xfc0000) | (UINT64_MAX << 50))
/* CSUM, GUEST_CSUM, HOST_TSO4, HOST_TSO6, MRG_RXBUF: hardly one is without. */
#define NET_USUAL (VIRTIO_BIT(0) | VIRTIO_BIT(1) | VIRTIO_BIT(11) | VIRTIO_BIT(12) | VIRTIO_BIT(15))

static enum probe_sure is_net(const struct probe *p)
{
	if (p->config_len && offers(p, 16) && u16(p, 6) > 3)
		return PROBE_UNKNOWN;
	if (p->config_len && offers(p, 22) && !within(u16(p, 8), 1, 0x8000))
		return PROBE_UNKNOWN;
	if ((own_bits(p) & NET_ONLY) || (p->protocol & PROTO(MTU)))
		return PROBE_CERTAIN;
	if (p->config_len && !length_is(p, 24) && p->config_len > 24)
		return PROBE_UNKNOWN;
	if (__builtin_popcountll(own_bits(p) & NET_USUAL) >= 2 || (p->protocol & PROTO(RARP)))
		return p->config_len >= 6 && offers(p, 5) && !(p->config[0] & 1) ? PROBE_CERTAIN :
										   PROBE_LIKELY;
	return own_bits(p) ? PROBE_GUESS : PROBE_UNKNOWN;
}

static enum probe_sure is_fs(const struct probe *p)
{
	size_t n = strnlen((const char *)p->config, 36);

	if (!p->config_len) /* the tag is often left to the VMM */
		return !own_bits(p) && p->queues > 1 ? PROBE_GUESS : PROBE_UNKNOWN;
	if (p->config_len < 40 || !n || !within(u32(p, 36), 1, 1024))
		return PROBE_UNKNOWN;
	for (size_t i = 0; i < 36; i++)
		if (i < n ? p->config[i] < ' ' || p->config[i] == 0x7f : p->config[i] != 0)
			return PROBE_UNKNOWN;
	return PROBE_CERTAIN;
}

static enum probe_sure is_vsock(const struct probe *p)
{
	/* 5.10.4: 0 to 2 are taken, the upper 32 bits are zero. */
	if (p->config_len < 8 || !length_is(p, 8) ||
	    !within(probe_config_u(p, 0, 8), 3, UINT32_MAX - 1))
		return PROBE_UNKNOWN;
	return offers(p, 1) || p->queues == 3 ? PROBE_CERTAIN : PROBE_LIKELY;
}

static enum probe_sure is_gpio(const struct probe *p)
{
	if (p->config_len < 8 || !length_is(p, 8) || !u16(p, 0) || u16(p, 2))
		return PROBE_UNKNOWN;
	return u32(p, 4) ? PROBE_LIKELY : PROBE_GUESS;
}

static enum probe_sure is_console(const struct probe *p)
{
	if (p->config_len < 12 || !length_is(p, 12) || !own_bits(p))
		return PROBE_UNKNOWN;
	if (offers(p, 0) && (!within(u16(p, 0), 1, 9999) || !within(u16(p, 2), 1, 9999)))
		return PROBE_UNKNOWN;
	return offers(p, 1) && !within(u32(p, 4), 1, 65536) ? PROBE_UNKNOWN : PROBE_LIKELY;
}

static enum probe_sure is_sound(const struct probe *p)
{
	uint32_t len = offers(p, 0) ? 16 : 12;

	if (p->config_len < len || (!length_is(p, 12) && !length_is(p, 16)) || u32(p, 0) > 255 ||
	    !within(u32(p, 4), 1, 255) || u32(p, 8) > 255)
		return PROBE_UNKNOWN;
	return PROBE_LIKELY;
}

static enum probe_sure is_gpu(const struct probe *p)
{
	if (p->config_len < 16 || !length_is(p, 16) || u32(p, 0) > 1 || u32(p, 4) ||
	    !within(u32(p, 8), 1, 16) || u32(p, 12) > 255)
		return PROBE_UNKNOWN;
	return own_bits(p) ? PROBE_CERTAIN : PROBE_LIKELY;
}

static enum probe_sure is_scsi(const struct probe *p)
{
	if (p->config_len < 36)
		return p->config_len == 0 && own_bits(p) ? PROBE_GUESS : PROBE_UNKNOWN;
	/* 5.6.4: defaults of sense_size and cdb_size that nobody changes before there is a driver */
	return u32(p, 20) == 96 && u32(p, 24) == 32 ? PROBE_CERTAIN : PROBE_UNKNOWN;
}

static enum probe_sure is_input(const struct probe *p)
{
	return !p->config_any && p->config_len == 136 ? PROBE_LIKELY : PROBE_UNKNOWN;
}

static enum probe_sure is_crypto(const struct probe *p)
{
	if (p->config_len < 56 || u32(p, 0) > 1 || !within(u32(p, 4), 1, 1024) || !u32(p, 8) ||
	    u32(p, 8) > 0x1f)
		return PROBE_UNKNOWN;
	return p->protocol & PROTO(CRYPTO_SESSION) ? PROBE_CERTAIN : PROBE_LIKELY;
}

static enum probe_sure is_rng(const struct probe *p)
{
	if (p->config_len || own_bits(p) || p->queues > 1)
		return PROBE_UNKNOWN;
	return p->queues == 1 ? PROBE_LIKELY : PROBE_GUESS;
}

static enum probe_sure is_i2c(const struct probe *p)
{
	return p->config_len || own_bits(p) != 1 || p->queues != 1 ? PROBE_UNKNOWN : PROBE_LIKELY;
}

/**
 * struct candidate - a type that may be there
 * @words:	what people call it
 * @fits:	how well does it fit, given that it knows all feature bits?
 */
static const struct candidate {
	uint32_t type;
	const char *words;
	enum probe_sure (*fits)(const struct probe *p);
} candidates[] = {
	{ VIRTIO_ID_BLOCK, "a disk", is_blk },
	{ VIRTIO_ID_NET, "a network card", is_net },
	{ VIRTIO_ID_FS, "a shared folder", is_fs },
	{ VIRTIO_ID_SCSI, "a SCSI controller", is_scsi },
	{ VIRTIO_ID_VSOCK, "sockets between guest and host", is_vsock },
	{ VIRTIO_ID_GPU, "a graphics card", is_gpu },
	{ VIRTIO_ID_CONSOLE, "a console", is_console },
	{ VIRTIO_ID_INPUT, "a keyboard, mouse or the like", is_input },
	{ VIRTIO_ID_SOUND, "a sound card", is_sound },
	{ VIRTIO_ID_CRYPTO, "a crypto accelerator", is_crypto },
	{ VIRTIO_ID_RNG, "a source of random numbers", is_rng },
	{ VIRTIO_ID_I2C, "an I2C bus", is_i2c },
	{ VIRTIO_ID_GPIO, "a GPIO controller", is_gpio },
};

const char *probe_type_words(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++)
		if (candidates[i].type == type)
			return candidates[i].words;
	return NULL;
}

static void say_why(struct probe *p, uint32_t others)
{
	struct probe_guess *g = &p->guess;
	bool bits = own_bits(p), config = p->config_len;
	bool asked = p->config_len || p->o.last > PROBE_FEATURES;

	snprintf(g->why, sizeof(g->why), "%s",
		 bits && config ? "its features and its configuration fit" :
		 bits && !asked ? "from its features alone" :
		 bits           ? "its features fit; it gives no configuration" :
		 config         ? "its configuration fits; it has no features of its own" :
				  "it has neither features of its own nor a configuration");
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		size_t n = strlen(g->why);

		if ((others & 1u << i) && candidates[i].type != g->type)
			snprintf(g->why + n, sizeof(g->why) - n,
				 asked ? ", or %s" : ", which fit %s, too",
				 virtio_device_name(candidates[i].type));
	}
}

void probe_guess(struct probe *p)
{
	struct probe_guess *g = &p->guess;
	uint32_t best = 0; /* those that fit equally well */

	memset(g, 0, sizeof(*g));
	if (p->o.type) {
		g->type = p->o.type;
		g->sure = PROBE_GIVEN;
		snprintf(g->why, sizeof(g->why), "%s",
			 bits_fit(p, g->type) ? "as --type says" :
						"as --type says, but it has other features");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		const struct candidate *c = &candidates[i];
		enum probe_sure sure = bits_fit(p, c->type) ? c->fits(p) : PROBE_UNKNOWN;

		if (sure == PROBE_UNKNOWN || sure < g->sure)
			continue;
		if (sure > g->sure) {
			g->sure = sure;
			g->type = c->type;
			best = 0;
		}
		best |= 1u << i;
	}
	if (!g->sure) {
		snprintf(g->why, sizeof(g->why), "no type that vuctl knows fits");
		return;
	}
	if (best & (best - 1))
		g->sure = PROBE_GUESS;
	say_why(p, best);
}
