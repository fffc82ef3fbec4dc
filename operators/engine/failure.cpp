#include "operators/engine/failure.hpp"

#include <cerrno>
#include <exception>
#include <new>
#include <system_error>

#include "base/check.hpp"
#include "operators/engine/error_number.hpp"

namespace sluice::engine {

Failure::Failure(ErrorClass error_class, const std::string& what)
    : Error(
          error_class == ErrorClass::transient ? ErrorCode::unavailable : ErrorCode::invalid, what
      ),
      error_class_(error_class) {}

ErrorClass class_of_errno(int number) {
    switch (number) {
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
            return ErrorClass::resource;
        case EACCES:
        case EPERM:
            return ErrorClass::auth;
        case ENOENT:
        case EINTR:
        case EAGAIN:
        case EBUSY:
        case EIO:
        case ESTALE:
        case ETIMEDOUT:
            return ErrorClass::transient;
        default:
            return ErrorClass::permanent;
    }
}

void bad_data(const std::string& what) { throw Failure(ErrorClass::data_quality, what); }

void bad_schema(const std::string& what) { throw Failure(ErrorClass::schema, what); }

namespace {

ErrorClass class_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::unavailable:
        case ErrorCode::conflict:
            return ErrorClass::transient;
        case ErrorCode::unauthorized:
        case ErrorCode::forbidden:
            return ErrorClass::auth;
        case ErrorCode::limit:
            return ErrorClass::resource;
        case ErrorCode::invalid:
        case ErrorCode::not_found:
        case ErrorCode::internal:
            return ErrorClass::permanent;
    }
    unreachable();
}

}  // namespace

Outcome guarded(const std::function<Outcome()>& body) {
    try {
        return body();
    } catch (const Failure& failure) {
        return task::fail(failure.error_class(), failure.what());
    } catch (const Error& error) {
        return task::fail(class_of(error.code()), error.what());
    } catch (const std::bad_alloc&) {
        return task::fail(ErrorClass::resource, "out of memory");
    } catch (const std::system_error& error) {
        return task::fail(class_of_errno(error.code().value()), error.what());
    } catch (const std::exception& error) {
        return task::fail(ErrorClass::permanent, error.what());
    }
}

}  // namespace sluice::engine
