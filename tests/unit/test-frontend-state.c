/* SPDX-License-Identifier: MIT */
/* The state of a device, out and in, with back-ends that are slow, endless, or gone. */
#include "fe-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/loop.h"

#define MIB (1u << 20)

enum way {
	WAY_OURS,   /* the descriptor it was given */
	WAY_PIPE,   /* a pipe of its own */
	WAY_SEALED, /* one that nobody else may open */
	WAY_SOCKET,
	WAY_WRONG_END,
	WAY_FILE,
};

/**
 * struct peer - a back-end that takes part in one transfer
 * @trap:	make the descriptor it handed over block, write a byte, and wait
 * @first:	write before the answer
 * @endless:	write without end; @drip: a byte at a time, with pauses
 * @stop:	read that much and close; 0: all
 * @verdict:	answer to CHECK_DEVICE_STATE
 * @got, @size:	what it read
 * @checked:	CHECK_DEVICE_STATE came
 */
struct peer {
	int fd;
	enum way way;
	bool first, endless, drip, trap;
	size_t stop;
	uint64_t verdict;
	uint8_t *state;
	size_t len;
	uint8_t *got;
	size_t size;
	bool checked;
	uint32_t direction;
	pthread_t t;
};

/* No assertions on this thread: what goes wrong shows as a transfer that fails. */
static bool hear(int fd, struct vhost_user_hdr *h, uint32_t *payload, int *got)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov[2] = { { h, sizeof(*h) }, { payload, 8 } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *cm;
	ssize_t n;

	mh.msg_control = &ctl;
	mh.msg_controllen = sizeof(ctl);
	n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	cm = n > 0 ? CMSG_FIRSTHDR(&mh) : NULL;
	*got = -1;
	if (cm)
		memcpy(got, CMSG_DATA(cm), sizeof(*got));
	return n > 0;
}

static bool answer(int sock, uint32_t request, uint64_t v, int fd)
{
	return fe_try_say(sock, request, REPLY, &v, 8, &fd, fd >= 0);
}

static void write_state(struct peer *p, int fd)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	size_t done = 0;

	while (done < p->len || p->endless) {
		size_t n = p->drip ? 1 : p->endless ? p->len : p->len - done;
		ssize_t w = write(fd, p->state + (p->endless ? 0 : done), n);

		if (w <= 0)
			break;
		done += (size_t)w;
		if (p->drip)
			nanosleep(&pause, NULL);
	}
}

static void read_state(struct peer *p, int fd)
{
	ssize_t n;

	p->got = malloc(2 * MIB);
	while (p->got && (n = read(fd, p->got + p->size, 4096)) > 0) {
		p->size += (size_t)n;
		if (p->stop && p->size >= p->stop)
			break;
	}
}

/* @mine: what the back-end uses; @theirs: what it hands over. */
static bool own_channel(struct peer *p, int *mine, int *theirs)
{
	int fds[2];

	if (p->way == WAY_FILE) {
		*theirs = memfd_create("state", MFD_CLOEXEC);
		*mine = dup(*theirs);
		return *mine >= 0;
	}
	if (p->way == WAY_SOCKET ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) :
				   pipe2(fds, O_CLOEXEC))
		return false;
	/* Saving: the front-end reads. */
	*theirs = fds[p->direction != (p->way == WAY_WRONG_END)];
	*mine = fds[p->direction == (p->way == WAY_WRONG_END)];
	if (p->way == WAY_SEALED && fchmod(*theirs, 0))
		return false;
	return true;
}

static void *run_peer(void *arg)
{
	struct peer *p = arg;
	struct vhost_user_hdr h;
	uint32_t t[2];
	int given, use, theirs = -1;

	if (!hear(p->fd, &h, t, &given))
		return NULL;
	p->direction = t[0];
	use = given;
	if (p->way != WAY_OURS) {
		if (!own_channel(p, &use, &theirs))
			return NULL;
		close(given);
	}
	if (p->first)
		write_state(p, use);
	if (!answer(p->fd, h.request, p->way == WAY_OURS ? VHOST_USER_STATE_NOFD : 0, theirs))
		return NULL;
	if (p->trap) {
		/* Until the front-end hangs up. */
		while (fcntl(theirs, F_SETFL, 0) == 0 &&
		       (p->direction || write(use, "x", 1) == 1) && !hear(p->fd, &h, t, &given))
			break;
		close(theirs);
		close(use);
		return NULL;
	}
	if (theirs >= 0)
		close(theirs);
	if (p->direction)
		read_state(p, use);
	else if (!p->first)
		write_state(p, use);
	close(use);
	if (hear(p->fd, &h, t, &given))
		p->checked = answer(p->fd, h.request, p->verdict, -1) &&
			     h.request == VHOST_USER_CHECK_DEVICE_STATE;
	return NULL;
}

/* ---- the two sides ---- */

static int ready(void **state)
{
	fe_setup_patient(state);
	fe_negotiate(*state, PF(DEVICE_STATE));
	return 0;
}

static int ready_short(void **state)
{
	fe_setup(state);
	fe_negotiate(*state, PF(DEVICE_STATE));
	return 0;
}

static void fill(struct peer *p, size_t len)
{
	p->len = len;
	p->state = malloc(len);
	assert_non_null(p->state);
	for (size_t i = 0; i < len; i++)
		p->state[i] = (uint8_t)(i * 31 >> 5);
}

static void begin(struct fix *f, struct peer *p)
{
	p->fd = f->fd;
	assert_int_equal(pthread_create(&p->t, NULL, run_peer, p), 0);
}

static void end(struct fix *f, struct peer *p)
{
	vuc_close(f->c);
	f->c = NULL;
	pthread_join(p->t, NULL);
	free(p->state);
	free(p->got);
}

static void save(struct fix *f, enum way way, bool first, size_t len)
{
	struct peer p = { .way = way, .first = first };
	unsigned int before = fe_open_fds();
	size_t size;
	void *s;

	fill(&p, len);
	begin(f, &p);
	assert_int_equal(vuc_save_state(f->c, &s, &size, &f->e), 0);
	assert_int_equal(size, len);
	assert_memory_equal(s, p.state, len);
	free(s);
	end(f, &p);
	assert_true(p.checked);
	assert_int_equal(p.direction, 0);
	assert_int_equal(fe_open_fds(), before - 1); /* the client's socket */
}

static void state_is_saved_through_our_pipe(void **state)
{
	save(*state, WAY_OURS, false, MIB);
}

/* The pipe is full long before the answer comes. */
static void state_is_read_while_waiting_for_the_answer(void **state)
{
	save(*state, WAY_OURS, true, MIB);
}

static void state_is_saved_through_their_pipe(void **state)
{
	save(*state, WAY_PIPE, false, MIB);
}

static void state_is_saved_through_their_socket(void **state)
{
	save(*state, WAY_SOCKET, false, MIB);
}

static void state_may_be_empty(void **state)
{
	save(*state, WAY_OURS, false, 0);
}

static void load(struct fix *f, enum way way, size_t len)
{
	unsigned int before = fe_open_fds();
	struct peer p = { .way = way };

	fill(&p, len);
	begin(f, &p);
	assert_int_equal(vuc_load_state(f->c, p.state, len, &f->e), 0);
	vuc_close(f->c);
	f->c = NULL;
	pthread_join(p.t, NULL);
	assert_int_equal(p.direction, 1);
	assert_int_equal(p.size, len);
	assert_memory_equal(p.got, p.state, len);
	assert_true(p.checked);
	assert_int_equal(fe_open_fds(), before - 1);
	free(p.state);
	free(p.got);
}

static void state_is_loaded_through_our_pipe(void **state)
{
	load(*state, WAY_OURS, MIB);
}

static void state_is_loaded_through_their_pipe(void **state)
{
	load(*state, WAY_PIPE, MIB);
}

static void state_is_loaded_through_their_socket(void **state)
{
	load(*state, WAY_SOCKET, MIB);
}

/*
 * A pipe of somebody else: a privileged test gives up, for this thread, what would open
 * it all the same. What blocks is a property of the open file, which both have then.
 */
static void as_nobody(bool on)
{
	setfsuid(on && geteuid() == 0 ? 65534 : geteuid());
}

static void state_goes_through_a_pipe_that_cannot_be_opened_once_more(void **state)
{
	struct fix *f = *state;
	struct peer p = { .way = WAY_SEALED };
	size_t size;
	void *s;
	int ret;

	fill(&p, MIB);
	begin(f, &p);
	as_nobody(true);
	ret = vuc_save_state(f->c, &s, &size, &f->e);
	as_nobody(false);
	assert_int_equal(ret, 0);
	assert_int_equal(size, MIB);
	assert_memory_equal(s, p.state, MIB);
	free(s);
	end(f, &p);
}

static void state_is_loaded_through_a_pipe_that_cannot_be_opened_once_more(void **state)
{
	as_nobody(true);
	load(*state, WAY_SEALED, MIB);
	as_nobody(false);
}

/* The whole time passes, and no more. */
static void back_end_cannot_make_its_pipe_block_us(void **state)
{
	struct fix *f = *state;
	struct peer p = { .way = WAY_SEALED, .trap = true };
	size_t size;
	void *s;
	int ret;

	fill(&p, MIB);
	begin(f, &p);
	as_nobody(true);
	ret = vuc_save_state(f->c, &s, &size, &f->e);
	as_nobody(false);
	assert_int_equal(ret, -ETIMEDOUT);
	end(f, &p);
}

static void back_end_cannot_make_its_full_pipe_block_us(void **state)
{
	struct fix *f = *state;
	struct peer p = { .way = WAY_SEALED, .trap = true };
	int ret;

	fill(&p, MIB);
	begin(f, &p);
	as_nobody(true);
	ret = vuc_load_state(f->c, p.state, p.len, &f->e);
	as_nobody(false);
	assert_int_equal(ret, -ETIMEDOUT);
	end(f, &p);
}

/* ---- when it does not work ---- */

static void verdict_of_the_back_end_counts(void **state)
{
	struct peer p = { .verdict = 1 };
	struct fix *f = *state;
	size_t size;
	void *s;

	fill(&p, 100);
	begin(f, &p);
	assert_int_equal(vuc_save_state(f->c, &s, &size, &f->e), -EREMOTEIO);
	assert_null(s);
	assert_int_equal(size, 0);
	assert_null(vuc_dead(f->c));
	end(f, &p);
}

static void refusal_is_told(void **state)
{
	struct fix *f = *state;
	unsigned int before = fe_open_fds();
	size_t size;
	void *s;

	fe_say_u64(f, VHOST_USER_SET_DEVICE_STATE_FD, VHOST_USER_STATE_NOFD | 5);
	assert_int_equal(vuc_save_state(f->c, &s, &size, &f->e), -EREMOTEIO);
	assert_non_null(strstr(f->e.what, "save"));
	fe_say_u64(f, VHOST_USER_SET_DEVICE_STATE_FD, VHOST_USER_STATE_NOFD | 5);
	assert_int_equal(vuc_load_state(f->c, "abc", 3, &f->e), -EREMOTEIO);
	assert_non_null(strstr(f->e.what, "load"));
	assert_null(vuc_dead(f->c));
	assert_int_equal(fe_open_fds(), before);
}

static void endless_state_ends_at_the_limit(void **state)
{
	struct peer p = { .endless = true };
	struct fix *f = *state;
	size_t size;
	void *s;

	fill(&p, MIB);
	signal(SIGPIPE, SIG_IGN); /* the back-end's */
	begin(f, &p);
	assert_int_equal(vuc_save_state(f->c, &s, &size, &f->e), -EFBIG);
	assert_null(s);
	assert_null(vuc_dead(f->c));
	end(f, &p);
	signal(SIGPIPE, SIG_DFL);
}

static void endless_state_before_the_answer_ends_too(void **state)
{
	struct peer p = { .endless = true, .first = true };
	struct fix *f = *state;
	size_t size;
	void *s;

	fill(&p, MIB);
	signal(SIGPIPE, SIG_IGN);
	begin(f, &p);
	assert_true(vuc_save_state(f->c, &s, &size, &f->e) < 0);
	assert_null(s);
	end(f, &p);
	signal(SIGPIPE, SIG_DFL);
}

static void slow_state_ends_at_the_deadline(void **state)
{
	struct peer p = { .endless = true, .drip = true };
	struct fix *f = *state;
	uint64_t from = clock_ns();
	size_t size;
	void *s;

	fill(&p, 1);
	signal(SIGPIPE, SIG_IGN);
	begin(f, &p);
	assert_int_equal(vuc_save_state(f->c, &s, &size, &f->e), -ETIMEDOUT);
	assert_true(clock_ns() - from < PATIENCE * UINT64_C(1000000));
	assert_non_null(vuc_dead(f->c));
	end(f, &p);
	signal(SIGPIPE, SIG_DFL);
}

/* Its end stays open, and nothing comes. */
static void silent_state_ends_at_the_deadline(void **state)
{
	struct fix *f = *state;
	size_t size;
	void *s;

	fe_say_u64(f, VHOST_USER_SET_DEVICE_STATE_FD, VHOST_USER_STATE_NOFD);
	assert_int_equal(vuc_save_state(f->c, &s, &size, &f->e), -ETIMEDOUT);
}

/* Nobody reads; the message with the other end lies in the socket. */
static void unread_state_ends_at_the_deadline(void **state)
{
	struct fix *f = *state;
	void *s = calloc(1, MIB);

	assert_non_null(s);
	fe_say_u64(f, VHOST_USER_SET_DEVICE_STATE_FD, VHOST_USER_STATE_NOFD);
	assert_int_equal(vuc_load_state(f->c, s, MIB, &f->e), -ETIMEDOUT);
	free(s);
}

static void lost_connection_ends_the_transfer(void **state)
{
	struct fix *f = *state;
	size_t size;
	void *s;

	/* The writing end stays here, so that only the socket tells. */
	fe_say_u64(f, VHOST_USER_SET_DEVICE_STATE_FD, VHOST_USER_STATE_NOFD);
	assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
	assert_int_equal(vuc_save_state(f->c, &s, &size, &f->e), -ECONNRESET);
	assert_non_null(vuc_dead(f->c));
}

static void back_end_may_stop_reading(void **state)
{
	struct peer p = { .stop = 5000 };
	struct fix *f = *state;

	/* SIGPIPE is at its default: it would end this program. */
	fill(&p, MIB);
	begin(f, &p);
	assert_int_equal(vuc_load_state(f->c, p.state, MIB, &f->e), -EREMOTEIO);
	assert_non_null(strstr(f->e.what, "stopped reading"));
	assert_null(vuc_dead(f->c));
	end(f, &p);
}

static void useless_descriptors_are_refused(void **state)
{
	static const enum way bad[] = { WAY_WRONG_END, WAY_FILE };

	for (size_t i = 0; i < 4; i++) {
		struct peer p = { .way = bad[i / 2] };
		struct fix *f = *state;
		unsigned int before = fe_open_fds();
		size_t size;
		void *s;
		int ret;

		fill(&p, 0);
		begin(f, &p);
		ret = i % 2 ? vuc_load_state(f->c, "abc", 3, &f->e) :
			      vuc_save_state(f->c, &s, &size, &f->e);
		assert_int_equal(ret, -EREMOTEIO);
		assert_string_equal(f->e.id, "state-descriptor");
		assert_null(vuc_dead(f->c));
		end(f, &p);
		assert_int_equal(fe_open_fds(), before - 1);
		fe_teardown(state);
		ready(state);
	}
}

#define T(x) cmocka_unit_test_setup_teardown(x, ready, fe_teardown)
#define S(x) cmocka_unit_test_setup_teardown(x, ready_short, fe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(state_is_saved_through_our_pipe),
		T(state_is_read_while_waiting_for_the_answer),
		T(state_is_saved_through_their_pipe),
		T(state_is_saved_through_their_socket),
		T(state_may_be_empty),
		T(state_is_loaded_through_our_pipe),
		T(state_is_loaded_through_their_pipe),
		T(state_is_loaded_through_their_socket),
		T(state_goes_through_a_pipe_that_cannot_be_opened_once_more),
		T(state_is_loaded_through_a_pipe_that_cannot_be_opened_once_more),
		S(back_end_cannot_make_its_pipe_block_us),
		S(back_end_cannot_make_its_full_pipe_block_us),
		T(verdict_of_the_back_end_counts),
		T(refusal_is_told),
		T(endless_state_ends_at_the_limit),
		S(endless_state_before_the_answer_ends_too),
		S(slow_state_ends_at_the_deadline),
		S(silent_state_ends_at_the_deadline),
		S(unread_state_ends_at_the_deadline),
		T(lost_connection_ends_the_transfer),
		T(back_end_may_stop_reading),
		T(useless_descriptors_are_refused),
	};

	return cmocka_run_group_tests_name("vhost-user client, device state", tests, NULL, NULL);
}
