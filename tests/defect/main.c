/* SPDX-License-Identifier: MIT */
/* The program: options, the socket, the poll loop; see backend.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend.h"
#include "util/compiler.h"
#include "util/opts.h"
#include "util/size.h"

enum { OPT_SOCKET = 1, OPT_SIZE, OPT_QUEUES, OPT_READ_ONLY, OPT_STATE_FD, OPT_DEFECT, OPT_LIST };

static const struct opt_desc options[] = {
	{ OPT_SOCKET, "socket", 0, "PATH", "listen here" },
	{ OPT_SIZE, "size", 0, "SIZE", "of the disk, 16M unless told otherwise" },
	{ OPT_QUEUES, "queues", 0, "N", "how many there are, 2 unless told otherwise" },
	{ OPT_READ_ONLY, "read-only", 0, NULL, "a disk that cannot be written to" },
	{ OPT_STATE_FD, "own-state-fd", 0, NULL,
	  "answer SET_DEVICE_STATE_FD with another channel" },
	{ OPT_DEFECT, "defect", 0, "NAME", "switch a defect on; may be repeated" },
	{ OPT_LIST, "list-defects", 0, NULL, "show their names and end" },
	{ 0 },
};

struct args {
	struct be *b;
	const char *socket;
	bool list;
};

static int set_option(void *ctx, int id, const char *value, struct err *e)
{
	struct args *a = ctx;
	unsigned long n;
	int ret = 0;

	switch (id) {
	case OPT_SOCKET:
		a->socket = value;
		break;
	case OPT_SIZE:
		ret = size_parse(value, &a->b->disk_size, e);
		if (ret == 0 && (a->b->disk_size == 0 || a->b->disk_size % 512))
			ret = err_set(e, -EINVAL, "usage", "--size wants a multiple of 512 bytes");
		break;
	case OPT_QUEUES:
		ret = opts_number("--queues", value, 1, BE_MAX_QUEUES, &n, e);
		if (ret == 0)
			a->b->queues = (unsigned int)n;
		break;
	case OPT_READ_ONLY:
		a->b->read_only = true;
		break;
	case OPT_STATE_FD:
		a->b->own_state_fd = true;
		break;
	case OPT_DEFECT:
		if (!defect_switch_on(value))
			ret = err_set(e, -EINVAL, "usage", "there is no defect '%s'", value);
		break;
	case OPT_LIST:
		a->list = true;
		break;
	}
	return ret;
}

/* ---- memory that vanishes ---- */

static struct be *the_backend; /* for the handler */

static void on_sigbus(int sig)
{
	if (the_backend->landing)
		siglongjmp(the_backend->land, 1);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Run @fn; false: it ran into memory that is gone. */
static bool guarded(struct be *b, void (*fn)(struct be *b, void *arg), void *arg)
{
	if (sigsetjmp(b->land, 1)) {
		b->landing = false;
		return false;
	}
	b->landing = !defect("sigbus-kills");
	fn(b, arg);
	b->landing = false;
	return true;
}

static void turn(struct be *b, void *ring)
{
	ring_turn(b, ring);
}

static void readable(struct be *b, void *unused)
{
	(void)unused;
	msg_readable(b);
}

/* ---- the session ---- */

static void session_begin(struct be *b)
{
	int fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	b->fd = fd;
	b->back_fd = b->log_fd = -1;
	b->in = (struct be_msg){ 0 };
	if (!defect("features-sticky"))
		b->features = 0;
	if (defect("disk-forgotten"))
		memset(b->disk, 0, b->disk_size);
	b->protocol = 0;
	b->status = defect("status-begins-with-1") ? 1 : 0;
	b->owners = b->resets = b->protocols = b->asked = 0;
	b->last_write = NULL;
	b->sessions++;
	b->transfer.result = -1;
}

void be_session_end(struct be *b)
{
	if (b->fd < 0)
		return;
	if (ring_any_started(b) && defect("running-end-kills"))
		defect_die();
	if (defect("fds-not-closed"))
		b->in.nfds = 0;
	while (b->in.nfds)
		close(b->in.fds[--b->in.nfds]);
	if (defect("session-end-forgets"))
		memset(b->disk, 0, b->disk_size);
	state_drop(b);
	ring_reset_all(b);
	mem_drop(b);
	shared_unmap(&b->log);
	shared_unmap(&b->inflight);
	if (b->log_fd >= 0)
		close(b->log_fd);
	if (b->back_fd >= 0 && !defect("back-channel-leaks"))
		close(b->back_fd);
	if (!defect("session-leaks"))
		close(b->fd);
	b->fd = b->back_fd = b->log_fd = -1;
}

/* ---- the loop ---- */

static unsigned int add(struct pollfd *p, unsigned int n, int fd, short events)
{
	p[n] = (struct pollfd){ .fd = fd, .events = events };
	return n + 1;
}

static void drain_kick(int fd)
{
	uint64_t n = 0;

	(void)!read(fd, &n, sizeof(n));
	if (n > UINT32_MAX && defect("kick-count-believed"))
		defect_hang(); /* it would come to an end, in some years */
}

static void serve_rings(struct be *b, const struct pollfd *kicks)
{
	for (unsigned int i = 0; i < b->queues && b->fd >= 0; i++) {
		struct be_ring *r = &b->ring[i];

		if (kicks[i].fd >= 0 && kicks[i].revents && kicks[i].fd == r->kick)
			drain_kick(r->kick);
		else if (!ring_wants_turn(b, r))
			continue;
		if (!guarded(b, turn, r))
			ring_break(b, r, "memory is gone");
	}
}

static void loop_once(struct be *b)
{
	struct pollfd p[BE_POLL_MAX];
	unsigned int n = 0;
	int wait = -1;
	/* Somebody who waits for CHECK_DEVICE_STATE is not listened to, but for the end. */
	short listen = b->transfer.check_waits ? POLLRDHUP : POLLIN;

	n = add(p, n, b->fd < 0 ? b->listener : -1, POLLIN);
	n = add(p, n, b->fd, listen);
	n = add(p, n, b->transfer.fd, state_events(b));
	for (unsigned int i = 0; i < b->queues; i++) {
		struct be_ring *r = &b->ring[i];

		n = add(p, n, r->started ? r->kick : -1, POLLIN);
		if (ring_wants_turn(b, r))
			wait = r->again ? 0 : 1;
	}
	if (poll(p, n, wait) < 0)
		return;
	if (p[0].revents)
		session_begin(b);
	if (p[2].revents)
		state_ready(b);
	serve_rings(b, p + 3);
	if (b->fd < 0 || !p[1].revents)
		return;
	if (b->transfer.check_waits || !guarded(b, readable, NULL))
		be_session_end(b);
}

static int listen_at(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(sa.sun_path) || fd < 0)
		return -1;
	strcpy(sa.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0)
		return -1;
	return fd;
}

static int prepare(struct be *b, const struct args *a)
{
	struct sigaction sa = { .sa_handler = on_sigbus };

	b->listener = listen_at(a->socket);
	if (b->listener < 0) {
		fprintf(stderr, "defect-backend: cannot listen at '%s': %m\n", a->socket);
		return -1;
	}
	b->disk = mmap(NULL, b->disk_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	if (b->disk == MAP_FAILED) {
		fprintf(stderr, "defect-backend: no memory for the disk: %m\n");
		return -1;
	}
	b->fd = b->back_fd = b->log_fd = b->transfer.fd = -1;
	for (unsigned int i = 0; i < BE_MAX_QUEUES; i++)
		b->ring[i] = (struct be_ring){ .index = i, .kick = -1, .call = -1, .err = -1 };
	blk_reset(b);
	the_backend = b;
	sigaction(SIGBUS, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	return 0;
}

int main(int argc, char **argv)
{
	static struct be b = { .queues = 2, .disk_size = 16 << 20 };
	struct args a = { .b = &b };
	struct err e = { 0 };
	int rest = opts_parse(options, argc, argv, set_option, &a, &e);

	if (rest < 0) {
		fprintf(stderr, "defect-backend: %s\n", e.what);
		return 2;
	}
	if (a.list) {
		defect_list(stdout);
		return 0;
	}
	if (!a.socket || rest != argc) {
		fprintf(stderr, "usage: defect-backend --socket PATH [OPTION]...\n");
		opts_help(stderr, options);
		return 2;
	}
	if (prepare(&b, &a) < 0)
		return 1;
	for (;;)
		loop_once(&b);
}
