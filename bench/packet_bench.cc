// SPDX-License-Identifier: Apache-2.0
// What a packet costs before anybody looks at its bytes: checksum, decoding, reading from a file. Each result has the cycles of
// the TSC per operation: the median, and the least, which a busy machine does not disturb.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <rte_ip.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "packet/checksum.h"
#include "packet/decode.h"
#include "port/capture_reader.h"
#include "port/capture_writer.h"

namespace mptap {
namespace {

using packet::Frame;
using Bytes = std::vector<uint8_t>;

// operations: how many one call of f does.
template <typename F>
void measure(benchmark::State& state, size_t operations, F f) {
  std::vector<uint64_t> cycles;
  for (auto _ : state) {
    const uint64_t start = __rdtsc();
    f();
    cycles.push_back(__rdtsc() - start);
  }
  std::sort(cycles.begin(), cycles.end());
  const auto per = static_cast<double>(operations);
  state.counters["cycles"] = static_cast<double>(cycles[cycles.size() / 2]) / per;
  state.counters["cycles_min"] = static_cast<double>(cycles.front()) / per;
}

template <typename F>
void checksum_bench(benchmark::State& state, F sum) {
  const Bytes bytes(4096, 0x5a);
  const auto size = static_cast<size_t>(state.range(0));
  const uint8_t* p = bytes.data() + 34;  // where TCP begins behind Ethernet and IPv4
  measure(state, 64, [&] {
    for (int i = 0; i < 64; ++i) {
      benchmark::DoNotOptimize(p);
      auto s = sum(p, size);
      benchmark::DoNotOptimize(s);
    }
  });
}
void checksum_own(benchmark::State& state) {
  checksum_bench(state, [](const uint8_t* p, size_t n) { return packet::checksum::sum({p, n}); });
}
void checksum_dpdk(benchmark::State& state) {
  checksum_bench(state, [](const uint8_t* p, size_t n) { return rte_raw_cksum(p, n); });
}
BENCHMARK(checksum_own)->Arg(20)->Arg(32)->Arg(100)->Arg(536)->Arg(1460)->Arg(1480);
BENCHMARK(checksum_dpdk)->Arg(20)->Arg(32)->Arg(100)->Arg(536)->Arg(1460)->Arg(1480);

// Ethernet, IPv4 or IPv6, TCP with timestamps.
Bytes tcp_frame(bool v6, size_t payload) {
  Bytes tcp(32 + payload, 'x');
  tcp[12] = 0x80;
  tcp[13] = 0x10;
  packet::IpAddress src = *packet::IpAddress::parse(v6 ? "fd00::1" : "10.0.0.1"),
                    dst = *packet::IpAddress::parse(v6 ? "fd00::2" : "10.0.0.2");
  tcp[16] = tcp[17] = 0;
  packet::checksum::store(&tcp[16], packet::checksum::tcp(src, dst, tcp));
  Bytes frame(14, 2);
  frame[12] = v6 ? 0x86 : 0x08;
  frame[13] = v6 ? 0xdd : 0x00;
  if (v6) {
    const Bytes ip{0x60, 0, 0, 0, static_cast<uint8_t>(tcp.size() >> 8), static_cast<uint8_t>(tcp.size()), 6, 64};
    frame.insert(frame.end(), ip.begin(), ip.end());
    frame.insert(frame.end(), src.bytes.begin(), src.bytes.end());
    frame.insert(frame.end(), dst.bytes.begin(), dst.bytes.end());
  } else {
    const size_t total = 20 + tcp.size();
    Bytes ip{0x45, 0, static_cast<uint8_t>(total >> 8), static_cast<uint8_t>(total), 0, 1, 0x40, 0, 64, 6, 0, 0};
    ip.insert(ip.end(), src.bytes.begin() + 12, src.bytes.end());
    ip.insert(ip.end(), dst.bytes.begin() + 12, dst.bytes.end());
    packet::checksum::store(&ip[10], packet::checksum::ipv4_header(ip));
    frame.insert(frame.end(), ip.begin(), ip.end());
  }
  frame.insert(frame.end(), tcp.begin(), tcp.end());
  return frame;
}

Frame view(const Bytes& b) {
  const auto n = static_cast<uint32_t>(b.size());
  return {b.data(), n, n, packet::LinkType::kEthernet, 1, 1};
}

void decode(benchmark::State& state, bool v6, bool verify) {
  const std::vector<Bytes> frames(8, tcp_frame(v6, static_cast<size_t>(state.range(0))));
  packet::Decoder decoder({.verify_tcp_checksum = verify});
  packet::TcpSegment out;
  size_t good = 0;
  measure(state, 64, [&] {
    for (size_t i = 0; i < 64; ++i) {
      good += decoder.decode(view(frames[i % frames.size()]), out) == packet::Reason::kTcp;
      benchmark::DoNotOptimize(out);
    }
  });
  if (good != static_cast<size_t>(state.iterations()) * 64) state.SkipWithError("the frames do not decode");
}
void decode_ipv4_headers(benchmark::State& state) {
  decode(state, false, false);
}
void decode_ipv4(benchmark::State& state) {
  decode(state, false, true);
}
void decode_ipv6_headers(benchmark::State& state) {
  decode(state, true, false);
}
void decode_ipv6(benchmark::State& state) {
  decode(state, true, true);
}
BENCHMARK(decode_ipv4_headers)->Arg(1448);
BENCHMARK(decode_ipv6_headers)->Arg(1428);
BENCHMARK(decode_ipv4)->Arg(0)->Arg(1448);
BENCHMARK(decode_ipv6)->Arg(0)->Arg(1428);

// A capture of 256 MiB that lies in the page cache as reading brought it there: in large folios. Mapping a file that has only
// just been written, which lies there page by page, costs ten times as much.
class CaptureFile {
 public:
  static constexpr size_t kPackets = (size_t{256} << 20) / 1530;

  CaptureFile() : path_(std::filesystem::temp_directory_path() / ("mptap-bench-" + std::to_string(::getpid()) + ".pcap")) {
    {
      auto writer = port::CaptureWriter::open(path_);
      if (!writer) return;
      const Bytes frame = tcp_frame(false, 1448);
      for (size_t i = 0; i < kPackets; ++i) static_cast<void>(writer->write(view(frame)));
    }
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ::fsync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    Bytes buffer(1 << 20);
    while (::read(fd, buffer.data(), buffer.size()) > 0) {
    }
    ::close(fd);
  }
  ~CaptureFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};
CaptureFile& capture() {
  static CaptureFile file;
  return file;
}

// touch: also reads the packets' bytes, as their checksum does.
void own_reader(benchmark::State& state, bool touch) {
  const std::string& path = capture().path();
  measure(state, CaptureFile::kPackets, [&] {
    auto reader = port::CaptureReader::open(path);
    if (!reader) return state.SkipWithError(reader.error().c_str());
    Frame f;
    uint64_t sum = 0;
    while (reader->next(f)) sum += touch ? packet::checksum::sum({f.data, f.captured}) : f.captured;
    benchmark::DoNotOptimize(sum);
  });
}
void libpcap(benchmark::State& state, bool touch) {
  const std::string& path = capture().path();
  measure(state, CaptureFile::kPackets, [&] {
    char error[PCAP_ERRBUF_SIZE];
    pcap_t* file = pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, error);
    if (file == nullptr) return state.SkipWithError(error);
    pcap_pkthdr* header;
    const u_char* data;
    uint64_t sum = 0;
    while (pcap_next_ex(file, &header, &data) == 1) sum += touch ? packet::checksum::sum({data, header->caplen}) : header->caplen;
    benchmark::DoNotOptimize(sum);
    pcap_close(file);
  });
}
void read_own(benchmark::State& state) {
  own_reader(state, false);
}
void read_libpcap(benchmark::State& state) {
  libpcap(state, false);
}
void read_and_sum_own(benchmark::State& state) {
  own_reader(state, true);
}
void read_and_sum_libpcap(benchmark::State& state) {
  libpcap(state, true);
}
// The reader's own work: the same few packets over and over, from the first-level cache.
void read_own_hot(benchmark::State& state) {
  Bytes file{0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0};
  constexpr size_t kPackets = 10;
  const Bytes frame = tcp_frame(false, 1448);
  for (size_t i = 0; i < kPackets; ++i) {
    const Bytes record{1,
                       0,
                       0,
                       0,
                       2,
                       0,
                       0,
                       0,
                       static_cast<uint8_t>(frame.size()),
                       static_cast<uint8_t>(frame.size() >> 8),
                       0,
                       0,
                       static_cast<uint8_t>(frame.size()),
                       static_cast<uint8_t>(frame.size() >> 8),
                       0,
                       0};
    file.insert(file.end(), record.begin(), record.end());
    file.insert(file.end(), frame.begin(), frame.end());
  }
  std::vector<port::CaptureReader> readers;
  for (size_t i = 0; i < 64; ++i) readers.push_back(std::move(*port::CaptureReader::open_memory(file)));
  Frame f;
  std::vector<uint64_t> cycles;
  for (auto _ : state) {
    state.PauseTiming();
    for (auto& r : readers) r = std::move(*port::CaptureReader::open_memory(file));
    for (auto& r : readers) r.next(f);
    state.ResumeTiming();
    const uint64_t start = __rdtsc();
    for (auto& r : readers) {
      for (size_t i = 1; i < kPackets; ++i) {
        r.next(f);
        benchmark::DoNotOptimize(f);
      }
    }
    cycles.push_back(__rdtsc() - start);
  }
  std::sort(cycles.begin(), cycles.end());
  state.counters["cycles"] = static_cast<double>(cycles[cycles.size() / 2]) / (64 * (kPackets - 1));
  state.counters["cycles_min"] = static_cast<double>(cycles.front()) / (64 * (kPackets - 1));
}
BENCHMARK(read_own_hot)->Iterations(2000);
BENCHMARK(read_own)->Unit(benchmark::kMillisecond);
BENCHMARK(read_libpcap)->Unit(benchmark::kMillisecond);
BENCHMARK(read_and_sum_own)->Unit(benchmark::kMillisecond);
BENCHMARK(read_and_sum_libpcap)->Unit(benchmark::kMillisecond);

void read_and_decode(benchmark::State& state) {
  const std::string& path = capture().path();
  packet::Decoder decoder;
  measure(state, CaptureFile::kPackets, [&] {
    auto reader = port::CaptureReader::open(path);
    if (!reader) return state.SkipWithError(reader.error().c_str());
    Frame frames[32];
    const std::span burst(frames, static_cast<size_t>(state.range(0)));
    packet::TcpSegment out;
    size_t good = 0;
    while (const size_t n = reader->next_burst(burst)) {
      for (size_t i = 0; i < n; ++i) good += decoder.decode(frames[i], out) == packet::Reason::kTcp;
    }
    if (good != CaptureFile::kPackets) state.SkipWithError("not all packets decode");
  });
}
BENCHMARK(read_and_decode)->Arg(1)->Arg(4)->Arg(8)->Arg(32)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mptap

BENCHMARK_MAIN();
