/* SPDX-License-Identifier: MIT */
/* vuctl bench: how fast is a back-end, a block device, a file? */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench.h"
#include "util/compiler.h"

/* ---- progress ---- */

static void put_line(struct bench_cmd *c, const char *text)
{
	int len = (int)strlen(text);

	/* Spaces over what was longer. */
	fprintf(stderr, "\r%s%*s\r%s", text, MAX(c->width - len, 0), "", text);
	fflush(stderr);
	c->width = len;
}

static void clear_line(struct bench_cmd *c)
{
	if (c->width)
		fprintf(stderr, "\r%*s\r", c->width, "");
	c->width = 0;
}

static void on_progress(void *ctx, const struct bench_progress *p)
{
	struct bench_cmd *c = ctx;
	char where[64] = "", text[160];

	if (c->target[1])
		snprintf(where, sizeof(where), "round %u of %u, target %u: ", c->round + 1,
			 c->rounds, c->side + 1);
	if (p->checking)
		snprintf(text, sizeof(text), "%sending, %.0f requests/s", where, p->requests);
	else
		snprintf(text, sizeof(text), "%s%s %.1f of %.1f s, %.0f IOPS", where,
			 p->warmup ? "warm-up" : "measuring", (double)p->elapsed_ns / 1e9,
			 (double)p->total_ns / 1e9, p->requests);
	put_line(c, text);
}

static void on_round(void *ctx, unsigned int n, unsigned int side, const struct bench_result *r)
{
	struct bench_cmd *c = ctx;

	/* The next is the other one of this round, or the same again in the next. */
	(void)r;
	if (side == n % 2) {
		c->round = n;
		c->side = n % 2;
	} else {
		c->side = !side;
	}
}

/* ---- signals ---- */

static void on_loaded(void *ctx)
{
	struct bench_cmd *c = ctx;

	atomic_store(&c->stopper.begun, true);
}

/* Ctrl-C ends the run, not us: what was measured is shown. The second ends us. */
static void end_now(void *ctx, int signo)
{
	struct bench_cmd *c = ctx;
	struct err e;

	err_set(&e, -EINTR, "interrupted", "ended by %s: nothing is measured",
		signo == SIGINT ? "Ctrl-C" : "a signal");
	e.hint[0] = 0;
	clear_line(c);
	cli_error(&e);
	if (c->json && !atomic_exchange(&c->ending, true))
		bench_json_error(&e);
	_exit(128 + signo);
}

/* ---- the end ---- */

static int usage(const struct bench_cmd *c, struct err *e)
{
	if (c->json)
		bench_json_error(e);
	return cli_usage("bench", e);
}

static bool one_of(const char *id, const char *const list[], unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(id, list[i]))
			return true;
	return false;
}

static int exit_code(const struct err *e, const struct bench_info *i)
{
	static const char *const no_target[] = { "not-a-disk", "read-only", "target-missing",
						 "target-kind" };
	static const char *const usage[] = {
		"would-overwrite", "unaligned",  "target-too-small", "range-too-small",
		"range-too-large", "queue-size", "ring-too-small",   "queue-count",
		"too-much-memory", "no-packed",
	};

	const char *id = e->id ? e->id : "";
	/* It could not even be opened. */
	bool unknown = !i->capacity && i->kind && !strcmp(i->kind, "storage");

	if (one_of(id, usage, ARRAY_SIZE(usage)))
		return EXIT_USAGE;
	if (!strcmp(id, "vhost-user-connect"))
		return cli_exit_code(e, EXIT_NO_SERVER);
	if (unknown || e->code == -EPROTO || one_of(id, no_target, ARRAY_SIZE(no_target)))
		return cli_exit_code(e, EXIT_BAD_SOURCE);
	return cli_exit_code(e, EXIT_FAILED);
}

static int single(struct bench_cmd *c)
{
	struct bench_result *r = calloc(1, sizeof(*r));
	struct err e = { .code = 0 };
	int ret, code = EXIT_OK;
	bool begun;

	if (!r) {
		err_sys(&e, -ENOMEM, "out-of-memory", "cannot measure");
		cli_error(&e);
		return EXIT_FAILED;
	}
	ret = bench_run(c->target[0], &c->o, r, &e);
	clear_line(c);
	begun = atomic_load(&c->stopper.begun);
	if (ret < 0 && !r->requests && begun && !e.hint[0])
		err_hint(&e, "Nothing was measured until then");
	if (c->json && !atomic_exchange(&c->ending, true)) {
		if (begun)
			bench_json(c, r, &e);
		else
			bench_json_error(&e);
		code = cli_stdout_done();
	} else if (r->requests) {
		bench_print(c, r);
		code = cli_stdout_done();
	}
	if (ret < 0) {
		cli_error(&e);
		code = exit_code(&e, &r->info);
	}
	free(r);
	return code;
}

static int comparison(struct bench_cmd *c)
{
	struct bench_comparison *cmp = calloc(1, sizeof(*cmp));
	struct err e = { .code = 0 };
	int ret, code = EXIT_OK;

	if (!cmp) {
		err_sys(&e, -ENOMEM, "out-of-memory", "cannot compare");
		cli_error(&e);
		return EXIT_FAILED;
	}
	ret = bench_compare(c->target, &c->o, c->rounds, on_round, cmp, &e);
	clear_line(c);
	if (!cmp->rounds && ret == 0)
		ret = err_set(&e, -EINTR, "interrupted", "no round was completed");
	if (ret == 0)
		e.code = 0; /* an unfinished round is none */
	if (c->json && !atomic_exchange(&c->ending, true)) {
		if (cmp->rounds)
			bench_json_comparison(c, cmp, &e);
		else
			bench_json_error(&e);
		code = cli_stdout_done();
	} else if (cmp->rounds) {
		bench_print_comparison(c, cmp);
		code = cli_stdout_done();
	}
	if (ret < 0) {
		cli_error(&e);
		code = exit_code(&e, &cmp->last);
	}
	free(cmp);
	return code;
}

static int bench_main(int argc, char **argv)
{
	struct bench_cmd c;
	struct cli_style style = { 0 };
	struct err e = { .code = 0 };
	int code;

	if (bench_parse(&c, argc, argv, &e) < 0)
		return cli_usage("bench", &e);
	if (c.help) {
		cli_help(stdout, &bench_cmd);
		return cli_stdout_done();
	}
	style.json = c.json;
	style.quiet = c.quiet;
	cli_set_style(&style);
	if (bench_fits(&c, &e) < 0)
		return usage(&c, &e);
	stopper_begin(&c.stopper, end_now, &c);
	c.o.stop_fd = c.stopper.stop_fd;
	if (!c.json && !c.quiet && isatty(STDERR_FILENO)) {
		c.o.progress = on_progress;
		c.terminal = true;
	}
	c.o.ctx = &c;
	c.o.loaded = on_loaded;
	code = c.target[1] ? comparison(&c) : single(&c);
	stopper_end(&c.stopper);
	return code;
}

static void more(FILE *f)
{
	fputs("\n"
	      "TARGET is the socket of a vhost-user back-end with a disk behind it, a block\n"
	      "device, a file, or null:SIZE. What rates say depends on what else the machine does;\n"
	      "to compare, use --compare.\n",
	      f);
}

const struct cli_cmd bench_cmd = {
	.name = "bench",
	.synopsis = "TARGET [OPTION]...\nTARGET --compare TARGET [OPTION]...",
	.help = "measure a back-end, a block device or a file",
	.more = more,
	.opts = bench_opts_table,
	.run = bench_main,
};
