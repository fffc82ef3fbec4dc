#include "operators/extract/pager.hpp"

#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "operators/engine/failure.hpp"
#include "operators/external/url.hpp"

namespace sluice::extract {

using Json = nlohmann::json;

namespace {

[[noreturn]] void refuse(const std::string& what) {
    throw engine::Failure(ErrorClass::permanent, what);
}

/// A cursor in the reply as text: a string or a number; "" where there is none.
std::string scalar(std::optional<std::string_view> raw) {
    if (!raw) return {};
    const Json value = Json::parse(*raw, nullptr, false);
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number()) return std::string(*raw);
    return {};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> pagination_problems(const Json& pagination) {
    std::vector<std::pair<std::string, std::string>> problems;
    const std::string type = pagination.value("type", "");
    const bool numbered = type == "page" || type == "offset";
    const auto only = [&](const char* key, bool fits, const char* whose) {
        if (pagination.contains(key) && !fits)
            problems.emplace_back(
                key, "\"" + std::string(key) + "\" is for " + whose + ", not for type " + type
            );
    };
    only("param", numbered || type == "cursor", "page, offset and cursor");
    only("start", numbered, "page and offset");
    only("cursor_path", type == "cursor" || type == "next_url", "cursor and next_url");
    if (type == "cursor" && !pagination.contains("cursor_path"))
        problems.emplace_back(
            "cursor_path", "a cursor needs \"cursor_path\": where the reply has it"
        );
    if (pagination.contains("cursor_path")) {
        const auto path = json_path_of(pagination.value("cursor_path", ""));
        if (!path || path->each)
            problems.emplace_back(
                "cursor_path", "\"cursor_path\" is no path: use $, .name, ['name'] and [0]"
            );
    }
    if (pagination.contains("size_param") && !pagination.contains("size"))
        problems.emplace_back("size_param", "\"size_param\" needs \"size\"");
    if (numbered && !pagination.value("stop_when_empty", true) && !pagination.contains("size"))
        problems.emplace_back(
            "stop_when_empty", "without it a page shorter than \"size\" is the last: write \"size\""
        );
    return problems;
}

Pager::Pager(const Json& pagination) {
    if (pagination.is_null()) return;
    const std::string type = pagination.at("type").get<std::string>();
    const char* param = "page";
    if (type == "page") type_ = Type::page;
    if (type == "offset") type_ = Type::offset, param = "offset";
    if (type == "cursor") type_ = Type::cursor, param = "cursor";
    if (type == "link") type_ = Type::link;
    if (type == "next_url") type_ = Type::next_url;
    param_ = pagination.value("param", param);
    size_param_ = pagination.value("size_param", "");
    size_ = pagination.value("size", std::int64_t{0});
    at_ = pagination.value("start", std::int64_t{type_ == Type::page ? 1 : 0});
    const bool numbered = type_ == Type::page || type_ == Type::offset;
    // A server that says where to go on may have empty pages on the way.
    stop_when_empty_ = pagination.value("stop_when_empty", numbered);
    cursor_path_ = json_path_of(pagination.value("cursor_path", "$.next")).value_or(JsonPath{});
}

std::vector<std::pair<std::string, std::string>> Pager::parameters() const {
    std::vector<std::pair<std::string, std::string>> out;
    if (type_ == Type::none || !url_.empty()) return out;
    if (type_ == Type::page || type_ == Type::offset) out.emplace_back(param_, std::to_string(at_));
    if (type_ == Type::cursor && !cursor_.empty()) out.emplace_back(param_, cursor_);
    if (!size_param_.empty()) out.emplace_back(size_param_, std::to_string(size_));
    return out;
}

bool Pager::short_page(const Page& page) const {
    if (stop_when_empty_) return page.records == 0;
    return size_ > 0 && page.records < size_;
}

void Pager::refuse_repeated(const Page& page) {
    ++pages_;
    if (page.records == 0) return;
    const std::string hash = sha256_hex(page.content);
    if (hash == last_ || hash == mark_)
        refuse(
            std::string("the page has the same records as ") +
            (hash == last_ ? "the page before" : "an earlier page") +
            ": the server repeats itself, so reading on would never end"
        );
    last_ = hash;
    const auto number = static_cast<std::uint64_t>(pages_);
    if ((number & (number - 1)) == 0) mark_ = hash;
}

bool Pager::next_cursor(const Page& page) {
    const std::string next = scalar(raw_value(page.body, cursor_path_));
    if (next.empty()) return false;
    if (next == cursor_) refuse("the reply's cursor is the one that was asked for: it never ends");
    cursor_ = next;
    return true;
}

bool Pager::next_address(const Page& page, const std::optional<std::string>& reference) {
    if (!reference || reference->empty()) return false;
    const auto next = ops::resolve_url(page.url, *reference);
    if (!next) refuse("the next page's address cannot be read");
    // The credentials are meant for the connection's server alone.
    if (!ops::same_origin(page.url, *next)) refuse("the next page's address is on another server");
    if (*next == page.url) refuse("the next page's address is the one that was asked for");
    url_ = *next;
    return true;
}

bool Pager::advance(const Page& page) {
    if (type_ == Type::none) return false;
    refuse_repeated(page);
    const bool ended = stop_when_empty_ && page.records == 0;
    switch (type_) {
        case Type::none:
            return false;
        case Type::page:
            ++at_;
            return !short_page(page);
        case Type::offset:
            at_ += page.records;
            return !short_page(page) && page.records > 0;
        case Type::cursor:
            return !ended && !page.body.empty() && next_cursor(page);
        case Type::link:
            return !ended && next_address(page, ops::next_link(page.link));
        case Type::next_url:
            if (ended || page.body.empty()) return false;
            return next_address(page, scalar(raw_value(page.body, cursor_path_)));
    }
    return false;
}

Json Pager::state() const {
    return {
        {"at", at_},
        {"cursor", cursor_},
        {"url", url_},
        {"pages", pages_},
        {"last", last_},
        {"mark", mark_}
    };
}

void Pager::restore(const Json& state) {
    at_ = state.at("at").get<std::int64_t>();
    cursor_ = state.at("cursor").get<std::string>();
    url_ = state.at("url").get<std::string>();
    pages_ = state.at("pages").get<std::int64_t>();
    last_ = state.at("last").get<std::string>();
    mark_ = state.at("mark").get<std::string>();
}

}  // namespace sluice::extract
