// SPDX-License-Identifier: Apache-2.0
// Rule text in, values or one exact message out.
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>

#include "harness.h"
#include "rules/classification.h"
#include "rules/header.h"

namespace mptap::rules {
namespace {

LoadedRules load(const std::string& text, const RuleOptions& options = {}) {
  auto loaded = load_rules_text(text, "local.rules", options);
  if (!loaded) {
    ADD_FAILURE() << loaded.error().message;
    return {};
  }
  return std::move(*loaded);
}

Rule one(const std::string& options) {
  LoadedRules loaded = load("alert tcp any any -> any any (" + options + ")");
  if (loaded.rules.size() == 1) return loaded.rules[0];
  ADD_FAILURE() << options << "\n" << loaded.report.to_text();
  return {};
}

// What is said of a rule that has one thing wrong.
std::string complaint(const std::string& text, const RuleOptions& options = {}) {
  const LoadedRules loaded = load(text, options);
  EXPECT_TRUE(loaded.rules.empty()) << text;
  return loaded.report.left_out.size() == 1 ? loaded.report.left_out[0].to_string() : loaded.report.to_text();
}

std::string option_complaint(const std::string& options) {
  return complaint("alert tcp any any -> any any (" + options + " sid:1;)");
}

const Content& content(const Rule& rule, size_t i = 0) {
  return std::get<Content>(rule.elements.at(i));
}

TEST(Parse, EveryKeywordIsUnderstood) {
  const Rule rule =
      one(R"(msg:"a \"b\" \; \\ c: d"; flow:established,to_server; content:"GET "; startswith; content:"|0d 0A|\"x\;\\\:"; )"
          R"(nocase; distance:-4; within:20; content:!"no"; offset:3; depth:7; pcre:"/a;b"c\/d/iR"; content:"end"; endswith; )"
          R"(fast_pattern; rawbytes; reference:cve,2020-1; reference:url,a.example/x\;y; classtype:trojan-activity; )"
          R"(metadata:mptap kill, k v w; metadata:flag; target:dest_ip; priority:5; gid:3; sid:77; rev:9; )"
          R"(threshold:type both, track by_dst, count 3, seconds 7;)");
  EXPECT_EQ(rule.msg, "a \"b\" ; \\ c: d");
  EXPECT_EQ(rule.flow, FlowDirection::kToServer);
  ASSERT_EQ(rule.elements.size(), 5u);
  EXPECT_TRUE(content(rule, 0).startswith);
  EXPECT_EQ(content(rule, 0).depth, 4u);
  EXPECT_EQ(content(rule, 1).bytes, "\r\n\"x;\\:");
  EXPECT_TRUE(content(rule, 1).nocase);
  EXPECT_EQ(content(rule, 1).distance, -4);
  EXPECT_EQ(content(rule, 1).within, 20u);
  EXPECT_TRUE(content(rule, 2).negated);
  EXPECT_EQ(content(rule, 2).offset, 3u);
  EXPECT_EQ(content(rule, 2).depth, 7u);
  const auto& pcre = std::get<Pcre>(rule.elements[3]);
  EXPECT_EQ(pcre.pattern, R"(a;b"c\/d)");
  EXPECT_TRUE(pcre.relative);
  EXPECT_TRUE(content(rule, 4).endswith);
  EXPECT_TRUE(content(rule, 4).fast_pattern);
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(rule.references, (Pairs{{"cve", "2020-1"}, {"url", "a.example/x;y"}}));
  EXPECT_EQ(rule.metadata, (Pairs{{"mptap", "kill"}, {"k", "v w"}, {"flag", ""}}));
  EXPECT_EQ(rule.classtype, "trojan-activity");
  EXPECT_EQ(rule.category, "A Network Trojan was detected");
  EXPECT_EQ(rule.priority, 5u);
  EXPECT_EQ(rule.target, "dest_ip");
  EXPECT_EQ((std::vector{rule.gid, rule.sid, rule.rev}), (std::vector{3u, 77u, 9u}));
  ASSERT_TRUE(rule.threshold);
  EXPECT_EQ(rule.threshold->type, Threshold::Type::kBoth);
  EXPECT_EQ(rule.threshold->track, Threshold::Track::kByDst);
  EXPECT_EQ(rule.threshold->count, 3u);
  EXPECT_EQ(rule.threshold->seconds, 7u);
}

TEST(Parse, DefaultsAreSuricatas) {
  const Rule rule = one("content:\"x\"; sid:1;");
  EXPECT_EQ((std::vector{rule.gid, rule.rev, rule.priority}), (std::vector{1u, 0u, 3u}));
  EXPECT_EQ(one("content:\"x\"; classtype:trojan-activity; sid:1;").priority, 1u);
  EXPECT_EQ(one("content:\"x\"; priority:4; classtype:trojan-activity; sid:1;").priority, 4u);
}

TEST(Parse, FlowOptionsThatHoldForEveryStreamAreTaken) {
  for (const char* flow : {"established", "stateless", "only_stream", "no_stream", "no_frag"}) {
    EXPECT_EQ(one(fmt::format("flow:{}; content:\"x\"; sid:1;", flow)).flow, FlowDirection::kBoth);
  }
  EXPECT_EQ(one("flow:from_client, established; content:\"x\"; sid:1;").flow, FlowDirection::kToServer);
  EXPECT_EQ(one("flow:to_client; content:\"x\"; sid:1;").flow, FlowDirection::kToClient);
  EXPECT_EQ(one("flow:from_server; content:\"x\"; sid:1;").flow, FlowDirection::kToClient);
}

TEST(Parse, FastPatternHintsAreTaken) {
  for (const char* hint : {"fast_pattern", "fast_pattern:only", "fast_pattern:1,2"}) {
    EXPECT_TRUE(content(one(fmt::format("content:\"abc\"; {}; sid:1;", hint))).fast_pattern) << hint;
  }
}

TEST(Parse, Actions) {
  const LoadedRules loaded = load(
      "alert tcp any any -> any any (sid:1;)\ndrop ip any any -> any any (sid:2;)\nreject tcp any any <> any any (sid:3;)\n"
      "pass tcp-stream any any -> any any (sid:4;)");
  ASSERT_EQ(loaded.rules.size(), 4u);
  EXPECT_EQ(loaded.rules[0].action, Action::kAlert);
  EXPECT_EQ(loaded.rules[1].action, Action::kDrop);
  EXPECT_EQ(loaded.rules[2].action, Action::kReject);
  EXPECT_TRUE(loaded.rules[2].header.bidirectional);
  EXPECT_EQ(loaded.rules[3].action, Action::kPass);
}

TEST(Parse, FilesHaveCommentsContinuationsCrlfAndABom) {
  const LoadedRules loaded = load(
      "\xef\xbb\xbf# a comment\r\n"
      "alert tcp any any -> any any ( \\\r\n"
      "  content:\"a\"; \\\r\n"
      "  sid:1;)\r\n"
      "\r\n"
      "   # another \\\n"
      "alert tcp any any -> any any (content:\"b\"; sid:2;)");
  ASSERT_EQ(loaded.rules.size(), 2u) << loaded.report.to_text();
  EXPECT_EQ(loaded.rules[0].line, 2u);
  EXPECT_EQ(loaded.rules[1].line, 7u);
  EXPECT_EQ(loaded.rules[1].file, "local.rules");
}

TEST(Parse, ALineThatEndsTheFileInABackslashIsRead) {
  EXPECT_EQ(load("alert tcp any any -> any any (content:\"a\"; sid:1;)\\").rules.size(), 1u);
}

struct Complaint {
  std::string options, message;
};

class Complaints : public testing::TestWithParam<Complaint> {};

TEST_P(Complaints, NameFileLineAndWhatWouldBeRight) {
  EXPECT_EQ(option_complaint(GetParam().options), "local.rules:1: " + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Options, Complaints,
    testing::ValuesIn(std::vector<Complaint>{
        {R"(content:"x"; fastpattern;)", R"(unknown keyword "fastpattern", did you mean "fast_pattern"?)"},
        {R"(conten:"x";)", R"(unknown keyword "conten", did you mean "content"?)"},
        {R"(content:"x"; http.ur;)", R"(unknown keyword "http.ur", did you mean "http.uri"?)"},
        {R"(content:"x"; quantumleap:1;)", R"(unknown keyword "quantumleap")"},
        {R"(http.uri; content:"x";)", R"(unsupported keyword "http.uri")"},
        {R"(content:"x"; byte_test:1,>,2,0;)", R"(unsupported keyword "byte_test")"},
        {R"(flowbits:set,a;)", R"(unsupported keyword "flowbits")"},
        {R"(content:"x"; nocase)", R"("nocase sid" is not a keyword: a `;` is missing after "nocase")"},
        {R"(nocase;)", R"("nocase" needs a content before it)"},
        {R"(depth:3;)", R"("depth" needs a content before it)"},
        {R"(content:"x"; nocase:1;)", R"("nocase" takes no value)"},
        {R"(content;)", R"("content" needs a value)"},
        {R"(content:x;)", R"("content" needs a value in double quotes)"},
        {R"(content:"x;)", R"(the value of "content" has no closing quote)"},
        {R"(content:"";)", "empty content"},
        {R"(content:"|0|";)", R"(odd number of hex digits in content "|0|")"},
        {R"(content:"|0 d|";)", R"(odd number of hex digits in content "|0 d|")"},
        {R"(content:"|0g|";)", R"("g" is not a hex digit in content "|0g|")"},
        {R"(content:"a|0d";)", R"(`|` without its partner in content "a|0d")"},
        {R"(content:"a\n";)", R"(unknown escape in content "a\n": only \" \; \\ \: are escapes, write other bytes as |5c|)"},
        {R"(content:"a"b";)", R"(a quote in content "a"b" must be written \")"},
        {R"(content:!"x";)", "unsupported: every content and pcre of the rule is negated"},
        {R"(content:"abc"; depth:2;)", R"(depth 2 is less than the 3 bytes of "abc")"},
        {R"(content:"abc"; within:2;)", R"(within 2 is less than the 3 bytes of "abc")"},
        {R"(content:"abc"; offset:x;)", R"("offset" needs a number, not "x": variables of byte_extract are not supported)"},
        {R"(content:"abc"; offset:-1;)", R"("offset" needs a number from 0 to 2147483647, not "-1")"},
        {R"(content:"abc"; distance:1; depth:9;)",
         R"("abc" has places in the stream (offset, depth) and relative ones (distance, within): use one kind)"},
        {R"(content:"abc"; startswith; offset:1;)",
         R"(startswith of "abc" goes with none of offset, depth, distance and within)"},
        {R"(content:"abc"; distance:70000;)",
         R"(distance or within of "abc" reaches over more than the 65536 bytes that are kept)"},
        {R"(content:"a"; content:!"b"; endswith;)", "unsupported: endswith on a negated content"},
        {R"(content:"a"; fast_pattern; content:"b"; fast_pattern;)", R"("fast_pattern" is given for two contents)"},
        {R"(content:"a"; fast_pattern:x;)", R"("fast_pattern" takes nothing, only or OFFSET,LENGTH, not "x")"},
        {R"(pcre:"abc";)", R"("pcre" needs a value of the form "/pattern/flags")"},
        {R"(pcre:"//";)", "empty pcre"},
        {R"(pcre:"/a(/";)", R"(pcre "/a(/": missing closing parenthesis at offset 2)"},
        {R"(pcre:"/a/U";)", R"(unsupported pcre flag "U": it looks into HTTP, rules here see the stream)"},
        {R"(pcre:"/a/k";)", R"(unknown pcre flag "k")"},
        {R"(pcre:"/a\Kb/";)", R"(pcre "/a\Kb/": \K is not supported)"},
        {R"(pcre:"/(*ACCEPT)b/";)", R"(pcre "/(*ACCEPT)b/": verbs such as (*ACCEPT) are not supported)"},
        {R"(content:"a"; pcre:"/b/"; content:"c"; distance:0;)",
         "unsupported: a content or pcre relative to the match of a pcre"},
        {R"(content:"a"; flow:not_established;)", R"(unsupported flow option "not_established": it can never hold for a stream)"},
        {R"(content:"a"; flow:to_servr;)", R"(unknown flow option "to_servr", did you mean "to_server"?)"},
        {R"(content:"a"; flow:to_server,to_client;)", R"("flow" names both directions)"},
        {R"(content:"a"; priority:0;)", R"("priority" needs a number from 1 to 255, not "0")"},
        {R"(content:"a"; rev:x;)", R"("rev" needs a number from 0 to 4294967295, not "x")"},
        {R"(content:"a"; msg:hello;)", R"("msg" needs a value in double quotes)"},
        {R"(content:"a"; msg:"x"; msg:"y";)", R"("msg" is given twice)"},
        {R"(content:"a"; reference:cve;)", R"("reference" needs SYSTEM,ID, not "cve")"},
        {R"(content:"a"; target:me;)", R"("target" is src_ip or dest_ip, not "me")"},
        {R"(content:"a"; threshold:type limit, track by_src, count 1;)", R"("threshold" needs type, track, count and seconds)"},
        {R"(content:"a"; threshold:type x, track by_src, count 1, seconds 1;)",
         R"(threshold type is limit, threshold or both, not "x")"},
        {R"(content:"a"; threshold:type limit, track by_me, count 1, seconds 1;)",
         R"(threshold track is by_src, by_dst, by_rule or by_flow, not "by_me")"},
        {R"(content:"a"; threshold:type limit, track by_src, count 0, seconds 1;)",
         R"("threshold count" needs a number from 1 to 4294967295, not "0")"},
        {R"(;)", "an option has no name"},
    }));

INSTANTIATE_TEST_SUITE_P(Lookups, Complaints,
                         testing::ValuesIn(std::vector<Complaint>{
                             {R"(content:"a"; pcre:"/b/"; pcre:"/c/R";)",
                              "unsupported: a content or pcre relative to the match of a pcre"},
                             {R"(content:"x"; http_method;)", R"(unsupported keyword "http_method")"},
                         }));

TEST(Parse, HeaderComplaints) {
  const auto header = [](const std::string& text) { return complaint(text + " (content:\"x\"; sid:1;)"); };
  EXPECT_EQ(header("alert http any any -> any any"),
            "local.rules:1: unsupported protocol \"http\": rules are matched against TCP streams, write tcp or ip");
  EXPECT_EQ(header("alert udp any any -> any any"),
            "local.rules:1: unsupported protocol \"udp\": rules are matched against TCP streams, write tcp or ip");
  EXPECT_EQ(header("alrt tcp any any -> any any"), "local.rules:1: unknown action \"alrt\", did you mean \"alert\"?");
  EXPECT_EQ(header("alert tcp any any any any"),
            "local.rules:1: the header has 6 words, expected 7: ACTION PROTOCOL ADDRESS PORT -> ADDRESS PORT");
  EXPECT_EQ(header("alert tcp any any <- any any"), "local.rules:1: \"<-\" is not a direction: write -> or <>");
  EXPECT_EQ(header("alert tcp any 80000 -> any any"),
            "local.rules:1: \"80000\" is not a port: write 80, 1024:2048, 1024:, :1023, a list in [], a $VARIABLE or any");
  EXPECT_EQ(
      header("alert tcp 10.0.0.0/33 any -> any any"),
      "local.rules:1: \"10.0.0.0/33\" is not an address: write 192.0.2.1, 192.0.2.0/24, 192.0.2.1-192.0.2.9, 2001:db8::/32, "
      "a list in [], a $VARIABLE or any");
  EXPECT_EQ(header("alert tcp $HOMENET any -> any any"),
            "local.rules:1: variable \"$HOMENET\" is not set, did you mean \"$HOME_NET\"?");
  EXPECT_EQ(header("alert tcp !any any -> any any"), "local.rules:1: \"!any\" matches no address");
  EXPECT_EQ(header("alert tcp any any -> any [80,!80]"), "local.rules:1: \"[80,!80]\" matches no port");
  EXPECT_EQ(header("alert tcp any any -> any [80"), "local.rules:1: `[` without `]` in \"[80\"");
}

TEST(Parse, WholeRuleComplaints) {
  EXPECT_EQ(complaint("alert tcp any any -> any any"), "local.rules:1: the rule has no options: expected ( after the header");
  EXPECT_EQ(complaint("alert tcp any any -> any any (sid:1;"), "local.rules:1: the rule does not end in `)`");
  EXPECT_EQ(complaint("alert tcp any any -> any any (content:\"a\"; sid:1)"), "local.rules:1: \"sid\" does not end in `;`");
  EXPECT_EQ(complaint("\n\nalert tcp any any -> any any (content:\"a\";)"),
            "local.rules:3: the rule has no sid: every rule needs sid:NUMBER;");
  EXPECT_EQ(complaint("(sid:1;)"), "local.rules:1: the rule has no header");
}

TEST(Parse, LimitsAreToldBeforeMemoryIsGone) {
  RuleOptions options;
  options.max_rule_bytes = 100;
  EXPECT_EQ(complaint("alert tcp any any -> any any (content:\"" + std::string(200, 'a') + "\"; sid:1;)", options),
            "local.rules:1: a rule of more than 100 bytes");
  options = {};
  options.max_content_bytes = 4;
  EXPECT_EQ(complaint("alert tcp any any -> any any (content:\"abcde\"; sid:1;)", options),
            "local.rules:1: content of 5 bytes, at most 4 are supported");
  options = {};
  options.max_elements = 1;
  EXPECT_EQ(complaint("alert tcp any any -> any any (content:\"a\"; pcre:\"/b/\"; sid:1;)", options),
            "local.rules:1: more than 1 contents and pcres in one rule at \"pcre\"");
  options = {};
  options.max_rules = 1;
  const LoadedRules loaded = load("alert tcp any any -> any any (sid:1;)\nalert tcp any any -> any any (sid:2;)", options);
  EXPECT_EQ(loaded.rules.size(), 1u);
  ASSERT_EQ(loaded.report.left_out.size(), 1u);
  EXPECT_EQ(loaded.report.left_out[0].to_string(), "local.rules:2: more than 1 rules");
}

TEST(Load, DuplicateSidsTheHigherRevWins) {
  const LoadedRules loaded = load(
      "alert tcp any any -> any any (msg:\"new\"; rev:3; sid:1;)\nalert tcp any any -> any any (msg:\"old\"; rev:2; sid:1;)\n"
      "alert tcp any any -> any any (msg:\"other gid\"; gid:2; sid:1;)");
  ASSERT_EQ(loaded.rules.size(), 2u);
  EXPECT_EQ(loaded.rules[0].msg, "new");
  EXPECT_EQ(loaded.report.loaded, 2u);
  ASSERT_EQ(loaded.report.warnings.size(), 1u);
  EXPECT_EQ(loaded.report.warnings[0].to_string(),
            "local.rules:2: sid 1 is also at local.rules:1: rev 3 there, rev 2 here, the rule at local.rules:1 is kept");
}

TEST(Load, UnknownClasstypeIsAWarning) {
  const LoadedRules loaded = load("alert tcp any any -> any any (classtype:trojan-activty; sid:1;)");
  ASSERT_EQ(loaded.report.warnings.size(), 1u);
  EXPECT_EQ(loaded.report.warnings[0].to_string(),
            "local.rules:1: unknown classtype \"trojan-activty\", did you mean \"trojan-activity\"?; the rule has priority 3");
}

TEST(Load, StrictMakesTheFirstOneLeftOutAnError) {
  RuleOptions options;
  options.strict = true;
  const auto loaded =
      load_rules_text("alert tcp any any -> any any (sid:1;)\nalert udp any any -> any any (sid:2;)", "a.rules", options);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind, LoadError::Kind::kStrict);
  EXPECT_EQ(loaded.error().message,
            "a.rules:2: unsupported protocol \"udp\": rules are matched against TCP streams, write tcp or ip");
}

TEST(Load, SeveralFilesAndOnesThatCannotBeRead) {
  const std::string dir = testing::TempDir();
  std::ofstream(dir + "/one.rules") << "alert tcp any any -> any any (sid:1;)\n";
  std::ofstream(dir + "/two.rules") << "alert tcp any any -> any any (sid:2;)\n";
  const std::vector<std::string> both{dir + "/one.rules", dir + "/two.rules"};
  ASSERT_EQ(load_rules(both, {})->rules.size(), 2u);
  const std::vector<std::string> missing{dir + "/one.rules", dir + "/none.rules"};
  const auto loaded = load_rules(missing, {});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind, LoadError::Kind::kUnreadable);
  EXPECT_EQ(loaded.error().message, dir + "/none.rules: No such file or directory");
  const std::vector<std::string> directory{dir};
  EXPECT_EQ(load_rules(directory, {}).error().message, dir + ": Is a directory");
  RuleOptions small;
  small.max_file_bytes = 10;
  EXPECT_EQ(load_rules(both, small).error().message, dir + "/one.rules: larger than 10 bytes");
}

TEST(Load, VariablesGoOverTheDefaults) {
  RuleOptions options;
  options.variables = {{"HOME_NET", "192.0.2.0/24"}, {"MY_PORTS", "[8000:8010,!8005]"}};
  const LoadedRules loaded = load("alert tcp $HTTP_SERVERS any -> $EXTERNAL_NET $MY_PORTS (sid:1;)", options);
  ASSERT_EQ(loaded.rules.size(), 1u);
  const Header& header = loaded.rules[0].header;
  EXPECT_TRUE(header.src.contains(address_value(*packet::IpAddress::parse("192.0.2.7"))));
  EXPECT_FALSE(header.src.contains(address_value(*packet::IpAddress::parse("10.0.0.1"))));
  EXPECT_TRUE(header.dst.is_all());
  EXPECT_TRUE(header.dst_port.contains(8004));
  EXPECT_FALSE(header.dst_port.contains(8005));
  options.variables = {{"HOME_NET", "10.0.0.0/40"}};
  const auto wrong = load_rules_text("", "a", options);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, LoadError::Kind::kOptions);
  EXPECT_TRUE(wrong.error().message.starts_with("variable HOME_NET: \"10.0.0.0/40\" is not an address")) << wrong.error().message;
  options.variables = {{"A", "$B"}, {"B", "$A"}};
  EXPECT_EQ(load_rules_text("", "a", options).error().message,
            "variable A: address list is nested too deeply or refers to itself");
}

TEST(Load, AClassificationFileGoesOverTheBuiltInTable) {
  const std::string file = testing::TempDir() + "/classification.config";
  std::ofstream(file) << "# mine\nconfig classification: my-type,Mine alone,2\nconfig classification: trojan-activity,Worse,9\n";
  RuleOptions options;
  options.classification_file = file;
  const LoadedRules loaded = load(
      "alert tcp any any -> any any (classtype:my-type; sid:1;)\nalert tcp any any -> any any (classtype:trojan-activity; "
      "sid:2;)",
      options);
  EXPECT_EQ(loaded.rules[0].category, "Mine alone");
  EXPECT_EQ(loaded.rules[0].priority, 2u);
  EXPECT_EQ(loaded.rules[1].priority, 9u);
  std::ofstream(file) << "\nconfig classification: my-type,Mine alone\n";
  EXPECT_EQ(load_rules_text("", "a", options).error().message,
            file + ":2: expected \"config classification: name,description,priority\"");
}

TEST(Report, CountsByReasonAndTellsTheShare) {
  const LoadedRules loaded = load(
      "alert tcp any any -> any any (sid:1;)\nalert tcp any any -> any any (http.uri; sid:2;)\n"
      "alert tcp any any -> any any (http.uri; sid:3;)\nalert udp any any -> any any (sid:4;)");
  EXPECT_DOUBLE_EQ(loaded.report.loadable_percent(), 25.0);
  EXPECT_EQ(loaded.report.to_text(),
            "local.rules:2: unsupported keyword \"http.uri\" (left out)\n"
            "local.rules:3: unsupported keyword \"http.uri\" (left out)\n"
            "local.rules:4: unsupported protocol \"udp\": rules are matched against TCP streams, write tcp or ip (left out)\n"
            "4 rules: 1 loaded, 3 left out, 25.0 % loadable\n"
            "        2  keyword http.uri\n"
            "        1  protocol udp\n");
  const auto json = nlohmann::json::parse(loaded.report.to_json());
  EXPECT_EQ(json["loaded"], 1);
  EXPECT_EQ(json["left_out"], 3);
  EXPECT_EQ(json["loadable_percent"], 25.0);
  EXPECT_EQ(json["by_reason"]["keyword http.uri"], 2);
  EXPECT_EQ(json["problems"][2]["sid"], 4);
  EXPECT_EQ(json["problems"][2]["line"], 4);
}

struct SetCase {
  std::string text;
  std::vector<std::string> in, out;
};

TEST(Addresses, AreSetAlgebra) {
  const std::vector<SetCase> cases{
      {"any", {"1.2.3.4", "::1", "2001:db8::1"}, {}},
      {"10.0.0.0/8", {"10.0.0.0", "10.255.255.255"}, {"9.255.255.255", "11.0.0.0", "::a00:1"}},
      {"10.0.0.0/255.0.0.0", {"10.1.1.1"}, {"11.0.0.0"}},
      {"0.0.0.0/0", {"255.255.255.255"}, {"2001:db8::1"}},
      {"10.0.0.7", {"10.0.0.7"}, {"10.0.0.6", "10.0.0.8"}},
      {"10.0.0.3-10.0.0.5", {"10.0.0.3", "10.0.0.5"}, {"10.0.0.2", "10.0.0.6"}},
      {"2001:db8::/32", {"2001:db8:ffff::"}, {"2001:db9::", "10.0.0.1"}},
      {"!10.0.0.0/8", {"11.0.0.0", "2001:db8::1"}, {"10.0.0.1"}},
      {"[10.0.0.0/8,!10.1.0.0/16]", {"10.0.0.1", "10.2.0.0"}, {"10.1.0.1", "11.0.0.0"}},
      {"[!10.1.0.0/16]", {"10.0.0.1", "::1"}, {"10.1.0.1"}},
      {"[10.0.0.0/8, ![10.1.0.0/16, 10.2.0.0/16]]", {"10.3.0.0"}, {"10.1.0.1", "10.2.0.1"}},
      {"!$HOME_NET", {"8.8.8.8"}, {"10.1.0.1", "192.168.1.1", "fd00::1"}},
  };
  for (const SetCase& c : cases) {
    const auto set = parse_addresses(c.text, default_variables());
    ASSERT_TRUE(set) << c.text << ": " << set.error().message;
    for (const auto& a : c.in) EXPECT_TRUE(set->contains(address_value(*packet::IpAddress::parse(a)))) << c.text << " " << a;
    for (const auto& a : c.out) EXPECT_FALSE(set->contains(address_value(*packet::IpAddress::parse(a)))) << c.text << " " << a;
  }
}

TEST(Ports, AreSetAlgebra) {
  const std::vector<std::pair<std::string, std::pair<std::vector<int>, std::vector<int>>>> cases{
      {"any", {{0, 65535}, {}}},          {"80", {{80}, {79, 81}}},
      {"1024:", {{1024, 65535}, {1023}}}, {":1023", {{0, 1023}, {1024}}},
      {"10:20", {{10, 20}, {9, 21}}},     {"!80", {{79, 81}, {80}}},
      {"[80,443]", {{80, 443}, {81}}},    {"[1:100,!80]", {{79}, {80, 101}}},
      {"[!80,!443]", {{1}, {80, 443}}},   {"$FILE_DATA_PORTS", {{80, 110, 143}, {25}}},
      {"!$HTTP_PORTS", {{81}, {80}}},
  };
  for (const auto& [text, members] : cases) {
    const auto set = parse_ports(text, default_variables());
    ASSERT_TRUE(set) << text << ": " << set.error().message;
    for (const int p : members.first) EXPECT_TRUE(set->contains(static_cast<uint16_t>(p))) << text << " " << p;
    for (const int p : members.second) EXPECT_FALSE(set->contains(static_cast<uint16_t>(p))) << text << " " << p;
  }
}

}  // namespace
}  // namespace mptap::rules
