// SPDX-License-Identifier: Apache-2.0
// The appliance's values as messages. Internal to lib/control.
#pragma once

#include "control/appliance.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/field_mask.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "mptap/v1/action.pb.h"
#include "mptap/v1/connection.pb.h"

namespace mptap::control {

void to_timestamp(uint64_t ns, google::protobuf::Timestamp& out);
void to_message(const ConnectionInfo& info, v1::Connection& out);
void to_message(const action::Outcome& outcome, bool dry_run, v1::Outcome& out);

// Leaves only the mask's fields; an error names a path that is none. An empty mask leaves all.
Result<void> check_mask(const google::protobuf::FieldMask& mask);
void trim(const google::protobuf::FieldMask& mask, v1::Connection& connection);

// From seconds of a message to ns, between the bounds; absent: the default.
Result<uint64_t> duration_ns(const char* field, bool given, const google::protobuf::Duration& value, uint64_t least,
                             uint64_t most, uint64_t absent);
// 0: 50; more than 1000 is 1000; less than 0 is an error.
Result<size_t> page_size(int32_t given);
// "connections/{id}" to id.
Result<std::string> connection_id(const std::string& name);

}  // namespace mptap::control
