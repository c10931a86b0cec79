#!/usr/bin/env python3
"""libgmesp-mnl in several processes, with gmespd in trouble, by its settings, and as a library."""
import ctypes
import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import xfrm
from proxy_socket import LIBGMESP, LIBMNL, LIBRARY, MnlTest, Report, Socket, load_again, run
from xfrm import SaSet

HOLD_WRITER = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("role", ctypes.c_uint32), ("events", ctypes.c_uint32),
                ("timeout_ms", ctypes.c_int32), ("path", ctypes.c_char_p)]
options = Options(ctypes.sizeof(Options), 2, 0, 0, sys.argv[2].encode())
connection = ctypes.c_void_p()
assert library.gmesp_dp_open(ctypes.byref(options), ctypes.byref(connection), None, 0) == 0
print("held", flush=True)
sys.stdin.read()
"""


class ProcessTest(MnlTest):
    # Shows: R-C-01
    def test_workers_take_turns(self):
        """Twelve processes, each of which sets up and deletes; nobody fails, nobody sees a part of another's set."""
        workers = []
        for worker in range(12):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    for turn in range(10):
                        sa_set = SaSet(100 * worker + turn)
                        with Socket() as socket:
                            socket.install(sa_set)
                        if turn % 2:
                            with Socket() as socket:
                                socket.send(*xfrm.delete_messages(sa_set))
                    status = 0
                finally:
                    os._exit(status)
            workers.append(child)
        self.assertEqual([os.waitpid(child, 0)[1] for child in workers], [0] * 12)
        self.assertEqual(self.spis(), sorted(SaSet(100 * worker + turn).named()["spi_ps"] for worker in range(12)
                                             for turn in range(0, 10, 2)))

    def test_a_child_has_nothing_of_a_set_that_its_parent_began(self):
        with Socket() as socket:
            parts = xfrm.install_messages(SaSet(1))
            for part in parts[:-1]:
                socket.send(part)
            child = os.fork()
            if child == 0:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                try:
                    socket.send(parts[-1])
                    os._exit(1)
                except OSError as error:
                    os._exit(0 if error.errno == errno.EINVAL else 2)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
            self.assertEqual(self.rows(), [])
            socket.send(parts[-1])
            self.assertEqual(len(self.rows()), 1)
            child = os.fork()
            if child == 0:
                socket.install(SaSet(2))
                os._exit(0)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
            self.assertEqual(len(self.rows()), 2)

    def test_another_writer(self):
        self.setting("GMESP_MNL_TIMEOUT_MS", 300)
        holder = subprocess.Popen([sys.executable, "-c", HOLD_WRITER, LIBGMESP, self.socket_path],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(holder.stdout.readline(), "held\n")
        began = time.monotonic()
        with Report() as report, self.assertRaises(OSError) as caught:
            Socket(library=load_again())
        self.assertEqual(caught.exception.errno, errno.EBUSY, report.text)
        self.assertIn("gmesp-control and this library cannot both be the writer", report.text)
        self.assertLess(0.25, time.monotonic() - began)
        falls_silent = threading.Timer(0.15, self.server.send_signal, [signal.SIGSTOP])
        falls_silent.start()
        with Report() as report, self.assertRaises(OSError) as caught:
            Socket(library=load_again())
        self.server.send_signal(signal.SIGCONT)
        falls_silent.join()
        self.assertEqual(caught.exception.errno, errno.EBUSY, report.text)
        self.setting("GMESP_MNL_TIMEOUT_MS", 20000)
        leaves = threading.Timer(0.5, holder.stdin.close)
        leaves.start()
        Socket().close()
        leaves.join()
        holder.wait(timeout=10)
        holder.stdout.close()

    # Shows: R-C-03
    def test_gmespd_is_not_there_or_hangs_or_returns(self):
        with Socket(library=load_again()) as socket:
            self.stop_server()
            parts = xfrm.install_messages(SaSet(1))
            for part in parts[:-1]:
                socket.send(part)
            self.assertIn("GMESP_MNL_SOCKET", self.refused(errno.ECONNREFUSED, parts[-1], socket=socket))
            self.start_server()
            socket.install(SaSet(1))
            self.assertEqual(len(self.rows()), 1)
            self.setting("GMESP_MNL_TIMEOUT_MS", 200)
            with Socket(library=load_again()) as hurried:
                self.server.send_signal(signal.SIGSTOP)
                text = self.refused(errno.ETIMEDOUT, xfrm.delete_messages(SaSet(1))[0], socket=hurried)
                self.server.send_signal(signal.SIGCONT)
            self.assertIn("GMESP_MNL_TIMEOUT_MS", text)
            socket.send(xfrm.delete_messages(SaSet(1))[0])
        self.assertEqual(self.rows(), [])


class SettingsTest(MnlTest):
    def test_each_is_obeyed(self):
        self.setting("GMESP_MNL_LIFETIME_S", 60)
        with Socket() as socket:
            socket.install(SaSet(1))
        self.assertIn(self.rows()[0]["left_s"], range(55, 61))

    def test_each_wrong_one_is_named(self):
        for name, wrong in (("GMESP_MNL_LIFETIME_S", ("59", "4294967296", "", "1h", "-1", "+60", " 60", "0x60")),
                            ("GMESP_MNL_TIMEOUT_MS", ("9", "60001", "1s")),
                            ("GMESP_MNL_SOCKET", ("", "gmespd.sock", "/" + "x" * 200))):
            kept = os.environ.get(name)
            for value in wrong:
                os.environ[name] = value
                with Report() as report, self.assertRaises(OSError) as caught:
                    Socket(library=load_again())
                self.assertEqual(caught.exception.errno, errno.EINVAL)
                self.assertIn(f'{name} is "{value[:40]}', report.text)
                self.assertIn("allowed is", report.text)
            os.environ.pop(name)
            if kept:
                os.environ[name] = kept

    def test_sockets_in_one_process_are_bounded(self):
        library = load_again()
        opened = [Socket(library=library) for _ in range(64)]
        with Report() as report, self.assertRaises(OSError) as caught:
            Socket(library=library)
        self.assertEqual(caught.exception.errno, errno.EMFILE)
        self.assertIn("64 sockets", report.text)
        for socket in opened:
            socket.close()
        Socket(library=library).close()


class LibraryTest(MnlTest):
    def test_needs_libc_and_libgmesp_alone(self):
        needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", LIBRARY)))
        self.assertLessEqual(needed, {"libgmesp.so.0", "libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"})

    def test_exports_libmnl_s_names_in_its_versions_alone(self):
        names = {line.split()[2] for line in output("nm", "-D", "--defined-only", LIBRARY).splitlines()}
        ctypes.CDLL(LIBMNL)
        path = re.search(r"\S+/libmnl\.so\S*", Path("/proc/self/maps").read_text()).group(0)
        theirs = {name.replace("@@", "@") for line in output("nm", "-D", "--defined-only", path).splitlines()
                  for name in line.split()[2:]}
        self.assertLessEqual({name.replace("@@", "@") for name in names}, theirs)
        self.assertEqual(len({name for name in names if not name.startswith("LIBMNL")}), 7)

    def test_other_buses_are_libmnl_s(self):
        environment = {**os.environ, "LD_PRELOAD": LIBRARY}
        done = subprocess.run([sys.executable, "-c", OTHER_BUS, LIBMNL], env=environment, capture_output=True,
                              text=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)

    def test_without_libmnl_s_own_part_handles_do_no_harm(self):
        libmnl = ctypes.CDLL(LIBMNL)
        libmnl.mnl_socket_get_fd.argtypes = [ctypes.c_void_p]
        with Socket() as socket:
            self.assertEqual(libmnl.mnl_socket_get_fd(socket.handle), -1)


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


OTHER_BUS = """
import ctypes, struct, sys
everything, libmnl = ctypes.CDLL(None, use_errno=True), ctypes.CDLL(sys.argv[1])
everything.mnl_socket_open.restype = ctypes.c_void_p
libmnl.mnl_socket_get_fd.argtypes = [ctypes.c_void_p]
everything.mnl_socket_sendto.restype = everything.mnl_socket_recvfrom.restype = ctypes.c_ssize_t
handle = ctypes.c_void_p(everything.mnl_socket_open(0))
assert libmnl.mnl_socket_get_fd(handle) > 2
assert everything.mnl_socket_bind(handle, 0, 0) == 0
assert everything.mnl_socket_get_portid(handle) != 0
request = struct.pack("=IHHIIBxHiII", 32, 18, 0x301, 5, 0, 0, 0, 0, 0, 0)  # RTM_GETLINK, dump
assert everything.mnl_socket_sendto(handle, request, len(request)) == len(request)
buffer = ctypes.create_string_buffer(1 << 16)
count = everything.mnl_socket_recvfrom(handle, buffer, len(buffer))
assert count > 32 and struct.unpack_from("=IH", buffer)[1] == 16, count  # RTM_NEWLINK
assert everything.mnl_socket_close(handle) == 0
"""

if __name__ == "__main__":
    sys.exit(run(sys.modules[__name__]))
