-- 0017_moves.sql — moves of states that the scheduler never makes are no longer legal: what waits
-- for a slot waits in memory, so that nothing is ever `queued`, `scheduled` is a lost attempt alone,
-- and a wait ends without running anew. The list is model/states.cpp's (a test compares).

delete from task_move where (from_state, to_state) in (
    (0, 1),                           -- none -> scheduled
    (1, 2), (1, 7), (1, 12),          -- scheduled -> queued, upstream_failed, removed
    (2, 1), (2, 3), (2, 5), (2, 6),   -- queued -> scheduled, running, failed, skipped
    (8, 1),                           -- up_for_retry -> scheduled
    (9, 1), (9, 3),                   -- up_for_reschedule -> scheduled, running
    (10, 1), (10, 3),                 -- deferred -> scheduled, running
    (11, 1));                         -- restarting -> scheduled
call enforce_moves();
