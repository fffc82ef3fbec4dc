#include "spec/loader.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "base/json_text.hpp"
#include "base/limits.hpp"
#include "model/json_schema.hpp"
#include "spec/draft.hpp"
#include "spec/language.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

constexpr TextLimits file_limits{.bytes = limits::dag_file_bytes, .depth = limits::dag_file_depth};

/// Over the canonical text and the bytes of every file it names, each with its length, so that no
/// two bundles have one text.
std::string bundle_hash(const Dag& dag) {
    std::string all = fmt::format("sluice-dag-1\n{}\n{}", dag.source.size(), dag.source);
    for (const auto& [path, content] : dag.files)
        all += fmt::format("\n{} {}\n{}\n{}", path.size(), content.size(), path, content);
    return sha256_hex(all);
}

/// Canonical JSON, but that the columns of a data set keep their order, which means something.
std::string source_text(const json& root, const SourceMap& places) {
    std::string out = "{";
    const auto member = [&](const std::string& key, const std::string& value) {
        if (out.back() != '{') out += ',';
        out += json(key).dump() + ':' + value;
    };
    for (const auto& [key, value] : root.items()) {
        if (key != "datasets" || !value.is_object()) {
            member(key, canonical_json(value));
            continue;
        }
        std::string sets = "{";
        for (const auto& [name, dataset] : value.items()) {
            if (sets.size() > 1) sets += ',';
            sets += json(name).dump() + ':';
            const auto columns = dataset.is_object() ? dataset.find("columns") : dataset.end();
            if (columns == dataset.end() || !columns->is_object()) {
                sets += canonical_json(dataset);
                continue;
            }
            const auto at = child_pointer(child_pointer("/datasets", name), "columns");
            std::string ordered;
            for (const auto& column : keys_in_order(*columns, at, places))
                ordered += (ordered.empty() ? "" : ",") + json(column).dump() + ':' +
                           canonical_json((*columns)[column]);
            json rest = dataset;
            rest.erase("columns");
            std::string others = canonical_json(rest);
            others.front() = rest.empty() ? ' ' : ',';
            sets += "{\"columns\":{" + ordered + '}' + (rest.empty() ? "}" : others);
        }
        member(key, sets + '}');
    }
    return out + '}';
}

struct Kind {
    bool stored{false};
};

Parsed<Dag> read_dag(
    const TextDocument& document,
    const std::string& file,
    const Catalogue& catalogue,
    const FileReader& read_file,
    const OtherDatasets& others,
    Kind kind
) {
    Parsed<Dag> out;
    if (document.value == nullptr) {
        out.problems = document.problems;
        return out;
    }
    Problems problems(file, document.map);
    const json& root = *document.value;
    if (!root.is_object()) {
        problems.error(
            "E-TYPE", "", fmt::format("{} stands here, a DAG is an object", type_name(root))
        );
        out.problems = problems.take();
        return out;
    }
    Draft draft{
        .dag = {},
        .root = root,
        .catalogue = catalogue,
        .problems = problems,
        .read_file = read_file,
        .places = *document.map,
        .others = others,
        .stored = kind.stored
    };
    draft.dag.fileloc = file;
    draft.dag.source = source_text(root, *document.map);
    read_top_level(draft);
    read_datasets(draft);
    read_tasks(draft);
    check_operators(draft);
    check_mappings(draft);
    connect_tasks(draft);
    check_dependencies(draft);
    keep_inherited(draft);
    if (!problems.has_errors()) check_schedule_fit(draft);
    if (!problems.has_errors()) {
        draft.dag.hash = bundle_hash(draft.dag);
        out.value = std::move(draft.dag);
    }
    out.problems = problems.take();
    return out;
}

}  // namespace

Parsed<Dag> load(
    std::string_view text,
    const std::string& file,
    const Catalogue& catalogue,
    const FileReader& read_file,
    const OtherDatasets& others
) {
    return read_dag(read_text(text, file, file_limits), file, catalogue, read_file, others, {});
}

Parsed<Dag> load_stored(
    const std::string& source,
    const std::map<std::string, std::string>& files,
    const std::string& fileloc,
    const Catalogue& catalogue
) {
    const FileReader read = [&](const std::string& path) -> std::optional<std::string> {
        const auto found = files.find(path);
        if (found == files.end()) return std::nullopt;
        return found->second;
    };
    return read_dag(
        read_json(source, fileloc, file_limits),
        fileloc,
        catalogue,
        read,
        inherited_in(files),
        {.stored = true}
    );
}

bool check_language(
    const json& value, const json& part, const std::string& pointer, Problems& problems
) {
    auto found = check_part(value, part, language(), pointer, Templates::refuse);
    const bool fine = found.empty();
    for (auto& problem : found) problems.add(std::move(problem));
    return fine;
}

namespace {

void refuse_member(
    const std::string& key,
    const json& value,
    const json& schema,
    const std::string& at,
    Problems& problems
) {
    const auto mark = schema.find("x-not-yet");
    if (mark == schema.end()) return;
    if (mark->is_array()) {
        if (std::ranges::find(*mark, value) == mark->end()) return;
        problems.error(
            "E-NOT-YET",
            at,
            fmt::format(
                "the value {} of \"{}\" comes with a later version of Sluice", value.dump(), key
            )
        );
        return;
    }
    // The default is what happens anyway.
    if (const auto usual = schema.find("default"); usual != schema.end() && *usual == value) return;
    problems.error(
        "E-NOT-YET", at, fmt::format("the key \"{}\" comes with a later version of Sluice", key)
    );
}

}  // namespace

void refuse_not_yet(
    const json& value, const json& schema, const std::string& pointer, Problems& problems
) {
    if (!value.is_object()) return;
    const auto properties = schema.find("properties");
    if (properties == schema.end()) return;
    for (const auto& [key, child] : value.items()) {
        const auto known = properties->find(key);
        if (known != properties->end())
            refuse_member(key, child, *known, child_pointer(pointer, key), problems);
    }
}

void refuse_not_yet_deep(
    const json& value, const json& schema, const std::string& pointer, Problems& problems
) {
    walk_schema(
        value,
        schema,
        pointer,
        [&](const json& node, const json& here, const std::string& at) {
            const auto slash = at.rfind('/');
            refuse_member(
                slash == std::string::npos ? at : at.substr(slash + 1), node, here, at, problems
            );
            return true;
        }
    );
}

std::vector<std::string> keys_in_order(
    const json& object, const std::string& pointer, const SourceMap& places
) {
    std::vector<std::pair<Position, std::string>> keys;
    for (const auto& [key, value] : object.items())
        keys.emplace_back(places.key(child_pointer(pointer, key)), key);
    std::ranges::stable_sort(keys, [](const auto& a, const auto& b) {
        return std::pair(a.first.line, a.first.column) < std::pair(b.first.line, b.first.column);
    });
    std::vector<std::string> out;
    for (auto& [at, key] : keys) out.push_back(std::move(key));
    return out;
}

const std::string* bundle_file(Draft& draft, const std::string& path, const std::string& pointer) {
    if (const auto known = draft.dag.files.find(path); known != draft.dag.files.end())
        return &known->second;
    if (path.empty() || path.front() == '/') {
        draft.problems.error(
            "E-FILE", pointer, fmt::format("\"{}\" is not a path relative to the DAG file", path)
        );
        return nullptr;
    }
    auto content = draft.read_file ? draft.read_file(path) : std::nullopt;
    if (!content) {
        draft.problems.error(
            "E-FILE",
            pointer,
            fmt::format("the file \"{}\" cannot be read", path),
            "paths are relative to the DAG file and stay in the DAG folder"
        );
        return nullptr;
    }
    if (content->size() > limits::dag_file_bytes) {
        draft.problems.error(
            "E-FILE-SIZE",
            pointer,
            fmt::format("the file \"{}\" has more than {} bytes", path, limits::dag_file_bytes)
        );
        return nullptr;
    }
    return &draft.dag.files.emplace(path, std::move(*content)).first->second;
}

}  // namespace sluice::spec
