"""Configuration of DPDK's ipsec-secgw from SA sets of ours (the lines that `esp_capture --sets` writes).

Of each set it takes the SA between port_uc and port_ps: one SA inbound and one outbound, transport mode, and a policy
for the UE's address in each direction, which is the least that ipsec-secgw can do.
"""
import json

CIPHERS = {"aes-cbc": "aes-128-cbc", "des-ede3-cbc": "3des-cbc", "null": "null"}
INTEGRITIES = {"hmac-sha-1-96": "sha1-hmac"}
ACCESS_PORT, HOST_PORT = 0, 1
NEIGHBOUR = "02:00:00:00:00:02"


def colons(text):
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2))


def check(line):
    if line["mode"] != "transport":
        raise ValueError("ipsec-secgw takes UDP-encapsulated tunnels only from hardware; transport sets are compared")
    if line["integrity"] not in INTEGRITIES:
        raise ValueError(f"ipsec-secgw has no {line['integrity']}; it has {', '.join(INTEGRITIES)}")
    if ":" in line["ue"]:
        raise ValueError("IPv4 sets are compared")


def security_association(way, spi, line):
    cipher = CIPHERS[line["cipher"]]
    key = f" cipher_key {colons(line['cipher_key'])}" if "cipher_key" in line else ""
    return (f"sa {way} {spi} cipher_algo {cipher}{key} auth_algo {INTEGRITIES[line['integrity']]} "
            f"auth_key {colons(line['integrity_key'])} mode transport")


def configuration(sets):
    """`sets`: an iterable of JSON lines. Yields lines: policies first, then SAs, then routes."""
    sets = [json.loads(line) for line in sets]
    for line in sets:
        check(line)
        yield (f"sp ipv4 out esp protect {line['spi_uc']} pri 1 src {line['local']}/32 dst {line['ue']}/32 "
               "sport 0:65535 dport 0:65535")
        yield (f"sp ipv4 in esp protect {line['spi_ps']} pri 1 src {line['ue']}/32 dst {line['local']}/32 "
               "sport 0:65535 dport 0:65535")
    for line in sets:
        yield security_association("out", line["spi_uc"], line)
        yield security_association("in", line["spi_ps"], line)
    yield f"rt ipv4 dst 10.0.0.0/8 port {ACCESS_PORT}"
    yield f"rt ipv4 dst {sets[0]['local']}/32 port {HOST_PORT}"
    for port in (ACCESS_PORT, HOST_PORT):
        yield f"neigh port {port} {NEIGHBOUR}"
