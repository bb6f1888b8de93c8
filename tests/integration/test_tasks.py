"""Goals, plans, projects and tasks: states, dependencies and claims."""

import time
import uuid
from collections import Counter

import pytest

from harness import wait_for
from traffic import at_once

pytestmark = pytest.mark.http


@pytest.fixture(scope="module")
def api(stack):
    return stack.api()


@pytest.fixture(scope="module")
def token(stack):
    return stack.token("user")


def expect(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json() if answer.text else None


@pytest.fixture
def make(api, token):
    def make(kind, **fields):
        needed = {"agents": {"name": "a"}, "projects": {"name": f"p {uuid.uuid4()}"},
                  "goals": {"description": "g"}, "tasks": {"description": "t"}, "plans": {}}
        return expect(api.post(f"/api/v1/{kind}", token, json={**needed[kind], **fields}), 201)
    return make


@pytest.fixture
def read(api, token):
    return lambda kind, record: expect(api.get(f"/api/v1/{kind}/{record['id']}", token), 200)


@pytest.fixture
def patch(api, token):
    return lambda kind, record, **fields: api.patch(f"/api/v1/{kind}/{record['id']}", token,
                                                    json=fields)


@pytest.fixture
def post(api, token):
    return lambda record, verb, **fields: api.post(
        f"/api/v1/tasks/{record['id']}/{verb}", token, json=fields if verb != "cancel" else None)


@pytest.fixture
def claim(api, token):
    def claim(agent, **fields):
        return api.post("/api/v1/tasks/claim", token, json={"agent_id": agent["id"], **fields})
    return claim


@pytest.fixture
def kind_of_work():
    """A type of task that no other test has."""
    return f"work-{uuid.uuid4()}"


def test_what_records_begin_with(make):
    project = make("projects", description="one\ntwo")
    goal = make("goals", project_id=project["id"], success_criteria=["fast", "right"])
    plan = make("plans", goal_id=goal["id"])
    task = make("tasks", plan_id=plan["id"], goal_id=goal["id"], input_data={"n": 1})
    assert project["status"] == "active"
    assert (goal["status"], goal["priority"], goal["completed_at"]) == ("pending", 5, None)
    assert goal["success_criteria"] == ["fast", "right"]
    assert (plan["status"], plan["tasks"]) == ("pending", [])
    assert (task["status"], task["task_id"], task["depends_on"]) == ("ready", task["id"], [])
    assert (task["attempts"], task["output_data"], task["input_data"]) == (0, None, {"n": 1})


def test_a_plan_lists_its_tasks(make, read, post, claim, kind_of_work):
    plan = make("plans")
    made = [make("tasks", plan_id=plan["id"], task_type=kind_of_work) for _ in range(3)]
    claim(make("agents"), task_type=kind_of_work)
    assert read("plans", plan)["tasks"] == [
        {"id": made[0]["id"], "status": "running"}, {"id": made[1]["id"], "status": "ready"},
        {"id": made[2]["id"], "status": "ready"}]


GOAL_STATES = {
    "pending": {"active", "cancelled"}, "active": {"pending", "completed", "failed", "cancelled"},
    "failed": {"pending", "active", "cancelled"}, "cancelled": {"pending"}, "completed": set()}


@pytest.mark.parametrize("kind", ["goals", "plans"])
@pytest.mark.parametrize("status", GOAL_STATES)
def test_every_transition_of_goals_and_plans(make, patch, kind, status):
    for wanted in GOAL_STATES:
        record = make(kind, status=status)
        answer = patch(kind, record, status=wanted)
        if wanted == status or wanted in GOAL_STATES[status]:
            assert expect(answer, 200)["status"] == wanted
        else:
            detail = expect(answer, 409)["detail"]
            assert all(legal in detail for legal in GOAL_STATES[status] or {"nothing else"})


TASK_STATES = {
    "pending": {"ready", "blocked", "cancelled"}, "ready": {"running", "blocked", "cancelled"},
    "running": {"ready", "completed", "failed", "cancelled"}, "blocked": {"pending", "cancelled"},
    "failed": {"pending", "cancelled"}, "cancelled": {"pending"}, "completed": set()}


def in_status(stack, task, status):
    with stack.database() as database, database.cursor() as cursor:
        cursor.execute("UPDATE tasks SET status = %s WHERE id = UNHEX(REPLACE(%s, '-', ''))",
                       (status, task["id"]))
    return task


@pytest.mark.parametrize("status", TASK_STATES)
def test_every_transition_of_tasks(stack, make, patch, status):
    for wanted in TASK_STATES:
        answer = patch("tasks", in_status(stack, make("tasks"), status), status=wanted)
        if wanted == status or wanted in TASK_STATES[status] - {"running"}:
            # What waits for nothing is ready at once.
            became = "ready" if wanted == "pending" != status else wanted
            assert expect(answer, 200)["status"] == became
        elif wanted in TASK_STATES[status]:
            assert "by a claim" in expect(answer, 409)["detail"]
        else:
            detail = expect(answer, 409)["detail"]
            assert all(legal in detail for legal in TASK_STATES[status] or {"nothing else"})


@pytest.mark.parametrize("status", TASK_STATES.keys() - {"running"})
@pytest.mark.parametrize("verb", ["complete", "fail"])
def test_only_what_runs_is_handed_back(stack, make, read, post, verb, status):
    task = in_status(stack, make("tasks"), status)
    detail = expect(post(task, verb, **({"error": "x"} if verb == "fail" else {})), 409)["detail"]
    said = "not running" in detail or all(legal in detail for legal in
                                          TASK_STATES[status] or {"nothing else"})
    assert said, detail
    assert read("tasks", task)["status"] == status


@pytest.mark.parametrize("verb", ["complete", "fail", "cancel"])
def test_handing_back_heeds_a_version(api, token, make, read, claim, kind_of_work, verb):
    task = make("tasks", task_type=kind_of_work)
    running = expect(claim(make("agents"), task_type=kind_of_work), 200)
    body = {"complete": {}, "fail": {"error": "x"}, "cancel": None}[verb]

    def hand_back(version):
        return api.post(f"/api/v1/tasks/{task['id']}/{verb}", token, json=body,
                        headers={"If-Match": f'"{version}"'})
    expect(hand_back(running["version"] - 1), 412)
    assert read("tasks", task) == running
    assert hand_back(running["version"]).headers["ETag"] == f'"{running["version"] + 1}"'


def test_when_a_goal_ended(make, patch):
    goal = make("goals", status="active")
    ended = expect(patch("goals", goal, status="failed"), 200)
    assert ended["completed_at"] == ended["updated_at"]
    assert expect(patch("goals", goal, description="other"), 200)["completed_at"] == \
        ended["completed_at"]
    assert expect(patch("goals", goal, status="pending"), 200)["completed_at"] is None


def test_circles_are_refused(make, patch):
    top = make("goals")
    middle = make("goals", parent_goal_id=top["id"])
    bottom = make("goals", parent_goal_id=middle["id"])
    for child in (top, middle, bottom):
        answer = patch("goals", top, parent_goal_id=child["id"])
        assert expect(answer, 422)["errors"][0]["field"] == "parent_goal_id"
    assert patch("goals", bottom, parent_goal_id=top["id"]).status_code == 200


def test_what_deletion_does_to_children(api, token, make, read):
    agent, project = make("agents"), make("projects")
    goal = make("goals", agent_id=agent["id"], project_id=project["id"])
    part = make("goals", parent_goal_id=goal["id"])
    plan = make("plans", goal_id=goal["id"])
    task = make("tasks", agent_id=agent["id"], goal_id=goal["id"], plan_id=plan["id"])

    def remove(kind, record):
        expect(api.delete(f"/api/v1/{kind}/{record['id']}", token), 204)

    remove("agents", agent)
    remove("projects", project)
    left = read("goals", goal)
    assert (left["agent_id"], left["project_id"], left["version"]) == (None, None, 3)
    remove("goals", goal)
    assert read("goals", part)["parent_goal_id"] is None
    assert read("plans", plan)["goal_id"] is None
    remove("plans", plan)
    left = read("tasks", task)
    assert [left[name] for name in ("agent_id", "goal_id", "plan_id")] == [None] * 3


def test_a_task_waits_for_those_it_needs(api, token, make, read, post, claim, patch, kind_of_work):
    first, second = (make("tasks", task_type=kind_of_work) for _ in range(2))
    needs = sorted([first["id"], second["id"]])
    third = make("tasks", depends_on=[*needs, first["id"]], task_type=kind_of_work)
    assert (third["status"], third["waiting_on"], sorted(third["depends_on"])) == \
        ("pending", 2, needs)
    expect(patch("tasks", third, status="ready"), 409)
    agent = make("agents")
    for left in (1, 0):
        taken = expect(claim(agent, task_type=kind_of_work), 200)
        expect(post(taken, "complete"), 200)
        after = read("tasks", third)
        assert (after["waiting_on"], after["status"]) == (left, "pending" if left else "ready")
    assert make("tasks", depends_on=needs)["status"] == "ready"
    assert expect(api.delete(f"/api/v1/tasks/{first['id']}", token), 409)["detail"]
    assert expect(claim(agent, task_type=kind_of_work), 200)["id"] == third["id"]


@pytest.mark.parametrize("verb", ["fail", "cancel"])
def test_a_task_is_blocked_by_a_failure(make, read, post, patch, claim, verb, kind_of_work):
    first = make("tasks", task_type=kind_of_work)
    second = make("tasks", depends_on=[first["id"]])
    if verb == "fail":
        expect(claim(make("agents"), task_type=kind_of_work), 200)
    expect(post(first, verb, error="no"), 200)
    assert read("tasks", second)["status"] == "blocked"
    assert make("tasks", depends_on=[first["id"]])["status"] == "blocked"
    assert expect(patch("tasks", first, status="pending"), 200)["status"] == "ready"
    assert expect(patch("tasks", second, status="pending"), 200)["status"] == "pending"


def test_needs_that_are_not_there(api, token):
    for needs in ([str(uuid.uuid4())], ["x"], "x"):
        answer = api.post("/api/v1/tasks", token, json={"description": "t", "depends_on": needs})
        assert expect(answer, 422)["errors"][0]["field"].startswith("depends_on")


def test_claims_go_by_priority_and_age(make, claim, kind_of_work):
    agent = make("agents")
    made = [make("tasks", task_type=kind_of_work, priority=priority) for priority in (5, 9, 5, 1)]
    order = [expect(claim(agent, task_type=kind_of_work), 200)["id"] for _ in made]
    assert order == [made[index]["id"] for index in (1, 0, 2, 3)]
    answer = claim(agent, task_type=kind_of_work)
    assert answer.status_code == 204 and answer.text == ""


def test_a_task_that_names_an_agent_is_its_own(make, claim, kind_of_work):
    ours, other = make("agents"), make("agents")
    make("tasks", task_type=kind_of_work, priority=10)
    own = make("tasks", task_type=kind_of_work, agent_id=ours["id"], priority=1)
    assert expect(claim(other, task_type=kind_of_work), 200)["id"] != own["id"]
    assert claim(other, task_type=kind_of_work).status_code == 204
    assert expect(claim(ours, task_type=kind_of_work), 200)["id"] == own["id"]


def test_each_task_goes_to_exactly_one(api, token, make, claim, kind_of_work):
    made = {make("tasks", task_type=kind_of_work)["id"] for _ in range(40)}
    agents = [make("agents") for _ in range(8)]

    def work(agent):
        taken = []
        while True:
            answer = claim(agent, task_type=kind_of_work)
            if answer.status_code == 204:
                return taken
            taken.append(expect(answer, 200))

    shares = at_once(work, agents)
    taken = [task["id"] for share in shares for task in share]
    assert len(taken) == len(set(taken)) and set(taken) == made
    for agent, share in zip(agents, shares):
        assert {task["agent_id"] for task in share} <= {agent["id"]}


def test_a_key_claims_once(api, token, make, claim, kind_of_work):
    agent = make("agents")
    tasks = {make("tasks", task_type=kind_of_work)["id"] for _ in range(2)}
    body = {"agent_id": agent["id"], "task_type": kind_of_work}

    def claim_with(key):
        return api.post("/api/v1/tasks/claim", token, json=body, headers={"Idempotency-Key": key})
    first, again = claim_with("a" + kind_of_work), claim_with("a" + kind_of_work)
    assert expect(first, 200) == expect(again, 200)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"] and "Location" not in again.headers
    second = expect(claim_with("b" + kind_of_work), 200)
    assert {first.json()["id"], second["id"]} == tasks
    # Nothing was taken, so nothing is kept.
    assert claim_with("c" + kind_of_work).status_code == 204
    third = make("tasks", task_type=kind_of_work)
    assert expect(claim_with("c" + kind_of_work), 200)["id"] == third["id"]


def test_an_agents_own_tasks_come_first(make, claim, kind_of_work):
    agent = make("agents")
    make("tasks", task_type=kind_of_work, priority=10)
    own = make("tasks", task_type=kind_of_work, priority=1, agent_id=agent["id"])
    assert expect(claim(agent, task_type=kind_of_work), 200)["id"] == own["id"]


def test_a_claim_needs_an_agent(api, token, claim):
    assert expect(api.post("/api/v1/tasks/claim", token, json={}), 422)["errors"][0]["field"] == \
        "agent_id"
    refused = api.post("/api/v1/tasks/claim", token, json={"agent_id": str(uuid.uuid4()),
                                                           "lease_seconds": 4})
    assert expect(refused, 422)["errors"][0]["field"] == "lease_seconds"


def test_a_claim_for_an_agent_that_is_not_there_takes_nothing(make, read, claim, kind_of_work):
    task = make("tasks", task_type=kind_of_work)
    answer = claim({"id": str(uuid.uuid4())}, task_type=kind_of_work)
    assert expect(answer, 422)["errors"][0]["field"] == "agent_id"
    assert read("tasks", task)["status"] == "ready"


def test_handing_back(api, token, make, read, post, claim, kind_of_work):
    agent, other = make("agents"), make("agents")
    task = make("tasks", task_type=kind_of_work)
    expect(post(task, "complete"), 409)
    running = expect(claim(agent, task_type=kind_of_work), 200)
    assert (running["status"], running["agent_id"]) == ("running", agent["id"])
    assert running["started_at"] and running["lease_until"] > running["started_at"]
    expect(post(task, "complete", agent_id=other["id"]), 409)
    again = expect(post(task, "fail", agent_id=agent["id"], error="busy", retry=True), 200)
    assert (again["status"], again["attempts"], again["error"], again["agent_id"]) == \
        ("ready", 1, "busy", None)
    expect(claim(other, task_type=kind_of_work), 200)
    done = expect(post(task, "complete", agent_id=other["id"], output_data={"x": 1}), 200)
    assert (done["status"], done["output_data"], done["lease_until"]) == ("completed", {"x": 1},
                                                                          None)
    for verb in ("complete", "cancel"):
        expect(post(task, verb), 409)
    result = expect(api.get(f"/api/v1/tasks/{task['id']}/result", token), 200)
    assert (result["status"], result["output_data"]) == ("completed", {"x": 1})
    status = expect(api.get(f"/api/v1/tasks/{task['id']}/status", token), 200)
    assert (status["status"], status["attempts"]) == ("completed", 1)


def test_counts_of_an_agent(make, read, claim, kind_of_work):
    agent = make("agents")
    for _ in range(3):
        make("tasks", agent_id=agent["id"], task_type=kind_of_work)
    expect(claim(agent, task_type=kind_of_work), 200)
    counts = read("agents", agent)["task_counts"]
    assert (counts["ready"], counts["running"], counts["completed"]) == (2, 1, 0)


def counted(api, token, agent):
    """What task_counts must say: the agent's tasks are looked through."""
    tasks = expect(api.get(f"/api/v1/tasks?agent_id={agent['id']}&limit=200", token), 200)["items"]
    return Counter(task["status"] for task in tasks)


def test_counts_follow_every_change(api, token, make, read, patch, post, claim, kind_of_work):
    one, two = make("agents"), make("agents")

    def check():
        for agent in (one, two):
            shown = read("agents", agent)["task_counts"]
            assert Counter({k: n for k, n in shown.items() if n}) == counted(api, token, agent)

    def task(agent, **fields):
        return make("tasks", agent_id=agent["id"], task_type=kind_of_work, **fields)

    first, second = task(one), task(two)
    after_first = task(one, depends_on=[first["id"]])
    after_both = task(two, depends_on=[first["id"], second["id"]])
    of_nobody = make("tasks", task_type=kind_of_work, depends_on=[second["id"]])
    check()
    for agent, mine in ((one, first), (two, second)):
        assert expect(claim(agent, task_type=kind_of_work), 200)["id"] == mine["id"]
    check()
    expect(post(first, "complete"), 200)  # after_first becomes ready
    check()
    expect(post(second, "fail", error="e", retry=True), 200)  # it loses its agent
    check()
    expect(post(second, "cancel"), 200)  # the others are blocked
    assert read("tasks", after_both)["status"] == "blocked"
    check()
    expect(patch("tasks", after_first, agent_id=two["id"]), 200)
    expect(patch("tasks", of_nobody, agent_id=one["id"]), 200)
    check()
    expect(patch("tasks", after_both, agent_id=None), 200)
    expect(api.delete(f"/api/v1/tasks/{after_first['id']}", token), 204)
    check()
    expect(api.delete(f"/api/v1/agents/{one['id']}", token), 204)
    expect(patch("tasks", of_nobody, agent_id=two["id"]), 200)
    one = two
    check()


@pytest.mark.concurrency
def test_counts_when_many_change_at_once(api, token, make, read, post, claim, kind_of_work):
    agents = [make("agents") for _ in range(3)]

    def work(number):
        mine = agents[number % 3]
        for _ in range(4):
            make("tasks", agent_id=mine["id"], task_type=kind_of_work)
            taken = claim(mine, task_type=kind_of_work)
            if taken.status_code == 200 and number % 2:
                expect(post(taken.json(), "complete"), 200)

    at_once(work, range(9))
    for agent in agents:
        shown = read("agents", agent)["task_counts"]
        assert Counter({k: n for k, n in shown.items() if n}) == counted(api, token, agent)
        assert sum(shown.values()) == 12


def test_running_is_reached_by_a_claim_alone(make, patch):
    expect(patch("tasks", make("tasks"), status="running"), 409)


@pytest.mark.limit(60)
def test_a_silent_agent_loses_its_claim(api, token, make, read, claim, kind_of_work):
    silent, lively = make("agents"), make("agents")
    lost = make("tasks", task_type=kind_of_work, priority=9)
    kept = make("tasks", task_type=kind_of_work)
    assert expect(claim(silent, task_type=kind_of_work, lease_seconds=5), 200)["id"] == lost["id"]
    assert expect(claim(lively, task_type=kind_of_work, lease_seconds=5), 200)["id"] == kept["id"]

    def beat_and_look():
        expect(api.post(f"/api/v1/agents/{lively['id']}/heartbeat", token), 200)
        time.sleep(0.2)
        return read("tasks", lost)["status"] == "ready"

    wait_for(beat_and_look, what="the lost task")
    after = read("tasks", lost)
    assert (after["attempts"], after["agent_id"], after["lease_until"]) == (1, None, None)
    assert read("agents", silent)["task_counts"]["running"] == 0
    assert read("tasks", kept)["status"] == "running"
    assert expect(claim(lively, task_type=kind_of_work), 200)["id"] == lost["id"]
