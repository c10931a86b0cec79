// Registrations in a file that the next gmesp-control can read: whose sets they are. No keys.
//
// Shape: a header and slots of fixed size in a mapped file. A record is one or more slots; a new
// version of a record is written to fresh slots before the old ones are freed, every slot carries a
// checksum, so a process that dies at any moment leaves either version whole.
// The file lives as long as the machine is up (it is meant for /run or /dev/shm): set numbers and
// times of another boot mean nothing, so a file of another boot is begun anew.
// Threading: the event loop only. Errors: the constructor throws std::runtime_error naming the
// file; put() is false when the file may not grow.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gmesp::control {

class StateFile {
 public:
  /// Empty path: nothing is kept.
  StateFile(std::string path, uint64_t bytes_max);
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  /// Records that were found whole at the start, each once; then forgotten here.
  struct Found {
    uint32_t record;  ///< its name in this file
    std::string bytes;
  };
  std::vector<Found> take_found() { return std::move(found_); }
  /// Slots that belonged to no whole record.
  uint32_t damaged_slots() const { return damaged_slots_; }
  /// Why nothing was read, or empty.
  const std::string& begun_anew() const { return begun_anew_; }

  /// Takes the space of so many records of a slot each now, as far as the file may grow.
  void expect(uint64_t records);
  /// Writes a record; `record` 0 makes a new one, else it takes the old one's place. `record` is
  /// its new name.
  bool put(uint32_t& record, std::string_view bytes);
  void erase(uint32_t record);

  uint64_t slots_used() const { return used_; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Header;
  struct Slot;

  void open();
  void map(uint64_t bytes);
  bool grow();
  void read();
  bool belongs(uint32_t at, const Slot& first, uint32_t part) const;
  Slot& slot(uint32_t at) const;
  uint32_t slot_count() const;
  void free_chain(uint32_t first);

  const std::string path_;
  const uint64_t bytes_max_;
  int file_ = -1;
  uint8_t* memory_ = nullptr;
  uint64_t bytes_ = 0;
  uint64_t used_ = 0;
  uint64_t next_version_ = 1;
  std::vector<uint32_t> free_;
  std::vector<Found> found_;
  uint32_t damaged_slots_ = 0;
  std::string begun_anew_;
};

}  // namespace gmesp::control
