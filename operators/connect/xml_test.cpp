#include "operators/connect/xml.hpp"

#include <catch2/catch.hpp>

#include "operators/engine/failure.hpp"

namespace sluice::connect {

TEST_CASE("elements at any depth, their texts with entities, their source", "[connect][xml]") {
    const auto document = parse_xml(
        "<?xml version=\"1.0\"?><L "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><KeyCount>2</KeyCount>"
        "<C><Key>a &amp; b&#xe9;</Key></C><C><Key/></C></L>",
        "test"
    );
    const auto found = xml_elements(document, "C");
    REQUIRE(found.size() == 2);
    CHECK(xml_text(found[0], "Key") == "a & b\u00e9");
    CHECK(xml_text(found[1], "Key").empty());
    CHECK(xml_source(found[0]) == "<C><Key>a &amp; b\u00e9</Key></C>");
    CHECK(xml_text(document, "KeyCount") == "2");
    CHECK(xml_text(document, "NotThere").empty());
    CHECK(xml_escape("a<b>&c") == "a&lt;b&gt;&amp;c");
}

TEST_CASE("an answer that is cut off, or no XML, is no answer", "[connect][xml]") {
    const auto* const text =
        GENERATE("<L><C><Key>a</Key></C>", "<html><p>502 Bad Gateway", "", "{}");
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_xml(text, "s3://lake"), Catch::Contains("s3://lake answered with"));
    CHECK(xml_text(text, "Key").empty());
}

}  // namespace sluice::connect
