/* SPDX-License-Identifier: MIT */
/*
 * The state of a device, out of a back-end and into one: "Migrating back-end state".
 *
 * The bytes go through a pipe of ours, or a descriptor the back-end likes better.
 * Its other end is in the hands of the back-end: whatever it does there, neither
 * read nor write may block here, and the socket is served all the while.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "frontend/vuc-internal.h"
#include "util/compiler.h"
#include "util/loop.h"

#define PIECE (64u << 10)

/* ---- SET_DEVICE_STATE_FD, CHECK_DEVICE_STATE ---- */

struct begin {
	struct vuc_req r;
	struct vhost_user_transfer t;
	int fd;
	uint64_t answer;
	bool over;
	int res;
	struct err err;
};

static void begin_done(struct vuc_req *r, int res, const struct err *e)
{
	struct begin *b = container_of(r, struct begin, r);

	b->over = true;
	b->res = res;
	if (e)
		b->err = *e;
}

static int begin(struct vuc *c, struct begin *b, bool load, int fd, struct err *e)
{
	int ret = VUC_NEEDS(c, DEVICE_STATE, e);

	memset(b, 0, sizeof(*b));
	b->t.direction = load;
	b->fd = fd;
	b->r.done = begin_done;
	b->r.m = (struct vuc_msg){
		.request = VHOST_USER_SET_DEVICE_STATE_FD,
		.payload = &b->t,
		.size = sizeof(b->t),
		.fds = &b->fd,
		.nfds = 1,
		.reply = &b->answer,
		.reply_min = sizeof(b->answer),
		.reply_max = sizeof(b->answer),
		.want_fd = true,
	};
	if (ret == 0)
		ret = vuc_start(c, &b->r, e);
	if (ret == 0)
		vuc_process(c);
	return ret;
}

/* What the answer says. */
static int begun(struct vuc *c, struct begin *b, int *use, struct err *e)
{
	int got = b->r.m.reply_fd;

	*use = -1;
	if (b->res) {
		if (e)
			*e = b->err;
		return b->res;
	}
	if (b->answer & VHOST_USER_STATE_ERROR_MASK) {
		if (got >= 0)
			close(got);
		return err_set(e, -EREMOTEIO, "state-refused", "the back-end does not %s its state",
			       b->t.direction ? "load" : "save");
	}
	if (b->answer & VHOST_USER_STATE_NOFD) {
		if (got >= 0)
			close(got);
		return 0;
	}
	if (got < 0)
		return vuc_die(c, -EPROTO, e,
			       "the back-end announced a descriptor for its state and sent none");
	*use = got;
	return 0;
}

int vuc_set_device_state_fd(struct vuc *c, bool load, int fd, int *use, struct err *e)
{
	VUC_HOLD(c);
	struct begin b;
	int ret;

	*use = -1;
	ret = begin(c, &b, load, fd, e);
	if (ret)
		return ret;
	while (!b.over)
		vuc_wait(c, -1, 0, UINT64_MAX);
	return begun(c, &b, use, e);
}

int vuc_check_device_state(struct vuc *c, struct err *e)
{
	uint64_t v = 0;
	struct vuc_msg m = {
		.request = VHOST_USER_CHECK_DEVICE_STATE,
		.reply = &v,
		.reply_min = sizeof(v),
		.reply_max = sizeof(v),
	};
	int ret = VUC_NEEDS(c, DEVICE_STATE, e);

	if (ret == 0)
		ret = vuc_call(c, &m, e);
	if (ret == 0 && v)
		return err_set(e, -EREMOTEIO, "state-failed",
			       "the back-end says that its state was not transferred");
	return ret;
}

/* ---- the stream ---- */

/**
 * struct stream - the bytes of the state on their way
 * @sock:	it is a socket; @shared: a pipe, as the back-end has it open
 * @end_ns:	when all of them must have passed
 */
struct stream {
	int fd;
	bool sock, shared;
	uint64_t end_ns;
	uint8_t *buf;
	size_t size, room;
};

static void stream_close(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/*
 * Use the back-end's own descriptor, which is closed in any case. Whether it
 * blocks is a property of what it refers to, which the back-end has, too, and
 * could switch back; so a pipe is opened once more.
 */
static int stream_adopt(struct stream *s, int fd, bool load, struct err *e)
{
	int fl = fcntl(fd, F_GETFL), want = load ? O_WRONLY : O_RDONLY;
	char path[40];
	struct stat st;

	stream_close(s);
	s->size = 0;
	s->fd = fd;
	if (fl < 0 || fstat(fd, &st) < 0 || (!S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode)))
		return err_set(e, -EREMOTEIO, "state-descriptor",
			       "the back-end's descriptor for its state is no pipe and no socket");
	s->sock = S_ISSOCK(st.st_mode);
	if (s->sock)
		return 0;
	if ((fl & O_ACCMODE) != O_RDWR && (fl & O_ACCMODE) != want)
		return err_set(e, -EREMOTEIO, "state-descriptor",
			       "the back-end gave the wrong end of a pipe for its state");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	s->fd = open(path, want | O_NONBLOCK | O_CLOEXEC);
	if (s->fd >= 0) {
		close(fd);
		return 0;
	}
	/* Another user's, or no /proc. */
	s->fd = fd;
	s->shared = true;
	return 0;
}

/* An end that may block is only used by kernels that can be told each time not to wait. */
static ssize_t shared_io(const struct stream *s, void *p, size_t n, bool out)
{
	const struct iovec iov = { p, n };

	return out ? pwritev2(s->fd, &iov, 1, -1, RWF_NOWAIT) :
		     preadv2(s->fd, &iov, 1, -1, RWF_NOWAIT);
}

/* That failed: because it cannot be done? */
static bool cannot_share(const struct stream *s)
{
	return s->shared && (errno == EOPNOTSUPP || errno == ENOSYS);
}

static int refuse_shared(struct err *e)
{
	err_set(e, -EREMOTEIO, "state-descriptor",
		"the back-end's pipe for its state cannot be opened once more, nor used as it is "
		"without waiting for the back-end");
	err_hint(e, "mount /proc, or run both as one user; or a kernel of 6.4 or later");
	return -EREMOTEIO;
}

/* Has the connection, or the time, come to its end? */
static int stream_check(struct vuc *c, struct stream *s, struct err *e)
{
	if (c->dead)
		return err_set(e, -ECONNRESET, "vhost-user-lost", "%s", c->dead);
	if (clock_ns() >= s->end_ns)
		return vuc_die(c, -ETIMEDOUT, e,
			       "the state of the device did not pass within the time");
	return 0;
}

/* 1: some came, 0: its end, -EAGAIN: nothing yet, or -errno. */
static int stream_read(struct stream *s, struct err *e)
{
	ssize_t n;

	if (s->room - s->size < PIECE) {
		size_t room = s->room ? s->room * 2 : PIECE * 2;
		uint8_t *buf = realloc(s->buf, room);

		if (!buf)
			return err_sys(e, -ENOMEM, "out-of-memory", "cannot save the state");
		s->buf = buf;
		s->room = room;
	}
	n = s->sock   ? recv(s->fd, s->buf + s->size, PIECE, MSG_DONTWAIT) :
	    s->shared ? shared_io(s, s->buf + s->size, PIECE, false) :
			read(s->fd, s->buf + s->size, PIECE);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return -EAGAIN;
	if (n < 0 && cannot_share(s))
		return refuse_shared(e);
	if (n < 0)
		return err_sys(e, -EREMOTEIO, "state-failed", "cannot read the state");
	s->size += (size_t)n;
	if (s->size > VUC_STATE_MAX)
		return err_set(e, -EFBIG, "state-size", "the state is longer than %u MiB",
			       VUC_STATE_MAX >> 20);
	return n > 0;
}

static int read_all(struct vuc *c, struct stream *s, struct err *e)
{
	int ret;

	for (;;) {
		ret = stream_read(s, e);
		if (ret == 0 || (ret < 0 && ret != -EAGAIN))
			return ret;
		if (ret == -EAGAIN && !c->dead)
			vuc_wait(c, s->fd, POLLIN, s->end_ns);
		else
			vuc_process(c);
		ret = stream_check(c, s, e);
		if (ret)
			return ret;
	}
}

/* Without SIGPIPE, whatever the program does about that. */
static ssize_t write_quietly(const struct stream *s, const void *p, size_t n)
{
	static const struct timespec now;
	sigset_t pipe, old, pending;
	bool mine;
	ssize_t ret;
	int code;

	if (s->sock)
		return send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	mine = !sigismember(&pending, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	ret = s->shared ? shared_io(s, (void *)(uintptr_t)p, n, true) : write(s->fd, p, n);
	code = errno;
	if (ret < 0 && code == EPIPE && mine)
		sigtimedwait(&pipe, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = code;
	return ret;
}

static int write_all(struct vuc *c, struct stream *s, const uint8_t *p, size_t size, struct err *e)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write_quietly(s, p + done, MIN(size - done, (size_t)PIECE));
		int ret;

		if (n < 0 && cannot_share(s))
			return refuse_shared(e);
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return err_set(e, -EREMOTEIO, "state-failed",
				       "the back-end stopped reading its state after %zu of %zu "
				       "bytes: %s",
				       done, size, strerror(errno));
		if (n >= 0) {
			done += (size_t)n;
			vuc_process(c);
		} else if (!c->dead) {
			vuc_wait(c, s->fd, POLLOUT, s->end_ns);
		}
		ret = stream_check(c, s, e);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- all of it ---- */

/* A pipe, of which our end never blocks. */
static int make_pipe(struct stream *s, bool load, int *theirs, struct err *e)
{
	int p[2], ret;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "state-descriptor", "cannot make a pipe");
	s->fd = p[load];
	*theirs = p[!load];
	if (fcntl(s->fd, F_SETFL, O_NONBLOCK) == 0)
		return 0;
	ret = err_sys(e, -errno, "state-descriptor", "cannot make a pipe");
	close(p[0]);
	close(p[1]);
	s->fd = -1;
	return ret;
}

/*
 * A back-end may write all its state before it answers, and a pipe holds only 64 KiB:
 * so it is emptied while we wait. What came is dropped if the back-end then
 * prefers another descriptor.
 */
static int await_answer(struct vuc *c, struct begin *b, struct stream *s, struct err *e)
{
	bool stop = b->t.direction;
	int ret = 0;

	while (!b->over) {
		short got = vuc_wait(c, stop ? -1 : s->fd, POLLIN, s->end_ns);

		if (stop || !got)
			continue;
		ret = stream_read(s, e);
		stop = ret == 0 || (ret < 0 && ret != -EAGAIN);
	}
	return ret > 0 || ret == -EAGAIN ? 0 : ret;
}

static int open_stream(struct vuc *c, struct stream *s, bool load, struct err *e)
{
	int theirs = -1, use, early, ret = VUC_NEEDS(c, DEVICE_STATE, e);
	struct err late;
	struct begin b;

	if (ret == 0)
		ret = make_pipe(s, load, &theirs, e);
	if (ret)
		return ret;
	ret = begin(c, &b, load, theirs, e);
	early = ret ? 0 : await_answer(c, &b, s, &late);
	close(theirs);
	if (ret == 0)
		ret = begun(c, &b, &use, e);
	if (ret)
		return ret;
	if (use >= 0)
		return stream_adopt(s, use, load, e);
	if (early && e)
		*e = late;
	return early;
}

int vuc_save_state(struct vuc *c, void **state, size_t *size, struct err *e)
{
	VUC_HOLD(c);
	struct stream s = { .fd = -1, .end_ns = vuc_deadline(c) };
	int ret = open_stream(c, &s, false, e);

	*state = NULL;
	*size = 0;
	if (ret == 0)
		ret = read_all(c, &s, e);
	stream_close(&s);
	if (ret == 0)
		ret = vuc_check_device_state(c, e);
	if (ret) {
		free(s.buf);
		return ret;
	}
	*state = s.buf;
	*size = s.size;
	return 0;
}

int vuc_load_state(struct vuc *c, const void *state, size_t size, struct err *e)
{
	VUC_HOLD(c);
	struct stream s = { .fd = -1, .end_ns = vuc_deadline(c) };
	int ret = open_stream(c, &s, true, e);

	if (ret == 0)
		ret = write_all(c, &s, state, size, e);
	/* The back-end sees the end of its state. */
	stream_close(&s);
	return ret ? ret : vuc_check_device_state(c, e);
}
