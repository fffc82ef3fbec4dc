#include "store/migrate.hpp"

#include <charconv>
#include <cstdint>
#include <span>

#include "base/embedded.hpp"
#include "base/error.hpp"
#include "base/fault.hpp"
#include "store/pq.hpp"

namespace sluice::migrations {
std::span<const EmbeddedFile> files();
}  // namespace sluice::migrations

namespace sluice::store {
namespace {

int number_of(const EmbeddedFile& file) {
    int number = 0;
    std::from_chars(file.path.data(), file.path.data() + file.path.size(), number);
    return number;
}

constexpr Query schema_exists_sql{
    "schema_exists", "select to_regclass('schema_version') is not null"
};
constexpr Query schema_version_sql{
    "schema_version", "select coalesce(max(number), 0)::int8 from schema_version"
};
constexpr Query record_version_sql{
    "record_version", "insert into schema_version (number, name) values ($1, $2)"
};

std::int64_t version_of(Connection& connection) {
    if (!connection.run(schema_exists_sql).boolean(0, 0)) return 0;
    return connection.run(schema_version_sql).int8(0, 0);
}

void refuse_newer(std::int64_t version) {
    if (version <= newest_migration()) return;
    throw Error(
        ErrorCode::invalid,
        "the database's schema is number " + std::to_string(version) +
            ", this sluice knows up to " + std::to_string(newest_migration()) +
            ": it was used by a newer sluice, which must be used from now on"
    );
}

}  // namespace

int newest_migration() { return number_of(migrations::files().back()); }

void migrate(Connection& connection) { migrate(connection, newest_migration()); }

void migrate(Connection& connection, int last) {
    std::int64_t version = version_of(connection);
    refuse_newer(version);
    if (version >= last) return;

    Transaction transaction{connection};
    connection.script("select pg_advisory_xact_lock(7236839101)");
    connection.script(
        "create table if not exists schema_version (number int8 primary key, name text not null, "
        "applied_at timestamptz not null default clock_timestamp())"
    );
    version = version_of(connection);
    refuse_newer(version);
    for (const EmbeddedFile& file : migrations::files()) {
        if (number_of(file) <= version || number_of(file) > last) continue;
        connection.script(std::string{file.content});
        Params params;
        params.add(std::int64_t{number_of(file)}).add(file.path);
        connection.run(record_version_sql, params);
        fault_point("during_migration");
    }
    transaction.commit();
}

constexpr Query partitions_end_sql{
    "partitions_end", "select coalesce(max(hi), 0)::int8 from run_partition"
};
constexpr Query make_partition_sql{"make_partition", "call make_partition($1, $2)"};

void make_partitions(Connection& connection, std::int64_t run_key) {
    std::int64_t end = connection.run(partitions_end_sql).int8(0, 0);
    while (end <= run_key + partition_runs / 4) {
        Params params;
        params.add(end).add(end + partition_runs);
        connection.run(make_partition_sql, params);
        end += partition_runs;
    }
}

}  // namespace sluice::store
