/* SPDX-License-Identifier: MIT */
/*
 * vuctl serve: signals, and the way to the end.
 *
 * A disk that is in use is not taken away: SIGINT asks, and a second one soon
 * after leaves it behind without a server. SIGTERM does both in one,
 * because nobody is there to ask. While a command of --run has the disk, it is
 * the command's end that counts.
 */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/serve.h"
#include "util/compiler.h"

/* How long after a refusal a second SIGINT means "leave it". */
#define AGAIN_NS UINT64_C(10000000000)

/* After --run: udev may still look at the disk that the command has just let go. */
#define RETRY_NS  UINT64_C(200000000)
#define RETRY_MAX 25u

static void busy(struct serve *s, const struct err *e)
{
	struct err say = *e;

	if (s->ran && s->retries < RETRY_MAX) {
		s->retries++;
		loop_timer_set(s->loop, &s->retry, RETRY_NS);
		return;
	}
	if (s->ran || s->term || s->insist) {
		err_prefix(&say, "'%s' is left without a server", s->o.name);
		cli_add_hint(&say, "I/O on it waits; 'sudo vdpa dev del %s' gives the disk up",
			     s->o.name);
		cli_error(&say);
		s->exit_code = EXIT_BUSY;
		serve_stop(s, TRANSPORT_STOP_LEAVE);
		return;
	}
	s->asked_ns = clock_ns();
	err_prefix(&say, "'%s' is not detached", s->o.name);
	cli_add_hint(&say,
		     "Or press Ctrl-C again to leave it without a server: I/O on it then waits");
	cli_error(&say);
}

static void stopped(void *ctx, int res, const struct err *e)
{
	struct serve *s = ctx;

	if (res == -EBUSY) {
		s->state = SERVE_READY;
		busy(s, e);
		return;
	}
	s->state = SERVE_STOPPED;
	if (res < 0) {
		cli_error(e);
		s->exit_code = cli_exit_code(e, EXIT_FAILED);
	} else if (s->how == TRANSPORT_STOP_LEAVE && s->o.host) {
		s->exit_code = EXIT_BUSY;
	}
	loop_stop(s->loop);
}

void serve_stop(struct serve *s, enum transport_stop how)
{
	if (s->state == SERVE_STOPPING || s->state == SERVE_STOPPED)
		return;
	loop_timer_cancel(s->loop, &s->retry);
	s->state = SERVE_STOPPING;
	s->how = how;
	s->tops->stop(s->transport, how, stopped, s);
}

static void retry(struct loop_timer *t)
{
	serve_stop(container_of(t, struct serve, retry), TRANSPORT_STOP_ASK);
}

/* From inside a callback of the transport, which must not be stopped there. */
void serve_stop_soon(struct serve *s)
{
	if (s->state == SERVE_STOPPING || s->state == SERVE_STOPPED)
		return;
	loop_timer_set(s->loop, &s->retry, 0);
}

static void interrupted(struct serve *s)
{
	if (s->child) { /* else the terminal has told the command, too */
		if (s->child_group)
			kill(-s->child, SIGINT);
		return;
	}
	s->insist = s->asked_ns && clock_ns() - s->asked_ns < AGAIN_NS;
	serve_stop(s, TRANSPORT_STOP_ASK); /* it may have become free meanwhile */
}

static void terminated(struct serve *s)
{
	s->term = true;
	if (s->child)
		kill(s->child_group ? -s->child : s->child, SIGTERM); /* its end ends us */
	else
		serve_stop(s, TRANSPORT_STOP_ASK);
}

static void signalled(struct loop_fd *src, uint32_t events)
{
	struct serve *s = container_of(src, struct serve, signal_src);
	struct signalfd_siginfo si;

	(void)events;
	while (read(s->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			serve_run_reap(s);
			break;
		case SIGINT:
			interrupted(s);
			break;
		default:
			terminated(s);
		}
	}
}

/* Before any thread starts, so that all of them have the mask. */
int serve_signals_init(struct serve *s, struct err *e)
{
	sigset_t set;
	int ret;

	s->retry.fn = retry;
	signal(SIGPIPE, SIG_IGN); /* whoever reads our words may go away */
	signal(SIGCHLD, SIG_DFL); /* may have been inherited as ignored */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(e, -errno, "signals", "cannot block signals");
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return err_sys(e, -errno, "signals", "cannot receive signals");
	s->signal_src = (struct loop_fd){ .fd = s->signal_fd, .fn = signalled };
	ret = loop_add(s->loop, &s->signal_src, EPOLLIN);
	return ret < 0 ? err_sys(e, ret, "signals", "cannot receive signals") : 0;
}

void serve_signals_free(struct serve *s)
{
	if (s->signal_fd < 0)
		return;
	loop_del(s->loop, &s->signal_src);
	close(s->signal_fd);
}
