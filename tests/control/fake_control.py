"""A gmesp-control to be asked: answers every request with what a test wants said.

Speaks the format of control/link/message.h with nothing of its code: a header of 24 bytes, then fields of tag, length
and bytes; it reads one message a packet.
"""
import socket
import struct
import threading

MAGIC, VERSION = 0x54434D47, 2
REPLY, HELLO = 128, 1
HEADER, FIELD = struct.Struct("=IHHQIi"), struct.Struct("=HH")
OK, NOT_FOUND, END, BAD_ARGUMENT, REFUSED = 0, 20, 25, 28, 101
KINDS = {32: "next_registration", 33: "next_refusal", 34: "next_total", 35: "withdraw", 36: "restore", 37: "evict",
         38: "reload"}
TAGS = {"impi": 1, "impu": 2, "registration_key": 3, "source": 5, "source_port": 6, "local": 7, "ue": 22, "cursor": 24,
        "integrity": 25, "cipher": 26, "removes_live": 27, "refusal": 41, "clause": 54, "text": 55, "sip": 56,
        "set_state": 70, "set_number": 71, "data_plane_id": 72, "mode": 73, "port_uc": 74, "port_us": 75, "port_pc": 76,
        "port_ps": 77, "spi_uc": 78, "spi_us": 79, "spi_pc": 80, "spi_ps": 81, "not_after_ms": 82, "drop_at_ms": 83,
        "peer_port": 84, "pending_transactions": 85, "is_latest": 86, "is_outbound": 87, "name": 88, "value": 89,
        "unit": 90, "time_ms": 91}
NAMES = {tag: name for name, tag in TAGS.items()}
TEXTS = {"impi", "impu", "registration_key", "clause", "text", "name", "unit"}


def address(text):
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text)
    return bytes(10) + b"\xff\xff" + socket.inet_aton(text)


def encode(kind, tag, error, fields, version=VERSION):
    """`fields`: pairs of name and number, text or bytes."""
    body = b""
    for name, value in fields:
        data = struct.pack("=Q", value) if isinstance(value, int) else \
            value.encode() if isinstance(value, str) else value
        body += FIELD.pack(TAGS[name], len(data)) + data
    return HEADER.pack(MAGIC, version, kind, tag, len(body), error) + body


def decode(message):
    """Kind, tag and fields; one that is repeated counts once."""
    magic, version, kind, tag, size, _ = HEADER.unpack_from(message)
    assert (magic, version, size) == (MAGIC, VERSION, len(message) - HEADER.size), message
    fields, at = {}, HEADER.size
    while at < len(message):
        field, length = FIELD.unpack_from(message, at)
        data = message[at + FIELD.size:at + FIELD.size + length]
        name = NAMES.get(field, field)
        fields[name] = data.decode() if name in TEXTS else struct.unpack("=Q", data)[0]
        at += FIELD.size + length
    return kind, tag, fields


def decode_packet(packet):
    """Of each of its messages, the same."""
    messages = []
    while packet:
        size = HEADER.size + HEADER.unpack_from(packet)[4]
        messages.append(decode(packet[:size]))
        packet = packet[size:]
    return messages


class FakeControl:
    """Serves one client after another. `answer(kind name, fields)` gives (error, fields), or None for no answer."""

    def __init__(self, path, answer, hello=(OK, [("text", "1.2.3")]), version=VERSION):
        self.requests = []
        self._answer, self._hello, self._version = answer, hello, version
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._serve_one(client)

    def _serve_one(self, client):
        while True:
            message = client.recv(65536)
            if not message:
                return
            kind, tag, fields = decode(message)
            if kind == HELLO:
                client.send(encode(REPLY, tag, *self._hello, version=self._version))
                continue
            self.requests.append((KINDS[kind], fields))
            answer = self._answer(KINDS[kind], fields)
            if answer is None:
                return
            client.send(encode(REPLY, tag, *answer))
