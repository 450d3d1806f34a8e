#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# wmap at work on real input: an existing program, sqlite3, reads a database
# through memory that our pager fills, and answers as it always does. On a bare
# Debian bookworm, as root or through sudo, it first installs what is missing.
# Nothing is left behind but build/release.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/packages.sh

case ${1-} in
'') ;;
--help | -h)
	echo "usage: ./demo.sh [MIB]    size of its database at least, else 100"
	exit 0
	;;
*[!0-9]*)
	echo "usage: ./demo.sh [MIB]" >&2
	exit 2
	;;
esac
mib=${1:-100}

wmap=build/release/bin/wmap
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
database=$work/debian.db

title() {
	printf '\n== %s\n' "$*"
}

die() {
	printf '\ndemo: %s\n' "$*" >&2
	exit 1
}

# timed COMMAND... : run it, and leave in $took how many seconds it took
timed() {
	local start=$EPOCHREALTIME status=0

	"$@" || status=$?
	took=$(awk -v a="$start" -v b="$EPOCHREALTIME" \
		'BEGIN { printf "%.3f", b - a }')
	return "$status"
}

build() {
	local log=build/release/build.log

	mkdir -p build/release
	if ! { cmake --preset release -DWMAP_TESTS=OFF &&
		cmake --build --preset release -j "$(nproc)"; } >"$log" 2>&1; then
		tail -n 40 "$log"
		die "it does not build"
	fi
}

# plain OUT SQL, paged OUT SQL [OPTION...]: the same program on the same file
plain() {
	sqlite3 -batch "$database" <"$2" >"$1"
}

paged() {
	local out=$1 sql=$2
	shift 2

	"$wmap" run --map "$database" --json "$work/json" "$@" -- \
		sqlite3 -batch "$database" <"$sql" >"$out" 2>"$work/summary" || {
		cat "$work/summary" >&2
		die "sqlite3 under wmap run failed"
	}
}

# report: what wmap's JSON says of the database, in a line or two
report() {
	sqlite3 -batch :memory: "
	WITH j(j) AS (SELECT CAST(readfile('$work/json') AS TEXT)),
	m(length, loaded) AS (
		SELECT max(value ->> 'length'), sum(value ->> 'loaded_pages')
		FROM j, json_each(j, '\$.mappings')
		WHERE value ->> 'file' LIKE '%/debian.db')
	SELECT printf('  loaded %d of %d pages (%.1f %%), %.1f MiB read;',
		loaded, (length + 4095) / 4096,
		100.0 * loaded / max(1, (length + 4095) / 4096),
		(j ->> 'bytes_read') / 1048576.0),
	printf('  %d faults, half of them answered within %.1f µs,',
		j ->> 'faults', (j ->> '\$.latency_ns.p50') / 1000.0) ||
	printf(' 99 %% within %.1f µs', (j ->> '\$.latency_ns.p99') / 1000.0)
	FROM j, m;" -separator $'\n'
}

# compare NAME SQL: both ways, once each to warm up the page cache
compare() {
	local name=$1 sql=$2
	shift 2

	plain "$work/plain" "$sql"
	timed plain "$work/plain" "$sql"
	printf '  %-36s %s s\n' "sqlite3" "$took"
	timed paged "$work/paged" "$sql" "$@"
	printf '  %-36s %s s\n' "wmap run $*${*:+ }-- sqlite3" "$took"
	report
	if ! cmp "$work/plain" "$work/paged"; then
		die "the answers differ ($name)"
	fi
	printf '  the answers are the same to the byte: %d lines, %d bytes\n' \
		"$(wc -l <"$work/paged")" "$(wc -c <"$work/paged")"
}

title "building wmap"
packages_need_build sqlite3
timed build
echo "  in build/release, $took s"

title "a database of this Debian's packages, files and texts"
timed bash demo/database.sh "$database" "$mib"
size=$(stat -c %s "$database")
sqlite3 -batch "$database" "
	SELECT printf('  %d packages, %d files of installed ones, %d texts of %d lines',
		(SELECT count(*) FROM package), (SELECT count(*) FROM owned),
		(SELECT count(*) FROM text), (SELECT count(*) FROM line));"
echo "  $((size >> 20)) MiB, $(((size + 4095) / 4096)) pages, made in $took s"

title "some questions, which need few pages"
compare questions demo/questions.sql
echo "  their beginning:"
sed -n '2,$ s/^/    /p' "$work/paged" | cut -c1-78 | head -n 12

title "questions that need every page"
compare everything demo/everything.sql

title "the same, where each fault brings 64 KiB"
compare "everything, in grains" demo/everything.sql --grain 65536

title "what wmap run said about that"
cut -c1-100 "$work/summary" | sed 's/^/  /'

title "a C program on the course's calls"
cp /usr/share/common-licenses/GPL-3 "$work/text" 2>/dev/null ||
	head -c 35000 "$database" >"$work/text"
build/release/demo/course "$work/text" || die "it failed"

printf '\ndemo: passed: sqlite3 gave the same answers on memory filled by wmap\n'
