"""The access wire: what scapy puts on it to attack, and what a capture of it proves.

Independent of gmespd's code: ESP is scapy's when sent and Wireshark's when judged.
"""
import os
import struct
import subprocess
from collections import Counter
from pathlib import Path

from scapy.config import conf
conf.ipv6_enabled = True  # scapy looks for addresses at import; the lab's may not exist yet
from scapy.layers.inet import IP, TCP, UDP, fragment  # noqa: E402
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402
from scapy.packet import Raw, raw  # noqa: E402

import lab  # noqa: E402
from sa_sets import CIPHER, ENCAPSULATION_PORT, INTEGRITY, PROTECTED_PORTS, TUNNEL  # noqa: E402
from topology import PCSCF_MAC, ROUTER_MAC  # noqa: E402

_TCP, _UDP, _ICMP, _ESP, _ICMP6, _FRAGMENT6 = 6, 17, 1, 50, 58, 44
_OPTIONS6 = (0, 43, 60)  # hop-by-hop, routing, destination options
ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}


def _mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip_class(family):
    return IP if family == 4 else IPv6


def association(sa_set, spi, direction):
    """scapy's SA with the keys of the set; `in`: towards the P-CSCF."""
    header = {}
    if sa_set.mode == TUNNEL:
        ends = {"src": sa_set.outer_ue, "dst": sa_set.pcscf}
        if direction == "out":
            ends = {"src": sa_set.pcscf, "dst": sa_set.outer_ue}
        header = {"tunnel_header": ip_class(sa_set.family)(**ends),
                  "nat_t_header": UDP(sport=ENCAPSULATION_PORT, dport=ENCAPSULATION_PORT)}
    return SecurityAssociation(
        ESP, spi=spi, crypt_algo=CIPHER[sa_set.cipher][1], crypt_key=sa_set.cipher_key or None,
        auth_algo=INTEGRITY[sa_set.integrity][1], auth_key=sa_set.integrity_key, **header)


def mend_udp(packet):
    """scapy 2.5.0 leaves length 8 in the UDP header of encapsulated IPv4, and checksum 0 in both.
    RFC 3948 wants 0 over IPv4; over IPv6 Linux drops 0 (RFC 8200 8.1)."""
    header = 20 if packet[0] >> 4 == 4 else 40
    mended = bytearray(packet)
    mended[header + 4:header + 6] = struct.pack(">H", len(mended) - header)
    mended[header + 6:header + 8] = b"\0\0"
    if header == 40:
        summed = bytes(mended[8:40]) + struct.pack(">II", len(mended) - 40, _UDP) + mended[40:]
        summed += b"\0" * (len(summed) & 1)
        total = sum(struct.unpack(f">{len(summed) // 2}H", summed))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        mended[46:48] = struct.pack(">H", ~total & 0xffff or 0xffff)
    return bytes(mended)


class Injector:
    """Puts frames on the access wire as the router would, and sees those that pass there."""

    def __init__(self):
        self.raw = lab.packet_socket("access", "wire0")
        self.clear_sent = set()

    def _send(self, packet):
        frame = _mac(PCSCF_MAC) + _mac(ROUTER_MAC) + ETHERTYPE[packet[0] >> 4] + packet
        self.raw.send(frame)
        return frame

    def drain(self):
        self.raw.setblocking(False)
        try:
            while True:
                self.raw.recv(65535)
        except BlockingIOError:
            pass

    def last_esp(self, spi):
        """The last whole ESP frame of an SA that passed since drain()."""
        found = None
        self.raw.setblocking(False)
        try:
            while True:
                frame = self.raw.recv(65535)
                if spi_of(frame) == spi:
                    found = frame
        except BlockingIOError:
            return found

    def replay(self, frame):
        self.raw.send(frame)

    def spoiled(self, sa_set, sequence):
        """A packet on SA-a that is right but for one bit of its ICV."""
        sa = association(sa_set, sa_set.spi_ps, "in")
        clear = self._clear(sa_set, sa_set.ue, UDP(sport=sa_set.port_uc, dport=sa_set.port_ps))
        packet = bytearray(raw(sa.encrypt(ip_class(sa_set.family)(clear), seq_num=sequence)))
        packet[-1] ^= 1
        self._send(mend_udp(packet) if sa_set.mode == TUNNEL else bytes(packet))

    def send(self, packet, is_clear):
        """Any IP packet; a clear one is remembered so that the capture check can tell it."""
        frame = self._send(packet)
        if is_clear:
            self.clear_sent.add(frame)

    def clear(self, sa_set, source, transport):
        """A clear packet to the P-CSCF, remembered so that the capture check can tell it."""
        self.clear_sent.add(self._send(self._clear(sa_set, source, transport)))

    def clear_fragments(self, sa_set, transport):
        """The same in fragments of 8 bytes, the least that IP allows: TCP's flags and the length
        of UDP come later than the ports."""
        whole = self._clear(sa_set, sa_set.ue, transport)
        for piece in _cut(ip_class(sa_set.family)(whole), 8):
            self.clear_sent.add(self._send(raw(piece)))

    @staticmethod
    def _clear(sa_set, source, transport):
        body = Raw(b"OPTIONS sip:pcscf SIP/2.0\r\n\r\n") if UDP in transport else Raw(b"")
        return raw(ip_class(sa_set.family)(src=source, dst=sa_set.pcscf) / transport / body)


def _cut(packet, size):
    """Fragments of a packet. (scapy's own for IPv6 wants to see the interface's route.)"""
    if packet.version == 4:
        packet.flags = 0
        return fragment(packet, size)
    body = raw(packet.payload)
    return [IPv6(src=packet.src, dst=packet.dst, hlim=packet.hlim)
            / IPv6ExtHdrFragment(nh=packet.nh, id=0x5eed, offset=at // 8, m=at + size < len(body))
            / Raw(body[at:at + size]) for at in range(0, len(body), size)]


def layers(frame):
    """(family, protocol, offset of what follows the IP header, fragment key or None, first?)."""
    kind = frame[12:14]
    if kind == ETHERTYPE[4]:
        header = 14 + (frame[14] & 15) * 4
        place = struct.unpack(">H", frame[20:22])[0]
        key = (frame[26:34], frame[18:20]) if place & 0x3fff else None
        return 4, frame[23], header, key, not place & 0x1fff
    if kind == ETHERTYPE[6]:
        protocol, at, key, first = frame[20], 54, None, True
        while protocol in (*_OPTIONS6, _FRAGMENT6) and len(frame) >= at + 8:
            length = 8
            if protocol == _FRAGMENT6:
                place = struct.unpack(">H", frame[at + 2:at + 4])[0]
                key, first = (frame[22:54], frame[at + 4:at + 8]), not place >> 3
            else:
                length += 8 * frame[at + 1]
            protocol, at = frame[at], at + length
            if not first:
                break  # what follows is the middle of something
        return 6, protocol, at, key, first
    return 0, 0, 0, None, True


def spi_of(frame):
    """SPI of an unfragmented ESP frame, bare or in UDP on port 4500; None for anything else."""
    _, protocol, at, key, _ = layers(frame)
    if key is not None:
        return None
    if protocol == _UDP and ENCAPSULATION_PORT in struct.unpack(">HH", frame[at:at + 4]):
        at, protocol = at + 8, _ESP
    return struct.unpack(">I", frame[at:at + 4])[0] if protocol == _ESP else None


def _frames(capture):
    """Frames of a pcap file (tcpdump, little-endian, Ethernet)."""
    data = Path(capture).read_bytes()
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack("<I", data[at + 8:at + 12])[0]
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def _protected(port):
    return PROTECTED_PORTS[0] <= port <= PROTECTED_PORTS[1]


def _quotes_protected(frame, family, at):
    """An ICMP error (not an echo) that carries a packet with a protected port."""
    error = frame[at] in (3, 4, 5, 11, 12) if family == 4 else frame[at] < 128
    quoted = frame[at + 8:]
    header = (quoted[0] & 15) * 4 if family == 4 and quoted else 40
    if not error or len(quoted) < header + 4:
        return False
    protocol = quoted[9] if family == 4 else quoted[6]
    ports = struct.unpack(">HH", quoted[header:header + 4])
    return protocol in (_TCP, _UDP) and any(map(_protected, ports))


def clear_leaks(capture, injected=frozenset()):
    """Frames of the capture that carry a protected port in clear, the injected ones left out.

    A later fragment shows no port; it is clear TCP or UDP unless its first one went to or from
    port 4500. (TCP is never fragmented by anybody here, so one such fragment is a leak too.)
    """
    leaks, encapsulated = [], set()
    for frame in _frames(capture):
        family, protocol, at, key, first = layers(frame)
        if frame in injected or len(frame) < at + 8:
            continue
        if protocol in (_ICMP, _ICMP6):
            if first and _quotes_protected(frame, family, at):
                leaks.append(frame)
        elif protocol in (_TCP, _UDP):
            if not first:
                if key not in encapsulated:
                    leaks.append(frame)
                continue
            ports = struct.unpack(">HH", frame[at:at + 4])
            if protocol == _UDP and ENCAPSULATION_PORT in ports:
                encapsulated.add(key)
            elif any(map(_protected, ports)):
                leaks.append(frame)
    return leaks


def write_wireshark_profile(folder, lines, sip_ports):
    """A configuration folder with which Wireshark and tshark open the capture decrypted: `lines` of
    the esp_sa table, and the ports on which SIP is spoken."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "esp_sa").write_text("".join(f"{line}\n" for line in lines))
    (folder / "preferences").write_text(
        "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n")
    decode = [f"decode_as_entry: {kind}.port,{port},(none),SIP"
              for port in sip_ports for kind in ("udp", "tcp")]
    (folder / "decode_as_entries").write_text("\n".join(decode) + "\n")


def write_profile_of_sets(folder, sets):
    """The same for sets whose keys are the lab's own."""
    write_wireshark_profile(folder, [line for sa_set in sets for line in sa_set.wireshark_lines()],
                            [port for sa_set in sets for port in (sa_set.port_ps, sa_set.port_pc)])


def tshark(capture, profile, *arguments):
    """Lines of tshark's output, with its configuration from our folder only."""
    done = subprocess.run(["tshark", "-r", str(capture), *arguments], text=True,
                          env={**os.environ, "WIRESHARK_CONFIG_DIR": str(profile)},
                          capture_output=True)
    if done.returncode != 0:
        raise lab.LabError(f"tshark: {done.stderr}")
    return done.stdout.splitlines()


# A decrypted test payload may look like one of these, and an exception in such a dissector would
# lose the ICV field. So that only ESP is judged, nothing above it is dissected.
NOT_ABOVE_ESP = [word for name in ("rtp", "rtcp", "tipc", "tcp", "sip")
                  for word in ("--disable-protocol", name)]


# What an ICMP error quotes is not a packet, and cut off.
SENT_ESP = "esp && !icmp && !icmpv6"


def esp_packets(capture, profile):
    """Frame numbers of ESP packets."""
    return tshark(capture, profile, "-Y", SENT_ESP, "-T", "fields", *NOT_ABOVE_ESP,
                  "-e", "frame.number")


def good_packets(capture, profile):
    """Frame numbers of those that Wireshark finds good with the keys it has."""
    return tshark(capture, profile, "-Y", f"{SENT_ESP} && esp.icv_good == 1", "-T", "fields",
                  *NOT_ABOVE_ESP, "-e", "frame.number")


def icv_verdicts(capture, profile):
    """How many ESP packets Wireshark finds good and bad, and those it could not check."""
    fields = tshark(capture, profile, "-Y", SENT_ESP, "-T", "fields", "-E", "occurrence=f",
                    *NOT_ABOVE_ESP, "-e", "esp.icv_good", "-e", "esp.spi")
    counted = Counter()
    for line in fields:
        good = line.split("\t")[0]
        counted[{"1": "good", "True": "good", "0": "bad", "False": "bad"}.get(good, "none")] += 1
    return counted


def encapsulation_ports(capture):
    """(source ports from the network, destination ports from gmespd) of UDP-encapsulated ESP."""
    up, down = set(), set()
    for frame in _frames(capture):
        _, protocol, at, _, first = layers(frame)
        if protocol != _UDP or not first or len(frame) < at + 4:
            continue
        source, destination = struct.unpack(">HH", frame[at:at + 4])
        if destination == ENCAPSULATION_PORT and frame[6:12] == _mac(ROUTER_MAC):
            up.add(source)
        elif source == ENCAPSULATION_PORT and frame[6:12] == _mac(PCSCF_MAC):
            down.add(destination)
    return up, down


__all__ = ["ETHERTYPE", "NOT_ABOVE_ESP", "PCSCF_MAC", "ROUTER_MAC", "SENT_ESP", "Injector", "TCP",
           "UDP", "association", "clear_leaks", "encapsulation_ports", "esp_packets",
           "good_packets", "icv_verdicts", "ip_class", "layers", "mend_udp", "spi_of", "tshark",
           "write_profile_of_sets", "write_wireshark_profile"]
