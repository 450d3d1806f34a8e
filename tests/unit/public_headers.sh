#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each public header compiles alone, twice in one file, as C99 and as C++,
# without a word from the compiler.
set -euo pipefail

strict="-Wall -Wextra -pedantic -Werror -fsyntax-only -I$WMAP_SOURCE/include"
cxx=$(command -v g++ || command -v clang++ || command -v c++) || {
	echo "skipped: there is no C++ compiler"
	exit 77
}

for header in "$WMAP_SOURCE"/include/wmap/*.h; do
	name=wmap/$(basename "$header")
	text=$(printf '#include <%s>\n#include <%s>\nint unused_here;\n' \
		"$name" "$name")
	# shellcheck disable=SC2086 # the flags are words
	for compile in "$WMAP_CC -std=c99 -xc" "$WMAP_CC -std=gnu17 -xc" \
		"$cxx -std=c++98 -Wno-long-long -xc++" "$cxx -std=c++17 -xc++"; do
		echo "$compile $name"
		$compile $strict - <<<"$text"
	done
done
