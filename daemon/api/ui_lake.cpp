// /ui/v1/lake/holds: legal holds, of which the operator `lake` deletes nothing. Operators and
// administrators place one; only the role `privacy` lifts it.
#include <charconv>

#include <nlohmann/json.hpp>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/ui.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

store::LakeStore& lake_of(Services& services) {
    if (services.instance.lake == nullptr) throw failure(404, "this daemon has no lake");
    return *services.instance.lake;
}

Reply get_holds(Services& services, const Request&, const Caller&) {
    Json json = head(services);
    json["holds"] = Json::array();
    for (const store::LakeHold& hold : lake_of(services).holds())
        json["holds"].push_back(
            {{"id", hold.id},
             {"dataset", hold.dataset},
             {"reason", hold.reason},
             {"placed_by", hold.placed_by},
             {"placed_at", millis_or_null(hold.placed_at)},
             {"lifted_by", hold.lifted_at ? Json(hold.lifted_by) : Json()},
             {"lifted_at", millis_or_null(hold.lifted_at)}}
        );
    return reply(200, json);
}

Reply put_hold(Services& services, const Request& request, const Caller& caller) {
    if (caller.role != "admin" && caller.role != "op")
        throw failure(403, "Forbidden: this needs the role admin or op");
    Body body(request);
    for (const char* key : {"dataset", "reason"}) body.require(key);
    const std::string dataset = body.text("dataset").value_or("");
    const std::string reason = body.text("reason").value_or("");
    if (dataset.empty() || dataset.size() > 250)
        body.error("value_error", "dataset", "a name or a glob of 1 to 250 characters");
    if (reason.empty()) body.error("value_error", "reason", "say why: it is noted");
    body.done();
    AuditEntry entry = audit_of(services, request, caller, "lake_hold");
    entry.extra = dump({{"dataset", dataset}, {"reason", reason}});
    const std::int64_t id = lake_of(services).place_hold(dataset, reason, entry);
    return reply(201, {{"id", id}, {"dataset", dataset}, {"reason", reason}});
}

Reply lift_hold(Services& services, const Request& request, const Caller& caller) {
    if (caller.role != "privacy") throw failure(403, "Forbidden: this needs the role privacy");
    const std::string& text = request.param("id");
    std::int64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    AuditEntry entry = audit_of(services, request, caller, "lift_lake_hold");
    entry.extra = dump({{"id", text}});
    if (error != std::errc{} || end != text.data() + text.size() ||
        !lake_of(services).lift_hold(id, entry))
        throw failure(404, "there is no hold " + text + " in force");
    return no_content();
}

}  // namespace

Rows ui_lake_endpoints() {
    const auto in = http::Access::signed_in;
    return {
        {"GET", "/ui/v1/lake/holds", "", in, get_holds},
        {"POST", "/ui/v1/lake/holds", "", in, put_hold},
        {"DELETE", "/ui/v1/lake/holds/{id}", "", in, lift_hold},
    };
}

}  // namespace sluice::api
