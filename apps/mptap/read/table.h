// SPDX-License-Identifier: Apache-2.0
// Connections as lines for people. On a terminal the columns are made to fit: first the date goes, then fractions of a
// second, then the endpoints move to a line of their own, then the least important columns go; an address is never cut.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/mptap/terminal.h"
#include "event/record.h"

namespace mptap::read {

struct Row {
  uint64_t serial = 0;
  uint64_t start_ns = 0;
  std::string client, server, mptcp, end;
  size_t subflows = 0;
  std::array<uint64_t, 2> bytes{};
  std::string seen;  // the visibility
  uint64_t alerts = 0, anomalies = 0;
  std::vector<std::string> details;  // lines below it, ready to print
  bool ends_named = false;           // details name both endpoints
};

Row make_row(const event::ConnectionRecord& record, const cli::Palette& palette);

class Table {
 public:
  Table(cli::Terminal terminal) : terminal_(terminal), palette_(terminal.color) {}

  // Appends rows to text, the header before the first. Columns keep the widths of earlier calls, or grow.
  void print(const std::vector<Row>& rows, std::string& text);

 private:
  enum Column : size_t {
    kSerial,
    kStart,
    kClient,
    kServer,
    kMptcp,
    kSubflows,
    kToServer,
    kToClient,
    kSeen,
    kEnd,
    kAlerts,
    kOdd,
    kColumns
  };
  std::array<std::string, kColumns> cells(const Row& row) const;
  std::string time_of(const Row& row) const;
  void measure(const std::vector<Row>& rows);
  size_t total() const;
  void print_line(const std::array<std::string, kColumns>& cells, std::string& text) const;

  cli::Terminal terminal_;
  cli::Palette palette_;
  bool begun_ = false;
  int time_form_ = 0;  // 0 with date, 1 time of day, 2 without fractions
  std::array<bool, kColumns> hidden_{};
  std::array<size_t, kColumns> widths_{};
};

}  // namespace mptap::read
