/*
 * Every setting, a row each: the one place they are written down.  The struct,
 * the parser, the shipped example, ZIGGIE_* variables, --print-config, the manual
 * page and the reference come from these rows.
 *
 *	ROW(name, TYPE, default, minimum, maximum, unit, reload, "documentation")
 *
 * TYPE is UINT, BOOL, TEXT, PATH, DURATION (kept in milliseconds; written as 500ms,
 * 30s, 5m, 1h) or SIZE (kept in bytes; written as 64k, 1M).  Minimum and maximum
 * are those of the kept value, or of the length of a text.  RELOAD: a new
 * generation of workers (SIGHUP) picks it up; RESTART: ziggied must be restarted.
 * No include guard: the file is included once for each use of the rows.
 */
/* clang-format off */

/* Processes */
ROW(workers,            UINT,     "0",       0,     64,       "processes", RELOAD,  "Worker processes; 0 means one for each processor.")
ROW(threads,            UINT,     "16",      3,     64,       "threads",   RELOAD,  "Threads that handle requests in each worker.")
ROW(max_connections,    UINT,     "2048",    16,    65536,    "connections", RELOAD, "Connections from the web server that a worker keeps open; it stops accepting beyond.")
ROW(listen_backlog,     UINT,     "4096",    16,    65535,    "connections", RESTART, "Connections that may wait to be accepted; the kernel's net.core.somaxconn caps it.")
ROW(socket,             PATH,     "/run/ziggie/fcgi.sock", 1, 107, "",    RESTART, "Unix socket on which the workers serve FastCGI.")
ROW(socket_group,       TEXT,     "",        0,     32,       "",          RESTART, "Group that may connect to the socket (the web server's); empty leaves the group alone.")
ROW(pid_file,           PATH,     "/run/ziggie/ziggied.pid", 1, 4095, "", RESTART, "File that holds ziggied's process id and its lock.")
ROW(user,               TEXT,     "",        0,     32,       "",          RESTART, "User that workers and jobs run as when ziggied starts as root; empty stays root.")
ROW(host_id,            TEXT,     "",        0,     64,       "",          RELOAD,  "Name of this host within the fleet; empty takes the hostname.")
ROW(drain_timeout,      DURATION, "30s",     1000,  600000,   "",          RELOAD,  "How long an old generation may finish its requests before it is ended.")

/* Log */
ROW(log_file,           PATH,     "",        0,     4095,     "",          RELOAD,  "File for the JSON log lines; empty means standard error.")
ROW(log_level,          TEXT,     "info",    1,     16,       "",          RELOAD,  "Least level that is logged: debug, info, warning or error.")
ROW(log_requests,       BOOL,     "yes",     0,     1,        "",          RELOAD,  "Whether each request gets a log line.")

/* Requests */
ROW(request_timeout,    DURATION, "9500ms",  100,   600000,   "",          RELOAD,  "Deadline of a request, counted from its arrival at the web server; keep it below the web server's own limit.")
ROW(read_timeout,       DURATION, "10s",     100,   600000,   "",          RELOAD,  "How long a connection may take from a request's first byte to its last.")
ROW(write_timeout,      DURATION, "30s",     100,   600000,   "",          RELOAD,  "How long the web server may take none of an answer before the connection is closed.")
ROW(idle_timeout,       DURATION, "60s",     1000,  3600000,  "",          RELOAD,  "How long a kept connection may wait for its next request; keep it well above the web server's keepalive_timeout.")
ROW(max_body,           SIZE,     "1M",      1024,  67108864, "",          RELOAD,  "Largest request body; larger ones are refused with 413.")
ROW(queue_target,       DURATION, "200ms",   1,     60000,    "",          RELOAD,  "Time in the queue that is tolerated; when every request of queue_interval waited longer, those over twice this time are refused.")
ROW(queue_interval,     DURATION, "500ms",   10,    60000,    "",          RELOAD,  "How long, in time of serving, the queue must stay over queue_target before requests are refused.")

/* Database */
ROW(db_socket,          PATH,     "/run/mysqld/mysqld.sock", 0, 107, "",  RELOAD,  "MariaDB's Unix socket; empty uses db_host and db_port.")
ROW(db_host,            TEXT,     "127.0.0.1", 1,   255,      "",          RELOAD,  "MariaDB's address when db_socket is empty.")
ROW(db_port,            UINT,     "3306",    1,     65535,    "",          RELOAD,  "MariaDB's port when db_socket is empty.")
ROW(db_name,            TEXT,     "ziggie",  1,     64,       "",          RELOAD,  "Database.")
ROW(db_user,            TEXT,     "ziggie",  1,     80,       "",          RELOAD,  "Database account.")
ROW(db_password_file,   PATH,     "",        0,     4095,     "",          RELOAD,  "File with the account's password; empty means none (unix_socket authentication).")
ROW(db_hosts,           UINT,     "1",       1,     1000,     "hosts",     RELOAD,  "Hosts that share this database; db_hosts x 2 x (db_pool_max + job_threads + 2) + db_reserve must fit the server's max_connections, so that both generations of a reload do.")
ROW(db_pool_min,        UINT,     "5",       0,     1000,     "connections", RELOAD, "Database connections that this host keeps open, shared out among its workers.")
ROW(db_pool_max,        UINT,     "40",      1,     1000,     "connections", RELOAD, "Database connections that this host may open, shared out among its workers.")
ROW(db_pool_wait,       DURATION, "30s",     1,     600000,   "",          RELOAD,  "Longest wait for a free connection; the request's deadline ends it earlier.")
ROW(db_pool_recycle,    DURATION, "3600s",   1000,  86400000, "",          RELOAD,  "Age at which a connection is replaced, give or take a tenth; keep it below the server's wait_timeout.")
ROW(db_pool_validate,   DURATION, "30s",     0,     3600000,  "",          RELOAD,  "A connection that idled longer is checked before use.")
ROW(db_pool_leak,       DURATION, "30s",     100,   600000,   "",          RELOAD,  "A connection borrowed for longer is logged with the borrower's route.")
ROW(db_connect_timeout, DURATION, "2s",      100,   60000,    "",          RELOAD,  "Time limit for opening a database connection.")
ROW(db_slow_statement,  DURATION, "100ms",   1,     3600000,  "",          RESTART, "Statements that take longer are listed by /api/performance/slow-queries; an administrator can change it there until ziggied is restarted.")
ROW(db_reserve,         UINT,     "10",      0,     1000,     "connections", RELOAD, "Connections of the server left to administrators and other programs.")

/* Cache and host statistics */
ROW(memcached,          TEXT,     "/run/memcached/memcached.sock", 0, 1024, "", RELOAD, "memcached servers, separated by commas: host:port or a socket's path; empty runs without.")
ROW(memcached_timeout,  DURATION, "30ms",    1,     10000,    "",          RELOAD,  "Time limit for one exchange with memcached.")
ROW(memcached_retry,    DURATION, "1s",      10,    60000,    "",          RELOAD,  "Pause before a memcached server that failed is asked again.")
ROW(l1_ttl,             DURATION, "250ms",   1,     60000,    "",          RELOAD,  "How long a worker reuses a value of the cache without asking memcached.")
ROW(l1_max_size,        SIZE,     "4M",      65536, 1073741824, "",        RELOAD,  "Memory for such values in each worker.")
ROW(sample_interval,    DURATION, "1s",      100,   60000,    "",          RELOAD,  "Pause between two samples of processor, memory, disks and network.")
ROW(processes_interval, DURATION, "2s",      100,   60000,    "",          RELOAD,  "Pause between two samples of the processes.")
ROW(ports_interval,     DURATION, "10s",     100,   60000,    "",          RELOAD,  "Pause between two samples of the ports.")
ROW(sample_ttl,         DURATION, "30s",     5000,  60000,    "",          RELOAD,  "How long memcached keeps a sample.")
ROW(interest_ttl,       DURATION, "30s",     1000,  600000,   "",          RELOAD,  "How long after the last request for them the costly samples go on.")
ROW(heartbeat_interval, DURATION, "10s",     1000,  60000,    "",          RELOAD,  "Pause between two signs of life that this host writes into the database; when three are missing it counts as silent.")
ROW(proc_root,          PATH,     "/proc",   1,     4095,     "",          RELOAD,  "Where the process file system is mounted.")
ROW(sys_root,           PATH,     "/sys",    1,     4095,     "",          RELOAD,  "Where sysfs is mounted.")

/* Background jobs */
ROW(job_threads,        UINT,     "2",       1,     16,       "threads",   RELOAD,  "Background jobs that this host runs at once. ziggie-jobs takes so many database connections and two more, beside db_pool_max; twice as many during a reload.")
ROW(job_lease,          DURATION, "15s",     3000,  600000,   "",          RELOAD,  "When a host that runs a job, or is the scheduler, has not been heard of for so long, another takes over.")
ROW(job_retention,      DURATION, "720h",    3600000, 315360000000, "",    RELOAD,  "How long jobs that have ended are kept.")

/* Accounts */
ROW(token_lifetime,     DURATION, "24h",     60000, 31536000000, "",       RELOAD,  "Lifetime of a login token.")
ROW(token_cache_ttl,    DURATION, "1s",      0,     60000,    "",          RELOAD,  "How long a worker trusts a token without asking the database.")
ROW(token_grace,        DURATION, "60s",     0,     600000,   "",          RELOAD,  "While the database is down, how long a known token still opens the host routes.")
ROW(token_cache_size,   UINT,     "4096",    64,    1048576,  "tokens",    RELOAD,  "Tokens that a worker remembers, known and unknown ones each.")
ROW(password_hashes,    UINT,     "2",       1,     64,       "hashes",    RELOAD,  "Password hashes that a worker computes at once, half of its threads at most; each takes 64 MB.")
ROW(open_registration,  BOOL,     "no",      0,     1,        "",          RELOAD,  "Whether anybody may make an account of the role user; an administrator always can.")
ROW(audit_retention,    DURATION, "8760h",   3600000, 315360000000, "",    RELOAD,  "How long the audit of who did what is kept.")
ROW(metrics_token_file, PATH,     "",        0,     4095,     "",          RELOAD,  "File with the token that opens /metrics to other than loopback clients; empty allows loopback and admins only.")

/* Other sites */
ROW(cors_origins,       TEXT,     "",        0,     2048,     "",          RELOAD,  "Origins whose pages may call the API from a browser, separated by commas: https://dash.example.org; empty allows none.")

/* Limits */
ROW(ratelimit_enabled,  BOOL,     "yes",     0,     1,        "",          RELOAD,  "Whether requests are limited at all.")
ROW(ratelimit_scope,    TEXT,     "host",    1,     16,       "",          RELOAD,  "host: each host counts for itself; fleet: all hosts that share memcached count together.")
ROW(ratelimit_read,     UINT,     "60",      0,     1000000000, "requests", RELOAD, "Reads a minute, for each principal and route of the legacy family; 0 for no limit, here and below.")
ROW(ratelimit_read_v1,  UINT,     "300",     0,     1000000000, "requests", RELOAD, "Reads a minute, for each principal and route of /api/v1.")
ROW(ratelimit_write,    UINT,     "300",     0,     1000000000, "requests", RELOAD, "Writes a minute, for each principal and route of /api/v1.")
ROW(ratelimit_logs,     UINT,     "30",      0,     1000000000, "requests", RELOAD, "Requests a minute for logs, ports and other costly lists, for each principal and route.")
ROW(ratelimit_control,  UINT,     "10",      0,     1000000000, "requests", RELOAD, "Starts, stops, restarts and the like a minute, for each principal and route.")
ROW(ratelimit_login,    UINT,     "10",      0,     1000000000, "requests", RELOAD, "Attempts to sign in a minute from one address.")
ROW(ratelimit_login_account, UINT, "20",     0,     1000000000, "requests", RELOAD, "Attempts to sign in a minute to one account, existing or not.")
ROW(ratelimit_account,  UINT,     "5",       0,     1000000000, "requests", RELOAD, "Registrations, changes of a password and deletions of users an hour, for each principal and route.")
ROW(ratelimit_search,   UINT,     "100",     0,     1000000000, "requests", RELOAD, "Searches a minute, for each principal and route.")
ROW(ratelimit_ingest,   UINT,     "10",      0,     1000000000, "requests", RELOAD, "Ingestions a minute, for each principal and route.")
ROW(ratelimit_total,    UINT,     "1000",    0,     1000000000, "requests", RELOAD, "Requests a minute over all limited routes, for each user or API key.")
/* clang-format on */
