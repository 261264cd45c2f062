/* SPDX-License-Identifier: MIT */
/* vuctl check: sizes, descriptors, unknown requests, acknowledgements. */
#include "check/check.h"

const struct check_case check_message_cases[] = {
	{ 0 },
};
