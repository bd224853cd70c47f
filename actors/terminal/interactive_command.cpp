#include "actors/terminal/interactive_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include "actors/instance/file_head.hpp"
#include "actors/instance/thread_without_signals.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

constexpr char end_of_transmission = 4; // ctrl-d: what ends the input of a terminal

void set_window(int terminal, window_size window) {
  if (window.rows == 0 || window.columns == 0)
    return;
  winsize size{};
  size.ws_row = window.rows;
  size.ws_col = window.columns;
  ::ioctl(terminal, TIOCSWINSZ, &size);
}

/// What the command has in its container is a terminal of the runtime's. runc hands a new size on to it, crun does not.
void set_window_inside(const command_plan& plan, window_size window) {
  const auto pid = plan.pid_file.empty() || plan.cgroup.empty() ? 0 : pid_in(plan.pid_file);
  if (pid == 0 || !is_in_cgroup(pid, plan.cgroup))
    return;
  const unique_fd inside{::open(("/proc/" + std::to_string(pid) + "/fd/0").c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)};
  if (inside && ::isatty(inside.get()) == 1)
    set_window(inside.get(), window);
}

/// False: the other end is closed.
bool read_some(int fd, std::string& into) {
  into.resize(max_chunk);
  const auto n = ::read(fd, into.data(), into.size());
  const bool is_open = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
  into.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return is_open;
}

} // namespace

interactive_command::interactive_command(command_plan plan, interactive_options options, std::function<void()> on_change)
    : plan_(std::move(plan)),
      options_(options),
      on_change_(std::move(on_change)),
      wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  if (!wake_)
    throw std::system_error{errno, std::generic_category(), "a command cannot be watched (eventfd)"};
  thread_ = thread_without_signals([this] { run(); });
}

interactive_command::~interactive_command() {
  hang_up();
  thread_.join();
}

// -- from other threads --------------------------------------------------------------------------------------------------

std::vector<terminal_chunk> interactive_command::read(std::uint64_t confirmed) {
  const std::lock_guard lock{mutex_};
  wake(); // there may be room again
  return chunks_.read(confirmed);
}

std::optional<session_end> interactive_command::end(std::uint64_t confirmed) {
  const std::lock_guard lock{mutex_};
  return chunks_.is_read(confirmed) ? end_ : std::nullopt;
}

std::uint64_t interactive_command::write(std::uint64_t from, std::string_view bytes) {
  const std::lock_guard lock{mutex_};
  const auto taken = input_.add(from, bytes);
  wake();
  return taken;
}

void interactive_command::end_input() {
  const std::lock_guard lock{mutex_};
  input_.end();
  wake();
}

void interactive_command::resize(window_size window) {
  const std::lock_guard lock{mutex_};
  new_window_ = window;
  wake();
}

void interactive_command::hang_up() {
  hung_up_ = true;
  wake();
}

void interactive_command::wake() {
  ::eventfd_write(wake_.get(), 1);
}

// -- the thread ----------------------------------------------------------------------------------------------------------

std::optional<driver_failure> interactive_command::open_streams(command_streams& streams) {
  if (options_.has_terminal) {
    terminal_ = unique_fd{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)};
    std::array<char, 128> name{};
    if (!terminal_ || ::grantpt(terminal_.get()) != 0 || ::unlockpt(terminal_.get()) != 0
        || ::ptsname_r(terminal_.get(), name.data(), name.size()) != 0)
      return command_cannot_begin(plan_.container, "pseudo terminal");
    set_window(terminal_.get(), options_.window);
    streams.terminal = name.data();
    theirs_.emplace_back(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC)); // so that it is not hung up before it begins
    return std::nullopt;
  }
  const auto make_pipe = [this](bool for_input, unique_fd& ours) {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      return -1;
    ours = unique_fd{ends[for_input ? 1 : 0]};
    theirs_.emplace_back(ends[for_input ? 0 : 1]);
    ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    return theirs_.back().get();
  };
  if (options_.has_input && (streams.input = make_pipe(true, to_command_)) < 0)
    return command_cannot_begin(plan_.container, "pipe");
  streams.output = make_pipe(false, outputs_[0]);
  streams.error = make_pipe(false, outputs_[1]);
  if (streams.output < 0 || streams.error < 0)
    return command_cannot_begin(plan_.container, "pipe");
  return std::nullopt;
}

void interactive_command::run() {
  command_streams streams;
  session_end end;
  end.failure = open_streams(streams);
  if (!end.failure) {
    auto started = start_command(plan_, streams);
    if (auto* failure = std::get_if<driver_failure>(&started))
      end.failure = std::move(*failure);
    else
      process_ = std::get<process_handle>(std::move(started));
  }
  theirs_.clear();
  if (!end.failure) {
    while (is_alive(process_)) {
      look();
      wait();
    }
    while (look() && !hung_up_) // what it printed last
      wait_for_room();
    // What it left, before its number is free again: of one that was hung up everything, jobs that ignore that too.
    if (hung_up_)
      kill_command(plan_, process_, kill_patience);
    else if (plan_.pid_file.empty())
      signal_group(process_, SIGKILL);
    end.exit_code = shell_code(collect_end_now(process_));
    end.failure = refused_inside(plan_, end.exit_code, first_words_);
    remove_files_of(plan_);
  }
  {
    const std::lock_guard lock{mutex_};
    if (end.failure) // what the runtime said is in it
      chunks_.clear();
    end_ = std::move(end);
  }
  on_change_();
}

/// True if there is more output than it may hold.
bool interactive_command::look() {
  {
    const std::lock_guard lock{mutex_};
    if (new_window_ && terminal_) {
      set_window(terminal_.get(), *new_window_);
      set_window_inside(plan_, *new_window_);
    }
    new_window_.reset();
  }
  write_input();
  bool is_full = false;
  for (std::size_t stream = 0; stream < outputs_.size(); ++stream)
    is_full = read_stream(stream) || is_full;
  keep_killing();
  return is_full;
}

bool interactive_command::read_stream(std::size_t stream) {
  const int fd = terminal_ ? (stream == 0 ? terminal_.get() : -1) : outputs_[stream].get();
  bool is_new = false;
  bool is_full = false;
  for (bool is_open = fd >= 0; is_open;) {
    {
      const std::lock_guard lock{mutex_};
      is_full = chunks_.waiting_bytes() >= max_waiting_output;
    }
    if (is_full)
      break;
    std::string bytes;
    is_open = read_some(fd, bytes);
    if (!is_open && !terminal_)
      outputs_[stream].reset();
    if (bytes.empty())
      break;
    is_new = true;
    const std::lock_guard lock{mutex_};
    first_words_.append(bytes, 0, max_command_output - std::min(first_words_.size(), max_command_output));
    chunks_.push(stream == 1, std::move(bytes));
  }
  if (is_new)
    on_change_();
  return is_full;
}

/// It has ended, and its reader is behind.
void interactive_command::wait_for_room() {
  pollfd entry{wake_.get(), POLLIN, 0};
  ::poll(&entry, 1, -1);
  eventfd_t wakes = 0;
  ::eventfd_read(wake_.get(), &wakes);
}

void interactive_command::write_input() {
  const int fd = terminal_ ? terminal_.get() : to_command_.get();
  const std::lock_guard lock{mutex_};
  if (fd < 0) {
    input_.drop();
    return;
  }
  while (!input_.waiting().empty()) {
    const auto n = ::write(fd, input_.waiting().data(), input_.waiting().size());
    if (n <= 0) {
      if (n < 0 && errno != EAGAIN && errno != EINTR)
        input_.drop(); // it reads no more
      break;
    }
    input_.pop(static_cast<std::size_t>(n));
  }
  if (!input_.is_done())
    return;
  to_command_.reset();
  if (terminal_ && !terminal_end_was_sent_)
    terminal_end_was_sent_ = ::write(fd, &end_of_transmission, 1) == 1;
}

void interactive_command::keep_killing() {
  if (!hung_up_)
    return;
  const auto now = clock::now();
  if (!hung_up_at_) {
    hung_up_at_ = now;
    terminal_.reset();
    to_command_.reset();
    for (auto& output : outputs_)
      output.reset();
  }
  const auto since = std::chrono::duration_cast<milliseconds>(now - *hung_up_at_);
  if (since >= hang_up_grace)
    kill_command(plan_, process_, since - hang_up_grace);
}

void interactive_command::wait() {
  bool has_room = false;
  bool has_input = false;
  {
    const std::lock_guard lock{mutex_};
    has_room = chunks_.waiting_bytes() < max_waiting_output;
    has_input = !input_.waiting().empty();
  }
  const auto events = [](bool in, bool out) { return static_cast<short>((in ? POLLIN : 0) | (out ? POLLOUT : 0)); };
  // A terminal whose command has closed it would be reported again and again: its end is that of the process.
  std::array<pollfd, 6> entries{{{wake_.get(), POLLIN, 0},
                                 {process_.pidfd.get(), POLLIN, 0},
                                 {terminal_ && (has_room || has_input) ? terminal_.get() : -1, events(has_room, has_input), 0},
                                 {has_input ? to_command_.get() : -1, POLLOUT, 0},
                                 {has_room ? outputs_[0].get() : -1, POLLIN, 0},
                                 {has_room ? outputs_[1].get() : -1, POLLIN, 0}}};
  ::poll(entries.data(), entries.size(), hung_up_ ? static_cast<int>(kill_again.count()) : -1);
  if ((entries[2].revents & POLLHUP) != 0) { // nobody has it open at this moment; that may change
    std::array<pollfd, 2> others{{{wake_.get(), POLLIN, 0}, {process_.pidfd.get(), POLLIN, 0}}};
    ::poll(others.data(), others.size(), static_cast<int>(kill_again.count()));
  }
  eventfd_t wakes = 0;
  ::eventfd_read(wake_.get(), &wakes);
}

} // namespace prunella::actors
