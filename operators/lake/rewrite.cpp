#include "operators/lake/rewrite.hpp"

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/generation_file.hpp"

namespace sluice::lake {

std::int64_t rewrite(
    task::TaskContext& context,
    Storage& storage,
    engine::Database& database,
    const Generation& from,
    const std::string& relation,
    const std::string& keep,
    const std::string& delete_reason
) {
    const task::OutputClaim claim =
        context.claim_output(from.dataset, from.partition, from.slice, from.number + 1);
    GenerationFile file(storage, claim.folder);
    const std::string query = "select * from " + relation + (keep.empty() ? "" : " where " + keep);
    const Written written = file.write(database, query);
    OutputCommit output;
    output.dataset = from.dataset;
    output.partition = from.partition;
    output.slice = from.slice;
    output.generation = claim.generation;
    output.rows = written.rows;
    output.bytes = written.bytes;
    output.content_hash = written.content_hash;
    output.files = file.listed(written);
    output.input = nlohmann::json::array({{{"dataset", from.dataset},
                                           {"partition", from.partition},
                                           {"slice", from.slice},
                                           {"generation", from.number}}}
    ).dump();
    output.code_hash = sha256_hex("lake " + keep);
    // From here on the answer may be lost and the generation live; what is not, `retain` removes.
    file.keep();
    try {
        Ledger(context).replace(from, output, delete_reason);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::conflict) throw;
        throw engine::Failure(ErrorClass::transient, error.what());
    }
    return written.rows;
}

}  // namespace sluice::lake
