// connections.hpp — where connections come from: SLUICE_CONN_<ID> in the environment, else the
// store. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/admin.hpp"
#include "task/context.hpp"

namespace sluice {

class Connections {
public:
    /// `home` is where tasks may keep what belongs to a connection; "" = nowhere.
    explicit Connections(store::Admin& admin, std::filesystem::path home = {})
        : admin_(admin), home_(std::move(home)) {}

    [[nodiscard]] std::optional<task::Connection> find(const std::string& conn_id) const;
    /// Ids known to the store or the environment.
    [[nodiscard]] std::vector<std::string> ids() const;

private:
    store::Admin& admin_;
    std::filesystem::path home_;
};

/// Reads Airflow's two forms: a URI ("postgres://user:pw@host:5432/db?sslmode=require") or a JSON
/// object of conn_type, host, login, password, port, schema, extra. Throws Error(invalid).
task::Connection parse_connection(const std::string& conn_id, const std::string& text);

/// What SLUICE_CONN_<ID> says; none if it is not set.
std::optional<task::Connection> environment_connection(const std::string& conn_id);

/// Makes (or brings up to date) the connections of a home with a private cluster: shop, catalog,
/// warehouse, landing, flights and lake. `url_of` gives the cluster's URL of a database.
struct HomePlaces {
    std::filesystem::path home;
    std::string shop_url;
    std::string warehouse_url;
};
void put_home_connections(store::Admin& admin, const HomePlaces& places);
/// The connection of the sample shop's order service, which listens there.
inline constexpr const char* orders_api_id = "orders_api";
void put_orders_api(store::Admin& admin, std::uint16_t port, const Secret& client_secret);
/// Only what needs no private cluster: lake, landing, flights. Several daemons may share a
/// database: the first one's stay.
void put_folder_connections(store::Admin& admin, const std::filesystem::path& home);

}  // namespace sluice
