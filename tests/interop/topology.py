"""The lab's network: the UE guest, an access network with a NAT, and gmespd before the P-CSCF host.

    UE (UML guest, kernel ESP)      ns access: router, NAT            ns pcscf
    vec0 ------- TAP ------- ue0 [ forward | masquerade ] wire0 --- acc0 = gmespd = gmesp0
      10.9.1.2                     10.9.1.1              10.9.0.254              10.9.0.1
      fd00:9:1::2                  fd00:9:1::1           fd00:9::fe              fd00:9::1
      192.168.1.2  (private)       192.168.1.1
      fd00:7::2    (private)       fd00:7::1

The UE's public addresses are routed as they are; its private ones leave wire0 with the NAT's
address and, from port 4500, another port. wire0 is the access wire: captured and injected there.
"""
import json
import secrets

import lab
from guest import IN_GUEST
from sa_sets import NAT_PUBLIC, PCSCF, PROTECTED_PORTS, UE_DIRECT, UE_PRIVATE

ROUTER_MAC = "02:00:00:00:00:fe"
PCSCF_MAC = "02:00:00:00:00:01"  # of acc0 and gmesp0 both: ARP and ND pass gmespd unchanged
_NAT_RULES = """
table {family} nat {{
 chain postrouting {{
  type nat hook postrouting priority 100
  oifname "wire0" {family} saddr {private} udp sport 4500 masquerade to :20000-30000 random
  oifname "wire0" {family} saddr {private} masquerade
 }}
}}
"""
# acc0 carries the host's MAC, so without this its kernel would take the frames too, past gmespd
# (R-D-U2). AF_PACKET sees a frame before this hook does.
ACCESS_PORT_RULES = """
table netdev gmespd {
 chain acc0 {
  type filter hook ingress device acc0 priority 0; policy drop
 }
}
"""


def load_rules(namespace, rules):
    path = lab.RUN / f"{namespace}.nft"
    path.write_text(rules)
    lab.sh(f"ip netns exec {namespace} nft -f {path}")


def build_networks():
    """Both namespaces, the veth between them, addresses, forwarding and NAT."""
    lab.sh("ip netns add access && ip netns add pcscf")
    for namespace in ("access", "pcscf"):
        lab.sh(f"ip netns exec {namespace} sysctl -qw net.ipv4.ip_forward=1 "
               "net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0 "
               "net.ipv6.conf.default.accept_dad=0")
    # A host, not a router: its kernel is never to send decrypted traffic on (R-D-S2).
    lab.sh("ip netns exec pcscf sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
    lab.ip_batch("access", [
        f"link add wire0 address {ROUTER_MAC} type veth peer name acc0 netns pcscf",
        f"addr add {NAT_PUBLIC[4]}/24 dev wire0",
        f"addr add {NAT_PUBLIC[6]}/64 dev wire0 nodad",
        "link set wire0 up"])
    lab.sh("ip netns exec pcscf sysctl -qw net.ipv6.conf.acc0.disable_ipv6=1")
    lab.ip_batch("pcscf", ["link set lo up", f"link set acc0 address {PCSCF_MAC}",
                           "link set acc0 up"])
    # veth leaves checksums to a NIC that is not there, and AF_PACKET would see them unfinished.
    for namespace, interface in (("access", "wire0"), ("pcscf", "acc0")):
        lab.sh(f"ip netns exec {namespace} ethtool -K {interface} "
               "tx off gso off tso off gro off")
    load_rules("access", _NAT_RULES.format(family="ip", private="192.168.1.0/24")
         + _NAT_RULES.format(family="ip6", private="fd00:7::/64"))
    load_rules("pcscf", ACCESS_PORT_RULES)


def address_access_side():
    """The router's addresses towards the UE; after the guest has made its TAP."""
    lab.ip_batch("access", [
        "addr add 10.9.1.1/24 dev ue0", "addr add fd00:9:1::1/64 dev ue0 nodad",
        "addr add 192.168.1.1/24 dev ue0", "addr add fd00:7::1/64 dev ue0 nodad"])


def address_host_side():
    """What an operator does with gmespd's TAP: P-CSCF addresses and the route to the UEs."""
    lab.sh("ip netns exec pcscf sysctl -qw net.ipv6.conf.gmesp0.accept_dad=0")
    lab.ip_batch("pcscf", [
        "link set gmesp0 up",
        f"addr add {PCSCF[4]}/24 dev gmesp0",
        f"addr add {PCSCF[6]}/64 dev gmesp0 nodad",
        f"route add default via {NAT_PUBLIC[4]} dev gmesp0",
        f"route add default via {NAT_PUBLIC[6]} dev gmesp0"])


def address_guest(guest, sets):
    """The UE's addresses, routes, SAs and policies, in one shell."""
    batch = guest.folder / "ip.batch"
    batch.write_text("\n".join(line for sa_set in sets for line in sa_set.linux_commands()) + "\n")
    guest.run(f"""set -e
ip link set vec0 up
ip addr add {UE_DIRECT[4]}/24 dev vec0
ip addr add {UE_PRIVATE[4]}/24 dev vec0
ip addr add {UE_DIRECT[6]}/64 dev vec0 nodad
ip addr add {UE_PRIVATE[6]}/64 dev vec0 nodad
ip route add default via 10.9.1.1
ip -6 route add default via fd00:9:1::1
ip -batch /run/out/ip.batch""")
    guest.start("encapsulation", ["python3", IN_GUEST / "guest_encapsulation.py"])
    lab.wait_for(lambda: "ENCAPSULATION-READY" in guest.log("encapsulation"), 90,
                 "the UE's UDP encapsulation")


def configuration(more):
    """gmespd's file for this lab, with `more` tables: paths in the run's own folder, so that nothing stays, and small
    pages, so that it runs beside whatever uses the huge ones."""
    return f"""
[instance]
name = "lab-{secrets.token_hex(4)}"
[control]
socket = "{lab.RUN}/gmespd.sock"
[[pair]]
access = "net_af_packet0,iface=acc0"
host = "net_tap0,iface=gmesp0"
[protected_ports]
ranges = ["{PROTECTED_PORTS[0]}-{PROTECTED_PORTS[1]}"]
[sa]
capacity_sets = 1000
memory_path = "{lab.RUN}/gmespd.sa"
key_export = true
[memory]
pages = "small"
{more}"""


class Gmespd:
    """gmespd in ns pcscf between acc0 and gmesp0, with its own socket, file prefix and memory."""

    def __init__(self, build, more=""):
        self.more = more
        self.program = build / "dataplane" / "gmespd"
        self.control = build / "control" / "cli" / "gmespctl"
        for program in (self.program, self.control):
            if not program.exists():
                raise lab.LabError(f"{program} is missing: build first (meson compile -C {build})")
        self.socket = lab.RUN / "gmespd.sock"
        self.config = lab.RUN / "gmespd.toml"
        self.process = None

    def start(self):
        self.config.write_text(configuration(self.more))
        self.process = lab.Process("gmespd", [self.program, "--config", self.config], "pcscf")
        lab.wait_for(self._ready, 60, "gmespd", self.process)
        address_host_side()

    def _ready(self):
        return self.socket.exists() and "gmesp0" in lab.sh("ip -n pcscf -br link")

    def ctl(self, *words):
        """Output of gmespctl, a process of its own that speaks shared memory with gmespd."""
        command = " ".join(str(word) for word in words)
        return lab.sh(f"{self.control} --socket {self.socket} {command}")

    def load(self, sets):
        path = lab.RUN / "sets.jsonl"
        path.write_text("".join(json.dumps(sa_set.record()) + "\n" for sa_set in sets))
        path.chmod(0o600)
        return self.ctl("sa", "load", path)

    def delete(self, sa_set):
        """Removes the set from gmespd; the UE's kernel keeps it."""
        self.ctl("sa", "del", self.id_of(sa_set))

    def export_keys(self, path, sa_set=None):
        """Keys of one live set, or of all, as Wireshark's esp_sa table."""
        path.unlink(missing_ok=True)
        which = self.id_of(sa_set) if sa_set else "--all"
        self.ctl("sa", "export-keys", "--i-want-keys", which, "--output", path)

    def listed(self, sa_set):
        """The set as `sa list` shows it."""
        rows = json.loads(self.ctl("sa", "list", "--json"))
        return next(row for row in rows if row["spi_ps"] == sa_set.spi_ps)

    def id_of(self, sa_set):
        return self.listed(sa_set)["id"]

    def lost_at_ports(self):
        """Packets that a port of gmespd could not take or give away."""
        return sum(row[field] for row in json.loads(self.ctl("ports", "--json"))
                   for field in ("rx_missed", "rx_errors", "tx_errors", "tx_full"))

    def drops(self):
        """Packets by reason, zero rows left out."""
        rows = json.loads(self.ctl("drops", "--json"))
        return {row["name"]: row["packets"] for row in rows if row["packets"]}
