/* SPDX-License-Identifier: MIT */
#include "util/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void err_fill(struct err *e, int code, const char *id, const char *fmt, va_list ap)
{
	e->code = code;
	e->id = id;
	e->hint[0] = '\0';
	vsnprintf(e->what, sizeof(e->what), fmt, ap);
}

int err_set(struct err *e, int code, const char *id, const char *fmt, ...)
{
	if (e) {
		va_list ap;

		va_start(ap, fmt);
		err_fill(e, code, id, fmt, ap);
		va_end(ap);
	}
	return code;
}

int err_sys(struct err *e, int code, const char *id, const char *fmt, ...)
{
	if (e) {
		va_list ap;
		size_t n;

		va_start(ap, fmt);
		err_fill(e, code, id, fmt, ap);
		va_end(ap);
		n = strlen(e->what);
		snprintf(e->what + n, sizeof(e->what) - n, ": %s", strerror(-code));
	}
	return code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->what)];
	va_list ap;
	size_t n;

	if (!e)
		return -EINVAL;
	memcpy(old, e->what, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->what, sizeof(e->what), fmt, ap);
	va_end(ap);
	n = strlen(e->what);
	snprintf(e->what + n, sizeof(e->what) - n, ": %s", old);
	return e->code;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
	return e->code;
}
