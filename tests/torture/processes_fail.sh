#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# torture/processes finds what it looks for: a tree that loses a store, puts an
# old one back, sleeps for ever, leaves something behind … does not pass
set -uo pipefail

test=$WMAP_BUILD/tests/torture_processes
if [ ! -x "$test" ]; then
	echo "$test is missing"
	exit 1
fi
export WMAP_TORTURE_PLAIN=1 WMAP_TORTURE_SECONDS=1 WMAP_TORTURE_PATIENCE=2
failures=0

# finds BREAK TEXT: a run broken this way fails, and says so
finds() {
	local output

	if output=$(WMAP_TORTURE_BREAK=$1 "$test" 2>&1) ||
		! grep -qE -- "$2" <<<"$output"; then
		echo "FAILED: $1 is not found:"
		echo "$output"
		failures=$((failures + 1))
	else
		echo "ok: $1: $(grep -oE -- "$2" <<<"$output" | head -n 1)"
	fi
}

finds lose 'word [0-9]+ is .*allowed is'
finds zero 'word [0-9]+ is 0:.*allowed is|was 0 when'
finds back 'word [0-9]+ is .*allowed is'
finds private 'private .* when it was last stored to'
finds sleep 'processes do not go on'
finds crash 'ended early, status 0x8?b$'
finds process 'left behind: 1 processes'
finds file 'left behind: .*/wmap-left-'
finds cut 'the file: .*word 0 is 0:.*allowed is'
echo "$failures failed"
exit $((failures > 0))
