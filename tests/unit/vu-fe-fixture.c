/* SPDX-License-Identifier: MIT */
/* The public front-end with a device in the same process; see vu-fe-fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/compiler.h"
#include "vu-fe-fixture.h"

/* ---- a device in this process, with a socket to it ---- */

static void flag(struct link *l, bool *f)
{
	pthread_mutex_lock(&l->lock);
	*f = true;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

static void await(struct link *l, const bool *f)
{
	pthread_mutex_lock(&l->lock);
	while (!*f)
		pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static void on_disconnected(void *ctx, const char *why)
{
	struct link *l = ctx;

	flag(l, &l->gone);
}

static void on_failed(void *ctx, const struct err *e)
{
	struct link *l = ctx;

	flag(l, &l->gone);
}

static void on_stopped(void *ctx, int res, const struct err *e)
{
	struct link *l = ctx;

	flag(l, &l->stopped);
}

static const struct transport_events events = {
	.disconnected = on_disconnected,
	.failed = on_failed,
};

static void do_start(void *arg)
{
	struct link *l = arg;
	struct err e;

	l->res = transport_find("vhost-user")->start(&l->args, &l->tr, &e);
}

static void do_stop(void *arg)
{
	struct link *l = arg;

	l->tr->ops->stop(l->tr, TRANSPORT_STOP_FORCE, on_stopped, l);
}

static void do_free(void *arg)
{
	struct link *l = arg;

	l->tr->ops->free(l->tr);
}

/* Return: the front-end's end. */
int fix_link_up(struct link *l, struct conf_dev *d)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	*l = (struct link){
		.d = d,
		.args = { .dev = d->dev,
			  .ev = &events,
			  .ctx = l,
			  .name = "test",
			  .fd = sv[0],
			  .group = (gid_t)-1,
			  .once = true },
	};
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	conf_on_loop(d, do_start, l);
	assert_int_equal(l->res, 0);
	return sv[1];
}

/* The other end has hung up, or is to lose its back-end now. */
void fix_link_down(struct link *l, bool by_force)
{
	if (!by_force)
		await(l, &l->gone);
	conf_on_loop(l->d, do_stop, l);
	await(l, &l->stopped);
	conf_on_loop(l->d, do_free, l);
}

void fix_open(struct fix *f, const char *storage, const char *filter)
{
	const struct conf_dev_args a = {
		.queues = 2,
		.workers = 2,
		.max_size = 1024,
		.packed = true,
		.cpu = -1,
		.storage = storage,
		.filter = filter,
		.serial = "frontend",
	};
	struct err e;

	memset(f, 0, sizeof(*f));
	assert_int_equal(conf_dev_start(&f->d, &a, &e), 0);
}

void fix_connect(struct fix *f, uint64_t pf)
{
	const struct vu_fe_opts o = {
		.struct_size = sizeof(o),
		.timeout_ms = WAIT_MS,
		.protocol_features = pf,
	};

	f->fe = vu_fe_connect_fd(fix_link_up(&f->l, &f->d), &o);
	assert_non_null(f->fe);
}

/* Buffers of 64 bytes each. */
static void make_buffers(struct fix *f)
{
	f->out = vu_fe_mem_alloc(f->mem, 64, 64, &f->segs[0].addr);
	f->in = vu_fe_mem_alloc(f->mem, 64, 64, &f->segs[1].addr);
	assert_non_null(f->out);
	assert_non_null(f->in);
	f->segs[0].len = f->segs[1].len = 64;
	f->segs[1].writable = 1;
}

void fix_make_mem(struct fix *f)
{
	f->mem = vu_fe_mem_new();
	assert_non_null(vu_fe_mem_add(f->mem, 0, MB));
	assert_int_equal(vu_fe_set_mem(f->fe, f->mem), 0);
	make_buffers(f);
}

void fix_bring_up(struct fix *f, uint64_t features, uint32_t table)
{
	assert_int_equal(vu_fe_negotiate(f->fe, features), 0);
	if (!f->mem)
		fix_make_mem(f);
	f->q = vu_fe_queue_new(f->fe, 0, 64, table);
	assert_non_null(f->q);
	assert_int_equal(vu_fe_activate(f->fe), 0);
}

void fix_close(struct fix *f)
{
	vu_fe_queue_free(f->q);
	vu_fe_free(f->fe);
	vu_fe_mem_free(f->mem);
	fix_link_down(&f->l, false);
	f->fe = NULL;
	f->mem = NULL;
	f->q = NULL;
}

int fix_setup(void **state)
{
	struct fix *f = malloc(sizeof(*f));

	fix_open(f, NULL, NULL);
	fix_connect(f, 0);
	*state = f;
	return 0;
}

int fix_setup_disk(void **state)
{
	struct fix *f = malloc(sizeof(*f));

	fix_open(f, "mem:4M", NULL);
	fix_connect(f, 0);
	*state = f;
	return 0;
}

int fix_teardown(void **state)
{
	struct fix *f = *state;

	if (f->fe)
		fix_close(f);
	assert_true(conf_dev_stop(&f->d));
	free(f);
	return 0;
}

/* Hand one over; the device will write it back inverted. */
void fix_begin(struct fix *f, uint8_t x, void *cookie)
{
	memset(f->out, x, 64);
	memset(f->in, 0, 64);
	assert_int_equal(vu_fe_queue_add(f->q, f->segs, 2, cookie), 0);
	vu_fe_queue_publish(f->q);
}

void fix_finish(struct fix *f, uint8_t x, void *cookie)
{
	struct vu_fe_used u = { 0 };

	assert_int_equal(vu_fe_queue_wait(f->q, WAIT_MS), 1);
	assert_int_equal(vu_fe_queue_get(f->q, &u, 1), 1);
	assert_ptr_equal(u.cookie, cookie);
	assert_int_equal(u.len, 64);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(f->in[i], (uint8_t)~x);
}

void fix_round_trip(struct fix *f, uint8_t x)
{
	fix_begin(f, x, &f->out);
	fix_finish(f, x, &f->out);
}
