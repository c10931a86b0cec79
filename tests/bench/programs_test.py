#!/usr/bin/env python3
"""The programs of bench/ that need no running gmespd: help, wrong arguments, captures; and the figures from results."""
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from scapy.all import IP, UDP, Ether, IPv6, rdpcap
from scapy.layers.ipsec import ESP, SecurityAssociation

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = {Path(path).name: path for path in sys.argv[1:]}
sys.argv = sys.argv[:1]
sys.path.insert(0, str(ROOT / "bench"))

import own_core  # noqa: E402
import sections  # noqa: E402
import targets  # noqa: E402
from device import Device  # noqa: E402
from secgw.config import configuration  # noqa: E402


def run(name, *arguments):
    command = [PROGRAMS[name], *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


class CommandLine(unittest.TestCase):
    def test_help_says_what_a_program_is_for(self):
        for name in PROGRAMS:
            with self.subTest(name):
                done = run(name, "--help")
                self.assertEqual(done.returncode, 0)
                self.assertRegex(done.stdout, r"(?s)\w.*--\w")

    def test_wrong_arguments_are_named(self):
        for name, arguments, words in (
                ("traffic_generator", [], "--access"),
                ("traffic_generator", ["--access", "a", "--host", "b", "--sizes", 20], "--sizes"),
                ("traffic_generator", ["--access", "a", "--host", "b", "--ues", 0], "--ues"),
                ("traffic_generator", ["--access", "net_none0", "--host", "net_none1", "--small-pages"], "--access"),
                ("traffic_generator", ["--access", "a", "--host", "b", "--core", 9999], "--core 9999"),
                ("pipeline_rate", ["--ues", 0], "--ues"),
                ("pipeline_rate", ["--draw", "dice"], "--draw"),
                ("crypto_ceiling", ["--batches", 129], "--batches"),
                ("crypto_ceiling", ["--sizes", 0], "--sizes"),
                ("sa_churn", ["--table", -1], "--table"),
                ("sa_churn", ["--socket", "/nowhere/gmespd.sock"], "/nowhere/gmespd.sock"),
                ("esp_capture", [], "--pcap"),
                ("esp_capture", ["--pcap", "/nowhere/x"], "/nowhere/x"),
                ("esp_capture", ["--cipher", "rot13", "--pcap", "/dev/null"], "--cipher"),
                ("run", ["--only", "nothing"], "--only"),
                ("run", ["--build", "/nowhere"], "/nowhere"),
                ("run", ["--device-core", 0], "--device-core"),
                ("compare", [], "--revision"),
                ("compare", ["/nowhere/a.json", "/nowhere/b.json"], "/nowhere/a.json"),
                ("plot", ["/nowhere/a.json"], "/nowhere/a.json")):
            with self.subTest(f"{name} {arguments}"):
                if name == "run" and "--device-core" in arguments:
                    arguments = [*arguments, "--build", Path(PROGRAMS["sa_churn"]).parent.parent]
                done = run(name, *arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(words, done.stdout + done.stderr)


def opened(packet, line):
    ciphers = {"aes-cbc": "AES-CBC", "des-ede3-cbc": "3DES", "null": "NULL"}
    macs = {"hmac-sha-1-96": "HMAC-SHA1-96", "hmac-md5-96": "HMAC-MD5-96"}
    ip = packet[IP] if IP in packet else packet[IPv6]
    extra = {}
    if line["mode"] != "transport":
        extra = {"tunnel_header": type(ip)(src=ip.src, dst=ip.dst), "nat_t_header": UDP(sport=4500, dport=4500)}
    association = SecurityAssociation(
        ESP, spi=packet[ESP].spi, crypt_algo=ciphers[line["cipher"]], auth_algo=macs[line["integrity"]],
        crypt_key=bytes.fromhex(line.get("cipher_key", "")) or None, auth_key=bytes.fromhex(line["integrity_key"]),
        **extra)
    return association.decrypt(ip)


def has_good_checksum(packet):
    rebuilt = packet.copy()
    del rebuilt[UDP].chksum
    return type(packet)(bytes(rebuilt))[UDP].chksum == packet[UDP].chksum


class Captures(unittest.TestCase):
    """Read and opened by scapy, which knows nothing of us."""

    def capture(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            pcap, sets = Path(folder) / "pcap", Path(folder) / "sets"
            done = run("esp_capture", "--pcap", pcap, "--sets", sets, *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = [json.loads(line) for line in sets.read_text(encoding="ascii").splitlines()]
            return rdpcap(str(pcap)), lines, done.stdout

    def test_uplink_opens_and_never_repeats_a_number(self):
        for options in ([], ["--cipher", "null"], ["--integrity", "hmac-md5-96"], ["--cipher", "des-ede3-cbc"],
                        ["--ipv6"], ["--tunnel"]):
            with self.subTest(options):
                packets, lines, said = self.capture("--ues", 3, "--packets", 40, *options)
                by_spi = {line[key]: line for line in lines for key in ("spi_ps", "spi_pc")}
                seen = set()
                for packet in packets:
                    number = (packet[ESP].spi, packet[ESP].seq)
                    self.assertNotIn(number, seen)
                    seen.add(number)
                    line = by_spi[packet[ESP].spi]
                    clear = opened(packet, line)
                    datagram = clear[UDP]
                    ports = (datagram.sport, datagram.dport)
                    self.assertIn(ports, {(line["port_uc"], line["port_ps"]), (line["port_us"], line["port_pc"])})
                    self.assertTrue(has_good_checksum(clear))
                end = int(re.search(r"--sequence-from (\d+)", said).group(1))
                self.assertEqual(end, max(number for _, number in seen) + 1)

    def test_downlink_goes_between_ports_of_the_set(self):
        packets, lines, _ = self.capture("--ues", 2, "--packets", 20, "--direction", "downlink", "--size", 600)
        ues = {line["ue"]: line for line in lines}
        for packet in packets:
            line = ues[packet[IP].dst]
            self.assertEqual(packet[IP].len, 600)
            self.assertIn((packet[UDP].sport, packet[UDP].dport),
                          {(line["port_ps"], line["port_uc"]), (line["port_pc"], line["port_us"])})

    def test_second_cipher(self):
        _, lines, _ = self.capture("--ues", 40, "--packets", 1, "--other-every", 20)
        self.assertEqual([line["cipher"] for line in lines].count("des-ede3-cbc"), 2)

    def test_every_key_is_another(self):
        _, lines, _ = self.capture("--ues", 500, "--packets", 1)
        self.assertEqual(len({line["integrity_key"] for line in lines} | {line["cipher_key"] for line in lines}), 1000)


class AlikeFrames(unittest.TestCase):
    """Frames in the form of bench/alike_frames.h are those that a device gets: put together here by hand."""
    HEAD, TAIL, WHOLE_AT, WHOLE = 64, 16, 64, 1536

    def frames(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            path, sets = Path(folder) / "frames", Path(folder) / "sets"
            done = run("esp_capture", "--differences", path, "--sets", sets, "--alike", *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = [json.loads(line) for line in sets.read_text(encoding="ascii").splitlines()]
            return self.put_together(path.read_bytes()), lines

    def put_together(self, data):
        _, count, size = struct.unpack_from("=3Q", data)
        whole = data[self.WHOLE_AT:self.WHOLE_AT + size]
        differences = data[self.WHOLE_AT + self.WHOLE:]
        self.assertEqual(len(differences), count * (self.HEAD + self.TAIL))
        for at in range(0, len(differences), self.HEAD + self.TAIL):
            head, tail = differences[at:at + self.HEAD], differences[at + self.HEAD:at + self.HEAD + self.TAIL]
            yield Ether(head + whole[self.HEAD:-self.TAIL] + tail)

    def test_uplink_is_sealed_by_its_sa(self):
        frames, lines = self.frames("--ues", 5, "--packets", 60, "--size", 600)
        by_spi = {line[key]: line for line in lines for key in ("spi_ps", "spi_pc")}
        seen = set()
        for packet in frames:
            seen.add((packet[ESP].spi, packet[ESP].seq))
            clear = opened(packet, by_spi[packet[ESP].spi])
            self.assertEqual((clear.len, has_good_checksum(clear)), (600, True))
        self.assertEqual(len(seen), 60)
        self.assertEqual(len({line["integrity_key"] for line in lines}), 5)

    def test_downlink_is_clear_and_good(self):
        frames, lines = self.frames("--ues", 5, "--packets", 60, "--direction", "downlink")
        frames = list(frames)
        self.assertEqual(len(frames), 60)
        self.assertLessEqual({packet[IP].dst for packet in frames}, {line["ue"] for line in lines})
        self.assertTrue(all(has_good_checksum(packet[IP]) for packet in frames))

    def test_others_are_refused(self):
        done = run("esp_capture", "--differences", "/dev/null", "--ues", 5, "--packets", 60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--alike", done.stderr)


class SecgwConfiguration(unittest.TestCase):
    LINE = {"mode": "transport", "integrity": "hmac-sha-1-96", "cipher": "aes-cbc", "ue": "10.1.0.0",
            "local": "192.0.2.1", "spi_uc": 7, "spi_ps": 9, "integrity_key": "01" * 20, "cipher_key": "ab" * 16}

    def test_policies_sas_and_routes(self):
        text = list(configuration([json.dumps(self.LINE)]))
        self.assertIn("sa in 9 cipher_algo aes-128-cbc cipher_key " + ":".join(["ab"] * 16) +
                      " auth_algo sha1-hmac auth_key " + ":".join(["01"] * 20) + " mode transport", text)
        policy = next(line for line in text if line.startswith("sp ipv4 out"))
        self.assertRegex(policy, r"protect 7 .* dst 10\.1\.0\.0/32 ")

    def test_what_it_cannot_do_is_refused(self):
        for change in ({"mode": "udp-encapsulated-tunnel"}, {"integrity": "hmac-md5-96"}, {"ue": "2001:db8::1"}):
            with self.subTest(change), self.assertRaises(ValueError):
                list(configuration([json.dumps({**self.LINE, **change})]))


class Figures(unittest.TestCase):
    @staticmethod
    def row(**change):
        return {"suite": "aes-cbc/hmac-sha-1-96", "mode": "transport", "family": 4, "ues": 1000, "bytes": 300,
                "draw": "random", "direction": "in", "pipeline_ns": 200.0, "bare_ns": 100.0, "fastest_ns": 100.0,
                "ciphering_ns": 100.0, "rate_over_bare": 0.5, "rate_over_fastest": 0.5, **change}

    def lines(self, **results):
        return [figure.line() for figure in targets.figures(results)]

    def test_lines_read_as_promised(self):
        rows = [self.row(), self.row(ues=1_000_000, rate_over_reference=0.74)]
        self.assertIn("P3 300B in 0.74 (goal 0.72) met", self.lines(pipeline=rows))
        self.assertIn("P1 300B in 0.50 (goal 0.68) missed", self.lines(pipeline=rows))

    def test_cost_beyond_crypto(self):
        rows = [self.row(), self.row(suite="null/hmac-md5-96", beyond_over_reference=1.2)]
        self.assertIn("P2 null/hmac-md5-96 transport 300B in 1.20 (goal at most 1.15) missed",
                      self.lines(pipeline=rows))

    def test_goals_are_for_one_direction_and_any_ue_alike(self):
        rows = [self.row(), self.row(draw="zipf"), self.row(direction="mixed"),
                self.row(ues=1_000_000, pipeline_ns=150.0, draw="zipf")]
        self.assertEqual([line for line in self.lines(pipeline=rows) if "goal" in line],
                         ["P1 300B in 0.50 (goal 0.68) missed"])

    def test_a_single_packet_is_held_against_the_fastest_library(self):
        row = {"suite": "s", "direction": "in", "bytes": 300, "batch": 1, "ipsec_mb_direct_ns": 300.0,
               "openssl_direct_ns": 200.0, "openssl_ns": 250.0, "engine_ns": 300.0}
        self.assertEqual(self.lines(single=[row, {**row, "batch": 16}]),
                         ["P5 s 300B in 1.50 (goal at most 1.25) missed"])

    def test_a_peer_is_held_against_its_neighbour_in_time(self):
        row = {"device": "gmespd", "sas": 1000, "bytes": 300, "way": "uplink", "received_per_s": 4e6, "over_secgw": 1.4}
        alone = {**row, "sas": 1}
        del alone["over_secgw"]
        self.assertEqual(self.lines(secgw=[row, alone]), ["P4 300B uplink 1000 SAs 1.40 (goal 1.35) met"])

    def test_mix_is_held_against_what_3des_leaves(self):
        # 0.95 * 100 ns + 0.05 * 2,000 ns = 195 ns; the mixture takes 200 ns.
        ratio = sections.over_ideal(first_per_s=1e7, other_per_s=5e5, mixed_per_s=5e6)
        self.assertAlmostEqual(ratio, 195 / 200)
        self.assertEqual(self.lines(mix={"share": 0.05, "over_ideal": ratio}), ["P10 5 % 3DES 0.97 (goal 0.9) met"])

    def test_a_mix_of_which_no_packet_was_timed_has_no_latency(self):
        mix = {"share": 0.05, "over_ideal": 1.0, "latency": {"samples": 1, "p99_ns": 5000.0}}
        self.assertIn("P10 p99 of AES packets at half load 5.00 us", self.lines(mix=mix))
        mix["latency"] = {"samples": 0, "p99_ns": 0.0}
        self.assertEqual(self.lines(mix=mix), ["P10 5 % 3DES 1.00 (goal 0.9) met"])

    def test_workers_are_held_against_the_ceiling_of_the_same_cores(self):
        workers = {"one_per_s": 1e6, "two_per_s": 1.5e6, "ceiling_gain": 1.5, "over_ceilings": 1.0}
        self.assertEqual(self.lines(workers=workers), ["P9 two workers 1.00 (goal 0.95) met"])

    def test_what_the_machine_alone_makes_impossible_is_told_as_such(self):
        def row(size, load, p50_ns, ratio, bound):
            return {"bytes": size, "load": load, "latency": {"p50_ns": p50_ns}, "p99_over_p50_at_10": ratio,
                    "bound_over_p50_at_10": bound}

        rows = [row(300, 10, 2000, 4.5, 4.25), row(300, 80, 3000, 15.0, 5.5), row(600, 10, 2000, 3.5, 19.5),
                row(1400, 10, 2000, 4.5, 19.5)]
        self.assertEqual(self.lines(latency=rows), [
            "P6 300B p50 at 10 % load 2.00 us",
            "P6 300B p99 at 10 % load / p50 at 10 % 4.50 (goal at most 4) missed: impossible here, the machine alone "
            "makes it 4.25",
            "P6 300B p99 at 80 % load / p50 at 10 % 15.0 (goal at most 12) missed",
            "P6 600B p50 at 10 % load 2.00 us",
            "P6 600B p99 at 10 % load / p50 at 10 % 3.50 (goal at most 4) met",
            "P6 1400B p50 at 10 % load 2.00 us",
            "P6 1400B p99 at 10 % load / p50 at 10 % 4.50 (goal at most 4) missed"])

    def test_what_is_missing_is_known(self):
        self.assertEqual(targets.not_measured({}), [f"P{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)])


class Stopped(unittest.TestCase):
    class Sleep(Device):
        def command(self):
            return ["sleep", "60"]

        def ready_text(self):
            return ""

    @staticmethod
    def daemon_of(device):
        deadline = time.monotonic() + 10
        while not device.daemons() and time.monotonic() < deadline:
            time.sleep(0.01)
        daemon, = device.daemons()
        return daemon

    def test_a_device_runs_again(self):
        def state():
            return Path(f"/proc/{daemon}/stat").read_text(encoding="ascii").split()[2]

        def wait_for(wanted):
            deadline = time.monotonic() + 10
            while state() not in wanted and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertIn(state(), wanted)

        with self.Sleep("sleep") as device:
            daemon = self.daemon_of(device)
            with self.assertRaises(KeyError), device.stopped():
                wait_for("T")
                with device.resumed():
                    wait_for("SR")
                wait_for("T")
                raise KeyError
            wait_for("SR")

    def test_one_that_ends_meanwhile_hides_no_error(self):
        with self.Sleep("sleep") as device:
            daemon = self.daemon_of(device)
            with self.assertRaises(KeyError), device.stopped(), device.resumed():
                os.kill(daemon, signal.SIGKILL)
                device.process.wait(10)
                raise KeyError


class EndlessCeiling(unittest.TestCase):
    def test_it_counts_until_it_is_ended(self):
        with subprocess.Popen([PROGRAMS["crypto_ceiling"], "--endless", "--batches", "32"], stdout=subprocess.PIPE,
                              text=True) as process:
            counts = [int(re.fullmatch("packets ([0-9]+)\n", process.stdout.readline())[1]) for _ in range(3)]
            process.terminate()
        self.assertEqual(process.returncode, -signal.SIGTERM)
        self.assertTrue(0 < counts[0] < counts[1] < counts[2], counts)
        self.assertTrue(all(count % 32 == 0 for count in counts), counts)


@unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "a single CPU cannot be given to anybody alone")
class OwnCore(unittest.TestCase):
    """Among three processes of this test in place of all of the machine."""

    def start(self, cpus):
        process = subprocess.Popen(["sleep", "60"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        os.sched_setaffinity(process.pid, cpus)
        return process.pid

    def test_others_leave_it_and_may_come_back(self):
        allowed = os.sched_getaffinity(0)
        core = max(allowed)
        anywhere, bound = self.start(allowed), self.start({core})
        with mock.patch.object(own_core, "tasks", lambda: present):
            present = [os.getpid(), anywhere, bound]
            with own_core.OwnCore(core):
                self.assertEqual(os.sched_getaffinity(anywhere), allowed - {core})
                self.assertEqual(os.sched_getaffinity(bound), {core})
                self.assertEqual(os.sched_getaffinity(0), allowed)
                started = self.start(allowed - {core})  # as a child of `anywhere` would be
                present = [*present, started]
            for task in (anywhere, started):
                self.assertEqual(os.sched_getaffinity(task), allowed)
            self.assertEqual(os.sched_getaffinity(bound), {core})


class Comparison(unittest.TestCase):
    def compare(self, before, after, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / "a", Path(folder) / "b"]
            for path, rate in zip(files, (before, after)):
                path.write_text(json.dumps({"pipeline": [Figures.row(rate_over_bare=rate)]}), encoding="ascii")
            return run("compare", *files, *arguments)

    def test_a_loss_fails_and_a_gain_does_not(self):
        self.assertEqual(self.compare(0.8, 0.5).returncode, 1)
        self.assertIn("LOSS", self.compare(0.8, 0.5).stdout)
        self.assertEqual(self.compare(0.5, 0.8).returncode, 0)
        self.assertEqual(self.compare(0.80, 0.78).returncode, 0)
        self.assertEqual(self.compare(0.80, 0.78, "--loss-max", 0.01).returncode, 1)

    def test_nothing_in_common_fails(self):
        with tempfile.NamedTemporaryFile("w") as empty:
            empty.write("{}")
            empty.flush()
            self.assertEqual(run("compare", empty.name, empty.name).returncode, 1)


if __name__ == "__main__":
    unittest.main()
