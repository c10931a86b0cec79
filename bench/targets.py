"""The figures that gmesp must reach, P1 to P10, from the results of a run. No measuring here: results in, lines out."""
from dataclasses import dataclass

REFERENCE = {"suite": "aes-cbc/hmac-sha-1-96", "mode": "transport", "family": 4, "ues": 1000}
P1_GOALS = {300: 0.68, 600: 0.77, 1400: 0.84}
P3_GOALS = {300: 0.72, 1400: 0.82}
P4_GOALS = {1: 1.1, 1000: 1.35, 100_000: 3.5}


@dataclass
class Figure:
    """`case`: which of the figures of this id. A figure without a goal is only reported. `bound`: what the machine
    alone makes of it, measured with no program of ours on it: no program has better."""
    id: str
    case: str
    value: float
    goal: float | None = None
    at_most: bool = False
    unit: str = ""
    bound: float | None = None

    def _is_as_good(self, value, other):
        return value <= other if self.at_most else value >= other

    @property
    def met(self):
        return None if self.goal is None else self._is_as_good(self.value, self.goal)

    @property
    def is_possible(self):
        """By the bound. One that the value itself has beaten is of a worse moment, and proves nothing."""
        return (self.bound is None or self._is_as_good(self.bound, self.goal)
                or not self._is_as_good(self.bound, self.value))

    def line(self):
        text = f"{self.id} {self.case} {shown(self.value)}{self.unit}"
        if self.goal is None:
            return text
        limit = "at most " if self.at_most else ""
        text += f" (goal {limit}{self.goal:g}{self.unit}) {'met' if self.met else 'missed'}"
        if self.met or self.is_possible:
            return text
        return f"{text}: impossible here, the machine alone makes it {shown(self.bound)}{self.unit}"


def shown(value):
    digits = 0 if abs(value) >= 1000 else 2 if abs(value) < 10 else 1
    return f"{value:.{digits}f}"


def find(rows, **wanted):
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


def pipeline_figures(rows):
    """P1, P2 and P3: of one direction at a time, UEs at random."""
    rows = [row for row in rows if row["direction"] in ("in", "out") and row["draw"] == "random"]
    reference = {(row["bytes"], row["direction"]): row for row in rows
                 if all(row.get(key) == value for key, value in REFERENCE.items())}
    for (size, way), row in reference.items():
        if size in P1_GOALS:
            yield Figure("P1", f"{size}B {way}", row["rate_over_bare"], P1_GOALS[size])
            # Bursts of each algorithm alone, where the library has them, are faster than its bursts of jobs.
            yield Figure("P1", f"{size}B {way}, of the library's fastest calls", row["rate_over_fastest"])
    for row in rows:
        if row["ues"] != REFERENCE["ues"] or row["family"] != 4 or row in reference.values():
            continue
        case = f"{row['suite']} {row['mode']} {row['bytes']}B {row['direction']}"
        if not row["suite"].startswith("des"):  # whose crypto takes so long that differences of it are noise
            yield Figure("P2", case, row["beyond_over_reference"], 1.15, at_most=True)
        else:
            yield Figure("P2", case, row["rate_over_bare"], 0.95)
    for size, way in reference:
        many = find(rows, **{**REFERENCE, "ues": 1_000_000, "bytes": size, "direction": way})
        if many and size in P3_GOALS:
            yield Figure("P3", f"{size}B {way}", many["rate_over_reference"], P3_GOALS[size])


def secgw_figures(rows):
    """P4: rows of one device each; what was held against the peer has this ratio."""
    for row in (row for row in rows if "over_secgw" in row):
        case = f"{row['bytes']}B {row['way']} {row['sas']} SAs"
        yield Figure("P4", case, row["over_secgw"], P4_GOALS.get(row["sas"]))


def single_figures(rows):
    """P5: an engine call with one packet."""
    for row in (row for row in rows if row["batch"] == 1):
        fastest = min(row["ipsec_mb_direct_ns"], row["openssl_direct_ns"], row["openssl_ns"])
        yield Figure("P5", f"{row['suite']} {row['bytes']}B {row['direction']}", row["engine_ns"] / fastest, 1.25,
                     at_most=True)


def latency_figures(rows):
    """P6: loads in percent of the loss-free maximum."""
    for size in sorted({row["bytes"] for row in rows}):
        loads = {row["load"]: row for row in rows if row["bytes"] == size and row.get("load")}
        if 10 not in loads:
            continue
        base = loads[10]["latency"]["p50_ns"]
        yield Figure("P6", f"{size}B p50 at 10 % load", base / 1e3, unit=" us")
        for load, goal in ((10, 4), (80, 12)):
            if load in loads:
                yield Figure("P6", f"{size}B p99 at {load} % load / p50 at 10 %",
                             loads[load]["p99_over_p50_at_10"], goal, at_most=True,
                             bound=loads[load]["bound_over_p50_at_10"])


def churn_figures(churn):
    """P7 and P8."""
    if "exchange" in churn:
        table = churn["table"]
        yield Figure("P7", f"sets installed, {table} in the table", churn["exchange"]["installed_per_s"], 100_000,
                     unit=" a second")
    if churn.get("traffic"):
        traffic = churn["traffic"]
        share = 100 * (1 - traffic["received_per_s_during"] / traffic["received_per_s_before"])
        yield Figure("P7", f"rate lost at {traffic['exchanged_per_s']:.0f} sets/s", share, 5, at_most=True, unit=" %")
        yield Figure("P7", "lost meanwhile", traffic["lost"], 0, at_most=True, unit=" packets")
    if "memory" in churn:
        memory = churn["memory"]
        yield Figure("P8", f"memory per SA at {memory['sas']} SAs", memory["bytes_per_sa"], 400, at_most=True,
                     unit=" bytes")


def worker_figures(workers):
    """P9: what a second worker adds, against what a second crypto ceiling adds: the cores may be threads of one."""
    yield Figure("P9", "two workers", workers["over_ceilings"], 0.95)


def mix_figures(mix):
    """P10: time that the packets should take, each kind at its own speed, against the time that the mixture takes."""
    yield Figure("P10", f"{100 * mix['share']:.0f} % 3DES", mix["over_ideal"], 0.90)
    if mix.get("latency", {}).get("samples"):  # none: no packet could be timed
        yield Figure("P10", "p99 of AES packets at half load", mix["latency"]["p99_ns"] / 1e3, unit=" us")


SECTIONS = {"pipeline": (("P1", "P2", "P3"), pipeline_figures), "secgw": (("P4",), secgw_figures),
            "single": (("P5",), single_figures), "latency": (("P6",), latency_figures),
            "churn": (("P7", "P8"), churn_figures), "workers": (("P9",), worker_figures),
            "mix": (("P10",), mix_figures)}


def figures(results):
    found = []
    for section, (_, of_section) in SECTIONS.items():
        if results.get(section):
            found += of_section(results[section])
    return sorted(found, key=lambda figure: int(figure.id[1:]))


def not_measured(results):
    """Ids of which a run has nothing."""
    measured = {figure.id for figure in figures(results)}
    return [name for names, _ in SECTIONS.values() for name in names if name not in measured]
