#!/usr/bin/python3
"""The SIP screen of a running gmespd on real ports: what comes in clear, what comes protected, rules on command.

Usage: screen_test.py GMESPD GMESPCTL [CHECK...]. Needs root for its private namespaces; exit status 77 without. Each
check is a function; its docstring is the claim. Prints one line per check and GoogleTest's closing line.
"""
import os
import sys
import threading
import time
from pathlib import Path

SKIPPED = 77
if os.geteuid() != 0 or not os.path.exists("/dev/net/tun") or \
        os.system("unshare --net --mount --pid --ipc --fork true 2>/dev/null") != 0:
    print("screen_test: skipped: it makes network namespaces and TAP devices: run it as root, with /dev/net/tun")
    sys.exit(SKIPPED)
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))
sys.path.append(str(Path(__file__).resolve().parent.parent))
import lab  # noqa: E402
from real_ports import Gmespd, make_access_wire, running, wires  # noqa: E402
from ue import (PCSCF, Ue, _UDP, address_bytes, from_network, ip, read_frame, read_udp, udp)  # noqa: E402
from verdict import run_functions  # noqa: E402

SIP_PORT = 5060
REJECT = '[screen]\nnot_allowed = "reject"\nnot_allowed_status = 403\n[limits]\nsip_replies_per_second = 10\n'


def request(method, uri="sip:home.example", more="", call_id="a84b4c76e66710"):
    """One whole SIP request by UDP."""
    return (f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.64.0.1:5060;branch=z9hG4bKnashds8;rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:alice@home.example>;tag=1928301774\r\nTo: <sip:alice@home.example>\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 1 {method}\r\n{more}Contact: <sip:alice@10.64.0.1>\r\n"
            f"Content-Length: 0\r\n\r\n").encode()


def clear(text, source="10.64.0.1", port=SIP_PORT):
    ends = address_bytes(source), address_bytes(PCSCF)
    return from_network(ip(*ends, _UDP, udp(*ends, (port, SIP_PORT), text)))


def texts(frames, ports=None):
    """Payloads of the UDP datagrams among the frames."""
    found = []
    for frame in frames:
        datagram = read_udp(read_frame(frame)[1])
        if datagram and (ports is None or ports in (datagram[0], datagram[1])):
            found.append(datagram[2])
    return found


def sip_statistics(gmespd):
    return {name: value for name, value in gmespd.stats().items() if name.startswith("sip_") and value}


def rule(gmespd, name):
    return next(row for row in gmespd.ctl("screen", "list") if row["name"] == name)


def rule_file(name, text):
    path = lab.RUN / name
    path.write_text(text, encoding="utf-8")
    return path


# Shows: R-7.1-21
def test_clear_policy():
    """REGISTER, an emergency INVITE and an error response reach the host as they were sent; an INVITE and a 200 do
    not, are counted under their own reason and audited."""
    error = request("INVITE").replace(b"INVITE sip:home.example SIP/2.0", b"SIP/2.0 503 Service Unavailable")
    ok = request("INVITE").replace(b"INVITE sip:home.example SIP/2.0", b"SIP/2.0 200 OK")
    passing = [request("REGISTER"), request("INVITE", "urn:service:sos"), error]
    with running() as gmespd, wires() as (network, host):
        for text in (request("INVITE", "sip:bob@home.example"), *passing, ok):
            network.send(clear(text))
        frames = host.collect(lambda seen: len(texts(seen, SIP_PORT)) >= 3)
        assert texts(frames, SIP_PORT) == passing
        assert gmespd.drops() == {"sip_method_not_allowed": 1, "sip_response_not_allowed": 1}, gmespd.drops()
        counted = sip_statistics(gmespd)
        assert (counted["sip_method_allowed"], counted["sip_emergency"], counted["sip_response_allowed"]) == (1, 1, 1)
        assert texts(network.take(), SIP_PORT).count(ok) <= 1  # nothing was answered
        audit = (lab.RUN / "audit.log").read_text(encoding="utf-8")
        assert "sip_method_not_allowed" in audit and "home.example" not in audit


# Shows: R-7.1-21
def test_without_the_screen_all_clear_sip_is_the_proxys():
    """With the screen off, what it would refuse reaches the host as it was sent: an INVITE, a 200 and no SIP at
    all; nothing is answered, counted or dropped."""
    ok = request("INVITE").replace(b"INVITE sip:home.example SIP/2.0", b"SIP/2.0 200 OK")
    sent = [request("INVITE"), ok, b"no SIP", request("REGISTER")]
    with running(more="[screen]\nenabled = false\n") as gmespd, wires() as (network, host):
        for text in sent:
            network.send(clear(text))
        assert texts(host.collect(lambda seen: len(texts(seen, SIP_PORT)) >= len(sent)), SIP_PORT) == sent
        assert gmespd.drops() == {} and sip_statistics(gmespd) == {}
        assert not any(text.startswith(b"SIP/2.0 4") for text in texts(network.take()))


# Shows: R-7.1-21
def test_reject_is_a_right_answer_and_bounded():
    """A refused INVITE is answered with 403 to where it came from, as RFC 3261 8.2.6 has it; a hundred of them get no
    more answers than configured, and an ACK none."""
    with running(more=REJECT) as gmespd, wires() as (network, host):
        network.send(clear(request("INVITE")))
        answers = [text for text in texts(network.collect(
            lambda seen: any(text.startswith(b"SIP/2.0") for text in texts(seen)))) if text.startswith(b"SIP/2.0")]
        assert len(answers) == 1 and answers[0].startswith(b"SIP/2.0 403 Forbidden\r\n"), answers
        lines = answers[0].decode().split("\r\n")
        assert "Call-ID: a84b4c76e66710" in lines and "CSeq: 1 INVITE" in lines
        assert any(line.startswith("Via: SIP/2.0/UDP 10.64.0.1:5060") and "received=10.64.0.1" in line or
                   line.startswith("Via:") and "rport=5060" in line for line in lines), lines
        assert any(line.startswith("To: ") and ";tag=" in line for line in lines)
        network.take()
        for number in range(100):
            network.send(clear(request("INVITE", call_id=f"flood-{number}")))
        network.send(clear(request("ACK")))
        time.sleep(0.5)
        answers = [text for text in texts(network.take()) if text.startswith(b"SIP/2.0")]
        assert 1 <= len(answers) <= 12, len(answers)
        counted = sip_statistics(gmespd)
        assert counted["sip_replies"] == len(answers) + 1 and counted["sip_replies_left_out"] >= 88, counted
        assert texts(host.take(), SIP_PORT) == []


IDENTITY_DROP = """[[rule]]
name = "identity-drop"
where = "header"
header = "P-Asserted-Identity"
on = "protected"
messages = "requests"
action = "drop"
comment = "a UE must not assert an identity"
"""


# Shows: R-7.1-21
def test_rules_on_command():
    """A protected MESSAGE with P-Asserted-Identity is counted by the shipped rules and passes; after `screen load` of a
    file that drops it, it does not; a bad file, one that is missing and one that Hyperscan refuses are told with file
    and rule, and the rules in force stay."""
    message = request("MESSAGE", more="P-Asserted-Identity: <sip:eve@home.example>\r\n")
    ue = Ue(1)
    with running() as gmespd, wires() as (network, host):
        gmespd.load([ue])
        network.send(from_network(ue.protected(1, message)))
        assert texts(host.collect(lambda seen: message in texts(seen))).count(message) == 1
        shipped = [row for row in gmespd.ctl("screen", "list") if row["matched"]]
        assert shipped and all(row["action"] == "count" and row["dropped"] == 0 for row in shipped), shipped
        count = len(gmespd.ctl("screen", "list"))
        good = rule_file("drop.toml", IDENTITY_DROP)
        assert gmespd.ctl("screen", "load", good) == {"rules": count + 1}
        network.send(from_network(ue.protected(2, message)))
        lab.wait_for(lambda: gmespd.drops().get("sip_rule_protected") == 1, 10, "the drop")
        assert texts(host.take()).count(message) == 0
        assert rule(gmespd, "identity-drop")["dropped"] == 1
        assert rule(gmespd, shipped[0]["name"])["matched"] == shipped[0]["matched"] + 1  # goes on by name
        bad = {"syntax.toml": "[[rule]\n", "pattern.toml": IDENTITY_DROP.replace(
            'header = "P-Asserted-Identity"', 'header = "X"\npattern = "(unclosed"')}
        for name, text in bad.items():
            refused = gmespd.try_ctl("screen", "load", rule_file(name, text))
            assert refused.returncode == 1 and name in refused.stderr, refused
        gone = gmespd.try_ctl("screen", "load", lab.RUN / "gone.toml")
        assert gone.returncode == 2 and "gone.toml" in gone.stderr, gone
        assert len(gmespd.ctl("screen", "list")) == count + 1
        network.send(from_network(ue.protected(3, message)))
        lab.wait_for(lambda: gmespd.drops().get("sip_rule_protected") == 2, 10, "the old rules")
        assert gmespd.ctl("screen", "load", "--configured") == {"rules": count}
        stats = {row["name"]: row["value"] for row in gmespd.ctl("screen", "stats")["counters"]}
        assert stats["sip_rule_loads"] == 2 and stats["sip_rule_loads_refused"] == 2, stats
        assert stats["sip_rule_protected"] == 2, stats


# Shows: R-7.1-21
def test_swap_under_load_loses_nothing():
    """While rules are loaded over and over, protected messages, a thousand a second, all arrive, each once."""
    ue = Ue(1)
    files = [rule_file("one.toml", IDENTITY_DROP), rule_file("two.toml", IDENTITY_DROP.replace("drop", "other", 1))]
    with running() as gmespd, wires() as (network, host):
        lab.sh("ip link set gmesp0 txqueuelen 10000")
        gmespd.load([ue])
        done, sent = threading.Event(), []

        def send():
            while not done.is_set():
                text = request("MESSAGE", call_id=f"steady-{len(sent)}")
                network.send(from_network(ue.protected(len(sent) + 1, text)))
                sent.append(text)
                time.sleep(0.001)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            for turn in range(10):
                gmespd.ctl("screen", "load", files[turn % 2])
        finally:
            done.set()
            sender.join()
        frames = host.collect(lambda seen: len([t for t in texts(seen) if b"steady-" in t]) >= len(sent))
        arrived = [text for text in texts(frames) if b"steady-" in text]
        assert sorted(arrived) == sorted(sent), (len(arrived), len(sent), gmespd.drops())
        print(f"             {len(sent)} messages beside 10 loads")


# Shows: R-7.1-21
def test_bad_rules_stop_the_start():
    """gmespd does not start with a rule file that it cannot take, and says file, line and rule."""
    path = rule_file("start.toml", IDENTITY_DROP.replace('header = "P-Asserted-Identity"',
                                                         'header = "X"\npattern = "(unclosed"'))
    gmespd = Gmespd(more=f'[screen]\nrules = ["{path}"]\n')
    lab.wait_for(lambda: gmespd.process.popen.poll() is not None, 60, "gmespd's end")
    assert gmespd.process.popen.returncode != 0
    assert "start.toml:5" in gmespd.process.output() and "identity-drop" in gmespd.process.output()


def main():
    Gmespd.programs = tuple(sys.argv[1:3])
    make_access_wire()
    return run_functions(globals(), sys.argv[3:])


if __name__ == "__main__":
    sys.exit(lab.run_isolated(main))
