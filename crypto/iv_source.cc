#include "crypto/iv_source.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <cstring>

#include "crypto/engine.h"
#include "crypto/sa_keys.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kKeyBytes = 32;
constexpr uint32_t kBufferBytes = 4096;

struct ContextDeleter {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};

}  // namespace

struct IvSource::Impl {
  std::unique_ptr<EVP_CIPHER_CTX, ContextDeleter> generator{EVP_CIPHER_CTX_new()};
  alignas(64) std::array<uint8_t, kBufferBytes> buffer{};
  uint32_t next = kBufferBytes;

  Impl();
  ~Impl() { wipe(buffer); }
  void take_key(const EVP_CIPHER* cipher);
  void refill();
};

IvSource::Impl::Impl() {
  // Up to 256 bytes getrandom() answers whole, once the kernel's pool is ready (getrandom(2)).
  if (getrandom(buffer.data(), kKeyBytes, 0) != kKeyBytes) {
    throw EngineError("the operating system gives no randomness");
  }
  if (generator == nullptr) throw EngineError("OpenSSL: no memory for the IV source");
  take_key(EVP_aes_256_ctr());
  refill();
}

/// Moves the key from the head of the buffer into the generator. Each key numbers its blocks from
/// zero, because it is used for one buffer only.
void IvSource::Impl::take_key(const EVP_CIPHER* cipher) {
  static constexpr std::array<uint8_t, kIvBytesMax> kFirstCounter{};
  if (EVP_EncryptInit_ex(generator.get(), cipher, nullptr, buffer.data(), kFirstCounter.data()) !=
      1) {
    throw EngineError("OpenSSL: AES-256-CTR failed");
  }
  wipe(std::span(buffer).first(kKeyBytes));
}

void IvSource::Impl::refill() {
  buffer.fill(0);
  int written = 0;
  if (EVP_EncryptUpdate(generator.get(), buffer.data(), &written, buffer.data(), kBufferBytes) !=
      1) {
    throw EngineError("OpenSSL: AES-256-CTR failed");
  }
  take_key(nullptr);
  next = kKeyBytes;
}

IvSource::IvSource() : impl_(std::make_unique<Impl>()) {}
IvSource::~IvSource() = default;
IvSource::IvSource(IvSource&&) noexcept = default;
IvSource& IvSource::operator=(IvSource&&) noexcept = default;

void IvSource::fill(uint8_t* iv, uint32_t bytes) noexcept {
  if (kBufferBytes - impl_->next < bytes) impl_->refill();
  // What is given out stays in the buffer: it is sent in clear.
  const uint8_t* fresh = impl_->buffer.data() + impl_->next;
  if (bytes == kIvBytesMax)  // a size that the compiler knows: two moves instead of a call
    std::memcpy(iv, fresh, kIvBytesMax);
  else
    std::memcpy(iv, fresh, bytes);
  impl_->next += bytes;
}

}  // namespace gmesp::crypto
