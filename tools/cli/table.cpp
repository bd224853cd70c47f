#include "tools/cli/table.hpp"

#include <algorithm>
#include <utility>

#include "tools/cli/terminal.hpp"

namespace prunella::tools {

namespace {

void trim_end(std::string& line) {
  line.erase(line.find_last_not_of(' ') + 1);
}

std::string cell(const std::vector<std::string>& row, std::size_t column) {
  return column < row.size() ? printable(row[column]) : std::string();
}

struct tree_line {
  std::string branch;
  const tree_node* node;
};

void flatten(const tree_node& node, const std::string& branch, const std::string& below,
             std::vector<tree_line>& lines) {
  lines.push_back({branch, &node});
  for (const auto& child : node.children) {
    const bool last = &child == &node.children.back();
    flatten(child, below + (last ? "└─ " : "├─ "), below + (last ? "   " : "│  "), lines);
  }
}

std::size_t total(const std::vector<std::size_t>& widths) {
  std::size_t sum = 0;
  for (const auto width : widths)
    sum += width > 0 ? width + (sum > 0 ? 2 : 0) : 0;
  return sum;
}

/// Takes from the widest sentence first, of none more than to `least`. True if it is enough.
bool cut_sentences(std::vector<std::size_t>& widths, const table& t, std::size_t most_columns, std::size_t least) {
  while (total(widths) > most_columns) {
    std::size_t* widest = nullptr;
    for (std::size_t c = 0; c < widths.size(); ++c)
      if (t.columns[c].is_optional && widths[c] > least && (!widest || widths[c] > *widest))
        widest = &widths[c];
    if (!widest)
      return false;
    --*widest;
  }
  return true;
}

/// Cuts sentences and leaves columns out, as few as make room for sentences that say something.
void narrow(std::vector<std::size_t>& widths, const table& t, std::size_t most_columns) {
  for (int next = 1;; ++next) {
    auto trial = widths;
    const bool is_enough = cut_sentences(trial, t, most_columns, good_sentence);
    const auto leaves = std::find_if(t.columns.begin(), t.columns.end(), [&](const auto& x) { return x.leaves_as == next; });
    if (is_enough || leaves == t.columns.end()) {
      widths = std::move(trial);
      break;
    }
    widths[static_cast<std::size_t>(leaves - t.columns.begin())] = 0;
  }
  cut_sentences(widths, t, most_columns, least_sentence);
}

} // namespace

std::string render(const table& t, bool colours, std::size_t most_columns) {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < t.columns.size(); ++c) {
    std::size_t widest = 0;
    for (const auto& row : t.rows)
      widest = std::max(widest, display_width(cell(row, c)));
    const bool left_out = t.columns[c].is_optional && widest == 0;
    widths.push_back(left_out ? 0 : std::max(widest, display_width(t.columns[c].title)));
  }

  if (most_columns > 0)
    narrow(widths, t, most_columns);

  std::string text;
  const auto add_line = [&](const auto& cell_text) {
    std::string line;
    for (std::size_t c = 0; c < t.columns.size(); ++c)
      if (widths[c] > 0)
        line += (line.empty() ? "" : "  ") + cell_text(c);
    trim_end(line);
    text += line + '\n';
  };
  add_line([&](std::size_t c) { return pad(t.columns[c].title, widths[c], t.columns[c].right_aligned); });
  for (const auto& row : t.rows)
    add_line([&](std::size_t c) {
      const auto content = cut(cell(row, c), std::max<std::size_t>(widths[c], 1));
      const auto padded = pad(content, widths[c], t.columns[c].right_aligned);
      return t.columns[c].is_state ? paint_state(content, padded, colours) : padded;
    });
  return text;
}

std::string render(const tree_node& root, bool colours) {
  std::vector<tree_line> lines;
  flatten(root, "", "", lines);
  std::size_t label_width = 0;
  std::size_t state_width = 0;
  for (const auto& line : lines) {
    label_width = std::max(label_width, display_width(line.branch) + display_width(printable(line.node->label)));
    state_width = std::max(state_width, display_width(printable(line.node->state)));
  }
  std::string text;
  for (const auto& [branch, node] : lines) {
    const auto label = printable(node->label);
    const auto state = printable(node->state);
    std::string out = paint_faint(branch, colours && !branch.empty()) + label +
                      std::string(label_width - display_width(branch) - display_width(label), ' ');
    out += "  " + paint_state(state, pad(state, state_width), colours);
    out += "  " + printable(node->facts);
    trim_end(out);
    text += out + '\n';
  }
  return text;
}

} // namespace prunella::tools
