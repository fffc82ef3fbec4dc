// /api/v2 hitlDetails: what tasks ask people, and the answers.
#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/v2.hpp"
#include "api/v2_instances.hpp"
#include "base/limits.hpp"
#include "model/json_schema.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

/// The question and, if there is one, its answer.
struct Asked {
    explicit Asked(const WaitRow& wait) {
        const auto resume = nlohmann::json::parse(wait.resume, nullptr, false);
        if (!resume.is_object()) return;
        if (resume.contains("answer")) {
            question = resume.at("asked");
            answer = resume.at("answer");
        } else {
            question = resume;
        }
    }
    nlohmann::json question;
    nlohmann::json answer;
};

Json users_of(const nlohmann::json& question) {
    Json users = Json::array();
    for (const auto& user : question.value("assigned_users", nlohmann::json::array()))
        users.push_back({{"id", user}, {"name", user}});
    return users;
}

Json or_null(const nlohmann::json& object, const char* key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() ? Json::parse(found->dump()) : Json();
}

Json detail_json(
    Services& services, const store::RunRow& run, const Dag& dag, const WaitRow& wait
) {
    const Asked asked(wait);
    const auto& question = asked.question;
    Json json;
    json["options"] = or_null(question, "options");
    json["subject"] = question.is_object() ? question.value("subject", "") : "";
    json["body"] = or_null(question, "body");
    const auto defaults = or_null(question, "defaults");
    json["defaults"] = defaults.is_array() && defaults.empty() ? Json() : defaults;
    json["multiple"] = question.is_object() && question.value("multiple", false);
    json["params"] = or_null(question, "params");
    json["assigned_users"] = question.is_object() ? users_of(question) : Json::array();
    json["created_at"] = format_z(wait.first_at);
    json["responded_by_user"] = or_null(asked.answer, "responded_by_user");
    json["responded_at"] = or_null(asked.answer, "responded_at");
    json["chosen_options"] = or_null(asked.answer, "chosen_options");
    const auto input = or_null(asked.answer, "params_input");
    json["params_input"] = input.is_null() ? Json::object() : input;
    json["response_received"] = !asked.answer.is_null();
    if (const auto row = services.queries.task(wait.key))
        json["task_instance"] = instance_json(services, run, dag, row->instance);
    return json;
}

Reply get_hitl_details(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto received = query.boolean("response_received");
    query.done();
    const std::string& dag_id = request.param("dag_id");
    const std::string& run_id = request.param("dag_run_id");
    std::vector<WaitRow> waits;
    if (dag_id == "~" || run_id == "~") {
        waits = services.queries.open_questions(dag_id == "~" ? "" : dag_id, 10'000);
    } else {
        waits = services.queries.questions_of(find_run(services, dag_id, run_id).run.key);
    }
    if (received)
        std::erase_if(waits, [&](const WaitRow& wait) {
            return Asked(wait).answer.is_null() == *received;
        });
    Json list = Json::array();
    const auto first = static_cast<std::size_t>(page.offset);
    for (std::size_t i = first;
         i < waits.size() && list.size() < static_cast<std::size_t>(page.limit);
         ++i) {
        const auto run = services.queries.run(waits[i].key.run);
        if (!run) continue;
        list.push_back(detail_json(services, *run, *dag_of(services, *run), waits[i]));
    }
    return reply(200, {{"hitl_details", std::move(list)}, {"total_entries", waits.size()}});
}

WaitRow require_question(Services& services, const Found& found) {
    auto wait = services.queries.wait(found.instance.key);
    if (!wait || wait->kind != WaitKind::input)
        throw failure(404, "Human-in-the-loop detail does not exist for this task instance");
    return std::move(*wait);
}

Reply get_hitl_detail(Services& services, const Request& request, const Caller&) {
    const Found found = find_from(services, request);
    const auto wait = require_question(services, found);
    return reply(200, detail_json(services, found.run, *found.dag, wait));
}

void check_options(const nlohmann::json& question, const std::vector<std::string>& chosen) {
    if (chosen.empty()) throw failure(422, "chosen_options must name at least one option");
    if (chosen.size() > 1 && !question.value("multiple", false))
        throw failure(400, "only one option may be chosen");
    const auto options = question.at("options").get<std::set<std::string>>();
    for (const auto& option : chosen)
        if (!options.contains(option)) throw failure(400, "there is no option \"" + option + '"');
}

/// The form's values: what was given, else the default; each as its schema says.
nlohmann::json check_input(const nlohmann::json& params, const nlohmann::json& input) {
    nlohmann::json values = nlohmann::json::object();
    for (const auto& [key, value] : input.items()) {
        (void)value;
        if (!params.contains(key)) throw failure(400, "the form has no field \"" + key + '"');
    }
    for (const auto& [key, field] : params.items()) {
        const bool schema = field.is_object();
        if (input.contains(key)) {
            if (schema)
                if (const auto wrong = check_against(input.at(key), field); !wrong.empty())
                    throw failure(400, "params_input." + key + ": " + wrong.front().message);
            values[key] = input.at(key);
        } else if (!schema) {
            values[key] = field;
        } else if (field.contains("default")) {
            values[key] = field.at("default");
        } else {
            throw failure(400, "params_input." + key + " is missing");
        }
    }
    return values;
}

Reply update_hitl_detail(Services& services, const Request& request, const Caller& caller) {
    const Found found = find_from(services, request);
    Body body(request);
    body.require("chosen_options");
    const auto chosen = body.texts("chosen_options").value_or(std::vector<std::string>{});
    const auto input = body.object("params_input");
    body.done();
    const auto wait = require_question(services, found);
    const Asked asked(wait);
    if (wait.over || !asked.answer.is_null())
        throw failure(409, "Human-in-the-loop detail has already been updated");
    const auto& question = asked.question;
    const auto users = question.at("assigned_users").get<std::set<std::string>>();
    if (!users.empty() && !users.contains(caller.user))
        throw failure(403, "User " + caller.user + " is not among the assigned users");
    check_options(question, chosen);
    const nlohmann::json user{{"id", caller.user}, {"name", caller.user}};
    const nlohmann::json answer{
        {"chosen_options", chosen},
        {"params_input",
         check_input(
             question.value("params", nlohmann::json::object()),
             input ? nlohmann::json::parse(input->dump()) : nlohmann::json::object()
         )},
        {"responded_by_user", user},
        {"responded_at", format_z(services.clock.now())}
    };
    core::AnswerInput event;
    event.actor = actor_of(request, caller);
    event.task = found.instance.key;
    event.answer = answer.dump();
    if (event.answer.size() + wait.resume.size() > limits::inline_value_bytes)
        throw failure(422, "the answer is larger than the limit inline_value_bytes");
    command(services, std::move(event));
    Json json;
    json["responded_by"] = Json::parse(user.dump());
    json["responded_at"] = answer.at("responded_at").get<std::string>();
    json["chosen_options"] = chosen;
    json["params_input"] = Json::parse(answer.at("params_input").dump());
    return reply(200, json);
}

}  // namespace

Rows hitl_endpoints() {
    constexpr auto in = http::Access::signed_in;
    constexpr const char* list = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/hitlDetails";
    constexpr const char* one =
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/{map_index}/"
        "hitlDetails";
    return {
        {"GET", list, "get_hitl_details", in, get_hitl_details},
        {"GET", one, "get_hitl_detail", in, get_hitl_detail},
        {"PATCH", one, "update_hitl_detail", in, update_hitl_detail},
    };
}

}  // namespace sluice::api
