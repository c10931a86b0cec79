"""A private world for network tests: what happens in it cannot leave anything behind.

run_isolated() starts the test as the first process of its own pid, mount, network and IPC
namespaces, with an empty /run and /dev/shm. When that process ends, however it ends, the kernel
kills every process started below it, and with the last one go the network namespaces, interfaces,
sockets and files of the run. So there is no list of things to undo, and two runs never meet: names
may be the same in each of them.

Only what a test writes elsewhere (its output folder) stays.
"""
import ctypes
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

RUN = Path("/run/lab")  # inside the private /run

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWIPC = 0x00020000, 0x08000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_PR_SET_PDEATHSIG = 1


class LabError(Exception):
    """Something the lab needs is missing or did not come up; the text says what to do."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end; unittest does not take this one for a failure and go on."""


PROGRAMS = {  # program: Debian package
    "linux.uml": "user-mode-linux", "ip": "iproute2", "nft": "nftables", "ethtool": "ethtool",
    "tcpdump": "tcpdump", "tshark": "tshark", "socat": "socat", "sipp": "sip-tester",
    "modprobe": "kmod", "sysctl": "procps",
}
_MODULES = {"scapy": "python3-scapy", "cryptography": "python3-cryptography"}


def require():
    """Ends the program with a list of what is missing, if anything is."""
    problems = []
    if os.geteuid() != 0:
        problems.append("run it as root: it makes network namespaces and TAP devices")
    packages = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    packages += [package for module, package in _MODULES.items()
                 if not importlib.util.find_spec(module)]
    if packages:
        problems.append("apt-get install " + " ".join(packages))
    if not os.path.exists("/dev/net/tun"):
        problems.append("/dev/net/tun is missing: modprobe tun")
    if problems:
        name = Path(sys.argv[0]).name
        sys.exit("\n".join(f"{name}: cannot run here: {problem}" for problem in problems))


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise LabError(f"{what}: {os.strerror(error)}")


def _mount(source, target, kind, flags=0):
    encoded = [text.encode() for text in (source, target, kind)]
    _check(_libc.mount(*encoded, flags, None), f"mount {target}")


def _make_private_world(parent):
    """In the child: ties its life to the parent's and hides the machine's /run, /dev/shm and /proc."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() not in (0, parent):  # 0: the parent lives in the outer pid namespace
        os._exit(1)
    _mount("none", "/", "none", _MS_REC | _MS_PRIVATE)
    _mount("proc", "/proc", "proc")
    for folder in ("/run", "/dev/shm"):
        _mount("tmpfs", folder, "tmpfs")
    RUN.mkdir()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _raise_interrupted(number, _frame):
    signal.signal(number, signal.SIG_IGN)  # the clean-up is not to be interrupted again
    raise Interrupted(signal.Signals(number).name)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _child(parent, main):
    for number in _SIGNALS:
        signal.signal(number, _raise_interrupted)
    try:
        _make_private_world(parent)
        status = main()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        status = 2
    except Interrupted as why:
        print(f"\ninterrupted ({why}); everything of this run is gone", file=sys.stderr)
        status = 130
    return status


def run_isolated(main):
    """Runs main() in a world of its own; returns its exit status (130 if interrupted)."""
    flags = _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC
    _check(_libc.unshare(flags), "unshare (namespaces)")
    sys.stdout.flush()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        status = 3
        try:
            status = _child(parent, main)
        except BaseException:  # noqa: the traceback is wanted, the parent's stack is not
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    for number in _SIGNALS:
        signal.signal(number, lambda caught, _: os.kill(child, caught))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- namespaces ----------------------------------------------------------------------------------

def sh(command, check=True):
    """Runs a shell command, returns what it printed; a failure shows command and output."""
    done = subprocess.run(command, shell=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        raise LabError(f"failed ({done.returncode}): {command}\n{done.stdout}")
    return done.stdout


def ip_batch(namespace, lines):
    """Feeds `ip -batch` inside a namespace; one process for many commands."""
    done = subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines) + "\n",
                          text=True, capture_output=True)
    if done.returncode != 0:
        raise LabError(f"ip -n {namespace}: {done.stderr or done.stdout}")


def _enter_namespace(namespace):
    with open(f"/run/netns/{namespace}", "rb") as handle:
        _check(_libc.setns(handle.fileno(), _CLONE_NEWNET), f"setns {namespace}")


def in_namespace(namespace, function):
    """Result of function() called in a thread that has moved to the namespace."""
    result = {}

    def body():
        try:
            _enter_namespace(namespace)
            result["value"] = function()
        except BaseException as error:
            result["error"] = error

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]


def socket_in(namespace, family, kind, protocol=0):
    """A socket that lives in the namespace, whichever thread uses it afterwards."""
    return in_namespace(namespace, lambda: socket.socket(family, kind, protocol))


def packet_socket(namespace, interface):
    """Sends and receives whole Ethernet frames on an interface of the namespace."""
    def make():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind((interface, 0))
        return raw
    return in_namespace(namespace, make)


# --- processes -----------------------------------------------------------------------------------

class Process:
    """A program in a namespace, with its output in a log of the run."""

    def __init__(self, name, command, namespace=None, environment=None, stdin=None):
        self.name = name
        self.log = RUN / f"{name}.log"
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        with open(self.log, "wb") as log:
            # Its own session: Ctrl-C is for the test, which then ends things in order.
            self.popen = subprocess.Popen(
                prefix + [str(word) for word in command], stdout=log, stderr=subprocess.STDOUT,
                stdin=stdin or subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **(environment or {})})

    def running(self):
        return self.popen.poll() is None

    def wait(self, timeout_s):
        """Exit status, or None if it still runs after the time."""
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, number=signal.SIGTERM, timeout_s=5.0):
        """Asks it to end, waits, kills it if it does not; returns the exit status."""
        if self.running():
            self.popen.send_signal(number)
            if self.wait(timeout_s) is None:
                self.kill()
        return self.popen.returncode

    def kill(self):
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def output(self):
        return self.log.read_text(errors="replace")


def wait_for(condition, timeout_s, what, process=None, step_s=0.05):
    """Polls until condition() is true; the error names what was waited for and shows the log."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        dead = process is not None and not process.running()
        if dead or time.monotonic() > deadline:
            why = f"ended with {process.popen.returncode}" if dead else f"not within {timeout_s} s"
            tail = "\n" + process.output()[-2000:] if process is not None else ""
            raise LabError(f"{what}: {why}{tail}")
        time.sleep(step_s)


class Capture:
    """tcpdump on one interface, into a file that is complete after stop()."""

    def __init__(self, namespace, interface, path):
        self.path = Path(path)
        self.process = Process(
            f"tcpdump-{interface}", ["tcpdump", "-Z", "root", "-i", interface, "-s", "0", "-U",
                                     "-B", "16384", "-w", self.path], namespace)
        wait_for(lambda: "listening on" in self.process.output(), 10, "tcpdump", self.process)

    def stop(self):
        time.sleep(0.3)  # what is in the kernel's ring is still to be read
        self.process.stop(signal.SIGINT)
        text = self.process.output()
        if "0 packets dropped by kernel" not in text:
            raise LabError(f"the capture has gaps, so it proves nothing:\n{text}")


def keep_logs(folder):
    """Copies the run's logs to a folder that outlives the run."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in RUN.rglob("*.log"):
        if log.is_file():
            shutil.copy(log, folder / log.name)


def lock(folder):
    """Keeps a second run from writing the same folder; held until the process ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LabError(f"{folder} is in use by another run; give another --output") from None
    return handle
