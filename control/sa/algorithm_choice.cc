#include "control/sa/algorithm_choice.h"

namespace gmesp::sa {

std::vector<AlgorithmPair> own_pairs(const Policy& policy, bool des_is_weak) {
  std::vector<AlgorithmPair> pairs;
  if (policy.confidentiality != Confidentiality::kNever)
    for (const Cipher cipher : policy.ciphers)
      for (const Integrity integrity : policy.integrity)
        if (cipher != Cipher::kDesEde3Cbc || !des_is_weak) pairs.push_back({integrity, cipher});
  if (policy.confidentiality != Confidentiality::kRequired)
    for (const Integrity integrity : policy.integrity) pairs.push_back({integrity, Cipher::kNull});
  return pairs;
}

Refusal choose(const Policy& policy, const Offer& offer, bool des_is_weak, AlgorithmPair& chosen) {
  for (const AlgorithmPair pair : own_pairs(policy, des_is_weak))
    if (offer.has(pair)) {
      chosen = pair;
      return Refusal::kNone;
    }
  const bool is_for_want_of_cipher =
      policy.confidentiality == Confidentiality::kRequired && offer.has_only(Cipher::kNull);
  return is_for_want_of_cipher ? Refusal::kConfidentialityRequired : Refusal::kNoCommonAlgorithm;
}

}  // namespace gmesp::sa
