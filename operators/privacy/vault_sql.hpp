// vault_sql.hpp — pieces of the vault's statements.
#pragma once

#include <string>
#include <vector>

#include "operators/privacy/vault.hpp"

namespace sluice::privacy {

/// {a,b}: an array of elements that need no quotes, hex digits and tokens.
inline std::string sql_array(const std::vector<std::string>& plain) {
    std::string out = "{";
    for (const std::string& one : plain) out += (out.size() > 1 ? "," : "") + one;
    return out + "}";
}

inline const char* purpose_name(Vault::Purpose purpose) {
    return purpose == Vault::Purpose::data ? "data" : "lookup";
}

/// Rows of vault.token as Vault::opened reads them; goes on with WHERE.
inline constexpr const char* sealed_rows =
    "select t.token, t.kid::text, encode(t.value_enc, 'hex'), encode(t.subject, 'hex'), "
    "s.kid::text, encode(s.wrapped, 'hex') from vault.token t "
    "left join vault.subject s on s.domain = t.domain and s.subject = t.subject where t.domain = "
    "$1 and t.value_enc is not null and ";

/// What a value is encrypted with besides its key: it opens in its own row only.
inline std::string row_of(const std::string& domain, const std::string& token, int kid) {
    return domain + "|" + token + "|" + std::to_string(kid);
}

}  // namespace sluice::privacy
