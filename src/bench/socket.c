/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user socket as a target: one driver thread for each queue, which
 * keeps its ring full.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bench/target.h"
#include "frontend/blk.h"
#include "frontend/vhost-user-client.h"

#define GPA          UINT64_C(0x100000)
#define PAGE         UINT64_C(4096)
#define MEM_MAX      (UINT64_C(16) << 30)
#define QUEUE_SIZE   128 /* what QEMU gives a disk */
#define WAIT_MS      100
#define BATCH        8
#define SPINS_A_LOOK (1u << 16)
#define SECTORS_MAX  (UINT64_C(1) << 54)
#define BOUNCE       4096
#define DESCS_DIRECT 3 /* header, data, status */
#define DISK_FEATURES                                                         \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |  \
	 VIRTIO_BIT(VIRTIO_BLK_F_RO) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |    \
	 VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | \
	 VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | VIRTIO_BIT(VIRTIO_BLK_F_MQ))

struct sock_queue;

struct sock_slot {
	struct lane_slot s;
	struct fe_blk_io io;
	struct drv_seg seg;
	struct sock_queue *q;
	int res;
};

/**
 * struct sock_queue - a queue and its thread
 * @back:	what the last look has found, @nback of them
 * @batch, @unshown: show the device new requests when there are @batch; so many wait
 * @spins:	looks in vain since the last time something else was checked
 */
struct sock_queue {
	struct bench *b;
	struct lane *l;
	struct fe_blk *blk;
	struct fe_queue *fe;
	unsigned int index;
	struct sock_slot *slots;
	struct sock_slot **back;
	unsigned int nback;
	unsigned int batch, unshown;
	unsigned int spins;
	pthread_t thread;
	bool started;
};

struct sock {
	struct vuc *c;
	struct fe_transport *t; /* owns @c */
	struct fe_mem *m;
	struct fe_blk *blk;
	clockid_t clock;
	bool has_clock;
	struct sock_queue *queues;
};

/* ---- the loop ---- */

static void io_done(struct fe_blk_io *io, int res)
{
	struct sock_slot *s = container_of(io, struct sock_slot, io);

	s->res = res;
	s->q->back[s->q->nback++] = s;
}

static void submit(struct sock_queue *q, struct sock_slot *s, uint64_t now)
{
	int ret;

	if (!lane_next(q->l, &s->s, now))
		return;
	s->io.type = s->s.write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	s->io.sector = s->s.offset / VIRTIO_BLK_SECTOR_SIZE;
	ret = fe_blk_submit(q->blk, q->index, &s->io);
	if (unlikely(ret)) {
		q->l->in_flight--;
		lane_fail(q->l, ret, "ring-broken", "queue %u takes no more requests: %s", q->index,
			  drv_broken(q->fe->ring) ? drv_broken(q->fe->ring) : strerror(-ret));
	}
}

/* The device sees the first ones while the last are being made; a kick only if it sleeps. */
static void submit_part(struct sock_queue *q, struct sock_slot *s, uint64_t now)
{
	submit(q, s, now);
	if (++q->unshown < q->batch)
		return;
	q->unshown = 0;
	fe_blk_kick(q->blk, q->index);
}

static void show_rest(struct sock_queue *q)
{
	if (q->unshown)
		fe_blk_kick(q->blk, q->index);
	q->unshown = 0;
}

static void submit_all(struct sock_queue *q)
{
	uint64_t now = clock_ns();

	for (uint32_t i = 0; i < q->b->o->qd; i++)
		submit_part(q, &q->slots[i], now);
	show_rest(q);
}

/* What one look has found: count it, and put others in its place. */
static void turn(struct sock_queue *q)
{
	uint64_t now = clock_ns();
	unsigned int n = q->nback;

	q->nback = 0;
	lane_look(q->l);
	for (unsigned int i = 0; i < n; i++)
		lane_finish(q->l, &q->back[i]->s, q->back[i]->res, now);
	lane_publish(q->l, n);
	for (unsigned int i = 0; i < n; i++)
		submit_part(q, q->back[i], now);
	show_rest(q);
}

/* Nothing has come back. False: there is nothing to be waited for. */
static bool idle(struct sock_queue *q, bool poll)
{
	const char *why = drv_broken(q->fe->ring);

	lane_look(q->l);
	if (unlikely(q->l->seen == PHASE_ABORT))
		return false;
	if (unlikely(why)) {
		lane_fail(q->l, -EIO, "ring-broken", "queue %u: %s", q->index, why);
		return false;
	}
	if (poll) {
		cpu_relax();
		if (likely(++q->spins < SPINS_A_LOOK))
			return true;
		q->spins = 0;
		fe_queue_err(q->fe, 0);
	}
	if (unlikely(q->fe->refused)) {
		lane_fail(q->l, -EIO, "ring-refused", "the back-end has declared queue %u broken",
			  q->index);
		return false;
	}
	return true;
}

/*
 * How many requests to wait for: the device goes on with the other half while
 * we wake up and hand over new ones.
 */
static unsigned int enough(const struct sock_queue *q)
{
	unsigned int n = q->b->o->call_after ? q->b->o->call_after : q->l->in_flight / 2;

	return MAX(n, 1u);
}

static void run(struct sock_queue *q)
{
	bool poll = q->b->o->poll;

	/* Whoever polls wants no interrupts; who waits says so when it does. */
	drv_call_off(q->fe->ring);
	submit_all(q);
	while (q->l->in_flight) {
		if (poll)
			fe_blk_poll(q->blk, q->index);
		else
			fe_blk_wait(q->blk, q->index, enough(q), WAIT_MS);
		if (q->nback)
			turn(q);
		else if (!idle(q, poll))
			return;
		if (unlikely(!q->l->in_flight) && lane_check_begin(q->l))
			submit_all(q);
	}
}

static void *thread_main(void *arg)
{
	struct sock_queue *q = arg;
	int cpu = bench_cpu(q->b, q->index);
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0)
		CPU_SET(cpu, &set);
	if (cpu >= 0 && sched_setaffinity(0, sizeof(set), &set) < 0)
		lane_fail(q->l, -errno, "bad-cpu", "there is no processor %d for us", cpu);
	else
		run(q);
	bench_lane_ended(q->b);
	return NULL;
}

/* ---- open ---- */

static void ask_counts(struct lane *l, struct lane_counts *c)
{
	struct sock_queue *q = l->ctx;

	c->kicks = q->fe->kicks;
	c->calls = fe_queue_calls(q->fe);
}

/* Of all threads, and of those that have ended. Whoever called listen() is who serves. */
static void find_peer(struct bench *b, struct sock *s)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(vuc_fd(s->c), SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.pid <= 0)
		return;
	b->info.pid = cred.pid;
	s->has_clock = clock_getcpuclockid(cred.pid, &s->clock) == 0;
}

static int not_a_disk(const struct bench *b, struct err *e)
{
	return err_hint(e, "To see what it is: vuctl probe %s", b->target);
}

/* vhost-user does not say what kind of device it is: a disk has the configuration of one. */
static int check_disk(struct bench *b, struct sock *s, struct err *e)
{
	struct virtio_blk_config c = { 0 };
	struct err why = { .code = 0 };
	int ret = s->t->ops->config_get(s->t, 0, &c, sizeof(c), &why);
	uint64_t sectors = le64toh(c.capacity);

	if (ret < 0) {
		err_set(e, ret, "not-a-disk", "%s is no disk: %s", b->target, why.what);
		return not_a_disk(b, e);
	}
	if (sectors == 0 || sectors > SECTORS_MAX) {
		err_set(e, -EINVAL, "not-a-disk",
			"%s is no disk: its capacity would be %" PRIu64 " sectors", b->target,
			sectors);
		return not_a_disk(b, e);
	}
	b->info.capacity = sectors * VIRTIO_BLK_SECTOR_SIZE;
	return 0;
}

/* What is offered decides how large a ring has to be. */
static int plan(struct bench *b, struct sock *s, struct fe_blk_opts *fo, struct err *e)
{
	const struct bench_opts *o = b->o;
	uint32_t need, descs;
	uint64_t offered;
	int ret = s->t->ops->features(s->t, &offered, e);

	if (ret < 0)
		return ret;
	if (o->packed && !(offered & VIRTIO_BIT(VIRTIO_F_RING_PACKED)))
		return err_set(e, -ENOTSUP, "no-packed", "%s does not offer packed rings",
			       b->target);
	fo->features = DISK_FEATURES;
	if (o->packed)
		fo->features |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	if (!o->no_event_idx)
		fo->features |= VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	fo->indirect = !o->no_indirect && (offered & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC));
	if (fo->indirect)
		fo->features |= VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	descs = fo->indirect ? 1 : DESCS_DIRECT;
	need = o->qd * descs;
	fo->queue_size = o->queue_size ? o->queue_size : QUEUE_SIZE;
	while (!o->queue_size && fo->queue_size < need)
		fo->queue_size *= 2;
	if (fo->queue_size < need || fo->queue_size > VIRTQ_MAX_SIZE) {
		err_set(e, -EINVAL, "ring-too-small",
			"%u requests in flight need a ring of %u entries, %u for each", o->qd, need,
			descs);
		return err_hint(e, "Use a smaller --qd%s",
				o->queue_size ? ", or a larger --queue-size" : "");
	}
	fo->queues = o->queues;
	fo->depth = o->qd;
	fo->max_segs = 1;
	fo->bounce = MAX(BOUNCE, o->bs > 65536 ? BOUNCE : o->bs);
	return 0;
}

static uint64_t buffer_size(const struct bench_opts *o)
{
	return (o->bs + PAGE - 1) & ~(PAGE - 1);
}

static int make_memory(struct bench *b, struct sock *s, const struct fe_blk_opts *fo, struct err *e)
{
	struct fe_mem_spec spec = { .gpa = GPA };
	uint64_t queue, size;
	struct drv_layout l;
	int ret = drv_layout(fo->queue_size, fo->features, fo->indirect ? 4 : 0, &l);

	if (ret < 0) {
		err_set(e, ret, "queue-size", "a %s ring cannot have %u entries",
			b->o->packed ? "packed" : "split", fo->queue_size);
		return err_hint(e, "A split ring has a power of two of them, at most 32768");
	}
	queue = l.bytes + (uint64_t)fo->depth * (CACHELINE + buffer_size(b->o)) + fo->bounce +
		4 * PAGE;
	size = fo->queues * queue;
	if (size > MEM_MAX)
		return err_set(e, -EINVAL, "too-much-memory",
			       "%u queues of %u requests of %u bytes need too much memory",
			       fo->queues, fo->depth, b->o->bs);
	spec.size = (size + PAGE - 1) & ~(PAGE - 1);
	s->m = fe_mem_new(&spec, 1, e);
	return s->m ? 0 : -ENOMEM;
}

static int make_queue(struct bench *b, struct sock *s, unsigned int i, struct err *e)
{
	struct sock_queue *q = &s->queues[i];
	uint32_t qd = b->o->qd;

	*q = (struct sock_queue){ .b = b, .l = &b->lanes[i], .blk = s->blk, .index = i };
	q->fe = fe_blk_queue(s->blk, i);
	q->l->ctx = q;
	q->batch = b->o->batch ? b->o->batch : BATCH;
	q->l->counts = ask_counts;
	q->slots = calloc(qd, sizeof(*q->slots));
	q->back = calloc(qd, sizeof(struct sock_slot *));
	if (!q->slots || !q->back)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a load");
	for (uint32_t k = 0; k < qd; k++) {
		struct sock_slot *slot = &q->slots[k];

		slot->q = q;
		slot->seg.len = b->o->bs;
		slot->s.buf = fe_mem_alloc(s->m, 0, b->o->bs, PAGE, &slot->seg.addr);
		if (!slot->s.buf)
			return err_set(e, -ENOMEM, "guest-memory-full",
				       "guest memory has no room for the requests");
		lane_noise(slot->s.buf, b->o->bs, k);
		slot->io.data = &slot->seg;
		slot->io.ndata = 1;
		slot->io.done = io_done;
	}
	return 0;
}

static void fill_info(struct bench *b, const struct fe_blk_opts *fo, const struct fe_blk_info *i)
{
	b->info.capacity = i->sectors * VIRTIO_BLK_SECTOR_SIZE;
	b->info.block_size = i->block_size >= VIRTIO_BLK_SECTOR_SIZE ? i->block_size :
								       VIRTIO_BLK_SECTOR_SIZE;
	b->info.queue_size = fo->queue_size;
	b->info.max_queues = i->max_queues;
	b->info.packed = i->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	b->info.event_idx = i->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	b->info.indirect = fo->indirect;
}

/* Connected and negotiated; a request has been answered. */
static int open_disk(struct bench *b, struct sock *s, struct fe_blk_opts *fo, struct err *e)
{
	uint8_t block[BOUNCE];
	int ret = plan(b, s, fo, e);

	if (ret == 0)
		ret = check_disk(b, s, e);
	if (ret == 0)
		ret = make_memory(b, s, fo, e);
	if (ret < 0)
		return ret;
	s->blk = fe_blk_open(s->t, s->m, fo, e);
	if (!s->blk) {
		if (!e->hint[0] && fo->queue_size > QUEUE_SIZE)
			err_hint(e, "Perhaps its rings are not that large: --queue-size, --qd");
		return err_prefix(e, "%s", b->target);
	}
	fill_info(b, fo, fe_blk_info(s->blk));
	if (bench_writes(b->o->rw) && fe_blk_info(s->blk)->read_only)
		return err_set(e, -EROFS, "read-only", "the disk behind %s is read-only",
			       b->target);
	ret = bench_range(b, b->info.capacity, b->info.block_size, e);
	if (ret < 0)
		return ret;
	ret = fe_blk_read(s->blk, 0, b->o->offset, block, MIN(b->info.block_size, sizeof(block)),
			  e);
	return ret < 0 ? err_prefix(e, "%s: before the run", b->target) : 0;
}

static int sock_open(struct bench *b, struct err *e)
{
	struct sock *s = b->priv = calloc(1, sizeof(*s));
	struct fe_blk_opts fo = { 0 };
	int ret;

	if (!s)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a load");
	s->c = vuc_connect(b->target, (int)(bench_patience_ns(b) / 1000000), e);
	if (!s->c)
		return e->code;
	s->t = vuc_transport(s->c, e);
	if (!s->t)
		return err_prefix(e, "%s", b->target);
	find_peer(b, s);
	ret = open_disk(b, s, &fo, e);
	if (ret == 0)
		ret = bench_lanes(b, b->info.capacity, e);
	if (ret < 0)
		return ret;
	s->queues = calloc(b->nlanes, sizeof(*s->queues));
	if (!s->queues)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a load");
	for (unsigned int i = 0; ret == 0 && i < b->nlanes; i++)
		ret = make_queue(b, s, i, e);
	return ret;
}

/* ---- life ---- */

static void sock_join(struct bench *b)
{
	struct sock *s = b->priv;

	for (unsigned int i = 0; i < b->nlanes; i++) {
		if (s->queues[i].started)
			pthread_join(s->queues[i].thread, NULL);
		s->queues[i].started = false;
	}
}

static int sock_start(struct bench *b, struct err *e)
{
	struct sock *s = b->priv;

	for (unsigned int i = 0; i < b->nlanes; i++) {
		struct sock_queue *q = &s->queues[i];
		int ret = pthread_create(&q->thread, NULL, thread_main, q);

		if (ret) {
			atomic_store(&b->phase, PHASE_ABORT);
			sock_join(b);
			return err_sys(e, -ret, "thread", "cannot start a thread");
		}
		q->started = true;
	}
	return 0;
}

static void sock_close(struct bench *b)
{
	struct sock *s = b->priv;

	if (!s)
		return;
	/* It does not answer, or nobody wants to wait: it would be asked to stop each queue. */
	if (s->c && atomic_load(&b->phase) == PHASE_ABORT)
		shutdown(vuc_fd(s->c), SHUT_RDWR);
	fe_blk_close(s->blk); /* what is still out comes back to io_done() */
	if (s->t)
		s->t->ops->close(s->t);
	fe_mem_free(s->m);
	for (unsigned int i = 0; s->queues && i < b->nlanes; i++) {
		free(s->queues[i].slots);
		free(s->queues[i].back);
	}
	free(s->queues);
	free(s);
}

static int sock_watch_fd(struct bench *b)
{
	struct sock *s = b->priv;

	return vuc_fd(s->c);
}

static int64_t sock_cpu_ns(struct bench *b)
{
	struct sock *s = b->priv;
	struct timespec ts;

	if (!s->has_clock || clock_gettime(s->clock, &ts) < 0)
		return -ESRCH;
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

const struct target_ops target_socket = {
	.kind = "vhost-user",
	.open = sock_open,
	.start = sock_start,
	.join = sock_join,
	.close = sock_close,
	.watch_fd = sock_watch_fd,
	.cpu_ns = sock_cpu_ns,
};
