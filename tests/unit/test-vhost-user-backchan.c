/* SPDX-License-Identifier: MIT */
/* The back-end channel alone: what is taken for one, and when it is given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/vhost-user/backchan.h"
#include "util/compiler.h"
#include "util/log.h"

struct chan {
	struct loop *loop;
	struct vu_backchan b;
	unsigned int warnings;
};

static void sink(void *ctx, enum log_level lvl, const char *line)
{
	struct chan *c = ctx;

	(void)line;
	c->warnings += lvl == LOG_LVL_WARNING;
}

static int setup(void **state)
{
	struct chan *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->loop = loop_new();
	assert_non_null(c->loop);
	vu_backchan_init(&c->b, c->loop, "t");
	log_set_sink(sink, c);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct chan *c = *state;

	vu_backchan_close(&c->b);
	log_set_sink(NULL, NULL);
	loop_free(c->loop);
	free(c);
	return 0;
}

/* Open a channel; returns the front end's end of it. */
static int open_pair(struct chan *c)
{
	struct err e = { 0 };
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(vu_backchan_open(&c->b, sv[1], &e), 0);
	assert_int_equal(c->b.fd, sv[1]);
	return sv[0];
}

static void only_a_unix_stream_socket_is_taken(void **state)
{
	struct chan *c = *state;
	int sv[2], fds[6], peer;
	unsigned int n = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sv), 0);
	fds[n++] = sv[0];
	fds[n++] = sv[1];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	fds[n++] = sv[0];
	fds[n++] = sv[1];
	fds[n++] = eventfd(0, EFD_CLOEXEC);
	fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[n] >= 0) /* a machine may have none */
		n++;
	for (unsigned int i = 0; i < n; i++) {
		struct err e = { 0 };

		assert_int_equal(vu_backchan_open(&c->b, fds[i], &e), -EINVAL);
		assert_string_equal(e.id, "bad-descriptor");
		assert_int_equal(c->b.fd, -1);
		assert_int_equal(fcntl(fds[i], F_GETFD), -1); /* taken over all the same */
	}
	peer = open_pair(c);
	close(peer);
}

/*
 * The kernel reports an error or a hang-up whether it was asked for or not, and
 * again at each turn while it lasts. What recv() has no word for must end the
 * channel too, or the loop never sleeps again.
 */
static void error_that_recv_does_not_tell_ends_the_channel(void **state)
{
	static const uint32_t bad[] = { EPOLLERR, EPOLLHUP, EPOLLERR | EPOLLIN, EPOLLHUP | EPOLLIN,
					EPOLLERR | EPOLLOUT };
	struct chan *c = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		int peer = open_pair(c), fd = c->b.fd;

		c->b.src.fn(&c->b.src, EPOLLIN); /* nothing there: no reason to give up */
		assert_int_equal(c->b.fd, fd);
		assert_int_equal(c->warnings, i);
		c->b.src.fn(&c->b.src, bad[i]);
		assert_int_equal(c->b.fd, -1);
		assert_int_equal(c->warnings, i + 1);
		assert_int_equal(fcntl(fd, F_GETFD), -1);
		close(peer);
	}
}

/* Turns of the loop until nothing has happened for 20 ms. */
static unsigned int turns_until_quiet(struct chan *c)
{
	unsigned int n = 0;
	uint64_t before;

	do {
		before = clock_ns();
		assert_int_equal(loop_turn(c->loop, 20), 0);
		assert_true(++n < 100);
	} while (clock_ns() - before < 15000000);
	return n;
}

static void front_end_that_goes_is_noticed_once(void **state)
{
	struct chan *c = *state;

	for (unsigned int way = 0; way < 3; way++) {
		int peer = open_pair(c);

		c->b.ask = c->b.want = true;
		vu_backchan_push(&c->b);
		switch (way) {
		case 0: /* the message unread: an error besides the hang-up */
			close(peer);
			break;
		case 1:
			shutdown(peer, SHUT_RDWR);
			break;
		case 2: /* it may have kept our end, too */
			shutdown(c->b.fd, SHUT_RDWR);
			break;
		}
		assert_true(turns_until_quiet(c) < 10);
		assert_int_equal(c->b.fd, -1);
		/* Leaving is no fault, an error is. */
		assert_int_equal(c->warnings, 1);
		if (way)
			close(peer);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(only_a_unix_stream_socket_is_taken),
		T(error_that_recv_does_not_tell_ends_the_channel),
		T(front_end_that_goes_is_noticed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
