// SPDX-License-Identifier: Apache-2.0
// Which connections the user wants to see.
//
//   host 10.0.0.1            an address of either end of any subflow
//   host=fd00::/8            or a prefix
//   port 443                 a port of either end of any subflow
//   token 0a1b2c3d           a token of the connection
//   id 5f3a…                 the connection's id, as --json and --extract show it
//   host=10.0.0.1,port=443   all of them ("and" is a comma too)
//
// Every term asks for something to be there, so what matches while a connection runs still matches at its end.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

#include "event/record.h"
#include "packet/prefix.h"
#include "worker/engine.h"

namespace mptap::read {

// What is known of a connection so far.
struct Candidate {
  std::vector<packet::Endpoint> ends;
  std::vector<uint32_t> tokens;
  std::string_view id;
};

class Filter {
 public:
  // The error names the term and what would be right.
  static tl::expected<Filter, std::string> parse(std::string_view text);
  bool matches(const Candidate& candidate) const;

 private:
  struct Port {
    uint16_t number;
  };
  struct Token {
    uint32_t value;
  };
  struct Id {
    std::string text;
  };
  using Term = std::variant<packet::Prefix, Port, Token, Id>;
  static tl::expected<Term, std::string> parse_term(std::string_view term);
  std::vector<Term> terms_;
};

// Passes on the events of connections that match one of the filters. What a connection says before it matches waits until it
// does, or until its record shows that it never will.
class FilteredListener final : public worker::Listener {
 public:
  FilteredListener(std::vector<Filter> filters, worker::Listener& next) : filters_(std::move(filters)), next_(next) {}

  void on_record(const event::ConnectionRecord& record) override;
  void on_alert(const event::Alert& alert) override;
  void on_anomaly(const event::Anomaly& anomaly) override;
  void on_joined(const event::SubflowJoined& joined) override;

  // Of connections that were not kept.
  uint64_t left_out() const { return left_out_; }

 private:
  using Event = std::variant<event::Alert, event::Anomaly, event::SubflowJoined>;
  bool matches(const Candidate& candidate) const;
  bool matched(const event::Head& head, const std::string& id);
  void let_through(uint64_t serial);
  void pass(const Event& event);

  std::vector<Filter> filters_;
  worker::Listener& next_;
  std::unordered_set<uint64_t> matched_;
  std::unordered_map<uint64_t, std::deque<Event>> waiting_;
  uint64_t left_out_ = 0;
};

}  // namespace mptap::read
