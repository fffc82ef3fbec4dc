// GET /status and /status/{dag}: plain HTML for terminals, wall displays and bad days. No script.
#include <algorithm>

#include "api/pages.hpp"
#include "api/ui.hpp"

namespace sluice::api {
namespace {

using http::escape_html;
using http::Reply;
using http::Request;

constexpr std::size_t page_bytes = 19'000;

/// A name that a narrow screen may break behind each `_` and `.`.
std::string breakable(std::string_view text) {
    std::string html;
    for (const char c : text) {
        html += escape_html(std::string(1, c));
        if (c == '_' || c == '.') html += "<wbr>";
    }
    return html;
}

/// A problem a line.
std::string lines_of(std::string_view text) {
    std::string html;
    for (const char c : text) html += c == '\n' ? "<br>" : escape_html(std::string(1, c));
    return html;
}

std::string head_of(const std::string& title) {
    return "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
           "<meta name=\"viewport\" content=\"width=device-width\">"
           "<link rel=\"icon\" href=\"data:,\"><title>" +
           escape_html(title) + "</title><h1>" + breakable(title) + "</h1>\n";
}

std::string scheduler_words(Services& services) {
    if (services.runtime.figures().owner) return "ok";
    const auto owner = services.runtime.owner_address();
    return owner.empty() ? "no owner" : "this node stands by, the owner is " + escape_html(owner);
}

std::string health_line(Services& services) {
    const auto& figures = services.runtime.figures();
    const auto errors = services.runtime.registry().import_errors().size();
    return std::string("<p>Scheduler: ") + scheduler_words(services) +
           " &middot; database: " + (figures.database_available ? "ok" : "away") +
           " &middot; import errors: " + std::to_string(errors) + " &middot; " +
           format_z(services.clock.now()) + "</p>\n";
}

std::string link(const std::string& dag_id) {
    return "<a href=\"/status/" + http::percent_encode(dag_id) + "\">" + breakable(dag_id) + "</a>";
}

std::string time_cell(const std::optional<Instant>& at) {
    return "<td>" + (at ? format_z(std::chrono::floor<std::chrono::seconds>(*at)) : "") + "</td>";
}

Reply page(std::string body) {
    Reply reply = http::html_reply(200, std::move(body) + "</html>\n");
    set_page_headers(reply);
    return reply;
}

/// Names and errors of pipelines are not for everyone who can reach the port: from the local host
/// the page is open (curl, a wall display), from elsewhere it asks for a login. A proxy in front
/// says whom it speaks for.
bool may_see(Services& services, const Request& request) {
    const bool local = request.remote.starts_with("127.") || request.remote == "::1";
    if (local && request.header("x-forwarded-for").empty() && request.header("forwarded").empty())
        return true;
    return services.auth.try_identify(request).has_value();
}

Reply to_login(const Request& request) {
    return http::redirect_reply(302, "/login?next=" + http::percent_encode(request.path));
}

Reply get_status(Services& services, const Request& request, const Caller&) {
    if (!may_see(services, request)) return to_login(request);
    const auto dags = services.runtime.registry().all();
    std::vector<std::string> ids;
    for (const auto& listed : dags) ids.push_back(listed.dag->dag_id);
    const auto latest = services.queries.latest_runs(ids, 1);
    std::string body = head_of("Sluice status") + health_line(services);
    for (const auto& error : services.runtime.registry().import_errors()) {
        if (body.size() > page_bytes / 2) break;
        body += "<p><b>import error</b> " + lines_of(error.text().substr(0, 400)) + "</p>\n";
    }
    body += "<table border=\"1\"><tr><th>DAG<th>paused<th>last run<th>state<th>ended<th>next run\n";
    std::size_t shown = 0;
    for (const auto& listed : dags) {
        std::string row = "<tr><td>" + link(listed.dag->dag_id) + "</td><td>" +
                          (listed.state.is_paused ? "paused" : "") + "</td>";
        const auto found = latest.find(listed.dag->dag_id);
        if (found != latest.end() && !found->second.empty()) {
            const DagRun& run = found->second.front().run;
            row += "<td>" + breakable(run.run_id) + "</td><td>" + std::string(name(run.state)) +
                   "</td>" + time_cell(run.end_date);
        } else {
            row += "<td></td><td></td><td></td>";
        }
        row += time_cell(listed.state.next_run_after) + "</tr>\n";
        if (body.size() + row.size() > page_bytes - 200) break;
        body += row;
        ++shown;
    }
    body += "</table>\n";
    if (shown < dags.size())
        body += "<p>" + std::to_string(dags.size() - shown) + " more DAGs are not shown.</p>\n";
    return page(std::move(body));
}

Reply get_dag_status(Services& services, const Request& request, const Caller&) {
    if (!may_see(services, request)) return to_login(request);
    const std::string& dag_id = request.param("dag_id");
    const auto listed = services.runtime.registry().find(dag_id);
    if (!listed) {
        Reply reply = page(head_of("Unknown DAG") + "<p><a href=\"/status\">All DAGs</a></p>");
        reply.status = 404;
        return reply;
    }
    std::string body =
        head_of(dag_id) + "<p><a href=\"/status\">All DAGs</a></p>" + health_line(services);
    body += "<p>" + escape_html(listed->dag->description.substr(0, 500)) +
            "</p><p>Schedule: " + escape_html(schedule_description(listed->dag->schedule)) +
            (listed->state.is_paused ? " (paused)" : "") + "</p>\n";
    auto latest = services.queries.latest_runs({dag_id}, 20);
    body += "<table border=\"1\"><tr><th>run<th>state<th>started<th>ended<th>failed tasks\n";
    for (const auto& row : latest[dag_id]) {
        const DagRun& run = row.run;
        std::string failed;
        if (run.state == RunState::failed) {
            store::TaskFilter filter;
            filter.run = run.key;
            filter.states = {TaskState::failed};
            filter.page.limit = 5;
            for (const auto& task : services.queries.tasks(filter).rows)
                failed += "<div>" + breakable(task.task_id) + ": " +
                          escape_html(task.instance.error.substr(0, 160)) + "</div>";
        }
        const std::string line = "<tr><td>" + breakable(run.run_id) + "</td><td>" +
                                 std::string(name(run.state)) + "</td>" +
                                 time_cell(run.start_date) + time_cell(run.end_date) + "<td>" +
                                 failed + "</td></tr>\n";
        if (body.size() + line.size() > page_bytes - 100) break;
        body += line;
    }
    return page(body + "</table>\n");
}

}  // namespace

Rows status_endpoints() {
    constexpr auto open = http::Access::open;
    return {
        {"GET", "/status", "", open, get_status},
        {"GET", "/status/{dag_id}", "", open, get_dag_status},
    };
}

}  // namespace sluice::api
