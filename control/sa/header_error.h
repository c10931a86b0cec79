// What can be wrong with a Security-Client, Security-Server or Security-Verify header: one row an
// error, with its clause and a text for people.
//
// The flaws of one entry stand by rising weight; an entry shows its heaviest one, so that the order
// of its parameters does not matter. Threading: pure values.
#pragma once

#include <cstdint>

namespace gmesp::sa {

// clang-format off
#define GMESP_HEADER_ERRORS(row) \
  row(kNone,               "",                       "nothing is wrong") \
  /* of one entry: it cannot be chosen, the others can */ \
  row(kOtherMechanism,     "TS 33.203 Annex H",      "the mechanism is not ipsec-3gpp") \
  row(kUnknownParameter,   "TS 33.203 Annex H",      "a parameter is none of q, alg, prot, mod, ealg, spi-c, spi-s, port-c, port-s") \
  row(kUnknownValue,       "TS 33.203 Annex H",      "alg is not hmac-md5-96 or hmac-sha-1-96, or ealg is not aes-cbc, des-ede3-cbc or null") \
  row(kProtocolNotEsp,     "TS 33.203 6.3, Annex H", "prot is not esp, the only protocol allowed") \
  row(kModeNotAllowed,     "TS 33.203 6.3, M.6.3",   "mod is not trans or UDP-enc-tun") \
  row(kAlgorithmMissing,   "TS 33.203 Annex H",      "alg is mandatory") \
  row(kSpiMissing,         "TS 33.203 7.2, Annex H", "spi-c and spi-s are both needed") \
  row(kPortMissing,        "TS 33.203 7.2, Annex H", "port-c and port-s are both needed") \
  row(kPreferenceBad,      "TS 33.203 Annex H",      "q is not 0 to 1 with at most three decimals") \
  row(kSpiUnreadable,      "TS 33.203 Annex H",      "an SPI is not 1 to 10 digits up to 4294967295") \
  row(kPortUnreadable,     "TS 33.203 Annex H",      "a port is not 1 to 10 digits up to 65535") \
  row(kParameterDoubled,   "RFC 3261 7.3.1",         "a parameter stands twice in one entry") \
  /* of the text: nothing is taken from the header */ \
  row(kEmpty,              "RFC 3329 2.2",           "there is no header line") \
  row(kTextTooLong,        "",                       "the header lines are longer than 8192 bytes together") \
  row(kTooManyEntries,     "",                       "there are more than 32 entries") \
  row(kTooManyParameters,  "",                       "one entry has more than 32 parameters") \
  row(kTokenTooLong,       "",                       "a name or value is longer than 64 bytes") \
  row(kNameMissing,        "RFC 3261 25.1",          "a mechanism or parameter name is missing") \
  row(kValueMissing,       "RFC 3261 25.1",          "nothing follows an equals sign") \
  row(kQuoteBad,           "RFC 3261 25.1",          "a quoted string does not end, or holds a control character") \
  row(kSeparatorMissing,   "RFC 3261 25.1",          "neither semicolon, comma nor the end follows a name or value") \
  /* of a UE's whole offer */ \
  row(kNoUsableEntry,      "RFC 3329 2.3.1",         "no entry is a usable ipsec-3gpp offer") \
  row(kEntriesDisagree,    "TS 33.203 7.2, M.7.2",   "the usable entries name different SPIs or ports") \
  row(kSpiReserved,        "RFC 2406 2.1",           "an SPI is one of the reserved values 0 to 255") \
  row(kSpisEqual,          "TS 33.203 7.1",          "spi-c and spi-s are equal") \
  row(kPortBad,            "TS 33.203 7.1",          "a protected port is 0, 5060 or 5061") \
  row(kPortsEqual,         "TS 33.203 7.1",          "port-c and port-s are equal")
// clang-format on

enum class HeaderError : uint8_t {
#define GMESP_ROW(name, clause, text) name,
  GMESP_HEADER_ERRORS(GMESP_ROW)
#undef GMESP_ROW
};

struct HeaderErrorInfo {
  const char* name;
  const char* clause;  ///< empty: a limit of this program
  const char* text;
};

inline constexpr HeaderErrorInfo kHeaderErrors[] = {
#define GMESP_ROW(name, clause, text) {#name, clause, text},
    GMESP_HEADER_ERRORS(GMESP_ROW)
#undef GMESP_ROW
};

constexpr const HeaderErrorInfo& info(HeaderError error) {
  return kHeaderErrors[static_cast<uint32_t>(error)];
}

}  // namespace gmesp::sa
