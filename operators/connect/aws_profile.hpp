// aws_profile.hpp — the shared files of AWS's tools: ~/.aws/credentials and ~/.aws/config.
#pragma once

#include <map>
#include <string>

#include "operators/connect/aws_settings.hpp"

namespace sluice::connect {

/// The keys of a profile, of both files; those of `credentials` win. `name` "" = AWS_PROFILE, else
/// "default". Empty if there is no such profile.
std::map<std::string, std::string> read_profile(
    const AwsEnvironment& environment, const std::string& name
);
/// One of them; "" if it is not there.
std::string profile_value(
    const AwsEnvironment& environment, const std::string& name, const std::string& key
);
/// The profile that counts.
std::string profile_name(const AwsEnvironment& environment, const std::string& name);

}  // namespace sluice::connect
