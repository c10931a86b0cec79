// What a UE's Security-Client offers (TS 33.203 7.2, Annex H).
#include <algorithm>

#include "control/sa/security_header.h"

namespace gmesp::sa {
namespace {

/// Only what cannot be read makes a header bad; the rest is a matter of agreement.
HeaderError why_nothing_usable(const SecurityList& list) {
  HeaderError worst = HeaderError::kNone;
  for (const SecurityEntry& entry : list.entries) worst = std::max(worst, entry.flaw);
  return worst >= HeaderError::kPreferenceBad ? worst : HeaderError::kNoUsableEntry;
}

bool name_same_sas(const SecurityEntry& one, const SecurityEntry& other) {
  return one.spi_c == other.spi_c && one.spi_s == other.spi_s && one.port_c == other.port_c &&
         one.port_s == other.port_s;
}

/// 7.1: what a UE may choose.
HeaderError check_choice(const SecurityEntry& entry) {
  constexpr uint32_t kSpiMin = 256;  // RFC 2406 2.1
  const auto is_bad = [](uint16_t port) { return port == 0 || port == 5060 || port == 5061; };
  if (entry.spi_c < kSpiMin || entry.spi_s < kSpiMin) return HeaderError::kSpiReserved;
  if (entry.spi_c == entry.spi_s) return HeaderError::kSpisEqual;
  if (is_bad(entry.port_c) || is_bad(entry.port_s)) return HeaderError::kPortBad;
  return entry.port_c == entry.port_s ? HeaderError::kPortsEqual : HeaderError::kNone;
}

}  // namespace

HeaderError read_offer(const SecurityList& list, Offer& offer) {
  offer = {};
  const SecurityEntry* first = nullptr;
  Offer found;
  for (const SecurityEntry& entry : list.entries) {
    if (!entry.is_usable()) continue;
    if (first == nullptr) first = &entry;
    if (!name_same_sas(*first, entry)) return HeaderError::kEntriesDisagree;
    found.add(entry.algorithms);
    (entry.is_udp_encapsulated ? found.offers_udp_encapsulation : found.offers_transport) = true;
  }
  if (first == nullptr) return why_nothing_usable(list);
  if (const HeaderError error = check_choice(*first); error != HeaderError::kNone) return error;
  found.spi_c = first->spi_c;
  found.spi_s = first->spi_s;
  found.port_c = first->port_c;
  found.port_s = first->port_s;
  offer = found;
  return HeaderError::kNone;
}

}  // namespace gmesp::sa
