// SPDX-License-Identifier: Apache-2.0
// Capture files written out byte by byte, in either byte order.
#pragma once

#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace mptap::port::test {

class Bytes {
 public:
  explicit Bytes(bool swapped = false) : swapped_(swapped) {}

  Bytes& u16(uint16_t v) { return raw(swapped_ ? __builtin_bswap16(v) : v); }
  Bytes& u32(uint32_t v) { return raw(swapped_ ? __builtin_bswap32(v) : v); }
  Bytes& u64(uint64_t v) { return raw(swapped_ ? __builtin_bswap64(v) : v); }
  Bytes& text(std::string_view s) {
    out.insert(out.end(), s.begin(), s.end());
    return *this;
  }
  Bytes& pad() {
    while (out.size() % 4 != 0) out.push_back(0);
    return *this;
  }

  // pcap
  Bytes& pcap_header(uint32_t magic, uint32_t link = 1) { return u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65535).u32(link); }
  Bytes& pcap_packet(uint32_t seconds, uint32_t fraction, std::string_view data, uint32_t wire = 0) {
    const auto n = static_cast<uint32_t>(data.size());
    return u32(seconds).u32(fraction).u32(n).u32(wire == 0 ? n : wire).text(data);
  }

  // pcapng; body: everything between the two lengths
  Bytes& block(uint32_t type, const Bytes& body) {
    const auto size = static_cast<uint32_t>((body.out.size() + 3) / 4 * 4 + 12);
    u32(type).u32(size);
    out.insert(out.end(), body.out.begin(), body.out.end());
    return pad().u32(size);
  }
  Bytes body() const { return Bytes(swapped_); }
  Bytes& section() { return block(0x0a0d0d0a, body().u32(0x1a2b3c4d).u16(1).u16(0).u64(~uint64_t{0})); }
  // options: whole, padded options without the final one
  Bytes& interface(uint16_t link, const Bytes& options = Bytes(), uint32_t snap_length = 0) {
    Bytes b = body().u16(link).u16(0).u32(snap_length);
    b.out.insert(b.out.end(), options.out.begin(), options.out.end());
    if (!options.out.empty()) b.u16(0).u16(0);
    return block(1, b);
  }
  Bytes resolution(uint8_t code) const { return body().u16(9).u16(1).text(std::string(1, static_cast<char>(code))).pad(); }
  Bytes time_offset(int64_t seconds) const { return body().u16(14).u16(8).u64(static_cast<uint64_t>(seconds)); }
  Bytes& enhanced(uint32_t interface_id, uint64_t units, std::string_view data, uint32_t wire = 0) {
    const auto n = static_cast<uint32_t>(data.size());
    return block(6, body()
                        .u32(interface_id)
                        .u32(static_cast<uint32_t>(units >> 32))
                        .u32(static_cast<uint32_t>(units))
                        .u32(n)
                        .u32(wire == 0 ? n : wire)
                        .text(data)
                        .pad()
                        .u16(1)
                        .u16(7)
                        .text("comment")
                        .pad()
                        .u16(0)
                        .u16(0));
  }
  Bytes& simple(std::string_view data, uint32_t wire = 0) {
    return block(3, body().u32(wire == 0 ? static_cast<uint32_t>(data.size()) : wire).text(data).pad());
  }
  Bytes& obsolete(uint16_t interface_id, uint64_t units, std::string_view data) {
    const auto n = static_cast<uint32_t>(data.size());
    return block(2, body()
                        .u16(interface_id)
                        .u16(0xffff)
                        .u32(static_cast<uint32_t>(units >> 32))
                        .u32(static_cast<uint32_t>(units))
                        .u32(n)
                        .u32(n)
                        .text(data)
                        .pad());
  }
  Bytes& append(const Bytes& other) {
    out.insert(out.end(), other.out.begin(), other.out.end());
    return *this;
  }

  std::vector<uint8_t> out;

 private:
  template <typename T>
  Bytes& raw(T v) {
    const auto at = out.size();
    out.resize(at + sizeof v);
    std::memcpy(out.data() + at, &v, sizeof v);
    return *this;
  }

  bool swapped_;
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "mptap-capture-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name, const Bytes& b) const {
    std::ofstream(path_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(b.out.data()), static_cast<long>(b.out.size()));
    return path_ / name;
  }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace mptap::port::test
