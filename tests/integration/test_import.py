"""ziggiectl import: what is in the files comes into the database, once."""

import contextlib
import os
import pty
import subprocess

import pytest

from harness import BUILD, wait_until_blocked

ZIGGIECTL = os.path.join(BUILD, "ziggiectl")
DID = "did:ziggie:"


@pytest.fixture(autouse=True)
def _alone_with_its_agents(db):
    """The stack is shared: no agent of an import is there before a test, or behind it."""

    def remove():
        with db.cursor() as cursor:
            for level in ("L3", "L2", "L1"):
                cursor.execute("DELETE FROM agents WHERE did LIKE %s AND level = %s", (DID + "%", level))
                cursor.execute("INSERT INTO record_counts (kind, shard, records) VALUES ('agent', 0, %s) "
                               "ON DUPLICATE KEY UPDATE records = records + VALUES(records)",
                               (-cursor.rowcount,))

    remove()
    yield
    remove()


def agents(db):
    """All that were imported, by their id, as the table has them."""
    with db.cursor() as cursor:
        cursor.execute("SELECT SUBSTR(a.did, 12), a.name, a.level, SUBSTR(p.did, 12), a.status, a.metadata,"
                       " a.version, a.owner_id FROM agents a LEFT JOIN agents p ON p.id = a.parent_id"
                       " WHERE a.did LIKE %s", (DID + "%",))
        rows = {row[0]: row[1:] for row in cursor.fetchall()}
    return rows


def write(directory, files):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


STUDIO = {
    "art.md": "---\nid: L1.1\nname: Art Director\ncategory: art\n---\n\nLooks at all.\n\n"
              "## L2.1.1 Painter\n\n**Role:** Paints\n\n### L3.1.1.1 Brush\n",
    "more/sound.md": "# L1.2 Sound Director\nStatus: idle\n## L2.2.10 Ten\n## L2.2.9 Nine\n",
}


@pytest.fixture
def studio(tmp_path):
    write(tmp_path, STUDIO)
    return tmp_path


def last_lines(done):
    return done.stdout.splitlines()


def test_agents_come_with_all_that_is_said_of_them(stack, db, studio):
    done = stack.ctl("import", "agents", str(studio))
    assert last_lines(done) == ["agents: 6 created, 0 updated, 0 unchanged, 0 left out"]
    assert done.stderr == ""
    found = agents(db)
    assert {key: row[:3] for key, row in found.items()} == {
        "L1.1": ("Art Director", "L1", None),
        "L2.1.1": ("Painter", "L2", "L1.1"),
        "L3.1.1.1": ("Brush", "L3", "L2.1.1"),
        "L1.2": ("Sound Director", "L1", None),
        "L2.2.10": ("Ten", "L2", "L1.2"),
        "L2.2.9": ("Nine", "L2", "L1.2"),
    }
    assert found["L1.1"][3] == "active" and found["L1.2"][3] == "idle"
    assert '"description":"Looks at all."' in found["L1.1"][4]
    assert '"category":"art"' in found["L1.1"][4] and '"filename":"art.md"' in found["L1.1"][4]
    assert '"role":"Paints"' in found["L2.1.1"][4]
    assert '"filename":"more/sound.md"' in found["L1.2"][4]
    assert all(row[6] is None for row in found.values())


def test_ids_are_older_for_those_above_and_before(stack, db, studio):
    stack.ctl("import", "agents", str(studio))
    with db.cursor() as cursor:
        cursor.execute("SELECT SUBSTR(did, 12) FROM agents WHERE did LIKE %s ORDER BY id", (DID + "%",))
        assert [row[0] for row in cursor.fetchall()] == ["L1.1", "L1.2", "L2.1.1", "L2.2.9", "L2.2.10",
                                                         "L3.1.1.1"]


def test_a_second_run_changes_nothing_and_says_so(stack, db, studio):
    stack.ctl("import", "agents", str(studio))
    before = agents(db)
    os.utime(studio / "art.md", (1, 1))
    done = stack.ctl("import", "agents", str(studio))
    assert last_lines(done) == ["agents: 0 created, 0 updated, 6 unchanged, 0 left out", "nothing changed"]
    assert agents(db) == before


def test_what_a_file_says_anew_is_changed_and_the_rest_stays(stack, db, api, admin_token, studio):
    stack.ctl("import", "agents", str(studio))
    with db.cursor() as cursor:
        cursor.execute("SELECT LOWER(HEX(id)) FROM agents WHERE did = %s", (DID + "L1.1",))
        agent = cursor.fetchone()[0]
    path = f"/api/v1/agents/{agent[:8]}-{agent[8:12]}-{agent[12:16]}-{agent[16:20]}-{agent[20:]}"
    record = api.get(path, admin_token).json()
    record["metadata"]["colour"] = "red"
    assert api.patch(path, admin_token, json={"metadata": record["metadata"], "status": "busy"}).status_code == 200
    write(studio, {"art.md": STUDIO["art.md"].replace("category: art\n", "title: The boss\n")})
    done = stack.ctl("import", "agents", str(studio))
    assert last_lines(done) == ["agents: 0 created, 1 updated, 5 unchanged, 0 left out"]
    after = api.get(path, admin_token).json()
    assert after["version"] == record["version"] + 2
    assert after["status"] == "busy"
    assert after["metadata"]["colour"] == "red" and after["metadata"]["title"] == "The boss"
    assert "category" not in after["metadata"]


def test_the_audit_says_what_was_imported(stack, db, studio):
    stack.ctl("import", "agents", str(studio))
    with db.cursor() as cursor:
        cursor.execute("SELECT action, remote_address, after_json FROM audit JOIN agents"
                       " ON audit.record_id = agents.id WHERE did = %s", (DID + "L2.1.1",))
        rows = cursor.fetchall()
    assert [row[:2] for row in rows] == [("create", "ziggiectl")]
    assert '"name":"Painter"' in rows[0][2]


def test_what_is_left_out_is_said_with_its_file_line_and_reason(stack, db, tmp_path):
    write(tmp_path, {
        "README.md": "# How we work\n",
        "a.md": "# L1.1 One\n## L2.1 Few\n## L2.9.1 Orphan\n",
        "b.md": "\n# L1.1 Again\n",
        "notes.txt": "# L1.5 No\n",
        ".hidden.md": "# L1.6 No\n",
        "large.md": "# L1.7 Large\n" + "x" * (1 << 20),
    })
    (tmp_path / "latin.md").write_bytes(b"# L1.3 Caf\xe9\n")
    (tmp_path / "link.md").symlink_to("a.md")
    (tmp_path / "circle").symlink_to(".")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / os.fsdecode(b"\xff\x1b.md")).write_text("# L1.8 Name\n", encoding="utf-8")
    done = stack.ctl("import", "agents", str(tmp_path))
    assert last_lines(done) == ["agents: 1 created, 0 updated, 0 unchanged, 1 left out"]
    assert sorted(done.stderr.splitlines()) == sorted([
        "README.md:1: left out: there is no agent in it",
        "a.md:2: left out: L2.1: the id must be of the form L1.2, L2.1.3 or L3.2.1.4",
        "a.md:3: left out: L2.9.1: there is no agent L1.9 to be below",
        "b.md:2: left out: L1.1: stands in a.md:1 already",
        "large.md: left out: it is larger than 1 MiB",
        "latin.md:1: left out: the file is not UTF-8 here",
        "link.md: left out: it is a symbolic link",
        "pipe.md: left out: it is no regular file",
        "??.md: left out: its name is no UTF-8 text",
    ])
    assert list(agents(db)) == ["L1.1"]
    assert stack.ctl("import", "agents", "--strict", str(tmp_path), check=False).returncode == 65


def test_a_parent_may_have_come_before(stack, db, tmp_path):
    write(tmp_path, {"one/a.md": "# L1.1 One\n", "two/b.md": "# L2.1.1 Below\n"})
    stack.ctl("import", "agents", str(tmp_path / "one"))
    done = stack.ctl("import", "agents", str(tmp_path / "two"))
    assert last_lines(done) == ["agents: 1 created, 0 updated, 0 unchanged, 0 left out"]
    assert agents(db)["L2.1.1"][2] == "L1.1"


def test_a_parent_is_one_level_above(stack, tmp_path):
    write(tmp_path, {"a.md": "---\nid: a\nlevel: L1\n---\n", "b.md": "---\nid: b\nlevel: L3\nparent: a\n---\n"})
    done = stack.ctl("import", "agents", str(tmp_path))
    assert done.stderr == "b.md:1: left out: b: the parent a is not one level above\n"


def test_a_dry_run_reports_the_same_and_changes_nothing(stack, db, studio):
    done = stack.ctl("import", "agents", "--dry-run", str(studio))
    assert last_lines(done) == ["agents: 6 created, 0 updated, 0 unchanged, 0 left out",
                                "this was a dry run: nothing has been changed"]
    assert agents(db) == {}


def below(parent, count):
    return "".join(f"# L2.{parent}.{number} Agent {number}\n" for number in range(count))


def test_a_run_that_is_killed_leaves_whole_batches_and_the_next_does_the_rest(stack, db, tmp_path):
    write(tmp_path, {"first/a.md": "# L1.1 One\n# L1.2 Two\n",
                     "then/a.md": below(1, 200) + below(2, 250)})
    stack.ctl("import", "agents", str(tmp_path / "first"))
    db.begin()
    with db.cursor() as cursor:  # who names this one as its parent waits
        cursor.execute("SELECT 1 FROM agents WHERE did = %s FOR UPDATE", (DID + "L1.2",))
    command = [ZIGGIECTL, "--config", stack.config, "import", "agents", str(tmp_path / "then")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child, stack.database() as watch:
        wait_until_blocked(child, watch)
        child.kill()
    db.rollback()
    taken = len(agents(db)) - 2
    assert taken % 100 == 0 and taken < 450
    done = stack.ctl("import", "agents", str(tmp_path / "then"))
    assert last_lines(done) == [f"agents: {450 - taken} created, 0 updated, {taken} unchanged, 0 left out"]
    assert len(agents(db)) == 452
    assert all(row[5] == 1 for row in agents(db).values())


def read_all(primary):
    """What was written to a terminal that nobody has open any more, however it arrives."""
    said = b""
    with contextlib.suppress(OSError):  # EIO is its end
        while piece := os.read(primary, 65536):
            said += piece
    return said


def test_a_terminal_sees_how_far_it_is(stack, studio):
    primary, secondary = pty.openpty()
    done = subprocess.run([ZIGGIECTL, "--config", stack.config, "import", "agents", str(studio)],
                          stdout=subprocess.PIPE, stderr=secondary, timeout=60, check=True)
    os.close(secondary)
    shown = read_all(primary).decode()
    os.close(primary)
    assert "agents [" in shown and "0 of 6" in shown
    assert shown.endswith("\r\x1b[K")
    assert done.stdout.startswith(b"agents: 6 created")


def test_without_a_directory_it_is_66(stack, tmp_path):
    for path in (tmp_path / "none", tmp_path / "file"):
        (tmp_path / "file").write_text("x", encoding="utf-8")
        done = stack.ctl("import", "agents", str(path), check=False)
        assert done.returncode == 66 and str(path) in done.stderr
