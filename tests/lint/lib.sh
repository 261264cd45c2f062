#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the lints share. A lint reads the tree at LINT_ROOT (the sources when not
# set), prints FILE:LINE: what is wrong, and what to do, and exits 1 if it printed any.

set -u
LC_ALL=C
export LC_ALL

cd "${LINT_ROOT:-${abs_top_srcdir:-$(dirname "$0")/../..}}" || exit 1

# tree_files FIND-EXPRESSION... - the tree's own files, none of what a build leaves in it
tree_files() {
	find . \( -name .git -o -name .deps -o -name .libs -o -name autom4te.cache \
		-o -path './m4/*' -o -path './build?*' ! -path './build-aux*' -o -path './vuctl-*' \
		-o -name '*.o' -o -name '*.lo' -o -name '*.la' -o -name '*.log' \
		-o -name '*.trs' -o -name '.dirstamp' \) -prune \
		-o -type f \( "$@" \) -print | sed 's|^\./||' | sort
}

c_files() {
	tree_files \( -path './src/*' -o -path './tests/*' -o -path './contrib/*' \) -name '*.[ch]'
}

# need PROGRAM PACKAGE - go on only if the program is there
need() {
	command -v "$1" >/dev/null 2>&1 && return 0
	skip "$1 is missing: install $2"
}

# skip WHY - a check that CI leaves out is a failure
skip() {
	echo "SKIP: $1"
	[ "${CI:-}" = true ] && exit 1
	exit 77
}

# without_comments FILE... - FILE:LINE:TEXT of C files, comments blanked. Strings stay.
without_comments() {
	awk '
	FNR == 1 { in_comment = 0 }
	{
		out = ""; rest = $0; quote = ""
		while (rest != "") {
			c = substr(rest, 1, 1); two = substr(rest, 1, 2)
			if (in_comment) {
				if (two == "*/") { in_comment = 0; rest = substr(rest, 3) }
				else rest = substr(rest, 2)
			} else if (quote != "") {
				if (c == "\\") { out = out two; rest = substr(rest, 3); continue }
				if (c == quote) quote = ""
				out = out c; rest = substr(rest, 2)
			} else if (two == "/*") { in_comment = 1; rest = substr(rest, 3) }
			else if (two == "//") break
			else {
				if (c == "\"" || c == "\047") quote = c
				out = out c; rest = substr(rest, 2)
			}
		}
		print FILENAME ":" FNR ":" out
	}' "$@" </dev/null
}
