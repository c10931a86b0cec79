#!/bin/bash
# First process of the UML guest, the "phone". Its root is the host's own /, read-only, so that every program the host
# has is there. GUEST_DIR (kernel command line) is a folder of the host that the guest may write.
# No -e: PID 1 must go on whatever a module or a mount says.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TERM=xterm
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /run/modules/lib /run/out /run/log
ln -s /usr/lib/uml/modules /run/modules/lib/modules

# All that ESP needs is loaded here. The kernel's own requests for more (the crypto API makes one for each name it does
# not know yet) would each cost a process in the guest and find nothing, so they are switched off afterwards.
modprobe -d /run/modules -a drbg jitterentropy_rng ipv6 xfrm_user esp4 esp6 des_generic cbc ecb hmac authenc echainiv \
  crypto_null sha512_generic
echo > /proc/sys/kernel/modprobe

mount -t hostfs none /run/out -o "$GUEST_DIR"
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
# SIPp connects from the same port_uc again and again; a port in TIME_WAIT may be taken over at once.
sysctl -qw net.ipv4.tcp_tw_reuse=1
ip link set lo up
ip link set eth0 up
ip addr add 192.168.255.2/30 dev eth0
cd /run/out || exit 1
echo "GUEST-READY $(uname -r)"
# One shell for each connection on the management network; nothing else can reach it.
socat TCP-LISTEN:9999,bind=192.168.255.2,reuseaddr,fork EXEC:'/bin/bash -s',stderr
echo o > /proc/sysrq-trigger
sleep 5
