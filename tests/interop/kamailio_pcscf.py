"""Kamailio as P-CSCF before gmespd, with control/kamailio/pcscf.cfg as it is shipped, and a home network behind it.

    ns ue          ns router                    ns pcscf                                 ns home
    ue0 --- side [ forward | NAT ] wire --- acc0 = gmespd = gmesp0  Kamailio  mw0 ------ mw1   home_network.py
                                                     |                |
                                                gmesp-control --- libgmesp (gmesp.py)
"""
import contextlib
import os
import shutil
import signal
from pathlib import Path

import kamailio_settings
import lab
from access_network import PCSCF
from aka import HomeSubscriber
from home_network import HomeNetwork
from network import Registrar, Subscriber
from real_network import DOMAIN, RealNetwork

SOURCE = Path(__file__).resolve().parent.parent.parent / "control" / "kamailio"
MW, HOME = ("10.8.0.1", 5080), ("10.8.0.2", 5060)
CLIENT_PORTS = (5063, 5070)
TIMEOUT_MS = 500


class KamailioPcscf:
    """Both daemons and Kamailio. `programs` are gmespd, gmesp-control, gmespctl and libgmesp."""

    def __init__(self, programs):
        self.real = RealNetwork(*programs, client_ports=CLIENT_PORTS, exports_keys=True)
        self._libgmesp, self._folder, self._starts = Path(programs[3]), lab.RUN / "kamailio", 0
        lab.sh("ip netns add home")
        lab.ip_batch("pcscf", ["link add mw0 type veth peer name mw1 netns home", f"addr add {MW[0]}/24 dev mw0",
                               "link set mw0 up"])
        lab.ip_batch("home", ["link set lo up", f"addr add {HOME[0]}/24 dev mw1", "link set mw1 up"])
        self._folder.mkdir()
        for path in SOURCE.iterdir():
            if path.suffix in (".py", ".cfg"):
                shutil.copy(path, self._folder)
        kamailio_settings.change(self._folder / "settings.cfg", {
            "GM_ADDRESS": PCSCF[4], "GM2_ADDRESS": f"[{PCSCF[6]}]", "MW_ADDRESS": MW[0],
            "HOME_PROXY": f"sip:{HOME[0]}:{HOME[1]}", "GMESP_LIBRARY": self._libgmesp,
            "GMESP_SOCKET": self.control_socket(), "GMESP_TIMEOUT_MS": TIMEOUT_MS,
            "GMESP_SCRIPT": self._folder / "gmesp.py"}, ["WITH_GM2"])

    @staticmethod
    def control_socket():
        return lab.RUN / "phones-gmesp-control.sock"

    def start(self):
        self.real.start()
        self.start_kamailio()

    def start_kamailio(self):
        self._starts += 1
        name = f"kamailio-{self._starts}"
        self.kamailio = lab.Process(name, ["kamailio", "-f", self._folder / "pcscf.cfg", "-DD", "-E", "-m", "64", "-M",
                                           "8", "-Y", self._folder, "-P", self._folder / "pid"], "pcscf")
        lab.wait_for(self._listens, 30, name, self.kamailio)

    @staticmethod
    def _listens():
        """TCP is what Kamailio opens last."""
        return f"{PCSCF[4]}:{CLIENT_PORTS[1]} " in lab.sh("ip netns exec pcscf ss -Hltn")

    def kill_kamailio(self):
        self.kamailio.kill()

    def connections(self):
        """How many processes are connected to gmesp-control."""
        text = lab.sh("ip netns exec pcscf ss -Hx state connected")
        return sum(str(self.control_socket()) in line for line in text.splitlines())

    @contextlib.contextmanager
    def dead_control(self):
        self.real.kill("gmesp-control")
        try:
            yield
        finally:
            self.real.start_control()

    @contextlib.contextmanager
    def hung_control(self):
        """gmesp-control is there and does nothing."""
        process = self.real.process("gmesp-control").popen
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def close(self):
        self.kamailio.stop()
        self.real.close()

    def home(self, *impis):
        """A home network with these subscribers: (HomeNetwork, {impi: (K, OPc)})."""
        keys = {impi: (os.urandom(16), os.urandom(16)) for impi in impis}
        subscribers = {impi: Subscriber(HomeSubscriber(*pair, sqn=0x1000), [f"sip:{impi}"])
                       for impi, pair in keys.items()}
        return HomeNetwork("home", HOME, Registrar(DOMAIN, subscribers)), keys
