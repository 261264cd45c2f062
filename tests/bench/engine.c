/* SPDX-License-Identifier: MIT */
/*
 * What the virtqueue engine and the block model cost, with nothing behind
 * them (null storage) and the shortest transport before them (loopback): one
 * driver thread, one worker, each on a CPU of its own.
 *
 *	engine [MILLISECONDS per figure]
 *
 * Measured in slices of 2 ms: the best one says what the code can do, the one
 * in the middle what it did while the machine was doing other things, too.
 * Goals of throughput are for a machine on which a cache line takes 90 ns
 * from one CPU to the other and back, and are scaled by what it takes here.
 * Counts per request do not depend on the machine at all.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/conf-dev.h"
#include "frontend/blk.h"
#include "util/compiler.h"

#define RING_SIZE  1024
#define SLOTS      256 /* requests under way, at most */
#define BATCH      32
#define SLICE_NS   2000000
#define MAX_SLICES 4096
#define GPA        UINT64_C(0x100000)
#define MEM_SIZE   (64u << 20)
#define GOAL_RATE  20 /* million requests a second on one device CPU */

/* Without FLUSH every write would be followed by a flush. */
#define SPLIT  (VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH))
#define PACKED (SPLIT | VIRTIO_BIT(VIRTIO_F_RING_PACKED))

/* A request made once and used again and again. */
struct slot {
	struct drv_seg seg[3];
	uint8_t *status;
};

struct bench {
	struct conf_dev d;
	struct fe_mem *m;
	struct fe_transport *t;
	struct fe_queue q;
	struct slot slot[SLOTS];
	struct slot *idle[SLOTS];
	unsigned int nidle;
	unsigned int ms;
	struct err e;
};

static void die(const struct err *e)
{
	fprintf(stderr, "engine: %s\n", e->what);
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* ---- set-up ---- */

static void make_slots(struct bench *b, uint32_t type, uint32_t len)
{
	bool in = type == VIRTIO_BLK_T_IN;

	b->nidle = 0;
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct slot *s = &b->slot[i];
		uint64_t head, data = 0;
		struct virtio_blk_req_hdr *h = fe_mem_alloc(b->m, 0, 64, 64, &head);

		if (!h || !fe_mem_alloc(b->m, 0, len, 4096, &data)) {
			err_set(&b->e, -ENOMEM, "guest-memory-full", "guest memory is too small");
			die(&b->e);
		}
		*h = (struct virtio_blk_req_hdr){ htole32(type), 0, htole64(i * (len / 512)) };
		s->status = (uint8_t *)h + 16;
		s->seg[0] = (struct drv_seg){ head, 16, 0 };
		s->seg[1] = (struct drv_seg){ data, len, in };
		s->seg[2] = (struct drv_seg){ head + 16, 1, 1 };
		b->idle[b->nidle++] = s;
	}
}

static void begin(struct bench *b, uint64_t ring, enum worker_mode mode, uint32_t type,
		  uint32_t len)
{
	const struct conf_dev_args da = {
		.queues = 1,
		.workers = 1,
		.max_size = 1024,
		.packed = true,
		.mode = mode,
		.cpu = 1,
		.storage = "null:1G",
	};
	const struct fe_mem_spec spec = { .gpa = GPA, .size = MEM_SIZE };
	struct fe_queue_args qa = {
		.size = RING_SIZE,
		.features = ring | VIRTIO_BIT(VIRTIO_F_VERSION_1),
		.base = VQ_BASE_INIT,
	};

	if (conf_dev_start(&b->d, &da, &b->e) < 0)
		die(&b->e);
	b->m = fe_mem_new(&spec, 1, &b->e);
	b->t = b->m ? conf_loopback.connect(&b->d, &b->e) : NULL;
	if (!b->t || b->t->ops->set_features(b->t, qa.features, &b->e) < 0 ||
	    b->t->ops->set_mem(b->t, b->m, &b->e) < 0 ||
	    fe_queue_init(&b->q, b->m, &qa, &b->e) < 0 ||
	    fe_queue_start(&b->q, b->t, NULL, &b->e) < 0)
		die(&b->e);
	make_slots(b, type, len);
}

static void end(struct bench *b)
{
	fe_queue_stop(&b->q, b->t, NULL, NULL);
	b->t->ops->close(b->t);
	fe_queue_fini(&b->q);
	conf_dev_stop(&b->d);
	fe_mem_free(b->m);
}

/* ---- the driver's loop ---- */

static void add(struct bench *b, unsigned int n)
{
	while (n-- && b->nidle) {
		struct slot *s = b->idle[--b->nidle];

		if (drv_add(b->q.ring, s->seg, 3, false, s) < 0) {
			fprintf(stderr, "engine: the ring refuses a request\n");
			exit(1);
		}
	}
	fe_queue_publish(&b->q);
}

static unsigned int reap(struct bench *b)
{
	struct drv_used u[BATCH];
	unsigned int n = drv_get(b->q.ring, u, BATCH);

	for (unsigned int i = 0; i < n; i++) {
		struct slot *s = u[i].cookie;

		if (unlikely(*(volatile uint8_t *)s->status != VIRTIO_BLK_S_OK)) {
			fprintf(stderr, "engine: a request failed\n");
			exit(1);
		}
		b->idle[b->nidle++] = s;
	}
	if (unlikely(drv_broken(b->q.ring))) {
		fprintf(stderr, "engine: %s\n", drv_broken(b->q.ring));
		exit(1);
	}
	return n;
}

/* Requests a second, polled on both sides, @batch shown at a time, two batches under way. */
static double polled(struct bench *b, unsigned int batch, uint64_t ns)
{
	uint64_t from = clock_ns(), now, done = 0;

	drv_call_off(b->q.ring);
	do {
		for (unsigned int k = 0; k < 100; k++) {
			if (b->nidle >= batch)
				add(b, batch);
			done += reap(b);
		}
		now = clock_ns();
	} while (now - from < ns);
	return (double)done * 1e9 / (double)(now - from);
}

/* One request at a time: nanoseconds from publishing to seeing it finished. */
static double round_trip(struct bench *b, uint64_t ns)
{
	uint64_t from = clock_ns(), now, done = 0;

	drv_call_off(b->q.ring);
	do {
		for (unsigned int k = 0; k < 100; k++) {
			add(b, 1);
			while (!reap(b))
				cpu_relax();
			done++;
		}
		now = clock_ns();
	} while (now - from < ns);
	return (double)(now - from) / (double)done;
}

/* ---- figures ---- */

static void line(const char *what, double v, const char *unit, double goal, bool at_most)
{
	bool met = at_most ? v <= goal : v >= goal;

	printf("  %-46s %10.3f %-12s", what, v, unit);
	if (goal > 0)
		printf(" goal %s %.3g: %s", at_most ? "<=" : ">=", goal, met ? "met" : "MISSED");
	printf("\n");
	fflush(stdout);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sort @n slices; the best comes first if @high. */
static void report(const char *what, double *v, unsigned int n, bool high, double by,
		   const char *unit, double goal)
{
	qsort(v, n, sizeof(*v), by_size);
	line(what, v[high ? n - 1 : 0] * by, unit, goal, !high);
	printf("  %-46s %10.3f\n", "  slice in the middle", v[n / 2] * by);
}

static void throughput(const char *fmt, uint64_t ring, uint32_t type, uint32_t len, double goal,
		       unsigned int ms)
{
	struct bench *b = calloc(1, sizeof(*b));
	double v[MAX_SLICES];
	unsigned int n = MIN(ms * 1000000ull / SLICE_NS + 1, MAX_SLICES);
	char what[64];

	if (!b)
		exit(1);
	begin(b, ring, WORKER_BUSY, type, len);
	polled(b, BATCH, 20000000);
	for (unsigned int i = 0; i < n; i++)
		v[i] = polled(b, BATCH, SLICE_NS);
	while (b->nidle < SLOTS)
		reap(b);
	end(b);
	free(b);
	snprintf(what, sizeof(what), "%s, %s %u bytes, batch %u", fmt,
		 type == VIRTIO_BLK_T_IN ? "read" : "write", len, BATCH);
	report(what, v, n, true, 1e-6, "M requests/s", goal);
}

static void latency(const char *fmt, uint64_t ring, unsigned int ms)
{
	struct bench *b = calloc(1, sizeof(*b));
	double v[MAX_SLICES];
	unsigned int n = MIN(ms * 1000000ull / SLICE_NS + 1, MAX_SLICES);
	char what[64];

	if (!b)
		exit(1);
	begin(b, ring, WORKER_BUSY, VIRTIO_BLK_T_OUT, 512);
	round_trip(b, 20000000);
	for (unsigned int i = 0; i < n; i++)
		v[i] = round_trip(b, SLICE_NS);
	end(b);
	free(b);
	snprintf(what, sizeof(what), "%s, one request at a time", fmt);
	report(what, v, n, false, 1, "ns", 0);
}

/*
 * Both sides sleep. @qd requests under way; the driver asks to be woken when
 * @after of them are done, takes what there is and sends as many again.
 */
static void event_mode(const char *fmt, uint64_t ring, unsigned int qd, unsigned int after,
		       unsigned int ms)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct vq_stats s0, s1;
	uint64_t from, done = 0, enters, kicks, goal_ns = (uint64_t)ms * 1000000;
	const struct worker_stats *ws;
	double calls, notes;
	char what[64];

	if (!b)
		exit(1);
	begin(b, ring, WORKER_EVENT, VIRTIO_BLK_T_OUT, 512);
	ws = worker_stats(b->d.workers[0]);
	s0 = conf_queue_stats(&b->d, 0);
	enters = __atomic_load_n(&ws->enters, __ATOMIC_RELAXED);
	kicks = b->q.kicks;
	from = clock_ns();
	b->nidle = qd; /* the others stay out of it */
	while (clock_ns() - from < goal_ns) {
		unsigned int n;

		add(b, qd);
		if (!fe_queue_wait(&b->q, after, 5000)) {
			fprintf(stderr, "engine: no interrupt came\n");
			exit(1);
		}
		drv_call_off(b->q.ring);
		while ((n = reap(b)))
			done += n;
	}
	enters = __atomic_load_n(&ws->enters, __ATOMIC_RELAXED) - enters;
	kicks = b->q.kicks - kicks;
	s1 = conf_queue_stats(&b->d, 0);
	notes = (double)(s1.notified - s0.notified) / (double)done;
	calls = (double)(enters + kicks) / (double)done + notes;
	end(b);
	free(b);
	snprintf(what, sizeof(what), "%s, depth %u, woken after %u: system calls", fmt, qd, after);
	line(what, calls, "per request", after > 1 ? 0.1 : 0, true);
	snprintf(what, sizeof(what), "%s, depth %u, woken after %u: notifications", fmt, qd, after);
	line(what, notes, "per request", after > 1 ? 0.1 : 0, true);
}

/* ---- what the machine can do ---- */

struct ball {
	_Alignas(128) uint64_t there;
	_Alignas(128) uint64_t back;
};

#define TRIPS 200000u

static void *throw_back(void *arg)
{
	struct ball *b = arg;

	for (uint64_t i = 1; i <= TRIPS; i++) {
		while (__atomic_load_n(&b->there, __ATOMIC_ACQUIRE) < i)
			;
		__atomic_store_n(&b->back, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Nanoseconds a cache line takes to the other CPU and back, at best. */
static double line_trip(void)
{
	struct ball b = { 0 };
	double best = 1e9;
	pthread_attr_t attr;
	cpu_set_t other;
	pthread_t t;

	/* It must not begin on this CPU, where we are about to spin. */
	CPU_ZERO(&other);
	CPU_SET(1, &other);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(other), &other);
	if (pthread_create(&t, &attr, throw_back, &b)) {
		fprintf(stderr, "engine: no thread\n");
		exit(1);
	}
	pthread_attr_destroy(&attr);
	for (uint64_t i = 1; i <= TRIPS;) {
		uint64_t from = clock_ns();
		double ns;

		for (unsigned int k = 0; k < 100; k++, i++) {
			__atomic_store_n(&b.there, i, __ATOMIC_RELEASE);
			while (__atomic_load_n(&b.back, __ATOMIC_ACQUIRE) < i)
				;
		}
		ns = (double)(clock_ns() - from) / 100;
		best = MIN(best, ns);
	}
	pthread_join(t, NULL);
	return best;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t ring;
	} fmt[] = { { "split", SPLIT }, { "packed", PACKED } };
	int ms = argc > 1 ? atoi(argv[1]) : 1000;

	if (ms <= 0) {
		fprintf(stderr, "usage: engine [MILLISECONDS per figure]\n");
		return 2;
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("  skipped: the driver and the worker need a CPU each\n");
		return 0;
	}
	pin(0);
	/* Read the rest beside this: it bounds what passes between two CPUs, and differs widely. */
	line("a cache line to the other CPU and back", line_trip(), "ns", 0, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(fmt); i++) {
		throughput(fmt[i].name, fmt[i].ring, VIRTIO_BLK_T_OUT, 512, GOAL_RATE,
			   (unsigned int)ms);
		throughput(fmt[i].name, fmt[i].ring, VIRTIO_BLK_T_IN, 512, 0, (unsigned int)ms);
		throughput(fmt[i].name, fmt[i].ring, VIRTIO_BLK_T_IN, 4096, 0, (unsigned int)ms);
		latency(fmt[i].name, fmt[i].ring, (unsigned int)ms);
		event_mode(fmt[i].name, fmt[i].ring, 32, 1, (unsigned int)ms);
		event_mode(fmt[i].name, fmt[i].ring, 32, 24, (unsigned int)ms);
	}
	return 0;
}
