// SPDX-License-Identifier: Apache-2.0
// RapidCheck's generators for random connections.
#pragma once

#include <rapidcheck.h>

#include "traffic/program.h"

namespace rc {

template <>
struct Arbitrary<mptap::test::Plan> {
  static Gen<mptap::test::Plan> arbitrary() {
    using mptap::test::Plan;
    return gen::build<Plan>(gen::set(&Plan::version, gen::element<uint8_t>(1, 0)),
                            gen::set(&Plan::subflows, gen::inRange<uint8_t>(1, 9)), gen::set(&Plan::by_server),
                            gen::set(&Plan::v6), gen::set(&Plan::checksum), gen::set(&Plan::timestamps),
                            gen::set(&Plan::capable_data), gen::set(&Plan::wrap, gen::inRange<uint8_t>(0, 4)));
  }
};

template <>
struct Arbitrary<mptap::test::Step> {
  static Gen<mptap::test::Step> arbitrary() {
    using mptap::test::Step;
    using mptap::test::StepKind;
    return gen::build<Step>(
        gen::set(&Step::kind,
                 gen::map(gen::inRange(0, static_cast<int>(StepKind::kCount)), [](int k) { return static_cast<StepKind>(k); })),
        gen::set(&Step::subflow, gen::inRange<uint8_t>(0, 8)), gen::set(&Step::direction, gen::inRange<uint8_t>(0, 2)),
        gen::set(&Step::size, gen::inRange<uint16_t>(0, 3000)), gen::set(&Step::place, gen::inRange<uint16_t>(0, 4096)),
        gen::set(&Step::piece, gen::inRange<uint16_t>(0, 1500)), gen::set(&Step::flags));
  }
};

}  // namespace rc
