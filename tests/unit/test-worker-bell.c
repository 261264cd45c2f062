/* SPDX-License-Identifier: MIT */
/* Eventfds of others that a worker writes with whatever else its turn submits. */
#include "worker-fixture.h"

#include <fcntl.h>

struct ring {
	struct worker *w;
	struct worker_bell *b;
	int fd;
	unsigned int times, taken;
};

static void make(void *arg)
{
	struct ring *r = arg;

	r->b = worker_bell_new(r->w);
}

static void go(void *arg)
{
	struct ring *r = arg;

	for (unsigned int i = 0; i < r->times; i++)
		r->taken += worker_bell_ring(r->w, r->b, r->fd);
}

static void settle_and_drop(void *arg)
{
	struct ring *r = arg;

	worker_bell_settle(r->w, r->fd);
	worker_bell_drop(r->b);
}

static void begin(struct ring *r, struct fixture *fx, unsigned int count, int flags)
{
	*r = (struct ring){ .w = fx->w, .fd = eventfd(count, EFD_CLOEXEC | flags) };
	assert_true(r->fd >= 0);
	worker_call(r->w, make, r);
}

static void end(struct ring *r)
{
	worker_call(r->w, settle_and_drop, r);
	close(r->fd);
}

static uint64_t counter(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) < 0 ? 0 : n;
}

/* Without io_uring there are no bells, and nobody is told that there were. */
static bool none(struct ring *r)
{
	if (r->b)
		return false;
	r->times = 1;
	worker_call(r->w, go, r);
	assert_int_equal(r->taken, 0);
	return true;
}

static void bell_is_heard(void **state)
{
	struct ring r;

	begin(&r, *state, 0, EFD_NONBLOCK);
	if (!none(&r)) {
		struct pollfd p = { .fd = r.fd, .events = POLLIN };

		r.times = 1;
		for (unsigned int i = 0; i < 300; i++) { /* past several marks */
			worker_call(r.w, go, &r);
			assert_int_equal(poll(&p, 1, 20000), 1);
			assert_int_equal(counter(r.fd), 1);
		}
		assert_int_equal(r.taken, 300);
	}
	end(&r);
}

static void bell_rung_before_its_descriptor_is_closed_is_heard(void **state)
{
	struct ring r;

	begin(&r, *state, 0, EFD_NONBLOCK);
	if (!none(&r)) {
		int other = fcntl(r.fd, F_DUPFD_CLOEXEC, 3);

		r.times = 1;
		worker_call(r.w, go, &r);
		end(&r); /* settles */
		EVENTUALLY(counter(other) == 1);
		close(other);
		return;
	}
	end(&r);
}

static void bell_does_not_end_the_sleep_that_it_is_submitted_with(void **state)
{
	struct ring r;

	begin(&r, *state, 0, EFD_NONBLOCK);
	if (!none(&r)) {
		const struct worker_stats *s = worker_stats(r.w);
		uint64_t sleeps;

		settle(r.w);
		sleeps = figure(&s->sleeps);
		r.times = 1;
		for (unsigned int i = 0; i < 20; i++) {
			worker_call(r.w, go, &r);
			EVENTUALLY(counter(r.fd) == 1);
			usleep(2000);
		}
		/* One for each call; a second one now and then, for a mark or a slow machine. */
		assert_in_range(figure(&s->sleeps) - sleeps, 1, 30);
	}
	end(&r);
}

/* Its counter is full, and the peer has taken O_NONBLOCK away. */
static void bell_that_cannot_be_rung_holds_nobody_up(void **state)
{
	for (int blocking = 0; blocking < 2; blocking++) {
		uint64_t full = UINT64_MAX - 1;
		struct ring r;

		begin(&r, *state, 0, blocking ? 0 : EFD_NONBLOCK);
		assert_int_equal(write(r.fd, &full, sizeof(full)), sizeof(full));
		if (!none(&r)) {
			r.times = 100;
			for (unsigned int i = 0; i < 50; i++)
				worker_call(r.w, go, &r); /* comes back each time */
			if (blocking) /* and they do not pile up in the kernel */
				assert_in_range(r.taken, 1, 200);
			assert_true(counter(r.fd) >= full);
		}
		end(&r);
	}
}

/* The kernel holds nothing of a bell that was given up: its eventfd is gone with our descriptor. */
static void bell_given_up_leaves_nothing_behind(void **state)
{
	uint64_t full = UINT64_MAX - 1;
	struct ring r;

	for (unsigned int i = 0; i < 50; i++) {
		int other;

		begin(&r, *state, 0, 0);
		other = fcntl(r.fd, F_DUPFD_CLOEXEC, 3);
		assert_int_equal(write(r.fd, &full, sizeof(full)), sizeof(full));
		r.times = 200;
		worker_call(r.w, go, &r);
		end(&r);
		/* What waited would write as soon as there is room. */
		settle(((struct fixture *)*state)->w);
		assert_int_equal(counter(other), full);
		settle(((struct fixture *)*state)->w);
		fcntl(other, F_SETFL, O_NONBLOCK);
		assert_int_equal(counter(other), 0);
		close(other);
	}
}

static void worker_ends_with_bells_outstanding(void **state)
{
	struct fixture *fx = *state;
	uint64_t full = UINT64_MAX - 1;
	struct ring r = { .w = start(fx, WORKER_EVENT), .fd = eventfd(0, EFD_CLOEXEC) };

	assert_int_equal(write(r.fd, &full, sizeof(full)), sizeof(full));
	worker_call(r.w, make, &r);
	r.times = 1000;
	worker_call(r.w, go, &r);
	worker_call(r.w, settle_and_drop, &r);
	worker_free(r.w);
	close(r.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(bell_is_heard),
		BOTH(bell_rung_before_its_descriptor_is_closed_is_heard),
		BOTH(bell_does_not_end_the_sleep_that_it_is_submitted_with),
		BOTH(bell_that_cannot_be_rung_holds_nobody_up),
		BOTH(bell_given_up_leaves_nothing_behind),
		BOTH(worker_ends_with_bells_outstanding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
