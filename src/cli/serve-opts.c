/* SPDX-License-Identifier: MIT */
/* vuctl serve: its options. */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "cli/serve.h"
#include "util/compiler.h"
#include "util/size.h"
#include "wire/virtio-blk.h"
#include "wire/vhost-user.h"

enum {
	O_HOST = 1,
	O_SOCKET,
	O_FD,
	O_NAME,
	O_READ_ONLY,
	O_SERIAL,
	O_BLOCK_SIZE,
	O_DIRECT,
	O_NO_LOCK,
	O_CACHE,
	O_AIO,
	O_QUEUES,
	O_QUEUE_SIZE,
	O_PACKED,
	O_NO_PACKED,
	O_MODE,
	O_COALESCE,
	O_LINGER,
	O_WORKERS,
	O_CPUS,
	O_SOCKET_MODE,
	O_SOCKET_GROUP,
	O_ONCE,
	O_RUN,
	O_FILTER,
	O_STATS,
	O_QUIET,
	O_VERBOSE,
};

#define CACHE_WORDS "writeback|writethrough"
#define AIO_WORDS   "auto|io_uring|threads"
#define MODE_WORDS  "event|adaptive|busy"

const struct opt_desc serve_opts_table[] = {
	{ O_HOST, "host", 0, NULL, "on this host, as /dev/vdX (VDUSE; root)" },
	{ O_SOCKET, "socket", 0, "PATH",
	  "to a virtual machine, at PATH; -: a private one for --run" },
	{ O_FD, "fd", 0, "N", "the same, at an open socket, listening or connected" },
	{ O_NAME, "name", 'n', "NAME", "what to call it (default: from SOURCE)" },
	{ O_READ_ONLY, "read-only", 'r', NULL, "never write to SOURCE" },
	{ O_SERIAL, "serial", 0, "TEXT", "serial number, at most 20 bytes (default: NAME)" },
	{ O_BLOCK_SIZE, "block-size", 0, "SIZE", "logical block to present, 512 to 4096" },
	{ O_DIRECT, "direct", 0, NULL, "bypass the page cache" },
	{ O_NO_LOCK, "no-lock", 0, NULL, "do not lock SOURCE: somebody else keeps writers apart" },
	{ O_CACHE, "cache", 0, CACHE_WORDS, "when writes are stable (default: writeback)" },
	{ O_AIO, "aio", 0, AIO_WORDS, "how files are read and written (default: auto)" },
	{ O_QUEUES, "queues", 0, "N", "virtqueues to offer (default: 16)" },
	{ O_QUEUE_SIZE, "queue-size", 0, "N", "largest size of each, 2 to 32768 (default: 256)" },
	{ O_PACKED, "packed", 0, NULL, "offer packed rings (not on a host)" },
	{ O_NO_PACKED, "no-packed", 0, NULL, "offer split rings only" },
	{ O_MODE, "mode", 0, MODE_WORDS, "how to wait for requests (default: event)" },
	{ O_COALESCE, "coalesce", 0, "US",
	  "microseconds a request may wait for more (default: 1000; 0: none)" },
	{ O_LINGER, "linger", 0, "US",
	  "event mode: microseconds to look before sleeping (default: 32)" },
	{ O_WORKERS, "workers", 0, "N", "data threads (default: one per queue or processor)" },
	{ O_CPUS, "cpus", 0, "LIST", "processors for them, as 0,2-5" },
	{ O_SOCKET_MODE, "socket-mode", 0, "MODE",
	  "permissions of the socket, octal (default: 0600)" },
	{ O_SOCKET_GROUP, "socket-group", 0, "GROUP",
	  "group of the socket, and 0660 as default mode" },
	{ O_ONCE, "once", 0, NULL, "exit when the first virtual machine is gone" },
	{ O_RUN, "run", 0, "COMMAND", "run COMMAND when it is ready, exit with its status" },
	{ O_FILTER, "filter", 0, "SPEC", "put a test filter on SOURCE: delay:..., error:..." },
	{ O_STATS, "stats", 0, NULL, "print counters at the end" },
	{ O_QUIET, "quiet", 'q', NULL, "errors only" },
	{ O_VERBOSE, "verbose", 'v', NULL, "say more; twice: every control message" },
	CLI_OPTS_COMMON
};

static int set_mode(struct serve_opts *o, const char *value, struct err *e)
{
	mode_t mode = 0;
	const char *p = value;

	for (; *p >= '0' && *p <= '7' && mode <= 0777; p++)
		mode = mode * 8 + (mode_t)(*p - '0');
	if (p == value || *p || mode > 0777 || !(mode & 0600))
		return err_set(e, -EINVAL, "bad-value",
			       "--socket-mode '%s' is not a mode that lets anybody connect, as 0660",
			       value);
	o->socket_mode = mode;
	return 0;
}

static int set_group(struct serve_opts *o, const char *value, struct err *e)
{
	struct group *g = getgrnam(value);
	unsigned long n;

	if (g)
		o->socket_group = g->gr_gid;
	else if (opts_number("--socket-group", value, 0, UINT32_MAX - 1, &n, NULL) == 0)
		o->socket_group = (gid_t)n;
	else
		return err_set(e, -EINVAL, "unknown-group", "there is no group '%s'", value);
	o->group_name = value;
	return 0;
}

static int set_name(struct serve_opts *o, const char *value, struct err *e)
{
	size_t n = strspn(value,
			  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	if (!n || value[n] || n >= sizeof(o->name) || value[0] == '.' || value[0] == '-') {
		err_set(e, -EINVAL, "bad-name", "'%s' cannot be the name of a disk", value);
		return err_hint(e,
				"Use letters, digits, '_', '.' and '-', %zu at most, "
				"beginning with a letter or digit",
				sizeof(o->name) - 1);
	}
	memcpy(o->name, value, n + 1);
	return 0;
}

static int set_block_size(struct serve_opts *o, const char *value, struct err *e)
{
	uint64_t n;

	if (size_parse(value, &n, NULL) < 0 || n < 512 || n > 4096 || (n & (n - 1))) {
		err_set(e, -EINVAL, "bad-value", "--block-size '%s' is no size of a block", value);
		return err_hint(e, "Use 512, 1024, 2048 or 4096");
	}
	o->block_size = (uint32_t)n;
	return 0;
}

static int set_filter(struct serve_opts *o, const char *value, struct err *e)
{
	if (o->nfilters == SERVE_FILTERS_MAX)
		return err_set(e, -EINVAL, "too-many-filters", "more than %d filters",
			       SERVE_FILTERS_MAX);
	o->filters[o->nfilters++] = value;
	return 0;
}

static int set_number(struct serve_opts *o, int id, const char *value, struct err *e)
{
	unsigned long n = 0;
	int ret;

	switch (id) {
	case O_FD:
		ret = opts_number("--fd", value, 0, 1 << 20, &n, e);
		o->fd = (int)n;
		return ret;
	case O_QUEUES:
		ret = opts_number("--queues", value, 1, VHOST_USER_MAX_VRINGS, &n, e);
		o->queues = (unsigned int)n;
		return ret;
	case O_QUEUE_SIZE:
		ret = opts_number("--queue-size", value, 2, VIRTQ_MAX_SIZE, &n, e);
		o->queue_size = (uint32_t)n;
		return ret;
	case O_COALESCE:
		ret = opts_number("--coalesce", value, 0, 10000, &n, e);
		o->coalesce_us = (uint32_t)n;
		return ret;
	case O_LINGER:
		ret = opts_number("--linger", value, 0, 10000, &n, e);
		o->linger_us = (uint32_t)n;
		return ret;
	default:
		ret = opts_number("--workers", value, 1, VHOST_USER_MAX_VRINGS, &n, e);
		o->workers = (unsigned int)n;
		return ret;
	}
}

static int set_word(struct serve_opts *o, int id, const char *value, struct err *e)
{
	static const char *const engines[] = { "auto", "uring", "threads" };
	int n;

	switch (id) {
	case O_CACHE:
		n = opts_choice("--cache", value, CACHE_WORDS, e);
		o->writethrough = n == 1;
		return MIN(n, 0);
	case O_AIO:
		n = opts_choice("--aio", value, AIO_WORDS, e);
		if (n >= 0)
			o->aio = engines[n];
		return MIN(n, 0);
	default:
		n = opts_choice("--mode", value, MODE_WORDS, e);
		if (n >= 0)
			o->mode = (enum worker_mode)n; /* in the order of the words */
		return MIN(n, 0);
	}
}

static int set_text(struct serve_opts *o, int id, const char *value, struct err *e)
{
	switch (id) {
	case O_SOCKET:
		o->socket = value;
		return 0;
	case O_SERIAL:
		if (strlen(value) > VIRTIO_BLK_ID_BYTES)
			return err_set(e, -EINVAL, "serial-too-long",
				       "the serial number '%s' is longer than %d bytes", value,
				       VIRTIO_BLK_ID_BYTES);
		o->serial = value;
		return 0;
	default:
		o->run = value;
		return 0;
	}
}

static void set_flag(struct serve_opts *o, int id)
{
	switch (id) {
	case O_HOST:
		o->host = true;
		break;
	case O_READ_ONLY:
		o->read_only = true;
		break;
	case O_DIRECT:
		o->direct = true;
		break;
	case O_NO_LOCK:
		o->no_lock = true;
		break;
	case O_PACKED:
	case O_NO_PACKED:
		o->no_packed = id == O_NO_PACKED;
		break;
	case O_ONCE:
		o->once = true;
		break;
	case O_STATS:
		o->stats = true;
		break;
	case O_QUIET:
		o->quiet = true;
		break;
	case O_VERBOSE:
		o->verbose++;
		break;
	case CLI_OPT_JSON:
		o->json = true;
		break;
	default:
		o->help = true;
	}
}

static int set(void *ctx, int id, const char *value, struct err *e)
{
	struct serve_opts *o = ctx;

	switch (id) {
	case O_NAME:
		return set_name(o, value, e);
	case O_BLOCK_SIZE:
		return set_block_size(o, value, e);
	case O_CPUS:
		return opts_cpus("--cpus", value, o->cpus, SERVE_CPUS_MAX, &o->ncpus, e);
	case O_SOCKET_MODE:
		return set_mode(o, value, e);
	case O_SOCKET_GROUP:
		return set_group(o, value, e);
	case O_FILTER:
		return set_filter(o, value, e);
	case O_FD:
	case O_QUEUES:
	case O_QUEUE_SIZE:
	case O_COALESCE:
	case O_LINGER:
	case O_WORKERS:
		return set_number(o, id, value, e);
	case O_CACHE:
	case O_AIO:
	case O_MODE:
		return set_word(o, id, value, e);
	case O_SOCKET:
	case O_SERIAL:
	case O_RUN:
		return set_text(o, id, value, e);
	default:
		set_flag(o, id);
		return 0;
	}
}

/* "disk" for /srv/disk.img, "mem" for mem:1G; always a name set_name() would take. */
static void default_name(struct serve_opts *o)
{
	const char *colon = strchr(o->source, ':'), *slash = strrchr(o->source, '/');
	const char *s = slash ? slash + 1 : o->source;
	size_t n = 0;

	if (!slash && colon && strncmp(o->source, "raw:", 4))
		n = (size_t)(colon - s); /* the kind of source says more than its size */
	else if (!slash && colon)
		s = colon + 1;
	if (!n)
		n = strcspn(s, ".") ? strcspn(s, ".") : strlen(s);
	n = MIN(n, sizeof(o->name) - 1);
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || (i && (c == '-' || c == '_'));

		o->name[i] = ok ? c : i ? '-' : 'd';
	}
	o->name[n] = '\0';
	if (!n)
		strcpy(o->name, "disk");
}

static int check(const struct serve_opts *o, struct err *e)
{
	int ways = o->host + (o->socket != NULL) + (o->fd >= 0);

	if (ways != 1) {
		err_set(e, -EINVAL, "where-to-serve", "of --host, --socket and --fd, %s",
			ways ? "only one can be given" : "one is needed");
		return err_hint(e,
				"For a virtual machine: --socket /tmp/%s.sock\n"
				"On this host (root):   --host",
				o->name);
	}
	if (o->host && (o->socket_mode || o->group_name || o->once))
		return err_set(
			e, -EINVAL, "options-clash",
			"--socket-mode, --socket-group and --once have no meaning with --host");
	if (o->fd >= 0 && (o->socket_mode || o->group_name))
		return err_set(e, -EINVAL, "options-clash",
			       "--socket-mode and --socket-group are for --socket");
	if (o->socket && !strcmp(o->socket, "-") && !o->run) {
		err_set(e, -EINVAL, "options-clash",
			"--socket - makes a private socket, which only --run can use");
		return err_hint(e, "Try: --socket /tmp/%s.sock", o->name);
	}
	if ((o->host || o->no_packed) && (o->queue_size & (o->queue_size - 1))) {
		err_set(e, -EINVAL, "bad-value",
			"--queue-size %u: split rings, %s, need a power of two",
			(unsigned int)o->queue_size,
			o->host ? "as on a host" : "as --no-packed has them");
		return err_hint(e, "Try: 128, 256, 512 or 1024");
	}
	if (o->fd >= 0 && o->run)
		return err_set(e, -EINVAL, "options-clash", "--run needs --host or --socket");
	return 0;
}

int serve_parse(struct serve_opts *o, int argc, char **argv, struct err *e)
{
	int i;

	memset(o, 0, sizeof(*o));
	o->fd = -1;
	o->queues = SERVE_QUEUES;
	o->coalesce_us = SERVE_COALESCE_US;
	o->linger_us = SERVE_LINGER_US;
	o->queue_size = SERVE_QUEUE_SIZE;
	o->aio = "auto";
	o->socket_group = (gid_t)-1;
	i = opts_parse(serve_opts_table, argc, argv, set, o, e);
	if (i < 0)
		return i;
	if (o->help)
		return 0;
	if (i == argc) {
		err_set(e, -EINVAL, "no-source", "what to serve is missing");
		return err_hint(e, "Try: vuctl serve disk.img --socket /tmp/disk.sock");
	}
	if (i + 1 < argc) {
		err_set(e, -EINVAL, "too-many-words", "'%s' is one word too many after '%s'",
			argv[i + 1], argv[i]);
		return err_hint(e, "One disk is served; a COMMAND for --run is one word: quote it");
	}
	o->source = argv[i];
	if (!o->name[0])
		default_name(o);
	return check(o, e);
}
