// `gmespctl sa add`: the fields of a set as command line options, for those who do not write JSON.
//
// Every option stands for the JSON field of its name with '-' for '_'; what the fields mean is
// checked in one place, set_from_json(). Keys are not options: other users see command lines.
#pragma once

#include <map>
#include <string>

namespace gmesp::cli {

struct AddField {
  const char* option;  ///< "--port-uc"
  const char* field;   ///< "port_uc"
  bool is_number;
  const char* help;
};

inline constexpr AddField kAddFields[] = {
    {"--mode", "mode", false, "transport, or udp-encapsulated-tunnel for a UE behind NAT"},
    {"--integrity", "integrity", false, "hmac-md5-96 or hmac-sha-1-96"},
    {"--cipher", "cipher", false, "null, aes-cbc or des-ede3-cbc"},
    {"--ue", "ue", false, "address of the UE; in tunnel mode the inner one"},
    {"--local", "local", false, "address of the P-CSCF; in tunnel mode the inner one"},
    {"--outer-ue", "outer_ue", false, "tunnel mode: outer address of the UE (default: --ue)"},
    {"--outer-local", "outer_local", false,
     "tunnel mode: outer address of the P-CSCF (default: --local)"},
    {"--outer-ue-port", "outer_ue_port", true,
     "tunnel mode: UDP port of the UE as seen here (default: learned)"},
    {"--port-uc", "port_uc", true, "client port of the UE, 1 to 65535"},
    {"--port-us", "port_us", true, "server port of the UE"},
    {"--port-pc", "port_pc", true, "client port of the P-CSCF"},
    {"--port-ps", "port_ps", true, "server port of the P-CSCF"},
    {"--spi-uc", "spi_uc", true, "SPI of the UE's client side, 256 to 4294967295"},
    {"--spi-us", "spi_us", true, "SPI of the UE's server side"},
    {"--spi-pc", "spi_pc", true, "SPI of the P-CSCF's client side"},
    {"--spi-ps", "spi_ps", true, "SPI of the P-CSCF's server side"},
    {"--lifetime-s", "lifetime_s", true, "seconds from now, 1 to 4294967295 (default: for ever)"},
    {"--cookie", "cookie", true, "a number of yours, shown with the set and its events"},
};

struct AddOptions {
  std::string object;     ///< JSON text, "-" for standard input, empty for none
  std::string keys_file;  ///< JSON object with the keys, "-" for standard input, empty for none
  std::map<std::string, std::string> values;  ///< by field, as written
};

/// One JSON object of all of it; options win over the object. Throws InputError.
std::string add_object(const AddOptions& options);

}  // namespace gmesp::cli
