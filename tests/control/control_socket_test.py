#!/usr/bin/env python3
"""gmesp-control's socket from clients that are not libgmesp: packets of many messages, and packets that are none.

Usage: control_socket_test.py GMESPD GMESP_CONTROL GMESPCTL LIBGMESP. Runs the processes of control_daemon_test.py.
"""
import socket
import sys

import fake_control as wire
from control_daemon_test import pair
from verdict import run_functions


def hello_to(running):
    """A connection that has said hello, and the reply to it."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(10)
    client.connect(str(running.folder / "control.sock"))
    client.send(wire.encode(wire.HELLO, 0, 0, []))
    assert wire.decode(client.recv(65536))[0] == wire.REPLY
    return client


def test_requests_of_one_packet_are_answered_in_order_and_in_few_packets():
    with pair() as running:
        running.up()
        with hello_to(running) as client:
            client.send(b"".join(wire.encode(34, tag, 0, [("cursor", 0)]) for tag in range(64)))
            tags, packets = [], 0
            while len(tags) < 64:
                packets += 1
                tags += [tag for _, tag, _ in wire.decode_packet(client.recv(65536))]
            assert tags == list(range(64)) and packets <= 4, (tags, packets)


def test_a_packet_that_is_not_whole_messages_ends_its_connection_and_nothing_of_it_is_taken():
    with pair() as running:
        running.up()
        ask = wire.encode(34, 5, 0, [("cursor", 0)])
        for packet in (ask + ask[:-1], ask + b"x", ask * 65, ask + wire.encode(34, 5, 0, [], version=1)):
            with hello_to(running) as client:
                client.send(packet)
                assert client.recv(65536) == b""
        running.wait_log("sent what is no message", times=4)


if __name__ == "__main__":
    sys.exit(run_functions(globals()))
