// Every row of drop_reason.h: a packet that must be dropped for this reason is counted under it
// and no other, audited once with the right names, released, and nothing of it is sent.
#include <gtest/gtest.h>

#include <ostream>
#include <set>

#include "dissection.h"
#include "drop_case.h"

namespace gmesp::test {

void in_a_tunnel(LabOptions&, Registration& ue) {
  ue.mode = shm::Mode::kUdpEncapsulatedTunnel;
}

AuditDetails audit_of(const Bytes& packet) {
  const std::optional<Dissection> seen = dissect_packet(packet);
  if (!seen) return {};
  return {.source = seen->source,
          .destination = seen->destination,
          .source_port = seen->source_port,
          .destination_port = seen->destination_port};
}

AuditDetails audit_of(const Registration& ue, shm::SaRole role, const Bytes& packet,
                      uint32_t sequence) {
  AuditDetails audit = audit_of(packet);
  const Datagram datagram = ue.datagram(role, {});
  audit.source_port = datagram.source_port;
  audit.destination_port = datagram.destination_port;
  audit.spi = ue.sa(role).spi;
  audit.sequence = sequence;
  return audit;
}

void PrintTo(const DropCase& drop, std::ostream* out) {
  *out << ipsec::info(drop.reason).name << ": " << drop.what;
}

namespace {

using ipsec::DropReason;

std::vector<DropCase> all_cases() {
  std::vector<DropCase> all;
  for (const auto* cases : {&header_drop_cases(), &access_drop_cases(), &screen_drop_cases(),
                            &esp_drop_cases(), &host_drop_cases()})
    all.insert(all.end(), cases->begin(), cases->end());
  return all;
}

std::string name_of(const testing::TestParamInfo<DropCase>& info) {
  std::string name = std::string(ipsec::info(info.param.reason).name) + "__" + info.param.what;
  for (char& letter : name)
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  return name;
}

void expect_audit(const ipsec::Notice& notice, const DropCase& drop, const DropTrial& trial) {
  const AuditDetails& audit = trial.audit;
  EXPECT_EQ(ipsec::info(notice.reason).name, ipsec::info(drop.reason).name);
  EXPECT_EQ(ipsec::text(notice.source), ipsec::text(address_of(audit.source)));
  EXPECT_EQ(ipsec::text(notice.destination), ipsec::text(address_of(audit.destination)));
  EXPECT_EQ(notice.source_port, audit.source_port);
  EXPECT_EQ(notice.destination_port, audit.destination_port);
  EXPECT_EQ(notice.spi, audit.spi);
  EXPECT_EQ(notice.sequence, audit.sequence) << "RFC 2406 4: the audit names the number";
  EXPECT_EQ(notice.suppressed, 0u);
  EXPECT_EQ(notice.time_ms, trial.lab.now_ms);
}

class DropReasonTest : public testing::TestWithParam<DropCase> {};

// Shows: R-2406-15, R-2406-07
TEST_P(DropReasonTest, IsCountedAuditedAndReleased) {
  const DropCase& drop = GetParam();
  LabOptions options;
  Registration ue = make_registration(1);
  if (drop.adjust != nullptr) drop.adjust(options, ue);
  Lab lab(options);
  DropTrial trial{.lab = lab, .ue = ue, .set_id = lab.install(ue)};
  drop.provoke(trial);

  EXPECT_EQ(lab.count(drop.reason), 1u);
  EXPECT_EQ(lab.dropped(), drop.before == nullptr ? 1u : 2u) << lab.drops();
  EXPECT_NE(lab.drops().find(drop.before == nullptr ? "" : drop.before), std::string::npos);
  EXPECT_EQ(lab.waiting(), 0);
  EXPECT_EQ(trial.sent.size(), drop.is_answered ? 1u : 0u);
  if (drop.is_answered && !trial.sent.empty()) {
    EXPECT_EQ(trial.sent[0].to, ipsec::Side::kHost);
  }
  const std::vector<ipsec::Notice> audits = lab.notices(shm::EventKind::kAudit);
  ASSERT_EQ(audits.size(), drop.is_silent ? 0u : 1u);
  if (!drop.is_silent) expect_audit(audits[0], drop, trial);
}

INSTANTIATE_TEST_SUITE_P(AllReasons, DropReasonTest, testing::ValuesIn(all_cases()), name_of);

// Shows: R-2406-15
TEST(DropReasons, EveryRowOfTheTableIsHitByACase) {
  std::set<DropReason> hit;
  for (const DropCase& drop : all_cases()) hit.insert(drop.reason);
  for (uint32_t row = 1; row <= ipsec::kDropReasonCount; ++row)
    EXPECT_TRUE(hit.contains(static_cast<DropReason>(row))) << ipsec::kDropReasons[row].name;
}

// Shows: R-2406-15
TEST(DropReasons, EachHasANameAClauseAndATextOfItsOwn) {
  std::set<std::string_view> names;
  for (uint32_t row = 1; row <= ipsec::kDropReasonCount; ++row) {
    const ipsec::DropReasonInfo& info = ipsec::kDropReasons[row];
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.clause.empty()) << info.name;
    EXPECT_FALSE(info.text.empty()) << info.name;
    EXPECT_LT(info.name.size(), sizeof shm::ReasonRow::name);
    EXPECT_LT(info.clause.size(), sizeof shm::ReasonRow::clause);
    EXPECT_LT(info.text.size(), sizeof shm::ReasonRow::text);
  }
}

}  // namespace
}  // namespace gmesp::test
