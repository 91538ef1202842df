// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/monitor/bytecode.h"

#include <pcap/pcap.h>

#include <initializer_list>

#include <fmt/format.h>

namespace mptap::monitor {
namespace {

// Conditional jumps reach 255 instructions ahead only, so every block carries its own "return 0".
class Program {
 public:
  using Code = std::vector<bpf_insn>;

  void add(uint16_t code, uint32_t k = 0) { code_.push_back({code, 0, 0, k}); }
  void ret(uint32_t value) { add(BPF_RET | BPF_K, value); }

  // A forward jump whose target is set later, by land().
  size_t jump() {
    add(BPF_JMP | BPF_JA);
    return code_.size() - 1;
  }
  void land(size_t from) { code_[from].k = static_cast<uint32_t>(code_.size() - from - 1); }
  void land(const std::vector<size_t>& all) {
    for (const size_t from : all) land(from);
  }

  // Goes on where the condition holds, else jumps; and the reverse.
  size_t unless(uint16_t test, uint32_t k) { return branch(test, k, 1, 0); }
  size_t when(uint16_t test, uint32_t k) { return branch(test, k, 0, 1); }
  void require(uint16_t test, uint32_t k) {
    code_.push_back({static_cast<uint16_t>(BPF_JMP | test), 1, 0, k});
    ret(0);
  }
  void refuse(uint16_t test, uint32_t k) { leave_when(test, k, 0); }
  void leave_when(uint16_t test, uint32_t k, uint32_t value) {
    code_.push_back({static_cast<uint16_t>(BPF_JMP | test), 0, 1, k});
    ret(value);
  }

  Code take() { return std::move(code_); }

 private:
  size_t branch(uint16_t test, uint32_t k, uint8_t jt, uint8_t jf) {
    code_.push_back({static_cast<uint16_t>(BPF_JMP | test), jt, jf, k});
    return jump();
  }
  Code code_;
};

constexpr uint32_t kAccept = 0x40000;                            // bytes to keep, as tcpdump
constexpr uint32_t kEnd = 0, kHere = 1, kNext = 2, kLength = 3;  // M[]: the options' end, the walk's place, the next protocol

constexpr uint16_t kLoadByteAtX = BPF_LD | BPF_B | BPF_IND, kLoadHalfAtX = BPF_LD | BPF_H | BPF_IND;
constexpr uint16_t kAddX = BPF_ALU | BPF_ADD | BPF_X, kAdd = BPF_ALU | BPF_ADD | BPF_K, kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr uint16_t kShiftRight = BPF_ALU | BPF_RSH | BPF_K, kShiftLeft = BPF_ALU | BPF_LSH | BPF_K;
constexpr uint16_t kAToX = BPF_MISC | BPF_TAX, kXToA = BPF_MISC | BPF_TXA;

// Leaves the ether type in A and the offset of what it announces in X.
void link_layer(Program& p) {
  p.add(BPF_LDX | BPF_IMM, 14);
  p.add(BPF_LD | BPF_H | BPF_ABS, 12);
  for (int tag = 0; tag < 2; tag++) {
    const size_t is_tag = p.when(BPF_JEQ | BPF_K, 0x8100);
    const size_t is_service_tag = p.when(BPF_JEQ | BPF_K, 0x88a8);
    const size_t untagged = p.jump();
    p.land({is_tag, is_service_tag});
    p.add(kLoadHalfAtX, 2);
    p.add(BPF_ST, kNext);
    p.add(kXToA);
    p.add(kAdd, 4);
    p.add(kAToX);
    p.add(BPF_LD | BPF_MEM, kNext);
    p.land(untagged);
  }
}

// From here X is the offset of the IP header; leaves the offset of the TCP header in X.
void ipv4(Program& p) {
  p.add(kLoadByteAtX, 9);
  p.require(BPF_JEQ | BPF_K, 6);
  p.add(kLoadHalfAtX, 6);
  p.refuse(BPF_JSET | BPF_K, 0x1fff);  // a later fragment has no TCP header
  p.add(kLoadByteAtX, 0);
  p.add(kAnd, 0x0f);
  p.add(kShiftLeft, 2);
  p.add(kAddX);
  p.add(kAToX);
}

void ipv6(Program& p) {
  p.add(kLoadByteAtX, 6);
  p.add(BPF_ST, kNext);
  p.add(kXToA);
  p.add(kAdd, 40);
  p.add(kAToX);
  p.add(BPF_LD | BPF_MEM, kNext);
  std::vector<size_t> done;
  for (int header = 0; header < 4; header++) {
    done.push_back(p.when(BPF_JEQ | BPF_K, 6));
    const size_t fragment = p.when(BPF_JEQ | BPF_K, 44);
    const size_t hop = p.when(BPF_JEQ | BPF_K, 0), routing = p.when(BPF_JEQ | BPF_K, 43);
    p.require(BPF_JEQ | BPF_K, 60);
    p.land({hop, routing});
    p.add(kLoadByteAtX, 0);
    p.add(BPF_ST, kNext);
    p.add(kLoadByteAtX, 1);
    p.add(kAdd, 1);
    p.add(kShiftLeft, 3);
    const size_t advance = p.jump();
    p.land(fragment);
    p.add(kLoadHalfAtX, 2);
    p.refuse(BPF_JSET | BPF_K, 0xfff8);
    p.add(kLoadByteAtX, 0);
    p.add(BPF_ST, kNext);
    p.add(BPF_LD | BPF_IMM, 8);
    p.land(advance);
    p.add(kAddX);
    p.add(kAToX);
    p.add(BPF_LD | BPF_MEM, kNext);
  }
  p.require(BPF_JEQ | BPF_K, 6);
  p.land(done);
}

// One option: accepts, refuses, or leaves kHere behind it. Ends the walk where Linux does: at the end-of-list option, at a
// length below 2, at an option that reaches beyond the header.
void one_option(Program& p, Subtypes wanted) {
  p.add(BPF_LDX | BPF_MEM, kHere);
  p.add(BPF_LD | BPF_MEM, kEnd);
  p.require(BPF_JGT | BPF_X, 0);
  p.add(kLoadByteAtX, 0);
  p.refuse(BPF_JEQ | BPF_K, 0);
  const size_t has_length = p.unless(BPF_JEQ | BPF_K, 1);
  p.add(BPF_LD | BPF_IMM, 1);
  p.add(BPF_ST, kLength);
  const size_t nop = p.jump();

  p.land(has_length);
  p.add(kLoadByteAtX, 1);
  p.require(BPF_JGE | BPF_K, 2);
  p.add(BPF_ST, kLength);
  p.add(BPF_LD | BPF_MEM, kEnd);
  p.add(BPF_ALU | BPF_SUB | BPF_X);
  p.add(BPF_LDX | BPF_MEM, kLength);
  p.require(BPF_JGE | BPF_X, 0);
  p.add(BPF_LDX | BPF_MEM, kHere);
  p.add(kLoadByteAtX, 0);
  const size_t foreign = p.unless(BPF_JEQ | BPF_K, 30);
  p.add(BPF_LD | BPF_MEM, kLength);
  const size_t no_subtype = p.unless(BPF_JGE | BPF_K, 3);
  p.add(kLoadByteAtX, 2);
  p.add(kShiftRight, 4);
  p.add(kAToX);
  p.add(BPF_LD | BPF_IMM, 1);
  p.add(BPF_ALU | BPF_LSH | BPF_X);
  p.leave_when(BPF_JSET | BPF_K, static_cast<uint32_t>(wanted.to_ulong()), kAccept);

  p.land({foreign, no_subtype, nop});
  p.add(BPF_LD | BPF_MEM, kHere);
  p.add(BPF_LDX | BPF_MEM, kLength);
  p.add(kAddX);
  p.add(BPF_ST, kHere);
}

std::string join_lines(const std::vector<bpf_insn>& program, auto&& line) {
  std::string text;
  for (const auto& i : program) text += line(i) + "\n";
  return text;
}

}  // namespace

std::vector<bpf_insn> option_filter(Subtypes wanted, Link link) {
  Program p;
  if (link == Link::kEthernet) {
    link_layer(p);
  } else {
    p.add(BPF_LDX | BPF_IMM, 0);
    p.add(kLoadByteAtX, 0);
    p.add(kShiftRight, 4);
  }
  const uint32_t is_v6 = link == Link::kEthernet ? 0x86dd : 6, is_v4 = link == Link::kEthernet ? 0x0800 : 4;
  const size_t to_v6 = p.when(BPF_JEQ | BPF_K, is_v6);
  p.require(BPF_JEQ | BPF_K, is_v4);
  ipv4(p);
  const size_t to_tcp = p.jump();
  p.land(to_v6);
  ipv6(p);
  p.land(to_tcp);

  p.add(kXToA);
  p.add(kAdd, 20);
  p.add(BPF_ST, kHere);
  p.add(kLoadByteAtX, 12);
  p.add(kAnd, 0xf0);
  p.add(kShiftRight, 2);
  p.add(kAddX);
  p.add(BPF_ST, kEnd);
  for (int i = 0; i < 40; i++) one_option(p, wanted);
  p.ret(0);
  return p.take();
}

std::string as_decimal(const std::vector<bpf_insn>& program) {
  return fmt::format("{}\n", program.size()) +
         join_lines(program, [](const bpf_insn& i) { return fmt::format("{} {} {} {}", i.code, i.jt, i.jf, i.k); });
}

std::string as_c(const std::vector<bpf_insn>& program) {
  return join_lines(program,
                    [](const bpf_insn& i) { return fmt::format("{{ {:#x}, {}, {}, {:#010x} }},", i.code, i.jt, i.jf, i.k); });
}

std::string as_assembly(const std::vector<bpf_insn>& program) {
  int n = 0;
  return join_lines(program, [&](const bpf_insn& i) { return std::string(bpf_image(&i, n++)); });
}

}  // namespace mptap::monitor
