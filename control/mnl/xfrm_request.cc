#include "control/mnl/xfrm_request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

namespace gmesp::mnl {
namespace {

/// The body of one message: a struct of fixed size, then attributes.
struct Body {
  const uint8_t* at;
  size_t bytes;

  template <class Struct>
  bool take(Struct& to) {
    if (bytes < sizeof to) return false;
    memcpy(&to, at, sizeof to);
    skip(NLMSG_ALIGN(sizeof to));
    return true;
  }

  void skip(size_t count) {
    const size_t whole = count < bytes ? count : bytes;
    at += whole;
    bytes -= whole;
  }
};

bool read_address(uint16_t family, const xfrm_address_t& from, uint8_t to[GMESP_ADDRESS_BYTES]) {
  static constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (family == AF_INET6) memcpy(to, &from.a6, GMESP_ADDRESS_BYTES);
  if (family == AF_INET) {
    memcpy(to, kMappedPrefix, sizeof kMappedPrefix);
    memcpy(to + sizeof kMappedPrefix, &from.a4, sizeof from.a4);
  }
  return family == AF_INET || family == AF_INET6;
}

/// R-7.1-05: one address and one port on each side; UDP and TCP share the SA.
bool read_selector(const xfrm_selector& selector, Flow& flow, Problem& problem) {
  if (!read_address(selector.family, selector.saddr, flow.source) ||
      !read_address(selector.family, selector.daddr, flow.destination))
    return problem.set(EAFNOSUPPORT, "selector of address family %u, allowed are IPv4 and IPv6",
                       selector.family);
  const unsigned whole = selector.family == AF_INET ? 32 : 128;
  if (selector.prefixlen_s != whole || selector.prefixlen_d != whole)
    return problem.set(EINVAL, "selector with prefixes /%u and /%u, allowed is /%u",
                       selector.prefixlen_s, selector.prefixlen_d, whole);
  if (selector.sport_mask != 0xffff || selector.dport_mask != 0xffff || selector.sport == 0 ||
      selector.dport == 0)
    return problem.set(EINVAL, "selector with ports %u/%#x and %u/%#x, allowed are whole ones",
                       ntohs(selector.sport), ntohs(selector.sport_mask), ntohs(selector.dport),
                       ntohs(selector.dport_mask));
  if (selector.proto != 0)
    return problem.set(EINVAL, "selector of protocol %u, allowed is 0: UDP and TCP share an SA",
                       selector.proto);
  flow.source_port = ntohs(selector.sport);
  flow.destination_port = ntohs(selector.dport);
  return true;
}

struct Algorithm {
  char name[20];  ///< as the kernel takes it; both of its spellings are rows
  uint8_t code;
  uint8_t key_bytes;
  uint8_t key_bytes_min;  ///< what may come, filled up with zeros
};

// TS 33.203 Annex I makes IK_ESP of SHA-1 from IK by 32 zero bits behind it. HMAC fills a short key
// with zeros itself, so proxies that leave them out mean the same key.
constexpr Algorithm kIntegrities[] = {
    {"md5", GMESP_INTEGRITY_HMAC_MD5_96, 16, 16},
    {"hmac(md5)", GMESP_INTEGRITY_HMAC_MD5_96, 16, 16},
    {"sha1", GMESP_INTEGRITY_HMAC_SHA1_96, 20, 16},
    {"hmac(sha1)", GMESP_INTEGRITY_HMAC_SHA1_96, 20, 16},
};
constexpr Algorithm kCiphers[] = {
    {"cipher_null", GMESP_CIPHER_NULL, 0, 0},
    {"ecb(cipher_null)", GMESP_CIPHER_NULL, 0, 0},
    {"aes", GMESP_CIPHER_AES_CBC, 16, 16},
    {"cbc(aes)", GMESP_CIPHER_AES_CBC, 16, 16},
    {"des3_ede", GMESP_CIPHER_DES_EDE3_CBC, 24, 24},
    {"cbc(des3_ede)", GMESP_CIPHER_DES_EDE3_CBC, 24, 24},
};

/// Key bytes are counted by alg_key_len, which is in bits; the attribute may be longer.
template <size_t kRows, size_t kBytes>
bool read_algorithm(const Algorithm (&known)[kRows], Body attribute, uint8_t& code, uint8_t& bytes,
                    uint8_t (&key)[kBytes], Problem& problem) {
  xfrm_algo algorithm;
  if (!attribute.take(algorithm))
    return problem.set(EINVAL, "algorithm attribute of %zu bytes, at least %zu are needed",
                       attribute.bytes, sizeof algorithm);
  algorithm.alg_name[sizeof algorithm.alg_name - 1] = '\0';
  const size_t key_bytes = algorithm.alg_key_len / 8;
  for (const Algorithm& row : known) {
    if (strcmp(row.name, algorithm.alg_name) != 0) continue;
    const bool is_allowed = key_bytes == row.key_bytes || key_bytes == row.key_bytes_min;
    if (!is_allowed || algorithm.alg_key_len % 8 != 0)
      return problem.set(EINVAL, "key of %u bits for \"%s\", allowed are %d and %d",
                         algorithm.alg_key_len, row.name, 8 * row.key_bytes_min, 8 * row.key_bytes);
    if (key_bytes > attribute.bytes)
      return problem.set(EINVAL, "key of %zu bytes in an attribute with room for %zu", key_bytes,
                         attribute.bytes);
    static_assert(sizeof algorithm == NLMSG_ALIGN(sizeof algorithm));
    memcpy(key, attribute.at, key_bytes);
    code = row.code;
    bytes = row.key_bytes;
    return true;
  }
  return problem.set(ENOSYS, "algorithm \"%.24s\" is none that gmespd has", algorithm.alg_name);
}

/// The next attribute; false at the end, or if what follows is none.
bool take_attribute(Body& body, uint16_t& type, Body& attribute) {
  nlattr header;
  if (body.bytes < sizeof header) return false;
  memcpy(&header, body.at, sizeof header);
  if (header.nla_len < sizeof header || header.nla_len > body.bytes) return false;
  type = header.nla_type & NLA_TYPE_MASK;
  attribute = {body.at + NLA_HDRLEN, static_cast<size_t>(header.nla_len - NLA_HDRLEN)};
  body.skip(NLA_ALIGN(header.nla_len));
  return true;
}

bool read_protection(Body body, Protection& protection, Problem& problem) {
  uint16_t type = 0;
  for (Body attribute{}; take_attribute(body, type, attribute);) {
    if (type == XFRMA_ALG_AUTH &&
        !read_algorithm(kIntegrities, attribute, protection.integrity,
                        protection.integrity_key_bytes, protection.integrity_key, problem))
      return false;
    if (type == XFRMA_ALG_CRYPT &&
        !read_algorithm(kCiphers, attribute, protection.cipher, protection.cipher_key_bytes,
                        protection.cipher_key, problem))
      return false;
    if (type == XFRMA_ALG_AEAD || type == XFRMA_ALG_AUTH_TRUNC || type == XFRMA_ALG_COMP)
      return problem.set(ENOSYS, "algorithm of attribute %u, which gmespd does not have", type);
    if (type == XFRMA_ENCAP)
      return problem.set(EOPNOTSUPP, "UDP encapsulation, which is not set up by netlink here");
  }
  if (body.bytes != 0)
    return problem.set(EINVAL, "%zu bytes where an attribute should be", body.bytes);
  if (protection.integrity == 0 || protection.cipher == 0)
    return problem.set(EINVAL, "an SA without XFRMA_ALG_AUTH or without XFRMA_ALG_CRYPT");
  return true;
}

bool read_new_sa(Body body, Request& request, Problem& problem) {
  xfrm_usersa_info info;
  if (!body.take(info))
    return problem.set(EINVAL, "NEWSA with a body of %zu bytes, at least %zu are needed",
                       body.bytes, sizeof info);
  if (!read_selector(info.sel, request.flow, problem)) return false;
  if (info.id.proto != IPPROTO_ESP || info.mode != XFRM_MODE_TRANSPORT)
    return problem.set(EPROTONOSUPPORT,
                       "an SA of protocol %u in mode %u, allowed is ESP (50) in "
                       "transport mode (0)",
                       info.id.proto, info.mode);
  Flow ends;
  if (info.family != info.sel.family || !read_address(info.family, info.saddr, ends.source) ||
      !read_address(info.family, info.id.daddr, ends.destination) ||
      memcmp(ends.source, request.flow.source, sizeof ends.source) != 0 ||
      memcmp(ends.destination, request.flow.destination, sizeof ends.destination) != 0)
    return problem.set(EINVAL, "an SA with other addresses than its selector");
  request.spi = ntohl(info.id.spi);
  request.user = info.sel.user;
  return read_protection(body, request.protection, problem);
}

/// Without a template a policy lets clear packets pass, which gmespd never does.
bool read_template(Body body, Problem& problem) {
  uint16_t type = 0;
  for (Body attribute{}; take_attribute(body, type, attribute);) {
    xfrm_user_tmpl wanted;
    if (type != XFRMA_TMPL) continue;
    if (!attribute.take(wanted) || attribute.bytes != 0)
      return problem.set(EINVAL, "a policy with more or less than one template");
    if (wanted.id.proto == IPPROTO_ESP && wanted.mode == XFRM_MODE_TRANSPORT && !wanted.optional)
      return true;
    return problem.set(EPROTONOSUPPORT,
                       "a policy for protocol %u in mode %u, allowed is required "
                       "ESP (50) in transport mode (0)",
                       wanted.id.proto, wanted.mode);
  }
  return problem.set(EINVAL, "a policy without a template, which would let clear packets pass");
}

bool read_direction(uint8_t direction, Request& request, Problem& problem) {
  request.direction = direction == XFRM_POLICY_IN ? Direction::kIn : Direction::kOut;
  if (direction == XFRM_POLICY_IN || direction == XFRM_POLICY_OUT) return true;
  return problem.set(EINVAL, "a policy of direction %u, allowed are in (0) and out (1)", direction);
}

bool read_new_policy(Body body, Request& request, Problem& problem) {
  xfrm_userpolicy_info info;
  if (!body.take(info))
    return problem.set(EINVAL, "NEWPOLICY with a body of %zu bytes, at least %zu are needed",
                       body.bytes, sizeof info);
  request.user = info.sel.user;
  if (info.action != XFRM_POLICY_ALLOW)
    return problem.set(EOPNOTSUPP, "a policy of action %u, allowed is 0 (allow)", info.action);
  return read_selector(info.sel, request.flow, problem) &&
         read_direction(info.dir, request, problem) && read_template(body, problem);
}

bool read_delete_sa(Body body, Request& request, Problem& problem) {
  xfrm_usersa_id id;
  if (!body.take(id))
    return problem.set(EINVAL, "DELSA with a body of %zu bytes, at least %zu are needed",
                       body.bytes, sizeof id);
  if (!read_address(id.family, id.daddr, request.flow.destination) || id.proto != IPPROTO_ESP)
    return problem.set(EINVAL, "DELSA of address family %u and protocol %u", id.family, id.proto);
  request.spi = ntohl(id.spi);
  return true;
}

bool read_delete_policy(Body body, Request& request, Problem& problem) {
  xfrm_userpolicy_id id;
  if (!body.take(id))
    return problem.set(EINVAL, "DELPOLICY with a body of %zu bytes, at least %zu are needed",
                       body.bytes, sizeof id);
  return read_selector(id.sel, request.flow, problem) && read_direction(id.dir, request, problem);
}

bool read_body(const nlmsghdr& header, Body body, Request& request, Problem& problem) {
  const bool is_dump = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  switch (header.nlmsg_type) {
    case XFRM_MSG_NEWSA:
      request.kind = RequestKind::kNewSa;
      return read_new_sa(body, request, problem);
    case XFRM_MSG_NEWPOLICY:
      request.kind = RequestKind::kNewPolicy;
      return read_new_policy(body, request, problem);
    case XFRM_MSG_DELSA:
      request.kind = RequestKind::kDeleteSa;
      return read_delete_sa(body, request, problem);
    case XFRM_MSG_DELPOLICY:
      request.kind = RequestKind::kDeletePolicy;
      return read_delete_policy(body, request, problem);
    case XFRM_MSG_GETSA:
    case XFRM_MSG_GETPOLICY:
      request.kind =
          header.nlmsg_type == XFRM_MSG_GETSA ? RequestKind::kDumpSas : RequestKind::kDumpPolicies;
      return is_dump || problem.set(EOPNOTSUPP, "a query of one entry; only dumps are served");
    case XFRM_MSG_FLUSHSA:
    case XFRM_MSG_FLUSHPOLICY:
      request.kind = RequestKind::kFlush;
      return true;
    default:
      return problem.set(EOPNOTSUPP, "a message of type %u, which gmespd has no use for",
                         header.nlmsg_type);
  }
}

}  // namespace

void Request::wipe() {
  explicit_bzero(&protection, sizeof protection);
}

bool Problem::set(int number, const char* format, ...) {
  error_number = number;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return false;
}

bool RequestReader::read(Request& request, Problem& problem) {
  memset(&request, 0, sizeof request);
  nlmsghdr header;
  const size_t left = left_;
  left_ = 0;
  if (left < sizeof header)
    return problem.set(EINVAL, "%zu bytes, a netlink message has at least %zu", left,
                       sizeof header);
  memcpy(&header, at_, sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > left)
    return problem.set(EINVAL, "a message that says it has %u bytes, there are %zu",
                       header.nlmsg_len, left);
  if (header.nlmsg_flags & NLM_F_ACK)
    return problem.set(EOPNOTSUPP, "NLM_F_ACK; the result of the send is the acknowledgement");
  request.sequence = header.nlmsg_seq;
  const Body body{at_ + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN};
  if (!read_body(header, body, request, problem)) {
    request.wipe();
    return false;
  }
  const size_t whole = NLMSG_ALIGN(static_cast<size_t>(header.nlmsg_len));
  at_ += whole < left ? whole : left;
  left_ = whole < left ? left - whole : 0;
  return true;
}

}  // namespace gmesp::mnl
