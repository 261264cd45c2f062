/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: a conformance and robustness suite for any vhost-user back-end.
 *
 * A case is one entry in a table of one of the cases-*.c files: an id that
 * never changes, the section it tests, a sentence that must hold, and a
 * function. Each runs over a fresh connection; whatever it makes through the
 * helpers below is cleaned up after it. A case ends by returning (passed) or
 * by one of check_fail(), check_skip(), check_ok(), which may not return.
 *
 * Cases know nothing of the back-end under test but what it negotiates. A
 * back-end that the specification allows must pass.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "frontend/blk.h"
#include "frontend/drv-raw.h"
#include "frontend/mem.h"
#include "frontend/queue.h"
#include "frontend/vhost-user-client.h"
#include "util/err.h"

struct check;

enum check_level {
	CHECK_MUST,   /* a failure fails the run */
	CHECK_SHOULD, /* a failure is reported and does not */
};

/* What a case cannot do without; it is skipped, with the reason, where that is not offered. */
enum check_need {
	NEED_PROTOCOL = 1 << 0, /* VHOST_USER_F_PROTOCOL_FEATURES */
	NEED_REPLY_ACK = 1 << 1,
	NEED_CONFIG = 1 << 2,
	NEED_MQ = 1 << 3, /* at least two queues */
	NEED_MEM_SLOTS = 1 << 4,
	NEED_BACKEND_REQ = 1 << 5,
	NEED_INFLIGHT = 1 << 6,
	NEED_LOG = 1 << 7,   /* LOG_SHMFD and F_LOG_ALL */
	NEED_STATE = 1 << 8, /* DEVICE_STATE */
	NEED_STATUS = 1 << 9,
	NEED_RESET = 1 << 10, /* RESET_DEVICE */
	NEED_BLK = 1 << 11,   /* a block device */
	NEED_EVENT_IDX = 1 << 12,
	NEED_INDIRECT = 1 << 13,
	NEED_FLUSH = 1 << 14,
	NEED_DISCARD = 1 << 15,
	NEED_WRITE_ZEROES = 1 << 16,
	NEED_CONFIG_WCE = 1 << 17,
	NEED_READ_ONLY = 1 << 18, /* VIRTIO_BLK_F_RO */
	NEED_IOMMU = 1 << 19,     /* F_ACCESS_PLATFORM */
	NEED_SHMEM = 1 << 20,
	NEED_SHARED_OBJECT = 1 << 21,
	NEED_WRITE = 1 << 22,    /* changes what is on the disk: only with --write */
	NEED_PACKED = 1 << 23,   /* of itself; see also CHECK_BOTH_RINGS */
	NEED_WRITABLE = 1 << 24, /* a disk without VIRTIO_BLK_F_RO */
};

/**
 * struct check_case - one case
 * @id:		"group.words-with-dashes"; never changes, never used again
 * @section:	of which specification: "vhost-user: Ring states", "VIRTIO 1.3 2.7.5.3"
 * @what:	one sentence in the present tense: what the back-end does
 * @level:	must or should
 * @needs:	enum check_need, together
 * @both_rings:	run it over a split and, where offered, a packed ring; the second
 *		has "/packed" behind its id
 * @run:	the case
 */
struct check_case {
	const char *id;
	const char *section;
	const char *what;
	enum check_level level;
	unsigned int needs;
	bool both_rings;
	void (*run)(struct check *c);
};

/* The tables, each ended by an entry without an id; cases.c lists them. */
extern const struct check_case check_negotiation_cases[], check_message_cases[],
	check_memory_cases[], check_memory_slots_cases[], check_bad_fds_cases[],
	check_bad_ring_said_cases[], check_config_cases[], check_reset_cases[], check_ring_cases[],
	check_ring_state_cases[], check_event_cases[], check_blk_cases[], check_bad_ring_cases[],
	check_bad_message_cases[], check_resource_cases[], check_reconnect_cases[],
	check_inflight_cases[], check_state_cases[], check_log_cases[], check_indirect_cases[],
	check_blk_range_cases[], check_bad_table_cases[], check_bad_memory_cases[];
extern const struct check_case *const check_tables[]; /* ended by NULL */

/* What was found out about the back-end before the first case. */
struct check_facts {
	uint64_t features;          /* virtio, as offered; bit 30 included */
	uint64_t protocol_features; /* as offered; 0 without bit 30 */
	unsigned int queues;        /* at least 1 */
	uint64_t mem_slots;         /* 0: not offered */
	bool is_blk;                /* features and configuration look like a disk */
	uint64_t sectors;           /* of it */
	uint32_t block_size;        /* of it, 512 if it does not say */
};

/* ---- what a case can use ---- */

const struct check_facts *check_facts(const struct check *c);
static inline bool check_offers(const struct check *c, unsigned int virtio_bit)
{
	return check_facts(c)->features >> virtio_bit & 1;
}
static inline bool check_offers_protocol(const struct check *c, unsigned int bit)
{
	return check_facts(c)->protocol_features >> bit & 1;
}
bool check_packed(const struct check *c);    /* the ring format of this run */
int check_timeout_ms(const struct check *c); /* for whatever must come */
bool check_may_write(const struct check *c); /* --write: a disk with defects may lose what it has */
uint32_t check_rnd(struct check *c);         /* the same in every run */

/* ---- ending a case; none of these returns ---- */

/**
 * check_fail() - it does not hold
 * @expected:	what should have come ("an acknowledgement other than 0")
 * @fmt:	what came instead; what was sent is in the trace that is shown with it
 */
void check_fail(struct check *c, const char *expected, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));
/* It cannot be tried here, and why. */
void check_skip(struct check *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
/* A call that fills in an error succeeded, or the case fails with that error. */
#define check_ok(c, e, call)                                                 \
	do {                                                                 \
		if ((call) < 0)                                              \
			check_fail(c, "the call succeeds", "%s", (e)->what); \
	} while (0)
/* One more line for the report, shown if the case fails. */
void check_note(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- connections; all are closed, and their memory freed, at the end of the case ---- */

/*
 * A fresh connection with nothing said yet, traced. Tries again for a while: a
 * back-end may serve one at a time. Fails the case (as died) if there is none.
 */
struct vuc *check_connect(struct check *c);
/* Close one before the end of the case. */
void check_disconnect(struct check *c, struct vuc *v);
/*
 * Owner, features, protocol features: @virtio and @protocol, of what is offered.
 * UINT64_MAX: what check_dev() would take. Otherwise exactly these, bit 30 too.
 */
void check_negotiate(struct check *c, struct vuc *v, uint64_t virtio, uint64_t protocol);
/* Guest memory of @n regions; freed after the case. */
struct fe_mem *check_mem(struct check *c, const struct fe_mem_spec *specs, unsigned int n);

/*
 * Has the back-end closed the connection? Waits up to @timeout_ms. What it
 * sends meanwhile is read and dropped.
 */
bool check_closed(struct check *c, struct vuc *v, int timeout_ms);
/*
 * Refused: the message was acknowledged with an error, or the connection
 * closed, perhaps after an acknowledgement of 0. @ret is what vuc_call() or one
 * of its kind returned. Sends a GET_FEATURES where that does not tell.
 */
bool check_refused(struct check *c, struct vuc *v, int ret);

/**
 * check_alive() - the back-end still serves
 *
 * Connects anew, negotiates, and for a disk reads its first sector. Fails the
 * case, as died or hung, when that does not work within the time. Every hostile
 * case ends with it: all connections of the case are closed by it, since a
 * back-end may serve one at a time.
 */
void check_alive(struct check *c);

/* ---- a device under test: connected, negotiated, with memory and queues ---- */

/**
 * struct check_dev_args - how
 * @virtio:	features to leave out of what is offered and known to us
 * @protocol_off: the same of protocol features
 * @queues:	to set up and start, 0: one
 * @size:	entries of each, 0: 128
 * @indirect_max: room for indirect tables, 0: 8
 * @base:	where rings start; all zero: the beginning
 * @no_start:	set everything up but do not start the queues
 * @specs, @nspecs: guest memory; 0: one region of 16 MiB at 0
 */
struct check_dev_args {
	uint64_t virtio_off;
	uint64_t protocol_off;
	unsigned int queues;
	uint32_t size;
	unsigned int indirect_max;
	struct vq_base base;
	bool no_start;
	const struct fe_mem_spec *specs;
	unsigned int nspecs;
};

/**
 * struct check_dev
 * @v:		its connection
 * @t:		the driver's transport over it
 * @m:		guest memory; @buf, @buf_gpa: 1 MiB of it to use, zeroed. That and each
 *		ring is in the region with the most room
 * @q, @nq:	queues, in the ring format of this run
 * @virtio:	features accepted
 */
#define CHECK_QUEUES 8
struct check_dev {
	struct vuc *v;
	struct fe_transport *t;
	struct fe_mem *m;
	uint8_t *buf;
	uint64_t buf_gpa;
	struct fe_queue q[CHECK_QUEUES];
	unsigned int nq;
	uint64_t virtio;
};
/* NULL: defaults. Freed after the case. */
struct check_dev *check_dev(struct check *c, const struct check_dev_args *a);
/* Close it before the end of the case; its memory and queues go, too. */
void check_dev_close(struct check *c, struct check_dev *d);

/* Start or stop queue @qi of it, or fail. */
void check_start(struct check *c, struct check_dev *d, unsigned int qi);
struct vq_base check_stop(struct check *c, struct check_dev *d, unsigned int qi);

/* The device declared the ring broken (its err eventfd), or took the connection down, in time. */
bool check_ring_refused(struct check *c, struct check_dev *d, unsigned int qi);

/*
 * ---- requests on a disk, in buffers from d->buf; blocking ----
 *
 * The last page of d->buf is theirs, and check_works() reads into the block
 * before it. What comes back and is not waited for is dropped. A request that
 * is done without a notification within the time fails the case.
 */

/**
 * check_blk() - one request
 * @type:	VIRTIO_BLK_T_*
 * @data, @len:	offset and length within d->buf; the device writes there for
 *		even types, reads for odd ones and SECURE_ERASE
 *
 * Return: the status byte. Fails the case when none comes.
 */
uint8_t check_blk(struct check *c, struct check_dev *d, unsigned int qi, uint32_t type,
		  uint64_t sector, uint32_t data, uint32_t len);
/* The same with the chain laid out by the caller; @status_off in d->buf is where its last byte is. */
uint8_t check_blk_chain(struct check *c, struct check_dev *d, unsigned int qi,
			const struct drv_seg *segs, unsigned int n, bool indirect,
			uint32_t status_off, uint32_t *used_len);
/* Add a chain and wait for it; used length. Fails the case when it does not come. */
uint32_t check_chain(struct check *c, struct check_dev *d, unsigned int qi,
		     const struct drv_seg *segs, unsigned int n, bool indirect);
/* One request that any device of its kind answers (a disk: read sector 0); the queue works. */
void check_works(struct check *c, struct check_dev *d, unsigned int qi);

/* ---- running; what cli/check.c uses ---- */

enum check_result {
	CHECK_PASSED,
	CHECK_FAILED,
	CHECK_SKIPPED,
	CHECK_DIED, /* the back-end is gone */
	CHECK_HUNG, /* it does not answer */
};

/**
 * struct check_report - one case's outcome; strings last until the next one
 * @trace:	messages, newest last; lines
 */
struct check_report {
	const struct check_case *k;
	const char *id; /* with "/packed" */
	enum check_result result;
	const char *expected, *got, *notes, *trace;
	uint64_t ns;
};

/* How outcomes are shown: report-tap.c, report-junit.c, report-json.c, report-text.c. */
struct check_reporter {
	const char *name;
	void (*begin)(FILE *f, const char *socket, const struct check_facts *facts, unsigned int n);
	/* Instead of @begin, of a format whose head has the totals: cases are kept until then. */
	void (*head)(FILE *f, const char *socket, const struct check_facts *facts, unsigned int n,
		     const unsigned int by_result[5], uint64_t ns);
	void (*one)(FILE *f, const struct check_report *r, unsigned int number);
	/* How many were skipped for @reason; NULL if the format does not say. */
	void (*skipped)(FILE *f, const char *reason, unsigned int n);
	/* @by_result has no failed shoulds: they are apart. */
	void (*end)(FILE *f, const unsigned int by_result[5], unsigned int shoulds_failed);
};
extern const struct check_reporter check_report_tap, check_report_junit, check_report_json,
	check_report_text;

/**
 * struct check_opts
 * @socket:	path
 * @write:	allow cases that change the disk
 * @only, @skip: patterns (fnmatch) of ids, NULL-ended or NULL
 * @restart:	command that starts the back-end again, or NULL
 * @timeout_ms:	for each thing that must come
 * @rings:	bit 0 split, bit 1 packed
 * @verbose:	give the messages of cases that passed to the report, too
 * @stop_fd:	readable: run no more cases, -1: none
 * @begun:	called with @ctx before the first case; may be NULL
 */
struct check_opts {
	const char *socket;
	bool write;
	const char *const *only, *const *skip;
	const char *restart;
	int timeout_ms;
	unsigned int rings;
	bool verbose;
	int stop_fd;
	void (*begun)(void *ctx);
	void *ctx;
};

/*
 * Return: 0 all musts hold, 1 some do not, or -errno with @e: it could not
 * begin, or the back-end was lost and the rest was not run.
 */
int check_run(const struct check_opts *o, const struct check_reporter *r, FILE *f, struct err *e);
/* The cases chosen by @only and @skip, sorted: id, level, section, sentence, with tabs between. */
int check_list(const struct check_opts *o, FILE *f, struct err *e);

#endif
