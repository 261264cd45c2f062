#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kernel.sh - a Linux kernel with VDUSE for the test guests, without installing it.
#
# Prints three lines:
#
#   the kernel to boot             .../vmlinux (or vmlinuz)
#   the folder of its modules      the one that has lib/modules/VERSION in it
#   VERSION
#
# VUCTL_TEST_KERNEL and VUCTL_TEST_MODULES, set together, are the first two and nothing is
# fetched. Otherwise Debian's 6.12 kernel package is downloaded with apt-get, unpacked into
# VUCTL_TEST_CACHE (${XDG_CACHE_HOME:-~/.cache}/vuctl-test) once, about 110 MB, and used from
# there from then on. To have a newer one, remove that folder.
#
# No root needed. Two of these at once do not disturb each other.

set -euo pipefail
export LC_ALL=C
umask 022

cure='Set VUCTL_TEST_KERNEL to a vmlinuz or vmlinux and VUCTL_TEST_MODULES to the folder that
has its lib/modules/VERSION (for the running kernel: /boot/vmlinuz-VERSION and /), from any kernel
for x86-64 of 6.1 or newer with vduse, virtio_vdpa, 9p, 9pnet_virtio and overlay as modules.'

fail() {
	printf 'kernel.sh: no kernel for the test guests: %s\n%s\n' "$1" "${2:-$cure}" >&2
	exit 1
}

# version_of KERNEL-FOLDER - the one VERSION in its lib/modules
version_of() {
	local v
	v=$(cd "$1/lib/modules" 2>/dev/null && echo *) || return 1
	case $v in
	'*' | *' '*) return 1 ;;
	esac
	echo "$v"
}

# has_module FOLDER VERSION NAME - as a file, packed or not, or built in
has_module() {
	local dir=$1/lib/modules/$2
	grep -qsE "/$3\\.ko$" "$dir/modules.builtin" && return 0
	[ -n "$(find "$dir/" \( -name "$3.ko" -o -name "$3.ko.*" \) -print -quit)" ]
}

needed_modules="vduse virtio_vdpa virtio_blk 9p 9pnet_virtio overlay"

# version_in KERNEL - the version that a kernel image says it is
version_in() {
	local at

	if is_bzimage "$1"; then
		at=$(($(le "$1" $((0x20e)) 2) + 512))
		tail -c +$((at + 1)) "$1" | head -c 200 | tr '\0' '\n' | sed -n '1s/ .*//p'
	else
		grep -aom 1 'Linux version [^ ]*' "$1" | sed -n '1s/.* //p'
	fi
}

from_environment() {
	local kernel=${VUCTL_TEST_KERNEL:-} modules=${VUCTL_TEST_MODULES:-} version m

	if [ -z "$kernel" ] || [ -z "$modules" ]; then
		fail "only one of VUCTL_TEST_KERNEL and VUCTL_TEST_MODULES is set."
	fi
	[ -r "$kernel" ] || fail "VUCTL_TEST_KERNEL=$kernel cannot be read."
	version=$(version_in "$kernel") || :
	[ -n "$version" ] || fail "VUCTL_TEST_KERNEL=$kernel is not a Linux kernel for x86."
	[ -e "$modules/lib/modules/$version/modules.dep" ] ||
		fail "VUCTL_TEST_MODULES=$modules has no lib/modules/$version/modules.dep."
	for m in $needed_modules; do
		has_module "$modules" "$version" "$m" ||
			fail "$modules/lib/modules/$version has no module $m."
	done
	printf '%s\n' "$(realpath "$kernel")" "$(realpath "$modules")" "$version"
}

# le FILE OFFSET BYTES - a little-endian number
le() {
	od -An -v -tu"$3" --endian=little -j "$2" -N "$3" "$1" | tr -d ' '
}

# The header of the boot protocol, version 2.08 or newer.
is_bzimage() {
	[ "$(le "$1" $((0x202)) 4)" = $((0x53726448)) ] && [ "$(le "$1" $((0x206)) 2)" -ge $((0x208)) ]
}

# unpack_bzimage VMLINUZ VMLINUX - the ELF file in a bzImage: it starts sooner than the
# wrapper, which unpacks itself in the guest. Offsets: Documentation/arch/x86/boot.rst.
unpack_bzimage() {
	local image=$1 out=$2 start length magic tool

	is_bzimage "$image" || return 1
	start=$((($(le "$image" $((0x1f1)) 1) + 1) * 512 + $(le "$image" $((0x248)) 4)))
	length=$(le "$image" $((0x24c)) 4)
	magic=$(od -An -tx1 -j $start -N 4 "$image" | tr -d ' ')
	case $magic in
	1f8b*) tool=gzip ;;
	fd377a58) tool='xz --single-stream' ;;
	28b52ffd) tool=zstd length=$((length - 4)) ;;	# the length of the contents is behind it
	02214c18) tool=lz4 length=$((length - 4)) ;;
	*) return 1 ;;
	esac
	command -v "${tool%% *}" >/dev/null || return 1
	# Words, on purpose.
	# shellcheck disable=SC2086
	tail -c +$((start + 1)) "$image" | head -c "$length" | $tool -dcq >"$out" 2>/dev/null || :
	[ "$(od -An -tx1 -N 4 "$out" | tr -d ' ')" = 7f454c46 ]
}

# ready FOLDER - prints its two lines if it is complete
ready() {
	[ -e "$1/complete" ] || return 1
	if [ -e "$1/vmlinux" ]; then echo "$1/vmlinux"; else echo "$1/vmlinuz"; fi
	echo "$1"
	version_of "$1"
}

cached() {
	local dir
	for dir in "$cache"/kernel-*/; do
		ready "${dir%/}" && return 0
	done
	return 1
}

# package_name - the newest versioned image this machine's apt knows that should do
package_name() {
	local meta name
	for meta in linux-image-6.12-amd64 linux-image-amd64 linux-image-generic; do
		name=$(apt-cache depends --important "$meta" 2>/dev/null |
			sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
		[ -n "$name" ] && { echo "$name"; return; }
	done
	return 1
}

fetch() {
	local name version m tool

	[ "$(uname -m)" = x86_64 ] || fail "it is fetched for x86_64 only and this is $(uname -m)."
	for tool in apt-get apt-cache dpkg depmod; do
		command -v $tool >/dev/null || [ -x /sbin/$tool ] || [ -x /usr/sbin/$tool ] ||
			fail "$tool is missing, and without it none can be fetched."
	done
	PATH=$PATH:/usr/sbin:/sbin
	name=$(package_name) || fail "apt knows no package linux-image-6.12-amd64." \
		"On Debian 12: apt-get update, with bookworm-security or bookworm-backports in sources.list.
Elsewhere: $cure"

	work=$(mktemp -d "$cache/new.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	echo "kernel.sh: fetching $name into $cache (once)" >&2
	(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$name") >"$work/log" 2>&1 ||
		fail "apt-get download $name: $(tail -n 1 "$work/log")" \
			"Is the network there, and apt-get update recent? Or: $cure"
	dpkg -x "$work"/*.deb "$work/kernel" || fail "$name cannot be unpacked; is $cache full?"
	rm -f "$work"/*.deb
	rm -rf "$work/kernel/usr/share"
	[ -d "$work/kernel/lib/modules" ] || mv "$work/kernel/usr/lib" "$work/kernel/lib" 2>/dev/null || :

	version=$(version_of "$work/kernel") || fail "$name has not one lib/modules/VERSION."
	for m in $needed_modules; do
		has_module "$work/kernel" "$version" "$m" || fail "$name has no module $m."
	done
	[ -s "$work/kernel/boot/vmlinuz-$version" ] || fail "$name has no boot/vmlinuz-$version."
	mv "$work/kernel/boot/vmlinuz-$version" "$work/kernel/vmlinuz"
	rm -rf "$work/kernel/boot" "$work/kernel/usr"
	unpack_bzimage "$work/kernel/vmlinuz" "$work/kernel/vmlinux" || rm -f "$work/kernel/vmlinux"
	depmod -b "$work/kernel" "$version" || fail "depmod -b fails on $name."
	[ -s "$work/kernel/lib/modules/$version/modules.dep" ] || fail "depmod wrote no modules.dep."
	echo "$name" >"$work/kernel/complete"

	# What is there now, if anything, is not complete: two do not get here at once.
	rm -rf "$cache/kernel-$version"
	mv -T "$work/kernel" "$cache/kernel-$version"
	ready "$cache/kernel-$version"
}

[ $# -eq 0 ] || { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 2; }

if [ -n "${VUCTL_TEST_KERNEL:-}${VUCTL_TEST_MODULES:-}" ]; then
	from_environment
	exit
fi

cache=${VUCTL_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/vuctl-test}
cached && exit

mkdir -p "$cache" 2>/dev/null || :
[ -w "$cache" ] ||
	fail "the cache folder $cache cannot be written." "Set VUCTL_TEST_CACHE to a folder of your own. Or: $cure"
cache=$(realpath "$cache")
exec 9>"$cache/lock"
flock 9
cached || fetch
