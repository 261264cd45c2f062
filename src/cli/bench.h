/* SPDX-License-Identifier: MIT */
/* vuctl bench: what its files share. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <stdatomic.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/stopper.h"

#define BENCH_CPUS_MAX 1024

/**
 * struct bench_cmd - the words of the command, understood
 * @o:		for the load generator
 * @target:	the second one is that of --compare, or NULL
 * @rounds:	of a comparison
 * @terminal:	standard error is one: show how it is going
 * @round, @side: of a comparison, for the progress line; from 0
 * @width:	of the progress line that stands there now
 * @given:	bit of each option that was there
 * @stopper:	the first signal ends the run, and not the program
 * @ending:	the result is being written
 */
struct bench_cmd {
	struct bench_opts o;
	const char *target[2];
	unsigned int rounds;
	int cpus[BENCH_CPUS_MAX];
	bool json, quiet, help;
	bool terminal;
	unsigned int round, side;
	int width;
	uint64_t given;
	struct stopper stopper;
	atomic_bool ending;
};

/* bench-opts.c */
extern const struct opt_desc bench_opts_table[];
int bench_parse(struct bench_cmd *c, int argc, char **argv, struct err *e);
/* Do the options fit what the targets are? */
int bench_fits(const struct bench_cmd *c, struct err *e);

/* bench-print.c: results go to standard output */
void bench_print(const struct bench_cmd *c, const struct bench_result *r);
void bench_print_comparison(const struct bench_cmd *c, const struct bench_comparison *cmp);
const char *bench_rw_name(enum bench_rw rw);

/* bench-json.c; @e: why it failed, code 0: it did not */
void bench_json(const struct bench_cmd *c, const struct bench_result *r, const struct err *e);
void bench_json_comparison(const struct bench_cmd *c, const struct bench_comparison *cmp,
			   const struct err *e);
/* There is no result; by write(), as nobody may flush what others have begun. */
void bench_json_error(const struct err *e);

#endif
