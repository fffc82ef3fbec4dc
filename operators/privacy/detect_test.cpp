#include "operators/privacy/detect.hpp"

#include <catch2/catch.hpp>

#include "operators/privacy/national_ids.hpp"

using namespace sluice::privacy;

namespace {

std::string class_of(
    const std::string& column, const std::vector<std::string>& values, double least = 0.6
) {
    Suspect suspect;
    suspect.column = column;
    suspect.values = values;
    suspect.this_year = 2026;
    const auto found = detect(suspect, least);
    return found ? found->pii_class : "none";
}

}  // namespace

TEST_CASE("numbers of persons are told by their checksums", "[mask][detect]") {
    CHECK(is_us_ssn("219-09-9999", false));
    CHECK_FALSE(is_us_ssn("666-09-9999", false));
    CHECK_FALSE(is_us_ssn("900-09-9999", false));
    CHECK_FALSE(is_us_ssn("219099999", false));
    CHECK(is_us_ssn("219099999", true));
    CHECK(is_br_cpf("11144477735"));
    CHECK_FALSE(is_br_cpf("11144477734"));
    CHECK_FALSE(is_br_cpf("11111111111"));
    CHECK(is_br_cnpj("11222333000181"));
    CHECK_FALSE(is_br_cnpj("11222333000180"));
    CHECK(is_in_aadhaar("234123412346"));
    CHECK_FALSE(is_in_aadhaar("234123412345"));
    CHECK(is_uk_nhs("9434765919"));
    CHECK_FALSE(is_uk_nhs("9434765918"));
    CHECK(is_uk_nino("AB123456C"));
    CHECK_FALSE(is_uk_nino("QQ123456C"));
    CHECK(is_es_nif("12345678Z"));
    CHECK(is_es_nif("X1234567L"));
    CHECK_FALSE(is_es_nif("12345678A"));
    CHECK(is_fr_nir("255081416802538"));
    CHECK_FALSE(is_fr_nir("255081416802539"));
    CHECK(is_de_steuer_id("86095742719"));
    CHECK_FALSE(is_de_steuer_id("86095742718"));
}

TEST_CASE("patterns hold what they should and nothing near it", "[mask][detect]") {
    CHECK(looks_like_email("ana.silva@example.com"));
    CHECK(looks_like_email(" \"a b\"@xn--bcher-kva.xn--p1ai"));
    CHECK(
        looks_like_email("jos\xC3\xA9@b\xC3\xBC"
                         "cher.de") == false
    );
    CHECK_FALSE(looks_like_email("a***@example.com"));
    CHECK_FALSE(looks_like_email("a@b"));
    CHECK(looks_like_phone("+1 (555) 010-2345", false));
    CHECK_FALSE(looks_like_phone("555-010-2345", false));
    CHECK(looks_like_phone("555-010-2345", true));
    CHECK_FALSE(looks_like_phone("5550102345", true));  // digits alone are never enough
    CHECK(looks_like_card("4111 1111 1111 1111"));
    CHECK_FALSE(looks_like_card("4111 1111 1111 1112"));
    CHECK_FALSE(looks_like_card("9999000000000005"));
    CHECK(looks_like_iban("DE89 3704 0044 0532 0130 00"));
    CHECK(looks_like_iban("GB82WEST12345698765432"));
    CHECK_FALSE(looks_like_iban("GB82WEST12345698765433"));
    CHECK_FALSE(looks_like_iban("DE8937040044053201300"));
    CHECK(looks_like_ip("192.168.0.1", false));
    CHECK(looks_like_ip("2001:db8::1", false));
    CHECK(looks_like_ip("00:1A:2b:3c:4d:5e", false));
    CHECK_FALSE(looks_like_ip("4.15.0.20", false));
    CHECK(looks_like_ip("4.15.0.20", true));
    CHECK_FALSE(looks_like_ip("12:30:45", false));
    CHECK_FALSE(looks_like_ip("256.1.1.1", false));
    CHECK(looks_like_dob("1980-02-03", 2016));
    CHECK_FALSE(looks_like_dob("2020-02-03", 2016));
    CHECK(looks_like_place("52.52000, 13.40500"));
    CHECK_FALSE(looks_like_place("152.52000, 13.40500"));
    CHECK(looks_like_secret("AKIAIOSFODNN7EXAMPLE", false));
    CHECK(looks_like_secret("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", true));
    CHECK_FALSE(looks_like_secret("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", false));
    CHECK_FALSE(looks_like_secret("7bda2560ce1bf126ff5df73ed84b6c9f8dd6064e33fc273e", true));
}

TEST_CASE("a class is a share of values, with help of the column's name", "[mask][detect]") {
    CHECK(class_of("gift_note", {"a@b.com", "c@d.org", "e@f.net", "none"}) == "email");
    CHECK(class_of("gift_note", {"a@b.com", "thanks", "hi", "none"}) == "none");
    CHECK(class_of("email", {"a@b.com", "thanks", "c@d.org", "hi", "none"}) == "email");
    CHECK(class_of("born", {"1980-02-03", "1990-05-06"}) == "dob");
    CHECK(class_of("ordered_on", {"1980-02-03", "1990-05-06"}) == "none");
    CHECK(class_of("who", {"Ana Silva", "James Brown", "Zork Blah"}) == "name");
    CHECK(class_of("product", {"Trail Shoe 12", "Desk Lamp 3"}) == "none");
    CHECK(class_of("street", {"12 Main Street", "Hauptstr. 5"}) == "address");
    CHECK(class_of("note", {"12 Main Street", "Hauptstr. 5"}) == "none");
    CHECK(class_of("status", {"completed", "shipped"}) == "none");
    Suspect rising;
    rising.column = "id";
    rising.values = {"4111111111111111"};
    rising.rising = true;
    CHECK_FALSE(detect(rising, 0.6));
    rising.rising = false;
    const auto found = detect(rising, 0.6);
    REQUIRE(found);
    CHECK(told(*found) == "id: card (100% of 1 values)");
}
