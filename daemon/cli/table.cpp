#include "cli/table.hpp"

#include <algorithm>
#include <cctype>

namespace sluice::cli {
namespace {

std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

bool is_number(const std::string& text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == ',';
    });
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    std::vector<bool> right;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        for (std::size_t c = 0; c < rows[r].size(); ++c) {
            if (c >= widths.size()) {
                widths.push_back(0);
                right.push_back(rows.size() > 1);
            }
            widths[c] = std::max(widths[c], width_of(rows[r][c]));
            if (r > 0 && !rows[r][c].empty() && !is_number(rows[r][c])) right[c] = false;
        }
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t c = 0; c < row.size(); ++c) {
            if (c > 0) line += "  ";
            const std::string pad(widths[c] - width_of(row[c]), ' ');
            line += right[c] ? pad + row[c] : row[c] + pad;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + '\n';
    }
    return out;
}

}  // namespace sluice::cli
