#!/usr/bin/python3
"""A registered phone talks SIP through gmespd: shown step by step, on one machine without a NIC."""
import argparse
import shutil
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "ue")]
import lab  # noqa: E402
lab.require()  # before the imports below fail on what it names
import clear_ports  # noqa: E402
import demo_registration  # noqa: E402
import sa_sets  # noqa: E402
import sip_flows  # noqa: E402
import wire  # noqa: E402
from world import World  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
_PICTURE = """
  UE ══ESP══▶ access network ══ESP══▶ ┌────────┐ ──clear SIP──▶ P-CSCF host
  Linux kernel  router and NAT        │ gmespd │  gmesp0 (TAP)  SIPp
  in UML        wire0 ── veth ── acc0 └────────┘
"""


class Story:
    """Prints steps as they happen and remembers whether one failed."""

    def __init__(self):
        self.began = time.monotonic()
        self.failed = 0

    def chapter(self, text):
        print(f"\n{text}", flush=True)

    def step(self, ok, text, note=""):
        self.failed += not ok
        mark = "[ok]  " if ok else "[FAIL]"
        print(f"  {mark} {text:<82} {note}".rstrip(), flush=True)

    def done(self, text, seconds):
        self.step(True, text, f"{seconds:4.1f} s")

    # What the checks shared with kernel_matrix.py report to.
    def check(self, ok, what):
        if not ok:
            self.step(False, what)
        return ok

    def group(self, text):
        self.step(True, text)


def set_up_sas(story, world):
    story.chapter("2. Registration: the clear part, and the SAs")
    first = world.sets[0]
    story.step(sip_flows.clear_register(world, first),
               "REGISTER in clear to port 5060, 401 back: gmespd lets it pass")
    world.gmespd.load(world.all_sets)
    story.step(True, f"gmespctl, a process of its own, pushed {len(world.all_sets)} SA sets over "
               "shared memory;")
    print("         two of them are for chapter 4, on the others SIP will run:")
    for sa_set in world.sets:
        nat = "UDP-encapsulated tunnel" if sa_set.mode == sa_sets.TUNNEL else "transport"
        print(f"           IPv{sa_set.family} {nat:<24} {sa_set.cipher:<13} {sa_set.integrity}")


def talk(story, world):
    story.chapter("3. SIP through ESP (each line: SIPp to SIPp, every request answered with 200)")
    for sa_set in world.sets:
        mode = "behind NAT" if sa_set.mode == sa_sets.TUNNEL else "transport "
        for transport in ("UDP", "TCP"):
            for from_ue in (True, False):
                result = sip_flows.session(world, sa_set, transport, from_ue)
                way = "UE -> P-CSCF" if from_ue else "P-CSCF -> UE"
                steps = ", ".join(step.split()[0] for step in result.steps)
                text = f"IPv{sa_set.family} {mode} {transport} {way}: {steps}"
                story.step(result.ok, text, f"{result.seconds:4.1f} s {result.detail}".rstrip())


def attack(story, world, spares):
    story.chapter("4. What must not pass")
    before = world.gmespd.drops()
    attacked = []
    for sa_set in world.sets:
        world.injector.drain()
        sip_flows.session(world, sa_set, "UDP", True)
        genuine = world.injector.last_esp(sa_set.spi_ps)
        if genuine:
            world.injector.replay(genuine)
            world.injector.spoiled(sa_set, sequence=1_000_000)
            attacked.append(sa_set)
    expected = {**before, "replay_seen": len(attacked), "icv_wrong": len(attacked)}
    drops = world.drops_settled(expected)
    same = len(attacked) == len(world.sets) and drops == expected
    story.step(same, f"{len(attacked)} packets replayed and {len(attacked)} with a wrong ICV: "
               "each dropped, counted", "" if same else str(drops))
    for check, text in (
            (lambda: clear_ports.test_from_the_network(story, world, world.sets),
             "clear UDP and TCP to protected ports: dropped before the host"),
            (lambda: clear_ports.test_from_a_program(story, world, spares),
             "a program on the host sends in clear from protected ports: dropped"),
            (lambda: clear_ports.test_deleted_set(story, world, spares),
             "SA set deleted under an open TCP connection: not even its FIN leaves")):
        failed = story.failed
        check()
        if story.failed == failed:
            story.step(True, text)
    return len(attacked)


def judge_wire(story, world, spoiled):
    story.chapter("5. The access wire, judged by Wireshark")
    world.capture.stop()
    leaks = wire.clear_leaks(world.capture_path, world.injector.clear_sent)
    story.step(not leaks, "no packet of a protected port crossed the wire in clear",
               f"{len(leaks)} did" if leaks else "")
    verdicts = wire.icv_verdicts(world.capture_path, world.profile)
    story.step(verdicts["bad"] == spoiled and verdicts["good"] > 0 and not verdicts["none"],
               f"{verdicts['good']} ESP packets decrypted with a good ICV, "
               f"{verdicts['bad']} bad: the spoiled ones")
    up, down = wire.encapsulation_ports(world.capture_path)
    translated = up - {sa_sets.ENCAPSULATION_PORT}  # the spoiled packets came from 4500 itself
    shown = ", ".join(map(str, sorted(translated)))
    story.step(bool(down) and down <= translated,
               f"the NAT changed UDP port 4500 to {shown}; gmespd learned it and answers there")
    sizes = wire.tshark(world.capture_path, world.profile, "-Y", "sip.Method == MESSAGE && udp",
                        "-T", "fields", "-E", "occurrence=l", "-e", "udp.length")
    largest = max((int(size) - 8 for size in sizes if size), default=0)
    story.step(largest > 4000, f"the largest SIP message over UDP had {largest:,} bytes, in "
               "fragments of ESP")
    errors = world.guest.xfrm_errors()
    story.step(not errors, "the UE's kernel counts no ESP error", str(errors or ""))


def show_counters(world):
    print("\n6. gmespd's counters")
    for title, words in (("drops", ("drops",)), ("statistics", ("stats",)),
                         ("SA sets", ("sa", "list"))):
        print(f"  {title}")
        for line in world.gmespd.ctl(*words).splitlines():
            print(f"    {line}")


def run(arguments):
    story = Story()
    output = arguments.output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    print("gmesp: protected SIP signalling, from the phone's kernel to the P-CSCF's SIP server")
    print(_PICTURE)
    finished = False
    try:
        story.chapter("1. A network without hardware")
        spares = clear_ports.spare_sets()[:2]
        world = World(arguments.build.resolve(), output, sa_sets.demo_sets(), story.done,
                      silent_sets=spares)
        set_up_sas(story, world)
        talk(story, world)
        spoiled = attack(story, world, spares)
        judge_wire(story, world, spoiled)
        show_counters(world)
        if story.failed:
            world.guest.collect_logs()
        world.end()
        demo_registration.show(story, arguments.build.resolve())
        finished = True
        if story.failed:
            lab.keep_logs(output / "logs")
    finally:
        if not finished:
            shutil.rmtree(output, ignore_errors=True)
    show_result(story, world, output)
    return 1 if story.failed else 0


def show_result(story, world, output):
    seconds = time.monotonic() - story.began
    print(f"\n{'FAILED' if story.failed else 'Everything as it should be'}, {seconds:.0f} s. "
          "No process, namespace or file of this run is left, but for:")
    print(f"  capture (access side)   {world.capture_path}")
    print(f"  keys for it             {world.profile / 'esp_sa'}")
    print("Open it, decrypted, with:")
    print(f"  WIRESHARK_CONFIG_DIR={world.profile} wireshark {world.capture_path}")
    if story.failed:
        print(f"Logs: {output / 'logs'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo",
                        help="where the capture and its keys go; emptied first")
    arguments = parser.parse_args()
    return lab.run_isolated(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
