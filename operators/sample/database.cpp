#include <memory>

#include <fmt/format.h>
#include <libpq-fe.h>

#include "operators/sample/sample.hpp"

namespace sluice::sample {

namespace {

/// One table of the shop while it is being filled. libpq has one COPY at a time on a connection, so
/// each table has its own transaction step: begin before the first line, end after the last.
class Shop {
public:
    explicit Shop(const std::string& url) : connection_(PQconnectdb(url.c_str()), &PQfinish) {
        if (PQstatus(connection_.get()) != CONNECTION_OK)
            fail("cannot connect to the shop database");
    }

    void run(const std::string& sql) {
        const Result result{PQexec(connection_.get(), sql.c_str()), &PQclear};
        const ExecStatusType status = PQresultStatus(result.get());
        if (status != PGRES_COMMAND_OK && status != PGRES_COPY_IN) fail("the shop refused: " + sql);
    }
    void copy(std::string_view lines) {
        while (!lines.empty()) {
            const std::string_view piece = lines.substr(0, 1U << 20);
            if (PQputCopyData(connection_.get(), piece.data(), static_cast<int>(piece.size())) != 1)
                fail("copying into the shop failed");
            lines.remove_prefix(piece.size());
        }
    }
    void end_copy() {
        if (PQputCopyEnd(connection_.get(), nullptr) != 1) fail("copying into the shop failed");
        const Result result{PQgetResult(connection_.get()), &PQclear};
        if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) fail("copying into the shop failed");
        const Result last{PQgetResult(connection_.get()), &PQclear};
    }

private:
    using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

    [[noreturn]] void fail(const std::string& what) {
        throw Error(
            ErrorCode::unavailable, what + ": " + std::string(PQerrorMessage(connection_.get()))
        );
    }

    std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

void begin_table(Shop& shop, std::string_view table, std::string_view columns) {
    shop.run("set local client_min_messages = warning");
    shop.run(fmt::format("drop table if exists {}", table));
    shop.run(fmt::format("create table {} ({})", table, columns));
    shop.run(fmt::format("create index {}_recorded_at on {} (recorded_at)", table, table));
    shop.run(fmt::format("copy {} from stdin", table));
}

}  // namespace

Summary write_sample(
    const Options& options, const std::filesystem::path& home, const std::string& shop_url
) {
    Shop shop(shop_url);
    shop.run("begin");
    enum class At { start, customers, products } at = At::start;
    const auto to = [&](At next) {
        if (at == next) return;
        if (at != At::start) shop.end_copy();
        if (next == At::customers) begin_table(shop, "customers", customers_columns());
        if (next == At::products) begin_table(shop, "products", products_columns());
        at = next;
    };
    Summary summary = generate(
        options,
        home / "sample" / "ecommerce",
        [&](std::string_view lines) {
            to(At::customers);
            shop.copy(lines);
        },
        [&](std::string_view lines) {
            to(At::products);
            shop.copy(lines);
        }
    );
    to(At::start);
    shop.run("commit");
    shop.run("analyze");
    return summary;
}

}  // namespace sluice::sample
