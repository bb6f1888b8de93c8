"""script/bench: what it judges, what it refuses to measure, and what it leaves behind."""

import http.server
import os
import re
import subprocess
import sys
import threading

import pytest

from harness import BUILD, SOURCE

sys.path.insert(0, os.path.join(SOURCE, "script", "lib"))

from bench import BenchError, load, measure, report
from bench.children import Children
from bench.peers import body_of


def seen(rate, status=0, timeouts=0):
    return load.Load(rate=rate, requests=100, p50_ms=1, p99_ms=rate / 10, max_ms=9, status=status,
                     timeouts=timeouts, broken=0)


def test_a_ratio_is_made_within_each_round():
    # One round was disturbed for both: the ratio of the medians would be 1.5.
    assert report.ratio_of([90, 45, 60], [100, 50, 40]) == 0.9


def judge(ours, aim=0.8):
    runs = {measure.NAMES["bare"]: [seen(100), seen(100)], measure.NAMES["ziggie"]: ours}
    return measure.ratio("a route", runs, "bare", aim)


def test_an_aim_is_met_from_its_value_on():
    assert judge([seen(80), seen(80)]).met
    assert not judge([seen(79), seen(79)]).met


@pytest.mark.parametrize("wrong", [{"status": 1}, {"timeouts": 1}])
def test_an_aim_is_not_met_with_a_single_error(wrong):
    judged = judge([seen(100), seen(100, **wrong)])
    assert not judged.met
    assert "1 errors" in judged.measured


def test_bodies_have_the_size_asked_for_and_are_json():
    for size in (16, 122, 9000):
        assert len(body_of(size)) == size
        assert re.fullmatch(r'\{"filling":"x+"\}', body_of(size))


@pytest.fixture
def answering():
    """A server whose answers the test sets."""

    class Handler(http.server.BaseHTTPRequestHandler):
        status, body = 200, b""

        def do_GET(self):
            self.send_response(Handler.status)
            self.send_header("Content-Length", str(len(Handler.body)))
            self.end_headers()
            self.wfile.write(Handler.body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, Handler
        server.shutdown()
        thread.join()


def test_a_peer_that_does_not_answer_200_is_not_measured(answering):
    port, answer = answering
    answer.status, answer.body = 502, b"nobody there"
    with pytest.raises(BenchError, match="502: nobody there"):
        load.verify(port, "/", {})


def test_a_peer_with_another_size_is_not_measured(answering):
    port, answer = answering
    answer.body = b"12345"
    assert load.verify(port, "/", {}, 5) == b"12345"
    with pytest.raises(BenchError, match="5 bytes instead of 6"):
        load.verify(port, "/", {}, 6)


def test_children_and_their_folder_go_with_the_run():
    with pytest.raises(KeyboardInterrupt):
        with Children() as children:
            child = children.start("sleeper", ["sleep", "100"], 5, lambda: True)
            folder = children.folder
            assert os.path.isdir(folder)
            raise KeyboardInterrupt
    assert child.returncode is not None
    assert not os.path.exists(folder)


def test_a_child_that_dies_is_told_with_its_last_words():
    with Children() as children:
        with pytest.raises(BenchError, match="status 3:\nno luck"):
            children.start("failing", ["sh", "-c", "echo no luck; exit 3"], 5, lambda: False)


def test_a_run_writes_the_page_and_its_status_is_the_verdict(tmp_path):
    page = tmp_path / "page.md"
    done = subprocess.run(
        [os.path.join(SOURCE, "script", "bench"), "--build-dir", BUILD, "--only", "scan",
         "--rounds", "1", "--output", str(page)],
        capture_output=True, text=True, timeout=100, check=False)
    text = page.read_text()
    verdicts = re.findall(r"^\| scan of 600 processes, × .* \| (met|\*\*not met\*\*) \|$", text,
                          re.MULTILINE)
    assert len(verdicts) == 2
    assert done.returncode == (0 if verdicts == ["met", "met"] else 1), done.stderr
    assert re.search(r"^\| cores \| \d+ \|$", text, re.MULTILINE)


def test_a_missing_program_is_named():
    done = subprocess.run(
        [os.path.join(SOURCE, "script", "bench"), "--build-dir", "/nowhere", "--only", "scan"],
        capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 69
    assert "/nowhere/bench/scan" in done.stderr
