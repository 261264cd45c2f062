/* SPDX-License-Identifier: MIT */
#include "storage/stor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR         512u
#define BLOCK_SIZE_MAX 4096u

/* Length of the scheme of @source, without its colon; 0 when it has none. */
static size_t scheme_len(const char *source)
{
	size_t n = strspn(source, "abcdefghijklmnopqrstuvwxyz0123456789+-");

	return source[n] == ':' ? n : 0;
}

static const struct stor_ops *find(const struct stor_ops *const *table, const char *name,
				   size_t len)
{
	for (; *table; table++) {
		if (strlen((*table)->scheme) == len && !memcmp((*table)->scheme, name, len))
			return *table;
	}
	return NULL;
}

/* "raw:, null:, mem:" for a hint. */
static void list(const struct stor_ops *const *table, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (; *table; table++) {
		size_t n = strlen((*table)->scheme);

		if (len + n + 4 > size)
			return;
		if (len) {
			memcpy(buf + len, ", ", 2);
			len += 2;
		}
		memcpy(buf + len, (*table)->scheme, n);
		len += n;
		buf[len++] = ':';
		buf[len] = '\0';
	}
}

/*
 * A known scheme wins over a file of that name, or a file dropped in the
 * working directory could change what a command does; `./null:1G` is the file.
 */
static const struct stor_ops *pick(const char *source, const char **arg, struct err *e)
{
	const struct stor_ops *ops;
	size_t n = scheme_len(source);
	char known[128];

	*arg = source;
	if (!n)
		return stor_backends[0];
	ops = find(stor_backends, source, n);
	if (ops) {
		*arg = source + n + 1;
		return ops;
	}
	if (access(source, F_OK) == 0)
		return stor_backends[0];
	err_set(e, -EINVAL, "unknown-source",
		"there is no kind of source '%.*s:' and no file named '%s'", (int)n, source,
		source);
	list(stor_backends, known, sizeof(known));
	err_hint(e, "A source is a path, or one of %s", known);
	return NULL;
}

static int check_size(const struct stor *s, struct err *e)
{
	uint64_t size = s->caps.size;
	const char *path = strncmp(s->source, "raw:", 4) ? s->source : s->source + 4;

	if (!size) {
		err_set(e, -EINVAL, "image-empty", "%s is empty: a disk needs at least one block",
			s->source);
		return err_hint(e, "Give it a size first, for example: truncate -s 1G %s", path);
	}
	if (size % s->caps.block_size == 0)
		return 0;
	err_set(e, -EINVAL, "image-size", "%s is %llu bytes: not a multiple of the %u-byte block",
		s->source, (unsigned long long)size, s->caps.block_size);
	if (!strncmp(s->source, "mem:", 4) || !strncmp(s->source, "null:", 5))
		return err_hint(e, "A size without a unit is in bytes; with one: %sM", s->source);
	return err_hint(e, "Round it up: truncate -s %%%u %s", s->caps.block_size, path);
}

/* Nothing a backend found out is passed on unchecked: the numbers reach the guest. */
static int check_caps(struct stor *s, const struct stor_open_args *a, struct err *e)
{
	struct stor_caps *c = &s->caps;

	if (a->block_size) {
		if (a->block_size < c->block_size && a->direct)
			return err_set(
				e, -EINVAL, "block-size",
				"%s cannot be used in blocks of %u bytes: direct I/O needs %u",
				s->source, a->block_size, c->block_size);
		c->block_size = a->block_size;
	}
	if (c->block_size < SECTOR || (c->block_size & (c->block_size - 1)))
		return err_set(e, -EINVAL, "block-size", "%s has a strange block size of %u bytes",
			       s->source, c->block_size);
	if (c->physical_size < c->block_size || (c->physical_size & (c->physical_size - 1)))
		c->physical_size = c->block_size;
	if (c->opt_io % c->block_size)
		c->opt_io = 0;
	if (c->read_only)
		c->discard = c->write_zeroes = c->write_zeroes_unmap = false;
	return check_size(s, e);
}

static int check_args(const char *source, const struct stor_open_args *a, struct err *e)
{
	uint32_t b = a->block_size;

	if (strlen(source) >= sizeof(((struct stor *)0)->source))
		return err_set(e, -ENAMETOOLONG, "source-too-long",
			       "the source '%.40s...' is longer than %zu bytes", source,
			       sizeof(((struct stor *)0)->source) - 1);
	if (!*source)
		return err_set(e, -EINVAL, "source-empty", "the source is empty");
	if (b && (b < SECTOR || b > BLOCK_SIZE_MAX || (b & (b - 1)))) {
		err_set(e, -EINVAL, "block-size", "a block cannot have %u bytes", b);
		return err_hint(e, "Use 512, 1024, 2048 or 4096");
	}
	return 0;
}

struct stor *stor_open(const char *source, const struct stor_open_args *a, struct err *e)
{
	static const struct stor_open_args defaults;
	const struct stor_ops *ops;
	const char *arg;
	struct stor *s;

	if (!a)
		a = &defaults;
	if (check_args(source, a, e) < 0)
		return NULL;
	ops = pick(source, &arg, e);
	if (!ops)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_sys(e, -ENOMEM, "out-of-memory", "cannot open %s", source);
		return NULL;
	}
	s->ops = ops;
	memcpy(s->source, source, strlen(source) + 1);
	s->caps.block_size = s->caps.physical_size = SECTOR;
	s->caps.read_only = a->read_only;
	if (ops->open(s, arg, a, e) < 0) {
		free(s);
		return NULL;
	}
	if (check_caps(s, a, e) < 0) {
		stor_close(s);
		return NULL;
	}
	return s;
}

struct stor *stor_filter(struct stor *lower, const char *spec, struct err *e)
{
	const char *colon = strchr(spec, ':');
	size_t n = colon ? (size_t)(colon - spec) : strlen(spec);
	const struct stor_ops *ops = find(stor_filters, spec, n);
	static const struct stor_open_args none;
	char known[128];
	struct stor *s;

	if (!ops) {
		err_set(e, -EINVAL, "unknown-filter", "there is no storage filter '%.*s'", (int)n,
			spec);
		list(stor_filters, known, sizeof(known));
		err_hint(e, "Filters are %s", known);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_sys(e, -ENOMEM, "out-of-memory", "cannot set up the filter '%s'", spec);
		return NULL;
	}
	s->ops = ops;
	s->caps = lower->caps;
	s->lower = lower;
	memcpy(s->source, lower->source, sizeof(s->source));
	if (ops->open(s, colon ? colon + 1 : "", &none, e) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

void stor_close(struct stor *s)
{
	struct stor *lower;

	for (; s; s = lower) {
		lower = s->lower;
		s->ops->close(s);
		free(s);
	}
}
