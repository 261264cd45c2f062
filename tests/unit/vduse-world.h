/* SPDX-License-Identifier: MIT */
/* The VDUSE transport on a scripted kernel, with a device that can hold what it pops. */
#ifndef VDUSE_WORLD_H
#define VDUSE_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/vdev.h"
#include "../lib/fake-vduse.h"
#include "transport/transport.h"
#include "util/worker.h"
#include "vu/device.h"
#include "wire/virtio.h"

#define WORLD_QUEUES   2
#define WORLD_CONFIG   16
#define WORLD_RINGS    0x40000000ull /* a page for each queue */
#define WORLD_DATA     0x1000ull
#define WORLD_DATA_LEN 0x10000ull

#define STATUS_FEATURES \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK)
#define STATUS_OK (STATUS_FEATURES | VIRTIO_STATUS_DRIVER_OK)

struct world {
	struct fake_vduse *f;
	struct loop *loop;
	struct worker *workers[1];
	struct vu_dev *dev;
	struct transport *t;

	/* the device */
	atomic_bool hold;
	atomic_uint held;
	struct vu_chain *chain[16]; /* worker */
	struct worker_post release_post;

	/* what the owner was told */
	unsigned int ready, connected, disconnected, failed, stopped;
	int stop_res;
	char path[128];
	struct err fail, stop_err;
	unsigned int peer_queues;
};

/* A group's set-up and tear-down for each test: everything but the start. */
int world_setup(void **state);
int world_teardown(void **state); /* takes the device away if that is still to be done */

/* Starts the transport. With @wait turns the loop until ready or failed. */
void world_start(struct world *w, bool wait);

/* Turns the loop until @*flag is not 0, at most 5 s; false when it is not. */
bool world_until(struct world *w, const unsigned int *flag);
void world_turns(struct world *w, unsigned int ms);

/* Memory, rings of every queue, features; then the driver's way to DRIVER_OK. */
void world_rings(struct world *w);
void world_driver_ok(struct world *w);

/* Waits for a worker to get there: *what == want within 5 s. */
bool world_eventually(struct world *w, const atomic_uint *what, unsigned int want);
/* Same, for the used index of queue @qi. */
bool world_used(struct world *w, unsigned int qi, uint16_t want);

/* The device gives back what it holds. */
void world_release(struct world *w);

void world_stop(struct world *w, enum transport_stop how, bool wait);

#endif
