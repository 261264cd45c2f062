/* SPDX-License-Identifier: MIT */
#include "util/tpool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/compiler.h"

/**
 * struct tpool
 * @lock:	guards all below but @threads and @nthreads
 * @idle:	threads waiting for @more; spares the signal when nobody waits
 */
struct tpool {
	char name[16];
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct tpool_job *head, **tail;
	unsigned int idle;
	bool stop;
	unsigned int nthreads;
	pthread_t threads[];
};

static void hand_back(struct worker_post *post)
{
	struct tpool_job *j = container_of(post, struct tpool_job, post);

	j->done(j);
}

static void *pool_main(void *arg)
{
	struct tpool *p = arg;
	struct tpool_job *j;

	pthread_setname_np(pthread_self(), p->name);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->head && !p->stop) {
			p->idle++;
			pthread_cond_wait(&p->more, &p->lock);
			p->idle--;
		}
		j = p->head;
		if (!j)
			break;
		p->head = j->next;
		if (!p->head)
			p->tail = &p->head;
		pthread_mutex_unlock(&p->lock);
		j->run(j);
		j->post.fn = hand_back;
		worker_post(j->worker, &j->post);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int start_threads(struct tpool *p, unsigned int n)
{
	sigset_t set, old;
	int err = 0;

	/* As for workers: signals are the control thread's. */
	sigfillset(&set);
	sigdelset(&set, SIGBUS);
	sigdelset(&set, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	while (p->nthreads < n && !err) {
		err = pthread_create(&p->threads[p->nthreads], NULL, pool_main, p);
		if (!err)
			p->nthreads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* Fewer than asked for will do. */
	return p->nthreads ? 0 : err;
}

struct tpool *tpool_new(const char *name, unsigned int nthreads)
{
	struct tpool *p;
	int err;

	if (!nthreads) {
		errno = EINVAL;
		return NULL;
	}
	p = calloc(1, sizeof(*p) + nthreads * sizeof(p->threads[0]));
	if (!p)
		return NULL;
	snprintf(p->name, sizeof(p->name), "%s", name);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->tail = &p->head;
	err = start_threads(p, nthreads);
	if (err) {
		tpool_free(p);
		errno = err;
		return NULL;
	}
	return p;
}

void tpool_free(struct tpool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->nthreads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void tpool_submit(struct tpool *p, struct tpool_job *j)
{
	bool wake;

	j->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->tail = j;
	p->tail = &j->next;
	wake = p->idle > 0;
	pthread_mutex_unlock(&p->lock);
	if (wake)
		pthread_cond_signal(&p->more);
}
