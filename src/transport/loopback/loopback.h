/* SPDX-License-Identifier: MIT */
/*
 * The shortest transport: the driver is in the same process and raises the
 * nine events of core/vdev.h by function call. For tests, benchmarks and
 * fuzzing.
 *
 * The device's control loop runs either on a thread of its own (the calls
 * below are then made on any one other thread, and block), or nowhere: with
 * @pump the calling thread is the control thread, and the loop turns while a
 * call waits and in loopback_pump().
 */
#ifndef TRANSPORT_LOOPBACK_H
#define TRANSPORT_LOOPBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gmem.h"
#include "core/vdev.h"
#include "core/vq.h"
#include "util/err.h"

struct loopback;

/**
 * struct loopback_args
 * @dev:	not attached to any transport; borrowed
 * @pump:	the caller is the control thread
 * @timeout_ms:	for every call, 0: 10 s
 * @stop_ms:	what a stopping queue is given to drain, 0: no limit
 */
struct loopback_args {
	struct vu_dev *dev;
	bool pump;
	unsigned int timeout_ms;
	unsigned int stop_ms;
};

/**
 * struct loopback_queue - a queue to start
 * @size, @space, @desc, @driver, @device, @base: as in struct vq_cfg
 * @kick_fd:	eventfd, borrowed; -1: the device has to poll
 * @call_fd:	eventfd to be written, borrowed; -1: none
 * @call, @ctx:	called instead, on the queue's worker; must not block
 * @err_fd:	eventfd written when the ring is found broken, borrowed; -1: none
 * @disabled:	do not enable it yet
 */
struct loopback_queue {
	uint32_t size;
	enum gmem_space space;
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
	struct vq_base base;
	int kick_fd;
	int call_fd;
	void (*call)(void *ctx);
	void *ctx;
	int err_fd;
	bool disabled;
};

struct loopback *loopback_new(const struct loopback_args *a, struct err *e);
/* Resets the device first. Return: 0, or why it could not be reset in time (nothing is freed then). */
int loopback_free(struct loopback *lb, struct err *e);

uint64_t loopback_features(struct loopback *lb); /* offered */
int loopback_set_features(struct loopback *lb, uint64_t features, struct err *e);
int loopback_set_status(struct loopback *lb, uint8_t status, struct err *e);
int loopback_set_memory(struct loopback *lb, struct gmem *m, struct err *e);

/* Prepare, start, and enable. */
int loopback_queue_start(struct loopback *lb, unsigned int qi, const struct loopback_queue *q,
			 struct err *e);
int loopback_queue_enable(struct loopback *lb, unsigned int qi, bool on, struct err *e);
/* -ETIMEDOUT: requests were orphaned; @base is valid all the same. */
int loopback_queue_stop(struct loopback *lb, unsigned int qi, struct vq_base *base, struct err *e);
int loopback_queue_stats(struct loopback *lb, unsigned int qi, struct vq_stats *st, struct err *e);
/* Why queue @qi is broken, or NULL. Any thread. */
const char *loopback_queue_broken(const struct loopback *lb, unsigned int qi);

int loopback_config_read(struct loopback *lb, uint32_t off, void *buf, uint32_t len, struct err *e);
int loopback_config_write(struct loopback *lb, uint32_t off, const void *buf, uint32_t len,
			  struct err *e);
/* Becomes readable when the device says its configuration changed; read it to quieten it. */
int loopback_config_fd(const struct loopback *lb);

int loopback_reset(struct loopback *lb, struct err *e);

/* Run @fn on the control thread. For tests. */
int loopback_run(struct loopback *lb, int (*fn)(void *arg), void *arg, struct err *e);

/* With @pump: let the control loop do what is due, waiting at most @timeout_ms for something. */
int loopback_pump(struct loopback *lb, int timeout_ms);

#endif
