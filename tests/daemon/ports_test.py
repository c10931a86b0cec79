#!/usr/bin/python3
"""gmespd on real ports: a veth towards the UEs (AF_PACKET), a TAP towards the host, independent ESP on the outside.

Usage: ports_test.py GMESPD GMESPCTL [CHECK...]. Needs root for its private namespaces; exit status 77 without. Each
check is a function; its docstring is the claim. GMESP_FULL=1 takes a million sets where otherwise 50,000 do, and
100,000 where otherwise 10,000 do. Prints one line per check and GoogleTest's closing line.
"""
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

SKIPPED = 77


def require_namespaces():
    """Ends the program with 77 where the private world cannot be made."""
    if os.geteuid() != 0:
        why = "it makes network namespaces and TAP devices: run it as root"
    elif not os.path.exists("/dev/net/tun"):
        why = "/dev/net/tun is missing: modprobe tun"
    elif os.system("unshare --net --mount --pid --ipc --fork true 2>/dev/null") != 0:
        why = "the kernel gives no new namespaces"
    else:
        return
    print(f"ports_test: skipped: {why}")
    sys.exit(SKIPPED)


require_namespaces()
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))
sys.path.append(str(Path(__file__).resolve().parent.parent))
import lab  # noqa: E402
from real_ports import Gmespd, joined_by_testpmd, make_access_wire, running, wires  # noqa: E402
from steady_traffic import SteadyTraffic  # noqa: E402
from ue import (ENCAPSULATION_PORT, TUNNEL, Ue, delivered, esp_of, from_host, from_network,  # noqa: E402
                from_outer_port, opened, read_frame)
from verdict import run_functions  # noqa: E402

FULL = os.environ.get("GMESP_FULL") == "1"
HUGE_PAGE_BYTES = 2 << 20
IDS_PER_COMMAND = 5000


# --- one exchange ----------------------------------------------------------------------------------

def round_trip(network, host, ue, sequence, text, outer_port=ENCAPSULATION_PORT, vlan=None):
    """One request in and one answer out; what each side got."""
    network.take(), host.take()
    network.send(from_network(ue.protected(sequence, b"up " + text, outer_port), vlan))
    up = delivered(host.collect(delivered, 5, quiet_s=0.05))
    host.send(from_host(ue.clear_down(b"down " + text), vlan))
    down = opened(network.collect(lambda frames: opened(frames, [ue]), 5, quiet_s=0.05), [ue])
    return up, down


def check_round_trip(network, host, ue, sequence, **settings):
    text = b"%d/%d" % (ue.number, sequence)
    vlan = settings.get("vlan")
    up, down = round_trip(network, host, ue, sequence, text, **settings)
    assert up == [(vlan, b"up " + text)], (up, sequence)
    assert [row[:2] + row[3:4] for row in down] == [(vlan, ue.number, b"down " + text)], (down, sequence)
    return down[0][4]


def wait_for_event(events, kind, **fields):
    def matching():
        return [event for event in list(events) if event["event"] == kind
                and all(event.get(name) == value for name, value in fields.items())]
    return lab.wait_for(matching, 10, f"event {kind} {fields} among {Counter(e['event'] for e in events)}")


# --- checks --------------------------------------------------------------------------------------

# Shows: R-D-U1
def test_vlan_tags_are_kept():
    """Tagged ESP comes out clear with its tag, the tagged answer comes out as ESP with its tag, with scapy's ESP too;
    a tag does not open a protected port to clear traffic, in either direction."""
    import scapy_esp
    with running() as gmespd, wires() as (network, host):
        ue, judged = Ue(1), Ue(2)
        gmespd.load([ue, judged])
        for sequence, vlan in enumerate((7, 4094, 0x6000 | 100, None), start=1):
            check_round_trip(network, host, ue, sequence, vlan=vlan)
        network.take(), host.take()
        network.send(from_network(scapy_esp.protect(judged, 1, b"scapy up"), 7))
        assert delivered(host.collect(delivered)) == [(7, b"scapy up")]
        host.send(from_host(judged.clear_down(b"scapy down"), 7))
        frames = network.collect(lambda seen: opened(seen, [judged]))
        packets = [read_frame(frame) for frame in frames if esp_of(read_frame(frame)[1])]
        assert [vlan for vlan, _ in packets] == [7]
        assert scapy_esp.unprotect(judged, packets[0][1]) == b"scapy down"
        assert gmespd.drops() == {}, gmespd.drops()
        network.send(from_network(judged.clear_up(b"clear"), 7))
        host.send(from_host(Ue(3).clear_down(b"clear"), 7))
        check_round_trip(network, host, ue, 5, vlan=7)
        assert gmespd.drops() == {"clear_to_protected_port": 1, "no_sa_for_protected_port": 1}, gmespd.drops()


# Shows: R-D-A1
def test_two_workers_share_the_traffic():
    """With two workers every packet of many SAs arrives exactly once, though a copy comes on the other queue; no
    outbound sequence number is used twice; what reaches the wrong worker is handed to the owner of its SA."""
    rounds = 60
    direct, behind_nat = [Ue(number) for number in range(40)], [Ue(number, TUNNEL) for number in range(40, 60)]
    ues = direct + behind_nat
    with running(workers=2) as gmespd, wires() as (network, host):
        gmespd.load(ues)
        for sequence in range(1, rounds + 1):
            for ue in ues:
                text = b"%d/%d" % (ue.number, sequence)
                packet = ue.protected(sequence, b"up " + text, 20000 + sequence)
                network.send(from_network(packet))
                if ue in behind_nat:  # from another port, so that the kernel may choose the other queue
                    network.send(from_network(from_outer_port(packet, 30000 + sequence)))
                host.send(from_host(ue.clear_down(b"down " + text)))
                time.sleep(0.0004)
        sent, copies = rounds * len(ues), rounds * len(behind_nat)
        up = delivered(host.collect(lambda seen: len(delivered(seen)) >= sent))
        down = opened(network.collect(lambda seen: len(opened(seen, ues)) >= sent - len(behind_nat)), ues)
        stats, ports, drops = gmespd.stats(), gmespd.ports(), gmespd.drops()
    every = [b"%d/%d" % (ue.number, sequence) for ue in ues for sequence in range(1, rounds + 1)]
    assert Counter(payload for _, payload in up) == Counter(b"up " + text for text in every), (len(up), sent, drops)
    assert drops.pop("replay_seen") == copies, (drops, copies)
    # A tunnel's answer has nowhere to go before its first request has come.
    unsent = drops.pop("peer_port_unknown", 0)
    assert drops == {}, drops
    missing = Counter(b"down " + text for text in every)
    missing.subtract(row[3] for row in down)
    assert min(missing.values()) == 0 and missing.total() == unsent, (len(down), sent, unsent)
    assert len({row[1:3] for row in down}) == len(down), "a sequence number was used twice"
    assert ports["access0"]["queues"] == 2, ports
    assert stats["handed_off"] > 0, stats
    print(f"             {stats['handed_off']} of {2 * sent + copies} packets handed over")


# Shows: R-C-07
def test_a_port_goes_down_and_comes_up():
    """A port that loses its link, or is set down, is told by `ports` and `watch`; gmespd goes on, and when the port is
    back traffic flows on the same SAs, no sequence number used twice. What could not be sent is counted."""
    ue, counted = Ue(1), 0
    with running() as gmespd, wires() as (network, host), gmespd.watching() as events:
        gmespd.load([ue])
        check_round_trip(network, host, ue, 1)
        for sequence, interface in enumerate(("wire0", "acc0", "gmesp0"), start=2):
            name, number = ("host0", 1) if interface == "gmesp0" else ("access0", 0)
            del events[:]
            lab.sh(f"ip link set {interface} down")
            wait_for_event(events, "port_down", value=number)
            assert not gmespd.ports()[name]["link_up"]
            offered = offer_while_down(network, host, ue, sequence, interface)
            lab.sh(f"ip link set {interface} up")
            wait_for_event(events, "port_up", value=number)
            assert gmespd.ports()[name]["link_up"]
            came, missed = check_traffic_is_back(network, host, ue, 10_000 * sequence + 5000)
            unsent = gmespd.drops()["transmit_full"] - counted
            counted += unsent
            assert came + unsent == offered + missed, (interface, came, unsent, offered, missed, gmespd.drops())
            print(f"             {interface} down: {unsent - missed} of {offered} packets dropped, {came} came late")
        rows = gmespd.ctl("sa", "list")
        assert [row["spi_ps"] for row in rows] == [ue.spi_ps], rows


def offer_while_down(network, host, ue, sequence, interface, packets=2000):
    """More than a transmit queue holds, from the side that is still up."""
    for number in range(1, packets + 1):
        if interface == "gmesp0":
            network.send(from_network(ue.protected(10_000 * sequence + number, b"while down")))
        else:
            host.send(from_host(ue.clear_down(b"while down")))
        if number % 50 == 0:
            time.sleep(0.01)
    return packets


def check_traffic_is_back(network, host, ue, sequence):
    """Packets each way until they pass (a full queue costs the first one). Returns how many of those offered while down
    came now, since drivers keep a queue, and how many of the new ones it took in vain."""
    up, down = [], []
    for attempt in range(1, 6):
        network.send(from_network(ue.protected(sequence + attempt, b"back up")))
        host.send(from_host(ue.clear_down(b"back down")))
        up += [payload for _, payload in delivered(host.collect(delivered, 2))]
        down += opened(network.collect(lambda frames: opened(frames, [ue]), 2), [ue])
        payloads = Counter(up + [row[3] for row in down])
        if payloads[b"back up"] and payloads[b"back down"]:
            break
    assert set(payloads) <= {b"while down", b"back up", b"back down"}, payloads
    assert payloads[b"back up"] and payloads[b"back down"], payloads
    assert max(payloads[b"back up"], payloads[b"back down"]) <= attempt, payloads
    assert len({row[2] for row in down}) == len(down), "a sequence number was used twice"
    return payloads[b"while down"], 2 * attempt - payloads[b"back up"] - payloads[b"back down"]


# Shows: R-D-K2
def test_sa_memory_on_hugetlbfs():
    """SA memory on hugetlbfs takes its pages at start, carries traffic, keeps no key after removal and gives the pages
    back; too few hugepages there, or for packet buffers, are told with what was found and what it takes."""
    mount = huge_mount("huge", pages=16)
    if mount is None:
        print("             this machine has no free hugepages: only their absence is shown")
    else:
        ue = Ue(1)
        with running(memory_path=f"{mount}/sa") as gmespd, wires() as (network, host):
            gmespd.load([ue])
            check_round_trip(network, host, ue, 1)
            memory = mount / "sa"
            assert memory.stat().st_size % HUGE_PAGE_BYTES == 0 and memory.stat().st_mode & 0o777 == 0o600
            assert free_pages(mount) == 16 - memory.stat().st_size // HUGE_PAGE_BYTES
            assert ue.cipher_key in memory.read_bytes()
            gmespd.ctl("sa", "flush", "--yes")
            assert ue.cipher_key not in memory.read_bytes()
            assert gmespd.stop() == 0
        assert free_pages(mount) == 16
    too_small_hugetlbfs()
    without_hugepages_for_buffers()


# Shows: R-D-A2, R-D-K2
def test_sa_memory_where_the_machine_has_room():
    """Left to itself, gmespd puts its SA memory on hugetlbfs where pages are to spare and on tmpfs else, goes on there
    after a crash although the pages are taken now, and leaves no file after a clean stop."""
    ue = Ue(1)
    with running(memory_path="auto", memory='pages = "auto"') as gmespd, wires():
        gmespd.load([ue])
        place = sa_memory_of(gmespd)
        assert place.stat().st_mode & 0o777 == 0o600 and ue.cipher_key in place.read_bytes()
        on_hugepages = lab.sh(f"stat -f -c %T {place.parent}").strip() == "hugetlbfs"
        print(f"             SA memory is {place}")
        assert on_hugepages or "SA memory in ordinary pages" in gmespd.process.output() \
            or "no hugepages" in gmespd.process.output(), gmespd.process.output()
        gmespd.process.popen.kill()
        gmespd.process.popen.wait()
    try:
        with running(memory_path="auto", memory='pages = "auto"') as gmespd, wires() as (network, host):
            assert sa_memory_of(gmespd) == place
            assert gmespd.ctl("info")["live_sets"] == 1
            check_round_trip(network, host, ue, 1)
            assert gmespd.stop() == 0
        assert not place.exists()
    finally:
        place.unlink(missing_ok=True)  # it may be on a mount that outlives this test


def sa_memory_of(gmespd):
    """The file, as its log names it."""
    return Path(re.search(r"SA memory: (/\S+)", gmespd.process.output()).group(1))


def huge_mount(name, pages):
    """A hugetlbfs with room for `pages`, or None where so many are not free."""
    free = int(re.search(r"HugePages_Free:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))
    mount = lab.RUN / name
    mount.mkdir()
    lab.sh(f"mount -t hugetlbfs -o pagesize=2M,size={pages * HUGE_PAGE_BYTES} none {mount}")
    return mount if free >= pages else None


def free_pages(mount):
    return os.statvfs(mount).f_bfree


def too_small_hugetlbfs():
    """One page where ten are needed."""
    mount = lab.RUN / "small"
    mount.mkdir()
    lab.sh(f"mount -t hugetlbfs -o pagesize=2M,size={HUGE_PAGE_BYTES} none {mount}")
    gmespd = Gmespd(memory_path=f"{mount}/sa", capacity=20_000)
    status = gmespd.process.wait(60)
    log = gmespd.process.output()
    assert status not in (0, None), log
    for word in (f"{mount}/sa", "no space", "20000 sets", "hugepages"):
        assert word in log, (word, log)
    assert os.listdir(mount) == [], "a file is left behind"


def without_hugepages_for_buffers():
    """More memory than hugepages are free: a warning with both numbers, and it runs."""
    free = int(re.search(r"HugePages_Free:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))
    megabytes = 2 * free + 128
    ue = Ue(1)
    with running(memory=f'pages = "auto"\nmegabytes = {megabytes}') as gmespd, wires() as (network, host):
        gmespd.load([ue])
        check_round_trip(network, host, ue, 1)
        assert re.search(rf"no hugepages \(\d+ MB free, {megabytes} MB needed\)", gmespd.process.output())


# Shows: R-M-09, R-M-08
def test_a_rebinding_nat_is_reported_and_not_followed():
    """By default the first authenticated port is kept: requests from another are delivered and reported once, answers
    go where they went."""
    ue = Ue(1, TUNNEL)
    with running() as gmespd, wires() as (network, host), gmespd.watching() as events:
        gmespd.load([ue])
        assert check_round_trip(network, host, ue, 1, outer_port=20001) == 20001
        wait_for_event(events, "peer_port_learned", value=20001)
        for sequence in range(2, 6):
            assert check_round_trip(network, host, ue, sequence, outer_port=20002) == 20001
        wait_for_event(events, "peer_port_changed", value=20002)
        changes = [event for event in events if event["event"] == "peer_port_changed"]
        assert len(changes) == 1, changes
        assert changes[0]["cookie"] == ue.number
        assert gmespd.drops() == {}, gmespd.drops()


# Shows: R-M-09
def test_a_rebinding_nat_is_followed_when_told_so():
    """With follow_peer_port answers go to the port of the newest authenticated packet: not to that of a late one, a
    replayed one or a forged one."""
    ue = Ue(1, TUNNEL)
    with running(follow=True) as gmespd, wires() as (network, host), gmespd.watching() as events:
        gmespd.load([ue])
        assert check_round_trip(network, host, ue, 10, outer_port=20001) == 20001
        assert check_round_trip(network, host, ue, 11, outer_port=20002) == 20002
        wait_for_event(events, "peer_port_changed", value=20002)
        assert check_round_trip(network, host, ue, 5, outer_port=20001) == 20002, "a late packet"
        forged = ue.protected(12, b"forged", outer_port=20003)
        network.send(from_network(forged[:-1] + bytes((forged[-1] ^ 1,))))
        network.send(from_network(ue.protected(11, b"replayed", outer_port=20004)))
        assert check_round_trip(network, host, ue, 12, outer_port=20002) == 20002, "forged and replayed"
        assert check_round_trip(network, host, ue, 13, outer_port=20005) == 20005
        assert gmespd.drops() == {"icv_wrong": 1, "replay_seen": 1}, gmespd.drops()


def load_with_progress(gmespd, path):
    """`sa load` as a person at a terminal sees it: its answer and what stood on stderr."""
    ours, theirs = pty.openpty()
    seen = []

    def read():
        try:
            while text := os.read(ours, 65536):
                seen.append(text)
        except OSError:  # the other end is closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run([gmespd.programs[1], "--socket", gmespd.socket, "--json", "sa", "load", path],
                          stdout=subprocess.PIPE, stderr=theirs, text=True, check=False)
    os.close(theirs)
    reader.join()
    os.close(ours)
    return done, b"".join(seen).decode()


# Shows: R-C-01
def test_a_file_of_sets_is_loaded_with_progress():
    """`sa load` tells on stderr how far it is, installs every good line and names each bad one by its line number."""
    lines = 1_000_000 if FULL else 50_000
    path = lab.RUN / "sets.jsonl"
    with running(capacity=lines + 10) as gmespd:
        write_lines(path, range(lines))
        done, told = load_with_progress(gmespd, path)
        answer = json.loads(done.stdout)
        assert done.returncode == 0 and answer["installed"] == lines and answer["failed"] == 0, (answer, told[-500:])
        assert re.search(r"\r\d+0000 lines read, \d+ sets installed", told), told[-500:]
        assert gmespd.ctl("info")["live_sets"] == lines
        print(f"             {lines} sets in {answer['seconds']:.2f} s, {answer['sets_per_second']:.0f} sets/s")
        gmespd.ctl("sa", "flush", "--yes")
        bad_lines_are_named(gmespd, path)


def write_lines(path, numbers):
    """The sets' lines; one key for all, since a million hashes would take longer than the load."""
    parts = re.split('"(?:UE|PS|PC|UC|US)"', json.dumps({**json.loads(Ue(0).line()), "ue": "UE", "spi_ps": "PS",
                                                         "spi_pc": "PC", "spi_uc": "UC", "spi_us": "US"}))
    with open(path, "w", encoding="ascii") as file:
        for number in numbers:
            ue = Ue(number)
            values = (f'"{ue.address}"', ue.spi_uc, ue.spi_us, ue.spi_pc, ue.spi_ps)
            file.write("".join(f"{part}{value}" for part, value in zip(parts, values)) + parts[-1] + "\n")


def bad_lines_are_named(gmespd, path):
    """Lines that are no JSON, lack a field, or clash with another are told; the rest of the file is installed."""
    write_lines(path, range(100))
    lines = path.read_text().splitlines()
    lines[9] = lines[9][:50]
    lines[19] = lines[19].replace('"spi_ps"', '"spi_xs"')
    lines[29] = lines[29].replace('"port_ps": 6100', '"port_ps": 7100')
    lines[39] = lines[38]
    path.write_text("\n".join(lines) + "\n")
    done, told = load_with_progress(gmespd, path)
    assert done.returncode == 1 and json.loads(done.stdout)["installed"] == 9, (done.stdout, told)
    gmespd.ctl("sa", "flush", "--yes")
    done = gmespd.try_ctl("sa", "load", "--keep-going", path)
    answer = json.loads(done.stdout)
    assert done.returncode == 1 and (answer["installed"], answer["failed"]) == (96, 4), (answer, done.stderr)
    named = sorted(int(line) for line in re.findall(rf"^{re.escape(str(path))}:(\d+): \S", done.stderr, re.MULTILINE))
    assert named == [10, 20, 30, 40], done.stderr
    assert gmespd.ctl("info")["live_sets"] == 96


def check_host_device(device, peer_device):
    with joined_by_testpmd(peer_device), running(host=device) as gmespd, wires() as (network, host):
        host_port = gmespd.ports()["host0"]
        lab.wait_for(lambda: gmespd.ports()["host0"]["link_up"], 10, f"link of {device}")
        ues = [Ue(number) for number in range(5)]
        gmespd.load(ues)
        for sequence in range(1, 21):
            for ue in ues:
                check_round_trip(network, host, ue, sequence)
        assert gmespd.drops() == {}, gmespd.drops()
        assert gmespd.ports()["host0"]["rx_packets"] >= host_port["rx_packets"] + 100
    assert gmespd.process.popen.returncode == 0


def test_memif_carries_the_hosts_traffic():
    """With a memif port on the host side, whose other end is another DPDK program, every packet arrives both ways."""
    socket_file = f"{lab.RUN}/memif.sock"
    check_host_device(f"net_memif0,role=client,socket={socket_file},socket-abstract=no,id=0",
                      f"net_memif0,role=server,socket={socket_file},socket-abstract=no,id=0")


def test_memif_peer_may_die_under_traffic():
    """A memif peer that is killed in the middle of traffic takes nothing with it but its packets; the next one finds
    the port as the first did."""
    device = f"net_memif0,role={{}},socket={lab.RUN}/memif.sock,socket-abstract=no,id=0"
    ue = Ue(0)
    with running(host=device.format("server")) as gmespd:
        gmespd.load([ue])
        for life in range(4):
            with joined_by_testpmd(device.format("client")) as peer, wires() as (network, host):
                lab.wait_for(lambda: gmespd.ports()["host0"]["link_up"], 10, f"link in life {life}")
                sequence = 1 + 10_000 * life
                check_round_trip(network, host, ue, sequence)
                for number in range(1, 2001):
                    network.send(from_network(ue.protected(sequence + number, b"under way")))
                    if number == 1000:
                        peer.popen.kill()
            lab.wait_for(lambda: not gmespd.ports()["host0"]["link_up"], 10, f"end of life {life}")
    assert gmespd.process.popen.returncode == 0


def test_virtio_user_carries_the_hosts_traffic():
    """Likewise with a virtio-user port towards a vhost-user program."""
    socket_file = f"{lab.RUN}/vhost.sock"
    check_host_device(f"net_virtio_user0,path={socket_file}", f"net_vhost0,iface={socket_file}")


# Shows: R-C-01, R-7.4-04
def test_sets_come_and_go_under_traffic():
    """While sets are installed and removed by the thousand, packets of other SAs, 2,000 a second each way, all arrive,
    each once; on a removed set nothing passes."""
    count = 100_000 if FULL else 10_000
    ues = [Ue(number) for number in range(20)]
    path = lab.RUN / "sets.jsonl"
    write_lines(path, range(len(ues), len(ues) + count))
    with running(capacity=count + len(ues), workers=2) as gmespd, wires() as (network, host):
        lab.sh("ip link set gmesp0 txqueuelen 10000")
        gmespd.load(ues)
        with SteadyTraffic(network, host, ues) as traffic:
            time.sleep(0.5)
            started = time.monotonic()
            assert gmespd.ctl("sa", "load", path)["installed"] == count
            loaded = time.monotonic()
            assert gmespd.ctl("info")["live_sets"] == count + len(ues)
            ids = [row["id"] for row in gmespd.ctl("sa", "list") if row["spi_ps"] > ues[-1].spi_ps]
            listed = time.monotonic()
            for at in range(0, count, IDS_PER_COMMAND):
                gmespd.ctl("sa", "del", *ids[at:at + IDS_PER_COMMAND])
            removed = time.monotonic()
            assert gmespd.ctl("info")["live_sets"] == len(ues)
            time.sleep(0.5)
        print(f"             {count} sets installed in {loaded - started:.1f} s, listed in {listed - loaded:.1f} s, "
              f"removed in {removed - listed:.1f} s, beside {traffic.sent} packets each way, {traffic.rate:.0f}/s")
        traffic.check_all_arrived(gmespd)
        before, gone = gmespd.drops(), Ue(len(ues))
        network.send(from_network(gone.protected(1, b"gone")))
        host.send(from_host(gone.clear_down(b"gone")))
        check_round_trip(network, host, ues[0], 1_000_000)
        expected = {"unknown_spi": 1, "no_sa_for_protected_port": 1}
        assert gmespd.drops() == {**before, **expected}, (before, gmespd.drops())


def main():
    Gmespd.programs = tuple(sys.argv[1:3])
    make_access_wire()
    return run_functions(globals(), sys.argv[3:])


if __name__ == "__main__":
    sys.exit(lab.run_isolated(main))
