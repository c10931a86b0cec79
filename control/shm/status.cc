// Texts of the status codes. Built into libgmesp too, hence no C++ run-time library.
#include "control/shm/layout.h"

namespace gmesp::shm {

const char* status_text(Status status) {
  switch (status) {
    case Status::kOk:
      return "success";
    case Status::kBadVersion:
      return "version of the record is not known";
    case Status::kBadRecord:
      return "record is malformed";
    case Status::kBadMode:
      return "mode is not known";
    case Status::kIntegrityMissing:
      return "integrity is never optional (TS 33.203 5.1.4)";
    case Status::kUnknownAlgorithm:
      return "algorithm is not known";
    case Status::kAlgorithmWithdrawn:
      return "algorithm is withdrawn";
    case Status::kIntegrityKeySize:
      return "integrity key has the wrong size";
    case Status::kCipherKeySize:
      return "cipher key has the wrong size";
    case Status::kWeakDesKey:
      return "weak 3DES key (RFC 2451 2.3)";
    case Status::kSpiReserved:
      return "SPI 0 to 255 is reserved (RFC 2406 2.1)";
    case Status::kSpiRepeated:
      return "the two SPIs of one side are equal";
    case Status::kSpiInUse:
      return "inbound SPI is in use by another set";
    case Status::kPortZero:
      return "port is 0";
    case Status::kPortsEqual:
      return "client and server port of one side are equal";
    case Status::kPortNotProtected:
      return "port_pc or port_ps is not a protected port";
    case Status::kMixedFamilies:
      return "addresses of one set are of different families";
    case Status::kAddressUnusable:
      return "address cannot be an SA's";
    case Status::kSelectorInUse:
      return "addresses and ports are in use by another set";
    case Status::kTableFull:
      return "SA table is full";
    case Status::kNotFound:
      return "no live set has this id";
    case Status::kAlreadyExpired:
      return "lifetime is over already";
    case Status::kNotWriter:
      return "this connection may only read";
    case Status::kUnknownCommand:
      return "command is not known";
    case Status::kOuterAddressUnusable:
      return "outer address does not fit the mode";
    case Status::kEnd:
      return "no further row";
    case Status::kLifetimeShrinks:
      return "a lifetime may only grow (TS 33.203 7.4.2a)";
    case Status::kShuttingDown:
      return "gmespd is shutting down";
    case Status::kBadArgument:
      return "argument is out of range";
  }
  return "unknown status";
}

}  // namespace gmesp::shm
