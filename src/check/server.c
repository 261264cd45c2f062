/* SPDX-License-Identifier: MIT */
/* vuctl check: the back-end as a process: is it there, does it answer, start it again. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/check-impl.h"
#include "util/compiler.h"
#include "util/loop.h"

#define RETRY_MS    10
#define TERM_MS     5000  /* between SIGTERM and SIGKILL */
#define START_MS    30000 /* from the command to a socket that takes connections */
#define PATIENCE_MS 10000

static void nap(void)
{
	poll(NULL, 0, RETRY_MS);
}

static uint64_t in_ms(int ms)
{
	return clock_ns() + (uint64_t)ms * 1000000;
}

void check_server_init(struct check_server *s, const struct check_opts *o)
{
	*s = (struct check_server){
		.path = o->socket,
		.restart = o->restart,
		.patience_ms = MAX(PATIENCE_MS, 5 * o->timeout_ms),
		.pid = -1,
		.pidfd = -1,
		.spare = -1,
	};
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- our child ---- */

/*
 * Has the shell ended? It stays a zombie until stop_child(), so that its number,
 * and that of its group, can be nobody else's while we may still signal it.
 */
static bool ended(struct check_server *s)
{
	siginfo_t si = { 0 };

	if (!s->child || s->child_ended)
		return s->child_ended;
	if (waitid(P_PID, (id_t)s->child, &si, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    si.si_pid == s->child) {
		s->child_ended = true;
		s->child_status = si.si_code == CLD_EXITED ? W_EXITCODE(si.si_status, 0) :
							     W_EXITCODE(0, si.si_status);
	}
	return s->child_ended;
}

static void stop_child(struct check_server *s)
{
	uint64_t end = in_ms(TERM_MS);
	bool left;

	if (!s->child)
		return;
	/* The group: a shell may have started it as a child of its own. */
	kill(-s->child, SIGTERM);
	while (!ended(s) && clock_ns() < end)
		nap();
	if (!s->child_ended)
		kill(-s->child, SIGKILL);
	waitpid(s->child, &s->child_status, 0);
	/* While somebody is in the group, its number is not given away. */
	while ((left = kill(-s->child, 0) == 0) && clock_ns() < end)
		nap();
	if (left)
		kill(-s->child, SIGKILL);
	s->child = 0;
	s->child_ended = false;
}

static void run_command(const char *cmd, pid_t parent)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	setpgid(0, 0);
	/* Ctrl-C reaches us and not its group: it must end with us all the same. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Standard output has the report. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(127);
	execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
	_exit(127);
}

int check_server_start(struct check_server *s, struct err *e)
{
	uint64_t end = in_ms(START_MS);
	pid_t me = getpid();

	stop_child(s);
	drop(&s->spare);
	drop(&s->pidfd);
	s->pid = -1;
	s->child = fork();
	if (s->child < 0) {
		s->child = 0;
		return err_sys(e, -errno, "restart-failed", "cannot run '%s'", s->restart);
	}
	if (s->child == 0)
		run_command(s->restart, me);
	setpgid(s->child, s->child); /* whoever is first */
	do {
		s->spare = check_server_connect(s, 0, e);
		if (s->spare >= 0)
			return 0;
		/* Status 0: it left something behind in the background. */
		if (ended(s) && s->child_status)
			break;
		nap();
	} while (clock_ns() < end);
	if (s->child_ended)
		err_set(e, -ECONNREFUSED, "restart-failed",
			"the command '%s' ended at once, with status %d", s->restart,
			WIFSIGNALED(s->child_status) ? 128 + WTERMSIG(s->child_status) :
						       WEXITSTATUS(s->child_status));
	else
		err_set(e, -ECONNREFUSED, "restart-failed",
			"'%s' was started and does not listen at '%s'", s->restart, s->path);
	return -ECONNREFUSED;
}

void check_server_fini(struct check_server *s)
{
	drop(&s->spare);
	drop(&s->pidfd);
	stop_child(s);
}

/* ---- connecting ---- */

bool check_server_gone(const struct check_server *s)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

	return s->pidfd >= 0 && poll(&p, 1, 0) == 1;
}

/* Remember who listens: then we know at once when it dies. */
static void meet(struct check_server *s, int fd)
{
	struct ucred u = { 0 };
	socklen_t len = sizeof(u);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) < 0 || u.pid <= 0)
		return;
	if (u.pid == s->pid && !check_server_gone(s))
		return;
	drop(&s->pidfd);
	s->pid = u.pid;
	s->pidfd = (int)syscall(SYS_pidfd_open, u.pid, 0);
}

static int try_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	/* Not blocking: a backlog that is full must not stop us. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static int explain(const struct check_server *s, int ret, struct err *e)
{
	switch (ret) {
	case -EAGAIN:
		return err_set(e, -ETIMEDOUT, "backend-hung",
			       "the back-end at '%s' accepts no connection", s->path);
	case -ENOENT:
		err_set(e, -ECONNREFUSED, "backend-missing", "there is no socket '%s'", s->path);
		err_hint(e, "start the back-end first, or give the command for it: --restart CMD");
		return -ECONNREFUSED;
	case -ECONNREFUSED:
		err_set(e, ret, "backend-missing", "nobody listens at '%s'", s->path);
		err_hint(e, "start the back-end again, or give the command for it: --restart CMD");
		return ret;
	default:
		return err_sys(e, ret, "vhost-user-connect", "cannot connect to '%s'", s->path);
	}
}

int check_server_connect(struct check_server *s, int wait_ms, struct err *e)
{
	uint64_t end = in_ms(wait_ms);
	int fd = s->spare;

	if (fd >= 0) {
		s->spare = -1;
		return fd;
	}
	for (;;) {
		fd = try_connect(s->path);
		if (fd >= 0) {
			meet(s, fd);
			return fd;
		}
		if (fd != -EAGAIN && fd != -ENOENT && fd != -ECONNREFUSED)
			break;
		/* Nobody listens, and the one who did is gone: it will not come back. */
		if (fd != -EAGAIN && check_server_gone(s))
			break;
		if (clock_ns() >= end)
			break;
		nap();
	}
	return explain(s, fd, e);
}

/* ---- does it live? ---- */

/* A back-end that ends with its connection: has it, and well? */
static enum check_result one_shot_state(struct check_server *s, struct err *e)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

	if (s->spare >= 0)
		return CHECK_PASSED; /* nobody was connected since it was started */
	if (s->pidfd >= 0 && poll(&p, 1, s->patience_ms) == 0) {
		err_set(e, -ETIMEDOUT, "backend-hung", "the back-end does not end as it used to");
		return CHECK_HUNG;
	}
	for (uint64_t end = in_ms(TERM_MS); !ended(s) && clock_ns() < end;)
		nap();
	if (s->child_ended && s->child_status) {
		err_set(e, -ECONNREFUSED, "backend-died", "the back-end ended with %s %d",
			WIFSIGNALED(s->child_status) ? "signal" : "status",
			WIFSIGNALED(s->child_status) ? WTERMSIG(s->child_status) :
						       WEXITSTATUS(s->child_status));
		return CHECK_DIED;
	}
	return CHECK_PASSED;
}

enum check_result check_server_state(struct check_server *s, struct err *e)
{
	uint64_t end = in_ms(s->patience_ms), features;

	if (s->one_shot)
		return one_shot_state(s, e);
	for (;;) {
		int fd = check_server_connect(s, s->patience_ms, e), ret;
		struct vuc *v;

		if (fd < 0)
			return fd == -ECONNREFUSED ? CHECK_DIED : CHECK_HUNG;
		v = vuc_from_fd(fd, s->patience_ms, e);
		ret = v ? vuc_get_features(v, &features, e) : -ENOMEM;
		vuc_close(v);
		if (ret == 0)
			return CHECK_PASSED;
		/* Closed: it is dying, or not yet ready for the next one. */
		if (ret == -ETIMEDOUT || clock_ns() >= end)
			return CHECK_HUNG;
		nap();
	}
}
