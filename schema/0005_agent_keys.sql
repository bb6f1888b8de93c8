-- A key that acts as an agent ends with it: without it, it would act as anybody.
ALTER TABLE api_keys ADD KEY IF NOT EXISTS api_keys_agent (agent_id);
ALTER TABLE api_keys ADD CONSTRAINT api_keys_agent
	FOREIGN KEY IF NOT EXISTS (agent_id) REFERENCES agents (id) ON DELETE CASCADE;
