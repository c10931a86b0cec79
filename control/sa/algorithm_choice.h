// Which algorithms a set gets (TS 33.203 7.2): the first pair of the P-CSCF's own list that the UE
// offered. The same list goes into SM6, so that a UE that takes its first entry lands on the same
// pair.
//
// Threading: pure functions.
#pragma once

#include <vector>

#include "control/sa/policy.h"
#include "control/sa/refusal.h"
#include "control/sa/security_header.h"

namespace gmesp::sa {

/// By falling priority: pairs with a cipher, then those with NULL as far as the policy has it so.
/// `des_is_weak`: these keys make no DES-EDE3 (R-I-03), so pairs with it are left out.
std::vector<AlgorithmPair> own_pairs(const Policy& policy, bool des_is_weak);

/// kNone, and `chosen`; or why there is no common pair.
Refusal choose(const Policy& policy, const Offer& offer, bool des_is_weak, AlgorithmPair& chosen);

}  // namespace gmesp::sa
