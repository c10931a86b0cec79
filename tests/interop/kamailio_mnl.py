#!/usr/bin/env python3
"""Phones register with real AKA through unmodified Kamailio (ims_ipsec_pcscf), whose SAs libgmesp-mnl takes to gmespd.

Usage: kamailio_mnl.py [--build build] [--output build/kamailio_mnl] [--reduced] [TEST...]. Runs as root in a private
world; where that cannot be, it ends with 77 (skipped). The output folder keeps the capture of the access wire.
"""
import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ue"))
sys.path.append(str(Path(__file__).resolve().parent.parent))


def _missing():
    if os.geteuid() != 0:
        return "it makes network namespaces, so it runs as root"
    programs = ("ip", "nft", "sysctl", "ethtool", "tcpdump", "tshark", "kamailio", "setpriv", "ss")
    absent = [program for program in programs if not shutil.which(program)]
    absent += [] if importlib.util.find_spec("cryptography") else ["cryptography"]
    absent += [] if importlib.util.find_spec("scapy") else ["scapy"]
    absent += [] if list(Path("/usr/lib").glob("*/kamailio/modules/ims_ipsec_pcscf.so")) else ["kamailio-ims-modules"]
    absent += [] if os.path.exists("/dev/net/tun") else ["/dev/net/tun"]
    return f"missing: {' '.join(absent)}" if absent else None


if reason := _missing():
    print(f"kamailio_mnl: skipped, {reason}")
    sys.exit(77)

import lab  # noqa: E402
import sip  # noqa: E402
from access_network import PCSCF  # noqa: E402
from access_wire import AccessWire, clear_leaks  # noqa: E402
from aka import Usim  # noqa: E402
from esp_stack import EspStack  # noqa: E402
from key_log import WHOLE_RUN_METHODS, KeyLog  # noqa: E402
from mnl_pcscf import CONNECTIONS, GRACE_S, LIFETIME_S, MW, PENDING_S, TIMER_S, MnlPcscf  # noqa: E402
from real_network import DOMAIN, PROTECTED_PORTS, Phone, settled  # noqa: E402
from ue import Subscription, Ue  # noqa: E402
from verdict import run_cases  # noqa: E402

IMPI = "phone@home.test"
FORGOTTEN_S = PENDING_S + GRACE_S + 3 * TIMER_S + 2  # a pending contact and its SAs
SUITES = [(integrity, cipher) for integrity in ("hmac-md5-96", "hmac-sha-1-96")
          for cipher in ("null", "aes-cbc", "des-ede3-cbc")]


class KamailioMnlTest(unittest.TestCase):
    """All tests use the same gmespd and Kamailio; each has a home network and a phone of its own."""

    programs, output, methods = (), None, ()
    drops = Counter()  # of packets that no UE should send, as gmespd has counted them

    @classmethod
    def setUpClass(cls):
        cls.pcscf = MnlPcscf(cls.programs)
        cls.real = cls.pcscf.real
        cls.capture = lab.Capture("router", "wire", cls.output / "access.pcap")
        cls.key_log = KeyLog(cls.real.ctl)
        cls.pcscf.start()
        cls.pcscf.wait_kamailio()

    @classmethod
    def tearDownClass(cls):
        cls.capture.stop()
        cls.pcscf.close()
        cls.key_log.assert_all_good(cls.capture.path, cls.output / "wireshark", PROTECTED_PORTS, cls.methods,
                                    cls.drops)

    def world(self, version=4, tcp=False, integrity=None, cipher=None, impis=()):
        self.doCleanups()  # of the world before this one
        self.key_log.forget()
        self.wire, self.frames = AccessWire(), []
        self.addCleanup(self.wire.close)
        self.home, self.keys = self.pcscf.home(IMPI, *impis)
        self.addCleanup(self.home.close)
        self.subscriber = self.home.registrar.subscribers[IMPI]
        self.phone = Phone(IMPI, self.keys[IMPI], version, False, tcp)
        self.addCleanup(self.phone.close)
        self.ue = self.phone.ue
        self.ue.timeout_s = 8.0
        self.key_log.note_before(self.ue)
        if integrity:
            self.ue.integrities, self.ue.ciphers = (integrity,), (cipher,)
        self.addCleanup(self.assert_nothing_clear)
        self.addCleanup(self.forget_user)

    def forget_user(self):
        """Kamailio knows nothing after a crash, and cleans up when it starts."""
        self.pcscf.restart_kamailio()
        self.assertEqual(self.pcscf.sets(), [], "Kamailio's clean-up at its start")

    def seen(self):
        self.frames += self.wire.frames()
        return self.frames

    def assert_nothing_clear(self):
        leaks = clear_leaks(self.seen(), PCSCF.values(), PROTECTED_PORTS, self.phone.stack.ports)
        self.assertEqual([(leak.source, leak.ports, leak.payload[:60]) for leak in leaks], [])

    def assert_registered(self, outcome, challenges=1):
        self.assertEqual((outcome.status, outcome.challenges), (200, challenges), outcome)

    def assert_served(self, tcp=None):
        """MESSAGE and INVITE, from the UE and to it, are answered."""
        for method in ("MESSAGE", "INVITE"):
            answer = self.ue.request(method, tcp=tcp)
            self.assertEqual(answer and answer.status, 200, f"{method} from the UE, TCP {tcp}: {self.ue.discards}")
        for method in ("MESSAGE", "INVITE"):
            contact = self.home.bindings[IMPI].contact.partition(";")[0] + (";transport=tcp" if tcp else "")
            answer = self.home.request(IMPI, method, pcscf=MW, contact=contact)
            self.assertEqual(answer and answer.status, 200, f"{method} to the UE, TCP {tcp}: {self.ue.discards}")

    def spis(self):
        return sorted(row["spi_ps"] for row in self.pcscf.sets())

    # --- registration -----------------------------------------------------------------------------------------------

    def check_registration(self, version, tcp):
        self.world(version, tcp)
        self.assert_registered(self.ue.register())
        self.assertEqual(self.subscriber.indicators, ["no", "yes"])
        agreed = self.ue.table.live.agreed
        row, = self.pcscf.sets()
        for name in ("port_uc", "port_us", "port_pc", "port_ps", "spi_uc", "spi_us", "spi_pc", "spi_ps"):
            self.assertEqual(row[name], getattr(agreed, name), name)
        self.assertTrue(LIFETIME_S - 60 < row["left_s"] <= LIFETIME_S, row)
        self.assert_served(tcp)

    # Shows: R-5.1.3-01, R-7.1-10, R-7.2-02
    def test_registers_over_udp(self):
        self.check_registration(4, False)
        sm6 = b"".join(frame.payload for frame in self.seen() if frame.source == PCSCF[4] and frame.ports)
        self.assertIn(b"SIP/2.0 401", sm6)
        self.assertNotRegex(sm6, rb'(?i)[ ,](ik|ck)="?')

    def challenge_with(self, parameters):
        """From now on the registrar challenges with these parameters, and a nonce that ends as a key begins."""
        answer, next_vector, vectors = self.home.registrar.answer, self.subscriber.home.next_vector, []

        def such_a_vector():
            while not (made := next_vector()).nonce().endswith(("ik=", "ck=")):
                pass
            vectors.append(made)
            return made

        def such_an_answer(request):
            made = answer(request)
            if made.status == 401:
                made.replace("WWW-Authenticate",
                             "Digest " + parameters.format(**sip.digest(made.get("WWW-Authenticate"))))
            return made

        self.subscriber.home.next_vector, self.home.registrar.answer = such_a_vector, such_an_answer
        return vectors

    # Shows: R-7.2-02
    def test_no_key_leaves_whatever_stands_around_it(self):
        for parameters, is_read in (
                ('realm="{realm}", nonce="{nonce}", algorithm=AKAv1-MD5, qop="auth", ik="{ik}", ck="{ck}"', True),
                ('realm="{realm}",ck="{ck}",ik="{ik}",algorithm=AKAv1-MD5,qop="auth",nonce="{nonce}"', True),
                ('ik="{ik}",ck="{ck}",realm="{realm}",nonce="{nonce}",algorithm=AKAv1-MD5,qop="auth"', False)):
            with self.subTest(parameters):
                self.world()
                vectors = self.challenge_with(parameters)
                self.ue.timeout_s = 8.0 if is_read else 5.0  # such a nonce is looked for some time
                before = self.real.drops().get("unknown_spi", 0)
                self.assertEqual(self.ue.register().status, 200 if is_read else None)
                unknown = self.real.drops().get("unknown_spi", 0) - before
                self.assertEqual(unknown > 0, not is_read)
                self.drops["unknown_spi"] += unknown
                sm6 = b"".join(frame.payload for frame in self.seen() if frame.source == PCSCF[4] and frame.ports)
                self.assertIn(vectors[0].nonce().encode(), sm6)
                for secret in (vectors[0].ik, vectors[0].ck):
                    self.assertNotIn(secret.hex().encode(), sm6.lower())
        # Kamailio does not find an ik that stands first and sets up SAs with an empty key.
        self.assertIn('key of 0 bits for "sha1", allowed are 128 and 160', self.pcscf.kamailio.output())
        self.assertEqual(self.pcscf.sets(), [])

    # Shows: R-6.1.5-03
    def test_integrity_protected_of_the_ue_is_removed(self):
        for forged in ('Digest integrity-protected="yes",', "Digest Integrity-Protected = yes , "):
            with self.subTest(forged):
                self.world()

                def forge(step, message, start=forged):
                    if step == "SM1":
                        message.replace("Authorization", message.get("Authorization").replace("Digest ", start))

                self.ue.tamper = forge
                self.assert_registered(self.ue.register())
                self.assertEqual(self.subscriber.indicators, ["no", "yes"])
                sent = [request.get("Authorization") for request in self.home.requests]
                self.assertEqual([text.lower().count("integrity-protected") for text in sent], [1, 1], sent)

    def first_on_the_wire_ms(self, text):
        """CLOCK_BOOTTIME of the 401 with this text, once tcpdump has read it: the kernel may keep it for a second."""
        def times():
            return subprocess.run(
                ["tshark", "-r", self.capture.path, "-Y", f'sip.Status-Code == 401 && frame contains "{text}"',
                 "-T", "fields", "-e", "frame.time_epoch"], capture_output=True, text=True).stdout.split()
        shown_s = float(lab.wait_for(times, 10, f"a 401 with {text} in the capture")[0])
        return (shown_s - time.clock_gettime(time.CLOCK_REALTIME) + time.clock_gettime(time.CLOCK_BOOTTIME)) * 1000

    # Shows: R-7.2-07
    def test_the_set_is_in_force_before_the_401_is_on_the_wire(self):
        self.world()
        self.assert_registered(self.ue.register())
        in_force_ms = self.pcscf.installed_ms()[self.ue.table.live.agreed.spi_ps]
        challenged_ms = self.first_on_the_wire_ms(sip.digest(self.home.requests[-1].get("Authorization"))["nonce"])
        self.assertLess(in_force_ms, challenged_ms + 1)  # installed_ms is in whole milliseconds

    def test_runs_as_its_own_user_without_capabilities(self):
        found = self.pcscf.processes()
        self.assertGreater(len(found), 4 * CONNECTIONS)
        for uid, effective, permitted, has_library in found:
            self.assertNotEqual(uid, 0)
            self.assertEqual((effective, permitted, has_library), (0, 0, True))
        text = self.pcscf.kamailio.output()
        self.assertNotIn("gmesp-mnl:", text)
        self.assertNotIn("netlink", text)

    # Shows: R-5.1.3-01, R-7.1-11
    def test_registers_over_tcp(self):
        self.check_registration(4, True)

    # Shows: R-5.1.3-01, R-7.1-10
    def test_registers_over_ipv6(self):
        for tcp in (False, True):
            with self.subTest(tcp=tcp):
                self.check_registration(6, tcp)

    # Shows: R-7.1-11
    def test_udp_and_tcp_share_the_sas(self):
        self.world()
        self.assert_registered(self.ue.register())
        self.assert_served(tcp=True)
        self.assert_served(tcp=False)
        self.assertEqual(len(self.pcscf.sets()), 1)

    # Shows: R-7.1-01, R-7.1-02, R-I-01
    def test_every_suite(self):
        """The UE's own ESP has its keys from the card: what gmespd has came through Kamailio and must be the same."""
        for integrity, cipher in SUITES:
            with self.subTest(integrity=integrity, cipher=cipher):
                self.world(4, False, integrity, cipher)
                self.assert_registered(self.ue.register())
                row, = self.pcscf.sets()
                self.assertEqual((row["integrity"], row["cipher"]), (integrity, cipher))
                self.assert_served()

    # --- later ------------------------------------------------------------------------------------------------------

    def test_re_registration_makes_a_new_set_beside_the_old(self):
        self.world()
        self.assert_registered(self.ue.register())
        old = self.ue.table.live.agreed
        self.assert_served()
        self.assert_registered(self.ue.register())
        new = self.ue.table.live.agreed
        self.assertEqual(self.subscriber.indicators, ["no", "yes", "yes", "yes"])
        self.assertEqual(self.spis(), sorted((old.spi_ps, new.spi_ps)))
        self.assert_served()
        self.assertEqual(self.ue.served[-1].remote[1], new.port_pc)

    def test_re_registration_without_a_challenge_keeps_the_set(self):
        self.world()
        self.home.registrar.challenges_always = False
        self.assert_registered(self.ue.register())
        before = self.pcscf.sets()
        self.assert_registered(self.ue.register(), challenges=0)
        self.assertEqual([row["id"] for row in self.pcscf.sets()], [row["id"] for row in before])
        self.assert_served()

    # Shows: R-7.1-19
    def test_de_registration_removes_the_set(self):
        self.world()
        self.home.registrar.challenges_always = False
        self.assert_registered(self.ue.register())
        before, self.ue.timeout_s = self.real.drops(), 2.0
        outcome = self.ue.deregister()
        self.assertFalse(self.subscriber.is_registered)
        self.assertTrue(settled(lambda: self.spis() == []), self.spis())
        # Kamailio deletes the SAs before it sends the 200, which gmespd then stops: it would go in clear.
        self.assertIsNone(outcome.status)
        name = "no_sa_for_protected_port"
        self.assertGreater(self.real.drops()[name], before.get(name, 0))

    def test_expiry_removes_the_set(self):
        self.world()
        self.assert_registered(self.ue.register(expires_s=5))
        self.assertEqual(len(self.pcscf.sets()), 1)
        self.assertTrue(settled(lambda: self.spis() == [], 5 + FORGOTTEN_S), self.spis())

    # Shows: R-7.3-01
    def test_a_registration_that_fails_leaves_nothing(self):
        self.world()
        self.ue.keys_of, self.ue.timeout_s = lambda answer: (bytes(16), answer.ck), 1.5
        before = self.real.drops().get("icv_wrong", 0)
        outcome = self.ue.register()
        self.assertEqual((outcome.status, outcome.reason), (None, "no answer"))
        wrong = self.real.drops()["icv_wrong"] - before
        self.assertGreater(wrong, 0)
        self.drops["icv_wrong"] += wrong
        self.assertEqual(len(self.pcscf.sets()), 1)
        self.assertTrue(settled(lambda: self.spis() == [], FORGOTTEN_S), self.spis())

    def _phone(self, number, keys):
        """A phone with an address of its own, as each has."""
        address, impi = f"10.9.1.{20 + number}", f"phone{number}@home.test"
        if f" {address}/" not in lab.sh("ip -n ue -o address show dev ue0"):
            lab.ip_batch("ue", [f"addr add {address}/24 dev ue0"])
        stack = EspStack("ue", address, name=f"ims{number + 1}")
        self.addCleanup(stack.close)
        made = Ue(stack, "ue", PCSCF[4], Subscription(impi, f"sip:{impi}", DOMAIN), Usim(*keys[impi]))
        self.addCleanup(made.close)
        made.timeout_s = 10.0
        self.key_log.note_before(made)
        return made

    def test_phones_at_the_same_time_through_several_processes(self):
        """As many as Kamailio has ports for. One more gets a 401 without Security-Server, and gives up.

        The first comes alone: until it knows a contact, each of Kamailio's processes removes all SAs when a REGISTER
        comes, those included that another process has just set up (ipsec_reconfig(); control/mnl/README.md)."""
        self.world(impis=[f"phone{number}@home.test" for number in range(CONNECTIONS + 1)])
        phones = [self._phone(number, self.keys) for number in range(CONNECTIONS + 1)]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            outcomes = [phones[0].register(), *pool.map(Ue.register, phones[1:-1])]
        for outcome in outcomes:
            self.assert_registered(outcome)
        self.assertEqual(self.spis(), sorted(phone.table.live.agreed.spi_ps for phone in phones[:-1]))
        self.assertEqual(phones[-1].register().reason, "SM6 has no entry that this UE supports")
        for phone in phones[:-1]:
            answer = phone.request("MESSAGE")
            self.assertEqual(answer and answer.status, 200)

    # --- what dies --------------------------------------------------------------------------------------------------

    # Shows: R-C-03
    def test_kamailio_dies_and_cleans_up(self):
        self.world()
        self.assert_registered(self.ue.register())
        self.pcscf.kill_kamailio()
        self.assertEqual(len(self.pcscf.sets()), 1, "gmespd keeps what it has")
        self.real.ctl("sa", "add", "'" + FOREIGN + "'")
        self.pcscf.start_kamailio()
        self.pcscf.wait_kamailio()
        self.assertEqual(self.spis(), [704], "its own are gone, those of others stay")
        self.real.ctl("sa", "del", self.pcscf.sets()[0]["id"])
        with self.ue.lock:  # Kamailio hands out the same ports and SPIs again, which a UE that holds them refuses
            self.ue.table.clear()
        self.assert_registered(self.ue.register())
        self.assert_served()

    # Shows: R-C-03, R-D-A2
    def test_gmespd_dies_and_the_registration_lives(self):
        self.world()
        self.assert_registered(self.ue.register())
        self.assert_served()
        self.real.kill("gmespd")
        self.real.start_gmespd()
        self.assert_served()
        self.assert_registered(self.ue.register())
        self.assert_served()

    def test_without_gmespd_kamailio_says_so(self):
        self.world()
        self.real.kill("gmespd")
        try:
            self.pcscf.kill_kamailio()
            process = self.pcscf.start_kamailio()
            self.assertNotIn(process.wait(30), (None, 0))
            self.assertIn("GMESP_MNL_SOCKET must be gmespd's [control] socket", process.output())
        finally:
            self.real.start_gmespd()
            self.pcscf.start_kamailio()
            self.pcscf.wait_kamailio()

    def test_a_wrong_setting_stops_kamailio(self):
        self.world()
        self.pcscf.kill_kamailio()
        process = self.pcscf.start_kamailio(GMESP_MNL_TIMEOUT_MS="1s")
        self.assertNotIn(process.wait(30), (None, 0))
        self.assertIn('GMESP_MNL_TIMEOUT_MS is "1s", allowed is a number from 10 to 60000', process.output())
        self.pcscf.start_kamailio()
        self.pcscf.wait_kamailio()


FOREIGN = json.dumps({
    "mode": "transport", "integrity": "hmac-sha-1-96", "cipher": "aes-cbc", "ue": "10.9.9.9", "local": "10.9.0.1",
    "port_uc": 5100, "port_us": 5200, "port_pc": 5070, "port_ps": 5080, "spi_uc": 701, "spi_us": 702, "spi_pc": 703,
    "spi_ps": 704, "integrity_key": "a1" * 20, "cipher_key": "c2" * 16})


PROGRAMS = ("dataplane/gmespd", "control/daemon/gmesp-control", "control/cli/gmespctl", "control/client/libgmesp.so.0",
            "control/mnl/libgmesp-mnl.so")


def _run(arguments):
    KamailioMnlTest.programs = [str(arguments.build.resolve() / program) for program in PROGRAMS]
    KamailioMnlTest.output = arguments.output.resolve()
    KamailioMnlTest.methods = () if arguments.tests else WHOLE_RUN_METHODS
    arguments.output.mkdir(parents=True, exist_ok=True)
    held = lab.lock(arguments.output)
    names = [f"KamailioMnlTest.{name}" for name in arguments.tests]
    names = names or (REDUCED if arguments.reduced else ["KamailioMnlTest"])
    try:
        return run_cases(sys.modules[__name__], names)
    finally:
        lab.keep_logs(arguments.output / "logs")
        os.close(held)


REDUCED = [f"KamailioMnlTest.test_{name}" for name in (
    "registers_over_udp", "registers_over_tcp", "the_set_is_in_force_before_the_401_is_on_the_wire",
    "runs_as_its_own_user_without_capabilities", "re_registration_makes_a_new_set_beside_the_old",
    "de_registration_removes_the_set", "kamailio_dies_and_cleans_up", "gmespd_dies_and_the_registration_lives")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reduced", action="store_true", help="the tests that matter most, for every CI run")
    parser.add_argument("--build", type=Path, default=Path("build"), help="build folder")
    parser.add_argument("--output", type=Path, help="for capture and logs (default: kamailio_mnl in the build folder)")
    parser.add_argument("tests", nargs="*", metavar="TEST")
    arguments = parser.parse_args()
    arguments.output = arguments.output or arguments.build / "kamailio_mnl"
    return lab.run_isolated(lambda: _run(arguments))


if __name__ == "__main__":
    sys.exit(main())
