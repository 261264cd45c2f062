#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# vuctl check: what it says of our own back-end, of one that dies, hangs, or is somebody else's.
#
# Each test is a subshell.
# shellcheck disable=SC2030,SC2031

setup() {
	# shellcheck source=tests/integ/lib.sh
	. "${abs_top_srcdir:?}/tests/integ/lib.sh"
	check_pid=
}

teardown() {
	[ -z "$check_pid" ] || kill -KILL "$check_pid" 2>/dev/null || :
	clean_up
}

need() {
	command -v "$1" >/dev/null || skip "$1 is missing"
}

# check WORD... - sets $status; report and said are files. Patient, unless WORDs say otherwise.
check() {
	status=0
	"$VUCTL" check --timeout 30 "$@" >report 2>said || status=$?
}

# lacks [-v] PATTERN FILE... - as a test; "! grep" would not fail it
lacks() {
	if grep "$@"; then
		return 1
	fi
}

show() {
	grep -v '^ok\|^passed' report || :
	cat said
	return 1
}

# The plan is kept, and nothing is skipped without a reason.
tap_is_whole() {
	awk '
		NR == 1 { if ($0 != "TAP version 13") bad("header") }
		/^1\.\./ { plan = substr($0, 4) + 0 }
		/^(not )?ok / {
			n++
			i = $1 == "not" ? $3 : $2
			if (i != n) bad("number " i)
		}
		/# SKIP *$/ { bad("no reason") }
		function bad(what) { print what ": " $0; failed = 1 }
		END { if (n != plan || !n) bad("plan"); exit failed }
	' report
}

@test "the_list_needs_no_backend_and_is_sorted" {
	check --list
	[ "$status" -eq 0 ]
	cut -f 1 report >ids
	LC_ALL=C sort -c -u ids
	[ "$(wc -l <ids)" -ge 150 ]
	# Words of a group and of the case; a level, a section and a sentence.
	awk -F '\t' 'NF != 4 || $1 !~ /^[a-z-]+\.[a-z0-9-]+$/ || $2 !~ /^(must|should)$/ ||
		$3 == "" || $4 == "" { print; bad = 1 } END { exit bad }' report
}

@test "the_list_can_be_chosen_from" {
	check --list --only config --skip config.words
	[ "$status" -eq 0 ]
	grep -q '^config\.fields	' report
	lacks '^config\.words	' report
	lacks -v '^config\.' report
	check --list --only '*.padding'
	[ "$(wc -l <report)" -eq 1 ]
	check --list --only nothing-like-it
	[ "$status" -eq 2 ]
	grep -q "no case has such an id: --only 'nothing-like-it'" said
	check --list --only config --only typo
	[ "$status" -eq 2 ]
	grep -q "'typo'" said
	check --list --only config --skip config
	[ "$status" -eq 2 ]
	grep -q -e '--skip leaves no case' said
}

@test "wrong_words_are_told_so" {
	check
	[ "$status" -eq 2 ]
	check a.sock b.sock
	[ "$status" -eq 2 ]
	for o in --rings=round --format=gif --timeout=0 --timeout=x --frob; do
		check a.sock "$o"
		[ "$status" -eq 2 ]
	done
	[ ! -s report ]
}

@test "no_backend_is_status_8" {
	check none.sock
	[ "$status" -eq 8 ]
	grep -q "there is no socket 'none.sock'" said
	grep -q -e '--restart' said
	check none.sock --restart 'exit 3'
	[ "$status" -eq 8 ]
	grep -q "ended at once, with status 3" said
	[ ! -s report ]
}

@test "our_own_backend_passes" {
	serve mem:64M --socket x.sock --packed -q
	check x.sock --write --format tap
	[ "$status" -eq 0 ] || show
	tap_is_whole
	lacks '^not ok' report
	grep -q '^ok .*/packed$' report
	grep -q '^ok .* - blk\.[a-z-]*$' report
	finish
}

@test "without_write_nothing_is_changed" {
	seq 1 3000000 | head -c 16M >disk.img
	sum=$(cksum <disk.img)
	serve disk.img --socket x.sock -q
	check x.sock --rings split --format tap
	[ "$status" -eq 0 ] || show
	grep -q 'SKIP changes what is on the disk' report
	finish
	[ "$(cksum <disk.img)" = "$sum" ]
}

@test "without_write_not_even_a_read_only_disk_is_put_to_the_test" {
	serve mem:16M --read-only --socket x.sock -q
	check x.sock --only 'blk.read-only*'
	[ "$status" -eq 0 ] || show
	# It writes what it has read.
	grep -q '^passed  blk\.read-only$' report
	grep -q '^skipped blk\.read-only-ranges: changes what is on the disk: only with --write$' report
	check x.sock --only 'blk.read-only*' --write
	[ "$status" -eq 0 ] || show
	grep -q '^passed  blk\.read-only-ranges$' report
	finish
}

@test "what_the_command_left_in_its_group_is_ended_and_the_command_waited_for" {
	# The shell is gone long before its back-end is; the last one does not mind SIGTERM.
	check x.sock --only negotiation.only-version-1 \
		--restart "(trap '' TERM; echo \$\$ >group; exec sleep 600) & \
			$VUCTL serve mem:16M --socket x.sock -q & exit 0"
	[ "$status" -eq 0 ] || show
	[ -s group ]
	# Nobody but perhaps a zombie, which its new parent has not waited for.
	run pgrep -r R,S,D,T -g "$(cat group)"
	[ -z "$output" ]
}

@test "only_skip_and_rings_choose" {
	serve mem:16M --socket x.sock --packed -q
	check x.sock --only negotiation
	[ "$status" -eq 0 ] || show
	grep -q '^passed  negotiation.only-version-1$' report
	grep -q '^passed  negotiation.only-version-1/packed$' report
	lacks '^passed  config' report
	check x.sock --only negotiation --rings split
	lacks /packed report
	check x.sock --only negotiation --rings packed
	lacks '^passed  negotiation.only-version-1$' report
	grep -q '^passed  negotiation.only-version-1/packed$' report
	check x.sock --only 'negotiation.only-version-1/packed'
	[ "$(grep -c '^passed' report)" -eq 1 ]
	check x.sock --only 'negotiation.only-*' --skip '*/packed'
	[ "$(grep -c '^passed' report)" -eq 1 ]
	grep -q '^1 passed, 0 failed, 0 should have been better, 0 skipped$' report
	finish
}

@test "what_is_not_offered_is_skipped_for_a_reason" {
	serve mem:16M --socket x.sock --no-packed --read-only -q
	check x.sock --write --only negotiation --only config --only blk
	[ "$status" -eq 0 ] || show
	grep -q '^skipped negotiation.only-version-1/packed: not offered: RING_PACKED$' report
	grep -q '^skipped .*: the disk is read-only$' report
	grep -q '^ *[0-9]* skipped: not offered: RING_PACKED$' report
	finish
}

@test "verbose_shows_messages_of_cases_that_passed" {
	serve mem:16M --socket x.sock -q
	check x.sock --only config.words
	lacks 'GET_CONFIG' report
	check x.sock --only config.words -v
	grep -q '> GET_CONFIG' report
	grep -q '< GET_CONFIG' report
	finish
}

@test "the_report_goes_to_a_file" {
	serve mem:16M --socket x.sock -q
	check x.sock --only negotiation -o there
	[ "$status" -eq 0 ]
	[ ! -s report ]
	grep -q '^passed' there
	check x.sock --only negotiation -o none/there
	[ "$status" -eq 1 ]
	grep -q 'cannot write' said
	finish
}

# lines FILE N - it has that many
lines() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}

# JUnit's report comes as one at the end: there the connections are counted.
busy() {
	lines report 12 || { [ -e err ] && [ "$(grep -c '^connected' err)" -ge 12 ]; }
}

# midway PID SIGNAL WORD... - sends the signal to the process when some cases have run.
# WORDs choose enough of them: those of ring-state take time.
midway() {
	victim=$1 signal=$2
	shift 2
	"$VUCTL" check "$@" --timeout 2 >report 2>said &
	check_pid=$!
	within 60 busy
	# However fast it is: there is more to come when the back-end is gone.
	kill -STOP "$check_pid"
	[ "$victim" != child ] || victim=$(pgrep -P "$check_pid")
	kill "-$signal" "$victim"
	kill -CONT "$check_pid"
	status=0
	wait "$check_pid" || status=$?
	check_pid=
}

@test "a_backend_that_dies_is_reported_and_the_rest_not_run" {
	serve mem:16M --socket x.sock -q
	midway "$pid" KILL x.sock
	[ "$status" -eq 8 ]
	gone 137
	[ "$(grep -c '^died' report)" -eq 1 ]
	grep -q '^skipped .*: not run: the back-end died in ' report
	grep -q 'cases were not run' said
	grep -q -e '--restart' said
}

@test "a_backend_that_dies_is_started_again" {
	midway child KILL x.sock --only negotiation --only ring-state --only blk \
		--restart "exec $VUCTL serve mem:16M --socket x.sock -q"
	[ "$status" -eq 1 ] || show
	[ "$(grep -c '^died' report)" -eq 1 ]
	lacks 'not run' report said
	grep -q '^passed  blk' report
	# Nobody stays behind.
	[ ! -e x.sock ]
}

@test "a_backend_that_hangs_is_reported_and_started_again" {
	midway child STOP x.sock --only negotiation --only ring-state --only blk \
		--restart "exec $VUCTL serve mem:16M --socket x.sock -q"
	[ "$status" -eq 1 ] || show
	[ "$(grep -c '^hung' report)" -eq 1 ]
	lacks 'not run' report said
	grep -q '^passed  blk' report
	[ ! -e x.sock ]
}

@test "reports_with_failures_can_be_read" {
	for format in tap junit json; do
		serve mem:16M --socket x.sock
		midway "$pid" KILL x.sock --format "$format" --only negotiation --only ring-state
		[ "$status" -eq 8 ]
		gone 137
		cp report "report.$format"
	done
	cp report.tap report
	tap_is_whole
	grep -q '^  result: "died"$' report
	grep -q '^  section: "' report
	grep -q '^<testsuite .* failures="0" errors="1" skipped="[0-9]*" time="[0-9.]*">$' report.junit
	if command -v xmllint >/dev/null; then
		xmllint --noout report.junit
		[ "$(xmllint --xpath 'count(//testcase/error)' report.junit)" -eq 1 ]
		[ "$(xmllint --xpath 'count(//testcase)' report.junit)" -eq \
			"$(xmllint --xpath 'string(//testsuite/@tests)' report.junit)" ]
		[ "$(xmllint --xpath 'count(//testcase/skipped)' report.junit)" -eq \
			"$(xmllint --xpath 'string(//testsuite/@skipped)' report.junit)" ]
	fi
	if command -v jq >/dev/null; then
		jq -e '.cases | map(select(.result == "died")) | length == 1' report.json
		jq -e '.cases | all(.id and .level and .section and .what and .result)' report.json
		jq -e '.cases[] | select(.result == "died") | .expected and .got and .messages' report.json
		jq -e '.summary.died == 1 and .backend.disk' report.json
	fi
}

@test "a_backend_that_ends_with_its_connection_needs_restart" {
	serve mem:16M --socket x.sock --once -q
	check x.sock --only negotiation
	[ "$status" -eq 8 ]
	gone 0
	grep -q 'ended with its first connection' said
	grep -q -e '--restart' said
	[ ! -s report ]
}

@test "a_backend_that_ends_with_its_connection_is_started_for_each" {
	check x.sock --only negotiation --restart "exec $VUCTL serve mem:16M --socket x.sock --once -q"
	[ "$status" -eq 0 ] || show
	lacks '^died\|^hung\|^failed' report
	grep -q '^passed' report
	[ ! -e x.sock ]
}

@test "a_command_that_leaves_its_backend_in_the_background_will_do" {
	check x.sock --only negotiation \
		--restart "$VUCTL serve mem:16M --socket x.sock -q & exit 0"
	[ "$status" -eq 0 ] || show
	within 60 test ! -e x.sock
}

@test "qemu_storage_daemon_is_checked_to_the_end" {
	need qemu-storage-daemon
	truncate -s 16M disk.img
	check x.sock --write --format tap --only negotiation --only config --only ring \
		--restart "exec qemu-storage-daemon --blockdev driver=file,node-name=f,filename=disk.img \
			--export type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=x.sock,writable=on"
	[ "$status" -le 1 ] || show
	tap_is_whole
	# It takes every offset for 0.
	grep -q '^not ok .* - config.words$' report
	grep -q '^ok .* - negotiation.version-1$' report
}

@test "a_signal_leaves_a_whole_report_and_nobody_behind" {
	for format in tap json; do
		"$VUCTL" check x.sock --format "$format" --only negotiation --only ring-state \
			--restart "exec $VUCTL serve mem:16M --socket x.sock -q" >report 2>said &
		check_pid=$!
		within 60 lines report 12
		kill -TERM "$check_pid"
		status=0
		wait "$check_pid" || status=$?
		check_pid=
		[ "$status" -eq 143 ] || show
		grep -q 'not run: ended by a signal' report
		within 60 test ! -e x.sock
		[ "$format" != tap ] || tap_is_whole
		[ "$format" != json ] || ! command -v jq >/dev/null || jq -e '.summary.skipped > 0' report
	done
}

@test "a_disk_that_answers_with_errors_does_not_hang" {
	serve mem:16M --socket x.sock --filter error:op=read -q
	check x.sock --only blk --rings split
	[ "$status" -eq 1 ] || show
	lacks '^hung' report
	grep -q '^failed' report
	# No source text in sentences for people.
	lacks 'vuc_\|&e' report
	finish
}
