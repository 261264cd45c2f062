#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A vhost-user back-end of any type, on standard input and output, for as long as it is only
# asked. It works no queue. What it answers is in the environment:
#
#	FEATURES, PROTOCOL	numbers
#	QUEUES			how many, 1
#	CONFIG			its configuration space in hexadecimal digits
#	CONFIG_ANY		give any length of it, with zeroes behind the end
#	CONFIG_EXACT		give it only whole
#	HANG, CLOSE, NONSENSE, REFUSE
#				numbers of the messages at which to do that

u32() {
	local h
	printf -v h %08x "$1"
	# shellcheck disable=SC2059 # bytes are made here
	printf "\\x${h:6:2}\\x${h:4:2}\\x${h:2:2}\\x${h:0:2}"
}

u64() {
	u32 $(($1 & 0xffffffff))
	u32 $((($1 >> 32) & 0xffffffff))
}

# read_words BYTES - as numbers of 32 bits
read_words() {
	dd bs="$1" count=1 iflag=fullblock 2>/dev/null | od -An -v -w4 -tu4
}

answer() {
	u32 "$request"
	u32 5
	u32 "$1"
}

answer_u64() {
	answer 8
	u64 "$1"
}

among() {
	case " $1 " in
	*" $request "*) return 0 ;;
	*) return 1 ;;
	esac
}

# give_config OFFSET SIZE
give_config() {
	local i have=$((${#config} / 2))

	if [ "$1" -ne 0 ] || { [ "$2" -gt $have ] && [ -z "${CONFIG_ANY:-}" ]; } ||
		{ [ "$2" -ne $have ] && [ -n "${CONFIG_EXACT:-}" ]; }; then
		answer 0
		return
	fi
	answer $((12 + $2))
	u32 0
	u32 "$2"
	u32 0
	for ((i = 0; i < $2; i++)); do
		# shellcheck disable=SC2059
		printf "\\x$([ $i -lt $have ] && echo "${config:2*i:2}" || echo 00)"
	done
}

config=${CONFIG:-}
while :; do
	mapfile -t header < <(read_words 12)
	[ ${#header[@]} -eq 3 ] || exit 0
	request=${header[0]// /}
	payload=(0 0)
	[ "${header[2]}" -eq 0 ] || mapfile -t payload < <(read_words "${header[2]// /}")
	if among "${HANG:-}"; then
		cat >/dev/null
		exit 0
	fi
	among "${CLOSE:-}" && exit 0
	if among "${NONSENSE:-}"; then
		printf 'HTTP/1.1 400 Bad Request\r\n\r\n'
		continue
	fi
	case $request in
	1) answer_u64 "$FEATURES" ;;
	15) answer_u64 "${PROTOCOL:-0}" ;;
	17) answer_u64 "${QUEUES:-1}" ;;
	36) answer_u64 8 ;;
	11)
		answer 8
		u32 "${payload[0]}"
		u32 0
		;;
	24) give_config "${payload[0]}" "${payload[1]}" ;;
	*)
		# need_reply
		[ $((header[1] & 8)) -eq 0 ] || answer_u64 "$(among "${REFUSE:-}" && echo 1 || echo 0)"
		;;
	esac
done
