"""Everything of a run brought up in order: networks, UE guest, gmespd, capture of the access wire."""
import time

import guest
import lab
import topology
import wire


class World:
    """Made inside lab.run_isolated(); `say(text, seconds)` hears of every step that is done.

    The UE's kernel holds `sets` and `silent_sets`; the latter carry only what a check sends."""

    def __init__(self, build, output, sets, say, silent_sets=()):
        output.mkdir(parents=True, exist_ok=True)
        self.lock = lab.lock(output)
        self.output, self.sets, self.say = output, sets, say
        self.all_sets = [*sets, *silent_sets]
        self.capture_path = output / "access.pcap"
        self.profile = output / "wireshark"
        self.started = time.monotonic()
        topology.build_networks()
        self._step("networks: access (router, NAT) and pcscf, veth between them")
        self.guest = guest.Guest("access", "ue0")
        self.gmespd = topology.Gmespd(build)
        self.gmespd.start()
        self._step("gmespd between acc0 (AF_PACKET) and gmesp0 (TAP)")
        version = self.guest.wait_ready()
        topology.address_access_side()
        topology.address_guest(self.guest, self.all_sets)
        self._step(f"UE: Linux {version} in User-Mode Linux, {4 * len(self.all_sets)} SAs in its kernel")
        self.capture = lab.Capture("access", "wire0", self.capture_path)
        wire.write_profile_of_sets(self.profile, self.all_sets)
        self.injector = wire.Injector()

    def _step(self, text):
        now = time.monotonic()
        self.say(text, now - self.started)
        self.started = now

    def use_exported_keys(self):
        """From now on Wireshark knows the keys that gmespd gave out, and no others."""
        self.gmespd.export_keys(self.profile / "esp_sa")

    def end(self):
        """Ends the programs and frees the names of the namespaces; logs and capture stay."""
        self.gmespd.process.stop()
        self.guest.process.kill()
        for namespace in ("access", "pcscf"):
            lab.sh(f"ip netns del {namespace}")

    def drops_settled(self, expected, timeout_s=15.0):
        """Drop counters, as soon as they are `expected`, or as they are after the time."""
        deadline = time.monotonic() + timeout_s
        while (drops := self.gmespd.drops()) != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        return drops
