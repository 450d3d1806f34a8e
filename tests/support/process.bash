# SPDX-License-Identifier: MIT
#
# For the scripts in tests/process: a directory of their own, `wmap run`, and
# the same program plain and under it.
set -uo pipefail

if [ -n "${WMAP_SANITIZER-}" ]; then
	echo "skipped: a library with $WMAP_SANITIZER cannot be preloaded"
	exit 77
fi

wmap=$WMAP_BIN/wmap
programs=$WMAP_BUILD/tests/programs
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
failures=()
ulimit -c 0

# What wmap says first when the machine has no userfaultfd.
"$wmap" run -- true 2>"$work/err"
if grep -q "userfaultfd" "$work/err"; then
	cat "$work/err"
	exit 77
fi

failed() {
	echo "FAILED: $*"
	failures+=("$*")
}

# expect WHAT COMMAND…: the command succeeds
expect() {
	local what=$1

	shift
	if "$@"; then
		echo "ok: $what"
	else
		failed "$what"
	fi
}

# finish: the last line of each script; what failed again, as a log may show its
# end only
finish() {
	expect "no temporary file is left" test -z "$(ls -A "$TMPDIR")"
	for failure in "${failures[@]}"; do
		echo "failed: $failure"
	done
	echo "${#failures[@]} failed"
	exit $((${#failures[@]} > 0))
}

# under_wmap OUTPUT COMMAND…: its status; OUTPUT.out, .err, .json
under_wmap() {
	local output=$1

	shift
	timeout -k 5 60 "$wmap" run --json "$output.json" -- "$@" \
		>"$output.out" 2>"$output.err"
}

# loaded JSON: does it tell of a page that was loaded?
loaded() {
	grep -q '"loaded_pages": [1-9]' "$1"
}

# field NAME JSON: the number of that name, the first
field() {
	sed -nE "s/.*\"$1\": ([0-9]+).*/\1/p" "$2" | head -n 1
}

# same PROGRAM SCENARIO: does it print, leave and return the same under wmap?
same() {
	local program=$programs/$1 name=$2 plain paged

	"$program" "$name" "$work/plain.file" >"$work/plain.out" \
		2>"$work/plain.err"
	plain=$?
	under_wmap "$work/paged" "$program" "$name" "$work/paged.file"
	paged=$?
	if [ $plain != $paged ]; then
		failed "$name: status $paged, plain $plain"
	elif ! diff "$work/plain.out" "$work/paged.out"; then
		failed "$name: it prints something else"
	elif [ -e "$work/plain.file" ] &&
		! cmp "$work/plain.file" "$work/paged.file"; then
		failed "$name: it leaves something else in the file"
	else
		echo "ok: $name"
		rm -f "$work"/p*.file
		return
	fi
	cat "$work/paged.err"
	rm -f "$work"/p*.file
}

# same_all PROGRAM: every scenario of it
same_all() {
	local name names

	names=$("$programs/$1" --list)
	expect "$1 has scenarios" test -n "$names"
	for name in $names; do
		same "$1" "$name"
	done
}

# A process that obeys: begin NAME ARGUMENT…, ask NAME COMMAND, end NAME
declare -A to from pid_of
begin() {
	local name=$1 in out

	shift
	mkfifo "$work/$name.in" "$work/$name.out"
	"$@" <"$work/$name.in" >"$work/$name.out" 2>>"$work/err" &
	pid_of[$name]=$!
	exec {in}>"$work/$name.in" {out}<"$work/$name.out"
	rm "$work/$name.in" "$work/$name.out"
	to[$name]=$in from[$name]=$out
	IFS= read -r -t 20 -u "$out" line
}

ask() {
	local line=

	echo "$2" >&"${to[$1]}"
	IFS= read -r -t 20 -u "${from[$1]}" line
	echo "$line"
}

end() {
	local in=${to[$1]} out=${from[$1]}

	# Others have inherited the other ends: closing them would not do.
	{ echo quit >&"$in"; } 2>/dev/null
	exec {in}>&- {out}<&-
	wait "${pid_of[$1]}"
}

# soon COMMAND…: it succeeds within 20 seconds
soon() {
	for _ in {1..400}; do
		"$@" && return
		sleep 0.05
	done
	return 1
}

# byte FILE N: by read(2), of nobody that wmapd knows
byte() {
	env -u LD_PRELOAD -u WMAP_SOCKET dd if="$1" bs=1 skip="$2" count=1 \
		2>"$work/dd" | od -An -tu1 | tr -d ' '
}

# byte_is FILE N VALUE
byte_is() {
	test "$(byte "$1" "$2")" = "$3"
}
