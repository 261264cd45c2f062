/* SPDX-License-Identifier: MIT */
/*
 * error:op=OP[,errno=N][,after=K][,count=M]  a failing disk, for tests: the
 * first K requests of that kind pass, the next M fail (all without M).
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "storage/backends.h"
#include "storage/filter.h"
#include "util/compiler.h"

/**
 * struct fault
 * @seen:	requests of the kind so far; channels of several workers count together
 */
struct fault {
	unsigned int mask;
	uint64_t code, after, count;
	_Atomic uint64_t seen;
};

static int parse_option(struct fault *x, const char *key, const char *value, struct err *e)
{
	if (!strcmp(key, "op"))
		return filter_parse_op(value, &x->mask, e);
	if (!strcmp(key, "errno"))
		return filter_parse_num(key, value, 4095, &x->code, e);
	if (!strcmp(key, "after"))
		return filter_parse_num(key, value, UINT64_MAX / 2, &x->after, e);
	if (!strcmp(key, "count"))
		return filter_parse_num(key, value, UINT64_MAX / 2, &x->count, e);
	return err_set(e, -EINVAL, "filter-option", "there is no option '%s'", key);
}

static int parse(struct fault *x, const char *arg, struct err *e)
{
	char buf[64], *key, *value;
	int ret;

	while ((ret = filter_next_opt(&arg, buf, &key, &value, e)) > 0) {
		ret = parse_option(x, key, value, e);
		if (ret < 0)
			return ret;
	}
	if (!ret && !x->code)
		return err_set(e, -EINVAL, "filter-option", "errno=0 is no failure");
	return ret;
}

static int error_open(struct stor *s, const char *arg, const struct stor_open_args *a,
		      struct err *e)
{
	struct fault *x = calloc(1, sizeof(*x));

	(void)a;
	if (!x)
		return err_sys(e, -ENOMEM, "out-of-memory", "filter error");
	x->mask = FILTER_ANY;
	x->code = EIO;
	x->count = UINT64_MAX / 2;
	if (parse(x, arg, e) < 0) {
		free(x);
		return err_prefix(e, "filter error");
	}
	filter_init(s);
	s->priv = x;
	return 0;
}

static void error_close(struct stor *s)
{
	free(s->priv);
}

static bool fails(struct fault *x, enum stor_op op)
{
	uint64_t n;

	if (!(x->mask & (1u << op)))
		return false;
	n = atomic_fetch_add_explicit(&x->seen, 1, memory_order_relaxed);
	return n >= x->after && n - x->after < x->count;
}

static void error_submit(struct stor_chan *chan, struct stor_req *r)
{
	struct filter_req *f = container_of(r, struct filter_req, req);
	struct fault *x = chan->stor->priv;

	if (fails(x, r->op)) {
		r->done(r, -(int)x->code);
		return;
	}
	f->chan = container_of(chan, struct filter_chan, c);
	filter_pass(f);
}

const struct stor_ops stor_error = {
	.scheme = "error",
	.help = "error:op=OP[,errno=N][,after=K][,count=M]  fail requests",
	.open = error_open,
	.close = error_close,
	.chan_open = filter_chan_open,
	.chan_close = filter_chan_close,
	.submit = error_submit,
};
