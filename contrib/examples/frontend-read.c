/* SPDX-License-Identifier: MIT */
/* frontend-read SOCKET - how large is the disk, and what is in its first sector? */
#include <stdio.h>
#include <stdlib.h>
#include <vu/frontend.h>

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n%s\n", what, vu_error(), vu_error_hint());
	exit(1);
}

int main(int argc, char **argv)
{
	const struct vu_fe_blk_info *info;
	unsigned char sector[512];
	struct vu_fe_blk *disk;
	struct vu_fe *fe;

	if (argc != 2)
		return 2;
	fe = vu_fe_connect(argv[1], NULL);
	if (!fe)
		die("connect");
	disk = vu_fe_blk_open(fe, NULL);
	if (!disk)
		die("open");
	info = vu_fe_blk_info(disk);
	printf("%llu bytes, blocks of %u%s\n", (unsigned long long)info->size, info->block_size,
	       info->read_only ? ", read-only" : "");
	if (vu_fe_blk_read(disk, 0, sector, sizeof(sector)) < 0)
		die("read");
	for (int i = 0; i < 16; i++)
		printf("%02x%c", sector[i], i < 15 ? ' ' : '\n');
	vu_fe_blk_close(disk);
	vu_fe_free(fe);
	return 0;
}
