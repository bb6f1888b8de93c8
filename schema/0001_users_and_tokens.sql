-- People who sign in, and the tokens they hold.
--
-- id is a UUIDv7 in its 16 bytes: it is part of every index of this table and of
-- every foreign key, and 36 characters of text would more than double those.
-- username compares byte by byte, trailing blanks too: "Bob" is not "bob".
CREATE TABLE IF NOT EXISTS users (
	id BINARY(16) NOT NULL,
	username VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	email VARCHAR(254) NULL,
	full_name VARCHAR(200) NULL,
	role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	is_active BOOLEAN NOT NULL DEFAULT TRUE,
	password_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL,
	last_login DATETIME(6) NULL,
	PRIMARY KEY (id),
	UNIQUE KEY users_username (username),
	CONSTRAINT users_role CHECK (role IN ('admin', 'user', 'readonly'))
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

-- A token is 256 random bits; only its SHA-256 is kept.
CREATE TABLE IF NOT EXISTS tokens (
	hash BINARY(32) NOT NULL,
	user_id BINARY(16) NOT NULL,
	created_at DATETIME(6) NOT NULL,
	expires_at DATETIME(6) NOT NULL,
	label VARCHAR(100) NOT NULL DEFAULT '',
	PRIMARY KEY (hash),
	KEY tokens_user (user_id),
	KEY tokens_expiry (expires_at),
	CONSTRAINT tokens_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;
