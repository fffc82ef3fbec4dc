// appender.cpp — typed cells into the engine's vectors, a batch at a time.
#include <cstring>

#include "base/check.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/result.hpp"

namespace sluice::engine {

namespace {

/// More text than this is handed on before a batch is full: neither the batch nor what the engine
/// keeps of an appender counts against its memory limit.
constexpr std::size_t batch_bytes = std::size_t{16} << 20;

/// A vector that cells are written to: a column's, or that of a list's elements.
struct Slot {
    ColumnType type;
    duckdb_vector vector{nullptr};
    void* data{nullptr};
    std::uint64_t* validity{nullptr};  // none as long as there is no NULL
    std::shared_ptr<Slot> child;
    std::size_t elements{0};  // of all rows of the batch

    void point_at(const Library& lib, duckdb_vector to) {
        vector = to;
        data = lib.duckdb_vector_get_data(to);
        validity = nullptr;
        elements = 0;
        if (child) child->point_at(lib, lib.duckdb_list_vector_get_child(to));
    }
    template <class T>
    void put(std::size_t row, T value) {
        static_cast<T*>(data)[row] = value;
    }
};

Slot slot_of(const ColumnType& type) {
    Slot slot;
    slot.type = type;
    if (type.child) slot.child = std::make_shared<Slot>(slot_of(*type.child));
    return slot;
}

duckdb_hugeint hugeint_of(Int128 value) {
    return {static_cast<std::uint64_t>(value), static_cast<std::int64_t>(value >> 64)};
}

}  // namespace

struct RowAppender::State {
    const Library& lib;
    duckdb_appender appender{nullptr};  // none: the chunk is somebody's who takes it as it is
    duckdb_data_chunk chunk{nullptr};
    std::vector<Slot> slots;
    std::size_t capacity{0};
    std::size_t row{0};
    std::size_t column{0};
    std::size_t bytes{0};  // of texts since the engine has stored them
    Slot* list{nullptr};   // whose elements are being given
    std::size_t element{0};

    explicit State(const Library& library) : lib(library) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (appender == nullptr) return;
        if (chunk != nullptr) lib.duckdb_destroy_data_chunk(&chunk);
        lib.duckdb_appender_destroy(&appender);
    }
    [[noreturn]] void fail() const {
        const char* message = lib.duckdb_appender_error(appender);
        throw failure_of(message != nullptr ? message : "rows cannot be added");
    }
    /// Where the next cell goes.
    std::pair<Slot*, std::size_t> next() {
        if (list != nullptr) return {list->child.get(), element++};
        return {&slots[column++], row};
    }
    void point() {
        for (std::size_t i = 0; i < slots.size(); ++i)
            slots[i].point_at(lib, lib.duckdb_data_chunk_get_vector(chunk, i));
    }
    void flush() {
        if (row == 0) return;
        lib.duckdb_data_chunk_set_size(chunk, row);
        if (lib.duckdb_append_data_chunk(appender, chunk) != DuckDBSuccess) fail();
        lib.duckdb_data_chunk_reset(chunk);
        row = 0;
        point();
        if (bytes < batch_bytes) return;
        if (lib.duckdb_appender_flush(appender) != DuckDBSuccess) fail();
        bytes = 0;
    }
    void set_null(Slot& slot, std::size_t at) {
        if (slot.validity == nullptr) {
            lib.duckdb_vector_ensure_validity_writable(slot.vector);
            slot.validity = lib.duckdb_vector_get_validity(slot.vector);
        }
        lib.duckdb_validity_set_row_invalid(slot.validity, at);
        if (slot.child) slot.put(at, duckdb_list_entry{slot.elements, 0});
    }
};

RowAppender::RowAppender(std::unique_ptr<State> state) : state_(std::move(state)) {}
RowAppender::RowAppender(RowAppender&&) noexcept = default;
RowAppender::~RowAppender() = default;

void RowAppender::null() {
    const auto [slot, row] = state_->next();
    state_->set_null(*slot, row);
}

void RowAppender::boolean(bool value) {
    const auto [slot, row] = state_->next();
    slot->put(row, value);
}

void RowAppender::integer(std::int64_t value) {
    const auto [slot, row] = state_->next();
    switch (slot->type.bytes) {
        case 1:
        case -1:
            return slot->put(row, static_cast<std::int8_t>(value));
        case 2:
        case -2:
            return slot->put(row, static_cast<std::int16_t>(value));
        case 4:
        case -4:
            return slot->put(row, static_cast<std::int32_t>(value));
        default:
            return slot->put(row, value);
    }
}

void RowAppender::huge(Int128 value) {
    const auto [slot, row] = state_->next();
    switch (slot->type.bytes) {
        case 2:
            return slot->put(row, static_cast<std::int16_t>(value));
        case 4:
            return slot->put(row, static_cast<std::int32_t>(value));
        case 8:
            return slot->put(row, static_cast<std::int64_t>(value));
        case -8:
            return slot->put(row, static_cast<std::uint64_t>(value));
        default:
            return slot->put(row, hugeint_of(value));
    }
}

void RowAppender::real(double value) {
    const auto [slot, row] = state_->next();
    if (slot->type.kind == Kind::real) return slot->put(row, static_cast<float>(value));
    slot->put(row, value);
}

void RowAppender::text(std::string_view value) { bytes(value); }

void RowAppender::bytes(std::string_view value) {
    const auto [slot, row] = state_->next();
    state_->bytes += value.size();
    state_->lib.duckdb_unsafe_vector_assign_string_element_len(
        slot->vector, row, value.data(), value.size()
    );
}

void RowAppender::interval(const IntervalValue& value) {
    const auto [slot, row] = state_->next();
    slot->put(row, duckdb_interval{value.months, value.days, value.micros});
}

void RowAppender::uuid(std::string_view value) {
    SLUICE_CHECK(value.size() == 16);
    const auto [slot, row] = state_->next();
    Uint128 number = 0;
    for (const char c : value) number = (number << 8) | static_cast<unsigned char>(c);
    // The engine flips the top bit so that uuids sort as signed numbers.
    slot->put(row, hugeint_of(static_cast<Int128>(number ^ (Uint128{1} << 127))));
}

void RowAppender::begin_list(std::size_t size) {
    State& s = *state_;
    SLUICE_CHECK(s.list == nullptr);
    const auto [slot, row] = s.next();
    if (s.lib.duckdb_list_vector_reserve(slot->vector, slot->elements + size) != DuckDBSuccess)
        throw Failure(ErrorClass::resource, "a list is too long for the memory of the task");
    // The reserve may have moved the elements.
    Slot& child = *slot->child;
    child.data = s.lib.duckdb_vector_get_data(child.vector);
    if (child.validity != nullptr) child.validity = s.lib.duckdb_vector_get_validity(child.vector);
    slot->put(row, duckdb_list_entry{slot->elements, size});
    s.list = slot;
    s.element = slot->elements;
    slot->elements += size;
    s.lib.duckdb_list_vector_set_size(slot->vector, slot->elements);
}

void RowAppender::end_list() {
    State& s = *state_;
    SLUICE_CHECK(s.list != nullptr && s.element == s.list->elements);
    s.list = nullptr;
}

void RowAppender::end_row() {
    State& s = *state_;
    SLUICE_CHECK(s.column == s.slots.size());
    s.column = 0;
    ++s.row;
    if (s.appender == nullptr) {
        SLUICE_CHECK(s.row <= s.capacity);
    } else if (s.row == s.capacity || s.bytes >= batch_bytes) {
        s.flush();
    }
}

void RowAppender::close() {
    State& s = *state_;
    s.flush();
    if (s.lib.duckdb_appender_close(s.appender) != DuckDBSuccess) s.fail();
}

RowAppender make_row_appender(
    const Library& lib, duckdb_connection connection, const std::string& table
) {
    auto state = std::make_unique<RowAppender::State>(lib);
    if (lib.duckdb_appender_create(connection, nullptr, table.c_str(), &state->appender) !=
        DuckDBSuccess) {
        state->fail();
    }
    std::vector<duckdb_logical_type> types;
    for (idx_t i = 0; i < lib.duckdb_appender_column_count(state->appender); ++i) {
        types.push_back(lib.duckdb_appender_column_type(state->appender, i));
        state->slots.push_back(slot_of(column_type(lib, types.back())));
    }
    state->chunk = lib.duckdb_create_data_chunk(types.data(), types.size());
    for (duckdb_logical_type& type : types) lib.duckdb_destroy_logical_type(&type);
    state->capacity = lib.duckdb_vector_size();
    state->point();
    return RowAppender(std::move(state));
}

void fill_chunk(
    const Library& lib,
    duckdb_data_chunk chunk,
    const std::vector<ColumnType>& types,
    const std::function<void(RowAppender&)>& fill
) {
    auto state = std::make_unique<RowAppender::State>(lib);
    RowAppender::State& filled = *state;
    for (const ColumnType& type : types) filled.slots.push_back(slot_of(type));
    filled.chunk = chunk;
    filled.capacity = lib.duckdb_vector_size();
    filled.point();
    RowAppender rows(std::move(state));
    fill(rows);
    lib.duckdb_data_chunk_set_size(chunk, filled.row);
}

struct Appender::State {
    RowAppender rows;
};

Appender::Appender(std::unique_ptr<State> state) : state_(std::move(state)) {}
Appender::Appender(Appender&&) noexcept = default;
Appender::~Appender() = default;

void Appender::text(std::string_view value) { state_->rows.text(value); }
void Appender::integer(std::int64_t value) { state_->rows.integer(value); }
void Appender::null() { state_->rows.null(); }
void Appender::end_row() { state_->rows.end_row(); }
void Appender::close() { state_->rows.close(); }

Appender make_appender(const Library& lib, duckdb_connection connection, const std::string& table) {
    return Appender(std::make_unique<Appender::State>(
        Appender::State{make_row_appender(lib, connection, table)}
    ));
}

}  // namespace sluice::engine
