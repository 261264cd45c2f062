/* SPDX-License-Identifier: MIT */
/* vuctl check: JUnit's XML, as build servers read it. */
#include <inttypes.h>
#include <string.h>

#include "check/check-impl.h"

/* Right in attributes and in text; what XML 1.0 has no way to say becomes "?". */
static void put_xml(FILE *f, const char *s)
{
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;

		if (ch == '&')
			fputs("&amp;", f);
		else if (ch == '<')
			fputs("&lt;", f);
		else if (ch == '>')
			fputs("&gt;", f);
		else if (ch == '"')
			fputs("&quot;", f);
		else if (ch == '\n')
			fputs("&#10;", f);
		else if (ch < 0x20 || ch >= 0x7f)
			putc('?', f);
		else
			putc(ch, f);
	}
}

static void head(FILE *f, const char *socket, const struct check_facts *x, unsigned int n,
		 const unsigned int by_result[5], uint64_t ns)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
	      "<testsuite name=\"vuctl check ",
	      f);
	put_xml(f, socket);
	fprintf(f,
		"\" tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" time=\"%" PRIu64
		".%03u\">\n<properties>\n"
		"<property name=\"features\" value=\"0x%" PRIx64 "\"/>\n"
		"<property name=\"protocol_features\" value=\"0x%" PRIx64 "\"/>\n"
		"</properties>\n",
		n, by_result[CHECK_FAILED], by_result[CHECK_DIED] + by_result[CHECK_HUNG],
		by_result[CHECK_SKIPPED], ns / 1000000000, (unsigned int)(ns / 1000000 % 1000),
		x->features, x->protocol_features);
}

static void line(FILE *f, const char *head, const char *text)
{
	if (!*text)
		return;
	fputs(head, f);
	put_xml(f, text);
	putc('\n', f);
}

/* A should that does not hold is no failure: it stands in the output of the case. */
static void detail(FILE *f, const struct check_report *r)
{
	const char *tag = check_report_fatal(r) ? r->result == CHECK_FAILED ? "failure" : "error" :
						  "system-out";

	fprintf(f, "<%s", tag);
	if (check_report_fatal(r)) {
		fprintf(f, " type=\"%s\" message=\"", check_result_word(r->result));
		put_xml(f, r->got);
		putc('"', f);
	}
	putc('>', f);
	line(f, check_report_fatal(r) ? "must: " : "should: ", r->k->what);
	line(f, "section: ", r->k->section);
	line(f, "expected: ", r->expected);
	line(f, "came: ", r->got);
	line(f, "also: ", r->notes);
	line(f, "messages:&#10;", r->trace);
	fprintf(f, "</%s>", tag);
}

static void one(FILE *f, const struct check_report *r, unsigned int number)
{
	int group = (int)strcspn(r->id, ".");

	(void)number;
	fprintf(f, "<testcase classname=\"%.*s\" name=\"", group, r->id);
	put_xml(f, r->id);
	fprintf(f, "\" time=\"%" PRIu64 ".%03u\">", r->ns / 1000000000,
		(unsigned int)(r->ns / 1000000 % 1000));
	if (r->result == CHECK_SKIPPED) {
		fputs("<skipped message=\"", f);
		put_xml(f, r->got);
		fputs("\"/>", f);
	} else if (check_report_bad(r)) {
		detail(f, r);
	}
	fputs("</testcase>\n", f);
}

static void end(FILE *f, const unsigned int by_result[5], unsigned int shoulds_failed)
{
	fprintf(f,
		"<system-out>%u passed, %u failed, %u died, %u hung, %u should-failures, "
		"%u skipped</system-out>\n</testsuite>\n</testsuites>\n",
		by_result[CHECK_PASSED], by_result[CHECK_FAILED], by_result[CHECK_DIED],
		by_result[CHECK_HUNG], shoulds_failed, by_result[CHECK_SKIPPED]);
}

const struct check_reporter check_report_junit = {
	.name = "junit",
	.head = head,
	.one = one,
	.end = end,
};
