-- Agents below one, of one level: the lists of the legacy family.
ALTER TABLE agents ADD KEY IF NOT EXISTS agents_parent_level (parent_id, level);

-- Files that agents know.  agent is the id that its source has for it ("L1.2"): a file may
-- be known before its agent is.  path compares byte by byte, as file systems do.
CREATE TABLE IF NOT EXISTS knowledge_files (
	id BINARY(16) NOT NULL,
	name VARCHAR(255) NOT NULL,
	path VARCHAR(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	agent VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL,
	category VARCHAR(100) NULL,
	size BIGINT UNSIGNED NOT NULL,
	modified_at DATETIME(6) NOT NULL,
	PRIMARY KEY (id),
	UNIQUE KEY knowledge_files_path (path),
	KEY knowledge_files_agent (agent)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;
