# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# For scripts that run vuctl. They have $VUCTL from the build, and get $tmp, an empty
# folder of their own, which is the present one.

: "${VUCTL:?set it to the program to be tested}"
: "${abs_top_srcdir:?set it to the top of the sources}"

# bats has its own
command -v skip >/dev/null || skip() {
	echo "SKIP: $*"
	[ "${CI:-}" = true ] && exit 1
	exit 77
}

fail() {
	echo "FAIL: $*"
	exit 1
}

# within SECONDS COMMAND... - until the command succeeds
within() {
	end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# serve WORD... - in the background, until it can be used: sets $pid and $path; out and err are files
serve() {
	: >out
	"$VUCTL" serve "$@" >out 2>err &
	pid=$!
	within 60 served
	path=$(cat out)
	[ -n "$path" ]
}

served() {
	[ -s out ] || ! kill -0 "$pid" 2>/dev/null
}

# gone STATUS - the server ends with it, in time
gone() {
	within 60 ended || return 1
	status=0
	wait "$pid" || status=$?
	pid=
	[ "$status" -eq "$1" ] || { echo "exit status $status, not $1"; cat err; return 1; }
}

ended() {
	# A zombie, until wait.
	case $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) in
	'' | Z*) return 0 ;;
	*) return 1 ;;
	esac
}

# finish - SIGINT, and it ends well
finish() {
	kill -INT "$pid" && gone 0
}

# Ends what is still there, removes the folder.
clean_up() {
	if [ -n "${pid:-}" ] && kill -0 "$pid" 2>/dev/null; then
		kill -KILL "$pid" && wait "$pid" 2>/dev/null || :
	fi
	cd / && rm -rf "$tmp"
}

pid=
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vuctl-integ.XXXXXX")
cd "$tmp" || exit 1
