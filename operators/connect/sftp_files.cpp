// sftp_files.cpp — a folder of an SFTP server: patterns by listing folders, downloads that go on
// where they broke off.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include <fnmatch.h>
#include <nlohmann/json.hpp>

#include "operators/connect/download.hpp"
#include "operators/connect/files.hpp"
#include "operators/connect/patience.hpp"
#include "operators/connect/remote_files.hpp"
#include "operators/connect/sftp_calls.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

namespace fs = std::filesystem;
using engine::Failure;

namespace {

struct SftpEntry {
    std::string name;
    char type{'-'};  // as `ls -l` has it
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (!line.empty()) lines.push_back(line);
    return lines;
}

/// The name that a line of `ls -l` ends in: the longest of those that are there, since names may
/// have spaces in them.
const std::string* name_in(std::string line, const std::set<std::string>& names) {
    // libcurl says where a link leads.
    if (const auto arrow = line.find(" -> "); line.starts_with('l') && arrow != std::string::npos)
        line.resize(arrow);
    const std::string* longest = nullptr;
    for (std::size_t at = line.find(' '); at != std::string::npos; at = line.find(' ', at + 1)) {
        const auto found = names.find(line.substr(at + 1));
        if (found != names.end() && (longest == nullptr || found->size() > longest->size()))
            longest = &*found;
    }
    return longest;
}

std::string folder_on_server(const task::Connection& connection) {
    const nlohmann::json extra = extra_of(connection);
    std::string folder = extra.contains("path") && extra["path"].is_string()
                             ? extra["path"].get<std::string>()
                             : connection.schema;
    if (!folder.empty() && !folder.ends_with('/')) folder += '/';
    // A path that does not begin at the top begins where the login lands.
    return folder.starts_with('/') ? folder : "/~/" + folder;
}

class SftpFolder {
public:
    SftpFolder(task::TaskContext& context, const task::Connection& connection)
        : calls_(context, connection), folder_(folder_on_server(connection)) {}

    [[nodiscard]] std::string told() const { return calls_.address(folder_); }

    std::vector<PlacedFile> find(const std::string& pattern) {
        check_inside(pattern);
        std::set<std::string> names;
        const fs::path path = fs::path(pattern).lexically_normal();
        collect("", path.begin(), path.end(), names);
        std::vector<PlacedFile> found;
        for (const std::string& name : names)
            if (auto file = look(name)) found.push_back(std::move(*file));
        return found;
    }

    void fetch(const PlacedFile& file, NewFile& to, const std::function<void(std::int64_t)>& room) {
        room(file.bytes);
        SftpCall call{.path = folder_ + file.name};
        call.into = [&](std::string_view bytes) { to.write(bytes); };
        call.begin = [&] {
            // Before it goes on: is it still the same file? It is looked at before the first try
            // too.
            check_same(file);
            return to.size();
        };
        if (!calls_.send(call)) changed(file);
        check_same(file);
        if (file.bytes > 0 && to.size() != file.bytes) changed(file);
    }

    std::string instead_of(const std::string& pattern) {
        return has_wildcard(pattern) || !list(pattern) ? "" : "a folder";
    }

private:
    static bool has_wildcard(const std::string& name) {
        return name.find_first_of("*?[") != std::string::npos;
    }

    [[noreturn]] void changed(const PlacedFile& file) const {
        throw Failure(
            ErrorClass::transient,
            calls_.named(folder_ + file.name) +
                " has changed or gone while it was read: write files under another name first, "
                "then rename them"
        );
    }
    void check_same(const PlacedFile& file) {
        const auto now = calls_.send({.path = folder_ + file.name, .head = true});
        if (!now || now->bytes != file.bytes || now->changed != file.written) changed(file);
    }

    std::optional<PlacedFile> look(const std::string& name) {
        std::optional<SftpReply> reply;
        try {
            reply = calls_.send({.path = folder_ + name, .head = true});
        } catch (const NotOpened&) {
            if (!list(name)) throw;  // a folder is no file: instead_of() says so
        }
        if (!reply) return std::nullopt;
        return PlacedFile{
            .name = name,
            .path = {},
            .bytes = reply->bytes,
            .written = reply->changed,
            .changed_at = Instant{std::chrono::seconds{reply->changed}}
        };
    }

    /// What is in a folder; none if there is no such folder.
    std::optional<std::vector<SftpEntry>> list(const std::string& name) {
        const std::string path = folder_ + (name.empty() ? "" : name + '/');
        std::string names;
        std::string lines;
        const auto add_to = [](std::string& text) {
            return [&text](std::string_view bytes) { text += bytes; };
        };
        if (!calls_.send({.path = path, .names = true, .into = add_to(names)}) ||
            !calls_.send({.path = path, .into = add_to(lines)}))
            return std::nullopt;
        std::set<std::string> there;
        for (const std::string& line : lines_of(names)) there.insert(line);
        std::map<std::string, char> types;
        for (const std::string& line : lines_of(lines))
            if (const std::string* known = name_in(line, there)) types[*known] = line.front();
        std::vector<SftpEntry> entries;
        for (const std::string& known : there) {
            if (known == "." || known == "..") continue;
            const auto type = types.find(known);
            entries.push_back({known, type == types.end() ? '-' : type->second});
        }
        return entries;
    }

    using Part = fs::path::const_iterator;

    /// The names of files under `folder` that fit the rest of a pattern.
    void collect(
        const std::string& folder, Part part, const Part& end, std::set<std::string>& names
    ) {
        if (part == end) return;
        const std::string written = part->string();
        const Part next = std::next(part);
        const auto below = [&](const std::string& name) {
            return folder.empty() ? name : folder + '/' + name;
        };
        if (!has_wildcard(written)) {
            if (next == end)
                names.insert(below(written));
            else
                collect(below(written), next, end, names);
            return;
        }
        const bool any_depth = written == "**";
        if (any_depth) collect(folder, next, end, names);
        const auto entries = list(folder);
        if (!entries) return;
        for (const auto& [name, type] : *entries) {
            if (any_depth) {
                if (type == 'd' && !name.starts_with('.')) collect(below(name), part, end, names);
                continue;
            }
            if (::fnmatch(written.c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
            if (next != end)
                collect(below(name), next, end, names);
            else if (type == '-' || (type == 'l' && !list(below(name))))
                names.insert(below(name));
        }
    }

    SftpCalls calls_;
    std::string folder_;
};

}  // namespace

RemoteFiles sftp_files(task::TaskContext& context, const task::Connection& connection) {
    const auto folder = std::make_shared<SftpFolder>(context, connection);
    return {
        .told = folder->told(),
        .find = [folder](const std::string& pattern) { return folder->find(pattern); },
        .fetch =
            [folder](
                const PlacedFile& file, NewFile& to, const std::function<void(std::int64_t)>& room
            ) { folder->fetch(file, to, room); },
        .instead_of = [folder](const std::string& pattern) { return folder->instead_of(pattern); },
    };
}

}  // namespace sluice::connect
