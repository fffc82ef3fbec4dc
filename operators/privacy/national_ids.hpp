// national_ids.hpp — numbers of persons by their checksums. Pure functions.
#pragma once

#include <string_view>

namespace sluice::privacy {

bool is_us_ssn(std::string_view text, bool plain_too);  // 123-45-6789; 123456789 if plain_too
bool is_br_cpf(std::string_view digits);                // 11 digits
bool is_br_cnpj(std::string_view digits);               // 14 digits
bool is_in_aadhaar(std::string_view digits);            // 12 digits, Verhoeff
bool is_uk_nhs(std::string_view digits);                // 10 digits, mod 11
bool is_uk_nino(std::string_view text);                 // AB123456C
bool is_es_nif(std::string_view text);                  // 12345678Z, X1234567L
bool is_fr_nir(std::string_view text);                  // 13 characters and two digits, mod 97
bool is_de_steuer_id(std::string_view digits);          // 11 digits, ISO 7064

}  // namespace sluice::privacy
