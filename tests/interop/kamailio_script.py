#!/usr/bin/python3
"""Phones register and talk through Kamailio, gmesp-control and gmespd, with the shipped P-CSCF configuration.

Usage: kamailio_script.py [--build build] [--output build/kamailio] [--reduced] [TEST...]. Runs as root in a private
world; ends with 77 (skipped) where a program is missing. --output gets the capture of the access side and all logs.
"""
import argparse
import contextlib
import os
import shutil
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "ue")]
sys.path.append(str(Path(__file__).resolve().parent.parent))
ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = "/usr/lib/*/kamailio/modules"


def _missing():
    if os.geteuid() != 0:
        return "it makes network namespaces, so it runs as root"
    absent = [program for program in ("ip", "nft", "ss", "tcpdump", "tshark", "ethtool", "kamailio")
              if not shutil.which(program)]
    absent += [] if list(Path("/").glob(f"{MODULES[1:]}/app_python3.so")) else ["kamailio-python3-modules"]
    absent += [] if os.path.exists("/dev/net/tun") else ["/dev/net/tun"]
    return f"missing: {' '.join(absent)}" if absent else None


if reason := _missing():
    print(f"kamailio_script: skipped, {reason}")
    sys.exit(77)

import lab  # noqa: E402
import sip  # noqa: E402
from access_network import PCSCF, PUBLIC, UE  # noqa: E402
from access_wire import ENCAPSULATION_PORT  # noqa: E402
from aka import Usim  # noqa: E402
from esp import TRANSPORT, TUNNEL  # noqa: E402
from kamailio_pcscf import MW, TIMEOUT_MS  # noqa: E402
from kamailio_test_case import IMPI, KamailioTest  # noqa: E402
from key_log import WHOLE_RUN_METHODS  # noqa: E402
from real_network import LINGER_S, PORT_PS, settled  # noqa: E402
from verdict import run_cases  # noqa: E402

PAUSE_S = 1.1  # of gmesp.py after a time-out, and a little more
REDUCED = ("test_registers_over_udp_and_ipv4", "test_registers_over_tcp_and_ipv6", "test_registers_behind_a_nat",
           "test_re_registration_moves_to_the_new_set", "test_wrong_response", "test_gmesp_control_dies_and_returns",
           "test_the_screen_stands_before_kamailio", "test_de_registration")


class KamailioScriptTest(KamailioTest):
    # --- registration -----------------------------------------------------------------------------------------------

    def check_registration(self, version, tcp):
        self.world(version, tcp=tcp)
        self.assert_registered(self.ue.register())
        self.assertEqual(self.subscriber.indicators, ["no", "yes"])
        for request in self.home.requests:
            self.assertEqual([request.get(name) for name in ("Security-Client", "Security-Verify", "Require",
                                                             "Proxy-Require")], [""] * 4)
            self.assertTrue(request.get("Path"))
        agreed = self.ue.table.live.agreed
        self.assertEqual([(row["state"], row["spi_uc"], row["spi_ps"], row["port_us"]) for row in self.real.sets(IMPI)],
                         [("live", agreed.spi_uc, agreed.spi_ps, agreed.port_us)])
        self.assertEqual(agreed.mode, TRANSPORT)
        self.assert_served(tcp)
        self.assert_served(not tcp)
        self.assertEqual(self.ue.discards, {})
        self.assertTrue(any(frame.is_esp() for frame in self.seen()))

    # Shows: R-5.1.3-01, R-7.2-02, R-7.2-07, R-7.1-10, R-7.1-11
    def test_registers_over_udp_and_ipv4(self):
        self.check_registration(4, False)

    # Shows: R-5.1.3-01, R-7.2-02, R-7.2-07, R-7.1-10, R-7.1-11
    def test_registers_over_tcp_and_ipv4(self):
        self.check_registration(4, True)

    # Shows: R-5.1.3-01, R-7.2-02, R-7.2-07, R-7.1-10, R-7.1-11
    def test_registers_over_udp_and_ipv6(self):
        self.check_registration(6, False)

    # Shows: R-5.1.3-01, R-7.2-02, R-7.2-07, R-7.1-10, R-7.1-11
    def test_registers_over_tcp_and_ipv6(self):
        self.check_registration(6, True)

    # Shows: R-7.1-10, R-7.1-11
    def test_requests_in_a_dialog_take_its_route(self):
        for tcp in (False, True):
            with self.subTest(tcp=tcp):
                self.world(tcp=tcp)
                self.assert_registered(self.ue.register())
                held = self.ue.table.live
                route = self.ue.request("INVITE").all("Record-Route")[::-1]
                self.assertIn(f"{PCSCF[4]}:{PORT_PS}", route[0])
                for to, hops in (("sip:echo@10.8.0.2:5060", route), ("sip:echo@home.test", [])):
                    bye = sip.request("BYE", to, [*self.ue.headers("BYE", held, tcp, to),
                                                  *(("Route", hop) for hop in hops)])
                    self.assertEqual(self.ue.transact(bye, held, tcp).status, 200)
                    self.assertEqual(self.home.served[-1].message.all("Route"), [])
                route = self.call_ue("INVITE").all("Record-Route")[::-1]
                self.assertIn(f"{MW[0]}:{MW[1]}", route[0])
                self.assertEqual(self.call_ue("BYE", route=route).status, 200)
                arrival = next(one for one in reversed(self.ue.served) if one.message.method == "BYE")
                self.assertEqual((arrival.message.all("Route"), arrival.remote[1]), ([], held.agreed.port_pc))

    # Shows: R-6.1.5-02, R-6.1.5-03
    def test_integrity_protected_of_the_ue_is_removed(self):
        def forge(step, message):
            digest = sip.digest(message.get("Authorization")) | {"integrity-protected": "yes"}
            message.replace("Authorization", sip.digest_header(digest))

        self.world()
        self.ue.tamper = forge
        self.assert_registered(self.ue.register())
        self.assertEqual(self.subscriber.indicators, ["no", "yes"])

    def check_nat(self, version, tcp):
        self.world(version, nat=True, tcp=tcp)
        for attempt in (1, 2):
            self.assert_registered(self.ue.register())
            agreed = self.ue.table.live.agreed
            self.assertEqual((agreed.mode, agreed.ue), (TUNNEL, PUBLIC[version]))
            self.assert_served(tcp)
            self.assertEqual(self.subscriber.indicators[-2:], ["no" if attempt == 1 else "yes", "yes"])
        row = self.real.sets(IMPI)[-1]
        self.assertEqual((row["spi_ps"], row["mode"].lower()), (agreed.spi_ps, "udp-encapsulated-tunnel"))
        up = {frame.ports for frame in self.seen() if frame.ports and frame.source == PUBLIC[version]}
        self.assertEqual({ports for ports in up if 5060 not in ports}, {(row["peer_port"], ENCAPSULATION_PORT)})

    # Shows: R-M-01, R-M-02, R-M-04, R-M-05, R-M-07, R-M-08
    def test_registers_behind_a_nat(self):
        self.check_nat(4, False)

    # Shows: R-M-01, R-M-02, R-M-04, R-M-05, R-M-07, R-M-08
    def test_registers_behind_a_nat_over_ipv6_and_tcp(self):
        self.check_nat(6, True)

    # Shows: R-7.4-01, R-7.4-02, R-7.4-05, R-6.1.5-01, R-002-P1
    def test_re_registration_moves_to_the_new_set(self):
        for tcp in (False, True):
            with self.subTest(tcp=tcp):
                self.world(tcp=tcp)
                self.assert_registered(self.ue.register())
                old = self.ue.table.live.agreed
                self.assert_served(tcp)
                self.assert_registered(self.ue.register())
                new = self.ue.table.live.agreed
                self.assertEqual(self.subscriber.indicators, ["no", "yes", "yes", "yes"])
                self.assertEqual((old.port_us, old.port_ps), (new.port_us, new.port_ps))
                self.assertEqual([row["spi_ps"] for row in self.real.sets(IMPI)], [old.spi_ps, new.spi_ps])
                self.assertEqual(self.call_ue("MESSAGE").status, 200)
                self.assertEqual(self.ue.served[-1].remote[1], old.port_pc, "on the old set at first")
                self.assertEqual(self.ue.request("MESSAGE").status, 200)
                self.assertEqual(self.call_ue("MESSAGE").status, 200)
                self.assertEqual(self.ue.served[-1].remote[1], new.port_pc, "the UE has used the new set")
                # Kamailio tells what is pending, so nobody waits for 64*T1.
                self.assertTrue(settled(lambda: [row["spi_ps"] for row in self.real.sets(IMPI)] == [new.spi_ps],
                                        LINGER_S - 1), self.real.sets(IMPI))
                self.assertTrue(settled(lambda: old.spi_ps not in self.real.live_spis()))
                self.assert_served(tcp)

    # --- what goes wrong --------------------------------------------------------------------------------------------

    # Shows: R-7.3-02, R-6.1.1-02
    def test_wrong_response(self):
        def spoil(step, message):
            if step == "SM7":
                digest = sip.digest(message.get("Authorization")) | {"response": "0" * 32}
                message.replace("Authorization", sip.digest_header(digest))

        self.world()
        self.assert_registered(self.ue.register())
        good = self.ue.table.live.agreed
        for clear in (True, False):
            with self.subTest(clear=clear):
                self.ue.tamper = spoil
                self.assertEqual(self.ue.register(clear=clear).status, 403)
                self.ue.tamper = None
                port = self.answers_from(403)[-1]
                self.assertEqual(port == good.port_pc, not clear, "the set of SM1, else the new one")
                self.assertGreater(port, PORT_PS)
                self.assertIs(self.ue.table.live.agreed, good)
                self.assert_served()
        self.assertTrue(settled(lambda: self.states() == ["live"], LINGER_S + 2), self.states())

    # Shows: R-7.3-02
    def test_an_answer_on_the_old_set_is_repeated_there(self):
        def spoil(step, message):
            if step == "SM7":
                digest = sip.digest(message.get("Authorization")) | {"response": "0" * 32}
                message.replace("Authorization", sip.digest_header(digest))

        self.world()
        self.assert_registered(self.ue.register())
        good, transact, registered = self.ue.table.live.agreed, self.ue.transact, len(self.home.requests)

        def twice(message, held, tcp, may_fail_on=None):
            answer = transact(message, held, tcp, may_fail_on)
            if held and held.agreed is not good:
                self.ue.send(message, held, tcp)
                self.assertTrue(settled(lambda: len(self.answers_from(403)) == 2), self.answers_from(403))
            return answer

        self.ue.tamper, self.ue.transact = spoil, twice
        self.assertEqual(self.ue.register().status, 403)
        self.assertEqual(self.answers_from(403), [good.port_pc] * 2)
        self.assertEqual(len(self.home.requests), registered + 2, "the registrar is not asked again")

    # Shows: R-7.2-08
    def test_a_changed_security_verify_is_refused(self):
        def spoil(step, message):
            if step == "SM7":
                message.replace("Security-Verify", *(line.replace("hmac-sha-1-96", "hmac-md5-96")
                                                     for line in message.all("Security-Verify")))

        self.world()
        self.ue.tamper = spoil
        outcome = self.ue.register()
        self.assertTrue(400 <= outcome.status < 500, outcome)
        self.assertEqual(len(self.home.requests), 1)
        self.assertGreater(self.answers_from(outcome.status)[-1], PORT_PS)

    # Shows: R-7.3-03, R-6.1.5-04
    def test_synchronisation_failure(self):
        for clear, indicators in ((True, ["no", "no", "yes"]), (False, ["yes", "yes", "yes"])):
            with self.subTest(clear=clear):
                self.world()
                if not clear:
                    self.assert_registered(self.ue.register())
                self.ue.usim.sqn_highest = 0x100000
                self.assert_registered(self.ue.register(), challenges=2)
                self.assertEqual(self.subscriber.statuses[-3:], [401, 401, 200])
                self.assertEqual(self.subscriber.indicators[-3:], indicators)
                self.assert_served()

    # Shows: R-7.3-02
    def test_wrong_network(self):
        self.world()
        self.ue.usim = Usim(os.urandom(16), os.urandom(16))
        outcome = self.ue.register()
        self.assertEqual((outcome.status, outcome.reason), (None, "the MAC of the challenge is wrong"))
        self.assertTrue(settled(lambda: self.subscriber.statuses == [401, 403]))
        self.assertTrue(settled(lambda: self.states() == []), self.states())

    # Shows: R-7.1-18, R-7.1-21
    def test_an_invite_in_clear_gets_no_answer(self):
        self.world()
        self.assert_registered(self.ue.register())
        with lab.socket_in("ue", socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((UE[4], 5070))
            invite = sip.request("INVITE", "sip:echo@home.test", [
                ("Via", sip.via("UDP", UE[4], 5070)), ("From", f"<sip:{IMPI}>;tag=1"), ("To", "<sip:echo@home.test>"),
                ("Call-ID", "clear"), ("CSeq", "1 INVITE")])
            stranger.sendto(invite.encode(), (PCSCF[4], 5060))
            stranger.settimeout(1.0)
            self.assertRaises(TimeoutError, stranger.recv, 100)
        self.assertEqual(self.home.served, [])

    # Shows: R-7.1-21
    def test_the_screen_stands_before_kamailio(self):
        """Of a stranger's clear requests, REGISTER and the emergency call come to Kamailio, which answers; the rest
        ends in gmespd, and is counted there."""
        requests = [("INVITE", "sip:echo@home.test"), ("MESSAGE", "sip:echo@home.test"), ("REGISTER", "sip:home.test"),
                    ("SUBSCRIBE", "sip:echo@home.test"), ("INVITE", "urn:service:sos.fire")]
        self.world()
        self.assert_registered(self.ue.register())
        self.sent_by_kamailio()
        dropped = self.real.drops().get("sip_method_not_allowed", 0)
        with lab.socket_in("ue", socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((UE[4], 5070))
            for number, (method, uri) in enumerate(requests):
                stranger.sendto(sip.request(method, uri, [
                    ("Via", sip.via("UDP", UE[4], 5070)), ("From", f"<sip:{IMPI}>;tag=1"), ("To", f"<{uri}>"),
                    ("Call-ID", f"stranger {number}"), ("CSeq", f"1 {method}"), ("Max-Forwards", "70")]).encode(),
                    (PCSCF[4], 5060))
            stranger.settimeout(3.0)
            answers = set()
            while len(answers) < 2:
                answers.add(sip.take_message(stranger.recv(2000))[0].get("CSeq"))
        self.sent_by_kamailio()
        arrived = [frame.payload[8:].partition(b" SIP/2.0")[0].decode() for frame in self.clear_frames
                   if frame.ports == (5070, 5060)]
        self.assertEqual(arrived, ["REGISTER sip:home.test", "INVITE urn:service:sos.fire"])
        self.assertEqual(answers, {"1 REGISTER", "1 INVITE"})
        self.assertEqual(self.real.drops()["sip_method_not_allowed"] - dropped, 3)

    # Shows: R-C-04
    def test_texts_that_are_none(self):
        """No verdict, no crash, and the next user is served."""
        self.world()
        with lab.socket_in("ue", socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((UE[4], 5070))
            stranger.settimeout(3.0)
            for number, spoilt in enumerate((b"\xff\xfe", b"a\0b", b"x" * 300)):
                register = sip.request("REGISTER", "sip:home.test", [
                    ("Via", sip.via("UDP", UE[4], 5070)), ("From", f"<sip:{IMPI}>;tag=1"), ("To", f"<sip:{IMPI}>"),
                    ("Call-ID", f"spoilt {number}"), ("CSeq", "1 REGISTER"), ("Max-Forwards", "70"),
                    ("Authorization", 'Digest username="NAME", nonce="", response=""'),
                    ("Security-Client", "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1;spi-s=2;port-c=3;port-s=4")])
                stranger.sendto(register.encode().replace(b"NAME", spoilt), (PCSCF[4], 5060))
                self.assertRegex(stranger.recv(2000), b"^SIP/2.0 [45]")
        self.assertEqual(self.home.requests, [])
        self.assert_registered(self.ue.register())

    # Shows: R-7.2-02
    def test_a_challenge_without_keys_is_refused(self):
        self.world()
        answer = self.home.registrar.answer

        def keyless(request):
            made = answer(request)
            digest = sip.digest(made.get("WWW-Authenticate"))
            made.replace("WWW-Authenticate", sip.digest_header({name: value for name, value in digest.items()
                                                                if name not in ("ik", "ck")}))
            return made

        self.home.registrar.answer = keyless
        self.assertGreaterEqual(self.ue.register().status, 500)
        self.assertEqual(self.states(), [])

    # Shows: R-7.3-02
    def test_the_registrar_is_silent(self):
        self.world()
        self.home.is_silent, self.ue.timeout_s = True, 9.0
        self.assertEqual(self.ue.register().status, 504)
        self.assertEqual(self.states(), [])

    # Shows: R-7.4.2a-10, R-D-E1
    def test_de_registration(self):
        for tcp in (False, True):
            with self.subTest(tcp=tcp):
                self.world(tcp=tcp)
                self.assert_registered(self.ue.register())
                self.assert_registered(self.ue.deregister())
                self.assertFalse(self.subscriber.is_registered)
                self.assertFalse(any(b"SIP/2.0 200" in frame.payload for frame in self.seen() if frame.ports))
                rows = self.real.sets(IMPI)
                self.assertTrue(rows and {row["state"] for row in rows} == {"lingering"}, rows)
                self.assertTrue(settled(lambda: self.states() == [], LINGER_S + 2), self.states())
                self.assertEqual(self.call_ue("MESSAGE").status, 404)
                self.assert_registered(self.ue.register())
                self.assert_served()

    # --- processes that die -----------------------------------------------------------------------------------------

    # Shows: R-C-03
    def test_gmesp_control_dies_and_returns(self):
        self.world()
        self.assert_registered(self.ue.register())
        first = self.ue.table.live.agreed
        with self.pcscf.dead_control():
            began = time.monotonic()
            self.assertEqual(self.ue.register(clear=True).status, 503)
            self.assertLess(time.monotonic() - began, 0.5)
            self.assertEqual(self.call_ue("MESSAGE").status, 503)
            self.ue.timeout_s = 1.2
            self.assertIsNone(self.ue.request("MESSAGE"), "nobody is answered on a protected port")
            self.assertIn(first.spi_ps, self.real.live_spis())
        self.ue.timeout_s = 6.0
        self.assert_served()
        self.assert_registered(self.ue.register())
        self.assertEqual(self.subscriber.indicators, ["no", "yes", "yes", "yes"])
        self.assert_served()

    # Shows: R-C-03
    def test_gmesp_control_hangs(self):
        self.world()
        self.assert_registered(self.ue.register())
        with self.pcscf.hung_control():
            for limit_s in (TIMEOUT_MS / 1000 + 0.4, 3.0):
                began = time.monotonic()
                self.assertEqual(self.ue.register(clear=True).status, 503)
                self.assertLess(time.monotonic() - began, limit_s)
        time.sleep(PAUSE_S)
        self.assert_served()

    # Shows: R-C-03
    def test_gmesp_control_dies_between_challenge_and_answer(self):
        self.world()
        answer = self.home.registrar.answer

        with contextlib.ExitStack() as outage:
            self.home.registrar.answer = lambda request: outage.enter_context(self.pcscf.dead_control()) or answer(
                request)
            self.assertEqual(self.ue.register().status, 500)
        self.home.registrar.answer = answer
        self.assert_registered(self.ue.register())
        self.assert_served()

    # Shows: R-C-03
    def test_gmesp_control_hangs_at_the_last_answer(self):
        """A 200 without a verdict is kept from the UE."""
        self.world()
        with contextlib.ExitStack() as outage:
            answer = self.home.registrar.answer

            def hang(request):
                made = answer(request)
                if made.status == 200:
                    outage.enter_context(self.pcscf.hung_control())
                return made

            self.home.registrar.answer, self.ue.timeout_s = hang, 3.0
            self.assertEqual(self.ue.register().reason, "no answer")
            self.assertTrue(self.subscriber.is_registered)
        self.assertEqual(self.answers_from(200), [])
        self.home.registrar.answer, self.ue.timeout_s = answer, 6.0
        time.sleep(PAUSE_S)
        self.assert_registered(self.ue.register())
        self.assert_served()

    # Shows: R-7.2-02
    def test_answers_to_nothing_go_nowhere(self):
        """A 401 of the home network that no transaction waits for, with keys; and a 200."""
        self.world()
        self.assert_registered(self.ue.register())
        before = len(self.sent_by_kamailio())
        for request in self.home.requests:
            vias = request.all("Via")
            for made in (self.home.registrar.answer(request), request.answer(200)):
                made.replace("Via", vias[0].replace("branch=z9hG4bK", "branch=z9hG4bKlate"), *vias[1:])
                self.home.endpoint.send(made, self.home.address, MW, False)
        time.sleep(0.5)
        self.assertEqual(len(self.sent_by_kamailio()), before)

    # Shows: R-C-03
    def test_kamailio_dies_and_returns(self):
        self.world()
        self.assert_registered(self.ue.register())
        agreed = self.ue.table.live.agreed
        self.pcscf.kill_kamailio()
        self.pcscf.start_kamailio()
        self.assert_served()
        self.assert_served(tcp=True)
        self.assertIs(self.ue.table.live.agreed, agreed)
        self.assert_registered(self.ue.register())
        self.assertEqual(self.subscriber.indicators, ["no", "yes", "yes", "yes"])
        self.assert_served()

    # Shows: R-C-04
    def test_several_workers_work_at_a_time(self):
        self.world()
        self.assert_registered(self.ue.register())
        answers, callers = [], 8

        def call():
            for _ in range(5):
                answer = self.call_ue("MESSAGE")
                answers.append(answer and answer.status)

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(Counter(answers), {200: 5 * callers})
        self.assertGreater(self.pcscf.connections(), 2)
        self.assert_served()


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="build folder")
    parser.add_argument("--output", type=Path, help="for capture and logs (default: kamailio in the build folder)")
    parser.add_argument("--reduced", action="store_true", help="the most telling tests only")
    parser.add_argument("tests", nargs="*", metavar="TEST")
    return parser.parse_args()


def _main():
    arguments = _arguments()
    build = arguments.build.resolve()
    KamailioScriptTest.output = (arguments.output or build / "kamailio").resolve()
    KamailioScriptTest.output.mkdir(parents=True, exist_ok=True)
    KamailioScriptTest.programs = [
        build / name for name in ("dataplane/gmespd", "control/daemon/gmesp-control", "control/cli/gmespctl",
                                  "control/client/libgmesp.so.0")]
    KamailioScriptTest.methods = () if arguments.tests else WHOLE_RUN_METHODS
    names = arguments.tests or (REDUCED if arguments.reduced else [])
    names = [f"KamailioScriptTest.{name}" for name in names] or ["KamailioScriptTest"]
    try:
        return run_cases(sys.modules[__name__], names)
    finally:
        lab.keep_logs(KamailioScriptTest.output)


if __name__ == "__main__":
    sys.exit(lab.run_isolated(_main))
