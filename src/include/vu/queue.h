/* SPDX-License-Identifier: MIT */
/**
 * @file queue.h
 * Virtqueues as a device sees them: descriptor chains come out, are filled,
 * and go back. Ring format, guest addresses, notifications, dirty logging and
 * crash records are the library's business.
 *
 * Threads: a queue belongs to one worker. Every call here is made on that
 * worker, from the device's queue_start, queue_kick and queue_stop operations
 * or from a completion that runs on the same worker.
 */
#ifndef VU_QUEUE_H
#define VU_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vu_queue;
struct vu_dev;
struct worker;

/**
 * struct vu_chain - one descriptor chain the driver made available
 * @queue:	the queue it came from
 * @out:	device-readable parts, what has not been consumed yet
 * @in:		device-writable parts, what has not been consumed yet
 * @out_n:	entries in @out
 * @in_n:	entries in @in
 * @out_len:	bytes in @out
 * @in_len:	bytes in @in
 * @priv:	the device's own space for this request, vu_model.req_size bytes,
 *		aligned to 16, not cleared between uses
 *
 * Owned by the queue, lent to the device from vu_queue_pop() until
 * vu_queue_push() or vu_queue_abort(). The memory behind @out and @in stays
 * mapped for that long. It may be changed by the guest at any time: hand it to
 * system calls, or copy it once with the functions below; do not parse in place.
 */
struct vu_chain {
	struct vu_queue *queue;
	struct iovec *out;
	struct iovec *in;
	uint16_t out_n;
	uint16_t in_n;
	uint32_t out_len;
	uint32_t in_len;
	void *priv;
};

/**
 * vu_queue_pop() - take the next chain
 * @q:	a started queue
 *
 * Return: the chain, or NULL when there is none now, when the device has as
 * many in hand as the queue can track, when the queue is being stopped, or
 * when the driver has broken the ring (the library has then reported it).
 */
struct vu_chain *vu_queue_pop(struct vu_queue *q);

/**
 * vu_queue_push() - give a chain back, done
 * @c:		from vu_queue_pop()
 * @written:	bytes written to the device-writable part, counted from its start
 *
 * The driver sees it at the end of the worker's turn, together with all
 * others of the turn. @c must not be used afterwards.
 */
void vu_queue_push(struct vu_chain *c, uint32_t written);

/**
 * vu_queue_abort() - give a chain back because the driver violated the device's rules
 * @c:		from vu_queue_pop()
 * @why:	what is wrong with it, for the log; static string
 *
 * Breaks the queue: nothing more is popped or pushed until it is reset.
 * For requests that cannot even carry an error status back.
 */
void vu_queue_abort(struct vu_chain *c, const char *why);

/**
 * vu_chain_get() - copy from the front of the readable part and consume it
 * Return: true if @n bytes were there and copied; else nothing is consumed.
 */
bool vu_chain_get(struct vu_chain *c, void *buf, size_t n);

/**
 * vu_chain_put() - copy to the front of the writable part and consume it
 * Return: true if there was room for @n bytes; else nothing is written.
 */
bool vu_chain_put(struct vu_chain *c, const void *buf, size_t n);

/* Fill @n bytes of zeroes at the front of the writable part and consume it. Same return. */
bool vu_chain_put_zero(struct vu_chain *c, size_t n);

/**
 * vu_chain_take_last() - split off the last writable byte for a status
 * @c:	chain
 *
 * Return: true if there was one; it is then no longer part of @in and is
 * written with vu_chain_put_last().
 */
bool vu_chain_take_last(struct vu_chain *c);
void vu_chain_put_last(struct vu_chain *c, uint8_t status);

/* Which queue of the device this is, from 0. */
unsigned int vu_queue_index(const struct vu_queue *q);

/* Number of entries the driver chose. */
unsigned int vu_queue_size(const struct vu_queue *q);

/* Chains popped and not yet given back. */
unsigned int vu_queue_inflight(const struct vu_queue *q);

/* The device it belongs to, and the worker it runs on. */
struct vu_dev *vu_queue_dev(const struct vu_queue *q);
struct worker *vu_queue_worker(const struct vu_queue *q);

/* The device's own pointer for this queue. */
void vu_queue_set_priv(struct vu_queue *q, void *priv);
void *vu_queue_priv(const struct vu_queue *q);

/* Ask for queue_kick to be called again in the next turn (work was left over). */
void vu_queue_again(struct vu_queue *q);

#ifdef __cplusplus
}
#endif

#endif
