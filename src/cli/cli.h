/* SPDX-License-Identifier: MIT */
/* vuctl: what its sub-commands share. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "util/err.h"
#include "util/log.h"
#include "util/opts.h"

/* Exit codes, as in vuctl(1). With --run: the status of the command. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DISK = 3,
	EXIT_NOT_PERMITTED = 4,
	EXIT_BUSY = 5,
	EXIT_HOST_CANNOT = 6,
	EXIT_BAD_SOURCE = 7,
	EXIT_NO_SERVER = 8,
	EXIT_TIMED_OUT = 9,
};

/**
 * struct cli_cmd - one sub-command
 * @name:	as typed
 * @synopsis:	what follows the name, for --help; lines
 * @help:	one line
 * @more:	prints what stands below the options; may be NULL
 * @opts:	its options
 * @run:	argv[0] is the name; returns the exit code
 */
struct cli_cmd {
	const char *name;
	const char *synopsis;
	const char *help;
	void (*more)(FILE *f);
	const struct opt_desc *opts;
	int (*run)(int argc, char **argv);
};

/* main.c: the table of sub-commands, ended by an entry without a name. */
extern const struct cli_cmd *const cli_cmds[];
const struct cli_cmd *cli_find(const char *name, struct err *e);

extern const struct cli_cmd bench_cmd;
extern const struct cli_cmd serve_cmd, help_cmd, completion_cmd, check_cmd, probe_cmd;

/* Options that every command has; handled by the command itself. */
#define CLI_OPT_HELP 255
#define CLI_OPT_JSON 254
#define CLI_OPTS_COMMON                                                                      \
	{ CLI_OPT_JSON, "json", 0, NULL, "messages and errors as JSON, one object a line" }, \
		{ CLI_OPT_HELP, "help", 'h', NULL, "show this help" },                       \
	{                                                                                    \
		0                                                                            \
	}

/* print.c: all that is said to people, on stderr; one whole line at a time, from any thread. */

/**
 * struct cli_style - how to talk
 * @json:	one JSON object per line
 * @quiet:	errors only
 */
struct cli_style {
	bool json;
	bool quiet;
};
void cli_set_style(const struct cli_style *s);
/* Is there the word --json? For errors that come before options are read. */
bool cli_wants_json(int argc, char **argv);
/* "vuctl: WHAT" and the hint below it. */
void cli_error(const struct err *e);
/* One more line of hint. */
void cli_add_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Something happened; without prefix. Not with quiet. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The sink of util/log.h. */
void cli_log(void *ctx, enum log_level lvl, const char *line);
/* A JSON string with its quotes. */
void cli_json_string(FILE *f, const char *s);

/* The exit code that fits, @otherwise when nothing else does. */
int cli_exit_code(const struct err *e, int otherwise);
/* Shows @e and a word on --help. Returns EXIT_USAGE. */
int cli_usage(const char *cmd, struct err *e);
/* Did all of stdout get out? EXIT_OK, or EXIT_FAILED with a message. */
int cli_stdout_done(void);

/* help.c */
int cli_help(FILE *f, const struct cli_cmd *cmd); /* NULL: vuctl itself */

#endif
