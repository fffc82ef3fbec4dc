// lake_fixture.hpp — for tests of data operators: a lake in a temporary folder, data sets with the
// columns they are given, operators checked and run on them. Not for product code.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/slice.hpp"
#include "task/fake_context.hpp"

namespace sluice::binding {

class LakeFixture {
public:
    LakeFixture() {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-lake-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr)
            throw Error(ErrorCode::internal, "no temporary folder");
        path_ = name;
    }
    ~LakeFixture() { std::filesystem::remove_all(path_); }
    LakeFixture(const LakeFixture&) = delete;
    LakeFixture& operator=(const LakeFixture&) = delete;

    /// {"a": "bigint not null @name", ...} or {"a": {"type": ..., "parse": [...]}}
    void declare(const std::string& dataset, const std::string& columns) {
        DatasetSpec spec;
        spec.name = dataset;
        spec.declared = true;
        const auto parsed = nlohmann::ordered_json::parse(columns);
        for (const auto& [name, value] : parsed.items()) {
            ColumnSpec column;
            column.name = name;
            std::string text =
                value.is_string() ? value.get<std::string>() : value.at("type").get<std::string>();
            if (value.is_object()) {
                const auto& parse = value.at("parse");
                if (parse.is_string())
                    column.parse = {parse.get<std::string>()};
                else
                    column.parse = parse.get<std::vector<std::string>>();
            }
            if (const auto at = text.find(" @"); at != std::string::npos) {
                column.pii_class = text.substr(at + 2);
                text.resize(at);
            }
            if (const auto at = text.find(" not null"); at != std::string::npos) {
                column.not_null = true;
                text.resize(at);
            }
            column.type = text;
            spec.columns.push_back(std::move(column));
        }
        datasets_[dataset] = std::move(spec);
    }
    /// Writes the rows of a query as the data set's slice of the day.
    void put(const std::string& dataset, const std::string& query) {
        datasets_.try_emplace(dataset).first->second.name = dataset;
        const task::Operator writer{
            .name = "put",
            .summary = {},
            .schema = "{}",
            .traits = {},
            .check = {},
            .run =
                [&](task::TaskContext& context, const nlohmann::json&) {
                    const auto database = engine::open_database(context);
                    lake::write(context, *database, {dataset, query, {}, "test", {}});
                    return task::success();
                }
        };
        const Outcome outcome = run(writer, nlohmann::json::object());
        if (outcome.kind != OutcomeKind::success) throw Error(ErrorCode::internal, outcome.message);
    }
    /// What `check` says; data sets it derives are known afterwards.
    task::CheckResult check(
        const task::Operator& op, const nlohmann::json& params, const std::string& attest = ""
    ) {
        Dag dag;
        dag.policy = policy;
        dag.files = files;
        dag.schemas = schemas;
        Task the_task;
        the_task.attest = attest;
        task::CheckResult result =
            op.check({dag, the_task, params, [this](const std::string& name) -> const DatasetSpec* {
                          const auto found = datasets_.find(name);
                          return found == datasets_.end() ? nullptr : &found->second;
                      }});
        for (const DatasetSpec& made : result.writes) datasets_[made.name] = made;
        return result;
    }
    Outcome run(const task::Operator& op, const nlohmann::json& params) {
        task::FakeContext fake(ledger_);
        prepare(fake);
        const Outcome outcome = fake.run(op, params);
        xcom = fake.xcom();
        found_by_checks = fake.xcom("checks");
        logs = fake.logs();
        return outcome;
    }
    /// A query over data sets, each under its own name; the answer's cells as text, "null" for
    /// NULL, rows in order, cells joined by '|'.
    std::vector<std::string> rows(
        const std::vector<std::string>& datasets, const std::string& query
    ) {
        task::FakeContext fake(ledger_);
        prepare(fake);
        const auto database = engine::open_database(fake.context());
        for (const std::string& name : datasets) {
            const auto source = lake::read(fake.context(), *database, lake::query_of(name));
            const std::string schema = name.substr(0, name.find('.'));
            database->execute(
                "create schema if not exists " + schema + "; create view " + name +
                " as select * from " + source.relation
            );
        }
        std::vector<std::string> out;
        for (const auto& row : database->query(query).rows) {
            std::string line;
            for (const auto& cell : row)
                line += (line.empty() ? "" : "|") +
                        (engine::is_null(cell) ? std::string("null") : engine::to_text(cell));
            out.push_back(line);
        }
        return out;
    }
    [[nodiscard]] const DatasetSpec& dataset(const std::string& name) const {
        return datasets_.at(name);
    }

    [[nodiscard]] const std::string& path() const { return path_; }

    std::string policy;
    std::optional<Interval> interval;  // of the runs; none = the day 2026-01-05
    bool of_the_dag{false};            // runs too know `policy` as their DAG's
    std::map<std::string, std::string> files;
    std::map<std::string, std::string> schemas;
    std::map<std::string, Secret> secrets;
    std::optional<task::Connection> warehouse;  // behind every schema of `schemas`
    nlohmann::json xcom;
    nlohmann::json found_by_checks;  // what a validate task found
    std::vector<std::pair<task::Level, std::string>> logs;

private:
    void prepare(task::FakeContext& fake) {
        fake.folder("lake", path_);
        if (interval) fake.interval(interval->start, interval->end);
        std::vector<DatasetSpec> all;
        for (const auto& [name, spec] : datasets_) all.push_back(spec);
        fake.datasets(std::move(all));
        fake.files(files);
        fake.job.secrets = secrets;
        if (of_the_dag) fake.job.policy = policy;
        if (!warehouse) return;
        fake.connect(*warehouse);
        for (const auto& [schema, conn_id] : schemas) fake.job.schemas[schema] = {conn_id, schema};
    }

    std::string path_;
    task::FakeLedger ledger_;
    std::map<std::string, DatasetSpec> datasets_;
};

}  // namespace sluice::binding
