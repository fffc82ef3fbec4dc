#include "operators/sample/sample.hpp"

#include <algorithm>
#include <fstream>

#include <nlohmann/json.hpp>
#include <zlib.h>

#include "base/hash.hpp"
#include "operators/sample/day_files.hpp"
#include "operators/sample/digest.hpp"
#include "operators/sample/locations.hpp"
#include "operators/sample/plan.hpp"
#include "operators/sample/shop.hpp"

namespace sluice::sample {

namespace {

using nlohmann::json;

/// Gzip without a time stamp, so that the same text makes the same bytes.
std::string gzip(std::string_view text) {
    z_stream stream{};
    if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw Error(ErrorCode::internal, "gzip could not be started");
    std::string out(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
    std::string in(text);  // zlib's input is not const
    stream.next_in = reinterpret_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int ended = deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    if (ended != Z_STREAM_END) throw Error(ErrorCode::internal, "gzip failed");
    return out;
}

class Folder {
public:
    Folder(std::filesystem::path root, Summary& summary)
        : root_(std::move(root)), summary_(summary) {
        std::filesystem::create_directories(root_);
        for (const char* old : {"orders", "order_items", "payments"}) {
            std::filesystem::remove_all(root_ / old);
            std::filesystem::create_directories(root_ / old);
        }
        std::filesystem::remove(root_ / "locations.parquet");
    }

    void write(const std::string& name, std::string_view bytes, std::int64_t rows) {
        std::ofstream out(root_ / name, std::ios::binary | std::ios::trunc);
        out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        out.close();
        if (!out) throw Error(ErrorCode::unavailable, "cannot write " + (root_ / name).string());
        note(name, bytes, rows);
    }
    void write_locations(const Plan& plan) {
        sample::write_locations(plan, root_ / "locations.parquet");
        std::ifstream in(root_ / "locations.parquet", std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(in), {}};
        note("locations.parquet", bytes, plan.locations);
    }
    void write_manifest(const Options& options) {
        json files = json::array();
        for (const Part& part : summary_.parts)
            files.push_back(
                {{"name", part.name},
                 {"sha256", part.sha256},
                 {"bytes", part.bytes},
                 {"rows", part.rows}}
            );
        const json manifest{
            {"sample", "ecommerce"},
            {"options",
             {{"days", options.days},
              {"orders_per_day", options.orders_per_day},
              {"customers", options.customers},
              {"products", options.products},
              {"locations", options.locations},
              {"scale", options.scale},
              {"start", options.start},
              {"seed", options.seed}}},
            {"parts", files}
        };
        std::ofstream out(root_ / "sample_manifest.json", std::ios::binary | std::ios::trunc);
        out << manifest.dump(2) << '\n';
        out.close();
        if (!out) throw Error(ErrorCode::unavailable, "cannot write the sample's manifest");
    }

private:
    void note(const std::string& name, std::string_view bytes, std::int64_t rows) {
        summary_.parts.push_back(
            {name, sha256_hex(bytes), static_cast<std::int64_t>(bytes.size()), rows}
        );
    }

    std::filesystem::path root_;
    Summary& summary_;
};

/// Passes the lines on and keeps their digest.
template <class Write>
Part table(std::string name, const CopySink& sink, Write&& write) {
    Part part;
    part.name = std::move(name);
    Digest digest;
    part.rows = write([&](std::string_view lines) {
        digest.add(lines);
        part.bytes += static_cast<std::int64_t>(lines.size());
        sink(lines);
    });
    part.sha256 = digest.hex();
    return part;
}

}  // namespace

Summary generate(
    const Options& options,
    const std::filesystem::path& folder,
    const CopySink& customers,
    const CopySink& products
) {
    const Plan plan = make_plan(options);
    Summary summary;
    Folder out(folder, summary);
    for (std::int64_t day = 0; day < plan.days; ++day) {
        const std::string ds = iso_date(day_start(plan, day));
        const DayFiles files = write_day(plan, day);
        out.write("orders/" + ds + ".jsonl", files.orders, files.order_rows);
        out.write("order_items/" + ds + ".csv", files.items, files.item_rows);
        out.write("payments/" + ds + ".jsonl.gz", gzip(files.payments), files.payment_rows);
    }
    out.write_locations(plan);
    summary.parts.push_back(table("shop.customers", customers, [&](const CopySink& sink) {
        return write_customers(plan, sink);
    }));
    summary.parts.push_back(table("shop.products", products, [&](const CopySink& sink) {
        return write_products(plan, sink);
    }));
    std::ranges::sort(summary.parts, {}, &Part::name);
    out.write_manifest(options);
    return summary;
}

}  // namespace sluice::sample
