#!/usr/bin/python3
"""Writes golden_packets.txt: frames made by scapy, an implementation that shares nothing with ours.

Lines:
  parse NAME REASON L3_OFFSET L4_OFFSET L3_BYTES NAMED_AT PROTOCOL HEX
  bytes NAME HEX
Usage: golden_packets.py > golden_packets.txt
"""

import logging

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.all import (  # noqa: E402
    ESP, ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, Ether, Padding, Raw, fragment)
from scapy.layers.inet import (  # noqa: E402
    IPOption_NOP, IPOption_RR, IPOption_Router_Alert)
from scapy.layers.inet6 import (  # noqa: E402
    ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, fragment6)
from scapy.layers.ipsec import AH  # noqa: E402

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def ip4(**fields):
    return IP(**{"src": "192.0.2.1", "dst": "198.51.100.2", "id": 0x1234, **fields})


def ip6(**fields):
    return IPv6(**{"src": "2001:db8::1", "dst": "2001:db8:1::2", **fields})


IP4 = ip4()
IP6 = ip6()
TEXT = b"REGISTER sip:ims.example SIP/2.0\r\n\r\n"
LONG = bytes(range(256)) * 16
HBH = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
DST = IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])
ROUTING2 = IPv6ExtHdrRouting(type=2, segleft=0, addresses=["2001:db8::7"])
UDP_SIP = UDP(sport=5060, dport=6060) / Raw(TEXT)
TCP_SIP = TCP(sport=40000, dport=5060, flags="PA") / Raw(TEXT)


def show_parse(name, reason, frame, l3, headers, named_at, protocol):
    """`headers`: bytes from l3 to l4."""
    data = bytes(frame)
    version = data[l3] >> 4 if len(data) > l3 else 0
    if version == 4:
        l3_bytes = int.from_bytes(data[l3 + 2:l3 + 4], "big")
    else:
        l3_bytes = 40 + int.from_bytes(data[l3 + 4:l3 + 6], "big")
    print("parse", name, reason, l3, l3 + headers, l3_bytes, l3 + named_at, protocol, data.hex())


def show(name, frame):
    print("bytes", name, bytes(frame).hex())


def good():
    none = "none"
    show_parse("udp4", none, ETHER / IP4 / UDP_SIP, 14, 20, 9, 17)
    show_parse("tcp4", none, ETHER / IP4 / TCP_SIP, 14, 20, 9, 6)
    show_parse("udp6", none, ETHER / IP6 / UDP_SIP, 14, 40, 6, 17)
    show_parse("tcp6", none, ETHER / IP6 / TCP_SIP, 14, 40, 6, 6)
    show_parse("esp4", none, ETHER / IP4 / ESP(spi=0x11223344, seq=1, data=b"x" * 40),
               14, 20, 9, 50)
    show_parse("esp6", none, ETHER / IP6 / HBH / ESP(spi=0x11223344, seq=1, data=b"x" * 40),
               14, 48, 40, 50)
    show_parse("padded4", none, ETHER / IP4 / UDP(dport=4500) / Raw(b"\xff") / Padding(b"\0" * 17),
               14, 20, 9, 17)
    show_parse("padded6", none, ETHER / IP6 / UDP_SIP / Padding(b"\xaa" * 9), 14, 40, 6, 17)
    show_parse("vlan4", none, ETHER / Dot1Q(vlan=7) / IP4 / TCP_SIP, 18, 20, 9, 6)
    show_parse("qinq6", none, ETHER / Dot1AD(vlan=9) / Dot1Q(vlan=7) / IP6 / UDP_SIP,
               22, 40, 6, 17)
    options = [IPOption_Router_Alert(), IPOption_RR(routers=["0.0.0.0"] * 3)]
    show_parse("options4", none, ETHER / ip4(options=options) / UDP_SIP, 14, 40, 9, 17)
    show_parse("chain6", none, ETHER / IP6 / HBH / DST / ROUTING2 / DST / UDP_SIP,
               14, 40 + 8 + 16 + 24 + 16, 40 + 8 + 16 + 24, 17)
    eight = ETHER / IP6 / HBH
    for _ in range(7):
        eight = eight / DST
    show_parse("eight6", none, eight / UDP_SIP, 14, 40 + 8 + 7 * 16, 40 + 8 + 6 * 16, 17)
    show_parse("empty6", none, ETHER / ip6(nh=59),
               14, 40, 6, 59)
    show_parse("dhcp4", none, ETHER / IP(src="0.0.0.0", dst="255.255.255.255") / UDP_SIP,
               14, 20, 9, 17)
    show_parse("udp_short_of_ip4", none, ETHER / IP4 / UDP(len=12) / Raw(TEXT), 14, 20, 9, 17)
    show_parse("icmp4", none, ETHER / IP4 / ICMP() / Raw(TEXT), 14, 20, 9, 1)
    show_parse("icmp6", none, ETHER / IP6 / ICMPv6EchoRequest(data=TEXT), 14, 40, 6, 58)


def bad():
    def refused(name, reason, frame):
        show_parse(name, reason, frame, 14, 20, 9, 0)

    refused("total_length_4", "ip_length_bad", ETHER / ip4(len=200) / UDP_SIP)
    refused("total_length_short_4", "ip_length_bad", ETHER / ip4(len=19) / UDP_SIP)
    refused("payload_length_6", "ip_length_bad", ETHER / ip6(plen=200) / UDP_SIP)
    refused("jumbo_6", "ip_length_bad", ETHER / ip6(plen=0, nh=0) / HBH / UDP_SIP)
    refused("ihl_4", "ip_header_bad", ETHER / ip4(ihl=4) / UDP_SIP)
    refused("version_4", "ip_header_bad", ETHER / ip4(version=6) / UDP_SIP)
    refused("version_6", "ip_header_bad", ETHER / ip6(version=4) / UDP_SIP)
    refused("three_tags", "ip_header_bad",
            ETHER / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / IP4 / UDP_SIP)
    refused("mapped_destination_6", "ip_header_bad",
            ETHER / ip6(dst="::ffff:192.0.2.1") / UDP_SIP)
    refused("checksum_4", "ip_checksum_bad", ETHER / ip4(chksum=1) / UDP_SIP)
    refused("checksum_options_4", "ip_checksum_bad",
            ETHER / ip4(chksum=1, options=[IPOption_Router_Alert()]) / UDP_SIP)
    refused("late_hop_by_hop_6", "extension_header_bad", ETHER / IP6 / DST / HBH / UDP_SIP)
    refused("cut_extension_6", "extension_header_bad", ETHER / ip6(nh=60) / Raw(b"\x11\0\0\0"))
    refused("long_extension_6", "extension_header_bad",
            ETHER / ip6(nh=60) / Raw(b"\x11\x09" + b"\0" * 30))
    refused("cut_fragment_header_6", "extension_header_bad",
            ETHER / ip6(nh=44) / Raw(b"\x11\0\0\0"))
    nine = ETHER / IP6 / HBH
    for _ in range(8):
        nine = nine / DST
    refused("nine_6", "extension_header_bad", nine / UDP_SIP)
    refused("nine_with_fragment_6", "extension_header_bad",
            nine / IPv6ExtHdrFragment(id=1) / UDP_SIP)
    refused("routing_0", "routing_type_0",
            ETHER / IP6 / IPv6ExtHdrRouting(type=0, segleft=0, addresses=["::7"]) / UDP_SIP)
    refused("segments_left", "routing_type_0",
            ETHER / IP6 / IPv6ExtHdrRouting(type=2, segleft=1, addresses=["::7"]) / UDP_SIP)
    refused("ah_4", "ah_refused", ETHER / IP4 / AH(nh=17, spi=1, seq=1, icv=b"i" * 12) / UDP_SIP)
    refused("ah_6", "ah_refused", ETHER / IP6 / AH(nh=17, spi=1, seq=1, icv=b"i" * 12) / UDP_SIP)
    refused("ah_behind_options_6", "ah_refused",
            ETHER / IP6 / DST / AH(nh=17, spi=1, seq=1, icv=b"i" * 12) / UDP_SIP)
    refused("ah_in_fragment_6", "ah_refused",
            ETHER / IP6 / IPv6ExtHdrFragment(nh=51, m=1, id=5) / Raw(b"y" * 16))
    refused("tcp_cut_4", "l4_truncated", ETHER / ip4(proto=6) / Raw(b"z" * 19))
    refused("udp_cut_6", "l4_truncated", ETHER / ip6(nh=17) / Raw(b"z" * 7))
    refused("tcp_offset_4", "l4_truncated",
            ETHER / IP4 / TCP(dataofs=4) / Raw(TEXT))
    refused("tcp_offset_beyond_6", "l4_truncated", ETHER / IP6 / TCP(dataofs=15) / Raw(b"z"))
    refused("udp_length_over_4", "udp_length_bad", ETHER / IP4 / UDP(len=200) / Raw(TEXT))
    refused("udp_length_under_6", "udp_length_bad", ETHER / IP6 / UDP(len=7) / Raw(TEXT))
    refused("multicast_source_4", "source_address_bad", ETHER / ip4(src="224.0.0.1") / UDP_SIP)
    refused("loopback_source_4", "source_address_bad", ETHER / ip4(src="127.9.9.9") / UDP_SIP)
    refused("multicast_source_6", "source_address_bad", ETHER / ip6(src="ff02::1") / UDP_SIP)
    refused("loopback_source_6", "source_address_bad", ETHER / ip6(src="::1") / UDP_SIP)
    refused("mapped_source_6", "source_address_bad",
            ETHER / ip6(src="::ffff:192.0.2.1", dst="2001:db8::1") / UDP_SIP)


def fragments():
    whole = ETHER / IP4 / UDP(sport=5060, dport=6060) / Raw(LONG)
    show("whole4", whole)
    for index, piece in enumerate(fragment(whole, fragsize=1480)):
        show(f"whole4.{index}", piece)
    whole = ETHER / IP6 / HBH / UDP(sport=5060, dport=6060) / Raw(LONG)
    show("whole6", whole)
    with_header = (ETHER / IP6 / HBH / IPv6ExtHdrFragment(id=0xabcd1234) /
                   UDP(sport=5060, dport=6060) / Raw(LONG))
    # scapy counts the Ethernet header in.
    for index, piece in enumerate(fragment6(with_header, 1500 + 14)):
        show(f"whole6.{index}", piece)
    atomic = ETHER / IP6 / HBH / IPv6ExtHdrFragment(id=7) / UDP_SIP
    show("atomic6", atomic)
    show("atomic6.whole", ETHER / IP6 / HBH / UDP_SIP)
    options = [IPOption_RR(routers=["0.0.0.0"]), IPOption_NOP(), IPOption_Router_Alert()]
    show("options4.long", ETHER / ip4(flags="DF", options=options) / UDP(sport=1, dport=2) /
         Raw(LONG[:2000]))


def icmp():
    quoted_udp = IP(src="198.51.100.2", dst="192.0.2.1", ttl=60) / UDP(sport=5060, dport=6060)
    quoted_esp = (IP(src="198.51.100.2", dst="192.0.2.1") /
                  ESP(spi=0xcafe0001, seq=9, data=b"d" * 64))
    nat = UDP(sport=4500, dport=31000) / Raw(bytes.fromhex("cafe000200000001") + b"d" * 32)
    too_big = ICMP(type=3, code=4, nexthopmtu=1400)
    show("icmp4.too_big.esp", ETHER / IP4 / too_big / Raw(bytes(quoted_esp)[:28]))
    show("icmp4.too_big.nat", ETHER / IP4 / too_big /
         Raw(bytes(IP(src="198.51.100.2", dst="192.0.2.1") / nat)))
    show("icmp4.unreachable.udp", ETHER / IP4 / ICMP(type=3, code=3) / Raw(bytes(quoted_udp)))
    show("icmp4.time_exceeded.options", ETHER / IP4 / ICMP(type=11, code=0) / Raw(bytes(
        IP(src="198.51.100.2", dst="192.0.2.1", options=[IPOption_Router_Alert()]) /
        TCP(sport=5061, dport=6061))))
    show("icmp4.later_fragment", ETHER / IP4 / ICMP(type=11, code=1) / Raw(bytes(
        IP(src="198.51.100.2", dst="192.0.2.1", frag=5, proto=17) / Raw(TEXT))))
    show("icmp4.echo", ETHER / IP4 / ICMP(type=8) / Raw(TEXT))
    six = IPv6(src="2001:db8:1::2", dst="2001:db8::1")
    show("icmp6.too_big.esp", ETHER / IP6 / ICMPv6PacketTooBig(mtu=1300) / six / DST /
         ESP(spi=0xcafe0003, seq=9, data=b"d" * 64))
    show("icmp6.too_big.nat", ETHER / IP6 / ICMPv6PacketTooBig(mtu=1300) / six / nat)
    show("icmp6.unreachable.tcp", ETHER / IP6 / ICMPv6DestUnreach(code=4) / six /
         TCP(sport=5061, dport=6061))
    show("icmp6.later_fragment", ETHER / IP6 / ICMPv6DestUnreach(code=4) / six /
         IPv6ExtHdrFragment(nh=17, offset=5, id=1) / Raw(TEXT))
    show("icmp6.later_fragment.chain", ETHER / IP6 / ICMPv6DestUnreach(code=4) / six /
         IPv6ExtHdrFragment(nh=60, offset=5, id=1) / Raw(TEXT))
    show("icmp6.echo", ETHER / IP6 / ICMPv6EchoRequest(data=TEXT))


def too_big():
    back = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / Dot1Q(vlan=7)
    big = ETHER / Dot1Q(vlan=7) / IP4 / UDP(sport=5060, dport=6060) / Raw(LONG[:1400])
    show("too_big4.offending", big)
    quoted = bytes(big[IP])[:548]
    show("too_big4.reply", back / IP(src="198.51.100.2", dst="192.0.2.1", id=0, flags="DF",
                                     tos=0xc0, ttl=64) /
         ICMP(type=3, code=4, nexthopmtu=1386) / Raw(quoted))
    big = ETHER / Dot1Q(vlan=7) / IP6 / UDP(sport=5060, dport=6060) / Raw(LONG[:1400])
    show("too_big6.offending", big)
    quoted = bytes(big[IPv6])[:1232]
    show("too_big6.reply", back / IPv6(src="2001:db8:1::2", dst="2001:db8::1", hlim=64) /
         ICMPv6PacketTooBig(mtu=1386) / Raw(quoted))


def mss():
    def segment(ip, flags, options):
        return ETHER / ip / TCP(sport=40000, dport=5060, seq=77, flags=flags, options=options)

    plain = [("MSS", 1460), ("SAckOK", b""), ("NOP", None), ("WScale", 7)]
    show("mss4", segment(IP4, "S", plain))
    show("mss4.1300", segment(IP4, "S", [("MSS", 1300)] + plain[1:]))
    odd = [("NOP", None), ("MSS", 1460), ("NOP", None)]
    show("mss6.odd", segment(IP6, "SA", odd))
    show("mss6.odd.1300", segment(IP6, "SA", [odd[0], ("MSS", 1300), odd[2]]))
    show("mss4.data", segment(IP4, "A", [("MSS", 1460)]))
    show("mss4.small", segment(IP4, "S", [("MSS", 1200)]))
    show("mss4.none", segment(IP4, "S", [("SAckOK", b""), ("NOP", None), ("NOP", None)]))


good()
bad()
fragments()
icmp()
too_big()
mss()
