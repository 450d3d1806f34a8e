#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Random calls on mapped files do what they do without wmap, with and without a
# budget. WMAP_SEED: that one alone; WMAP_TEST_SCALE: as many times four seeds.
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

# With 13 the kernel refuses a read with O_DIRECT: its page is not allocated yet.
[ -n "${WMAP_SEED-}" ] || WMAP_SEED=13 WMAP_MEMORY=256K same calls random_calls
first=${WMAP_SEED:-$(date +%s)}
last=$first
[ -n "${WMAP_SEED-}" ] || last=$((first + 4 * ${WMAP_TEST_SCALE:-1} - 1))
for ((seed = first; seed <= last; seed++)); do
	echo "seed: $seed"
	export WMAP_SEED=$seed
	same calls random_calls
	WMAP_MEMORY=256K same calls random_calls
done
finish
