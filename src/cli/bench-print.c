/* SPDX-License-Identifier: MIT */
/* The result of vuctl bench as a table: one column for each target. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "util/compiler.h"
#include "util/size.h"

#define LABEL  26
#define COLUMN 16

const char *bench_rw_name(enum bench_rw rw)
{
	static const char *const names[] = { "randread", "randwrite", "randrw", "read", "write" };

	return names[rw];
}

/* Control characters of a file name must not reach a terminal. */
static void put_clean(const char *s)
{
	for (; *s; s++)
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

static void put_target(const char *target, const struct bench_info *i)
{
	char size[SIZE_TEXT_MAX];

	put_clean(target);
	printf(": %s, %s", i->kind, size_format(size, i->capacity));
	if (i->queue_size)
		printf(", %s rings of %u%s%s", i->packed ? "packed" : "split", i->queue_size,
		       i->indirect ? ", indirect" : "", i->event_idx ? ", event index" : "");
	if (i->pid)
		printf(", process %d", (int)i->pid);
	putchar('\n');
}

static void put_workload(const struct bench_cmd *c, uint64_t ns, bool stopped)
{
	const struct bench_opts *o = &c->o;
	char bs[SIZE_TEXT_MAX];

	printf("%s %s, %u queue%s, %u in flight%s, %s, %.1f seconds%s\n", bench_rw_name(o->rw),
	       size_format_short(bs, o->bs), o->queues, o->queues > 1 ? "s" : "", o->qd,
	       o->queues > 1 ? " on each" : "", o->poll ? "polling" : "sleeping", (double)ns / 1e9,
	       stopped ? " (ended early)" : "");
}

typedef double figure_fn(const struct bench_cmd *c, const struct bench_result *r);

static double per_request(uint64_t n, const struct bench_result *r)
{
	return r->requests ? (double)n / (double)r->requests : 0;
}

static double iops(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return r->iops;
}
static double megabytes(const struct bench_cmd *c, const struct bench_result *r)
{
	return r->iops * c->o.bs / 1e6;
}
static double mean(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return hist_mean(&r->latency) / 1e3;
}
static double p50(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return (double)hist_quantile(&r->latency, 500000) / 1e3;
}
static double p99(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return (double)hist_quantile(&r->latency, 990000) / 1e3;
}
static double p999(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return (double)hist_quantile(&r->latency, 999000) / 1e3;
}
static double longest(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return (double)r->latency.max / 1e3;
}
static double kicks(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return r->info.queue_size ? per_request(r->kicks, r) : -1;
}
static double calls(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return r->info.queue_size ? per_request(r->calls, r) : -1;
}
/* Seconds for a million of them: the same number as microseconds for one. */
static double cpu(const struct bench_cmd *c, const struct bench_result *r)
{
	(void)c;
	return r->has_cpu ? bench_cpu_per_request(r) / 1e3 : -1;
}

static const struct row {
	const char *label;
	int digits;
	figure_fn *figure; /* negative: there is none */
} rows[] = {
	{ "IOPS", 0, iops },
	{ "MB/s", 1, megabytes },
	{ "latency us: mean", 2, mean },
	{ "            p50", 2, p50 },
	{ "            p99", 2, p99 },
	{ "            p99.9", 2, p999 },
	{ "            max", 2, longest },
	{ "kicks/request", 4, kicks },
	{ "interrupts/request", 4, calls },
	{ "CPU s/million requests", 3, cpu },
};

static void put_rows(const struct bench_cmd *c, const struct bench_result *const r[],
		     unsigned int n)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		printf("%-*s", LABEL, rows[i].label);
		for (unsigned int k = 0; k < n; k++) {
			double v = rows[i].figure(c, r[k]);

			if (v < 0)
				printf("%*s", COLUMN, "-");
			else
				printf("%*.*f", COLUMN, rows[i].digits, v);
		}
		putchar('\n');
	}
	if (!c->o.verify)
		return;
	printf("%-*s", LABEL, "blocks verified");
	for (unsigned int k = 0; k < n; k++)
		printf("%*" PRIu64, COLUMN, r[k]->verified);
	putchar('\n');
}

void bench_print(const struct bench_cmd *c, const struct bench_result *r)
{
	put_target(c->target[0], &r->info);
	put_workload(c, r->ns, r->stopped);
	putchar('\n');
	put_rows(c, &r, 1);
}

static void put_ratio(const char *label, const struct bench_spread *s)
{
	printf("%-*s%*.3f%*.3f%*.3f\n", LABEL, label, COLUMN, s->median, COLUMN, s->min, COLUMN,
	       s->max);
}

void bench_print_comparison(const struct bench_cmd *c, const struct bench_comparison *cmp)
{
	const struct bench_result *r[2] = { &cmp->side[0].sum, &cmp->side[1].sum };

	fputs("1: ", stdout);
	put_target(c->target[0], &r[0]->info);
	fputs("2: ", stdout);
	put_target(c->target[1], &r[1]->info);
	printf("%u round%s each: ", cmp->rounds, cmp->rounds == 1 ? "" : "s");
	put_workload(c, r[0]->ns / MAX(cmp->rounds, 1u), false);
	printf("\n%-*s%*s%*s\n", LABEL, "", COLUMN, "1", COLUMN, "2");
	put_rows(c, r, 2);
	printf("\n%-*s%*s%*s%*s\n", LABEL, "1 / 2, in a round", COLUMN, "median", COLUMN, "min",
	       COLUMN, "max");
	put_ratio("IOPS", &cmp->iops);
	if (cmp->has_cpu)
		put_ratio("CPU/request", &cmp->cpu);
}
