// sluice lineage DAG [TABLE[.COLUMN]]: where columns come from, and what hides them on the way.
#include "cli/lineage.hpp"

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <set>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::lineage {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string place;
    bool down{false};
};

struct Step {
    std::string from;
    std::string to;
    const Json* how;  // {masking, method, attested}
};

class Lineage {
public:
    explicit Lineage(Json answer) : answer_(std::move(answer)) {
        for (const Json& dataset : answer_.at("datasets"))
            for (const Json& column : dataset.at("columns")) {
                const std::string name = place(dataset.at("dataset"), column.at("name"));
                columns_[name] = {&dataset, &column};
                for (const Json& source : column.at("from")) {
                    const std::string from = place(source.at("dataset"), source.at("column"));
                    above_[name].push_back({from, name, &source});
                    below_[from].push_back({from, name, &source});
                }
            }
    }

    /// Of one data set, or of all that a task of the DAG writes.
    void list(const std::string& dataset) const {
        std::vector<std::vector<std::string>> rows{
            {"column", "type", "class", "made by", "from outside", "masked by"}
        };
        for (const auto& [name, column] : columns_) {
            const Json& of = *column.dataset;
            if (dataset.empty() ? of.at("task").is_null() : of.at("dataset") != dataset) continue;
            std::set<std::string> outside, methods, seen;
            gather(name, outside, methods, seen);
            outside.erase(name);
            rows.push_back(
                {name,
                 text_of(*column.column, "type"),
                 text_of(*column.column, "class"),
                 text_of(of, "task"),
                 joined(outside),
                 joined(methods)}
            );
        }
        if (rows.size() == 1)
            throw Error(ErrorCode::not_found, "the DAG has no data set " + dataset);
        std::cout << table(rows);
    }

    [[nodiscard]] bool has(const std::string& name) const { return columns_.contains(name); }

    void show(const std::string& name, bool down) const {
        std::cout << name << class_of(name) << '\n';
        std::set<std::string> seen;
        show_steps(name, down, 1, seen);
    }

private:
    struct Column {
        const Json* dataset;
        const Json* column;
    };

    static std::string place(const Json& dataset, const Json& column) {
        return dataset.get<std::string>() + "." + column.get<std::string>();
    }

    static std::string joined(const std::set<std::string>& all) {
        std::string out;
        for (const std::string& one : all) out += (out.empty() ? "" : ", ") + one;
        return out;
    }

    [[nodiscard]] std::string class_of(const std::string& name) const {
        const auto found = columns_.find(name);
        if (found == columns_.end()) return "";
        const std::string text = text_of(*found->second.column, "class");
        return text.empty() ? "" : " @" + text;
    }

    /// "by mask.customers (mask), masked by hmac"
    [[nodiscard]] std::string step_of(const Step& step) const {
        const Json& dataset = *columns_.at(step.to).dataset;
        std::string out =
            "by " + text_of(dataset, "task") + " (" + text_of(dataset, "operator") + ")";
        if (step.how->at("masking").get<bool>())
            out += ", masked by " + text_of(*step.how, "method");
        if (step.how->at("attested").get<bool>()) out += ", on the task's word (attest)";
        return out;
    }

    void show_steps(const std::string& name, bool down, int depth, std::set<std::string>& seen)
        const {
        const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
        const auto& way = down ? below_ : above_;
        const auto steps = way.find(name);
        if (steps == way.end()) {
            if (!down) std::cout << indent << begins(name) << '\n';
            return;
        }
        if (!seen.insert(name).second) {
            std::cout << indent << "... (see above)\n";
            return;
        }
        for (const Step& step : steps->second) {
            const std::string& other = down ? step.to : step.from;
            std::cout << indent << (down ? "-> " : "<- ") << other << class_of(other) << "  "
                      << step_of(step) << '\n';
            show_steps(other, down, depth + 1, seen);
        }
    }

    /// How a column begins that comes from no other.
    [[nodiscard]] std::string begins(const std::string& name) const {
        const auto found = columns_.find(name);
        if (found == columns_.end()) return "unknown";
        const Json& dataset = *found->second.dataset;
        if (!dataset.at("dag").is_null()) return "written by the DAG " + text_of(dataset, "dag");
        if (dataset.at("task").is_null()) return "declared; no task of this DAG writes it";
        const bool outside = dataset.at("operator") == "extract";
        return (outside ? "read from outside by " : "made by ") + text_of(dataset, "task");
    }

    void gather(
        const std::string& name,
        std::set<std::string>& outside,
        std::set<std::string>& methods,
        std::set<std::string>& seen
    ) const {
        if (!seen.insert(name).second) return;
        const auto steps = above_.find(name);
        if (steps == above_.end()) {
            outside.insert(name);
            return;
        }
        for (const Step& step : steps->second) {
            if (step.how->at("masking").get<bool>()) methods.insert(text_of(*step.how, "method"));
            gather(step.from, outside, methods, seen);
        }
    }

    Json answer_;
    std::map<std::string, Column> columns_;
    std::map<std::string, std::vector<Step>> above_;
    std::map<std::string, std::vector<Step>> below_;
};

void show(const Options& options) {
    Client client(options.target);
    const Lineage all(client.get("/ui/v1/dags/" + encode(options.dag_id) + "/lineage"));
    if (all.has(options.place)) return all.show(options.place, options.down);
    if (std::ranges::count(options.place, '.') > 1)
        throw Error(ErrorCode::not_found, "the DAG has no column " + options.place);
    all.list(options.place);
}

}  // namespace

void add(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    auto* verb = app.add_subcommand("lineage", "where columns come from, and what masks them");
    add_target(*verb, options->target);
    verb->add_option("dag_id", options->dag_id)->required();
    verb->add_option("place", options->place, "a data set, or a column of one: raw.orders.card");
    verb->add_flag("--down", options->down, "of a column: what is made of it");
    verb->callback([options] { show(*options); });
}

}  // namespace sluice::cli::lineage
