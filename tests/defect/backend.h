/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user back-end for a disk in memory that is slow, simple, and has
 * everything that `vuctl check` looks at: a second opinion beside the engine,
 * with which it shares nothing but layouts, and, by its switchable defects
 * (defect.h), the proof that each case can fail.
 *
 * One thread, one poll loop, one front-end at a time. A request is finished
 * before the next thing is looked at. What a front-end or a driver does wrong
 * ends the session or breaks the ring, never the process.
 */
#ifndef TESTS_DEFECT_BACKEND_H
#define TESTS_DEFECT_BACKEND_H

#include <poll.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "defect.h"
#include "naive-dev.h"
#include "wire/vhost-user.h"
#include "wire/virtio-blk.h"
#include "wire/virtio.h"

#define BE_MAX_QUEUES  16
#define BE_MAX_SLOTS   64
#define BE_QUEUE_MAX   1024 /* entries */
#define BE_CONFIG_SIZE 256
#define BE_POLL_MAX    (BE_MAX_QUEUES + 4)

#define PF(x) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)

/* Guest memory: one mapped region. */
struct be_region {
	uint64_t gpa, size, uva;
	uint8_t *host;
	void *map;
	size_t map_size;
};

/* A mapping of shared memory that is not the guest's: the log, the in-flight record. */
struct be_shared {
	uint8_t *p;
	uint64_t size;
	void *map;
	size_t map_size;
};

/**
 * struct be_ring - one ring
 * @num, @addr, @base: as the front-end said
 * @kick, @call, @err: eventfds, -1: none
 * @started, @enable: "Ring states"; @broken: the driver broke the rules
 * @again:	there may be more in the ring than the last turn took
 * @dev:	where we stand, while started
 * @record:	our part of the in-flight record, NULL: none
 */
struct be_ring {
	unsigned int index;
	uint32_t num, base;
	struct vhost_user_vring_addr addr;
	bool addr_set, base_set;
	int kick, call, err;
	bool started, enable, broken, again;
	struct naive_dev dev;
	uint8_t *record;
	uint64_t record_counter;
	uint16_t todo[BE_QUEUE_MAX]; /* entries of it to be handled again, in order */
	unsigned int ntodo, todo_done;
};

/* A transfer of device state; state.c. */
struct be_transfer {
	int fd; /* -1: none under way */
	bool load;
	uint8_t buf[4096];
	size_t len, done;
	int result; /* of the last one: 0 good, 1 bad, -1 there was none */
	bool check_waits;
};

/* A message as it comes in. */
struct be_msg {
	struct vhost_user_hdr h;
	union {
		union vhost_user_payload p;
		struct vhost_user_log log;
		struct vhost_user_inflight inflight;
		struct vhost_user_iotlb iotlb;
		struct vhost_user_transfer transfer;
		struct vhost_user_uuid uuid;
	};
	int fds[VHOST_USER_MAX_FDS];
	unsigned int nfds;
	size_t got; /* bytes so far */
};

struct be {
	/* the program */
	int listener;
	unsigned int queues;
	bool read_only;
	bool own_state_fd; /* answer SET_DEVICE_STATE_FD with a channel of our own */

	/* the device: lasts over sessions */
	uint8_t *disk;
	uint64_t disk_size;
	unsigned int queue; /* whose request is being handled */
	uint64_t requests;  /* finished, part of the device state */
	uint8_t writeback;
	uint64_t written_capacity; /* for a defect: what SET_CONFIG made of it */
	unsigned int sessions;

	/* the session */
	int fd; /* -1: none */
	int back_fd;
	struct be_msg in;
	uint64_t features, protocol;
	uint8_t status;
	unsigned int owners, resets, protocols, asked; /* messages so far */
	uint8_t *last_write;                           /* to guest memory */
	struct be_region region[BE_MAX_SLOTS];
	unsigned int nregions;
	struct be_ring ring[BE_MAX_QUEUES];
	struct be_shared log, inflight;
	uint16_t inflight_queues, inflight_size;
	int log_fd;
	struct be_transfer transfer;
	uint8_t bounce[65536]; /* tables that cross regions */

	/* SIGBUS lands here while @landing */
	sigjmp_buf land;
	volatile bool landing;
};

/* Results of message handlers. */
enum {
	BE_OK,      /* acknowledge with 0 if asked */
	BE_REFUSE,  /* acknowledge with an error if asked, else end the session */
	BE_REPLIED, /* the handler has answered */
	BE_CLOSE,   /* end the session */
};

static inline bool be_has(const struct be *b, unsigned int virtio_bit)
{
	return b->features >> virtio_bit & 1;
}

/* ---- main.c ---- */

void be_session_end(struct be *b);

/* ---- msg.c ---- */

/* Read what is there; handle a message when it is complete. */
void msg_readable(struct be *b);
/* Answer the message in b->in; @fd -1: none. */
int msg_reply(struct be *b, const void *payload, uint32_t size, int fd);
int msg_reply_u64(struct be *b, uint64_t v);
/* A descriptor that came along, now the caller's. */
int msg_take_fd(struct be *b);

/* ---- features.c ---- */

uint64_t features_offered(const struct be *b);
uint64_t protocol_offered(const struct be *b);
int on_get_features(struct be *b, struct be_msg *m);
int on_set_features(struct be *b, struct be_msg *m);
int on_get_protocol_features(struct be *b, struct be_msg *m);
int on_set_protocol_features(struct be *b, struct be_msg *m);
int on_set_owner(struct be *b, struct be_msg *m);
int on_reset_owner(struct be *b, struct be_msg *m);
int on_get_queue_num(struct be *b, struct be_msg *m);
int on_set_backend_req_fd(struct be *b, struct be_msg *m);
int on_get_config(struct be *b, struct be_msg *m);
int on_set_config(struct be *b, struct be_msg *m);
int on_reset_device(struct be *b, struct be_msg *m);
int on_set_status(struct be *b, struct be_msg *m);
int on_get_status(struct be *b, struct be_msg *m);
int on_get_shmem_config(struct be *b, struct be_msg *m);
int on_get_shared_object(struct be *b, struct be_msg *m);

/* ---- mem.c ---- */

int on_set_mem_table(struct be *b, struct be_msg *m);
int on_get_max_mem_slots(struct be *b, struct be_msg *m);
int on_add_mem_reg(struct be *b, struct be_msg *m);
int on_rem_mem_reg(struct be *b, struct be_msg *m);
void mem_drop(struct be *b);
/* Of user addresses; NULL: not in one region. */
uint8_t *mem_of_uva(const struct be *b, uint64_t uva, uint64_t len);
/* For naive_dev: of guest addresses. A range over two regions is copied together. */
void *mem_translate(void *be, uint64_t gpa, uint64_t len);
/* Copy; the range was translated before. False: it is not there any more. */
bool mem_read(struct be *b, uint64_t gpa, void *to, size_t len);
bool mem_write(struct be *b, uint64_t gpa, const void *from, size_t len);
/* Map a descriptor, which is closed; 0 or -1. */
int shared_map(struct be_shared *s, int fd, uint64_t offset, uint64_t size);
void shared_unmap(struct be_shared *s);

/* ---- ring.c ---- */

int on_set_vring_num(struct be *b, struct be_msg *m);
int on_set_vring_addr(struct be *b, struct be_msg *m);
int on_set_vring_base(struct be *b, struct be_msg *m);
int on_get_vring_base(struct be *b, struct be_msg *m);
int on_set_vring_kick(struct be *b, struct be_msg *m);
int on_set_vring_call(struct be *b, struct be_msg *m);
int on_set_vring_err(struct be *b, struct be_msg *m);
int on_set_vring_enable(struct be *b, struct be_msg *m);
/* Find the rings again after the memory changed. */
void ring_remap(struct be *b);
void ring_stop_all(struct be *b);
void ring_reset(struct be_ring *r);
void ring_reset_all(struct be *b);
bool ring_any_started(const struct be *b);
/* Is it to be looked at without a kick? */
bool ring_wants_turn(const struct be *b, const struct be_ring *r);
/* Take what is in the ring. */
void ring_turn(struct be *b, struct be_ring *r);
/* Handle @c, which is @entry of the in-flight record, and give it back. */
void ring_finish(struct be *b, struct be_ring *r, const struct naive_chain *c, uint32_t entry);
void ring_break(struct be *b, struct be_ring *r, const char *why);
void ring_ring_bell(int fd);

/* ---- ring-defects.c: what defects make of rings ---- */

#define RD_DROP UINT32_MAX /* a used length: the request is never given back */

/* A legal chain; false: it breaks the ring all the same. */
bool rd_chain(struct be *b, struct be_ring *r, const struct naive_chain *c);
/* An illegal one. */
void rd_bad(const char *why);
int rd_pop(struct be_ring *r, struct naive_chain *c, const char **why);
bool rd_arm(struct be_ring *r);
unsigned int rd_turn(struct be_ring *r);
void rd_turned(struct be_ring *r, unsigned int n, int got);
bool rd_push(struct be *b, struct be_ring *r, const struct naive_chain *c, uint32_t used);
bool rd_call(struct be_ring *r);
bool rd_may_start(struct be *b, struct be_ring *r, uint32_t *base);
void rd_started(struct be_ring *r);
bool rd_stop(struct be *b, struct be_ring *r);

/* ---- blk.c ---- */

void blk_config(const struct be *b, uint8_t cfg[BE_CONFIG_SIZE]);
void blk_reset(struct be *b);
/* Returns the used length; false: the chain is no request. */
bool blk_handle(struct be *b, const struct naive_chain *c, uint32_t *used);

/* ---- log.c ---- */

int on_set_log_base(struct be *b, struct be_msg *m);
int on_set_log_fd(struct be *b, struct be_msg *m);
/* Guest memory was written. */
void log_data(struct be *b, uint64_t gpa, uint64_t len);
/* The used ring was, @off bytes from its start (packed: the descriptor ring's). */
void log_used(struct be *b, const struct be_ring *r, uint64_t off, uint64_t len);

/* ---- inflight.c ---- */

int on_get_inflight_fd(struct be *b, struct be_msg *m);
int on_set_inflight_fd(struct be *b, struct be_msg *m);
/* The ring starts: recover from its part of the record, if there is one. False: it does not fit. */
bool inflight_start(struct be *b, struct be_ring *r);
/* What the record says was in flight, one a call: as naive_pop(). */
int inflight_next(struct be_ring *r, struct naive_chain *c, uint32_t *entry, const char **why);
/* A chain was fetched; @slot is where it began (packed). Returns its entry. */
uint32_t inflight_fetch(struct be_ring *r, const struct naive_chain *c, uint32_t slot);
/* Before and after it is given back. */
void inflight_before_used(struct be_ring *r, uint32_t entry, const struct naive_chain *c);
void inflight_after_used(struct be_ring *r, uint32_t entry, const struct naive_chain *c);

/* ---- state.c ---- */

int on_set_device_state_fd(struct be *b, struct be_msg *m);
int on_check_device_state(struct be *b, struct be_msg *m);
short state_events(const struct be *b);
/* The descriptor is ready. */
void state_ready(struct be *b);
void state_drop(struct be *b);

#endif
