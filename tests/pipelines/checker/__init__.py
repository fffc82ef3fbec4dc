"""The checker of the sample shop: what the lake and the warehouse must hold, worked out from the generated files and the
shop's tables alone, and compared with what is there. It uses none of Sluice's code: plain Python, SQL, DuckDB to read Parquet
and to do the reports' sums. The invariants are numbered as in docs/design/operators.md, section 11.

    source      the days' files and change logs, cleaned by the rules of the specification
    dimensions  versions of customers and products, which one a fact belongs to
    masking     pseudonyms, masked texts, FF1
    found       what is there: tables of the warehouse, live files of the lake
    invariants  one function an invariant
    leaks       the search for canaries
    reports     the report's queries, done again
"""
