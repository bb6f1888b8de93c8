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

from bench import BenchError, load, measure, process, profile, report
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


def test_children_are_found():
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in process.children_of(os.getpid())
        child.kill()


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


def test_a_stack_is_booked_on_its_innermost_named_function():
    # A copy inside of the log belongs to the log; waking nginx belongs to sending.
    assert profile.part_of(["__memmove_avx", "log_write_buffered", "http_serve", "thread_main"]) \
        == "the log line"
    assert profile.part_of(["try_to_wake_up", "unix_stream_sendmsg", "__x64_sys_sendmsg",
                            "do_syscall_64", "send_output"]).startswith("sendmsg:")
    assert profile.part_of(["asm_sysvec_apic_timer_interrupt"]).startswith("interrupts")


def test_stacks_are_read_as_perf_prints_them():
    text = ("\t    55d1 codec_feed.isra.0+0x12\n\t    55d2 connection_run\n\n"
            "\t    7f00 [unknown]\n\n"
            "\tffff81 _raw_spin_unlock\n\tffff82 __x64_sys_epoll_wait+0x1\n\n")
    parts = profile.parse_stacks(text)
    assert parts == {"decoding FastCGI": 1, "interrupts, and what no stack names": 1,
                     "epoll_wait: waiting for the next request": 1}
