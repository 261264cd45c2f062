/* SPDX-License-Identifier: MIT */
/* vuctl check: one JSON object; its cases are written as they run. */
#include <jansson.h>
#include <string.h>

#include "check/check-impl.h"

#define ONE_LINE (JSON_COMPACT | JSON_PRESERVE_ORDER)

static void put(FILE *f, json_t *j)
{
	if (!j || json_dumpf(j, f, ONE_LINE) < 0)
		fputs("null", f); /* out of memory */
	json_decref(j);
}

/* 64 bits of flags are a string: numbers of JSON are often doubles. */
static json_t *hex(uint64_t v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "0x%llx", (unsigned long long)v);
	return json_string(buf);
}

static json_t *lines(const char *text)
{
	json_t *a = json_array();

	while (*text) {
		size_t n = strcspn(text, "\n");

		json_array_append_new(a, json_stringn(text, n));
		text += n + (text[n] == '\n');
	}
	return a;
}

static void begin(FILE *f, const char *socket, const struct check_facts *x, unsigned int n)
{
	(void)n;
	fputs("{\"socket\":", f);
	/* A path need not be UTF-8. */
	check_put_string(f, socket);
	fputs(",\"backend\":", f);
	put(f, json_pack("{s:o, s:o, s:I, s:I, s:b, s:I, s:i}", "features", hex(x->features),
			 "protocol_features", hex(x->protocol_features), "queues",
			 (json_int_t)x->queues, "mem_slots", (json_int_t)x->mem_slots, "disk",
			 x->is_blk, "sectors", (json_int_t)x->sectors, "block_size",
			 (int)x->block_size));
	fputs(",\"cases\":[", f);
}

static void one(FILE *f, const struct check_report *r, unsigned int number)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "id", r->id, "level",
			      r->k->level == CHECK_MUST ? "must" : "should", "section",
			      r->k->section, "what", r->k->what, "result",
			      check_result_word(r->result), "duration_ns", (json_int_t)r->ns);

	fputs(number > 1 ? ",\n" : "\n", f);
	if (j && r->result == CHECK_SKIPPED)
		json_object_set_new(j, "reason", json_string(r->got));
	if (j && check_report_bad(r)) {
		json_object_set_new(j, "expected", json_string(r->expected));
		json_object_set_new(j, "got", json_string(r->got));
		json_object_set_new(j, "notes", lines(r->notes));
		json_object_set_new(j, "messages", lines(r->trace));
	}
	put(f, j);
}

static void end(FILE *f, const unsigned int by_result[5], unsigned int shoulds_failed)
{
	fputs("\n],\"summary\":", f);
	put(f, json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "passed", (int)by_result[CHECK_PASSED],
			 "failed", (int)by_result[CHECK_FAILED], "should_failed",
			 (int)shoulds_failed, "skipped", (int)by_result[CHECK_SKIPPED], "died",
			 (int)by_result[CHECK_DIED], "hung", (int)by_result[CHECK_HUNG]));
	fputs("}\n", f);
}

const struct check_reporter check_report_json = {
	.name = "json",
	.begin = begin,
	.one = one,
	.end = end,
};
