#include "store/stored_versions.hpp"

#include "base/hash.hpp"

namespace sluice::store {
namespace {

constexpr int current_format = 1;

constexpr Query versions_sql{"versions", R"(
    select id, dag_id, number, format, hash, fileloc, source
    from dag_version where id = any($1) order by id)"};
constexpr Query version_files_sql{"version_files", R"(
    select f.version_id, f.path, c.content
    from dag_version_file f join file_content c on c.hash = f.hash
    where f.version_id = any($1) order by f.version_id, f.path)"};

constexpr Query fence_sql{"fence", "select 1 from lease where epoch = $1 for share"};
constexpr Query newest_version_sql{"newest_version", R"(
    select v.id, v.number, v.hash, exists (
        select from dag_version f join dag_run r on r.version = f.id
        where f.dag_id = v.dag_id and f.number = v.number)
    from dag_version v where v.dag_id = $1 and not v.is_form order by v.number desc limit 1)"};
constexpr Query form_sql{
    "form", "select id from dag_version where dag_id = $1 and hash = $2 and is_form"
};
constexpr Query move_version_sql{
    "move_version", "update dag_version set fileloc = $2 where id = $1 and fileloc <> $2"
};
constexpr Query drop_version_sql{"drop_version", R"(
    with files as (delete from dag_version_file where version_id = $1),
        tasks as (delete from dag_task where version_id = $1)
    delete from dag_version where id = $1)"};
constexpr Query add_version_sql{"add_version", R"(
    insert into dag_version (dag_id, number, format, hash, fileloc, source, is_form)
    values ($1, $2, $3, $4, $5, $6, $7) returning id)"};
constexpr Query add_file_sql{"add_file", R"(
    with content as (
        insert into file_content (hash, content) values ($3, $4) on conflict (hash) do nothing)
    insert into dag_version_file (version_id, path, hash) values ($1, $2, $3))"};
constexpr Query add_tasks_sql{"add_tasks", R"(
    insert into dag_task (version_id, task_no, task_id)
    select $1, ord - 1, id from unnest($2::text[]) with ordinality as d(id, ord))"};

std::int64_t insert_version(Connection& connection, const Dag& dag, int number, bool is_form) {
    Params version;
    version.add(dag.dag_id).add_int(number).add_int(current_format).add(dag.hash);
    version.add(dag.fileloc).add(dag.source).add(is_form);
    const std::int64_t id = connection.run(add_version_sql, version).int8(0, 0);
    for (const auto& [path, content] : dag.files) {
        Params file;
        file.add(id).add(path).add(sha256_hex(content)).add(content);
        connection.run(add_file_sql, file);
    }
    std::vector<std::string> task_ids;
    for (const Task& task : dag.tasks) task_ids.push_back(task.id);
    Params tasks;
    tasks.add(id).add(std::span<const std::string>{task_ids});
    connection.run(add_tasks_sql, tasks);
    return id;
}

void check_lease(Connection& connection, std::int64_t epoch) {
    Params fence;
    fence.add(epoch);
    if (connection.run(fence_sql, fence).rows() == 0) {
        throw SqlError("SL001", "another daemon has taken the lease");
    }
}

Journal::StoredVersion stored_of(const Dag& dag, int number) {
    return {
        .dag_id = dag.dag_id,
        .number = number,
        .format = current_format,
        .hash = dag.hash,
        .fileloc = dag.fileloc,
        .source = dag.source,
        .files = dag.files
    };
}

}  // namespace

std::vector<Journal::StoredVersion> read_versions(
    Connection& connection, const std::vector<VersionId>& ids
) {
    std::vector<std::int64_t> numbers;
    for (const VersionId id : ids) numbers.push_back(id.value);
    Params params;
    params.add(std::span<const std::int64_t>{numbers});
    const Result rows = connection.run(versions_sql, params);
    const Result files = connection.run(version_files_sql, params);

    std::vector<Journal::StoredVersion> versions;
    int file = 0;
    for (int i = 0; i < rows.rows(); ++i) {
        Journal::StoredVersion version;
        version.id = VersionId{rows.int8(i, 0)};
        version.dag_id = rows.text(i, 1);
        version.number = rows.int4(i, 2);
        version.format = rows.int4(i, 3);
        version.hash = rows.text(i, 4);
        version.fileloc = rows.text(i, 5);
        version.source = rows.text(i, 6);
        for (; file < files.rows() && files.int8(file, 0) == version.id.value; ++file) {
            version.files[files.text(file, 1)] = files.text(file, 2);
        }
        versions.push_back(std::move(version));
    }
    return versions;
}

Journal::StoredVersion store_version(Connection& connection, const Dag& dag, std::int64_t epoch) {
    Transaction transaction{connection};
    check_lease(connection, epoch);
    Journal::StoredVersion stored = stored_of(dag, 1);
    Params id;
    id.add(dag.dag_id);
    const Result newest = connection.run(newest_version_sql, id);
    if (newest.rows() > 0) {
        const std::int64_t newest_id = newest.int8(0, 0);
        const bool was_run = newest.boolean(0, 3);
        stored.number = newest.int4(0, 1);
        if (newest.text(0, 2) == dag.hash) {
            Params move;
            move.add(newest_id).add(dag.fileloc);
            connection.run(move_version_sql, move);
            transaction.commit();
            stored.id = VersionId{newest_id};
            return stored;
        }
        if (was_run) {
            ++stored.number;
        } else {
            // Nobody ran it. The replacement takes the number but not the id: whoever keeps
            // definitions by id cannot mistake one for the other.
            Params old;
            old.add(newest_id);
            connection.run(drop_version_sql, old);
        }
    }
    stored.id = VersionId{insert_version(connection, dag, stored.number, false)};
    transaction.commit();
    return stored;
}

Journal::StoredVersion store_form(Connection& connection, const Dag& dag, std::int64_t epoch) {
    Transaction transaction{connection};
    check_lease(connection, epoch);
    Journal::StoredVersion stored = stored_of(dag, dag.version_number);
    Params known;
    known.add(dag.dag_id).add(dag.hash);
    const Result found = connection.run(form_sql, known);
    stored.id = VersionId{
        found.rows() > 0 ? found.int8(0, 0) : insert_version(connection, dag, stored.number, true)
    };
    transaction.commit();
    return stored;
}

}  // namespace sluice::store
