#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# libwmap.so shows the functions that the public headers declare with WMAP_API,
# under its version, and those that internal headers so declare for the preload
# library, under WMAP_PRIVATE. lib/wmap.map lists these: no more, no fewer.
set -euo pipefail

# declared HEADER... : the functions that they declare with WMAP_API
declared() {
	cat "$@" | tr '\n' ' ' | grep -oE 'WMAP_API [a-z][^;(]*\(' |
		sed -E 's/.*[ *]([a-z0-9_]+)\($/\1/' | sort -u
}

# listed VERSION: what wmap.map has under it, * for a pattern
listed() {
	sed -n "/^$1 {/,/^}/p" "$WMAP_SOURCE/lib/wmap.map" |
		sed -nE 's/^\t([a-z0-9_]+);$/\1/p' | sort -u
}

# exported VERSION: what the library has under it
exported() {
	nm -D --defined-only "$WMAP_LIB/libwmap.so" |
		sed -nE "s/.* [^A] ([a-z0-9_]+)@+$1\$/\1/p" | sort -u
}

# The static library shows no other names either.
visible() {
	nm -g --defined-only "$WMAP_LIB/libwmap.a" |
		awk 'NF == 3 && $2 ~ /[TDBRVWC]/ { print $3 }' | sort -u
}

status=0
# same NAME EXPECTED NAME FOUND
same() {
	if ! diff -u --label "$1" --label "$3" <(echo "$2") <(echo "$4"); then
		status=1
	fi
}

version=$(sed -nE 's/^(WMAP_[0-9.]+) \{/\1/p' "$WMAP_SOURCE/lib/wmap.map")
public=$(declared "$WMAP_SOURCE"/include/wmap/*.h)
private=$(declared "$WMAP_SOURCE"/lib/*.h)

same "declared in include/wmap" "$public" \
	"listed under $version" "$(listed "$version")"
same "declared in include/wmap" "$public" \
	"shown by libwmap.so" "$(exported "$version")"
same "declared in lib" "$private" \
	"listed under WMAP_PRIVATE" "$(listed WMAP_PRIVATE)"
same "declared in lib" "$private" \
	"shown by libwmap.so" "$(exported WMAP_PRIVATE)"
if [ -z "$WMAP_SANITIZER" ]; then
	same "declared" "$(sort -u <<<"$public"$'\n'"$private")" \
		"shown by libwmap.a" "$(visible)"
fi
exit $status
