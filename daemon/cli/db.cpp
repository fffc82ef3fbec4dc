#include <filesystem>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <pqxx/pqxx>

#include "base/artefacts.hpp"
#include "base/error.hpp"
#include "cli/local_verbs.hpp"
#include "cli/table.hpp"
#include "runtime/upkeep.hpp"
#include "store/cluster.hpp"
#include "store/retention.hpp"

namespace sluice::cli::db {
namespace {

struct Options {
    std::string home{".sluice"};
    std::string database{"sluice"};
};

void url(const Options& options) {
    std::cout << store::Cluster::url_of(options.home, options.database) << '\n';
}

constexpr const char* tables_sql =
    "select n.nspname, c.relname, c.relkind"
    " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition"
    "   and c.relpersistence <> 't'"  // no one may read another session's temporary tables
    "   and n.nspname not in ('pg_catalog', 'information_schema')"
    "   and n.nspname not like '\\_sluice%'"
    " order by 1, 2";

const char* kind_of(const std::string& relkind) {
    if (relkind == "v") return "view";
    return relkind == "m" ? "materialized view" : "table";
}

/// Every table and view with its number of rows: what a load left behind, at a glance.
void tables(const Options& options) {
    try {
        pqxx::connection connection(store::Cluster::url_of(options.home, options.database));
        pqxx::nontransaction reading(connection);
        std::vector<std::vector<std::string>> rows{{"table", "kind", "rows"}};
        for (const auto& row : reading.exec(tables_sql)) {
            const auto schema = row[0].as<std::string>();
            const auto name = row[1].as<std::string>();
            try {
                const auto count = reading.exec1(
                    "select count(*) from " + connection.quote_name(schema) + '.' +
                    connection.quote_name(name)
                );
                const auto kind = kind_of(row[2].as<std::string>());
                rows.push_back({schema + '.' + name, kind, count[0].as<std::string>()});
            } catch (const pqxx::undefined_table&) {
                // dropped since the list was read, by a run that goes on meanwhile
            }
        }
        std::cout << table(rows);
    } catch (const pqxx::broken_connection& away) {
        throw Error(
            ErrorCode::unavailable,
            "the private PostgreSQL of " + options.home +
                " does not answer (is its daemon running?): " + away.what()
        );
    }
}

struct RetainOptions {
    std::string home{".sluice"};
    std::string keep{"400d"};
    bool dry_run{false};
};

/// What the daemon does once an hour with --retention-runs.
void retain(const RetainOptions& options) {
    const auto keep = parse_duration(options.keep);
    if (!keep || *keep < Duration::zero())
        throw Error(ErrorCode::invalid, "--keep is a duration such as 400d");
    store::Retention retention(store::Cluster::url_of(options.home, "sluice"));
    std::vector<std::vector<std::string>> rows{{"partition", "run keys", "runs", "", "why"}};
    for (const auto& part : retention.plan(*keep))
        rows.push_back(
            {std::to_string(part.number),
             std::to_string(part.lo) + " to " + std::to_string(part.hi - 1),
             std::to_string(part.runs),
             part.may_go ? "goes" : "stays",
             part.why}
        );
    std::cout << table(rows);
    if (options.dry_run) return;
    const std::filesystem::path home(options.home);
    const auto runs =
        retention.apply(*keep, [&](const std::string& dag_id, const std::string& run_id) {
            runtime::remove_logs(home / "logs", dag_id, run_id);
        });
    Artefacts artefacts(home / "artefacts");
    const auto swept = artefacts.sweep(runtime::artefact_grace, [&](const auto& hashes) {
        return retention.counted(hashes);
    });
    std::cout << runs << " runs and " << swept << " artefacts are gone\n";
}

}  // namespace

void add(CLI::App& app) {
    auto* db = app.add_subcommand("db", "the databases of a home's private PostgreSQL");
    db->require_subcommand(1);
    const auto options = std::make_shared<Options>();
    const auto add_one = [&](const char* name, const char* help, void (*action)(const Options&)) {
        auto* verb = db->add_subcommand(name, help);
        verb->add_option("--home", options->home)->capture_default_str();
        verb->add_option("--database", options->database, "sluice, shop or warehouse")
            ->capture_default_str();
        verb->callback([options, action] { action(*options); });
    };
    add_one("url", "a URL that psql takes", url);
    add_one("tables", "tables and views with their numbers of rows", tables);

    const auto retention = std::make_shared<RetainOptions>();
    auto* verb = db->add_subcommand("retain", "remove the state of old runs, now");
    verb->add_option("--home", retention->home)->capture_default_str();
    verb->add_option("--keep", retention->keep, "how long ago the runs must have ended")
        ->capture_default_str();
    verb->add_flag("--dry-run", retention->dry_run, "only say what would go, and why not");
    verb->callback([retention] { retain(*retention); });
}

}  // namespace sluice::cli::db
