"""What crossed the access wire: every frame of it, judged by addresses and ports alone."""
import ipaddress
import socket
from dataclasses import dataclass

import lab

ENCAPSULATION_PORT = 4500
_ESP, _TCP, _UDP, _IPV6_FRAGMENT = 50, 6, 17, 44
_BUFFER_BYTES = 16 << 20
_SO_RCVBUFFORCE = 33


@dataclass(frozen=True)
class Frame:
    """An IP packet; `ports` are None for what is no TCP or UDP, and for later fragments."""

    source: str
    destination: str
    protocol: int
    ports: tuple | None
    payload: bytes
    is_fragment: bool
    ethernet: bytes  # the whole frame

    def is_esp(self):
        return self.protocol == _ESP or self.protocol == _UDP and ENCAPSULATION_PORT in (self.ports or ())


def read_frame(data):
    """Frame of an Ethernet frame; None if it holds no IP packet."""
    kind, packet = data[12:14], data[14:]
    if kind == b"\x08\x00":
        header_bytes, protocol = 4 * (packet[0] & 15), packet[9]
        position = int.from_bytes(packet[6:8], "big")
        is_later, is_fragment = position & 0x1FFF != 0, position & 0x3FFF != 0
        ends, body = (packet[12:16], packet[16:20]), packet[header_bytes:int.from_bytes(packet[2:4], "big")]
    elif kind == b"\x86\xdd":
        protocol, body, is_later = packet[6], packet[40:40 + int.from_bytes(packet[4:6], "big")], False
        ends, is_fragment = (packet[8:24], packet[24:40]), protocol == _IPV6_FRAGMENT
        if is_fragment:
            protocol, is_later, body = body[0], int.from_bytes(body[2:4], "big") >> 3 != 0, body[8:]
    else:
        return None
    has_ports = protocol in (_TCP, _UDP) and not is_later
    ports = tuple(int.from_bytes(body[at:at + 2], "big") for at in (0, 2)) if has_ports else None
    return Frame(*(str(ipaddress.ip_address(end)) for end in ends), protocol, ports, body, is_fragment, data)


class AccessWire:
    """Records from its making on; frames() gives what came since the last call."""

    def __init__(self, namespace="router", interface="wire"):
        self._socket = lab.packet_socket(namespace, interface)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.setblocking(False)

    def frames(self):
        found = []
        while True:
            try:
                found.append(read_frame(self._socket.recv(1 << 16)))
            except BlockingIOError:
                break
        return [frame for frame in found if frame]

    def send_again(self, frame):
        """Puts a frame from the router on the wire once more."""
        self._socket.send(frame.ethernet)

    def close(self):
        self._socket.close()


def clear_leaks(frames, pcscf_addresses, pcscf_ports, ue_ports):
    """TCP and UDP from or to a protected port of either side that is not ESP; ranges are (low, high)."""
    def is_protected(address, port):
        low, high = pcscf_ports if address in pcscf_addresses else ue_ports
        return low <= port <= high

    return [frame for frame in frames if frame.ports and not frame.is_esp()
            and (is_protected(frame.source, frame.ports[0]) or is_protected(frame.destination, frame.ports[1]))]
