/* SPDX-License-Identifier: MIT */
#include "util/size.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char units[] = "KMGTPE";

/* What a unit multiplies by, 0 when it is none. */
static uint64_t unit_factor(const char *unit)
{
	uint64_t base = 1024, factor = 1;
	const char *u;

	if (!*unit || !strcasecmp(unit, "B"))
		return 1;
	u = strchr(units, *unit >= 'a' && *unit <= 'z' ? *unit - 'a' + 'A' : *unit);
	if (!u)
		return 0;
	if (!strcasecmp(unit + 1, "B"))
		base = 1000;
	else if (unit[1] && strcasecmp(unit + 1, "iB"))
		return 0;
	for (long i = 0; i <= u - units; i++)
		factor *= base; /* 1024^6 = 2^60 at most */
	return factor;
}

int size_parse(const char *text, uint64_t *bytes, struct err *e)
{
	uint64_t n = 0, factor;
	const char *p = text;
	bool over = false;

	for (; *p >= '0' && *p <= '9'; p++) {
		over |= __builtin_mul_overflow(n, 10u, &n);
		over |= __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n);
	}
	factor = p == text ? 0 : unit_factor(p);
	if (!factor) {
		err_set(e, -EINVAL, "bad-size", "'%.40s' is not a size", text);
		return err_hint(e, "A size is a whole number with a unit, such as 10G, 512M, 4KiB "
				   "(powers of 1024) or 10GB (powers of 1000)");
	}
	over |= __builtin_mul_overflow(n, factor, &n);
	if (over)
		return err_set(e, -ERANGE, "bad-size", "the size '%.40s' is too large", text);
	*bytes = n;
	return 0;
}

static char *format(char buf[SIZE_TEXT_MAX], uint64_t bytes, bool is_short)
{
	const char *sep = is_short ? "" : " ", *tail = is_short ? "" : "iB";
	unsigned int shift = 0, whole, tenth;
	char unit;

	while (shift < 60 && bytes >> shift >= 1024)
		shift += 10;
	if (!shift) {
		snprintf(buf, SIZE_TEXT_MAX, "%u%s", (unsigned int)bytes,
			 is_short   ? "" :
			 bytes == 1 ? " byte" :
				      " bytes");
		return buf;
	}
	unit = units[shift / 10 - 1];
	whole = (unsigned int)(bytes >> shift);
	/* The next ten bits below the point are precision enough for one digit. */
	tenth = (unsigned int)((bytes >> (shift - 10)) & 1023) * 10 / 1024;
	if (whole < 100 && tenth)
		snprintf(buf, SIZE_TEXT_MAX, "%u.%u%s%c%s", whole, tenth, sep, unit, tail);
	else
		snprintf(buf, SIZE_TEXT_MAX, "%u%s%c%s", whole, sep, unit, tail);
	return buf;
}

char *size_format(char buf[SIZE_TEXT_MAX], uint64_t bytes)
{
	return format(buf, bytes, false);
}

char *size_format_short(char buf[SIZE_TEXT_MAX], uint64_t bytes)
{
	return format(buf, bytes, true);
}
