/* SPDX-License-Identifier: MIT */
/*
 * vuctl serve: a disk in the foreground. Puts the pieces together, storage,
 * device, workers and transport, and takes them apart again.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/serve.h"
#include "util/compiler.h"
#include "wire/virtio-blk.h"

/* What is still in the storage when all is stopped is given this long. */
#define LINGER_NS UINT64_C(5000000000)

/* ---- what the transport tells ---- */

static void on_ready(void *ctx, const struct transport_info *info)
{
	struct serve *s = ctx;
	struct err e = { .code = 0 };

	s->info = *info;
	if (s->state == SERVE_STARTING)
		s->state = SERVE_READY;
	if (!s->o.run && info->path[0]) {
		puts(info->path);
		fflush(stdout);
	}
	serve_say_ready(s);
	if (s->o.run && serve_run_start(s, &e) < 0) {
		cli_error(&e);
		s->exit_code = EXIT_FAILED;
		serve_stop_soon(s);
	}
}

static void on_connected(void *ctx, const struct transport_peer *peer)
{
	struct serve *s = ctx;

	if (!s->o.host)
		serve_say_connected(peer);
}

static void on_disconnected(void *ctx, const char *why)
{
	struct serve *s = ctx;
	bool last = s->o.once;

	if (s->o.host)
		return;
	cli_say("disconnected: %s%s", why,
		last || s->state != SERVE_READY ? "" : "; listening again");
	if (last)
		serve_stop_soon(s);
}

static void on_failed(void *ctx, const struct err *e)
{
	struct serve *s = ctx;

	cli_error(e);
	s->exit_code = cli_exit_code(e, s->o.host ? EXIT_HOST_CANNOT : EXIT_FAILED);
	s->state = SERVE_STOPPED;
	loop_stop(s->loop);
}

static const struct transport_events events = {
	.ready = on_ready,
	.connected = on_connected,
	.disconnected = on_disconnected,
	.failed = on_failed,
};

/* ---- the pieces ---- */

static int open_source(struct serve *s, struct err *e)
{
	struct stor_open_args a = {
		.read_only = s->o.read_only,
		.direct = s->o.direct,
		.no_lock = s->o.no_lock,
		.block_size = s->o.block_size,
		.engine = s->o.aio,
	};

	s->stor = stor_open(s->o.source, &a, e);
	if (!s->stor)
		return cli_exit_code(e, EXIT_BAD_SOURCE);
	for (unsigned int i = 0; i < s->o.nfilters; i++) {
		struct stor *f = stor_filter(s->stor, s->o.filters[i], e);

		if (!f)
			return EXIT_USAGE;
		s->stor = f;
	}
	return EXIT_OK;
}

static unsigned int usable_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned int)MAX(CPU_COUNT(&set), 1);
}

/* How many workers, and how they wait. */
static unsigned int plan_workers(struct serve *s)
{
	unsigned int cpus = s->o.ncpus ? s->o.ncpus : usable_cpus();
	unsigned int n = s->o.workers ? s->o.workers : MIN(s->o.queues, cpus);

	n = MIN(n, s->o.queues);
	if (s->o.mode == WORKER_ADAPTIVE && !s->o.ncpus && n >= cpus) {
		/* Spinning would take the processor from those we spin for. */
		cli_say("%u workers on %u processors: --mode event instead of adaptive", n, cpus);
		s->o.mode = WORKER_EVENT;
	}
	return n;
}

static int start_workers(struct serve *s, struct err *e)
{
	unsigned int n = plan_workers(s);

	s->workers = calloc(n, sizeof(*s->workers));
	if (!s->workers)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot start data threads");
	for (unsigned int i = 0; i < n; i++) {
		struct worker_cfg cfg = {
			.mode = s->o.mode,
			.cpu = s->o.ncpus ? s->o.cpus[i % s->o.ncpus] : -1,
			.no_uring = !strcmp(s->o.aio, "threads"),
			.linger_ns = s->o.linger_us * 1000,
			.batch_ns = s->o.coalesce_us * 1000,
		};

		snprintf(cfg.name, sizeof(cfg.name), "vuctl-data%hu", (unsigned short)i);
		s->workers[i] = worker_new(&cfg);
		if (!s->workers[i]) {
			int err = -errno;

			err_sys(e, err, "worker-start", "cannot start a data thread");
			if (cfg.cpu >= 0)
				err_hint(e,
					 "Is there a processor %d for us? See: nproc, taskset -p $$",
					 cfg.cpu);
			return err;
		}
		s->nworkers++;
	}
	return 0;
}

static int make_device(struct serve *s, struct err *e)
{
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	struct blk_args ba = {
		.stor = s->stor,
		.loop = s->loop,
		.serial = s->o.serial,
		.nqueues = s->o.queues,
		.max_queue_size = s->o.queue_size,
		.writethrough = s->o.writethrough,
	};
	struct vdev_args va = {
		.name = s->o.name,
		.model = &blk_model,
		.nqueues = s->o.queues,
		.max_size = s->o.queue_size,
		.workers = s->workers,
		.nworkers = s->nworkers,
		.loop = s->loop,
		.packed = !s->o.no_packed,
	};

	if (!ba.serial) {
		snprintf(serial, sizeof(serial), "%.20s", s->o.name);
		ba.serial = serial;
	}
	s->blk = blk_new(&ba, e);
	if (!s->blk)
		return e->code;
	va.priv = s->blk;
	s->dev = vdev_new(&va, e);
	if (!s->dev)
		return e->code;
	blk_bind(s->blk, s->dev);
	return 0;
}

/* A connection that was given to us does not come back. */
static bool is_connection(int fd)
{
	int listening = 1;
	socklen_t len = sizeof(listening);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && !listening;
}

static int start_transport(struct serve *s, struct err *e)
{
	const char *kind = s->o.host ? "vduse" : "vhost-user";
	struct transport_args a = {
		.dev = s->dev,
		.ev = &events,
		.ctx = s,
		.name = s->o.name,
		.fd = s->o.fd,
		.mode = s->o.socket_mode ? s->o.socket_mode :
			s->o.group_name  ? 0660 :
					   0600,
		.group = s->o.socket_group,
		.once = s->o.once,
	};
	int ret;

	if (s->o.fd >= 0 && is_connection(s->o.fd))
		s->o.once = true;
	s->tops = transport_find(kind);
	if (!s->tops) {
		err_set(e, -EOPNOTSUPP, "not-built", "this vuctl was built without %s", kind);
		return err_hint(e, "Build it again with libnl and libudev there: ./configure");
	}
	if (s->o.socket) {
		ret = serve_socket_path(s, e);
		if (ret < 0)
			return ret;
		a.path = s->path[0] ? s->path : s->o.socket;
	}
	return s->tops->start(&a, &s->transport, e);
}

/* ---- taking apart ---- */

/* Requests that were given up may still come back; they must find their memory. */
static void linger(struct serve *s)
{
	uint64_t end = clock_ns() + LINGER_NS;

	while (blk_busy(s->blk) && clock_ns() < end)
		loop_turn(s->loop, 20);
	s->stuck = blk_busy(s->blk);
}

static void take_apart(struct serve *s)
{
	if (s->transport)
		s->tops->free(s->transport);
	serve_socket_clean(s);
	if (s->dev && s->o.stats)
		serve_say_stats(s);
	if (s->blk)
		linger(s);
	if (s->stuck) {
		struct err e;

		err_set(&e, -ETIMEDOUT, "storage-stuck",
			"%s did not finish all requests; what they were to write may be lost",
			s->o.source);
		cli_error(&e);
		if (s->exit_code == EXIT_OK)
			s->exit_code = EXIT_FAILED;
		return; /* the end of the process frees the rest */
	}
	vdev_free(s->dev);
	blk_free(s->blk);
	for (unsigned int i = 0; i < s->nworkers; i++)
		worker_free(s->workers[i]);
	free(s->workers);
	if (s->loop) {
		serve_signals_free(s);
		loop_free(s->loop);
	}
	stor_close(s->stor);
}

/* ---- the command ---- */

static int begin(struct serve *s, struct err *e)
{
	int ret = open_source(s, e);

	if (ret != EXIT_OK)
		return ret;
	serve_say_source(s);
	s->loop = loop_new();
	if (!s->loop) {
		err_sys(e, -errno, "event-loop", "cannot make an event loop");
		return EXIT_FAILED;
	}
	if (serve_signals_init(s, e) < 0 || start_workers(s, e) < 0 || make_device(s, e) < 0)
		return EXIT_FAILED;
	if (start_transport(s, e) < 0)
		return cli_exit_code(e, s->o.host ? EXIT_HOST_CANNOT : EXIT_FAILED);
	return EXIT_OK;
}

static void set_style(const struct serve_opts *o)
{
	struct cli_style style = { .json = o->json, .quiet = o->quiet };
	enum log_level level = LOG_LVL_NOTICE;

	if (o->quiet)
		level = LOG_LVL_ERR;
	else if (o->verbose)
		level = o->verbose > 1 ? LOG_LVL_DEBUG : LOG_LVL_INFO;
	cli_set_style(&style);
	log_set_level(level);
	log_set_sink(cli_log, NULL);
}

/* Returns the exit code. */
static int serve(struct serve *s)
{
	struct err e = { .code = 0 };
	int ret;

	s->exit_code = begin(s, &e);
	if (s->exit_code != EXIT_OK) {
		cli_error(&e);
		s->o.stats = false;
	} else {
		ret = loop_run(s->loop);
		if (ret < 0) {
			err_sys(&e, ret, "event-loop", "the event loop failed");
			cli_error(&e);
			s->exit_code = EXIT_FAILED;
		}
	}
	take_apart(s);
	return s->ran ? s->run_status : s->exit_code;
}

static int serve_run(int argc, char **argv)
{
	struct serve *s = calloc(1, sizeof(*s));
	struct err e = { .code = 0 };
	int ret;

	if (!s)
		return EXIT_FAILED;
	s->signal_fd = -1;
	if (serve_parse(&s->o, argc, argv, &e) < 0) {
		ret = cli_usage("serve", &e);
	} else if (s->o.help) {
		cli_help(stdout, &serve_cmd);
		ret = cli_stdout_done();
	} else {
		set_style(&s->o);
		ret = serve(s);
		if (s->stuck)
			return ret; /* somebody still looks at it */
	}
	free(s);
	return ret;
}

static void more_help(FILE *f)
{
	fputs("\nSOURCE:\n", f);
	for (const struct stor_ops *const *p = stor_backends; *p; p++)
		fprintf(f, "  %s\n", (*p)->help);
	fputs("\nSPEC of --filter:\n", f);
	for (const struct stor_ops *const *p = stor_filters; *p; p++)
		fprintf(f, "  %s\n", (*p)->help);
	fputs("\nThe path of the socket or of the block device goes to standard output.\n"
	      "COMMAND has it in $socket or $dev, and $name and $qemu_args.\n\n"
	      "  vuctl serve disk.img --socket /tmp/disk.sock\n"
	      "  sudo vuctl serve disk.img --host\n"
	      "  sudo vuctl serve mem:1G --host --run 'mkfs.ext4 -q $dev'\n",
	      f);
}

const struct cli_cmd serve_cmd = {
	.name = "serve",
	.synopsis = "SOURCE --host [OPTION...]\n"
		    "SOURCE --socket PATH [OPTION...]\n"
		    "SOURCE --fd N [OPTION...]",
	.help = "serve one disk in the foreground",
	.more = more_help,
	.opts = serve_opts_table,
	.run = serve_run,
};
