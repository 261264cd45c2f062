/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user transport on a real socket with a real device and a small
 * model behind it, and a front end made of hand-made messages.
 */
#ifndef TESTS_UNIT_VU_WORLD_H
#define TESTS_UNIT_VU_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/vdev.h"
#include "transport/transport.h"
#include "util/loop.h"
#include "util/worker.h"
#include "wire/vhost-user.h"
#include "wire/virtio.h"

extern const struct transport_ops vhost_user_transport;

#define QUEUES     2
#define RING_SIZE  8
#define GPA        UINT64_C(0x100000000)
#define UVA        UINT64_C(0x7f0000000000)
#define MEM_SIZE   UINT64_C(0x100000)
#define DESC_OFF   0x1000
#define AVAIL_OFF  0x2000
#define USED_OFF   0x3000
#define QUEUE_STEP 0x4000 /* the next queue's rings */
#define DATA_OFF   0x80000
#define LATER_OFF  12 /* one byte written there takes until vu_dev_config_written() */
#define ACK        (VHOST_USER_VERSION | VHOST_USER_F_NEED_REPLY)
#define BIT30      VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)
#define V1         VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define PROTO(x)   (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)
#define PROTO_ALL                                                                                  \
	(PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(BACKEND_REQ) | PROTO(CONFIG) | PROTO(RESET_DEVICE) | \
	 PROTO(CONFIGURE_MEM_SLOTS))
#define SECOND UINT64_C(1000000000)

/* The model answers with one byte per request, or keeps requests until told. */
struct model {
	atomic_bool hold;
	atomic_uint served;
	atomic_uint held_n;
	struct vu_chain *held[RING_SIZE];
	atomic_uint starts, stops, resets, negotiations;
	uint8_t written[16]; /* config_write */
	unsigned int writes;
};

extern const struct vu_model world_model;

struct world {
	struct loop *loop;
	struct worker *worker;
	struct vu_dev *dev;
	struct model model;
	struct transport *t;
	char dir[64], path[108];
	unsigned int fds_before;

	unsigned int ready, connected, disconnected, failed;
	struct transport_peer peer;
	char why[512];
	bool stopped;
	int stop_res;

	int sock; /* the front end's */
	int memfd;
	uint8_t *mem;
	int kick[QUEUES], call[QUEUES];
	uint16_t avail[QUEUES];
	char log[16384];
};

/* Turn the loop until the condition holds; fail after ten seconds. */
#define UNTIL(w, cond)                                                            \
	do {                                                                      \
		uint64_t until = clock_ns() + 10 * SECOND;                        \
		while (!(cond)) {                                                 \
			if (clock_ns() > until)                                   \
				fail_msg("never: %s; log:\n%s", #cond, (w)->log); \
			loop_turn((w)->loop, 5);                                  \
		}                                                                 \
	} while (0)

/*
 * world_*: set-up and what can be seen from outside; world_bare() has a
 * device and no transport yet, world_setup() one that serves a connected
 * front end. fe_say_*: send; fe_ask_*: send with need_reply and return the
 * answer. Everything fails the test by itself when it takes ten seconds.
 */
void world_model_release(void *arg);
unsigned int world_count_fds(void);
unsigned int world_count_maps(const char *what);
void world_turn_for(struct world *w, uint64_t ns);
int world_start(struct world *w, int fd, bool once, struct err *e);
void world_stop_begin(struct world *w, enum transport_stop how);
void world_stop(struct world *w);
int fe_connect(struct world *w);
int world_bare(void **state);
int world_setup(void **state);
int world_teardown(void **state);
void fe_send(int sock, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	     const int *fds, unsigned int nfds);
bool fe_readable(int fd);
uint32_t fe_reply(struct world *w, uint32_t request, void *payload, size_t room);
uint64_t fe_ask_u64(struct world *w, uint32_t request, uint32_t flags, const void *payload,
		    uint32_t size);
void fe_sync(struct world *w);
void fe_say_u64(struct world *w, uint32_t request, uint64_t v);
void fe_say_state(struct world *w, uint32_t request, uint32_t index, uint32_t num);
uint64_t fe_ask_state(struct world *w, uint32_t request, uint32_t index, uint32_t num);
void fe_say_fd(struct world *w, uint32_t request, uint64_t v, int fd);
uint64_t fe_ask_fd(struct world *w, uint32_t request, uint64_t v, int fd);
void fe_say_table(struct world *w);
void fe_say_addr(struct world *w, unsigned int qi);
void fe_negotiate(struct world *w, uint64_t features);
void fe_describe_ring(struct world *w, unsigned int qi, uint32_t base);
void fe_start_ring(struct world *w, unsigned int qi, uint32_t base);
void fe_start_all(struct world *w);
uint32_t fe_stop_ring(struct world *w, unsigned int qi);
uint16_t *fe_ring16(struct world *w, unsigned int qi, size_t off);
uint16_t fe_used_idx(struct world *w, unsigned int qi);
void fe_submit(struct world *w, unsigned int qi);
bool fe_rang(int fd);
void fe_hung_up(struct world *w);

#define BARE(f) cmocka_unit_test_setup_teardown(f, world_bare, world_teardown)
#define LIVE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

#endif
