/*
 * Plain values that threads keep in the scoreboard, a row each; /metrics is made
 * from these rows.  Rows of one metric stand together.
 *
 *	COUNTER(name, "metric", "labels", "help")	only grows; survives its process
 *	GAUGE(name, "metric", "labels", "help")		summed over live threads
 *
 * A metric in seconds is kept in microseconds.  A new row goes to the end of its list: the order is
 *part of the layout (SCOREBOARD_VERSION).  No include guard: included once for each use.
 */
/* clang-format off */
#ifndef COUNTER
#define COUNTER(name, metric, labels, help)
#endif
#ifndef GAUGE
#define GAUGE(name, metric, labels, help)
#endif

/* Connections and requests, before there is a route */
COUNTER(accepted,            "ziggie_connections_accepted_total", "", "Connections accepted from the web server.")
COUNTER(accept_paused,       "ziggie_accept_pauses_total", "reason=\"max_connections\"", "Times that accepting paused.")
COUNTER(accept_errors,       "ziggie_accept_pauses_total", "reason=\"error\"", "Times that accepting paused.")
COUNTER(protocol_errors,     "ziggie_protocol_errors_total", "", "Connections closed because the peer broke FastCGI.")
COUNTER(read_timeouts,       "ziggie_read_timeouts_total", "", "Connections closed because a request did not become complete in time.")
COUNTER(shed_queue,          "ziggie_shed_total", "reason=\"queue\"", "Requests refused early because of overload.")
COUNTER(shed_expired,        "ziggie_shed_total", "reason=\"expired\"", "Requests refused early because of overload.")
COUNTER(write_timeouts,      "ziggie_write_timeouts_total", "", "Connections closed because an answer was not taken in time.")
COUNTER(parked,              "ziggie_parked_total", "", "Requests that waited for their weight class's turn.")
COUNTER(client_gone,         "ziggie_clients_gone_total", "", "Requests whose client went away before the answer.")
COUNTER(log_lost,            "ziggie_log_lines_lost_total", "", "Log lines that could not be written.")

/* Database pool */
COUNTER(pool_waits,          "ziggie_pool_waits_total", "", "Borrowers that had to wait for a connection.")
COUNTER(pool_wait_us,        "ziggie_pool_wait_seconds_total", "", "Time that borrowers waited.")
COUNTER(pool_timeouts,       "ziggie_pool_timeouts_total", "", "Borrowers that got no connection in time.")
COUNTER(pool_opened,         "ziggie_pool_opened_total", "", "Database connections opened.")
COUNTER(pool_open_failures,  "ziggie_pool_open_failures_total", "", "Database connections that could not be opened.")
COUNTER(pool_recycled,       "ziggie_pool_closed_total", "reason=\"age\"", "Database connections closed.")
COUNTER(pool_discarded,      "ziggie_pool_closed_total", "reason=\"broken\"", "Database connections closed.")
COUNTER(pool_leaks,          "ziggie_pool_leaks_total", "", "Connections borrowed for longer than db_pool_leak.")
COUNTER(db_killed,           "ziggie_db_statements_killed_total", "", "Statements ended by KILL QUERY.")

/* Cache */
COUNTER(cache_l1_hits,       "ziggie_cache_lookups_total", "tier=\"l1\",result=\"hit\"", "Cache lookups.")
COUNTER(cache_l1_misses,     "ziggie_cache_lookups_total", "tier=\"l1\",result=\"miss\"", "Cache lookups.")
COUNTER(cache_hits,          "ziggie_cache_lookups_total", "tier=\"memcached\",result=\"hit\"", "Cache lookups.")
COUNTER(cache_misses,        "ziggie_cache_lookups_total", "tier=\"memcached\",result=\"miss\"", "Cache lookups.")
COUNTER(cache_errors,        "ziggie_cache_errors_total", "", "Exchanges with memcached that failed.")
COUNTER(cache_skipped,       "ziggie_cache_skipped_total", "", "Exchanges with memcached not tried, as it had failed just before.")
COUNTER(cache_l1_evictions,  "ziggie_cache_evictions_total", "tier=\"l1\"", "Values dropped to make room.")
COUNTER(host_stale,          "ziggie_host_answers_total", "source=\"stale\"", "Host statistics answered, by where they came from.")
COUNTER(host_collected,      "ziggie_host_answers_total", "source=\"collected\"", "Host statistics answered, by where they came from.")
COUNTER(samples,             "ziggie_samples_total", "result=\"published\"", "Samples that ziggie-jobs took.")
COUNTER(sample_failures,     "ziggie_samples_total", "result=\"failed\"", "Samples that ziggie-jobs took.")

/* Accounts */
COUNTER(logins,              "ziggie_logins_total", "result=\"accepted\"", "Attempts to log in.")
COUNTER(login_failures,      "ziggie_logins_total", "result=\"refused\"", "Attempts to log in.")
COUNTER(token_hits,          "ziggie_token_lookups_total", "result=\"remembered\"", "Tokens checked, by how.")
COUNTER(token_reads,         "ziggie_token_lookups_total", "result=\"database\"", "Tokens checked, by how.")
COUNTER(token_grace,         "ziggie_token_lookups_total", "result=\"grace\"", "Tokens checked, by how.")
COUNTER(token_unknown,       "ziggie_token_lookups_total", "result=\"unknown\"", "Tokens checked, by how.")

/* Rate limits */
COUNTER(limit_admitted,      "ziggie_ratelimit_admitted_total", "", "Requests that counted, and were within all limits.")
COUNTER(limit_refused_read,   "ziggie_ratelimit_refused_total", "class=\"read\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_read_v1, "ziggie_ratelimit_refused_total", "class=\"read-v1\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_write,  "ziggie_ratelimit_refused_total", "class=\"write\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_logs,   "ziggie_ratelimit_refused_total", "class=\"logs\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_control, "ziggie_ratelimit_refused_total", "class=\"control\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_login,  "ziggie_ratelimit_refused_total", "class=\"login\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_login_account, "ziggie_ratelimit_refused_total", "class=\"login-account\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_account, "ziggie_ratelimit_refused_total", "class=\"account\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_search, "ziggie_ratelimit_refused_total", "class=\"search\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_ingest, "ziggie_ratelimit_refused_total", "class=\"ingest\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_refused_total,  "ziggie_ratelimit_refused_total", "class=\"total\"", "Requests refused with 429, by the limit that was reached.")
COUNTER(limit_uncounted,     "ziggie_ratelimit_uncounted_total", "", "Requests admitted without being counted, as the table had no room.")
COUNTER(limit_alone,         "ziggie_ratelimit_alone_total", "", "Requests that this host counted alone, as memcached did not answer.")

GAUGE(connections,           "ziggie_connections", "", "Connections from the web server that are open.")
GAUGE(queued,                "ziggie_requests_queued", "", "Complete requests that wait for a thread.")
GAUGE(pool_in_use,           "ziggie_pool_connections", "state=\"in_use\"", "Database connections.")
GAUGE(pool_idle,             "ziggie_pool_connections", "state=\"idle\"", "Database connections.")
GAUGE(pool_waiting,          "ziggie_pool_waiting", "", "Threads that wait for a database connection.")
GAUGE(pool_max,              "ziggie_pool_max", "", "Database connections that may be open.")
GAUGE(cache_l1_bytes,        "ziggie_cache_bytes", "tier=\"l1\"", "Memory of cached values.")
GAUGE(cache_l1_entries,      "ziggie_cache_entries", "tier=\"l1\"", "Cached values.")
GAUGE(token_entries,         "ziggie_cache_entries", "tier=\"tokens\"", "Cached values.")
GAUGE(cache_unavailable,     "ziggie_cache_unavailable", "", "Processes that memcached does not answer.")
GAUGE(jobs_queued,           "ziggie_jobs", "status=\"queued\"", "Background jobs, on the host that is the scheduler; 0 on the others.")
GAUGE(jobs_running,          "ziggie_jobs", "status=\"running\"", "Background jobs, on the host that is the scheduler; 0 on the others.")
GAUGE(jobs_dead,             "ziggie_jobs", "status=\"dead\"", "Background jobs, on the host that is the scheduler; 0 on the others.")
GAUGE(jobs_oldest_us,        "ziggie_jobs_oldest_due_seconds", "", "How long the oldest queued job has been due, on the host that is the scheduler.")

#undef COUNTER
#undef GAUGE
/* clang-format on */
