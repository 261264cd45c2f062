/* SPDX-License-Identifier: MIT */
/* vuctl check: the tables of cases, in the order they run: what is hostile comes last. */
#include <stddef.h>

#include "check/check.h"

const struct check_case *const check_tables[] = {
	check_negotiation_cases,  check_message_cases,     check_memory_cases,
	check_memory_slots_cases, check_config_cases,      check_ring_state_cases,
	check_ring_cases,         check_event_cases,       check_indirect_cases,
	check_blk_cases,          check_blk_range_cases,   check_reset_cases,
	check_reconnect_cases,    check_inflight_cases,    check_state_cases,
	check_log_cases,          check_bad_message_cases, check_bad_ring_said_cases,
	check_bad_fds_cases,      check_bad_ring_cases,    check_bad_table_cases,
	check_bad_memory_cases,   check_resource_cases,    NULL,
};
