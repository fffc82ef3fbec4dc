module sluice/deps

go 1.24

require github.com/duckdb/duckdb-go-bindings/lib/linux-amd64 v0.10505.0
