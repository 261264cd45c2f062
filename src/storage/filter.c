/* SPDX-License-Identifier: MIT */
#include "storage/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/compiler.h"

void filter_init(struct stor *s)
{
	s->req_size = offsetof(struct filter_req, lower) + s->lower->req_size;
	if (s->req_size < sizeof(struct filter_req))
		s->req_size = sizeof(struct filter_req);
}

int filter_parse_op(const char *word, unsigned int *mask, struct err *e)
{
	static const char *const names[] = { "read", "write", "flush", "discard", "zeroes" };

	if (!strcmp(word, "any")) {
		*mask = FILTER_ANY;
		return 0;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(word, names[i])) {
			*mask = 1u << i;
			return 0;
		}
	}
	err_set(e, -EINVAL, "filter-option", "there is no operation '%s'", word);
	return err_hint(e, "Operations are read, write, flush, discard, zeroes and any");
}

int filter_next_opt(const char **text, char buf[64], char **key, char **value, struct err *e)
{
	size_t n = strcspn(*text, ",");

	if (!**text)
		return 0;
	if (n >= 64)
		return err_set(e, -EINVAL, "filter-option", "the option '%.40s...' is too long",
			       *text);
	memcpy(buf, *text, n);
	buf[n] = '\0';
	*text += n;
	if (**text)
		++*text;
	*key = buf;
	*value = strchr(buf, '=');
	if (!*value || *value == buf)
		return err_set(e, -EINVAL, "filter-option",
			       "'%s' is not an option of the form KEY=VALUE", buf);
	*(*value)++ = '\0';
	return 1;
}

int filter_parse_num(const char *key, const char *word, uint64_t max, uint64_t *n, struct err *e)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(word, &end, 10);
	if (*word < '0' || *word > '9' || *end || errno || v > max)
		return err_set(e, -EINVAL, "filter-option",
			       "%s=%s: a whole number from 0 to %llu is needed", key, word,
			       (unsigned long long)max);
	*n = v;
	return 0;
}

struct stor_chan *filter_chan_open(struct stor *s, struct worker *w)
{
	struct filter_chan *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->c = (struct stor_chan){ .ops = s->ops, .stor = s, .worker = w };
	c->lower = stor_chan_open(s->lower, w);
	if (!c->lower) {
		int err = errno;

		free(c);
		errno = err;
		return NULL;
	}
	return &c->c;
}

void filter_chan_close(struct stor_chan *chan)
{
	struct filter_chan *c = container_of(chan, struct filter_chan, c);

	stor_chan_close(c->lower);
	free(c);
}

static void lower_done(struct stor_req *lower, int res)
{
	struct filter_req *f = container_of(lower, struct filter_req, lower);

	f->req.done(&f->req, res);
}

void filter_pass(struct filter_req *f)
{
	f->lower = f->req;
	f->lower.done = lower_done;
	stor_submit(f->chan->lower, &f->lower);
}
