/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/compiler.h"
#include "util/tpool.h"

struct fixture {
	struct worker *w;
	struct tpool *p;
};

static struct fixture fx;

static int setup(void **state)
{
	const struct worker_cfg cfg = { .name = "test", .cpu = -1 };

	fx.w = worker_new(&cfg);
	fx.p = tpool_new("pool", 4);
	*state = &fx;
	return fx.w && fx.p ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	tpool_free(fx.p);
	worker_free(fx.w);
	return 0;
}

struct job {
	struct tpool_job j;
	atomic_int *left;
	sem_t *all;
	int runs, rounds;
	bool ran_here, done_there;
	sem_t *gate;
	atomic_int *waiting;
};

static void job_run(struct tpool_job *j)
{
	struct job *x = container_of(j, struct job, j);

	x->runs++;
	x->ran_here = worker_is_current(fx.w);
}

static void job_done(struct tpool_job *j)
{
	struct job *x = container_of(j, struct job, j);

	x->done_there = worker_is_current(fx.w);
	if (--x->rounds > 0) {
		tpool_submit(fx.p, j);
		return;
	}
	if (atomic_fetch_sub(x->left, 1) == 1)
		sem_post(x->all);
}

#define NJOBS 500

static void jobs_run_on_the_pool_and_come_back_to_the_worker(void **state)
{
	static struct job x[NJOBS];
	atomic_int left = NJOBS;
	sem_t all;

	(void)state;
	sem_init(&all, 0, 0);
	for (int i = 0; i < NJOBS; i++) {
		x[i] = (struct job){ .j = { .run = job_run, .done = job_done, .worker = fx.w },
				     .left = &left,
				     .all = &all,
				     .rounds = 20 };
		tpool_submit(fx.p, &x[i].j);
	}
	sem_wait(&all);
	for (int i = 0; i < NJOBS; i++) {
		assert_int_equal(x[i].runs, 20);
		assert_false(x[i].ran_here);
		assert_true(x[i].done_there);
	}
	sem_destroy(&all);
}

static void job_blocks(struct tpool_job *j)
{
	struct job *x = container_of(j, struct job, j);

	if (atomic_fetch_sub(x->waiting, 1) == 1) {
		for (int i = 0; i < 4; i++)
			sem_post(x->gate);
	}
	sem_wait(x->gate);
}

/* Each waits until all four have begun: with fewer threads this would never end. */
static void as_many_jobs_block_at_once_as_there_are_threads(void **state)
{
	atomic_int left = 4, waiting = 4;
	struct job x[4];
	sem_t all, gate;

	(void)state;
	sem_init(&all, 0, 0);
	sem_init(&gate, 0, 0);
	for (int i = 0; i < 4; i++) {
		x[i] = (struct job){ .j = { .run = job_blocks, .done = job_done, .worker = fx.w },
				     .left = &left,
				     .all = &all,
				     .rounds = 1,
				     .gate = &gate,
				     .waiting = &waiting };
		tpool_submit(fx.p, &x[i].j);
	}
	sem_wait(&all);
	assert_int_equal(left, 0);
	sem_destroy(&all);
	sem_destroy(&gate);
}

static void job_slow(struct tpool_job *j)
{
	usleep(2000);
	job_run(j);
}

static void free_runs_what_was_submitted(void **state)
{
	struct tpool *p = tpool_new("one", 1);
	atomic_int left = 10;
	struct job x[10];
	sem_t all;

	(void)state;
	assert_non_null(p);
	sem_init(&all, 0, 0);
	for (int i = 0; i < 10; i++) {
		x[i] = (struct job){ .j = { .run = job_slow, .done = job_done, .worker = fx.w },
				     .left = &left,
				     .all = &all,
				     .rounds = 1 };
		tpool_submit(p, &x[i].j);
	}
	tpool_free(p);
	sem_wait(&all);
	for (int i = 0; i < 10; i++)
		assert_int_equal(x[i].runs, 1);
	sem_destroy(&all);
}

static void job_looks_at_signals(struct tpool_job *j)
{
	struct job *x = container_of(j, struct job, j);
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	x->runs = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT) &&
		  !sigismember(&set, SIGBUS);
}

static void signals_are_left_to_others(void **state)
{
	atomic_int left = 1;
	struct job x;
	sem_t all;

	(void)state;
	sem_init(&all, 0, 0);
	x = (struct job){ .j = { .run = job_looks_at_signals, .done = job_done, .worker = fx.w },
			  .left = &left,
			  .all = &all,
			  .rounds = 1 };
	tpool_submit(fx.p, &x.j);
	sem_wait(&all);
	assert_int_equal(x.runs, 1);
	sem_destroy(&all);
}

static void a_pool_needs_threads(void **state)
{
	(void)state;
	errno = 0;
	assert_null(tpool_new("none", 0));
	assert_int_equal(errno, EINVAL);
	tpool_free(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_run_on_the_pool_and_come_back_to_the_worker),
		cmocka_unit_test(as_many_jobs_block_at_once_as_there_are_threads),
		cmocka_unit_test(free_runs_what_was_submitted),
		cmocka_unit_test(signals_are_left_to_others),
		cmocka_unit_test(a_pool_needs_threads),
	};

	return cmocka_run_group_tests_name("tpool", tests, setup, teardown);
}
