"""ESP (RFC 2406) as TS 33.203 uses it: SA sets, their keys, and packets in both directions. Nothing here sends."""
import hmac
import os
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

TRANSPORT, TUNNEL = "trans", "UDP-enc-tun"  # values of `mod` in Annex H
HASHES = {"hmac-md5-96": "md5", "hmac-sha-1-96": "sha1"}
CIPHERS = ("aes-cbc", "des-ede3-cbc", "null")
PROTOCOLS = (6, 17)  # TCP and UDP share every SA (7.1)
IPV4_IN_ESP, IPV6_IN_ESP = 4, 41
_ICV_BYTES, _HEADER_BYTES, _TRAILER_BYTES, _ALIGNMENT_BYTES = 12, 8, 2, 4
_WINDOW = 64
_SEQUENCE_MAX = (1 << 32) - 1
_BLOCK_BYTES = {"aes-cbc": 16, "des-ede3-cbc": 8, "null": 0}


class EspError(Exception):
    """The packet is not to be taken or cannot be sent; the text is the reason to count."""


def _odd_parity(key):
    return bytes(byte & 0xFE | (bin(byte >> 1).count("1") + 1) % 2 for byte in key)


def integrity_key(integrity, ik):
    """Annex I."""
    return ik if integrity == "hmac-md5-96" else ik + bytes(4)


def cipher_key(cipher, ck):
    """Annex I; ValueError for a CK that makes single DES of DES-EDE3 (RFC 2451 2.3)."""
    if cipher == "null":
        return b""
    if cipher == "aes-cbc":
        return ck
    first, second = _odd_parity(ck[:8]), _odd_parity(ck[8:])
    if first == second:
        raise ValueError("CK has equal halves: no key for DES-EDE3-CBC")
    return first + second + first


@dataclass
class SaSet:
    """What one challenge agrees on: the parameters of its four SAs (7.1)."""

    ue: str
    pcscf: str
    port_uc: int
    port_us: int
    port_pc: int
    port_ps: int
    spi_uc: int
    spi_us: int
    spi_pc: int
    spi_ps: int
    integrity: str
    cipher: str
    ik: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    mode: str = TRANSPORT
    peer_port: int | None = None  # UDP encapsulation: where the other end is; the P-CSCF learns it

    def sas(self, role):
        """(inbound SAs, outbound SAs) as `role`, "ue" or "pcscf", has them."""
        client = Sa(self, self.spi_ps, (self.ue, self.port_uc), (self.pcscf, self.port_ps))
        server = Sa(self, self.spi_pc, (self.ue, self.port_us), (self.pcscf, self.port_pc))
        to_client = Sa(self, self.spi_uc, (self.pcscf, self.port_ps), (self.ue, self.port_uc))
        to_server = Sa(self, self.spi_us, (self.pcscf, self.port_pc), (self.ue, self.port_us))
        up, down = (client, server), (to_client, to_server)
        return (down, up) if role == "ue" else (up, down)


class ReplayWindow:
    """RFC 2406 3.4.3; the bits of `seen` are numbers below and including the highest."""

    def __init__(self):
        self._highest, self._seen = 0, 0

    def check(self, sequence):
        behind = self._highest - sequence
        if sequence == 0 or behind >= _WINDOW or behind >= 0 and self._seen >> behind & 1:
            raise EspError("replayed or too old")

    def advance(self, sequence):
        """Only for numbers that passed check() and whose packet is authentic."""
        ahead = sequence - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & (1 << _WINDOW) - 1
            self._highest = sequence
        else:
            self._seen |= 1 << -ahead


class Sa:
    """One of the four, used in one direction: either seal() or open()."""

    def __init__(self, sa_set, spi, source, destination):
        self.set, self.spi, self.source, self.destination = sa_set, spi, source, destination
        self._hash = HASHES[sa_set.integrity]
        self._integrity_key = integrity_key(sa_set.integrity, sa_set.ik)
        self._cipher, self._cipher_key = sa_set.cipher, cipher_key(sa_set.cipher, sa_set.ck)
        self._window, self._sequence = ReplayWindow(), 0
        self.packets = 0

    def _block_cipher(self, iv):
        algorithm = algorithms.AES if self._cipher == "aes-cbc" else algorithms.TripleDES
        return Cipher(algorithm(self._cipher_key), modes.CBC(iv))

    def _icv(self, data):
        return hmac.digest(self._integrity_key, data, self._hash)[:_ICV_BYTES]

    def seal(self, body, next_header):
        """The ESP packet around `body`."""
        if self._sequence == _SEQUENCE_MAX:
            raise EspError("sequence numbers used up")
        self._sequence += 1
        block_bytes = _BLOCK_BYTES[self._cipher]
        pad_bytes = -(len(body) + _TRAILER_BYTES) % (block_bytes or _ALIGNMENT_BYTES)
        plain = body + bytes(range(1, pad_bytes + 1)) + bytes((pad_bytes, next_header))
        iv = os.urandom(block_bytes)
        if block_bytes:
            encryptor = self._block_cipher(iv).encryptor()
            plain = encryptor.update(plain) + encryptor.finalize()
        esp = struct.pack(">II", self.spi, self._sequence) + iv + plain
        self.packets += 1
        return esp + self._icv(esp)

    def open(self, esp):
        """(body, next header) of an ESP packet; EspError if it is not authentic, not new or not well formed."""
        block_bytes = _BLOCK_BYTES[self._cipher]
        covered, icv = esp[:-_ICV_BYTES], esp[-_ICV_BYTES:]
        ciphered_bytes = len(covered) - _HEADER_BYTES - block_bytes
        if ciphered_bytes < _TRAILER_BYTES or ciphered_bytes % (block_bytes or _ALIGNMENT_BYTES):
            raise EspError("length")
        sequence = struct.unpack(">I", esp[4:8])[0]
        self._window.check(sequence)
        if not hmac.compare_digest(icv, self._icv(covered)):
            raise EspError("wrong ICV")
        self._window.advance(sequence)
        plain = covered[_HEADER_BYTES + block_bytes:]
        if block_bytes:
            decryptor = self._block_cipher(covered[_HEADER_BYTES:_HEADER_BYTES + block_bytes]).decryptor()
            plain = decryptor.update(plain) + decryptor.finalize()
        pad_bytes, next_header = plain[-_TRAILER_BYTES:]
        body = plain[:-_TRAILER_BYTES]
        if pad_bytes > len(body) or body[len(body) - pad_bytes:] != bytes(range(1, pad_bytes + 1)):
            raise EspError("padding")
        self.packets += 1
        return body[:len(body) - pad_bytes], next_header
