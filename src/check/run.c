/* SPDX-License-Identifier: MIT */
/* vuctl check: which cases run, in what order, and what became of each. */
#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "check/check-impl.h"
#include "util/compiler.h"
#include "util/loop.h"

#define SPLIT      (1u << 0)
#define PACKED     (1u << 1)
#define REASONS    32
#define REASON_LEN 160

/**
 * struct run - the whole
 * @f:		where cases are reported: @out, or @body until the totals are known
 * @ns:		that cases took
 * @interrupted: no more cases are run since nobody wants them
 * @stopped:	why no more cases are run, empty: they are
 * @reasons:	why cases were skipped, and how many each
 */
struct run {
	struct check c;
	const struct check_reporter *r;
	FILE *f, *out;
	char *body;
	size_t body_size;
	uint64_t ns;
	unsigned int number;
	unsigned int by_result[5];
	unsigned int shoulds_failed;
	bool failed, interrupted;
	char stopped[700];
	unsigned int not_run;
	struct {
		char text[REASON_LEN];
		unsigned int n;
	} reasons[REASONS];
	unsigned int nreasons;
};

/* ---- which ---- */

/* "group.words", a pattern of it, or a group alone. */
static bool match_one(const char *pattern, const char *id)
{
	size_t n = strlen(pattern);

	return fnmatch(pattern, id, 0) == 0 || (!strncmp(pattern, id, n) && id[n] == '.');
}

static bool match_any(const char *const *patterns, const char *id, bool otherwise)
{
	if (!patterns || !*patterns)
		return otherwise;
	for (; *patterns; patterns++)
		if (match_one(*patterns, id))
			return true;
	return false;
}

static void make_id(char *buf, size_t size, const struct check_case *k, bool packed)
{
	snprintf(buf, size, "%s%s", k->id, packed && k->both_rings ? "/packed" : "");
}

/* A pattern that fits the id fits both ring formats; one with "/packed" only that. */
static bool selected(const struct check_opts *o, const struct check_case *k, bool packed)
{
	unsigned int format = packed ? PACKED : SPLIT;
	char id[128];

	if ((k->both_rings || packed) && !(o->rings & format))
		return false;
	make_id(id, sizeof(id), k, packed);
	return (match_any(o->only, id, true) || match_any(o->only, k->id, true)) &&
	       !match_any(o->skip, id, false) && !match_any(o->skip, k->id, false);
}

/*
 * Calls @fn for each case and ring format, in order. A case for packed rings
 * of itself has no second form.
 */
static void for_each(const struct check_opts *o,
		     void (*fn)(void *ctx, const struct check_case *k, bool packed), void *ctx)
{
	for (const struct check_case *const *t = check_tables; *t; t++) {
		for (const struct check_case *k = *t; k->id; k++) {
			bool only_packed = !k->both_rings && (k->needs & NEED_PACKED);

			if (selected(o, k, only_packed))
				fn(ctx, k, only_packed);
			if (k->both_rings && selected(o, k, true))
				fn(ctx, k, true);
		}
	}
}

/* ---- one case ---- */

/* The case that runs on this thread: a signal tells its handler nothing else of it. */
static _Thread_local struct check *guarded;

/*
 * A file that the back-end shares with us, or we with it, was cut off, and a
 * case looked at what is no longer there. Nothing but such an access gets here,
 * so no lock is held that longjmp() would leave behind.
 */
static void on_sigbus(int sig, siginfo_t *si, void *uc)
{
	struct check *c = guarded;

	(void)uc;
	if (!c || si->si_code <= 0) {
		signal(sig, SIG_DFL); /* not of a case: it happens again, or is sent again */
		if (si->si_code <= 0)
			raise(sig);
		return;
	}
	c->result = CHECK_FAILED;
	strcpy(c->expected, "memory that stays as long as it is shared");
	strcpy(c->got, "the file behind it was cut off");
	longjmp(c->end, 1);
}

/* check_fail() and the like come back here. */
static void run_guarded(struct check *c)
{
	/* Not blocked within: nobody returns from it. */
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct sigaction old;

	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, &old);
	guarded = c;
	if (setjmp(c->end) == 0) {
		c->running = true;
		c->k->run(c);
	}
	c->running = false;
	guarded = NULL;
	sigaction(SIGBUS, &old, NULL);
}

static void clean_up(struct check *c)
{
	check_conn_close_all(c);
	check_dev_free_all(c);
	check_mem_free_all(c);
}

/* Start it again, where that can be done; @now is what it is like. */
static void bring_back(struct run *run, enum check_result now)
{
	struct check *c = &run->c;
	struct check_server *s = &c->server;
	struct err e = { .code = 0 };
	char id[128];

	/* One that hangs and is not our child would be in the way. */
	if (s->restart && (s->child || now == CHECK_DIED) && check_server_start(s, &e) == 0)
		return;
	/* It let down one connection, and answers the next. */
	if (now == CHECK_PASSED && !s->one_shot)
		return;
	make_id(id, sizeof(id), c->k, c->packed);
	snprintf(run->stopped, sizeof(run->stopped), "the back-end %s in %s",
		 now == CHECK_HUNG ? "hung" : "died", id);
	if (e.code < 0)
		snprintf(run->stopped, sizeof(run->stopped), "after %s: %s", id, e.what);
}

/* Is the back-end there for the next case? If not, it is this one's doing. */
static void look_after(struct run *run)
{
	struct check *c = &run->c;
	enum check_result before = c->result, r;
	struct err e = { .code = 0 };

	r = check_server_state(&c->server, &e);
	if (r != CHECK_PASSED) {
		if (before == CHECK_PASSED || before == CHECK_SKIPPED) {
			snprintf(c->expected, sizeof(c->expected), "the back-end still serves");
			snprintf(c->got, sizeof(c->got), "%s", e.what);
		} else if (before == CHECK_FAILED) {
			check_note(c, "afterwards: %s", e.what);
		}
		c->result = r;
	}
	if (c->server.one_shot || c->result == CHECK_DIED || c->result == CHECK_HUNG)
		bring_back(run, r);
}

static void count_reason(struct run *run, const char *reason)
{
	unsigned int i;

	for (i = 0; i < run->nreasons; i++)
		if (!strncmp(run->reasons[i].text, reason, REASON_LEN - 1))
			break;
	if (i == REASONS)
		return;
	if (i == run->nreasons) {
		snprintf(run->reasons[i].text, REASON_LEN, "%.*s", REASON_LEN - 1, reason);
		run->nreasons++;
	}
	run->reasons[i].n++;
}

static void report(struct run *run, const char *id, uint64_t ns)
{
	struct check *c = &run->c;
	struct check_report r = {
		.k = c->k,
		.id = id,
		.result = c->result,
		.expected = c->expected,
		.got = c->got,
		.notes = c->notes,
		.trace = "",
		.ns = ns,
	};

	if (check_report_bad(&r) || c->o->verbose)
		r.trace = check_trace_text(c);
	else
		r.notes = "";

	if (r.result == CHECK_FAILED && c->k->level == CHECK_SHOULD)
		run->shoulds_failed++;
	else
		run->by_result[r.result]++;
	if (r.result == CHECK_SKIPPED)
		count_reason(run, c->got);
	run->ns += ns;
	run->failed |= check_report_fatal(&r);
	run->r->one(run->f, &r, ++run->number);
	fflush(run->f);
}

/* Somebody has pressed Ctrl-C. */
static void look_for_stop(struct run *run)
{
	struct pollfd p = { .fd = run->c.o->stop_fd, .events = POLLIN };

	if (run->stopped[0] || poll(&p, 1, 0) <= 0)
		return;
	run->interrupted = true;
	snprintf(run->stopped, sizeof(run->stopped), "ended by a signal");
}

static void run_one(void *ctx, const struct check_case *k, bool packed)
{
	struct run *run = ctx;
	struct check *c = &run->c;
	char id[128], buf[128];
	const char *why;
	uint64_t start = clock_ns(), ns = 0;

	c->k = k;
	c->packed = packed;
	make_id(id, sizeof(id), k, packed);
	check_outcome_begin(c);
	look_for_stop(run);
	why = check_missing(c, k, packed, buf, sizeof(buf));
	if (!why && run->stopped[0]) {
		why = run->stopped;
		run->not_run++;
	}
	if (why) {
		c->result = CHECK_SKIPPED;
		snprintf(c->got, sizeof(c->got), "%s%s", why == run->stopped ? "not run: " : "",
			 why);
	} else {
		run_guarded(c);
		ns = clock_ns() - start;
		clean_up(c);
		look_after(run);
	}
	report(run, id, ns);
}

/* ---- the whole ---- */

static void count_one(void *ctx, const struct check_case *k, bool packed)
{
	(void)k;
	(void)packed;
	++*(unsigned int *)ctx;
}

/* A pattern that fits nothing is a slip of the pen: the run would not test what it should. */
static int check_patterns(const char *option, const char *const *patterns, struct err *e)
{
	const struct check_opts all = { .rings = SPLIT | PACKED };
	const char *one[2] = { NULL, NULL };
	struct check_opts o = all;

	for (; patterns && *patterns; patterns++) {
		unsigned int n = 0;

		one[0] = *patterns;
		o.only = one;
		for_each(&o, count_one, &n);
		if (n == 0)
			return err_set(e, -EINVAL, "no-case", "no case has such an id: %s '%s'",
				       option, *patterns);
	}
	return 0;
}

/* How many cases are to be run: at least one. */
static int choose(const struct check_opts *o, unsigned int *n, struct err *e)
{
	int ret = check_patterns("--only", o->only, e);

	if (ret == 0)
		ret = check_patterns("--skip", o->skip, e);
	if (ret < 0)
		return ret;
	for_each(o, count_one, n);
	if (*n)
		return 0;
	if (o->skip && *o->skip)
		return err_set(e, -EINVAL, "no-case", "--skip leaves no case to run");
	return err_set(e, -EINVAL, "no-case", "no case is left to run: --rings excludes them all");
}

/* Who it is, and whether it outlives its connections. */
static int meet(struct check *c, struct err *e)
{
	struct check_server *s = &c->server;
	int fd = check_server_connect(s, 0, e), ret;

	if (fd == -ECONNREFUSED && s->restart)
		ret = check_server_start(s, e);
	else
		ret = fd;
	if (ret < 0)
		return ret;
	if (fd >= 0)
		s->spare = fd;
	ret = check_facts_find(c, e);
	if (ret < 0)
		return ret;
	switch (check_server_state(s, e)) {
	case CHECK_PASSED:
		return 0;
	case CHECK_HUNG:
		return err_set(e, -ETIMEDOUT, "backend-hung",
			       "the back-end at '%s' answers its first connection and not the "
			       "second",
			       s->path);
	default:
		break;
	}
	if (!s->restart) {
		err_set(e, -ECONNREFUSED, "backend-died",
			"the back-end at '%s' ended with its first connection", s->path);
		return err_hint(e, "Cases need many: --restart CMD starts it again for each");
	}
	s->one_shot = true;
	return check_server_start(s, e);
}

static int finish(struct run *run, struct err *e)
{
	if (run->r->skipped)
		for (unsigned int i = 0; i < run->nreasons; i++)
			run->r->skipped(run->f, run->reasons[i].text, run->reasons[i].n);
	run->r->end(run->f, run->by_result, run->shoulds_failed);
	fflush(run->f);
	if (run->r->head) {
		run->r->head(run->out, run->c.o->socket, &run->c.facts, run->number, run->by_result,
			     run->ns);
		fwrite(run->body, 1, run->body_size, run->out);
		fflush(run->out);
	}
	if (run->interrupted)
		return err_set(e, -EINTR, "interrupted", "%s; %u cases were not run", run->stopped,
			       run->not_run);
	if (!run->stopped[0])
		return run->failed;
	err_set(e, -ECONNREFUSED, "backend-died", "%s; %u cases were not run", run->stopped,
		run->not_run);
	if (!run->c.o->restart)
		err_hint(e, "--restart CMD starts it again, so that the rest runs");
	return -ECONNREFUSED;
}

int check_run(const struct check_opts *o, const struct check_reporter *r, FILE *f, struct err *e)
{
	struct run *run;
	unsigned int n = 0;
	int ret;

	if (choose(o, &n, e) < 0)
		return e->code;
	run = calloc(1, sizeof(*run));
	if (!run)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot begin");
	run->c.o = o;
	run->r = r;
	run->out = f;
	run->f = r->head ? open_memstream(&run->body, &run->body_size) : f;
	if (!run->f) {
		free(run);
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot begin");
	}
	check_server_init(&run->c.server, o);
	ret = meet(&run->c, e);
	if (ret == 0) {
		if (o->begun)
			o->begun(o->ctx);
		if (r->begin)
			r->begin(f, o->socket, &run->c.facts, n);
		for_each(o, run_one, run);
		ret = finish(run, e);
	}
	check_server_fini(&run->c.server);
	if (run->f != f) {
		fclose(run->f);
		free(run->body);
	}
	free(run);
	return ret;
}

/* ---- the list ---- */

struct list {
	const struct check_case **k;
	unsigned int n;
};

static void list_add(void *ctx, const struct check_case *k, bool packed)
{
	struct list *l = ctx;

	(void)packed;
	if (l->k && (!l->n || l->k[l->n - 1] != k))
		l->k[l->n++] = k;
}

static int by_id(const void *a, const void *b)
{
	return strcmp((*(const struct check_case *const *)a)->id,
		      (*(const struct check_case *const *)b)->id);
}

int check_list(const struct check_opts *o, FILE *f, struct err *e)
{
	struct list l = { 0 };
	unsigned int n = 0;

	if (choose(o, &n, e) < 0)
		return e->code;
	l.k = calloc(n, sizeof(const struct check_case *));
	if (!l.k)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot list the cases");
	for_each(o, list_add, &l);
	qsort(l.k, l.n, sizeof(const struct check_case *), by_id);
	for (unsigned int i = 0; i < l.n; i++)
		fprintf(f, "%s\t%s\t%s\t%s\n", l.k[i]->id,
			l.k[i]->level == CHECK_MUST ? "must" : "should", l.k[i]->section,
			l.k[i]->what);
	free(l.k);
	return 0;
}
