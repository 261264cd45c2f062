/* SPDX-License-Identifier: MIT */
/* A whole device for tests; see conf-dev.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf-dev.h"
#include "devices/blk/blk.h"
#include "storage/stor.h"
#include "util/compiler.h"

static void *run(void *arg)
{
	struct conf_dev *d = arg;

	loop_run(d->loop);
	return NULL;
}

struct on_loop {
	struct loop_post post;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void on_loop_run(struct loop_post *p)
{
	struct on_loop *o = container_of(p, struct on_loop, post);

	o->fn(o->arg);
	pthread_mutex_lock(&o->lock);
	o->done = true;
	pthread_cond_signal(&o->cond);
	pthread_mutex_unlock(&o->lock);
}

void conf_on_loop(struct conf_dev *d, void (*fn)(void *arg), void *arg)
{
	struct on_loop o = {
		.post.fn = on_loop_run,
		.fn = fn,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};

	loop_post(d->loop, &o.post);
	pthread_mutex_lock(&o.lock);
	while (!o.done)
		pthread_cond_wait(&o.cond, &o.lock);
	pthread_mutex_unlock(&o.lock);
}

static int make_storage(struct conf_dev *d, const struct conf_dev_args *a, struct err *e)
{
	struct stor_open_args oa = { .read_only = a->read_only };
	struct blk_args ba = {
		.loop = d->loop,
		.serial = a->serial,
		.nqueues = a->queues,
		.max_queue_size = a->max_size,
		.writethrough = a->writethrough,
	};

	d->stor = stor_open(a->storage, &oa, e);
	if (d->stor && a->filter) {
		struct stor *s = stor_filter(d->stor, a->filter, e);

		if (!s)
			return e->code;
		d->stor = s;
	}
	if (!d->stor)
		return e->code;
	ba.stor = d->stor;
	d->blk = blk_new(&ba, e);
	return d->blk ? 0 : e->code;
}

static int make_dev(struct conf_dev *d, const struct conf_dev_args *a, struct err *e)
{
	struct vdev_args va = {
		.name = "conf",
		.model = a->storage ? &blk_model : &test_model,
		.nqueues = a->queues,
		.max_size = a->max_size,
		.workers = d->workers,
		.nworkers = d->nworkers,
		.loop = d->loop,
		.packed = a->packed,
	};

	if (a->storage && make_storage(d, a, e) < 0)
		return e->code;
	va.priv = a->storage ? (void *)d->blk : &d->model;
	d->dev = vdev_new(&va, e);
	if (!d->dev)
		return e->code;
	if (a->storage)
		blk_bind(d->blk, d->dev);
	else
		test_model_bind(&d->model, d->dev);
	return 0;
}

int conf_dev_start(struct conf_dev *d, const struct conf_dev_args *a, struct err *e)
{
	struct err dummy;

	e = e ? e : &dummy;
	*e = (struct err){ 0 };
	memset(d, 0, sizeof(*d));
	d->loop = loop_new();
	if (!d->loop)
		return err_sys(e, -errno, "loop", "cannot make a loop");
	for (unsigned int i = 0; i < MIN(MAX(a->workers, 1u), CONF_MAX_WORKERS); i++) {
		struct worker_cfg wc = { .mode = a->mode,
					 .cpu = i ? -1 : a->cpu,
					 .no_uring = a->no_uring,
					 .batch_ns = 1000000 /* as vuctl serve */ };

		snprintf(wc.name, sizeof(wc.name), "conf-%u", i);
		d->workers[i] = worker_new(&wc);
		if (!d->workers[i]) {
			err_sys(e, -errno, "worker", "cannot make a worker");
			conf_dev_stop(d);
			return e->code;
		}
		d->nworkers++;
	}
	if (make_dev(d, a, e) < 0 || pthread_create(&d->thread, NULL, run, d)) {
		conf_dev_stop(d);
		return e->code ? e->code : -EAGAIN;
	}
	d->threaded = true;
	return 0;
}

struct busy {
	struct blk *blk;
	bool busy;
};

static void ask_busy(void *arg)
{
	struct busy *b = arg;

	b->busy = blk_busy(b->blk);
}

bool conf_dev_stop(struct conf_dev *d)
{
	struct busy b = { .blk = d->blk };

	/* A flush or an orphan may be on its way still. */
	for (unsigned int i = 0; d->threaded && d->blk && i < 1000; i++) {
		conf_on_loop(d, ask_busy, &b);
		if (!b.busy)
			break;
		usleep(5000);
	}
	if (d->threaded) {
		loop_stop(d->loop);
		pthread_join(d->thread, NULL);
	}
	if (b.busy)
		return false;
	vdev_free(d->dev);
	blk_free(d->blk);
	for (unsigned int i = 0; i < d->nworkers; i++)
		worker_free(d->workers[i]);
	stor_close(d->stor);
	loop_free(d->loop);
	memset(d, 0, sizeof(*d));
	return true;
}

struct stats_arg {
	struct vu_dev *dev;
	unsigned int qi;
	struct vq_stats st;
};

static void read_stats(void *arg)
{
	struct stats_arg *a = arg;

	vdev_queue_stats(a->dev, a->qi, &a->st);
}

struct vq_stats conf_queue_stats(struct conf_dev *d, unsigned int qi)
{
	struct stats_arg a = { .dev = d->dev, .qi = qi };

	conf_on_loop(d, read_stats, &a);
	return a.st;
}
