#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a program reads and stores through its mappings is the same under wmap
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

same_all mapping

# ... and it was wmap that paged.
for name in reads_private reads_shared stores_and_unmaps maps_in_threads; do
	under_wmap "$work/run" "$programs/mapping" $name "$work/file"
	expect "$name is paged by wmap" loaded "$work/run.json"
done
finish
