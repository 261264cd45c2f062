/* SPDX-License-Identifier: MIT */
/*
 * delay:ms=N[,op=OP]  a slow disk, for tests: a request is handed down only
 * after the delay, so that its buffers are touched as late as can be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/backends.h"
#include "storage/filter.h"
#include "util/compiler.h"

struct delay {
	uint64_t ns;
	unsigned int mask;
};

static int parse(struct delay *d, const char *arg, struct err *e)
{
	char buf[64], *key, *value;
	uint64_t ms = 0;
	int ret;

	while ((ret = filter_next_opt(&arg, buf, &key, &value, e)) > 0) {
		if (!strcmp(key, "ms"))
			ret = filter_parse_num(key, value, 3600000, &ms, e);
		else if (!strcmp(key, "op"))
			ret = filter_parse_op(value, &d->mask, e);
		else
			ret = err_set(e, -EINVAL, "filter-option", "there is no option '%s'", key);
		if (ret < 0)
			return ret;
	}
	d->ns = ms * 1000000;
	return ret;
}

static int delay_open(struct stor *s, const char *arg, const struct stor_open_args *a,
		      struct err *e)
{
	struct delay *d = calloc(1, sizeof(*d));

	(void)a;
	if (!d)
		return err_sys(e, -ENOMEM, "out-of-memory", "filter delay");
	d->mask = FILTER_ANY;
	if (parse(d, arg, e) < 0) {
		free(d);
		return err_prefix(e, "filter delay");
	}
	filter_init(s);
	s->priv = d;
	return 0;
}

static void delay_close(struct stor *s)
{
	free(s->priv);
}

static void due(struct worker_timer *t)
{
	filter_pass(container_of(t, struct filter_req, timer));
}

static void delay_submit(struct stor_chan *chan, struct stor_req *r)
{
	struct filter_req *f = container_of(r, struct filter_req, req);
	const struct delay *d = chan->stor->priv;

	f->chan = container_of(chan, struct filter_chan, c);
	if (!d->ns || !(d->mask & (1u << r->op))) {
		filter_pass(f);
		return;
	}
	f->timer = (struct worker_timer){ .fn = due };
	worker_timer_set(chan->worker, &f->timer, d->ns);
}

const struct stor_ops stor_delay = {
	.scheme = "delay",
	.help = "delay:ms=N[,op=OP]  hold requests back for N milliseconds",
	.open = delay_open,
	.close = delay_close,
	.chan_open = filter_chan_open,
	.chan_close = filter_chan_close,
	.submit = delay_submit,
};
