"""Background jobs: what people see of them, and that they survive what happens to ziggie-jobs."""

import os
import signal
import threading
import uuid

import pytest

from harness import RunningStack, wait_for

JOBS = "/api/v1/jobs"
THREADS = 2  # job_threads
OVER = ("completed", "failed", "dead", "cancelled")


@pytest.fixture(scope="module")
def ground():
    """A stack whose leases are short."""
    stack = RunningStack("--workers", "1", settings={"job_lease": "3s"})
    try:
        stack.start()
        yield stack
    finally:
        stack.remove()


@pytest.fixture
def api(ground):
    return ground.api()


@pytest.fixture
def sql(ground):
    with ground.database() as connection, connection.cursor() as cursor:
        def run(text, *values):
            cursor.execute(text, values)
            return cursor.fetchall()
        yield run


def expect(answer, status=200):
    assert answer.status_code == status, answer.text
    return answer.json()


def read(api, token, job):
    return expect(api.get(f"{JOBS}/{job['id']}", token))


def idle(sql):
    """Whether the jobs of the schedule are done, and none else waits."""
    return sql("SELECT COUNT(*) FROM jobs WHERE status IN ('queued', 'running')") == ((0,),) \
        and sql("SELECT COUNT(*) FROM schedules")[0][0] >= 4


def put_off(sql, count=1, job_type="verify-counts", status="queued"):
    """Jobs that nobody takes before tomorrow, or that ended so; their ids."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    for identity in ids:
        sql("INSERT INTO jobs (id, created_at, updated_at, job_type, status, payload, attempts,"
            " max_attempts, repeatable, run_after) VALUES (UNHEX(REPLACE(%s, '-', '')),"
            " UTC_TIMESTAMP(), UTC_TIMESTAMP(), %s, %s, '{}', 0, 5, TRUE,"
            " UTC_TIMESTAMP() + INTERVAL 1 DAY)", identity, job_type, status)
    return ids


def test_the_schedule_runs_by_itself(ground, api, sql):
    wait_for(lambda: idle(sql), 30, "the end of the first jobs")
    items = expect(api.get(f"{JOBS}?status=completed", ground.token("readonly")))["items"]
    assert {item["job_type"] for item in items} >= {
        "remove-old-audit", "remove-expired", "remove-old-jobs", "verify-counts"}
    for item in items:
        assert (item["progress"], item["attempts"], item["error"]) == (100, 1, None)
        assert item["started_at"] <= item["completed_at"]
        assert item["owner_id"] is None and isinstance(item["result"], dict)


def test_an_administrator_queues_a_job_and_it_is_done(ground, api, sql):
    wait_for(lambda: idle(sql), 30, "rest")
    sql("INSERT INTO record_counts VALUES ('plan', 99, 7)")
    made = api.post(JOBS, ground.token(), json={"job_type": "verify-counts"})
    job = expect(made, 201)
    assert made.headers["Location"] == f"{JOBS}/{job['id']}" and made.headers["ETag"] == '"1"'
    assert (job["status"], job["progress"], job["attempts"]) == ("queued", 0, 0)
    done = wait_for(lambda: (seen := read(api, ground.token(), job))["completed_at"] and seen, 20)
    assert done["status"] == "completed" and done["result"]["plans"] == -7
    assert expect(api.get("/api/v1/plans", ground.token()))["total"] == 0


def test_wrong_task_counts_of_agents_are_mended(ground, api, sql):
    wait_for(lambda: idle(sql), 30, "rest")
    agents = [expect(api.post("/api/v1/agents", ground.token(), json={"name": "counted"}), 201)
              for _ in range(3)]
    for agent in agents:
        expect(api.post("/api/v1/tasks", ground.token(),
                        json={"description": "d", "agent_id": agent["id"]}), 201)
    sql("UPDATE agent_tasks SET ready = 5, failed = 2 WHERE agent_id = UNHEX(REPLACE(%s, '-', ''))",
        agents[0]["id"])
    sql("DELETE FROM agent_tasks WHERE agent_id = UNHEX(REPLACE(%s, '-', ''))", agents[1]["id"])
    job = expect(api.post(JOBS, ground.token(), json={"job_type": "verify-counts"}), 201)
    done = wait_for(lambda: (seen := read(api, ground.token(), job))["completed_at"] and seen, 20)
    assert (done["status"], done["result"]["agent_tasks"]) == ("completed", 2)
    for agent in agents:
        shown = expect(api.get(f"/api/v1/agents/{agent['id']}", ground.token()))["task_counts"]
        assert {status: n for status, n in shown.items() if n} == {"ready": 1}
    (entry,) = ground.log_lines(event="task_counts_mended")
    assert entry["agents"] == 2


def test_old_audit_rows_and_answers_go(ground, api, sql):
    wait_for(lambda: idle(sql), 30, "rest")
    sql("INSERT INTO audit (id, at, action, resource) SELECT UNHEX(CONCAT(LPAD(HEX(seq), 12, '0'),"
        " '70008000000000000000')), '1970-01-01', 'x', 'old' FROM seq_1_to_1200")
    sql("INSERT INTO idempotency (principal_id, key_hash, request_hash, holder, held_until,"
        " created_at) SELECT 'a', UNHEX(SHA2(seq, 256)), '', '', '2020-01-01', '2020-01-01'"
        " FROM seq_1_to_700")
    for job_type, what, count in (("remove-old-audit", "rows", 1200),
                                  ("remove-expired", "answers", 700)):
        job = expect(api.post(JOBS, ground.token(), json={"job_type": job_type}), 201)
        done = wait_for(lambda job=job: (seen := read(api, ground.token(), job))["completed_at"]
                        and seen, 20)
        assert done["result"][what] == count
    assert sql("SELECT COUNT(*) FROM audit WHERE resource = 'old'") == ((0,),)
    assert sql("SELECT COUNT(*) FROM idempotency WHERE created_at < '2021-01-01'") == ((0,),)


def test_one_of_a_kind_is_queued_at_a_time(ground, api, sql):
    (identity,) = put_off(sql)
    sql("UPDATE jobs SET single_key = 'verify-counts' WHERE id = UNHEX(REPLACE(%s, '-', ''))",
        identity)
    refused = api.post(JOBS, ground.token(), json={"job_type": "verify-counts"})
    assert "single_key" in expect(refused, 409)["detail"]
    expect(api.post(f"{JOBS}/{identity}/cancel", ground.token()))


def test_what_is_no_type_is_refused(ground, api):
    answer = expect(api.post(JOBS, ground.token(), json={"job_type": "rm -rf"}), 422)
    assert answer["errors"][0]["field"] == "job_type"


def test_only_administrators_make_and_repeat_jobs(ground, api, sql):
    (dead,) = put_off(sql, status="dead")
    (queued,) = put_off(sql)
    for role in ("user", "readonly"):
        token = ground.token(role)
        expect(api.get(f"{JOBS}/{dead}", token))
        expect(api.post(JOBS, token, json={"job_type": "verify-counts"}), 403)
        expect(api.post(f"{JOBS}/{dead}/retry", token), 403)
        expect(api.post(f"{JOBS}/{queued}/cancel", token), 403)
    expect(api.get(JOBS), 401)
    expect(api.post(f"{JOBS}/{queued}/cancel", ground.token()))


def test_a_queued_job_is_cancelled_at_once(ground, api, sql):
    (identity,) = put_off(sql)
    job = expect(api.post(f"{JOBS}/{identity}/cancel", ground.token()))
    assert job["status"] == "cancelled" and job["completed_at"]
    assert expect(api.post(f"{JOBS}/{identity}/cancel", ground.token())) == job
    (entry,) = expect(api.get(f"/api/v1/audit?record={identity}", ground.token()))["items"]
    assert (entry["action"], entry["after"]["status"]) == ("update", "cancelled")


def test_a_running_job_is_asked_to_end(ground, api, sql):
    (identity,) = put_off(sql, status="running")
    sql("UPDATE jobs SET lease_id = 'x', lease_until = UTC_TIMESTAMP() + INTERVAL 1 DAY"
        " WHERE id = UNHEX(REPLACE(%s, '-', ''))", identity)
    job = expect(api.post(f"{JOBS}/{identity}/cancel", ground.token()))
    assert (job["status"], job["cancel_requested"]) == ("running", True)
    expect(api.post(f"{JOBS}/{identity}/retry", ground.token()), 409)
    # Its process has gone meanwhile.
    sql("UPDATE jobs SET lease_until = '2020-01-01' WHERE id = UNHEX(REPLACE(%s, '-', ''))",
        identity)
    wait_for(lambda: read(api, ground.token(), job)["status"] == "cancelled", what="its end")


def test_a_dead_job_is_seen_and_queued_again(ground, api, sql):
    wait_for(lambda: idle(sql), 30, "rest")
    (identity,) = put_off(sql, status="dead")
    listed = expect(api.get(f"{JOBS}?status=dead&job_type=verify-counts", ground.token()))
    assert identity in [item["id"] for item in listed["items"]]
    wait_for(lambda: 'ziggie_jobs{status="dead"} 0' not in api.get("/metrics").text, what="a count")
    job = expect(api.post(f"{JOBS}/{identity}/retry", ground.token()))
    assert (job["status"], job["attempts"], job["completed_at"]) == ("queued", 0, None)
    wait_for(lambda: read(api, ground.token(), job)["status"] == "completed", what="its end")
    expect(api.post(f"{JOBS}/{identity}/retry", ground.token()), 409)
    expect(api.post(f"{JOBS}/{identity}/cancel", ground.token()), 409)


@pytest.mark.concurrency
def test_killed_under_load_each_job_is_done_once_or_seen_to_have_failed(ground, api, sql):
    """A locked table keeps in their middle those that are being done when it is killed."""
    wait_for(lambda: idle(sql), 30, "rest")
    ids = put_off(sql, 80)
    stop = threading.Event()

    def ask():
        client = ground.api()
        while not stop.is_set():
            client.get(JOBS, ground.token())

    def begun():
        return sql("SELECT COALESCE(SUM(attempts), 0) FROM jobs")[0][0]
    load = threading.Thread(target=ask)
    load.start()
    try:
        with ground.database() as other, other.cursor() as holder:
            holder.execute("LOCK TABLES plans WRITE")
            before = begun()
            sql("UPDATE jobs SET run_after = '2020-01-01', max_attempts = 50"
                " WHERE status = 'queued'")
            for kills in range(3):
                wait_for(lambda: begun() == before + (kills + 1) * THREADS, what="jobs being done")
                ground.kill("ziggie-jobs", signal.SIGKILL)
            holder.execute("UNLOCK TABLES")
        wait_for(lambda: idle(sql), 60, "the end of all jobs")
    finally:
        stop.set()
        load.join()
    jobs = [expect(api.get(f"{JOBS}/{identity}", ground.token())) for identity in ids]
    assert {job["status"] for job in jobs} == {"completed"}
    assert sum(job["attempts"] for job in jobs) == len(ids) + 3 * THREADS
    assert all(job["completed_at"] and "plans" in job["result"] for job in jobs)


# ziggiectl

def assert_refused(done, status, *words):
    assert (done.returncode, done.stdout) == (status, ""), (done.returncode, done.stderr)
    assert done.stderr.startswith("ziggiectl: ")
    for word in words:
        assert word in done.stderr


def shown(ground, identity):
    lines = ground.ctl("job", "show", identity).stdout.splitlines()
    return dict(line.split(None, 1) for line in lines)


def audit_of(api, ground, identity):
    keep = ("username", "remote_address", "action", "resource")
    items = expect(api.get(f"/api/v1/audit?record={identity}", ground.token()))["items"]
    return [({key: item[key] for key in keep}, sorted(item["before"]), sorted(item["after"]))
            for item in items]


def test_ziggiectl_lists_the_newest_first(ground, sql):
    dead, queued = sorted(put_off(sql, 3, status="dead")), put_off(sql)
    rows = [line.split() for line in
            ground.ctl("job", "list", "--status", "dead", "--limit=1000").stdout.splitlines()]
    assert rows[0] == ["ID", "TYPE", "STATUS", "PROGRESS", "ATTEMPTS", "CREATED", "HOST"]
    assert {row[2] for row in rows[1:]} == {"dead"}
    assert [row[0] for row in rows[1:] if row[0] in dead + queued] == dead[::-1]
    newest = next(row for row in rows if row[0] == dead[-1])
    assert newest[1] == "verify-counts" and newest[3:5] == ["0%", "0/5"] and newest[-1] == "-"
    two = ground.ctl("job", "list", "--status", "dead", "--limit", "2").stdout.splitlines()
    assert [line.split() for line in two] == rows[:3]
    everything = ground.ctl("job", "list", "--limit", "1000").stdout
    assert {line.split()[2] for line in everything.splitlines()[1:]} >= {"dead", "queued"}
    assert all(identity in everything for identity in dead + queued)
    ground.ctl("job", "cancel", queued[0])


def test_ziggiectl_shows_all_of_a_job(ground, api, sql):
    (identity,) = put_off(sql, status="dead")
    sql("UPDATE jobs SET error = %s, attempts = 5 WHERE id = UNHEX(REPLACE(%s, '-', ''))",
        "no \033[31mroom", identity)
    fields = shown(ground, identity)
    assert list(fields) == list(read(api, ground.token(), {"id": identity}))
    assert (fields["id"], fields["status"], fields["attempts"]) == (identity, "dead", "5")
    assert (fields["repeatable"], fields["payload"], fields["result"]) == ("true", "{}", "-")
    assert fields["error"] == "no ?[31mroom"


def test_ziggiectl_queues_a_dead_job_again_as_the_api_does(ground, api, sql):
    wait_for(lambda: idle(sql), 30, "rest")
    one, other = put_off(sql, 2, status="dead")
    assert ground.ctl("job", "retry", one).stdout == ""
    expect(api.post(f"{JOBS}/{other}/retry", ground.token()))
    for identity in (one, other):
        wait_for(lambda identity=identity: shown(ground, identity)["status"] == "completed", 20,
                 "its end")
    (by_ctl,), (by_api,) = audit_of(api, ground, one), audit_of(api, ground, other)
    assert by_ctl == ({**by_api[0], "username": None, "remote_address": "ziggiectl"}, *by_api[1:])
    assert_refused(ground.ctl("job", "retry", one, check=False), 73, "completed")


def test_ziggiectl_cancels_once(ground, api, sql):
    (identity,) = put_off(sql)
    for _ in range(2):
        assert ground.ctl("job", "cancel", identity).stdout == ""
        assert shown(ground, identity)["status"] == "cancelled"
    assert len(audit_of(api, ground, identity)) == 1
    (over,) = put_off(sql, status="completed")
    assert_refused(ground.ctl("job", "cancel", over, check=False), 73, "completed job can't become")


def test_ziggiectl_asks_a_running_job_to_end(ground, sql):
    (identity,) = put_off(sql, status="running")
    sql("UPDATE jobs SET lease_id = 'x', lease_until = UTC_TIMESTAMP() + INTERVAL 1 DAY"
        " WHERE id = UNHEX(REPLACE(%s, '-', ''))", identity)
    ground.ctl("job", "cancel", identity)
    fields = shown(ground, identity)
    assert (fields["status"], fields["cancel_requested"]) == ("running", "true")
    assert_refused(ground.ctl("job", "retry", identity, check=False), 73, "running")
    sql("UPDATE jobs SET lease_until = '2020-01-01' WHERE id = UNHEX(REPLACE(%s, '-', ''))",
        identity)
    wait_for(lambda: shown(ground, identity)["status"] == "cancelled", what="its end")


def test_ziggiectl_knows_no_such_job(ground):
    for command in ("show", "retry", "cancel"):
        done = ground.ctl("job", command, str(uuid.uuid4()), check=False)
        assert_refused(done, 67, "no such job")


# What it takes

def test_connections_are_those_that_readiness_counts(ground, api, sql):
    """As many jobs at once as there can be: a locked table keeps them in their middle."""
    wait_for(lambda: idle(sql), 30, "rest")

    def of_jobs():
        lines = api.get("/metrics").text.splitlines()
        of_workers = sum(int(line.split()[-1]) for line in lines
                         if line.startswith("ziggie_pool_connections{"))
        return sql("SELECT COUNT(*) FROM information_schema.processlist"
                   " WHERE user = 'ziggie'")[0][0] - of_workers
    put_off(sql, THREADS)
    with ground.database() as other, other.cursor() as holder:
        holder.execute("LOCK TABLES plans WRITE")
        sql("UPDATE jobs SET run_after = '2020-01-01' WHERE status = 'queued'")
        wait_for(lambda: sql("SELECT COUNT(*) FROM jobs WHERE status = 'running'") == ((THREADS,),),
                 20, "jobs being done")
        # A heartbeat has one for a moment.
        wait_for(lambda: of_jobs() == THREADS + 2, what="the connections of ziggie-jobs")
        holder.execute("UNLOCK TABLES")
    wait_for(lambda: idle(sql), 30, "the end of all jobs")


# Several hosts

@pytest.mark.concurrency
def test_one_scheduler_of_two_hosts_and_another_when_it_dies():
    stack = RunningStack("--hosts", "2", "--workers", "1", settings={"job_lease": "3s"})
    try:
        stack.start()
        with stack.database() as connection, connection.cursor() as cursor:
            def ask(text):
                cursor.execute(text)
                return cursor.fetchall()
            holder = wait_for(lambda: ask("SELECT HEX(holder), fence FROM leases"
                                          " WHERE holder IS NOT NULL"), 20, "a scheduler")
            wait_for(lambda: ask("SELECT COUNT(*) FROM jobs WHERE status = 'completed'")
                     == ((4,),), 30, "the end of the first jobs")
            assert len(wait_for(lambda: stack.pids("ziggie-jobs"), 10)) == 2
            # One is the scheduler as long as it lives.
            assert ask("SELECT HEX(holder), fence FROM leases") == holder
            here = [entry["pid"] for name in ("ziggied", "ziggied-2")
                    for entry in stack.json_lines(name) if entry["event"] == "scheduler_here"]
            assert len(here) == 1
            for pid in stack.pids("ziggie-jobs"):
                if pid == here[0]:
                    os.kill(pid, signal.SIGKILL)
            wait_for(lambda: ask("SELECT fence FROM leases")[0][0] == holder[0][1] + 1, 20,
                     "another scheduler")
            assert ask("SELECT HEX(holder) FROM leases") != ((holder[0][0],),)
            # What was due was made once, by whichever of them.
            assert ask("SELECT COUNT(*) FROM jobs") == ((4,),)
    finally:
        stack.remove()
