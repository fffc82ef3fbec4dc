#include "operators/privacy/scan.hpp"

#include <algorithm>
#include <charconv>

#include "base/instant.hpp"

namespace sluice::privacy {

Scan::Scan(std::vector<std::string> columns, std::size_t most)
    : seen_(columns.size()), most_(most) {
    for (std::string& name : columns) columns_.push_back({std::move(name), {}, true, -1});
}

void Scan::add(std::size_t index, std::string_view value) {
    Column& column = columns_[index];
    if (column.values.size() >= most_ || value.empty()) return;
    if (!seen_[index].emplace(value).second) return;
    column.values.emplace_back(value);
    if (!column.rising) return;
    double number = 0;
    const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), number);
    column.rising =
        failed == std::errc{} && end == value.data() + value.size() && number > column.last;
    column.last = number;
}

std::vector<Evidence> Scan::findings(const Settings& settings) const {
    std::vector<Evidence> out;
    for (const Column& column : columns_) {
        Suspect suspect;
        suspect.column = column.name;
        suspect.values = column.values;
        const bool key = std::ranges::find(settings.keys, column.name) != settings.keys.end();
        suspect.rising = key || (column.rising && column.values.size() > 1);
        suspect.guess_secrets = settings.guess_secrets;
        suspect.this_year = settings.this_year;
        if (auto found = detect(suspect, settings.least)) out.push_back(std::move(*found));
    }
    return out;
}

int year_of(const task::TaskContext& context) {
    const auto& interval = context.info().data_interval;
    const Instant at =
        interval ? interval->end
                 : std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    return std::stoi(format_date(at).substr(0, 4));
}

}  // namespace sluice::privacy
