// Addresses as text and back, and the two families kept apart.
#include "dataplane/ipsec/address.h"

#include <gtest/gtest.h>

namespace gmesp::ipsec {
namespace {

// Shows: R-7.1-05
TEST(Address, TextAndBack) {
  for (const char* given : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1",
                            "fe80::a:b", "2001:db8:1:2:3:4:5:6"}) {
    Address address;
    ASSERT_TRUE(parse_address(given, address)) << given;
    EXPECT_EQ(text(address), given);
    EXPECT_EQ(address.is_ipv4(), std::string(given).find(':') == std::string::npos) << given;
  }
}

// Shows: R-7.1-05
TEST(Address, RefusesWhatIsNone) {
  Address address;
  for (const char* given : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", ":::", "2001:db8::g",
                            "example.org", "10.0.0.1/8"})
    EXPECT_FALSE(parse_address(given, address)) << given;
}

// Shows: R-7.1-05
TEST(Address, FamiliesDiffer) {
  Address four, six, mapped;
  ASSERT_TRUE(parse_address("192.0.2.1", four));
  ASSERT_TRUE(parse_address("::192.0.2.1", six));
  ASSERT_TRUE(parse_address("::ffff:192.0.2.1", mapped));
  EXPECT_FALSE(four == six);
  EXPECT_TRUE(four == mapped);  // which is why parse() lets no mapped address in
  EXPECT_FALSE(four.is_zero());
  EXPECT_TRUE(Address{}.is_zero());
}

}  // namespace
}  // namespace gmesp::ipsec
