#!/bin/bash
# SPDX-License-Identifier: MIT
#
# vhost-user-vs-qsd.sh [ROUNDS [SECONDS]] - our back-end beside qemu-storage-daemon's.
#
# Both serve the same file in the page cache, or nothing, on one queue with one worker in event
# mode; 'vuctl bench --compare' drives them in turn, ROUNDS (5) times for SECONDS (2) each. The
# daemon has its file twice: as it is by default (aio=threads), and with io_uring and an iothread.
# Ratios are ours to theirs; goals stand beside them. A rate means little on a machine that has
# other things to do; processor time per request and system calls per request do.
#
#   VUCTL_BENCH_SERVE    more arguments for 'vuctl serve', such as '--mode adaptive'
#   VUCTL_BENCH_DRIVER   more for 'vuctl bench', such as '--packed'
#   VUCTL_BENCH_PIN=no   leave it to the kernel where the driver (CPU 0) and the servers (1) run
#   VUCTL_BENCH_ONLY     measure only the lines that match this (extended regular expression)

# shellcheck source=tests/lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"

rounds=${1:-5}
seconds=${2:-2}

need jq jq
need qemu-storage-daemon qemu-system-common
need_vuctl

pin=() driver=()
if [ "${VUCTL_BENCH_PIN:-}" != no ] && [ "$(nproc)" -gt 1 ]; then
	pin=(taskset -c 1)
	driver=(--cpus 0)
fi
# Words, on purpose.
# shellcheck disable=SC2206
driver+=(${VUCTL_BENCH_DRIVER:-})

# --- the servers -----------------------------------------------------------------------------

# listening NAME - the flag says that somebody listens: the file is there a moment before
listening() {
	grep -q " 00010000 .* $work/$1.sock\$" /proc/net/unix
}

# ready NAME
ready() {
	within $patience listening "$1" && return
	not_passed "$1 serves"
	words_of "$1"
	exit 1
}

# ours NAME SOURCE
ours() {
	# Words, on purpose.
	# shellcheck disable=SC2086
	background "$1" "${pin[@]}" "$VUCTL" serve "$2" --socket "$work/$1.sock" --queues 1 --workers 1 \
		--queue-size 512 --no-lock --quiet ${VUCTL_BENCH_SERVE:-}
	ready "$1"
}

# theirs NAME BLOCKDEV [EXPORT-OPTION [ARGUMENT]...]
theirs() {
	local name=$1 blockdev=$2 export=${3:-}
	shift 2
	[ $# -eq 0 ] || shift
	background "$name" env TMPDIR="$work" "${pin[@]}" qemu-storage-daemon "$@" \
		--blockdev "$blockdev,node-name=d" \
		--export "type=vhost-user-blk,id=e,node-name=d,writable=on,num-queues=1,addr.type=unix,addr.path=$work/$name.sock$export"
	ready "$name"
}

image=$work/image
must dd if=/dev/urandom of="$image" bs=1M count=256 status=none

ours ours "$image"
ours ours-null null:1G
# It does not lock: the other servers have the same file.
file="driver=file,filename=$image,locking=off"
theirs default "$file"
theirs uring "$file,aio=io_uring,cache.direct=off" ,iothread=i --object iothread,id=i
theirs null driver=null-co,size=$((1 << 30)),read-zeroes=on

# --- measuring -------------------------------------------------------------------------------

plain="--no-indirect --no-event-idx"

# what | ours | beside | goal: rate, at least | goal: CPU, at most | goal: kicks and calls, at most | bench
# A driver that polls measures the servers; one that waits measures, with a fast one, mostly how
# long this machine takes to wake somebody up.
lines="QD1, polls, default|ours|default|1.0|1.0|-|--poll --qd 1 $plain
QD1, polls, io_uring|ours|uring|1.0|1.0|-|--poll --qd 1 $plain
QD1, waits, default|ours|default|1.0|1.0|-|--qd 1 $plain
QD1, waits, io_uring|ours|uring|1.0|1.0|-|--qd 1 $plain
QD32, polls, default|ours|default|3.0|-|0.1|--poll --qd 32 $plain
QD32, polls, io_uring|ours|uring|2.0|0.5|0.1|--poll --qd 32 $plain
QD32, waits, default|ours|default|3.0|-|0.1|--qd 32 $plain
QD32, waits, io_uring|ours|uring|-|-|0.1|--qd 32 $plain
QD32, as Linux, default|ours|default|-|-|0.1|--qd 32 --call-after 1 --batch 1
QD32, as Linux, io_uring|ours|uring|-|-|0.1|--qd 32 --call-after 1 --batch 1
QD128, polls, default|ours|default|3.0|-|0.1|--poll --qd 128 $plain
QD128, polls, io_uring|ours|uring|2.0|0.5|0.1|--poll --qd 128 $plain
QD128, waits, default|ours|default|3.0|-|0.1|--qd 128 $plain
QD128, waits, io_uring|ours|uring|-|-|0.1|--qd 128 $plain
write QD32, polls, default|ours|default|1.5|-|-|--poll --rw randwrite --write --qd 32 $plain
write QD32, polls, io_uring|ours|uring|1.5|-|-|--poll --rw randwrite --write --qd 32 $plain
128K QD8, polls, default|ours|default|1.2|-|-|--poll --bs 128K --qd 8 $plain
128K QD8, polls, io_uring|ours|uring|1.2|-|-|--poll --bs 128K --qd 8 $plain
null QD32, polls|ours-null|null|-|0.5|-|--poll --qd 32 $plain
null write QD32, polls|ours-null|null|-|0.333|-|--poll --rw randwrite --write --qd 32 $plain
null QD32, polls, ind+ev|ours-null|null|-|0.333|-|--poll --qd 32
null QD32, waits|ours-null|null|-|-|-|--qd 32 $plain
null QD32, as Linux|ours-null|null|-|-|-|--qd 32 --call-after 1 --batch 1
raw file, QD32, polls|ours|image|0.8|-|-|--poll --qd 32 $plain"

lines=$(grep -E -- "${VUCTL_BENCH_ONLY:-}" <<<"$lines")

# path NAME - the target of that name
path() {
	case $1 in
	image) echo "$image" ;;
	*) echo "$work/$1.sock" ;;
	esac
}

# compare FIRST SECOND BENCH-ARGUMENT... - into $work/result
compare() {
	local first=$1 second=$2
	shift 2
	[ "$second" != image ] || set -- --no-lock "$@" # the servers have it
	"$VUCTL" bench "$(path "$first")" --compare "$(path "$second")" --json \
		--rounds "$rounds" --secs "$seconds" "$@" "${driver[@]}" >"$work/result" 2>"$work/errors"
}

# figures - of $work/result, in one line
figures() {
	jq -r '[
		(.targets[] | .iops, .cpu_per_request // -1),
		(.ratio.iops | .median, .min, .max),
		(.ratio.cpu_per_request // {median: -1, min: -1, max: -1} | .median, .min, .max),
		(.targets[] | .kicks_per_request // -1, .interrupts_per_request // -1)
	] | @tsv' "$work/result"
}

: >"$work/figures"
while IFS='|' read -r what first second goal cpu_goal notify_goal args; do
	# A machine short of memory, or one that reclaims early, may have dropped it.
	cat "$image" >/dev/null
	# Words, on purpose.
	# shellcheck disable=SC2086
	if ! compare "$first" "$second" $args </dev/null; then
		not_passed "there are figures for: $what"
		cat "$work/errors"
		words_of "$first"
		words_of "$second"
		exit 1
	fi
	echo "$what|$goal|$cpu_goal|$notify_goal|$(figures)" >>"$work/figures"
	echo "# $what"
done <<<"$lines"

# --- system calls: a run of its own, counting disturbs ------------------------------------------

# counted PID BENCH-ARGUMENT... - run it; prints how many calls the process made. Perf only
# looks; strace stops it at each, which makes batches larger or smaller than they are.
counted() {
	local pid=$1 tracer
	shift
	if [ "$counter" = perf ]; then
		perf stat -x, -o "$work/calls" -e raw_syscalls:sys_enter -p "$pid" -- \
			"$VUCTL" bench "$@" >"$work/result" 2>"$work/errors" || return
		awk -F, '/raw_syscalls/ { print $1 }' "$work/calls"
		return
	fi
	strace -c -f -o "$work/calls" -p "$pid" 2>"$work/strace" &
	tracer=$!
	within $patience grep -q attached "$work/strace"
	"$VUCTL" bench "$@" >"$work/result" 2>"$work/errors" || { kill -INT $tracer; return 1; }
	kill -INT $tracer
	wait $tracer
	# Older ones leave out the time per call.
	awk '$NF == "total" { print (NF > 4 ? $4 : $3) }' "$work/calls"
}

pick_counter() {
	if perf stat -x, -o "$work/calls" -e raw_syscalls:sys_enter -- true >/dev/null 2>&1 &&
		! grep -q 'not supported' "$work/calls"; then
		counter=perf
	elif command -v strace >/dev/null; then
		counter=strace
	else
		counter=
		echo "# neither perf nor strace can count system calls here"
	fi
}

# calls WHAT GOAL NAME... BENCH-ARGUMENT... - a line of the second table
calls() {
	local what=$1 goal=$2 names=() name n line
	shift 2
	while [ "${1#--}" = "$1" ]; do
		names+=("$1")
		shift
	done
	line=$what
	for name in "${names[@]}"; do
		n=$(counted "${server_pid[$name]}" "$(path "$name")" --warmup 0 --secs "$seconds" --json "$@" "${driver[@]}")
		[ -n "$n" ] || { line="$line|-"; continue; }
		line="$line|$(jq -r --argjson n "$n" '$n / .requests' "$work/result")"
	done
	echo "$line|$goal" >>"$work/syscalls"
}

: >"$work/syscalls"
pick_counter
if [ -n "$counter" ]; then
	# Words, on purpose.
	# shellcheck disable=SC2086
	{
		calls "QD1, polls" - ours default uring --poll --qd 1 $plain
		calls "QD32, polls" 0.1 ours default uring --poll --qd 32 $plain
		calls "QD32, waits" 0.1 ours default uring --qd 32 $plain
		calls "QD128, polls" 0.1 ours default uring --poll --qd 128 $plain
		calls "QD32, as Linux" - ours default uring --qd 32 --call-after 1 --batch 1
		calls "null QD32, waits" - ours-null null --qd 32 $plain
		calls "null QD32, as Linux" - ours-null null --qd 32 --call-after 1 --batch 1
	} </dev/null
fi

# --- the tables ----------------------------------------------------------------------------------

echo
awk -F '|' -v rounds="$rounds" '
# A mark behind what misses its goal.
function judged(text, met) { return text (met ? "  " : " *") }
function spread(m, lo, hi) { return sprintf("%.2f (%.2f-%.2f)", m, lo, hi) }
BEGIN {
	form = "%-33s %8s %8s %-19s %-8s %7s %7s %-19s %-8s %-14s %-14s %s\n"
	printf form, "", "kIOPS", "", "ratio", "goal", "us CPU", "", "ratio", "goal", "kicks/request",
		"calls/request", "goal"
	printf form, "median of " rounds " (min-max)", "ours", "theirs", "", "", "ours", "theirs", "", "",
		"ours   theirs", "ours   theirs", ""
}
{
	split($5, f, "\t")
	rate = judged(spread(f[5], f[6], f[7]), $2 == "-" || f[5] >= $2)
	# Of the raw file no back-end has the time.
	cpu = f[8] < 0 || $1 ~ /^raw/ ? "" : judged(spread(f[8], f[9], f[10]), $3 == "-" || f[8] <= $3)
	met = $4 == "-" || (f[11] <= $4 && f[12] <= $4)
	printf form, $1, sprintf("%.1f", f[1] / 1000), sprintf("%.1f", f[3] / 1000), rate,
		$2 == "-" ? "" : ">=" $2, sprintf("%.2f", f[2] / 1000), sprintf("%.2f", f[4] / 1000), cpu,
		$3 == "-" ? "" : "<=" $3,
		sprintf("%.3f  %s", f[11], f[13] < 0 ? "" : sprintf("%.3f", f[13])),
		sprintf("%.3f  %s", f[12], f[14] < 0 ? "" : sprintf("%.3f", f[14])),
		judged($4 == "-" ? "" : "<=" $4, met)
}' "$work/figures"

if [ -s "$work/syscalls" ]; then
	echo
	awk -F '|' -v by="$counter" '
	BEGIN {
		form = "%-33s %10s %10s %10s %s\n"
		printf form, "system calls/request (" by ")", "ours", "default", "io_uring", "goal"
	}
	function shown(v) { return v == "-" ? v : sprintf("%.4f", v) }
	{
		goal = $NF
		met = $2 == "-" || $2 <= goal
		printf form, $1, shown($2), shown($3), (NF > 4 ? shown($4) : ""),
			(goal == "-" ? "" : "<=" goal (met ? "" : " *"))
	}' "$work/syscalls"
fi
echo
echo "* misses its goal"
passed "both were measured"
