// The one place where Asio and Beast are compiled; all other files only see their declarations.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
