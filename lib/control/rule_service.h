// SPDX-License-Identifier: Apache-2.0
// mptap.v1.RuleService. Internal to lib/control.
#pragma once

#include "control/managed_rules.h"
#include "control/rpc.h"
#include "mptap/v1/rule.grpc.pb.h"

namespace mptap::control {

class RuleService final : public v1::RuleService::Service {
 public:
  explicit RuleService(Core& core) : core_(core) {}

  grpc::Status ListRules(grpc::ServerContext*, const v1::ListRulesRequest*, v1::ListRulesResponse*) override;
  grpc::Status GetRule(grpc::ServerContext*, const v1::GetRuleRequest*, v1::Rule*) override;
  grpc::Status CreateRule(grpc::ServerContext*, const v1::CreateRuleRequest*, v1::Rule*) override;
  grpc::Status UpdateRule(grpc::ServerContext*, const v1::UpdateRuleRequest*, v1::Rule*) override;
  grpc::Status DeleteRule(grpc::ServerContext*, const v1::DeleteRuleRequest*, google::protobuf::Empty*) override;
  grpc::Status ValidateRules(grpc::ServerContext*, const v1::ValidateRulesRequest*, v1::ValidateRulesResponse*) override;
  grpc::Status ReloadRules(grpc::ServerContext*, const v1::ReloadRulesRequest*, v1::ReloadRulesResponse*) override;

 private:
  Result<v1::Rule> find(const RuleKey& key) const;
  std::string text_of(const RuleKey& key) const;  // of a managed rule, as JSON for the audit log
  // Changes the managed file by edit, and loads it; the file is as before where that fails.
  Result<void> change(const Deadline& deadline, bool validate_only,
                      const std::function<Result<void>(std::vector<ManagedRules::Line>&)>& edit);

  Core& core_;
};

}  // namespace mptap::control
