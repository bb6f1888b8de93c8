/*
 * Services, files, the use of APIs, and jobs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "sqlite_kinds.h"
#include "store/imported.h"
#include "store/service_import.h"
#include "user_change.h"

enum { PORT_MAX = 65535, PID_MAX = 1 << 22 };

/* The text, if it is there and has min to max characters, none of them a control character. */
static enum err take(const struct sqlite_rows *rows, size_t row, size_t column, const char *what,
		     size_t most, const char **out, struct errmsg *why)
{
	*out = sqlite_text(rows, row, column);
	if (*out == NULL)
		return err_set(why, ERR_INVALID, "it has no %s", what);
	if (utf8_count(*out, strlen(*out)) > most || utf8_has_control(*out))
		return err_set(why, ERR_INVALID, "its %s is too long, or no plain text", what);
	return ERR_OK;
}

/* The same of what may be missing; a text that can't be taken is. */
static const char *take_optional(const struct sqlite_rows *rows, size_t row, size_t column,
				 size_t most)
{
	const char *text;
	return take(rows, row, column, "", most, &text, NULL) == ERR_OK ? text : NULL;
}

/* One of the words, or the last of them. */
static const char *word_or_last(const char *text, const char *const *words)
{
	size_t i = 0;
	for (; words[i + 1] != NULL; i++)
		if (text != NULL && strcmp(text, words[i]) == 0)
			break;
	return words[i];
}

/* ---- services ---- */

enum {
	SERVICE_NAME,
	SERVICE_DESCRIPTION,
	SERVICE_STATUS,
	SERVICE_HEALTH,
	SERVICE_PORT,
	SERVICE_PID,
	SERVICE_SYSTEM,
	SERVICE_CREATED,
	SERVICE_UPDATED,
	SERVICE_COLUMNS
};
static const struct sqlite_column service_columns[SERVICE_COLUMNS] = {
    [SERVICE_NAME] = {.names = "name|service_name", .required = true},
    [SERVICE_DESCRIPTION] = {.names = "description"},
    [SERVICE_STATUS] = {.names = "status|state"},
    [SERVICE_HEALTH] = {.names = "health|health_status"},
    [SERVICE_PORT] = {.names = "port"},
    [SERVICE_PID] = {.names = "pid|process_id"},
    [SERVICE_SYSTEM] = {.names = "is_system|system"},
    [SERVICE_CREATED] = {.names = "created_at|created"},
    [SERVICE_UPDATED] = {.names = "updated_at|updated|last_updated"},
};

static enum err write_service(struct db_conn *db, struct arena *arena,
			      const struct sqlite_rows *rows, size_t row,
			      enum import_outcome *outcome, struct errmsg *why)
{
	static const char *const statuses[] = {"running", "failed", "stopped", NULL};
	static const char *const healths[] = {"healthy", "unhealthy", "unknown", NULL};
	enum { NAME_MAX_CHARACTERS = 100, DESCRIPTION_MAX = 2000 };
	struct imported_service service = {
	    .description = take_optional(rows, row, SERVICE_DESCRIPTION, DESCRIPTION_MAX),
	    .status = word_or_last(sqlite_text(rows, row, SERVICE_STATUS), statuses),
	    .health = word_or_last(sqlite_text(rows, row, SERVICE_HEALTH), healths),
	    .port = sqlite_int(rows, row, SERVICE_PORT, 1, PORT_MAX, 0),
	    .pid = sqlite_int(rows, row, SERVICE_PID, 1, PID_MAX, 0),
	    .is_system = sqlite_bool(rows, row, SERVICE_SYSTEM, false),
	    .created_us = sqlite_time_us(rows, row, SERVICE_CREATED),
	    .updated_us = sqlite_time_us(rows, row, SERVICE_UPDATED),
	};
	if (service.created_us == 0)
		service.created_us = US_PER_S;
	if (service.updated_us < service.created_us)
		service.updated_us = service.created_us;
	enum err err =
	    take(rows, row, SERVICE_NAME, "name", NAME_MAX_CHARACTERS, &service.name, why);
	return err == ERR_OK ? service_import(db, arena, &service, &ctl_origin, outcome, why) : err;
}

const struct sqlite_kind sqlite_services = {"services",      "services",    service_columns,
					    SERVICE_COLUMNS, write_service, NULL};

/* ---- files that agents know ---- */

enum { FILE_PATH, FILE_NAME, FILE_AGENT, FILE_SIZE, FILE_MODIFIED, FILE_CATEGORY, FILE_COLUMNS };
static const struct sqlite_column file_columns[FILE_COLUMNS] = {
    [FILE_PATH] = {.names = "path|file_path|filepath", .required = true},
    [FILE_NAME] = {.names = "name|file_name|filename"},
    [FILE_AGENT] = {.names = "agent|agent_id|agent_name"},
    [FILE_SIZE] = {.names = "size|size_bytes|file_size"},
    [FILE_MODIFIED] = {.names = "modified|modified_at|last_modified|updated_at"},
    [FILE_CATEGORY] = {.names = "category|file_type"},
};

static enum err write_file(struct db_conn *db, struct arena *arena, const struct sqlite_rows *rows,
			   size_t row, enum import_outcome *outcome, struct errmsg *why)
{
	enum {
		PATH_CHARACTERS = 700,
		NAME_CHARACTERS = 255,
		AGENT_CHARACTERS = 64,
		CATEGORY_CHARACTERS = 100
	};
	struct knowledge_file file = {
	    .name = take_optional(rows, row, FILE_NAME, NAME_CHARACTERS),
	    .agent = take_optional(rows, row, FILE_AGENT, AGENT_CHARACTERS),
	    .category = take_optional(rows, row, FILE_CATEGORY, CATEGORY_CHARACTERS),
	    .size = (uint64_t)sqlite_int(rows, row, FILE_SIZE, 0, INT64_MAX, 0),
	    .modified_us = sqlite_time_us(rows, row, FILE_MODIFIED),
	};
	enum err err = take(rows, row, FILE_PATH, "path", PATH_CHARACTERS, &file.path, why);
	if (err != ERR_OK)
		return err;
	if (file.modified_us == 0)
		file.modified_us = US_PER_S;
	const char *slash = strrchr(file.path, '/');
	if (file.name == NULL)
		file.name = slash != NULL && slash[1] != '\0' ? slash + 1 : file.path;
	if (utf8_count(file.name, strlen(file.name)) > NAME_CHARACTERS)
		return err_set(why, ERR_INVALID, "its name is too long");
	return knowledge_import(db, arena, &file, outcome, why);
}

const struct sqlite_kind sqlite_knowledge = {
    "knowledge_files", "knowledge files", file_columns, FILE_COLUMNS, write_file, "knowledge_file"};

/* ---- the use of APIs ---- */

enum {
	USAGE_ID,
	USAGE_PROVIDER,
	USAGE_AT,
	USAGE_MODEL,
	USAGE_TOKENS,
	USAGE_INPUT,
	USAGE_OUTPUT,
	USAGE_COST,
	USAGE_COLUMNS
};
static const struct sqlite_column usage_columns[USAGE_COLUMNS] = {
    [USAGE_ID] = {.names = "id", .required = true},
    [USAGE_PROVIDER] = {.names = "provider|service", .required = true},
    [USAGE_AT] = {.names = "timestamp|created_at|date|at", .required = true},
    [USAGE_MODEL] = {.names = "model|model_name"},
    [USAGE_TOKENS] = {.names = "tokens|total_tokens|tokens_used"},
    [USAGE_INPUT] = {.names = "input_tokens|prompt_tokens"},
    [USAGE_OUTPUT] = {.names = "output_tokens|completion_tokens"},
    [USAGE_COST] = {.names = "cost|total_cost|cost_usd"},
};

/* A number as the database takes it; NULL when it is none. */
static const char *cost_of(struct arena *arena, const char *text)
{
	static const double most = 999999999;
	char *end;
	double cost = text != NULL ? strtod(text, &end) : 0;
	if (text != NULL && (end == text || *end != '\0'))
		return NULL;
	return isfinite(cost) && cost >= 0 && cost <= most ? arena_printf(arena, "%.9f", cost)
							   : NULL;
}

static enum err write_usage(struct db_conn *db, struct arena *arena, const struct sqlite_rows *rows,
			    size_t row, enum import_outcome *outcome, struct errmsg *why)
{
	enum { PROVIDER_CHARACTERS = 64, MODEL_CHARACTERS = 128 };
	struct imported_usage usage = {
	    .source_id = sqlite_text(rows, row, USAGE_ID),
	    .at_us = sqlite_time_us(rows, row, USAGE_AT),
	    .model = take_optional(rows, row, USAGE_MODEL, MODEL_CHARACTERS),
	    .input_tokens = sqlite_int(rows, row, USAGE_INPUT, 0, INT64_MAX / 2, -1),
	    .output_tokens = sqlite_int(rows, row, USAGE_OUTPUT, 0, INT64_MAX / 2, -1),
	    .cost = cost_of(arena, sqlite_text(rows, row, USAGE_COST)),
	};
	int64_t sum = (usage.input_tokens > 0 ? usage.input_tokens : 0) +
		      (usage.output_tokens > 0 ? usage.output_tokens : 0);
	usage.tokens = sqlite_int(rows, row, USAGE_TOKENS, 0, INT64_MAX, sum);
	enum err err =
	    take(rows, row, USAGE_PROVIDER, "provider", PROVIDER_CHARACTERS, &usage.provider, why);
	if (err == ERR_OK && usage.at_us == 0)
		err = err_set(why, ERR_INVALID, "its time can't be read");
	if (err == ERR_OK && usage.cost == NULL)
		err = err_set(why, ERR_INVALID, "its cost is no number");
	return err == ERR_OK ? usage_import(db, arena, &usage, outcome, why) : err;
}

const struct sqlite_kind sqlite_usage = {"api_usage",   "usage",     usage_columns,
					 USAGE_COLUMNS, write_usage, "usage"};

/* ---- jobs ---- */

enum {
	JOB_ID,
	JOB_TYPE,
	JOB_STATUS,
	JOB_STARTED,
	JOB_COMPLETED,
	JOB_RESULT,
	JOB_ERROR,
	JOB_COLUMNS
};
static const struct sqlite_column job_columns[JOB_COLUMNS] = {
    [JOB_ID] = {.names = "id|job_id", .required = true},
    [JOB_TYPE] = {.names = "job_type|type|name", .required = true},
    [JOB_STATUS] = {.names = "status|state"},
    [JOB_STARTED] = {.names = "started_at|start_time|created_at"},
    [JOB_COMPLETED] = {.names = "completed_at|finished_at|end_time"},
    [JOB_RESULT] = {.names = "result|output"},
    [JOB_ERROR] = {.names = "error|error_message"},
};

static enum err write_job(struct db_conn *db, struct arena *arena, const struct sqlite_rows *rows,
			  size_t row, enum import_outcome *outcome, struct errmsg *why)
{
	enum { TYPE_CHARACTERS = 64, STATUS_CHARACTERS = 16 };
	const char *status = take_optional(rows, row, JOB_STATUS, STATUS_CHARACTERS);
	struct imported_job job = {
	    .source_id = sqlite_text(rows, row, JOB_ID),
	    .status = status != NULL ? status : "unknown",
	    .started_us = sqlite_time_us(rows, row, JOB_STARTED),
	    .completed_us = sqlite_time_us(rows, row, JOB_COMPLETED),
	    .result = sqlite_text(rows, row, JOB_RESULT),
	    .error = sqlite_text(rows, row, JOB_ERROR),
	};
	enum err err = take(rows, row, JOB_TYPE, "type", TYPE_CHARACTERS, &job.job_type, why);
	return err == ERR_OK ? job_import(db, arena, &job, outcome, why) : err;
}

const struct sqlite_kind sqlite_jobs = {"job_history", "jobs",    job_columns,
					JOB_COLUMNS,   write_job, "job_history"};
