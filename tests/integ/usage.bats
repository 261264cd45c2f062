#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# What vuctl says about itself, and to those who mistype. In each case: the exit status, the
# sentence, and with --json the id that never changes.

setup() {
	# shellcheck source=tests/integ/lib.sh
	. "${abs_top_srcdir:?}/tests/integ/lib.sh"
	truncate -s 1M disk.img
}

teardown() {
	clean_up
}

# refused STATUS ID WORD... - refused with this status and id; the sentence stays in $output
refused() {
	status_wanted=$1 id=$2
	shift 2
	run "$VUCTL" "$@" --json
	[ "$status" -eq "$status_wanted" ]
	[[ $output == *'{"error":{"id":"'"$id"'","message":'*'}}' ]]
	run "$VUCTL" "$@"
	[ "$status" -eq "$status_wanted" ]
	[[ $output == *'vuctl: '* ]]
}

@test "version_and_help_go_to_standard_output" {
	run bash -c '"$VUCTL" --version 2>/dev/null'
	[ "$status" -eq 0 ]
	[[ $output == 'vuctl '[0-9]* ]]
	run bash -c '"$VUCTL" --help 2>/dev/null'
	[ "$status" -eq 0 ]
	[[ $output == *'usage: vuctl COMMAND'* ]]
	run bash -c '"$VUCTL" serve --help 2>/dev/null'
	[ "$status" -eq 0 ]
	[[ $output == *'--socket PATH'* ]]
	[ "$("$VUCTL" help serve)" = "$output" ]
	run "$VUCTL" help help
	[ "$status" -eq 0 ]
}

@test "nothing_at_all_is_wrong_usage" {
	run bash -c '"$VUCTL" 2>/dev/null'
	[ "$status" -eq 2 ]
	[ -z "$output" ]
}

@test "help_that_cannot_be_written_is_a_failure" {
	[ -e /dev/full ] || skip "no /dev/full"
	run bash -c '"$VUCTL" --help >/dev/full'
	[ "$status" -eq 1 ]
	[[ $output == *'cannot write to standard output'* ]]
}

@test "slips_are_recognised" {
	refused 2 unknown-command sevre disk.img
	[[ $output == *"Did you mean 'serve'?"* ]]
	refused 2 unknown-command frobnicate
	[[ $output != *'Did you mean'* ]]
	refused 2 unknown-option serve disk.img --sokcet x
	[[ $output == *"Did you mean '--socket'?"* ]]
	refused 2 unknown-option serve disk.img -x
	refused 2 unknown-command help sevre
	run "$VUCTL" --sokcet x
	[ "$status" -eq 2 ]
	[[ $output == *'The command comes first'* ]]
}

@test "options_say_what_they_lack" {
	refused 2 option-takes-no-value serve disk.img --host=yes
	refused 2 ambiguous-option serve disk.img --socket-
	run "$VUCTL" serve disk.img --json --socket
	[ "$status" -eq 2 ]
	[[ $output == *'"id":"option-needs-value"'* ]]
}

@test "where_to_serve_is_said_once" {
	refused 2 where-to-serve serve disk.img
	[[ $output == *'--socket /tmp/disk.sock'* ]]
	refused 2 where-to-serve serve disk.img --host --socket x
	refused 2 where-to-serve serve disk.img --fd 3 --socket x
	refused 2 no-source serve --socket x
	refused 2 too-many-words serve disk.img other.img --socket x
}

@test "options_that_do_not_go_together_are_refused" {
	refused 2 options-clash serve disk.img --host --once
	refused 2 options-clash serve disk.img --host --socket-mode 0660
	refused 2 options-clash serve disk.img --fd 3 --socket-group root
	refused 2 options-clash serve disk.img --socket -
	refused 2 options-clash serve disk.img --fd 3 --run true
}

@test "values_out_of_range_are_refused" {
	for words in '--queues 0' '--queues 257' '--queues x' '--queue-size 1' '--queue-size 32769' \
		'--workers 0' '--cpus 1-' '--cpus 3-1' '--cpus a' '--cpus 0,,1' '--cpus 99999' \
		'--mode lazy' '--cache none' '--aio magic' '--block-size 513' '--block-size 8192' \
		'--socket-mode 0888' '--socket-mode 0000' '--socket-mode 1777'; do
		# shellcheck disable=SC2086 # two words
		refused 2 bad-value serve disk.img --socket x $words
	done
	refused 2 bad-name serve disk.img --socket x --name a/b
	refused 2 bad-name serve disk.img --socket x --name .
	refused 2 bad-name serve disk.img --socket x --name ''
	refused 2 serial-too-long serve disk.img --socket x --serial 123456789012345678901
	refused 2 unknown-group serve disk.img --socket x --socket-group no-such-group
	refused 2 unknown-filter serve disk.img --socket x --filter nothing:x
}

@test "bad_sources_are_refused" {
	refused 7 image-missing serve nothing.img --socket x
	refused 7 image-type serve . --socket x
	: >empty.img
	refused 7 image-empty serve empty.img --socket x
	head -c 1000 /dev/zero >odd.img
	refused 7 image-size serve odd.img --socket x
	refused 7 unknown-source serve ftp:thing --socket x
	[ ! -e x ]
}

@test "an_image_of_another_format_is_refused" {
	printf 'QFI\373\0\0\0\003' >web.qcow2
	truncate -s 64K web.qcow2
	run "$VUCTL" serve web.qcow2 --socket x
	[ "$status" -eq 7 ]
	[[ $output == *qcow2* ]]
	[[ $output == *raw:web.qcow2* ]]
}

@test "control_characters_of_names_do_not_reach_the_terminal" {
	run "$VUCTL" serve $'a\e[31mb\nc.img' --socket x
	[ "$status" -eq 7 ]
	[[ $output != *$'\e'* ]]
	run "$VUCTL" serve $'a\e"\\b\nc.img' --socket x --json
	[[ $output == *'a\u001b\"\\b\nc.img'* ]]
}

@test "the_host_without_vduse_is_told_what_to_do" {
	[ ! -e /dev/vduse/control ] || skip "this host has VDUSE"
	run "$VUCTL" serve disk.img --host
	[ "$status" -eq 6 ] || [ "$status" -eq 4 ]
	[[ $output == *"'disk'"* ]]
}

@test "completion_is_bash_that_works" {
	"$VUCTL" completion bash >vuctl.bash
	complete_words() {
		bash -c '. ./vuctl.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vuctl; echo "${COMPREPLY[@]}"' x "$@"
	}
	[ "$(complete_words vuctl se)" = serve ]
	[ "$(complete_words vuctl serve --socket-m)" = --socket-mode= ]
	[ "$(complete_words vuctl serve --mode = b)" = busy ]
	[ "$(complete_words vuctl serve --cache '')" = "writeback writethrough" ]
	refused 2 bad-value completion fish
}
