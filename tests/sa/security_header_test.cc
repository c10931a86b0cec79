// Reading TS 33.203 Annex H, RFC 3329: what a list says and what a UE offers. Headers are literals.
#include <gtest/gtest.h>

#include "security_lists.h"

namespace gmesp::sa {
namespace {

HeaderError parse_error(std::string_view line) {
  SecurityList list;
  const HeaderError error = parse({line}, list);
  EXPECT_EQ(list.entries.empty(), error != HeaderError::kNone);
  return error;
}

/// Of a list with one entry.
HeaderError flaw(const std::string& line) {
  const SecurityList list = parsed({line});
  return list.entries.size() == 1 ? list.entries[0].flaw : HeaderError::kEmpty;
}

HeaderError offer_error(std::string_view line) {
  Offer offer;
  return read_offer(parsed({line}), offer);
}

// --- reading ------------------------------------------------------------------------------------

// Shows: R-H-07
TEST(SecurityHeader, ParametersLandInTheirFields) {
  const SecurityList list =
      parsed({"ipsec-3gpp;q=0.25;alg=hmac-md5-96;prot=esp;mod=UDP-enc-tun;ealg=des-ede3-cbc;"
              "spi-c=1111111111;spi-s=2222222222;port-c=3333;port-s=4444"});
  ASSERT_EQ(list.entries.size(), 1u);
  const SecurityEntry& entry = list.entries[0];
  EXPECT_TRUE(entry.is_usable());
  EXPECT_EQ(entry.algorithms, kMd5Des);
  EXPECT_TRUE(entry.is_udp_encapsulated);
  EXPECT_EQ(entry.q_thousandths, 250);
  EXPECT_EQ(entry.spi_c, 1111111111u);
  EXPECT_EQ(entry.spi_s, 2222222222u);
  EXPECT_EQ(entry.port_c, 3333);
  EXPECT_EQ(entry.port_s, 4444);
}

// Shows: R-H-07
TEST(SecurityHeader, OfferNamesSpiAndPortOfTheUesClientAndServer) {
  const Offer offer =
      offered({"ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1001;spi-s=1002;port-c=2001;port-s=2002"});
  EXPECT_EQ(offer.spi_c, 1001u);
  EXPECT_EQ(offer.spi_s, 1002u);
  EXPECT_EQ(offer.port_c, 2001);
  EXPECT_EQ(offer.port_s, 2002);
}

// Shows: R-H-01
TEST(SecurityHeader, CommasLinesBlanksAndLetterCaseGiveOneResult) {
  const std::string aes = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;mod=UDP-enc-tun" + kSas;
  const std::string null = "ipsec-3gpp;alg=hmac-md5-96" + kSas;
  const SecurityList wanted = parsed({aes + "," + null});
  ASSERT_EQ(wanted.entries.size(), 2u);
  EXPECT_EQ(parsed({aes, null}), wanted);
  EXPECT_EQ(parsed({aes + " \t,\r\n " + null + "  "}), wanted);
  EXPECT_EQ(parsed({"  IPSEC-3GPP ; Alg = HMAC-SHA-1-96 ;\tEALG\t=\tAES-CBC ;mod=udp-ENC-tun; "
                    "SPI-C = 0000000300 ; Spi-S=4294967295;PORT-C=6000;port-S=65535",
                    null}),
            wanted);
  EXPECT_NE(parsed({null, aes}), wanted);
}

// Shows: R-H-02, R-B-03
TEST(SecurityHeader, OtherMechanismsAreSkipped) {
  const SecurityList list = parsed(
      {"tls;q=0.9, ipsec-ike ;q=0.8;x=\"a,b;c\\\"=\", digest;d-alg=md5;d-qop=auth, " + kPlain,
       "ipsec-man;alg=hmac-md5-96;spi-c=1"});
  ASSERT_EQ(list.entries.size(), 5u);
  for (const size_t other : {0, 1, 2, 4})
    EXPECT_EQ(list.entries[other].flaw, HeaderError::kOtherMechanism);
  EXPECT_EQ(list.entries[1].unusable_text, "ipsec-ike;q=0.8;x=\"a,b;c\\\"=\"");
  Offer offer;
  EXPECT_EQ(read_offer(list, offer), HeaderError::kNone);
  EXPECT_EQ(offer.spi_c, 300u);
  EXPECT_EQ(offer_error("tls, ipsec-ike"), HeaderError::kNoUsableEntry);
}

// Shows: R-H-02
TEST(SecurityHeader, MechanismNameHasNoBlank) {
  EXPECT_EQ(parse_error("ipsec- 3gpp;alg=hmac-sha-1-96" + kSas), HeaderError::kSeparatorMissing);
}

// Shows: R-H-03
TEST(SecurityHeader, AlgIsMandatoryAndEalgIsNullByDefault) {
  EXPECT_EQ(flaw("ipsec-3gpp;ealg=aes-cbc" + kSas), HeaderError::kAlgorithmMissing);
  EXPECT_EQ(offer_error("ipsec-3gpp;ealg=aes-cbc" + kSas), HeaderError::kNoUsableEntry);
  EXPECT_EQ(parsed({kPlain}).entries[0].algorithms, kSha1Null);
  EXPECT_EQ(parsed({kPlain + ";ealg=null"}), parsed({kPlain}));
  EXPECT_TRUE(offered({kPlain}).has_only(Cipher::kNull));
}

// Shows: R-H-04
TEST(SecurityHeader, OnlyEspInTransportOrUdpEncapsulatedTunnelMode) {
  EXPECT_EQ(parsed({kPlain + ";prot=esp;mod=trans"}), parsed({kPlain}));
  EXPECT_FALSE(parsed({kPlain}).entries[0].is_udp_encapsulated);
  EXPECT_EQ(flaw(kPlain + ";prot=ah"), HeaderError::kProtocolNotEsp);
  EXPECT_EQ(flaw(kPlain + ";prot"), HeaderError::kProtocolNotEsp);
  for (const char* mode : {"mod=tun", "mod=UDP-enc-trans", "mod", "mod=\"trans\""})
    EXPECT_EQ(flaw(kPlain + ";" + mode), HeaderError::kModeNotAllowed) << mode;

  const std::string encapsulated = kPlain + ";mod=UDP-enc-tun";
  EXPECT_TRUE(offered({kPlain}).offers_transport);
  EXPECT_FALSE(offered({kPlain}).offers_udp_encapsulation);
  EXPECT_FALSE(offered({encapsulated}).offers_transport);
  EXPECT_TRUE(offered({encapsulated}).offers_udp_encapsulation);
  const Offer both = offered({kPlain, encapsulated, kPlain + ";mod=tun"});
  EXPECT_TRUE(both.offers_transport && both.offers_udp_encapsulation);
}

// Shows: R-H-05
TEST(SecurityHeader, PreferenceIsZeroToOneWithThreeDecimals) {
  const std::pair<const char*, uint16_t> good[] = {
      {"0", 0},      {"0.", 0},      {"0.0", 0},  {"0.000", 0}, {"0.001", 1},   {"0.5", 500},
      {"0.50", 500}, {"0.999", 999}, {"1", 1000}, {"1.", 1000}, {"1.000", 1000}};
  for (const auto& [text, wanted] : good)
    EXPECT_EQ(parsed({kPlain + ";q=" + text}).entries[0].q_thousandths, wanted) << text;
  for (const char* bad : {"1.001", "0.1234", "0.0000", "1.1", "2", "9.000", "-0", "+1", ".5", "00",
                          "00.5", "0.5a", "a", "0..1", "\"0.5\"", "0x1"})
    EXPECT_EQ(flaw(kPlain + ";q=" + bad), HeaderError::kPreferenceBad) << bad;
  EXPECT_EQ(flaw(kPlain + ";q"), HeaderError::kPreferenceBad);
  EXPECT_EQ(offer_error(kPlain + ";q=1.001"), HeaderError::kPreferenceBad);
}

std::string with_sas(const std::string& spi_c, const std::string& spi_s, const std::string& port_c,
                     const std::string& port_s) {
  return "ipsec-3gpp;alg=hmac-md5-96;spi-c=" + spi_c + ";spi-s=" + spi_s + ";port-c=" + port_c +
         ";port-s=" + port_s;
}

// Shows: R-H-06
TEST(SecurityHeader, NumbersAreReadWithoutOverflow) {
  const SecurityList list = parsed({with_sas("1", "4294967295", "0000000007", "65535")});
  EXPECT_EQ(list.entries[0].spi_c, 1u);
  EXPECT_EQ(list.entries[0].spi_s, UINT32_MAX);
  EXPECT_EQ(list.entries[0].port_c, 7);
  EXPECT_EQ(list.entries[0].port_s, 65535);
  EXPECT_EQ(parsed({with_sas("300", "12345", "1", "2")}),
            parsed({with_sas("0000000300", "0000012345", "1", "2")}));

  for (const char* bad : {"4294967296", "9999999999", "00000000300", "18446744073709552000",
                          "18446744073709551916", "-300", "0x300", "3e2", "300.0", "\"300\""}) {
    EXPECT_EQ(flaw(with_sas(bad, "400", "1", "2")), HeaderError::kSpiUnreadable) << bad;
    EXPECT_EQ(flaw(with_sas("400", bad, "1", "2")), HeaderError::kSpiUnreadable) << bad;
    EXPECT_EQ(offer_error(with_sas("400", bad, "1", "2")), HeaderError::kSpiUnreadable) << bad;
  }
  for (const char* bad :
       {"65536", "71356", "4294973116", "99999999999999999999", "-1", "+1", "6a"}) {
    EXPECT_EQ(flaw(with_sas("300", "400", bad, "2")), HeaderError::kPortUnreadable) << bad;
    EXPECT_EQ(flaw(with_sas("300", "400", "1", bad)), HeaderError::kPortUnreadable) << bad;
  }
}

// Shows: R-H-09
TEST(SecurityHeader, UnknownParametersAndValuesSpoilTheirEntryAlone) {
  const std::pair<std::string, HeaderError> spoiled[] = {
      {kPlain + ";ealg=aes-gmac", HeaderError::kUnknownValue},
      {"ipsec-3gpp;alg=hmac-sha-256" + kSas, HeaderError::kUnknownValue},
      {kPlain + ";new", HeaderError::kUnknownParameter},
      {kPlain + ";new=[2001:db8::1]", HeaderError::kUnknownParameter},
      {kPlain + ";new=\"quoted, text\"", HeaderError::kUnknownParameter},
      {kPlain + ";alg=hmac-sha-1-96", HeaderError::kParameterDoubled},
      {kPlain + ";PORT-S=65535", HeaderError::kParameterDoubled},
      {kPlain + ";ealg=unknown;ealg=null", HeaderError::kParameterDoubled},
      {"ipsec-3gpp;alg=hmac-md5-96;spi-c=1;port-c=1;port-s=2", HeaderError::kSpiMissing},
      {"ipsec-3gpp;alg=hmac-md5-96;spi-s=1;port-c=1;port-s=2", HeaderError::kSpiMissing},
      {"ipsec-3gpp;alg=hmac-md5-96;spi-c=1;spi-s=2;port-s=2", HeaderError::kPortMissing},
      {"ipsec-3gpp;alg=hmac-md5-96;spi-c=1;spi-s=2;port-c=2", HeaderError::kPortMissing},
      {"ipsec-3gpp", HeaderError::kPortMissing}};
  const std::string valid = "ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc" + kSas;
  for (const auto& [text, wanted] : spoiled) {
    EXPECT_EQ(flaw(text), wanted) << text;
    const Offer offer = offered({text + "," + valid});
    for (const AlgorithmPair pair : kAllPairs) EXPECT_EQ(offer.has(pair), pair == kMd5Aes) << text;
  }
}

// Shows: R-H-11
TEST(SecurityHeader, BrokenTextIsRefusedWhole) {
  const std::pair<std::string, HeaderError> broken[] = {
      {"", HeaderError::kNameMissing},
      {" ", HeaderError::kNameMissing},
      {",", HeaderError::kNameMissing},
      {kPlain + ",", HeaderError::kNameMissing},
      {kPlain + ",," + kPlain, HeaderError::kNameMissing},
      {kPlain + ";", HeaderError::kNameMissing},
      {kPlain + ";=1", HeaderError::kNameMissing},
      {kPlain + ";q=", HeaderError::kValueMissing},
      {kPlain + ";q=;x=1", HeaderError::kValueMissing},
      {kPlain + ";x=\"open", HeaderError::kQuoteBad},
      {kPlain + ";x=\"open\\", HeaderError::kQuoteBad},
      {kPlain + ";x=\"open\\\"", HeaderError::kQuoteBad},
      {kPlain + ";x=\"two\r\nlines\"", HeaderError::kQuoteBad},
      {kPlain + ";x=\"a\"b", HeaderError::kSeparatorMissing},
      {kPlain + " x", HeaderError::kSeparatorMissing},
      {kPlain + std::string(1, '\0'), HeaderError::kSeparatorMissing},
      {"ipsec-3gpp=1", HeaderError::kSeparatorMissing},
      {"\"ipsec-3gpp\"", HeaderError::kNameMissing}};
  for (const auto& [text, wanted] : broken) EXPECT_EQ(parse_error(text), wanted) << text;
  // What stands behind the end of the line is not read.
  const std::string longer = kPlain + ";x=\"open\\\"\"";
  EXPECT_EQ(parse_error(longer), HeaderError::kNone);
  EXPECT_EQ(parse_error(std::string_view(longer).substr(0, longer.size() - 2)),
            HeaderError::kQuoteBad);
  SecurityList list;
  EXPECT_EQ(parse({}, list), HeaderError::kEmpty);
  EXPECT_EQ(parse({kPlain, ""}, list), HeaderError::kNameMissing);
  EXPECT_TRUE(list.entries.empty());
}

std::string repeated(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

// Shows: R-H-11
TEST(SecurityHeader, BoundsHoldExactly) {
  const std::string blanks(kHeaderBytesMax - kPlain.size(), ' ');
  EXPECT_EQ(parse_error(kPlain + blanks), HeaderError::kNone);
  EXPECT_EQ(parse_error(kPlain + blanks + " "), HeaderError::kTextTooLong);
  SecurityList list;
  const std::string rest = std::string(blanks.size() - kPlain.size(), ' ') + kPlain;
  EXPECT_EQ(parse({kPlain, rest}, list), HeaderError::kNone);
  EXPECT_EQ(parse({kPlain, rest, " "}, list), HeaderError::kTextTooLong);

  EXPECT_EQ(parse_error("tls" + repeated(",tls", kEntriesMax - 1)), HeaderError::kNone);
  EXPECT_EQ(parse_error("tls" + repeated(",tls", kEntriesMax)), HeaderError::kTooManyEntries);
  EXPECT_EQ(parse_error("tls" + repeated(";a", kParametersMax)), HeaderError::kNone);
  EXPECT_EQ(parse_error("tls" + repeated(";a", kParametersMax + 1)),
            HeaderError::kTooManyParameters);

  const std::string longest(kTokenBytesMax, 'a');
  EXPECT_EQ(parse_error(longest + ";" + longest + "=" + longest), HeaderError::kNone);
  EXPECT_EQ(parse_error(longest + "a"), HeaderError::kTokenTooLong);
  EXPECT_EQ(parse_error("tls;" + longest + "a=1"), HeaderError::kTokenTooLong);
  EXPECT_EQ(parse_error("tls;a=" + longest + "a"), HeaderError::kTokenTooLong);
  EXPECT_EQ(parse_error("tls;a=\"" + longest + "\""), HeaderError::kTokenTooLong);
}

// --- offers
// ---------------------------------------------------------------------------------------

// Shows: R-H-08
TEST(SecurityHeader, UsableEntriesNameTheSameSpisAndPorts) {
  const std::string first = with_sas("300", "400", "1", "2");
  for (const std::string& second :
       {with_sas("301", "400", "1", "2"), with_sas("300", "401", "1", "2"),
        with_sas("300", "400", "3", "2"), with_sas("300", "400", "1", "3")}) {
    EXPECT_EQ(offer_error(first + "," + second), HeaderError::kEntriesDisagree) << second;
    EXPECT_EQ(offer_error(first + "," + second + ";prot=ah"), HeaderError::kNone) << second;
  }
  EXPECT_EQ(offer_error(first + "," + with_sas("0000000300", "0400", "01", "2")),
            HeaderError::kNone);
}

// Shows: R-7.1-13, R-7.1-15
TEST(SecurityHeader, UeChoosesSpisAndPortsByTheRules) {
  EXPECT_EQ(offer_error(with_sas("256", "257", "1", "65535")), HeaderError::kNone);
  for (const char* reserved : {"0", "1", "255"}) {
    EXPECT_EQ(offer_error(with_sas(reserved, "257", "1", "2")), HeaderError::kSpiReserved);
    EXPECT_EQ(offer_error(with_sas("257", reserved, "1", "2")), HeaderError::kSpiReserved);
  }
  EXPECT_EQ(offer_error(with_sas("256", "256", "1", "2")), HeaderError::kSpisEqual);
  for (const char* bad : {"0", "5060", "5061"}) {
    EXPECT_EQ(offer_error(with_sas("256", "257", bad, "2")), HeaderError::kPortBad);
    EXPECT_EQ(offer_error(with_sas("256", "257", "2", bad)), HeaderError::kPortBad);
  }
  EXPECT_EQ(offer_error(with_sas("256", "257", "5062", "5062")), HeaderError::kPortsEqual);
}

// Shows: R-7.2-03
TEST(SecurityHeader, OfferDoesNotDependOnUeOrderOrPreference) {
  const std::string null = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=null" + kSas;
  const std::string aes = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc" + kSas;
  for (const std::string& text :
       {null + "," + aes, aes + "," + null, null + ";q=1," + aes + ";q=0"}) {
    const Offer offer = offered({text});
    EXPECT_TRUE(offer.has(kSha1Null) && offer.has(kSha1Aes)) << text;
    EXPECT_FALSE(offer.has(kMd5Null) || offer.has(kMd5Aes) || offer.has(kSha1Des)) << text;
    EXPECT_FALSE(offer.has_only(Cipher::kNull)) << text;
  }
  EXPECT_TRUE(offered({"ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc" + kSas + "," + aes})
                  .has_only(Cipher::kAesCbc));
}

}  // namespace
}  // namespace gmesp::sa
