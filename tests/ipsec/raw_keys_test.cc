// Raw keys of live sets, kept for export if that is asked for, and only then.
#include <cstring>

#include "dead_process.h"

namespace gmesp::ipsec {
namespace {

using shm::SaSetRecord;
using shm::Status;

class RawKeys : public DeadProcess {
 protected:
  SaDatabaseOptions keeping() const {
    SaDatabaseOptions keeping = options();
    keeping.keep_raw_keys = true;
    return keeping;
  }
  static Bytes integrity_key(const SaSetRecord& record) {
    return {record.integrity_key, record.integrity_key + record.integrity_key_bytes};
  }
  static Bytes cipher_key(const SaSetRecord& record) {
    return {record.cipher_key, record.cipher_key + record.cipher_key_bytes};
  }
};

// Shows: R-D-K2
TEST_F(RawKeys, AreGivenBackAsInstalledForEveryShape) {
  for (const RecordShape& shape : all_shapes()) {
    SCOPED_TRACE(text(shape));
    SaDatabase database(keeping());
    const SaSetRecord installed = make_record(1, shape);
    const uint64_t set_id = install(database, installed);
    SaSetRecord exported;
    ASSERT_EQ(database.keys_of(set_id, exported), Status::kOk);
    EXPECT_EQ(integrity_key(exported), integrity_key(installed));
    EXPECT_EQ(cipher_key(exported), cipher_key(installed));

    // What was exported can be installed elsewhere.
    SaDatabase other(database_options(kCapacity));
    uint64_t other_id = 0;
    std::string detail;
    EXPECT_EQ(other.install(exported, kNowMs, other_id, detail), Status::kOk) << detail;
  }
}

// Shows: R-D-K2
TEST_F(RawKeys, AreNotKeptUnlessAskedFor) {
  SaDatabase database(options());
  const SaSetRecord record = make_record(1);
  const uint64_t set_id = install(database, record);
  SaSetRecord exported{};
  EXPECT_EQ(database.keys_of(set_id, exported), Status::kKeyExportOff);
  EXPECT_EQ(exported.integrity_key_bytes, 0);
  EXPECT_FALSE(contains(content(), integrity_key(record)));
}

// Shows: R-D-K2
TEST_F(RawKeys, AreWipedWithTheSet) {
  SaDatabase database(keeping());
  const SaSetRecord record = make_record(1);
  const uint64_t set_id = install(database, record);
  ASSERT_TRUE(contains(content(), integrity_key(record)));
  remove(database, set_id);
  EXPECT_FALSE(contains(content(), integrity_key(record)));
  EXPECT_FALSE(contains(content(), cipher_key(record)));
  SaSetRecord exported{};
  EXPECT_EQ(database.keys_of(set_id, exported), Status::kNotFound);
}

/// A shorter key in the slot of a longer one brings nothing of the longer one along.
// Shows: R-D-K2
TEST_F(RawKeys, OfAnEarlierSetAreNotInALaterOne) {
  SaDatabase database(keeping());
  remove(database, install(database, make_record(1)));
  const SaSetRecord later =
      make_record(2, {.suite = {crypto::Integrity::kHmacMd5_96, crypto::Cipher::kNull}});
  SaSetRecord exported{};
  ASSERT_EQ(database.keys_of(install(database, later), exported), Status::kOk);
  EXPECT_EQ(exported.integrity_key_bytes, 16);
  EXPECT_EQ(memcmp(exported.integrity_key, later.integrity_key, sizeof exported.integrity_key), 0);
  EXPECT_EQ(memcmp(exported.cipher_key, later.cipher_key, sizeof exported.cipher_key), 0);
}

// Shows: R-D-A2, R-C-03
TEST_F(RawKeys, SurviveTheDeathOfTheProcess) {
  const SaSetRecord record = make_record(1);
  live_and_die([&] {
    SaDatabase database(keeping());
    install(database, record);
    die();
  });
  const SaDatabase database(keeping());
  ASSERT_EQ(database.restoration().restored, 1u);
  shm::SetView view;
  uint64_t next = 0;
  ASSERT_EQ(database.next(0, view, next), Status::kOk);
  SaSetRecord exported;
  ASSERT_EQ(database.keys_of(view.set_id, exported), Status::kOk);
  EXPECT_EQ(integrity_key(exported), integrity_key(record));
}

// Shows: R-D-A2, R-D-K2
TEST_F(RawKeys, OfADeadProcessAreWipedWhenNoLongerKept) {
  const SaSetRecord record = make_record(1);
  live_and_die([&] {
    SaDatabase database(keeping());
    install(database, record);
    die();
  });
  ASSERT_TRUE(contains(content(), integrity_key(record)));
  const SaDatabase database(options());
  EXPECT_EQ(database.live_sets(), 0u);
  EXPECT_NE(database.memory().wiped_because().find("key_export was 1, is 0"), std::string::npos)
      << database.memory().wiped_because();
  EXPECT_FALSE(contains(content(), integrity_key(record)));
}

/// The seal covers them: a damaged key must not be given out as a good one.
// Shows: R-D-A2
TEST_F(RawKeys, ThatWereDamagedEndTheirSet) {
  live_and_die([&] {
    SaDatabase database(keeping());
    install(database, make_record(1));
    die();
  });
  Bytes bytes = content();
  const Bytes key = integrity_key(make_record(1));
  const auto found = std::search(bytes.begin(), bytes.end(), key.begin(), key.end());
  ASSERT_NE(found, bytes.end());
  *found ^= 1;
  write_content(bytes);
  const SaDatabase database(keeping());
  EXPECT_EQ(database.restoration().damaged, 1u);
  EXPECT_EQ(database.live_sets(), 0u);
}

}  // namespace
}  // namespace gmesp::ipsec
