"""/api/agents: imported agents, as the old dashboard reads them."""

import itertools
import re
import uuid

import pytest

import rows
from accounts import assert_problem

pytestmark = pytest.mark.http

FIELDS = {"id", "uuid", "level", "name", "title", "role", "category", "description", "parent_l1", "parent_l2",
          "status", "filename", "modified"}
META = {"total", "page", "page_size", "total_pages", "has_next", "has_prev", "next_page", "prev_page"}
# A first number for ids that no other test has; those of test_import_sqlite.py begin behind them.
NUMBERS = itertools.count(1000)
LEGACY_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")


@pytest.fixture
def studio(stack, tmp_path):
    """One L1 with two below it, and three below the first of them; the number in their ids."""
    n, word = next(NUMBERS), uuid.uuid4().hex
    (tmp_path / "studio.md").write_text(
        f"# L1.{n} Art {word}\n**Title:** Director\n**Role:** Leads\n**Category:** art\n\nLooks at all.\n"
        f"## L2.{n}.1 Painter\nStatus: idle\n## L2.{n}.2 Sculptor\nStatus: suspended\n"
        + "".join(f"### L3.{n}.1.{i} Brush {i}\n" for i in (1, 2, 3)), encoding="utf-8")
    stack.ctl("import", "agents", str(tmp_path))
    return n, word


def get(api, token, path, status=200, **query):
    answer = api.get(path, token, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def ids(agents):
    return [agent["id"] for agent in agents]


def test_an_agent_has_all_that_was_imported(api, readonly_token, studio):
    n, word = studio
    agent = get(api, readonly_token, f"/api/agents/L1.{n}")
    below = agent.pop("sub_agents")
    assert set(agent) == FIELDS
    assert agent["id"] == f"L1.{n}" and agent["level"] == "L1" and agent["name"] == f"Art {word}"
    assert (agent["title"], agent["role"], agent["category"]) == ("Director", "Leads", "art")
    assert agent["description"] == "Looks at all." and agent["filename"] == "studio.md"
    assert agent["status"] == "active" and agent["parent_l1"] is None and agent["parent_l2"] is None
    assert LEGACY_TIME.fullmatch(agent["modified"])
    assert ids(below) == [f"L2.{n}.1", f"L2.{n}.2"] and set(below[0]) == FIELDS
    assert get(api, readonly_token, "/api/agents/" + agent["uuid"])["id"] == agent["id"]
    assert get(api, readonly_token, "/api/v1/agents/" + agent["uuid"])["did"] == f"did:ziggie:L1.{n}"


def test_those_below_l2_are_micro_agents(api, readonly_token, studio):
    n, _ = studio
    agent = get(api, readonly_token, f"/api/agents/L2.{n}.1")
    assert agent["parent_l1"] == f"L1.{n}" and agent["parent_l2"] is None
    assert ids(agent["micro_agents"]) == [f"L3.{n}.1.{i}" for i in (1, 2, 3)]
    assert "sub_agents" not in agent
    leaf = get(api, readonly_token, f"/api/agents/L3.{n}.1.2")
    assert (leaf["parent_l1"], leaf["parent_l2"]) == (f"L1.{n}", f"L2.{n}.1")


def test_an_agent_that_nobody_imported_is_there_too(api, user_token):
    made = api.post("/api/v1/agents", user_token, json={"name": "home-made"}).json()
    agent = get(api, user_token, "/api/agents/" + made["id"])
    assert agent["id"] == agent["uuid"] == made["id"]
    assert agent["title"] == "home-made" and agent["role"] == "" and agent["level"] is None


def test_an_agent_that_is_not_there_is_404(api, readonly_token):
    for what in ("", "/knowledge", "/hierarchy"):
        for name in ("L1.0", str(uuid.uuid4()), "%25", "x" * 300):
            assert_problem(api.get(f"/api/agents/{name}{what}", readonly_token), 404)


def test_a_list_is_paged_and_in_the_order_of_ids(api, readonly_token, studio):
    n, _ = studio
    whole = get(api, readonly_token, "/api/agents", parent=f"L2.{n}.1")
    assert set(whole) == {"agents", "total", "total_is_min", "meta", "cached"} and whole["cached"] is False
    assert set(whole["meta"]) == META and set(whole["agents"][0]) == FIELDS
    assert ids(whole["agents"]) == [f"L3.{n}.1.{i}" for i in (1, 2, 3)]
    first = get(api, readonly_token, "/api/agents", parent=f"L2.{n}.1", page_size=2)
    assert first["total"] == 3 and first["meta"]["next_page"] == 2 and first["meta"]["total_pages"] == 2
    second = get(api, readonly_token, "/api/agents", parent=f"L2.{n}.1", page_size=2, page=2)
    assert ids(first["agents"]) + ids(second["agents"]) == ids(whole["agents"])
    assert second["meta"]["has_next"] is False and second["meta"]["prev_page"] == 1
    offset = get(api, readonly_token, "/api/agents", parent=f"L2.{n}.1", offset=1)
    assert ids(offset["agents"]) == ids(whole["agents"])[1:]


def test_filters_go_together(api, readonly_token, studio):
    n, _ = studio
    assert ids(get(api, readonly_token, "/api/agents", parent=f"L1.{n}", level="L2")["agents"]) == [
        f"L2.{n}.1", f"L2.{n}.2"]
    assert get(api, readonly_token, "/api/agents", parent=f"L1.{n}", level="L3")["total"] == 0
    assert get(api, readonly_token, "/api/agents", parent="L1.0")["agents"] == []
    for level in ("L1", "L2", "L3"):
        page = get(api, readonly_token, "/api/agents", level=level, page_size=200)
        assert {agent["level"] for agent in page["agents"]} == {level}
        assert page["total"] >= len(page["agents"])


def test_a_text_is_found_in_any_case_and_every_field(api, readonly_token, studio):
    n, word = studio
    found = get(api, readonly_token, "/api/agents", search=word.upper())
    assert ids(found["agents"]) == [f"L1.{n}"] and found["total"] == 1 and not found["total_is_min"]
    for text in ("direct", "LEADS", "Art", "at all", f"l1.{n}"):
        assert f"L1.{n}" in ids(get(api, readonly_token, "/api/agents", search=text, level="L1",
                                    page_size=200)["agents"])
    assert get(api, readonly_token, "/api/agents", search=f"x{word}")["total"] == 0
    assert get(api, readonly_token, "/api/agents", search=f"{word}%")["total"] == 0
    assert ids(get(api, readonly_token, "/api/agents", search="brush", parent=f"L2.{n}.1", offset=1,
                   page_size=1)["agents"]) == [f"L3.{n}.1.2"]


def test_a_page_far_behind_is_refused(api, readonly_token):
    assert get(api, readonly_token, "/api/agents", offset=10000)["agents"] == []
    for field, value in ("offset", 10001), ("page", 202):
        answer = api.get("/api/agents", readonly_token, params={field: value})
        assert [error["field"] for error in assert_problem(answer, 422)["errors"]] == [field]


def test_active_are_those_at_work(api, readonly_token, studio):
    n, _ = studio
    seen, page = [], 1
    while page is not None:
        answer = get(api, readonly_token, "/api/agents/active", page=page, page_size=200)
        assert answer["count"] == len(answer["agents"])
        seen += answer["agents"]
        page = answer["meta"]["next_page"]
    assert len(seen) == answer["total"] == len({agent["uuid"] for agent in seen})
    assert {agent["status"] for agent in seen} <= {"active", "idle", "busy"}
    assert {f"L1.{n}", f"L2.{n}.1"} <= set(ids(seen)) and f"L2.{n}.2" not in ids(seen)


def test_the_hierarchy_goes_both_ways(api, readonly_token, studio):
    n, _ = studio
    top = get(api, readonly_token, f"/api/agents/L1.{n}/hierarchy")
    assert top["agent"]["id"] == f"L1.{n}" and top["parents"] == [] and top["complete"] is True
    assert [(sub["id"], ids(sub["micro_agents"])) for sub in top["sub_agents"]] == [
        (f"L2.{n}.1", [f"L3.{n}.1.{i}" for i in (1, 2, 3)]), (f"L2.{n}.2", [])]
    leaf = get(api, readonly_token, f"/api/agents/L3.{n}.1.1/hierarchy")
    assert ids(leaf["parents"]) == [f"L1.{n}", f"L2.{n}.1"] and leaf["micro_agents"] == []


def test_the_files_of_an_agent(api, db, readonly_token, studio):
    n, _ = studio
    with db.cursor() as cursor:
        for name, agent in (("a.md", f"L1.{n}"), ("b.md", f"L1.{n}"), ("c.md", f"L2.{n}.1")):
            cursor.execute("INSERT INTO knowledge_files (id, name, path, agent, category, size, modified_at)"
                           " VALUES (%s, %s, %s, %s, 'notes', 7, '2026-01-02 03:04:05')",
                           (uuid.uuid4().bytes, name, f"/{uuid.uuid4()}/{name}", agent))
    known = get(api, readonly_token, f"/api/agents/L1.{n}/knowledge")
    assert known["agent_id"] == f"L1.{n}" and known["total"] == 2
    assert {file["name"] for file in known["files"]} == {"a.md", "b.md"}
    file = known["files"][0]
    assert (file["size"], file["category"], file["agent"]) == (7, "notes", f"L1.{n}")
    assert file["modified"].startswith("2026-01-02T03:04:05") and not file["modified"].endswith("Z")
    second = get(api, readonly_token, f"/api/agents/L1.{n}/knowledge", page_size=1, page=2)
    assert len(second["files"]) == 1 and second["meta"]["has_next"] is False


def test_the_counts_are_those_of_the_table(api, db, user_token, studio):
    with db.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), SUM(level = 'L1'), SUM(level = 'L2'), SUM(level = 'L3') FROM agents")
        total, *levels = map(int, cursor.fetchone())

    assert api.post("/api/agents/cache/invalidate", user_token).status_code == 200
    stats = get(api, user_token, "/api/agents/stats")
    assert stats["total"] == total
    assert [stats["by_level"][level] for level in ("L1", "L2", "L3")] == levels
    assert [stats["l1_count"], stats["l2_count"], stats["l3_count"]] == levels
    assert stats["actual"] == stats["expected"] == {**stats["by_level"], "total": sum(levels)}
    assert sum(stats["distribution"].values()) == pytest.approx(100, abs=0.02)
    assert LEGACY_TIME.fullmatch(stats["last_updated"])


def test_an_invalidated_count_is_counted_anew(api, user_token):
    """Whichever worker answers."""
    for _ in range(8):
        before = get(api, user_token, "/api/agents/stats")["total"]
        assert api.post("/api/v1/agents", user_token, json={"name": "one more"}).status_code == 201
        answer = api.post("/api/agents/cache/invalidate", user_token).json()
        assert answer["status"] == "success" and set(answer) == {"status", "message", "timestamp"}
        stats = get(api, user_token, "/api/agents/stats")
        assert stats["total"] > before and stats["cached"] is False


def test_who_only_reads_can_not_invalidate(api, readonly_token):
    assert_problem(api.post("/api/agents/cache/invalidate", readonly_token), 403)


def test_the_rows_have_the_rates_of_the_contract():
    rates = {rows.name_of(row): row["rate"] for row in rows.ROWS if row["path"].startswith("/api/agents")}
    assert len(rates) == 8 and rates.pop("POST /api/agents/cache/invalidate") == "control"
    assert set(rates.values()) == {"read"}


def test_the_cache_is_told_of(api, readonly_token):
    cache = get(api, readonly_token, "/api/agents/cache/stats")
    assert cache["status"] == "success" and cache["ttl_seconds"] == 5
    assert {"message", "timestamp", "hits", "misses", "size", "size_bytes"} <= set(cache)
