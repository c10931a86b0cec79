// Texts of errors.
#include "control/client/gmesp.h"
#include "control/shm/layout.h"

using gmesp::shm::Status;

// gmespd's statuses are the first errors of the public interface, number by number.
static_assert(GMESP_E_BAD_VERSION == static_cast<int>(Status::kBadVersion));
static_assert(GMESP_E_BAD_RECORD == static_cast<int>(Status::kBadRecord));
static_assert(GMESP_E_BAD_MODE == static_cast<int>(Status::kBadMode));
static_assert(GMESP_E_INTEGRITY_MISSING == static_cast<int>(Status::kIntegrityMissing));
static_assert(GMESP_E_UNKNOWN_ALGORITHM == static_cast<int>(Status::kUnknownAlgorithm));
static_assert(GMESP_E_ALGORITHM_WITHDRAWN == static_cast<int>(Status::kAlgorithmWithdrawn));
static_assert(GMESP_E_INTEGRITY_KEY_SIZE == static_cast<int>(Status::kIntegrityKeySize));
static_assert(GMESP_E_CIPHER_KEY_SIZE == static_cast<int>(Status::kCipherKeySize));
static_assert(GMESP_E_WEAK_DES_KEY == static_cast<int>(Status::kWeakDesKey));
static_assert(GMESP_E_SPI_RESERVED == static_cast<int>(Status::kSpiReserved));
static_assert(GMESP_E_SPI_REPEATED == static_cast<int>(Status::kSpiRepeated));
static_assert(GMESP_E_SPI_IN_USE == static_cast<int>(Status::kSpiInUse));
static_assert(GMESP_E_PORT_ZERO == static_cast<int>(Status::kPortZero));
static_assert(GMESP_E_PORTS_EQUAL == static_cast<int>(Status::kPortsEqual));
static_assert(GMESP_E_PORT_NOT_PROTECTED == static_cast<int>(Status::kPortNotProtected));
static_assert(GMESP_E_MIXED_FAMILIES == static_cast<int>(Status::kMixedFamilies));
static_assert(GMESP_E_ADDRESS_UNUSABLE == static_cast<int>(Status::kAddressUnusable));
static_assert(GMESP_E_SELECTOR_IN_USE == static_cast<int>(Status::kSelectorInUse));
static_assert(GMESP_E_TABLE_FULL == static_cast<int>(Status::kTableFull));
static_assert(GMESP_E_NOT_FOUND == static_cast<int>(Status::kNotFound));
static_assert(GMESP_E_ALREADY_EXPIRED == static_cast<int>(Status::kAlreadyExpired));
static_assert(GMESP_E_NOT_WRITER == static_cast<int>(Status::kNotWriter));
static_assert(GMESP_E_UNKNOWN_COMMAND == static_cast<int>(Status::kUnknownCommand));
static_assert(GMESP_E_OUTER_ADDRESS_UNUSABLE == static_cast<int>(Status::kOuterAddressUnusable));
static_assert(GMESP_E_END == static_cast<int>(Status::kEnd));
static_assert(GMESP_E_LIFETIME_SHRINKS == static_cast<int>(Status::kLifetimeShrinks));
static_assert(GMESP_E_SHUTTING_DOWN == static_cast<int>(Status::kShuttingDown));
static_assert(GMESP_E_BAD_ARGUMENT == static_cast<int>(Status::kBadArgument));
static_assert(GMESP_E_KEY_EXPORT_OFF == static_cast<int>(Status::kKeyExportOff));
static_assert(GMESP_E_KEYS_NOT_ALLOWED == static_cast<int>(Status::kKeysNotAllowed));
static_assert(GMESP_E_SCREEN_OFF == static_cast<int>(Status::kScreenOff));
static_assert(GMESP_E_RULES_NOT_ALLOWED == static_cast<int>(Status::kRulesNotAllowed));
static_assert(GMESP_E_RULES_BUSY == static_cast<int>(Status::kRulesBusy));
static_assert(GMESP_E_RULES_REFUSED == static_cast<int>(Status::kRulesRefused));

const char* gmesp_strerror(int error) {
  switch (error) {
    case GMESP_E_NOT_CONNECTED:
      return "cannot connect";
    case GMESP_E_REFUSED:
      return "connection refused by the daemon";
    case GMESP_E_VERSION:
      return "daemon and library differ in version";
    case GMESP_E_DISCONNECTED:
      return "connection ended";
    case GMESP_E_TIMEOUT:
      return "no answer in time";
    case GMESP_E_HUNG:
      return "gmespd hangs";
    case GMESP_E_FORKED:
      return "connection belongs to another process";
    case GMESP_E_AGAIN:
      return "not now";
    case GMESP_E_PROTOCOL:
      return "the daemon broke the protocol";
    case GMESP_E_NO_MEMORY:
      return "out of memory";
    case GMESP_E_STRUCT_SIZE:
      return "size of a struct is not set or not known";
    default:
      break;
  }
  if (error < 0 || error >= GMESP_E_NOT_CONNECTED) return "unknown error";
  return gmesp::shm::status_text(static_cast<Status>(error));
}
