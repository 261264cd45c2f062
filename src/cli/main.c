/* SPDX-License-Identifier: MIT */
/* vuctl: finds the sub-command. Each has a file of its own and a line in the table below. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

const struct cli_cmd *const cli_cmds[] = {
	&serve_cmd, &probe_cmd, &check_cmd, &bench_cmd, &help_cmd, &completion_cmd, NULL,
};

static const char *next_cmd(void *ctx)
{
	const struct cli_cmd *const **p = ctx;

	return **p ? (*(*p)++)->name : NULL;
}

const struct cli_cmd *cli_find(const char *name, struct err *e)
{
	const struct cli_cmd *const *p;
	const char *near;

	for (p = cli_cmds; *p; p++)
		if (!strcmp((*p)->name, name))
			return *p;
	err_set(e, -EINVAL, "unknown-command", "there is no command '%s'", name);
	p = cli_cmds;
	near = opts_nearest(name, next_cmd, &p);
	if (near)
		err_hint(e, "Did you mean '%s'?", near);
	return NULL;
}

int main(int argc, char **argv)
{
	struct cli_style style = { .json = cli_wants_json(argc, argv) };
	const struct cli_cmd *cmd;
	struct err e = { .code = 0 };
	const char *name = argc > 1 ? argv[1] : NULL;

	cli_set_style(&style);
	if (!name) {
		cli_help(stderr, NULL);
		return EXIT_USAGE;
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V") || !strcmp(name, "version")) {
		puts("vuctl " PACKAGE_VERSION);
		return cli_stdout_done();
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
		cli_help(stdout, NULL);
		return cli_stdout_done();
	}
	if (name[0] == '-') {
		err_set(&e, -EINVAL, "unknown-option", "unknown option '%s'", name);
		err_hint(&e, "The command comes first: vuctl serve ...");
		return cli_usage(NULL, &e);
	}
	cmd = cli_find(name, &e);
	if (!cmd)
		return cli_usage(NULL, &e);
	return cmd->run(argc - 1, argv + 1);
}
