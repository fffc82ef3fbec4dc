// members.hpp — a plain struct and its JSON object: both directions from one list of members.
// Heavy (nlohmann): for .cpp files.
#pragma once

#include <tuple>

#include <nlohmann/json.hpp>

namespace sluice::task {

template <class Struct, class Type>
struct Member {
    const char* key;
    Type Struct::* field;
};
template <class Struct, class Type>
Member(const char*, Type Struct::*) -> Member<Struct, Type>;

/// `constexpr Members point{Member{"x", &Point::x}, Member{"y", &Point::y}};`
template <class Struct, class... Types>
class Members {
public:
    constexpr explicit Members(Member<Struct, Types>... each) : each_(each...) {}

    [[nodiscard]] nlohmann::json json(const Struct& value) const {
        nlohmann::json out = nlohmann::json::object();
        std::apply([&](const auto&... one) { ((out[one.key] = value.*one.field), ...); }, each_);
        return out;
    }
    /// Throws nlohmann's exception for a key that is missing or of another type.
    [[nodiscard]] Struct read(const nlohmann::json& json) const {
        Struct out;
        std::apply(
            [&](const auto&... one) { (json.at(one.key).get_to(out.*one.field), ...); }, each_
        );
        return out;
    }

private:
    std::tuple<Member<Struct, Types>...> each_;
};

}  // namespace sluice::task
