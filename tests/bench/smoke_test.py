#!/usr/bin/env python3
"""bench/run in its small form, against a real gmespd over memif: that every program works, no word about its speed."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = sys.argv.pop(1)


class Smoke(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            command = [ROOT / "bench/run", "--smoke", "--small-pages", "--build", BUILD, "--json", result]
            cls.done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
            if cls.done.returncode != 0:
                raise AssertionError(cls.done.stderr[-3000:])
            cls.is_timed = "no packet could be timed" not in cls.done.stderr  # else its CPUs take turns
            cls.results = json.loads(result.read_text(encoding="utf-8"))
            cls.tables = subprocess.run([ROOT / "bench/plot", result], capture_output=True, text=True, check=False)

    def test_every_section_is_there(self):
        wanted = {"P1", "P2", "P5", "P7", "P8", "P9", "P10"}  # P3 needs a million UEs, P4 a peer
        self.assertEqual({figure["id"] for figure in self.results["figures"]},
                         wanted | {"P6"} if self.is_timed else wanted)

    def test_all_traffic_is_in_the_pipeline(self):
        rows = self.results["pipeline"]
        self.assertEqual({(row["draw"], row["direction"]) for row in rows if row["mode"] == "transport"},
                         {(draw, way) for draw in ("random", "zipf") for way in ("in", "out", "mixed")})
        self.assertTrue(all(row["pipeline_ns"] > row["ciphering_ns"] / 2 > 0 for row in rows))

    def test_frames_of_the_comparison_pass(self):
        rows = self.results["secgw"]
        self.assertEqual({(row["device"], row["way"]) for row in rows}, {("gmespd", "downlink"), ("gmespd", "uplink")})
        self.assertTrue(all(row["received_per_s"] > 0 for row in rows))  # else it would have been told and left out
        self.assertEqual({row["sas"] for row in rows}, {1, 10})

    def test_the_machine_is_described(self):
        self.assertTrue(self.results["machine"]["cpu"])
        self.assertRegex(self.results["machine"]["versions"]["dpdk"], r"^\d")

    def test_tables_are_made(self):
        self.assertEqual(self.tables.returncode, 0, self.tables.stderr)
        for word in ("pipeline", "latency", "churn") if self.is_timed else ("pipeline", "churn"):
            self.assertIn(word, self.tables.stdout)


class Registrations(unittest.TestCase):
    def test_users_register(self):
        command = [ROOT / "bench/registrations", "--build", BUILD, "--ues", "300", "--storms", "1", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        self.assertEqual(json.loads(done.stdout)["ues"], 300)

    def test_users_register_under_traffic(self):
        command = [ROOT / "bench/registrations", "--build", BUILD, "--ues", "100", "--rate", "100", "--traffic",
                   "--maximum", "2000", "--small-pages"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        self.assertRegex(done.stdout, r"traffic: [0-9]+ packets/s")
        self.assertRegex(done.stdout, r"was away [0-9.]+% of the time")


if __name__ == "__main__":
    unittest.main()
