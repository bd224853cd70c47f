// Pages of a container's log, over files that grow, are rotated, and damaged.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "actors/instance/container_log.hpp"
#include "actors/logs/log_pages.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella::actors;

namespace {

constexpr std::size_t enough = 1 << 20;

struct log_under_test {
  /// Line `number`, written `number` seconds after noon.
  static std::string line(int number, const std::string& text, const char* stream = "stdout", const char* tag = "F") {
    char time[64];
    std::snprintf(time, sizeof time, "2026-11-21T12:%02d:%02d.000000000+00:00", number / 60 % 60, number % 60);
    return std::string{time} + ' ' + stream + ' ' + tag + ' ' + text + '\n';
  }

  void write(const std::string& text) { std::ofstream{path, std::ios::app | std::ios::binary} << text; }
  void rotate() { std::filesystem::rename(path, older_log_path(path)); }

  /// Lines `from` … `to`, one a second.
  void write_lines(int from, int to) {
    for (int i = from; i <= to; ++i)
      write(line(i, "line " + std::to_string(i)));
  }

  /// The texts of all pages from `at` on, which then is at their end.
  std::vector<std::string> read(log_position& at, std::size_t max_bytes = enough) {
    std::vector<std::string> texts;
    for (int pages = 0;; ++pages) {
      REQUIRE(pages < 10'000);
      const auto page = read_log_page(path, at, max_bytes);
      for (const auto& entry : page.entries)
        texts.push_back(entry.text + (entry.is_partial ? "…" : ""));
      at = page.next;
      gaps += page.has_gap ? 1 : 0;
      damaged += page.damaged;
      if (!page.has_more)
        return texts;
    }
  }
  std::vector<std::string> read_all(std::size_t max_bytes = enough) {
    log_position at;
    return read(at, max_bytes);
  }
  std::vector<std::string> read_from(const log_start& start) {
    auto at = find_log_start(path, start);
    return read(at);
  }

  prunella::tests::temporary_folder folder;
  std::string path = folder / "log";
  int gaps = 0;
  std::uint32_t damaged = 0;
};

std::vector<std::string> numbered(int from, int to) {
  std::vector<std::string> texts;
  for (int i = from; i <= to; ++i)
    texts.push_back("line " + std::to_string(i));
  return texts;
}

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("a log that is not there or has no whole line yet is empty, and is read once it has one") {
  log_under_test log;
  log_position at;
  CHECK(log.read(at).empty());
  CHECK(log.read_from({3, {}}).empty());
  const auto first = log.line(1, "one");
  log.write(first.substr(0, 20));
  CHECK(log.read(at).empty());
  log.write(first.substr(20));
  CHECK(log.read(at) == texts{"one"});
  CHECK(log.read(at).empty());
  CHECK(log.gaps == 0);
}

TEST_CASE("entries have their time, stream and text, and a last line is waited for until it is whole") {
  log_under_test log;
  log.write(log.line(1, "out") + log.line(2, "err", "stderr") + log.line(3, "  ") + log.line(4, "unfinished").substr(0, 50));
  const auto page = read_log_page(log.path, {}, enough);
  REQUIRE(page.entries.size() == 3);
  CHECK(page.entries[1].at_ms - page.entries[0].at_ms == 1000);
  CHECK_FALSE(page.entries[0].is_error);
  CHECK(page.entries[1].is_error);
  CHECK(page.entries[2].text == "  ");
  CHECK(page.entries[2].next == page.next);
  CHECK_FALSE(page.has_more);
}

TEST_CASE("pages of any size give every line once and in order, also over two halves") {
  log_under_test log;
  log.write_lines(1, 40);
  log.rotate();
  log.write_lines(41, 100);
  for (const std::size_t size : {70U, 100U, 119U, 500U, 100'000U})
    CHECK(log.read_all(size) == numbered(1, 100));
  CHECK(log.gaps == 0);
  CHECK(log.damaged == 0);
}

TEST_CASE("a position holds while the log is rotated once, and tells of a gap when it is rotated twice") {
  log_under_test log;
  log.write_lines(1, 10);
  log_position at;
  CHECK(log.read(at) == numbered(1, 10));
  log.write_lines(11, 12);
  log.rotate();
  CHECK(log.read(at) == numbered(11, 12)); // nothing was written behind the rotation yet
  log.write_lines(13, 14);
  CHECK(log.read(at) == numbered(13, 14));
  log.rotate();
  log.write_lines(15, 15);
  log.rotate();
  log.write_lines(16, 17);
  CHECK(log.gaps == 0);
  CHECK(log.read(at) == numbered(15, 17));
  CHECK(log.gaps == 1);
  CHECK(log.read(at).empty());
  CHECK(log.gaps == 1);
}

TEST_CASE("a log that was cut to nothing and begun anew is read from its beginning") {
  log_under_test log;
  log.write_lines(1, 10);
  log_position at;
  log.read(at);
  std::filesystem::resize_file(log.path, 0);
  log.write_lines(20, 21);
  CHECK(log.read(at) == numbered(20, 21));
  CHECK(log.gaps == 1);
}

TEST_CASE("pieces of a line are put together, also where the other stream writes in between, and over pages") {
  log_under_test log;
  log.write(log.line(1, "a ", "stdout", "P") + log.line(2, "oops", "stderr") + log.line(3, "long ", "stdout", "P") +
            log.line(4, "line") + log.line(5, "next"));
  const texts whole{"oops", "a long line", "next"};
  CHECK(log.read_all() == whole);
  const auto page = read_log_page(log.path, {}, enough);
  CHECK(page.entries[0].next.file == 0); // a page that began here would have lost the first piece
  CHECK(page.entries[1].next.file != 0);
  CHECK(log.read_all(260) == whole);
}

TEST_CASE("a line that does not end is given as it is at the end of the log, and in pieces where it is longer than a page") {
  log_under_test log;
  log.write(log.line(1, "before") + log.line(2, "Password: ", "stdout", "P"));
  log_position at;
  CHECK(log.read(at) == texts{"before", "Password: …"});
  log.write(log.line(3, "given"));
  CHECK(log.read(at) == texts{"given"});
  for (int i = 0; i < 10; ++i)
    log.write(log.line(4, std::string(100, 'x'), "stdout", "P"));
  log.write(log.line(5, "end"));
  std::string all;
  for (const auto& text : log.read(at, 320))
    all += text;
  CHECK(std::count(all.begin(), all.end(), 'x') == 1000);
}

TEST_CASE("damaged lines are left out and counted, and zeros after a power cut do not stop the reader") {
  log_under_test log;
  log.write(log.line(1, "one") + "no line of a log\n" + std::string(5000, '\0') + "\n" + log.line(2, "two") +
            "2026-11-21T12:00:03.000000000+00:00 stdlog F no such stream\n" + log.line(4, "four"));
  CHECK(log.read_all() == texts{"one", "two", "four"});
  CHECK(log.damaged == 3);
  log.damaged = 0;
  CHECK(log.read_all(300) == texts{"one", "two", "four"});
  CHECK(log.damaged == 3);
}

TEST_CASE("a line that is longer than its page is given whole") {
  log_under_test log;
  const std::string much(16'384, 'x');
  log.write(log.line(1, "one") + log.line(2, much) + log.line(3, "three"));
  CHECK(log.read_all(300) == texts{"one", much, "three"});
  CHECK(log.damaged == 0);
}

TEST_CASE("the rest of an older half that ends without a newline is a line of its own") {
  log_under_test log;
  log.write(log.line(1, "one") + log.line(2, "cut off").substr(0, 50));
  log.rotate();
  log.write(log.line(3, "three"));
  const auto read = log.read_all();
  REQUIRE(read.size() == 3);
  CHECK(read[0] == "one");
  CHECK(read[2] == "three");
}

TEST_CASE("the tail of a log is its newest lines, over both halves, and all of it when it is shorter") {
  log_under_test log;
  log.write_lines(1, 40);
  log.rotate();
  log.write_lines(41, 50);
  CHECK(log.read_from({1, {}}) == numbered(50, 50));
  CHECK(log.read_from({10, {}}) == numbered(41, 50));
  CHECK(log.read_from({11, {}}) == numbered(40, 50));
  CHECK(log.read_from({50, {}}) == numbered(1, 50));
  CHECK(log.read_from({51, {}}) == numbered(1, 50));
  CHECK(log.read_from({0, {}}).empty());
}

TEST_CASE("a tail counts lines by their ends, so a line in pieces is whole") {
  log_under_test log;
  log.write(log.line(1, "one") + log.line(2, "t", "stdout", "P") + log.line(2, "w", "stdout", "P") + log.line(2, "o") +
            log.line(3, "three"));
  CHECK(log.read_from({2, {}}) == texts{"two", "three"});
}

TEST_CASE("since gives the lines of that moment and later") {
  log_under_test log;
  log.write_lines(1, 3000);
  const auto noon = read_log_page(log.path, {}, 200).entries[0].at_ms - 1000;
  CHECK(log.read_from({{}, noon + 2999'000}) == numbered(2999, 3000));
  CHECK(log.read_from({{}, noon + 2998'001}) == numbered(2999, 3000));
  CHECK(log.read_from({{}, noon + 3000'001}).empty());
  CHECK(log.read_from({{}, noon}) == numbered(1, 3000));
  CHECK(log.read_from({1, noon + 2990'000}) == numbered(3000, 3000));
  CHECK(log.read_from({2000, noon + 2999'000}) == numbered(2999, 3000));
}
