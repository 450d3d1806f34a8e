#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What fork leaves a child of its parent's mappings is the same under wmap
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

same_all fork

# With a pager thread, whose descriptors are all of the process's.
"$programs/fork" closes_all_it_finds "$work/file" >"$work/plain.out"
for without in "" io_uring; do
	WMAP_KERNEL_WITHOUT=$without WMAP_PAGER=thread \
		LD_PRELOAD=$WMAP_LIB/libwmap-preload.so \
		"$programs/fork" closes_all_it_finds "$work/file" \
		>"$work/thread.out" 2>"$work/thread.err"
	expect "a pager thread's are left to it ($without)" test $? = 0
	expect "... and nothing is lost" \
		cmp "$work/plain.out" "$work/thread.out"
done
finish
