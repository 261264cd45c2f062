/* SPDX-License-Identifier: MIT */
/* vuctl check: TAP version 13, with YAML below what is not ok. */
#include <inttypes.h>
#include <string.h>

#include "check/check-impl.h"

/* "#" begins a directive. */
static void put_plain(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '#' || *s == '\\')
			putc('\\', f);
		putc(*s == '\n' ? ' ' : *s, f);
	}
}

static void begin(FILE *f, const char *socket, const struct check_facts *x, unsigned int n)
{
	fprintf(f, "TAP version 13\n1..%u\n# ", n);
	put_plain(f, socket);
	fprintf(f, ", features 0x%" PRIx64 ", protocol features 0x%" PRIx64 "\n", x->features,
		x->protocol_features);
}

static void entry(FILE *f, const char *key, const char *value)
{
	if (!*value)
		return;
	fprintf(f, "  %s: ", key);
	check_put_string(f, value);
	putc('\n', f);
}

static void entry_lines(FILE *f, const char *key, const char *text)
{
	char line[1024];

	if (!*text)
		return;
	fprintf(f, "  %s:\n", key);
	while (*text) {
		size_t n = strcspn(text, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)n, text);
		fputs("    - ", f);
		check_put_string(f, line);
		putc('\n', f);
		text += n + (text[n] == '\n');
	}
}

static void one(FILE *f, const struct check_report *r, unsigned int number)
{
	fprintf(f, "%sok %u - %s", check_report_bad(r) ? "not " : "", number, r->id);
	if (r->result == CHECK_SKIPPED) {
		fputs(" # SKIP ", f);
		put_plain(f, r->got);
	} else if (check_report_bad(r) && !check_report_fatal(r)) {
		/* A harness reports what is to do, and lets the run pass. */
		fputs(" # TODO should", f);
	}
	putc('\n', f);
	if (!check_report_bad(r))
		return;
	fputs("  ---\n", f);
	entry(f, "result", check_result_word(r->result));
	entry(f, "level", r->k->level == CHECK_MUST ? "must" : "should");
	entry(f, "section", r->k->section);
	entry(f, "what", r->k->what);
	entry(f, "expected", r->expected);
	entry(f, "got", r->got);
	entry_lines(f, "notes", r->notes);
	entry_lines(f, "messages", r->trace);
	fprintf(f, "  duration_ms: %" PRIu64 "\n  ...\n", r->ns / 1000000);
}

static void end(FILE *f, const unsigned int by_result[5], unsigned int shoulds_failed)
{
	fprintf(f, "# %u passed, %u failed, %u died, %u hung, %u should-failures, %u skipped\n",
		by_result[CHECK_PASSED], by_result[CHECK_FAILED], by_result[CHECK_DIED],
		by_result[CHECK_HUNG], shoulds_failed, by_result[CHECK_SKIPPED]);
}

const struct check_reporter check_report_tap = {
	.name = "tap",
	.begin = begin,
	.one = one,
	.end = end,
};
