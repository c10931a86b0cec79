// The half of SignatureSet that runs on workers.
#include <algorithm>
#include <cstring>

#include "dataplane/screen/signature_lane.h"
#include "dataplane/screen/signature_set.h"

namespace gmesp::screen {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() && std::ranges::equal(text, lower_case, {}, lower);
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool is_fold(std::string_view text, size_t line_feed) {
  return line_feed + 1 < text.size() && is_blank(text[line_feed + 1]);
}

bool has_fold(std::string_view text) {
  for (size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1))
    if (is_fold(text, at)) return true;
  return false;
}

/// A fold with the blanks around it is one space (RFC 3261 7.3.1). `out` has room for `text`.
std::string_view unfold(std::string_view text, char* out) {
  size_t length = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\n' || !is_fold(text, at)) {
      out[length++] = text[at];
      continue;
    }
    if (length > 0 && out[length - 1] == '\r') --length;
    while (length > 0 && is_blank(out[length - 1])) --length;
    while (at + 1 < text.size() && is_blank(text[at + 1])) ++at;
    out[length++] = ' ';
  }
  return {out, length};
}

/// Without its line end.
std::string_view request_line_of(const ScanInput& input) {
  const char* end = input.bytes.data() + input.bytes.size();
  const char* start = input.message.method_name.data();
  const auto left = static_cast<size_t>(end - start);
  const auto* line_feed = static_cast<const char*>(std::memchr(start, '\n', left));
  std::string_view line(start,
                        line_feed == nullptr ? left : static_cast<size_t>(line_feed - start));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

struct SignatureSet::Scan {
  const SignatureSet& set;
  const ScanInput& input;
  Lane& lane;
  Contexts context;
  ScanResult result;
};

int SignatureSet::on_match(unsigned rule, unsigned long long, unsigned long long, unsigned,
                           void* scan) {
  auto& found = *static_cast<Scan*>(scan);
  found.set.match(found, rule);
  return 0;
}

void SignatureSet::match(Scan& scan, uint32_t rule) const {
  const Hot& hot = hot_[rule];
  Lane& lane = scan.lane;
  if ((hot.contexts & scan.context) == 0 || lane.seen[rule] == lane.message) return;
  lane.seen[rule] = lane.message;
  lane.counts[rule].matched.add();
  ScanResult& result = scan.result;
  if (result.matches == 0 || hot.action > hot_[result.heaviest].action) result.heaviest = rule;
  if (result.matches < kMatchesTold) result.rules[result.matches] = static_cast<uint16_t>(rule);
  ++result.matches;
  if (hot.action == RuleAction::kEvent) result.has_event = true;
  const bool drops =
      hot.action == RuleAction::kDrop ||
      (hot.action == RuleAction::kRateLimit &&
       !lane.limiter.take(scan.input.source, rule, hot.per_second, scan.input.now_ms));
  if (!drops) return;
  lane.counts[rule].dropped.add();
  result.is_dropped = true;
}

void SignatureSet::scan_text(Scan& scan, const Place& place, std::string_view text) const {
  if (text.empty() || !place.database || (place.contexts & scan.context) == 0) return;
  if (hs_scan(place.database.get(), text.data(), static_cast<unsigned>(text.size()), 0,
              scan.lane.scratch.get(), on_match, &scan) != HS_SUCCESS)
    scan.lane.failed.add();
}

void SignatureSet::scan_unfolded(Scan& scan, const Place& place, std::string_view text) const {
  if (has_fold(text) && text.size() <= Lane::kUnfoldedBytesMax)
    text = unfold(text, scan.lane.unfolded.get());
  scan_text(scan, place, text);
}

size_t SignatureSet::name_bucket(std::string_view name) {
  const auto byte = [](char c) {
    return static_cast<size_t>(static_cast<unsigned char>(lower(c)));
  };
  return (name.size() * 29 + byte(name.front()) * 7 + byte(name.back())) % kNameBuckets;
}

const SignatureSet::Header* SignatureSet::header_of(const HeaderField& field) const {
  if (field.id != HeaderId::kOther) return header_by_id_[static_cast<uint8_t>(field.id)];
  if (field.name.empty()) return nullptr;
  for (const Header* header : headers_by_name_[name_bucket(field.name)])
    if (equals_ignoring_case(field.name, header->name)) return header;
  return nullptr;
}

void SignatureSet::scan_headers(Scan& scan) const {
  if ((header_contexts_ & scan.context) == 0) return;
  HeaderFields fields(scan.input.message.header_block);
  for (HeaderField field; fields.next(field);) {
    const Header* header = header_of(field);
    if (header == nullptr) continue;
    for (const uint32_t rule : header->present) match(scan, rule);
    scan_unfolded(scan, *header, field.value);
  }
}

ScanResult SignatureSet::finish(Scan& scan) const {
  Lane& lane = scan.lane;
  lane.scanned.add();
  if (scan.result.matches > 0) lane.matched.add();
  if (scan.result.is_dropped) lane.dropped.add();
  if (scan.result.has_event) lane.events.add();
  return scan.result;
}

SieveResult SignatureSet::sift(uint32_t worker, const SieveInput& input) {
  Lane& lane = *lanes_[worker];
  const SieveResult left = sieve_.look(input, lane.scratch.get());
  if (left.is_nothing() && !input.bytes.empty()) lane.scanned.add();
  return left;
}

ScanResult SignatureSet::scan(uint32_t worker, const ScanInput& input) {
  const SipMessage& message = input.message;
  const bool is_response = message.kind == MessageKind::kResponse;
  if (!is_response && message.kind != MessageKind::kRequest) return {};
  Lane& lane = *lanes_[worker];
  ++lane.message;
  Scan scan{*this, input, lane, context_bit(input.is_protected, is_response), {}};
  // The sieve does not see through folds.
  const PlaceSet places =
      input.left.may_fold && has_fold(message.header_block) ? kAllPlaces : input.left.places;
  if ((places & place_bit(RulePlace::kRequestLine)) != 0 && !message.method_name.empty())
    scan_text(scan, request_line_, request_line_of(input));
  if ((places & place_bit(RulePlace::kHeader)) != 0) scan_headers(scan);
  if ((places & place_bit(RulePlace::kHeaders)) != 0)
    scan_unfolded(scan, header_block_, message.header_block);
  if ((places & place_bit(RulePlace::kBody)) != 0) scan_text(scan, body_, message.body);
  if ((places & place_bit(RulePlace::kMessage)) != 0) scan_text(scan, message_, input.bytes);
  return finish(scan);
}

}  // namespace gmesp::screen
