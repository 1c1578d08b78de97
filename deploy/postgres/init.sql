create extension vector
create role music login createdb
grant pg_checkpoint, pg_monitor to music
create database music owner music
