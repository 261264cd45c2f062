/* SPDX-License-Identifier: MIT */
#include "util/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static struct {
	log_sink_fn *fn;
	void *ctx;
	enum log_level max;
} log_state = { .max = LOG_LVL_NOTICE };

void log_set_sink(log_sink_fn *fn, void *ctx)
{
	log_state.fn = fn;
	log_state.ctx = ctx;
}

void log_set_level(enum log_level max)
{
	log_state.max = max;
}

enum log_level log_get_level(void)
{
	return log_state.max;
}

void log_line(enum log_level lvl, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (lvl > log_state.max || !log_state.fn)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_state.fn(log_state.ctx, lvl, line);
}
