#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# wmap ps, top and info; wmapd's metrics
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

wmapd=$WMAP_BIN/wmapd
address=@wmap-test-$$
unset WMAP_SOCKET XDG_RUNTIME_DIR LD_PRELOAD
preload=$WMAP_LIB/libwmap-preload.so

# refused TEXT ARGUMENT…: wmap says TEXT, in one line, and ends with 125
refused() {
	local text=$1 status

	shift
	"$wmap" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	expect "wmap $*: 125" test $status = 125
	expect "... '$text'" grep -qF -e "$text" "$work/err"
	expect "... and no more" \
		test "$(head -n 1 "$work/err" | grep -c .) $(wc -c <"$work/out")" = "1 0"
}

# start_hold NAME PAGES: $pid; ends when descriptor $stop is closed
start_hold() {
	mkfifo "$work/$1.in" "$work/$1.out"
	exec {stop}<>"$work/$1.in"
	LD_PRELOAD=$preload WMAP_SOCKET=$address "$programs/hold" \
		"$work/file" "$2" <"$work/$1.in" >"$work/$1.out" \
		{stop}>&- &
	pid=$!
	read -r line <"$work/$1.out"
	expect "$1 is ready" test "$line" = ready
}

# numbers NAME: of each process
numbers() {
	"$wmap" ps --socket "$address" --json |
		sed -nE "/\"uid\"/s/.*\"$1\": ([0-9]+).*/\1/p" | sort -n |
		tr '\n' ' '
}

# metric NAME
metric() {
	curl -sf --unix-socket "$work/metrics" http://wmap/metrics |
		sed -n "s/^$1 //p"
}

head -c 65536 /dev/zero >"$work/file"
WMAP_MEMORY=16M "$wmapd" --alone --socket "$address" --metrics "$work/metrics" --ready-fd 3 \
	3>"$work/ready" &
server=$!
for _ in $(seq 500); do
	test -s "$work/ready" && break
	sleep 0.02
done
expect "--ready-fd gets one byte" test "$(cat "$work/ready")" = 1
expect "nobody yet" grep -q "^wmapd $server at $address: no process" \
	<("$wmap" ps --socket "$address")

# ---- Two processes on one file ----------------------------------------------

start_hold first 10
first=$pid first_stop=$stop
start_hold second 5
second=$pid second_stop=$stop
expect "both are told" \
	test "$(numbers pid)" = "$(printf '%s\n' "$first" "$second" | sort -n |
		tr '\n' ' ')"
expect "what each has loaded" test "$(numbers loaded_pages)" = "5 10 "
expect "... of how much" test "$(numbers total_pages)" = "16 16 "
expect "what is in memory for both" test "$(numbers resident_pages)" = "10 10 "
expect "... is there once" test "$(numbers charged_pages)" = "0 10 "
expect "a store is dirty for both" test "$(numbers dirty_pages)" = "1 1 "

"$wmap" ps -m --socket "$address" >"$work/ps"
expect "a line for each" test "$(grep -cE "^ +($first|$second) hold " \
	"$work/ps")" = 2
expect "... in sizes for people" grep -qE \
	"^ +$first hold +1 +40.0 KiB +4.0 KiB +64.0 KiB +1[0-9] " "$work/ps"
expect "... with its mapping" test "$(grep -c " rw-s .*$work/file$" \
	"$work/ps")" = 2
expect "how much of the budget is used" grep -qE \
	"^wmapd $server at $address, [0-9.]+ [KM]iB of 16.0 MiB used$" "$work/ps"
expect "the share of each" test "$(numbers memory_share)" = "6291456 6291456 "
expect "pages are paid for once" test "$(numbers memory_own)" = "0 40960 "
expect "without -m no mapping" test -z "$("$wmap" ps --socket "$address" |
	grep "$work")"
WMAP_SOCKET=$address "$wmap" info "$first" >"$work/info"
expect "info tells of one" grep -q "^process    $first (hold) of user $UID" \
	"$work/info"
expect "... its memory" grep -q "^loaded     40.0 KiB of 64.0 KiB" "$work/info"
expect "... its share, of two" grep -qE \
	"^budget     .* used, share 6.0 MiB of 16.0 MiB$" "$work/info"
expect "... and its mappings" grep -qF "$work/file" "$work/info"
expect "... and not of others" test "$(grep -c "^process" "$work/info")" = 1
expect "its JSON is JSON" python3 -c \
	'import json, sys; json.load(open(sys.argv[1]))' \
	<("$wmap" info --json --socket "$address" "$first")

# ---- Who may ask what ----------------------------------------------------------

refused "no wmapd serves process $$" info --socket "$address" $$
refused "@wmap-none-$$: no wmapd listens there" ps --socket @wmap-none-$$
refused "no wmapd listens there" ps --socket "$work/none"
refused "not a process's number" info 12x
refused "not a process's number" info 0
refused "of one process" info
refused "no argument is expected" ps 1
refused "no such option" ps --jason
refused "no address" ps --socket ''
refused "this is no terminal" top --socket "$address"
refused "not a number of seconds" top --interval 0
if [ "$UID" = 0 ] && setpriv --reuid 65534 --clear-groups test -x "$wmap"; then
	nobody() { setpriv --reuid 65534 --clear-groups "$wmap" "$@"; }

	expect "another user sees nobody of ours" grep -q ": no process" \
		<(nobody ps --socket "$address")
	expect "... and is told so of one" grep -qx \
		"wmap: process $first is another user's" \
		<(nobody info --socket "$address" "$first" 2>&1)
fi

# ---- Metrics ---------------------------------------------------------------------

if command -v curl >/dev/null; then
	expect "processes" test "$(metric wmap_processes)" = 2
	expect "memory, once" test "$(metric wmap_resident_bytes)" = 40960
	expect "the budget" test "$(metric wmap_memory_limit_bytes)" = 16777216
	expect "... and its use" test "$(metric wmap_memory_bytes)" -ge 40960
	expect "nobody is above his share" \
		test "$(metric wmap_processes_above_share)" = 0
	faults=$(metric wmap_faults_total)
	expect "faults" test "$faults" -ge 16
	expect "the histogram counts them all" test "$faults" = \
		"$(metric wmap_fault_latency_seconds_count)"
	expect "... up to the last bucket" test "$faults" = \
		"$(metric 'wmap_fault_latency_seconds_bucket{le="+Inf"}')"
	expect "its buckets only rise" sort -nc <(curl -s --unix-socket \
		"$work/metrics" http://wmap/metrics | sed -nE 's/.*le=.* //p')
	expect "each has HELP and TYPE" test -z "$(curl -s --unix-socket \
		"$work/metrics" http://wmap/metrics | awk '
		/^# HELP/ { help[$3] = 1; next }
		/^# TYPE/ { type[$3] = 1; next }
		{ sub(/[{ ].*/, ""); name = $0
		  sub(/_(bucket|sum|count)$/, "")
		  if (!((name in help && name in type) ||
			($0 in help && $0 in type))) print name }')"
	expect "nothing else is served" test 404,405 = "$(curl -s -o /dev/null \
		-w '%{http_code},' --unix-socket "$work/metrics" \
		http://wmap/)$(curl -s -o /dev/null -X POST -w '%{http_code}' \
		--unix-socket "$work/metrics" http://wmap/metrics)"
	expect "the path is its user's" test \
		"$(stat -c %a "$work/metrics")" = 600
fi
for where in 0.0.0.0:9999 10.0.0.1:9999 '[::]:9999' '[::2]:9999' \
	localhost:9999 127.0.0.1:0 127.0.0.1:99999 127.0.0.1 nowhere ''; do
	timeout 20 "$wmapd" --alone --socket "@wmap-test-other-$$" \
		--metrics "$where" 2>"$work/err"
	expect "--metrics '$where' is refused" test $? = 1
	expect "... and why" grep -q "neither a path nor 127.0.0.1:PORT" \
		"$work/err"
done

# ---- top ---------------------------------------------------------------------------

# in_terminal SCRIPT: what it writes
in_terminal() {
	timeout 20 script -qec "$1" /dev/null </dev/null 2>&1
}

if command -v script >/dev/null; then
	export wmap address
	{ sleep 1; echo q; } | timeout 20 script -qec \
		'stty rows 5 cols 70; before=$(stty -g)
		"$wmap" top --interval 0.1 --socket "$address"
		echo "status $?"; test "$(stty -g)" = "$before" && echo restored' \
		/dev/null >"$work/top"
	expect "top shows the processes" grep -q "$first hold" "$work/top"
	expect "... and quits at q" grep -q "status 0" "$work/top"
	expect "... with the terminal as it was" grep -q restored "$work/top"
	expect "... and its screen" grep -qF $'\e[?1049l' "$work/top"
	expect "... no line longer than it" test -z \
		"$(grep -a BYTES/s "$work/top")"
	expect "... none below it" test -z "$(tr '\r' '\n' <"$work/top" |
		grep -a "no line")"
	in_terminal 'stty rows 20 cols 120; before=$(stty -g)
		(sleep 0.5; stty cols 30; sleep 0.5; kill -TERM $$) &
		exec 3>&1; "$wmap" top --interval 5 --socket "$address"' \
		>"$work/top"
	expect "a wide terminal has more columns" grep -qa BYTES/s "$work/top"
fi

# ---- The end of processes -----------------------------------------------------------

exec {first_stop}>&- {second_stop}>&-
wait "$first" "$second"
for _ in $(seq 500); do
	test -z "$(numbers pid)" && break
	sleep 0.02
done
expect "who has ended is told no more" test -z "$(numbers pid)"
if command -v curl >/dev/null; then
	sleep 0.1 # figures are kept so long
	expect "no process is left" test "$(metric wmap_processes)" = 0
	expect "... its counters are" test "$(metric wmap_faults_total)" = \
		"$faults"
	expect "what it stored was written" test \
		"$(metric wmap_written_bytes_total)" = 4096
fi
kill "$server"
wait "$server"
expect "wmapd takes its path away" test ! -e "$work/metrics"

# ---- Those of wmap run --------------------------------------------------------------

mkfifo "$work/in" "$work/out.fifo"
exec {stop}<>"$work/in"
"$wmap" run -- "$programs/hold" "$work/file" 3 <"$work/in" \
	>"$work/out.fifo" 2>"$work/err" {stop}>&- &
run=$!
read -r line <"$work/out.fifo"
expect "ps finds what wmap run runs" grep -qE \
	'^ +[0-9]+ hold +1 +12.0 KiB' <("$wmap" ps)
exec {stop}>&-
wait "$run"
finish
