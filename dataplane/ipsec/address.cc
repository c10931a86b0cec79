#include "dataplane/ipsec/address.h"

#include <arpa/inet.h>

namespace gmesp::ipsec {

std::string text(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> characters{};
  const bool is_ipv4 = address.is_ipv4();
  inet_ntop(is_ipv4 ? AF_INET : AF_INET6, is_ipv4 ? address.ipv4() : address.bytes.data(),
            characters.data(), characters.size());
  return characters.data();
}

bool parse_address(const std::string& text, Address& address) {
  std::array<uint8_t, 16> bytes;
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
    address = Address::from_ipv4(bytes.data());
    return true;
  }
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
    address = Address::from_ipv6(bytes.data());
    return true;
  }
  return false;
}

}  // namespace gmesp::ipsec
