"""Clear packets for gmespd's host port as a capture file, and Wireshark's verdict on what it made of them."""
import os
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

PLAINTEXT = b"MESSAGE sip:phone SIP/2.0 "
# Of daemon_test.sa_set(0): port_ps to port_uc (SA-b), port_pc to port_us (SA-d).
_UE, _LOCAL, _PORTS = "10.1.0.1", "10.0.0.1", ((5065, 40000), (5064, 40001))


def clear_capture(path):
    """One message for each outbound SA, of lengths that need different padding."""
    frames = [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src=_LOCAL, dst=_UE)
              / UDP(sport=source, dport=destination) / Raw(PLAINTEXT * (size + 1))
              for source, destination in _PORTS for size in range(4)]
    wrpcap(str(path), frames)


def judged(capture, esp_sa):
    """How many ESP packets of the capture's beginning are good, bad or not what was sent, by the exported table."""
    with tempfile.TemporaryDirectory(prefix="gmespd-wireshark-") as profile:
        Path(profile, "esp_sa").write_text(Path(esp_sa).read_text(encoding="utf-8"), encoding="utf-8")
        Path(profile, "preferences").write_text(
            "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n", encoding="utf-8")
        done = subprocess.run(
            ["tshark", "-r", str(capture), "-c", "2000", "-T", "fields", "-E", "occurrence=f", "-e", "esp.icv_good",
             "-e", "udp.payload", "-e", "_ws.malformed"], env={**os.environ, "WIRESHARK_CONFIG_DIR": profile},
            capture_output=True, text=True, timeout=120, check=False)
    # A file whose writer was stopped may end within a packet; the packets before it stand.
    counted = Counter()
    for line in done.stdout.splitlines():
        good, payload, malformed = (line.split("\t") + ["", ""])[:3]
        plain = payload.replace(":", "").startswith(PLAINTEXT.hex())
        counted["good" if good in ("1", "True") and plain and not malformed else f"icv {good}, {payload[:20]}"] += 1
    return counted
