/* SPDX-License-Identifier: MIT */
/* vuctl serve: what it says about itself. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/serve.h"
#include "util/size.h"

void serve_say_source(const struct serve *s)
{
	const struct stor_caps *c = &s->stor->caps;
	char size[SIZE_TEXT_MAX];
	const struct stor *bottom = s->stor;
	const char *kind;

	while (bottom->lower)
		bottom = bottom->lower;
	kind = bottom->ops->scheme;
	cli_say("%s: %s, %s, %s%s", s->stor->source, strcmp(kind, "file") ? kind : "raw",
		size_format(size, c->size), c->read_only ? "read-only" : "writable",
		bottom == s->stor ? "" : ", filtered");
}

static void say_socket(const struct serve *s)
{
	char args[1024];

	cli_say("listening on %s (mode %04o%s%s)", s->info.path,
		(unsigned int)(s->o.socket_mode ? s->o.socket_mode :
			       s->o.group_name  ? 0660 :
						  0600),
		s->o.group_name ? ", group " : "", s->o.group_name ? s->o.group_name : "");
	/* For people only: asking QEMU for its version takes time. */
	if (s->o.quiet || s->o.run || s->o.json || !isatty(STDERR_FILENO))
		return;
	serve_qemu_args(s->info.path, args, sizeof(args), " \\\n       ");
	cli_say("QEMU:  %s", args);
}

void serve_say_ready(const struct serve *s)
{
	if (s->o.fd >= 0)
		cli_say("serving descriptor %d%s%s", s->o.fd, s->info.path[0] ? ", " : "",
			s->info.path);
	else if (s->o.socket)
		say_socket(s);
	else
		cli_say("%s ready%s%s%s, %u queue%s. %s", s->info.path,
			s->info.by_id[0] ? " (also " : "", s->info.by_id,
			s->info.by_id[0] ? ")" : "", s->o.queues, s->o.queues == 1 ? "" : "s",
			s->o.run ? "It is detached afterwards." : "Ctrl-C detaches it.");
}

void serve_say_connected(const struct transport_peer *p)
{
	char size[SIZE_TEXT_MAX], pid[32] = "";

	if (p->pid)
		snprintf(pid, sizeof(pid), " (pid %d)", (int)p->pid);
	cli_say("connected: %s%s, %u queue%s, %s shared memory, %s rings",
		p->comm[0] ? p->comm : "a virtual machine", pid, p->queues,
		p->queues == 1 ? "" : "s", size_format(size, p->memory),
		p->packed ? "packed" : "split");
}

/* ---- --stats ---- */

#define U(x) ((unsigned long long)(x))

static void stats_json(FILE *f, const struct serve *s)
{
	const char *sep = "";

	fputs("{\"stats\":{\"name\":", f);
	cli_json_string(f, s->o.name);
	fputs(",\"queues\":[", f);
	for (unsigned int i = 0; i < vdev_nqueues(s->dev); i++) {
		struct vq_stats st;

		vdev_queue_stats(s->dev, i, &st);
		fprintf(f,
			"%s{\"queue\":%u,\"popped\":%llu,\"requests\":%llu,\"bursts\":%llu,"
			"\"kicks\":%llu,\"notified\":%llu,\"notify_suppressed\":%llu}",
			sep, i, U(st.popped), U(st.requests), U(st.bursts), U(st.kicks),
			U(st.notified), U(st.notify_suppressed));
		sep = ",";
	}
	fputs("],\"workers\":[", f);
	sep = "";
	for (unsigned int i = 0; i < s->nworkers; i++) {
		const struct worker_stats *w = worker_stats(s->workers[i]);

		fprintf(f,
			"%s{\"worker\":%u,\"turns\":%llu,\"sleeps\":%llu,\"enters\":%llu,"
			"\"spin_hit\":%llu,\"spin_miss\":%llu}",
			sep, i, U(__atomic_load_n(&w->turns, __ATOMIC_RELAXED)),
			U(__atomic_load_n(&w->sleeps, __ATOMIC_RELAXED)),
			U(__atomic_load_n(&w->enters, __ATOMIC_RELAXED)),
			U(__atomic_load_n(&w->spin_hit, __ATOMIC_RELAXED)),
			U(__atomic_load_n(&w->spin_miss, __ATOMIC_RELAXED)));
		sep = ",";
	}
	fputs("]}}\n", f);
}

static void stats_table(FILE *f, const struct serve *s)
{
	fputs("QUEUE    REQUESTS      BURSTS       KICKS    NOTIFIED  SUPPRESSED\n", f);
	for (unsigned int i = 0; i < vdev_nqueues(s->dev); i++) {
		struct vq_stats st;

		vdev_queue_stats(s->dev, i, &st);
		if (!st.popped && !st.kicks)
			continue;
		fprintf(f, "%5u %11llu %11llu %11llu %11llu %11llu\n", i, U(st.requests),
			U(st.bursts), U(st.kicks), U(st.notified), U(st.notify_suppressed));
	}
	fputs("WORKER      TURNS      SLEEPS      ENTERS\n", f);
	for (unsigned int i = 0; i < s->nworkers; i++) {
		const struct worker_stats *w = worker_stats(s->workers[i]);

		fprintf(f, "%6u %10llu %11llu %11llu\n", i,
			U(__atomic_load_n(&w->turns, __ATOMIC_RELAXED)),
			U(__atomic_load_n(&w->sleeps, __ATOMIC_RELAXED)),
			U(__atomic_load_n(&w->enters, __ATOMIC_RELAXED)));
	}
}

/* Asked for: also with --quiet. */
void serve_say_stats(const struct serve *s)
{
	fflush(stderr);
	if (s->o.json)
		stats_json(stderr, s);
	else
		stats_table(stderr, s);
	fflush(stderr);
}
