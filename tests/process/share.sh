#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs that know nothing of each other and map one file: what one stores the
# others have at once, in memory used once; who is killed loses nothing; who may
# not write cannot; nothing is left
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

# All of it happens under one wmapd, in this script again.
if [ "${1-}" != inside ]; then
	chmod 711 "$work" "$TMPDIR" # for other users
	timeout -k 5 200 "$wmap" run -- bash "$0" inside
	exit
fi

share=$programs/share
file=$work/file
chmod 711 "$work"
pages=4096
trap '' PIPE # who is told to end may be dead
ulimit -c 0

new_file() {
	rm -f "$file"
	head -c $((pages * 4096)) /dev/zero | tr '\0' '\7' >"$file"
}

wmapd=$(pgrep -x -P "$PPID" wmapd)
expect "there is a wmapd" test -n "$wmapd"

descriptors() {
	ls "/proc/$wmapd/fd" | wc -l
}

memory() { # of its memfds, KiB, as the kernel counts them
	find "/proc/$wmapd/fd/" -lname '*memfd:wmap *' \
		-exec stat -Lc '%i %b' {} + | sort -u |
		awk '{ n += $2 } END { print int(n / 2) }'
}

# ---- Stores and memory ----------------------------------------------------------

new_file
"$wmap" ps >/dev/null # who answers has opened what is his
before=$(descriptors)
begin a "$share" "$file"
begin b "$share" "$file"
expect "a loads" test "$(ask a 'load 5000')" = 7
ask a 'store 5000 42' >/dev/null
expect "b has what a stored" test "$(ask b 'load 5000')" = 42
ask b 'store 5001 43' >/dev/null
expect "a has what b stored" test "$(ask a 'load 5001')" = 43
sums=$(ask a sum)
one=$(memory)
expect "both have the same bytes" test "$sums" = "$(ask b sum)"
two=$(memory)
expect "in memory used once ($one KiB, $two with both)" \
	test "$one" -ge $((pages * 4)) -a "$one" -lt $((pages * 6)) \
	-a "$two" = "$one"
begin c "$share" "$file" read-only
expect "a reader beside them" test "$(ask c 'load 5001')" = 43
begin d "$share" "$file" private
ask b 'store 6000 44' >/dev/null
expect "... sees a store" test "$(ask c 'load 6000')" = 44
expect "a private one, too" test "$(ask d 'load 6000')" = 44
ask d 'store 6000 45' >/dev/null
expect "... and its own is its own" \
	test "$(ask c 'load 6000') $(ask d 'load 6000')" = "44 45"

# ---- System calls of others ------------------------------------------------------

ask a 'store 7000 46' >/dev/null
expect "read(2) elsewhere" test \
	"$(dd if="$file" bs=1 skip=7000 count=1 2>/dev/null | od -An -tu1)" -eq 46
printf '\60' | dd of="$file" bs=1 seek=8000 conv=notrunc 2>/dev/null
expect "write(2) elsewhere" test "$(ask b 'load 8000')" = 48
ask a "store $((pages * 4096 - 1)) 49" >/dev/null
truncate -s $(((pages - 1) * 4096 + 1000)) "$file"
truncate -s $((pages * 4096)) "$file"
expect "truncate(2) elsewhere" \
	test "$(ask b "load $((pages * 4096 - 1))")" = 0
for name in a b c d; do end $name; done
expect "all is in the file" byte_is "$file" 5000 42

# ---- Death -----------------------------------------------------------------------

new_file
begin a "$share" "$file"
ask a 'fill 9' >/dev/null
kill -KILL "${pid_of[a]}"
end a 2>/dev/null
expect "killed: its stores are in the file" soon byte_is "$file" 70000 9
expect "... the last, too" soon byte_is "$file" $((pages * 4096 - 1)) 9
begin a "$share" "$file"
begin b "$share" "$file"
ask a 'store 4 50' >/dev/null
ask b 'store 5 51' >/dev/null
ask a abort >/dev/null
end a 2>/dev/null
expect "aborted: as well" soon byte_is "$file" 4 50
expect "... and the other goes on" test "$(ask b 'load 4')" = 50
end b

# ---- Children without handlers ----------------------------------------------------

new_file
begin a "$share" "$file"
expect "a raw clone: SIGSEGV, and its parent is well" \
	test "$(ask a 'raw 9000')" = "SEGV 7"
expect "... where it was there before, too" \
	test "$(ask a 'raw 9000')" = "SEGV 7"
expect "... and others have no zeros" test "$(ask a sum)" = "$(
	"$share" "$file" <<<sum | tail -n 1)"
begin p "$share" "$file" private
expect "in private memory the same" test "$(ask p 'raw 9000')" = "SEGV 7"
end p
kept=$(ask a keep)
ask a 'store 12 52' >/dev/null
kill -KILL "${pid_of[a]}"
end a 2>/dev/null
expect "killed while such a child lives: stores are in the file" \
	soon byte_is "$file" 12 52
kill -KILL "$kept"

# ---- Other users --------------------------------------------------------------------

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if [ "$(id -u)" = 0 ] && "${nobody[@]}" true; then
	new_file
	chmod 644 "$file"
	begin a "$share" "$file"
	ask a 'store 0 60' >/dev/null
	begin n "${nobody[@]}" "$share" "$file" read-only
	expect "another user reads" test "$(ask n 'load 0')" = 60
	ask a 'store 1 61' >/dev/null
	expect "... what is stored" test "$(ask n 'load 1')" = 61
	expect "... and cannot change it" test "$(ask n attack)" = harmless
	expect "... indeed" test "$(ask a 'load 0')" = 60
	expect "an agent serves in another user's process, too" \
		test "$("$wmap" ps --json | grep -c '"uid": 65534.*"serves"')" = 1
	end n
	expect "nobody cannot map for writing" test -z "$(
		"${nobody[@]}" "$share" "$file" </dev/null 2>/dev/null)"
	end a
	chmod 666 "$file"
	begin a "$share" "$file"
	begin n "${nobody[@]}" "$share" "$file"
	ask n 'store 2 62' >/dev/null
	expect "who may write shares as ever" test "$(ask a 'load 2')" = 62
	end n
	end a
else
	echo "skipped: another user takes root"
fi

# ---- Nothing is left -----------------------------------------------------------------

is_as_before() {
	test "$(descriptors)" -le "$before"
}

expect "wmapd's descriptors are as before" soon is_as_before
for i in {1..50}; do
	for k in 1 2 3 4; do
		echo "store $i $k" | "$share" "$file" >/dev/null &
	done
	wait
done
expect "... after 200 processes, too ($before)" soon is_as_before ||
	ls -l "/proc/$wmapd/fd"
expect "... and its memory" test "$(memory)" -eq 0
finish
