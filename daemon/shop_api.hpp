// shop_api.hpp — the order service of the sample shop: a paged REST API with a login of its own
// (OAuth 2, client credentials), on a loopback port of its own. It knows nothing of Sluice's users
// and tokens, and serves nothing but the sample's order files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/secret.hpp"

namespace sluice {

class ShopApi {
public:
    static constexpr const char* client_id = "sluice";

    /// Listens on 127.0.0.1, on `port` if that is free, else on any other. `orders` is the folder
    /// of the day files; until it is there, every list is answered 404.
    ShopApi(std::filesystem::path orders, Secret client_secret, std::uint16_t port);
    ~ShopApi();
    ShopApi(const ShopApi&) = delete;
    ShopApi& operator=(const ShopApi&) = delete;

    [[nodiscard]] std::uint16_t port() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
