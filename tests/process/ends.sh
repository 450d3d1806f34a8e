#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# However a program ends, its stores are in the file, its status is its own, and
# its handlers run; children; a stray access is reported first
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

same_all ends
same_all child

for name in returns underscore_exits quick_exits execs_l execs_vp; do
	under_wmap "$work/run" "$programs/ends" $name "$work/file"
	expect "$name reports" loaded "$work/run.json"
done

under_wmap "$work/run" "$programs/ends" execs_in_vain "$work/file"
expect "a report replaces an earlier one" \
	test "$(field processes "$work/run.json")" = 1
under_wmap "$work/run" "$programs/ends" child_maps_for_itself "$work/file"
expect "a child reports for itself" \
	test "$(field processes "$work/run.json")" = 2

# A stray access: a line first, then what the program wants, or death.
for name in segv_kills catches_with_signal catches_with_signal_later \
	catches_and_goes_on; do
	under_wmap "$work/run" "$programs/ends" $name "$work/file"
	expect "$name after a line of wmap" \
		grep -qE '^wmap: stray (read of|write to) 0x' "$work/run.err"
done

under_wmap "$work/run" "$programs/ends" segv_kills "$work/file"
expect "a program that dies of it still reports" loaded "$work/run.json"

finish
