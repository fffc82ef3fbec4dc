#include "operators/mask/tokens.hpp"

#include <memory>

#include <fmt/format.h>

#include "operators/connect/postgres.hpp"
#include "operators/privacy/key_store.hpp"
#include "operators/privacy/text.hpp"
#include "operators/privacy/vault.hpp"

namespace sluice::mask {

namespace {

constexpr std::int64_t batch_rows = 5'000;

std::vector<privacy::Vault::Entry> entries_of(const engine::Rows& rows, const TokenColumn& column) {
    std::vector<privacy::Vault::Entry> out;
    for (const auto& row : rows.rows) {
        const std::string key = engine::to_text(row[0]);
        out.push_back(
            {column.convergent ? privacy::normalized(column.normalize, key) : key,
             engine::to_text(row[1]),
             engine::to_text(row[2])}
        );
    }
    return out;
}

}  // namespace

std::string make_tokens(
    task::TaskContext& context,
    engine::Database& database,
    const policy::Policy& policy,
    const TokenColumn& column
) {
    const std::string values = "token_values_" + std::to_string(column.number);
    const std::string tokens = "tokens_" + std::to_string(column.number);
    database.execute(
        "create temp table " + values + " as select distinct " + column.key + " as key, " +
        column.value + " as value, " + (column.subject.empty() ? "''" : column.subject) +
        " as subject from (" + column.input + ") where " + column.value +
        " is not null; create temp table " + tokens +
        " (_sluice_key varchar, _sluice_subject varchar, _sluice_token varchar)"
    );
    const Secret master = privacy::master_of(context, policy);
    std::unique_ptr<connect::Postgres> postgres;
    std::unique_ptr<privacy::Vault> vault;
    if (!context.info().test_mode) {
        postgres = connect::open_postgres(context, policy.vault, "sluice:vault");
        vault = std::make_unique<privacy::Vault>(*postgres, master);
    }
    const std::int64_t count = database.integer("select count(*) from " + values);
    for (std::int64_t at = 0; at < count; at += batch_rows) {
        const auto rows = database.query(fmt::format(
            "select key, value, subject from {} where rowid >= {} and rowid < {} order by rowid",
            values,
            at,
            at + batch_rows
        ));
        const auto entries = entries_of(rows, column);
        std::vector<std::string> made;
        if (vault)
            made = vault->tokenize(column.domain, entries);
        else
            for (const auto& entry : entries)
                made.push_back(privacy::passing_token(
                    master,
                    column.domain,
                    entry.subject.empty() ? entry.key : entry.subject + "\x01" + entry.key
                ));
        engine::Appender appender = database.append(tokens);
        for (std::size_t i = 0; i < made.size(); ++i) {
            appender.text(engine::to_text(rows.rows[i][0]));
            appender.text(engine::to_text(rows.rows[i][2]));
            appender.text(made[i]);
            appender.end_row();
        }
        appender.close();
    }
    database.execute("drop table " + values);
    if (vault && count > 0)
        vault->note(
            "tokenize",
            column.domain,
            count,
            {context.info().dag_id + "." + context.info().task_id, "mask", context.info().run_id}
        );
    return tokens;
}

}  // namespace sluice::mask
