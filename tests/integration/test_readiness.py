"""Readiness is refused while an acknowledged write could be lost, or the sums don't fit."""

from harness import wait_for


def ready(api):
    return api.get("/readyz").status_code == 200


def test_a_server_that_may_lose_commits_is_refused(fresh_stack):
    stack = fresh_stack()
    api = stack.api()
    assert ready(api)
    with stack.database() as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        # Looked at every ten seconds while all is well.
        wait_for(lambda: not ready(api), what="a refusal")
        answer = api.get("/health/ready")
        assert answer.status_code == 503 and answer.headers["Retry-After"]
        assert answer.json()["ready"] is False
        assert answer.json()["checks"]["database"] == "misconfigured"
        refusals = stack.log_lines(event="database_refused")
        assert refusals and "innodb_flush_log_at_trx_commit" in refusals[-1]["detail"]
        assert api.get("/api/health").status_code == 200
        cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    wait_for(lambda: ready(api), what="readiness")


def test_connections_that_do_not_fit_are_refused_with_their_sum(fresh_stack):
    stack = fresh_stack()
    with open(stack.config, "a", encoding="utf-8") as f:
        f.write("db_hosts = 10\ndb_pool_max = 50\n")
    stack.kill("ziggied", 1)
    # 10 hosts, 2 generations, 50 of the workers and 2 + 2 of ziggie-jobs each, and db_reserve.
    refusal = wait_for(lambda: stack.log_lines(event="database_refused"), what="a refusal")[-1]
    assert "= 1090 connections" in refusal["detail"], refusal["detail"]
    wait_for(lambda: not ready(stack.api()), what="a refusal")
