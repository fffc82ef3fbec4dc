#include "model/pii_classes.hpp"

namespace sluice {

const std::vector<std::string>& pii_classes() {
    static const std::vector<std::string> names{
        "quasi",
        "personal",
        "sensitive",
        "secret",
        "email",
        "phone",
        "name",
        "address",
        "card",
        "iban",
        "national_id",
        "ip",
        "dob",
        "geo",
        "token"
    };
    return names;
}

}  // namespace sluice
