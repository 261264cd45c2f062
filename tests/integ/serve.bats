#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# vuctl serve at a socket: beginning, signals, end, and what it leaves behind.
#
# Each test is a subshell, and commands for --run expand what is in them later.
# shellcheck disable=SC2016,SC2030,SC2031

setup() {
	# shellcheck source=tests/integ/lib.sh
	. "${abs_top_srcdir:?}/tests/integ/lib.sh"
	truncate -s 1M disk.img
}

teardown() {
	clean_up
}

need_socat() {
	command -v socat >/dev/null || skip "socat is missing"
}

# A front end that asks for the features and leaves.
ask_and_leave() {
	printf '\001\000\000\000\001\000\000\000\000\000\000\000' |
		socat -t 5 - "UNIX-CONNECT:$1" | od -An -tx1 | tr -d ' \n'
}

@test "only_the_path_goes_to_standard_output" {
	serve disk.img --socket "$tmp/x.sock"
	[ "$(cat out)" = "$tmp/x.sock" ]
	[ -S x.sock ]
	[ "$(stat -c %a x.sock)" = 600 ]
	grep -q '^disk.img: raw, 1 MiB, writable$' err
	grep -q "^listening on $tmp/x.sock (mode 0600)$" err
	finish
	[ ! -e x.sock ]
}

@test "both_signals_end_it_well_and_leave_nothing" {
	for s in INT TERM HUP; do
		serve disk.img --socket x.sock -q
		[ ! -s err ]
		kill -"$s" "$pid"
		gone 0
		[ ! -e x.sock ]
	done
}

@test "mode_and_group_are_those_asked_for" {
	serve disk.img --socket x.sock --socket-mode 0640
	[ "$(stat -c %a x.sock)" = 640 ]
	finish
	serve disk.img --socket x.sock --socket-group "$(id -gn)"
	[ "$(stat -c '%a %G' x.sock)" = "660 $(id -gn)" ]
	finish
}

@test "a_stale_socket_is_replaced_and_a_live_one_is_not" {
	serve disk.img --socket x.sock
	kill -KILL "$pid"
	gone 137
	[ -S x.sock ]
	serve disk.img --socket x.sock
	grep -q 'left by a process that is gone; replaced' err
	run "$VUCTL" serve mem:1M --socket x.sock --json
	[ "$status" -eq 5 ]
	[[ $output == *'"id":"socket-in-use"'* ]]
	run "$VUCTL" serve mem:1M --socket disk.img
	[ "$status" -eq 5 ]
	[ -S x.sock ]
	finish
}

@test "an_image_is_written_by_one_at_a_time" {
	serve disk.img --socket x.sock
	run "$VUCTL" serve disk.img --socket y.sock --json
	[ "$status" -eq 5 ]
	[[ $output == *'"id":"image-in-use"'* ]]
	[ ! -e y.sock ]
	finish
}

@test "a_socket_path_that_is_too_long_is_named" {
	long=$tmp/$(printf '%0120d' 0)
	run "$VUCTL" serve disk.img --socket "$long" --json
	[ "$status" -eq 1 ]
	[[ $output == *'"id":"socket-path-too-long"'* ]]
	[[ $output == *'/tmp/disk.sock'* ]]
}

@test "the_command_gets_the_socket_and_gives_the_status" {
	run "$VUCTL" serve disk.img --socket x.sock --name d1 -q \
		--run 'test -S "$socket" && echo "$name|$socket|$dev|"; exit 3'
	[ "$status" -eq 3 ]
	[ "$output" = 'd1|x.sock||' ]
	[ ! -e x.sock ]
	run "$VUCTL" serve disk.img --socket x.sock -q --run 'echo "$qemu_args"'
	[ "$status" -eq 0 ]
	[[ $output == *'vhost-user-blk-pci'* ]]
	[[ $output == *'share=on'* ]]
	[[ $output == *'path=x.sock,reconnect'* ]]
	status=0
	"$VUCTL" serve disk.img --socket x.sock -q --run 'no-such-command-here' || status=$?
	[ "$status" -eq 127 ]
	run "$VUCTL" serve disk.img --socket x.sock -q --run ./disk.img
	[ "$status" -eq 126 ]
	run "$VUCTL" serve disk.img --socket x.sock -q --run 'kill -9 $$'
	[ "$status" -eq 137 ]
}

@test "the_command_has_its_signals_unblocked" {
	run "$VUCTL" serve disk.img --socket x.sock -q \
		--run 'grep -E "^Sig(Blk|Ign)" /proc/self/status | tr -d "\t"'
	[ "$status" -eq 0 ]
	[[ $output == *'SigBlk:0000000000000000'* ]]
	# bit 12 is SIGPIPE
	ign=${output##*SigIgn:}
	[ $((0x$ign & 0x1000)) -eq 0 ]
}

@test "a_private_socket_is_in_a_folder_of_its_own_and_removed" {
	mkdir run
	XDG_RUNTIME_DIR=$tmp/run run "$VUCTL" serve disk.img --socket - -q \
		--run 'echo "$socket"; stat -c %a "${socket%/*}"'
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "$tmp"/run/vuctl-*/* ]]
	[ "${lines[1]}" = 700 ]
	[ -z "$(ls run)" ]
}

@test "sigterm_is_passed_on_to_the_command" {
	"$VUCTL" serve disk.img --socket x.sock -q \
		--run 'trap "echo told >said; exit 9" TERM; : >ready; while :; do sleep 0.1; done' &
	pid=$!
	within 30 test -e ready
	kill -TERM "$pid"
	gone 9
	[ "$(cat said)" = told ]
	[ ! -e x.sock ]
}

@test "sigterm_reaches_what_the_command_has_started" {
	"$VUCTL" serve disk.img --socket x.sock -q \
		--run 'sleep 600 & echo $! >started; : >ready; wait' </dev/null &
	pid=$!
	within 30 test -e ready
	kill -TERM "$pid"
	gone 143
	pid=$(cat started)
	within 30 ended
	pid=
}

@test "once_ends_with_the_first_front_end" {
	need_socat
	serve disk.img --socket x.sock --once
	features=$(ask_and_leave x.sock)
	[[ $features == 0100000005000000* ]]
	gone 0
	grep -q '^disconnected: ' err
	[ ! -e x.sock ]
}

@test "without_once_the_next_one_is_served" {
	need_socat
	serve disk.img --socket x.sock
	[ "$(ask_and_leave x.sock)" = "$(ask_and_leave x.sock)" ]
	finish
	[ "$(grep -c 'listening again' err)" -eq 2 ]
}

@test "packed_rings_are_offered_unless_forbidden" {
	need_socat
	serve disk.img --socket x.sock -q
	f=$(ask_and_leave x.sock)
	# bit 34: the fifth byte of the payload, after 12 bytes of header
	[ $((0x${f:32:2} & 4)) -eq 4 ]
	finish
	serve disk.img --socket x.sock -q --no-packed
	f=$(ask_and_leave x.sock)
	[ $((0x${f:32:2} & 4)) -eq 0 ]
	finish
	# bits 5, 9, 13: read-only, flush, discard
	serve disk.img --socket x.sock -q -r
	f=$(ask_and_leave x.sock)
	[ $((0x${f:24:2} & 0x20)) -eq 32 ]
	[ $((0x${f:26:2} & 0x22)) -eq 2 ]
	finish
}

@test "a_given_descriptor_is_served" {
	need_socat
	# socat listens, and gives us the connection as descriptors 0 and 1
	cat >given <<-END
		#!/bin/sh
		"$VUCTL" serve mem:1M --fd 0 -q
		echo \$? >status
	END
	chmod +x given
	socat UNIX-LISTEN:y.sock EXEC:./given &
	pid=$!
	within 30 test -S y.sock
	[[ $(ask_and_leave y.sock) == 0100000005000000* ]]
	# a connection does not come back: that is the end
	within 30 test -s status
	[ "$(cat status)" = 0 ]
	within 30 ended
	run "$VUCTL" serve mem:1M --fd 0 --json </dev/null
	[ "$status" -eq 1 ]
	[[ $output == *'"id":"bad-descriptor"'* ]]
}

@test "counters_are_printed_at_the_end" {
	serve mem:1M --socket x.sock --stats --json --queues 2 --workers 1
	finish
	last=$(tail -n 1 err)
	[[ $last == '{"stats":{"name":"mem","queues":[{"queue":0,'*'"workers":[{"worker":0,'*']}}' ]]
	if command -v jq >/dev/null; then
		[ "$(echo "$last" | jq '.stats.queues | length')" -eq 2 ]
		while read -r line; do echo "$line" | jq -e . >/dev/null; done <err
	fi
	serve mem:1M --socket x.sock --stats
	finish
	grep -q '^QUEUE ' err
}

@test "every_way_to_wait_and_every_engine_starts_and_ends" {
	for mode in event adaptive busy; do
		serve disk.img --socket x.sock --mode "$mode" --workers 1
		finish
	done
	for aio in auto threads; do
		serve disk.img --socket x.sock --aio "$aio" --cache writethrough --cpus 0
		finish
	done
	run "$VUCTL" serve mem:1M --socket x.sock --cpus 1023
	[ "$status" -eq 1 ]
	[[ $output == *'processor 1023'* ]]
	[ ! -e x.sock ]
}

@test "its_data_threads_are_as_many_as_asked_for" {
	serve mem:1M --socket x.sock --queues 8 --workers 3
	[ "$(cat /proc/"$pid"/task/*/comm | grep -c '^vuctl-data')" -eq 3 ]
	finish
	serve mem:1M --socket x.sock --queues 1
	[ "$(cat /proc/"$pid"/task/*/comm | grep -c '^vuctl-data')" -eq 1 ]
	finish
}
