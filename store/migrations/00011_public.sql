-- +goose Up

-- Whether strangers book the service on its page.
alter table services add column public boolean not null default false;

-- +goose Down
alter table services drop column public;
