/* SPDX-License-Identifier: MIT */
/* vuctl probe: what was found, for people and for programs. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/probe.h"
#include "util/compiler.h"
#include "util/size.h"
#include "wire/names.h"
#include "wire/virtio.h"

#define LABEL 10 /* width of what stands on the left */
#define WIDTH 80

const char *const probe_stage_names[] = {
	[PROBE_CONNECT] = "connect", [PROBE_FEATURES] = "features", [PROBE_CONFIG] = "config",
	[PROBE_MEMORY] = "memory",   [PROBE_QUEUE] = "queue",       [PROBE_READ] = "read",
};

static const char *const sure_words[] = {
	[PROBE_UNKNOWN] = "unknown", [PROBE_GUESS] = "guess", [PROBE_LIKELY] = "likely",
	[PROBE_CERTAIN] = "certain", [PROBE_GIVEN] = "given",
};

static const char *const formats[] = { "split", "packed" };

static const char *feature(const struct probe *p, bool protocol, unsigned int bit)
{
	return protocol ? vhost_user_protocol_feature_name(bit) :
			  virtio_feature_name(p->guess.type, bit);
}

/* ---- for people ---- */

__attribute__((format(printf, 2, 3))) static void row(const char *label, const char *fmt, ...)
{
	va_list ap;

	printf("%-*s ", LABEL, label);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void show_bits(const struct probe *p, const char *label, uint64_t bits, bool protocol)
{
	int column;

	if (!bits) {
		row(label, "none");
		return;
	}
	column = printf("%-*s", LABEL, label);
	for (unsigned int bit = 0; bit < 64; bit++) {
		const char *name = feature(p, protocol, bit);
		char number[16];

		if (!(bits & VIRTIO_BIT(bit)))
			continue;
		snprintf(number, sizeof(number), "bit-%u", bit);
		name = name ? name : number;
		if (column + 1 + (int)strlen(name) > WIDTH)
			column = printf("\n%-*s", LABEL, "") - 1;
		column += printf(" %s", name);
	}
	putchar('\n');
}

static void show_who(const struct probe *p)
{
	if (p->program[0])
		row("connect", "%s (pid %d) listens there", p->program, (int)p->pid);
	else
		row("connect", "somebody listens there");
}

/* The end of what was given, or what was made up to give any length. */
static uint32_t config_end(const struct probe *p)
{
	uint32_t end = p->config_len, known = probe_config_size(p->guess.type);

	while (p->config_any && end > known && !p->config[end - 1])
		end--;
	return end;
}

/* What nobody has described: 16 bytes a line. */
static void show_bytes(const struct probe *p)
{
	uint32_t end = config_end(p);

	for (uint32_t at = 0; at < end; at += 16) {
		printf("  %04x   ", at);
		for (uint32_t i = at; i < MIN(at + 16, end); i++)
			printf(" %02x", p->config[i]);
		putchar('\n');
	}
}

static void show_fields(const struct probe *p)
{
	for (const struct probe_field *f = probe_fields(p->guess.type); f;
	     f = probe_field_next(f)) {
		char label[40], value[160];

		if (!probe_field_there(p, f) || probe_field_boring(p, f))
			continue;
		snprintf(label, sizeof(label), "%s", probe_field_key(f));
		for (char *c = label; *c; c++)
			if (*c == '_')
				*c = ' ';
		probe_field_text(p, f, value, sizeof(value));
		printf("  %-24s %s\n", label, value);
	}
}

static void show_device(const struct probe *p)
{
	const struct probe_guess *g = &p->guess;
	const char *name = virtio_device_name(g->type), *words = probe_type_words(g->type);

	if (!g->sure)
		row("device", "unknown: %s", g->why);
	else
		row("device", "%s%s%s; %s%s%s", name, words ? ", " : "", words ? words : "",
		    g->sure == PROBE_GIVEN ? "" : sure_words[g->sure],
		    g->sure == PROBE_GIVEN ? "" : ": ", g->why);
	show_bits(p, "features", p->features, false);
	show_bits(p, "protocol", p->protocol, true);
	if (p->queues)
		row("queues", "%" PRIu64, p->queues);
	else
		row("queues", "it does not tell how many (no MQ)");
}

static void show_config(const struct probe *p)
{
	uint32_t known = probe_config_size(p->guess.type);

	if (!p->config_len) {
		row("config", "none");
		return;
	}
	if (p->config_any)
		row("config", "given for any length asked");
	else
		row("config", "%u bytes", p->config_len);
	if (known)
		show_fields(p);
	else
		show_bytes(p);
}

static void show_memory(const struct probe *p)
{
	if (p->slots)
		row("memory", "taken; up to %" PRIu64 " regions", p->slots);
	else
		row("memory", "taken; up to %d regions", VHOST_USER_MAX_REGIONS);
}

static void show_queue(const struct probe *p)
{
	row("queue", "started and stopped, %d entries, %s", PROBE_QUEUE_SIZE,
	    p->runs[1].started ? "split and packed" : "split");
}

static void show_read(const struct probe *p)
{
	char size[SIZE_TEXT_MAX];

	if (!p->runs[0].read) {
		row("read", "not tried: only disks are read");
		return;
	}
	if (!p->read_len) {
		row("read", "nothing to read: the disk is empty");
	} else {
		printf("%-*s first %s in %" PRIu64 " us", LABEL, "read",
		       size_format(size, p->read_len), (p->runs[0].ns + 999) / 1000);
		if (p->runs[1].read)
			printf(" (split ring), %" PRIu64 " us (packed)",
			       (p->runs[1].ns + 999) / 1000);
		putchar('\n');
	}
	row("serial", "%s", p->serial[0] ? p->serial : "none");
}

void probe_show(const struct probe *p, enum probe_stage s)
{
	switch (s) {
	case PROBE_CONNECT:
		show_who(p);
		break;
	case PROBE_FEATURES:
		show_device(p);
		break;
	case PROBE_CONFIG:
		show_config(p);
		break;
	case PROBE_MEMORY:
		show_memory(p);
		break;
	case PROBE_QUEUE:
		show_queue(p);
		break;
	case PROBE_READ:
		show_read(p);
		break;
	}
	fflush(stdout);
}

/* ---- for programs ---- */

static void put_bits(const struct probe *p, json_t *o, const char *key, uint64_t bits,
		     bool protocol)
{
	json_t *names = json_array();
	char text[40];

	for (unsigned int bit = 0; bit < 64; bit++) {
		const char *name = feature(p, protocol, bit);

		if (!(bits & VIRTIO_BIT(bit)))
			continue;
		snprintf(text, sizeof(text), "bit-%u", bit);
		json_array_append_new(names, json_string(name ? name : text));
	}
	json_object_set_new(o, key, names);
	snprintf(text, sizeof(text), "%s_hex", key);
	json_object_set_new(o, text, json_sprintf("0x%016" PRIx64, bits));
}

static void put_device(const struct probe *p, json_t *o)
{
	const struct probe_guess *g = &p->guess;
	const char *name = virtio_device_name(g->type);

	json_object_set_new(o, "device", g->sure && name ? json_string(name) : json_null());
	json_object_set_new(o, "device_id", g->sure ? json_integer(g->type) : json_null());
	json_object_set_new(o, "certainty", json_string(sure_words[g->sure]));
	json_object_set_new(o, "reason", json_string(g->why));
	put_bits(p, o, "features", p->features, false);
	put_bits(p, o, "protocol_features", p->protocol, true);
	json_object_set_new(o, "queues",
			    p->queues ? json_integer((json_int_t)p->queues) : json_null());
	json_object_set_new(o, "memory_slots",
			    json_integer(p->slots ? (json_int_t)p->slots : VHOST_USER_MAX_REGIONS));
}

static json_t *config_json(const struct probe *p)
{
	char hex[2 * VHOST_USER_CONFIG_MAX + 1] = "";
	json_t *o;

	if (!p->config_len)
		return json_null();
	o = json_object();
	for (uint32_t i = 0; i < config_end(p); i++)
		snprintf(hex + 2 * i, 3, "%02x", p->config[i]);
	json_object_set_new(o, "length", p->config_any ? json_null() : json_integer(p->config_len));
	json_object_set_new(o, "hex", json_string(hex));
	for (const struct probe_field *f = probe_fields(p->guess.type); f; f = probe_field_next(f))
		if (probe_field_there(p, f))
			json_object_set_new(o, probe_field_key(f), probe_field_json(p, f));
	return o;
}

static json_t *queue_json(const struct probe *p)
{
	json_t *o = json_object(), *rings = json_array();

	json_object_set_new(o, "size", json_integer(PROBE_QUEUE_SIZE));
	for (unsigned int i = 0; i < 2; i++)
		if (p->runs[i].started)
			json_array_append_new(rings, json_string(formats[i]));
	json_object_set_new(o, "rings", rings);
	return o;
}

static void put_read(const struct probe *p, json_t *o)
{
	json_t *reads = json_array();

	for (unsigned int i = 0; i < 2; i++)
		if (p->runs[i].read && p->read_len)
			json_array_append_new(reads,
					      json_pack("{s:s, s:i, s:i, s:I}", "ring", formats[i],
							"offset", 0, "size", (int)p->read_len,
							"duration", (json_int_t)p->runs[i].ns));
	json_object_set_new(o, "reads", reads);
	if (p->runs[0].read)
		json_object_set_new(o, "serial", json_string(p->serial));
}

void probe_show_json(const struct probe *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "socket", json_string(p->o.path));
	json_object_set_new(o, "stage",
			    p->reached ? json_string(probe_stage_names[p->reached - 1]) :
					 json_null());
	json_object_set_new(o, "complete", json_boolean(p->reached > p->o.last));
	if (p->reached > PROBE_CONNECT) {
		json_object_set_new(o, "pid", p->pid ? json_integer(p->pid) : json_null());
		json_object_set_new(o, "program",
				    p->program[0] ? json_string(p->program) : json_null());
	}
	if (p->reached > PROBE_FEATURES)
		put_device(p, o);
	if (p->reached > PROBE_CONFIG)
		json_object_set_new(o, "config", config_json(p));
	if (p->reached > PROBE_QUEUE)
		json_object_set_new(o, "queue", queue_json(p));
	if (p->reached > PROBE_READ)
		put_read(p, o);
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}
