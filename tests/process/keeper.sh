#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The keeper: a wmapd that dies comes back with its descriptors; it ends with
# its last client; nothing is left. wmapd is played by programs/keeper_wmapd.
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

# A tree as it is installed, with the player as wmapd.
mkdir "$work/bin"
cp "$WMAP_BIN/wmap" "$work/bin/wmap"
cp "$programs/keeper_wmapd" "$work/bin/wmapd"
ln -s "$WMAP_LIB" "$work/lib"
keeper_wmap=$work/bin/wmap
player=$programs/keeper_wmapd
unset WMAP_ORPHAN WMAP_SOCKET LD_PRELOAD
address=@wmap-test-$$

ask() {
	timeout 20 "$player" ask "$address" "$1"
}

# start_keeper [ARGUMENT OF ENV…]: descriptor $lease is what holds it; its byte
start_keeper() {
	rm -f "$work/lease"
	mkfifo "$work/lease"
	# Open for both, so that neither side waits for the other.
	exec {both}<>"$work/lease" {lease}<"$work/lease"
	env "$@" "$keeper_wmap" keeper --socket "$address" \
		--ready-fd 9 9>"$work/lease" {both}>&- {lease}>&-
	expect "a keeper starts" test $? = 0
	exec {both}>&-
	byte=
	IFS= read -r -N 1 -t 20 -u "$lease" byte
}

# end_keeper PID…: nobody holds it any more, and these processes end
end_keeper() {
	exec {lease}>&-
	expect "... and ends" "$player" await "$@"
}

# nothing_left: every process of ours ends by itself
nothing_left() {
	local pids

	pids=$(grep -laF "$work/bin" /proc/[0-9]*/cmdline 2>/dev/null |
		cut -d / -f 3)
	# shellcheck disable=SC2086 # several
	expect "no process is left" "$player" await $pids
}

# ---- Restart ------------------------------------------------------------

# A limit that allows for little more than what is stored.
start_keeper prlimit --nofile=400:400
expect "one byte when wmapd is ready" test "$byte" = 1
wmapd=$(ask pid)
keeper=$(ask keeper)
expect "wmapd has nothing yet" test "$(ask list)" = got
expect "... and no option" test "$(ask option)" = none
expect "... and all the descriptors it may have" test "$(ask limit)" = raised
expect "the keeper has another name" \
	test "$(cat "/proc/$keeper/comm")" = wmap-keeper
expect "... in its command line, too" \
	test -z "$(tr '\0' ' ' <"/proc/$keeper/cmdline" | grep wmapd)"
ask "memfd b second" >/dev/null
ask "pipe p 12345" >/dev/null
ask "memfd a first" >/dev/null
ask "memfd b again" >/dev/null
expect "wmapd dies of a request" test "$(ask die)" = gone
begin=${EPOCHREALTIME/[.,]/}
expect "the next has all of it, in order" test "$(ask list)" = \
	"got b=second p=pipe:5 a=first b=again"
end=${EPOCHREALTIME/[.,]/}
echo "after $(((end - begin) / 1000)) ms"
expect "... soon" test $((end - begin)) -lt 1000000
expect "it is another process" test "$(ask pid)" != "$wmapd"
kill -KILL "$(ask pid)"
expect "... and so has the one after a kill" test "$(ask list)" = \
	"got b=second p=pipe:5 a=first b=again"

ask "remove b" >/dev/null
ask "memfd c last" >/dev/null
ask die >/dev/null
expect "all of one name are removed" test "$(ask list)" = \
	"got p=pipe:5 a=first c=last"
ask "remove listen" >/dev/null
ask die >/dev/null
expect "but not the listening socket" test "$(ask list)" = \
	"got p=pipe:5 a=first c=last"

"$player" forge "$(ask notify)" a </dev/null
ask die >/dev/null
expect "a stranger is not believed" test "$(ask list)" = \
	"got p=pipe:5 a=first c=last"

# What it had stored when it died counts, more than a queue holds.
ask "many 300" >/dev/null
expect "300 stored in its last moment" test "$(ask list)" = \
	"got p=pipe:5 a=first c=last$(for i in {0..299}; do
		printf ' s%d=s' "$i"
	done)"

expect "killed thirty times in a row" test "$(for i in {1..30}; do
	ask die
done | grep -c gone)" = 30
expect "... it is there" test "$(ask "remove none")" = "done"

# An end that nobody asked for: it is back when there is a client.
expect "an end" test "$(ask "exit 0")" = gone
expect "... and a beginning" test "$(ask "remove none")" = "done"
end_keeper "$keeper" "$(ask pid)"
expect "nobody listens" test "$(ask pid)" = refused
nothing_left

# ---- The end --------------------------------------------------------------

address=$work/socket
start_keeper
wmapd=$(ask pid)
keeper=$(ask keeper)
exec {client}< <(exec "$player" hold "$address" {lease}>&-)
read -r -u "$client" line
expect "a client" test "$line" = held
exec {lease}>&-
expect "its wmapd lives on" test "$(ask pid)" = "$wmapd"
expect "... and when it dies, another" test "$(ask die)" = gone
next=$(ask pid)
expect "... which is another" test "$next" != "$wmapd"
expect "... and has the client" test "$(ask list)" = got
kill "$!"
expect "without a client all ends" "$player" await "$keeper" "$next"
expect "no socket is left" test ! -e "$address"
exec {client}<&-
nothing_left

address=@wmap-test-$$
start_keeper
wmapd=$(ask pid)
keeper=$(ask keeper)
kill -INT "$keeper"
kill -HUP "$keeper"
expect "a terminal does not end it" test "$(ask pid)" = "$wmapd"
kill -TERM "$keeper"
end_keeper "$keeper" "$wmapd"

start_keeper
wmapd=$(ask pid)
kill -KILL "$(ask keeper)"
expect "a keeper that is killed takes an idle wmapd with it" \
	"$player" await "$wmapd"
exec {lease}>&-
nothing_left

# ---- Policies -------------------------------------------------------------

start_keeper WMAP_ORPHAN=sigbus
expect "sigbus: not at first" test "$(ask option)" = none
ask die >/dev/null
expect "... but to the next" test "$(ask option)" = --orphans=sigbus
end_keeper "$(ask keeper)" "$(ask pid)"

start_keeper WMAP_ORPHAN=freeze
keeper=$(ask keeper)
wmapd=$(ask pid)
exec {client}< <(exec "$player" hold "$address" {lease}>&-)
holder=$!
read -r -u "$client" line
kill -KILL "$wmapd"
"$player" await "$wmapd"
exec {lease}>&-
expect "freeze: its client waits on" kill -0 "$holder"
expect "... and the keeper with it" kill -0 "$keeper"
kill "$holder"
expect "... until it is gone" "$player" await "$keeper"
exec {client}<&-

start_keeper KEEPER_TEST_CRASH=7
expect "a wmapd that cannot start: no byte" test -z "$byte"
nothing_left
expect "... and nobody listens" test "$(ask pid)" = refused
exec {lease}>&-

WMAP_ORPHAN=never "$keeper_wmap" run -- touch "$work/ran" 2>"$work/err"
expect "a policy that there is not" test $? = 125
expect "... is told" grep -q "WMAP_ORPHAN=never: it is" "$work/err"
expect "... before the program starts" test ! -e "$work/ran"

# ---- wmap run -------------------------------------------------------------

# under_keeper SCRIPT: in a shell under wmap run; no file of it is mapped
under_keeper() {
	timeout -k 5 60 "$keeper_wmap" run --map /nonexistent -- \
		bash -c "$1" bash "$player" >"$work/out" 2>"$work/err"
}

under_keeper 'exit 3'
expect "wmap run has the program's status" test $? = 3
nothing_left
under_keeper '"$1" ask "$WMAP_SOCKET" "memfd x kept"
	"$1" ask "$WMAP_SOCKET" die
	"$1" ask "$WMAP_SOCKET" list; ulimit -n'
expect "the program has a wmapd that comes back" \
	test "$(head -n 3 "$work/out" | tr '\n' ' ')" = "done gone got x=kept "
expect "... and its own limits" \
	test "$(tail -n 1 "$work/out")" = "$(ulimit -n)"
nothing_left

KEEPER_TEST_CRASH=7 under_keeper '"$1" ask "$WMAP_SOCKET" pid; exit 4'
expect "a wmapd that cannot start" test $? = 4
expect "... leaves the program alone" \
	grep -qxE 'gone|refused' "$work/out"
expect "... and is told of once" test "$(grep -c "$work/bin/wmapd ends again \
and again (last with status 7)" "$work/err")" = 1
nothing_left

# A process in the background: wmap run returns, wmapd and a keeper stay.
mkfifo "$work/stop"
exec {stop}<>"$work/stop"
under_keeper 'exec 3<>'"$work/stop"'; coproc "$1" hold "$WMAP_SOCKET"
	read -r line <&${COPROC[0]}
	echo "$WMAP_SOCKET $COPROC_PID $("$1" ask "$WMAP_SOCKET" pid)"; exit 5'
expect "wmap run returns while a process is in the background" test $? = 5
read -r address holder wmapd <"$work/out"
expect "its wmapd is still there" test "$(ask pid)" = "$wmapd"
expect "... and when it dies another comes" test "$(ask die)" = gone
keeper=$(ask keeper)
wmapd=$(ask pid)
expect "... of a keeper that holds nothing of others" test -z \
	"$(readlink /proc/"$keeper"/fd/* | grep -F "$work")"
expect "... and has a name of its own" \
	test "$(cat "/proc/$keeper/comm")" = wmap-keeper
kill "$holder"
expect "with the process all ends" \
	"$player" await "$holder" "$keeper" "$wmapd"
exec {stop}>&-
nothing_left

# Signals go to the program as ever, however often wmapd dies.
mkfifo "$work/ready"
env --default-signal=INT "$keeper_wmap" run --map /nonexistent -- bash -c '
	trap "exit 9" TERM
	for i in 1 2 3; do "$1" ask "$WMAP_SOCKET" die; done >/dev/null
	echo ready >'"$work/ready"'; while :; do sleep 0.05; done' \
	bash "$player" 2>"$work/err" &
pid=$!
read -r line <"$work/ready"
kill -TERM $pid
wait $pid
expect "SIGTERM is passed on" test $? = 9
nothing_left
finish
