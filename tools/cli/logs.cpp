#include "tools/cli/logs.hpp"

#include <algorithm>
#include <chrono>
#include <ostream>
#include <set>

#include "net/http_router.hpp"
#include "tools/cli/terminal.hpp"
#include "tools/cli/verbs.hpp"

namespace prunella::tools {

namespace {

constexpr int most_failures = 30; // of a follower in a row, a second apart: longer than the start of an agent
constexpr const char* colours_of_names[] = {"\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m", "\033[31m"};

/// A log's name, as `logs_view::containers` has it, in its parts.
struct log_parts {
  std::string instance;
  std::string container; ///< the last part of its name
  std::string host;      ///< with the `@` in front; empty: it is clear
};

log_parts parts_of(const std::string& log) {
  const auto end = std::min(log.find('@'), log.size());
  const auto dot = log.rfind('.', end);
  if (dot == std::string::npos)
    return {log.substr(0, end), {}, log.substr(end)};
  return {log.substr(0, dot), log.substr(dot + 1, end - dot - 1), log.substr(end)};
}

std::string shown(std::string name) {
  constexpr std::string_view tenant = "default.";
  return name.compare(0, tenant.size(), tenant) == 0 ? name.substr(tenant.size()) : name;
}

std::string target_of(const logs_options& options, const std::string& after) {
  std::string target = "/v1/logs?of=" + net::percent_encode(options.name);
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty())
      target += '&' + std::string(key) + '=' + net::percent_encode(value);
  };
  add("all-replicas", options.all_replicas ? "true" : "");
  add("all-hosts", options.all_hosts ? "true" : "");
  add("since", options.since);
  add("tail", options.tail);
  add("after", after);
  add("wait", options.follow && !after.empty() ? "4s" : "");
  return target;
}

/// `line` for a terminal: with its colours, if wanted, and without anything else that could move the cursor.
std::string tame(std::string_view line, bool with_colours) {
  std::string text;
  while (!line.empty()) {
    const auto end = line.find_first_not_of("0123456789;", 2);
    if (line.substr(0, 2) == "\033[" && end != std::string_view::npos && line[end] == 'm') {
      text.append(with_colours ? line.substr(0, end + 1) : std::string_view());
      line.remove_prefix(end + 1);
      continue;
    }
    const auto byte = static_cast<unsigned char>(line.front());
    // C1 controls, as UTF-8: U+009B begins a sequence as ESC [ does.
    if (byte == 0xC2 && line.size() > 1 && static_cast<unsigned char>(line[1]) >= 0x80 && static_cast<unsigned char>(line[1]) < 0xA0) {
      text += '?';
      line.remove_prefix(2);
      continue;
    }
    text += (byte < 0x20 && byte != '\t') || byte == 0x7f ? '?' : line.front();
    line.remove_prefix(1);
  }
  return text;
}

/// Says each note once.
class note_teller {
public:
  explicit note_teller(terminal& io) : io_(io) {}

  void tell(std::string note) {
    for (const std::string flag : {"all-replicas", "all-hosts"})
      if (const auto at = note.find("; " + flag + " shows"); at != std::string::npos)
        note.insert(at + 2, "--");
    if (told_.insert(note).second)
      io_.err << "prunella: " << printable(note) << '\n' << std::flush;
  }

private:
  terminal& io_;
  std::set<std::string> told_;
};

} // namespace

void log_printer::set_containers(const std::vector<std::string>& containers) {
  std::map<std::string, int> of_instance;
  for (const auto& container : containers) {
    const auto parts = parts_of(container);
    ++of_instance[parts.instance + parts.host];
  }
  const bool with_container =
      std::any_of(of_instance.begin(), of_instance.end(), [](const auto& x) { return x.second > 1; });
  std::map<std::string, std::string> labels;
  std::size_t width = 0;
  for (const auto& container : containers) {
    auto& label = labels[container];
    const auto parts = parts_of(container);
    label = shown(parts.instance);
    if (with_container)
      label += '/' + parts.container;
    label += parts.host;
    width = std::max(width, display_width(label));
  }
  std::size_t number = 0;
  for (auto& [container, label] : labels) {
    label = pad(label, width) + " | ";
    if (colours_)
      label = colours_of_names[number % std::size(colours_of_names)] + label + "\033[0m";
    ++number;
  }
  if (containers.size() < 2)
    labels.clear();
  labels_ = std::move(labels);
}

std::string log_printer::text_of(const actors::log_line_view& line) const {
  const auto label = labels_.find(line.host.empty() ? line.container : line.container + '@' + line.host);
  std::string text = label == labels_.end() ? std::string() : label->second;
  if (with_times_)
    text += paint_faint(line.at, colours_) + ' ';
  return text + tame(line.text, colours_) + '\n';
}

int run_logs(const logs_options& options, terminal& io) {
  log_printer printer{options.timestamps, io.colours};
  note_teller notes{io};
  std::string after;
  int failures = 0;
  bool is_whole = true;
  for (bool goes_on = true; goes_on && io.out.flush();) {
    const auto asked_at = std::chrono::steady_clock::now();
    const auto result = call_api(options.connection, "GET", target_of(options, after));
    actors::logs_view view;
    auto error = result.error;
    if (error.empty())
      for (const auto& problem : config::from_json(result.value, view))
        error += "prunella: the logs are not understood: " + problem + '\n';
    if (!error.empty()) {
      const bool is_passing = result.status == 0 || result.status >= 500; // such as an agent that is restarted
      if (!options.follow || after.empty() || !is_passing || ++failures > most_failures || !io.next_look(std::chrono::seconds{1})) {
        io.err << error;
        return exit_failed;
      }
      notes.tell("the log goes on when an agent answers again");
      continue;
    }
    failures = 0;
    printer.set_containers(view.containers);
    for (const auto& line : view.lines)
      io.out << printer.text_of(line);
    for (const auto& note : view.notes)
      notes.tell(note);
    after = view.next;
    is_whole = view.unread.empty();
    goes_on = view.more || options.follow;
    const bool was_at_once = std::chrono::steady_clock::now() - asked_at < std::chrono::milliseconds{500};
    if (goes_on && !view.more && view.lines.empty() && was_at_once) // a host does not answer, and is not waited for
      goes_on = io.next_look(std::chrono::seconds{1});
  }
  return is_whole ? exit_ok : exit_failed;
}

} // namespace prunella::tools
