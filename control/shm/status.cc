// Texts of the status codes. Built into libgmesp too, hence no C++ run-time library.
#include "control/shm/layout.h"

namespace gmesp::shm {
namespace {

/// By number.
constexpr const char* kTexts[] = {
    "success",                                         // kOk
    "version of the record is not known",              // kBadVersion
    "record is malformed",                             // kBadRecord
    "mode is not known",                               // kBadMode
    "integrity is never optional (TS 33.203 5.1.4)",   // kIntegrityMissing
    "algorithm is not known",                          // kUnknownAlgorithm
    "algorithm is withdrawn",                          // kAlgorithmWithdrawn
    "integrity key has the wrong size",                // kIntegrityKeySize
    "cipher key has the wrong size",                   // kCipherKeySize
    "weak 3DES key (RFC 2451 2.3)",                    // kWeakDesKey
    "SPI 0 to 255 is reserved (RFC 2406 2.1)",         // kSpiReserved
    "the two SPIs of one side are equal",              // kSpiRepeated
    "inbound SPI is in use by another set",            // kSpiInUse
    "port is 0",                                       // kPortZero
    "client and server port of one side are equal",    // kPortsEqual
    "port_pc or port_ps is not a protected port",      // kPortNotProtected
    "addresses of one set are of different families",  // kMixedFamilies
    "address cannot be an SA's",                       // kAddressUnusable
    "addresses and ports are in use by another set",   // kSelectorInUse
    "SA table is full",                                // kTableFull
    "no live set has this id",                         // kNotFound
    "lifetime is over already",                        // kAlreadyExpired
    "this connection may only read",                   // kNotWriter
    "command is not known",                            // kUnknownCommand
    "outer address does not fit the mode",             // kOuterAddressUnusable
    "no further row",                                  // kEnd
    "a lifetime may only grow (TS 33.203 7.4.2a)",     // kLifetimeShrinks
    "gmespd is shutting down",                         // kShuttingDown
    "argument is out of range",                        // kBadArgument
    "raw keys are not kept",                           // kKeyExportOff
    "keys are not for this user",                      // kKeysNotAllowed
    "the screen is off",                               // kScreenOff
    "rules are not for this user",                     // kRulesNotAllowed
    "another load of rules is under way",              // kRulesBusy
    "rules refused, the old ones stay",                // kRulesRefused
};
constexpr uint32_t kTextCount = sizeof kTexts / sizeof kTexts[0];
static_assert(kTextCount == static_cast<uint32_t>(Status::kRulesRefused) + 1);

}  // namespace

const char* status_text(Status status) {
  const auto number = static_cast<uint32_t>(status);
  return number < kTextCount ? kTexts[number] : "unknown status";
}

}  // namespace gmesp::shm
