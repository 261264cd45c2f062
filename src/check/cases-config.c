/* SPDX-License-Identifier: MIT */
/* vuctl check: the configuration space. */
#include "check/check.h"

const struct check_case check_config_cases[] = {
	{ 0 },
};
