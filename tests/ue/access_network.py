"""The network of the self test: a UE, a router that may be a NAT, and the P-CSCF's host.

    ns ue                     ns router                       ns pcscf
    ue0 --------------- side [ forward | masquerade ] wire ---------- pcscf0
      10.9.1.2 and .3    10.9.1.1              10.9.0.254             10.9.0.1
      fd00:9:1::2        fd00:9:1::1           fd00:9::fe             fd00:9::1
      192.168.1.2 (private, leaves with 10.9.0.254)
      fd00:7::2   (private, leaves with fd00:9::fe)
"""
import subprocess

import lab

UE, UE_PRIVATE = {4: "10.9.1.2", 6: "fd00:9:1::2"}, {4: "192.168.1.2", 6: "fd00:7::2"}
UE_MOVED = "10.9.1.3"
PCSCF, PUBLIC = {4: "10.9.0.1", 6: "fd00:9::1"}, {4: "10.9.0.254", 6: "fd00:9::fe"}
_NAT = """
table {family} nat {{
 chain postrouting {{
  type nat hook postrouting priority 100
  oifname "wire" {family} saddr {private} udp sport 4500 masquerade to :20000-30000 random
  oifname "wire" {family} saddr {private} masquerade
 }}
}}
"""


def build(host_device="pcscf0"):
    """Namespaces, wires, addresses and the NAT, in the private world of lab.run_isolated(). With another `host_device`
    something stands between the wire, which then ends there, and the P-CSCF: address_host() is left to the caller."""
    for namespace in ("ue", "router", "pcscf"):
        lab.sh(f"ip netns add {namespace} && ip netns exec {namespace} sysctl -qw net.ipv4.ip_forward=1 "
               "net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
        lab.ip_batch(namespace, ["link set lo up"])
    for namespace in ("ue", "pcscf"):  # hosts
        lab.sh(f"ip netns exec {namespace} sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
    lab.ip_batch("router", ["link add side type veth peer name ue0 netns ue",
                            f"link add wire type veth peer name {host_device} netns pcscf",
                            "addr add 10.9.1.1/24 dev side", "addr add 192.168.1.1/24 dev side",
                            "addr add fd00:9:1::1/64 dev side nodad", "addr add fd00:7::1/64 dev side nodad",
                            f"addr add {PUBLIC[4]}/24 dev wire", f"addr add {PUBLIC[6]}/64 dev wire nodad",
                            "link set side up", "link set wire up"])
    lab.ip_batch("ue", ["link set ue0 up", f"addr add {UE[4]}/24 dev ue0", f"addr add {UE_MOVED}/24 dev ue0",
                        f"addr add {UE_PRIVATE[4]}/24 dev ue0",
                        f"addr add {UE[6]}/64 dev ue0 nodad", f"addr add {UE_PRIVATE[6]}/64 dev ue0 nodad",
                        "route add default via 10.9.1.1", "route add default via fd00:9:1::1"])
    rules = _NAT.format(family="ip", private="192.168.1.0/24") + _NAT.format(family="ip6", private="fd00:7::/64")
    subprocess.run(["ip", "netns", "exec", "router", "nft", "-f", "-"], input=rules, text=True, check=True)
    if host_device == "pcscf0":
        address_host(host_device)


def address_host(device):
    """The P-CSCF's addresses and its routes to the UEs."""
    lab.ip_batch("pcscf", [f"link set {device} up", f"addr add {PCSCF[4]}/24 dev {device}",
                           f"addr add {PCSCF[6]}/64 dev {device} nodad",
                           f"route add default via {PUBLIC[4]} dev {device}",
                           f"route add default via {PUBLIC[6]} dev {device}"])
