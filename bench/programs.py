"""The measuring programs of bench/ as functions: run one, get what it printed as JSON. All are bound to cores."""
import json
import statistics
import subprocess
from pathlib import Path


SEED = 1  # of what is drawn; pipeline_rate has the same


class ProgramError(RuntimeError):
    """A measuring program failed; the text is what it said."""


class Programs:
    """`build`: a build folder. `cores`: the CPU of the measured program or generator, and that of the device."""

    def __init__(self, build, generator_core, device_core, small_pages=False):
        self.build = Path(build)
        self.generator_core, self.device_core = generator_core, device_core
        self.small_pages = small_pages

    def command(self, name, *arguments, core=None):
        program = [str(self.build / "bench" / name)] + [str(argument) for argument in arguments]
        return (["taskset", "-c", str(core)] if core is not None else []) + program

    def run(self, command):
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise ProgramError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr.strip()[-2000:]}")
        return done.stdout

    def pages(self):
        return ["--small-pages"] if self.small_pages else []

    def pipeline(self, *arguments):
        """Rows of pipeline_rate: the worker loop from memory to memory, beside IPsec-MB alone."""
        return json.loads(self.run(self.command("pipeline_rate", "--json", *self.pages(), *arguments,
                                                core=self.device_core)))

    def ceilings(self, *arguments):
        """Rows of crypto_ceiling."""
        return json.loads(self.run(self.command("crypto_ceiling", "--json", *arguments, core=self.device_core)))

    def gaps(self, core, seconds, loads):
        """What the machine takes from a core on which only a spinning thread runs; the p99 that it makes of each load,
        a share of what a program can do there, in microseconds."""
        return json.loads(self.run(self.command("core_gaps", "--seconds", seconds, "--loads", *loads, core=core)))

    def generator_command(self, device, *arguments, has_sets=False):
        socket = ["--has-sets"] if has_sets else ["--socket", device.socket]
        access, host = (device.peer(port, copies=self.small_pages) for port in (0, 1))
        return self.command("traffic_generator", "--json", "--access", access, "--host", host,
                            "--core", self.generator_core, "--seed", SEED, *socket, *self.pages(), *arguments)

    def traffic(self, device, *arguments, has_sets=False):
        return json.loads(self.run(self.generator_command(device, *arguments, has_sets=has_sets)))

    def churn_command(self, device, *arguments):
        return self.command("sa_churn", "--json", "--socket", device.socket, *arguments, core=self.generator_core)

    def churn(self, device, *arguments):
        return json.loads(self.run(self.churn_command(device, *arguments)))

    def capture(self, *arguments):
        self.run(self.command("esp_capture", "--seed", SEED, *arguments))


def median_rows(runs, keys):
    """Rows of the same cases from several runs: numbers become their medians. `keys` name a case."""
    cases = {}
    for row in (row for rows in runs for row in rows):
        cases.setdefault(tuple(row[key] for key in keys), []).append(row)
    merged = []
    for rows in cases.values():
        row = dict(rows[0])
        for name, value in row.items():
            if name not in keys and isinstance(value, (int, float)) and not isinstance(value, bool):
                row[name] = statistics.median(other[name] for other in rows)
        merged.append(row)
    return merged
