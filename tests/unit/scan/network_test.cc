// SPDX-License-Identifier: Apache-2.0
// Frames in and out: numbers that prove answers, option lists, neighbours, ICMP errors, the way to next hops.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "apps/mptap/scan/icmp.h"
#include "apps/mptap/scan/neighbours.h"
#include "apps/mptap/scan/segments.h"
#include "apps/mptap/scan/sender.h"
#include "mptcp/option.h"

namespace mptap::scan {
namespace {

using packet::IpAddress;
using Bytes = std::vector<uint8_t>;

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}
const packet::Endpoint kTarget{*IpAddress::parse("10.0.0.1"), 443};

TEST(Validator, AnAnswerIsKnownByPortAndNumber) {
  const Validator v({1, 2, 3}, {});
  std::set<uint16_t> ports;
  for (const Kind k : {Kind::kV1, Kind::kV0, Kind::kJoin, Kind::kPlain, Kind::kTrace, Kind::kVerify, Kind::kCookie}) {
    const Secret s = v.of(k, kTarget);
    EXPECT_GE(s.source_port, 61000);
    EXPECT_EQ(v.answered(kTarget, s.source_port, s.seq + 1), k) << kind_name(k);
    EXPECT_EQ(v.quoted(kTarget, s.source_port, s.seq), k);
    EXPECT_FALSE(v.answered(kTarget, s.source_port, s.seq));
    EXPECT_FALSE(v.answered({kTarget.address, 444}, s.source_port, s.seq + 1));
    EXPECT_FALSE(v.answered({ip("10.0.0.2"), 443}, s.source_port, s.seq + 1));
    ports.insert(s.source_port);
  }
  EXPECT_EQ(ports.size(), 6u);  // the cookie's is version 1's
  EXPECT_FALSE(v.answered(kTarget, 80, 1));
  EXPECT_FALSE(v.answered(kTarget, 65535, 1));  // left over by the division in six
}

TEST(Validator, AnotherKeyGivesOtherNumbers) {
  const Validator a({1}, {}), b({2}, {});
  EXPECT_NE(a.of(Kind::kV1, kTarget).seq, b.of(Kind::kV1, kTarget).seq);
  EXPECT_NE(a.of(Kind::kV0, kTarget).key, b.of(Kind::kV0, kTarget).key);
}

TEST(Validator, UsesTheWholePortRangeAndNothingElse) {
  const Validator v({9}, {50000, 50059});
  std::set<uint16_t> ports;
  for (unsigned i = 0; i < 2000; i++) {
    const packet::Endpoint t{ip("10.0.0.1"), static_cast<uint16_t>(i + 1)};
    for (const Kind k : {Kind::kV1, Kind::kV0, Kind::kJoin, Kind::kPlain, Kind::kTrace, Kind::kVerify}) {
      const auto s = v.of(k, t);
      ports.insert(s.source_port);
      EXPECT_EQ(v.answered(t, s.source_port, s.seq + 1), k);
    }
  }
  EXPECT_EQ(ports.size(), 60u);
  EXPECT_EQ(*ports.begin(), 50000);
  EXPECT_EQ(*ports.rbegin(), 50059);
}

mptcp::Options options_of(const Outgoing& o) {
  mptcp::Options out;
  mptcp::parse_options(o.option_bytes(), o.flags, false, out);
  return out;
}

TEST(Segments, EachProbeCarriesItsOption) {
  const Validator v({1}, {});
  const auto v1 = options_of(make_syn(v, Kind::kV1, kTarget));
  EXPECT_EQ(v1.capable.length, 4);
  EXPECT_EQ(v1.capable.version, 1);
  const auto v0 = options_of(make_syn(v, Kind::kV0, kTarget));
  EXPECT_EQ(v0.capable.version, 0);
  EXPECT_EQ(v0.capable.sender_key, v.of(Kind::kV0, kTarget).key);
  const auto join = options_of(make_syn(v, Kind::kJoin, kTarget));
  EXPECT_EQ(join.join.length, 12);
  EXPECT_EQ(join.join.token, v.of(Kind::kJoin, kTarget).token);
  for (const Kind k : {Kind::kPlain, Kind::kCookie}) {
    const auto plain = options_of(make_syn(v, k, kTarget));
    EXPECT_FALSE(plain.has(mptcp::Options::kAnyMptcp));
    EXPECT_EQ(plain.mss, 1460);
  }
  const auto trace = make_syn(v, Kind::kTrace, kTarget, 1, 5);
  EXPECT_EQ(trace.ttl, 5);
  EXPECT_EQ(trace.seq, v.of(Kind::kTrace, kTarget).seq + 5);
  EXPECT_EQ(options_of(make_syn(v, Kind::kV1, {ip("fd00::1"), 1})).mss, 1440);
}

TEST(Segments, ADataFinWithTheChecksumThatThePeerAskedFor) {
  const Validator v({1}, {});
  const auto plain = options_of(make_data_fin(v, kTarget, {.version = 1, .peer_key = 7}));
  EXPECT_FALSE(plain.dss.has_checksum);
  const auto summed = options_of(make_data_fin(v, kTarget, {.version = 1, .peer_key = 7, .checksum = true}));
  ASSERT_TRUE(summed.dss.has_checksum);
  // RFC 1071 over DSN, SSN, length, zero: with the checksum itself it comes to all ones.
  uint32_t sum = 0;
  for (int shift : {48, 32, 16, 0}) sum += static_cast<uint16_t>(summed.dss.dsn >> shift);
  sum += summed.dss.length + __builtin_bswap16(summed.dss.checksum);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  EXPECT_EQ(sum, 0xffffu);
}

TEST(Neighbours, ArpRequestAndAnswer) {
  const packet::MacAddress a{2, 0, 0, 0, 0, 1}, b{2, 0, 0, 0, 0, 2};
  const auto request = parse_neighbour(make_request(a, ip("10.0.0.1"), ip("10.0.0.2")));
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->request);
  EXPECT_EQ(request->wanted, ip("10.0.0.2"));
  const auto answer = parse_neighbour(make_answer(b, ip("10.0.0.2"), *request));
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->request);
  EXPECT_EQ(answer->sender, ip("10.0.0.2"));
  EXPECT_EQ(answer->mac, b);
}

TEST(Neighbours, SolicitationAndAdvertisement) {
  const packet::MacAddress a{2, 0, 0, 0, 0, 1}, b{2, 0, 0, 0, 0, 2};
  const auto frame = make_request(a, ip("fd00::1"), ip("fd00::12:3456"));
  EXPECT_EQ(Bytes(frame.begin(), frame.begin() + 6), (Bytes{0x33, 0x33, 0xff, 0x12, 0x34, 0x56}));
  const auto request = parse_neighbour(frame);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->wanted, ip("fd00::12:3456"));
  EXPECT_EQ(request->sender, ip("fd00::1"));
  const auto answer = parse_neighbour(make_answer(b, request->wanted, *request));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->sender, ip("fd00::12:3456"));
  EXPECT_EQ(answer->mac, b);
}

TEST(Neighbours, CutOrForeignFramesAreNone) {
  for (const Bytes& whole : {make_request({}, ip("10.0.0.1"), ip("10.0.0.2")), make_request({}, ip("fd00::1"), ip("fd00::2"))}) {
    for (size_t size = 0; size < whole.size(); size++) EXPECT_FALSE(parse_neighbour({whole.data(), size})) << size;
    Bytes other = whole;
    other[12] = 0x12;
    EXPECT_FALSE(parse_neighbour(other));
  }
  Bytes hops = make_request({}, ip("fd00::1"), ip("fd00::2"));
  hops[21] = 64;  // came through a router: forged
  EXPECT_FALSE(parse_neighbour(hops));
}

// An error that quotes a SYN of ours, as a router sends it: the IP header, and `quoted` bytes of the TCP header.
Bytes icmp_error(uint8_t type, uint8_t code, const Outgoing& o, size_t quoted) {
  std::array<uint8_t, 200> frame{};
  packet::FrameSpec spec;
  spec.src = {ip("10.9.9.9"), o.source_port};
  spec.dst = o.target;
  spec.seq = o.seq;
  spec.flags = o.flags;
  spec.options = o.option_bytes();
  const auto size = *packet::build_frame(spec, frame);
  static constexpr uint8_t kHead[] = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 10, 1, 0, 1, 10, 9, 9, 9};
  const size_t quote = std::min<size_t>(size - 14, 20 + quoted);
  Bytes b(sizeof kHead + 8 + quote);
  std::copy(std::begin(kHead), std::end(kHead), b.begin());
  b[20] = type;
  b[21] = code;
  std::memcpy(&b[28], &frame[14], quote);
  return b;
}

TEST(Icmp, ReadsWhatItQuotes) {
  const Validator v({1}, {});
  const auto syn = make_syn(v, Kind::kTrace, kTarget, 1, 3);
  const auto bytes = icmp_error(11, 0, syn, 60);
  const auto e = parse_icmp(bytes);
  ASSERT_TRUE(e);
  EXPECT_TRUE(e->time_exceeded());
  EXPECT_EQ(e->from, ip("10.1.0.1"));
  EXPECT_EQ(e->dst, kTarget);
  EXPECT_EQ(e->src.port, syn.source_port);
  EXPECT_EQ(e->seq, syn.seq);
  ASSERT_TRUE(e->options);
  EXPECT_EQ(e->options->size(), syn.options_size);
  EXPECT_EQ(v.quoted(e->dst, e->src.port, e->seq), Kind::kTrace);
}

TEST(Icmp, EightBytesAreEnoughToKnowTheProbeButShowNoOptions) {
  const auto syn = make_syn(Validator({1}, {}), Kind::kV1, kTarget);
  const auto bytes = icmp_error(3, 13, syn, 8);
  const auto e = parse_icmp(bytes);
  ASSERT_TRUE(e);
  EXPECT_TRUE(e->unreachable());
  EXPECT_FALSE(e->options);
  EXPECT_EQ(e->to_string(), "10.1.0.1 says administratively prohibited");
}

TEST(Icmp, CutMessagesAreNone) {
  const auto whole = icmp_error(11, 0, make_syn(Validator({1}, {}), Kind::kV1, kTarget), 60);
  for (size_t size = 0; size < 20 + 8 + 20 + 8; size++) EXPECT_FALSE(parse_icmp({whole.data(), size})) << size;
  Bytes echo = whole;
  echo[20] = 0;
  EXPECT_FALSE(parse_icmp(echo));
}

class FakeLink final : public Link {
 public:
  FakeLink() {
    interface_.name = "fake";
    interface_.mac = {2, 0, 0, 0, 0, 9};
    interface_.ethernet = interface_.resolves = interface_.up = true;
  }
  const Interface& interface() const override { return interface_; }
  bool send(std::span<const uint8_t> frame) override {
    frames.emplace_back(frame.begin(), frame.end());
    return true;
  }
  void receive(const Handler&) override {}
  int fd() const override { return -1; }

  std::vector<Bytes> frames;

 private:
  Interface interface_;
};

struct SenderWorld {
  FakeLink link;
  IpAddress gateway = ip("10.0.0.254");
  std::vector<std::string> unreachable;
  int sent = 0;
  Sender sender{[this](const IpAddress& target) -> tl::expected<Way, std::string> {
                  const bool near = target.to_string().starts_with("10.0.0.");
                  return Way{&link, ip("10.0.0.9"), near ? target : gateway};
                },
                {.sent = [this](const Outgoing&, uint64_t) { sent++; },
                 .unreachable = [this](const Outgoing& o, const std::string& why,
                                       uint64_t) { unreachable.push_back(o.target.to_string() + ": " + why); }}};
  Validator validator{{1}, {}};

  void submit(const char* address, uint16_t port, uint64_t now = 0) {
    sender.submit(make_syn(validator, Kind::kV1, {ip(address), port}), now);
  }
  void flush(uint64_t now = 0) {
    while (sender.emit(now)) {
    }
  }
};

TEST(Sender, AsksOnceForANextHopAndSendsAllThatWaited) {
  SenderWorld w;
  for (uint16_t port = 1; port <= 5; port++) w.submit("10.0.0.1", port);
  w.flush();
  ASSERT_EQ(w.link.frames.size(), 1u);
  EXPECT_EQ(parse_neighbour(w.link.frames[0])->wanted, ip("10.0.0.1"));
  EXPECT_EQ(w.sender.pending(), 5u);
  w.sender.on_neighbour(w.link, {.request = false, .sender = ip("10.0.0.1"), .mac = {6, 6, 6, 6, 6, 6}});
  w.flush();
  EXPECT_EQ(w.link.frames.size(), 6u);
  EXPECT_EQ(w.sent, 5);
  EXPECT_EQ(w.sender.pending(), 0u);
  EXPECT_EQ(w.link.frames.back()[0], 6);
}

TEST(Sender, NewTargetsWaitWhileOneNextHopHoldsUpMany) {
  SenderWorld w;
  for (uint16_t port = 1; port < Sender::kCrowd; port++) w.submit("10.0.0.1", port);
  w.submit("10.0.0.2", 1);
  EXPECT_TRUE(w.sender.can_take());
  w.submit("10.0.0.1", Sender::kCrowd);
  EXPECT_FALSE(w.sender.can_take());
  w.sender.on_neighbour(w.link, {.request = false, .sender = ip("10.0.0.1"), .mac = {6, 6, 6, 6, 6, 6}});
  EXPECT_TRUE(w.sender.can_take());
}

TEST(Sender, TargetsBehindAGatewayShareItsAddress) {
  SenderWorld w;
  w.submit("192.168.1.1", 1);
  w.submit("192.168.1.2", 1);
  w.flush();
  ASSERT_EQ(w.link.frames.size(), 1u);
  EXPECT_EQ(parse_neighbour(w.link.frames[0])->wanted, w.gateway);
}

TEST(Sender, ASilentNeighbourIsAskedThreeTimes) {
  SenderWorld w;
  w.submit("10.0.0.1", 1);
  for (uint64_t now = 0; now < 4'000'000'000; now += 100'000'000) {
    ASSERT_TRUE(w.sender.expire(now));
    w.flush(now);
  }
  EXPECT_EQ(w.link.frames.size(), 3u);
  ASSERT_EQ(w.unreachable.size(), 1u);
  EXPECT_EQ(w.unreachable[0], "10.0.0.1:1: 10.0.0.1 does not answer ARP");
  w.submit("10.0.0.1", 2, 4'000'000'000);
  EXPECT_EQ(w.unreachable.size(), 2u);
}

TEST(Sender, WithoutItsGatewayThereIsNoScan) {
  SenderWorld w;
  w.submit("192.168.1.1", 1);
  std::string error;
  for (uint64_t now = 0; now < 4'000'000'000 && error.empty(); now += 100'000'000) {
    if (auto ok = w.sender.expire(now); !ok) error = ok.error();
  }
  EXPECT_EQ(error, "the gateway 10.0.0.254 does not answer ARP on fake");
}

TEST(Sender, AnswersForAddressesOfItsOwnOnly) {
  SenderWorld w;
  w.sender.answer_for(ip("10.0.0.9"));
  const packet::MacAddress asker{2, 0, 0, 0, 0, 1};
  w.sender.on_neighbour(w.link, *parse_neighbour(make_request(asker, ip("10.0.0.1"), ip("10.0.0.8"))));
  w.flush();
  EXPECT_TRUE(w.link.frames.empty());
  w.sender.on_neighbour(w.link, *parse_neighbour(make_request(asker, ip("10.0.0.1"), ip("10.0.0.9"))));
  w.flush();
  ASSERT_EQ(w.link.frames.size(), 1u);
  const auto answer = parse_neighbour(w.link.frames[0]);
  EXPECT_EQ(answer->sender, ip("10.0.0.9"));
  EXPECT_EQ(answer->mac, w.link.interface().mac);
}

}  // namespace
}  // namespace mptap::scan
