// The headers Security-Client, Security-Server and Security-Verify: TS 33.203 Annex H, RFC 3329.
//
// The parameters of an entry describe its sender: of a UE spi_uc, spi_us, port_uc, port_us, of the
// P-CSCF spi_pc, spi_ps, port_pc, port_ps. An SPI is that of the inbound SA at the port of the same
// letter.
// Ownership: values; nothing points into the text. Threading: pure functions.
// Errors: HeaderError; nothing throws but std::bad_alloc. Bounds: the k…Max constants.
// Units: ports and SPIs in host byte order, q in thousandths.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/sa/algorithm.h"
#include "control/sa/header_error.h"

namespace gmesp::sa {

inline constexpr size_t kHeaderBytesMax = 8192;  ///< all lines of one header together
inline constexpr size_t kTokenBytesMax = 64;     ///< a name or value, with its quotes
inline constexpr size_t kEntriesMax = 32;
inline constexpr size_t kParametersMax = 32;  ///< of one entry
inline constexpr uint16_t kNoPreference = UINT16_MAX;

/// One mechanism entry: either a usable ipsec-3gpp one, with the defaults of Annex H filled in, or
/// one that cannot be chosen, of which only the text is kept.
struct SecurityEntry {
  AlgorithmPair algorithms;
  bool is_udp_encapsulated = false;  ///< mod: UDP-enc-tun, else trans
  HeaderError flaw = HeaderError::kNone;
  uint16_t q_thousandths = kNoPreference;
  uint16_t port_c = 0;
  uint16_t port_s = 0;
  uint32_t spi_c = 0;
  uint32_t spi_s = 0;
  /// With a flaw: the entry in small letters but for quoted strings, without blanks, parameters by
  /// name, without those that state a default. Else empty.
  std::string unusable_text;

  bool is_usable() const { return flaw == HeaderError::kNone; }
  friend bool operator==(const SecurityEntry&, const SecurityEntry&) = default;
};

struct SecurityList {
  std::vector<SecurityEntry> entries;  ///< as written
  friend bool operator==(const SecurityList&, const SecurityList&) = default;
};

/// What a UE's Security-Client means.
struct Offer {
  uint32_t spi_c = 0;
  uint32_t spi_s = 0;
  uint16_t port_c = 0;
  uint16_t port_s = 0;
  bool offers_transport = false;
  bool offers_udp_encapsulation = false;

  void add(AlgorithmPair pair) { pairs_ |= bit(pair); }
  bool has(AlgorithmPair pair) const { return (pairs_ & bit(pair)) != 0; }
  /// No pair with another cipher was offered.
  bool has_only(Cipher cipher) const {
    const auto with_cipher =
        bit({Integrity::kHmacMd5_96, cipher}) | bit({Integrity::kHmacSha1_96, cipher});
    return pairs_ != 0 && (pairs_ & ~with_cipher) == 0;
  }

 private:
  static constexpr uint8_t bit(AlgorithmPair pair) {
    constexpr int kIntegrities = 2;
    return static_cast<uint8_t>(1 << ((static_cast<int>(pair.cipher) - 1) * kIntegrities +
                                      static_cast<int>(pair.integrity) - 1));
  }
  uint8_t pairs_ = 0;
};

/// Values of all lines of one header (what follows its colon) as one list. On an error `list` is
/// empty; a flaw of one entry is no error (SecurityEntry::flaw).
[[nodiscard]] HeaderError parse_security_list(std::span<const std::string_view> header_lines,
                                              SecurityList& list);

/// UE order and q do not matter (7.2). Ports that the operator uses unprotected, other than 5060
/// and 5061, are the caller's to refuse. If no entry is usable because what it says cannot be read,
/// the error is that flaw; if because nothing in it is wanted here, kNoUsableEntry.
[[nodiscard]] HeaderError read_offer(const SecurityList& list, Offer& offer);

/// Gives the entries strictly falling q. At most kEntriesMax.
void rank_as_written(std::span<SecurityEntry> entries);

/// The value of one header line that lists `entries`; parse_security_list() reads the same out of
/// it. SPIs have ten digits. NULL is not written: with confidentiality "never" no encryption
/// algorithm may be listed (M.7.2), and absent means null.
std::string write_security_list(std::span<const SecurityEntry> entries);

/// True if `returned` says the same as `sent`, entry by entry in order. Blanks, letter case, order
/// of parameters and stated defaults do not matter.
inline bool mirrors(const SecurityList& sent, const SecurityList& returned) {
  return sent == returned;
}

/// True if the bytes are the same once the lines are joined by ", ".
bool mirrors_bytewise(std::string_view sent, std::span<const std::string_view> returned);

}  // namespace gmesp::sa
