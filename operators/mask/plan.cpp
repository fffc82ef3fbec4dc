#include "operators/mask/plan.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/fields.hpp"

namespace sluice::mask {

namespace {

using nlohmann::json;
using policy::Method;
using policy::Policy;
using policy::Rule;

bool is_whole(const std::string& type) {
    return type == "smallint" || type == "integer" || type == "bigint" ||
           (type.starts_with("decimal") && type.ends_with(",0)"));
}

class Planner {
public:
    Planner(const Policy& policy, const json& rules, const Subject& subject)
        : policy_(policy), subject_(subject), problems_("") {
        for (const auto& [column, value] : rules.items()) {
            const std::string pointer = "/rules/" + column;
            if (binding::find(subject.columns, column) == nullptr)
                problems_.error(
                    "E-COLUMN",
                    pointer,
                    subject.from + " has no column \"" + column + "\"",
                    did_you_mean(column, binding::names(subject.columns))
                );
            else if (auto rule = policy::read_rule(value, pointer, problems_))
                own_.emplace(column, std::move(*rule));
        }
        allowed_ = policy.allowed(binding::in_lake(subject.to) ? "curated" : "warehouse");
    }

    Plan make() {
        for (const ColumnSpec& column : subject_.columns) plan_column(column);
        std::set<std::string> seen;
        for (const Output& output : plan_.outputs)
            if (!seen.insert(output.column.name).second)
                problems_.error(
                    "E-COLUMN", "", "there would be two columns \"" + output.column.name + "\""
                );
        plan_.problems = problems_.take();
        return std::move(plan_);
    }

private:
    /// The task's own rule, then the policy's for the column by its origins or its name, then for
    /// its class.
    [[nodiscard]] const Rule* rule_of(const ColumnSpec& column) const {
        if (const auto own = own_.find(column.name); own != own_.end()) return &own->second;
        const auto by_name = [&](const std::string& name) -> const Rule* {
            const auto found = policy_.columns.find(name);
            return found == policy_.columns.end() ? nullptr : &found->second;
        };
        for (const std::string& origin : column.origins)
            if (const Rule* rule = by_name(origin)) return rule;
        if (const Rule* rule = by_name(subject_.from + "." + column.name)) return rule;
        if (const Rule* rule = by_name(column.name)) return rule;
        if (column.pii_class.empty()) return nullptr;
        const auto by_class = policy_.classes.find(column.pii_class);
        return by_class == policy_.classes.end() ? nullptr : &by_class->second;
    }

    void plan_column(const ColumnSpec& column) {
        const Rule* rule = rule_of(column);
        if (rule == nullptr) {
            const bool readable = column.pii_class.empty() ||
                                  std::ranges::find(allowed_, column.pii_class) != allowed_.end();
            if (!readable)
                problems_.error(
                    "E-PII",
                    "/from",
                    subject_.from + "." + column.name + " has the class " + column.pii_class +
                        ", for which the policy has no rule, and which may not stay readable in " +
                        subject_.to + " (" + path(column) + ")",
                    "add a rule for the class or the column, or list the class under allow"
                );
            Output kept;
            kept.source = column.name;
            kept.column = column;
            plan_.outputs.push_back(std::move(kept));
            return;
        }
        if (rule->outputs.empty()) {
            add(column, column.name, *rule);
            return;
        }
        for (const auto& [name, one] : rule->outputs) add(column, name, one);
    }

    /// "raw.customers.email -> processed.customers.mail"
    [[nodiscard]] std::string path(const ColumnSpec& column) const {
        std::string out;
        for (const std::string& origin : column.origins) out += origin + " -> ";
        return out + subject_.from + "." + column.name;
    }

    void add(const ColumnSpec& column, const std::string& name, const Rule& rule) {
        check_rule(column, rule);
        if (rule.method == Method::drop) return;
        Output output;
        output.source = column.name;
        output.masked = true;
        output.rule = rule;
        output.domain = column.pii_class.empty() ? column.name : column.pii_class;
        output.column = column;
        output.column.name = name;
        output.column.pii_class.clear();
        output.column.parse.clear();
        output.column.type = result_type(column, rule);
        if (rule.mask_nulls && rule.method != Method::nullify) output.column.type = "varchar";
        if (rule.method == Method::nullify || rule.method == Method::shift_date)
            output.column.not_null = false;
        plan_.outputs.push_back(std::move(output));
    }

    static std::string result_type(const ColumnSpec& column, const Rule& rule) {
        switch (rule.method) {
            case Method::year:
                return "integer";
            case Method::geo:
                return "double";
            case Method::round:
            case Method::noise:
                return is_whole(column.type) ? "bigint" : "double";
            case Method::bucket:
                return rule.unit.empty() ? "varchar" : "date";
            case Method::shift_date:
            case Method::nullify:
            case Method::drop:
                return column.type;
            case Method::sha256:
            case Method::md5:
            case Method::hmac:
            case Method::partial:
            case Method::email:
            case Method::token:
            case Method::ff1:
            case Method::siv:
            case Method::fake:
            case Method::constant:
                return "varchar";
        }
        unreachable();
    }

    void check_rule(const ColumnSpec& column, const Rule& rule) {
        check_type(column, rule);
        check_strength(column, rule);
        for (const std::string& name : rule.beside())
            if (binding::find(subject_.columns, name) == nullptr)
                problems_.error(
                    "E-COLUMN",
                    "/from",
                    subject_.from + "." + column.name + ": " +
                        std::string(policy::name(rule.method)) + " needs the column \"" + name +
                        "\", which is not there",
                    did_you_mean(name, binding::names(subject_.columns))
                );
    }

    void check_strength(const ColumnSpec& column, const Rule& rule) {
        constexpr std::array guessable{"email", "phone", "card", "national_id"};
        const std::string where = subject_.from + "." + column.name;
        const std::string& of = column.pii_class;
        const bool plain = rule.method == Method::sha256 || rule.method == Method::md5;
        if (plain && rule.salt.empty() && std::ranges::find(guessable, of) != guessable.end())
            problems_.warning(
                "W-MASK-UNKEYED",
                "/from",
                where + ": " + std::string(policy::name(rule.method)) +
                    " without a key can be undone for the class " + of + " by trying all values",
                "use hmac"
            );
        if (rule.method == Method::md5 && !rule.legacy && !of.empty() && of != "quasi")
            problems_.error(
                "E-MASK-LEGACY",
                "/from",
                where + ": md5 of the class " + of + " needs legacy: true",
                "use hmac"
            );
        if (rule.method == Method::partial && of == "national_id" &&
            rule.keep_first + rule.keep_last > 4)
            problems_.error(
                "E-MASK-WEAK",
                "/from",
                where + ": partial may keep at most 4 characters of a national_id"
            );
        if (rule.method == Method::partial && of == "card" && rule.keep_first + rule.keep_last > 10)
            problems_.error(
                "E-MASK-WEAK",
                "/from",
                where + ": partial may keep at most 10 digits of a card number"
            );
        if (rule.method == Method::geo && of == "geo" && rule.digits > 3)
            problems_.error(
                "E-MASK-WEAK", "/from", where + ": geo may keep at most 3 digits: 4 are the house"
            );
        if (rule.method == Method::ff1) check_ff1(column, rule, where);
    }

    /// What the type says of the number of characters, before any row is there.
    void check_ff1(const ColumnSpec& column, const Rule& rule, const std::string& where) {
        std::size_t longest = 0;
        if (column.type == "smallint") longest = 5;
        if (column.type == "integer") longest = 10;
        if (column.type.starts_with("varchar(")) longest = std::stoul(column.type.substr(8));
        const auto kept = static_cast<std::size_t>(rule.keep_first + rule.keep_last);
        if (longest == 0) return;
        std::size_t size = 1;
        for (std::size_t i = kept; i < longest && size < 1'000'000; ++i)
            size *= rule.alphabet.size();
        if (size < 1'000'000)
            problems_.error(
                "E-MASK-WEAK",
                "/from",
                where + " is " + column.type +
                    ": ff1 would encrypt so few characters that all can be tried (a million is the "
                    "least)",
                "use hmac"
            );
    }

    void check_type(const ColumnSpec& column, const Rule& rule) {
        const std::string& type = column.type;
        const std::string where = subject_.from + "." + column.name + " is " + type + ": ";
        const bool text = type.starts_with("varchar");
        const bool time = type == "date" || type.starts_with("timestamp");
        const bool number =
            is_whole(type) || type == "double" || type == "real" || type.starts_with("decimal");
        const auto refuse = [&](const char* why) {
            problems_.error("E-MASK-TYPE", "/from", where + why);
        };
        if (rule.method == Method::year && !time && !text) refuse("it has no year");
        if (rule.method == Method::geo && !text && (!number || is_whole(type)))
            refuse("it is no coordinate");
        if (rule.method == Method::shift_date && !time)
            refuse("only dates and times can be shifted (cast it first)");
        if (rule.method == Method::bucket && !rule.unit.empty() && !time)
            refuse("a bucket with a unit takes dates and times");
        const bool counts = rule.method == Method::round || rule.method == Method::noise ||
                            (rule.method == Method::bucket && rule.unit.empty());
        if (counts && !number) refuse("it is no number");
    }

    const Policy& policy_;
    const Subject& subject_;
    Problems problems_;
    std::map<std::string, Rule> own_;
    std::vector<std::string> allowed_;
    Plan plan_;
};

}  // namespace

Plan make_plan(const Policy& policy, const json& rules, const Subject& subject) {
    return Planner(policy, rules, subject).make();
}

}  // namespace sluice::mask
