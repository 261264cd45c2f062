/* SPDX-License-Identifier: MIT */
/* The inside of vuctl serve, shared by its files. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include <grp.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "core/vdev.h"
#include "devices/blk/blk.h"
#include "storage/stor.h"
#include "transport/transport.h"
#include "util/loop.h"
#include "util/worker.h"

#define SERVE_CPUS_MAX    1024
#define SERVE_FILTERS_MAX 8
#define SERVE_QUEUES      16
#define SERVE_QUEUE_SIZE  256
#define SERVE_COALESCE_US 1000
#define SERVE_LINGER_US   32 /* a sleep and the wake-up after it, in a virtual machine */

/* What was asked for. Strings are those of argv. */
struct serve_opts {
	const char *source;
	bool host;
	const char *socket; /* NULL: none; "-": a private one */
	int fd;             /* -1: none */
	char name[64];      /* "": from the source */
	bool read_only;
	bool direct;
	bool no_lock;
	const char *serial; /* NULL: from the name */
	uint32_t block_size;
	unsigned int queues;
	uint32_t queue_size;
	enum worker_mode mode;
	uint32_t coalesce_us, linger_us;
	unsigned int workers; /* 0: as many as make sense */
	int cpus[SERVE_CPUS_MAX];
	unsigned int ncpus;
	bool no_packed;
	bool writethrough;
	const char *aio;
	mode_t socket_mode; /* 0: default */
	gid_t socket_group; /* -1: leave */
	const char *group_name;
	bool once;
	const char *run;
	const char *filters[SERVE_FILTERS_MAX];
	unsigned int nfilters;
	bool stats;
	bool json;
	bool quiet;
	unsigned int verbose;
	bool help;
};

enum serve_state {
	SERVE_STARTING,
	SERVE_READY,    /* the device can be used */
	SERVE_STOPPING, /* the transport was asked to stop */
	SERVE_STOPPED,  /* nothing is served any more */
};

/**
 * struct serve - one disk being served; main thread, which runs the loop
 * @asked_ns:	when a stop was refused because the disk was in use, 0: it was not
 * @how:	of the stop under way
 * @insist:	SIGINT came again soon after that: leave, when asking does not help
 * @term:	SIGTERM came: the same
 * @exit_code:	of the program, unless @run has one
 * @child:	the command of --run, 0: none running
 */
struct serve {
	struct serve_opts o;
	struct stor *stor;
	struct loop *loop;
	struct worker **workers;
	unsigned int nworkers;
	struct blk *blk;
	struct vu_dev *dev;
	const struct transport_ops *tops;
	struct transport *transport;
	struct transport_info info;

	enum serve_state state;
	enum transport_stop how;
	uint64_t asked_ns;
	bool insist;
	bool term;
	bool stuck; /* storage did not answer: nothing may be freed */
	int exit_code;

	int signal_fd;
	struct loop_fd signal_src;
	struct loop_timer retry; /* a disk just used by --run is not free at once */
	unsigned int retries;

	pid_t child;
	bool child_group; /* it leads a process group of its own */
	bool ran;         /* @run_status is valid */
	int run_status;

	char private_dir[108]; /* of --socket -, "": none */
	char path[108];        /* where to listen */
};

/* serve-opts.c */
extern const struct opt_desc serve_opts_table[];
int serve_parse(struct serve_opts *o, int argc, char **argv, struct err *e);

/* serve-stop.c: signals, and the way to the end */
int serve_signals_init(struct serve *s, struct err *e);
void serve_signals_free(struct serve *s);
void serve_stop(struct serve *s, enum transport_stop how);
void serve_stop_soon(struct serve *s);

/* serve-run.c: the command of --run */
int serve_run_start(struct serve *s, struct err *e);
void serve_run_reap(struct serve *s);

/* serve-socket.c: a private folder for --socket - */
int serve_socket_path(struct serve *s, struct err *e);
void serve_socket_clean(struct serve *s);

/* serve-messages.c */
void serve_say_source(const struct serve *s);
void serve_say_ready(const struct serve *s);
void serve_say_connected(const struct transport_peer *peer);
void serve_say_stats(const struct serve *s);

/* serve-qemu.c: what to give to QEMU so that it uses the socket @path. Main thread. */
void serve_qemu_args(const char *path, char *buf, size_t size, const char *sep);

#endif
