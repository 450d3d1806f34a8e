#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# demo/database.sh FILE MIB: an SQLite database of at least that size from what
# every Debian has: all packages that apt knows, else those installed; who owns
# which file; the lines and the words of the texts in /usr/include and
# /usr/share. As many of the texts go in as the size asks for.
set -euo pipefail
export LC_ALL=C

database=$1
bytes=$(($2 << 20))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What awk hands to sqlite: fields end in \037, rows in \036; neither may be in
# the text.
awk_row='
function row(file, a, b, c, d, e, f) {
	printf "%s\037%s\037%s", a, b, c >file
	if (columns > 3)
		printf "\037%s\037%s\037%s", d, e, f >file
	printf "\036" >file
}
function clean(text) {
	gsub(/[\036\037]/, " ", text)
	return text
}'

sql() {
	sqlite3 -batch -bail "$database" "$@" >"$work/out"
}

# tune: for the one who builds it, nothing to do with how it is read
tune='PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
	PRAGMA cache_size = -262144;'

import() {
	sql "$tune" ".mode ascii" ".import $work/$1 $1"
	rm "$work/$1"
}

create() {
	sql "PRAGMA page_size = 4096" "
	CREATE TABLE package (name TEXT, version TEXT, section TEXT,
		installed_size INTEGER, depends TEXT, stanza TEXT);
	CREATE TABLE owned (path TEXT, package TEXT, depth INTEGER);
	CREATE TABLE text (id INTEGER PRIMARY KEY, path TEXT, size INTEGER);
	CREATE TABLE line (text INTEGER, number INTEGER, line TEXT,
		PRIMARY KEY (text, number)) WITHOUT ROWID;
	CREATE TABLE word (word TEXT, text INTEGER, number INTEGER,
		PRIMARY KEY (word, text, number)) WITHOUT ROWID;"
}

stanzas() {
	local available=$work/available

	apt-cache dumpavail >"$available" 2>/dev/null || true
	if [ -s "$available" ]; then
		cat "$available"
	else
		cat /var/lib/dpkg/status
	fi
}

add_packages() {
	: >"$work/package"
	stanzas | awk -v RS= -v FS='\n' -v columns=6 \
		-v out="$work/package" "$awk_row"'
	function field(name,    i) {
		for (i = 1; i <= NF; i++)
			if (index($i, name ": ") == 1)
				return substr($i, length(name) + 3)
		return ""
	}
	{
		$0 = clean($0)
		row(out, field("Package"), field("Version"), field("Section"),
			field("Installed-Size") + 0, field("Depends"), $0)
	}'
	import package
	sql "$tune" "CREATE INDEX package_name ON package(name);
		CREATE INDEX package_section ON package(section,
			installed_size, name);"
}

add_owned() {
	local list

	: >"$work/owned"
	for list in /var/lib/dpkg/info/*.list; do
		echo "$list"
	done | awk -v columns=3 -v out="$work/owned" "$awk_row"'
	{
		package = $0
		sub(/.*\//, "", package)
		sub(/\.list$/, "", package)
		sub(/:.*/, "", package)
		while ((getline path <$0) > 0)
			row(out, clean(path), package, gsub(/\//, "/", path))
		close($0)
	}'
	import owned
	sql "$tune" "CREATE INDEX owned_path ON owned(path, package);
		CREATE INDEX owned_package ON owned(package, path);"
}

# texts: "size path" of text files, those that the questions are about first
texts() {
	local folder

	for folder in /usr/include/linux /usr/include/*/sys /usr/share/doc \
		/usr/include /usr/share /usr/lib; do
		find "$folder" -xdev -type f -size -512k ! -name '*.gz' \
			! -name '*[[:space:]]*' -print0 2>/dev/null |
			sort -z | xargs -0r grep -IlZ . 2>/dev/null |
			xargs -0r stat -c '%s %n'
	done
}

# parts: the texts in lists of 8 MiB, up to as much as is wanted at most
parts() {
	texts 2>/dev/null | awk -v work="$work" -v most="$bytes" '
	seen[$2]++ {
		next
	}
	total > most {
		exit
	}
	{
		total += $1
		printf "%d %d %s\n", ++n, $1, $2 \
			>(work "/part." int(total / 8388608))
	}' || true # whoever is still looking gets SIGPIPE
}

# add_texts LIST: the lines and words of the files that it names
add_texts() {
	: >"$work/text"
	: >"$work/line"
	: >"$work/word"
	awk -v columns=3 -v work="$work" "$awk_row"'
	{
		row(work "/text", $1, $3, $2)
		number = 0
		while ((getline line <$3) > 0) {
			line = clean(line)
			row(work "/line", $1, ++number, line)
			n = split(line, words, /[^A-Za-z0-9_]+/)
			delete seen
			for (i = 1; i <= n; i++) {
				if (length(words[i]) < 3 || words[i] in seen)
					continue
				seen[words[i]] = 1
				row(work "/word", words[i], $1, number)
			}
		}
		close($3)
	}' "$1"
	import text
	import line
	import word
}

enough() {
	[ "$(stat -c %s "$database")" -ge "$bytes" ]
}

create
add_packages
add_owned

# The texts go in by parts of 8 MiB, until there is enough.
parts
part=0
while [ -f "$work/part.$part" ] && { [ "$part" = 0 ] || ! enough; }; do
	add_texts "$work/part.$part"
	part=$((part + 1))
done

# Where there is little text, every three letters of it are an index, too.
if ! enough; then
	sql "$tune" "CREATE VIRTUAL TABLE trigram USING
		fts5(line, tokenize = 'trigram');
		INSERT INTO trigram SELECT line FROM line;"
fi
enough || echo "(there is not enough here for $2 MiB)"
