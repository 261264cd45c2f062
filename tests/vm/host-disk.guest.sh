#!/bin/bash
# SPDX-License-Identifier: MIT
#
# In the guest of host-disk.test: root, VDUSE, and nothing to lose.

# shellcheck source=tests/lib/scenario.sh
. "$(dirname "$0")/../lib/scenario.sh"
# shellcheck source=tests/lib/disk.sh
. "$(dirname "$0")/../lib/disk.sh"

need fio fio
need mkfs.ext4 e2fsprogs
need blkdiscard util-linux
need_vuctl

MiB=$((1 << 20))
mnt=$work/mnt
image=$work/disk.img

# Nothing of a disk is left in the kernel.
is_gone() {
	local path
	for path in "/dev/vduse/$1" "/sys/bus/vdpa/devices/$1" "/sys/class/vduse/$1"; do
		[ ! -e "$path" ] || { echo "$path is still there"; return 1; }
	done
}

# detaches NAME SIGNAL - the server ends as it should
detaches() {
	stop "$1" "$2"
	equal "$2 on an idle server detaches $1 and ends it with status 0" "$server_status" 0 ||
		words_of "$1"
	check "and leaves nothing of $1 in the kernel" is_gone "$1"
}

# --- one disk -----------------------------------------------------------------------

mib "$image" 192
if ! serve v0 "$image" --host --name v0 --queues 2 --serial SER123; then
	not_passed "serve --host gives a disk"
	exit 1
fi
disk=$served
equal "serve --host prints the path of the disk" "$disk" "$(vdpa_disk v0)" || exit 1
equal "and nothing else on standard output" "$(wc -l <"$work/v0.out")" 1
check "the path is a block device" test -b "$disk"
equal "it has the serial number it was given" "$(of_disk "$disk" serial)" SER123
equal "it has the size of the image" "$(of_disk "$disk" size)" $((192 * MiB / 512))
equal "it has two queues" "$(queues_of "$disk")" 2
equal "it is writable" "$(of_disk "$disk" ro)" 0

check "what 4 jobs at depth 32 write is read back" fio_verify "$disk" $((48 * MiB)) 4 32

pattern=$work/pattern
must dd if=/dev/urandom of="$pattern" bs=1M count=8 status=none
check "a plain write is taken" \
	dd if="$pattern" of="$disk" bs=1M seek=64 oflag=direct conv=fsync status=none
check "what was written is in the image, where it belongs" \
	cmp -n $((8 * MiB)) -i $((64 * MiB)):0 "$image" "$pattern"
equal "and reads back" "$(sum_of "$disk" 64 8)" "$(sha256sum <"$pattern")"

# --- discard, write zeroes ------------------------------------------------------------

must scribble "$disk" 96 32
sync
before=$(allocated "$image")
check_not "there is data before a discard" reads_as_zeroes "$disk" 100 8
check_not "and before write zeroes" reads_as_zeroes "$disk" 108 8
around=$(sum_of "$disk" 96 4; sum_of "$disk" 116 12)
check "discard is taken" blkdiscard -o $((100 * MiB)) -l $((8 * MiB)) "$disk"
after=$(allocated "$image")
check "discard gives the space of the image back" test "$after" -le $((before - 8000))
check "what was discarded reads as zeroes" reads_as_zeroes "$disk" 100 8
check "write zeroes is taken" blkdiscard -z -o $((108 * MiB)) -l $((8 * MiB)) "$disk"
check "what was zeroed reads as zeroes" reads_as_zeroes "$disk" 108 8
check "also in the image" reads_as_zeroes "$image" 100 16
equal "neither touches what is beside it" \
	"$(sum_of "$disk" 96 4; sum_of "$disk" 116 12)" "$around"

# --- a file system, and the way out -------------------------------------------------------

check "a file system on it is clean after use" file_system "$disk" "$mnt"

must mount "$disk" "$mnt"
signal v0 INT
check "SIGINT with the disk mounted is answered" within $patience said v0 mounted || words_of v0
sleep 1
check "the server goes on" alive v0
check "and so does the disk" test -e "/sys/bus/vdpa/devices/v0"
must dd if=/dev/urandom of="$mnt/later" bs=64k count=16 conv=fsync status=none
later=$(sha256sum <"$mnt/later")
must umount "$mnt"
stop v0 INT
equal "SIGINT after umount detaches the disk and ends the server with status 0" "$server_status" 0 ||
	words_of v0
check "nothing is left of it in the kernel" is_gone v0
check_not "its device node has gone" test -b "$disk"

# --- the same name again, alone and beside another ----------------------------------------

mib "$work/other.img" 64
if serve v0 "$image" --host --name v0 && disk=$served &&
	serve v1 "$work/other.img" --host --name v1 && other=$served; then
	passed "the name can be used again, and a second disk stands beside it"
	check "the file system is as it was left" has_file_system "$disk" "$mnt" "$file_sum"
	must mount -o ro "$disk" "$mnt"
	equal "so is what was written after the refusal" "$(sha256sum <"$mnt/later")" "$later"
	must umount "$mnt"
	check_not "the two disks are two" test "$disk" = "$other"

	keep=$(sum_of "$disk" 64 8)
	check "the second takes verified load" fio_verify "$other" $((16 * MiB)) 2 16
	equal "which the first does not notice" "$(sum_of "$disk" 64 8)" "$keep"
	detaches v1 TERM
	equal "the first goes on without the second" "$(sum_of "$disk" 64 8)" "$keep"
	detaches v0 INT
else
	not_passed "the name can be used again, and a second disk stands beside it"
	for name in "${!server_pid[@]}"; do
		stop "$name" TERM
	done
fi

# --- other sources, other ways --------------------------------------------------------------

image_sum=$(sha256sum <"$image")
if serve ro "$image" --host --name ro --read-only; then
	disk=$served
	equal "--read-only gives a disk that says so" "$(of_disk "$disk" ro)" 1
	check_not "and takes no writes" scribble "$disk" 0 1
	check "but reads as the image does" cmp "$disk" "$image"
	detaches ro TERM
	equal "the image is what it was" "$(sha256sum <"$image")" "$image_sum"
else
	not_passed "--read-only gives a disk"
fi

if serve m mem:64M --host --name m; then
	equal "mem:64M has 64 MiB" "$(of_disk "$served" size)" $((64 * MiB / 512))
	check "mem: keeps what is written" fio_verify "$served" $((16 * MiB)) 2 16
	detaches m TERM
else
	not_passed "mem:64M gives a disk"
fi

if serve n null:1G --host --name n; then
	equal "null:1G has 1 GiB" "$(of_disk "$served" size)" $((1024 * MiB / 512))
	check "null: is read to its end" \
		dd if="$served" of=/dev/null bs=1M skip=1000 count=24 iflag=direct
	detaches n TERM
else
	not_passed "null:1G gives a disk"
fi

# shellcheck disable=SC2016	# the command's own shell expands it
background run "$VUCTL" serve mem:64M --host --name run --run 'test -b "$dev" && exit 7'
ended run
equal "--run ends with the status of its command, which has the disk in \$dev" "$server_status" 7 ||
	words_of run
check "and nothing of that disk is left in the kernel" is_gone run
