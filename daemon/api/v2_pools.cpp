// /api/v2/pools.
#include <algorithm>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/v2.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;
using PoolUse = core::Scheduler::PoolUse;

std::vector<PoolUse> pools_of(Services& services) {
    std::vector<PoolUse> pools;
    services.runtime.query([&](const core::Scheduler& scheduler) { pools = scheduler.pool_use(); });
    std::ranges::sort(pools, {}, [](const PoolUse& use) { return use.pool.name; });
    return pools;
}

PoolUse find_pool(Services& services, const std::string& name) {
    for (const PoolUse& use : pools_of(services))
        if (use.pool.name == name) return use;
    throw not_found("The Pool with name: `" + name + "` was not found");
}

Reply get_pools(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto pattern = query.text_or_empty("pool_name_pattern");
    query.done();
    auto pools = pools_of(services);
    std::erase_if(pools, [&](const PoolUse& use) {
        return !matches_pattern(use.pool.name, pattern);
    });
    for (const auto& [field, descending] : query.order()) {
        if (field == "slots") {
            std::ranges::stable_sort(pools, {}, [](const PoolUse& use) { return use.pool.slots; });
        } else if (field != "id" && field != "name" && field != "pool") {
            bad_order(field);
        }
        if (descending) std::ranges::reverse(pools);
    }
    Json json;
    json["pools"] = Json::array();
    for (std::size_t i = 0; i < pools.size(); ++i) {
        const auto place = static_cast<std::int64_t>(i);
        if (place >= page.offset && place < page.offset + page.limit)
            json["pools"].push_back(pool_view(pools[i]));
    }
    json["total_entries"] = pools.size();
    return reply(200, json);
}

Reply get_pool(Services& services, const Request& request, const Caller&) {
    return reply(200, pool_view(find_pool(services, request.param("pool_name"))));
}

void put(Services& services, const Request& request, const Caller& caller, Pool pool) {
    if (pool.slots < -1) throw failure(422, "slots must be -1 (no limit) or more");
    core::PutPool event;
    event.actor = actor_of(request, caller);
    event.pool = std::move(pool);
    command(services, std::move(event));
}

Reply post_pool(Services& services, const Request& request, const Caller& caller) {
    Body body(request);
    Pool pool;
    body.require("name");
    pool.name = body.text("name").value_or("");
    body.require("slots");
    pool.slots = body.integer("slots").value_or(0);
    pool.description = body.text("description").value_or("");
    pool.include_deferred = body.boolean("include_deferred").value_or(false);
    body.text("team_name");
    if (body.has("name") && (pool.name.empty() || pool.name.size() > 256))
        body.error("string_too_long", "name", "String should have 1 to 256 characters");
    body.done();
    for (const PoolUse& use : pools_of(services)) {
        if (use.pool.name != pool.name) continue;
        Json detail;
        detail["reason"] = "Unique constraint violation";
        detail["statement"] = "hidden";
        detail["orig_error"] = "hidden";
        detail["message"] = "a pool with this name exists";
        throw Failure(409, dump(detail));
    }
    const std::string name = pool.name;
    put(services, request, caller, std::move(pool));
    return reply(201, pool_view(find_pool(services, name)));
}

Reply patch_pool(Services& services, const Request& request, const Caller& caller) {
    const std::string& name = request.param("pool_name");
    const auto mask = request.query_values("update_mask");
    const auto asked = [&](const char* field) {
        return mask.empty() || std::ranges::find(mask, field) != mask.end();
    };
    Body body(request);
    const auto renamed = body.text("pool");
    if (!body.has("name")) body.text("name");
    const auto also_renamed = body.text("name");
    const auto slots = body.integer("slots");
    const auto description = body.text("description");
    const auto deferred = body.boolean("include_deferred");
    body.text("team_name");
    body.done();
    Pool pool = find_pool(services, name).pool;
    if ((renamed && *renamed != name) || (also_renamed && *also_renamed != name))
        throw failure(400, "A pool cannot be renamed");
    const bool only_slots = !description && !deferred;
    if (name == "default_pool" && !only_slots && mask.empty())
        throw failure(400, "Only slots and included_deferred can be modified on Default Pool");
    if (slots && asked("slots")) pool.slots = *slots;
    if (description && asked("description")) pool.description = *description;
    if (deferred && asked("include_deferred")) pool.include_deferred = *deferred;
    put(services, request, caller, std::move(pool));
    return reply(200, pool_view(find_pool(services, name)));
}

Reply delete_pool(Services& services, const Request& request, const Caller& caller) {
    const std::string& name = request.param("pool_name");
    if (name == "default_pool") throw failure(400, "Default Pool can't be deleted");
    find_pool(services, name);
    core::RemovePool event;
    event.actor = actor_of(request, caller);
    event.name = name;
    command(services, std::move(event));
    return no_content();
}

}  // namespace

Rows pool_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/api/v2/pools", "get_pools", in, get_pools},
        {"POST", "/api/v2/pools", "post_pool", in, post_pool},
        {"GET", "/api/v2/pools/{pool_name}", "get_pool", in, get_pool},
        {"PATCH", "/api/v2/pools/{pool_name}", "patch_pool", in, patch_pool},
        {"DELETE", "/api/v2/pools/{pool_name}", "delete_pool", in, delete_pool},
    };
}

}  // namespace sluice::api
