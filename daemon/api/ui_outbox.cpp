// /ui/v1/outbox: callbacks, delivered and on their way.
#include <charconv>

#include <nlohmann/json.hpp>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/ui.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

store::Outbox& outbox_of(Services& services) {
    if (services.instance.outbox == nullptr) throw failure(404, "this daemon has no outbox");
    return *services.instance.outbox;
}

Json row_json(const store::OutboxRow& row) {
    Json json;
    json["id"] = row.id;
    json["created"] = to_millis(row.created_at);
    json["kind"] = row.kind;
    json["event"] = row.event;
    json["dag"] = row.dag_id;
    json["run"] = row.run_id;
    json["task"] = text_or_null(row.task_id);
    json["map_index"] = row.map_index;
    json["target"] = row.target;
    json["state"] = row.delivered_at ? "delivered" : row.gave_up ? "gave_up" : "waiting";
    json["tries"] = row.tries;
    json["next"] = row.delivered_at || row.gave_up ? Json() : Json(to_millis(row.next_try_at));
    json["delivered"] = millis_or_null(row.delivered_at);
    json["error"] = row.error;
    return json;
}

Reply get_outbox(Services& services, const Request& request, const Caller&) {
    Query query(request);
    store::OutboxFilter filter;
    filter.page = query.page();
    filter.dag_id = query.text_or_empty("dag");
    filter.run_id = query.text_or_empty("run");
    filter.state = query.text_or_empty("state");
    query.done();
    const auto page = outbox_of(services).list(filter);
    Json json = head(services);
    json["outbox"] = Json::array();
    for (const auto& row : page.rows) json["outbox"].push_back(row_json(row));
    json["total"] = page.total;
    return reply(200, json);
}

Reply retry_outbox(Services& services, const Request& request, const Caller&) {
    const std::string& text = request.param("id");
    std::int64_t id = 0;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (wrong != std::errc{} || end != text.data() + text.size() || !outbox_of(services).retry(id))
        throw not_found("there is no undelivered callback " + text);
    if (services.instance.deliver_again) services.instance.deliver_again(id);
    return no_content();
}

}  // namespace

Rows ui_outbox_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/ui/v1/outbox", "", in, get_outbox},
        {"POST", "/ui/v1/outbox/{id}/retry", "", in, retry_outbox},
    };
}

}  // namespace sluice::api
