#pragma once
// Ends the loop's wait when a signal arrives, however close to its beginning.
//
// A signal that interrupts the wait ends it (where the poller is epoll). One that arrives in the microseconds
// between Python's last look at signals and the system call interrupts nothing: its Python handler would run
// whenever something else ends the wait. So a loop in the main thread lends the write end of a pipe to
// Python's signal.set_wakeup_fd() for the length of each wait, and the poller watches the read end. Between
// waits, when Python code may look, the descriptor is not set. Before Python 3.13 only Python's slow function
// can set it: there it is lent from a run's first wait to its end.
//
// Somebody else's wake-up descriptor is left alone: asyncio's add_signal_handler() sets one that the loop
// reads; whoever sets his own has to see to the rest, as on asyncio.
#include <Python.h>

#include "base/owned_fd.hpp"
#include "core/poller.hpp"
#include "py/state.hpp"

namespace veloop::core {

class SignalWakeup final : public Watcher {
 public:
  explicit SignalWakeup(const py::State& state) noexcept : state_(state) {}

  // Which thread is the main one is asked once per run, at the first wait: it may be another in a later run.
  [[nodiscard]] bool is_prepared() const noexcept { return prepared_; }
  // False if asking raised: signal handlers run there, too.
  [[nodiscard]] bool prepare(Poller& poller) noexcept;
  // The poller that watches us is gone, or belongs to another process.
  void close() noexcept;

  void on_events(unsigned events) noexcept override;

  // For the length of a run, and of a wait. Made and destroyed with the GIL held.
  class Run {
   public:
    explicit Run(SignalWakeup& wakeup) noexcept;
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run();

   private:
    SignalWakeup& wakeup_;
  };
  class Wait {
   public:
    explicit Wait(SignalWakeup& wakeup) noexcept;
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait();

   private:
    SignalWakeup& wakeup_;
  };

 private:
  void on_interest_lost(unsigned) noexcept override {}
  [[nodiscard]] bool open(Poller& poller) noexcept;
  // signal.set_wakeup_fd(): answers what was set before, -1 for nothing.
  [[nodiscard]] int exchange(int fd) const noexcept;
  void lend() noexcept;
  void take_back() noexcept;
  // Empties the pipe, into somebody else's wake-up descriptor unless it is -1.
  void pass_on(int other_fd) noexcept;

  const py::State& state_;
  base::OwnedFd read_end_;
  base::OwnedFd write_end_;
  bool prepared_ = false;
  bool usable_ = false;  // we are in the main thread, and have the pipe
  bool running_ = false;
  bool lent_ = false;
};

}  // namespace veloop::core
