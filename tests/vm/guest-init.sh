#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Process 1 of the test guest; tests/vm/guest puts it in.
#
# Stage one runs in the initramfs, with busybox alone: it puts the host's root together,
# read-only, under a tmpfs, and becomes stage two in there. Stage two runs the script that
# was asked for and switches the machine off.
#
# Words it obeys on the kernel command line: vm.results=yes (there is a share for results),
# vm.boots=N (start no more often than that).

word() {
	read -r line </proc/cmdline
	for w in $line; do
		case $w in "$1"=*) echo "${w#*=}"; return ;; esac
	done
}

# The words that come before a failure are for the console.
die() {
	echo "guest-init: $*" >/dev/console
	[ -d /run/vm/state ] && echo "$*" >/run/vm/state/trouble
	off
}

# No sync: it could wait for a disk whose server is gone, and the shares do without.
off() {
	$bb poweroff -f
}

p9() {
	mount -t 9p -o "trans=virtio,version=9p2000.L,msize=$((512 * 1024)),$1" "$2" "$3"
}

# links FOLDER - what this script runs; busybox is there already, the host's are slow to fetch
links() {
	for a in cat chmod cp hostname insmod ip ln mkdir mount readlink rm setsid uname; do
		$bb ln -s busybox "$1/$a"
	done
}

stage_one() {
	bb=/bin/busybox
	links /bin
	mkdir -p /proc /sys /dev /lower /rw /root
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t devtmpfs dev /dev 2>/dev/null
	while read -r m; do
		insmod "/modules/$m" || die "insmod $m failed"
	done </modules/order

	# Nothing on the host's root is written while a test runs, so what was read stays true.
	p9 ro,cache=loose root /lower || die "the host's root does not mount over 9p"
	mount -t tmpfs -o mode=755,size=75% rw /rw
	mkdir /rw/upper /rw/work
	mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work,xino=off root /root ||
		die "no overlay over the host's root"

	for d in proc sys dev run; do
		mkdir -p /root/$d
	done
	mount -t tmpfs -o mode=755 run /root/run
	mkdir -p /root/run/vm/bin
	cp /bin/busybox /root/run/vm/bin/busybox
	cp /init /root/run/vm/init
	for d in proc sys dev; do
		mount --move /$d /root/$d
	done
	exec $bb switch_root /root /bin/sh /run/vm/init two
}

stage_two() {
	bb=/run/vm/bin/busybox
	system_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export PATH=/run/vm/bin:$system_path LC_ALL=C
	links /run/vm/bin

	mkdir -p /run/vm/state /run/vm/results /run/vm/tmp /run/lock /dev/pts /dev/shm
	chmod 1777 /run/vm/tmp /run/lock
	p9 cache=none state /run/vm/state || die "no share for the state"
	if [ "$(word vm.results)" = yes ]; then
		p9 cache=none results /run/vm/results || die "no share for the results"
	fi

	# A boot that nobody asked for is the end of a crash.
	boot=$(($(cat /run/vm/state/boot 2>/dev/null || echo 0) + 1))
	[ "$boot" -eq 1 ] || [ -e /run/vm/state/again ] || die "the guest started again by itself"
	[ "$boot" -le "$(word vm.boots)" ] || die "the script wants more boots than $(word vm.boots)"
	rm -f /run/vm/state/again
	echo "$boot" >/run/vm/state/boot

	mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
	mount -t tmpfs -o mode=1777 shm /dev/shm
	mount -t tmpfs -o mode=755 vm /run/vm/tmp 2>/dev/null && chmod 1777 /run/vm/tmp
	for d in tracefs:/sys/kernel/tracing debugfs:/sys/kernel/debug; do
		mount -t "${d%%:*}" none "${d#*:}" 2>/dev/null
	done
	for d in fd:/proc/self/fd stdin:/proc/self/fd/0 stdout:/proc/self/fd/1 stderr:/proc/self/fd/2; do
		[ -e "/dev/${d%%:*}" ] || ln -s "${d#*:}" "/dev/${d%%:*}"
	done
	ip link set lo up 2>/dev/null
	hostname vuctl-test

	# The kernel's own modprobe, and everybody's, finds the modules where it looks.
	modules=$(cat /run/vm/state/modules)/lib/modules/$(uname -r)
	if [ "$(readlink -f "/lib/modules/$(uname -r)")" != "$(readlink -f "$modules")" ]; then
		mkdir -p "/lib/modules/$(uname -r)"
		mount --bind "$modules" "/lib/modules/$(uname -r)" || die "no modules in $modules"
	fi
	read -r load </run/vm/state/load
	for m in $load; do
		modprobe "$m" || die "modprobe $m failed"
	done

	for port in /sys/class/virtio-ports/*; do
		[ "$(cat "$port/name")" = script ] && out=/dev/${port##*/}
	done
	[ -c "$out" ] || die "no port for the script's output"

	# A session of its own, so that it may end its group without ending process 1.
	PATH=$system_path VM_BOOT=$boot setsid /bin/sh /run/vm/state/run </dev/null >"$out" 2>&1
	status=$?
	if [ $status -eq 100 ] && [ "$(word vm.boots)" -gt 1 ]; then
		: >/run/vm/state/again
		$bb reboot -f
	fi
	echo $status >/run/vm/state/status
	off
}

case ${1:-one} in
one) stage_one ;;
two) stage_two ;;
esac
