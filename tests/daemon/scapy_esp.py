"""scapy's ESP, a second opinion on that of ue.py and on gmespd's own."""
from scapy.config import conf
conf.ipv6_enabled = False  # nothing here has an IPv6 address to look for
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402
from scapy.packet import raw  # noqa: E402


def _association(ue, spi):
    return SecurityAssociation(ESP, spi=spi, crypt_algo="AES-CBC", crypt_key=ue.cipher_key,
                               auth_algo="HMAC-SHA1-96", auth_key=ue.integrity_key)


def protect(ue, sequence, payload):
    """The UE's request in transport mode."""
    return raw(_association(ue, ue.spi_ps).encrypt(IP(ue.clear_up(payload)), seq_num=sequence))


def unprotect(ue, packet):
    """Payload of the P-CSCF's answer; scapy raises if the ICV or the padding is wrong."""
    return raw(_association(ue, ue.spi_uc).decrypt(IP(packet))[UDP].payload)
