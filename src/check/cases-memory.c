/* SPDX-License-Identifier: MIT */
/* vuctl check: memory tables and slots. */
#include "check/check.h"

const struct check_case check_memory_cases[] = {
	{ 0 },
};
