#!/bin/bash
# SPDX-License-Identifier: MIT
#
# In the guests of qemu-vhost-user.test: PHASE DISK... with a DISK MiB:queues:packed:access.

# shellcheck source=tests/lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"
# shellcheck source=tests/lib/disk.sh
. "$(dirname "$0")/../lib/disk.sh"

phase=$1
shift
MiB=$((1 << 20))
mnt=$work/mnt

sized_disk() {
	local found
	for found in /sys/block/vd*/size; do
		[ "$(cat "$found" 2>/dev/null)" = $(($1 * MiB / 512)) ] || continue
		found=${found%/size}
		echo "/dev/${found##*/}"
		return
	done
	return 1
}

no_sized_disk() {
	! sized_disk "$1"
}

# ask WORD - of the host, and wait for it
ask() {
	: >"$VM_RESULTS/$1.asked"
	check "the host does $1" within $patience test -e "$VM_RESULTS/$1.done"
}

is_packed() {
	if has_feature "$1" 34; then echo on; else echo off; fi
}

# try_disk DISK - all of a new disk
try_disk() {
	local size queues packed access disk
	IFS=: read -r size queues packed access <<<"$1"

	check "disk $size is there" within $patience sized_disk "$size" || return
	disk=$(sized_disk "$size")
	equal "it has $queues queues" "$(queues_of "$disk")" "$queues"
	equal "its rings are packed: $packed" "$(is_packed "$disk")" "$packed"
	equal "its serial number comes from the server" "$(of_disk "$disk" serial)" "SER$size"
	if [ "$access" = ro ]; then
		equal "it says that it is read-only" "$(of_disk "$disk" ro)" 1
		check_not "it takes no writes" scribble "$disk" 0 1
		equal "it holds what the image does" "$(sha256sum <"$disk")" \
			"$(cat "$VM_RESULTS/read-only.sum")"
		return
	fi
	check "it takes verified load" fio_verify "$disk" $((16 * MiB)) 4 32
	if [ "$size" = 67 ]; then
		must scribble "$disk" 0 64
		check_not "there is data before a discard" reads_as_zeroes "$disk" 0 64
		check "discard is taken" blkdiscard "$disk"
		check "what was discarded reads as zeroes" reads_as_zeroes "$disk" 0 64
	fi
	check "a file system on it is clean after use" file_system "$disk" "$mnt"
	echo "$file_sum" >"$VM_RESULTS/sum-$size"
}

# same_disk SIZE WHEN
same_disk() {
	check "disk $1 is there $2" within $patience sized_disk "$1" || return
	check "and holds what was written" \
		has_file_system "$(sized_disk "$1")" "$mnt" "$(cat "$VM_RESULTS/sum-$1")"
}

case $phase.$VM_BOOT in
first.1)
	for disk; do
		try_disk "$disk"
	done
	[ "$failed" -gt 0 ] || exit 100
	;;
first.2)
	for size in 64 65 66 67; do
		same_disk "$size" "after the restart"
	done
	for size in 65 66; do
		ask "unplug-$size"
		check "disk $size leaves the guest" within $patience no_sized_disk "$size"
		ask "plug-$size"
		same_disk "$size" "again"
	done
	same_disk 64 "as ever, beside them"
	;;
load.1)
	for size in 64 65 66 67; do
		same_disk "$size" "in another machine"
	done
	[ "$failed" -eq 0 ] || exit 1
	engine=$(fio_engine)
	rw=randread
	for size in 64 65 66 67; do
		[ "$size" != 67 ] || rw=randrw
		background "fio-$size" fio --name=x --filename="$(sized_disk "$size")" \
			--ioengine="$engine" --direct=1 --rw=$rw --bs=4k --iodepth=16 --time_based --runtime=300
	done
	sleep 2
	for size in 64 65 66 67; do
		check "disk $size is at work" alive "fio-$size"
	done
	[ "$failed" -eq 0 ] || exit 1
	: >"$VM_RESULTS/killed.asked"
	sleep 300
	check "the machine was killed" false
	;;
after.1)
	for size in 64 65 66; do
		same_disk "$size" "after a machine was killed"
	done
	check "the disk that was being written takes verified load" \
		fio_verify "$(sized_disk 67)" $((16 * MiB)) 4 32
	;;
*)
	check "phase $phase, boot $VM_BOOT" false
	;;
esac
