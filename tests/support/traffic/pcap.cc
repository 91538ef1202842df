// SPDX-License-Identifier: Apache-2.0
#include "traffic/pcap.h"

#include <fstream>
#include <stdexcept>

namespace mptap::test {

namespace {

void put(std::ostream& out, uint64_t number, int size) {
  for (int i = 0; i < size; ++i) out.put(static_cast<char>(number >> (8 * i)));
}

uint32_t number(const uint8_t* p, bool swapped) {
  uint32_t n = 0;
  for (int i = 0; i < 4; ++i) n |= uint32_t{p[i]} << (8 * (swapped ? 3 - i : i));
  return n;
}

}  // namespace

void write_pcap(const std::string& path, const std::vector<Sent>& wire) {
  std::ofstream out(path, std::ios::binary);
  put(out, 0xa1b23c4d, 4);
  put(out, 2, 2);
  put(out, 4, 2);
  put(out, 0, 8);
  put(out, 262144, 4);
  put(out, 1, 4);
  for (const Sent& s : wire) {
    put(out, s.ns / 1'000'000'000, 4);
    put(out, s.ns % 1'000'000'000, 4);
    put(out, s.frame.size(), 4);
    put(out, s.frame.size(), 4);
    out.write(reinterpret_cast<const char*>(s.frame.data()), static_cast<std::streamsize>(s.frame.size()));
  }
  out.flush();
  if (!out) throw std::runtime_error(path + ": cannot write it");
}

std::vector<FileFrame> read_pcap(const std::string& path, uint32_t& link) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot open it");
  const Bytes all{std::istreambuf_iterator<char>(in), {}};
  if (all.size() < 24) throw std::runtime_error(path + ": shorter than a pcap header");
  bool swapped = false;
  uint64_t tick = 0;
  for (const bool s : {false, true}) {
    const uint32_t magic = number(all.data(), s);
    if (magic == 0xa1b2c3d4 || magic == 0xa1b23c4d) {
      swapped = s;
      tick = magic == 0xa1b2c3d4 ? 1000 : 1;
    }
  }
  if (tick == 0) throw std::runtime_error(path + ": not a pcap file");
  link = number(&all[20], swapped) & 0xffff;
  std::vector<FileFrame> frames;
  for (size_t at = 24; at + 16 <= all.size();) {
    const uint32_t size = number(&all[at + 8], swapped);
    if (size > all.size() - at - 16) break;
    FileFrame f;
    f.ns = uint64_t{number(&all[at], swapped)} * 1'000'000'000 + number(&all[at + 4], swapped) * tick;
    f.wire = number(&all[at + 12], swapped);
    f.bytes.assign(all.begin() + static_cast<ptrdiff_t>(at + 16), all.begin() + static_cast<ptrdiff_t>(at + 16 + size));
    frames.push_back(std::move(f));
    at += 16 + size;
  }
  return frames;
}

}  // namespace mptap::test
