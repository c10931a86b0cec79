"""Devices under test that stand between two memif ports: gmespd, and DPDK's ipsec-secgw for comparison.

A device is a context manager: entered it runs and waits for its peer, left it is gone with all its files. Its ports
are the servers of one memif socket, access 0 and host 1; `peer(0)` and `peer(1)` are the device strings of the other
end.
"""
import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

MEMIF = "net_memif{port},role={role},id={id},socket={socket},socket-abstract=no,bsize=2048,rsize={rsize}"
RING_BITS = 13  # 8,192 packets: two milliseconds of four million a second
LIFETIME_S = 3600  # nothing outlives a benchmark that was killed

GMESPD = """
[instance]
name = "{name}"
[control]
socket = "{folder}/gmespd.sock"
[[pair]]
access = "{access}"
host = "{host}"
[workers]
cores = {cores}
idle = "poll"
[memory]
pages = "{pages}"
packet_buffers = {buffers}
[sa]
capacity_sets = {capacity}
restore = false
[limits]
clear_packets_per_second = 0
[screen]
enabled = false
[log]
audit = "off"
"""


class DeviceError(RuntimeError):
    """The device did not start, or is gone."""


class Device:
    """A process with a folder of its own on tmpfs.

    `access` and `host`: device strings instead of memif. `ring_bits`: of the packets that a ring of memif has.
    """

    def __init__(self, name, access=None, host=None, environment=None, ring_bits=RING_BITS):
        self.name, self.ring_bits = name, ring_bits
        self._ports, self._environment = (access, host), {**os.environ, **(environment or {})}
        self.process = None
        self.folder = None
        self._holder = tempfile.TemporaryDirectory(prefix=f"gmesp-bench-{name}-", dir="/dev/shm")

    def memif(self, port, role):
        socket = self.folder / "memif.sock"
        # The two ends of a port are named differently: both may live in one process's name space of devices.
        return MEMIF.format(port=port, role=role, id=port, socket=socket, rsize=self.ring_bits)

    def ports(self):
        """Device strings: memif where nothing else was said."""
        return [device or self.memif(port, "server") for port, device in enumerate(self._ports)]

    def peer(self, port, copies=True):
        """`copies`: the other end does, too, not only the device. Without, EAL must have hugepages there."""
        return self.memif(port, "client") + ("" if copies else ",zero-copy=yes")

    def command(self):
        raise NotImplementedError

    def ready_text(self):
        raise NotImplementedError

    def __enter__(self):
        self.folder = Path(self._holder.__enter__())
        with open(self.folder / "log", "w", encoding="utf-8") as out:
            command = ["timeout", "-s", "KILL", str(LIFETIME_S)] + [str(x) for x in self.command()]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self.folder,
                                            env=self._environment)
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _wait(self, seconds=300):
        deadline = time.monotonic() + seconds
        while self.ready_text() not in self.log():
            if self.process.poll() is not None or time.monotonic() > deadline:
                state = "ended" if self.process.poll() is not None else f"is not ready after {seconds} s"
                tail = "\n".join(self.log().splitlines()[-15:])
                raise DeviceError(f"{self.name} {state}:\n{tail}")
            time.sleep(0.05)

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # which `timeout` hands on
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self._kill()
        self._holder.__exit__(None, None, None)

    def daemons(self):
        """Its processes, which run below `timeout`: one, or none that is left."""
        if self.process.poll() is not None:
            return []
        of_timeout = self.process.pid
        children = Path(f"/proc/{of_timeout}/task/{of_timeout}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()]

    def stopped(self):
        """A context: its core is free, and its peers wait."""
        return self._between(signal.SIGSTOP, signal.SIGCONT)

    def resumed(self):
        """A context within stopped(): it runs for a while."""
        return self._between(signal.SIGCONT, signal.SIGSTOP)

    @contextlib.contextmanager
    def _between(self, first, last):
        self._signal(first)
        try:
            yield
        finally:
            self._signal(last)

    def _signal(self, number):
        for daemon in self.daemons():
            os.kill(daemon, number)

    def _kill(self):
        self._signal(signal.SIGKILL)
        self.process.kill()
        self.process.wait()


class Gmespd(Device):
    """`cores`: one per worker. `ports`: as Device has them. `sets`: a file of those that it has once it runs."""

    def __init__(self, build, cores, capacity_sets, packet_buffers=0, small_pages=False, sets=None, **ports):
        super().__init__("gmespd", **ports)
        self.program = Path(build) / "dataplane/gmespd"
        self.cores, self.capacity_sets = cores, capacity_sets
        self.packet_buffers, self.sets = packet_buffers, sets
        self.pages = "small" if small_pages else "auto"

    @property
    def socket(self):
        return self.folder / "gmespd.sock"

    def command(self):
        access, host = self.ports()
        config = self.folder / "gmespd.toml"
        config.write_text(GMESPD.format(name=self.folder.name, folder=self.folder, access=access, host=host,
                                        cores=list(self.cores), capacity=self.capacity_sets, pages=self.pages,
                                        buffers=self.packet_buffers),
                          encoding="utf-8")
        return [self.program, "--config", config]

    def ready_text(self):
        return "runs:"

    def _wait(self, seconds=300):
        super()._wait(seconds)
        if self.sets is not None:
            self.gmespctl("sa", "load", self.sets)
            time.sleep(0.5)  # until it has found the owners of SAs

    def __exit__(self, *_):
        sa_memory = re.search(r"SA memory: (/\S+)", self.log())
        super().__exit__()
        if sa_memory:  # still there if it had to be killed
            Path(sa_memory[1]).unlink(missing_ok=True)

    def gmespctl(self, *arguments):
        """What it printed, from JSON. Its errors go to stderr."""
        program = self.program.parent.parent / "control/cli/gmespctl"
        command = [program, "--json", "--socket", self.socket, *arguments]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise DeviceError(f"{' '.join(str(word) for word in command)}: exit status {done.returncode}")
        return json.loads(done.stdout)

    def sent(self):
        return sum(port["tx_packets"] for port in self.gmespctl("ports"))


class Ceiling(Device):
    """No device, but a crypto ceiling that runs like one: outbound packets of bare IPsec-MB on one core."""

    def __init__(self, build, core):
        super().__init__("crypto-ceiling")
        self.program, self.core = Path(build).resolve() / "bench/crypto_ceiling", core

    def command(self):
        return ["taskset", "-c", str(self.core), self.program, "--endless", "--sizes", "300", "--batches", "32"]

    def ready_text(self):
        return "packets"

    def sent(self):
        """As it has said last, at most 5 ms of its own time ago."""
        return int(re.findall(r"packets ([0-9]+)\n", self.log())[-1])


class Secgw(Device):
    """DPDK's ipsec-secgw in lookaside poll mode through librte_ipsec, one core. `config`: its own configuration file.

    `ports`: as Device has them. `replay_window` is in packets; 0 is none, which suits it best.
    """

    def __init__(self, program, core, config, sas, replay_window=0, **ports):
        super().__init__("ipsec-secgw", **ports)
        self.program, self.core, self.config, self.sas = program, core, config, sas
        self.replay_window = replay_window

    def command(self):
        access, host = self.ports()
        # -u names the port that ESP comes on. Mbufs are for rings, crypto queues and caches; sessions take theirs, too.
        mbufs = self.sas + 40_000
        return ["stdbuf", "-oL", self.program,
                f"--lcores={self.core}@{self.core}", "-n", "1", "--no-pci", "--in-memory",
                "--single-file-segments", "--no-telemetry", f"--file-prefix=gmesp-bench-secgw-{os.getpid()}",
                "--vdev", access, "--vdev", host, "--vdev", "crypto_aesni_mb0",
                "--", "-p", "0x3", "-u", "0x1", "-P", "--config", f"(0,0,{self.core}),(1,0,{self.core})",
                "--rxoffload", "0", "--txoffload", "0", "-l", "-w", str(self.replay_window),
                "-s", str(mbufs), "-t", "1", "-f", self.config]

    def ready_text(self):
        return "entering main loop"

    def sent(self):
        """As it says each second; this waits until it says so again."""
        said = self._totals()
        deadline = time.monotonic() + 5
        while len(totals := self._totals()) < len(said) + 2:  # the next one may have been on its way
            if time.monotonic() > deadline:
                raise DeviceError(f"{self.name} does not count what it sends:\n{self.log()[-1500:]}")
            time.sleep(0.05)
        return int(totals[-1])

    def _totals(self):
        return re.findall(r"Total packets sent: +([0-9]+)", self.log())
