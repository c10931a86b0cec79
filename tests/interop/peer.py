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


class Peer:
    def __init__(self, sets, side):
        self.selector = selectors.DefaultSelector()
        self.tokens = itertools.count(1)
        self.waiting = {}  # answer expected: event
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
                               lambda: self._datagram(receiver, sender, remote))
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    def _datagram(self, receiver, sender, remote):
        data = receiver.recv(65535)
        if data[:1] == _QUESTION:
            sender.sendto(_ANSWER + data[1:], remote)
        elif data[:1] == _ANSWER and data[1:] in self.waiting:
            self.waiting[data[1:]].set()

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
    parser.add_argument("matrix", choices=["full", "reduced"])
    parser.add_argument("control", help="ADDRESS:PORT to be told what to do")
    arguments = parser.parse_args()
    sets = sa_sets.full_matrix() if arguments.matrix == "full" else sa_sets.reduced_matrix()
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
