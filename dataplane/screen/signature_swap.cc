#include "dataplane/screen/signature_swap.h"

#include <utility>

namespace gmesp::screen {

SignatureSwap::~SignatureSwap() = default;

bool SignatureSwap::publish(std::unique_ptr<SignatureSet>& next) {
  if (retired_ != nullptr) return false;
  if (next != nullptr && owned_ != nullptr) next->count_on_from(*owned_);
  retired_ = std::exchange(owned_, std::move(next));
  current_.store(owned_.get(), std::memory_order_release);
  return true;
}

void SignatureSwap::end_grace_period() {
  if (owned_ != nullptr && retired_ != nullptr) owned_->count_on_from(*retired_);
  retired_.reset();
}

}  // namespace gmesp::screen
