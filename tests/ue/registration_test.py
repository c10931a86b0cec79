#!/usr/bin/env python3
"""A phone registers through the real gmespd and gmesp-control, with real AKA, over a real access network.

Usage: registration_test.py GMESPD GMESP_CONTROL GMESPCTL LIBGMESP [TEST...]. Runs as root in a private world; where
that cannot be, it ends with 77 (skipped). The phone and the SIP servers share no code with the daemons.
"""
import importlib.util
import os
import shutil
import socket
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))
sys.path.append(str(Path(__file__).resolve().parent.parent))


def _missing():
    if os.geteuid() != 0:
        return "it makes network namespaces, so it runs as root"
    absent = [program for program in ("ip", "nft", "sysctl", "ethtool") if not shutil.which(program)]
    absent += [] if importlib.util.find_spec("cryptography") else ["cryptography"]
    absent += [] if os.path.exists("/dev/net/tun") else ["/dev/net/tun"]
    return f"missing: {' '.join(absent)}" if absent else None


if reason := _missing():
    print(f"registration_test: skipped, {reason}")
    sys.exit(77)

import lab  # noqa: E402
import sip  # noqa: E402
from access_network import PCSCF, PUBLIC, UE  # noqa: E402
from access_wire import ENCAPSULATION_PORT, AccessWire, clear_leaks  # noqa: E402
from aka import Usim  # noqa: E402
from esp import TRANSPORT, TUNNEL  # noqa: E402
from real_network import LINGER_S, PORT_PS, PROTECTED_PORTS, TEMPORARY_S, Phone, RealNetwork, settled  # noqa: E402
from verdict import run_cases  # noqa: E402

PROGRAMS = sys.argv[1:5]
IMPI = "phone@home.test"
NAT_PORTS = (20000, 30000)
SMALLEST_ESP_BYTES = 40


class RegistrationTest(unittest.TestCase):
    """All tests use the same daemons; each has a P-CSCF, a phone and a capture of its own."""

    @classmethod
    def setUpClass(cls):
        cls.real = RealNetwork(*PROGRAMS)
        cls.real.start()

    @classmethod
    def tearDownClass(cls):
        cls.real.close()

    def world(self, version=4, nat=False, tcp=False):
        self.doCleanups()  # of the world before this one
        self.wire = AccessWire()
        self.addCleanup(self.wire.close)
        self.frames = []
        self.network, self.keys = self.real.home(version, IMPI)
        self.addCleanup(self.network.close)
        self.registrar = self.network.registrar
        self.subscriber = self.registrar.subscribers[IMPI]
        self.phone = Phone(IMPI, self.keys[IMPI], version, nat, tcp)
        self.addCleanup(self.phone.close)
        self.ue = self.phone.ue
        self.addCleanup(self.assert_nothing_clear)
        self.addCleanup(self.assert_no_defect)
        self.addCleanup(self.forget_user)

    def forget_user(self):
        if self.real.sets(IMPI):
            self.real.ctl("evict", IMPI)

    def assert_no_defect(self):
        self.assertEqual((self.ue.endpoint.failures, self.network.endpoint.failures), ([], []))

    def seen(self):
        """Everything on the access wire since the world began."""
        self.frames += self.wire.frames()
        return self.frames

    def leaks(self, frames):
        return clear_leaks(frames, PCSCF.values(), PROTECTED_PORTS, self.phone.stack.ports)

    def assert_nothing_clear(self):
        self.assertEqual(self.leaks(self.seen()), [])

    def assert_registered(self, outcome, challenges=1):
        self.assertEqual((outcome.status, outcome.challenges), (200, challenges), outcome.reason)

    def assert_served(self, tcp=False):
        """A MESSAGE and an INVITE each way on the live set, by the ports of 7.1."""
        agreed = self.ue.table.live.agreed
        for method in ("MESSAGE", "INVITE"):
            answer = self.ue.request(method, b"up", tcp=tcp)
            self.assertEqual(answer and answer.status, 200, f"{method} of the UE")
            arrival, verdict = next(pair for pair in reversed(self.network.served) if pair[0].message.method == method)
            self.assertEqual((arrival.remote, arrival.local), ((agreed.ue, agreed.port_uc),
                                                               (agreed.pcscf, agreed.port_ps)))
            self.assertEqual(verdict["impi"], IMPI)
            answer = self.network.request(IMPI, method, b"down", tcp=tcp)
            self.assertEqual(answer and answer.status, 200, f"{method} to the UE")
            arrival = next(one for one in reversed(self.ue.served) if one.message.method == method)
            self.assertEqual((arrival.local[1], arrival.remote[1]), (agreed.port_us, agreed.port_pc))
        lab.wait_for(lambda: self.ue.served[-1].message.method == "ACK", 3, "ACK")

    def states(self):
        return [row["state"] for row in self.real.sets(IMPI)]

    def check_registration(self, version, tcp):
        self.world(version, tcp=tcp)
        self.assert_registered(self.ue.register())
        self.assertEqual(self.subscriber.indicators, ["no", "yes"])
        rows = self.real.sets(IMPI)
        agreed = self.ue.table.live.agreed
        self.assertEqual([(row["state"], row["mode"].lower(), row["spi_uc"], row["spi_ps"], row["port_us"])
                          for row in rows],
                         [("live", "transport", agreed.spi_uc, agreed.spi_ps, agreed.port_us)])
        self.assertIn(agreed.spi_ps, self.real.live_spis())
        self.assert_served(tcp)
        self.assert_served(not tcp)
        self.assertEqual((self.ue.discards, self.network.discards), ({}, {}))
        self.assertTrue(any(frame.is_esp() for frame in self.seen()))

    # Shows: R-5.1.3-01, R-7.2-07, R-7.1-10, R-7.1-11
    def test_registers_over_udp_and_ipv4(self):
        self.check_registration(4, False)

    # Shows: R-5.1.3-01, R-7.2-07, R-7.1-10, R-7.1-11
    def test_registers_over_tcp_and_ipv4(self):
        self.check_registration(4, True)

    # Shows: R-5.1.3-01, R-7.2-07, R-7.1-10, R-7.1-11
    def test_registers_over_udp_and_ipv6(self):
        self.check_registration(6, False)

    # Shows: R-5.1.3-01, R-7.2-07, R-7.1-10, R-7.1-11
    def test_registers_over_tcp_and_ipv6(self):
        self.check_registration(6, True)

    # Shows: R-7.2-02
    def test_sm6_has_no_keys(self):
        for tcp in (False, True):
            self.world(tcp=tcp)
            vectors, next_vector = [], self.subscriber.home.next_vector
            self.subscriber.home.next_vector = lambda: vectors.append(next_vector()) or vectors[-1]
            self.assert_registered(self.ue.register())
            sm6 = b"".join(frame.payload for frame in self.seen() if frame.source == PCSCF[4] and frame.ports)
            self.assertIn(b"SIP/2.0 401", sm6)
            self.assertIn(vectors[0].nonce().encode(), sm6)
            for secret in (vectors[0].ik, vectors[0].ck):
                self.assertNotIn(secret.hex().encode(), sm6.lower())
                self.assertNotIn(secret, sm6)
            self.assertNotRegex(sm6, rb'(?i)[ ,](ik|ck)="?')

    # Shows: R-6.1.5-03, R-6.1.5-02
    def test_integrity_protected_of_the_ue_is_removed(self):
        def forge(step, message):
            if step == "SM1":
                digest = sip.digest(message.get("Authorization")) | {"integrity-protected": "yes"}
                message.replace("Authorization", sip.digest_header(digest))

        self.world()
        self.ue.tamper = forge
        self.assert_registered(self.ue.register())
        self.assertEqual(self.subscriber.indicators, ["no", "yes"])
        sm1 = b"".join(frame.payload for frame in self.seen() if frame.source == UE[4] and frame.ports)
        self.assertIn(b'integrity-protected="yes"', sm1)

    # Shows: R-7.4-01, R-7.4-02, R-7.4-05, R-6.1.5-01, R-7.4.1a-01, R-7.4-04,
    # R-002-P1, R-002-P2
    def test_re_registration_moves_to_the_new_set(self):
        self.world()
        self.assert_registered(self.ue.register())
        old = self.ue.table.live.agreed
        self.assert_served()
        self.assert_registered(self.ue.register())
        new = self.ue.table.live.agreed
        self.assertEqual(self.subscriber.indicators, ["no", "yes", "yes", "yes"])
        self.assertEqual((old.port_us, old.port_ps), (new.port_us, new.port_ps))
        self.assertTrue(old.port_uc != new.port_uc and old.port_pc != new.port_pc)
        self.assertEqual([row["spi_ps"] for row in self.real.sets(IMPI)], [old.spi_ps, new.spi_ps])
        self.assertEqual(self.network.request(IMPI, "MESSAGE").status, 200)
        self.assertEqual(self.ue.served[-1].remote[1], old.port_pc, "the network stays on the old set at first")
        self.assertEqual(self.ue.request("MESSAGE").status, 200)
        self.assertTrue(settled(lambda: [row["spi_ps"] for row in self.real.sets(IMPI)] == [new.spi_ps]),
                        self.real.sets(IMPI))
        self.assertTrue(settled(lambda: old.spi_ps not in self.real.live_spis()))
        self.assert_served()
        self.assertEqual(self.ue.served[-1].remote[1], new.port_pc)

    # Shows: R-7.3-03, R-6.1.5-04
    def test_synchronisation_failure(self):
        for clear, indicators in ((True, ["no", "no", "yes"]), (False, ["yes", "yes", "yes"])):
            with self.subTest(clear=clear):
                self.world()
                if not clear:
                    self.assert_registered(self.ue.register())
                    self.assert_served()
                self.ue.usim.sqn_highest = 0x100000
                self.assert_registered(self.ue.register(), challenges=2)
                self.assertEqual(self.subscriber.statuses[-3:], [401, 401, 200])
                self.assertEqual(self.subscriber.indicators[-3:], indicators)
                self.assert_served()
                self.assertTrue(settled(lambda: self.states() == ["live"]), self.states())

    # Shows: R-7.3-02, R-6.1.1-02
    def test_wrong_response_is_told_on_the_new_set_and_harms_no_other(self):
        def spoil(step, message):
            if step == "SM7":
                digest = sip.digest(message.get("Authorization")) | {"response": "0" * 32}
                message.replace("Authorization", sip.digest_header(digest))

        self.world()
        self.assert_registered(self.ue.register())
        good = self.ue.table.live.agreed
        for clear in (True, False):
            with self.subTest(clear=clear):
                sent, send = [], self.network.endpoint.send
                self.network.endpoint.send = lambda *what: (sent.append(what), send(*what))
                self.ue.tamper = spoil
                self.assertEqual(self.ue.register(clear=clear).status, 403)
                self.ue.tamper, self.network.endpoint.send = None, send
                refusal = next(what for what in sent if what[0].status == 403)
                self.assertEqual(refusal[1][1] == good.port_pc, not clear, "the set of SM1, else the new one")
                self.assertIn(refusal[1][1], range(PORT_PS + 1, PROTECTED_PORTS[1] + 1))
                self.assertIs(self.ue.table.live.agreed, good)
                self.assertIn(good.spi_ps, self.real.live_spis())
                self.assert_served()
        self.assertTrue(settled(lambda: self.states() == ["live"], LINGER_S + 2), self.states())

    # Shows: R-7.3-01, R-7.3-05
    def test_wrong_keys_die_silently(self):
        self.world()
        before = self.real.drops().get("icv_wrong", 0)
        self.ue.keys_of = lambda answer: (bytes(16), answer.ck)
        self.ue.timeout_s = 1.2
        outcome = self.ue.register()
        self.assertEqual((outcome.status, outcome.reason), (None, "no answer"))
        self.assertGreater(self.real.drops()["icv_wrong"], before)
        self.assertEqual((self.subscriber.statuses, len(self.network.verdicts)), ([401], 1))
        self.assertEqual(self.states(), ["registration"])
        spi = self.real.sets(IMPI)[0]["spi_ps"]
        self.assertTrue(settled(lambda: self.states() == [], TEMPORARY_S + 2), self.states())
        self.assertTrue(settled(lambda: spi not in self.real.live_spis()))

    # Shows: R-7.3-02
    def test_wrong_network_is_told_and_leaves_nothing(self):
        self.world()
        self.ue.usim = Usim(os.urandom(16), os.urandom(16))
        outcome = self.ue.register()
        self.assertEqual((outcome.status, outcome.reason), (None, "the MAC of the challenge is wrong"))
        self.assertEqual(self.subscriber.statuses, [401, 403])
        self.assertTrue(settled(lambda: self.states() == [], TEMPORARY_S + 2), self.states())

    # Shows: R-7.4.2a-10, R-D-E1
    def test_de_registration_is_answered_on_the_set_that_then_lingers(self):
        self.world()
        self.assert_registered(self.ue.register())
        self.assert_registered(self.ue.deregister())
        self.assertFalse(self.subscriber.is_registered)
        self.assertFalse(any(b"SIP/2.0 200" in frame.payload for frame in self.seen() if frame.ports))
        rows = self.real.sets(IMPI)
        self.assertTrue(rows and {row["state"] for row in rows} == {"lingering"}, rows)
        self.assertTrue(settled(lambda: self.states() == [], LINGER_S + 2), self.states())
        self.assertEqual(self.network.gmesp.route(IMPI)["status"], 404)
        self.assert_registered(self.ue.register())
        self.assert_served()

    def check_nat(self, version, tcp):
        self.world(version, nat=True, tcp=tcp)
        for attempt in (1, 2):
            self.assert_registered(self.ue.register())
            agreed = self.ue.table.live.agreed
            self.assertEqual((agreed.mode, agreed.ue), (TUNNEL, PUBLIC[version]))
            self.assert_served(tcp)
            row = self.real.sets(IMPI)[-1]
            self.assertEqual((row["spi_ps"], row["mode"].lower()), (agreed.spi_ps, "udp-encapsulated-tunnel"))
            self.assertTrue(NAT_PORTS[0] <= row["peer_port"] <= NAT_PORTS[1], row)
            self.assertEqual(self.subscriber.indicators[-2:], ["no" if attempt == 1 else "yes", "yes"])
        up = {frame.ports for frame in self.seen() if frame.ports and frame.source == PUBLIC[version]}
        self.assertEqual({ports for ports in up if 5060 not in ports}, {(row["peer_port"], ENCAPSULATION_PORT)})

    # Shows: R-M-01, R-M-02, R-M-04, R-M-05, R-M-07, R-M-08, R-M-13
    def test_registers_behind_a_nat_over_ipv4(self):
        self.check_nat(4, False)

    # Shows: R-M-01, R-M-02, R-M-04, R-M-05, R-M-07, R-M-08, R-M-13
    def test_registers_behind_a_nat_over_ipv6(self):
        self.check_nat(6, True)

    # Shows: R-M-11, R-7.1-24
    def test_one_behind_the_nat_and_one_not_at_the_same_time(self):
        self.world()
        hidden_impi = "hidden@home.test"
        other, keys = self.real.home(6, hidden_impi)
        self.addCleanup(other.close)
        hidden = Phone(hidden_impi, keys[hidden_impi], 6, nat=True, name="ims1")
        self.addCleanup(hidden.close)
        self.addCleanup(lambda: self.real.ctl("evict", hidden_impi))
        self.assert_registered(self.ue.register())
        self.assert_registered(hidden.ue.register())
        self.assertEqual((self.ue.table.live.agreed.mode, hidden.ue.table.live.agreed.mode), (TRANSPORT, TUNNEL))
        for _ in range(3):
            self.assert_served()
            self.assertEqual(hidden.ue.request("MESSAGE").status, 200)
            self.assertEqual(other.request(hidden_impi, "INVITE").status, 200)

    def clear_drops(self):
        return self.real.drops().get("clear_to_protected_port", 0)

    # Shows: R-7.1-18, R-7.1-21
    def test_an_invite_in_clear_gets_no_answer(self):
        self.world()
        self.assert_registered(self.ue.register())
        taken = len(self.network.served)
        before = self.clear_drops()
        with lab.socket_in("ue", socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((UE[4], 5070))
            invite = sip.request("INVITE", "sip:echo@home.test", [
                ("Via", sip.via("UDP", UE[4], 5070)), ("From", f"<sip:{IMPI}>;tag=1"), ("To", "<sip:echo@home.test>"),
                ("Call-ID", "clear"), ("CSeq", "1 INVITE")])
            stranger.sendto(invite.encode(), (PCSCF[4], 5060))
            self.assertTrue(settled(lambda: self.real.drops().get("sip_method_not_allowed") == 1))
            self.assertEqual(self.clear_drops(), before, "the clear port is open")
            stranger.sendto(invite.encode(), (PCSCF[4], PORT_PS))  # this one does not come so far
            self.assertTrue(settled(lambda: self.clear_drops() == before + 1))
            stranger.settimeout(0.3)
            self.assertRaises(TimeoutError, stranger.recv, 100)
        self.assertEqual((self.network.discards["INVITE"], len(self.network.served)), (0, taken))
        self.assertEqual([leak.ports for leak in self.leaks(self.wire.frames())], [(5070, PORT_PS)])

    # Shows: R-C-03
    def test_gmesp_control_dies_and_returns(self):
        self.world()
        self.assert_registered(self.ue.register())
        first = self.ue.table.live.agreed
        self.assert_served()
        self.real.kill("gmesp-control")
        self.ue.timeout_s = 1.2
        self.assertEqual(self.ue.register(clear=True).status, 503)
        self.assertIn(first.spi_ps, self.real.live_spis())
        self.real.start_control()
        self.network.gmesp = self.real.control()
        self.ue.timeout_s = 4.0
        self.assert_served()
        self.assert_registered(self.ue.register())
        self.assertEqual(self.subscriber.indicators, ["no", "yes", "yes", "yes"])
        self.assert_served()
        self.assertTrue(settled(lambda: first.spi_ps not in self.real.live_spis()))

    def replays(self):
        return sum(packets for name, packets in self.real.drops().items() if name.startswith("replay_"))

    # Shows: R-C-03, R-D-A2
    def test_gmespd_dies_and_calls_go_on(self):
        for nat in (False, True):
            with self.subTest(nat=nat):
                self.world(nat=nat)
                self.assert_registered(self.ue.register())
                agreed = self.ue.table.live.agreed
                self.assert_served()
                recorded = [frame for frame in self.seen() if frame.is_esp() and frame.source == agreed.ue
                            and not frame.is_fragment and len(frame.payload) > SMALLEST_ESP_BYTES]  # no keep-alives
                self.assertGreaterEqual(len(recorded), 4)
                self.real.kill("gmespd")
                self.ue.timeout_s, answers = 20.0, []
                call = threading.Thread(target=lambda: answers.append(self.ue.request("INVITE")))
                call.start()  # repeated by the UE until somebody answers
                self.real.start_gmespd()
                call.join()
                self.assertEqual([answer and answer.status for answer in answers], [200])
                before = self.replays()
                for frame in recorded:
                    self.wire.send_again(frame)
                self.assertTrue(settled(lambda: self.replays() == before + len(recorded)), self.real.drops())
                self.assert_served()
                self.assertIs(self.ue.table.live.agreed, agreed)
                self.assertEqual(self.states(), ["live"])
                self.assert_registered(self.ue.register())
                self.assert_served()


def _main():
    names = [f"RegistrationTest.{name}" for name in sys.argv[5:]]
    return run_cases(sys.modules[__name__], names or ["RegistrationTest"])


if __name__ == "__main__":
    sys.exit(lab.run_isolated(_main))
