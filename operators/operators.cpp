#include "operators/operators.hpp"

#include <algorithm>

#include "operators/access/access.hpp"
#include "operators/command/operators.hpp"
#include "operators/control/control.hpp"
#include "operators/engine/spare.hpp"
#include "operators/external/external.hpp"
#include "operators/extract/extract.hpp"
#include "operators/lake/lake.hpp"
#include "operators/lineage/view.hpp"
#include "operators/load/load.hpp"
#include "operators/mask/mask.hpp"
#include "operators/privacy/vault_request.hpp"
#include "operators/report/report.hpp"
#include "operators/sensor/sensor.hpp"
#include "operators/transform/transform.hpp"
#include "operators/validate/validate.hpp"

namespace sluice::ops {
namespace {

std::vector<task::Operator> make_table() {
    std::vector<task::Operator> table{
        access_operator(),      email_operator(),
        branch_operator(),      empty_operator(),
        approval_operator(),    hitl_branch_operator(),
        hitl_entry_operator(),  trigger_dag_run_operator(),
        latest_only_operator(), short_circuit_operator(),
        extract_operator(),     lake_operator(),
        load_operator(),        http_operator(),
        python_operator(),      shell_operator(),
        sql_operator(),         mask_operator(),
        report_operator(),      sensor_operator(),
        transform_operator(),   validate_operator(),
    };
    std::ranges::sort(table, {}, &task::Operator::name);
    return table;
}

}  // namespace

std::string vault_request(
    const std::string& question,
    const std::function<task::Connection(const std::string& conn_id)>& connection,
    const std::function<Secret(const std::string& name)>& secret
) {
    return privacy::vault_request(question, connection, secret);
}

std::string lineage(const Dag& dag) { return lineage::view(dag); }

const std::vector<task::Operator>& all_operators() {
    static const std::vector<task::Operator> table = make_table();
    return table;
}

void prepare_worker() {
    all_operators();
    engine::open_spare();
}

}  // namespace sluice::ops
