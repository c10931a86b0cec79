#!/usr/bin/env python3
"""gmespd as its operators meet it: a real process on DPDK's own ring and null ports, driven by gmespctl.

Usage: daemon_test.py GMESPD GMESPCTL. Needs neither root nor hugepages nor interfaces.
Each test is a function; its docstring is the claim. Prints one line per test and GoogleTest's closing line.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
from verdict import run_functions  # noqa: E402

GMESPD, GMESPCTL = sys.argv[1], sys.argv[2]
STARTED_WITHIN_S = 60
TMPFS = "/dev/shm"  # SA memory must be on tmpfs or hugetlbfs

CONFIG = """
[instance]
name = "{name}"
[control]
socket = "{folder}/gmespd.sock"
{control}
[[pair]]
access = "net_null0,no-rx=1"
host = "net_null1,no-rx=1"
[memory]
pages = "small"
packet_buffers = 8192
[sa]
capacity_sets = {capacity}
memory_path = "{folder}/sa"
restore = {restore}
{sa}
[log]
audit = "{folder}/audit.log"
{more}
"""


class Daemon:
    def __init__(self, folder, more="", capacity=1000, pair=None, restore=True, control="", sa=""):
        self.folder = Path(folder)
        self.config = self.folder / "gmespd.toml"
        text = CONFIG.format(name=f"gmesp-test-{os.getpid()}", folder=folder, capacity=capacity, more=more,
                             restore=str(restore).lower(), control=control, sa=sa)
        if pair:
            text = text.replace('access = "net_null0,no-rx=1"\nhost = "net_null1,no-rx=1"', pair)
        self.config.write_text(text, encoding="utf-8")
        self.log = open(self.folder / "gmespd.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([GMESPD, "--config", str(self.config)], stdout=self.log,
                                        stderr=subprocess.STDOUT)

    def log_text(self):
        return (self.folder / "gmespd.log").read_text(encoding="utf-8", errors="replace")

    def wait_until_up(self):
        deadline = time.monotonic() + STARTED_WITHIN_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"gmespd ended with {self.process.returncode}: {self.log_text()}")
            if self.ctl("info", check=False).returncode == 0:
                return self
            time.sleep(0.1)
        raise AssertionError(f"gmespd is not up after {STARTED_WITHIN_S} s: {self.log_text()}")

    def ctl(self, *arguments, stdin=None, check=True):
        result = subprocess.run([GMESPCTL, "--socket", str(self.folder / "gmespd.sock"), "--json", *arguments],
                                input=stdin, capture_output=True, text=True, timeout=60, check=False)
        if check and result.returncode != 0:
            raise AssertionError(f"gmespctl {arguments}: {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout=30)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.log.close()


@contextmanager
def daemon(**settings):
    with tempfile.TemporaryDirectory(prefix="gmespd-test-", dir=TMPFS) as folder:
        running = Daemon(folder, **settings)
        try:
            yield running.wait_until_up()
        finally:
            running.stop(signal.SIGKILL)


def sa_set(number=0, **changes):
    record = {
        "mode": "transport", "integrity": "hmac-sha-1-96", "cipher": "aes-cbc",
        "ue": f"10.1.{number // 250}.{number % 250 + 1}", "local": "10.0.0.1",
        "port_uc": 40000, "port_us": 40001, "port_pc": 5064, "port_ps": 5065,
        "spi_uc": 1000 + 4 * number, "spi_us": 1001 + 4 * number,
        "spi_pc": 1002 + 4 * number, "spi_ps": 1003 + 4 * number,
        "integrity_key": "0b" * 20, "cipher_key": "1c" * 16, "lifetime_s": 3600,
    }
    record.update(changes)
    return json.dumps(record)


def live_sets(running):
    lines = running.ctl("sa", "list").stdout.strip()
    if not lines:
        return []
    listing = json.loads(lines) if lines.startswith("[") else [json.loads(line) for line in lines.splitlines()]
    return listing


# Shows: R-C-01, R-7.4-04
def test_a_set_is_added_listed_and_removed():
    """A set that another process pushes is listed, and gone when its removal is answered."""
    with daemon() as running:
        running.ctl("sa", "add", sa_set())
        listing = live_sets(running)
        assert len(listing) == 1, listing
        assert "0b0b0b0b" not in json.dumps(listing), "a key is in the listing"
        running.ctl("sa", "flush", "--yes")
        assert live_sets(running) == []


# Shows: R-C-01, R-D-P2
def test_a_full_table_refuses_and_loses_nothing():
    """The set beyond the configured capacity is refused by name; those installed stay."""
    with daemon(capacity=10) as running:
        for number in range(10):
            running.ctl("sa", "add", sa_set(number))
        refused = running.ctl("sa", "add", sa_set(10), check=False)
        assert refused.returncode != 0
        assert "full" in (refused.stdout + refused.stderr).lower(), refused
        assert len(live_sets(running)) == 10


# Shows: R-7.1-09
def test_a_lifetime_ends_with_nobody_connected():
    """"Not after" is gmespd's own business: no client need be there."""
    with daemon() as running:
        running.ctl("sa", "add", sa_set(lifetime_s=1))
        assert len(live_sets(running)) == 1
        deadline = time.monotonic() + 10
        while live_sets(running) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert live_sets(running) == []


# Shows: R-D-K2
def test_keys_are_nowhere_but_in_sa_memory():
    """No key in the log or the audit log; the SA file is private, and gone after a clean stop."""
    with tempfile.TemporaryDirectory(prefix="gmespd-test-", dir=TMPFS) as folder:
        running = Daemon(folder).wait_until_up()
        key = bytes.fromhex("c0ffee00deadbeef") * 2
        running.ctl("sa", "add", sa_set(cipher_key=key.hex()))
        memory = Path(folder) / "sa"
        assert memory.stat().st_mode & 0o777 == 0o600, oct(memory.stat().st_mode)
        assert key in memory.read_bytes(), "the key should stand in SA memory while the set lives"
        running.ctl("sa", "flush", "--yes")
        assert key not in memory.read_bytes(), "the key is still in SA memory after removal"
        assert running.stop() == 0
        assert not memory.exists()
        for text in (running.log_text(), (Path(folder) / "audit.log").read_text(encoding="utf-8")):
            assert key.hex() not in text


# Shows: R-C-03, R-D-A2
def test_a_killed_gmespd_goes_on_with_its_sets():
    """After kill -9 the next gmespd has the same sets under the same ids, with outbound numbers further on."""
    with tempfile.TemporaryDirectory(prefix="gmespd-test-", dir=TMPFS) as folder:
        first = Daemon(folder).wait_until_up()
        for number in range(3):
            first.ctl("sa", "add", sa_set(number))
        removed = live_sets(first)[1]["id"]
        first.ctl("sa", "del", removed)
        before = live_sets(first)
        epoch = json.loads(first.ctl("info").stdout)["epoch"]
        first.stop(signal.SIGKILL)
        second = Daemon(folder).wait_until_up()
        try:
            info = json.loads(second.ctl("info").stdout)
            assert info["epoch"] > epoch
            assert (info["restored_sets"], info["lost_sets"], info["live_sets"]) == (2, 0, 2), info
            assert "2 SA sets restored" in second.log_text(), second.log_text()
            after = live_sets(second)
            for old, new in zip(before, after, strict=True):
                for role, sa in new["sas"].items():
                    jump = sa["sequence"] - old["sas"][role]["sequence"]
                    assert jump == (65536 if role.startswith("out") else 0), (role, jump)
                    sa["sequence"] = old["sas"][role]["sequence"]
                for listed in (old, new):
                    del listed["age_s"], listed["left_s"]
                assert new == old, (old, new)
            second.ctl("sa", "del", after[0]["id"])
            second.ctl("sa", "add", sa_set(0))
            assert len(live_sets(second)) == 2
            assert second.stop() == 0, second.log_text()
            assert not (Path(folder) / "sa").exists(), "a clean stop leaves nothing"
        finally:
            second.stop(signal.SIGKILL)


# Shows: R-D-A2, R-D-K2
def test_a_killed_gmespd_starts_again_without_its_sets_if_told_to():
    """With restore = false, or another capacity, what a dead gmespd left is wiped, and the log says why."""
    for settings, why in (({"restore": False}, "restoring is switched off"),
                          ({"capacity": 999}, "capacity_sets was 1000, is 999")):
        with tempfile.TemporaryDirectory(prefix="gmespd-test-", dir=TMPFS) as folder:
            first = Daemon(folder).wait_until_up()
            key = bytes.fromhex("c0ffee00deadbeef") * 2
            first.ctl("sa", "add", sa_set(cipher_key=key.hex()))
            epoch = json.loads(first.ctl("info").stdout)["epoch"]
            first.stop(signal.SIGKILL)
            assert key in (Path(folder) / "sa").read_bytes()
            second = Daemon(folder, **settings).wait_until_up()
            try:
                assert live_sets(second) == []
                assert key not in (Path(folder) / "sa").read_bytes()
                assert why in second.log_text(), second.log_text()
                assert json.loads(second.ctl("info").stdout)["epoch"] > epoch
            finally:
                second.stop(signal.SIGKILL)


# Shows: R-C-03
def test_a_start_that_fails_keeps_the_sets():
    """A device that is missing after a crash costs one start, not the registrations."""
    with tempfile.TemporaryDirectory(prefix="gmespd-test-", dir=TMPFS) as folder:
        first = Daemon(folder).wait_until_up()
        first.ctl("sa", "add", sa_set())
        first.stop(signal.SIGKILL)
        failing = Daemon(folder, pair='access = "0000:ff:1f.7"\nhost = "net_null1,no-rx=1"')
        assert failing.process.wait(timeout=STARTED_WITHIN_S) != 0
        failing.stop()
        third = Daemon(folder).wait_until_up()
        try:
            assert len(live_sets(third)) == 1
        finally:
            third.stop(signal.SIGKILL)


def test_only_workers_run_on_their_cores():
    """A worker that polls must not wait for the threads beside it: if there are other cores, they keep to those."""
    allowed = os.sched_getaffinity(0)
    worker = max(allowed)
    with daemon() as running:
        tasks = [int(name) for name in os.listdir(f"/proc/{running.process.pid}/task")]
        cores = [os.sched_getaffinity(task) for task in tasks]
        assert {worker} in cores, cores
        if len(allowed) > 1:
            assert [worker in of_task for of_task in cores].count(True) == 1, cores


def test_a_second_gmespd_is_refused():
    """Two on one socket and one SA memory: the second says so and ends; the first goes on."""
    with daemon() as running:
        second = subprocess.run([GMESPD, "--config", str(running.config)], capture_output=True, text=True,
                                timeout=STARTED_WITHIN_S, check=False)
        assert second.returncode != 0
        assert str(running.folder) in second.stdout + second.stderr, second
        running.ctl("info")


def test_it_stops_cleanly():
    """SIGTERM and SIGINT end it with status 0 within seconds, socket and memory removed."""
    for how in (signal.SIGTERM, signal.SIGINT):
        with tempfile.TemporaryDirectory(prefix="gmespd-test-", dir=TMPFS) as folder:
            running = Daemon(folder).wait_until_up()
            assert running.stop(how) == 0, running.log_text()
            assert not (Path(folder) / "gmespd.sock").exists()


def test_an_absent_device_is_named():
    """A device that is not there ends the start with the setting and the device in the message."""
    with tempfile.TemporaryDirectory(prefix="gmespd-test-", dir=TMPFS) as folder:
        running = Daemon(folder, pair='access = "0000:ff:1f.7"\nhost = "net_null1,no-rx=1"')
        status = running.process.wait(timeout=STARTED_WITHIN_S)
        running.stop()
        assert status != 0
        assert "pair[0].access" in running.log_text() and "0000:ff:1f.7" in running.log_text(), running.log_text()


def test_a_wrong_configuration_changes_nothing():
    """Every error of the file is named at once, with line and key, and nothing starts."""
    with tempfile.TemporaryDirectory(prefix="gmespd-test-", dir=TMPFS) as folder:
        config = Path(folder) / "bad.toml"
        config.write_text('[sa]\ncapacity_sets = 0\n[workers]\nidle = "nap"\n', encoding="utf-8")
        result = subprocess.run([GMESPD, "--config", str(config), "--check-config"], capture_output=True, text=True,
                                timeout=30, check=False)
        text = result.stdout + result.stderr
        assert result.returncode != 0
        assert "bad.toml:2" in text and "sa.capacity_sets" in text, text
        assert "bad.toml:4" in text and "workers.idle" in text and "nap" in text, text


# Shows: R-C-02
def test_a_stranger_on_the_socket_does_no_harm():
    """Garbage, silence and early hang-ups on the control socket leave gmespd and other clients alone."""
    with daemon() as running:
        for payload in (b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
                stranger.connect(str(running.folder / "gmespd.sock"))
                if payload:
                    stranger.send(payload)
        running.ctl("sa", "add", sa_set())
        assert len(live_sets(running)) == 1


# Shows: R-7.1-04, R-D-K1
def test_algorithms_are_withdrawn_at_run_time():
    """A withdrawn algorithm is refused for new sets; live ones stay; restored, it is taken again."""
    with daemon() as running:
        running.ctl("sa", "add", sa_set(0, integrity="hmac-md5-96", integrity_key="0b" * 16))
        running.ctl("algorithm", "withdraw", "hmac-md5-96")
        refused = running.ctl("sa", "add", sa_set(1, integrity="hmac-md5-96", integrity_key="0b" * 16), check=False)
        assert refused.returncode != 0
        assert len(live_sets(running)) == 1
        running.ctl("algorithm", "restore", "hmac-md5-96")
        running.ctl("sa", "add", sa_set(1, integrity="hmac-md5-96", integrity_key="0b" * 16))
        assert len(live_sets(running)) == 2


if __name__ == "__main__":
    sys.exit(run_functions(globals()))
