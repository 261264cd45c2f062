/* SPDX-License-Identifier: MIT */
/* vuctl check: how a case ends, and what is shown of it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "check/check-impl.h"
#include "util/compiler.h"

/* What a back-end sent must not reach a terminal or a document as it is. */
static void clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			*s = '?';
}

void check_outcome_begin(struct check *c)
{
	c->result = CHECK_PASSED;
	c->expected[0] = c->got[0] = c->notes[0] = 0;
	c->ntrace = 0;
	c->nconns = 0;
	c->alive = false;
	c->rnd = 0x2545f491;
}

void check_outcome_end(struct check *c, enum check_result result)
{
	c->result = result;
	if (!c->running)
		abort(); /* only cases call this, and they run inside run_guarded() */
	longjmp(c->end, 1);
}

void check_fail(struct check *c, const char *expected, const char *fmt, ...)
{
	va_list ap;

	snprintf(c->expected, sizeof(c->expected), "%s", expected);
	va_start(ap, fmt);
	vsnprintf(c->got, sizeof(c->got), fmt, ap);
	va_end(ap);
	clean(c->expected);
	clean(c->got);
	check_outcome_end(c, c->alive ? CHECK_HUNG : CHECK_FAILED);
}

void check_skip(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->got, sizeof(c->got), fmt, ap);
	va_end(ap);
	clean(c->got);
	check_outcome_end(c, CHECK_SKIPPED);
}

void check_note(struct check *c, const char *fmt, ...)
{
	size_t n = strlen(c->notes);
	va_list ap;

	if (n + 2 >= sizeof(c->notes))
		return;
	if (n)
		c->notes[n++] = '\n';
	va_start(ap, fmt);
	vsnprintf(c->notes + n, sizeof(c->notes) - n, fmt, ap);
	va_end(ap);
	clean(c->notes + n);
}

/* ---- what was sent and what came ---- */

void check_trace_line(void *conn, const char *line)
{
	struct check_conn *n = conn;
	struct check *c = n->c;
	char *to = c->trace[c->ntrace++ % CHECK_TRACE_LINES];

	/* Most cases have one connection and need no numbers. */
	if (n->number > 1)
		snprintf(to, CHECK_TRACE_WIDTH, "[%u] %s", n->number, line);
	else
		snprintf(to, CHECK_TRACE_WIDTH, "%s", line);
	clean(to);
}

const char *check_trace_text(struct check *c)
{
	unsigned int first = c->ntrace > CHECK_TRACE_LINES ? c->ntrace - CHECK_TRACE_LINES : 0;
	char *p = c->shown;

	*p = 0;
	for (unsigned int i = first; i < c->ntrace; i++) {
		size_t n = strlen(c->trace[i % CHECK_TRACE_LINES]);

		if (p != c->shown)
			*p++ = '\n';
		memcpy(p, c->trace[i % CHECK_TRACE_LINES], n + 1);
		p += n;
	}
	return c->shown;
}

/* ---- small things cases ask for ---- */

const struct check_facts *check_facts(const struct check *c)
{
	return &c->facts;
}

bool check_packed(const struct check *c)
{
	return c->packed;
}

int check_timeout_ms(const struct check *c)
{
	return c->o->timeout_ms;
}

bool check_may_write(const struct check *c)
{
	return c->o->write;
}

uint32_t check_rnd(struct check *c)
{
	/* xorshift: no test of randomness, only the same in every run */
	c->rnd ^= c->rnd << 13;
	c->rnd ^= c->rnd >> 17;
	c->rnd ^= c->rnd << 5;
	return c->rnd;
}
