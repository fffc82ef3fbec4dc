#include "operators/sample/locations.hpp"

#include <fmt/format.h>

#include "operators/engine/database.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::sample {

void write_locations(const Plan& plan, const std::filesystem::path& file) {
    engine::Database database(engine::DatabaseOptions{});
    database.execute(
        "create table locations (location_id bigint not null, name varchar, city varchar, "
        "state varchar, country varchar)"
    );
    engine::Appender rows = database.append("locations");
    for (std::int64_t id = 1; id <= plan.locations; ++id) {
        const City& place = city(id * 3);
        const std::string name = place.name;
        rows.integer(id);
        rows.text(fmt::format("{} Store {}", name, id));
        rows.text((id - 1) % 10 == 3 ? "  " + name + " " : name);
        rows.text(place.state);
        rows.text("US");
        rows.end_row();
    }
    rows.close();
    database.execute(
        "copy (select * from locations order by location_id) to " + engine::literal(file.string()) +
        " (format parquet, compression zstd)"
    );
}

}  // namespace sluice::sample
