#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# wmapd by itself: options, readiness, socket activation, the units
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

wmapd=$WMAP_BIN/wmapd
unset WMAP_SOCKET LD_PRELOAD
preload=$WMAP_LIB/libwmap-preload.so
head -c 65536 /dev/zero >"$work/file"

# says STATUS TEXT ARGUMENT…: wmapd ends so, and its message has TEXT in it
says() {
	local status=$1 text=$2 got

	shift 2
	timeout 20 "$wmapd" "$@" >"$work/out" 2>&1 </dev/null
	got=$?
	expect "wmapd $*: status $status" test $got = "$status"
	expect "... '$text'" grep -qF -e "$text" "$work/out"
}

says 0 "--ready-fd N" --help
says 0 "wmapd 0." --version
says 2 "not an open descriptor" --ready-fd 77
says 2 "not an open descriptor" --ready-fd x
says 2 "--help tells" --nonsense
says 2 "no argument is expected" argument
for memory in 0 -1 12Q 100K 99999999T ""; do
	WMAP_MEMORY=$memory says 1 "WMAP_MEMORY=$memory: not a size" \
		--socket "@wmap-test-$$"
done
says 1 "neither a path" --socket "@wmap-test-$$" --metrics 0.0.0.0:80

# ---- At a path ----------------------------------------------------------------

"$wmapd" --socket "$work/socket" --ready-fd 7 7> >(cat >"$work/ready") &
server=$!
expect "ready: one byte, and the descriptor closed" \
	soon grep -qsx 1 "$work/ready"
expect "... and it listens" test -S "$work/socket"
says 1 "ddress already in use" --socket "$work/socket"
LD_PRELOAD=$preload WMAP_SOCKET=$work/socket \
	"$programs/touch" -w "$work/file" 3
expect "it serves" byte_is "$work/file" 12288 119
kill "$server"
wait "$server"
expect "SIGTERM ends it" test $? = 0
expect "... and its path is gone" test ! -e "$work/socket"

# ---- Killed, and replaced ------------------------------------------------------

# pager: the wmapd that $server keeps
pager() { pgrep -x -P "$server" wmapd; }

# another PID: there is one, and it is not this one
another() { test -n "$(pager)" && test "$(pager)" != "$1"; }

# metric NAME
metric() {
	curl -sf --unix-socket "$work/metrics" http://wmap/metrics |
		sed -n "s/^$1 //p"
}

says 1 "no wmapd listens there" --replace --socket "$work/socket"
"$wmapd" --socket "$work/socket" --metrics "$work/metrics" --ready-fd 7 \
	7> >(cat >"$work/ready2") &
server=$!
soon grep -qsx 1 "$work/ready2"
mkfifo "$work/hold"
LD_PRELOAD=$preload WMAP_SOCKET=$work/socket \
	"$programs/hold" "$work/file" 4 <"$work/hold" >"$work/held" &
holder=$!
exec 8>"$work/hold"
expect "a client has something mapped" soon grep -qsx ready "$work/held"
LD_PRELOAD=$preload WMAP_SOCKET=$work/socket "$programs/touch" "$work/file" 3
before=$(for name in processes faults fills read_bytes; do
	metric "wmap_${name}_total"
done)
was=$(pager)
timeout 20 "$wmapd" --replace --socket "$work/socket"
expect "--replace is content" test $? = 0
expect "... and another wmapd is there" another "$was"
expect "... which counts on" test "$before" = \
	"$(for name in processes faults fills read_bytes; do
		metric "wmap_${name}_total"
	done)"
"$wmap" ps --socket "$work/socket" >"$work/ps"
expect "... with the client of the one before" \
	grep -qE "^ +$holder hold +1 " "$work/ps"
was=$(pager)
kill -9 "$was"
expect "kill -9: another one is there" soon another "$was"
exec 8>&-
wait "$holder"
expect "the client ends well" test $? = 0
expect "... and what it stored before is in the file" byte_is "$work/file" 1 119
kill "$server"
wait "$server"
expect "SIGTERM to the keeper ends all of it" test $? = 0

# ---- What is clean stays so --------------------------------------------------

written() {
	stat -c %Y "$work/file"
}

address=@wmap-test-clean-$$
"$wmapd" --socket "$address" --ready-fd 7 7> >(cat >"$work/ready4") &
server=$!
soon grep -qsx 1 "$work/ready4"
head -c 262144 /dev/zero | tr '\0' '\7' >"$work/file"
touch -d @1000000000 "$work/file"
begin a env LD_PRELOAD="$preload" WMAP_SOCKET="$address" \
	"$programs/share" "$work/file"
ask a sum >/dev/null
was=$(pager)
timeout 20 "$wmapd" --replace --socket "$address"
expect "another wmapd is there" another "$was"
expect "what is loaded is there" test "$(ask a 'load 8192')" = 7
expect "a sync has nothing to write" test "$(ask a sync) $(written)" = \
	"0 1000000000"
ask a 'store 8192 42' >/dev/null
ask a 'store 4096 43' >/dev/null
ask a sync >/dev/null
expect "what is stored then is written" test "$(byte "$work/file" 8192)" = 42
ask a 'store 8193 44' >/dev/null
was=$(pager)
timeout 20 "$wmapd" --replace --socket "$address"
ask a 'store 12288 45' >/dev/null
expect "what was stored before the next one, too" \
	test "$(ask a sync) $(byte "$work/file" 8193)" = "0 44"
expect "... and behind it" test "$(byte "$work/file" 12288)" = 45
was=$(pager)
ask a 'store 16384 46' >/dev/null
kill -9 "$was"
expect "kill -9: nothing that was told before counts" \
	test "$(ask a sync) $(byte "$work/file" 16384)" = "0 46"
end a
kill "$server"
wait "$server"
"$wmapd" --alone --socket "@wmap-test-alone-$$" --ready-fd 7 \
	7> >(cat >"$work/ready3") &
server=$!
soon grep -qsx 1 "$work/ready3"
says 1 "no keeper" --replace --socket "@wmap-test-alone-$$"
kill "$server"
wait "$server"

# ---- One after the other -----------------------------------------------------------

# A socket outlives its process for a moment.
for name in "@wmap-test-next-$$" "$work/next"; do
	for signal in TERM KILL TERM KILL; do
		"$wmapd" --alone --socket "$name" --ready-fd 7 \
			7> >(cat >"$work/ready6") &
		server=$!
		expect "wmapd at $name comes after another" \
			soon grep -qsx 1 "$work/ready6"
		kill -$signal "$server"
		wait "$server"
		rm -f "$work/ready6"
	done
done

# ... and cannot be connected to in the end, as who does not listen yet.
"$programs/bind" "@wmap-test-next-$$" 300 >"$work/bound" &
holder=$!
soon grep -qsx bound "$work/bound"
"$wmapd" --alone --socket "@wmap-test-next-$$" --ready-fd 7 \
	7> >(cat >"$work/ready6") &
server=$!
expect "wmapd comes after one that does not listen" \
	soon grep -qsx 1 "$work/ready6"
wait "$holder"
kill "$server"
wait "$server"
rm -f "$work/ready6"

# Of two that find a path where nobody listens one listens there, and the other ends.
for round in 1 2 3 4 5; do
	"$programs/bind" "$work/stale" 0 >"$work/bound"
	servers=()
	for _ in 1 2; do
		"$wmapd" --alone --socket "$work/stale" 2>>"$work/stale.err" &
		servers+=($!)
	done
	wait -n "${servers[@]}"
	expect "one of two that come at once ends" test $? = 1
	expect "... and says why" test "$(grep -c "another wmapd listens there" \
		"$work/stale.err")" = $round
	"$wmap" ps --socket "$work/stale" >"$work/ps"
	expect "... the other one serves" grep -q "^wmapd " "$work/ps"
	kill "${servers[@]}" 2>"$work/err"
	wait "${servers[@]}"
done

# ---- What is counted -----------------------------------------------------------------

# garbage SIZE: its counts are anything
garbage() {
	(
		exec 3<"$work/garbage"
		export LISTEN_FDS=1 LISTEN_FDNAMES=counts
		LISTEN_PID=$BASHPID exec "$wmapd" \
			--socket "@wmap-test-garbage-$$" --ready-fd 7 \
			7> >(cat >"$work/ready5") 2>"$work/err"
	) &
	server=$!
	soon grep -qsx 1 "$work/ready5"
	expect "counts of $1 bytes of garbage are not believed" \
		grep -q "what was counted before cannot be read" "$work/err"
	expect "... and nobody minds" grep -q ": no process" \
		<("$wmap" ps --socket "@wmap-test-garbage-$$")
	kill "$server"
	wait "$server"
	rm "$work/ready5"
}

for size in 0 7 64 100000; do
	head -c "$size" /dev/urandom >"$work/garbage"
	garbage "$size"
done
printf 'wmapcnt1' >"$work/garbage"
head -c 100000 /dev/zero | tr '\0' '\377' >>"$work/garbage"
garbage 100008

# ---- As systemd starts it ---------------------------------------------------------

"$programs/activate" "$work/activated" "$wmapd" >"$work/notified" &
server=$!
expect "READY=1 is said" soon grep -q READY=1 "$work/notified"
expect "memory is given to be kept" grep -q FDSTORE=1 "$work/notified"
expect "it listens where it was told" grep -q "at $work/activated: no process" \
	<("$wmap" ps --socket "$work/activated")
LD_PRELOAD=$preload WMAP_SOCKET=$work/activated \
	"$programs/touch" -w "$work/file" 5
expect "it serves" byte_is "$work/file" 20480 119
kill "$server"
wait "$server"
expect "SIGTERM ends it" test $? = 0
expect "a path that is systemd's stays" test -S "$work/activated"

# ---- The units -----------------------------------------------------------------------

for who in system user; do
	units=$work/units-$who
	mkdir "$units"
	cp "$WMAP_BUILD/obj/systemd/$who"/* "$units"
	expect "the $who's units start wmapd" \
		grep -qE '^ExecStart=/.*/wmapd$' "$units/wmapd.service"
	expect "... and let it give up system calls" \
		grep -qE '^SystemCallFilter=.* seccomp' "$units/wmapd.service"
	sed -i "s|^ExecStart=.*|ExecStart=$wmapd|" "$units/wmapd.service"
	if command -v systemd-analyze >/dev/null; then
		XDG_RUNTIME_DIR=$work systemd-analyze verify --man=no --$who \
			"$units"/wmapd.{service,socket} >"$work/out" 2>&1
		expect "systemd-analyze verifies the $who's" test $? = 0
		expect "... with nothing to say" test -z \
			"$(grep -F "$units" "$work/out")"
	fi
done
finish
