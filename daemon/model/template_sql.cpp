#include "model/template_sql.hpp"

#include "model/template_syntax.hpp"

namespace sluice::tmpl {
namespace {

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

SqlPlace SqlFollower::place() const {
    switch (state_) {
        case State::code:
            return SqlPlace::code;
        case State::single:
        case State::escape_string:
        case State::dollar:
            return SqlPlace::string;
        case State::double_:
            return SqlPlace::quoted_name;
        case State::line:
        case State::block:
            return SqlPlace::comment;
    }
    return SqlPlace::code;
}

void SqlFollower::feed_code(char c) {
    const char before = recent_.empty() ? '\0' : recent_.back();
    if (c == '\'') {
        // e'..' knows backslashes; the letter must not be the end of a longer word.
        const bool e = before == 'e' || before == 'E';
        const bool alone = recent_.size() < 2 || !is_word(recent_[recent_.size() - 2]);
        state_ = e && alone ? State::escape_string : State::single;
        escaped_ = false;
        recent_.clear();
        return;
    }
    if (c == '"') {
        state_ = State::double_;
        recent_.clear();
        return;
    }
    if (c == '-' && before == '-') state_ = State::line;
    if (c == '*' && before == '/') {
        state_ = State::block;
        depth_ = 1;
        last_ = '\0';
    }
    if (is_digit(c) && before == '$') {
        const bool in_name = recent_.size() >= 2 && is_word(recent_[recent_.size() - 2]);
        dollar_number_ = dollar_number_ || !in_name;
    }
    if (c == '$') {
        // $tag$ or $$ opens a dollar quote.
        const auto open = recent_.rfind('$');
        if (open != std::string::npos) {
            bool tag = open == 0 || !is_word(recent_[open - 1]);
            for (std::size_t i = open + 1; i < recent_.size(); ++i)
                tag = tag && is_word(recent_[i]);
            if (tag && (open + 1 == recent_.size() || !is_digit(recent_[open + 1]))) {
                tag_ = recent_.substr(open) + '$';
                tail_.clear();
                state_ = State::dollar;
                recent_.clear();
                return;
            }
        }
    }
    if (state_ != State::code) {
        recent_.clear();
        return;
    }
    recent_ += c;
    constexpr std::size_t recent_max = 80;
    if (recent_.size() > 2 * recent_max) recent_.erase(0, recent_max);
}

void SqlFollower::feed_dollar(char c) {
    tail_ += c;
    if (tail_.ends_with(tag_)) {
        state_ = State::code;
        recent_.clear();
    } else if (tail_.size() > 2 * tag_.size()) {
        tail_.erase(0, tail_.size() - tag_.size());
    }
}

void SqlFollower::feed(std::string_view text) {
    for (const char c : text) {
        switch (state_) {
            case State::code:
                feed_code(c);
                break;
            case State::single:
                // '' inside a string closes and opens it again: the same to us.
                if (c == '\'') state_ = State::code;
                break;
            case State::escape_string:
                if (escaped_)
                    escaped_ = false;
                else if (c == '\\')
                    escaped_ = true;
                else if (c == '\'')
                    state_ = State::code;
                break;
            case State::double_:
                if (c == '"') state_ = State::code;
                break;
            case State::dollar:
                feed_dollar(c);
                break;
            case State::line:
                if (c == '\n') state_ = State::code;
                break;
            case State::block:
                if (last_ == '*' && c == '/') {
                    if (--depth_ == 0) state_ = State::code;
                    last_ = '\0';
                } else if (last_ == '/' && c == '*') {
                    ++depth_;
                    last_ = '\0';
                } else {
                    last_ = c;
                }
                break;
        }
    }
}

}  // namespace sluice::tmpl
