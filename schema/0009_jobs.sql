-- Background work: a row for each job, whoever runs it.
--
-- A job that runs belongs to whoever holds its lease: lease_id is drawn anew each time that it
-- is taken, and nothing is written to a running job without naming it.  single_key keeps a
-- second job from being queued while the first has not ended: live_key is unique.
-- All times but created_at are the database's.
CREATE TABLE IF NOT EXISTS jobs (
	id BINARY(16) NOT NULL,
	owner_id BINARY(16) NULL,
	version BIGINT NOT NULL DEFAULT 1,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL,
	job_type VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	progress TINYINT NOT NULL DEFAULT 0,
	message VARCHAR(200) NULL,
	payload JSON NOT NULL,
	result JSON NULL,
	error TEXT NULL,
	attempts INT NOT NULL DEFAULT 0,
	max_attempts INT NOT NULL,
	repeatable BOOLEAN NOT NULL,
	cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
	single_key VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL,
	host VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL,
	run_after DATETIME(6) NOT NULL,
	started_at DATETIME(6) NULL,
	completed_at DATETIME(6) NULL,
	lease_id BINARY(16) NULL,
	lease_until DATETIME(6) NULL,
	live_key VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
		AS (IF(status IN ('queued', 'running'), single_key, NULL)) PERSISTENT,
	PRIMARY KEY (id),
	UNIQUE KEY jobs_live (live_key),
	KEY jobs_owner (owner_id),
	KEY jobs_updated (updated_at),
	KEY jobs_status (status),
	KEY jobs_type (job_type),
	KEY jobs_type_status (job_type, status),
	KEY jobs_due (status, run_after),
	KEY jobs_lease (status, lease_until),
	KEY jobs_completed (completed_at),
	CONSTRAINT jobs_owner FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

-- Who may do what only one may do at a time.  fence counts the holders: it tells one from the
-- next.
CREATE TABLE IF NOT EXISTS leases (
	name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	holder BINARY(16) NULL,
	held_until DATETIME(6) NULL,
	fence BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (name)
) ENGINE=InnoDB;
INSERT IGNORE INTO leases (name) VALUES ('scheduler');

-- When a type of job is due again; no row means at once.
CREATE TABLE IF NOT EXISTS schedules (
	job_type VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	next_at DATETIME(6) NOT NULL,
	PRIMARY KEY (job_type)
) ENGINE=InnoDB;
