/* SPDX-License-Identifier: MIT */
/* frontend-queue SOCKET - read the first 8 MiB of a disk, 32 requests at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <vu/frontend.h>

#define DEPTH 32
#define BYTES 65536
#define TOTAL (8 << 20)

struct reader {
	struct vu_fe_blk *disk;
	uint64_t next; /* where the next read goes */
	unsigned int done, failed;
};

struct slot {
	struct vu_fe_blk_io io;
	struct vu_fe_seg buf;
	struct reader *r;
};

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n%s\n", what, vu_error(), vu_error_hint());
	exit(1);
}

static void submit(struct slot *s)
{
	if (s->r->next >= TOTAL)
		return;
	s->io.offset = s->r->next;
	s->r->next += BYTES;
	if (vu_fe_blk_submit(s->r->disk, 0, &s->io) < 0)
		die("submit");
}

/* One is back: its buffer is used again at once. */
static void done(struct vu_fe_blk_io *io, int res)
{
	struct slot *s = io->ctx;

	s->r->done++;
	if (res < 0)
		s->r->failed++;
	submit(s);
}

int main(int argc, char **argv)
{
	static struct slot slots[DEPTH];
	struct reader r = { NULL, 0, 0, 0 };
	struct vu_fe_mem *mem;
	struct vu_fe *fe;

	if (argc != 2)
		return 2;
	fe = vu_fe_connect(argv[1], NULL);
	if (!fe)
		die("connect");
	/* Guest memory of our own, as the buffers have to be in it. */
	mem = vu_fe_mem_new();
	if (!mem || !vu_fe_mem_add(mem, 0, 16 << 20) || vu_fe_set_mem(fe, mem) < 0)
		die("memory");
	r.disk = vu_fe_blk_open(fe, NULL);
	if (!r.disk)
		die("open");

	for (unsigned int i = 0; i < DEPTH; i++) {
		struct slot *s = &slots[i];

		s->r = &r;
		s->buf.len = BYTES;
		if (!vu_fe_mem_alloc(mem, BYTES, 4096, &s->buf.addr))
			die("buffer");
		s->io.type = VU_FE_BLK_READ;
		s->io.data = &s->buf;
		s->io.ndata = 1;
		s->io.done = done;
		s->io.ctx = s;
		submit(s);
	}
	while (vu_fe_blk_in_flight(r.disk, 0)) {
		vu_fe_blk_kick(r.disk, 0); /* one for all that were submitted */
		if (vu_fe_blk_wait(r.disk, 0, 5000) <= 0)
			die("wait");
	}
	printf("%u requests, %u failed\n", r.done, r.failed);

	vu_fe_blk_close(r.disk);
	vu_fe_free(fe);
	vu_fe_mem_free(mem);
	return r.failed ? 1 : 0;
}
