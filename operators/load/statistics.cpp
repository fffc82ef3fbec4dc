#include "operators/load/statistics.hpp"

namespace sluice::load {

namespace {

constexpr std::int64_t large_rows = 1000;

}  // namespace

bool analyze_is_due(connect::Postgres& sql, const std::string& quoted_table) {
    const auto answer = sql.value(
        "select relkind = 'p' or coalesce(pg_stat_get_last_analyze_time(oid), "
        "pg_stat_get_last_autoanalyze_time(oid)) is null or pg_stat_get_mod_since_analyze(oid) + "
        "pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid) + "
        "pg_stat_get_xact_tuples_deleted(oid) > "
        "current_setting('autovacuum_analyze_threshold')::float8 + "
        "current_setting('autovacuum_analyze_scale_factor')::float8 * greatest(reltuples, 0) "
        "from pg_class where oid = to_regclass($1)",
        {quoted_table}
    );
    return answer == "t";
}

void analyze(connect::Postgres& sql, const std::string& quoted_table) {
    // A session tells what it changed a second later, else these rows would count as changed since.
    if (sql.integer("select current_setting('server_version_num')::integer") >= 150'000)
        sql.query("select pg_stat_force_next_flush()");
    sql.execute("analyze " + quoted_table);
}

void analyze_if_large(
    connect::Postgres& sql, const std::string& temporary_table, std::int64_t rows
) {
    if (rows >= large_rows) sql.execute("analyze " + temporary_table);
}

}  // namespace sluice::load
