#include "config/yaml/tree.hpp"

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "config/json.hpp"
#include "config/limits.hpp"
#include "config/yaml/characters.hpp"

namespace prunella::config::yaml {

namespace {

/// Thrown through yaml-cpp's parser to stop it.
struct refusal {
  YAML::Mark mark;
  std::string what;
  std::string fix;
};

/// Turns yaml-cpp's marks (bytes, from 0) into positions (characters, from 1).
class line_table {
public:
  explicit line_table(std::string_view text) : text_(text), starts_{0} {
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n')
        starts_.push_back(i + 1);
    for (std::size_t i = 0, characters = 0; i <= text.size(); i += stride) {
      characters_.push_back(characters);
      characters += count_characters(text.substr(i, stride));
    }
  }

  position at(const YAML::Mark& mark) const {
    if (mark.is_null() || mark.line < 0 || mark.column < 0)
      return {};
    const auto line = static_cast<std::size_t>(mark.line);
    const std::size_t start = line < starts_.size() ? starts_[line] : text_.size();
    const std::size_t end = std::min(start + static_cast<std::size_t>(mark.column), text_.size());
    const std::size_t column = characters_before(end) - characters_before(start) + 1;
    return {static_cast<std::uint32_t>(line + 1), static_cast<std::uint32_t>(column)};
  }

  /// Whether `line` (from 0) is indented with a tab.
  bool has_tab_indent(int line) const {
    if (line < 0 || static_cast<std::size_t>(line) >= starts_.size())
      return false;
    const auto text = text_.substr(starts_[static_cast<std::size_t>(line)]);
    const auto first = text.find_first_not_of(' ');
    return first != std::string_view::npos && text[first] == '\t';
  }

private:
  /// Counting from the line's start would be quadratic in texts of one line.
  static constexpr std::size_t stride = 64;

  std::size_t characters_before(std::size_t offset) const {
    const std::size_t whole = offset / stride;
    return characters_[whole] + count_characters(text_.substr(whole * stride, offset % stride));
  }

  std::string_view text_;
  std::vector<std::size_t> starts_;
  std::vector<std::size_t> characters_; ///< before each multiple of `stride`
};

/// Builds trees from yaml-cpp's events and stops it at the limits; yaml-cpp's own node trees know no limits.
class tree_builder : public YAML::EventHandler {
public:
  tree_builder(const line_table& lines, std::vector<node>& documents) : lines_(lines), documents_(documents) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    // Counted here, empty ones included: on some texts yaml-cpp 0.7 reports empty documents without end.
    if (++started_ > limits::documents)
      throw refusal{mark, "the file holds more than " + std::to_string(limits::documents) + " documents", "split it"};
    open_.clear();
    anchors_.clear();
    root_.reset();
  }

  void OnDocumentEnd() override {
    if (root_ && root_->kind != node_kind::null)
      documents_.push_back(std::move(*root_));
    root_.reset();
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(node_kind::null, mark, {}, anchor); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    check_tag(mark, tag);
    leaf(node_kind::scalar, mark, text, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      throw refusal{mark, "an alias stands inside of what it refers to", "write the value instead"};
    count(mark, found->second.values);
    add(found->second, mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(node_kind::list, mark, tag, anchor);
  }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(node_kind::map, mark, tag, anchor);
  }

  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

private:
  struct frame {
    node tree;
    YAML::Mark mark;
    YAML::anchor_t anchor;
    std::optional<node> key;
  };

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    const bool plain = tag.empty() || tag == "?" || tag == "!" || tag.rfind("tag:yaml.org,2002:", 0) == 0;
    if (!plain)
      throw refusal{mark, "the tag " + quoted(tag) + " is not known here", "remove it"};
  }

  void count(const YAML::Mark& mark, std::size_t more) {
    values_ += more;
    if (values_ > limits::values)
      throw refusal{mark, "the file holds more than " + std::to_string(limits::values) + " values, aliases included",
                    "split it, or use fewer aliases"};
  }

  void leaf(node_kind kind, const YAML::Mark& mark, const std::string& text, YAML::anchor_t anchor) {
    count(mark, 1);
    node tree;
    tree.kind = kind;
    tree.text = text;
    tree.at = lines_.at(mark);
    remember(tree, mark, anchor);
    add(std::move(tree), mark);
  }

  void open(node_kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    check_tag(mark, tag);
    if (open_.size() == limits::nesting)
      throw refusal{mark, "lists and maps are nested more than " + std::to_string(limits::nesting) + " deep",
                    "no document needs that; check the indentation and brackets"};
    count(mark, 1);
    node tree;
    tree.kind = kind;
    tree.at = lines_.at(mark);
    open_.push_back({std::move(tree), mark, anchor, std::nullopt});
  }

  void close() {
    frame done = std::move(open_.back());
    open_.pop_back();
    remember(done.tree, done.mark, done.anchor);
    add(std::move(done.tree), done.mark);
  }

  /// Copies what an anchor names. The copy counts as well, or nested anchors would multiply the tree by its depth.
  void remember(const node& tree, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == YAML::NullAnchor)
      return;
    count(mark, tree.values);
    anchors_[anchor] = tree;
  }

  void add(node tree, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = std::move(tree);
      return;
    }
    frame& parent = open_.back();
    parent.tree.values += tree.values;
    if (parent.tree.kind == node_kind::list) {
      parent.tree.items.push_back(std::move(tree));
    } else if (!parent.key) {
      if (tree.kind == node_kind::list || tree.kind == node_kind::map)
        throw refusal{mark, "a key is a list or a map", "write a text as key"};
      parent.key = std::move(tree);
    } else {
      // The parser notices that a value is missing only at the next token, maybe lines below.
      if (tree.kind == node_kind::null)
        tree.at = parent.key->at;
      parent.tree.members.push_back({std::move(*parent.key), std::move(tree)});
      parent.key.reset();
    }
  }

  const line_table& lines_;
  std::vector<node>& documents_;
  std::vector<frame> open_;
  std::optional<node> root_;
  std::map<YAML::anchor_t, node> anchors_;
  std::size_t started_ = 0;
  std::size_t values_ = 0;
};

problem syntax_problem(const line_table& lines, const YAML::Exception& error) {
  std::string fix = "check the indentation, quotes and brackets here and in the line above";
  if (lines.has_tab_indent(error.mark.line))
    fix = "indent with blanks, YAML allows no tabs";
  else if (error.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR)
    fix = "put &name before the value that *name stands for, or quote a text that starts with *";
  return {{}, lines.at(error.mark), {}, "this is not YAML: " + error.msg, fix};
}

parsed_text parse_checked(std::string_view text) {
  parsed_text result;
  const line_table lines(text);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    tree_builder builder(lines, result.documents);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const refusal& refused) {
    result.problems.push_back({{}, lines.at(refused.mark), {}, refused.what, refused.fix});
  } catch (const YAML::Exception& error) {
    result.problems.push_back(syntax_problem(lines, error));
  } catch (const std::exception& error) {
    result.problems.push_back(
        {{}, {}, {}, std::string("this cannot be parsed: ") + error.what(), "check that it is YAML"});
  }
  return result;
}

void forget_positions(node& tree) {
  tree.at = {};
  for (node& item : tree.items)
    forget_positions(item);
  for (member& entry : tree.members) {
    forget_positions(entry.key);
    forget_positions(entry.value);
  }
}

/// yaml-cpp 0.7 does not know JSON's surrogate pairs ("\ud83d\ude00"). Such texts go through the JSON parser and
/// back, which leaves no such escapes but loses the positions.
std::optional<parsed_text> parse_as_json(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{' || text.find("\\u") == std::string_view::npos)
    return std::nullopt;
  const auto parsed = parse_json(text);
  if (!parsed.error.empty())
    return std::nullopt;
  parsed_text result = parse_checked(json_text(parsed.value));
  for (node& document : result.documents)
    forget_positions(document);
  for (problem& p : result.problems)
    p.at = {};
  return result;
}

} // namespace

parsed_text parse(std::string_view text) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text.substr(0, byte_order_mark.size()) == byte_order_mark)
    text.remove_prefix(byte_order_mark.size());
  if (text.size() > limits::file_bytes)
    return {{},
            {{{},
              {},
              {},
              "the file has " + std::to_string(text.size()) + " bytes, more than " + std::to_string(limits::file_bytes),
              "split it"}}};
  if (auto bad = find_bad_character(text))
    return {{}, {std::move(*bad)}};
  auto result = parse_checked(text);
  if (!result.problems.empty())
    if (auto from_json = parse_as_json(text))
      return std::move(*from_json);
  return result;
}

} // namespace prunella::config::yaml
