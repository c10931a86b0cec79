#!/usr/bin/python3
"""The test UE against the test network, alone: real AKA, SIP over real sockets, real ESP between two namespaces.

What they are for is gmesp; here is shown that they themselves can be believed. Runs as root in a private world; where
that cannot be, it ends with 77 (skipped).
"""
import importlib.util
import os
import shutil
import socket
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))


def _missing():
    if os.geteuid() != 0:
        return "it makes network namespaces, so it runs as root"
    absent = [program for program in ("ip", "nft", "sysctl") if not shutil.which(program)]
    absent += [module for module in ("scapy", "cryptography") if not importlib.util.find_spec(module)]
    absent += [] if os.path.exists("/dev/net/tun") else ["/dev/net/tun"]
    return f"missing: {' '.join(absent)}" if absent else None


if reason := _missing():
    print(f"ue_test: skipped, {reason}")
    sys.exit(77)

import access_network  # noqa: E402
import lab  # noqa: E402
import sip  # noqa: E402
from access_network import PCSCF, PUBLIC, UE, UE_MOVED, UE_PRIVATE  # noqa: E402
from aka import HomeSubscriber, Usim  # noqa: E402
from esp import TRANSPORT, TUNNEL  # noqa: E402
from esp_stack import EspStack  # noqa: E402
from memory_gmesp import MemoryGmesp  # noqa: E402
from network import Network, Registrar, Subscriber  # noqa: E402
from ue import Subscription, Ue  # noqa: E402

IMPI, IMPU, DOMAIN = "ue@home.test", "sip:ue@home.test", "home.test"
PORT_PS, NETWORK_PORTS = 6100, (6000, 6299)
STRONG, WEAK = ("hmac-sha-1-96", "aes-cbc"), ("hmac-md5-96", "null")


class UeTest(unittest.TestCase):
    """Every test has a UE and a network of its own; `world()` makes them."""

    def world(self, version=4, nat=False, tcp=False, suites=(STRONG,), **ue_options):
        self.doCleanups()  # of the world before this one
        address = (UE_PRIVATE if nat else UE)[version]
        ue_stack = EspStack("ue", address, keep_alive_s=0.3)
        self.addCleanup(ue_stack.close)
        self.pcscf_stack = EspStack("pcscf", PCSCF[version], NETWORK_PORTS, "pcscf")
        self.addCleanup(self.pcscf_stack.close)
        self.gmesp = MemoryGmesp(self.pcscf_stack, PCSCF[version], PORT_PS, suites)
        k, opc = os.urandom(16), os.urandom(16)
        self.subscriber = Subscriber(HomeSubscriber(k, opc, sqn=0x1000), [IMPU])
        self.network = Network("pcscf", PCSCF[version], self.gmesp, Registrar(DOMAIN, {IMPI: self.subscriber}), PORT_PS)
        self.addCleanup(self.network.close)
        modes = (TRANSPORT, TUNNEL) if nat else (TRANSPORT,)
        self.ue = Ue(ue_stack, "ue", PCSCF[version], Subscription(IMPI, IMPU, DOMAIN), Usim(k, opc), tcp,
                     modes=modes, **ue_options)
        self.addCleanup(self.ue.close)
        self.addCleanup(self.assert_no_defect, self.ue.endpoint, self.network.endpoint)

    def assert_no_defect(self, *endpoints):
        for endpoint in endpoints:
            self.assertEqual(endpoint.failures, [])

    def assert_registered(self, outcome, challenges=1):
        self.assertEqual((outcome.status, outcome.challenges), (200, challenges), outcome.reason)

    def assert_protected(self, wire):
        """What crossed the wire since it was opened: SM1 and SM6 in clear, all else ESP."""
        kinds, wanted = set(), {b"REGISTER", b"401"}
        wire.setblocking(False)
        while True:
            try:
                frame = wire.recv(1 << 16)
            except BlockingIOError:
                break
            if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
                continue
            is_ipv4 = frame[12:14] == b"\x08\x00"
            if is_ipv4 and int.from_bytes(frame[20:22], "big") & 0x1FFF:
                continue  # a later fragment of a datagram whose first has been looked at
            protocol, body = (frame[23], frame[34:]) if is_ipv4 else (frame[20], frame[54:])
            ports = [int.from_bytes(body[at:at + 2], "big") for at in (0, 2)]
            if protocol == 50 or protocol == 17 and 4500 in ports:
                kinds.add("ESP")
            elif protocol in (6, 17):
                self.assertIn(5060, ports)
                self.assertNotRegex(body, b"MESSAGE|INVITE|Security-Verify|SIP/2.0 200")
                kinds |= {word for word in wanted if word in body}
        self.assertEqual(kinds, {"ESP", *wanted})

    def assert_served(self, tcp):
        """Requests both ways on the live set, by the ports of 7.1."""
        agreed = self.ue.table.live.agreed
        for method in ("MESSAGE", "INVITE"):
            self.assertEqual(self.ue.request(method, b"up", tcp=tcp).status, 200)
            arrival = next(one for one, _ in reversed(self.network.served) if one.message.method == method)
            self.assertEqual((arrival.remote, arrival.local[1]), ((agreed.ue, agreed.port_uc), agreed.port_ps))
            self.assertEqual(self.network.request(IMPI, method, b"down", tcp=tcp).status, 200)
            arrival = next(one for one in reversed(self.ue.served) if one.message.method == method)
            self.assertEqual((arrival.local[1], arrival.remote[1]), (agreed.port_us, agreed.port_pc))
        lab.wait_for(lambda: self.ue.served[-1].message.method == "ACK", 2, "ACK")

    # Shows: R-5.1.3-01
    def test_registers_and_serves(self):
        for version, nat, tcp in ((4, False, False), (4, False, True), (6, False, True), (4, True, False),
                                  (6, True, True)):
            with self.subTest(version=version, nat=nat, tcp=tcp):
                self.world(version, nat, tcp)
                wire = lab.packet_socket("router", "wire")
                self.addCleanup(wire.close)
                self.assert_registered(self.ue.register())
                agreed = self.ue.table.live.agreed
                self.assertEqual(agreed.mode, TUNNEL if nat else TRANSPORT)
                self.assertEqual(agreed.ue, (PUBLIC if nat else UE)[version])
                self.assertEqual([verdict["indicator"] for verdict in self.network.verdicts], [False, True])
                self.assert_served(tcp)
                self.assert_served(not tcp)
                if nat:
                    lab.wait_for(lambda: self.ue.stack.keep_alives >= 2, 2, "keep-alives")
                self.assertEqual((self.ue.discards, self.network.discards), ({}, {}))
                self.assert_protected(wire)

    # Shows: R-7.2-06, R-5.1.3-01
    def test_takes_the_first_entry_that_it_supports(self):
        for suites, supports, expected in (((WEAK, STRONG), {}, WEAK), ((STRONG, WEAK), {"ciphers": ()}, WEAK),
                                           ((STRONG, WEAK), {"integrities": ("hmac-md5-96",)}, WEAK)):
            self.world(suites=suites, **supports)
            self.assert_registered(self.ue.register())
            agreed = self.ue.table.live.agreed
            self.assertEqual((agreed.integrity, agreed.cipher), expected)

    # Shows: R-7.1-13, R-7.1-17, R-7.4-05
    def test_registers_again(self):
        self.world()
        self.assert_registered(self.ue.register())
        first = self.ue.table.live.agreed
        self.assert_registered(self.ue.register())
        second = self.ue.table.live.agreed
        self.assertEqual([verdict["indicator"] for verdict in self.network.verdicts], [False, True, True, True])
        self.assertEqual((first.port_us, first.port_ps), (second.port_us, second.port_ps))
        self.assertNotIn(second.port_uc, (first.port_uc, first.port_us))
        spis = {getattr(agreed, f"spi_{end}") for agreed in (first, second) for end in ("uc", "us", "pc", "ps")}
        self.assertEqual(len(spis), 8)
        self.assertGreaterEqual(min(spis), 256)
        self.assert_served(tcp=False)

    # Shows: R-7.1-17
    def test_ports_and_spis_are_spread(self):
        self.world()
        ports = [self.ue.table.random_port(10000, 29999) for _ in range(2000)]
        spis = [self.ue.table.random_spi() for _ in range(2000)]
        for found, low, high in ((ports, 10000, 29999), (spis, 256, (1 << 32) - 1)):
            quarters = [sum((value - low) * 4 // (high - low + 1) == number for value in found) for number in range(4)]
            self.assertTrue(all(400 < count < 600 for count in quarters), quarters)

    # Shows: R-7.4.1a-01
    def test_old_set_goes_after_a_further_message_and_its_pending_transactions(self):
        self.world()
        self.assert_registered(self.ue.register())
        old = self.ue.table.live
        self.assert_registered(self.ue.register())
        self.assertEqual(self.network.request(IMPI, "MESSAGE").status, 200)  # the network is still on the old set
        self.assertIs(self.ue.table.old, old)
        self.ue.table.transaction_begins(old, "pending")
        self.assertEqual(self.ue.request("MESSAGE").status, 200)
        self.assertEqual(self.network.request(IMPI, "MESSAGE").status, 200)
        self.assertIs(self.ue.table.old, old)
        self.ue.table.transaction_ends(old, "pending")
        self.assertIsNone(self.ue.table.old)
        self.assertNotIn(old.agreed, self.ue.stack.sets())
        self.assert_served(tcp=False)

    def test_synchronisation_failure(self):
        for clear in (True, False):
            self.world()
            if not clear:
                self.assert_registered(self.ue.register())
            self.ue.usim.sqn_highest = 0x100000
            self.assert_registered(self.ue.register(), challenges=2)
            self.assertEqual(self.subscriber.statuses[-3:], [401, 401, 200])
            self.assertEqual([verdict["indicator"] for verdict in self.network.verdicts][-3:],
                             [not clear, not clear, True])

    @staticmethod
    def _wrong_response(step, message):
        if step == "SM7":
            digest = sip.digest(message.get("Authorization")) | {"response": "0" * 32}
            message.replace("Authorization", sip.digest_header(digest))

    def test_wrong_response(self):
        self.world()
        self.assert_registered(self.ue.register())
        live = self.ue.table.live
        self.ue.tamper = self._wrong_response
        self.assertEqual(self.ue.register().status, 403)
        self.ue.tamper = None
        self.assertIs(self.ue.table.live, live)
        self.assertIsNone(self.ue.table.new)
        self.assert_served(tcp=False)

    def test_wrong_keys(self):
        self.world()
        self.ue.keys_of = lambda answer: (bytes(16), answer.ck)
        self.ue.timeout_s = 1.2
        outcome = self.ue.register()
        self.assertEqual((outcome.status, outcome.reason), (None, "no answer"))
        self.assertGreaterEqual(self.pcscf_stack.drops["wrong ICV"], 1)
        self.assertEqual((len(self.network.verdicts), self.ue.stack.sets()), (1, []))

    def test_wrong_network(self):
        self.world()
        self.network.registrar.subscribers[IMPI].home = HomeSubscriber(os.urandom(16), os.urandom(16), 0x1000)
        outcome = self.ue.register()
        self.assertEqual((outcome.status, outcome.reason), (None, "the MAC of the challenge is wrong"))
        self.assertEqual((self.subscriber.statuses, self.ue.stack.sets()), ([401, 403], []))

    # Shows: R-5.1.3-01, R-M-13
    def test_gives_up_on_an_unacceptable_sm6(self):
        def change(old, new):
            def tamper(step, message):
                if step == "SM6":
                    message.replace("Security-Server", message.get("Security-Server").replace(old, new))
            return tamper

        for old, new, why in (("alg=hmac-sha-1-96", "alg=hmac-x", "no entry"), ("ipsec-3gpp", "tls", "no entry"),
                              ("mod=trans", "prot=ah", "no entry"), ("spi-c=1", "spi-c=0000000255;x=", "unusable"),
                              ("port-s=6100", "port-s=5060", "unusable")):
            self.world()
            self.network.tamper = change(old, new)
            outcome = self.ue.register()
            self.assertIsNone(outcome.status)
            self.assertIn(why, outcome.reason)
            self.assertEqual((self.ue.stack.sets(), len(self.network.verdicts)), ([], 1))
        self.world(nat=True)
        self.network.tamper = change("mod=UDP-enc-tun;", "")
        self.assertEqual(self.ue.register().reason, "behind a NAT, and SM6 names no mode")

    # Shows: R-7.1-22, R-7.1-30
    def test_takes_nothing_in_clear_but_answers_to_its_register(self):
        self.world()
        self.assert_registered(self.ue.register())
        with lab.socket_in("pcscf", socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((PCSCF[4], 5070))
            for port in (5060, self.ue.table.live.agreed.port_us):
                invite = sip.request("INVITE", IMPU, [
                    ("Via", sip.via("UDP", PCSCF[4], 5070)), ("From", "<sip:x@y>;tag=1"), ("To", f"<{IMPU}>"),
                    ("Call-ID", "clear"), ("CSeq", "1 INVITE")])
                stranger.sendto(invite.encode(), (UE[4], port))
            stranger.settimeout(0.3)
            self.assertRaises(TimeoutError, stranger.recv, 100)
        self.assertEqual((self.ue.discards, self.ue.served), ({"in clear": 1}, []))

    # Shows: R-7.5-01
    def test_moves_to_another_address(self):
        self.world()
        self.assert_registered(self.ue.register())
        elsewhere = EspStack("ue", UE_MOVED, name="ims1")
        self.addCleanup(elsewhere.close)
        before = self.ue.stack
        self.ue.move(elsewhere)
        self.assertEqual((before.sets(), self.ue.table.all()), ([], []))
        self.assert_registered(self.ue.register())
        self.assertEqual([verdict["indicator"] for verdict in self.network.verdicts], [False, True, False, True])
        self.assertEqual(self.ue.table.live.agreed.ue, UE_MOVED)
        self.assert_served(tcp=False)

    def test_ends_its_registration(self):
        self.world()
        self.assert_registered(self.ue.register())
        self.assert_registered(self.ue.deregister())
        self.assertEqual((self.ue.stack.sets(), self.ue.table.all()), ([], []))
        self.assertFalse(self.subscriber.is_registered)
        self.assert_registered(self.ue.register())

    def test_network_may_not_challenge_again(self):
        self.world()
        self.network.registrar.challenges_always = False
        self.assert_registered(self.ue.register(expires_s=60))
        live, before = self.ue.table.live, self.ue.table.live.expires_at
        self.assert_registered(self.ue.register(expires_s=600), challenges=0)
        self.assertIs(self.ue.table.live, live)
        self.assertGreater(live.expires_at, before + 500)
        self.assert_registered(self.ue.register(expires_s=60), challenges=0)
        self.assertGreater(live.expires_at, time.monotonic() + 600)


def _main():
    access_network.build()
    names = sys.argv[1:] or ["milenage_test", "esp_stack_test", "__main__"]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromNames(names))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(lab.run_isolated(_main))
