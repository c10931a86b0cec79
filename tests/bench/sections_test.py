#!/usr/bin/env python3
"""How bench/run measures, with devices and generators of the tests in place of real ones."""
import contextlib
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "bench"))

import sections  # noqa: E402
from programs import ProgramError  # noqa: E402


class Traffic:
    """In place of SteppedTraffic: `loses(rate, trial)` says which trials, counted from one, lose a packet, and `times`
    which can time any. Of what is sent as fast as it goes, 2,000 a second arrive."""

    def __init__(self, loses, times=lambda rate, trial: True):
        self.loses, self.times, self.rates = loses, times, []

    def step(self, rate):
        if rate == 0:
            return {"received_per_s": 2000}
        self.rates.append(rate)
        timed = int(self.times(rate, len(self.rates)))
        return {"offered_per_s": rate, "received_per_s": rate, "sent": 10, "received": 10, "untimed": 10 - timed,
                "lost": int(self.loses(rate, len(self.rates))),
                "latency": {"samples": timed, "min_ns": timed * 1000, "p50_ns": timed * 2000,
                            "p99_ns": timed * 10 * rate}}


def no_gaps(loads):
    return [0 for _ in loads]


class HeldRate(unittest.TestCase):
    def test_it_is_lossless_each_time(self):
        traffic = Traffic(lambda rate, trial: rate > 900 and trial % 5 == 0)  # now and then, of the faster ones
        self.assertAlmostEqual(sections.held(traffic, 1000, 5), 1000 * 0.97 ** 4)
        self.assertEqual(traffic.rates.count(traffic.rates[-1]), 5)
        self.assertEqual(sections.held(traffic, 900, 5), 900)
        with self.assertRaisesRegex(ProgramError, "lost even at"):
            sections.held(Traffic(lambda rate, trial: True), 1000, 5)

    def test_loads_are_of_a_maximum_that_still_holds(self):
        plan = sections.Plan(repeats=1, holds=5)
        # From the second round on the maximum is 700 in place of 1,000.
        traffic = Traffic(lambda rate, trial: rate > (1000 if trial <= 5 + 3 else 700))
        maximum, rounds = sections.rounds_of_load(traffic, plan, 1000, no_gaps)
        self.assertLessEqual(maximum, 700)
        self.assertGreater(maximum, 700 * 0.97)
        self.assertEqual(len(rounds), 4)
        self.assertEqual([rounds[0][load]["offered_per_s"] for load in (10, 50, 80)], [100, 500, 800])
        for trials in rounds[1:]:
            self.assertEqual([trials[load]["offered_per_s"] for load in (10, 50, 80)],
                             [maximum * load / 100 for load in (10, 50, 80)])
        with self.assertRaisesRegex(ProgramError, "no maximum lasts"):
            # Holds when looked for, never in a round.
            sections.rounds_of_load(Traffic(lambda rate, trial: rate < 900), plan, 1000, no_gaps)

    def test_a_round_with_an_untimed_trial_does_not_count(self):
        plan = sections.Plan(repeats=1, holds=5)
        traffic = Traffic(lambda rate, trial: False, lambda rate, trial: trial not in (6, 11))  # of rounds 1 and 2
        _, rounds = sections.rounds_of_load(traffic, plan, 1000, no_gaps)
        self.assertEqual((len(rounds), len(traffic.rates)), (4, 5 + 3 * (4 + 2)))
        self.assertTrue(all(trial["latency"]["samples"] for trials in rounds for trial in trials.values()))

    def test_losses_are_not_taken_for_want_of_time(self):
        plan = sections.Plan(repeats=1, holds=1)
        # Holds when looked for; of the rounds, the first is untimed and all others lose.
        traffic = Traffic(lambda rate, trial: trial > 4 and rate < 900, lambda rate, trial: trial > 4)
        with self.assertRaisesRegex(ProgramError, "no maximum lasts"):
            sections.rounds_of_load(traffic, plan, 1000, no_gaps)

    def test_a_size_that_cannot_be_timed_is_told_and_left_out(self):
        def latency_of(_, plan, size):
            traffic = Traffic(lambda rate, trial: False, lambda rate, trial: size == 600)
            return [sections.load_row(80, sections.rounds_of_load(traffic, plan, 1000, no_gaps)[1])]

        said = []
        with mock.patch.multiple(sections, latency_of=latency_of, OwnCore=contextlib.nullcontext, say=said.append):
            rows = sections.latency(mock.Mock(), sections.Plan(repeats=1, holds=1, sizes=[300, 600]))
        self.assertEqual([row["latency"]["samples"] for row in rows], [1])
        told, = (text for text in said if "nothing measured" in text)
        self.assertRegex(told, "300 B.* 40 of 40 rounds .*--generator-core")

    def test_each_round_has_its_own_bound(self):
        asked = []

        def gap_p99_us(loads):
            asked.append(loads)
            return [0, len(asked), 10 * len(asked)]  # each round worse than the one before

        plan = sections.Plan(repeats=1, holds=1)
        _, rounds = sections.rounds_of_load(Traffic(lambda rate, trial: False), plan, 1000, gap_p99_us)
        self.assertEqual(asked, [[0.05, 0.25, 0.4]] * 4)  # shares of what arrives at most, not of the maximum
        row = sections.load_row(80, rounds)
        self.assertEqual(row["p99_over_p50_at_10"], 8000 / 2000)
        self.assertEqual(row["gap_p99_us"], 25)
        self.assertEqual(row["bound_over_p50_at_10"], (1000 + 25_000) / 2000)


class Clock:
    """In place of the module `time`: each sleep takes longer than it was asked for."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds * 1.5


class Counting:
    """Stopped; sends so many packets a second while it runs, of which others may run at the same time."""

    running = set()

    def __init__(self, clock, rate):
        self.clock, self.rate, self.seconds, self.since, self.beside = clock, rate, 0.0, None, set()

    @contextlib.contextmanager
    def resumed(self):
        self.since = self.clock.monotonic()
        self.running.add(self)
        for device in self.running:
            device.beside |= self.running
        yield
        self.running.remove(self)
        self.seconds += self.clock.monotonic() - self.since

    def sent(self):
        assert self in self.running
        return self.rate * (self.seconds + self.clock.monotonic() - self.since)


class Turns(unittest.TestCase):
    def test_rates_are_of_the_time_that_each_group_has_run(self):
        clock = Clock()
        first, second, third = devices = [Counting(clock, rate) for rate in (1e6, 3e6, 5e6)]
        plan = sections.Plan(turns=5, turn_s=0.02)
        with mock.patch.object(sections, "time", clock):
            for _ in range(2):  # whatever they have sent before
                rates = sections.rates_by_turns(plan, [[first], [second, third]])
                self.assertAlmostEqual(rates[0], 1e6, delta=1)
                self.assertAlmostEqual(rates[1], 8e6, delta=1)
        self.assertEqual([device.beside for device in devices], [{first}, {second, third}, {second, third}])
        for device in devices:
            self.assertAlmostEqual(device.seconds, 2 * 5 * 0.03)


if __name__ == "__main__":
    unittest.main()
