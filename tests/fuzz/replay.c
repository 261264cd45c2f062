/* SPDX-License-Identifier: MIT */
/*
 * Run a fuzz target over its corpus, without a fuzzer: every file as it is, cut at
 * every length, and with every byte changed. Or over the files that are named.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define MAX_SIZE 65536

static bool read_file(const char *path, uint8_t *buf, size_t *size)
{
	FILE *f = fopen(path, "rb");

	if (!f)
		return false;
	*size = fread(buf, 1, MAX_SIZE, f);
	fclose(f);
	return true;
}

/* A copy of exactly the size, so that the sanitizer sees a read past its end. */
static void run(const uint8_t *p, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, p, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_with_changes(uint8_t *p, size_t size)
{
	run(p, size);
	for (size_t i = 0; i < size; i++) {
		const uint8_t was = p[i];

		run(p, i);
		p[i] = (uint8_t)(was ^ 1);
		run(p, size);
		p[i] = (uint8_t)(was + 0x80);
		run(p, size);
		p[i] = was;
	}
}

static int is_shown(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	static uint8_t buf[MAX_SIZE];
	const char *top = getenv("abs_top_srcdir");
	struct dirent **list;
	char dir[4096];
	size_t size;
	int n;

	for (int i = 1; i < argc; i++) {
		if (!read_file(argv[i], buf, &size))
			return 1;
		run(buf, size);
	}
	if (argc > 1)
		return 0;
	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", top ? top : ".", fuzz_corpus);
	n = scandir(dir, &list, is_shown, alphasort);
	if (n <= 0) {
		printf("Bail out! no corpus in %s\n", dir);
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		char path[8192];
		bool ok;

		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		ok = read_file(path, buf, &size);
		if (ok)
			run_with_changes(buf, size);
		printf("%sok %d - survives_%s\n", ok ? "" : "not ", i + 1, list[i]->d_name);
		fflush(stdout);
		free(list[i]);
	}
	free(list);
	return 0;
}
