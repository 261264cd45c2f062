/* SPDX-License-Identifier: MIT */
/* The only place that names storage backends: a new one is one line here. */
#include <stddef.h>

#include "storage/backends.h"

const struct stor_ops *const stor_backends[] = {
	&stor_file, /* first: a SOURCE without a scheme is a path */
	&stor_raw,  &stor_null, &stor_mem, NULL,
};

const struct stor_ops *const stor_filters[] = {
	&stor_delay,
	&stor_error,
	NULL,
};
