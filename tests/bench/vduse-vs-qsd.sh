#!/bin/bash
# SPDX-License-Identifier: MIT
#
# vduse-vs-qsd.sh [ROUNDS [SECONDS]] - disks on the host, ours beside qemu-storage-daemon's.
#
# Both serve the same tmpfs file, or nothing, through VDUSE in one guest with two processors,
# and are measured in turn, ROUNDS (5) times for SECONDS (3) each. Emulated processors
# make the rates mean little; the ratios within a round, and counts per request, do.
#
#   VUCTL_BENCH_SERVE    more arguments for 'vuctl serve', such as '--mode adaptive'
#   VUCTL_BENCH_QSD      more for the daemon's file, such as 'aio=io_uring'

if [ -z "${VM_BOOT:-}" ]; then
	top=$(cd "$(dirname "$0")/../.." && pwd)
	VUCTL=$(realpath "${VUCTL:-${abs_top_builddir:-$top}/vuctl}")
	export VUCTL
	[ -x "$VUCTL" ] || { echo "$VUCTL is not there: make, or set VUCTL" >&2; exit 1; }
	exec "$top/tests/vm/guest" --timeout 3600 --smp 2 --mem 2G \
		--modules "vduse virtio_vdpa virtio_blk" \
		--env "VUCTL_BENCH_SERVE=${VUCTL_BENCH_SERVE:-}" --env "VUCTL_BENCH_QSD=${VUCTL_BENCH_QSD:-}" \
		"$0" "$@"
fi

# shellcheck source=tests/lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"
# shellcheck source=tests/lib/disk.sh
. "$top/tests/lib/disk.sh"

rounds=${1:-5}
seconds=${2:-3}

need fio fio
need jq jq
need vdpa iproute2
need qemu-storage-daemon qemu-system-common

# --- six disks: each server has the file on one queue and on two, and nothing ----------------

image=$work/image
must dd if=/dev/urandom of="$image" bs=1M count=256 status=none

# ours NAME SOURCE QUEUES
ours() {
	# Words, on purpose.
	# shellcheck disable=SC2086
	serve "ours-$1" "$2" --host --name "ours-$1" --queues "$3" --no-lock ${VUCTL_BENCH_SERVE:-} || {
		not_passed "vuctl serves $2"
		exit 1
	}
}

# qsd NAME BLOCKDEV QUEUES
qsd() {
	background "qsd-$1" env TMPDIR="$work" qemu-storage-daemon --blockdev "$2,node-name=d" \
		--export "type=vduse-blk,id=e,node-name=d,name=qsd-$1,writable=on,num-queues=$3"
	if ! within $patience test -e "/dev/vduse/qsd-$1"; then
		not_passed "qemu-storage-daemon serves $2"
		words_of "qsd-$1"
		exit 1
	fi
	must vdpa dev add name "qsd-$1" mgmtdev vduse
	must within $patience vdpa_disk "qsd-$1"
}

ours file1 "$image" 1
ours file2 "$image" 2
ours null null:1G 1
# It does not lock: the other server has the same file.
file="driver=file,filename=$image,locking=off,discard=unmap${VUCTL_BENCH_QSD:+,$VUCTL_BENCH_QSD}"
qsd file1 "$file" 1
qsd file2 "$file" 2
qsd null driver=null-co,size=$((1 << 30)),read-zeroes=off 1

# shellcheck disable=SC2317	# called at the end
take_away() {
	local name
	for name in file1 file2 null; do
		vdpa dev del "qsd-$name" 2>/dev/null
	done
	for name in "${!server_pid[@]}"; do
		stop "$name" TERM
	done
}
at_exit+=(take_away)

# --- measuring -------------------------------------------------------------------------------

engine=$(fio_engine)

# requests DEVICE - reads done so far
requests() {
	of_disk "$1" stat | awk '{ print $1 }'
}

# cpu_time NAME - ns on a processor so far, of threads that have ended too
cpu_time() {
	sed 's/.*) //' "/proc/${server_pid[$1]}/stat" |
		awk -v hz="$(getconf CLK_TCK)" '{ printf "%.0f", ($12 + $13) * 1e9 / hz }'
}

# load DEVICE SECONDS FIO-ARGUMENT... - prints IOPS and MiB/s
load() {
	local device=$1 secs=$2
	shift 2
	fio --name=load --filename="$device" --ioengine="$engine" --direct=1 --rw=randread \
		--time_based --runtime="$secs" --group_reporting --output-format=json "$@" |
		jq -r '.jobs[0] | select(.error == 0) | "\(.read.iops) \(.read.bw_bytes / 1048576)"'
}

# measure SERVER KIND FIO-ARGUMENT... - prints IOPS, MiB/s, ns of server CPU per request
measure() {
	local name=$1-$2 device cpu reads rates
	shift 2

	device=$(vdpa_disk "$name")
	reads=$(requests "$device")
	cpu=$(cpu_time "$name")
	rates=$(load "$device" "$seconds" "$@")
	cpu=$(($(cpu_time "$name") - cpu))
	reads=$(($(requests "$device") - reads))
	[ -n "$rates" ] && [ $reads -gt 0 ] || return 1
	echo "$rates $((cpu / reads))"
}

# --- system calls --------------------------------------------------------------------------------

trigger=/sys/kernel/tracing/events/raw_syscalls/sys_enter

threads() {
	ls "/proc/${server_pid[$1]}/task"
}

# count_calls NAME FIO-ARGUMENT... - $calls and $call_requests; $work/NAME.calls by number
count_calls() {
	local name=$1 device filter before
	shift
	device=$(vdpa_disk "$name")
	load "$device" 1 "$@" >/dev/null
	before=$(threads "$name")
	filter=$(echo "$before" | sed 's/^/common_pid==/' | paste -sd '|' | sed 's/|/ || /g')
	call_requests=$(requests "$device")
	echo "hist:keys=id:size=2048 if $filter" >$trigger/trigger || return
	load "$device" "$seconds" "$@" >/dev/null
	grep '^{' "$trigger/hist" >"$work/$name.calls"
	echo "!hist:keys=id:size=2048 if $filter" >$trigger/trigger
	call_requests=$(($(requests "$device") - call_requests))
	calls=$(awk '{ n += $NF } END { print n + 0 }' "$work/$name.calls")
	[ "$before" = "$(threads "$name")" ] || echo "# $name: its threads changed; the count is low"
}

# name | disk | column that counts | goal | fio
tests='QD1, 4 KiB, IOPS|file1|1|1.2|--bs=4k --iodepth=1
QD32, 4 KiB, IOPS|file1|1|1.5|--bs=4k --iodepth=32
4 x QD32, two queues, IOPS|file2|1|2.0|--bs=4k --iodepth=32 --numjobs=4
QD8, 128 KiB, MiB/s|file1|2|1.0|--bs=128k --iodepth=8
null QD1, 4 KiB, IOPS|null|1|-|--bs=4k --iodepth=1
null QD32, 4 KiB, IOPS|null|1|-|--bs=4k --iodepth=32'

: >"$work/figures"
for ((round = 1; round <= rounds; round++)); do
	number=0
	while IFS='|' read -r what kind column _ args; do
		number=$((number + 1))
		# Who goes first changes from round to round.
		order="ours qsd"
		[ $((round % 2)) -eq 0 ] || order="qsd ours"
		for who in $order; do
			# Words, on purpose.
			# shellcheck disable=SC2086
			figures=$(measure "$who" "$kind" $args </dev/null) || {
				not_passed "$who gives a figure for: $what"
				words_of "$who-$kind"
				exit 1
			}
			read -r iops mib cpu <<<"$figures"
			[ "$column" = 1 ] || iops=$mib
			echo "$number $round $who $iops $cpu" >>"$work/figures"
		done
	done <<<"$tests"
	for who in ours qsd; do
		count_calls $who-null --bs=4k --iodepth=32 </dev/null || {
			not_passed "system calls of $who are counted"
			exit 1
		}
		echo "calls $round $who $calls $call_requests" >>"$work/figures"
	done
	echo "# round $round of $rounds"
done
for who in ours qsd; do
	echo "# system calls of $who-null in the last round, by number:"
	sed 's/[{}]//g; s/ *hitcount: */ /; s/^/#  /' "$work/$who-null.calls"
done

# --- the table -----------------------------------------------------------------------------------

echo
awk -v names="$(cut -d '|' -f 1,4 <<<"$tests" | tr '\n' ';')" '
function sorted(list, n,	i, j, t) {
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
			t = list[j]; list[j] = list[j - 1]; list[j - 1] = t
		}
}
function median(list, n) {
	sorted(list, n)
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
$1 == "calls" { calls[$3, $2] = $4 / $5; next }
{
	rate[$1, $3, $2] = $4; cpu[$1, $3, $2] = $5
	if ($1 > tests) tests = $1
	if ($2 > rounds) rounds = $2
}
END {
	split(names, line, ";")
	printf "%-27s %10s %10s %7s %-13s %6s %15s\n", "", "ours", "qsd", "ratio", "(min-max)", "goal",
		"CPU us/request"
	for (t = 1; t <= tests; t++) {
		split(line[t], part, "|")
		for (r = 1; r <= rounds; r++) {
			a[r] = rate[t, "ours", r]; b[r] = rate[t, "qsd", r]
			q[r] = a[r] / b[r]
			ca[r] = cpu[t, "ours", r]; cb[r] = cpu[t, "qsd", r]
		}
		m = median(q, rounds)
		printf "%-27s %10.0f %10.0f %6.2fx %-13s %6s %7.1f %7.1f\n", part[1],
			median(a, rounds), median(b, rounds), m, sprintf("(%.2f-%.2f)", q[1], q[rounds]),
			part[2] == "-" ? "" : sprintf(">=%.1fx", part[2]),
			median(ca, rounds) / 1000, median(cb, rounds) / 1000
	}
	for (r = 1; r <= rounds; r++) {
		a[r] = calls["ours", r]; b[r] = calls["qsd", r]
	}
	m = median(a, rounds)
	printf "%-27s %10.3f %10.3f %7s %-13s %6s\n", "syscalls/request, null QD32", m,
		median(b, rounds), "", sprintf("(%.3f-%.3f)", a[1], a[rounds]), "<=0.15"
}' "$work/figures"
passed "both were measured"
