#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What test scripts in bash share: assertions in TAP, waiting, and servers under test.
# A script sources this, states one sentence per assertion, and ends; the exit status is
# right by itself: 0, 77 (skipped), or 1 if anything was not ok or nothing was asserted.
#
# $VUCTL is the program, $work a private folder that is gone afterwards.

set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VUCTL=${VUCTL:-${abs_top_builddir:-$top}/vuctl}
PATH=$PATH:/usr/sbin:/sbin
export VUCTL LC_ALL=C

work=$(mktemp -d "${TMPDIR:-/tmp}/vuctl-test.XXXXXX") || exit 1
asserted=0
failed=0
declare -A server_pid=()
server_status=

# --- the end -----------------------------------------------------------------------

# Functions that a script wants called before the servers are ended, last one first.
at_exit=()

# shellcheck disable=SC2317	# a trap calls it
finish() {
	local status=$? i name

	trap '' HUP INT TERM
	for ((i = ${#at_exit[@]} - 1; i >= 0; i--)); do
		${at_exit[i]}
	done
	for name in "${!server_pid[@]}"; do
		kill -TERM "${server_pid[$name]}" 2>/dev/null
	done
	for name in "${!server_pid[@]}"; do
		within 10 dead "$name" || kill -KILL "${server_pid[$name]}" 2>/dev/null
		wait "${server_pid[$name]}" 2>/dev/null
	done
	rm -rf "$work"
	case $status in 77) exit 77 ;; esac
	echo "1..$asserted"
	if [ "$status" -eq 0 ] && [ "$asserted" -eq 0 ]; then
		echo "# nothing was asserted"
		status=1
	fi
	[ "$failed" -eq 0 ] || { echo "# $failed of $asserted are not ok"; status=1; }
	exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# skip WHY - with CI=true nothing may be left out
skip() {
	echo "SKIP: $*"
	[ "${CI:-}" = true ] && exit 1
	exit 77
}

# need PROGRAM PACKAGE
need() {
	command -v "$1" >/dev/null || skip "$1 is missing: apt install $2 (Debian's name of the package)"
}

need_vuctl() {
	[ -x "$VUCTL" ] || skip "$VUCTL is not there: make, or set VUCTL"
}

# --- assertions --------------------------------------------------------------------

note() {
	sed 's/^/#   /'
}

passed() {
	asserted=$((asserted + 1))
	echo "ok $asserted - $1"
}

not_passed() {
	asserted=$((asserted + 1))
	failed=$((failed + 1))
	echo "not ok $asserted - $1"
}

# check SENTENCE COMMAND... - ok if the command succeeds; its output is shown if not
check() {
	local sentence=$1 status
	shift
	"$@" >"$work/check" 2>&1 </dev/null
	status=$?
	if [ $status -eq 0 ]; then
		passed "$sentence"
		return 0
	fi
	not_passed "$sentence"
	echo "# $* (status $status)"
	tail -n 30 "$work/check" | note
	return 1
}

# check_not SENTENCE COMMAND... - ok if the command fails
check_not() {
	local sentence=$1
	shift
	if ! "$@" >"$work/check" 2>&1 </dev/null; then
		passed "$sentence"
		return 0
	fi
	not_passed "$sentence"
	echo "# $* (succeeded)"
	tail -n 30 "$work/check" | note
	return 1
}

# equal SENTENCE FOUND WANTED
equal() {
	if [ "$2" = "$3" ]; then
		passed "$1"
		return 0
	fi
	not_passed "$1"
	echo "# found '$2', not '$3'"
	return 1
}

# must COMMAND... - what the test itself needs; it cannot go on without
must() {
	"$@" >"$work/must" 2>&1 </dev/null && return
	not_passed "the test can go on"
	echo "# $*"
	note <"$work/must"
	exit 1
}

# within SECONDS COMMAND... - the command succeeds before that
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# A time limit for what should take a second or so: two guests on two processors are slow.
patience=60

# --- servers -----------------------------------------------------------------------

alive() {
	kill -0 "${server_pid[$1]}" 2>/dev/null
}

dead() {
	! alive "$1"
}

# background NAME COMMAND... - what the command writes is in $work/NAME.out and .err.
# The shell has its background ignore SIGINT; env gives it back.
background() {
	local name=$1
	shift
	env --default-signal=INT,QUIT "$@" </dev/null >"$work/$name.out" 2>"$work/$name.err" &
	server_pid[$name]=$!
}

said_or_dead() {
	[ "$(wc -l <"$work/$1.out")" -gt 0 ] || dead "$1"
}

# serve NAME ARGUMENT... - start 'vuctl serve' and wait for the line that says where.
# NAME is ours for it; the line is in $served.
serve() {
	local name=$1
	shift
	background "$name" "$VUCTL" serve "$@"
	within $patience said_or_dead "$name"
	served=$(head -n 1 "$work/$name.out")
	if [ -z "$served" ] || dead "$name"; then
		echo "# vuctl serve $*: nothing is served"
		note <"$work/$name.err"
		served=
		return 1
	fi
}

# signal NAME SIGNAL
signal() {
	kill "-$2" "${server_pid[$1]}"
}

# ended NAME - wait for its end; its exit status is in $server_status, 'alive' if it goes on
ended() {
	server_status=alive
	within $patience dead "$1" || return 1
	wait "${server_pid[$1]}"
	# shellcheck disable=SC2034	# for the scripts
	server_status=$?
	unset "server_pid[$1]"
}

# stop NAME [SIGNAL]
stop() {
	signal "$1" "${2:-TERM}" 2>/dev/null
	ended "$1"
}

# said NAME WORDS - on standard error
said() {
	grep -qi -- "$2" "$work/$1.err"
}

# words_of NAME - what a server said, for somebody who looks at a failure
words_of() {
	[ -s "$work/$1.err" ] || return 0
	echo "# '$1' said:"
	note <"$work/$1.err"
}
