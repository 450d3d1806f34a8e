-- SPDX-License-Identifier: MIT
--
-- Questions that an index answers: each needs a few pages of the database.
PRAGMA mmap_size = 2147418112;

SELECT '-- the largest of section editors that there are';
SELECT installed_size || ' KiB', name FROM package
	WHERE section = 'editors' ORDER BY installed_size DESC LIMIT 3;

SELECT '-- who owns /usr/share/doc/libc6, and what does it need?';
SELECT DISTINCT owned.package, package.version, package.depends
	FROM owned JOIN package ON package.name = owned.package
	WHERE owned.path = '/usr/share/doc/libc6';

SELECT '-- how many files does each of these bring?';
SELECT package, count(*) FROM owned
	WHERE package IN ('bash', 'coreutils', 'dpkg', 'perl-base', 'sqlite3')
	GROUP BY package;

SELECT '-- where do C headers speak of userfaultfd?';
SELECT text.path, word.number, trim(line.line) FROM word
	JOIN text ON text.id = word.text
	JOIN line ON line.text = word.text AND line.number = word.number
	WHERE word.word = 'userfaultfd' LIMIT 5;

SELECT '-- the words that begin with mmap';
SELECT word, count(*) FROM word
	WHERE word >= 'mmap' AND word < 'mmaq'
	GROUP BY word ORDER BY count(*) DESC, word LIMIT 5;

SELECT '-- lines that have page as well as fault';
SELECT text.path, a.number, trim(line.line) FROM word a
	JOIN word b ON b.word = 'fault' AND b.text = a.text AND
		b.number = a.number
	JOIN text ON text.id = a.text
	JOIN line ON line.text = a.text AND line.number = a.number
	WHERE a.word = 'page' LIMIT 5;
