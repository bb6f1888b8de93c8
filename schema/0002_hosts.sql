-- The hosts of the fleet.  ziggie-jobs of each writes its own row, again and again.
--
-- interval_ms is how often a host promises to do so: whoever reads the row can tell
-- from it alone whether that host has gone silent.  All times are the database's.
CREATE TABLE IF NOT EXISTS hosts (
	id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	hostname VARCHAR(64) NOT NULL,
	version VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	interval_ms INT UNSIGNED NOT NULL,
	first_seen DATETIME(6) NOT NULL,
	last_seen DATETIME(6) NOT NULL,
	PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;
