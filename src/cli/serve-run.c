/* SPDX-License-Identifier: MIT */
/* vuctl serve --run: the command that uses the disk. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/serve.h"

static void set_env(const struct serve *s)
{
	char args[1024] = "";

	/* Only the main thread reads the environment by now. */
	setenv("name", s->o.name, 1);
	setenv("dev", s->o.host ? s->info.path : "", 1);
	setenv("socket", s->o.host ? "" : s->info.path, 1);
	if (s->o.socket && strstr(s->o.run, "qemu_args")) /* takes time */
		serve_qemu_args(s->info.path, args, sizeof(args), " ");
	setenv("qemu_args", args, 1);
}

/* Signals that we have blocked, or ignore, reach the command as always. */
static int spawn(struct serve *s)
{
	char *argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			 (char *)(uintptr_t)s->o.run, NULL };
	posix_spawnattr_t attr;
	sigset_t none, dfl;
	int ret;

	ret = posix_spawnattr_init(&attr);
	if (ret)
		return -ret;
	sigemptyset(&none);
	sigemptyset(&dfl);
	sigaddset(&dfl, SIGPIPE);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &dfl);
	/*
	 * So that SIGTERM reaches all it has started, too. Not at a terminal:
	 * there it must stay in the foreground, and Ctrl-C reaches all anyway.
	 */
	s->child_group = !isatty(STDIN_FILENO);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						(s->child_group ? POSIX_SPAWN_SETPGROUP : 0)));
	ret = posix_spawn(&s->child, "/bin/sh", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (ret)
		s->child = 0;
	return -ret;
}

int serve_run_start(struct serve *s, struct err *e)
{
	int ret;

	set_env(s);
	ret = spawn(s);
	if (ret < 0)
		return err_sys(e, ret, "run-failed", "cannot run /bin/sh");
	return 0;
}

void serve_run_reap(struct serve *s)
{
	int status;

	if (!s->child || waitpid(s->child, &status, WNOHANG) != s->child)
		return;
	s->child = 0;
	s->ran = true;
	s->run_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	serve_stop_soon(s);
}
