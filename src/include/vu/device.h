/* SPDX-License-Identifier: MIT */
/**
 * @file device.h
 * A virtio device model: the table of operations a device author fills in.
 * The same model works over every transport.
 *
 * Threads: "control" is the thread that runs the transports' sessions and
 * must never block (no disk I/O, no waiting). "worker" is the data thread
 * that owns the queue in question; several queues may share one worker or
 * have different ones. Calls for one queue never overlap. Control calls never
 * overlap each other, but may overlap worker calls unless said otherwise.
 */
#ifndef VU_DEVICE_H
#define VU_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vu/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vu_dev;

/**
 * struct vu_model - description and operations of one kind of device
 *
 * All static; one per kind, shared by all its instances.
 */
struct vu_model {
	/** Size of this struct as the author compiled it: sizeof(struct vu_model). */
	size_t struct_size;
	/** Short name ("blk"), also used in logs. */
	const char *name;
	/** Virtio device id (VIRTIO 1.3 section 5). */
	uint16_t virtio_id;
	/** Bytes of device configuration space, at most 256. */
	uint16_t config_size;
	/** Bytes of private space per request (vu_chain.priv); 0 is fine. See also req_size_of. */
	size_t req_size;

	/**
	 * Optional. Control. Per-request space when it depends on the instance;
	 * replaces @req_size.
	 */
	size_t (*req_size_of)(void *dev);

	/**
	 * Required. Control. Device feature bits this instance offers (bits
	 * 0-23 and 50-127 of VIRTIO 1.3 section 2.2; the library adds the ring and
	 * transport bits it can do).
	 */
	uint64_t (*features)(void *dev);

	/**
	 * Optional. Control, before any queue is started. The driver accepted
	 * @features (all bits, also the library's).
	 */
	void (*negotiated)(void *dev, uint64_t features);

	/**
	 * Optional. Control. The driver wrote @len bytes at @off of the
	 * configuration space (bounds are checked). Update what changed with
	 * vu_dev_config_set(). Return 0 or -errno (-EPERM: that field is read-only),
	 * or -EINPROGRESS when the driver has to wait for vu_dev_config_written();
	 * there is no other write before that, but there may be a reset.
	 */
	int (*config_write)(void *dev, uint32_t off, const void *buf, uint32_t len);

	/**
	 * Optional. Worker. The queue is about to run: set up what it needs.
	 * Return 0 or -errno (the queue then does not start). May block briefly.
	 */
	int (*queue_start)(void *dev, struct vu_queue *q);

	/**
	 * Required. Worker. There may be chains to pop: pop until NULL. Must not block.
	 */
	void (*queue_kick)(void *dev, struct vu_queue *q);

	/**
	 * Optional. Worker. The queue is being stopped: give back what you hold
	 * without waiting for the outside world (vu_queue_push with what there
	 * is). Requests that are under way (disk I/O) may complete later;
	 * vu_queue_pop() returns NULL from now on.
	 */
	void (*queue_stop)(void *dev, struct vu_queue *q);

	/**
	 * Optional. Worker. All chains are back and the queue is gone after the
	 * return: free what queue_start made.
	 */
	void (*queue_stopped)(void *dev, struct vu_queue *q);

	/**
	 * Optional. Control, with all queues stopped. Back to the state before
	 * negotiation.
	 */
	void (*reset)(void *dev);
};

/**
 * vu_dev_config_set() - change bytes of the configuration space
 * @dev:	instance
 * @off:	offset in bytes; @off + @len must lie in the model's config_size
 *
 * Control thread. Takes effect at once for readers; call
 * vu_dev_config_changed() afterwards if the driver is to be told.
 */
void vu_dev_config_set(struct vu_dev *dev, uint32_t off, const void *buf, uint32_t len);

/**
 * vu_dev_config_written() - a config_write that returned -EINPROGRESS is finished
 * @dev:	instance
 * @res:	0 or -errno
 *
 * Control thread, not from inside config_write. Ignored after a reset.
 */
void vu_dev_config_written(struct vu_dev *dev, int res);

/** Tell the driver that the configuration changed. Control thread. */
void vu_dev_config_changed(struct vu_dev *dev);

/** The author's own pointer, as given when the instance was made. */
void *vu_dev_priv(const struct vu_dev *dev);

/** Features the driver accepted; 0 before negotiation. Any thread. */
uint64_t vu_dev_features(const struct vu_dev *dev);

/** Can the transport carry configuration writes of the driver? Control thread. */
bool vu_dev_config_writable(const struct vu_dev *dev);

#ifdef __cplusplus
}
#endif

#endif
