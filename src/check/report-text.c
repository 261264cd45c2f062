/* SPDX-License-Identifier: MIT */
/* vuctl check: a report for people. */
#include <inttypes.h>
#include <string.h>

#include "check/check-impl.h"
#include "wire/names.h"
#include "wire/virtio.h"

static const char *feature_name(uint32_t device, unsigned int bit)
{
	return virtio_feature_name(device, bit);
}

static const char *protocol_name(uint32_t device, unsigned int bit)
{
	(void)device;
	return vhost_user_protocol_feature_name(bit);
}

static void names(FILE *f, const char *head, uint64_t bits, uint32_t device,
		  const char *(*name)(uint32_t device, unsigned int bit))
{
	fputs(head, f);
	for (unsigned int i = 0; i < 64; i++) {
		const char *s = bits >> i & 1 ? name(device, i) : "";

		if (!s)
			fprintf(f, " %u", i);
		else if (*s)
			fprintf(f, " %s", s);
	}
	putc('\n', f);
}

static void begin(FILE *f, const char *socket, const struct check_facts *x, unsigned int n)
{
	fprintf(f, "%s: ", socket);
	if (x->is_blk)
		fprintf(f, "a disk of %" PRIu64 " MiB", x->sectors >> 11);
	else
		fputs("no disk that we know", f);
	fprintf(f, ", %u queue%s\n", x->queues, x->queues == 1 ? "" : "s");
	names(f, "features:", x->features, x->is_blk ? VIRTIO_ID_BLOCK : 0, feature_name);
	names(f, "protocol:", x->protocol_features, 0, protocol_name);
	fprintf(f, "%u cases\n\n", n);
}

/* @text may have several lines. */
static void block(FILE *f, const char *head, const char *text)
{
	if (!*text)
		return;
	fprintf(f, "    %s", head);
	for (const char *gap = ""; *text; gap = "              ") {
		size_t n = strcspn(text, "\n");

		fprintf(f, "%s%.*s\n", gap, (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void one(FILE *f, const struct check_report *r, unsigned int number)
{
	bool should = r->result == CHECK_FAILED && r->k->level == CHECK_SHOULD;

	(void)number;
	if (r->result == CHECK_SKIPPED) {
		fprintf(f, "skipped %s: %s\n", r->id, r->got);
		return;
	}
	fprintf(f, "%-7s %s\n", should ? "should" : check_result_word(r->result), r->id);
	if (check_report_bad(r)) {
		block(f, "", r->k->what);
		fprintf(f, "    (%s)\n", r->k->section);
	}
	block(f, "expected: ", r->expected);
	block(f, "came:     ", r->got);
	block(f, "also:     ", r->notes);
	block(f, "messages: ", r->trace);
}

static void skipped(FILE *f, const char *reason, unsigned int n)
{
	fprintf(f, "%4u skipped: %s\n", n, reason);
}

static void end(FILE *f, const unsigned int by_result[5], unsigned int shoulds_failed)
{
	fprintf(f, "%u passed, %u failed", by_result[CHECK_PASSED], by_result[CHECK_FAILED]);
	if (by_result[CHECK_DIED] || by_result[CHECK_HUNG])
		fprintf(f, ", %u died, %u hung", by_result[CHECK_DIED], by_result[CHECK_HUNG]);
	fprintf(f, ", %u should have been better, %u skipped\n", shoulds_failed,
		by_result[CHECK_SKIPPED]);
}

const struct check_reporter check_report_text = {
	.name = "text",
	.begin = begin,
	.one = one,
	.skipped = skipped,
	.end = end,
};
