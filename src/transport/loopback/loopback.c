/* SPDX-License-Identifier: MIT */
/* In-process transport. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "transport/loopback/loopback.h"
#include "util/compiler.h"
#include "util/log.h"
#include "util/loop.h"

#define DEFAULT_TIMEOUT_MS 10000
#define CONFIG_MAX         256

enum op_kind {
	OP_ATTACH,
	OP_FEATURES,
	OP_STATUS,
	OP_MEMORY,
	OP_START,
	OP_ENABLE,
	OP_STOP,
	OP_STATS,
	OP_CONFIG_READ,
	OP_CONFIG_WRITE,
	OP_RESET,
	OP_DETACH,
	OP_RUN,
};

/* One event on its way to the control thread and back. */
struct op {
	enum op_kind kind;
	unsigned int qi;
	uint64_t u64;
	struct gmem *mem;
	struct loopback_queue q;
	uint32_t off, len;
	int (*fn)(void *arg);
	void *arg;
};

/**
 * struct loopback - the transport
 * @op, @base, @st, @buf: the control thread's between a call and its end; here
 *		and not with the caller, who may have given up waiting
 * @lock:	guards @done, @res, @e
 * @stuck:	a call ran out of time; what it waits for still points here
 */
struct loopback {
	struct vu_dev *dev;
	struct loop *loop;
	bool pump;
	bool stuck;
	unsigned int timeout_ms;
	uint64_t stop_ns;
	int config_fd;
	int *err_fds;
	const char **why;

	struct op op;
	struct vq_base base;
	struct vq_stats st;
	uint8_t buf[CONFIG_MAX];
	struct loop_post post;
	struct vdev_wait wait;

	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int res;
	struct err e;
};

/* ---- what the device tells us ---- */

struct lb_call {
	struct xport_call c;
	int fd;
	void (*fn)(void *ctx);
	void *ctx;
};

static void ring_bell(int fd)
{
	uint64_t one = 1;

	/* EAGAIN: it is ringing already. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_debug("loopback: eventfd: %s", strerror(errno));
}

static void lb_call_notify(struct xport_call *c)
{
	struct lb_call *lc = container_of(c, struct lb_call, c);

	if (lc->fn)
		lc->fn(lc->ctx);
	else
		ring_bell(lc->fd);
}

static void lb_call_release(struct xport_call *c)
{
	struct lb_call *lc = container_of(c, struct lb_call, c);

	if (lc->fd >= 0)
		close(lc->fd);
	free(lc);
}

static void lb_config_changed(void *xport)
{
	struct loopback *lb = xport;

	ring_bell(lb->config_fd);
}

static void lb_queue_broken(void *xport, unsigned int qi, const char *why)
{
	struct loopback *lb = xport;

	__atomic_store_n(&lb->why[qi], why, __ATOMIC_RELEASE);
	ring_bell(lb->err_fds[qi]);
}

static const struct xport_ops loopback_ops = {
	.name = "loopback",
	.config_write = true,
	.config_changed = lb_config_changed,
	.queue_broken = lb_queue_broken,
};

/* ---- on the control thread ---- */

static void finish(struct loopback *lb, int res)
{
	pthread_mutex_lock(&lb->lock);
	lb->res = res;
	lb->done = true;
	pthread_cond_signal(&lb->cond);
	pthread_mutex_unlock(&lb->lock);
}

static void waited(struct vdev_wait *w, int res)
{
	finish(container_of(w, struct loopback, wait), res);
}

static int dup_fd(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void drop_err_fd(struct loopback *lb, unsigned int qi)
{
	if (lb->err_fds[qi] >= 0)
		close(lb->err_fds[qi]);
	lb->err_fds[qi] = -1;
	__atomic_store_n(&lb->why[qi], NULL, __ATOMIC_RELEASE);
}

static int start(struct loopback *lb, unsigned int qi, const struct loopback_queue *q)
{
	struct vq_cfg cfg = {
		.size = q->size,
		.features = vdev_features(lb->dev),
		.space = q->space,
		.desc = q->desc,
		.driver = q->driver,
		.device = q->device,
		.base = q->base,
		.kick_fd = dup_fd(q->kick_fd),
	};
	struct lb_call *lc;
	int ret;

	if (q->call_fd >= 0 || q->call) {
		lc = calloc(1, sizeof(*lc));
		if (!lc) {
			if (cfg.kick_fd >= 0)
				close(cfg.kick_fd);
			return err_sys(&lb->e, -ENOMEM, "out-of-memory", "queue %u", qi);
		}
		lc->fd = dup_fd(q->call_fd);
		lc->fn = q->call;
		lc->c = (struct xport_call){
			.notify = lb_call_notify,
			.bell = lc->fn ? -1 : lc->fd,
			.release = lb_call_release,
		};
		lc->ctx = q->ctx;
		cfg.call = &lc->c;
	}
	ret = vdev_queue_prepare(lb->dev, qi, &cfg, &lb->e);
	if (ret)
		return ret;
	drop_err_fd(lb, qi);
	lb->err_fds[qi] = dup_fd(q->err_fd);
	vdev_queue_start(lb->dev, qi);
	vdev_queue_enable(lb->dev, qi, !q->disabled, &lb->wait);
	return 1;
}

/* Return: 1 when lb->wait will tell, else the result. */
static int run_op(struct loopback *lb, struct op *op)
{
	struct vu_dev *d = lb->dev;
	int ret;

	switch (op->kind) {
	case OP_ATTACH:
		return vdev_attach(d, &loopback_ops, lb);
	case OP_FEATURES:
		return vdev_set_features(d, op->u64, &lb->e);
	case OP_STATUS:
		vdev_set_status(d, (uint8_t)op->u64);
		return 0;
	case OP_MEMORY:
		vdev_set_memory(d, op->mem, &lb->wait);
		gmem_put(op->mem);
		return 1;
	case OP_START:
		return start(lb, op->qi, &op->q);
	case OP_ENABLE:
		vdev_queue_enable(d, op->qi, op->u64, &lb->wait);
		return 1;
	case OP_STOP:
		vdev_queue_stop(d, op->qi, lb->stop_ns, &lb->base, &lb->wait);
		return 1;
	case OP_STATS:
		vdev_queue_stats(d, op->qi, &lb->st);
		return 0;
	case OP_CONFIG_READ:
		return vdev_config_read(d, op->off, lb->buf, op->len);
	case OP_CONFIG_WRITE:
		ret = vdev_config_write(d, op->off, lb->buf, op->len);
		if (ret != -EINPROGRESS)
			return ret;
		vdev_config_wait(d, &lb->wait);
		return 1;
	case OP_RESET:
		vdev_reset(d, lb->stop_ns, &lb->wait);
		return 1;
	case OP_DETACH:
		vdev_detach(d);
		return 0;
	case OP_RUN:
		return op->fn(op->arg);
	}
	return -EINVAL;
}

static void do_op(struct loop_post *p)
{
	struct loopback *lb = container_of(p, struct loopback, post);
	int ret = run_op(lb, &lb->op);

	if (ret != 1)
		finish(lb, ret);
}

/* ---- on the caller's thread ---- */

static bool wait_thread(struct loopback *lb)
{
	struct timespec end;
	int ret = 0;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += lb->timeout_ms / 1000;
	end.tv_nsec += (long)(lb->timeout_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&lb->lock);
	while (!lb->done && ret == 0)
		ret = pthread_cond_timedwait(&lb->cond, &lb->lock, &end);
	done = lb->done;
	pthread_mutex_unlock(&lb->lock);
	return done;
}

static bool wait_pump(struct loopback *lb)
{
	uint64_t end = clock_ns() + (uint64_t)lb->timeout_ms * 1000000;

	while (!lb->done && clock_ns() < end)
		loop_turn(lb->loop, 10);
	return lb->done;
}

static int call(struct loopback *lb, const struct op *op, const char *what, struct err *e)
{
	bool ok;

	if (lb->stuck)
		return err_set(e, -EBUSY, "loopback-stuck", "an earlier call has not come back");
	lb->op = *op;
	lb->e = (struct err){ 0 };
	lb->done = false;
	lb->post.fn = do_op;
	lb->wait.done = waited;
	if (lb->pump) {
		do_op(&lb->post);
		ok = wait_pump(lb);
	} else {
		loop_post(lb->loop, &lb->post);
		ok = wait_thread(lb);
	}
	if (!ok) {
		lb->stuck = true;
		return err_set(e, -ETIMEDOUT, "loopback-timeout", "%s took longer than %u ms", what,
			       lb->timeout_ms);
	}
	if (lb->res == 0)
		return 0;
	if (lb->e.code) {
		if (e)
			*e = lb->e;
		return lb->res;
	}
	return err_sys(e, lb->res, "loopback", "%s failed", what);
}

static void lb_release(struct loopback *lb)
{
	for (unsigned int i = 0; lb->err_fds && i < vdev_nqueues(lb->dev); i++)
		if (lb->err_fds[i] >= 0)
			close(lb->err_fds[i]);
	if (lb->config_fd >= 0)
		close(lb->config_fd);
	free(lb->err_fds);
	free(lb->why);
	pthread_cond_destroy(&lb->cond);
	pthread_mutex_destroy(&lb->lock);
	free(lb);
}

struct loopback *loopback_new(const struct loopback_args *a, struct err *e)
{
	unsigned int n = vdev_nqueues(a->dev);
	struct loopback *lb = calloc(1, sizeof(*lb));
	pthread_condattr_t attr;

	if (!lb) {
		err_sys(e, -ENOMEM, "out-of-memory", "cannot connect to the device");
		return NULL;
	}
	lb->dev = a->dev;
	lb->loop = vdev_loop(a->dev);
	lb->pump = a->pump;
	lb->timeout_ms = a->timeout_ms ? a->timeout_ms : DEFAULT_TIMEOUT_MS;
	lb->stop_ns = (uint64_t)a->stop_ms * 1000000;
	pthread_mutex_init(&lb->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lb->cond, &attr);
	pthread_condattr_destroy(&attr);
	lb->config_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lb->err_fds = calloc(n, sizeof(*lb->err_fds));
	lb->why = calloc(n, sizeof(*lb->why));
	for (unsigned int i = 0; lb->err_fds && i < n; i++)
		lb->err_fds[i] = -1;
	if (lb->config_fd < 0 || !lb->err_fds || !lb->why) {
		err_sys(e, -ENOMEM, "out-of-memory", "cannot connect to the device");
		lb_release(lb);
		return NULL;
	}
	if (call(lb, &(struct op){ .kind = OP_ATTACH }, "attaching", e) < 0) {
		lb_release(lb);
		return NULL;
	}
	return lb;
}

int loopback_free(struct loopback *lb, struct err *e)
{
	int ret;

	if (!lb)
		return 0;
	ret = loopback_reset(lb, e);
	/* Orphaned requests are the device's matter, not ours. */
	if (ret == 0 || (ret == -ETIMEDOUT && !lb->stuck))
		ret = call(lb, &(struct op){ .kind = OP_DETACH }, "detaching", e);
	if (ret == 0)
		lb_release(lb);
	return ret;
}

uint64_t loopback_features(struct loopback *lb)
{
	return vdev_offered(lb->dev);
}

int loopback_set_features(struct loopback *lb, uint64_t features, struct err *e)
{
	return call(lb, &(struct op){ .kind = OP_FEATURES, .u64 = features }, "setting features",
		    e);
}

int loopback_set_status(struct loopback *lb, uint8_t status, struct err *e)
{
	return call(lb, &(struct op){ .kind = OP_STATUS, .u64 = status }, "setting the status", e);
}

int loopback_set_memory(struct loopback *lb, struct gmem *m, struct err *e)
{
	/* The reference goes with the call, which may come to run after we gave up. */
	struct op op = { .kind = OP_MEMORY, .mem = m ? gmem_get(m) : NULL };

	if (lb->stuck)
		gmem_put(op.mem);
	return call(lb, &op, "setting guest memory", e);
}

static int bad_queue(const struct loopback *lb, unsigned int qi, struct err *e)
{
	if (qi < vdev_nqueues(lb->dev))
		return 0;
	return err_set(e, -EINVAL, "queue-index", "queue %u does not exist; there are %u", qi,
		       vdev_nqueues(lb->dev));
}

int loopback_queue_start(struct loopback *lb, unsigned int qi, const struct loopback_queue *q,
			 struct err *e)
{
	struct op op = { .kind = OP_START, .qi = qi, .q = *q };
	int ret = bad_queue(lb, qi, e);

	return ret ? ret : call(lb, &op, "starting a queue", e);
}

int loopback_queue_enable(struct loopback *lb, unsigned int qi, bool on, struct err *e)
{
	struct op op = { .kind = OP_ENABLE, .qi = qi, .u64 = on };
	int ret = bad_queue(lb, qi, e);

	return ret ? ret : call(lb, &op, "enabling a queue", e);
}

int loopback_queue_stop(struct loopback *lb, unsigned int qi, struct vq_base *base, struct err *e)
{
	struct op op = { .kind = OP_STOP, .qi = qi };
	int ret = bad_queue(lb, qi, e);

	if (ret)
		return ret;
	ret = call(lb, &op, "stopping a queue", e);
	if (base && !lb->stuck)
		*base = lb->base;
	return ret;
}

int loopback_queue_stats(struct loopback *lb, unsigned int qi, struct vq_stats *st, struct err *e)
{
	struct op op = { .kind = OP_STATS, .qi = qi };
	int ret = bad_queue(lb, qi, e);

	if (ret == 0)
		ret = call(lb, &op, "reading counters", e);
	if (ret == 0)
		*st = lb->st;
	return ret;
}

const char *loopback_queue_broken(const struct loopback *lb, unsigned int qi)
{
	return qi < vdev_nqueues(lb->dev) ? __atomic_load_n(&lb->why[qi], __ATOMIC_ACQUIRE) : NULL;
}

int loopback_config_read(struct loopback *lb, uint32_t off, void *buf, uint32_t len, struct err *e)
{
	struct op op = { .kind = OP_CONFIG_READ, .off = off, .len = len };
	int ret;

	if (len > CONFIG_MAX)
		return err_set(e, -EINVAL, "config-range", "%u bytes of configuration", len);
	ret = call(lb, &op, "reading the configuration", e);
	if (ret == 0)
		memcpy(buf, lb->buf, len);
	return ret;
}

int loopback_config_write(struct loopback *lb, uint32_t off, const void *buf, uint32_t len,
			  struct err *e)
{
	struct op op = { .kind = OP_CONFIG_WRITE, .off = off, .len = len };

	if (len > CONFIG_MAX)
		return err_set(e, -EINVAL, "config-range", "%u bytes of configuration", len);
	if (!lb->stuck)
		memcpy(lb->buf, buf, len);
	return call(lb, &op, "writing the configuration", e);
}

int loopback_config_fd(const struct loopback *lb)
{
	return lb->config_fd;
}

int loopback_reset(struct loopback *lb, struct err *e)
{
	int ret = call(lb, &(struct op){ .kind = OP_RESET }, "resetting", e);

	for (unsigned int i = 0; !lb->stuck && i < vdev_nqueues(lb->dev); i++)
		drop_err_fd(lb, i);
	return ret;
}

int loopback_run(struct loopback *lb, int (*fn)(void *arg), void *arg, struct err *e)
{
	return call(lb, &(struct op){ .kind = OP_RUN, .fn = fn, .arg = arg }, "a call", e);
}

int loopback_pump(struct loopback *lb, int timeout_ms)
{
	return lb->pump ? loop_turn(lb->loop, timeout_ms) : -EINVAL;
}
