#include "frame_options.h"

#include <map>
#include <string>

namespace gmesp::bench {

void add_frame_options(CLI::App& app, FrameStoreOptions& options) {
  const std::map<std::string, crypto::Cipher> ciphers = {
      {"aes-cbc", crypto::Cipher::kAesCbc128},
      {"des-ede3-cbc", crypto::Cipher::kDesEde3Cbc},
      {"null", crypto::Cipher::kNull}};
  const std::map<std::string, crypto::Integrity> integrities = {
      {"hmac-sha-1-96", crypto::Integrity::kHmacSha1_96},
      {"hmac-md5-96", crypto::Integrity::kHmacMd5_96}};
  SubscriberOptions& subscribers = options.subscribers;
  app.add_option("--ues", options.ues, "UEs, one SA set each, drawn at random")
      ->check(CLI::Range(1u, kSubscribersMax / 2))
      ->capture_default_str();
  app.add_option("--first-ue", options.first_ue, "number of the first UE")
      ->check(CLI::Range(0u, kSubscribersMax / 2 - 1))
      ->capture_default_str();
  app.add_flag("--one-sa", options.uses_one_sa,
               "traffic on one SA of each UE and direction instead of both");
  app.add_option("--cipher", subscribers.suite.cipher)
      ->transform(CLI::CheckedTransformer(ciphers).description("{aes-cbc,des-ede3-cbc,null}"));
  app.add_option("--integrity", subscribers.suite.integrity)
      ->transform(CLI::CheckedTransformer(integrities).description("{hmac-sha-1-96,hmac-md5-96}"));
  app.add_option("--other-every", subscribers.other_every,
                 "every n-th UE has --other-cipher; 0: none")
      ->check(CLI::Range(0u, 1'000'000u));
  app.add_option("--other-cipher", subscribers.other_cipher)
      ->transform(CLI::CheckedTransformer(ciphers).description("{aes-cbc,des-ede3-cbc,null}"));
  app.add_flag("--tunnel", subscribers.is_tunnel, "UDP-encapsulated tunnel mode (Annex M)");
  app.add_flag("!--ipv6", subscribers.is_ipv4, "IPv6 instead of IPv4");
  app.add_option("--sequence-from", options.sequence_from,
                 "first ESP sequence number, for sets that were used before")
      ->check(CLI::Range(1u, UINT32_MAX));
  app.add_option("--seed", options.seed, "of the draw of UEs")->capture_default_str();
}

CLI::Option* add_direction_option(CLI::App& app, std::vector<Way>& ways, bool allows_both) {
  std::map<std::string, Way> names = {{"uplink", Way::kUplink}, {"downlink", Way::kDownlink}};
  if (allows_both) names["both"] = Way::kBoth;
  return app
      .add_option("--direction", ways,
                  allows_both ? "uplink (ESP in), downlink (ESP out) or both in turn"
                              : "uplink (ESP) or downlink (clear SIP)")
      ->transform(CLI::CheckedTransformer(names).description(allows_both ? "{uplink,downlink,both}"
                                                                         : "{uplink,downlink}"));
}

}  // namespace gmesp::bench
