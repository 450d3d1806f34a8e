#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Real programs, those that are here: the same answers under wmap
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

cd "$work" || exit 1
export LC_ALL=C HOME=$work

here() {
	command -v "$1" >/dev/null || {
		echo "skipped: no $1 here"
		return 1
	}
}

# alike WHAT COMMAND…: the same output and status, plain and under wmap
alike() {
	local what=$1 plain paged

	shift
	cp random.orig random
	"$@" >plain.out 2>plain.err
	plain=$?
	cp random.orig random
	under_wmap paged "$@"
	paged=$?
	if [ $plain != $paged ] || ! cmp plain.out paged.out; then
		failed "$what: status $plain and $paged"
		head -c 2000 paged.err
	else
		echo "ok: $what"
	fi
}

sqlite() {
	sqlite3 test.db 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL
			SELECT i + 1 FROM n WHERE i < 20000)
		SELECT 1 FROM n LIMIT 0;
		CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c);
		INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL
			SELECT i + 1 FROM n WHERE i < 20000)
		SELECT i, hex(i * 7919 % 10007) || " lines of text", i % 97
			FROM n;
		CREATE INDEX ti ON t(c, b);'
	alike "sqlite3: queries" sqlite3 test.db 'PRAGMA mmap_size=100000000;
		SELECT count(*), sum(length(b)) FROM t;
		SELECT * FROM t WHERE c = 5 ORDER BY b LIMIT 50;
		SELECT c, count(*) FROM t GROUP BY c; PRAGMA integrity_check;'
	expect "sqlite3 is paged by wmap" loaded paged.json
	cp test.db plain.db
	cp test.db paged.db
	local change='PRAGMA mmap_size=100000000;
		BEGIN; UPDATE t SET b = b || a WHERE a % 3 = 0;
		DELETE FROM t WHERE a % 7 = 1; COMMIT; VACUUM;
		SELECT count(*), sum(length(b)) FROM t;
		PRAGMA integrity_check;'
	sqlite3 plain.db "$change" >plain.out
	under_wmap paged sqlite3 paged.db "$change"
	expect "sqlite3: changes" cmp plain.out paged.out
	sqlite3 plain.db .dump >plain.dump
	sqlite3 paged.db .dump >paged.dump
	expect "sqlite3: the same database" cmp plain.dump paged.dump
}

repository() {
	git init -q repo &&
		git -C repo config user.email a@example.org &&
		git -C repo config user.name a || return
	for i in $(seq 30); do
		seq $((i * 1000)) >"repo/file$((i % 5))"
		git -C repo add . && git -C repo commit -qm "change $i"
	done
	git -C repo repack -qad
}

git_() {
	expect "git: a repository" repository
	alike "git log" git -C repo log --stat -p
	expect "git is paged by wmap" loaded paged.json
	alike "git fsck" git -C repo fsck --full
	alike "git blame" git -C repo blame file3
	alike "git grep" git -C repo grep -c 77 HEAD~7
	under_wmap run git -C repo repack -qad
	expect "git repack" test $? = 0
	expect "... and all is well" git -C repo fsck --full --strict
	under_wmap run git clone -q repo clone
	expect "git clone" git -C clone fsck --full --strict
}

python() {
	alike "python3 mmap" python3 -c '
import hashlib, mmap
with open("random", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    print(hashlib.sha256(m).hexdigest(), m.find(b"zz"), m[1000:1010])
    m[5000:5010] = b"0123456789"
    m.flush()
    print(open("random", "rb").read()[4990:5020])
    m.close()
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    m[0:5] = b"hello"
    print(m[0:8], open("random", "rb").read(8))
    m = mmap.mmap(f.fileno(), 8192, offset=4096, access=mmap.ACCESS_READ)
    print(hashlib.md5(m).hexdigest())
    m = mmap.mmap(-1, 10000)
    m.write(b"anonymous")
    print(m[0:9])
'
	expect "python3 is paged by wmap" loaded paged.json
}

head -c 300000 /dev/urandom >random.orig
seq 200000 | sed 's/.*/& & line/' >lines
alike "grep" grep -c 77 lines
alike "sort" sort -r lines
alike "cp" cp lines lines.copy
expect "... copied" cmp lines lines.copy
alike "a pipeline" sh -c 'sort -k2 lines | uniq -c | tail -n 5 | md5sum'
cp /bin/true program && truncate -s 1M program
# shellcheck disable=SC2016
alike "a program that was stored to" sh -c 'for i in $(seq 200); do
	"$0" -wu program 255 && ./program || exit
done' "$programs/touch"
expect "... is paged by wmap" loaded paged.json
alike "find" find /usr/include -name 'm*.h'
here sqlite3 && sqlite
here git && git_
here python3 && python
here perl && alike "perl" perl -e 'print join(",", map { $_ * 3 } 1 .. 1000)'
here gcc && echo 'int main(void) { return 7; }' >seven.c &&
	alike "gcc" gcc -o seven seven.c && alike "what gcc made" ./seven
finish
