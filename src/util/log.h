/* SPDX-License-Identifier: MIT */
/*
 * Log lines. The library itself never prints: whoever owns the process gives
 * a sink. Never called per request.
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

enum log_level {
	LOG_LVL_ERR,     /* something was lost or cannot work */
	LOG_LVL_WARNING, /* a guest or peer misbehaved */
	LOG_LVL_NOTICE,  /* life cycle: attached, connected, resized */
	LOG_LVL_INFO,
	LOG_LVL_DEBUG, /* a line per control message */
};

typedef void log_sink_fn(void *ctx, enum log_level lvl, const char *line);

/* Set before threads start. NULL sink drops everything. Any thread may call the sink. */
void log_set_sink(log_sink_fn *fn, void *ctx);
void log_set_level(enum log_level max);
enum log_level log_get_level(void);

/* @line gets one line without a newline, at most 1023 bytes, from any thread. */
void log_line(enum log_level lvl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...)     log_line(LOG_LVL_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LVL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LVL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LVL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LVL_DEBUG, __VA_ARGS__)

#endif
