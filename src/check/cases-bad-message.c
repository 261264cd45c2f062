/* SPDX-License-Identifier: MIT */
/* vuctl check: hostile messages. */
#include "check/check.h"

const struct check_case check_bad_message_cases[] = {
	{ 0 },
};
