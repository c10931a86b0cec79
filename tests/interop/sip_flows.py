"""SIP sessions between two SIPp programs, one in the UE and one on the P-CSCF host.

SIPp answers to where a request came from. So over UDP its answers use SA-b and SA-c, which gmespd
passes and counts (R-7.1-10); peer.py uses the ports as the specification has them.
"""
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import guest
import lab
from sa_sets import TRANSPORT, TUNNEL

_ON_HOST = Path(__file__).resolve().parent / "sip"
_IN_GUEST = guest.IN_GUEST / "sip"
_SIPP_TRANSPORT = {"UDP": "u1", "TCP": "t1"}
_LIMIT_S = 60
_CLEAR_PORT = 5060
_ports = itertools.count(30000, 10)  # for media and SIPp's own control socket; unused


@dataclass
class Result:
    steps: list  # "REGISTER 200", ... in the order they happened
    ok: bool
    seconds: float
    detail: str  # why not


def _security(sa_set, client, server):
    """Parameters of a Security-* header (TS 33.203 Annex H)."""
    (spi_c, port_c), (spi_s, port_s) = client, server
    mode = "" if sa_set.mode == TRANSPORT else "; mod=UDP-enc-tun"
    return (f"ipsec-3gpp; alg={sa_set.integrity}; ealg={sa_set.cipher}{mode}; "
            f"spi-c={spi_c:010}; spi-s={spi_s:010}; port-c={port_c}; port-s={port_s}")


def _bracketed(address):
    return f"[{address}]" if ":" in address else address


def _sipp(scenario, name, address, port, transport, folder):
    media = next(_ports)
    scenarios = _ON_HOST if folder == lab.RUN else _IN_GUEST
    return ["sipp", "-sf", scenarios / scenario, "-i", address, "-bind_local", "-p", port,
            "-t", _SIPP_TRANSPORT[transport], "-nostdin", "-mp", media, "-cp", media + 5,
            "-trace_logs", "-log_file", f"{folder}/{name}.steps",
            "-trace_err", "-error_file", f"{folder}/{name}.error.log"]


def _caller(sa_set, name, transport, from_ue, folder):
    if from_ue:
        here, port, server = sa_set.ue, sa_set.port_uc, sa_set.port_us
        target = f"{_bracketed(sa_set.pcscf)}:{sa_set.port_ps}"
    else:
        here, port, server = sa_set.pcscf, sa_set.port_pc, sa_set.port_ps
        target = f"{_bracketed(sa_set.ue)}:{sa_set.port_us}"
    ue = _security(sa_set, (sa_set.spi_uc, sa_set.port_uc), (sa_set.spi_us, sa_set.port_us))
    pcscf = _security(sa_set, (sa_set.spi_pc, sa_set.port_pc), (sa_set.spi_ps, sa_set.port_ps))
    command = _sipp("session.xml", name, here, port, transport, folder)
    command += [target, "-m", "1", "-timeout", f"{_LIMIT_S}", "-timeout_error",
                "-key", "user", "alice" if from_ue else "network", "-key", "own_server", server,
                "-key", "security_client", ue, "-key", "security_verify", f"{pcscf}; q=0.9"]
    return command if from_ue else command + ["-set", "terminating", "1"]


def _in_guest(world, command):
    world.guest.run(" ".join(f"'{word}'" for word in command) + " >/run/sipp.out 2>&1",
                    timeout_s=_LIMIT_S + 15)


def _on_host(name, command):
    status = lab.Process(name, command, "pcscf", {"TERM": "xterm"}).wait(_LIMIT_S + 15)
    if status != 0:
        raise lab.LabError(f"SIPp on the host ended with {status}")


def session(world, sa_set, transport, from_ue):
    """One SIP session in one direction: the callee is started, the caller runs to its end."""
    name = f"sipp-{sa_set.index}-{transport.lower()}-{'up' if from_ue else 'down'}"
    guest_folder = "/run/out"
    began = time.monotonic()
    if from_ue:
        callee = lab.Process(f"{name}-callee", _sipp(
            "answer.xml", f"{name}-callee", sa_set.pcscf, sa_set.port_ps, transport, lab.RUN),
            "pcscf", {"TERM": "xterm"})
        caller = _caller(sa_set, name, transport, from_ue, guest_folder)
        steps_file = world.guest.folder / f"{name}.steps"
    else:
        world.guest.start(f"{name}-callee", _sipp(
            "answer.xml", f"{name}-callee", sa_set.ue, sa_set.port_us, transport, guest_folder))
        caller = _caller(sa_set, name, transport, from_ue, lab.RUN)
        steps_file = lab.RUN / f"{name}.steps"
    detail = ""
    try:
        if from_ue:
            _wait_listening(transport, sa_set.port_ps, callee)
            _in_guest(world, caller)
        else:
            _wait_listening_in_guest(world, transport, sa_set.port_us)
            _on_host(name, caller)
    except (lab.LabError, OSError) as error:
        detail = str(error).splitlines()[0]
    finally:
        callee.kill() if from_ue else world.guest.stop(f"{name}-callee")
    steps = steps_file.read_text().splitlines() if steps_file.exists() else []
    expected = _STEPS if from_ue else _STEPS[1:]
    return Result(steps, not detail and steps == expected, time.monotonic() - began, detail)


_STEPS = ["REGISTER 200", "MESSAGE 200", "MESSAGE-4000 200", "INVITE 200", "BYE 200"]


def _wait_listening(transport, port, process):
    """Waits until a program on the host has opened its port."""
    kind = "-uln" if transport == "UDP" else "-tln"
    lab.wait_for(lambda: lab.sh(f"ip netns exec pcscf ss -H {kind} sport = :{port}").strip(),
                 60, "SIPp on the host", process)


def _wait_listening_in_guest(world, transport, port):
    """The same in the guest: one call, because every process there is slow to start."""
    state = "07" if transport == "UDP" else "0A"  # unconnected, listening
    table = transport.lower()
    world.guest.run(f"for n in $(seq 400); do\n"
                    f"grep -q ':{port:04X} [0:]* {state} ' /proc/net/{table} /proc/net/{table}6 "
                    f"&& exit 0\nsleep 0.1\ndone\nexit 1")


def clear_register(world, sa_set):
    """The initial REGISTER and its challenge, in clear on port 5060; true if it went through."""
    ue = _security(sa_set, (sa_set.spi_uc, sa_set.port_uc), (sa_set.spi_us, sa_set.port_us))
    pcscf = _security(sa_set, (sa_set.spi_pc, sa_set.port_pc), (sa_set.spi_ps, sa_set.port_ps))
    callee = lab.Process("sipp-challenge", _sipp(
        "challenge.xml", "challenge", sa_set.pcscf, _CLEAR_PORT, "UDP", lab.RUN)
        + ["-key", "security_server", pcscf], "pcscf", {"TERM": "xterm"})
    _wait_listening("UDP", _CLEAR_PORT, callee)
    command = _sipp("clear_register.xml", "clear-register", sa_set.ue, _CLEAR_PORT, "UDP",
                    "/run/out")
    command += [f"{_bracketed(sa_set.pcscf)}:{_CLEAR_PORT}", "-m", "1", "-timeout", f"{_LIMIT_S}",
                "-timeout_error", "-key", "user", "alice", "-key", "own_server", sa_set.port_us,
                "-key", "security_client", ue]
    try:
        _in_guest(world, command)
        return True
    except lab.LabError:
        return False
    finally:
        callee.kill()


def matrix_flows(sets):
    """A few sets for real SIP in the kernel matrix: both modes, families and transports."""
    transport = [row for row in sets if row.mode == TRANSPORT]
    tunnel = [row for row in sets if row.mode == TUNNEL]
    return [(transport[0], "UDP", True), (transport[-1], "TCP", False),
            (tunnel[0], "TCP", True), (tunnel[-1], "UDP", False)]


# Shows: R-7.1-10, R-7.1-11, R-2406-11, R-2406-12
def test_session(report, world, sa_set, transport, from_ue):
    """REGISTER, MESSAGE, 4,000-byte MESSAGE and INVITE with SIPp at both ends."""
    result = session(world, sa_set, transport, from_ue)
    direction = "UE calls" if from_ue else "P-CSCF calls"
    what = f"{sa_set.name}: SIPp over {transport}, {direction}"
    if report.check(result.ok, f"{what}: {result.steps} {result.detail}"):
        report.group(f"{what:<60} ok {result.seconds:5.1f} s")
