#include "operators/extract/json_document.hpp"

#include <iterator>
#include <vector>

#include <nlohmann/json.hpp>

#include "operators/engine/failure.hpp"
#include "operators/extract/csv.hpp"

namespace sluice::extract {

namespace {

using Json = nlohmann::json;

constexpr std::size_t deepest = 10'000;  // levels around the records

/// The bytes of the input, one by one; those of a record are kept.
class Source {
public:
    explicit Source(const JsonInput& input) : input_(input), block_(std::size_t{256} << 10) {
        if (!more()) engine::bad_data(input.name + " is empty: it holds no JSON");
        refuse_utf16(input.name, {block_.data(), size_});
    }

    bool more() {
        if (at_ < size_) return true;
        if (over_) return false;
        at_ = 0;
        size_ = input_.read(block_.data(), block_.size());
        over_ = size_ == 0;
        return !over_;
    }
    [[nodiscard]] char now() const { return block_[at_]; }
    void next() {
        if (keeps_) kept_ += block_[at_];
        ++at_;
        if (kept_.size() > json_record_bytes)
            engine::bad_data(
                input_.name + ": record " + std::to_string(records_ + 1) +
                " is longer than 16 MiB (\"records\" says where the records are)"
            );
    }
    void keep_from(char first) {
        kept_ = first;
        keeps_ = true;
    }
    /// What was kept since.
    const std::string& kept() {
        keeps_ = false;
        return kept_;
    }
    void forget() {
        kept_.clear();
        ++records_;
    }
    [[nodiscard]] std::int64_t records() const { return records_; }
    [[nodiscard]] const std::string& name() const { return input_.name; }

private:
    const JsonInput& input_;
    std::vector<char> block_;
    std::size_t at_{0};
    std::size_t size_{0};
    bool over_{false};
    bool keeps_{false};
    std::string kept_;
    std::int64_t records_{0};
};

class Bytes {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = char;

    Bytes() = default;  // the end
    explicit Bytes(Source& source) : source_(&source) {}
    char operator*() const { return source_->now(); }
    Bytes& operator++() {
        source_->next();
        return *this;
    }
    Bytes operator++(int) {
        const Bytes before = *this;
        ++*this;
        return before;
    }
    friend bool operator==(const Bytes& one, const Bytes& other) {
        return one.more() == other.more();
    }

private:
    [[nodiscard]] bool more() const { return source_ != nullptr && source_->more(); }
    Source* source_{nullptr};
};

struct Step {
    JsonPath::Step of;
    bool any{false};  // each element
};

std::vector<Step> steps_of(const JsonPath& path) {
    std::vector<Step> steps;
    for (const JsonPath::Step& step : path.steps) steps.push_back({step});
    if (path.each) steps.push_back({{}, true});
    return steps;
}

/// Follows the path down the document as it is parsed.
class Records final : public nlohmann::json_sax<Json> {
public:
    Records(
        Source& source,
        const std::optional<JsonPath>& path,
        const std::function<void(std::string_view)>& each
    )
        : source_(source), each_(each), has_path_(path) {
        if (path) steps_ = steps_of(*path);
    }

    void check_found() const {
        if (!found_) nothing_at("has nothing");
    }

    bool null() override { return scalar("null"); }
    bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
    bool number_integer(std::int64_t value) override { return scalar(std::to_string(value)); }
    bool number_unsigned(std::uint64_t value) override { return scalar(std::to_string(value)); }
    bool number_float(double /*value*/, const std::string& written) override {
        return scalar(written);
    }
    bool string(std::string& value) override {
        if (inside_ > 0) return true;
        return scalar(Json(value).dump());
    }
    bool binary(Json::binary_t& /*value*/) override { return true; }
    bool key(std::string& name) override {
        if (inside_ == 0) key_ = name;
        return true;
    }
    bool start_object(std::size_t /*elements*/) override { return start(false); }
    bool end_object() override { return end(); }
    bool start_array(std::size_t /*elements*/) override { return start(true); }
    bool end_array() override { return end(); }

    bool parse_error(
        std::size_t position, const std::string& /*token*/, const nlohmann::detail::exception& error
    ) override {
        // Its own words quote the text, which may be personal.
        const bool bytes = std::string_view(error.what()).find("UTF-8") != std::string_view::npos;
        std::string why = bytes ? " is not UTF-8 at byte " : " is not valid JSON at byte ";
        why += std::to_string(position) + ", after " + std::to_string(source_.records()) +
               " whole records";
        if (ended_) why += ": more follows its end (are these JSON lines? \"format\": \"jsonl\")";
        if (!ended_ && !source_.more()) why += ": it is cut off";
        engine::bad_data(source_.name() + why);
    }

private:
    struct Level {
        bool is_array;
        bool on_path;
        long index;
    };

    [[noreturn]] void nothing_at(const std::string& what) const {
        engine::bad_data(source_.name() + ": the document " + what + " at the path \"records\"");
    }
    bool scalar(const std::string& text) {
        if (inside_ > 0) return true;
        if (reached(false)) emit(text);
        ended_ = levels_.empty();
        return true;
    }
    bool start(bool is_array) {
        if (inside_ > 0) {
            ++inside_;
        } else if (reached(is_array)) {
            inside_ = 1;
            source_.keep_from(is_array ? '[' : '{');
        } else {
            if (levels_.size() == deepest) engine::bad_data(source_.name() + " is nested too deep");
            levels_.push_back({is_array, on_path_, -1});
        }
        return true;
    }
    bool end() {
        if (inside_ == 0) {
            levels_.pop_back();
        } else if (--inside_ == 0) {
            emit(source_.kept());
        }
        ended_ = levels_.empty() && inside_ == 0;
        return true;
    }
    void emit(std::string_view record) {
        each_(record);
        source_.forget();
    }

    /// A value begins: is it a record?
    bool reached(bool is_array) {
        on_path_ = true;
        if (levels_.empty()) {
            if (!has_path_ && is_array) steps_.push_back({{}, true});
        } else {
            Level& above = levels_.back();
            ++above.index;
            on_path_ = above.on_path && leads_here(above);
        }
        if (!on_path_) return false;
        const std::size_t depth = levels_.size();
        const bool list = depth + 1 == steps_.size() && steps_.back().any;
        if (list && !is_array) nothing_at("has no array");
        found_ = found_ || list || depth == steps_.size();
        return depth == steps_.size();
    }
    [[nodiscard]] bool leads_here(const Level& above) const {
        const Step& step = steps_[levels_.size() - 1];
        if (above.is_array) return step.any || step.of.index == above.index;
        return !step.any && step.of.index < 0 && step.of.name == key_;
    }

    Source& source_;
    const std::function<void(std::string_view)>& each_;
    const bool has_path_;
    std::vector<Step> steps_;
    std::vector<Level> levels_;  // the containers around, records aside
    std::size_t inside_{0};      // containers of the record that is being read
    std::string key_;
    bool on_path_{true};
    bool found_{false};
    bool ended_{false};  // the value of the document
};

}  // namespace

void read_json_document(
    const JsonInput& input,
    const std::optional<JsonPath>& path,
    const std::function<void(std::string_view record)>& each
) {
    Source source(input);
    Records records(source, path, each);
    Json::sax_parse(Bytes(source), Bytes(), &records);
    records.check_found();
}

}  // namespace sluice::extract
