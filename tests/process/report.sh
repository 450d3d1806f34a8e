#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The summary: which files, how many pages; JSON; and reports that are damaged
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

touch_pages=$programs/touch

# valid JSON: by whatever knows JSON here
valid() {
	if command -v python3 >/dev/null; then
		python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1"
	elif command -v jq >/dev/null; then
		jq . "$1" >/dev/null
	else
		perl -MJSON::PP -0777 -ne 'decode_json($_)' "$1"
	fi
}

# tell FILE PAGES LOADED: is it in the JSON?
tell() {
	grep -qF "\"file\": \"$1\", \"length\": $(($2 * 4096)), \
\"loaded_pages\": $3, \"faults\": $3" "$work/run.json"
}

head -c $((64 * 4096)) /dev/zero | tr '\0' 'x' >"$work/a.dat"
cp "$work/a.dat" "$work/b.dat"
cd "$work" || exit 1

under_wmap run "$touch_pages" a.dat 0 5 9 20 63
expect "pages are counted exactly" tell "$work/a.dat" 64 5
expect "as many faults" test "$(field faults run.json)" = 5
expect "bytes read" test "$(field bytes_read run.json)" = 20480
expect "bytes written" test "$(field bytes_written run.json)" = 0
expect "latencies are there" grep -qE \
	'"p50": [1-9][0-9]*, "p99": [1-9][0-9]*, "max": [1-9]' run.json
expect "valid JSON" valid run.json
expect "a summary" grep -qE "256.0 KiB +64 +5 +5  $work/a.dat" run.err
expect "latencies" grep -q 'p50 .*s, p99 .*s, max' run.err

under_wmap run "$touch_pages" -u a.dat 1 2 9
expect "what was unmapped is told of" tell "$work/a.dat" 64 3
under_wmap run "$touch_pages" -p a.dat 0 1 31 32 40
expect "half of it unmapped" grep -q '"length": 131072, "loaded_pages": 3' \
	run.json
expect "... and the other half" grep -q '"length": 131072, "loaded_pages": 2' \
	run.json
under_wmap run "$touch_pages" -w a.dat 0 1
expect "bytes written back at exit" \
	test "$(field bytes_written run.json)" = 8192

# Of who does not tell wmapd does: killed, or with what it inherited.
under_wmap run bash -c "'$touch_pages' -k a.dat 9 2 40; '$touch_pages' a.dat 4; \
	exec '$touch_pages' -k a.dat 60 5"
expect "a killed process is told of" tell "$work/a.dat" 64 3
expect "... beside one that was not" tell "$work/a.dat" 64 1
expect "... and one that was another before" tell "$work/a.dat" 64 2
expect "... each of them once" test "$(field processes run.json)" = 3
expect "... and what it read" grep -q '^	"faults": 6,' run.json
under_wmap run "$touch_pages" -uk a.dat 9 2
expect "killed with nothing mapped any more" grep -q '^wmap: 2 faults, p50' \
	run.err
under_wmap run "$touch_pages" -f a.dat 50 8
expect "a child that has its parent's mapping" \
	test "$(grep -cF '"loaded_pages": 2' run.json)" = 2

# Which files are ours.
"$wmap" run --map '*/b.*' --json run.json -- \
	sh -c "'$touch_pages' a.dat 1; '$touch_pages' b.dat 1 2" \
	>run.out 2>run.err
expect "a file that matches" tell "$work/b.dat" 64 2
expect "no file that does not" test 0 = "$(grep -c a.dat run.json)"
for glob in b.dat './b.dat' "$work/b.dat" 'b*' "$work/*" '[!a].dat'; do
	"$wmap" run --map "$glob" --json run.json -- "$touch_pages" b.dat 1 \
		>run.out 2>run.err
	expect "--map $glob" tell "$work/b.dat" 64 1
done
ln -s b.dat link.dat
"$wmap" run --map link.dat --json run.json -- "$touch_pages" link.dat 1 \
	>run.out 2>run.err
expect "--map of a link" tell "$work/b.dat" 64 1
"$wmap" run --map 'nothing*' --json run.json -- "$touch_pages" b.dat 1 \
	>run.out 2>run.err
expect "no mapping is an empty list" grep -qF '"mappings": []' run.json
expect "valid JSON without mappings" valid run.json
"$wmap" run --grain 64K --json run.json -- "$touch_pages" a.dat 0 17 \
	>run.out 2>run.err
expect "a grain is brought at once" grep -q '"loaded_pages": 32' run.json
if [ -w /dev/shm ]; then
	shm=/dev/shm/wmap-test-$$
	cp a.dat $shm
	under_wmap run "$touch_pages" $shm 1
	expect "shared memory is not ours" grep -qF '"mappings": []' run.json
	"$wmap" run --map "$shm" --json run.json -- "$touch_pages" $shm 1 \
		>run.out 2>run.err
	expect "... unless it is named" tell $shm 64 1
	rm $shm
fi

# Names: any bytes.
for name in 'a b' 'q"uote' 'back\slash' $'new\nline' $'e\x1bscape' ünïcode \
	$'l\xe4tin' $'\xf0\x9f\x92' 'star*' 'colon:'; do
	cp a.dat "$name"
	under_wmap run "$touch_pages" "$name" 3
	expect "valid JSON: $(printf %q "$name")" valid run.json
	expect "... with a mapping" grep -q '"loaded_pages": 1,' run.json
	expect "... and a clean summary" \
		test 0 = "$(LC_ALL=C grep -v '^wmap: ' run.err | wc -l)"
	"$wmap" run --map "$name" --json run.json -- "$touch_pages" "$name" 3 \
		>run.out 2>run.err
	expect "... found by its name" grep -q '"loaded_pages": 1,' run.json
	rm "$name"
done
deep=$(printf '%0200d/' 1 2 3 4 5)
mkdir -p "$deep"
cp a.dat "$deep/file"
under_wmap run "$touch_pages" "$deep/file" 3
expect "a long path in full" tell "$work/${deep}file" 64 1

# Many: the list is capped, the biggest first; JSON has them all.
for i in $(seq 40); do cp a.dat "many$i"; done
under_wmap run sh -c 'for i in $(seq 40); do
	'"$touch_pages"' many$i $(seq 0 $i | awk "{ print \$1 * (\$1 + 1) / 2 % 64 }") >/dev/null; done'
expect "all in JSON" test 40 = "$(grep -c '"file"' run.json)"
expect "all processes" test "$(field processes run.json)" = 40
expect "the list is capped" grep -q '… and 24 more files' run.err
expect "the biggest first" grep -q "  41 .*many40" <(sed -n 3p run.err)
sed -n 1,4p run.err
under_wmap run "$programs/mapping" maps_many "$work/file"
expect "a thousand mappings of a file" grep -q '(1000 times)' run.err
expect "... in JSON one by one" test 1000 = "$(grep -c '"file"' run.json)"

# Reports that are none.
damage() {
	"$wmap" run --json run.json -- sh -c "'$touch_pages' a.dat 1 2 9; $1
		'$touch_pages' b.dat 1 2" >run.out 2>run.err
	expect "damage: $1" test $? = 0
	expect "... valid JSON" valid run.json
}
damage 'head -c 100000 /dev/urandom >>$WMAP_REPORT;'
expect "... is said" grep -q 'could not be read' run.err
expect "... what is whole is read" tell "$work/a.dat" 64 3
expect "... before and behind" tell "$work/b.dat" 64 2
damage 'head -c 1000 $WMAP_REPORT >>$WMAP_REPORT;'
expect "... cut off" tell "$work/b.dat" 64 2
damage 'cat $WMAP_REPORT >>$WMAP_REPORT.x; cat $WMAP_REPORT.x >>$WMAP_REPORT;
	rm $WMAP_REPORT.x;'
damage 'truncate -s 700 $WMAP_REPORT;'
damage ': >$WMAP_REPORT;'
expect "... emptied" tell "$work/b.dat" 64 2
damage 'yes 1pmw1pmw | head -c 3000 >>$WMAP_REPORT;'
damage 'rm $WMAP_REPORT;'
damage 'export WMAP_REPORT=/nonexistent;'
finish
