#!/bin/sh
# SPDX-License-Identifier: MIT
#
# demo.sh - show the two things that vuctl does, on throw-away data.
#
#   1. A disk image becomes a disk of a host (VDUSE). That is this host, where its kernel and
#      the user's rights allow it; else a small virtual machine plays the host.
#   2. The same image becomes a disk of a virtual machine (vhost-user).
#
# Data is written, flushed, and read back through the disk, and compared with what the image
# holds. No other file is touched, and nothing is left running. ./bootstrap demo calls this
# with everything built; VUCTL names another program than ./vuctl.

set -eu

me=$(realpath "$0")
top=$(realpath "$(dirname "$me")/../..")
VUCTL=${VUCTL:-$top/vuctl}
export VUCTL
PATH=$PATH:/usr/sbin:/sbin
mib=8 # of data

say() {
	printf '%s\n' "$*"
}

die() {
	say "demo: $*" >&2
	exit 1
}

sum() {
	sha256sum | cut -c 1-16
}

# --- what is done with a disk, wherever it is ---------------------------------------

# use DISK FILE - write FILE to it, flush, read it back past the page cache, compare
use() {
	say "      writing $mib MiB to $1, and flushing it"
	dd if="$2" of="$1" bs=1M oflag=direct conv=fsync 2>/dev/null
	wrote=$(sum <"$2")
	got=$(dd if="$1" bs=1M count=$mib iflag=direct 2>/dev/null | sum)
	say "      written  $wrote"
	say "      read     $got"
	[ "$wrote" = "$got" ] || die "$1 gave back other data"
}

# in_image IMAGE FILE - is FILE in there?
in_image() {
	got=$(head -c ${mib}M "$1" | sum)
	say "      in image $got"
	[ "$(sum <"$2")" = "$got" ] || die "the image holds other data"
}

# --- part 1, as root on a kernel with VDUSE -----------------------------------------

# Called by vuctl serve --run.
host_disk() {
	: "${dev:?is set by vuctl}"
	say "      this host has $dev: $(cat "/sys/block/${dev##*/}/size") sectors of 512 bytes"
	use "$dev" data
	say "      making a file system, and checking it"
	behind=$((mib * 1048576))
	mkfs.ext4 -q -E offset=$behind "$dev" 32m >/dev/null 2>&1 || die "mkfs.ext4 failed"
	e2fsck -fn "$dev?offset=$behind" >/dev/null 2>&1 || die "the file system is damaged"
}

host_part() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/vuctl-demo.XXXXXX")
	cd "$dir"
	# shellcheck disable=SC2064 # now, not then
	trap "cd /; rm -rf '$dir'" EXIT
	truncate -s 64M disk.img
	head -c ${mib}M /dev/urandom >data
	say "   \$ vuctl serve disk.img --host"
	"$VUCTL" serve disk.img --host --name vuctl-demo --quiet --run "exec '$me' --host-disk"
	in_image disk.img data
	[ ! -e /dev/vduse/vuctl-demo ] || die "the disk was not taken away"
	say "      the disk is gone again, the image is complete"
}

# --- part 2, inside the virtual machine -------------------------------------------------

vm_disk() {
	for b in /sys/block/vd*; do
		if [ "$(cat "$b/serial" 2>/dev/null)" = vuctl-demo ]; then
			disk=/dev/${b##*/}
		fi
	done
	[ -n "${disk:-}" ] || die "the virtual machine sees no disk"
	say "      the virtual machine has $disk: $(cat "/sys/block/${disk##*/}/size") sectors of 512 bytes"
	use "$disk" "$1"
}

# --- from here on: the machine it was called on -----------------------------------------

tmp=
server=

clean_up() {
	trap '' INT TERM HUP
	if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
		wait "$server" 2>/dev/null || :
	fi
	[ -z "$tmp" ] || rm -rf "$tmp"
}

# guest WORD... - run a part in a virtual machine
guest() {
	rc=0
	"$top/tests/vm/guest" --timeout 600 "$@" || rc=$?
	case $rc in
	0) ;;
	77) die "no virtual machine can be started here; the reason is above" ;;
	*) die "that did not work (status $rc)" ;;
	esac
}

can_host() {
	[ "$(id -u)" -eq 0 ] || return 1
	[ -e /dev/vduse/control ] || modprobe -q -a vduse virtio_vdpa 2>/dev/null || return 1
	[ -e /dev/vduse/control ]
}

part_1() {
	say "1. A disk on a host, through VDUSE"
	if can_host; then
		say "   This host can do it."
		"$me" --host-part
		return
	fi
	if [ "$(id -u)" -ne 0 ]; then
		say "   That needs root. A small virtual machine plays the host; wait for it to start."
	else
		say "   This kernel has no VDUSE. A small virtual machine plays the host; wait for it to start."
	fi
	guest --modules 'vduse virtio_vdpa' "$me" --host-part
}

part_2() {
	say "2. The disk of a virtual machine, through vhost-user"
	truncate -s 64M "$tmp/disk.img"
	head -c ${mib}M /dev/urandom >"$tmp/data"
	say "   \$ vuctl serve disk.img --socket disk.sock"
	"$VUCTL" serve "$tmp/disk.img" --socket "$tmp/disk.sock" --serial vuctl-demo --once --quiet \
		>"$tmp/path" &
	server=$!
	tries=0
	until [ -s "$tmp/path" ]; do
		kill -0 "$server" 2>/dev/null || die "vuctl has ended"
		tries=$((tries + 1))
		[ $tries -lt 300 ] || die "vuctl does not start"
		sleep 0.1
	done
	say "   \$ qemu-system-x86_64 ... -chardev socket,id=c0,path=disk.sock -device vhost-user-blk-pci,chardev=c0"
	guest --modules virtio_blk \
		--qemu "-chardev socket,id=demo,path=$tmp/disk.sock -device vhost-user-blk-pci,chardev=demo" \
		"$me" --vm-disk "$tmp/data"
	rc=0
	wait "$server" || rc=$?
	server=
	[ $rc -eq 0 ] || die "vuctl ended with status $rc"
	in_image "$tmp/disk.img" "$tmp/data"
	say "      the virtual machine has gone, and so has vuctl"
}

case ${1:-} in
--host-part)
	host_part
	exit
	;;
--host-disk)
	host_disk
	exit
	;;
--vm-disk)
	vm_disk "$2"
	exit
	;;
'') ;;
*) die "it takes no words" ;;
esac

[ -x "$VUCTL" ] || die "there is no $VUCTL; build it first: ./bootstrap build"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vuctl-demo.XXXXXX")

say "Two things vuctl does, with data made up for it; nothing else is touched."
say
part_1
say
part_2
cat <<'END'

Both gave back what was written. Now with a disk of your own:

    truncate -s 1G disk.img
    ./vuctl serve disk.img --socket /tmp/disk.sock      for a virtual machine
    sudo ./vuctl serve disk.img --host                  on this host, if its kernel has VDUSE
END
