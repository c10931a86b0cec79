"""A CPU without other tasks while something is measured on it, for machines that were not started with isolcpus."""
import os
from pathlib import Path


def tasks():
    """Ids of all threads of the machine."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*/task/[0-9]*")]


def cpus_of(task):
    """None: the task is gone."""
    try:
        return frozenset(os.sched_getaffinity(task))
    except ProcessLookupError:
        return None


def give(task, cpus):
    """False: the task is bound for good (threads of the kernel for one CPU), is gone, or belongs to somebody else."""
    try:
        os.sched_setaffinity(task, cpus)
    except OSError:
        return False
    return True


class OwnCore:
    """Context manager: tasks that may run on `core` and elsewhere only run elsewhere, but for those of this process and
    what it starts. Takes root to move those of others. Left, all may run where they might before."""

    def __init__(self, core):
        self.core = core
        self.before = {}  # by task that was moved
        self.seen = set()

    def __enter__(self):
        own = {int(path.name) for path in Path("/proc/self/task").iterdir()}
        self.seen = set(tasks())
        for task in self.seen - own:
            cpus = cpus_of(task)
            if cpus and self.core in cpus and len(cpus) > 1 and give(task, cpus - {self.core}):
                self.before[task] = cpus
        return self

    def __exit__(self, *_):
        narrowed = {cpus - {self.core}: cpus for cpus in self.before.values()}
        for task in tasks():
            # What a moved task has started meanwhile is as narrow as it was.
            cpus = self.before.get(task) if task in self.seen else narrowed.get(cpus_of(task))
            if cpus:
                give(task, cpus)
