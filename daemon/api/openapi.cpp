#include "api/openapi.hpp"

#include "api/json.hpp"

namespace sluice::api {
namespace {

/// The names between braces, in order.
std::vector<std::string> parameters_of(const std::string& pattern) {
    std::vector<std::string> names;
    for (auto at = pattern.find('{'); at != std::string::npos; at = pattern.find('{', at + 1))
        names.push_back(pattern.substr(at + 1, pattern.find('}', at) - at - 1));
    return names;
}

Json operation(const http::Route& route) {
    Json json;
    json["operationId"] = route.operation;
    json["tags"] = Json::array({route.pattern.substr(8, route.pattern.find('/', 8) - 8)});
    json["parameters"] = Json::array();
    for (const std::string& name : parameters_of(route.pattern)) {
        Json parameter;
        parameter["name"] = name;
        parameter["in"] = "path";
        parameter["required"] = true;
        parameter["schema"]["type"] = "string";
        json["parameters"].push_back(std::move(parameter));
    }
    if (route.method == "POST" || route.method == "PATCH") {
        json["requestBody"]["content"]["application/json"]["schema"]["type"] = "object";
    }
    json["responses"]["200"]["description"] = "Done";
    if (route.access == http::Access::signed_in) {
        json["responses"]["401"]["description"] = "Not authenticated";
        json["responses"]["403"]["description"] = "Not allowed";
        json["security"] = Json::array({Json{{"bearer", Json::array()}}});
    }
    json["responses"]["422"]["description"] = "Validation error";
    return json;
}

}  // namespace

std::string openapi_document(const std::vector<http::Route>& routes, const std::string& version) {
    Json json;
    json["openapi"] = "3.1.0";
    json["info"]["title"] = "Sluice API";
    json["info"]["description"] =
        "The part of Airflow's public REST API v2 that Sluice serves, with Airflow's shapes.";
    json["info"]["version"] = version;
    json["paths"] = Json::object();
    for (const http::Route& route : routes) {
        if (route.operation.empty()) continue;
        std::string method = route.method;
        for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
        json["paths"][route.pattern][method] = operation(route);
    }
    Json& bearer = json["components"]["securitySchemes"]["bearer"];
    bearer["type"] = "http";
    bearer["scheme"] = "bearer";
    bearer["bearerFormat"] = "JWT";
    return dump(json);
}

}  // namespace sluice::api
