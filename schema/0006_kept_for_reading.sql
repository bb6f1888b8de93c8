-- What a record shows of others is kept beside it: a subquery costs the server more than all
-- else in reading one record.

-- Never changes: what a task depends on is said when it is made, and a task that others depend
-- on can't be removed.  JSON, made by lib/store; task_dependencies is the way back.
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS
	depends_on TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '[]';
UPDATE tasks SET depends_on = (SELECT CONCAT('["', GROUP_CONCAT(LOWER(CONCAT_WS('-',
		SUBSTR(HEX(depends_on_id), 1, 8), SUBSTR(HEX(depends_on_id), 9, 4),
		SUBSTR(HEX(depends_on_id), 13, 4), SUBSTR(HEX(depends_on_id), 17, 4),
		SUBSTR(HEX(depends_on_id), 21))) ORDER BY depends_on_id SEPARATOR '","'), '"]')
	FROM task_dependencies WHERE task_id = tasks.id)
	WHERE id IN (SELECT task_id FROM task_dependencies);

-- How many tasks an agent has in each status; no row means none.  Counted in the transaction
-- that changes a task, which locks this row last of all and until its end.  counts is what is
-- read: the numbers as JSON.
CREATE TABLE IF NOT EXISTS agent_tasks (
	agent_id BINARY(16) NOT NULL,
	pending INT NOT NULL DEFAULT 0,
	ready INT NOT NULL DEFAULT 0,
	running INT NOT NULL DEFAULT 0,
	completed INT NOT NULL DEFAULT 0,
	failed INT NOT NULL DEFAULT 0,
	cancelled INT NOT NULL DEFAULT 0,
	blocked INT NOT NULL DEFAULT 0,
	counts VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin AS (CONCAT(
		'{"pending":', pending, ',"ready":', ready, ',"running":', running,
		',"completed":', completed, ',"failed":', failed, ',"cancelled":', cancelled,
		',"blocked":', blocked, '}')) PERSISTENT,
	PRIMARY KEY (agent_id),
	CONSTRAINT agent_tasks_agent FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE CASCADE
) ENGINE=InnoDB;
INSERT IGNORE INTO agent_tasks (agent_id, pending, ready, running, completed, failed, cancelled,
		blocked)
	SELECT agent_id, SUM(status = 'pending'), SUM(status = 'ready'), SUM(status = 'running'),
		SUM(status = 'completed'), SUM(status = 'failed'), SUM(status = 'cancelled'),
		SUM(status = 'blocked')
	FROM tasks WHERE agent_id IS NOT NULL GROUP BY agent_id;
