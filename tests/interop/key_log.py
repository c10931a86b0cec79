"""The keys of SA sets, taken from gmespd while they live, and Wireshark's verdict on the capture of a whole run.

A run sets up SAs that have an SPI between two addresses in common, one after the other: Kamailio counts from the start
again when it starts. Wireshark's table holds one key for each, so a run has epochs, and its capture is cut at their
borders. note() is called before the first packet of a set is sent; thus each packet lies in an epoch that has its keys,
and no old ones in their place.
"""
import csv
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import lab
import wire

WHOLE_RUN_METHODS = ("REGISTER", "MESSAGE", "INVITE")

_GLOBAL_HEADER_BYTES, _RECORD_HEADER_BYTES = 24, 16
# A body that is no SIP may look like one of these.
_NOT_THERE = [word for name in ("rtp", "rtcp", "tipc") for word in ("--disable-protocol", name)]
_FIELDS = ("frame.number", "esp.spi", "esp.icv_good", "_ws.malformed", "sip.Method", "sip.Status-Code")
_VERDICTS = {"1": "good", "True": "good", "0": "bad", "False": "bad"}


@dataclass
class Verdict:
    """`good`, `bad` and `unknown` (no key) count ESP packets by SPI; `methods` and `statuses` SIP that was ciphered;
    `malformed` are frames of any kind, as (epoch, number)."""

    good: Counter = field(default_factory=Counter)
    bad: Counter = field(default_factory=Counter)
    unknown: Counter = field(default_factory=Counter)
    methods: Counter = field(default_factory=Counter)
    statuses: Counter = field(default_factory=Counter)
    malformed: list = field(default_factory=list)

    def __str__(self):
        return (f"{self.good.total()} ESP packets good, {self.bad.total()} bad, {self.unknown.total()} without key, "
                f"{len(self.malformed)} frames malformed; inside {dict(self.methods)}")


class KeyLog:
    """`ctl(words...)` runs gmespctl. Threading: note() may be called from any thread."""

    def __init__(self, ctl):
        self._ctl, self._lock, self._exports = ctl, threading.Lock(), 0
        self._epochs = [(0.0, {})]  # (first second since 1970, {what Wireshark finds a key by: its line})

    def forget(self):
        """What comes from now on is no SA's that has been noted."""
        with self._lock:
            self._epochs.append((time.time(), {}))

    def note(self):
        """Asks gmespd for the keys of all sets that it holds."""
        with self._lock:
            self._exports += 1
            path = lab.RUN / f"exported-{self._exports}"
            self._ctl("sa", "export-keys", "--i-want-keys", "--all", "--output", path)
            lines = path.read_text(encoding="utf-8").splitlines()
            path.unlink()
            found = {tuple(row[:4]): line for row, line in zip(csv.reader(lines), lines)}
            lines = self._epochs[-1][1]
            if any(lines.get(name, line) != line for name, line in found.items()):
                self._epochs.append((time.time(), lines | found))
            else:
                lines.update(found)

    def note_before(self, ue):
        """Has the keys of every set noted before the UE sends its first packet on it."""
        hold = ue.hold

        def note_and_hold(held):
            self.note()
            hold(held)

        ue.hold = note_and_hold

    def assert_all_good(self, capture, folder, sip_ports, methods, drops):
        """Every ESP packet was ciphered with the keys that gmespd had, but for those of the `drops` that it has counted
        (reason: packets); among them are requests of these methods."""
        verdict = self.judge(capture, folder, sip_ports)
        print(f"Wireshark, with exported keys: {verdict}", flush=True)
        found = {"icv_wrong": verdict.bad.total(), "unknown_spi": verdict.unknown.total()}
        if found != {reason: drops.get(reason, 0) for reason in found} or verdict.malformed:
            raise AssertionError(f"Wireshark: {found}, gmespd: {dict(drops)}; malformed: {verdict.malformed}")
        if missing := set(methods) - set(verdict.methods):
            raise AssertionError(f"Wireshark: no {missing} in ESP")

    def judge(self, capture, folder, sip_ports):
        """Verdict on a pcap file. `folder` gets a piece of it for each epoch, beside a Wireshark profile that opens it;
        `sip_ports` is the (low, high) of the ports on which SIP is spoken."""
        verdict = Verdict()
        for number, (piece, lines) in enumerate(self._pieces(capture)):
            profile = folder / f"{number:02}"
            wire.write_wireshark_profile(profile, lines.values(), range(sip_ports[0], sip_ports[1] + 1))
            (profile / "access.pcap").write_bytes(piece)
            _judge(profile, number, verdict)
        return verdict

    def _pieces(self, capture):
        """(pcap, lines) of each epoch in which there is a packet. (tcpdump, little-endian, microseconds.)"""
        data, at = capture.read_bytes(), _GLOBAL_HEADER_BYTES
        borders = [first_s for first_s, _ in self._epochs[1:]] + [float("inf")]
        for end_s, (_, lines) in zip(borders, self._epochs):
            begin = at
            while at + _RECORD_HEADER_BYTES <= len(data):
                seconds, microseconds, stored_bytes = struct.unpack_from("<III", data, at)
                if seconds + microseconds / 1e6 >= end_s:
                    break
                at += _RECORD_HEADER_BYTES + stored_bytes
            if at > begin:
                yield data[:_GLOBAL_HEADER_BYTES] + data[begin:at], lines


def _judge(profile, epoch, verdict):
    columns = [word for name in _FIELDS for word in ("-e", name)]
    shown = f"{wire.SENT_ESP} || _ws.malformed"
    for line in wire.tshark(profile / "access.pcap", profile, "-n", "-Y", shown, *_NOT_THERE, "-T", "fields", *columns):
        number, spis, is_good, malformed, methods, statuses = line.split("\t")
        if malformed:
            verdict.malformed.append((epoch, int(number)))
        if not spis:
            continue
        by_spi = getattr(verdict, _VERDICTS.get(is_good, "unknown"))
        by_spi[int(spis, 16)] += 1
        verdict.methods.update(filter(None, methods.split(",")))
        verdict.statuses.update(filter(None, statuses.split(",")))
