#include "operators/privacy/key_store.hpp"

#include "base/error.hpp"
#include "operators/privacy/crypto.hpp"

namespace sluice::privacy {

Secret master_of(task::TaskContext& context, const policy::Policy& policy) {
    if (policy.key_version > 1) {
        try {
            return master_key(context.secret(policy.key + ".v" + std::to_string(policy.key_version))
            );
        } catch (const Error& error) {
            if (error.code() != ErrorCode::not_found) throw;
        }
    }
    return master_key(context.secret(policy.key));
}

Keys keys_of(task::TaskContext& context, const policy::Policy& policy, const policy::Rule& rule) {
    Keys keys;
    keys.version = policy.key_version;
    if (rule.keyed()) keys.master = master_of(context, policy);
    if (!rule.salt.empty()) keys.salt = context.secret(rule.salt);
    if (!rule.raw_key.empty()) keys.raw = context.secret(rule.raw_key);
    return keys;
}

}  // namespace sluice::privacy
