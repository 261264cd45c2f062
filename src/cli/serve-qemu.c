/* SPDX-License-Identifier: MIT */
/* vuctl serve: the words that make QEMU use the socket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/serve.h"

/* Its version as 100 * major + minor, 0: there is none here. */
static unsigned int qemu_version(void)
{
	char line[256] = "";
	unsigned int major, minor, version = 0;
	FILE *f = popen("qemu-system-x86_64 --version 2>/dev/null", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) /* to the end, or it might die of a closed pipe */
		if (sscanf(line, "QEMU emulator version %u.%u", &major, &minor) == 2)
			version = 100 * major + minor;
	pclose(f);
	return version;
}

/* A comma ends a value in QEMU's options, unless doubled. */
static void escape(char *out, size_t size, const char *path)
{
	size_t n = 0;

	for (; *path && n + 2 < size; path++) {
		if (*path == ',')
			out[n++] = ',';
		out[n++] = *path;
	}
	out[n] = '\0';
}

void serve_qemu_args(const char *path, char *buf, size_t size, const char *sep)
{
	/* The one was deprecated in QEMU 9.2, the other does not exist before. */
	const char *again = qemu_version() >= 902 ? "reconnect-ms=1000" : "reconnect=1";
	char escaped[256];

	escape(escaped, sizeof(escaped), path);
	snprintf(buf, size,
		 "-m 2G -object memory-backend-memfd,id=mem,size=2G,share=on "
		 "-M q35,memory-backend=mem%s"
		 "-chardev socket,id=c0,path=%s,%s -device vhost-user-blk-pci,chardev=c0",
		 sep, escaped, again);
}
