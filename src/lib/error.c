/* SPDX-License-Identifier: MIT */
/* The last error of each thread. */
#include <errno.h>
#include <string.h>

#include "lib.h"
#include "util/compiler.h"

static _Thread_local struct err last;

struct err *lib_err(void)
{
	return &last;
}

int lib_fail(int code, const char *id, const char *what)
{
	size_t n = MIN(strlen(what), sizeof(last.what) - 1);

	last.code = code;
	last.id = id;
	memcpy(last.what, what, n);
	last.what[n] = '\0';
	last.hint[0] = '\0';
	return code;
}

const char *vu_error(void)
{
	return last.what;
}

const char *vu_error_hint(void)
{
	return last.hint;
}

const char *vu_error_id(void)
{
	return last.id ? last.id : "";
}

int vu_error_code(void)
{
	return last.code;
}

int lib_take(void *to, size_t known, const void *from)
{
	size_t size;

	if (!from)
		return 0;
	memcpy(&size, from, sizeof(size));
	if (size <= sizeof(size)) {
		err_set(lib_err(), -EINVAL, "struct-size",
			"struct_size of the options is %zu: it was not set", size);
		return err_hint(lib_err(),
				"Begin with: { .struct_size = sizeof(struct ...), ... }");
	}
	memcpy(to, from, MIN(size, known));
	return 0;
}
