/* SPDX-License-Identifier: MIT */
/* vuctl check: device state. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/check.h"
#include "check/raw.h"
#include "util/compiler.h"

#define MIGRATING "vhost-user: Migrating back-end state"
#define SET_FD    "vhost-user: VHOST_USER_SET_DEVICE_STATE_FD"
#define CHECK     "vhost-user: VHOST_USER_CHECK_DEVICE_STATE"

#define NEEDS (NEED_STATE | NEED_PROTOCOL)

enum { SAVE, LOAD };

/* A device whose rings have run and are stopped: suspended. */
static struct check_dev *suspended(struct check *c, struct vq_base *base)
{
	struct check_dev *d = check_dev(c, NULL);

	check_works(c, d, 0);
	*base = check_stop(c, d, 0);
	return d;
}

struct answer {
	int ret;
	uint64_t value;
	int fd;
};

/* SET_DEVICE_STATE_FD, any kind; @fd is not closed. */
static struct answer set_fd(struct vuc *v, uint32_t direction, uint32_t phase, int fd,
			    struct err *e)
{
	struct vhost_user_transfer t = { direction, phase };
	struct answer a = { .fd = -1 };
	struct vuc_msg m = {
		.request = VHOST_USER_SET_DEVICE_STATE_FD,
		.payload = &t,
		.size = sizeof(t),
		.fds = &fd,
		.nfds = 1,
		.reply = &a.value,
		.reply_min = sizeof(a.value),
		.reply_max = sizeof(a.value),
		.want_fd = true,
	};

	a.ret = vuc_call(v, &m, e);
	if (a.ret == 0)
		a.fd = m.reply_fd;
	return a;
}

/* @a says no, or ended the connection. */
static void expect_refused(struct check *c, const struct answer *a, const struct err *e,
			   const char *what)
{
	if (a->ret == -ETIMEDOUT)
		check_fail(c, "an answer with an error", "%s: %s", what, e->what);
	if (a->ret == 0 && !(a->value & VHOST_USER_STATE_ERROR_MASK))
		check_fail(c, "an answer with an error in its bits 0 to 7", "%s: 0x%llx", what,
			   (unsigned long long)a->value);
	if (a->fd >= 0)
		check_fail(c, "no descriptor with an error", "%s: 0x%llx and a descriptor", what,
			   (unsigned long long)a->value);
}

static void make_pipe(struct check *c, int p[2])
{
	if (pipe2(p, O_CLOEXEC) < 0)
		check_skip(c, "no pipe: %s", strerror(errno));
}

static void drop_pipe(int p[2])
{
	for (unsigned int i = 0; i < 2; i++) {
		if (p[i] >= 0)
			close(p[i]);
		p[i] = -1;
	}
}

/* What a suspended device saves; skips the case when that is nothing. */
static void *saved(struct check *c, size_t *size)
{
	struct err e = { .code = 0 };
	struct vq_base base;
	struct check_dev *d = suspended(c, &base);
	void *state = NULL;

	check_ok(c, &e, vuc_save_state(d->v, &state, size, &e));
	check_dev_close(c, d);
	if (*size == 0) {
		free(state);
		check_skip(c, "the device has no state");
	}
	return state;
}

/* Load into a device that is connected and never ran. */
static int load_fresh(struct check *c, const void *state, size_t size, struct check_dev **d,
		      struct err *e)
{
	const struct check_dev_args a = { .no_start = true };

	*d = check_dev(c, &a);
	return vuc_load_state((*d)->v, state, size, e);
}

/* ---- saving ---- */

static void save_running(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { .code = 0 };
	struct answer a;
	int p[2];

	check_works(c, d, 0);
	make_pipe(c, p);
	a = set_fd(d->v, SAVE, 0, p[1], &e);
	drop_pipe(p);
	expect_refused(c, &a, &e, "the state is to be saved while a ring runs");
}

static void save_ends(struct check *c)
{
	struct err e = { .code = 0 };
	struct vq_base base;
	struct check_dev *d = suspended(c, &base);
	void *state = NULL;
	size_t size;

	check_ok(c, &e, vuc_save_state(d->v, &state, &size, &e));
	check_note(c, "%zu bytes of state", size);
	free(state);
}

static void save_again(struct check *c)
{
	struct err e = { .code = 0 };
	struct vq_base base;
	struct check_dev *d = suspended(c, &base);

	/* A migration that failed: the source goes on, and another is tried. */
	for (unsigned int i = 0; i < 3; i++) {
		void *state = NULL;
		size_t size;

		check_ok(c, &e, vuc_save_state(d->v, &state, &size, &e));
		free(state);
		check_ok(c, &e, fe_queue_start(&d->q[0], d->t, &base, &e));
		check_works(c, d, 0);
		base = check_stop(c, d, 0);
	}
}

static void answer_agrees(struct check *c)
{
	struct err e = { .code = 0 };
	struct vq_base base;
	struct check_dev *d = suspended(c, &base);
	struct answer a;
	bool nofd;
	int p[2];

	make_pipe(c, p);
	a = set_fd(d->v, SAVE, 0, p[1], &e);
	drop_pipe(p);
	if (a.ret)
		check_fail(c, "an answer to SET_DEVICE_STATE_FD", "%s", e.what);
	nofd = a.value & VHOST_USER_STATE_NOFD;
	if (a.value & VHOST_USER_STATE_ERROR_MASK)
		check_fail(c, "a suspended device saves its state", "an answer of 0x%llx",
			   (unsigned long long)a.value);
	if (nofd == (a.fd >= 0))
		check_fail(c, "bit 8 of the answer says that no descriptor comes with it",
			   "0x%llx and %s descriptor", (unsigned long long)a.value,
			   a.fd >= 0 ? "a" : "no");
	if (a.fd >= 0)
		close(a.fd);
}

static void reader_gone(struct check *c)
{
	struct err e = { .code = 0 };
	struct vq_base base;
	struct check_dev *d = suspended(c, &base);
	struct answer a;
	int p[2];

	make_pipe(c, p);
	close(p[0]);
	p[0] = -1;
	a = set_fd(d->v, SAVE, 0, p[1], &e);
	drop_pipe(p);
	if (a.ret == 0 && a.fd < 0 && !(a.value & VHOST_USER_STATE_ERROR_MASK))
		vuc_check_device_state(d->v, &e);
	if (a.fd >= 0)
		close(a.fd);
	check_alive(c);
}

/* ---- loading ---- */

static void load_saved(struct check *c)
{
	struct err e = { .code = 0 };
	struct vq_base base;
	struct check_dev *d = suspended(c, &base), *to;
	void *state = NULL;
	size_t size;

	check_ok(c, &e, vuc_save_state(d->v, &state, &size, &e));
	check_disconnect(c, d->v);
	check_ok(c, &e, load_fresh(c, state, size, &to, &e));
	free(state);
	/* Its ring is a new one. */
	check_start(c, to, 0);
	check_works(c, to, 0);
}

static void load_garbage(struct check *c)
{
	static uint8_t junk[32768];
	struct err e = { .code = 0 };
	struct check_dev *d;
	size_t size;
	int ret;

	free(saved(c, &size));
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)check_rnd(c);
	ret = load_fresh(c, junk, sizeof(junk), &d, &e);
	if (ret == 0)
		check_fail(c, "CHECK_DEVICE_STATE answers with an error",
			   "0, after random bytes were loaded");
	if (ret == -ETIMEDOUT)
		check_fail(c, "the transfer comes to an end", "%s", e.what);
	check_alive(c);
}

static void load_short(struct check *c)
{
	struct err e = { .code = 0 };
	struct check_dev *d;
	size_t size;
	void *state = saved(c, &size);
	int ret = load_fresh(c, state, size - 1, &d, &e);

	free(state);
	if (ret == 0)
		check_fail(c, "CHECK_DEVICE_STATE answers with an error",
			   "0, after all but the last byte of a state were loaded");
	if (ret == -ETIMEDOUT)
		check_fail(c, "the transfer comes to an end", "%s", e.what);
	check_alive(c);
}

static void load_running(struct check *c)
{
	struct check_dev *d = check_dev(c, NULL);
	struct err e = { .code = 0 };
	struct answer a;
	int p[2];

	check_works(c, d, 0);
	make_pipe(c, p);
	a = set_fd(d->v, LOAD, 0, p[0], &e);
	drop_pipe(p);
	expect_refused(c, &a, &e, "a state is to be loaded while a ring runs");
}

/* Nothing is written yet: the answer may not wait for it, and nor may other messages. */
static struct check_dev *load_begun(struct check *c, int p[2])
{
	const struct check_dev_args args = { .no_start = true };
	struct check_dev *d = check_dev(c, &args);
	struct err e = { .code = 0 };
	struct answer a;

	make_pipe(c, p);
	a = set_fd(d->v, LOAD, 0, p[0], &e);
	if (a.ret)
		check_fail(c, "an answer to SET_DEVICE_STATE_FD before the state is written", "%s",
			   e.what);
	if (a.value & VHOST_USER_STATE_ERROR_MASK)
		check_fail(c, "a device that never ran loads a state", "an answer of 0x%llx",
			   (unsigned long long)a.value);
	close(p[0]);
	p[0] = -1;
	if (a.fd >= 0) {
		close(p[1]);
		p[1] = a.fd;
	}
	return d;
}

static void load_answered(struct check *c)
{
	int p[2];

	load_begun(c, p);
	drop_pipe(p);
}

static void not_blocked(struct check *c)
{
	struct err e = { .code = 0 };
	uint64_t f;
	int p[2];
	struct check_dev *d = load_begun(c, p);
	int ret = vuc_get_features(d->v, &f, &e);

	drop_pipe(p);
	if (ret)
		check_fail(c, "GET_FEATURES is answered while a state is on its way", "%s", e.what);
}

static void writer_gone(struct check *c)
{
	int p[2];
	struct check_dev *d = load_begun(c, p);

	/* The connection ends first, and that is dealt with, before the state does. */
	check_disconnect(c, d->v);
	check_alive(c);
	drop_pipe(p);
	check_alive(c);
}

/* ---- parameters ---- */

static void bad_parameters(struct check *c)
{
	static const struct {
		uint32_t direction, phase;
		const char *what;
	} bad[] = {
		{ 2, 0, "direction 2" },
		{ UINT32_MAX, 0, "direction 0xffffffff" },
		{ SAVE, 1, "saving in phase 1" },
		{ LOAD, 1, "loading in phase 1" },
	};
	struct err e = { .code = 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct check_dev_args args = { .no_start = true };
		struct check_dev *d = check_dev(c, &args);
		struct answer a;
		int p[2];

		make_pipe(c, p);
		a = set_fd(d->v, bad[i].direction, bad[i].phase, p[bad[i].direction != LOAD], &e);
		drop_pipe(p);
		expect_refused(c, &a, &e, bad[i].what);
		check_dev_close(c, d);
	}
}

static void check_alone(struct check *c)
{
	const struct check_dev_args args = { .no_start = true };
	struct check_dev *d = check_dev(c, &args);
	struct err e = { .code = 0 };
	int ret = vuc_check_device_state(d->v, &e);

	/* What it says is its own affair. */
	if (ret == -ETIMEDOUT)
		check_fail(c, "an answer to CHECK_DEVICE_STATE", "%s", e.what);
	check_alive(c);
}

const struct check_case check_state_cases[] = {
	{ "state.save-ends", MIGRATING,
	  "a suspended device writes its state, ends it, and says that it is whole", CHECK_MUST,
	  NEEDS, false, save_ends },
	{ "state.save-again", MIGRATING, "a device goes on after a save, and can be saved again",
	  CHECK_MUST, NEEDS, true, save_again },
	{ "state.save-running-refused", MIGRATING, "no state is saved while a ring runs",
	  CHECK_MUST, NEEDS, false, save_running },
	{ "state.load-running-refused", MIGRATING, "no state is loaded while a ring runs",
	  CHECK_MUST, NEEDS, false, load_running },
	{ "state.answer-agrees", SET_FD,
	  "a descriptor comes with the answer, or bit 8 is set in it", CHECK_MUST, NEEDS, false,
	  answer_agrees },
	{ "state.load-saved", MIGRATING, "what was saved can be loaded over another connection",
	  CHECK_MUST, NEEDS, true, load_saved },
	{ "state.load-garbage", CHECK, "random bytes are no state, and do no harm", CHECK_MUST,
	  NEEDS, false, load_garbage },
	{ "state.load-truncated", CHECK, "a state without its last byte is no state", CHECK_MUST,
	  NEEDS, false, load_short },
	{ "state.load-answered", SET_FD, "loading is answered before the state is written",
	  CHECK_MUST, NEEDS, false, load_answered },
	{ "state.does-not-block", MIGRATING, "messages are answered while a state is on its way",
	  CHECK_SHOULD, NEEDS, false, not_blocked },
	{ "state.bad-parameters", SET_FD, "unknown directions and phases are refused", CHECK_MUST,
	  NEEDS, false, bad_parameters },
	{ "state.check-alone", CHECK,
	  "CHECK_DEVICE_STATE is answered even if nothing was transferred", CHECK_SHOULD, NEEDS,
	  false, check_alone },
	{ "state.reader-gone", MIGRATING, "a state that nobody reads does no harm", CHECK_MUST,
	  NEEDS, false, reader_gone },
	{ "state.disconnected", MIGRATING,
	  "a connection that ends in the middle of a state does no harm", CHECK_MUST, NEEDS, false,
	  writer_gone },
	{ 0 },
};
