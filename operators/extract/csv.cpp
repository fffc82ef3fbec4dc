#include "operators/extract/csv.hpp"

#include <cstring>
#include <deque>

#include "operators/engine/failure.hpp"
#include "operators/extract/rejects.hpp"

namespace sluice::extract {

bool valid_utf8(std::string_view text) {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    const auto* end = p + text.size();
    while (p < end) {
        if (*p < 0x80) {
            ++p;
            continue;
        }
        int more = 0;
        std::uint32_t code = 0;
        if ((*p & 0xE0) == 0xC0) {
            more = 1;
            code = *p & 0x1FU;
        } else if ((*p & 0xF0) == 0xE0) {
            more = 2;
            code = *p & 0x0FU;
        } else if ((*p & 0xF8) == 0xF0) {
            more = 3;
            code = *p & 0x07U;
        } else {
            return false;
        }
        if (end - p <= more) return false;
        for (int i = 1; i <= more; ++i) {
            if ((p[i] & 0xC0) != 0x80) return false;
            code = (code << 6) | (p[i] & 0x3FU);
        }
        static constexpr std::uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (code < least[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
            return false;
        }
        p += more + 1;
    }
    return true;
}

void refuse_utf16(const std::string& name, std::string_view begin) {
    using namespace std::string_view_literals;
    // With the mark of its byte order, or two ASCII characters of two bytes.
    const bool marked = begin.starts_with("\xFF\xFE"sv) || begin.starts_with("\xFE\xFF"sv);
    const auto zero = [&](std::size_t at) { return begin[at] == '\0'; };
    const bool wide =
        begin.size() > 3 && zero(0) != zero(1) && zero(0) == zero(2) && zero(1) == zero(3);
    if (marked || wide)
        engine::bad_data(name + " seems to be UTF-16 or UTF-32, not UTF-8: it must be converted");
}

namespace {

/// What came of trying to read one record at the head of the buffer.
enum class Attempt { record, broken, more };

class Reader {
public:
    Reader(
        const CsvOptions& options,
        std::size_t columns,
        const std::function<std::size_t(char*, std::size_t)>& read,
        const CsvHandler& handler
    )
        : options_(options), columns_(columns), read_(read), handler_(handler) {}

    void run() {
        while (view().size() < 4 && !at_end_) fill();
        refuse_utf16(options_.name, view());
        if (view().substr(0, 3) == "\xEF\xBB\xBF") begin_ += 3;
        for (std::int64_t i = 0; i < options_.skip; ++i) drop_line({});
        bool header = options_.header;
        while (prepare()) {
            if (skip_blank()) continue;
            switch (attempt()) {
                case Attempt::more:
                    fill();
                    break;
                case Attempt::broken:
                    if (header) fail_header();
                    reject_line();
                    break;
                case Attempt::record:
                    take(header);
                    break;
            }
        }
    }

private:
    [[nodiscard]] std::string_view view() const {
        return {buffer_.data() + begin_, buffer_.size() - begin_};
    }

    /// True while there is something to read.
    bool prepare() {
        if (begin_ == buffer_.size() && !at_end_) fill();
        return begin_ < buffer_.size();
    }

    void fill() {
        if (at_end_) return;
        buffer_.erase(0, begin_);
        begin_ = 0;
        const std::size_t old = buffer_.size();
        buffer_.resize(old + block_bytes);
        const std::size_t got = read_(buffer_.data() + old, block_bytes);
        buffer_.resize(old + got);
        if (got == 0) at_end_ = true;
    }

    /// Takes the first physical line off; it is given without the line break. Of a line that
    /// is too long only the beginning is ever held.
    void drop_line(const std::function<void(std::string_view)>& give) {
        std::size_t newline = view().find('\n');
        while (newline == std::string_view::npos && !at_end_ && view().size() < csv_record_bytes) {
            fill();
            newline = view().find('\n');
        }
        const bool whole = newline != std::string_view::npos || at_end_;
        std::string_view line = view().substr(0, whole ? newline : kept_of_long);
        if (whole && !line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (give) give(line);
        while (newline == std::string_view::npos && !at_end_) {
            begin_ = buffer_.size();
            fill();
            newline = view().find('\n');
        }
        begin_ = newline == std::string_view::npos ? buffer_.size() : begin_ + newline + 1;
        ++line_;
    }

    /// Empty lines are no rows.
    bool skip_blank() {
        const std::string_view rest = view();
        std::size_t length = 0;
        if (rest[0] == '\n') length = 1;
        if (rest.size() > 1 && rest[0] == '\r' && rest[1] == '\n') length = 2;
        if (length == 0) return false;
        begin_ += length;
        ++line_;
        return true;
    }

    Attempt broken(std::string reason) {
        reason_ = std::move(reason);
        return Attempt::broken;
    }

    /// A quoted field beginning after the quote at `at`; leaves `at` after the closing quote.
    Attempt quoted_field(std::string_view rest, std::size_t& at) {
        const std::size_t start = ++at;
        bool doubled = false;
        for (;;) {
            const void* found = std::memchr(rest.data() + at, options_.quote, rest.size() - at);
            if (found == nullptr) {
                if (!at_end_ && rest.size() < csv_record_bytes) return Attempt::more;
                return broken("a quote is not closed");
            }
            at = static_cast<std::size_t>(static_cast<const char*>(found) - rest.data());
            if (at + 1 == rest.size() && !at_end_) return Attempt::more;
            if (at + 1 < rest.size() && rest[at + 1] == options_.quote) {
                doubled = true;
                at += 2;
                continue;
            }
            break;
        }
        std::string_view text = rest.substr(start, at - start);
        if (doubled) text = undoubled(text);
        for (const char c : text) lines_ += c == '\n' ? 1 : 0;
        fields_.push_back({text, true});
        ++at;
        return Attempt::record;
    }

    std::string_view undoubled(std::string_view text) {
        std::string& kept = unescaped_.emplace_back();
        for (std::size_t i = 0; i < text.size(); ++i) {
            kept += text[i];
            if (text[i] == options_.quote) ++i;
        }
        return kept;
    }

    /// Tries to read a record at the head. On `record` fields_, length_ and lines_ are set.
    Attempt attempt() {
        const std::string_view rest = view();
        fields_.clear();
        unescaped_.clear();
        lines_ = 1;
        std::size_t at = 0;
        for (;;) {
            if (at < rest.size() && rest[at] == options_.quote) {
                const Attempt field = quoted_field(rest, at);
                if (field != Attempt::record) return field;
            } else {
                const std::size_t start = at;
                while (at < rest.size() && rest[at] != options_.delimiter && rest[at] != '\n') ++at;
                std::size_t stop = at;
                if (stop > start && rest[stop - 1] == '\r' &&
                    (stop == rest.size() || rest[at] == '\n')) {
                    --stop;
                }
                fields_.push_back({rest.substr(start, stop - start), false});
            }
            if (at == rest.size()) {
                if (!at_end_) {
                    return rest.size() < csv_record_bytes ? Attempt::more
                                                          : broken("the line is too long");
                }
                length_ = at;
                return checked(rest);
            }
            if (rest[at] == '\r' && fields_.back().quoted) {
                if (at + 1 == rest.size() && !at_end_) return Attempt::more;
                if (at + 1 < rest.size() && rest[at + 1] == '\n') ++at;
            }
            if (rest[at] == '\n') {
                length_ = at + 1;
                return checked(rest);
            }
            if (rest[at] != options_.delimiter) return broken("text after a closing quote");
            ++at;
        }
    }

    Attempt checked(std::string_view rest) {
        if (columns_ != 0 && fields_.size() != columns_) {
            return broken(
                "expected " + std::to_string(columns_) + " fields, found " +
                std::to_string(fields_.size())
            );
        }
        if (!valid_utf8(rest.substr(0, length_))) return broken("not UTF-8");
        if (rest.substr(0, length_).find('\0') != std::string_view::npos) {
            return broken("a zero byte");
        }
        return Attempt::record;
    }

    void take(bool& header) {
        if (header) {
            for (const CsvField& field : fields_)
                if (!field.quoted && field.text.find('\r') != std::string_view::npos)
                    engine::bad_data(options_.name + ": its lines end in CR alone, not LF or CRLF");
            columns_ = handler_.header(fields_);
            header = false;
        } else {
            handler_.row(fields_);
        }
        begin_ += length_;
        line_ += lines_;
    }

    [[noreturn]] void fail_header() const {
        engine::bad_data(
            options_.name + ": the header, line " + std::to_string(line_) +
            ", cannot be read: " + reason_
        );
    }

    void reject_line() {
        // The views of a field may dangle after a fill; the reason is kept on its own.
        const std::int64_t line = line_;
        drop_line([&](std::string_view text) { handler_.reject({line, text, reason_}); });
    }

    static constexpr std::size_t block_bytes = std::size_t{256} << 10;

    const CsvOptions& options_;
    std::size_t columns_;
    const std::function<std::size_t(char*, std::size_t)>& read_;
    const CsvHandler& handler_;
    std::string buffer_;
    std::size_t begin_{0};
    bool at_end_{false};
    std::int64_t line_{1};
    std::vector<CsvField> fields_;
    std::deque<std::string> unescaped_;  // stable: fields point into it
    std::string reason_;
    std::size_t length_{0};
    std::int64_t lines_{1};
};

}  // namespace

void read_csv(
    const CsvOptions& options,
    std::size_t columns,
    const std::function<std::size_t(char*, std::size_t)>& read,
    const CsvHandler& handler
) {
    Reader(options, columns, read, handler).run();
}

}  // namespace sluice::extract
