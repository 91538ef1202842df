// SPDX-License-Identifier: Apache-2.0
// Timers on packet time: arm, move, disarm in O(1), and to pass time costs only what expires. Nothing is ever scanned.
//
// Time is cut into ticks. A tick's number is read as digits of 6 bits; a timer waits in the level of the highest digit in which
// its tick differs from the present one, in that digit's slot. So all timers of a level lie before all timers of the next one,
// slots never wrap, and one bit per slot is enough to jump over any length of empty time: a capture with a pause of a day costs
// no more than one of a millisecond. When time reaches a slot of a higher level, its timers move down, at most once per level.
//
// A timer never fires before its deadline, and at most one tick after the first advance() that is past it. Timers of
// different ticks fire in the order of their ticks; the order within a tick depends on nothing but the calls made.
//
// A flow that is touched by every packet should not re-arm by every packet: keep "last seen" in the flow, let the timer
// fire, and arm it again for what is left.
//
// One wheel belongs to one thread. A Timer is intrusive (it is part of what it times), must not move while armed, and
// disarms itself when it dies.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace mptap::worker {

class TimerWheel;

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { unlink(); }

  bool armed() const { return next_ != nullptr; }

  // Free for the owner: which of its timers this is, and whose.
  uint32_t kind = 0;
  uint32_t slot = 0;

 private:
  friend class TimerWheel;

  void unlink() {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
  }

  Timer* next_ = nullptr;  // circular through the slot's head; null: not armed
  Timer* prev_ = nullptr;
  uint64_t tick_ = 0;
};

class TimerWheel {
 public:
  explicit TimerWheel(uint64_t now_ns = 0, uint64_t tick_ns = 1'000'000) : tick_ns_(tick_ns), now_(now_ns / tick_ns) {
    for (auto& level : heads_)
      for (Timer& head : level) head.next_ = head.prev_ = &head;
    due_.next_ = due_.prev_ = &due_;
  }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  // Timers that are still armed are disarmed.
  ~TimerWheel() {
    for (auto& level : heads_)
      for (Timer& head : level) clear(head);
    clear(due_);
  }

  // Arms the timer, or moves it. A deadline that has passed already fires with the next tick.
  void arm(Timer& timer, uint64_t deadline_ns) {
    timer.unlink();
    const uint64_t tick = deadline_ns / tick_ns_ + (deadline_ns % tick_ns_ != 0);
    timer.tick_ = tick > now_ ? tick : now_ + 1;
    place(timer);
  }

  void disarm(Timer& timer) { timer.unlink(); }

  // Time is now_ns: calls fire(Timer&) for every timer that is due, disarmed before the call. fire may arm, disarm and destroy
  // any timer, also the one given. What it arms for a moment up to now_ns fires in this same call. Time that runs backwards
  // (packets of two ports, captures put together) stands still.
  template <typename Fire>
  size_t advance(uint64_t now_ns, Fire&& fire) {
    const uint64_t target = now_ns / tick_ns_;
    size_t fired = 0;
    while (levels_ != 0) {
      const unsigned level = static_cast<unsigned>(std::countr_zero(levels_));
      const unsigned digit = static_cast<unsigned>(std::countr_zero(slots_[level]));
      const uint64_t tick = start_of(level, digit);
      if (tick > target) break;
      now_ = tick;
      forget(level, digit);
      Timer& head = heads_[level][digit];
      if (level == 0) {
        fired += expire(head, fire);
      } else {
        fired += move_down(head, fire);
      }
    }
    if (target > now_) now_ = target;
    return fired;
  }

  uint64_t now_ns() const { return now_ * tick_ns_; }

  // No timer is due before this. Timers disarmed since may make it early, never late. UINT64_MAX: none is armed.
  uint64_t next_ns() const {
    if (levels_ == 0) return UINT64_MAX;
    const unsigned level = static_cast<unsigned>(std::countr_zero(levels_));
    return start_of(level, static_cast<unsigned>(std::countr_zero(slots_[level]))) * tick_ns_;
  }

 private:
  static constexpr unsigned kBits = 6, kSlots = 1u << kBits, kLevels = 11;  // 11 digits hold any 64-bit tick

  static void clear(Timer& head) {
    while (head.next_ != &head) head.next_->unlink();
    head.next_ = head.prev_ = nullptr;
  }

  static void append(Timer& head, Timer& timer) {
    timer.prev_ = head.prev_;
    timer.next_ = &head;
    head.prev_->next_ = &timer;
    head.prev_ = &timer;
  }

  // The present tick with this digit at this level, and zeros below.
  uint64_t start_of(unsigned level, unsigned digit) const {
    const unsigned shift = level * kBits;
    const uint64_t above = shift + kBits < 64 ? now_ >> (shift + kBits) << (shift + kBits) : 0;
    return above | static_cast<uint64_t>(digit) << shift;
  }

  // timer.tick_ > now_.
  void place(Timer& timer) {
    const unsigned level = (63u - static_cast<unsigned>(std::countl_zero(timer.tick_ ^ now_))) / kBits;
    const unsigned digit = static_cast<unsigned>(timer.tick_ >> (level * kBits)) & (kSlots - 1);
    append(heads_[level][digit], timer);
    slots_[level] |= uint64_t{1} << digit;
    levels_ |= 1u << level;
  }

  void forget(unsigned level, unsigned digit) {
    slots_[level] &= ~(uint64_t{1} << digit);
    if (slots_[level] == 0) levels_ &= ~(1u << level);
  }

  // The list goes to due_ first, so that fire may disarm what is in it and arm into the slot it came from.
  void take(Timer& head) {
    if (head.next_ == &head) return;
    due_.prev_->next_ = head.next_;
    head.next_->prev_ = due_.prev_;
    due_.prev_ = head.prev_;
    head.prev_->next_ = &due_;
    head.next_ = head.prev_ = &head;
  }

  template <typename Fire>
  size_t expire(Timer& head, Fire& fire) {
    take(head);
    size_t fired = 0;
    while (due_.next_ != &due_) {
      Timer& timer = *due_.next_;
      timer.unlink();
      ++fired;
      fire(timer);
    }
    return fired;
  }

  // Those whose tick is the slot's very start are due now; the others go to lower levels, before any of those fires.
  template <typename Fire>
  size_t move_down(Timer& head, Fire& fire) {
    for (Timer* timer = head.next_; timer != &head;) {
      Timer* next = timer->next_;
      if (timer->tick_ > now_) {
        timer->unlink();
        place(*timer);
      }
      timer = next;
    }
    return expire(head, fire);
  }

  uint64_t tick_ns_;
  uint64_t now_;                           // tick
  uint32_t levels_ = 0;                    // bit per level that may hold timers
  std::array<uint64_t, kLevels> slots_{};  // bit per slot that may hold timers; a disarmed timer leaves its bit set
  std::array<std::array<Timer, kSlots>, kLevels> heads_;
  Timer due_;
};

}  // namespace mptap::worker
