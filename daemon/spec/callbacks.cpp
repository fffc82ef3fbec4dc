// The keys on_..._callback and deadlines: what must be told when something has happened, or has
// not.
#include <array>

#include <fmt/format.h>

#include "model/json_schema.hpp"
#include "spec/draft.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

struct Key {
    const char* name;
    CallbackOn on;
};
constexpr std::array keys{
    Key{"on_execute_callback", CallbackOn::execute},
    Key{"on_success_callback", CallbackOn::success},
    Key{"on_failure_callback", CallbackOn::failure},
    Key{"on_retry_callback", CallbackOn::retry},
    Key{"on_skipped_callback", CallbackOn::skipped},
};

class Reader {
public:
    Reader(Draft& draft, std::vector<Callback>& callbacks) : draft_(draft), callbacks_(callbacks) {}

    /// What is no list of one-key objects was refused by the language's schema.
    void list(const json& written, const std::string& pointer, CallbackOn on, int deadline) {
        if (!written.is_array()) return;
        for (std::size_t i = 0; i < written.size(); ++i) {
            if (!written[i].is_object() || written[i].size() != 1) continue;
            const std::string& kind = written[i].begin().key();
            const json& with = written[i].begin().value();
            if (!with.is_object()) continue;
            callbacks_.push_back({on, kind, canonical_json(with), deadline});
            draft_.callbacks.push_back({kind, child_pointer(child_pointer(pointer, i), kind), with}
            );
        }
    }

    std::optional<Deadline> deadline(const json& written, const std::string& pointer) {
        Fields fields(written, pointer, draft_.problems);
        Deadline out;
        const std::string reference = fields.string("reference").value_or("");
        out.interval = fields.duration("interval").value_or(Duration::zero());
        const auto at = fields.string("at");
        if (reference == "dagrun_logical_date") out.from = DeadlineFrom::logical_date;
        if (reference == "fixed_datetime") out.from = DeadlineFrom::fixed;
        if (reference == "average_runtime") out.from = DeadlineFrom::average;
        if (reference == "percentile_runtime") out.from = DeadlineFrom::percentile;
        past_runs(fields, pointer, out);
        if ((out.from == DeadlineFrom::fixed) != at.has_value())
            draft_.problems.error(
                "E-VALUE",
                child_pointer(pointer, at ? "at" : "reference"),
                "\"at\" belongs to the reference fixed_datetime"
            );
        if (!at) return out;
        const auto parsed = parse_time(*at);
        if (parsed && draft_.zone) out.at = resolve(*parsed, *draft_.zone);
        return out;
    }

private:
    void past_runs(Fields& fields, const std::string& pointer, Deadline& out) {
        const auto read = [&](const char* key, bool belongs, const char* to) {
            const auto value = fields.integer(key, 1, 1000);
            if (value && !belongs)
                draft_.problems.error(
                    "E-VALUE",
                    child_pointer(pointer, key),
                    fmt::format("\"{}\" belongs to the reference {}", key, to)
                );
            return value;
        };
        const bool past = is_of_past_runs(out.from);
        constexpr const char* both = "average_runtime or percentile_runtime";
        const auto limit = read("limit", past, both);
        const auto least = read("min_runs", past, both);
        const bool ranked = out.from == DeadlineFrom::percentile;
        const auto percentile = read("percentile", ranked, "percentile_runtime");
        out.limit = static_cast<int>(limit.value_or(out.limit));
        out.min_runs = static_cast<int>(least.value_or(out.limit));
        out.percentile = static_cast<int>(percentile.value_or(out.percentile));
        if (out.min_runs > out.limit)
            draft_.problems.error(
                "E-VALUE",
                child_pointer(pointer, "min_runs"),
                fmt::format("of {} runs there are never {}", out.limit, out.min_runs)
            );
    }

    Draft& draft_;
    std::vector<Callback>& callbacks_;
};

}  // namespace

void read_callbacks(
    Draft& draft,
    const json& owner,
    const std::string& pointer,
    std::vector<Callback>& callbacks,
    std::vector<Deadline>& deadlines
) {
    if (!owner.is_object()) return;
    Reader reader(draft, callbacks);
    for (const Key& key : keys)
        if (const auto found = owner.find(key.name); found != owner.end())
            reader.list(*found, child_pointer(pointer, key.name), key.on, -1);
    const auto found = owner.find("deadlines");
    if (found == owner.end() || !found->is_array()) return;
    const auto at = child_pointer(pointer, "deadlines");
    for (std::size_t i = 0; i < found->size(); ++i) {
        const json& written = (*found)[i];
        if (!written.is_object()) continue;
        const auto deadline = reader.deadline(written, child_pointer(at, i));
        if (!deadline) continue;
        const auto number = static_cast<int>(deadlines.size());
        deadlines.push_back(*deadline);
        for (const auto& [key, on] :
             {std::pair{"callback", CallbackOn::deadline},
              std::pair{"predicted_callback", CallbackOn::predicted}})
            if (const auto callback = written.find(key); callback != written.end())
                reader.list(*callback, child_pointer(child_pointer(at, i), key), on, number);
    }
}

void check_callbacks(Draft& draft) {
    if (draft.callbacks.empty()) return;
    TemplateScope scope;
    for (const auto& task : draft.dag.tasks) scope.task_ids.push_back(task.id);
    json params = json::object();
    const json declared = json::parse(draft.dag.params, nullptr, false);
    for (const auto& [name, schema] : declared.items())
        params[name] = schema.contains("default") ? schema["default"] : json();
    scope.params = params.dump();
    for (const auto& use : draft.callbacks) {
        const OperatorInfo* info = draft.catalogue.find(use.kind);
        if (info == nullptr || info->not_yet) continue;
        const json schema = json::parse(info->schema, nullptr, false);
        if (!schema.is_object()) continue;
        walk_schema(
            use.with,
            schema,
            use.pointer,
            [&](const json& value, const json& here, const std::string& at) {
                if (here.value("x-file", false) && value.is_string())
                    bundle_file(draft, value.get<std::string>(), at);
                return true;
            }
        );
        if (draft.stored) continue;
        auto found = check_against(use.with, schema, use.pointer, Templates::allow);
        if (found.empty()) found = check_templates(use.with, schema, scope, use.pointer);
        for (auto& problem : found) draft.problems.add(std::move(problem));
    }
}

}  // namespace sluice::spec
