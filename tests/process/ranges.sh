#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Ranges that cut mappings or join them with other memory are split rightly
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

same_all ranges
for name in unmaps_a_patchwork grows shrinks moves; do
	under_wmap "$work/run" "$programs/ranges" $name "$work/file"
	expect "$name is paged by wmap" loaded "$work/run.json"
done
finish
