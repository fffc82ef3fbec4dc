// pages.hpp — the dashboard's page and its files, embedded or from a folder (development).
// Read-only after construction: any thread.
#pragma once

#include <map>
#include <string>

#include "http/message.hpp"

namespace sluice::api {

class Pages {
public:
    /// "" = the embedded files.
    explicit Pages(std::string folder) : folder_(std::move(folder)) {}

    /// The one page behind every address of the dashboard; Airflow 2 and 3 addresses redirect.
    [[nodiscard]] http::Reply page(const http::Request& request) const;
    /// GET /static/...: names carry a hash, so a browser keeps them for ever, but not those of a
    /// folder that is being worked on.
    [[nodiscard]] http::Reply file(const http::Request& request) const;

private:
    [[nodiscard]] std::optional<std::string> read(const std::string& path) const;
    std::string folder_;
};

/// The content-security policy and its companions, for every HTML page.
void set_page_headers(http::Reply& reply);

}  // namespace sluice::api
