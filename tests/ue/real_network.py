"""gmespd and gmesp-control before the P-CSCF's host of access_network, and phones and SIP servers that use them.

    ns ue            ns router                    ns pcscf
    ue0 ------ side [ forward | NAT ] wire ------ acc0 = gmespd = gmesp0   network.py
                                                           |                   |
                                                      gmesp-control ------ libgmesp

acc0 is a veth that gmespd reads by AF_PACKET, gmesp0 its TAP with the P-CSCF's addresses. Timers are short: 64*T1 is
6.4 s, a set without SM12 lives 5 s.
"""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import access_network
import lab
from access_network import PCSCF, UE, UE_PRIVATE
from aka import HomeSubscriber, Usim
from esp import TRANSPORT, TUNNEL
from esp_stack import EspStack
from gmesp_client import Control
from network import Network, Registrar, Subscriber
from ue import Subscription, Ue

DOMAIN = "home.test"
PORT_PS, PROTECTED_PORTS = 5062, (5062, 5099)
LINGER_S, TEMPORARY_S = 6.4, 5.0

# The kernel sees the frames of an AF_PACKET interface too; without this they would reach the host past gmespd.
_ACCESS_PORT_RULES = """
table netdev gmespd {
 chain acc0 {
  type filter hook ingress device acc0 priority 0; policy drop
 }
}
"""


class RealNetwork:
    """Both daemons. Made inside lab.run_isolated(), which is also what ends them."""

    def __init__(self, gmespd, gmesp_control, gmespctl, libgmesp, client_ports=(PORT_PS + 1, PROTECTED_PORTS[1]),
                 client_uids=(), exports_keys=False):
        self._programs = {"gmespd": Path(gmespd), "gmesp-control": Path(gmesp_control)}
        self._gmespctl, self._libgmesp = Path(gmespctl), str(libgmesp)
        self._processes, self._starts = {}, 0
        access_network.build("acc0")
        lab.ip_batch("pcscf", ["link set acc0 up"])
        lab.sh("ip netns exec pcscf sysctl -qw net.ipv6.conf.acc0.disable_ipv6=1")
        # veth leaves checksums to a NIC that is not there, and AF_PACKET would see them unfinished.
        for namespace, interface in (("router", "wire"), ("pcscf", "acc0")):
            lab.sh(f"ip netns exec {namespace} ethtool -K {interface} tx off gso off tso off gro off")
        subprocess.run(["ip", "netns", "exec", "pcscf", "nft", "-f", "-"], input=_ACCESS_PORT_RULES, text=True,
                       check=True)
        self._write("gmespd", f"""
[instance]
name = "phones"
[control]
socket = "{self._socket('gmespd')}"
allowed_uids = {list(client_uids)}
[[pair]]
access = "net_af_packet0,iface=acc0"
host = "net_tap0,iface=gmesp0"
[protected_ports]
ranges = ["{PROTECTED_PORTS[0]}-{PROTECTED_PORTS[1]}"]
[sa]
capacity_sets = 1000
memory_path = "{lab.RUN}/phones.sa"
key_export = {"true" if exports_keys else "false"}
[memory]
pages = "small"
[log]
audit = "off"
""")
        self._write("gmesp-control", f"""
[control]
socket = "{self._socket('gmesp-control')}"
[data_plane]
socket = "{self._socket('gmespd')}"
retry_ms = 20
[state]
path = "{lab.RUN}/registrations"
[ports]
server = {PORT_PS}
client = ["{client_ports[0]}-{client_ports[1]}"]
[timers]
t1_ms = 100
temporary_s = {TEMPORARY_S:.0f}
""")

    @staticmethod
    def _socket(name):
        return lab.RUN / f"phones-{name}.sock"

    @staticmethod
    def _config(name):
        return lab.RUN / f"phones-{name}.toml"

    def _write(self, name, text):
        self._config(name).write_text(text, encoding="utf-8")

    # --- daemons ----------------------------------------------------------------------------------------------------

    def start(self):
        self.start_gmespd()
        self.start_control()

    def start_gmespd(self):
        """With the TAP that it makes addressed, as an operator does it."""
        process = self._start("gmespd")
        lab.wait_for(lambda: "gmesp0" in lab.sh("ip -n pcscf -br link"), 60, "gmespd", process)
        lab.sh("ip netns exec pcscf sysctl -qw net.ipv6.conf.gmesp0.accept_dad=0")
        access_network.address_host("gmesp0")
        lab.wait_for(lambda: self._answers("info"), 60, "gmespd", process)

    def start_control(self):
        process = self._start("gmesp-control")
        lab.wait_for(lambda: "compared with gmespd" in process.output(), 30, "gmesp-control", process)

    def _start(self, name):
        self._starts += 1
        command = [self._programs[name], "--config", self._config(name)]
        self._processes[name] = lab.Process(f"{name}-{self._starts}", command, "pcscf")
        return self._processes[name]

    def kill(self, name):
        """As a crash would, and waits until it is gone."""
        self._processes.pop(name).kill()

    def process(self, name):
        return self._processes[name]

    def close(self):
        for process in self._processes.values():
            process.stop(signal.SIGTERM)

    # --- what an operator sees --------------------------------------------------------------------------------------

    def ctl(self, *words):
        return lab.sh(f"{self._gmespctl} --socket {self._socket('gmespd')} --control-socket "
                      f"{self._socket('gmesp-control')} {' '.join(map(str, words))}")

    def _answers(self, *words):
        done = subprocess.run([self._gmespctl, "--socket", self._socket("gmespd"), *words], capture_output=True,
                              check=False)
        return done.returncode == 0

    def sets(self, impi):
        """Rows of `gmespctl registrations`, oldest first."""
        text = self.ctl("registrations", "--json").strip()
        users = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
        return sorted((row for user in users if user["impi"] == impi for row in user["sets"]),
                      key=lambda row: row["number"])

    def live_spis(self):
        """spi_ps of every set that gmespd holds."""
        return {row["spi_ps"] for row in json.loads(self.ctl("sa", "list", "--json"))}

    def drops(self):
        """Dropped packets by reason."""
        return {row["name"]: row["packets"] for row in json.loads(self.ctl("drops", "--json"))}

    def control(self):
        return Control(self._libgmesp, str(self._socket("gmesp-control")))

    # --- SIP --------------------------------------------------------------------------------------------------------

    def home(self, version, *impis):
        """A P-CSCF with its registrar, and the keys of the subscribers: (Network, {impi: (K, OPc)})."""
        keys = {impi: (os.urandom(16), os.urandom(16)) for impi in impis}
        subscribers = {impi: Subscriber(HomeSubscriber(*pair, sqn=0x1000), [f"sip:{impi}"])
                       for impi, pair in keys.items()}
        network = Network("pcscf", PCSCF[version], self.control(), Registrar(DOMAIN, subscribers), PORT_PS)
        return network, keys


class Phone:
    """A UE with its own IPsec, on the address of one IP version, behind the NAT or not."""

    def __init__(self, impi, keys, version=4, nat=False, tcp=False, name="ims0"):
        address = (UE_PRIVATE if nat else UE)[version]
        self.stack = EspStack("ue", address, name=name, keep_alive_s=0.3)
        self.ue = Ue(self.stack, "ue", PCSCF[version], Subscription(impi, f"sip:{impi}", DOMAIN), Usim(*keys), tcp,
                     modes=(TRANSPORT, TUNNEL) if nat else (TRANSPORT,))

    def close(self):
        self.ue.close()
        self.stack.close()


def settled(condition, timeout_s=3.0):
    """Whether condition() became true within the time."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(result)
