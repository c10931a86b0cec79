"""Netlink messages of the kernel's IPsec as bytes, by struct alone, as linux/xfrm.h lays them out on 64-bit machines.

The senders are as SIP proxies write them (attributes longer than their key, SPI as reqid), one function per message.
"""
import ipaddress
import struct
from dataclasses import dataclass, field

NEWSA, DELSA, GETSA, NEWPOLICY, DELPOLICY, GETPOLICY = range(0x10, 0x16)
UPDSA, FLUSHSA, FLUSHPOLICY = 0x1a, 0x1c, 0x1d
DONE = 3
REQUEST, MULTI, ACK, DUMP, CREATE_EXCL = 0x01, 0x02, 0x04, 0x300, 0x600
ALG_AUTH, ALG_CRYPT, ENCAP, TMPL, SRCADDR, ALG_AEAD = 1, 2, 4, 5, 13, 18
IN, OUT = 0, 1
KAMAILIO, OPENSIPS = 143956232, 1387164160  # sel.user, in the order its sender gives it
_HEADER = struct.Struct("=IHHII")
_SELECTOR = struct.Struct("@16s16s2s2s2s2sHBBB3xiI")
_ID = struct.Struct("@16s4sB3x")
_LIMITS = struct.Struct("@8Q")
_CURRENT = struct.Struct("@4Q")
_SA_TAIL = struct.Struct("@IIIIIHBBB7x")  # stats, seq, reqid, family, mode, replay window, flags
_POLICY_TAIL = struct.Struct("@IIBBBB4x")
_TEMPLATE = struct.Struct("@16s4sB3xH2x16sIBBBxIII")
_SA_ID = struct.Struct("@16s4sHBx")
NEWSA_BYTES, NEWPOLICY_BYTES = 224, 168


@dataclass(frozen=True)
class Sa:
    """One SA and its policy: addresses as text."""

    source: str
    destination: str
    source_port: int
    destination_port: int
    spi: int
    direction: int


@dataclass(frozen=True)
class SaSet:
    """The four SAs of a registration, in the order in which proxies send them."""

    number: int = 0
    ue: str = "10.0.0.2"
    pcscf: str = "192.0.2.1"
    ports: tuple = ()  # uc, us, pc, ps
    spis: tuple = ()

    def named(self):
        n = self.number
        uc, us, pc, ps = self.ports or (20000 + n, 30000 + n, 6100, 6200)
        spi_uc, spi_us, spi_pc, spi_ps = self.spis or (1000 + n, 50000 + n, 100000 + 2 * n, 100001 + 2 * n)
        return {"port_uc": uc, "port_us": us, "port_pc": pc, "port_ps": ps,
                "spi_uc": spi_uc, "spi_us": spi_us, "spi_pc": spi_pc, "spi_ps": spi_ps}

    def sas(self):
        n = self.named()
        return [Sa(self.ue, self.pcscf, n["port_uc"], n["port_ps"], n["spi_ps"], IN),
                Sa(self.pcscf, self.ue, n["port_pc"], n["port_us"], n["spi_us"], OUT),
                Sa(self.pcscf, self.ue, n["port_ps"], n["port_uc"], n["spi_uc"], OUT),
                Sa(self.ue, self.pcscf, n["port_us"], n["port_pc"], n["spi_pc"], IN)]

    def crossed(self):
        """What newer Kamailio adds: client to client and server to server, under the same SPIs."""
        n = self.named()
        return [Sa(self.ue, self.pcscf, n["port_uc"], n["port_pc"], n["spi_ps"], IN),
                Sa(self.pcscf, self.ue, n["port_pc"], n["port_uc"], n["spi_us"], OUT),
                Sa(self.pcscf, self.ue, n["port_ps"], n["port_us"], n["spi_uc"], OUT),
                Sa(self.ue, self.pcscf, n["port_us"], n["port_ps"], n["spi_pc"], IN)]


@dataclass(frozen=True)
class Algorithms:
    auth: str = "sha1"
    auth_key: bytes = bytes(range(16))
    crypt: str = "aes"
    crypt_key: bytes = bytes(range(16, 32))
    auth_bits: int | None = None  # what alg_key_len says, if not the truth
    crypt_bits: int | None = None
    user: int = KAMAILIO
    more: bytes = b""  # attributes


def _address(text):
    return ipaddress.ip_address(text).packed.ljust(16, b"\0")


def _family(text):
    return 10 if ":" in text else 2


def _port(number):
    return number.to_bytes(2, "big")


def message(kind, body, flags=REQUEST, sequence=7, length=None):
    whole = _HEADER.size + len(body) if length is None else length
    return _HEADER.pack(whole, kind, flags, sequence, 0) + body


def attribute(kind, payload, length=None):
    whole = 4 + len(payload) if length is None else length
    return struct.pack("=HH", whole, kind) + payload + bytes(-len(payload) % 4)


def selector(sa, user, **changes):
    bits = 32 if _family(sa.source) == 2 else 128
    fields = {"dport_mask": b"\xff\xff", "sport_mask": b"\xff\xff", "family": _family(sa.source), "prefix_d": bits,
              "prefix_s": bits, "proto": 0} | changes
    return _SELECTOR.pack(_address(sa.destination), _address(sa.source), _port(sa.destination_port),
                          fields["dport_mask"], _port(sa.source_port), fields["sport_mask"], fields["family"],
                          fields["prefix_d"], fields["prefix_s"], fields["proto"], 0,
                          int.from_bytes(user.to_bytes(4, "big"), "little"))


def algorithm(kind, name, key, bits=None):
    """With as many bytes behind the header as the key has bits, as Kamailio and OpenSIPS do."""
    bits = 8 * len(key) if bits is None else bits
    return attribute(kind, struct.pack("@64sI", name.encode(), bits) + key.ljust(8 * len(key), b"\0"))


def new_sa(sa, algorithms=Algorithms(), protocol=50, mode=0, daddr=None, **selector_changes):
    body = selector(sa, algorithms.user, **selector_changes)
    body += _ID.pack(_address(daddr or sa.destination), sa.spi.to_bytes(4, "big"), protocol) + _address(sa.source)
    body += _LIMITS.pack(*[2**64 - 1] * 4, 0, 0, 0, 0) + _CURRENT.pack(0, 0, 0, 0)
    body += _SA_TAIL.pack(0, 0, 0, 0, sa.spi, _family(sa.source), mode, 32, 0)
    assert len(body) == NEWSA_BYTES
    body += algorithm(ALG_AUTH, algorithms.auth, algorithms.auth_key, algorithms.auth_bits)
    body += algorithm(ALG_CRYPT, algorithms.crypt, algorithms.crypt_key, algorithms.crypt_bits) + algorithms.more
    return message(NEWSA, body, REQUEST | CREATE_EXCL)


def new_policy(sa, algorithms=Algorithms(), templates=1, action=0, direction=None, optional=0):
    body = selector(sa, algorithms.user) + _LIMITS.pack(*[2**64 - 1] * 4, 0, 0, 0, 0) + _CURRENT.pack(0, 0, 0, 0)
    body += _POLICY_TAIL.pack(2080, 0, sa.direction if direction is None else direction, action, 0, 0)
    assert len(body) == NEWPOLICY_BYTES
    template = _TEMPLATE.pack(_address(sa.destination), bytes(4), 50, _family(sa.source), _address(sa.source), sa.spi,
                              0, 0, optional, *[2**32 - 1] * 3)
    assert len(template) == 64
    if templates:
        body += attribute(TMPL, template * templates)
    return message(NEWPOLICY, body, REQUEST | CREATE_EXCL)


def delete_sa(sa, protocol=50):
    body = _SA_ID.pack(_address(sa.destination), sa.spi.to_bytes(4, "big"), _family(sa.destination), protocol)
    return message(DELSA, body + attribute(SRCADDR, _address(sa.source)))


def delete_policy(sa, user=KAMAILIO):
    return message(DELPOLICY, selector(sa, user) + struct.pack("@IB3x", 0, sa.direction))


def dump(kind, sequence=7):
    return message(kind, b"", REQUEST | DUMP, sequence)


def install_messages(sa_set, algorithms=Algorithms()):
    """What ipsec_create() of Kamailio 5.6.3 sends, message by message."""
    return [made(sa, algorithms) for sa in sa_set.sas() for made in (new_sa, new_policy)]


def delete_messages(sa_set):
    return [made(sa) for sa in sa_set.sas() for made in (delete_sa, delete_policy)]


# --- answers ------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Entry:
    """An SA (with its SPI) or a policy (with its direction) of a dump."""

    kind: int
    sequence: int
    port_id: int
    sa: Sa
    user: int
    body: bytes = field(repr=False, compare=False, default=b"")


def messages(data):
    """(kind, flags, sequence, port id, body) of each message."""
    at, found = 0, []
    while at < len(data):
        length, kind, flags, sequence, port_id = _HEADER.unpack_from(data, at)
        assert _HEADER.size <= length <= len(data) - at, (length, at, len(data))
        found.append((kind, flags, sequence, port_id, data[at + _HEADER.size:at + length]))
        at += length + -length % 4
    return found


def entry(kind, sequence, port_id, body):
    """What delete_unused_sa() and its sisters read: the selector, the id, the direction."""
    daddr, saddr, dport, dport_mask, sport, sport_mask, family, bits_d, bits_s, proto, _, user = \
        _SELECTOR.unpack_from(body)
    size = 4 if family == 2 else 16
    assert (bits_d, bits_s, proto, dport_mask, sport_mask) == (8 * size, 8 * size, 0, b"\xff\xff", b"\xff\xff")
    source, destination = (str(ipaddress.ip_address(address[:size])) for address in (saddr, daddr))
    spi, direction = 0, -1
    if kind == NEWSA:
        assert len(body) == NEWSA_BYTES, len(body)
        id_address, id_spi, protocol = _ID.unpack_from(body, 56)
        assert (id_address, protocol, body[80:96]) == (daddr, 50, saddr)
        assert struct.unpack_from("@H", body, 212)[0] == family
        spi = int.from_bytes(id_spi, "big")
    else:
        assert len(body) == NEWPOLICY_BYTES, len(body)
        direction = body[160]
    return Entry(kind, sequence, port_id, Sa(source, destination, int.from_bytes(sport, "big"),
                                             int.from_bytes(dport, "big"), spi, direction),
                 int.from_bytes(user.to_bytes(4, "little"), "big"), body)
