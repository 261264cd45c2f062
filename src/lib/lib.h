/* SPDX-License-Identifier: MIT */
/* The inside of the installed library, shared by its files. */
#ifndef LIB_LIB_H
#define LIB_LIB_H

#include <stdatomic.h>
#include <vu/frontend.h>

#include "frontend/blk.h"
#include "frontend/queue.h"
#include "frontend/vhost-user-client.h"
#include "util/err.h"
#include "wire/virtio.h"

/* ---- the last error ---- */

/* This thread's, to be handed to whatever can fail. */
struct err *lib_err(void);
/* A sentence that is there already: for calls on the data path. */
int lib_fail(int code, const char *id, const char *what);
/*
 * Take over a struct that may have grown since: @from begins with its size. One
 * that does not say its size was not filled in as the header asks: -EINVAL.
 */
int lib_take(void *to, size_t known, const void *from);

/* ---- memory ---- */

/**
 * struct vu_fe_mem
 * @refs:	the caller's one, and one for each device
 * @m:		the regions
 * @next:	next number to be given
 * @r:		of each region: how many queues and disks are in it, and its
 *		number, since another one may come to lie at the same addresses
 */
struct vu_fe_mem {
	atomic_uint refs;
	struct fe_mem m;
	uint64_t next;
	struct {
		unsigned int users;
		uint64_t nr;
	} r[FE_MEM_MAX_REGIONS];
};

/**
 * struct lib_lease - what a queue or a disk took of a region
 * @addr:	guest address of the region
 * @from, @to:	bytes of it that were handed out before and after; when nothing
 *		was taken since, giving back is possible
 */
struct lib_lease {
	struct vu_fe_mem *mem;
	uint64_t addr;
	uint64_t from, to;
};

/* Return: region with most room, -ENOMEM without any. */
int lib_lease_begin(struct lib_lease *l, struct vu_fe_mem *mem, struct err *e);
void lib_lease_taken(struct lib_lease *l);
/* Also after a begin alone, or all zero. */
void lib_lease_end(struct lib_lease *l);

struct vu_fe_mem *lib_mem_get(struct vu_fe_mem *mem);

/* ---- the front-end ---- */

enum lib_state {
	LIB_CONNECTED,
	LIB_NEGOTIATED,
	LIB_ACTIVE,
	LIB_ASLEEP,
};

/**
 * struct lib_vring - a ring as the device gets it
 * @set:	there is one
 * @running:	the device has it
 * @ring:	its driver, when that is ours
 * @base:	where it stands while it does not run
 */
struct lib_vring {
	bool set;
	bool running;
	uint32_t size;
	uint64_t desc, driver, device;
	struct vq_base base;
	int kick_fd, call_fd, err_fd;
	struct drv_ring *ring;
};

/* A message under way; see fe-msg.c. */
struct lib_msg;

/**
 * struct vu_fe
 * @t:		how the drivers of src/frontend see it
 * @back:	callbacks as the client wants them
 * @features:	accepted, without the socket's own bit
 * @raw:	as last sent in SET_FEATURES
 * @slot, @slot_nr, @nslots: regions the back-end was given one by one
 * @mem_told:	the back-end of this connection knows @mem
 * @closing:	no message may be started any more
 * @logging:	the back-end was told to note what it writes
 * @depth:	calls of ours that are under way, one inside a callback of another
 * @freed:	vu_fe_free() was called; the outermost of them frees
 */
struct vu_fe {
	struct fe_transport t;
	struct vuc *c;
	enum lib_state state;
	int timeout_ms;
	uint64_t pf_mask;
	struct vu_fe_callbacks cb;
	struct vuc_back_ops back;
	void *ctx;
	void (*trace)(void *ctx, const char *line);

	uint64_t offered;
	uint64_t features;
	uint64_t raw;
	unsigned int max_queues;
	uint8_t status;

	struct vu_fe_mem *mem;
	bool mem_told;
	unsigned int nslots;
	struct fe_region slot[FE_MEM_MAX_REGIONS];
	uint64_t slot_nr[FE_MEM_MAX_REGIONS];

	struct lib_vring vring[VHOST_USER_MAX_VRINGS];
	struct lib_msg *msgs;
	bool closing;
	bool logging;
	unsigned int depth;
	bool freed;
};

int lib_bad_state(const char *what);
static inline bool lib_has(const struct vu_fe *fe, uint64_t pf)
{
	return vuc_protocol_features(fe->c) & pf;
}

/*
 * Among the declarations of each public function that may call back: keeps @fe until
 * its end, though a callback should free it.
 */
#define LIB_HOLD(fe) \
	struct vu_fe *lib_held __attribute__((cleanup(lib_release), unused)) = lib_hold(fe)
static inline struct vu_fe *lib_hold(struct vu_fe *fe)
{
	fe->depth++;
	return fe;
}
void lib_release(struct vu_fe **held);

/*
 * The same for functions that call a function of the user: what it does leaves the
 * sentence alone that the call around it may have written already.
 */
#define LIB_KEEP_ERR() \
	struct err lib_kept __attribute__((cleanup(lib_err_restore), unused)) = *lib_err()
static inline void lib_err_restore(struct err *kept)
{
	*lib_err() = *kept;
}

/* fe-life.c */
int lib_set_features(struct vu_fe *fe, uint64_t accepted, struct err *e);
int lib_vring_start(struct vu_fe *fe, unsigned int i, struct err *e);
int lib_vring_stop(struct vu_fe *fe, unsigned int i, struct err *e);
int lib_vring_addr(struct vu_fe *fe, unsigned int i, struct err *e);
/* fe-mem.c */
int lib_tell_mem(struct vu_fe *fe, struct err *e);
/* Another one, or NULL, whose reference is taken over. */
void lib_use_mem(struct vu_fe *fe, struct vu_fe_mem *mem);
/* fe-back.c */
void lib_back_init(struct vu_fe *fe, const struct vu_fe_callbacks *cb);
/* fe-msg.c: those that are still there end with -ECANCELED */
void lib_msgs_drop(struct vu_fe *fe);
/* fe-transport.c */
void lib_transport_init(struct vu_fe *fe);

/* fe-queue.c: see vu_fe_queue_wait() and vu_fe_queue_arm() */
int lib_queue_wait(struct vu_fe *fe, struct fe_queue *q, int timeout_ms);
int lib_queue_arm(struct fe_queue *q);

#endif
