/* SPDX-License-Identifier: MIT */
/* The result of vuctl bench as one JSON object; durations are in nanoseconds. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench.h"

static json_t *whole(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Jansson refuses what is no number; there is no such figure here but by mistake. */
static json_t *real(double v)
{
	json_t *j = json_real(v);

	return j ? j : json_null();
}

/* A file name in it need not be UTF-8. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("");
}

static json_t *workload(const struct bench_opts *o)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "rw",
			 bench_rw_name(o->rw), "block_size", whole(o->bs), "depth", whole(o->qd),
			 "queues", whole(o->queues), "poll", o->poll, "verify", o->verify, "offset",
			 whole(o->offset), "size", whole(o->size), "seed", whole(o->seed));
}

static json_t *latency(const struct hist *h)
{
	/* Of nothing there is no quantile. */
	if (!h->count)
		return json_pack("{s:n, s:n, s:n, s:n, s:n, s:n}", "mean", "min", "p50", "p99",
				 "p99_9", "max");
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "mean", real(hist_mean(h)), "min",
			 whole(h->min), "p50", whole(hist_quantile(h, 500000)), "p99",
			 whole(hist_quantile(h, 990000)), "p99_9", whole(hist_quantile(h, 999000)),
			 "max", whole(h->max));
}

static void add_ring(json_t *j, const struct bench_result *r)
{
	const struct bench_info *i = &r->info;
	double n = r->requests ? (double)r->requests : 1;

	if (!i->queue_size)
		return;
	json_object_set_new(j, "ring",
			    json_pack("{s:o, s:b, s:b, s:b}", "size", whole(i->queue_size),
				      "packed", i->packed, "event_idx", i->event_idx, "indirect",
				      i->indirect));
	json_object_set_new(j, "kicks", whole(r->kicks));
	json_object_set_new(j, "interrupts", whole(r->calls));
	json_object_set_new(j, "kicks_per_request", real((double)r->kicks / n));
	json_object_set_new(j, "interrupts_per_request", real((double)r->calls / n));
}

static json_t *result(const struct bench_cmd *c, const char *target, const struct bench_result *r)
{
	json_t *j = json_pack("{s:o, s:s, s:o, s:o}", "target", json_string(""), "kind",
			      r->info.kind ? r->info.kind : "", "capacity", whole(r->info.capacity),
			      "block_size", whole(r->info.block_size));
	json_t *name = json_string(target);

	/* A file name need not be UTF-8; then it stays empty. */
	if (name)
		json_object_set_new(j, "target", name);
	json_object_set_new(j, "requests", whole(r->requests));
	json_object_set_new(j, "reads", whole(r->reads));
	json_object_set_new(j, "writes", whole(r->writes));
	json_object_set_new(j, "duration", whole(r->ns));
	json_object_set_new(j, "iops", real(r->iops));
	json_object_set_new(j, "bytes_per_second", real(r->iops * c->o.bs));
	json_object_set_new(j, "latency", latency(&r->latency));
	add_ring(j, r);
	json_object_set_new(j, "pid", r->info.pid ? whole((uint64_t)r->info.pid) : json_null());
	json_object_set_new(j, "cpu_per_request",
			    r->has_cpu ? real(bench_cpu_per_request(r)) : json_null());
	if (c->o.verify)
		json_object_set_new(j, "verified", whole(r->verified));
	json_object_set_new(j, "stopped", json_boolean(r->stopped));
	return j;
}

static void add_error(json_t *j, const struct err *e)
{
	if (e->code == 0)
		return;
	json_object_set_new(j, "error",
			    json_pack("{s:s, s:o, s:o, s:i}", "id", e->id ? e->id : "unknown",
				      "message", text(e->what), "hint", text(e->hint), "errno",
				      -e->code));
}

void bench_json_error(const struct err *e)
{
	json_t *j = json_object();
	char *s;

	add_error(j, e);
	s = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	if (s && write(STDOUT_FILENO, s, strlen(s)) == (ssize_t)strlen(s) &&
	    write(STDOUT_FILENO, "\n", 1) < 0)
		perror("vuctl: write");
	free(s);
}

static void put(json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(j);
}

void bench_json(const struct bench_cmd *c, const struct bench_result *r, const struct err *e)
{
	json_t *j = result(c, c->target[0], r);

	json_object_set_new(j, "workload", workload(&c->o));
	add_error(j, e);
	put(j);
}

static json_t *spread(const struct bench_spread *s)
{
	return json_pack("{s:o, s:o, s:o}", "median", real(s->median), "min", real(s->min), "max",
			 real(s->max));
}

void bench_json_comparison(const struct bench_cmd *c, const struct bench_comparison *cmp,
			   const struct err *e)
{
	json_t *targets = json_array(), *j;

	for (unsigned int i = 0; i < 2; i++) {
		j = result(c, c->target[i], &cmp->side[i].sum);
		json_object_set_new(j, "iops_spread", spread(&cmp->side[i].iops));
		json_object_set_new(j, "cpu_spread",
				    cmp->side[i].sum.has_cpu ? spread(&cmp->side[i].cpu) :
							       json_null());
		json_array_append_new(targets, j);
	}
	j = json_pack("{s:o, s:o, s:o}", "workload", workload(&c->o), "rounds", whole(cmp->rounds),
		      "targets", targets);
	json_object_set_new(j, "ratio",
			    json_pack("{s:o, s:o}", "iops", spread(&cmp->iops), "cpu_per_request",
				      cmp->has_cpu ? spread(&cmp->cpu) : json_null()));
	add_error(j, e);
	put(j);
}
