#include "crypto/iv_source.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <cstring>

#include "crypto/engine.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kKeyBytes = 32;
constexpr uint32_t kBlockBytes = 16;
constexpr uint32_t kPoolBytes = 4096;

void fill_from_os(uint8_t* bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    const ssize_t got = getrandom(bytes + done, count - done, 0);
    if (got <= 0) throw EngineError("the operating system gives no random bytes (getrandom)");
    done += static_cast<size_t>(got);
  }
}

}  // namespace

struct IvSource::Impl {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  std::array<uint8_t, kKeyBytes> key;
  std::array<uint8_t, kPoolBytes> pool;
  uint32_t used = kPoolBytes;

  Impl() {
    fill_from_os(key.data(), key.size());
    if (context == nullptr ||
        EVP_EncryptInit_ex(context, EVP_aes_256_ctr(), nullptr, nullptr, nullptr) != 1)
      throw EngineError("OpenSSL offers no AES-256-CTR");
  }
  ~Impl() {
    EVP_CIPHER_CTX_free(context);
    OPENSSL_cleanse(key.data(), key.size());
    OPENSSL_cleanse(pool.data(), pool.size());
  }

  /// Fast key erasure: the first bytes of the new pool are the next key, so what was handed out
  /// before cannot be computed from what stands here now.
  void refill() {
    static constexpr uint8_t kZeroCounter[kBlockBytes] = {};
    int written = 0;
    std::memset(pool.data(), 0, pool.size());
    EVP_EncryptInit_ex(context, nullptr, nullptr, key.data(), kZeroCounter);
    EVP_EncryptUpdate(context, pool.data(), &written, pool.data(), kPoolBytes);
    std::memcpy(key.data(), pool.data(), kKeyBytes);
    OPENSSL_cleanse(pool.data(), kKeyBytes);
    used = kKeyBytes;
  }
};

IvSource::IvSource() : impl_(std::make_unique<Impl>()) {}
IvSource::~IvSource() = default;
IvSource::IvSource(IvSource&&) noexcept = default;
IvSource& IvSource::operator=(IvSource&&) noexcept = default;

void IvSource::fill(uint8_t* iv, uint32_t bytes) noexcept {
  if (impl_->used + bytes > kPoolBytes) impl_->refill();
  std::memcpy(iv, impl_->pool.data() + impl_->used, bytes);
  std::memset(impl_->pool.data() + impl_->used, 0, bytes);
  impl_->used += bytes;
}

}  // namespace gmesp::crypto
