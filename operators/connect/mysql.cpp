#include "operators/connect/mysql.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include <mysql.h>
#include <sys/socket.h>

#include "base/hash.hpp"
#include "operators/connect/mysql_fields.hpp"
#include "operators/connect/mysql_options.hpp"
#include "operators/connect/tls.hpp"
#include "operators/engine/failure.hpp"
#include "task/context.hpp"

namespace sluice::connect {

using engine::Failure;

namespace {

struct MysqlClose {
    void operator()(MYSQL* mysql) const { mysql_close(mysql); }
};
using MysqlPtr = std::unique_ptr<MYSQL, MysqlClose>;
struct MysqlFree {
    void operator()(MYSQL_RES* result) const { mysql_free_result(result); }
};
using MysqlResultPtr = std::unique_ptr<MYSQL_RES, MysqlFree>;

[[noreturn]] void fail(MYSQL* mysql) {
    const unsigned code = mysql_errno(mysql);
    const std::string message = mysql_error(mysql);
    throw Failure(
        class_of_mysql(code),
        (message.empty() ? "the connection was lost" : message) + " [" + std::to_string(code) +
            "]" + (code == mysql_tls_error ? tls_hint : "")
    );
}

void set_tls(MYSQL* mysql, const MysqlOptions& options) {
    const my_bool enforce = options.tls == MysqlTls::off ? 0 : 1;
    const my_bool verify = options.tls == MysqlTls::verify ? 1 : 0;
    if (enforce != 0) {
        const auto file = [&](mysql_option option, const std::string& path) {
            if (!path.empty()) mysql_optionsv(mysql, option, path.c_str());
        };
        if (verify != 0) file(MYSQL_OPT_SSL_CA, options.ca);
        file(MYSQL_OPT_SSL_CERT, options.certificate);
        file(MYSQL_OPT_SSL_KEY, options.key);
    }
    mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &enforce);
    mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

MysqlPtr connect_mysql(const task::Connection& connection, unsigned patience) {
    const MysqlOptions options = mysql_options(connection);
    MysqlPtr mysql(mysql_init(nullptr));
    if (!mysql) throw std::bad_alloc();
    const unsigned timeout = std::min(patience, options.connect_timeout);
    const unsigned off = 0;
    // "localhost" is a host, not a socket that somebody else chose.
    const unsigned protocol = options.socket.empty() ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
    mysql_optionsv(mysql.get(), MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
    mysql_optionsv(mysql.get(), MYSQL_SET_CHARSET_NAME, "utf8mb4");
    // A server must not ask for our files.
    mysql_optionsv(mysql.get(), MYSQL_OPT_LOCAL_INFILE, &off);
    mysql_optionsv(mysql.get(), MYSQL_OPT_PROTOCOL, &protocol);
    set_tls(mysql.get(), options);
    const auto or_null = [](const std::string& text) {
        return text.empty() ? nullptr : text.c_str();
    };
    const std::string& password = connection.password.reveal();
    if (mysql_real_connect(
            mysql.get(),
            options.socket.empty() ? or_null(connection.host) : nullptr,
            or_null(connection.login),
            or_null(password),
            or_null(connection.schema),
            static_cast<unsigned>(connection.port),
            or_null(options.socket),
            0
        ) == nullptr)
        fail(mysql.get());
    if (options.tls != MysqlTls::off && mysql_get_ssl_cipher(mysql.get()) == nullptr)
        throw Failure(ErrorClass::auth, std::string("the server has no TLS") + tls_hint);
    return mysql;
}

}  // namespace

struct Mysql::State {
    task::Connection connection;
    MysqlPtr mysql;
    unsigned long thread_id{0};
    std::atomic<bool> cancelled{false};
    std::mutex mutex;  // guards socket
    int socket{-1};

    ~State() {
        {
            const std::lock_guard lock(mutex);
            socket = -1;
        }
        mysql.reset();
    }
    /// Whoever reads gets an error at once; the server ends what it does when it next writes.
    void break_off() {
        const std::lock_guard lock(mutex);
        if (socket >= 0) ::shutdown(socket, SHUT_RDWR);
    }
    void check_cancelled() const {
        if (cancelled.load()) throw Failure(ErrorClass::transient, "cancelled");
    }
    /// What the last call says went wrong.
    [[noreturn]] void fail_now() {
        if (cancelled.load()) {
            kill_quietly();
            check_cancelled();
        }
        fail(mysql.get());
    }
    /// The server may sort for hours before it writes.
    void kill_quietly() noexcept {
        try {
            const MysqlPtr other = connect_mysql(connection, 1);
            mysql_query(other.get(), ("kill " + std::to_string(thread_id)).c_str());
        } catch (const std::exception&) {
            // It ends with its next write.
        }
    }
    void run(const std::string& sql) {
        check_cancelled();
        if (mysql_real_query(mysql.get(), sql.data(), sql.size()) != 0) fail_now();
    }
};

Mysql::Mysql(const task::Connection& connection) : state_(std::make_shared<State>()) {
    state_->connection = connection;
    state_->mysql = connect_mysql(connection, 10);
    state_->thread_id = mysql_thread_id(state_->mysql.get());
    {
        const std::lock_guard lock(state_->mutex);
        state_->socket = static_cast<int>(mysql_get_socket(state_->mysql.get()));
    }
    // A reader may pause while it writes files; the server must not give up on it.
    execute("set time_zone = '+00:00', net_write_timeout = 3600");
}

Mysql::~Mysql() = default;

void Mysql::execute(const std::string& sql) { query(sql); }

std::vector<std::vector<std::optional<std::string>>> Mysql::query(const std::string& sql) {
    state_->run(sql);
    MYSQL* mysql = state_->mysql.get();
    const MysqlResultPtr result(mysql_store_result(mysql));
    std::vector<std::vector<std::optional<std::string>>> rows;
    if (!result) {
        if (mysql_field_count(mysql) != 0) state_->fail_now();
        return rows;
    }
    while (MYSQL_ROW row = mysql_fetch_row(result.get())) {
        const unsigned long* lengths = mysql_fetch_lengths(result.get());
        auto& cells = rows.emplace_back();
        for (unsigned i = 0; i < mysql_num_fields(result.get()); ++i) {
            if (row[i] == nullptr) {
                cells.emplace_back(std::nullopt);
            } else {
                cells.emplace_back(std::string(row[i], lengths[i]));
            }
        }
    }
    return rows;
}

std::vector<MysqlField> Mysql::describe(const std::string& select) {
    state_->run(select + " limit 0");
    const MysqlResultPtr result(mysql_store_result(state_->mysql.get()));
    if (!result) state_->fail_now();
    return fields_of(result.get());
}

void Mysql::stream(
    const std::string& sql,
    const std::function<void(const std::vector<MysqlField>&)>& head,
    const std::function<void(const std::vector<MysqlCell>&)>& each
) {
    state_->run(sql);
    const MysqlResultPtr result(mysql_use_result(state_->mysql.get()));
    if (!result) state_->fail_now();
    try {
        head(fields_of(result.get()));
        std::vector<MysqlCell> cells(mysql_num_fields(result.get()));
        while (MYSQL_ROW row = mysql_fetch_row(result.get())) {
            state_->check_cancelled();
            const unsigned long* lengths = mysql_fetch_lengths(result.get());
            for (std::size_t i = 0; i < cells.size(); ++i) {
                if (row[i] == nullptr) {
                    cells[i].reset();
                } else {
                    cells[i] = std::string_view(row[i], lengths[i]);
                }
            }
            each(cells);
        }
    } catch (...) {
        // Else the library would read all the rows that are left, and the server make them.
        state_->break_off();
        state_->kill_quietly();
        throw;
    }
    if (mysql_errno(state_->mysql.get()) != 0) state_->fail_now();
    state_->check_cancelled();
}

void Mysql::cancel() {
    state_->cancelled.store(true);
    state_->break_off();
}

std::unique_ptr<Mysql> open_mysql(task::TaskContext& context, const std::string& conn_id) {
    auto opened = std::make_unique<Mysql>(context.connection(conn_id));
    context.on_cancel([weak = std::weak_ptr<Mysql::State>(opened->state_)] {
        if (const auto state = weak.lock()) {
            state->cancelled.store(true);
            state->break_off();
        }
    });
    return opened;
}

std::string mysql_name(std::string_view name) {
    std::string text = "`";
    for (const char c : name) {
        if (c == '`') text += '`';
        text += c;
    }
    return text + "`";
}

std::string mysql_dotted(std::string_view dotted) {
    const auto dot = dotted.find('.');
    if (dot == std::string_view::npos) return mysql_name(dotted);
    return mysql_name(dotted.substr(0, dot)) + "." + mysql_name(dotted.substr(dot + 1));
}

std::string mysql_text(std::string_view text) { return "_utf8mb4 x'" + to_hex(text) + "'"; }

}  // namespace sluice::connect
