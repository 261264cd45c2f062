/* SPDX-License-Identifier: MIT */
/* vuctl check: does a vhost-user back-end do what the specification says? */
#include <signal.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/check.h"
#include "cli/cli.h"
#include "cli/stopper.h"
#include "util/compiler.h"

enum {
	O_WRITE = 1,
	O_LIST,
	O_ONLY,
	O_SKIP,
	O_RINGS,
	O_RESTART,
	O_FORMAT,
	O_OUTPUT,
	O_TIMEOUT,
	O_VERBOSE,
};

#define RINGS_WORDS  "both|split|packed"
#define FORMAT_WORDS "text|tap|junit|json"
#define PATTERNS     64
#define TIMEOUT_MAX  3600

static const struct opt_desc check_opts_table[] = {
	{ O_WRITE, "write", 0, NULL, "run the cases that destroy what is on the disk, too" },
	{ O_LIST, "list", 0, NULL, "print the cases and run none" },
	{ O_ONLY, "only", 0, "PATTERN", "run these cases; may be repeated" },
	{ O_SKIP, "skip", 0, "PATTERN", "do not run these; may be repeated" },
	{ O_RINGS, "rings", 0, RINGS_WORDS, "ring formats to use (default: both)" },
	{ O_RESTART, "restart", 0, "CMD", "start the back-end with CMD when it is not there" },
	{ O_FORMAT, "format", 0, FORMAT_WORDS, "how to report (default: text)" },
	{ O_OUTPUT, "output", 'o', "FILE", "write the report to FILE" },
	{ O_TIMEOUT, "timeout", 0, "SEC", "wait that long for an answer (default: 2)" },
	{ O_VERBOSE, "verbose", 'v', NULL, "show the messages of cases that passed, too" },
	CLI_OPTS_COMMON
};

/* Index: what opts_choice() answers. */
static const struct check_reporter *const reporters[] = {
	&check_report_text,
	&check_report_tap,
	&check_report_junit,
	&check_report_json,
};

/**
 * struct check_args - the command line
 * @only, @skip: ended by NULL
 */
struct check_args {
	struct check_opts o;
	const char *only[PATTERNS + 1], *skip[PATTERNS + 1];
	const struct check_reporter *reporter;
	const char *output;
	bool list, help;
	struct stopper stopper;
};

static int add_pattern(const char **list, const char *value, struct err *e)
{
	for (unsigned int i = 0; i < PATTERNS; i++) {
		if (!list[i]) {
			list[i] = value;
			return 0;
		}
	}
	return err_set(e, -E2BIG, "bad-value", "more than %d patterns", PATTERNS);
}

static int set_rings(struct check_args *a, const char *value, struct err *e)
{
	static const unsigned int bits[] = { 3, 1, 2 };
	int i = opts_choice("--rings", value, RINGS_WORDS, e);

	if (i < 0)
		return i;
	a->o.rings = bits[i];
	return 0;
}

static int set_format(struct check_args *a, const char *value, struct err *e)
{
	int i = opts_choice("--format", value, FORMAT_WORDS, e);

	if (i < 0)
		return i;
	a->reporter = reporters[i];
	return 0;
}

static int set_timeout(struct check_args *a, const char *value, struct err *e)
{
	unsigned long sec;
	int ret = opts_number("--timeout", value, 1, TIMEOUT_MAX, &sec, e);

	if (ret == 0)
		a->o.timeout_ms = (int)sec * 1000;
	return ret;
}

static int check_set(void *ctx, int id, const char *value, struct err *e)
{
	struct check_args *a = ctx;

	switch (id) {
	case O_WRITE:
		a->o.write = true;
		return 0;
	case O_LIST:
		a->list = true;
		return 0;
	case O_ONLY:
		return add_pattern(a->only, value, e);
	case O_SKIP:
		return add_pattern(a->skip, value, e);
	case O_RINGS:
		return set_rings(a, value, e);
	case O_RESTART:
		a->o.restart = value;
		return 0;
	case O_FORMAT:
		return set_format(a, value, e);
	case O_OUTPUT:
		a->output = value;
		return 0;
	case O_TIMEOUT:
		return set_timeout(a, value, e);
	case O_VERBOSE:
		a->o.verbose = true;
		return 0;
	case CLI_OPT_HELP:
		a->help = true;
		return 0;
	default:
		return 0;
	}
}

/* The exit code of what check_run() or check_list() answered. */
static int exit_code(const struct check_args *a, int ret, struct err *e)
{
	if (ret >= 0)
		return ret ? EXIT_FAILED : EXIT_OK;
	if (ret == -EINVAL && e->id && !strcmp(e->id, "no-case")) {
		cli_add_hint(e, "vuctl check --list has them all");
		return cli_usage("check", e);
	}
	cli_error(e);
	if (ret == -EINTR)
		return 128 + atomic_load(&a->stopper.signo);
	return cli_exit_code(e, ret == -ECONNREFUSED ? EXIT_NO_SERVER : EXIT_FAILED);
}

/* Before the first case there is no report; a second signal does not wait for a case. */
static void end_now(void *ctx, int signo)
{
	struct err e;

	(void)ctx;
	err_set(&e, -EINTR, "interrupted", "ended by a signal");
	cli_error(&e);
	_exit(128 + signo);
}

static void on_begun(void *ctx)
{
	struct check_args *a = ctx;

	atomic_store(&a->stopper.begun, true);
}

static int run_or_list(const struct check_args *a, FILE *f, struct err *e)
{
	return a->list ? check_list(&a->o, f, e) : check_run(&a->o, a->reporter, f, e);
}

static int to_file(const struct check_args *a, struct err *e)
{
	FILE *f = fopen(a->output, "we");
	int code;

	if (!f) {
		err_sys(e, -errno, "write-failed", "cannot write to '%s'", a->output);
		cli_error(e);
		return cli_exit_code(e, EXIT_FAILED);
	}
	code = exit_code(a, run_or_list(a, f, e), e);
	if (!ferror(f) && fclose(f) == 0)
		return code;
	err_sys(e, -errno, "write-failed", "cannot write to '%s'", a->output);
	cli_error(e);
	return EXIT_FAILED;
}

static int check_main(int argc, char **argv)
{
	struct check_args a = {
		.o = { .timeout_ms = 2000, .rings = 3 },
		.reporter = &check_report_text,
	};
	struct err e = { .code = 0 };
	int i, code, written;

	signal(SIGPIPE, SIG_IGN); /* back-ends close connections under a case */
	i = opts_parse(check_opts_table, argc, argv, check_set, &a, &e);
	if (i < 0)
		return cli_usage("check", &e);
	if (a.help) {
		cli_help(stdout, &check_cmd);
		return cli_stdout_done();
	}
	if (argc - i > 1 || (argc == i && !a.list)) {
		err_set(&e, -EINVAL, "bad-words",
			argc == i ? "which socket does the back-end listen at?" :
				    "more than one socket");
		return cli_usage("check", &e);
	}
	a.o.socket = argc > i ? argv[i] : "";
	a.o.only = a.only;
	a.o.skip = a.skip;
	stopper_begin(&a.stopper, end_now, &a);
	a.o.stop_fd = a.stopper.stop_fd;
	a.o.begun = on_begun;
	a.o.ctx = &a;
	if (a.output) {
		code = to_file(&a, &e);
		stopper_end(&a.stopper);
		return code;
	}
	code = exit_code(&a, run_or_list(&a, stdout, &e), &e);
	written = cli_stdout_done();
	stopper_end(&a.stopper);
	return written ? written : code;
}

static void more(FILE *f)
{
	fputs("\nPATTERN is an id, a group ('ring'), or either with * and ?.\n"
	      "Without --write nothing on the disk is changed.\n\n"
	      "  vuctl check /tmp/disk.sock\n"
	      "  vuctl check /tmp/disk.sock --restart 'vuctl serve mem:64M --socket "
	      "/tmp/disk.sock -q' --write\n",
	      f);
}

const struct cli_cmd check_cmd = {
	.name = "check",
	.synopsis = "SOCKET [OPTION...]\n--list [OPTION...]",
	.help = "test whether a vhost-user back-end keeps to the specification",
	.more = more,
	.opts = check_opts_table,
	.run = check_main,
};
