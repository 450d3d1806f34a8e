-- SPDX-License-Identifier: MIT
--
-- Questions that need every page of the database.
PRAGMA mmap_size = 2147418112;

PRAGMA integrity_check;
SELECT count(*), sum(length(stanza)), max(installed_size) FROM package;
SELECT count(*), sum(length(line)) FROM line;
SELECT count(*), count(DISTINCT word) FROM word;
SELECT section, count(*), sum(installed_size) FROM package GROUP BY section;
