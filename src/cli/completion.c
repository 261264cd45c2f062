/* SPDX-License-Identifier: MIT */
/* vuctl completion bash: made from the same tables as --help. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct opt_desc completion_opts[] = { CLI_OPTS_COMMON };

static void put_words(const struct opt_desc *o)
{
	for (const char *sep = ""; o->name; o++, sep = " ")
		printf("%s--%s%s", sep, o->name, o->arg ? "=" : "");
}

/* Values that are words to choose from: "a|b|c". */
static void put_values(const struct opt_desc *o)
{
	for (; o->name; o++) {
		if (!o->arg || !strchr(o->arg, '|'))
			continue;
		printf("\t--%s) words=\"", o->name);
		for (const char *s = o->arg; *s; s++)
			putchar(*s == '|' ? ' ' : *s);
		puts("\" ;;");
	}
}

static void put_bash(void)
{
	puts("# bash completion for vuctl: source <(vuctl completion bash)\n"
	     "_vuctl() {\n"
	     "\tlocal cur words prev\n"
	     "\tcur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
	     "\tCOMPREPLY=()\n"
	     "\t# \"=\" is a word of its own to bash\n"
	     "\tif [[ $cur == = ]]; then\n"
	     "\t\tcur=\n"
	     "\telif [[ $prev == = ]]; then\n"
	     "\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n"
	     "\tfi\n"
	     "\tcase $prev in");
	for (const struct cli_cmd *const *p = cli_cmds; *p; p++)
		put_values((*p)->opts);
	puts("\tesac\n"
	     "\tif [[ -z $words && $COMP_CWORD -eq 1 ]]; then");
	fputs("\t\twords=\"", stdout);
	for (const struct cli_cmd *const *p = cli_cmds; *p; p++)
		printf("%s%s", p == cli_cmds ? "" : " ", (*p)->name);
	puts("\"\n"
	     "\telif [[ -z $words && $cur == -* ]]; then\n"
	     "\t\tcase ${COMP_WORDS[1]} in");
	for (const struct cli_cmd *const *p = cli_cmds; *p; p++) {
		printf("\t\t%s) words=\"", (*p)->name);
		put_words((*p)->opts);
		puts("\" ;;");
	}
	puts("\t\tesac\n"
	     "\tfi\n"
	     "\tif [[ -n $words ]]; then\n"
	     "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	     "\t\t[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace\n"
	     "\tfi\n"
	     "}\n"
	     "complete -o default -F _vuctl vuctl");
}

static int completion_set(void *ctx, int id, const char *value, struct err *e)
{
	(void)value;
	(void)e;
	if (id == CLI_OPT_HELP)
		*(bool *)ctx = true;
	return 0;
}

static int completion_run(int argc, char **argv)
{
	struct err e = { .code = 0 };
	bool help = false;
	int i = opts_parse(completion_opts, argc, argv, completion_set, &help, &e);

	if (i < 0)
		return cli_usage("completion", &e);
	if (help) {
		cli_help(stdout, &completion_cmd);
		return cli_stdout_done();
	}
	if (i + 1 != argc || strcmp(argv[i], "bash")) {
		err_set(&e, -EINVAL, "bad-value", "completion is there for one shell: bash");
		return cli_usage("completion", &e);
	}
	put_bash();
	return cli_stdout_done();
}

const struct cli_cmd completion_cmd = {
	.name = "completion",
	.synopsis = "bash",
	.help = "print what the shell needs to complete vuctl's words",
	.opts = completion_opts,
	.run = completion_run,
};
