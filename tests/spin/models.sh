#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The models of taking over, exhaustively: each holds and goes round for ever
# nowhere; and each of its mutants is found wrong, so that the check can fail
set -uo pipefail

here=$WMAP_SOURCE/tests/spin
for tool in spin gcc; do
	if ! command -v $tool >/dev/null; then
		echo "skipped: $tool is missing"
		exit 77
	fi
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
cp "$here"/*.pml . || exit 1
failures=0

failed() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}

# make_pan MODEL FLAGS MUTANT…: the checker, ./pan
make_pan() {
	local model=$1 gcc_flags

	read -ra gcc_flags <<<"$2"
	shift 2
	rm -f pan pan.* ./*.trail
	spin "${@/#/-D}" -a "$model.pml" >spin.out 2>&1 &&
		gcc -w "${gcc_flags[@]}" -DMEMLIM=1500 -DCOLLAPSE -o pan pan.c \
			>>spin.out 2>&1
}

# check MODEL FLAGS OPTION MUTANT…: run it; its report is pan.out
check() {
	local model=$1 flags=$2 option=$3

	shift 3
	if ! make_pan "$model" "$flags" "$@"; then
		cat spin.out
		failed "$model $*: cannot be compiled"
		echo >pan.out
		return 1
	fi
	./pan "$option" -m100000 >pan.out 2>&1
	if grep -qE "out of memory|MEMLIM|max search depth too small" pan.out; then
		cat pan.out
		failed "$model $*: not exhaustive"
	fi
}

# holds MODEL WHAT FLAGS OPTION MUTANT…
holds() {
	local model=$1 what=$2

	shift 2
	check "$model" "$@" || return
	if grep -q "errors: 0" pan.out; then
		echo "ok: $model: $what:" \
			"$(sed -nE 's/^ *([0-9]+) states, stored.*/\1/p' \
				pan.out | head -n 1) states"
	else
		cat pan.out
		spin -t -p "$model.pml" 2>/dev/null | tail -n 100
		failed "$model: $what"
	fi
}

# found MODEL KILLS MUTANT…
found() {
	local model=$1 kills=$2 mutant

	shift 2
	for mutant; do
		check "$model" "-O0 -DSAFETY" -n "KILLS=$kills" "$mutant" ||
			continue
		if grep -qE '^pan:1: (assertion violated \(|invalid end)' \
			pan.out; then
			echo "ok: $model: $mutant:" \
				"$(sed -nE 's/^pan:1: (.{,40}).*/\1/p' pan.out)"
		else
			cat pan.out
			failed "$model: $mutant is not found wrong"
		fi
	done
}

for model in handover calls fork rescue; do
	holds "$model" "all runs end well" "-O2 -DSAFETY" -n
	holds "$model" "no run goes on for ever" "-O1 -DNP" -l KILLS=1
done
holds calls "a pager that looks at no id" "-O0 -DSAFETY" -n PAGER_BLIND

found handover 1 NO_WAKE EARLY TAKEN_AS_CLEAN EAGER_KEEPER FORGOTTEN_ASIDE \
	UNPROTECTED NO_DRAIN DROPPED_FAULT ACTS_UNACKED EOF_FIRST RESUMES
found calls 2 ANY_ANSWER NO_IDS NO_RESTARTED NO_RESEND ANSWER_FIRST
found fork 1 FORK_TAKEN ATTACH_TAKEN NOT_HEARD NO_RESTARTED NOT_CLOSED \
	UNWATCHED
found rescue 2 NO_WAKE EARLY TAKEN_AS_CLEAN NOT_AWAITED NOT_PARKED ONCE
found rescue 1 EACH_ITS_OWN
check handover "-O0 -DNP" -l KILLS=1 ENDLESS
if grep -q '^pan:1: non-progress cycle' pan.out; then
	echo "ok: handover: ENDLESS: goes on for ever"
else
	cat pan.out
	failed "handover: ENDLESS is not found to go on for ever"
fi
echo "$failures failed"
exit $((failures > 0))
