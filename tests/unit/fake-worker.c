/* SPDX-License-Identifier: MIT */
#include "fake-worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "util/compiler.h"

struct worker {
	struct worker_post *posts, **tail;
	struct worker_poller *pollers;
	struct worker_fd *fds[16];
	struct worker_timer *timer;
	unsigned int registered;
	uint32_t batch_ns;
};

struct worker *fake_worker_new(void)
{
	struct worker *w = calloc(1, sizeof(*w));

	w->tail = &w->posts;
	return w;
}

void fake_worker_free(struct worker *w)
{
	free(w);
}

unsigned int fake_registered(const struct worker *w)
{
	return w->registered;
}

void fake_set_batch(struct worker *w, uint32_t ns)
{
	w->batch_ns = ns;
}

uint32_t worker_batch_ns(const struct worker *w)
{
	return w->batch_ns;
}

struct worker_bell *worker_bell_new(struct worker *w)
{
	(void)w;
	return NULL;
}

bool worker_bell_ring(struct worker *w, struct worker_bell *b, int fd)
{
	(void)w;
	(void)b;
	(void)fd;
	return false;
}

void worker_bell_settle(struct worker *w, int fd)
{
	(void)w;
	(void)fd;
}

void worker_bell_drop(struct worker_bell *b)
{
	(void)b;
}

void worker_post(struct worker *w, struct worker_post *p)
{
	p->next = NULL;
	*w->tail = p;
	w->tail = &p->next;
}

void worker_add_poller(struct worker *w, struct worker_poller *p)
{
	p->next = w->pollers;
	p->registered = true;
	p->active = true;
	w->pollers = p;
	w->registered++;
}

void worker_del_poller(struct worker *w, struct worker_poller *p)
{
	for (struct worker_poller **pp = &w->pollers; *pp; pp = &(*pp)->next) {
		if (*pp == p) {
			*pp = p->next;
			p->registered = false;
			w->registered--;
			return;
		}
	}
	abort();
}

void worker_kick(struct worker *w, struct worker_poller *p)
{
	(void)w;
	p->active = true;
}

int worker_add_fd(struct worker *w, struct worker_fd *src, uint32_t events)
{
	(void)events;
	for (unsigned int i = 0; i < ARRAY_SIZE(w->fds); i++) {
		if (!w->fds[i]) {
			w->fds[i] = src;
			w->registered++;
			return 0;
		}
	}
	return -ENOSPC;
}

void worker_del_fd(struct worker *w, struct worker_fd *src)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(w->fds); i++) {
		if (w->fds[i] == src) {
			w->fds[i] = NULL;
			w->registered--;
			return;
		}
	}
	abort();
}

void worker_timer_set(struct worker *w, struct worker_timer *t, uint64_t delay_ns)
{
	(void)delay_ns;
	if (!t->armed)
		w->registered++;
	t->armed = true;
	w->timer = t;
}

void worker_timer_cancel(struct worker *w, struct worker_timer *t)
{
	if (t->armed)
		w->registered--;
	t->armed = false;
}

void fake_ring(struct worker *w, int fd)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(w->fds); i++)
		if (w->fds[i] && w->fds[i]->fd == fd)
			w->fds[i]->fn(w->fds[i], EPOLLIN);
}

bool fake_turn(struct worker *w)
{
	bool worked = false;

	while (w->posts) {
		struct worker_post *p = w->posts;

		w->posts = p->next;
		if (!w->posts)
			w->tail = &w->posts;
		p->fn(p);
		worked = true;
	}
	for (struct worker_poller *p = w->pollers; p; p = p->next) {
		if (!p->active)
			continue;
		if (p->poll(p))
			worked = true;
		else
			p->active = false;
	}
	for (struct worker_poller *p = w->pollers; p; p = p->next)
		if (p->flush)
			p->flush(p);
	return worked;
}

void fake_settle(struct worker *w)
{
	bool again = true;

	while (again) {
		while (fake_turn(w))
			;
		again = false;
		for (struct worker_poller *p = w->pollers; p; p = p->next) {
			if (p->arm(p)) {
				p->disarm(p);
				p->active = again = true;
			}
		}
	}
}
