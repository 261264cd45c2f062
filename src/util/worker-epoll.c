/* SPDX-License-Identifier: MIT */
/* A worker that waits in epoll_wait(): where there is no io_uring. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/worker-internal.h"

#define EPOLL_BATCH 64

/*
 * A worker that does not sleep still has to look at its descriptors. Rings and
 * posts are seen without a system call, so looking now and then is enough.
 */
#define EPOLL_LOOK 16

/**
 * struct epoll_priv
 * @ev:		events fetched by the last wait, delivered by the next reap
 * @dead:	a node was removed; it may be named in @ev and is freed after that
 */
struct epoll_priv {
	int epfd;
	int nev;
	unsigned int look;
	bool dead;
	struct epoll_event ev[EPOLL_BATCH];
};

static int epoll_setup(struct worker *w)
{
	struct epoll_priv *ep = calloc(1, sizeof(*ep));

	if (!ep)
		return -ENOMEM;
	ep->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (ep->epfd < 0) {
		int err = -errno;

		free(ep);
		return err;
	}
	w->be_priv = ep;
	return 0;
}

static void epoll_teardown(struct worker *w)
{
	struct epoll_priv *ep = w->be_priv;

	close(ep->epfd);
	free(ep);
	w->be_priv = NULL;
}

static int epoll_add(struct worker *w, struct worker_node *n)
{
	struct epoll_priv *ep = w->be_priv;
	struct epoll_event ev = {
		.events = n->events | (n->edge ? (uint32_t)EPOLLET : 0),
		.data.ptr = n,
	};

	return epoll_ctl(ep->epfd, EPOLL_CTL_ADD, n->fd, &ev) < 0 ? -errno : 0;
}

static void epoll_del(struct worker *w, struct worker_node *n)
{
	struct epoll_priv *ep = w->be_priv;

	epoll_ctl(ep->epfd, EPOLL_CTL_DEL, n->fd, NULL);
	ep->dead = true;
}

static void epoll_bury(struct worker *w, struct epoll_priv *ep)
{
	struct worker_node *n, *next;

	ep->dead = false;
	for (n = w->nodes; n; n = next) {
		next = n->next;
		if (!n->src)
			worker_node_free(n);
	}
}

static bool epoll_reap(struct worker *w)
{
	struct epoll_priv *ep = w->be_priv;
	int n = ep->nev;

	for (int i = 0; i < n; i++) {
		struct worker_node *node = ep->ev[i].data.ptr;

		if (node->src)
			node->src->fn(node->src, ep->ev[i].events);
	}
	ep->nev = 0;
	if (unlikely(ep->dead))
		epoll_bury(w, ep);
	return n > 0;
}

/* epoll_wait() counts in milliseconds; epoll_pwait2() (Linux 5.11) in nanoseconds. */
static int wait_ns(struct epoll_priv *ep, int64_t timeout_ns)
{
	int64_t ms;
#ifdef SYS_epoll_pwait2
	/* The kernel's own layout: 64-bit members on every architecture. */
	struct {
		int64_t sec;
		int64_t nsec;
	} ts = { timeout_ns / 1000000000, timeout_ns % 1000000000 };
	long n;

	if (timeout_ns > 0) {
		n = syscall(SYS_epoll_pwait2, ep->epfd, ep->ev, EPOLL_BATCH, &ts, NULL, 0);
		if (n >= 0 || errno == EINTR)
			return (int)n;
	}
#endif
	ms = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
	return epoll_wait(ep->epfd, ep->ev, EPOLL_BATCH, ms > INT_MAX ? INT_MAX : (int)ms);
}

static void epoll_sleep(struct worker *w, int64_t timeout_ns)
{
	struct epoll_priv *ep = w->be_priv;
	int n;

	stat_inc(&w->stats.enters);
	n = wait_ns(ep, timeout_ns);
	ep->nev = n > 0 ? n : 0;
	ep->look = 0;
}

static void epoll_submit(struct worker *w)
{
	struct epoll_priv *ep = w->be_priv;

	if (++ep->look >= EPOLL_LOOK)
		epoll_sleep(w, 0);
}

const struct worker_backend worker_backend_epoll = {
	.setup = epoll_setup,
	.teardown = epoll_teardown,
	.add = epoll_add,
	.del = epoll_del,
	.reap = epoll_reap,
	.submit = epoll_submit,
	.wait = epoll_sleep,
};
