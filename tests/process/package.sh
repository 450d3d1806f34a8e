#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# An installed tree, moved elsewhere, can be used by a project of its own:
# through CMake and through pkg-config, shared and static; and has the rest.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$WMAP_CMAKE" --install "$WMAP_BUILD" --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/root"
lib=$(dirname "$(find "$work/root" -name libwmap.so)")
unset LD_LIBRARY_PATH

export CMAKE_PREFIX_PATH=$work/root PKG_CONFIG_PATH=$lib/pkgconfig

# use HOW: build and run the consumer
use() {
	local build=$work/$1 kind found

	"$WMAP_CMAKE" -S "$WMAP_SOURCE/tests/package" -B "$build" \
		-G Ninja -DHOW="$1" -DCMAKE_C_COMPILER="$WMAP_CC"
	"$WMAP_CMAKE" --build "$build"
	for kind in shared static; do
		echo "== $1, $kind"
		"$build/consumer_$kind"
	done
	found=$(ldd "$build/consumer_shared" |
		sed -nE 's/.*libwmap\.so.* => ([^ ]*) .*/\1/p')
	test "$(realpath "$found")" = "$(realpath "$lib/libwmap.so")"
	if ldd "$build/consumer_static" 2>&1 | grep libwmap; then
		echo "consumer_static is not static"
		exit 1
	fi
}

use cmake
use pkg-config

for file in bin/wmap include/wmap/wmap.h include/wmap/store.h \
	share/man/man1/wmap.1 share/man/man3/wmap.3 share/man/man1/xv6cc.1 \
	share/man/man1/xv6run.1 include/xv6/f24/wmap.h; do
	test -f "$work/root/$file" || {
		echo "missing in the installed tree: $file"
		exit 1
	}
done
test -f "$lib/libwmap-preload.so"
if grep -rlF "$work/first" "$work/root"; then
	echo "these files say where they were installed first"
	exit 1
fi

# The command finds its preload library where it was moved to.
"$work/root/bin/wmap" run --json "$work/json" -- cat /dev/null 2>"$work/err" ||
	{ cat "$work/err"; exit 1; }

# The course's programs, from the moved tree, by links, from another directory.
mkdir "$work/bin" "$work/course" "$work/tmp"
ln -s "$work/root/bin/xv6cc" "$work/root/bin/xv6run" "$work/bin/"
cp "$WMAP_SOURCE/tests/xv6/fact.h" "$work"
cp "$WMAP_SOURCE"/tests/xv6/f24/lazy.* "$work/course"
cd /
CC=$WMAP_CC "$work/bin/xv6cc" "$work/course/lazy.c" -o "$work/lazy"
TMPDIR=$work/tmp "$work/bin/xv6run" "$work/lazy" >"$work/out"
cmp "$work/out" "$work/course/lazy.out"
CC=$WMAP_CC TMPDIR=$work/tmp "$work/bin/xv6run" --check "$work/course"
test -z "$(ls -A "$work/tmp")"
