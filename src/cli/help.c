/* SPDX-License-Identifier: MIT */
/* vuctl help, and what --help prints. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct opt_desc help_opts[] = { CLI_OPTS_COMMON };

static void help_top(FILE *f)
{
	fputs("usage: vuctl COMMAND ...\n\n"
	      "Serve a disk to a virtual machine (vhost-user) or to this host (VDUSE).\n\n"
	      "commands:\n",
	      f);
	for (const struct cli_cmd *const *p = cli_cmds; *p; p++)
		fprintf(f, "  %-12s %s\n", (*p)->name, (*p)->help);
	fputs("\n"
	      "  vuctl serve disk.img --socket /tmp/disk.sock   a disk for a virtual machine\n"
	      "  vuctl serve disk.img --host                    the same on this host (root)\n\n"
	      "vuctl COMMAND --help has the options; vuctl --version the version.\n",
	      f);
}

int cli_help(FILE *f, const struct cli_cmd *cmd)
{
	const char *s;
	const char *lead = "usage:";

	if (!cmd) {
		help_top(f);
		return 0;
	}
	for (s = cmd->synopsis; *s; s += *s == '\n') {
		size_t n = strcspn(s, "\n");

		fprintf(f, "%s vuctl %s %.*s\n", lead, cmd->name, (int)n, s);
		lead = "      ";
		s += n;
	}
	fprintf(f, "\n%s\n\noptions:\n", cmd->help);
	opts_help(f, cmd->opts);
	if (cmd->more)
		cmd->more(f);
	return 0;
}

static int help_set(void *ctx, int id, const char *value, struct err *e)
{
	(void)value;
	(void)e;
	if (id == CLI_OPT_HELP)
		*(bool *)ctx = true;
	return 0;
}

static int help_run(int argc, char **argv)
{
	const struct cli_cmd *cmd = NULL;
	struct err e = { .code = 0 };
	bool help = false;
	int i = opts_parse(help_opts, argc, argv, help_set, &help, &e);

	if (i < 0)
		return cli_usage("help", &e);
	if (help)
		cmd = &help_cmd;
	else if (i < argc) {
		cmd = cli_find(argv[i], &e);
		if (!cmd)
			return cli_usage(NULL, &e);
	}
	cli_help(stdout, cmd);
	return cli_stdout_done();
}

const struct cli_cmd help_cmd = {
	.name = "help",
	.synopsis = "[COMMAND]",
	.help = "show what a command does and its options",
	.opts = help_opts,
	.run = help_run,
};
