// What the SA manager tells the world, taken at its word: gmespd as a list of sets with a queue of
// commands before it, a saved copy of every context, and the answers that went to the SIP side.
//
// It knows nothing of the SA manager's rules; it complains about what gmespd could not do or must
// never see: two SAs with one look-up key or SPI, a fourth set of a user, a key installed twice.
// Ownership: values. Threading: none. Errors: Violation.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model.h"

namespace gmesp::sa::model {

/// What a restart would find of a user: as it was when it was last saved.
struct Saved {
  Context context;
  std::map<SetNumber, SaSet> sets;  ///< live and lingering ones
};

struct HeldSet {
  SaSet set;  ///< as it was when it was installed; its pointer to the context is not to be followed
  std::string impi;
  std::vector<uint8_t> integrity_key, cipher_key;
};

class DataPlane : public Sink {
 public:
  bool install(const NewSet& set) override;
  void remove(const SaSet& set, GoneBecause because) override;
  void set_not_after(const SaSet& set) override;
  void answer(uint64_t request, const Verdict& verdict) override;
  void changed(const Context& context) override;
  KeyFingerprint fingerprint(std::span<const uint8_t> key) override;

  /// Carries out the oldest command. The number of the set if it was an installation, else kClear.
  SetNumber carry_out(bool refuses_installation);
  void lose(SetNumber number);

  bool is_down = false;
  bool has_commands() const { return !commands_.empty(); }
  const std::vector<HeldSet>& held() const { return held_; }
  bool holds(SetNumber number) const;
  /// Told to install and not told to remove: what verdicts may name.
  bool is_promised(SetNumber number) const { return promised_.contains(number); }
  const std::map<SetNumber, SaSet>& promised() const { return promised_; }

  /// By the context's sink_record.
  const std::map<uint32_t, Saved>& saved() const { return saved_; }

  const SaSet* last_made() const { return has_made_ ? &last_made_ : nullptr; }
  void forget_last_made() { has_made_ = false; }
  const std::map<uint64_t, Verdict>& answers() const { return answers_; }
  std::map<uint64_t, Verdict> take_answers() { return std::exchange(answers_, {}); }

 private:
  struct Command {
    bool installs;
    HeldSet set;
  };
  void check_fits(const HeldSet& fresh) const;

  std::deque<Command> commands_;
  std::vector<HeldSet> held_;
  std::map<SetNumber, SaSet> promised_;
  std::map<uint64_t, Verdict> answers_;
  std::map<uint32_t, Saved> saved_;
  uint32_t records_ = 0;
  SaSet last_made_;
  bool has_made_ = false;
  SetNumber highest_ = kClear;
};

}  // namespace gmesp::sa::model
