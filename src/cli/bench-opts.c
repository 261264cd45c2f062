/* SPDX-License-Identifier: MIT */
/* The options of vuctl bench. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/bench.h"
#include "util/compiler.h"
#include "util/size.h"

#define SECS_MAX   86400.0
#define ROUNDS_MAX 1000

enum {
	O_RW = 1,
	O_BS,
	O_QD,
	O_QUEUES,
	O_SECS,
	O_WARMUP,
	O_OFFSET,
	O_SIZE,
	O_SEED,
	O_WRITE,
	O_VERIFY,
	O_DIRECT,
	O_NO_LOCK,
	O_PACKED,
	O_NO_EVENT_IDX,
	O_NO_INDIRECT,
	O_QUEUE_SIZE,
	O_POLL,
	O_IRQ,
	O_CALL_AFTER,
	O_BATCH,
	O_CPUS,
	O_COMPARE,
	O_ROUNDS,
	O_QUIET,
	O_TIMEOUT,
};

const struct opt_desc bench_opts_table[] = {
	{ O_RW, "rw", 0, "PATTERN",
	  "randread, randwrite, randrw, read or write (default: randread)" },
	{ O_BS, "bs", 0, "SIZE", "bytes of each (default: 4K)" },
	{ O_QD, "qd", 0, "N", "requests in flight on each queue (default: 32)" },
	{ O_QUEUES, "queues", 0, "N", "queues, each with a thread of its own (default: 1)" },
	{ O_SECS, "secs", 0, "SECONDS", "how long to measure (default: 5)" },
	{ O_WARMUP, "warmup", 0, "SECONDS", "how long to run before that (default: 0.5)" },
	{ O_TIMEOUT, "timeout", 0, "SECONDS", "no answer for so long ends it (default: 10)" },
	{ O_OFFSET, "offset", 0, "SIZE", "begin of the part to use (default: 0)" },
	{ O_SIZE, "size", 0, "SIZE", "its size (default: to the end)" },
	{ O_SEED, "seed", 0, "N", "for other random offsets (default: 0)" },
	{ O_WRITE, "write", 0, NULL, "what is in TARGET may be destroyed" },
	{ O_VERIFY, "verify", 0, NULL, "write what can be checked, read and check it" },
	{ O_DIRECT, "direct", 0, NULL, "bypass the page cache (file, block device)" },
	{ O_NO_LOCK, "no-lock", 0, NULL, "do not lock a file that is written" },
	{ O_PACKED, "packed", 0, NULL, "use packed rings" },
	{ O_NO_EVENT_IDX, "no-event-idx", 0, NULL, "do not use the event index" },
	{ O_NO_INDIRECT, "no-indirect", 0, NULL, "do not use indirect descriptors" },
	{ O_QUEUE_SIZE, "queue-size", 0, "N", "entries of each ring (default: 128, or more)" },
	{ O_POLL, "poll", 0, NULL, "look for completions all the time" },
	{ O_IRQ, "irq", 0, NULL, "sleep until there are some (the default)" },
	{ O_CALL_AFTER, "call-after", 0, "N",
	  "sleep until N are there (default: half of those in flight)" },
	{ O_BATCH, "batch", 0, "N", "show the device so many at a time (default: 8)" },
	{ O_CPUS, "cpus", 0, "LIST", "processors for the threads, as 0,2-5" },
	{ O_COMPARE, "compare", 0, "TARGET", "measure this one in turn, too" },
	{ O_ROUNDS, "rounds", 0, "N", "how often each (default: 5)" },
	{ O_QUIET, "quiet", 'q', NULL, "no progress line" },
	{ CLI_OPT_JSON, "json", 0, NULL, "the result as one JSON object, errors as well" },
	{ CLI_OPT_HELP, "help", 'h', NULL, "show this help" },
	{ 0 },
};

static int set_secs(const char *what, const char *value, double min, uint64_t *ns, struct err *e)
{
	char *end;
	double secs;

	/* Neither "inf" nor "0x1p3", which strtod() knows. */
	if (!*value || strspn(value, "0123456789.") != strlen(value))
		goto bad;
	secs = strtod(value, &end);
	if (*end || secs < min || secs > SECS_MAX)
		goto bad;
	*ns = (uint64_t)(secs * 1e9);
	return 0;
bad:
	err_set(e, -EINVAL, "bad-value", "%s '%s' is no time in seconds", what, value);
	return err_hint(e, "Like this: %s 2.5", what);
}

static int set_size(struct bench_cmd *c, int id, const char *value, struct err *e)
{
	static const char *const names[] = { "--bs", "--offset", "--size" };
	const char *name = names[id == O_BS ? 0 : id == O_OFFSET ? 1 : 2];
	uint64_t n;
	int ret = size_parse(value, &n, e);

	if (ret < 0)
		return err_prefix(e, "%s", name);
	if (id == O_OFFSET) {
		c->o.offset = n;
		return 0;
	}
	if (n == 0 || n % 512 || (id == O_BS && n > BENCH_BS_MAX))
		return err_set(e, -EINVAL, "bad-value", "%s %s is no multiple of 512 bytes%s", name,
			       value, id == O_BS ? " up to 64M" : "");
	if (id == O_BS)
		c->o.bs = (uint32_t)n;
	else
		c->o.size = n;
	return 0;
}

static int set_number(struct bench_cmd *c, int id, const char *value, struct err *e)
{
	unsigned long n = 0;
	int ret;

	switch (id) {
	case O_QD:
		ret = opts_number("--qd", value, 1, BENCH_QD_MAX, &n, e);
		c->o.qd = (uint32_t)n;
		return ret;
	case O_QUEUES:
		ret = opts_number("--queues", value, 1, BENCH_QUEUES_MAX, &n, e);
		c->o.queues = (unsigned int)n;
		return ret;
	case O_QUEUE_SIZE:
		ret = opts_number("--queue-size", value, 1, 32768, &n, e);
		c->o.queue_size = (uint32_t)n;
		return ret;
	case O_BATCH:
		ret = opts_number("--batch", value, 1, BENCH_QD_MAX, &n, e);
		c->o.batch = (uint32_t)n;
		return ret;
	case O_CALL_AFTER:
		ret = opts_number("--call-after", value, 1, BENCH_QD_MAX, &n, e);
		c->o.call_after = (uint32_t)n;
		return ret;
	case O_SEED:
		ret = opts_number("--seed", value, 0, UINT32_MAX, &n, e);
		c->o.seed = n;
		return ret;
	default:
		ret = opts_number("--rounds", value, 1, ROUNDS_MAX, &n, e);
		c->rounds = (unsigned int)n;
		return ret;
	}
}

static int set_rw(struct bench_cmd *c, const char *value, struct err *e)
{
	int n = opts_choice("--rw", value, BENCH_RW_WORDS, e);

	if (n < 0)
		return n;
	c->o.rw = (enum bench_rw)n; /* in the order of the words */
	return 0;
}

static void set_flag(struct bench_cmd *c, int id)
{
	switch (id) {
	case O_WRITE:
		c->o.write = true;
		break;
	case O_VERIFY:
		c->o.verify = true;
		break;
	case O_DIRECT:
		c->o.direct = true;
		break;
	case O_NO_LOCK:
		c->o.no_lock = true;
		break;
	case O_PACKED:
		c->o.packed = true;
		break;
	case O_NO_EVENT_IDX:
		c->o.no_event_idx = true;
		break;
	case O_NO_INDIRECT:
		c->o.no_indirect = true;
		break;
	case O_POLL:
	case O_IRQ:
		c->o.poll = id == O_POLL;
		break;
	case O_QUIET:
		c->quiet = true;
		break;
	case CLI_OPT_JSON:
		c->json = true;
		break;
	default:
		c->help = true;
	}
}

static int set(void *ctx, int id, const char *value, struct err *e)
{
	struct bench_cmd *c = ctx;

	c->given |= id < 64 ? UINT64_C(1) << id : 0;
	switch (id) {
	case O_RW:
		return set_rw(c, value, e);
	case O_BS:
	case O_OFFSET:
	case O_SIZE:
		return set_size(c, id, value, e);
	case O_SECS:
		return set_secs("--secs", value, 0.01, &c->o.run_ns, e);
	case O_TIMEOUT:
		return set_secs("--timeout", value, 0.1, &c->o.timeout_ns, e);
	case O_WARMUP:
		return set_secs("--warmup", value, 0, &c->o.warmup_ns, e);
	case O_QD:
	case O_QUEUES:
	case O_QUEUE_SIZE:
	case O_BATCH:
	case O_CALL_AFTER:
	case O_SEED:
	case O_ROUNDS:
		return set_number(c, id, value, e);
	case O_CPUS:
		return opts_cpus("--cpus", value, c->cpus, BENCH_CPUS_MAX, &c->o.ncpus, e);
	case O_COMPARE:
		if (!strncmp(value, "--", 2))
			return err_set(e, -EINVAL, "bad-value", "--compare needs a target");
		c->target[1] = value;
		return 0;
	default:
		set_flag(c, id);
		return 0;
	}
}

static bool given(const struct bench_cmd *c, int id)
{
	return c->given >> id & 1;
}

/* The kernel knows which there are, and which of them we may use. */
static int check_cpus(const struct bench_cmd *c, struct err *e)
{
	cpu_set_t before, one;
	int bad = -1;

	if (!c->o.ncpus || sched_getaffinity(0, sizeof(before), &before) < 0)
		return 0;
	for (unsigned int i = 0; i < c->o.ncpus && bad < 0; i++) {
		CPU_ZERO(&one);
		CPU_SET(c->o.cpus[i], &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0)
			bad = c->o.cpus[i];
	}
	sched_setaffinity(0, sizeof(before), &before);
	if (bad < 0)
		return 0;
	return err_set(e, -EINVAL, "bad-value", "--cpus: there is no processor %d for us", bad);
}

static const char *first_given(const struct bench_cmd *c, const int *ids, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		for (const struct opt_desc *d = bench_opts_table; d->name; d++)
			if (d->id == ids[i] && given(c, ids[i]))
				return d->name;
	return NULL;
}

int bench_fits(const struct bench_cmd *c, struct err *e)
{
	static const int of_socket[] = { O_PACKED,     O_NO_EVENT_IDX, O_NO_INDIRECT,
					 O_QUEUE_SIZE, O_CALL_AFTER,   O_BATCH };
	static const int of_file[] = { O_DIRECT, O_NO_LOCK };
	bool sockets = false, others = false;
	const char *name;

	for (unsigned int i = 0; i < 2 && c->target[i]; i++) {
		struct stat st;
		bool there = stat(c->target[i], &st) == 0;

		/* What is not there may have been meant to be either. */
		if (!there && !strchr(c->target[i], ':'))
			return 0;
		sockets |= there && S_ISSOCK(st.st_mode);
		others |= !there || !S_ISSOCK(st.st_mode);
	}
	name = sockets ? NULL : first_given(c, of_socket, ARRAY_SIZE(of_socket));
	if (name)
		return err_set(e, -EINVAL, "options-clash",
			       "--%s is for the socket of a back-end: %s is none", name,
			       c->target[0]);
	name = others ? NULL : first_given(c, of_file, ARRAY_SIZE(of_file));
	if (name)
		return err_set(e, -EINVAL, "options-clash",
			       "--%s is for a file or block device: %s is a socket", name,
			       c->target[0]);
	return 0;
}

static int check(const struct bench_cmd *c, struct err *e)
{
	if (given(c, O_POLL) && given(c, O_IRQ))
		return err_set(e, -EINVAL, "options-clash", "--poll and --irq exclude each other");
	if (c->o.verify && !bench_writes(c->o.rw)) {
		err_set(e, -EINVAL, "options-clash",
			"--verify checks what was written: %s does not "
			"write",
			bench_rw_name(c->o.rw));
		return err_hint(e, "Use it with --rw randwrite, randrw or write");
	}
	if (c->rounds && !c->target[1])
		return err_set(e, -EINVAL, "options-clash", "--rounds belongs to --compare");
	if (c->o.poll && c->o.call_after)
		return err_set(e, -EINVAL, "options-clash",
			       "--call-after has no meaning with --poll, which waits for nothing");
	return check_cpus(c, e);
}

int bench_parse(struct bench_cmd *c, int argc, char **argv, struct err *e)
{
	int i;

	memset(c, 0, sizeof(*c));
	c->o = (struct bench_opts){
		.rw = BENCH_RANDREAD,
		.bs = 4096,
		.qd = 32,
		.queues = 1,
		.run_ns = UINT64_C(5000000000),
		.warmup_ns = UINT64_C(500000000),
		.cpus = c->cpus,
		.stop_fd = -1,
	};
	i = opts_parse(bench_opts_table, argc, argv, set, c, e);
	if (i < 0)
		return i;
	if (c->help)
		return 0;
	if (i == argc) {
		err_set(e, -EINVAL, "no-target", "what to measure is missing");
		return err_hint(e, "Try: vuctl bench /tmp/disk.sock");
	}
	if (i + 1 < argc) {
		err_set(e, -EINVAL, "too-many-words", "'%s' is one word too many after '%s'",
			argv[i + 1], argv[i]);
		return err_hint(e, "Two targets are compared with --compare");
	}
	c->target[0] = argv[i];
	if (check(c, e) < 0)
		return -EINVAL;
	c->rounds = c->rounds ? c->rounds : 5;
	return 0;
}
