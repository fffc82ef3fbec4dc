// http_source.cpp — from an HTTP API: page after page into a spool that a retry goes on from, then
// as JSON lines into the engine.
#include <fstream>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "operators/extract/csv.hpp"
#include "operators/extract/json_lines.hpp"
#include "operators/extract/page_fetcher.hpp"
#include "operators/extract/pager.hpp"
#include "operators/extract/raw_json.hpp"
#include "operators/extract/rejects.hpp"
#include "operators/extract/source.hpp"
#include "operators/extract/spool.hpp"
#include "operators/lake/progress.hpp"
#include "task/problem.hpp"

namespace sluice::extract {

namespace {

using engine::Failure;
using Json = nlohmann::json;

/// What a checkpoint is good for: the same parameters and interval on the same server.
std::string key_of(const Request& request, const task::Connection& connection, const Json& info) {
    const Json parts{
        request.from, info, connection.type, connection.host, connection.port, connection.login
    };
    return sha256_hex(parts.dump());
}

std::size_t first_bad_utf8(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const auto lead = static_cast<unsigned char>(text[at]);
        const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (!valid_utf8(text.substr(at, length))) break;
        at += length;
    }
    return at;
}

/// What a reply is, without its values, which may be personal: "an object of error, code".
std::string shape_of(std::string_view text) {
    const Json value = Json::parse(text, nullptr, false);
    if (!value.is_object()) return std::string("it is a ") + value.type_name();
    std::string keys;
    for (const auto& member : value.items()) {
        if (keys.size() > 200) break;
        keys += (keys.empty() ? "" : ", ") + member.key();
    }
    return "it is an object of " + (keys.empty() ? "nothing" : keys);
}

class Reading {
public:
    Reading(task::TaskContext& context, const Request& request, task::Connection connection)
        : context_(context),
          connection_(std::move(connection)),
          fetcher_(context, connection_, request.from),
          pagination_(request.from.value("pagination", Json())),
          pager_(pagination_),
          records_(*json_path_of(request.from.value("records", "$[*]"))),
          max_pages_(request.from.value("max_pages", std::int64_t{100'000})),
          spool_(context, key_of(request, connection_, interval_of(context))),
          progress_(context, "reading") {
        go_on();
    }

    /// Reads what is left.
    void run() {
        bool taken_over = pages_ > 0;
        while (!done_) {
            try {
                page();
            } catch (const Refused&) {
                // A cursor lives for a while only: what was read before it is read again.
                if (!taken_over) throw;
                context_.warn(where() + ": refused, so it is read from the beginning");
                begin_anew();
            } catch (const Failure&) {
                spool_.save();
                throw;
            }
            taken_over = false;
        }
    }
    Spool& spool() { return spool_; }
    [[nodiscard]] std::int64_t pages() const { return pages_; }

private:
    static Json interval_of(const task::TaskContext& context) {
        const auto& interval = context.info().data_interval;
        if (!interval) return context.info().run_id;
        return {format_offset(interval->start), format_offset(interval->end)};
    }

    [[nodiscard]] std::string where() const {
        return fetcher_.name() + ", page " + std::to_string(pages_ + 1);
    }

    void go_on() {
        const Json& found = spool_.found();
        if (found.is_null()) return;
        pages_ = found.at("pages").get<std::int64_t>();
        rows_ = found.at("rows").get<std::int64_t>();
        done_ = found.at("done").get<bool>();
        pager_.restore(found.at("pager"));
        context_.info(
            fetcher_.name() + ": goes on behind page " + std::to_string(pages_) + " (" +
            std::to_string(rows_) + " rows) of the attempt before"
        );
    }
    void begin_anew() {
        spool_.begin_anew();
        pager_ = Pager(pagination_);
        pages_ = rows_ = 0;
    }

    void page() {
        if (pages_ >= max_pages_)
            throw Failure(
                ErrorClass::permanent,
                fetcher_.name() + ": there are more than max_pages (" + std::to_string(max_pages_) +
                    ") pages"
            );
        try {
            const FetchedPage fetched = fetcher_.fetch(pager_);
            take(fetched);
        } catch (const RateLimited& failure) {
            throw RateLimited(named(failure), failure.retry_after());
        } catch (const Refused& failure) {
            throw Refused(failure.error_class(), named(failure));
        } catch (const Failure& failure) {
            throw Failure(failure.error_class(), named(failure));
        }
    }
    [[nodiscard]] std::string named(const Failure& failure) const {
        return where() + ": " + failure.what();
    }

    void take(const FetchedPage& fetched) {
        std::string_view body = fetched.body;
        if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
        check(body);
        Page page;
        page.body = body;
        page.link = fetched.link;
        page.url = fetched.url;
        if (!body.empty()) {
            page.content = content_of(body);
            const auto add = [&](std::string_view record) {
                ++page.records;
                spool_.add(record);
            };
            if (records_.each) {
                raw_elements(page.content, add);
            } else {
                add(page.content);
            }
        }
        const bool more = pager_.advance(page);
        ++pages_;
        rows_ += page.records;
        done_ = !more;
        spool_.end_page(
            {{"pages", pages_}, {"rows", rows_}, {"done", done_}, {"pager", pager_.state()}}
        );
        bytes_ += static_cast<std::int64_t>(fetched.body.size());
        progress_.call("reading, " + std::to_string(pages_) + " pages");
        progress_.reach(rows_, bytes_);
    }

    void check(std::string_view body) const {
        const std::string after = ", after row " + std::to_string(rows_);
        if (!valid_utf8(body))
            engine::bad_data(
                "the reply is not UTF-8 at byte " + std::to_string(first_bad_utf8(body)) + after
            );
        if (body.empty() || Json::accept(body)) return;
        std::string why = "unknown";
        try {
            const Json never = Json::parse(body);
        } catch (const Json::parse_error& error) {
            why = "at byte " + std::to_string(error.byte);
            if (error.byte > body.size()) why += ", where the reply ends: it is cut off";
        }
        engine::bad_data("the reply is not valid JSON " + why + after);
    }

    [[nodiscard]] std::string_view content_of(std::string_view body) const {
        const auto found = raw_value(body, records_);
        if (!found)
            engine::bad_data("the reply has nothing at the path \"records\": " + shape_of(body));
        if (records_.each && !found->starts_with('['))
            engine::bad_data(
                "what stands at the path \"records\" is no array: " + shape_of(*found)
            );
        return *found;
    }
    task::TaskContext& context_;
    const task::Connection connection_;
    PageFetcher fetcher_;
    const Json pagination_;
    Pager pager_;
    const JsonPath records_;
    const std::int64_t max_pages_;
    Spool spool_;
    lake::Progress progress_;
    std::int64_t pages_{0};
    std::int64_t rows_{0};
    std::int64_t bytes_{0};  // of this attempt
    bool done_{false};
};

Extracted from_http(
    task::TaskContext& context, engine::Database& database, const Request& request
) {
    const auto conn_id = request.from.at("conn_id").get<std::string>();
    const auto reading = std::make_shared<Reading>(context, request, context.connection(conn_id));
    reading->run();
    database.execute(rejects_table);
    std::ifstream in(reading->spool().finish(), std::ios::binary);
    const std::string endpoint = request.from.at("endpoint").get<std::string>();
    const JsonInput input{
        conn_id + ':' + endpoint.substr(0, endpoint.find('?')),
        [&](char* buffer, std::size_t size) {
            in.read(buffer, static_cast<std::streamsize>(size));
            if (in.bad()) throw Failure(ErrorClass::transient, "the spool cannot be read");
            return static_cast<std::size_t>(in.gcount());
        }
    };
    Extracted extracted = load_json(
        context,
        database,
        {input},
        JsonText::lines,
        "",
        nested_of(request.from.value("nested", "keep"))
    );
    extracted.files = reading->pages();
    extracted.text = true;
    extracted.has_rejects = true;
    extracted.written = [reading] { reading->spool().remove(); };
    return extracted;
}

void check_http(const Json& from, task::CheckResult& result) {
    if (from.contains("records") && !json_path_of(from.value("records", "")))
        task::problem(
            result,
            "E-EXTRACT-FROM",
            "/from/records",
            "\"records\" is no path: use $, .name, ['name'], [0] and, at the end, [*]"
        );
    if (!from.contains("pagination")) return;
    for (const auto& [key, message] : pagination_problems(from["pagination"]))
        task::problem(result, "E-EXTRACT-FROM", "/from/pagination/" + key, message);
}

}  // namespace

DataSource http_source() {
    return {
        .name = "HTTP",
        .conn_types = {"http", "https"},
        .reads = {"endpoint"},
        .keys =
            {"method",
             "headers",
             "query_params",
             "body",
             "records",
             "nested",
             "pagination",
             "rate_limit",
             "max_pages"},
        .has_rejects = true,
        .check = check_http,
        .read = from_http,
    };
}

}  // namespace sluice::extract
