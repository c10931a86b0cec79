"""SA sets of the lab, and how each program wants to be told about them.

A set is the four SAs of one registration (TS 33.203 7.1). Keys come from labels by SHA-256, so a
run can be repeated byte by byte, and are expanded from IK and CK as Annex I says.
"""
import hashlib
from dataclasses import dataclass

TRANSPORT, TUNNEL = "transport", "udp-encapsulated-tunnel"
ENCAPSULATION_PORT = 4500
PROTECTED_PORTS = (6100, 6299)

# The P-CSCF, the UE without NAT, the UE behind NAT (inside), and the NAT's public address.
PCSCF = {4: "10.9.0.1", 6: "fd00:9::1"}
UE_DIRECT = {4: "10.9.1.2", 6: "fd00:9:1::2"}
UE_PRIVATE = {4: "192.168.1.2", 6: "fd00:7::2"}
NAT_PUBLIC = {4: "10.9.0.254", 6: "fd00:9::fe"}

INTEGRITY = {  # our name: Linux, scapy, Wireshark
    "hmac-md5-96": ("hmac(md5)", "HMAC-MD5-96", "HMAC-MD5-96 [RFC2403]"),
    "hmac-sha-1-96": ("hmac(sha1)", "HMAC-SHA1-96", "HMAC-SHA-1-96 [RFC2404]"),
}
CIPHER = {
    "null": ("ecb(cipher_null)", "NULL", "NULL"),
    "aes-cbc": ("cbc(aes)", "AES-CBC", "AES-CBC [RFC3602]"),
    "des-ede3-cbc": ("cbc(des3_ede)", "3DES", "TripleDES-CBC [RFC2451]"),
}


def _secret(label):
    """16 bytes: what an AKA run would have delivered."""
    return hashlib.sha256(label.encode()).digest()[:16]


def _odd_parity(key):
    return bytes((byte & 0xfe) | (bin(byte & 0xfe).count("1") + 1) % 2 for byte in key)


def expand_integrity_key(integrity, ik):
    """Annex I: MD5 takes IK as it is, SHA-1 takes IK and four zero bytes."""
    return ik if integrity == "hmac-md5-96" else ik + bytes(4)


def expand_cipher_key(cipher, ck):
    """Annex I: AES takes CK as it is, 3DES takes CK1 | CK2 | CK1 with odd parity."""
    if cipher == "null":
        return b""
    return ck if cipher == "aes-cbc" else _odd_parity(ck + ck[:8])


@dataclass(frozen=True)
class SaSet:
    index: int
    family: int  # 4 or 6
    mode: str
    integrity: str
    cipher: str

    @property
    def name(self):
        mode = "transport" if self.mode == TRANSPORT else "udp-tunnel"
        return f"v{self.family}-{mode}-{self.cipher}-{self.integrity[5:-3].replace('-', '')}"

    @property
    def ue(self):
        """What the selectors compare: behind NAT it is the address Linux puts inside the tunnel."""
        return (UE_DIRECT if self.mode == TRANSPORT else UE_PRIVATE)[self.family]

    @property
    def outer_ue(self):
        """The UE's address as the P-CSCF's side of the network sees it."""
        return (UE_DIRECT if self.mode == TRANSPORT else NAT_PUBLIC)[self.family]

    @property
    def pcscf(self):
        return PCSCF[self.family]

    # Disjoint for each set, so that a stray packet shows whose it is.
    port_uc = property(lambda self: 5100 + self.index)
    port_us = property(lambda self: 5200 + self.index)
    port_ps = property(lambda self: 6100 + self.index)
    port_pc = property(lambda self: 6200 + self.index)
    spi_ps = property(lambda self: 0x10000 + self.index)
    spi_pc = property(lambda self: 0x20000 + self.index)
    spi_uc = property(lambda self: 0x30000 + self.index)
    spi_us = property(lambda self: 0x40000 + self.index)

    @property
    def integrity_key(self):
        return expand_integrity_key(self.integrity, _secret(f"ik {self.index} {self.name}"))

    @property
    def cipher_key(self):
        return expand_cipher_key(self.cipher, _secret(f"ck {self.index} {self.name}"))

    def record(self, lifetime_s=3600):
        """The line that `gmespctl sa load` takes."""
        return {
            "mode": self.mode, "integrity": self.integrity, "cipher": self.cipher,
            "ue": self.ue, "local": self.pcscf,
            "outer_ue": self.outer_ue, "outer_local": self.pcscf,
            "port_uc": self.port_uc, "port_us": self.port_us,
            "port_pc": self.port_pc, "port_ps": self.port_ps,
            "spi_uc": self.spi_uc, "spi_us": self.spi_us,
            "spi_pc": self.spi_pc, "spi_ps": self.spi_ps,
            "integrity_key": self.integrity_key.hex(), "cipher_key": self.cipher_key.hex(),
            "lifetime_s": lifetime_s}

    def linux_commands(self):
        """`ip -batch` lines for the UE's kernel: four states, policies for UDP and TCP."""
        tunnel = self.mode == TUNNEL
        mode = "tunnel" if tunnel else "transport"
        port = ENCAPSULATION_PORT
        encapsulation = f" encap espinudp {port} {port} 0.0.0.0" if tunnel else ""
        key = f"0x{self.cipher_key.hex()}" if self.cipher_key else '""'
        keys = (f"auth-trunc {INTEGRITY[self.integrity][0]} 0x{self.integrity_key.hex()} 96 "
                f"enc {CIPHER[self.cipher][0]} {key}")
        up, down = (self.ue, self.pcscf), (self.pcscf, self.ue)
        client, server = 1000 + self.index, 2000 + self.index  # reqid: binds policy to SA
        for (source, destination), spi, reqid in (
                (up, self.spi_ps, client), (down, self.spi_uc, client),
                (up, self.spi_pc, server), (down, self.spi_us, server)):
            yield (f"xfrm state add src {source} dst {destination} proto esp spi {spi:#x} "
                   f"mode {mode} reqid {reqid} replay-window 32 {keys}{encapsulation}")
        bits = 32 if self.family == 4 else 128
        for ue_port, pcscf_port, reqid in ((self.port_uc, self.port_ps, client),
                                           (self.port_us, self.port_pc, server)):
            for protocol in ("udp", "tcp"):
                for direction, (source, destination), ports in (
                        ("out", up, (ue_port, pcscf_port)), ("in", down, (pcscf_port, ue_port))):
                    yield (f"xfrm policy add src {source}/{bits} dst {destination}/{bits} "
                           f"proto {protocol} sport {ports[0]} dport {ports[1]} dir {direction} "
                           f"tmpl src {source} dst {destination} proto esp mode {mode} "
                           f"reqid {reqid}")

    def wireshark_lines(self):
        """Rows of Wireshark's esp_sa table."""
        key = f"0x{self.cipher_key.hex()}" if self.cipher_key else ""
        for spi in (self.spi_ps, self.spi_pc, self.spi_uc, self.spi_us):
            yield (f'"IPv{self.family}","*","*","0x{spi:08x}","{CIPHER[self.cipher][2]}","{key}",'
                   f'"{INTEGRITY[self.integrity][2]}","0x{self.integrity_key.hex()}"')


def all_suites():
    """The six combinations of TS 33.203 7.1."""
    return [(integrity, cipher) for cipher in CIPHER for integrity in INTEGRITY]


def full_matrix():
    """6 suites x transport and tunnel x IPv4 and IPv6: 24 sets."""
    return _numbered((family, mode, integrity, cipher) for integrity, cipher in all_suites()
                     for family in (4, 6) for mode in (TRANSPORT, TUNNEL))


def reduced_matrix():
    """Each suite, each mode and each family, not each combination of them: 6 sets."""
    shapes = [(4, TRANSPORT), (6, TUNNEL), (4, TUNNEL), (6, TRANSPORT), (4, TUNNEL), (6, TUNNEL)]
    return _numbered((*shape, *suite) for shape, suite in zip(shapes, all_suites()))


def endurance_sets():
    """What most phones use: AES and SHA-1, behind a NAT; and without one."""
    return _numbered([(4, TUNNEL, "hmac-sha-1-96", "aes-cbc"),
                      (6, TRANSPORT, "hmac-sha-1-96", "aes-cbc")])


def demo_sets():
    """One set for each family and mode, each with another suite."""
    return _numbered([(4, TRANSPORT, "hmac-sha-1-96", "aes-cbc"),
                      (6, TRANSPORT, "hmac-md5-96", "aes-cbc"),
                      (4, TUNNEL, "hmac-sha-1-96", "des-ede3-cbc"),
                      (6, TUNNEL, "hmac-sha-1-96", "null")])


def _numbered(rows):
    return [SaSet(index, *row) for index, row in enumerate(rows)]


MATRICES = {"full": full_matrix, "reduced": reduced_matrix, "endurance": endurance_sets}
