"""SIP over UDP and TCP on given local ports: one thread that reads, and send() for any thread."""
import os
import selectors
import socket
import struct
import threading
import traceback
from collections import Counter
from dataclasses import dataclass

import lab
from sip import Message, SipError, take_message

_DATAGRAM_BYTES_MAX = 1 << 16
_CONNECT_TIMEOUT_S = 3.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # no TIME_WAIT, so that the port pair is free at once


@dataclass(frozen=True)
class Arrival:
    """A message and how it came; ends are (address, port)."""

    message: Message
    local: tuple
    remote: tuple
    tcp: bool


def _end(address):
    return address[0].split("%")[0], address[1]


class SipEndpoint:
    """Calls on_message(Arrival) in its own thread. What is no SIP is counted in `garbage`; what on_message raises is
    printed and kept in `failures`, and the thread goes on."""

    def __init__(self, namespace, on_message):
        self._namespace, self._on_message = namespace, on_message
        self._datagrams, self._listeners, self._streams = {}, {}, {}
        self._lock, self.garbage, self.failures = threading.Lock(), Counter(), []
        self._is_closing = False
        self._selector, self._wake = selectors.DefaultSelector(), os.eventfd(0)
        self._selector.register(self._wake, selectors.EVENT_READ, lambda: os.eventfd_read(self._wake))
        self._thread = threading.Thread(target=self._run, name=f"sip {namespace}", daemon=True)
        self._thread.start()

    def _socket(self, kind, local):
        made = lab.socket_in(self._namespace, socket.AF_INET6 if ":" in local[0] else socket.AF_INET, kind)
        if kind == socket.SOCK_STREAM:  # a port that listens also calls, in clear TCP
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            made.bind(local)
        except OSError:
            made.close()
            raise
        return made

    def open(self, local, listens=True):
        """UDP on (address, port), and TCP if it `listens`. OSError if the port is not free; open twice is no error."""
        with self._lock:
            if local in self._datagrams:
                return
            listener = None
            if listens:
                listener = self._socket(socket.SOCK_STREAM, local)
                listener.listen(64)
                listener.setblocking(False)
            try:
                datagram = self._socket(socket.SOCK_DGRAM, local)
            except OSError:
                if listener:
                    listener.close()
                raise
            datagram.setblocking(False)
            self._datagrams[local] = datagram
            self._watch(datagram, lambda: self._read_datagram(datagram, local))
            if listener:
                self._listeners[local] = listener
                self._watch(listener, lambda: self._accept(listener))

    def close_port(self, local):
        """Its sockets and connections end; nothing more comes from there."""
        with self._lock:
            for table in (self._datagrams, self._listeners):
                if local in table:
                    self._forget(table.pop(local))
            for ends in [ends for ends in self._streams if ends[0] == local]:
                self._forget(self._streams.pop(ends))

    def send(self, message, local, remote, tcp):
        """UDP from the open port, or TCP on the connection of these ends, which is made if there is none."""
        data = message if isinstance(message, bytes) else message.encode()
        if not tcp:
            self._datagrams[local].sendto(data, remote)
            return
        with self._lock:
            stream = self._streams.get((local, remote))
        if stream is None:
            stream = self._connect(local, remote)
        stream.sendall(data)

    def has_stream(self, local, remote):
        with self._lock:
            return (local, remote) in self._streams

    def close(self):
        self._is_closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        with self._lock:
            for table in (self._datagrams, self._listeners, self._streams):
                for open_socket in table.values():
                    self._forget(open_socket)
        self._selector.close()
        os.close(self._wake)

    def _connect(self, local, remote):
        made = self._socket(socket.SOCK_STREAM, local)
        made.settimeout(_CONNECT_TIMEOUT_S)
        try:
            made.connect(remote)
        except OSError:
            made.close()
            raise
        self._add_stream(made)
        return made

    def _add_stream(self, stream):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        stream.settimeout(_CONNECT_TIMEOUT_S)
        ends, state = (_end(stream.getsockname()), _end(stream.getpeername())), {"data": b""}
        with self._lock:
            self._streams[ends] = stream
            self._watch(stream, lambda: self._read_stream(stream, ends, state))

    def _watch(self, source, action):
        self._selector.register(source, selectors.EVENT_READ, action)
        os.eventfd_write(self._wake, 1)

    def _forget(self, open_socket):
        try:
            self._selector.unregister(open_socket)
        except KeyError:
            pass
        open_socket.close()

    def _run(self):
        while not self._is_closing:
            for key, _ in self._selector.select():
                try:
                    key.data()
                except SipError as why:
                    self.garbage[str(why)] += 1
                except OSError as error:  # a socket that was closed since, or the other end is gone
                    self.garbage[os.strerror(error.errno or 0)] += 1
                except Exception as error:  # a defect of the owner's, which must not look like silence
                    traceback.print_exc()
                    self.failures.append(error)

    def _accept(self, listener):
        self._add_stream(listener.accept()[0])

    def _read_datagram(self, datagram, local):
        data, remote = datagram.recvfrom(_DATAGRAM_BYTES_MAX)
        message, _ = take_message(data)
        if message is None:
            raise SipError("incomplete datagram")
        self._on_message(Arrival(message, local, _end(remote), False))

    def _read_stream(self, stream, ends, state):
        try:
            data = stream.recv(_DATAGRAM_BYTES_MAX)
            state["data"] += data
            while data:
                message, state["data"] = take_message(state["data"])
                if message is None:
                    return
                self._on_message(Arrival(message, *ends, True))
        except (SipError, OSError):
            data = b""
            raise
        finally:
            if not data:
                with self._lock:
                    if self._streams.get(ends) is stream:
                        del self._streams[ends]
                    self._forget(stream)
