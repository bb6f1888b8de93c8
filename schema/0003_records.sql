-- The records of the v1 API.  Of every one: id is a UUIDv7, so that ids sort by age;
-- version counts its changes and is its ETag; owner_id is who made it.
--
-- A list is read along one index, in the order of that index and of id behind it: the
-- rows of lib/store name them.  To an index of InnoDB the primary key belongs anyway.
--
-- No foreign key deletes or changes a record that hangs on another one: what happens to
-- it is done by the statements of lib/store, which count its version up too.
CREATE TABLE IF NOT EXISTS agents (
	id BINARY(16) NOT NULL,
	owner_id BINARY(16) NULL,
	version BIGINT NOT NULL DEFAULT 1,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL,
	did VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL,
	name VARCHAR(200) NOT NULL,
	agent_type VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	level VARCHAR(2) CHARACTER SET ascii COLLATE ascii_bin NULL,
	parent_id BINARY(16) NULL,
	configuration JSON NOT NULL,
	metadata JSON NOT NULL,
	resource_limits JSON NOT NULL,
	last_heartbeat DATETIME(6) NULL,
	PRIMARY KEY (id),
	UNIQUE KEY agents_did (did),
	KEY agents_owner (owner_id),
	KEY agents_name (name),
	KEY agents_updated (updated_at),
	KEY agents_status (status),
	KEY agents_type (agent_type),
	KEY agents_level (level),
	KEY agents_parent (parent_id),
	CONSTRAINT agents_owner FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE SET NULL,
	CONSTRAINT agents_parent FOREIGN KEY (parent_id) REFERENCES agents (id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

CREATE TABLE IF NOT EXISTS projects (
	id BINARY(16) NOT NULL,
	owner_id BINARY(16) NULL,
	version BIGINT NOT NULL DEFAULT 1,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL,
	name VARCHAR(200) NOT NULL,
	path VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL,
	description TEXT NULL,
	status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	PRIMARY KEY (id),
	UNIQUE KEY projects_name (name),
	KEY projects_owner (owner_id),
	KEY projects_updated (updated_at),
	KEY projects_status (status),
	CONSTRAINT projects_owner FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

CREATE TABLE IF NOT EXISTS goals (
	id BINARY(16) NOT NULL,
	owner_id BINARY(16) NULL,
	version BIGINT NOT NULL DEFAULT 1,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL,
	agent_id BINARY(16) NULL,
	project_id BINARY(16) NULL,
	parent_goal_id BINARY(16) NULL,
	description TEXT NOT NULL,
	success_criteria JSON NOT NULL,
	status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	priority TINYINT NOT NULL,
	completed_at DATETIME(6) NULL,
	PRIMARY KEY (id),
	KEY goals_owner (owner_id),
	KEY goals_updated (updated_at),
	KEY goals_priority (priority),
	KEY goals_status (status),
	KEY goals_agent (agent_id),
	KEY goals_agent_status (agent_id, status),
	KEY goals_project (project_id),
	KEY goals_project_status (project_id, status),
	KEY goals_parent (parent_goal_id),
	CONSTRAINT goals_owner FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE SET NULL,
	CONSTRAINT goals_agent FOREIGN KEY (agent_id) REFERENCES agents (id),
	CONSTRAINT goals_project FOREIGN KEY (project_id) REFERENCES projects (id),
	CONSTRAINT goals_parent FOREIGN KEY (parent_goal_id) REFERENCES goals (id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

CREATE TABLE IF NOT EXISTS plans (
	id BINARY(16) NOT NULL,
	owner_id BINARY(16) NULL,
	version BIGINT NOT NULL DEFAULT 1,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL,
	goal_id BINARY(16) NULL,
	status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	PRIMARY KEY (id),
	KEY plans_owner (owner_id),
	KEY plans_updated (updated_at),
	KEY plans_status (status),
	KEY plans_goal (goal_id),
	CONSTRAINT plans_owner FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE SET NULL,
	CONSTRAINT plans_goal FOREIGN KEY (goal_id) REFERENCES goals (id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

-- urgency makes the most urgent come first along an index: MariaDB before 10.8 has no
-- descending ones.  waiting_on counts the tasks of task_dependencies that are not
-- completed; lease_until is when a running task falls back unless its agent is heard of,
-- which moves that on by lease_ms.
CREATE TABLE IF NOT EXISTS tasks (
	id BINARY(16) NOT NULL,
	owner_id BINARY(16) NULL,
	version BIGINT NOT NULL DEFAULT 1,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL,
	plan_id BINARY(16) NULL,
	goal_id BINARY(16) NULL,
	agent_id BINARY(16) NULL,
	description TEXT NOT NULL,
	task_type VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
	status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	input_data JSON NOT NULL,
	output_data JSON NULL,
	error TEXT NULL,
	priority TINYINT NOT NULL,
	attempts INT NOT NULL DEFAULT 0,
	started_at DATETIME(6) NULL,
	completed_at DATETIME(6) NULL,
	lease_ms INT NULL,
	lease_until DATETIME(6) NULL,
	waiting_on INT NOT NULL DEFAULT 0,
	urgency TINYINT AS (10 - priority) PERSISTENT,
	PRIMARY KEY (id),
	KEY tasks_owner (owner_id),
	KEY tasks_updated (updated_at),
	KEY tasks_priority (priority),
	KEY tasks_status (status),
	KEY tasks_agent (agent_id),
	KEY tasks_agent_status (agent_id, status),
	KEY tasks_goal (goal_id),
	KEY tasks_goal_status (goal_id, status),
	KEY tasks_plan (plan_id),
	KEY tasks_ready (status, agent_id, urgency),
	KEY tasks_ready_of_type (status, agent_id, task_type, urgency),
	KEY tasks_lease (status, lease_until),
	CONSTRAINT tasks_owner FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE SET NULL,
	CONSTRAINT tasks_agent FOREIGN KEY (agent_id) REFERENCES agents (id),
	CONSTRAINT tasks_goal FOREIGN KEY (goal_id) REFERENCES goals (id),
	CONSTRAINT tasks_plan FOREIGN KEY (plan_id) REFERENCES plans (id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;

-- A task that is gone needs nothing any more, and one that others need can't go.
CREATE TABLE IF NOT EXISTS task_dependencies (
	task_id BINARY(16) NOT NULL,
	depends_on_id BINARY(16) NOT NULL,
	PRIMARY KEY (task_id, depends_on_id),
	KEY task_dependencies_of (depends_on_id),
	CONSTRAINT task_dependencies_task FOREIGN KEY (task_id) REFERENCES tasks (id)
		ON DELETE CASCADE,
	CONSTRAINT task_dependencies_of FOREIGN KEY (depends_on_id) REFERENCES tasks (id)
) ENGINE=InnoDB;

-- How many records of a kind there are, so that a list of a million can say so at once.
-- Those who add and remove at the same time count in different rows.
CREATE TABLE IF NOT EXISTS record_counts (
	kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	shard TINYINT UNSIGNED NOT NULL,
	records BIGINT NOT NULL,
	PRIMARY KEY (kind, shard)
) ENGINE=InnoDB;

-- What a POST with an Idempotency-Key answered.  status is NULL while it is in flight; who
-- holds it until held_until is the only one to write the record and this row.
CREATE TABLE IF NOT EXISTS idempotency (
	principal_id BINARY(16) NOT NULL,
	key_hash BINARY(32) NOT NULL,
	request_hash BINARY(32) NOT NULL,
	holder BINARY(16) NOT NULL,
	held_until DATETIME(6) NOT NULL,
	created_at DATETIME(6) NOT NULL,
	status SMALLINT NULL,
	location VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
	etag VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
	body MEDIUMTEXT NULL,
	PRIMARY KEY (principal_id, key_hash),
	KEY idempotency_age (created_at)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci;
