#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# wmap run --record, --replay; wmap recording
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

touch=$programs/touch
data=$work/data
tape=$work/recording
python3 -c "open('$data', 'wb').write(bytes(4096) * 2000)" || exit 77

# runs: those of the recording, in one line
runs() {
	"$wmap" recording --runs "$tape" | sed -n '/^ *[0-9]*: /s/.*: //p' |
		tr '\n' ' '
}

# recorded WHAT RUNS: is that what the recording has?
recorded() {
	local got

	got=$(runs)
	expect "$1: $2" test "$got" = "$2 "
	[ "$got" = "$2 " ] || echo "is: $got"
}

# resident PAGE…: what a run with the recording brings, in bytes
brings() {
	"$wmap" run --replay "$tape" --json "$work/json" -- \
		"$work/linger" "$@" >/dev/null 2>"$work/err" || cat "$work/err"
	field bytes_read "$work/json"
}

# listing: what is in the directory, but for messages
listing() {
	find "$work" -mindepth 1 -maxdepth 1 ! -name err \
		-printf '%f %s %T@\n' | sort
}

# refused TEXT OPTION…: nothing is run, the message has the text, and the rest of
# the directory is as it was
refused() {
	local text=$1 before

	shift
	before=$(listing)
	"$wmap" run "$@" -- touch "$work/ran" 2>"$work/err"
	expect "$*: status 125" test $? = 125
	expect "$*: $text" grep -qF -e "$text" "$work/err"
	expect "$*: nothing has changed" \
		test "$before" = "$(listing)"
}

# Touches pages of the file and waits a while, so that what is replayed comes.
cat >"$work/linger" <<END
#!/bin/sh
exec python3 -c '
import mmap, sys, time
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
for page in sys.argv[2:]:
    m[int(page) * 4096]
time.sleep(0.1)
' "$data" "\$@"
END
chmod +x "$work/linger"

# What is recorded: each page touched, in order, of all processes.
"$wmap" run --record "$tape" -- "$touch" "$data" 700 5 6 700 1999 >/dev/null \
	2>"$work/err"
expect "a run with --record" test $? = 0
recorded "a program" "700 5-6 1999"
"$wmap" recording "$tape" >"$work/out"
expect "the file is told" grep -qF "$data" "$work/out"
expect "and its pages" grep -qE '^ +0 +4 +3 +2000 ' "$work/out"
expect "no other file is left" test -z "$(ls -d "$tape"?* 2>/dev/null)"
rm "$tape"
"$wmap" run --record "$tape" -- sh -c "'$touch' '$data' 9; '$touch' -f '$data' 3 9 2
	'$touch' -k '$data' 800; exec '$touch' '$data' 9 1" >/dev/null 2>&1
recorded "a tree" "9 3 2 800 1"
WMAP_RECORD=$tape "$wmap" run -- "$touch" "$data" 1000 >/dev/null 2>&1
recorded "a second time, by the environment" "1000 9 3 2 800 1"
"$wmap" run --record "$tape" -- "$touch" -w "$data" 1001 >/dev/null 2>&1
recorded "what the program wrote itself" "1001"

# What is replayed.
expect "one page is brought with the other" test "$(brings 0)" = 8192
WMAP_REPLAY=$tape "$wmap" run --json "$work/json" -- "$work/linger" 0 \
	>/dev/null 2>&1
expect "by the environment, too" test "$(field bytes_read "$work/json")" = 8192
"$touch" "$data" 1 >/dev/null
mv "$data" "$data.moved"
cp -p "$data.moved" "$data"
expect "a copy with its time is the same file" test "$(brings 0)" = 8192
echo >>"$data"
expect "a file that has changed is left alone" test "$(brings 0)" = 4096
rm "$data"
mv "$data.moved" "$data"

# Both at once: what is touched anew comes first.
cp "$tape" "$work/older"
"$wmap" run --record "$tape" --replay "$work/older" -- "$work/linger" 3 1001 40 \
	>/dev/null 2>&1
recorded "recorded while replaying" "3 1001 40"

rm "$tape"
for pages in "7 8" "90"; do
	# shellcheck disable=SC2086 # several pages
	"$wmap" run --record "$tape" --replay "$tape" -- "$touch" "$data" $pages \
		>/dev/null 2>&1
done
recorded "both by one name" "90 7-8"

# A wmapd that is killed costs no recording.
rm "$tape"
"$wmap" run --record "$tape" -- sh -c "'$touch' '$data' 50
	kill -9 \$(pgrep -x -P \$PPID wmapd)
	'$touch' '$data' 60" >/dev/null 2>&1
recorded "with a wmapd that was killed" "50 60"

# Bad ones.
head -c 60 "$tape" >"$work/short"
echo 'dear diary' >"$work/diary"
: >"$work/empty"
python3 - "$tape" "$work" <<'END'
import sys
b = bytearray(open(sys.argv[1], 'rb').read())
open(sys.argv[2] + '/longer', 'wb').write(b + b'x')
b[8] = 2
open(sys.argv[2] + '/version', 'wb').write(b)
b[8] = 1
b[-1] ^= 1
open(sys.argv[2] + '/bit', 'wb').write(b)
END
mkdir "$work/directory"
for option in --record --replay; do
	refused "it is cut off" $option "$work/short"
	refused "it is no recording" $option "$work/diary"
	refused "it is no recording" $option "$work/empty"
	refused "something follows it" $option "$work/longer"
	refused "of another version" $option "$work/version"
	refused "its checksum is wrong" $option "$work/bit"
	refused "Is a directory" $option "$work/directory"
	refused "No such file or directory" $option "$work/missing/recording"
	refused "it is no regular file" $option /dev/null
	refused "the name is empty" $option ''
	"$wmap" run $option 2>"$work/err"
	expect "$option: its value is missing" \
		grep -qF -e "$option: its value is missing" "$work/err"
done
refused "No such file or directory" --replay "$work/missing"
if [ "$(id -u)" = 0 ]; then
	unread="setpriv --reuid 65534 --clear-groups"
	chmod 755 "$work"
	cp "$tape" "$work/secret"
	chmod 600 "$work/secret"
	$unread env TMPDIR=/tmp "$wmap" run --replay "$work/secret" -- true \
		2>"$work/err"
	expect "unreadable" grep -qE "Permission denied|userfaultfd" "$work/err"
	$unread env TMPDIR=/tmp "$wmap" run --record "$work/new" -- true \
		2>"$work/err"
	expect "unwritable" grep -qE "Permission denied|userfaultfd" "$work/err"
fi
"$wmap" recording "$work/diary" 2>"$work/err"
expect "recording of none: status 1" test $? = 1
expect "recording of none" grep -qF "diary: it is no recording" "$work/err"
"$wmap" recording 2>"$work/err"
expect "recording: usage" grep -qF "usage: wmap recording" "$work/err"

# A full disk: the old recording stays, and the program's status becomes ours.
if [ "$(id -u)" = 0 ] && mkdir "$work/small" &&
	mount -t tmpfs -o size=8k none "$work/small" 2>/dev/null; then
	cp "$tape" "$work/small/recording"
	head -c 8192 /dev/zero >"$work/small/full" 2>/dev/null
	"$wmap" run --record "$work/small/recording" -- "$touch" "$data" 7 \
		>/dev/null 2>"$work/err"
	expect "a full disk: status 125" test $? = 125
	expect "a full disk" grep -qF "No space left" "$work/err"
	expect "what was there stays" cmp "$tape" "$work/small/recording"
	umount "$work/small"
fi

finish
