/* SPDX-License-Identifier: MIT */
#include "util/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/loop.h"
#include "util/worker-internal.h"

/* ---- posts ---- */

/*
 * No wake-up is lost. The producer (P1) pushes, then (P2) looks at @sleeping;
 * the worker (W1) sets @sleeping, then (W2) looks at @posts. All four are
 * sequentially consistent, so they have one order that everybody agrees on.
 * If W2 does not see the push, then W2 is before P1 in that order, hence W1
 * before P2, and P2 sees @sleeping and rings. The bell is watched without ever
 * being read: each write is a new edge, and one that comes before the wait has
 * begun is found when it begins.
 *
 * The exchange lets only the first of several producers pay for the ring. The
 * worker may be awake again by the time it rings; that costs one idle turn.
 */
void worker_post(struct worker *w, struct worker_post *p)
{
	struct worker_post *head = atomic_load_explicit(&w->posts, memory_order_relaxed);
	uint64_t one = 1;

	do {
		p->next = head;
	} while (!atomic_compare_exchange_weak(&w->posts, &head, p)); /* P1 */

	if (!atomic_load(&w->sleeping)) /* P2 */
		return;
	if (!atomic_exchange(&w->sleeping, false))
		return;
	while (write(w->bell, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static bool run_posts(struct worker *w)
{
	struct worker_post *p, *next, *fifo = NULL;

	if (!atomic_load_explicit(&w->posts, memory_order_relaxed))
		return false;
	p = atomic_exchange(&w->posts, NULL);
	for (; p; p = next) {
		next = p->next;
		p->next = fifo;
		fifo = p;
	}
	for (p = fifo; p; p = next) {
		next = p->next;
		p->fn(p); /* may free or repost p */
	}
	return true;
}

struct call {
	struct worker_post post;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void call_run(struct worker_post *p)
{
	struct call *c = container_of(p, struct call, post);

	c->fn(c->arg);
	sem_post(&c->done);
}

void worker_call(struct worker *w, void (*fn)(void *arg), void *arg)
{
	struct call c = { .post.fn = call_run, .fn = fn, .arg = arg };

	if (worker_is_current(w)) {
		fn(arg); /* waiting for ourselves would never end */
		return;
	}
	sem_init(&c.done, 0, 0);
	worker_post(w, &c.post);
	while (sem_wait(&c.done) < 0 && errno == EINTR)
		;
	sem_destroy(&c.done);
}

/* ---- timers ---- */

void worker_timer_cancel(struct worker *w, struct worker_timer *t)
{
	struct worker_timer **pos = &w->timers;

	if (!t->armed)
		return;
	while (*pos && *pos != t)
		pos = &(*pos)->next;
	if (*pos)
		*pos = t->next;
	t->armed = false;
}

void worker_timer_set(struct worker *w, struct worker_timer *t, uint64_t delay_ns)
{
	struct worker_timer **pos = &w->timers;

	worker_timer_cancel(w, t);
	if (__builtin_add_overflow(clock_ns(), delay_ns, &t->due_ns))
		t->due_ns = UINT64_MAX;
	while (*pos && (*pos)->due_ns <= t->due_ns)
		pos = &(*pos)->next;
	t->next = *pos;
	*pos = t;
	t->armed = true;
}

static bool run_timers(struct worker *w)
{
	struct worker_timer *t;
	bool any = false;
	uint64_t now;

	if (likely(!w->timers))
		return false;
	now = clock_ns();
	while ((t = w->timers) && t->due_ns <= now) {
		w->timers = t->next;
		t->armed = false;
		any = true;
		t->fn(t); /* may free or set t */
	}
	return any;
}

/* ---- pollers ---- */

void worker_add_poller(struct worker *w, struct worker_poller *p)
{
	struct worker_poller **pos = &w->pollers;

	if (p->registered)
		return;
	while (*pos)
		pos = &(*pos)->next;
	p->next = NULL;
	/* Never armed yet, so nobody would wake us for it: it has to be looked at once. */
	p->active = true;
	p->armed = false;
	p->registered = true;
	*pos = p;
}

void worker_del_poller(struct worker *w, struct worker_poller *p)
{
	struct worker_poller **pos = &w->pollers;

	if (!p->registered)
		return;
	while (*pos && *pos != p)
		pos = &(*pos)->next;
	if (*pos)
		*pos = p->next;
	if (w->cursor == p)
		w->cursor = p->next;
	if (w->current == p)
		w->current = NULL;
	p->registered = p->active = p->armed = false;
}

void worker_kick(struct worker *w, struct worker_poller *p)
{
	(void)w;
	if (!p->registered || p->active)
		return;
	p->active = true;
	if (p->armed) {
		p->armed = false;
		if (p->disarm)
			p->disarm(p);
	}
}

static bool run_pollers(struct worker *w)
{
	bool spins = w->cfg.mode != WORKER_EVENT;
	struct worker_poller *p;
	bool any = false;

	for (w->cursor = w->pollers; (p = w->cursor);) {
		w->cursor = p->next;
		if (spins && !p->active) {
			w->current = p;
			worker_kick(w, p);
			if (!w->current)
				continue;
		}
		if (p->active)
			any |= p->poll(p); /* may remove and free p */
	}
	w->current = NULL;
	return any;
}

/*
 * Every poller, not just those that were polled: completions of storage and
 * posted calls produce results too. A flush without results is a few loads.
 */
static void flush_pollers(struct worker *w)
{
	struct worker_poller *p;

	for (w->cursor = w->pollers; (p = w->cursor);) {
		w->cursor = p->next;
		if (p->flush)
			p->flush(p);
	}
}

/* True when one of them has found work: then the worker must not sleep. */
static bool arm_pollers(struct worker *w)
{
	struct worker_poller *p;

	for (w->cursor = w->pollers; (p = w->cursor);) {
		bool work;

		w->cursor = p->next;
		if (!p->active)
			continue;
		w->current = p;
		work = p->arm(p);
		if (!w->current)
			continue; /* it removed itself */
		w->current = NULL;
		if (!work) {
			p->active = false;
			p->armed = true;
			continue;
		}
		if (p->disarm)
			p->disarm(p);
		return true;
	}
	return false;
}

/* ---- descriptors ---- */

int worker_add_fd(struct worker *w, struct worker_fd *src, uint32_t events)
{
	struct worker_node *n;
	int ret;

	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->src = src;
	n->fd = src->fd;
	n->events = events;
	n->edge = src->edge;
	ret = w->be->add(w, n);
	if (ret < 0) {
		free(n);
		return ret;
	}
	n->next = w->nodes;
	n->pprev = &w->nodes;
	if (n->next)
		n->next->pprev = &n->next;
	w->nodes = n;
	src->priv = n;
	return 0;
}

void worker_del_fd(struct worker *w, struct worker_fd *src)
{
	struct worker_node *n = src->priv;

	if (!n)
		return;
	src->priv = NULL;
	n->src = NULL;
	w->be->del(w, n);
}

void worker_node_free(struct worker_node *n)
{
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
	free(n);
}

static void bell_rang(struct worker_fd *src, uint32_t events)
{
	/* Being awake is all that was wanted: posts are looked at each turn. */
	(void)src;
	(void)events;
}

/* ---- the turn ---- */

static void go_to_sleep(struct worker *w)
{
	int64_t timeout = -1;

	if (w->timers) {
		uint64_t now = clock_ns(), due = w->timers->due_ns;

		timeout = due <= now ? 0 : (int64_t)MIN(due - now, (uint64_t)INT64_MAX);
	}
	atomic_store(&w->sleeping, true); /* W1 */
	if (!atomic_load(&w->posts)) {    /* W2 */
		worker_spin_missed(w);
		stat_inc(&w->stats.sleeps);
		w->be->wait(w, timeout);
	}
	atomic_store_explicit(&w->sleeping, false, memory_order_relaxed);
}

static void worker_turn(struct worker *w)
{
	bool work = false;

	stat_inc(&w->stats.turns);
	work |= run_posts(w);
	work |= w->be->reap(w);
	work |= run_timers(w);
	/* What has come back is told before more is taken on: the bell goes first. */
	if (work)
		flush_pollers(w);
	work |= run_pollers(w);
	if (work) {
		flush_pollers(w);
		w->be->submit(w);
		worker_spin_found(w);
		return;
	}
	if (w->cfg.mode == WORKER_BUSY || worker_spin_on(w)) {
		w->be->submit(w);
		cpu_relax();
		return;
	}
	if (!arm_pollers(w))
		go_to_sleep(w);
}

/* ---- life ---- */

static int backend_setup(struct worker *w)
{
#ifdef HAVE_LIBURING
	w->be = &worker_backend_uring;
	if (!w->cfg.no_uring && w->be->setup(w) == 0)
		return 0;
#endif
	w->be = &worker_backend_epoll;
	return w->be->setup(w);
}

static int thread_setup(struct worker *w)
{
	cpu_set_t set;
	int ret;

	pthread_setname_np(pthread_self(), w->cfg.name);
	worker_spin_init(w);
	if (w->cfg.cpu >= 0) {
		if (w->cfg.cpu >= CPU_SETSIZE)
			return -EINVAL;
		CPU_ZERO(&set);
		CPU_SET(w->cfg.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0)
			return -errno;
	}
	/* On this thread: a single-issuer ring belongs to the thread that makes it. */
	ret = backend_setup(w);
	if (ret < 0)
		return ret;
	w->bell_src = (struct worker_fd){ .fd = w->bell, .edge = true, .fn = bell_rang };
	ret = worker_add_fd(w, &w->bell_src, EPOLLIN);
	if (ret < 0)
		w->be->teardown(w);
	return ret;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	int ret;

	w->thread = pthread_self();
	ret = thread_setup(w);
	w->start_err = ret;
	sem_post(&w->started); /* after a failure w may be gone from here on */
	if (ret < 0)
		return NULL;
	while (!w->stopping)
		worker_turn(w);
	w->be->teardown(w);
	worker_bells_free(w);
	while (w->nodes)
		worker_node_free(w->nodes);
	return NULL;
}

/*
 * Signals are the control thread's. Those that a faulting instruction raises
 * must not be blocked: the kernel would kill the process instead of running
 * the handler that breaks one queue.
 */
static void worker_sigmask(sigset_t *old)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGBUS);
	sigdelset(&set, SIGSEGV);
	sigdelset(&set, SIGILL);
	sigdelset(&set, SIGFPE);
	sigdelset(&set, SIGTRAP);
	pthread_sigmask(SIG_SETMASK, &set, old);
}

struct worker *worker_new(const struct worker_cfg *cfg)
{
	struct worker *w;
	pthread_t thread;
	sigset_t old;
	int err;

	w = aligned_alloc(_Alignof(struct worker), sizeof(*w));
	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->cfg = *cfg;
	w->cfg.name[sizeof(w->cfg.name) - 1] = '\0';
	w->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->bell < 0) {
		err = errno;
		goto fail;
	}
	sem_init(&w->started, 0, 0);
	worker_sigmask(&old);
	err = pthread_create(&thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		goto fail_sem;
	while (sem_wait(&w->started) < 0 && errno == EINTR)
		;
	if (!w->start_err)
		return w;
	err = -w->start_err;
	pthread_join(thread, NULL);
fail_sem:
	sem_destroy(&w->started);
	close(w->bell);
fail:
	free(w);
	errno = err;
	return NULL;
}

struct stop {
	struct worker_post post;
	struct worker *w;
};

static void stop_run(struct worker_post *p)
{
	container_of(p, struct stop, post)->w->stopping = true;
}

void worker_free(struct worker *w)
{
	struct stop s = { .post.fn = stop_run, .w = w };

	if (!w)
		return;
	worker_post(w, &s.post); /* s stays: we join below */
	pthread_join(w->thread, NULL);
	sem_destroy(&w->started);
	close(w->bell);
	free(w);
}

/* ---- facts and passing on ---- */

bool worker_is_current(const struct worker *w)
{
	return pthread_equal(w->thread, pthread_self());
}

uint32_t worker_batch_ns(const struct worker *w)
{
	return w->cfg.mode == WORKER_EVENT ? w->cfg.batch_ns : 0;
}

bool worker_has_uring(const struct worker *w)
{
	return w->be->sqe != NULL;
}

struct io_uring_sqe *worker_sqe(struct worker *w)
{
	return w->be->sqe ? w->be->sqe(w) : NULL;
}

int worker_file_register(struct worker *w, int fd)
{
	return w->be->file_register ? w->be->file_register(w, fd) : -EOPNOTSUPP;
}

void worker_file_unregister(struct worker *w, int idx)
{
	if (w->be->file_unregister)
		w->be->file_unregister(w, idx);
}

const struct worker_stats *worker_stats(const struct worker *w)
{
	return &w->stats;
}
