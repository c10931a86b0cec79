#!/usr/bin/env python3
"""gmesp-control and gmespd as real processes: registrations by libgmesp, deaths and returns of either.

Usage: control_daemon_test.py GMESPD GMESP_CONTROL GMESPCTL LIBGMESP. Needs neither root nor interfaces.
Each test is a function; its name is the claim. Prints one line per test and GoogleTest's closing line.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ue"))
sys.path.append(str(Path(__file__).resolve().parent.parent))
from gmesp_client import Control, GmespError  # noqa: E402
from verdict import run_functions  # noqa: E402

IS_SANITIZED = os.environ.pop("LD_PRELOAD", None) is not None  # a sanitizer's, for this process only
if IS_SANITIZED:
    del os.environ["ASAN_OPTIONS"]

GMESPD, GMESP_CONTROL, GMESPCTL, LIBGMESP = sys.argv[1:5]
TMPFS = "/dev/shm"
LOCAL, PS = "10.0.0.1", 5062
E_NOT_CONNECTED, E_DISCONNECTED, E_TIMEOUT = 100, 103, 104

GMESPD_CONFIG = """
[instance]
name = "gmesp-ct-{pid}"
[control]
socket = "{folder}/gmespd.sock"
[[pair]]
access = "net_null0,no-rx=1"
host = "net_null1,no-rx=1"
[memory]
pages = "small"
packet_buffers = 8192
[sa]
capacity_sets = {capacity}
memory_path = "{folder}/sa"
[log]
audit = "off"
"""

CONTROL_CONFIG = """
[control]
socket = "{folder}/control.sock"
{control}
[data_plane]
socket = "{folder}/gmespd.sock"
answer_ms = 500
retry_ms = 20
[state]
path = "{folder}/registrations"
{more}
"""


class Pair:
    """One gmespd and one gmesp-control in a folder of their own."""

    def __init__(self, folder, more="", capacity=1000, control=""):
        self.folder = Path(folder)
        (self.folder / "gmespd.toml").write_text(
            GMESPD_CONFIG.format(folder=folder, pid=os.getpid(), capacity=capacity), encoding="utf-8")
        (self.folder / "control.toml").write_text(CONTROL_CONFIG.format(folder=folder, more=more, control=control),
                                                  encoding="utf-8")
        self.processes = {}

    def start(self, name):
        program, config = (GMESPD, "gmespd.toml") if name == "gmespd" else (GMESP_CONTROL, "control.toml")
        with open(self.folder / f"{name}.log", "a", encoding="utf-8") as log:
            self.processes[name] = subprocess.Popen([program, "--config", str(self.folder / config)],
                                                    stdout=log, stderr=subprocess.STDOUT)
        return self

    def kill(self, name, how=signal.SIGKILL):
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(timeout=30)

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    def log_text(self, name="control"):
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def wait_log(self, pattern, times=1, name="control", within_s=60):
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if len(re.findall(pattern, self.log_text(name))) >= times:
                return self
            time.sleep(0.02)
        raise AssertionError(f"no {times} x {pattern!r} in: {self.log_text(name)}")

    def up(self):
        self.start("gmespd").start("control")
        return self.wait_log("compared with gmespd")

    def client(self, timeout_ms=2000):
        return Control(LIBGMESP, str(self.folder / "control.sock"), timeout_ms)

    def ctl(self, *words, check=True):
        done = subprocess.run([GMESPCTL, "--socket", str(self.folder / "gmespd.sock"), "--json", *words],
                              capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"gmespctl {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def live(self):
        """Sets of gmespd by their SPIs."""
        text = self.ctl("sa", "list").strip()
        rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        return {row["spi_pc"]: row for row in rows}

    def settles_at(self, spis):
        """Whether these sets stay. What goes leaves gmespd with the next installation, or a little later."""
        return self.comes_to(lambda live: set(live) == set(spis))

    def comes_to(self, holds):
        """Whether it soon holds for the live sets: changes travel with the next installation, or a little later."""
        deadline = time.monotonic() + 10
        while not holds(self.live()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return holds(self.live())

    def end(self):
        for name in list(self.processes):
            self.signal(name, signal.SIGCONT)
            self.kill(name)


@contextmanager
def pair(**settings):
    with tempfile.TemporaryDirectory(prefix="gmesp-ct-", dir=TMPFS) as folder:
        running = Pair(folder, **settings)
        try:
            yield running
        finally:
            running.end()


class User:
    """What the UE and its S-CSCF would say, for one IMPI."""

    def __init__(self, number):
        self.number, self.impi = number, f"user{number}@ims.test"
        self.impus = [f"sip:user{number}@ims.test", f"tel:+1{number}"]
        self.address = f"10.1.{number // 250}.{number % 250 + 1}"
        self.attempts, self.port_us = 0, 42000
        self.server = self.last_set = None

    def offer(self):
        base = 5000 + 1000 * self.number + 4 * self.attempts
        return (f"ipsec-3gpp; alg=hmac-sha-1-96; ealg=aes-cbc; spi-c={base}; spi-s={base + 1}; "
                f"port-c={43000 + self.attempts}; port-s={self.port_us}")

    def transaction(self, step):
        return f"call{self.number}.{self.attempts} {step}"

    def sm1(self, control, protected=False):
        self.attempts += 1
        source_port, local_port = (self.last_uc, PS) if protected else (5060, 5060)
        return control.register_request(self.impi, self.impus[0], self.transaction(1), self.address, source_port,
                                        LOCAL, local_port, via_host=self.address,
                                        security_client_lines=[self.offer()])

    def sm4(self, control):
        verdict = control.challenge(self.impi, self.transaction(1), os.urandom(16), os.urandom(16))
        self.server = verdict["security_server"]
        return verdict

    def sm7(self, control):
        self.last_uc = 43000 + self.attempts
        return control.register_request(self.impi, self.impus[0], self.transaction(2), self.address, self.last_uc,
                                        LOCAL, PS, via_host=self.address, auth="response",
                                        security_client_lines=[self.offer()],
                                        security_verify_lines=[self.server])

    def sm10(self, control, expires_s=3600):
        return control.registered(self.impi, self.transaction(2), self.impus, expires_s)

    def register(self, control, protected=False):
        for step in (lambda: self.sm1(control, protected), lambda: self.sm4(control), lambda: self.sm7(control),
                     lambda: self.sm10(control)):
            verdict = step()
            assert verdict["action"] == "forward", verdict
        self.last_set = verdict["send"]["set"]
        return verdict

    def spi_pc(self):
        return int(re.search(r"spi-c=0*(\d+)", self.server).group(1))


# Shows: R-7.2-07, R-7.1-24
def test_the_sas_are_in_force_before_sm6_leaves():
    with pair() as running:
        control, user = running.up().client(), User(1)
        assert user.sm1(control)["action"] == "forward"
        assert running.live() == {}, "nothing before the challenge"
        verdict = user.sm4(control)
        assert verdict["action"] == "forward" and verdict["send"]["set"] == 0, verdict
        assert user.spi_pc() in running.live()
        assert user.sm7(control)["indicator"]
        verdict = user.sm10(control)
        assert verdict["send"]["local_port"] in range(5063, 5100) and verdict["send"]["remote_port"] == 42000
        assert running.comes_to(lambda live: 3500 < live[user.spi_pc()]["left_s"] < 3640), running.live()
        route = control.route(user.impi)
        assert route["send"] == verdict["send"] and route["impus"] == user.impus, (route, verdict)
        message = control.message(user.address, user.last_uc, LOCAL, PS, method="INVITE")
        assert message["impi"] == user.impi and message["action"] == "forward"
        assert control.message("10.9.9.9", 5060, LOCAL, 5060, method="INVITE")["action"] == "discard"


# Shows: R-7.4-03, R-002-C5, R-7.4-04
def test_a_protected_re_registration_replaces_the_sets():
    with pair() as running:
        control, user = running.up().client(), User(1)
        user.register(control)
        first = user.spi_pc()
        user.register(control, protected=True)
        second = user.spi_pc()
        assert running.settles_at([first, second]), "the old set stays until the new one is used"
        user.register(control, protected=True)
        assert running.settles_at([second, user.spi_pc()]), running.live()


# Shows: R-D-E2
def test_without_gmespd_a_challenge_fails_at_once_and_leaves_nothing():
    with pair() as running:
        running.start("control").wait_log("cannot be reached")
        control, user = running.client(), User(1)
        user.sm1(control)
        verdict = user.sm4(control)
        assert verdict["action"] == "reject" and verdict["status"] == 503, verdict
        running.start("gmespd").wait_log("compared with gmespd")
        user.register(control)
        assert set(running.live()) == {user.spi_pc()}


# Shows: R-D-E2
def test_a_full_table_fails_the_registration_and_nothing_else():
    with pair(capacity=1) as running:
        control = running.up().client()
        first, second = User(1), User(2)
        first.register(control)
        second.sm1(control)
        verdict = second.sm4(control)
        assert verdict["action"] == "reject" and verdict["status"] == 500, verdict
        assert set(running.live()) == {first.spi_pc()}
        assert control.route(first.impi)["action"] == "forward"


# Shows: R-C-03
def test_gmesp_control_returns_and_goes_on_with_the_live_sets():
    with pair() as running:
        control = running.up().client()
        users = [User(number) for number in range(50)]
        for user in users:
            user.register(control)
        half_way = User(99)
        half_way.sm1(control)
        half_way.sm4(control)
        routes = {user.impi: control.route(user.impi) for user in users}
        before = set(running.live())
        running.kill("control")
        try:
            control.route(users[0].impi)
            raise AssertionError("a dead gmesp-control gave a verdict")
        except GmespError as error:
            assert error.error in (E_DISCONNECTED, E_NOT_CONNECTED), error
        running.start("control").wait_log("compared with gmespd", times=2)
        control = running.client()
        for user in users:
            assert control.route(user.impi) == routes[user.impi]
        assert running.settles_at(before - {half_way.spi_pc()}), "the unfinished one goes"
        for user in users[:5]:
            user.register(control, protected=True)


# Shows: R-C-03, R-D-A2
def test_gmespd_returns_with_its_sets_and_control_goes_on():
    with pair() as running:
        control = running.up().client()
        users = [User(number) for number in range(20)]
        for user in users:
            user.register(control)
        before = set(running.live())
        running.kill("gmespd")
        running.wait_log("gmespd is gone")
        running.start("gmespd").wait_log("compared with gmespd", times=2)
        assert set(running.live()) == before
        for user in users:
            assert control.route(user.impi)["action"] == "forward"
            user.register(control, protected=True)


# Shows: R-D-A2
def test_sets_that_gmespd_lost_are_told_and_not_set_up_again():
    with pair() as running:
        control = running.up().client()
        users = [User(number) for number in range(5)]
        for user in users:
            user.register(control)
        running.kill("gmespd")
        (running.folder / "sa").unlink()
        running.start("gmespd").wait_log("5 lost there")
        assert running.live() == {}
        for user in users:
            assert control.route(user.impi)["status"] == 404
            user.register(control)
        assert len(running.live()) == 5


# Shows: R-C-04
def test_a_silent_gmespd_gives_an_error_in_bounded_time():
    with pair() as running:
        control, user = running.up().client(), User(1)
        user.sm1(control)
        running.signal("gmespd", signal.SIGSTOP)
        started = time.monotonic()
        verdict = user.sm4(control)
        assert verdict["action"] == "reject" and verdict["status"] == 503, verdict
        assert time.monotonic() - started < 1.5
        running.signal("gmespd", signal.SIGCONT)
        running.wait_log("compared with gmespd", times=2)
        user.register(control)
        assert running.settles_at([user.spi_pc()]), "what came through late was removed"


def test_a_user_evicted_while_its_set_is_installed_leaves_none():
    with pair() as running:
        control, user = running.up().client(), User(1)
        user.sm1(control)
        running.signal("gmespd", signal.SIGSTOP)
        challenge = threading.Thread(target=user.sm4, args=(control,))
        challenge.start()
        time.sleep(0.1)
        evict = [GMESPCTL, "--control-socket", str(running.folder / "control.sock"), "evict", user.impi]
        evicted = subprocess.run(evict, capture_output=True, text=True, timeout=60, check=False)
        running.signal("gmespd", signal.SIGCONT)
        challenge.join()
        assert evicted.returncode == 0, evicted
        assert running.settles_at([]), running.live()
        assert "gone" not in running.log_text(), "it came through in time and was removed then"


# Shows: R-C-04
def test_a_silent_gmesp_control_gives_an_error_in_bounded_time():
    with pair() as running:
        control, user = running.up().client(timeout_ms=300), User(1)
        running.signal("control", signal.SIGSTOP)
        started = time.monotonic()
        try:
            user.sm1(control)
            raise AssertionError("a stopped gmesp-control gave a verdict")
        except GmespError as error:
            assert error.error == E_TIMEOUT, error
        assert time.monotonic() - started < 1
        running.signal("control", signal.SIGCONT)
        user.register(control)


# Shows: R-C-04, R-D-F3
def test_clients_that_die_in_mid_call_harm_nobody():
    with pair() as running:
        control = running.up().client()
        for number in range(30):
            dying, user = running.client(), User(number)
            user.sm1(dying)
            if number % 2:
                user.sm4(dying)
            dying.close()
        user = User(100)
        user.register(control)
        assert control.route(user.impi)["action"] == "forward"


# Shows: R-7.1-16
def test_a_reload_changes_policy_and_a_wrong_one_nothing():
    with pair() as running:
        control, user = running.up().client(), User(1)
        user.register(control)
        config = running.folder / "control.toml"
        good = config.read_text(encoding="utf-8")
        config.write_text(good + "[ports]\nserver = 5060\n", encoding="utf-8")
        running.signal("control", signal.SIGHUP)
        running.wait_log("configuration not taken over: .*ports.server")
        config.write_text(good + "[ports]\nserver = 5099\nclient = [\"5063-5098\"]\n", encoding="utf-8")
        running.signal("control", signal.SIGHUP)
        running.wait_log("configuration read again")
        user.register(control, protected=True)
        assert f"port-s={PS}" in user.server, "port_ps of a registered UE stays"
        other = User(2)
        other.sm1(control)
        assert "port-s=5099" in other.sm4(control)["security_server"]


# Shows: R-D-K2
def test_no_key_is_in_the_log_or_the_state_file():
    with pair() as running:
        control, user = running.up().client(), User(1)
        user.sm1(control)
        ik, ck = os.urandom(16), os.urandom(16)
        user.server = control.challenge(user.impi, user.transaction(1), ik, ck)["security_server"]
        user.sm7(control)
        user.sm10(control)
        state = (running.folder / "registrations").read_bytes()
        assert user.impi.encode() in state and ik not in state and ck not in state
        for name in ("control", "gmespd"):
            text = running.log_text(name)
            assert ik.hex() not in text and ck.hex() not in text
        memory = Path(f"/proc/{running.processes['control'].pid}")
        if os.geteuid() == 0:
            with open(memory / "maps", encoding="ascii") as maps, open(memory / "mem", "rb") as image:
                for line in maps:
                    if " rw" not in line or "/dev/shm" in line:
                        continue
                    first, last = (int(part, 16) for part in line.split()[0].split("-"))
                    if last - first > 1 << 32:  # a sanitizer's shadow
                        continue
                    image.seek(first)
                    try:
                        content = image.read(last - first)
                    except OSError:
                        continue
                    assert ik not in content and ck not in content, line
        assert (running.folder / "registrations").stat().st_mode & 0o777 == 0o600


def test_allowed_uids_alone_let_a_user_in_and_nobody_else():
    """The socket opens for all once there are such users, and credentials decide; without them it is the owner's."""
    nobody, stranger = 65534, 65533
    for allowed, mode in (([nobody], 0o666), ([], 0o600)):
        with pair(control=f"allowed_uids = {allowed}") as running:
            running.up()
            running.folder.chmod(0o711)
            path = running.folder / "control.sock"
            assert path.stat().st_mode & 0o777 == mode, oct(path.stat().st_mode)
            if os.geteuid() != 0:
                continue  # no other user to ask as

            def ask(user, socket=path):
                command = [GMESPCTL, "--control-socket", str(socket), "registrations"]
                return subprocess.run(command, user=user, group=user, extra_groups=[], capture_output=True, text=True,
                                      timeout=60, check=False)

            assert (ask(nobody).returncode == 0) == (nobody in allowed), ask(nobody)
            refused = ask(stranger)
            assert refused.returncode != 0, refused
            told = re.search(rf"user {stranger} of process \d+ is not in control.allowed_uids", refused.stderr)
            assert told or not allowed, refused


def test_a_mode_that_keeps_allowed_users_out_is_refused():
    with tempfile.TemporaryDirectory(dir=TMPFS) as folder:
        file = Path(folder) / "c.toml"
        file.write_text('[control]\nallowed_uids = [1000]\nsocket_mode = "0600"\n', encoding="utf-8")
        done = subprocess.run([GMESP_CONTROL, "--check-config", "-c", str(file)], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 3 and f"{file}:3:15: control.socket_mode: found \"0600\"" in done.stderr, done
        assert "control.allowed_uids" in done.stderr, done


def test_a_wrong_configuration_names_file_line_and_key():
    with tempfile.TemporaryDirectory(dir=TMPFS) as folder:
        file = Path(folder) / "c.toml"
        file.write_text("[timers]\nt1_ms = 5\n[ports]\nclient = [\"5070-5071\"]\n", encoding="utf-8")
        done = subprocess.run([GMESP_CONTROL, "--check-config", "-c", str(file)], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 3, done
        assert "c.toml:2:" in done.stderr and "timers.t1_ms" in done.stderr and "ports.client" in done.stderr
        printed = subprocess.run([GMESP_CONTROL, "--print-config"], capture_output=True, text=True, check=True).stdout
        file.write_text(printed, encoding="utf-8")
        assert subprocess.run([GMESP_CONTROL, "--check-config", "-c", str(file)], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(run_functions(globals()))
