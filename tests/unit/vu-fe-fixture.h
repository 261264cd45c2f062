/* SPDX-License-Identifier: MIT */
/* A device of ours on one end of a socket pair, and the public front-end on the other. */
#ifndef TESTS_UNIT_VU_FE_FIXTURE_H
#define TESTS_UNIT_VU_FE_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vu/frontend.h>

#include "../lib/conf-dev.h"
#include "transport/transport.h"

#define WAIT_MS 60000
#define MB      UINT64_C(0x100000)

/**
 * struct link - a back-end's end of a connection
 * @gone:	the session has ended; @stopped: the transport, too
 */
struct link {
	struct conf_dev *d;
	struct transport *tr;
	struct transport_args args;
	int res;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool gone, stopped;
};

struct fix {
	struct conf_dev d;
	struct link l;
	struct vu_fe *fe;
	struct vu_fe_mem *mem;
	struct vu_fe_queue *q;
	struct vu_fe_seg segs[2];
	uint8_t *out, *in;
};

/* @storage NULL: the device that inverts (test-model.h). */
void fix_open(struct fix *f, const char *storage, const char *filter);
/* Return: the front-end's end of a new connection to the device. */
int fix_link_up(struct link *l, struct conf_dev *d);
/* The front-end has hung up; or, by force, is to lose its back-end now. */
void fix_link_down(struct link *l, bool by_force);
/* @pf: protocol features, 0: all. */
void fix_connect(struct fix *f, uint64_t pf);
/* 1 MiB at 0, and two buffers of 64 bytes. */
void fix_make_mem(struct fix *f);
/* Negotiate, memory, a queue of 64, activate. */
void fix_bring_up(struct fix *f, uint64_t features, uint32_t table);
void fix_close(struct fix *f);

int fix_setup(void **state);
int fix_setup_disk(void **state);
int fix_teardown(void **state);

/* Hand 64 bytes of @x over; the device will write them back inverted. */
void fix_begin(struct fix *f, uint8_t x, void *cookie);
void fix_finish(struct fix *f, uint8_t x, void *cookie);
void fix_round_trip(struct fix *f, uint8_t x);

#endif
