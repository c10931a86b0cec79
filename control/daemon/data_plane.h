// gmesp-control's line to gmespd: SA sets in, acknowledgements and events out, reconnection, and
// the comparison of both sides' sets after either came back.
//
// Order: commands reach gmespd in the order in which they were given. Somebody waits for an
// installation, so it goes out at once and takes the rest with it; removals and new lifetimes alone
// may wait for kLazyMs: waking gmespd costs more than the command, and so does waiting with a timer
// that is due before the kernel's next tick.
// Threading: the event loop only. Errors: to the Listener; nothing throws.
// Keys: pass through, wiped when libgmesp has taken them.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/client/gmesp.h"
#include "control/sa/sa_manager.h"

namespace gmesp::control {

struct DataPlaneOptions {
  std::string socket;
  uint64_t answer_ms = 1000;    ///< gmespd is given up when it answers nothing for so long
  uint64_t retry_ms = 200;      ///< between attempts to connect
  uint32_t queue_max = 65'536;  ///< commands that wait for room in the ring
};

class DataPlane {
 public:
  /// What came from gmespd.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_installed(sa::SetNumber set, uint64_t data_plane_id) = 0;
    virtual void on_install_failed(sa::SetNumber set, sa::Refusal refusal) = 0;
    virtual void on_gone(sa::SetNumber set, sa::GoneBecause because) = 0;
    virtual void on_peer_port(sa::SetNumber set, uint16_t port) = 0;
    virtual void on_sequence_near_end(sa::SetNumber set) = 0;
    virtual void on_up() = 0;
    virtual void on_down(const std::string& why) = 0;
    /// A live set of gmespd. False: it is nobody's, and goes.
    virtual bool on_found(const gmesp_set_view& view) = 0;
    /// All live sets of gmespd were shown: those not among `found` and numbered below `before`
    /// live no more.
    virtual void on_compared(const std::unordered_set<sa::SetNumber>& found,
                             sa::SetNumber before) = 0;
    virtual sa::SetNumber next_number() const = 0;
    virtual bool is_known(sa::SetNumber set) const = 0;
  };

  DataPlane(DataPlaneOptions options, Listener& listener);
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  bool is_up() const { return dp_ != nullptr; }
  /// Readable: call poll(). -1 while down.
  int descriptor() const;
  /// Connects if it is time; sends what was asked for since the last time; fetches what gmespd
  /// said; finds out whether it is silent. Call it after every event.
  void poll(bool is_readable, uint64_t now_ms);
  uint64_t next_deadline_ms() const;

  bool install(const sa::NewSet& set, uint64_t now_ms);
  void remove(const sa::SaSet& set, uint64_t now_ms);
  void set_not_after(const sa::SaSet& set, uint64_t now_ms);
  void withdraw(int integrity, int cipher);
  void restore(int integrity, int cipher);

  uint64_t installs_in_flight() const { return in_flight_.size(); }

 private:
  static constexpr uint64_t kNever = UINT64_MAX, kAtOnce = 0;
  static constexpr uint64_t kLazyMs = 10;

  enum class Kind : uint8_t { kInstall, kRemove, kNotAfter, kWalk };
  struct Command {
    Kind kind;
    uint64_t tag;     ///< of the completion
    uint64_t set_id;  ///< of gmespd; walk: table index
    uint64_t value;
    gmesp_sa_set set;
  };
  struct InFlight {
    uint64_t since_ms;
    bool is_cancelled;
  };
  struct Walker {
    uint64_t end_index;
    bool is_done;
  };

  void connect(uint64_t now_ms);
  void disconnect(const std::string& why, uint64_t now_ms);
  void send(Command&& command, uint64_t by_ms);
  int submit(const Command& command);
  void drain_queue();
  void submit_queue();
  void take(const gmesp_completion& completion);
  void take_install(sa::SetNumber number, const gmesp_completion& completion);
  void take(const gmesp_event& event);
  void start_walk();
  void take_walk(uint32_t walker, const gmesp_completion& completion);

  const DataPlaneOptions options_;
  Listener& listener_;
  gmesp_dp* dp_ = nullptr;
  uint64_t retry_at_ms_ = 0;
  std::string last_failure_;
  std::deque<Command> queue_;
  uint64_t send_by_ms_ = kNever;   ///< what came into the queue since it was drained
  bool waits_for_gmespd_ = false;  ///< the rest of the queue
  std::unordered_map<sa::SetNumber, InFlight> in_flight_;
  std::deque<std::pair<uint64_t, sa::SetNumber>> in_flight_by_age_;
  uint32_t unanswered_ = 0;  ///< commands that gmespd has taken
  uint32_t cancelled_ = 0;   ///< installs in flight that were removed meanwhile
  std::vector<Walker> walkers_;
  uint32_t walkers_left_ = 0;
  std::unordered_set<sa::SetNumber> found_;
  sa::SetNumber compared_before_ = 0;
};

}  // namespace gmesp::control
