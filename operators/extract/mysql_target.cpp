// mysql_target.cpp — to a table of MySQL or MariaDB: rows into a temporary table, then one
// transaction. A ledger table beside the target knows whose rows are there.
#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/fault.hpp"
#include "base/hash.hpp"
#include "operators/connect/mysql.hpp"
#include "operators/engine/chunk.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/mysql_table.hpp"
#include "operators/extract/mysql_types.hpp"
#include "operators/extract/mysql_verify.hpp"
#include "operators/extract/source.hpp"
#include "operators/extract/target_check.hpp"
#include "operators/lake/progress.hpp"

namespace sluice::extract {

namespace {

using connect::Mysql;
using connect::mysql_name;
using connect::mysql_text;
using engine::Failure;

constexpr const char* mysql_ledger = "`_sluice_ledger`";
constexpr std::size_t mysql_statement_bytes = std::size_t{512} << 10;

/// "a.`x` = b.`x` and ..."; keys have no NULLs.
std::string same(
    const std::vector<std::string>& names, const std::string& a, const std::string& b
) {
    std::string out;
    for (const std::string& name : names)
        out += (out.empty() ? "" : " and ") + a + "." + mysql_name(name) + " = " + b + "." +
               mysql_name(name);
    return out;
}

/// Slices are long; what stands in a primary key is not.
std::string short_slice(const std::string& slice) { return sha256_hex(slice).substr(0, 40); }

class MysqlLoad {
public:
    MysqlLoad(task::TaskContext& context, engine::Database& database, const WriteRequest& request)
        : context_(context),
          database_(database),
          request_(request),
          name_(request.to.at("table").get<std::string>()),
          schema_(name_.find('.') == std::string::npos ? "" : name_.substr(0, name_.find('.'))),
          table_(connect::mysql_dotted(name_)),
          mysql_(connect::open_mysql(context, request.to.at("conn_id").get<std::string>())) {
        for (const engine::ColumnInfo& column : request.columns) {
            const bool is_key = std::ranges::find(request.key, column.name) != request.key.end();
            columns_.push_back(mysql_column_of(column, is_key ? request.key.size() : 0));
            names_.push_back(column.name);
            if (!is_key) attributes_.push_back(column.name);
        }
    }

    Stored run() {
        mysql_->execute(
            "set session sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
            "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
        );
        collation_ = mysql_->query("select version()").at(0).at(0).value_or("").find("MariaDB") !=
                             std::string::npos
                         ? "utf8mb4_nopad_bin"
                         : "utf8mb4_0900_bin";
        if (schema_.empty() && !mysql_->query("select database()").at(0).at(0).has_value())
            throw Error(
                ErrorCode::invalid,
                "the connection names no database: write it as \"table\": \"database.table\""
            );
        tables_.emplace(
            context_,
            *mysql_,
            MysqlTables::Shape{name_, columns_, request_.key, request_.mode != "merge", collation_}
        );
        claim();
        fill_stage();
        // One load of a table at a time: what follows is short, and nobody waits for two.
        lock();
        tables_->prepare_target();
        if (request_.mode == "merge") observed_ = tables_->prepare_observations();
        mysql_->execute("start transaction");
        confirm();
        find_gone(false);
        Stored stored;
        stored.rows = request_.mode == "merge" ? merge() : replace();
        stored.generation = generation_;
        if (!request_.content_hash.empty()) check_hash();
        publish(stored.rows);
        fault_point("target_before_commit");
        mysql_->execute("commit");
        fault_point("target_after_commit");
        return stored;
    }

private:
    std::int64_t number(const std::string& sql) {
        const auto rows = mysql_->query(sql);
        if (rows.empty() || !rows[0][0]) return 0;
        return std::stoll(*rows[0][0]);
    }

    std::int64_t change(const std::string& sql) {
        mysql_->execute(sql);
        return number("select row_count()");
    }

    [[nodiscard]] std::string ledger_table() const {
        return schema_.empty() ? mysql_ledger : mysql_name(schema_) + "." + mysql_ledger;
    }
    [[nodiscard]] std::string own_row() const {
        return "target = " + mysql_text(name_) +
               " and slice = " + mysql_text(request_.slice->name());
    }

    void claim() {
        const std::string text = " character set utf8mb4 collate " + collation_ + " not null";
        mysql_->execute(
            "create table if not exists " + ledger_table() + " (target varchar(130)" + text +
            ", slice varchar(500)" + text +
            ", claimed bigint not null, generation bigint, run_id varchar(255)" + text +
            ", row_count_ bigint, committed_at datetime(6), primary key (target, slice)) "
            "engine = InnoDB row_format = dynamic"
        );
        generation_ = request_.claim(
            number("select max(claimed) from " + ledger_table() + " where " + own_row()) + 1
        );
        const std::string generation = std::to_string(generation_);
        mysql_->execute(
            "insert into " + ledger_table() + " (target, slice, claimed, run_id) values (" +
            mysql_text(name_) + ", " + mysql_text(request_.slice->name()) + ", " + generation +
            ", " + mysql_text(context_.info().run_id) +
            ") on duplicate key update claimed = greatest(claimed, " + generation + ")"
        );
    }

    void fill_stage() {
        fault_point("target_before_stage");
        tables_->make_stage();
        const std::string begin = "insert into sluice_stage (" + mysql_list(names_) + ") values ";
        std::string statement;
        std::int64_t rows = 0;
        lake::Progress progress(context_, "sending rows to " + name_, request_.rows);
        const auto send = [&] {
            if (statement.empty()) return;
            mysql_->execute(begin + statement);
            statement.clear();
            progress.reach(rows, -1);
        };
        database_.stream(mysql_select(request_.query, columns_), [&](const engine::Chunk& chunk) {
            for (std::size_t row = 0; row < chunk.rows(); ++row) {
                statement += statement.empty() ? "(" : ", (";
                for (std::size_t i = 0; i < columns_.size(); ++i) {
                    if (i > 0) statement += ", ";
                    put_mysql_cell(statement, columns_[i], chunk.column(i), row, rows + 1);
                }
                statement += ')';
                ++rows;
                if (statement.size() >= mysql_statement_bytes) send();
            }
        });
        send();
        const std::int64_t there = number("select count(*) from sluice_stage");
        if (request_.verify && (there != rows || rows != request_.rows))
            throw Failure(
                ErrorClass::permanent,
                "verify: " + std::to_string(request_.rows) + " rows were sent, " +
                    std::to_string(there) + " arrived"
            );
        fault_point("target_after_stage");
    }

    void lock() {
        const auto database = mysql_->query("select database()").at(0).at(0).value_or("");
        const std::string name =
            "sluice:" + sha256_hex((schema_.empty() ? database + "." : "") + name_).substr(0, 40);
        while (number("select get_lock(" + mysql_text(name) + ", 1)") != 1)
            if (context_.cancelled()) throw Failure(ErrorClass::transient, "cancelled");
    }

    void confirm() {
        const auto rows = mysql_->query(
            "select claimed from " + ledger_table() + " where " + own_row() + " for update"
        );
        if (rows.size() != 1 || rows[0][0] != std::to_string(generation_))
            throw Failure(
                ErrorClass::transient, "a newer attempt has claimed this slice of " + name_
            );
    }

    bool find_gone(bool sure) {
        const std::string base = mysql_text(request_.slice->base());
        std::vector<std::string> others;
        for (const auto& row : mysql_->query(
                 "select slice from " + ledger_table() + " where target = " + mysql_text(name_) +
                 " and generation is not null and slice <> " + mysql_text(request_.slice->name()) +
                 " and (slice = " + base + " or left(slice, char_length(" + base +
                 ") + 1) = concat(" + base + ", '#'))"
             ))
            others.push_back(row.at(0).value_or(""));
        gone_ = request_.slice->gone(others, sure);
        return !gone_.empty();
    }

    /// "('...', '...')": the slices whose rows are replaced.
    [[nodiscard]] std::string replaced(const std::function<std::string(const std::string&)>& as
    ) const {
        std::string list = mysql_text(as(request_.slice->name()));
        for (const std::string& slice : gone_) list += ", " + mysql_text(as(slice));
        return "(" + list + ")";
    }
    [[nodiscard]] std::string replaced() const {
        return replaced([](const std::string& slice) { return slice; });
    }

    /// Append, and replace: the slice's own rows go, of a table that is replaced all of them.
    std::int64_t replace() {
        const bool whole = request_.slice->name().empty();
        const std::string own = whole ? "" : std::string(" where ") + mysql_slice_column + " in ";
        if (!request_.key.empty() && !whole) check_cross();
        mysql_->execute("delete from " + table_ + (whole ? "" : own + replaced()));
        const std::int64_t rows = change(
            "insert into " + table_ + " (" + mysql_list(names_) + ", " + mysql_slice_column +
            ") select " + mysql_list(names_) + ", " + mysql_text(request_.slice->name()) +
            " from sluice_stage"
        );
        if (request_.verify && rows != request_.rows)
            throw Failure(
                ErrorClass::permanent,
                "verify: " + std::to_string(request_.rows) + " rows were staged, " +
                    std::to_string(rows) + " inserted"
            );
        return rows;
    }

    void check_cross() {
        const auto crossing = [&] {
            return mysql_->query(
                "select " + mysql_list(request_.key, "s.") + ", t." + mysql_slice_column +
                " from sluice_stage s join " + table_ + " t on " + same(request_.key, "s", "t") +
                " where t." + mysql_slice_column + " not in " + replaced() + " limit 1"
            );
        };
        auto rows = crossing();
        if (!rows.empty() && find_gone(true)) rows = crossing();
        if (rows.empty()) return;
        std::string example;
        for (std::size_t i = 0; i + 1 < rows[0].size(); ++i)
            example += (i == 0 ? "" : ", ") + rows[0][i].value_or("NULL");
        engine::bad_data(
            "the key (" + example + ") of " + name_ + " was loaded for \"" +
            rows[0].back().value_or("") + "\" [E-LOAD-CROSS]"
        );
    }

    /// Of every key that this slice observed before or observes now the table shows what the latest
    /// interval says, so any order of runs gives the same table.
    std::int64_t merge() {
        const std::string key = mysql_list(request_.key);
        const std::string old = replaced(short_slice);
        const std::string all = mysql_list(names_);
        mysql_->execute(
            "insert ignore into sluice_keys select " + key + " from " + observed_ +
            " where _sluice_slice in " + old
        );
        mysql_->execute("insert ignore into sluice_keys select " + key + " from sluice_stage");
        mysql_->execute("delete from " + observed_ + " where _sluice_slice in " + old);
        mysql_->execute(
            "insert into " + observed_ + " (" + all + ", _sluice_at, _sluice_slice) select " + all +
            ", " + at_text() + ", " + mysql_text(short_slice(request_.slice->name())) +
            " from sluice_stage"
        );
        mysql_->execute(
            "insert into sluice_rows (" + all + ") select " + all + " from (select " +
            mysql_list(names_, "o.") + ", row_number() over (partition by " +
            mysql_list(request_.key, "o.") +
            " order by o._sluice_at desc, o._sluice_slice desc) as nth_ from " + observed_ +
            " o join sluice_keys k on " + same(request_.key, "o", "k") + ") x where nth_ = 1"
        );
        mysql_->execute(
            "delete t from " + table_ + " t join sluice_keys k on " + same(request_.key, "t", "k") +
            " left join sluice_rows r on " + same(request_.key, "k", "r") + " where r." +
            mysql_name(request_.key.front()) + " is null"
        );
        std::string sets;
        for (const std::string& name : attributes_)
            sets += (sets.empty() ? "" : ", ") + std::string("t.") + mysql_name(name) + " = r." +
                    mysql_name(name);
        if (!sets.empty())
            mysql_->execute(
                "update " + table_ + " t join sluice_rows r on " + same(request_.key, "t", "r") +
                " set " + sets
            );
        mysql_->execute(
            "insert into " + table_ + " (" + all + ") select " + mysql_list(names_, "r.") +
            " from sluice_rows r left join " + table_ + " t on " + same(request_.key, "t", "r") +
            " where t." + mysql_name(request_.key.front()) + " is null"
        );
        if (request_.verify) {
            const std::int64_t shown = number(
                "select count(*) from sluice_stage s join " + table_ + " t on " +
                same(request_.key, "s", "t")
            );
            if (shown != request_.rows)
                throw Failure(
                    ErrorClass::permanent,
                    "verify: " + std::to_string(request_.rows) +
                        " keys were staged, the table has " + std::to_string(shown) + " of them"
                );
        }
        return request_.rows;
    }

    /// What the table holds of the slice, or says of its keys, whatever triggers there are.
    void check_hash() {
        const auto compare = [&](const std::string& what,
                                 const lake::Content& sent,
                                 const std::string& from,
                                 const std::string& held) {
            const lake::Content there = mysql_content(*mysql_, request_.columns, held);
            if (there.rows == sent.rows && there.hash == sent.hash) return;
            const std::string names = mysql_changed(*mysql_, request_.columns, from, held);
            check_content(what + " of " + name_, sent, there, names + " (a trigger of the table?)");
        };
        const lake::Content sent{request_.rows, request_.content_hash};
        const std::string& slice = request_.slice->name();
        const std::string own = std::string(" t where t.") + mysql_slice_column + " = ";
        const std::string stage = std::string(mysql_stage) + " t";
        if (request_.mode != "merge") {
            const std::string held = table_ + (slice.empty() ? " t" : own + mysql_text(slice));
            return compare("the rows", sent, stage, held);
        }
        compare("the observations", sent, stage, observed_ + own + mysql_text(short_slice(slice)));
        const std::string shown = std::string(mysql_shown) + " t";
        compare(
            "the rows",
            mysql_content(*mysql_, request_.columns, shown),
            shown,
            table_ + " t join " + mysql_keys + " k on " + same(request_.key, "t", "k")
        );
    }

    [[nodiscard]] std::string at_text() const {
        std::string utc = format_z(request_.at);
        utc.pop_back();
        return "timestamp'" + utc.replace(10, 1, " ") + "'";
    }

    void publish(std::int64_t rows) {
        if (!gone_.empty())
            mysql_->execute(
                "delete from " + ledger_table() + " where target = " + mysql_text(name_) +
                " and slice in " + replaced() + " and slice <> " +
                mysql_text(request_.slice->name())
            );
        mysql_->execute(
            "update " + ledger_table() + " set generation = " + std::to_string(generation_) +
            ", row_count_ = " + std::to_string(rows) +
            ", run_id = " + mysql_text(context_.info().run_id) +
            ", committed_at = utc_timestamp(6) where " + own_row()
        );
    }

    task::TaskContext& context_;
    engine::Database& database_;
    const WriteRequest& request_;
    const std::string name_;    // as written
    const std::string schema_;  // "" = that of the connection
    const std::string table_;   // quoted
    std::unique_ptr<Mysql> mysql_;
    std::string collation_;
    std::optional<MysqlTables> tables_;
    std::string observed_;
    std::vector<MysqlTargetColumn> columns_;
    std::vector<std::string> names_;
    std::vector<std::string> attributes_;
    std::vector<std::string> gone_;
    std::int64_t generation_{0};
};

}  // namespace

Stored write_mysql(
    task::TaskContext& context, engine::Database& database, const WriteRequest& request
) {
    return MysqlLoad(context, database, request).run();
}

}  // namespace sluice::extract
