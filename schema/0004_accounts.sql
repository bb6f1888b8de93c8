-- The active administrators are counted, and locked, whenever one of them may go.
ALTER TABLE users ADD KEY IF NOT EXISTS users_role (role, is_active);

-- Keys for programs.  Only the SHA-256 of a key is kept, and its first characters, by
-- which people tell their keys apart.  A key that was revoked stays: the audit names it.
CREATE TABLE IF NOT EXISTS api_keys (
	id BINARY(16) NOT NULL,
	user_id BINARY(16) NOT NULL,
	name VARCHAR(100) NOT NULL,
	prefix VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	hash BINARY(32) NOT NULL,
	scopes VARCHAR(1000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	agent_id BINARY(16) NULL,
	created_at DATETIME(6) NOT NULL,
	expires_at DATETIME(6) NULL,
	last_used_at DATETIME(6) NULL,
	revoked_at DATETIME(6) NULL,
	PRIMARY KEY (id),
	UNIQUE KEY api_keys_hash (hash),
	KEY api_keys_user (user_id),
	CONSTRAINT api_keys_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

-- A ticket opens one WebSocket, once and soon; it ends with the session it was given to.
CREATE TABLE IF NOT EXISTS ws_tickets (
	hash BINARY(32) NOT NULL,
	token_hash BINARY(32) NOT NULL,
	expires_at DATETIME(6) NOT NULL,
	PRIMARY KEY (hash),
	KEY ws_tickets_token (token_hash),
	KEY ws_tickets_expiry (expires_at),
	CONSTRAINT ws_tickets_token FOREIGN KEY (token_hash) REFERENCES tokens (hash) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARACTER SET ascii COLLATE ascii_bin;

-- Who did what: a row for each write, in its transaction, and for each sign-in.  It
-- outlives whom and what it names, so nothing here refers to another table.  id is a
-- UUIDv7: its order is that of time, and the primary key of every index ends with it.
-- username is the name at that time, or the one that somebody tried to sign in with.
CREATE TABLE IF NOT EXISTS audit (
	id BINARY(16) NOT NULL,
	at DATETIME(6) NOT NULL,
	username VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL,
	user_id BINARY(16) NULL,
	key_id BINARY(16) NULL,
	agent_id BINARY(16) NULL,
	action VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	resource VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	record_id BINARY(16) NULL,
	before_json MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
	after_json MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
	remote_address VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NULL,
	request_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
	PRIMARY KEY (id),
	KEY audit_username (username),
	KEY audit_resource (resource),
	KEY audit_record (record_id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;
