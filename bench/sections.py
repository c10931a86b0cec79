"""What bench/run measures, section by section: each function returns what targets.py takes.

Rates of different cases are only compared if they were taken in turn (A B A B), each with its neighbour in time, and a
figure is the median of such ratios: a machine that others share changes its speed within a second.
"""
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from device import Ceiling, DeviceError, Gmespd, Secgw
from frames import Frames
from own_core import OwnCore
from programs import ProgramError, median_rows
from secgw.config import configuration

PIPELINE_KEYS = ("ues", "bytes", "direction", "draw", "suite", "mode", "family")
SUITES = [("hmac-md5-96", "aes-cbc"), ("hmac-sha-1-96", "null"), ("hmac-md5-96", "null"),
          ("hmac-sha-1-96", "des-ede3-cbc"), ("hmac-md5-96", "des-ede3-cbc")]
DIRECTIONS = ("in", "out", "mixed")
OTHER_EVERY = 20  # 5 % of 3DES
LOADS = (10, 50, 80)  # percent of the loss-free maximum


@dataclass
class Plan:
    """How much of everything: the whole, or just enough to see that it works."""
    repeats: int = 5
    rounds: int = 15
    sizes: list = field(default_factory=lambda: [300, 600, 1400])
    ues: list = field(default_factory=lambda: [1, 1000, 100_000, 1_000_000])
    suites: list = field(default_factory=lambda: SUITES)
    ceiling_sizes: list = field(default_factory=lambda: [64, 300, 600, 1400, 1440])
    batches: list = field(default_factory=lambda: [1, 4, 16, 32, 64, 128])
    traffic_ues: int = 1000
    traffic_packets: int = 2_000_000
    trial_s: float = 1.0
    holds: int = 40  # trials, ten seconds in all: a minute is without loss at hardly any rate on a shared machine
    table: int = 1_000_000
    exchange_s: float = 10
    exchange_rate: int = 10_000
    sas: list = field(default_factory=lambda: [1, 1000, 100_000])
    frames: int = 4_000_000
    turns: int = 20  # in which devices have them
    turn_s: float = 0.1  # of those that have as much as they can take
    capture_packets: int = 65_536
    resolution: float = 0.02


SMOKE = Plan(repeats=1, rounds=3, sizes=[300], ues=[1, 1000], suites=SUITES[2:3],
             ceiling_sizes=[300], batches=[1, 4], traffic_ues=50, traffic_packets=20_000, trial_s=0.1, holds=2,
             table=2_000, exchange_s=0.5, exchange_rate=500, sas=[1, 10], frames=20_000, turns=2, capture_packets=1_024,
             turn_s=0.1, resolution=0.3)


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def pipeline(programs, plan):
    """Every case once in each repeat, so that all cases see the same moods of the machine."""
    sizes = ["--sizes", *plan.sizes, "--rounds", plan.rounds, "--reference"]
    both = ["--ues", *plan.ues, *sizes, "--direction", *DIRECTIONS, "--draw"]
    others = [["--integrity", mac, "--cipher", cipher] for mac, cipher in plan.suites]
    others += [["--mode", "udp-enc-tun"], ["--family", "6"]]
    runs = []
    for repeat in range(plan.repeats):
        for draw in ("random", "zipf"):
            say(f"pipeline {repeat + 1}/{plan.repeats}: numbers of UEs, {draw}")
            runs.append(programs.pipeline(*both, draw))
        for other in others:
            say(f"pipeline {repeat + 1}/{plan.repeats}: {' '.join(other)}")
            runs.append(programs.pipeline("--ues", min(1000, max(plan.ues)), *sizes, *other))
    return median_rows(runs, PIPELINE_KEYS)


def single(programs, plan):
    """Crypto alone, by batch; a burst of one packet among them."""
    sizes, batches = ["--sizes", *plan.ceiling_sizes], ["--batches", *plan.batches]
    runs = [programs.ceilings(*sizes, *batches) for _ in range(plan.repeats)]
    return median_rows(runs, ("suite", "direction", "bytes", "batch"))


def gmespd(programs, plan, capacity, **options):
    return Gmespd(programs.build, [programs.device_core], capacity, small_pages=programs.small_pages, **options)


class NeverTimed(ProgramError):
    """Mostly, the generator was away from its CPU whenever a packet was sent or came back."""


def latency(programs, plan):
    """Loss-free maximum, and latency at shares of it, on a core that runs nothing else. A size whose packets cannot be
    timed is told and left out."""
    rows = []
    with OwnCore(programs.device_core):
        for size in plan.sizes:
            say(f"latency: {size} B")
            try:
                rows += latency_of(programs, plan, size)
            except NeverTimed as error:
                say(f"latency: nothing measured with {size} B: {error}")
    return rows


def latency_of(programs, plan, size):
    """Cores of a virtual machine lie near each other in one second and far in the next, which halves what memif passes.
    So loads are of a rate that holds, trials are short, and each is held against the trial at 10 % right before it."""
    seconds = plan.trial_s / 4

    def gap_p99_us(loads):
        with device.stopped():
            return programs.gaps(programs.device_core, seconds, loads)["p99_us"]

    with gmespd(programs, plan, plan.traffic_ues + 100, ring_bits=10) as device:  # rings as NICs have them
        with SteppedTraffic(programs, plan, device, "--sizes", size, "--seconds", seconds) as traffic:
            fastest = traffic.step(0)
            maximum, rounds = rounds_of_load(traffic, plan, fastest["received_per_s"], gap_p99_us)
    return [{**fastest, "what": "maximum", "load": None, "loss_free_per_s": maximum},
            *(load_row(load, rounds) for load in LOADS)]


def rounds_of_load(traffic, plan, maximum, gap_p99_us):
    """The loss-free maximum, and rounds of a trial at each load. A round that loses packets shows that the maximum has
    changed: it is looked for again, and the round is of no load that has a name. One with a trial of which no packet
    was timed says nothing either."""
    maximum, rounds, untimed, most = held(traffic, maximum, plan.holds), [], 0, 40 * plan.repeats
    for _ in range(most):
        trials = [traffic.step(maximum * load / 100) for load in LOADS]
        if any(trial["lost"] for trial in trials):
            maximum = held(traffic, maximum, plan.holds)
            continue
        if not all(trial["latency"]["samples"] for trial in trials):
            untimed += 1
            continue
        rounds.append(round_of(trials, traffic.step(0)["received_per_s"], gap_p99_us))
        if len(rounds) == 4 * plan.repeats:
            return maximum, rounds
    if untimed > most / 2:
        raise NeverTimed(f"in {untimed} of {most} rounds of trials no packet could be timed; are --generator-core and "
                         "--device-core CPUs that run at the same time, and nobody else's?")
    raise ProgramError("traffic_generator: no maximum lasts long enough to be measured at")


def round_of(trials, fastest_per_s, gap_p99_us):
    """By load, its trial beside what the machine alone makes of it in the same second. `gap_p99_us`: of loads that are
    shares of what the device can do. A packet that waits for the machine takes that and what the fastest takes."""
    base_ns = trials[LOADS.index(10)]["latency"]["p50_ns"]
    gaps_us = gap_p99_us([min(trial["offered_per_s"] / fastest_per_s, 0.99) for trial in trials])
    return {load: {**trial, "fastest_per_s": fastest_per_s, "gap_p99_us": gap_us,
                   "p99_over_p50_at_10": trial["latency"]["p99_ns"] / base_ns,
                   "bound_over_p50_at_10": (trial["latency"]["min_ns"] + gap_us * 1e3) / base_ns}
            for load, trial, gap_us in zip(LOADS, trials, gaps_us)}


def load_row(load, rounds):
    """Of the trials at this load, medians and sums."""
    trials = [each[load] for each in rounds]
    row = {**trials[0], "what": f"load {load} %", "load": load}
    row["latency"] = {name: statistics.median(trial["latency"][name] for trial in trials) for name in row["latency"]}
    for name in ("offered_per_s", "received_per_s", "fastest_per_s", "gap_p99_us", "p99_over_p50_at_10",
                 "bound_over_p50_at_10"):
        row[name] = statistics.median(trial[name] for trial in trials)
    for name in ("sent", "received", "lost", "untimed"):
        row[name] = sum(trial[name] for trial in trials)
    return row


def held(traffic, rate, trials):
    """The first rate from this one downwards at which trial after trial is without loss: what holds for one good second
    is too much in the next."""
    for _ in range(80):
        if not any(traffic.step(rate)["lost"] for _ in range(trials)):
            return rate
        rate *= 0.97
    raise ProgramError(f"traffic_generator: packets are lost even at {rate:.0f}/s")


def churn(programs, plan):
    """Sets come and go in a full table, alone and under traffic; memory per SA."""
    with gmespd(programs, plan, plan.table + 10_000) as device:
        say(f"churn: {plan.table} sets")
        result = programs.churn(device, "--table", plan.table, "--seconds", plan.exchange_s, "--keep")
        result["memory"]["sas"] = 4 * plan.table
        result["traffic"] = churn_under_traffic(programs, plan, device)
    return result


class SteppedTraffic:
    """The generator; each step() is a trial. `has_sets`: they are installed already."""

    def __init__(self, programs, plan, device, *options, has_sets=False):
        self.process = None
        self.command = programs.generator_command(device, "--ues", plan.traffic_ues, "--packets", plan.traffic_packets,
                                                  "--step", *options, has_sets=has_sets)

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def step(self, rate_per_s):
        """0: as fast as it goes."""
        self.process.stdin.write(f"{rate_per_s}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise ProgramError("traffic_generator ended in the middle; what it said is above")
        return json.loads(line)

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


def churn_under_traffic(programs, plan, device):
    say(f"churn: {plan.exchange_rate} sets/s under half load")
    before, during, lost, exchanged = [], [], 0, []
    # It naps, since it shares its core with those who exchange sets.
    options = ["--pause-us", 50, "--seconds", plan.trial_s]
    with SteppedTraffic(programs, plan, device, *options, has_sets=True) as traffic:
        rate = traffic.step(0)["received_per_s"] / 2
        for _ in range(plan.repeats):
            before.append(traffic.step(rate)["received_per_s"])
            # Longer than a trial and the making of its packets.
            seconds = plan.trial_s * 4 + 4
            command = programs.churn_command(device, "--table", plan.table, "--attach", "--rate", plan.exchange_rate,
                                             "--seconds", seconds)
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as exchange:
                time.sleep(0.5)
                row = traffic.step(rate)
                is_whole = exchange.poll() is None
                said = exchange.communicate()[0]
            if exchange.returncode:
                raise ProgramError(f"{' '.join(command)}: exit status {exchange.returncode}")
            if not is_whole:
                say("churn: the exchange ended before the trial; not counted")
                continue
            exchanged.append(json.loads(said)["exchange"]["installed_per_s"])
            during.append(row["received_per_s"])
            lost += row["lost"]
    if not during:
        raise ProgramError("sa_churn: each exchange ended before the traffic beside it")
    return {"received_per_s_before": statistics.median(before), "received_per_s_during": statistics.median(during),
            "lost": lost, "exchanged_per_s": statistics.median(exchanged), "offered_per_s": rate}


def secgw(programs, plan, program):
    """gmespd and ipsec-secgw (if there is that program), same frames, same ports, same core, each stopped while the
    other has its turn: a neighbour on the machine that comes or goes is in few of their ratios. A number of SAs that
    one of them does not start with is told and left out."""
    runs = []
    for sas in plan.sas:
        with tempfile.TemporaryDirectory(prefix="gmesp-bench-", dir="/dev/shm") as folder:
            case = SecgwCase(programs, plan, program, Path(folder), sas)
            try:
                runs += [case.rows(repeat) for repeat in range(plan.repeats)]
            except DeviceError as error:
                say(f"secgw: nothing measured with {sas} SAs: {error}")
    return median_rows(runs, ("device", "sas", "bytes", "way"))


class SecgwCase:
    """Sets, configuration and frames of so many SAs, and both devices with them."""

    def __init__(self, programs, plan, program, folder, sas):
        self.programs, self.plan, self.program, self.sas = programs, plan, program, sas
        self.sets, self.config = folder / "sets", folder / "secgw.cfg"
        options = ["--ues", sas, "--one-sa", "--alike"]
        programs.capture("--sets", self.sets, *options)
        # Clear SIP may come again, ESP only once to a device.
        counts = {"downlink": min(plan.frames, plan.capture_packets), "uplink": plan.frames}
        self.frames = {}
        of_turn = plan.frames // plan.turns
        for way, count in counts.items():
            for size in (size for size in plan.sizes if size in (300, 1400)):
                path = folder / f"{way}-{size}"
                programs.capture("--differences", path, "--size", size, "--direction", way, "--packets", count,
                                 *options)
                self.frames[way, size] = Frames(programs.build, path, is_uplink=way == "uplink", packets=of_turn)
        with open(self.sets, encoding="ascii") as lines, open(self.config, "w", encoding="ascii") as out:
            out.writelines(line + "\n" for line in configuration(lines))

    def rows(self, repeat):
        rows = []
        for (way, size), frames in self.frames.items():
            say(f"secgw {repeat + 1}/{self.plan.repeats}: {self.sas} SAs, {size} B, {way}")
            rates = self.rates(frames)
            of_case = [{"device": name, "sas": self.sas, "bytes": size, "way": way,
                        "received_per_s": statistics.median(of_device)} for name, of_device in rates.items()]
            if self.program:
                of_case[0]["over_secgw"] = statistics.median(ours / theirs for ours, theirs in zip(*rates.values()))
            rows += of_case
        return rows

    def rates(self, frames):
        """Of each turn, by the names of the devices: ours first."""
        frames.close()
        turns, devices = self.plan.turns, list(self.devices(frames))
        with all_stopped(devices):
            rates = [[frames.turn(turn, device) for device in devices] for turn in range(turns)]
            shares = [frames.share_sent(turns, device) for device in devices]
        return {device.name: [rate * share for rate in of_device]
                for device, share, of_device in zip(devices, shares, zip(*rates))}

    def devices(self, frames):
        yield gmespd(self.programs, self.plan, self.sas + 100, sets=self.sets, **frames.devices())
        if self.program:
            yield Secgw(self.program, self.programs.device_core, self.config, self.sas, **frames.devices())


def captured(programs, captures, cores, sets, ues, packets):
    """A gmespd that turns clear SIP, which comes from memory again and again, into ESP that goes nowhere. `packets` in
    each of the captures."""
    host = "net_pcap1," + "".join(f"rx_pcap={capture}," for capture in captures) + "infinite_rx=1"
    return Gmespd(programs.build, cores, ues + 100, small_pages=programs.small_pages, access="net_null0,no-rx=1",
                  host=host, packet_buffers=packets * len(captures) + 16_384, sets=sets)


@contextlib.contextmanager
def all_stopped(devices):
    """A context: all are started, each to run in turns."""
    with contextlib.ExitStack() as running:
        for device in devices:
            running.enter_context(device)
            running.enter_context(device.stopped())
        yield


def rates_by_turns(plan, groups):
    """Packets/s of groups of stopped devices, each in one group. They run one group after the other, again and again,
    each for so short a time that all of them see the same moods of the machine."""
    seconds, packets = [0.0] * len(groups), [0] * len(groups)
    for turn in range(plan.turns):
        for number, group in enumerate(groups):
            with contextlib.ExitStack() as running:
                for device in group:
                    running.enter_context(device.resumed())
                if turn == 0:
                    packets[number] -= sum(device.sent() for device in group)
                start = time.monotonic()
                time.sleep(plan.turn_s)
                if turn == plan.turns - 1:
                    packets[number] += sum(device.sent() for device in group)
                seconds[number] += time.monotonic() - start
    return [count / time for count, time in zip(packets, seconds)]


def workers(programs, plan):
    """One and two workers of gmespd, one and two crypto ceilings, by turns: what the second adds."""
    cores = [programs.device_core, programs.generator_core]
    with tempfile.TemporaryDirectory(prefix="gmesp-bench-", dir="/dev/shm") as folder:
        captures, sets, ues, packets = [], Path(folder) / "sets", plan.traffic_ues * 2, plan.capture_packets
        programs.capture("--sets", sets, "--ues", ues)
        for number in range(2):  # UEs of their own for each worker, so that no packet is handed over
            captures.append(Path(folder) / f"{number}.pcap")
            programs.capture("--pcap", captures[-1], "--direction", "downlink", "--packets", packets,
                             "--ues", plan.traffic_ues, "--first-ue", number * plan.traffic_ues)
        one, two = (captured(programs, captures[:count], cores[:count], sets, ues, packets) for count in (1, 2))
        ceiling, *ceilings = (Ceiling(programs.build, core) for core in (cores[0], *cores))
        groups = [[one], [two], [ceiling], ceilings]
        with all_stopped([device for group in groups for device in group]):
            rows = [workers_row(*rates) for rates in repeated(plan, "workers", groups)]
    return median_rows([rows], ())[0]


def workers_row(one_per_s, two_per_s, ceiling_per_s, ceilings_per_s):
    gain = ceilings_per_s / ceiling_per_s
    return {"one_per_s": one_per_s, "two_per_s": two_per_s, "ceiling_gain": gain,
            "over_ceilings": two_per_s / one_per_s / gain}


def repeated(plan, name, groups):
    for repeat in range(plan.repeats):
        say(f"{name} {repeat + 1}/{plan.repeats}")
        yield rates_by_turns(plan, groups)


def mix(programs, plan):
    """5 % of packets on 3DES: all AES, all 3DES, and the mixture, by turns; and its latency over memif."""
    kinds = {"first_per_s": [], "other_per_s": ["--cipher", "des-ede3-cbc"],
             "mixed_per_s": ["--other-every", OTHER_EVERY]}
    devices = []
    with tempfile.TemporaryDirectory(prefix="gmesp-bench-", dir="/dev/shm") as folder:
        for kind, suite in kinds.items():
            capture, sets = Path(folder) / f"{kind}.pcap", Path(folder) / f"{kind}.sets"
            programs.capture("--pcap", capture, "--sets", sets, "--direction", "downlink", "--packets",
                             plan.capture_packets, "--ues", plan.traffic_ues, *suite)
            devices.append(captured(programs, [capture], [programs.device_core], sets, plan.traffic_ues,
                                    plan.capture_packets))
        with all_stopped(devices):
            rates = [dict(zip(kinds, row)) for row in repeated(plan, "mix", [[device] for device in devices])]
    result = median_rows([[{**row, "over_ideal": over_ideal(**row)} for row in rates]], ())[0]
    with gmespd(programs, plan, plan.traffic_ues + 100) as device:
        rows = programs.traffic(device, "--ues", plan.traffic_ues, "--other-every", OTHER_EVERY, "--search", "--loads",
                                50, "--packets", plan.traffic_packets, "--seconds", plan.trial_s, "--resolution",
                                plan.resolution, "--attempts", 3)
    return {**result, "share": 1 / OTHER_EVERY, "latency": rows[-1]["latency"],
            "other_latency": rows[-1]["other_latency"]}


def over_ideal(first_per_s, other_per_s, mixed_per_s):
    """The time that packets should take, each kind at its own speed, against the time that the mixture takes."""
    share = 1 / OTHER_EVERY
    return ((1 - share) / first_per_s + share / other_per_s) * mixed_per_s
