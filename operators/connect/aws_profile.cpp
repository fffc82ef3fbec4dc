#include "operators/connect/aws_profile.hpp"

#include <cstdlib>
#include <fstream>

namespace sluice::connect {
namespace {

std::string stripped(const std::string& text) {
    const auto begin = text.find_first_not_of(" \t\r");
    if (begin == std::string::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string home_file(const AwsEnvironment& environment, const char* name) {
    std::string home = environment.get("HOME");
    if (const char* mine = std::getenv("HOME"); home.empty() && mine != nullptr) home = mine;
    return home.empty() ? home : home + "/.aws/" + name;
}

/// Adds the keys of `[section]` that are not known yet.
void read_section(
    const std::string& path, const std::string& section, std::map<std::string, std::string>& into
) {
    std::ifstream file(path);
    bool inside = false;
    for (std::string line; std::getline(file, line);) {
        const bool nested = line.starts_with(' ') || line.starts_with('\t');
        line = stripped(line);
        if (line.empty() || line.starts_with('#') || line.starts_with(';')) continue;
        if (line.starts_with('[')) {
            inside = stripped(line.substr(1, line.find(']') - 1)) == section;
            continue;
        }
        const auto equals = line.find('=');
        // Lines that are indented belong to the key above ("s3 =").
        if (!inside || nested || equals == std::string::npos) continue;
        into.try_emplace(stripped(line.substr(0, equals)), stripped(line.substr(equals + 1)));
    }
}

}  // namespace

std::string profile_name(const AwsEnvironment& environment, const std::string& name) {
    if (!name.empty()) return name;
    const std::string profile = environment.get("AWS_PROFILE");
    return profile.empty() ? "default" : profile;
}

std::map<std::string, std::string> read_profile(
    const AwsEnvironment& environment, const std::string& name
) {
    const std::string profile = profile_name(environment, name);
    std::string credentials = environment.get("AWS_SHARED_CREDENTIALS_FILE");
    if (credentials.empty()) credentials = home_file(environment, "credentials");
    std::string config = environment.get("AWS_CONFIG_FILE");
    if (config.empty()) config = home_file(environment, "config");
    std::map<std::string, std::string> out;
    read_section(credentials, profile, out);
    read_section(config, profile == "default" ? profile : "profile " + profile, out);
    return out;
}

std::string profile_value(
    const AwsEnvironment& environment, const std::string& name, const std::string& key
) {
    const auto profile = read_profile(environment, name);
    const auto found = profile.find(key);
    return found == profile.end() ? "" : found->second;
}

}  // namespace sluice::connect
