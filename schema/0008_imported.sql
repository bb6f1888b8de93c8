-- What the predecessor knew and imports bring.  Ids of rows that have none of their own are
-- made of the row: a UUIDv7 of its time and a digest, so that the same row is the same id.

-- Services of hosts.
CREATE TABLE IF NOT EXISTS services (
	id BINARY(16) NOT NULL,
	name VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	description TEXT NULL,
	status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	health VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	port INT NULL,
	pid BIGINT NULL,
	is_system BOOLEAN NOT NULL DEFAULT FALSE,
	started_at DATETIME(6) NULL,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL,
	PRIMARY KEY (id),
	UNIQUE KEY services_name (name)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

-- Calls of providers' APIs and what they cost, in US dollars.
CREATE TABLE IF NOT EXISTS usage_records (
	id BINARY(16) NOT NULL,
	at DATETIME(6) NOT NULL,
	provider VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	model VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT '',
	input_tokens BIGINT NULL,
	output_tokens BIGINT NULL,
	tokens BIGINT NOT NULL,
	cost DECIMAL(18,9) NOT NULL,
	PRIMARY KEY (id),
	KEY usage_records_at (at),
	KEY usage_records_provider (provider, at)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

-- Background jobs that the predecessor ran.
CREATE TABLE IF NOT EXISTS job_history (
	id BINARY(16) NOT NULL,
	job_type VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	started_at DATETIME(6) NULL,
	completed_at DATETIME(6) NULL,
	result MEDIUMTEXT NULL,
	error TEXT NULL,
	PRIMARY KEY (id),
	KEY job_history_type (job_type)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;
