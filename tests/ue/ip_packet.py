"""The few fields of IPv4 and IPv6 packets that IPsec needs."""
import ipaddress
import struct
from dataclasses import dataclass

_V4_BYTES, _V6_BYTES = 20, 40
_TTL = 64
_PORTS = (6, 17)


class PacketError(Exception):
    """The bytes are no packet that IPsec here is for; the text is the reason to count."""


@dataclass(frozen=True)
class Packet:
    """A whole TCP or UDP datagram."""

    whole: bytes
    source: str
    destination: str
    protocol: int
    payload: bytes  # behind the IP header

    @property
    def source_port(self):
        return struct.unpack(">H", self.payload[:2])[0]

    @property
    def destination_port(self):
        return struct.unpack(">H", self.payload[2:4])[0]


def address_bytes(text):
    return ipaddress.ip_address(text).packed


def _text(packed):
    return str(ipaddress.ip_address(packed))


def checksum(data):
    """RFC 1071."""
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def is_multicast(data):
    return len(data) >= _V6_BYTES and data[0] >> 4 == 6 and data[24] == 0xFF or \
        len(data) >= _V4_BYTES and data[0] >> 4 == 4 and data[16] >> 4 == 0xE


def inner_packet(body):
    """The IP packet at the beginning of `body`, without what was put behind it to hide its length (RFC 4303 2.7)."""
    version = body[0] >> 4 if body else 0
    if version == 4 and len(body) >= _V4_BYTES:
        length = struct.unpack(">H", body[2:4])[0]
    elif version == 6 and len(body) >= _V6_BYTES:
        length = _V6_BYTES + struct.unpack(">H", body[4:6])[0]
    else:
        raise PacketError("no IP packet")
    if length > len(body):
        raise PacketError("cut IP packet")
    return body[:length]


def read_packet(data):
    """A TCP or UDP datagram, whole and without extension headers."""
    whole = inner_packet(data)
    if whole[0] >> 4 == 4:
        header_bytes, protocol = 4 * (whole[0] & 15), whole[9]
        source, destination = whole[12:16], whole[16:20]
        if header_bytes < _V4_BYTES or struct.unpack(">H", whole[6:8])[0] & 0x3FFF:
            raise PacketError("fragment or malformed header")
    else:
        header_bytes, protocol = _V6_BYTES, whole[6]
        source, destination = whole[8:24], whole[24:40]
    if protocol not in _PORTS or len(whole) < header_bytes + 8:
        raise PacketError("neither TCP nor UDP")
    return Packet(whole, _text(source), _text(destination), protocol, whole[header_bytes:])


def transport_packet(source, destination, protocol, payload):
    """The packet that a transport mode packet was; addresses are packed."""
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, _TTL) + source + destination + payload
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, _V4_BYTES + len(payload), 0, 0x4000, _TTL, protocol, 0, source,
                       destination)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload
