#!/usr/bin/python3
"""In the guest: sockets that make its kernel take ESP out of UDP port 4500 (RFC 3948), v4 and v6."""
import selectors
import socket

_PORT = 4500
_UDP_ENCAP, _UDP_ENCAP_ESPINUDP = 100, 2  # linux/udp.h


def main():
    selector = selectors.DefaultSelector()
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        made = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, _PORT))
        made.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _UDP_ENCAP_ESPINUDP)
        selector.register(made, selectors.EVENT_READ)
    print("ENCAPSULATION-READY", flush=True)
    while True:  # what is not ESP arrives here, and is nobody's
        for key, _ in selector.select():
            key.fileobj.recv(65535)


if __name__ == "__main__":
    main()
