// SPDX-License-Identifier: Apache-2.0
// A real server and real clients, over a Unix socket and over TLS with certificates made by openssl; behind it a stand-in for the
// appliance. What must hold: nobody does what he may not, everything is told, and no peer can make the server fail.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/access.h"
#include "control/server.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "mptap/v1/connection.grpc.pb.h"
#include "mptap/v1/event.grpc.pb.h"
#include "mptap/v1/policy.grpc.pb.h"
#include "mptap/v1/rule.grpc.pb.h"
#include "mptap/v1/system.grpc.pb.h"
#include "rules/load.h"
#include "tests/unit/control/certificates.h"

namespace mptap::control {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using testing::HasSubstr;

constexpr const char* kId = "00000000000000aa";
constexpr const char* kRequest = "123e4567-e89b-12d3-a456-426614174000";

// 120 connections, in the order of their ids.
class StandIn final : public Appliance {
 public:
  Result<Page> list(std::shared_ptr<const ListQuery> q, const Deadline&) override {
    Page page;
    page.total = 120;
    for (uint64_t i = q->after ? q->after->serial + 1 : 0; i < 120; ++i) {
      if (page.connections.size() == q->limit) {
        page.next = Cursor{0, 0, i - 1};
        break;
      }
      page.connections.push_back(connection(i));
    }
    return page;
  }
  Result<ConnectionInfo> get(const std::string& id, const Deadline&) override {
    if (id == kId) return connection(0xaa);
    return tl::unexpected(Error{Code::kNotFound, "CONNECTION_NOT_FOUND", "no connection " + id, {{"connection", id}}});
  }
  Result<action::Outcome> act(const action::Request& request, const Deadline&) override {
    ++acts;
    last = request;
    if (request.connection_id != kId) return tl::unexpected(get(request.connection_id, {}).error());
    if (wait_ms != 0) std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms.load()));
    action::Outcome outcome;
    outcome.connection_id = request.connection_id;
    outcome.kind = request.kind;
    outcome.verdict = action::Verdict::kConfirmed;
    outcome.seen = "reset by both ends";
    outcome.frames = 4;
    return outcome;
  }
  std::vector<rules::Rule> rules() override {
    const std::lock_guard lock(mutex);
    return loaded;
  }
  std::string managed_rules() override { return managed; }
  rules::RuleOptions rule_options() override { return {}; }
  Result<ReloadReport> reload(const Deadline&) override {
    std::vector<std::string> files = rule_files;
    if (std::filesystem::exists(managed)) files.push_back(managed);
    auto read = rules::load_rules(files, {});
    if (!read) return tl::unexpected(Error{Code::kFailedPrecondition, "RELOAD_FAILED", read.error().message});
    const std::lock_guard lock(mutex);
    loaded = read->rules;
    return ReloadReport{loaded.size(), 0};
  }
  std::vector<PolicyInfo> policies() override { return {{"first", "kill", "rules 7", true, 3}}; }
  BreakerInfo breaker() override { return {open}; }
  void resume_policies() override { open = false; }
  SystemInfo system() override {
    SystemInfo info;
    info.version = "1";
    info.config = "secret";
    return info;
  }

  static ConnectionInfo connection(uint64_t i) {
    ConnectionInfo info;
    info.record.connection_id = fmt::format("{:016x}", i);
    info.record.head.src = {*packet::IpAddress::parse("10.0.0.1"), static_cast<uint16_t>(i)};
    info.record.packets = i;
    return info;
  }

  std::atomic<int> acts{0}, wait_ms{0};
  std::atomic<bool> open{true};
  action::Request last;
  std::mutex mutex;
  std::vector<rules::Rule> loaded;
  std::string managed;
  std::vector<std::string> rule_files;
};

google::rpc::ErrorInfo info_of(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.details_size(), 1) << status.error_message();
  EXPECT_TRUE(details.details_size() == 1 && details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.domain(), "mptap");
  return info;
}

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Client {
  explicit Client(std::shared_ptr<grpc::Channel> c)
      : channel(std::move(c)), connections(channel), events(channel), policies(channel), rules(channel), system(channel) {}
  std::shared_ptr<grpc::Channel> channel;
  v1::ConnectionService::Stub connections;
  v1::EventService::Stub events;
  v1::PolicyService::Stub policies;
  v1::RuleService::Stub rules;
  v1::SystemService::Stub system;
};

std::unique_ptr<grpc::ClientContext> context(std::chrono::milliseconds limit = 30s) {
  auto c = std::make_unique<grpc::ClientContext>();
  c->set_deadline(system_clock::now() + limit);
  return c;
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() : folder_(std::filesystem::temp_directory_path() / fmt::format("mptap-server-{}", getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~ServerTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  ServerOptions unix_options() const {
    return {.address = "unix:" + path("control.sock"),
            .group = "",
            .certificate = "",
            .key = "",
            .client_ca = "",
            .roles = {{fmt::format("uid:{}", getuid()), "admin"}},
            .audit_log = path("audit.log"),
            .threads = 32};
  }
  void start(const ServerOptions& options) {
    auto opened = Server::open(options, appliance_, hub_);
    ASSERT_TRUE(opened) << opened.error();
    server_ = std::move(*opened);
    const auto started = server_->start();
    ASSERT_TRUE(started) << started.error();
  }
  std::unique_ptr<Client> local() const {
    return std::make_unique<Client>(grpc::CreateChannel("unix:" + path("control.sock"), grpc::InsecureChannelCredentials()));
  }
  std::vector<nlohmann::json> audit() const {
    std::istringstream lines(file_text(path("audit.log")));
    std::vector<nlohmann::json> all;
    for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  static v1::KillConnectionRequest kill_request(const std::string& id = kId) {
    v1::KillConnectionRequest request;
    request.set_name("connections/" + id);
    return request;
  }

  const std::filesystem::path folder_;
  StandIn appliance_;
  std::shared_ptr<EventHub> hub_ = std::make_shared<EventHub>(HubLimits{.lines = 1000, .bytes = 1 << 20});
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, PagesTogetherAreTheList) {
  start(unix_options());
  const auto client = local();
  v1::ListConnectionsRequest request;
  std::set<std::string> names;
  int pages = 0;
  do {
    v1::ListConnectionsResponse page;
    const auto status = client->connections.ListConnections(context().get(), request, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const auto& c : page.connections()) names.insert(c.name());
    EXPECT_EQ(page.total_size(), 120);
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(names.size(), 120u);
  EXPECT_EQ(pages, 3);

  const auto reason = [&](auto&& change) {
    v1::ListConnectionsRequest wrong;
    v1::ListConnectionsResponse page;
    change(wrong);
    const auto status = client->connections.ListConnections(context().get(), wrong, &page);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    return info_of(status).reason();
  };
  EXPECT_EQ(reason([](auto& r) { r.set_filter("packets >"); }), "FILTER_INVALID");
  EXPECT_EQ(reason([](auto& r) { r.set_order_by("weight"); }), "ORDER_BY_INVALID");
  EXPECT_EQ(reason([](auto& r) { r.set_page_size(-1); }), "PAGE_SIZE_INVALID");
  EXPECT_EQ(reason([](auto& r) { r.set_page_token("x"); }), "PAGE_TOKEN_INVALID");
  EXPECT_EQ(reason([](auto& r) { r.mutable_read_mask()->add_paths("nothing"); }), "READ_MASK_INVALID");
  v1::ListConnectionsRequest other;
  v1::ListConnectionsResponse page;
  ASSERT_TRUE(client->connections.ListConnections(context().get(), {}, &page).ok());
  EXPECT_EQ(reason([&](auto& r) {
              r.set_page_token(page.next_page_token());
              r.set_filter("packets > 1");
            }),
            "PAGE_TOKEN_INVALID");

  v1::GetConnectionRequest get;
  get.set_name(std::string("connections/") + kId);
  get.mutable_read_mask()->add_paths("packets");
  v1::Connection connection;
  ASSERT_TRUE(client->connections.GetConnection(context().get(), get, &connection).ok());
  EXPECT_EQ(connection.packets(), 0xaau);
  EXPECT_EQ(connection.name(), "");
}

// grpc.health.v1, whose messages are short enough to write by hand: 1: the service's name; 1: SERVING.
TEST_F(ServerTest, HealthIsToldForEachService) {
  start(unix_options());
  const auto health = [&](const std::string& service) {
    grpc::GenericStub stub(local()->channel);
    grpc::CompletionQueue queue;
    const auto c = context();
    const grpc::Slice bytes("\x0a" + std::string(1, static_cast<char>(service.size())) + service);
    const grpc::ByteBuffer request(&bytes, 1);
    const auto reader = stub.PrepareUnaryCall(c.get(), "/grpc.health.v1.Health/Check", request, &queue);
    reader->StartCall();
    grpc::ByteBuffer response;
    grpc::Status status;
    reader->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool good = false;
    EXPECT_TRUE(queue.Next(&tag, &good));
    std::vector<grpc::Slice> slices;
    if (!status.ok() || !response.Dump(&slices).ok() || slices.empty()) return std::string(status.error_message());
    return std::string(reinterpret_cast<const char*>(slices[0].begin()), slices[0].size());
  };
  for (const char* name : {"ConnectionService", "RuleService", "PolicyService", "EventService", "SystemService"})
    EXPECT_EQ(health(std::string("mptap.v1.") + name), "\x08\x01") << name;
  EXPECT_NE(health("mptap.v1.NoService"), "\x08\x01");
}

TEST_F(ServerTest, AKillIsDoneOnceAnsweredAndTold) {
  start(unix_options());
  const auto client = local();
  auto request = kill_request();
  request.set_request_id(kRequest);
  for (int i = 0; i < 2; ++i) {
    v1::KillConnectionResponse response;
    const auto status = client->connections.KillConnection(context().get(), request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.outcome().verdict(), v1::Outcome::VERDICT_CONFIRMED);
    EXPECT_EQ(response.outcome().frames_sent(), 4u);
  }
  EXPECT_EQ(appliance_.acts, 1);
  auto lines = audit();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["who"].get<std::string>().substr(0, 4), "uid:");
  EXPECT_EQ(lines[0]["from"], fmt::format("unix pid {}", getpid()));
  EXPECT_EQ(lines[0]["method"], "/mptap.v1.ConnectionService/KillConnection");
  EXPECT_EQ(lines[0]["request"]["name"], std::string("connections/") + kId);
  EXPECT_EQ(lines[0]["before"]["client"], "10.0.0.1:170");
  EXPECT_EQ(lines[0]["after"]["verdict"], "CONFIRMED");
  EXPECT_EQ(lines[0]["result"], "ok");
  EXPECT_THAT(lines[1]["message"].get<std::string>(), HasSubstr("repeated"));

  request.set_validate_only(true);
  v1::KillConnectionResponse response;
  EXPECT_EQ(info_of(client->connections.KillConnection(context().get(), request, &response)).reason(), "REQUEST_ID_REUSED");
  request.clear_request_id();
  ASSERT_TRUE(client->connections.KillConnection(context().get(), request, &response).ok());
  EXPECT_EQ(response.outcome().verdict(), v1::Outcome::VERDICT_DRY_RUN);
  EXPECT_TRUE(appliance_.last.options.dry_run);

  const auto unknown = client->connections.KillConnection(context().get(), kill_request("00000000000000bb"), &response);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(info_of(unknown).reason(), "CONNECTION_NOT_FOUND");
  EXPECT_EQ(info_of(client->connections.KillConnection(context().get(), kill_request("b"), &response)).reason(), "NAME_INVALID");
  EXPECT_EQ(audit().back()["result"], "INVALID_ARGUMENT");
}

TEST_F(ServerTest, WithoutAnAuditLogNothingIsDone) {
  auto options = unix_options();
  options.audit_log = "/dev/full";
  start(options);
  const auto client = local();
  v1::KillConnectionResponse response;
  // The first finds out, after the deed; from then on nothing is done.
  EXPECT_EQ(info_of(client->connections.KillConnection(context().get(), kill_request(), &response)).reason(), "AUDIT_LOG_FAILED");
  const int before = appliance_.acts;
  const auto status = client->connections.KillConnection(context().get(), kill_request(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("nothing was done"));
  EXPECT_EQ(appliance_.acts, before);
  v1::ListConnectionsResponse page;
  EXPECT_TRUE(client->connections.ListConnections(context().get(), {}, &page).ok());
}

TEST_F(ServerTest, AViewerLooksAndIsToldWhatHeMayNot) {
  auto options = unix_options();
  options.roles = {{fmt::format("uid:{}", getuid()), "viewer"}};
  start(options);
  const auto client = local();
  v1::ListConnectionsResponse page;
  EXPECT_TRUE(client->connections.ListConnections(context().get(), {}, &page).ok());
  v1::System system;
  ASSERT_TRUE(client->system.GetSystem(context().get(), {}, &system).ok());
  EXPECT_EQ(system.config(), "");  // admins only
  v1::KillConnectionResponse response;
  const auto status = client->connections.KillConnection(context().get(), kill_request(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(info_of(status).reason(), "ROLE_TOO_LOW");
  EXPECT_EQ(info_of(status).metadata().at("wanted"), "operator");
  EXPECT_EQ(appliance_.acts, 0);
  ASSERT_EQ(audit().size(), 1u);
  EXPECT_EQ(audit()[0]["result"], "denied");
  EXPECT_EQ(audit()[0]["role"], "viewer");
}

// Every method of every service stands in the table; one that does not is nobody's.
TEST_F(ServerTest, WithoutARoleNothingIsServed) {
  auto options = unix_options();
  options.roles = {};
  start(options);
  const auto client = local();
  std::set<std::string> all;
  for (const char* name : {"ConnectionService", "RuleService", "PolicyService", "EventService", "SystemService"}) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(std::string("mptap.v1.") + name);
    ASSERT_NE(service, nullptr) << name;
    for (int i = 0; i < service->method_count(); ++i)
      all.insert(fmt::format("/{}/{}", service->full_name(), service->method(i)->name()));
  }
  std::set<std::string> known;
  for (const Permission& p : permissions()) known.insert(std::string(p.method));
  EXPECT_EQ(all, known);
  v1::ListConnectionsResponse page;
  EXPECT_EQ(client->connections.ListConnections(context().get(), {}, &page).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  v1::WatchEventsResponse event;
  const auto c = context();
  const auto reader = client->events.WatchEvents(c.get(), {});
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(ServerTest, EventsAreFilteredResumedAndMissedOnesCounted) {
  start(unix_options());
  const auto client = local();
  hub_->push("{\"event_type\":\"alert\",\"n\":1}\n{\"event_type\":\"flow\",\"n\":2}\n{\"event_type\":\"alert\",\"n\":3}\n");
  v1::WatchEventsRequest request;
  request.set_filter("event_type = alert");
  request.set_resume_position("oldest");
  std::string position;
  {
    const auto c = context();
    const auto reader = client->events.WatchEvents(c.get(), request);
    v1::WatchEventsResponse response;
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_EQ(response.event().type(), "alert");
    position = response.event().position();
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_THAT(response.event().eve(), HasSubstr("\"n\":3"));
    EXPECT_EQ(response.missed(), 0u);
    c->TryCancel();
  }
  request.set_resume_position(position);
  {
    const auto c = context();
    const auto reader = client->events.WatchEvents(c.get(), request);
    v1::WatchEventsResponse response;
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_THAT(response.event().eve(), HasSubstr("\"n\":3"));
    c->TryCancel();
  }
  for (int i = 0; i < 3000; ++i) hub_->push("{\"event_type\":\"alert\"}\n");
  {
    const auto c = context();
    const auto reader = client->events.WatchEvents(c.get(), request);
    v1::WatchEventsResponse response;
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_EQ(response.missed(), 2002u);  // 3003 in all, 1000 are kept, the first was seen
    c->TryCancel();
  }
  request.set_resume_position("nonsense");
  const auto c = context();
  v1::WatchEventsResponse response;
  const auto reader = client->events.WatchEvents(c.get(), request);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(info_of(reader->Finish()).reason(), "POSITION_INVALID");
}

TEST_F(ServerTest, AReaderThatStandsStillHoldsNobodyUpAndIsToldWhatItMissed) {
  start(unix_options());
  const auto client = local();
  const auto c = context(120s);
  const auto reader = client->events.WatchEvents(c.get(), {});
  reader->WaitForInitialMetadata();
  const std::string line = "{\"event_type\":\"alert\",\"text\":\"" + std::string(4000, 'x') + "\"}\n";
  const auto began = steady_clock::now();
  constexpr uint64_t kEvents = 20000;  // 80 MB: more than any window and than the ring
  for (uint64_t i = 0; i < kEvents; ++i) hub_->push(line);
  EXPECT_LT(steady_clock::now() - began, 30s);
  v1::ListConnectionsResponse page;
  EXPECT_TRUE(local()->connections.ListConnections(context().get(), {}, &page).ok());
  uint64_t got = 0, missed = 0;
  for (v1::WatchEventsResponse response; got + missed < kEvents && reader->Read(&response);) {
    got += response.has_event();
    missed += response.missed();
  }
  EXPECT_EQ(got + missed, kEvents);
  EXPECT_GT(missed, 0u);
  c->TryCancel();
}

TEST_F(ServerTest, WatchesAreCounted) {
  start(unix_options());
  const auto client = local();
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchConnectionsResponse>>> readers;
  v1::WatchConnectionsRequest request;
  request.mutable_interval()->set_nanos(100'000'000);
  v1::WatchConnectionsResponse response;
  for (int i = 0; i < 20; ++i) {
    contexts.push_back(context(120s));
    readers.push_back(client->connections.WatchConnections(contexts.back().get(), request));
    ASSERT_TRUE(readers.back()->Read(&response));
    EXPECT_EQ(response.connections_size(), 50);
  }
  // As many as there are threads for; who comes then is told, and those who are there go on.
  bool refused = false;
  for (int i = 0; i < 40 && !refused; ++i) {
    contexts.push_back(context(120s));
    readers.push_back(client->connections.WatchConnections(contexts.back().get(), request));
    if (!readers.back()->Read(&response)) refused = readers.back()->Finish().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
    if (refused) readers.pop_back();
  }
  EXPECT_TRUE(refused);
  EXPECT_TRUE(readers.front()->Read(&response));
  for (const auto& c : contexts) c->TryCancel();
}

TEST_F(ServerTest, RulesAreMadeChangedAndDeleted) {
  appliance_.managed = path("managed.rules");
  appliance_.rule_files = {path("local.rules")};
  std::ofstream(path("local.rules")) << R"(alert tcp any any -> any any (msg:"file"; content:"x"; sid:5;))"
                                     << "\n";
  ASSERT_TRUE(appliance_.reload({}));
  start(unix_options());
  const auto client = local();
  const std::string text = R"(alert tcp any any -> any any (msg:"mine"; content:"y"; sid:77;))";
  v1::CreateRuleRequest create;
  create.mutable_rule()->set_text(text);
  create.set_validate_only(true);
  v1::Rule rule;
  ASSERT_TRUE(client->rules.CreateRule(context().get(), create, &rule).ok());
  EXPECT_EQ(rule.name(), "rules/1-77");
  EXPECT_EQ(appliance_.rules().size(), 1u);
  create.set_validate_only(false);
  const auto made = client->rules.CreateRule(context().get(), create, &rule);
  ASSERT_TRUE(made.ok()) << made.error_message();
  EXPECT_EQ(rule.text(), text);
  EXPECT_EQ(rule.origin(), v1::Rule::ORIGIN_MANAGED);
  EXPECT_EQ(appliance_.rules().size(), 2u);
  EXPECT_EQ(info_of(client->rules.CreateRule(context().get(), create, &rule)).reason(), "RULE_EXISTS");
  create.mutable_rule()->set_text("alert http");
  EXPECT_EQ(info_of(client->rules.CreateRule(context().get(), create, &rule)).reason(), "RULE_INVALID");

  v1::UpdateRuleRequest update;
  update.mutable_rule()->set_name("rules/1-77");
  update.mutable_rule()->set_text(R"(alert tcp any any -> any any (msg:"new"; content:"z"; sid:77; rev:2;))");
  ASSERT_TRUE(client->rules.UpdateRule(context().get(), update, &rule).ok());
  EXPECT_EQ(rule.message(), "new");
  update.mutable_rule()->set_name("rules/1-78");
  EXPECT_EQ(info_of(client->rules.UpdateRule(context().get(), update, &rule)).reason(), "RULE_NAME_DIFFERS");

  v1::ListRulesRequest list;
  list.set_filter("origin = managed");
  v1::ListRulesResponse page;
  ASSERT_TRUE(client->rules.ListRules(context().get(), list, &page).ok());
  ASSERT_EQ(page.rules_size(), 1);
  list.clear_filter();
  list.set_page_size(1);
  ASSERT_TRUE(client->rules.ListRules(context().get(), list, &page).ok());
  EXPECT_EQ(page.rules(0).name(), "rules/1-5");
  list.set_page_token(page.next_page_token());
  ASSERT_TRUE(client->rules.ListRules(context().get(), list, &page).ok());
  EXPECT_EQ(page.rules(0).name(), "rules/1-77");
  EXPECT_EQ(page.next_page_token(), "");

  v1::DeleteRuleRequest remove;
  google::protobuf::Empty empty;
  remove.set_name("rules/1-5");
  EXPECT_EQ(info_of(client->rules.DeleteRule(context().get(), remove, &empty)).reason(), "RULE_IN_FILE");
  remove.set_name("rules/1-99");
  EXPECT_EQ(info_of(client->rules.DeleteRule(context().get(), remove, &empty)).reason(), "RULE_NOT_FOUND");
  remove.set_name("rules/1-77");
  ASSERT_TRUE(client->rules.DeleteRule(context().get(), remove, &empty).ok());
  EXPECT_EQ(appliance_.rules().size(), 1u);
  EXPECT_THAT(audit().back()["before"].get<std::string>(), HasSubstr("msg:\"new\""));

  v1::ValidateRulesRequest validate;
  v1::ValidateRulesResponse judged;
  validate.set_text(text + "\nalert tcp any any -> any any (msg:\"a\"; nonsense; sid:8;)\n");
  ASSERT_TRUE(client->rules.ValidateRules(context().get(), validate, &judged).ok());
  EXPECT_EQ(judged.loaded(), 1u);
  ASSERT_EQ(judged.problems_size(), 1);
  EXPECT_EQ(judged.problems(0).line(), 2u);
}

TEST_F(ServerTest, PoliciesAreShownAndResumed) {
  start(unix_options());
  const auto client = local();
  v1::ListPoliciesResponse page;
  ASSERT_TRUE(client->policies.ListPolicies(context().get(), {}, &page).ok());
  ASSERT_EQ(page.policies_size(), 1);
  EXPECT_EQ(page.policies(0).name(), "policies/first");
  EXPECT_TRUE(page.circuit_breaker().open());
  v1::ResumePoliciesResponse resumed;
  ASSERT_TRUE(client->policies.ResumePolicies(context().get(), {}, &resumed).ok());
  EXPECT_FALSE(resumed.circuit_breaker().open());
  EXPECT_EQ(audit().back()["before"]["open"], true);
  v1::GetPolicyRequest get;
  get.set_name("policies/none");
  v1::Policy policy;
  EXPECT_EQ(info_of(client->policies.GetPolicy(context().get(), get, &policy)).reason(), "POLICY_NOT_FOUND");
}

TEST_F(ServerTest, GarbageOversizedMessagesAndManyCallsLeaveItServing) {
  start(unix_options());
  std::string address = path("control.sock");
  for (int i = 0; i < 50; ++i) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address.copy(name.sun_path, sizeof name.sun_path - 1);
    ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    std::string junk(static_cast<size_t>(i) * 37, static_cast<char>(i * 31));
    if (i % 3 == 0) junk = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + junk;
    (void)send(fd, junk.data(), junk.size(), MSG_NOSIGNAL);
    close(fd);
  }
  const auto client = local();
  v1::ValidateRulesRequest big;
  big.set_text(std::string(3 << 20, 'x'));
  v1::ValidateRulesResponse judged;
  EXPECT_EQ(client->rules.ValidateRules(context().get(), big, &judged).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  big.set_text(std::string((1 << 20) + 1, 'x'));
  EXPECT_EQ(info_of(client->rules.ValidateRules(context().get(), big, &judged)).reason(), "TEXT_SIZE");

  // 10,000 calls that are all under way at once; each is served or told that there is no room.
  constexpr int kCalls = 10000;
  grpc::CompletionQueue queue;
  struct Call {
    grpc::ClientContext context;
    v1::ListConnectionsResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ListConnectionsResponse>> reader;
  };
  std::vector<std::unique_ptr<Call>> calls;
  v1::ListConnectionsRequest request;
  request.set_page_size(1);
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(std::make_unique<Call>());
    Call& call = *calls.back();
    call.context.set_deadline(system_clock::now() + 300s);
    call.reader = client->connections.AsyncListConnections(&call.context, request, &queue);
    call.reader->Finish(&call.response, &call.status, &call);
  }
  int served = 0, refused = 0;
  for (int i = 0; i < kCalls; ++i) {
    void* tag = nullptr;
    bool good = false;
    ASSERT_TRUE(queue.Next(&tag, &good));
    const grpc::Status& status = static_cast<Call*>(tag)->status;
    served += status.ok();
    refused += status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
  }
  EXPECT_EQ(served + refused, kCalls);
  EXPECT_GT(served, 0);
  v1::ListConnectionsResponse page;
  EXPECT_TRUE(client->connections.ListConnections(context().get(), {}, &page).ok());
}

TEST_F(ServerTest, ACallThatIsCancelledOrLateDoesNotStopTheServer) {
  start(unix_options());
  appliance_.wait_ms = 300;
  const auto client = local();
  v1::KillConnectionResponse response;
  EXPECT_EQ(client->connections.KillConnection(context(50ms).get(), kill_request(), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(client->connections.KillConnection(context().get(), kill_request(), &response).ok());
  const auto began = steady_clock::now();
  const auto c = context();
  const auto reader = client->events.WatchEvents(c.get(), {});
  reader->WaitForInitialMetadata();
  server_->stop();
  EXPECT_LT(steady_clock::now() - began, 10s);
  v1::WatchEventsResponse event;
  EXPECT_FALSE(reader->Read(&event));
}

class TlsTest : public ServerTest {
 protected:
  TlsTest() : certificates_(folder_.string()) {
    certificates_.authority("other");
    certificates_.issue("ca", "admin", "boss", "subjectAltName=URI:spiffe://soc/boss");
    certificates_.issue("ca", "analyst", "analyst", "subjectAltName=DNS:soc.example");
    certificates_.issue("ca", "nobody", "nobody");
    certificates_.issue("ca", "expired", "analyst", "subjectAltName=DNS:soc.example", -1);
    certificates_.issue("other", "stranger", "analyst", "subjectAltName=DNS:soc.example");
  }
  ServerOptions tls_options() const {
    return {.address = "127.0.0.1:0",
            .group = "",
            .certificate = path("server.pem"),
            .key = path("server.key"),
            .client_ca = path("ca.pem"),
            .roles = {{"uri:spiffe://soc/boss", "admin"}, {"dns:soc.example", "viewer"}},
            .audit_log = path("audit.log"),
            .threads = 32,
            .certificate_check_s = 1};
  }
  std::unique_ptr<Client> remote(const std::string& name) const {
    grpc::SslCredentialsOptions options{file_text(path("ca.pem")), "", ""};
    if (!name.empty()) {
      options.pem_private_key = file_text(path(name + ".key"));
      options.pem_cert_chain = file_text(path(name + ".pem"));
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt("grpc.test.unique", next_++);  // no channel is shared
    return std::make_unique<Client>(grpc::CreateCustomChannel(server_->address(), grpc::SslCredentials(options), arguments));
  }
  grpc::StatusCode list_as(const std::string& name) const {
    v1::ListConnectionsResponse page;
    return remote(name)->connections.ListConnections(context().get(), {}, &page).error_code();
  }

  const Certificates certificates_;
  mutable int next_ = 0;
};

TEST_F(TlsTest, CertificatesDecide) {
  start(tls_options());
  EXPECT_EQ(list_as("admin"), grpc::StatusCode::OK);
  EXPECT_EQ(list_as("analyst"), grpc::StatusCode::OK);
  EXPECT_EQ(list_as("nobody"), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(list_as(""), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(list_as("expired"), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(list_as("stranger"), grpc::StatusCode::UNAVAILABLE);
  v1::KillConnectionResponse response;
  EXPECT_EQ(remote("analyst")->connections.KillConnection(context().get(), kill_request(), &response).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(remote("admin")->connections.KillConnection(context().get(), kill_request(), &response).ok());
  const auto lines = audit();
  EXPECT_THAT(lines[0]["who"].get<std::string>(), HasSubstr("cn:nobody"));
  EXPECT_EQ(lines[1]["who"], "cn:analyst soc.example");
  EXPECT_EQ(lines[1]["result"], "denied");
  EXPECT_EQ(lines[2]["who"], "cn:boss spiffe://soc/boss");
  EXPECT_THAT(lines[2]["from"].get<std::string>(), testing::StartsWith("ipv4:127.0.0.1:"));
  EXPECT_EQ(lines[2]["result"], "ok");
}

TEST_F(TlsTest, PlainTextAndGarbageAreNotServed) {
  start(tls_options());
  const auto plain = std::make_unique<Client>(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  v1::ListConnectionsResponse page;
  EXPECT_EQ(plain->connections.ListConnections(context().get(), {}, &page).error_code(), grpc::StatusCode::UNAVAILABLE);
  const std::string address = server_->address();
  for (int i = 0; i < 30; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    inet_pton(AF_INET, "127.0.0.1", &name.sin_addr);
    ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    const std::string junk = "\x16\x03\x01" + std::string(static_cast<size_t>(i) * 41, static_cast<char>(i));
    (void)send(fd, junk.data(), junk.size(), MSG_NOSIGNAL);
    close(fd);
  }
  EXPECT_EQ(list_as("admin"), grpc::StatusCode::OK);
}

TEST_F(TlsTest, FilesAreReadAgainWhenTheyChange) {
  start(tls_options());
  EXPECT_EQ(list_as("admin"), grpc::StatusCode::OK);
  EXPECT_EQ(list_as("stranger"), grpc::StatusCode::UNAVAILABLE);
  // The stranger's authority takes the place of ours.
  std::filesystem::copy_file(path("other.pem"), path("new.pem"));
  std::filesystem::copy_file(path("ca.pem"), path("old.pem"));
  std::ofstream(path("new.pem"), std::ios::app) << "";
  std::filesystem::rename(path("new.pem"), path("ca.pem"));
  const auto verify = [&](const std::string& name) {
    grpc::SslCredentialsOptions options{file_text(path("old.pem")), file_text(path(name + ".key")),
                                        file_text(path(name + ".pem"))};
    grpc::ChannelArguments arguments;
    arguments.SetInt("grpc.test.unique", next_++);
    Client client(grpc::CreateCustomChannel(server_->address(), grpc::SslCredentials(options), arguments));
    v1::ListConnectionsResponse page;
    return client.connections.ListConnections(context().get(), {}, &page).error_code();
  };
  grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE;
  for (int i = 0; i < 60 && code != grpc::StatusCode::OK; ++i) {
    std::this_thread::sleep_for(500ms);
    code = verify("stranger");
  }
  EXPECT_EQ(code, grpc::StatusCode::OK);
  EXPECT_EQ(verify("admin"), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, WrongFilesAreNamed) {
  EXPECT_THAT(check_tls_files(path("none.pem"), path("server.key"), path("ca.pem")).error(), HasSubstr("control.certificate: "));
  EXPECT_THAT(check_tls_files(path("server.pem"), path("admin.key"), path("ca.pem")).error(), HasSubstr("is not the key of"));
  EXPECT_THAT(check_tls_files(path("server.pem"), path("server.pem"), path("ca.pem")).error(), HasSubstr("no private key"));
  EXPECT_THAT(check_tls_files(path("server.pem"), path("server.key"), path("server.key")).error(),
              HasSubstr("control.client_ca: "));
  EXPECT_TRUE(check_tls_files(path("server.pem"), path("server.key"), path("ca.pem")));
}

}  // namespace
}  // namespace mptap::control
