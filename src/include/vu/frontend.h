/* SPDX-License-Identifier: MIT */
/**
 * @file frontend.h
 * The VMM's side of a vhost-user socket: drive any virtio device that a
 * back-end offers, as a virtual machine monitor and its guest would.
 *
 *	connect -> negotiate -> memory -> queues -> activate
 *	             ^                                  |  sleep, wake
 *	             +------------- reset --------------+
 *
 * vu_fe_blk_open() does all of it for a disk.
 *
 * Returns: 0 (or a count) or -errno; pointers: NULL. The reason is in
 * <vu/error.h>. What a back-end does not offer is -EOPNOTSUPP, what it refuses
 * -EREMOTEIO, a call in the wrong moment -EBUSY. Every wait for the
 * back-end ends after vu_fe_opts.timeout_ms at the latest. After -EPROTO,
 * -EPIPE, -ECONNRESET or -ETIMEDOUT of a message the connection is dead, and
 * all that needs it answers -ENOTCONN: see vu_fe_reconnect_fd().
 *
 * Units: sizes, offsets and lengths are bytes; guest addresses are
 * guest-physical; numbers are in the byte order of the machine unless said
 * otherwise. All structs may grow at their end: set struct_size where there is
 * one, and let the rest be zero.
 *
 * Threads: a struct vu_fe, with its memory, belongs to one thread at a time;
 * different ones need nothing of each other. A queue that was activated may be
 * used by a thread of its own, one at a time, while another has the rest of the
 * front-end; see vu_fe_queue_wait(). Callbacks run on the thread that made
 * the call they are called from.
 */
#ifndef VU_FRONTEND_H
#define VU_FRONTEND_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vu/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One device behind one socket. */
struct vu_fe;
/** Guest memory, for one device or several. */
struct vu_fe_mem;
/** The driver's side of a virtqueue. */
struct vu_fe_queue;
/** A virtio-blk driver. */
struct vu_fe_blk;

/* Feature bits of virtio (VIRTIO 1.3 section 6) that matter to queues. */
#define VU_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VU_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VU_F_VERSION_1     (UINT64_C(1) << 32)
#define VU_F_RING_PACKED   (UINT64_C(1) << 34)

/* Protocol features of vhost-user, as far as the library has a use for them. */
#define VU_PF_MQ              (UINT64_C(1) << 0)
#define VU_PF_LOG_SHMFD       (UINT64_C(1) << 1)
#define VU_PF_REPLY_ACK       (UINT64_C(1) << 3)
#define VU_PF_BACKEND_REQ     (UINT64_C(1) << 5)
#define VU_PF_CONFIG          (UINT64_C(1) << 9)
#define VU_PF_BACKEND_SEND_FD (UINT64_C(1) << 10)
#define VU_PF_HOST_NOTIFIER   (UINT64_C(1) << 11)
#define VU_PF_INFLIGHT_SHMFD  (UINT64_C(1) << 12)
#define VU_PF_RESET_DEVICE    (UINT64_C(1) << 13)
#define VU_PF_MEM_SLOTS       (UINT64_C(1) << 15)
#define VU_PF_STATUS          (UINT64_C(1) << 16)
#define VU_PF_SHARED_OBJECT   (UINT64_C(1) << 18)
#define VU_PF_DEVICE_STATE    (UINT64_C(1) << 19)
#define VU_PF_SHMEM           (UINT64_C(1) << 22)

/* ---- requests of the back-end ------------------------------------------------ */

/** A piece of a VIRTIO shared memory region to be mapped or unmapped. */
struct vu_fe_shmem {
	uint8_t shmid;       /**< which region */
	bool writable;       /**< map only */
	uint64_t fd_offset;  /**< map only: where it starts in the file */
	uint64_t shm_offset; /**< where it goes in the region */
	uint64_t len;
};

/** One entry of the device's translation table, or a request for one. */
struct vu_fe_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t uaddr; /**< the address of the memory in this process */
	uint8_t perm;   /**< 1 read, 2 write, 3 both */
	uint8_t type;   /**< VU_FE_IOTLB_* */
};

#define VU_FE_IOTLB_MISS        1 /* the back-end asks */
#define VU_FE_IOTLB_UPDATE      2
#define VU_FE_IOTLB_INVALIDATE  3
#define VU_FE_IOTLB_ACCESS_FAIL 4 /* the back-end tells */

/**
 * struct vu_fe_callbacks - what the back-end may ask for; each is optional
 *
 * Called from whatever call on the front-end happens to wait, and from
 * vu_fe_process(). Return 0 or -errno, which the back-end is told if it wants
 * to know. A request without a function is refused. File descriptors are
 * borrowed: dup() what is to be kept; -1: none came. A callback may use
 * vu_fe_start(), and vu_fe_free() when no queue or disk is left, but nothing
 * that waits for the same back-end. What fails in it leaves vu_error() of the
 * call around it alone.
 */
struct vu_fe_callbacks {
	size_t struct_size; /**< sizeof(struct vu_fe_callbacks) */
	/** The configuration space changed; read it again, later. See also vu_fe_config_wait(). */
	int (*config_changed)(void *ctx);
	/** Map @fd into, or unmap from, a VIRTIO shared memory region. */
	int (*shmem_map)(void *ctx, const struct vu_fe_shmem *m, int fd);
	int (*shmem_unmap)(void *ctx, const struct vu_fe_shmem *m);
	/** Shared objects (virtio-dmabuf) by their UUID, 16 bytes. */
	int (*object_add)(void *ctx, const uint8_t *uuid);
	int (*object_remove)(void *ctx, const uint8_t *uuid);
	/** Set *@fd, which the library closes after it was sent; -1: there is none. */
	int (*object_lookup)(void *ctx, const uint8_t *uuid, int *fd);
	/** crosvm's own two requests; the payload is as it came. */
	int (*gpu_map)(void *ctx, const void *payload, uint32_t size, int fd);
	int (*external_map)(void *ctx, const void *payload, uint32_t size);
	/** A miss, to be answered with vu_fe_iotlb() later, or a failed access. */
	int (*iotlb)(void *ctx, const struct vu_fe_iotlb *m);
	/** Doorbell memory of queue @index; taken away when @fd is -1. */
	int (*host_notifier)(void *ctx, unsigned int index, uint64_t offset, uint64_t size, int fd);
	/** Any other request. */
	int (*other)(void *ctx, uint32_t request, const void *payload, uint32_t size, int fd);
};

/* ---- connection --------------------------------------------------------------- */

/** struct vu_fe_opts - how to connect; NULL or zeroes: as the comments say */
struct vu_fe_opts {
	size_t struct_size;                      /**< sizeof(struct vu_fe_opts) */
	int timeout_ms;                          /**< for each message; 0: 10 seconds */
	uint64_t protocol_features;              /**< use only these VU_PF_*; 0: all above */
	const struct vu_fe_callbacks *callbacks; /**< copied; NULL: none */
	void *ctx;                               /**< for @callbacks and @trace */
	/** Called with a line of text for every message that is sent or comes; calls nothing here. */
	void (*trace)(void *ctx, const char *line);
};

/**
 * vu_fe_connect() - connect to a back-end that listens on a UNIX socket
 *
 * The socket's own matters are settled before it returns: owner, protocol
 * features, the back-channel, the number of queues.
 *
 * Return: a front-end, free it with vu_fe_free(); NULL on failure.
 */
struct vu_fe *vu_fe_connect(const char *path, const struct vu_fe_opts *opts);

/** The same over a connected socket, which now belongs to the library, also on failure. */
struct vu_fe *vu_fe_connect_fd(int fd, const struct vu_fe_opts *opts);

/**
 * vu_fe_reconnect_fd() - go on with another connection
 * @fe:		asleep, or its connection is dead
 * @fd:		connected socket, taken over, also on failure
 *
 * For a back-end that was started again, or the destination of a device's
 * state. What was negotiated, and the memory, is told again; the device is
 * asleep then: give it its state or in-flight record, and vu_fe_wake() it.
 * A split ring whose back-end died goes on at its used index; a packed ring
 * is lost unless nothing was in flight (-EOPNOTSUPP). -EBUSY in a callback.
 */
int vu_fe_reconnect_fd(struct vu_fe *fe, int fd);

/**
 * vu_fe_free() - close and free; NULL is fine
 *
 * Queues and disks must be freed before; memory after or before. Messages
 * under way end before it returns. In a callback the rest is done when the call
 * returns that the callback was called from; until then nothing else may be
 * called with @fe, but vu_fe_free() again does no harm.
 */
void vu_fe_free(struct vu_fe *fe);

/** Virtio feature bits the device offers. */
uint64_t vu_fe_offered(const struct vu_fe *fe);
/** VU_PF_* that are in use. */
uint64_t vu_fe_protocol_features(const struct vu_fe *fe);
/** How many queues the back-end says it has at most; 0: it does not say (no VU_PF_MQ). */
unsigned int vu_fe_max_queues(const struct vu_fe *fe);

/**
 * vu_fe_negotiate() - accept features
 * @wanted:	virtio feature bits; those that are not offered are left out,
 *		and VU_F_VERSION_1 is always accepted when it is offered
 *
 * Before any queue. May be repeated until vu_fe_activate().
 */
int vu_fe_negotiate(struct vu_fe *fe, uint64_t wanted);
/** What was accepted; 0 before vu_fe_negotiate(). */
uint64_t vu_fe_features(const struct vu_fe *fe);

/** @len bytes at @off of the device's configuration space, at most 256; little endian. */
int vu_fe_config_read(struct vu_fe *fe, uint32_t off, void *buf, uint32_t len);
int vu_fe_config_write(struct vu_fe *fe, uint32_t off, const void *buf, uint32_t len);
/** 1: the configuration changed (each change is told once), 0: not within @timeout_ms. */
int vu_fe_config_wait(struct vu_fe *fe, int timeout_ms);

/* ---- guest memory --------------------------------------------------------------- */

/** Empty guest memory. It is counted: it goes when it was freed and no device uses it. */
struct vu_fe_mem *vu_fe_mem_new(void);
void vu_fe_mem_free(struct vu_fe_mem *mem);

/**
 * vu_fe_mem_add() - make a region of shared memory
 * @addr:	guest address of its first byte
 * @size:	both multiples of the page size
 *
 * Devices do not know it before vu_fe_set_mem().
 *
 * Return: where it is mapped; zeroed. NULL on failure.
 */
void *vu_fe_mem_add(struct vu_fe_mem *mem, uint64_t addr, uint64_t size);
/** The same from a file that can be shared (a memfd); @fd is borrowed. */
void *vu_fe_mem_add_fd(struct vu_fe_mem *mem, uint64_t addr, uint64_t size, int fd,
		       uint64_t offset);
/**
 * vu_fe_mem_remove() - take away the region that starts at @addr
 *
 * -EBUSY while a queue is in it. Buffers of requests under way must not be.
 * Devices keep it until vu_fe_set_mem().
 */
int vu_fe_mem_remove(struct vu_fe_mem *mem, uint64_t addr);

/**
 * vu_fe_mem_alloc() - take memory for buffers
 * @align:	power of two
 * @addr:	out: its guest address
 *
 * From the first region with room. Given back only with the region.
 *
 * Return: where it is mapped, or NULL: there is no room.
 */
void *vu_fe_mem_alloc(struct vu_fe_mem *mem, uint64_t size, uint64_t align, uint64_t *addr);
/** Where a guest address is mapped; NULL unless all @len bytes are in one region. */
void *vu_fe_mem_host(const struct vu_fe_mem *mem, uint64_t addr, uint64_t len);

/**
 * vu_fe_set_mem() - tell the device its memory
 *
 * Again after each change, also while it runs. With VU_PF_MEM_SLOTS only the
 * difference is sent, and there may be up to 509 regions, or as many as the
 * back-end takes; without, all are sent at once, and there may be eight.
 */
int vu_fe_set_mem(struct vu_fe *fe, struct vu_fe_mem *mem);

/* ---- queues ----------------------------------------------------------------------- */

/** One buffer of a chain, in guest memory; those the device writes come last. */
struct vu_fe_seg {
	uint64_t addr;     /**< guest address */
	uint32_t len;      /**< bytes */
	uint32_t writable; /**< 1: the device writes it, 0: it reads it */
};

/** A chain that the device gave back. */
struct vu_fe_used {
	void *cookie; /**< as given to vu_fe_queue_add() */
	uint32_t len; /**< bytes written; never more than there was room for */
};

/**
 * vu_fe_queue_new() - make a queue in the device's memory
 * @index:	which queue of the device
 * @size:	entries, at most 32768; split rings: a power of two
 * @table:	longest chain to be put into an indirect table, 0: none; at most
 *		32768. Takes 16 * @table * @size bytes
 *
 * After vu_fe_negotiate(), which decides on the ring format, and
 * vu_fe_set_mem(). The device gets it with vu_fe_activate().
 */
struct vu_fe_queue *vu_fe_queue_new(struct vu_fe *fe, unsigned int index, uint32_t size,
				    uint32_t table);
/** Stop (if it runs) and free it. Chains in flight are forgotten. NULL is fine. */
void vu_fe_queue_free(struct vu_fe_queue *q);

/**
 * vu_fe_queue_add() - write a chain of @n buffers into the ring
 * @cookie:	comes back from vu_fe_queue_get(); not NULL
 *
 * With VU_F_INDIRECT_DESC chains of two and more buffers that fit go into an
 * indirect table. The device does not see the chain before vu_fe_queue_publish().
 *
 * Return: 0; -ENOSPC: the ring is full; -EINVAL: the chain is not legal; -EIO:
 * the ring is broken.
 */
int vu_fe_queue_add(struct vu_fe_queue *q, const struct vu_fe_seg *segs, unsigned int n,
		    void *cookie);
/** Show the device what was added, and kick it if it wants that. */
void vu_fe_queue_publish(struct vu_fe_queue *q);
/** Kick it whatever it wants. */
void vu_fe_queue_kick(struct vu_fe_queue *q);
/** Take up to @max chains the device has finished; returns how many. Never waits. */
unsigned int vu_fe_queue_get(struct vu_fe_queue *q, struct vu_fe_used *used, unsigned int max);

/**
 * vu_fe_queue_wait() - wait until there is something to get
 * @timeout_ms:	0: only look, -1: no limit
 *
 * Answers the back-end's requests meanwhile, so it is to be called on the
 * front-end's thread. A queue on another thread uses vu_fe_queue_arm() and
 * poll(2).
 *
 * Return: 1; 0 at the end of the time; -EIO: one side found the ring broken;
 * -ENOTCONN: the back-end is gone.
 */
int vu_fe_queue_wait(struct vu_fe_queue *q, int timeout_ms);
/**
 * vu_fe_queue_arm() - ask for a call
 *
 * Return: 0: vu_fe_queue_call_fd() becomes readable when there is something to
 * get; 1: there is already; -EIO: the ring is broken.
 */
int vu_fe_queue_arm(struct vu_fe_queue *q);
/** Ask for no calls; a late one may still come. */
void vu_fe_queue_disarm(struct vu_fe_queue *q);
/** The eventfd that the device writes; read it away. It stays the library's. */
int vu_fe_queue_call_fd(const struct vu_fe_queue *q);
/** The eventfd the device writes when it finds the ring broken. */
int vu_fe_queue_err_fd(const struct vu_fe_queue *q);
/** Pause or go on; the ring keeps its place. */
int vu_fe_queue_enable(struct vu_fe_queue *q, bool on);
/** Chains added and not yet got back. */
unsigned int vu_fe_queue_in_flight(const struct vu_fe_queue *q);
/**
 * vu_fe_queue_lost() - chains that never come back
 *
 * After a reset, or when the connection is dead and will not be made anew.
 *
 * Return: the cookie of one of them, NULL: no more. The queue can only be freed then.
 */
void *vu_fe_queue_lost(struct vu_fe_queue *q);

/** Where a ring stands. Split: @avail only, free running. Packed: slots and wrap counters. */
struct vu_fe_base {
	uint16_t avail, used;
	bool avail_wrap, used_wrap;
};

/**
 * struct vu_fe_vring - a ring that somebody else drives: a guest
 * @desc, @driver, @device: guest addresses of its three parts (VIRTIO 1.3 section 2.6)
 * @base:	where the device goes on: all zero for a new ring, packed ones start with
 *		both wrap counters set
 * @kick_fd, @call_fd, @err_fd: eventfds, borrowed as long as the ring is set; -1: none
 */
struct vu_fe_vring {
	uint32_t size;
	uint64_t desc, driver, device;
	struct vu_fe_base base;
	int kick_fd, call_fd, err_fd;
};

/** Set up ring @index; NULL: forget it. Not while it runs. Guest memory must be set. */
int vu_fe_vring_set(struct vu_fe *fe, unsigned int index, const struct vu_fe_vring *v);
/** How ring @index is set up, with the base as of the last vu_fe_sleep(). */
int vu_fe_vring_get(const struct vu_fe *fe, unsigned int index, struct vu_fe_vring *v);

/* ---- life ---------------------------------------------------------------------------- */

/** Start and enable all rings that are set up and do not run yet. */
int vu_fe_activate(struct vu_fe *fe);
/**
 * vu_fe_sleep() - stop all rings and reclaim where each stands
 *
 * The device finishes what it has taken, and then leaves the memory alone.
 * Chains may be added meanwhile, and finished ones be got.
 */
int vu_fe_sleep(struct vu_fe *fe);
/** Start all rings again where they stood. */
int vu_fe_wake(struct vu_fe *fe);
/**
 * vu_fe_reset() - back to before vu_fe_negotiate()
 *
 * Queues are useless then: vu_fe_queue_lost(), vu_fe_queue_free(). Memory stays.
 */
int vu_fe_reset(struct vu_fe *fe);

/* ---- snapshot, crash record, dirty log -------------------------------------------------- */

/**
 * vu_fe_save() - the device's own state (VU_PF_DEVICE_STATE); asleep only
 * @state:	out: malloc()ed, for free()
 * @size:	out
 *
 * A whole snapshot is that, vu_fe_vring_get() of each ring, and the memory.
 */
int vu_fe_save(struct vu_fe *fe, void **state, size_t *size);
/** Give the device a state; asleep, or before vu_fe_activate(). */
int vu_fe_load(struct vu_fe *fe, const void *state, size_t size);
/**
 * vu_fe_state_begin() - the same as a stream
 * @load:	false: read the state from it to its end; true: write the state to it
 *
 * Some back-ends write their state before they answer, and then no more than a
 * pipe holds fits; vu_fe_save() copes with that.
 *
 * Return: a descriptor (ours, or one that the back-end prefers), which is the
 * caller's: close it, then vu_fe_state_end().
 */
int vu_fe_state_begin(struct vu_fe *fe, bool load);
/** Did it work? -EREMOTEIO: no. */
int vu_fe_state_end(struct vu_fe *fe);

/**
 * struct vu_fe_inflight - a file in which the back-end notes requests under way
 *
 * Kept by the front-end, so that it outlives the back-end.
 */
struct vu_fe_inflight {
	int fd;
	uint16_t queues, queue_size;
	uint64_t size, offset; /**< of the part that is used */
};

/** Have the back-end make one, before vu_fe_activate(); @i->fd is the caller's. */
int vu_fe_inflight_get(struct vu_fe *fe, uint16_t queues, uint16_t queue_size,
		       struct vu_fe_inflight *i);
/** Give it one, before vu_fe_activate() or vu_fe_wake(). */
int vu_fe_inflight_set(struct vu_fe *fe, const struct vu_fe_inflight *i);

/**
 * vu_fe_log_start() - have the device note which pages it writes (VU_PF_LOG_SHMFD)
 * @fd:		file with one bit for each 4096 bytes of guest memory, borrowed
 * @size:	bytes of it, at @offset
 *
 * Needs a device that offers VHOST_F_LOG_ALL (bit 26). Also while it runs.
 */
int vu_fe_log_start(struct vu_fe *fe, int fd, uint64_t size, uint64_t offset);
int vu_fe_log_stop(struct vu_fe *fe);

/* ---- for some devices ---------------------------------------------------------------------- */

/** Change the device's translation table (features: bit 33, ACCESS_PLATFORM). */
int vu_fe_iotlb(struct vu_fe *fe, const struct vu_fe_iotlb *m);
/** Sizes of the VIRTIO shared memory regions by id, 0: none with it. Returns how many there are. */
int vu_fe_shmem_sizes(struct vu_fe *fe, uint64_t sizes[256]);
/** The device's shared object @uuid (16 bytes); *@fd is the caller's, -1: it has none. */
int vu_fe_shared_object(struct vu_fe *fe, const uint8_t *uuid, int *fd);
/** Give a GPU its display socket; @fd is borrowed. */
int vu_fe_gpu_socket(struct vu_fe *fe, int fd);

/* ---- without waiting -------------------------------------------------------------------------- */

/**
 * struct vu_fe_msg - any vhost-user message
 * @request:	number of the message
 * @payload, @size: what to send
 * @fds, @nfds:	descriptors to send along
 * @reply, @reply_max: where the answer goes, and how long it may be; @reply_max
 *		0: the message has none, and is acknowledged if VU_PF_REPLY_ACK is
 *		in use
 * @reply_min:	shorter answers end the connection
 * @reply_size:	out: how long the answer was
 * @reply_fd:	out: descriptor that came with it, the caller's; -1: none
 * @done:	vu_fe_start() only: @res is 0 or -errno, as vu_fe_call() would have
 *		returned it, with vu_error() set. The last use of the message. What
 *		callbacks may do: see struct vu_fe_callbacks
 * @ctx:	the caller's
 *
 * The library takes no notice of what a message changes.
 */
struct vu_fe_msg {
	uint32_t request;
	uint32_t size;
	const void *payload;
	const int *fds;
	unsigned int nfds;
	uint32_t reply_min, reply_max;
	void *reply;
	uint32_t reply_size;
	int reply_fd;
	void (*done)(struct vu_fe_msg *m, int res);
	void *ctx;
};

/** Send it and wait for its answer. */
int vu_fe_call(struct vu_fe *fe, struct vu_fe_msg *m);
/**
 * vu_fe_start() - send it, and have @m->done called when it is answered
 *
 * Never waits. Messages are answered in order. @m and what it points to must
 * stay until then; each message ends, at the latest when its time is up, or in
 * vu_fe_free() with -ECANCELED. On failure @done is not called.
 */
int vu_fe_start(struct vu_fe *fe, struct vu_fe_msg *m);
/**
 * vu_fe_events() - what to wait for
 * @p:		filled in, an unused entry has the descriptor -1
 *
 * Return: wait at most that many milliseconds, -1: no limit.
 */
int vu_fe_events(const struct vu_fe *fe, struct pollfd p[2]);
/** Do all that can be done without waiting. -ENOTCONN: the back-end is gone. */
int vu_fe_process(struct vu_fe *fe);

/* ---- a disk ------------------------------------------------------------------------------------- */

/** struct vu_fe_blk_opts - NULL or zeroes: as the comments say */
struct vu_fe_blk_opts {
	size_t struct_size;  /**< sizeof(struct vu_fe_blk_opts) */
	unsigned int queues; /**< 0: one */
	uint32_t queue_size; /**< entries, 0: 256 */
	uint32_t depth;      /**< requests in flight per queue, 0: as many as fit */
	uint64_t features;   /**< accept only these, 0: all the driver knows */
	bool no_indirect;    /**< accept no indirect tables */
	bool no_packed;      /**< accept no packed rings */
	bool no_event_idx;   /**< accept no event index */
	int timeout_ms;      /**< of the blocking calls, 0: 30 seconds */
};

struct vu_fe_blk_info {
	uint64_t features;
	uint64_t size; /**< bytes */
	uint32_t block_size;
	uint32_t max_segs;   /**< buffers of one request */
	unsigned int queues; /**< that are open */
	unsigned int max_queues;
	bool read_only, flush, discard, write_zeroes;
};

/**
 * vu_fe_blk_open() - negotiate, make the queues and start them
 * @fe:		connected, or reset
 *
 * Memory comes from vu_fe_set_mem(); when there is none, enough for the
 * queues and the blocking calls is made.
 */
struct vu_fe_blk *vu_fe_blk_open(struct vu_fe *fe, const struct vu_fe_blk_opts *opts);
/** Stop the queues and free. What the device does not give back ends with -ECANCELED. */
void vu_fe_blk_close(struct vu_fe_blk *b);
/** What the device said of itself; the library's, until closed. */
const struct vu_fe_blk_info *vu_fe_blk_info(const struct vu_fe_blk *b);
/** Ask again, after a change of the configuration. */
int vu_fe_blk_refresh(struct vu_fe_blk *b);

/* As in VIRTIO 1.3 section 5.2.6. */
#define VU_FE_BLK_READ         0
#define VU_FE_BLK_WRITE        1
#define VU_FE_BLK_FLUSH        4
#define VU_FE_BLK_GET_ID       8 /* @data: 20 bytes */
#define VU_FE_BLK_DISCARD      11
#define VU_FE_BLK_WRITE_ZEROES 13

#define VU_FE_BLK_UNMAP 1u /* flag of WRITE_ZEROES: the range may be deallocated */

/**
 * struct vu_fe_blk_io - one request
 * @type:	VU_FE_BLK_*
 * @flags:	VU_FE_BLK_UNMAP or 0
 * @offset:	on the disk, a multiple of 512
 * @length:	DISCARD, WRITE_ZEROES: bytes, a multiple of 512. Otherwise unused
 * @data, @ndata: buffers in guest memory (@writable is set by the library)
 * @done:	from vu_fe_blk_poll(): 0, -EIO, -EOPNOTSUPP, or -EPROTO when the
 *		device gave it back without a status. May submit
 * @ctx:	the caller's
 *
 * Must stay until @done, and so must its buffers.
 */
struct vu_fe_blk_io {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t length;
	const struct vu_fe_seg *data;
	uint32_t ndata;
	uint32_t used_len; /**< out: bytes the device says it wrote, its status included */
	void (*done)(struct vu_fe_blk_io *io, int res);
	void *ctx;
	uint64_t private_[8]; /**< the library's */
};

/**
 * vu_fe_blk_submit() - put a request into queue @qi
 *
 * Allocates nothing. The device sees it at the next vu_fe_blk_kick().
 *
 * Return: 0, -ENOSPC: the queue is full, -EINVAL, or -EIO: it is broken.
 */
int vu_fe_blk_submit(struct vu_fe_blk *b, unsigned int qi, struct vu_fe_blk_io *io);
/** Show the device what was submitted. */
void vu_fe_blk_kick(struct vu_fe_blk *b, unsigned int qi);
/** Call @done of what is finished; returns how many. */
unsigned int vu_fe_blk_poll(struct vu_fe_blk *b, unsigned int qi);
/** Wait for one at least, then as vu_fe_blk_poll(). 0: none in time; -errno: see vu_fe_queue_wait(). */
int vu_fe_blk_wait(struct vu_fe_blk *b, unsigned int qi, int timeout_ms);
/** As for queues: 0: the descriptor becomes readable, 1: poll now. */
int vu_fe_blk_arm(struct vu_fe_blk *b, unsigned int qi);
int vu_fe_blk_call_fd(const struct vu_fe_blk *b, unsigned int qi);
unsigned int vu_fe_blk_in_flight(const struct vu_fe_blk *b, unsigned int qi);

/* Blocking, on queue 0: any memory, any length that is a multiple of 512. */
int vu_fe_blk_read(struct vu_fe_blk *b, uint64_t off, void *buf, uint64_t len);
int vu_fe_blk_write(struct vu_fe_blk *b, uint64_t off, const void *buf, uint64_t len);
int vu_fe_blk_flush(struct vu_fe_blk *b);
int vu_fe_blk_discard(struct vu_fe_blk *b, uint64_t off, uint64_t len);
int vu_fe_blk_write_zeroes(struct vu_fe_blk *b, uint64_t off, uint64_t len, uint32_t flags);
/** The serial number: at most 20 bytes and a terminating 0. */
int vu_fe_blk_get_id(struct vu_fe_blk *b, char id[21]);

#ifdef __cplusplus
}
#endif

#endif
