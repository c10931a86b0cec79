// Between the public structs of gmesp.h and the records in shared memory.
//
// Threading: pure functions. Errors: enum gmesp_error; texts through fail().
#pragma once

#include "control/client/dp.h"

namespace gmesp::client {

/// An error if the caller did not set the size of a struct that is to be filled.
template <class Struct>
int check_room(const Struct* to) {
  if (to == nullptr) return GMESP_E_BAD_ARGUMENT;
  return to->size < sizeof *to ? GMESP_E_STRUCT_SIZE : GMESP_OK;
}

int to_record(gmesp_dp& dp, const gmesp_sa_set* set, shm::SaSetRecord& record);
/// With keys: `to` is wiped by the caller of the library. False if `from` is not a record.
bool to_set_with_keys(const shm::SaSetRecord& from, gmesp_sa_set& to);
void to_view(const shm::SetView& from, gmesp_set_view& to);
void to_event(const shm::Event& from, gmesp_event& to);

}  // namespace gmesp::client
