"""The UE of the lab: a User-Mode Linux guest, whose kernel has the ESP that this machine's may lack.

Times to wait are long: the guest starts programs slowly, and a test machine may be busy with others.
"""
import re
import shlex
import shutil
import socket
import threading
import time
from pathlib import Path

import lab

HERE = Path(__file__).resolve().parent
# This folder as the guest sees it. A copy: the guest has a /tmp and a /run of its own, and a checkout
# that lies below one of them would be hidden.
IN_GUEST = Path("/run/out/interop")
_AGENT = ("192.168.255.2", 9999)
_KICK_PERIOD_S = 0.05


class Guest:
    """A booted guest with vec0 on the TAP `interface` of `namespace`, and a shell on a second one."""

    def __init__(self, namespace, interface, memory="256M"):
        self.namespace = namespace
        self.folder = lab.RUN / "guest"
        self.folder.mkdir()
        shutil.copytree(HERE, self.folder / "interop",
                        ignore=shutil.ignore_patterns("__pycache__"))
        self._management = f"{interface}-m"
        lab.ip_batch(namespace, [
            f"tuntap add dev {interface} mode tap",
            f"link set {interface} up",
            f"tuntap add dev {self._management} mode tap",
            f"addr add 192.168.255.1/30 dev {self._management}",
            f"link set {self._management} up"])
        self.process = lab.Process(
            "guest-console",
            ["linux.uml", f"mem={memory}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/",
             "ro", "quiet", f"init={self.folder}/interop/guest_init.sh", f"GUEST_DIR={self.folder}",
             f"uml_dir={lab.RUN}/uml", "umid=guest", "con=null", "con0=fd:0,fd:1", "ssl=null",
             f"vec0:transport=tap,ifname={interface},depth=128",
             f"eth0=tuntap,{self._management}"],
            namespace, {"TMPDIR": str(lab.RUN)})
        self._start_kicking()

    def _start_kicking(self):
        """UML now and then misses an RX interrupt, and packets lie on the TAP until the next one
        comes. A frame nobody reads every 50 ms bounds that pause."""
        frame = b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01\x88\xb5" + bytes(46)
        raw = lab.packet_socket(self.namespace, self._management)

        def kick():
            while self.process.running():
                try:
                    raw.send(frame)
                except OSError:
                    pass  # the guest's end is not up yet
                time.sleep(_KICK_PERIOD_S)

        threading.Thread(target=kick, daemon=True).start()

    def wait_ready(self, timeout_s=120):
        """Returns the guest kernel's version."""
        ready = lab.wait_for(lambda: re.search(r"GUEST-READY (\S+)", self.process.output()),
                             timeout_s, "the UE guest", self.process)
        lab.wait_for(self._answers, 60, "the guest's shell", self.process)
        return ready.group(1)

    def _answers(self):
        try:
            return self.run("echo pong", timeout_s=10).strip() == "pong"
        except (OSError, lab.LabError):
            return False

    def connect(self, port=_AGENT[1], timeout_s=2.0):
        """A TCP connection to the guest over the management network."""
        link = lab.socket_in(self.namespace, socket.AF_INET, socket.SOCK_STREAM)
        link.settimeout(timeout_s)
        link.connect((_AGENT[0], port))
        return link

    def run(self, script, timeout_s=120.0, check=True):
        """Runs a shell script in the guest and returns what it printed."""
        # socat leaves its own sockets open in the shell; a program that goes on in the background
        # would keep them, so they are closed first and the end is told by a line, not by a close.
        # A subshell, so that `exit` still reaches that line.
        script_lines = f"exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-\n(\n{script}\n) </dev/null\n"
        end = re.compile(rb"guest-status=(\d+)\n\Z")
        received = b""
        with self.connect() as link:
            link.settimeout(timeout_s)
            link.sendall(script_lines.encode() + b"echo guest-status=$?\nexit\n")
            while not (match := end.search(received)):
                chunk = link.recv(65536)
                if not chunk:
                    raise lab.LabError(f"the guest did not finish: {script}\n{received.decode()}")
                received += chunk
        text = received[:match.start()].decode(errors="replace")
        status = int(match.group(1))
        if check and status != 0:
            raise lab.LabError(f"in the guest ({status}): {script}\n{text}")
        return text

    def start(self, name, command):
        """Starts a program in the guest that goes on after the call."""
        words = " ".join(shlex.quote(str(word)) for word in command)
        self.run(f"setsid {words} >/run/log/{name}.log 2>&1 </dev/null & echo $! >/run/{name}.pid")

    def stop(self, name):
        self.run(f"kill $(cat /run/{name}.pid) 2>/dev/null; true")

    def log(self, name):
        return self.run(f"cat /run/log/{name}.log 2>/dev/null; true")

    def collect_logs(self):
        """Brings the guest's logs to the run's. (A file that is still open in the guest shows its
        content on the host only when the guest's page cache is written back.)"""
        self.run("cp /run/log/*.log /run/out/; true")

    def xfrm_errors(self):
        """Counters of /proc/net/xfrm_stat that are not zero."""
        rows = (line.split() for line in self.run("cat /proc/net/xfrm_stat").splitlines())
        return {name: int(value) for name, value in rows if int(value)}
