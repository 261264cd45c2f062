/* SPDX-License-Identifier: MIT */
/* Messages as lines of text. */
#include <stdio.h>
#include <string.h>

#include "frontend/vuc-internal.h"
#include "util/compiler.h"
#include "wire/names.h"

#define SHOWN 16 /* bytes of the payload */

const char *vuc_name(uint32_t request, bool back, char buf[32])
{
	const char *name = back ? vhost_user_backend_request_name(request) :
				  vhost_user_request_name(request);

	if (name)
		return name;
	snprintf(buf, 32, "message %u", request);
	return buf;
}

void vuc_set_trace(struct vuc *c, void (*fn)(void *ctx, const char *line), void *ctx)
{
	c->trace = fn;
	c->trace_ctx = ctx;
}

/* Whole words first: most payloads are made of them. */
static void show(char *s, size_t room, const uint8_t *p, size_t size)
{
	size_t at = 0, n = MIN(size, (size_t)SHOWN);

	for (; n - at >= sizeof(uint64_t) && room > 0; at += sizeof(uint64_t)) {
		uint64_t v;
		int len;

		memcpy(&v, p + at, sizeof(v));
		len = snprintf(s, room, " 0x%llx", (unsigned long long)v);
		s += len;
		room -= (size_t)len;
	}
	for (size_t i = at; i < n && room > 3; i++) {
		int len = snprintf(s, room, "%s%02x", i == at ? " " : "", p[i]);

		s += len;
		room -= (size_t)len;
	}
	if (size > SHOWN)
		snprintf(s, room, " ...");
}

void vuc_trace(struct vuc *c, const char *dir, const struct vhost_user_hdr *h, unsigned int nfds,
	       const void *payload, size_t size)
{
	char line[192], name[32];
	int n;

	if (!c->trace)
		return;
	n = snprintf(line, sizeof(line), "%s %s size %u flags 0x%x fds %u%s", dir,
		     vuc_name(h->request, dir[0] == 'b', name), h->size, h->flags, nfds,
		     size ? ":" : "");
	if (size)
		show(line + n, sizeof(line) - (size_t)n, payload, size);
	c->trace(c->trace_ctx, line);
}
