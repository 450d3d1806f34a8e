#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# example.sh TERM PROGRAM.c : one of the course's programs prints what it should,
# and leaves nothing behind
set -uo pipefail

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work CC=$WMAP_CC

# CAP_SYS_ADMIN is bit 21.
capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
if ! ((0x$capabilities >> 21 & 1)) && grep -qE 'va2pa|getpgdirinfo' "$2"; then
	echo "skipped: frame numbers need CAP_SYS_ADMIN"
	exit 77
fi
if ! "$WMAP_BIN/xv6run" --check --term "$1" "$2"; then
	# Or is there no userfaultfd on this machine?
	"$WMAP_BIN/wmap" run -- true 2>&1 | grep userfaultfd && exit 77
	exit 1
fi
if [ "$(ls -A "$work")" ]; then
	echo "left behind: $(ls -A "$work")"
	exit 1
fi
