/* SPDX-License-Identifier: MIT */
/* A disk that forgets: reads give zeroes, writes go nowhere. For measuring everything else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/backends.h"
#include "util/size.h"

static int null_open(struct stor *s, const char *arg, const struct stor_open_args *a, struct err *e)
{
	(void)a;
	if (size_parse(arg, &s->caps.size, e) < 0)
		return err_prefix(e, "%s", s->source);
	s->caps.discard = s->caps.write_zeroes = s->caps.write_zeroes_unmap = true;
	s->req_size = sizeof(struct stor_req);
	return 0;
}

static void null_close(struct stor *s)
{
	(void)s;
}

static struct stor_chan *null_chan_open(struct stor *s, struct worker *w)
{
	struct stor_chan *c = calloc(1, sizeof(*c));

	if (c)
		*c = (struct stor_chan){ .ops = s->ops, .stor = s, .worker = w };
	return c;
}

static void null_chan_close(struct stor_chan *c)
{
	free(c);
}

static void null_submit(struct stor_chan *c, struct stor_req *r)
{
	int res = 0;

	if (r->op == STOR_READ) {
		/* Whatever was in the buffers is the guest's to see, but not as disk contents. */
		for (unsigned int i = 0; i < r->niov; i++)
			memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
	} else if (r->op != STOR_FLUSH && c->stor->caps.read_only) {
		res = -EROFS;
	}
	r->done(r, res);
}

const struct stor_ops stor_null = {
	.scheme = "null",
	.help = "null:SIZE  reads give zeroes, writes are dropped",
	.open = null_open,
	.close = null_close,
	.chan_open = null_chan_open,
	.chan_close = null_chan_close,
	.submit = null_submit,
};
