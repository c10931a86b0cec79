"""A SIP proxy's side of libgmesp-mnl, by ctypes, and a model of gmespd behind it, for the tests of this folder.

Their arguments: LIBGMESP_MNL GMESPCTL MODEL_SERVER LIBMNL LIBGMESP [TEST...]
"""
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
import xfrm  # noqa: E402
from verdict import run_cases  # noqa: E402
from xfrm import Algorithms  # noqa: E402

LIBRARY, GMESPCTL, MODEL_SERVER, LIBMNL, LIBGMESP = sys.argv[1:6]
NETLINK_XFRM = 6
BUFFER_BYTES = 8192  # Kamailio's


def load(path=LIBRARY):
    library = ctypes.CDLL(path, use_errno=True)
    library.mnl_socket_open.restype = library.mnl_socket_open2.restype = ctypes.c_void_p
    library.mnl_socket_sendto.restype = library.mnl_socket_recvfrom.restype = ctypes.c_ssize_t
    for name, arguments in (("bind", (ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)), ("close", (ctypes.c_void_p,)),
                            ("sendto", (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)),
                            ("recvfrom", (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)),
                            ("get_portid", (ctypes.c_void_p,))):
        getattr(library, f"mnl_socket_{name}").argtypes = arguments
    return library


MNL = load()


def load_again():
    """A library that has reported nothing yet, as in a new process."""
    with tempfile.NamedTemporaryFile(suffix=".so") as copy:
        shutil.copyfile(LIBRARY, copy.name)
        return load(copy.name)


class Socket:
    """A proxy's netlink socket; failures are OSError, as the proxy sees errno."""

    def __init__(self, bus=NETLINK_XFRM, bound=True, library=MNL):
        self._library = library
        self.handle = library.mnl_socket_open(bus)
        self._checked(-1 if self.handle is None else 0)
        if bound:
            self.bind()

    @staticmethod
    def _checked(result):
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def bind(self, groups=0, port_id=0):
        self._checked(self._library.mnl_socket_bind(self.handle, groups, port_id))

    def port_id(self):
        return self._library.mnl_socket_get_portid(self.handle)

    def send(self, *messages):
        data = b"".join(messages)
        return self._checked(self._library.mnl_socket_sendto(self.handle, data, len(data)))

    def receive(self, room=BUFFER_BYTES):
        buffer = ctypes.create_string_buffer(room)
        count = self._checked(self._library.mnl_socket_recvfrom(self.handle, buffer, room))
        return buffer.raw[:count]

    def dump(self, kind, room=BUFFER_BYTES, sequence=99):
        """All entries, as mnl_cb_run() would be given them."""
        self.send(xfrm.dump(kind, sequence))
        entries = []
        while True:
            for found, flags, got, port_id, body in xfrm.messages(self.receive(room)):
                assert (flags, got, port_id) == (xfrm.MULTI, sequence, self.port_id()), (flags, got, port_id)
                if found == xfrm.DONE:
                    return entries
                entries.append(xfrm.entry(found, got, port_id, body))

    def install(self, sa_set, algorithms=Algorithms()):
        for part in xfrm.install_messages(sa_set, algorithms):
            self.send(part)

    def close(self):
        self._checked(self._library.mnl_socket_close(self.handle))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class MnlTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="gmesp-mnl-")
        self.addCleanup(self.folder.cleanup)
        self.socket_path = os.path.join(self.folder.name, "gmespd.sock")
        self.setting("GMESP_MNL_SOCKET", self.socket_path)
        self.setting("GMESP_MNL_TIMEOUT_MS", 20000)  # for machines with other work to do
        self.server = None
        self.start_server()
        self.addCleanup(self.stop_server)

    def start_server(self, capacity=2000):
        self.server = subprocess.Popen([MODEL_SERVER, self.socket_path, str(capacity)], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        self.assertEqual(self.server.stdout.readline(), "ready\n")

    def stop_server(self):
        self.server.stdin.close()
        self.server.wait(timeout=30)
        self.server.stdout.close()

    def setting(self, name, value):
        os.environ[name] = str(value)
        self.addCleanup(os.environ.pop, name, None)

    def ctl(self, *words, stdin=""):
        return subprocess.run([GMESPCTL, "--socket", self.socket_path, *map(str, words)], input=stdin, check=True,
                              capture_output=True, text=True, timeout=60).stdout

    def rows(self):
        return json.loads(self.ctl("sa", "list", "--json"))

    def spis(self):
        return sorted(row["spi_ps"] for row in self.rows())

    def refused(self, number, *messages, socket=None):
        """The text reported for a send that must fail with this errno."""
        with Report() as report, self.assertRaises(OSError) as caught:
            if socket:
                socket.send(*messages)
            else:
                with Socket(library=load_again()) as own:
                    own.send(*messages)
        self.assertEqual(caught.exception.errno, number, report.text)
        self.assertIn("gmesp-mnl: ", report.text)
        return report.text


class Report:
    """Catches what the library writes to stderr."""

    def __enter__(self):
        self._file = tempfile.TemporaryFile()
        self._kept = os.dup(2)
        os.dup2(self._file.fileno(), 2)
        return self

    def __exit__(self, *_):
        os.dup2(self._kept, 2)
        os.close(self._kept)
        self._file.seek(0)
        self.text = self._file.read().decode()
        self._file.close()


def run(module):
    """The tests of a module, or those named on the command line; its exit status."""
    return run_cases(module, sys.argv[6:])
