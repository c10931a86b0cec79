"""gmespd between two kernel interfaces: a veth on the access side (AF_PACKET) and a TAP towards the host.

    test as the network                                           test as the P-CSCF's host
    wire0 ======= veth ======= acc0 = gmespd (net_af_packet, net_tap) = gmesp0

The test itself sends and receives whole frames on wire0 and gmesp0, so it is the UEs and the host both. All of it
lives in the private world of tests/interop/lab.py and vanishes with it.
"""
import json
import os
import select
import socket
import struct
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import lab
from ue import PCSCF_MAC, PROTECTED_PORTS

_STARTED_WITHIN_S = 60
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_SO_RCVBUFFORCE = 33
_TP_STATUS_VLAN_VALID, _TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
_ETH_P_ALL = 3

_CONFIG = """
[instance]
name = "{name}"
[control]
socket = "{folder}/gmespd.sock"
[[pair]]
access = "net_af_packet0,iface=acc0"
host = "{host}"
queue_descriptors = 2048
[protected_ports]
ranges = ["{protected}"]
[sa]
capacity_sets = {capacity}
memory_path = "{memory_path}"
[workers]
count = {workers}
[memory]
{memory}
[nat]
follow_peer_port = {follow}
[log]
audit = "{folder}/audit.log"
{more}
"""


def make_access_wire():
    """wire0 and acc0 with nothing of the kernel's own on them."""
    lab.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
    mac = PCSCF_MAC.hex(":")
    lab.sh(f"ip link add wire0 txqueuelen 10000 type veth peer name acc0 address {mac}")
    for interface in ("wire0", "acc0"):
        lab.sh(f"ip link set {interface} up")


class Wire:
    """Frames of one interface, VLAN tag in place; a thread takes them in, so that the kernel never has to drop one."""

    def __init__(self, interface):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 128 << 20)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.bind((interface, _ETH_P_ALL))
        self._frames = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def send(self, frame):
        self._socket.send(frame)

    def take(self):
        """The frames that came since the last call."""
        taken, self._frames = self._frames, []
        return taken

    def collect(self, wanted, timeout_s=10.0, quiet_s=0.2):
        """Frames until `wanted(frames)` holds and then nothing more comes for a while, or until the time is over."""
        frames, deadline, complete_since = [], time.monotonic() + timeout_s, None
        while time.monotonic() < deadline:
            fresh = self.take()
            frames += fresh
            if fresh or not wanted(frames):
                complete_since = None
            elif complete_since is None:
                complete_since = time.monotonic()
            elif time.monotonic() - complete_since > quiet_s:
                break
            time.sleep(0.02)
        return frames

    def close(self):
        self._done.set()
        self._thread.join()
        self._socket.close()

    def _receive(self):
        while not self._done.is_set():
            try:
                if select.select([self._socket], [], [], 0.1)[0]:
                    frame, auxiliary, _, _ = self._socket.recvmsg(65535, 128)
                    self._frames.append(_with_tag(frame, auxiliary))
            except OSError:  # the interface is down for the moment
                time.sleep(0.01)


def _with_tag(frame, auxiliary):
    """The kernel takes the tag out of the frame and tells it beside."""
    for level, kind, data in auxiliary:
        if (level, kind) != (_SOL_PACKET, _PACKET_AUXDATA):
            continue
        status, tag, protocol = struct.unpack_from("=I12xHH", data)
        if status & _TP_STATUS_VLAN_VALID:
            protocol = protocol if status & _TP_STATUS_VLAN_TPID_VALID else 0x8100
            return frame[:12] + struct.pack(">HH", protocol, tag) + frame[12:]
    return frame


@contextmanager
def joined_by_testpmd(device):
    """gmesp0 as a TAP of DPDK's testpmd, which joins it to `device`, whose socket gmespd connects to."""
    never_ends, held = os.pipe()  # testpmd ends when its input does
    testpmd = lab.Process("testpmd", [
        "stdbuf", "-oL", "dpdk-testpmd", "-l", "0,1", "--no-pci", "--no-huge", "-m", "256", "--file-prefix", "peer",
        "--vdev", device, "--vdev", "net_tap0,iface=gmesp0", "--", "--disable-link-check",
        "--forward-mode=io", "--auto-start", "--total-num-mbufs=8192"], stdin=never_ends)
    try:
        lab.wait_for(lambda: "Press enter to exit" in testpmd.output(), _STARTED_WITHIN_S, "testpmd", testpmd)
        yield testpmd
    finally:
        testpmd.stop()
        os.close(never_ends), os.close(held)


class Gmespd:
    """gmespd with its socket, log and memory in the run's own folder."""

    programs = ()  # gmespd, gmespctl; set once by the test's main

    def __init__(self, capacity=1000, workers=1, follow=False, memory='pages = "small"', memory_path=None,
                 host="net_tap0,iface=gmesp0", more=""):
        self.socket = lab.RUN / "gmespd.sock"
        self.memory_path = memory_path or f"{lab.RUN}/gmespd.sa"
        self.config = lab.RUN / "gmespd.toml"
        self.config.write_text(_CONFIG.format(
            name=f"ports-{os.getpid()}", folder=lab.RUN, protected=PROTECTED_PORTS, capacity=capacity,
            workers=workers, follow=str(follow).lower(), memory=memory, memory_path=self.memory_path, host=host,
            more=more))
        self.process = lab.Process("gmespd", [self.programs[0], "--config", self.config])

    def wait_until_up(self):
        lab.wait_for(lambda: self.socket.exists() and self.try_ctl("info").returncode == 0, _STARTED_WITHIN_S,
                     "gmespd", self.process)
        return self

    def try_ctl(self, *words, **settings):
        return subprocess.run([self.programs[1], "--socket", self.socket, "--json", *map(str, words)],
                              capture_output=True, text=True, check=False, **settings)

    def ctl(self, *words, **settings):
        """What gmespctl prints, read as JSON; a failure is an error."""
        done = self.try_ctl(*words, **settings)
        if done.returncode != 0:
            raise AssertionError(f"gmespctl {words[:2]}: {done.returncode}: {done.stdout}{done.stderr}"[:2000])
        return json.loads(done.stdout)

    def load(self, ues):
        text = "".join(ue.line() + "\n" for ue in ues)
        assert self.ctl("sa", "load", "-", input=text)["installed"] == text.count("\n")

    def stats(self):
        return {row["name"]: row["value"] for row in self.ctl("stats")}

    def drops(self):
        return {row["name"]: row["packets"] for row in self.ctl("drops")}

    def ports(self):
        return {row["name"]: row for row in self.ctl("ports")}

    @contextmanager
    def watching(self):
        """A list that fills with events as `gmespctl watch` prints them."""
        events = []
        watcher = subprocess.Popen([self.programs[1], "--socket", self.socket, "--json", "watch"],
                                   stdout=subprocess.PIPE, text=True)

        def read():
            for line in watcher.stdout:
                events.append(json.loads(line))

        reader = threading.Thread(target=read)
        reader.start()
        maps = Path(f"/proc/{watcher.pid}/maps")  # once it is connected, the shared memory is there
        lab.wait_for(lambda: "memfd:" in maps.read_text(), 10, "gmespctl watch")
        try:
            yield events
        finally:
            watcher.terminate()
            watcher.wait()
            reader.join()
            watcher.stdout.close()

    def stop(self):
        return self.process.stop(timeout_s=30)


@contextmanager
def running(**settings):
    """gmespd that is up; ended with the block."""
    gmespd = Gmespd(**settings)
    try:
        yield gmespd.wait_until_up()
    except Exception:
        status = gmespd.process.popen.poll()
        print(f"gmespd {'runs' if status is None else f'ended with {status}'}; its log ends\n"
              f"{gmespd.process.output()[-1500:]}")
        raise
    finally:
        gmespd.stop()


@contextmanager
def wires():
    """Both ends of the path: the network's and the host's."""
    network, host = Wire("wire0"), Wire("gmesp0")
    try:
        yield network, host
    finally:
        network.close()
        host.close()
