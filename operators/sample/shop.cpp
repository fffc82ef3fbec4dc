#include "operators/sample/shop.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "operators/sample/random.hpp"

namespace sluice::sample {

namespace {

constexpr std::array first_names{"Ana",  "Ben",   "Carla", "David", "Elena", "Frank", "Grace",
                                 "Hugo", "Ines",  "Jonas", "Karen", "Luis",  "Maria", "Nils",
                                 "Olga", "Pedro", "Quinn", "Rosa",  "Sven",  "Tara"};
constexpr std::array last_names{"Silva",  "Smith", "Garcia", "Miller", "Rossi",  "Novak", "Kim",
                                "Jensen", "Costa", "Brown",  "Weber",  "Martin", "Lopez", "Clark",
                                "Haas",   "Young", "Moreau", "Berg",   "Singh",  "Adams"};
// NFD accent, emoji, right to left, zero width, a letter of four bytes.
constexpr std::array odd_names{
    "Rene\xCC\x81 Dubois",
    "Zoe \xF0\x9F\x98\x80 Park",
    "\xD7\x93\xD7\x95\xD7\x93 \xD7\x9B\xD7\x94\xD7\x9F",
    "Lea\xE2\x80\x8B Stone",
    "\xF0\xA0\xAE\xB7 Yoshida",
};
constexpr std::array streets{"Main", "Oak", "Pine", "Lake", "Hill", "Park", "River", "Cedar"};
constexpr std::array segments{"consumer", "business", "student", "reseller"};
constexpr std::array categories{
    "books", "garden", "kitchen", "music", "office", "sports", "toys", "travel"
};
constexpr std::array brands{"Acme", "Bolt", "Cedar", "Delta", "Ember", "Flint"};

template <class Table>
const char* pick(const Table& table, std::int64_t index) {
    return table[static_cast<std::size_t>(index) % table.size()];
}

/// What is upper case and padded in the source, for the pipeline to make plain again.
std::string untidy(std::string text) {
    for (char& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return "  " + text + " ";
}

/// What the shop held true of a customer from a moment on: how often the customer had moved.
struct Version {
    std::int64_t updated_at;
    std::int64_t moves;
};

struct Customer {
    std::vector<Version> versions;  // by updated_at
    std::int64_t moves{0};
    bool deleted{false};
};

class CustomerLog {
public:
    CustomerLog(const Plan& plan, const CopySink& sink)
        : plan_(plan), sink_(sink), values_(plan.seed, "customers") {
        customers_.resize(static_cast<std::size_t>(plan.customers));
    }

    std::int64_t write() {
        for (std::int64_t id = 1; id <= plan_.customers; ++id) {
            const std::int64_t age_s = 86'400 * (30 + values_.below(700, id, 0)) - id % 3600;
            const Version first{plan_.start_s - age_s, 0};
            at(id).versions.push_back(first);
            emit(id, first, -1, plan_.start_s);
        }
        for (std::int64_t day = 0; day < plan_.days; ++day) {
            for (std::int64_t id = 1; id <= plan_.customers; ++id)
                if (!at(id).deleted) write_day(id, at(id), day);
            write_unknown(day);
        }
        if (!buffer_.empty()) sink_(buffer_);
        return rows_;
    }

private:
    Customer& at(std::int64_t id) { return customers_[static_cast<std::size_t>(id - 1)]; }

    void write_day(std::int64_t id, Customer& customer, std::int64_t day) {
        const std::int64_t second = day_start(plan_, day) + id % 3600;
        if ((id + day) % 40 == 0) {
            const Version moved{second + 6 * 3600, ++customer.moves};
            customer.versions.push_back(moved);
            emit(id, moved, -1, moved.updated_at);
        }
        if (id % 97 == day % 97) write_late(id, customer, second + 9 * 3600);
        if ((id + day) % 10 == 0) {
            // Sent again with a new time and nothing new in it.
            const Version again{second + 12 * 3600, customer.versions.back().moves};
            customer.versions.push_back(again);
            emit(id, again, -1, again.updated_at);
        }
        if (day >= 5 && (id + 3 * day) % 250 == 0) {
            const Version last{second + 18 * 3600, customer.versions.back().moves};
            emit(id, last, last.updated_at, last.updated_at);
            customer.deleted = true;
        }
    }

    /// The shop learns now of a move of five days ago: a row for the middle of the history.
    void write_late(std::int64_t id, Customer& customer, std::int64_t now) {
        const Version late{now - 5 * 86'400, ++customer.moves};
        const auto after =
            std::ranges::upper_bound(customer.versions, late.updated_at, {}, &Version::updated_at);
        customer.versions.insert(after, late);
        emit(id, late, -1, now);
    }

    /// Customers who ordered yesterday and whom the shop entered only today.
    void write_unknown(std::int64_t day) {
        if (day == 0) return;
        const std::int64_t since = day_start(plan_, day - 1);
        for (std::int64_t k = 121; k < plan_.orders_per_day; k += 500)
            emit(unknown_customer(plan_, day - 1, k), {since, 0}, -1, since + 86'400 + 3600 + k);
    }

    std::string full_name(std::int64_t id) const {
        if (is_canary(id)) return fmt::format("Zq{}canary Person", id);
        if ((id - 1) % 50 == 11) return pick(odd_names, id / 50);
        return fmt::format(
            "{} {}",
            pick(first_names, values_.below(20, id, 1)),
            pick(last_names, values_.below(20, id, 2))
        );
    }

    std::string email(std::int64_t id) const {
        if (is_canary(id)) return fmt::format("zq{}canary@example.com", id);
        const std::string plain =
            fmt::format("customer{}@example.{}", id, id % 3 == 0 ? "org" : "com");
        return (id - 1) % 10 == 3 ? untidy(plain) : plain;
    }

    void emit(std::int64_t id, Version version, std::int64_t deleted_at, std::int64_t recorded_at) {
        const City& home = city(values_.below(city_count, id, 3) + 7 * version.moves);
        const bool untidy_row = (id - 1) % 10 == 3;
        const std::string phone =
            is_canary(id)
                ? fmt::format("+1-555-01{:08}", id)
                : fmt::format("+1-{:03}-555-{:04}", 201 + id % 700, values_.below(10'000, id, 4));
        const std::string ssn = is_canary(id)
                                    ? fmt::format("900-{:02}-{:04}", id / 10'000 % 100, id % 10'000)
                                    : fmt::format(
                                          "{:03}-{:02}-{:04}",
                                          1 + id % 665,
                                          1 + id / 665 % 99,
                                          values_.below(10'000, id, 5)
                                      );
        const std::string street = is_canary(id)
                                       ? fmt::format("Zq{}canary Street {}", id, version.moves + 1)
                                       : fmt::format(
                                             "{} {} Street",
                                             1 + values_.below(999, id, 6) + version.moves,
                                             pick(streets, id)
                                         );
        const std::int64_t born =
            86'400 * (-10'957 + values_.below(23'000, id, 7));  // 1940 to 2002
        fmt::format_to(
            std::back_inserter(buffer_),
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{:05}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            id,
            full_name(id),
            email(id),
            id % 25 == 6 ? std::string("\\N") : phone,
            ssn,
            iso_date(born),
            street,
            untidy_row ? untidy(home.name) : std::string(home.name),
            home.state,
            10'000 + (id * 37 + version.moves * 101) % 89'999,
            "US",
            id % 20 == 4 ? "\\N" : pick(segments, values_.below(4, id, 8)),
            id % 15 == 6 ? "\\N" : (values_.below(2, id, 9) == 0 ? "f" : "t"),
            iso(version.updated_at),
            deleted_at < 0 ? std::string("\\N") : iso(deleted_at),
            iso(recorded_at)
        );
        ++rows_;
        if (buffer_.size() > (1U << 20)) {
            sink_(buffer_);
            buffer_.clear();
        }
    }

    const Plan& plan_;
    const CopySink& sink_;
    Stream values_;
    std::vector<Customer> customers_;
    std::string buffer_;
    std::int64_t rows_{0};
};

void product_row(const Plan& plan, std::int64_t id, std::int64_t day, std::string& out) {
    const Stream values{plan.seed, "products"};
    const bool first = day < 0;
    const std::int64_t changed = first ? plan.start_s - 30 * 86'400 + id % 3600
                                       : day_start(plan, day) + 7 * 3600 + id % 3600;
    const std::int64_t price = list_price_cents(plan, id, day);
    const std::string category = pick(categories, values.below(8, id, 0));
    const std::string brand = pick(brands, values.below(6, id, 1));
    fmt::format_to(
        std::back_inserter(out),
        "{}\tSKU-{:06}\t{}\t{}\t{}\t{}\t{}\t{}\t\\N\t{}\n",
        id,
        id,
        fmt::format("{} {} {}", brand, category, id),
        (id - 1) % 10 == 3 ? untidy(category) : category,
        id % 10 == 7 ? std::string("\\N") : brand,
        price,
        price * 6 / 10,
        iso(changed),
        iso(first ? plan.start_s : changed)
    );
}

}  // namespace

std::string_view customers_columns() {
    return "customer_id bigint not null, full_name text, email text, phone text, ssn text, "
           "birth_date date, street text, city text, state text, postal_code text, country text, "
           "segment text, marketing_opt_in boolean, updated_at timestamptz not null, "
           "deleted_at timestamptz, recorded_at timestamptz not null";
}

std::string_view products_columns() {
    return "product_id bigint not null, sku text not null, name text, category text, brand text, "
           "list_price_cents bigint, cost_cents bigint, updated_at timestamptz not null, "
           "deleted_at timestamptz, recorded_at timestamptz not null";
}

std::int64_t write_customers(const Plan& plan, const CopySink& sink) {
    return CustomerLog(plan, sink).write();
}

std::int64_t write_products(const Plan& plan, const CopySink& sink) {
    std::string out;
    std::int64_t rows = 0;
    for (std::int64_t id = 1; id <= plan.products; ++id, ++rows) product_row(plan, id, -1, out);
    for (std::int64_t day = 0; day < plan.days; ++day)
        for (std::int64_t id = 1; id <= plan.products; ++id) {
            if ((id + day) % 25 != 0) continue;
            product_row(plan, id, day, out);
            ++rows;
        }
    sink(out);
    return rows;
}

}  // namespace sluice::sample
