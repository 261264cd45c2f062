/* SPDX-License-Identifier: MIT */
/* One run, from the control thread: tells the lanes what time it is, and watches over them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/target.h"
#include "util/size.h"

#define TICK_MS    200
#define SECOND     UINT64_C(1000000000)
#define GIVE_UP_NS (2 * SECOND) /* what is in flight when the end comes early */

void bench_result_reset(struct bench_result *r)
{
	memset(r, 0, sizeof(*r));
	hist_reset(&r->latency);
}

/* ---- before it starts ---- */

/* "null:1G" and the like, where storage looks for a kind of source first and for a file then. */
static bool has_scheme(const char *target)
{
	return target[strspn(target, "abcdefghijklmnopqrstuvwxyz0123456789+-")] == ':';
}

static int check_target(const char *target, const struct target_ops **ops, struct stat *st,
			struct err *e)
{
	*ops = &target_storage;
	if (stat(target, st) < 0) {
		/* Storage has the words for what is neither a file nor a kind of source. */
		if (has_scheme(target)) {
			memset(st, 0, sizeof(*st));
			return 0;
		}
		err_sys(e, -errno, "target-missing", "cannot use %s", target);
		return err_hint(e,
				"A target is the socket of a back-end, a block device or a file");
	}
	if (S_ISSOCK(st->st_mode))
		*ops = &target_socket;
	else if (!S_ISBLK(st->st_mode) && !S_ISREG(st->st_mode))
		return err_set(e, -EINVAL, "target-kind",
			       "%s is neither a socket nor a block device nor a file", target);
	return 0;
}

static bool has_data(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool data = fd < 0 || lseek(fd, 0, SEEK_DATA) >= 0 || errno != ENXIO;

	if (fd >= 0)
		close(fd);
	return data;
}

/* Nobody loses data for want of a word: writing is asked for, or there is nothing to lose. */
static int check_write(const char *target, const struct bench_opts *o, const struct stat *st,
		       struct err *e)
{
	if (!bench_writes(o->rw) || o->write)
		return 0;
	if (S_ISSOCK(st->st_mode))
		err_set(e, -EINVAL, "would-overwrite",
			"writing to %s destroys what is on the disk behind it", target);
	else if (!strncmp(target, "null:", 5) || !strncmp(target, "mem:", 4))
		return 0; /* nothing of it is kept */
	else if (has_scheme(target))
		/* Whatever is behind the name: a file called like the whole of it says nothing. */
		err_set(e, -EINVAL, "would-overwrite", "writing to %s may destroy what is there",
			target);
	else if (S_ISBLK(st->st_mode))
		err_set(e, -EINVAL, "would-overwrite", "writing to %s destroys what is on it",
			target);
	else if (S_ISREG(st->st_mode) && has_data(target))
		err_set(e, -EINVAL, "would-overwrite", "writing to %s destroys what is in it",
			target);
	else
		return 0;
	return err_hint(e, "If nobody needs it: --write");
}

int bench_range(const struct bench *b, uint64_t capacity, uint32_t block_size, struct err *e)
{
	const struct bench_opts *o = b->o;
	uint64_t blocks = o->queues;
	char has[SIZE_TEXT_MAX];

	if (o->bs % block_size || o->offset % block_size)
		return err_set(e, -EINVAL, "unaligned",
			       "%s has blocks of %u bytes: %s is no multiple of that", b->target,
			       block_size, o->bs % block_size ? "--bs" : "--offset");
	size_format(has, capacity);
	if (o->offset >= capacity || o->size > capacity - o->offset)
		return err_set(e, -EINVAL, "target-too-small",
			       "%s has %s: less than --offset and --size say", b->target, has);
	if (o->rw == BENCH_RANDREAD || o->rw == BENCH_RANDWRITE || o->rw == BENCH_RANDRW)
		blocks = o->verify ? blocks : 1;
	if ((o->size ? o->size : capacity - o->offset) / o->bs < blocks) {
		err_set(e, -EINVAL, "target-too-small",
			"%s has no room for %" PRIu64 " request%s of %u bytes", b->target, blocks,
			blocks > 1 ? "s" : "", o->bs);
		return err_hint(e, "It has %s", has);
	}
	return 0;
}

int bench_lanes(struct bench *b, uint64_t capacity, struct err *e)
{
	unsigned int n = b->o->queues;
	uint64_t run_id = clock_ns() ^ (uint64_t)getpid() << 40;

	b->lanes = aligned_alloc(CACHELINE, n * sizeof(*b->lanes));
	if (!b->lanes)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a load");
	for (; b->nlanes < n; b->nlanes++) {
		int ret = lane_init(&b->lanes[b->nlanes], b->o, b->nlanes, &b->phase, capacity,
				    run_id, e);
		if (ret < 0)
			return ret;
	}
	atomic_store(&b->alive, n);
	return 0;
}

/* ---- while it runs ---- */

void bench_lane_ended(struct bench *b)
{
	uint64_t one = 1;

	atomic_fetch_sub(&b->alive, 1);
	/* Cannot fail: there are not that many lanes. */
	while (write(b->bell, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static uint64_t requests(const struct bench *b)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < b->nlanes; i++)
		n += atomic_load_explicit(&b->lanes[i].done, memory_order_relaxed);
	return n;
}

enum event { EV_TIME, EV_STOP, EV_GONE, EV_ENDED, EV_STALLED, EV_GIVE_UP };

/**
 * struct watch - the control thread's view
 * @moved_ns:	when @last_done changed last
 * @give_up_ns:	when not to wait any longer for what is in flight, 0: never
 * @shown_ns, @shown_done: at the last progress report
 */
struct watch {
	uint64_t last_done, moved_ns, give_up_ns;
	uint64_t shown_ns, shown_done;
};

static void show(struct bench *b, struct watch *w, uint64_t now, uint64_t begin, uint64_t end,
		 int phase)
{
	struct bench_progress p = {
		.warmup = phase == PHASE_WARMUP,
		.checking = phase == PHASE_CHECK,
		.elapsed_ns = now - begin,
		.total_ns = end > begin ? end - begin : 0,
	};
	uint64_t done = requests(b);

	if (!b->o->progress || now <= w->shown_ns)
		return;
	p.requests = (double)(done - w->shown_done) * 1e9 / (double)(now - w->shown_ns);
	w->shown_ns = now;
	w->shown_done = done;
	b->o->progress(b->o->ctx, &p);
}

static enum event look_around(struct bench *b, int timeout_ms, bool mind_stop)
{
	struct pollfd p[3] = {
		{ .fd = b->bell, .events = POLLIN },
		{ .fd = b->ops->watch_fd(b), .events = POLLRDHUP },
		{ .fd = mind_stop ? b->o->stop_fd : -1, .events = POLLIN },
	};
	uint64_t v;

	if (poll(p, 3, timeout_ms) <= 0)
		return EV_TIME;
	if (p[1].revents)
		return EV_GONE;
	if (p[0].revents && read(b->bell, &v, sizeof(v)) == sizeof(v))
		return EV_ENDED;
	return p[2].revents ? EV_STOP : EV_TIME;
}

/* Until @end, or all lanes have ended if that is UINT64_MAX, or something happens. */
static enum event wait_until(struct bench *b, struct watch *w, uint64_t end, int phase)
{
	uint64_t begin = clock_ns(), now = begin;
	bool all = end == UINT64_MAX, mind_stop = phase != PHASE_STOP;

	while (now < end) {
		uint64_t left = (end - now) / 1000000 + 1;
		enum event ev;

		if (all && !atomic_load(&b->alive))
			return EV_ENDED;
		ev = look_around(b, (int)MIN(left, (uint64_t)TICK_MS), mind_stop);
		now = clock_ns();
		if (ev != EV_TIME && !(all && ev == EV_ENDED))
			return ev;
		if (requests(b) != w->last_done) {
			w->last_done = requests(b);
			w->moved_ns = now;
		} else if (now - w->moved_ns > bench_patience_ns(b)) {
			return EV_STALLED;
		}
		if (w->give_up_ns && now >= w->give_up_ns)
			return EV_GIVE_UP;
		if (now - w->shown_ns >= TICK_MS * UINT64_C(1000000))
			show(b, w, now, begin, all ? 0 : end, phase);
	}
	return EV_TIME;
}

static void set_phase(struct bench *b, int phase)
{
	atomic_store_explicit(&b->phase, phase, memory_order_relaxed);
}

/* What a lane says comes later: it knows more. */
static int event_error(const struct bench *b, enum event ev, struct err *e)
{
	if (ev == EV_GONE)
		return err_set(e, -ECONNRESET, "backend-gone",
			       "the back-end of %s has gone away during the run", b->target);
	if (ev == EV_STALLED)
		return err_set(e, -ETIMEDOUT, "no-answer",
			       "no request to %s was answered for %.3g seconds", b->target,
			       (double)bench_patience_ns(b) / (double)SECOND);
	return 0;
}

static void cpu_begin(struct bench *b, struct bench_result *r, int64_t *cpu)
{
	*cpu = b->ops->cpu_ns(b);
	r->cpu_requests = requests(b);
}

static void cpu_end(struct bench *b, struct bench_result *r, int64_t begin)
{
	int64_t end = b->ops->cpu_ns(b);

	r->has_cpu = begin >= 0 && end >= begin;
	r->cpu_ns = r->has_cpu ? (uint64_t)(end - begin) : 0;
	r->cpu_requests = requests(b) - r->cpu_requests;
}

/* Warm-up, measurement, end. */
static int phases(struct bench *b, struct bench_result *r, struct err *e)
{
	uint64_t now = clock_ns();
	struct watch w = { .shown_ns = now, .moved_ns = now };
	enum event ev = EV_TIME;
	int64_t cpu;
	int ret, phase;

	if (b->o->warmup_ns)
		ev = wait_until(b, &w, clock_ns() + b->o->warmup_ns, PHASE_WARMUP);
	if (ev == EV_TIME) {
		set_phase(b, PHASE_MEASURE);
		cpu_begin(b, r, &cpu);
		ev = wait_until(b, &w, clock_ns() + b->o->run_ns, PHASE_MEASURE);
		cpu_end(b, r, cpu);
	}
	r->stopped = ev != EV_TIME;
	ret = event_error(b, ev, e);
	/* A lane that ended before its time has failed: what the others wrote does not matter. */
	phase = ret ? PHASE_ABORT : ev == EV_TIME ? PHASE_CHECK : PHASE_STOP;
	set_phase(b, phase);
	while (phase < PHASE_ABORT) {
		if (phase == PHASE_STOP && !w.give_up_ns)
			w.give_up_ns = clock_ns() + GIVE_UP_NS;
		ev = wait_until(b, &w, UINT64_MAX, phase);
		if (ev == EV_ENDED)
			break;
		ret = event_error(b, ev, e);
		phase = ret || ev == EV_GIVE_UP ? PHASE_ABORT : PHASE_STOP;
		r->stopped = true;
		set_phase(b, phase);
	}
	/* Told to abort, they end by themselves, unless a disk hangs on to what is in flight. */
	for (int i = 0; atomic_load(&b->alive) && i < 10; i++)
		look_around(b, TICK_MS, false);
	return ret;
}

static void collect(struct bench *b, struct bench_result *r)
{
	for (unsigned int i = 0; i < b->nlanes; i++) {
		const struct lane *l = &b->lanes[i];
		uint64_t ns = l->end_ns - l->begin_ns;

		r->verified += l->verified;
		if (!l->begin_ns || !l->end_ns || !ns)
			continue;
		r->reads += l->reads;
		r->writes += l->writes;
		r->ns = MAX(r->ns, ns);
		r->iops += (double)(l->reads + l->writes) * 1e9 / (double)ns;
		r->kicks += l->after.kicks - l->before.kicks;
		r->calls += l->after.calls - l->before.calls;
		hist_merge(&r->latency, &l->hist);
	}
	r->requests = r->reads + r->writes;
}

static int first_failure(const struct bench *b, int ret, struct err *e)
{
	for (unsigned int i = 0; i < b->nlanes; i++) {
		const struct err *f = &b->lanes[i].fail;

		if (f->code)
			return err_set(e, f->code, f->id, "%s: %s", b->target, f->what);
	}
	return ret;
}

/* Figures of nothing are no figures. */
static int nothing_done(const struct bench *b, const struct bench_result *r, struct err *e)
{
	if (r->requests)
		return 0;
	err_set(e, r->stopped ? -EINTR : -ENODATA, "no-requests", "%s: no request was finished",
		b->target);
	if (r->stopped)
		return err_hint(e, "The run was ended before anything was measured");
	return err_hint(e, "Its answers take longer than the run: a longer --secs");
}

/* Requests are still out, and may come back at any time. */
static bool stuck(struct bench *b)
{
	return b->ops->must_drain && atomic_load(&b->phase) == PHASE_ABORT &&
	       atomic_load(&b->alive);
}

static int measure(struct bench *b, struct bench_result *r, struct err *e)
{
	int ret = b->ops->open(b, e);

	r->info = b->info;
	if (ret < 0)
		return ret;
	if (b->o->loaded)
		b->o->loaded(b->o->ctx);
	ret = b->ops->start(b, e);
	if (ret < 0)
		return ret;
	ret = phases(b, r, e);
	if (stuck(b))
		return ret ? ret :
			     err_set(e, -ETIMEDOUT, "no-answer", "requests to %s do not come back",
				     b->target);
	b->ops->join(b);
	collect(b, r);
	ret = first_failure(b, ret, e);
	return ret < 0 ? ret : nothing_done(b, r, e);
}

int bench_check(const char *target, const struct bench_opts *o, struct err *e)
{
	const struct target_ops *ops;
	struct stat st;
	int ret = check_target(target, &ops, &st, e);

	return ret < 0 ? ret : check_write(target, o, &st, e);
}

int bench_run(const char *target, const struct bench_opts *o, struct bench_result *r, struct err *e)
{
	struct bench *b;
	struct stat st;
	int ret;

	bench_result_reset(r);
	b = aligned_alloc(CACHELINE, sizeof(*b));
	if (!b)
		return err_sys(e, -ENOMEM, "out-of-memory", "cannot make a load");
	memset(b, 0, sizeof(*b));
	b->target = target;
	b->o = o;
	b->bell = -1;
	ret = check_target(target, &b->ops, &st, e);
	if (ret == 0)
		ret = check_write(target, o, &st, e);
	if (ret < 0)
		goto out;
	b->info.kind = b->ops->kind;
	b->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->bell < 0)
		ret = err_sys(e, -errno, "eventfd", "cannot make an eventfd");
	else
		ret = measure(b, r, e);
	if (stuck(b))
		return ret; /* and leave all of it behind */
	b->ops->close(b);
	for (unsigned int i = 0; i < b->nlanes; i++)
		lane_fini(&b->lanes[i]);
	free(b->lanes);
	if (b->bell >= 0)
		close(b->bell);
out:
	free(b);
	return ret;
}
