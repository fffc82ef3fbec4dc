// dictionaries.hpp — names and cities to put in the place of true ones, by locale; first names also
// tell a column of names when personal data is searched for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::privacy {

class Dictionary {
public:
    /// A second list is put behind the first, with a blank between.
    explicit Dictionary(std::string_view list, std::string_view second = {});
    /// By the bytes of a digest, at least 16 of them.
    [[nodiscard]] std::string pick(std::string_view digest) const;

private:
    std::vector<std::string_view> first_;
    std::vector<std::string_view> second_;
};

/// first_name, last_name, full_name or city; en, de, es, fr or pt. Throws Error(invalid).
const Dictionary& dictionary_of(const std::string& name, const std::string& locale);

/// True for a first name of any locale, whatever its case.
bool is_first_name(std::string_view word);

}  // namespace sluice::privacy
