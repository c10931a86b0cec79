#!/usr/bin/env python3
"""Every command of gmespctl against a model of gmespd: output, JSON, messages, exit status.

gmespctl_test.py GMESPCTL MODEL_SERVER
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

GMESPCTL = sys.argv[1]
MODEL_SERVER = sys.argv[2]
DONE, REFUSED, USAGE, NO_CONNECTION = 0, 1, 2, 3
LOADED_SETS = 100_000
IK = "465b5ce8b199b49faa5f0a2ee238a6bc"
CK = "00112233445566778899aabbccddeeff"
CK_DES = "01102332455467768998abbacddceffe0110233245546776"


def make_set(number=1, **changes):
    row = {"mode": "transport", "integrity": "hmac-sha-1-96", "cipher": "aes-cbc", "ue": "10.0.0.2",
           "local": "192.0.2.1", "port_uc": 5100, "port_us": 5200, "port_pc": 6100, "port_ps": 6200,
           "spi_uc": 1000 + number, "spi_us": 2_000_000 + number, "spi_pc": 3_000_000 + number,
           "spi_ps": 4_000_000 + number, "integrity_key": "a1" * 20, "cipher_key": "c2" * 16,
           "cookie": number}
    row.update(changes)
    return {field: value for field, value in row.items() if value is not None}


class Gmespctl(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="gmespctl-")
        self.socket = os.path.join(self.folder.name, "gmespd.sock")
        self.server = subprocess.Popen([MODEL_SERVER, self.socket, "200000"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        self.assertEqual(self.server.stdout.readline(), "ready\n")

    def tearDown(self):
        self.server.stdin.close()
        self.assertEqual(self.server.wait(timeout=30), 0)
        self.server.stdout.close()
        self.folder.cleanup()

    def tell(self, order):
        self.server.stdin.write(order + "\n")
        self.server.stdin.flush()

    def run_ctl(self, *words, stdin=""):
        return subprocess.run([GMESPCTL, "--socket", self.socket, *map(str, words)], input=stdin,
                              capture_output=True, text=True, timeout=120, check=False)

    def ctl(self, *words, stdin="", status=DONE):
        """Standard output; the exit status must be `status`."""
        done = self.run_ctl(*words, stdin=stdin)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def error(self, *words, stdin="", status):
        """Standard error; the exit status must be `status`."""
        done = self.run_ctl(*words, stdin=stdin)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stderr

    def parsed(self, *words, **more):
        return json.loads(self.ctl(*words, "--json", **more))

    def add(self, row):
        return self.parsed("sa", "add", "-", stdin=json.dumps(row))["id"]

    def write(self, text):
        path = os.path.join(self.folder.name, "sets.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # Shows: R-6.3-01, R-C-01
    def test_add_and_show(self):
        identity = self.add(make_set(7, lifetime_s=3600))
        row = self.parsed("sa", "show", identity)
        for field, value in make_set(7).items():
            if not field.endswith("_key"):
                self.assertEqual(row[field], value, field)
        self.assertEqual(row["id"], identity)
        self.assertIn(row["left_s"], (3599, 3600))
        self.assertEqual(row["sas"]["out_pc_us"]["packets"], 13)
        table = self.ctl("sa", "show", identity)
        self.assertIn("10.0.0.2", table)
        self.assertIn("out_pc_us", table)
        self.assertEqual(self.parsed("sa", "show", int(identity, 16))["id"], identity)

    # Shows: R-M-07, R-D-S3
    def test_tunnel_set_with_ipv6(self):
        row = make_set(1, mode="udp-encapsulated-tunnel", ue="2001:db8::2", local="2001:db8::1",
                       outer_ue="2001:db8:9::2", outer_ue_port=4501)
        shown = self.parsed("sa", "show", self.add(row))
        self.assertEqual(shown["outer_ue"], "2001:db8:9::2")
        self.assertEqual(shown["outer_local"], "2001:db8::1")
        self.assertEqual(shown["outer_ue_port"], 4501)
        self.assertIsNone(shown["left_s"])

    # Shows: R-C-01
    def test_add_by_options_with_keys_from_standard_input(self):
        options = []
        for field, value in make_set(3, integrity_key=None, cipher_key=None).items():
            options += ["--" + field.replace("_", "-"), value]
        keys = json.dumps({"ik": IK, "ck": CK})
        identity = self.parsed("sa", "add", *options, "--lifetime-s", 60, "--keys-file", "-",
                               stdin=keys)["id"]
        self.assertEqual(self.parsed("sa", "show", identity)["spi_ps"], 4_000_003)
        changed = self.parsed("sa", "add", json.dumps(make_set(3)), "--spi-ps", 999)["id"]
        self.assertEqual(self.parsed("sa", "show", changed)["spi_ps"], 999)
        self.assertIn("installed 0x", self.ctl("sa", "add", json.dumps(make_set(4))))

    # Shows: R-I-03, R-8.1-01
    def test_keys_from_ik_and_ck(self):
        for number, cipher in enumerate(("null", "aes-cbc", "des-ede3-cbc"), 1):
            self.add(make_set(number, cipher=cipher, integrity_key=None, cipher_key=None, ik=IK,
                              ck=CK))
        self.add(make_set(8, cipher="null", integrity="hmac-md5-96", integrity_key=None,
                          cipher_key=None, ik=IK))
        self.add(make_set(9, cipher="des-ede3-cbc", cipher_key=CK_DES))
        message = self.error("sa", "add", "-", status=USAGE, stdin=json.dumps(
            make_set(5, cipher="des-ede3-cbc", cipher_key=None, ck="0123456789abcdef" * 2)))
        self.assertIn("two equal halves", message)
        self.assertIn("RFC 2451", message)

    # Shows: R-7.1-02, R-7.1-03, R-7.1-13, R-7.1-15
    def test_errors_name_field_found_and_allowed(self):
        for change, texts in (
                ({"port_uc": 0}, ("port_uc", "found 0", "1 to 65535")),
                ({"port_ps": 65536}, ("port_ps", "65536")),
                ({"spi_us": 255}, ("spi_us", "found 255", "256 to 4294967295")),
                ({"spi_pc": -1}, ("spi_pc", "-1")),
                ({"spi_pc": 1.5}, ("spi_pc", "1.5")),
                ({"spi_pc": "a1" * 16}, ("spi_pc", "found string")),
                ({"mode": "tunnel"}, ("mode", '"tunnel"', '"transport"')),
                ({"integrity": None}, ("integrity", "nothing", "hmac-md5-96")),
                ({"cipher": "des"}, ("cipher", '"des"', "aes-cbc")),
                ({"ue": "10.0.0"}, ("ue", '"10.0.0"')),
                ({"ue": 5}, ("ue", "number")),
                ({"outer_ue_port": 4500}, ("outer_ue_port", "4500")),
                ({"lifetime_s": 0}, ("lifetime_s", "found 0", "1 to 4294967295")),
                ({"ik": "00"}, ("ik", "1 bytes", "16 bytes")),
                ({"cipher_key": "0"}, ("cipher_key", "1 characters")),
                ({"integrity_key": "a1" * 33}, ("integrity_key", "33 bytes")),
                ({"colour": 1}, ("colour", "unknown field"))):
            message = self.error("sa", "add", "-", stdin=json.dumps(make_set(1, **change)),
                                 status=USAGE)
            for text in texts:
                self.assertIn(text, message)
        for text in ("", "[]", "{", "5", "null", '{"mode":"\x01"}'):
            self.assertIn("not a JSON object", self.error("sa", "add", "-", stdin=text, status=USAGE))
        self.assertEqual(self.parsed("info")["live_sets"], 0)

    # Shows: R-D-K2
    def test_keys_are_never_echoed(self):
        secret = "deadbeef" * 4
        for change in ({"cipher_key": secret + "xy"}, {"ik": secret + "00"}, {"spi_uc": secret},
                       {"cipher_key": secret, "spi_uc": 0}, {"cookie": [secret]}):
            message = self.error("sa", "add", "-", stdin=json.dumps(make_set(1, **change)),
                                 status=USAGE)
            self.assertNotIn("deadbeef", message)
        identity = self.add(make_set(1, cipher_key=secret))
        for words in (("sa", "list"), ("sa", "show", identity), ("sa", "list", "--json")):
            self.assertNotIn("deadbeef", self.ctl(*words))

    # Shows: R-C-01
    def test_refusals_of_gmespd(self):
        self.add(make_set(1))
        message = self.error("sa", "add", "-", stdin=json.dumps(make_set(1)), status=REFUSED)
        self.assertIn("SPI is in use", message)
        self.assertIn("no live set", self.error("sa", "show", "0x123", status=REFUSED))
        self.assertIn("allowed what", self.error("sa", "show", "first", status=USAGE))

    # Shows: R-7.4-04, R-C-01
    def test_del_and_flush(self):
        ids = [self.add(make_set(number)) for number in range(4)]
        self.assertEqual(self.parsed("sa", "del", ids[0], ids[1])["removed"], 2)
        done = self.run_ctl("sa", "del", ids[1], ids[2])
        self.assertEqual((done.returncode, done.stdout), (REFUSED, "removed 1 sets\n"))
        self.assertIn(ids[1], done.stderr)
        self.assertIn("--yes", self.error("sa", "flush", status=USAGE))
        self.assertEqual(self.parsed("info")["live_sets"], 1)
        self.assertEqual(self.parsed("sa", "flush", "--yes")["removed"], 1)
        self.assertEqual(self.ctl("sa", "flush", "--yes"), "removed 0 sets\n")

    # Shows: R-C-03
    def test_list_and_its_filters(self):
        self.assertEqual(self.parsed("sa", "list"), [])
        for number in range(40):
            self.add(make_set(number, ue=f"10.0.{number % 4}.2"))
        rows = self.parsed("sa", "list")
        self.assertEqual([row["cookie"] for row in rows], list(range(40)))
        for row in rows[5:35]:
            self.ctl("sa", "del", row["id"])
        self.assertEqual(len(self.parsed("sa", "list")), 10)
        self.assertEqual(len(self.parsed("sa", "list", "--ue", "10.0.3.2")), 3)
        self.assertEqual(self.parsed("sa", "list", "--spi", 1002)[0]["cookie"], 2)
        self.assertEqual(self.parsed("sa", "list", "--spi", 4_000_038)[0]["cookie"], 38)
        self.assertEqual(self.parsed("sa", "list", "--spi", 5), [])
        table = self.ctl("sa", "list").splitlines()
        self.assertEqual((len(table), table[-1]), (12, "10 sets"))
        self.assertIn("--ue", self.error("sa", "list", "--ue", "x", status=USAGE))

    # Shows: R-C-01, R-C-06
    def test_load_of_100000_lines(self):
        path = self.write("".join(json.dumps(make_set(n)) + "\n" for n in range(LOADED_SETS)))
        done = self.run_ctl("sa", "load", path, "--json")
        self.assertEqual(done.returncode, DONE, done.stderr)
        summary = json.loads(done.stdout)
        self.assertEqual((summary["installed"], summary["failed"]), (LOADED_SETS, 0))
        self.assertIn("100000 lines read", done.stderr)
        print(f"loaded {summary['sets_per_second']:.0f} sets/s")
        rows = self.parsed("sa", "list")
        self.assertEqual(len(rows), LOADED_SETS)
        self.assertEqual(len({row["spi_ps"] for row in rows}), LOADED_SETS)

    # Shows: R-C-01
    def test_load_stops_at_a_bad_line_or_goes_on(self):
        lines = [json.dumps(make_set(n)) for n in range(5)]
        lines[2] = json.dumps(make_set(2, spi_us=7))
        path = self.write("\n".join(lines + ["", "  ", "nonsense"]) + "\n")
        done = self.run_ctl("sa", "load", path)
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn(f"{path}:3: spi_us: found 7, allowed", done.stderr)
        self.assertIn("installed 2 sets, 1 failed", done.stdout)
        self.ctl("sa", "flush", "--yes")
        done = self.run_ctl("sa", "load", path, "--keep-going", "--json")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn(f"{path}:8: not a JSON object", done.stderr)
        summary = json.loads(done.stdout)
        self.assertEqual((summary["installed"], summary["failed"]), (4, 2))
        done = self.run_ctl("sa", "load", "-", stdin=lines[0] + "\n")
        self.assertIn("-:1: install: inbound SPI is in use", done.stderr)
        self.assertIn("No such file", self.error("sa", "load", "/nowhere", status=USAGE))

    # Shows: R-C-04
    def test_rows(self):
        self.assertEqual([row["packets"] for row in self.parsed("drops")], [1, 2])
        self.assertEqual(len(self.parsed("drops", "--all")), 3)
        self.assertIn("TS 33.203 7.2", self.ctl("drops"))
        self.assertEqual(self.parsed("stats")[2]["value"], 102)
        self.assertIn("statistic_0", self.ctl("stats"))
        ports = self.parsed("ports")
        self.assertEqual([port["role"] for port in ports], ["access", "host", "host"])
        self.assertIn("net_tap1", self.ctl("ports"))
        self.assertEqual(self.parsed("info")["epoch"], 42)
        self.assertIn("model", self.ctl("info"))

    # Shows: R-7.1-04
    def test_algorithms(self):
        self.assertTrue(self.parsed("algorithm", "withdraw", "aes-cbc")["withdrawn"])
        message = self.error("sa", "add", "-", stdin=json.dumps(make_set(1)), status=REFUSED)
        self.assertIn("withdrawn", message)
        self.assertEqual(self.ctl("algorithm", "restore", "aes-cbc"), "aes-cbc restored\n")
        self.add(make_set(1))
        self.assertIn("des-ede3-cbc", self.error("algorithm", "withdraw", "rc4", status=USAGE))

    # Shows: R-C-04
    def test_watch(self):
        words = [GMESPCTL, "--socket", self.socket, "watch", "--json", "--count", "2"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
            identity = self.add(make_set(5))
            while watching.poll() is None and self.parsed("info")["live_sets"] != 0:
                self.ctl("sa", "del", identity)
                self.tell("audit")
                self.tell("audit")
            events = [json.loads(line) for line in watching.communicate(timeout=30)[0].splitlines()]
        self.assertEqual(watching.returncode, DONE)
        self.assertEqual(len(events), 2)
        self.assertEqual(events[-1]["event"], "audit")
        self.assertEqual(events[-1]["reason"], "reason_1")
        self.assertEqual(events[-1]["spi"], 0xabcd)

    # Shows: R-C-03
    def test_exit_status_without_gmespd(self):
        done = subprocess.run([GMESPCTL, "--socket", "/nowhere/s", "info"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, NO_CONNECTION)
        self.assertIn("/nowhere/s: No such file", done.stderr)

    # Shows: R-C-04
    def test_usage(self):
        for words in ((), ("sa",), ("fly",), ("sa", "del"), ("sa", "list", "--spi", "x")):
            self.assertEqual(self.run_ctl(*words).returncode, USAGE, words)
        for words in (("--help",), ("sa", "--help"), ("sa", "add", "--help"), ("watch", "--help")):
            self.assertIn("Usage" if "Usage" in self.ctl(*words) else "OPTIONS", self.ctl(*words))
        self.assertIn("Exit status", self.ctl("--help"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
