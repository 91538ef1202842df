// SPDX-License-Identifier: Apache-2.0
// Packets with an MPTCP option at every place in, found or not found out; the walk of the option list below is the judge.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <pcre2.h>

#include <memory>
#include <random>
#include <vector>

#include "apps/mptap/monitor/bytecode.h"
#include "apps/mptap/monitor/expression.h"

namespace mptap::monitor {
namespace {

using Bytes = std::vector<uint8_t>;

enum class Shape { kV4, kV4Options, kV4Vlan, kV4TwoTags, kV6, kV6Extensions, kV4Later, kV6Later, kUdp };

Bytes tcp_header(const Bytes& options) {
  Bytes h{0x12, 0x34, 0x00, 0x50, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x02, 0xff, 0xff, 0, 0, 0, 0};
  h.insert(h.end(), options.begin(), options.end());
  while (h.size() % 4) h.push_back(0);
  h[12] = static_cast<uint8_t>(h.size() / 4 << 4);
  return h;
}

Bytes ip_packet(Shape shape, const Bytes& tcp) {
  Bytes ip;
  if (shape == Shape::kV6 || shape == Shape::kV6Extensions || shape == Shape::kV6Later) {
    ip = Bytes(40, 0x1e);
    ip[0] = 0x60;
    ip[6] = 6;
    if (shape != Shape::kV6) {
      const uint8_t offset = shape == Shape::kV6Later ? 8 : 0;
      const Bytes hop_by_hop{60, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, destination{44, 0, 1, 4, 0, 0, 0, 0};
      const Bytes fragment{6, 0, 0, offset, 0, 0, 0, 1};
      for (const Bytes* header : {&hop_by_hop, &destination, &fragment}) ip.insert(ip.end(), header->begin(), header->end());
      ip[6] = 0;
    }
  } else {
    const bool options = shape == Shape::kV4Options;
    ip = Bytes(options ? 32 : 20, 1);
    ip[0] = options ? 0x48 : 0x45;
    ip[6] = 0x40;
    ip[7] = 0;
    if (shape == Shape::kV4Later) ip[6] = 0, ip[7] = 3;
    ip[9] = shape == Shape::kUdp ? 17 : 6;
  }
  ip.insert(ip.end(), tcp.begin(), tcp.end());
  return ip;
}

Bytes frame(Shape shape, const Bytes& tcp) {
  Bytes f(12, 0x1e);
  if (shape == Shape::kV4TwoTags) f.insert(f.end(), {0x88, 0xa8, 0, 7});
  if (shape == Shape::kV4Vlan || shape == Shape::kV4TwoTags) f.insert(f.end(), {0x81, 0, 0, 5});
  const bool v6 = shape == Shape::kV6 || shape == Shape::kV6Extensions || shape == Shape::kV6Later;
  f.insert(f.end(), {static_cast<uint8_t>(v6 ? 0x86 : 0x08), static_cast<uint8_t>(v6 ? 0xdd : 0x00)});
  const Bytes ip = ip_packet(shape, tcp);
  f.insert(f.end(), ip.begin(), ip.end());
  return f;
}

// The list as Linux walks it.
bool holds(const Bytes& header, Subtypes wanted) {
  const size_t end = std::min<size_t>(header.size(), static_cast<size_t>(header[12] >> 4) * 4);
  for (size_t p = 20; p < end;) {
    if (header[p] == 0) return false;
    if (header[p] == 1) {
      p++;
      continue;
    }
    if (p + 1 >= end || header[p + 1] < 2 || p + header[p + 1] > end) return false;
    if (header[p] == 30 && header[p + 1] >= 3 && wanted[header[p + 2] >> 4]) return true;
    p += header[p + 1];
  }
  return false;
}

// What may stand before: a mix that fills exactly n bytes.
Bytes filler(size_t n, std::mt19937& random) {
  Bytes f;
  while (f.size() < n) {
    const size_t left = n - f.size(), kind = random() % 6;
    if (kind == 0 && left >= 10) {
      f.insert(f.end(), {8, 10});
      for (int i = 0; i < 8; i++) f.push_back(random() % 3 ? static_cast<uint8_t>(random()) : 0x1e);
    } else if (kind == 1 && left >= 4) {
      f.insert(f.end(), {2, 4, 5, 0xb4});
    } else if (kind == 2 && left >= 3) {
      f.insert(f.end(), {3, 3, 7});
    } else if (kind == 3 && left >= 2) {
      f.insert(f.end(), {4, 2});
    } else if (kind == 4 && left >= 8) {  // another MPTCP option: ADD_ADDR's subtype
      f.insert(f.end(), {30, 8, 0x31, 2, 10, 0, 0, 1});
    } else {
      f.push_back(1);
    }
  }
  return f;
}

Bytes option(unsigned subtype, uint8_t length, std::mt19937& random) {
  Bytes o{30, length, static_cast<uint8_t>(subtype << 4 | (random() & 1))};
  while (o.size() < length) o.push_back(static_cast<uint8_t>(random()));
  return o;
}

bool passes(const std::vector<bpf_insn>& program, const Bytes& bytes) {
  const auto size = static_cast<u_int>(bytes.size());
  return bpf_filter(program.data(), bytes.data(), size, size) != 0;
}

class Compiled {
 public:
  explicit Compiled(const std::string& expression) {
    pcap_t* dead = pcap_open_dead(DLT_EN10MB, 262144);
    ok_ = pcap_compile(dead, &program_, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (!ok_) ADD_FAILURE() << pcap_geterr(dead);
    pcap_close(dead);
  }
  ~Compiled() {
    if (ok_) pcap_freecode(&program_);
  }
  bool passes(const Bytes& bytes) const {
    pcap_pkthdr h{};
    h.caplen = h.len = static_cast<u_int>(bytes.size());
    return pcap_offline_filter(&program_, &h, bytes.data()) != 0;
  }
  unsigned size() const { return program_.bf_len; }

 private:
  bpf_program program_{};
  bool ok_ = false;
};

Subtypes only(unsigned s) {
  return Subtypes(1ul << s);
}

// Every offset, every subtype, several fillers before it.
template <typename Visit>
void every_packet(Visit&& visit) {
  std::mt19937 random(30);
  for (size_t at = 0; at + 3 <= 40; at++) {
    for (unsigned subtype = 0; subtype < 16; subtype++) {
      for (int round = 0; round < 8; round++) {
        const auto length = static_cast<uint8_t>(std::min<size_t>(40 - at, 3 + random() % 22));
        Bytes options = filler(at, random);
        const Bytes o = option(subtype, length, random);
        options.insert(options.end(), o.begin(), o.end());
        if (options.size() < 38 && random() % 2) options.insert(options.end(), {4, 2});
        visit(at, subtype, tcp_header(options));
      }
    }
  }
}

TEST(Bytecode, FindsEachSubtypeAtEveryPlace) {
  std::vector<std::vector<bpf_insn>> programs;
  for (unsigned s = 0; s < 16; s++) programs.push_back(option_filter(only(s), Link::kEthernet));
  every_packet([&](size_t at, unsigned subtype, const Bytes& tcp) {
    for (const Shape shape :
         {Shape::kV4, Shape::kV4Options, Shape::kV4Vlan, Shape::kV4TwoTags, Shape::kV6, Shape::kV6Extensions}) {
      ASSERT_TRUE(passes(programs[subtype], frame(shape, tcp))) << "offset " << at << ", shape " << static_cast<int>(shape);
      const unsigned other = (subtype + 1) % 16;
      ASSERT_EQ(passes(programs[other], frame(shape, tcp)), holds(tcp, only(other)));
    }
  });
}

TEST(Bytecode, RawIpAndAllSubtypes) {
  const auto raw = option_filter(Subtypes().set(), Link::kRawIp);
  every_packet([&](size_t at, unsigned, const Bytes& tcp) {
    ASSERT_TRUE(passes(raw, ip_packet(Shape::kV4, tcp))) << at;
    ASSERT_TRUE(passes(raw, ip_packet(Shape::kV6, tcp))) << at;
  });
}

TEST(Bytecode, AgreesWithTheWalkOnRandomLists) {
  std::mt19937 random(8684);
  const auto join = option_filter(only(1), Link::kEthernet), any = option_filter(Subtypes().set(), Link::kEthernet);
  int found = 0;
  for (int i = 0; i < 200000; i++) {
    Bytes options(random() % 41);
    for (auto& b : options) {
      static constexpr uint8_t kLikely[] = {0, 1, 2, 3, 4, 30, 30, 0x10, 0x12};
      b = random() % 4 ? kLikely[random() % sizeof kLikely] : static_cast<uint8_t>(random());
    }
    const Bytes tcp = tcp_header(options);
    found += holds(tcp, only(1));
    ASSERT_EQ(passes(join, frame(Shape::kV4, tcp)), holds(tcp, only(1)));
    ASSERT_EQ(passes(any, frame(Shape::kV6, tcp)), holds(tcp, Subtypes().set()));
  }
  EXPECT_GT(found, 1000);
}

TEST(Bytecode, RefusesWhatIsNoTcpHeader) {
  const auto any = option_filter(Subtypes().set(), Link::kEthernet);
  const Bytes tcp = tcp_header({30, 4, 1, 1});
  EXPECT_TRUE(passes(any, frame(Shape::kV4, tcp)));
  for (const Shape shape : {Shape::kV4Later, Shape::kV6Later, Shape::kUdp}) EXPECT_FALSE(passes(any, frame(shape, tcp)));
  Bytes cut = frame(Shape::kV4, tcp);
  while (cut.size() > 14 + 20 + 22) cut.pop_back();
  EXPECT_FALSE(passes(any, cut));
  // Bytes behind the header are payload.
  Bytes payload = tcp_header({});
  payload.insert(payload.end(), {30, 4, 1, 1});
  EXPECT_FALSE(passes(any, frame(Shape::kV4, payload)));
}

TEST(Bytecode, IsShortEnoughForTheKernel) {
  EXPECT_LE(option_filter(Subtypes().set(), Link::kEthernet).size(), 4096u);
}

TEST(Bytecode, PrintsAsTcpdumpDoes) {
  const std::vector<bpf_insn> program{{0x28, 0, 0, 12}, {0x15, 0, 1, 0x800}, {6, 0, 0, 0x40000}};
  EXPECT_EQ(as_decimal(program), "3\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n");
  EXPECT_EQ(as_c(program), "{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000800 },\n{ 0x6, 0, 0, 0x00040000 },\n");
  EXPECT_NE(as_assembly(program).find("ldh"), std::string::npos);
}

TEST(Expression, MissesNoPlaceAndThePopularOneMissesMost) {
  std::vector<std::unique_ptr<Compiled>> compiled;
  for (unsigned s = 0; s < 16; s++) compiled.push_back(std::make_unique<Compiled>(pcap_expression(only(s))));
  const Compiled popular(kPopularExpression), any(pcap_expression(Subtypes().set()));
  uint64_t packets = 0, popular_found = 0;
  every_packet([&](size_t at, unsigned subtype, const Bytes& tcp) {
    packets++;
    const Bytes v4 = frame(Shape::kV4, tcp);
    ASSERT_TRUE(compiled[subtype]->passes(v4)) << at;
    ASSERT_TRUE(any.passes(v4)) << at;
    ASSERT_TRUE(compiled[subtype]->passes(frame(Shape::kV4Options, tcp))) << at;
    ASSERT_TRUE(compiled[subtype]->passes(frame(Shape::kV6, tcp))) << at;
    if (popular.passes(v4)) popular_found++;
  });
  EXPECT_LT(popular_found * 5, packets);
}

TEST(Expression, LeavesPlainTcpAloneAndItsOneErrorIsTheDocumentedOne) {
  const Compiled any(pcap_expression(Subtypes().set()));
  const Bytes plain{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
  EXPECT_FALSE(any.passes(frame(Shape::kV4, tcp_header(plain))));
  EXPECT_FALSE(any.passes(frame(Shape::kV6, tcp_header(plain))));
  // A timestamp whose bytes read like an option: the expression takes it, the bytecode does not.
  const Bytes unlucky{1, 1, 8, 10, 0x1e, 4, 1, 1, 0, 0, 0, 0};
  EXPECT_TRUE(any.passes(frame(Shape::kV4, tcp_header(unlucky))));
  EXPECT_FALSE(passes(option_filter(Subtypes().set(), Link::kEthernet), frame(Shape::kV4, tcp_header(unlucky))));
}

TEST(Expression, FitsTheKernelsLimit) {
  EXPECT_LE(Compiled(pcap_expression(Subtypes().set())).size(), 4096u);
  EXPECT_LE(Compiled(pcap_expression(Subtypes(0x1ff))).size(), 4096u);
}

TEST(Suricata, TheRegularExpressionAgreesWithTheWalk) {
  std::mt19937 random(5);
  for (const unsigned s : {0u, 1u, 3u, 15u}) {
    const std::string text = header_regex(only(s));
    int error = 0;
    size_t offset = 0;
    const std::unique_ptr<pcre2_code, void (*)(pcre2_code*)> code(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_DOTALL, &error, &offset, nullptr),
        pcre2_code_free);
    ASSERT_TRUE(code) << text << " at " << offset;
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(pcre2_match_data_create(4, nullptr),
                                                                              pcre2_match_data_free);
    const auto matches = [&](const Bytes& header) {
      return pcre2_match(code.get(), header.data(), header.size(), 0, 0, data.get(), nullptr) >= 0;
    };
    every_packet([&](size_t at, unsigned, const Bytes& tcp) { ASSERT_EQ(matches(tcp), holds(tcp, only(s))) << at; });
  }
}

TEST(Subtypes, ByNameAndNumber) {
  EXPECT_EQ(parse_subtypes({"join", "MP_CAPABLE", "add-addr", "15"})->to_ulong(), 0x800bu);
  EXPECT_TRUE(parse_subtypes({})->all());
  EXPECT_EQ(parse_subtypes({"jion"}).error(),
            "--subtype \"jion\": wanted is a number 0 to 15 or one of capable, join, dss, add_addr, remove_addr, prio, fail, "
            "fastclose, tcprst");
  EXPECT_FALSE(parse_subtypes({"16"}));
}

}  // namespace
}  // namespace mptap::monitor
