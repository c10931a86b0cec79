#!/usr/bin/env python3
"""`gmespctl screen test` on captures that scapy writes: which messages match, on which side, in pcap and pcapng, over
every link type it takes; and that no byte of a message and no wrong file gets past.

screen_test_command.py GMESPCTL RULES
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

from scapy.all import (Dot1Q, ESP, Ether, IP, IPv6, IPv6ExtHdrDestOpt, TCP, UDP, Raw, CookedLinux, fragment, wrpcap,
                       wrpcapng)

GMESPCTL, SHIPPED = sys.argv[1:3]
DONE, USAGE = 0, 2
SECRET = "alice-in-private"


def sip(*headers, method="REGISTER"):
    lines = [f"{method} sip:{SECRET}@home1.net SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK1",
             "From: <sip:a@b>;tag=1", "To: <sip:a@b>", "Call-ID: 1", f"CSeq: 1 {method}", *headers, "Content-Length: 0"]
    return Raw(("\r\n".join(lines) + "\r\n\r\n").encode())


def ip(layer=UDP, source="192.0.2.9", to="192.0.2.1", port=5060):
    return IP(src=source, dst=to) / layer(sport=40000, dport=port)


SCANNER = sip("User-Agent: friendly-scanner")
ASSERTED = sip("P-Asserted-Identity: <sip:boss@home1.net>")
CLEAN = sip("User-Agent: Phone")


class ScreenTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="screen-test-")
        self.path = os.path.join(self.folder.name, "in.pcap")

    def tearDown(self):
        self.folder.cleanup()

    def run_ctl(self, *words, rules=(SHIPPED,)):
        named = [word for path in rules for word in ("--rules", path)]
        return subprocess.run([GMESPCTL, "screen", "test", self.path, *named, *words], capture_output=True, text=True,
                              timeout=120, check=False)

    def matches(self, packets, *words, **options):
        """The matches of a capture, without what a test does not name."""
        wrpcap(self.path, packets)
        return self.report(*words, **options)["matches"]

    def report(self, *words, **options):
        done = self.run_ctl("--json", *words, **options)
        self.assertEqual(done.returncode, DONE, done.stderr)
        return json.loads(done.stdout)

    def file(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def error(self, *words, rules=(SHIPPED,)):
        done = self.run_ctl(*words, rules=rules)
        self.assertEqual(done.returncode, USAGE, done.stdout)
        return done.stderr

    def test_matches_are_told_by_packet_addresses_side_and_rule(self):
        found = self.matches([Ether() / ip() / CLEAN, Ether() / ip() / SCANNER, Ether() / ip(port=5062) / ASSERTED])
        self.assertEqual(found, [
            {"packet": 2, "source": "192.0.2.9", "source_port": 40000, "destination": "192.0.2.1",
             "destination_port": 5060, "protocol": "udp", "side": "clear", "dropped": False,
             "rules": ["friendly-scanner"]},
            {"packet": 3, "source": "192.0.2.9", "source_port": 40000, "destination": "192.0.2.1",
             "destination_port": 5062, "protocol": "udp", "side": "protected", "dropped": False,
             "rules": ["p-asserted-identity"]}])

    def test_every_link_type_and_both_formats(self):
        packets = {
            "ethernet": Ether() / ip() / SCANNER,
            "two tags": Ether() / Dot1Q(vlan=5) / Dot1Q(vlan=6) / ip() / SCANNER,
            "cooked": CookedLinux() / ip() / SCANNER,
            "raw": ip() / SCANNER,
            "ipv6 with options": Ether() / IPv6(dst="::1") / IPv6ExtHdrDestOpt() / UDP(dport=5060) / SCANNER,
        }
        for name, packet in packets.items():
            with self.subTest(name=name):
                self.assertEqual([row["rules"] for row in self.matches([packet])], [["friendly-scanner"]])
        wrpcapng(self.path, [packets["ethernet"]])  # scapy gives this format no other link type
        self.assertEqual([row["rules"] for row in self.report()["matches"]], [["friendly-scanner"]])

    def test_several_messages_of_a_segment_are_each_looked_at(self):
        both = Raw(bytes(CLEAN) + bytes(SCANNER) + bytes(ASSERTED))
        found = self.matches([Ether() / ip(TCP) / both])
        self.assertEqual([row["rules"] for row in found], [["friendly-scanner"], ["p-asserted-identity"]])

    def test_what_cannot_be_looked_at_is_counted(self):
        pieces = fragment(ip() / Raw(bytes(SCANNER) * 8), fragsize=512)
        cut = Raw(bytes(ip() / SCANNER)[:100])
        wrpcap(self.path, [IP(dst="192.0.2.1") / ESP(data=b"x" * 40), *pieces, cut, ip() / CLEAN])
        report = self.report()
        self.assertEqual({name: report[name] for name in ("encrypted_packets", "fragments", "cut_packets", "messages",
                                                          "matched")},
                         {"encrypted_packets": 1, "fragments": len(pieces), "cut_packets": 1, "messages": 1,
                          "matched": 0})

    def test_an_address_keeps_it_to_one_direction(self):
        packets = [ip() / ASSERTED, ip(source="192.0.2.1", to="192.0.2.9") / ASSERTED]
        self.assertEqual(len(self.matches(packets)), 2)
        self.assertEqual([row["packet"] for row in self.matches(packets, "--to", "192.0.2.1")], [1])

    def test_actions_show_what_would_be_dropped(self):
        self.assertTrue(self.matches([ip() / SCANNER], "--action", "drop")[0]["dropped"])
        self.assertEqual(self.matches([ip() / SCANNER], "--action", "off"), [])
        self.assertIn('found "rate-limit"', self.error("--action", "rate-limit"))

    def test_a_rate_goes_by_the_time_of_the_capture(self):
        rules = self.file("rate.toml", '[[rule]]\nname = "r"\nwhere = "headers"\npattern = "friendly"\n'
                                       'action = "rate-limit"\nper_second = 1\ncomment = "c"\n')
        packets = [ip() / SCANNER for _ in range(4)]
        for packet, time in zip(packets, (100.0, 100.1, 101.2, 101.3)):
            packet.time = time
        self.assertEqual([row["dropped"] for row in self.matches(packets, rules=(rules,))], [False, True, False, True])

    def test_no_byte_of_a_message_is_shown(self):
        wrpcap(self.path, [ip() / SCANNER])
        for words in ((), ("--json",)):
            done = self.run_ctl(*words)
            self.assertEqual(done.returncode, DONE, done.stderr)
            self.assertNotIn(SECRET, done.stdout + done.stderr)
            self.assertIn("friendly-scanner", done.stdout)

    def test_bad_rules_are_told_with_their_place(self):
        wrpcap(self.path, [ip() / CLEAN])
        bad = self.file("bad.toml", '[[rule]]\nname = "r"\nwhere = "body"\npattern = "a(b"\ncomment = "c"\n')
        self.assertIn(f'{bad}:4:11: rule r.pattern: found "a(b", allowed a pattern that Hyperscan takes: '
                      'Missing close parenthesis for group started at index 1', self.error(rules=(bad,)))
        self.assertIn("No such file", self.error(rules=("/nowhere/rules.toml",)))
        self.assertIn("a name that the rule at", self.error(rules=(SHIPPED, SHIPPED)))

    def test_bad_captures_and_words_are_told(self):
        self.assertIn("No such file", self.error())
        self.file("in.pcap", "this is no capture at all, but some text")
        self.assertIn("allowed a capture in pcap or pcapng", self.error())
        wrpcap(self.path, [ip() / CLEAN], linktype=105)
        self.assertIn("found link type IEEE802_11, allowed Ethernet", self.error())
        wrpcap(self.path, [ip() / CLEAN])
        with open(self.path, "rb+") as file:
            file.truncate(60)
        self.assertIn("packet 1: truncated", self.error())
        for ports in ("0", "5062-", "-5", "5099-5062", "x", "70000"):
            wrpcap(self.path, [ip() / CLEAN])
            self.assertIn("allowed \"first-last\"", self.error(f"--protected-ports={ports}"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
