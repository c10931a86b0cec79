#include "esp_reference.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <stdexcept>

#include "dissection.h"

namespace gmesp::test {
namespace {

constexpr size_t kIcvBytes = 12;
constexpr size_t kEspHeaderBytes = 8;

size_t iv_bytes(EspCipher cipher) {
  return cipher == EspCipher::kAesCbc ? 16 : cipher == EspCipher::kTripleDesCbc ? 8 : 0;
}

size_t block_bytes(EspCipher cipher) {
  return std::max<size_t>(iv_bytes(cipher), 4);
}

Bytes slice(const Bytes& bytes, size_t from, size_t count) {
  return {bytes.begin() + static_cast<ptrdiff_t>(from),
          bytes.begin() + static_cast<ptrdiff_t>(from + count)};
}

Bytes random_bytes(size_t count) {
  Bytes bytes(count);
  if (count != 0 && RAND_bytes(bytes.data(), static_cast<int>(count)) != 1)
    throw std::runtime_error("no randomness");
  return bytes;
}

Bytes run_cipher(const EspSa& sa, const Bytes& iv, const Bytes& text, int is_encryption) {
  if (sa.cipher == EspCipher::kNull) return text;
  const EVP_CIPHER* cipher =
      sa.cipher == EspCipher::kAesCbc ? EVP_aes_128_cbc() : EVP_des_ede3_cbc();
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  Bytes result(text.size() + 32);
  int bytes = 0;
  const bool done = EVP_CipherInit_ex(context, cipher, nullptr, sa.cipher_key.data(), iv.data(),
                                      is_encryption) == 1 &&
                    EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
                    EVP_CipherUpdate(context, result.data(), &bytes, text.data(),
                                     static_cast<int>(text.size())) == 1;
  EVP_CIPHER_CTX_free(context);
  if (!done || static_cast<size_t>(bytes) != text.size()) throw std::runtime_error("cipher failed");
  result.resize(text.size());
  return result;
}

Bytes icv(const EspSa& sa, std::span<const uint8_t> covered) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned digest_bytes = 0;
  HMAC(sa.hash == EspHash::kMd5 ? EVP_md5() : EVP_sha1(), sa.integrity_key.data(),
       static_cast<int>(sa.integrity_key.size()), covered.data(), covered.size(), digest,
       &digest_bytes);
  return {digest, digest + kIcvBytes};
}

/// SPI to ICV around `payload`.
Bytes seal_payload(const EspSa& sa, uint32_t sequence, const Bytes& payload, uint8_t next_header,
                   const EspShape& shape) {
  const size_t block = block_bytes(sa.cipher);
  Bytes text = payload;
  append(text, shape.flow_padding);
  const size_t padding = (block - (text.size() + 2) % block) % block + shape.extra_padding;
  for (size_t i = 0; i < padding; ++i) {
    const bool is_bad = shape.bad_padding_at && *shape.bad_padding_at == i;
    text.push_back(static_cast<uint8_t>(i + 1 + (is_bad ? 1 : 0)));
  }
  text.push_back(shape.pad_length.value_or(static_cast<uint8_t>(padding)));
  text.push_back(shape.next_header.value_or(next_header));
  const Bytes iv = shape.iv.value_or(random_bytes(iv_bytes(sa.cipher)));
  Bytes esp;
  append32(esp, sa.spi);
  append32(esp, sequence);
  append(esp, iv);
  append(esp, run_cipher(sa, iv, text, 1));
  append(esp, icv(sa, esp));
  if (shape.flipped_bit)
    esp[*shape.flipped_bit / 8] ^= static_cast<uint8_t>(1 << *shape.flipped_bit % 8);
  esp.resize(esp.size() - std::min<size_t>(shape.missing, esp.size()));
  return esp;
}

/// Where the protocol number stands that names what follows `headers`.
size_t named_at(const Dissection& clear) {
  if (clear.is_v4) return 9;
  size_t at = 6;
  size_t header = 40;
  while (header < clear.headers.size()) {
    at = header;
    header += (clear.headers[header + 1] + 1u) * 8;
  }
  return at;
}

void set_length(Bytes& packet, bool is_v4) {
  put16(packet, is_v4 ? 2 : 4, static_cast<uint32_t>(packet.size() - (is_v4 ? 0 : 40)));
  if (is_v4) mend_ipv4_checksum(packet);
}

Bytes seal_transport(const EspSa& sa, uint32_t sequence, const Bytes& clear,
                     const EspShape& shape) {
  const std::optional<Dissection> seen = dissect_headers(clear);
  if (!seen) throw std::invalid_argument("transport mode needs an IP packet");
  Bytes packet = seen->headers;
  packet[named_at(*seen)] = 50;
  append(packet, seal_payload(sa, sequence, seen->l4, seen->protocol, shape));
  set_length(packet, seen->is_v4);
  return packet;
}

Bytes seal_tunnel(const EspSa& sa, uint32_t sequence, const Bytes& clear, const EspShape& shape) {
  Datagram outer{.source = sa.outer_source, .destination = sa.outer_destination};
  outer.source_port = sa.outer_source_port;
  outer.destination_port = sa.outer_destination_port;
  const bool inner_is_v6 = !clear.empty() && clear[0] >> 4 == 6;
  outer.payload = seal_payload(sa, sequence, clear, inner_is_v6 ? 41 : 4, shape);
  outer.tos = shape.outer_tos;
  outer.ttl = shape.outer_ttl;
  outer.dont_fragment = shape.outer_dont_fragment;
  outer.identification = shape.outer_identification;
  outer.ipv4_options = shape.outer_options;
  outer.without_udp_checksum = shape.udp_checksum == UdpChecksum::kZero;
  outer.l4_checksum_error = shape.udp_checksum == UdpChecksum::kWrong ? 0x0101 : 0;
  return ip_packet(outer);
}

/// Without flow padding: as long as the inner length fields say (RFC 4303 2.7); empty if they lie.
Bytes cut_to_length(const Bytes& packet) {
  const std::optional<Dissection> seen = dissect_packet(packet);
  if (!seen) return {};
  return seen->packet;
}

Bytes clear_transport(const Dissection& outer, const Opened& opened) {
  if (opened.next_header != 6 && opened.next_header != 17) return {};
  Bytes packet = outer.headers;
  packet[named_at(outer)] = opened.next_header;
  Bytes l4 = opened.payload;
  if (opened.next_header == 17 && l4.size() >= 8 && get16(l4, 4) >= 8 && get16(l4, 4) < l4.size())
    l4.resize(get16(l4, 4));
  append(packet, l4);
  set_length(packet, outer.is_v4);
  return cut_to_length(packet);
}

}  // namespace

Bytes seal(const EspSa& sa, uint32_t sequence, const Bytes& clear, const EspShape& shape) {
  return sa.is_tunnel ? seal_tunnel(sa, sequence, clear, shape)
                      : seal_transport(sa, sequence, clear, shape);
}

Bytes esp_bytes(const Bytes& packet) {
  const std::optional<Dissection> seen = dissect_packet(packet);
  if (!seen || seen->is_fragment) return {};
  return seen->protocol == 50 ? seen->l4 : seen->payload;
}

Opened open(const EspSa& sa, const Bytes& packet) {
  Opened opened;
  const std::optional<Dissection> outer = dissect_packet(packet);
  if (!outer || outer->is_fragment || outer->protocol != (sa.is_tunnel ? 17 : 50)) return opened;
  const Bytes esp = sa.is_tunnel ? outer->payload : outer->l4;
  const size_t iv_end = kEspHeaderBytes + iv_bytes(sa.cipher);
  if (esp.size() < iv_end + 2 + kIcvBytes) return opened;
  const size_t text_bytes = esp.size() - kIcvBytes - iv_end;
  if (sa.cipher != EspCipher::kNull && text_bytes % block_bytes(sa.cipher) != 0) return opened;
  opened.spi = get32(esp, 0);
  opened.sequence = get32(esp, 4);
  const Bytes tag = slice(esp, esp.size() - kIcvBytes, kIcvBytes);
  if (opened.spi != sa.spi || icv(sa, {esp.data(), esp.size() - kIcvBytes}) != tag) return opened;
  opened.is_authentic = true;
  opened.iv = slice(esp, kEspHeaderBytes, iv_bytes(sa.cipher));
  const Bytes text = run_cipher(sa, opened.iv, slice(esp, iv_end, text_bytes), 0);
  opened.next_header = text.back();
  const size_t pad_length = text[text.size() - 2];
  if (pad_length + 2 > text.size()) return opened;
  const size_t payload_bytes = text.size() - 2 - pad_length;
  opened.payload = slice(text, 0, payload_bytes);
  opened.padding = slice(text, payload_bytes, pad_length);
  opened.is_padding_right = true;
  for (size_t i = 0; i < pad_length; ++i)
    if (opened.padding[i] != i + 1) opened.is_padding_right = false;
  if (!opened.is_padding_right) return opened;
  if (!sa.is_tunnel) {
    opened.clear = clear_transport(*outer, opened);
  } else if (opened.next_header == 4 || opened.next_header == 41) {
    opened.clear = cut_to_length(opened.payload);
  }
  return opened;
}

}  // namespace gmesp::test
