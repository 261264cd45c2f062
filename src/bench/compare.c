/* SPDX-License-Identifier: MIT */
/*
 * Two targets in turn. What one run gives changes by a factor on a machine
 * that has other things to do; the ratio of two runs side by side does not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "util/compiler.h"

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct bench_spread spread(double *v, unsigned int n)
{
	struct bench_spread s = { 0 };

	if (!n)
		return s;
	qsort(v, n, sizeof(*v), by_size);
	s.min = v[0];
	s.max = v[n - 1];
	s.median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
	return s;
}

static void add(struct bench_result *sum, const struct bench_result *r)
{
	sum->info = r->info;
	sum->requests += r->requests;
	sum->reads += r->reads;
	sum->writes += r->writes;
	sum->ns += r->ns;
	sum->kicks += r->kicks;
	sum->calls += r->calls;
	sum->cpu_ns += r->cpu_ns;
	sum->cpu_requests += r->cpu_requests;
	sum->has_cpu &= r->has_cpu;
	sum->verified += r->verified;
	hist_merge(&sum->latency, &r->latency);
}

/**
 * struct figures - of each round
 * @iops, @cpu: of each side
 */
struct figures {
	double *iops[2], *cpu[2];
	double *iops_ratio, *cpu_ratio;
};

static void summarise(struct bench_comparison *c, struct figures *f)
{
	unsigned int n = c->rounds;

	c->has_cpu = n && c->side[0].sum.has_cpu && c->side[1].sum.has_cpu;
	for (unsigned int i = 0; i < n; i++) {
		f->iops_ratio[i] = f->iops[1][i] > 0 ? f->iops[0][i] / f->iops[1][i] : 0;
		f->cpu_ratio[i] = f->cpu[1][i] > 0 ? f->cpu[0][i] / f->cpu[1][i] : 0;
	}
	c->iops = spread(f->iops_ratio, n);
	c->cpu = spread(f->cpu_ratio, n);
	for (unsigned int s = 0; s < 2; s++) {
		c->side[s].iops = spread(f->iops[s], n);
		c->side[s].cpu = spread(f->cpu[s], n);
		c->side[s].sum.iops = c->side[s].iops.median;
	}
}

/* Both sides once. */
static int one_round(const char *const targets[2], const struct bench_opts *o, unsigned int i,
		     struct bench_result r[2],
		     void (*round)(void *ctx, unsigned int n, unsigned int side,
				   const struct bench_result *r),
		     struct bench_comparison *c, struct err *e)
{
	for (unsigned int k = 0; k < 2; k++) {
		/* Who comes first finds another machine than who comes second. */
		unsigned int side = (i + k) % 2;
		int ret = bench_run(targets[side], o, &r[side], e);

		c->last = r[side].info;
		if (ret < 0)
			return ret;
		if (round)
			round(o->ctx, i + 1, side, &r[side]);
		if (r[side].stopped)
			return -EINTR;
	}
	return 0;
}

static int rounds_run(const char *const targets[2], const struct bench_opts *o, unsigned int rounds,
		      struct figures *f, struct bench_result r[2],
		      void (*round)(void *ctx, unsigned int n, unsigned int side,
				    const struct bench_result *r),
		      struct bench_comparison *c, struct err *e)
{
	for (unsigned int i = 0; i < rounds; i++) {
		int ret = one_round(targets, o, i, r, round, c, e);

		if (ret == -EINTR)
			break; /* an unfinished round says nothing */
		if (ret < 0)
			return ret;
		for (unsigned int s = 0; s < 2; s++) {
			f->iops[s][i] = r[s].iops;
			f->cpu[s][i] = bench_cpu_per_request(&r[s]);
			add(&c->side[s].sum, &r[s]);
		}
		c->rounds++;
	}
	return 0;
}

int bench_compare(const char *const targets[2], const struct bench_opts *o, unsigned int rounds,
		  void (*round)(void *ctx, unsigned int n, unsigned int side,
				const struct bench_result *r),
		  struct bench_comparison *c, struct err *e)
{
	double *v = calloc((size_t)rounds * 6, sizeof(*v));
	struct bench_result *r = calloc(2, sizeof(*r));
	struct figures f;
	int ret;

	memset(c, 0, sizeof(*c));
	for (unsigned int s = 0; s < 2; s++) {
		bench_result_reset(&c->side[s].sum);
		c->side[s].sum.has_cpu = true;
	}
	if (!v || !r) {
		ret = err_sys(e, -ENOMEM, "out-of-memory", "cannot compare");
		goto out;
	}
	f = (struct figures){
		.iops = { v, v + rounds },
		.cpu = { v + 2 * rounds, v + 3 * rounds },
		.iops_ratio = v + 4 * rounds,
		.cpu_ratio = v + 5 * rounds,
	};
	/* Not when half of it is done. */
	ret = bench_check(targets[0], o, e);
	if (ret == 0)
		ret = bench_check(targets[1], o, e);
	if (ret == 0)
		ret = rounds_run(targets, o, rounds, &f, r, round, c, e);
	summarise(c, &f);
out:
	free(v);
	free(r);
	return ret;
}
