-- 0002_transitions.sql — the legal moves of states, as model/states has them (a test compares), and
-- their enforcement on every row whoever writes it.

create table task_move (
    from_state smallint not null,
    to_state smallint not null,
    primary key (from_state, to_state)
);
insert into task_move values
    (0, 1), (0, 3), (0, 6), (0, 7), (0, 12), (0, 4), (0, 5),                          -- none
    (1, 2), (1, 3), (1, 6), (1, 7), (1, 12), (1, 5), (1, 4), (1, 0),                  -- scheduled
    (2, 3), (2, 1), (2, 6), (2, 5),                                                   -- queued
    (3, 4), (3, 5), (3, 6), (3, 8), (3, 9), (3, 10), (3, 13), (3, 11), (3, 1),        -- running
    (4, 0), (4, 5), (4, 6),                                                           -- success
    (5, 0), (5, 4), (5, 6),                                                           -- failed
    (6, 0), (6, 4), (6, 5),                                                           -- skipped
    (7, 0), (7, 4), (7, 5), (7, 6),                                                   -- upstream_failed
    (8, 1), (8, 3), (8, 6), (8, 5), (8, 4), (8, 0),                                   -- up_for_retry
    (9, 1), (9, 3), (9, 5), (9, 6), (9, 0),                                           -- up_for_reschedule
    (10, 1), (10, 3), (10, 5), (10, 6), (10, 0),                                      -- deferred
    (11, 1), (11, 0), (11, 5), (11, 4), (11, 6),                                      -- restarting
    (12, 0),                                                                          -- removed
    (13, 4), (13, 5), (13, 6);                                                        -- awaiting_input

create table run_move (
    from_state smallint not null,
    to_state smallint not null,
    primary key (from_state, to_state)
);
insert into run_move values
    (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (3, 0), (2, 3), (3, 2);

create function refuse_move() returns trigger language plpgsql as $$
begin
    raise exception 'illegal transition in %: % -> %', tg_table_name,
        case when tg_op = 'INSERT' then 0 else old.state end, new.state
        using errcode = '23514';
end $$;

-- Puts the lists into the triggers' conditions, as the bits of one constant: the check costs no
-- call of a function and no look-up unless a move is illegal. Run it again after changing a list.
create procedure enforce_moves() language plpgsql as $$
declare
    task_bits text;
    run_bits text;
begin
    select string_agg(case when m.to_state is null then '0' else '1' end, '' order by f, t)
      into task_bits
      from generate_series(0, 15) f cross join generate_series(0, 15) t
      left join task_move m on m.from_state = f and m.to_state = t;
    select string_agg(case when m.to_state is null then '0' else '1' end, '' order by f, t)
      into run_bits
      from generate_series(0, 15) f cross join generate_series(0, 15) t
      left join run_move m on m.from_state = f and m.to_state = t;

    drop trigger if exists legal_update on task_instance;
    drop trigger if exists legal_insert on task_instance;
    drop trigger if exists legal_update on dag_run;
    execute format(
        'create trigger legal_update before update of state on task_instance for each row
         when (old.state <> new.state and get_bit(B%L, old.state * 16 + new.state) = 0)
         execute function refuse_move()', task_bits);
    execute format(
        'create trigger legal_insert before insert on task_instance for each row
         when (new.state <> 0 and get_bit(B%L, new.state) = 0)
         execute function refuse_move()', task_bits);
    execute format(
        'create trigger legal_update before update of state on dag_run for each row
         when (old.state <> new.state and get_bit(B%L, old.state * 16 + new.state) = 0)
         execute function refuse_move()', run_bits);
end $$;
call enforce_moves();
