#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# vuctl bench: what it counts, what it verifies, what it refuses. Nothing here is timed: a
# figure has to be there and to fit the others.
#
# Each test is a subshell.
# shellcheck disable=SC2030,SC2031

setup() {
	# shellcheck source=tests/integ/lib.sh
	. "${abs_top_srcdir:?}/tests/integ/lib.sh"
	command -v jq >/dev/null || skip "jq is missing"
	bench_pid=
}

teardown() {
	[ -z "$bench_pid" ] || kill -KILL "$bench_pid" 2>/dev/null || :
	clean_up
}

# bench WORD... - a short run; its result is in the file result
bench() {
	"$VUCTL" bench --json --secs 0.3 --warmup 0.1 "$@" >result 2>errors || {
		status=$?
		cat result errors
		return $status
	}
}

# holds FILTER... - each is true of the result
holds() {
	for filter in "$@"; do
		jq -e "$filter" result >/dev/null || {
			echo "not so: $filter"
			cat result
			return 1
		}
	done
}

# refused STATUS ID WORD... - no run, this status and id
refused() {
	status_wanted=$1 id=$2
	shift 2
	run "$VUCTL" bench --secs 0.3 "$@" --json
	[ "$status" -eq "$status_wanted" ]
	[[ $output == '{"error":{"id":"'"$id"'","message":'*'}}' ]]
	run "$VUCTL" bench --secs 0.3 "$@"
	[ "$status" -eq "$status_wanted" ]
	[[ $output == 'vuctl: '* ]]
}

random_file() {
	dd if=/dev/urandom of="$1" bs=64K count=16 status=none
}

@test "a_file_has_figures_that_fit_each_other" {
	random_file disk.img
	bench disk.img
	holds '.target == "disk.img"' '.kind == "storage"' '.capacity == 1048576' \
		'.requests > 0' '.reads == .requests' '.writes == 0' '.duration >= 2e8' \
		'.bytes_per_second / .iops > 4095.9' '.bytes_per_second / .iops < 4096.1' \
		'(.requests * 1e9 / .duration / .iops - 1) | fabs < 0.01' \
		'.latency | .min <= .p50 and .p50 <= .p99 and .p99 <= .p99_9 and .p99_9 <= .max' \
		'.latency | .min <= .mean and .mean <= .max and .min > 0' \
		'.cpu_per_request > 0' '.stopped == false' 'has("ring") | not' \
		'.workload | .rw == "randread" and .block_size == 4096 and .depth == 32'
	# As many as were in flight had to wait for each other.
	holds '(.latency.mean * .iops / 1e9 / 32 - 1) | fabs < 0.5'
}

@test "a_socket_has_kicks_interrupts_and_the_time_of_the_process_behind_it" {
	serve mem:64M --socket x.sock -q
	bench x.sock
	holds '.kind == "vhost-user"' '.capacity == 67108864' '.requests > 0' \
		".pid == $pid" '.cpu_per_request > 0' '.kicks_per_request <= 1' \
		'.interrupts_per_request <= 1' '.interrupts > 0' '.kicks > 0' \
		'(.kicks / .requests - .kicks_per_request) | fabs < 1e-6' \
		'.ring == {"size":128,"packed":false,"event_idx":true,"indirect":true}'
	finish
}

@test "at_depth_1_each_request_is_kicked_and_interrupted_once" {
	serve null:1G --socket x.sock -q
	bench x.sock --qd 1
	holds '.kicks_per_request <= 1.001' '.interrupts_per_request <= 1.001' \
		'.interrupts_per_request > 0.9'
	finish
}

@test "whoever_polls_gets_no_interrupts" {
	serve null:1G --socket x.sock -q
	for ring in --packed --no-event-idx --no-indirect; do
		bench x.sock --poll $ring
		holds '.requests > 0' '.interrupts_per_request < 0.01' '.workload.poll == true'
	done
	finish
}

@test "rings_are_as_asked_for" {
	serve null:1G --socket x.sock --queue-size 512 -q
	bench x.sock --packed --no-event-idx
	holds '.requests > 0' '.ring | .packed and (.event_idx | not) and .indirect'
	bench x.sock --no-indirect --qd 128
	holds '.requests > 0' '.ring | .event_idx and (.indirect | not) and .size == 512'
	bench x.sock --qd 200 --call-after 1
	holds '.requests > 0' '.ring.size == 256'
	bench x.sock --queues 3 --qd 2 --queue-size 8
	holds '.requests > 0' '.ring.size == 8' '.workload.queues == 3'
	refused 2 ring-too-small x.sock --qd 9 --queue-size 8
	refused 2 ring-too-small x.sock --qd 3 --queue-size 8 --no-indirect
	refused 2 queue-size x.sock --queue-size 100 --qd 4
	refused 2 queue-count x.sock --queues 17
	finish
	serve null:1G --socket x.sock --no-packed -q
	refused 2 no-packed x.sock --packed
	finish
}

@test "patterns_do_what_they_say" {
	serve mem:1M --socket x.sock -q
	for target in x.sock mem:1M; do
		for rw in randread read; do
			bench $target --rw $rw
			holds '.reads == .requests' '.requests > 0' '.writes == 0'
		done
		# Several queues, where no two write the same block.
		for rw in "randwrite --queues 1" "write --queues 2"; do
			# Words, on purpose.
			# shellcheck disable=SC2086
			bench $target --rw $rw --write
			holds '.writes == .requests' '.requests > 0' '.reads == 0'
		done
		bench $target --rw randrw --write --bs 8K
		holds '.reads > 0' '.writes > 0' '.reads + .writes == .requests' \
			'(.bytes_per_second / .iops / 8192 - 1) | fabs < 1e-3'
	done
	finish
}

@test "only_the_part_asked_for_is_written" {
	random_file disk.img
	cp disk.img before
	bench disk.img --rw write --write --offset 256K --size 128K --bs 16K
	cmp -n 262144 disk.img before
	cmp -i 393216 disk.img before
	run cmp -s -i 262144 -n 131072 disk.img before
	[ "$status" -eq 1 ]
}

@test "what_was_written_is_verified" {
	serve mem:4M --socket x.sock -q
	for args in "--rw randrw" "--rw write --bs 16K" "--rw randwrite --packed --queues 2" \
		"--rw randrw --poll --bs 512 --qd 8"; do
		# Words, on purpose.
		# shellcheck disable=SC2086
		bench x.sock --write --verify $args
		holds '.verified > 0' '.writes > 0' '.workload.verify'
	done
	finish
	bench mem:4M --rw randrw --verify
	holds '.verified > 0'
}

@test "writes_that_are_lost_are_found" {
	for target in null:1M x.sock; do
		[ $target = null:1M ] || serve null:1M --socket x.sock -q
		run "$VUCTL" bench $target --rw write --write --verify --secs 0.3 --warmup 0
		[ "$status" -eq 1 ]
		[[ $output == *'IOPS'* ]]
		[[ $output == *"$target: verification failed at offset 0: there are zeroes, write "*" is lost"* ]]
	done
	finish
}

@test "damage_is_found" {
	truncate -s 1M disk.img
	(while [ ! -e enough ]; do
		dd if=/dev/zero bs=64K count=16 status=none | tr '\0' '\245' |
			dd of=disk.img conv=notrunc bs=64K iflag=fullblock status=none
	done) &
	vandal=$!
	run "$VUCTL" bench disk.img --rw randrw --write --verify --no-lock --secs 60 --json
	: >enough
	wait $vandal
	[ "$status" -eq 1 ]
	[[ $output == *'"id":"verify-failed"'* ]]
	[[ $output == *' of the sector is 0xa5 where write '* ]]
}

@test "nothing_is_written_unless_it_is_asked_for" {
	random_file disk.img
	cp disk.img before
	serve disk.img --socket x.sock -q
	for rw in write randwrite randrw; do
		refused 2 would-overwrite x.sock --rw $rw
		refused 2 would-overwrite disk.img --rw $rw
		refused 2 would-overwrite null:1M --rw $rw --compare disk.img
		for source in file raw; do
			refused 2 would-overwrite "$source:$PWD/disk.img" --rw $rw
			refused 2 would-overwrite $source:disk.img --rw $rw
			refused 2 would-overwrite null:1M --rw $rw --compare $source:disk.img
		done
	done
	cmp disk.img before
	[[ $output == *'may destroy what is there'*'--write'* ]]
	# A file without data that is called like the source is not what would be written.
	truncate -s 1M raw:disk.img
	refused 2 would-overwrite raw:disk.img --rw write
	# Names with a colon are files all the same.
	truncate -s 1M a:b.img
	refused 2 would-overwrite a:b.img --rw write
	bench ./a:b.img --rw write
	refused 2 would-overwrite ./a:b.img --rw write
	[[ $output == *'destroys what is in it'*'--write'* ]]
	refused 7 target-missing ./a:c.img --rw write
	# Somebody else's, even so.
	refused 5 image-in-use disk.img --rw write --write
	finish
	cmp disk.img before
	bench disk.img --rw write --write
	run cmp -s disk.img before
	[ "$status" -eq 1 ]
}

@test "a_file_without_data_may_be_written" {
	truncate -s 1M disk.img
	bench disk.img --rw write
	holds '.writes > 0'
	refused 2 would-overwrite disk.img --rw write
}

@test "a_read_only_disk_is_not_written" {
	truncate -s 1M disk.img
	serve disk.img --read-only --socket x.sock -q
	refused 7 read-only x.sock --rw write --write
	bench x.sock
	finish
}

@test "what_does_not_fit_the_target_is_refused" {
	truncate -s 1M disk.img
	serve disk.img --block-size 4096 --socket x.sock -q
	refused 2 unaligned x.sock --bs 512
	refused 2 unaligned x.sock --offset 512
	refused 2 target-too-small x.sock --bs 2M --qd 1
	refused 2 target-too-small x.sock --offset 1M
	refused 2 target-too-small disk.img --offset 512K --size 768K
	refused 2 target-too-small disk.img --rw read --bs 512K --queues 3
	refused 2 range-too-small disk.img --rw randrw --verify --qd 200 --write --no-lock
	bench disk.img --bs 1M
	holds '.requests > 0'
	finish
}

@test "options_that_clash_are_refused" {
	refused 2 options-clash null:1G --verify
	refused 2 options-clash null:1G --rounds 3
	refused 2 options-clash null:1G --poll --call-after 3
	refused 2 no-target
	refused 2 too-many-words null:1G null:1G
	for value in 0 -1 1x inf 0x1 1.2.3 ''; do
		refused 2 bad-value null:1G "--secs=$value"
	done
	refused 2 bad-value null:1G --bs 100
	refused 2 bad-value null:1G --bs 128M
	refused 2 bad-value null:1G --cpus 3-1
	refused 2 bad-value null:1G --cpus 0,
}

@test "what_is_no_target_is_refused" {
	refused 7 target-missing nothing
	mkdir folder
	refused 7 target-kind folder
	refused 7 target-kind /dev/null
	: >empty
	refused 7 image-empty empty
	serve null:1G --socket x.sock -q
	kill -KILL "$pid"
	gone 137
	refused 8 vhost-user-connect x.sock
}

@test "a_peer_that_talks_nonsense_is_no_disk" {
	command -v socat >/dev/null || skip "socat is missing"
	socat UNIX-LISTEN:x.sock,fork EXEC:cat &
	pid=$!
	within 60 test -S x.sock
	run "$VUCTL" bench x.sock --secs 0.3
	[ "$status" -eq 7 ]
	[[ $output == 'vuctl: x.sock: '* ]]
}

@test "a_failed_request_ends_the_run_with_what_was_measured" {
	serve null:1G --filter error:op=read,errno=5,after=1000 --socket x.sock -q
	status=0
	bench x.sock --secs 60 --warmup 0 || status=$?
	[ "$status" -eq 1 ]
	grep -q '"id":"disk-error"' errors
	grep -q 'a read of 4096 bytes at offset [0-9]* failed' errors
	holds '.requests > 900' '.requests < 1001' '.stopped' '.iops > 0'
	finish
}

connected() {
	grep -q '^connected' err
}

@test "a_back_end_that_dies_is_reported" {
	for how in --irq --poll; do
		serve null:1G --socket x.sock
		"$VUCTL" bench x.sock --secs 600 $how >result 2>errors &
		bench_pid=$!
		within 60 connected
		kill -KILL "$pid"
		gone 137
		pid=$bench_pid bench_pid=
		gone 1
		cat errors
		grep -q 'x.sock' errors
	done
}

blocks_term() {
	mask=$(awk '/^SigBlk/ { print $2 }' "/proc/$bench_pid/status") && [ $((0x${mask:-0} & 0x4000)) -ne 0 ]
}

# Half a second of CPU time: it measures, or warms up.
runs() {
	awk '{ exit !($14 + $15 >= 50) }' "/proc/$bench_pid/stat"
}

@test "a_signal_ends_it_with_what_was_measured" {
	"$VUCTL" bench null:1G --secs 600 --warmup 0 --json >result 2>errors &
	bench_pid=$!
	within 60 runs
	kill -TERM "$bench_pid"
	pid=$bench_pid bench_pid=
	gone 0
	holds '.stopped == true' '.duration < 600e9'
}

@test "a_signal_in_the_warm_up_is_no_success" {
	"$VUCTL" bench null:1G --secs 600 --warmup 600 --json >result 2>errors &
	bench_pid=$!
	within 60 runs
	kill -INT "$bench_pid"
	pid=$bench_pid bench_pid=
	gone 1
	holds '.stopped' '.requests == 0' '.latency.p99 == null' '.error.id == "no-requests"'
}

@test "two_targets_are_compared_in_turn" {
	random_file disk.img
	serve disk.img --socket x.sock -q
	bench x.sock --compare disk.img --rounds 3 --secs 0.1
	holds '.rounds == 3' '.targets | length == 2' '.targets[0].kind == "vhost-user"' \
		'.targets[1].kind == "storage"' '.targets[1].target == "disk.img"' \
		'.targets | all(.requests > 0 and .iops > 0 and .stopped == false)' \
		'.targets | all(.iops_spread | .min <= .median and .median <= .max)' \
		'.targets | all(.iops == .iops_spread.median)' \
		'.ratio.iops | 0 < .min and .min <= .median and .median <= .max' \
		'.ratio.cpu_per_request | 0 < .min and .min <= .median and .median <= .max' \
		'.targets[1] | has("ring") | not'
	# Nobody keeps a socket while the other one has its turn.
	bench x.sock --compare x.sock --rounds 2 --secs 0.1
	holds '.rounds == 2' '.targets | all(.requests > 0)'
	run "$VUCTL" bench x.sock --compare disk.img --rounds 2 --secs 0.1
	[ "$status" -eq 0 ]
	[[ $output == *'2 rounds each'*'1 / 2, in a round'*IOPS*CPU/request* ]]
	refused 7 target-missing x.sock --compare nothing
	: >empty
	refused 7 image-empty x.sock --compare empty
	finish
}

@test "the_table_has_every_figure" {
	serve null:1G --socket x.sock -q
	run bash -c '"$VUCTL" bench x.sock --secs 0.2 2>/dev/null'
	[ "$status" -eq 0 ]
	for word in IOPS MB/s mean p50 p99 p99.9 max kicks/request interrupts/request \
		'CPU s/million requests'; do
		[[ $output == *"$word "*[0-9]* ]]
	done
	[[ $output == 'x.sock: vhost-user, 1 GiB, split rings of 128, indirect, event index, process '* ]]
	finish
}

frozen() {
	grep -q '^State:.*T' "/proc/$pid/status"
}

@test "a_back_end_that_stops_answering_ends_the_run_with_status_9" {
	serve null:1G --socket x.sock
	"$VUCTL" bench x.sock --secs 600 --timeout 2 --json >result 2>errors &
	bench_pid=$!
	within 60 connected
	kill -STOP "$pid"
	within 60 frozen
	server=$pid pid=$bench_pid
	gone 9
	kill -CONT "$server"
	pid=$server bench_pid=
	# Before the first request or after it.
	holds '.error.errno == 110'
	finish
}

@test "a_back_end_that_stops_answering_can_be_left" {
	serve null:1G --socket x.sock
	"$VUCTL" bench x.sock --secs 600 --warmup 0 --timeout 600 --json >result 2>errors &
	bench_pid=$!
	within 60 connected
	within 60 runs
	kill -STOP "$pid"
	within 60 frozen
	kill -INT "$bench_pid"
	kill -INT "$bench_pid"
	status=0
	wait "$bench_pid" || status=$?
	bench_pid=
	kill -CONT "$pid"
	# Two signals may have come as one.
	[ "$status" -eq 130 ] || [ "$status" -eq 0 ] || [ "$status" -eq 1 ]
	jq -e . result
	finish
}

@test "a_silent_socket_can_be_left_at_once" {
	command -v socat >/dev/null || skip "socat is missing"
	socat -u UNIX-LISTEN:x.sock,fork OPEN:/dev/null &
	pid=$!
	within 60 test -S x.sock
	"$VUCTL" bench x.sock --timeout 600 --json >result 2>errors &
	bench_pid=$!
	within 60 blocks_term
	kill -TERM "$bench_pid"
	status=0
	wait "$bench_pid" || status=$?
	bench_pid=
	[ "$status" -eq 143 ]
	holds '.error.id == "interrupted"'
	run "$VUCTL" bench x.sock --timeout 0.5
	[ "$status" -eq 9 ]
}

@test "a_run_without_a_finished_request_is_no_success" {
	serve null:1G --filter delay:ms=1500 --socket x.sock -q
	run "$VUCTL" bench x.sock --secs 0.1 --warmup 0
	[ "$status" -eq 1 ]
	[[ $output == *'no request was finished'* ]]
	status=0
	bench x.sock --secs 0.1 --warmup 0 || status=$?
	[ "$status" -eq 1 ]
	holds '.requests == 0' '.latency.p50 == null' '.error.id == "no-requests"'
	finish
}

@test "options_that_do_not_fit_the_target_are_refused" {
	for word in --packed --no-event-idx --no-indirect --queue-size=128 --call-after=3 --batch=2; do
		refused 2 options-clash null:1G "$word"
	done
	refused 2 options-clash null:1G --poll --irq
	serve null:1G --socket x.sock -q
	refused 2 options-clash x.sock --direct
	refused 2 options-clash x.sock --no-lock
	# For one of two is enough.
	bench x.sock --compare null:1G --packed --direct --rounds 1
	refused 2 bad-value null:1G --cpus 1023
	refused 2 bad-value x.sock --cpus 1023
	finish
	refused 2 bad-value null:1G --compare --rounds 1
	[[ $output == *'--compare needs a target'* ]]
}
