/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: when is a write stable? (VIRTIO 1.3 section 5.2.6.2)
 *
 *   FLUSH not accepted			every write is, before it completes
 *   FLUSH accepted, CONFIG_WCE not	after a FLUSH; or as above, if the disk is
 *					served write-through
 *   CONFIG_WCE accepted		the writeback byte decides, 1: after a FLUSH
 *
 * One flag tells workers which: write_through. They look at it when a write
 * has reached the storage, not when it came in, and flush before they complete
 * it.
 *
 * A switch from write-back to write-through has a second half: writes that
 * completed before it must become stable too, since the driver will not send
 * FLUSH any more. So:
 *
 *   control	1. write_through = true. A write either sees this and is flushed,
 *		   or had reached the storage before (sequential consistency).
 *		2. post to a worker, which submits one STOR_FLUSH: it covers all
 *		   that had reached the storage, of any queue.
 *   worker	3. when it is done, post to control.
 *   control	4. only now the writeback byte becomes 0.
 *
 * The flush outlives queues, so it holds a channel of its own, and its answer
 * may come after a reset or another switch: flush_wanted says whether anybody
 * still waits, and flush_stale that an answer is too old, because writes may
 * have completed after that flush was submitted. If the flush fails the byte
 * stays 1; writes go on being flushed one by one, which is never wrong.
 */
#include <errno.h>
#include <string.h>

#include "devices/blk/blk-impl.h"
#include "util/log.h"

static void set_write_through(struct blk *b, bool on)
{
	__atomic_store_n(&b->write_through, on, __ATOMIC_SEQ_CST);
}

/* A driver that cannot flush gets stable writes whatever the byte says. */
static bool flush_accepted(const struct blk *b)
{
	return b->acked & VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);
}

static void flush_post(struct blk *b);

/* Control: the writes of before the switch are stable, or never will be known to be. */
static void flush_answer(struct loop_post *p)
{
	struct blk_flush *f = container_of(p, struct blk_flush, to_control);
	struct blk *b = f->b;

	b->flush_busy = false;
	if (!b->flush_wanted)
		return;
	if (b->flush_stale) {
		flush_post(b);
		return;
	}
	b->flush_wanted = false;
	if (f->res == 0)
		blk_config_writeback(b, false);
	else
		log_err("%s: flush before write-through failed: %s", b->stor->source,
			strerror(-f->res));
	vu_dev_config_written(b->dev, f->res);
}

/* Worker; the last touch there. */
static void flush_return(struct blk_flush *f)
{
	f->to_control.fn = flush_answer;
	loop_post(f->b->loop, &f->to_control);
}

static void flush_close(struct worker_post *p)
{
	struct blk_flush *f = container_of(p, struct blk_flush, to_worker);

	blk_chan_put(f->chan);
	flush_return(f);
}

/* Not closed in here: the storage is still busy with the channel it calls from. */
static void flush_complete(struct stor_req *r, int res)
{
	struct blk_flush *f = container_of(r, struct blk_flush, req);

	f->res = res;
	f->to_worker.fn = flush_close;
	worker_post(f->worker, &f->to_worker);
}

static void flush_submit(struct worker_post *p)
{
	struct blk_flush *f = container_of(p, struct blk_flush, to_worker);

	f->chan = blk_chan_get(f->b, f->worker);
	if (!f->chan) {
		f->res = -errno;
		flush_return(f);
		return;
	}
	f->req = (struct stor_req){ .op = STOR_FLUSH, .done = flush_complete };
	stor_submit(f->chan->ch, &f->req);
}

/* Control. */
static void flush_post(struct blk *b)
{
	struct blk_flush *f = b->flush;

	b->flush_busy = true;
	b->flush_stale = false;
	pthread_mutex_lock(&b->lock);
	f->worker = b->last_worker;
	pthread_mutex_unlock(&b->lock);
	if (!f->worker) { /* no queue has ever run: there are no writes */
		f->res = 0;
		flush_return(f);
		return;
	}
	f->to_worker.fn = flush_submit;
	worker_post(f->worker, &f->to_worker);
}

/*
 * 5.2.4: the driver writes the writeback byte. Return 0, or -EINPROGRESS when
 * vu_dev_config_written() follows: the driver goes on only then, and finds its
 * earlier writes stable. No second write comes before that, but a reset may.
 */
int blk_cache_set(struct blk *b, bool write_through)
{
	if (!write_through) {
		set_write_through(b, !flush_accepted(b));
		blk_config_writeback(b, true);
		return 0;
	}
	if (!b->writeback)
		return 0;
	set_write_through(b, true);
	b->flush_wanted = true;
	if (b->flush_busy)
		b->flush_stale = true;
	else
		flush_post(b);
	return -EINPROGRESS;
}

/* Queues are stopped. */
void blk_cache_reset(struct blk *b)
{
	b->flush_wanted = false;
	set_write_through(b, b->default_write_through);
	blk_config_writeback(b, !b->default_write_through);
}

void blk_cache_negotiated(struct blk *b)
{
	/* 5.2.5.2: the byte begins as 0 for a driver that could not flush. */
	if (b->acked & VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) && !flush_accepted(b))
		blk_config_writeback(b, false);
	/* Not only after a reset: SET_FEATURES comes again when a stopped VM goes on. */
	set_write_through(b, !b->writeback || b->flush_wanted || !flush_accepted(b));
}
