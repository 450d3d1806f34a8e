#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# wmapd and its keeper are killed together, or wmapd that has none: its clients
# find another one, or start it, and hand over what they have. Nothing that was
# stored is lost, nobody sleeps for ever, and one serves all of them.
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

share=$programs/share
file=$work/file
other=$work/other
preload=$WMAP_LIB/libwmap-preload.so
unset WMAP_ORPHAN WMAP_SOCKET
trap '' PIPE # who is told to end may be dead

new_file() {
	head -c $((64 * 4096)) /dev/zero | tr '\0' '\7' >"$1"
}

# client NAME FILE…: a process under the wmapd at $address
client() {
	local name=$1

	shift
	begin "$name" env LD_PRELOAD="$preload" WMAP_SOCKET="$address" \
		WMAP_MAP="$work/*" "$share" "$@"
}

# wmapds: the processes that serve $address, and their keepers
wmapds() {
	"$wmap" ps --socket "$address" 2>"$work/ps" |
		sed -nE 's/^wmapd ([0-9]+) at.*/\1/p'
}

one_wmapd() {
	local pagers

	pagers=$(wmapds)
	test "$(wc -w <<<"$pagers")" = 1 && return
	echo "there are: $pagers"
	cat "$work/ps"
	return 1
}

parent_of() {
	sed -nE 's/^PPid:\s*//p' "/proc/$1/status"
}

is_dead() {
	! kill -0 "$1" 2>/dev/null ||
		grep -q '^State:\s*[ZX]' "/proc/$1/status" 2>/dev/null
}

# kill_all: wmapd and its keeper
kill_all() {
	local pager keeper

	pager=$(wmapds)
	keeper=$(parent_of "$pager")
	test "$keeper" = $$ && keeper= # of an --alone
	# shellcheck disable=SC2086 # perhaps none
	kill -KILL $keeper "$pager"
}

start() { # OPTION…
	rm -f "$work/ready"
	mkfifo "$work/ready"
	"$WMAP_BIN/wmapd" --socket "$address" --ready-fd 9 "$@" \
		9>"$work/ready" 2>"$work/wmapd.err" &
	first=$!
	read -r -n 1 -t 20 <"$work/ready"
}

# ---- Without a keeper ---------------------------------------------------------------

address=@wmap-rescue-$$
new_file "$file"
new_file "$other"
start --alone
client a "$file"
client b "$file"
client c "$other"
ask a 'store 5 42' >/dev/null
ask b 'store 4096 43' >/dev/null
ask c 'store 5 44' >/dev/null
expect "one wmapd" test "$(wmapds)" = "$first"
kill -KILL "$first"
begin=${EPOCHREALTIME/[.,]/}
expect "a page that nobody has yet is brought" \
	test "$(ask a 'load 40960')" = 7
end=${EPOCHREALTIME/[.,]/}
echo "after $(((end - begin) / 1000)) ms"
expect "b has what a stored" test "$(ask b 'load 5')" = 42
ask b 'store 6 45' >/dev/null
expect "a has what b stores" test "$(ask a 'load 6')" = 45
expect "c goes on" test "$(ask c 'load 81920')" = 7
expect "one wmapd serves them" one_wmapd
second=$(wmapds)
expect "... another one" test "$second" != "$first"
ask a sync >/dev/null
expect "what a stored is in the file" byte_is "$file" 5 42
expect "... and what b stored" byte_is "$file" 4096 43
client d "$file"
expect "who comes later has it, too" test "$(ask d 'load 6')" = 45
kill -KILL "${pid_of[b]}"
expect "who is killed loses nothing" soon byte_is "$file" 6 45

# With its keeper, which is a process of nobody's now.
keeper=$(parent_of "$second")
ask a 'store 7 46' >/dev/null
kill_all
expect "a second time" test "$(ask a 'load 45056')" = 7
expect "... for d" test "$(ask d 'load 7')" = 46
third=$(wmapds)
keeper=$(parent_of "$third")
ask c 'store 9 47' >/dev/null
kill -KILL "$third"
expect "its keeper has it all" test "$(ask c 'load 49152')" = 7
for name in a c d; do
	end "$name"
done
expect "all is in the files" byte_is "$file" 7 46
expect "... of all" byte_is "$other" 9 47
expect "the keeper ends with the last" soon is_dead "$keeper"
expect "nobody listens" test -z "$(wmapds)"

# ---- What could not be had ---------------------------------------------------------

# heals_after KILLER: a page that is past the end of the file when wmapd dies is
# tried again by its successor
heals_after() {
	new_file "$file"
	start "${@:2}"
	client e "$file"
	client g "$file"
	truncate -s 131072 "$file"
	expect "past the end is SIGBUS" test "$(ask e 'try 200704')" = SIGBUS
	ask g 'try 131072' >/dev/null
	expect "$1 is killed" "$1"
	expect "it is served" test "$(ask e 'load 4096')" = 7
	expect "it is SIGBUS still" test "$(ask e 'try 200704')" = SIGBUS
	new_file "$file"
	expect "it heals" soon tries e 200704 7
	expect "... for others" soon tries g 131072 7
	expect "... also where nobody had touched it" \
		test "$(ask g 'try 200704')" = 7
	for name in e g; do
		end "$name"
	done
	kill "$first" 2>/dev/null # the keeper, if it has one
	expect "nobody listens" soon nobody_listens
}

tries() {
	test "$(ask "$1" "try $2")" = "$3"
}

nobody_listens() {
	test -z "$(wmapds)"
}

kill_pager() {
	kill -KILL "$(wmapds)"
}

address=@wmap-errors-$$
heals_after kill_pager
heals_after kill_all --alone

# ---- Many at once ------------------------------------------------------------------

# A path, which wmapd leaves behind; twelve who find it so.
address=$work/socket
new_file "$file"
start --alone
for i in {1..12}; do
	client "m$i" "$file"
	ask "m$i" "store $((i * 4096)) $i" >/dev/null
done
for round in 1 2 3; do
	kill_all
	bad=0
	for i in {1..12}; do # a page that nobody has had yet, and others
		test "$(ask "m$i" "load $(((round * 12 + i) * 4096))")" = 7 ||
			bad=$((bad + 1))
		test "$(ask "m$i" "load $((i % 12 * 4096 + 4096))")" = \
			$((i % 12 + 1)) || bad=$((bad + 1))
		ask "m$i" "store $((i * 4096 + round)) $i" >/dev/null
		test "$(ask "m$((i % 12 + 1))" "load $((i * 4096 + round))")" \
			= "$i" || bad=$((bad + 1))
	done
	expect "round $round: each has what the others store" test $bad = 0
	expect "... by one wmapd" one_wmapd
done
pager=$(wmapds)
for i in {1..12}; do
	end "m$i"
done
bad=0
for i in {1..12}; do
	for round in 1 2 3; do
		byte_is "$file" $((i * 4096 + round)) "$i" || bad=$((bad + 1))
	done
done
expect "all is in the file" test $bad = 0
expect "wmapd ends with the last" soon is_dead "$pager"
expect "no socket is left" soon test ! -e "$address"

# ---- What WMAP_ORPHAN says ---------------------------------------------------------------

address=@wmap-policies-$$
export WMAP_ORPHAN=sigbus
new_file "$file"
start --alone
client s "$file"
ask s 'store 1 61' >/dev/null
ask s 'load 8192' >/dev/null
kill_all
expect "sigbus: what is in memory is there" test "$(ask s 'load 1')" = 61
ask s 'load 40960' >/dev/null
wait "${pid_of[s]}"
expect "... and the rest is SIGBUS" test $? = $((128 + 7))
expect "... and nobody serves" test -z "$(wmapds)"

export WMAP_ORPHAN=freeze
start --alone
client f "$file"
ask f 'load 1' >/dev/null
kill_all
echo 'load 40960' >&"${to[f]}"
expect "freeze: it waits" bash -c '! IFS= read -r -t 1 -u "$1"' bash \
	"${from[f]}"
expect "... and nobody serves" test -z "$(wmapds)"
kill -TERM "${pid_of[f]}"
wait "${pid_of[f]}"
expect "... and can be ended" test $? = $((128 + 15))
unset WMAP_ORPHAN

finish
