/* SPDX-License-Identifier: MIT */
/* What the filters share: a request that carries the one for the layer below. */
#ifndef STORAGE_FILTER_H
#define STORAGE_FILTER_H

#include "storage/stor.h"
#include "util/worker.h"

struct filter_chan {
	struct stor_chan c;
	struct stor_chan *lower;
};

/**
 * struct filter_req - the caller's request, ours, and the lower layer's
 * @lower:	last, because it is longer than its type: lower->req_size bytes
 */
struct filter_req {
	struct stor_req req;
	struct filter_chan *chan;
	struct worker_timer timer;
	_Alignas(16) struct stor_req lower;
};

/* Which operations a filter acts on: bit per enum stor_op. */
#define FILTER_ANY 0x1fu

/* Sets up @s->req_size. */
void filter_init(struct stor *s);

/* Parse "read", "write", "flush", "discard", "zeroes" or "any". 0 or -EINVAL. */
int filter_parse_op(const char *word, unsigned int *mask, struct err *e);

/*
 * Take the next "key=value" off @text, separated by commas. Writes into @buf;
 * *@key and *@value point there. 1: there was one, 0: end, -EINVAL.
 */
int filter_next_opt(const char **text, char buf[64], char **key, char **value, struct err *e);

/* A whole number up to @max. */
int filter_parse_num(const char *key, const char *word, uint64_t max, uint64_t *n, struct err *e);

struct stor_chan *filter_chan_open(struct stor *s, struct worker *w);
void filter_chan_close(struct stor_chan *c);

/* Hand the request down; its result is passed on as it is. */
void filter_pass(struct filter_req *f);

#endif
