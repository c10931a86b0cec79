#!/usr/bin/env python3
"""Keys of live sets, asked for by an operator: who gets them, what they decrypt, and that nothing of them stays.

Usage: key_export_test.py GMESPD GMESPCTL. Needs neither interfaces nor hugepages; as root it also asks as another user
and looks through gmespd's memory. The judge of what gmespd protected is Wireshark.
"""
import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daemon_test import GMESPCTL, TMPFS, Daemon, live_sets, sa_set
from verdict import run_functions

NOBODY = 65534
IS_ROOT = os.geteuid() == 0
INTEGRITY_KEY = "5ec2e7a1b0c3d4e5f60718293a4b5c6d7e8f9011"
CIPHER_KEY = "c0ffee00deadbeefc0ffee0123456789"
KEYS = {"integrity_key": INTEGRITY_KEY, "cipher_key": CIPHER_KEY}
KEEP = "key_export = true\n"
SUITES = [(integrity, cipher) for integrity in (("hmac-md5-96", 16), ("hmac-sha-1-96", 20))
          for cipher in (("null", 0), ("aes-cbc", 16), ("des-ede3-cbc", 24))]


class Keeper(Daemon):
    """gmespd that keeps raw keys, in a folder of its own; stops for good at the end of `with`."""

    def __init__(self, pair=None, control="", sa=KEEP):
        self.own_folder = tempfile.TemporaryDirectory(prefix="gmespd-keys-", dir=TMPFS)
        super().__init__(self.own_folder.name, pair=pair, control=control, sa=sa)

    def __enter__(self):
        return self.wait_until_up()

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)
        self.own_folder.cleanup()

    def add(self, number=0, **changes):
        return json.loads(self.ctl("sa", "add", sa_set(number, **(KEYS | changes))).stdout)["id"]

    def export(self, *words, check=True):
        return self.ctl("sa", "export-keys", "--i-want-keys", *words, check=check)

    def statistic(self, name):
        return next(row["value"] for row in json.loads(self.ctl("stats").stdout) if row["name"] == name)


def refused(result, *words):
    text = result.stdout + result.stderr
    assert result.returncode == 1, result
    for word in words:
        assert word in text, (word, text)
    assert INTEGRITY_KEY not in text and CIPHER_KEY not in text, "a key is in the error"


# Shows: R-D-K2
def test_without_the_setting_there_is_nothing_to_export():
    """The default keeps no integrity key: the error names the setting, SA memory does not hold it, the file is gone."""
    with Keeper(sa="") as running:
        running.add()
        target = running.folder / "keys"
        refused(running.export("--all", "--output", str(target), check=False), "key_export = false")
        assert not target.exists()
        assert bytes.fromhex(INTEGRITY_KEY) not in (running.folder / "sa").read_bytes()
        assert running.statistic("key_exports_refused") == 1
        assert "key_export" not in running.log_text()


# Shows: R-D-K2
def test_keys_come_out_as_they_went_in():
    """JSON lines of every suite load again, here and field by field equal."""
    with Keeper() as running:
        wanted = []
        for number, ((integrity, size), (cipher, cipher_size)) in enumerate(SUITES):
            changes = {"integrity": integrity, "integrity_key": os.urandom(size).hex(), "cipher": cipher,
                       "cipher_key": os.urandom(cipher_size).hex()}
            running.ctl("sa", "add", sa_set(number, **changes))
            wanted.append(changes)
        target = running.folder / "keys.json"
        told = json.loads(running.export("--all", "--format", "json", "--output", str(target)).stdout)
        assert told == {"exported": len(SUITES)}, told
        lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
        for line, changes in zip(lines, wanted, strict=True):
            assert {field: line.get(field, "") for field in changes} == changes, (line, changes)
            assert 3500 < line["lifetime_s"] <= 3600, line
        running.ctl("sa", "flush", "--yes")
        assert json.loads(running.ctl("sa", "load", str(target)).stdout)["installed"] == len(SUITES)


# Shows: R-D-K2
def test_every_export_leaves_a_trace_without_a_key():
    """The log names process, user and set; an event and a statistic tell the same; no key is in any of them."""
    with Keeper() as running:
        set_id = running.add()
        watcher = subprocess.Popen([GMESPCTL, "--socket", str(running.folder / "gmespd.sock"), "--json", "watch",
                                    "--count", "1"], stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        running.export(set_id)
        event = json.loads(watcher.communicate(timeout=20)[0])
        assert (event["event"], event["id"]) == ("keys_exported", set_id), event
        logged = re.findall(r"audit: keys of set (\S+) exported to process (\d+) of user (\d+)", running.log_text())
        assert logged == [(set_id, str(event["value"]), str(os.geteuid()))], (logged, event)
        assert running.statistic("keys_exported") == 1
        for text in (running.log_text(), json.dumps(event), (running.folder / "audit.log").read_text()):
            assert INTEGRITY_KEY not in text and CIPHER_KEY not in text


# Shows: R-D-K2
def test_keys_are_asked_for_in_so_many_words():
    """Without the flag, a set, or a destination other than the terminal, nothing is asked of gmespd."""
    with Keeper() as running:
        set_id = running.add()
        for words, error in ((("--all",), "--i-want-keys"), (("--i-want-keys",), "--all"),
                             (("--i-want-keys", "--all", set_id), "--all"),
                             (("--i-want-keys", "--all", "--format", "xml"), "--format")):
            result = running.ctl("sa", "export-keys", *words, check=False)
            assert result.returncode == 2 and error in result.stderr, (words, result)
        for more, status in (((), 2), (("--show",), 0)):
            master, slave = pty.openpty()
            with subprocess.Popen([GMESPCTL, "--socket", str(running.folder / "gmespd.sock"), "sa", "export-keys",
                                   "--i-want-keys", "--all", *more], stdout=slave, stderr=subprocess.PIPE) as asked:
                os.close(slave)
                shown = b""
                try:
                    while piece := os.read(master, 65536):
                        shown += piece
                except OSError:  # the terminal hangs up when its last user is gone
                    pass
                errors = asked.stderr.read()
                os.close(master)
            assert asked.returncode == status, (more, asked.returncode, errors)
            assert (INTEGRITY_KEY.encode() in shown) == (status == 0), more
        assert running.statistic("keys_exported") == 1


# Shows: R-D-K2
def test_the_file_is_new_and_private():
    """Mode 0600 under any umask; a file that exists, or a link, is left alone; after a failure there is no file."""
    with Keeper() as running:
        set_id = running.add()
        target = running.folder / "keys"
        old = os.umask(0)
        try:
            running.export(set_id, "--output", str(target))
        finally:
            os.umask(old)
        assert stat.S_IMODE(target.stat().st_mode) == 0o600, oct(target.stat().st_mode)
        before = target.read_bytes()
        link = running.folder / "link"
        link.symlink_to(running.folder / "elsewhere")
        for path in (target, link):
            result = running.export(set_id, "--output", str(path), check=False)
            assert result.returncode == 2 and "--output" in result.stderr, result
        assert target.read_bytes() == before and not (running.folder / "elsewhere").exists()
        missing = running.folder / "missing"
        refused(running.export("0x1234", "--output", str(missing), check=False), "no live set")
        assert not missing.exists()


# Shows: R-D-K2
def test_users_that_may_connect_may_not_have_keys():
    """A user of allowed_uids reads sets and is refused keys; the refusal is logged with its uid."""
    if not IS_ROOT:
        print("    not root: there is no other user to ask as")
        return
    with Keeper(control=f"allowed_uids = [{NOBODY}]") as running:
        running.folder.chmod(0o711)
        set_id = running.add()

        def ask(*words):
            command = [GMESPCTL, "--socket", str(running.folder / "gmespd.sock"), *words]
            return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True,
                                  timeout=60, check=False)

        assert ask("sa", "show", set_id).returncode == 0
        refused(ask("sa", "export-keys", "--i-want-keys", set_id), f"user {NOBODY}", "allowed are 0")
        assert re.search(rf"keys of set {set_id} refused to process \d+ of user {NOBODY}", running.log_text())
        assert running.statistic("keys_exported") == 0


def places_in_memory(process_id, secret):
    """Names of the writable mappings of a process in which `secret` stands."""
    found = []
    with open(f"/proc/{process_id}/maps", encoding="utf-8") as maps, open(f"/proc/{process_id}/mem", "rb") as memory:
        for line in maps:
            fields = line.split(maxsplit=5)
            if "w" not in fields[1] or "/dev/" in line and "/shm/" not in line:
                continue
            start, end = (int(number, 16) for number in fields[0].split("-"))
            try:
                memory.seek(start)
                if secret in memory.read(end - start):
                    found.append(fields[5].strip() if len(fields) == 6 else fields[0])
            except (OSError, ValueError):
                continue  # a hole
    return found


# Shows: R-D-K2
def test_nothing_of_a_key_stays():
    """While the set lives its key stands in SA memory alone; after removal and after a clean stop nowhere."""
    with Keeper() as running:
        secret = bytes.fromhex(INTEGRITY_KEY)
        set_id = running.add()
        memory = running.folder / "sa"
        running.export(set_id)
        assert secret in memory.read_bytes()
        if IS_ROOT:
            places = places_in_memory(running.process.pid, secret)
            assert places == [str(memory)], places
        running.ctl("sa", "del", set_id)
        assert secret not in memory.read_bytes(), "the key outlives its set"
        if IS_ROOT:
            assert places_in_memory(running.process.pid, secret) == []
        running.add(1)
        with open(memory, "rb") as file:
            assert secret in file.read()
            assert running.stop() == 0
            file.seek(0)
            assert secret not in file.read(), "the key outlives gmespd"
        assert not memory.exists()


# Shows: R-D-K2, R-2406-08, R-2406-11
def test_wireshark_decrypts_with_exported_keys():
    """Every ICV of what gmespd sent is good by the exported table, and so is the plaintext."""
    from wire_capture import clear_capture, judged  # needs scapy and tshark
    for integrity, cipher in SUITES:
        with tempfile.TemporaryDirectory(prefix="gmespd-wire-", dir=TMPFS) as folder:
            clear, sent, keys = (Path(folder) / name for name in ("clear.pcap", "sent.pcap", "esp_sa"))
            clear_capture(clear)
            pair = (f'access = "net_pcap0,tx_pcap={sent}"\n'
                    f'host = "net_pcap1,rx_pcap={clear},infinite_rx=1,tx_pcap={folder}/host.pcap"')
            changes = {"integrity": integrity[0], "integrity_key": os.urandom(integrity[1]).hex(),
                       "cipher": cipher[0], "cipher_key": os.urandom(cipher[1]).hex()}
            with Keeper(pair=pair) as running:
                set_id = running.add(**changes)
                running.export(set_id, "--output", str(keys))
                running.ctl("sa", "del", set_id)
                assert running.stop() == 0
            counted = judged(sent, keys)
            assert counted["good"] > 100 and counted["good"] == sum(counted.values()), (changes, counted)


if __name__ == "__main__":
    sys.exit(run_functions(globals()))
