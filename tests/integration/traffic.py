"""Clients that ask at the same time, and clients that ask all the time.

    assert at_once(lambda n: api.get(path).status_code, range(8)) == [200] * 8

asks once for each item. While a test does something to what they ask:

    with Load(stack.url, [health] * 8) as load:
        stack.kill("memcached")
    assert load.failures() == [] and load.count() == {200: len(load.asked)}

Each client has a thread and kept connections of its own.  What it asks is a function of its
Api and of how often it has asked before, from 0; it returns what the test wants to know of
the answer, and may raise what is wrong with it.
"""

import collections
import concurrent.futures
import threading
import time
import typing

from harness import Api, wait_for


def at_once(ask, items, clients=None):
    """What ask(item) returned of each, in their order; asked by as many clients as there are
    items, or by so many."""
    items = list(items)
    with concurrent.futures.ThreadPoolExecutor(clients or len(items)) as pool:
        return list(pool.map(ask, items))


class Asked(typing.NamedTuple):
    by: str  # the function's name
    got: object  # what it returned, or the exception that came instead
    began: float  # of time.monotonic()
    ended: float

    @property
    def seconds(self):
        return self.ended - self.began


class Load:
    def __init__(self, url, asks, pause=0):
        self.url = url
        self.pause = pause
        self.asked = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(ask,)) for ask in asks]

    def _repeat(self, ask):
        api, turn = Api(self.url), 0
        while not self._over.is_set():
            began = time.monotonic()
            try:
                got = ask(api, turn)
            except Exception as failure:  # pylint: disable=broad-except
                got = failure
            self.asked.append(Asked(ask.__name__, got, began, time.monotonic()))
            turn += 1
            time.sleep(self.pause)
        api.session.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a client waits for its answer"

    def wait_for_more(self, count):
        """Until the clients have asked so many times more."""
        enough = len(self.asked) + count
        wait_for(lambda: len(self.asked) >= enough, 60, f"{count} more answers")

    def failures(self):
        return [one for one in self.asked if isinstance(one.got, Exception)]

    def count(self):
        """How often each answer came; failures apart."""
        return collections.Counter(one.got for one in self.asked
                                   if not isinstance(one.got, Exception))

    def slowest(self, but=0):
        """How long the slowest took, when so large a part is left out as slower still."""
        took = sorted(one.seconds for one in self.asked)
        return took[-1 - int(but * len(took))]


def health(api, _):
    return api.get("/api/health").status_code
