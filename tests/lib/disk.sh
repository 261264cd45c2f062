#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What test scripts do with a disk, whichever way it came. After scenario.sh.

# vdpa_disk NAME - the disk of a vDPA device: /dev/vdX
vdpa_disk() {
	local found
	for found in "/sys/bus/vdpa/devices/$1"/virtio*/block/*; do
		[ -e "$found" ] && { echo "/dev/${found##*/}"; return; }
	done
	return 1
}

# serial_disk SERIAL - the disk with that serial number
serial_disk() {
	local found
	for found in /sys/block/*/serial; do
		[ "$(cat "$found" 2>/dev/null)" = "$1" ] || continue
		found=${found%/serial}
		echo "/dev/${found##*/}"
		return
	done
	return 1
}

no_serial_disk() {
	! serial_disk "$1"
}

# of_disk DEVICE FILE - a file of it in sysfs
of_disk() {
	cat "/sys/block/${1##*/}/$2"
}

# queues_of DEVICE
queues_of() {
	find "/sys/block/${1##*/}/mq/" -mindepth 1 -maxdepth 1 -type d | wc -l
}

# has_feature DEVICE BIT - negotiated
has_feature() {
	[ "$(of_disk "$1" device/features | cut -c $(($2 + 1)))" = 1 ]
}

# fio_engine - io_uring where the kernel lets us, else libaio
fio_engine() {
	if fio --name=x --ioengine=io_uring --rw=read --bs=512 --size=512 --filename=/dev/zero \
		--output=/dev/null >/dev/null 2>&1; then
		echo io_uring
	else
		echo libaio
	fi
}

# fio_verify DEVICE SIZE JOBS DEPTH - random writes of mixed sizes beside reads, each job in
# a part of its own, all read back against their checksums
# shellcheck disable=SC2154	# $work is scenario.sh's
fio_verify() {
	[ -n "${engine:-}" ] || engine=$(fio_engine)
	fio --name=verify --filename="$1" --ioengine="$engine" --direct=1 --rw=randrw \
		--bsrange=4k-64k --size=$(($2 / $3)) --offset_increment=$(($2 / $3)) --numjobs="$3" \
		--iodepth="$4" --verify=crc32c --do_verify=1 --verify_fatal=1 --randseed=7 \
		--group_reporting --eta=never --output="$work/fio" && return
	grep -iE 'fio:|verify:|err=|bad|hdr_fail|received|expected' "$work/fio"
	return 1
}

# reads_as_zeroes DEVICE OFFSET LENGTH - in MiB
reads_as_zeroes() {
	cmp -n $(($3 << 20)) -i $(($2 << 20)):0 "$1" /dev/zero
}

# sum_of FILE OFFSET LENGTH - of these MiB, past the cache of a disk
sum_of() {
	dd if="$1" bs=1M skip="$2" count="$3" iflag=direct status=none | sha256sum
}

# allocated FILE - KiB of it that take up space
allocated() {
	du -k "$1" | cut -f 1
}

# mib FILE SIZE - a file of so many MiB that is all holes
mib() {
	truncate -s "$2M" "$1"
}

# scribble DEVICE OFFSET LENGTH - MiB of data that are nobody else's
scribble() {
	dd if=/dev/urandom of="$1" bs=1M seek="$2" count="$3" oflag=direct conv=notrunc,fsync status=none
}

# tree_sum FOLDER - of all that file_system put there
tree_sum() {
	(cd "$1/d" && find . -type f | sort | xargs sha256sum) | sha256sum
}

# file_system DEVICE FOLDER - make one, fill it, leave it clean; $file_sum is what it holds
file_system() {
	local i

	mkfs.ext4 -q -F "$1" || return
	mkdir -p "$2"
	mount "$1" "$2" || return
	mkdir "$2/d" && dd if=/dev/urandom of="$2/d/data" bs=64k count=100 status=none || return
	for i in {1..100}; do
		echo "$i" >"$2/d/small-$i"
	done
	sync
	# shellcheck disable=SC2034	# for the scripts
	file_sum=$(tree_sum "$2")
	umount "$2" || return
	fsck.ext4 -fn "$1"
}

# has_file_system DEVICE FOLDER SUM - it is clean and holds what it did
has_file_system() {
	local sum

	fsck.ext4 -fn "$1" || return
	mkdir -p "$2"
	mount -o ro,noload "$1" "$2" || return
	sum=$(tree_sum "$2")
	umount "$2" || return
	[ "$sum" = "$3" ]
}
