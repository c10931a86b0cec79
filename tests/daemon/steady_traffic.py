"""Requests and answers at a steady rate while something else goes on."""
import multiprocessing
import time
from collections import Counter

from ue import delivered, from_host, from_network, opened


class SteadyTraffic:
    """A process that sends a request and an answer of the UEs in turn, PER_SECOND of each; tells their fate."""

    PER_SECOND = 2000

    def __init__(self, network, host, ues):
        self._network, self._host, self._ues = network, host, ues
        fork = multiprocessing.get_context("fork")  # the wires' sockets go with it
        self._done, self._sent, self._seconds = fork.Event(), fork.Value("L", 0), fork.Value("d", 0.0)
        self._process = fork.Process(target=self._send)

    sent = property(lambda self: self._sent.value)
    rate = property(lambda self: self._sent.value / self._seconds.value)

    def __enter__(self):
        self._network.take(), self._host.take()
        self._process.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._process.join()

    def _send(self):
        started, sent = time.monotonic(), 0
        while not self._done.is_set():
            due = int((time.monotonic() - started) * self.PER_SECOND)
            # After a pause of the machine: in small portions, not as one burst.
            for _ in range(min(due - sent, 32)):
                ue = self._ues[sent % len(self._ues)]
                payload = b"%d" % sent
                self._network.send(from_network(ue.protected(1 + sent // len(self._ues), payload)))
                self._host.send(from_host(ue.clear_down(payload)))
                sent += 1
            time.sleep(0.001)
        self._sent.value, self._seconds.value = sent, time.monotonic() - started

    def check_all_arrived(self, gmespd):
        wanted = {b"%d" % number for number in range(self.sent)}
        up = Counter(payload for _, payload in delivered(self._host.collect(delivered)))
        down = opened(self._network.collect(lambda frames: frames), self._ues)
        down_payloads = Counter(row[3] for row in down)
        told = (gmespd.drops(), [(name, row["rx_missed"], row["tx_full"]) for name, row in gmespd.ports().items()])
        for way, seen in (("up", up), ("down", down_payloads)):
            missing, twice = wanted - set(seen), [payload for payload, times in seen.items() if times > 1]
            assert not missing and not twice, (way, len(missing), sorted(missing, key=int)[:5], twice[:5], told)
        assert len({row[1:3] for row in down}) == len(down), "a sequence number was used twice"
