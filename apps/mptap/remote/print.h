// SPDX-License-Identifier: Apache-2.0
// Answers as text for a terminal.
#pragma once

#include <string>

#include "mptap/v1/connection.pb.h"
#include "mptap/v1/policy.pb.h"
#include "mptap/v1/rule.pb.h"
#include "mptap/v1/system.pb.h"

namespace mptap::remote {

// One line each, under a headline. width: of the terminal, longer lines are cut; 0: as long as they are.
std::string connection_table(const google::protobuf::RepeatedPtrField<v1::Connection>& connections, unsigned width);

std::string describe(const v1::Connection& connection);  // all of it, several lines
std::string headline(const v1::Connection& connection);  // one line, for a question
std::string describe(const v1::Outcome& outcome);
std::string describe(const v1::ListPoliciesResponse& policies);
std::string describe(const v1::Rule& rule);
std::string describe(const v1::System& system);

}  // namespace mptap::remote
