#include "operators/privacy/sql_functions.hpp"

#include <map>
#include <memory>
#include <mutex>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/privacy/key_store.hpp"

namespace sluice::privacy {

namespace {

using engine::Arguments;
using engine::FunctionType;
using engine::Results;
using nlohmann::json;
using policy::Method;
using policy::Rule;

/// Some rows of a call.
class SomeRows final : public Arguments, public Results {
public:
    SomeRows(const Arguments& in, Results& out, const std::vector<std::size_t>& rows)
        : in_(in), out_(out), rows_(rows) {}
    [[nodiscard]] std::size_t rows() const override { return rows_.size(); }
    [[nodiscard]] bool is_null(std::size_t argument, std::size_t row) const override {
        return in_.is_null(argument, rows_[row]);
    }
    [[nodiscard]] std::string_view text(std::size_t argument, std::size_t row) const override {
        return in_.text(argument, rows_[row]);
    }
    [[nodiscard]] std::int64_t integer(std::size_t argument, std::size_t row) const override {
        return in_.integer(argument, rows_[row]);
    }
    void null(std::size_t row) override { out_.null(rows_[row]); }
    void text(std::size_t row, std::string_view value) override { out_.text(rows_[row], value); }
    void integer(std::size_t row, std::int64_t value) override { out_.integer(rows_[row], value); }

private:
    const Arguments& in_;
    Results& out_;
    const std::vector<std::size_t>& rows_;
};

struct Asked {
    Rule rule;
    std::string domain;
};
using KeysOf = std::function<Keys(const Rule&)>;
/// What the second argument (the third too, where there is one) asks for. Throws Error.
using RuleOf = std::function<Asked(const std::string& name)>;

/// The functions behind one name, by its second argument. Thread-safe.
class ByName {
public:
    ByName(RuleOf rule_of, KeysOf keys_of)
        : rule_of_(std::move(rule_of)), keys_of_(std::move(keys_of)) {}

    void run(
        const Arguments& in, Results& out, const std::function<std::string(std::size_t)>& name
    ) {
        std::map<std::string, std::vector<std::size_t>> rows;
        for (std::size_t row = 0; row < in.rows(); ++row) {
            if (in.is_null(0, row) || in.is_null(1, row))
                out.null(row);
            else
                rows[name(row)].push_back(row);
        }
        for (const auto& [one, its] : rows) {
            SomeRows some(in, out, its);
            const Made& made = of(one);
            made.function.body(some, some);
            if (made.tally->refused > 0)
                throw Error(
                    ErrorCode::invalid,
                    "values for the domain \"" + one +
                        "\" are too short to be encrypted: fewer than a million possibilities"
                );
        }
    }

private:
    struct Made {
        std::shared_ptr<Tally> tally;
        Function function;
    };
    const Made& of(const std::string& name) {
        const std::lock_guard lock(mutex_);
        if (const auto found = made_.find(name); found != made_.end()) return found->second;
        const Asked asked = rule_of_(name);
        auto tally = std::make_shared<Tally>();
        auto function = function_of(asked.rule, asked.domain, keys_of_(asked.rule), tally);
        if (!function || function->result != FunctionType::text)
            throw Error(
                ErrorCode::invalid,
                "the rule \"" + name + "\" (" + std::string(policy::name(asked.rule.method)) +
                    ") makes no text of one value: use the operator mask"
            );
        return made_.emplace(name, Made{std::move(tally), std::move(*function)}).first->second;
    }

    const RuleOf rule_of_;
    const KeysOf keys_of_;
    std::mutex mutex_;  // guards made_
    std::map<std::string, Made> made_;
};

class Registry {
public:
    Registry(engine::Database& database, KeysOf keys_of)
        : database_(database), keys_of_(std::move(keys_of)) {}

    void add(const std::string& name, FunctionType second, RuleOf rule_of) {
        const auto by_name = std::make_shared<ByName>(std::move(rule_of), keys_of_);
        const bool text = second == FunctionType::text;
        database_.add_function(
            {.name = name,
             .arguments = {FunctionType::text, second},
             .result = FunctionType::text,
             .body =
                 [by_name, text](const Arguments& in, Results& out) {
                     by_name->run(in, out, [&](std::size_t row) {
                         return text ? std::string(in.text(1, row))
                                     : std::to_string(in.integer(1, row));
                     });
                 },
             .handles_null = false,
             .is_volatile = false}
        );
    }
    /// mask_shift_days(subject, domain): a number whose remainder gives the days.
    void add_number(const std::string& name, Method method) {
        const auto keys_of = keys_of_;
        database_.add_function(
            {.name = name,
             .arguments = {FunctionType::text, FunctionType::text, FunctionType::integer},
             .result = FunctionType::integer,
             .body =
                 [keys_of, method](const Arguments& in, Results& out) {
                     for (std::size_t row = 0; row < in.rows(); ++row) {
                         if (in.is_null(0, row) || in.is_null(1, row) || in.is_null(2, row)) {
                             out.null(row);
                             continue;
                         }
                         Rule rule;
                         rule.method = method;
                         rule.days = static_cast<int>(in.integer(2, row));
                         if (rule.days < 7 || rule.days > 36'500)
                             throw Error(
                                 ErrorCode::invalid, "a date is shifted by 7 to 36500 days"
                             );
                         const std::vector<std::size_t> one{row};
                         SomeRows some(in, out, one);
                         function_of(rule, std::string(in.text(1, row)), keys_of(rule), nullptr)
                             ->body(some, some);
                     }
                 },
             .handles_null = false,
             .is_volatile = false}
        );
    }

private:
    engine::Database& database_;
    KeysOf keys_of_;
};

Asked plain_rule(Method method, const std::string& domain) {
    Rule rule;
    rule.method = method;
    if (method == Method::ff1) rule.keep_last = 0;
    return {rule, domain};
}

void add_functions(
    engine::Database& database, const policy::Policy& policy, const KeysOf& keys_of
) {
    Registry registry(database, keys_of);
    registry.add("mask", FunctionType::text, [policy](const std::string& name) -> Asked {
        if (const auto of = policy.classes.find(name); of != policy.classes.end())
            return {of->second, name};
        if (const auto of = policy.columns.find(name); of != policy.columns.end())
            return {of->second, name.substr(name.rfind('.') + 1)};
        throw Error(ErrorCode::invalid, "the policy has no rule \"" + name + "\"");
    });
    for (const Method method : {Method::hmac, Method::ff1, Method::siv})
        registry.add(
            "mask_" + std::string(policy::name(method)),
            FunctionType::text,
            [method](const std::string& domain) { return plain_rule(method, domain); }
        );
    registry.add("mask_sha256", FunctionType::text, [](const std::string& salt) {
        Asked asked = plain_rule(Method::sha256, "");
        asked.rule.salt = salt;
        return asked;
    });
    registry.add("mask_fake", FunctionType::text, [](const std::string& dictionary) {
        Asked asked = plain_rule(Method::fake, dictionary);
        asked.rule.dictionary = dictionary;
        return asked;
    });
    registry.add("mask_email", FunctionType::text, [](const std::string& domain) {
        Asked asked = plain_rule(Method::email, "email");
        asked.rule.mail_domain = domain;
        if (domain != "keep" && domain != "hmac" && domain != "tld")
            throw Error(ErrorCode::invalid, "mask_email takes keep, hmac or tld");
        return asked;
    });
    registry.add("mask_partial", FunctionType::integer, [](const std::string& keep_last) {
        Asked asked = plain_rule(Method::partial, "");
        asked.rule.keep_last = std::stoi(keep_last);
        return asked;
    });
    registry.add_number("mask_shift_days", Method::shift_date);
    database.execute(
        "create or replace macro mask_shift_date(value, subject, days, domain) as "
        "value + to_days(cast(mask_shift_days(cast(subject as varchar), domain, days) as integer));"
        "create or replace macro mask_year(value) as year(value);"
        "create or replace macro mask_geo(value, digits) as round(cast(value as double), "
        "least(digits, 3));"
        "create or replace macro mask_round(value, step) as round(value / step) * step"
    );
}

/// What the functions may clear a column of its class by: the name, and what its constants allow.
bool clears(const json& node) {
    static const std::set<std::string> names{
        "mask",
        "mask_hmac",
        "mask_ff1",
        "mask_siv",
        "mask_sha256",
        "mask_fake",
        "mask_email",
        "mask_shift_date",
        "mask_year",
        "mask_geo",
        "mask_round"
    };
    if (node.value("class", "") != "FUNCTION") return false;
    const std::string name = node.value("function_name", "");
    if (names.contains(name)) return true;
    if (name != "mask_partial" || node.at("children").size() != 2) return false;
    const json& last = node.at("children")[1];
    if (last.value("class", "") != "CONSTANT") return false;
    const json value = last.value("value", json::object()).value("value", json());
    return value.is_number_integer() && value.get<int>() <= 4;
}

}  // namespace

bool mentions_mask(std::string_view sql) {
    return sql.find("mask(") != std::string_view::npos ||
           sql.find("mask_") != std::string_view::npos;
}

void add_check_functions(engine::Database& database, const policy::Policy& policy) {
    add_functions(database, policy, [](const Rule&) {
        Keys keys;
        keys.master = Secret(std::string(32, '\0'));
        keys.raw = Secret(std::string(64, '0'));
        return keys;
    });
}

void add_run_functions(
    task::TaskContext& context, engine::Database& database, const policy::Policy& policy
) {
    // Asked for from the engine's threads, while the statement runs.
    const auto once = std::make_shared<std::mutex>();
    add_functions(database, policy, [&context, policy, once](const Rule& rule) {
        const std::lock_guard lock(*once);
        return keys_of(context, policy, rule);
    });
}

std::set<std::string> masked_outputs(engine::Database& database, const std::string& sql) {
    std::set<std::string> out;
    const json tree =
        json::parse(database.text("select json_serialize_sql($1::varchar)::varchar", {sql}));
    if (tree.value("error", false) || tree.at("statements").size() != 1) return out;
    const json& node = tree.at("statements")[0].at("node");
    if (node.value("type", "") != "SELECT_NODE") return out;
    for (const json& item : node.at("select_list"))
        if (clears(item) && !item.value("alias", "").empty())
            out.insert(item.at("alias").get<std::string>());
    return out;
}

}  // namespace sluice::privacy
