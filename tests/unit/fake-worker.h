/* SPDX-License-Identifier: MIT */
/*
 * The worker's interface (util/worker.h) without a thread: the test decides
 * when a turn happens. Link it instead of the real one.
 */
#ifndef TESTS_FAKE_WORKER_H
#define TESTS_FAKE_WORKER_H

#include "util/worker.h"

/* Run posted calls, poll what is active, flush. True if there was any work. */
bool fake_turn(struct worker *w);
/* Turns until there is nothing to do, arming as a sleeping worker would. */
void fake_settle(struct worker *w);
/* The driver rings: what an eventfd would do. */
void fake_ring(struct worker *w, int fd);

struct worker *fake_worker_new(void);
void fake_worker_free(struct worker *w);
/* What worker_batch_ns() says; 0 at first. */
void fake_set_batch(struct worker *w, uint32_t ns);
/* Number of pollers and descriptors registered. */
unsigned int fake_registered(const struct worker *w);

#endif
