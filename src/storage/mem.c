/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory, gone when it is closed. Data is copied on the worker;
 * guest memory that vanishes meanwhile is the core's to contain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/backends.h"
#include "util/size.h"

static int mem_open(struct stor *s, const char *arg, const struct stor_open_args *a, struct err *e)
{
	void *base;

	(void)a;
	if (size_parse(arg, &s->caps.size, e) < 0)
		return err_prefix(e, "%s", s->source);
	if (!s->caps.size)
		return err_set(e, -EINVAL, "image-empty",
			       "%s is empty: a disk needs at least one block", s->source);
	if (s->caps.size > SIZE_MAX / 2)
		return err_set(e, -ENOMEM, "out-of-memory", "%s is more than can be addressed",
			       s->source);
	/* A sparse disk: only what is written takes memory. */
	base = mmap(NULL, s->caps.size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return err_sys(e, -errno, "out-of-memory", "cannot set up %s", s->source);
	s->priv = base;
	s->caps.discard = s->caps.write_zeroes = s->caps.write_zeroes_unmap = true;
	s->req_size = sizeof(struct stor_req);
	return 0;
}

static void mem_close(struct stor *s)
{
	munmap(s->priv, s->caps.size);
}

static struct stor_chan *mem_chan_open(struct stor *s, struct worker *w)
{
	struct stor_chan *c = calloc(1, sizeof(*c));

	if (c)
		*c = (struct stor_chan){ .ops = s->ops, .stor = s, .worker = w };
	return c;
}

static void mem_chan_close(struct stor_chan *c)
{
	free(c);
}

static void copy(char *disk, const struct stor_req *r)
{
	for (unsigned int i = 0; i < r->niov; i++) {
		if (r->op == STOR_READ)
			memcpy(r->iov[i].iov_base, disk, r->iov[i].iov_len);
		else
			memcpy(disk, r->iov[i].iov_base, r->iov[i].iov_len);
		disk += r->iov[i].iov_len;
	}
}

/* Whole pages go back to the system and read as zeroes; the edges are cleared. */
static int zero(char *disk, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t head = (page - ((uintptr_t)disk & (page - 1))) & (page - 1);
	size_t body;

	if (head > len)
		head = len;
	memset(disk, 0, head);
	body = (len - head) & ~(page - 1);
	if (body && madvise(disk + head, body, MADV_DONTNEED) < 0)
		return -errno;
	memset(disk + head + body, 0, len - head - body);
	return 0;
}

static void mem_submit(struct stor_chan *c, struct stor_req *r)
{
	char *disk = (char *)c->stor->priv + r->offset;
	int res = 0;

	if (c->stor->caps.read_only && r->op != STOR_READ && r->op != STOR_FLUSH) {
		r->done(r, -EROFS);
		return;
	}
	switch (r->op) {
	case STOR_READ:
	case STOR_WRITE:
		copy(disk, r);
		break;
	case STOR_FLUSH:
		break;
	case STOR_DISCARD:
		res = zero(disk, r->len);
		break;
	case STOR_WRITE_ZEROES:
		if (r->flags & STOR_MAY_UNMAP)
			res = zero(disk, r->len);
		else
			memset(disk, 0, r->len);
		break;
	}
	r->done(r, res);
}

const struct stor_ops stor_mem = {
	.scheme = "mem",
	.help = "mem:SIZE   a disk in memory, lost at the end",
	.open = mem_open,
	.close = mem_close,
	.chan_open = mem_chan_open,
	.chan_close = mem_chan_close,
	.submit = mem_submit,
};
