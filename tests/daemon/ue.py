"""UEs as gmespd's ports see them: their SA sets, and ESP of their own made with `cryptography`.

Nothing here knows gmespd's code: ESP is RFC 2406 with AES-CBC (RFC 3602) and HMAC-SHA-1-96 (RFC 2404), bare in
transport mode or in UDP on port 4500 around a tunnel (RFC 3948). It is fast enough for thousands of packets a second.
"""
import hashlib
import hmac
import json
import os
import struct
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PCSCF = "10.9.0.1"
PCSCF_MAC, ROUTER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("0200000000fe")
PORT_PS, PORT_PC = 6100, 6200
PROTECTED_PORTS = "6000-6299"
ENCAPSULATION_PORT = 4500
TRANSPORT, TUNNEL = "transport", "udp-encapsulated-tunnel"
_IPV4, _VLAN = b"\x08\x00", b"\x81\x00"
_UDP, _IPIP, _ESP = 17, 4, 50
_ICV_BYTES, _IV_BYTES = 12, 16
_FIRST_SPI = 0x10000


class NotEsp(Exception):
    """The frame is not what a UE would take; the text says why."""


def address_bytes(text):
    return bytes(int(part) for part in text.split("."))


def internet_checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ip(source, destination, protocol, body):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0, source, destination)
    return head[:10] + struct.pack(">H", internet_checksum(head)) + head[12:] + body


def udp(source, destination, ports, payload):
    head = struct.pack(">HHHH", *ports, 8 + len(payload), 0)
    pseudo = source + destination + struct.pack(">HH", _UDP, len(head) + len(payload))
    return head[:6] + struct.pack(">H", internet_checksum(pseudo + head + payload) or 0xffff) + payload


def ethernet(destination, source, packet, vlan=None):
    tag = _VLAN + struct.pack(">H", vlan) if vlan is not None else b""
    return destination + source + tag + _IPV4 + packet


def from_network(packet, vlan=None):
    return ethernet(PCSCF_MAC, ROUTER_MAC, packet, vlan)


def from_host(packet, vlan=None):
    return ethernet(ROUTER_MAC, PCSCF_MAC, packet, vlan)


def read_frame(frame):
    """(VLAN tag or None, IPv4 packet without Ethernet padding); (None, b"") if it is no IPv4."""
    vlan, at = None, 12
    if frame[at:at + 2] == _VLAN:
        vlan, at = struct.unpack(">H", frame[14:16])[0], 16
    if frame[at:at + 2] != _IPV4:
        return None, b""
    packet = frame[at + 2:]
    return vlan, packet[:struct.unpack(">H", packet[2:4])[0]]


def read_udp(packet):
    """(source port, destination port, payload) of an IPv4 packet without options, or None."""
    if len(packet) < 28 or packet[9] != _UDP:
        return None
    return (*struct.unpack(">HH", packet[20:24]), packet[28:])


@dataclass(frozen=True)
class Ue:
    """One registration: its four SAs. Numbers give disjoint addresses and SPIs."""

    number: int
    mode: str = TRANSPORT

    @property
    def address(self):
        return f"10.{64 + (self.number >> 16)}.{self.number >> 8 & 255}.{self.number & 255}"

    port_uc, port_us = 5100, 5200
    spi_ps = property(lambda self: _FIRST_SPI + 4 * self.number)
    spi_pc = property(lambda self: _FIRST_SPI + 4 * self.number + 1)
    spi_uc = property(lambda self: _FIRST_SPI + 4 * self.number + 2)
    spi_us = property(lambda self: _FIRST_SPI + 4 * self.number + 3)

    @cached_property
    def _secret(self):
        return hashlib.sha512(b"ue %d" % self.number).digest()

    integrity_key = property(lambda self: self._secret[:20])
    cipher_key = property(lambda self: self._secret[20:36])

    def line(self):
        """What `gmespctl sa load` takes."""
        return json.dumps({
            "mode": self.mode, "integrity": "hmac-sha-1-96", "cipher": "aes-cbc", "ue": self.address, "local": PCSCF,
            "port_uc": self.port_uc, "port_us": self.port_us, "port_pc": PORT_PC, "port_ps": PORT_PS,
            "spi_uc": self.spi_uc, "spi_us": self.spi_us, "spi_pc": self.spi_pc, "spi_ps": self.spi_ps,
            "integrity_key": self.integrity_key.hex(), "cipher_key": self.cipher_key.hex(), "lifetime_s": 3600,
            "cookie": self.number})

    def clear_up(self, payload):
        """The request that the UE protects: UDP from port_uc to port_ps."""
        ends = address_bytes(self.address), address_bytes(PCSCF)
        return ip(*ends, _UDP, udp(*ends, (self.port_uc, PORT_PS), payload))

    def clear_down(self, payload):
        """The host's answer before gmespd protects it."""
        ends = address_bytes(PCSCF), address_bytes(self.address)
        return ip(*ends, _UDP, udp(*ends, (PORT_PS, self.port_uc), payload))

    def protected(self, sequence, payload, outer_port=ENCAPSULATION_PORT):
        """IPv4 packet with the request in ESP on SA-a; behind NAT from `outer_port`."""
        clear = self.clear_up(payload)
        ends = clear[12:16], clear[16:20]
        body, next_header = (clear[20:], _UDP) if self.mode == TRANSPORT else (clear, _IPIP)
        pad_bytes = -(len(body) + 2) % _IV_BYTES
        plain = body + bytes(range(1, pad_bytes + 1)) + bytes((pad_bytes, next_header))
        iv = os.urandom(_IV_BYTES)
        encryptor = Cipher(algorithms.AES(self.cipher_key), modes.CBC(iv)).encryptor()
        esp = struct.pack(">II", self.spi_ps, sequence) + iv + encryptor.update(plain) + encryptor.finalize()
        esp += hmac.digest(self.integrity_key, esp, "sha1")[:_ICV_BYTES]
        if self.mode == TRANSPORT:
            return ip(*ends, _ESP, esp)
        # RFC 3948 2.1: the checksum over IPv4 is 0.
        head = struct.pack(">HHHH", outer_port, ENCAPSULATION_PORT, 8 + len(esp), 0)
        return ip(*ends, _UDP, head + esp)

    def open(self, esp):
        """(sequence number, UDP payload) of ESP from the P-CSCF on SA-uc; NotEsp if a UE would not take it."""
        icv = hmac.digest(self.integrity_key, esp[:-_ICV_BYTES], "sha1")[:_ICV_BYTES]
        if not hmac.compare_digest(icv, esp[-_ICV_BYTES:]):
            raise NotEsp("wrong ICV")
        decryptor = Cipher(algorithms.AES(self.cipher_key), modes.CBC(esp[8:8 + _IV_BYTES])).decryptor()
        plain = decryptor.update(esp[8 + _IV_BYTES:-_ICV_BYTES]) + decryptor.finalize()
        pad_bytes, next_header = plain[-2:]
        if plain[-2 - pad_bytes:-2] != bytes(range(1, pad_bytes + 1)):
            raise NotEsp("wrong padding")
        body = plain[:-2 - pad_bytes]
        if self.mode == TUNNEL:
            body = body[20:]
        if next_header != (_UDP if self.mode == TRANSPORT else _IPIP):
            raise NotEsp(f"next header {next_header}")
        if struct.unpack(">HH", body[:4]) != (PORT_PS, self.port_uc):
            raise NotEsp("wrong ports inside")
        return struct.unpack(">I", esp[4:8])[0], body[8:]


def from_outer_port(packet, port):
    """The same encapsulated packet as a NAT would send it from another port; its UDP checksum is 0."""
    return packet[:20] + struct.pack(">H", port) + packet[22:]


def esp_of(packet):
    """(SPI, ESP bytes, outer destination port or None) of an IPv4 packet; None if it carries no ESP."""
    if len(packet) < 28:
        return None
    port, at = None, 20
    if packet[9] == _UDP and struct.unpack(">H", packet[20:22])[0] == ENCAPSULATION_PORT:
        port, at = struct.unpack(">H", packet[22:24])[0], 28
    elif packet[9] != _ESP:
        return None
    return struct.unpack(">I", packet[at:at + 4])[0], packet[at:], port


def delivered(frames):
    """(VLAN tag, payload) of every clear UDP datagram to a protected port on the host's side."""
    found = []
    for frame in frames:
        vlan, packet = read_frame(frame)
        if (datagram := read_udp(packet)) and datagram[1] == PORT_PS:
            found.append((vlan, datagram[2]))
    return found


def opened(frames, ues):
    """(VLAN tag, UE number, sequence number, payload, outer port) of every ESP packet to the UEs, each checked as that
    UE would."""
    by_spi = {ue.spi_uc: ue for ue in ues}
    found = []
    for frame in frames:
        vlan, packet = read_frame(frame)
        esp = esp_of(packet)
        if esp is None:
            continue
        spi, body, port = esp
        if spi not in by_spi:
            raise NotEsp(f"SPI {spi:#x} is no UE's")
        sequence, payload = by_spi[spi].open(body)
        found.append((vlan, by_spi[spi].number, sequence, payload, port))
    return found
