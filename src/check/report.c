/* SPDX-License-Identifier: MIT */
/* vuctl check: what the reports share. */
#include "check/check-impl.h"

const char *check_result_word(enum check_result r)
{
	switch (r) {
	case CHECK_PASSED:
		return "passed";
	case CHECK_FAILED:
		return "failed";
	case CHECK_SKIPPED:
		return "skipped";
	case CHECK_DIED:
		return "died";
	case CHECK_HUNG:
		return "hung";
	}
	return "unknown";
}

void check_put_string(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;

		if (ch == '"' || ch == '\\')
			fprintf(f, "\\%c", ch);
		else if (ch == '\n')
			fputs("\\n", f);
		else if (ch < 0x20 || ch == 0x7f)
			fprintf(f, "\\u%04x", ch);
		else
			putc(ch, f);
	}
	putc('"', f);
}
