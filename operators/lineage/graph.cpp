#include "operators/lineage/graph.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "operators/binding/columns.hpp"
#include "operators/mask/plan.hpp"
#include "operators/policy/policy.hpp"

namespace sluice::lineage {

namespace {

using nlohmann::json;

std::vector<std::string> origins_of(const std::string& dataset, const ColumnSpec& column) {
    if (!column.origins.empty()) return column.origins;
    return {dataset + "." + column.name};
}

/// What the policy of a mask task does to the column that becomes `name`.
std::optional<Source> by_policy(
    const Dag& dag,
    const Task& task,
    const DatasetSpec& from,
    const std::string& to,
    const std::string& name
) {
    const json with = json::parse(task.with, nullptr, false);
    if (!with.is_object()) return std::nullopt;
    const auto text = dag.files.find(with.value("policy", dag.policy));
    if (text == dag.files.end()) return std::nullopt;
    const auto policy = policy::read(text->second, text->first);
    if (!policy.value) return std::nullopt;
    const auto plan = mask::make_plan(
        *policy.value,
        with.value("rules", json::object()),
        {from.name, to, binding::with_origins(from)}
    );
    for (const mask::Output& output : plan.outputs)
        if (output.column.name == name)
            return Source{
                from.name,
                output.source,
                output.masked ? std::string(policy::name(output.rule.method)) : "",
                false
            };
    return std::nullopt;
}

class Tracer {
public:
    Tracer(const Dag& dag, const FindDataset& find, const DatasetSpec& of, const ColumnSpec& column)
        : dag_(dag), of_(of), column_(column) {
        if (!is_own()) return;
        made_.task = of.writer;
        for (const DatasetSpec& dataset : dag.datasets)
            if (std::ranges::find(dataset.readers, of.writer) != dataset.readers.end())
                if (const DatasetSpec* read = find(dataset.name); read && read->name != of.name)
                    inputs_.push_back(read);
    }

    Made trace() {
        if (!is_own()) return made_;
        const Task& task = dag_.tasks[static_cast<std::size_t>(of_.writer)];
        if (task.operator_name == "mask") {
            for (const DatasetSpec* input : inputs_)
                if (auto source = by_policy(dag_, task, *input, of_.name, column_.name))
                    made_.from.push_back(std::move(*source));
            return made_;
        }
        missing_.insert(column_.origins.begin(), column_.origins.end());
        for (const DatasetSpec* input : inputs_)
            if (const ColumnSpec* same = binding::find(input->columns, column_.name))
                take(task, *input, *same);
        // Names that are not kept: by the columns outside that both were derived from.
        for (const DatasetSpec* input : inputs_)
            for (const ColumnSpec& other : input->columns)
                if (!missing_.empty() && &other != binding::find(input->columns, column_.name))
                    take_if_missing(task, *input, other);
        for (const auto& origin : later_) missing_.erase(origin);
        add_unseen();
        return made_;
    }

private:
    [[nodiscard]] bool is_own() const { return of_.writer != no_task && of_.owner.empty(); }

    [[nodiscard]] bool shares(const DatasetSpec& input, const ColumnSpec& other) const {
        if (column_.origins.empty()) return false;
        return std::ranges::any_of(origins_of(input.name, other), [&](const std::string& origin) {
            return std::ranges::find(column_.origins, origin) != column_.origins.end();
        });
    }

    void add(const Task& task, const DatasetSpec& input, const ColumnSpec& other) {
        const bool cleared = !other.pii_class.empty() && column_.pii_class.empty();
        Source source{input.name, other.name, "", cleared && !task.attest.empty()};
        if (cleared && !source.attested) source.masked_by = "sql";
        made_.from.push_back(std::move(source));
    }

    /// A column of the same name: without known origins it is what the name says.
    void take(const Task& task, const DatasetSpec& input, const ColumnSpec& same) {
        if (!column_.origins.empty() && !shares(input, same)) return;
        add(task, input, same);
        for (const std::string& origin : origins_of(input.name, same)) missing_.erase(origin);
    }

    void take_if_missing(const Task& task, const DatasetSpec& input, const ColumnSpec& other) {
        const auto origins = origins_of(input.name, other);
        if (std::ranges::none_of(origins, [&](const auto& one) { return missing_.contains(one); }))
            return;
        add(task, input, other);
        later_.insert(origins.begin(), origins.end());
    }

    /// Origins that no data set between shows: what an SQL statement reads is known only once the
    /// DAG has been loaded.
    void add_unseen() {
        for (const std::string& origin : missing_) {
            const auto dot = origin.rfind('.');
            if (dot == std::string::npos || origin.substr(0, dot) == of_.name) continue;
            made_.from.push_back({origin.substr(0, dot), origin.substr(dot + 1), "", false});
        }
    }

    const Dag& dag_;
    const DatasetSpec& of_;
    const ColumnSpec& column_;
    std::vector<const DatasetSpec*> inputs_;
    std::set<std::string> missing_;  // origins of the column that are not accounted for
    std::set<std::string> later_;
    Made made_;
};

}  // namespace

Made made(
    const Dag& dag, const FindDataset& find, const DatasetSpec& of, const ColumnSpec& column
) {
    return Tracer(dag, find, of, column).trace();
}

namespace {

/// Of several, those that hold personal data: they are why somebody asks.
std::vector<Source> telling(std::vector<Source> from, const FindDataset& find) {
    const auto weight = [&](const Source& source) {
        const DatasetSpec* dataset = find(source.dataset);
        const ColumnSpec* column =
            dataset == nullptr ? nullptr : binding::find(dataset->columns, source.column);
        if (column == nullptr || column->pii_class.empty()) return 0;
        return column->pii_class == "quasi" ? 1 : 2;
    };
    int most = 0;
    for (const Source& source : from) most = std::max(most, weight(source));
    std::erase_if(from, [&](const Source& source) { return weight(source) < most; });
    return from;
}

}  // namespace

std::string path(
    const Dag& dag, const FindDataset& find, const DatasetSpec& of, const ColumnSpec& column
) {
    using Place = std::pair<std::string, std::string>;
    const Place target{of.name, column.name};
    std::map<Place, Place> next;  // one step nearer to the target
    std::deque<Place> open{target};
    Place last = target;
    while (!open.empty()) {
        last = open.front();
        open.pop_front();
        const DatasetSpec* dataset = last == target ? &of : find(last.first);
        if (dataset == nullptr) break;
        const ColumnSpec* found =
            last == target ? &column : binding::find(dataset->columns, last.second);
        if (found == nullptr) break;
        const auto from = telling(made(dag, find, *dataset, *found).from, find);
        if (from.empty()) break;
        for (const Source& source : from) {
            const Place place{source.dataset, source.column};
            if (place != target && next.emplace(place, last).second) open.push_back(place);
        }
    }
    std::string out;
    for (Place place = last; place != target; place = next.at(place))
        out += place.first + "." + place.second + " -> ";
    return out + target.first + "." + target.second;
}

}  // namespace sluice::lineage
