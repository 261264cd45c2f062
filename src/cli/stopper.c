/* SPDX-License-Identifier: MIT */
#include "cli/stopper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void *stopper_main(void *arg)
{
	struct stopper *s = arg;
	struct pollfd p[2] = { { .fd = s->signals, .events = POLLIN },
			       { .fd = s->quit, .events = POLLIN } };
	struct signalfd_siginfo si;
	bool again = false;

	while (poll(p, 2, -1) > 0 || errno == EINTR) {
		if (p[1].revents)
			break;
		if (!p[0].revents || read(s->signals, &si, sizeof(si)) != sizeof(si))
			continue;
		if (again || !atomic_load(&s->begun))
			s->now(s->ctx, (int)si.ssi_signo);
		again = true;
		atomic_store(&s->signo, (int)si.ssi_signo);
		eventfd_write(s->stop_fd, 1);
	}
	return NULL;
}

void stopper_begin(struct stopper *s, void (*now)(void *ctx, int signo), void *ctx)
{
	*s = (struct stopper){ .now = now, .ctx = ctx };
	s->signals = stop_signals();
	s->quit = eventfd(0, EFD_CLOEXEC);
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->started = s->signals >= 0 && s->quit >= 0 && s->stop_fd >= 0 &&
		     pthread_create(&s->thread, NULL, stopper_main, s) == 0;
}

void stopper_end(struct stopper *s)
{
	if (s->started && eventfd_write(s->quit, 1) == 0)
		pthread_join(s->thread, NULL);
	if (s->signals >= 0)
		close(s->signals);
	if (s->quit >= 0)
		close(s->quit);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
}
