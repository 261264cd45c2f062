/* SPDX-License-Identifier: MIT */
/*
 * A whole device for tests and benchmarks: control loop on a thread of its
 * own, workers, storage, model, instance. And the ways to a driver: a target
 * makes a front-end transport to it.
 */
#ifndef TESTS_LIB_CONF_DEV_H
#define TESTS_LIB_CONF_DEV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/vdev.h"
#include "frontend/fe-transport.h"
#include "test-model.h"
#include "util/err.h"
#include "util/loop.h"
#include "util/worker.h"

#define CONF_MAX_WORKERS 4

struct blk;
struct stor;
struct loopback;

/**
 * struct conf_dev_args
 * @storage:	SOURCE of a block device; NULL: the test model
 * @filter:	on top of it, or NULL
 * @cpu:	first worker's CPU, or -1
 * @no_uring:	workers on epoll
 */
struct conf_dev_args {
	unsigned int queues;
	unsigned int workers;
	uint32_t max_size;
	bool packed;
	enum worker_mode mode;
	int cpu;
	bool no_uring;
	const char *storage;
	const char *filter;
	bool read_only;
	bool writethrough;
	const char *serial;
};

struct conf_dev {
	struct loop *loop;
	pthread_t thread;
	bool threaded;
	struct worker *workers[CONF_MAX_WORKERS];
	unsigned int nworkers;
	struct stor *stor;
	struct blk *blk;
	struct test_model model;
	struct vu_dev *dev;
};

int conf_dev_start(struct conf_dev *d, const struct conf_dev_args *a, struct err *e);
/* All front-end transports are closed. False: something was still busy and has been left behind. */
bool conf_dev_stop(struct conf_dev *d);

/* Run @fn on the control thread and wait for it. */
void conf_on_loop(struct conf_dev *d, void (*fn)(void *arg), void *arg);

/**
 * struct conf_target - a way to reach a device
 * @connect:	a driver's transport; closing it detaches the device
 */
struct conf_target {
	const char *name;
	struct fe_transport *(*connect)(struct conf_dev *d, struct err *e);
};

extern const struct conf_target conf_loopback;
extern const struct conf_target conf_vhost_user;

/* Sums of queue @qi, read on the control thread. */
struct vq_stats conf_queue_stats(struct conf_dev *d, unsigned int qi);

#endif
