// tls.hpp — what the clients of databases have in common about TLS: certificates and host names
// are checked unless the connection says otherwise.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace sluice::connect {

/// The system's bundle of certificate authorities; "" if there is none.
inline std::string system_authorities() {
    for (const char* path :
         {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"})
        if (std::filesystem::exists(path)) return path;
    return "";
}

/// libpq's defaults check nothing, or want a file in the home folder. Sockets have no TLS anyway.
inline void verify_by_default(std::map<std::string, std::string>& options) {
    const std::string mode = options.try_emplace("sslmode", "verify-full").first->second;
    // With other modes the file would make libpq check what was not asked for.
    if (mode.starts_with("verify") && !options.contains("sslrootcert"))
        if (const std::string path = system_authorities(); !path.empty())
            options["sslrootcert"] = path;
}

/// Whether a refusal is about certificates, and not about a server that is away.
inline bool is_tls_refusal(const std::string& message) {
    return message.find("certificate") != std::string::npos ||
           message.find("does not support SSL") != std::string::npos;
}

inline constexpr const char* tls_hint =
    " (the server is checked by default; \"sslmode\" and \"sslrootcert\" in the connection's extra "
    "say otherwise)";

}  // namespace sluice::connect
