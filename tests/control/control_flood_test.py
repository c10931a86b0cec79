#!/usr/bin/env python3
"""gmesp-control under floods and with nothing left to give: bounded memory, verdicts in time, live sets untouched.

Usage: control_flood_test.py GMESPD GMESP_CONTROL GMESPCTL LIBGMESP. As control_daemon_test.py, whose processes it runs.
GMESP_FLOOD_SM1: how many SM1 the flood has; 20,000 if it is not set, 1000000 is the number of the requirement.
"""
import itertools
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

from control_daemon_test import LOCAL, PS, User, pair
from verdict import run_functions

FLOOD_SM1 = int(os.environ.get("GMESP_FLOOD_SM1", "20000"))
FLOODERS = 2
fork = multiprocessing.get_context("fork")


def memory_bytes(running):
    status = Path(f"/proc/{running.processes['control'].pid}/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def is_sanitized(running):
    """A sanitizer keeps freed memory."""
    maps = Path(f"/proc/{running.processes['control'].pid}/maps").read_text(encoding="ascii")
    return "asan" in maps or "ubsan" in maps


def sm1_of_nobody(control, number):
    """The SM1 of a UE that never goes on, each with an IMPI, an address and ports of its own."""
    impi, spi = f"flood{number}@ims.test", 300 + 2 * number
    address = f"11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return control.register_request(impi, f"sip:{impi}", f"flood{number} 1", address, 5060, LOCAL, 5060,
                                    via_host=address, security_client_lines=[
                                        f"ipsec-3gpp; alg=hmac-sha-1-96; ealg=aes-cbc; spi-c={spi}; spi-s={spi + 1}; "
                                        "port-c=40000; port-s=40001"])


def flood(running, numbers, answered, slowest_s):
    """In a process of its own: one SM1 after the other."""
    control, slowest = running.client(), 0
    for number in numbers:
        began = time.monotonic()
        verdict = sm1_of_nobody(control, number)
        slowest = max(slowest, time.monotonic() - began)
        assert verdict["action"] == "forward", verdict
        answered.value += 1
    slowest_s.value = slowest


def flooders(running, first, count):
    """Starts FLOODERS of them, with `count` SM1 between them."""
    made = []
    for index in range(FLOODERS):
        answered, slowest_s = fork.Value("L", 0), fork.Value("d", 0)
        process = fork.Process(target=flood, args=(running, range(first + index, first + count, FLOODERS), answered,
                                                   slowest_s))
        process.start()
        made.append((process, answered, slowest_s))
    return made


def works(control, user):
    """Its set is there, for what comes from it and for what goes to it."""
    assert control.message(user.address, user.last_uc, LOCAL, PS, method="OPTIONS")["action"] == "forward"
    assert control.route(user.impi)["send"]["set"] == user.last_set


# Shows: R-D-F3, R-7.3-04
def test_a_flood_of_sm1_is_answered_in_bounded_memory_and_harms_no_set():
    procedures_max = 2048
    with pair(more=f"[registration]\nprocedures_max = {procedures_max}") as running:
        control = running.up().client()
        users = [User(number) for number in range(10)]
        for user in users:
            user.register(control)
        challenged = User(50)
        challenged.sm1(control)
        challenged.sm4(control)
        live = set(running.live())
        for process, _, _ in flooders(running, 0, 2 * procedures_max):
            process.join()
        full_bytes = memory_bytes(running)
        running_floods = flooders(running, 2 * procedures_max, FLOOD_SM1)
        while any(process.is_alive() for process, _, _ in running_floods):
            for user in users:
                works(control, user)
            time.sleep(0.05)
        assert all(process.exitcode == 0 for process, _, _ in running_floods), "a flooder got no verdict"
        assert sum(answered.value for _, answered, _ in running_floods) == FLOOD_SM1
        assert max(slowest_s.value for _, _, slowest_s in running_floods) < 1.5
        grown = memory_bytes(running) - full_bytes
        assert grown < 2 << 20 or is_sanitized(running), f"{grown} bytes more for {FLOOD_SM1} SM1"
        assert set(running.live()) == live
        # Who was challenged goes on; who is registered registers again; who comes new is served.
        assert challenged.sm7(control)["indicator"] and challenged.sm10(control)["action"] == "forward"
        for user in users:
            user.register(control, protected=True)
        User(60).register(control)
        # The oldest of the flood has given way: its challenge comes too late.
        late = control.challenge("flood1@ims.test", "flood1 1", os.urandom(16), os.urandom(16))
        assert late["action"] == "discard", late


# Shows: R-D-F3, R-C-04
def test_clients_killed_in_mid_call_leave_nothing_behind():
    with pair(capacity=100_000) as running:  # more than they can fill in their time
        control = running.up().client()
        user = User(1)
        user.register(control)

        def call_for_ever(number):
            client = running.client()
            for one in itertools.count(number, 100):
                User(one).register(client)

        for number in range(100, 120):
            process = fork.Process(target=call_for_ever, args=(number,))
            process.start()
            time.sleep(0.05 + number % 7 * 0.003)
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert process.exitcode == -signal.SIGKILL
            works(control, user)
        for number in range(100, 120):
            other = User(number)
            other.attempts = 5000  # ports that it has not used yet
            other.register(control)
            works(control, other)


# Shows: R-7.1-12, R-7.4-02
def test_the_last_spi_is_a_clear_verdict_and_comes_back_after_its_rest():
    timers = "[spis]\nfirst = 1000\nlast = 2024\n[timers]\nt1_ms = 100\nrest_s = 1\n"
    with pair(more=timers) as running:
        control = running.up().client()
        users = [User(number) for number in range(512)]
        for user in users:
            user.register(control)
        one_more = User(600)
        one_more.sm1(control)
        verdict = one_more.sm4(control)
        assert (verdict["action"], verdict["status"]) == ("reject", 503) and "SPI" in verdict["reason"], verdict
        assert len(running.live()) == len(users)
        for user in users[::50]:
            works(control, user)
        control.deregistered(users[0].impi)
        time.sleep(64 * 0.1 + 1 + 0.5)
        one_more.register(control)
        works(control, users[1])


# Shows: R-7.4-02
def test_the_last_port_is_a_clear_verdict_and_comes_back_after_its_rest():
    more = "[ports]\nclient = [\"5063-5066\"]\n[timers]\nt1_ms = 100\nrest_s = 1\n"
    with pair(more=more) as running:
        control, user = running.up().client(), User(1)
        user.register(control)
        for _ in range(10):
            user.sm1(control, protected=True)
            verdict = user.sm4(control)
            if verdict["action"] != "forward":
                break
            user.sm7(control)
            user.last_set = user.sm10(control)["send"]["set"]
            assert control.message(user.address, user.last_uc, LOCAL, PS, method="OPTIONS")["action"] == "forward"
        assert (verdict["action"], verdict["status"]) == ("reject", 503) and "port_pc" in verdict["reason"], verdict
        works(control, user)
        time.sleep(64 * 0.1 + 1 + 0.5)
        user.register(control, protected=True)


if __name__ == "__main__":
    sys.exit(run_functions(globals()))
