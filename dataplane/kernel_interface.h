// The kernel's side of a port (TAP, AF_PACKET): by name, through ioctl.
//
// Threading: any. Errors: returned; nothing is thrown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gmesp::dataplane {

/// Switches off what would let the kernel leave checksums unfinished or make and take frames larger
/// than the MTU: we read and write whole frames and are no network card. Returns what could not be
/// switched off, by ethtool's names; empty: all off.
std::vector<std::string> disable_offloads(const std::string& interface);

/// False if there is no such interface or we may not.
bool set_up(const std::string& interface);
bool is_up_and_running(const std::string& interface);

/// What the kernel itself sends there; a device may take larger frames. False if it cannot be had.
bool set_interface_mtu(const std::string& interface, uint32_t mtu_bytes);
/// 0 if there is no such interface.
uint32_t interface_mtu_bytes(const std::string& interface);

/// "" if there is none of that number.
std::string interface_name(unsigned index);
/// All names, for messages.
std::vector<std::string> interface_names();

}  // namespace gmesp::dataplane
