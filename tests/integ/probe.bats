#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# vuctl probe: at our own back-end, at qemu-storage-daemon, and at some that behave badly
# (probe-peer.sh).
#
# Each test is a subshell, and commands for --run expand what is in them later.
# shellcheck disable=SC2016,SC2030,SC2031

setup() {
	# shellcheck source=tests/integ/lib.sh
	. "${abs_top_srcdir:?}/tests/integ/lib.sh"
	peer=$abs_top_srcdir/tests/integ/probe-peer.sh
	peer_pid=
}

teardown() {
	end_peer
	clean_up
}

end_peer() {
	[ -z "$peer_pid" ] || { kill "$peer_pid" && wait "$peer_pid"; } 2>/dev/null || :
	peer_pid=
}

need() {
	command -v "$1" >/dev/null || skip "$1 is missing"
}

# Feature bits that every peer of these tests has: PROTOCOL_FEATURES and VERSION_1.
base=$((1 << 30 | 1 << 32))
# Protocol features: MQ, REPLY_ACK, CONFIG.
mq=1 ack=$((1 << 3)) conf=$((1 << 9))

# peer VARIABLE=VALUE... - one for the next front-end, at p.sock
peer() {
	need socat
	end_peer
	rm -f p.sock
	env "$@" socat UNIX-LISTEN:p.sock EXEC:"$peer" 2>/dev/null &
	peer_pid=$!
	within 60 test -S p.sock
}

# probe WORD... - sets $status; report and said are files. Patient, unless WORDs say otherwise.
probe() {
	status=0
	"$VUCTL" probe --timeout 60 "$@" >report 2>said || status=$?
}

# fails STATUS ID WORD... - with this status and error, told for programs and for people
fails() {
	want=$1 id=$2
	shift 2
	probe "$@"
	[ "$status" -eq "$want" ] || { cat report said; return 1; }
	grep -q '^vuctl: ' said
	probe "$@" --json
	[ "$status" -eq "$want" ]
	[ "$(jq -r .error.id said)" = "$id" ] || { cat said; return 1; }
	[ "$(jq -r .error.hint said)" != "" ]
	jq -e '.complete == false' report >/dev/null
}

# peer_fails STATUS ID STAGE VARIABLE=VALUE... - the same at a peer, after STAGE was reached
peer_fails() {
	want=$1 id=$2 stage=$3
	shift 3
	peer "$@"
	probe p.sock --json --timeout "${patience:-60}"
	[ "$status" -eq "$want" ] || { cat report said; return 1; }
	[ "$(jq -r .error.id said)" = "$id" ] || { cat said; return 1; }
	[ "$(jq -r .error.hint said)" != "" ]
	[ "$(jq -r .stage report)" = "$stage" ] || { cat report; return 1; }
	jq -e '.complete == false' report >/dev/null
}

# lacks FILE WORD
lacks() {
	if grep "$2" "$1"; then
		return 1
	fi
}

hex() {
	printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'
}

# is QUERY... - each holds for the object in out
is() {
	for query; do
		jq -e "$query" report >/dev/null || { echo "not so: $query"; jq . report; return 1; }
	done
}

@test "the_report_on_a_disk_is_as_people_are_promised" {
	serve mem:1G --socket x.sock --serial ABC-123 --queues 4
	probe x.sock
	[ "$status" -eq 0 ]
	[ ! -s said ]
	sed 's/(pid [0-9]*)/(pid N)/; s/[0-9]* us/N us/g' report >report.plain
	cat >golden <<'END'
connect    vuctl (pid N) listens there
device     blk, a disk; certain: its features and its configuration fit
features   SIZE_MAX SEG_MAX BLK_SIZE FLUSH TOPOLOGY CONFIG_WCE MQ DISCARD
           WRITE_ZEROES INDIRECT_DESC EVENT_IDX PROTOCOL_FEATURES VERSION_1
           RING_PACKED
protocol   MQ REPLY_ACK BACKEND_REQ CONFIG RESET_DEVICE CONFIGURE_MEM_SLOTS
queues     4
config     given for any length asked
  capacity                 1 GiB (1073741824 bytes)
  block size               512 bytes
  physical block size      512 bytes
  min io size              512 bytes
  size max                 4 MiB
  seg max                  126
  writeback                yes
  num queues               4
  max discard size         1 GiB
  max discard seg          8
  discard alignment        512 bytes
  max write zeroes size    128 MiB
  max write zeroes seg     8
  write zeroes may unmap   yes
memory     taken; up to 509 regions
queue      started and stopped, 64 entries, split and packed
read       first 512 bytes in N us (split ring), N us (packed)
serial     ABC-123
END
	diff golden report.plain
	finish
}

@test "json_has_the_same_in_bytes_and_nanoseconds" {
	need jq
	serve mem:1G --socket x.sock --serial ABC-123 --queues 4
	probe x.sock --json
	[ "$status" -eq 0 ]
	[ ! -s said ]
	[ "$(wc -l <report)" -eq 1 ]
	is '.socket == "x.sock"' '.complete' '.stage == "read"' ".pid == $pid" \
		'.program == "vuctl"' '.device == "blk"' '.device_id == 2' \
		'.certainty == "certain"' '.queues == 4' '.memory_slots == 509' \
		'.features | index("RING_PACKED")' '.protocol_features | index("CONFIG")' \
		'.features_hex | test("^0x[0-9a-f]{16}$")' '.config.capacity == 1073741824' \
		'.config.block_size == 512' '.config.writeback == true' '.config.length == null' \
		'.config.hex | startswith("00002000")' '.queue.rings == ["split", "packed"]' \
		'[.reads[].ring] == ["split", "packed"]' \
		'all(.reads[]; .size == 512 and .offset == 0 and .duration > 0)' \
		'.serial == "ABC-123"'
	finish
}

@test "a_file_is_the_same_before_and_after" {
	need jq
	head -c 1M /dev/urandom >disk.img
	sum=$(sha256sum <disk.img)
	serve disk.img --socket x.sock --block-size 4096
	changed=$(stat -c %y disk.img)
	probe x.sock --json
	[ "$status" -eq 0 ]
	is '.config.capacity == 1048576' '.config.block_size == 4096' 'all(.reads[]; .size == 4096)'
	finish
	[ "$(sha256sum <disk.img)" = "$sum" ]
	[ "$(stat -c %y disk.img)" = "$changed" ]
}

@test "a_read_only_disk_and_one_without_packed_rings_are_told_apart" {
	need jq
	serve mem:1M --socket x.sock --no-packed
	probe x.sock --json
	[ "$status" -eq 0 ]
	is '.features | index("RING_PACKED") == null' '.features | index("RO") == null' \
		'.queue.rings == ["split"]' '[.reads[].ring] == ["split"]'
	finish
	truncate -s 1M disk.img
	serve disk.img --socket x.sock --read-only
	probe x.sock --json
	[ "$status" -eq 0 ]
	is '.features | index("RO")' '.reads | length == 2'
	finish
}

@test "it_can_be_probed_again_and_again" {
	serve mem:1M --socket x.sock
	for _ in 1 2 3 4 5; do
		probe x.sock
		[ "$status" -eq 0 ]
	done
	finish
}

@test "each_stage_stops_there_and_shows_what_was_found_so_far" {
	need jq
	serve mem:1M --socket x.sock
	probe x.sock --stage features
	grep -q '^device .*: from its features alone, which fit net, too$' report
	lacks 'no configuration' report
	rows=
	for stage in connect features config memory queue read; do
		case $stage in
		connect) rows='connect' ;;
		features) rows='connect device features protocol queues' ;;
		read) rows="$rows read serial" ;;
		*) rows="$rows $stage" ;;
		esac
		probe x.sock --stage $stage
		[ "$status" -eq 0 ]
		[ "$(sed -n 's/^\([a-z]\{1,\}\) .*/\1/p' report | tr '\n' ' ')" = "$rows " ]
		probe x.sock --stage $stage --json
		[ "$status" -eq 0 ]
		is '.complete' ".stage == \"$stage\""
	done
	finish
}

@test "verbose_shows_every_message" {
	serve mem:1M --socket x.sock
	probe x.sock -v --stage config
	[ "$status" -eq 0 ]
	grep -q '^> GET_FEATURES ' said
	grep -q '^< GET_FEATURES ' said
	grep -q '^> GET_CONFIG ' said
	lacks said SET_MEM_TABLE
	lacks report GET_FEATURES
	finish
}

@test "qemu_storage_daemon_is_described_too" {
	need qemu-storage-daemon
	need jq
	qemu-storage-daemon \
		--blockdev driver=null-co,node-name=d,size=1073741824,read-zeroes=on \
		--export type=vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path="$tmp/q.sock",writable=on,num-queues=2 &
	peer_pid=$!
	within 60 test -S q.sock
	probe q.sock
	[ "$status" -eq 0 ]
	grep -q '^connect    qemu-storage-daemon (pid ' report
	grep -q '^device     blk, a disk; certain: ' report
	grep -q '^  capacity  *1 GiB (1073741824 bytes)$' report
	probe q.sock --json
	[ "$status" -eq 0 ]
	is '.device == "blk"' '.certainty == "certain"' '.queues == 2' \
		'.config.capacity == 1073741824' '.config.length >= 60' \
		'.queue.rings == ["split"]' '.reads | length == 1' '.serial | length > 0' \
		'.features | index("FLUSH")' '.protocol_features | index("CONFIG")'
	for stage in connect features config memory queue read; do
		probe q.sock --stage $stage --json
		[ "$status" -eq 0 ]
		is '.complete' ".stage == \"$stage\""
	done
}

@test "other_devices_are_guessed_and_decoded" {
	need jq
	peer FEATURES=$base PROTOCOL=$((mq | conf)) QUEUES=2 \
		CONFIG="$(hex 'my folder')$(printf %054d 0)01000000"
	probe p.sock --json
	[ "$status" -eq 0 ]
	is '.device == "fs"' '.certainty == "certain"' '.config.length == 40' \
		'.config.tag == "my folder"' '.config.num_request_queues == 1' \
		'.complete' '.reads == []' '.queue.rings == ["split"]'

	peer FEATURES=$((base | 2)) PROTOCOL=$((mq | conf)) QUEUES=3 CONFIG=0300000000000000
	probe p.sock --json
	is '.device == "vsock"' '.config.guest_cid == 3' '.features | index("SEQPACKET")'

	peer FEATURES=$((base | 0x18823 | 1 << 17)) PROTOCOL=$((mq | conf)) QUEUES=2 \
		CONFIG=525400123456010001000000
	probe p.sock --json
	is '.device == "net"' '.certainty == "certain"' \
		'.config.mac == "52:54:00:12:34:56"' '.config.status == 1'

	peer FEATURES=$base PROTOCOL=$mq QUEUES=1
	probe p.sock
	[ "$status" -eq 0 ]
	grep -q '^device     rng, a source of random numbers; likely: ' report
	grep -q '^config     none$' report
	grep -q '^read       not tried: only disks are read$' report
}

@test "what_is_not_known_is_shown_by_number_and_as_bytes" {
	need jq
	peer FEATURES=$((base | 1 << 31 | 1 << 47)) PROTOCOL=$((mq | conf | 1 << 50)) \
		CONFIG=0102030405060708090a0b0c0d0e0f1011
	probe p.sock
	[ "$status" -eq 0 ]
	grep -q '^device     unknown: ' report
	grep -q ' bit-31 VERSION_1 bit-47$' report
	grep -q '^protocol .* bit-50$' report
	grep -q '^config     17 bytes$' report
	grep -q '^  0000    01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10$' report
	grep -q '^  0010    11$' report
	peer FEATURES=$((base | 1 << 47)) PROTOCOL=$conf CONFIG=0102030405060708090a0b0c0d0e0f1011
	probe p.sock --json
	is '.device == null' '.certainty == "unknown"' '.queues == null' \
		'.features | index("bit-47")' '.config.hex == "0102030405060708090a0b0c0d0e0f1011"'
}

@test "the_length_of_the_configuration_is_found_however_it_is_given" {
	need jq
	words=08000000000000000000000001000000
	peer FEATURES=$((base | 4)) PROTOCOL=$conf CONFIG=$words
	probe p.sock --stage config --json
	is '.config.length == 16' '.device == "blk"' '.config.capacity == 4096' '.config.seg_max == 1'
	peer FEATURES=$((base | 4)) PROTOCOL=$conf CONFIG=$words CONFIG_ANY=yes
	probe p.sock --stage config --json
	is '.config.length == null' '.config.capacity == 4096'
	peer FEATURES=$((base | 4)) PROTOCOL=$conf CONFIG=$words CONFIG_EXACT=yes
	probe p.sock --stage config --json
	is '.config.length == 16' '.config.capacity == 4096'
}

@test "type_overrules_the_guess" {
	need jq
	serve mem:1M --socket x.sock
	probe x.sock --type net --json
	[ "$status" -eq 0 ]
	is '.device == "net"' '.certainty == "given"' '.features | index("MQ") == null' '.reads == []'
	fails 1 nothing-to-read x.sock --type net --stage read
	probe x.sock --type blk --stage read
	[ "$status" -eq 0 ]
	grep -q '^device     blk, a disk; as --type says$' report
	finish
}

@test "what_cannot_be_connected_to_is_said_and_why" {
	need jq
	need socat
	fails 8 socket-missing nothing.sock
	: >file
	fails 8 not-a-socket file
	fails 8 not-a-socket "$tmp"
	serve mem:1M --socket x.sock
	kill -KILL "$pid"
	gone 137
	fails 8 socket-dead x.sock
	fails 2 socket-path "$(printf '/%0200d' 0)"
	socat UNIX-RECV:d.sock - >/dev/null &
	peer_pid=$!
	within 60 test -S d.sock
	fails 8 socket-dead d.sock || fails 8 socket-type d.sock
}

@test "a_socket_of_somebody_else_is_not_permitted" {
	need jq
	[ "$(id -u)" -eq 0 ] || skip "needs root, to become somebody else"
	need setpriv
	serve mem:1M --socket x.sock
	chmod 755 "$tmp"
	status=0
	# a copy: the folders above the program may be closed
	cp "$VUCTL" vuctl-copy
	setpriv --reuid=65534 --regid=65534 --clear-groups ./vuctl-copy probe x.sock --json \
		>report 2>said || status=$?
	[ "$status" -eq 4 ]
	[ "$(jq -r .error.id said)" = socket-permission ]
	[[ $(jq -r .error.hint said) == *"mode 0600"* ]]
	finish
}

@test "one_that_never_answers_is_given_up_in_time" {
	need jq
	patience=1
	peer_fails 9 back-end-silent connect FEATURES=$base HANG=1
	[[ $(jq -r .error.hint said) == *'another front-end'* ]]
	peer_fails 9 back-end-silent memory FEATURES=$base HANG=11
}

@test "a_front_end_that_is_there_already_is_thought_of" {
	need jq
	need socat
	serve mem:1M --socket x.sock
	# It connects, and then waits for a reader of the pipe.
	socat -u UNIX-CONNECT:x.sock PIPE:hold 2>/dev/null &
	peer_pid=$!
	within 60 test -p hold
	probe x.sock --timeout 1 --json
	[ "$status" -eq 9 ]
	[ "$(jq -r .error.id said)" = back-end-silent ]
	[[ $(jq -r .error.hint said) == *'another front-end'* ]]
	end_peer
	within 60 "$VUCTL" probe x.sock --timeout 60 >report
	finish
}

@test "one_that_hangs_up_is_told_with_the_step" {
	need jq
	peer_fails 1 back-end-gone connect FEATURES=$base CLOSE=1
	peer_fails 1 back-end-gone features FEATURES=$base PROTOCOL=$conf CLOSE=24
	peer_fails 1 back-end-gone config FEATURES=$base CLOSE=5
	peer_fails 1 back-end-gone memory FEATURES=$base CLOSE=11
}

@test "nonsense_is_not_believed" {
	need jq
	peer_fails 1 back-end-nonsense connect FEATURES=$base NONSENSE=1
	peer_fails 1 back-end-nonsense features FEATURES=$base PROTOCOL=$conf NONSENSE=24
	peer_fails 1 back-end-nonsense memory FEATURES=$base NONSENSE=11
}

@test "one_that_refuses_is_told_with_the_step" {
	need jq
	peer_fails 1 back-end-refused config FEATURES=$base PROTOCOL=$ack REFUSE=5
	peer_fails 1 back-end-refused memory FEATURES=$base PROTOCOL=$ack REFUSE=8
}

@test "what_was_found_before_a_failure_is_shown" {
	peer FEATURES=$((base | 0x44)) PROTOCOL=$((mq | conf)) QUEUES=7 CLOSE=24
	probe p.sock
	[ "$status" -eq 1 ]
	grep -q '^queues     7$' report
	grep -q '^features .* VERSION_1$' report
	lacks report '^config'
	grep -q '^vuctl: p.sock, when asked for its configuration: ' said
}

@test "a_disk_that_does_not_answer_a_read_is_no_success" {
	need jq
	patience=1
	disk=$(printf '0008000000000000%08d01000000%08d00020000' 0 0)
	peer_fails 9 back-end-silent queue FEATURES=$((base | 0x44)) PROTOCOL=$conf CONFIG="$disk"
	serve mem:1M --socket x.sock --filter error:op=read
	fails 1 disk-error x.sock
	is '.stage == "queue"' '.config.capacity == 1048576'
	finish
}

@test "the_name_of_a_program_cannot_steer_a_terminal" {
	need jq
	# Longer than the 15 characters of a process: the whole comes from the file.
	name=$PWD/$(printf 'of-any-length-\033[31mred\n')
	cp "$VUCTL" "$name"
	"$name" serve mem:1M --socket x.sock >out 2>err &
	pid=$!
	within 60 served
	[ "$(cut -c 1-15 "/proc/$pid/comm" | LC_ALL=C tr -d '[:print:]\n' | wc -c)" -eq 1 ]
	probe x.sock
	[ "$status" -eq 0 ]
	[ "$(LC_ALL=C tr -d '[:print:]\t\n' <report | wc -c)" -eq 0 ]
	probe x.sock --json
	is '.program == "of-any-length-?[31mred"'
	finish
}

@test "slips_on_the_command_line_are_recognised" {
	for words in '' 'a b' 'x --stage nowhere' 'x --type floppy' 'x --timeout 0' 'x --timeout x' '--stgae x'; do
		# shellcheck disable=SC2086 # words
		run "$VUCTL" probe $words
		[ "$status" -eq 2 ]
		[[ $output == 'vuctl: '*'See: vuctl probe --help'* ]]
	done
}
