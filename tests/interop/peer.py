#!/usr/bin/python3
"""One end of the test traffic, the same program for the UE (in the guest) and for the P-CSCF host.

Ports are used as TS 33.203 7.1 says: over UDP an end sends from its client port and listens on its
server port, requests and answers alike; over TCP it connects from the client port and answers on
the connection. So UDP uses SA-a and SA-d, TCP all four SAs.

A JSON line on the control connection asks for one exchange, a JSON line tells how it went.
"""
import argparse
import itertools
import json
import selectors
import socket
import sys
import threading
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import sa_sets  # noqa: E402

_TRIES, _TRY_S = 5, 1.0
_TCP_S = 15.0
_QUESTION, _ANSWER = b"Q", b"A"
_STREAM, _SEEN = b"S", b"K"
_WINDOW, _TELL_EVERY = 64, 16  # datagrams of a stream that may be under way, between two reports
_STALL_S = 2.0


def _bound(family, kind, address, port):
    made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # The P-CSCF's addresses come and go with gmespd's TAP; a listener may outlive one.
    made.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
    made.bind((address, port))
    return made


def filler(token, size):
    """`size` bytes that tell where they belong: a shifted or cut message does not compare equal."""
    pattern = b"%08x" % token
    return (pattern * (size // len(pattern) + 1))[:size]


class Stream:
    """Datagrams with numbers, as they came in."""

    def __init__(self):
        self.seen = bytearray()
        self.count = self.repeated = self.changed = self.overtaken = 0
        self.highest = -1

    def take(self, data):
        """Returns how many have come."""
        number = int.from_bytes(data[:8], "big")
        self.changed += data[8:] != filler(number, len(data) - 8)
        if number >= len(self.seen):
            self.seen.extend(bytes(number + 1 - len(self.seen)))
        self.repeated += self.seen[number]
        self.overtaken += number < self.highest
        self.highest = max(self.highest, number)
        self.seen[number] = 1
        self.count += 1
        return self.count

    def summary(self):
        return {"received": sum(self.seen), "repeated": self.repeated, "changed": self.changed,
                "overtaken": self.overtaken}


class Window:
    """How far a stream may run ahead. A report that is missing stalls it once, and is counted."""

    def __init__(self):
        self.seen = 0
        self.change = threading.Condition()

    def reported(self, count):
        with self.change:
            self.seen = max(self.seen, count)
            self.change.notify()

    def _wait(self, count):
        with self.change:
            if self.change.wait_for(lambda: self.seen >= count, _STALL_S):
                return True
            self.seen = count
            return False

    def wait_for_room(self, number):
        return self._wait(number - _WINDOW)

    def wait_until_seen(self, count):
        return self._wait(count // _TELL_EVERY * _TELL_EVERY)


class Peer:
    def __init__(self, sets, side):
        self.selector = selectors.DefaultSelector()
        self.tokens = itertools.count(1)
        self.waiting = {}  # answer expected: event
        self.streams = {}  # set index: Stream that comes in
        self.windows = {}  # set index: Window of the stream that goes out
        self.ends = {}
        for sa_set in sets:
            self._open(sa_set, side == "ue")

    def _open(self, sa_set, is_ue):
        uc, us, pc, ps = (sa_set.port_uc, sa_set.port_us, sa_set.port_pc, sa_set.port_ps)
        own = sa_set.ue if is_ue else sa_set.pcscf
        client, server = (uc, us) if is_ue else (pc, ps)
        remote = (sa_set.pcscf, ps) if is_ue else (sa_set.ue, us)
        sender = _bound(sa_set.family, socket.SOCK_DGRAM, own, client)
        receiver = _bound(sa_set.family, socket.SOCK_DGRAM, own, server)
        listener = _bound(sa_set.family, socket.SOCK_STREAM, own, server)
        listener.listen()
        self.ends[sa_set.index] = (sa_set.family, own, client, remote, sender)
        self.selector.register(receiver, selectors.EVENT_READ,
                               lambda: self._datagram(sa_set.index, receiver, sender, remote))
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    def _datagram(self, index, receiver, sender, remote):
        data = receiver.recv(65535)
        if data[:1] == _QUESTION:
            sender.sendto(_ANSWER + data[1:], remote)
        elif data[:1] == _ANSWER and data[1:] in self.waiting:
            self.waiting[data[1:]].set()
        elif data[:1] == _STREAM:
            count = self.streams.setdefault(index, Stream()).take(data[1:])
            if count % _TELL_EVERY == 0:
                sender.sendto(_SEEN + count.to_bytes(8, "big"), remote)
        elif data[:1] == _SEEN and index in self.windows:
            self.windows[index].reported(int.from_bytes(data[1:9], "big"))

    def _accept(self, listener):
        link = listener.accept()[0]
        self.selector.register(link, selectors.EVENT_READ, lambda: self._echo(link))

    def _echo(self, link):
        try:
            data = link.recv(65535)
            if data:
                link.sendall(data)
                return
        except OSError:
            pass
        self.selector.unregister(link)
        link.close()

    def serve_forever(self):
        while True:
            for key, _ in self.selector.select():
                try:
                    key.data()
                except OSError as error:  # such as an ICMP error reported on a UDP socket
                    print(f"{key.fileobj}: {error}", flush=True)

    def ask_udp(self, index, size):
        """Sends a question and waits for its answer; again after a second, as SIP would."""
        *_, remote, sender = self.ends[index]
        body = filler(next(self.tokens), size - 1)
        answered = self.waiting[body] = threading.Event()
        try:
            for attempt in range(1, _TRIES + 1):
                try:
                    sender.sendto(_QUESTION + body, remote)
                except OSError as error:  # EMSGSIZE once, when the path MTU was just learned
                    print(f"set {index}, {size} bytes: {error}", flush=True)
                if answered.wait(_TRY_S):
                    return {"ok": True, "tries": attempt}
            return {"ok": False, "error": f"no answer to {_TRIES} tries"}
        finally:
            del self.waiting[body]

    def ask_tcp(self, index, sizes):
        """Connects from the client port, sends each size and reads it back, closes."""
        family, own, client, remote, _ = self.ends[index]
        with _bound(family, socket.SOCK_STREAM, own, client) as link:
            link.settimeout(_TCP_S)
            link.connect(remote)
            for size in sizes:
                sent = filler(next(self.tokens), size)
                link.sendall(sent)
                received = b""
                while len(received) < size:
                    chunk = link.recv(65535)
                    if not chunk:
                        return {"ok": False, "error": f"closed after {len(received)} of {size}"}
                    received += chunk
                if received != sent:
                    return {"ok": False, "error": f"{size} bytes came back changed"}
        return {"ok": True, "tries": 1}

    def send_only(self, index, size):
        """One datagram to which no answer is expected."""
        *_, remote, sender = self.ends[index]
        sender.sendto(bytes(size), remote)
        return {"ok": True, "tries": 1}

    def stream(self, index, first, packets, size):
        """Sends datagrams that bear the numbers from `first` on, never more than a window ahead of
        what the other end reports: so none is lost for want of room on the way."""
        *_, remote, sender = self.ends[index]
        window = self.windows.setdefault(index, Window())
        stalls = 0
        for number in range(first, first + packets):
            stalls += not window.wait_for_room(number)
            body = number.to_bytes(8, "big")
            sender.sendto(_STREAM + body + filler(number, size - 9), remote)
        stalls += not window.wait_until_seen(first + packets)
        return {"ok": True, "tries": 1, "stalls": stalls}

    def streamed(self, index):
        """What came in of the other end's stream."""
        return {"ok": True, "tries": 1, **self.streams[index].summary()}

    def obey(self, order):
        try:
            return getattr(self, order.pop("do"))(**order)
        except OSError as error:
            return {"ok": False, "error": str(error)}


class Remote:
    """The test's end of a control connection to a peer."""

    def __init__(self, link):
        self.link = link
        self.lines = link.makefile("rw")

    def ask(self, what, **arguments):
        self.link.settimeout(4 * _TCP_S)
        self.lines.write(json.dumps({"do": what, **arguments}) + "\n")
        self.lines.flush()
        return json.loads(self.lines.readline() or '{"ok": false, "error": "the peer is gone"}')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["ue", "pcscf"])
    parser.add_argument("matrix", choices=["full", "reduced", "endurance"])
    parser.add_argument("control", help="ADDRESS:PORT to be told what to do")
    arguments = parser.parse_args()
    sets = sa_sets.MATRICES[arguments.matrix]()
    peer = Peer(sets, arguments.side)
    threading.Thread(target=peer.serve_forever, daemon=True).start()
    address, port = arguments.control.split(":")
    control = _bound(4, socket.SOCK_STREAM, address, int(port))
    control.listen()
    print("PEER-READY", flush=True)
    while True:
        link = control.accept()[0]
        for line in link.makefile():
            link.sendall((json.dumps(peer.obey(json.loads(line))) + "\n").encode())


if __name__ == "__main__":
    main()
