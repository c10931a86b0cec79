#!/usr/bin/env python3
"""The commands of gmespctl for gmesp-control, against one that says what the test wants: output, JSON, exit status.

gmespctl_control_test.py GMESPCTL MODEL_SERVER
"""
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

from fake_control import BAD_ARGUMENT, END, NOT_FOUND, OK, REFUSED, FakeControl, address

GMESPCTL, MODEL_SERVER = sys.argv[1:3]
DONE, REFUSED_STATUS, USAGE, NO_CONNECTION = 0, 1, 2, 3
FOREVER = 2**64 - 1


def boottime_ms(seconds=0):
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000) + seconds * 1000


def set_fields(number, **changes):
    fields = {"set_state": 2, "set_number": number, "data_plane_id": 0x5000 + number, "mode": 1, "integrity": 2,
              "cipher": 2, "port_uc": 5100, "port_us": 5200, "port_pc": 5064, "port_ps": 5065, "spi_uc": 1000,
              "spi_us": 1001, "spi_pc": 2000, "spi_ps": 4294967295, "not_after_ms": boottime_ms(3600),
              "drop_at_ms": FOREVER, "peer_port": 0, "pending_transactions": 0, "is_latest": 0, "is_outbound": 0,
              "ue": address("10.0.0.2"), "local": address("192.0.2.1")}
    fields.update(changes)
    return list(fields.items())


ALICE = ([("impi", "alice@ims.example"), ("registration_key", "1"), ("impu", "sip:alice@ims.example"),
          ("impu", "tel:+491234"), ("value", 0)]
         + set_fields(7, set_state=3, drop_at_ms=boottime_ms(32))
         + set_fields(8, is_latest=1, is_outbound=1, pending_transactions=2, mode=2, peer_port=4500, cipher=1,
                      integrity=1, not_after_ms=FOREVER, ue=address("2001:db8::2"), local=address("2001:db8::1")))
BOB = [("impi", "bob\x1b[31m\xff@ims.example"), ("registration_key", ""), ("value", 1)]


def registrations(kind, fields):
    assert kind == "next_registration"
    known = [row for row in (ALICE, BOB) if fields.get("impi", row[0][1]) == row[0][1]]
    cursor = fields["cursor"]
    return (OK, [("cursor", cursor + 1)] + known[cursor]) if cursor < len(known) else (END, [])


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="gmespctl-")
        self.path = os.path.join(self.folder.name, "control.sock")
        self.fake = None

    def tearDown(self):
        if self.fake:
            self.fake.close()
        self.folder.cleanup()

    def serve(self, answer, **more):
        self.fake = FakeControl(self.path, answer, **more)

    def run_ctl(self, *words):
        return subprocess.run([GMESPCTL, "--control-socket", self.path, *map(str, words)], capture_output=True,
                              timeout=60, check=False)

    def ctl(self, *words):
        done = self.run_ctl(*words)
        self.assertEqual(done.returncode, DONE, done.stderr)
        return done.stdout.decode()

    def error(self, *words, status):
        done = self.run_ctl(*words)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(done.stdout, b"")
        return done.stderr.decode()

    def parsed(self, *words):
        return json.loads(self.ctl(*words, "--json"))

    # Shows: R-C-05
    def test_registrations_as_a_table(self):
        self.serve(registrations)
        lines = self.ctl("registrations").splitlines()
        self.assertEqual(lines[0].split(), ["user", "set", "state", "left", "s", "drop", "s", "ue", "uc/us", "pc/ps",
                                            "mode", "algorithms", "marks"])
        lingering = lines[1].split()
        self.assertEqual(lingering[:4], ["alice@ims.example", "(1)", "7", "lingering"])
        self.assertIn(int(lingering[4]), range(3500, 3601))
        self.assertIn(int(lingering[5]), range(10, 33))
        self.assertEqual(lingering[6:], ["10.0.0.2", "5100/5200", "5064/5065", "transport", "aes-cbc/hmac-sha-1-96"])
        self.assertEqual(lines[2].split()[2:], ["8", "live", "-", "-", "2001:db8::2", "5100/5200", "5064/5065",
                                                "udp-encapsulated-tunnel", "null/hmac-md5-96", "latest", "outbound",
                                                "pending=2", "peer-port=4500"])
        self.assertEqual(lines[3], "  sip:alice@ims.example, tel:+491234")
        self.assertEqual(lines[4].split(), ["bob?[31m??@ims.example", "no", "set"])  # no escape reaches the screen
        self.assertEqual(lines[5:], ["  1 registrations under way", "2 registrations"])

    # Shows: R-C-05
    def test_registrations_as_json(self):
        self.serve(registrations)
        rows = self.parsed("registrations", "--impi", "alice@ims.example")
        self.assertEqual(len(rows), 1)
        self.assertEqual(self.fake.requests[0], ("next_registration", {"cursor": 0, "impi": "alice@ims.example"}))
        alice = rows[0]
        self.assertEqual(alice["impi"], "alice@ims.example")
        self.assertEqual(alice["registration_key"], "1")
        self.assertEqual(alice["impus"], ["sip:alice@ims.example", "tel:+491234"])
        self.assertEqual(alice["procedures"], 0)
        lingering, live = alice["sets"]
        self.assertIn(lingering.pop("left_s"), range(3500, 3601))
        self.assertIn(lingering.pop("dropped_in_s"), range(10, 33))
        self.assertEqual(lingering, {
            "number": 7, "id": "0x5007", "state": "lingering", "is_latest": False, "is_outbound": False,
            "pending_transactions": 0, "mode": "transport", "integrity": "hmac-sha-1-96", "cipher": "aes-cbc",
            "ue": "10.0.0.2", "local": "192.0.2.1", "port_uc": 5100, "port_us": 5200, "port_pc": 5064,
            "port_ps": 5065, "peer_port": 0, "spi_uc": 1000, "spi_us": 1001, "spi_pc": 2000, "spi_ps": 4294967295})
        self.assertEqual((live["left_s"], live["dropped_in_s"], live["is_latest"]), (None, None, True))
        self.assertEqual(self.parsed("registrations", "--impi", "nobody"), [])
        self.assertEqual(len(self.parsed("registrations")), 2)

    # Shows: R-C-05
    def test_json_stays_json_whatever_a_ue_calls_itself(self):
        self.serve(lambda _, fields: (END, []) if fields["cursor"] else
                   (OK, [("cursor", 1), ("impi", b"\xff\xfe\"\x1b"), ("value", 0)]))
        row = self.parsed("registrations")[0]
        self.assertEqual(row["impi"], "\ufffd\ufffd\"\x1b")

    # Shows: R-C-05
    def test_refusals(self):
        rows = [("unknown_user", 404, "", "no registration of this user is known here", "carol"),
                ("via_mismatch", 403, "TS 33.203 7.1 rule 2", "packet source and Via differ", "bob"),
                ("no_sa", 0, "TS 33.203 7.1 rule 4", "no SA belongs to these addresses", "")]

        def answer(kind, fields):
            assert kind == "next_refusal"
            cursor = fields["cursor"]
            if cursor == len(rows):
                return END, []
            name, sip, clause, text, impi = rows[cursor]
            source = ("2001:db8::9", "10.0.0.9", "::")[cursor]
            return OK, [("cursor", cursor + 1), ("refusal", 3), ("time_ms", boottime_ms(-60)), ("sip", sip),
                        ("source", address(source)), ("source_port", 0 if source == "::" else 5060), ("impi", impi),
                        ("name", name), ("clause", clause), ("text", text)]

        self.serve(answer)
        lines = self.ctl("refusals").splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[2].split(maxsplit=4)[1:],
                         ["bob", "10.0.0.9:5060", "via_mismatch",
                          "packet source and Via differ (TS 33.203 7.1 rule 2)"])
        self.assertEqual(lines[1].split()[1:3], ["carol", "[2001:db8::9]:5060"])
        self.assertEqual(lines[3].split()[1:3], ["-", "no_sa"])
        told = datetime.datetime.strptime(lines[2].split()[0], "%Y-%m-%dT%H:%M:%SZ")
        self.assertLess(abs((datetime.datetime.utcnow() - told).total_seconds() - 60), 30)
        parsed = self.parsed("refusals", "-n", "2")
        self.assertEqual([row["reason"] for row in parsed], ["unknown_user", "via_mismatch"])
        self.assertEqual(parsed[1]["source"], "10.0.0.9")
        self.assertEqual(parsed[1]["source_port"], 5060)
        self.assertEqual(parsed[1]["sip_status"], 403)
        self.assertEqual(parsed[1]["clause"], "TS 33.203 7.1 rule 2")
        self.assertEqual(len(self.parsed("refusals", "-n", "0")), 3)

    # Shows: R-C-05
    def test_nothing_refused(self):
        self.serve(lambda *_: (END, []))
        self.assertEqual(self.ctl("refusals"), "nothing was refused\n")
        self.assertEqual(self.parsed("refusals"), [])

    # Shows: R-C-05
    def test_control_stats(self):
        self.serve(lambda _, fields: (END, []) if fields["cursor"] == 2 else
                   (OK, [("name", f"row_{fields['cursor']}"), ("unit", "sets"), ("text", "that live"), ("value", 12)]))
        self.assertEqual([line.split() for line in self.ctl("control", "stats").splitlines()],
                         [["row_0", "12", "sets", "that", "live"], ["row_1", "12", "sets", "that", "live"]])
        self.assertEqual(self.parsed("control", "stats")[1],
                         {"name": "row_1", "value": 12, "unit": "sets", "text": "that live"})

    # Shows: R-D-K1
    def test_algorithms_by_gmesp_control(self):
        self.serve(lambda *_: (OK, []))
        self.assertEqual(self.ctl("algorithm", "withdraw", "hmac-md5-96", "--remove-live"),
                         "hmac-md5-96 withdrawn by gmesp-control\n")
        self.assertEqual(self.parsed("algorithm", "restore", "null"), {"algorithm": "null", "withdrawn": False})
        self.assertEqual(self.fake.requests, [("withdraw", {"integrity": 1, "cipher": 0, "removes_live": 1}),
                                              ("restore", {"integrity": 0, "cipher": 1})])
        self.assertIn("found \"rc4\"", self.error("algorithm", "withdraw", "rc4", status=USAGE))

    # Shows: R-D-K1
    def test_algorithms_by_gmespd_if_its_socket_is_named(self):
        gmespd = os.path.join(self.folder.name, "gmespd.sock")
        with subprocess.Popen([MODEL_SERVER, gmespd, "16"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as server:
            self.assertEqual(server.stdout.readline(), "ready\n")
            done = subprocess.run([GMESPCTL, "--socket", gmespd, "algorithm", "withdraw", "aes-cbc"],
                                  capture_output=True, text=True, timeout=60, check=False)
            server.stdin.close()
        self.assertEqual((done.returncode, done.stdout), (DONE, "aes-cbc withdrawn\n"), done.stderr)
        self.assertIn("No such file", self.error("--socket", gmespd, "algorithm", "restore", "null",
                                                 status=NO_CONNECTION))  # both named: gmesp-control alone

    # Shows: R-C-05
    def test_evict_and_reload(self):
        self.serve(lambda kind, fields: (OK, []) if fields.get("impi") == "bob" or kind == "reload" else
                   (NOT_FOUND, [("text", "no registration of it")]))
        self.assertEqual(self.ctl("evict", "bob"), "evicted bob\n")
        self.assertEqual(self.parsed("evict", "bob"), {"evicted": "bob"})
        self.assertEqual(self.error("evict", "carol", status=REFUSED_STATUS),
                         "gmespctl: evict carol: no registration of it\n")
        self.assertEqual(self.ctl("reload"), "configuration is in force\n")
        self.assertEqual(self.parsed("reload"), {"reloaded": True})
        self.assertIn("IMPI", self.error("evict", status=USAGE))
        self.assertEqual(self.error("evict", "", status=USAGE), "gmespctl: evict: found \"\", allowed an IMPI\n")

    # Shows: R-C-05
    def test_reload_tells_what_is_wrong(self):
        self.serve(lambda *_: (BAD_ARGUMENT, [("text", "line 3: found 0, allowed 1 to 9\x1b[2J")]))
        self.assertEqual(self.error("reload", status=REFUSED_STATUS),
                         "gmespctl: reload: line 3: found 0, allowed 1 to 9?[2J\n")

    # Shows: R-C-03
    def test_no_gmesp_control(self):
        self.assertEqual(self.error("registrations", status=NO_CONNECTION),
                         f"gmespctl: {self.path}: cannot connect: {self.path}: No such file or directory\n")
        self.serve(lambda *_: None)  # hangs up
        self.assertIn("connection ended", self.error("evict", "bob", status=NO_CONNECTION))
        self.fake.close()
        os.unlink(self.path)
        self.serve(registrations, hello=(REFUSED, [("text", "user 7 is not in control.allowed_uids")]))
        self.assertIn("user 7 is not in", self.error("registrations", status=NO_CONNECTION))
        self.fake.close()
        os.unlink(self.path)
        self.serve(registrations, version=9)
        self.assertIn("gmesp-control has 9, client has 2", self.error("registrations", status=NO_CONNECTION))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
