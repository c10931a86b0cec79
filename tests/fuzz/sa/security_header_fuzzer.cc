// Any bytes as Security-* header lines: what is read can be written and reads the same, one line or
// many; what a UE offers keeps the rules of TS 33.203 7.1.
#include <cstdint>
#include <string>

#include "control/sa/security_header.h"
#include "invariant.h"

namespace gmesp::sa {
namespace {

void check_offer(const SecurityList& list) {
  Offer offer;
  if (read_offer(list, offer) != HeaderError::kNone) {
    GMESP_INVARIANT(offer.spi_c == 0 && offer.port_c == 0 && !offer.offers_transport);
    return;
  }
  GMESP_INVARIANT(offer.spi_c >= 256 && offer.spi_s >= 256 && offer.spi_c != offer.spi_s);
  GMESP_INVARIANT(offer.port_c != 0 && offer.port_s != 0 && offer.port_c != offer.port_s);
  GMESP_INVARIANT(offer.offers_transport || offer.offers_udp_encapsulation);
}

void check_written(const SecurityList& list) {
  const std::string text = write_security_list(list.entries);
  const std::string_view line = text;
  // Defaults and ten-digit SPIs may make it longer than what was read.
  if (text.size() > kHeaderBytesMax) return;
  SecurityList again;
  GMESP_INVARIANT(parse_security_list({&line, 1}, again) == HeaderError::kNone);
  GMESP_INVARIANT(mirrors(list, again) && mirrors(again, list));
  GMESP_INVARIANT(write_security_list(again.entries) == text);
  GMESP_INVARIANT(mirrors_bytewise(text, {&line, 1}));
}

void check_entry_by_entry(const SecurityList& list) {
  std::vector<std::string> texts;
  size_t bytes = 0;
  for (const SecurityEntry& entry : list.entries) {
    texts.push_back(write_security_list({&entry, 1}));
    bytes += texts.back().size();
  }
  if (bytes > kHeaderBytesMax) return;
  const std::vector<std::string_view> lines(texts.begin(), texts.end());
  SecurityList again;
  GMESP_INVARIANT(parse_security_list(lines, again) == HeaderError::kNone);
  GMESP_INVARIANT(mirrors(list, again));
}

/// A zero byte ends a line.
void run(std::string_view text) {
  std::vector<std::string> storage;  // exact size, so that a read beyond the end is seen
  for (size_t end; (end = text.find('\0')) != text.npos; text.remove_prefix(end + 1))
    storage.emplace_back(text.substr(0, end)).shrink_to_fit();
  storage.emplace_back(text).shrink_to_fit();
  const std::vector<std::string_view> lines(storage.begin(), storage.end());
  SecurityList list;
  if (parse_security_list(lines, list) != HeaderError::kNone) {
    GMESP_INVARIANT(list.entries.empty());
    return;
  }
  GMESP_INVARIANT(!list.entries.empty() && list.entries.size() <= kEntriesMax);
  check_offer(list);
  check_written(list);
  check_entry_by_entry(list);
}

}  // namespace
}  // namespace gmesp::sa

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gmesp::sa::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
