#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What fork leaves a child of its parent's mappings is the same under wmap
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

same_all fork
finish
