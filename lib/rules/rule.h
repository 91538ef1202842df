// SPDX-License-Identifier: Apache-2.0
// One rule as parsed: Suricata's syntax as plain values, all variables resolved. Nothing here depends on a stream.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "packet/address.h"
#include "rules/interval_set.h"

namespace mptap::rules {

class PcreCode;  // pcre.h

__extension__ typedef unsigned __int128 AddressValue;  // the 16 bytes of packet::IpAddress as one number

AddressValue address_value(const packet::IpAddress& address);

using AddressSet = IntervalSet<AddressValue, ~AddressValue{0}>;
using PortSet = IntervalSet<uint16_t, 65535>;

// drop and reject raise an alert like any other; what to do about the connection is the engine's to decide.
enum class Action : uint8_t { kAlert, kDrop, kReject, kPass };

struct Header {
  AddressSet src, dst;
  PortSet src_port, dst_port;
  bool bidirectional = false;  // <>
};

enum class FlowDirection : uint8_t { kBoth, kToServer, kToClient };

struct Content {
  std::string bytes;  // what to find; in lower case when nocase
  bool nocase = false;
  bool negated = false;
  bool fast_pattern = false;
  bool startswith = false;  // kept as offset 0, depth = size
  bool endswith = false;    // ends where the stream ends
  // Places in the stream, counted from its first byte: begins at offset or later, ends at offset + depth or before.
  uint32_t offset = 0;
  std::optional<uint32_t> depth;
  // Places relative to the end P of the positive content before it (0 without one): begins at P + distance or later, ends at
  // P + distance + within or before.
  bool relative = false;
  int32_t distance = 0;
  std::optional<uint32_t> within;
};

struct Pcre {
  std::string pattern, flags;  // as written: pcre:"/pattern/flags"
  bool negated = false;
  bool relative = false;  // R: from the end of the positive content before it
  std::shared_ptr<const PcreCode> code;
};

using Element = std::variant<Content, Pcre>;

struct Threshold {
  enum class Type : uint8_t { kLimit, kThreshold, kBoth };
  enum class Track : uint8_t { kBySrc, kByDst, kByRule, kByFlow };
  Type type = Type::kLimit;
  Track track = Track::kBySrc;
  uint32_t count = 1;
  uint32_t seconds = 60;
};

struct Rule {
  Action action = Action::kAlert;
  Header header;
  FlowDirection flow = FlowDirection::kBoth;
  uint32_t gid = 1, sid = 0, rev = 0;
  std::string msg;
  std::string classtype;  // short name; empty: none given
  std::string category;   // its description
  uint32_t priority = 3;
  std::vector<std::pair<std::string, std::string>> metadata;    // key, rest
  std::vector<std::pair<std::string, std::string>> references;  // system, id
  std::string target;                                           // src_ip, dest_ip or empty
  std::optional<Threshold> threshold;
  std::vector<Element> elements;  // contents and pcres in the order of the rule
  std::string file;
  uint32_t line = 0;  // of the rule's first line
};

const char* to_string(Action action);

}  // namespace mptap::rules
