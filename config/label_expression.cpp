#include "config/label_expression.hpp"

#include <algorithm>
#include <cctype>

namespace prunella::config {

namespace {

constexpr std::size_t longest_expression = 4096;
constexpr std::size_t deepest_expression = 32;

enum class token_kind : std::uint8_t { end, word, quoted, symbol, bad };

struct token {
  token_kind kind = token_kind::end;
  std::string_view text; ///< of a quoted value: without the quotes
  std::size_t column = 1;
};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '.' || c == '-' || c == '_';
}

bool is_keyword(std::string_view word) {
  return word == "and" || word == "or" || word == "not" || word == "in" || word == "exists";
}

/// The token at the start of `text` behind blanks; `text` moves behind it.
token next_token(std::string_view whole, std::size_t& at) {
  while (at < whole.size() && std::isspace(static_cast<unsigned char>(whole[at])) != 0)
    ++at;
  const std::size_t column = at + 1;
  if (at == whole.size())
    return {token_kind::end, {}, column};
  const auto rest = whole.substr(at);
  const char first = rest.front();
  if (is_word(first)) {
    const auto end = static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), is_word) - rest.begin());
    at += end;
    return {token_kind::word, rest.substr(0, end), column};
  }
  if (first == '"' || first == '\'') {
    const auto end = rest.find(first, 1);
    if (end == std::string_view::npos)
      return {token_kind::bad, rest, column};
    at += end + 1;
    return {token_kind::quoted, rest.substr(1, end - 1), column};
  }
  for (std::string_view symbol : {"==", "!=", "=", "(", ")", ","})
    if (rest.substr(0, symbol.size()) == symbol) {
      at += symbol.size();
      return {token_kind::symbol, symbol, column};
    }
  return {token_kind::bad, rest.substr(0, 1), column};
}

std::string found_text(const token& found) {
  if (found.kind == token_kind::end)
    return "the end";
  if (found.kind == token_kind::bad && found.text.size() > 1)
    return "a quote without its end";
  if (found.text == "&")
    return "\"&\" (write and)";
  if (found.text == "|")
    return "\"|\" (write or)";
  if (found.text == "!")
    return "\"!\" (write not)";
  if (static_cast<unsigned char>(found.text.empty() ? ' ' : found.text.front()) >= 0x80)
    return "a letter outside of ASCII";
  return '"' + std::string(found.text.substr(0, 60)) + '"';
}

} // namespace

/// Recursive descent over the tokens; the first error stops it.
class label_expression_parser {
public:
  explicit label_expression_parser(std::string_view text) : text_(text) { advance(); }

  parsed_label_expression run() {
    if (current_.kind == token_kind::end)
      return {};
    parse_any();
    if (result_.error.empty() && current_.kind != token_kind::end)
      fail("\"and\", \"or\" or the end");
    if (!result_.error.empty())
      result_.expression = {};
    return std::move(result_);
  }

private:
  using expression = label_expression;

  void advance() { current_ = next_token(text_, at_); }

  bool is_symbol(std::string_view symbol) const {
    return current_.kind == token_kind::symbol && current_.text == symbol;
  }

  bool is_word(std::string_view word) const { return current_.kind == token_kind::word && current_.text == word; }

  bool take_symbol(std::string_view symbol) { return is_symbol(symbol) && (advance(), true); }

  bool take_word(std::string_view word) { return is_word(word) && (advance(), true); }

  void fail(const std::string& expected) {
    if (!result_.error.empty())
      return;
    result_.error = "expected " + expected + ", found " + found_text(current_);
    result_.column = current_.column;
  }

  bool failed() const { return !result_.error.empty(); }

  std::size_t add(expression::node node) {
    result_.expression.nodes_.push_back(std::move(node));
    return result_.expression.nodes_.size() - 1;
  }

  /// One or more operands joined by `word`; a single one stands for itself.
  template <class Operand>
  std::size_t parse_joined(std::string_view word, expression::operation op, Operand&& operand) {
    std::vector<std::size_t> children{operand()};
    while (!failed() && take_word(word))
      children.push_back(operand());
    if (children.size() == 1)
      return children.front();
    return add({op, {}, {}, std::move(children)});
  }

  std::size_t parse_any() {
    return parse_joined("or", expression::operation::any_of, [this] {
      return parse_joined("and", expression::operation::all_of, [this] { return parse_factor(); });
    });
  }

  std::size_t parse_factor() {
    if (depth_ == deepest_expression) {
      fail("at most " + std::to_string(deepest_expression) + " levels of parentheses and \"not\"");
      return 0;
    }
    ++depth_;
    const std::size_t index = parse_factor_within();
    --depth_;
    return index;
  }

  std::size_t parse_factor_within() {
    if (take_word("not"))
      return add({expression::operation::none_of, {}, {}, {parse_factor()}});
    if (take_symbol("(")) {
      const std::size_t index = parse_any();
      if (!failed() && !take_symbol(")"))
        fail("\")\", \"and\" or \"or\"");
      return index;
    }
    if (take_word("exists"))
      return add({expression::operation::has_key, take_key("a label key after \"exists\""), {}, {}});
    const std::string key = take_key("a label key, \"not\", \"exists\" or \"(\"");
    return failed() ? 0 : parse_test(key);
  }

  std::size_t parse_test(const std::string& key) {
    using operation = expression::operation;
    if (take_symbol("=") || take_symbol("=="))
      return add({operation::has_value, key, {take_value("a value after \"=\"")}, {}});
    if (take_symbol("!="))
      return negated(add({operation::has_value, key, {take_value("a value after \"!=\"")}, {}}));
    const bool negative = take_word("not");
    if (take_word("in")) {
      const std::size_t index = add({operation::has_value, key, take_values(), {}});
      return negative ? negated(index) : index;
    }
    if (negative)
      fail("\"in\" after \"not\"");
    return add({operation::has_key, key, {}, {}});
  }

  std::size_t negated(std::size_t index) { return add({expression::operation::none_of, {}, {}, {index}}); }

  std::string take_key(const std::string& expected) {
    if (current_.kind != token_kind::word || is_keyword(current_.text)) {
      fail(expected);
      return {};
    }
    std::string key(current_.text);
    advance();
    return key;
  }

  std::string take_value(const std::string& expected) {
    const bool word = current_.kind == token_kind::word && !is_keyword(current_.text);
    if (!word && current_.kind != token_kind::quoted) {
      fail(expected);
      return {};
    }
    std::string value(current_.text);
    advance();
    return value;
  }

  std::vector<std::string> take_values() {
    std::vector<std::string> values;
    if (!take_symbol("(")) {
      fail("\"(\" after \"in\"");
      return values;
    }
    do
      values.push_back(take_value("a value"));
    while (!failed() && take_symbol(","));
    if (!failed() && !take_symbol(")"))
      fail("\",\" or \")\"");
    return values;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  token current_;
  parsed_label_expression result_;
};

parsed_label_expression parse_label_expression(std::string_view text) {
  if (text.size() > longest_expression)
    return {{},
            longest_expression + 1,
            "expected at most " + std::to_string(longest_expression) + " bytes, found " + std::to_string(text.size())};
  return label_expression_parser(text).run();
}

bool label_expression::matches(const config::labels& of_host) const {
  return nodes_.empty() || holds(nodes_.size() - 1, of_host);
}

// Recursion is bounded by the parser's depth.
bool label_expression::holds(std::size_t index, const config::labels& of_host) const {
  const node& n = nodes_[index];
  const auto child_holds = [&](std::size_t child) { return holds(child, of_host); };
  switch (n.op) {
  case operation::all_of:
    return std::all_of(n.children.begin(), n.children.end(), child_holds);
  case operation::any_of:
    return std::any_of(n.children.begin(), n.children.end(), child_holds);
  case operation::none_of:
    return std::none_of(n.children.begin(), n.children.end(), child_holds);
  case operation::has_key:
    return of_host.count(n.key) > 0;
  case operation::has_value: {
    const auto found = of_host.find(n.key);
    return found != of_host.end() && std::find(n.values.begin(), n.values.end(), found->second) != n.values.end();
  }
  }
  return false;
}

} // namespace prunella::config
