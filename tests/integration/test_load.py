"""script/load: what its page says of the database."""

from load.database import Stop


def longest(*looks):
    """Of looks at (time, count, whether statements run), each answered at once."""
    stop = Stop()
    for now, count, running in looks:
        stop.look(now, now, count, running)
    return stop.longest


def test_a_stop_lasts_while_statements_run_and_none_goes_on():
    assert longest((0, 7, True), (1, 8, True), (2, 9, True)) == 0
    assert longest((0, 7, True), (1, 8, True), (2, 8, True), (4, 8, True), (5, 9, True),
                   (6, 9, True)) == 3


def test_a_database_without_statements_does_not_stop():
    assert longest((0, 7, False), (9, 7, False), (10, 7, True), (11, 7, True)) == 2
    assert longest((0, 7, True), (1, 7, False), (9, 7, False), (10, 8, True)) == 0


def test_a_look_that_waits_for_its_answer_saw_a_stop():
    stop = Stop()
    stop.look(0, 0, 7, True)
    stop.look(1, 6, 8, True)
    stop.look(7, 7, 9, True)
    assert stop.longest == 5
