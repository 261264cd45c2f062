/* SPDX-License-Identifier: MIT */
/* vuctl probe: be a front-end for a moment, and say what is there. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/probe.h"
#include "util/compiler.h"
#include "wire/names.h"
#include "wire/virtio.h"

#define TIMEOUT_S 5

enum {
	O_STAGE = 1,
	O_TYPE,
	O_TIMEOUT,
	O_VERBOSE,
};

static const struct opt_desc probe_opts[] = {
	{ O_STAGE, "stage", 0, PROBE_STAGE_WORDS, "stop after this step" },
	{ O_TYPE, "type", 0, "TYPE", "take it for this: blk, net, fs, ... (default: guess)" },
	{ O_TIMEOUT, "timeout", 0, "SECONDS", "longest wait for each answer (default: 5)" },
	{ O_VERBOSE, "verbose", 'v', NULL, "show every message" },
	CLI_OPTS_COMMON
};

static int set_type(struct probe_opts *o, const char *value, struct err *e)
{
	o->type = virtio_device_id(value);
	if (o->type)
		return 0;
	err_set(e, -EINVAL, "bad-value", "--type '%s' is no type of device", value);
	err_hint(e, "These are known:");
	for (uint32_t i = 1; i < 64; i++)
		if (virtio_device_name(i)) {
			size_t n = strlen(e->hint);

			snprintf(e->hint + n, sizeof(e->hint) - n, " %s", virtio_device_name(i));
		}
	return e->code;
}

static int set(void *ctx, int id, const char *value, struct err *e)
{
	struct probe_opts *o = ctx;
	unsigned long n = 0;
	int ret = 0;

	switch (id) {
	case O_STAGE:
		ret = opts_choice("--stage", value, PROBE_STAGE_WORDS, e);
		if (ret >= 0)
			o->last = (enum probe_stage)ret; /* in the order of the words */
		o->all = false;
		return MIN(ret, 0);
	case O_TYPE:
		return set_type(o, value, e);
	case O_TIMEOUT:
		ret = opts_number("--timeout", value, 1, 3600, &n, e);
		o->timeout_ms = (int)n * 1000;
		return ret;
	case O_VERBOSE:
		o->verbose = true;
		break;
	case CLI_OPT_JSON:
		o->json = true;
		break;
	default:
		o->help = true;
	}
	return 0;
}

static int parse(struct probe_opts *o, int argc, char **argv, struct err *e)
{
	int i;

	*o = (struct probe_opts){ .last = PROBE_READ, .all = true, .timeout_ms = TIMEOUT_S * 1000 };
	i = opts_parse(probe_opts, argc, argv, set, o, e);
	if (i < 0 || o->help)
		return MIN(i, 0);
	if (i == argc) {
		err_set(e, -EINVAL, "no-socket", "which socket?");
		return err_hint(e, "Try: vuctl probe /tmp/disk.sock");
	}
	if (i + 1 < argc)
		return err_set(e, -EINVAL, "too-many-words", "'%s' is one word too many after '%s'",
			       argv[i + 1], argv[i]);
	o->path = argv[i];
	return 0;
}

/* ---- what to say when the other side does not behave ---- */

static const char *const what_failed[] = {
	[PROBE_FEATURES] = "asked for its features",
	[PROBE_CONFIG] = "asked for its configuration",
	[PROBE_MEMORY] = "given memory",
	[PROBE_QUEUE] = "told to start a queue",
	[PROBE_READ] = "told to read",
};

static void hint_lost(enum probe_stage s, struct err *e)
{
	if (s == PROBE_FEATURES)
		cli_add_hint(e, "Perhaps it serves another front-end, and takes no second one; "
				"or it does not speak vhost-user");
	else
		cli_add_hint(e, "Look at what it says itself. -v shows the messages before that");
}

static void hint_silent(const struct probe *p, enum probe_stage s, struct err *e)
{
	if (s == PROBE_FEATURES)
		cli_add_hint(e, "Perhaps it serves another front-end: most serve one at a time.\n"
				"Or it does not speak vhost-user, or it hangs");
	else if (s == PROBE_READ)
		cli_add_hint(e, "Is its storage slow, or stuck? Try a longer --timeout");
	else
		cli_add_hint(e, "It hangs, or is slow: try a --timeout longer than %d",
			     p->o.timeout_ms / 1000);
}

/*
 * Failures of the connection, whatever the library calls them, get the step at
 * which they came and what that means there.
 */
static void explain(const struct probe *p, enum probe_stage s, struct err *e)
{
	if (s == PROBE_CONNECT || s >= ARRAY_SIZE(what_failed))
		return;
	err_prefix(e, "%s, when %s", p->o.path, what_failed[s]);
	switch (-e->code) {
	case ECONNRESET:
	case EPIPE:
	case ENOTCONN:
		e->id = "back-end-gone";
		hint_lost(s, e);
		break;
	case ETIMEDOUT:
		e->id = "back-end-silent";
		hint_silent(p, s, e);
		break;
	case EPROTO:
		e->id = "back-end-nonsense";
		cli_add_hint(e, s == PROBE_FEATURES ?
					"It does not speak vhost-user, or gets it wrong. "
					"-v shows the messages" :
					"It breaks the protocol. -v shows the messages");
		break;
	case EREMOTEIO:
		e->id = "back-end-refused";
		cli_add_hint(e, "Look at what it says itself. -v shows the messages before that");
		break;
	case EIO:
		if (s == PROBE_READ)
			cli_add_hint(e, "Look at what it says itself: its storage may be damaged");
		break;
	}
}

static int exit_code(enum probe_stage s, const struct err *e)
{
	if (e->code == -ENAMETOOLONG)
		return EXIT_USAGE;
	return cli_exit_code(e, s == PROBE_CONNECT ? EXIT_NO_SERVER : EXIT_FAILED);
}

/* ---- the command ---- */

/*
 * Which features there are is shown when the configuration is known, too: what
 * the lower bits mean depends on the type, and that is guessed from both.
 */
static void show_new(const struct probe *p, bool at_end)
{
	enum probe_stage s = (enum probe_stage)(p->reached - 1);

	if (p->o.json || !p->reached)
		return;
	if (at_end) {
		if (s == PROBE_FEATURES)
			probe_show(p, s);
		return;
	}
	if (s == PROBE_CONFIG)
		probe_show(p, PROBE_FEATURES);
	if (s != PROBE_FEATURES)
		probe_show(p, s);
}

static int probe(struct probe *p, struct err *e)
{
	for (unsigned int s = PROBE_CONNECT; s <= p->o.last; s++) {
		int ret = probe_stage(p, (enum probe_stage)s, e);

		if (ret < 0) {
			show_new(p, true);
			explain(p, (enum probe_stage)s, e);
			return exit_code((enum probe_stage)s, e);
		}
		p->reached = s + 1;
		if (s == PROBE_FEATURES || s == PROBE_CONFIG)
			probe_guess(p);
		show_new(p, false);
	}
	show_new(p, true);
	return EXIT_OK;
}

static int probe_run(int argc, char **argv)
{
	struct err e = { .code = 0 };
	struct probe p = { .reached = 0 };
	int status;

	if (parse(&p.o, argc, argv, &e) < 0)
		return cli_usage("probe", &e);
	if (p.o.help) {
		cli_help(stdout, &probe_cmd);
		return cli_stdout_done();
	}
	status = probe(&p, &e);
	if (p.o.json)
		probe_show_json(&p);
	probe_end(&p);
	if (status) {
		fflush(stdout);
		cli_error(&e);
		return status;
	}
	return cli_stdout_done();
}

static void probe_more(FILE *f)
{
	fputs("\n"
	      "Nothing is written to a disk. Most back-ends serve one front-end at a time:\n"
	      "probe one that no virtual machine uses.\n",
	      f);
}

const struct cli_cmd probe_cmd = {
	.name = "probe",
	.synopsis = "SOCKET [OPTION...]",
	.help = "say what a vhost-user back-end offers, and whether it works",
	.more = probe_more,
	.opts = probe_opts,
	.run = probe_run,
};
