-- +goose Up

-- For where a row is not as it was presumed to be: ends the statement, which is
-- then decided on anew.
create function abandon() returns bigint language plpgsql as
'begin raise exception ''changed meanwhile'' using errcode = ''serialization_failure''; end';

-- +goose Down
drop function abandon;
