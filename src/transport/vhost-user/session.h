/* SPDX-License-Identifier: MIT */
/*
 * One vhost-user session: from the moment a front end is connected until the
 * device has been reset after it. Everything runs on the control loop.
 *
 * Messages are handled strictly one after the other: while one waits for a
 * worker, or its reply for room in the socket, nothing more is read. The
 * hang-up of the peer is noticed all the same.
 */
#ifndef VHOST_USER_SESSION_H
#define VHOST_USER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gmem.h"
#include "core/vdev.h"
#include "transport/transport.h"
#include "transport/vhost-user/backchan.h"
#include "transport/vhost-user/msg.h"
#include "transport/vhost-user/wire-io.h"
#include "util/err.h"
#include "util/loop.h"

/* How long in-flight requests may take once the device is to be stopped. */
#define VU_STOP_NS UINT64_C(10000000000)

struct vu_session;

/**
 * struct vu_session_events - what the owner of a session is told
 * @running:	the first queue runs
 * @waiting:	does another front end wait for its turn?
 * @gone:	the session has ended and the device is reset; vu_session_free() is
 *		due. Not called from inside any vu_session_*() call
 */
struct vu_session_events {
	void (*running)(void *ctx, struct vu_session *s);
	bool (*waiting)(void *ctx);
	void (*gone)(void *ctx, struct vu_session *s, int res);
};

/**
 * struct vu_ring - what the front end said about one ring
 * @size:	0: not said yet
 * @addr:	valid if @addr_set
 * @base:	as on the wire; valid if @base_set
 * @started:	between SET_VRING_KICK and GET_VRING_BASE; then @size, @addr
 *		and @base do not change
 * @enabled:	remembered also while stopped
 * @call:	given before the start; NULL afterwards, the core has it
 * @err_fd:	owned, -1: none
 */
struct vu_ring {
	uint32_t size;
	bool addr_set;
	bool base_set;
	bool started;
	bool enabled;
	bool packed; /* its format, while started */
	bool served; /* it was started in this session */
	struct vhost_user_vring_addr addr;
	uint32_t base;
	struct xport_call *call;
	int err_fd;
};

struct vu_session {
	struct vu_dev *dev;
	struct loop *loop;
	const struct vu_session_events *ev;
	void *ctx;

	struct vu_io io;
	pid_t pid;     /* of the peer, 0: unknown */
	char comm[32]; /* its name when it came */
	struct loop_fd src;
	struct loop_timer stall;  /* a peer that stopped in the middle of something */
	struct loop_timer settle; /* first ring runs; tell when the others had their chance */

	uint64_t protocol; /* negotiated protocol features */
	bool features_set;
	bool spoke;       /* at least one message came */
	bool announced;   /* ev->running is called or due */
	struct gmem *mem; /* one reference; NULL: none */
	struct vu_backchan back;

	struct vu_msg msg; /* being handled */
	bool busy;         /* @op is under way */
	struct vdev_wait op;
	void (*op_done)(struct vu_session *s, int res);
	unsigned int op_ring;
	struct vq_base op_base;

	bool closing;
	bool resetting;
	bool hurrying;
	struct vdev_wait reset;
	struct vdev_wait hurry; /* the same reset, with a deadline */
	int reset_res;
	char why[512]; /* one line: why it ended */

	unsigned int nrings;
	struct vu_ring rings[];
};

/* Takes @fd over, also on failure. NULL with @e on failure. */
struct vu_session *vu_session_new(struct vu_dev *dev, int fd, const struct vu_session_events *ev,
				  void *ctx, struct err *e);

/* Only from ev->gone or later. */
void vu_session_free(struct vu_session *s);

/* End it, with in-flight requests given up after @deadline_ns; ev->gone follows. */
void vu_session_stop(struct vu_session *s, uint64_t deadline_ns, const char *why);

/* Who is it? */
void vu_session_peer(const struct vu_session *s, struct transport_peer *peer);

/* The configuration changed: tell the front end, now or when its first queue runs. */
void vu_session_config_changed(struct vu_session *s);

/* The driver broke ring @qi: write to its error eventfd. */
void vu_session_ring_broken(struct vu_session *s, unsigned int qi);

/* ---- for the handlers ---- */

static inline bool vu_session_has(const struct vu_session *s, enum vhost_user_protocol_feature bit)
{
	return s->protocol & (UINT64_C(1) << bit);
}

/* Answer the present message with a reply of its own: VU_REPLIED, or -errno with @e. */
int vu_session_reply(struct vu_session *s, const void *payload, size_t len, struct err *e);

/*
 * Pause until a worker is done; @fn goes on from there. Give the return value
 * to a vdev_*() call and return VU_LATER.
 */
struct vdev_wait *vu_session_wait(struct vu_session *s, void (*fn)(struct vu_session *s, int res));

/*
 * The end of what vu_session_wait() began: acknowledge or refuse. @ret as a
 * handler returns it.
 */
void vu_session_answer(struct vu_session *s, int ret, const struct err *e);

/* A ring may have begun to run. */
void vu_session_check_running(struct vu_session *s);

/* Forget what was said about the rings; none may be started. */
void vu_rings_reset(struct vu_session *s);

/* msg-table.c names these; features.c, memory.c, vring.c, config.c have them. */
vu_handler vu_get_features, vu_set_features, vu_get_protocol_features, vu_set_protocol_features,
	vu_set_owner, vu_reset_owner, vu_reset_device, vu_get_queue_num;
vu_handler vu_set_mem_table, vu_add_mem_reg, vu_rem_mem_reg, vu_get_max_mem_slots;
vu_handler vu_set_vring_num, vu_set_vring_addr, vu_set_vring_base, vu_get_vring_base,
	vu_set_vring_kick, vu_set_vring_call, vu_set_vring_err, vu_set_vring_enable;
vu_handler vu_get_config, vu_set_config, vu_set_backend_req_fd;

#endif
