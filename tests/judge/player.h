// SPDX-License-Identifier: Apache-2.0
// Plays a scenario: a peer, the kernel, an application behind it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "peer.h"
#include "scenario.h"
#include "world.h"

namespace mptap::judge {

// What happened.
struct Verdict {
  std::vector<test::Sent> wire;
  test::Direction direction = test::kToServer;  // of the bytes that the application reads
  Bytes read;                                   // by the application
  App::End end = App::End::kNone;
  int error = 0;
  bool paths_dead = false;  // every subflow was reset: the kernel waits for a new one
};

Verdict play(World& world, const Scenario& scenario);

// One run of play().
class Player {
 public:
  Player(World& world, const Scenario& scenario);
  Verdict run();

 private:
  // A segment: what it bears, and what it says about it.
  struct Piece {
    int path = 0;
    uint32_t ssn = 0;
    Bytes bytes;
    Bytes options;
  };
  struct Mapped {  // a mapping that was used
    int path = 0;
    uint32_t ssn = 0;
    int64_t offset = 0;
    Bytes bytes;
  };

  void step(const Step& s);
  int path_of(const Step& s) const;
  Path& path(int number) { return peer_.paths[number]; }
  Bytes stream_bytes(int64_t offset, size_t size, bool other) const;
  Bytes mapping(const Step& s, int64_t offset, uint32_t ssn, const Bytes& bytes, size_t length, bool fin);
  std::vector<Piece> cut(const Step& s, int path, uint32_t ssn, int64_t offset, const Bytes& bytes, bool fin = false);
  void send(Piece piece, const Change& change = {});
  void send_all(const Step& s, std::vector<Piece> pieces, const Change& change = {});
  // The bytes of [offset, offset + size) under a mapping of their own, as the path's next ones.
  void send_new(const Step& s, int64_t offset, const Bytes& bytes, const Change& change = {});
  Bytes capable(const Bytes& bytes);
  void pause();  // a kernel worker has work

  // steps, data level (steps_data.cc)
  void data(const Step& s, const Change& change = {});
  void reserve(const Step& s);
  void fill(const Step& s);
  void overlap(const Step& s);
  void go_on(const Step& s);
  void map_late(const Step& s);
  void map_ahead(const Step& s);
  void infinite(const Step& s);
  void two_dss(const Step& s);
  void bad_length(const Step& s);
  void capable_again(const Step& s);
  void dsn_out_of_window(const Step& s);
  void data_fin(const Step& s);
  void bad_checksum(const Step& s);
  // subflow level (steps_tcp.cc)
  void delay(const Step& s);
  void undelay(const Step& s);
  void tcp_overlap(const Step& s);
  void retransmit(const Step& s);
  void dropped(const Step& s, const Change& change);
  void rst(const Step& s, bool miss);
  void fin(const Step& s);
  // signals (steps_signal.cc)
  void join(const Step& s);
  void add_addr(const Step& s);
  void remove_addr(const Step& s);
  void fast_close(const Step& s);
  void signal(const Step& s, const Bytes& option);

  World& world_;
  const Scenario& scenario_;
  App app_;
  Peer peer_;
  int64_t next_ = 0;  // the next offset of the stream
  int number_ = 0;    // of the step
  bool fin_sent_ = false;
  bool first_ = true;  // no data has gone on the first subflow
  std::vector<std::pair<int64_t, int64_t>> holes_;  // of the stream: begin, end
  std::vector<Piece> delayed_;
  std::vector<Mapped> sent_;
  std::vector<int> stripped_;
};

}  // namespace mptap::judge
