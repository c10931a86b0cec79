"""Kamailio as Debian ships it with its ims_ipsec_pcscf before gmespd, by libgmesp-mnl and nothing else of ours.

    ns ue          ns router                    ns pcscf                                      ns home
    ue0 --- side [ forward ] wire --- acc0 = gmespd = gmesp0  Kamailio, libgmesp-mnl  mw0 ------ mw1   home_network.py
                                               |                    |
                                               +--------------------+

Kamailio runs as its own user, without any capability. Its processes see no netlink socket of the kernel's IPsec.
"""
import ctypes
import json
import os
import pwd
import shutil
from pathlib import Path

import kamailio_settings
import lab
from access_network import PCSCF
from aka import HomeSubscriber
from home_network import HomeNetwork
from network import Registrar, Subscriber
from real_network import DOMAIN, RealNetwork

MW, HOME = ("10.8.0.1", 5060), ("10.8.0.2", 5060)
PORT_PC_FIRST, PORT_PS_FIRST, CONNECTIONS = 5070, 5080, 8  # of pcscf.cfg
PENDING_S, TIMER_S, GRACE_S = 8, 1, 1  # a registration takes some seconds on a machine with other work
LIFETIME_S = 600
TIMEOUT_MS = 10000  # for machines with other work to do
_SOURCE = Path(__file__).resolve().parent.parent.parent / "control" / "mnl"
_USER = "kamailio"


class MnlPcscf:
    """gmespd and Kamailio. `programs` are gmespd, gmesp-control (not started), gmespctl, libgmesp and libgmesp-mnl."""

    def __init__(self, programs):
        user = pwd.getpwnam(_USER)
        self.real = RealNetwork(*programs[:4], client_uids=(user.pw_uid,), exports_keys=True)
        self._library = Path(programs[4])
        self._libgmesp = ctypes.CDLL(str(programs[3]))
        self._folder, self._starts = lab.RUN / "kamailio", 0
        lab.sh("ip netns add home")
        lab.ip_batch("pcscf", ["link add mw0 type veth peer name mw1 netns home", f"addr add {MW[0]}/24 dev mw0",
                               "link set mw0 up"])
        lab.ip_batch("home", ["link set lo up", f"addr add {HOME[0]}/24 dev mw1", "link set mw1 up"])
        self._folder.mkdir()
        shutil.chown(self._folder, _USER)
        for path in _SOURCE.glob("*.cfg"):
            shutil.copy(path, self._folder)
        kamailio_settings.change(self._folder / "settings.cfg", {
            "GM_ADDRESS": PCSCF[4], "GM6_ADDRESS": PCSCF[6], "MW_ADDRESS": MW[0], "MW_PORT": MW[1],
            "HOME_PROXY": f"sip:{HOME[0]}:{HOME[1]}", "USRLOC_TIMER_S": TIMER_S, "PENDING_S": PENDING_S}, ["WITH_GM6"])
        self._read_by_others(self._library, Path(programs[3]))

    def _read_by_others(self, *libraries):
        """Copies, since the build folder may be closed to Kamailio's user."""
        for library in libraries:
            copy = self._folder / ("libgmesp.so.0" if library.name.startswith("libgmesp.so") else library.name)
            shutil.copy(library, copy)
            copy.chmod(0o755)

    def start(self):
        self.real.start_gmespd()
        self.start_kamailio()

    def start_kamailio(self, **settings):
        self._starts += 1
        environment = {"LD_PRELOAD": self._folder / self._library.name, "LD_LIBRARY_PATH": self._folder,
                       "GMESP_MNL_SOCKET": self.socket(), "GMESP_MNL_LIFETIME_S": LIFETIME_S,
                       "GMESP_MNL_TIMEOUT_MS": TIMEOUT_MS} | settings
        command = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", "--inh-caps=-all",
                   "--bounding-set=-all", "--no-new-privs", "env", *(f"{name}={value}" for name, value in
                                                                   environment.items()),
                   "kamailio", "-f", self._folder / "pcscf.cfg", "-DD", "-E", "-m", "64", "-M", "8", "-Y", self._folder,
                   "-P", self._folder / f"pid-{self._starts}"]
        name = f"kamailio-{self._starts}"
        self.kamailio = lab.Process(name, command, "pcscf")
        return self.kamailio

    def wait_kamailio(self):
        lab.wait_for(self._listens, 60, self.kamailio.name, self.kamailio)

    def kill_kamailio(self):
        """All processes at once, as a crash or the kernel would, and waits until they are gone."""
        self.kamailio.kill()
        lab.wait_for(lambda: not self._listens(), 30, "Kamailio's end")

    def restart_kamailio(self, **settings):
        self.kill_kamailio()
        self.start_kamailio(**settings)
        self.wait_kamailio()

    @staticmethod
    def _listens():
        """TCP is what Kamailio opens last."""
        return f"{PCSCF[4]}:{PORT_PS_FIRST + CONNECTIONS - 1} " in lab.sh("ip netns exec pcscf ss -Hltn")

    @staticmethod
    def socket():
        return lab.RUN / "phones-gmespd.sock"

    def processes(self):
        """(real user, effective capabilities, preloaded library mapped) of every process of Kamailio."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                if status["Name"].strip() != "kamailio" or status["State"].strip().startswith("Z"):
                    continue
                found.append((int(status["Uid"].split()[0]), int(status["CapEff"], 16), int(status["CapPrm"], 16),
                              self._library.name in (folder / "maps").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def sets(self):
        """Rows of `gmespctl sa list`."""
        return json.loads(self.real.ctl("sa", "list", "--json"))

    def installed_ms(self):
        """spi_ps -> CLOCK_BOOTTIME in milliseconds when gmespd had the set in force, by libgmesp itself."""
        options = _Options(ctypes.sizeof(_Options), 1, 0, 0, str(self.socket()).encode())
        connection, index, view, found = ctypes.c_void_p(), ctypes.c_uint64(), _View(), {}
        error = self._libgmesp.gmesp_dp_open(ctypes.byref(options), ctypes.byref(connection), None, ctypes.c_size_t(0))
        if error:
            raise lab.LabError(f"libgmesp: error {error}")
        while True:
            view.size = ctypes.sizeof(_View)
            if self._libgmesp.gmesp_dp_next_set(connection, ctypes.byref(index), ctypes.byref(view), 5000):
                break
            found[view.set.spi_ps] = view.installed_ms
        self._libgmesp.gmesp_dp_close(connection)
        return found

    def close(self):
        self.kamailio.stop()
        self.real.close()

    def home(self, *impis):
        """A home network with these subscribers: (HomeNetwork, {impi: (K, OPc)})."""
        keys = {impi: (os.urandom(16), os.urandom(16)) for impi in impis}
        subscribers = {impi: Subscriber(HomeSubscriber(*pair, sqn=0x1000), [f"sip:{impi}"])
                       for impi, pair in keys.items()}
        return HomeNetwork("home", HOME, Registrar(DOMAIN, subscribers)), keys


class _Options(ctypes.Structure):
    """struct gmesp_dp_options."""

    _fields_ = [("size", ctypes.c_uint32), ("role", ctypes.c_uint32), ("wants_events", ctypes.c_uint32),
                ("timeout_ms", ctypes.c_int32), ("socket_path", ctypes.c_char_p)]


class _Set(ctypes.Structure):
    """struct gmesp_sa_set."""

    _fields_ = [("size", ctypes.c_uint32), ("heads", ctypes.c_uint8 * 12), ("ports", ctypes.c_uint16 * 4),
                ("spi_uc", ctypes.c_uint32), ("spi_us", ctypes.c_uint32), ("spi_pc", ctypes.c_uint32),
                ("spi_ps", ctypes.c_uint32), ("addresses", ctypes.c_uint8 * 64), ("outer", ctypes.c_uint16 * 4),
                ("not_after_ms", ctypes.c_uint64), ("cookie", ctypes.c_uint64), ("keys", ctypes.c_uint8 * 72)]


class _View(ctypes.Structure):
    """struct gmesp_set_view."""

    _fields_ = [("size", ctypes.c_uint32), ("path_mtu_bytes", ctypes.c_uint16), ("reserved", ctypes.c_uint16),
                ("set_id", ctypes.c_uint64), ("installed_ms", ctypes.c_uint64), ("last_inbound_ms", ctypes.c_uint64),
                ("set", _Set), ("counters", ctypes.c_uint64 * 16)]
