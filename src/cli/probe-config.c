/* SPDX-License-Identifier: MIT */
/* vuctl probe: configuration spaces, field by field. Source: VIRTIO 1.3, section 5. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/probe.h"
#include "util/compiler.h"
#include "util/size.h"
#include "wire/virtio-blk.h"
#include "wire/virtio.h"

enum kind {
	NUMBER,
	HEX,
	YES_NO,
	BYTES,   /* a size */
	SECTORS, /* a size, told in units of 512 bytes */
	BLOCKS,  /* a size, told in logical blocks */
	SHIFT,   /* a size, told as a power of two of logical blocks */
	MAC,
	TEXT, /* padded with zeroes */
};

#define ALWAYS (-1)

/**
 * struct probe_field - one field of a configuration space
 * @key:	JSON key; people see it with spaces. NULL: end of the table
 * @bit:	feature bit without which it has no meaning
 */
struct probe_field {
	const char *key;
	enum kind kind;
	uint16_t off;
	uint16_t size;
	int bit;
};

#define BLK(name) VIRTIO_BLK_F_##name
#define AT(field) \
	offsetof(struct virtio_blk_config, field), sizeof(((struct virtio_blk_config *)0)->field)

/* 5.2.4; what lies behind the part that struct virtio_blk_config has is given by number. */
static const struct probe_field blk_fields[] = {
	{ "capacity", SECTORS, AT(capacity), ALWAYS },
	{ "block_size", BYTES, AT(blk_size), BLK(BLK_SIZE) },
	{ "physical_block_size", SHIFT, AT(topology.physical_block_exp), BLK(TOPOLOGY) },
	{ "alignment_offset", BLOCKS, AT(topology.alignment_offset), BLK(TOPOLOGY) },
	{ "min_io_size", BLOCKS, AT(topology.min_io_size), BLK(TOPOLOGY) },
	{ "opt_io_size", BLOCKS, AT(topology.opt_io_size), BLK(TOPOLOGY) },
	{ "size_max", BYTES, AT(size_max), BLK(SIZE_MAX) },
	{ "seg_max", NUMBER, AT(seg_max), BLK(SEG_MAX) },
	{ "cylinders", NUMBER, AT(geometry.cylinders), BLK(GEOMETRY) },
	{ "heads", NUMBER, AT(geometry.heads), BLK(GEOMETRY) },
	{ "sectors", NUMBER, AT(geometry.sectors), BLK(GEOMETRY) },
	{ "writeback", YES_NO, AT(writeback), BLK(CONFIG_WCE) },
	{ "num_queues", NUMBER, AT(num_queues), BLK(MQ) },
	{ "max_discard_size", SECTORS, AT(max_discard_sectors), BLK(DISCARD) },
	{ "max_discard_seg", NUMBER, AT(max_discard_seg), BLK(DISCARD) },
	{ "discard_alignment", SECTORS, AT(discard_sector_alignment), BLK(DISCARD) },
	{ "max_write_zeroes_size", SECTORS, AT(max_write_zeroes_sectors), BLK(WRITE_ZEROES) },
	{ "max_write_zeroes_seg", NUMBER, AT(max_write_zeroes_seg), BLK(WRITE_ZEROES) },
	{ "write_zeroes_may_unmap", YES_NO, AT(write_zeroes_may_unmap), BLK(WRITE_ZEROES) },
	{ "max_secure_erase_size", SECTORS, 60, 4, BLK(SECURE_ERASE) },
	{ "max_secure_erase_seg", NUMBER, 64, 4, BLK(SECURE_ERASE) },
	{ "secure_erase_alignment", SECTORS, 68, 4, BLK(SECURE_ERASE) },
	{ "zone_size", SECTORS, 72, 4, BLK(ZONED) },
	{ "max_open_zones", NUMBER, 76, 4, BLK(ZONED) },
	{ "max_active_zones", NUMBER, 80, 4, BLK(ZONED) },
	{ "max_append_size", SECTORS, 84, 4, BLK(ZONED) },
	{ "write_granularity", BYTES, 88, 4, BLK(ZONED) },
	{ "zone_model", NUMBER, 92, 1, BLK(ZONED) },
	{ NULL },
};

/* 5.1.4 */
static const struct probe_field net_fields[] = {
	{ "mac", MAC, 0, 6, 5 },
	{ "status", NUMBER, 6, 2, 16 },
	{ "max_virtqueue_pairs", NUMBER, 8, 2, 22 },
	{ "mtu", NUMBER, 10, 2, 3 },
	{ "speed", NUMBER, 12, 4, 63 },
	{ "duplex", NUMBER, 16, 1, 63 },
	{ "rss_max_key_size", NUMBER, 17, 1, 60 },
	{ "rss_max_indirection_table_length", NUMBER, 18, 2, 60 },
	{ "supported_hash_types", HEX, 20, 4, 57 },
	{ NULL },
};

/* 5.3.4 */
static const struct probe_field console_fields[] = {
	{ "cols", NUMBER, 0, 2, 0 },
	{ "rows", NUMBER, 2, 2, 0 },
	{ "max_nr_ports", NUMBER, 4, 4, 1 },
	{ "emerg_wr", HEX, 8, 4, 2 },
	{ NULL },
};

/* 5.5.4 */
static const struct probe_field balloon_fields[] = {
	{ "num_pages", NUMBER, 0, 4, ALWAYS },
	{ "actual", NUMBER, 4, 4, ALWAYS },
	{ NULL },
};

/* 5.6.4 */
static const struct probe_field scsi_fields[] = {
	{ "num_queues", NUMBER, 0, 4, ALWAYS },
	{ "seg_max", NUMBER, 4, 4, ALWAYS },
	{ "max_size", SECTORS, 8, 4, ALWAYS },
	{ "cmd_per_lun", NUMBER, 12, 4, ALWAYS },
	{ "event_info_size", NUMBER, 16, 4, ALWAYS },
	{ "sense_size", NUMBER, 20, 4, ALWAYS },
	{ "cdb_size", NUMBER, 24, 4, ALWAYS },
	{ "max_channel", NUMBER, 28, 2, ALWAYS },
	{ "max_target", NUMBER, 30, 2, ALWAYS },
	{ "max_lun", NUMBER, 32, 4, ALWAYS },
	{ NULL },
};

/* 5.7.4 */
static const struct probe_field gpu_fields[] = {
	{ "events_read", HEX, 0, 4, ALWAYS },
	{ "events_clear", HEX, 4, 4, ALWAYS },
	{ "num_scanouts", NUMBER, 8, 4, ALWAYS },
	{ "num_capsets", NUMBER, 12, 4, ALWAYS },
	{ NULL },
};

/* 5.8.4; what is behind depends on what a driver has selected. */
static const struct probe_field input_fields[] = {
	{ "select", NUMBER, 0, 1, ALWAYS },
	{ "subsel", NUMBER, 1, 1, ALWAYS },
	{ "size", NUMBER, 2, 1, ALWAYS },
	{ "data", TEXT, 8, 128, ALWAYS },
	{ NULL },
};

/* 5.10.4 */
static const struct probe_field vsock_fields[] = {
	{ "guest_cid", NUMBER, 0, 8, ALWAYS },
	{ NULL },
};

/* 5.9.4 */
static const struct probe_field crypto_fields[] = {
	{ "status", NUMBER, 0, 4, ALWAYS },
	{ "max_dataqueues", NUMBER, 4, 4, ALWAYS },
	{ "crypto_services", HEX, 8, 4, ALWAYS },
	{ "cipher_algo_l", HEX, 12, 4, ALWAYS },
	{ "cipher_algo_h", HEX, 16, 4, ALWAYS },
	{ "hash_algo", HEX, 20, 4, ALWAYS },
	{ "mac_algo_l", HEX, 24, 4, ALWAYS },
	{ "mac_algo_h", HEX, 28, 4, ALWAYS },
	{ "aead_algo", HEX, 32, 4, ALWAYS },
	{ "max_cipher_key_len", NUMBER, 36, 4, ALWAYS },
	{ "max_auth_key_len", NUMBER, 40, 4, ALWAYS },
	{ "akcipher_algo", HEX, 44, 4, ALWAYS },
	{ "max_size", BYTES, 48, 8, ALWAYS },
	{ NULL },
};

/* 5.15.4 */
static const struct probe_field mem_fields[] = {
	{ "block_size", BYTES, 0, 8, ALWAYS },
	{ "node_id", NUMBER, 8, 2, 0 },
	{ "addr", HEX, 16, 8, ALWAYS },
	{ "region_size", BYTES, 24, 8, ALWAYS },
	{ "usable_region_size", BYTES, 32, 8, ALWAYS },
	{ "plugged_size", BYTES, 40, 8, ALWAYS },
	{ "requested_size", BYTES, 48, 8, ALWAYS },
	{ NULL },
};

/* 5.14.4 */
static const struct probe_field sound_fields[] = {
	{ "jacks", NUMBER, 0, 4, ALWAYS },
	{ "streams", NUMBER, 4, 4, ALWAYS },
	{ "chmaps", NUMBER, 8, 4, ALWAYS },
	{ "controls", NUMBER, 12, 4, 0 },
	{ NULL },
};

/* 5.11.4 */
static const struct probe_field fs_fields[] = {
	{ "tag", TEXT, 0, 36, ALWAYS },
	{ "num_request_queues", NUMBER, 36, 4, ALWAYS },
	{ "notify_buf_size", BYTES, 40, 4, 0 },
	{ NULL },
};

/* 5.19.4 */
static const struct probe_field pmem_fields[] = {
	{ "start", HEX, 0, 8, ALWAYS },
	{ "size", BYTES, 8, 8, ALWAYS },
	{ NULL },
};

/* 5.18.4 */
static const struct probe_field gpio_fields[] = {
	{ "ngpio", NUMBER, 0, 2, ALWAYS },
	{ "gpio_names_size", BYTES, 4, 4, ALWAYS },
	{ NULL },
};

static const struct probe_field *const tables[] = {
	[VIRTIO_ID_NET] = net_fields,         [VIRTIO_ID_BLOCK] = blk_fields,
	[VIRTIO_ID_CONSOLE] = console_fields, [VIRTIO_ID_BALLOON] = balloon_fields,
	[VIRTIO_ID_SCSI] = scsi_fields,       [VIRTIO_ID_GPU] = gpu_fields,
	[VIRTIO_ID_INPUT] = input_fields,     [VIRTIO_ID_VSOCK] = vsock_fields,
	[VIRTIO_ID_CRYPTO] = crypto_fields,   [VIRTIO_ID_MEM] = mem_fields,
	[VIRTIO_ID_SOUND] = sound_fields,     [VIRTIO_ID_FS] = fs_fields,
	[VIRTIO_ID_PMEM] = pmem_fields,       [VIRTIO_ID_GPIO] = gpio_fields,
};

const struct probe_field *probe_fields(uint32_t type)
{
	return type < ARRAY_SIZE(tables) ? tables[type] : NULL;
}

uint32_t probe_config_size(uint32_t type)
{
	uint32_t end = 0;

	for (const struct probe_field *f = probe_fields(type); f && f->key; f++)
		end = MAX(end, (uint32_t)f->off + f->size);
	return end;
}

const struct probe_field *probe_field_next(const struct probe_field *f)
{
	return f[1].key ? f + 1 : NULL;
}

const char *probe_field_key(const struct probe_field *f)
{
	return f->key;
}

bool probe_field_there(const struct probe *p, const struct probe_field *f)
{
	return (f->bit == ALWAYS || (p->features & VIRTIO_BIT(f->bit))) &&
	       (uint32_t)f->off + f->size <= p->config_len;
}

uint64_t probe_config_u(const struct probe *p, uint32_t off, uint32_t size)
{
	uint64_t v = 0;

	if (off + size > p->config_len)
		return 0;
	for (uint32_t i = size; i-- > 0;)
		v = v << 8 | p->config[off + i];
	return v;
}

/* The logical block, in which some sizes are told. */
static uint64_t block_size(const struct probe *p)
{
	bool told = p->features & VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE);
	uint64_t bs = probe_config_u(p, offsetof(struct virtio_blk_config, blk_size), 4);

	return told && bs ? bs : VIRTIO_BLK_SECTOR_SIZE;
}

/* Sizes in bytes, whatever they are told in; what no 64 bits hold is as large as they do. */
static uint64_t value(const struct probe *p, const struct probe_field *f)
{
	uint64_t v = probe_config_u(p, f->off, f->size), r = v;
	bool over = false;

	if (f->kind == SECTORS)
		over = __builtin_mul_overflow(v, UINT64_C(512), &r);
	else if (f->kind == BLOCKS)
		over = __builtin_mul_overflow(v, block_size(p), &r);
	else if (f->kind == SHIFT)
		over = v >= 32 || __builtin_mul_overflow(block_size(p), UINT64_C(1) << v, &r);
	return over ? UINT64_MAX : r;
}

bool probe_field_boring(const struct probe *p, const struct probe_field *f)
{
	return f->kind >= BYTES && f->kind <= SHIFT && f->off != 0 && value(p, f) == 0;
}

/* What a peer wrote, fit for a terminal and for JSON. */
static void text_of(const struct probe *p, const struct probe_field *f, char *buf, size_t n)
{
	size_t i;

	for (i = 0; i < f->size && i + 1 < n && p->config[f->off + i]; i++) {
		uint8_t c = p->config[f->off + i];

		buf[i] = (char)(c < ' ' || c > '~' ? '?' : c);
	}
	buf[i] = '\0';
}

static void mac_of(const struct probe *p, const struct probe_field *f, char *buf, size_t n)
{
	const uint8_t *m = p->config + f->off;

	snprintf(buf, n, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

void probe_field_text(const struct probe *p, const struct probe_field *f, char *buf, size_t n)
{
	uint64_t v = value(p, f);
	char size[SIZE_TEXT_MAX];

	switch (f->kind) {
	case NUMBER:
		snprintf(buf, n, "%" PRIu64, v);
		break;
	case HEX:
		snprintf(buf, n, "0x%" PRIx64, v);
		break;
	case YES_NO:
		snprintf(buf, n, "%s", v ? "yes" : "no");
		break;
	case MAC:
		mac_of(p, f, buf, n);
		break;
	case TEXT:
		text_of(p, f, buf, n);
		break;
	default:
		/* "none": what a zero means where a size is a limit or a hint */
		snprintf(buf, n, "%s", v ? size_format(size, v) : "none");
		if (f->kind == SECTORS && f->off == 0)
			snprintf(buf, n, "%s (%" PRIu64 " bytes)", size_format(size, v), v);
	}
}

json_t *probe_field_json(const struct probe *p, const struct probe_field *f)
{
	uint64_t v = value(p, f);
	char buf[160];

	switch (f->kind) {
	case YES_NO:
		return json_boolean(v);
	case MAC:
	case TEXT:
	case HEX:
		probe_field_text(p, f, buf, sizeof(buf));
		return json_string(buf);
	default:
		return json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX));
	}
}
