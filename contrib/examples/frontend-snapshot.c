/* SPDX-License-Identifier: MIT */
/*
 * frontend-snapshot SOCKET - put a device to sleep, take its state, wake it, and
 * give the state back. Any device that answers requests on its queue 0 will do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vu/frontend.h>

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n%s\n", what, vu_error(), vu_error_hint());
	exit(1);
}

/* 16 bytes there and 16 back; whatever the device thinks of them. */
static void request(struct vu_fe_queue *q, const struct vu_fe_seg *segs)
{
	struct vu_fe_used used;

	if (vu_fe_queue_add(q, segs, 2, &used) < 0)
		die("add");
	vu_fe_queue_publish(q);
	if (vu_fe_queue_wait(q, 5000) != 1 || vu_fe_queue_get(q, &used, 1) != 1)
		die("request");
}

static void sleep_and_wake(struct vu_fe *fe, int transfer)
{
	struct vu_fe_vring ring;
	size_t size = 0;
	void *state;

	if (vu_fe_sleep(fe) < 0 || vu_fe_vring_get(fe, 0, &ring) < 0)
		die("sleep");
	printf("asleep at %u\n", (unsigned int)ring.base.avail);
	if (transfer && vu_fe_save(fe, &state, &size) == 0) {
		printf("saved %zu bytes\n", size);
		if (vu_fe_load(fe, state, size) < 0)
			die("load");
		free(state);
	} else if (transfer) {
		/* The error has a name for programs and a sentence for people. */
		if (strcmp(vu_error_id(), "feature-missing") != 0)
			die("save");
		printf("%s\n", vu_error());
	}
	if (vu_fe_wake(fe) < 0)
		die("wake");
}

int main(int argc, char **argv)
{
	struct vu_fe_seg segs[2] = { { 0, 16, 0 }, { 0, 16, 1 } };
	struct vu_fe_queue *q;
	struct vu_fe_mem *mem;
	struct vu_fe *fe;

	if (argc != 2)
		return 2;
	fe = vu_fe_connect(argv[1], NULL);
	if (!fe || vu_fe_negotiate(fe, VU_F_EVENT_IDX) < 0)
		die("connect");
	mem = vu_fe_mem_new();
	if (!mem || !vu_fe_mem_add(mem, 0, 1 << 20) || vu_fe_set_mem(fe, mem) < 0)
		die("memory");
	q = vu_fe_queue_new(fe, 0, 64, 0);
	if (!q || !vu_fe_mem_alloc(mem, 16, 16, &segs[0].addr) ||
	    !vu_fe_mem_alloc(mem, 16, 16, &segs[1].addr))
		die("queue");

	if (vu_fe_activate(fe) < 0)
		die("activate");
	request(q, segs);
	sleep_and_wake(fe, 1);
	request(q, segs);
	sleep_and_wake(fe, 0);
	request(q, segs);
	if (vu_fe_reset(fe) < 0)
		die("reset");

	vu_fe_queue_free(q);
	vu_fe_free(fe);
	vu_fe_mem_free(mem);
	return 0;
}
