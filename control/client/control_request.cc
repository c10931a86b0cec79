#include "control/client/control_request.h"

#include <stddef.h>
#include <string.h>

namespace gmesp::client {
namespace {

using link::MessageWriter;
using link::Tag;

bool is_zero(const void* bytes, size_t count) {
  const auto* at = static_cast<const uint8_t*>(bytes);
  uint8_t any = 0;
  for (size_t i = 0; i < count; ++i) any = static_cast<uint8_t>(any | at[i]);
  return any == 0;
}

/// Fields that a newer caller knows and this library does not must be unused.
template <class Struct>
int check_size(gmesp_control& control, const Struct* from, const char* name) {
  if (from == nullptr) return fail(control, GMESP_E_BAD_ARGUMENT, "struct %s is NULL", name);
  if (from->size < sizeof *from ||
      !is_zero(reinterpret_cast<const uint8_t*>(from) + sizeof *from, from->size - sizeof *from))
    return fail(control, GMESP_E_STRUCT_SIZE, "struct %s of %u bytes, this library knows %zu", name,
                from->size, sizeof *from);
  return GMESP_OK;
}

int check_reserved(gmesp_control& control, const void* bytes, size_t count, const char* name) {
  if (is_zero(bytes, count)) return GMESP_OK;
  return fail(control, GMESP_E_BAD_ARGUMENT, "reserved bytes of struct %s are not zero", name);
}

int check_most(gmesp_control& control, uint64_t found, uint64_t most, const char* name) {
  if (found <= most) return GMESP_OK;
  return fail(control, GMESP_E_BAD_ARGUMENT, "%s: found %llu, allowed are 0 to %llu", name,
              static_cast<unsigned long long>(found), static_cast<unsigned long long>(most));
}

int check_key(gmesp_control& control, uint8_t bytes, const char* name) {
  if (bytes == 0 || bytes == GMESP_KEY_BYTES) return GMESP_OK;
  return fail(control, GMESP_E_BAD_ARGUMENT, "%s of %u bytes, allowed are 0 and %d", name, bytes,
              GMESP_KEY_BYTES);
}

/// Texts without a limit of their own: that of the message is checked at the end.
void write_text(Tag tag, const char* value, MessageWriter& to) {
  if (value != nullptr && value[0] != '\0')
    to.bytes(tag, value, static_cast<uint32_t>(strnlen(value, link::kMessageBytesMax)));
}

/// Header lines; an empty one is a line too.
int write_lines(gmesp_control& control, Tag tag, const char* name, const char* const* lines,
                uint32_t count, MessageWriter& to) {
  const int error = check_most(control, count, GMESP_HEADER_LINES_MAX, name);
  if (error != GMESP_OK) return error;
  for (uint32_t i = 0; i < count; ++i) {
    if (lines == nullptr || lines[i] == nullptr)
      return fail(control, GMESP_E_BAD_ARGUMENT, "%s: line %u of %u is NULL", name, i + 1, count);
    to.bytes(tag, lines[i], static_cast<uint32_t>(strnlen(lines[i], link::kMessageBytesMax)));
  }
  return GMESP_OK;
}

int write_impus(gmesp_control& control, const char* const* impus, uint32_t count,
                MessageWriter& to) {
  int error = check_most(control, count, GMESP_IDENTITIES_MAX, "impu_count");
  for (uint32_t i = 0; i < count && error == GMESP_OK; ++i) {
    if (impus == nullptr || impus[i] == nullptr || impus[i][0] == '\0')
      return fail(control, GMESP_E_BAD_ARGUMENT, "impus: number %u of %u is empty", i + 1, count);
    error = write_identity(control, Tag::kImpu, "impu", impus[i], to);
  }
  return error;
}

/// IMPI and registration key.
int write_user(gmesp_control& control, const char* impi, const char* registration_key,
               MessageWriter& to) {
  const int error = write_identity(control, Tag::kImpi, "impi", impi, to);
  if (error != GMESP_OK) return error;
  return write_identity(control, Tag::kRegistrationKey, "registration_key", registration_key, to);
}

int write_arrival(gmesp_control& control, const gmesp_arrival& arrival, MessageWriter& to) {
  int error = check_reserved(control, arrival.reserved, sizeof arrival.reserved, "gmesp_arrival");
  if (error == GMESP_OK) error = check_most(control, arrival.is_tcp, 1, "is_tcp");
  to.address(Tag::kSource, arrival.source);
  to.number(Tag::kSourcePort, arrival.source_port);
  to.address(Tag::kLocal, arrival.local);
  to.number(Tag::kLocalPort, arrival.local_port);
  to.number(Tag::kIsTcp, arrival.is_tcp);
  return error;
}

}  // namespace

int write_identity(gmesp_control& control, Tag tag, const char* name, const char* value,
                   MessageWriter& to) {
  if (value == nullptr || value[0] == '\0') return GMESP_OK;
  const size_t bytes = strnlen(value, GMESP_IDENTITY_BYTES);
  if (bytes == GMESP_IDENTITY_BYTES)
    return fail(control, GMESP_E_BAD_ARGUMENT, "%s: longer than the %d bytes that are allowed",
                name, GMESP_IDENTITY_BYTES - 1);
  to.bytes(tag, value, static_cast<uint32_t>(bytes));
  return GMESP_OK;
}

int write(gmesp_control& control, const gmesp_register_request* from, MessageWriter& to) {
  int error = check_size(control, from, "gmesp_register_request");
  if (error == GMESP_OK)
    error = check_most(control, from->answer, GMESP_ANSWER_NETWORK_FAILURE, "answer");
  if (error == GMESP_OK) error = write_user(control, from->impi, from->registration_key, to);
  if (error == GMESP_OK) error = write_identity(control, Tag::kImpu, "impu", from->impu, to);
  if (error == GMESP_OK) error = write_arrival(control, from->arrival, to);
  if (error != GMESP_OK) return error;
  to.address(Tag::kVia, from->via);
  write_text(Tag::kTransaction, from->transaction, to);
  to.number(Tag::kAuthenticationAnswer, from->answer);
  error = write_lines(control, Tag::kSecurityClient, "security_client", from->security_client,
                      from->security_client_lines, to);
  if (error != GMESP_OK) return error;
  return write_lines(control, Tag::kSecurityVerify, "security_verify", from->security_verify,
                     from->security_verify_lines, to);
}

int write(gmesp_control& control, const struct gmesp_challenge* from, MessageWriter& to) {
  int error = check_size(control, from, "gmesp_challenge");
  if (error == GMESP_OK)
    error = check_reserved(control, from->reserved, sizeof from->reserved, "gmesp_challenge");
  if (error == GMESP_OK) error = check_key(control, from->ik_bytes, "ik");
  if (error == GMESP_OK) error = check_key(control, from->ck_bytes, "ck");
  if (error == GMESP_OK) error = write_user(control, from->impi, from->registration_key, to);
  if (error != GMESP_OK) return error;
  write_text(Tag::kTransaction, from->transaction, to);
  if (from->ik_bytes != 0) to.bytes(Tag::kIk, from->ik, from->ik_bytes);
  if (from->ck_bytes != 0) to.bytes(Tag::kCk, from->ck, from->ck_bytes);
  return GMESP_OK;
}

int write(gmesp_control& control, const struct gmesp_register_answer* from, MessageWriter& to) {
  int error = check_size(control, from, "gmesp_register_answer");
  if (error == GMESP_OK)
    error =
        check_reserved(control, &from->reserved, sizeof from->reserved, "gmesp_register_answer");
  if (error == GMESP_OK && (from->status < 200 || from->status > 699))
    error = fail(control, GMESP_E_BAD_ARGUMENT, "status: found %u, allowed are 200 to 699",
                 from->status);
  if (error == GMESP_OK) error = write_user(control, from->impi, from->registration_key, to);
  if (error != GMESP_OK) return error;
  write_text(Tag::kTransaction, from->transaction, to);
  to.number(Tag::kStatus, from->status);
  to.number(Tag::kExpiresMs, from->expires_ms);
  return write_impus(control, from->impus, from->impu_count, to);
}

int write(gmesp_control& control, const struct gmesp_message* from, MessageWriter& to) {
  int error = check_size(control, from, "gmesp_message");
  if (error == GMESP_OK) error = check_most(control, from->is_request, 1, "is_request");
  if (error == GMESP_OK) error = check_most(control, from->is_emergency, 1, "is_emergency");
  if (error == GMESP_OK) error = write_arrival(control, from->arrival, to);
  if (error != GMESP_OK) return error;
  to.number(Tag::kIsRequest, from->is_request);
  to.number(Tag::kIsEmergency, from->is_emergency);
  to.number(Tag::kStatus, from->status);
  write_text(Tag::kMethod, from->method, to);
  return GMESP_OK;
}

int write(gmesp_control& control, const gmesp_destination* from, MessageWriter& to) {
  int error = check_size(control, from, "gmesp_destination");
  if (error == GMESP_OK)
    error = check_reserved(control, &from->reserved, sizeof from->reserved, "gmesp_destination");
  if (error == GMESP_OK) error = write_user(control, from->impi, from->registration_key, to);
  if (error != GMESP_OK) return error;
  to.address(Tag::kUe, from->ue_address);
  to.number(Tag::kUePort, from->ue_port);
  to.number(Tag::kSet, from->set);
  return GMESP_OK;
}

int write(gmesp_control& control, const gmesp_identities* from, MessageWriter& to) {
  int error = check_size(control, from, "gmesp_identities");
  if (error == GMESP_OK) error = write_user(control, from->impi, from->registration_key, to);
  if (error == GMESP_OK) error = write_impus(control, from->impus, from->impu_count, to);
  return error;
}

int write(gmesp_control&, const TransactionHint* from, MessageWriter& to) {
  to.number(Tag::kSet, from->set);
  return GMESP_OK;
}

int write(gmesp_control& control, const Deregistration* from, MessageWriter& to) {
  return write_user(control, from->impi, from->registration_key, to);
}

}  // namespace gmesp::client
