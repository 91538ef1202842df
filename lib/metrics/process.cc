// SPDX-License-Identifier: Apache-2.0
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "metrics/page.h"

namespace mptap::metrics {
namespace {

struct Stat {
  double threads = 0, start_ticks = 0, virtual_bytes = 0, resident_pages = 0;
};

// proc(5): the second field, in brackets, is the program's name and may bear anything.
bool read_stat(Stat& stat) {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  const size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return false;
  std::istringstream rest(line.substr(bracket + 2));
  std::string field;
  for (int number = 3; rest >> field; ++number) {
    const double value = std::atof(field.c_str());
    if (number == 20) stat.threads = value;
    if (number == 22) stat.start_ticks = value;
    if (number == 23) stat.virtual_bytes = value;
    if (number == 24) stat.resident_pages = value;
  }
  return true;
}

double boot_time() {
  std::ifstream file("/proc/stat");
  std::string word;
  double value = 0;
  while (file >> word)
    if (word == "btime" && file >> value) return value;
  return 0;
}

size_t open_files() {
  size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count - 1;  // its own
}

}  // namespace

void add_process(Page& page) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  page.counter("process_cpu_seconds_total", "CPU time of all threads", seconds(usage.ru_utime) + seconds(usage.ru_stime));
  page.gauge("process_open_fds", "open file descriptors", static_cast<double>(open_files()));
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  page.gauge("process_max_fds", "file descriptors that may be open", static_cast<double>(limit.rlim_cur));
  Stat stat;
  if (!read_stat(stat)) return;
  page.gauge("process_virtual_memory_bytes", "address space", stat.virtual_bytes);
  page.gauge("process_resident_memory_bytes", "memory in use, huge pages not included",
             stat.resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
  page.gauge("process_start_time_seconds", "when it started, since the epoch",
             boot_time() + stat.start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK)));
  page.gauge("process_threads", "threads", stat.threads);
}

}  // namespace mptap::metrics
