/* SPDX-License-Identifier: MIT */
/*
 * Everything said to people goes to stderr and through here: stdout is for
 * what programs read.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static struct cli_style style; /* set before threads start */

void cli_set_style(const struct cli_style *s)
{
	style = *s;
}

bool cli_wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

void cli_json_string(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			putc(c, f);
	}
	putc('"', f);
}

/* Collect a message and write it at once: lines of several threads do not mix. */
static FILE *begin(char **text, size_t *size)
{
	return open_memstream(text, size);
}

static void end(FILE *f, char **text, size_t *size)
{
	ssize_t done = 0;

	fclose(f);
	for (size_t n = 0; n < *size && done >= 0; n += (size_t)done) {
		done = write(STDERR_FILENO, *text + n, *size - n);
		if (done < 0 && errno == EINTR)
			done = 0;
	}
	free(*text);
}

/* Control characters of a file name or a peer must not reach a terminal. */
static void put_clean(FILE *f, const char *s, size_t n)
{
	for (; n; s++, n--) {
		unsigned char c = (unsigned char)*s;

		putc(c < 0x20 || c == 0x7f ? '?' : c, f);
	}
}

static void put_hint(FILE *f, const char *hint)
{
	while (*hint) {
		size_t n = strcspn(hint, "\n");

		fputs("  ", f);
		put_clean(f, hint, n);
		putc('\n', f);
		hint += n + (hint[n] == '\n');
	}
}

void cli_error(const struct err *e)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = begin(&text, &size);

	if (!f)
		return;
	if (style.json) {
		fputs("{\"error\":{\"id\":", f);
		cli_json_string(f, e->id ? e->id : "unknown");
		fputs(",\"message\":", f);
		cli_json_string(f, e->what);
		fputs(",\"hint\":", f);
		cli_json_string(f, e->hint);
		fprintf(f, ",\"errno\":%d}}\n", -e->code);
	} else {
		fputs("vuctl: ", f);
		put_clean(f, e->what, strlen(e->what));
		putc('\n', f);
		put_hint(f, e->hint);
	}
	end(f, &text, &size);
}

static void line(const char *level, const char *prefix, const char *s)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = begin(&text, &size);

	if (!f)
		return;
	if (style.json) {
		fprintf(f, "{\"level\":\"%s\",\"message\":", level);
		cli_json_string(f, s);
		fputs("}\n", f);
	} else {
		fputs(prefix, f);
		while (*s) {
			size_t n = strcspn(s, "\n");

			put_clean(f, s, n);
			putc('\n', f);
			s += n + (s[n] == '\n');
		}
	}
	end(f, &text, &size);
}

void cli_say(const char *fmt, ...)
{
	char buf[2048];
	va_list ap;

	if (style.quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	line("notice", "", buf);
}

void cli_log(void *ctx, enum log_level lvl, const char *s)
{
	static const char *const names[] = {
		[LOG_LVL_ERR] = "error", [LOG_LVL_WARNING] = "warning", [LOG_LVL_NOTICE] = "notice",
		[LOG_LVL_INFO] = "info", [LOG_LVL_DEBUG] = "debug",
	};

	(void)ctx;
	line(names[lvl], "vuctl: ", s);
}

int cli_exit_code(const struct err *e, int otherwise)
{
	switch (-e->code) {
	case EACCES:
	case EPERM:
		return EXIT_NOT_PERMITTED;
	case EBUSY:
	case EADDRINUSE:
	case EEXIST:
	case ETXTBSY:
		return EXIT_BUSY;
	case ETIMEDOUT:
		return EXIT_TIMED_OUT;
	default:
		return otherwise;
	}
}

void cli_add_hint(struct err *e, const char *fmt, ...)
{
	size_t n = strlen(e->hint);
	va_list ap;

	if (n && n + 1 < sizeof(e->hint))
		e->hint[n++] = '\n';
	va_start(ap, fmt);
	vsnprintf(e->hint + n, sizeof(e->hint) - n, fmt, ap);
	va_end(ap);
}

int cli_usage(const char *cmd, struct err *e)
{
	cli_add_hint(e, "See: vuctl %s%s--help", cmd ? cmd : "", cmd ? " " : "");
	cli_error(e);
	return EXIT_USAGE;
}

int cli_stdout_done(void)
{
	struct err e = { .code = 0 };

	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_OK;
	err_sys(&e, -errno, "write-failed", "cannot write to standard output");
	cli_error(&e);
	return EXIT_FAILED;
}
