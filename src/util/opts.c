/* SPDX-License-Identifier: MIT */
#include "util/opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "util/compiler.h"

#define OPTS_MAX  48
#define LONG_BASE 256 /* getopt_long() values of long options: above every letter */
#define WORD_MAX  32  /* longer words are no slips of the finger */

/* ---- nearest word ---- */

/* Edits from @a to @b: insert, delete, replace, exchange of two neighbours. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int d[3][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned int *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned int n = MIN(up[j], row[j - 1]) + 1;

			n = MIN(n, up[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				n = MIN(n, up2[j - 2] + 1);
			row[j] = n;
		}
	}
	return d[la % 3][lb];
}

const char *opts_nearest(const char *word, const char *(*next)(void *ctx), void *ctx)
{
	unsigned int best = (unsigned int)strlen(word) / 3 +
			    1; /* short words need a closer match */
	const char *found = NULL, *c;

	best = MIN(best, 3);
	while ((c = next(ctx))) {
		unsigned int n = distance(word, c);

		/* "--sock" for --socket */
		if (strlen(word) >= 2 && !strncmp(word, c, strlen(word)))
			n = MIN(n, 1);
		if (n < best || (n == best && !found)) {
			best = n;
			found = c;
		}
	}
	return found;
}

static const char *next_option(void *ctx)
{
	const struct opt_desc **p = ctx;
	const char *name = (*p)->name;

	if (name)
		(*p)++;
	return name;
}

/* ---- parsing ---- */

struct tables {
	struct option longs[OPTS_MAX + 1];
	char shorts[2 * OPTS_MAX + 2];
	unsigned int n;
};

static int tables_fill(struct tables *t, const struct opt_desc *table, struct err *e)
{
	char *s = t->shorts;

	memset(t, 0, sizeof(*t));
	*s++ = ':'; /* tell a missing value from an unknown option */
	for (; table[t->n].name; t->n++) {
		const struct opt_desc *o = &table[t->n];

		if (t->n == OPTS_MAX)
			return err_set(e, -E2BIG, "too-many-options", "more than %d options",
				       OPTS_MAX);
		t->longs[t->n] = (struct option){
			.name = o->name,
			.has_arg = o->arg ? required_argument : no_argument,
			.val = LONG_BASE + (int)t->n,
		};
		if (o->letter) {
			*s++ = o->letter;
			if (o->arg)
				*s++ = ':';
		}
	}
	return 0;
}

static const struct opt_desc *by_letter(const struct opt_desc *table, int letter)
{
	for (; table->name; table++)
		if (table->letter == letter)
			return table;
	return NULL;
}

static int ambiguous(const struct opt_desc *table, const char *word, size_t len, struct err *e)
{
	char list[256] = "";
	size_t n = 0;
	unsigned int hits = 0;

	for (; table->name; table++) {
		if (strncmp(table->name, word, len))
			continue;
		hits++;
		if (n + strlen(table->name) + 6 < sizeof(list))
			n += (size_t)sprintf(list + n, "%s--%s", n ? ", " : "", table->name);
	}
	if (hits < 2)
		return 0;
	err_set(e, -EINVAL, "ambiguous-option", "option '--%.*s' is ambiguous", (int)len, word);
	return err_hint(e, "It could be %s", list);
}

/* getopt_long() said '?': the word is argv[optind - 1], or the letter optopt. */
static int unknown(const struct opt_desc *table, char **argv, struct err *e)
{
	const char *word = argv[optind - 1], *near;
	const struct opt_desc *p = table;
	char name[64];
	size_t len;

	if (optopt >= LONG_BASE)
		return err_set(e, -EINVAL, "option-takes-no-value", "option '--%s' takes no value",
			       table[optopt - LONG_BASE].name);
	if (optopt)
		return err_set(e, -EINVAL, "unknown-option", "unknown option '-%c'", optopt);
	word += 2;
	len = strcspn(word, "=");
	if (len && ambiguous(table, word, len, e) < 0)
		return e ? e->code : -EINVAL;
	err_set(e, -EINVAL, "unknown-option", "unknown option '--%.*s'", (int)len, word);
	snprintf(name, sizeof(name), "%.*s", (int)MIN(len, sizeof(name) - 1), word);
	near = opts_nearest(name, next_option, &p);
	if (near)
		err_hint(e, "Did you mean '--%s'?", near);
	return -EINVAL;
}

static int no_value(const struct opt_desc *table, struct err *e)
{
	const struct opt_desc *o = optopt >= LONG_BASE ? &table[optopt - LONG_BASE] :
							 by_letter(table, optopt);

	return err_set(e, -EINVAL, "option-needs-value", "option '--%s' needs a value: --%s %s",
		       o->name, o->name, o->arg);
}

int opts_parse(const struct opt_desc *table, int argc, char **argv, opts_set_fn *set, void *ctx,
	       struct err *e)
{
	struct tables t;
	int c, ret;

	ret = tables_fill(&t, table, e);
	if (ret < 0)
		return ret;
	opterr = 0;
	optind = 0; /* glibc: start afresh */
	while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		const struct opt_desc *o;

		if (c == '?')
			return unknown(table, argv, e);
		if (c == ':')
			return no_value(table, e);
		o = c >= LONG_BASE ? &table[c - LONG_BASE] : by_letter(table, c);
		ret = set(ctx, o->id, o->arg ? optarg : NULL, e);
		if (ret < 0)
			return ret;
	}
	return optind;
}

/* ---- showing ---- */

static int left_side(char *buf, size_t size, const struct opt_desc *o)
{
	char letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	return snprintf(buf, size, "  %s--%s%s%s", letter, o->name, o->arg ? " " : "",
			o->arg ? o->arg : "");
}

void opts_help(FILE *f, const struct opt_desc *table)
{
	char left[96];
	int width = 0;

	for (const struct opt_desc *o = table; o->name; o++)
		width = MAX(width, left_side(left, sizeof(left), o));
	for (const struct opt_desc *o = table; o->name; o++) {
		left_side(left, sizeof(left), o);
		fprintf(f, "%-*s  %s\n", width, left, o->help);
	}
}

void opts_words(FILE *f, const struct opt_desc *table)
{
	for (; table->name; table++)
		fprintf(f, "--%s%s\n", table->name, table->arg ? "=" : "");
}

/* ---- values ---- */

int opts_number(const char *what, const char *value, unsigned long min, unsigned long max,
		unsigned long *out, struct err *e)
{
	unsigned long n = 0;
	const char *p = value;

	/* Not strtoul(): it takes blanks, signs, and what does not fit. */
	for (; *p >= '0' && *p <= '9' && n <= max; p++)
		n = n * 10 + (unsigned long)(*p - '0');
	if (p == value || *p || n < min || n > max)
		return err_set(e, -EINVAL, "bad-value", "%s '%s' is not a number from %lu to %lu",
			       what, value, min, max);
	*out = n;
	return 0;
}

int opts_choice(const char *what, const char *value, const char *list, struct err *e)
{
	size_t len = strlen(value), n;
	const char *p = list;

	for (int i = 0;; i++) {
		n = strcspn(p, "|");
		if (n == len && !memcmp(p, value, n))
			return i;
		if (!p[n])
			break;
		p += n + 1;
	}
	err_set(e, -EINVAL, "bad-value", "%s '%s' is not known", what, value);
	err_hint(e, "Use one of %s", list);
	return -EINVAL;
}

/* A number, or two with a dash between, at @p. Return: what follows, or NULL. */
static const char *cpu_range(const char *p, unsigned long *from, unsigned long *to)
{
	char *end;

	if (*p < '0' || *p > '9')
		return NULL;
	*from = *to = strtoul(p, &end, 10);
	if (*end != '-')
		return end;
	p = end + 1;
	if (*p < '0' || *p > '9')
		return NULL;
	*to = strtoul(p, &end, 10);
	return end;
}

int opts_cpus(const char *what, const char *value, int *cpus, unsigned int max, unsigned int *n,
	      struct err *e)
{
	unsigned long from, to, count = 0;

	*n = 0;
	for (const char *p = value; (p = cpu_range(p, &from, &to)); p++) {
		if (from > to || to >= max || count + (to - from) >= max)
			break;
		for (; from <= to; from++)
			cpus[count++] = (int)from;
		if (!*p) {
			*n = (unsigned int)count;
			return 0;
		}
		if (*p != ',')
			break;
	}
	err_set(e, -EINVAL, "bad-value", "%s '%s' is no list of processors", what, value);
	return err_hint(e, "Like this: %s 0,2-5", what);
}
