"""What is stored of a DAG, over all tables: for tests of its deletion."""
from conftest import wait_for

# Their rows outlive a DAG: what happened, and slices and updates of what others read.
STAY = ("audit_log", "ledger", "asset_event")


def keys_of(daemon, dag_id):
    """Keys of its runs, and ids of its versions and backfills."""
    with daemon.database() as db:
        return tuple({row[0] for row in db.execute(f"select {column} from {table} where dag_id = %s", (dag_id,))}
                     for column, table in (("run_key", "dag_run"), ("id", "dag_version"), ("id", "backfill")))


def rows_left(daemon, dag_id, keys):
    """Rows in any table that name the DAG, or one of its former runs, versions and backfills."""
    left = {}
    with daemon.database() as db:
        columns = db.execute(
            "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid"
            " where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace"
            " and a.attname in ('dag_id', 'run_key', 'version_id', 'version', 'backfill_id')").fetchall()
        runs, versions, backfills = map(list, keys)
        values = {"dag_id": [dag_id], "run_key": runs, "version_id": versions, "version": versions, "backfill_id": backfills}
        for table, column in columns:
            if table in STAY:
                continue
            count = db.execute(f"select count(*) from {table} where {column} = any(%s)", (values[column],)).fetchone()[0]
            if count:
                left[table] = count
    return left


def nothing_left(daemon, dag_id, keys):
    def swept():
        """no row is left of the deleted DAG"""
        return not rows_left(daemon, dag_id, keys)
    wait_for(swept)
