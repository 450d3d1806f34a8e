#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# read, write and truncate of a mapped file agree with the mapping under wmap
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

same_all agree
WMAP_MEMORY=512K same agree reads_past_the_page_cache
finish
