/* SPDX-License-Identifier: MIT */
/* What the files of this folder know of each other. */
#ifndef STORAGE_BACKENDS_H
#define STORAGE_BACKENDS_H

#include "storage/stor.h"

extern const struct stor_ops stor_file;
extern const struct stor_ops stor_raw;
extern const struct stor_ops stor_null;
extern const struct stor_ops stor_mem;

extern const struct stor_ops stor_delay;
extern const struct stor_ops stor_error;

#endif
